#include "world/edge_resolve.h"

#include "base/rng.h"
#include "wire/dns_ask.h"
#include "world/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_OPEN = 128, /* sockets at a time: select() is what waits for them; more queries wait for one to be free */
    TRIES = 2,
    TRY_MS = 2000,
    MAX_DATAGRAM = 4096,
    EDNS_BYTES = 1232, /* what passes everywhere in one piece */
    DATAGRAMS_PER_TURN = 32
};

/* One query under way. */
struct ask {
    struct ask *next;
    struct msg *query; /* owned */
    uint16_t id;
    int fd; /* -1: none yet */
    bool tcp, refused;
    int tries;
    int64_t due_ms; /* of the next try, or of the end */
    /* TCP: a packet follows its length (RFC 1035 section 4.2.2). */
    struct str out;
    size_t sent, got;
    unsigned char *in; /* 2 + 65535 bytes */
};

struct resolve_edge {
    struct edge edge;
    struct place server;
    int64_t try_ms;
    struct rng rng;
    struct ask *asks; /* oldest first */
    size_t n_open;
};

static void no_memory(void)
{
    fputs("acmedrill: out of memory\n", stderr);
    abort();
}

static void hang_up(struct resolve_edge *self, struct ask *ask)
{
    if (ask->fd < 0) return;
    close(ask->fd);
    ask->fd = -1;
    self->n_open--;
}

static void ask_free(struct resolve_edge *self, struct ask *ask)
{
    struct ask **link = &self->asks;
    while (*link != ask)
        link = &(*link)->next;
    *link = ask->next;
    hang_up(self, ask);
    msg_free(ask->query);
    free(ask->in);
    free(ask);
}

/* --- the end of a query --- */

static void finish(struct resolve_edge *self, struct hall *hall, struct ask *ask, struct msg *answer)
{
    answer->from = ask->query->to;
    answer->to = ask->query->from;
    answer->flow = ask->query->flow;
    ask_free(self, ask);
    hall_arrive(hall, answer);
}

static void finish_without(struct resolve_edge *self, struct hall *hall, struct ask *ask)
{
    struct msg *answer = msg_new(MSG_DNS_ANSWER);
    answer->as.dns_answer = (struct dns_answer){
        .name = str_copy(&answer->arena, ask->query->as.dns_query.name),
        .type = ask->query->as.dns_query.type,
        .delivery = {.how = ask->refused ? DELIVER_REFUSED : DELIVER_HANG},
    };
    finish(self, hall, ask, answer);
}

/* --- tries --- */

static bool open_socket(struct resolve_edge *self, struct ask *ask, int type)
{
    ask->fd = place_connect(&self->server, type);
    if (ask->fd < 0) return false;
    self->n_open++;
    return true;
}

/* Another try by datagram: another port, another id. */
static void try_udp(struct resolve_edge *self, struct hall *hall, struct ask *ask)
{
    struct arena arena = {0};
    struct str packet;
    hang_up(self, ask);
    ask->tries++;
    ask->id = (uint16_t)rng_below(&self->rng, 65536);
    ask->due_ms = hall_now_ms(hall) + self->try_ms;
    if (dns_write_query(&arena, &ask->query->as.dns_query, ask->id, &packet) != OK) {
        ask->tries = TRIES; /* a name that DNS cannot carry is found nowhere */
        ask->due_ms = hall_now_ms(hall);
    } else if (open_socket(self, ask, SOCK_DGRAM)) {
        (void)!send(ask->fd, packet.at, packet.n, MSG_NOSIGNAL);
    }
    arena_done(&arena);
}

static void try_tcp(struct resolve_edge *self, struct hall *hall, struct ask *ask)
{
    struct arena *arena = &ask->query->arena;
    struct str packet;
    hang_up(self, ask);
    ask->tcp = true;
    ask->tries = TRIES;
    ask->due_ms = hall_now_ms(hall) + self->try_ms;
    if (!ask->in && !(ask->in = malloc(2 + 65535))) no_memory();
    if (dns_write_query(arena, &ask->query->as.dns_query, ask->id, &packet) != OK) return;
    char *at = arena_alloc(arena, packet.n + 2);
    at[0] = (char)(packet.n >> 8);
    at[1] = (char)(packet.n & 0xff);
    memcpy(at + 2, packet.at, packet.n);
    ask->out = (struct str){at, packet.n + 2};
    if (!open_socket(self, ask, SOCK_STREAM)) ask->due_ms = hall_now_ms(hall);
}

/* --- what arrives --- */

/* true: the ask is gone. */
static bool take_packet(struct resolve_edge *self, struct hall *hall, struct ask *ask, struct str packet)
{
    struct msg *answer = msg_new(MSG_DNS_ANSWER);
    bool truncated = false;
    if (dns_read_answer(&answer->arena, packet, &ask->query->as.dns_query, ask->id, &answer->as.dns_answer,
                        &truncated) != OK) {
        msg_free(answer);
        return false;
    }
    if (truncated && !ask->tcp) {
        msg_free(answer);
        try_tcp(self, hall, ask);
        return true;
    }
    answer->as.dns_answer.name = str_copy(&answer->arena, answer->as.dns_answer.name);
    finish(self, hall, ask, answer);
    return true;
}

static void read_datagrams(struct resolve_edge *self, struct hall *hall, struct ask *ask)
{
    char packet[MAX_DATAGRAM];
    for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
        ssize_t n = recv(ask->fd, packet, sizeof packet, MSG_TRUNC);
        if (n < 0) {
            if (errno != ECONNREFUSED) return;
            ask->refused = true; /* the port is closed: the next try need not wait */
            ask->due_ms = hall_now_ms(hall);
            return;
        }
        ask->refused = false;
        if ((size_t)n <= sizeof packet && take_packet(self, hall, ask, (struct str){packet, (size_t)n})) return;
    }
}

/* The connection is of no use any more. */
static void break_off(struct hall *hall, struct ask *ask)
{
    ask->due_ms = hall_now_ms(hall);
}

static void read_stream(struct resolve_edge *self, struct hall *hall, struct ask *ask)
{
    for (;;) {
        size_t want = ask->got < 2 ? 2 : 2 + ((size_t)ask->in[0] << 8 | ask->in[1]);
        if (ask->got >= 2 && ask->got == want) {
            struct str packet = {(const char *)ask->in + 2, want - 2};
            if (!take_packet(self, hall, ask, packet)) break_off(hall, ask);
            return;
        }
        ssize_t n = recv(ask->fd, ask->in + ask->got, want - ask->got, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n <= 0) {
            break_off(hall, ask);
            return;
        }
        ask->got += (size_t)n;
    }
}

static void write_stream(struct hall *hall, struct ask *ask)
{
    ssize_t n = send(ask->fd, ask->out.at + ask->sent, ask->out.n - ask->sent, MSG_NOSIGNAL);
    if (n > 0) ask->sent += (size_t)n;
    else if (n < 0 && errno != EAGAIN && errno != EINTR) break_off(hall, ask);
}

/* --- the edge --- */

static void resolve_send(struct edge *edge, struct hall *hall, struct msg *msg)
{
    struct resolve_edge *self = (struct resolve_edge *)edge;
    if (msg->kind != MSG_DNS_QUERY) {
        msg_free(msg);
        return;
    }
    struct ask *ask = calloc(1, sizeof *ask), **last = &self->asks;
    if (!ask) no_memory();
    *ask = (struct ask){.query = msg, .fd = -1, .due_ms = hall_now_ms(hall) + TRIES * self->try_ms};
    msg->as.dns_query.max_bytes = EDNS_BYTES;
    while (*last)
        last = &(*last)->next;
    *last = ask;
    if (self->n_open < MAX_OPEN) try_udp(self, hall, ask);
}

static void resolve_prepare(struct edge *edge, struct edge_wait *wait)
{
    struct resolve_edge *self = (struct resolve_edge *)edge;
    for (struct ask *ask = self->asks; ask; ask = ask->next) {
        if (ask->due_ms < wait->due_ms) wait->due_ms = ask->due_ms;
        if (ask->fd < 0) continue;
        FD_SET(ask->fd, ask->tcp && ask->sent < ask->out.n ? &wait->write : &wait->read);
        if (ask->fd > wait->max_fd) wait->max_fd = ask->fd;
    }
}

static void resolve_ready(struct edge *edge, struct hall *hall, const struct edge_wait *wait)
{
    struct resolve_edge *self = (struct resolve_edge *)edge;
    for (struct ask *next, *ask = self->asks; ask; ask = next) {
        next = ask->next;
        if (ask->fd < 0 && ask->tries == 0) {
            if (self->n_open < MAX_OPEN) try_udp(self, hall, ask);
        } else if (ask->fd >= 0 && FD_ISSET(ask->fd, &wait->write)) {
            write_stream(hall, ask);
        } else if (ask->fd >= 0 && FD_ISSET(ask->fd, &wait->read)) {
            if (ask->tcp) read_stream(self, hall, ask);
            else read_datagrams(self, hall, ask);
        }
    }
    for (struct ask *next, *ask = self->asks; ask; ask = next) {
        next = ask->next;
        if (ask->due_ms > hall_now_ms(hall)) continue;
        if (ask->tries > 0 && ask->tries < TRIES) try_udp(self, hall, ask);
        else finish_without(self, hall, ask);
    }
}

static void resolve_free(struct edge *edge)
{
    struct resolve_edge *self = (struct resolve_edge *)edge;
    while (self->asks)
        ask_free(self, self->asks);
    free(self);
}

enum err edge_resolve_new(const struct edge_resolve_options *options, struct edge **ret)
{
    struct place server;
    struct rng rng;
    if (!place_read(str_c(options->server), &server)) return ERR_MALFORMED;
    struct resolve_edge *self = calloc(1, sizeof *self);
    if (!self) no_memory();
    self->edge = (struct edge){resolve_send, resolve_prepare, resolve_ready, resolve_free};
    self->server = server;
    self->try_ms = options->try_ms > 0 ? options->try_ms : TRY_MS;
    rng_seed(&rng, options->seed);
    rng_fork(&rng, "resolve", &self->rng);
    *ret = &self->edge;
    return OK;
}
