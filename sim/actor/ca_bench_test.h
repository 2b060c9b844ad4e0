/* For the tests of the CA: a client that signs, and a validator that says what the test wants. */
#ifndef ACTOR_CA_BENCH_TEST_H
#define ACTOR_CA_BENCH_TEST_H

#include "acme/jws.h"
#include "acme/resource.h"
#include "actor/bench_test.h"
#include "actor/ca.h"

#define CA_BASE "https://ca.test/acme"

enum { SEAT_OF_CA = 1, SEAT_OF_CLIENT, SEAT_OF_VALIDATOR, MAX_PROBES = 64 };

struct desk {
    struct bench *bench;
    struct actor *ca;
    struct issuer *issuer;
    struct profile profile; /* change it before desk_open, or between requests */
    struct scenario scenario;
    int64_t speed;
    struct key *key, *csr_key;
    char kid[100], nonce[100];
    bool nonce_due;
    struct msg *reply; /* to the last request; NULL: none yet */
    struct msg *probes[MAX_PROBES];
    size_t n_probes, n_asked; /* waiting; ever seen */
    struct str order, authz[4];
};

static inline struct desk *desk_new(const char *profile)
{
    struct desk *desk = calloc(1, sizeof *desk);
    assert_non_null(desk);
    desk->bench = bench_new();
    struct complaints complaints = {.arena = &desk->bench->keep};
    assert_int_equal(profile_load(&desk->bench->keep, str_c(profile), &complaints, &desk->profile), OK);
    desk->key = key_make(KEY_P256, SEALING_REAL, &desk->bench->rng);
    desk->csr_key = key_make(KEY_P256, SEALING_REAL, &desk->bench->rng);
    desk->issuer = issuer_new(SEALING_REAL, &desk->bench->rng, desk->bench->now_ms);
    return desk;
}

static inline void desk_open(struct desk *desk)
{
    desk->ca = ca_new(&(struct ca_options){.profile = &desk->profile,
                                           .scenario = &desk->scenario,
                                           .base_url = STR(CA_BASE),
                                           .validator = {SEAT_OF_VALIDATOR},
                                           .issuer = desk->issuer,
                                           .sealing = SEALING_REAL,
                                           .speed = desk->speed});
}

static inline void desk_free(struct desk *desk)
{
    for (size_t i = 0; i < desk->n_probes; i++)
        msg_free(desk->probes[i]);
    msg_free(desk->reply);
    desk->ca->free(desk->ca);
    key_free(desk->key);
    key_free(desk->csr_key);
    issuer_free(desk->issuer);
    bench_free(desk->bench);
    free(desk);
}

/* --- steps --- */
static inline const struct http_response *the_reply(const struct desk *desk)
{
    if (!desk->reply) {
        fail_msg("there is no reply");
        abort();
    }
    return &desk->reply->as.response;
}

static inline struct str reply_header(const struct desk *desk, const char *name)
{
    return headers_get(the_reply(desk)->headers, name);
}

/* Every reply brings the way to the directory (section 7.1), and to a POST or from newNonce a nonce that was not there
 * before (section 6.5). */
static inline void take_reply(struct desk *desk, struct msg *msg)
{
    msg_free(desk->reply);
    desk->reply = msg;
    assert_int_equal(msg->to.seat, SEAT_OF_CLIENT);
    struct str nonce = reply_header(desk, "Replay-Nonce");
    if (nonce.n || desk->nonce_due) {
        assert_true(token_legal(nonce) && nonce.n < sizeof desk->nonce);
        assert_false(str_is(nonce, desk->nonce));
        assert_int_equal(headers_count(msg->as.response.headers, "Replay-Nonce"), 1);
        snprintf(desk->nonce, sizeof desk->nonce, "%.*s", STR_ARGS(nonce));
    }
    bool index = false;
    for (size_t i = 0; i < msg->as.response.headers->n; i++)
        index = index || str_is(msg->as.response.headers->at[i].value, "<" CA_BASE "/dir>;rel=\"index\"");
    assert_true(index);
}

static inline void collect(struct desk *desk)
{
    for (struct msg *msg; (msg = bench_take(desk->bench));) {
        if (msg->kind == MSG_PROBE) {
            assert_int_equal(msg->to.seat, SEAT_OF_VALIDATOR);
            assert_true(desk->n_probes < MAX_PROBES);
            desk->probes[desk->n_probes++] = msg;
            desk->n_asked++;
        } else {
            assert_int_equal(msg->kind, MSG_RESPONSE);
            take_reply(desk, msg);
        }
    }
}

static inline void ask(struct desk *desk, const char *method, struct str url, struct str body, const char *media)
{
    struct msg *msg = msg_new(MSG_REQUEST);
    msg->from = (struct addr){SEAT_OF_CLIENT};
    msg->flow = ++desk->bench->flow;
    msg->as.request.method = str_copy(&msg->arena, str_c(method));
    msg->as.request.url = str_copy(&msg->arena, url);
    msg->as.request.body = str_copy(&msg->arena, body);
    if (media) msg_header(msg, "Content-Type", str_c(media));
    msg_free(desk->reply);
    desk->reply = NULL;
    desk->nonce_due = (strcmp(method, "POST") == 0 && str_starts(url, "https:")) || str_ends(url, "/nonce-plz");
    bench_step(desk->bench, desk->ca, msg);
    collect(desk);
}

static inline void get(struct desk *desk, const char *method, const char *path)
{
    ask(desk, method, str_fmt(&desk->bench->keep, CA_BASE "%s", path), (struct str){0}, NULL);
}

static inline void post_sealed(struct desk *desk, struct str url, const struct key *key,
                               const struct jws_header *header, struct str payload)
{
    struct str body;
    assert_int_equal(jws_seal(&desk->bench->keep, key, header, payload, &body), OK);
    ask(desk, "POST", url, body, "application/jose+json");
}

static inline void post(struct desk *desk, struct str url, const char *payload)
{
    char nonce[sizeof desk->nonce];
    memcpy(nonce, desk->nonce, sizeof nonce);
    post_sealed(desk, url, desk->key, &(struct jws_header){.nonce = str_c(nonce), .url = url, .kid = str_c(desk->kid)},
                str_c(payload));
}

static inline struct str at(struct desk *desk, const char *path)
{
    return str_fmt(&desk->bench->keep, CA_BASE "%s", path);
}

static inline void fresh_nonce(struct desk *desk)
{
    get(desk, "HEAD", "/nonce-plz");
}

static inline void new_account(struct desk *desk, const char *payload)
{
    struct str url = at(desk, "/new-account");
    fresh_nonce(desk);
    post_sealed(desk, url, desk->key, &(struct jws_header){.nonce = str_c(desk->nonce), .url = url}, str_c(payload));
}

/* --- what the reply says --- */
static inline int reply_status(const struct desk *desk)
{
    return the_reply(desk)->status;
}

static inline struct problem reply_problem(struct desk *desk)
{
    struct problem problem = {0};
    assert_true(str_is(reply_header(desk, "Content-Type"), "application/problem+json"));
    assert_int_equal(problem_read(&desk->bench->keep, the_reply(desk)->body, &problem), OK);
    assert_int_equal(problem.status, reply_status(desk));
    assert_true(problem.detail.n > 0);
    assert_int_equal(problem.identifier.n, 0); /* section 6.7.1 */
    return problem;
}

#define assert_refused(desk, http_status, problem_type)                                                                \
    do {                                                                                                               \
        struct problem refusal = reply_problem(desk);                                                                  \
        if (!str_is(refusal.type, (problem_type)) || refusal.status != (http_status))                                  \
            fail_msg("%d %.*s: %.*s", refusal.status, STR_ARGS(refusal.type), STR_ARGS(refusal.detail));               \
    } while (0)

static inline void assert_json(struct desk *desk, int status)
{
    if (reply_status(desk) != status) fail_msg("%d: %.*s", reply_status(desk), STR_ARGS(the_reply(desk)->body));
    assert_true(str_is(reply_header(desk, "Content-Type"), "application/json"));
}

static inline struct order_doc order_shown(struct desk *desk)
{
    struct order_doc doc;
    assert_json(desk, reply_status(desk) == 201 ? 201 : 200);
    assert_int_equal(order_read(&desk->bench->keep, the_reply(desk)->body, &doc), OK);
    return doc;
}

static inline struct order_doc read_order(struct desk *desk)
{
    post(desk, desk->order, "");
    return order_shown(desk);
}

static inline struct authz_doc read_authz(struct desk *desk, size_t i)
{
    struct authz_doc doc;
    post(desk, desk->authz[i], "");
    assert_json(desk, 200);
    assert_int_equal(authz_read(&desk->bench->keep, the_reply(desk)->body, &doc), OK);
    return doc;
}

static inline struct challenge_doc challenge_shown(struct desk *desk)
{
    struct challenge_doc doc;
    assert_json(desk, 200);
    assert_int_equal(challenge_read(&desk->bench->keep, the_reply(desk)->body, &doc), OK);
    return doc;
}

/* The URL of a challenge of the first authorization, without reading it. */
static inline struct str challenge_url_of(struct desk *desk, const char *type)
{
    const char *number = strrchr(desk->authz[0].at, '/');
    return str_fmt(&desk->bench->keep, CA_BASE "/challenge%s/%s", number, type);
}

static inline struct challenge_doc respond_to(struct desk *desk, const char *type)
{
    post(desk, challenge_url_of(desk, type), "{}");
    return challenge_shown(desk);
}

static inline struct challenge_doc look_at(struct desk *desk, const char *type)
{
    post(desk, challenge_url_of(desk, type), "");
    return challenge_shown(desk);
}

/* --- longer stretches --- */
static inline void new_order(struct desk *desk, const char *payload)
{
    post(desk, at(desk, "/new-order"), payload);
    if (reply_status(desk) != 201) return;
    struct order_doc doc = order_shown(desk);
    desk->order = str_copy(&desk->bench->keep, reply_header(desk, "Location"));
    assert_true(desk->order.n > 0);
    for (size_t i = 0; i < doc.n_authorizations && i < COUNTOF(desk->authz); i++)
        desk->authz[i] = doc.authorizations[i];
}

static inline void register_account(struct desk *desk)
{
    new_account(desk, "{\"termsOfServiceAgreed\":true}");
    assert_json(desk, 201);
    snprintf(desk->kid, sizeof desk->kid, "%.*s", STR_ARGS(reply_header(desk, "Location")));
}

#define ONE_NAME "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.test\"}]}"

static inline struct desk *desk_with_order(struct desk *desk)
{
    desk_open(desk);
    register_account(desk);
    new_order(desk, ONE_NAME);
    assert_int_equal(reply_status(desk), 201);
    return desk;
}

/* The validator answers its oldest probe. failure NULL: it found the proof. */
static inline void verdict(struct desk *desk, const char *failure)
{
    assert_true(desk->n_probes > 0);
    struct msg *probe = desk->probes[0], *msg = msg_new(MSG_VERDICT);
    memmove(desk->probes, desk->probes + 1, --desk->n_probes * sizeof *desk->probes);
    msg->from = (struct addr){SEAT_OF_VALIDATOR};
    msg->flow = probe->flow;
    msg->as.verdict = (struct verdict){.ok = !failure,
                                       .failure = str_copy(&msg->arena, str_c(failure)),
                                       .url = STR("http://a.example.test/x"),
                                       .address = STR("a.example.test"),
                                       .got = STR("{status}"),
                                       .status = 404};
    msg_free(probe);
    bench_step(desk->bench, desk->ca, msg);
    collect(desk);
}

/* Lets time pass to this many ms from now and runs the timers that come due. */
static inline void let_pass(struct desk *desk, int64_t ms)
{
    int64_t until_ms = desk->bench->now_ms + ms;
    while (desk->ca->next_due_ms(desk->ca) <= until_ms) {
        bench_tick(desk->bench, desk->ca);
        collect(desk);
    }
    desk->bench->now_ms = until_ms;
}

static inline void finalize_with(struct desk *desk, const struct key *key, const struct str *names, size_t n)
{
    struct str csr;
    assert_int_equal(csr_write(&desk->bench->keep, key, names, n, &csr), OK);
    post(desk, str_fmt(&desk->bench->keep, "%.*s/finalize", STR_ARGS(desk->order)),
         finalize_request(&desk->bench->keep, csr).at);
}

static inline void finalize(struct desk *desk)
{
    const struct str name = STR("a.example.test");
    finalize_with(desk, desk->csr_key, &name, 1);
}

/* From a new order to one that is ready. */
static inline void make_ready(struct desk *desk)
{
    respond_to(desk, "http-01");
    verdict(desk, NULL);
    assert_true(str_is(read_order(desk).status, "ready"));
}

#endif
