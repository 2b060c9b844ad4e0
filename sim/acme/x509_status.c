#include "acme/x509_status.h"

#include "acme/x509_inside.h"

#include <openssl/evp.h>

/* RFC 6960 section 4.2.1 and 4.4.1, RFC 3279 section 2.2.1, RFC 5754 section 2.2. */
#define OID_OCSP_BASIC "\x2b\x06\x01\x05\x05\x07\x30\x01\x01"
#define OID_OCSP_NONCE "\x2b\x06\x01\x05\x05\x07\x30\x01\x02"
#define OID_SHA1       "\x2b\x0e\x03\x02\x1a"
#define OID_SHA256     "\x60\x86\x48\x01\x65\x03\x04\x02\x01"

enum { MAX_NONCE = 128 }; /* RFC 9654 section 2.1 */

static struct str digest(struct arena *arena, struct str bytes, const EVP_MD *md)
{
    unsigned char *at = arena_alloc(arena, EVP_MAX_MD_SIZE);
    unsigned n = 0;
    if (EVP_Digest(bytes.at, bytes.n, at, &n, md, NULL) != 1) n = 0;
    return (struct str){(char *)at, n};
}

static struct str number_octets(int64_t number, char room[8])
{
    for (int i = 0; i < 8; i++)
        room[i] = (char)(number >> 8 * (7 - i) & 0xff);
    return (struct str){room, 8};
}

/* --- OCSP request --- */
static bool issued_by(const struct authority *by, struct arena *arena, struct str algorithm, struct str name_hash,
                      struct str key_hash)
{
    struct str oid;
    if (!der_take(&algorithm, DER_OID, &oid)) return false;
    const EVP_MD *md = str_is(oid, OID_SHA1) ? EVP_sha1() : str_is(oid, OID_SHA256) ? EVP_sha256() : NULL;
    return md && str_eq(name_hash, digest(arena, by->name, md)) &&
           str_eq(key_hash, digest(arena, spki_bits(key_spki(by->key, arena)), md));
}

static bool certificate_asked(const struct authority *by, struct arena *arena, struct str list_item,
                              struct ocsp_request *request)
{
    struct der_element id;
    struct str body, algorithm, name_hash, key_hash, serial, extensions;
    if (!der_next(&list_item, &id) || id.tag != DER_SEQUENCE) return false;
    (void)der_take(&list_item, DER_CONTEXT_CONSTRUCTED | 0, &extensions);
    body = id.body;
    if (list_item.n || !der_take(&body, DER_SEQUENCE, &algorithm) || !der_take(&body, DER_OCTET_STRING, &name_hash) ||
        !der_take(&body, DER_OCTET_STRING, &key_hash) || !der_only(body, DER_INTEGER, &serial) || serial.n == 0)
        return false;
    while (serial.n && serial.at[0] == 0)
        serial = (struct str){serial.at + 1, serial.n - 1};
    request->at[request->n].id = id.whole;
    request->at[request->n].serial = serial;
    request->at[request->n++].ours = issued_by(by, arena, algorithm, name_hash, key_hash);
    return true;
}

static enum err nonce_find(struct str extensions, struct str *ret)
{
    while (extensions.n) {
        struct der_element whole;
        struct str body, oid, critical, value;
        if (!der_next(&extensions, &whole) || whole.tag != DER_SEQUENCE) return ERR_MALFORMED;
        body = whole.body;
        if (!der_take(&body, DER_OID, &oid)) return ERR_MALFORMED;
        (void)der_take(&body, DER_BOOLEAN, &critical);
        if (!der_only(body, DER_OCTET_STRING, &value)) return ERR_MALFORMED;
        if (!str_is(oid, OID_OCSP_NONCE)) continue;
        if (value.n > MAX_NONCE + 3) return ERR_LIMIT; /* it is an OCTET STRING again */
        *ret = whole.whole;
    }
    return OK;
}

enum err ocsp_request_read(const struct issuer *issuer, struct arena *arena, struct str der, struct ocsp_request *ret)
{
    struct str request, tbs, skipped, list, tagged, extensions = {0}, item;
    *ret = (struct ocsp_request){0};
    if (!der_only(der, DER_SEQUENCE, &request) || !der_take(&request, DER_SEQUENCE, &tbs)) return ERR_MALFORMED;
    /* Its signature, if there is one, tells nothing that matters here. */
    (void)der_take(&request, DER_CONTEXT_CONSTRUCTED | 0, &skipped);
    if (request.n) return ERR_MALFORMED;
    (void)der_take(&tbs, DER_CONTEXT_CONSTRUCTED | 0, &skipped); /* version */
    (void)der_take(&tbs, DER_CONTEXT_CONSTRUCTED | 1, &skipped); /* requestorName */
    if (!der_take(&tbs, DER_SEQUENCE, &list) || list.n == 0) return ERR_MALFORMED;
    if (der_take(&tbs, DER_CONTEXT_CONSTRUCTED | 2, &tagged) && !der_only(tagged, DER_SEQUENCE, &extensions))
        return ERR_MALFORMED;
    if (tbs.n) return ERR_MALFORMED;
    while (list.n) {
        if (ret->n == OCSP_MAX_CERTIFICATES) return ERR_LIMIT;
        if (!der_take(&list, DER_SEQUENCE, &item) || !certificate_asked(&issuer->intermediates[0], arena, item, ret))
            return ERR_MALFORMED;
    }
    return nonce_find(extensions, &ret->nonce);
}

/* --- OCSP response --- */
static enum err status_add(struct buf *out, const struct certificate_status *status)
{
    if (status->state != CERTIFICATE_REVOKED) {
        der_add(out, DER_CONTEXT | (status->state == CERTIFICATE_GOOD ? 0 : 2), STR(""));
        return OK;
    }
    size_t opened = der_open(out, DER_CONTEXT_CONSTRUCTED | 1);
    enum err e = der_add_generalized_time(out, status->revoked_ms);
    if (status->reason) {
        char reason = (char)status->reason;
        size_t tagged = der_open(out, DER_CONTEXT_CONSTRUCTED | 0);
        der_add(out, DER_ENUMERATED, (struct str){&reason, 1});
        der_close(out, tagged);
    }
    der_close(out, opened);
    return e;
}

static enum err single_add(struct buf *out, struct str id, const struct certificate_status *status, int64_t now_ms,
                           int64_t next_ms)
{
    size_t opened = der_open(out, DER_SEQUENCE);
    buf_add(out, id);
    enum err e = status_add(out, status);
    if (!e) e = der_add_generalized_time(out, now_ms);
    size_t tagged = der_open(out, DER_CONTEXT_CONSTRUCTED | 0);
    if (!e) e = der_add_generalized_time(out, next_ms);
    der_close(out, tagged);
    der_close(out, opened);
    return e;
}

/* ResponseData; the responder is named by the SHA-1 of its key. */
static enum err response_data_write(const struct authority *by, struct arena *arena, const struct ocsp_request *request,
                                    const struct certificate_status *statuses, int64_t now_ms, int64_t next_ms,
                                    struct str *ret)
{
    struct buf out = {.arena = arena};
    size_t data = der_open(&out, DER_SEQUENCE), tagged = der_open(&out, DER_CONTEXT_CONSTRUCTED | 2);
    der_add(&out, DER_OCTET_STRING, digest(arena, spki_bits(key_spki(by->key, arena)), EVP_sha1()));
    der_close(&out, tagged);
    enum err e = der_add_generalized_time(&out, now_ms);
    size_t list = der_open(&out, DER_SEQUENCE);
    for (size_t i = 0; i < request->n && !e; i++)
        e = single_add(&out, request->at[i].id, &statuses[i], now_ms, next_ms);
    der_close(&out, list);
    if (request->nonce.n) {
        tagged = der_open(&out, DER_CONTEXT_CONSTRUCTED | 1);
        der_add(&out, DER_SEQUENCE, request->nonce);
        der_close(&out, tagged);
    }
    der_close(&out, data);
    *ret = buf_str(&out);
    return e;
}

enum err ocsp_response_write(const struct issuer *issuer, struct arena *arena, const struct ocsp_request *request,
                             const struct certificate_status *statuses, int64_t now_ms, int64_t next_ms,
                             struct str *ret_der)
{
    const struct authority *by = &issuer->intermediates[0];
    struct str data, basic;
    enum err e = response_data_write(by, arena, request, statuses, now_ms, next_ms, &data);
    if (!e) e = signed_write(arena, by->key, data, &basic);
    if (e) return e;
    struct buf out = {.arena = arena};
    size_t response = der_open(&out, DER_SEQUENCE);
    der_add(&out, DER_ENUMERATED, (struct str){"\0", 1}); /* successful */
    size_t tagged = der_open(&out, DER_CONTEXT_CONSTRUCTED | 0), bytes = der_open(&out, DER_SEQUENCE);
    der_add(&out, DER_OID, STR(OID_OCSP_BASIC));
    der_add(&out, DER_OCTET_STRING, basic);
    der_close(&out, bytes);
    der_close(&out, tagged);
    der_close(&out, response);
    *ret_der = buf_str(&out);
    return OK;
}

struct str ocsp_malformed(void)
{
    return STR("\x30\x03\x0a\x01\x01");
}

/* --- the path of a GET --- */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

enum err ocsp_path_read(struct arena *arena, struct str text, struct str *ret_der)
{
    struct buf plain = {.arena = arena};
    size_t padding = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.at[i];
        if (c == '%') {
            int high = i + 2 < text.n ? hex_digit(text.at[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_digit(text.at[i + 2]);
            if (low < 0) return ERR_MALFORMED;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '=') padding++;
        else if (padding || c == '-' || c == '_') return ERR_MALFORMED;
        else buf_add_char(&plain, c == '+' ? '-' : c == '/' ? '_' : c);
    }
    return padding > 2 ? ERR_MALFORMED : base64url_decode(arena, buf_str(&plain), ret_der);
}

/* --- CRL --- */
static enum err revoked_add(struct buf *out, struct arena *arena, const struct certificate_status *status)
{
    size_t opened = der_open(out, DER_SEQUENCE);
    der_add_number(out, status->serial);
    enum err e = der_add_time(out, status->revoked_ms);
    /* RFC 5280 section 5.3.1: unspecified is not said. */
    if (status->reason) {
        char reason = (char)status->reason;
        struct buf value = {.arena = arena};
        der_add(&value, DER_ENUMERATED, (struct str){&reason, 1});
        size_t extensions = der_open(out, DER_SEQUENCE);
        x509_extension_add(out, OID_REASON_CODE, false, buf_str(&value));
        der_close(out, extensions);
    }
    der_close(out, opened);
    return e;
}

static void crl_extensions_add(struct buf *out, const struct authority *by, struct arena *arena, int64_t number)
{
    char room[8];
    struct buf value = {.arena = arena};
    der_add_number(&value, number_octets(number, room));
    size_t tagged = der_open(out, DER_CONTEXT_CONSTRUCTED | 0), extensions = der_open(out, DER_SEQUENCE);
    authority_id_add(out, by->id);
    x509_extension_add(out, OID_CRL_NUMBER, false, buf_str(&value));
    der_close(out, extensions);
    der_close(out, tagged);
}

enum err crl_write(const struct issuer *issuer, struct arena *arena, const struct certificate_status *revoked, size_t n,
                   int64_t now_ms, int64_t next_ms, struct str *ret_der)
{
    const struct authority *by = &issuer->intermediates[0];
    struct buf out = {.arena = arena};
    size_t tbs = der_open(&out, DER_SEQUENCE);
    der_add_number(&out, STR("\x01")); /* version 2 */
    buf_add(&out, signature_algorithm(by->key));
    buf_add(&out, by->name);
    enum err e = der_add_time(&out, now_ms);
    if (!e) e = der_add_time(&out, next_ms);
    /* Section 5.1.2.6: an empty list is left out. */
    size_t list = n ? der_open(&out, DER_SEQUENCE) : 0;
    for (size_t i = 0; i < n && !e; i++)
        e = revoked_add(&out, arena, &revoked[i]);
    if (n) der_close(&out, list);
    crl_extensions_add(&out, by, arena, now_ms / 1000);
    der_close(&out, tbs);
    return e ? e : signed_write(arena, by->key, buf_str(&out), ret_der);
}
