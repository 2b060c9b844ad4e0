/* The CA's certificates after their issuance: RFC 8555 section 7.6 and the documents that build on it. */
#include "actor/ca_bench_test.h"

#include "acme/x509.h"

/* An account with a certificate: *ret_der is the leaf. */
static struct desk *desk_with_certificate(struct desk *desk)
{
    desk_with_order(desk);
    make_ready(desk);
    finalize(desk);
    assert_true(str_is(order_shown(desk).status, "valid"));
    return desk;
}

/* The DER of the first certificate of the last reply. */
static struct str leaf_shown(struct desk *desk)
{
    struct arena *arena = &desk->bench->keep;
    struct str before, body, pem = the_reply(desk)->body;
    ptrdiff_t end = str_find(pem, "\n-----END");
    assert_true(end > 0);
    assert_true(str_cut((struct str){pem.at, (size_t)end}, '\n', &before, &body));
    struct buf text = {.arena = arena};
    for (size_t i = 0; i < body.n; i++) {
        char c = body.at[i];
        if (c != '\n' && c != '=') buf_add_char(&text, c == '+' ? '-' : c == '/' ? '_' : c);
    }
    struct str der;
    assert_int_equal(base64url_decode(arena, buf_str(&text), &der), OK);
    return der;
}

static struct str download(struct desk *desk)
{
    post(desk, order_shown(desk).certificate, "");
    assert_int_equal(reply_status(desk), 200);
    return leaf_shown(desk);
}

static struct str revocation(struct desk *desk, struct str der, const char *more)
{
    struct arena *arena = &desk->bench->keep;
    return str_fmt(arena, "{\"certificate\":\"%.*s\"%s}", STR_ARGS(base64url(arena, der)), more);
}

static void revoke(struct desk *desk, struct str der, const char *more)
{
    post(desk, at(desk, "/revoke-cert"), revocation(desk, der, more).at);
}

static void revoke_with_key(struct desk *desk, const struct key *key, struct str der)
{
    struct str url = at(desk, "/revoke-cert");
    fresh_nonce(desk);
    post_sealed(desk, url, key, &(struct jws_header){.nonce = str_c(desk->nonce), .url = url},
                revocation(desk, der, ""));
}

static void assert_revoked(struct desk *desk)
{
    assert_int_equal(reply_status(desk), 200);
    assert_int_equal(the_reply(desk)->body.n, 0);
    assert_null(reply_header(desk, "Content-Type").at);
}

/* Another account, which speaks from now on. */
static void change_account(struct desk *desk)
{
    key_free(desk->key);
    desk->key = key_make(KEY_P256, SEALING_REAL, &desk->bench->rng);
    register_account(desk);
}

static void test_revoked_once(void **state)
{
    (void)state;
    struct desk *desk = desk_with_certificate(desk_new("rfc8555"));
    struct str der = download(desk);
    revoke(desk, der, ",\"reason\":4");
    assert_revoked(desk);
    revoke(desk, der, "");
    assert_refused(desk, 400, "alreadyRevoked");
    revoke_with_key(desk, desk->csr_key, der);
    assert_refused(desk, 400, "alreadyRevoked");
    desk_free(desk);
}

static void test_revocation_by_the_certificates_key(void **state)
{
    (void)state;
    struct desk *desk = desk_with_certificate(desk_new("rfc8555"));
    struct str der = download(desk);
    revoke_with_key(desk, desk->key, der); /* the account's key, as "jwk" */
    assert_refused(desk, 403, "unauthorized");
    revoke_with_key(desk, desk->csr_key, der);
    assert_revoked(desk);
    desk_free(desk);
}

static void test_revocation_by_another_account(void **state)
{
    (void)state;
    struct desk *desk = desk_with_certificate(desk_new("rfc8555"));
    struct str der = download(desk);
    change_account(desk);
    revoke(desk, der, "");
    assert_refused(desk, 403, "unauthorized");
    new_order(desk, ONE_NAME);
    revoke(desk, der, ""); /* pending is not enough */
    assert_refused(desk, 403, "unauthorized");
    make_ready(desk);
    post(desk, desk->authz[0], "{\"status\":\"deactivated\"}");
    revoke(desk, der, "");
    assert_refused(desk, 403, "unauthorized");
    new_order(desk, ONE_NAME);
    make_ready(desk);
    revoke(desk, der, "");
    assert_revoked(desk);
    desk_free(desk);
}

static void test_revocation_refused(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.certs.revocation_reasons = 1u << 1 | 1u << 4;
    desk->profile.issue_delay_ms = 5000;
    desk_with_order(desk);
    make_ready(desk);
    finalize(desk);
    let_pass(desk, 6000);
    assert_true(str_is(read_order(desk).status, "valid"));
    struct str der = download(desk);
    static const struct {
        const char *more;
        const char *type;
    } rows[] = {
        {",\"reason\":0",     "badRevocationReason"},
        {",\"reason\":7",     "badRevocationReason"},
        {",\"reason\":11",    "badRevocationReason"},
        {",\"reason\":99",    "badRevocationReason"},
        {",\"reason\":-1",    "malformed"          },
        {",\"reason\":\"1\"", "malformed"          },
        {",\"reason\":1.5",   "malformed"          },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        revoke(desk, der, rows[i].more);
        assert_refused(desk, 400, rows[i].type);
    }
    revoke(desk, der, ",\"reason\":0");
    assert_true(str_find(reply_problem(desk).detail, "1, 4") > 0);
    char *bent = arena_copy(&desk->bench->keep, der.at, der.n);
    bent[der.n - 1] ^= 1;
    revoke(desk, (struct str){bent, der.n}, "");
    assert_refused(desk, 404, "malformed");
    revoke(desk, STR("no certificate"), "");
    assert_refused(desk, 404, "malformed");
    post(desk, at(desk, "/revoke-cert"), "{\"certificate\":\"???\"}");
    assert_refused(desk, 400, "malformed");
    post(desk, at(desk, "/revoke-cert"), "{}");
    assert_refused(desk, 400, "malformed");
    post(desk, at(desk, "/revoke-cert"), "");
    assert_refused(desk, 400, "malformed");
    revoke(desk, der, ",\"reason\":4");
    assert_revoked(desk);
    desk_free(desk);
}

/* --- status: what a relying party meets --- */
static void test_status_needs_no_https(void **state)
{
    (void)state;
    static const struct {
        const char *method, *url;
        int status;
    } rows[] = {
        {"GET",  "http://ca.test/acme/crl",       200},
        {"HEAD", "http://ca.test/acme/crl",       200},
        {"GET",  "https://ca.test/acme/crl",      200},
        {"GET",  "http://ca.test/acme/issuer",    200},
        {"POST", "http://ca.test/acme/ocsp",      200},
        {"GET",  "http://ca.test/acme/ocsp/MAA=", 200},
        {"GET",  "http://ca.test/acme/ocsp",      405},
        {"POST", "http://ca.test/acme/crl",       405},
        {"GET",  "http://ca.test/acme/dir",       404},
        {"HEAD", "http://ca.test/acme/nonce-plz", 404},
        {"POST", "http://ca.test/acme/new-order", 404},
    };
    struct desk *desk = desk_new("rfc8555");
    desk_open(desk);
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        ask(desk, rows[i].method, str_c(rows[i].url), (struct str){0}, NULL);
        assert_int_equal(reply_status(desk), rows[i].status);
        assert_int_equal(reply_header(desk, "Replay-Nonce").n > 0, rows[i].status != 200);
    }
    desk_free(desk);
}

/* --- renewal information --- */
static struct str renewal_path(struct desk *desk, struct str der)
{
    struct arena *arena = &desk->bench->keep;
    struct certificate_id id;
    assert_int_equal(certificate_read(der, &id), OK);
    return str_fmt(arena, "%.*s.%.*s", STR_ARGS(base64url(arena, issuer_key_id(desk->issuer))),
                   STR_ARGS(base64url(arena, id.serial)));
}

static void assert_window(struct desk *desk, struct str der, const char *want)
{
    get(desk, "GET", str_fmt(&desk->bench->keep, "/renewal/%.*s", STR_ARGS(renewal_path(desk, der))).at);
    assert_json(desk, 200);
    if (!str_is(the_reply(desk)->body, want)) fail_msg("%.*s", STR_ARGS(the_reply(desk)->body));
    assert_true(str_is(reply_header(desk, "Retry-After"), "21600"));
}

static void test_renewal_windows(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.certs.renewal_from = 50;
    desk->profile.certs.renewal_to = 60;
    desk->profile.certificate_lifetime_ms = INT64_C(100) * 3600 * 1000;
    desk->profile.retry_after = RETRY_AFTER_NONE; /* which is about other replies */
    desk_with_certificate(desk);
    struct str der = download(desk);
    assert_window(desk, der,
                  "{\"suggestedWindow\":{\"start\":\"2030-01-03T02:00:00Z\",\"end\":\"2030-01-03T12:00:00Z\"}}");
    /* However short, it does not end where it begins. */
    desk->profile.certs.renewal_to = 50;
    desk->profile.certs.renewal_explanation = STR("https://ca.test/why");
    assert_window(desk, der,
                  "{\"suggestedWindow\":{\"start\":\"2030-01-03T02:00:00Z\",\"end\":\"2030-01-03T02:00:01Z\"},"
                  "\"explanationURL\":\"https://ca.test/why\"}");
    let_pass(desk, 7200 * 1000);
    desk->profile.certs.renewal_explanation = STR("");
    revoke(desk, der, "");
    assert_revoked(desk);
    assert_window(desk, der,
                  "{\"suggestedWindow\":{\"start\":\"2030-01-01T01:00:00Z\",\"end\":\"2030-01-01T02:00:00Z\"}}");
    desk_free(desk);
}

static void order_replacing(struct desk *desk, struct str id)
{
    new_order(desk, str_fmt(&desk->bench->keep,
                            "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.test\"}],\"replaces\":\"%.*s\"}",
                            STR_ARGS(id))
                        .at);
}

/* An order that comes to nothing by itself gives the certificate free, too. */
static void test_replaced_again_after_expiry(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.order_lifetime_ms = 3600 * 1000;
    desk_with_certificate(desk);
    struct str id = renewal_path(desk, download(desk));
    order_replacing(desk, id);
    assert_true(str_eq(order_shown(desk).replaces, id));
    order_replacing(desk, id);
    assert_refused(desk, 409, "alreadyReplaced");
    let_pass(desk, 2 * 3600 * 1000);
    order_replacing(desk, id);
    assert_true(str_eq(order_shown(desk).replaces, id));
    assert_true(str_eq(read_order(desk).replaces, id));
    desk_free(desk);
}

static void test_certificate_is_out_when_it_is_issued(void **state)
{
    (void)state;
    struct desk *desk = desk_new("rfc8555");
    desk->profile.issue_delay_ms = 60 * 1000;
    desk_with_order(desk);
    make_ready(desk);
    finalize(desk);
    post(desk, at(desk, "/certificate/1"), "");
    assert_refused(desk, 404, "malformed");
    let_pass(desk, 61 * 1000);
    post(desk, at(desk, "/certificate/1"), "");
    assert_int_equal(reply_status(desk), 200);
    desk_free(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revoked_once),
        cmocka_unit_test(test_revocation_by_the_certificates_key),
        cmocka_unit_test(test_revocation_by_another_account),
        cmocka_unit_test(test_revocation_refused),
        cmocka_unit_test(test_status_needs_no_https),
        cmocka_unit_test(test_renewal_windows),
        cmocka_unit_test(test_replaced_again_after_expiry),
        cmocka_unit_test(test_certificate_is_out_when_it_is_issued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
