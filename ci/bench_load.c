/* The load generator of ci/bench: N ACME accounts that obtain certificates in a closed loop, one thread and one TLS
 * connection each.
 *
 * An issuance is 7 signed POSTs: newOrder, authz, challenge, authz again, finalize, order, certificate. The two polls
 * are repeated, with a short sleep between, only while the object is not final yet. Retry-After is ignored on purpose:
 * this is a stopwatch, not a client to imitate. Account, connection and nonce are kept. With --http-port it answers
 * http-01 for its own names, with
 * --dns-port every A query with 127.0.0.1.
 *
 * With a PROGRAM it starts that instead, and measures the time to the first 200 on the directory (certificate not
 * checked: some servers write their root while they start).
 *
 * One JSON object on stdout. Exit status: 0 every issuance went well, 1 some did not, 2 it could not begin. */
#include "acme/jws.h"
#include "acme/resource.h"
#include "acme/x509.h"
#include "wire/dns.h"

#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    STATUS_GOOD = 0,
    STATUS_FAILED = 1,
    STATUS_NOT_BEGUN = 2,
    DEFAULT_SECONDS = 60,
    DEFAULT_ISSUANCES = 1000,
    ANSWER_LIMIT_S = 5, /* a server that says nothing for so long hangs */
    START_LIMIT_MS = 10000,
    START_PROBE_US = 200, /* between two attempts to connect to a server that is starting */
    POLL_SLEEP_US = 500,
    MAX_ERRORS = 3, /* of one worker, in a row */
    MAX_WORKERS = 1024,
    MAX_ANSWER = 256 * 1024
};

struct options {
    const char *directory, *trust;
    char **program;
    int workers, http_port, dns_port, pid;
    int64_t seconds, issuances, warm;
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void sleep_us(int64_t us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

/* --- one connection: HTTP/1.1 over TLS, kept alive --- */
struct conn {
    int fd;
    SSL *ssl;
    bool hung; /* no answer within ANSWER_LIMIT_S */
    char in[MAX_ANSWER + 1];
    size_t n;
};
struct answer {
    int status;
    struct str nonce, location, body;
};

static void conn_close(struct conn *conn)
{
    if (conn->ssl) SSL_free(conn->ssl);
    if (conn->fd >= 0) close(conn->fd);
    conn->ssl = NULL;
    conn->fd = -1;
    conn->n = 0;
}

static int conn_dial(const struct url *url)
{
    char host[256], port[8];
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    snprintf(host, sizeof host, "%.*s", STR_ARGS(url->host));
    snprintf(port, sizeof port, "%d", url->port);
    if (strcmp(host, "localhost") == 0) snprintf(host, sizeof host, "127.0.0.1");
    if (getaddrinfo(host, port, &hints, &found) != 0) return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    if (fd < 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = ANSWER_LIMIT_S}, sizeof(struct timeval));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &(struct timeval){.tv_sec = ANSWER_LIMIT_S}, sizeof(struct timeval));
    return fd;
}

/* The context decides whether the certificate is checked; the name it must have is the URL's. */
static bool conn_open(struct conn *conn, SSL_CTX *tls, const struct url *url)
{
    char host[256];
    snprintf(host, sizeof host, "%.*s", STR_ARGS(url->host));
    conn->fd = conn_dial(url);
    if (conn->fd < 0) return false;
    conn->ssl = SSL_new(tls);
    bool is_address = inet_addr(host) != INADDR_NONE;
    if (is_address) X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(conn->ssl), host);
    else SSL_set1_host(conn->ssl, host);
    if (!is_address) SSL_set_tlsext_host_name(conn->ssl, host);
    if (SSL_set_fd(conn->ssl, conn->fd) == 1 && SSL_connect(conn->ssl) == 1) return true;
    conn_close(conn);
    return false;
}

static bool conn_read(struct conn *conn)
{
    if (conn->n == MAX_ANSWER) return false;
    int n = SSL_read(conn->ssl, conn->in + conn->n, (int)(MAX_ANSWER - conn->n));
    if (n > 0) {
        conn->n += (size_t)n;
        conn->in[conn->n] = '\0';
        return true;
    }
    conn->hung = SSL_get_error(conn->ssl, n) == SSL_ERROR_WANT_READ;
    return false;
}

/* Header fields that matter here, from the text between status line and empty line. */
static void head_read(struct str head, struct answer *answer, size_t *ret_length, bool *ret_chunked)
{
    struct str line, name, value;
    int64_t length = 0;
    while (head.n) {
        if (!str_cut(head, '\n', &line, &head)) head.n = 0;
        if (!str_cut(line, ':', &name, &value)) continue;
        value = str_trim(value);
        if (str_is_nocase(name, "replay-nonce")) answer->nonce = value;
        else if (str_is_nocase(name, "location")) answer->location = value;
        else if (str_is_nocase(name, "content-length")) str_int(value, &length);
        else if (str_is_nocase(name, "transfer-encoding")) *ret_chunked = str_is_nocase(value, "chunked");
    }
    *ret_length = (size_t)length;
}

/* Takes the chunks of a body that begins at `from`; the whole answer is in memory afterwards. */
static bool conn_read_chunks(struct conn *conn, size_t from, struct buf *body)
{
    for (;;) {
        const char *line_end;
        while (!(line_end = strstr(conn->in + from, "\r\n")))
            if (!conn_read(conn)) return false;
        size_t size = strtoul(conn->in + from, NULL, 16);
        size_t start = (size_t)(line_end - conn->in) + 2;
        if (size > MAX_ANSWER) return false;
        while (conn->n < start + size + 2)
            if (!conn_read(conn)) return false;
        if (size == 0) return true;
        buf_add(body, (struct str){conn->in + start, size});
        from = start + size + 2;
    }
}

/* Sends one request and reads its answer, whose texts are in the arena. */
static bool conn_exchange(struct conn *conn, struct arena *arena, struct str request, bool bodiless, struct answer *ret)
{
    const char *head_end;
    size_t length = 0;
    bool chunked = false;
    *ret = (struct answer){0};
    conn->n = 0;
    conn->in[0] = '\0';
    if (SSL_write(conn->ssl, request.at, (int)request.n) != (int)request.n) return false;
    while (!(head_end = strstr(conn->in, "\r\n\r\n")))
        if (!conn_read(conn)) return false;
    size_t head = (size_t)(head_end - conn->in) + 4;
    if (sscanf(conn->in, "HTTP/1.%*1d %d", &ret->status) != 1) return false;
    /* Copied before more is read: the answer's texts outlive the buffer's next use. */
    head_read(str_copy(arena, (struct str){conn->in, head}), ret, &length, &chunked);
    if (bodiless) return true;
    struct buf body = {.arena = arena};
    if (chunked) {
        if (!conn_read_chunks(conn, head, &body)) return false;
    } else {
        if (length > MAX_ANSWER - head) return false;
        while (conn->n < head + length)
            if (!conn_read(conn)) return false;
        buf_add(&body, (struct str){conn->in + head, length});
    }
    ret->body = buf_str(&body);
    return true;
}

/* --- the run as a whole --- */
static struct run {
    const struct options *options;
    SSL_CTX *tls;
    struct directory_doc directory;  /* its arena lives as long as the process */
    atomic_int_fast64_t taken, done; /* issuances begun and ended well in this phase */
    int64_t *took_us;                /* of those that are done */
    int64_t limit, began_us, deadline_us;
    atomic_int_fast64_t errors, polls, requests;
    atomic_bool stopped, hung, complained;
    pthread_barrier_t gate;
} run;

struct worker {
    unsigned number;
    struct key *account, *subject;
    struct str thumbprint, kid;
    struct url server;
    struct conn conn;
    struct arena keep, arena; /* of the worker, of one issuance */
    char nonce[256];
    uint64_t names;
    pthread_t thread;
};
static struct worker *workers;

/* The first thing that went wrong is told, the rest only counted. */
__attribute__((format(printf, 1, 2))) static bool run_complain(const char *fmt, ...)
{
    va_list ap;
    if (atomic_exchange(&run.complained, true)) return false;
    va_start(ap, fmt);
    fputs("bench_load: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    return false;
}

static bool worker_send(struct worker *worker, const char *method, struct str url, struct str body, struct answer *ret)
{
    struct url parts;
    struct arena *arena = &worker->arena;
    if (url_parse(url, &parts) != OK) return run_complain("%.*s is no URL", STR_ARGS(url));
    struct buf request = {.arena = arena};
    buf_fmt(&request, "%s %.*s HTTP/1.1\r\nHost: %.*s:%d\r\nContent-Length: %zu\r\n", method, STR_ARGS(parts.path),
            STR_ARGS(parts.host), parts.port, body.n);
    buf_add_c(&request, "User-Agent: bench_load\r\nContent-Type: application/jose+json\r\n\r\n");
    buf_add(&request, body);
    atomic_fetch_add_explicit(&run.requests, 1, memory_order_relaxed);
    if (!conn_exchange(&worker->conn, arena, buf_str(&request), strcmp(method, "HEAD") == 0, ret)) {
        if (worker->conn.hung) atomic_store(&run.hung, true);
        return run_complain("%.*s: %s", STR_ARGS(url),
                            worker->conn.hung ? "no answer, it hangs" : "the connection ended");
    }
    if (ret->nonce.n && ret->nonce.n < sizeof worker->nonce) {
        memcpy(worker->nonce, ret->nonce.at, ret->nonce.n);
        worker->nonce[ret->nonce.n] = '\0';
    }
    return true;
}

/* A signed POST; anything but `expected` is an error, but for an account that exists already. */
static bool worker_post(struct worker *worker, struct str url, struct str payload, int expected, struct answer *ret)
{
    struct str body;
    struct jws_header header = {
        .nonce = str_copy(&worker->arena, str_c(worker->nonce)), .url = url, .kid = worker->kid};
    if (jws_seal(&worker->arena, worker->account, &header, payload, &body) != OK) return run_complain("cannot sign");
    if (!worker_send(worker, "POST", url, body, ret)) return false;
    if (ret->status == expected || (!worker->kid.at && ret->status == 200)) return true;
    return run_complain("%.*s: %d %.*s", STR_ARGS(url), ret->status, STR_ARGS(ret->body));
}

/* A new connection with its first nonce. */
static bool worker_connect(struct worker *worker)
{
    struct answer answer = {0};
    conn_close(&worker->conn);
    if (!conn_open(&worker->conn, run.tls, &worker->server)) return run_complain("cannot connect");
    return worker_send(worker, "HEAD", run.directory.new_nonce, STR(""), &answer);
}

static bool worker_register(struct worker *worker)
{
    struct answer answer = {0};
    struct account_doc wish = {.terms_agreed = true};
    bool good = worker_connect(worker) &&
                worker_post(worker, run.directory.new_account, account_request(&worker->arena, &wish), 201, &answer);
    if (good) worker->kid = str_copy(&worker->keep, answer.location);
    arena_clear(&worker->arena);
    return good;
}

/* Reads an object until it has left the passing states. The first look is at once and part of every issuance. */
static bool poll_again(int64_t since_us)
{
    if (now_us() - since_us > ANSWER_LIMIT_S * INT64_C(1000000)) return run_complain("an object never became valid");
    atomic_fetch_add_explicit(&run.polls, 1, memory_order_relaxed);
    sleep_us(POLL_SLEEP_US);
    return true;
}

static bool authz_wait(struct worker *worker, struct str url)
{
    int64_t since_us = now_us();
    struct answer answer = {0};
    struct authz_doc authz;
    do {
        if (!worker_post(worker, url, STR(""), 200, &answer)) return false;
        if (authz_read(&worker->arena, answer.body, &authz) != OK) return run_complain("a bad authorization");
        if (str_is(authz.status, "valid")) return true;
        if (!str_is(authz.status, "pending")) return run_complain("authorization failed: %.*s", STR_ARGS(answer.body));
    } while (poll_again(since_us));
    return false;
}

static bool order_wait(struct worker *worker, struct str url, struct order_doc *ret)
{
    int64_t since_us = now_us();
    struct answer answer = {0};
    do {
        if (!worker_post(worker, url, STR(""), 200, &answer)) return false;
        if (order_read(&worker->arena, answer.body, ret) != OK) return run_complain("a bad order");
        if (str_is(ret->status, "valid")) return true;
        if (str_is(ret->status, "invalid")) return run_complain("order failed: %.*s", STR_ARGS(answer.body));
    } while (poll_again(since_us));
    return false;
}

static bool authz_answer(struct worker *worker, struct str url)
{
    struct answer answer = {0};
    struct authz_doc authz;
    if (!worker_post(worker, url, STR(""), 200, &answer)) return false;
    if (authz_read(&worker->arena, answer.body, &authz) != OK) return run_complain("a bad authorization");
    for (size_t i = 0; i < authz.n_challenges; i++)
        if (str_is(authz.challenges[i].type, "http-01"))
            return worker_post(worker, authz.challenges[i].url, STR("{}"), 200, &answer) && authz_wait(worker, url);
    return run_complain("no http-01 offered");
}

static bool worker_issue(struct worker *worker)
{
    struct arena *arena = &worker->arena;
    struct answer answer = {0};
    struct str csr;
    struct str name = str_fmt(arena, "n%llu.%u.bench.test", (unsigned long long)worker->names++, worker->number);
    struct identifier_doc identifier = {.type = STR("dns"), .value = name};
    struct order_doc order = {.identifiers = &identifier, .n_identifiers = 1};
    if (!worker_post(worker, run.directory.new_order, order_request(arena, &order), 201, &answer)) return false;
    struct str url = answer.location;
    if (order_read(arena, answer.body, &order) != OK || order.n_authorizations != 1) return run_complain("a bad order");
    if (!authz_answer(worker, order.authorizations[0])) return false;
    if (csr_write(arena, worker->subject, &name, 1, &csr) != OK) return run_complain("cannot write a CSR");
    if (!worker_post(worker, order.finalize, finalize_request(arena, csr), 200, &answer)) return false;
    if (!order_wait(worker, url, &order)) return false;
    if (!worker_post(worker, order.certificate, STR(""), 200, &answer)) return false;
    return str_starts(answer.body, "-----BEGIN CERTIFICATE") || run_complain("no certificate");
}

/* Issues until the phase's number has been begun, its time is over, or too much goes wrong. */
static void worker_phase(struct worker *worker)
{
    int errors = 0;
    while (!atomic_load(&run.stopped)) {
        if (atomic_fetch_add(&run.taken, 1) >= run.limit) break;
        int64_t began_us = now_us();
        if (began_us > run.deadline_us) break;
        if (worker_issue(worker)) {
            run.took_us[atomic_fetch_add(&run.done, 1)] = now_us() - began_us;
            errors = 0;
        } else {
            atomic_fetch_add(&run.errors, 1);
            if (atomic_load(&run.hung) || ++errors == MAX_ERRORS || !worker_connect(worker))
                atomic_store(&run.stopped, true);
        }
        arena_clear(&worker->arena);
    }
}

static void *worker_main(void *at)
{
    struct worker *worker = at;
    if (!worker_register(worker)) atomic_store(&run.stopped, true);
    for (int phase = 0; phase < 2; phase++) {
        pthread_barrier_wait(&run.gate);
        pthread_barrier_wait(&run.gate);
        worker_phase(worker);
    }
    pthread_barrier_wait(&run.gate);
    return NULL;
}

/* --- what proves the names --- */
static void responder_answer(int fd)
{
    char in[4096], out[1024];
    size_t n = 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_sec = 1}, sizeof(struct timeval));
    do {
        ssize_t got = read(fd, in + n, sizeof in - 1 - n);
        if (got <= 0) return;
        n += (size_t)got;
        in[n] = '\0';
    } while (!strstr(in, "\r\n\r\n"));
    char token[256];
    unsigned number;
    const char *host = strcasestr(in, "\r\nHost: ");
    if (sscanf(in, "GET /.well-known/acme-challenge/%255[A-Za-z0-9_-] ", token) != 1) return;
    if (!host || sscanf(host + 8, "n%*u.%u.bench.test", &number) != 1 || number >= (unsigned)run.options->workers)
        return;
    struct str print = workers[number].thumbprint;
    int size = snprintf(out, sizeof out,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nConnection: "
                        "close\r\nContent-Length: %zu\r\n\r\n%s.%.*s",
                        strlen(token) + 1 + print.n, token, STR_ARGS(print));
    if (write(fd, out, (size_t)size) != size) return;
    shutdown(fd, SHUT_WR);
}

static void *responder_main(void *at)
{
    for (;;) {
        int fd = accept4(*(int *)at, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) continue;
        responder_answer(fd);
        close(fd);
    }
    return NULL;
}

static void *resolver_main(void *at)
{
    int fd = *(int *)at;
    struct arena arena = {0};
    for (;; arena_clear(&arena)) {
        char in[1500];
        struct sockaddr_in from;
        socklen_t size = sizeof from;
        struct dns_query query;
        struct str out;
        uint16_t id;
        ssize_t n = recvfrom(fd, in, sizeof in, 0, (struct sockaddr *)&from, &size);
        if (n <= 0) continue;
        struct str packet = {in, (size_t)n};
        if (dns_read_query(&arena, packet, &query, &id) != OK) continue;
        struct dns_answer answer = {.name = query.name, .type = query.type, .rcode = DNS_NOERROR};
        if (query.type == DNS_A) answer.records[answer.n_records++] = STR("127.0.0.1");
        if (dns_write_answer(&arena, &answer, id, query.max_bytes, packet, &out) == OK)
            sendto(fd, out.at, out.n, 0, (struct sockaddr *)&from, size);
    }
    return NULL;
}

/* Binds 127.0.0.1:port and leaves a thread there for as long as the process lives. */
static bool responder_start(int kind, int port, void *(*serve)(void *), int *fd)
{
    pthread_t thread;
    struct sockaddr_in here = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *fd = socket(AF_INET, kind | SOCK_CLOEXEC, 0);
    setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&here, sizeof here) != 0 ||
        (kind == SOCK_STREAM && listen(*fd, 512) != 0) || pthread_create(&thread, NULL, serve, fd) != 0) {
        fprintf(stderr, "bench_load: cannot listen on port %d: %s\n", port, strerror(errno));
        return false;
    }
    return true;
}

/* --- what a process has used --- */
struct usage {
    int64_t server_us, server_kib, own_us;
};

static int64_t usage_us(const struct rusage *of)
{
    return ((int64_t)of->ru_utime.tv_sec + of->ru_stime.tv_sec) * 1000000 + of->ru_utime.tv_usec + of->ru_stime.tv_usec;
}

/* pid 0: nobody's. */
static struct usage usage_now(int pid)
{
    struct usage usage = {0};
    struct rusage own;
    char path[64], text[4096];
    getrusage(RUSAGE_SELF, &own);
    usage.own_us = usage_us(&own);
    if (pid == 0) return usage;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file) {
        unsigned long utime = 0, stime = 0;
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        const char *rest = strrchr(text, ')');
        if (rest && sscanf(rest, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &utime, &stime) == 2)
            usage.server_us = (int64_t)(utime + stime) * (1000000 / sysconf(_SC_CLK_TCK));
        fclose(file);
    }
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    file = fopen(path, "r");
    if (file) {
        long kib;
        while (fgets(text, sizeof text, file))
            if (sscanf(text, "VmRSS: %ld", &kib) == 1) usage.server_kib = kib;
        fclose(file);
    }
    return usage;
}

/* --- a run under load --- */
static int compare_us(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(const int64_t *sorted, size_t n, double part)
{
    return n ? (double)sorted[(size_t)(part * (double)(n - 1) + 0.5)] / 1000 : 0;
}

static void run_print(const struct usage *before, const struct usage *after, int64_t wall_us)
{
    size_t n = (size_t)run.done;
    int64_t *all = run.took_us;
    qsort(all, n, sizeof *all, compare_us);
    double each = n ? (double)n : 1;
    printf("{\"issuances\": %zu, \"errors\": %lld, \"hung\": %s, \"accounts\": %d", n, (long long)run.errors,
           run.hung ? "true" : "false", run.options->workers);
    printf(", \"rate\": %.1f, \"p50_ms\": %.3f, \"p95_ms\": %.3f, \"p99_ms\": %.3f, \"wall_s\": %.3f",
           (double)n * 1e6 / (double)wall_us, percentile_ms(all, n, 0.5), percentile_ms(all, n, 0.95),
           percentile_ms(all, n, 0.99), (double)wall_us / 1e6);
    printf(", \"requests\": %lld, \"repeated_polls\": %lld, \"own_us\": %.1f", (long long)run.requests,
           (long long)run.polls, (double)(after->own_us - before->own_us) / each);
    if (run.options->pid)
        printf(", \"server_us\": %.1f, \"server_kib_before\": %lld, \"server_kib\": %lld, \"server_bytes\": %.1f",
               (double)(after->server_us - before->server_us) / each, (long long)before->server_kib,
               (long long)after->server_kib, (double)(after->server_kib - before->server_kib) * 1024 / each);
    printf("}\n");
}

static bool directory_fetch(struct arena *arena, const struct url *url)
{
    int pid = run.options->pid;
    struct conn *conn = ARENA_NEW(arena, struct conn);
    struct answer answer = {0};
    struct str request = str_fmt(arena, "GET %.*s HTTP/1.1\r\nHost: %.*s:%d\r\n\r\n", STR_ARGS(url->path),
                                 STR_ARGS(url->host), url->port);
    int64_t until_us = now_us() + START_LIMIT_MS * INT64_C(1000);
    /* It may be starting. A process without memory has ended. */
    while (!conn_open(conn, run.tls, url) && now_us() < until_us && (!pid || usage_now(pid).server_kib))
        sleep_us(10000);
    bool good = conn->ssl && conn_exchange(conn, arena, request, false, &answer) && answer.status == 200 &&
                directory_read(arena, answer.body, &run.directory) == OK;
    conn_close(conn);
    return good || run_complain("%s gives no directory", run.options->directory);
}

/* Lets the workers go for `limit` issuances; what had been used until then. */
static struct usage run_phase(int64_t limit)
{
    pthread_barrier_wait(&run.gate);
    run.limit = limit;
    atomic_store(&run.taken, 0);
    atomic_store(&run.done, 0);
    atomic_store(&run.requests, 0);
    atomic_store(&run.polls, 0);
    struct usage usage = usage_now(run.options->pid);
    run.began_us = now_us();
    run.deadline_us = run.began_us + run.options->seconds * 1000000;
    pthread_barrier_wait(&run.gate);
    return usage;
}

static int run_load(const struct options *options)
{
    struct arena arena = {0};
    struct url url;
    int http_fd, dns_fd;
    if (url_parse(str_c(options->directory), &url) != OK || !directory_fetch(&arena, &url)) return STATUS_NOT_BEGUN;
    workers = calloc((size_t)options->workers, sizeof *workers);
    run.took_us = calloc((size_t)(options->warm + options->issuances + 1), sizeof *run.took_us);
    if (!workers || !run.took_us) abort();
    for (int i = 0; i < options->workers; i++) {
        struct worker *worker = &workers[i];
        struct rng rng;
        rng_seed(&rng, 8555 + (uint64_t)i);
        *worker = (struct worker){.number = (unsigned)i, .server = url, .conn.fd = -1};
        worker->account = key_make(KEY_P256, SEALING_REAL, &rng);
        worker->subject = key_make(KEY_P256, SEALING_REAL, &rng);
        worker->thumbprint = key_thumbprint(worker->account, &worker->keep);
    }
    if (options->http_port && !responder_start(SOCK_STREAM, options->http_port, responder_main, &http_fd))
        return STATUS_NOT_BEGUN;
    if (options->dns_port && !responder_start(SOCK_DGRAM, options->dns_port, resolver_main, &dns_fd))
        return STATUS_NOT_BEGUN;

    pthread_barrier_init(&run.gate, NULL, (unsigned)options->workers + 1);
    for (int i = 0; i < options->workers; i++)
        if (pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) != 0) return STATUS_NOT_BEGUN;
    run_phase(options->warm);
    struct usage before = run_phase(options->issuances);
    pthread_barrier_wait(&run.gate);
    int64_t wall_us = now_us() - run.began_us;
    struct usage after = usage_now(options->pid);
    run_print(&before, &after, wall_us);

    for (int i = 0; i < options->workers; i++) {
        struct worker *worker = &workers[i];
        pthread_join(worker->thread, NULL);
        conn_close(&worker->conn);
        key_free(worker->account);
        key_free(worker->subject);
        arena_done(&worker->arena);
    }
    /* The responders' threads may still read workers and their thumbprints: those end with the process. */
    free(run.took_us);
    arena_done(&arena);
    return run.errors || run.stopped ? STATUS_FAILED : STATUS_GOOD;
}

/* --- a start --- */
static pid_t start_program(char **program)
{
    pid_t pid = fork();
    if (pid != 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr))
        _exit(127);
    execvp(program[0], program);
    _exit(127);
}

static int run_start(const struct options *options)
{
    struct arena arena = {0};
    struct url url;
    struct answer answer = {0};
    struct rusage used = {0};
    if (url_parse(str_c(options->directory), &url) != OK) return STATUS_NOT_BEGUN;
    struct conn *conn = ARENA_NEW(&arena, struct conn);
    conn->fd = -1;
    struct str request =
        str_fmt(&arena, "GET %.*s HTTP/1.1\r\nHost: %.*s:%d\r\n\r\n", STR_ARGS(url.path), STR_ARGS(url.host), url.port);
    int64_t began_us = now_us(), took_us = 0;
    pid_t pid = start_program(options->program);
    while (pid > 0 && took_us < START_LIMIT_MS * INT64_C(1000) && answer.status != 200 &&
           waitpid(pid, NULL, WNOHANG) == 0) {
        if (!conn_open(conn, run.tls, &url) || !conn_exchange(conn, &arena, request, false, &answer))
            sleep_us(START_PROBE_US);
        took_us = now_us() - began_us;
        conn_close(conn);
    }
    struct usage usage = usage_now(pid);
    if (pid > 0) {
        kill(pid, SIGKILL);
        wait4(pid, NULL, 0, &used);
    }
    arena_done(&arena);
    if (answer.status != 200) {
        fprintf(stderr, "bench_load: %s gave no directory\n", options->program[0]);
        return STATUS_NOT_BEGUN;
    }
    printf("{\"start_ms\": %.3f, \"server_kib\": %lld, \"server_us\": %lld}\n", (double)took_us / 1000,
           (long long)usage.server_kib, (long long)usage_us(&used));
    return STATUS_GOOD;
}

/* --- the command line --- */
enum { OPT_WARM = 256, OPT_TRUST, OPT_HTTP_PORT, OPT_DNS_PORT, OPT_PID };

static const struct argp_option argp_options[] = {
    {"accounts",  'c',           "N",    0, "accounts, each with a thread and a connection (1)",        0},
    {"seconds",   't',           "N",    0, "at most so long for each of warm-up and measurement (60)", 0},
    {"issuances", 'n',           "N",    0, "so many are measured (1000)",                              0},
    {"warm",      OPT_WARM,      "N",    0, "so many before, not counted (0)",                          0},
    {"trust",     OPT_TRUST,     "FILE", 0, "PEM of the root that the server's certificate hangs from", 0},
    {"http-port", OPT_HTTP_PORT, "N",    0, "answer http-01 at 127.0.0.1:N",                            0},
    {"dns-port",  OPT_DNS_PORT,  "N",    0, "answer DNS at 127.0.0.1:N",                                0},
    {"pid",       OPT_PID,       "N",    0, "the server's process: its CPU time and memory are read",   0},
    {0,           0,             0,      0, 0,                                                          0},
};

static error_t options_parse(int key, char *word, struct argp_state *state)
{
    struct options *options = state->input;
    int64_t value = 0;
    bool numeric = key != ARGP_KEY_ARG && word && key != OPT_TRUST;
    if (numeric && (!str_int(str_c(word), &value) || value > INT32_MAX))
        argp_error(state, "\"%s\" is not a whole number", word);
    switch (key) {
    case 'c':
        if (value < 1 || value > MAX_WORKERS) argp_error(state, "1 to %d accounts", MAX_WORKERS);
        options->workers = (int)value;
        break;
    case 't': options->seconds = value; break;
    case 'n': options->issuances = value; break;
    case OPT_WARM: options->warm = value; break;
    case OPT_TRUST: options->trust = word; break;
    case OPT_HTTP_PORT: options->http_port = (int)value; break;
    case OPT_DNS_PORT: options->dns_port = (int)value; break;
    case OPT_PID: options->pid = (int)value; break;
    case ARGP_KEY_ARGS:
        options->directory = state->argv[state->next];
        if (state->argc - state->next > 1) options->program = state->argv + state->next + 1;
        break;
    case ARGP_KEY_END:
        if (!options->directory) argp_usage(state);
        if (!options->program && !options->trust) argp_error(state, "--trust FILE is missing");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const char doc[] =
        "Obtains certificates in a closed loop and prints as JSON what that took; with a PROGRAM, starts it and "
        "prints how long its first answer took. Ignores Retry-After on purpose.";
    const struct argp argp = {argp_options, options_parse, "DIRECTORY [PROGRAM ARG...]", doc, NULL, NULL, NULL};
    static struct options options = {.workers = 1, .seconds = DEFAULT_SECONDS, .issuances = DEFAULT_ISSUANCES};
    argp_err_exit_status = STATUS_NOT_BEGUN;
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &options);
    signal(SIGPIPE, SIG_IGN);
    run.options = &options;
    run.tls = SSL_CTX_new(TLS_client_method());
    if (!options.program) {
        SSL_CTX_set_verify(run.tls, SSL_VERIFY_PEER, NULL);
        if (SSL_CTX_load_verify_file(run.tls, options.trust) != 1) {
            fprintf(stderr, "bench_load: cannot read the trusted root in %s\n", options.trust);
            return STATUS_NOT_BEGUN;
        }
    }
    int status = options.program ? run_start(&options) : run_load(&options);
    SSL_CTX_free(run.tls);
    return status;
}
