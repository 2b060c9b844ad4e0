/* The load generator of ci/bench: N ACME accounts that obtain certificates in a closed loop, one thread and one TLS
 * connection each.
 *
 * An issuance of one name is 7 signed POSTs: newOrder, authz, challenge, authz again, finalize, order, certificate; of
 * N names 4 + 3N. The two polls are repeated, with a short sleep between, only while the object is not final yet.
 * Retry-After is ignored on purpose: this is a stopwatch, not a client to imitate. Account, connection and nonce are
 * kept; with --cold each issuance has new ones, and its own look at the directory. With --http-port it answers http-01
 * for its own names, with --dns-port every A query with 127.0.0.1.
 *
 * With --idle it opens connections instead and looks on while nothing happens; with a PROGRAM it starts that, and
 * measures the time to the first 200 on the directory (certificate not checked: some servers write their root while
 * they start).
 *
 * One JSON object on stdout. Exit status: 0 every issuance went well, 1 some did not, 2 it could not begin. */
#include "acme/jws.h"
#include "acme/x509.h"
#include "bench_watch.h"

#include <argp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_SECONDS = 60,
    DEFAULT_ISSUANCES = 1000,
    POLL_SLEEP_US = 500,
    STALL_US = 1000000, /* a request that takes longer is counted as stalled */
    MAX_ERRORS = 3,     /* of one worker, in a row */
    MAX_WORKERS = 1024,
    MAX_NAMES = 100,
    MAX_SLICES = 64
};

struct options {
    const char *directory, *trust;
    char **program;
    int workers, names, http_port, dns_port, pid;
    bool cold;
    int64_t seconds, issuances, warm, slice;
    struct idle idle;
};

/* --- the run as a whole --- */
static struct run {
    const struct options *options;
    SSL_CTX *tls;
    struct directory_doc directory;  /* its arena lives as long as the process */
    atomic_int_fast64_t taken, done; /* issuances begun and ended well in this phase */
    int64_t *took_us;                /* of those that are done */
    int64_t limit, began_us, deadline_us;
    atomic_int_fast64_t errors, polls, requests, stalled, slowest_us;
    struct usage marks[MAX_SLICES + 1]; /* at the beginning, and after each slice */
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
    struct rng rng;
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

static void note_request(int64_t took_us)
{
    int64_t slowest_us = atomic_load_explicit(&run.slowest_us, memory_order_relaxed);
    atomic_fetch_add_explicit(&run.requests, 1, memory_order_relaxed);
    if (took_us > STALL_US) atomic_fetch_add(&run.stalled, 1);
    while (took_us > slowest_us && !atomic_compare_exchange_weak(&run.slowest_us, &slowest_us, took_us)) {
    }
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
    int64_t began_us = now_us();
    bool answered = conn_exchange(&worker->conn, arena, buf_str(&request), strcmp(method, "HEAD") == 0, ret);
    note_request(now_us() - began_us);
    if (!answered) {
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

/* With the account's key on the connection that is open. */
static bool worker_enlist(struct worker *worker)
{
    struct answer answer = {0};
    struct account_doc wish = {.terms_agreed = true};
    if (!worker_post(worker, run.directory.new_account, account_request(&worker->arena, &wish), 201, &answer))
        return false;
    worker->kid = str_copy(&worker->keep, answer.location);
    return true;
}

static bool worker_register(struct worker *worker)
{
    bool good = worker_connect(worker) && worker_enlist(worker);
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

/* Everything anew: connection, directory, nonce, key and account. */
static bool worker_begin_cold(struct worker *worker)
{
    struct answer answer = {0};
    key_free(worker->account);
    worker->account = key_make(KEY_P256, SEALING_REAL, &worker->rng);
    worker->kid = (struct str){0};
    arena_clear(&worker->keep);
    conn_close(&worker->conn);
    return (conn_open(&worker->conn, run.tls, &worker->server) || run_complain("cannot connect")) &&
           worker_send(worker, "GET", str_c(run.options->directory), STR(""), &answer) &&
           worker_send(worker, "HEAD", run.directory.new_nonce, STR(""), &answer) && worker_enlist(worker);
}

static bool worker_issue(struct worker *worker)
{
    struct arena *arena = &worker->arena;
    struct answer answer = {0};
    struct str csr, names[MAX_NAMES];
    struct identifier_doc identifiers[MAX_NAMES];
    size_t n = (size_t)run.options->names;
    if (run.options->cold && !worker_begin_cold(worker)) return false;
    for (size_t i = 0; i < n; i++) {
        names[i] = str_fmt(arena, "n%llu.%u.bench.test", (unsigned long long)worker->names++, worker->number);
        identifiers[i] = (struct identifier_doc){.type = STR("dns"), .value = names[i]};
    }
    struct order_doc order = {.identifiers = identifiers, .n_identifiers = n};
    if (!worker_post(worker, run.directory.new_order, order_request(arena, &order), 201, &answer)) return false;
    struct str url = answer.location;
    if (order_read(arena, answer.body, &order) != OK || order.n_authorizations != n) return run_complain("a bad order");
    for (size_t i = 0; i < n; i++)
        if (!authz_answer(worker, order.authorizations[i])) return false;
    if (csr_write(arena, worker->subject, names, n, &csr) != OK) return run_complain("cannot write a CSR");
    if (!worker_post(worker, order.finalize, finalize_request(arena, csr), 200, &answer)) return false;
    if (!order_wait(worker, url, &order)) return false;
    if (!worker_post(worker, order.certificate, STR(""), 200, &answer)) return false;
    return str_starts(answer.body, "-----BEGIN CERTIFICATE") || run_complain("no certificate");
}

static void note_slice(int64_t done)
{
    int64_t slice = run.options->slice;
    if (slice && done % slice == 0 && done / slice <= MAX_SLICES) run.marks[done / slice] = usage_now(run.options->pid);
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
            int64_t done = atomic_fetch_add(&run.done, 1);
            run.took_us[done] = now_us() - began_us;
            note_slice(done + 1);
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

/* --- a run under load --- */
static struct str worker_thumbprint(unsigned number)
{
    return number < (unsigned)run.options->workers ? workers[number].thumbprint : (struct str){0};
}

/* What each slice took, after what. */
static void slices_print(size_t n)
{
    int64_t slice = run.options->slice;
    printf(", \"slices\": [");
    for (int64_t i = 1, to = slice; i <= MAX_SLICES && to <= (int64_t)n; i++, to += slice)
        printf("%s{\"to\": %lld, \"server_us\": %.1f, \"server_kib\": %lld}", i > 1 ? ", " : "", (long long)to,
               (double)(run.marks[i].server_us - run.marks[i - 1].server_us) / (double)slice,
               (long long)run.marks[i].server_kib);
    printf("]");
}

static void run_print(const struct usage *before, const struct usage *after, int64_t wall_us)
{
    size_t n = (size_t)run.done;
    int64_t *all = run.took_us;
    sort_us(all, n);
    double each = n ? (double)n : 1;
    printf("{\"issuances\": %zu, \"errors\": %lld, \"stalled\": %lld, \"hung\": %s, \"accounts\": %d", n,
           (long long)run.errors, (long long)run.stalled, run.hung ? "true" : "false", run.options->workers);
    printf(", \"rate\": %.1f, \"p50_ms\": %.3f, \"p95_ms\": %.3f, \"p99_ms\": %.3f, \"wall_s\": %.3f",
           (double)n * 1e6 / (double)wall_us, percentile_ms(all, n, 0.5), percentile_ms(all, n, 0.95),
           percentile_ms(all, n, 0.99), (double)wall_us / 1e6);
    printf(", \"slowest_request_ms\": %.1f", (double)run.slowest_us / 1000);
    printf(", \"requests\": %lld, \"repeated_polls\": %lld, \"own_us\": %.1f", (long long)run.requests,
           (long long)run.polls, (double)(after->own_us - before->own_us) / each);
    if (run.options->pid)
        printf(", \"server_us\": %.1f, \"server_kib_before\": %lld, \"server_kib\": %lld, \"server_bytes\": %.1f",
               (double)(after->server_us - before->server_us) / each, (long long)before->server_kib,
               (long long)after->server_kib, (double)(after->server_kib - before->server_kib) * 1024 / each);
    if (run.options->slice) slices_print(n);
    printf("}\n");
}

static bool directory_fetch(struct arena *arena, const struct url *url)
{
    int pid = run.options->pid;
    struct conn *conn = ARENA_NEW(arena, struct conn);
    struct answer answer = {0};
    int64_t until_us = now_us() + START_LIMIT_MS * INT64_C(1000);
    /* It may be starting. A process without memory has ended. */
    while (!conn_open(conn, run.tls, url) && now_us() < until_us && (!pid || usage_now(pid).server_kib))
        sleep_us(10000);
    bool good = conn->ssl && conn_exchange(conn, arena, get_request(arena, url), false, &answer) &&
                answer.status == 200 && directory_read(arena, answer.body, &run.directory) == OK;
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
    atomic_store(&run.stalled, 0);
    atomic_store(&run.slowest_us, 0);
    struct usage usage = run.marks[0] = usage_now(run.options->pid);
    run.began_us = now_us();
    run.deadline_us = run.began_us + run.options->seconds * 1000000;
    pthread_barrier_wait(&run.gate);
    return usage;
}

static int run_load(const struct options *options)
{
    struct arena arena = {0};
    struct url url;
    if (url_parse(str_c(options->directory), &url) != OK || !directory_fetch(&arena, &url)) return STATUS_NOT_BEGUN;
    workers = calloc((size_t)options->workers, sizeof *workers);
    run.took_us = calloc((size_t)(options->warm + options->issuances + 1), sizeof *run.took_us);
    if (!workers || !run.took_us) abort();
    for (int i = 0; i < options->workers; i++) {
        struct worker *worker = &workers[i];
        *worker = (struct worker){.number = (unsigned)i, .server = url, .conn.fd = -1};
        rng_seed(&worker->rng, 8555 + (uint64_t)i);
        worker->account = key_make(KEY_P256, SEALING_REAL, &worker->rng);
        worker->subject = key_make(KEY_P256, SEALING_REAL, &worker->rng);
        worker->thumbprint = key_thumbprint(worker->account, &worker->keep);
    }
    if (!proofs_start(options->http_port, options->dns_port, worker_thumbprint)) return STATUS_NOT_BEGUN;

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

/* --- the command line --- */
enum {
    OPT_WARM = 256,
    OPT_TRUST,
    OPT_HTTP_PORT,
    OPT_DNS_PORT,
    OPT_PID,
    OPT_NAMES,
    OPT_COLD,
    OPT_SLICE,
    OPT_IDLE,
    OPT_KEPT,
    OPT_HALF_OPEN
};

static const struct argp_option argp_options[] = {
    {"accounts",  'c',           "N",       0, "accounts, each with a thread and a connection (1)",            0},
    {"seconds",   't',           "N",       0, "at most so long for each of warm-up and measurement (60)",     0},
    {"issuances", 'n',           "N",       0, "so many are measured (1000)",                                  0},
    {"warm",      OPT_WARM,      "N",       0, "so many before, not counted (0)",                              0},
    {"trust",     OPT_TRUST,     "FILE",    0, "PEM of the root that the server's certificate hangs from",     0},
    {"http-port", OPT_HTTP_PORT, "N",       0, "answer http-01 at 127.0.0.1:N",                                0},
    {"dns-port",  OPT_DNS_PORT,  "N",       0, "answer DNS at 127.0.0.1:N",                                    0},
    {"pid",       OPT_PID,       "N",       0, "the server's process: its CPU time and memory are read",       0},
    {"names",     OPT_NAMES,     "N",       0, "names in each order (1)",                                      0},
    {"cold",      OPT_COLD,      0,         0, "each issuance on a connection and with an account of its own", 0},
    {"slice",     OPT_SLICE,     "N",       0, "tell what the server used for each N issuances",               0},
    {"idle",      OPT_IDLE,      "SECONDS", 0, "no issuances: what the server uses while nothing happens",     0},
    {"kept",      OPT_KEPT,      "N",       0, "with so many connections that fetched the directory (64)",     0},
    {"half-open", OPT_HALF_OPEN, "N",       0, "and so many that sent half a ClientHello (16)",                0},
    {0,           0,             0,         0, 0,                                                              0},
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
    case OPT_NAMES:
        if (value < 1 || value > MAX_NAMES) argp_error(state, "1 to %d names", MAX_NAMES);
        options->names = (int)value;
        break;
    case OPT_COLD: options->cold = true; break;
    case OPT_SLICE: options->slice = value; break;
    case OPT_IDLE: options->idle.seconds = value; break;
    case OPT_KEPT: options->idle.kept = (size_t)value; break;
    case OPT_HALF_OPEN: options->idle.half_open = (size_t)value; break;
    case OPT_PID: options->pid = (int)value; break;
    case ARGP_KEY_ARGS:
        options->directory = state->argv[state->next];
        if (state->argc - state->next > 1) options->program = state->argv + state->next + 1;
        break;
    case ARGP_KEY_END:
        if (!options->directory) argp_usage(state);
        if (!options->program && !options->trust) argp_error(state, "--trust FILE is missing");
        if (options->cold && options->http_port) argp_error(state, "--cold proves nothing, so not with --http-port");
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
    static struct options options = {
        .workers = 1,
        .names = 1,
        .seconds = DEFAULT_SECONDS,
        .issuances = DEFAULT_ISSUANCES,
        .idle = {.kept = 64, .half_open = 16}
    };
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
    int status = STATUS_NOT_BEGUN;
    struct url url;
    if (!options.program && !options.idle.seconds) status = run_load(&options);
    else if (url_parse(str_c(options.directory), &url) != OK) run_complain("%s is no URL", options.directory);
    else if (options.program) status = watch_start(options.program, &url, run.tls);
    else status = watch_idle(&options.idle, options.pid, &url, run.tls);
    SSL_CTX_free(run.tls);
    return status;
}
