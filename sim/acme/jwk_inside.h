/* What a key is made of: for jwk.c, jwk_sign.c, jws.c and the certificates of x509*.c. Nobody else. */
#ifndef ACME_JWK_INSIDE_H
#define ACME_JWK_INSIDE_H

/* The functions of the elliptic curves, of RSA and of the hashes themselves are "deprecated" in OpenSSL 3.0 in favour
 * of EVP, which looks up an implementation by its name each time: 100 us to read a key, 3 us to hash 32 bytes. */
#ifndef OPENSSL_SUPPRESS_DEPRECATED
#define OPENSSL_SUPPRESS_DEPRECATED
#endif

#include "acme/jwk.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

enum digest { DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512, DIGEST_NONE };
enum { MAX_DIGEST = 64, MAX_COORDINATE = 48, THUMBPRINT_TEXT = 43 };

struct key {
    enum key_kind kind;
    enum sealing sealing;
    bool is_private;
    unsigned char point[2 * MAX_COORDINATE]; /* EC: x, y. Ed25519: the public key */
    char thumbprint[THUMBPRINT_TEXT + 1];
    EC_KEY *ec; /* P-256 and P-384, not symbolic; with the private scalar if we have it */
    EVP_PKEY *ed25519;
    RSA *rsa;
};

struct key_row {
    const char *alg, *crv;
    int nid;
    size_t octets; /* of a coordinate, of an Ed25519 key */
    enum digest digest;
};
const struct key_row *key_row(enum key_kind kind);

size_t digest_size(enum digest digest);
void digest_of(enum digest digest, struct str bytes, unsigned char ret[MAX_DIGEST]);
void hmac_of(enum digest digest, struct str key, struct str bytes, unsigned char ret[MAX_DIGEST]);

/* As key_verify_der, with the digest that the algorithm of a certificate or CSR names: P-384 and RSA keys come with
 * SHA-256 as well as SHA-384. Ed25519 takes DIGEST_NONE. */
bool key_verify_with(const struct key *key, enum digest digest, struct str bytes, struct str signature);

#endif
