/* The certificate of tls-alpn-01 (RFC 8737 section 3), as a validator looks at it: whatever a stranger's server sent.
 */
#ifndef ACME_ALPN_CERT_H
#define ACME_ALPN_CERT_H

#include "base/str.h"

struct alpn_facts {
    struct str names; /* of subjectAltName, joined by ",": dns names as they are, others as "ip:192.0.2.1" or "other" */
    bool self_signed; /* issuer and subject are the same, and its key made the signature */
    bool has_extension; /* acmeIdentifier, once */
    bool critical;
    bool obsolete;     /* under the number that drafts used, and not under the right one */
    struct str digest; /* what is in it; empty: not an OCTET STRING of 32 octets */
};
/* ERR_MALFORMED: no certificate. Texts are in the arena. */
enum err alpn_cert_read(struct arena *arena, struct str der, struct alpn_facts *ret);

#endif
