/* The polite client and a server in trouble: nonces that are refused, errors, silence, nonsense. */
#include "actor/client_fake_test.h"

static bool bad_nonce_thrice(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)fake;
    if (strcmp(kind, "new-order") != 0 || nth > 3) return false;
    fake_problem(reply, 400, "badNonce", "try again");
    return true;
}

static void test_bad_nonce_is_retried_with_the_errors_nonce(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->before = bad_nonce_thrice;
    fake_run(fake);
    assert_true(fake->success);
    assert_int_equal(fake_count(fake, "new-order"), 4);
    assert_int_equal(fake_count(fake, "nonce"), 1); /* the error brings one */
    assert_int_equal(fake_when(fake, "new-order", 4) - fake_when(fake, "new-order", 1), 60);
    fake_free(fake);
}

static bool bad_nonce_always(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)fake;
    (void)nth;
    if (strcmp(kind, "new-order") != 0) return false;
    fake_problem(reply, 400, "badNonce", "never good");
    return true;
}

static void test_bad_nonce_has_an_end(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->before = bad_nonce_always;
    fake_run(fake);
    assert_false(fake->success);
    assert_int_equal(fake_count(fake, "new-order"), 6);
    assert_string_equal(fake->reason, "new order: badNonce: never good");
    fake_free(fake);
}

static void no_nonces(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)fake;
    (void)nth;
    if (strcmp(kind, "nonce") != 0 && reply->as.response.headers)
        headers_set(reply->as.response.headers, "Replay-Nonce",
                    strcmp(kind, "authz") == 0 ? STR("not base64!") : (struct str){0});
}

static void test_nonces_are_fetched_when_replies_bring_none(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->after = no_nonces;
    fake_run(fake);
    assert_true(fake->success);
    assert_int_equal(fake_count(fake, "nonce"), 10); /* one for each POST */
    fake_free(fake);
}

static bool failing_thrice(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)fake;
    if (strcmp(kind, "order") != 0 || nth > 3) return false;
    fake_body(reply, nth == 1 ? 503 : 500, STR("<html>"));
    if (nth == 1) fake_retry_after(reply, "12");
    return true;
}

static void test_server_errors_are_retried_with_growing_pauses(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->before = failing_thrice;
    fake_run(fake);
    assert_true(fake->success);
    assert_int_equal(fake_when(fake, "order", 2) - fake_when(fake, "order", 1), 12020);
    assert_int_equal(fake_when(fake, "order", 3) - fake_when(fake, "order", 2), 10020);
    assert_int_equal(fake_when(fake, "order", 4) - fake_when(fake, "order", 3), 20020);
    fake_free(fake);
}

static bool broken(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)fake;
    (void)nth;
    if (strcmp(kind, "account") != 0) return false;
    fake_body(reply, 500, STR(""));
    return true;
}

static void test_server_errors_have_an_end(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->before = broken;
    fake_run(fake);
    assert_false(fake->success);
    assert_int_equal(fake_count(fake, "account"), 5);
    assert_int_equal(fake_when(fake, "account", 5) - fake_when(fake, "account", 1), 75080);
    assert_string_equal(fake->reason, "new account: HTTP status 500, 5 times");
    fake_free(fake);
}

static bool limited(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    if (strcmp(kind, "new-order") != 0 || nth > 1) return false;
    fake_problem(reply, 429, "rateLimited", "slow down");
    fake_retry_after(reply, fake->kills ? "60" : "86400");
    return true;
}

static void test_rate_limit(void **state)
{
    (void)state;
    for (int day = 0; day < 2; day++) {
        struct fake *fake = fake_new();
        fake->before = limited;
        fake->kills = !day;
        fake_run(fake);
        assert_int_equal(fake->success, !day);
        if (day)
            assert_string_equal(fake->reason,
                                "new order: rateLimited: slow down, and asks to wait longer than our patience");
        else assert_int_equal(fake_when(fake, "new-order", 2) - fake_when(fake, "new-order", 1), 60020);
        fake_free(fake);
    }
}

static enum delivery_how lost_how;

static void lose_one(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)fake;
    if (strcmp(kind, "authz") != 0 || nth > 1) return;
    reply->as.response.delivery = (struct delivery){.how = lost_how, .at_byte = 10};
    if (!delivery_has_status(lost_how)) reply->as.response = (struct http_response){.delivery = {.how = lost_how}};
}

static void test_lost_replies_are_asked_for_again(void **state)
{
    (void)state;
    static const enum delivery_how hows[] = {DELIVER_HANG,    DELIVER_RESET,   DELIVER_CLOSED,
                                             DELIVER_REFUSED, DELIVER_GARBAGE, DELIVER_TRUNCATED};
    for (size_t i = 0; i < COUNTOF(hows); i++) {
        struct fake *fake = fake_new();
        lost_how = hows[i];
        fake->after = lose_one;
        fake_run(fake);
        assert_true(fake->success);
        int64_t gap_ms = fake_when(fake, "authz", 2) - fake_when(fake, "authz", 1);
        assert_int_equal(gap_ms, lost_how == DELIVER_HANG ? 35020 : 5040); /* a nonce was lost with it */
        assert_int_equal(fake_count(fake, "nonce"), 2);
        fake_free(fake);
    }
}

static void late_once(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)fake;
    if (strcmp(kind, "authz") == 0 && nth == 1) reply->as.response.delivery.delay_ms = 32000;
}

static void test_a_reply_after_the_limit_is_ignored(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->after = late_once;
    fake_run(fake);
    assert_true(fake->success);
    assert_int_equal(fake_when(fake, "authz", 2) - fake_when(fake, "authz", 1), 35020);
    fake_free(fake);
}

static int64_t drip_ms;

static void drip(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)fake;
    if (strcmp(kind, "authz") == 0 && nth == 1)
        reply->as.response.delivery = (struct delivery){.how = DELIVER_SLOW, .over_ms = drip_ms};
}

static void test_slow_replies(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    drip_ms = 3000;
    fake->after = drip;
    fake_run(fake);
    assert_true(fake->success);
    assert_int_equal(fake_when(fake, "answer:http-01", 1) - fake_when(fake, "authz", 1), 3020);
    fake_free(fake);

    fake = fake_new();
    drip_ms = 40000;
    fake->after = drip;
    fake_run(fake);
    assert_true(fake->success);
    assert_int_equal(fake_when(fake, "authz", 2) - fake_when(fake, "authz", 1), 35020);
    fake_free(fake);
}

static void hold_answer(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)fake;
    (void)nth;
    if (strcmp(kind, "answer") == 0) reply->as.response.delivery.delay_ms = 45000;
}

static void test_an_answer_may_be_held_for_a_while(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->after = hold_answer;
    fake_run(fake);
    assert_true(fake->success);
    assert_int_equal(fake_count(fake, "answer:http-01"), 1);
    fake_free(fake);
}

static const char *broken_kind, *broken_body;

static void break_body(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)fake;
    if (strcmp(kind, broken_kind) != 0 || (strcmp(kind, "authz") == 0 && nth < 2)) return;
    reply->as.response.body = str_c(broken_body);
    if (strcmp(kind, "account") == 0) headers_set(reply->as.response.headers, "Location", (struct str){0});
}

static void test_nonsense_ends_the_client(void **state)
{
    (void)state;
    const struct {
        const char *kind, *body, *reason;
    } rows[] = {
        {"directory",   "{",                    "directory: the reply (HTTP status 200) is not what RFC 8555 describes"  },
        {"directory",   "{\"newNonce\":\"x\"}", "directory: the reply (HTTP status 200) is not what RFC 8555 describes"  },
        {"account",     "{}",                   "new account: the reply (HTTP status 201) is not what RFC 8555 describes"},
        {"new-order",   "[]",                   "new order: the reply (HTTP status 201) is not what RFC 8555 describes"  },
        {"authz",       "nope",                 "authz: the reply (HTTP status 200) is not what RFC 8555 describes"      },
        {"answer",      "{\"status\":",         "answer: the reply (HTTP status 200) is not what RFC 8555 describes"     },
        {"challenge",   "null",                 "challenge: the reply (HTTP status 200) is not what RFC 8555 describes"  },
        {"order",       "17",                   "order: the reply (HTTP status 200) is not what RFC 8555 describes"      },
        {"finalize",    "",                     "finalize: the reply (HTTP status 200) is not what RFC 8555 describes"   },
        {"certificate", "<html>",               "certificate: the reply (HTTP status 200) is not what RFC 8555 describes"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct fake *fake = fake_new();
        broken_kind = rows[i].kind;
        broken_body = rows[i].body;
        fake->after = break_body;
        fake_run(fake);
        assert_string_equal(fake->reason, rows[i].reason);
        assert_false(fake->success);
        fake_free(fake);
    }
}

static bool refuse(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)fake;
    (void)nth;
    if (strcmp(kind, broken_kind) != 0) return false;
    fake_problem(reply, 403, "userActionRequired", "read the terms");
    return true;
}

static void test_refusals_end_the_client_with_their_reason(void **state)
{
    (void)state;
    static const char *const kinds[] = {"account", "new-order", "finalize", "certificate"};
    static const char *const whats[] = {"new account", "new order", "finalize", "certificate"};
    for (size_t i = 0; i < COUNTOF(kinds); i++) {
        struct fake *fake = fake_new();
        char expected[100];
        broken_kind = kinds[i];
        fake->before = refuse;
        fake_run(fake);
        snprintf(expected, sizeof expected, "%s: userActionRequired: read the terms", whats[i]);
        assert_string_equal(fake->reason, expected);
        fake_free(fake);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_nonce_is_retried_with_the_errors_nonce),
        cmocka_unit_test(test_bad_nonce_has_an_end),
        cmocka_unit_test(test_nonces_are_fetched_when_replies_bring_none),
        cmocka_unit_test(test_server_errors_are_retried_with_growing_pauses),
        cmocka_unit_test(test_server_errors_have_an_end),
        cmocka_unit_test(test_rate_limit),
        cmocka_unit_test(test_lost_replies_are_asked_for_again),
        cmocka_unit_test(test_a_reply_after_the_limit_is_ignored),
        cmocka_unit_test(test_slow_replies),
        cmocka_unit_test(test_an_answer_may_be_held_for_a_while),
        cmocka_unit_test(test_nonsense_ends_the_client),
        cmocka_unit_test(test_refusals_end_the_client_with_their_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
