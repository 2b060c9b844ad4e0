#include "command.h"
#include "serving.h"
#include "world/place.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum { DEFAULT_PORT = 14000, DEFAULT_HTTP_PORT = 5002, DEFAULT_TLS_PORT = 5001 };

struct arguments {
    const char *profile, *scenario;
    bool seeded;
    struct serving serving;
};

enum {
    OPT_PROFILE = 256,
    OPT_SCENARIO,
    OPT_ADDRESS,
    OPT_PORT,
    OPT_PLAIN,
    OPT_TRUST,
    OPT_HISTORY,
    OPT_HTTP_PORT,
    OPT_TLS_PORT,
    OPT_DNS_SERVER,
    OPT_CONTROL_PORT,
    OPT_STATUS_PORT,
    OPT_SPEED,
    OPT_SEED,
    OPT_ALWAYS_VALID
};

/* clang-format off */
static const struct argp_option options[] = {
    {"profile", OPT_PROFILE, "NAME|FILE", 0,
     "temperament of the CA: `acmedrill list profiles` (" PROFILE_DEFAULT "), or a file of one's own", 0},
    {"scenario", OPT_SCENARIO, "SCENARIO", 0, "play this scenario's CA and responder, for the first client that comes", 0},
    {"address", OPT_ADDRESS, "IP", 0, "listen there (127.0.0.1)", 0},
    {"port", OPT_PORT, "N", 0, "listen there; 0 asks for a free one (14000)", 0},
    {"plain", OPT_PLAIN, 0, 0, "HTTP in place of HTTPS", 0},
    {"trust", OPT_TRUST, "FILE", 0, "write the root certificates there, for clients to trust (trust.pem)", 0},
    {"dns-server", OPT_DNS_SERVER, "IP:PORT", 0,
     "look names, TXT and CAA records up there; without it every name is at 127.0.0.1, and TXT is asked of "
     SERVING_DNS_SERVER, 0},
    {"http-port", OPT_HTTP_PORT, "N", 0, "look for http-01 at this port in place of 80 (5002)", 0},
    {"tls-port", OPT_TLS_PORT, "N", 0, "look for tls-alpn-01 at this port in place of 443 (5001)", 0},
    {"status-port", OPT_STATUS_PORT, "N", 0,
     "serve OCSP and CRL by plain HTTP there, 0 asks for a free one, and name them in certificates (off)", 0},
    {"control-port", OPT_CONTROL_PORT, "N", 0,
     "offer the control API at http://127.0.0.1:N; 0 asks for a free port (off)", 0},
    {"always-valid", OPT_ALWAYS_VALID, 0, 0, "every validation succeeds, nothing is fetched", 0},
    {"history", OPT_HISTORY, "FILE", 0, "write down all that crosses the wire (JSON Lines)", 0},
    {"speed", OPT_SPEED, "X", 0, "divide the CA's waits and Retry-After values by X (1)", 0},
    {"seed", OPT_SEED, "N", 0, "seed of keys, nonces and tokens (from chance, and printed)", 0},
    {0}
};
/* clang-format on */

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
    case OPT_ADDRESS: args->serving.address = word; break;
    case OPT_PLAIN: args->serving.plain = true; break;
    case OPT_TRUST: args->serving.trust_file = word; break;
    case OPT_HISTORY: args->serving.history_file = word; break;
    case OPT_PORT: args->serving.port = (int)whole(state, "--port", word, 0, 65535); break;
    case OPT_HTTP_PORT: args->serving.http_port = (int)whole(state, "--http-port", word, 1, 65535); break;
    case OPT_TLS_PORT: args->serving.tls_port = (int)whole(state, "--tls-port", word, 1, 65535); break;
    case OPT_DNS_SERVER:
        if (!place_read(str_c(word), &(struct place){0}))
            argp_error(state, "--dns-server: \"%s\" is no address and port, such as 127.0.0.1:8053", word);
        args->serving.dns_server = word;
        break;
    case OPT_CONTROL_PORT: args->serving.control_port = (int)whole(state, "--control-port", word, 0, 65535); break;
    case OPT_STATUS_PORT: args->serving.status_port = (int)whole(state, "--status-port", word, 0, 65535); break;
    case OPT_SPEED: args->serving.speed = whole(state, "--speed", word, 1, 1000); break;
    case OPT_SEED:
        args->serving.seed = (uint64_t)whole(state, "--seed", word, 0, INT64_MAX);
        args->seeded = true;
        break;
    case OPT_ALWAYS_VALID: args->serving.always_valid = true; break;
    case ARGP_KEY_END:
        if (args->profile && args->scenario)
            argp_error(state, "either --profile or --scenario (a scenario names its profile)");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static void greet(const struct serving *serving, const struct serving_places *places)
{
    printf("acmedrill %s - a CA like %.*s - seed %llu\ndirectory %.*s\ntrust     %s\n", ACMEDRILL_VERSION,
           STR_ARGS(serving->profile->name), (unsigned long long)serving->seed, STR_ARGS(places->directory_url),
           serving->trust_file);
    if (places->status_url.n) printf("status    %.*s\n", STR_ARGS(places->status_url));
    if (places->control_port) printf("control   http://127.0.0.1:%d/\n", places->control_port);
    fflush(stdout);
}

int command_serve(int argc, char **argv)
{
    static const char doc[] =
        "Stays up as a CA on HTTPS until it is stopped (Ctrl-C). Prints the directory's URL, and writes the root "
        "certificate that clients must trust.";
    struct arguments args = {
        .serving = {.command = "acmedrill serve",
                    .address = "127.0.0.1",
                    .port = DEFAULT_PORT,
                    .http_port = DEFAULT_HTTP_PORT,
                    .tls_port = DEFAULT_TLS_PORT,
                    .control_port = -1,
                    .status_port = -1,
                    .trust_file = "trust.pem",
                    .speed = 1,
                    .greet = greet}
    };
    const struct argp argp = {options, parse, "", doc, NULL, NULL, NULL};
    struct arena arena = {0};
    struct scenario_set set = {0};
    struct complaints complaints = {.arena = &arena};
    int status = EXIT_AS_EXPECTED;
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &args);
    struct serving *serving = &args.serving;
    if (!args.seeded && getrandom(&serving->seed, sizeof serving->seed, 0) != (ssize_t)sizeof serving->seed)
        serving->seed = 1;
    serving->seed &= INT64_MAX;
    if (args.scenario) {
        char *word = (char *)args.scenario;
        status = scenarios_open(&arena, &word, 1, NULL, &set);
        if (status == EXIT_AS_EXPECTED && set.n > 1) {
            fprintf(stderr, "acmedrill serve: %s has %zu cases; name one, such as %s\n", args.scenario, set.n,
                    scenario_name(&arena, set.at[0]).at);
            status = EXIT_USAGE;
        }
        if (status == EXIT_AS_EXPECTED) {
            serving->scenario = set.at[0];
            serving->profile = set.at[0]->profile;
            status = serving_run(serving);
        }
    } else {
        struct profile *profile = ARENA_NEW(&arena, struct profile);
        if (profile_open(&arena, str_c(args.profile ? args.profile : PROFILE_DEFAULT), &complaints, profile) == OK) {
            serving->profile = profile;
            status = serving_run(serving);
        } else {
            complaints_print(&complaints);
            status = EXIT_INVALID;
        }
    }
    free(set.at);
    arena_done(&arena);
    return status;
}
