#include "acme/x509_bench_test.h"

/* --- CSR ----- */
static void test_csr_is_openssls(void **state)
{
    (void)state;
    for (enum key_kind kind = 0; kind <= KEY_RSA; kind++) {
        struct key *key = key_of(kind);
        EVP_PKEY *pkey = pkey_of(key);
        struct str der;
        assert_int_equal(csr_write(&arena, key, two_names, 2, &der), OK);
        const unsigned char *at = (const unsigned char *)der.at;
        X509_REQ *ours = d2i_X509_REQ(NULL, &at, (long)der.n);
        X509_REQ *theirs = openssl_csr(pkey, NULL, "DNS:www.example.test,DNS:*.example.test");
        assert_non_null(ours);
        assert_ptr_equal(at, der.at + der.n);
        assert_int_equal(X509_REQ_verify(ours, pkey), 1);
        unsigned char *info[2] = {NULL, NULL};
        int n = i2d_re_X509_REQ_tbs(theirs, &info[0]);
        struct str want = taken(info[0], n), whole, body;
        struct der_element got;
        whole = der;
        assert_true(der_take(&whole, DER_SEQUENCE, &body));
        assert_true(der_next(&body, &got));
        assert_str(got.whole, want);
        n = i2d_re_X509_REQ_tbs(ours, &info[1]);
        assert_str(taken(info[1], n), want);
        X509_REQ_free(theirs);
        X509_REQ_free(ours);
        EVP_PKEY_free(pkey);

        struct csr csr = csr_for(key, two_names, 2);
        assert_str(joined(csr.names, csr.n_names), STR("*.example.test www.example.test"));
        assert_true(key_same(csr.key, key));
        csr_done(&csr);
        assert_null(csr.key);
        csr_done(&csr);
        key_free(key);
    }
}

static void test_csr_write_refuses(void **state)
{
    (void)state;
    struct key *key = key_of(KEY_P256), *public = NULL;
    struct str der = {0}, many[CSR_MAX_NAMES + 1];
    struct str bad[] = {STR(""), STR("a b"), STR("a\n"), STR("\xc3\xa4.test")};
    for (size_t i = 0; i < COUNTOF(many); i++)
        many[i] = STR("a.test");
    assert_int_equal(csr_write(&arena, key, many, 0, &der), ERR_REFUSED);
    assert_int_equal(csr_write(&arena, key, many, COUNTOF(many), &der), ERR_LIMIT);
    for (size_t i = 0; i < COUNTOF(bad); i++)
        assert_int_equal(csr_write(&arena, key, &bad[i], 1, &der), ERR_REFUSED);
    assert_int_equal(key_from_spki(key_spki(key, &arena), SEALING_REAL, &public), OK);
    assert_int_equal(csr_write(&arena, public, many, 1, &der), ERR_REFUSED);
    assert_null(der.at);
    key_free(public);
    key_free(key);
}

/* --- certificates ------------------------------------------------------------------------------------------------ */
static STACK_OF(X509) * certificates(struct str pem)
{
    STACK_OF(X509) *stack = sk_X509_new_null();
    BIO *bio = BIO_new_mem_buf(pem.at, (int)pem.n);
    X509 *x509;
    while ((x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
        sk_X509_push(stack, x509);
    BIO_free(bio);
    ERR_clear_error(); /* to OpenSSL the end of the text is an error */
    return stack;
}

static void octets_16_positive(const ASN1_INTEGER *serial)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(serial, NULL);
    assert_int_equal(BN_num_bytes(number), 16);
    assert_int_equal(BN_num_bits(number), 127);
    assert_false(BN_is_negative(number));
    BN_free(number);
}

static ASN1_OCTET_STRING *id_of(const X509 *x509)
{
    const ASN1_BIT_STRING *bits = X509_get0_pubkey_bitstr(x509);
    struct str digest = sha256(&arena, (struct str){(const char *)bits->data, (size_t)bits->length});
    ASN1_OCTET_STRING *id = ASN1_OCTET_STRING_new();
    ASN1_OCTET_STRING_set(id, (const unsigned char *)digest.at, 20);
    return id;
}

struct wish {
    int nid;
    const char *value; /* as in openssl.cnf; NULL: key identifiers, from the key */
};

static void add_wish(X509 *x509, const X509 *by, const struct wish *wish)
{
    if (wish->nid == NID_subject_key_identifier) {
        ASN1_OCTET_STRING *id = id_of(x509);
        assert_int_equal(X509_add1_ext_i2d(x509, wish->nid, id, 0, 0), 1);
        ASN1_OCTET_STRING_free(id);
    } else if (wish->nid == NID_authority_key_identifier) {
        AUTHORITY_KEYID *id = AUTHORITY_KEYID_new();
        id->keyid = id_of(by);
        assert_int_equal(X509_add1_ext_i2d(x509, wish->nid, id, 0, 0), 1);
        AUTHORITY_KEYID_free(id);
    } else {
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, wish->nid, wish->value);
        assert_non_null(extension);
        assert_int_equal(X509_add_ext(x509, extension, -1), 1);
        X509_EXTENSION_free(extension);
    }
}

/* Has OpenSSL make a certificate of the same wishes, and compares what is to be signed, octet by octet. Of ours it
 * takes the serial, the issuer's name and the key. */
static void assert_certificate(X509 *ours, X509 *by, EVP_PKEY *pkey, X509_NAME *subject, const char *not_before,
                               const char *not_after, const struct wish *wishes)
{
    X509 *theirs = X509_new();
    assert_int_equal(X509_set_version(theirs, X509_VERSION_3), 1);
    octets_16_positive(X509_get0_serialNumber(ours));
    assert_int_equal(X509_set_serialNumber(theirs, X509_get_serialNumber(ours)), 1);
    assert_int_equal(X509_set_issuer_name(theirs, X509_get_subject_name(by)), 1);
    assert_int_equal(X509_set_subject_name(theirs, subject), 1);
    assert_int_equal(ASN1_TIME_set_string_X509(X509_getm_notBefore(theirs), not_before), 1);
    assert_int_equal(ASN1_TIME_set_string_X509(X509_getm_notAfter(theirs), not_after), 1);
    assert_int_equal(X509_set_pubkey(theirs, pkey), 1);
    for (const struct wish *wish = wishes; wish->nid; wish++)
        add_wish(theirs, by, wish);
    /* The algorithm is inside what is signed. */
    EVP_PKEY *any = EVP_EC_gen("P-256");
    assert_true(X509_sign(theirs, any, EVP_sha256()) > 0);
    unsigned char *der = NULL;
    int n = i2d_re_X509_tbs(theirs, &der);
    struct str want = taken(der, n), whole, body;
    der = NULL;
    n = i2d_X509(ours, &der);
    whole = taken(der, n);
    struct der_element tbs;
    assert_true(der_only(whole, DER_SEQUENCE, &body));
    assert_true(der_next(&body, &tbs));
    assert_str(tbs.whole, want);
    EVP_PKEY_free(any);
    X509_free(theirs);
}

static X509_NAME *name_of(const char *organization, const char *cn)
{
    X509_NAME *name = X509_NAME_new();
    const struct {
        int nid;
        const char *text;
    } parts[] = {
        {NID_organizationName, organization},
        {NID_commonName,       cn          }
    };
    for (size_t i = 0; i < COUNTOF(parts); i++)
        if (parts[i].text)
            assert_int_equal(X509_NAME_add_entry_by_NID(name, parts[i].nid, V_ASN1_UTF8STRING,
                                                        (const unsigned char *)parts[i].text, -1, -1, 0),
                             1);
    return name;
}

/* The whole chain, as strictly as OpenSSL can, at a given time. */
static int verify_chain(struct str chain_pem, struct str root_pem, int64_t at_ms)
{
    STACK_OF(X509) *chain = certificates(chain_pem), *roots = certificates(root_pem);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    assert_int_equal(sk_X509_num(chain), 2);
    assert_int_equal(sk_X509_num(roots), 1);
    assert_int_equal(X509_STORE_add_cert(store, sk_X509_value(roots, 0)), 1);
    assert_int_equal(X509_STORE_CTX_init(ctx, store, sk_X509_value(chain, 0), chain), 1);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    X509_VERIFY_PARAM_set_time(param, (time_t)(at_ms / 1000));
    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_SERVER);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
    int status = X509_verify_cert(ctx) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(ctx);
    if (status == X509_V_OK) assert_int_equal(sk_X509_num(X509_STORE_CTX_get0_chain(ctx)), 3);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    sk_X509_pop_free(chain, X509_free);
    sk_X509_pop_free(roots, X509_free);
    ERR_clear_error();
    return status;
}

static void test_authorities_are_openssls(void **state)
{
    (void)state;
    struct issuer *issuer = issuer_new(SEALING_REAL, &rng, NOW_MS);
    STACK_OF(X509) *roots = certificates(issuer_root_pem(issuer));
    STACK_OF(X509) *intermediates = certificates(issuer_chain_pem(issuer, 0));
    assert_int_equal(sk_X509_num(roots), 1);
    assert_int_equal(sk_X509_num(intermediates), 1);
    X509 *authorities[] = {sk_X509_value(roots, 0), sk_X509_value(intermediates, 0)}, *root = authorities[0];
    static const char *const constraints[] = {"critical,CA:TRUE", "critical,CA:TRUE,pathlen:0"};
    static const char *const whats[] = {"root", "intermediate"};
    for (size_t i = 0; i < 2; i++) {
        const struct wish wishes[] = {
            {NID_basic_constraints,        constraints[i]                },
            {NID_key_usage,                "critical,keyCertSign,cRLSign"},
            {NID_subject_key_identifier,   NULL                          },
            {NID_authority_key_identifier, NULL                          },
            {0,                            NULL                          },
        };
        ASN1_OCTET_STRING *id = id_of(authorities[i]);
        const unsigned char *octets = ASN1_STRING_get0_data(id);
        struct str cn = str_fmt(&arena, "acmedrill %s %02x%02x%02x", whats[i], octets[0], octets[1], octets[2]);
        X509_NAME *subject = name_of("acmedrill", cn.at);
        assert_certificate(authorities[i], root, X509_get0_pubkey(authorities[i]), subject, "200101000000Z",
                           "20600101000000Z", wishes);
        assert_int_equal(X509_verify(authorities[i], X509_get0_pubkey(root)), 1);
        X509_NAME_free(subject);
        ASN1_OCTET_STRING_free(id);
    }
    sk_X509_pop_free(roots, X509_free);
    sk_X509_pop_free(intermediates, X509_free);
    issuer_free(issuer);
    issuer_free(NULL);
}

static void test_leaves_are_openssls(void **state)
{
    (void)state;
    struct issuer *issuer = issuer_new(SEALING_REAL, &rng, NOW_MS);
    for (enum key_kind kind = 0; kind <= KEY_RSA; kind++) {
        struct key *key = key_of(kind);
        EVP_PKEY *pkey = pkey_of(key);
        struct csr csr = csr_for(key, two_names, 2);
        struct str pem;
        /* From a UTCTime to a GeneralizedTime; parts of a second are dropped. */
        assert_int_equal(issue_chain(issuer, &csr, NOW_MS + 12345, NOW_MS + 7305 * DAY_MS, &pem), OK);
        assert_true(str_ends(pem, issuer_chain_pem(issuer, 0).at));
        assert_int_equal(pem.at[pem.n], 0);
        const struct wish wishes[] = {
            {NID_key_usage,
             kind == KEY_RSA ? "critical,digitalSignature,keyEncipherment" : "critical,digitalSignature"},
            {NID_ext_key_usage,            "serverAuth"                                                 },
            {NID_basic_constraints,        "critical,CA:FALSE"                                          },
            {NID_subject_key_identifier,   NULL                                                         },
            {NID_authority_key_identifier, NULL                                                         },
            {NID_subject_alt_name,         "DNS:*.example.test,DNS:www.example.test"                    },
            {0,                            NULL                                                         },
        };
        STACK_OF(X509) *chain = certificates(pem);
        X509_NAME *subject = name_of(NULL, "*.example.test");
        assert_int_equal(sk_X509_num(chain), 2);
        X509 *leaf = sk_X509_value(chain, 0);
        assert_certificate(leaf, sk_X509_value(chain, 1), pkey, subject, "300101000012Z", "20500101000000Z", wishes);
        assert_int_equal(X509_check_host(leaf, "www.example.test", 0, 0, NULL), 1);
        assert_int_equal(X509_check_host(leaf, "b.example.test", 0, 0, NULL), 1);
        assert_int_equal(X509_check_host(leaf, "example.test", 0, 0, NULL), 0);
        assert_int_equal(X509_check_host(leaf, "a.b.example.test", 0, 0, NULL), 0);
        assert_int_equal(verify_chain(pem, issuer_root_pem(issuer), NOW_MS + DAY_MS), X509_V_OK);
        assert_int_equal(verify_chain(pem, issuer_root_pem(issuer), NOW_MS), X509_V_ERR_CERT_NOT_YET_VALID);
        assert_int_equal(verify_chain(pem, issuer_root_pem(issuer), NOW_MS + 7306 * DAY_MS),
                         X509_V_ERR_CERT_HAS_EXPIRED);
        X509_NAME_free(subject);
        sk_X509_pop_free(chain, X509_free);
        EVP_PKEY_free(pkey);
        csr_done(&csr);
        key_free(key);
    }
    issuer_free(issuer);
}

/* Another root is no anchor, and one bit of the leaf is enough. */
static void test_chain_of_another_root(void **state)
{
    (void)state;
    struct issuer *issuer = issuer_new(SEALING_REAL, &rng, NOW_MS), *other = issuer_new(SEALING_REAL, &rng, NOW_MS);
    struct key *key = key_of(KEY_P256);
    struct csr csr = csr_for(key, two_names, 2);
    struct str pem;
    assert_int_equal(issue_chain(issuer, &csr, NOW_MS, NOW_MS + DAY_MS, &pem), OK);
    assert_int_equal(verify_chain(pem, issuer_root_pem(issuer), NOW_MS), X509_V_OK);
    assert_int_not_equal(verify_chain(pem, issuer_root_pem(other), NOW_MS), X509_V_OK);
    csr_done(&csr);
    key_free(key);
    issuer_free(other);
    issuer_free(issuer);
}

/* RFC 5280 section 4.2.1.6: a common name holds 64 characters; with no subject the names are critical. */
static void test_long_names_stand_in_no_subject(void **state)
{
    (void)state;
    struct issuer *issuer = issuer_new(SEALING_REAL, &rng, NOW_MS);
    struct key *key = key_of(KEY_P256);
    struct str lengths[] = {
        STR("a234567890123456789012345678901234567890123456789.01234567890.test"),
        STR("a23456789012345678901234567890123456789012345678.0123456789.test"),
    };
    assert_int_equal(lengths[1].n, 64);
    for (size_t i = 0; i < COUNTOF(lengths); i++) {
        struct csr csr = csr_for(key, &lengths[i], 1);
        struct str pem;
        assert_int_equal(issue_chain(issuer, &csr, NOW_MS, NOW_MS + DAY_MS, &pem), OK);
        STACK_OF(X509) *chain = certificates(pem);
        X509 *leaf = sk_X509_value(chain, 0);
        int critical;
        GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, NULL);
        assert_int_equal(sk_GENERAL_NAME_num(names), 1);
        assert_int_equal(critical, i == 0);
        assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(leaf)), i);
        assert_int_equal(verify_chain(pem, issuer_root_pem(issuer), NOW_MS), X509_V_OK);
        GENERAL_NAMES_free(names);
        sk_X509_pop_free(chain, X509_free);
        csr_done(&csr);
    }
    key_free(key);
    issuer_free(issuer);
}

/* Each chain leads to its own root and to no other, by way of the same issuer. */
/* RFC 9773 section 4.1: the identifier by which a leaf's renewal information is asked. */
static void test_renewal_ids(void **state)
{
    (void)state;
    struct issuer *issuer = issuer_new(SEALING_REAL, &rng, NOW_MS);
    struct key *key = key_of(KEY_P256);
    struct csr csr = csr_for(key, two_names, 2);
    struct certificate_id certificate;
    struct str der, back, id;
    assert_int_equal(issuer_issue(issuer, &arena, &csr, NOW_MS, NOW_MS + DAY_MS, &rng, &der), OK);
    struct str pem = str_fmt(&arena, "text before\n%.*s%.*s", STR_ARGS(certificate_pem(&arena, der)),
                             STR_ARGS(issuer_chain_pem(issuer, 0)));
    assert_int_equal(certificate_from_pem(&arena, pem, &back), OK);
    assert_str(back, der);
    assert_int_equal(certificate_from_pem(&arena, STR("-----BEGIN CERTIFICATE-----\nAAAA\n"), &back), ERR_MALFORMED);
    assert_int_equal(certificate_read(der, &certificate), OK);
    assert_int_equal(certificate_renewal_id(&arena, der, &id), OK);
    assert_true(str_starts(id, base64url(&arena, issuer_key_id(issuer)).at));
    assert_true(str_ends(id, base64url(&arena, certificate.serial).at));
    assert_int_equal(certificate_renewal_id(&arena, STR("no DER"), &id), ERR_MALFORMED);
    csr_done(&csr);
    key_free(key);
    issuer_free(issuer);
}

static void test_alternate_chains(void **state)
{
    (void)state;
    for (size_t length = 1; length <= 3; length++) {
        struct issuer *issuer =
            issuer_new_shaped(SEALING_REAL, &rng, NOW_MS, &(struct issuer_shape){.n_alternates = 2, .length = length});
        struct key *key = key_of(KEY_P256);
        struct csr csr = csr_for(key, two_names, 2);
        struct str der;
        STACK_OF(X509) *roots = certificates(issuer_root_pem(issuer));
        assert_int_equal(sk_X509_num(roots), 3);
        assert_int_equal(issuer_issue(issuer, &arena, &csr, NOW_MS, NOW_MS + DAY_MS, &rng, &der), OK);
        assert_null(issuer_chain_pem(issuer, 3).at);
        for (int i = 0; i < 9; i++) {
            struct str above = issuer_chain_pem(issuer, (size_t)i / 3);
            STACK_OF(X509) *chain =
                certificates(str_fmt(&arena, "%.*s%.*s", STR_ARGS(certificate_pem(&arena, der)), STR_ARGS(above)));
            X509 *root = sk_X509_value(roots, i % 3);
            assert_int_equal(sk_X509_num(chain), (int)length + 1);
            for (int k = 0; k < (int)length; k++) /* in this order */
                assert_int_equal(X509_check_issued(sk_X509_value(chain, k + 1), sk_X509_value(chain, k)), X509_V_OK);
            X509_STORE *store = X509_STORE_new();
            X509_STORE_CTX *ctx = X509_STORE_CTX_new();
            assert_int_equal(X509_STORE_add_cert(store, root), 1);
            assert_int_equal(X509_STORE_CTX_init(ctx, store, sk_X509_value(chain, 0), chain), 1);
            X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), (time_t)(NOW_MS / 1000));
            X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT);
            assert_int_equal(X509_verify_cert(ctx) == 1, i / 3 == i % 3);
            X509_STORE_CTX_free(ctx);
            X509_STORE_free(store);
            sk_X509_pop_free(chain, X509_free);
        }
        sk_X509_pop_free(roots, X509_free);
        csr_done(&csr);
        key_free(key);
        issuer_free(issuer);
    }
    ERR_clear_error();
}

static void test_server_certificates(void **state)
{
    (void)state;
    struct issuer *issuer = issuer_new(SEALING_REAL, &rng, NOW_MS);
    struct key *key = key_of(KEY_P256);
    EVP_PKEY *pkey = pkey_of(key);
    struct str names[] = {STR("127.0.0.1"), STR("localhost"), STR("::1"), STR("ca.test")}, pem;
    assert_int_equal(issuer_issue_server(issuer, &arena, key, names, 4, NOW_MS, &rng, &pem), OK);
    STACK_OF(X509) *chain = certificates(pem);
    const struct wish wishes[] = {
        {NID_key_usage,                "critical,digitalSignature"                    },
        {NID_ext_key_usage,            "serverAuth"                                   },
        {NID_basic_constraints,        "critical,CA:FALSE"                            },
        {NID_subject_key_identifier,   NULL                                           },
        {NID_authority_key_identifier, NULL                                           },
        {NID_subject_alt_name,         "IP:127.0.0.1,DNS:localhost,IP:::1,DNS:ca.test"},
        {0,                            NULL                                           },
    };
    X509_NAME *subject = name_of(NULL, "localhost");
    X509 *leaf = sk_X509_value(chain, 0);
    assert_certificate(leaf, sk_X509_value(chain, 1), pkey, subject, "291231000000Z", "310202000000Z", wishes);
    assert_int_equal(X509_check_ip_asc(leaf, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(leaf, "0:0:0:0:0:0:0:1", 0), 1);
    assert_int_equal(X509_check_ip_asc(leaf, "127.0.0.2", 0), 0);
    assert_int_equal(X509_check_host(leaf, "localhost", 0, 0, NULL), 1);
    assert_int_equal(verify_chain(pem, issuer_root_pem(issuer), NOW_MS), X509_V_OK);
    X509_NAME_free(subject);
    sk_X509_pop_free(chain, X509_free);

    /* An address alone: no subject. The same by way of a CSR. */
    assert_int_equal(issuer_issue_server(issuer, &arena, key, names, 1, NOW_MS, &rng, &pem), OK);
    chain = certificates(pem);
    assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(sk_X509_value(chain, 0))), 0);
    assert_int_equal(X509_check_ip_asc(sk_X509_value(chain, 0), "127.0.0.1", 0), 1);
    sk_X509_pop_free(chain, X509_free);
    struct csr csr = csr_for(key, names, 1);
    assert_int_equal(issue_chain(issuer, &csr, NOW_MS, NOW_MS, &pem), OK);
    chain = certificates(pem);
    assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(sk_X509_value(chain, 0))), 0);
    assert_int_equal(X509_check_ip_asc(sk_X509_value(chain, 0), "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_host(sk_X509_value(chain, 0), "127.0.0.1", 0, 0, NULL), 0);
    sk_X509_pop_free(chain, X509_free);
    csr_done(&csr);

    struct str bad = STR("local host");
    assert_int_equal(issuer_issue_server(issuer, &arena, key, names, 0, NOW_MS, &rng, &pem), ERR_REFUSED);
    assert_int_equal(issuer_issue_server(issuer, &arena, key, &bad, 1, NOW_MS, &rng, &pem), ERR_REFUSED);
    EVP_PKEY_free(pkey);
    key_free(key);
    issuer_free(issuer);
}

static void test_issue_refuses_times(void **state)
{
    (void)state;
    struct issuer *issuer = issuer_new(SEALING_SYMBOLIC, &rng, NOW_MS);
    struct key *key = key_make(KEY_P256, SEALING_SYMBOLIC, &rng);
    struct csr csr = csr_for(key, two_names, 2);
    static const struct {
        int64_t not_before_ms, not_after_ms;
        enum err err;
    } rows[] = {
        {NOW_MS,                 NOW_MS,                   OK         },
        {NOW_MS,                 NOW_MS - 1,               ERR_REFUSED},
        {INT64_C(-631152000000), NOW_MS,                   OK         },
        {INT64_C(-631152000001), NOW_MS,                   ERR_REFUSED},
        {NOW_MS,                 INT64_C(253402300799999), OK         },
        {NOW_MS,                 INT64_C(253402300800000), ERR_REFUSED},
        {INT64_MIN,              INT64_MAX,                ERR_REFUSED},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct str pem = {0};
        assert_int_equal(issue_chain(issuer, &csr, rows[i].not_before_ms, rows[i].not_after_ms, &pem), rows[i].err);
        assert_int_equal(pem.at != NULL, rows[i].err == OK);
    }
    csr_done(&csr);
    key_free(key);
    issuer_free(issuer);
}

static void test_same_seed_same_bytes(void **state)
{
    (void)state;
    for (int sealing = SEALING_REAL; sealing <= SEALING_SYMBOLIC; sealing++) {
        struct str texts[2][3];
        for (size_t i = 0; i < 2; i++) {
            rng_seed(&rng, 1);
            struct issuer *issuer = issuer_new((enum sealing)sealing, &rng, NOW_MS);
            struct key *key = key_make(KEY_P256, (enum sealing)sealing, &rng);
            struct csr csr = csr_for(key, two_names, 2);
            texts[i][0] = str_copy(&arena, issuer_root_pem(issuer));
            texts[i][1] = str_copy(&arena, issuer_chain_pem(issuer, 0));
            assert_int_equal(issue_chain(issuer, &csr, NOW_MS, NOW_MS + DAY_MS, &texts[i][2]), OK);
            csr_done(&csr);
            key_free(key);
            issuer_free(issuer);
        }
        for (size_t k = 0; k < 3; k++)
            assert_str(texts[0][k], texts[1][k]);
    }
}

/* Nothing but arithmetic tells a symbolic certificate from a real one; its signature is a hash. */
static void test_symbolic_certificates(void **state)
{
    (void)state;
    struct issuer *issuer = issuer_new(SEALING_SYMBOLIC, &rng, NOW_MS);
    struct key *key = key_make(KEY_P256, SEALING_SYMBOLIC, &rng), *by = NULL;
    struct csr csr = csr_for(key, two_names, 2), real = {0};
    struct str pem, der, body, bits;
    struct problem problem = {0};
    struct chain_facts facts;
    assert_int_equal(issue_chain(issuer, &csr, NOW_MS, NOW_MS + DAY_MS, &pem), OK);
    STACK_OF(X509) *chain = certificates(pem);
    assert_int_equal(sk_X509_num(chain), 2);
    assert_int_equal(X509_check_host(sk_X509_value(chain, 0), "www.example.test", 0, 0, NULL), 1);
    unsigned char *at = NULL;
    int n = i2d_X509(sk_X509_value(chain, 0), &at);
    der = taken(at, n);
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();

    assert_int_equal(chain_read(&arena, issuer_chain_pem(issuer, 0), &facts), OK);
    assert_int_equal(key_from_spki(facts.spki, SEALING_SYMBOLIC, &by), OK);
    struct der_element tbs, algorithm;
    assert_true(der_only(der, DER_SEQUENCE, &body));
    assert_true(der_next(&body, &tbs));
    assert_true(der_next(&body, &algorithm));
    assert_true(der_take_bits(&body, &bits));
    assert_true(key_verify_der(by, tbs.whole, bits));
    key_free(by);

    assert_int_equal(csr_write(&arena, key, two_names, 2, &der), OK);
    assert_int_equal(csr_read(&arena, der, SEALING_REAL, &real, &problem), ERR_REFUSED);
    assert_str(problem.type, STR("badCSR"));
    struct key *ed25519 = key_of(KEY_ED25519);
    assert_int_equal(csr_write(&arena, ed25519, two_names, 2, &der), OK);
    assert_int_equal(csr_read(&arena, der, SEALING_SYMBOLIC, &real, &problem), ERR_REFUSED);
    assert_str(problem.type, STR("badCSR"));
    key_free(ed25519);
    csr_done(&csr);
    key_free(key);
    issuer_free(issuer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_csr_is_openssls),       TEST(test_csr_write_refuses),     TEST(test_authorities_are_openssls),
        TEST(test_leaves_are_openssls),   TEST(test_chain_of_another_root), TEST(test_long_names_stand_in_no_subject),
        TEST(test_server_certificates),   TEST(test_issue_refuses_times),   TEST(test_same_seed_same_bytes),
        TEST(test_symbolic_certificates), TEST(test_alternate_chains),      TEST(test_renewal_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
