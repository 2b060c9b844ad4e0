/* JWS as ACME uses it (RFC 8555 section 6.2): flattened JSON, nothing unprotected, one signature. Reading is strict;
 * what is wrong becomes the problem the RFC names. Writing can be rude on purpose. */
#ifndef ACME_JWS_H
#define ACME_JWS_H

#include "acme/jwk.h"
#include "acme/problem.h"

struct jws {
    struct str alg, url;
    struct str nonce;   /* .at == NULL: absent */
    bool nonce_legal;   /* it is base64url */
    struct str kid;     /* .at == NULL: absent */
    struct str jwk;     /* JSON text; .at == NULL: absent */
    struct str payload; /* decoded; empty for POST-as-GET */
    struct str signing_input, signature;
};

/* Opens the envelope without checking the signature: JSON form, base64url, header members, alg in the list
 * (badSignatureAlgorithm with `algorithms`), exactly one of jwk and kid, url present, nonce absent or a text. What it
 * means that there is no nonce, or none in base64url, is the caller's to say (sections 6.5, 6.5.2). On OK *ret borrows
 * from the arena. On ERR_REFUSED *reterr_problem is the reply; *ret is untouched. Limits: 256 KiB. */
enum err jws_open(struct arena *arena, struct str body, struct jws *ret, struct problem *reterr_problem);
/* A JWS in the payload of another, and what it is there for. */
enum jws_inside {
    JWS_NEW_KEY, /* of keyChange: "jwk" and no "nonce" (section 7.3.5) */
    JWS_BINDING  /* externalAccountBinding: "kid", no "nonce", a MAC for signature (section 7.3.4) */
};
/* As jws_open. The detail of the problem begins with a word on which of the two JWS it speaks of. */
enum err jws_open_inside(struct arena *arena, enum jws_inside inside, struct str json, struct jws *ret,
                         struct problem *reterr_problem);
/* The MAC of a binding by this key. */
bool jws_verify_mac(const struct jws *jws, struct str key);
/* Signature by `key` and alg fits the key. false: the caller answers malformed/unauthorized. */
bool jws_verify(const struct jws *jws, const struct key *key);

struct jws_header {
    struct str nonce; /* .at NULL: member left out (inner JWS, and rude tests) */
    struct str url;
    struct str kid; /* .at NULL: the key's jwk is embedded instead */
};
/* A flattened JWS as JSON text. payload empty = POST-as-GET. */
enum err jws_seal(struct arena *arena, const struct key *key, const struct jws_header *header, struct str payload,
                  struct str *ret);

/* The same with a MAC: alg "HS256", "HS384" or "HS512"; header->kid is required. ERR_REFUSED: another alg. */
enum err jws_seal_mac(struct arena *arena, const char *alg, struct str key, const struct jws_header *header,
                      struct str payload, struct str *ret);

/* The algorithms we accept, as a JSON array text. */
struct str jws_algorithms(void);

#endif
