#include "plan/desk.h"
#include "base/when.h"

#include <stdio.h>
#include <string.h>

struct node node_root(const struct paper *paper)
{
    return (struct node){paper, paper->root, STR("")};
}

static struct str pointer_add(struct arena *arena, struct str pointer, struct str key)
{
    struct buf buf = {.arena = arena};
    buf_add(&buf, pointer);
    buf_add_char(&buf, '/');
    for (size_t i = 0; i < key.n; i++) {
        if (key.at[i] == '~') buf_add_c(&buf, "~0");
        else if (key.at[i] == '/') buf_add_c(&buf, "~1");
        else buf_add_char(&buf, key.at[i]);
    }
    return buf_str(&buf);
}

struct node node_member(const struct desk *desk, struct node node, const char *key)
{
    const json_t *value = json_object_get(node.value, key);
    if (!value) return (struct node){.paper = node.paper};
    return (struct node){node.paper, value, pointer_add(desk->arena, node.pointer, str_c(key))};
}

struct node node_item(const struct desk *desk, struct node node, size_t i)
{
    const json_t *value = json_array_get(node.value, i);
    if (!value) return (struct node){.paper = node.paper};
    return (struct node){node.paper, value, str_fmt(desk->arena, "%.*s/%zu", STR_ARGS(node.pointer), i)};
}

size_t node_length(struct node node)
{
    return json_array_size(node.value);
}

bool node_next(const struct desk *desk, struct node node, struct node_walk *walk, struct str *ret_key, struct node *ret)
{
    json_t *object = (json_t *)node.value;
    walk->iter = walk->iter ? json_object_iter_next(object, walk->iter) : json_object_iter(object);
    if (!walk->iter) return false;
    *ret_key = str_c(json_object_iter_key(walk->iter));
    *ret = (struct node){node.paper, json_object_iter_value(walk->iter), {0}};
    /* Past the last kept complaint nobody asks where anything stands. */
    if (desk->complaints->n < COMPLAINTS_KEPT) ret->pointer = pointer_add(desk->arena, node.pointer, *ret_key);
    return true;
}

static void vbad(const struct desk *desk, struct node node, bool at_key, const char *fmt, va_list ap)
{
    int line = 0, column = 0;
    if (desk->complaints->n >= COMPLAINTS_KEPT) {
        desk->complaints->n++;
        return;
    }
    if (node.pointer.at) (at_key ? paper_key_spot : paper_spot)(node.paper, node.pointer.at, &line, &column);
    struct str text = str_vfmt(desk->arena, fmt, ap);
    complain(desk->complaints, node.paper->path, line, column, "%.*s", STR_ARGS(text));
}

void node_bad(const struct desk *desk, struct node node, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vbad(desk, node, false, fmt, ap);
    va_end(ap);
}

void node_bad_key(const struct desk *desk, struct node node, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vbad(desk, node, true, fmt, ap);
    va_end(ap);
}

void node_unknown(const struct desk *desk, struct node node, bool at_key, const char *kind, struct str word,
                  const char *const *words, size_t n)
{
    const char *near = str_nearest(word, words, n);
    struct str shown = {word.at, word.n > 80 ? 80 : word.n};
    void (*bad)(const struct desk *, struct node, const char *, ...) = at_key ? node_bad_key : node_bad;
    if (near) {
        bad(desk, node, "unknown %s \"%.*s\" - did you mean \"%s\"?", kind, STR_ARGS(shown), near);
    } else if (n <= 8) {
        struct buf all = {.arena = desk->arena};
        for (size_t i = 0; i < n; i++)
            buf_fmt(&all, "%s\"%s\"", i == 0 ? "" : i + 1 == n ? " or " : ", ", words[i]);
        struct str list = buf_str(&all);
        bad(desk, node, "unknown %s \"%.*s\" - it can be %.*s", kind, STR_ARGS(shown), STR_ARGS(list));
    } else {
        bad(desk, node, "unknown %s \"%.*s\"", kind, STR_ARGS(shown));
    }
}

static const char *what_it_is(const json_t *value)
{
    if (!value) return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "a list";
    case JSON_STRING: return "a text";
    case JSON_INTEGER: return "a whole number";
    case JSON_REAL: return "a number";
    case JSON_TRUE: return "true";
    case JSON_FALSE: return "false";
    default: return "null";
    }
}

static bool wrong(const struct desk *desk, struct node node, const char *expected)
{
    node_bad(desk, node, "%s is expected here, not %s", expected, what_it_is(node.value));
    return false;
}

bool node_object(const struct desk *desk, struct node node, const char *expected)
{
    return json_is_object(node.value) || wrong(desk, node, expected);
}

bool node_array(const struct desk *desk, struct node node, const char *expected, size_t min, size_t max)
{
    if (!json_is_array(node.value)) return wrong(desk, node, expected);
    if (json_array_size(node.value) < min) {
        node_bad(desk, node, "%s is expected here, and this one is empty", expected);
        return false;
    }
    if (json_array_size(node.value) > max) {
        node_bad(desk, node, "at most %zu entries are allowed here, not %zu", max, json_array_size(node.value));
        return false;
    }
    return true;
}

bool str_index(struct str word, const char *const *words, size_t n, size_t *ret_i)
{
    for (size_t i = 0; i < n; i++)
        if (str_is(word, words[i])) {
            *ret_i = i;
            return true;
        }
    return false;
}

bool node_keys(const struct desk *desk, struct node node, const char *kind, const char *const *keys, size_t n)
{
    struct node_walk walk = {0};
    struct str key;
    struct node member;
    size_t i;
    bool good = true;
    while (node_next(desk, node, &walk, &key, &member)) {
        if (str_index(key, keys, n, &i)) continue;
        node_unknown(desk, member, true, kind, key, keys, n);
        good = false;
    }
    return good;
}

bool node_any_text(const struct desk *desk, struct node node, const char *expected, size_t max, struct str *ret)
{
    if (!json_is_string(node.value)) return wrong(desk, node, expected);
    struct str text = {json_string_value(node.value), json_string_length(node.value)};
    if (text.n > max) {
        node_bad(desk, node, "%s is expected here, and this one is longer than %zu bytes", expected, max);
        return false;
    }
    *ret = str_copy(desk->arena, text);
    return true;
}

bool node_text(const struct desk *desk, struct node node, const char *expected, size_t max, struct str *ret)
{
    struct str text;
    if (!node_any_text(desk, node, expected, max, &text)) return false;
    if (!text.n) {
        node_bad(desk, node, "%s is expected here, and this one is empty", expected);
        return false;
    }
    *ret = text;
    return true;
}

bool node_bool(const struct desk *desk, struct node node, bool *ret)
{
    if (!json_is_boolean(node.value)) return wrong(desk, node, "true or false");
    *ret = json_is_true(node.value);
    return true;
}

bool node_int(const struct desk *desk, struct node node, int64_t min, int64_t max, int64_t *ret)
{
    if (!json_is_integer(node.value)) return wrong(desk, node, "a whole number");
    int64_t number = json_integer_value(node.value);
    if (number < min || number > max) {
        node_bad(desk, node, "%lld is not within %lld and %lld", (long long)number, (long long)min, (long long)max);
        return false;
    }
    *ret = number;
    return true;
}

bool text_duration(const struct desk *desk, struct node node, struct str text, int64_t max_ms, int64_t *ret_ms)
{
    int64_t ms = 0;
    enum err e = when_duration(text, &ms);
    struct str shown = {text.at, text.n > 40 ? 40 : text.n};
    if (e == ERR_MALFORMED) {
        node_bad(desk, node, "\"%.*s\" is not a duration: write \"12s\", \"250ms\" or \"1m30s\"", STR_ARGS(shown));
        return false;
    }
    if (e || ms > max_ms) {
        struct str most = when_duration_text(desk->arena, max_ms);
        node_bad(desk, node, "\"%.*s\" is longer than %.*s", STR_ARGS(shown), STR_ARGS(most));
        return false;
    }
    *ret_ms = ms;
    return true;
}

bool node_duration(const struct desk *desk, struct node node, int64_t min_ms, int64_t max_ms, int64_t *ret_ms)
{
    struct str text;
    int64_t ms;
    if (!node_text(desk, node, "a duration such as \"12s\"", 40, &text)) return false;
    if (!text_duration(desk, node, text, max_ms, &ms)) return false;
    if (ms < min_ms) {
        struct str least = when_duration_text(desk->arena, min_ms);
        node_bad(desk, node, "\"%.*s\" is shorter than %.*s", STR_ARGS(text), STR_ARGS(least));
        return false;
    }
    *ret_ms = ms;
    return true;
}

bool node_word(const struct desk *desk, struct node node, const char *kind, const char *const *words, size_t n,
               size_t *ret_i)
{
    struct str text, expected = str_fmt(desk->arena, "%s %s", strchr("aeiou", kind[0]) ? "an" : "a", kind);
    if (!node_text(desk, node, expected.at, 4096, &text)) return false;
    if (str_index(text, words, n, ret_i)) return true;
    node_unknown(desk, node, false, kind, text, words, n);
    return false;
}

void node_note(const struct desk *desk, struct node node)
{
    struct node member = node_member(desk, node, "note");
    struct str text;
    if (member.value) node_any_text(desk, member, "a note", 4000, &text);
}

bool node_texts(const struct desk *desk, struct node node, const char *expected, size_t max, struct str **ret,
                size_t *ret_n)
{
    if (!node_array(desk, node, expected, 0, max)) return false;
    size_t n = node_length(node);
    struct str *texts = ARENA_ARRAY(desk->arena, struct str, n + 1);
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        struct node item = node_item(desk, node, i);
        if (!node_text(desk, item, "a text", 400, &texts[i])) {
            good = false;
            continue;
        }
        for (size_t k = 0; k < i; k++)
            if (str_eq(texts[i], texts[k])) {
                node_bad(desk, item, "\"%.*s\" stands here twice", STR_ARGS(texts[i]));
                good = false;
            }
    }
    *ret = texts;
    *ret_n = n;
    return good;
}
