/* The octets that the reading and the writing of certificates share. */
#ifndef ACME_X509_INSIDE_H
#define ACME_X509_INSIDE_H

#include "acme/der.h"
#include "acme/x509.h"

/* RFC 5280 section 4.2.1 and appendix A.1, RFC 2985 section 5.4.2. None has a zero octet: they serve as C texts. */
#define OID_COMMON_NAME              "\x55\x04\x03"
#define OID_ORGANIZATION             "\x55\x04\x0a"
#define OID_SUBJECT_KEY_IDENTIFIER   "\x55\x1d\x0e"
#define OID_KEY_USAGE                "\x55\x1d\x0f"
#define OID_SUBJECT_ALT_NAME         "\x55\x1d\x11"
#define OID_BASIC_CONSTRAINTS        "\x55\x1d\x13"
#define OID_AUTHORITY_KEY_IDENTIFIER "\x55\x1d\x23"
#define OID_CRL_NUMBER               "\x55\x1d\x14"
#define OID_REASON_CODE              "\x55\x1d\x15"
#define OID_CRL_DISTRIBUTION_POINTS  "\x55\x1d\x1f"
#define OID_EXTENDED_KEY_USAGE       "\x55\x1d\x25"
#define OID_AUTHORITY_INFO_ACCESS    "\x2b\x06\x01\x05\x05\x07\x01\x01"
#define OID_ACCESS_OCSP              "\x2b\x06\x01\x05\x05\x07\x30\x01"
#define OID_ACCESS_CA_ISSUERS        "\x2b\x06\x01\x05\x05\x07\x30\x02"
#define OID_EXTENSION_REQUEST        "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x0e"
#define OID_SERVER_AUTH              "\x2b\x06\x01\x05\x05\x07\x03\x01"

/* Tags inside a GeneralName. */
enum { NAME_DNS = DER_CONTEXT | 2, NAME_URI = DER_CONTEXT | 6, NAME_IP = DER_CONTEXT | 7 };

enum { MAX_DNS_NAME = 253, MAX_COMMON_NAME = 64 };

/* --- writing, RFC 5280 section 4.1 --- */
struct certificate {
    const struct key *issuer_key;
    struct str issuer_name, subject_name; /* Name */
    struct str spki, extensions;
    int64_t not_before_ms, not_after_ms;
};
/* A Name of an organization (NULL: none) and a common name (empty: none). */
struct str x509_name_write(struct arena *arena, const char *organization, struct str common_name);
/* An extension whose value has this DER. */
void x509_extension_add(struct buf *out, const char *oid, bool critical, struct str value);
/* subjectAltName. A name that is an IP address in text becomes an iPAddress. */
void x509_san_add(struct buf *out, const struct str *names, size_t n, bool critical);
enum err x509_write(struct arena *arena, const struct certificate *certificate, struct rng *rng, struct str *ret_der);

/* What we take for a dns name in a certificate: printable ASCII without spaces, and not too long. */
bool dns_name_legal(struct str name);

/* One CA of a chain. */
struct authority {
    struct key *key;
    struct str name, id; /* Name; key identifier */
    struct str der, pem;
};
struct issuer {
    struct arena arena; /* the issuer itself is in it */
    struct authority roots[1 + ISSUER_MAX_ALTERNATES];
    struct authority intermediates[ISSUER_MAX_LENGTH]; /* the first issues leaves, the last is certified by the roots */
    size_t n_roots, n_intermediates;
    struct str root_pems, chains[1 + ISSUER_MAX_ALTERNATES];
    struct issuer_urls urls;
};

/* AlgorithmIdentifier of the signatures that key_sign_der makes. */
struct str signature_algorithm(const struct key *key);
/* SEQUENCE { what, algorithm, signature over what }: certificate, CSR, CRL, OCSP response. */
enum err signed_write(struct arena *arena, const struct key *key, struct str what, struct str *ret_der);
void authority_id_add(struct buf *out, struct str authority_id);
/* The octets of a key's BIT STRING: what key identifiers are hashes of. */
struct str spki_bits(struct str spki);

#endif
