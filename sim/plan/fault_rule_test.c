#include "plan/fault_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_which_replies_concern_a_rule(void **state)
{
    (void)state;
    static const struct fault_rule any =
                                       {
                                           .where = REQUEST_ANY
    },
                                   order = {.where = REQUEST_NEW_ORDER},
                                   named = {.where = REQUEST_ANY, .name = {"b.example.test", 14}},
                                   second = {.where = REQUEST_ANY, .account = 2},
                                   seventh = {.where = REQUEST_ANY, .order = 7}, connect = {.where = REQUEST_CONNECT};
    static const struct fault_rule eighth = {.where = REQUEST_ANY, .order = 8};
    static const struct fault_rule_subject directory =
                                               {
                                                   .where = REQUEST_DIRECTORY
    },
                                           unknown = {.where = REQUEST_ANY}, connection = {.where = REQUEST_CONNECT},
                                           new_order = {.where = REQUEST_NEW_ORDER,
                                                        .names = {{"a.example.test", 14}, {"B.example.test", 14}},
                                                        .n_names = 2,
                                                        .account = 2,
                                                        .orders = {3, 7},
                                                        .n_orders = 2};
    static const struct {
        const struct fault_rule *rule;
        const struct fault_rule_subject *subject;
        bool concerns;
    } rows[] = {
        {&any,     &directory,  true },
        {&any,     &unknown,    true },
        {&any,     &new_order,  true },
        {&any,     &connection, false},
        {&connect, &connection, true },
        {&connect, &directory,  false},
        {&connect, &unknown,    false},
        {&order,   &directory,  false},
        {&order,   &unknown,    false},
        {&order,   &new_order,  true },
        {&named,   &directory,  false},
        {&named,   &new_order,  true },
        {&second,  &directory,  false},
        {&second,  &new_order,  true },
        {&seventh, &directory,  false},
        {&seventh, &new_order,  true },
        {&eighth,  &new_order,  false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        assert_int_equal(fault_rule_concerns(rows[i].rule, rows[i].subject), rows[i].concerns);
}

static void test_which_of_them_it_takes(void **state)
{
    (void)state;
    static const struct {
        struct fault_rule rule;
        const char *taken; /* of the first ten */
    } rows[] = {
        {{.nth = 1, .every = 1, .times = 1}, "x........."},
        {{.nth = 2, .every = 1, .times = 3}, ".xxx......"},
        {{.nth = 1, .every = 1, .times = 0}, "xxxxxxxxxx"},
        {{.nth = 3, .every = 2, .times = 0}, "..x.x.x.x."},
        {{.nth = 2, .every = 3, .times = 2}, ".x..x....."},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        for (int seen = 1; seen <= 10; seen++)
            assert_int_equal(fault_rule_takes(&rows[i].rule, seen), rows[i].taken[seen - 1] == 'x');
}

static void test_names_of_requests(void **state)
{
    (void)state;
    size_t n, n_any;
    const char *const *words = request_names(false, &n);
    request_names(true, &n_any);
    assert_int_equal(n, REQUEST_COUNT);
    assert_int_equal(n_any, REQUEST_COUNT + 2);
    assert_string_equal(words[REQUEST_POLL_ORDER], "poll order");
    for (size_t i = 0; i < n_any; i++)
        assert_string_equal(request_name_text((enum request_name)i), words[i]);
    assert_string_equal(request_name_text(REQUEST_ANY), "any");
    assert_string_equal(request_name_text(REQUEST_CONNECT), "connect");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_replies_concern_a_rule),
        cmocka_unit_test(test_which_of_them_it_takes),
        cmocka_unit_test(test_names_of_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
