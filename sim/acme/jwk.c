#include "acme/json.h"
#include "acme/jwk_inside.h"

#include "acme/der.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/pem.h>

enum { RSA_MIN_BITS = 2048, RSA_MAX_BITS = 4096, RSA_MAX_EXPONENT_BITS = 32 };

static const struct key_row rows[] = {
    [KEY_P256] = {"ES256", "P-256",   NID_X9_62_prime256v1, 32, DIGEST_SHA256},
    [KEY_P384] = {"ES384", "P-384",   NID_secp384r1,        48, DIGEST_SHA384},
    [KEY_ED25519] = {"EdDSA", "Ed25519", NID_ED25519,          32, DIGEST_NONE  },
    [KEY_RSA] = {"RS256", NULL,      NID_rsaEncryption,    0,  DIGEST_SHA256},
};

const struct key_row *key_row(enum key_kind kind)
{
    assert((unsigned)kind < COUNTOF(rows));
    return &rows[kind];
}

const char *key_alg(const struct key *key)
{
    return rows[key->kind].alg;
}

enum key_kind key_kind(const struct key *key)
{
    return key->kind;
}

enum sealing key_sealing(const struct key *key)
{
    return key->sealing;
}

void key_free(struct key *key)
{
    if (!key) return;
    EC_KEY_free(key->ec);
    EVP_PKEY_free(key->ed25519);
    RSA_free(key->rsa);
    free(key);
}

/* --- making -------------------------------------------------------------------------------------------------- */
/* The two groups are made once and live as long as the process: making one costs more than using it. */
static const EC_GROUP *group_of(enum key_kind kind)
{
    static EC_GROUP *groups[2];
    size_t i = kind == KEY_P384;
    if (!groups[i]) groups[i] = EC_GROUP_new_by_curve_name(rows[kind].nid);
    return groups[i];
}

static struct key *key_new(enum key_kind kind, enum sealing sealing)
{
    struct key *key = calloc(1, sizeof *key);
    if (!key) {
        fputs("acmedrill: out of memory\n", stderr);
        abort();
    }
    key->kind = kind;
    key->sealing = sealing;
    return key;
}

/* The last step of making a key. Takes it, and gives it back unless it failed. */
static struct key *key_finish(struct key *key, bool good)
{
    if (!good) {
        ERR_clear_error();
        key_free(key);
        return NULL;
    }
    struct arena arena = {0};
    struct str text = base64url(&arena, sha256(&arena, key_jwk(key, &arena)));
    assert(text.n == THUMBPRINT_TEXT);
    memcpy(key->thumbprint, text.at, text.n);
    arena_done(&arena);
    return key;
}

static bool ec_set_point(struct key *key, const EC_GROUP *group, const EC_POINT *point)
{
    key->ec = EC_KEY_new();
    return key->ec && EC_KEY_set_group(key->ec, group) == 1 && EC_KEY_set_public_key(key->ec, point) == 1;
}

/* From x and y, each row->octets long. NULL: not on the curve. */
static struct key *ec_from_point(enum key_kind kind, enum sealing sealing, const char *xy)
{
    size_t n = 2 * rows[kind].octets;
    struct key *key = key_new(kind, sealing);
    memcpy(key->point, xy, n);
    if (sealing == SEALING_SYMBOLIC) return key_finish(key, kind == KEY_P256);

    unsigned char octets[1 + 2 * MAX_COORDINATE] = {POINT_CONVERSION_UNCOMPRESSED};
    memcpy(octets + 1, xy, n);
    const EC_GROUP *group = group_of(kind);
    EC_POINT *point = group ? EC_POINT_new(group) : NULL;
    bool good = point && EC_POINT_oct2point(group, point, octets, 1 + n, NULL) == 1 && ec_set_point(key, group, point);
    EC_POINT_free(point);
    return key_finish(key, good);
}

/* NULL: the scalar is not between 1 and the order. */
static struct key *ec_from_scalar(enum key_kind kind, const BIGNUM *scalar)
{
    size_t n = 1 + 2 * rows[kind].octets;
    unsigned char octets[1 + 2 * MAX_COORDINATE];
    const EC_GROUP *group = group_of(kind);
    if (!group || BN_is_zero(scalar) || BN_cmp(scalar, EC_GROUP_get0_order(group)) >= 0) return NULL;
    struct key *key = key_new(kind, SEALING_REAL);
    EC_POINT *point = EC_POINT_new(group);
    bool good = point && EC_POINT_mul(group, point, scalar, NULL, NULL, NULL) == 1 &&
                EC_POINT_point2oct(group, point, POINT_CONVERSION_UNCOMPRESSED, octets, n, NULL) == n &&
                ec_set_point(key, group, point) && EC_KEY_set_private_key(key->ec, scalar) == 1;
    if (good) memcpy(key->point, octets + 1, n - 1);
    key->is_private = true;
    EC_POINT_free(point);
    return key_finish(key, good);
}

static struct key *ec_make(enum key_kind kind, struct rng *rng)
{
    struct key *key = NULL;
    unsigned char octets[MAX_COORDINATE];
    BIGNUM *scalar = BN_new();
    while (scalar && !key) {
        rng_bytes(rng, octets, rows[kind].octets);
        if (!BN_bin2bn(octets, (int)rows[kind].octets, scalar)) break;
        key = ec_from_scalar(kind, scalar);
    }
    BN_free(scalar);
    return key;
}

static struct key *ed25519_from(EVP_PKEY *pkey, bool is_private)
{
    struct key *key = key_new(KEY_ED25519, SEALING_REAL);
    size_t n = rows[KEY_ED25519].octets;
    key->ed25519 = pkey;
    key->is_private = is_private;
    return key_finish(key, pkey && EVP_PKEY_get_raw_public_key(pkey, key->point, &n) == 1);
}

struct key *key_make(enum key_kind kind, enum sealing sealing, struct rng *rng)
{
    unsigned char octets[64];
    if (sealing == SEALING_SYMBOLIC) {
        if (kind != KEY_P256) return NULL;
        rng_bytes(rng, octets, 64);
        struct key *key = ec_from_point(kind, sealing, (char *)octets);
        key->is_private = true;
        return key;
    }
    switch (kind) {
    case KEY_P256:
    case KEY_P384: return ec_make(kind, rng);
    case KEY_ED25519:
        rng_bytes(rng, octets, 32);
        return ed25519_from(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, octets, 32), true);
    case KEY_RSA: break;
    }
    return NULL;
}

/* Why an RSA public key is not one we take; NULL: it is. */
static const char *rsa_flaw(const BIGNUM *n, const BIGNUM *e)
{
    if (BN_num_bits(n) < RSA_MIN_BITS) return "the RSA modulus is shorter than 2048 bits";
    if (BN_num_bits(n) > RSA_MAX_BITS) return "the RSA modulus is longer than 4096 bits";
    if (!BN_is_odd(n)) return "the RSA modulus is even";
    if (!BN_is_odd(e) || BN_is_one(e)) return "the RSA exponent is 1 or even";
    if (BN_num_bits(e) > RSA_MAX_EXPONENT_BITS) return "the RSA exponent is longer than 32 bits";
    return NULL;
}

/* From big-endian octets without leading zeros. */
static enum err rsa_from_numbers(struct str modulus, struct str exponent, struct key **ret, const char **reterr_why)
{
    enum err e = ERR_CRYPTO;
    struct key *key = key_new(KEY_RSA, SEALING_REAL);
    BIGNUM *n_number = NULL, *e_number = NULL;
    *reterr_why = "the RSA key is too large";
    if (modulus.n > RSA_MAX_BITS / 8 || exponent.n > RSA_MAX_BITS / 8) {
        e = ERR_REFUSED;
        goto out;
    }
    n_number = BN_bin2bn((const unsigned char *)modulus.at, (int)modulus.n, NULL);
    e_number = BN_bin2bn((const unsigned char *)exponent.at, (int)exponent.n, NULL);
    if (!n_number || !e_number) goto out;
    if ((*reterr_why = rsa_flaw(n_number, e_number))) {
        e = ERR_REFUSED;
        goto out;
    }
    key->rsa = RSA_new();
    if (!key->rsa || RSA_set0_key(key->rsa, n_number, e_number, NULL) != 1) goto out;
    n_number = e_number = NULL; /* they are the key's now */
    *ret = key_finish(key, true);
    key = NULL;
    e = OK;
out:
    BN_free(n_number);
    BN_free(e_number);
    key_free(key);
    return e;
}

/* --- JWK --------------------------------------------------------------------------------------------------------- */
static struct str number_octets(const BIGNUM *number, struct arena *arena)
{
    size_t n = (size_t)BN_num_bytes(number);
    unsigned char *at = arena_alloc(arena, n + 1);
    BN_bn2bin(number, at);
    return (struct str){(char *)at, n};
}

static struct str point_part(const struct key *key, size_t i)
{
    size_t n = rows[key->kind].octets;
    return (struct str){(const char *)key->point + i * n, n};
}

struct str key_jwk(const struct key *key, struct arena *arena)
{
    const char *crv = rows[key->kind].crv;
    struct str x = base64url(arena, point_part(key, 0));
    switch (key->kind) {
    case KEY_P256:
    case KEY_P384:
        return str_fmt(arena, "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", crv, x.at,
                       base64url(arena, point_part(key, 1)).at);
    case KEY_ED25519: return str_fmt(arena, "{\"crv\":\"%s\",\"kty\":\"OKP\",\"x\":\"%s\"}", crv, x.at);
    case KEY_RSA:
        return str_fmt(arena, "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}",
                       base64url(arena, number_octets(RSA_get0_e(key->rsa), arena)).at,
                       base64url(arena, number_octets(RSA_get0_n(key->rsa), arena)).at);
    }
    return (struct str){0};
}

struct str key_thumbprint(const struct key *key, struct arena *arena)
{
    return str_copy(arena, (struct str){key->thumbprint, THUMBPRINT_TEXT});
}

bool key_same(const struct key *a, const struct key *b)
{
    return memcmp(a->thumbprint, b->thumbprint, THUMBPRINT_TEXT) == 0;
}

struct jwk_reading {
    struct arena *arena;
    json_t *root;
    struct str why;
};

static enum err jwk_refuse(struct jwk_reading *jwk, const char *why)
{
    jwk->why = str_c(why);
    return ERR_REFUSED;
}

static struct str jwk_text(const struct jwk_reading *jwk, const char *name)
{
    return str_c(json_string_value(json_object_get(jwk->root, name)));
}

/* Octets of a required member; exactly n of them unless n is 0. */
static enum err jwk_octets(struct jwk_reading *jwk, const char *name, size_t n, struct str *ret)
{
    struct str text = jwk_text(jwk, name);
    if (!text.at) jwk->why = str_fmt(jwk->arena, "the member \"%s\" is missing or not a string", name);
    else if (base64url_decode(jwk->arena, text, ret))
        jwk->why = str_fmt(jwk->arena, "the member \"%s\" is not base64url", name);
    else if (n && ret->n != n)
        jwk->why = str_fmt(jwk->arena, "the member \"%s\" has %zu octets, not %zu", name, ret->n, n);
    else return OK;
    return ERR_REFUSED;
}

static enum err jwk_ec(struct jwk_reading *jwk, enum sealing sealing, struct key **ret)
{
    struct str crv = jwk_text(jwk, "crv"), x, y;
    char xy[2 * MAX_COORDINATE];
    enum key_kind kind = str_is(crv, "P-384") ? KEY_P384 : KEY_P256;
    size_t n = rows[kind].octets;
    if (!str_is(crv, rows[kind].crv)) return jwk_refuse(jwk, "the curve of an EC key must be P-256 or P-384");
    enum err e = jwk_octets(jwk, "x", n, &x);
    if (!e) e = jwk_octets(jwk, "y", n, &y);
    if (e) return e;
    memcpy(xy, x.at, n);
    memcpy(xy + n, y.at, n);
    *ret = ec_from_point(kind, sealing, xy);
    return *ret ? OK : jwk_refuse(jwk, "x and y are not a point of the curve");
}

static enum err jwk_okp(struct jwk_reading *jwk, struct key **ret)
{
    struct str x;
    if (!str_is(jwk_text(jwk, "crv"), "Ed25519")) return jwk_refuse(jwk, "the curve of an OKP key must be Ed25519");
    enum err e = jwk_octets(jwk, "x", rows[KEY_ED25519].octets, &x);
    if (e) return e;
    *ret = ed25519_from(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)x.at, x.n), false);
    return *ret ? OK : ERR_CRYPTO;
}

static enum err jwk_rsa(struct jwk_reading *jwk, struct key **ret)
{
    struct str modulus, exponent;
    const char *why = NULL;
    enum err e = jwk_octets(jwk, "n", 0, &modulus);
    if (!e) e = jwk_octets(jwk, "e", 0, &exponent);
    if (e) return e;
    if (modulus.n == 0 || exponent.n == 0) return jwk_refuse(jwk, "n and e of an RSA key are not empty");
    if (modulus.at[0] == 0 || exponent.at[0] == 0) return jwk_refuse(jwk, "n and e have no leading zero octets");
    e = rsa_from_numbers(modulus, exponent, ret, &why);
    return e == ERR_REFUSED ? jwk_refuse(jwk, why) : e;
}

/* RFC 7518 sections 6.2.2, 6.3.2 and 6.4.1, RFC 8037 section 2. */
static const char *const private_members[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

static enum err jwk_read(struct jwk_reading *jwk, enum sealing sealing, struct key **ret)
{
    struct str kty = jwk_text(jwk, "kty");
    if (!kty.at) return ERR_MALFORMED;
    for (size_t i = 0; i < COUNTOF(private_members); i++)
        if (json_object_get(jwk->root, private_members[i]))
            return jwk_refuse(jwk, "the JWK holds a private key: consider it compromised");
    if (str_is(kty, "EC") && (sealing == SEALING_REAL || str_is(jwk_text(jwk, "crv"), "P-256")))
        return jwk_ec(jwk, sealing, ret);
    if (sealing == SEALING_SYMBOLIC) return jwk_refuse(jwk, "symbolic sealing takes P-256 keys only");
    if (str_is(kty, "OKP")) return jwk_okp(jwk, ret);
    if (str_is(kty, "RSA")) return jwk_rsa(jwk, ret);
    return jwk_refuse(jwk, "the key type must be EC, RSA or OKP");
}

enum err key_from_jwk(struct arena *arena, struct str json, enum sealing sealing, struct key **ret,
                      struct str *reterr_why)
{
    struct jwk_reading jwk = {.arena = arena};
    struct key *key = NULL;
    jwk.root = json_read(json, JSON_REJECT_DUPLICATES);
    enum err e = json_is_object(jwk.root) ? jwk_read(&jwk, sealing, &key) : ERR_MALFORMED;
    if (e == ERR_REFUSED) *reterr_why = jwk.why;
    else if (!e) *ret = key;
    json_decref(jwk.root);
    return e;
}

/* --- SubjectPublicKeyInfo: RFC 5280 section 4.1, RFC 5480, RFC 3279 section 2.3.1, RFC 8410
 * ------------------------------ */
static const struct str spki_algorithms[] = {
    [KEY_P256] = OCTETS("\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"),
    [KEY_P384] = OCTETS("\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22"),
    [KEY_ED25519] = OCTETS("\x30\x05\x06\x03\x2b\x65\x70"),
    [KEY_RSA] = OCTETS("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"),
};
static_assert(COUNTOF(spki_algorithms) == COUNTOF(rows), "every kind of key has an algorithm identifier");

struct str key_spki(const struct key *key, struct arena *arena)
{
    struct buf bits = {.arena = arena}, out = {.arena = arena};
    switch (key->kind) {
    case KEY_P256:
    case KEY_P384:
        buf_add_char(&bits, POINT_CONVERSION_UNCOMPRESSED);
        buf_add(&bits, (struct str){(const char *)key->point, 2 * rows[key->kind].octets});
        break;
    case KEY_ED25519: buf_add(&bits, point_part(key, 0)); break;
    case KEY_RSA: {
        size_t numbers = der_open(&bits, DER_SEQUENCE);
        der_add_number(&bits, number_octets(RSA_get0_n(key->rsa), arena));
        der_add_number(&bits, number_octets(RSA_get0_e(key->rsa), arena));
        der_close(&bits, numbers);
        break;
    }
    }
    size_t opened = der_open(&out, DER_SEQUENCE);
    buf_add(&out, spki_algorithms[key->kind]);
    der_add_bits(&out, buf_str(&bits));
    der_close(&out, opened);
    return buf_str(&out);
}

static enum err key_from_bits(enum key_kind kind, enum sealing sealing, struct str bits, struct key **ret)
{
    struct str modulus, exponent, numbers;
    const char *why;
    switch (kind) {
    case KEY_P256:
    case KEY_P384:
        if (bits.n != 1 + 2 * rows[kind].octets || bits.at[0] != POINT_CONVERSION_UNCOMPRESSED) return ERR_REFUSED;
        *ret = ec_from_point(kind, sealing, bits.at + 1);
        return *ret ? OK : ERR_REFUSED;
    case KEY_ED25519:
        if (bits.n != rows[kind].octets) return ERR_REFUSED;
        *ret = ed25519_from(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)bits.at, bits.n),
                            false);
        return *ret ? OK : ERR_CRYPTO;
    case KEY_RSA:
        if (!der_only(bits, DER_SEQUENCE, &numbers) || !der_take_number(&numbers, &modulus) ||
            !der_take_number(&numbers, &exponent) || numbers.n)
            return ERR_MALFORMED;
        return rsa_from_numbers(modulus, exponent, ret, &why);
    }
    return ERR_REFUSED;
}

enum err key_from_spki(struct str der, enum sealing sealing, struct key **ret)
{
    struct str body, bits;
    struct der_element algorithm;
    if (!der_only(der, DER_SEQUENCE, &body) || !der_next(&body, &algorithm) || algorithm.tag != DER_SEQUENCE ||
        !der_take_bits(&body, &bits) || body.n)
        return ERR_MALFORMED;
    for (enum key_kind kind = 0; kind < COUNTOF(spki_algorithms); kind++) {
        if (!str_eq(algorithm.whole, spki_algorithms[kind])) continue;
        if (sealing == SEALING_SYMBOLIC && kind != KEY_P256) break;
        struct key *key = NULL;
        enum err e = key_from_bits(kind, sealing, bits, &key);
        if (!e) *ret = key;
        return e;
    }
    return ERR_REFUSED;
}

/* --- PEM --------------------------------------------------------------------------------------------------------- */
static int no_passphrase(char *at, int room, int writing, void *context)
{
    (void)at, (void)room, (void)writing, (void)context;
    return -1;
}

static EVP_PKEY *pem_read(struct str pem, bool is_private)
{
    BIO *bio = pem.n && pem.n <= INT_MAX ? BIO_new_mem_buf(pem.at, (int)pem.n) : NULL;
    EVP_PKEY *pkey = NULL;
    if (bio)
        pkey = is_private ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL)
                          : PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    return pkey;
}

static struct key *ec_from_pkey(EVP_PKEY *pkey)
{
    const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(pkey);
    int nid = ec ? EC_GROUP_get_curve_name(EC_KEY_get0_group(ec)) : NID_undef;
    if (nid != rows[KEY_P256].nid && nid != rows[KEY_P384].nid) return NULL;
    enum key_kind kind = nid == rows[KEY_P384].nid ? KEY_P384 : KEY_P256;
    const BIGNUM *scalar = EC_KEY_get0_private_key(ec);
    if (scalar) return ec_from_scalar(kind, scalar);
    unsigned char octets[1 + 2 * MAX_COORDINATE];
    size_t n = 1 + 2 * rows[kind].octets;
    if (EC_POINT_point2oct(EC_KEY_get0_group(ec), EC_KEY_get0_public_key(ec), POINT_CONVERSION_UNCOMPRESSED, octets, n,
                           NULL) != n)
        return NULL;
    return ec_from_point(kind, SEALING_REAL, (char *)octets + 1);
}

static struct key *rsa_from_pkey(EVP_PKEY *pkey)
{
    struct key *key = key_new(KEY_RSA, SEALING_REAL);
    key->rsa = EVP_PKEY_get1_RSA(pkey);
    key->is_private = key->rsa && RSA_get0_d(key->rsa);
    return key_finish(key, key->rsa && !rsa_flaw(RSA_get0_n(key->rsa), RSA_get0_e(key->rsa)));
}

struct key *key_from_pem(struct str pem)
{
    struct key *key = NULL;
    bool is_private = true;
    EVP_PKEY *pkey = pem_read(pem, is_private);
    if (!pkey) pkey = pem_read(pem, is_private = false);
    switch (pkey ? EVP_PKEY_get_base_id(pkey) : EVP_PKEY_NONE) {
    case EVP_PKEY_EC: key = ec_from_pkey(pkey); break;
    case EVP_PKEY_RSA: key = rsa_from_pkey(pkey); break;
    case EVP_PKEY_ED25519:
        EVP_PKEY_up_ref(pkey);
        key = ed25519_from(pkey, is_private);
        break;
    default: break;
    }
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return key;
}

EVP_PKEY *key_evp(const struct key *key)
{
    if (!key->is_private || key->sealing == SEALING_SYMBOLIC) return NULL;
    if (key->ed25519) return EVP_PKEY_up_ref(key->ed25519) == 1 ? key->ed25519 : NULL;
    EVP_PKEY *pkey = EVP_PKEY_new();
    bool good = pkey && (key->ec ? EVP_PKEY_set1_EC_KEY(pkey, key->ec) : EVP_PKEY_set1_RSA(pkey, key->rsa)) == 1;
    if (good) return pkey;
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return NULL;
}

struct str key_pem(const struct key *key, struct arena *arena)
{
    struct str pem = {0};
    char *at = NULL;
    EVP_PKEY *pkey = key_evp(key);
    BIO *bio = BIO_new(BIO_s_mem());
    if (pkey && bio && PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1) {
        long n = BIO_get_mem_data(bio, &at);
        pem = str_copy(arena, (struct str){at, (size_t)n});
    }
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return pem;
}
