#include "acme/der.h"
#include "acme/jwk_inside.h"

#include <assert.h>
#include <string.h>

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/sha.h>

enum { MAX_BLOCK = 128 };

/* --- hashes -------------------------------------------------------------------------------------------------- */
struct hash {
    enum digest digest;
    union {
        SHA256_CTX sha256;
        SHA512_CTX sha512;
    } as;
};

static const struct {
    size_t size, block;
    int nid;
} digests[] = {
    [DIGEST_SHA256] = {32, 64,  NID_sha256},
    [DIGEST_SHA384] = {48, 128, NID_sha384},
    [DIGEST_SHA512] = {64, 128, NID_sha512},
};

size_t digest_size(enum digest digest)
{
    return digests[digest].size;
}

static void hash_start(struct hash *hash, enum digest digest)
{
    hash->digest = digest;
    switch (digest) {
    case DIGEST_SHA256: SHA256_Init(&hash->as.sha256); break;
    case DIGEST_SHA384: SHA384_Init(&hash->as.sha512); break;
    case DIGEST_SHA512: SHA512_Init(&hash->as.sha512); break;
    case DIGEST_NONE: assert(0); break;
    }
}

static void hash_add(struct hash *hash, const void *bytes, size_t n)
{
    if (hash->digest == DIGEST_SHA256) SHA256_Update(&hash->as.sha256, bytes, n);
    else SHA512_Update(&hash->as.sha512, bytes, n);
}

static void hash_end(struct hash *hash, unsigned char *ret)
{
    if (hash->digest == DIGEST_SHA256) SHA256_Final(ret, &hash->as.sha256);
    else if (hash->digest == DIGEST_SHA384) SHA384_Final(ret, &hash->as.sha512);
    else SHA512_Final(ret, &hash->as.sha512);
}

void digest_of(enum digest digest, struct str bytes, unsigned char ret[MAX_DIGEST])
{
    struct hash hash;
    hash_start(&hash, digest);
    hash_add(&hash, bytes.at, bytes.n);
    hash_end(&hash, ret);
}

struct str sha256(struct arena *arena, struct str bytes)
{
    unsigned char digest[MAX_DIGEST];
    digest_of(DIGEST_SHA256, bytes, digest);
    return str_copy(arena, (struct str){(char *)digest, digest_size(DIGEST_SHA256)});
}

/* --- HMAC: RFC 2104 ---------------------------------------------------------------------------------------------- */
struct hmac {
    struct hash hash;
    unsigned char pad[MAX_BLOCK];
};

static void hmac_start(struct hmac *hmac, enum digest digest, const void *key, size_t n)
{
    size_t block = digests[digest].block;
    unsigned char short_key[MAX_DIGEST];
    if (n > block) {
        digest_of(digest, (struct str){key, n}, short_key);
        key = short_key;
        n = digest_size(digest);
    }
    memset(hmac->pad, 0x36, block);
    for (size_t i = 0; i < n; i++)
        hmac->pad[i] ^= ((const unsigned char *)key)[i];
    hash_start(&hmac->hash, digest);
    hash_add(&hmac->hash, hmac->pad, block);
}

static void hmac_end(struct hmac *hmac, unsigned char *ret)
{
    enum digest digest = hmac->hash.digest;
    size_t block = digests[digest].block;
    unsigned char inner[MAX_DIGEST];
    hash_end(&hmac->hash, inner);
    for (size_t i = 0; i < block; i++)
        hmac->pad[i] ^= 0x36 ^ 0x5c;
    hash_start(&hmac->hash, digest);
    hash_add(&hmac->hash, hmac->pad, block);
    hash_add(&hmac->hash, inner, digest_size(digest));
    hash_end(&hmac->hash, ret);
}

void hmac_of(enum digest digest, struct str key, struct str bytes, unsigned char ret[MAX_DIGEST])
{
    struct hmac hmac;
    hmac_start(&hmac, digest, key.at, key.n);
    hash_add(&hmac.hash, bytes.at, bytes.n);
    hmac_end(&hmac, ret);
}

/* --- the nonce of an ECDSA signature: RFC 6979 section 3.2 ------------------------------------------------------- */
struct drbg {
    enum digest digest;
    size_t n;
    unsigned char key[MAX_DIGEST], v[MAX_DIGEST];
};

/* HMAC with the generator's key over v, one octet (none if negative) and some more bytes. */
static void drbg_mac(struct drbg *drbg, int octet, const unsigned char *more, size_t n, unsigned char *ret)
{
    struct hmac hmac;
    hmac_start(&hmac, drbg->digest, drbg->key, drbg->n);
    hash_add(&hmac.hash, drbg->v, drbg->n);
    if (octet >= 0) hash_add(&hmac.hash, &(unsigned char){(unsigned char)octet}, 1);
    if (n) hash_add(&hmac.hash, more, n);
    hmac_end(&hmac, ret);
}

static void drbg_update(struct drbg *drbg, int octet, const unsigned char *more, size_t n)
{
    drbg_mac(drbg, octet, more, n, drbg->key);
    drbg_mac(drbg, -1, NULL, 0, drbg->v);
}

static void drbg_start(struct drbg *drbg, enum digest digest, const unsigned char *secret_and_hash, size_t n)
{
    drbg->digest = digest;
    drbg->n = digest_size(digest);
    memset(drbg->key, 0, drbg->n);
    memset(drbg->v, 1, drbg->n);
    drbg_update(drbg, 0, secret_and_hash, n);
    drbg_update(drbg, 1, secret_and_hash, n);
}

/* --- ECDSA -------------------------------------------------------------------------------------------------------- */
/* r and s by one k. *s is 0 when this k will not do: section 3.2, step h.3. false: OpenSSL failed. */
static bool ecdsa_try(const EC_KEY *ec, BIGNUM *k, const BIGNUM *z, BIGNUM *r, BIGNUM *s, BN_CTX *ctx)
{
    const EC_GROUP *group = EC_KEY_get0_group(ec);
    const BIGNUM *order = EC_GROUP_get0_order(group);
    BN_zero(s);
    if (BN_is_zero(k) || BN_cmp(k, order) >= 0) return true;
    EC_POINT *point = EC_POINT_new(group);
    bool good = point && EC_POINT_mul(group, point, k, NULL, NULL, ctx) == 1 &&
                EC_POINT_get_affine_coordinates(group, point, r, NULL, ctx) == 1 && BN_nnmod(r, r, order, ctx) == 1 &&
                BN_mod_mul(s, r, EC_KEY_get0_private_key(ec), order, ctx) == 1 &&
                BN_mod_add(s, s, z, order, ctx) == 1 && BN_mod_inverse(k, k, order, ctx) &&
                BN_mod_mul(s, s, k, order, ctx) == 1;
    if (good && BN_is_zero(r)) BN_zero(s);
    EC_POINT_free(point);
    return good;
}

/* r and s, each as long as a coordinate. The digest is as long as the group's order: true of ES256 and of ES384. */
static enum err ecdsa_sign(const struct key *key, struct str bytes, unsigned char *ret_raw)
{
    const struct key_row *row = key_row(key->kind);
    const BIGNUM *order = EC_GROUP_get0_order(EC_KEY_get0_group(key->ec));
    size_t n = row->octets;
    int octets = (int)n;
    enum err e = ERR_CRYPTO;
    unsigned char digest[MAX_DIGEST], seed[2 * MAX_COORDINATE];
    struct drbg drbg;
    BN_CTX *ctx = BN_CTX_new();

    assert(digest_size(row->digest) == n);
    if (!ctx) return e;
    BN_CTX_start(ctx);
    BIGNUM *z = BN_CTX_get(ctx), *k = BN_CTX_get(ctx), *r = BN_CTX_get(ctx), *s = BN_CTX_get(ctx);
    digest_of(row->digest, bytes, digest);
    if (!s || !BN_bin2bn(digest, octets, z) || !BN_nnmod(z, z, order, ctx)) goto out;
    if (BN_bn2binpad(EC_KEY_get0_private_key(key->ec), seed, octets) < 0) goto out;
    if (BN_bn2binpad(z, seed + n, octets) < 0) goto out;
    drbg_start(&drbg, row->digest, seed, 2 * n);
    for (;;) {
        drbg_mac(&drbg, -1, NULL, 0, drbg.v);
        if (!BN_bin2bn(drbg.v, octets, k) || !ecdsa_try(key->ec, k, z, r, s, ctx)) goto out;
        if (!BN_is_zero(s)) break;
        drbg_update(&drbg, 0, NULL, 0);
    }
    if (BN_bn2binpad(r, ret_raw, octets) < 0 || BN_bn2binpad(s, ret_raw + n, octets) < 0) goto out;
    e = OK;
out:
    BN_CTX_end(ctx);
    BN_CTX_free(ctx);
    return e;
}

static bool ecdsa_verify(const struct key *key, enum digest digest, struct str bytes, const unsigned char *raw)
{
    int octets = (int)key_row(key->kind)->octets;
    unsigned char hash[MAX_DIGEST];
    bool good = false;
    BIGNUM *r = BN_bin2bn(raw, octets, NULL), *s = BN_bin2bn(raw + octets, octets, NULL);
    ECDSA_SIG *sig = ECDSA_SIG_new();
    if (!r || !s || !sig || !ECDSA_SIG_set0(sig, r, s)) goto out;
    r = s = NULL; /* they are sig's now */
    digest_of(digest, bytes, hash);
    good = ECDSA_do_verify(hash, (int)digest_size(digest), sig, key->ec) == 1;
out:
    ECDSA_SIG_free(sig);
    BN_free(r);
    BN_free(s);
    return good;
}

/* --- symbolic ----------------------------------------------------------------------------------------------------- */
enum { SYMBOLIC_SIGNATURE = 64 };

static void symbolic_sign(const struct key *key, struct str bytes, unsigned char ret_raw[SYMBOLIC_SIGNATURE])
{
    size_t half = SYMBOLIC_SIGNATURE / 2;
    struct hash hash;
    hash_start(&hash, DIGEST_SHA256);
    hash_add(&hash, key->point, 2 * key_row(key->kind)->octets);
    hash_add(&hash, bytes.at, bytes.n);
    hash_end(&hash, ret_raw);
    hash_start(&hash, DIGEST_SHA256);
    hash_add(&hash, ret_raw, half);
    hash_end(&hash, ret_raw + half);
}

static bool symbolic_verify(const struct key *key, struct str bytes, const unsigned char *raw)
{
    unsigned char want[SYMBOLIC_SIGNATURE];
    symbolic_sign(key, bytes, want);
    return memcmp(want, raw, sizeof want) == 0;
}

/* --- Ed25519 and RSA ------------------------------------------------------------------------------------------------
 */
static enum err ed25519_sign(const struct key *key, struct str bytes, unsigned char ret_raw[64])
{
    size_t n = 64;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->ed25519) == 1 &&
                EVP_DigestSign(ctx, ret_raw, &n, (const unsigned char *)bytes.at, bytes.n) == 1 && n == 64;
    EVP_MD_CTX_free(ctx);
    return good ? OK : ERR_CRYPTO;
}

static bool ed25519_verify(const struct key *key, struct str bytes, struct str signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->ed25519) == 1 &&
                EVP_DigestVerify(ctx, (const unsigned char *)signature.at, signature.n, (const unsigned char *)bytes.at,
                                 bytes.n) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static enum err rsa_sign(const struct key *key, struct arena *arena, struct str bytes, struct str *ret)
{
    unsigned char digest[MAX_DIGEST];
    unsigned n = 0;
    unsigned char *raw = arena_alloc(arena, (size_t)RSA_size(key->rsa) + 1);
    digest_of(DIGEST_SHA256, bytes, digest);
    if (RSA_sign(NID_sha256, digest, (unsigned)digest_size(DIGEST_SHA256), raw, &n, key->rsa) != 1) return ERR_CRYPTO;
    *ret = (struct str){(char *)raw, n};
    return OK;
}

static bool rsa_verify(const struct key *key, enum digest digest, struct str bytes, struct str signature)
{
    unsigned char hash[MAX_DIGEST];
    if (signature.n != (size_t)RSA_size(key->rsa)) return false;
    digest_of(digest, bytes, hash);
    return RSA_verify(digests[digest].nid, hash, (unsigned)digest_size(digest), (const unsigned char *)signature.at,
                      (unsigned)signature.n, key->rsa) == 1;
}

/* --- any kind -------------------------------------------------------------------------------------------------------
 */
static bool is_ec(const struct key *key)
{
    return key->kind == KEY_P256 || key->kind == KEY_P384;
}

enum err key_sign(const struct key *key, struct arena *arena, struct str bytes, struct str *ret)
{
    unsigned char raw[2 * MAX_COORDINATE];
    enum err e = ERR_CRYPTO;
    size_t n = 2 * key_row(key->kind)->octets;
    if (!key->is_private) return ERR_REFUSED;
    if (key->sealing == SEALING_SYMBOLIC) {
        symbolic_sign(key, bytes, raw);
        e = OK;
    } else {
        switch (key->kind) {
        case KEY_P256:
        case KEY_P384: e = ecdsa_sign(key, bytes, raw); break;
        case KEY_ED25519: e = ed25519_sign(key, bytes, raw); break;
        case KEY_RSA: e = rsa_sign(key, arena, bytes, ret); break;
        }
    }
    if (e) ERR_clear_error(); /* what is left in the queue would confuse TLS */
    else if (key->kind != KEY_RSA) *ret = str_copy(arena, (struct str){(char *)raw, n});
    return e;
}

/* Ecdsa-Sig-Value of RFC 3279 section 2.2.3. */
enum err key_sign_der(const struct key *key, struct arena *arena, struct str bytes, struct str *ret)
{
    struct str raw;
    enum err e = key_sign(key, arena, bytes, &raw);
    if (e) return e;
    if (is_ec(key)) {
        struct buf buf = {.arena = arena};
        size_t half = raw.n / 2, opened = der_open(&buf, DER_SEQUENCE);
        der_add_number(&buf, (struct str){raw.at, half});
        der_add_number(&buf, (struct str){raw.at + half, half});
        der_close(&buf, opened);
        raw = buf_str(&buf);
    }
    *ret = raw;
    return OK;
}

static bool verify_raw(const struct key *key, enum digest digest, struct str bytes, struct str signature)
{
    bool good = false;
    const unsigned char *raw = (const unsigned char *)signature.at;
    if (key->kind != KEY_RSA && signature.n != 2 * key_row(key->kind)->octets) return false;
    if (key->sealing == SEALING_SYMBOLIC) return symbolic_verify(key, bytes, raw);
    switch (key->kind) {
    case KEY_P256:
    case KEY_P384: good = ecdsa_verify(key, digest, bytes, raw); break;
    case KEY_ED25519: good = ed25519_verify(key, bytes, signature); break;
    case KEY_RSA: good = rsa_verify(key, digest, bytes, signature); break;
    }
    if (!good) ERR_clear_error();
    return good;
}

bool key_verify(const struct key *key, struct str bytes, struct str signature)
{
    return verify_raw(key, key_row(key->kind)->digest, bytes, signature);
}

bool key_verify_with(const struct key *key, enum digest digest, struct str bytes, struct str signature)
{
    if ((digest == DIGEST_NONE) != (key->kind == KEY_ED25519)) return false;
    if (!is_ec(key)) return verify_raw(key, digest, bytes, signature);
    unsigned char raw[2 * MAX_COORDINATE] = {0};
    size_t n = key_row(key->kind)->octets;
    struct str body, r, s;
    if (!der_only(signature, DER_SEQUENCE, &body) || !der_take_number(&body, &r) || !der_take_number(&body, &s) ||
        body.n || r.n > n || s.n > n)
        return false;
    memcpy(raw + n - r.n, r.at, r.n);
    memcpy(raw + 2 * n - s.n, s.at, s.n);
    return verify_raw(key, digest, bytes, (struct str){(char *)raw, 2 * n});
}

bool key_verify_der(const struct key *key, struct str bytes, struct str signature)
{
    return key_verify_with(key, key_row(key->kind)->digest, bytes, signature);
}
