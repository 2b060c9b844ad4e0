#include "acme/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* json_read is json_loadb, only faster: the same value, or none, for every text and for all that is cut off or damaged.
 */
static void expect_same(struct str text, size_t flags)
{
    json_t *ours = json_read(text, flags);
    json_t *theirs = text.n ? json_loadb(text.at, text.n, flags, NULL) : NULL;
    assert_true((ours == NULL) == (theirs == NULL));
    assert_true(!ours || json_equal(ours, theirs));
    json_decref(ours);
    json_decref(theirs);
}

static const char *const texts[] = {
    "{}",
    "[]",
    " \n{\t\"a\" : [ 1 , 0, -1, 1.5, 1e3, 01, 123456789012345678, 1234567890123456789, 99999999999999999999 ] } ",
    "{\"protected\":\"eyJhbGciOiJFUzI1NiJ9\",\"payload\":\"\",\"signature\":\"AA\"}",
    "{\"a\":true,\"b\":false,\"c\":null,\"d\":{\"e\":[{},[],\"x\"]}}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":\"\\u0041\\n\",\"b\":\"\xc3\xa9\",\"\xc3\xa9\":1}",
    "{\"a\":\"\xff\"}",
    "{\"a\":\"\\u0000\"}",
    "{\"a\":1}x",
    "{\"a\":1,}",
    "[1,]",
    "[tru]",
    "[truex]",
    "\"text\"",
    "17",
    "{\"a\"}",
    "{a:1}",
    "",
};

static void test_agrees_with_jansson(void **state)
{
    static const size_t flags[] = {0, JSON_REJECT_DUPLICATES, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL};
    (void)state;
    for (size_t i = 0; i < COUNTOF(texts); i++)
        for (size_t f = 0; f < COUNTOF(flags); f++) {
            struct arena arena = {0};
            struct str text = str_c(texts[i]);
            expect_same(text, flags[f]);
            for (size_t n = 0; n < text.n; n++) {
                char *damaged = arena_copy(&arena, text.at, text.n);
                expect_same((struct str){damaged, n}, flags[f]);
                damaged[n] = "\0\"{}[],:\\ 0e\x80"[n % 13];
                expect_same((struct str){damaged, text.n}, flags[f]);
            }
            arena_done(&arena);
        }
}

static void test_deep(void **state)
{
    struct arena arena = {0};
    (void)state;
    for (size_t depth = 30; depth < 35; depth++) {
        struct buf buf = {.arena = &arena};
        for (size_t i = 0; i < depth; i++)
            buf_add_char(&buf, '[');
        for (size_t i = 0; i < depth; i++)
            buf_add_char(&buf, ']');
        expect_same(buf_str(&buf), 0);
    }
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agrees_with_jansson),
        cmocka_unit_test(test_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
