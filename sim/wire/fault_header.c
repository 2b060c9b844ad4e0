/* Faults in the headers of a response. */
#include "wire/fault_inside.h"

#include <ctype.h>

struct headers *fault_headers(struct msg *msg)
{
    struct http_response *response = &msg->as.response;
    if (!response->headers) response->headers = ARENA_NEW(&msg->arena, struct headers);
    return response->headers;
}

static void take_away(struct msg *msg, const char *name)
{
    headers_set(fault_headers(msg), name, (struct str){0});
}

/* A second header beside the one that is there. */
static void put_beside(struct msg *msg, const char *name, struct str value)
{
    struct headers *headers = fault_headers(msg);
    if (headers_get(headers, name).at) headers_add(headers, str_c(name), value);
}

/* Another value for the header that is there. */
static void put_instead(struct msg *msg, const char *name, struct str value)
{
    struct headers *headers = fault_headers(msg);
    if (headers_get(headers, name).at) headers_set(headers, name, value);
}

/* --- Replay-Nonce (RFC 8555 section 6.5) --- */

void fault_no_nonce(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    take_away(msg, "Replay-Nonce");
}

void fault_stale_nonce(struct msg *msg, struct fault_memory *memory)
{
    if (!memory->old_nonce.at) return;
    headers_set(fault_headers(msg), "Replay-Nonce", str_copy(&msg->arena, memory->old_nonce));
}

void fault_duplicate_nonce(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    put_beside(msg, "Replay-Nonce", STR("bm90LWEtbm9uY2Utb2Ytb3Vycw"));
}

/* Section 6.5.1: a nonce is base64url, and the client ignores what is not. */
void fault_malformed_nonce(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    struct str nonce = headers_get(msg->as.response.headers, "Replay-Nonce");
    put_instead(msg, "Replay-Nonce", str_fmt(&msg->arena, "%.*s+/==", STR_ARGS(nonce)));
}

/* --- Location --- */

void fault_no_location(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    take_away(msg, "Location");
}

static struct str elsewhere(struct msg *msg)
{
    return str_fmt(&msg->arena, "%.*s/elsewhere", STR_ARGS(headers_get(msg->as.response.headers, "Location")));
}

void fault_duplicate_location(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    put_beside(msg, "Location", elsewhere(msg));
}

void fault_other_location(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    put_instead(msg, "Location", elsewhere(msg));
}

void fault_malformed_location(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    put_instead(msg, "Location", STR("https://[not a URL"));
}

/* RFC 9110 section 10.2.2: Location is a reference, relative to the request's URL. */
void fault_relative_location(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    struct url url;
    if (url_parse(headers_get(msg->as.response.headers, "Location"), &url) == OK)
        put_instead(msg, "Location", str_copy(&msg->arena, url.path));
}

/* --- Link --- */

void fault_no_link(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    take_away(msg, "Link");
}

void fault_malformed_link(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    put_instead(msg, "Link", STR("https://no-brackets.example.test;rel=\"index, <;;; rel"));
}

/* --- Content-Type --- */

void fault_no_content_type(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    take_away(msg, "Content-Type");
}

void fault_wrong_content_type(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    put_instead(msg, "Content-Type", STR("text/plain"));
}

void fault_charset_content_type(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    struct str type = headers_get(msg->as.response.headers, "Content-Type");
    put_instead(msg, "Content-Type", str_fmt(&msg->arena, "%.*s; charset=utf-8", STR_ARGS(type)));
}

void fault_duplicate_content_type(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    put_beside(msg, "Content-Type", STR("text/html"));
}

/* --- Retry-After --- */

void fault_retry_after_twice(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    headers_add(fault_headers(msg), STR("Retry-After"), STR("4"));
    headers_add(fault_headers(msg), STR("Retry-After"), STR("7"));
}

/* --- the case of their names (RFC 9110 section 5.1: it means nothing) --- */

static void change_case(struct msg *msg, int (*change)(int))
{
    struct headers *headers = fault_headers(msg);
    for (size_t i = 0; i < headers->n; i++) {
        struct str *name = &headers->at[i].name;
        char *copy = arena_copy(&msg->arena, name->at, name->n);
        for (size_t k = 0; k < name->n; k++)
            copy[k] = (char)change((unsigned char)copy[k]);
        name->at = copy;
    }
}

void fault_lower_case_headers(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    change_case(msg, tolower);
}

void fault_upper_case_headers(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    change_case(msg, toupper);
}
