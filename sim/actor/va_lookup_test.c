/* A validator that looks names up: addresses, aliases, the other family, CAA. */
#include "actor/bench_test.h"
#include "actor/va.h"

static const struct addr CA = {1}, NETWORK = {2}, RESOLVER = {3};

struct stage {
    struct bench *bench;
    struct actor *va;
    struct profile profile;
    struct str identity;
    struct msg *asked; /* the last thing the validator sent */
};

static struct stage *stage_new(void)
{
    struct stage *s = calloc(1, sizeof *s);
    s->bench = bench_new();
    s->identity = STR("ca.test");
    s->profile = (struct profile){.max_redirects = 3,
                                  .max_body = 100,
                                  .redirect_any_port = true,
                                  .caa_identities = &s->identity,
                                  .n_caa_identities = 1};
    s->va = va_new(&(struct va_options){.target = NETWORK,
                                        .profile = &s->profile,
                                        .is_network = true,
                                        .resolves = true,
                                        .resolver = RESOLVER,
                                        .http_port = 5002,
                                        .tls_port = 5001});
    return s;
}

static void stage_free(struct stage *s)
{
    if (s->asked) msg_free(s->asked);
    s->va->free(s->va);
    bench_free(s->bench);
    free(s);
}

static void step(struct stage *s, struct msg *msg)
{
    bench_step(s->bench, s->va, msg);
    if (s->asked) msg_free(s->asked);
    s->asked = bench_take(s->bench);
}

static void probe_of(struct stage *s, const char *type, const char *name)
{
    struct msg *msg = msg_new(MSG_PROBE);
    msg->from = CA;
    msg->flow = 7;
    msg->as.probe = (struct probe){.type = str_c(type),
                                   .name = str_c(name),
                                   .token = STR("tok"),
                                   .place = str_c(*type == 'h' ? "/.well-known/acme-challenge/tok" : "a.sub.test"),
                                   .proof = STR("tok.thumb"),
                                   .account = STR("https://ca.test/account/1"),
                                   .limit_ms = 10000};
    step(s, msg);
}

static void probe(struct stage *s, const char *type)
{
    probe_of(s, type, "a.sub.test");
}

static struct msg *reply(struct stage *s, enum msg_kind kind)
{
    assert_non_null(s->asked);
    struct msg *msg = msg_new(kind);
    msg->from = s->asked->to;
    msg->flow = s->asked->flow;
    return msg;
}

static void assert_asks(struct stage *s, const char *name, int type)
{
    assert_non_null(s->asked);
    assert_int_equal(s->asked->kind, MSG_DNS_QUERY);
    assert_int_equal(s->asked->to.seat, RESOLVER.seat);
    assert_str(s->asked->as.dns_query.name, name);
    assert_int_equal(s->asked->as.dns_query.type, type);
}

/* One record, or none; of the type that was asked for, or an alias. */
static void hear(struct stage *s, enum dns_rcode rcode, bool alias, const char *record)
{
    assert_int_equal(s->asked->kind, MSG_DNS_QUERY);
    struct msg *msg = reply(s, MSG_DNS_ANSWER);
    msg->as.dns_answer = (struct dns_answer){.type = alias ? DNS_CNAME : s->asked->as.dns_query.type, .rcode = rcode};
    if (record) msg->as.dns_answer.records[msg->as.dns_answer.n_records++] = str_c(record);
    step(s, msg);
}

static void hear_addresses(struct stage *s, const char *v6, const char *v4)
{
    hear(s, DNS_NOERROR, false, v6);
    hear(s, DNS_NOERROR, false, v4);
}

static void hear_page(struct stage *s, int status, const char *text, enum delivery_how how)
{
    struct msg *msg = reply(s, MSG_RESPONSE);
    msg->as.response = (struct http_response){.status = status, .delivery = {.how = how}};
    if (status == 302) msg_header(msg, "Location", str_c(text));
    else msg->as.response.body = str_c(text);
    step(s, msg);
}

static void assert_fetches(struct stage *s, const char *url, const char *connect)
{
    assert_int_equal(s->asked->kind, MSG_REQUEST);
    assert_int_equal(s->asked->to.seat, NETWORK.seat);
    assert_str(s->asked->as.request.url, url);
    assert_str(s->asked->as.request.connect, connect);
    assert_null(headers_get(s->asked->as.request.headers, "X-Acmedrill-Attempt").at);
}

static void assert_verdict(struct stage *s, const char *failure, const char *address)
{
    assert_int_equal(s->asked->kind, MSG_VERDICT);
    assert_str(s->asked->as.verdict.failure, failure);
    assert_int_equal(s->asked->as.verdict.ok, !*failure);
    assert_str(s->asked->as.verdict.address, address);
    assert_true(s->va->next_due_ms(s->va) == ACTOR_IDLE);
}

#define PLACE "/.well-known/acme-challenge/tok"

static void test_addresses_come_first(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    probe(s, "http-01");
    assert_asks(s, "a.sub.test", DNS_AAAA);
    hear(s, DNS_NOERROR, false, NULL);
    assert_asks(s, "a.sub.test", DNS_A);
    hear(s, DNS_NOERROR, false, "192.0.2.1");
    assert_fetches(s, "http://a.sub.test" PLACE, "192.0.2.1:5002");
    hear_page(s, 200, "tok.thumb", DELIVER_WHOLE);
    assert_verdict(s, "", "192.0.2.1");
    assert_int_equal(s->asked->as.verdict.port, 5002);
    stage_free(s);

    s = stage_new();
    s->profile.address_order = V4_FIRST;
    probe(s, "tls-alpn-01");
    assert_asks(s, "a.sub.test", DNS_A);
    hear(s, DNS_NOERROR, false, NULL);
    assert_asks(s, "a.sub.test", DNS_AAAA);
    hear(s, DNS_NOERROR, false, "2001:db8::1");
    assert_int_equal(s->asked->kind, MSG_TLS_HELLO);
    assert_str(s->asked->as.tls_hello.connect, "[2001:db8::1]:5001");
    stage_free(s);
}

static void test_the_other_family(void **state)
{
    (void)state;
    static const struct {
        enum falls_back falls_back;
        enum delivery_how how;
        bool again;
        const char *failure;
    } rows[] = {
        {FALLS_BACK_ON_DIAL_ERRORS, DELIVER_REFUSED, true,  ""       },
        {FALLS_BACK_ON_DIAL_ERRORS, DELIVER_RESET,   false, "reset"  },
        {FALLS_BACK_NEVER,          DELIVER_REFUSED, false, "refused"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct stage *s = stage_new();
        s->profile.falls_back = rows[i].falls_back;
        probe(s, "http-01");
        hear_addresses(s, "2001:db8::1", "192.0.2.1");
        assert_fetches(s, "http://a.sub.test" PLACE, "[2001:db8::1]:5002");
        hear_page(s, 0, "", rows[i].how);
        if (rows[i].again) {
            assert_fetches(s, "http://a.sub.test" PLACE, "192.0.2.1:5002");
            hear_page(s, 0, "", DELIVER_REFUSED);
            assert_verdict(s, "refused", "192.0.2.1"); /* there is no third */
        } else {
            assert_verdict(s, rows[i].failure, "2001:db8::1");
        }
        stage_free(s);
    }
}

static void test_no_address(void **state)
{
    (void)state;
    static const struct {
        enum dns_rcode v6, v4;
        const char *failure;
    } rows[] = {
        {DNS_NOERROR,  DNS_NOERROR,  "no-address" },
        {DNS_NXDOMAIN, DNS_NXDOMAIN, "nxdomain"   },
        {DNS_SERVFAIL, DNS_NOERROR,  "servfail"   },
        {DNS_NXDOMAIN, DNS_SERVFAIL, "servfail"   },
        {DNS_REFUSED,  DNS_REFUSED,  "dns-refused"},
        {DNS_NOTIMP,   DNS_NOTIMP,   "servfail"   },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct stage *s = stage_new();
        probe(s, "http-01");
        hear(s, rows[i].v6, false, NULL);
        hear(s, rows[i].v4, false, NULL);
        assert_verdict(s, rows[i].failure, "a.sub.test");
        stage_free(s);
    }
    struct stage *s = stage_new(); /* one family is enough */
    probe(s, "http-01");
    hear(s, DNS_SERVFAIL, false, NULL);
    hear(s, DNS_NOERROR, false, "192.0.2.1");
    assert_fetches(s, "http://a.sub.test" PLACE, "192.0.2.1:5002");
    stage_free(s);
    s = stage_new(); /* silence */
    probe(s, "http-01");
    s->bench->now_ms += 10000;
    step(s, NULL);
    assert_verdict(s, "dns-timeout", "a.sub.test");
    stage_free(s);
}

static void test_aliases(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    probe(s, "http-01");
    hear(s, DNS_NOERROR, true, "b.test");
    assert_asks(s, "b.test", DNS_AAAA);
    hear(s, DNS_NOERROR, false, "2001:db8::1");
    assert_asks(s, "a.sub.test", DNS_A);
    hear(s, DNS_NOERROR, true, "a.sub.test"); /* of itself */
    assert_fetches(s, "http://a.sub.test" PLACE, "[2001:db8::1]:5002");
    stage_free(s);
    s = stage_new(); /* a chain without end, for both families */
    probe(s, "http-01");
    for (int i = 0; s->asked->kind == MSG_DNS_QUERY; i++) {
        assert_true(i < 40);
        hear(s, DNS_NOERROR, true, str_fmt(&s->bench->keep, "hop%d.test", i).at);
    }
    assert_verdict(s, "servfail", "a.sub.test");
    stage_free(s);
}

static void test_redirects_look_up_again(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    probe(s, "http-01");
    hear_addresses(s, NULL, "192.0.2.1");
    hear_page(s, 302, "https://B.test/x", DELIVER_WHOLE);
    assert_asks(s, "b.test", DNS_AAAA);
    hear_addresses(s, NULL, "192.0.2.2");
    assert_fetches(s, "https://B.test/x", "192.0.2.2:5001");
    hear_page(s, 302, "http://192.0.2.3:8080/y", DELIVER_WHOLE);
    assert_fetches(s, "http://192.0.2.3:8080/y", "192.0.2.3:8080"); /* nothing to look up */
    hear_page(s, 302, "http://c.test/", DELIVER_WHOLE);
    hear(s, DNS_NXDOMAIN, false, NULL);
    hear(s, DNS_NXDOMAIN, false, NULL);
    assert_verdict(s, "nxdomain", "c.test");
    stage_free(s);
}

static struct stage *proved(void)
{
    struct stage *s = stage_new();
    s->profile.checks_caa = true;
    probe(s, "http-01");
    hear_addresses(s, NULL, "192.0.2.1");
    hear_page(s, 200, "tok.thumb", DELIVER_WHOLE);
    assert_asks(s, "a.sub.test", DNS_CAA);
    return s;
}

static void test_caa(void **state)
{
    (void)state;
    struct stage *s = proved(); /* nobody up to the top says anything */
    hear(s, DNS_NOERROR, false, NULL);
    assert_asks(s, "sub.test", DNS_CAA);
    hear(s, DNS_NXDOMAIN, false, NULL);
    assert_asks(s, "test", DNS_CAA);
    hear(s, DNS_NOERROR, false, NULL);
    assert_verdict(s, "", "192.0.2.1");
    assert_int_equal(s->asked->as.verdict.status, 200);
    stage_free(s);
    s = proved(); /* the closest one decides */
    hear(s, DNS_NOERROR, false, "0 issue \"ca.test\"");
    assert_verdict(s, "", "192.0.2.1");
    stage_free(s);
    s = proved();
    hear(s, DNS_NOERROR, false, NULL);
    hear(s, DNS_NOERROR, false, "0 issue \"other.test\"");
    assert_verdict(s, "caa", "192.0.2.1");
    assert_str(s->asked->as.verdict.got, "0 issue \"other.test\"");
    stage_free(s);
    s = proved(); /* an alias: the records are those of its target */
    hear(s, DNS_NOERROR, true, "b.test");
    assert_asks(s, "b.test", DNS_CAA);
    hear(s, DNS_NOERROR, false, NULL);
    assert_asks(s, "sub.test", DNS_CAA);
    stage_free(s);
    s = proved();
    hear(s, DNS_SERVFAIL, false, NULL);
    assert_verdict(s, "caa-dns", "192.0.2.1");
    assert_str(s->asked->as.verdict.got, "SERVFAIL");
    stage_free(s);
    s = proved();
    s->bench->now_ms += 10000;
    step(s, NULL);
    assert_verdict(s, "caa-dns", "192.0.2.1");
    assert_str(s->asked->as.verdict.got, "query timed out");
    stage_free(s);
}

static void test_addresses_have_no_caa(void **state)
{
    (void)state;
    static const char *const addresses[] = {"192.0.2.1", "2001:db8::1"};
    for (size_t i = 0; i < COUNTOF(addresses); i++) {
        struct stage *s = stage_new();
        s->profile.checks_caa = true;
        probe_of(s, "http-01", addresses[i]);
        assert_int_equal(s->asked->kind, MSG_REQUEST);
        hear_page(s, 200, "tok.thumb", DELIVER_WHOLE);
        assert_verdict(s, "", addresses[i]);
        stage_free(s);
    }
}

static void test_late_bodies(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    probe(s, "http-01");
    hear_addresses(s, NULL, "192.0.2.1");
    assert_true(s->asked->as.request.limit_ms > 9000 && s->asked->as.request.limit_ms < 10000);
    struct msg *msg = reply(s, MSG_RESPONSE);
    msg->as.response = (struct http_response){
        .status = 200, .body = STR("tok"), .delivery = {.how = DELIVER_SLOW, .over_ms = 3600000}
    };
    s->bench->now_ms += 10001; /* the machine was busy */
    step(s, msg);
    assert_verdict(s, "slow", "192.0.2.1");
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_come_first),
        cmocka_unit_test(test_the_other_family),
        cmocka_unit_test(test_no_address),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_redirects_look_up_again),
        cmocka_unit_test(test_caa),
        cmocka_unit_test(test_addresses_have_no_caa),
        cmocka_unit_test(test_late_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
