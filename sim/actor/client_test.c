/* The polite client: what RFC 8555 asks of it, and what it does when a validation fails. Trouble with the server is in
 * client_trouble_test.c. */
#include "actor/client_fake_test.h"

#define OPENING "directory nonce account new-order authz provision:http-01 answer:http-01 "

static void test_happy_path(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake_run(fake);
    assert_true(fake->success);
    assert_string_equal(fake->reason, "");
    assert_string_equal(fake_trace(fake, NULL), OPENING
                        "challenge:http-01 challenge:http-01 authz withdraw:http-01 order finalize certificate");
    assert_true(str_starts(client_certificate(fake->client), "-----BEGIN CERTIFICATE-----"));
    assert_int_equal(fake_when(fake, "challenge:http-01", 1) - fake_when(fake, "answer:http-01", 1), 3020);
    fake_free(fake);
}

static void test_pending_is_followed_by_the_authorization(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->shows_pending = true;
    fake_run(fake);
    assert_true(fake->success);
    assert_string_equal(fake_trace(fake, NULL), OPENING "authz authz withdraw:http-01 order finalize certificate");
    fake_free(fake);
}

static void test_several_names(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->scenario->identifiers[1] = STR("b.example.test");
    fake->scenario->n_identifiers = 2;
    fake->validate_ms = 1000;
    fake_run(fake);
    assert_true(fake->success);
    assert_string_equal(
        fake_trace(fake, "new-order"),
        "new-order authz authz provision:http-01 answer:http-01 provision:http-01 answer:http-01 "
        "challenge:http-01 authz withdraw:http-01 challenge:http-01 authz withdraw:http-01 order finalize certificate");
    fake_free(fake);
}

static void test_order_payload_names_everything(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->scenario->identifiers[0] = STR("*.a.example.test");
    fake->scenario->identifiers[1] = STR("b.example.test");
    fake->scenario->n_identifiers = 2;
    fake_run_for(fake, 50);
    assert_int_equal(fake_count(fake, "new-order"), 0);
    fake_run_for(fake, 60);
    assert_int_equal(fake_count(fake, "new-order"), 1);
    assert_non_null(strstr(fake->last_payload, "\"*.a.example.test\""));
    assert_non_null(strstr(fake->last_payload, "\"b.example.test\""));
    fake_free(fake);
}

static void test_wildcard_takes_dns(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake_offer_all(fake);
    fake->scenario->identifiers[0] = STR("*.a.example.test");
    fake_run(fake);
    assert_true(fake->success);
    assert_int_equal(fake_count(fake, "answer:dns-01"), 1);
    assert_int_equal(fake_count(fake, "answer:http-01"), 0);
    fake_free(fake);
}

static void test_preference(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake_offer_all(fake);
    fake->scenario->client.prefers[0] = CHALLENGE_TLS_ALPN_01;
    fake->scenario->client.n_prefers = 1;
    fake_run(fake);
    assert_true(fake->success);
    assert_int_equal(fake_count(fake, "answer:tls-alpn-01"), 1);
    assert_int_equal(fake_count(fake, "answer:http-01"), 0);
    fake_free(fake);
}

static void test_provision_says_place_and_proof(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake_run_for(fake, 0);
    struct msg *msg = NULL;
    for (int i = 0; i < 20 && !msg; i++) { /* by hand, to see the message */
        if (fake->n_pending) {
            struct msg *reply = fake->pending[--fake->n_pending];
            bench_step(fake->bench, fake->client, reply);
        }
        if (fake->bench->out.n && fake->bench->out.at[0]->kind == MSG_PROVISION) msg = bench_take(fake->bench);
        else fake_collect(fake);
    }
    assert_non_null(msg);
    assert_str(msg->as.provision.type, "http-01");
    assert_str(msg->as.provision.name, "a.example.test");
    assert_str(msg->as.provision.token, "tok-0-0-0");
    assert_str(msg->as.provision.place, "/.well-known/acme-challenge/tok-0-0-0");
    assert_true(str_starts(msg->as.provision.proof, "tok-0-0-0."));
    assert_int_equal(msg->as.provision.proof.n, strlen("tok-0-0-0.") + 43);
    assert_false(msg->as.provision.withdraw);
    msg_free(msg);
    fake_free(fake);
}

static void test_born_orders(void **state)
{
    (void)state;
    const struct {
        const char *born, *trace;
    } rows[] = {
        {"ready",      "new-order finalize certificate"   },
        {"valid",      "new-order certificate"            },
        {"invalid",    "new-order"                        },
        {"processing", "new-order order order certificate"}
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct fake *fake = fake_new();
        fake->born = rows[i].born;
        if (i == 3) {
            fake_run_for(fake, 90);
            fake->orders[0].issued_ms = fake->began_ms + 4000;
        }
        fake_run(fake);
        assert_int_equal(fake->success, i != 2);
        if (i == 2) assert_string_equal(fake->reason, "the order is invalid: unauthorized: order lost");
        assert_string_equal(fake_trace(fake, "new-order"), rows[i].trace);
        fake_free(fake);
    }
}

static void test_valid_authorizations_are_skipped(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->scenario->identifiers[1] = STR("b.example.test");
    fake->scenario->n_identifiers = 2;
    fake_run_for(fake, 70);
    assert_int_equal(fake->n_orders, 1);
    fake->orders[0].authzs[0].status = fake->orders[0].authzs[0].challenge[0] = "valid";
    fake_run(fake);
    assert_true(fake->success);
    assert_int_equal(fake_count(fake, "answer:http-01"), 1);
    assert_int_equal(fake_count(fake, "provision:http-01"), 1);
    fake_free(fake);
}

/* --- Retry-After --- */

static void seven_seconds(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)fake;
    (void)nth;
    if (strcmp(kind, "answer") == 0 || strcmp(kind, "challenge") == 0) fake_retry_after(reply, "7");
}

static void test_retry_after_seconds(void **state)
{
    (void)state;
    for (int speed = 1; speed <= 4; speed += 3) { /* a server's word holds at every speed of ours */
        struct fake *fake = fake_new();
        fake->validate_ms = 12000;
        fake->after = seven_seconds;
        fake->options.speed = speed;
        fake_run(fake);
        assert_true(fake->success);
        int64_t answered_ms = fake_when(fake, "answer:http-01", 1);
        assert_int_equal(fake_when(fake, "challenge:http-01", 1) - answered_ms, 7020);
        assert_int_equal(fake_when(fake, "challenge:http-01", 2) - answered_ms, 14040);
        assert_int_equal(fake_count(fake, "challenge:http-01"), 2);
        assert_int_equal(fake_when(fake, "authz", 2) - answered_ms, 14060); /* another resource: at once */
        fake_free(fake);
    }
}

static void date_in_ten_seconds(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)nth;
    if (strcmp(kind, "finalize") == 0)
        msg_header(reply, "Retry-After", when_http_date(&reply->arena, fake->bench->now_ms + 10000));
}

static void test_retry_after_date(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->issue_ms = 5000;
    fake->after = date_in_ten_seconds;
    fake_run(fake);
    assert_true(fake->success);
    int64_t finalized_ms = fake_when(fake, "finalize", 1), polled_ms = fake_when(fake, "order", 2);
    assert_int_equal(polled_ms, (finalized_ms + 10000) / 1000 * 1000); /* at the very second */
    fake_free(fake);
}

static void odd_retry_after(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    static const char *const values[] = {"soon", "-5", "Fri, 31 Dec 1999 23:59:59 GMT", "0"};
    (void)fake;
    if (strcmp(kind, "finalize") == 0) fake_retry_after(reply, values[0]);
    if (strcmp(kind, "order") == 0 && nth <= 4) fake_retry_after(reply, values[nth - 1]);
}

static void test_useless_retry_after_is_no_busy_loop(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->issue_ms = 10000;
    fake->after = odd_retry_after;
    fake_run(fake);
    assert_true(fake->success);
    assert_int_equal(fake_when(fake, "order", 2) - fake_when(fake, "finalize", 1), 3020);
    for (int i = 2; i < 5; i++)
        assert_int_equal(fake_when(fake, "order", i + 1) - fake_when(fake, "order", i), 3020);
    fake_free(fake);
}

static void a_day(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)fake;
    (void)nth;
    if (strcmp(kind, "authz") == 0 || strcmp(kind, "finalize") == 0) fake_retry_after(reply, "86400");
}

static void test_retry_after_beyond_patience(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->after = a_day;
    fake->issue_ms = 5000;
    fake_run(fake);
    assert_false(fake->success);
    /* The authorization is withheld for a day; its challenge is valid, so the order is asked. That one is withheld too:
     * the end. */
    assert_string_equal(fake_trace(fake, NULL),
                        OPENING "challenge:http-01 challenge:http-01 withdraw:http-01 order finalize");
    assert_string_equal(fake->reason,
                        "the order is processing still, and the server asks to wait longer than our patience");
    fake_free(fake);
}

static void test_patience_ends_with_a_last_look(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->validate_ms = INT64_C(3600) * 1000;
    fake_habits(fake)->poll_every_ms = 7000;
    fake_habits(fake)->poll_limit_ms = 60000;
    fake_run(fake);
    assert_false(fake->success);
    assert_string_equal(fake->reason, "the challenge is processing still, and our patience is used up");
    int n = fake_count(fake, "challenge:http-01");
    assert_int_equal(fake_when(fake, "challenge:http-01", n) - fake_when(fake, "answer:http-01", 1), 60020);
    assert_string_equal(fake->lines[fake->n_lines - 1].word, "withdraw:http-01");
    fake_free(fake);
}

static void test_speed_divides_our_own_waits(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->options.speed = 3;
    fake_run(fake);
    assert_true(fake->success);
    assert_int_equal(fake_when(fake, "challenge:http-01", 1) - fake_when(fake, "answer:http-01", 1), 1020);
    fake_free(fake);
}

/* --- failure and what follows --- */

static void test_give_up(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->fails[CHALLENGE_HTTP_01] = true;
    fake_run(fake);
    assert_false(fake->success);
    assert_string_equal(fake->reason, "http-01 for a.example.test failed: connection: nobody there");
    assert_string_equal(fake_trace(fake, NULL),
                        OPENING "challenge:http-01 challenge:http-01 authz order withdraw:http-01");
    fake_free(fake);
}

static void test_fall_back_in_the_same_authorization(void **state)
{
    (void)state;
    for (int both = 0; both < 2; both++) {
        struct fake *fake = fake_new();
        fake_offer_all(fake);
        fake->kills = false;
        fake->validate_ms = 1000;
        fake->fails[CHALLENGE_HTTP_01] = true;
        fake->scenario->client.on_failure = both ? FAIL_NEW_ORDER : FAIL_SAME_AUTHZ;
        fake_run(fake);
        assert_true(fake->success);
        assert_string_equal(
            fake_trace(fake, "answer:http-01"),
            "answer:http-01 challenge:http-01 authz withdraw:http-01 provision:dns-01 answer:dns-01 challenge:dns-01 "
            "authz withdraw:dns-01 order finalize certificate");
        fake_free(fake);
    }
}

static void test_fall_back_to_a_new_order(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake_offer_all(fake);
    fake->validate_ms = 1000;
    fake->fails[CHALLENGE_HTTP_01] = fake->fails[CHALLENGE_DNS_01] = true;
    fake->scenario->client.on_failure = FAIL_NEW_ORDER;
    fake_run(fake);
    assert_true(fake->success);
    assert_string_equal(
        fake_trace(fake, "new-order"),
        "new-order authz provision:http-01 answer:http-01 challenge:http-01 authz order withdraw:http-01 "
        "new-order authz provision:dns-01 answer:dns-01 challenge:dns-01 authz order withdraw:dns-01 "
        "new-order authz provision:tls-alpn-01 answer:tls-alpn-01 challenge:tls-alpn-01 authz withdraw:tls-alpn-01 "
        "order finalize certificate");
    fake_free(fake);
}

static void test_fall_back_has_an_end(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake_offer_all(fake);
    for (int i = 0; i < CHALLENGE_TYPE_COUNT; i++)
        fake->fails[i] = true;
    fake->scenario->client.on_failure = FAIL_NEW_ORDER;
    fake_run(fake);
    assert_false(fake->success);
    assert_int_equal(fake_count(fake, "new-order"), 3);
    assert_string_equal(fake->reason, "tls-alpn-01 for a.example.test failed: connection: nobody there");
    fake_free(fake);
}

static void test_same_authz_makes_no_new_order(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake_offer_all(fake);
    fake->fails[CHALLENGE_HTTP_01] = true;
    fake->scenario->client.on_failure = FAIL_SAME_AUTHZ;
    fake_run(fake);
    assert_false(fake->success);
    assert_int_equal(fake_count(fake, "new-order"), 1);
    fake_free(fake);
}

static void test_nothing_else_offered(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->fails[CHALLENGE_HTTP_01] = true;
    fake->scenario->client.on_failure = FAIL_NEW_ORDER;
    fake_run(fake);
    assert_false(fake->success);
    assert_int_equal(fake_count(fake, "new-order"), 1);
    fake_free(fake);

    fake = fake_new();
    fake->offers[CHALLENGE_HTTP_01] = false;
    fake->offers[CHALLENGE_DNS_01] = true;
    fake_run(fake);
    assert_false(fake->success);
    assert_string_equal(fake->reason, "no challenge of a.example.test is of use to us");
    fake_free(fake);
}

static bool refuse_answer(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)nth;
    if (strcmp(kind, "answer") != 0) return false;
    if (!fake->kills) fake->orders[0].authzs[0].status = "valid";
    fake_problem(reply, 400, "malformed", "not this one");
    return true;
}

static void test_a_refused_answer(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->before = refuse_answer;
    fake_run(fake);
    assert_false(fake->success);
    assert_string_equal(fake_trace(fake, "answer:http-01"), "answer:http-01 authz withdraw:http-01");
    assert_string_equal(fake->reason, "http-01 for a.example.test failed: malformed: not this one");
    fake_free(fake);

    fake = fake_new();
    fake->before = refuse_answer;
    fake->kills = false; /* the authorization is valid already */
    fake_run(fake);
    assert_true(fake->success);
    fake_free(fake);
}

static bool not_ready_once(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    if (strcmp(kind, "finalize") != 0 || (fake->kills && nth > 1)) return false;
    fake_problem(reply, 403, "orderNotReady", "wait");
    return true;
}

static void test_order_not_ready(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->before = not_ready_once;
    fake_run(fake);
    assert_true(fake->success);
    assert_string_equal(fake_trace(fake, "finalize"), "finalize order finalize certificate");
    assert_int_equal(fake_when(fake, "order", 2) - fake_when(fake, "finalize", 1), 3020);
    fake_free(fake);

    fake = fake_new();
    fake->before = not_ready_once;
    fake->kills = false; /* always */
    fake_run(fake);
    assert_false(fake->success);
    assert_int_equal(fake_count(fake, "finalize"), 4);
    assert_string_equal(fake->reason, "finalize: orderNotReady: wait");
    fake_free(fake);
}

static void test_processing_order(void **state)
{
    (void)state;
    struct fake *fake = fake_new();
    fake->issue_ms = 8000;
    fake_run(fake);
    assert_true(fake->success);
    assert_string_equal(fake_trace(fake, "finalize"), "finalize order order order certificate");
    fake_free(fake);
}

static void test_order_lost_after_finalize(void **state)
{
    (void)state;
    for (int again = 0; again < 2; again++) {
        struct fake *fake = fake_new();
        fake->issue_ms = INT64_C(3600) * 1000;
        fake->scenario->client.on_failure = again ? FAIL_NEW_ORDER : FAIL_GIVE_UP;
        fake_run_for(fake, 20000);
        assert_int_equal(fake_count(fake, "finalize"), 1);
        fake->orders[0].status = "invalid";
        fake->orders[0].issued_ms = 0;
        fake->issue_ms = 0;
        fake_run(fake);
        assert_int_equal(fake->success, again);
        assert_int_equal(fake_count(fake, "new-order"), 1 + again);
        fake_free(fake);
    }
}

static void test_account_keys(void **state)
{
    (void)state;
    static const enum key_kind kinds[] = {KEY_P256, KEY_P384, KEY_ED25519};
    for (size_t i = 0; i < COUNTOF(kinds); i++) {
        struct fake *fake = fake_new();
        fake->options.sealing = SEALING_REAL;
        fake->scenario->client.key = kinds[i];
        fake_run(fake);
        assert_true(fake->success);
        fake_free(fake);
    }
    struct fake *fake = fake_new();
    fake->options.sealing = SEALING_REAL;
    fake->scenario->client.key = KEY_RSA; /* must be given */
    fake_run(fake);
    assert_false(fake->success);
    assert_string_equal(fake->reason, "there is no usable account key");
    fake_free(fake);
}

static bool refuse_finalize(struct fake *fake, const char *kind, int nth, struct msg *reply)
{
    (void)fake;
    (void)nth;
    if (strcmp(kind, "finalize") != 0) return false;
    fake_problem(reply, 403, "userActionRequired", "read the terms");
    return true;
}

static void test_same_seed_same_requests(void **state)
{
    (void)state;
    char payloads[2][2000];
    for (int i = 0; i < 2; i++) {
        struct fake *fake = fake_new();
        fake->before = refuse_finalize;
        fake_run(fake);
        snprintf(payloads[i], sizeof payloads[i], "%s", fake->last_payload); /* the CSR, from a key of chance */
        assert_non_null(strstr(payloads[i], "\"csr\""));
        fake_free(fake);
    }
    assert_string_equal(payloads[0], payloads[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_happy_path),
        cmocka_unit_test(test_pending_is_followed_by_the_authorization),
        cmocka_unit_test(test_several_names),
        cmocka_unit_test(test_order_payload_names_everything),
        cmocka_unit_test(test_wildcard_takes_dns),
        cmocka_unit_test(test_preference),
        cmocka_unit_test(test_provision_says_place_and_proof),
        cmocka_unit_test(test_born_orders),
        cmocka_unit_test(test_valid_authorizations_are_skipped),
        cmocka_unit_test(test_retry_after_seconds),
        cmocka_unit_test(test_retry_after_date),
        cmocka_unit_test(test_useless_retry_after_is_no_busy_loop),
        cmocka_unit_test(test_retry_after_beyond_patience),
        cmocka_unit_test(test_patience_ends_with_a_last_look),
        cmocka_unit_test(test_speed_divides_our_own_waits),
        cmocka_unit_test(test_give_up),
        cmocka_unit_test(test_fall_back_in_the_same_authorization),
        cmocka_unit_test(test_fall_back_to_a_new_order),
        cmocka_unit_test(test_fall_back_has_an_end),
        cmocka_unit_test(test_same_authz_makes_no_new_order),
        cmocka_unit_test(test_nothing_else_offered),
        cmocka_unit_test(test_a_refused_answer),
        cmocka_unit_test(test_order_not_ready),
        cmocka_unit_test(test_processing_order),
        cmocka_unit_test(test_order_lost_after_finalize),
        cmocka_unit_test(test_account_keys),
        cmocka_unit_test(test_same_seed_same_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
