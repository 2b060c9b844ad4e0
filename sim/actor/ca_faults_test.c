/* ca.faults: which replies the CA marks with a fault. What the fault does is the gate's, and not tested here. */
#include "actor/ca_bench_test.h"

static struct fault_rule *add_rule(struct desk *desk, const char *fault, enum request_name where)
{
    struct fault_rule *rule = &desk->scenario.rules[desk->scenario.n_rules++];
    *rule = (struct fault_rule){.fault = fault_find(str_c(fault)), .where = where, .nth = 1, .every = 1, .times = 1};
    assert_non_null(rule->fault);
    return rule;
}

/* The name of the fault on the last reply; "" for none. */
static const char *fault_of(const struct desk *desk)
{
    the_reply(desk);
    return desk->reply->fault ? desk->reply->fault->name : "";
}

static void test_by_request(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    add_rule(desk, "no-link", REQUEST_NEW_ORDER)->nth = 2;
    add_rule(desk, "html", REQUEST_POLL_ORDER)->times = 0;
    desk_with_order(desk);
    assert_string_equal(fault_of(desk), "");
    new_order(desk, ONE_NAME);
    assert_string_equal(fault_of(desk), "no-link");
    new_order(desk, ONE_NAME);
    assert_string_equal(fault_of(desk), "");
    for (int i = 0; i < 2; i++) {
        read_order(desk);
        assert_string_equal(fault_of(desk), "html");
    }
    read_authz(desk, 0);
    assert_string_equal(fault_of(desk), "");
    desk_free(desk);
}

/* Also what is no resource of the CA, and a request that is refused, has a reply. */
static void test_any_request(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    add_rule(desk, "no-link", REQUEST_ANY)->nth = 3;
    desk_open(desk);
    get(desk, "GET", "/dir");
    get(desk, "GET", "/nowhere");
    get(desk, "GET", "/dir");
    assert_string_equal(fault_of(desk), "no-link");
    get(desk, "GET", "/nowhere");
    assert_string_equal(fault_of(desk), "");
    desk_free(desk);
}

static void test_by_name_and_account(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    struct fault_rule *named = add_rule(desk, "no-link", REQUEST_ANY),
                      *second = add_rule(desk, "html", REQUEST_NEW_ACCOUNT);
    named->name = STR("*.example.test");
    named->times = 0;
    second->account = 2;
    desk_open(desk);
    register_account(desk);
    assert_string_equal(fault_of(desk), "");
    new_order(desk, ONE_NAME);
    assert_string_equal(fault_of(desk), "");
    new_order(desk, "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"b.example.test\"},"
                    "{\"type\":\"dns\",\"value\":\"*.example.test\"}]}");
    assert_string_equal(fault_of(desk), "no-link");
    read_order(desk);
    assert_string_equal(fault_of(desk), "no-link");
    read_authz(desk, 0);
    assert_string_equal(fault_of(desk), "");
    read_authz(desk, 1);
    assert_string_equal(fault_of(desk), "no-link");
    post(desk, challenge_url_of(desk, "http-01"), "");
    assert_string_equal(fault_of(desk), "");
    key_free(desk->key);
    desk->key = key_make(KEY_P256, SEALING_REAL, &desk->bench->rng);
    register_account(desk);
    assert_string_equal(fault_of(desk), "html");
    desk_free(desk);
}

/* The order, and what belongs to it. */
static void test_by_order(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    struct fault_rule *second = add_rule(desk, "no-link", REQUEST_ANY);
    second->order = 2;
    second->times = 0;
    desk_with_order(desk);
    assert_string_equal(fault_of(desk), "");
    read_authz(desk, 0);
    assert_string_equal(fault_of(desk), "");
    new_order(desk, "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"b.example.test\"}]}");
    assert_string_equal(fault_of(desk), "no-link");
    read_order(desk);
    assert_string_equal(fault_of(desk), "no-link");
    read_authz(desk, 0);
    assert_string_equal(fault_of(desk), "no-link");
    post(desk, challenge_url_of(desk, "http-01"), "");
    assert_string_equal(fault_of(desk), "no-link");
    post(desk, at(desk, "/account/1"), "");
    assert_string_equal(fault_of(desk), "");
    desk_free(desk);
}

/* Of two rules the first acts, and the other has counted all the same. A reply's own fault comes before any rule. */
static void test_one_fault_a_reply(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    struct replies *replies = &desk->scenario.replies[REQUEST_POLL_ORDER];
    add_rule(desk, "no-link", REQUEST_POLL_ORDER);
    add_rule(desk, "html", REQUEST_POLL_ORDER)->times = 2;
    desk_with_order(desk);
    read_order(desk);
    assert_string_equal(fault_of(desk), "no-link");
    replies->at[0] = (struct reply){.fault = fault_find(STR("empty")), .times = 1};
    replies->n = 1;
    read_order(desk);
    assert_string_equal(fault_of(desk), "empty");
    read_order(desk);
    assert_string_equal(fault_of(desk), "");
    desk_free(desk);
}

/* A reply that is kept back until the validator has spoken. */
static void test_held_reply(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.validates_inside_post = true;
    add_rule(desk, "no-link", REQUEST_ANSWER_CHALLENGE);
    desk_with_order(desk);
    post(desk, challenge_url_of(desk, "http-01"), "{}");
    assert_null(desk->reply);
    verdict(desk, NULL);
    assert_string_equal(fault_of(desk), "no-link");
    desk_free(desk);
}

/* Where connections are real, whoever accepts them asks; where they are not, each request has its own, and one that
 * does not come about has no effect. */
static void test_connections(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    add_rule(desk, "reset-handshake", REQUEST_CONNECT)->nth = 2;
    desk_with_order(desk);
    assert_null(ca_connection_fault(desk->ca));
    assert_string_equal(ca_connection_fault(desk->ca)->name, "reset-handshake");
    assert_null(ca_connection_fault(desk->ca));

    struct actor *simulated = ca_new(&(struct ca_options){.profile = &desk->profile,
                                                          .scenario = &desk->scenario,
                                                          .base_url = STR(CA_BASE),
                                                          .issuer = desk->issuer,
                                                          .simulated = true});
    for (int i = 1; i <= 3; i++) {
        struct msg *in = msg_new(MSG_REQUEST);
        in->from = (struct addr){SEAT_OF_CLIENT};
        in->as.request.method = STR("GET");
        in->as.request.url = STR(CA_BASE "/dir");
        bench_step(desk->bench, simulated, in);
        struct msg *out = bench_take(desk->bench);
        assert_int_equal(out->as.response.status, i == 2 ? 0 : 200);
        assert_int_equal(out->fault != NULL, i == 2);
        msg_free(out);
    }
    simulated->free(simulated);
    desk_free(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_request),          cmocka_unit_test(test_any_request),
        cmocka_unit_test(test_by_name_and_account), cmocka_unit_test(test_by_order),
        cmocka_unit_test(test_one_fault_a_reply),   cmocka_unit_test(test_held_reply),
        cmocka_unit_test(test_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
