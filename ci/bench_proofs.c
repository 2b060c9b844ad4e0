#include "bench_common.h"
#include "wire/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static thumbprint_fn *thumbprint_of;

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
    if (!host || sscanf(host + 8, "n%*u.%u.bench.test", &number) != 1) return;
    struct str print = thumbprint_of(number);
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

bool proofs_start(int http_port, int dns_port, thumbprint_fn *thumbprint)
{
    static int http_fd, dns_fd;
    thumbprint_of = thumbprint;
    return (!http_port || responder_start(SOCK_STREAM, http_port, responder_main, &http_fd)) &&
           (!dns_port || responder_start(SOCK_DGRAM, dns_port, resolver_main, &dns_fd));
}
