/* HTTP as values: what a message says, not how it is sent. */
#ifndef WIRE_HTTP_H
#define WIRE_HTTP_H

#include "base/str.h"

enum { HTTP_MAX_HEADERS = 64, HTTP_MAX_BODY = 1 << 20 };

struct header {
    struct str name, value;
};
/* Only at[0 .. n-1] may be read: a copy kept by headers_copy has room for no more. So pass it by pointer, never by
 * value. */
struct headers {
    size_t n;
    struct header at[HTTP_MAX_HEADERS];
};

/* How a response reaches the one who asked. The sender sets it; a real edge acts it out on the socket, and reports what
 * it met when it is the one who asked (status 0 where no status line came). */
enum delivery_how {
    DELIVER_WHOLE,
    DELIVER_REFUSED,   /* nobody listens */
    DELIVER_RESET,     /* accepted, request read, then RST */
    DELIVER_CLOSED,    /* accepted, then end of file before any byte */
    DELIVER_HANG,      /* accepted, never answered: the asker's own time limit ends it */
    DELIVER_TRUNCATED, /* Content-Length tells the whole, the connection ends after at_byte bytes of body */
    DELIVER_SLOW,      /* headers at once, the body spread over over_ms */
    DELIVER_GARBAGE,   /* bytes that are not HTTP */
    DELIVER_COUNT
};
struct delivery {
    enum delivery_how how;
    size_t at_byte;
    int64_t over_ms;
    int64_t delay_ms; /* before the first byte, any `how` */
    int64_t
        speed; /* played in less time: both were divided by this, and so is the asker's patience; 0 = they are true */
    bool last; /* whole, and then the sender ends its side of the connection, which nothing announced */
};
const char *delivery_text(enum delivery_how how); /* "whole" "refused" "reset" "closed" "hang" ... */
bool delivery_read(struct str text, enum delivery_how *ret);
/* Whether the asker gets a status line at all: whole, truncated, slow. */
bool delivery_has_status(enum delivery_how how);

struct http_request {
    struct str method, url;  /* absolute: "https://ca.test/dir" */
    struct headers *headers; /* may be NULL: none */
    struct str body;
    /* For an edge that carries it out: */
    struct str connect; /* "192.0.2.1:80": go there whatever the URL says; empty: the edge knows where */
    int64_t limit_ms;   /* 0 = the edge's own */
};
struct http_response {
    int status;
    struct headers *headers;
    struct str body;
    struct delivery delivery;
};

/* First value of that name (case-insensitive), .at NULL when absent. */
struct str headers_get(const struct headers *headers, const char *name);
size_t headers_count(const struct headers *headers, const char *name);
/* The target of the i-th link of that relation (RFC 8288), as it is written; empty: there is none. */
struct str headers_link(const struct headers *headers, const char *rel, size_t i);
/* Appends; over HTTP_MAX_HEADERS the header is dropped. Texts are borrowed. */
void headers_add(struct headers *headers, struct str name, struct str value);
/* Replaces every value of that name by one; a value with .at NULL removes them all. */
void headers_set(struct headers *headers, const char *name, struct str value);
/* A copy to keep, texts and all, with room for its n entries only: not to be added to. */
const struct headers *headers_copy(struct arena *arena, const struct headers *headers);

struct url {
    struct str scheme, host, path; /* path with query, at least "/" ; host without port, IPv6 without brackets */
    int port;                      /* the scheme's default when absent */
    bool port_given;
};
/* http and https only, no user info, printable ASCII only. Slices of `text` (and a static "/"). */
enum err url_parse(struct str text, struct url *ret);
/* A host as a URL and a Host header write it: an IPv6 address stands in brackets. May borrow from `host`. */
struct str url_host(struct arena *arena, struct str host);

/* Retry-After (RFC 9110 section 10.2.3): seconds or HTTP-date, against `now`; *ret_at_ms is absolute UTC.
 * ERR_NOT_FOUND: absent; ERR_MALFORMED: neither form (or two different headers). *ret_is_date may be NULL. */
enum err retry_after_read(const struct headers *headers, int64_t now_ms, int64_t *ret_at_ms, bool *ret_is_date);

#endif
