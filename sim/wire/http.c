#include "wire/http.h"

#include "base/when.h"

#include <stddef.h>
#include <string.h>

static const char *const delivery_texts[DELIVER_COUNT] = {
    [DELIVER_WHOLE] = "whole",   [DELIVER_REFUSED] = "refused", [DELIVER_RESET] = "reset",
    [DELIVER_CLOSED] = "closed", [DELIVER_HANG] = "hang",       [DELIVER_TRUNCATED] = "truncated",
    [DELIVER_SLOW] = "slow",     [DELIVER_GARBAGE] = "garbage",
};

const char *delivery_text(enum delivery_how how)
{
    return (unsigned)how < DELIVER_COUNT ? delivery_texts[how] : "unknown";
}

bool delivery_read(struct str text, enum delivery_how *ret)
{
    for (int how = 0; how < DELIVER_COUNT; how++) {
        if (!str_is(text, delivery_texts[how])) continue;
        *ret = (enum delivery_how)how;
        return true;
    }
    return false;
}

bool delivery_has_status(enum delivery_how how)
{
    return how == DELIVER_WHOLE || how == DELIVER_TRUNCATED || how == DELIVER_SLOW;
}

struct str headers_get(const struct headers *headers, const char *name)
{
    for (size_t i = 0; headers && i < headers->n; i++)
        if (str_is_nocase(headers->at[i].name, name)) return headers->at[i].value;
    return (struct str){0};
}

size_t headers_count(const struct headers *headers, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; headers && i < headers->n; i++)
        n += str_is_nocase(headers->at[i].name, name);
    return n;
}

/* Takes the next link off a Link header: `<target>;param;param, <target>...`. */
static bool link_take(struct str *value, struct str *ret_target, struct str *ret_params)
{
    struct str before, rest;
    if (!str_cut(*value, '<', &before, &rest) || !str_cut(rest, '>', ret_target, value)) return false;
    bool quoted = false;
    size_t n = 0;
    for (; n < value->n && (quoted || value->at[n] != ','); n++)
        if (value->at[n] == '"') quoted = !quoted;
    *ret_params = (struct str){value->at, n};
    *value = (struct str){value->at + n, value->n - n};
    return true;
}

static bool link_is(struct str params, const char *rel)
{
    struct str param, key, value;
    while (params.n) {
        str_cut(params, ';', &param, &params);
        if (!str_cut(param, '=', &key, &value) || !str_is_nocase(str_trim(key), "rel")) continue;
        value = str_trim(value);
        if (value.n >= 2 && value.at[0] == '"') value = (struct str){value.at + 1, value.n - 2};
        return str_is_nocase(value, rel);
    }
    return false;
}

struct str headers_link(const struct headers *headers, const char *rel, size_t i)
{
    struct str target, params;
    for (size_t h = 0; headers && h < headers->n; h++) {
        struct str value = headers->at[h].value;
        if (!str_is_nocase(headers->at[h].name, "Link")) continue;
        while (link_take(&value, &target, &params))
            if (link_is(params, rel) && i-- == 0) return target;
    }
    return (struct str){0};
}

void headers_add(struct headers *headers, struct str name, struct str value)
{
    if (headers->n == HTTP_MAX_HEADERS) return;
    if (!value.at) value = STR("");
    headers->at[headers->n++] = (struct header){name, value};
}

void headers_set(struct headers *headers, const char *name, struct str value)
{
    size_t kept = 0;
    bool placed = false;
    for (size_t i = 0; i < headers->n; i++) {
        struct header header = headers->at[i];
        if (str_is_nocase(header.name, name)) {
            if (placed || !value.at) continue;
            header.value = value;
            placed = true;
        }
        headers->at[kept++] = header;
    }
    headers->n = kept;
    if (!placed && value.at) headers_add(headers, str_c(name), value);
}

static struct str put(char **at, struct str s)
{
    struct str copy = {*at, s.n};
    if (s.n) memcpy(*at, s.at, s.n);
    (*at)[s.n] = 0;
    *at += s.n + 1;
    return copy;
}

const struct headers *headers_copy(struct arena *arena, const struct headers *headers)
{
    if (!headers) return NULL;
    size_t texts = 0;
    for (size_t i = 0; i < headers->n; i++)
        texts += headers->at[i].name.n + headers->at[i].value.n + 2;
    size_t slots = offsetof(struct headers, at) + headers->n * sizeof headers->at[0];
    char *block = arena_alloc(arena, slots + texts);
    struct headers *copy = (void *)block;
    char *at = block + slots;
    copy->n = headers->n;
    for (size_t i = 0; i < headers->n; i++) {
        copy->at[i].name = put(&at, headers->at[i].name);
        copy->at[i].value = put(&at, headers->at[i].value);
    }
    return copy;
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_';
}

static bool is_ipv6_char(char c)
{
    return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') || c == ':' || c == '.';
}

static enum err url_port(struct str port, struct url *url)
{
    int64_t number;
    if (port.n == 0) return OK; /* "host:" is legal and means the default (RFC 3986 section 3.2.3) */
    if (!str_int(port, &number) || number < 1 || number > 65535) return ERR_MALFORMED;
    url->port = (int)number;
    url->port_given = true;
    return OK;
}

enum err url_parse(struct str text, struct url *ret)
{
    struct url url = {0};
    for (size_t i = 0; i < text.n; i++)
        if (text.at[i] <= 0x20 || text.at[i] >= 0x7f) return ERR_MALFORMED;
    ptrdiff_t colon = str_find(text, "://");
    if (colon < 0) return ERR_MALFORMED;
    struct str scheme = {text.at, (size_t)colon};
    if (str_is_nocase(scheme, "https")) {
        url.scheme = STR("https");
        url.port = 443;
    } else if (str_is_nocase(scheme, "http")) {
        url.scheme = STR("http");
        url.port = 80;
    } else {
        return ERR_MALFORMED;
    }
    struct str rest = {text.at + scheme.n + 3, text.n - scheme.n - 3};
    size_t end = 0;
    while (end < rest.n && rest.at[end] != '/' && rest.at[end] != '?' && rest.at[end] != '#')
        end++;
    struct str authority = {rest.at, end};
    url.path = (struct str){rest.at + end, rest.n - end};
    struct str fragment;
    if (url.path.n) str_cut(url.path, '#', &url.path, &fragment);
    if (url.path.n == 0) url.path = STR("/");
    if (url.path.at[0] != '/') return ERR_MALFORMED;

    if (authority.n && authority.at[0] == '[') {
        struct str after;
        if (!str_cut((struct str){authority.at + 1, authority.n - 1}, ']', &url.host, &after)) return ERR_MALFORMED;
        for (size_t i = 0; i < url.host.n; i++)
            if (!is_ipv6_char(url.host.at[i])) return ERR_MALFORMED;
        if (!url.host.n || (after.n && after.at[0] != ':')) return ERR_MALFORMED;
        if (after.n && url_port((struct str){after.at + 1, after.n - 1}, &url) != OK) return ERR_MALFORMED;
    } else {
        struct str port;
        if (str_cut(authority, ':', &url.host, &port) && url_port(port, &url) != OK) return ERR_MALFORMED;
        for (size_t i = 0; i < url.host.n; i++)
            if (!is_host_char(url.host.at[i])) return ERR_MALFORMED;
        if (!url.host.n) return ERR_MALFORMED;
    }
    *ret = url;
    return OK;
}

struct str url_host(struct arena *arena, struct str host)
{
    bool brackets = host.n && memchr(host.at, ':', host.n);
    return brackets ? str_fmt(arena, "[%.*s]", STR_ARGS(host)) : host;
}

enum err retry_after_read(const struct headers *headers, int64_t now_ms, int64_t *ret_at_ms, bool *ret_is_date)
{
    const int64_t century_s = INT64_C(36525) * 86400;
    struct str value = {0};
    bool found = false;
    for (size_t i = 0; headers && i < headers->n; i++) {
        if (!str_is_nocase(headers->at[i].name, "Retry-After")) continue;
        struct str this = str_trim(headers->at[i].value);
        if (found && !str_eq(this, value)) return ERR_MALFORMED;
        value = this;
        found = true;
    }
    if (!found) return ERR_NOT_FOUND;
    int64_t seconds, at_ms;
    bool is_date = false;
    bool digits = value.n > 0;
    for (size_t i = 0; i < value.n; i++)
        digits = digits && value.at[i] >= '0' && value.at[i] <= '9';
    if (digits) {
        if (!str_int(value, &seconds) || seconds > century_s) seconds = century_s;
        at_ms = now_ms + seconds * 1000;
    } else if (when_http_date_parse(value, &at_ms) == OK) {
        is_date = true;
    } else {
        return ERR_MALFORMED;
    }
    *ret_at_ms = at_ms;
    if (ret_is_date) *ret_is_date = is_date;
    return OK;
}
