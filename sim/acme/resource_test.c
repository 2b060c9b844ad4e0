#include "acme/resource.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define assert_text(s, c) assert_true(str_is((s), (c)))

static void test_directory(void **state)
{
    (void)state;
    struct arena a = {0};
    const struct directory_doc doc = {
        .new_nonce = STR("https://ca.test/nonce"),
        .new_account = STR("https://ca.test/account"),
        .new_order = STR("https://ca.test/order"),
        .new_authz = STR("https://ca.test/authz"),
        .revoke_cert = STR("https://ca.test/revoke"),
        .key_change = STR("https://ca.test/key"),
        .renewal_info = STR("https://ca.test/ari"),
        .terms = STR("https://ca.test/terms"),
        .website = STR("https://www.ca.test"),
        .external_account_required = true,
    };
    struct directory_doc back;
    assert_int_equal(directory_read(&a, directory_write(&a, &doc), &back), OK);
    assert_text(back.new_nonce, "https://ca.test/nonce");
    assert_text(back.new_account, "https://ca.test/account");
    assert_text(back.new_order, "https://ca.test/order");
    assert_text(back.new_authz, "https://ca.test/authz");
    assert_text(back.revoke_cert, "https://ca.test/revoke");
    assert_text(back.key_change, "https://ca.test/key");
    assert_text(back.renewal_info, "https://ca.test/ari");
    assert_text(back.terms, "https://ca.test/terms");
    assert_text(back.website, "https://www.ca.test");
    assert_true(back.external_account_required);
    /* Section 7.1.1: what is not supported is left out. */
    const struct directory_doc small = {.new_nonce = STR("n"), .new_account = STR("a"), .new_order = STR("o")};
    assert_string_equal(directory_write(&a, &small).at, "{\"newNonce\":\"n\",\"newAccount\":\"a\",\"newOrder\":\"o\"}");
    /* Boulder's directory has a member with a random name, and meta has its own. */
    assert_int_equal(directory_read(&a,
                                    STR("{\"uBgf8\":\"https://x\",\"meta\":{\"caaIdentities\":[1],\"profiles\":{}},"
                                        "\"newOrder\":\"o\"}"),
                                    &back),
                     OK);
    assert_text(back.new_order, "o");
    assert_int_equal(back.terms.n + back.new_nonce.n, 0);
    arena_done(&a);
}

static void test_account(void **state)
{
    (void)state;
    struct arena a = {0};
    const struct account_doc doc = {
        .status = STR("valid"),
        .contacts = {STR("mailto:a@example.test"), STR("mailto:b@example.test")},
        .n_contacts = 2,
        .terms_agreed = true,
        .only_return_existing = true,
        .orders = STR("https://ca.test/account/1/orders"),
    };
    struct account_doc back;
    assert_int_equal(account_read(&a, account_write(&a, &doc), &back), OK);
    assert_text(back.status, "valid");
    assert_int_equal(back.n_contacts, 2);
    assert_text(back.contacts[1], "mailto:b@example.test");
    assert_true(back.terms_agreed);
    assert_text(back.orders, "https://ca.test/account/1/orders");
    assert_false(back.only_return_existing); /* section 7.3: never reflected */
    assert_string_equal(account_request(&a, &doc).at,
                        "{\"contact\":[\"mailto:a@example.test\",\"mailto:b@example.test\"],"
                        "\"termsOfServiceAgreed\":true,\"onlyReturnExisting\":true}");
    assert_string_equal(account_request(&a, &(struct account_doc){0}).at, "{}");
    assert_int_equal(account_read(&a, STR("{\"contact\":[]}"), &back), OK);
    assert_int_equal(back.n_contacts, 0);
    assert_int_equal(account_read(&a, STR("{\"contact\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\"]}"), &back),
                     OK);
    assert_int_equal(back.n_contacts, 8);
    assert_text(back.contacts[7], "8");
    assert_int_equal(
        account_read(&a, STR("{\"contact\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}"), &back),
        ERR_LIMIT);
    assert_int_equal(back.n_contacts, 8);
    assert_int_equal(account_read(&a, STR("{\"x\":{\"contact\":[]}}"), &back), OK);
    assert_false(back.has_contacts);
    assert_int_equal(
        account_read(&a, STR("{\"contact\":[],\"externalAccountBinding\":{ \"b\": 1, \"a\": [] }}"), &back), OK);
    assert_true(back.has_contacts);
    assert_text(back.binding, "{\"b\":1,\"a\":[]}");
    assert_string_equal(account_write(&a, &back).at, "{\"externalAccountBinding\":{\"b\":1,\"a\":[]}}");
    assert_string_equal(account_request(&a, &back).at, "{\"externalAccountBinding\":{\"b\":1,\"a\":[]}}");
    assert_int_equal(account_read(&a, STR("{\"externalAccountBinding\":\"x\"}"), &back), ERR_MALFORMED);
    arena_done(&a);
}

static void test_key_change(void **state)
{
    (void)state;
    struct arena a = {0};
    struct key_change_doc doc;
    assert_int_equal(key_change_read(&a, STR("{\"account\":\"https://ca.test/1\",\"oldKey\":{\"kty\":\"EC\"}}"), &doc),
                     OK);
    assert_text(doc.account, "https://ca.test/1");
    assert_text(doc.old_key, "{\"kty\":\"EC\"}");
    assert_string_equal(key_change_request(&a, &doc).at,
                        "{\"account\":\"https://ca.test/1\",\"oldKey\":{\"kty\":\"EC\"}}");
    assert_int_equal(key_change_read(&a, STR("{}"), &doc), OK);
    assert_int_equal(doc.account.n + doc.old_key.n, 0);
    assert_int_equal(key_change_read(&a, STR("{\"oldKey\":\"x\"}"), &doc), ERR_MALFORMED);
    assert_int_equal(key_change_read(&a, STR("{\"account\":1}"), &doc), ERR_MALFORMED);
    arena_done(&a);
}

static void test_new_authz(void **state)
{
    (void)state;
    struct arena a = {0};
    struct identifier_doc doc = {0};
    assert_int_equal(new_authz_read(&a, STR("{\"identifier\":{\"type\":\"dns\",\"value\":\"a.example.test\"}}"), &doc),
                     OK);
    assert_text(doc.value, "a.example.test");
    static const char *const bad[] = {"", "{}", "{\"identifier\":\"x\"}", "{\"identifier\":{\"type\":1}}", "[]"};
    for (size_t i = 0; i < COUNTOF(bad); i++)
        assert_int_equal(new_authz_read(&a, str_c(bad[i]), &doc), ERR_MALFORMED);
    arena_done(&a);
}

static void test_order(void **state)
{
    (void)state;
    struct arena a = {0};
    struct identifier_doc identifiers[] = {
        {STR("dns"), STR("a.example.test")  },
        {STR("dns"), STR("*.b.example.test")},
    };
    struct str authorizations[] = {STR("https://ca.test/authz/1"), STR("https://ca.test/authz/2")};
    const struct problem why[] = {
        {.type = STR("dns"), .identifier = STR("a.example.test")}
    };
    const struct order_doc doc = {
        .status = STR("invalid"),
        .expires = STR("2030-01-08T00:00:00Z"),
        .not_before = STR("2030-01-02T00:00:00Z"),
        .not_after = STR("2030-02-01T00:00:00Z"),
        .identifiers = identifiers,
        .n_identifiers = 2,
        .authorizations = authorizations,
        .n_authorizations = 2,
        .finalize = STR("https://ca.test/order/1/finalize"),
        .certificate = STR("https://ca.test/certificate/1"),
        .has_error = true,
        .error = {.type = STR("compound"), .status = 403, .subproblems = why, .n_subproblems = 1},
    };
    struct order_doc back;
    assert_int_equal(order_read(&a, order_write(&a, &doc), &back), OK);
    assert_text(back.status, "invalid");
    assert_text(back.expires, "2030-01-08T00:00:00Z");
    assert_text(back.not_before, "2030-01-02T00:00:00Z");
    assert_text(back.not_after, "2030-02-01T00:00:00Z");
    assert_int_equal(back.n_identifiers, 2);
    assert_text(back.identifiers[1].type, "dns");
    assert_text(back.identifiers[1].value, "*.b.example.test");
    assert_int_equal(back.n_authorizations, 2);
    assert_text(back.authorizations[0], "https://ca.test/authz/1");
    assert_text(back.finalize, "https://ca.test/order/1/finalize");
    assert_text(back.certificate, "https://ca.test/certificate/1");
    assert_true(back.has_error);
    assert_text(back.error.type, "compound");
    assert_text(back.error.subproblems[0].identifier, "a.example.test");
    assert_string_equal(order_request(&a, &doc).at,
                        "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.test\"},"
                        "{\"type\":\"dns\",\"value\":\"*.b.example.test\"}],"
                        "\"notBefore\":\"2030-01-02T00:00:00Z\",\"notAfter\":\"2030-02-01T00:00:00Z\"}");
    assert_int_equal(order_read(&a, STR("{\"status\":\"weird\",\"unheard-of\":{}}"), &back), OK);
    assert_text(back.status, "weird");
    assert_int_equal(back.n_identifiers + back.n_authorizations, 0);
    assert_false(back.has_error);
    arena_done(&a);
}

static void test_challenge_and_authz(void **state)
{
    (void)state;
    struct arena a = {0};
    struct challenge_doc challenges[] = {
        {.type = STR("http-01"),
         .url = STR("https://ca.test/challenge/1/http-01"),
         .status = STR("processing"),
         .token = STR("abc"),
         .has_error = true,
         .error = {.type = STR("connection"), .status = 400, .detail = STR("nobody there")}},
        {.type = STR("dns-01"),
         .url = STR("u"),
         .status = STR("valid"),
         .token = STR("def"),
         .validated = STR("2030-01-01T00:00:09Z")},
    };
    const struct authz_doc doc = {
        .status = STR("pending"),
        .expires = STR("2030-01-08T00:00:00Z"),
        .identifier = {STR("dns"), STR("b.example.test")},
        .wildcard = true,
        .challenges = challenges,
        .n_challenges = 2,
    };
    struct authz_doc back;
    struct challenge_doc one;
    assert_int_equal(authz_read(&a, authz_write(&a, &doc), &back), OK);
    assert_text(back.status, "pending");
    assert_text(back.expires, "2030-01-08T00:00:00Z");
    assert_text(back.identifier.value, "b.example.test");
    assert_true(back.wildcard);
    assert_int_equal(back.n_challenges, 2);
    assert_text(back.challenges[0].type, "http-01");
    assert_text(back.challenges[0].status, "processing");
    assert_text(back.challenges[0].token, "abc");
    assert_true(back.challenges[0].has_error);
    assert_text(back.challenges[0].error.detail, "nobody there");
    assert_text(back.challenges[1].validated, "2030-01-01T00:00:09Z");
    assert_false(back.challenges[1].has_error);
    assert_int_equal(challenge_read(&a, challenge_write(&a, &challenges[1]), &one), OK);
    assert_text(one.url, "u");
    assert_text(one.validated, "2030-01-01T00:00:09Z");
    /* Section 7.1.4: wildcard is true or not there at all. */
    assert_true(str_find(authz_write(&a, &(struct authz_doc){.status = STR("valid")}), "wildcard") < 0);
    assert_int_equal(challenge_read(&a, STR("{}"), &one), OK);
    assert_int_equal(one.type.n + one.token.n, 0);
    arena_done(&a);
}

static void test_finalize_and_deactivation(void **state)
{
    (void)state;
    struct arena a = {0};
    struct str der = {0};
    assert_string_equal(finalize_request(&a, STR("0\x82\x01\xff")).at, "{\"csr\":\"MIIB_w\"}");
    assert_int_equal(finalize_read(&a, STR("{\"csr\":\"MIIB_w\",\"x\":0}"), &der), OK);
    assert_true(str_eq(der, STR("0\x82\x01\xff")));
    static const char *const bad[] = {"",
                                      "{}",
                                      "{\"csr\":1}",
                                      "{\"csr\":\"\"}",
                                      "{\"csr\":\"MIIB_w==\"}",
                                      "[\"MIIB\"]",
                                      "{\"csr\":null}",
                                      "{\"csr\":\"MII+\"}",
                                      "{\"CSR\":\"MIIB\"}"};
    for (size_t i = 0; i < COUNTOF(bad); i++)
        assert_int_equal(finalize_read(&a, str_c(bad[i]), &der), ERR_MALFORMED);
    assert_true(str_eq(der, STR("0\x82\x01\xff")));

    assert_true(deactivation_read(&a, STR("{\"status\":\"deactivated\",\"x\":[]}")));
    static const char *const others[] = {"",
                                         "{}",
                                         "{\"status\":\"valid\"}",
                                         "{\"status\":true}",
                                         "[]",
                                         "{\"status\":\"deactivated\\u0000\"}",
                                         "{\"status\":\"Deactivated\"}",
                                         "\"deactivated\""};
    for (size_t i = 0; i < COUNTOF(others); i++)
        assert_false(deactivation_read(&a, str_c(others[i])));
    arena_done(&a);
}

/* --- known members of a wrong type --- */
static enum err read_as(const char *kind, struct arena *arena, struct str json)
{
    struct directory_doc directory;
    struct account_doc account;
    struct order_doc order;
    struct challenge_doc challenge;
    struct authz_doc authz;
    switch (kind[0]) {
    case 'd': return directory_read(arena, json, &directory);
    case 'a': return account_read(arena, json, &account);
    case 'o': return order_read(arena, json, &order);
    case 'c': return challenge_read(arena, json, &challenge);
    default: return authz_read(arena, json, &authz);
    }
}

static void test_wrong_types(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        const char *texts; /* members that are texts, separated by spaces */
    } texts[] = {
        {"directory", "newNonce newAccount newOrder newAuthz revokeCert keyChange renewalInfo"},
        {"account",   "status orders"                                                         },
        {"order",     "status expires notBefore notAfter finalize certificate"                },
        {"challenge", "type url status token validated"                                       },
        {"z authz",   "status expires"                                                        },
    };
    static const char *const wrong[] = {"1", "1.5", "true", "[]", "{}", "[\"x\"]", "\"a\\u0000\""};
    static const struct {
        const char *kind, *json;
    } rows[] = {
        {"directory", "{\"meta\":[]}"                             },
        {"directory", "{\"meta\":{\"termsOfService\":1}}"         },
        {"directory", "{\"meta\":{\"website\":{}}}"               },
        {"directory", "{\"meta\":{\"externalAccountRequired\":1}}"},
        {"account",   "{\"contact\":\"mailto:a@b.test\"}"         },
        {"account",   "{\"contact\":[1]}"                         },
        {"account",   "{\"contact\":[null]}"                      },
        {"account",   "{\"contact\":{}}"                          },
        {"account",   "{\"termsOfServiceAgreed\":\"true\"}"       },
        {"account",   "{\"onlyReturnExisting\":1}"                },
        {"order",     "{\"identifiers\":{}}"                      },
        {"order",     "{\"identifiers\":[\"a.example.test\"]}"    },
        {"order",     "{\"identifiers\":[{\"type\":1}]}"          },
        {"order",     "{\"identifiers\":[{\"value\":[]}]}"        },
        {"order",     "{\"authorizations\":\"u\"}"                },
        {"order",     "{\"authorizations\":[{}]}"                 },
        {"order",     "{\"error\":\"bad\"}"                       },
        {"order",     "{\"error\":{\"type\":1}}"                  },
        {"challenge", "{\"error\":[]}"                            },
        {"challenge", "{\"error\":{\"subproblems\":1}}"           },
        {"z authz",   "{\"identifier\":\"a\"}"                    },
        {"z authz",   "{\"identifier\":{\"value\":1}}"            },
        {"z authz",   "{\"wildcard\":\"true\"}"                   },
        {"z authz",   "{\"challenges\":{}}"                       },
        {"z authz",   "{\"challenges\":[[]]}"                     },
        {"z authz",   "{\"challenges\":[{},{\"token\":5}]}"       },
        {"z authz",   "{\"challenges\":[{\"error\":1}]}"          },
    };
    static const char *const absent[][2] = {
        {"directory", "{\"meta\":null}"                                                },
        {"account",   "{\"contact\":null,\"termsOfServiceAgreed\":null}"               },
        {"order",     "{\"error\":null,\"identifiers\":null,\"authorizations\":null}"  },
        {"challenge", "{\"error\":{\"type\":null,\"status\":null,\"identifier\":null}}"},
        {"z authz",   "{\"wildcard\":null,\"challenges\":null,\"identifier\":null}"    },
    };
    struct arena a = {0};
    for (size_t i = 0; i < COUNTOF(absent); i++)
        assert_int_equal(read_as(absent[i][0], &a, str_c(absent[i][1])), OK);
    for (size_t i = 0; i < COUNTOF(texts); i++)
        for (struct str rest = str_c(texts[i].texts), key; rest.n;) {
            str_cut(rest, ' ', &key, &rest);
            assert_int_equal(read_as(texts[i].kind, &a, str_fmt(&a, "{\"%.*s\":\"\"}", STR_ARGS(key))), OK);
            assert_int_equal(read_as(texts[i].kind, &a, str_fmt(&a, "{\"%.*s\":null}", STR_ARGS(key))), OK);
            for (size_t k = 0; k < COUNTOF(wrong); k++) {
                struct str json = str_fmt(&a, "{\"%.*s\":%s}", STR_ARGS(key), wrong[k]);
                if (read_as(texts[i].kind, &a, json) != ERR_MALFORMED) fail_msg("%s taken: %s", texts[i].kind, json.at);
            }
        }
    for (size_t i = 0; i < COUNTOF(rows); i++)
        if (read_as(rows[i].kind, &a, str_c(rows[i].json)) != ERR_MALFORMED) fail_msg("taken: %s", rows[i].json);
    arena_done(&a);
}

static void test_not_objects_at_all(void **state)
{
    (void)state;
    static const char *const kinds[] = {"directory", "account", "order", "challenge", "z authz"};
    static const char *const rows[] = {
        "", "null", "[]", "1", "\"\"", "{", "{}1", "<html>", "{\"a\":1,\"a\":2}", "{\"\\u0000\":1}"};
    struct arena a = {0};
    for (size_t k = 0; k < COUNTOF(kinds); k++) {
        for (size_t i = 0; i < COUNTOF(rows); i++)
            assert_int_equal(read_as(kinds[k], &a, str_c(rows[i])), ERR_MALFORMED);
        assert_int_equal(read_as(kinds[k], &a, (struct str){0}), ERR_MALFORMED);
        char *huge = arena_alloc(&a, (1 << 20) + 2);
        memset(huge, ' ', (1 << 20) + 1);
        huge[0] = '{';
        huge[1] = '}';
        assert_int_equal(read_as(kinds[k], &a, (struct str){huge, 1 << 20}), OK);
        assert_int_equal(read_as(kinds[k], &a, (struct str){huge, (1 << 20) + 1}), ERR_LIMIT);
        arena_clear(&a);
    }
    arena_done(&a);
}

/* {"KEY":[ITEM,ITEM,...]} */
static struct str list(struct arena *arena, const char *key, const char *item, size_t n)
{
    struct buf buf = {.arena = arena};
    buf_fmt(&buf, "{\"%s\":[", key);
    for (size_t i = 0; i < n; i++)
        buf_fmt(&buf, "%s%s", i ? "," : "", item);
    buf_add_c(&buf, "]}");
    return buf_str(&buf);
}

static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *key, *item;
    } rows[] = {
        {"order",   "identifiers",    "{\"type\":\"dns\",\"value\":\"a.test\"}"},
        {"order",   "authorizations", "\"u\""                                  },
        {"z authz", "challenges",     "{\"type\":\"http-01\"}"                 },
    };
    struct arena a = {0};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        assert_int_equal(read_as(rows[i].kind, &a, list(&a, rows[i].key, rows[i].item, RESOURCE_MAX_NAMES)), OK);
        assert_int_equal(read_as(rows[i].kind, &a, list(&a, rows[i].key, rows[i].item, RESOURCE_MAX_NAMES + 1)),
                         ERR_LIMIT);
    }
    arena_done(&a);
}

static void test_output_is_untouched_on_failure(void **state)
{
    (void)state;
    struct arena a = {0};
    struct order_doc order = {.status = STR("mine"), .n_identifiers = 3};
    struct authz_doc authz = {.status = STR("mine")};
    struct directory_doc directory = {.new_nonce = STR("mine")};
    struct account_doc account = {.status = STR("mine"), .n_contacts = 1};
    struct challenge_doc challenge = {.status = STR("mine")};
    assert_int_equal(order_read(&a, STR("{\"status\":\"x\",\"identifiers\":[],\"error\":1}"), &order), ERR_MALFORMED);
    assert_int_equal(authz_read(&a, STR("{\"status\":\"x\",\"challenges\":[{\"url\":1}]}"), &authz), ERR_MALFORMED);
    assert_int_equal(directory_read(&a, STR("{\"newNonce\":\"x\",\"meta\":1}"), &directory), ERR_MALFORMED);
    assert_int_equal(account_read(&a, STR("{\"status\":\"x\",\"contact\":[1]}"), &account), ERR_MALFORMED);
    assert_int_equal(challenge_read(&a, STR("{\"status\":\"x\",\"error\":1}"), &challenge), ERR_MALFORMED);
    assert_text(order.status, "mine");
    assert_int_equal(order.n_identifiers, 3);
    assert_text(authz.status, "mine");
    assert_text(directory.new_nonce, "mine");
    assert_text(account.status, "mine");
    assert_int_equal(account.n_contacts, 1);
    assert_text(challenge.status, "mine");
    arena_done(&a);
}

/* Bodies come from strangers: what is spoilt is read or refused, and nothing else happens. */
static void test_spoilt_documents(void **state)
{
    (void)state;
    static const char good[] =
        "{\"status\":\"pending\",\"expires\":\"2030-01-08T00:00:00Z\",\"wildcard\":true,\"identifier\":{\"type\":"
        "\"dns\","
        "\"value\":\"a.test\"},\"challenges\":[{\"type\":\"http-01\",\"url\":\"u\",\"token\":\"t\",\"error\":{\"type\":"
        "\"urn:ietf:params:acme:error:dns\",\"subproblems\":[{\"status\":400}]}}],\"identifiers\":[{\"type\":\"dns\"}],"
        "\"authorizations\":[\"a\"],\"contact\":[\"c\"],\"meta\":{\"website\":\"w\"},\"newNonce\":\"n\"}";
    static const char *const kinds[] = {"directory", "account", "order", "challenge", "z authz"};
    struct arena a = {0};
    struct rng rng;
    rng_seed(&rng, 7);
    for (size_t k = 0; k < COUNTOF(kinds); k++) {
        assert_int_equal(read_as(kinds[k], &a, (struct str){good, sizeof good - 1}), OK);
        for (size_t n = 0; n < sizeof good - 1; n++)
            assert_int_equal(read_as(kinds[k], &a, (struct str){good, n}), ERR_MALFORMED);
        for (int i = 0; i < 4000; i++) {
            char spoilt[sizeof good];
            memcpy(spoilt, good, sizeof good);
            for (uint64_t times = rng_below(&rng, 3); times < 3; times++)
                spoilt[rng_below(&rng, sizeof good - 1)] = "\"{}[]:,0\\\xc3\0a "[rng_below(&rng, 13)];
            enum err e = read_as(kinds[k], &a, (struct str){spoilt, sizeof good - 1});
            assert_true(e == OK || e == ERR_MALFORMED);
            arena_clear(&a);
        }
    }
    arena_done(&a);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool legal, wildcard;
        const char *base;
    } rows[] = {
        {"a.example.test",         true,  false, "a.example.test"        },
        {"example.test",           true,  false, "example.test"          },
        {"*.example.test",         true,  true,  "example.test"          },
        {"A.Example.TEST",         true,  false, "A.Example.TEST"        },
        {"xn--mller-kva.test",     true,  false, "xn--mller-kva.test"    },
        {"3.0-0.test",             true,  false, "3.0-0.test"            },
        {"r3---sn-a.example.test", true,  false, "r3---sn-a.example.test"},
        {"",                       false, false, NULL                    },
        {"test",                   false, false, NULL                    },
        {"*.test",                 false, false, NULL                    },
        {"*",                      false, false, NULL                    },
        {"*.",                     false, false, NULL                    },
        {"*.*.example.test",       false, false, NULL                    },
        {"a.*.example.test",       false, false, NULL                    },
        {"*a.example.test",        false, false, NULL                    },
        {".example.test",          false, false, NULL                    },
        {"example.test.",          false, false, NULL                    },
        {"a..example.test",        false, false, NULL                    },
        {"-a.example.test",        false, false, NULL                    },
        {"a-.example.test",        false, false, NULL                    },
        {"a_b.example.test",       false, false, NULL                    },
        {"a b.example.test",       false, false, NULL                    },
        {"m\xc3\xbcller.test",     false, false, NULL                    },
        {"a.example.test:80",      false, false, NULL                    },
        {"a/b.example.test",       false, false, NULL                    },
        {"[::1]",                  false, false, NULL                    },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        bool wildcard = !rows[i].wildcard;
        struct str base = STR("untouched");
        if (name_legal(str_c(rows[i].name), &wildcard, &base) != rows[i].legal) fail_msg("\"%s\"", rows[i].name);
        assert_int_equal(wildcard, rows[i].legal ? rows[i].wildcard : !rows[i].wildcard);
        assert_text(base, rows[i].legal ? rows[i].base : "untouched");
        assert_int_equal(name_legal(str_c(rows[i].name), NULL, NULL), rows[i].legal);
    }
    assert_false(name_legal(STR("a\0.example.test"), NULL, NULL));
    assert_false(name_legal((struct str){0}, NULL, NULL));
}

static void test_name_lengths(void **state)
{
    (void)state;
    struct arena a = {0};
    char label[65];
    memset(label, 'a', sizeof label);
    assert_true(name_legal(str_fmt(&a, "%.63s.test", label), NULL, NULL));
    assert_false(name_legal(str_fmt(&a, "%.64s.test", label), NULL, NULL));
    struct str longest = str_fmt(&a, "%.63s.%.63s.%.63s.%.61s", label, label, label, label);
    assert_int_equal(longest.n, 253);
    assert_true(name_legal(longest, NULL, NULL));
    assert_false(name_legal(str_fmt(&a, "%sa", longest.at), NULL, NULL));
    assert_false(name_legal(str_fmt(&a, "*.%s", longest.at), NULL, NULL));
    arena_done(&a);
}

static void test_certificate_members(void **state)
{
    (void)state;
    struct arena arena = {0};
    const struct profile_doc profiles[] = {
        {STR("a"), STR("\"the\" first")},
        {STR("b"), STR("second")       },
    };
    struct directory_doc directory = {.profiles = profiles, .n_profiles = 2};
    assert_string_equal(directory_write(&arena, &directory).at,
                        "{\"meta\":{\"profiles\":{\"a\":\"\\\"the\\\" first\",\"b\":\"second\"}}}");
    const struct str issuers[] = {STR("ca.test"), STR("b.test")};
    directory = (struct directory_doc){.caa_identities = issuers, .n_caa_identities = 2};
    assert_string_equal(directory_write(&arena, &directory).at,
                        "{\"meta\":{\"caaIdentities\":[\"ca.test\",\"b.test\"]}}");
    struct order_doc order = {.replaces = STR("x.y"), .profile = STR("a")}, read = {0};
    assert_int_equal(order_read(&arena, order_request(&arena, &order), &read), OK);
    assert_string_equal(read.replaces.at, "x.y");
    assert_string_equal(read.profile.at, "a");
    assert_int_equal(order_read(&arena, STR("{\"replaces\":1}"), &read), ERR_MALFORMED);
    assert_int_equal(order_read(&arena, STR("{\"profile\":[]}"), &read), ERR_MALFORMED);
    struct renewal_doc renewal = {STR("S"), STR("E"), {0}};
    assert_string_equal(renewal_write(&arena, &renewal).at, "{\"suggestedWindow\":{\"start\":\"S\",\"end\":\"E\"}}");
    renewal.explanation = STR("U");
    assert_string_equal(renewal_write(&arena, &renewal).at,
                        "{\"suggestedWindow\":{\"start\":\"S\",\"end\":\"E\"},\"explanationURL\":\"U\"}");
    struct renewal_doc back = {0};
    assert_int_equal(renewal_read(&arena, renewal_write(&arena, &renewal), &back), OK);
    assert_true(str_is(back.start, "S") && str_is(back.end, "E") && str_is(back.explanation, "U"));
    assert_int_equal(renewal_read(&arena, STR("{}"), &back), ERR_MALFORMED);
    assert_int_equal(renewal_read(&arena, STR("{\"suggestedWindow\":{\"start\":1}}"), &back), ERR_MALFORMED);
    arena_done(&arena);
}

static void test_revocation(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum err err;
        int64_t reason;
    } rows[] = {
        {"{\"certificate\":\"AQID\"}",                      OK,            -1},
        {"{\"certificate\":\"AQID\",\"reason\":0}",         OK,            0 },
        {"{\"certificate\":\"AQID\",\"reason\":4,\"x\":1}", OK,            4 },
        {"{\"certificate\":\"AQID\",\"reason\":-1}",        ERR_MALFORMED, 0 },
        {"{\"certificate\":\"AQID\",\"reason\":null}",      ERR_MALFORMED, 0 },
        {"{\"certificate\":\"AQID\",\"reason\":true}",      ERR_MALFORMED, 0 },
        {"{\"certificate\":\"AQID==\"}",                    ERR_MALFORMED, 0 },
        {"{\"reason\":1}",                                  ERR_MALFORMED, 0 },
        {"",                                                ERR_MALFORMED, 0 },
    };
    struct arena arena = {0};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct str der = {0};
        int64_t reason = 99;
        assert_int_equal(revocation_read(&arena, str_c(rows[i].json), &der, &reason), rows[i].err);
        if (rows[i].err) continue;
        assert_true(str_is(der, "\x01\x02\x03"));
        assert_int_equal(reason, rows[i].reason);
    }
    assert_string_equal(revocation_request(&arena, STR("\x01\x02\x03"), -1).at, "{\"certificate\":\"AQID\"}");
    assert_string_equal(revocation_request(&arena, STR("\x01\x02\x03"), 0).at,
                        "{\"certificate\":\"AQID\",\"reason\":0}");
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directory),
        cmocka_unit_test(test_account),
        cmocka_unit_test(test_key_change),
        cmocka_unit_test(test_new_authz),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_challenge_and_authz),
        cmocka_unit_test(test_finalize_and_deactivation),
        cmocka_unit_test(test_wrong_types),
        cmocka_unit_test(test_not_objects_at_all),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_output_is_untouched_on_failure),
        cmocka_unit_test(test_spoilt_documents),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_name_lengths),
        cmocka_unit_test(test_certificate_members),
        cmocka_unit_test(test_revocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
