/* The finer points of the always-on rules: where the RFC leaves room, what was chosen. */
#include "oracle/check_bench_test.h"

#define PROBLEM "application/problem+json"
#define FORM    "rfc8555#6.7-problem-form"
#define TYPES   "rfc8555#6.7-registered-types"
#define AUTHZ(status, challenge_status)                                                                                \
    "{\"status\":\"" status "\",\"challenges\":[{\"type\":\"http-01\",\"url\":\"" CA                                   \
    "/challenge/1\",\"token\":\"t\",\"status\":\"" challenge_status "\"}]}"

/* --- nonces --- */

static void test_nonce_form(void **state)
{
    (void)state;
    static const char *const illegal[] = {NONCE "a=", NONCE "a b", NONCE "", NONCE "a\n" NONCE "b"};
    for (size_t i = 0; i < COUNTOF(illegal); i++) {
        struct bench *bench = begin("simulate");
        reply(bench, look(bench, "HEAD", "/new-nonce"), 200, illegal[i], "");
        assert_int_equal(fails(bench, "fresh-nonce"), 1);
        assert_string_equal(first(bench)->clause.at, "rfc8555#6.5.1-nonce-form");
        done(bench);
    }
    struct bench *bench = begin("simulate");
    reply(bench, look(bench, "HEAD", "/new-nonce"), 204, "", "");
    one(bench, "fresh-nonce", LEVEL_MUST, "HEAD /new-nonce: a reply of status 204 has no Replay-Nonce");
    bench = begin("simulate");
    problem(bench, want(bench, "x"), 400, "", PROBLEM_PREFIX "badNonce");
    one(bench, "fresh-nonce", LEVEL_MUST, "badNonce, has no Replay-Nonce");
}

static void test_nonce_resent(void **state)
{
    (void)state;
    /* Silence, and the same bytes again. */
    struct bench *bench = begin("simulate");
    want(bench, "x");
    bench->t_ms += 30000;
    want(bench, "x");
    one(bench, "nonce-reuse", LEVEL_SHOULD, "to which no reply had come");
    /* The reply came after the second was sent. */
    bench = begin("simulate");
    uint64_t flow = want(bench, "x");
    want(bench, "x");
    show_order(bench, flow, "n1", "pending");
    one(bench, "nonce-reuse", LEVEL_SHOULD, "to which no reply had come");
    /* The third comes after a reply. */
    bench = begin("simulate");
    flow = want(bench, "x");
    show_order(bench, flow, "n1", "pending");
    want(bench, "x");
    want(bench, "x");
    one(bench, "nonce-reuse", LEVEL_MUST, "nonce \"x\" was used before, at 0:00.1 in POST /new-order; 1 time more");
    /* Silence, and another request with the same nonce. */
    bench = begin("simulate");
    want(bench, "x");
    poll_order(bench, "x");
    one(bench, "nonce-reuse", LEVEL_MUST, "POST /order/1: nonce \"x\" was used before, at 0:00.1 in POST /new-order");
    /* The server itself gave it twice: two uses are fair, a third is not. */
    bench = begin("simulate");
    reply(bench, look(bench, "HEAD", "/new-nonce"), 200, NONCE "x", "");
    show_order(bench, want(bench, "x"), "x", "pending");
    show_order(bench, poll_order(bench, "x"), "y", "pending");
    assert_int_equal(fails(bench, "nonce-reuse"), 0);
    done(bench);
    bench = begin("simulate");
    reply(bench, look(bench, "HEAD", "/new-nonce"), 200, NONCE "x", "");
    show_order(bench, want(bench, "x"), "x", "pending");
    show_order(bench, poll_order(bench, "x"), "y", "pending");
    show_order(bench, poll_order(bench, "x"), "z", "pending");
    one(bench, "nonce-reuse", LEVEL_MUST, "was used before");
}

static void test_bad_nonce(void **state)
{
    (void)state;
    /* With the nonce that was refused; with some other one. */
    struct bench *bench = begin("simulate");
    bad_nonce(bench, want(bench, "x"), "y");
    want(bench, "x");
    one(bench, "bad-nonce-retried", LEVEL_SHOULD, "the nonce that was refused");
    bench = begin("simulate");
    bad_nonce(bench, want(bench, "x"), "y");
    want(bench, "z");
    one(bench, "bad-nonce-retried", LEVEL_SHOULD, "another nonce");
    /* Another request of the same kind goes first: two at once. */
    bench = begin("simulate");
    bad_nonce(bench, want(bench, "x"), "y");
    want(bench, "z");
    want(bench, "y");
    passes(bench, "bad-nonce-retried");
    /* The error has no nonce: any fresh one will do. */
    bench = begin("simulate");
    problem(bench, want(bench, "x"), 400, "", PROBLEM_PREFIX "badNonce");
    want(bench, "z");
    passes(bench, "bad-nonce-retried");
    /* Other things were done, this was not; a read is no repeat of a write. */
    bench = begin("simulate");
    bad_nonce(bench, post(bench, CA "/challenge/1", "x", "{}"), "y");
    post(bench, CA "/challenge/1", "y", READ);
    one(bench, "bad-nonce-retried", LEVEL_SHOULD, "POST /challenge/1: badNonce, and the request was not sent again");
    /* No time was left. */
    bench = begin("simulate");
    bad_nonce(bench, want(bench, "x"), "y");
    look(bench, "HEAD", "/new-nonce");
    end(bench, "time limit");
    assert_int_equal(fails(bench, "bad-nonce-retried"), 0);
    assert_int_equal(bench->findings.n, 0);
    done(bench);
    bench = begin("client");
    bad_nonce(bench, want(bench, "x"), "y");
    client_exit(bench, "ran past its time limit");
    assert_int_equal(fails(bench, "bad-nonce-retried"), 0);
    done(bench);
}

static void test_bad_nonce_without_end(void **state)
{
    (void)state;
    for (int repeats = 9; repeats <= 13; repeats++) {
        struct bench *bench = begin("simulate");
        struct arena *arena = &bench->arena;
        for (int i = 0; i <= repeats; i++)
            bad_nonce(bench, want(bench, str_fmt(arena, "n%d", i).at), str_fmt(arena, "n%d", i + 1).at);
        client_exit(bench, "enough");
        if (repeats <= 10) {
            passes(bench, "bad-nonce-retried");
            continue;
        }
        assert_int_equal(fails(bench, "bad-nonce-retried"), 1);
        assert_string_equal(first(bench)->clause.at, "rfc8555#6.5-bad-nonce-bounded");
        one(bench, "bad-nonce-retried", LEVEL_MUST, "more than 10 repeats");
    }
    /* A good reply between ends the row. */
    struct bench *bench = begin("simulate");
    struct arena *arena = &bench->arena;
    for (int i = 0; i < 20; i++) {
        uint64_t flow = want(bench, str_fmt(arena, "n%d", i).at);
        const char *next = str_fmt(arena, "n%d", i + 1).at;
        if (i % 7 == 6) show_order(bench, flow, next, "pending");
        else bad_nonce(bench, flow, next);
    }
    passes(bench, "bad-nonce-retried");
}

/* --- objects --- */

static void test_looks(void **state)
{
    (void)state;
    /* Asked before "valid" was shown, answered after: an older look. What was seen last stays. */
    struct bench *bench = begin_order("simulate", "processing");
    uint64_t slow = poll_order(bench, "n1"), quick = poll_order(bench, "n2");
    show_order(bench, quick, "n3", "valid");
    show_order(bench, slow, "n4", "processing");
    show_order(bench, poll_order(bench, "n3"), "n5", "valid");
    passes(bench, "legal-transitions");
    /* Asked after. */
    bench = begin_order("simulate", "processing");
    show_order(bench, poll_order(bench, "n1"), "n2", "valid");
    show_order(bench, poll_order(bench, "n2"), "n3", "processing");
    assert_int_equal(fails(bench, "legal-transitions"), 1);
    assert_string_equal(first(bench)->clause.at, "rfc8555#7.1.6-order-states");
    assert_string_equal(first(bench)->expected.at, "after valid only valid");
    one(bench, "legal-transitions", LEVEL_MUST, "POST /order/1: order /order/1 went from valid to processing");
    /* An older look that cannot be one. */
    bench = begin_order("simulate", "processing");
    slow = poll_order(bench, "n1"), quick = poll_order(bench, "n2");
    show_order(bench, quick, "n3", "valid");
    show_order(bench, slow, "n4", "invalid");
    one(bench, "legal-transitions", LEVEL_MUST, "from valid to invalid");
}

static void test_illegal_states(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *body, *clause, *observed;
    } rows[] = {
        {"{\"status\":\"processing\"}", "rfc8555#7.1.4-no-processing", "authz /authz/1 is processing, which is no state"},
        {"{\"status\":\"done\"}", "", "the authz says \"status\": \"done\""},
        {AUTHZ("pending", "ok"), "rfc8555#7.1.6-challenge-states", "the challenge says \"status\": \"ok\""},
        {AUTHZ("pending", "ready"), "rfc8555#7.1.6-challenge-states", "challenge /challenge/1 is ready"},
    };
    /* clang-format on */
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct bench *bench = begin_order("simulate", "pending");
        reply(bench, post(bench, CA "/authz/1", "n1", READ), 200, NONCE "n2", rows[i].body);
        assert_int_equal(fails(bench, "legal-transitions"), 1);
        assert_string_equal(first(bench)->clause.n ? first(bench)->clause.at : "", rows[i].clause);
        one(bench, "legal-transitions", LEVEL_MUST, rows[i].observed);
    }
    /* Accounts, too. */
    struct bench *bench = begin("simulate");
    reply(bench, post(bench, CA "/new-account", "n0", "{}"), 201, "Location: " CA "/account/1",
          "{\"status\":\"valid\"}");
    reply(bench, post(bench, CA "/account/1", "n1", "{\"status\":\"deactivated\"}"), 200, "",
          "{\"status\":\"deactivated\"}");
    reply(bench, post(bench, CA "/account/1", "n2", READ), 200, "", "{\"status\":\"valid\"}");
    one(bench, "legal-transitions", LEVEL_MUST, "account /account/1 went from deactivated to valid");
}

static void test_location(void **state)
{
    (void)state;
    struct bench *bench = begin("simulate");
    reply(bench, post(bench, CA "/new-account", "n0", "{}"), 200, NONCE "n1", "{\"status\":\"valid\"}");
    assert_int_equal(fails(bench, "location"), 1);
    assert_string_equal(first(bench)->clause.at, "rfc8555#7.3-account-created");
    done(bench);
    bench = begin("simulate");
    reply(bench, want(bench, "n0"), 201, "Location: /order/1", "{\"status\":\"pending\"," ORDER);
    one(bench, "location", LEVEL_SHOULD, "\"/order/1\" is no absolute URL");
    bench = begin("simulate");
    problem(bench, want(bench, "n0"), 403, "", PROBLEM_PREFIX "rejectedIdentifier");
    assert_int_equal(fails(bench, "location"), 0);
    assert_int_equal(bench->findings.n, 0);
    done(bench);
}

/* --- requests --- */

static void test_signed_url(void **state)
{
    (void)state;
    static const struct {
        const char *requested, *says;
        bool good;
    } rows[] = {
        {CA "/new-order",     CA "/new-order",                 true },
        {CA "/new-order",     "https://CA.test:443/new-order", true }, /* the wire shows no such spelling */
        {CA "/new-order?x=1", CA "/new-order?x=1",             true },
        {CA "/new-order",     CA "/new-order/",                false},
        {CA "/new-order",     CA "/new-order?x=1",             false},
        {CA "/new-order",     CA ":14000/new-order",           false},
        {CA "/new-order",     "http://ca.test/new-order",      false},
        {CA "/%7Eorder",      CA "/~order",                    false},
        {CA "/new-order",     "",                              false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct bench *bench = begin("simulate");
        post_as(bench, rows[i].requested, rows[i].says, "n0", WANTED);
        if (rows[i].good) passes(bench, "signed-url");
        else one(bench, "signed-url", LEVEL_MUST, "the JWS ");
    }
}

static void test_reads(void **state)
{
    (void)state;
    struct bench *bench = begin_order("simulate", "ready");
    look(bench, "GET", "/terms");
    look(bench, "HEAD", "/new-nonce");
    post(bench, CA "/authz/1", "n1", "{\"status\":\"deactivated\"}");
    poll_order(bench, "n2");
    passes(bench, "post-as-get-empty");
    bench = begin_order("simulate", "ready");
    post(bench, CA "/order/1", "n1", "{}");
    one(bench, "post-as-get-empty", LEVEL_MUST, "POST /order/1: a read with the payload {}");
    bench = begin_order("simulate", "ready");
    look(bench, "GET", "/order/1");
    one(bench, "post-as-get-empty", LEVEL_MUST, "GET /order/1: the resource was asked for without a signature");
}

/* --- replies --- */

static void test_problems(void **state)
{
    (void)state;
    /* clang-format off */
    static const struct {
        const char *media, *body, *clause; /* NULL: good */
        enum level level;
    } rows[] = {
        {PROBLEM, "{\"type\":\"" PROBLEM_PREFIX "malformed\",\"status\":404}", NULL, LEVEL_MUST},
        {"Application/Problem+JSON; charset=utf-8", "{\"type\":\"about:blank\"}", NULL, LEVEL_MUST},
        {"application/json", "{\"type\":\"" PROBLEM_PREFIX "malformed\"}", FORM, LEVEL_SHOULD},
        {PROBLEM, "{\"type\":\"malformed\"}", FORM, LEVEL_SHOULD},
        {PROBLEM, "{\"detail\":\"no\"}", FORM, LEVEL_SHOULD},
        {PROBLEM, "[]", FORM, LEVEL_SHOULD},
        {PROBLEM, "", FORM, LEVEL_SHOULD},
        {PROBLEM, "{\"type\":\"" PROBLEM_PREFIX "nonsuch\"}", TYPES, LEVEL_MUST},
        {PROBLEM, "{\"type\":\"about:blank\",\"status\":\"404\"}", "rfc8555#6.7-status-agrees", LEVEL_MUST},
        {PROBLEM, "{\"type\":\"about:blank\",\"status\":400}", "rfc8555#6.7-status-agrees", LEVEL_MUST},
        {PROBLEM, "{\"type\":\"about:blank\",\"subproblems\":[{\"type\":\"" PROBLEM_PREFIX "nonsuch\"}]}", TYPES,
         LEVEL_MUST},
    };
    /* clang-format on */
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct bench *bench = begin("simulate");
        struct str headers = str_fmt(&bench->arena, "Content-Type: %s", rows[i].media);
        reply(bench, look(bench, "GET", "/nowhere"), 404, headers.at, rows[i].body);
        size_t n = fails(bench, "problem-form");
        if (n != (rows[i].clause != NULL)) fail_msg("row %zu: %zu fails", i, n);
        if (rows[i].clause) {
            assert_string_equal(first(bench)->clause.at, rows[i].clause);
            assert_int_equal(first(bench)->level, rows[i].level);
        }
        done(bench);
    }
    /* Not ours, no body, half a body. */
    struct bench *bench = begin("simulate");
    reply(bench, ask(bench, "GET", "https://elsewhere.test/", (struct str){0}), 404, "", "no");
    reply(bench, look(bench, "HEAD", "/new-nonce"), 503, "", "");
    reply_open(bench, look(bench, "GET", "/dir"), 503, "", "{\"ty");
    event_add_text(&bench->history, F_DELIVERY, STR("truncated"));
    history_commit(&bench->history);
    assert_int_equal(fails(bench, "problem-form"), 0);
    assert_int_equal(bench->findings.n, 0);
    done(bench);
}

static void test_retry_after(void **state)
{
    (void)state;
    static const struct {
        const char *headers;
        bool good;
    } rows[] = {
        {"Retry-After: 0",                              true },
        {"retry-after: 99999999999999999999",           true },
        {"Retry-After: Sun, 06 Nov 1994 08:49:37 GMT",  true },
        {"Retry-After: Sunday, 06-Nov-94 08:49:37 GMT", false},
        {"Retry-After: Sun Nov  6 08:49:37 1994",       false},
        {"Retry-After: -1",                             false},
        {"Retry-After: 1.5",                            false},
        {"Retry-After:",                                false},
        {"Retry-After: 5\nRetry-After: 5",              false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct bench *bench = begin("simulate");
        reply(bench, look(bench, "GET", "/dir"), 200, rows[i].headers, "{}");
        if (fails(bench, "retry-after-form") == rows[i].good) fail_msg("%s", rows[i].headers);
        done(bench);
    }
}

/* --- hangs --- */

static void blames(struct bench *bench, enum party party, const char *observed)
{
    assert_int_equal(fails(bench, "hangs"), 1);
    assert_int_equal(first(bench)->party, party);
    one(bench, "hangs", LEVEL_SCENARIO, observed);
}

static void test_hanging_requests(void **state)
{
    (void)state;
    for (int delayed = 0; delayed <= 1; delayed++) {
        struct bench *bench = begin_order("simulate", "ready");
        uint64_t flow = poll_order(bench, "n1");
        bench->t_ms += 660000;
        reply_open(bench, flow, 200, NONCE "n2", "{}");
        if (delayed) event_add_int(&bench->history, F_DELAY_MS, 660000);
        history_commit(&bench->history);
        end(bench, "finished");
        if (delayed) passes(bench, "hangs");
        else blames(bench, PARTY_CA, "0:00.2 POST /order/1: the reply came after 11:00.1");
    }
    /* Silence until the end; by a fault; for a short time only. */
    struct bench *bench = begin_order("simulate", "ready");
    poll_order(bench, "n1");
    bench->t_ms += 660000;
    client_exit(bench, "no answer");
    blames(bench, PARTY_CA, "no reply within 11:00.0");
    bench = begin_order("simulate", "ready");
    note(bench, FAULT_APPLIED, poll_order(bench, "n1"), "ca", "client");
    history_commit(&bench->history);
    bench->t_ms += 660000;
    client_exit(bench, "no answer");
    passes(bench, "hangs");
    bench = begin_order("simulate", "ready");
    poll_order(bench, "n1");
    bench->t_ms += 60000;
    client_exit(bench, "no answer");
    passes(bench, "hangs");
}

/* The run was cut off. */
static void test_whose_move(void **state)
{
    (void)state;
    struct bench *bench = begin_order("server", "ready");
    bench->t_ms += 60000;
    end(bench, "time limit");
    blames(bench, PARTY_CLIENT, "the next move was the client's");

    bench = begin_order("server", "ready");
    poll_order(bench, "n1");
    bench->t_ms += 60000;
    end(bench, "time limit");
    blames(bench, PARTY_CA, "the request had no reply");

    bench = begin_order("server", "processing");
    bench->t_ms += 7200000;
    end(bench, "time limit");
    blames(bench, PARTY_CA, "the order was processing since 0:00.2");

    /* A CA of ours does as the scenario says: the client might have ended its wait. */
    bench = begin_order("simulate", "processing");
    bench->t_ms += 7200000;
    end(bench, "time limit");
    blames(bench, PARTY_CLIENT, "the order was processing since 0:00.2");
    for (int minutes = 1; minutes <= 11; minutes += 10) {
        bench = begin_order("client", "processing");
        bench->t_ms += minutes * 60000;
        client_exit(bench, "ran past its time limit");
        end(bench, "finished");
        if (minutes == 1) passes(bench, "hangs");
        else blames(bench, PARTY_CLIENT, "the client was still running at its time limit: the order was processing");
    }

    bench = begin("server");
    problem(bench, want(bench, "n0"), 429, "Retry-After: 3600", PROBLEM_PREFIX "rateLimited");
    bench->t_ms += 60000;
    end(bench, "time limit");
    blames(bench, PARTY_CA, "had a Retry-After until 1:00:00.2");

    /* A reply that was lost on the way: a client has to end its wait. */
    bench = begin_order("client", "processing");
    note(bench, FAULT_APPLIED, poll_order(bench, "n1"), "ca", "client");
    history_commit(&bench->history);
    reply_open(bench, bench->flow, 0, "", "");
    event_add_text(&bench->history, F_DELIVERY, STR("hang"));
    history_commit(&bench->history);
    client_exit(bench, "ran past its time limit");
    blames(bench, PARTY_CLIENT, "the reply was lost");

    /* A challenge that was responded to is the server's, until it is over. */
    for (int over = 0; over <= 1; over++) {
        bench = begin_order("server", "pending");
        const char *body = over ? AUTHZ("pending", "invalid") : AUTHZ("pending", "pending");
        reply(bench, post(bench, CA "/authz/1", "n1", READ), 200, NONCE "n2", body);
        post(bench, CA "/challenge/1", "n2", "{}");
        reply(bench, bench->flow, 200, NONCE "n3", "{}");
        reply(bench, post(bench, CA "/authz/1", "n3", READ), 200, NONCE "n4", body);
        end(bench, "time limit");
        blames(bench, over ? PARTY_CLIENT : PARTY_CA, over ? "the client's" : "the authz was pending");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nonce_form),  cmocka_unit_test(test_nonce_resent),
        cmocka_unit_test(test_bad_nonce),   cmocka_unit_test(test_bad_nonce_without_end),
        cmocka_unit_test(test_looks),       cmocka_unit_test(test_illegal_states),
        cmocka_unit_test(test_location),    cmocka_unit_test(test_signed_url),
        cmocka_unit_test(test_reads),       cmocka_unit_test(test_problems),
        cmocka_unit_test(test_retry_after), cmocka_unit_test(test_hanging_requests),
        cmocka_unit_test(test_whose_move),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
