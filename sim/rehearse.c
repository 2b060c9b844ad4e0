#include "rehearse.h"

#include "https.h"

#include "actor/ca.h"
#include "actor/client.h"
#include "actor/responder.h"
#include "actor/va.h"
#include "base/when.h"
#include "world/clock.h"
#include "world/edge_alpn.h"
#include "world/edge_dns_tcp.h"
#include "world/edge_fetch.h"
#include "world/edge_listen.h"
#include "world/netns.h"
#include "world/program.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LATENCY_MS = 5,
    SIMULATED_LIMIT_MS = 2 * 3600 * 1000,
    MESSAGE_LIMIT = 100000,
    SERVER_START_LIMIT_MS = 20000,
    FETCH_LIMIT_MS = 40000, /* longer than the slowest server we know holds a challenge POST (30 s) */
    MAX_BODY = 1 << 20,
    NETNS_TLS_PORT = 443 /* who cannot be told a port looks there (RFC 8737 section 3) */
};

#define SIMULATED_CA "https://ca.test"

/* Who sits where, in this order: an actor needs to know its partners' seats before it is made. */
enum { SEAT_CLIENT = 1, SEAT_CA, SEAT_VA, SEAT_RESPONDER, SEAT_OUTSIDE };

static struct hall *volatile running;
static volatile sig_atomic_t interrupted;

void rehearse_interrupt(void)
{
    interrupted = 1;
    if (running) hall_stop(running);
}

bool rehearse_interrupted(void)
{
    return interrupted;
}

/* The CA's keys and roots are the same for every rehearsal of one seed: made once. */
static struct {
    struct issuer *issuer;
    uint64_t seed;
    enum sealing sealing;
    struct issuer_shape shape;
} kept;

static const struct issuer *issuer_for(const struct rehearsal *how, const struct profile *profile, int64_t now_ms)
{
    struct issuer_shape shape = profile_issuer_shape(profile);
    if (kept.issuer && kept.seed == how->seed && kept.sealing == how->sealing &&
        kept.shape.n_alternates == shape.n_alternates && kept.shape.length == shape.length)
        return kept.issuer;
    struct rng rng, own;
    rng_seed(&rng, how->seed);
    rng_fork(&rng, "issuer", &own);
    issuer_free(kept.issuer);
    kept.issuer = issuer_new_shaped(how->sealing, &own, now_ms, &shape);
    kept.seed = how->seed;
    kept.sealing = how->sealing;
    kept.shape = shape;
    return kept.issuer;
}

void rehearse_done(void)
{
    issuer_free(kept.issuer);
    kept.issuer = NULL;
}

/* --- the stage: everything one rehearsal opens, closed by stage_clear --------------------------------------- */
struct stage {
    struct arena *arena;
    const struct rehearsal *how;
    const struct scenario *scenario;
    struct history history;
    struct hall *hall;
    struct actor *responder;
    struct program *program; /* client or server of somebody else's */
    bool program_seated;     /* the hall frees it */
    struct str folder;       /* this case's own; empty = none is kept */
    bool folder_is_temporary;
    struct str trouble; /* why it could not be run; empty = fine */
    bool unfit;         /* trouble is a reason to skip, not an error */
    bool no_target;     /* trouble is that the target does not start */
};

bool rehearse_folder(const char *path)
{
    char c[4096];
    size_t n = strlen(path);
    struct stat about;
    if (n >= sizeof c) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(c, path, n + 1);
    for (char *p = c + 1; *p; p++) {
        if (*p != '/') continue;
        *p = 0;
        if (mkdir(c, 0777) != 0 && errno != EEXIST) return false;
        *p = '/';
    }
    if (mkdir(c, 0777) == 0) return true;
    if (errno == EEXIST && stat(c, &about) == 0 && !S_ISDIR(about.st_mode)) errno = ENOTDIR;
    return errno == EEXIST;
}

static void remove_tree(struct str folder)
{
    const char *const argv[] = {"/bin/rm", "-rf", "--", folder.at, NULL};
    struct program *rm = NULL;
    struct arena arena = {0};
    struct str line;
    if (program_start(&(struct program_options){.argv = argv}, &rm) == OK) program_line(rm, 10000, &arena, &line);
    program_free(rm);
    arena_done(&arena);
}

void rehearse_remove(const char *path)
{
    remove_tree(str_c(path));
}

static bool stage_folder(struct stage *stage)
{
    struct arena *arena = stage->arena;
    const struct scenario *scenario = stage->scenario;
    if (stage->how->out) {
        stage->folder = str_fmt(arena, "%s/%.*s%s%.*s", stage->how->out, STR_ARGS(scenario->id),
                                scenario->variant.n ? "#" : "", STR_ARGS(scenario->variant));
    } else if (stage->how->mode != MODE_SIMULATE) {
        char path[] = "/tmp/acmedrill-XXXXXX";
        if (!mkdtemp(path)) return false;
        stage->folder = str_copy(arena, str_c(path));
        stage->folder_is_temporary = true;
    }
    if (stage->folder.n == 0) return true;
    if (!rehearse_folder(stage->folder.at)) {
        stage->trouble = str_fmt(arena, "cannot make folder %.*s: %s", STR_ARGS(stage->folder), strerror(errno));
        return false;
    }
    if (stage->folder_is_temporary) return true;
    struct str path = str_fmt(arena, "%.*s/history.jsonl", STR_ARGS(stage->folder));
    stage->history.sink = fopen(path.at, "w");
    stage->history.flush = stage->how->mode != MODE_SIMULATE;
    if (!stage->history.sink) stage->trouble = str_fmt(arena, "cannot write %.*s: %s", STR_ARGS(path), strerror(errno));
    return stage->history.sink != NULL;
}

static void stage_open(struct stage *stage, int64_t limit_ms)
{
    bool virtual_time = stage->how->mode == MODE_SIMULATE;
    const struct scenario *scenario = stage->scenario;
    int64_t start_ms = virtual_time ? WHEN_VIRTUAL_START_MS : clock_real_utc_ms();
    struct history *history = &stage->history;
    history->start_ms = start_ms;
    stage->hall = hall_new(&(struct hall_options){
        .wait = virtual_time ? clock_virtual_wait : clock_real_wait,
        .start_ms = start_ms,
        .latency_ms = virtual_time ? LATENCY_MS : 0,
        .limit_ms = limit_ms,
        .limit_messages = MESSAGE_LIMIT,
        .seed = stage->how->seed,
        .history = history,
    });
    history_note(history, RUN_START, start_ms, 0);
    event_add_int(history, F_VERSION, HISTORY_VERSION);
    event_add_text(history, F_HARNESS, STR(ACMEDRILL_VERSION));
    event_add_text(history, F_MODE, str_c(mode_text(stage->how->mode)));
    event_add_text(history, F_SCENARIO, scenario->id);
    if (scenario->variant.n) event_add_text(history, F_VARIANT, scenario->variant);
    event_add_int(history, F_SEED, (int64_t)stage->how->seed);
    event_add_int(history, F_SPEED, stage->how->speed);
    event_add_text(history, F_PROFILE, scenario->profile->name);
    event_add_int(history, F_EPOCH_MS, start_ms);
    if (stage->how->adapter)
        event_add_text(history, F_TARGET,
                       str_fmt(stage->arena, "%.*s %.*s", STR_ARGS(stage->how->adapter->name),
                               STR_ARGS(stage->how->adapter->version)));
    else if (stage->how->server_url) event_add_text(history, F_TARGET, str_c(stage->how->server_url));
    history_commit(history);
}

static void stage_run(struct stage *stage)
{
    running = stage->hall;
    if (interrupted) hall_stop(stage->hall);
    if (hall_run(stage->hall) == HALL_STOPPED) stage->trouble = STR("interrupted");
    running = NULL;
}

static void stage_clear(struct stage *stage)
{
    if (stage->hall) hall_free(stage->hall);
    if (stage->program && !stage->program_seated) program_free(stage->program);
    if (stage->history.sink) fclose(stage->history.sink);
    stage->history.sink = NULL;
    if (stage->folder_is_temporary) remove_tree(stage->folder);
}

/* --- the cast ------------------------------------------------------------------------------------------------------
 */
static void seat_client(struct stage *stage, struct str directory_url)
{
    const struct rehearsal *how = stage->how;
    hall_seat(stage->hall, client_new(&(struct client_options){
                               .scenario = stage->scenario,
                               .directory_url = directory_url,
                               .server = {SEAT_CA},
                               .responder = {SEAT_RESPONDER},
                               .sealing = how->sealing,
                               .speed = how->speed,
                           }));
}

static struct actor *seat_ca(struct stage *stage, struct str base_url)
{
    const struct rehearsal *how = stage->how;
    struct actor *ca = ca_new(&(struct ca_options){
        .profile = stage->scenario->profile,
        .scenario = stage->scenario,
        .base_url = base_url,
        .validator = {SEAT_VA},
        .issuer = issuer_for(how, stage->scenario->profile, hall_now_ms(stage->hall)),
        .sealing = how->sealing,
        .simulated = how->mode == MODE_SIMULATE,
        .speed = how->speed,
    });
    hall_seat(stage->hall, ca);
    return ca;
}

static void seat_va(struct stage *stage)
{
    hall_seat(stage->hall,
              va_new(&(struct va_options){.target = {SEAT_RESPONDER}, .profile = stage->scenario->profile}));
}

static void seat_responder(struct stage *stage, struct addr outside)
{
    stage->responder = responder_new(&(struct responder_options){.scenario = stage->scenario,
                                                                 .outside = outside,
                                                                 .validator = {SEAT_VA},
                                                                 .address = STR("127.0.0.1"),
                                                                 .speed = stage->how->speed});
    hall_seat(stage->hall, stage->responder);
}

static void cast_simulation(struct stage *stage)
{
    stage_open(stage, SIMULATED_LIMIT_MS);
    seat_client(stage, STR(SIMULATED_CA "/dir"));
    struct actor *ca = seat_ca(stage, STR(SIMULATED_CA));
    assert(str_is(ca_directory_url(ca), SIMULATED_CA "/dir"));
    seat_va(stage);
    seat_responder(stage, (struct addr){0});
}

/* --- a client under test: our CA on HTTPS, the program behind an adapter
 * ----------------------------------------------- */
static struct str save(struct stage *stage, const char *name, struct str text)
{
    struct str path = str_fmt(stage->arena, "%.*s/%s", STR_ARGS(stage->folder), name);
    FILE *file = fopen(path.at, "w");
    bool good = file && fwrite(text.at, 1, text.n, file) == text.n;
    if (file && fclose(file) != 0) good = false;
    if (!good) stage->trouble = str_fmt(stage->arena, "cannot write %.*s: %s", STR_ARGS(path), strerror(errno));
    return path;
}

static struct str joined_names(struct stage *stage)
{
    struct buf names = {.arena = stage->arena};
    for (size_t i = 0; i < stage->scenario->n_identifiers; i++) {
        if (i) buf_add_char(&names, ',');
        buf_add(&names, stage->scenario->identifiers[i]);
    }
    return buf_str(&names);
}

static struct str joined_challenges(struct stage *stage)
{
    const struct client_plan *plan = &stage->scenario->client;
    const struct scenario *scenario = stage->scenario;
    struct buf types = {.arena = stage->arena};
    size_t n = plan->n_prefers ? plan->n_prefers : scenario->n_challenges;
    for (size_t i = 0; i < n; i++) {
        if (i) buf_add_char(&types, ',');
        buf_add_c(&types, challenge_row(plan->n_prefers ? plan->prefers[i] : scenario->challenges[i])->name);
    }
    return buf_str(&types);
}

/* The seven words of the environment that every adapter is given: conformance/adapters/README.md. */
struct environment {
    const char *at[24];
    size_t n;
};

static void environment_add(struct stage *stage, struct environment *env, const char *name, struct str value)
{
    assert(env->n + 1 < COUNTOF(env->at));
    env->at[env->n++] = str_fmt(stage->arena, "ACMEDRILL_%s=%.*s", name, STR_ARGS(value)).at;
}

static struct str number(struct stage *stage, int64_t value)
{
    return str_fmt(stage->arena, "%lld", (long long)value);
}

/* A port that nobody has: found by asking, and given back for the program to take. */
static int free_port(struct stage *stage)
{
    struct edge *edge;
    if (edge_listen_new(&(struct edge_listen_options){.address = "127.0.0.1", .max_body = 1}, &edge) != OK) {
        stage->trouble = str_fmt(stage->arena, "no free port: %s", strerror(errno));
        return 0;
    }
    int port = edge_listen_port(edge);
    edge->free(edge);
    return port;
}

static struct str absolute(struct stage *stage, const char *name)
{
    char full[4096];
    if (!realpath(stage->folder.at, full)) return stage->folder;
    struct str path = str_fmt(stage->arena, "%s/%s", full, name);
    if (mkdir(path.at, 0777) != 0 && errno == EEXIST) {
        remove_tree(path);
        mkdir(path.at, 0777);
    }
    return path;
}

static struct edge *listen_https(struct stage *stage)
{
    const struct rehearsal *how = stage->how;
    const struct issuer *issuer = issuer_for(how, stage->scenario->profile, hall_now_ms(stage->hall));
    struct rng rng, own;
    rng_seed(&rng, how->seed);
    rng_fork(&rng, "edge", &own);
    static const struct str names[] = {
        {"localhost", 9},
        {"127.0.0.1", 9}
    };
    struct edge *edge = NULL;
    struct edge_listen_options options = {.address = "127.0.0.1", .to = {SEAT_CA}, .max_body = MAX_BODY};
    enum err e = https_listen(stage->arena, issuer, https_meets_faults(stage->scenario), names, COUNTOF(names),
                              hall_now_ms(stage->hall), &own, &options, &edge);
    if (e != OK) stage->trouble = str_fmt(stage->arena, "cannot listen on 127.0.0.1: %s", err_text(e));
    return edge;
}

static void cast_client(struct stage *stage)
{
    const struct rehearsal *how = stage->how;
    struct arena *arena = stage->arena;
    stage_open(stage, how->deadline_ms + 5000);
    struct edge *listen = listen_https(stage);
    int http_port = listen ? free_port(stage) : 0;
    if (!http_port) return;
    struct addr client = hall_seat_edge(stage->hall, listen, "client");
    edge_listen_seated(listen, client);
    struct actor *ca = seat_ca(stage, str_fmt(arena, "https://localhost:%d", edge_listen_port(listen)));
    https_faults_of(listen, ca);
    seat_va(stage);
    struct str target = str_fmt(arena, "127.0.0.1:%d", http_port);
    struct edge *fetch = edge_fetch_new(
        &(struct edge_fetch_options){.connect_to = target.at, .limit_ms = FETCH_LIMIT_MS, .max_body = MAX_BODY});
    seat_responder(stage, (struct addr){SEAT_OUTSIDE});
    hall_seat_edge(stage->hall, fetch, "outside");

    struct environment env = {0};
    struct str trust = save(stage, "trust.pem", issuer_root_pem(issuer_for(how, stage->scenario->profile, 0)));
    char full_trust[4096];
    environment_add(stage, &env, "DIRECTORY", ca_directory_url(ca));
    environment_add(stage, &env, "TRUST", realpath(trust.at, full_trust) ? str_c(full_trust) : trust);
    environment_add(stage, &env, "NAMES", joined_names(stage));
    environment_add(stage, &env, "CHALLENGES", joined_challenges(stage));
    environment_add(stage, &env, "HTTP_PORT", number(stage, http_port));
    environment_add(stage, &env, "TLS_PORT", number(stage, free_port(stage)));
    environment_add(stage, &env, "STATE", absolute(stage, "state"));
    environment_add(stage, &env, "OUT", absolute(stage, "out"));
    environment_add(stage, &env, "DEADLINE", number(stage, how->deadline_ms / 1000));
    struct str log = str_fmt(arena, "%.*s/client.log", STR_ARGS(stage->folder));
    const char *const argv[] = {how->adapter->path, NULL};
    if (stage->trouble.n) return;
    if (program_start(
            &(struct program_options){
                .argv = argv, .env = env.at, .log_file = log.at, .limit_ms = how->deadline_ms, .word = client},
            &stage->program) != OK) {
        stage->trouble = str_fmt(arena, "cannot start %s: %s", how->adapter->path, strerror(errno));
        stage->no_target = true;
        return;
    }
    hall_seat_edge(stage->hall, program_edge(stage->program), "program");
    stage->program_seated = true;
}

/* --- a server under test: our client, our responders on real sockets ------------------------------------------------
 */
static bool refuses_http(void *context)
{
    return responder_refuses(context, "http-01");
}

/* Starts the adapter and reads where its server is. */
static bool start_server(struct stage *stage, int http_port, int tls_port, int dns_port, struct str *ret_url,
                         struct str *ret_trust)
{
    struct environment env = {0};
    struct str line;
    json_error_t error;
    environment_add(stage, &env, "STATE", absolute(stage, "state"));
    environment_add(stage, &env, "HTTP_PORT", number(stage, http_port));
    environment_add(stage, &env, "TLS_PORT", number(stage, tls_port));
    environment_add(stage, &env, "DNS", str_fmt(stage->arena, "127.0.0.1:%d", dns_port));
    const char *const argv[] = {stage->how->adapter->path, NULL};
    enum err e = program_start(&(struct program_options){.argv = argv, .env = env.at}, &stage->program);
    if (e == OK) e = program_line(stage->program, SERVER_START_LIMIT_MS, stage->arena, &line);
    if (e != OK) {
        const char *how = e == ERR_LIMIT ? "did not say within 20 s where its directory is"
                          : e == ERR_IO  ? strerror(errno)
                                         : "ended and did not say where its directory is";
        stage->trouble = str_fmt(stage->arena, "%s: %s", stage->how->adapter->path, how);
        stage->no_target = true;
        return false;
    }
    json_t *root = json_loadb(line.at, line.n, 0, &error);
    const char *url = json_string_value(json_object_get(root, "directory"));
    const char *trust = json_string_value(json_object_get(root, "trust"));
    *ret_url = str_copy(stage->arena, str_c(url));
    *ret_trust = str_copy(stage->arena, str_c(trust));
    if (!url || !trust) {
        stage->trouble =
            str_fmt(stage->arena, "%s must print {\"directory\": URL, \"trust\": FILE}", stage->how->adapter->path);
        stage->no_target = true;
    }
    json_decref(root);
    return stage->trouble.n == 0;
}

/* The places where a server under test looks for proofs. */
struct places {
    struct edge *http, *dns, *dns_tcp, *tls; /* NULL: not open */
};

static void place_free(struct edge *edge)
{
    if (edge) edge->free(edge);
}

static void places_free(struct places *places)
{
    place_free(places->http);
    place_free(places->dns);
    place_free(places->dns_tcp);
    place_free(places->tls);
}

static void cannot_serve(struct stage *stage, const char *what, int port)
{
    stage->trouble = str_fmt(stage->arena, "cannot %s on 127.0.0.1:%d: %s", what, port, strerror(errno));
}

/* The edges are made before the server starts, for it must be told their ports. */
static void open_places(struct stage *stage, int http_port, int tls_port, int dns_port, struct places *ret)
{
    struct edge_listen_options listen = {.address = "127.0.0.1",
                                         .port = http_port,
                                         .to = {SEAT_RESPONDER},
                                         .max_body = MAX_BODY,
                                         .refuses = refuses_http,
                                         .context = stage->responder};
    struct edge_dns_options resolve = {.address = "127.0.0.1", .port = dns_port, .to = {SEAT_RESPONDER}};
    struct edge_alpn_options alpn = {
        .address = "127.0.0.1", .port = tls_port, .to = {SEAT_RESPONDER}, .seed = stage->how->seed};
    if (edge_listen_new(&listen, &ret->http) != OK) {
        cannot_serve(stage, "serve http-01", http_port);
        return;
    }
    if (edge_dns_new(&resolve, &ret->dns) != OK) {
        cannot_serve(stage, "answer DNS", dns_port);
        return;
    }
    if (!stage->how->all_media) return;
    if (edge_alpn_new(&alpn, &ret->tls) != OK) {
        cannot_serve(stage, "serve tls-alpn-01", tls_port);
        return;
    }
    /* That port may be taken for TCP, when it was asked for over UDP: few servers ask by TCP. */
    resolve.port = edge_dns_port(ret->dns);
    if (edge_dns_tcp_new(&resolve, &ret->dns_tcp) != OK) ret->dns_tcp = NULL;
}

static void seat_places(struct stage *stage, struct places *places)
{
    edge_listen_seated(places->http, hall_seat_edge(stage->hall, places->http, "va"));
    hall_seat(stage->hall, stage->responder);
    edge_dns_seated(places->dns, hall_seat_edge(stage->hall, places->dns, "va"));
    if (places->dns_tcp) edge_dns_tcp_seated(places->dns_tcp, hall_seat_edge(stage->hall, places->dns_tcp, "va"));
    if (places->tls) edge_alpn_seated(places->tls, hall_seat_edge(stage->hall, places->tls, "va"));
}

static void cast_server(struct stage *stage)
{
    const struct rehearsal *how = stage->how;
    struct str url = str_c(how->server_url), trust = str_c(how->trust_file);
    struct places places = {0};
    int http_port = how->http_port, tls_port = how->tls_port, dns_port = how->dns_port;
    if (how->adapter) {
        http_port = how->adapter->http_port;
        tls_port = how->adapter->needs_netns && how->all_media ? NETNS_TLS_PORT : 0;
        dns_port = how->adapter->needs_netns ? 53 : 0;
        if (how->adapter->needs_netns && netns_enter(stage->arena, &stage->trouble) != OK) {
            stage->trouble =
                str_fmt(stage->arena, "%.*s needs a network namespace of its own, which is not allowed here: %.*s",
                        STR_ARGS(how->adapter->name), STR_ARGS(stage->trouble));
            stage->unfit = true;
            return;
        }
    }
    stage_open(stage, how->deadline_ms);
    stage->responder = responder_new(
        &(struct responder_options){.scenario = stage->scenario, .address = STR("127.0.0.1"), .speed = how->speed});
    open_places(stage, http_port, tls_port, dns_port, &places);
    if (!stage->trouble.n && how->adapter) {
        int told_port = places.tls ? edge_alpn_port(places.tls) : free_port(stage);
        if (!start_server(stage, edge_listen_port(places.http), told_port, edge_dns_port(places.dns), &url, &trust))
            assert(stage->trouble.n);
    }
    if (stage->trouble.n) {
        places_free(&places);
        stage->responder->free(stage->responder);
        return;
    }
    /* The seats are taken after, for the client must be told the directory. */
    seat_client(stage, url);
    struct edge *fetch = edge_fetch_new(
        &(struct edge_fetch_options){.trust_file = trust.at, .limit_ms = FETCH_LIMIT_MS, .max_body = MAX_BODY});
    hall_seat_edge(stage->hall, fetch, "target");
    seat_places(stage, &places);
}

/* --- the rehearsal
 * ------------------------------------------------------------------------------------------------------ */
static void outcome_only(struct arena *arena, const struct scenario *scenario, enum outcome_class outcome,
                         struct str reason, struct result_case *ret)
{
    *ret = (struct result_case){.name = scenario_name(arena, scenario),
                                .id = scenario->id,
                                .variant = scenario->variant,
                                .path = scenario->path,
                                .title = scenario->title,
                                .outcome = outcome,
                                .reason = reason,
                                .clauses = scenario->clauses,
                                .n_clauses = scenario->n_clauses};
}

/* A decision that the scenario gives its CA, and that the server under test is known to take otherwise; empty: none is
 * known. */
static struct str unlike(struct arena *arena, const struct rehearsal *how, const struct scenario *scenario)
{
    struct complaints complaints = {.arena = arena};
    struct profile *base = ARENA_NEW(arena, struct profile), *target = ARENA_NEW(arena, struct profile);
    struct str name = how->adapter ? how->adapter->profile : str_c(how->server_profile);
    if (!name.n || profile_open(arena, name, &complaints, target) ||
        profile_load(arena, STR(PROFILE_DEFAULT), &complaints, base))
        return (struct str){0};
    const char *word = profile_differs(scenario->profile, base, target);
    if (!word) return (struct str){0};
    return str_fmt(arena, "gives its CA another %s than that of \"%.*s\"", word, STR_ARGS(name));
}

/* Why this case cannot be asked of this target; empty: it can. */
static struct str unfit(struct arena *arena, const struct rehearsal *how, const struct scenario *scenario)
{
    struct str why = how->all_media ? (struct str){0} : scenario_unfit(arena, scenario, how->mode);
    if (why.n || how->mode == MODE_SIMULATE) return why;
    if (how->mode == MODE_SERVER && scenario->profile_named) {
        struct str like = how->adapter ? how->adapter->profile : str_c(how->server_profile);
        if (!str_eq(like, scenario->profile->name))
            return str_fmt(arena, "asks for a CA that behaves like \"%.*s\"; this one is declared as \"%.*s\"",
                           STR_ARGS(scenario->profile->name), STR_ARGS(like));
    }
    if (how->mode == MODE_SERVER && !scenario->profile_named && (why = unlike(arena, how, scenario)).n) return why;
    if (!how->adapter) return why;
    for (size_t i = 0; i < scenario->n_challenges; i++)
        for (size_t k = 0; k < how->adapter->n_challenges; k++)
            if (str_is(how->adapter->challenges[k], challenge_row(scenario->challenges[i])->name)) return why;
    return str_fmt(arena, "%.*s cannot do any of the challenges that are offered", STR_ARGS(how->adapter->name));
}

static struct str again(struct arena *arena, const struct rehearsal *how, const struct scenario *scenario)
{
    struct buf text = {.arena = arena};
    buf_add_c(&text, how->command);
    if (how->mode != MODE_SIMULATE && how->speed != 1) buf_fmt(&text, " --speed %lld", (long long)how->speed);
    buf_fmt(&text, " --seed %llu %.*s", (unsigned long long)how->seed, STR_ARGS(scenario->path));
    if (scenario->variant.n) buf_fmt(&text, "#%.*s", STR_ARGS(scenario->variant));
    return buf_str(&text);
}

/* An adapter that says "success" must leave the certificate; one that says 77 cannot play this scenario. */
static void judge_program(struct stage *stage, struct result_case *ret)
{
    int status = -1;
    if (!program_ended(stage->program, &status)) return;
    if (status == 77) {
        ret->outcome = OUTCOME_SKIP;
        ret->reason = str_fmt(stage->arena, "%.*s cannot do this (its adapter ended with 77; see client.log)",
                              STR_ARGS(stage->how->adapter->name));
        ret->n_findings = 0;
    } else if (status == 0 &&
               access(str_fmt(stage->arena, "%.*s/out/cert.pem", STR_ARGS(stage->folder)).at, R_OK) != 0) {
        ret->outcome = OUTCOME_ERROR;
        ret->reason = STR("the adapter ended with 0 (certificate obtained) and left no cert.pem");
    } else if (status > 1) {
        ret->outcome = OUTCOME_ERROR;
        ret->reason = str_fmt(stage->arena,
                              "the adapter ended with status %d; 0, 1 and 77 have a meaning (see client.log)", status);
    }
}

void rehearse(struct arena *arena, const struct rehearsal *how, const struct scenario *scenario,
              struct result_case *ret)
{
    struct stage stage = {.arena = arena, .how = how, .scenario = scenario};
    struct str why = unfit(arena, how, scenario);
    if (why.n) {
        outcome_only(arena, scenario, OUTCOME_SKIP, why, ret);
        return;
    }
    int64_t started_ms = clock_real_utc_ms();
    if (stage_folder(&stage)) {
        switch (how->mode) {
        case MODE_SIMULATE: cast_simulation(&stage); break;
        case MODE_CLIENT: cast_client(&stage); break;
        case MODE_SERVER: cast_server(&stage); break;
        }
    }
    if (!stage.trouble.n) stage_run(&stage);
    if (stage.trouble.n) {
        outcome_only(arena, scenario, stage.unfit ? OUTCOME_SKIP : OUTCOME_ERROR, stage.trouble, ret);
        ret->no_target = stage.no_target;
    } else {
        struct judgement judgement;
        oracle_judge(&judgement, &stage.history, scenario,
                     &(struct oracle_options){.mode = how->mode, .strict = how->strict, .speed = how->speed});
        report_case(arena, &judgement, scenario, how->all_findings, ret);
        ret->again = again(arena, how, scenario);
        if (!stage.folder_is_temporary) ret->files = stage.folder;
        if (how->mode == MODE_CLIENT) judge_program(&stage, ret);
        judgement_done(&judgement);
    }
    ret->real_ms = clock_real_utc_ms() - started_ms;
    stage_clear(&stage);
    history_done(&stage.history);
}
