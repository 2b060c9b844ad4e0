#include "acme/x509_status.h"

#include "acme/x509_bench_test.h"

#include <openssl/ocsp.h>

#define LATER_MS (NOW_MS + 7 * DAY_MS)

static X509 *x509_of(struct str der)
{
    const unsigned char *at = (const unsigned char *)der.at;
    X509 *x509 = d2i_X509(NULL, &at, (long)der.n);
    assert_non_null(x509);
    return x509;
}

struct stage {
    struct issuer *issuer;
    X509 *intermediate, *leaf;
    struct str serial;
};

static struct stage *stage_new(enum sealing sealing)
{
    struct stage *stage = ARENA_NEW(&arena, struct stage);
    struct key *key = key_make(KEY_P256, sealing, &rng);
    struct csr csr = csr_for(key, two_names, 2);
    struct certificate_id id;
    struct str der;
    stage->issuer = issuer_new(sealing, &rng, NOW_MS);
    assert_int_equal(issuer_issue(stage->issuer, &arena, &csr, NOW_MS, LATER_MS, &rng, &der), OK);
    assert_int_equal(certificate_read(der, &id), OK);
    assert_int_equal(id.serial.n, 16);
    assert_str(id.spki, key_spki(key, &arena));
    stage->serial = id.serial;
    stage->leaf = x509_of(der);
    stage->intermediate = x509_of(issuer_intermediate_der(stage->issuer));
    csr_done(&csr);
    key_free(key);
    return stage;
}

static void stage_free(struct stage *stage)
{
    X509_free(stage->leaf);
    X509_free(stage->intermediate);
    issuer_free(stage->issuer);
    ERR_clear_error();
}

/* A request of OpenSSL's for the leaf `n` times; nonce_n 0: without a nonce. */
static struct str asked(struct stage *stage, const EVP_MD *md, X509 *issuer, int n, int nonce_n)
{
    OCSP_REQUEST *request = OCSP_REQUEST_new();
    for (int i = 0; i < n; i++)
        assert_non_null(OCSP_request_add0_id(request, OCSP_cert_to_id(md, stage->leaf, issuer)));
    if (nonce_n) assert_int_equal(OCSP_request_add1_nonce(request, NULL, nonce_n), 1);
    unsigned char *der = NULL;
    int length = i2d_OCSP_REQUEST(request, &der);
    OCSP_REQUEST_free(request);
    return taken(der, length);
}

static struct ocsp_request request_of(struct stage *stage, struct str der)
{
    struct ocsp_request request;
    assert_int_equal(ocsp_request_read(stage->issuer, &arena, der, &request), OK);
    return request;
}

static OCSP_RESPONSE *response_of(struct stage *stage, const struct ocsp_request *request,
                                  const struct certificate_status *statuses)
{
    struct str der;
    assert_int_equal(ocsp_response_write(stage->issuer, &arena, request, statuses, NOW_MS, LATER_MS, &der), OK);
    const unsigned char *at = (const unsigned char *)der.at;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der.n);
    assert_non_null(response);
    assert_ptr_equal(at, der.at + der.n);
    unsigned char *again = NULL;
    int n = i2d_OCSP_RESPONSE(response, &again);
    assert_str(taken(again, n), der);
    assert_int_equal(OCSP_response_status(response), OCSP_RESPONSE_STATUS_SUCCESSFUL);
    return response;
}

static void assert_time(const ASN1_GENERALIZEDTIME *got, int64_t want_ms)
{
    time_t want = (time_t)(want_ms / 1000);
    ASN1_TIME *time = ASN1_TIME_set(NULL, want);
    assert_int_equal(ASN1_TIME_compare(got, time), 0);
    assert_int_equal(ASN1_STRING_type(got), V_ASN1_GENERALIZEDTIME);
    ASN1_TIME_free(time);
}

static int verified(struct stage *stage, OCSP_BASICRESP *basic)
{
    STACK_OF(X509) *signers = sk_X509_new_null();
    X509_STORE *store = X509_STORE_new();
    sk_X509_push(signers, stage->intermediate);
    int good = OCSP_basic_verify(basic, signers, store, OCSP_TRUSTOTHER);
    X509_STORE_free(store);
    sk_X509_free(signers);
    ERR_clear_error();
    return good;
}

static void test_ocsp_is_openssls(void **state)
{
    (void)state;
    struct stage *stage = stage_new(SEALING_REAL);
    const struct certificate_status rows[] = {
        {.state = CERTIFICATE_GOOD   },
        {.state = CERTIFICATE_REVOKED, .revoked_ms = NOW_MS - DAY_MS, .reason = 1},
        {.state = CERTIFICATE_REVOKED,                 .revoked_ms = NOW_MS - DAY_MS, .reason = 0},
        {.state = CERTIFICATE_UNKNOWN},
    };
    const int wants[] = {V_OCSP_CERTSTATUS_GOOD, V_OCSP_CERTSTATUS_REVOKED, V_OCSP_CERTSTATUS_REVOKED,
                         V_OCSP_CERTSTATUS_UNKNOWN};
    const int reasons[] = {-1, OCSP_REVOKED_STATUS_KEYCOMPROMISE, -1, -1};
    for (size_t i = 0; i < 2 * COUNTOF(rows); i++) {
        size_t k = i / 2;
        const EVP_MD *md = i % 2 ? EVP_sha1() : EVP_sha256();
        struct ocsp_request request = request_of(stage, asked(stage, md, stage->intermediate, 1, 0));
        assert_int_equal(request.n, 1);
        assert_true(request.at[0].ours);
        assert_str(request.at[0].serial, stage->serial);
        OCSP_RESPONSE *response = response_of(stage, &request, &rows[k]);
        OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
        assert_int_equal(verified(stage, basic), 1);
        assert_int_equal(OCSP_resp_count(basic), 1);
        assert_time(OCSP_resp_get0_produced_at(basic), NOW_MS);
        OCSP_CERTID *id = OCSP_cert_to_id(md, stage->leaf, stage->intermediate);
        int status, reason = -1; /* OpenSSL sets it for the revoked only */
        ASN1_GENERALIZEDTIME *revoked, *from, *to;
        assert_int_equal(OCSP_resp_find_status(basic, id, &status, &reason, &revoked, &from, &to), 1);
        assert_int_equal(status, wants[k]);
        assert_int_equal(reason, reasons[k]);
        assert_time(from, NOW_MS);
        assert_time(to, LATER_MS);
        if (status == V_OCSP_CERTSTATUS_REVOKED) assert_time(revoked, NOW_MS - DAY_MS);
        OCSP_CERTID_free(id);
        OCSP_BASICRESP_free(basic);
        OCSP_RESPONSE_free(response);
    }
    stage_free(stage);
}

static void test_ocsp_nonce_and_many(void **state)
{
    (void)state;
    struct stage *stage = stage_new(SEALING_REAL);
    struct certificate_status statuses[OCSP_MAX_CERTIFICATES] = {{0}};
    struct str der = asked(stage, EVP_sha1(), stage->intermediate, OCSP_MAX_CERTIFICATES, 32);
    struct ocsp_request request = request_of(stage, der);
    assert_int_equal(request.n, OCSP_MAX_CERTIFICATES);
    OCSP_RESPONSE *response = response_of(stage, &request, statuses);
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
    const unsigned char *at = (const unsigned char *)der.at;
    OCSP_REQUEST *theirs = d2i_OCSP_REQUEST(NULL, &at, (long)der.n);
    assert_int_equal(OCSP_check_nonce(theirs, basic), 1);
    assert_int_equal(OCSP_resp_count(basic), OCSP_MAX_CERTIFICATES);
    OCSP_REQUEST_free(theirs);
    OCSP_BASICRESP_free(basic);
    OCSP_RESPONSE_free(response);
    stage_free(stage);
}

static void test_ocsp_requests_refused(void **state)
{
    (void)state;
    struct stage *stage = stage_new(SEALING_REAL);
    struct ocsp_request request;
    struct str der = asked(stage, EVP_sha1(), stage->intermediate, OCSP_MAX_CERTIFICATES + 1, 0);
    assert_int_equal(ocsp_request_read(stage->issuer, &arena, der, &request), ERR_LIMIT);
    der = asked(stage, EVP_sha1(), stage->intermediate, 1, 129);
    assert_int_equal(ocsp_request_read(stage->issuer, &arena, der, &request), ERR_LIMIT);
    /* By another issuer, or by a digest that we do not know: it is read, and not ours. */
    assert_false(request_of(stage, asked(stage, EVP_sha1(), stage->leaf, 1, 0)).at[0].ours);
    assert_false(request_of(stage, asked(stage, EVP_sha512(), stage->intermediate, 1, 0)).at[0].ours);

    der = asked(stage, EVP_sha256(), stage->intermediate, 1, 16);
    for (size_t i = 0; i < der.n; i++) {
        assert_int_equal(ocsp_request_read(stage->issuer, &arena, (struct str){der.at, i}, &request), ERR_MALFORMED);
        char *bent = arena_copy(&arena, der.at, der.n);
        for (int bit = 0; bit < 8; bit++) {
            bent[i] = (char)((unsigned char)der.at[i] ^ 1u << bit);
            enum err e = ocsp_request_read(stage->issuer, &arena, (struct str){bent, der.n}, &request);
            assert_true(e == OK || e == ERR_MALFORMED);
        }
    }
    struct str refusal = ocsp_malformed();
    const unsigned char *at = (const unsigned char *)refusal.at;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)refusal.n);
    assert_int_equal(OCSP_response_status(response), OCSP_RESPONSE_STATUS_MALFORMEDREQUEST);
    OCSP_RESPONSE_free(response);
    stage_free(stage);
}

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"AQID",       "\x01\x02\x03"},
        {"%41QI%44",   "\x01\x02\x03"},
        {"AQ==",       "\x01"        },
        {"AQ%3d%3D",   "\x01"        },
        {"AQ",         "\x01"        },
        {"+/+/",       "\xfb\xff\xbf"},
        {"%2B%2f%2b/", "\xfb\xff\xbf"},
        {"-_-_",       NULL          },
        {"AQ==AQID",   NULL          },
        {"AQ===",      NULL          },
        {"A",          NULL          },
        {"AQI%4",      NULL          },
        {"AQI%",       NULL          },
        {"AQI%4g",     NULL          },
        {"AQI%00",     NULL          },
        {"AQ ID",      NULL          },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct str der;
        enum err e = ocsp_path_read(&arena, str_c(rows[i].text), &der);
        assert_int_equal(e == OK, rows[i].want != NULL);
        if (!e) assert_str(der, str_c(rows[i].want));
    }
}

static X509_CRL *crl_of(struct stage *stage, const struct certificate_status *revoked, size_t n, int64_t now_ms)
{
    struct str der;
    assert_int_equal(crl_write(stage->issuer, &arena, revoked, n, now_ms, now_ms + DAY_MS, &der), OK);
    const unsigned char *at = (const unsigned char *)der.at;
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)der.n);
    assert_non_null(crl);
    assert_ptr_equal(at, der.at + der.n);
    EVP_PKEY *key = X509_get0_pubkey(stage->intermediate);
    assert_int_equal(X509_CRL_verify(crl, key), 1);
    assert_int_equal(X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(stage->intermediate)), 0);
    assert_int_equal(X509_CRL_get_version(crl), X509_CRL_VERSION_2);
    AUTHORITY_KEYID *id = X509_CRL_get_ext_d2i(crl, NID_authority_key_identifier, NULL, NULL);
    assert_int_equal(ASN1_OCTET_STRING_cmp(id->keyid, X509_get0_subject_key_id(stage->intermediate)), 0);
    AUTHORITY_KEYID_free(id);
    return crl;
}

static long number_of(X509_CRL *crl)
{
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    long value = ASN1_INTEGER_get(number);
    ASN1_INTEGER_free(number);
    return value;
}

static void test_crl_is_openssls(void **state)
{
    (void)state;
    struct stage *stage = stage_new(SEALING_REAL);
    const struct certificate_status revoked[] = {
        {.state = CERTIFICATE_REVOKED, .serial = STR("\x81"),   .revoked_ms = NOW_MS,          .reason = 0},
        {.state = CERTIFICATE_REVOKED, .serial = stage->serial, .revoked_ms = NOW_MS - DAY_MS, .reason = 4},
    };
    X509_CRL *empty = crl_of(stage, NULL, 0, NOW_MS), *full = crl_of(stage, revoked, 2, NOW_MS + 1000);
    X509_REVOKED *entry;
    assert_int_equal(X509_CRL_get0_by_cert(empty, &entry, stage->leaf), 0);
    assert_null(X509_CRL_get_REVOKED(empty));
    assert_true(number_of(empty) < number_of(full));
    assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(full)), 2);
    assert_int_equal(X509_CRL_get0_by_cert(full, &entry, stage->leaf), 1);
    ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, NULL, NULL);
    assert_int_equal(ASN1_ENUMERATED_get(reason), 4);
    ASN1_ENUMERATED_free(reason);
    entry = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(full), 0);
    if (ASN1_INTEGER_get(X509_REVOKED_get0_serialNumber(entry)) != 0x81)
        entry = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(full), 1);
    assert_int_equal(ASN1_INTEGER_get(X509_REVOKED_get0_serialNumber(entry)), 0x81);
    assert_int_equal(X509_REVOKED_get_ext_count(entry), 0);
    X509_CRL_free(empty);
    X509_CRL_free(full);
    stage_free(stage);
}

static struct str first_url(const STACK_OF(GENERAL_NAME) * names)
{
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, 0);
    assert_int_equal(name->type, GEN_URI);
    const ASN1_STRING *url = name->d.uniformResourceIdentifier;
    return str_copy(&arena, (struct str){(const char *)ASN1_STRING_get0_data(url), (size_t)ASN1_STRING_length(url)});
}

static void test_urls_in_leaves(void **state)
{
    (void)state;
    struct stage *stage = stage_new(SEALING_REAL);
    assert_int_equal(X509_get_ext_by_NID(stage->leaf, NID_info_access, -1), -1);
    assert_int_equal(X509_get_ext_by_NID(stage->leaf, NID_crl_distribution_points, -1), -1);
    issuer_set_urls(stage->issuer, &(struct issuer_urls){STR("http://ca.test/ocsp"), STR("http://ca.test/crl"),
                                                         STR("http://ca.test/ca")});
    struct key *key = key_of(KEY_P256);
    struct csr csr = csr_for(key, two_names, 2);
    struct str der;
    assert_int_equal(issuer_issue(stage->issuer, &arena, &csr, NOW_MS, LATER_MS, &rng, &der), OK);
    X509 *leaf = x509_of(der);
    STACK_OF(OPENSSL_STRING) *ocsp = X509_get1_ocsp(leaf);
    assert_int_equal(sk_OPENSSL_STRING_num(ocsp), 1);
    assert_string_equal(sk_OPENSSL_STRING_value(ocsp, 0), "http://ca.test/ocsp");
    X509_email_free(ocsp);
    AUTHORITY_INFO_ACCESS *access = X509_get_ext_d2i(leaf, NID_info_access, NULL, NULL);
    assert_int_equal(sk_ACCESS_DESCRIPTION_num(access), 2);
    const ACCESS_DESCRIPTION *second = sk_ACCESS_DESCRIPTION_value(access, 1);
    assert_int_equal(OBJ_obj2nid(second->method), NID_ad_ca_issuers);
    AUTHORITY_INFO_ACCESS_free(access);
    CRL_DIST_POINTS *points = X509_get_ext_d2i(leaf, NID_crl_distribution_points, NULL, NULL);
    assert_int_equal(sk_DIST_POINT_num(points), 1);
    assert_str(first_url(sk_DIST_POINT_value(points, 0)->distpoint->name.fullname), STR("http://ca.test/crl"));
    CRL_DIST_POINTS_free(points);
    X509_free(leaf);
    csr_done(&csr);
    key_free(key);
    stage_free(stage);
}

static void test_symbolic_status(void **state)
{
    (void)state;
    struct str bytes[2][2];
    for (int i = 0; i < 2; i++) {
        rng_seed(&rng, 1);
        struct stage *stage = stage_new(SEALING_SYMBOLIC);
        struct certificate_status status = {
            .state = CERTIFICATE_REVOKED, .serial = stage->serial, .revoked_ms = NOW_MS};
        struct ocsp_request request = request_of(stage, asked(stage, EVP_sha1(), stage->intermediate, 1, 0));
        assert_true(request.at[0].ours);
        assert_int_equal(ocsp_response_write(stage->issuer, &arena, &request, &status, NOW_MS, LATER_MS, &bytes[i][0]),
                         OK);
        assert_int_equal(crl_write(stage->issuer, &arena, &status, 1, NOW_MS, LATER_MS, &bytes[i][1]), OK);
        stage_free(stage);
    }
    assert_str(bytes[0][0], bytes[1][0]);
    assert_str(bytes[0][1], bytes[1][1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ocsp_is_openssls), TEST(test_ocsp_nonce_and_many), TEST(test_ocsp_requests_refused), TEST(test_paths),
        TEST(test_crl_is_openssls),  TEST(test_urls_in_leaves),      TEST(test_symbolic_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
