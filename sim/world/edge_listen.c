#include "world/edge_listen.h"

#include "world/clock.h"
#include "world/listen_conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    HANDSHAKE_LIMIT_MS = 30 * 1000,
    ACCEPTS_PER_TURN = 64,
    FD_MARGIN = 32,        /* descriptors kept free below FD_SETSIZE for everybody else */
    ACCEPT_PAUSE_MS = 100, /* when the process has no descriptor left */
    MHD_ROUNDS = 1000
};

struct listen_edge {
    struct edge edge;
    struct edge_listen_options options;
    struct addr seat;
    struct sockaddr_storage address;
    socklen_t address_n;
    char place[80]; /* "127.0.0.1:14000", where a request has no Host */
    int port;
    int listener; /* -1: refusing */
    int64_t pause_until_ms;
    SSL_CTX *tls;                          /* NULL: plain HTTP */
    SSL_CTX *tls_expired, *tls_other_name; /* NULL: none */
    const struct fault *(*next_fault)(void *context);
    void *fault_context;
    struct MHD_Daemon *daemon;
    struct hall *hall; /* known from the first send or ready */
    struct conn **conns;
    size_t n, room;
    struct conn *by_fd[FD_SETSIZE]; /* libmicrohttpd's ends */
    bool dirty;                     /* libmicrohttpd has something to do */
    bool unread;                    /* it may have left something in a pair */
    bool arrived;                   /* a message for the hall came outside of ready */
};

static struct listen_edge *self_of(struct edge *edge)
{
    return (struct listen_edge *)edge;
}

/* ---- libmicrohttpd ---- */

void listen_conn_abandon(struct conn *conn)
{
    conn->abandoned = true;
    conn->flow = 0;
    conn->owner->dirty = true;
    if (!conn->suspended) return;
    MHD_resume_connection(conn->suspended);
    conn->suspended = NULL;
}

/* libmicrohttpd's end of it. Without TLS that is the connection itself: a pair would double what a request costs. */
static int inner_end(struct conn *conn)
{
    if (conn->ssl) return conn_open_pair(conn) ? conn->theirs : -1;
    conn->direct = true;
    return conn->theirs = conn->net;
}

void listen_conn_ready(struct conn *conn)
{
    /* libmicrohttpd wants an address; nobody asks it for that again. */
    static const struct sockaddr end = {.sa_family = AF_UNIX};
    struct listen_edge *self = conn->owner;
    int theirs = inner_end(conn);
    if (theirs < 0) {
        conn_kill(conn);
        return;
    }
    self->by_fd[theirs] = conn;
    conn->mhd_open = true;
    self->dirty = true;
    if (MHD_add_connection(self->daemon, theirs, &end, sizeof end) == MHD_YES) return;
    self->by_fd[theirs] = NULL; /* it has closed it */
    conn->mhd_open = false;
    if (conn->direct) conn->net = -1;
    conn_kill(conn);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct listen_edge *self = context;
    struct conn *conn;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        *socket_context = self->by_fd[info->connect_fd];
        self->by_fd[info->connect_fd] = NULL;
        return;
    }
    conn = *socket_context;
    if (!conn) return;
    conn->mhd_open = false;
    conn->suspended = NULL;
    conn->flow = 0;
    if (!conn->direct) return;
    /* Its last moment. What was not read would make a reset of the end, and could take our answer away from the peer.
     */
    char unread;
    if (recv(conn->net, &unread, 1, MSG_PEEK | MSG_DONTWAIT) > 0 && conn_take_back(conn)) {
        conn_set_closed(conn);
        return;
    }
    if (conn->direct) conn->net = -1;
    conn->direct = false;
    conn_kill(conn);
}

static void *on_uri(void *context, const char *uri, struct MHD_Connection *connection)
{
    (void)context;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct conn *conn = info->socket_context;
    msg_free(conn->request);
    conn->request = msg_new(MSG_REQUEST);
    conn->request->as.request.url = str_copy(&conn->request->arena, str_c(uri));
    conn->body = (struct buf){.arena = &conn->request->arena};
    conn->seen = conn->too_large = false;
    return conn;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request_context,
                         enum MHD_RequestTerminationCode code)
{
    (void)context, (void)connection, (void)code;
    struct conn *conn = *request_context;
    if (!conn) return;
    conn->flow = 0;
    conn->suspended = NULL;
    msg_free(conn->request);
    conn->request = NULL;
}

static enum MHD_Result on_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    (void)kind;
    msg_header(context, name, str_c(value ? value : ""));
    return MHD_YES;
}

static struct str full_url(struct conn *conn)
{
    struct http_request *request = &conn->request->as.request;
    struct arena *arena = &conn->request->arena;
    struct str target = request->url, host = headers_get(request->headers, "Host");
    if (str_starts(target, "http://") || str_starts(target, "https://")) return target; /* absolute form */
    if (!host.n) host = str_c(conn->owner->place);
    return str_fmt(arena, "%s://%.*s%s%.*s", conn->owner->tls ? "https" : "http", STR_ARGS(host),
                   str_starts(target, "/") ? "" : "/", STR_ARGS(target));
}

static enum MHD_Result answer_too_large(struct conn *conn, struct MHD_Connection *connection)
{
    static char text[] = "request body too large\n";
    if (conn->direct) { /* and what it still sends is read, or the end would be a reset */
        if (conn_take_back(conn)) {
            conn_send_raw(conn,
                          STR("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Type: text/plain\r\n"
                              "Content-Length: 23\r\n\r\n"));
            conn_send_raw(conn, str_c(text));
            conn_set_closed(conn);
        }
        return MHD_NO;
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(sizeof text - 1, text, MHD_RESPMEM_PERSISTENT);
    if (!response) return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "text/plain");
    enum MHD_Result result = MHD_queue_response(connection, 413, response);
    MHD_destroy_response(response);
    return result;
}

static bool announces_too_much(struct MHD_Connection *connection, size_t max_body)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    int64_t number;
    return length && str_int(str_c(length), &number) && (uint64_t)number > max_body;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *upload, size_t *upload_n, void **request_context)
{
    (void)url, (void)version;
    struct listen_edge *self = context;
    struct conn *conn = *request_context;
    if (!conn || conn->abandoned || conn->dead) return MHD_NO;
    if (!conn->seen) {
        conn->seen = true;
        return announces_too_much(connection, self->options.max_body) ? answer_too_large(conn, connection) : MHD_YES;
    }
    if (*upload_n) {
        if (conn->body.n + *upload_n > self->options.max_body) conn->too_large = true;
        else buf_add(&conn->body, (struct str){upload, *upload_n});
        *upload_n = 0;
        return MHD_YES;
    }
    if (conn->too_large) return answer_too_large(conn, connection);
    if (!conn->request) return MHD_NO;
    struct msg *msg = conn->request;
    MHD_get_connection_values(connection, MHD_HEADER_KIND, on_header, msg);
    msg->as.request.method = str_copy(&msg->arena, str_c(method));
    conn->is_head = str_is(msg->as.request.method, "HEAD");
    msg->as.request.url = full_url(conn);
    if (conn->body.n) msg->as.request.body = buf_str(&conn->body);
    msg->from = self->seat;
    msg->to = self->options.to;
    msg->flow = conn->flow = hall_next_flow(self->hall);
    conn->request = NULL;
    conn->suspended = connection;
    MHD_suspend_connection(connection);
    self->arrived = true;
    hall_arrive(self->hall, msg);
    return MHD_YES;
}

/* Texts of a URL stay as they came. */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context, (void)connection;
    return strlen(text);
}

/* What libmicrohttpd may do at its ends of pairs, which nobody need look up: it may read where bytes were put in, and
 * write as long as that gets anywhere. What it has left unread is looked for once, at the end. */
static bool claim(struct listen_edge *self, fd_set *read, fd_set *write, int max_fd, bool *ret_writes)
{
    struct timeval at_once = {0};
    fd_set all = *read;
    bool any = false;
    FD_ZERO(read);
    for (size_t i = 0; i < self->n; i++) {
        struct conn *conn = self->conns[i];
        if (!conn->mhd_open) continue;
        if (FD_ISSET(conn->theirs, write)) any = *ret_writes = true;
        if (!conn->fed || !FD_ISSET(conn->theirs, &all)) continue;
        FD_SET(conn->theirs, read);
        conn->fed = false;
        any = self->unread = true;
    }
    if (any || !self->unread || max_fd < 0) return any;
    *read = all;
    self->unread = select(max_fd + 1, read, NULL, NULL, &at_once) > 0;
    if (!self->unread) FD_ZERO(read);
    return self->unread;
}

/* Sockets of peers, on the other hand, have to be asked. */
static bool look(fd_set *read, fd_set *write, fd_set *except, int max_fd)
{
    struct timeval at_once = {0};
    if (max_fd >= 0 && select(max_fd + 1, read, write, except, &at_once) > 0) return true;
    FD_ZERO(read);
    FD_ZERO(write);
    FD_ZERO(except);
    return false;
}

/* Takes out of the pairs what libmicrohttpd wrote. */
static bool pump_written(struct listen_edge *self, const fd_set *written, int64_t now_ms)
{
    bool moved = false;
    for (size_t i = 0; i < self->n; i++) {
        struct conn *conn = self->conns[i];
        if (conn->ours >= 0 && (!conn->mhd_open || FD_ISSET(conn->theirs, written)))
            moved = conn_pump_out(conn, now_ms) || moved;
    }
    return moved;
}

/* Lets libmicrohttpd work until it waits for the outside again. Nobody else need watch its ends of pairs: whoever
 * writes into one sets `dirty`. */
static void run_mhd(struct listen_edge *self, int64_t now_ms)
{
    bool stuck = false; /* what it wrote got nowhere: the peer does not read */
    for (int round = 0; round < MHD_ROUNDS; round++) {
        fd_set read, write, except;
        int max_fd = -1;
        MHD_UNSIGNED_LONG_LONG timeout_ms = 1;
        FD_ZERO(&read);
        FD_ZERO(&write);
        FD_ZERO(&except);
        self->dirty = false;
        if (MHD_get_fdset2(self->daemon, &read, &write, &except, &max_fd, FD_SETSIZE) != MHD_YES) return;
        bool pending = MHD_get_timeout(self->daemon, &timeout_ms) == MHD_YES && timeout_ms == 0;
        bool writes = false;
        if (self->tls) FD_ZERO(&except);
        if (stuck) FD_ZERO(&write);
        bool some = self->tls ? claim(self, &read, &write, max_fd, &writes) : look(&read, &write, &except, max_fd);
        /* The first round is never left out: a connection that was resumed since shows in neither of the two (0.9.75).
         */
        if (!some && !pending && round > 0) return;
        MHD_run_from_select(self->daemon, &read, &write, &except);
        stuck = !pump_written(self, &write, now_ms) && writes;
    }
    self->dirty = true;
}

/* ---- Answers ---- */

static void free_message(void *msg)
{
    msg_free(msg);
}

static bool is_ours(struct str name)
{
    return str_is_nocase(name, "Content-Length") || str_is_nocase(name, "Transfer-Encoding");
}

/* Takes the message. */
static bool queue_answer(struct conn *conn, struct msg *msg)
{
    struct http_response *answer = &msg->as.response;
    unsigned status = (unsigned)answer->status;
    void *body = (void *)(uintptr_t)(answer->body.n ? answer->body.at : "");
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback_cls(answer->body.n, body, free_message, msg);
    if (!response) {
        msg_free(msg);
        return false;
    }
    for (size_t i = 0; answer->headers && i < answer->headers->n; i++) {
        const struct header *header = &answer->headers->at[i];
        if (is_ours(header->name)) continue;
        MHD_add_response_header(response, str_copy(&msg->arena, header->name).at,
                                str_copy(&msg->arena, header->value).at);
    }
    bool queued = MHD_queue_response(conn->suspended, status, response) == MHD_YES;
    MHD_destroy_response(response);
    if (!queued) return false;
    struct MHD_Connection *connection = conn->suspended;
    conn->suspended = NULL;
    conn->flow = 0;
    conn->owner->dirty = true;
    MHD_resume_connection(connection);
    return true;
}

/* On a connection that was taken back, whose last answer this is. Takes the message. */
static void send_answer(struct conn *conn, struct msg *msg)
{
    const struct http_response *answer = &msg->as.response;
    bool bodiless = answer->status < 200 || answer->status == 204 || answer->status == 304;
    struct buf text = {.arena = &msg->arena};
    buf_fmt(&text, "HTTP/1.1 %d %s\r\n", answer->status, MHD_get_reason_phrase_for((unsigned)answer->status));
    for (size_t i = 0; answer->headers && i < answer->headers->n; i++) {
        const struct header *header = &answer->headers->at[i];
        if (!is_ours(header->name) && !str_is_nocase(header->name, "Connection"))
            buf_fmt(&text, "%.*s: %.*s\r\n", STR_ARGS(header->name), STR_ARGS(header->value));
    }
    buf_add_c(&text, "Connection: close\r\n");
    if (!bodiless) buf_fmt(&text, "Content-Length: %zu\r\n", answer->body.n);
    buf_add_c(&text, "\r\n");
    if (!bodiless && !conn->is_head) buf_add(&text, answer->body);
    conn_send_raw(conn, buf_str(&text));
    conn->inner_ended = true;
    msg_free(msg);
}

static void answer_with_status(struct conn *conn, struct msg *msg, int64_t now_ms)
{
    const struct http_response *response = &msg->as.response;
    conn->how = response->delivery.how;
    conn->header_end = 0;
    conn->body_bytes = response->body.n;
    if (conn->how == DELIVER_TRUNCATED && response->delivery.at_byte < response->body.n)
        conn->body_bytes = response->delivery.at_byte;
    if (response->delivery.last && conn->how == DELIVER_WHOLE) conn->how = DELIVER_TRUNCATED; /* after its last byte */
    if (conn->is_head) conn->body_bytes = 0;
    conn->slow_from_ms = now_ms;
    conn->slow_over_ms = response->delivery.over_ms;
    if (conn->how == DELIVER_SLOW && conn->slow_over_ms <= 0) conn->how = DELIVER_WHOLE;
    if (conn->direct && conn->how != DELIVER_WHOLE) {
        if (conn_take_back(conn)) send_answer(conn, msg);
        else msg_free(msg);
    } else if (!queue_answer(conn, msg) && conn_take_back(conn)) {
        conn_set_reset(conn);
    }
}

static struct conn *asked_by(const struct listen_edge *self, uint64_t flow)
{
    for (size_t i = 0; flow && i < self->n; i++)
        if (self->conns[i]->flow == flow) return self->conns[i];
    return NULL;
}

static void listen_send(struct edge *edge, struct hall *hall, struct msg *msg)
{
    struct listen_edge *self = self_of(edge);
    self->hall = hall;
    struct conn *conn = msg->kind == MSG_RESPONSE ? asked_by(self, msg->flow) : NULL;
    if (!conn) {
        msg_free(msg);
        return;
    }
    enum delivery_how how = msg->as.response.delivery.how;
    if (delivery_has_status(how)) {
        answer_with_status(conn, msg, hall_now_ms(hall));
        return;
    }
    msg_free(msg);
    if (!conn_take_back(conn)) return;
    if (how == DELIVER_HANG) {
        conn_set_hanging(conn);
    } else if (how == DELIVER_CLOSED || how == DELIVER_GARBAGE) {
        if (how == DELIVER_GARBAGE) conn_send_raw(conn, STR("\x15\x03\x7f garbage, not HTTP \xff\xfe\r\n\r\n"));
        conn_set_closed(conn);
    } else {
        conn_set_reset(conn);
    }
}

/* ---- The listening socket ---- */

static enum err open_listener(struct listen_edge *self)
{
    int fd = socket(self->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return ERR_IO;
    int one = 1;
    socklen_t n = self->address_n;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); /* who is accepted inherits it */
    if (fd >= FD_SETSIZE || bind(fd, (struct sockaddr *)&self->address, self->address_n) != 0 || listen(fd, 512) != 0 ||
        getsockname(fd, (struct sockaddr *)&self->address, &n) != 0) {
        int kept = fd >= FD_SETSIZE ? EMFILE : errno;
        close(fd);
        errno = kept;
        return ERR_IO;
    }
    self->listener = fd;
    return OK;
}

/* ---- Faults of a connection ---- */

static enum handshake choose_handshake(struct listen_edge *self)
{
    const struct fault *fault = self->next_fault ? self->next_fault(self->fault_context) : NULL;
    if (!fault) return HANDSHAKE_GOOD;
    hall_note_fault(self->hall, fault, self->options.to, self->seat);
    return fault->handshake;
}

static SSL_CTX *context_for(const struct listen_edge *self, enum handshake handshake)
{
    if (handshake == HANDSHAKE_EXPIRED && self->tls_expired) return self->tls_expired;
    if (handshake == HANDSHAKE_OTHER_NAME && self->tls_other_name) return self->tls_other_name;
    return self->tls;
}

/* true: the connection has come to its end, or to where it hangs. */
static bool greet_badly(struct conn *conn, enum handshake handshake)
{
    switch (handshake) {
    case HANDSHAKE_STALLS: conn_set_hanging(conn); return true;
    case HANDSHAKE_RESET: conn_set_reset(conn); return true;
    /* What the peer has sent by then is read, or the end would be a reset. */
    case HANDSHAKE_CLOSED: conn_set_closed(conn); return true;
    default: return false;
    }
}

static void add_conn(struct listen_edge *self, int fd, int64_t now_ms)
{
    struct conn *conn = calloc(1, sizeof *conn);
    if (self->n == self->room) {
        self->room = self->room ? self->room * 2 : 16;
        self->conns = realloc(self->conns, self->room * sizeof(struct conn *));
    }
    if (!conn || !self->conns) {
        fputs("acmedrill: out of memory\n", stderr);
        abort();
    }
    *conn = (struct conn){.owner = self, .net = fd, .ours = -1, .phase = CONN_OPEN, .deadline_ms = ACTOR_IDLE};
    self->conns[self->n++] = conn;
    enum handshake handshake = choose_handshake(self);
    if (greet_badly(conn, handshake)) return;
    if (!self->tls) {
        listen_conn_ready(conn);
        return;
    }
    conn->phase = CONN_HANDSHAKE;
    conn->deadline_ms = now_ms + HANDSHAKE_LIMIT_MS;
    conn->ssl = SSL_new(context_for(self, handshake));
    if (!conn->ssl || SSL_set_fd(conn->ssl, fd) != 1) conn_kill(conn);
}

static void accept_all(struct listen_edge *self, int64_t now_ms)
{
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept4(self->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                self->pause_until_ms = now_ms + ACCEPT_PAUSE_MS;
            if (errno == ECONNABORTED || errno == EINTR) continue;
            return;
        }
        if (fd >= FD_SETSIZE - FD_MARGIN) close(fd); /* select() cannot watch more */
        else add_conn(self, fd, now_ms);
    }
}

static void open_or_refuse(struct listen_edge *self)
{
    bool refuse = self->options.refuses && self->options.refuses(self->options.context);
    if (refuse && self->listener >= 0) {
        close(self->listener);
        self->listener = -1;
    } else if (!refuse && self->listener < 0) {
        open_listener(self); /* tried again before each poll until it works */
    }
}

/* ---- The edge ---- */

static void bury(struct listen_edge *self)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->n; i++) {
        struct conn *conn = self->conns[i];
        if (conn->dead && !conn->mhd_open) conn_release(conn);
        else self->conns[kept++] = conn;
    }
    self->n = kept;
}

static void listen_prepare(struct edge *edge, struct edge_wait *wait)
{
    struct listen_edge *self = self_of(edge);
    int64_t now_ms = clock_real_utc_ms();
    self->arrived = false;
    open_or_refuse(self);
    if (self->dirty && self->hall) run_mhd(self, now_ms);
    bury(self);
    if (self->listener >= 0 && now_ms >= self->pause_until_ms) {
        FD_SET(self->listener, &wait->read);
        if (self->listener > wait->max_fd) wait->max_fd = self->listener;
    } else if (self->listener >= 0 && self->pause_until_ms < wait->due_ms) {
        wait->due_ms = self->pause_until_ms;
    }
    if (self->listener < 0 && now_ms + ACCEPT_PAUSE_MS < wait->due_ms && !self->options.refuses)
        wait->due_ms = now_ms + ACCEPT_PAUSE_MS;
    for (size_t i = 0; i < self->n; i++)
        if (!self->conns[i]->direct) conn_prepare(self->conns[i], now_ms, wait);
    if (!self->tls) MHD_get_fdset2(self->daemon, &wait->read, &wait->write, &wait->except, &wait->max_fd, FD_SETSIZE);
    if (self->arrived || self->dirty) wait->due_ms = now_ms;
}

static void listen_ready(struct edge *edge, struct hall *hall, const struct edge_wait *wait)
{
    struct listen_edge *self = self_of(edge);
    int64_t now_ms = hall_now_ms(hall);
    self->hall = hall;
    for (size_t i = 0; i < self->n; i++) {
        struct conn *conn = self->conns[i];
        if (conn->dead) continue;
        if (conn->direct) {
            if (FD_ISSET(conn->net, &wait->read) || FD_ISSET(conn->net, &wait->write)) self->dirty = true;
            continue;
        }
        conn_pump(conn, now_ms, FD_ISSET(conn->net, &wait->read), FD_ISSET(conn->net, &wait->write));
        if (conn->fed || conn->drained) self->dirty = true;
        conn->drained = false;
    }
    if (self->listener >= 0 && FD_ISSET(self->listener, &wait->read)) accept_all(self, now_ms);
    if (self->dirty) run_mhd(self, now_ms);
}

static void listen_free(struct edge *edge)
{
    struct listen_edge *self = self_of(edge);
    for (size_t i = 0; i < self->n; i++)
        conn_kill(self->conns[i]);
    if (self->daemon) MHD_stop_daemon(self->daemon);
    bury(self);
    while (self->n)
        conn_release(self->conns[--self->n]);
    if (self->listener >= 0) close(self->listener);
    SSL_CTX_free(self->tls);
    SSL_CTX_free(self->tls_expired);
    SSL_CTX_free(self->tls_other_name);
    free(self->conns);
    free(self);
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in,
                       unsigned in_n, void *context)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl, (void)context;
    if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_n, ours, sizeof ours - 1, in, in_n) ==
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_OK;
    return SSL_TLSEXT_ERR_NOACK;
}

static bool load_chain(SSL_CTX *tls, struct str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.n);
    bool ok = true, first = true;
    X509 *certificate;
    while (ok && bio && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        ok = (first ? SSL_CTX_use_certificate(tls, certificate) : (int)SSL_CTX_add1_chain_cert(tls, certificate)) == 1;
        first = false;
        X509_free(certificate);
    }
    BIO_free(bio);
    ERR_clear_error(); /* the end of the PEM text is an "error" */
    return ok && !first;
}

static bool load_key(SSL_CTX *tls, const struct key *key)
{
    EVP_PKEY *own = key ? key_evp(key) : NULL;
    bool ok = own && SSL_CTX_use_PrivateKey(tls, own) == 1 && SSL_CTX_check_private_key(tls) == 1;
    EVP_PKEY_free(own);
    return ok;
}

/* No chain: *ret stays NULL. */
static enum err make_context(struct str chain, const struct key *key, SSL_CTX **ret)
{
    if (!chain.n) return OK;
    SSL_CTX *tls = *ret = SSL_CTX_new(TLS_server_method());
    if (!tls) return ERR_CRYPTO;
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_mode(tls,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_num_tickets(tls, 1);
    SSL_CTX_set_read_ahead(tls, 1); /* a record by one read */
    SSL_CTX_set_session_id_context(tls, (const unsigned char *)"acmedrill", 9);
    SSL_CTX_set_alpn_select_cb(tls, choose_alpn, NULL);
    return load_chain(tls, chain) && load_key(tls, key) ? OK : ERR_CRYPTO;
}

static enum err set_up_tls(struct listen_edge *self)
{
    const struct edge_listen_options *options = &self->options;
    enum err err = make_context(options->certificate_pem, options->key, &self->tls);
    if (err == OK) err = make_context(options->expired_pem, options->key, &self->tls_expired);
    if (err == OK) err = make_context(options->other_name_pem, options->key, &self->tls_other_name);
    return err;
}

static enum err read_address(struct listen_edge *self)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&self->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&self->address;
    const char *text = self->options.address ? self->options.address : "127.0.0.1";
    if (self->options.port < 0 || self->options.port > 65535) return ERR_MALFORMED;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)self->options.port);
        self->address_n = sizeof *v4;
    } else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)self->options.port);
        self->address_n = sizeof *v6;
    } else {
        return ERR_MALFORMED;
    }
    return OK;
}

static void note_port(struct listen_edge *self)
{
    const char *text = self->options.address ? self->options.address : "127.0.0.1";
    bool is_v6 = self->address.ss_family == AF_INET6;
    self->port = ntohs(is_v6 ? ((struct sockaddr_in6 *)&self->address)->sin6_port
                             : ((struct sockaddr_in *)&self->address)->sin_port);
    snprintf(self->place, sizeof self->place, is_v6 ? "[%s]:%d" : "%s:%d", text, self->port);
}

enum err edge_listen_new(const struct edge_listen_options *options, struct edge **ret)
{
    struct listen_edge *self = calloc(1, sizeof *self);
    if (!self) return ERR_IO;
    self->edge = (struct edge){listen_send, listen_prepare, listen_ready, listen_free};
    self->options = *options;
    self->listener = -1;
    if (!self->options.max_body) self->options.max_body = HTTP_MAX_BODY;
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write() */
    enum err err = read_address(self);
    if (err == OK) err = set_up_tls(self);
    if (err == OK) err = open_listener(self);
    if (err != OK) goto fail;
    note_port(self);
    self->options.certificate_pem = self->options.expired_pem = self->options.other_name_pem = (struct str){0};
    self->options.key = NULL;
    self->daemon =
        MHD_start_daemon(MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO, 0, NULL, NULL, on_request,
                         self, MHD_OPTION_URI_LOG_CALLBACK, on_uri, self, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
                         self, MHD_OPTION_NOTIFY_CONNECTION, on_connection, self, MHD_OPTION_UNESCAPE_CALLBACK,
                         keep_escapes, NULL, MHD_OPTION_CONNECTION_LIMIT, (unsigned)FD_SETSIZE, MHD_OPTION_END);
    if (!self->daemon) {
        err = ERR_IO;
        goto fail;
    }
    *ret = &self->edge;
    return OK;
fail:;
    int kept = errno;
    listen_free(&self->edge);
    errno = kept;
    return err;
}

int edge_listen_port(const struct edge *edge)
{
    return ((const struct listen_edge *)edge)->port;
}

void edge_listen_faults(struct edge *edge, const struct fault *(*next)(void *context), void *context)
{
    struct listen_edge *self = self_of(edge);
    self->next_fault = next;
    self->fault_context = context;
}

void edge_listen_seated(struct edge *edge, struct addr seat)
{
    self_of(edge)->seat = seat;
}
