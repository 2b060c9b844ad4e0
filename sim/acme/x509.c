#include "acme/address.h"
#include "acme/x509_inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { SERIAL_OCTETS = 16, KEY_ID_OCTETS = 20 };

#define DAY_MS INT64_C(86400000)
/* The CA's own certificates reach ten years back and thirty ahead, so that one CA serves rehearsals in virtual time,
 * which starts in 2030, as well as in real time. */
#define CA_BACK_MS      (3653 * DAY_MS)
#define CA_AHEAD_MS     (10957 * DAY_MS)
#define SERVER_BACK_MS  DAY_MS
#define SERVER_AHEAD_MS (397 * DAY_MS)

/* AlgorithmIdentifiers of the signatures that key_sign_der makes. */
static const struct str signature_algorithms[] = {
    [KEY_P256] = OCTETS("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"),
    [KEY_P384] = OCTETS("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"),
    [KEY_ED25519] = OCTETS("\x30\x05\x06\x03\x2b\x65\x70"),
    [KEY_RSA] = OCTETS("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"),
};

/* BasicConstraints: without and with a path length of 0. KeyUsage. */
#define NO_CA                       STR("\x30\x00")
#define ANY_CA                      STR("\x30\x03\x01\x01\xff")
#define LAST_CA                     STR("\x30\x06\x01\x01\xff\x02\x01\x00")
#define SIGNS                       STR("\x03\x02\x07\x80")
#define SIGNS_AND_ENCIPHERS         STR("\x03\x02\x05\xa0")
#define SIGNS_CERTIFICATES_AND_CRLS STR("\x03\x02\x01\x06")

struct str signature_algorithm(const struct key *key)
{
    return signature_algorithms[key_kind(key)];
}

enum err signed_write(struct arena *arena, const struct key *key, struct str what, struct str *ret_der)
{
    struct str signature;
    enum err e = key_sign_der(key, arena, what, &signature);
    if (e) return e;
    struct buf out = {.arena = arena};
    size_t opened = der_open(&out, DER_SEQUENCE);
    buf_add(&out, what);
    buf_add(&out, signature_algorithm(key));
    der_add_bits(&out, signature);
    der_close(&out, opened);
    *ret_der = buf_str(&out);
    return OK;
}

struct str certificate_pem(struct arena *arena, struct str der)
{
    return str_fmt(arena, "-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n", base64_lines(arena, der).at);
}

/* --- extensions ---------------------------------------------------------------------------------------------- */
static size_t extension_open(struct buf *out, const char *oid, bool critical, size_t *ret_value)
{
    size_t opened = der_open(out, DER_SEQUENCE);
    der_add(out, DER_OID, str_c(oid));
    if (critical) der_add(out, DER_BOOLEAN, STR("\xff"));
    *ret_value = der_open(out, DER_OCTET_STRING);
    return opened;
}

static void extension_close(struct buf *out, size_t opened, size_t value)
{
    der_close(out, value);
    der_close(out, opened);
}

void x509_extension_add(struct buf *out, const char *oid, bool critical, struct str value)
{
    size_t inner, opened = extension_open(out, oid, critical, &inner);
    buf_add(out, value);
    extension_close(out, opened, inner);
}

/* A name that is an IP address in text becomes an iPAddress. */
void x509_san_add(struct buf *out, const struct str *names, size_t n, bool critical)
{
    size_t inner, opened = extension_open(out, OID_SUBJECT_ALT_NAME, critical, &inner);
    size_t list = der_open(out, DER_SEQUENCE);
    for (size_t i = 0; i < n; i++) {
        unsigned char octets[16];
        size_t n_octets = address_octets(names[i], octets);
        if (n_octets) der_add(out, NAME_IP, (struct str){(char *)octets, n_octets});
        else der_add(out, NAME_DNS, names[i]);
    }
    der_close(out, list);
    extension_close(out, opened, inner);
}

static enum err names_check(const struct str *names, size_t n)
{
    if (n == 0) return ERR_REFUSED;
    if (n > CSR_MAX_NAMES) return ERR_LIMIT;
    for (size_t i = 0; i < n; i++)
        if (!dns_name_legal(names[i])) return ERR_REFUSED;
    return OK;
}

struct str spki_bits(struct str spki)
{
    struct str body, algorithm, bits = {0};
    bool good =
        der_only(spki, DER_SEQUENCE, &body) && der_take(&body, DER_SEQUENCE, &algorithm) && der_take_bits(&body, &bits);
    assert(good);
    (void)good;
    return bits;
}

/* The leftmost 160 bits of the SHA-256 of the public key: RFC 7093 section 2, method 1. */
static struct str key_id(struct arena *arena, struct str spki)
{
    return (struct str){sha256(arena, spki_bits(spki)).at, KEY_ID_OCTETS};
}

void authority_id_add(struct buf *out, struct str authority_id)
{
    size_t inner, opened = extension_open(out, OID_AUTHORITY_KEY_IDENTIFIER, false, &inner);
    size_t sequence = der_open(out, DER_SEQUENCE);
    der_add(out, DER_CONTEXT | 0, authority_id);
    der_close(out, sequence);
    extension_close(out, opened, inner);
}

static void key_ids_add(struct buf *out, struct str subject_id, struct str authority_id)
{
    size_t inner, opened = extension_open(out, OID_SUBJECT_KEY_IDENTIFIER, false, &inner);
    der_add(out, DER_OCTET_STRING, subject_id);
    extension_close(out, opened, inner);
    authority_id_add(out, authority_id);
}

static void access_add(struct buf *out, const char *method, struct str url)
{
    size_t opened = der_open(out, DER_SEQUENCE);
    der_add(out, DER_OID, str_c(method));
    der_add(out, NAME_URI, url);
    der_close(out, opened);
}

/* Where a leaf's status and its issuer can be had: RFC 5280 sections 4.2.2.1 and 4.2.1.13. */
static void urls_add(struct buf *out, const struct issuer_urls *urls)
{
    if (!urls->ocsp.n) return;
    size_t inner, opened = extension_open(out, OID_AUTHORITY_INFO_ACCESS, false, &inner);
    size_t list = der_open(out, DER_SEQUENCE);
    access_add(out, OID_ACCESS_OCSP, urls->ocsp);
    access_add(out, OID_ACCESS_CA_ISSUERS, urls->certificate);
    der_close(out, list);
    extension_close(out, opened, inner);
    opened = extension_open(out, OID_CRL_DISTRIBUTION_POINTS, false, &inner);
    list = der_open(out, DER_SEQUENCE);
    size_t point = der_open(out, DER_SEQUENCE), name = der_open(out, DER_CONTEXT_CONSTRUCTED | 0),
           full = der_open(out, DER_CONTEXT_CONSTRUCTED | 0);
    der_add(out, NAME_URI, urls->crl);
    der_close(out, full);
    der_close(out, name);
    der_close(out, point);
    der_close(out, list);
    extension_close(out, opened, inner);
}

/* --- certificates: RFC 5280 section 4.1 ------------------------------------------------------------------------------
 */

static void name_part_add(struct buf *out, const char *oid, unsigned tag, struct str value)
{
    size_t set = der_open(out, DER_SET), pair = der_open(out, DER_SEQUENCE);
    der_add(out, DER_OID, str_c(oid));
    der_add(out, tag, value);
    der_close(out, pair);
    der_close(out, set);
}

struct str x509_name_write(struct arena *arena, const char *organization, struct str common_name)
{
    struct buf out = {.arena = arena};
    size_t opened = der_open(&out, DER_SEQUENCE);
    if (organization) name_part_add(&out, OID_ORGANIZATION, DER_UTF8_STRING, str_c(organization));
    if (common_name.n) name_part_add(&out, OID_COMMON_NAME, DER_UTF8_STRING, common_name);
    der_close(&out, opened);
    return buf_str(&out);
}

enum err x509_write(struct arena *arena, const struct certificate *certificate, struct rng *rng, struct str *ret_der)
{
    struct buf out = {.arena = arena};
    unsigned char serial[SERIAL_OCTETS];
    if (certificate->not_after_ms < certificate->not_before_ms) return ERR_REFUSED;
    rng_bytes(rng, serial, sizeof serial);
    serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40); /* positive, and always as long */

    size_t tbs = der_open(&out, DER_SEQUENCE);
    buf_add(&out, STR("\xa0\x03\x02\x01\x02")); /* version 3 */
    der_add_number(&out, (struct str){(char *)serial, sizeof serial});
    buf_add(&out, signature_algorithm(certificate->issuer_key));
    buf_add(&out, certificate->issuer_name);
    size_t validity = der_open(&out, DER_SEQUENCE);
    enum err e = der_add_time(&out, certificate->not_before_ms);
    if (!e) e = der_add_time(&out, certificate->not_after_ms);
    if (e) return ERR_REFUSED;
    der_close(&out, validity);
    buf_add(&out, certificate->subject_name);
    buf_add(&out, certificate->spki);
    size_t tagged = der_open(&out, DER_CONTEXT_CONSTRUCTED | 3), extensions = der_open(&out, DER_SEQUENCE);
    buf_add(&out, certificate->extensions);
    der_close(&out, extensions);
    der_close(&out, tagged);
    der_close(&out, tbs);
    return signed_write(arena, certificate->issuer_key, buf_str(&out), ret_der);
}

/* --- CSR: RFC 2986 ----------------------------------------------------------------------------------------------- */
enum err csr_write(struct arena *arena, const struct key *key, const struct str *names, size_t n, struct str *ret_der)
{
    struct buf out = {.arena = arena};
    enum err e = names_check(names, n);
    if (e) return e;
    size_t info = der_open(&out, DER_SEQUENCE);
    der_add_number(&out, STR(""));
    buf_add(&out, x509_name_write(arena, NULL, STR("")));
    buf_add(&out, key_spki(key, arena));
    size_t attributes = der_open(&out, DER_CONTEXT_CONSTRUCTED | 0), attribute = der_open(&out, DER_SEQUENCE);
    der_add(&out, DER_OID, STR(OID_EXTENSION_REQUEST));
    size_t set = der_open(&out, DER_SET), extensions = der_open(&out, DER_SEQUENCE);
    x509_san_add(&out, names, n, false);
    der_close(&out, extensions);
    der_close(&out, set);
    der_close(&out, attribute);
    der_close(&out, attributes);
    der_close(&out, info);
    return signed_write(arena, key, buf_str(&out), ret_der);
}

/* --- the issuing CA ------------------------------------------------------------------------------------------------
 */
static bool authority_start(struct authority *authority, struct arena *arena, enum sealing sealing, struct rng *rng,
                            const char *what)
{
    authority->key = key_make(KEY_P256, sealing, rng);
    if (!authority->key) return false;
    authority->id = key_id(arena, key_spki(authority->key, arena));
    const unsigned char *id = (const unsigned char *)authority->id.at;
    authority->name =
        x509_name_write(arena, "acmedrill", str_fmt(arena, "acmedrill %s %02x%02x%02x", what, id[0], id[1], id[2]));
    return true;
}

static bool authority_certify(struct authority *subject, const struct authority *by, struct str constraints,
                              struct arena *arena, struct rng *rng, int64_t now_ms)
{
    struct buf extensions = {.arena = arena};
    x509_extension_add(&extensions, OID_BASIC_CONSTRAINTS, true, constraints);
    x509_extension_add(&extensions, OID_KEY_USAGE, true, SIGNS_CERTIFICATES_AND_CRLS);
    key_ids_add(&extensions, subject->id, by->id);
    struct certificate certificate = {
        .issuer_key = by->key,
        .issuer_name = by->name,
        .subject_name = subject->name,
        .spki = key_spki(subject->key, arena),
        .extensions = buf_str(&extensions),
        .not_before_ms = now_ms - CA_BACK_MS,
        .not_after_ms = now_ms + CA_AHEAD_MS,
    };
    if (x509_write(arena, &certificate, rng, &subject->der)) return false;
    subject->pem = certificate_pem(arena, subject->der);
    return true;
}

static bool authorities_start(struct issuer *issuer, enum sealing sealing, struct rng *rng)
{
    bool good = true;
    for (size_t i = 0; i < issuer->n_roots; i++)
        good = good && authority_start(&issuer->roots[i], &issuer->arena, sealing, rng, "root");
    for (size_t i = 0; i < issuer->n_intermediates; i++)
        good = good && authority_start(&issuer->intermediates[i], &issuer->arena, sealing, rng, "intermediate");
    return good;
}

/* Chain i: the uppermost intermediate by root i, the others one by the next. */
static bool chain_certify(struct issuer *issuer, size_t i, struct rng *rng, int64_t now_ms)
{
    struct arena *arena = &issuer->arena;
    struct authority *root = &issuer->roots[i], *below = issuer->intermediates;
    size_t top = issuer->n_intermediates - 1;
    struct buf chain = {.arena = arena};
    struct authority uppermost = below[top];
    if (!authority_certify(root, root, ANY_CA, arena, rng, now_ms) ||
        !authority_certify(&uppermost, root, top ? ANY_CA : LAST_CA, arena, rng, now_ms))
        return false;
    if (i == 0) below[top] = uppermost;
    for (size_t k = 0; k < top; k++) {
        if (i == 0 && !authority_certify(&below[k], &below[k + 1], k ? ANY_CA : LAST_CA, arena, rng, now_ms))
            return false;
        buf_add(&chain, below[k].pem);
    }
    buf_add(&chain, uppermost.pem);
    issuer->chains[i] = buf_str(&chain);
    return true;
}

struct issuer *issuer_new_shaped(enum sealing sealing, struct rng *rng, int64_t now_ms,
                                 const struct issuer_shape *shape)
{
    struct arena own = {0};
    struct issuer *issuer = ARENA_NEW(&own, struct issuer);
    assert(shape->n_alternates <= ISSUER_MAX_ALTERNATES && shape->length >= 1 && shape->length <= ISSUER_MAX_LENGTH);
    issuer->arena = own;
    issuer->n_roots = 1 + shape->n_alternates;
    issuer->n_intermediates = shape->length;
    struct buf roots = {.arena = &issuer->arena};
    bool good = authorities_start(issuer, sealing, rng);
    for (size_t i = 0; i < issuer->n_roots && good; i++) {
        good = chain_certify(issuer, i, rng, now_ms);
        buf_add(&roots, issuer->roots[i].pem);
    }
    if (!good) {
        fputs("acmedrill: OpenSSL makes no keys or certificates\n", stderr);
        abort();
    }
    issuer->root_pems = buf_str(&roots);
    return issuer;
}

struct issuer *issuer_new(enum sealing sealing, struct rng *rng, int64_t now_ms)
{
    return issuer_new_shaped(sealing, rng, now_ms, &(struct issuer_shape){.length = 1});
}

void issuer_free(struct issuer *issuer)
{
    if (!issuer) return;
    for (size_t i = 0; i < issuer->n_roots; i++)
        key_free(issuer->roots[i].key);
    for (size_t i = 0; i < issuer->n_intermediates; i++)
        key_free(issuer->intermediates[i].key);
    struct arena own = issuer->arena; /* the issuer itself is in it */
    arena_done(&own);
}

struct str issuer_root_pem(const struct issuer *issuer)
{
    return issuer->root_pems;
}

struct str issuer_chain_pem(const struct issuer *issuer, size_t i)
{
    return i < issuer->n_roots ? issuer->chains[i] : (struct str){0};
}

struct str issuer_part_pem(const struct issuer *issuer, struct arena *arena, enum issuer_part part, size_t i)
{
    if (i >= issuer->n_roots) return (struct str){0};
    switch (part) {
    case ISSUER_ROOT: return certificate_pem(arena, issuer->roots[i].der);
    case ISSUER_ROOT_KEY: return key_pem(issuer->roots[i].key, arena);
    case ISSUER_INTERMEDIATE: return issuer_chain_pem(issuer, i);
    case ISSUER_INTERMEDIATE_KEY: break;
    }
    return key_pem(issuer->intermediates[0].key, arena);
}

struct str issuer_intermediate_der(const struct issuer *issuer)
{
    return issuer->intermediates[0].der;
}

struct str issuer_key_id(const struct issuer *issuer)
{
    return issuer->intermediates[0].id;
}

void issuer_set_urls(struct issuer *issuer, const struct issuer_urls *urls)
{
    issuer->urls = (struct issuer_urls){
        .ocsp = str_copy(&issuer->arena, urls->ocsp),
        .crl = str_copy(&issuer->arena, urls->crl),
        .certificate = str_copy(&issuer->arena, urls->certificate),
    };
}

struct leaf {
    const struct key *key;
    const struct str *names;
    size_t n;
    int64_t not_before_ms, not_after_ms;
};

/* The first dns name that fits into a common name. */
static struct str common_name(const struct leaf *leaf)
{
    unsigned char octets[16];
    for (size_t i = 0; i < leaf->n; i++)
        if (leaf->names[i].n <= MAX_COMMON_NAME && !address_octets(leaf->names[i], octets)) return leaf->names[i];
    return STR("");
}

static enum err leaf_issue(const struct issuer *issuer, struct arena *arena, const struct leaf *leaf, struct rng *rng,
                           struct str *ret_der)
{
    const struct authority *by = &issuer->intermediates[0];
    struct buf extensions = {.arena = arena};
    enum err e = names_check(leaf->names, leaf->n);
    if (e) return e;
    struct str subject = common_name(leaf), spki = key_spki(leaf->key, arena);
    x509_extension_add(&extensions, OID_KEY_USAGE, true, key_kind(leaf->key) == KEY_RSA ? SIGNS_AND_ENCIPHERS : SIGNS);
    size_t inner, opened = extension_open(&extensions, OID_EXTENDED_KEY_USAGE, false, &inner);
    size_t usages = der_open(&extensions, DER_SEQUENCE);
    der_add(&extensions, DER_OID, STR(OID_SERVER_AUTH));
    der_close(&extensions, usages);
    extension_close(&extensions, opened, inner);
    x509_extension_add(&extensions, OID_BASIC_CONSTRAINTS, true, NO_CA);
    key_ids_add(&extensions, key_id(arena, spki), by->id);
    /* RFC 5280 section 4.2.1.6: critical if the subject is empty. */
    x509_san_add(&extensions, leaf->names, leaf->n, subject.n == 0);
    urls_add(&extensions, &issuer->urls);
    struct certificate certificate = {
        .issuer_key = by->key,
        .issuer_name = by->name,
        .subject_name = x509_name_write(arena, NULL, subject),
        .spki = spki,
        .extensions = buf_str(&extensions),
        .not_before_ms = leaf->not_before_ms,
        .not_after_ms = leaf->not_after_ms,
    };
    return x509_write(arena, &certificate, rng, ret_der);
}

enum err issuer_issue(const struct issuer *issuer, struct arena *arena, const struct csr *csr, int64_t not_before_ms,
                      int64_t not_after_ms, struct rng *rng, struct str *ret_der)
{
    struct leaf leaf = {csr->key, csr->names, csr->n_names, not_before_ms, not_after_ms};
    return leaf_issue(issuer, arena, &leaf, rng, ret_der);
}

enum err issuer_issue_server(const struct issuer *issuer, struct arena *arena, const struct key *key,
                             const struct str *names, size_t n, int64_t now_ms, struct rng *rng,
                             struct str *ret_chain_pem)
{
    struct leaf leaf = {key, names, n, now_ms - SERVER_BACK_MS, now_ms + SERVER_AHEAD_MS};
    struct str der;
    enum err e = leaf_issue(issuer, arena, &leaf, rng, &der);
    if (e) return e;
    struct buf pem = {.arena = arena};
    buf_add(&pem, certificate_pem(arena, der));
    buf_add(&pem, issuer->chains[0]);
    *ret_chain_pem = buf_str(&pem);
    return OK;
}
