#include "acme/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* RFC 5952 section 4, by its own examples; NULL: no address. */
static const struct {
    const char *text, *canonical;
} rows[] = {
    {"192.0.2.1",                                             "192.0.2.1"                             },
    {"0.0.0.0",                                               "0.0.0.0"                               },
    {"255.255.255.255",                                       "255.255.255.255"                       },
    {"2001:db8::1",                                           "2001:db8::1"                           },
    {"2001:DB8::1",                                           "2001:db8::1"                           },
    {"2001:0db8::0001",                                       "2001:db8::1"                           }, /* 4.1 */
    {"2001:db8:0:0:0:0:2:1",                                  "2001:db8::2:1"                         }, /* 4.2.1 */
    {"2001:db8::1:1:1:1:1",                                   "2001:db8:0:1:1:1:1:1"                  }, /* 4.2.2 */
    {"2001:0:0:1:0:0:0:1",                                    "2001:0:0:1::1"                         }, /* 4.2.3 */
    {"2001:db8:0:0:1:0:0:1",                                  "2001:db8::1:0:0:1"                     }, /* 4.2.3 */
    {"2001:db8:aaaa:bbbb:cccc:dddd:eeee:AaAa",                "2001:db8:aaaa:bbbb:cccc:dddd:eeee:aaaa"}, /* 4.3 */
    {"0:0:0:0:0:0:0:0",                                       "::"                                    },
    {"::1",                                                   "::1"                                   },
    {"1::",                                                   "1::"                                   },
    {"0:1:2:3:4:5:6:7",                                       "0:1:2:3:4:5:6:7"                       },
    {"::ffff:192.0.2.1",                                      "::ffff:c000:201"                       },
    {"",                                                      NULL                                    },
    {"192.0.2",                                               NULL                                    },
    {"192.0.2.01",                                            NULL                                    },
    {"192.0.2.256",                                           NULL                                    },
    {" 192.0.2.1",                                            NULL                                    },
    {"[2001:db8::1]",                                         NULL                                    },
    {"fe80::1%eth0",                                          NULL                                    },
    {"1:2:3:4:5:6:7",                                         NULL                                    },
    {"1::2::3",                                               NULL                                    },
    {"a.example.test",                                        NULL                                    },
    {"2001:0db8:0000:0000:0000:0000:0000:000000000000000001", NULL                                    },
};

static void test_one_form(void **state)
{
    (void)state;
    struct arena arena = {0};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        unsigned char octets[16];
        struct str text = str_c(rows[i].text);
        size_t n = address_octets(text, octets);
        assert_int_equal(n, !rows[i].canonical ? 0 : strchr(rows[i].text, ':') ? 16 : 4);
        assert_int_equal(address_canonical(text), rows[i].canonical && str_is(text, rows[i].canonical));
        if (!n) continue;
        struct str canonical = address_text(&arena, (struct str){(char *)octets, n});
        assert_string_equal(canonical.at, rows[i].canonical);
        assert_true(address_canonical(canonical));
    }
    assert_false(address_canonical((struct str){0}));
    assert_false(address_canonical((struct str){"192.0.2.1\0x", 11}));
    arena_done(&arena);
}

static void test_reverse_names(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const char *const none[] = {"",
                                       "in-addr.arpa",
                                       ".in-addr.arpa",
                                       "2.0.192.in-addr.arpa",
                                       "1.15.2.0.192.in-addr.arpa",
                                       "015.2.0.192.in-addr.arpa",
                                       "256.2.0.192.in-addr.arpa",
                                       "-1.2.0.192.in-addr.arpa",
                                       " 1.2.0.192.in-addr.arpa",
                                       "15.2.0.192.ip6.arpa",
                                       "15.2.0.192.in-addr.arpa.test",
                                       "g.2.in-addr.arpa"};
    for (size_t i = 0; i < COUNTOF(none); i++)
        assert_int_equal(address_of_reverse(&arena, str_c(none[i])).n, 0);
    assert_string_equal(address_of_reverse(&arena, STR("15.2.0.192.in-addr.arpa")).at, "192.0.2.15");
    struct str v6 = address_reverse(&arena, STR("2001:db8::567:89ab"));
    assert_string_equal(address_of_reverse(&arena, v6).at, "2001:db8::567:89ab");
    assert_int_equal(address_of_reverse(&arena, (struct str){v6.at + 2, v6.n - 2}).n, 0);
    assert_string_equal(address_reverse(&arena, STR("192.0.2.15")).at, "15.2.0.192.in-addr.arpa");
    assert_string_equal(address_reverse(&arena, STR("2001:db8::567:89ab")).at, /* RFC 3596 section 2.5 writes such */
                        "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_form),
        cmocka_unit_test(test_reverse_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
