#include "world/edge_dns.h"

#include "world/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_PENDING = 1024, MAX_PACKET = 4096, PACKETS_PER_TURN = 64, HEADER_BYTES = 12 };

/* A query that waits for its answer. Its place is its flow modulo the table: the oldest is forgotten first. */
struct pending {
    uint64_t flow; /* 0: free */
    struct sockaddr_storage from;
    socklen_t from_n;
    uint16_t id;
    size_t max_bytes;
    char *packet;
    size_t packet_n;
};

/* An answer on its way out: they leave together, before the next wait. */
struct leaving {
    struct msg *msg; /* owns the packet */
    struct str packet;
    struct sockaddr_storage to;
    socklen_t to_n;
};

struct dns_edge {
    struct edge edge;
    struct addr seat, to;
    int fd, port;
    struct pending pending[MAX_PENDING];
    struct leaving leaving[PACKETS_PER_TURN];
    size_t n_leaving;
    char arrived[PACKETS_PER_TURN][MAX_PACKET];
};

static void pending_drop(struct pending *pending)
{
    free(pending->packet);
    *pending = (struct pending){0};
}

static void transmit(struct dns_edge *self)
{
    struct mmsghdr out[PACKETS_PER_TURN];
    struct iovec parts[PACKETS_PER_TURN];
    size_t n = self->n_leaving;
    for (size_t i = 0; i < n; i++) {
        struct leaving *each = &self->leaving[i];
        parts[i] = (struct iovec){(void *)(uintptr_t)each->packet.at, each->packet.n};
        out[i].msg_hdr =
            (struct msghdr){.msg_name = &each->to, .msg_namelen = each->to_n, .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    /* One that cannot leave is lost, as UDP may: it must not hold up the others. */
    for (size_t i = 0; i < n;) {
        int sent = sendmmsg(self->fd, out + i, (unsigned)(n - i), MSG_DONTWAIT | MSG_NOSIGNAL);
        i += sent > 0 ? (size_t)sent : 1;
    }
    for (size_t i = 0; i < n; i++)
        msg_free(self->leaving[i].msg);
    self->n_leaving = 0;
}

/* Takes the message, which the packet lies in. */
static void leave(struct dns_edge *self, const struct pending *to, struct msg *msg, struct str packet)
{
    if (self->n_leaving == PACKETS_PER_TURN) transmit(self);
    self->leaving[self->n_leaving++] =
        (struct leaving){.msg = msg, .packet = packet, .to = to->from, .to_n = to->from_n};
}

static void take_query(struct dns_edge *self, struct hall *hall, struct pending *from, struct str packet)
{
    struct msg *msg = msg_new(MSG_DNS_QUERY);
    enum err err = dns_read_query(&msg->arena, packet, &msg->as.dns_query, &from->id);
    if (err != OK) {
        if (err == ERR_REFUSED) leave(self, from, msg, dns_write_rcode(&msg->arena, packet, DNS_NOTIMP));
        else msg_free(msg);
        return;
    }
    msg->from = self->seat;
    msg->to = self->to;
    msg->flow = hall_next_flow(hall);
    struct pending *pending = &self->pending[msg->flow % MAX_PENDING];
    pending_drop(pending);
    *pending = *from;
    pending->flow = msg->flow;
    pending->max_bytes = msg->as.dns_query.max_bytes;
    pending->packet = malloc(packet.n);
    if (pending->packet) {
        memcpy(pending->packet, packet.at, packet.n);
        pending->packet_n = packet.n;
    }
    hall_arrive(hall, msg);
}

static void dns_send(struct edge *edge, struct hall *hall, struct msg *msg)
{
    struct dns_edge *self = (struct dns_edge *)edge;
    (void)hall;
    struct pending *pending = &self->pending[msg->flow % MAX_PENDING];
    if (msg->kind == MSG_DNS_ANSWER && msg->flow && pending->flow == msg->flow) {
        const struct dns_answer *answer = &msg->as.dns_answer;
        struct str packet, query = {pending->packet, pending->packet_n};
        if (dns_answer_leaves(answer)) {
            if (dns_write_answer(&msg->arena, answer, pending->id, pending->max_bytes, query, &packet) != OK)
                packet = query.n ? dns_write_rcode(&msg->arena, query, DNS_SERVFAIL) : (struct str){0};
            if (packet.n) {
                leave(self, pending, msg, packet);
                msg = NULL;
            }
        }
        pending_drop(pending);
    }
    msg_free(msg);
}

static void dns_prepare(struct edge *edge, struct edge_wait *wait)
{
    struct dns_edge *self = (struct dns_edge *)edge;
    if (self->n_leaving) transmit(self);
    FD_SET(self->fd, &wait->read);
    if (self->fd > wait->max_fd) wait->max_fd = self->fd;
}

static void dns_ready(struct edge *edge, struct hall *hall, const struct edge_wait *wait)
{
    struct dns_edge *self = (struct dns_edge *)edge;
    struct pending from[PACKETS_PER_TURN];
    struct mmsghdr in[PACKETS_PER_TURN];
    struct iovec parts[PACKETS_PER_TURN];
    if (!FD_ISSET(self->fd, &wait->read)) return;
    for (size_t i = 0; i < PACKETS_PER_TURN; i++) {
        from[i] = (struct pending){.from_n = sizeof from[i].from};
        parts[i] = (struct iovec){self->arrived[i], MAX_PACKET};
        in[i].msg_hdr = (struct msghdr){
            .msg_name = &from[i].from, .msg_namelen = from[i].from_n, .msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(self->fd, in, PACKETS_PER_TURN, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
        if (in[i].msg_len < HEADER_BYTES || (in[i].msg_hdr.msg_flags & MSG_TRUNC)) continue;
        from[i].from_n = in[i].msg_hdr.msg_namelen;
        take_query(self, hall, &from[i], (struct str){self->arrived[i], in[i].msg_len});
    }
}

static void dns_free(struct edge *edge)
{
    struct dns_edge *self = (struct dns_edge *)edge;
    if (self->n_leaving) transmit(self);
    for (size_t i = 0; i < MAX_PENDING; i++)
        pending_drop(&self->pending[i]);
    if (self->fd >= 0) close(self->fd);
    free(self);
}

enum err edge_dns_new(const struct edge_dns_options *options, struct edge **ret)
{
    struct place place;
    enum err err = place_at(options->address, options->port, &place);
    if (err != OK) return err;
    struct dns_edge *self = calloc(1, sizeof *self);
    if (!self) return ERR_IO;
    self->edge = (struct edge){dns_send, dns_prepare, dns_ready, dns_free};
    self->to = options->to;
    self->fd = -1;
    err = place_bind(&place, SOCK_DGRAM, &self->fd);
    if (err != OK) {
        int kept = errno;
        dns_free(&self->edge);
        errno = kept;
        return err;
    }
    self->port = place_port(&place);
    *ret = &self->edge;
    return OK;
}

int edge_dns_port(const struct edge *edge)
{
    return ((const struct dns_edge *)edge)->port;
}

void edge_dns_seated(struct edge *edge, struct addr seat)
{
    ((struct dns_edge *)edge)->seat = seat;
}
