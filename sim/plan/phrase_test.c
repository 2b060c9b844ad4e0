#include "plan/phrase.h"

#include <jansson.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct phrase good(struct arena *arena, const char *text)
{
    struct phrase phrase;
    struct str why = {0};
    enum err e = phrase_read(arena, str_c(text), &phrase, &why);
    if (e) fail_msg("\"%s\": %s", text, why.at);
    assert_true(str_is(phrase.text, text));
    return phrase;
}

static void bad(const char *text, const char *expected)
{
    struct arena arena = {0};
    struct phrase phrase;
    struct str why = {0};
    assert_int_equal(phrase_read(&arena, str_c(text), &phrase, &why), ERR_MALFORMED);
    assert_string_equal(why.at, expected);
    arena_done(&arena);
}

static void test_parts(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct phrase p = good(&arena, "second ca validates http-01 for a.example.test");
    assert_int_equal(p.ordinal, ORDINAL_SECOND);
    assert_int_equal(p.deed, DEED_VALIDATES);
    assert_int_equal(p.party, PARTY_CA);
    assert_false(p.any_challenge);
    assert_int_equal(p.type, CHALLENGE_HTTP_01);
    assert_true(str_is(p.name, "a.example.test"));
    assert_true(phrase_typed(&p));
    p = good(&arena, "client answers challenge");
    assert_int_equal(p.ordinal, ORDINAL_ANY);
    assert_int_equal(p.party, PARTY_CLIENT);
    assert_true(p.any_challenge);
    assert_false(phrase_typed(&p));
    assert_int_equal(p.name.n, 0);
    p = good(&arena, "last tls-alpn-01 leaves processing");
    assert_int_equal(p.ordinal, ORDINAL_LAST);
    assert_int_equal(p.deed, DEED_LEAVES);
    assert_int_equal(p.object, OBJECT_CHALLENGE);
    assert_int_equal(p.type, CHALLENGE_TLS_ALPN_01);
    assert_int_equal(p.status, STATUS_PROCESSING);
    p = good(&arena, "order is ready");
    assert_int_equal(p.deed, DEED_IS);
    assert_int_equal(p.object, OBJECT_ORDER);
    assert_int_equal(p.status, STATUS_READY);
    assert_false(phrase_typed(&p));
    arena_done(&arena);
}

static void test_all_are_read_back(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct str text;
    size_t n = 0;
    struct phrase before = {0};
    for (; (text = phrase_all(&arena, n)).n; n++) {
        struct phrase p = good(&arena, text.at);
        assert_false(n && phrase_same(&p, &before));
        assert_true(phrase_same(&p, &p));
        before = p;
    }
    assert_int_equal(n, 38 + 5 * 4 + 3 * (3 + 5 + 6 + 5 * 4));
    arena_done(&arena);
}

static void test_slips(void **state)
{
    (void)state;
    bad("client pols order", "unknown event \"client pols order\" - did you mean \"client polls order\"?");
    bad("second client pols order for b.test", "unknown event \"second client pols order for b.test\" - did you mean "
                                               "\"second client polls order for b.test\"?");
    bad("order becomes redy", "unknown event \"order becomes redy\" - did you mean \"order becomes ready\"?");
    bad("", "unknown event \"\"");
    bad("first", "unknown event \"first\"");
    bad("client polls order for ", "\"for\" wants one name: \"client polls order for \"");
    bad("client polls order for a b", "\"for\" wants one name: \"client polls order for a b\"");
    bad("first order is ready", "a state has no \"first\": \"first order is ready\"");
    bad("Client polls order", "unknown event \"Client polls order\" - did you mean \"client polls order\"?");
    bad("client  polls order", "unknown event \"client  polls order\" - did you mean \"client polls order\"?");
    bad("order becomes deactivated",
        "unknown event \"order becomes deactivated\" - did you mean \"authz becomes deactivated\"?"); /* an order cannot
                                                                                                         be */
}

static void test_same(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const char *const all[] = {
        "ca validates http-01",       "ca validates challenge",  "ca validates dns-01",
        "first ca validates http-01", "ca fails http-01",        "ca validates http-01 for a.test",
        "http-01 becomes valid",      "challenge becomes valid", "http-01 leaves valid",
        "http-01 becomes invalid",    "authz becomes valid",     "client polls authz"};
    for (size_t i = 0; i < COUNTOF(all); i++)
        for (size_t k = 0; k < COUNTOF(all); k++) {
            struct phrase a = good(&arena, all[i]), b = good(&arena, all[k]);
            assert_int_equal(phrase_same(&a, &b), i == k);
        }
    arena_done(&arena);
}

/* The schema's patterns are the same grammar. */
static void test_schema_agrees(void **state)
{
    (void)state;
    struct arena arena = {0};
    json_t *root = json_load_file(DRILL_SOURCE_DIR "/conformance/scenario.schema.json", 0, NULL);
    const json_t *defs = json_object_get(root, "$defs");
    regex_t event, condition;
    struct str text;
    assert_non_null(defs);
    assert_int_equal(regcomp(&event, json_string_value(json_object_get(json_object_get(defs, "event"), "pattern")),
                             REG_EXTENDED | REG_NOSUB),
                     0);
    assert_int_equal(regcomp(&condition, json_string_value(json_object_get(json_object_get(defs, "state"), "pattern")),
                             REG_EXTENDED | REG_NOSUB),
                     0);
    for (size_t i = 0; (text = phrase_all(&arena, i)).n; i++) {
        bool is = good(&arena, text.at).deed == DEED_IS;
        assert_int_equal(regexec(&event, text.at, 0, NULL, 0) == 0, !is);
        assert_int_equal(regexec(&condition, text.at, 0, NULL, 0) == 0, is);
        struct str longer = str_fmt(&arena, "third %s for b.test", text.at);
        assert_int_equal(regexec(&event, longer.at, 0, NULL, 0) == 0, !is);
        struct str wrong = str_fmt(&arena, "%sx", text.at);
        assert_int_not_equal(regexec(&event, wrong.at, 0, NULL, 0), 0);
        assert_int_not_equal(regexec(&condition, wrong.at, 0, NULL, 0), 0);
    }
    regfree(&event);
    regfree(&condition);
    json_decref(root);
    arena_done(&arena);
}

static void test_hostile(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct phrase phrase;
    struct str why;
    char *text = malloc(100000);
    memset(text, 'a', 100000);
    assert_int_equal(phrase_read(&arena, (struct str){text, 100000}, &phrase, &why), ERR_MALFORMED);
    memset(text, ' ', 100000);
    assert_int_equal(phrase_read(&arena, (struct str){text, 100000}, &phrase, &why), ERR_MALFORMED);
    for (size_t i = 0; i < 100000; i++)
        text[i] = " for "[i % 5];
    assert_int_equal(phrase_read(&arena, (struct str){text, 100000}, &phrase, &why), ERR_MALFORMED);
    static const char whole[] = "second ca validates http-01 for a.test";
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        memcpy(text, whole, n);
        char *exact = malloc(n ? n : 1);
        memcpy(exact, whole, n);
        phrase_read(&arena, (struct str){exact, n}, &phrase, &why);
        free(exact);
    }
    free(text);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts), cmocka_unit_test(test_all_are_read_back), cmocka_unit_test(test_slips),
        cmocka_unit_test(test_same),  cmocka_unit_test(test_schema_agrees),     cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
