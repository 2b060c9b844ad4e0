#include "world/edge_handshake.h"

#include "acme/x509_alpn.h"
#include "world/place.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_OPEN = 128, /* sockets at a time: select() is what waits for them; more wait for one to be free */
    LIMIT_MS = 30000,
    MAX_NAME = 253
};

/* One handshake under way, and the answer that it becomes. */
struct shake {
    struct shake *next;
    struct msg *hello, *answer; /* owned */
    int fd;                     /* -1: not begun */
    SSL *ssl;
    bool connected, wants_write;
    int64_t due_ms;
};

struct handshake_edge {
    struct edge edge;
    SSL_CTX *context; /* NULL: nothing was asked yet */
    char *connect_to;
    int64_t limit_ms;
    struct shake *shakes; /* oldest first */
    size_t n_open;
};

static void no_memory(void)
{
    fputs("acmedrill: out of memory\n", stderr);
    abort();
}

static void shake_free(struct handshake_edge *self, struct shake *shake)
{
    struct shake **link = &self->shakes;
    while (*link != shake)
        link = &(*link)->next;
    *link = shake->next;
    SSL_free(shake->ssl);
    if (shake->fd >= 0) {
        close(shake->fd);
        self->n_open--;
    }
    msg_free(shake->hello);
    msg_free(shake->answer);
    free(shake);
}

static void finish(struct handshake_edge *self, struct hall *hall, struct shake *shake, enum delivery_how how)
{
    struct msg *answer = shake->answer;
    answer->as.tls_answer.delivery.how = how;
    answer->from = shake->hello->to;
    answer->to = shake->hello->from;
    answer->flow = shake->hello->flow;
    shake->answer = NULL;
    shake_free(self, shake);
    hall_arrive(hall, answer);
}

/* --- what a handshake showed --- */

/* RFC 8446 section 6 and RFC 7301 section 3.2. */
static const char *alert_text(int number)
{
    static const struct {
        int number;
        const char *text;
    } alerts[] = {
        {0,   "close_notify"                   },
        {10,  "unexpected_message"             },
        {20,  "bad_record_mac"                 },
        {22,  "record_overflow"                },
        {40,  "handshake_failure"              },
        {42,  "bad_certificate"                },
        {43,  "unsupported_certificate"        },
        {44,  "certificate_revoked"            },
        {45,  "certificate_expired"            },
        {46,  "certificate_unknown"            },
        {47,  "illegal_parameter"              },
        {48,  "unknown_ca"                     },
        {49,  "access_denied"                  },
        {50,  "decode_error"                   },
        {51,  "decrypt_error"                  },
        {70,  "protocol_version"               },
        {71,  "insufficient_security"          },
        {80,  "internal_error"                 },
        {86,  "inappropriate_fallback"         },
        {90,  "user_canceled"                  },
        {109, "missing_extension"              },
        {110, "unsupported_extension"          },
        {112, "unrecognized_name"              },
        {113, "bad_certificate_status_response"},
        {115, "unknown_psk_identity"           },
        {116, "certificate_required"           },
        {120, "no_application_protocol"        },
    };
    for (size_t i = 0; i < COUNTOF(alerts); i++)
        if (alerts[i].number == number) return alerts[i].text;
    return "unknown_alert";
}

static void note_certificate(struct arena *arena, SSL *ssl, struct tls_answer *answer)
{
    STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
    unsigned char *der = NULL;
    struct alpn_facts facts;
    if (sk_X509_num(chain) < 1) return;
    answer->n_certificates = (size_t)sk_X509_num(chain);
    int n = i2d_X509(sk_X509_value(chain, 0), &der);
    if (n > 0 && alpn_certificate_read(arena, (struct str){(const char *)der, (size_t)n}, &facts) == OK) {
        answer->san = facts.names;
        answer->self_signed = facts.self_signed;
        answer->has_extension = facts.has_extension;
        answer->critical = facts.critical;
        answer->obsolete = facts.obsolete;
        answer->digest = facts.digest;
    }
    OPENSSL_free(der);
}

static void succeed(struct handshake_edge *self, struct hall *hall, struct shake *shake)
{
    struct tls_answer *answer = &shake->answer->as.tls_answer;
    const unsigned char *alpn;
    unsigned n;
    SSL_get0_alpn_selected(shake->ssl, &alpn, &n);
    answer->alpn = str_copy(&shake->answer->arena, (struct str){(const char *)alpn, n});
    note_certificate(&shake->answer->arena, shake->ssl, answer);
    finish(self, hall, shake, DELIVER_WHOLE);
}

static void fail(struct handshake_edge *self, struct hall *hall, struct shake *shake, int error, int system_error)
{
    enum delivery_how how = DELIVER_GARBAGE;
    unsigned long queued = ERR_peek_error();
    int reason = ERR_GET_REASON(queued);
    if (error == SSL_ERROR_SYSCALL || system_error == ECONNRESET)
        how = system_error == ECONNRESET || system_error == EPIPE ? DELIVER_RESET : DELIVER_CLOSED;
    else if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) how = DELIVER_CLOSED;
    else if (reason > SSL_AD_REASON_OFFSET && reason <= SSL_AD_REASON_OFFSET + 255) {
        const char *text = alert_text(reason - SSL_AD_REASON_OFFSET);
        shake->answer->as.tls_answer.alert = str_copy(&shake->answer->arena, str_c(text));
        how = DELIVER_WHOLE;
    }
    ERR_clear_error();
    finish(self, hall, shake, how);
}

/* --- its course --- */

/* An HTTP response in place of a record is that of a server to which our hello was nonsense. */
static void on_record(int sent, int version, int type, const void *at, size_t n, SSL *ssl, void *context)
{
    (void)version, (void)ssl;
    struct shake *shake = context;
    if (!sent && type == SSL3_RT_HEADER && n == 5 && memcmp(at, "HTTP/", 5) == 0)
        shake->answer->as.tls_answer.plain_http = true;
}

static bool make_ssl(struct handshake_edge *self, struct shake *shake)
{
    char name[MAX_NAME + 1], alpn[256];
    const struct tls_hello *hello = &shake->hello->as.tls_hello;
    if (!self->context) {
        self->context = SSL_CTX_new(TLS_client_method());
        if (!self->context) no_memory();
        SSL_CTX_set_min_proto_version(self->context, TLS1_2_VERSION);
        SSL_CTX_set_security_level(self->context, 0); /* it is for the CA to say what is too weak */
    }
    if (hello->name.n > MAX_NAME || hello->alpn.n > 255 || hello->alpn.n == 0) return false;
    shake->ssl = SSL_new(self->context);
    if (!shake->ssl) no_memory();
    SSL_set_msg_callback(shake->ssl, on_record);
    SSL_set_msg_callback_arg(shake->ssl, shake);
    if (hello->name.n) memcpy(name, hello->name.at, hello->name.n);
    name[hello->name.n] = 0;
    alpn[0] = (char)hello->alpn.n;
    memcpy(alpn + 1, hello->alpn.at, hello->alpn.n);
    return SSL_set_fd(shake->ssl, shake->fd) == 1 && SSL_set_tlsext_host_name(shake->ssl, name) == 1 &&
           SSL_set_alpn_protos(shake->ssl, (const unsigned char *)alpn, (unsigned)hello->alpn.n + 1) == 0;
}

static void begin(struct handshake_edge *self, struct shake *shake)
{
    struct place place;
    struct str to = shake->hello->as.tls_hello.connect;
    if (!to.n) to = str_c(self->connect_to);
    if (place_read(to, &place)) shake->fd = place_connect(&place, SOCK_STREAM);
    if (shake->fd < 0) {
        shake->due_ms = 0; /* at the next turn: `send` may not answer at once */
        return;
    }
    self->n_open++;
    shake->wants_write = true;
    if (!make_ssl(self, shake)) shake->due_ms = 0;
}

/* false: the handshake is over. */
static bool still_connects(struct handshake_edge *self, struct hall *hall, struct shake *shake)
{
    int error = 0;
    socklen_t n = sizeof error;
    if (getsockopt(shake->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0) error = errno;
    if (error) {
        finish(self, hall, shake, error == ETIMEDOUT ? DELIVER_HANG : DELIVER_REFUSED);
        return false;
    }
    shake->connected = true;
    return true;
}

static void go_on(struct handshake_edge *self, struct hall *hall, struct shake *shake)
{
    if (!shake->connected && !still_connects(self, hall, shake)) return;
    ERR_clear_error();
    errno = 0;
    int result = SSL_connect(shake->ssl), system_error = errno;
    if (result == 1) {
        succeed(self, hall, shake);
        return;
    }
    int error = SSL_get_error(shake->ssl, result);
    shake->wants_write = error == SSL_ERROR_WANT_WRITE;
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) fail(self, hall, shake, error, system_error);
}

/* --- the edge --- */

static void handshake_send(struct edge *edge, struct hall *hall, struct msg *msg)
{
    struct handshake_edge *self = (struct handshake_edge *)edge;
    if (msg->kind != MSG_TLS_HELLO) {
        msg_free(msg);
        return;
    }
    struct shake *shake = calloc(1, sizeof *shake), **last = &self->shakes;
    if (!shake) no_memory();
    *shake = (struct shake){.hello = msg, .answer = msg_new(MSG_TLS_ANSWER), .fd = -1};
    shake->due_ms = hall_now_ms(hall) + self->limit_ms;
    while (*last)
        last = &(*last)->next;
    *last = shake;
    if (self->n_open < MAX_OPEN) begin(self, shake);
}

static void handshake_prepare(struct edge *edge, struct edge_wait *wait)
{
    struct handshake_edge *self = (struct handshake_edge *)edge;
    for (struct shake *shake = self->shakes; shake; shake = shake->next) {
        if (shake->due_ms < wait->due_ms) wait->due_ms = shake->due_ms;
        if (shake->fd < 0) continue;
        FD_SET(shake->fd, shake->wants_write ? &wait->write : &wait->read);
        if (shake->fd > wait->max_fd) wait->max_fd = shake->fd;
    }
}

static void handshake_ready(struct edge *edge, struct hall *hall, const struct edge_wait *wait)
{
    struct handshake_edge *self = (struct handshake_edge *)edge;
    for (struct shake *next, *shake = self->shakes; shake; shake = next) {
        next = shake->next;
        if (shake->due_ms == 0) finish(self, hall, shake, DELIVER_REFUSED);
        else if (shake->due_ms <= hall_now_ms(hall)) finish(self, hall, shake, DELIVER_HANG);
        else if (shake->fd < 0 && self->n_open < MAX_OPEN) begin(self, shake);
        else if (shake->fd >= 0 && (FD_ISSET(shake->fd, &wait->read) || FD_ISSET(shake->fd, &wait->write)))
            go_on(self, hall, shake);
    }
}

static void handshake_free(struct edge *edge)
{
    struct handshake_edge *self = (struct handshake_edge *)edge;
    while (self->shakes)
        shake_free(self, self->shakes);
    SSL_CTX_free(self->context);
    free(self->connect_to);
    free(self);
}

struct edge *edge_handshake_new(const struct edge_handshake_options *options)
{
    struct handshake_edge *self = calloc(1, sizeof *self);
    if (!self) no_memory();
    self->edge = (struct edge){handshake_send, handshake_prepare, handshake_ready, handshake_free};
    self->limit_ms = options->limit_ms > 0 ? options->limit_ms : LIMIT_MS;
    self->connect_to = options->connect_to ? strdup(options->connect_to) : NULL;
    if (options->connect_to && !self->connect_to) no_memory();
    return &self->edge;
}
