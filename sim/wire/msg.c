#include "wire/msg.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct msg *msg_new(enum msg_kind kind)
{
    struct arena arena = {0};
    struct msg *msg = ARENA_NEW(&arena, struct msg);
    msg->kind = kind;
    msg->arena = arena;
    return msg;
}

void msg_free(struct msg *msg)
{
    if (!msg) return;
    struct arena arena = msg->arena; /* the message lies in it */
    arena_done(&arena);
}

const char *msg_kind_text(enum msg_kind kind)
{
    static const char *const texts[MSG_KIND_COUNT] = {
        [MSG_REQUEST] = "request",     [MSG_RESPONSE] = "response",
        [MSG_DNS_QUERY] = "dns query", [MSG_DNS_ANSWER] = "dns answer",
        [MSG_TLS_HELLO] = "tls hello", [MSG_TLS_ANSWER] = "tls answer",
        [MSG_PROBE] = "probe",         [MSG_VERDICT] = "verdict",
        [MSG_PROVISION] = "provision", [MSG_EXIT] = "exit",
    };
    return (unsigned)kind < MSG_KIND_COUNT ? texts[kind] : "unknown";
}

void outbox_forward(struct outbox *box, struct msg *msg, struct addr to, uint64_t flow)
{
    if (box->n == box->room) {
        size_t room = box->room ? box->room * 2 : 8;
        struct msg **at = realloc(box->at, room * sizeof(struct msg *));
        if (!at) {
            fputs("acmedrill: out of memory\n", stderr);
            abort();
        }
        box->at = at;
        box->room = room;
    }
    assert(box->next_flow);
    msg->to = to;
    msg->flow = flow ? flow : ++*box->next_flow;
    box->at[box->n++] = msg;
}

struct msg *outbox_post(struct outbox *box, enum msg_kind kind, struct addr to, uint64_t flow)
{
    struct msg *msg = msg_new(kind);
    outbox_forward(box, msg, to, flow);
    return msg;
}

void msg_header(struct msg *msg, const char *name, struct str value)
{
    assert(msg->kind == MSG_REQUEST || msg->kind == MSG_RESPONSE);
    struct headers **headers = msg->kind == MSG_REQUEST ? &msg->as.request.headers : &msg->as.response.headers;
    if (!*headers) *headers = ARENA_NEW(&msg->arena, struct headers);
    headers_add(*headers, str_copy(&msg->arena, str_c(name)), str_copy(&msg->arena, value));
}

struct delivery *msg_delivery(struct msg *msg)
{
    switch (msg->kind) {
    case MSG_RESPONSE: return &msg->as.response.delivery;
    case MSG_DNS_ANSWER: return &msg->as.dns_answer.delivery;
    case MSG_TLS_ANSWER: return &msg->as.tls_answer.delivery;
    default: return NULL;
    }
}
