/* The certificates are made by OpenSSL here, with defects. */
#include "acme/x509_alpn.h"

#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define NUMBER "1.3.6.1.5.5.7.1.31"
#define DIGEST "0123456789abcdef0123456789abcdef"

struct recipe {
    const char *names; /* "DNS:a.test,IP:192.0.2.1"; NULL: none */
    const char *number;
    struct str value; /* of the extension; empty: there is none */
    bool critical, twice, stranger;
};

static struct arena arena;

static int drop_arena(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static void add_identifier(X509 *cert, const struct recipe *recipe)
{
    ASN1_OBJECT *object = OBJ_txt2obj(recipe->number ? recipe->number : NUMBER, 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(value, (const unsigned char *)recipe->value.at, (int)recipe->value.n);
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, object, recipe->critical, value);
    X509_add_ext(cert, extension, -1);
    if (recipe->twice) X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(object);
}

static struct str made(const struct recipe *recipe)
{
    EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    ASN1_TIME_set(X509_getm_notBefore(cert), 1900000000);
    ASN1_TIME_set(X509_getm_notAfter(cert), 1900100000);
    X509_set_pubkey(cert, key);
    if (recipe->names) {
        X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, recipe->names);
        X509_add_ext(cert, names, -1);
        X509_EXTENSION_free(names);
    }
    if (recipe->value.n) add_identifier(cert, recipe);
    X509_sign(cert, recipe->stranger ? other : key, EVP_sha256());
    unsigned char *der = NULL;
    int n = i2d_X509(cert, &der);
    struct str copy = str_copy(&arena, (struct str){(const char *)der, (size_t)n});
    OPENSSL_free(der);
    X509_free(cert);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    return copy;
}

static struct alpn_facts facts_of(const struct recipe *recipe)
{
    struct alpn_facts facts;
    assert_int_equal(alpn_certificate_read(&arena, made(recipe), &facts), OK);
    return facts;
}

static void assert_str(struct str s, const char *text)
{
    assert_int_equal(s.n, strlen(text));
    if (s.n) assert_memory_equal(s.at, text, s.n);
}

static void test_good(void **state)
{
    (void)state;
    struct alpn_facts facts =
        facts_of(&(struct recipe){.names = "DNS:a.test", .value = STR("\x04\x20" DIGEST), .critical = true});
    assert_str(facts.names, "a.test");
    assert_true(facts.self_signed);
    assert_true(facts.has_extension);
    assert_true(facts.critical);
    assert_false(facts.obsolete);
    assert_str(facts.digest, DIGEST);
}

static void test_defects(void **state)
{
    (void)state;
    struct recipe recipe = {.names = "DNS:a.test,DNS:B.test,IP:192.0.2.1,IP:2001:db8::1,email:x@a.test",
                            .value = STR("\x04\x20" DIGEST)};
    struct alpn_facts facts = facts_of(&recipe);
    assert_str(facts.names, "a.test,B.test,ip:192.0.2.1,ip:2001:db8::1,other");
    assert_false(facts.critical);
    recipe.names = "DNS:ip:192.0.2.1,DNS:ip:2001:db8::1";
    assert_str(facts_of(&recipe).names, "ip?192.0.2.1,ip?2001?db8??1");
    recipe = (struct recipe){.stranger = true};
    facts = facts_of(&recipe);
    assert_str(facts.names, "");
    assert_false(facts.self_signed);
    assert_false(facts.has_extension);
    recipe = (struct recipe){.number = "1.3.6.1.5.5.7.1.30.1", .value = STR("\x04\x20" DIGEST)};
    facts = facts_of(&recipe);
    assert_false(facts.has_extension);
    assert_true(facts.obsolete);
    recipe = (struct recipe){.value = STR("\x04\x20" DIGEST), .twice = true};
    assert_false(facts_of(&recipe).has_extension);
    const struct str malformed[] = {STR("\x04\x03"
                                        "abc"),
                                    STR("\x04\x20" DIGEST "x"), STR(DIGEST), STR("\x04")};
    for (size_t i = 0; i < COUNTOF(malformed); i++) {
        recipe = (struct recipe){.value = malformed[i], .critical = true};
        facts = facts_of(&recipe);
        assert_true(facts.has_extension);
        assert_int_equal(facts.digest.n, 0);
    }
}

/* Every cut, and many flipped bytes: no crash. */
static void test_hostile_bytes(void **state)
{
    (void)state;
    struct recipe recipe = {.names = "DNS:a.test,IP:192.0.2.1", .value = STR("\x04\x20" DIGEST), .critical = true};
    struct str der = made(&recipe);
    char *bytes = arena_copy(&arena, der.at, der.n);
    struct alpn_facts facts;
    assert_int_equal(alpn_certificate_read(&arena, STR(""), &facts), ERR_MALFORMED);
    for (size_t n = 0; n < der.n; n++) {
        struct arena own = {0};
        assert_int_equal(alpn_certificate_read(&own, (struct str){bytes, n}, &facts), ERR_MALFORMED);
        for (int value = 0; value < 256; value += 51) {
            char kept = bytes[n];
            bytes[n] = (char)value;
            (void)alpn_certificate_read(&own, (struct str){bytes, der.n}, &facts);
            bytes[n] = kept;
        }
        arena_done(&own);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_defects),
        cmocka_unit_test(test_hostile_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, drop_arena);
}
