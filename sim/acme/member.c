#include "acme/member.h"
#include "acme/json.h"

#include <string.h>

enum err member_open(struct str json, json_t **ret)
{
    if (json.n > MEMBER_MAX_TEXT) return ERR_LIMIT;
    /* NUL is let in so that unknown members may have one; take_text refuses it where it matters. */
    json_t *root = json_read(json, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL);
    if (!json_is_object(root)) {
        json_decref(root);
        return ERR_MALFORMED;
    }
    *ret = root;
    return OK;
}

const json_t *member_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static enum err take_text(struct arena *arena, const json_t *value, struct str *ret)
{
    if (!json_is_string(value)) return ERR_MALFORMED;
    struct str text = {json_string_value(value), json_string_length(value)};
    if (memchr(text.at, 0, text.n)) return ERR_MALFORMED;
    *ret = str_copy(arena, text);
    return OK;
}

enum err member_text(struct arena *arena, const json_t *object, const char *key, struct str *ret)
{
    const json_t *value = member_of(object, key);
    return value ? take_text(arena, value, ret) : OK;
}

enum err member_bool(const json_t *object, const char *key, bool *ret)
{
    const json_t *value = member_of(object, key);
    if (!value) return OK;
    if (!json_is_boolean(value)) return ERR_MALFORMED;
    *ret = json_is_true(value);
    return OK;
}

enum err member_int(const json_t *object, const char *key, int64_t *ret)
{
    const json_t *value = json_object_get(object, key);
    if (!value) return OK;
    if (!json_is_integer(value)) return ERR_MALFORMED;
    *ret = json_integer_value(value);
    return OK;
}

enum err member_texts(struct arena *arena, const json_t *object, const char *key, size_t max, struct str **ret,
                      size_t *ret_n)
{
    const json_t *list = member_of(object, key);
    if (!list) return OK;
    if (!json_is_array(list)) return ERR_MALFORMED;
    size_t n = json_array_size(list);
    if (n > max) return ERR_LIMIT;
    struct str *texts = ARENA_ARRAY(arena, struct str, n);
    for (size_t i = 0; i < n; i++) {
        enum err e = take_text(arena, json_array_get(list, i), &texts[i]);
        if (e) return e;
    }
    *ret = texts;
    *ret_n = n;
    return OK;
}

enum err member_object(const json_t *object, const char *key, const json_t **ret)
{
    const json_t *value = member_of(object, key);
    if (value && !json_is_object(value)) return ERR_MALFORMED;
    *ret = value;
    return OK;
}

enum err member_objects(const json_t *object, const char *key, size_t max, const json_t **ret)
{
    const json_t *list = member_of(object, key);
    if (list) {
        if (!json_is_array(list)) return ERR_MALFORMED;
        if (json_array_size(list) > max) return ERR_LIMIT;
        for (size_t i = 0; i < json_array_size(list); i++)
            if (!json_is_object(json_array_get(list, i))) return ERR_MALFORMED;
    }
    *ret = list;
    return OK;
}

void write_key(struct buf *buf, const char *key)
{
    if (buf->n && buf->at[buf->n - 1] != '{') buf_add_char(buf, ',');
    buf_add_char(buf, '"');
    buf_add_c(buf, key);
    buf_add_c(buf, "\":");
}

void write_text(struct buf *buf, const char *key, struct str text)
{
    if (text.n == 0) return;
    write_key(buf, key);
    buf_add_json(buf, text);
}
