/* Faults in a JSON body: what is legal but unusual, and what is not. */
#include "wire/fault_inside.h"

#include <jansson.h>
#include <stdlib.h>

/* --- single members, in place --- */

/* A member of the JSON object in the body, by its text; .at NULL: not there. */
static struct str find_member(struct str body, const char *start)
{
    ptrdiff_t at = str_find(body, start);
    if (at < 0) return (struct str){0};
    size_t end = (size_t)at;
    while (end < body.n && body.at[end] != ',' && body.at[end] != '}')
        end++;
    if (end < body.n && body.at[end] == ',') end++;
    return (struct str){body.at + at, end - (size_t)at};
}

void fault_no_expires(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    struct str body = msg->as.response.body, member = find_member(body, "\"expires\":");
    if (!member.at) return;
    size_t before = (size_t)(member.at - body.at), after = body.n - before - member.n;
    msg->as.response.body = str_fmt(&msg->arena, "%.*s%.*s", (int)before, body.at, (int)after, member.at + member.n);
}

void fault_early_certificate(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    struct str body = msg->as.response.body, order = headers_get(msg->as.response.headers, "Location");
    if (!order.n || !str_starts(body, "{") || find_member(body, "\"certificate\":").at) return;
    msg->as.response.body = str_fmt(&msg->arena, "{\"certificate\":\"%.*s/certificate\",%.*s", STR_ARGS(order),
                                    (int)(body.n - 1), body.at + 1);
}

/* --- the whole object, anew --- */

/* NULL: the body is no JSON object. The caller's to put_back or to json_decref. */
static json_t *object_of(const struct msg *msg)
{
    struct str body = msg->as.response.body;
    json_t *object = body.n ? json_loadb(body.at, body.n, 0, NULL) : NULL;
    if (json_is_object(object)) return object;
    json_decref(object);
    return NULL;
}

/* Takes the object. */
static void put_back(struct msg *msg, json_t *object, size_t flags)
{
    char *text = json_dumps(object, flags);
    if (text) msg->as.response.body = str_copy(&msg->arena, str_c(text));
    free(text);
    json_decref(object);
}

void fault_pretty_json(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    json_t *object = object_of(msg);
    if (object) put_back(msg, object, JSON_INDENT(4));
}

/* A copy whose objects have their members in the opposite order; lists keep theirs, which means something. */
static json_t *reversed(json_t *value)
{
    if (json_is_array(value)) {
        json_t *list = json_array();
        for (size_t i = 0; i < json_array_size(value); i++)
            json_array_append_new(list, reversed(json_array_get(value, i)));
        return list;
    }
    if (!json_is_object(value)) return json_incref(value);
    json_t *object = json_object();
    size_t n = json_object_size(value);
    const char **keys = calloc(n + 1, sizeof *keys);
    void *at = json_object_iter(value);
    for (size_t i = n; keys && i > 0; i--, at = json_object_iter_next(value, at))
        keys[i - 1] = json_object_iter_key(at);
    for (size_t i = 0; keys && i < n; i++)
        json_object_set_new(object, keys[i], reversed(json_object_get(value, keys[i])));
    free(keys);
    return object;
}

void fault_reversed_json(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    json_t *object = object_of(msg);
    if (!object) return;
    put_back(msg, reversed(object), JSON_COMPACT);
    json_decref(object);
}

/* RFC 8259 section 7: any character may be escaped. Here it is the first of each text, and every slash. */
void fault_escaped_json(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    json_t *object = object_of(msg);
    struct str body = msg->as.response.body;
    struct buf out = {.arena = &msg->arena};
    bool in_text = false;
    if (!object) return;
    json_decref(object);
    for (size_t i = 0; i < body.n; i++) {
        char c = body.at[i];
        if (in_text && c == '\\') {
            buf_add(&out, (struct str){body.at + i, 2}); /* legal JSON: one more byte is there */
            i++;
        } else if (in_text && c == '/') {
            buf_add_c(&out, "\\/");
        } else if (in_text && body.at[i - 1] == '"' && (unsigned char)c < 0x80 && c != '"') {
            buf_fmt(&out, "\\u%04x", (unsigned)c);
        } else {
            buf_add_char(&out, c);
        }
        if (c == '"') in_text = !in_text;
    }
    msg->as.response.body = buf_str(&out);
}

void fault_bom_json(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    struct str body = msg->as.response.body;
    if (str_starts(body, "{")) msg->as.response.body = str_fmt(&msg->arena, "\xef\xbb\xbf%.*s", STR_ARGS(body));
}

/* Unlike a connection that breaks, this one shows in the syntax only. */
void fault_half_json(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    if (str_starts(msg->as.response.body, "{")) msg->as.response.body.n /= 2;
}

/* --- members --- */

static void add_unknown(json_t *value)
{
    size_t i;
    const char *key;
    json_t *item;
    if (json_is_array(value)) json_array_foreach(value, i, item) add_unknown(item);
    if (!json_is_object(value)) return;
    json_object_foreach(value, key, item) add_unknown(item);
    json_object_set_new(value, "x-unknown", json_pack("{s:[i,n,b],s:s}", "list", 1, 1, "status", "invalid"));
}

/* Into every object, the nested ones too. */
void fault_unknown_members(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    json_t *object = object_of(msg);
    if (!object) return;
    add_unknown(object);
    put_back(msg, object, JSON_COMPACT);
}

/* What an object may have and has not is there, as null. */
void fault_null_members(struct msg *msg, struct fault_memory *memory)
{
    static const char *const optional[] = {"certificate", "error",     "expires",  "externalAccountRequired",
                                           "notAfter",    "notBefore", "wildcard", "validated"};
    (void)memory;
    json_t *object = object_of(msg);
    if (!object) return;
    for (size_t i = 0; i < COUNTOF(optional); i++)
        if (!json_object_get(object, optional[i])) json_object_set_new(object, optional[i], json_null());
    put_back(msg, object, JSON_COMPACT);
}

/* Texts become numbers, lists become texts, objects become lists. */
void fault_mistyped_json(struct msg *msg, struct fault_memory *memory)
{
    const char *key;
    void *next;
    json_t *value;
    (void)memory;
    json_t *object = object_of(msg);
    if (!object) return;
    json_object_foreach_safe(object, next, key, value)
    {
        json_t *wrong = json_is_string(value)  ? json_integer((json_int_t)json_string_length(value))
                        : json_is_array(value) ? json_string("a list was here")
                                               : json_array();
        json_object_set_new(object, key, wrong);
    }
    put_back(msg, object, JSON_COMPACT);
}

void fault_deep_json(struct msg *msg, struct fault_memory *memory)
{
    enum { DEPTH = 500 };
    (void)memory;
    struct str body = msg->as.response.body;
    struct buf out = {.arena = &msg->arena};
    if (!str_starts(body, "{\"")) return;
    buf_add_c(&out, "{\"x-deep\":");
    for (int i = 0; i < DEPTH; i++)
        buf_add_char(&out, '[');
    for (int i = 0; i < DEPTH; i++)
        buf_add_char(&out, ']');
    buf_fmt(&out, ",%.*s", (int)(body.n - 1), body.at + 1);
    msg->as.response.body = buf_str(&out);
}
