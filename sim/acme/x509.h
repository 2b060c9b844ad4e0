/* Certificates as far as ACME needs them. CSR and leaf are DER by hand: OpenSSL 3.0's d2i_X509_REQ and X509_set_pubkey
 * cost 420 us of a 780 us issuance. Tests check every byte against OpenSSL. */
#ifndef ACME_X509_H
#define ACME_X509_H

#include "acme/jwk.h"
#include "acme/problem.h"

enum { CSR_MAX_NAMES = 100 };

struct csr {
    struct key *key; /* the subject key; csr_done frees it */
    /* Of CN and subjectAltName, each once, sorted: dns names in lower case, addresses as address.h writes them. */
    struct str names[CSR_MAX_NAMES];
    size_t n_names;
    int version; /* 0, says RFC 2986 section 4.1; libraries have sent 2 for years, taking that for X.509's v3 */
};
/* Reads PKCS#10 DER and checks its signature. ERR_REFUSED: *reterr_problem is a badCSR with the reason, be it
 * the key (RFC 8555 section 6.7: badPublicKey is for the key that signs a JWS). names borrow from the arena. `sealing`
 * says how its key is to be taken. */
enum err csr_read(struct arena *arena, struct str der, enum sealing sealing, struct csr *ret,
                  struct problem *reterr_problem);
void csr_done(struct csr *csr);
/* A CSR for these dns names and addresses: CN absent, subjectAltName. */
enum err csr_write(struct arena *arena, const struct key *key, const struct str *names, size_t n, struct str *ret_der);

/* An issuing CA: a self-signed root and an intermediate, both from keys made at start. There may be more intermediates
 * between the two, and more roots that certify the uppermost one: alternate chains (RFC 8555 section 7.4.2). */
enum { ISSUER_MAX_ALTERNATES = 8, ISSUER_MAX_LENGTH = 8 };
struct issuer_shape {
    size_t n_alternates; /* roots besides the first */
    size_t length;       /* intermediates, at least 1 */
};
struct issuer;
struct issuer *issuer_new(enum sealing sealing, struct rng *rng, int64_t now_ms); /* of the plain shape: 0, 1 */
struct issuer *issuer_new_shaped(enum sealing sealing, struct rng *rng, int64_t now_ms,
                                 const struct issuer_shape *shape);
void issuer_free(struct issuer *issuer);
/* These live as long as the issuer. */
struct str issuer_root_pem(const struct issuer *issuer); /* all roots, the one of chain 0 first */
/* What stands between a leaf and root i, the leaf's issuer first; .at NULL: there is no such chain. */
struct str issuer_chain_pem(const struct issuer *issuer, size_t i);
/* A certificate of chain i, or its private key, as PEM; .at NULL: there is no such chain, or no real key. */
enum issuer_part { ISSUER_ROOT, ISSUER_ROOT_KEY, ISSUER_INTERMEDIATE, ISSUER_INTERMEDIATE_KEY };
struct str issuer_part_pem(const struct issuer *issuer, struct arena *arena, enum issuer_part part, size_t i);
struct str issuer_intermediate_der(const struct issuer *issuer); /* that issues the leaves */
struct str issuer_key_id(const struct issuer *issuer);           /* its key identifier, as leaves have it */
/* Where relying parties find status and issuer of the leaves made from now on; without it leaves have no such URLs. */
struct issuer_urls {
    struct str ocsp, crl, certificate;
};
void issuer_set_urls(struct issuer *issuer, const struct issuer_urls *urls);
/* A leaf for the CSR's key and names, serverAuth, 16 bytes of serial from rng: its DER. */
enum err issuer_issue(const struct issuer *issuer, struct arena *arena, const struct csr *csr, int64_t not_before_ms,
                      int64_t not_after_ms, struct rng *rng, struct str *ret_der);
struct str certificate_pem(struct arena *arena, struct str der);

/* For servers of ours: a leaf for names and IP addresses ("127.0.0.1", "localhost") with its private key, PEM. */
enum err issuer_issue_server(const struct issuer *issuer, struct arena *arena, const struct key *key,
                             const struct str *names, size_t n, int64_t now_ms, struct rng *rng,
                             struct str *ret_chain_pem);

/* What tells one certificate from another; both borrow from its DER. ERR_MALFORMED: it is no certificate. */
struct certificate_id {
    struct str serial; /* octets without leading zeros */
    struct str spki;   /* SubjectPublicKeyInfo, DER */
};
enum err certificate_read(struct str der, struct certificate_id *ret);

/* The first certificate of a PEM chain: its DER, in the arena. */
enum err certificate_from_pem(struct arena *arena, struct str pem, struct str *ret_der);
/* What renewal information is asked by (RFC 9773 section 4.1): the issuer's key identifier and the serial number, as
 * they are in the certificate. ERR_NOT_FOUND: it has no such identifier. */
enum err certificate_renewal_id(struct arena *arena, struct str der, struct str *ret);

/* What an observer reads from a PEM chain: number of certificates, and of the first its dns names (sorted), validity,
 * and whether its key is `key` (NULL: not asked). ERR_MALFORMED when it is no PEM chain. Real certificates only:
 * symbolic ones parse too, their signatures are not checked. */
struct chain_facts {
    size_t n_certificates;
    struct str names[CSR_MAX_NAMES];
    size_t n_names;
    int64_t not_before_ms, not_after_ms;
    struct str spki;   /* DER of the leaf's key */
    struct str serial; /* of the leaf: octets without leading zeros */
};
enum err chain_read(struct arena *arena, struct str pem, struct chain_facts *ret);

#endif
