#include "acme/x509.h"
#include "actor/board.h"
#include "command.h"
#include "stay.h"
#include "world/clock.h"
#include "world/edge_alpn.h"
#include "world/edge_dns_tcp.h"
#include "world/edge_listen.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { MAX_LISTENERS = 16, MAX_BODY = 256 << 10, PORT_TRIES = 50 };

enum service { SERVICE_HTTP, SERVICE_HTTPS, SERVICE_TLS, SERVICE_DNS, SERVICE_DOH, SERVICE_MANAGEMENT, SERVICES };

/* `start` is what the original says when it comes up: scripts wait for such lines. */
static const struct {
    const char *word, *place, *start;
} services[] = {
    [SERVICE_HTTP] = {"http-01",     "http://%s",            "Creating HTTP-01 challenge server on"           },
    [SERVICE_HTTPS] = {"https",       "https://%s",           "Creating HTTPS HTTP-01 challenge server on"     },
    [SERVICE_TLS] = {"tls-alpn-01", "%s",                   "Creating TLS-ALPN-01 challenge server on"       },
    [SERVICE_DNS] = {"dns",         "%s (UDP and TCP)",     "Creating TCP and UDP DNS-01 challenge server on"},
    [SERVICE_DOH] = {"doh",         "https://%s/dns-query", "Creating DoH server on"                         },
    [SERVICE_MANAGEMENT] = {"management",  "http://%s",            "Starting management server on"                  },
};

struct arguments {
    const char *places[SERVICES]; /* empty: off */
    const char *ipv4, *ipv6, *doh_cert, *doh_cert_key, *trust, *history;
    uint64_t seed;
    bool as_original;
};

enum { OPT_IPV4 = 300, OPT_IPV6, OPT_DOH_CERT, OPT_DOH_KEY, OPT_TRUST, OPT_HISTORY, OPT_HELP, OPT_SERVICE = 400 };

/* Long options only, and a single dash will do, so one table serves both ways of writing them. */
static const struct argp_option options[] = {
    {"http01",                        OPT_SERVICE + SERVICE_HTTP, "PLACE", 0, "http-01 (127.0.0.1:5002)", 0},
    {"https01",                        OPT_SERVICE + SERVICE_HTTPS, "PLACE", 0, "the same over HTTPS, for redirects (127.0.0.1:5003)", 0},
    {"tlsalpn01",     OPT_SERVICE + SERVICE_TLS, "PLACE", 0, "tls-alpn-01 (127.0.0.1:5001)", 0},
    {"dnsserver",                               OPT_SERVICE + SERVICE_DNS, "PLACE", 0, "DNS over UDP and TCP (127.0.0.1:8053)", 0},
    {"dns01",0, 0, OPTION_ALIAS, 0, 0},
    {"doh",                              OPT_SERVICE + SERVICE_DOH, "PLACE", 0, "DNS over HTTPS (127.0.0.1:8443)", 0},
    {"doh-cert",                              OPT_DOH_CERT, "FILE", 0, "its certificate chain, PEM (one of our own)", 0},
    {"doh-cert-key",                     OPT_DOH_KEY, "FILE", 0, "and its private key", 0},
    {"management",                        OPT_SERVICE + SERVICE_MANAGEMENT, "PLACE", 0, "the interface, plain HTTP (127.0.0.1:8055)", 0},
    {"defaultIPv4", OPT_IPV4, "IP", 0, "address of names that were given none (127.0.0.1)", 0},
    {"defaultIPv6",                               OPT_IPV6, "IP", 0, "the same for IPv6 (::1)", 0},
    {"trust",OPT_TRUST, "FILE", 0, "write the root of our own HTTPS certificates there", 0},
    {"history",                              OPT_HISTORY, "FILE", 0, "write down all that crosses the wire (JSON Lines)", 0},
    {"h",                              OPT_HELP, 0, OPTION_HIDDEN, 0, 0},
    {0                        },
};

static error_t parse(int key, char *word, struct argp_state *state)
{
    struct arguments *args = state->input;
    if (key >= OPT_SERVICE && key < OPT_SERVICE + SERVICES) {
        args->places[key - OPT_SERVICE] = word;
        return 0;
    }
    switch (key) {
    case OPT_IPV4: args->ipv4 = word; break;
    case OPT_IPV6: args->ipv6 = word; break;
    case OPT_DOH_CERT: args->doh_cert = word; break;
    case OPT_DOH_KEY: args->doh_cert_key = word; break;
    case OPT_TRUST: args->trust = word; break;
    case OPT_HISTORY: args->history = word; break;
    case OPT_HELP: argp_state_help(state, stdout, ARGP_HELP_STD_HELP); break;
    case ARGP_KEY_END:
        if (!args->doh_cert != !args->doh_cert_key) argp_error(state, "--doh-cert and --doh-cert-key go together");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* --- listeners --- */

struct responders {
    const struct arguments *args;
    struct arena arena;
    struct hall *hall;
    struct issuer *issuer;
    struct key *key;
    struct rng rng;
    struct str chain; /* of our HTTPS servers */
    struct {
        enum service service;
        struct str place; /* with its real port */
    } up[MAX_LISTENERS];
    size_t n_up;
};

/* The board sits first; the interface and DNS over HTTPS have their seats even when they are off. */
enum { SEAT_BOARD = 1, SEAT_MANAGEMENT, SEAT_DOH };

static void note_up(struct responders *all, enum service service, const char *address, int port)
{
    const char *form = strchr(address, ':') ? "[%s]:%d" : "%s:%d";
    all->up[all->n_up].service = service;
    all->up[all->n_up++].place = str_fmt(&all->arena, form, address, port);
}

static struct addr seat(struct responders *all, struct edge *edge, enum service service)
{
    return hall_seat_edge(all->hall, edge, services[service].word);
}

static enum err open_http(struct responders *all, enum service service, const char *address, int port, struct str chain,
                          const struct key *key)
{
    struct edge *edge;
    enum err err = edge_listen_new(&(struct edge_listen_options){.address = address,
                                                                 .port = port,
                                                                 .certificate_pem = chain,
                                                                 .key = key,
                                                                 .to = {SEAT_BOARD},
                                                                 .max_body = MAX_BODY},
                                   &edge);
    if (err != OK) return err;
    edge_listen_seated(edge, seat(all, edge, service));
    note_up(all, service, address, edge_listen_port(edge));
    return OK;
}

/* One port for both; one that was asked for may be taken on the other side, so another is asked for then. */
static enum err open_dns(struct responders *all, const char *address, int port)
{
    struct edge *udp, *tcp;
    struct edge_dns_options place = {.address = address, .to = {SEAT_BOARD}};
    enum err err = OK;
    for (int i = 0; i < PORT_TRIES; i++) {
        place.port = port;
        err = edge_dns_new(&place, &udp);
        if (err != OK) return err;
        place.port = edge_dns_port(udp);
        err = edge_dns_tcp_new(&place, &tcp);
        if (err == OK) break;
        int kept = errno;
        udp->free(udp);
        errno = kept;
        if (port) return err;
    }
    if (err != OK) return err;
    edge_dns_seated(udp, seat(all, udp, SERVICE_DNS));
    edge_dns_tcp_seated(tcp, seat(all, tcp, SERVICE_DNS));
    note_up(all, SERVICE_DNS, address, place.port);
    return OK;
}

static enum err open_tls(struct responders *all, const char *address, int port)
{
    struct edge *edge;
    enum err err = edge_alpn_new(
        &(struct edge_alpn_options){.address = address, .port = port, .to = {SEAT_BOARD}, .seed = rng_u64(&all->rng)},
        &edge);
    if (err != OK) return err;
    edge_alpn_seated(edge, seat(all, edge, SERVICE_TLS));
    note_up(all, SERVICE_TLS, address, edge_alpn_port(edge));
    return OK;
}

static enum err open_doh(struct responders *all, const char *address, int port)
{
    const struct arguments *args = all->args;
    if (!args->doh_cert) return open_http(all, SERVICE_DOH, address, port, all->chain, all->key);
    struct key *key = key_from_pem(file_read(&all->arena, args->doh_cert_key));
    struct str chain = file_read(&all->arena, args->doh_cert);
    enum err err = key && chain.n ? open_http(all, SERVICE_DOH, address, port, chain, key) : ERR_MALFORMED;
    key_free(key);
    if (err == ERR_MALFORMED || err == ERR_CRYPTO)
        fprintf(stderr, "acmedrill: %s and %s are no certificate and its key\n", args->doh_cert, args->doh_cert_key);
    return err;
}

static enum err open_one(struct responders *all, enum service service, const char *address, int port)
{
    switch (service) {
    case SERVICE_HTTP:
    case SERVICE_MANAGEMENT: return open_http(all, service, address, port, (struct str){0}, NULL);
    case SERVICE_HTTPS: return open_http(all, service, address, port, all->chain, all->key);
    case SERVICE_DNS: return open_dns(all, address, port);
    case SERVICE_DOH: return open_doh(all, address, port);
    case SERVICE_TLS: return open_tls(all, address, port);
    case SERVICES: break;
    }
    return ERR_NOT_FOUND;
}

/* A list of places, separated by commas. */
static int open_service(struct responders *all, enum service service)
{
    struct str rest = str_c(all->args->places[service]), text;
    bool single = service == SERVICE_MANAGEMENT || service == SERVICE_DOH;
    const char *address;
    int port;
    if (!rest.n && single) hall_seat_word(all->hall, services[service].word);
    while (rest.n) {
        str_cut(rest, ',', &text, &rest);
        if (!listener_read(&all->arena, text, &address, &port) || (single && rest.n)) {
            fprintf(stderr, "acmedrill: %s: \"%.*s\" is not %s such as 127.0.0.1:5002 or :5002\n",
                    services[service].word, STR_ARGS(text), single ? "one address and port" : "an address and port");
            return EXIT_USAGE;
        }
        if (all->n_up == MAX_LISTENERS) {
            fprintf(stderr, "acmedrill: at most %d places\n", MAX_LISTENERS);
            return EXIT_USAGE;
        }
        enum err err = open_one(all, service, address, port);
        if (err != OK) {
            fprintf(stderr, "acmedrill: cannot listen for %s on %.*s: %s\n", services[service].word, STR_ARGS(text),
                    err == ERR_IO ? strerror(errno) : err_text(err));
            return EXIT_TARGET;
        }
    }
    return EXIT_AS_EXPECTED;
}

/* A certificate for our own HTTPS servers, whatever they are called. */
static int make_certificate(struct responders *all)
{
    const struct str names[] = {STR("localhost"), STR("127.0.0.1"), STR("::1")};
    int64_t now_ms = clock_real_utc_ms();
    all->issuer = issuer_new(SEALING_REAL, &all->rng, now_ms);
    all->key = key_make(KEY_P256, SEALING_REAL, &all->rng);
    if (issuer_issue_server(all->issuer, &all->arena, all->key, names, COUNTOF(names), now_ms, &all->rng,
                            &all->chain) != OK)
        return EXIT_HARNESS;
    if (all->args->trust && !write_out(all->args->trust, issuer_root_pem(all->issuer))) return EXIT_TARGET;
    return EXIT_AS_EXPECTED;
}

/* --- the command --- */

static void note_start(struct history *history, const struct arguments *args)
{
    history_note(history, RUN_START, history->start_ms, 0);
    event_add_int(history, F_VERSION, HISTORY_VERSION);
    event_add_text(history, F_HARNESS, STR(ACMEDRILL_VERSION));
    event_add_int(history, F_SEED, (int64_t)args->seed);
    event_add_int(history, F_EPOCH_MS, history->start_ms);
    history_commit(history);
}

static void say_one(const struct responders *all, enum service service, const char *place)
{
    const char *form = services[service].place, *hole = strstr(form, "%s");
    if (all->args->as_original) printf(ORIGINAL_NAME " - %s %s\n", services[service].start, place);
    else printf("%-12s %.*s%s%s\n", services[service].word, (int)(hole - form), form, place, hole + 2);
}

/* The interface comes last: who waits for its line finds everything up. */
static void say_up(const struct responders *all)
{
    if (!all->args->as_original) puts("acmedrill " ACMEDRILL_VERSION " - challenge responders");
    for (enum service service = 0; service < SERVICES; service++)
        for (size_t i = 0; i < all->n_up; i++)
            if (all->up[i].service == service) say_one(all, service, all->up[i].place.at);
    fflush(stdout);
}

static int respond(const struct arguments *args)
{
    struct history history = {.start_ms = clock_real_utc_ms(), .flush = true, .forget = true};
    struct responders all = {.args = args};
    if (args->history && !(history.sink = fopen(args->history, "w"))) {
        fprintf(stderr, "acmedrill: cannot write %s: %s\n", args->history, strerror(errno));
        return EXIT_TARGET;
    }
    rng_seed(&all.rng, args->seed);
    all.hall = hall_new(&(struct hall_options){
        .wait = clock_real_wait, .start_ms = history.start_ms, .seed = args->seed, .history = &history});
    hall_seat(all.hall, board_new(&(struct board_options){.management = {SEAT_MANAGEMENT},
                                                          .doh = {SEAT_DOH},
                                                          .closes = args->as_original,
                                                          .ipv4 = str_c(args->ipv4),
                                                          .ipv6 = str_c(args->ipv6)}));
    int status = make_certificate(&all);
    /* In the order of their seats. */
    static const enum service order[] = {SERVICE_MANAGEMENT, SERVICE_DOH, SERVICE_HTTP,
                                         SERVICE_HTTPS,      SERVICE_TLS, SERVICE_DNS};
    for (size_t i = 0; i < COUNTOF(order) && status == EXIT_AS_EXPECTED; i++)
        status = open_service(&all, order[i]);
    if (status == EXIT_AS_EXPECTED) {
        note_start(&history, args);
        say_up(&all);
        stay_run(all.hall);
    }
    hall_free(all.hall);
    if (history.sink) fclose(history.sink);
    history_done(&history);
    key_free(all.key);
    issuer_free(all.issuer);
    arena_done(&all.arena);
    return status;
}

static int start(int argc, char **argv, bool as_original)
{
    static const char doc[] =
        "Stays up as the places where an ACME server looks for challenges, until it is stopped (Ctrl-C). What they "
        "show "
        "is told over the management interface, in JSON, as " ORIGINAL_NAME " has it: add-http01, set-txt, "
        "add-tlsalpn01 and so on.\vA PLACE is ADDRESS:PORT; \":PORT\" means every address, port 0 asks for a free one, "
        "several are separated by commas, and "
        "an empty one turns the server off. A single dash before an option will do.";
    struct arguments args = {
        .places = {[SERVICE_HTTP] = "127.0.0.1:5002",
                   [SERVICE_HTTPS] = "127.0.0.1:5003",
                   [SERVICE_TLS] = "127.0.0.1:5001",
                   [SERVICE_DNS] = "127.0.0.1:8053",
                   [SERVICE_DOH] = "127.0.0.1:8443",
                   [SERVICE_MANAGEMENT] = "127.0.0.1:8055"},
        .ipv4 = "127.0.0.1",
        .ipv6 = "::1",
        .as_original = as_original
    };
    const struct argp argp = {options, parse, "", doc, NULL, NULL, NULL};
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, ARGP_LONG_ONLY, NULL, &args);
    if (getrandom(&args.seed, sizeof args.seed, 0) != (ssize_t)sizeof args.seed) args.seed = 1;
    args.seed &= INT64_MAX;
    stay_prepare();
    return respond(&args);
}

int command_respond(int argc, char **argv)
{
    return start(argc, argv, false);
}

int command_challtestsrv(int argc, char **argv)
{
    return start(argc, argv, true);
}
