/* The CA's accounts over signed requests: RFC 8555 section 7.3 with its subsections. Plain accounts are in ca_test.c.
 */
#include "actor/ca_bench_test.h"
#include "actor/ca_store.h"

static struct account_doc account_shown(struct desk *desk, int status)
{
    struct account_doc doc;
    assert_json(desk, status);
    assert_int_equal(account_read(&desk->bench->keep, the_reply(desk)->body, &doc), OK);
    return doc;
}

static struct desk *desk_with_account(struct desk *desk)
{
    desk_open(desk);
    register_account(desk);
    return desk;
}

static bool detail_says(struct desk *desk, const char *words)
{
    return str_find(reply_problem(desk).detail, words) >= 0;
}

/* --- key change (section 7.3.5) --- */
struct change {
    const char *url, *account; /* NULL: the right ones */
    const struct key *old;     /* named as oldKey; NULL: the account's */
    const struct key *signer;  /* of the inner JWS; NULL: the new key */
    const char *kid, *nonce;   /* in its header; NULL: no such member */
};

static struct str inner_jws(struct desk *desk, const struct key *key, const struct change *change)
{
    struct arena *arena = &desk->bench->keep;
    struct key_change_doc doc = {.account = str_c(change->account ? change->account : desk->kid),
                                 .old_key = key_jwk(change->old ? change->old : desk->key, arena)};
    struct jws_header header = {.url = str_c(change->url ? change->url : CA_BASE "/key-change"),
                                .kid = str_c(change->kid),
                                .nonce = str_c(change->nonce)};
    struct str text, forged;
    assert_int_equal(jws_seal(arena, key, &header, key_change_request(arena, &doc), &text), OK);
    if (!change->signer) return text;
    assert_int_equal(jws_seal(arena, change->signer, &header, key_change_request(arena, &doc), &forged), OK);
    ptrdiff_t at = str_find(text, "\"signature\""), from = str_find(forged, "\"signature\"");
    return str_fmt(arena, "%.*s%s", (int)at, text.at, forged.at + from);
}

static void change_key(struct desk *desk, const struct key *key, const struct change *change)
{
    post(desk, at(desk, "/key-change"), inner_jws(desk, key, change).at);
}

static void test_key_change(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    struct directory_doc directory;
    get(desk, "GET", "/dir");
    assert_int_equal(directory_read(&desk->bench->keep, the_reply(desk)->body, &directory), OK);
    assert_str(directory.key_change, CA_BASE "/key-change");
    fresh_nonce(desk);

    struct key *old = desk->key, *key = key_make(KEY_P384, SEALING_REAL, &desk->bench->rng);
    change_key(desk, key, &(struct change){0});
    assert_str(account_shown(desk, 200).status, "valid");
    assert_str(reply_header(desk, "Location"), CA_BASE "/account/1");

    /* The old key is no longer the account's, nor of any other. */
    post(desk, desk->order, "");
    assert_refused(desk, 400, "malformed");
    new_account(desk, "{\"onlyReturnExisting\":true}");
    assert_refused(desk, 400, "accountDoesNotExist");
    desk->key = key;
    assert_str(read_order(desk).status, "pending");
    new_account(desk, "{\"onlyReturnExisting\":true}");
    assert_json(desk, 200);
    assert_str(reply_header(desk, "Location"), CA_BASE "/account/1");

    /* And back: the old key has become free. */
    change_key(desk, old, &(struct change){0});
    assert_json(desk, 200);
    desk->key = old;
    assert_str(read_order(desk).status, "pending");
    key_free(key);
    desk_free(desk);
}

static struct str key_authorization_of(struct desk *desk, const struct msg *probe, const struct key *key)
{
    return challenge_key_authorization(&desk->bench->keep, probe->as.probe.token,
                                       key_thumbprint(key, &desk->bench->keep));
}

/* A validation under way goes on with the key authorization that the client answered for; the next response is by the
 * new key. */
static void test_key_change_during_validation(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    struct key *old = desk->key, *key = key_make(KEY_P256, SEALING_REAL, &desk->bench->rng);
    respond_to(desk, "http-01");
    verdict(desk, "bad-status");
    change_key(desk, key, &(struct change){0});
    assert_json(desk, 200);
    desk->key = key;
    assert_str(look_at(desk, "http-01").status, "processing");
    let_pass(desk, 10000);
    assert_int_equal(desk->n_asked, 2);
    assert_str(desk->probes[0]->as.probe.proof, key_authorization_of(desk, desk->probes[0], old).at);
    verdict(desk, "bad-status");
    respond_to(desk, "http-01");
    assert_int_equal(desk->n_asked, 3);
    assert_str(desk->probes[0]->as.probe.proof, key_authorization_of(desk, desk->probes[0], key).at);
    verdict(desk, NULL);
    assert_str(read_order(desk).status, "ready");

    /* A challenge that was not yet answered knows the new key only. */
    new_order(desk, ONE_NAME);
    respond_to(desk, "http-01");
    assert_str(desk->probes[0]->as.probe.proof, key_authorization_of(desk, desk->probes[0], key).at);
    key_free(old);
    desk_free(desk);
}

/* draft-ietf-acme-dns-account-label: offered where the profile says so, for wildcard names too, and looked for under
 * the account's URL as the client knows it. */
static void test_dns_account(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    struct authz_doc authz = read_authz(desk, 0);
    assert_int_equal(authz.n_challenges, 3);
    post(desk, challenge_url_of(desk, "dns-account-01"), "{}");
    assert_refused(desk, 404, "malformed");
    desk_free(desk);

    desk = desk_new("rfc8555");
    desk->profile.n_challenges = 0;
    desk->profile.challenges[desk->profile.n_challenges++] = CHALLENGE_HTTP_01;
    desk->profile.challenges[desk->profile.n_challenges++] = CHALLENGE_DNS_ACCOUNT_01;
    desk_with_order(desk);
    new_order(desk, "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"*.a.example.test\"}]}");
    authz = read_authz(desk, 0);
    assert_int_equal(authz.n_challenges, 1);
    assert_str(authz.challenges[0].type, "dns-account-01");
    assert_str(respond_to(desk, "dns-account-01").status, "processing");
    const struct probe *probe = &desk->probes[0]->as.probe;
    struct arena *arena = &desk->bench->keep;
    struct str place = challenge_place(arena, CHALLENGE_DNS_ACCOUNT_01, probe->name, probe->token, str_c(desk->kid));
    assert_true(str_eq(probe->place, place));
    assert_str(probe->account, desk->kid);
    assert_int_equal(probe->proof.n, 43);
    verdict(desk, "nxdomain");
    struct challenge_doc seen = look_at(desk, "dns-account-01");
    assert_str(seen.status, "processing");
    if (str_find(seen.error.detail, place.at) < 0) fail_msg("%.*s", STR_ARGS(seen.error.detail));
    let_pass(desk, 10000);
    verdict(desk, NULL);
    assert_str(read_order(desk).status, "ready");
    desk_free(desk);
}

static void test_key_change_refused(void **state)
{
    (void)state;
    struct desk *desk = desk_with_account(desk_new("rfc8555"));
    struct key *first = desk->key, *other = key_make(KEY_P256, SEALING_REAL, &desk->bench->rng),
               *key = key_make(KEY_P256, SEALING_REAL, &desk->bench->rng);
    desk->key = other;
    register_account(desk);
    desk->key = first;
    strcpy(desk->kid, CA_BASE "/account/1");
    const struct {
        struct change change;
        const char *says;
    } rows[] = {
        {{.signer = first},                 "is not by the new key"              },
        {{.kid = CA_BASE "/account/1"},     "as \"jwk\", not a \"kid\""          },
        {{.nonce = "bm9uY2U"},              "must not have a \"nonce\""          },
        {{.nonce = "?"},                    "must not have a \"nonce\""          },
        {{.url = CA_BASE "/new-order"},     "the outer one for"                  },
        {{.account = CA_BASE "/account/2"}, "the outer one is signed by"         },
        {{.account = ""},                   "no text \"account\""                },
        {{.old = other},                    "is not the key that the account has"},
        {{.old = key},                      "is not the key that the account has"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        change_key(desk, key, &rows[i].change);
        assert_refused(desk, 400, "malformed");
        if (!detail_says(desk, rows[i].says)) fail_msg("row %zu: %s", i, the_reply(desk)->body.at);
    }
    static const char *const payloads[] = {"", "{}", "[]", "\"x\"", "{\"protected\":\"\",\"payload\":\"\"}"};
    for (size_t i = 0; i < COUNTOF(payloads); i++) {
        post(desk, at(desk, "/key-change"), payloads[i]);
        assert_refused(desk, 400, "malformed");
        assert_true(detail_says(desk, "the inner JWS: "));
    }

    /* A key that has an account, be it this one: 409, and where that account is. */
    change_key(desk, other, &(struct change){0});
    assert_refused(desk, 409, "malformed");
    assert_str(reply_header(desk, "Location"), CA_BASE "/account/2");
    change_key(desk, first, &(struct change){0});
    assert_refused(desk, 409, "malformed");
    assert_str(reply_header(desk, "Location"), CA_BASE "/account/1");

    /* None of this has changed anything. */
    post(desk, at(desk, "/account/1"), "");
    assert_json(desk, 200);
    key_free(key);
    key_free(other);
    desk_free(desk);
}

/* Every account is found by its present key and by no other, in however full a table. */
static void test_index_by_key(void **state)
{
    (void)state;
    enum { ACCOUNTS = 300 };
    struct ca_store store = {0};
    struct arena arena = {0};
    struct rng rng;
    struct str old[ACCOUNTS];
    rng_seed(&rng, 7);
    for (int i = 0; i < ACCOUNTS; i++) {
        struct key *key = key_make(KEY_P256, SEALING_SYMBOLIC, &rng);
        old[i] = key_thumbprint(key, &arena);
        assert_int_equal(ca_account_new(&store, key)->id, i + 1);
    }
    for (int i = 0; i < ACCOUNTS; i += 2)
        ca_account_rekey(&store, ca_account_at(&store, i + 1), key_make(KEY_P256, SEALING_SYMBOLIC, &rng));
    assert_int_equal(store.by_key.n, ACCOUNTS);
    for (int i = 0; i < ACCOUNTS; i++) {
        struct ca_account *account = ca_account_at(&store, i + 1);
        assert_ptr_equal(ca_account_by_thumbprint(&store, key_thumbprint(account->key, &arena)), account);
        assert_ptr_equal(ca_account_by_thumbprint(&store, old[i]), i % 2 ? account : NULL);
    }
    arena_done(&arena);
    ca_store_done(&store);
}

/* --- external accounts (section 7.3.4) --- */
#define MAC_KEY "0123456789abcdef"

struct wish_to_bind {
    const char *alg, *kid, *mac_key, *url, *nonce; /* NULL: the right ones, and no nonce */
    const struct key *key;                         /* in the payload; NULL: the one that signs the request */
};

static void bind_account(struct desk *desk, const struct wish_to_bind *wish)
{
    struct arena *arena = &desk->bench->keep;
    struct str binding;
    struct jws_header header = {.url = str_c(wish->url ? wish->url : CA_BASE "/new-account"),
                                .kid = str_c(wish->kid ? wish->kid : "kid-1"),
                                .nonce = str_c(wish->nonce)};
    struct str jwk = key_jwk(wish->key ? wish->key : desk->key, arena);
    assert_int_equal(jws_seal_mac(arena, wish->alg ? wish->alg : "HS256",
                                  str_c(wish->mac_key ? wish->mac_key : MAC_KEY), &header, jwk, &binding),
                     OK);
    new_account(desk, str_fmt(arena, "{\"termsOfServiceAgreed\":true,\"externalAccountBinding\":%s}", binding.at).at);
}

static struct desk *desk_with_external_accounts(bool required)
{
    struct desk *desk = desk_new("rfc8555");
    desk->profile.external_account_required = required;
    desk->profile.external_accounts[0] = (struct external_account){STR("kid-0"), STR("another key of 16 octets")};
    desk->profile.external_accounts[1] = (struct external_account){STR("kid-1"), STR(MAC_KEY)};
    desk->profile.n_external_accounts = 2;
    desk_open(desk);
    return desk;
}

static void test_external_accounts(void **state)
{
    (void)state;
    static const char *const algs[] = {"HS256", "HS384", "HS512"};
    struct desk *desk = desk_with_external_accounts(true);
    struct directory_doc directory;
    struct key *first = desk->key;
    get(desk, "GET", "/dir");
    assert_int_equal(directory_read(&desk->bench->keep, the_reply(desk)->body, &directory), OK);
    assert_true(directory.external_account_required);
    for (size_t i = 0; i < COUNTOF(algs); i++) {
        desk->key = key_make(KEY_P256, SEALING_REAL, &desk->bench->rng);
        bind_account(desk, &(struct wish_to_bind){.alg = algs[i]});
        struct str shown = account_shown(desk, 201).binding;
        struct jws binding;
        struct problem problem;
        assert_int_equal(jws_open_inside(&desk->bench->keep, JWS_BINDING, shown, &binding, &problem), OK);
        assert_str(binding.alg, algs[i]);
        new_account(desk, "{}"); /* the account is there: nothing more is asked for */
        assert_str(account_shown(desk, 200).binding, shown.at);
        key_free(desk->key);
    }
    desk->key = first;
    desk_free(desk);
}

static void test_external_accounts_refused(void **state)
{
    (void)state;
    struct desk *desk = desk_with_external_accounts(true);
    struct key *other = key_make(KEY_P256, SEALING_REAL, &desk->bench->rng);
    const struct {
        struct wish_to_bind wish;
        int status;
        const char *type, *says;
    } rows[] = {
        {{.mac_key = "0123456789abcdeF"},  403, "unauthorized", "is not by the key of"             },
        {{.kid = "kid-0"},                 403, "unauthorized", "is not by the key of"             },
        {{.kid = "kid-2"},                 403, "unauthorized", "no external account has"          },
        {{.kid = ""},                      403, "unauthorized", "no external account has"          },
        {{.url = CA_BASE "/new-order"},    400, "malformed",    "binding is for"                   },
        {{.url = CA_BASE "/new-account/"}, 400, "malformed",    "binding is for"                   },
        {{.nonce = "bm9uY2U"},             400, "malformed",    "must not have a \"nonce\""        },
        {{.key = other},                   400, "malformed",    "is not the \"jwk\" of the request"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        bind_account(desk, &rows[i].wish);
        assert_refused(desk, rows[i].status, rows[i].type);
        if (!detail_says(desk, rows[i].says)) fail_msg("row %zu: %s", i, the_reply(desk)->body.at);
    }
    new_account(desk, "{\"termsOfServiceAgreed\":true}");
    assert_refused(desk, 403, "externalAccountRequired");
    new_account(desk, "{\"termsOfServiceAgreed\":true,\"externalAccountBinding\":\"x\"}");
    assert_refused(desk, 400, "malformed");
    new_account(desk, "{\"termsOfServiceAgreed\":true,\"externalAccountBinding\":{}}");
    assert_refused(desk, 400, "malformed");

    /* A signature, even a good one, is no MAC. */
    struct str signed_one;
    struct jws_header header = {.url = STR(CA_BASE "/new-account"), .kid = STR("kid-1")};
    assert_int_equal(
        jws_seal(&desk->bench->keep, desk->key, &header, key_jwk(desk->key, &desk->bench->keep), &signed_one), OK);
    new_account(
        desk,
        str_fmt(&desk->bench->keep, "{\"termsOfServiceAgreed\":true,\"externalAccountBinding\":%s}", signed_one.at).at);
    assert_refused(desk, 400, "badSignatureAlgorithm");
    assert_str(reply_problem(desk).algorithms, "[\"HS256\",\"HS384\",\"HS512\"]");

    new_account(desk, "{\"onlyReturnExisting\":true}");
    assert_refused(desk, 400, "accountDoesNotExist");
    bind_account(desk, &(struct wish_to_bind){0});
    assert_json(desk, 201);
    key_free(other);
    desk_free(desk);
}

/* Where bindings are not required one that is given is verified, and where none can be it is left aside. */
static void test_external_accounts_at_will(void **state)
{
    (void)state;
    struct desk *desk = desk_with_external_accounts(false);
    bind_account(desk, &(struct wish_to_bind){.kid = "kid-2"});
    assert_refused(desk, 403, "unauthorized");
    new_account(desk, "{\"termsOfServiceAgreed\":true}");
    assert_int_equal(account_shown(desk, 201).binding.n, 0);
    desk_free(desk);

    desk = desk_new("rfc8555");
    desk_open(desk);
    bind_account(desk, &(struct wish_to_bind){0});
    assert_int_equal(account_shown(desk, 201).binding.n, 0);
    desk_free(desk);
}

/* --- what is inside, cut and bent --- */
static void assert_some_refusal(struct desk *desk)
{
    if (reply_status(desk) < 400) fail_msg("taken: %s", the_reply(desk)->body.at);
    (void)reply_problem(desk);
}

static void test_cut_and_bent(void **state)
{
    (void)state;
    struct desk *desk = desk_with_external_accounts(false);
    struct arena *arena = &desk->bench->keep;
    register_account(desk);
    struct key *key = key_make(KEY_P256, SEALING_REAL, &desk->bench->rng);
    struct str inner = inner_jws(desk, key, &(struct change){0}), binding;
    struct jws_header header = {.url = STR(CA_BASE "/new-account"), .kid = STR("kid-1")};
    assert_int_equal(jws_seal_mac(arena, "HS256", STR(MAC_KEY), &header, key_jwk(key, arena), &binding), OK);
    for (size_t i = 0; i < inner.n; i += 3) {
        char *bent = arena_copy(arena, inner.at, inner.n);
        bent[i] ^= 1;
        post(desk, at(desk, "/key-change"), bent);
        assert_some_refusal(desk);
        bent = arena_copy(arena, inner.at, i);
        post(desk, at(desk, "/key-change"), bent);
        assert_some_refusal(desk);
    }
    struct key *first = desk->key;
    desk->key = key;
    for (size_t i = 0; i < binding.n; i += 3) {
        char *bent = arena_copy(arena, binding.at, binding.n);
        bent[i] ^= 1;
        new_account(desk, str_fmt(arena, "{\"termsOfServiceAgreed\":true,\"externalAccountBinding\":%s}", bent).at);
        assert_some_refusal(desk);
    }
    desk->key = first;
    change_key(desk, key, &(struct change){0});
    assert_json(desk, 200);
    key_free(key);
    desk_free(desk);
}

/* --- updates and lists (sections 7.3.2, 7.1.2.1) --- */
static void test_account_updates(void **state)
{
    (void)state;
    struct desk *desk = desk_with_account(desk_new("rfc8555"));
    struct str url = at(desk, "/account/1");
    post(desk, url, "{\"contact\":[\"mailto:a@example.test\"]}");
    assert_int_equal(account_shown(desk, 200).n_contacts, 1);
    static const char *const ignored[] = {
        "{}",
        "{\"status\":\"valid\"}",
        "{\"status\":\"revoked\"}",
        "{\"status\":\"x\"}",
        "{\"termsOfServiceAgreed\":false,\"orders\":\"x\",\"onlyReturnExisting\":true}",
        "{\"x\":{\"contact\":[]}}",
        "{\"externalAccountBinding\":{\"a\":1}}"};
    for (size_t i = 0; i < COUNTOF(ignored); i++) {
        post(desk, url, ignored[i]);
        struct account_doc doc = account_shown(desk, 200);
        assert_int_equal(doc.n_contacts, 1);
        assert_str(doc.status, "valid");
        assert_true(doc.terms_agreed);
        assert_str(doc.orders, CA_BASE "/account/1/orders");
        assert_int_equal(doc.binding.n, 0);
    }
    static const char *const refused[] = {"[]", "{\"contact\":\"mailto:a@example.test\"}"};
    for (size_t i = 0; i < COUNTOF(refused); i++) {
        post(desk, url, refused[i]);
        assert_refused(desk, 400, "malformed");
    }
    post(desk, url, "{\"contact\":[\"tel:1\"]}");
    assert_refused(desk, 400, "unsupportedContact");
    post(desk, url, "");
    assert_int_equal(account_shown(desk, 200).n_contacts, 1);
    post(desk, url, "{\"contact\":[]}");
    assert_int_equal(account_shown(desk, 200).n_contacts, 0);
    desk_free(desk);
}

static void test_pages_of_orders(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.orders_per_page = 2;
    desk_with_account(desk);
    post(desk, at(desk, "/account/1/orders"), "");
    assert_str(the_reply(desk)->body, "{\"orders\":[]}");
    for (int i = 0; i < 5; i++)
        new_order(desk, ONE_NAME);
    post(desk, at(desk, "/account/1/orders"), "");
    assert_str(the_reply(desk)->body, "{\"orders\":[\"" CA_BASE "/order/5\",\"" CA_BASE "/order/4\"]}");
    assert_str(reply_header(desk, "Link"), "<" CA_BASE "/account/1/orders?cursor=3>;rel=\"next\"");
    post(desk, at(desk, "/account/1/orders?cursor=3"), "");
    assert_str(reply_header(desk, "Link"), "<" CA_BASE "/account/1/orders?cursor=1>;rel=\"next\"");

    /* Invalid orders leave the list, and a page is full all the same. */
    post(desk, at(desk, "/authz/4"), "{\"status\":\"deactivated\"}");
    assert_json(desk, 200);
    post(desk, at(desk, "/account/1/orders"), "");
    assert_str(the_reply(desk)->body, "{\"orders\":[\"" CA_BASE "/order/5\",\"" CA_BASE "/order/3\"]}");
    post(desk, at(desk, "/account/1/orders?cursor=2"), "");
    assert_str(the_reply(desk)->body, "{\"orders\":[\"" CA_BASE "/order/2\",\"" CA_BASE "/order/1\"]}");
    assert_int_equal(headers_count(the_reply(desk)->headers, "Link"), 1); /* the index alone */
    desk_free(desk);
}

/* --- terms of service (section 7.3.3) --- */
static void assert_terms_asked_for(struct desk *desk, const char *url)
{
    assert_refused(desk, 403, "userActionRequired");
    assert_str(reply_problem(desk).instance, url);
    assert_str(reply_header(desk, "Link"), str_fmt(&desk->bench->keep, "<%s>;rel=\"terms-of-service\"", url).at);
}

static void test_terms_change(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    struct directory_doc directory;
    desk->profile.terms = STR("terms/v1");
    desk->profile.pre_authorization = true;
    desk_open(desk);
    new_account(desk, "{\"termsOfServiceAgreed\":false}");
    assert_terms_asked_for(desk, CA_BASE "/terms/v1");
    register_account(desk);
    new_order(desk, ONE_NAME);
    assert_int_equal(reply_status(desk), 201);
    get(desk, "GET", "/terms/v1");
    assert_int_equal(reply_status(desk), 200);

    ca_set_terms(desk->ca, STR("terms/v2"));
    get(desk, "GET", "/dir");
    assert_int_equal(directory_read(&desk->bench->keep, the_reply(desk)->body, &directory), OK);
    assert_str(directory.terms, CA_BASE "/terms/v2");
    get(desk, "GET", "/terms/v2");
    assert_int_equal(reply_status(desk), 200);
    get(desk, "GET", "/terms/v1");
    assert_refused(desk, 404, "malformed");

    fresh_nonce(desk);
    new_order(desk, ONE_NAME);
    assert_terms_asked_for(desk, CA_BASE "/terms/v2");
    post(desk, at(desk, "/new-authz"), "{\"identifier\":{\"type\":\"dns\",\"value\":\"a.example.test\"}}");
    assert_terms_asked_for(desk, CA_BASE "/terms/v2");
    assert_str(read_order(desk).status, "pending"); /* what was begun goes on */
    post(desk, at(desk, "/account/1"), "{\"termsOfServiceAgreed\":false}");
    assert_json(desk, 200);
    new_order(desk, ONE_NAME);
    assert_terms_asked_for(desk, CA_BASE "/terms/v2");
    post(desk, at(desk, "/account/1"), "{\"termsOfServiceAgreed\":true}");
    assert_json(desk, 200);
    new_order(desk, ONE_NAME);
    assert_int_equal(reply_status(desk), 201);
    desk_free(desk);

    /* Where no agreement is required new terms are no reason to refuse. */
    desk = desk_new("rfc8555");
    desk->profile.terms_required = false;
    desk_with_account(desk);
    ca_set_terms(desk->ca, STR("terms/v2"));
    new_order(desk, ONE_NAME);
    assert_int_equal(reply_status(desk), 201);
    desk_free(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_change),
        cmocka_unit_test(test_key_change_during_validation),
        cmocka_unit_test(test_dns_account),
        cmocka_unit_test(test_key_change_refused),
        cmocka_unit_test(test_index_by_key),
        cmocka_unit_test(test_external_accounts),
        cmocka_unit_test(test_external_accounts_refused),
        cmocka_unit_test(test_external_accounts_at_will),
        cmocka_unit_test(test_cut_and_bent),
        cmocka_unit_test(test_account_updates),
        cmocka_unit_test(test_pages_of_orders),
        cmocka_unit_test(test_terms_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
