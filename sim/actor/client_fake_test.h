/* For the client's tests: a small CA, strict about form (nonces, urls, content types) and scripted in what it decides,
 * and a run of the client against it in virtual time. What the client does becomes a trace, one word each, with its
 * time. */
#ifndef ACTOR_CLIENT_FAKE_TEST_H
#define ACTOR_CLIENT_FAKE_TEST_H

#include "acme/jws.h"
#include "acme/resource.h"
#include "actor/bench_test.h"
#include "actor/client.h"

#include <stdio.h>

#define FAKE_BASE "https://ca.test"
enum {
    SERVER_SEAT = 1,
    RESPONDER_SEAT = 2,
    FAKE_ORDERS = 1000,
    FAKE_NAMES = 3,
    FAKE_LINES = 20000,
    FAKE_LATENCY_MS = 10
};

struct fake_authz {
    const char *status;
    const char *challenge[CHALLENGE_TYPE_COUNT];
    int64_t due_ms[CHALLENGE_TYPE_COUNT];
};
struct fake_order {
    const char *status;
    int64_t issued_ms;
    struct fake_authz authzs[FAKE_NAMES];
};

struct fake {
    struct bench *bench;
    struct scenario *scenario;
    struct client_options options;
    struct actor *client;
    int64_t began_ms;

    /* What it decides. */
    bool offers[CHALLENGE_TYPE_COUNT], fails[CHALLENGE_TYPE_COUNT];
    bool kills;         /* a failed challenge makes its authorization and order invalid */
    bool shows_pending; /* instead of processing */
    int64_t validate_ms, issue_ms;
    const char *born; /* status of new orders */
    /* Before the request has an effect: true = *reply is the answer, and there is none. After: may change the reply.
     * nth counts from 1 per kind of request. */
    bool (*before)(struct fake *fake, const char *kind, int nth, struct msg *reply);
    void (*after)(struct fake *fake, const char *kind, int nth, struct msg *reply);

    struct fake_order orders[FAKE_ORDERS];
    int n_orders, n_nonces;
    char live_nonce[64][24];
    struct msg *pending[64];
    int64_t pending_ms[64];
    size_t n_pending;

    struct {
        int64_t t_ms;
        const char *word; /* "order" "answer:http-01" */
    } lines[FAKE_LINES];
    size_t n_lines;
    bool ended, success;
    char reason[600];
    char last_payload[2000], nonces_used[4][24];
    int n_posts;
};

static const char *const fake_types[CHALLENGE_TYPE_COUNT] = {"http-01", "dns-01", "tls-alpn-01", "dns-account-01"};

static inline struct fake *fake_new(void)
{
    struct fake *fake = calloc(1, sizeof *fake);
    assert_non_null(fake);
    fake->bench = bench_new();
    fake->scenario = calloc(1, sizeof *fake->scenario);
    fake->scenario->identifiers[0] = STR("a.example.test");
    fake->scenario->n_identifiers = 1;
    fake->scenario->challenges[0] = CHALLENGE_HTTP_01;
    fake->scenario->n_challenges = 1;
    fake->began_ms = fake->bench->now_ms;
    fake->offers[CHALLENGE_HTTP_01] = true;
    fake->kills = true;
    fake->validate_ms = 4000;
    fake->born = "pending";
    fake->options = (struct client_options){.scenario = fake->scenario,
                                            .directory_url = STR(FAKE_BASE "/dir"),
                                            .server = {SERVER_SEAT},
                                            .responder = {RESPONDER_SEAT},
                                            .sealing = SEALING_SYMBOLIC,
                                            .speed = 1};
    return fake;
}

static inline void fake_free(struct fake *fake)
{
    for (size_t i = 0; i < fake->n_pending; i++)
        msg_free(fake->pending[i]);
    if (fake->client) fake->client->free(fake->client);
    bench_free(fake->bench);
    free(fake->scenario);
    free(fake);
}

/* All three types, in this order of preference. */
static inline void fake_offer_all(struct fake *fake)
{
    for (int i = 0; i < CHALLENGE_TYPE_COUNT; i++) {
        fake->offers[i] = true;
        fake->scenario->challenges[i] = (enum challenge_type)i;
    }
    fake->scenario->n_challenges = CHALLENGE_TYPE_COUNT;
}

static inline struct habits *fake_habits(struct fake *fake)
{
    return &fake->scenario->client.habits;
}

static inline void fake_line(struct fake *fake, const char *kind, const char *detail)
{
    assert_true(fake->n_lines < FAKE_LINES);
    fake->lines[fake->n_lines].t_ms = fake->bench->now_ms - fake->began_ms;
    fake->lines[fake->n_lines++].word = str_fmt(&fake->bench->keep, detail ? "%s:%s" : "%s", kind, detail).at;
}

static inline int fake_count(const struct fake *fake, const char *word)
{
    int n = 0;
    for (size_t i = 0; i < fake->n_lines; i++)
        n += strcmp(fake->lines[i].word, word) == 0;
    return n;
}

/* When `word` came for the nth time, ms after the start; -1: it did not. */
static inline int64_t fake_when(const struct fake *fake, const char *word, int nth)
{
    for (size_t i = 0; i < fake->n_lines; i++)
        if (strcmp(fake->lines[i].word, word) == 0 && --nth == 0) return fake->lines[i].t_ms;
    return -1;
}

/* All words from the first `from` on (NULL: from the start), joined by blanks. */
static inline const char *fake_trace(struct fake *fake, const char *from)
{
    struct buf buf = {.arena = &fake->bench->keep};
    bool on = !from;
    for (size_t i = 0; i < fake->n_lines; i++) {
        on = on || strcmp(fake->lines[i].word, from) == 0;
        if (!on) continue;
        if (buf.n) buf_add_char(&buf, ' ');
        buf_add_c(&buf, fake->lines[i].word);
    }
    buf_add_c(&buf, "");
    return buf.n ? buf_str(&buf).at : "";
}

/* --- the CA --- */

static inline void fake_body(struct msg *reply, int status, struct str body)
{
    reply->as.response.status = status;
    reply->as.response.body = str_copy(&reply->arena, body);
}

static inline void fake_problem(struct msg *reply, int status, const char *type, const char *detail)
{
    fake_body(reply, status,
              str_fmt(&reply->arena, "{\"type\":\"urn:ietf:params:acme:error:%s\",\"detail\":\"%s\",\"status\":%d}",
                      type, detail, status));
    msg_header(reply, "Content-Type", STR("application/problem+json"));
}

static inline void fake_retry_after(struct msg *reply, const char *value)
{
    msg_header(reply, "Retry-After", str_c(value));
}

static inline void fake_give_nonce(struct fake *fake, struct msg *reply)
{
    char *nonce = fake->live_nonce[fake->n_nonces++ % 64];
    snprintf(nonce, sizeof fake->live_nonce[0], "nonce-%06d",
             fake->n_nonces); /* 12 characters: well formed base64url */
    msg_header(reply, "Replay-Nonce", str_c(nonce));
}

static inline bool fake_take_nonce(struct fake *fake, struct str nonce)
{
    for (size_t i = 0; i < 64; i++)
        if (nonce.n && str_is(nonce, fake->live_nonce[i])) {
            *fake->live_nonce[i] = 0;
            return true;
        }
    return false;
}

static inline void fake_settle(struct fake *fake)
{
    for (int o = 0; o < fake->n_orders; o++) {
        struct fake_order *order = &fake->orders[o];
        bool all_valid = true;
        for (size_t i = 0; i < fake->scenario->n_identifiers; i++) {
            struct fake_authz *authz = &order->authzs[i];
            bool any_left = false;
            for (int k = 0; k < CHALLENGE_TYPE_COUNT; k++) {
                if (authz->due_ms[k] && authz->due_ms[k] <= fake->bench->now_ms) {
                    authz->challenge[k] = fake->fails[k] ? "invalid" : "valid";
                    authz->due_ms[k] = 0;
                    if (!fake->fails[k]) authz->status = "valid";
                    else if (fake->kills) authz->status = "invalid";
                }
                any_left = any_left || (fake->offers[k] && strcmp(authz->challenge[k], "invalid") != 0);
            }
            if (!any_left) authz->status = "invalid";
            if (strcmp(authz->status, "invalid") == 0 && strcmp(order->status, "pending") == 0)
                order->status = "invalid";
            all_valid = all_valid && strcmp(authz->status, "valid") == 0;
        }
        if (all_valid && strcmp(order->status, "pending") == 0) order->status = "ready";
        if (order->issued_ms && order->issued_ms <= fake->bench->now_ms) {
            order->status = "valid";
            order->issued_ms = 0;
        }
    }
}

static inline void fake_show_order(struct fake *fake, int o, int status, struct msg *reply)
{
    struct buf buf = {.arena = &reply->arena};
    buf_fmt(&buf, "{\"status\":\"%s\",\"identifiers\":[", fake->orders[o].status);
    for (size_t i = 0; i < fake->scenario->n_identifiers; i++)
        buf_fmt(&buf, "%s{\"type\":\"dns\",\"value\":\"%.*s\"}", i ? "," : "",
                STR_ARGS(fake->scenario->identifiers[i]));
    buf_add_c(&buf, "],\"authorizations\":[");
    for (size_t i = 0; i < fake->scenario->n_identifiers; i++)
        buf_fmt(&buf, "%s\"" FAKE_BASE "/authz/%d/%zu\"", i ? "," : "", o, i);
    buf_fmt(&buf, "],\"finalize\":\"" FAKE_BASE "/finalize/%d\"", o);
    if (strcmp(fake->orders[o].status, "valid") == 0) buf_fmt(&buf, ",\"certificate\":\"" FAKE_BASE "/cert/%d\"", o);
    if (strcmp(fake->orders[o].status, "invalid") == 0)
        buf_add_c(&buf, ",\"error\":{\"type\":\"urn:ietf:params:acme:error:unauthorized\",\"detail\":\"order lost\"}");
    buf_add_c(&buf, "}");
    fake_body(reply, status, buf_str(&buf));
    msg_header(reply, "Location", str_fmt(&reply->arena, FAKE_BASE "/order/%d", o));
}

static inline void fake_challenge_json(const struct fake *fake, struct buf *buf, int o, int i, int k)
{
    const char *status = fake->orders[o].authzs[i].challenge[k];
    if (fake->shows_pending && strcmp(status, "processing") == 0) status = "pending";
    buf_fmt(buf,
            "{\"type\":\"%s\",\"url\":\"" FAKE_BASE "/chall/%d/%d/%d\",\"token\":\"tok-%d-%d-%d\",\"status\":\"%s\"",
            fake_types[k], o, i, k, o, i, k, status);
    if (strcmp(status, "invalid") == 0)
        buf_add_c(buf, ",\"error\":{\"type\":\"urn:ietf:params:acme:error:connection\",\"detail\":\"nobody there\"}");
    buf_add_c(buf, "}");
}

static inline void fake_show_authz(struct fake *fake, int o, int i, struct msg *reply)
{
    struct buf buf = {.arena = &reply->arena};
    struct str name = fake->scenario->identifiers[i];
    bool wildcard = str_starts(name, "*.");
    if (wildcard) name = (struct str){name.at + 2, name.n - 2};
    buf_fmt(&buf, "{\"status\":\"%s\",\"identifier\":{\"type\":\"dns\",\"value\":\"%.*s\"},%s\"challenges\":[",
            fake->orders[o].authzs[i].status, STR_ARGS(name), wildcard ? "\"wildcard\":true," : "");
    bool first = true;
    for (int k = 0; k < CHALLENGE_TYPE_COUNT; k++) {
        if (!fake->offers[k]) continue;
        if (!first) buf_add_char(&buf, ',');
        first = false;
        fake_challenge_json(fake, &buf, o, i, k);
    }
    buf_add_c(&buf, "]}");
    fake_body(reply, 200, buf_str(&buf));
}

static inline void fake_show_challenge(struct fake *fake, int o, int i, int k, struct msg *reply)
{
    struct buf buf = {.arena = &reply->arena};
    fake_challenge_json(fake, &buf, o, i, k);
    fake_body(reply, 200, buf_str(&buf));
}

static inline void fake_new_order(struct fake *fake, struct msg *reply)
{
    assert_true(fake->n_orders < FAKE_ORDERS);
    struct fake_order *order = &fake->orders[fake->n_orders++];
    *order = (struct fake_order){.status = fake->born};
    for (size_t i = 0; i < FAKE_NAMES; i++) {
        order->authzs[i].status = strcmp(fake->born, "pending") == 0 ? "pending" : "valid";
        for (int k = 0; k < CHALLENGE_TYPE_COUNT; k++)
            order->authzs[i].challenge[k] = order->authzs[i].status;
    }
    fake_show_order(fake, fake->n_orders - 1, 201, reply);
}

static inline void fake_finalize(struct fake *fake, int o, struct msg *reply)
{
    struct fake_order *order = &fake->orders[o];
    if (strcmp(order->status, "ready") != 0) {
        fake_problem(reply, 403, "orderNotReady", "not ready");
        return;
    }
    order->status = fake->issue_ms ? "processing" : "valid";
    if (fake->issue_ms) order->issued_ms = fake->bench->now_ms + fake->issue_ms;
    fake_show_order(fake, o, 200, reply);
}

static inline void fake_answer(struct fake *fake, int o, int i, int k, struct msg *reply)
{
    struct fake_authz *authz = &fake->orders[o].authzs[i];
    if (strcmp(authz->challenge[k], "invalid") == 0) {
        fake_problem(reply, 400, "malformed", "the challenge is invalid");
        return;
    }
    if (strcmp(authz->challenge[k], "pending") == 0) {
        authz->challenge[k] = "processing";
        authz->due_ms[k] = fake->bench->now_ms + fake->validate_ms;
    }
    fake_settle(fake);
    fake_show_challenge(fake, o, i, k, reply);
}

/* What a signed request is: a kind, and for some a challenge type. */
static inline const char *fake_kind(const char *path, bool empty, int at[3], const char **ret_type)
{
    static const struct {
        const char *format, *full, *bare;
        int n;
    } rows[] = {
        {"/chall/%d/%d/%d", "answer",     "challenge",   3},
        {"/authz/%d/%d",    "deactivate", "authz",       2},
        {"/order/%d",       NULL,         "order",       1},
        {"/finalize/%d",    "finalize",   NULL,          1},
        {"/cert/%d",        NULL,         "certificate", 1},
    };
    for (size_t r = 0; r < COUNTOF(rows); r++) {
        if (sscanf(path, rows[r].format, &at[0], &at[1], &at[2]) != rows[r].n) continue;
        if (rows[r].n == 3) *ret_type = fake_types[at[2]];
        return empty ? rows[r].bare : rows[r].full;
    }
    if (strcmp(path, "/account") == 0) return "account";
    return strcmp(path, "/new-order") == 0 ? "new-order" : NULL;
}

static inline void fake_serve(struct fake *fake, const char *kind, const int at[3], struct msg *reply)
{
    if (strcmp(kind, "account") == 0) {
        fake_body(reply, 201, STR("{\"status\":\"valid\"}"));
        msg_header(reply, "Location", STR(FAKE_BASE "/account/1"));
    } else if (strcmp(kind, "new-order") == 0) {
        fake_new_order(fake, reply);
    } else if (strcmp(kind, "order") == 0) {
        fake_show_order(fake, at[0], 200, reply);
    } else if (strcmp(kind, "authz") == 0) {
        fake_show_authz(fake, at[0], at[1], reply);
    } else if (strcmp(kind, "deactivate") == 0) {
        fake->orders[at[0]].authzs[at[1]].status = "deactivated";
        fake_show_authz(fake, at[0], at[1], reply);
    } else if (strcmp(kind, "challenge") == 0) {
        fake_show_challenge(fake, at[0], at[1], at[2], reply);
    } else if (strcmp(kind, "answer") == 0) {
        fake_answer(fake, at[0], at[1], at[2], reply);
    } else if (strcmp(kind, "finalize") == 0) {
        fake_finalize(fake, at[0], reply);
    } else {
        fake_body(reply, 200, STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"));
    }
}

static inline struct msg *fake_reply(struct fake *fake, const struct msg *in)
{
    const struct http_request *request = &in->as.request;
    struct msg *reply = msg_new(MSG_RESPONSE);
    struct jws jws;
    struct problem problem;
    const char *kind = NULL, *type = NULL;
    int at[3] = {0};
    bool nonce_good = true;
    reply->flow = in->flow;
    assert_true(str_starts(request->url, FAKE_BASE "/"));
    assert_true(str_starts(headers_get(request->headers, "User-Agent"), "acmedrill/"));
    const char *path = request->url.at + strlen(FAKE_BASE);

    fake_settle(fake);
    if (strcmp(path, "/dir") == 0) {
        kind = "directory";
        assert_str(request->method, "GET");
        fake_body(reply, 200,
                  STR("{\"newNonce\":\"" FAKE_BASE "/nonce\",\"newAccount\":\"" FAKE_BASE
                      "/account\",\"newOrder\":\"" FAKE_BASE "/new-order\",\"meta\":{}}"));
    } else if (strcmp(path, "/nonce") == 0) {
        kind = "nonce";
        assert_str(request->method, "HEAD");
        fake_body(reply, 200, STR(""));
        fake_give_nonce(fake, reply);
    } else {
        assert_str(request->method, "POST");
        assert_str(headers_get(request->headers, "Content-Type"), "application/jose+json");
        assert_int_equal(jws_open(&fake->bench->turn, request->body, &jws, &problem), OK);
        assert_true(str_eq(jws.url, request->url));
        snprintf(fake->last_payload, sizeof fake->last_payload, "%.*s", STR_ARGS(jws.payload));
        snprintf(fake->nonces_used[fake->n_posts++ % 4], 24, "%.*s", STR_ARGS(jws.nonce));
        kind = fake_kind(path, jws.payload.n == 0, at, &type);
        assert_non_null(kind);
        assert_int_equal(jws.jwk.at != NULL, strcmp(kind, "account") == 0);
        if (jws.kid.at) assert_str(jws.kid, FAKE_BASE "/account/1");
        nonce_good = fake_take_nonce(fake, jws.nonce);
        fake_give_nonce(fake, reply);
    }
    fake_line(fake, kind, type);
    int nth = 0;
    for (size_t i = 0; i < fake->n_lines; i++)
        nth += strncmp(fake->lines[i].word, kind, strlen(kind)) == 0;
    if (!nonce_good) fake_problem(reply, 400, "badNonce", "used or unknown");
    else if (!(fake->before && fake->before(fake, kind, nth, reply)) && strcmp(kind, "directory") != 0 &&
             strcmp(kind, "nonce") != 0)
        fake_serve(fake, kind, at, reply);
    if (fake->after) fake->after(fake, kind, nth, reply);
    return reply;
}

/* --- the run --- */

static inline void fake_collect(struct fake *fake)
{
    for (struct msg *msg; (msg = bench_take(fake->bench)); msg_free(msg)) {
        if (msg->kind == MSG_PROVISION) {
            assert_int_equal(msg->to.seat, RESPONDER_SEAT);
            fake_line(fake, msg->as.provision.withdraw ? "withdraw" : "provision",
                      str_copy(&fake->bench->keep, msg->as.provision.type).at);
        } else if (msg->kind == MSG_EXIT) {
            assert_false(fake->ended);
            assert_int_equal(msg->to.seat, 0);
            fake->ended = true;
            fake->success = msg->as.exit.success;
            snprintf(fake->reason, sizeof fake->reason, "%.*s", STR_ARGS(msg->as.exit.reason));
        } else {
            assert_int_equal(msg->kind, MSG_REQUEST);
            assert_int_equal(msg->to.seat, SERVER_SEAT);
            struct msg *reply = fake_reply(fake, msg);
            if (reply->as.response.delivery.how == DELIVER_HANG) {
                msg_free(reply);
                continue;
            }
            assert_true(fake->n_pending < COUNTOF(fake->pending));
            fake->pending_ms[fake->n_pending] =
                fake->bench->now_ms + 2 * FAKE_LATENCY_MS + reply->as.response.delivery.delay_ms;
            fake->pending[fake->n_pending++] = reply;
        }
    }
}

/* Runs to the client's end, at most `limit_ms` of its time. */
static inline void fake_run_for(struct fake *fake, int64_t limit_ms)
{
    if (!fake->client) fake->client = client_new(&fake->options);
    while (!fake->ended) {
        int64_t due_ms = fake->client->next_due_ms(fake->client);
        size_t first = 0;
        for (size_t i = 1; i < fake->n_pending; i++)
            if (fake->pending_ms[i] < fake->pending_ms[first]) first = i;
        bool arrives = fake->n_pending && fake->pending_ms[first] <= due_ms;
        if (arrives) due_ms = fake->pending_ms[first];
        if (due_ms - fake->began_ms > limit_ms) return;
        if (due_ms > fake->bench->now_ms) fake->bench->now_ms = due_ms;
        struct msg *msg = arrives ? fake->pending[first] : NULL;
        if (arrives) {
            fake->n_pending--;
            fake->pending[first] = fake->pending[fake->n_pending];
            fake->pending_ms[first] = fake->pending_ms[fake->n_pending];
        }
        bench_step(fake->bench, fake->client, msg);
        fake_collect(fake);
    }
    assert_true(fake->client->finished(fake->client));
    assert_true(fake->client->next_due_ms(fake->client) == ACTOR_IDLE);
}

static inline void fake_run(struct fake *fake)
{
    fake_run_for(fake, INT64_C(48) * 3600 * 1000);
    assert_true(fake->ended);
}

#endif
