#include "acme/jws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct arena arena;

static int drop_arena(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static void assert_str(struct str got, const char *want)
{
    if (!str_is(got, want)) fail_msg("\"%.*s\" is not \"%s\"", STR_ARGS(got), want);
    assert_int_equal(got.at[got.n], 0);
}

static struct key *key_seeded(enum key_kind kind, enum sealing sealing, uint64_t seed)
{
    struct rng rng;
    rng_seed(&rng, seed);
    struct key *key = key_make(kind, sealing, &rng);
    assert_non_null(key);
    return key;
}

static struct key *rsa_fixture(void)
{
    char bytes[4096];
    FILE *file = fopen(DRILL_SOURCE_DIR "/fixtures/keys/rsa2048.pem", "r");
    assert_non_null(file);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    assert_int_equal(fclose(file), 0);
    struct key *key = key_from_pem((struct str){bytes, n});
    assert_non_null(key);
    return key;
}

#define URL   "https://ca.test/order/1"
#define KID   "https://ca.test/account/1"
#define NONCE "bm9uY2U"

static void test_what_is_sealed_opens(void **state)
{
    (void)state;
    enum { KEYS = 5 };
    struct key *keys[KEYS] = {
        key_seeded(KEY_P256, SEALING_REAL, 1),     key_seeded(KEY_P384, SEALING_REAL, 1),
        key_seeded(KEY_ED25519, SEALING_REAL, 1),  rsa_fixture(),
        key_seeded(KEY_P256, SEALING_SYMBOLIC, 1),
    };
    for (size_t i = 0; i < KEYS; i++) {
        struct jws_header header = {.nonce = STR(NONCE), .url = STR(URL), .kid = STR(KID)};
        struct str body, again;
        struct jws jws = {0};
        struct problem problem = {0};
        assert_int_equal(jws_seal(&arena, keys[i], &header, STR("{\"csr\":\"\"}"), &body), OK);
        assert_int_equal(jws_seal(&arena, keys[i], &header, STR("{\"csr\":\"\"}"), &again), OK);
        assert_str(again, body.at);
        assert_int_equal(jws_open(&arena, body, &jws, &problem), OK);
        assert_str(jws.alg, key_alg(keys[i]));
        assert_str(jws.nonce, NONCE);
        assert_str(jws.url, URL);
        assert_str(jws.kid, KID);
        assert_null(jws.jwk.at);
        assert_str(jws.payload, "{\"csr\":\"\"}");
        assert_true(jws_verify(&jws, keys[i]));
        for (size_t k = 0; k < KEYS; k++)
            assert_int_equal(jws_verify(&jws, keys[k]), k == i);

        header.kid = (struct str){0};
        assert_int_equal(jws_seal(&arena, keys[i], &header, STR(""), &body), OK);
        assert_int_equal(jws_open(&arena, body, &jws, &problem), OK);
        assert_null(jws.kid.at);
        assert_str(jws.jwk, key_jwk(keys[i], &arena).at);
        assert_int_equal(jws.payload.n, 0);
        struct key *key = NULL;
        struct str why = {0};
        assert_int_equal(key_from_jwk(&arena, jws.jwk, key_sealing(keys[i]), &key, &why), OK);
        assert_true(key_same(key, keys[i]));
        assert_true(jws_verify(&jws, key));
        key_free(key);
    }
    for (size_t i = 0; i < KEYS; i++)
        key_free(keys[i]);
}

/* Without a nonce: the inner JWS of keyChange, or rude. A header may also hold what no server takes. */
static void test_seals_without_nonce_and_rudely(void **state)
{
    (void)state;
    struct key *key = key_seeded(KEY_P256, SEALING_SYMBOLIC, 2);
    struct jws_header header = {.url = STR(URL)};
    struct jws jws = {0};
    struct problem problem = {0};
    struct str body;
    assert_int_equal(jws_seal(&arena, key, &header, STR("{}"), &body), OK);
    assert_int_equal(jws_open(&arena, body, &jws, &problem), OK);
    assert_null(jws.nonce.at);
    assert_true(jws_verify(&jws, key));

    header = (struct jws_header){.nonce = STR("no \"nonce\"\n"), .url = STR(URL), .kid = STR("kid")};
    assert_int_equal(jws_seal(&arena, key, &header, STR("{}"), &body), OK);
    assert_int_equal(jws_open(&arena, body, &jws, &problem), OK);
    assert_str(jws.nonce, "no \"nonce\"\n");
    assert_false(jws.nonce_legal);
    key_free(key);
}

/* --- a JWS inside another --- */
static void test_bindings(void **state)
{
    (void)state;
    static const char *const algs[] = {"HS256", "HS384", "HS512"};
    char octets[200];
    memset(octets, 'k', sizeof octets);
    const struct jws_header header = {.url = STR(URL), .kid = STR("kid-1")};
    struct str body = STR("untouched");
    struct jws jws = {0};
    struct problem problem = {0};
    for (size_t i = 0; i < COUNTOF(algs); i++)
        for (size_t n = 1; n <= sizeof octets; n++) {
            struct str key = {octets, n};
            assert_int_equal(jws_seal_mac(&arena, algs[i], key, &header, STR("{}"), &body), OK);
            assert_int_equal(jws_open_inside(&arena, JWS_BINDING, body, &jws, &problem), OK);
            assert_str(jws.alg, algs[i]);
            assert_str(jws.kid, "kid-1");
            assert_true(jws_verify_mac(&jws, key));
            octets[n - 1] ^= 1;
            assert_false(jws_verify_mac(&jws, key));
            octets[n - 1] ^= 1;
            jws.signature.n--;
            assert_false(jws_verify_mac(&jws, key));
            jws.signature.n = 0;
            assert_false(jws_verify_mac(&jws, key));
            /* A MAC is for a binding and for nothing else. */
            assert_int_equal(jws_open(&arena, body, &jws, &problem), ERR_REFUSED);
            assert_str(problem.type, "badSignatureAlgorithm");
            assert_str(problem.algorithms, jws_algorithms().at);
            assert_int_equal(jws_open_inside(&arena, JWS_NEW_KEY, body, &jws, &problem), ERR_REFUSED);
            assert_str(problem.type, "badSignatureAlgorithm");
        }
    assert_int_equal(jws_seal_mac(&arena, "ES256", STR("k"), &header, STR("{}"), &body), ERR_REFUSED);
}

static void test_refuses_what_is_inside(void **state)
{
    (void)state;
    struct key *key = key_seeded(KEY_P256, SEALING_REAL, 5);
    struct str body;
    struct jws jws = {0};
    struct problem problem = {0};
    const struct {
        enum jws_inside inside;
        struct jws_header header;
        const char *type, *detail;
    } rows[] = {
        {JWS_NEW_KEY,
         {.url = STR(URL), .kid = STR(KID)},
         "malformed",                                                   "the inner JWS: its protected header must have the new key"},
        {JWS_NEW_KEY,
         {.url = STR(URL), .nonce = STR(NONCE)},
         "malformed",                                                   "the inner JWS: its protected header must not"             },
        {JWS_NEW_KEY, {.url = STR(URL), .nonce = STR("")}, "malformed", "the inner JWS: its protected header must not"             },
        {JWS_BINDING,
         {.url = STR(URL), .kid = STR(KID)},
         "badSignatureAlgorithm",                                       "the external account binding: the algorithm \"ES256\""    },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        assert_int_equal(jws_seal(&arena, key, &rows[i].header, STR("{}"), &body), OK);
        assert_int_equal(jws_open_inside(&arena, rows[i].inside, body, &jws, &problem), ERR_REFUSED);
        assert_str(problem.type, rows[i].type);
        if (!str_starts(problem.detail, rows[i].detail)) fail_msg("%s", problem.detail.at);
        assert_null(jws.alg.at);
    }
    assert_true(str_find(problem.algorithms, "HS512") >= 0);
    const struct jws_header good = {.url = STR(URL)},
                            with_nonce = {.url = STR(URL), .kid = STR(KID), .nonce = STR(NONCE)};
    assert_int_equal(jws_seal_mac(&arena, "HS256", STR("k"), &with_nonce, STR("{}"), &body), OK);
    assert_int_equal(jws_open_inside(&arena, JWS_BINDING, body, &jws, &problem), ERR_REFUSED);
    assert_str(problem.detail, "the external account binding: its protected header must not have a \"nonce\"");
    static const char *const no_jws[] = {"", "[]", "{}", "{\"protected\":\"e30\",\"payload\":\"\",\"signature\":\"\"}"};
    for (size_t i = 0; i < COUNTOF(no_jws); i++)
        for (int inside = JWS_NEW_KEY; inside <= JWS_BINDING; inside++) {
            assert_int_equal(jws_open_inside(&arena, (enum jws_inside)inside, str_c(no_jws[i]), &jws, &problem),
                             ERR_REFUSED);
            assert_str(problem.type, "malformed");
        }
    assert_int_equal(jws_seal(&arena, key, &good, STR("{}"), &body), OK);
    assert_int_equal(jws_open_inside(&arena, JWS_NEW_KEY, body, &jws, &problem), OK);
    assert_true(jws_verify(&jws, key));
    key_free(key);
}

static void test_seal_needs_a_private_key(void **state)
{
    (void)state;
    struct key *key = key_seeded(KEY_P256, SEALING_REAL, 3), *public = NULL;
    struct jws_header header = {.nonce = STR(NONCE), .url = STR(URL)};
    struct str body = STR("untouched");
    assert_int_equal(key_from_spki(key_spki(key, &arena), SEALING_REAL, &public), OK);
    assert_int_equal(jws_seal(&arena, public, &header, STR(""), &body), ERR_REFUSED);
    assert_true(str_is(body, "untouched"));
    key_free(public);
    key_free(key);
}

/* RFC 7515 appendices A.2 and A.3, RFC 8037 appendix A.4. */
#define RFC7515_PAYLOAD "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

static const struct {
    const char *jwk, *signing_input, *signature;
} vectors[] = {
    {"{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1P"
     "t0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KX"
     "BdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFk"
     "MLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\",\"e\":\"AQAB\"}",                                      "eyJhbGciOiJSUzI1NiJ9." RFC7515_PAYLOAD,
     "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1"
     "dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jz"
     "DwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQG"
     "e77Rw"                                                                                                                                                                                                                         },
    {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
     "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",                                 "eyJhbGciOiJFUzI1NiJ9." RFC7515_PAYLOAD,
     "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"                                                                                                                                        },
    {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
     "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",                                                                             "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
};

static void test_rfc_signatures(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNTOF(vectors); i++) {
        struct key *key = NULL;
        struct str why = {0}, signature;
        assert_int_equal(key_from_jwk(&arena, str_c(vectors[i].jwk), SEALING_REAL, &key, &why), OK);
        assert_int_equal(base64url_decode(&arena, str_c(vectors[i].signature), &signature), OK);
        struct jws jws = {
            .alg = str_c(key_alg(key)), .signing_input = str_c(vectors[i].signing_input), .signature = signature};
        assert_true(jws_verify(&jws, key));
        jws.alg = STR("ES384");
        assert_false(jws_verify(&jws, key));
        key_free(key);
    }
}

/* A flattened JWS around the text of a protected header. */
static struct str around(const char *protected)
{
    return str_fmt(&arena, "{\"protected\":\"%s\",\"payload\":\"e30\",\"signature\":\"AAAA\"}",
                   base64url(&arena, str_c(protected)).at);
}

static void assert_refused(struct str body, const char *type, const char *detail)
{
    struct jws jws = {.url = STR("untouched")};
    struct problem problem = {0};
    enum err e = jws_open(&arena, body, &jws, &problem);
    if (e != ERR_REFUSED) fail_msg("%.*s: %s", STR_ARGS(body), err_text(e));
    assert_str(problem.type, type);
    assert_int_equal(problem.status, 400);
    if (str_find(problem.detail, detail) < 0) fail_msg("%.*s: %.*s", STR_ARGS(body), STR_ARGS(problem.detail));
    assert_true(str_is(jws.url, "untouched"));
    bool of_algorithm = str_is(problem.type, "badSignatureAlgorithm");
    assert_true(str_eq(problem.algorithms, of_algorithm ? jws_algorithms() : (struct str){0}));
}

static void test_refuses_headers(void **state)
{
    (void)state;
#define KEYED ",\"kid\":\"" KID "\""
#define REST  ",\"url\":\"" URL "\"" KEYED "}"
#define ES256 "{\"alg\":\"ES256\""
    static const struct {
        const char *protected, *type, *detail;
    } rows[] = {
        {"",                                             "malformed",             "decode to a JSON object"},
        {"{",                                            "malformed",             "decode to a JSON object"},
        {"[]",                                           "malformed",             "decode to a JSON object"},
        {"null",                                         "malformed",             "decode to a JSON object"},
        {ES256 REST " x",                                "malformed",             "decode to a JSON object"},
        {ES256 ",\"alg\":\"ES256\"" REST,                "malformed",             "decode to a JSON object"},
        {ES256 ",\"nonce\":\"AA\\u0000AA\"" REST,        "malformed",             "decode to a JSON object"},
        {ES256 ",\"a\":\"\xc3\"" REST,                   "malformed",             "decode to a JSON object"},
        {"{}",                                           "malformed",             "\"alg\""                },
        {"{\"alg\":256" REST,                            "malformed",             "\"alg\""                },
        {"{\"alg\":null" REST,                           "malformed",             "\"alg\""                },
        {"{\"alg\":\"none\"" REST,                       "badSignatureAlgorithm", "not supported"          },
        {"{\"alg\":\"HS256\"" REST,                      "badSignatureAlgorithm", "not supported"          },
        {"{\"alg\":\"es256\"" REST,                      "badSignatureAlgorithm", "not supported"          },
        {"{\"alg\":\"PS256\"" REST,                      "badSignatureAlgorithm", "not supported"          },
        {"{\"alg\":\"\"" REST,                           "badSignatureAlgorithm", "not supported"          },
        {ES256 ",\"url\":\"" URL "\"}",                  "malformed",             "neither"                },
        {ES256 ",\"jwk\":{}" REST,                       "malformed",             "both"                   },
        {ES256 ",\"jwk\":null" REST,                     "malformed",             "both"                   },
        {ES256 ",\"url\":\"" URL "\",\"kid\":1}",        "malformed",             "\"kid\""                },
        {ES256 ",\"url\":\"" URL "\",\"kid\":null}",     "malformed",             "\"kid\""                },
        {ES256 ",\"url\":\"" URL "\",\"jwk\":\"{}\"}",   "malformed",             "\"jwk\""                },
        {ES256 ",\"url\":\"" URL "\",\"jwk\":[]}",       "malformed",             "\"jwk\""                },
        {ES256 KEYED "}",                                "malformed",             "\"url\""                },
        {ES256 ",\"url\":[\"" URL "\"]" KEYED "}",       "malformed",             "\"url\""                },
        {ES256 ",\"crit\":[\"b64\"],\"b64\":false" REST, "malformed",             "\"crit\""               },
        {ES256 ",\"crit\":[]" REST,                      "malformed",             "\"crit\""               },
        {ES256 ",\"b64\":true" REST,                     "malformed",             "\"b64\""                },
        {ES256 ",\"nonce\":1" REST,                      "malformed",             "\"nonce\""              },
        {ES256 ",\"nonce\":null" REST,                   "malformed",             "\"nonce\""              },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        assert_refused(around(rows[i].protected), rows[i].type, rows[i].detail);

    struct jws jws;
    struct problem problem = {0};
    assert_int_equal(jws_open(&arena, around(ES256 ",\"typ\":{\"x\":[1]}" REST), &jws, &problem), OK);
    assert_null(jws.nonce.at);
    assert_false(jws.nonce_legal);
}

/* Whether it is base64url is told; what follows is the caller's choice. */
static void test_forms_of_nonces(void **state)
{
    (void)state;
    static const struct {
        const char *protected, *nonce;
        bool legal;
    } rows[] = {
        {ES256 ",\"nonce\":\"AAAA\"" REST,   "AAAA",  true },
        {ES256 ",\"nonce\":\"-_8\"" REST,    "-_8",   true },
        {ES256 ",\"nonce\":\"\"" REST,       "",      false},
        {ES256 ",\"nonce\":\"A\"" REST,      "A",     false},
        {ES256 ",\"nonce\":\"AB\"" REST,     "AB",    false},
        {ES256 ",\"nonce\":\"AA==\"" REST,   "AA==",  false},
        {ES256 ",\"nonce\":\"AA+A\"" REST,   "AA+A",  false},
        {ES256 ",\"nonce\":\"no \\n\"" REST, "no \n", false},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct jws jws = {0};
        struct problem problem = {0};
        assert_int_equal(jws_open(&arena, around(rows[i].protected), &jws, &problem), OK);
        assert_non_null(jws.nonce.at);
        assert_str(jws.nonce, rows[i].nonce);
        assert_int_equal(jws.nonce_legal, rows[i].legal);
    }
}

static void test_refuses_envelopes(void **state)
{
    (void)state;
    const char *protected = base64url(&arena, STR(ES256 REST)).at;
    static const struct {
        const char *body; /* %s is a good protected header */
        const char *detail;
    } rows[] = {
        {"",                                                                                     "not a JSON object"             },
        {" ",                                                                                    "not a JSON object"             },
        {"%s.e30.AAAA",                                                                          "not a JSON object"             },
        {"[{\"protected\":\"%s\",\"payload\":\"e30\",\"signature\":\"AAAA\"}]",                  "not a JSON object"             },
        {"{\"protected\":\"%s\",\"payload\":\"e30\",\"signature\":\"AAAA\"",                     "not a JSON object"             },
        {"{\"protected\":\"%s\",\"payload\":\"e30\",\"signature\":\"AAAA\"}}",                   "not a JSON object"             },
        {"{\"protected\":\"%s\",\"payload\":\"e30\",\"signature\":\"AAAA\",}",                   "not a JSON object"             },
        {"{\"protected\":\"%s\",\"payload\":\"e30\",\"payload\":\"\",\"signature\":\"AAAA\"}",   "duplicate names"               },
        {"{\"protected\":\"%s\",\"payload\":\"e30\",\"signature\":\"AAAA\",\"\xff\":1}",         "UTF-8"                         },
        {"{\"protected\":\"%s\",\"payload\":\"e30\",\"signature\":\"AAAA\",\"header\":{}}",      "unprotected"                   },
        {"{\"protected\":\"%s\",\"payload\":\"e30\",\"signature\":\"AAAA\",\"header\":null}",    "unprotected"                   },
        {"{\"protected\":\"%s\",\"payload\":\"e30\",\"signature\":\"AAAA\",\"signatures\":[]}",  "signatures"                    },
        {"{\"payload\":\"e30\",\"signatures\":[{\"protected\":\"%s\",\"signature\":\"AAAA\"}]}", "signatures"                    },
        {"{\"protected\":\"%s\",\"signature\":\"AAAA\"}",                                        "has the texts"                 },
        {"{\"protected\":\"%s\",\"payload\":null,\"signature\":\"AAAA\"}",                       "has the texts"                 },
        {"{\"protected\":\"%s\",\"payload\":{},\"signature\":\"AAAA\"}",                         "has the texts"                 },
        {"{\"protected\":\"%s\",\"payload\":\"e30\"}",                                           "has the texts"                 },
        {"{\"protected\":\"%s\",\"payload\":\"e30\",\"signature\":7}",                           "has the texts"                 },
        {"{\"payload\":\"e30\",\"signature\":\"AAAA\"}",                                         "has the texts"                 },
        {"{\"protected\":[\"%s\"],\"payload\":\"e30\",\"signature\":\"AAAA\"}",                  "has the texts"                 },
        {"{\"protected\":\"%s=\",\"payload\":\"e30\",\"signature\":\"AAAA\"}",                   "\"protected\" is not base64url"},
        {"{\"protected\":\"%s\",\"payload\":\"e30=\",\"signature\":\"AAAA\"}",                   "\"payload\" is not base64url"  },
        {"{\"protected\":\"%s\",\"payload\":\"{}\",\"signature\":\"AAAA\"}",                     "\"payload\" is not base64url"  },
        {"{\"protected\":\"%s\",\"payload\":\"e31\",\"signature\":\"AAAA\"}",                    "\"payload\" is not base64url"  },
        {"{\"protected\":\"%s\",\"payload\":\"e30\",\"signature\":\"AA+A\"}",                    "\"signature\" is not base64url"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct buf body = {.arena = &arena};
        const char *slot = strstr(rows[i].body, "%s");
        if (slot) {
            buf_add(&body, (struct str){rows[i].body, (size_t)(slot - rows[i].body)});
            buf_add_c(&body, protected);
        }
        buf_add_c(&body, slot ? slot + 2 : rows[i].body);
        assert_refused(buf_str(&body), "malformed", rows[i].detail);
    }
    assert_refused((struct str){0}, "malformed", "not a JSON object");
    assert_refused(STR("{\"protected\":\"\0\"}"), "malformed", "not a JSON object");

    /* RFC 7515 section 7.2.2: other members are ignored. */
    struct jws jws;
    struct problem problem = {0};
    struct str body =
        str_fmt(&arena, "{\"x\":{\"y\":[]},\"protected\":\"%s\",\"payload\":\"\",\"signature\":\"\"}\n", protected);
    assert_int_equal(jws_open(&arena, body, &jws, &problem), OK);
    assert_int_equal(jws.payload.n, 0);
}

static void test_limits(void **state)
{
    (void)state;
    enum { MAX = 256 * 1024 };
    struct key *key = key_seeded(KEY_P256, SEALING_SYMBOLIC, 4);
    struct jws_header header = {.nonce = STR(NONCE), .url = STR(URL), .kid = STR(KID)};
    struct str body;
    struct jws jws;
    struct problem problem = {0};
    assert_int_equal(jws_seal(&arena, key, &header, STR("{}"), &body), OK);
    char *padded = arena_alloc(&arena, MAX + 1);
    memset(padded, ' ', MAX + 1);
    memcpy(padded, body.at, body.n);
    assert_int_equal(jws_open(&arena, (struct str){padded, MAX}, &jws, &problem), OK);
    assert_true(jws_verify(&jws, key));
    assert_refused((struct str){padded, MAX + 1}, "malformed", "larger than");

    /* As deep as the limit allows: outside, in the header, in the jwk. */
    static const char *const ways[] = {"[", "{\"a\":"};
    for (size_t i = 0; i < COUNTOF(ways); i++) {
        for (int depth = 1000; depth <= 16000; depth *= 4) {
            struct buf deep = {.arena = &arena};
            for (int k = 0; k < depth; k++)
                buf_add_c(&deep, ways[i]);
            buf_add_c(&deep, "1");
            for (int k = 0; k < depth; k++)
                buf_add_c(&deep, i ? "}" : "]");
            struct str value = buf_str(&deep);
            struct str outside = str_fmt(&arena, "{\"x\":%.*s}", STR_ARGS(value));
            assert_refused(outside, "malformed", depth > 2000 ? "not a JSON object" : "has the texts");
            struct str inside =
                around(str_fmt(&arena, ES256 ",\"url\":\"" URL "\",\"jwk\":{\"x\":%.*s}}", STR_ARGS(value)).at);
            if (depth > 2000) {
                assert_refused(inside, "malformed", "decode to a JSON object");
                continue;
            }
            assert_int_equal(jws_open(&arena, inside, &jws, &problem), OK);
            assert_int_equal(jws.jwk.n, value.n + 6);
        }
    }
    key_free(key);
}

static void test_bent_and_cut_bodies(void **state)
{
    (void)state;
    struct key *key = key_seeded(KEY_P256, SEALING_SYMBOLIC, 5);
    struct jws_header header = {.nonce = STR(NONCE), .url = STR(URL)};
    struct str body;
    assert_int_equal(jws_seal(&arena, key, &header, STR("{\"status\":\"deactivated\"}"), &body), OK);
    struct arena turn = {0};
    for (size_t i = 0; i < body.n; i++) {
        struct jws jws;
        struct problem problem = {0};
        /* Exactly as long as it says: a step beyond would be seen. */
        char *cut = malloc(i ? i : 1);
        assert_non_null(cut);
        memcpy(cut, body.at, i);
        assert_int_equal(jws_open(&turn, (struct str){cut, i}, &jws, &problem), ERR_REFUSED);
        free(cut);
        char *bent = arena_copy(&turn, body.at, body.n);
        for (int bit = 0; bit < 8; bit++) {
            bent[i] = (char)((unsigned char)body.at[i] ^ 1u << bit);
            if (jws_open(&turn, (struct str){bent, body.n}, &jws, &problem) == OK) assert_false(jws_verify(&jws, key));
        }
        arena_clear(&turn);
    }
    arena_done(&turn);
    key_free(key);
}

/* ES256 is 64 octets of r and s: RFC 7518 section 3.4. */
static void test_signature_length(void **state)
{
    (void)state;
    struct key *key = key_seeded(KEY_P256, SEALING_REAL, 6);
    struct jws_header header = {.nonce = STR(NONCE), .url = STR(URL), .kid = STR(KID)};
    struct str body, der;
    struct jws jws;
    struct problem problem = {0};
    assert_int_equal(jws_seal(&arena, key, &header, STR("{}"), &body), OK);
    assert_int_equal(jws_open(&arena, body, &jws, &problem), OK);
    assert_int_equal(jws.signature.n, 64);
    assert_int_equal(key_sign_der(key, &arena, jws.signing_input, &der), OK);
    struct str signatures[] = {
        {jws.signature.at, 63},
        {jws.signature.at, 0 },
        der
    };
    for (size_t i = 0; i < COUNTOF(signatures); i++) {
        jws.signature = signatures[i];
        assert_false(jws_verify(&jws, key));
    }
    key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_what_is_sealed_opens, drop_arena),
        cmocka_unit_test_teardown(test_seals_without_nonce_and_rudely, drop_arena),
        cmocka_unit_test_teardown(test_bindings, drop_arena),
        cmocka_unit_test_teardown(test_refuses_what_is_inside, drop_arena),
        cmocka_unit_test_teardown(test_seal_needs_a_private_key, drop_arena),
        cmocka_unit_test_teardown(test_rfc_signatures, drop_arena),
        cmocka_unit_test_teardown(test_refuses_headers, drop_arena),
        cmocka_unit_test_teardown(test_forms_of_nonces, drop_arena),
        cmocka_unit_test_teardown(test_refuses_envelopes, drop_arena),
        cmocka_unit_test_teardown(test_limits, drop_arena),
        cmocka_unit_test_teardown(test_bent_and_cut_bodies, drop_arena),
        cmocka_unit_test_teardown(test_signature_length, drop_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
