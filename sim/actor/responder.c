#include "actor/responder.h"

#include "actor/answer.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TRACKS = 1024, MAX_BOOK = 4096, MAX_PENDING = 256, SAME_QUERY_MS = 1000, MAX_NAME = 255 };

#define HTTP_PLACE "/.well-known/acme-challenge/"

/* How far the list of one challenge type has come for one identifier. */
struct track {
    enum challenge_type type;
    struct str name;
    size_t queries;        /* begun so far; the present one is queries - 1 */
    bool open;             /* more requests may still belong to the present query */
    int64_t first_ms;      /* of the present query */
    uint64_t answered_at;  /* the flow counter when its first answer left */
    struct str token;      /* http-01 */
    struct str attempt;    /* as the validator counts */
    struct str redirected; /* "scheme host:port/path" where the present answer leads, empty = nowhere else */
    struct arena now;      /* owns token, attempt, redirected */
};

struct page {
    struct arena arena;
    enum challenge_type type;
    struct str name, token, place, proof;
};

/* A request that was handed on to `outside`. */
struct pending {
    bool used;
    uint64_t flow;  /* of the request outside */
    uint64_t asked; /* of the request to us */
    struct addr asker;
    enum msg_kind kind;
    const struct answer *answer; /* NULL: hand back what comes */
    struct str name, place, token;
    struct arena arena;
};

struct responder {
    struct actor actor;
    struct responder_options options;
    int64_t speed;
    bool has_refused;
    struct track *tracks;
    size_t n_tracks, room_tracks;
    struct page *book;
    size_t n_book, room_book;
    struct pending pending[MAX_PENDING];
    size_t next_pending;
    struct arena arena; /* names of tracks */
};

static const struct answer always_ok = {.kind = ANSWER_OK, .times = 1, .status = 200};

static void *grown(void *at, size_t n, size_t *room, size_t size)
{
    if (n < *room) return at;
    *room = *room ? *room * 2 : 8;
    at = realloc(at, *room * size);
    if (!at) abort();
    return at;
}

static struct str lower(struct arena *arena, struct str s)
{
    char *at = arena_copy(arena, s.at, s.n);
    for (size_t i = 0; i < s.n; i++)
        if (at[i] >= 'A' && at[i] <= 'Z') at[i] = (char)(at[i] - 'A' + 'a');
    return (struct str){at, s.n};
}

/* --- the list of answers --- */

static const struct answer *answer_at(const struct responder *responder, enum challenge_type type, size_t query)
{
    const struct scenario *scenario = responder->options.scenario;
    const struct answer *answer =
        scenario ? answers_at(scenario->answers[type].at, scenario->answers[type].n, query) : NULL;
    return answer ? answer : &always_ok;
}

/* NULL: more names than we keep. */
static struct track *find_track(struct responder *responder, enum challenge_type type, struct str name)
{
    if (!responder->options.scenario) return NULL; /* the answer is always the same */
    for (size_t i = 0; i < responder->n_tracks; i++)
        if (responder->tracks[i].type == type && str_eq(responder->tracks[i].name, name)) return &responder->tracks[i];
    if (responder->n_tracks == MAX_TRACKS || name.n > MAX_NAME) return NULL;
    responder->tracks = grown(responder->tracks, responder->n_tracks, &responder->room_tracks, sizeof(struct track));
    struct track *track = &responder->tracks[responder->n_tracks++];
    *track = (struct track){.type = type, .name = str_copy(&responder->arena, name)};
    return track;
}

static bool begins_query(const struct responder *responder, const struct track *track, const struct turn *turn,
                         const struct msg *in, struct str token, struct str attempt)
{
    if (track->queries == 0 || !str_eq(track->token, token)) return true;
    if (attempt.n || track->attempt.n) return !str_eq(track->attempt, attempt);
    if (!track->open || turn->now_ms - track->first_ms >= SAME_QUERY_MS / responder->speed) return true;
    return responder->options.validator.seat && in->from.seat == responder->options.validator.seat &&
           in->flow > track->answered_at;
}

/* The entry that this request meets. */
static const struct answer *next_answer(struct responder *responder, struct track *track, struct turn *turn,
                                        const struct msg *in, struct str token, struct str attempt)
{
    if (begins_query(responder, track, turn, in, token, attempt)) {
        arena_clear(&track->now);
        track->queries++;
        track->open = true;
        track->first_ms = turn->now_ms;
        track->answered_at = *turn->out->next_flow;
        track->token = str_copy(&track->now, token);
        track->attempt = str_copy(&track->now, attempt);
        track->redirected = (struct str){0};
    }
    return answer_at(responder, track->type, track->queries - 1);
}

static bool is_refused(const struct answer *answer)
{
    return answer->delivery.how == DELIVER_REFUSED;
}

bool responder_refuses(const struct actor *actor, const char *challenge_type)
{
    const struct responder *responder = (const struct responder *)actor;
    const struct scenario *scenario = responder->options.scenario;
    enum challenge_type type;
    if (!scenario || !challenge_type_read(str_c(challenge_type), &type)) return false;
    bool fresh = scenario->n_identifiers == 0;
    for (size_t k = 0; k < scenario->n_identifiers; k++) {
        struct str name = scenario->identifiers[k];
        bool known = false;
        if (str_starts(name, "*.")) name = (struct str){name.at + 2, name.n - 2};
        for (size_t i = 0; i < responder->n_tracks; i++) {
            const struct track *track = &responder->tracks[i];
            if (track->type != type || !track->queries || !str_eq(track->name, name)) continue;
            known = true;
            if (is_refused(answer_at(responder, type, track->open ? track->queries - 1 : track->queries))) return true;
        }
        fresh = fresh || !known;
    }
    return fresh && is_refused(answer_at(responder, type, 0));
}

/* --- the book -------------------------------------------------------------------------------------------------------
 */

static void on_provision(struct responder *responder, const struct provision *provision)
{
    enum challenge_type type;
    if (!challenge_type_read(provision->type, &type)) return;
    for (size_t i = 0; i < responder->n_book; i++) {
        struct page *page = &responder->book[i];
        if (page->type != type || !str_eq(page->place, provision->place) || !str_eq(page->token, provision->token))
            continue;
        arena_done(&page->arena);
        memmove(page, page + 1, (responder->n_book - i - 1) * sizeof *page);
        responder->n_book--;
        break;
    }
    if (provision->withdraw || responder->n_book == MAX_BOOK) return;
    responder->book = grown(responder->book, responder->n_book, &responder->room_book, sizeof(struct page));
    struct page *page = &responder->book[responder->n_book++];
    *page = (struct page){.type = type};
    page->name = lower(&page->arena, provision->name);
    page->token = str_copy(&page->arena, provision->token);
    page->place =
        type == CHALLENGE_HTTP_01 ? str_copy(&page->arena, provision->place) : lower(&page->arena, provision->place);
    page->proof = str_copy(&page->arena, provision->proof);
}

/* The latest page at that place; .at NULL: none. Places of http-01 hold for every host: the token tells them apart. */
static struct str proof_at(const struct responder *responder, enum challenge_type type, struct str place)
{
    for (size_t i = responder->n_book; i-- > 0;)
        if (responder->book[i].type == type && str_eq(responder->book[i].place, place)) return responder->book[i].proof;
    return (struct str){0};
}

/* --- answers --------------------------------------------------------------------------------------------------------
 */

static void http_text(struct msg *msg, int status, struct str type, struct str body)
{
    msg->as.response.status = status;
    msg->as.response.body = str_copy(&msg->arena, body);
    msg_header(msg, "Content-Type", type);
}

/* --- what is handed on to a real program -----------------------------------------------------------------------------
 */

static struct pending *pend(struct responder *responder, const struct msg *in, const struct msg *out,
                            const struct answer *answer, const struct answer_values *values)
{
    struct pending *pending =
        &responder->pending[responder->next_pending++ % MAX_PENDING]; /* the oldest is forgotten */
    arena_done(&pending->arena);
    *pending = (struct pending){
        .used = true, .flow = out->flow, .asked = in->flow, .asker = in->from, .kind = out->kind, .answer = answer};
    pending->name = str_copy(&pending->arena, values->name);
    pending->place = str_copy(&pending->arena, values->place);
    pending->token = str_copy(&pending->arena, values->token);
    return pending;
}

static void hand_on_request(struct responder *responder, struct turn *turn, const struct msg *in,
                            const struct answer *answer, const struct answer_values *values)
{
    struct msg *msg = outbox_post(turn->out, MSG_REQUEST, responder->options.outside, 0);
    const struct http_request *request = &in->as.request;
    msg->as.request.method = str_copy(&msg->arena, request->method);
    struct str host = url_host(turn->arena, values->name);
    msg->as.request.url = str_fmt(&msg->arena, "http://%.*s%.*s", STR_ARGS(host), STR_ARGS(values->place));
    for (size_t i = 0; request->headers && i < request->headers->n; i++) {
        const struct header *header = &request->headers->at[i];
        if (str_is_nocase(header->name, "X-Acmedrill-Attempt") || str_is_nocase(header->name, "Host")) continue;
        msg_header(msg, arena_copy(turn->arena, header->name.at, header->name.n), header->value);
    }
    msg_header(msg, "Host", host);
    msg->as.request.connect = str_copy(&msg->arena, request->connect);
    msg->as.request.limit_ms = request->limit_ms;
    pend(responder, in, msg, answer, values);
}

static struct pending *find_pending(struct responder *responder, const struct msg *in, enum msg_kind asked)
{
    for (size_t i = 0; i < MAX_PENDING; i++) {
        struct pending *pending = &responder->pending[i];
        if (pending->used && pending->flow == in->flow && pending->kind == asked) return pending;
    }
    return NULL;
}

static void pending_done(struct pending *pending)
{
    arena_done(&pending->arena);
    *pending = (struct pending){0};
}

static void on_outside_response(struct responder *responder, struct turn *turn, const struct msg *in)
{
    struct pending *pending = find_pending(responder, in, MSG_REQUEST);
    const struct http_response *response = &in->as.response;
    if (!pending) return;
    const struct answer *answer = pending->answer;
    struct answer_values values = {.name = pending->name, .place = pending->place, .token = pending->token};
    if (response->status == 200 && response->delivery.how == DELIVER_WHOLE) values.proof = str_trim(response->body);
    if (answer && answer->kind != ANSWER_OK && values.proof.n) {
        answer_http(turn, answer, &values, responder->speed, pending->asker, pending->asked);
        pending_done(pending);
        return;
    }
    struct msg *msg = outbox_post(turn->out, MSG_RESPONSE, pending->asker, pending->asked);
    for (size_t i = 0; response->headers && i < response->headers->n; i++) {
        const struct header *header = &response->headers->at[i];
        msg_header(msg, arena_copy(turn->arena, header->name.at, header->name.n), header->value);
    }
    for (size_t i = 0; answer && answer->headers && i < answer->headers->n; i++) {
        char *name = arena_copy(turn->arena, answer->headers->at[i].name.at, answer->headers->at[i].name.n);
        if (msg->as.response.headers) headers_set(msg->as.response.headers, name, (struct str){0});
        msg_header(msg, name, answer_filled(turn->arena, answer->headers->at[i].value, &values));
    }
    msg->as.response.status = response->status;
    msg->as.response.body = str_copy(&msg->arena, response->body);
    msg->as.response.delivery = response->delivery;
    if (response->status == 0 && response->delivery.how == DELIVER_WHOLE)
        msg->as.response.delivery.how = DELIVER_CLOSED;
    if (answer) {
        msg->fault = answer->fault;
        struct delivery delivery = answer_delivery(answer, responder->speed);
        if (response->delivery.how == DELIVER_WHOLE) msg->as.response.delivery = delivery;
    }
    pending_done(pending);
}

static void on_outside_tls(struct responder *responder, struct turn *turn, const struct msg *in)
{
    struct pending *pending = find_pending(responder, in, MSG_TLS_HELLO);
    if (!pending) return;
    struct msg *msg = outbox_post(turn->out, MSG_TLS_ANSWER, pending->asker, pending->asked);
    struct tls_answer *answer = &msg->as.tls_answer;
    *answer = in->as.tls_answer;
    answer->alpn = str_copy(&msg->arena, answer->alpn);
    answer->alert = str_copy(&msg->arena, answer->alert);
    answer->san = str_copy(&msg->arena, answer->san);
    answer->digest = str_copy(&msg->arena, answer->digest);
    pending_done(pending);
}

static void on_outside_dns(struct responder *responder, struct turn *turn, const struct msg *in)
{
    struct pending *pending = find_pending(responder, in, MSG_DNS_QUERY);
    if (!pending) return;
    struct msg *msg = outbox_post(turn->out, MSG_DNS_ANSWER, pending->asker, pending->asked);
    struct dns_answer *answer = &msg->as.dns_answer;
    *answer = in->as.dns_answer;
    answer->name = str_copy(&msg->arena, answer->name);
    for (size_t i = 0; i < answer->n_records; i++)
        answer->records[i] = str_copy(&msg->arena, answer->records[i]);
    pending_done(pending);
}

/* --- the three media -------------------------------------------------------------------------------------------------
 */

static bool needs_proof(const struct answer *answer)
{
    if (answer->kind == ANSWER_OK) return true;
    bool needs = str_find(answer->body, "{proof}") >= 0;
    for (size_t i = 0; answer->headers && i < answer->headers->n; i++)
        needs = needs || str_find(answer->headers->at[i].value, "{proof}") >= 0;
    return needs;
}

/* Notes where a redirect of ours leads, so that who follows it finds the proof there and does not count as another
 * query. */
static struct str whereabouts(struct turn *turn, const struct url *url)
{
    return str_fmt(turn->arena, "%.*s %.*s:%d%.*s", STR_ARGS(url->scheme), STR_ARGS(lower(turn->arena, url->host)),
                   url->port, STR_ARGS(url->path));
}

static void note_redirect(struct turn *turn, struct track *track, const struct answer *answer,
                          const struct answer_values *values, const struct url *asked)
{
    struct str to = answer_filled(turn->arena, answer->redirect, values), fragment;
    struct url url = *asked;
    if (track->redirected.n) return;
    str_cut(to, '#', &to, &fragment);
    if (str_starts(to, "/") && !str_starts(to, "//")) url.path = to;
    else if (url_parse(to, &url) != OK) return;
    to = whereabouts(turn, &url);
    if (!str_eq(whereabouts(turn, asked), to)) track->redirected = str_copy(&track->now, to);
}

static const struct track *redirected_from(const struct responder *responder, struct turn *turn,
                                           const struct url *asked)
{
    struct str here = whereabouts(turn, asked);
    for (size_t i = 0; i < responder->n_tracks; i++)
        if (responder->tracks[i].redirected.n && str_eq(responder->tracks[i].redirected, here))
            return &responder->tracks[i];
    return NULL;
}

static void on_request(struct responder *responder, struct turn *turn, const struct msg *in)
{
    struct url url;
    struct str rest;
    struct answer_values values = {0};
    bool outside = responder->options.outside.seat != 0;
    if (url_parse(in->as.request.url, &url) != OK) {
        http_text(outbox_post(turn->out, MSG_RESPONSE, in->from, in->flow), 400, STR("text/plain"),
                  STR("bad request\n"));
        return;
    }
    values.name = lower(turn->arena, url.host);
    values.place = url.path;
    const struct track *origin = redirected_from(responder, turn, &url);
    if (origin) {
        values.name = origin->name;
        values.token = origin->token;
        values.place = str_fmt(turn->arena, HTTP_PLACE "%.*s", STR_ARGS(values.token));
        values.proof = proof_at(responder, CHALLENGE_HTTP_01, values.place);
        if (outside) hand_on_request(responder, turn, in, NULL, &values);
        else answer_http(turn, &always_ok, &values, responder->speed, in->from, in->flow);
        return;
    }
    if (!str_starts(url.path, HTTP_PLACE)) {
        http_text(outbox_post(turn->out, MSG_RESPONSE, in->from, in->flow), 404, STR("text/plain"),
                  STR("nothing here\n"));
        return;
    }
    str_cut(url.path, '?', &values.place, &rest);
    values.token = (struct str){values.place.at + strlen(HTTP_PLACE), values.place.n - strlen(HTTP_PLACE)};
    values.proof = proof_at(responder, CHALLENGE_HTTP_01, values.place);
    struct track *track = find_track(responder, CHALLENGE_HTTP_01, values.name);
    struct str attempt = headers_get(in->as.request.headers, "X-Acmedrill-Attempt");
    const struct answer *answer = track ? next_answer(responder, track, turn, in, values.token, attempt) : &always_ok;
    if (track && answer->redirect.n) note_redirect(turn, track, answer, &values, &url);
    if (outside && needs_proof(answer)) {
        bool plain = answer->kind == ANSWER_OK && !answer->headers && !answer->fault &&
                     answer->delivery.how == DELIVER_WHOLE && !answer->delivery.delay_ms;
        hand_on_request(responder, turn, in, plain ? NULL : answer, &values);
    } else {
        answer_http(turn, answer, &values, responder->speed, in->from, in->flow);
    }
}

static void hand_on_query(struct responder *responder, struct turn *turn, const struct msg *in,
                          const struct answer_values *values)
{
    struct msg *msg = outbox_post(turn->out, MSG_DNS_QUERY, responder->options.outside, 0);
    msg->as.dns_query.name = str_copy(&msg->arena, in->as.dns_query.name);
    msg->as.dns_query.type = in->as.dns_query.type;
    pend(responder, in, msg, NULL, values);
}

static void on_dns_query(struct responder *responder, struct turn *turn, const struct msg *in)
{
    struct str name = lower(turn->arena, in->as.dns_query.name);
    bool challenge = in->as.dns_query.type == DNS_TXT && str_starts(name, "_acme-challenge.");
    struct answer_values values = {.place = name};
    const struct answer *answer = &always_ok;
    if (challenge) {
        values.proof = proof_at(responder, CHALLENGE_DNS_01, name);
        values.name = (struct str){name.at + strlen("_acme-challenge."), name.n - strlen("_acme-challenge.")};
        struct track *track = find_track(responder, CHALLENGE_DNS_01, values.name);
        if (track) answer = next_answer(responder, track, turn, in, (struct str){0}, (struct str){0});
    }
    if (responder->options.outside_has_dns && answer->kind == ANSWER_OK) {
        hand_on_query(responder, turn, in, &values);
        return;
    }
    struct msg *msg = outbox_post(turn->out, MSG_DNS_ANSWER, in->from, in->flow);
    struct dns_answer *reply = &msg->as.dns_answer;
    reply->name = str_copy(&msg->arena, in->as.dns_query.name);
    reply->type = in->as.dns_query.type;
    if (reply->type == DNS_A && responder->options.address.n)
        reply->records[reply->n_records++] = str_copy(&msg->arena, responder->options.address);
    if (!challenge) return;
    answer_dns(msg, answer, &values, responder->speed);
    if (answer->kind != ANSWER_OK) return;
    for (size_t i = 0; i < responder->n_book && reply->n_records < DNS_MAX_RECORDS; i++) {
        const struct page *page = &responder->book[i];
        if (page->type == CHALLENGE_DNS_01 && str_eq(page->place, name))
            reply->records[reply->n_records++] = str_copy(&msg->arena, page->proof);
    }
}

/* What a name in a hello stands for: itself, or the address whose reverse-mapping name it is (RFC 8738 section 6). */
static struct str provisioned_name(const struct responder *responder, struct str place)
{
    for (size_t i = responder->n_book; i-- > 0;)
        if (responder->book[i].type == CHALLENGE_TLS_ALPN_01 && str_eq(responder->book[i].place, place))
            return responder->book[i].name;
    return place;
}

static void on_tls_hello(struct responder *responder, struct turn *turn, const struct msg *in)
{
    struct str place = lower(turn->arena, in->as.tls_hello.name), name = provisioned_name(responder, place);
    struct answer_values values = {.name = name, .place = place};
    bool challenge = str_is(in->as.tls_hello.alpn, "acme-tls/1");
    struct track *track = challenge ? find_track(responder, CHALLENGE_TLS_ALPN_01, name) : NULL;
    const struct answer *answer =
        track ? next_answer(responder, track, turn, in, (struct str){0}, (struct str){0}) : &always_ok;
    if (responder->options.outside.seat && answer->kind == ANSWER_OK) {
        struct msg *msg = outbox_post(turn->out, MSG_TLS_HELLO, responder->options.outside, 0);
        msg->as.tls_hello.name = str_copy(&msg->arena, in->as.tls_hello.name);
        msg->as.tls_hello.alpn = str_copy(&msg->arena, in->as.tls_hello.alpn);
        msg->as.tls_hello.connect = str_copy(&msg->arena, in->as.tls_hello.connect);
        pend(responder, in, msg, NULL, &values);
        return;
    }
    struct msg *msg = outbox_post(turn->out, MSG_TLS_ANSWER, in->from, in->flow);
    values.proof = proof_at(responder, CHALLENGE_TLS_ALPN_01, place);
    answer_tls(msg, answer, &values, responder->speed, challenge);
}

/* --- the actor --- */

static int64_t closes_ms(const struct responder *responder, const struct track *track)
{
    return track->first_ms + SAME_QUERY_MS / responder->speed;
}

static void responder_step(struct actor *actor, struct turn *turn, const struct msg *in)
{
    struct responder *responder = (struct responder *)actor;
    if (!in) {
        for (size_t i = 0; i < responder->n_tracks; i++)
            if (responder->tracks[i].open && closes_ms(responder, &responder->tracks[i]) <= turn->now_ms)
                responder->tracks[i].open = false;
        return;
    }
    switch (in->kind) {
    case MSG_REQUEST: on_request(responder, turn, in); break;
    case MSG_DNS_QUERY: on_dns_query(responder, turn, in); break;
    case MSG_TLS_HELLO: on_tls_hello(responder, turn, in); break;
    case MSG_PROVISION: on_provision(responder, &in->as.provision); break;
    case MSG_RESPONSE: on_outside_response(responder, turn, in); break;
    case MSG_TLS_ANSWER: on_outside_tls(responder, turn, in); break;
    case MSG_DNS_ANSWER: on_outside_dns(responder, turn, in); break;
    default: break;
    }
}

/* A timer only where responder_refuses must know that a query is over; otherwise the next request finds out. */
static int64_t responder_next_due_ms(const struct actor *actor)
{
    const struct responder *responder = (const struct responder *)actor;
    int64_t due_ms = ACTOR_IDLE;
    for (size_t i = 0; responder->has_refused && i < responder->n_tracks; i++) {
        const struct track *track = &responder->tracks[i];
        if (track->open && closes_ms(responder, track) < due_ms) due_ms = closes_ms(responder, track);
    }
    return due_ms;
}

static void forget_tracks(struct responder *responder)
{
    for (size_t i = 0; i < responder->n_tracks; i++)
        arena_done(&responder->tracks[i].now);
    responder->n_tracks = 0;
}

void responder_play(struct actor *actor, const struct scenario *scenario)
{
    struct responder *responder = (struct responder *)actor;
    responder->options.scenario = scenario;
    responder->has_refused = false;
    forget_tracks(responder);
    for (int type = 0; scenario && type < CHALLENGE_TYPE_COUNT; type++)
        for (size_t i = 0; i < scenario->answers[type].n; i++)
            responder->has_refused = responder->has_refused || is_refused(&scenario->answers[type].at[i]);
}

static void responder_free(struct actor *actor)
{
    struct responder *responder = (struct responder *)actor;
    forget_tracks(responder);
    for (size_t i = 0; i < responder->n_book; i++)
        arena_done(&responder->book[i].arena);
    for (size_t i = 0; i < MAX_PENDING; i++)
        arena_done(&responder->pending[i].arena);
    free(responder->tracks);
    free(responder->book);
    arena_done(&responder->arena);
    free(responder);
}

struct actor *responder_new(const struct responder_options *options)
{
    struct responder *responder = calloc(1, sizeof *responder);
    if (!responder) abort();
    responder->options = *options;
    responder->speed = options->speed > 0 ? options->speed : 1;
    responder_play(&responder->actor, options->scenario);
    responder->actor = (struct actor){
        .name = "responder", .step = responder_step, .next_due_ms = responder_next_due_ms, .free = responder_free};
    return &responder->actor;
}
