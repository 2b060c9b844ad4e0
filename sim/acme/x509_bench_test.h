/* For tests of certificates: an arena and a generator for each test, and the keys of ours as OpenSSL sees them. */
#ifndef ACME_X509_BENCH_TEST_H
#define ACME_X509_BENCH_TEST_H

#include "acme/jwk_inside.h"
#include "acme/x509_inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define TEST(name) cmocka_unit_test_setup_teardown(name, before_each, after_each)

#define NOW_MS INT64_C(1893456000000) /* 2030-01-01 */
#define DAY_MS INT64_C(86400000)

static struct arena arena;
static struct rng rng;

static inline int before_each(void **state)
{
    (void)state;
    rng_seed(&rng, 8555);
    return 0;
}

/* Whatever was refused, nothing may be left in OpenSSL's queue: TLS reads it. */
static inline int after_each(void **state)
{
    (void)state;
    arena_done(&arena);
    return ERR_peek_error() != 0;
}

static inline void assert_str(struct str got, struct str want)
{
    if (!str_eq(got, want)) fail_msg("\"%.*s\" is not \"%.*s\"", STR_ARGS(got), STR_ARGS(want));
}

/* Takes what OpenSSL allocated. */
static inline struct str taken(unsigned char *der, int n)
{
    assert_true(n > 0);
    struct str copy = str_copy(&arena, (struct str){(char *)der, (size_t)n});
    OPENSSL_free(der);
    return copy;
}

static inline EVP_PKEY *pkey_of(const struct key *key)
{
    struct str pem = key_pem(key, &arena);
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.n);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(pkey);
    return pkey;
}

static inline struct key *key_of(enum key_kind kind)
{
    if (kind != KEY_RSA) return key_make(kind, SEALING_REAL, &rng);
    char bytes[4096];
    FILE *file = fopen(DRILL_SOURCE_DIR "/fixtures/keys/rsa2048.pem", "r");
    assert_non_null(file);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    assert_int_equal(fclose(file), 0);
    struct key *key = key_from_pem((struct str){bytes, n});
    assert_non_null(key);
    return key;
}

static const struct str two_names[] = {
    {"www.example.test", 16},
    {"*.example.test",   14}
};

static inline struct csr csr_for(const struct key *key, const struct str *names, size_t n)
{
    struct str der;
    struct csr csr = {0};
    struct problem problem = {0};
    assert_int_equal(csr_write(&arena, key, names, n, &der), OK);
    enum err e = csr_read(&arena, der, key_sealing(key), &csr, &problem);
    if (e) fail_msg("%s: %.*s", err_text(e), STR_ARGS(problem.detail));
    return csr;
}

/* The leaf and its intermediate, PEM. */
static inline enum err issue_chain(const struct issuer *issuer, const struct csr *csr, int64_t not_before_ms,
                                   int64_t not_after_ms, struct str *ret_pem)
{
    struct str der;
    enum err e = issuer_issue(issuer, &arena, csr, not_before_ms, not_after_ms, &rng, &der);
    if (e) return e;
    *ret_pem =
        str_fmt(&arena, "%.*s%.*s", STR_ARGS(certificate_pem(&arena, der)), STR_ARGS(issuer_chain_pem(issuer, 0)));
    return OK;
}

static inline struct str joined(const struct str *names, size_t n)
{
    struct buf out = {.arena = &arena};
    for (size_t i = 0; i < n; i++) {
        if (i) buf_add_char(&out, ' ');
        buf_add(&out, names[i]);
    }
    return buf_str(&out);
}

static inline X509_EXTENSION *san_of(const char *text)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
    assert_non_null(extension);
    return extension;
}

/* What OpenSSL makes of the same wishes; cn and san (as in openssl.cnf) may be NULL. */
static inline X509_REQ *openssl_csr(EVP_PKEY *pkey, const char *cn, const char *san)
{
    X509_REQ *req = X509_REQ_new();
    assert_int_equal(X509_REQ_set_pubkey(req, pkey), 1);
    if (cn)
        assert_int_equal(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(req), "CN", MBSTRING_UTF8,
                                                    (const unsigned char *)cn, -1, -1, 0),
                         1);
    if (san) {
        STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
        sk_X509_EXTENSION_push(extensions, san_of(san));
        assert_int_equal(X509_REQ_add_extensions(req, extensions), 1);
        sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    }
    return req;
}

#endif
