/* The status of an issuer's leaves, signed by its intermediate: OCSP (RFC 6960) and CRL (RFC 5280 section 5). DER by
 * hand, so that the same seed gives the same bytes and no clock is read; tests check it against OpenSSL. */
#ifndef ACME_X509_STATUS_H
#define ACME_X509_STATUS_H

#include "acme/x509.h"

struct certificate_status {
    enum { CERTIFICATE_GOOD, CERTIFICATE_REVOKED, CERTIFICATE_UNKNOWN } state;
    struct str serial; /* CRL only; octets without leading zeros */
    int64_t revoked_ms;
    int reason; /* RFC 5280 section 5.3.1; 0 is not said */
};

/* --- OCSP --- */
enum { OCSP_MAX_CERTIFICATES = 32 };
struct ocsp_request {
    struct {
        struct str id;     /* CertID, DER */
        struct str serial; /* octets without leading zeros */
        bool ours;         /* its issuer is this one */
    } at[OCSP_MAX_CERTIFICATES];
    size_t n;
    struct str nonce; /* the whole extension, DER; empty: none */
};
/* Borrows from `der`. ERR_MALFORMED: it is no request; ERR_LIMIT: too many certificates or too long a nonce. */
enum err ocsp_request_read(const struct issuer *issuer, struct arena *arena, struct str der, struct ocsp_request *ret);
/* One status for each certificate asked for. It holds from now_ms to next_ms. */
enum err ocsp_response_write(const struct issuer *issuer, struct arena *arena, const struct ocsp_request *request,
                             const struct certificate_status *statuses, int64_t now_ms, int64_t next_ms,
                             struct str *ret_der);
/* The unsigned answer to what is no request. */
struct str ocsp_malformed(void);
/* A request as a GET has it in its path: base64, perhaps with percent escapes (RFC 6960 appendix A.1). */
enum err ocsp_path_read(struct arena *arena, struct str text, struct str *ret_der);

/* --- CRL --- */
/* Its number is the second it was made in, so that later ones have higher numbers. */
enum err crl_write(const struct issuer *issuer, struct arena *arena, const struct certificate_status *revoked, size_t n,
                   int64_t now_ms, int64_t next_ms, struct str *ret_der);

#endif
