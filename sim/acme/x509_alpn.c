#include "acme/x509_alpn.h"

#include "acme/address.h"
#include "acme/x509_inside.h"

/* id-pe-acmeIdentifier is { id-pe 31 }; draft-ietf-acme-tls-alpn-01 said { id-pe-acmeIdentifier 1 } with id-pe 30. */
#define OID_ACME_IDENTIFIER       "\x2b\x06\x01\x05\x05\x07\x01\x1f"
#define OID_ACME_IDENTIFIER_DRAFT "\x2b\x06\x01\x05\x05\x07\x01\x1e\x01"

enum err alpn_certificate_write(struct arena *arena, const struct alpn_certificate *what, struct rng *rng,
                                struct str *ret_der)
{
    struct buf extensions = {.arena = arena}, digest = {.arena = arena};
    if (what->n_names == 0 || what->n_names > ALPN_MAX_NAMES) return ERR_REFUSED;
    for (size_t i = 0; i < what->n_names; i++)
        if (!dns_name_legal(what->names[i]) && !address_canonical(what->names[i])) return ERR_REFUSED;
    bool has_extension = what->digest.n > 0;
    x509_san_add(&extensions, what->names, what->n_names, true);
    if (has_extension) {
        der_add(&digest, DER_OCTET_STRING, what->digest); /* Authorization ::= OCTET STRING (SIZE (32)) */
        x509_extension_add(&extensions, what->obsolete_oid ? OID_ACME_IDENTIFIER_DRAFT : OID_ACME_IDENTIFIER,
                           what->critical, buf_str(&digest));
    }
    struct str own = x509_name_write(arena, "acmedrill tls-alpn-01", STR(""));
    struct certificate certificate = {
        .issuer_key = what->issuer ? what->issuer : what->key,
        .issuer_name = what->issuer ? x509_name_write(arena, "acmedrill another issuer", STR("")) : own,
        .subject_name = own,
        .spki = key_spki(what->key, arena),
        .extensions = buf_str(&extensions),
        .not_before_ms = what->not_before_ms,
        .not_after_ms = what->not_after_ms,
    };
    return x509_write(arena, &certificate, rng, ret_der);
}
