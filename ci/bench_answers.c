/* The load generator of ci/bench for challenge responders: N clients in a closed loop, against pebble-challtestsrv or
 * what speaks its management interface, where it first pins up one proof for each client.
 *
 * KIND is one of
 *   http-closing  http-01, a connection for each answer, as validators do it
 *   http-kept     http-01, as many answers on a connection as the server allows
 *   dns           A and TXT over UDP, 12 queries of each client on their way at a time
 *   tls           tls-alpn-01: a handshake, and the end of the connection
 *   memory        half http-kept, half dns, in four turns: what the server keeps of them
 *
 * One JSON object on stdout. Exit status: 0 every answer was right, 1 some were not, 2 it could not begin. */
#include "bench_common.h"

#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    MAX_CLIENTS = 64,
    WINDOW = 12, /* DNS queries of a client on their way */
    MAX_EVENTS = 64,
    MAX_IN = 4096,
    MAX_QUERY = 128,
    SILENCE_MS = 1000, /* after which something was lost */
    MAX_ERRORS = 100,
    DNS_HEADER = 12
};

enum kind { HTTP_CLOSING, HTTP_KEPT, DNS, TLS, MEMORY, KINDS };
static const char *const kinds[KINDS] = {"http-closing", "http-kept", "dns", "tls", "memory"};

static struct options {
    enum kind kind;
    int clients, pid, http_port, dns_port, tls_port, management_port;
    int64_t seconds, warm_ms, answers;
} options = {.clients = 8, .seconds = 3, .warm_ms = 300, .answers = INT64_MAX};

/* What is going on now: until the time is over or enough was answered. */
static struct {
    int64_t until_us, limit;
    atomic_int_fast64_t answers, errors;
    atomic_bool complained;
} run;

/* The first thing that went wrong is told, the rest only counted. */
static void note_error(const char *text)
{
    atomic_fetch_add(&run.errors, 1);
    if (!atomic_exchange(&run.complained, true)) fprintf(stderr, "bench_answers: %s: %s\n", kinds[options.kind], text);
}

static bool over(void)
{
    return atomic_load(&run.answers) >= run.limit || atomic_load(&run.errors) >= MAX_ERRORS || now_us() > run.until_us;
}

static int dial(int kind, int port)
{
    struct sockaddr_in there = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = ANSWER_LIMIT_S};
    int fd = socket(AF_INET, kind | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&there, sizeof there) == 0) return fd;
    close(fd);
    return -1;
}

/* --- http-01 and DNS: all clients in one thread --- */
struct client {
    unsigned number;
    int fd;
    bool keep;
    char request[256], proof[128];
    size_t request_n;
    char in[MAX_IN + 1];
    size_t n;
    char queries[WINDOW][MAX_QUERY];
    size_t query_n[WINDOW];
};
static struct client clients[MAX_CLIENTS];
static int epoll_fd;

static bool client_open(struct client *client, int kind, int port)
{
    client->fd = dial(kind, port);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (client->fd >= 0 && epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event) == 0) return true;
    note_error("cannot connect");
    return false;
}

static void client_close(struct client *client)
{
    if (client->fd >= 0) close(client->fd);
    client->fd = -1;
}

static void http_ask(struct client *client)
{
    client->n = 0;
    if (client->fd < 0 && !client_open(client, SOCK_STREAM, options.http_port)) return;
    if (write(client->fd, client->request, client->request_n) == (ssize_t)client->request_n) return;
    note_error("cannot send a request");
    client_close(client);
}

/* With what has come: 1 whole and right, 0 not whole yet, -1 wrong. */
static int http_judge(const struct client *client)
{
    const char *body = strstr(client->in, "\r\n\r\n");
    if (!body) return 0;
    body += 4;
    size_t length = strlen(client->proof);
    if ((size_t)(client->in + client->n - body) < length) return 0;
    return strncmp(client->in, "HTTP/1.1 200 ", 13) == 0 && memcmp(body, client->proof, length) == 0 ? 1 : -1;
}

static void http_ready(struct client *client)
{
    ssize_t got = recv(client->fd, client->in + client->n, MAX_IN - client->n, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got > 0) client->n += (size_t)got;
    client->in[client->n] = '\0';
    int verdict = http_judge(client);
    bool ended = got <= 0, stays = client->keep && !strcasestr(client->in, "\r\nConnection: close");
    if (verdict > 0 && (ended || stays)) {
        atomic_fetch_add_explicit(&run.answers, 1, memory_order_relaxed);
    } else if (verdict < 0 || ended) {
        note_error(verdict < 0 ? "a wrong answer" : "a connection ended early");
        ended = true;
    } else {
        return;
    }
    if (ended) client_close(client);
    http_ask(client);
}

static size_t query_write(char *to, const char *name, int type, unsigned id)
{
    size_t n = DNS_HEADER;
    memset(to, 0, DNS_HEADER);
    to[0] = (char)(id >> 8), to[1] = (char)id;
    to[2] = 1; /* recursion desired */
    to[5] = 1; /* one question */
    for (const char *label = name; *label;) {
        size_t length = strcspn(label, ".");
        to[n++] = (char)length;
        memcpy(to + n, label, length);
        n += length;
        label += length + (label[length] == '.');
    }
    to[n++] = 0;
    to[n++] = 0, to[n++] = (char)type;
    to[n++] = 0, to[n++] = 1;
    return n;
}

static void dns_prepare(struct client *client)
{
    char name[64];
    for (unsigned i = 0; i < WINDOW; i++) {
        bool is_text = i % 2;
        snprintf(name, sizeof name, is_text ? "_acme-challenge.n%u.bench.test" : "n%u.bench.test", client->number);
        client->query_n[i] = query_write(client->queries[i], name, is_text ? 16 : 1, i);
    }
}

static void dns_ask(struct client *client, size_t first, size_t n)
{
    struct mmsghdr out[WINDOW] = {0};
    struct iovec parts[WINDOW];
    for (size_t i = 0; i < n; i++) {
        parts[i] = (struct iovec){client->queries[first + i], client->query_n[first + i]};
        out[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    if (sendmmsg(client->fd, out, (unsigned)n, 0) != (int)n) note_error("cannot send queries");
}

/* The answer to one of ours, without an error, with a record. */
static bool dns_judge(const char *in, size_t n)
{
    return n > DNS_HEADER && in[0] == 0 && (unsigned char)in[1] < WINDOW && (in[2] & 0x80) && (in[3] & 0x0f) == 0 &&
           in[7] >= 1;
}

static void dns_ready(struct client *client)
{
    static char in[WINDOW][MAX_IN];
    struct mmsghdr got[WINDOW] = {0};
    struct mmsghdr out[WINDOW] = {0};
    struct iovec parts[WINDOW], again[WINDOW];
    unsigned n_out = 0;
    for (int i = 0; i < WINDOW; i++) {
        parts[i] = (struct iovec){in[i], MAX_IN};
        got[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int n = recvmmsg(client->fd, got, WINDOW, MSG_DONTWAIT, NULL);
    for (int i = 0; i < n; i++) {
        if (!dns_judge(in[i], got[i].msg_len)) {
            note_error("a wrong answer");
            continue;
        }
        atomic_fetch_add_explicit(&run.answers, 1, memory_order_relaxed);
        unsigned id = (unsigned char)in[i][1];
        again[n_out] = (struct iovec){client->queries[id], client->query_n[id]};
        out[n_out].msg_hdr = (struct msghdr){.msg_iov = &again[n_out], .msg_iovlen = 1};
        n_out++;
    }
    if (n_out && sendmmsg(client->fd, out, n_out, 0) != (int)n_out) note_error("cannot send queries");
}

static void loop_begin(enum kind kind, struct client *client)
{
    client->keep = kind == HTTP_KEPT;
    client->fd = -1;
    if (kind == DNS) {
        dns_prepare(client);
        if (client_open(client, SOCK_DGRAM, options.dns_port)) dns_ask(client, 0, WINDOW);
        return;
    }
    client->request_n = (size_t)snprintf(client->request, sizeof client->request,
                                         "GET /.well-known/acme-challenge/token-%u HTTP/1.1\r\nHost: n%u.bench.test\r\n"
                                         "User-Agent: bench_answers\r\n%s\r\n",
                                         client->number, client->number, client->keep ? "" : "Connection: close\r\n");
    snprintf(client->proof, sizeof client->proof, "token-%u.proof-of-bench", client->number);
    http_ask(client);
}

static void loop(enum kind kind)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < options.clients; i++)
        loop_begin(kind, &clients[i]);
    while (!over()) {
        struct epoll_event events[MAX_EVENTS];
        int n = epoll_wait(epoll_fd, events, MAX_EVENTS, SILENCE_MS);
        if (n == 0) {
            note_error("no answer for a second");
            for (int i = 0; i < options.clients; i++) {
                client_close(&clients[i]);
                loop_begin(kind, &clients[i]);
            }
        }
        for (int i = 0; i < n; i++)
            if (kind == DNS) dns_ready(events[i].data.ptr);
            else http_ready(events[i].data.ptr);
    }
    for (int i = 0; i < options.clients; i++)
        client_close(&clients[i]);
    close(epoll_fd);
}

/* --- tls-alpn-01: a thread for each client --- */
static SSL_CTX *tls;

static bool tls_shake(unsigned number)
{
    char host[64], rest[MAX_IN];
    const unsigned char *protocol = NULL;
    unsigned protocol_n = 0;
    int fd = dial(SOCK_STREAM, options.tls_port);
    if (fd < 0) return false;
    SSL *ssl = SSL_new(tls);
    snprintf(host, sizeof host, "n%u.bench.test", number);
    SSL_set_tlsext_host_name(ssl, host);
    bool good = SSL_set_fd(ssl, fd) == 1 && SSL_connect(ssl) == 1;
    if (good) SSL_get0_alpn_selected(ssl, &protocol, &protocol_n);
    good = protocol_n == 10 && memcmp(protocol, "acme-tls/1", 10) == 0;
    /* Nothing may be left unread, or the end would be a reset. */
    shutdown(fd, SHUT_WR);
    while (read(fd, rest, sizeof rest) > 0) {
    }
    SSL_free(ssl);
    close(fd);
    return good;
}

static void *tls_main(void *at)
{
    while (!over()) {
        if (tls_shake(((struct client *)at)->number)) atomic_fetch_add(&run.answers, 1);
        else note_error("a handshake failed");
    }
    return NULL;
}

static void tls_loop(void)
{
    pthread_t threads[MAX_CLIENTS];
    for (int i = 0; i < options.clients; i++)
        if (pthread_create(&threads[i], NULL, tls_main, &clients[i]) != 0) abort();
    for (int i = 0; i < options.clients; i++)
        pthread_join(threads[i], NULL);
}

/* --- the interface --- */
static bool tell(const char *path, const char *body)
{
    char text[1024];
    int fd = dial(SOCK_STREAM, options.management_port), status = 0;
    if (fd < 0) return false;
    int n = snprintf(text, sizeof text,
                     "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n"
                     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                     path, options.management_port, strlen(body), body);
    bool sent = write(fd, text, (size_t)n) == n;
    ssize_t got = sent ? read(fd, text, sizeof text - 1) : 0;
    close(fd);
    if (got <= 0) return false;
    text[got] = '\0';
    return sscanf(text, "HTTP/1.%*1d %d", &status) == 1 && status == 200;
}

static bool pin_up(unsigned number)
{
    char http[256], txt[256], alpn[256];
    snprintf(http, sizeof http, "{\"token\": \"token-%u\", \"content\": \"token-%u.proof-of-bench\"}", number, number);
    snprintf(txt, sizeof txt,
             "{\"host\": \"_acme-challenge.n%u.bench.test.\", \"value\": "
             "\"LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ\"}",
             number);
    snprintf(alpn, sizeof alpn, "{\"host\": \"n%u.bench.test\", \"content\": \"token-%u.proof-of-bench\"}", number,
             number);
    return tell("/add-http01", http) && tell("/set-txt", txt) && tell("/add-tlsalpn01", alpn);
}

static bool pin_all_up(void)
{
    int64_t until_us = now_us() + START_LIMIT_MS * INT64_C(1000);
    for (int i = 0; i < options.clients; i++) {
        clients[i].number = (unsigned)i;
        /* It may be starting. */
        while (!pin_up((unsigned)i)) {
            if (now_us() > until_us) return false;
            sleep_us(10000);
        }
    }
    return true;
}

/* --- the run --- */
static void phase(enum kind kind, int64_t us, int64_t limit)
{
    run.limit = limit;
    run.until_us = now_us() + us;
    atomic_store(&run.answers, 0);
    if (kind == TLS) tls_loop();
    else loop(kind);
}

static void measure(void)
{
    phase(options.kind, options.warm_ms * 1000, INT64_MAX);
    struct usage before = usage_now(options.pid);
    int64_t began_us = now_us();
    phase(options.kind, options.seconds * 1000000, options.answers);
    int64_t wall_us = now_us() - began_us, answers = run.answers;
    struct usage after = usage_now(options.pid);
    double each = answers ? (double)answers : 1;
    printf("{\"answers\": %lld, \"errors\": %lld, \"rate\": %.1f, \"server_us\": %.3f, \"own_us\": %.3f, "
           "\"server_kib\": %lld}\n",
           (long long)answers, (long long)run.errors, (double)answers * 1e6 / (double)wall_us,
           (double)(after.server_us - before.server_us) / each, (double)(after.own_us - before.own_us) / each,
           (long long)after.server_kib);
}

static void measure_memory(void)
{
    struct usage at[3] = {usage_now(options.pid)};
    int64_t answers = 0;
    for (int half = 1; half <= 2; half++) {
        for (int turn = 0; turn < 2; turn++) {
            phase(turn ? DNS : HTTP_KEPT, options.seconds * 1000000, options.answers / 4);
            answers += run.answers;
        }
        at[half] = usage_now(options.pid);
    }
    printf("{\"answers\": %lld, \"errors\": %lld, \"start_kib\": %lld, \"half_kib\": %lld, \"server_kib\": %lld, "
           "\"grown_kib\": %lld}\n",
           (long long)answers, (long long)run.errors, (long long)at[0].server_kib, (long long)at[1].server_kib,
           (long long)at[2].server_kib, (long long)(at[2].server_kib - at[1].server_kib));
}

enum { OPT_WARM = 256, OPT_HTTP_PORT, OPT_DNS_PORT, OPT_TLS_PORT, OPT_MANAGEMENT_PORT, OPT_PID };

/* clang-format off */
static const struct argp_option argp_options[] = {
    {"clients", 'c', "N", 0, "clients (8)", 0},
    {"seconds", 't', "N", 0, "at most so long for the measurement, or each turn of it (3)", 0},
    {"answers", 'n', "N", 0, "at most so many are measured", 0},
    {"warm", OPT_WARM, "MS", 0, "so long before, not counted (300)", 0},
    {"http-port", OPT_HTTP_PORT, "N", 0, "of http-01", 0},
    {"dns-port", OPT_DNS_PORT, "N", 0, "of DNS", 0},
    {"tls-port", OPT_TLS_PORT, "N", 0, "of tls-alpn-01", 0},
    {"management-port", OPT_MANAGEMENT_PORT, "N", 0, "of the interface", 0},
    {"pid", OPT_PID, "N", 0, "the server's process: its CPU time and memory are read", 0},
    {0}
};
/* clang-format on */

static error_t options_parse(int key, char *word, struct argp_state *state)
{
    int64_t value = 0;
    if (key == ARGP_KEY_ARG) {
        for (enum kind kind = 0; kind < KINDS; kind++)
            if (strcmp(word, kinds[kind]) == 0) options.kind = kind;
        if (strcmp(word, kinds[options.kind]) != 0) argp_error(state, "\"%s\" is no kind of answers", word);
        return 0;
    }
    if (word && (!str_int(str_c(word), &value) || value < 0 || value > INT32_MAX))
        argp_error(state, "\"%s\" is not a whole number", word);
    switch (key) {
    case 'c':
        if (value < 1 || value > MAX_CLIENTS) argp_error(state, "1 to %d clients", MAX_CLIENTS);
        options.clients = (int)value;
        break;
    case 't': options.seconds = value; break;
    case 'n': options.answers = value; break;
    case OPT_WARM: options.warm_ms = value; break;
    case OPT_HTTP_PORT: options.http_port = (int)value; break;
    case OPT_DNS_PORT: options.dns_port = (int)value; break;
    case OPT_TLS_PORT: options.tls_port = (int)value; break;
    case OPT_MANAGEMENT_PORT: options.management_port = (int)value; break;
    case OPT_PID: options.pid = (int)value; break;
    case ARGP_KEY_NO_ARGS: argp_usage(state); break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const char doc[] = "Asks challenge responders in a closed loop and prints as JSON what that took.";
    static const unsigned char protocols[] = "\x0a"
                                             "acme-tls/1";
    const struct argp argp = {argp_options, options_parse, "KIND", doc, NULL, NULL, NULL};
    argp_err_exit_status = STATUS_NOT_BEGUN;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    signal(SIGPIPE, SIG_IGN);
    tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_alpn_protos(tls, protocols, sizeof protocols - 1);
    if (!pin_all_up()) {
        fprintf(stderr, "bench_answers: no interface that takes proofs at port %d\n", options.management_port);
        return STATUS_NOT_BEGUN;
    }
    if (options.kind == MEMORY) measure_memory();
    else measure();
    SSL_CTX_free(tls);
    return run.errors ? STATUS_FAILED : STATUS_GOOD;
}
