#include "world/alpn_shelf.h"

#include "acme/x509_alpn.h"

#include <stdlib.h>

enum { PLACES = 64, KEPT_MS = 3600 * 1000 };

#define DAY_MS INT64_C(86400000)

struct kept {
    struct str what; /* all that the certificate shows */
    int64_t made_ms;
    X509 *leaf;
    struct arena arena; /* owns `what` */
};

struct alpn_shelf {
    struct key *own, *other; /* the certificates', and a foreign issuer's */
    EVP_PKEY *own_evp;
    X509 *second; /* what follows a leaf that is followed by another certificate */
    struct rng rng;
    struct kept kept[PLACES];
};

static struct str describe(struct arena *arena, const struct tls_answer *answer)
{
    return str_fmt(arena, "%d%d%d%d%d %.*s %.*s", answer->self_signed, answer->has_extension, answer->critical,
                   answer->obsolete, answer->expired, STR_ARGS(answer->san),
                   STR_ARGS(base64url(arena, answer->digest)));
}

static X509 *make(struct alpn_shelf *shelf, struct arena *arena, const struct tls_answer *answer, int64_t now_ms)
{
    struct alpn_certificate what = {.key = shelf->own,
                                    .issuer = answer->self_signed ? NULL : shelf->other,
                                    .critical = answer->critical,
                                    .obsolete_oid = answer->obsolete,
                                    .not_before_ms = now_ms - DAY_MS,
                                    .not_after_ms = now_ms + 7 * DAY_MS};
    struct str names = answer->san, der;
    while (names.n && what.n_names < ALPN_MAX_NAMES) {
        struct str *name = &what.names[what.n_names++];
        str_cut(names, ',', name, &names);
        if (str_starts(*name, "ip:")) *name = (struct str){name->at + 3, name->n - 3};
    }
    if (answer->has_extension || answer->obsolete) what.digest = answer->digest;
    if (answer->expired) {
        what.not_before_ms -= 7 * DAY_MS;
        what.not_after_ms = now_ms - DAY_MS;
    }
    if (alpn_certificate_write(arena, &what, &shelf->rng, &der) != OK) return NULL;
    const unsigned char *at = (const unsigned char *)der.at;
    return d2i_X509(NULL, &at, (long)der.n);
}

static X509 *leaf_of(struct alpn_shelf *shelf, const struct tls_answer *answer, int64_t now_ms)
{
    struct arena arena = {0};
    struct str what = describe(&arena, answer);
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < what.n; i++)
        hash = (hash ^ (unsigned char)what.at[i]) * 16777619U;
    struct kept *kept = &shelf->kept[hash % PLACES];
    if (!kept->leaf || !str_eq(kept->what, what) || now_ms - kept->made_ms > KEPT_MS) {
        X509_free(kept->leaf);
        kept->leaf = make(shelf, &arena, answer, now_ms);
        kept->made_ms = now_ms;
        arena_clear(&kept->arena);
        kept->what = str_copy(&kept->arena, what);
    }
    arena_done(&arena);
    return kept->leaf;
}

enum err alpn_shelf_dress(struct alpn_shelf *shelf, SSL *ssl, const struct tls_answer *answer, int64_t now_ms)
{
    X509 *leaf = leaf_of(shelf, answer, now_ms);
    if (!leaf) return ERR_REFUSED;
    if (SSL_use_certificate(ssl, leaf) != 1 || SSL_use_PrivateKey(ssl, shelf->own_evp) != 1) return ERR_CRYPTO;
    if (answer->second_certificate && SSL_add1_chain_cert(ssl, shelf->second) != 1) return ERR_CRYPTO;
    return OK;
}

struct alpn_shelf *alpn_shelf_new(uint64_t seed)
{
    struct alpn_shelf *shelf = calloc(1, sizeof *shelf);
    struct arena arena = {0};
    const struct tls_answer second = {.san = STR("second.invalid"), .self_signed = true};
    if (!shelf) abort();
    rng_seed(&shelf->rng, seed);
    shelf->own = key_make(KEY_P256, SEALING_REAL, &shelf->rng);
    shelf->other = key_make(KEY_P256, SEALING_REAL, &shelf->rng);
    shelf->own_evp = key_evp(shelf->own);
    shelf->second = make(shelf, &arena, &second, INT64_C(1735689600000)); /* 2025: nobody looks at its dates */
    arena_done(&arena);
    return shelf;
}

void alpn_shelf_free(struct alpn_shelf *shelf)
{
    if (!shelf) return;
    for (size_t i = 0; i < PLACES; i++) {
        X509_free(shelf->kept[i].leaf);
        arena_done(&shelf->kept[i].arena);
    }
    X509_free(shelf->second);
    EVP_PKEY_free(shelf->own_evp);
    key_free(shelf->own);
    key_free(shelf->other);
    free(shelf);
}
