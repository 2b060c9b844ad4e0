/* The certificate that answers a tls-alpn-01 challenge (RFC 8737 section 3), and all that can be wrong with it. */
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

#endif
