#include "wire/fault.h"

#include <assert.h>

#define BIT(kind) (1u << (kind))
#define THERE     (BIT(MSG_REQUEST) | BIT(MSG_DNS_QUERY) | BIT(MSG_TLS_HELLO))
#define BACK      (BIT(MSG_RESPONSE) | BIT(MSG_DNS_ANSWER) | BIT(MSG_TLS_ANSWER))
#define SOCKET    (BIT(MSG_RESPONSE) | BIT(MSG_TLS_ANSWER))
#define HTTP_BACK BIT(MSG_RESPONSE)

static void deliver(struct msg *msg, enum delivery_how how)
{
    msg_delivery(msg)->how = how;
}

static struct headers *own_headers(struct msg *msg)
{
    struct http_response *response = &msg->as.response;
    if (!response->headers) response->headers = ARENA_NEW(&msg->arena, struct headers);
    return response->headers;
}

static void drop(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    if (msg_delivery(msg)) deliver(msg, DELIVER_HANG);
    else msg->dropped = true;
}

static void reset(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    deliver(msg, DELIVER_RESET);
}

static void closed(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    deliver(msg, DELIVER_CLOSED);
}

static void garbage(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    deliver(msg, DELIVER_GARBAGE);
}

static void truncated(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    deliver(msg, DELIVER_TRUNCATED);
    msg->as.response.delivery.at_byte = msg->as.response.body.n / 2;
}

static void slow(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    deliver(msg, DELIVER_SLOW);
    msg->as.response.delivery.over_ms = 3000;
}

static void empty(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    msg->as.response.status = 200;
    msg->as.response.body = (struct str){0};
}

static void html(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    msg->as.response.body = STR("<!DOCTYPE html>\n<html><head><title>Service unavailable</title></head>\n"
                                "<body><h1>Service unavailable</h1><p>Please come back later.</p></body></html>\n");
    headers_set(own_headers(msg), "Content-Type", STR("text/html; charset=utf-8"));
}

static void no_nonce(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    headers_set(own_headers(msg), "Replay-Nonce", (struct str){0});
}

static void stale_nonce(struct msg *msg, struct fault_memory *memory)
{
    if (!memory->old_nonce.at) return;
    headers_set(own_headers(msg), "Replay-Nonce", str_copy(&msg->arena, memory->old_nonce));
}

static void no_location(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    headers_set(own_headers(msg), "Location", (struct str){0});
}

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

static void no_expires(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    struct str body = msg->as.response.body, member = find_member(body, "\"expires\":");
    if (!member.at) return;
    size_t before = (size_t)(member.at - body.at), after = body.n - before - member.n;
    msg->as.response.body = str_fmt(&msg->arena, "%.*s%.*s", (int)before, body.at, (int)after, member.at + member.n);
}

static void early_certificate(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    struct str body = msg->as.response.body, order = headers_get(msg->as.response.headers, "Location");
    if (!order.n || !str_starts(body, "{") || find_member(body, "\"certificate\":").at) return;
    msg->as.response.body = str_fmt(&msg->arena, "{\"certificate\":\"%.*s/certificate\",%.*s", STR_ARGS(order),
                                    (int)(body.n - 1), body.at + 1);
}

#define ROWS(X)                                                                                                        \
    X("drop", THERE | BACK, drop, "The message is lost: the asker hears nothing until its own time limit.")            \
    X("reset", SOCKET, reset, "The connection is reset once the request is read.")                                     \
    X("close", SOCKET, closed, "The connection is closed once the request is read, without any byte of an answer.")    \
    X("truncate", HTTP_BACK, truncated, "The body ends at half of its Content-Length, then the connection is closed.") \
    X("empty", HTTP_BACK, empty, "The answer is 200 with an empty body; its headers stay.")                            \
    X("garbage", HTTP_BACK, garbage, "Bytes that are not HTTP come in place of the answer.")                           \
    X("html", HTTP_BACK, html, "The body is an HTML error page, as a proxy in between would send.")                    \
    X("no-nonce", HTTP_BACK, no_nonce, "The Replay-Nonce header is missing.")                                          \
    X("stale-nonce", HTTP_BACK, stale_nonce, "The Replay-Nonce header repeats the first nonce that was ever sent.")    \
    X("no-location", HTTP_BACK, no_location, "The Location header is missing.")                                        \
    X("no-expires", HTTP_BACK, no_expires, "The object in the body lacks its expires member.")                         \
    X("early-certificate", HTTP_BACK, early_certificate,                                                               \
      "An order that has no certificate yet has a certificate member all the same.")                                   \
    X("slow", HTTP_BACK, slow, "The headers come at once, the body drips over three seconds.")

#define AS_FAULT(name, applies_to, apply, help) {name, applies_to, apply, help},
#define AS_NAME(name, applies_to, apply, help)  name,
static const struct fault faults[] = {ROWS(AS_FAULT)};
static const char *const names[] = {ROWS(AS_NAME)};

const struct fault *fault_table(size_t *ret_n)
{
    *ret_n = COUNTOF(faults);
    return faults;
}

const char *const *fault_names(size_t *ret_n)
{
    *ret_n = COUNTOF(names);
    return names;
}

const struct fault *fault_find(struct str name)
{
    for (size_t i = 0; i < COUNTOF(faults); i++)
        if (str_is(name, faults[i].name)) return &faults[i];
    return NULL;
}

void fault_remember(struct fault_memory *memory, const struct msg *msg)
{
    if (memory->old_nonce.at || msg->kind != MSG_RESPONSE) return;
    struct str nonce = headers_get(msg->as.response.headers, "Replay-Nonce");
    if (nonce.n) memory->old_nonce = str_copy(&memory->arena, nonce);
}
