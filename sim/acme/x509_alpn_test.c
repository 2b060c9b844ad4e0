/* The certificates of tls-alpn-01, read by OpenSSL. */
#include "acme/x509_alpn.h"

#include "base/when.h"

#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;
static struct rng rng;

static int drop_arena(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static struct alpn_certificate right(const struct key *key)
{
    return (struct alpn_certificate){.key = key,
                                     .names = {STR("a.example.test")},
                                     .n_names = 1,
                                     .digest = sha256(&arena, STR("key.auth")),
                                     .critical = true,
                                     .not_before_ms = WHEN_VIRTUAL_START_MS,
                                     .not_after_ms = WHEN_VIRTUAL_START_MS + 1000};
}

static X509 *made(const struct alpn_certificate *what)
{
    struct str der;
    assert_int_equal(alpn_certificate_write(&arena, what, &rng, &der), OK);
    const unsigned char *at = (const unsigned char *)der.at;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.n);
    assert_non_null(certificate);
    assert_ptr_equal(at, der.at + der.n);
    return certificate;
}

/* The extension of that number, NULL: none. */
static const X509_EXTENSION *extension(const X509 *certificate, const char *number)
{
    ASN1_OBJECT *object = OBJ_txt2obj(number, 1);
    int i = X509_get_ext_by_OBJ(certificate, object, -1);
    ASN1_OBJECT_free(object);
    return i < 0 ? NULL : X509_get_ext(certificate, i);
}

static bool signed_by(X509 *certificate, const struct key *key)
{
    EVP_PKEY *pkey = key_evp(key);
    bool good = X509_verify(certificate, pkey) == 1;
    EVP_PKEY_free(pkey);
    return good;
}

static void test_the_right_one(void **state)
{
    (void)state;
    struct key *key = key_make(KEY_P256, SEALING_REAL, &rng);
    struct alpn_certificate what = right(key);
    X509 *certificate = made(&what);
    assert_true(signed_by(certificate, key));
    assert_int_equal(X509_NAME_cmp(X509_get_issuer_name(certificate), X509_get_subject_name(certificate)), 0);
    assert_int_equal(X509_check_host(certificate, "a.example.test", 0, 0, NULL), 1);
    const X509_EXTENSION *found = extension(certificate, "1.3.6.1.5.5.7.1.31");
    assert_non_null(found);
    assert_int_equal(X509_EXTENSION_get_critical(found), 1);
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data((X509_EXTENSION *)(uintptr_t)found);
    assert_int_equal(ASN1_STRING_length(value), 34);
    assert_memory_equal(ASN1_STRING_get0_data(value), "\x04\x20", 2);
    assert_memory_equal(ASN1_STRING_get0_data(value) + 2, what.digest.at, 32);
    X509_free(certificate);
    key_free(key);
}

static void test_the_wrong_ones(void **state)
{
    (void)state;
    struct key *key = key_make(KEY_P256, SEALING_REAL, &rng), *other = key_make(KEY_P256, SEALING_REAL, &rng);

    struct alpn_certificate what = right(key);
    what.critical = false;
    X509 *certificate = made(&what);
    assert_int_equal(X509_EXTENSION_get_critical(extension(certificate, "1.3.6.1.5.5.7.1.31")), 0);
    X509_free(certificate);

    what = right(key);
    what.obsolete_oid = true;
    certificate = made(&what);
    assert_null(extension(certificate, "1.3.6.1.5.5.7.1.31"));
    assert_non_null(extension(certificate, "1.3.6.1.5.5.7.1.30.1"));
    X509_free(certificate);

    what = right(key);
    what.digest = (struct str){0};
    certificate = made(&what);
    assert_int_equal(X509_get_ext_count(certificate), 1);
    X509_free(certificate);

    what = right(key);
    what.issuer = other;
    certificate = made(&what);
    assert_true(signed_by(certificate, other));
    assert_false(signed_by(certificate, key));
    assert_int_not_equal(X509_NAME_cmp(X509_get_issuer_name(certificate), X509_get_subject_name(certificate)), 0);
    X509_free(certificate);

    what = right(key);
    what.names[0] = STR("A.EXAMPLE.TEST");
    what.names[what.n_names++] = STR("extra.test");
    certificate = made(&what);
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    assert_int_equal(sk_GENERAL_NAME_num(names), 2);
    const ASN1_IA5STRING *first = sk_GENERAL_NAME_value(names, 0)->d.dNSName;
    assert_memory_equal(ASN1_STRING_get0_data(first), "A.EXAMPLE.TEST", 14);
    GENERAL_NAMES_free(names);
    X509_free(certificate);
    key_free(key);
    key_free(other);
}

static void test_refuses(void **state)
{
    (void)state;
    struct key *key = key_make(KEY_P256, SEALING_REAL, &rng);
    struct str der = {0};
    struct alpn_certificate what = right(key);
    what.n_names = 0;
    assert_int_equal(alpn_certificate_write(&arena, &what, &rng, &der), ERR_REFUSED);
    what.n_names = ALPN_MAX_NAMES + 1;
    assert_int_equal(alpn_certificate_write(&arena, &what, &rng, &der), ERR_REFUSED);
    what.n_names = 1;
    what.names[0] = STR("a b");
    assert_int_equal(alpn_certificate_write(&arena, &what, &rng, &der), ERR_REFUSED);
    what = right(key);
    what.not_after_ms = what.not_before_ms - 1000;
    assert_int_equal(alpn_certificate_write(&arena, &what, &rng, &der), ERR_REFUSED);
    assert_null(der.at);
    key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_right_one),
        cmocka_unit_test(test_the_wrong_ones),
        cmocka_unit_test(test_refuses),
    };
    rng_seed(&rng, 8737);
    return cmocka_run_group_tests(tests, NULL, drop_arena);
}
