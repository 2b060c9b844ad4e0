#include "acme/address.h"
#include "acme/jwk_inside.h"
#include "acme/x509_inside.h"

#include <stdlib.h>

enum { MAX_CSR = 64 * 1024, MAX_CHAIN = 1024 * 1024 };

/* --- names --------------------------------------------------------------------------------------------------- */
struct name_list {
    struct str *at;
    size_t n;
};

bool dns_name_legal(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.at[i] <= ' ' || name.at[i] > '~') return false;
    return name.n > 0 && name.n <= MAX_DNS_NAME;
}

static enum err name_add(struct name_list *list, struct arena *arena, struct str name)
{
    if (!dns_name_legal(name)) return ERR_REFUSED;
    char *at = arena_copy(arena, name.at, name.n);
    for (size_t i = 0; i < name.n; i++)
        if (at[i] >= 'A' && at[i] <= 'Z') at[i] = (char)(at[i] - 'A' + 'a');
    name.at = at;
    for (size_t i = 0; i < list->n; i++)
        if (str_eq(list->at[i], name)) return OK;
    if (list->n == CSR_MAX_NAMES) return ERR_LIMIT;
    list->at[list->n++] = name;
    return OK;
}

static int by_octets(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void names_sort(struct name_list *list)
{
    if (list->n) qsort(list->at, list->n, sizeof *list->at, by_octets);
}

/* One name of a CSR. An address that is said to be a dns name would get a certificate for the address. */
static enum err name_of_csr(struct name_list *list, struct arena *arena, const struct der_element *name)
{
    unsigned char octets[16];
    if (name->tag == NAME_DNS)
        return address_octets(name->body, octets) ? ERR_REFUSED : name_add(list, arena, name->body);
    if (name->tag != NAME_IP || (name->body.n != 4 && name->body.n != 16)) return ERR_REFUSED;
    return name_add(list, arena, address_text(arena, name->body));
}

/* Of a CSR: dns names and addresses, and others are ERR_REFUSED. Else: the dns names, and others are passed over. */
static enum err names_of_san(struct name_list *list, struct arena *arena, struct str san, bool of_csr)
{
    struct str names;
    if (!der_only(san, DER_SEQUENCE, &names) || names.n == 0) return ERR_MALFORMED;
    while (names.n) {
        struct der_element name;
        if (!der_next(&names, &name)) return ERR_MALFORMED;
        enum err e = of_csr                 ? name_of_csr(list, arena, &name)
                     : name.tag == NAME_DNS ? name_add(list, arena, name.body)
                                            : OK;
        if (e) return e;
    }
    return OK;
}

/* The common names of a Name, RFC 5280 section 4.1.2.4. */
static enum err names_of_subject(struct name_list *list, struct arena *arena, struct str rdns)
{
    while (rdns.n) {
        struct str set;
        if (!der_take(&rdns, DER_SET, &set) || set.n == 0) return ERR_MALFORMED;
        while (set.n) {
            struct str pair, oid;
            struct der_element value;
            if (!der_take(&set, DER_SEQUENCE, &pair) || !der_take(&pair, DER_OID, &oid) || !der_next(&pair, &value) ||
                pair.n)
                return ERR_MALFORMED;
            if (!str_is(oid, OID_COMMON_NAME)) continue;
            bool text =
                value.tag == DER_UTF8_STRING || value.tag == DER_PRINTABLE_STRING || value.tag == DER_IA5_STRING;
            enum err e = text ? name_add(list, arena, value.body) : ERR_REFUSED;
            if (e) return e;
        }
    }
    return OK;
}

/* Looks for one extension in Extensions' body. *ret_value.at stays NULL: there is none. false: no DER, or it is there
 * twice. */
static bool extension_find(struct str extensions, const char *wanted, struct str *ret_value)
{
    while (extensions.n) {
        struct str extension, oid, critical, value;
        if (!der_take(&extensions, DER_SEQUENCE, &extension) || !der_take(&extension, DER_OID, &oid)) return false;
        if (der_take(&extension, DER_BOOLEAN, &critical) && critical.n != 1) return false;
        if (!der_take(&extension, DER_OCTET_STRING, &value) || extension.n) return false;
        if (!str_is(oid, wanted)) continue;
        if (ret_value->at) return false;
        *ret_value = value;
    }
    return true;
}

/* --- CSR: RFC 2986 ----------------------------------------------------------------------------------------------- */
/* The algorithms that a CSR may be signed with; lego and openssl(1) choose the digest by the key, certbot takes SHA-256
 * always. */
static const struct {
    struct str identifier;
    enum key_kind kinds[2];
    enum digest digest;
} signature_algorithms[] = {
    {OCTETS("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02"),             {KEY_P256, KEY_P384},       DIGEST_SHA256},
    {OCTETS("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03"),             {KEY_P256, KEY_P384},       DIGEST_SHA384},
    {OCTETS("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x04"),             {KEY_P256, KEY_P384},       DIGEST_SHA512},
    {OCTETS("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"), {KEY_RSA, KEY_RSA},         DIGEST_SHA256},
    {OCTETS("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c\x05\x00"), {KEY_RSA, KEY_RSA},         DIGEST_SHA384},
    {OCTETS("\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d\x05\x00"), {KEY_RSA, KEY_RSA},         DIGEST_SHA512},
    {OCTETS("\x30\x05\x06\x03\x2b\x65\x70"),                                 {KEY_ED25519, KEY_ED25519}, DIGEST_NONE  },
};

struct csr_parts {
    int version;
    struct str info; /* what is signed */
    struct str subject, spki, attributes, algorithm, signature;
};

static bool csr_split(struct str der, struct csr_parts *ret)
{
    struct str csr, info, version;
    struct der_element whole, algorithm, spki;
    if (!der_only(der, DER_SEQUENCE, &csr) || !der_next(&csr, &whole) || whole.tag != DER_SEQUENCE) return false;
    info = whole.body;
    if (!der_take_number(&info, &version) || version.n > 1 || !der_take(&info, DER_SEQUENCE, &ret->subject))
        return false;
    ret->version = version.n ? (unsigned char)version.at[0] : 0;
    if (!der_next(&info, &spki) || spki.tag != DER_SEQUENCE) return false;
    if (!der_only(info, DER_CONTEXT_CONSTRUCTED, &ret->attributes)) return false;
    if (!der_next(&csr, &algorithm) || algorithm.tag != DER_SEQUENCE || !der_take_bits(&csr, &ret->signature) || csr.n)
        return false;
    ret->info = whole.whole;
    ret->spki = spki.whole;
    ret->algorithm = algorithm.whole;
    return true;
}

/* The Extensions of the one extensionRequest; empty if there is none. */
static bool csr_extensions(struct str attributes, struct str *ret)
{
    while (attributes.n) {
        struct str attribute, oid, set, extensions;
        if (!der_take(&attributes, DER_SEQUENCE, &attribute) || !der_take(&attribute, DER_OID, &oid) ||
            !der_only(attribute, DER_SET, &set))
            return false;
        if (!str_is(oid, OID_EXTENSION_REQUEST)) continue;
        if (ret->at || !der_only(set, DER_SEQUENCE, &extensions)) return false;
        *ret = extensions;
    }
    return true;
}

static bool csr_signed(const struct csr_parts *parts, const struct key *key)
{
    for (size_t i = 0; i < COUNTOF(signature_algorithms); i++) {
        if (!str_eq(parts->algorithm, signature_algorithms[i].identifier)) continue;
        const enum key_kind *kinds = signature_algorithms[i].kinds;
        return (kinds[0] == key_kind(key) || kinds[1] == key_kind(key)) &&
               key_verify_with(key, signature_algorithms[i].digest, parts->info, parts->signature);
    }
    return false;
}

/* What is wrong with it in words; NULL: nothing. */
static const char *csr_names(struct arena *arena, const struct csr_parts *parts, struct name_list *list)
{
    struct str extensions = {0}, san = {0};
    enum err e = names_of_subject(list, arena, parts->subject);
    if (e == ERR_MALFORMED) return "the CSR's subject is no distinguished name";
    if (e == ERR_REFUSED) return "the CSR's common name is no dns name";
    if (e) return "the CSR has too many names";
    if (!csr_extensions(parts->attributes, &extensions) || !extension_find(extensions, OID_SUBJECT_ALT_NAME, &san))
        return "the CSR's attributes or extensions are malformed";
    if (san.at) e = names_of_san(list, arena, san, true);
    if (e == ERR_MALFORMED) return "the CSR's subjectAltName is malformed";
    if (e == ERR_REFUSED) return "the CSR's subjectAltName holds something else than dns names and addresses";
    if (e) return "the CSR has too many names";
    return list->n ? NULL : "the CSR names no domain";
}

enum err csr_read(struct arena *arena, struct str der, enum sealing sealing, struct csr *ret,
                  struct problem *reterr_problem)
{
    struct csr csr = {0};
    struct csr_parts parts;
    struct name_list list = {csr.names, 0};
    const char *why = NULL;
    enum err e = OK;

    if (der.n > MAX_CSR) why = "the CSR is larger than 64 KiB";
    else if (!csr_split(der, &parts)) why = "the CSR is no PKCS#10 in DER";
    else if ((e = key_from_spki(parts.spki, sealing, &csr.key)) == ERR_CRYPTO) return e;
    else if (e) why = "the CSR's key must be P-256, P-384, Ed25519, or RSA of 2048 to 4096 bits";
    else if (!csr_signed(&parts, csr.key))
        why = "the CSR's signature is not by its key, or its algorithm is not supported";
    else why = csr_names(arena, &parts, &list);
    if (why) {
        csr_done(&csr);
        *reterr_problem = problem_new(arena, "badCSR", "%s", why);
        return ERR_REFUSED;
    }
    names_sort(&list);
    csr.n_names = list.n;
    csr.version = parts.version;
    *ret = csr;
    return OK;
}

void csr_done(struct csr *csr)
{
    key_free(csr->key);
    csr->key = NULL;
}

/* --- chain ------------------------------------------------------------------------------------------------------- */
struct certificate_parts {
    struct str serial, validity, spki, extensions;
};

static bool certificate_split(struct str der, struct certificate_parts *ret)
{
    struct str certificate, tbs, version, algorithm, issuer, subject, unique, explicit;
    struct der_element signature, spki;
    *ret = (struct certificate_parts){0};
    if (!der_only(der, DER_SEQUENCE, &certificate) || !der_take(&certificate, DER_SEQUENCE, &tbs)) return false;
    if (!der_take(&certificate, DER_SEQUENCE, &algorithm) || !der_next(&certificate, &signature) ||
        signature.tag != DER_BIT_STRING || certificate.n)
        return false;
    (void)der_take(&tbs, DER_CONTEXT_CONSTRUCTED | 0, &version);
    if (!der_take(&tbs, DER_INTEGER, &ret->serial) || !der_take(&tbs, DER_SEQUENCE, &algorithm) ||
        !der_take(&tbs, DER_SEQUENCE, &issuer) || !der_take(&tbs, DER_SEQUENCE, &ret->validity) ||
        !der_take(&tbs, DER_SEQUENCE, &subject) || !der_next(&tbs, &spki) || spki.tag != DER_SEQUENCE)
        return false;
    ret->spki = spki.whole;
    (void)der_take(&tbs, DER_CONTEXT | 1, &unique);
    (void)der_take(&tbs, DER_CONTEXT | 2, &unique);
    if (der_take(&tbs, DER_CONTEXT_CONSTRUCTED | 3, &explicit) && !der_only(explicit, DER_SEQUENCE, &ret->extensions))
        return false;
    return tbs.n == 0;
}

enum err certificate_read(struct str der, struct certificate_id *ret)
{
    struct certificate_parts parts;
    if (!certificate_split(der, &parts)) return ERR_MALFORMED;
    while (parts.serial.n && parts.serial.at[0] == 0)
        parts.serial = (struct str){parts.serial.at + 1, parts.serial.n - 1};
    *ret = (struct certificate_id){parts.serial, parts.spki};
    return OK;
}

static enum err leaf_read(struct arena *arena, const struct certificate_parts *parts, struct chain_facts *ret)
{
    struct name_list list = {ret->names, 0};
    struct str validity = parts->validity, san = {0};
    if (!der_take_time(&validity, &ret->not_before_ms) || !der_take_time(&validity, &ret->not_after_ms) || validity.n)
        return ERR_MALFORMED;
    if (!extension_find(parts->extensions, OID_SUBJECT_ALT_NAME, &san)) return ERR_MALFORMED;
    enum err e = san.at ? names_of_san(&list, arena, san, false) : OK;
    if (e) return e == ERR_LIMIT ? ERR_LIMIT : ERR_MALFORMED;
    names_sort(&list);
    ret->n_names = list.n;
    ret->spki = str_copy(arena, parts->spki);
    return OK;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '+') return 62;
    if (c == '/') return 63;
    return -1;
}

/* base64 with padding, broken into lines anywhere. */
static enum err base64_decode(struct arena *arena, struct str text, struct str *ret)
{
    char *at = arena_alloc(arena, text.n / 4 * 3 + 4);
    size_t n = 0, digits = 0, padding = 0;
    uint32_t word = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.at[i];
        if (c == '\n' || c == '\r' || c == ' ' || c == '\t') continue;
        int digit = c == '=' ? 0 : base64_digit(c);
        if (digit < 0 || (padding && c != '=')) return ERR_MALFORMED;
        if (c == '=') padding++;
        word = word << 6 | (uint32_t)digit;
        if (++digits % 4) continue;
        at[n++] = (char)(word >> 16 & 0xff);
        at[n++] = (char)(word >> 8 & 0xff);
        at[n++] = (char)(word & 0xff);
    }
    if (digits == 0 || digits % 4 || padding > 2) return ERR_MALFORMED;
    n -= padding;
    *ret = (struct str){at, n};
    return OK;
}

/* Moves *text behind the next line that is `label` and says what came before it. */
static bool pem_line(struct str *text, const char *label, struct str *ret_before)
{
    const char *start = text->at;
    while (text->n) {
        struct str line;
        const char *line_at = text->at;
        (void)str_cut(*text, '\n', &line, text);
        if (!str_is(str_trim(line), label)) continue;
        *ret_before = (struct str){start, (size_t)(line_at - start)};
        return true;
    }
    return false;
}

enum err certificate_from_pem(struct arena *arena, struct str pem, struct str *ret_der)
{
    struct str before, body;
    if (pem.n > MAX_CHAIN) return ERR_LIMIT;
    if (!pem_line(&pem, "-----BEGIN CERTIFICATE-----", &before) || !pem_line(&pem, "-----END CERTIFICATE-----", &body))
        return ERR_MALFORMED;
    return base64_decode(arena, body, ret_der);
}

enum err certificate_renewal_id(struct arena *arena, struct str der, struct str *ret)
{
    struct certificate_parts parts;
    struct str value = {0}, sequence, key_id;
    if (!certificate_split(der, &parts)) return ERR_MALFORMED;
    if (!extension_find(parts.extensions, OID_AUTHORITY_KEY_IDENTIFIER, &value)) return ERR_MALFORMED;
    if (!der_only(value, DER_SEQUENCE, &sequence) || !der_take(&sequence, DER_CONTEXT | 0, &key_id))
        return ERR_NOT_FOUND;
    *ret = str_fmt(arena, "%.*s.%.*s", STR_ARGS(base64url(arena, key_id)), STR_ARGS(base64url(arena, parts.serial)));
    return OK;
}

enum err chain_read(struct arena *arena, struct str pem, struct chain_facts *ret)
{
    struct chain_facts facts = {0};
    struct str before, body, der;
    if (pem.n > MAX_CHAIN) return ERR_LIMIT;
    while (pem_line(&pem, "-----BEGIN CERTIFICATE-----", &before)) {
        struct certificate_parts parts;
        if (!pem_line(&pem, "-----END CERTIFICATE-----", &body) || base64_decode(arena, body, &der) ||
            !certificate_split(der, &parts))
            return ERR_MALFORMED;
        if (facts.n_certificates++) continue;
        struct certificate_id id;
        enum err e = leaf_read(arena, &parts, &facts);
        if (e || (e = certificate_read(der, &id))) return e;
        facts.serial = id.serial;
    }
    if (facts.n_certificates == 0) return ERR_MALFORMED;
    *ret = facts;
    return OK;
}
