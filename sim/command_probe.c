#include "base/when.h"
#include "command.h"
#include "oracle/probe.h"
#include "workers.h"

#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    DEFAULT_SEED = 8555,
    DEFAULT_LIMIT_MS = 45 * 1000,
    DEFAULT_SIMULATED_LIMIT_MS = 180 * 1000,
    MAX_LIMIT_MS = 30 * 60 * 1000,
    REACH_LIMIT_MS = 20 * 1000, /* for a directory, an account and an order */
    ROW_MORE_MS = 60 * 1000,    /* what a row does before and after it is watched */
    DEFAULT_WHOLE_MS = 10 * 60 * 1000,
    DEFAULT_HTTP_PORT = 5002, /* where test CAs look by custom */
    DEFAULT_TLS_PORT = 5001,
    DEFAULT_DNS_PORT = 8053,
    DEFAULT_JOBS = 18, /* they mostly wait */
    MAX_PROFILES = 64
};

struct arguments {
    const char *url, *server, *trust, *profile, *json, *write_profile, *out;
    int64_t limit_ms, whole_ms;
    int http_port, tls_port, dns_port, jobs;
    uint64_t seed;
    bool seeded;
};

enum {
    OPT_PROFILE = 256,
    OPT_SERVER,
    OPT_TRUST,
    OPT_HTTP_PORT,
    OPT_TLS_PORT,
    OPT_DNS_PORT,
    OPT_LIMIT,
    OPT_WHOLE,
    OPT_JSON,
    OPT_WRITE_PROFILE,
    OPT_OUT,
    OPT_SEED
};

static const struct argp_option options[] = {
    {0,                                                            0, 0, 0, "Who is asked, if not the server at URL", 1},
    {"server",                                                           OPT_SERVER, "ADAPTER", 0, "a real server, started by conformance/adapters/servers/ADAPTER or by a path",
     1},
    {"profile",                    OPT_PROFILE, "NAME|FILE", 0, "a CA of ours with this profile, simulated in virtual time", 1},
    {0,                                                            0, 0, 0, "With a URL", 2},
    {"trust",OPT_TRUST, "FILE", 0, "PEM file of the root that its TLS certificate hangs from", 2},
    {"http-port",                                                           OPT_HTTP_PORT, "N", 0, "where the server looks for http-01 (5002)", 2},
    {"tls-port",                                                            OPT_TLS_PORT, "N", 0, "where the server looks for tls-alpn-01 (5001)", 2},
    {"dns-port",                                                    OPT_DNS_PORT, "N", 0, "where our DNS answers, which the server must ask (8053)", 2},
    {0,                                                 0, 0, 0, "How", 3},
    {"time-limit", OPT_LIMIT, "DURATION", 0, "how long each row is watched (45s; simulated 3m)", 3},
    {"deadline",                                                            OPT_WHOLE, "DURATION", 0, "end the whole probe of a real server after this long (10m)", 3},
    {"jobs",'j', "N", 0, "so many rows at once, with an adapter (18); by URL it is one, for the ports are", 3},
    {"seed",                                                           OPT_SEED, "N", 0, "seed of all chance (8555; for a real server another each time)", 3},
    {0,                                                           0, 0, 0, "What is kept", 4},
    {"json",                                                      OPT_JSON, "FILE", 0, "what was seen as JSON (\"-\": to standard output, and nothing else)", 4},
    {"write-profile",                                                      OPT_WRITE_PROFILE, "FILE", 0,
     "the profile that was measured, for `serve --profile FILE` and for scenarios", 4},
    {"out",  OPT_OUT, "DIR", 0, "keep the history of each row below DIR", 4},
    {0                                                           }
};

static int whole(struct argp_state *state, const char *what, const char *word, int64_t low, int64_t high)
{
    int64_t value = 0;
    if (!str_int(str_c(word), &value) || value < low || value > high)
        argp_error(state, "%s: \"%s\" is not a whole number from %lld to %lld", what, word, (long long)low,
                   (long long)high);
    return (int)value;
}

static error_t parse(int key, char *word, struct argp_state *state)
{
    struct arguments *args = state->input;
    int64_t seed;
    switch (key) {
    case OPT_PROFILE: args->profile = word; break;
    case OPT_SERVER: args->server = word; break;
    case OPT_TRUST: args->trust = word; break;
    case OPT_HTTP_PORT: args->http_port = whole(state, "--http-port", word, 0, 65535); break;
    case OPT_TLS_PORT: args->tls_port = whole(state, "--tls-port", word, 0, 65535); break;
    case OPT_DNS_PORT: args->dns_port = whole(state, "--dns-port", word, 0, 65535); break;
    case 'j': args->jobs = whole(state, "-j", word, 1, 64); break;
    case OPT_WHOLE:
        if (when_duration(str_c(word), &args->whole_ms) != OK || args->whole_ms < 1000)
            argp_error(state, "--deadline: \"%s\" is no duration such as 90s or 3m", word);
        break;
    case OPT_LIMIT:
        if (when_duration(str_c(word), &args->limit_ms) != OK || args->limit_ms < 5000 || args->limit_ms > MAX_LIMIT_MS)
            argp_error(state, "--time-limit: \"%s\" is no duration from 5s to 30m", word);
        break;
    case OPT_SEED:
        if (!str_int(str_c(word), &seed)) argp_error(state, "--seed: \"%s\" is no whole number", word);
        else args->seed = (uint64_t)seed, args->seeded = true;
        break;
    case OPT_JSON: args->json = word; break;
    case OPT_WRITE_PROFILE: args->write_profile = word; break;
    case OPT_OUT: args->out = word; break;
    case ARGP_KEY_ARG:
        if (args->url) argp_error(state, "one URL is enough");
        args->url = word;
        break;
    case ARGP_KEY_END:
        if (!args->url + !args->server + !args->profile != 2)
            argp_error(state, "one of these is wanted: a URL, --server, --profile");
        if (args->url && !strstr(args->url, "://"))
            argp_error(state, "\"%s\" is no URL of a directory, such as https://localhost:14000/dir", args->url);
        if (args->trust && !args->url) argp_error(state, "--trust is for a URL");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static volatile sig_atomic_t time_is_up;

static void on_signal(int number)
{
    time_is_up = number == SIGALRM;
    rehearse_interrupt();
}

/* --- rows --- */

/* What a row left behind; without a history there is only the reason. */
static void measure(struct arena *arena, const struct probe_row *row, const char *folder,
                    const struct scenario *scenario, const struct result_case *result, struct probe_measure *ret)
{
    struct history history = {0};
    size_t line;
    bool cut;
    struct str path = str_fmt(arena, "%s/%.*s/history.jsonl", folder, STR_ARGS(scenario->id));
    FILE *file = fopen(path.at, "r");
    bool read = file && history_read(file, &history, &line, &cut) == OK;
    *ret = (struct probe_measure){.row = row};
    if (read) probe_measure(arena, row, &history, ret);
    if (result->outcome == OUTCOME_ERROR || result->outcome == OUTCOME_SKIP || !read)
        ret->gap = result->reason.n ? result->reason : STR("it left no history");
    if (file) fclose(file);
    history_done(&history);
}

static void simulate(struct arena *arena, const struct profile *profile, const char *folder, uint64_t seed,
                     struct probing *probe)
{
    const struct probe_row *row;
    struct rehearsal how = {.mode = MODE_SIMULATE,
                            .seed = seed,
                            .speed = 1,
                            .sealing = SEALING_SYMBOLIC,
                            .out = folder,
                            .command = "acmedrill probe"};
    probe->simulated = true;
    for (size_t i = 0; (row = probe_row_at(i)) && !rehearse_interrupted(); i++) {
        struct result_case result;
        struct scenario *scenario = probe_scenario(arena, row, &probe->limits);
        scenario->profile = profile;
        memcpy(scenario->challenges, profile->challenges, sizeof scenario->challenges);
        scenario->n_challenges = profile->n_challenges;
        rehearse(arena, &how, scenario, &result);
        measure(arena, row, folder, scenario, &result, &probe->rows[probe->n_rows++]);
    }
}

/* The profiles that we know, asked the same questions for the same time. */
struct known {
    struct probing *at[MAX_PROFILES];
    size_t n;
};

static void ask_known(struct arena *arena, const struct probe_limits *limits, const char *scratch, struct known *ret)
{
    struct complaints complaints = {.arena = arena};
    const char *folder = str_fmt(arena, "%s/known", scratch).at;
    size_t n_names;
    const char *const *names = profile_names(&n_names);
    *ret = (struct known){0};
    if (!rehearse_folder(folder)) return;
    for (size_t i = 0; i < n_names && ret->n < MAX_PROFILES; i++) {
        struct profile *profile = ARENA_NEW(arena, struct profile);
        struct probing *probe = ARENA_NEW(arena, struct probing);
        *probe = (struct probing){.target = str_c(names[i]), .limits = *limits};
        if (profile_load(arena, str_c(names[i]), &complaints, profile) != OK) continue;
        simulate(arena, profile, folder, DEFAULT_SEED, probe);
        if (!rehearse_interrupted()) ret->at[ret->n++] = probe;
    }
}

/* --- a real server --- */

struct real {
    struct arena *arena;
    struct scenario **cases;
    const char *folder;
    struct probing *probe;
};

static void take_row(void *context, size_t i, struct result_case *result)
{
    struct real *real = context;
    struct probe_measure *m = &real->probe->rows[i];
    if (time_is_up && str_is(result->reason, "interrupted")) result->reason = STR("the time for the whole probe is up");
    measure(real->arena, probe_row_at(i), real->folder, real->cases[i], result, m);
    real->probe->n_rows = i + 1;
}

/* Is it there, and does it give us an order? Why not, in words, or empty. */
struct reach {
    struct arena *arena;
    const char *folder;
    struct str why;
    bool heard; /* it is there */
};

static struct str told(const struct reach *reach, const struct exchange *exchange)
{
    struct str delivery = event_text(exchange->response, F_DELIVERY);
    struct str body = str_trim(event_text(exchange->response, F_BODY));
    if (!str_utf8(body)) body = STR("(bytes that are no text)");
    if (body.n > 200) body = STR("(a long text)");
    if (exchange->status)
        return str_fmt(reach->arena, "%.*s answered with %d %.*s", STR_ARGS(exchange->url), exchange->status,
                       STR_ARGS(exchange->has_problem ? exchange->problem.type : body));
    return str_fmt(reach->arena, "%.*s: %.*s%s%.*s", STR_ARGS(exchange->url), STR_ARGS(delivery), body.n ? ": " : "",
                   STR_ARGS(body));
}

static void take_reach(void *context, size_t i, struct result_case *result)
{
    struct reach *reach = context;
    struct history history = {0};
    struct view view;
    size_t line;
    bool cut;
    struct str path = str_fmt(reach->arena, "%s/probe/reach/history.jsonl", reach->folder);
    FILE *file = fopen(path.at, "r");
    (void)i;
    reach->why = result->reason.n ? result->reason : STR("it does not answer");
    if (file && history_read(file, &history, &line, &cut) == OK && !result->reason.n) {
        view_read(&view, &history);
        for (size_t k = 0; k < view.n_exchanges; k++) {
            const struct exchange *exchange = &view.exchanges[k];
            if (!exchange->response) continue;
            reach->heard = reach->heard || exchange->status;
            reach->why = told(reach, exchange);
        }
        for (size_t k = 0; k < view.n_things; k++)
            if (view.things[k]->object == OBJECT_CHALLENGE) reach->why = (struct str){0};
        view_done(&view);
    }
    if (file) fclose(file);
    history_done(&history);
}

static bool can_reach(struct arena *arena, const struct rehearsal *how, const struct probing *probe)
{
    struct complaints complaints = {.arena = arena};
    struct reach reach = {.arena = arena, .folder = how->out};
    struct rehearsal quick = *how;
    struct scenario *scenario = probe_reach(arena, &probe->limits);
    quick.deadline_ms = REACH_LIMIT_MS;
    workers_run(arena, &quick, &scenario, 1, 1, false, take_reach, &reach);
    if (rehearse_interrupted() || !reach.why.n) return true;
    complain(&complaints, probe->target, 0, 0, "no order could be had: %.*s", STR_ARGS(reach.why));
    complaints_print(&complaints);
    if (how->server_url)
        fputs(reach.heard ? "it answers, but not as an ACME server that gives accounts and orders to anybody: is this "
                            "the URL of its directory?\n"
                          : "is it up, is this the URL of its directory, and is --trust FILE the root of its TLS "
                            "certificate?\n",
              stderr);
    return false;
}

static int aim(struct arena *arena, const struct arguments *args, struct rehearsal *how, struct adapter *adapter,
               struct probing *probe)
{
    struct str why;
    probe->target = str_c(args->url);
    if (args->url) return EXIT_AS_EXPECTED;
    if (adapter_find(arena, "servers", args->server, adapter, &why) != OK) {
        fprintf(stderr, "acmedrill: %.*s\n", STR_ARGS(why));
        return EXIT_TARGET;
    }
    how->adapter = adapter;
    probe->target = str_fmt(arena, "%.*s %.*s", STR_ARGS(adapter->name), STR_ARGS(adapter->version));
    return EXIT_AS_EXPECTED;
}

static int probe_real(struct arena *arena, const struct arguments *args, struct probing *probe, const char *scratch)
{
    struct adapter adapter = {0};
    struct scenario *cases[PROBE_MAX_ROWS];
    size_t n = 0;
    struct rehearsal how = {.mode = MODE_SERVER,
                            .seed = args->seed,
                            .speed = 1,
                            .sealing = SEALING_REAL,
                            .server_url = args->url,
                            .trust_file = args->trust,
                            .http_port = args->http_port,
                            .tls_port = args->tls_port,
                            .dns_port = args->dns_port,
                            .all_media = true,
                            .deadline_ms = args->limit_ms + ROW_MORE_MS,
                            .out = args->out ? args->out : scratch,
                            .command = "acmedrill probe"};
    struct real real = {.arena = arena, .cases = cases, .folder = how.out, .probe = probe};
    int status = aim(arena, args, &how, &adapter, probe);
    if (status != EXIT_AS_EXPECTED) return status;
    /* A server may remember the names of an earlier probe. */
    probe->limits.suffix = str_fmt(arena, "%llx", (unsigned long long)(args->seed & 0xffffff));
    const struct probe_row *row;
    while ((row = probe_row_at(n)))
        cases[n++] = probe_scenario(arena, row, &probe->limits);
    if (!can_reach(arena, &how, probe)) return EXIT_TARGET;
    alarm((unsigned)((args->whole_ms + 999) / 1000));
    workers_run(arena, &how, cases, n, how.adapter ? args->jobs : 1, false, take_row, &real);
    alarm(0);
    return EXIT_AS_EXPECTED;
}

/* --- the command --- */

static void say_head(struct arena *arena, const struct probing *probe)
{
    struct str limit = when_duration_text(arena, probe->limits.limit_ms);
    struct str every = when_duration_text(arena, probe->limits.every_ms);
    struct str bound = when_duration_text(arena, probe->limits.limit_ms + ROW_MORE_MS);
    struct str more = str_fmt(arena, ", and ends after %.*s", STR_ARGS(bound));
    printf("acmedrill " ACMEDRILL_VERSION " - probe of %.*s%s\n", STR_ARGS(probe->target),
           probe->simulated ? ", simulated" : "");
    printf("each row is watched for %.*s at most, with a look every %.*s whatever Retry-After says%s\n\n",
           STR_ARGS(limit), STR_ARGS(every), probe->simulated ? "" : more.at);
}

static int deliver(struct arena *arena, const struct arguments *args, const struct probing *probe,
                   const struct known *known)
{
    struct probe_likeness *likenesses = ARENA_ARRAY(arena, struct probe_likeness, MAX_PROFILES);
    for (size_t i = 0; i < known->n; i++)
        probe_compare(arena, probe, known->at[i], &likenesses[i]);
    probe_rank(likenesses, known->n);
    if (!args->json || strcmp(args->json, "-") != 0) {
        say_head(arena, probe);
        print_str(probe_text(arena, probe, likenesses, known->n));
    }
    bool written = !args->json || write_out(args->json, probe_json(arena, probe, likenesses, known->n));
    written = (!args->write_profile || write_out(args->write_profile, probe_profile(arena, probe))) && written;
    return written ? EXIT_AS_EXPECTED : EXIT_HARNESS;
}

static int probe_simulated(struct arena *arena, const struct arguments *args, struct probing *probe,
                           const char *scratch)
{
    struct complaints complaints = {.arena = arena};
    struct profile *profile = ARENA_NEW(arena, struct profile);
    if (profile_open(arena, str_c(args->profile), &complaints, profile) != OK) {
        complaints_print(&complaints);
        return EXIT_INVALID;
    }
    probe->target = str_fmt(arena, "profile %.*s", STR_ARGS(profile->name));
    simulate(arena, profile, args->out ? args->out : scratch, args->seed, probe);
    return EXIT_AS_EXPECTED;
}

static int probe_run(struct arena *arena, const struct arguments *args, const char *scratch)
{
    struct probing *probe = ARENA_NEW(arena, struct probing);
    struct known *known = ARENA_NEW(arena, struct known);
    probe->limits = (struct probe_limits){.limit_ms = args->limit_ms, .every_ms = probe_every_ms(args->limit_ms)};
    ask_known(arena, &probe->limits, scratch, known);
    int status = args->profile ? probe_simulated(arena, args, probe, scratch) : probe_real(arena, args, probe, scratch);
    if (status == EXIT_AS_EXPECTED && probe->n_rows) status = deliver(arena, args, probe, known);
    return rehearse_interrupted() && !time_is_up ? EXIT_INTERRUPTED : status;
}

static void watch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGALRM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int command_probe(int argc, char **argv)
{
    static const char doc[] =
        "Asks a CA what it decides where RFC 8555 leaves it the choice: what it makes of each wrong answer to a "
        "challenge, how often it looks again, what it says meanwhile, what becomes of the authorization and the order. "
        "One table, and the profile that it resembles.\v"
        "Exit status: 0 measured, 2 usage, 3 an invalid profile, 5 the server cannot be reached, 70 our own fault, 130 "
        "interrupted.";
    struct arguments args = {.seed = DEFAULT_SEED,
                             .whole_ms = DEFAULT_WHOLE_MS,
                             .http_port = DEFAULT_HTTP_PORT,
                             .tls_port = DEFAULT_TLS_PORT,
                             .dns_port = DEFAULT_DNS_PORT,
                             .jobs = DEFAULT_JOBS};
    const struct argp argp = {options, parse, "[URL]", doc, NULL, NULL, NULL};
    struct arena arena = {0};
    char scratch[] = "/tmp/acmedrill-XXXXXX";
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &args);
    if (!args.limit_ms) args.limit_ms = args.profile ? DEFAULT_SIMULATED_LIMIT_MS : DEFAULT_LIMIT_MS;
    if (!args.profile && !args.seeded && getrandom(&args.seed, sizeof args.seed, 0) != (ssize_t)sizeof args.seed)
        args.seed = DEFAULT_SEED;
    args.seed &= INT64_MAX;
    if (!mkdtemp(scratch)) {
        fprintf(stderr, "acmedrill: cannot make folder %s: %s\n", scratch, strerror(errno));
        return EXIT_HARNESS;
    }
    watch_signals();
    int status = EXIT_HARNESS;
    if (args.out && !rehearse_folder(args.out))
        fprintf(stderr, "acmedrill: cannot make folder %s: %s\n", args.out, strerror(errno));
    else status = probe_run(&arena, &args, scratch);
    rehearse_remove(scratch);
    rehearse_done();
    arena_done(&arena);
    return status;
}
