/* How validations go: RFC 8555 sections 7.1.6, 7.5.1 and 8.2, and what profiles make of them. */
#include "actor/ca_bench_test.h"

/* Responds, and lets the first query fail. */
static void fail_once(struct desk *desk, const char *failure)
{
    respond_to(desk, "http-01");
    verdict(desk, failure);
}

static struct retry_schedule schedule(const char *text)
{
    struct retry_schedule ret;
    assert_int_equal(retry_schedule_read(str_c(text), &ret), OK);
    return ret;
}

static void assert_all_lost(struct desk *desk)
{
    assert_str(look_at(desk, "http-01").status, "invalid");
    assert_str(read_authz(desk, 0).status, "invalid");
    assert_str(read_order(desk).status, "invalid");
    finalize(desk);
    assert_refused(desk, 403, "orderNotReady");
    assert_int_equal(desk->n_probes, 0);
}

/* --- reading --- */
static void test_reading_starts_nothing(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    for (int i = 0; i < 5; i++) {
        assert_str(look_at(desk, "http-01").status, "pending");
        assert_str(read_authz(desk, 0).status, "pending");
        read_order(desk);
    }
    assert_int_equal(desk->n_asked, 0);
    fail_once(desk, "refused");
    for (int i = 0; i < 9; i++) {
        assert_str(look_at(desk, "http-01").status, "processing");
        assert_str(read_authz(desk, 0).status, "pending");
        assert_str(read_order(desk).status, "pending");
        let_pass(desk, 1000);
    }
    assert_int_equal(desk->n_asked, 1); /* the next one is due at 10 s */
    let_pass(desk, 1000);
    assert_int_equal(desk->n_asked, 2);
    desk_free(desk);
}

static void test_payload_of_a_response(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    static const char *const payloads[] = {"[]", "null", "{", "\"\"", "{}{}"};
    for (size_t i = 0; i < COUNTOF(payloads); i++) {
        post(desk, challenge_url_of(desk, "http-01"), payloads[i]);
        assert_refused(desk, 400, "malformed");
    }
    assert_int_equal(desk->n_asked, 0);
    post(desk, challenge_url_of(desk, "http-01"), "{\"keyAuthorization\":\"x\"}"); /* of the drafts: ignored */
    assert_str(challenge_shown(desk).status, "processing");
    assert_int_equal(desk->n_asked, 1);
    desk_free(desk);
}

/* --- the server's own retries --- */
static void test_schedule_and_giving_up(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555")); /* 10s x5 */
    struct challenge_doc challenge = respond_to(desk, "http-01");
    assert_false(challenge.has_error);
    for (size_t n = 1; n <= 6; n++) {
        assert_int_equal(desk->n_asked, n);
        assert_int_equal(desk->probes[0]->as.probe.attempt, n);
        desk->bench->now_ms += 1500; /* the wait counts from the end of the query */
        verdict(desk, n % 4 == 2 ? "bad-status" : "refused");
        if (n == 6) break;
        challenge = look_at(desk, "http-01");
        assert_str(challenge.status, "processing");
        assert_true(challenge.has_error);
        assert_str(challenge.error.type, n == 2 ? "incorrectResponse" : "connection");
        assert_int_equal(challenge.error.n_subproblems, n);
        assert_str(reply_header(desk, "Retry-After"), "11"); /* past the next query */
        assert_str(read_authz(desk, 0).status, "pending");
        assert_str(reply_header(desk, "Retry-After"), "5");
        let_pass(desk, 9999);
        assert_int_equal(desk->n_asked, n);
        let_pass(desk, 1);
    }
    challenge = look_at(desk, "http-01");
    assert_str(challenge.status, "invalid");
    assert_int_equal(challenge.error.n_subproblems, 6);
    assert_str(challenge.error.type, "incorrectResponse");
    assert_int_equal(challenge.error.identifier.n, 0); /* section 6.7.1: only subproblems have one */
    assert_str(challenge.error.subproblems[1].type, "incorrectResponse");
    assert_str(challenge.error.subproblems[4].type, "connection");
    assert_str(challenge.error.subproblems[5].identifier, "a.example.test");
    assert_int_equal(challenge.error.subproblems[5].status, 0);
    assert_int_equal(reply_header(desk, "Retry-After").n, 0);
    struct authz_doc authz = read_authz(desk, 0);
    assert_str(authz.status, "invalid");
    assert_int_equal(authz.n_challenges, 3);
    struct order_doc order = read_order(desk);
    assert_str(order.status, "invalid");
    assert_true(order.has_error);
    assert_str(order.error.type, "incorrectResponse"); /* the last */
    assert_int_equal(order.error.identifier.n, 0);
    assert_all_lost(desk);
    let_pass(desk, 3600 * 1000);
    assert_int_equal(desk->n_asked, 6);
    desk_free(desk);
}

static void test_success_after_failures(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.retry = schedule("5s+5s x4");
    desk_with_order(desk);
    fail_once(desk, "bad-status");
    let_pass(desk, 4999);
    assert_int_equal(desk->n_asked, 1);
    let_pass(desk, 1);
    verdict(desk, "wrong-body");
    let_pass(desk, 9999);
    assert_int_equal(desk->n_asked, 2);
    let_pass(desk, 1);
    assert_int_equal(desk->n_asked, 3);
    verdict(desk, NULL);
    struct challenge_doc challenge = look_at(desk, "http-01");
    assert_str(challenge.status, "valid");
    assert_false(challenge.has_error); /* erratum 5732 */
    assert_str(challenge.validated, "2030-01-01T00:00:15Z");
    assert_str(read_order(desk).status, "ready");
    let_pass(desk, 3600 * 1000);
    assert_int_equal(desk->n_asked, 3);
    desk_free(desk);
}

static void test_query_delay_and_speed(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.query_delay_ms = 40000;
    desk->speed = 4;
    desk_with_order(desk);
    assert_str(respond_to(desk, "http-01").status, "processing");
    assert_str(reply_header(desk, "Retry-After"), "11");
    let_pass(desk, 9999);
    assert_int_equal(desk->n_asked, 0);
    let_pass(desk, 1);
    assert_int_equal(desk->n_asked, 1);
    assert_int_equal(desk->probes[0]->as.probe.limit_ms, 10000); /* a peer's time is its own */
    verdict(desk, "refused");
    let_pass(desk, 2499);
    assert_int_equal(desk->n_asked, 1);
    let_pass(desk, 1);
    assert_int_equal(desk->n_asked, 2);
    desk_free(desk);
}

/* --- the client asks for a retry --- */
static void test_asked_again_queries_at_once(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.retry = schedule("30s x2");
    desk_with_order(desk);
    fail_once(desk, "refused");
    let_pass(desk, 8000);
    struct challenge_doc challenge = respond_to(desk, "http-01");
    assert_str(challenge.status, "processing");
    assert_int_equal(challenge.error.n_subproblems, 1); /* the history stays */
    assert_int_equal(desk->n_asked, 2);
    let_pass(desk, 6000);
    respond_to(desk, "http-01"); /* while one is under way */
    assert_int_equal(desk->n_asked, 2);
    verdict(desk, "refused");
    /* The query that was asked for used up none of the server's own retries. */
    for (size_t n = 3; n <= 4; n++) {
        let_pass(desk, 29999);
        assert_int_equal(desk->n_asked, n - 1);
        let_pass(desk, 1);
        assert_int_equal(desk->n_asked, n);
        verdict(desk, "refused");
    }
    assert_all_lost(desk);
    desk_free(desk);
}

static void test_asked_too_often(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.retry = schedule("20s x5");
    desk->profile.client_retry_every_ms = 10000;
    desk_with_order(desk);
    fail_once(desk, "bad-status");
    for (int i = 1; i <= 3; i++) {
        let_pass(desk, 2500);
        post(desk, challenge_url_of(desk, "http-01"), "{}");
        assert_refused(desk, 429, "rateLimited");
        assert_str(reply_header(desk, "Retry-After"), i == 1 ? "8" : i == 2 ? "5" : "3");
    }
    assert_int_equal(desk->n_asked, 1);
    struct challenge_doc challenge = look_at(desk, "http-01");
    assert_str(challenge.status, "processing");
    assert_int_equal(challenge.error.n_subproblems, 1);
    let_pass(desk, 2500);
    assert_str(respond_to(desk, "http-01").status, "processing");
    assert_int_equal(desk->n_asked, 2);
    verdict(desk, NULL);
    assert_str(look_at(desk, "http-01").status, "valid");
    /* Said even by a CA that knows no Retry-After. */
    desk->profile.retry_after = RETRY_AFTER_NONE;
    new_order(desk, ONE_NAME);
    respond_to(desk, "http-01");
    assert_int_equal(reply_header(desk, "Retry-After").n, 0);
    post(desk, challenge_url_of(desk, "http-01"), "{}");
    assert_refused(desk, 429, "rateLimited");
    assert_str(reply_header(desk, "Retry-After"), "10");
    desk_free(desk);
}

static void test_asked_again_is_ignored(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.client_retry = CLIENT_RETRY_IGNORED;
    desk_with_order(desk);
    fail_once(desk, "refused");
    for (int i = 0; i < 9; i++) {
        assert_str(respond_to(desk, "http-01").status, "processing");
        let_pass(desk, 1000);
    }
    assert_int_equal(desk->n_asked, 1);
    let_pass(desk, 1000);
    assert_int_equal(desk->n_asked, 2);
    verdict(desk, NULL);
    assert_str(respond_to(desk, "http-01").status, "valid");
    assert_int_equal(desk->n_asked, 2);
    desk_free(desk);
}

static void test_asked_again_is_refused(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("boulder"));
    assert_str(respond_to(desk, "http-01").status, "pending"); /* its law never shows processing */
    assert_int_equal(reply_header(desk, "Retry-After").n, 0);
    post(desk, challenge_url_of(desk, "http-01"), "{}");
    assert_refused(desk, 400, "malformed");
    verdict(desk, "wrong-body"); /* final there */
    post(desk, challenge_url_of(desk, "http-01"), "{}");
    assert_refused(desk, 400, "malformed");
    struct challenge_doc challenge = look_at(desk, "http-01");
    assert_str(challenge.status, "invalid");
    assert_str(challenge.error.type, "unauthorized");
    assert_int_equal(challenge.error.n_subproblems, 0);
    assert_all_lost(desk);
    assert_false(read_order(desk).has_error);
    assert_int_equal(desk->n_asked, 1);
    desk_free(desk);
}

/* Left processing for good: a response begins the ten anew. */
static void test_never_gives_up(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("step-ca-retry"));
    fail_once(desk, "bad-status");
    for (size_t n = 2; n <= 11; n++) {
        let_pass(desk, 12000);
        assert_int_equal(desk->n_asked, n);
        verdict(desk, "refused");
    }
    let_pass(desk, 3600 * 1000);
    assert_int_equal(desk->n_asked, 11);
    struct challenge_doc challenge = look_at(desk, "http-01");
    assert_str(challenge.status, "processing");
    assert_str(challenge.error.type, "connection");
    assert_int_equal(challenge.error.n_subproblems, 0);       /* the latest only */
    assert_int_equal(reply_header(desk, "Retry-After").n, 0); /* there is nothing to come back for */
    respond_to(desk, "http-01");
    assert_int_equal(desk->n_asked, 12);
    assert_int_equal(desk->probes[0]->as.probe.attempt, 12);
    for (size_t n = 13; n <= 22; n++) {
        verdict(desk, "refused");
        let_pass(desk, 12000);
        assert_int_equal(desk->n_asked, n);
    }
    verdict(desk, "wrong-body");
    assert_all_lost(desk);
    desk_free(desk);
}

/* --- which failures --- */
static void test_transient_only(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.retry_on = RETRY_ON_TRANSIENT;
    desk_with_order(desk);
    fail_once(desk, "refused"); /* may pass */
    assert_str(look_at(desk, "http-01").status, "processing");
    let_pass(desk, 10000);
    verdict(desk, "wrong-body"); /* an answer */
    struct challenge_doc challenge = look_at(desk, "http-01");
    assert_int_equal(challenge.error.n_subproblems, 2);
    assert_all_lost(desk);
    desk_free(desk);
}

static void test_failures_that_stay(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    ((struct outcome *)(uintptr_t)profile_outcome(&desk->profile, CHALLENGE_HTTP_01, STR("refused")))->then =
        THEN_STAYS;
    desk_with_order(desk);
    fail_once(desk, "refused");
    let_pass(desk, 3600 * 1000);
    assert_str(look_at(desk, "http-01").status, "processing");
    assert_int_equal(desk->n_asked, 1);
    respond_to(desk, "http-01");
    verdict(desk, NULL);
    assert_str(read_order(desk).status, "ready");
    desk_free(desk);
}

static void test_released_step_ca(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("step-ca"));
    struct str url = challenge_url_of(desk, "http-01");
    /* Validation happens inside the POST: no reply until the query has ended. */
    post(desk, url, "{}");
    assert_null(desk->reply);
    assert_int_equal(desk->n_asked, 1);
    verdict(desk, "refused");
    struct challenge_doc challenge = challenge_shown(desk);
    assert_str(challenge.status, "pending");
    assert_str(challenge.error.type, "connection");
    assert_str(challenge.error.detail, "The server could not connect to validation target");
    /* Nothing by itself, and a look is a query. */
    let_pass(desk, 3600 * 1000);
    assert_int_equal(desk->n_asked, 1);
    post(desk, url, "");
    assert_null(desk->reply);
    assert_int_equal(desk->n_asked, 2);
    verdict(desk, "wrong-body");
    assert_str(challenge_shown(desk).status, "invalid");
    assert_str(read_authz(desk, 0).status, "pending"); /* and stays so */
    assert_str(read_order(desk).status, "pending");
    assert_str(look_at(desk, "http-01").status, "invalid");
    assert_int_equal(desk->n_asked, 2);
    desk_free(desk);
}

static void test_held_replies_all_leave(void **state)
{
    (void)state;
    struct desk *desk = desk_new("step-ca");
    desk_with_order(desk);
    struct str url = challenge_url_of(desk, "http-01");
    post(desk, url, "{}");
    assert_null(desk->reply);
    fresh_nonce(desk);
    post(desk, url, "{}"); /* joins the query under way */
    assert_null(desk->reply);
    assert_int_equal(desk->n_asked, 1);
    struct msg *msg = msg_new(MSG_VERDICT);
    msg->flow = desk->probes[0]->flow;
    msg->as.verdict.ok = true;
    bench_step(desk->bench, desk->ca, msg);
    assert_int_equal(desk->bench->out.n, 2);
    assert_true(desk->bench->out.at[0]->flow < desk->bench->out.at[1]->flow);
    collect(desk);
    assert_str(challenge_shown(desk).status, "valid");
    desk_free(desk);
}

/* --- Retry-After --- */
static void test_retry_after_forms(void **state)
{
    (void)state;
    static const struct {
        int64_t challenge_ms;
        enum retry_after_form form;
        bool before_failure;
        const char *first, *second;
    } rows[] = {
        {-1,    RETRY_AFTER_SECONDS, true,  "1",                             "11"                           },
        {-1,    RETRY_AFTER_SECONDS, false, "",                              "11"                           },
        {30000, RETRY_AFTER_SECONDS, true,  "30",                            "30"                           },
        {0,     RETRY_AFTER_SECONDS, true,  "",                              ""                             },
        {-1,    RETRY_AFTER_DATE,    true,  "Tue, 01 Jan 2030 00:00:01 GMT", "Tue, 01 Jan 2030 00:00:11 GMT"},
        {-1,    RETRY_AFTER_RFC3339, true,  "2030-01-01T00:00:01Z",          "2030-01-01T00:00:11Z"         },
        {-1,    RETRY_AFTER_NONE,    true,  "",                              ""                             },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct desk *desk = desk_new("rfc8555");
        desk->profile.retry_after = rows[i].form;
        desk->profile.retry_after_challenge_ms = rows[i].challenge_ms;
        desk->profile.processing_without_failure_has_retry_after = rows[i].before_failure;
        desk_with_order(desk);
        assert_int_equal((look_at(desk, "http-01"), reply_header(desk, "Retry-After").n), 0); /* pending */
        respond_to(desk, "http-01");
        assert_str(reply_header(desk, "Retry-After"), rows[i].first);
        verdict(desk, "refused");
        look_at(desk, "http-01");
        assert_str(reply_header(desk, "Retry-After"), rows[i].second);
        let_pass(desk, 10000);
        verdict(desk, NULL);
        look_at(desk, "http-01");
        assert_int_equal(reply_header(desk, "Retry-After").n, 0); /* valid */
        desk_free(desk);
    }
}

/* While a query is under way nobody knows when the next one will be: at the earliest after the wait. */
static void test_retry_after_under_way(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk_with_order(desk);
    respond_to(desk, "http-01");
    look_at(desk, "http-01");
    assert_str(reply_header(desk, "Retry-After"), "11");
    desk->profile.retry = schedule("none");
    look_at(desk, "http-01");
    assert_str(reply_header(desk, "Retry-After"), "11"); /* by then it is over: the time limit is 10 s */
    desk->profile.retry_after_authz_ms = 86400000;
    read_authz(desk, 0);
    assert_str(reply_header(desk, "Retry-After"), "86400");
    desk_free(desk);
}

/* --- what error shows --- */
static void test_error_shapes(void **state)
{
    (void)state;
    for (int shape = ERRORS_APPEND; shape <= ERRORS_HIDDEN; shape++) {
        struct desk *desk = desk_new("rfc8555");
        desk->profile.errors = (enum error_shape)shape;
        desk->profile.retry = schedule("10s x1");
        desk_with_order(desk);
        fail_once(desk, "refused");
        struct challenge_doc challenge = look_at(desk, "http-01");
        assert_int_equal(challenge.has_error, shape != ERRORS_HIDDEN);
        let_pass(desk, 10000);
        verdict(desk, "empty-body");
        challenge = look_at(desk, "http-01");
        assert_str(challenge.status, "invalid");
        assert_true(challenge.has_error);
        assert_str(challenge.error.type, "incorrectResponse");
        assert_int_equal(challenge.error.identifier.n, 0);
        assert_int_equal(challenge.error.n_subproblems, shape == ERRORS_APPEND ? 2 : 0);
        desk_free(desk);
    }
}

static void test_details_are_filled_in(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
    } rows[] = {
        {"{url} of {name} at {address}: {status}, {got}",
         "http://a.example.test/x of a.example.test at a.example.test: 404, {status}"}, /* nothing is filled in twice */
        {"{nothing} {} {{status}} } {",                   "{nothing} {} {404} } {"   },
        {"",                                              ""                         },
        {"[{expected}]",                                  "[]"                       },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct desk *desk = desk_new("rfc8555");
        ((struct outcome *)(uintptr_t)profile_outcome(&desk->profile, CHALLENGE_HTTP_01, STR("refused")))->detail =
            str_c(rows[i].pattern);
        desk_with_order(desk);
        fail_once(desk, "refused");
        assert_str(look_at(desk, "http-01").error.detail, rows[i].text);
        desk_free(desk);
    }
    struct desk *desk = desk_new("rfc8555");
    ((struct outcome *)(uintptr_t)profile_outcome(&desk->profile, CHALLENGE_DNS_01, STR("no-txt")))->detail =
        STR("nothing at {place}");
    desk_with_order(desk);
    respond_to(desk, "dns-01");
    verdict(desk, "no-txt");
    assert_str(look_at(desk, "dns-01").error.detail, "nothing at _acme-challenge.a.example.test");
    desk_free(desk);
}

/* --- several probes, several challenges --- */
static void test_several_probes(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.probes_per_query = 3;
    desk_with_order(desk);
    respond_to(desk, "http-01");
    assert_int_equal(desk->n_probes, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(desk->probes[i]->as.probe.attempt, 1);
    verdict(desk, NULL);
    verdict(desk, "refused"); /* the first failure decides */
    verdict(desk, "refused"); /* and the others tell nothing new */
    assert_int_equal(look_at(desk, "http-01").error.n_subproblems, 1);
    let_pass(desk, 10000);
    verdict(desk, "refused");
    let_pass(desk, 10000);
    assert_int_equal(desk->n_probes, 5);
    verdict(desk, NULL); /* two stragglers of the second query */
    verdict(desk, "refused");
    assert_int_equal(look_at(desk, "http-01").error.n_subproblems, 2);
    verdict(desk, NULL);
    verdict(desk, NULL);
    assert_str(look_at(desk, "http-01").status, "processing");
    verdict(desk, NULL); /* all three of the third */
    assert_str(look_at(desk, "http-01").status, "valid");
    /* A verdict that nobody asked for. */
    struct msg *msg = msg_new(MSG_VERDICT);
    msg->flow = 77;
    bench_step(desk->bench, desk->ca, msg);
    assert_int_equal(desk->bench->out.n, 0);
    desk_free(desk);
}

static void test_authorization_outlives_a_challenge(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("same-authz"));
    fail_once(desk, "wrong-body");
    assert_str(look_at(desk, "http-01").status, "invalid");
    assert_str(read_authz(desk, 0).status, "pending");
    assert_str(read_order(desk).status, "pending");
    respond_to(desk, "dns-01");
    verdict(desk, NULL);
    assert_str(read_authz(desk, 0).status, "valid");
    assert_str(read_order(desk).status, "ready");
    /* And when the last one has failed. */
    new_order(desk, ONE_NAME);
    static const char *const types[] = {"http-01", "dns-01", "tls-alpn-01"};
    for (size_t i = 0; i < 3; i++) {
        assert_str(read_authz(desk, 0).status, "pending");
        respond_to(desk, types[i]);
        verdict(desk, "any");
    }
    assert_all_lost(desk);
    desk_free(desk);
}

static void test_all_answered_at_once(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    respond_to(desk, "http-01");
    respond_to(desk, "dns-01");
    respond_to(desk, "tls-alpn-01");
    assert_int_equal(desk->n_probes, 3);
    verdict(desk, "refused"); /* http-01 will be tried again */
    verdict(desk, NULL);      /* dns-01 decides */
    assert_str(read_authz(desk, 0).status, "valid");
    verdict(desk, "refused"); /* tls-alpn-01: too late to matter */
    let_pass(desk, 3600 * 1000);
    assert_int_equal(desk->n_asked, 3);
    struct authz_doc authz = read_authz(desk, 0);
    assert_str(authz.status, "valid");
    /* Section 7.1.4: one valid challenge; nobody tries the others any more, so they are not processing. */
    assert_str(authz.challenges[0].status, "invalid");
    assert_str(authz.challenges[1].status, "valid");
    assert_str(authz.challenges[2].status, "invalid");
    assert_true(authz.challenges[0].has_error && authz.challenges[2].has_error);
    assert_str(read_order(desk).status, "ready");
    desk_free(desk);
}

static void test_untried_challenge_of_a_decided_authorization(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.invalid_authz_shows_only_tried = true;
    desk_with_order(desk);
    make_ready(desk);
    assert_str(respond_to(desk, "dns-01").status, "pending"); /* without effect, and no error */
    assert_int_equal(desk->n_asked, 1);
    new_order(desk, ONE_NAME);
    desk->profile.retry = schedule("none");
    fail_once(desk, "refused");
    struct authz_doc authz = read_authz(desk, 0);
    assert_str(authz.status, "invalid");
    assert_int_equal(authz.n_challenges, 1);
    post(desk, challenge_url_of(desk, "dns-01"), "{}");
    assert_refused(desk, 400, "malformed");
    assert_str(respond_to(desk, "http-01").status, "invalid"); /* the truth, and no revival */
    assert_int_equal(desk->n_asked, 2);
    desk_free(desk);
}

static void test_deactivation_ends_the_retries(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    fail_once(desk, "refused");
    post(desk, desk->authz[0], "{\"status\":\"deactivated\"}");
    assert_json(desk, 200);
    let_pass(desk, 3600 * 1000);
    assert_int_equal(desk->n_asked, 1);
    assert_str(look_at(desk, "http-01").status, "invalid");
    assert_str(read_order(desk).status, "invalid");
    desk_free(desk);
}

/* A law that revives invalid challenges: for scenarios that must notice. */
static void test_law_decides(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.retry = schedule("none");
    assert_int_equal(law_replace(&desk->profile.law, OBJECT_CHALLENGE, STR("invalid retry-asked"), STR("processing")),
                     OK);
    desk_with_order(desk);
    fail_once(desk, "refused");
    assert_str(look_at(desk, "http-01").status, "invalid");
    assert_str(respond_to(desk, "http-01").status, "processing");
    assert_int_equal(desk->probes[0]->as.probe.attempt, 2); /* a query of its own to a responder that counts */
    verdict(desk, NULL);
    assert_str(look_at(desk, "http-01").status, "valid");
    assert_str(read_authz(desk, 0).status, "invalid");
    desk_free(desk);

    desk = desk_new("rfc8555");
    assert_int_equal(law_replace(&desk->profile.law, OBJECT_CHALLENGE, STR("processing query-failed"), STR("invalid")),
                     OK);
    desk_with_order(desk);
    fail_once(desk, "refused");
    assert_all_lost(desk);
    desk_free(desk);

    desk = desk_new("rfc8555");
    assert_int_equal(law_replace(&desk->profile.law, OBJECT_ORDER, STR("pending finalize"), STR("processing")), OK);
    desk_with_order(desk);
    finalize(desk);
    assert_str(order_shown(desk).status, "valid");
    desk_free(desk);
}

static void test_scripted_claims(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    struct replies *answers = &desk->scenario.replies[REQUEST_ANSWER_CHALLENGE];
    struct replies *polls = &desk->scenario.replies[REQUEST_POLL_CHALLENGE],
                   *reads = &desk->scenario.replies[REQUEST_READ_AUTHZ];
    answers->at[0] = (struct reply){.status = 500, .times = 1};
    answers->at[1] = (struct reply){.challenge = STATUS_PENDING, .times = 1};
    answers->n = 2;
    polls->at[0] = (struct reply){.challenge = STATUS_PROCESSING, .error = STR("dns"), .times = 1};
    polls->at[1] = (struct reply){.challenge = STATUS_INVALID, .times = 1};
    polls->n = 2;
    reads->at[0] = (struct reply){.authz = STATUS_INVALID, .challenge = STATUS_INVALID, .times = 0};
    reads->n = 1;
    desk_with_order(desk);
    struct authz_doc authz = read_authz(desk, 0);
    assert_str(authz.status, "invalid");
    assert_str(authz.challenges[2].status, "invalid");
    assert_str(read_authz(desk, 0).status, "pending"); /* a poll: not scripted */
    post(desk, challenge_url_of(desk, "http-01"), "{}");
    assert_refused(desk, 500, "serverInternal");
    assert_int_equal(desk->n_asked, 0);
    assert_str(respond_to(desk, "http-01").status, "pending");
    assert_int_equal(desk->n_asked, 1);
    verdict(desk, NULL);
    struct challenge_doc challenge = look_at(desk, "http-01");
    assert_str(challenge.status, "processing");
    assert_str(challenge.error.type, "dns");
    challenge = look_at(desk, "http-01");
    assert_str(challenge.status, "invalid");
    assert_true(challenge.has_error);
    assert_str(look_at(desk, "http-01").status, "valid");
    desk_free(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading_starts_nothing),
        cmocka_unit_test(test_payload_of_a_response),
        cmocka_unit_test(test_schedule_and_giving_up),
        cmocka_unit_test(test_success_after_failures),
        cmocka_unit_test(test_query_delay_and_speed),
        cmocka_unit_test(test_asked_again_queries_at_once),
        cmocka_unit_test(test_asked_too_often),
        cmocka_unit_test(test_asked_again_is_ignored),
        cmocka_unit_test(test_asked_again_is_refused),
        cmocka_unit_test(test_never_gives_up),
        cmocka_unit_test(test_transient_only),
        cmocka_unit_test(test_failures_that_stay),
        cmocka_unit_test(test_released_step_ca),
        cmocka_unit_test(test_held_replies_all_leave),
        cmocka_unit_test(test_retry_after_forms),
        cmocka_unit_test(test_retry_after_under_way),
        cmocka_unit_test(test_error_shapes),
        cmocka_unit_test(test_details_are_filled_in),
        cmocka_unit_test(test_several_probes),
        cmocka_unit_test(test_authorization_outlives_a_challenge),
        cmocka_unit_test(test_all_answered_at_once),
        cmocka_unit_test(test_untried_challenge_of_a_decided_authorization),
        cmocka_unit_test(test_deactivation_ends_the_retries),
        cmocka_unit_test(test_law_decides),
        cmocka_unit_test(test_scripted_claims),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
