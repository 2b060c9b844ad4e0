#include "acme/x509_alpn.h"

#include "acme/address.h"
#include "acme/der.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#define OID_ACME_IDENTIFIER "1.3.6.1.5.5.7.1.31"
#define OID_OF_THE_DRAFTS   "1.3.6.1.5.5.7.1.30.1"

enum { MAX_DER = 64 * 1024, MAX_NAMES = 100, DIGEST_OCTETS = 32 };

/* A dNSName may hold any ASCII: what has a meaning in our list is none of it, or "ip:192.0.2.1" would be an address. */
static void add_dns_name(struct buf *buf, const ASN1_STRING *value)
{
    const char *at = (const char *)ASN1_STRING_get0_data(value);
    for (int i = 0; i < ASN1_STRING_length(value); i++)
        buf_add_char(buf, at[i] == ':' || at[i] == ',' ? '?' : at[i]);
}

static void add_name(struct buf *buf, const GENERAL_NAME *name)
{
    struct str octets;
    const ASN1_STRING *value;
    if (buf->n) buf_add_char(buf, ',');
    switch (name->type) {
    case GEN_DNS: add_dns_name(buf, name->d.dNSName); break;
    case GEN_IPADD:
        value = name->d.iPAddress;
        octets = (struct str){(const char *)ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)};
        buf_add_c(buf, "ip:");
        buf_add(buf, octets.n == 4 || octets.n == 16 ? address_text(buf->arena, octets) : STR("?"));
        break;
    default: buf_add_c(buf, "other"); break;
    }
}

static struct str names_text(struct arena *arena, const X509 *cert)
{
    struct buf buf = {.arena = arena};
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && i < MAX_NAMES; i++)
        add_name(&buf, sk_GENERAL_NAME_value(names, i));
    GENERAL_NAMES_free(names);
    return str_copy(arena, buf_str(&buf));
}

/* The one extension of that number; NULL: there is none, or more than one. */
static X509_EXTENSION *only_extension(const X509 *cert, const char *number)
{
    ASN1_OBJECT *object = OBJ_txt2obj(number, 1);
    int at = object ? X509_get_ext_by_OBJ(cert, object, -1) : -1;
    bool once = at >= 0 && X509_get_ext_by_OBJ(cert, object, at) < 0;
    ASN1_OBJECT_free(object);
    return once ? X509_get_ext(cert, at) : NULL;
}

/* Section 3: Authorization ::= OCTET STRING (SIZE (32)). */
static struct str digest_of(struct arena *arena, X509_EXTENSION *extension)
{
    const ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(extension);
    struct str der = {(const char *)ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)}, digest;
    if (!der_only(der, DER_OCTET_STRING, &digest) || digest.n != DIGEST_OCTETS) return (struct str){0};
    return str_copy(arena, digest);
}

static bool is_self_signed(X509 *cert)
{
    EVP_PKEY *key = X509_get0_pubkey(cert);
    return key && X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0 &&
           X509_verify(cert, key) == 1;
}

enum err alpn_certificate_read(struct arena *arena, struct str der, struct alpn_facts *ret)
{
    const unsigned char *at = (const unsigned char *)der.at;
    X509 *cert = der.n > 0 && der.n <= MAX_DER ? d2i_X509(NULL, &at, (long)der.n) : NULL;
    if (!cert) {
        ERR_clear_error();
        return ERR_MALFORMED;
    }
    *ret = (struct alpn_facts){.names = names_text(arena, cert), .self_signed = is_self_signed(cert)};
    X509_EXTENSION *extension = only_extension(cert, OID_ACME_IDENTIFIER);
    if (extension) {
        ret->has_extension = true;
        ret->critical = X509_EXTENSION_get_critical(extension);
        ret->digest = digest_of(arena, extension);
    } else {
        ret->obsolete = only_extension(cert, OID_OF_THE_DRAFTS) != NULL;
    }
    X509_free(cert);
    ERR_clear_error();
    return OK;
}
