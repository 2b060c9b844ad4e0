#include "base/when.h"
#include "command.h"
#include "workers.h"
#include "world/clock.h"

#include <argp.h>
#include <errno.h>
#include <fnmatch.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    DEFAULT_SEED = 8555,
    DEFAULT_CLIENT_SPEED = 10,
    DEFAULT_CLIENT_DEADLINE_MS = 120000,
    DEFAULT_DEADLINE_MS = 60000,
    DEFAULT_HTTP_PORT = 5002, /* where test CAs look by custom */
    DEFAULT_DNS_PORT = 8053,
    MAX_FILTERS = 16,
    KEPT_BYTES = 64 << 20,
    MAX_REPEAT = 100000
};

struct arguments {
    const char *client, *server, *profile, *trust, *out, *json, *junit, *expected, *write_expected, *defect, *color;
    const char *tags[MAX_FILTERS], *clauses[MAX_FILTERS], *nots[MAX_FILTERS];
    size_t n_tags, n_clauses, n_nots;
    int jobs, http_port, dns_port;
    int64_t speed, deadline_ms, repeat;
    uint64_t seed;
    bool strict, fail_fast, all_findings, symbolic, quiet, verbose;
    char **paths;
    size_t n_paths;
};

enum {
    OPT_SPEED = 256,
    OPT_SEED,
    OPT_OUT,
    OPT_JSON,
    OPT_JUNIT,
    OPT_EXPECTED,
    OPT_WRITE_EXPECTED,
    OPT_DEFECT,
    OPT_COLOR,
    OPT_TAG,
    OPT_CLAUSE,
    OPT_NOT,
    OPT_STRICT,
    OPT_FAIL_FAST,
    OPT_ALL_FINDINGS,
    OPT_SYMBOLIC,
    OPT_CLIENT,
    OPT_SERVER,
    OPT_TRUST,
    OPT_PROFILE,
    OPT_HTTP_PORT,
    OPT_DNS_PORT,
    OPT_DEADLINE,
    OPT_REPEAT
};

static const struct argp_option options[] = {
    {0,                                                                                     0, 0, 0, "Who is under test (nobody: both sides are simulated in virtual time)", 1},
    {"client",                                                                                    OPT_CLIENT, "ADAPTER", 0, "a real client, started by conformance/adapters/clients/ADAPTER or by a path",
     1},
    {"server",               OPT_SERVER, "ADAPTER|URL", 0, "a real server, started by an adapter or found by its directory URL", 1},
    {"trust",                                                                                     OPT_TRUST, "FILE", 0, "with a URL: PEM file of the root that its TLS certificate hangs from", 1},
    {"profile",OPT_PROFILE, "NAME|FILE", 0, "with a URL: the profile that the server is said to be like", 1},
    {"http-port",                                                                                    OPT_HTTP_PORT, "N", 0, "with a URL: where the server looks for http-01 (5002)", 1},
    {"dns-port",                                                                                     OPT_DNS_PORT, "N", 0, "with a URL: where our DNS answers (8053)", 1},
    {"speed",                                                                              OPT_SPEED, "X", 0, "divide our own waits and Retry-After values by X (10 for a client, 1 for a server)",
     1},
    {"deadline",                                                                        OPT_DEADLINE, "DURATION", 0,
     "end a run against a real program after this long (2m for a client, 1m for a server)", 1},
    {0,                 0, 0, 0, "Which scenarios", 2},
    {"tag",                                                                                     OPT_TAG, "TAG", 0, "only those with this tag", 2},
    {"clause",OPT_CLAUSE, "ID", 0, "only those that cover this clause (a prefix will do)", 2},
    {"not",                                                                                    OPT_NOT, "GLOB", 0, "leave out those whose name matches", 2},
    {"defect",                                                                                    OPT_DEFECT, "FILE", 0, "lay a defective actor (JSON: given, ca, client, responder) over every scenario",
     2},
    {0,                                                                             0, 0, 0, "How", 3},
    {"jobs",                                                                          'j', "N", 0, "so many at once (1 in simulation, else 4)", 3},
    {"seed",                         OPT_SEED, "N", 0, "seed of all chance (8555)", 3},
    {"repeat",                                                                                     OPT_REPEAT, "N", 0, "run all of it N times, each time with the next seed", 3},
    {"symbolic",OPT_SYMBOLIC, 0, 0, "simulation without public-key arithmetic: signatures are hashes", 3},
    {"strict",                                                                                    OPT_STRICT, 0, 0, "count SHOULD as MUST and a vacuous pass as a failure", 3},
    {"fail-fast",                                                                                    OPT_FAIL_FAST, 0, 0, "stop at the first failure", 3},
    {"expected",                                                                            OPT_EXPECTED, "FILE", 0,
     "expected failures (conformance/expected/TARGET.json where it exists; \"none\")", 3},
    {"write-expected",                                                                                  OPT_WRITE_EXPECTED, "FILE", 0, "write the file that would expect all failures seen", 3},
    {0,                                           0, 0, 0, "What is kept and shown", 4},
    {"out",                                                                                     OPT_OUT, "DIR", 0, "keep history.jsonl and the logs of each scenario below DIR", 4},
    {"json",OPT_JSON, "FILE", 0, "results as JSON (\"-\": to standard output, and nothing else)", 4},
    {"junit",                                                                                    OPT_JUNIT, "FILE", 0, "results as JUnit XML", 4},
    {"all-findings",                                                                                     OPT_ALL_FINDINGS, 0, 0, "list the findings that passed, too", 4},
    {"color",                                                                            OPT_COLOR, "WHEN", 0, "auto, always, never", 4},
    {"quiet",                                                                           'q', 0, 0, "failures and totals only", 4},
    {"verbose", 'v', 0, 0, "a line for every scenario, and warnings in full", 4},
    {0                                                                                    }
};

static void add_filter(struct argp_state *state, const char **list, size_t *n, const char *word)
{
    if (*n == MAX_FILTERS) argp_error(state, "at most %d of these", MAX_FILTERS);
    else list[(*n)++] = word;
}

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
    case OPT_CLIENT: args->client = word; break;
    case OPT_SERVER: args->server = word; break;
    case OPT_TRUST: args->trust = word; break;
    case OPT_PROFILE: args->profile = word; break;
    case OPT_HTTP_PORT: args->http_port = (int)whole(state, "--http-port", word, 0, 65535); break;
    case OPT_DNS_PORT: args->dns_port = (int)whole(state, "--dns-port", word, 0, 65535); break;
    case OPT_SPEED: args->speed = whole(state, "--speed", word, 1, 1000); break;
    case OPT_REPEAT: args->repeat = whole(state, "--repeat", word, 1, MAX_REPEAT); break;
    case OPT_SEED: args->seed = (uint64_t)whole(state, "--seed", word, 0, INT64_MAX); break;
    case OPT_DEADLINE:
        if (when_duration(str_c(word), &args->deadline_ms) != OK || args->deadline_ms < 1000)
            argp_error(state, "--deadline: \"%s\" is no duration such as 90s or 3m", word);
        break;
    case OPT_TAG: add_filter(state, args->tags, &args->n_tags, word); break;
    case OPT_CLAUSE: add_filter(state, args->clauses, &args->n_clauses, word); break;
    case OPT_NOT: add_filter(state, args->nots, &args->n_nots, word); break;
    case OPT_DEFECT: args->defect = word; break;
    case 'j': args->jobs = (int)whole(state, "-j", word, 1, 64); break;
    case OPT_SYMBOLIC: args->symbolic = true; break;
    case OPT_STRICT: args->strict = true; break;
    case OPT_FAIL_FAST: args->fail_fast = true; break;
    case OPT_EXPECTED: args->expected = word; break;
    case OPT_WRITE_EXPECTED: args->write_expected = word; break;
    case OPT_OUT: args->out = word; break;
    case OPT_JSON: args->json = word; break;
    case OPT_JUNIT: args->junit = word; break;
    case OPT_ALL_FINDINGS: args->all_findings = true; break;
    case OPT_COLOR:
        args->color = word;
        if (strcmp(word, "auto") != 0 && strcmp(word, "always") != 0 && strcmp(word, "never") != 0)
            argp_error(state, "--color: \"%s\" is not auto, always or never", word);
        break;
    case 'q': args->quiet = true; break;
    case 'v': args->verbose = true; break;
    case ARGP_KEY_ARGS:
        args->paths = state->argv + state->next;
        args->n_paths = (size_t)(state->argc - state->next);
        break;
    case ARGP_KEY_END:
        if (args->client && args->server) argp_error(state, "either --client or --server");
        if (args->symbolic && (args->client || args->server)) argp_error(state, "--symbolic is for simulation");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static bool has_word(const struct str *list, size_t n, const char *prefix)
{
    for (size_t i = 0; i < n; i++)
        if (str_starts(list[i], prefix)) return true;
    return false;
}

static bool chosen(struct arena *arena, const struct arguments *args, const struct scenario *scenario)
{
    bool tag = args->n_tags == 0, clause = args->n_clauses == 0;
    for (size_t i = 0; i < args->n_tags; i++)
        for (size_t k = 0; k < scenario->n_tags; k++)
            tag = tag || str_is(scenario->tags[k], args->tags[i]);
    for (size_t i = 0; i < args->n_clauses; i++)
        clause = clause || has_word(scenario->clauses, scenario->n_clauses, args->clauses[i]);
    for (size_t i = 0; i < args->n_nots; i++)
        if (fnmatch(args->nots[i], scenario_name(arena, scenario).at, 0) == 0) return false;
    return tag && clause;
}

static void on_signal(int number)
{
    (void)number;
    rehearse_interrupt();
}

/* --- delivery of results ------------------------------------------------------------------------------------------ */
struct show {
    struct arena *arena;
    struct report_style style;
    struct expected_list expected;
    struct str version;
    struct result_case **cases; /* of all rounds */
    size_t n, n_round;          /* cases of one round */
    bool lines;                 /* a line for each case as it ends */
    bool silent;
    bool failed;
};

static bool wants_words(const struct result_case *result, const struct report_style *style)
{
    switch (result->outcome) {
    case OUTCOME_FAIL:
    case OUTCOME_ERROR:
    case OUTCOME_STALE: return true;
    case OUTCOME_WARN:
    case OUTCOME_EXPECTED: return style->verbose;
    case OUTCOME_OK:
    case OUTCOME_SKIP: return false;
    }
    return false;
}

/* What is kept of a later round: a failure whole, of the others that they were. */
static struct result_case *keep(struct show *show, size_t i, const struct result_case *result)
{
    struct result_case *kept = ARENA_NEW(show->arena, struct result_case);
    bool good = result->outcome == OUTCOME_OK || result->outcome == OUTCOME_WARN || result->outcome == OUTCOME_SKIP;
    if (!good && result_case_read(show->arena, result_case_write(show->arena, result), kept) == OK) return kept;
    *kept = *show->cases[i];
    kept->outcome = result->outcome;
    kept->protocol_ms = result->protocol_ms;
    kept->real_ms = result->real_ms;
    return kept;
}

static void deliver(void *context, size_t i, struct result_case *result)
{
    struct show *show = context;
    expected_apply(show->arena, &show->expected, show->version, result);
    show->cases[show->n] = show->n < show->n_round ? result : keep(show, i, result);
    result = show->cases[show->n++];
    show->failed = show->failed || wants_words(result, &(struct report_style){0});
    if (show->silent || !show->lines) return;
    print_str(report_case_text(show->arena, result, &show->style));
    fflush(stdout);
}

static int status_of(const struct show *show, bool interrupted)
{
    int status = EXIT_AS_EXPECTED;
    size_t ran = 0;
    if (interrupted) return EXIT_INTERRUPTED;
    for (size_t i = 0; i < show->n; i++) {
        enum outcome_class outcome = show->cases[i]->outcome;
        ran += outcome != OUTCOME_SKIP;
        if (outcome == OUTCOME_ERROR && !show->cases[i]->no_target) status = EXIT_HARNESS;
        if (outcome == OUTCOME_ERROR && status != EXIT_HARNESS) status = EXIT_TARGET;
        if ((outcome == OUTCOME_FAIL || outcome == OUTCOME_STALE) && status == EXIT_AS_EXPECTED) status = EXIT_FAILED;
    }
    return ran ? status : EXIT_NOTHING;
}

static struct str target_text(struct arena *arena, const struct rehearsal *how)
{
    if (how->adapter) return str_fmt(arena, "%.*s %.*s", STR_ARGS(how->adapter->name), STR_ARGS(how->adapter->version));
    return str_c(how->server_url);
}

static bool expected_open(struct arena *arena, const struct arguments *args, const struct rehearsal *how,
                          struct show *show)
{
    struct complaints complaints = {.arena = arena};
    const char *path = args->expected;
    if (path && strcmp(path, "none") == 0) return true;
    if (!path && how->adapter)
        path =
            project_path(arena, str_fmt(arena, "conformance/expected/%.*s.json", STR_ARGS(how->adapter->name)).at).at;
    if (how->adapter) show->version = how->adapter->version;
    if (!path) return true;
    enum err e = expected_read(arena, path, &complaints, &show->expected);
    complaints_print(&complaints);
    return e == OK;
}

static void print_report(struct show *show, const struct report_head *head)
{
    const struct result_case *const *cases = (const struct result_case *const *)show->cases;
    if (!show->lines && !show->style.quiet) print_str(report_folders_text(show->arena, cases, show->n, &show->style));
    for (size_t i = 0; i < show->n; i++)
        if (wants_words(show->cases[i], &show->style))
            print_str(report_failure_text(show->arena, show->cases[i], &show->style));
    print_str(report_totals_text(show->arena, head, cases, show->n, &show->style));
}

static int rehearse_all(struct arena *arena, const struct arguments *args, struct rehearsal *how,
                        const struct scenario_set *set)
{
    struct show show = {.arena = arena,
                        .style = style_of_terminal(args->color),
                        .lines = how->mode != MODE_SIMULATE || args->verbose,
                        .silent = args->json && strcmp(args->json, "-") == 0,
                        .cases = ARENA_ARRAY(arena, struct result_case *, set->n * (size_t)args->repeat + 1),
                        .n_round = set->n};
    show.style.quiet = args->quiet;
    show.style.verbose = args->verbose;
    if (args->quiet) show.lines = false;
    if (!expected_open(arena, args, how, &show)) return EXIT_INVALID;
    struct report_head head = {.harness = STR(ACMEDRILL_VERSION),
                               .mode = str_c(mode_text(how->mode)),
                               .target = target_text(arena, how),
                               .profile = how->adapter ? how->adapter->profile : str_c(how->server_profile),
                               .seed = how->seed,
                               .speed = how->speed,
                               .jobs = args->jobs};
    if (!show.silent && !args->quiet) print_str(report_head_text(arena, &head, &show.style));
    fflush(stdout);

    int64_t started_ms = clock_real_utc_ms();
    bool whole_run = workers_run(arena, how, set->at, set->n, args->jobs, args->fail_fast, deliver, &show);
    for (int64_t round = 1; round < args->repeat && whole_run && !(args->fail_fast && show.failed); round++) {
        struct arena mayfly = {0};
        how->seed = args->seed + (uint64_t)round;
        whole_run = workers_run(&mayfly, how, set->at, set->n, args->jobs, args->fail_fast, deliver, &show);
        arena_done(&mayfly);
    }
    head.real_ms = clock_real_utc_ms() - started_ms;

    const struct result_case *const *cases = (const struct result_case *const *)show.cases;
    int status = status_of(&show, !whole_run);
    if (!show.silent) print_report(&show, &head);
    bool written = !args->json || write_out(args->json, report_json(arena, &head, cases, show.n));
    written = (!args->junit || write_out(args->junit, report_junit(arena, &head, cases, show.n))) && written;
    written =
        (!args->write_expected || write_out(args->write_expected, expected_write(arena, cases, show.n))) && written;
    return written ? status : EXIT_HARNESS;
}

static bool profile_known(struct arena *arena, const char *word)
{
    struct complaints complaints = {.arena = arena};
    if (!word || profile_open(arena, str_c(word), &complaints, ARENA_NEW(arena, struct profile)) == OK) return true;
    complaints_print(&complaints);
    return false;
}

/* Finds out who is under test. Returns an exit status. */
static int aim(struct arena *arena, const struct arguments *args, struct rehearsal *how, struct adapter *adapter)
{
    struct str why;
    struct buf command = {.arena = arena};
    buf_add_c(&command, "acmedrill run");
    if (args->client) buf_fmt(&command, " --client %s", args->client);
    if (args->server) buf_fmt(&command, " --server %s", args->server);
    if (args->trust) buf_fmt(&command, " --trust %s", args->trust);
    if (args->defect) buf_fmt(&command, " --defect %s", args->defect);
    if (args->symbolic) buf_add_c(&command, " --symbolic");
    if (args->strict) buf_add_c(&command, " --strict");
    how->command = buf_str(&command).at;
    if (args->server && strstr(args->server, "://")) {
        how->mode = MODE_SERVER;
        how->server_url = args->server;
        how->trust_file = args->trust;
        how->server_profile = args->profile;
        return profile_known(arena, args->profile) ? EXIT_AS_EXPECTED : EXIT_INVALID;
    }
    if (!args->client && !args->server) return EXIT_AS_EXPECTED;
    how->mode = args->client ? MODE_CLIENT : MODE_SERVER;
    if (adapter_find(arena, args->client ? "clients" : "servers", args->client ? args->client : args->server, adapter,
                     &why) != OK) {
        fprintf(stderr, "acmedrill: %.*s\n", STR_ARGS(why));
        return EXIT_TARGET;
    }
    how->adapter = adapter;
    return EXIT_AS_EXPECTED;
}

int command_run(int argc, char **argv)
{
    static const char doc[] =
        "Rehearses scenarios and judges what crossed the wire. A SCENARIO is a file, a folder, or an id such as "
        "http-01/404-502-ok, and may name one #variant; default: all.\v"
        "Exit status: 0 all as expected, 1 failures, 2 usage, 3 an invalid file, 4 nothing ran, 5 the target did not "
        "start, 70 our own fault, 130 interrupted.";
    struct arguments args = {
        .repeat = 1, .seed = DEFAULT_SEED, .http_port = DEFAULT_HTTP_PORT, .dns_port = DEFAULT_DNS_PORT};
    const struct argp argp = {options, parse, "[SCENARIO...]", doc, NULL, NULL, NULL};
    struct arena arena = {0};
    struct scenario_set set = {0};
    struct adapter adapter;
    struct paper defect = {0};
    struct complaints complaints = {.arena = &arena};
    /* Rehearsals come and go by the thousand: their memory is not given back in between. */
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &args);
    struct rehearsal how = {.mode = MODE_SIMULATE,
                            .seed = args.seed,
                            .speed = args.speed,
                            .sealing = args.symbolic ? SEALING_SYMBOLIC : SEALING_REAL,
                            .strict = args.strict,
                            .all_findings = args.all_findings,
                            .http_port = args.http_port,
                            .dns_port = args.dns_port,
                            .deadline_ms = args.deadline_ms,
                            .out = args.out};
    int status = aim(&arena, &args, &how, &adapter);
    if (status == EXIT_AS_EXPECTED && args.defect && paper_read(&arena, args.defect, &complaints, &defect) != OK) {
        complaints_print(&complaints);
        status = EXIT_INVALID;
    }
    if (args.jobs == 0) args.jobs = how.mode == MODE_SIMULATE ? 1 : how.server_url ? 1 : 4;
    if (!how.speed) how.speed = how.mode == MODE_CLIENT ? DEFAULT_CLIENT_SPEED : 1;
    if (!how.deadline_ms) how.deadline_ms = how.mode == MODE_CLIENT ? DEFAULT_CLIENT_DEADLINE_MS : DEFAULT_DEADLINE_MS;
    if (how.mode == MODE_SIMULATE) how.speed = 1;
    if (status == EXIT_AS_EXPECTED)
        status = scenarios_open(&arena, args.paths, args.n_paths, args.defect ? &defect : NULL, &set);
    if (status == EXIT_AS_EXPECTED) {
        size_t n = 0;
        for (size_t i = 0; i < set.n; i++)
            if (chosen(&arena, &args, set.at[i])) set.at[n++] = set.at[i];
        set.n = n;
        struct sigaction action = {.sa_handler = on_signal};
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        signal(SIGPIPE, SIG_IGN);
        if (n && args.out && !rehearse_folder(args.out)) {
            fprintf(stderr, "acmedrill: cannot make folder %s: %s\n", args.out, strerror(errno));
            status = EXIT_HARNESS;
        } else if (n) {
            status = rehearse_all(&arena, &args, &how, &set);
        } else {
            fputs("acmedrill: no scenario matches\n", stderr);
            status = EXIT_NOTHING;
        }
    }
    rehearse_done();
    paper_done(&defect);
    free(set.at);
    arena_done(&arena);
    return status;
}
