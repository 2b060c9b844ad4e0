#include "actor/ca.h"
#include "actor/responder.h"
#include "actor/va.h"
#include "base/when.h"
#include "command.h"
#include "stay.h"
#include "world/clock.h"
#include "world/edge_fetch.h"
#include "world/edge_listen.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { DEFAULT_PORT = 14000, DEFAULT_HTTP_PORT = 5002, FETCH_LIMIT_MS = 40000, MAX_BODY = 1 << 20 };

struct arguments {
    const char *profile, *scenario, *address, *trust, *history, *http_target;
    int port, http_port;
    int64_t speed;
    uint64_t seed;
    bool seeded, always_valid;
};

enum {
    OPT_PROFILE = 256,
    OPT_SCENARIO,
    OPT_ADDRESS,
    OPT_PORT,
    OPT_TRUST,
    OPT_HISTORY,
    OPT_HTTP_PORT,
    OPT_SPEED,
    OPT_SEED,
    OPT_ALWAYS_VALID
};

static const struct argp_option options[] = {
    {"profile",                                                                 OPT_PROFILE, "NAME", 0, "temperament of the CA: `acmedrill list profiles` (" PROFILE_DEFAULT ")", 0},
    {"scenario",                                                                   OPT_SCENARIO, "SCENARIO", 0, "play this scenario's CA and responder, for the first client that comes",
     0},
    {"address", OPT_ADDRESS, "IP", 0, "listen there (127.0.0.1)", 0},
    {"port",                                                                         OPT_PORT, "N", 0, "listen there; 0 asks for a free one (14000)", 0},
    {"trust",OPT_TRUST, "FILE", 0, "write the root certificate there, for clients to trust (trust.pem)", 0},
    {"http-port",                                                                        OPT_HTTP_PORT, "N", 0, "look for http-01 at 127.0.0.1:N, whatever the name (5002)", 0},
    {"always-valid",                                                                         OPT_ALWAYS_VALID, 0, 0, "every validation succeeds, nothing is fetched", 0},
    {"history",                                                                 OPT_HISTORY, "FILE", 0, "write down all that crosses the wire (JSON Lines)", 0},
    {"speed",                                                                     OPT_SPEED, "X", 0, "divide the CA's waits and Retry-After values by X (1)", 0},
    {"seed",                                               OPT_SEED, "N", 0, "seed of keys, nonces and tokens (from chance, and printed)", 0},
    {0                                                                        }
};

static int64_t whole(struct argp_state *state, const char *what, const char *word, int64_t low, int64_t high)
{
    int64_t value = 0;
    if (!str_int(str_c(word), &value) || value < low || value > high)
        argp_error(state, "%s: \"%s\" is not a whole number from %lld to %lld", what, word, (long long)low,
                   (long long)high);
    return value;
}

static error_t parse(int key, char *word, struct argp_state *state)
{
    struct arguments *args = state->input;
    switch (key) {
    case OPT_PROFILE: args->profile = word; break;
    case OPT_SCENARIO: args->scenario = word; break;
    case OPT_ADDRESS: args->address = word; break;
    case OPT_TRUST: args->trust = word; break;
    case OPT_HISTORY: args->history = word; break;
    case OPT_PORT: args->port = (int)whole(state, "--port", word, 0, 65535); break;
    case OPT_HTTP_PORT: args->http_port = (int)whole(state, "--http-port", word, 1, 65535); break;
    case OPT_SPEED: args->speed = whole(state, "--speed", word, 1, 1000); break;
    case OPT_SEED:
        args->seed = (uint64_t)whole(state, "--seed", word, 0, INT64_MAX);
        args->seeded = true;
        break;
    case OPT_ALWAYS_VALID: args->always_valid = true; break;
    case ARGP_KEY_END:
        if (args->profile && args->scenario)
            argp_error(state, "either --profile or --scenario (a scenario names its profile)");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* Seats: the edge that clients come through, the CA, its validator, what that meets, and the way out. */
enum { SEAT_EDGE = 1, SEAT_CA, SEAT_VA, SEAT_RESPONDER, SEAT_OUTSIDE };

/* 0.0.0.0 and :: are where one listens, not where one goes. */
static bool is_everywhere(const char *address)
{
    return strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

static struct str base_url(struct arena *arena, const char *address, int port)
{
    bool local = strcmp(address, "127.0.0.1") == 0 || is_everywhere(address);
    if (local) address = "localhost";
    return str_fmt(arena, strchr(address, ':') ? "https://[%s]:%d" : "https://%s:%d", address, port);
}

static void note_start(struct history *history, const struct arguments *args, const struct profile *profile,
                       const struct scenario *scenario)
{
    history_note(history, RUN_START, history->start_ms, 0);
    event_add_int(history, F_VERSION, HISTORY_VERSION);
    event_add_text(history, F_HARNESS, STR(ACMEDRILL_VERSION));
    event_add_text(history, F_MODE, str_c(mode_text(MODE_CLIENT)));
    if (scenario) event_add_text(history, F_SCENARIO, scenario->id);
    if (scenario && scenario->variant.n) event_add_text(history, F_VARIANT, scenario->variant);
    event_add_int(history, F_SEED, (int64_t)args->seed);
    event_add_int(history, F_SPEED, args->speed);
    event_add_text(history, F_PROFILE, profile->name);
    event_add_int(history, F_EPOCH_MS, history->start_ms);
    history_commit(history);
}

static int open_edges(struct arena *arena, const struct arguments *args, const struct issuer *issuer,
                      struct edge **ret_listen, struct edge **ret_fetch)
{
    const struct str names[] = {STR("localhost"), STR("127.0.0.1"), STR("::1"), str_c(args->address)};
    size_t n = is_everywhere(args->address) ? 3 : 4;
    struct rng rng, own;
    struct str chain;
    rng_seed(&rng, args->seed);
    rng_fork(&rng, "edge", &own);
    struct key *key = key_make(KEY_P256, SEALING_REAL, &own);
    enum err e = issuer_issue_server(issuer, arena, key, names, n, clock_real_utc_ms(), &own, &chain);
    if (e == OK)
        e = edge_listen_new(&(struct edge_listen_options){.address = args->address,
                                                          .port = args->port,
                                                          .certificate_pem = chain,
                                                          .key = key,
                                                          .to = {SEAT_CA},
                                                          .max_body = MAX_BODY},
                            ret_listen);
    key_free(key);
    if (e != OK) {
        fprintf(stderr, "acmedrill serve: cannot listen on %s port %d: %s\n", args->address, args->port,
                e == ERR_IO ? strerror(errno) : err_text(e));
        return EXIT_TARGET;
    }
    struct str target = str_fmt(arena, "127.0.0.1:%d", args->http_port);
    *ret_fetch = edge_fetch_new(
        &(struct edge_fetch_options){.connect_to = target.at, .limit_ms = FETCH_LIMIT_MS, .max_body = MAX_BODY});
    return EXIT_AS_EXPECTED;
}

static int serve(struct arena *arena, const struct arguments *args, const struct profile *profile,
                 const struct scenario *scenario)
{
    struct history history = {.start_ms = clock_real_utc_ms(), .flush = true, .forget = true};
    struct edge *listen = NULL, *fetch = NULL;
    struct rng rng, own;
    rng_seed(&rng, args->seed);
    rng_fork(&rng, "issuer", &own);
    struct issuer *issuer = issuer_new(SEALING_REAL, &own, history.start_ms);
    int status = open_edges(arena, args, issuer, &listen, &fetch);
    if (status == EXIT_AS_EXPECTED && !write_out(args->trust, issuer_root_pem(issuer))) status = EXIT_TARGET;
    if (status == EXIT_AS_EXPECTED && args->history && !(history.sink = fopen(args->history, "w"))) {
        fprintf(stderr, "acmedrill serve: cannot write %s: %s\n", args->history, strerror(errno));
        status = EXIT_TARGET;
    }
    if (status != EXIT_AS_EXPECTED) {
        if (listen) listen->free(listen);
        if (fetch) fetch->free(fetch);
        issuer_free(issuer);
        return status;
    }
    struct hall *hall = hall_new(&(struct hall_options){
        .wait = clock_real_wait, .start_ms = history.start_ms, .seed = args->seed, .history = &history});
    struct actor *ca = ca_new(&(struct ca_options){.profile = profile,
                                                   .scenario = scenario,
                                                   .base_url = base_url(arena, args->address, edge_listen_port(listen)),
                                                   .validator = {SEAT_VA},
                                                   .issuer = issuer,
                                                   .sealing = SEALING_REAL,
                                                   .speed = args->speed});
    edge_listen_seated(listen, hall_seat_edge(hall, listen, "client"));
    hall_seat(hall, ca);
    hall_seat(hall, va_new(&(struct va_options){
                        .target = {SEAT_RESPONDER}, .profile = profile, .always_valid = args->always_valid}));
    hall_seat(hall,
              responder_new(&(struct responder_options){
                  .scenario = scenario, .outside = {SEAT_OUTSIDE}, .address = STR("127.0.0.1"), .speed = args->speed}));
    hall_seat_edge(hall, fetch, "outside");

    note_start(&history, args, profile, scenario);
    struct str url = ca_directory_url(ca);
    printf("acmedrill %s - a CA like %.*s - seed %llu\ndirectory %.*s\ntrust     %s\n", ACMEDRILL_VERSION,
           STR_ARGS(profile->name), (unsigned long long)args->seed, STR_ARGS(url), args->trust);
    fflush(stdout);
    stay_run(hall);
    hall_free(hall);
    if (history.sink) fclose(history.sink);
    history_done(&history);
    issuer_free(issuer);
    return EXIT_AS_EXPECTED;
}

int command_serve(int argc, char **argv)
{
    static const char doc[] =
        "Stays up as a CA on HTTPS until it is stopped (Ctrl-C). Prints the directory's URL, and writes the root "
        "certificate that clients must trust.";
    struct arguments args = {.address = "127.0.0.1",
                             .trust = "trust.pem",
                             .profile = NULL,
                             .port = DEFAULT_PORT,
                             .http_port = DEFAULT_HTTP_PORT,
                             .speed = 1};
    const struct argp argp = {options, parse, "", doc, NULL, NULL, NULL};
    struct arena arena = {0};
    struct scenario_set set = {0};
    struct complaints complaints = {.arena = &arena};
    int status = EXIT_AS_EXPECTED;
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &args);
    if (!args.seeded && getrandom(&args.seed, sizeof args.seed, 0) != (ssize_t)sizeof args.seed) args.seed = 1;
    args.seed &= INT64_MAX;
    stay_prepare();
    if (args.scenario) {
        char *word = (char *)args.scenario;
        status = scenarios_open(&arena, &word, 1, NULL, &set);
        if (status == EXIT_AS_EXPECTED && set.n > 1) {
            fprintf(stderr, "acmedrill serve: %s has %zu cases; name one, such as %s\n", args.scenario, set.n,
                    scenario_name(&arena, set.at[0]).at);
            status = EXIT_USAGE;
        }
        if (status == EXIT_AS_EXPECTED) status = serve(&arena, &args, set.at[0]->profile, set.at[0]);
    } else {
        struct profile *profile = ARENA_NEW(&arena, struct profile);
        if (profile_load(&arena, str_c(args.profile ? args.profile : PROFILE_DEFAULT), &complaints, profile) == OK) {
            status = serve(&arena, &args, profile, NULL);
        } else {
            complaints_print(&complaints);
            status = EXIT_INVALID;
        }
    }
    free(set.at);
    arena_done(&arena);
    return status;
}
