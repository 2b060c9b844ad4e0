#include "serving.h"

#include "actor/ca.h"
#include "actor/responder.h"
#include "actor/va.h"
#include "command.h"
#include "control.h"
#include "https.h"
#include "world/clock.h"
#include "world/edge_fetch.h"
#include "world/edge_listen.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { FETCH_LIMIT_MS = 40000, MAX_BODY = 1 << 20 };

/* Seats: the listeners first, then who answers behind them, then the way out. Actors need to know their partners' seats
 * before they are made; a listener that is not open leaves its seat to a word. */
enum { SEAT_EDGE = 1, SEAT_CONTROLLER, SEAT_STATUS, SEAT_CA, SEAT_VA, SEAT_RESPONDER, SEAT_OUTSIDE, SEAT_CONTROL };

/* All that is open. */
struct place {
    const struct serving *how;
    struct arena arena;
    struct history history;
    struct issuer *issuer;
    struct edge *listen, *control, *status, *outside;
    struct str status_url;
    struct hall *hall;
};

static struct hall *volatile running;
static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
    if (running) hall_stop(running);
}

/* 0.0.0.0 and :: are where one listens, not where one goes. */
static bool is_everywhere(const char *address)
{
    return strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

static struct str base_url(struct place *place, const char *scheme, int port)
{
    const char *address = place->how->address;
    if (strcmp(address, "127.0.0.1") == 0 || is_everywhere(address)) address = "localhost";
    return str_fmt(&place->arena, strchr(address, ':') ? "%s://[%s]:%d" : "%s://%s:%d", scheme, address, port);
}

static void note_start(struct place *place)
{
    struct history *history = &place->history;
    const struct serving *how = place->how;
    history_note(history, RUN_START, history->start_ms, 0);
    event_add_int(history, F_VERSION, HISTORY_VERSION);
    event_add_text(history, F_HARNESS, STR(ACMEDRILL_VERSION));
    event_add_text(history, F_MODE, str_c(mode_text(MODE_CLIENT)));
    if (how->scenario) event_add_text(history, F_SCENARIO, how->scenario->id);
    if (how->scenario && how->scenario->variant.n) event_add_text(history, F_VARIANT, how->scenario->variant);
    event_add_int(history, F_SEED, (int64_t)how->seed);
    event_add_int(history, F_SPEED, how->speed);
    event_add_text(history, F_PROFILE, how->profile->name);
    event_add_int(history, F_EPOCH_MS, history->start_ms);
    history_commit(history);
}

/* --- opening --- */

static bool opened(const struct place *place, enum err e, const char *address, int port)
{
    if (e == OK) return true;
    fprintf(stderr, "%s: cannot listen on %s port %d: %s\n", place->how->command, address, port,
            e == ERR_IO ? strerror(errno) : err_text(e));
    return false;
}

static bool open_plain(struct place *place, const char *address, int port, uint16_t seat, struct edge **ret)
{
    struct edge_listen_options how = {.address = address, .port = port, .to = {seat}, .max_body = MAX_BODY};
    return opened(place, edge_listen_new(&how, ret), address, port);
}

/* With the certificate that was given, or with one of the CA's own. Whoever may be told to play faults later has the
 * certificates for them, too. */
static bool open_https(struct place *place, const char *address, int port, uint16_t seat, struct edge **ret)
{
    const struct serving *how = place->how;
    const struct str names[] = {STR("localhost"), STR("127.0.0.1"), STR("::1"), str_c(address)};
    struct edge_listen_options options = {.address = address,
                                          .port = port,
                                          .certificate_pem = how->certificate_pem,
                                          .key = how->key,
                                          .to = {seat},
                                          .max_body = MAX_BODY};
    struct rng rng, own;
    rng_seed(&rng, how->seed);
    rng_fork(&rng, seat == SEAT_CA ? "edge" : "management edge", &own);
    bool bad_ones = how->control_port >= 0 || https_meets_faults(how->scenario);
    enum err e = how->certificate_pem.n
                     ? edge_listen_new(&options, ret)
                     : https_listen(&place->arena, place->issuer, bad_ones, names, is_everywhere(address) ? 3 : 4,
                                    place->history.start_ms, &own, &options, ret);
    return opened(place, e, address, port);
}

/* For those who ask for the status of certificates: these name it from now on. */
static bool open_status(struct place *place)
{
    const struct serving *how = place->how;
    struct arena *arena = &place->arena;
    if (!open_plain(place, how->address, how->status_port, SEAT_CA, &place->status)) return false;
    struct str url = place->status_url = base_url(place, "http", edge_listen_port(place->status));
    issuer_set_urls(place->issuer, &(struct issuer_urls){.ocsp = str_fmt(arena, "%.*s/ocsp", STR_ARGS(url)),
                                                         .crl = str_fmt(arena, "%.*s/crl", STR_ARGS(url)),
                                                         .certificate = str_fmt(arena, "%.*s/issuer", STR_ARGS(url))});
    return true;
}

static bool open_edges(struct place *place)
{
    const struct serving *how = place->how;
    bool acme = how->plain ? open_plain(place, how->address, how->port, SEAT_CA, &place->listen)
                           : open_https(place, how->address, how->port, SEAT_CA, &place->listen);
    if (!acme) return false;
    if (how->control_port >= 0 && !open_plain(place, "127.0.0.1", how->control_port, SEAT_CONTROL, &place->control))
        return false;
    if (how->status_port >= 0 && !open_status(place)) return false;
    struct str target = str_fmt(&place->arena, "127.0.0.1:%d", how->http_port);
    place->outside = edge_fetch_new(
        &(struct edge_fetch_options){.connect_to = target.at, .limit_ms = FETCH_LIMIT_MS, .max_body = MAX_BODY});
    return true;
}

static bool open_files(struct place *place)
{
    const struct serving *how = place->how;
    if (how->trust_file && !write_out(how->trust_file, issuer_root_pem(place->issuer))) return false;
    if (how->history_file && !(place->history.sink = fopen(how->history_file, "w"))) {
        fprintf(stderr, "%s: cannot write %s: %s\n", how->command, how->history_file, strerror(errno));
        return false;
    }
    return true;
}

static void edge_free(struct edge *edge)
{
    if (edge) edge->free(edge);
}

/* --- the hall --- */
static void seat_listener(struct place *place, struct edge **edge, const char *word)
{
    if (*edge) edge_listen_seated(*edge, hall_seat_edge(place->hall, *edge, word));
    else hall_seat_word(place->hall, word);
    *edge = NULL; /* the hall's */
}

static struct str take_seats(struct place *place)
{
    const struct serving *how = place->how;
    const char *scheme = how->plain ? "http" : "https";
    bool controlled = place->control != NULL;
    struct actor *ca = ca_new(&(struct ca_options){.profile = how->profile,
                                                   .scenario = how->scenario,
                                                   .base_url = base_url(place, scheme, edge_listen_port(place->listen)),
                                                   .any_host = how->any_host,
                                                   .validator = {SEAT_VA},
                                                   .issuer = place->issuer,
                                                   .sealing = SEALING_REAL,
                                                   .speed = how->speed});
    struct actor *va = va_new(
        &(struct va_options){.target = {SEAT_RESPONDER}, .profile = how->profile, .always_valid = how->always_valid});
    struct actor *responder = responder_new(&(struct responder_options){
        .scenario = how->scenario, .outside = {SEAT_OUTSIDE}, .address = STR("127.0.0.1"), .speed = how->speed});
    if (!how->plain) https_faults_of(place->listen, ca);
    seat_listener(place, &place->listen, "client");
    seat_listener(place, &place->control, "controller");
    seat_listener(place, &place->status, "relying party");
    hall_seat(place->hall, ca);
    hall_seat(place->hall, va);
    hall_seat(place->hall, responder);
    hall_seat_edge(place->hall, place->outside, "outside");
    place->outside = NULL;
    if (controlled)
        hall_seat(place->hall, control_new(&(struct control_options){.ca = ca,
                                                                     .va = va,
                                                                     .responder = responder,
                                                                     .history = &place->history,
                                                                     .profile = how->profile,
                                                                     .scenario = how->scenario}));
    return ca_directory_url(ca);
}

static void serve(struct place *place)
{
    struct serving_places places = {.status_url = place->status_url,
                                    .port = edge_listen_port(place->listen),
                                    .control_port = place->control ? edge_listen_port(place->control) : 0};
    place->hall = hall_new(&(struct hall_options){.wait = clock_real_wait,
                                                  .start_ms = place->history.start_ms,
                                                  .seed = place->how->seed,
                                                  .history = &place->history});
    places.directory_url = take_seats(place);
    note_start(place);
    if (place->how->greet) place->how->greet(place->how, &places);
    running = place->hall;
    if (stop_asked) hall_stop(place->hall); /* it came before there was a hall to stop */
    hall_run(place->hall);
    running = NULL;
    hall_free(place->hall);
}

int serving_run(const struct serving *serving)
{
    struct place place = {
        .how = serving, .history = {.start_ms = clock_real_utc_ms(), .flush = true, .forget = true}
    };
    struct sigaction action = {.sa_handler = on_signal};
    struct rng rng, own;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    rng_seed(&rng, serving->seed);
    rng_fork(&rng, "issuer", &own);
    struct issuer_shape shape = profile_issuer_shape(serving->profile);
    place.issuer = issuer_new_shaped(SEALING_REAL, &own, place.history.start_ms, &shape);
    bool good = open_edges(&place) && open_files(&place);
    if (good) serve(&place);
    edge_free(place.listen);
    edge_free(place.control);
    edge_free(place.status);
    edge_free(place.outside);
    if (place.history.sink) fclose(place.history.sink);
    history_done(&place.history);
    issuer_free(place.issuer);
    arena_done(&place.arena);
    return good ? EXIT_AS_EXPECTED : EXIT_TARGET;
}
