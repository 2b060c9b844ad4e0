#include "bench_watch.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    START_PROBE_US = 200, /* between two attempts to connect to a server that is starting */
    SETTLE_US = 1000000,  /* until what came with the connections is over */
    MAX_HELLO = 4096
};

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

int watch_start(char **program, const struct url *url, SSL_CTX *tls)
{
    struct arena arena = {0};
    struct answer answer = {0};
    struct rusage used = {0};
    struct conn *conn = ARENA_NEW(&arena, struct conn);
    conn->fd = -1;
    struct str request = get_request(&arena, url);
    int64_t began_us = now_us(), took_us = 0;
    pid_t pid = start_program(program);
    while (pid > 0 && took_us < START_LIMIT_MS * INT64_C(1000) && answer.status != 200 &&
           waitpid(pid, NULL, WNOHANG) == 0) {
        if (!conn_open(conn, tls, url) || !conn_exchange(conn, &arena, request, false, &answer))
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
        fprintf(stderr, "bench_load: %s gave no directory\n", program[0]);
        return STATUS_NOT_BEGUN;
    }
    printf("{\"start_ms\": %.3f, \"server_kib\": %lld, \"server_us\": %lld}\n", (double)took_us / 1000,
           (long long)usage.server_kib, (long long)rusage_us(&used));
    return STATUS_GOOD;
}

/* --- idleness --- */

/* A connection on which half a ClientHello was sent; -1: it failed. */
static int half_open(const struct url *url, SSL_CTX *tls)
{
    char hello[MAX_HELLO];
    SSL *ssl = SSL_new(tls);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    SSL_connect(ssl); /* writes its greeting and wants an answer */
    int n = BIO_read(SSL_get_wbio(ssl), hello, sizeof hello);
    int fd = conn_dial(url);
    if (fd >= 0 && (n < 2 || write(fd, hello, (size_t)n / 2) != n / 2)) {
        close(fd);
        fd = -1;
    }
    SSL_free(ssl);
    return fd;
}

static bool still_open(int fd)
{
    char byte;
    return fd >= 0 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0;
}

int watch_idle(const struct idle *idle, int pid, const struct url *url, SSL_CTX *tls)
{
    struct arena arena = {0};
    struct str request = get_request(&arena, url);
    struct conn *kept = calloc(idle->kept + 1, sizeof *kept);
    int *half = calloc(idle->half_open + 1, sizeof *half);
    int64_t until_us = now_us() + START_LIMIT_MS * INT64_C(1000);
    struct answer answer = {0};
    size_t n_kept = 0, n_half = 0;
    if (!kept || !half) abort();
    for (size_t i = 0; i < idle->kept; i++) {
        kept[i].fd = -1;
        while (!conn_open(&kept[i], tls, url) && now_us() < until_us)
            sleep_us(10000); /* it may be starting */
        if (kept[i].ssl) conn_exchange(&kept[i], &arena, request, false, &answer);
    }
    for (size_t i = 0; i < idle->half_open; i++)
        half[i] = half_open(url, tls);
    sleep_us(SETTLE_US);
    struct usage before = usage_now(pid);
    sleep_us(idle->seconds * 1000000);
    struct usage after = usage_now(pid);
    for (size_t i = 0; i < idle->kept; i++) {
        n_kept += still_open(kept[i].fd);
        conn_close(&kept[i]);
    }
    for (size_t i = 0; i < idle->half_open; i++) {
        n_half += still_open(half[i]);
        if (half[i] >= 0) close(half[i]);
    }
    printf("{\"idle_s\": %lld, \"ticks\": %lld, \"kept\": %zu, \"half_open\": %zu, \"server_kib\": %lld}\n",
           (long long)idle->seconds, (long long)((after.server_us - before.server_us) / tick_us()), n_kept, n_half,
           (long long)after.server_kib);
    free(kept);
    free(half);
    arena_done(&arena);
    if (answer.status == 200 && n_kept == idle->kept) return STATUS_GOOD;
    fprintf(stderr, "bench_load: %zu of %zu connections were kept\n", n_kept, idle->kept);
    return STATUS_FAILED;
}
