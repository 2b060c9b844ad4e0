#include "bench_common.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void sleep_us(int64_t us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    nanosleep(&t, NULL);
}

/* --- what a process has used --- */
int64_t rusage_us(const struct rusage *of)
{
    return ((int64_t)of->ru_utime.tv_sec + of->ru_stime.tv_sec) * 1000000 + of->ru_utime.tv_usec + of->ru_stime.tv_usec;
}

int64_t tick_us(void)
{
    return 1000000 / sysconf(_SC_CLK_TCK);
}

struct usage usage_now(int pid)
{
    struct usage usage = {0};
    struct rusage own;
    char path[64], text[4096];
    getrusage(RUSAGE_SELF, &own);
    usage.own_us = rusage_us(&own);
    if (pid == 0) return usage;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file) {
        unsigned long utime = 0, stime = 0;
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        const char *rest = strrchr(text, ')');
        if (rest && sscanf(rest, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu %lu", &utime, &stime) == 2)
            usage.server_us = (int64_t)(utime + stime) * tick_us();
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

static int compare_us(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void sort_us(int64_t *at, size_t n)
{
    qsort(at, n, sizeof *at, compare_us);
}

double percentile_ms(const int64_t *sorted, size_t n, double part)
{
    return n ? (double)sorted[(size_t)(part * (double)(n - 1) + 0.5)] / 1000 : 0;
}

/* --- one connection: HTTP/1.1 over TLS, kept alive --- */
void conn_close(struct conn *conn)
{
    if (conn->ssl) SSL_free(conn->ssl);
    if (conn->fd >= 0) close(conn->fd);
    conn->ssl = NULL;
    conn->fd = -1;
    conn->n = 0;
}

int conn_dial(const struct url *url)
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

bool conn_open(struct conn *conn, SSL_CTX *tls, const struct url *url)
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

bool conn_exchange(struct conn *conn, struct arena *arena, struct str request, bool bodiless, struct answer *ret)
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

struct str get_request(struct arena *arena, const struct url *url)
{
    return str_fmt(arena, "GET %.*s HTTP/1.1\r\nHost: %.*s:%d\r\n\r\n", STR_ARGS(url->path), STR_ARGS(url->host),
                   url->port);
}
