#include "actor/caa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define ACCOUNT "https://ca.test/acct/1"

static const struct str identities[] = {
    {"ca.test",       7 },
    {"other.ca.test", 13}
};

static bool allows(bool wildcard, const char *one, const char *two)
{
    const struct str records[] = {str_c(one), str_c(two)};
    const struct caa_request request = {.identities = identities,
                                        .n_identities = 2,
                                        .wildcard = wildcard,
                                        .account = STR(ACCOUNT),
                                        .method = STR("http-01")};
    return caa_allows(&request, records, two ? 2 : one ? 1 : 0);
}

/* RFC 8659 sections 4.1 to 4.3. */
static void test_who_may_issue(void **state)
{
    (void)state;
    static const struct {
        const char *one, *two;
        bool plain, wildcard;
    } rows[] = {
        {NULL,                              NULL,                      true,  true },
        {"0 issue \"ca.test\"",             NULL,                      true,  true },
        {"0 issue \"OTHER.CA.Test\"",       NULL,                      true,  true },
        {"0 ISSUE \" ca.test \"",           NULL,                      true,  true },
        {"128 issue \"ca.test\"",           NULL,                      true,  true },
        {"0 issue \"elsewhere.test\"",      NULL,                      false, false},
        {"0 issue \"xca.test\"",            NULL,                      false, false},
        {"0 issue \";\"",                   NULL,                      false, false},
        {"0 issue \"\"",                    NULL,                      false, false},
        {"0 issue \"elsewhere.test\"",      "0 issue \"ca.test\"",     true,  true },
        {"0 issuewild \"ca.test\"",         NULL,                      true,  true },
        {"0 issuewild \"elsewhere.test\"",  NULL,                      true,  false},
        {"0 issue \"ca.test\"",             "0 issuewild \";\"",       true,  false},
        {"0 issue \";\"",                   "0 issuewild \"ca.test\"", false, true },
        {"0 iodef \"mailto:a@b.test\"",     NULL,                      true,  true },
        {"0 unknown \"x\"",                 NULL,                      true,  true },
        {"128 unknown \"x\"",               "0 issue \"ca.test\"",     false, false},
        {"0 issue \"ca.test; some=thing\"", NULL,                      true,  true },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        if (allows(false, rows[i].one, rows[i].two) != rows[i].plain) fail_msg("row %zu, plain", i);
        if (allows(true, rows[i].one, rows[i].two) != rows[i].wildcard) fail_msg("row %zu, wildcard", i);
    }
}

/* RFC 8657 sections 3 and 4. */
static void test_for_whom_and_how(void **state)
{
    (void)state;
    static const struct {
        const char *record;
        bool allowed;
    } rows[] = {
        {"0 issue \"ca.test; accounturi=" ACCOUNT "\"",                             true },
        {"0 issue \"ca.test;AccountURI = " ACCOUNT " ;\"",                          true },
        {"0 issue \"ca.test; accounturi=" ACCOUNT "0\"",                            false},
        {"0 issue \"ca.test; accounturi=\"",                                        false},
        {"0 issue \"ca.test; accounturi=" ACCOUNT "; accounturi=" ACCOUNT "\"",     false},
        {"0 issue \"ca.test; validationmethods=http-01\"",                          true },
        {"0 issue \"ca.test; validationmethods=dns-01,http-01\"",                   true },
        {"0 issue \"ca.test; validationmethods=dns-01\"",                           false},
        {"0 issue \"ca.test; validationmethods=\"",                                 false},
        {"0 issue \"ca.test; validationmethods=http-01; accounturi=" ACCOUNT "0\"", false},
        {"0 issue \"ca.test; nonsense\"",                                           false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        if (allows(false, rows[i].record, NULL) != rows[i].allowed) fail_msg("row %zu", i);
}

/* What cannot be read forbids. */
static void test_hostile_records(void **state)
{
    (void)state;
    static const char *const records[] = {"",
                                          "0",
                                          "0 issue",
                                          "x issue \"ca.test\"",
                                          "256 issue \"ca.test\"",
                                          "0  \"\"",
                                          "0 issue ca.test",
                                          "0 issue \"",
                                          "0 issue \"ca.test\\\"",
                                          "-1 issue \"ca.test\""};
    for (size_t i = 0; i < COUNTOF(records); i++)
        if (allows(false, records[i], NULL)) fail_msg("record %zu", i);
    assert_true(allows(false, "0 issue \"\\099a.te\\115t\"", NULL));
    assert_false(allows(false, "0 issue \"\\256a.test\"", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_may_issue),
        cmocka_unit_test(test_for_whom_and_how),
        cmocka_unit_test(test_hostile_records),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
