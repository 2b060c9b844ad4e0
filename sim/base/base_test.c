#include "base/heap.h"
#include "base/rng.h"
#include "base/str.h"
#include "base/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_arena_grows_and_clears(void **state)
{
    (void)state;
    struct arena a = {0};
    for (size_t i = 1; i < 5000; i += 37) {
        unsigned char *p = arena_alloc(&a, i);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_int_equal(p[0] | p[i - 1], 0);
        p[0] = p[i - 1] = 0xff;
    }
    arena_clear(&a);
    assert_int_equal(*(unsigned char *)arena_alloc(&a, 64), 0);
    arena_done(&a);
    assert_null(a.head);
}

static void test_str_nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"eventually", "never", "count"};
    assert_string_equal(str_nearest(STR("evntually"), words, 3), "eventually");
    assert_string_equal(str_nearest(STR("nveer"), words, 3), "never");
    assert_null(str_nearest(STR("sequence"), words, 3));
}

static void test_str_json_escapes(void **state)
{
    (void)state;
    struct arena a = {0};
    struct buf b = {.arena = &a};
    buf_add_json(&b, (struct str){"a\"\\\n\x01\xc3\xa9\xff\0z", 10});
    assert_string_equal(buf_str(&b).at, "\"a\\\"\\\\\\n\\u0001\xc3\xa9\\ufffd\\u0000z\"");
    assert_false(str_utf8(STR("\xed\xa0\x80")));
    assert_false(str_utf8(STR("\xc0\xaf")));
    assert_true(str_utf8(STR("\xf0\x9f\x98\x80")));
    arena_done(&a);
}

static void test_base64url_is_strict(void **state)
{
    (void)state;
    struct arena a = {0};
    struct str out;
    for (size_t n = 0; n < 20; n++) {
        unsigned char bytes[20];
        for (size_t i = 0; i < n; i++)
            bytes[i] = (unsigned char)(i * 91 + 200);
        struct str text = base64url(&a, (struct str){(char *)bytes, n});
        assert_int_equal(base64url_decode(&a, text, &out), OK);
        assert_true(str_eq(out, (struct str){(char *)bytes, n}));
    }
    assert_int_equal(base64url_decode(&a, STR("QQ=="), &out), ERR_MALFORMED);
    assert_int_equal(base64url_decode(&a, STR("QR"), &out), ERR_MALFORMED); /* stray bits */
    assert_int_equal(base64url_decode(&a, STR("Q"), &out), ERR_MALFORMED);
    assert_int_equal(base64url_decode(&a, STR("Q+8_"), &out), ERR_MALFORMED);
    assert_string_equal(base64_lines(&a, STR("hello")).at, "aGVsbG8=\n");
    arena_done(&a);
}

static void test_durations(void **state)
{
    (void)state;
    struct arena a = {0};
    int64_t ms;
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {
        {"0s",    0         },
        {"250ms", 250       },
        {"12s",   12000     },
        {"1m30s", 90000     },
        {"2h",    7200000   },
        {"90d",   7776000000}
    };
    for (size_t i = 0; i < COUNTOF(good); i++) {
        assert_int_equal(when_duration(str_c(good[i].text), &ms), OK);
        assert_int_equal(ms, good[i].ms);
        assert_string_equal(when_duration_text(&a, ms).at, good[i].text);
    }
    static const char *const bad[] = {"", "12", "s", "12 s", "-1s", "1s1m", "1.5s", "12sec", "1s1s"};
    for (size_t i = 0; i < COUNTOF(bad); i++)
        assert_int_equal(when_duration(str_c(bad[i]), &ms), ERR_MALFORMED);
    assert_int_equal(when_duration(STR("99999999999d"), &ms), ERR_LIMIT);
    assert_int_equal(when_duration(STR("99999999999999999999s"), &ms), ERR_LIMIT);
    arena_done(&a);
}

static void test_run_time(void **state)
{
    static const struct {
        int64_t t_ms;
        const char *text;
    } rows[] = {
        {0,       "0:00.0"   },
        {3299,    "0:03.2"   },
        {59999,   "0:59.9"   },
        {60000,   "1:00.0"   },
        {3723400, "1:02:03.4"},
        {-1500,   "-0:01.5"  }
    };
    struct arena arena = {0};
    (void)state;
    for (size_t i = 0; i < COUNTOF(rows); i++)
        assert_string_equal(when_run_time(&arena, rows[i].t_ms).at, rows[i].text);
    arena_done(&arena);
}

static void test_dates(void **state)
{
    (void)state;
    struct arena a = {0};
    int64_t ms;
    assert_string_equal(when_rfc3339(&a, WHEN_VIRTUAL_START_MS + 12000).at, "2030-01-01T00:00:12Z");
    assert_int_equal(when_rfc3339_parse(STR("2030-01-01T01:00:12.25+01:00"), &ms), OK);
    assert_int_equal(ms, WHEN_VIRTUAL_START_MS + 12250);
    assert_int_equal(when_rfc3339_parse(STR("2030-13-01T01:00:12Z"), &ms), ERR_MALFORMED);
    assert_int_equal(when_rfc3339_parse(STR("2030-01-01 01:00:12Z"), &ms), ERR_MALFORMED);
    assert_string_equal(when_http_date(&a, WHEN_VIRTUAL_START_MS).at, "Tue, 01 Jan 2030 00:00:00 GMT");
    static const char *const forms[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};
    for (size_t i = 0; i < COUNTOF(forms); i++) {
        assert_int_equal(when_http_date_parse(str_c(forms[i]), &ms), OK);
        assert_int_equal(ms, INT64_C(784111777000));
    }
    assert_int_equal(when_http_date_parse(STR("2030-01-01T00:00:12Z"), &ms), ERR_MALFORMED);
    assert_int_equal(when_http_date_parse(STR("Sun, 06 Nov 1994 08:49:37 UTC"), &ms), ERR_MALFORMED);
    arena_done(&a);
}

static void test_heap_keeps_insertion_order(void **state)
{
    (void)state;
    struct heap h = {0};
    int what[6];
    static const int64_t due[] = {5, 3, 5, 1, 3, 5};
    static const size_t order[] = {3, 1, 4, 0, 2, 5};
    for (size_t i = 0; i < 6; i++)
        heap_push(&h, due[i], &what[i]);
    for (size_t i = 0; i < 6; i++)
        assert_ptr_equal(heap_pop(&h), &what[order[i]]);
    assert_null(heap_pop(&h));
    heap_done(&h);
}

static void test_rng_is_a_function_of_the_seed(void **state)
{
    (void)state;
    struct rng a, b, fork_a, fork_b;
    rng_seed(&a, 8555);
    rng_seed(&b, 8555);
    rng_fork(&a, "nonces", &fork_a);
    rng_fork(&b, "tokens", &fork_b);
    assert_int_equal(rng_u64(&a), rng_u64(&b));
    assert_int_not_equal(rng_u64(&fork_a), rng_u64(&fork_b));
    for (int i = 0; i < 1000; i++)
        assert_in_range(rng_below(&a, 7), 0, 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_grows_and_clears),
        cmocka_unit_test(test_str_nearest),
        cmocka_unit_test(test_str_json_escapes),
        cmocka_unit_test(test_base64url_is_strict),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_run_time),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_heap_keeps_insertion_order),
        cmocka_unit_test(test_rng_is_a_function_of_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
