/* What the programs of ci/bench share: a stopwatch, what a process has used, HTTP/1.1 over TLS, and proofs of names. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#include "acme/resource.h"
#include "wire/http.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

enum {
    STATUS_GOOD = 0,
    STATUS_FAILED = 1,
    STATUS_NOT_BEGUN = 2,
    ANSWER_LIMIT_S = 5, /* a server that says nothing for so long hangs */
    START_LIMIT_MS = 10000,
    MAX_ANSWER = 256 * 1024
};

int64_t now_us(void);
void sleep_us(int64_t us);

/* Of a server (its CPU time in steps of a clock tick, its resident memory), and of this process. */
struct usage {
    int64_t server_us, server_kib, own_us;
};
int64_t rusage_us(const struct rusage *of);
struct usage usage_now(int pid); /* pid 0: nobody's */
int64_t tick_us(void);

/* Sorts. */
void sort_us(int64_t *at, size_t n);
double percentile_ms(const int64_t *sorted, size_t n, double part);

/* One connection, kept alive. */
struct conn {
    int fd; /* -1: none */
    SSL *ssl;
    bool hung; /* no answer within ANSWER_LIMIT_S */
    char in[MAX_ANSWER + 1];
    size_t n;
};
struct answer {
    int status;
    struct str nonce, location, body;
};
int conn_dial(const struct url *url);
/* The context decides whether the certificate is checked; the name it must have is the URL's. */
bool conn_open(struct conn *conn, SSL_CTX *tls, const struct url *url);
void conn_close(struct conn *conn);
/* Sends one request and reads its answer, whose texts are in the arena. */
bool conn_exchange(struct conn *conn, struct arena *arena, struct str request, bool bodiless, struct answer *ret);
struct str get_request(struct arena *arena, const struct url *url);

/* Threads that prove every name nX.W.bench.test for as long as the process lives: http-01 with the thumbprint of W, and
 * 127.0.0.1 for every A query. A port that is 0 stays closed. */
typedef struct str thumbprint_fn(unsigned number);
bool proofs_start(int http_port, int dns_port, thumbprint_fn *thumbprint);

#endif
