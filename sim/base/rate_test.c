#include "base/rate.h"
#include "base/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_texts(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct rate rate = {.count = 7};
    static const char *const good[] = {"none", "1 per 100ms", "10 per 3h", "300 per 1d12h", "100000 per 400d"};
    static const char *const malformed[] = {"",           "10",        "10 per",    "10 per ",
                                            "per 3h",     " per 3h",   "-1 per 3h", "10  per 3h",
                                            "10 per 3 h", "10 per 3x", "None",      "10 per 3h "};
    static const char *const limits[] = {"0 per 3h", "100001 per 1d", "5 per 99ms", "5 per 401d", "5 per 0s"};
    for (size_t i = 0; i < COUNTOF(good); i++) {
        assert_int_equal(rate_read(str_c(good[i]), &rate), OK);
        assert_string_equal(rate_text(&arena, &rate).at, good[i]);
    }
    for (size_t i = 0; i < COUNTOF(malformed); i++)
        assert_int_equal(rate_read(str_c(malformed[i]), &rate), ERR_MALFORMED);
    for (size_t i = 0; i < COUNTOF(limits); i++)
        assert_int_equal(rate_read(str_c(limits[i]), &rate), ERR_LIMIT);
    assert_int_equal(rate.count, 100000); /* untouched by what failed */
    arena_done(&arena);
}

static void test_a_full_bucket_and_its_refill(void **state)
{
    (void)state;
    const struct rate rate = {3, 1000}; /* a token each 333 1/3 ms */
    struct bucket bucket = {0};
    const int64_t start = WHEN_VIRTUAL_START_MS;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bucket_ready_ms(&bucket, &rate, start), start);
        bucket_take(&bucket, &rate, start);
    }
    /* Rounded up to the millisecond, and no error adds up: the third token is back after a second exactly. */
    assert_int_equal(bucket_ready_ms(&bucket, &rate, start), start + 334);
    assert_int_equal(bucket_ready_ms(&bucket, &rate, start + 333), start + 334);
    assert_int_equal(bucket_ready_ms(&bucket, &rate, start + 334), start + 334);
    bucket_take(&bucket, &rate, start + 334);
    assert_int_equal(bucket_ready_ms(&bucket, &rate, start + 334), start + 667);
    bucket_take(&bucket, &rate, start + 667);
    assert_int_equal(bucket_ready_ms(&bucket, &rate, start + 667), start + 1000);
    bucket_take(&bucket, &rate, start + 1000);
    assert_int_equal(bucket_ready_ms(&bucket, &rate, start + 1000), start + 1334);
    /* Never more than full. */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bucket_ready_ms(&bucket, &rate, start + 90000), start + 90000);
        bucket_take(&bucket, &rate, start + 90000);
    }
    assert_int_equal(bucket_ready_ms(&bucket, &rate, start + 90000), start + 90334);
}

static void test_one_token(void **state)
{
    (void)state;
    const struct rate rate = {1, 5000};
    struct bucket bucket = {0};
    bucket_take(&bucket, &rate, 1000);
    assert_int_equal(bucket_ready_ms(&bucket, &rate, 1000), 6000);
    assert_int_equal(bucket_ready_ms(&bucket, &rate, 5999), 6000);
    assert_int_equal(bucket_ready_ms(&bucket, &rate, 6000), 6000);
    bucket_take(&bucket, &rate, 2000); /* there is none */
    assert_int_equal(bucket_ready_ms(&bucket, &rate, 2000), 6000);
}

/* Over a long time as many as the rate says, whatever the rate. */
static void test_steady_rate(void **state)
{
    (void)state;
    static const struct rate rates[] = {
        {7,      1000                },
        {300,    10800000            },
        {99991,  86400000            },
        {5,      604800000           },
        {100000, INT64_C(34560000000)},
    };
    for (size_t i = 0; i < COUNTOF(rates); i++) {
        struct bucket bucket = {0};
        int64_t now_ms = WHEN_VIRTUAL_START_MS;
        for (int64_t k = 0; k < 2 * rates[i].count; k++) {
            now_ms = bucket_ready_ms(&bucket, &rates[i], now_ms);
            bucket_take(&bucket, &rates[i], now_ms);
        }
        assert_int_equal(now_ms - WHEN_VIRTUAL_START_MS, rates[i].per_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_a_full_bucket_and_its_refill),
        cmocka_unit_test(test_one_token),
        cmocka_unit_test(test_steady_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
