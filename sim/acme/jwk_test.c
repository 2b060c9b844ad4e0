#include "acme/jwk_inside.h"

#include "acme/der.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static struct arena arena;

/* Whatever was refused, nothing may be left in OpenSSL's queue: TLS reads it. */
static int after_each(void **state)
{
    (void)state;
    arena_done(&arena);
    return ERR_peek_error() != 0;
}

static struct rng seeded(uint64_t seed)
{
    struct rng rng;
    rng_seed(&rng, seed);
    return rng;
}

static struct str fixture(const char *name)
{
    struct buf out = {.arena = &arena};
    char bytes[4096];
    FILE *file = fopen(str_fmt(&arena, "%s/fixtures/keys/%s", DRILL_SOURCE_DIR, name).at, "r");
    assert_non_null(file);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    assert_int_equal(fclose(file), 0);
    buf_add(&out, (struct str){bytes, n});
    return buf_str(&out);
}

static struct str hex(const char *digits)
{
    size_t n = strlen(digits) / 2;
    unsigned char *at = arena_alloc(&arena, n + 1);
    for (size_t i = 0; i < n; i++) {
        unsigned octet;
        assert_int_equal(sscanf(digits + 2 * i, "%2x", &octet), 1);
        at[i] = (unsigned char)octet;
    }
    return (struct str){(char *)at, n};
}

static void assert_str(struct str got, struct str want)
{
    if (!str_eq(got, want)) fail_msg("\"%.*s\" is not \"%.*s\"", STR_ARGS(got), STR_ARGS(want));
}

/* One private key of each kind; RSA from the fixture. */
static struct key *key_of(enum key_kind kind, uint64_t seed)
{
    struct rng rng = seeded(seed);
    struct key *key = kind == KEY_RSA ? key_from_pem(fixture("rsa2048.pem")) : key_make(kind, SEALING_REAL, &rng);
    assert_non_null(key);
    assert_int_equal(key_kind(key), kind);
    assert_int_equal(key_sealing(key), SEALING_REAL);
    return key;
}

/* The same key as OpenSSL sees it. */
static EVP_PKEY *pkey_of(const struct key *key)
{
    struct str pem = key_pem(key, &arena);
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.n);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(pkey);
    return pkey;
}

static struct key *key_of_scalar(enum key_kind kind, const char *digits)
{
    EC_KEY *ec = EC_KEY_new_by_curve_name(key_row(kind)->nid);
    EVP_PKEY *pkey = EVP_PKEY_new();
    BIO *bio = BIO_new(BIO_s_mem());
    BIGNUM *scalar = NULL;
    char *at;
    assert_true(BN_hex2bn(&scalar, digits));
    EC_POINT *point = EC_POINT_new(EC_KEY_get0_group(ec));
    assert_int_equal(EC_POINT_mul(EC_KEY_get0_group(ec), point, scalar, NULL, NULL, NULL), 1);
    assert_int_equal(EC_KEY_set_private_key(ec, scalar), 1);
    assert_int_equal(EC_KEY_set_public_key(ec, point), 1);
    assert_int_equal(EVP_PKEY_assign_EC_KEY(pkey, ec), 1);
    assert_int_equal(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    long n = BIO_get_mem_data(bio, &at);
    struct key *key = key_from_pem((struct str){at, (size_t)n});
    assert_non_null(key);
    EC_POINT_free(point);
    BN_free(scalar);
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    return key;
}

/* RFC 4231, test cases 2 and 6: a short key, and one longer than a block. */
static void test_hmac(void **state)
{
    (void)state;
    char long_key[131];
    memset(long_key, '\xaa', sizeof long_key);
    const struct {
        struct str key, bytes;
        enum digest digest;
        unsigned char begins[8];
    } rows[] = {
        {STR("Jefe"),
         STR("what do ya want for nothing?"),
         DIGEST_SHA256, {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e}},
        {STR("Jefe"),
         STR("what do ya want for nothing?"),
         DIGEST_SHA384, {0xaf, 0x45, 0xd2, 0xe3, 0x76, 0x48, 0x40, 0x31}},
        {STR("Jefe"),
         STR("what do ya want for nothing?"),
         DIGEST_SHA512, {0x16, 0x4b, 0x7a, 0x7b, 0xfc, 0xf8, 0x19, 0xe2}},
        {{long_key, sizeof long_key},
         STR("Test Using Larger Than Block-Size Key - Hash Key First"),
         DIGEST_SHA256, {0x60, 0xe4, 0x31, 0x59, 0x1e, 0xe0, 0xb6, 0x7f}},
        {{long_key, sizeof long_key},
         STR("Test Using Larger Than Block-Size Key - Hash Key First"),
         DIGEST_SHA512, {0x80, 0xb2, 0x42, 0x63, 0xc7, 0xc1, 0xa3, 0xeb}},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        unsigned char mac[MAX_DIGEST];
        hmac_of(rows[i].digest, rows[i].key, rows[i].bytes, mac);
        assert_memory_equal(mac, rows[i].begins, sizeof rows[i].begins);
    }
}

static void test_sha256(void **state)
{
    (void)state;
    assert_str(sha256(&arena, STR("abc")), hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    assert_str(sha256(&arena, (struct str){0}),
               hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
}

/* RFC 6979 appendices A.2.5 and A.2.6. */
static void test_ecdsa_is_rfc6979(void **state)
{
    (void)state;
    static const struct {
        enum key_kind kind;
        const char *secret, *message, *r, *s;
    } rows[] = {
        {KEY_P256, "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",                                 "sample",
         "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",                                                                                                                                                         "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"},
        {KEY_P256, "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721",                                 "test",
         "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",                                                                                                                                                         "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083"},
        {KEY_P384, "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5",
         "sample",                                                                                                               "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C81A648152E44ACF96E36DD1E80FABE46",
         "99EF4AEB15F178CEA1FE40DB2603138F130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8"                                                                                                                                                                                            },
        {KEY_P384, "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D896D5724E4C70A825F872C9EA60D2EDF5",
         "test",                                                                                                                 "8203B63D3C853E8D77227FB377BCF7B7B772E97892A80F36AB775D509D7A5FEB0542A7F0812998DA8F1DD3CA3CF023DB",
         "DDD0760448D42D8A43AF45AF836FCE4DE8BE06B485E9B61B827C2F13173923E06A739F040649A667BF3B828246BAA5A5"                                                                                                                                                                                            },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct key *key = key_of_scalar(rows[i].kind, rows[i].secret);
        struct str signature;
        assert_int_equal(key_sign(key, &arena, str_c(rows[i].message), &signature), OK);
        assert_str(signature, hex(str_fmt(&arena, "%s%s", rows[i].r, rows[i].s).at));
        key_free(key);
    }
}

static void test_same_seed_same_bytes(void **state)
{
    (void)state;
    for (enum key_kind kind = 0; kind <= KEY_RSA; kind++) {
        struct str signatures[2], der[2];
        struct key *keys[2] = {key_of(kind, 1), key_of(kind, 1)}, *other = key_of(kind, 2);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(key_sign(keys[i], &arena, STR("bytes"), &signatures[i]), OK);
            assert_int_equal(key_sign_der(keys[i], &arena, STR("bytes"), &der[i]), OK);
        }
        assert_true(key_same(keys[0], keys[1]));
        assert_str(signatures[0], signatures[1]);
        assert_str(der[0], der[1]);
        assert_str(key_pem(keys[0], &arena), key_pem(keys[1], &arena));
        assert_int_equal(key_same(keys[0], other), kind == KEY_RSA);
        key_free(keys[0]);
        key_free(keys[1]);
        key_free(other);
    }
}

static void test_signs_and_verifies(void **state)
{
    (void)state;
    static const char *const algs[] = {"ES256", "ES384", "EdDSA", "RS256"};
    static const size_t lengths[] = {64, 96, 64, 256};
    for (enum key_kind kind = 0; kind <= KEY_RSA; kind++) {
        struct key *key = key_of(kind, 3), *other = NULL;
        struct str raw, der, bytes = STR("what is signed");
        assert_string_equal(key_alg(key), algs[kind]);
        assert_int_equal(key_sign(key, &arena, bytes, &raw), OK);
        assert_int_equal(key_sign_der(key, &arena, bytes, &der), OK);
        assert_int_equal(raw.n, lengths[kind]);
        assert_true(key_verify(key, bytes, raw));
        assert_true(key_verify_der(key, bytes, der));

        assert_false(key_verify(key, STR("what is signeD"), raw));
        assert_false(key_verify_der(key, STR("what is signeD"), der));
        for (size_t i = 0; i < raw.n; i += 7) {
            struct str bent = str_copy(&arena, raw);
            ((char *)bent.at)[i] ^= 4;
            assert_false(key_verify(key, bytes, bent));
        }
        assert_false(key_verify(key, bytes, (struct str){0}));
        assert_false(key_verify(key, bytes, (struct str){raw.at, raw.n - 1}));
        assert_false(key_verify(key, bytes, str_fmt(&arena, "%.*s!", STR_ARGS(raw))));
        if (kind == KEY_P256 || kind == KEY_P384) {
            assert_false(key_verify(key, bytes, der));
            assert_false(key_verify_der(key, bytes, raw));
        }
        if (kind != KEY_RSA) {
            other = key_of(kind, 4);
            assert_false(key_verify(other, bytes, raw));
            key_free(other);
        }
        /* A public copy verifies and does not sign. */
        assert_int_equal(key_from_spki(key_spki(key, &arena), SEALING_REAL, &other), OK);
        assert_true(key_verify(other, bytes, raw));
        assert_int_equal(key_sign(other, &arena, bytes, &raw), ERR_REFUSED);
        assert_int_equal(key_sign_der(other, &arena, bytes, &der), ERR_REFUSED);
        assert_null(key_pem(other, &arena).at);
        key_free(other);
        key_free(key);
    }
}

/* Both ways against OpenSSL's own signatures, with every digest that may come in a CSR. */
static void test_agrees_with_openssl(void **state)
{
    (void)state;
    static const struct {
        enum key_kind kind;
        enum digest digest;
        const char *name;
    } rows[] = {
        {KEY_P256,    DIGEST_SHA256, "SHA256"},
        {KEY_P256,    DIGEST_SHA512, "SHA512"},
        {KEY_P384,    DIGEST_SHA256, "SHA256"},
        {KEY_P384,    DIGEST_SHA384, "SHA384"},
        {KEY_RSA,     DIGEST_SHA256, "SHA256"},
        {KEY_RSA,     DIGEST_SHA384, "SHA384"},
        {KEY_RSA,     DIGEST_SHA512, "SHA512"},
        {KEY_ED25519, DIGEST_NONE,   NULL    },
    };
    struct str bytes = STR("bytes");
    const unsigned char *at = (const unsigned char *)bytes.at;
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct key *key = key_of(rows[i].kind, 5);
        EVP_PKEY *pkey = pkey_of(key);
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        const EVP_MD *md = rows[i].name ? EVP_get_digestbyname(rows[i].name) : NULL;
        unsigned char signature[512];
        size_t n = sizeof signature;
        assert_int_equal(EVP_DigestSignInit(ctx, NULL, md, NULL, pkey), 1);
        assert_int_equal(EVP_DigestSign(ctx, signature, &n, at, bytes.n), 1);
        assert_true(key_verify_with(key, rows[i].digest, bytes, (struct str){(char *)signature, n}));
        assert_false(key_verify_with(key, rows[i].digest == DIGEST_SHA256 ? DIGEST_SHA384 : DIGEST_SHA256, bytes,
                                     (struct str){(char *)signature, n}));
        if (rows[i].digest == key_row(rows[i].kind)->digest) {
            struct str der;
            assert_true(key_verify_der(key, bytes, (struct str){(char *)signature, n}));
            assert_int_equal(key_sign_der(key, &arena, bytes, &der), OK);
            EVP_MD_CTX_reset(ctx);
            assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, md, NULL, pkey), 1);
            assert_int_equal(EVP_DigestVerify(ctx, (const unsigned char *)der.at, der.n, at, bytes.n), 1);
        }
        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(pkey);
        key_free(key);
    }
}

/* Keys and scalars at the edges: r or s with leading zeros come once in 128 signatures. */
static void test_many_signatures(void **state)
{
    (void)state;
    struct key *key = key_of(KEY_P256, 6);
    for (int i = 0; i < 600; i++) {
        struct str bytes = str_fmt(&arena, "message %d", i), raw, der;
        assert_int_equal(key_sign(key, &arena, bytes, &raw), OK);
        assert_int_equal(key_sign_der(key, &arena, bytes, &der), OK);
        assert_int_equal(raw.n, 64);
        assert_true(key_verify(key, bytes, raw));
        assert_true(key_verify_der(key, bytes, der));
        arena_clear(&arena);
    }
    key_free(key);
    static const char *const edges[] = {"01", "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632550"};
    for (size_t i = 0; i < COUNTOF(edges); i++) {
        struct str raw;
        key = key_of_scalar(KEY_P256, edges[i]);
        assert_int_equal(key_sign(key, &arena, STR("x"), &raw), OK);
        assert_true(key_verify(key, STR("x"), raw));
        key_free(key);
    }
}

static void test_refuses_malformed_ecdsa(void **state)
{
    (void)state;
    static const char *const order = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";
    static const char *const raws[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
    };
    static const char *const ders[] = {
        "",
        "30",
        "3000",
        "3003020101",
        "3006020101020101FF",
        "3080020101020101 0000",
        "3081060201010201 01",
        "30060201FF020101",
        "30060201010201FF",
        "3007020200010201 01",
        "3006020100020100",
        "300602010102010100",
        "31060201010201 01",
        "3026022100FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF020101",
        "302702220100FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF020101",
    };
    struct key *key = key_of(KEY_P256, 7);
    struct str good, half;
    assert_int_equal(key_sign(key, &arena, STR("x"), &good), OK);
    half = (struct str){good.at, 32};
    for (size_t i = 0; i < COUNTOF(raws) + 1; i++) {
        struct buf r = {.arena = &arena}, s = {.arena = &arena};
        struct str edge = hex(i < COUNTOF(raws) ? raws[i] : order);
        buf_add(&r, edge);
        buf_add(&r, half);
        buf_add(&s, half);
        buf_add(&s, edge);
        assert_false(key_verify(key, STR("x"), buf_str(&r)));
        assert_false(key_verify(key, STR("x"), buf_str(&s)));
    }
    for (size_t i = 0; i < COUNTOF(ders); i++) {
        char digits[256];
        size_t n = 0;
        for (const char *c = ders[i]; *c; c++)
            if (*c != ' ') digits[n++] = *c;
        digits[n] = 0;
        if (key_verify_der(key, STR("x"), hex(digits))) fail_msg("%s was taken", ders[i]);
    }
    key_free(key);
}

/* RFC 7638 section 3.1 and RFC 8037 appendix A.3. */
#define RFC7638_N                                                                                                      \
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3okn"  \
    "jhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6q"  \
    "MQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awa"   \
    "pJzKnqDKgw"
#define RFC8037_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define RFC7517_X "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"
#define RFC7517_Y "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"

static const struct {
    enum key_kind kind;
    const char *jwk, *canonical, *thumbprint;
} jwks[] = {
    {KEY_RSA,     "{\"kty\":\"RSA\",\"n\":\"" RFC7638_N "\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}",
     "{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"" RFC7638_N "\"}",                           "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
    {KEY_ED25519, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" RFC8037_X "\"}",
     "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"" RFC8037_X "\"}",                      "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
    {KEY_P256,
     " {\"kty\":\"EC\", \"crv\":\"P-256\", \"x\":\"" RFC7517_X "\", \"y\":\"" RFC7517_Y "\", \"use\":\"sig\"}",
     "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"" RFC7517_X "\",\"y\":\"" RFC7517_Y "\"}", NULL                                         },
};

static void test_jwk_and_thumbprint(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNTOF(jwks); i++) {
        struct key *key, *again;
        struct str why;
        assert_int_equal(key_from_jwk(&arena, str_c(jwks[i].jwk), SEALING_REAL, &key, &why), OK);
        assert_int_equal(key_kind(key), jwks[i].kind);
        struct str canonical = key_jwk(key, &arena);
        assert_str(canonical, str_c(jwks[i].canonical));
        if (jwks[i].thumbprint) assert_str(key_thumbprint(key, &arena), str_c(jwks[i].thumbprint));
        assert_str(key_thumbprint(key, &arena), base64url(&arena, sha256(&arena, canonical)));
        assert_int_equal(key_from_jwk(&arena, canonical, SEALING_REAL, &again, &why), OK);
        assert_true(key_same(key, again));
        key_free(again);
        key_free(key);
    }
    for (enum key_kind kind = 0; kind <= KEY_RSA; kind++) {
        struct key *key = key_of(kind, 8), *again;
        struct str why;
        assert_int_equal(key_from_jwk(&arena, key_jwk(key, &arena), SEALING_REAL, &again, &why), OK);
        assert_true(key_same(key, again));
        key_free(again);
        key_free(key);
    }
}

#define P256_X        RFC7517_X
#define P256_Y        RFC7517_Y
#define EC(crv, x, y) "{\"kty\":\"EC\",\"crv\":\"" crv "\",\"x\":\"" x "\",\"y\":\"" y "\"}"
#define RSA_JWK(n, e) "{\"kty\":\"RSA\",\"n\":\"" n "\",\"e\":\"" e "\"}"

static void test_refuses_jwks(void **state)
{
    (void)state;
    static const struct {
        const char *jwk;
        enum err err;
        const char *why; /* a part of it */
    } rows[] = {
        {"",                                              ERR_MALFORMED,                                NULL                                                                                   },
        {"{",                                             ERR_MALFORMED,                                NULL                                                                                   },
        {"[]",                                            ERR_MALFORMED,                                NULL                                                                                   },
        {"\"EC\"",                                        ERR_MALFORMED,                                NULL                                                                                   },
        {"{}",                                            ERR_MALFORMED,                                NULL                                                                                   },
        {"{\"kty\":7}",                                   ERR_MALFORMED,                                NULL                                                                                   },
        {"{\"kty\":\"EC\",\"kty\":\"RSA\"}",              ERR_MALFORMED,                                NULL                                                                                   },
        {EC("P-256",                                      P256_X,                                       P256_Y) "x",                                                                             ERR_MALFORMED, NULL},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\\u0000\"}",                                           ERR_MALFORMED,                                                                                       NULL                                                                                                                                   },
        {"{\"kty\":\"\xff\"}",                                           ERR_MALFORMED, NULL},
        {"{\"kty\":\"oct\"}",                                           ERR_REFUSED,                                                                                       "key type"                                                                                                                                                                                                                          },
        {"{\"kty\":\"oct\",\"k\":\"AA\"}",                                     ERR_REFUSED,"private"},
        {"{\"kty\":\"EC\"}",                                      ERR_REFUSED,                                                                                        "curve"                                                                                                                                                                                                                                                                                                                                     },
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X "\"}",                                        ERR_REFUSED,"\"y\" is missing"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":[],\"y\":\"" P256_Y "\"}",                             ERR_REFUSED,                                                                             "\"x\" is missing"                                                                                                                                                                                                                                                                                                                                                                                                            },
        {EC("P-521",                             P256_X,P256_Y),ERR_REFUSED, "curve"},
        {EC("secp256k1",                                        P256_X,                                                                             P256_Y),                                                                                                                                                                                                                                                                                                                                                                                                                                                                                               ERR_REFUSED, "curve"},
        {EC("P-384",                                  P256_X,                                 P256_Y),                                     ERR_REFUSED, "32 octets, not 48"},
        {EC("P-256",                                        P256_X "AA",                                                                                    P256_Y),                                                                                                                                                                  ERR_REFUSED, "not base64url"},
        {EC("P-256",                                        "AAAA" P256_X,                                         P256_Y),                                                                         ERR_REFUSED, "35 octets, not 32"},
        {EC("P-256",                                      P256_X,                                ""),                             ERR_REFUSED, "0 octets"},
        {EC("P-256",                                P256_X "=",                                                                            P256_Y),                                                                                                                                                          ERR_REFUSED, "not base64url"},
        {EC("P-256",                                        P256_Y,                                 P256_X),                             ERR_REFUSED, "not a point"},
        {EC("P-256",                                      "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",                                       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
         ERR_REFUSED, "not a point"},
        {EC("P-256",                                     "__________________________________________8",                                                                                 P256_Y),                                                                                                                                                               ERR_REFUSED, "not a point"},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" P256_X "\",\"y\":\"" P256_Y "\",\"d\":\"AA\"}",                                        ERR_REFUSED,
         "private"},
        {"{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" RFC8037_X "\"}",                                      ERR_REFUSED,                                     "Ed25519"                                                                                    },
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}",                                  ERR_REFUSED,                                                                              "3 octets, not 32"                                                                                                                                                           },
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" RFC8037_X "\",\"d\":\"AA\"}", ERR_REFUSED,                                                                                   "private"                                                                                                                                                            },
        {RSA_JWK(RFC7638_N,                                      "AQAB") "}", ERR_MALFORMED, NULL},
        {"{\"kty\":\"RSA\",\"n\":\"" RFC7638_N "\"}",                                  ERR_REFUSED,                                                                              "\"e\" is missing"                                                                          },
        {RSA_JWK(RFC7638_N,                                       ""),                                                                                   ERR_REFUSED,                                                                                                                                                                                                 "not empty"},
        {RSA_JWK("",                                      "AQAB"),                                              ERR_REFUSED,"not empty"},
        {RSA_JWK(RFC7638_N,                             "AAEAAQ"),ERR_REFUSED,"leading zero"},
        {RSA_JWK("AAAA" RFC7638_N,                                      "AQAB"),ERR_REFUSED,"leading zero"},
        {RSA_JWK("AQAB",                                  "AQAB"),                                                                          ERR_REFUSED,                                                                                                                                                                 "shorter than 2048"},
        {RSA_JWK(RFC7638_N RFC7638_N "AAA",   "AQAB"),ERR_REFUSED,"too large"},
        {RSA_JWK(RFC7638_N,      "AQAA"),ERR_REFUSED,"even"},
        {RSA_JWK(RFC7638_N,                                      "AQ"),                                      ERR_REFUSED,                                                                     "1 or even"},
        {RSA_JWK(RFC7638_N,                                               "AQAAAAAAAQ"),                                                                           ERR_REFUSED,                                                                                                                             "32 bits"},
        {"{\"kty\":\"RSA\",\"n\":\"" RFC7638_N "\",\"e\":\"AQAB\",\"qi\":\"AA\"}",                                 ERR_REFUSED,                                                                             "private"                                                                                                                                                                                                                                                                                                },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct key *key = NULL;
        struct str why = {0};
        enum err e = key_from_jwk(&arena, str_c(rows[i].jwk), SEALING_REAL, &key, &why);
        if (e != rows[i].err) fail_msg("%s: %s", rows[i].jwk, err_text(e));
        assert_null(key);
        assert_int_equal(why.at != NULL, e == ERR_REFUSED);
        if (rows[i].why && str_find(why, rows[i].why) < 0) fail_msg("%s: %.*s", rows[i].jwk, STR_ARGS(why));
    }
    struct buf deep = {.arena = &arena};
    for (int i = 0; i < 100000; i++)
        buf_add_c(&deep, "{\"a\":");
    struct key *key = NULL;
    struct str why = {0};
    assert_int_equal(key_from_jwk(&arena, buf_str(&deep), SEALING_REAL, &key, &why), ERR_MALFORMED);
    assert_int_equal(key_from_jwk(&arena, (struct str){0}, SEALING_REAL, &key, &why), ERR_MALFORMED);
}

static void test_spki_is_openssls(void **state)
{
    (void)state;
    for (enum key_kind kind = 0; kind <= KEY_RSA; kind++) {
        struct key *key = key_of(kind, 9), *again;
        EVP_PKEY *pkey = pkey_of(key);
        unsigned char *der = NULL;
        int n = i2d_PUBKEY(pkey, &der);
        assert_true(n > 0);
        struct str spki = key_spki(key, &arena);
        assert_str(spki, (struct str){(char *)der, (size_t)n});
        assert_int_equal(key_from_spki(spki, SEALING_REAL, &again), OK);
        assert_true(key_same(key, again));
        key_free(again);

        /* Cut anywhere or longer by one: no SPKI. Bent anywhere: refused or another key, and no crash. */
        char *copy = arena_alloc(&arena, spki.n + 1);
        memcpy(copy, spki.at, spki.n);
        for (size_t i = 0; i < spki.n; i++)
            assert_int_equal(key_from_spki((struct str){copy, i}, SEALING_REAL, &again), ERR_MALFORMED);
        assert_int_equal(key_from_spki((struct str){copy, spki.n + 1}, SEALING_REAL, &again), ERR_MALFORMED);
        for (size_t i = 0; i < spki.n; i++) {
            copy[i] ^= 0x21;
            if (key_from_spki((struct str){copy, spki.n}, SEALING_REAL, &again) == OK) {
                assert_false(key_same(key, again));
                key_free(again);
            }
            copy[i] ^= 0x21;
        }
        OPENSSL_free(der);
        EVP_PKEY_free(pkey);
        key_free(key);
    }
}

static void test_refuses_spkis(void **state)
{
    (void)state;
    struct key *p256 = key_of(KEY_P256, 10), *key = NULL;
    struct str good = key_spki(p256, &arena);
    char *compressed = arena_copy(&arena, good.at, good.n - 32), *hybrid = arena_copy(&arena, good.at, good.n);
    compressed[1] = (char)(compressed[1] - 32);
    compressed[24] = (char)(compressed[24] - 32);
    compressed[26] = 2;
    hybrid[26] = (char)(6 | (good.at[good.n - 1] & 1));
    assert_int_equal(key_from_spki((struct str){compressed, good.n - 32}, SEALING_REAL, &key), ERR_REFUSED);
    assert_int_equal(key_from_spki((struct str){hybrid, good.n}, SEALING_REAL, &key), ERR_REFUSED);

    static const char *const foreign[] = {"p521.pem", "rsa1024.pem"};
    for (size_t i = 0; i < COUNTOF(foreign); i++) {
        struct str pem = fixture(foreign[i]);
        BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.n);
        EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
        unsigned char *der = NULL;
        int n = i2d_PUBKEY(pkey, &der);
        assert_int_equal(key_from_spki((struct str){(char *)der, (size_t)n}, SEALING_REAL, &key), ERR_REFUSED);
        OPENSSL_free(der);
        EVP_PKEY_free(pkey);
        BIO_free(bio);
    }
    assert_null(key);
    key_free(p256);
}

static struct str public_pem(EVP_PKEY *pkey)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *at;
    assert_int_equal(PEM_write_bio_PUBKEY(bio, pkey), 1);
    long n = BIO_get_mem_data(bio, &at);
    struct str pem = str_copy(&arena, (struct str){at, (size_t)n});
    BIO_free(bio);
    return pem;
}

/* PKCS#8 with a passphrase, or PKCS#1 and SEC 1. */
static struct str other_pem(EVP_PKEY *pkey, bool encrypted)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *at;
    int good = encrypted ? PEM_write_bio_PKCS8PrivateKey(bio, pkey, EVP_aes_128_cbc(), "secret", 6, NULL, NULL)
                         : PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL, NULL, 0, NULL, NULL);
    assert_int_equal(good, 1);
    long n = BIO_get_mem_data(bio, &at);
    struct str pem = str_copy(&arena, (struct str){at, (size_t)n});
    BIO_free(bio);
    return pem;
}

static void test_pem(void **state)
{
    (void)state;
    for (enum key_kind kind = 0; kind <= KEY_RSA; kind++) {
        struct key *key = key_of(kind, 11), *again = key_from_pem(key_pem(key, &arena));
        EVP_PKEY *pkey = pkey_of(key);
        struct str signature;
        assert_non_null(again);
        assert_true(key_same(key, again));
        assert_int_equal(key_sign(again, &arena, STR("x"), &signature), OK);
        assert_true(key_verify(key, STR("x"), signature));
        key_free(again);

        again = key_from_pem(public_pem(pkey));
        assert_non_null(again);
        assert_true(key_same(key, again));
        assert_true(key_verify(again, STR("x"), signature));
        assert_int_equal(key_sign(again, &arena, STR("x"), &signature), ERR_REFUSED);
        key_free(again);

        assert_null(key_from_pem(other_pem(pkey, true)));
        if (kind != KEY_ED25519) {
            again = key_from_pem(other_pem(pkey, false));
            assert_non_null(again);
            assert_true(key_same(key, again));
            key_free(again);
        }
        EVP_PKEY_free(pkey);
        key_free(key);
    }
}

static void test_pem_fixtures(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        int kind; /* -1: refused */
    } rows[] = {
        {"rsa2048.pem", KEY_RSA    },
        {"p384.pem",    KEY_P384   },
        {"ed25519.pem", KEY_ED25519},
        {"p521.pem",    -1         },
        {"rsa1024.pem", -1         },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct str pem = fixture(rows[i].file);
        struct key *key = key_from_pem(pem);
        assert_int_equal(key != NULL, rows[i].kind >= 0);
        if (!key) continue;
        assert_int_equal((int)key_kind(key), rows[i].kind);
        assert_str(key_pem(key, &arena), pem);
        key_free(key);
    }
    assert_null(key_from_pem((struct str){0}));
    assert_null(key_from_pem(STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")));
    assert_null(key_from_pem(STR("-----BEGIN PRIVATE KEY-----\n")));
    assert_null(key_from_pem(STR("junk")));
}

static void test_makes_no_rsa(void **state)
{
    (void)state;
    struct rng rng = seeded(12);
    assert_null(key_make(KEY_RSA, SEALING_REAL, &rng));
    for (enum key_kind kind = KEY_P384; kind <= KEY_RSA; kind++)
        assert_null(key_make(kind, SEALING_SYMBOLIC, &rng));
    key_free(NULL);
}

static void test_symbolic(void **state)
{
    (void)state;
    struct rng rng = seeded(13);
    struct key *key = key_make(KEY_P256, SEALING_SYMBOLIC, &rng), *other = key_make(KEY_P256, SEALING_SYMBOLIC, &rng);
    struct key *read = NULL;
    struct str raw, der, why = {0}, bytes = STR("bytes");
    assert_int_equal(key_sealing(key), SEALING_SYMBOLIC);
    assert_string_equal(key_alg(key), "ES256");
    assert_int_equal(key_sign(key, &arena, bytes, &raw), OK);
    assert_int_equal(key_sign_der(key, &arena, bytes, &der), OK);
    assert_int_equal(raw.n, 64);
    assert_int_equal(der.at[0], DER_SEQUENCE);
    assert_true(key_verify(key, bytes, raw));
    assert_true(key_verify_der(key, bytes, der));
    assert_false(key_verify(other, bytes, raw));
    assert_false(key_verify(key, STR("Bytes"), raw));
    assert_false(key_verify(key, bytes, der));
    assert_false(key_verify(key, bytes, (struct str){raw.at, 63}));
    assert_false(key_same(key, other));
    assert_null(key_pem(key, &arena).at);

    /* On the wire it is a P-256 key; only arithmetic would tell. */
    struct str jwk = key_jwk(key, &arena), spki = key_spki(key, &arena);
    assert_int_equal(spki.n, 91);
    assert_int_equal(key_from_jwk(&arena, jwk, SEALING_REAL, &read, &why), ERR_REFUSED);
    assert_non_null(why.at);
    assert_int_equal(key_from_spki(spki, SEALING_REAL, &read), ERR_REFUSED);
    assert_int_equal(key_from_jwk(&arena, jwk, SEALING_SYMBOLIC, &read, &why), OK);
    assert_true(key_same(key, read));
    assert_true(key_verify(read, bytes, raw));
    assert_int_equal(key_sign(read, &arena, bytes, &raw), ERR_REFUSED);
    key_free(read);
    assert_int_equal(key_from_spki(spki, SEALING_SYMBOLIC, &read), OK);
    assert_true(key_same(key, read));
    assert_true(key_verify_der(read, bytes, der));
    key_free(read);

    for (enum key_kind kind = KEY_P384; kind <= KEY_RSA; kind++) {
        struct key *real = key_of(kind, 14);
        assert_int_equal(key_from_jwk(&arena, key_jwk(real, &arena), SEALING_SYMBOLIC, &read, &why), ERR_REFUSED);
        assert_true(str_find(why, "P-256") >= 0);
        assert_int_equal(key_from_spki(key_spki(real, &arena), SEALING_SYMBOLIC, &read), ERR_REFUSED);
        key_free(real);
    }
    key_free(key);
    key_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_sha256, after_each),
        cmocka_unit_test_teardown(test_hmac, after_each),
        cmocka_unit_test_teardown(test_ecdsa_is_rfc6979, after_each),
        cmocka_unit_test_teardown(test_same_seed_same_bytes, after_each),
        cmocka_unit_test_teardown(test_signs_and_verifies, after_each),
        cmocka_unit_test_teardown(test_agrees_with_openssl, after_each),
        cmocka_unit_test_teardown(test_many_signatures, after_each),
        cmocka_unit_test_teardown(test_refuses_malformed_ecdsa, after_each),
        cmocka_unit_test_teardown(test_jwk_and_thumbprint, after_each),
        cmocka_unit_test_teardown(test_refuses_jwks, after_each),
        cmocka_unit_test_teardown(test_spki_is_openssls, after_each),
        cmocka_unit_test_teardown(test_refuses_spkis, after_each),
        cmocka_unit_test_teardown(test_pem, after_each),
        cmocka_unit_test_teardown(test_pem_fixtures, after_each),
        cmocka_unit_test_teardown(test_makes_no_rsa, after_each),
        cmocka_unit_test_teardown(test_symbolic, after_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
