#include "serving.h"

#include "actor/ca.h"
#include "actor/responder.h"
#include "actor/va.h"
#include "command.h"
#include "control.h"
#include "https.h"
#include "management.h"
#include "stay.h"
#include "world/clock.h"
#include "world/edge_fetch.h"
#include "world/edge_handshake.h"
#include "world/edge_listen.h"
#include "world/edge_outside.h"
#include "world/edge_resolve.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FETCH_LIMIT_MS = 40000, DNS_TRY_MS = 2000, MAX_BODY = 1 << 20 };

/* Seats: the listeners first, then who answers behind them, then the way out. Actors need to know their partners' seats
 * before they are made; a listener that is not open leaves its seat to a word. */
enum {
    SEAT_EDGE = 1,
    SEAT_CONTROLLER,
    SEAT_STATUS,
    SEAT_MANAGER,
    SEAT_CA,
    SEAT_VA,
    SEAT_RESPONDER,
    SEAT_OUTSIDE,
    SEAT_MANAGEMENT,
    SEAT_CONTROL
};

/* All that is open. */
struct service {
    const struct serving *how;
    struct arena arena;
    struct history history;
    struct issuer *issuer;
    struct edge *listen, *control, *status, *manager, *outside;
    struct str status_url;
    struct hall *hall;
};

/* 0.0.0.0 and :: are where one listens, not where one goes. */
static bool is_everywhere(const char *address)
{
    return strcmp(address, "0.0.0.0") == 0 || strcmp(address, "::") == 0;
}

static struct str base_url(struct service *service, const char *scheme, int port)
{
    const char *address = service->how->address;
    if (strcmp(address, "127.0.0.1") == 0 || is_everywhere(address)) address = "localhost";
    return str_fmt(&service->arena, strchr(address, ':') ? "%s://[%s]:%d" : "%s://%s:%d", scheme, address, port);
}

static void note_start(struct service *service)
{
    struct history *history = &service->history;
    const struct serving *how = service->how;
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

static bool opened(const struct service *service, enum err e, const char *address, int port)
{
    if (e == OK) return true;
    fprintf(stderr, "%s: cannot listen on %s port %d: %s\n", service->how->command, address, port,
            e == ERR_IO ? strerror(errno) : err_text(e));
    return false;
}

static bool open_plain(struct service *service, const char *address, int port, uint16_t seat, struct edge **ret)
{
    struct edge_listen_options how = {.address = address, .port = port, .to = {seat}, .max_body = MAX_BODY};
    return opened(service, edge_listen_new(&how, ret), address, port);
}

/* With the certificate that was given, or with one of the CA's own. Whoever may be told to play faults later has the
 * certificates for them, too. */
static bool open_https(struct service *service, const char *address, int port, uint16_t seat, struct edge **ret)
{
    const struct serving *how = service->how;
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
                     : https_listen(&service->arena, service->issuer, bad_ones, names, is_everywhere(address) ? 3 : 4,
                                    service->history.start_ms, &own, &options, ret);
    return opened(service, e, address, port);
}

/* For those who ask for the status of certificates: these name it from now on. */
static bool open_status(struct service *service)
{
    const struct serving *how = service->how;
    struct arena *arena = &service->arena;
    if (!open_plain(service, how->address, how->status_port, SEAT_CA, &service->status)) return false;
    struct str url = service->status_url = base_url(service, "http", edge_listen_port(service->status));
    issuer_set_urls(service->issuer,
                    &(struct issuer_urls){.ocsp = str_fmt(arena, "%.*s/ocsp", STR_ARGS(url)),
                                          .crl = str_fmt(arena, "%.*s/crl", STR_ARGS(url)),
                                          .certificate = str_fmt(arena, "%.*s/issuer", STR_ARGS(url))});
    return true;
}

/* The network that validators look at. */
static struct edge *outside_edge(struct service *service)
{
    const struct serving *how = service->how;
    struct str http = str_fmt(&service->arena, "127.0.0.1:%d", how->http_port);
    struct str tls = str_fmt(&service->arena, "127.0.0.1:%d", how->tls_port);
    struct edge *dns = NULL;
    enum err e = edge_resolve_new(
        &(struct edge_resolve_options){
            .server = how->dns_server ? how->dns_server : SERVING_DNS_SERVER, .try_ms = DNS_TRY_MS, .seed = how->seed},
        &dns);
    assert(e == OK); /* whoever filled dns_server has read it */
    (void)e;
    return edge_outside_new(
        edge_fetch_new(
            &(struct edge_fetch_options){.connect_to = http.at, .limit_ms = FETCH_LIMIT_MS, .max_body = MAX_BODY}),
        dns, edge_handshake_new(&(struct edge_handshake_options){.connect_to = tls.at, .limit_ms = FETCH_LIMIT_MS}));
}

static bool open_edges(struct service *service)
{
    const struct serving *how = service->how;
    bool acme = how->plain ? open_plain(service, how->address, how->port, SEAT_CA, &service->listen)
                           : open_https(service, how->address, how->port, SEAT_CA, &service->listen);
    if (!acme) return false;
    if (how->control_port >= 0 && !open_plain(service, "127.0.0.1", how->control_port, SEAT_CONTROL, &service->control))
        return false;
    if (how->status_port >= 0 && !open_status(service)) return false;
    if (how->management_address &&
        !open_https(service, how->management_address, how->management_port, SEAT_MANAGEMENT, &service->manager))
        return false;
    service->outside = outside_edge(service);
    return true;
}

static bool open_files(struct service *service)
{
    const struct serving *how = service->how;
    if (how->trust_file && !write_out(how->trust_file, issuer_root_pem(service->issuer))) return false;
    if (how->history_file && !(service->history.sink = fopen(how->history_file, "w"))) {
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
static void seat_listener(struct service *service, struct edge **edge, const char *word)
{
    if (*edge) edge_listen_seated(*edge, hall_seat_edge(service->hall, *edge, word));
    else hall_seat_word(service->hall, word);
    *edge = NULL; /* the hall's */
}

static struct str take_seats(struct service *service)
{
    const struct serving *how = service->how;
    const char *scheme = how->plain ? "http" : "https";
    bool controlled = service->control != NULL;
    struct actor *ca =
        ca_new(&(struct ca_options){.profile = how->profile,
                                    .scenario = how->scenario,
                                    .base_url = base_url(service, scheme, edge_listen_port(service->listen)),
                                    .any_host = how->any_host,
                                    .validator = {SEAT_VA},
                                    .issuer = service->issuer,
                                    .sealing = SEALING_REAL,
                                    .speed = how->speed});
    /* A scenario's responder stands between the validator and the network: what it does not play is really there. So it
     * may with the control API, whose scenarios are yet to come. */
    bool direct = !how->scenario && !controlled;
    struct actor *va = va_new(&(struct va_options){.target = {direct ? SEAT_OUTSIDE : SEAT_RESPONDER},
                                                   .profile = how->profile,
                                                   .always_valid = how->always_valid,
                                                   .is_network = direct,
                                                   .resolves = how->dns_server != NULL,
                                                   .resolver = {SEAT_OUTSIDE},
                                                   .http_port = how->http_port,
                                                   .tls_port = how->tls_port});
    struct actor *responder = responder_new(&(struct responder_options){.scenario = how->scenario,
                                                                        .outside = {SEAT_OUTSIDE},
                                                                        .outside_has_dns = true,
                                                                        .address = STR("127.0.0.1"),
                                                                        .speed = how->speed});
    if (!how->plain) https_faults_of(service->listen, ca);
    seat_listener(service, &service->listen, "client");
    seat_listener(service, &service->control, "controller");
    seat_listener(service, &service->status, "relying party");
    seat_listener(service, &service->manager, "manager");
    hall_seat(service->hall, ca);
    hall_seat(service->hall, va);
    hall_seat(service->hall, responder);
    hall_seat_edge(service->hall, service->outside, "outside");
    service->outside = NULL;
    if (how->management_address) hall_seat(service->hall, management_new(service->issuer, ca));
    else hall_seat_word(service->hall, "management");
    if (controlled)
        hall_seat(service->hall, control_new(&(struct control_options){.ca = ca,
                                                                       .va = va,
                                                                       .responder = responder,
                                                                       .history = &service->history,
                                                                       .profile = how->profile,
                                                                       .scenario = how->scenario}));
    return ca_directory_url(ca);
}

static void serve(struct service *service)
{
    struct serving_places places = {.status_url = service->status_url,
                                    .port = edge_listen_port(service->listen),
                                    .management_port = service->manager ? edge_listen_port(service->manager) : 0,
                                    .control_port = service->control ? edge_listen_port(service->control) : 0};
    service->hall = hall_new(&(struct hall_options){.wait = clock_real_wait,
                                                    .start_ms = service->history.start_ms,
                                                    .seed = service->how->seed,
                                                    .history = &service->history});
    places.directory_url = take_seats(service);
    note_start(service);
    if (service->how->greet) service->how->greet(service->how, &places);
    stay_run(service->hall);
    hall_free(service->hall);
}

int serving_run(const struct serving *serving)
{
    struct service service = {
        .how = serving, .history = {.start_ms = clock_real_utc_ms(), .flush = true, .forget = true}
    };
    struct rng rng, own;
    stay_prepare();
    rng_seed(&rng, serving->seed);
    rng_fork(&rng, "issuer", &own);
    struct issuer_shape shape = profile_issuer_shape(serving->profile);
    service.issuer = issuer_new_shaped(SEALING_REAL, &own, service.history.start_ms, &shape);
    bool good = open_edges(&service) && open_files(&service);
    if (good) serve(&service);
    edge_free(service.listen);
    edge_free(service.control);
    edge_free(service.status);
    edge_free(service.manager);
    edge_free(service.outside);
    if (service.history.sink) fclose(service.history.sink);
    history_done(&service.history);
    issuer_free(service.issuer);
    arena_done(&service.arena);
    return good ? EXIT_AS_EXPECTED : EXIT_TARGET;
}
