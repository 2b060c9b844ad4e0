#include "acme/jws.h"
#include "acme/json.h"
#include "acme/jwk_inside.h"

#include <assert.h>

#include <jansson.h>

enum { MAX_BODY = 256 * 1024 };

static const char *const algorithms[] = {"ES256", "ES384", "EdDSA", "RS256"};

struct str jws_algorithms(void)
{
    return STR("[\"ES256\",\"ES384\",\"EdDSA\",\"RS256\"]");
}

/* RFC 7518 section 3.2. */
static const struct {
    const char *alg;
    enum digest digest;
} macs[] = {
    {"HS256", DIGEST_SHA256},
    {"HS384", DIGEST_SHA384},
    {"HS512", DIGEST_SHA512},
};

/* --- reading ------------------------------------------------------------------------------------------------- */
struct opening {
    struct arena *arena;
    struct problem *problem;
    bool is_inside, by_mac;
    struct jws jws;
};

#define REFUSE(opening, type, ...) (*(opening)->problem = problem_new((opening)->arena, type, __VA_ARGS__), ERR_REFUSED)

/* NUL is not in a str that jansson gave: it refuses the escape unless asked. */
static struct str text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return (struct str){json_string_value(value), json_string_length(value)};
}

static json_t *object_of(struct str json)
{
    json_t *root = json_read(json, JSON_REJECT_DUPLICATES);
    if (json_is_object(root)) return root;
    json_decref(root);
    return NULL;
}

static struct str signing_input(struct arena *arena, struct str protected, struct str payload)
{
    struct buf out = {.arena = arena};
    buf_add(&out, protected);
    buf_add_char(&out, '.');
    buf_add(&out, payload);
    return buf_str(&out);
}

/* A MAC proves nothing to others and belongs into bindings only, a signature everywhere else (section 6.2). */
static enum err read_algorithm(struct opening *opening, const json_t *header)
{
    struct str alg = text_of(header, "alg");
    bool known = false;
    if (!alg.at) return REFUSE(opening, "malformed", "the protected header has no text \"alg\"");
    for (size_t i = 0; i < COUNTOF(algorithms) && !opening->by_mac; i++)
        known = known || str_is(alg, algorithms[i]);
    for (size_t i = 0; i < COUNTOF(macs) && opening->by_mac; i++)
        known = known || str_is(alg, macs[i].alg);
    opening->jws.alg = str_copy(opening->arena, alg);
    if (known) return OK;
    enum err e = REFUSE(opening, "badSignatureAlgorithm", "the algorithm \"%.*s\" is not supported%s", STR_ARGS(alg),
                        opening->by_mac ? ": it must be HS256, HS384 or HS512" : "");
    opening->problem->algorithms = opening->by_mac ? STR("[\"HS256\",\"HS384\",\"HS512\"]") : jws_algorithms();
    return e;
}

/* RFC 8555 section 6.2: jwk and kid exclude each other, and one of them is there. */
static enum err read_key(struct opening *opening, const json_t *header)
{
    const json_t *jwk = json_object_get(header, "jwk"), *kid = json_object_get(header, "kid");
    if (jwk && kid) return REFUSE(opening, "malformed", "the protected header has both \"jwk\" and \"kid\"");
    if (!jwk && !kid) return REFUSE(opening, "malformed", "the protected header has neither \"jwk\" nor \"kid\"");
    if (kid) {
        if (!json_is_string(kid))
            return REFUSE(opening, "malformed", "\"kid\" in the protected header is not a string");
        opening->jws.kid = str_copy(opening->arena, text_of(header, "kid"));
        return OK;
    }
    if (!json_is_object(jwk)) return REFUSE(opening, "malformed", "\"jwk\" in the protected header is not an object");
    size_t n = json_dumpb(jwk, NULL, 0, JSON_COMPACT);
    char *at = arena_alloc(opening->arena, n + 1);
    json_dumpb(jwk, at, n, JSON_COMPACT);
    opening->jws.jwk = (struct str){at, n};
    return OK;
}

/* Section 6.5.2. At least one character: the grammar of Replay-Nonce (section 6.5.1). */
static enum err read_nonce(struct opening *opening, const json_t *header)
{
    struct str nonce = text_of(header, "nonce"), octets;
    if (!json_object_get(header, "nonce")) return OK;
    if (opening->is_inside) return REFUSE(opening, "malformed", "its protected header must not have a \"nonce\"");
    if (!nonce.at) return REFUSE(opening, "malformed", "\"nonce\" in the protected header is not a string");
    opening->jws.nonce_legal = nonce.n > 0 && !base64url_decode(opening->arena, nonce, &octets);
    opening->jws.nonce = str_copy(opening->arena, nonce);
    return OK;
}

static enum err read_header(struct opening *opening, const json_t *header)
{
    if (json_object_get(header, "crit"))
        return REFUSE(opening, "malformed", "no extension that \"crit\" could name is supported");
    if (json_object_get(header, "b64"))
        return REFUSE(opening, "malformed", "the unencoded payload option \"b64\" is not allowed");
    struct str url = text_of(header, "url");
    enum err e = read_algorithm(opening, header);
    if (!e) e = read_key(opening, header);
    if (!e && !url.at) e = REFUSE(opening, "malformed", "the protected header has no text \"url\"");
    if (!e) opening->jws.url = str_copy(opening->arena, url);
    if (!e) e = read_nonce(opening, header);
    return e;
}

static enum err read_envelope(struct opening *opening, const json_t *root)
{
    struct arena *arena = opening->arena;
    struct str protected = text_of(root, "protected"), payload = text_of(root, "payload"),
               signature = text_of(root, "signature"), header_json;
    if (json_object_get(root, "signatures"))
        return REFUSE(opening, "malformed", "the JWS is not in flattened form: it has \"signatures\"");
    if (json_object_get(root, "header")) return REFUSE(opening, "malformed", "the JWS has an unprotected header");
    if (!protected.at || !payload.at || !signature.at)
        return REFUSE(opening, "malformed", "a JWS has the texts \"protected\", \"payload\" and \"signature\"");
    if (base64url_decode(arena, protected, &header_json))
        return REFUSE(opening, "malformed", "\"protected\" is not base64url");
    if (base64url_decode(arena, payload, &opening->jws.payload))
        return REFUSE(opening, "malformed", "\"payload\" is not base64url");
    if (base64url_decode(arena, signature, &opening->jws.signature))
        return REFUSE(opening, "malformed", "\"signature\" is not base64url");
    json_t *header = object_of(header_json);
    if (!header) return REFUSE(opening, "malformed", "\"protected\" does not decode to a JSON object");
    enum err e = read_header(opening, header);
    json_decref(header);
    if (!e) opening->jws.signing_input = signing_input(arena, protected, payload);
    return e;
}

enum err jws_open(struct arena *arena, struct str body, struct jws *ret, struct problem *reterr_problem)
{
    struct opening opening = {.arena = arena, .problem = reterr_problem};
    if (body.n > MAX_BODY) return REFUSE(&opening, "malformed", "the request is larger than %d bytes", (int)MAX_BODY);
    json_t *root = object_of(body);
    if (!root) return REFUSE(&opening, "malformed", "the body is not a JSON object in UTF-8 without duplicate names");
    enum err e = read_envelope(&opening, root);
    json_decref(root);
    if (!e) *ret = opening.jws;
    return e;
}

static enum err check_inside(struct opening *opening, enum jws_inside inside)
{
    const struct jws *jws = &opening->jws;
    if (inside == JWS_NEW_KEY && !jws->jwk.at)
        return REFUSE(opening, "malformed", "its protected header must have the new key as \"jwk\", not a \"kid\"");
    if (inside == JWS_BINDING && !jws->kid.at)
        return REFUSE(opening, "malformed",
                      "its protected header must name the MAC key by \"kid\", not carry a \"jwk\"");
    return OK;
}

enum err jws_open_inside(struct arena *arena, enum jws_inside inside, struct str json, struct jws *ret,
                         struct problem *reterr_problem)
{
    struct problem problem = {0};
    struct opening opening = {.arena = arena, .problem = &problem, .is_inside = true, .by_mac = inside == JWS_BINDING};
    json_t *root = json.n <= MAX_BODY ? object_of(json) : NULL;
    enum err e = REFUSE(&opening, "malformed", "it is not a JSON object");
    if (root) e = read_envelope(&opening, root);
    json_decref(root);
    if (!e) e = check_inside(&opening, inside);
    if (!e) {
        *ret = opening.jws;
        return OK;
    }
    problem.detail = str_fmt(arena, "the %s: %.*s", inside == JWS_BINDING ? "external account binding" : "inner JWS",
                             STR_ARGS(problem.detail));
    *reterr_problem = problem;
    return e;
}

bool jws_verify(const struct jws *jws, const struct key *key)
{
    return str_is(jws->alg, key_alg(key)) && key_verify(key, jws->signing_input, jws->signature);
}

/* --- MAC (RFC 7515 section 3, RFC 7518 section 3.2) --- */
static bool mac_of(struct str alg, struct str key, struct str bytes, unsigned char ret[MAX_DIGEST], size_t *ret_n)
{
    for (size_t i = 0; i < COUNTOF(macs); i++) {
        if (!str_is(alg, macs[i].alg)) continue;
        hmac_of(macs[i].digest, key, bytes, ret);
        *ret_n = digest_size(macs[i].digest);
        return true;
    }
    return false;
}

bool jws_verify_mac(const struct jws *jws, struct str key)
{
    unsigned char mac[MAX_DIGEST];
    size_t n = 0;
    return mac_of(jws->alg, key, jws->signing_input, mac, &n) && str_eq(jws->signature, (struct str){(char *)mac, n});
}

/* --- writing ------------------------------------------------------------------------------------------------- */
/* `key` may be NULL where the header has a kid. */
static struct str header_text(struct arena *arena, const char *alg, const struct key *key,
                              const struct jws_header *header)
{
    struct buf out = {.arena = arena};
    buf_fmt(&out, "{\"alg\":\"%s\"", alg);
    if (header->nonce.at) {
        buf_add_c(&out, ",\"nonce\":");
        buf_add_json(&out, header->nonce);
    }
    buf_add_c(&out, ",\"url\":");
    buf_add_json(&out, header->url);
    if (header->kid.at) {
        buf_add_c(&out, ",\"kid\":");
        buf_add_json(&out, header->kid);
    } else {
        buf_add_c(&out, ",\"jwk\":");
        buf_add(&out, key_jwk(key, arena));
    }
    buf_add_char(&out, '}');
    return buf_str(&out);
}

static struct str envelope(struct arena *arena, struct str protected, struct str payload, struct str signature)
{
    struct buf out = {.arena = arena};
    buf_add_c(&out, "{\"protected\":\"");
    buf_add(&out, protected);
    buf_add_c(&out, "\",\"payload\":\"");
    buf_add(&out, payload);
    buf_add_c(&out, "\",\"signature\":\"");
    buf_add(&out, base64url(arena, signature));
    buf_add_c(&out, "\"}");
    return buf_str(&out);
}

enum err jws_seal(struct arena *arena, const struct key *key, const struct jws_header *header, struct str payload,
                  struct str *ret)
{
    struct str protected = base64url(arena, header_text(arena, key_alg(key), key, header));
    struct str encoded = base64url(arena, payload), signature;
    enum err e = key_sign(key, arena, signing_input(arena, protected, encoded), &signature);
    if (!e) *ret = envelope(arena, protected, encoded, signature);
    return e;
}

enum err jws_seal_mac(struct arena *arena, const char *alg, struct str key, const struct jws_header *header,
                      struct str payload, struct str *ret)
{
    assert(header->kid.at);
    struct str protected = base64url(arena, header_text(arena, alg, NULL, header)), encoded = base64url(arena, payload);
    unsigned char mac[MAX_DIGEST];
    size_t n = 0;
    if (!mac_of(str_c(alg), key, signing_input(arena, protected, encoded), mac, &n)) return ERR_REFUSED;
    *ret = envelope(arena, protected, encoded, (struct str){(char *)mac, n});
    return OK;
}
