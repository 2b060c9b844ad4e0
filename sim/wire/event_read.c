/* Reading a history file back. Its lines may come from anybody. */
#include "wire/event.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_RECORDS = 1000000, MAX_LINE = 16 << 20, MAX_LIST = 256 };

static struct str json_text(const json_t *value)
{
    return (struct str){json_string_value(value), json_string_length(value)};
}

static bool read_uint(const json_t *value, int64_t *ret)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
    *ret = json_integer_value(value);
    return true;
}

static bool read_kind(const json_t *value, enum event_kind *ret)
{
    if (!json_is_string(value)) return false;
    for (int kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        if (!str_is(json_text(value), event_kind_text((enum event_kind)kind))) continue;
        *ret = (enum event_kind)kind;
        return true;
    }
    return false;
}

static bool read_headers(struct history *history, const json_t *value)
{
    struct headers headers;
    headers.n = 0;
    if (!json_is_array(value) || json_array_size(value) > HTTP_MAX_HEADERS) return false;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *pair = json_array_get(value, i);
        size_t n = json_array_size(pair); /* 0 for what is not an array */
        if (n != 2 && n != 3) return false;
        if (!json_is_string(json_array_get(pair, 0)) || !json_is_string(json_array_get(pair, 1))) return false;
        struct str text = json_text(json_array_get(pair, 1));
        if (n == 3) {
            const json_t *mark = json_array_get(pair, 2);
            if (!json_is_string(mark) || !str_is(json_text(mark), "base64")) return false;
            if (base64url_decode(&history->scratch, text, &text) != OK) return false;
        }
        headers_add(&headers, json_text(json_array_get(pair, 0)), text);
    }
    event_add_headers(history, &headers);
    return true;
}

static bool read_list(struct history *history, enum field_key key, const json_t *value)
{
    struct str list[MAX_LIST];
    if (!json_is_array(value) || json_array_size(value) > MAX_LIST) return false;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        if (json_is_object(item)) {
            const json_t *coded = json_object_get(item, "base64");
            if (json_object_size(item) != 1 || !json_is_string(coded)) return false;
            if (base64url_decode(&history->scratch, json_text(coded), &list[i]) != OK) return false;
        } else if (json_is_string(item)) {
            list[i] = json_text(item);
        } else {
            return false;
        }
    }
    event_add_list(history, key, list, json_array_size(value));
    return true;
}

static bool find_key(struct str name, enum field_key *ret_key, bool *ret_base64)
{
    struct str plain = name;
    *ret_base64 = str_ends(name, "_base64");
    if (*ret_base64) plain.n -= strlen("_base64");
    for (int key = 0; key < FIELD_KEY_COUNT; key++) {
        if (!str_is(plain, field_key_text((enum field_key)key))) continue;
        *ret_key = (enum field_key)key;
        return !*ret_base64 || field_key_type(*ret_key) == FIELD_TEXT;
    }
    return false;
}

static bool read_field(struct history *history, struct str name, const json_t *value)
{
    enum field_key key;
    bool base64;
    if (!find_key(name, &key, &base64)) return false;
    if (event_field(&history->open, key)) return false; /* "body" beside "body_base64" */
    struct str text;
    switch (field_key_type(key)) {
    case FIELD_TEXT:
        if (!json_is_string(value)) return false;
        text = json_text(value);
        if (base64 && base64url_decode(&history->scratch, text, &text) != OK) return false;
        event_add_text(history, key, text);
        return true;
    case FIELD_INT:
        if (!json_is_integer(value)) return false;
        event_add_int(history, key, json_integer_value(value));
        return true;
    case FIELD_BOOL:
        if (!json_is_boolean(value)) return false;
        event_add_int(history, key, json_is_true(value));
        return true;
    case FIELD_HEADERS: return read_headers(history, value);
    case FIELD_LIST: return read_list(history, key, value);
    }
    return false;
}

static bool read_record(struct history *history, json_t *record)
{
    int64_t seq, t_ms, flow = 0;
    enum event_kind kind;
    if (!json_is_object(record) || !read_uint(json_object_get(record, "seq"), &seq) ||
        !read_uint(json_object_get(record, "t"), &t_ms) || t_ms > HISTORY_MAX_MS ||
        !read_kind(json_object_get(record, "kind"), &kind))
        return false;
    json_t *flow_value = json_object_get(record, "flow");
    if (flow_value && (!read_uint(flow_value, &flow) || flow == 0)) return false;
    if ((uint64_t)seq <= history->last_seq || t_ms < history->last_t_ms) return false;

    history->last_seq = (uint64_t)seq - 1;
    history_note(history, kind, t_ms, (uint64_t)flow); /* start_ms is still 0: t as it is */
    const char *name;
    json_t *value;
    json_object_foreach(record, name, value)
    {
        struct str key = str_c(name);
        if (str_is(key, "seq") || str_is(key, "t") || str_is(key, "kind") || str_is(key, "flow")) continue;
        if (!read_field(history, key, value)) return false;
    }
    return history_commit(history) == OK;
}

static bool read_line_text(struct history *history, struct str line)
{
    json_t *record = json_loadb(line.at, line.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    bool ok = record && read_record(history, record);
    json_decref(record);
    arena_clear(&history->scratch);
    return ok;
}

/* false: end of file with nothing read, or (*ret_long) more than MAX_LINE bytes. */
static bool next_line(FILE *file, char **line, size_t *room, struct str *ret, bool *ret_ended, bool *ret_long)
{
    size_t n = 0;
    int c;
    *ret_ended = false;
    while ((c = getc_unlocked(file)) != EOF) {
        if (c == '\n') {
            *ret_ended = true;
            break;
        }
        if (n == MAX_LINE) {
            *ret_long = true;
            return false;
        }
        if (n == *room) {
            *room = *room ? *room * 2 : 4096;
            char *grown = realloc(*line, *room);
            if (!grown) {
                fputs("acmedrill: out of memory\n", stderr);
                abort();
            }
            *line = grown;
        }
        (*line)[n++] = (char)c;
    }
    *ret = (struct str){n ? *line : "", n};
    return n > 0 || *ret_ended;
}

enum err history_read(FILE *file, struct history *ret, size_t *ret_line, bool *ret_cut)
{
    struct history history = {0};
    enum err err = OK;
    char *line = NULL;
    size_t room = 0;
    struct str text;
    bool ended, too_long = false;
    *ret_cut = false;
    *ret_line = 0;
    while (err == OK && next_line(file, &line, &room, &text, &ended, &too_long)) {
        ++*ret_line;
        if (history.n == MAX_RECORDS) {
            err = ERR_LIMIT;
        } else if (!read_line_text(&history, text)) {
            if (ended) err = ERR_MALFORMED;
            else *ret_cut = true;
        }
    }
    if (err == OK && too_long) {
        ++*ret_line;
        err = ERR_LIMIT;
    } else if (err == OK && ferror(file)) {
        err = ERR_IO;
    }
    free(line);
    if (err != OK) {
        history_done(&history);
        return err;
    }
    if (history.n && history.at[0].kind == RUN_START) history.start_ms = event_int(&history.at[0], F_EPOCH_MS);
    *ret = history;
    return OK;
}
