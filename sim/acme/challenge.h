/* Challenge types: one row each. A new type is a new row. */
#ifndef ACME_CHALLENGE_H
#define ACME_CHALLENGE_H

#include "acme/jwk.h"

enum challenge_type {
    CHALLENGE_HTTP_01,
    CHALLENGE_DNS_01,
    CHALLENGE_TLS_ALPN_01,
    CHALLENGE_DNS_ACCOUNT_01, /* draft-ietf-acme-dns-account-label-03 */
    CHALLENGE_TYPE_COUNT
};

/* Where the proof is looked for. */
enum challenge_medium { MEDIUM_HTTP, MEDIUM_DNS, MEDIUM_TLS };

struct challenge_row {
    const char *name; /* as on the wire: "http-01" */
    const char *section;
    enum challenge_medium medium;
    bool wildcard; /* usable for wildcard identifiers */
    bool address;  /* usable for IP addresses (RFC 8738 section 4) */
};
const struct challenge_row *challenge_row(enum challenge_type type);
bool challenge_type_read(struct str name, enum challenge_type *ret);

/* token "." thumbprint (RFC 8555 section 8.1). */
struct str challenge_key_authorization(struct arena *arena, struct str token, struct str thumbprint);
/* What the validator must find: http-01 the key authorization itself; in DNS base64url(SHA-256) of it; tls-alpn-01 the
 * 32 raw bytes of that hash. */
struct str challenge_proof(struct arena *arena, enum challenge_type type, struct str key_authorization);
/* Where: http-01 the path "/.well-known/acme-challenge/TOKEN"; dns-01 the name "_acme-challenge.NAME"; dns-account-01
 * "_LABEL._acme-challenge.NAME", LABEL being the beginning of a hash of the account's URL; tls-alpn-01 NAME, or for an
 * address the reverse name that stands for it. Only dns-account-01 looks at `account`. */
struct str challenge_place(struct arena *arena, enum challenge_type type, struct str name, struct str token,
                           struct str account);
/* The way back in DNS, from a name in lower case: the type whose proof is looked for there, and for which name (it
 * borrows). false: it is no place of a challenge. */
bool challenge_of_dns_place(struct str place, enum challenge_type *ret, struct str *ret_name);
/* A token: 32 random bytes in base64url. */
struct str challenge_token(struct arena *arena, struct rng *rng);
bool token_legal(struct str token); /* base64url alphabet only, not empty */

#endif
