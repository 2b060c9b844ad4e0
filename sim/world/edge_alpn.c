#include "world/edge_alpn.h"

#include "world/alpn_shelf.h"
#include "world/place.h"

#include <errno.h>
#include <openssl/err.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_CONNECTIONS = 256, /* then the oldest goes */
    HANDSHAKE_LIMIT_MS = 10 * 1000,
    DRAIN_LIMIT_MS = 2 * 1000,
    HANG_LIMIT_MS = 3600 * 1000,
    ACCEPTS_PER_TURN = 64,
    ACCEPT_PAUSE_MS = 100,
    FD_MARGIN = 32,
    MAX_ALPN = 255
};

struct conn {
    struct alpn_edge *owner;
    int fd; /* -1: over */
    SSL *ssl;
    enum {
        PHASE_HELLO, /* until the ClientHello has come */
        PHASE_ASKED, /* until the answer has come */
        PHASE_SHAKE, /* until the handshake is over, this way or that */
        PHASE_DRAIN  /* until the peer closes */
    } phase;
    bool wants_write;
    int64_t since_ms, deadline_ms;
    uint64_t flow;
    int alert; /* -1: none */
    unsigned char alpn[MAX_ALPN];
    unsigned char alpn_n; /* 0: none is chosen */
};

struct alpn_edge {
    struct edge edge;
    struct addr seat, to;
    int listener, port;
    int64_t pause_until_ms;
    SSL_CTX *tls;
    struct alpn_shelf *shelf;
    struct hall *hall; /* while something is ready */
    struct conn *conns[MAX_CONNECTIONS];
    size_t n;
};

/* --- the ClientHello --- */

static size_t number16(const unsigned char *at)
{
    return (size_t)at[0] << 8 | at[1];
}

/* RFC 6066 section 3: a list of names, of which one is a host name. */
static struct str server_name(SSL *ssl)
{
    const unsigned char *at;
    size_t n;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &at, &n) != 1) return (struct str){0};
    if (n < 5 || number16(at) + 2 != n || at[2] != TLSEXT_NAMETYPE_host_name) return (struct str){0};
    size_t length = number16(at + 3);
    return length + 5 <= n ? (struct str){(const char *)at + 5, length} : (struct str){0};
}

/* RFC 7301 section 3.1: all that is offered, joined by commas. */
static struct str protocols(SSL *ssl, struct arena *arena)
{
    const unsigned char *at;
    size_t n;
    struct buf out = {.arena = arena};
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &at, &n) != 1 || n < 2 ||
        number16(at) + 2 != n)
        return (struct str){0};
    for (size_t i = 2; i < n && at[i] && i + 1 + at[i] <= n; i += 1 + (size_t)at[i]) {
        if (out.n) buf_add_char(&out, ',');
        buf_add(&out, (struct str){(const char *)at + i + 1, at[i]});
    }
    return out.n ? buf_str(&out) : (struct str){0};
}

static void ask(struct conn *conn)
{
    struct alpn_edge *self = conn->owner;
    struct msg *msg = msg_new(MSG_TLS_HELLO);
    msg->as.tls_hello.name = str_copy(&msg->arena, server_name(conn->ssl));
    msg->as.tls_hello.alpn = protocols(conn->ssl, &msg->arena);
    msg->from = self->seat;
    msg->to = self->to;
    msg->flow = conn->flow = hall_next_flow(self->hall);
    conn->phase = PHASE_ASKED;
    conn->deadline_ms = ACTOR_IDLE;
    hall_arrive(self->hall, msg);
}

static int on_client_hello(SSL *ssl, int *alert, void *context)
{
    struct conn *conn = SSL_get_app_data(ssl);
    (void)context;
    if (conn->phase == PHASE_HELLO) ask(conn);
    if (conn->phase == PHASE_ASKED) return SSL_CLIENT_HELLO_RETRY;
    if (conn->alert < 0) return SSL_CLIENT_HELLO_SUCCESS;
    *alert = conn->alert;
    return SSL_CLIENT_HELLO_ERROR;
}

/* What the answer says, whether it was offered or not. */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
                       unsigned in_n, void *context)
{
    const struct conn *conn = SSL_get_app_data(ssl);
    (void)in, (void)in_n, (void)context;
    if (!conn->alpn_n) return SSL_TLSEXT_ERR_NOACK;
    *out = conn->alpn;
    *out_n = conn->alpn_n;
    return SSL_TLSEXT_ERR_OK;
}

/* --- connections --- */

static void conn_free(struct conn *conn)
{
    SSL_free(conn->ssl);
    if (conn->fd >= 0) close(conn->fd);
    free(conn);
}

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

/* What we had to say is said. Closing at once could take it away from the peer, if it has still written something. */
static void conn_end(struct conn *conn, int64_t now_ms)
{
    shutdown(conn->fd, SHUT_WR);
    conn->phase = PHASE_DRAIN;
    conn->deadline_ms = now_ms + DRAIN_LIMIT_MS;
}

static void shake_hands(struct conn *conn, int64_t now_ms)
{
    conn->wants_write = false;
    ERR_clear_error();
    int done = SSL_accept(conn->ssl);
    switch (done == 1 ? SSL_ERROR_NONE : SSL_get_error(conn->ssl, done)) {
    case SSL_ERROR_WANT_CLIENT_HELLO_CB:
    case SSL_ERROR_WANT_READ: return;
    case SSL_ERROR_WANT_WRITE: conn->wants_write = true; return;
    case SSL_ERROR_NONE:
        /* RFC 8737 section 3: the handshake was all. */
        SSL_shutdown(conn->ssl);
        break;
    default: break; /* an alert was sent, or the peer is gone */
    }
    ERR_clear_error();
    conn_end(conn, now_ms);
}

static void drain(struct conn *conn)
{
    char piece[4096];
    ssize_t n = recv(conn->fd, piece, sizeof piece, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) conn_close(conn);
}

static void bury(struct alpn_edge *self)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->n; i++) {
        if (self->conns[i]->fd < 0) conn_free(self->conns[i]);
        else self->conns[kept++] = self->conns[i];
    }
    self->n = kept;
}

/* --- answers --- */

static int alert_number(struct str word)
{
    static const struct {
        const char *word;
        int number;
    } alerts[] = {
        {"handshake_failure",       SSL_AD_HANDSHAKE_FAILURE      },
        {"no_application_protocol", SSL_AD_NO_APPLICATION_PROTOCOL},
        {"unrecognized_name",       SSL_AD_UNRECOGNIZED_NAME      },
        {"access_denied",           SSL_AD_ACCESS_DENIED          }
    };
    for (size_t i = 0; i < COUNTOF(alerts); i++)
        if (str_is(word, alerts[i].word)) return alerts[i].number;
    return SSL_AD_INTERNAL_ERROR;
}

static void go_on(struct conn *conn, const struct tls_answer *answer, int64_t now_ms)
{
    conn->phase = PHASE_SHAKE;
    conn->deadline_ms = now_ms + HANDSHAKE_LIMIT_MS;
    conn->alert = answer->alert.n ? alert_number(answer->alert) : -1;
    conn->alpn_n = (unsigned char)(answer->alpn.n < MAX_ALPN ? answer->alpn.n : MAX_ALPN);
    if (conn->alpn_n) memcpy(conn->alpn, answer->alpn.at, conn->alpn_n);
    if (conn->alert < 0 && alpn_shelf_dress(conn->owner->shelf, conn->ssl, answer, now_ms) != OK)
        conn->alert = SSL_AD_INTERNAL_ERROR;
    shake_hands(conn, now_ms);
}

static void say_in_plain(struct conn *conn, int64_t now_ms)
{
    static const char text[] = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis "
                               "is a server of plain HTTP.\n";
    ssize_t sent = send(conn->fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* the first bytes of a connection */
    conn_end(conn, now_ms);
}

static void act_out(struct conn *conn, const struct tls_answer *answer, int64_t now_ms)
{
    conn->flow = 0;
    switch (answer->delivery.how) {
    case DELIVER_WHOLE:
    case DELIVER_SLOW: go_on(conn, answer, now_ms); break;
    case DELIVER_GARBAGE: say_in_plain(conn, now_ms); break;
    case DELIVER_CLOSED:
    case DELIVER_TRUNCATED: conn_end(conn, now_ms); break;
    case DELIVER_HANG:
        conn->phase = PHASE_DRAIN;
        conn->deadline_ms = now_ms + HANG_LIMIT_MS;
        break;
    default: conn_reset(conn); break;
    }
}

static void alpn_send(struct edge *edge, struct hall *hall, struct msg *msg)
{
    struct alpn_edge *self = (struct alpn_edge *)edge;
    for (size_t i = 0; msg->kind == MSG_TLS_ANSWER && msg->flow && i < self->n; i++)
        if (self->conns[i]->fd >= 0 && self->conns[i]->flow == msg->flow) {
            act_out(self->conns[i], &msg->as.tls_answer, hall_now_ms(hall));
            break;
        }
    msg_free(msg);
}

/* --- the edge --- */

static void watch(struct edge_wait *wait, fd_set *set, int fd)
{
    FD_SET(fd, set);
    if (fd > wait->max_fd) wait->max_fd = fd;
}

static void alpn_prepare(struct edge *edge, struct edge_wait *wait)
{
    struct alpn_edge *self = (struct alpn_edge *)edge;
    bury(self);
    if (!self->pause_until_ms) watch(wait, &wait->read, self->listener);
    else if (self->pause_until_ms < wait->due_ms) wait->due_ms = self->pause_until_ms;
    for (size_t i = 0; i < self->n; i++) {
        const struct conn *conn = self->conns[i];
        if (conn->phase != PHASE_ASKED) watch(wait, conn->wants_write ? &wait->write : &wait->read, conn->fd);
        if (conn->deadline_ms < wait->due_ms) wait->due_ms = conn->deadline_ms;
    }
}

static void evict(struct alpn_edge *self)
{
    struct conn *oldest = self->conns[0];
    for (size_t i = 1; i < self->n; i++)
        if (self->conns[i]->since_ms < oldest->since_ms) oldest = self->conns[i];
    conn_reset(oldest);
    bury(self);
}

static void add_conn(struct alpn_edge *self, int fd, int64_t now_ms)
{
    struct conn *conn = fd < FD_SETSIZE - FD_MARGIN ? calloc(1, sizeof *conn) : NULL;
    if (!conn) {
        close(fd);
        return;
    }
    if (self->n == MAX_CONNECTIONS) evict(self);
    *conn = (struct conn){.owner = self,
                          .fd = fd,
                          .since_ms = now_ms,
                          .deadline_ms = now_ms + HANDSHAKE_LIMIT_MS,
                          .alert = -1,
                          .ssl = SSL_new(self->tls)};
    self->conns[self->n++] = conn;
    if (!conn->ssl || SSL_set_fd(conn->ssl, fd) != 1) conn_close(conn);
    else SSL_set_app_data(conn->ssl, conn);
}

static void accept_all(struct alpn_edge *self, int64_t now_ms)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(self->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            add_conn(self, fd, now_ms);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            self->pause_until_ms = now_ms + ACCEPT_PAUSE_MS;
        if (errno != ECONNABORTED && errno != EINTR) return;
    }
}

static void alpn_ready(struct edge *edge, struct hall *hall, const struct edge_wait *wait)
{
    struct alpn_edge *self = (struct alpn_edge *)edge;
    int64_t now_ms = hall_now_ms(hall);
    self->hall = hall;
    if (now_ms >= self->pause_until_ms) self->pause_until_ms = 0;
    for (size_t i = 0; i < self->n; i++) {
        struct conn *conn = self->conns[i];
        if (conn->fd < 0) continue;
        bool ready = FD_ISSET(conn->fd, &wait->read) || FD_ISSET(conn->fd, &wait->write);
        if (now_ms >= conn->deadline_ms) conn_close(conn);
        else if (ready && conn->phase == PHASE_DRAIN) drain(conn);
        else if (ready && conn->phase != PHASE_ASKED) shake_hands(conn, now_ms);
    }
    if (FD_ISSET(self->listener, &wait->read)) accept_all(self, now_ms);
}

static void alpn_free(struct edge *edge)
{
    struct alpn_edge *self = (struct alpn_edge *)edge;
    for (size_t i = 0; i < self->n; i++)
        conn_free(self->conns[i]);
    if (self->listener >= 0) close(self->listener);
    SSL_CTX_free(self->tls);
    alpn_shelf_free(self->shelf);
    free(self);
}

static SSL_CTX *new_tls(void)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    if (!tls) return NULL;
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_num_tickets(tls, 0);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(tls, SSL_OP_NO_TICKET);
    SSL_CTX_set_client_hello_cb(tls, on_client_hello, NULL);
    SSL_CTX_set_alpn_select_cb(tls, choose_alpn, NULL);
    return tls;
}

enum err edge_alpn_new(const struct edge_alpn_options *options, struct edge **ret)
{
    struct place place;
    enum err err = place_at(options->address, options->port, &place);
    if (err != OK) return err;
    struct alpn_edge *self = calloc(1, sizeof *self);
    if (!self) return ERR_IO;
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write() */
    self->edge = (struct edge){alpn_send, alpn_prepare, alpn_ready, alpn_free};
    self->to = options->to;
    self->listener = -1;
    self->tls = new_tls();
    self->shelf = alpn_shelf_new(options->seed);
    err = self->tls ? place_bind(&place, SOCK_STREAM, &self->listener) : ERR_CRYPTO;
    if (err != OK) {
        int kept = errno;
        alpn_free(&self->edge);
        errno = kept;
        return err;
    }
    self->port = place_port(&place);
    *ret = &self->edge;
    return OK;
}

int edge_alpn_port(const struct edge *edge)
{
    return ((const struct alpn_edge *)edge)->port;
}

void edge_alpn_seated(struct edge *edge, struct addr seat)
{
    ((struct alpn_edge *)edge)->seat = seat;
}
