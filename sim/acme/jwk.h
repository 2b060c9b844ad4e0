/* Keys: made from a seed, read from a JWK, thumbprints, signatures. Kept decoded; reading one costs more than using it.
 *
 * Sealing: a SYMBOLIC key signs by hashing itself and the bytes, and verifies likewise, with no public-key arithmetic:
 * for benchmarks, fuzzing and fleets. It looks like a P-256 key on the wire. REAL keys are OpenSSL's. ES256 and ES384
 * signatures are deterministic (RFC 6979), Ed25519 and RSA PKCS#1 v1.5 are by nature: same seed, same bytes. */
#ifndef ACME_JWK_H
#define ACME_JWK_H

#include "base/rng.h"
#include "base/str.h"

enum key_kind { KEY_P256, KEY_P384, KEY_ED25519, KEY_RSA };
enum sealing { SEALING_REAL, SEALING_SYMBOLIC };

struct key; /* immutable once made; free with key_free */

const char *key_alg(const struct key *key); /* the JWS alg it signs with: "ES256" "ES384" "EdDSA" "RS256" */
enum key_kind key_kind(const struct key *key);
enum sealing key_sealing(const struct key *key);

/* A private key from chance. KEY_RSA is not made here but read from PEM (it takes 130 ms). Symbolic: KEY_P256 only. */
struct key *key_make(enum key_kind kind, enum sealing sealing, struct rng *rng);
/* From PEM text (PKCS#8 or traditional), private or SubjectPublicKeyInfo. NULL when it is not one of our kinds. */
struct key *key_from_pem(struct str pem);
struct str key_pem(const struct key *key, struct arena *arena); /* PKCS#8 private key PEM; real keys only */
/* The same as OpenSSL holds it, for TLS: a reference to be let go by EVP_PKEY_free. NULL: no real private key. */
struct evp_pkey_st *key_evp(const struct key *key);

/* A public key from a JWK object's JSON text. Strict: EC coordinates of full length and on the curve; RSA of 2048 to
 * 4096 bits, odd exponent, no leading zeros; no private member. On ERR_REFUSED *reterr_why is an English sentence
 * (static or arena) for badPublicKey; ERR_MALFORMED when it is no JWK at all. The key's sealing is `sealing`. */
enum err key_from_jwk(struct arena *arena, struct str json, enum sealing sealing, struct key **ret,
                      struct str *reterr_why);
struct str key_jwk(const struct key *key, struct arena *arena);        /* canonical public JWK (RFC 7638 order) */
struct str key_thumbprint(const struct key *key, struct arena *arena); /* base64url SHA-256 of it; cached by the key */
/* SubjectPublicKeyInfo and back. */
struct str key_spki(const struct key *key, struct arena *arena);
enum err key_from_spki(struct str der, enum sealing sealing, struct key **ret);

/* Signs for JWS: ES256 gives 64 bytes r||s. Signs for X.509: the DER form of the same. */
enum err key_sign(const struct key *key, struct arena *arena, struct str bytes, struct str *ret);
enum err key_sign_der(const struct key *key, struct arena *arena, struct str bytes, struct str *ret);
/* true: good. A wrong length or a DER signature where raw is due is false. */
bool key_verify(const struct key *key, struct str bytes, struct str signature);
bool key_verify_der(const struct key *key, struct str bytes, struct str signature);

bool key_same(const struct key *a, const struct key *b); /* same public key */
void key_free(struct key *key);

struct str sha256(struct arena *arena, struct str bytes); /* 32 raw bytes */

#endif
