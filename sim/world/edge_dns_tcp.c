#include "world/edge_dns_tcp.h"

#include "world/place.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_CONNECTIONS = 256, /* then the one goes that has said nothing for longest */
    MAX_ASKED = 32,        /* queries of one connection that wait; more are read later */
    MAX_OUT = 512 << 10,   /* answers that the peer does not fetch */
    HEADER_BYTES = 12,
    LENGTH_BYTES = 2,
    MAX_IN = LENGTH_BYTES + DNS_MAX_PACKET,
    IDLE_LIMIT_MS = 10 * 1000, /* between two queries: a whole one must come within it */
    ACCEPTS_PER_TURN = 64,
    ACCEPT_PAUSE_MS = 100, /* when the process has no descriptor left */
    FD_MARGIN = 32
};

struct asked {
    uint64_t flow;
    uint16_t id;
    char *packet;
    size_t n;
};

struct bytes {
    char *at;
    size_t n, room;
};

struct conn {
    int fd;
    bool ended; /* the peer sends no more */
    int64_t since_ms;
    struct bytes in, out;
    struct asked asked[MAX_ASKED];
    size_t n_asked;
};

struct dns_tcp_edge {
    struct edge edge;
    struct addr seat, to;
    int listener, port;
    int64_t pause_until_ms;
    struct conn *conns[MAX_CONNECTIONS];
    size_t n;
};

static void bytes_room(struct bytes *bytes, size_t more)
{
    if (bytes->room - bytes->n >= more) return;
    size_t room = bytes->room ? bytes->room : 512;
    while (room - bytes->n < more)
        room *= 2;
    char *grown = realloc(bytes->at, room);
    if (!grown) {
        fputs("acmedrill: out of memory\n", stderr);
        abort();
    }
    bytes->at = grown;
    bytes->room = room;
}

static void bytes_add(struct bytes *bytes, const void *at, size_t n)
{
    bytes_room(bytes, n);
    if (n) memcpy(bytes->at + bytes->n, at, n);
    bytes->n += n;
}

static void bytes_cut(struct bytes *bytes, size_t n)
{
    bytes->n -= n;
    if (bytes->n) memmove(bytes->at, bytes->at + n, bytes->n);
    if (bytes->n) return;
    free(bytes->at);
    *bytes = (struct bytes){0};
}

/* --- connections --- */

static void conn_free(struct conn *conn)
{
    if (conn->fd >= 0) close(conn->fd);
    for (size_t i = 0; i < conn->n_asked; i++)
        free(conn->asked[i].packet);
    free(conn->in.at);
    free(conn->out.at);
    free(conn);
}

/* The others are looked at in the same turn: it is buried later. */
static void conn_close(struct conn *conn)
{
    if (conn->fd >= 0) close(conn->fd);
    conn->fd = -1;
}

static void conn_reset(struct conn *conn)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    conn_close(conn);
}

static void bury(struct dns_tcp_edge *self)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->n; i++) {
        if (self->conns[i]->fd < 0) conn_free(self->conns[i]);
        else self->conns[kept++] = self->conns[i];
    }
    self->n = kept;
}

static void flush(struct conn *conn)
{
    if (conn->fd < 0 || !conn->out.n) return;
    ssize_t n = send(conn->fd, conn->out.at, conn->out.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) bytes_cut(&conn->out, (size_t)n);
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) conn_close(conn);
}

static void send_packet(struct conn *conn, struct str packet)
{
    const unsigned char length[LENGTH_BYTES] = {(unsigned char)(packet.n >> 8), (unsigned char)packet.n};
    if (conn->out.n + packet.n > MAX_OUT) {
        conn_reset(conn);
        return;
    }
    bytes_add(&conn->out, length, sizeof length);
    bytes_add(&conn->out, packet.at, packet.n);
    flush(conn);
}

static void take_query(struct dns_tcp_edge *self, struct hall *hall, struct conn *conn, struct str packet)
{
    struct msg *msg = msg_new(MSG_DNS_QUERY);
    struct asked asked = {0};
    enum err err = dns_read_query(&msg->arena, packet, &msg->as.dns_query, &asked.id);
    if (err != OK) {
        if (err == ERR_REFUSED) send_packet(conn, dns_write_rcode(&msg->arena, packet, DNS_NOTIMP));
        else conn_close(conn);
        msg_free(msg);
        return;
    }
    msg->from = self->seat;
    msg->to = self->to;
    msg->flow = asked.flow = hall_next_flow(hall);
    asked.packet = malloc(packet.n);
    if (asked.packet) {
        memcpy(asked.packet, packet.at, packet.n);
        asked.n = packet.n;
    }
    conn->asked[conn->n_asked++] = asked;
    hall_arrive(hall, msg);
}

static bool has_query(const struct conn *conn)
{
    const unsigned char *at = (const unsigned char *)conn->in.at;
    return conn->n_asked < MAX_ASKED && conn->in.n >= LENGTH_BYTES &&
           conn->in.n >= LENGTH_BYTES + ((size_t)at[0] << 8 | at[1]);
}

/* The queries that have come whole, as many as may wait. */
static void take_queries(struct dns_tcp_edge *self, struct hall *hall, struct conn *conn)
{
    size_t from = 0;
    while (conn->fd >= 0 && conn->n_asked < MAX_ASKED && conn->in.n - from >= LENGTH_BYTES) {
        const unsigned char *at = (const unsigned char *)conn->in.at + from;
        size_t n = (size_t)at[0] << 8 | at[1];
        if (n < HEADER_BYTES) {
            conn_close(conn);
            break;
        }
        if (conn->in.n - from < LENGTH_BYTES + n) break;
        conn->since_ms = hall_now_ms(hall);
        take_query(self, hall, conn, (struct str){(const char *)at + LENGTH_BYTES, n});
        from += LENGTH_BYTES + n;
    }
    if (from) bytes_cut(&conn->in, from);
}

static bool reads(const struct conn *conn)
{
    return !conn->ended && conn->n_asked < MAX_ASKED && conn->in.n < MAX_IN;
}

static void read_some(struct conn *conn)
{
    char piece[4096];
    ssize_t n = recv(conn->fd, piece, sizeof piece, MSG_DONTWAIT);
    if (n > 0) bytes_add(&conn->in, piece, (size_t)n);
    else if (n == 0) conn->ended = true;
    else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) conn_close(conn);
}

/* --- the edge --- */

static bool find_asked(const struct dns_tcp_edge *self, uint64_t flow, struct conn **ret_conn, size_t *ret_i)
{
    for (size_t k = 0; flow && k < self->n; k++)
        for (size_t i = 0; i < self->conns[k]->n_asked; i++)
            if (self->conns[k]->fd >= 0 && self->conns[k]->asked[i].flow == flow) {
                *ret_conn = self->conns[k];
                *ret_i = i;
                return true;
            }
    return false;
}

static void answer_one(struct conn *conn, size_t i, struct msg *msg)
{
    const struct dns_answer *answer = &msg->as.dns_answer;
    struct asked asked = conn->asked[i];
    struct str packet, query = {asked.packet, asked.n};
    conn->asked[i] = conn->asked[--conn->n_asked];
    if (dns_answer_leaves(answer)) {
        if (dns_write_answer(&msg->arena, answer, asked.id, DNS_MAX_PACKET, query, &packet) != OK)
            packet = query.n ? dns_write_rcode(&msg->arena, query, DNS_SERVFAIL) : query;
        if (packet.n) send_packet(conn, packet);
    } else if (answer->delivery.how == DELIVER_CLOSED) {
        conn_close(conn);
    } else if (answer->delivery.how != DELIVER_HANG) {
        conn_reset(conn);
    }
    free(asked.packet);
}

static void dns_tcp_send(struct edge *edge, struct hall *hall, struct msg *msg)
{
    struct dns_tcp_edge *self = (struct dns_tcp_edge *)edge;
    struct conn *conn;
    size_t i;
    if (msg->kind == MSG_DNS_ANSWER && find_asked(self, msg->flow, &conn, &i)) {
        conn->since_ms = hall_now_ms(hall);
        answer_one(conn, i, msg);
    }
    msg_free(msg);
}

/* ACTOR_IDLE: it waits for us. */
static int64_t ends_ms(const struct conn *conn)
{
    return conn->n_asked ? ACTOR_IDLE : conn->since_ms + IDLE_LIMIT_MS;
}

static void watch(struct edge_wait *wait, fd_set *set, int fd)
{
    FD_SET(fd, set);
    if (fd > wait->max_fd) wait->max_fd = fd;
}

static void dns_tcp_prepare(struct edge *edge, struct edge_wait *wait)
{
    struct dns_tcp_edge *self = (struct dns_tcp_edge *)edge;
    bury(self);
    if (!self->pause_until_ms) watch(wait, &wait->read, self->listener);
    else if (self->pause_until_ms < wait->due_ms) wait->due_ms = self->pause_until_ms;
    for (size_t i = 0; i < self->n; i++) {
        const struct conn *conn = self->conns[i];
        if (reads(conn)) watch(wait, &wait->read, conn->fd);
        if (conn->out.n) watch(wait, &wait->write, conn->fd);
        if (ends_ms(conn) < wait->due_ms) wait->due_ms = ends_ms(conn);
        if (has_query(conn)) wait->due_ms = 0; /* it had to wait until others were answered */
    }
}

/* Makes room for one more. */
static void evict(struct dns_tcp_edge *self)
{
    struct conn *oldest = self->conns[0];
    for (size_t i = 1; i < self->n; i++)
        if (self->conns[i]->since_ms < oldest->since_ms) oldest = self->conns[i];
    conn_reset(oldest);
    bury(self);
}

static void accept_all(struct dns_tcp_edge *self, int64_t now_ms)
{
    int one = 1;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(self->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                self->pause_until_ms = now_ms + ACCEPT_PAUSE_MS;
            if (errno == ECONNABORTED || errno == EINTR) continue;
            return;
        }
        struct conn *conn = fd < FD_SETSIZE - FD_MARGIN ? calloc(1, sizeof *conn) : NULL;
        if (!conn) {
            close(fd);
            continue;
        }
        if (self->n == MAX_CONNECTIONS) evict(self);
        *conn = (struct conn){.fd = fd, .since_ms = now_ms};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* answers come one by one */
        self->conns[self->n++] = conn;
    }
}

static void dns_tcp_ready(struct edge *edge, struct hall *hall, const struct edge_wait *wait)
{
    struct dns_tcp_edge *self = (struct dns_tcp_edge *)edge;
    int64_t now_ms = hall_now_ms(hall);
    if (now_ms >= self->pause_until_ms) self->pause_until_ms = 0;
    for (size_t i = 0; i < self->n; i++) {
        struct conn *conn = self->conns[i];
        if (conn->fd >= 0 && FD_ISSET(conn->fd, &wait->write)) flush(conn);
        if (conn->fd >= 0 && FD_ISSET(conn->fd, &wait->read)) read_some(conn);
        take_queries(self, hall, conn);
        if (conn->ended && !conn->n_asked && !conn->out.n) conn_close(conn);
        if (now_ms >= ends_ms(conn)) conn_close(conn);
    }
    if (FD_ISSET(self->listener, &wait->read)) accept_all(self, now_ms);
}

static void dns_tcp_free(struct edge *edge)
{
    struct dns_tcp_edge *self = (struct dns_tcp_edge *)edge;
    for (size_t i = 0; i < self->n; i++)
        conn_free(self->conns[i]);
    if (self->listener >= 0) close(self->listener);
    free(self);
}

enum err edge_dns_tcp_new(const struct edge_dns_options *options, struct edge **ret)
{
    struct place place;
    enum err err = place_at(options->address, options->port, &place);
    if (err != OK) return err;
    struct dns_tcp_edge *self = calloc(1, sizeof *self);
    if (!self) return ERR_IO;
    self->edge = (struct edge){dns_tcp_send, dns_tcp_prepare, dns_tcp_ready, dns_tcp_free};
    self->to = options->to;
    self->listener = -1;
    err = place_bind(&place, SOCK_STREAM, &self->listener);
    if (err != OK) {
        int kept = errno;
        dns_tcp_free(&self->edge);
        errno = kept;
        return err;
    }
    self->port = place_port(&place);
    *ret = &self->edge;
    return OK;
}

int edge_dns_tcp_port(const struct edge *edge)
{
    return ((const struct dns_tcp_edge *)edge)->port;
}

void edge_dns_tcp_seated(struct edge *edge, struct addr seat)
{
    ((struct dns_tcp_edge *)edge)->seat = seat;
}
