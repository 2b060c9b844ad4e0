/* ACME objects as they travel: JSON to structs and back. Reading tolerates unknown members and reports known ones of a
 * wrong type as ERR_MALFORMED; all texts are copied into the arena. Members that are absent are empty or 0. */
#ifndef ACME_RESOURCE_H
#define ACME_RESOURCE_H

#include "acme/challenge.h"
#include "acme/lifecycle.h"
#include "acme/problem.h"

enum { RESOURCE_MAX_NAMES = 100 }; /* identifiers of an order, challenges of an authz */

struct profile_doc { /* draft-ietf-acme-profiles section 3 */
    struct str name, title;
};
struct directory_doc {
    struct str new_nonce, new_account, new_order, new_authz, revoke_cert, key_change, renewal_info;
    struct str terms, website; /* meta */
    bool external_account_required;
    const struct str *caa_identities; /* n_caa_identities of them, borrowed; written only */
    size_t n_caa_identities;
    const struct profile_doc *profiles; /* n_profiles of them, borrowed; written only */
    size_t n_profiles;
};
struct account_doc { /* reply, and request of newAccount / update */
    struct str status;
    struct str contacts[8];
    size_t n_contacts;
    bool has_contacts; /* reading: "contact" is there, be it empty */
    bool terms_agreed, only_return_existing;
    struct str orders;
    struct str binding; /* externalAccountBinding: JSON text of a JWS; empty = absent */
};
struct key_change_doc { /* payload of the inner JWS of keyChange */
    struct str account;
    struct str old_key; /* JSON text of a JWK; empty = absent */
};
struct identifier_doc {
    struct str type, value; /* "dns", "a.example.test" or "*.example.test" in an order */
};
struct order_doc {                             /* reply, and request of newOrder (what a client may wish only) */
    struct str status;                         /* the text as sent, may be no status at all */
    struct str expires, not_before, not_after; /* RFC 3339 */
    struct identifier_doc *identifiers;
    size_t n_identifiers;
    struct str *authorizations;
    size_t n_authorizations;
    struct str finalize, certificate;
    struct str replaces; /* RFC 9773 section 5 */
    struct str profile;  /* draft-ietf-acme-profiles section 4 */
    bool has_error;
    struct problem error;
};
struct renewal_doc {        /* RFC 9773 section 4.2 */
    struct str start, end;  /* RFC 3339 */
    struct str explanation; /* URL */
};
struct challenge_doc {
    struct str type, url, status, token, validated;
    bool has_error;
    struct problem error;
};
struct authz_doc {
    struct str status, expires;
    struct identifier_doc identifier;
    bool wildcard;
    struct challenge_doc *challenges;
    size_t n_challenges;
};

struct str directory_write(struct arena *arena, const struct directory_doc *doc);
enum err directory_read(struct arena *arena, struct str json, struct directory_doc *ret);
struct str account_write(struct arena *arena, const struct account_doc *doc);
struct str account_request(struct arena *arena,
                           const struct account_doc *doc); /* what a client sends: no status, no orders */
enum err account_read(struct arena *arena, struct str json, struct account_doc *ret);
struct str key_change_request(struct arena *arena, const struct key_change_doc *doc);
enum err key_change_read(struct arena *arena, struct str json, struct key_change_doc *ret);
struct str order_write(struct arena *arena, const struct order_doc *doc);
struct str order_request(struct arena *arena, const struct order_doc *doc);
enum err order_read(struct arena *arena, struct str json, struct order_doc *ret);
struct str renewal_write(struct arena *arena, const struct renewal_doc *doc);
enum err renewal_read(struct arena *arena, struct str json, struct renewal_doc *ret);
struct str challenge_write(struct arena *arena, const struct challenge_doc *doc);
enum err challenge_read(struct arena *arena, struct str json, struct challenge_doc *ret);
struct str authz_write(struct arena *arena, const struct authz_doc *doc);
enum err authz_read(struct arena *arena, struct str json, struct authz_doc *ret);

/* {"identifier": {...}} of newAuthz. */
struct str new_authz_request(struct arena *arena, const struct identifier_doc *identifier);
enum err new_authz_read(struct arena *arena, struct str json, struct identifier_doc *ret);

/* {"csr": "..."}: the DER inside. */
struct str finalize_request(struct arena *arena, struct str csr_der);
enum err finalize_read(struct arena *arena, struct str json, struct str *ret_csr_der);
/* {"certificate": "...", "reason": n}: the DER inside, and the reason; -1: none is given (section 7.6). */
struct str revocation_request(struct arena *arena, struct str der, int64_t reason);
enum err revocation_read(struct arena *arena, struct str json, struct str *ret_der, int64_t *ret_reason);
/* Has it the "resource": "new-order" of early drafts, and not empty? */
bool payload_has_resource(struct str json);
/* {"status": "deactivated"} */
bool deactivation_read(struct arena *arena, struct str json);

/* A DNS name as an order may carry it: LDH labels (A-labels), 253 octets, at least two labels, optional leading "*.".
 * *ret_wildcard and *ret_base may be NULL. */
bool name_legal(struct str name, bool *ret_wildcard, struct str *ret_base);

#endif
