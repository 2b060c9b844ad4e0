#include "acme/problem.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* RFC 8555 section 6.7, and what was registered later. */
static const char *const rfc8555_types[] = {
    "accountDoesNotExist",
    "alreadyRevoked",
    "badCSR",
    "badNonce",
    "badPublicKey",
    "badRevocationReason",
    "badSignatureAlgorithm",
    "caa",
    "compound",
    "connection",
    "dns",
    "externalAccountRequired",
    "incorrectResponse",
    "invalidContact",
    "malformed",
    "orderNotReady",
    "rateLimited",
    "rejectedIdentifier",
    "serverInternal",
    "tls",
    "unauthorized",
    "unsupportedContact",
    "unsupportedIdentifier",
    "userActionRequired",
};
static const char *const later_types[] = {
    "autoRenewalCanceled",
    "autoRenewalExpired",
    "autoRenewalCancellationInvalid",
    "autoRenewalRevocationNotSupported",
    "unknownDelegation",
    "alreadyReplaced",
    "onionCAARequired",
    "invalidProfile",
};

static void test_registered_types(void **state)
{
    (void)state;
    size_t n;
    const char *const *all = problem_types(&n);
    for (size_t i = 0; i < COUNTOF(rfc8555_types); i++)
        assert_true(problem_registered(str_c(rfc8555_types[i])));
    for (size_t i = 0; i < COUNTOF(later_types); i++)
        assert_true(problem_registered(str_c(later_types[i])));
    assert_true(n >= COUNTOF(rfc8555_types) + COUNTOF(later_types));
    for (size_t i = 0; i < n; i++) {
        assert_true(problem_registered(str_c(all[i])));
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(all[i], all[k]);
    }
    assert_string_equal(str_nearest(STR("badNounce"), all, n), "badNonce");
    assert_false(problem_registered(STR("badnonce")));
    assert_false(problem_registered(STR(PROBLEM_PREFIX "badNonce")));
    assert_false(problem_registered((struct str){0}));
}

static void test_usual_statuses(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        int status;
    } rows[] = {
        {"badNonce",            400},
        {"accountDoesNotExist", 400},
        {"malformed",           400},
        {"orderNotReady",       403},
        {"userActionRequired",  403},
        {"unauthorized",        403},
        {"rateLimited",         429},
        {"serverInternal",      500},
        {"alreadyReplaced",     409},
        {"unknownDelegation",   403},
        {"ofTheirOwn",          400},
        {"",                    400},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        assert_int_equal(problem_status(str_c(rows[i].type)), rows[i].status);
    size_t n;
    const char *const *all = problem_types(&n);
    for (size_t i = 0; i < n; i++)
        assert_in_range(problem_status(str_c(all[i])), 400, 599);
}

static void test_new_and_write(void **state)
{
    (void)state;
    struct arena a = {0};
    struct problem problem = problem_new(&a, "rateLimited", "%d \"orders\"\n%s", 7, "at most");
    assert_string_equal(problem_write(&a, &problem).at,
                        "{\"type\":\"urn:ietf:params:acme:error:rateLimited\",\"status\":429,"
                        "\"detail\":\"7 \\\"orders\\\"\\nat most\"}");
    problem = (struct problem){.type = STR("https://example.test/odd")};
    assert_string_equal(problem_write(&a, &problem).at, "{\"type\":\"https://example.test/odd\"}");
    problem = (struct problem){.detail = STR("go"), .instance = STR("https://ca.test/terms")};
    assert_string_equal(problem_write(&a, &problem).at, "{\"detail\":\"go\",\"instance\":\"https://ca.test/terms\"}");
    assert_int_equal(problem_read(&a, problem_write(&a, &problem), &problem), OK);
    assert_true(str_is(problem.instance, "https://ca.test/terms"));
    assert_int_equal(problem_read(&a, STR("{\"instance\":7}"), &problem), ERR_MALFORMED);
    problem = (struct problem){0};
    assert_string_equal(problem_write(&a, &problem).at, "{}");
    problem = (struct problem){.type = STR("badSignatureAlgorithm"), .algorithms = STR("[\"ES256\"]")};
    assert_string_equal(problem_write(&a, &problem).at,
                        "{\"type\":\"urn:ietf:params:acme:error:badSignatureAlgorithm\",\"algorithms\":[\"ES256\"]}");
    arena_done(&a);
}

static void assert_same(const struct problem *a, const struct problem *b)
{
    assert_true(str_eq(a->type, b->type));
    assert_int_equal(a->status, b->status);
    assert_true(str_eq(a->detail, b->detail));
    assert_true(str_eq(a->identifier, b->identifier));
    assert_true(str_eq(a->algorithms, b->algorithms));
    assert_int_equal(a->n_subproblems, b->n_subproblems);
    for (size_t i = 0; i < a->n_subproblems && a->subproblems && b->subproblems; i++)
        assert_same(&a->subproblems[i], &b->subproblems[i]);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct arena a = {0};
    const struct problem subproblems[] = {
        {.type = STR("malformed"), .detail = STR("\"a_b\" is no name"), .identifier = STR("a_b.example.test")},
        {.type = STR("rejectedIdentifier"),                        .identifier = STR("example.test")                          },
        {.type = STR("tag:example.test,2030:x"),                        .status = 400},
    };
    const struct problem problem = {
        .type = STR("compound"),
        .status = 403,
        .detail = STR("caf\xc3\xa9 \\ \x01 \"\""),
        .subproblems = subproblems,
        .n_subproblems = COUNTOF(subproblems),
        .algorithms = STR("[\"ES256\",\"EdDSA\"]"),
    };
    struct problem back;
    assert_int_equal(problem_read(&a, problem_write(&a, &problem), &back), OK);
    assert_same(&back, &problem);
    const struct problem nothing = {0};
    assert_int_equal(problem_read(&a, STR(" {} "), &back), OK);
    assert_same(&back, &nothing);
    arena_done(&a);
}

static void test_types_without_and_with_prefix(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *read;
    } rows[] = {
        {"urn:ietf:params:acme:error:badNonce", "badNonce"                           },
        {"urn:ietf:params:acme:error:newThing", "newThing"                           },
        {"urn:acme:error:badNonce",             "urn:acme:error:badNonce"            },
        {"about:blank",                         "about:blank"                        },
        {"urn:ietf:params:acme:error:",         "urn:ietf:params:acme:error:"        },
        {"urn:ietf:params:acme:error:a:b",      "urn:ietf:params:acme:error:a:b"     },
        {"URN:ietf:params:acme:error:badNonce", "URN:ietf:params:acme:error:badNonce"},
    };
    struct arena a = {0};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct problem back, again;
        assert_int_equal(problem_read(&a, str_fmt(&a, "{\"type\":\"%s\"}", rows[i].sent), &back), OK);
        assert_true(str_is(back.type, rows[i].read));
        assert_int_equal(problem_read(&a, problem_write(&a, &back), &again), OK);
        assert_true(str_eq(again.type, back.type));
    }
    arena_done(&a);
}

static void test_addresses(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct problem problem = {.type = STR("connection"), .identifier = STR("192.0.2.1"), .address = true}, read;
    struct str json = problem_write(&arena, &problem);
    assert_true(str_find(json, "{\"type\":\"ip\",\"value\":\"192.0.2.1\"}") > 0);
    assert_int_equal(problem_read(&arena, json, &read), OK);
    assert_string_equal(read.identifier.at, "192.0.2.1");
    assert_true(read.address);
    problem.address = false;
    assert_int_equal(problem_read(&arena, problem_write(&arena, &problem), &read), OK);
    assert_false(read.address);
    arena_done(&arena);
}

static void test_tolerates_what_it_does_not_know(void **state)
{
    (void)state;
    struct arena a = {0};
    struct problem back;
    assert_int_equal(problem_read(&a,
                                  STR("{\"title\":[1,{\"x\":null}],\"instance\":\"/x\",\"retryAfter\":\"\\u0000\","
                                      "\"status\":403,\"type\":\"urn:ietf:params:acme:error:caa\",\"Type\":7,"
                                      "\"identifier\":{\"type\":\"bottle\",\"value\":\"192.0.2.1\",\"zone\":{}},"
                                      "\"subproblems\":[{\"subproblems\":[[]],\"detail\":\"d\"}]}"),
                                  &back),
                     OK);
    assert_true(str_is(back.type, "caa"));
    assert_int_equal(back.status, 403);
    assert_int_equal(back.identifier.n, 0); /* not a dns one */
    assert_int_equal(back.n_subproblems, 1);
    assert_int_equal(back.subproblems[0].n_subproblems, 0);
    assert_true(str_is(back.subproblems[0].detail, "d"));
    arena_done(&a);
}

static void test_refuses(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        " ",
        "null",
        "[]",
        "\"x\"",
        "1",
        "{",
        "{}{}",
        "{} x",
        "{'type':1}",
        "\xef\xbb\xbf{}",
        "{\"a\":1,}",
        "{\"type\":1}",
        "{\"type\":[\"x\"]}",
        "{\"type\":\"a\\u0000b\"}",
        "{\"detail\":{}}",
        "{\"detail\":true}",
        "{\"detail\":\"\\u0000\"}",
        "{\"detail\":\"\xff\"}",
        "{\"status\":\"400\"}",
        "{\"status\":400.0}",
        "{\"status\":true}",
        "{\"status\":99}",
        "{\"status\":1000}",
        "{\"status\":-400}",
        "{\"status\":4294967696}",
        "{\"status\":99999999999999999999}",
        "{\"identifier\":\"a.test\"}",
        "{\"identifier\":[]}",
        "{\"identifier\":{\"type\":1}}",
        "{\"identifier\":{\"type\":\"dns\",\"value\":1}}",
        "{\"subproblems\":{}}",
        "{\"subproblems\":[1]}",
        "{\"subproblems\":[{},[]]}",
        "{\"subproblems\":[{\"type\":1}]}",
        "{\"algorithms\":\"ES256\"}",
        "{\"algorithms\":[1]}",
        "{\"algorithms\":{}}",
        "{\"type\":\"a\",\"type\":\"b\"}",
        "{\"x\":{\"y\":1,\"y\":2}}",
        "{\"x\":\"\\ud800\"}",
    };
    struct arena a = {0};
    struct problem back = {.type = STR("untouched"), .status = 7};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        if (problem_read(&a, str_c(rows[i]), &back) != ERR_MALFORMED) fail_msg("taken: %s", rows[i]);
        assert_true(str_is(back.type, "untouched"));
        assert_int_equal(back.status, 7);
    }
    assert_int_equal(problem_read(&a, STR("{}\0"), &back), ERR_MALFORMED);
    assert_int_equal(problem_read(&a, (struct str){0}, &back), ERR_MALFORMED);
    arena_done(&a);
}

/* "[[[[...]]]]" as an unknown member. */
static struct str nested(struct arena *arena, size_t depth)
{
    struct buf buf = {.arena = arena};
    buf_add_c(&buf, "{\"x\":");
    for (size_t i = 0; i < depth; i++)
        buf_add_char(&buf, '[');
    for (size_t i = 0; i < depth; i++)
        buf_add_char(&buf, ']');
    buf_add_char(&buf, '}');
    return buf_str(&buf);
}

static void test_depth_and_size(void **state)
{
    (void)state;
    struct arena a = {0};
    struct problem back;
    assert_int_equal(problem_read(&a, nested(&a, 1000), &back), OK);
    assert_int_equal(problem_read(&a, nested(&a, 100000), &back), ERR_MALFORMED);
    assert_int_equal(problem_read(&a, nested(&a, 1 << 20), &back), ERR_LIMIT);
    arena_done(&a);
}

/* Every beginning of a good document, and many spoilt ones: read or refused, never a crash; ASan sees leaks. */
static void test_spoilt_documents(void **state)
{
    (void)state;
    static const char good[] =
        "{\"type\":\"urn:ietf:params:acme:error:malformed\",\"status\":400,\"detail\":\"d\\u00e9\","
        "\"subproblems\":[{\"type\":\"x:y\",\"identifier\":{\"type\":\"dns\",\"value\":\"a\"}}],"
        "\"algorithms\":[\"ES256\"],\"x\":[{},1e9,null]}";
    struct arena a = {0};
    struct problem back;
    struct rng rng;
    rng_seed(&rng, 6);
    assert_int_equal(problem_read(&a, (struct str){good, sizeof good - 1}, &back), OK);
    for (size_t n = 0; n < sizeof good - 1; n++)
        assert_int_equal(problem_read(&a, (struct str){good, n}, &back), ERR_MALFORMED);
    for (int i = 0; i < 20000; i++) {
        char spoilt[sizeof good];
        memcpy(spoilt, good, sizeof good);
        for (uint64_t k = 0; k <= rng_below(&rng, 3); k++)
            spoilt[rng_below(&rng, sizeof good - 1)] = "\"{}[]:,0\\\xc3\0a "[rng_below(&rng, 13)];
        enum err e = problem_read(&a, (struct str){spoilt, sizeof good - 1}, &back);
        assert_true(e == OK || e == ERR_MALFORMED);
        arena_clear(&a);
    }
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_registered_types),
        cmocka_unit_test(test_usual_statuses),
        cmocka_unit_test(test_new_and_write),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_types_without_and_with_prefix),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_tolerates_what_it_does_not_know),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_depth_and_size),
        cmocka_unit_test(test_spoilt_documents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
