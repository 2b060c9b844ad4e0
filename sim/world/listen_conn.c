#include "world/listen_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PIECE = 16 * 1024,
    PIECES_PER_TURN = 16,
    DRAIN_LIMIT_MS = 2000,     /* after our end, before the socket is closed for good */
    HALF_CLOSED_MS = 10 * 1000 /* a peer that has closed its side may still wait for an answer */
};

static size_t waiting(const struct backlog *backlog)
{
    return backlog->n - backlog->from;
}

static void backlog_drop(struct backlog *backlog)
{
    free(backlog->at);
    *backlog = (struct backlog){0};
}

static void backlog_add(struct backlog *backlog, const char *at, size_t n)
{
    if (n == 0) return;
    if (backlog->room - backlog->n < n) {
        size_t room = backlog->room ? backlog->room * 2 : PIECE;
        while (room - backlog->n < n)
            room *= 2;
        char *grown = realloc(backlog->at, room);
        if (!grown) {
            fputs("acmedrill: out of memory\n", stderr);
            abort();
        }
        backlog->at = grown;
        backlog->room = room;
    }
    memcpy(backlog->at + backlog->n, at, n);
    backlog->n += n;
}

enum { AGAIN = -1, ENDED = 0, FAILED = -2 };

/* Bytes read or written, or AGAIN, ENDED, FAILED. */
static ssize_t tls_result(struct conn *conn, int n)
{
    if (n > 0) return n;
    switch (SSL_get_error(conn->ssl, n)) {
    case SSL_ERROR_WANT_READ: return AGAIN;
    case SSL_ERROR_WANT_WRITE: conn->wants_write = true; return AGAIN;
    case SSL_ERROR_ZERO_RETURN: return ENDED;
    default: return FAILED;
    }
}

static ssize_t plain_result(ssize_t n)
{
    if (n >= 0) return n;
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? AGAIN : FAILED;
}

static ssize_t net_read(struct conn *conn, char *at, size_t n)
{
    if (!conn->ssl) return plain_result(recv(conn->net, at, n, MSG_DONTWAIT));
    ERR_clear_error();
    return tls_result(conn, SSL_read(conn->ssl, at, (int)n));
}

static ssize_t net_write(struct conn *conn, const char *at, size_t n)
{
    if (!conn->ssl) return plain_result(send(conn->net, at, n, MSG_DONTWAIT | MSG_NOSIGNAL));
    ERR_clear_error();
    return tls_result(conn, SSL_write(conn->ssl, at, (int)(n < PIECE ? n : PIECE)));
}

void conn_close_pair(struct conn *conn)
{
    if (conn->ours < 0) return;
    close(conn->ours);
    conn->ours = -1;
    conn->fed = true;
    listen_conn_abandon(conn);
}

void conn_kill(struct conn *conn)
{
    conn->dead = true;
    if (conn->direct) {
        listen_conn_abandon(conn);
        return;
    }
    if (conn->net >= 0) close(conn->net);
    conn->net = -1;
    conn_close_pair(conn);
}

void conn_release(struct conn *conn)
{
    conn_kill(conn);
    SSL_free(conn->ssl);
    backlog_drop(&conn->in);
    backlog_drop(&conn->out);
    msg_free(conn->request);
    free(conn);
}

void conn_set_reset(struct conn *conn)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(conn->net, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    conn_kill(conn);
}

void conn_set_hanging(struct conn *conn)
{
    conn_close_pair(conn);
    conn->phase = CONN_DRAIN;
    conn->deadline_ms = ACTOR_IDLE;
}

void conn_set_closed(struct conn *conn)
{
    conn_close_pair(conn);
    conn->how = DELIVER_WHOLE;
    conn->inner_ended = true;
}

void conn_send_raw(struct conn *conn, struct str bytes)
{
    backlog_add(&conn->out, bytes.at, bytes.n);
}

bool conn_open_pair(struct conn *conn)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) return false;
    if (pair[0] >= FD_SETSIZE || pair[1] >= FD_SETSIZE) {
        close(pair[0]);
        close(pair[1]);
        return false;
    }
    conn->ours = pair[0];
    conn->theirs = pair[1];
    return true;
}

bool conn_take_back(struct conn *conn)
{
    if (!conn->direct) return true;
    int net = fcntl(conn->net, F_DUPFD_CLOEXEC, 0);
    if (net >= FD_SETSIZE) {
        close(net);
        net = -1;
    }
    conn->direct = false;
    conn->net = net;
    listen_conn_abandon(conn);
    if (net < 0) conn_kill(conn);
    return net >= 0;
}

/* Everything has left: an orderly end. The socket stays a moment, because closing it with unread bytes would reset it
 * and could take the answer away from the peer. */
static void end_net(struct conn *conn, int64_t now_ms)
{
    if (conn->ssl && SSL_is_init_finished(conn->ssl)) {
        ERR_clear_error();
        SSL_shutdown(conn->ssl);
    }
    shutdown(conn->net, SHUT_WR);
    conn->phase = CONN_DRAIN;
    conn->deadline_ms = now_ms + DRAIN_LIMIT_MS;
    if (conn->net_ended) conn_kill(conn);
}

/* How far into the backlog bytes may leave now. */
static size_t may_leave(struct conn *conn, int64_t now_ms)
{
    if (conn->how == DELIVER_WHOLE) return conn->out.n;
    if (!conn->header_end) {
        ptrdiff_t end = str_find((struct str){conn->out.at, conn->out.n}, "\r\n\r\n");
        if (end < 0) return conn->out.from;
        conn->header_end = (size_t)end + 4;
    }
    size_t body = conn->body_bytes;
    if (conn->how == DELIVER_SLOW) {
        int64_t passed_ms = now_ms - conn->slow_from_ms;
        if (passed_ms >= conn->slow_over_ms) return conn->out.n;
        body = (size_t)((double)body * (double)passed_ms / (double)conn->slow_over_ms);
    }
    size_t end = conn->header_end + body;
    return end < conn->out.n ? end : conn->out.n;
}

/* false: the socket takes no more, or nothing may leave yet. */
static bool flush_out(struct conn *conn, int64_t now_ms)
{
    size_t end = may_leave(conn, now_ms);
    while (conn->out.from < end) {
        ssize_t n = net_write(conn, conn->out.at + conn->out.from, end - conn->out.from);
        if (n == AGAIN) return false;
        if (n < 0) {
            conn_kill(conn);
            return false;
        }
        conn->out.from += (size_t)n;
    }
    if (conn->how == DELIVER_TRUNCATED && conn->header_end && end == conn->header_end + conn->body_bytes) {
        backlog_drop(&conn->out);
        conn_close_pair(conn);
        end_net(conn, now_ms);
        return false;
    }
    if (waiting(&conn->out)) return false;
    if (conn->how == DELIVER_SLOW && conn->header_end && now_ms - conn->slow_from_ms >= conn->slow_over_ms)
        conn->how = DELIVER_WHOLE;
    if (conn->how == DELIVER_WHOLE) backlog_drop(&conn->out); /* otherwise header_end counts from its start */
    if (conn->inner_ended && conn->phase == CONN_OPEN) end_net(conn, now_ms);
    return conn->phase == CONN_OPEN;
}

bool conn_pump_out(struct conn *conn, int64_t now_ms)
{
    static char piece[PIECE]; /* one thread: see hall.h */
    bool moved = false;
    if (conn->dead || conn->phase != CONN_OPEN) return false;
    for (;;) {
        /* What is delivered in a special way is gathered whole. */
        if (conn->how == DELIVER_WHOLE && !flush_out(conn, now_ms)) return moved;
        if (conn->ours < 0) break;
        ssize_t n = plain_result(recv(conn->ours, piece, sizeof piece, MSG_DONTWAIT));
        if (n == AGAIN) break;
        if (n <= 0) {
            conn->inner_ended = true;
            conn_close_pair(conn);
            break;
        }
        moved = true;
        size_t sent = 0;
        if (conn->how == DELIVER_WHOLE) {
            ssize_t written = net_write(conn, piece, (size_t)n);
            if (written == FAILED || written == ENDED) {
                conn_kill(conn);
                return true;
            }
            if (written > 0) sent = (size_t)written;
        }
        if (sent < (size_t)n) backlog_add(&conn->out, piece + sent, (size_t)n - sent);
        if ((size_t)n == sizeof piece) continue;
        if (!conn->mhd_open) { /* that was all, for good */
            conn->inner_ended = true;
            conn_close_pair(conn);
        }
        break;
    }
    flush_out(conn, now_ms);
    return moved;
}

static bool flush_in(struct conn *conn)
{
    while (waiting(&conn->in)) {
        ssize_t n = plain_result(
            send(conn->ours, conn->in.at + conn->in.from, waiting(&conn->in), MSG_DONTWAIT | MSG_NOSIGNAL));
        if (n == AGAIN) return false;
        if (n < 0) break; /* libmicrohttpd has closed: an answer may still be on its way out */
        conn->in.from += (size_t)n;
        conn->fed = true;
    }
    backlog_drop(&conn->in);
    return true;
}

static void peer_ended(struct conn *conn, int64_t now_ms)
{
    conn->net_ended = true;
    if (conn->ours >= 0) shutdown(conn->ours, SHUT_WR);
    conn->deadline_ms = now_ms + HALF_CLOSED_MS;
    conn->fed = true;
}

/* Usually the pair takes all at once. */
static void put_in(struct conn *conn, const char *at, size_t n)
{
    ssize_t sent = plain_result(send(conn->ours, at, n, MSG_DONTWAIT | MSG_NOSIGNAL));
    if (sent == FAILED) return;
    conn->fed = true;
    if (sent < 0) sent = 0;
    if ((size_t)sent < n) backlog_add(&conn->in, at + sent, n - (size_t)sent);
}

static void pump_in(struct conn *conn, int64_t now_ms)
{
    static char piece[PIECE];
    conn->more_to_read = false;
    for (int i = 0; i < PIECES_PER_TURN; i++) {
        if (conn->ours < 0 || conn->net_ended || !flush_in(conn)) return;
        ssize_t n = net_read(conn, piece, sizeof piece);
        if (n == AGAIN) return;
        if (n == FAILED) {
            conn_kill(conn);
            return;
        }
        if (n == ENDED) {
            peer_ended(conn, now_ms);
            return;
        }
        put_in(conn, piece, (size_t)n);
        if ((size_t)n < sizeof piece && !(conn->ssl && SSL_has_pending(conn->ssl))) return; /* that was all */
    }
    conn->more_to_read = true;
}

static void drain(struct conn *conn)
{
    char piece[4096];
    ssize_t n = AGAIN;
    for (int i = 0; i < PIECES_PER_TURN; i++) {
        n = plain_result(recv(conn->net, piece, sizeof piece, MSG_DONTWAIT));
        if (n <= 0) break;
    }
    if (n == ENDED || n == FAILED) conn_kill(conn);
}

static void shake_hands(struct conn *conn)
{
    conn->wants_write = false;
    ERR_clear_error();
    ssize_t done = tls_result(conn, SSL_accept(conn->ssl));
    if (done > 0) {
        conn->phase = CONN_OPEN;
        conn->deadline_ms = ACTOR_IDLE;
        listen_conn_ready(conn);
    } else if (done != AGAIN) {
        conn_kill(conn);
    }
}

void conn_pump(struct conn *conn, int64_t now_ms, bool net_readable, bool net_writable)
{
    if (conn->dead) return;
    if (now_ms >= conn->deadline_ms) {
        conn_kill(conn);
        return;
    }
    if (conn->phase == CONN_HANDSHAKE && (net_readable || net_writable)) shake_hands(conn);
    if (conn->dead) return;
    if (conn->phase == CONN_DRAIN) {
        if (net_readable) drain(conn);
        return;
    }
    if (conn->phase != CONN_OPEN) return;
    if (net_writable) conn->wants_write = false;
    if (net_readable || net_writable || conn->more_to_read || waiting(&conn->in)) pump_in(conn, now_ms);
    if (conn->dead) return;
    if (waiting(&conn->out) || (conn->inner_ended && conn->phase == CONN_OPEN)) {
        if (flush_out(conn, now_ms)) conn->drained = true;
    }
}

void conn_prepare(const struct conn *conn, int64_t now_ms, struct edge_wait *wait)
{
    if (conn->dead) return;
    bool write = conn->phase != CONN_DRAIN && conn->wants_write, read = conn->phase == CONN_DRAIN || !write;
    int64_t due_ms = conn->deadline_ms;
    if (conn->phase == CONN_OPEN) {
        read = !conn->net_ended && !waiting(&conn->in) && conn->ours >= 0;
        if (waiting(&conn->out)) {
            if (conn->how == DELIVER_SLOW) {
                int64_t end_ms = conn->slow_from_ms + conn->slow_over_ms, next_ms = now_ms + 20;
                if (next_ms > end_ms) next_ms = end_ms;
                if (now_ms < end_ms && next_ms < due_ms) due_ms = next_ms;
                write = write || now_ms >= end_ms;
            } else {
                write = true;
            }
        }
        if (conn->more_to_read || (conn->inner_ended && !waiting(&conn->out))) due_ms = now_ms;
        if (waiting(&conn->in) && conn->ours >= 0) { /* until libmicrohttpd has made room */
            FD_SET(conn->ours, &wait->write);
            if (conn->ours > wait->max_fd) wait->max_fd = conn->ours;
        }
    }
    if (read) FD_SET(conn->net, &wait->read);
    if (write) FD_SET(conn->net, &wait->write);
    if ((read || write) && conn->net > wait->max_fd) wait->max_fd = conn->net;
    if (due_ms < wait->due_ms) wait->due_ms = due_ms;
}
