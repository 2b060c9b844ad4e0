/* The certificate that answers a tls-alpn-01 challenge (RFC 8737 section 3): written by x509_alpn.c, with all that can
 * be wrong with it, and read by x509_alpn_read.c, whatever a stranger's server sent. */
#ifndef ACME_X509_ALPN_H
#define ACME_X509_ALPN_H

#include "acme/jwk.h"

enum { ALPN_MAX_NAMES = 8 };

struct alpn_certificate {
    const struct key *key;            /* the certificate's */
    const struct key *issuer;         /* who signs; NULL: itself, as the RFC wants it */
    struct str names[ALPN_MAX_NAMES]; /* dns names, and addresses as address.h writes them (RFC 8738 section 6) */
    size_t n_names;
    struct str digest; /* SHA-256 of the key authorization; empty: no acmeIdentifier extension */
    bool critical;
    bool obsolete_oid; /* the extension under the number it had in a draft */
    int64_t not_before_ms, not_after_ms;
};
/* ERR_REFUSED: no names, too many, or none that a certificate could have. */
enum err alpn_certificate_write(struct arena *arena, const struct alpn_certificate *what, struct rng *rng,
                                struct str *ret_der);

/* As a validator looks at it. */
struct alpn_facts {
    struct str names; /* of subjectAltName, joined by ",": dns names as they are, others as "ip:192.0.2.1" or "other" */
    bool self_signed; /* issuer and subject are the same, and its key made the signature */
    bool has_extension; /* acmeIdentifier, once */
    bool critical;
    bool obsolete;     /* under the number that drafts used, and not under the right one */
    struct str digest; /* what is in it; empty: not an OCTET STRING of 32 octets */
};
/* ERR_MALFORMED: no certificate. Texts are in the arena. */
enum err alpn_certificate_read(struct arena *arena, struct str der, struct alpn_facts *ret);

#endif
