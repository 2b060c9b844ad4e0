#include "acme/x509_bench_test.h"

static EVP_PKEY *pkey_from_file(const char *name)
{
    BIO *bio = BIO_new_file(str_fmt(&arena, "%s/fixtures/keys/%s", DRILL_SOURCE_DIR, name).at, "r");
    assert_non_null(bio);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(pkey);
    return pkey;
}

/* --- CSR ----------------------------------------------------------------------------------------------------- */
static void test_csr_of_others_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *pem, *digest, *cn, *san;
        const char *names; /* or what the refusal says */
        const char *type;  /* NULL: not refused */
    } rows[] = {
        {"p384.pem",    "SHA384", "a.test",        NULL,                                  "a.test",                  NULL    },
        {"p384.pem",    "SHA256", "B.Test",        "DNS:a.TEST,DNS:b.test,DNS:a.test",    "a.test b.test",           NULL    },
        {"p384.pem",    "SHA512", NULL,            "DNS:z.test,DNS:*.z.test",             "*.z.test z.test",         NULL    },
        {"rsa2048.pem", "SHA256", "a.test",        "DNS:a.test",                          "a.test",                  NULL    },
        {"rsa2048.pem", "SHA384", NULL,            "DNS:a.test",                          "a.test",                  NULL    },
        {"rsa2048.pem", "SHA512", NULL,            "DNS:a.test",                          "a.test",                  NULL    },
        {"ed25519.pem", NULL,     NULL,            "DNS:ab.test,DNS:a.test,DNS:abc.test", "a.test ab.test abc.test", NULL    },
        {"rsa2048.pem", "SHA1",   NULL,            "DNS:a.test",                          "signature",               "badCSR"},
        {"p384.pem",    "SHA224", NULL,            "DNS:a.test",                          "signature",               "badCSR"},
        {"rsa1024.pem", "SHA256", NULL,            "DNS:a.test",                          "RSA of 2048",             "badCSR"},
        {"p521.pem",    "SHA512", NULL,            "DNS:a.test",                          "must be P-256",           "badCSR"},
        {"p384.pem",    "SHA384", NULL,            NULL,                                  "names no domain",         "badCSR"},
        {"p384.pem",    "SHA384", "a test",        NULL,                                  "common name",             "badCSR"},
        {"p384.pem",    "SHA384", "\xc3\xa4.test", NULL,                                  "common name",             "badCSR"},
        {"p384.pem",    "SHA384", NULL,            "DNS:a.test,IP:127.0.0.1",             "127.0.0.1 a.test",        NULL    },
        {"p384.pem",    "SHA384", "127.0.0.1",     "IP:127.0.0.1,IP:2001:DB8:0:0::1",     "127.0.0.1 2001:db8::1",   NULL    },
        {"p384.pem",    "SHA384", NULL,            "DNS:127.0.0.1",                       "something else than dns", "badCSR"},
        {"p384.pem",    "SHA384", NULL,            "DNS:a.test,DNS:0::1",                 "something else than dns", "badCSR"},
        {"p384.pem",    "SHA384", NULL,            "DNS:a.test,URI:http://a.test/",       "something else than dns", "badCSR"},
        {"p384.pem",    "SHA384", NULL,            "email:a@a.test",                      "something else than dns", "badCSR"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        EVP_PKEY *pkey = pkey_from_file(rows[i].pem);
        X509_REQ *req = openssl_csr(pkey, rows[i].cn, rows[i].san);
        unsigned char *der = NULL;
        assert_true(X509_REQ_sign(req, pkey, rows[i].digest ? EVP_get_digestbyname(rows[i].digest) : NULL) > 0);
        struct csr csr = {0};
        struct problem problem = {0};
        int n = i2d_X509_REQ(req, &der);
        enum err e = csr_read(&arena, taken(der, n), SEALING_REAL, &csr, &problem);
        if (e != (rows[i].type ? ERR_REFUSED : OK))
            fail_msg("row %zu: %s %.*s", i, err_text(e), STR_ARGS(problem.detail));
        if (rows[i].type) {
            assert_str(problem.type, str_c(rows[i].type));
            if (str_find(problem.detail, rows[i].names) < 0)
                fail_msg("%s: %.*s", rows[i].names, STR_ARGS(problem.detail));
            assert_null(csr.key);
        } else {
            assert_str(joined(csr.names, csr.n_names), str_c(rows[i].names));
        }
        csr_done(&csr);
        X509_REQ_free(req);
        EVP_PKEY_free(pkey);
    }
}

#define ECDSA_SHA256 STR("\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02")

static struct str concat(const struct str *parts, size_t n)
{
    struct buf out = {.arena = &arena};
    for (size_t i = 0; i < n; i++)
        buf_add(&out, parts[i]);
    return buf_str(&out);
}

static struct str wrapped(unsigned tag, struct str body)
{
    struct buf out = {.arena = &arena};
    der_add(&out, tag, body);
    return buf_str(&out);
}

/* A CSR of which every part is given, and the signature is good. */
static struct str signed_csr(const struct key *key, struct str version, struct str subject, struct str attributes,
                             struct str algorithm)
{
    struct str parts[] = {version, subject, key_spki(key, &arena), attributes}, signature;
    struct str info = wrapped(DER_SEQUENCE, concat(parts, 4));
    assert_int_equal(key_sign_der(key, &arena, info, &signature), OK);
    struct buf bits = {.arena = &arena};
    der_add_bits(&bits, signature);
    struct str whole[] = {info, algorithm, buf_str(&bits)};
    return wrapped(DER_SEQUENCE, concat(whole, 3));
}

static struct str extension(const char *oid, struct str value)
{
    struct str parts[] = {wrapped(DER_OID, str_c(oid)), wrapped(DER_OCTET_STRING, value)};
    return wrapped(DER_SEQUENCE, concat(parts, 2));
}

static struct str request(struct str extensions)
{
    struct str parts[] = {wrapped(DER_OID, STR(OID_EXTENSION_REQUEST)),
                          wrapped(DER_SET, wrapped(DER_SEQUENCE, extensions))};
    return wrapped(DER_SEQUENCE, concat(parts, 2));
}

static struct str attributes(struct str body)
{
    return wrapped(DER_CONTEXT_CONSTRUCTED | 0, body);
}

static void assert_csr(const char *what, struct str der, const char *detail)
{
    struct csr csr = {0};
    struct problem problem = {0};
    enum err e = csr_read(&arena, der, SEALING_REAL, &csr, &problem);
    if (e != (detail ? ERR_REFUSED : OK)) fail_msg("%s: %s %.*s", what, err_text(e), STR_ARGS(problem.detail));
    if (detail) {
        assert_str(problem.type, STR("badCSR"));
        assert_int_equal(problem.status, 400);
        if (str_find(problem.detail, detail) < 0) fail_msg("%s: %.*s", what, STR_ARGS(problem.detail));
    }
    csr_done(&csr);
}

static void test_csr_parts_refused(void **state)
{
    (void)state;
    enum { VERSION, SUBJECT, ATTRIBUTES, ALGORITHM, PARTS };
    struct key *key = key_of(KEY_P256);
    struct str san = extension(OID_SUBJECT_ALT_NAME, STR("\x30\x08\x82\x06\x61.test")), asked = request(san);
    struct str good[PARTS] = {STR("\x02\x01\x00"), STR("\x30\x00"), attributes(asked), ECDSA_SHA256};
    struct str sans[] = {san, san}, requests[] = {asked, asked}, more[] = {good[ATTRIBUTES], STR("\x05\x00")};
    struct str foreign = extension(OID_KEY_USAGE, STR("junk"));
    const struct {
        const char *what;
        int part;
        struct str octets;
        const char *detail;
    } rows[] = {
        {"good",                                                    VERSION,                 good[VERSION],                               NULL                                                                                                        },
        {"version 2",                                               VERSION,                 STR("\x02\x01\x02"),                         NULL                                                                                                        },
        {"no version",                                              VERSION,                 STR(""),                                     "PKCS#10"                                                                                                   },
        {"long version",                                            VERSION,                 STR("\x02\x02\x00\x00"),                     "PKCS#10"                                                                                                   },
        {"no attributes",                                           ATTRIBUTES,              STR(""),                                     "PKCS#10"                                                                                                   },
        {"empty attributes",                                        ATTRIBUTES,              STR("\xa0\x00"),                             "names no domain"                                                                                           },
        {"something after them",                                    ATTRIBUTES,              concat(more,                                 2),                                                                                                           "PKCS#10"},
        {"algorithm of Ed25519",                                                         ALGORITHM,                                                           STR("\x30\x05\x06\x03\x2b\x65\x70"),                                     "signature"                                                   },
        {"algorithm of RSA",                                                         ALGORITHM,                                                               STR("\x30\x0d\x06\x09*\x86H\x86\xf7\x0d\x01\x01\x0b\x05\x00"),                                         "signature"},
        {"algorithm and NULL",                                                         ALGORITHM,                                                             STR("\x30\x0c\x06\x08*\x86H\xce=\x04\x03\x02\x05\x00"),                                       "signature"                                                          },
        {"empty RDN",                                                         SUBJECT,                                                                      STR("\x30\x02\x31\x00"),                                                  "distinguished name"       },
        {"RDN is no SET",                                                         SUBJECT,                                                                  STR("\x30\x02\x30\x00"),                                              "distinguished name"                                                          },
        {"no value",                                                         SUBJECT,                                                                       STR("\x30\x09\x31\x07\x30\x05\x06\x03U\x04\x03"),                                                   "distinguished name"},
        {"CN in BMPString",                                                         SUBJECT,                                                                STR("\x30\x0d\x31\x0b\x30\x09\x06\x03U\x04\x03\x1e\x02\x00x"),                                            "common name"                                             },
        {"CN with NUL",                                                         SUBJECT,                                                                    STR("\x30\x0e\x31\x0c\x30\x0a\x06\x03U\x04\x03\x0c\x03x\x00y"),                                                "common name"},
        {"O alone",                                                         SUBJECT,                                                                        STR("\x30\x0c\x31\x0a\x30\x08\x06\x03U\x04\x0a\x0c\x01O"),                                                    NULL                                                  },
        {"SAN twice",                                                         ATTRIBUTES,                                                                      attributes(request(concat(sans,                                               2))),      "attributes or extensions"},
        {"two requests",                               ATTRIBUTES,                                                      attributes(concat(requests,                                                                                    2)),                                                                                                                                                   "attributes or extensions"},
        {"no SET",                                                      ATTRIBUTES,                                                   STR("\xa0\x07\x30\x05\x06\x03U\x04\x03"),           "attributes or extensions"},
        {"others",                 ATTRIBUTES,STR("\xa0\x0b\x30\x09\x06\x03U\x04\x14\x31\x02\x05\x00"),"names no domain"                                                                                                                                    },
        {"cut", ATTRIBUTES,                                            attributes(request(STR("\x30\x05\x06\x03U\x1d\x11"))),                                                                                           "attributes or extensions"                                                              },
        {"another extension",    ATTRIBUTES,attributes(request(foreign)),"names no domain"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct str parts[PARTS];
        memcpy(parts, good, sizeof parts);
        parts[rows[i].part] = rows[i].octets;
        struct str der = signed_csr(key, parts[VERSION], parts[SUBJECT], parts[ATTRIBUTES], parts[ALGORITHM]);
        assert_csr(rows[i].what, der, rows[i].detail);
    }
    key_free(key);
}

static void test_csr_names_refused(void **state)
{
    (void)state;
    struct key *key = key_of(KEY_P256);
    struct buf many = {.arena = &arena};
    for (int i = 0; i <= CSR_MAX_NAMES; i++)
        der_add(&many, NAME_DNS, str_fmt(&arena, "a%d.test", i));
    struct str too_many = buf_str(&many), last = str_fmt(&arena, "a%d.test", CSR_MAX_NAMES);
    char *longest = arena_alloc(&arena, 255);
    memset(longest, 'a', 254);
    const struct {
        const char *what;
        struct str san;
        const char *detail;
    } rows[] = {
        {"most names",      wrapped(DER_SEQUENCE,         (struct str){too_many.at, too_many.n - last.n - 2}), NULL},
        {"too many names",                 wrapped(DER_SEQUENCE,                              too_many),                                             "too many names"},
        {"longest name", wrapped(DER_SEQUENCE,                             wrapped(NAME_DNS,                       (struct str){longest, 253})), NULL},
        {"too long a name", wrapped(DER_SEQUENCE,wrapped(NAME_DNS,(struct str){longest, 254})), "something else"},
        {"no names", STR("\x30\x00"),         "malformed"                                                                       },
        {"nothing", STR(""),                             "malformed"                                                                      },
        {"no list",      STR("\x82\x01x"),                          "malformed"},
        {"trailing octet",      STR("\x30\x03\x82\x01x\x00"),      "malformed"},
        {"cut name",      STR("\x30\x03\x82\x02x"),         "malformed"                                               },
        {"indefinite",      STR("\x30\x80\x82\x01x\x00\x00"),                             "malformed"                                                                                            },
        {"long form",      STR("\x30\x04\x82\x81\x01x"),                          "malformed"                  },
        {"NUL",
         STR("\x30\x08\x82\x06"
             "a.te\0t"),
         "something else"},
        {"empty name",      STR("\x30\x02\x82\x00"),         "something else"                                     },
        {"space",  STR("\x30\x03\x82\x01 "),                              "something else"                                                                                                                   },
        {"not ASCII", STR("\x30\x03\x82\x01\xe4"),                     "something else"                            },
        {"delete", STR("\x30\x03\x82\x01\x7f"),"something else"},
        {"URI", STR("\x30\x03\x86\x01x"),         "something else"                        },
        {"constructed", STR("\x30\x05\xa2\x03\x82\x01x"),                              "something else"                                                                                                                                                       },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        assert_csr(rows[i].what,
                   signed_csr(key, STR("\x02\x01\x00"), STR("\x30\x00"),
                              attributes(request(extension(OID_SUBJECT_ALT_NAME, rows[i].san))), ECDSA_SHA256),
                   rows[i].detail);
    key_free(key);
}

/* Cut or bent anywhere a CSR is refused, whatever the bit. */
static void test_csr_bent_and_cut(void **state)
{
    (void)state;
    struct key *key = key_of(KEY_P256);
    struct str der, name = STR("a.test");
    assert_int_equal(csr_write(&arena, key, &name, 1, &der), OK);
    struct arena turn = {0};
    for (size_t i = 0; i < der.n; i++) {
        struct csr csr;
        struct problem problem = {0};
        char *cut = malloc(i ? i : 1);
        assert_non_null(cut);
        memcpy(cut, der.at, i);
        assert_int_equal(csr_read(&turn, (struct str){cut, i}, SEALING_REAL, &csr, &problem), ERR_REFUSED);
        assert_str(problem.type, STR("badCSR"));
        free(cut);
        char *bent = arena_copy(&turn, der.at, der.n);
        for (int bit = 0; bit < 8; bit++) {
            bent[i] = (char)((unsigned char)der.at[i] ^ 1u << bit);
            if (csr_read(&turn, (struct str){bent, der.n}, SEALING_REAL, &csr, &problem) != ERR_REFUSED)
                fail_msg("bit %d of octet %zu", bit, i);
        }
        arena_clear(&turn);
    }
    assert_csr("one octet more", str_fmt(&arena, "%.*s%c", STR_ARGS(der), 0), "PKCS#10");
    assert_csr("nothing", (struct str){0}, "PKCS#10");
    char *large = arena_alloc(&arena, 70000);
    assert_csr("large", (struct str){large, 70000}, "64 KiB");
    arena_done(&turn);
    key_free(key);
}

/* --- chain ------------------------------------------------------------------------------------------------------- */
/* A certificate as somebody else would make it. */
static X509 *foreign(EVP_PKEY *subject, EVP_PKEY *by, const char *not_before, const char *not_after, const char *san)
{
    X509 *x509 = X509_new();
    assert_int_equal(X509_set_version(x509, X509_VERSION_3), 1);
    assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x509), 5), 1);
    assert_int_equal(ASN1_TIME_set_string_X509(X509_getm_notBefore(x509), not_before), 1);
    assert_int_equal(ASN1_TIME_set_string_X509(X509_getm_notAfter(x509), not_after), 1);
    assert_int_equal(X509_set_pubkey(x509, subject), 1);
    X509_NAME *name = X509_get_subject_name(x509);
    assert_int_equal(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"Some CA", -1, -1, 0),
                     1);
    assert_int_equal(X509_set_issuer_name(x509, name), 1);
    if (san) {
        X509_EXTENSION *extension = san_of(san);
        assert_int_equal(X509_add_ext(x509, extension, -1), 1);
        X509_EXTENSION_free(extension);
    }
    assert_true(X509_sign(x509, by, EVP_sha384()) > 0);
    return x509;
}

static struct str der_of(X509 *x509)
{
    unsigned char *der = NULL;
    int n = i2d_X509(x509, &der);
    return taken(der, n);
}

static struct str block(struct str der, const char *line_end)
{
    struct buf out = {.arena = &arena};
    struct str rest =
        str_fmt(&arena, "-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n", base64_lines(&arena, der).at);
    while (rest.n) {
        struct str line;
        str_cut(rest, '\n', &line, &rest);
        buf_add(&out, line);
        buf_add_c(&out, line_end);
    }
    return buf_str(&out);
}

static void assert_facts(const char *what, struct str pem, size_t n, const char *names)
{
    struct chain_facts facts = {0};
    enum err e = chain_read(&arena, pem, &facts);
    if (e) fail_msg("%s: %s", what, err_text(e));
    assert_int_equal(facts.n_certificates, n);
    assert_str(joined(facts.names, facts.n_names), str_c(names));
}

static void test_chain_of_ours(void **state)
{
    (void)state;
    for (int sealing = SEALING_REAL; sealing <= SEALING_SYMBOLIC; sealing++) {
        struct issuer *issuer = issuer_new((enum sealing)sealing, &rng, NOW_MS);
        struct key *key = key_make(KEY_P256, (enum sealing)sealing, &rng);
        struct csr csr = csr_for(key, two_names, 2);
        struct str pem;
        struct chain_facts facts;
        assert_int_equal(issue_chain(issuer, &csr, NOW_MS + 1999, NOW_MS + 90 * DAY_MS, &pem), OK);
        assert_int_equal(chain_read(&arena, pem, &facts), OK);
        assert_int_equal(facts.n_certificates, 2);
        assert_str(joined(facts.names, facts.n_names), STR("*.example.test www.example.test"));
        assert_int_equal(facts.not_before_ms, NOW_MS + 1000);
        assert_int_equal(facts.not_after_ms, NOW_MS + 90 * DAY_MS);
        assert_str(facts.spki, key_spki(key, &arena));
        assert_int_equal(chain_read(&arena, issuer_root_pem(issuer), &facts), OK);
        assert_int_equal(facts.n_certificates, 1);
        assert_int_equal(facts.n_names, 0);
        csr_done(&csr);
        key_free(key);
        issuer_free(issuer);
    }
}

static void test_chain_of_others(void **state)
{
    (void)state;
    EVP_PKEY *rsa = pkey_from_file("rsa2048.pem"), *p384 = pkey_from_file("p384.pem"),
             *p521 = pkey_from_file("p521.pem");
    X509 *leaf = foreign(rsa, p384, "490101000000Z", "20520229000000Z",
                         "DNS:B.test,IP:10.0.0.1,email:x@b.test,DNS:a.test,DNS:b.test,URI:http://b.test/");
    X509 *ca = foreign(p384, p521, "200101000000Z", "20500101000000Z", NULL);
    struct str unix_leaf = block(der_of(leaf), "\n"), unix_ca = block(der_of(ca), "\n");
    struct str dos_leaf = block(der_of(leaf), "\r\n"), dos_ca = block(der_of(ca), "\r\n");
    static const char *const names = "a.test b.test";
    const struct {
        const char *what;
        struct str parts[5];
        size_t n;
        const char *names;
    } rows[] = {
        {"leaf",                  {unix_leaf},                                                                       1, names},
        {"leaf and CA",           {unix_leaf, unix_ca},                                                              2, names},
        {"leaf and twice the CA", {unix_leaf, unix_ca, unix_ca},                                                     3, names},
        {"CRLF",                  {dos_leaf, dos_ca},                                                                2, names},
        {"text around",           {STR("subject=x\n"), unix_leaf, STR("\n# -- CA --\nMIIB\n"), unix_ca, STR("end")}, 2, names},
        {"no last line end",      {unix_ca, (struct str){unix_leaf.at, unix_leaf.n - 1}},                            2, ""   },
        {"blanks after lines",    {block(der_of(leaf), " \t\n")},                                                    1, names},
        {"a key beside it",       {STR("-----BEGIN X-----\nAAAA\n-----END X-----\n"), unix_leaf},                    1, names},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        assert_facts(rows[i].what, concat(rows[i].parts, COUNTOF(rows[i].parts)), rows[i].n, rows[i].names);

    struct chain_facts facts;
    unsigned char *spki = NULL;
    assert_int_equal(chain_read(&arena, unix_leaf, &facts), OK);
    assert_int_equal(facts.not_before_ms, INT64_C(2493072000000));
    assert_int_equal(facts.not_after_ms, INT64_C(2592777600000));
    int n = i2d_PUBKEY(rsa, &spki);
    assert_str(facts.spki, taken(spki, n));
    X509_free(leaf);
    X509_free(ca);
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(p384);
    EVP_PKEY_free(p521);
}

static void test_chain_refused(void **state)
{
    (void)state;
    EVP_PKEY *p384 = pkey_from_file("p384.pem");
    X509 *good = foreign(p384, p384, "300101000000Z", "310101000000Z", "DNS:a.test");
    X509 *bad_name = foreign(p384, p384, "300101000000Z", "310101000000Z", "DNS:a b");
    struct str der = der_of(good), pem = block(der, "\n"), longer[] = {der, STR("\x05\x00")};
    struct str broken[] = {pem, block((struct str){der.at, der.n - 1}, "\n")};
    struct buf digits = {.arena = &arena}, many = {.arena = &arena};
    buf_add(&digits, pem);
    digits.at[40] = '*';
    for (int i = 0; i <= CSR_MAX_NAMES; i++)
        buf_fmt(&many, "%sDNS:a%d.test", i ? "," : "", i);
    X509 *too_many = foreign(p384, p384, "300101000000Z", "310101000000Z", buf_str(&many).at);
    char *large = arena_alloc(&arena, 1024 * 1024 + 1);
#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END   "-----END CERTIFICATE-----\n"
    const struct {
        const char *what;
        struct str pem;
        enum err err;
    } rows[] = {
        {"nothing",               {NULL, 0},                           ERR_MALFORMED},
        {"no block",              STR("certificate\n"),                ERR_MALFORMED},
        {"DER",                   der,                                 ERR_MALFORMED},
        {"no end",                (struct str){pem.at, pem.n - 12},    ERR_MALFORMED},
        {"no beginning",          (struct str){pem.at + 4, pem.n - 4}, ERR_MALFORMED},
        {"empty block",           STR(BEGIN END),                      ERR_MALFORMED},
        {"block in a block",      STR(BEGIN BEGIN "AAAA\n" END),       ERR_MALFORMED},
        {"no base64",             buf_str(&digits),                    ERR_MALFORMED},
        {"short group",           STR(BEGIN "MIIBA\n" END),            ERR_MALFORMED},
        {"padding inside",        STR(BEGIN "MA==MAA=\n" END),         ERR_MALFORMED},
        {"padding alone",         STR(BEGIN "M===\n" END),             ERR_MALFORMED},
        {"not a certificate",     STR(BEGIN "MAA=\n" END),             ERR_MALFORMED},
        {"trailing element",      block(concat(longer,                 2),            "\n"), ERR_MALFORMED},
        {"second one is cut",          concat(broken,                                             2),                                        ERR_MALFORMED},
        {"a name with a space",                     block(der_of(bad_name),"\n"),ERR_MALFORMED},
        {"too many names",block(der_of(too_many),             "\n"),                                         ERR_LIMIT},
        {"too large",        {large, 1024 * 1024 + 1},                                         ERR_LIMIT                                    },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct chain_facts facts = {.n_certificates = 77};
        enum err e = chain_read(&arena, rows[i].pem, &facts);
        if (e != rows[i].err) fail_msg("%s: %s", rows[i].what, err_text(e));
        assert_int_equal(facts.n_certificates, 77);
    }
    X509_free(good);
    X509_free(bad_name);
    X509_free(too_many);
    EVP_PKEY_free(p384);
}

/* Cut anywhere it is refused; bent anywhere it is read or refused, and nothing else happens. */
static void test_chain_bent_and_cut(void **state)
{
    (void)state;
    EVP_PKEY *p384 = pkey_from_file("p384.pem");
    X509 *x509 = foreign(p384, p384, "300101000000Z", "310101000000Z", "DNS:a.test,IP:::1");
    struct str der = der_of(x509);
    struct arena turn = {0};
    for (size_t i = 0; i < der.n; i++) {
        struct chain_facts facts;
        struct str pem = block((struct str){der.at, i}, "\n");
        assert_int_equal(chain_read(&turn, pem, &facts), ERR_MALFORMED);
        char *bent = arena_copy(&turn, der.at, der.n);
        for (int bit = 0; bit < 8; bit++) {
            bent[i] = (char)((unsigned char)der.at[i] ^ 1u << bit);
            pem = block((struct str){bent, der.n}, "\n");
            enum err e = chain_read(&turn, pem, &facts);
            assert_true(e == OK || e == ERR_MALFORMED);
        }
        arena_clear(&turn);
    }
    arena_done(&turn);
    X509_free(x509);
    EVP_PKEY_free(p384);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_csr_of_others_is_read), TEST(test_csr_parts_refused),  TEST(test_csr_names_refused),
        TEST(test_csr_bent_and_cut),      TEST(test_chain_of_ours),      TEST(test_chain_of_others),
        TEST(test_chain_refused),         TEST(test_chain_bent_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
