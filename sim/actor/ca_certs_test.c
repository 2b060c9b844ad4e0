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
    desk->profile.certificates.revocation_reasons = 1u << 1 | 1u << 4;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revoked_once),
        cmocka_unit_test(test_revocation_by_the_certificates_key),
        cmocka_unit_test(test_revocation_by_another_account),
        cmocka_unit_test(test_revocation_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
