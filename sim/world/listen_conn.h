/* One accepted connection of edge_listen: the real socket with TLS on one side, one end of a socketpair on the other,
 * and the pump between them, which acts out deliveries. libmicrohttpd reads and writes the other end and knows of none
 * of this. Without TLS it has the socket itself (direct), until a delivery is to be acted out: then the socket is taken
 * back, and its last answer is our own. */
#ifndef WORLD_LISTEN_CONN_H
#define WORLD_LISTEN_CONN_H

#include "world/hall.h"

#include <microhttpd.h>
#include <openssl/ssl.h>

struct listen_edge;

/* Bytes that one side could not take yet. Empty: no memory. */
struct backlog {
    char *at;
    size_t from, n, room;
};

struct conn {
    struct listen_edge *owner;
    int net, ours;                                        /* the socket; our end of the pair. -1: closed */
    int theirs;                                           /* libmicrohttpd's end; means nothing unless mhd_open */
    SSL *ssl;                                             /* NULL: plain */
    enum { CONN_HANDSHAKE, CONN_OPEN, CONN_DRAIN } phase; /* drain: read and forget until the peer closes */
    bool wants_write;                                     /* TLS cannot go on before the socket takes bytes */
    bool net_ended;                                       /* the peer will send no more */
    bool inner_ended;                                     /* nothing more will come for the peer but the backlog */
    bool fed;                                             /* bytes, or an end, were put in for libmicrohttpd */
    bool drained;                                         /* the peer takes bytes again, so it may go on writing */
    bool more_to_read;                                    /* stopped for fairness, TLS may hold decrypted bytes */
    bool direct;                                          /* libmicrohttpd has `net`, and closes it */
    bool dead;                                            /* to be freed once libmicrohttpd has let go */
    struct backlog in, out;
    int64_t deadline_ms; /* ACTOR_IDLE: none */

    /* A delivery being acted out on the backlog `out`. */
    enum delivery_how how;
    size_t header_end; /* 0: not seen yet */
    size_t body_bytes; /* truncated: how many may leave; slow: how many there are */
    int64_t slow_from_ms, slow_over_ms;

    /* Between libmicrohttpd and the hall. */
    bool mhd_open, abandoned, seen, too_large, is_head;
    struct MHD_Connection *suspended;
    uint64_t flow; /* 0: nothing is asked */
    struct msg *request;
    struct buf body;
};

/* Goes on with what can go on; net_* say what select saw. */
void conn_pump(struct conn *conn, int64_t now_ms, bool net_readable, bool net_writable);
/* From libmicrohttpd to the peer: true if anything moved. */
bool conn_pump_out(struct conn *conn, int64_t now_ms);
/* Adds what this connection waits for. */
void conn_prepare(const struct conn *conn, int64_t now_ms, struct edge_wait *wait);
/* Opens the pair. */
bool conn_open_pair(struct conn *conn);
/* Takes a direct connection back from libmicrohttpd, to act on its socket. false: it could not, and the connection
 * ends. */
bool conn_take_back(struct conn *conn);

void conn_set_reset(struct conn *conn);   /* RST, at once */
void conn_set_closed(struct conn *conn);  /* a clean end once the backlog has left */
void conn_set_hanging(struct conn *conn); /* silence until the peer closes */
void conn_send_raw(struct conn *conn, struct str bytes);
void conn_close_pair(struct conn *conn);
void conn_kill(struct conn *conn);    /* closes both sides */
void conn_release(struct conn *conn); /* frees what is left */

/* The listen edge's part: */
void listen_conn_ready(struct conn *conn);   /* the handshake is done: hand it to libmicrohttpd */
void listen_conn_abandon(struct conn *conn); /* the pair is closed: libmicrohttpd has to forget it */

#endif
