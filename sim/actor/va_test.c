#include "actor/bench_test.h"
#include "actor/va.h"

static const struct addr CA = {1}, TARGET = {2};
static const char *const PLACE = "/.well-known/acme-challenge/tok";

struct stage {
    struct bench *bench;
    struct actor *va;
    struct profile profile;
    struct msg *asked; /* the last thing the validator sent */
};

static struct stage *stage_new(void)
{
    struct stage *s = calloc(1, sizeof *s);
    s->bench = bench_new();
    s->profile.max_redirects = 3;
    s->profile.follows_303 = true;
    s->profile.max_body = 100;
    s->profile.trims = STR("\r\n\t ");
    s->va = va_new(&(struct va_options){.target = TARGET, .profile = &s->profile});
    return s;
}

static void stage_free(struct stage *s)
{
    if (s->asked) msg_free(s->asked);
    s->va->free(s->va);
    bench_free(s->bench);
    free(s);
}

static void take(struct stage *s)
{
    if (s->asked) msg_free(s->asked);
    s->asked = bench_take(s->bench);
}

static void probe_name(struct stage *s, uint64_t flow, struct str type, struct str name, struct str place,
                       struct str proof)
{
    struct msg *msg = msg_new(MSG_PROBE);
    msg->from = CA;
    msg->flow = flow;
    msg->as.probe = (struct probe){.type = type,
                                   .name = name,
                                   .token = STR("tok"),
                                   .place = place,
                                   .proof = proof,
                                   .attempt = 2,
                                   .limit_ms = 10000};
    bench_step(s->bench, s->va, msg);
    take(s);
}

static void probe_as(struct stage *s, uint64_t flow, struct str type, struct str place, struct str proof)
{
    probe_name(s, flow, type, STR("a.example.test"), place, proof);
}

static void probe_http(struct stage *s)
{
    probe_as(s, 7, STR("http-01"), str_c(PLACE), STR("tok.thumb"));
}

static struct msg *reply(struct stage *s, enum msg_kind kind)
{
    assert_non_null(s->asked);
    struct msg *msg = msg_new(kind);
    msg->from = TARGET;
    msg->flow = s->asked->flow;
    return msg;
}

static void hear(struct stage *s, struct msg *msg)
{
    bench_step(s->bench, s->va, msg);
    take(s);
}

static void hear_http(struct stage *s, int status, const char *body, struct delivery delivery)
{
    struct msg *msg = reply(s, MSG_RESPONSE);
    msg->as.response = (struct http_response){.status = status, .body = str_c(body), .delivery = delivery};
    hear(s, msg);
}

static void hear_redirect(struct stage *s, int status, const char *location)
{
    struct msg *msg = reply(s, MSG_RESPONSE);
    msg->as.response.status = status;
    if (location) msg_header(msg, "Location", str_c(location));
    hear(s, msg);
}

static void assert_verdict(struct stage *s, const char *failure)
{
    assert_non_null(s->asked);
    assert_int_equal(s->asked->kind, MSG_VERDICT);
    assert_int_equal(s->asked->to.seat, CA.seat);
    assert_int_equal(s->asked->flow, 7);
    assert_str(s->asked->as.verdict.failure, failure);
    assert_int_equal(s->asked->as.verdict.ok, !*failure);
    assert_true(s->va->next_due_ms(s->va) == ACTOR_IDLE);
}

static void test_http_ok(void **state)
{
    (void)state;
    static const char *const bodies[] = {"tok.thumb", "tok.thumb\n", "tok.thumb \t\r\n"};
    for (size_t i = 0; i < COUNTOF(bodies); i++) {
        struct stage *s = stage_new();
        probe_http(s);
        assert_int_equal(s->asked->kind, MSG_REQUEST);
        assert_int_equal(s->asked->to.seat, TARGET.seat);
        assert_str(s->asked->as.request.method, "GET");
        assert_str(s->asked->as.request.url, "http://a.example.test/.well-known/acme-challenge/tok");
        assert_str(headers_get(s->asked->as.request.headers, "Host"), "a.example.test");
        assert_str(headers_get(s->asked->as.request.headers, "X-Acmedrill-Attempt"), "2");
        assert_true(str_starts(headers_get(s->asked->as.request.headers, "User-Agent"), "acmedrill/"));
        hear_http(s, 200, bodies[i], (struct delivery){0});
        assert_verdict(s, "");
        assert_int_equal(s->asked->as.verdict.status, 200);
        assert_str(s->asked->as.verdict.url, "http://a.example.test/.well-known/acme-challenge/tok");
        assert_str(s->asked->as.verdict.address, "a.example.test");
        stage_free(s);
    }
}

static void test_http_failures_at_once(void **state)
{
    (void)state;
    static char huge[102];
    memset(huge, 'x', 101);
    const struct {
        int status, said_status;
        const char *body;
        struct delivery delivery;
        const char *failure;
    } rows[] = {
        {404, 404, "not here",   {0},                                      "bad-status"},
        {502, 502, "",           {0},                                      "bad-status"},
        {204, 204, "",           {0},                                      "bad-status"},
        {200, 200, "",           {0},                                      "empty-body"},
        {200, 200, "other",      {0},                                      "wrong-body"},
        {200, 200, " tok.thumb", {0},                                      "wrong-body"},
        {200, 200, huge,         {0},                                      "huge"      },
        {0,   0,   NULL,         {.how = DELIVER_REFUSED},                 "refused"   },
        {0,   0,   NULL,         {.how = DELIVER_RESET},                   "reset"     },
        {0,   0,   NULL,         {.how = DELIVER_CLOSED},                  "closed"    },
        {0,   0,   NULL,         {.how = DELIVER_GARBAGE},                 "garbage"   },
        {0,   0,   NULL,         {0},                                      "closed"    },
        {200, 200, "tok.thumb",  {.how = DELIVER_TRUNCATED, .at_byte = 3}, "truncated" },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct stage *s = stage_new();
        probe_http(s);
        hear_http(s, rows[i].status, rows[i].body, rows[i].delivery);
        assert_verdict(s, rows[i].failure);
        assert_int_equal(s->asked->as.verdict.status, rows[i].said_status);
        assert_str(s->asked->as.verdict.expected, "tok.thumb");
        if (rows[i].delivery.how == DELIVER_TRUNCATED) assert_str(s->asked->as.verdict.got, "tok");
        if (rows[i].status == 404) assert_str(s->asked->as.verdict.got, "not here");
        stage_free(s);
    }
}

static void test_trims_are_the_profiles(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    s->profile.trims = STR("\n");
    probe_http(s);
    hear_http(s, 200, "tok.thumb \n", (struct delivery){0});
    assert_verdict(s, "wrong-body");
    stage_free(s);
}

static void test_got_is_clipped(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    static char body[2000];
    memset(body, 'x', sizeof body - 1);
    s->profile.max_body = 5000;
    probe_http(s);
    hear_http(s, 200, body, (struct delivery){0});
    assert_verdict(s, "wrong-body");
    assert_int_equal(s->asked->as.verdict.got.n, 256);
    stage_free(s);
}

/* What our responder plays faster is too late as much sooner; whoever is on the network has all of the time. */
static void test_times_that_are_played(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    int64_t begun_ms = s->bench->now_ms;
    probe_http(s);
    hear_http(s, 0, NULL, (struct delivery){.how = DELIVER_HANG, .speed = 10});
    assert_int_equal(s->va->next_due_ms(s->va), begun_ms + 1000);
    bench_tick(s->bench, s->va);
    take(s);
    assert_verdict(s, "timeout");
    stage_free(s);

    s = stage_new(); /* 12 s of delay, played in 1.2 */
    probe_http(s);
    s->bench->now_ms += 1200;
    hear_http(s, 200, "tok.thumb", (struct delivery){.delay_ms = 1200, .speed = 10});
    assert_verdict(s, "timeout");
    stage_free(s);

    s = stage_new(); /* a real peer that takes as long */
    probe_http(s);
    s->bench->now_ms += 1200;
    hear_http(s, 200, "tok.thumb", (struct delivery){0});
    assert_verdict(s, "");
    stage_free(s);

    s = stage_new(); /* a drip of 12 s */
    probe_http(s);
    hear_http(s, 200, "tok.thumb", (struct delivery){.how = DELIVER_SLOW, .over_ms = 1200, .speed = 10});
    bench_tick(s->bench, s->va);
    take(s);
    assert_verdict(s, "slow");
    stage_free(s);

    s = stage_new(); /* a redirect that is played, and behind it a real peer */
    begun_ms = s->bench->now_ms;
    probe_http(s);
    struct msg *msg = reply(s, MSG_RESPONSE);
    msg->as.response.status = 302;
    msg->as.response.delivery.speed = 10;
    msg_header(msg, "Location", STR("/elsewhere"));
    hear(s, msg);
    assert_int_equal(s->va->next_due_ms(s->va), begun_ms + 10000);
    s->bench->now_ms += 5000;
    hear_http(s, 200, "tok.thumb", (struct delivery){0});
    assert_verdict(s, "");
    stage_free(s);
}

static void test_timeout_by_timer(void **state)
{
    (void)state;
    const struct {
        const char *type, *failure;
    } rows[] = {
        {"http-01",     "timeout"    },
        {"dns-01",      "dns-timeout"},
        {"tls-alpn-01", "timeout"    }
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct stage *s = stage_new();
        int64_t began_ms = s->bench->now_ms;
        probe_as(s, 7, str_c(rows[i].type), str_c(PLACE), STR("p"));
        struct msg *late = reply(s, MSG_RESPONSE);
        assert_int_equal(s->va->next_due_ms(s->va), began_ms + 10000);
        bench_tick(s->bench, s->va);
        take(s);
        assert_verdict(s, rows[i].failure);
        hear(s, late);
        assert_null(s->asked); /* an answer after the verdict is nobody's */
        stage_free(s);
    }
}

static void test_hang_waits_for_the_limit(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    probe_http(s);
    uint64_t flow = s->asked->flow;
    hear_http(s, 0, NULL, (struct delivery){.how = DELIVER_HANG});
    assert_null(s->asked);
    assert_int_not_equal(flow, 0);
    bench_tick(s->bench, s->va);
    take(s);
    assert_verdict(s, "timeout");
    stage_free(s);
}

static void test_slow_bodies(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    int64_t began_ms = s->bench->now_ms;
    probe_http(s);
    s->bench->now_ms += 100;
    hear_http(s, 200, "tok.thumb", (struct delivery){.how = DELIVER_SLOW, .over_ms = 3000});
    assert_null(s->asked);
    bench_tick(s->bench, s->va);
    take(s);
    assert_verdict(s, "");
    assert_int_equal(s->bench->now_ms - began_ms, 3100);
    stage_free(s);

    s = stage_new();
    began_ms = s->bench->now_ms;
    probe_http(s);
    s->bench->now_ms += 100;
    hear_http(s, 200, "tok.thumb", (struct delivery){.how = DELIVER_SLOW, .over_ms = 9901});
    bench_tick(s->bench, s->va);
    take(s);
    assert_verdict(s, "slow");
    assert_int_equal(s->bench->now_ms - began_ms, 10000);
    stage_free(s);

    s = stage_new(); /* the carrier has waited for the last byte */
    probe_http(s);
    s->bench->now_ms += 3010;
    hear_http(s, 200, "tok.thumb", (struct delivery){.how = DELIVER_SLOW, .over_ms = 3000});
    assert_verdict(s, "");
    stage_free(s);
}

static void test_redirects_are_followed(void **state)
{
    (void)state;
    const struct {
        int status;
        const char *location, *url, *host;
    } rows[] = {
        {301, "http://b.example.test/x",      "http://b.example.test/x",                                "b.example.test"    },
        {302, "https://b.example.test/x?y=1", "https://b.example.test/x?y=1",                           "b.example.test"    },
        {303, "/elsewhere",                   "http://a.example.test/elsewhere",                        "a.example.test"    },
        {307, "other",                        "http://a.example.test/.well-known/acme-challenge/other", "a.example.test"    },
        {308, "//c.example.test:443/z#part",  "http://c.example.test:443/z",                            "c.example.test:443"},
        {302, "?q",                           "http://a.example.test/.well-known/acme-challenge/tok?q", "a.example.test"    },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct stage *s = stage_new();
        probe_http(s);
        hear_redirect(s, rows[i].status, rows[i].location);
        assert_int_equal(s->asked->kind, MSG_REQUEST);
        assert_str(s->asked->as.request.url, rows[i].url);
        assert_str(headers_get(s->asked->as.request.headers, "Host"), rows[i].host);
        hear_http(s, 200, "tok.thumb", (struct delivery){0});
        assert_verdict(s, "");
        assert_str(s->asked->as.verdict.url, rows[i].url);
        stage_free(s);
    }
}

static void test_redirects_refused(void **state)
{
    (void)state;
    const struct {
        const char *location, *failure;
    } rows[] = {
        {NULL,                                                   "bad-redirect" },
        {"",                                                     "bad-redirect" },
        {"http://",                                              "bad-redirect" },
        {"http://user@b.example.test/",                          "bad-redirect" },
        {"gopher://b.example.test/",                             "bad-scheme"   },
        {"mailto:x@example.test",                                "bad-scheme"   },
        {"http://b.example.test:8080/",                          "bad-port"     },
        {"http://a.example.test/.well-known/acme-challenge/tok", "redirect-loop"},
        {"tok",                                                  "redirect-loop"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct stage *s = stage_new();
        probe_http(s);
        hear_redirect(s, 302, rows[i].location);
        assert_verdict(s, rows[i].failure);
        stage_free(s);
    }
    struct stage *s = stage_new();
    s->profile.redirect_any_port = true;
    probe_http(s);
    hear_redirect(s, 302, "http://b.example.test:8080/");
    assert_str(s->asked->as.request.url, "http://b.example.test:8080/");
    stage_free(s);
}

static void test_redirect_limit(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    static const char *const hops[] = {"/1", "/2", "/3", "/4"};
    probe_http(s);
    for (size_t i = 0; i < 3; i++) {
        hear_redirect(s, 302, hops[i]);
        assert_int_equal(s->asked->kind, MSG_REQUEST);
    }
    hear_redirect(s, 302, hops[3]);
    assert_verdict(s, "too-many-redirects");
    stage_free(s);
}

static void test_time_limit_spans_redirects(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    int64_t began_ms = s->bench->now_ms;
    probe_http(s);
    s->bench->now_ms += 9000;
    hear_redirect(s, 302, "/x");
    bench_tick(s->bench, s->va);
    take(s);
    assert_verdict(s, "timeout");
    assert_int_equal(s->bench->now_ms - began_ms, 10000);
    stage_free(s);
}

static void hear_dns(struct stage *s, enum dns_rcode rcode, int type, const char *const *records, size_t n,
                     enum delivery_how how)
{
    struct msg *msg = reply(s, MSG_DNS_ANSWER);
    struct dns_answer *answer = &msg->as.dns_answer;
    answer->rcode = rcode;
    answer->type = type;
    for (size_t i = 0; i < n; i++)
        answer->records[answer->n_records++] = str_c(records[i]);
    answer->delivery.how = how;
    hear(s, msg);
}

static void probe_dns(struct stage *s)
{
    probe_as(s, 7, STR("dns-01"), STR("_acme-challenge.a.example.test"), STR("digest"));
    assert_int_equal(s->asked->kind, MSG_DNS_QUERY);
    assert_int_equal(s->asked->as.dns_query.type, DNS_TXT);
    assert_str(s->asked->as.dns_query.name, "_acme-challenge.a.example.test");
}

static void test_dns(void **state)
{
    (void)state;
    static const char *const several[] = {"old", "digest", "other"}, *const wrong[] = {"one", "two"};
    const struct {
        enum dns_rcode rcode;
        enum delivery_how how;
        const char *const *records;
        size_t n;
        const char *failure, *got;
    } rows[] = {
        {DNS_NOERROR,  DELIVER_WHOLE,   several, 3, "",            "old, digest, other"},
        {DNS_NOERROR,  DELIVER_WHOLE,   wrong,   2, "wrong-txt",   "one, two"          },
        {DNS_NOERROR,  DELIVER_WHOLE,   NULL,    0, "no-txt",      ""                  },
        {DNS_NXDOMAIN, DELIVER_WHOLE,   NULL,    0, "nxdomain",    NULL                },
        {DNS_SERVFAIL, DELIVER_WHOLE,   NULL,    0, "servfail",    NULL                },
        {DNS_REFUSED,  DELIVER_WHOLE,   NULL,    0, "dns-refused", NULL                },
        {DNS_FORMERR,  DELIVER_WHOLE,   NULL,    0, "servfail",    NULL                },
        {DNS_NOERROR,  DELIVER_REFUSED, NULL,    0, "dns-timeout", NULL                },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct stage *s = stage_new();
        probe_dns(s);
        hear_dns(s, rows[i].rcode, DNS_TXT, rows[i].records, rows[i].n, rows[i].how);
        assert_verdict(s, rows[i].failure);
        if (rows[i].got) assert_str(s->asked->as.verdict.got, rows[i].got);
        stage_free(s);
    }
}

static void test_dns_alias(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    const char *there = "proof.example.org", *digest = "digest", *back = "_acme-challenge.a.example.test";
    probe_dns(s);
    hear_dns(s, DNS_NOERROR, DNS_CNAME, &there, 1, DELIVER_WHOLE);
    assert_str(s->asked->as.dns_query.name, there);
    hear_dns(s, DNS_NOERROR, DNS_TXT, &digest, 1, DELIVER_WHOLE);
    assert_verdict(s, "");
    assert_str(s->asked->as.verdict.url, there);
    probe_dns(s);
    hear_dns(s, DNS_NOERROR, DNS_CNAME, &there, 1, DELIVER_WHOLE);
    hear_dns(s, DNS_NOERROR, DNS_CNAME, &back, 1, DELIVER_WHOLE);
    assert_verdict(s, "servfail");
    stage_free(s);
}

static void test_dns_alias_chain_is_bounded(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    probe_dns(s);
    for (int i = 0; s->asked->kind == MSG_DNS_QUERY; i++) {
        const char *next = str_fmt(&s->bench->keep, "hop%d.example.org", i).at;
        assert_true(i < 20);
        hear_dns(s, DNS_NOERROR, DNS_CNAME, &next, 1, DELIVER_WHOLE);
    }
    assert_verdict(s, "servfail");
    stage_free(s);
}

static void test_tls(void **state)
{
    (void)state;
    static const char proof[] = "0123456789abcdef0123456789abcdef", other[] = "0123456789abcdef0123456789abcdeX";
#define GOOD                                                                                                           \
    .alpn = STR("acme-tls/1"), .san = STR("a.example.test"), .self_signed = true, .has_extension = true,               \
    .critical = true, .digest = STR("0123456789abcdef0123456789abcdef")
    struct tls_answer answers[] = {
        {GOOD                                },
        {GOOD                                }, /* no ALPN */
        {GOOD                                }, /* another */
        {GOOD                                }, /* signed by somebody */
        {GOOD                                }, /* two names */
        {GOOD                                }, /* no extension */
        {GOOD                                }, /* not critical */
        {GOOD                                }, /* wrong digest */
        {.alert = STR("handshake_failure")   },
        {.delivery = {.how = DELIVER_REFUSED}},
        {.delivery = {.how = DELIVER_RESET}  },
        {.delivery = {.how = DELIVER_CLOSED} },
        {.delivery = {.how = DELIVER_GARBAGE}},
        {GOOD                                }, /* name in capitals */
        {.delivery = {.how = DELIVER_GARBAGE}, .plain_http = true},
        {GOOD                                   }, /* no digest */
    };
    static const char *const failures[] = {
        "",           "no-alpn",      "wrong-alpn", "not-self-signed", "wrong-names", "no-extension", "not-critical",
        "wrong-cert", "tls-alert",    "refused",    "reset",           "closed",      "garbage",      "",
        "plain-http", "bad-extension"};
    static const char *const got[] = {NULL,
                                      "",
                                      "h2",
                                      "a certificate that is not self-signed",
                                      "a certificate for a.example.test,b.example.test",
                                      "a certificate without acmeIdentifier extension",
                                      "an acmeIdentifier extension that is not critical",
                                      NULL,
                                      "handshake_failure"};
    answers[1].alpn = (struct str){0};
    answers[2].alpn = STR("h2");
    answers[3].self_signed = false;
    answers[4].san = STR("a.example.test,b.example.test");
    answers[5].has_extension = false;
    answers[6].critical = false;
    answers[7].digest = str_c(other);
    answers[13].san = STR("A.Example.Test");
    answers[15].digest = (struct str){0};
    for (size_t i = 0; i < COUNTOF(answers); i++) {
        struct stage *s = stage_new();
        probe_as(s, 7, STR("tls-alpn-01"), STR("a.example.test"), str_c(proof));
        assert_int_equal(s->asked->kind, MSG_TLS_HELLO);
        assert_str(s->asked->as.tls_hello.name, "a.example.test");
        assert_str(s->asked->as.tls_hello.alpn, "acme-tls/1");
        struct msg *msg = reply(s, MSG_TLS_ANSWER);
        msg->as.tls_answer = answers[i];
        hear(s, msg);
        assert_verdict(s, failures[i]);
        if (i < COUNTOF(got) && got[i]) assert_str(s->asked->as.verdict.got, got[i]);
        if (i == 7) {
            assert_true(str_ends(s->asked->as.verdict.got, "58"));
            assert_true(str_ends(s->asked->as.verdict.expected, "66"));
            assert_int_equal(s->asked->as.verdict.expected.n, 64);
        }
        stage_free(s);
    }
}

/* RFC 8738 section 6. */
static void test_tls_for_an_address(void **state)
{
    (void)state;
    static const struct {
        const char *address, *reverse, *san, *failure;
    } rows[] = {
        {"192.0.2.7",   "7.2.0.192.in-addr.arpa", "ip:192.0.2.7",           ""           },
        {"192.0.2.7",   "7.2.0.192.in-addr.arpa", "192.0.2.7",              "wrong-names"}, /* a dNSName */
        {"192.0.2.7",   "7.2.0.192.in-addr.arpa", "7.2.0.192.in-addr.arpa", "wrong-names"},
        {"192.0.2.7",   "7.2.0.192.in-addr.arpa", "ip:192.0.2.8",           "wrong-names"},
        {"2001:db8::7", "7.ip6.arpa",             "ip:2001:db8::7",         ""           },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct stage *s = stage_new();
        struct tls_answer answer = {GOOD};
        answer.san = str_c(rows[i].san);
        probe_name(s, 7, STR("tls-alpn-01"), str_c(rows[i].address), str_c(rows[i].reverse),
                   STR("0123456789abcdef0123456789abcdef"));
        assert_str(s->asked->as.tls_hello.name, rows[i].reverse);
        struct msg *msg = reply(s, MSG_TLS_ANSWER);
        msg->as.tls_answer = answer;
        hear(s, msg);
        assert_verdict(s, rows[i].failure);
        stage_free(s);
    }
}

static void test_several_queries_at_once(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    probe_http(s);
    struct msg *first = reply(s, MSG_RESPONSE);
    first->as.response = (struct http_response){.status = 200, .body = STR("tok.thumb")};
    probe_as(s, 8, STR("http-01"), str_c(PLACE), STR("tok.thumb"));
    assert_int_not_equal(s->asked->flow, first->flow);
    hear_http(s, 404, "", (struct delivery){0});
    assert_int_equal(s->asked->flow, 8);
    assert_str(s->asked->as.verdict.failure, "bad-status");
    hear(s, first);
    assert_verdict(s, "");
    stage_free(s);
}

static void test_answers_of_another_kind_are_ignored(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    probe_http(s);
    struct msg *msg = reply(s, MSG_DNS_ANSWER);
    struct msg *good = reply(s, MSG_RESPONSE);
    good->as.response = (struct http_response){.status = 200, .body = STR("tok.thumb")};
    hear(s, msg);
    assert_null(s->asked);
    hear(s, good);
    assert_verdict(s, "");
    stage_free(s);
}

static void test_unknown_type_fails(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    probe_as(s, 7, STR("smoke-01"), str_c(PLACE), STR("x"));
    assert_verdict(s, "any");
    stage_free(s);
}

static void test_always_valid(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    s->va->free(s->va);
    s->va = va_new(&(struct va_options){.target = TARGET, .always_valid = true});
    probe_http(s);
    assert_int_equal(s->asked->kind, MSG_VERDICT);
    assert_true(s->asked->as.verdict.ok);
    assert_int_equal(s->asked->flow, 7);
    assert_int_equal(s->asked->to.seat, CA.seat);
    assert_int_equal(s->bench->out.n, 0);
    assert_true(s->va->next_due_ms(s->va) == ACTOR_IDLE);
    stage_free(s);
}

static void test_failure_words_are_the_profiles(void **state)
{
    (void)state;
    size_t n, m;
    const char *const *words = va_failures(&n), *const *others = profile_failures(&m);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(words[i], others[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_ok),
        cmocka_unit_test(test_http_failures_at_once),
        cmocka_unit_test(test_trims_are_the_profiles),
        cmocka_unit_test(test_got_is_clipped),
        cmocka_unit_test(test_timeout_by_timer),
        cmocka_unit_test(test_times_that_are_played),
        cmocka_unit_test(test_hang_waits_for_the_limit),
        cmocka_unit_test(test_slow_bodies),
        cmocka_unit_test(test_redirects_are_followed),
        cmocka_unit_test(test_redirects_refused),
        cmocka_unit_test(test_redirect_limit),
        cmocka_unit_test(test_time_limit_spans_redirects),
        cmocka_unit_test(test_dns),
        cmocka_unit_test(test_dns_alias),
        cmocka_unit_test(test_dns_alias_chain_is_bounded),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_tls_for_an_address),
        cmocka_unit_test(test_several_queries_at_once),
        cmocka_unit_test(test_answers_of_another_kind_are_ignored),
        cmocka_unit_test(test_unknown_type_fails),
        cmocka_unit_test(test_always_valid),
        cmocka_unit_test(test_failure_words_are_the_profiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
