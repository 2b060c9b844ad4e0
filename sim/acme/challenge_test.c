#include "acme/challenge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The token of RFC 8555 section 8.3 and the thumbprint of RFC 7638 section 3.1; the digest by other means. */
#define TOKEN      "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
#define THUMBPRINT "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
#define ACCOUNT    "https://example.com/acme/acct/ExampleAccount"
#define DIGEST_64  "ZTRx1Ckl1-tM05o5zaizTTA0yUy5AGereMgSNWC6Ll8"
static const unsigned char digest[] = {0x65, 0x34, 0x71, 0xd4, 0x29, 0x25, 0xd7, 0xeb, 0x4c, 0xd3, 0x9a,
                                       0x39, 0xcd, 0xa8, 0xb3, 0x4d, 0x30, 0x34, 0xc9, 0x4c, 0xb9, 0x00,
                                       0x67, 0xab, 0x78, 0xc8, 0x12, 0x35, 0x60, 0xba, 0x2e, 0x5f};

static void test_rows(void **state)
{
    (void)state;
    for (int i = 0; i < CHALLENGE_TYPE_COUNT; i++) {
        enum challenge_type type = CHALLENGE_TYPE_COUNT;
        assert_true(challenge_type_read(str_c(challenge_row((enum challenge_type)i)->name), &type));
        assert_int_equal(type, i);
        assert_non_null(challenge_row(type)->section);
    }
    assert_string_equal(challenge_row(CHALLENGE_DNS_01)->name, "dns-01");
    /* Section 7.1.3: a wildcard needs a proof for the whole domain. */
    assert_true(challenge_row(CHALLENGE_DNS_01)->wildcard);
    assert_true(challenge_row(CHALLENGE_DNS_ACCOUNT_01)->wildcard);
    assert_false(challenge_row(CHALLENGE_HTTP_01)->wildcard);
    assert_false(challenge_row(CHALLENGE_TLS_ALPN_01)->wildcard);
    enum challenge_type type = CHALLENGE_DNS_01;
    assert_false(challenge_type_read(STR("http-02"), &type));
    assert_false(challenge_type_read(STR("HTTP-01"), &type));
    assert_false(challenge_type_read(STR("http-01 "), &type));
    assert_false(challenge_type_read((struct str){0}, &type));
    assert_int_equal(type, CHALLENGE_DNS_01);
}

static void test_proofs(void **state)
{
    (void)state;
    struct arena a = {0};
    struct str authorization = challenge_key_authorization(&a, STR(TOKEN), STR(THUMBPRINT));
    assert_string_equal(authorization.at, TOKEN "." THUMBPRINT);
    assert_string_equal(challenge_proof(&a, CHALLENGE_HTTP_01, authorization).at, TOKEN "." THUMBPRINT);
    assert_string_equal(challenge_proof(&a, CHALLENGE_DNS_01, authorization).at, DIGEST_64);
    struct str raw = challenge_proof(&a, CHALLENGE_TLS_ALPN_01, authorization);
    assert_int_equal(raw.n, sizeof digest);
    assert_memory_equal(raw.at, digest, sizeof digest);
    arena_done(&a);
}

static void test_places(void **state)
{
    (void)state;
    struct arena a = {0};
    struct str name = STR("www.example.test");
    assert_string_equal(challenge_place(&a, CHALLENGE_HTTP_01, name, STR(TOKEN), STR(ACCOUNT)).at,
                        "/.well-known/acme-challenge/" TOKEN);
    assert_string_equal(challenge_place(&a, CHALLENGE_DNS_01, name, STR(TOKEN), STR(ACCOUNT)).at,
                        "_acme-challenge.www.example.test");
    assert_string_equal(challenge_place(&a, CHALLENGE_TLS_ALPN_01, name, STR(TOKEN), STR(ACCOUNT)).at,
                        "www.example.test");
    /* The example of draft-ietf-acme-dns-account-label, and of which the account is one letter longer. */
    assert_string_equal(challenge_place(&a, CHALLENGE_DNS_ACCOUNT_01, STR("example.org"), STR(TOKEN), STR(ACCOUNT)).at,
                        "_ujmmovf2vn55tgye._acme-challenge.example.org");
    assert_string_not_equal(
        challenge_place(&a, CHALLENGE_DNS_ACCOUNT_01, STR("example.org"), STR(TOKEN), STR(ACCOUNT "s")).at,
        "_ujmmovf2vn55tgye._acme-challenge.example.org");
    /* RFC 8738: an address is not looked for in DNS. */
    assert_false(challenge_row(CHALLENGE_DNS_01)->address);
    assert_false(challenge_row(CHALLENGE_DNS_ACCOUNT_01)->address);
    assert_string_equal(challenge_place(&a, CHALLENGE_TLS_ALPN_01, STR("192.0.2.1"), STR(TOKEN), STR(ACCOUNT)).at,
                        "1.2.0.192.in-addr.arpa");
    arena_done(&a);
}

static void test_places_read(void **state)
{
    (void)state;
    static const struct {
        const char *place;
        enum challenge_type type;
        const char *name; /* NULL: it is none */
    } rows[] = {
        {"_acme-challenge.a.test",                     CHALLENGE_DNS_01,         "a.test"},
        {"_ujmmovf2vn55tgye._acme-challenge.a.test",   CHALLENGE_DNS_ACCOUNT_01, "a.test"},
        {"_ujmmovf2vn55tgye._acme-challenge.",         CHALLENGE_DNS_ACCOUNT_01, ""      },
        {"",                                           CHALLENGE_DNS_01,         NULL    },
        {"_",                                          CHALLENGE_DNS_01,         NULL    },
        {"a.test",                                     CHALLENGE_DNS_01,         NULL    },
        {"_acme-challenge",                            CHALLENGE_DNS_01,         NULL    },
        {"_ujmmovf2vn55tgy._acme-challenge.a.test",    CHALLENGE_DNS_01,         NULL    },
        {"_ujmmovf2vn55tgyee._acme-challenge.a.test",  CHALLENGE_DNS_01,         NULL    },
        {"_ujmmovf2vn55tgy1._acme-challenge.a.test",   CHALLENGE_DNS_01,         NULL    },
        {"aujmmovf2vn55tgye._acme-challenge.a.test",   CHALLENGE_DNS_01,         NULL    },
        {"_ujmmovf2vn55tgye.a._acme-challenge.a.test", CHALLENGE_DNS_01,         NULL    },
        {"_ujmmovf2vn55tgye.",                         CHALLENGE_DNS_01,         NULL    },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        enum challenge_type type;
        struct str name;
        bool read = challenge_of_dns_place(str_c(rows[i].place), &type, &name);
        assert_int_equal(read, rows[i].name != NULL);
        if (!read) continue;
        assert_int_equal(type, rows[i].type);
        assert_true(str_is(name, rows[i].name));
    }
}

static void test_tokens(void **state)
{
    (void)state;
    struct arena a = {0};
    struct rng rng, again;
    struct str seen[50];
    rng_seed(&rng, 1);
    rng_seed(&again, 1);
    for (size_t i = 0; i < COUNTOF(seen); i++) {
        seen[i] = challenge_token(&a, &rng);
        assert_int_equal(seen[i].n, 43); /* 256 bits; section 8.1 asks for 128 */
        assert_true(token_legal(seen[i]));
        assert_true(str_eq(seen[i], challenge_token(&a, &again)));
        for (size_t k = 0; k < i; k++)
            assert_false(str_eq(seen[i], seen[k]));
    }
    arena_done(&a);
}

static void test_legal_tokens(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "a b", "a=", "a+b", "a/b", "../x", "a\n", "\xc3\xa9", "%41", "a.b"};
    assert_true(token_legal(STR("AZaz09-_")));
    for (size_t i = 0; i < COUNTOF(bad); i++)
        assert_false(token_legal(str_c(bad[i])));
    assert_false(token_legal(STR("a\0b")));
    assert_false(token_legal((struct str){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),        cmocka_unit_test(test_proofs), cmocka_unit_test(test_places),
        cmocka_unit_test(test_places_read), cmocka_unit_test(test_tokens), cmocka_unit_test(test_legal_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
