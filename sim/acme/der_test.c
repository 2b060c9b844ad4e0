#include "acme/der.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;

static int drop_arena(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static void test_next_takes_one_element(void **state)
{
    (void)state;
    struct str from = STR("\x04\x02hi\x05\x00");
    struct der_element element;
    assert_true(der_next(&from, &element));
    assert_int_equal(element.tag, DER_OCTET_STRING);
    assert_true(str_is(element.body, "hi"));
    assert_int_equal(element.whole.n, 4);
    assert_true(der_next(&from, &element));
    assert_int_equal(element.tag, 5);
    assert_int_equal(element.body.n, 0);
    assert_int_equal(from.n, 0);
    assert_false(der_next(&from, &element));
}

static void test_next_refuses_what_is_not_der(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct str from;
    } rows[] = {
        {"nothing",                 {"", 0}                            },
        {"a tag alone",             {"\x04", 1}                        },
        {"truncated body",          {"\x04\x03hi", 4}                  },
        {"indefinite length",       {"\x30\x80\x00\x00", 4}            },
        {"long form below 128",     {"\x04\x81\x02hi", 5}              },
        {"length with zero ahead",  {"\x04\x82\x00\x80", 4}            },
        {"truncated length",        {"\x04\x82\x01", 3}                },
        {"length of 5 octets",      {"\x04\x85\x01\x00\x00\x00\x00", 7}},
        {"length of 127 octets",    {"\x04\xff\x01\x01", 4}            },
        {"length beyond the input", {"\x04\x84\xff\xff\xff\xff", 6}    },
        {"tag of several octets",   {"\x1f\x81\x00\x00", 4}            },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct str from = rows[i].from;
        struct der_element element;
        if (der_next(&from, &element)) fail_msg("%s was taken", rows[i].what);
        assert_ptr_equal(from.at, rows[i].from.at);
    }
}

static void test_take_wants_its_tag_and_only_wants_an_end(void **state)
{
    (void)state;
    struct str from = STR("\x30\x02\x05\x00"), body;
    assert_false(der_take(&from, DER_SET, &body));
    assert_int_equal(from.n, 4);
    assert_true(der_only(from, DER_SEQUENCE, &body));
    assert_int_equal(body.n, 2);
    assert_false(der_only(STR("\x30\x00\x00"), DER_SEQUENCE, &body));
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct str from;
        bool good;
        struct str magnitude;
    } rows[] = {
        {"zero",            {"\x02\x01\x00", 3},     true,  {"", 0}        },
        {"127",             {"\x02\x01\x7f", 3},     true,  {"\x7f", 1}    },
        {"128",             {"\x02\x02\x00\x80", 4}, true,  {"\x80", 1}    },
        {"empty",           {"\x02\x00", 2},         false, {"", 0}        },
        {"negative",        {"\x02\x01\x80", 3},     false, {"", 0}        },
        {"a zero too many", {"\x02\x02\x00\x7f", 4}, false, {"", 0}        },
        {"two zeros",       {"\x02\x02\x00\x00", 4}, false, {"", 0}        },
        {"not an INTEGER",  {"\x0a\x01\x01", 3},     false, {"", 0}        },
        {"256",             {"\x02\x02\x01\x00", 4}, true,  {"\x01\x00", 2}},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct str from = rows[i].from, magnitude = {0};
        if (der_take_number(&from, &magnitude) != rows[i].good) fail_msg("%s", rows[i].what);
        if (!rows[i].good) continue;
        assert_true(str_eq(magnitude, rows[i].magnitude));
        struct buf out = {.arena = &arena};
        der_add_number(&out, magnitude);
        assert_true(str_eq(buf_str(&out), rows[i].from));
    }
    struct buf out = {.arena = &arena};
    der_add_number(&out, STR("\x00\x00\x05"));
    assert_true(str_eq(buf_str(&out), STR("\x02\x01\x05")));
}

static void test_bits_are_whole_octets(void **state)
{
    (void)state;
    struct str good = STR("\x03\x02\x00\x61"), odd = STR("\x03\x02\x01\x60"), empty = STR("\x03\x00"), bits;
    assert_true(der_take_bits(&good, &bits));
    assert_true(str_is(bits, "a"));
    assert_false(der_take_bits(&odd, &bits));
    assert_false(der_take_bits(&empty, &bits));
}

static void test_lengths_are_shortest(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 127, 128, 255, 256, 65535, 65536, 100000};
    static const size_t heads[] = {2, 2, 2, 3, 3, 4, 4, 5, 5};
    char *octets = arena_alloc(&arena, 100000);
    memset(octets, 'x', 100000);
    for (size_t i = 0; i < COUNTOF(lengths); i++) {
        struct buf out = {.arena = &arena};
        der_add(&out, DER_OCTET_STRING, (struct str){octets, lengths[i]});
        struct str body;
        assert_int_equal(out.n, heads[i] + lengths[i]);
        assert_true(der_only(buf_str(&out), DER_OCTET_STRING, &body));
        assert_true(str_eq(body, (struct str){octets, lengths[i]}));
    }
}

static void test_nesting(void **state)
{
    (void)state;
    struct buf out = {.arena = &arena};
    size_t outer = der_open(&out, DER_SEQUENCE), inner = der_open(&out, DER_SET);
    der_add(&out, DER_OCTET_STRING, STR("ab"));
    der_close(&out, inner);
    der_add_bits(&out, STR("c"));
    der_close(&out, outer);
    assert_true(str_eq(buf_str(&out), STR("\x30\x0a\x31\x04\x04\x02"
                                          "ab"
                                          "\x03\x02\x00"
                                          "c")));
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *der;
        int64_t utc_ms;
    } rows[] = {
        {"\x17\x0d"
         "700101000000Z",   0                       },
        {"\x17\x0d"
         "500101000000Z",   INT64_C(-631152000000)  },
        {"\x17\x0d"
         "300101000012Z",   INT64_C(1893456012000)  },
        {"\x17\x0d"
         "491231235959Z",   INT64_C(2524607999000)  },
        {"\x18\x0f"
         "20500101000000Z", INT64_C(2524608000000)  },
        {"\x18\x0f"
         "99991231235959Z", INT64_C(253402300799000)},
        {"\x17\x0d"
         "480229120000Z",   INT64_C(2466590400000)  },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct buf out = {.arena = &arena};
        struct str from = str_c(rows[i].der);
        int64_t ms;
        assert_int_equal(der_add_time(&out, rows[i].utc_ms), OK);
        assert_true(str_is(buf_str(&out), rows[i].der));
        assert_true(der_take_time(&from, &ms));
        assert_int_equal(ms, rows[i].utc_ms);
        assert_int_equal(from.n, 0);
    }
    struct buf out = {.arena = &arena};
    assert_int_equal(der_add_time(&out, INT64_C(-631152000001)), ERR_LIMIT);
    assert_int_equal(der_add_time(&out, INT64_C(253402300800000)), ERR_LIMIT);
    assert_int_equal(der_add_time(&out, INT64_MAX), ERR_LIMIT);
    assert_int_equal(der_add_time(&out, INT64_MIN), ERR_LIMIT);
}

static void test_times_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "\x17\x0b"
        "3001010000Z",
        "\x17\x0d"
        "301301000000Z",
        "\x17\x0d"
        "300001000000Z",
        "\x17\x0d"
        "300230000000Z",
        "\x17\x0d"
        "300229000000Z",
        "\x17\x0d"
        "300101240000Z",
        "\x17\x0d"
        "300101006000Z",
        "\x17\x0d"
        "300101000060Z",
        "\x17\x0d"
        "300101000000+",
        "\x17\x11"
        "300101000000+0100",
        "\x17\x0d"
        "30010100000-Z",
        "\x17\x0d"
        " 30101000000Z",
        "\x18\x0d"
        "300101000000Z",
        "\x17\x0f"
        "20300101000000Z",
        "\x18\x11"
        "20500101000000.5Z",
        "\x04\x0d"
        "300101000000Z",
        "\x18\x0f"
        "2x500101000000Z",
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct str from = str_c(rows[i]);
        int64_t ms;
        if (der_take_time(&from, &ms)) fail_msg("%s was taken", rows[i] + 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_next_takes_one_element, drop_arena),
        cmocka_unit_test_teardown(test_next_refuses_what_is_not_der, drop_arena),
        cmocka_unit_test_teardown(test_take_wants_its_tag_and_only_wants_an_end, drop_arena),
        cmocka_unit_test_teardown(test_numbers, drop_arena),
        cmocka_unit_test_teardown(test_bits_are_whole_octets, drop_arena),
        cmocka_unit_test_teardown(test_lengths_are_shortest, drop_arena),
        cmocka_unit_test_teardown(test_nesting, drop_arena),
        cmocka_unit_test_teardown(test_times, drop_arena),
        cmocka_unit_test_teardown(test_times_refused, drop_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
