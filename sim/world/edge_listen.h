/* HTTP and HTTPS in: foreign clients meet our CA here, foreign CAs meet our responder.
 *
 * OpenSSL ends TLS and hands libmicrohttpd the plain bytes over one end of a socketpair (MHD_add_connection, no listen
 * socket); the pump between them acts out a response's delivery on the real socket: reset, close, hang, truncation at
 * byte n, slow drip, garbage. A connection without TLS is libmicrohttpd's until there is such a thing to act out.
 * Loopback unless told otherwise. */
#ifndef WORLD_EDGE_LISTEN_H
#define WORLD_EDGE_LISTEN_H

#include "acme/jwk.h"
#include "wire/fault.h"
#include "world/hall.h"

struct edge_listen_options {
    const char *address;        /* "127.0.0.1" */
    int port;                   /* 0 = asked for */
    struct str certificate_pem; /* a chain; empty: plain HTTP */
    const struct key *key;      /* of its leaf; borrowed until edge_listen_new returns */
    /* The same key's certificates that no client should accept; empty: the good one in their place. */
    struct str expired_pem, other_name_pem;
    struct addr to;  /* who gets the requests */
    size_t max_body; /* more is answered 413 */
    /* Asked before each poll, NULL = never: while true the listening socket is closed (connection refused). */
    bool (*refuses)(void *context);
    void *context;
};
/* ERR_IO: could not bind (errno). The request's url is scheme://Host-header/path. */
enum err edge_listen_new(const struct edge_listen_options *options, struct edge **ret);
int edge_listen_port(const struct edge *edge);
/* The seat its messages come from: set it after hall_seat_edge. */
void edge_listen_seated(struct edge *edge, struct addr seat);
/* Who is asked, for each connection that is accepted, which fault it meets (FAULT_CONNECT; NULL: none). The edge notes
 * it in the history. */
void edge_listen_faults(struct edge *edge, const struct fault *(*next)(void *context), void *context);

#endif
