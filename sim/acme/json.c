#include "acme/json.h"

#include <string.h>

enum { MAX_DEPTH = 32, MAX_DIGITS = 18 };

struct reading {
    const char *at, *end;
    int depth;
    bool reject_duplicates;
};

/* The next byte that is no white space, not taken; NUL at the end, which no JSON text has outside of strings. */
static char peek(struct reading *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\n' || *in->at == '\t' || *in->at == '\r'))
        in->at++;
    return in->at < in->end ? *in->at : '\0';
}

static bool take(struct reading *in, char c)
{
    if (peek(in) != c) return false;
    in->at++;
    return true;
}

static bool take_text(struct reading *in, struct str *ret)
{
    if (!take(in, '"')) return false;
    const char *at = in->at;
    while (at < in->end && *at >= 0x20 && *at < 0x7f && *at != '"' && *at != '\\')
        at++;
    if (at == in->end || *at != '"') return false;
    *ret = (struct str){in->at, (size_t)(at - in->at)};
    in->at = at + 1;
    return true;
}

static json_t *read_value(struct reading *in);

static bool read_members(struct reading *in, json_t *object)
{
    struct str name;
    if (take(in, '}')) return true;
    do {
        json_t *value;
        if (!take_text(in, &name) || !take(in, ':')) return false;
        if (in->reject_duplicates && json_object_getn(object, name.at, name.n)) return false;
        if (!(value = read_value(in)) || json_object_setn_new_nocheck(object, name.at, name.n, value) != 0)
            return false;
    } while (take(in, ','));
    return take(in, '}');
}

static bool read_items(struct reading *in, json_t *array)
{
    if (take(in, ']')) return true;
    do {
        json_t *value = read_value(in);
        if (!value || json_array_append_new(array, value) != 0) return false;
    } while (take(in, ','));
    return take(in, ']');
}

static json_t *read_whole_number(struct reading *in)
{
    json_int_t number = 0;
    const char *begin = in->at;
    while (in->at < in->end && *in->at >= '0' && *in->at <= '9' && in->at - begin < MAX_DIGITS)
        number = number * 10 + (*in->at++ - '0');
    if (in->at == begin || (*begin == '0' && in->at - begin > 1)) return NULL;
    if (in->at == in->end || strchr(".eE0123456789", *in->at)) return NULL;
    return json_integer(number);
}

static bool take_word(struct reading *in, const char *word)
{
    if (!str_starts((struct str){in->at, (size_t)(in->end - in->at)}, word)) return false;
    in->at += strlen(word);
    return true;
}

static json_t *read_value(struct reading *in)
{
    struct str text;
    json_t *value;
    bool good;
    switch (peek(in)) {
    case '"': return take_text(in, &text) ? json_stringn_nocheck(text.at, text.n) : NULL;
    case 't': return take_word(in, "true") ? json_true() : NULL;
    case 'f': return take_word(in, "false") ? json_false() : NULL;
    case 'n': return take_word(in, "null") ? json_null() : NULL;
    case '{':
    case '[':
        if (in->depth == MAX_DEPTH) return NULL;
        in->depth++;
        value = *in->at++ == '{' ? json_object() : json_array();
        good = json_is_object(value) ? read_members(in, value) : read_items(in, value);
        in->depth--;
        if (good) return value;
        json_decref(value);
        return NULL;
    default: return read_whole_number(in);
    }
}

json_t *json_read(struct str text, size_t flags)
{
    if (!text.n) return NULL;
    struct reading in = {
        .at = text.at, .end = text.at + text.n, .reject_duplicates = (flags & JSON_REJECT_DUPLICATES) != 0};
    char first = peek(&in);
    if (first == '{' || first == '[') {
        json_t *value = read_value(&in);
        if (value && peek(&in) == '\0' && in.at == in.end) return value;
        json_decref(value);
    }
    return json_loadb(text.at, text.n, flags, NULL);
}
