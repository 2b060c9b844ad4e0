#include "world/edge_outside.h"

#include <stdio.h>
#include <stdlib.h>

enum { HTTP, DNS, TLS, N_EDGES };

struct outside_edge {
    struct edge edge;
    struct edge *to[N_EDGES];
};

static void outside_send(struct edge *edge, struct hall *hall, struct msg *msg)
{
    struct outside_edge *self = (struct outside_edge *)edge;
    struct edge *to = msg->kind == MSG_REQUEST     ? self->to[HTTP]
                      : msg->kind == MSG_DNS_QUERY ? self->to[DNS]
                      : msg->kind == MSG_TLS_HELLO ? self->to[TLS]
                                                   : NULL;
    if (to) to->send(to, hall, msg);
    else msg_free(msg);
}

static void outside_prepare(struct edge *edge, struct edge_wait *wait)
{
    struct outside_edge *self = (struct outside_edge *)edge;
    for (size_t i = 0; i < N_EDGES; i++)
        if (self->to[i]) self->to[i]->prepare(self->to[i], wait);
}

static void outside_ready(struct edge *edge, struct hall *hall, const struct edge_wait *wait)
{
    struct outside_edge *self = (struct outside_edge *)edge;
    for (size_t i = 0; i < N_EDGES; i++)
        if (self->to[i]) self->to[i]->ready(self->to[i], hall, wait);
}

static void outside_free(struct edge *edge)
{
    struct outside_edge *self = (struct outside_edge *)edge;
    for (size_t i = 0; i < N_EDGES; i++)
        if (self->to[i]) self->to[i]->free(self->to[i]);
    free(self);
}

struct edge *edge_outside_new(struct edge *http, struct edge *dns, struct edge *tls)
{
    struct outside_edge *self = calloc(1, sizeof *self);
    if (!self) {
        fputs("acmedrill: out of memory\n", stderr);
        abort();
    }
    *self = (struct outside_edge){
        {outside_send, outside_prepare, outside_ready, outside_free},
        {http,            dns,                        tls                      }
    };
    return &self->edge;
}
