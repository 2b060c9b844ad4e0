/* The CA over signed requests: RFC 8555 sections 6 and 7. How validations go is in ca_retry_test.c. */
#include "actor/ca_bench_test.h"

/* --- directory, nonces, routes --- */
static void test_directory(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    struct directory_doc doc;
    desk_open(desk);
    assert_true(str_is(ca_directory_url(desk->ca), CA_BASE "/dir"));
    get(desk, "GET", "/dir");
    assert_json(desk, 200);
    assert_int_equal(directory_read(&desk->bench->keep, the_reply(desk)->body, &doc), OK);
    assert_str(doc.new_nonce, CA_BASE "/nonce-plz");
    assert_str(doc.new_account, CA_BASE "/new-account");
    assert_str(doc.new_order, CA_BASE "/new-order");
    assert_str(doc.terms, CA_BASE "/terms");
    get(desk, "HEAD", "/dir");
    assert_json(desk, 200);
    assert_int_equal(the_reply(desk)->body.n, 0);
    get(desk, "GET", "/terms");
    assert_int_equal(reply_status(desk), 200);
    desk_free(desk);
}

static void test_nonces(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk_open(desk);
    for (int i = 0; i < 20; i++) { /* take_reply sees that none comes twice in a row */
        get(desk, i % 2 ? "HEAD" : "GET", "/nonce-plz");
        assert_int_equal(reply_status(desk), i % 2 ? 200 : 204);
        assert_str(reply_header(desk, "Cache-Control"), "no-store");
        assert_int_equal(the_reply(desk)->body.n, 0);
    }
    desk_free(desk);
}

static void test_routes(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path;
        int status;
    } rows[] = {
        {"GET",    "/",                    404},
        {"GET",    "/order/",              404},
        {"GET",    "/order/0",             404},
        {"GET",    "/order/01",            404},
        {"GET",    "/order/1x",            404},
        {"GET",    "/order/99999999999",   404},
        {"GET",    "/order/1/finalize/x",  404},
        {"GET",    "/order/1",             405}, /* section 6.3: POST-as-GET */
        {"GET",    "/challenge/1/http-01", 405},
        {"GET",    "/new-account",         405},
        {"PUT",    "/dir",                 405},
        {"DELETE", "/order/1",             405},
        {"POST",   "/terms",               405},
    };
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        get(desk, rows[i].method, rows[i].path);
        assert_refused(desk, rows[i].status, "malformed");
        assert_int_equal(reply_header(desk, "Allow").n > 0, rows[i].status == 405);
    }
    ask(desk, "GET", STR("https://ca.test/dir"), (struct str){0}, NULL); /* not below the base */
    assert_refused(desk, 404, "malformed");
    ask(desk, "GET", STR("gopher:x"), (struct str){0}, NULL);
    assert_refused(desk, 400, "malformed");
    post(desk, at(desk, "/order/77"), "");
    assert_refused(desk, 404, "malformed");
    post(desk, at(desk, "/challenge/1/http-02"), "");
    assert_refused(desk, 404, "malformed");
    post(desk, at(desk, "/certificate/1"), ""); /* not issued yet */
    assert_refused(desk, 404, "malformed");
    desk_free(desk);
}

/* --- accounts --- */
static void test_accounts(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    struct account_doc doc;
    desk_open(desk);
    new_account(desk, "{\"onlyReturnExisting\":true}");
    assert_refused(desk, 400, "accountDoesNotExist");
    new_account(desk, "{}");
    assert_refused(desk, 403, "userActionRequired");
    assert_str(reply_header(desk, "Link"), "<" CA_BASE "/terms>;rel=\"terms-of-service\"");
    new_account(desk, "{\"termsOfServiceAgreed\":true,\"contact\":[\"mailto:a@example.test\"],\"orders\":\"x\"}");
    assert_json(desk, 201);
    assert_str(reply_header(desk, "Location"), CA_BASE "/account/1");
    assert_int_equal(account_read(&desk->bench->keep, the_reply(desk)->body, &doc), OK);
    assert_str(doc.status, "valid");
    assert_str(doc.contacts[0], "mailto:a@example.test");
    assert_str(doc.orders, CA_BASE "/account/1/orders");

    /* Section 7.3.1: the same key again, whatever else is said. */
    new_account(desk, "{\"contact\":[\"tel:1\"]}");
    assert_json(desk, 200);
    assert_str(reply_header(desk, "Location"), CA_BASE "/account/1");
    new_account(desk, "{\"onlyReturnExisting\":true}");
    assert_json(desk, 200);

    strcpy(desk->kid, CA_BASE "/account/1");
    post(desk, at(desk, "/account/1"), "{\"contact\":[\"mailto:b@example.test\",\"mailto:c@example.test\"]}");
    assert_json(desk, 200);
    post(desk, at(desk, "/account/1"), "");
    assert_int_equal(account_read(&desk->bench->keep, the_reply(desk)->body, &doc), OK);
    assert_int_equal(doc.n_contacts, 2);
    assert_str(doc.contacts[1], "mailto:c@example.test");
    post(desk, at(desk, "/account/1"), "{\"contact\":[]}");
    assert_int_equal(account_read(&desk->bench->keep, the_reply(desk)->body, &doc), OK);
    assert_int_equal(doc.n_contacts, 0);
    desk_free(desk);
}

static void test_contacts_refused(void **state)
{
    (void)state;
    static const struct {
        const char *contact, *type;
    } rows[] = {
        {"\"tel:+1\"",                               "unsupportedContact"},
        {"\"a@example.test\"",                       "invalidContact"    },
        {"\"mailto:a\"",                             "invalidContact"    },
        {"\"mailto:a@example.test,b@example.test\"", "invalidContact"    },
        {"\"mailto:a@example.test?cc=b\"",           "invalidContact"    },
        {"\"mailto:a@*.example.test\"",              "invalidContact"    },
        {"7",                                        "malformed"         },
    };
    struct desk *desk = desk_new("rfc8555");
    desk_open(desk);
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        new_account(
            desk, str_fmt(&desk->bench->keep, "{\"termsOfServiceAgreed\":true,\"contact\":[%s]}", rows[i].contact).at);
        assert_refused(desk, 400, rows[i].type);
    }
    new_account(desk, "{\"onlyReturnExisting\":true}");
    assert_refused(desk, 400, "accountDoesNotExist");
    desk_free(desk);
}

static void test_orders_list(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    new_order(desk, ONE_NAME);
    post(desk, at(desk, "/account/1/orders"), "");
    assert_json(desk, 200);
    assert_str(the_reply(desk)->body, "{\"orders\":[\"" CA_BASE "/order/2\",\"" CA_BASE "/order/1\"]}");
    for (int i = 0; i < 49; i++)
        new_order(desk, ONE_NAME);
    post(desk, at(desk, "/account/1/orders"), "");
    assert_str(reply_header(desk, "Link"), "<" CA_BASE "/account/1/orders?cursor=1>;rel=\"next\"");
    post(desk, at(desk, "/account/1/orders?cursor=1"), "");
    assert_str(the_reply(desk)->body, "{\"orders\":[\"" CA_BASE "/order/1\"]}");
    post(desk, at(desk, "/account/1/orders?cursor=52"), "");
    assert_refused(desk, 404, "malformed");
    desk_free(desk);
}

/* --- admission (sections 6.2 to 6.5) --- */

/* A JWS with any protected header, signed by the account's key. */
static struct str odd_jws(struct desk *desk, const char *header, const char *payload)
{
    struct arena *arena = &desk->bench->keep;
    struct str signature;
    struct str input = str_fmt(arena, "%s.%s", base64url(arena, str_c(header)).at, base64url(arena, str_c(payload)).at);
    assert_int_equal(key_sign(desk->key, arena, input, &signature), OK);
    return str_fmt(arena, "{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"%s\"}",
                   base64url(arena, str_c(header)).at, base64url(arena, str_c(payload)).at,
                   base64url(arena, signature).at);
}

static void assert_order_untouched(struct desk *desk)
{
    assert_str(read_order(desk).status, "pending");
    assert_str(look_at(desk, "http-01").status, "pending");
    assert_int_equal(desk->n_asked, 0);
}

static void test_nonce_refused(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    struct str url = challenge_url_of(desk, "http-01");
    struct str kid = str_c(desk->kid), used = str_copy(&desk->bench->keep, str_c(desk->nonce));
    const struct str nonces[] = {used, STR("AAAAAAAAAAAAAAAAAAAAAA"), STR("bm9uY2U"), {0}};
    fresh_nonce(desk);
    post_sealed(desk, desk->order, desk->key, &(struct jws_header){.nonce = used, .url = desk->order, .kid = kid},
                STR(""));
    assert_json(desk, 200);
    for (size_t i = 0; i < COUNTOF(nonces); i++) {
        post_sealed(desk, url, desk->key, &(struct jws_header){.nonce = nonces[i], .url = url, .kid = kid}, STR("{}"));
        assert_refused(desk, 400, "badNonce");
        /* Section 6.5: the error brings the nonce for the next try. */
        assert_order_untouched(desk);
    }
    /* A nonce is used up by a request that is refused for another reason. */
    struct str spent = str_copy(&desk->bench->keep, str_c(desk->nonce));
    post_sealed(desk, url, desk->key, &(struct jws_header){.nonce = spent, .url = desk->order, .kid = kid}, STR("{}"));
    assert_refused(desk, 403, "unauthorized");
    post_sealed(desk, url, desk->key, &(struct jws_header){.nonce = spent, .url = url, .kid = kid}, STR("{}"));
    assert_refused(desk, 400, "badNonce");
    assert_order_untouched(desk);
    desk_free(desk);
}

/* Section 6.5.2 calls the JWS malformed; some authorities look the nonce up and find none. */
static void test_nonce_of_no_form(void **state)
{
    (void)state;
    const char *const profiles[][2] = {
        {"rfc8555", "malformed"},
        {"boulder", "badNonce" },
        {"pebble",  "badNonce" },
        {"step-ca", "badNonce" }
    };
    const struct str nonces[] = {STR("not base64url!"), STR("AA=="), STR("A"), STR("")};
    for (size_t p = 0; p < COUNTOF(profiles); p++) {
        struct desk *desk = desk_with_order(desk_new(profiles[p][0]));
        struct str url = challenge_url_of(desk, "http-01");
        for (size_t i = 0; i < COUNTOF(nonces); i++) {
            struct jws_header header = {.nonce = nonces[i], .url = url, .kid = str_c(desk->kid)};
            post_sealed(desk, url, desk->key, &header, STR("{}"));
            assert_refused(desk, 400, profiles[p][1]);
        }
        assert_int_equal(desk->n_asked, 0);
        desk_free(desk);
    }
}

static void test_good_nonces_refused(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.refused_nonces = 40;
    desk_open(desk);
    register_account(desk);
    struct str kid = str_c(desk->kid);
    for (int k = 2; k <= 11; k++) {
        post(desk, kid, "");
        if (k % 5 == 3 || k % 5 == 0) assert_refused(desk, 400, "badNonce");
        else assert_json(desk, 200);
    }
    /* A nonce that is refused is spent, and one that was bad counts for nothing. */
    char nonce[sizeof desk->nonce];
    post(desk, kid, ""); /* the 12th */
    memcpy(nonce, desk->nonce, sizeof nonce);
    post(desk, kid, ""); /* the 13th */
    assert_refused(desk, 400, "badNonce");
    post_sealed(desk, kid, desk->key, &(struct jws_header){.nonce = str_c(nonce), .url = kid, .kid = kid}, STR(""));
    assert_refused(desk, 400, "badNonce");
    post(desk, kid, ""); /* the 14th */
    assert_json(desk, 200);
    desk_free(desk);
}

static void test_url_and_account_refused(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    struct str url = challenge_url_of(desk, "http-01"), kid = str_c(desk->kid);
    const struct {
        struct str url, kid;
        int status;
        const char *type;
    } rows[] = {
        {desk->order,                                    kid,                                      403, "unauthorized"       },
        {STR(CA_BASE "/challenge/1/http-01?x"),          kid,                                      403, "unauthorized"       },
        {STR("http://ca.test/acme/challenge/1/http-01"), kid,                                      403, "unauthorized"       },
        {url,                                            STR(CA_BASE "/account/2"),                400, "accountDoesNotExist"},
        {url,                                            STR(CA_BASE "/account/1/"),               400, "accountDoesNotExist"},
        {url,                                            STR(CA_BASE "/order/1"),                  400, "accountDoesNotExist"},
        {url,                                            STR("https://other.test/acme/account/1"), 400, "accountDoesNotExist"},
        {url,                                            STR("1"),                                 400, "accountDoesNotExist"},
        {url,                                            {0},                                      400, "malformed"          }, /* jwk */
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct str nonce = str_copy(&desk->bench->keep, str_c(desk->nonce));
        post_sealed(desk, url, desk->key, &(struct jws_header){nonce, rows[i].url, rows[i].kid}, STR("{}"));
        assert_refused(desk, rows[i].status, rows[i].type);
        assert_order_untouched(desk);
    }
    /* And the other way round: newAccount wants the key itself. */
    post(desk, at(desk, "/new-account"), "{\"termsOfServiceAgreed\":true}");
    assert_refused(desk, 400, "malformed");
    /* Somebody else's signature under our name. */
    struct str nonce = str_copy(&desk->bench->keep, str_c(desk->nonce));
    post_sealed(desk, url, desk->csr_key, &(struct jws_header){nonce, url, kid}, STR("{}"));
    assert_refused(desk, 400, "malformed");
    assert_order_untouched(desk);
    desk_free(desk);
}

static void test_envelope_refused(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    struct arena *arena = &desk->bench->keep;
    struct str url = challenge_url_of(desk, "http-01"), jwk = key_jwk(desk->key, arena);
    static const struct {
        const char *header; /* %s: nonce, url, kid, jwk */
        const char *type;
    } rows[] = {
        {"{\"alg\":\"ES256\",\"nonce\":\"%s\",\"url\":\"%s\",\"kid\":\"%s\",\"jwk\":%s}", "malformed"            },
        {"{\"alg\":\"ES256\",\"nonce\":\"%s\",\"url\":\"%s\"}",                           "malformed"            },
        {"{\"alg\":\"ES256\",\"nonce\":\"%s\"}",                                          "malformed"            },
        {"{\"alg\":\"HS256\",\"nonce\":\"%s\",\"url\":\"%s\",\"kid\":\"%s\"}",            "badSignatureAlgorithm"},
        {"{\"alg\":\"none\",\"nonce\":\"%s\",\"url\":\"%s\",\"kid\":\"%s\"}",             "badSignatureAlgorithm"},
        {"{\"alg\":\"ES384\",\"nonce\":\"%s\",\"url\":\"%s\",\"kid\":\"%s\"}",            "malformed"            }, /* not this key's */
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        char header[1000];
        snprintf(header, sizeof header, rows[i].header, desk->nonce, url.at, desk->kid, jwk.at);
        ask(desk, "POST", url, odd_jws(desk, header, "{}"), "application/jose+json");
        assert_refused(desk, 400, rows[i].type);
        struct problem problem = reply_problem(desk);
        assert_int_equal(problem.algorithms.n > 0, str_is(problem.type, "badSignatureAlgorithm"));
        assert_order_untouched(desk);
    }
    static const char *const bodies[] = {"", "{}", "[]", "not JSON", "{\"payload\":\"\",\"signatures\":[]}"};
    for (size_t i = 0; i < COUNTOF(bodies); i++) {
        ask(desk, "POST", url, str_c(bodies[i]), "application/jose+json");
        assert_refused(desk, 400, "malformed");
    }
    /* Section 6.2: the media type. */
    static const char *const medias[] = {"application/json", "application/jose", "application/jose+jsonx", NULL};
    for (size_t i = 0; i < COUNTOF(medias); i++) {
        ask(desk, "POST", url, STR("{}"), medias[i]);
        assert_refused(desk, 415, "malformed");
    }
    char *huge = arena_alloc(arena, 256 * 1024 + 1);
    memset(huge, ' ', 256 * 1024 + 1);
    ask(desk, "POST", url, (struct str){huge, 256 * 1024 + 1}, "application/jose+json; charset=utf-8");
    assert_refused(desk, 413, "malformed");
    assert_order_untouched(desk);
    desk_free(desk);
}

static void test_belongs_to_another(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    struct key *first = desk->key;
    desk->key = key_make(KEY_ED25519, SEALING_REAL, &desk->bench->rng);
    register_account(desk);
    assert_string_equal(desk->kid, CA_BASE "/account/2");
    const struct str urls[] = {desk->order,
                               desk->authz[0],
                               challenge_url_of(desk, "http-01"),
                               STR(CA_BASE "/order/1/finalize"),
                               STR(CA_BASE "/account/1"),
                               STR(CA_BASE "/account/1/orders")};
    for (size_t i = 0; i < COUNTOF(urls); i++) {
        post(desk, urls[i], "");
        assert_refused(desk, 403, "unauthorized");
        post(desk, urls[i], "{\"status\":\"deactivated\"}");
        assert_refused(desk, 403, "unauthorized");
    }
    key_free(desk->key);
    desk->key = first;
    strcpy(desk->kid, CA_BASE "/account/1");
    assert_order_untouched(desk);
    desk_free(desk);
}

/* --- an issuance --- */
static void test_issuance(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    struct arena *arena = &desk->bench->keep;
    struct order_doc order = read_order(desk);
    assert_str(order.status, "pending");
    assert_str(order.expires, "2030-01-08T00:00:00Z");
    assert_str(order.identifiers[0].value, "a.example.test");
    assert_str(order.finalize, CA_BASE "/order/1/finalize");
    assert_int_equal(order.n_authorizations, 1);
    assert_int_equal(order.certificate.n, 0);

    struct authz_doc authz = read_authz(desk, 0);
    assert_str(authz.status, "pending");
    assert_str(authz.identifier.value, "a.example.test");
    assert_false(authz.wildcard);
    assert_int_equal(authz.n_challenges, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_str(authz.challenges[i].status, "pending");
        assert_true(token_legal(authz.challenges[i].token));
        for (size_t k = 0; k < i; k++)
            assert_false(str_eq(authz.challenges[i].token, authz.challenges[k].token));
    }

    desk->bench->now_ms += 7000;
    assert_str(respond_to(desk, "http-01").status, "processing");
    assert_str(reply_header(desk, "Link"), "<" CA_BASE "/authz/1>;rel=\"up\"");
    assert_int_equal(desk->n_probes, 1);
    const struct probe *probe = &desk->probes[0]->as.probe;
    assert_str(probe->type, "http-01");
    assert_str(probe->name, "a.example.test");
    assert_true(str_eq(probe->token, authz.challenges[0].token));
    assert_true(
        str_eq(probe->place, challenge_place(arena, CHALLENGE_HTTP_01, probe->name, probe->token, probe->account)));
    assert_true(
        str_eq(probe->proof, challenge_key_authorization(arena, probe->token, key_thumbprint(desk->key, arena))));
    assert_int_equal(probe->attempt, 1);
    assert_int_equal(probe->limit_ms, 10000);

    verdict(desk, NULL);
    struct challenge_doc challenge = look_at(desk, "http-01");
    assert_str(challenge.status, "valid");
    assert_str(challenge.validated, "2030-01-01T00:00:07Z");
    assert_false(challenge.has_error);
    assert_int_equal(reply_header(desk, "Retry-After").n, 0);
    assert_str(read_authz(desk, 0).status, "valid");
    assert_str(read_order(desk).status, "ready");

    finalize(desk);
    order = order_shown(desk);
    assert_str(order.status, "valid");
    assert_str(order.certificate, CA_BASE "/certificate/1");
    post(desk, order.certificate, "");
    assert_int_equal(reply_status(desk), 200);
    assert_str(reply_header(desk, "Content-Type"), "application/pem-certificate-chain");
    struct chain_facts facts;
    assert_int_equal(chain_read(arena, the_reply(desk)->body, &facts), OK);
    assert_int_equal(facts.n_certificates, 2);
    assert_int_equal(facts.n_names, 1);
    assert_str(facts.names[0], "a.example.test");
    assert_true(str_eq(facts.spki, key_spki(desk->csr_key, arena)));
    assert_int_equal(facts.not_after_ms - facts.not_before_ms, INT64_C(90) * 86400 * 1000);
    /* Everything stays readable. */
    assert_str(read_order(desk).status, "valid");
    assert_str(read_authz(desk, 0).status, "valid");
    desk_free(desk);
}

static void test_slow_issuance(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.issue_delay_ms = 20000;
    desk_with_order(desk);
    make_ready(desk);
    finalize(desk);
    assert_str(order_shown(desk).status, "processing");
    assert_str(reply_header(desk, "Retry-After"), "5");
    assert_str(reply_header(desk, "Location"), CA_BASE "/order/1");
    let_pass(desk, 19999);
    assert_str(read_order(desk).status, "processing");
    assert_str(reply_header(desk, "Retry-After"), "5");
    finalize(desk);
    assert_refused(desk, 403, "orderNotReady");
    let_pass(desk, 1);
    struct order_doc order = read_order(desk);
    assert_str(order.status, "valid");
    assert_int_equal(reply_header(desk, "Retry-After").n, 0);
    post(desk, order.certificate, "");
    assert_int_equal(reply_status(desk), 200);
    desk_free(desk);
}

static void test_finalize_refused(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    struct str url = at(desk, "/order/1/finalize");
    const struct str wrong[] = {STR("a.example.test"), STR("b.example.test")};
    finalize(desk);
    assert_refused(desk, 403, "orderNotReady");
    assert_str(read_order(desk).status, "pending");
    make_ready(desk);
    static const char *const payloads[] = {"", "{}", "{\"csr\":7}", "{\"csr\":\"MII=\"}", "[]"};
    for (size_t i = 0; i < COUNTOF(payloads); i++) {
        post(desk, url, payloads[i]);
        assert_refused(desk, 400, "malformed");
    }
    post(desk, url, "{\"csr\":\"AAAA\"}");
    assert_refused(desk, 400, "badCSR");
    finalize_with(desk, desk->csr_key, wrong + 1, 1);
    assert_refused(desk, 400, "badCSR");
    finalize_with(desk, desk->csr_key, wrong, 2);
    assert_refused(desk, 400, "badCSR");
    finalize_with(desk, desk->key, wrong, 1); /* the account's key */
    assert_refused(desk, 400, "badCSR");
    /* Section 7.4: a refused CSR leaves the order ready. */
    assert_str(read_order(desk).status, "ready");
    finalize(desk);
    assert_str(order_shown(desk).status, "valid");
    finalize(desk);
    assert_refused(desk, 403, "orderNotReady");
    desk_free(desk);
}

/* --- newOrder --- */
static void test_orders_refused(void **state)
{
    (void)state;
    static const struct {
        const char *payload, *type;
        size_t n_subproblems;
    } rows[] = {
        {"{}",                                                                                                "malformed",             0},
        {"",                                                                                                  "malformed",             0},
        {"{\"identifiers\":[]}",                                                                              "malformed",             0},
        {"{\"identifiers\":[\"a.example.test\"]}",                                                            "malformed",             0},
        {"{\"identifiers\":[{\"type\":\"ip\",\"value\":\"192.0.2.1\"}]}",                                     "unsupportedIdentifier", 1},
        {"{\"identifiers\":[{\"value\":\"a.example.test\"}]}",                                                "unsupportedIdentifier", 1},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"\"}]}",                                             "malformed",             1},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"m\xc3\xbcller.test\"}]}",                           "malformed",             1},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"localhost\"}]}",                                    "rejectedIdentifier",    1},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"192.0.2.1\"}]}",                                    "rejectedIdentifier",    1},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.test\"},{\"type\":\"dns\",\"value\":\"b\"},"
         "{\"type\":\"dns\",\"value\":\"c\"}]}",                                                     "rejectedIdentifier",    2},
        {"{\"identifiers\":[{\"type\":\"ip\",\"value\":\"::1\"},{\"type\":\"dns\",\"value\":\"c\"}]}",        "malformed",             2},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.test\"}],\"notAfter\":\"soon\"}",                 "malformed",             0},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.test\"}],\"notAfter\":\"2029-01-01T00:00:00Z\"}",
         "malformed",                                                                                                                  0},
        {"{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.test\"}],\"notAfter\":\"2031-01-01T00:00:00Z\"}",
         "malformed",                                                                                                                  0},
    };
    struct desk *desk = desk_new("rfc8555");
    desk_open(desk);
    register_account(desk);
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        post(desk, at(desk, "/new-order"), rows[i].payload);
        assert_refused(desk, 400, rows[i].type);
        struct problem problem = reply_problem(desk);
        assert_int_equal(problem.n_subproblems, rows[i].n_subproblems);
        for (size_t k = 0; k < problem.n_subproblems; k++)
            assert_int_equal(problem.subproblems[k].identifier.n > 0,
                             str_is(problem.subproblems[k].type, "rejectedIdentifier"));
    }
    post(desk, at(desk, "/account/1/orders"), "");
    assert_str(the_reply(desk)->body, "{\"orders\":[]}");
    desk_free(desk);
}

static void test_names_of_an_order(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk_open(desk);
    register_account(desk);
    new_order(desk, "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"A.Example.test\"},{\"type\":\"dns\",\"value\":\"a."
                    "example.test\"},"
                    "{\"type\":\"dns\",\"value\":\"*.example.test\"}],\"notBefore\":\"2030-01-02T00:00:00Z\","
                    "\"notAfter\":\"2030-01-12T00:00:00Z\"}");
    struct order_doc order = order_shown(desk);
    assert_int_equal(order.n_identifiers, 2);
    assert_str(order.identifiers[0].value, "a.example.test");
    assert_str(order.identifiers[1].value, "*.example.test");
    assert_str(order.not_before, "2030-01-02T00:00:00Z");
    struct authz_doc wild = read_authz(desk, 1);
    assert_true(wild.wildcard);
    assert_str(wild.identifier.value, "example.test");
    assert_int_equal(wild.n_challenges, 1);
    assert_str(wild.challenges[0].type, "dns-01");

    respond_to(desk, "http-01");
    verdict(desk, NULL);
    assert_str(read_order(desk).status, "pending"); /* one of two */
    post(desk, wild.challenges[0].url, "{}");
    assert_str(desk->probes[0]->as.probe.place, "_acme-challenge.example.test");
    verdict(desk, NULL);
    assert_str(read_order(desk).status, "ready");
    const struct str names[] = {STR("a.example.test"), STR("*.example.test")};
    finalize_with(desk, desk->csr_key, names, 2);
    struct chain_facts facts;
    post(desk, order_shown(desk).certificate, "");
    assert_int_equal(chain_read(&desk->bench->keep, the_reply(desk)->body, &facts), OK);
    assert_int_equal(facts.n_names, 2);
    assert_int_equal(facts.not_after_ms - facts.not_before_ms, INT64_C(10) * 86400 * 1000);
    desk_free(desk);
}

static void test_too_many_names(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk_open(desk);
    register_account(desk);
    for (size_t n = RESOURCE_MAX_NAMES; n <= RESOURCE_MAX_NAMES + 1; n++) {
        struct buf buf = {.arena = &desk->bench->keep};
        buf_add_c(&buf, "{\"identifiers\":[");
        for (size_t i = 0; i < n; i++)
            buf_fmt(&buf, "%s{\"type\":\"dns\",\"value\":\"n%zu.example.test\"}", i ? "," : "", i);
        buf_add_c(&buf, "]}");
        new_order(desk, buf_str(&buf).at);
        if (n > RESOURCE_MAX_NAMES) assert_refused(desk, 400, "malformed");
        else assert_int_equal(order_shown(desk).n_authorizations, RESOURCE_MAX_NAMES);
    }
    desk_free(desk);
}

static void test_valid_authorizations_are_reused(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.reuses_authz = true;
    desk_with_order(desk);
    make_ready(desk);
    new_order(desk, ONE_NAME);
    assert_str(order_shown(desk).status, "ready");
    assert_str(desk->authz[0], CA_BASE "/authz/1");
    post(desk, desk->authz[0], "{\"status\":\"deactivated\"}");
    assert_json(desk, 200);
    assert_str(read_order(desk).status, "invalid"); /* both orders counted on it */
    post(desk, at(desk, "/order/1"), "");
    assert_str(order_shown(desk).status, "invalid");
    new_order(desk, ONE_NAME);
    assert_str(order_shown(desk).status, "pending");
    assert_str(desk->authz[0], CA_BASE "/authz/2");
    desk_free(desk);
}

/* --- ends --- */
static void test_deactivation(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    post(desk, desk->authz[0], "{\"status\":\"valid\"}");
    assert_refused(desk, 400, "malformed");
    post(desk, desk->authz[0], "{\"status\":\"deactivated\"}");
    assert_json(desk, 200);
    assert_str(read_authz(desk, 0).status, "deactivated");
    struct order_doc order = read_order(desk);
    assert_str(order.status, "invalid");
    assert_true(order.has_error);
    assert_str(order.error.type, "unauthorized");
    post(desk, challenge_url_of(desk, "http-01"), "{}");
    assert_refused(desk, 400, "malformed");
    assert_int_equal(desk->n_asked, 0);
    post(desk, desk->authz[0], "{\"status\":\"deactivated\"}");
    assert_refused(desk, 400, "malformed");

    /* Section 7.3.6. */
    new_order(desk, ONE_NAME);
    post(desk, at(desk, "/account/1"), "{\"status\":\"deactivated\"}");
    assert_json(desk, 200);
    post(desk, desk->order, "");
    assert_refused(desk, 401, "unauthorized");
    new_account(desk, "{\"termsOfServiceAgreed\":true}");
    assert_refused(desk, 401, "unauthorized");
    assert_true(desk->ca->next_due_ms(desk->ca) > desk->bench->now_ms);
    desk_free(desk);
}

static void test_expiry(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.order_lifetime_ms = 120000;
    desk->profile.authz_lifetime_ms = 60000;
    desk_with_order(desk);
    make_ready(desk);
    let_pass(desk, 60000);
    assert_str(read_authz(desk, 0).status, "expired");
    assert_str(read_order(desk).status, "invalid"); /* also between ready and finalize */
    finalize(desk);
    assert_refused(desk, 403, "orderNotReady");

    desk->profile.authz_lifetime_ms = 600000;
    new_order(desk, ONE_NAME);
    respond_to(desk, "http-01");
    let_pass(desk, 120000);
    struct order_doc order = read_order(desk);
    assert_str(order.status, "invalid");
    assert_true(order.has_error);
    assert_str(read_authz(desk, 0).status, "pending");
    desk_free(desk);
}

/* --- what a scenario puts in place of the truth --- */
static void test_scripted_replies(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    struct replies *finalizing = &desk->scenario.replies[REQUEST_FINALIZE],
                   *polls = &desk->scenario.replies[REQUEST_POLL_ORDER];
    finalizing->at[0] = (struct reply){.status = 503, .retry_after = STR("7s"), .times = 1};
    finalizing->at[1] = (struct reply){.order = STATUS_PROCESSING, .retry_after = STR("date+20s"), .times = 1};
    finalizing->n = 2;
    desk_with_order(desk);
    make_ready(desk);
    polls->at[0] = (struct reply){.order = STATUS_PROCESSING, .retry_after = STR("raw:soon"), .times = 2};
    polls->at[1] = (struct reply){.status = 400, .error = STR("badNonce"), .times = 1};
    polls->at[2] = (struct reply){.order = STATUS_INVALID, .error = STR("caa"), .times = 1};
    polls->n = 3;
    finalize(desk);
    assert_refused(desk, 503, "serverInternal"); /* without effect */
    assert_str(reply_header(desk, "Retry-After"), "7");
    finalize(desk);
    assert_str(order_shown(desk).status, "processing"); /* with effect, and told otherwise */
    assert_str(reply_header(desk, "Retry-After"), "Tue, 01 Jan 2030 00:00:20 GMT");
    for (int i = 0; i < 2; i++) {
        assert_str(read_order(desk).status, "processing");
        assert_str(reply_header(desk, "Retry-After"), "soon");
    }
    post(desk, desk->order, "");
    assert_refused(desk, 400, "badNonce");
    struct order_doc order = read_order(desk);
    assert_str(order.status, "invalid");
    assert_str(order.error.type, "caa");
    assert_str(read_order(desk).status, "valid"); /* used up: the truth */
    desk_free(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directory),
        cmocka_unit_test(test_nonces),
        cmocka_unit_test(test_routes),
        cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_contacts_refused),
        cmocka_unit_test(test_orders_list),
        cmocka_unit_test(test_nonce_refused),
        cmocka_unit_test(test_nonce_of_no_form),
        cmocka_unit_test(test_good_nonces_refused),
        cmocka_unit_test(test_url_and_account_refused),
        cmocka_unit_test(test_envelope_refused),
        cmocka_unit_test(test_belongs_to_another),
        cmocka_unit_test(test_issuance),
        cmocka_unit_test(test_slow_issuance),
        cmocka_unit_test(test_finalize_refused),
        cmocka_unit_test(test_orders_refused),
        cmocka_unit_test(test_names_of_an_order),
        cmocka_unit_test(test_too_many_names),
        cmocka_unit_test(test_valid_authorizations_are_reused),
        cmocka_unit_test(test_deactivation),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_scripted_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
