/* Rate limits (RFC 8555 section 6.6) and pre-authorization (section 7.4.1). */
#include "actor/ca_bench_test.h"

#define TWO_NAMES                                                                                                      \
    "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.test\"},{\"type\":\"dns\",\"value\":\"*.b.example."     \
    "test\"}]}"

static struct desk *desk_limited(enum limit limit, int64_t count, int64_t per_ms)
{
    struct desk *desk = desk_new("rfc8555");
    desk->profile.limits[limit] = (struct rate){count, per_ms};
    return desk;
}

/* Returns the problem. */
static struct problem assert_limited(struct desk *desk, const char *retry_after)
{
    assert_refused(desk, 429, "rateLimited");
    assert_str(reply_header(desk, "Retry-After"), retry_after);
    assert_str(reply_header(desk, "Link"), "<" CA_BASE "/rate-limits>;rel=\"help\"");
    return reply_problem(desk);
}

/* Fails the first authorization of the order at hand. */
static void fail_validation(struct desk *desk)
{
    respond_to(desk, "http-01");
    verdict(desk, "wrong-body");
}

static void stranger(struct desk *desk)
{
    key_free(desk->key);
    desk->key = key_make(KEY_P256, SEALING_REAL, &desk->bench->rng);
}

static void test_new_accounts(void **state)
{
    (void)state;
    struct desk *desk = desk_limited(LIMIT_NEW_ACCOUNT, 2, 60000);
    desk_open(desk);
    register_account(desk);
    new_account(desk, "{}"); /* an account that is there is no new one */
    assert_json(desk, 200);
    stranger(desk);
    new_account(desk, "{}"); /* nor is one that is refused */
    assert_refused(desk, 403, "userActionRequired");
    register_account(desk);
    stranger(desk);
    new_account(desk, "{\"termsOfServiceAgreed\":true}");
    assert_limited(desk, "30");
    assert_true(str_find(reply_problem(desk).detail, "too many new accounts: the limit is 2 per 1m") >= 0);
    let_pass(desk, 29999);
    new_account(desk, "{\"termsOfServiceAgreed\":true}");
    assert_limited(desk, "1");
    let_pass(desk, 1);
    register_account(desk);
    get(desk, "GET", "/rate-limits");
    assert_int_equal(reply_status(desk), 200);
    assert_true(str_starts(the_reply(desk)->body, "new-account: 2 per 1m (new accounts)\nnew-order: none"));
    desk_free(desk);
}

static void test_new_orders(void **state)
{
    (void)state;
    struct desk *desk = desk_limited(LIMIT_NEW_ORDER, 1, 3600000);
    desk->profile.retry_after = RETRY_AFTER_DATE;
    desk_with_order(desk);
    new_order(desk, "{\"identifiers\":[]}"); /* what is refused for another reason says that reason */
    assert_refused(desk, 400, "malformed");
    new_order(desk, ONE_NAME);
    assert_int_equal(assert_limited(desk, "Tue, 01 Jan 2030 01:00:00 GMT").n_subproblems, 0);
    /* Another account has its own. */
    stranger(desk);
    register_account(desk);
    new_order(desk, ONE_NAME);
    assert_int_equal(reply_status(desk), 201);
    let_pass(desk, 3600000);
    new_order(desk, ONE_NAME);
    assert_int_equal(reply_status(desk), 201);
    desk_free(desk);
}

static void test_faster_world(void **state)
{
    (void)state;
    struct desk *desk = desk_limited(LIMIT_NEW_ORDER, 1, 60000);
    desk->speed = 10;
    desk_with_order(desk);
    new_order(desk, ONE_NAME);
    assert_limited(desk, "6");
    let_pass(desk, 6000);
    new_order(desk, ONE_NAME);
    assert_int_equal(reply_status(desk), 201);
    desk_free(desk);
}

/* A Retry-After comes whatever the profile thinks of it, or the client could not know. */
static void test_no_form_of_retry_after(void **state)
{
    (void)state;
    struct desk *desk = desk_limited(LIMIT_NEW_ORDER, 1, 60000);
    desk->profile.retry_after = RETRY_AFTER_NONE;
    desk_with_order(desk);
    new_order(desk, ONE_NAME);
    assert_limited(desk, "60");
    desk_free(desk);
}

static void test_failed_validations(void **state)
{
    (void)state;
    struct desk *desk = desk_limited(LIMIT_FAILED_VALIDATION, 2, 3600000);
    desk->profile.retry.count = 0;
    desk->profile.pre_authorization = true;
    desk_open(desk);
    register_account(desk);
    for (int i = 0; i < 2; i++) {
        new_order(desk, ONE_NAME);
        assert_int_equal(reply_status(desk), 201);
        fail_validation(desk);
    }
    new_order(desk, TWO_NAMES);
    struct problem problem = assert_limited(desk, "1800");
    assert_int_equal(problem.n_subproblems, 1);
    assert_str(problem.subproblems[0].type, "rateLimited");
    assert_str(problem.subproblems[0].identifier, "a.example.test");
    post(desk, at(desk, "/new-authz"), "{\"identifier\":{\"type\":\"dns\",\"value\":\"A.example.test\"}}");
    assert_limited(desk, "1800");
    /* The name's wildcard is proved by the name; another name is another matter. */
    new_order(desk, "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"*.a.example.test\"}]}");
    assert_str(assert_limited(desk, "1800").subproblems[0].identifier, "*.a.example.test");
    new_order(desk, "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"b.example.test\"}]}");
    assert_int_equal(reply_status(desk), 201);
    let_pass(desk, 1800000);
    new_order(desk, TWO_NAMES);
    assert_int_equal(reply_status(desk), 201);
    desk_free(desk);
}

static void test_duplicate_certificates(void **state)
{
    (void)state;
    struct desk *desk = desk_limited(LIMIT_DUPLICATE_CERTIFICATE, 1, 86400000);
    desk_with_order(desk);
    make_ready(desk);
    struct str first = desk->order;
    new_order(desk, ONE_NAME); /* nothing has been issued yet */
    assert_int_equal(reply_status(desk), 201);
    make_ready(desk);
    struct str second = desk->order;
    desk->order = first;
    finalize(desk);
    assert_str(order_shown(desk).status, "valid");
    desk->order = second;
    finalize(desk);
    assert_limited(desk, "86400");
    assert_str(read_order(desk).status, "ready"); /* it can be finalized later */
    new_order(desk, ONE_NAME);
    assert_limited(desk, "86400");
    new_order(desk, TWO_NAMES); /* another set of names */
    assert_int_equal(reply_status(desk), 201);
    let_pass(desk, 86400000);
    desk->order = second;
    finalize(desk);
    assert_str(order_shown(desk).status, "valid");
    desk_free(desk);
}

/* Section 6.6: the time when all limits allow the request. */
static void test_the_longest_wait_counts(void **state)
{
    (void)state;
    struct desk *desk = desk_limited(LIMIT_NEW_ORDER, 1, 60000);
    desk->profile.limits[LIMIT_FAILED_VALIDATION] = (struct rate){1, 3600000};
    desk->profile.retry.count = 0;
    desk_with_order(desk);
    fail_validation(desk);
    new_order(desk, ONE_NAME);
    struct problem problem = assert_limited(desk, "3600");
    assert_true(str_find(problem.detail, "too many orders") >= 0);
    assert_int_equal(problem.n_subproblems, 1);
    desk_free(desk);
}

/* --- pre-authorization --- */
#define NEW_AUTHZ(name) "{\"identifier\":{\"type\":\"dns\",\"value\":\"" name "\"}}"

static struct desk *desk_that_authorizes_ahead(void)
{
    struct desk *desk = desk_new("rfc8555");
    desk->profile.pre_authorization = true;
    return desk;
}

static struct str new_authz(struct desk *desk, const char *payload)
{
    post(desk, at(desk, "/new-authz"), payload);
    assert_json(desk, 201);
    return str_copy(&desk->bench->keep, reply_header(desk, "Location"));
}

static void test_pre_authorization(void **state)
{
    (void)state;
    struct desk *desk = desk_that_authorizes_ahead();
    struct directory_doc directory;
    struct authz_doc doc;
    desk_open(desk);
    get(desk, "GET", "/dir");
    assert_int_equal(directory_read(&desk->bench->keep, the_reply(desk)->body, &directory), OK);
    assert_str(directory.new_authz, CA_BASE "/new-authz");
    register_account(desk);
    desk->authz[0] = new_authz(desk, NEW_AUTHZ("A.example.test"));
    assert_int_equal(authz_read(&desk->bench->keep, the_reply(desk)->body, &doc), OK);
    assert_str(doc.status, "pending");
    assert_str(doc.identifier.value, "a.example.test");
    assert_false(doc.wildcard);
    assert_int_equal(doc.n_challenges, CHALLENGE_TYPE_COUNT);
    assert_true(str_eq(new_authz(desk, NEW_AUTHZ("a.example.test")), desk->authz[0]));

    respond_to(desk, "http-01");
    verdict(desk, NULL);
    assert_str(read_authz(desk, 0).status, "valid");
    struct str authorized = desk->authz[0];
    new_order(desk, ONE_NAME);
    assert_str(order_shown(desk).status, "ready");
    assert_true(str_eq(order_shown(desk).authorizations[0], authorized));
    finalize(desk);
    assert_str(order_shown(desk).status, "valid");

    /* Until it is taken back. */
    post(desk, authorized, "{\"status\":\"deactivated\"}");
    assert_json(desk, 200);
    new_order(desk, ONE_NAME);
    assert_str(order_shown(desk).status, "pending");
    assert_false(str_eq(new_authz(desk, NEW_AUTHZ("a.example.test")), authorized));

    /* It is of one account. */
    stranger(desk);
    register_account(desk);
    assert_false(str_eq(new_authz(desk, NEW_AUTHZ("a.example.test")), authorized));
    desk_free(desk);
}

static void test_pending_pre_authorization_serves_an_order(void **state)
{
    (void)state;
    struct desk *desk = desk_that_authorizes_ahead();
    desk_open(desk);
    register_account(desk);
    struct str authz = new_authz(desk, NEW_AUTHZ("a.example.test"));
    new_order(desk, ONE_NAME);
    assert_true(str_eq(order_shown(desk).authorizations[0], authz));
    assert_str(order_shown(desk).status, "pending");
    make_ready(desk);
    /* Authorizations of orders are not reused for all that: the profile says no. */
    new_order(desk, "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"b.example.test\"}]}");
    struct str first = desk->authz[0];
    make_ready(desk);
    new_order(desk, "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"b.example.test\"}]}");
    assert_false(str_eq(desk->authz[0], first));
    desk_free(desk);
}

/* Section 7.3.6: what was being validated for an account that is gone is validated no longer. */
static void test_pre_authorization_of_a_deactivated_account(void **state)
{
    (void)state;
    struct desk *desk = desk_that_authorizes_ahead();
    desk_open(desk);
    register_account(desk);
    desk->authz[0] = new_authz(desk, NEW_AUTHZ("a.example.test"));
    (void)new_authz(desk, NEW_AUTHZ("b.example.test"));
    (void)new_authz(desk, NEW_AUTHZ("a.example.test"));
    respond_to(desk, "http-01");
    verdict(desk, "bad-status");
    post(desk, at(desk, "/account/1"), "{\"status\":\"deactivated\"}");
    assert_json(desk, 200);
    size_t asked = desk->n_asked;
    let_pass(desk, 60000);
    assert_int_equal(desk->n_asked, asked);
    desk_free(desk);
}

static void test_pre_authorization_refused(void **state)
{
    (void)state;
    static const struct {
        const char *payload, *type;
    } rows[] = {
        {NEW_AUTHZ("*.example.test"),                                         "malformed"            },
        {NEW_AUTHZ(""),                                                       "malformed"            },
        {NEW_AUTHZ("localhost"),                                              "rejectedIdentifier"   },
        {"{\"identifier\":{\"type\":\"mail\",\"value\":\"a@example.test\"}}", "unsupportedIdentifier"},
        {"{\"identifier\":\"a.example.test\"}",                               "malformed"            },
        {"{}",                                                                "malformed"            },
        {"",                                                                  "malformed"            },
    };
    struct desk *desk = desk_that_authorizes_ahead();
    desk_open(desk);
    register_account(desk);
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        post(desk, at(desk, "/new-authz"), rows[i].payload);
        /* Section 7.4.1: 403 says that there will be no certificate for this name. */
        assert_refused(desk, strcmp(rows[i].type, "rejectedIdentifier") == 0 ? 403 : 400, rows[i].type);
    }
    desk_free(desk);

    desk = desk_new("rfc8555");
    struct directory_doc directory;
    desk_open(desk);
    get(desk, "GET", "/dir");
    assert_int_equal(directory_read(&desk->bench->keep, the_reply(desk)->body, &directory), OK);
    assert_int_equal(directory.new_authz.n, 0);
    register_account(desk);
    post(desk, at(desk, "/new-authz"), NEW_AUTHZ("a.example.test"));
    assert_refused(desk, 404, "malformed");
    desk_free(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_accounts),
        cmocka_unit_test(test_new_orders),
        cmocka_unit_test(test_faster_world),
        cmocka_unit_test(test_no_form_of_retry_after),
        cmocka_unit_test(test_failed_validations),
        cmocka_unit_test(test_duplicate_certificates),
        cmocka_unit_test(test_the_longest_wait_counts),
        cmocka_unit_test(test_pre_authorization),
        cmocka_unit_test(test_pending_pre_authorization_serves_an_order),
        cmocka_unit_test(test_pre_authorization_of_a_deactivated_account),
        cmocka_unit_test(test_pre_authorization_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
