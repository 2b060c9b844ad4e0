#include "actor/bench_test.h"
#include "actor/responder.h"
#include "wire/fault.h"

enum { CLIENT_SEAT = 1, VA_SEAT = 2, EDGE_SEAT = 3, OUTSIDE_SEAT = 4 };
static const char *const TOKEN_URL = "http://a.example.test/.well-known/acme-challenge/tok";

struct stage {
    struct bench *bench;
    struct scenario *scenario;
    struct responder_options options;
    struct actor *responder;
    struct msg *said;
    uint64_t flow;
};

static struct stage *stage_new(void)
{
    struct stage *s = calloc(1, sizeof *s);
    s->bench = bench_new();
    s->scenario = calloc(1, sizeof *s->scenario);
    s->scenario->identifiers[0] = STR("a.example.test");
    s->scenario->n_identifiers = 1;
    s->options = (struct responder_options){
        .scenario = s->scenario, .validator = {VA_SEAT}, .address = STR("127.0.0.1"), .speed = 1};
    s->flow = 5000;
    return s;
}

static void open_stage(struct stage *s)
{
    s->responder = responder_new(&s->options);
}

static void stage_free(struct stage *s)
{
    if (s->said) msg_free(s->said);
    if (s->responder) s->responder->free(s->responder);
    bench_free(s->bench);
    free(s->scenario);
    free(s);
}

static struct answer *add(struct stage *s, enum challenge_type type, struct answer answer)
{
    struct answers *answers = &s->scenario->answers[type];
    if (!answer.times) answer.times = 1;
    answers->at[answers->n] = answer;
    return &answers->at[answers->n++];
}

#define HTTP(...) ((struct answer){.kind = ANSWER_HTTP, .status = __VA_ARGS__})
#define OKAY      ((struct answer){.kind = ANSWER_OK, .status = 200})

static void hear(struct stage *s, struct msg *msg, uint16_t from)
{
    msg->from.seat = from;
    if (!msg->flow) msg->flow = ++s->flow;
    if (*s->bench->out.next_flow < msg->flow) *s->bench->out.next_flow = msg->flow;
    bench_step(s->bench, s->responder, msg);
    if (s->said) msg_free(s->said);
    s->said = bench_take(s->bench);
}

static void provision_as(struct stage *s, const char *type, const char *place, const char *token, const char *proof,
                         bool withdraw)
{
    struct msg *msg = msg_new(MSG_PROVISION);
    msg->as.provision = (struct provision){.type = str_c(type),
                                           .name = STR("a.example.test"),
                                           .token = str_c(token),
                                           .place = str_c(place),
                                           .proof = str_c(proof),
                                           .withdraw = withdraw};
    hear(s, msg, CLIENT_SEAT);
    assert_null(s->said);
}

static void provision_http(struct stage *s)
{
    provision_as(s, "http-01", "/.well-known/acme-challenge/tok", "tok", "tok.thumb", false);
}

static int get_as(struct stage *s, const char *url, const char *attempt, uint16_t from)
{
    struct msg *msg = msg_new(MSG_REQUEST);
    msg->as.request.method = STR("GET");
    msg->as.request.url = str_c(url);
    if (attempt) msg_header(msg, "X-Acmedrill-Attempt", str_c(attempt));
    hear(s, msg, from);
    assert_non_null(s->said);
    assert_int_equal(s->said->to.seat, from);
    assert_int_equal(s->said->flow, s->flow);
    assert_int_equal(s->said->kind, MSG_RESPONSE);
    return s->said->as.response.status;
}

/* One query of our validator. */
static int get(struct stage *s, const char *attempt)
{
    return get_as(s, TOKEN_URL, attempt, VA_SEAT);
}

static void ask_dns(struct stage *s, const char *name, int type, uint16_t from)
{
    struct msg *msg = msg_new(MSG_DNS_QUERY);
    msg->as.dns_query = (struct dns_query){.name = str_c(name), .type = type};
    hear(s, msg, from);
    assert_int_equal(s->said->kind, MSG_DNS_ANSWER);
    assert_str(s->said->as.dns_answer.name, name);
    assert_int_equal(s->said->as.dns_answer.type, type);
}

static void ask_tls(struct stage *s, const char *name, const char *alpn)
{
    struct msg *msg = msg_new(MSG_TLS_HELLO);
    msg->as.tls_hello = (struct tls_hello){.name = str_c(name), .alpn = str_c(alpn)};
    hear(s, msg, EDGE_SEAT);
}

static void test_http_from_the_book(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    open_stage(s);
    assert_int_equal(get(s, "1"), 404);
    provision_http(s);
    assert_int_equal(get(s, "1"), 200);
    assert_str(s->said->as.response.body, "tok.thumb");
    assert_int_equal(get_as(s, "http://a.example.test/.well-known/acme-challenge/other", "1", VA_SEAT), 404);
    assert_int_equal(get_as(s, "http://a.example.test/index.html", "1", VA_SEAT), 404);
    assert_int_equal(get_as(s, "http:// broken", NULL, EDGE_SEAT), 400);
    provision_as(s, "http-01", "/.well-known/acme-challenge/tok", "tok", "tok.thumb", true);
    assert_int_equal(get(s, "2"), 404);
    stage_free(s);
}

static void test_no_scenario_is_ok(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    s->options.scenario = NULL;
    open_stage(s);
    provision_http(s);
    assert_int_equal(get(s, "1"), 200);
    assert_false(responder_refuses(s->responder, "http-01"));
    stage_free(s);
}

static void test_list_advances_by_attempt(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    add(s, CHALLENGE_HTTP_01, HTTP(404, .times = 2));
    add(s, CHALLENGE_HTTP_01, HTTP(502));
    add(s, CHALLENGE_HTTP_01, OKAY);
    open_stage(s);
    provision_http(s);
    static const int expected[] = {404, 404, 502, 200, 200};
    static const char *const attempts[] = {"1", "2", "3", "4", "5"};
    for (size_t i = 0; i < COUNTOF(expected); i++) {
        assert_int_equal(get(s, attempts[i]), expected[i]); /* all within one second */
        assert_int_equal(get(s, attempts[i]), expected[i]); /* a parallel fetch */
    }
    stage_free(s);
}

static void test_another_token_is_another_query(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    add(s, CHALLENGE_HTTP_01, HTTP(404));
    add(s, CHALLENGE_HTTP_01, OKAY);
    open_stage(s);
    provision_as(s, "http-01", "/.well-known/acme-challenge/next", "next", "next.thumb", false);
    assert_int_equal(get(s, "1"), 404);
    assert_int_equal(get_as(s, "http://a.example.test/.well-known/acme-challenge/next", "1", VA_SEAT), 200);
    stage_free(s);
}

static void test_names_have_their_own_place_in_the_list(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    add(s, CHALLENGE_HTTP_01, HTTP(404));
    add(s, CHALLENGE_HTTP_01, HTTP(502));
    open_stage(s);
    assert_int_equal(get(s, "1"), 404);
    assert_int_equal(get_as(s, "http://b.example.test/.well-known/acme-challenge/tok", "1", VA_SEAT), 404);
    assert_int_equal(get_as(s, "http://B.Example.test:80/.well-known/acme-challenge/tok", "2", VA_SEAT), 502);
    assert_int_equal(get(s, "2"), 502);
    stage_free(s);
}

static void test_strangers_go_by_the_second(void **state)
{
    (void)state;
    for (int speed = 1; speed <= 4; speed += 3) {
        struct stage *s = stage_new();
        s->options.speed = speed;
        add(s, CHALLENGE_HTTP_01, HTTP(404));
        add(s, CHALLENGE_HTTP_01, HTTP(502));
        open_stage(s);
        assert_int_equal(get_as(s, TOKEN_URL, NULL, EDGE_SEAT), 404);
        s->bench->now_ms += 1000 / speed - 1;
        assert_int_equal(get_as(s, TOKEN_URL, NULL, EDGE_SEAT), 404);
        s->bench->now_ms += 1;
        assert_int_equal(get_as(s, TOKEN_URL, NULL, EDGE_SEAT), 502);
        stage_free(s);
    }
}

static void test_dns_queries_of_ours_go_by_flow(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    add(s, CHALLENGE_DNS_01, (struct answer){.kind = ANSWER_DNS, .rcode = DNS_NXDOMAIN});
    add(s, CHALLENGE_DNS_01, (struct answer){.kind = ANSWER_DNS, .rcode = DNS_SERVFAIL});
    open_stage(s);
    /* Three sent together, the first is answered before the others arrive. */
    *s->bench->out.next_flow = 5003;
    for (int i = 0; i < 3; i++) {
        ask_dns(s, "_acme-challenge.a.example.test", DNS_TXT, VA_SEAT);
        assert_int_equal(s->said->as.dns_answer.rcode, DNS_NXDOMAIN);
    }
    ask_dns(s, "_acme-challenge.a.example.test", DNS_TXT, VA_SEAT); /* sent later */
    assert_int_equal(s->said->as.dns_answer.rcode, DNS_SERVFAIL);
    stage_free(s);
}

static void test_dns_strangers_go_by_the_second(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    add(s, CHALLENGE_DNS_01, (struct answer){.kind = ANSWER_DNS, .rcode = DNS_NXDOMAIN});
    add(s, CHALLENGE_DNS_01, (struct answer){.kind = ANSWER_DNS, .rcode = DNS_SERVFAIL});
    open_stage(s);
    ask_dns(s, "_acme-challenge.a.example.test", DNS_TXT, EDGE_SEAT);
    s->bench->now_ms += 999;
    ask_dns(s, "_acme-challenge.a.example.test", DNS_TXT, EDGE_SEAT);
    assert_int_equal(s->said->as.dns_answer.rcode, DNS_NXDOMAIN);
    ask_dns(s, "a.example.test", DNS_A, EDGE_SEAT); /* no validation query */
    s->bench->now_ms += 1;
    ask_dns(s, "_Acme-Challenge.A.example.test", DNS_TXT, EDGE_SEAT);
    assert_int_equal(s->said->as.dns_answer.rcode, DNS_SERVFAIL);
    stage_free(s);
}

static void test_dns_book(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    open_stage(s);
    const char *place = "_acme-challenge.a.example.test";
    ask_dns(s, place, DNS_TXT, VA_SEAT);
    assert_int_equal(s->said->as.dns_answer.n_records, 0);
    assert_int_equal(s->said->as.dns_answer.rcode, DNS_NOERROR);
    provision_as(s, "dns-01", place, "t1", "digest-1", false);
    provision_as(s, "dns-01", place, "t2", "digest-2", false);
    ask_dns(s, place, DNS_TXT, VA_SEAT);
    assert_int_equal(s->said->as.dns_answer.n_records, 2);
    assert_str(s->said->as.dns_answer.records[0], "digest-1");
    assert_str(s->said->as.dns_answer.records[1], "digest-2");
    provision_as(s, "dns-01", place, "t1", "digest-1", true);
    ask_dns(s, place, DNS_TXT, VA_SEAT);
    assert_int_equal(s->said->as.dns_answer.n_records, 1);
    assert_str(s->said->as.dns_answer.records[0], "digest-2");
    ask_dns(s, "a.example.test", DNS_A, EDGE_SEAT);
    assert_int_equal(s->said->as.dns_answer.n_records, 1);
    assert_str(s->said->as.dns_answer.records[0], "127.0.0.1");
    ask_dns(s, "a.example.test", DNS_AAAA, EDGE_SEAT);
    assert_int_equal(s->said->as.dns_answer.n_records, 0);
    assert_int_equal(s->said->as.dns_answer.rcode, DNS_NOERROR);
    ask_dns(s, "a.example.test", DNS_CAA, EDGE_SEAT);
    assert_int_equal(s->said->as.dns_answer.n_records, 0);
    ask_dns(s, "a.example.test", DNS_TXT, EDGE_SEAT);
    assert_int_equal(s->said->as.dns_answer.n_records, 0);
    stage_free(s);
}

static void test_dns_records_of_the_list(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    add(s, CHALLENGE_DNS_01,
        (struct answer){
            .kind = ANSWER_DNS,
            .records = {STR("v=spf1 -all"), STR("{proof}"), STR("{name}")},
            .n_records = 3,
            .delivery = {.delay_ms = 500    }
    });
    add(s, CHALLENGE_DNS_01, (struct answer){.kind = ANSWER_DNS, .delivery = {.how = DELIVER_HANG}});
    s->options.speed = 5;
    open_stage(s);
    provision_as(s, "dns-01", "_acme-challenge.a.example.test", "t1", "digest-1", false);
    ask_dns(s, "_acme-challenge.a.example.test", DNS_TXT, VA_SEAT);
    assert_int_equal(s->said->as.dns_answer.n_records, 3);
    assert_str(s->said->as.dns_answer.records[0], "v=spf1 -all");
    assert_str(s->said->as.dns_answer.records[1], "digest-1");
    assert_str(s->said->as.dns_answer.records[2], "a.example.test");
    assert_int_equal(s->said->as.dns_answer.delivery.delay_ms, 100);
    ask_dns(s, "_acme-challenge.a.example.test", DNS_TXT, VA_SEAT);
    assert_int_equal(s->said->as.dns_answer.delivery.how, DELIVER_HANG);
    stage_free(s);
}

static void test_http_words(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    struct headers headers = {0};
    headers_add(&headers, STR("X-Where"), STR("{name}"));
    headers_add(&headers, STR("Content-Type"), STR("text/weird"));
    add(s, CHALLENGE_HTTP_01, HTTP(200, .body = STR("<{proof}|{token}|{name}|{place}|{other}>"), .headers = &headers));
    add(s, CHALLENGE_HTTP_01,
        HTTP(200, .body = STR("{proof}\n"), .delivery = {.how = DELIVER_TRUNCATED, .at_byte = 20}));
    add(s, CHALLENGE_HTTP_01,
        HTTP(200, .body = STR("{proof}"), .delivery = {.how = DELIVER_SLOW, .over_ms = 3000, .delay_ms = 900}));
    add(s, CHALLENGE_HTTP_01, HTTP(0, .delivery = {.how = DELIVER_RESET}));
    add(s, CHALLENGE_HTTP_01, (struct answer){.kind = ANSWER_OK, .delivery = {.delay_ms = 3000}, .headers = &headers});
    s->options.speed = 3;
    open_stage(s);
    provision_http(s);
    const struct http_response *response;

    assert_int_equal(get(s, "1"), 200);
    response = &s->said->as.response;
    assert_str(response->body, "<tok.thumb|tok|a.example.test|/.well-known/acme-challenge/tok|{other}>");
    assert_str(headers_get(response->headers, "X-Where"), "a.example.test");
    assert_str(headers_get(response->headers, "Content-Type"), "text/weird");
    assert_int_equal(headers_count(response->headers, "Content-Type"), 1);

    get(s, "2");
    response = &s->said->as.response;
    assert_int_equal(response->delivery.how, DELIVER_TRUNCATED);
    assert_int_equal(response->delivery.at_byte, 20);
    assert_str(response->body, "tok.thumb\n");
    assert_str(headers_get(response->headers, "Content-Type"), "application/octet-stream");

    get(s, "3");
    response = &s->said->as.response;
    assert_int_equal(response->delivery.how, DELIVER_SLOW);
    assert_int_equal(response->delivery.over_ms, 1000);
    assert_int_equal(response->delivery.delay_ms, 300);

    assert_int_equal(get(s, "4"), 0);
    assert_int_equal(s->said->as.response.delivery.how, DELIVER_RESET);

    assert_int_equal(get(s, "5"), 200);
    response = &s->said->as.response;
    assert_int_equal(response->delivery.delay_ms, 1000);
    assert_str(response->body, "tok.thumb");
    assert_str(headers_get(response->headers, "X-Where"), "a.example.test");
    stage_free(s);
}

static void test_faults_are_marked(void **state)
{
    (void)state;
    static const struct fault fault = {.name = "x"};
    struct stage *s = stage_new();
    struct answer okay = OKAY;
    okay.fault = &fault;
    add(s, CHALLENGE_HTTP_01, okay);
    add(s, CHALLENGE_DNS_01, okay);
    add(s, CHALLENGE_TLS_ALPN_01, okay);
    open_stage(s);
    get(s, "1");
    assert_ptr_equal(s->said->fault, &fault);
    ask_dns(s, "_acme-challenge.a.example.test", DNS_TXT, VA_SEAT);
    assert_ptr_equal(s->said->fault, &fault);
    ask_tls(s, "a.example.test", "acme-tls/1");
    assert_ptr_equal(s->said->fault, &fault);
    stage_free(s);
}

static void test_redirect_ends_at_the_proof(void **state)
{
    (void)state;
    const struct {
        const char *redirect, *location, *follow;
    } rows[] = {
        {"/elsewhere",                        "/elsewhere",                                           "http://a.example.test/elsewhere"},
        {"http://b.example.test/x?t={token}", "http://b.example.test/x?t=tok",                        "http://b.example.test/x?t=tok"  },
        {"http://b.example.test{place}",      "http://b.example.test/.well-known/acme-challenge/tok",
         "http://b.example.test/.well-known/acme-challenge/tok"                                                                        },
        {"https://{name}/deep",               "https://a.example.test/deep",                          "https://a.example.test/deep"    },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct stage *s = stage_new();
        add(s, CHALLENGE_HTTP_01, HTTP(302, .redirect = str_c(rows[i].redirect)));
        add(s, CHALLENGE_HTTP_01, HTTP(502));
        open_stage(s);
        provision_http(s);
        assert_int_equal(get_as(s, rows[i].follow, "1", VA_SEAT) == 302, i == 2); /* nobody was sent there yet */
        assert_int_equal(get(s, "1"), 302);
        assert_str(headers_get(s->said->as.response.headers, "Location"), rows[i].location);
        s->bench->now_ms += 1500; /* following takes time, and is no query */
        assert_int_equal(get_as(s, rows[i].follow, "1", VA_SEAT), 200);
        assert_str(s->said->as.response.body, "tok.thumb");
        assert_int_equal(get(s, "2"), 502);
        stage_free(s);
    }
}

static void test_redirect_loop(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    add(s, CHALLENGE_HTTP_01, HTTP(302, .redirect = STR("http://{name}{place}")));
    add(s, CHALLENGE_HTTP_01, OKAY);
    open_stage(s);
    provision_http(s);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(get(s, "1"), 302);
        assert_str(headers_get(s->said->as.response.headers, "Location"), TOKEN_URL);
    }
    assert_int_equal(get(s, "2"), 200);
    stage_free(s);
}

/* RFC 8738 section 6: the hello has the reverse-mapping name, the certificate the address. */
static void test_tls_of_an_address(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    open_stage(s);
    provision_as(s, "tls-alpn-01", "1.2.0.192.in-addr.arpa", "tok", "0123456789abcdef0123456789abcdef", false);
    ask_tls(s, "1.2.0.192.IN-ADDR.arpa", "acme-tls/1");
    assert_str(s->said->as.tls_answer.san, "a.example.test"); /* whatever was provisioned there */
    assert_true(str_is(s->said->as.tls_answer.digest, "0123456789abcdef0123456789abcdef"));
    stage_free(s);
}

static void test_tls(void **state)
{
    (void)state;
    static const char proof[] = "0123456789abcdef0123456789abcdef";
    struct stage *s = stage_new();
    add(s, CHALLENGE_TLS_ALPN_01, (struct answer){.kind = ANSWER_TLS, .defect = TLS_NO_ALPN});
    add(s, CHALLENGE_TLS_ALPN_01, (struct answer){.kind = ANSWER_TLS, .defect = TLS_WRONG_CERT});
    add(s, CHALLENGE_TLS_ALPN_01, (struct answer){.kind = ANSWER_TLS, .defect = TLS_ALERT});
    add(s, CHALLENGE_TLS_ALPN_01, (struct answer){.kind = ANSWER_TLS, .delivery = {.how = DELIVER_REFUSED}});
    add(s, CHALLENGE_TLS_ALPN_01, OKAY);
    open_stage(s);
    provision_as(s, "tls-alpn-01", "a.example.test", "tok", proof, false);
    for (int i = 0; i < 5; i++) {
        ask_tls(s, "A.example.test", "acme-tls/1");
        const struct tls_answer *answer = &s->said->as.tls_answer;
        assert_int_equal(s->said->kind, MSG_TLS_ANSWER);
        if (i == 0) assert_int_equal(answer->alpn.n, 0);
        if (i == 1 || i == 4) {
            assert_str(answer->alpn, "acme-tls/1");
            assert_str(answer->san, "a.example.test");
            assert_true(answer->self_signed && answer->has_extension && answer->critical);
            assert_int_equal(answer->digest.n, 32);
            assert_int_equal(str_is(answer->digest, proof), i == 4);
        }
        if (i == 2) assert_str(answer->alert, "handshake_failure");
        assert_int_equal(answer->delivery.how, i == 3 ? DELIVER_REFUSED : DELIVER_WHOLE);
        s->bench->now_ms += 1000;
    }
    ask_tls(s, "a.example.test", "h2");
    assert_int_equal(s->said->as.tls_answer.alpn.n, 0);
    assert_int_equal(s->said->as.tls_answer.alert.n, 0);
    ask_tls(s, "b.example.test", "acme-tls/1"); /* the list holds for every name */
    s->bench->now_ms += 1000;
    ask_tls(s, "b.example.test", "acme-tls/1");
    assert_int_equal(s->said->as.tls_answer.digest.at[0], 1);
    stage_free(s);

    s = stage_new();
    open_stage(s);
    ask_tls(s, "a.example.test", "acme-tls/1"); /* nothing provisioned */
    assert_str(s->said->as.tls_answer.alert, "no_application_protocol");
    stage_free(s);
}

static struct msg *outside_says(struct stage *s, int status, const char *body, enum delivery_how how)
{
    assert_int_equal(s->said->kind, MSG_REQUEST);
    assert_int_equal(s->said->to.seat, OUTSIDE_SEAT);
    struct msg *msg = msg_new(MSG_RESPONSE);
    msg->flow = s->said->flow;
    msg->as.response = (struct http_response){.status = status, .body = str_c(body), .delivery = {.how = how}};
    msg_header(msg, "X-Server", STR("real"));
    return msg;
}

/* A request that the responder hands on: it is said->kind MSG_REQUEST afterwards. Returns the flow of the asker. */
static uint64_t get_outside(struct stage *s, const char *url, const char *attempt)
{
    struct msg *msg = msg_new(MSG_REQUEST);
    msg->as.request.method = STR("GET");
    msg->as.request.url = str_c(url);
    msg_header(msg, "X-Acmedrill-Attempt", str_c(attempt));
    msg_header(msg, "Accept", STR("*/*"));
    hear(s, msg, VA_SEAT);
    return s->flow;
}

static void test_outside(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    s->options.outside.seat = OUTSIDE_SEAT;
    add(s, CHALLENGE_HTTP_01, OKAY);
    add(s, CHALLENGE_HTTP_01, HTTP(200, .body = STR("{proof} and more")));
    add(s, CHALLENGE_HTTP_01, HTTP(502, .body = STR("gone")));
    add(s, CHALLENGE_HTTP_01, HTTP(302, .redirect = STR("/else")));
    add(s, CHALLENGE_HTTP_01, (struct answer){.kind = ANSWER_OK, .delivery = {.delay_ms = 700}});
    open_stage(s);

    uint64_t asked = get_outside(s, TOKEN_URL, "1");
    assert_str(s->said->as.request.url, TOKEN_URL);
    assert_str(headers_get(s->said->as.request.headers, "Accept"), "*/*");
    assert_str(headers_get(s->said->as.request.headers, "Host"), "a.example.test");
    assert_null(headers_get(s->said->as.request.headers, "X-Acmedrill-Attempt").at);
    hear(s, outside_says(s, 200, "tok.real", DELIVER_WHOLE), OUTSIDE_SEAT);
    assert_int_equal(s->said->flow, asked);
    assert_int_equal(s->said->to.seat, VA_SEAT);
    assert_int_equal(s->said->as.response.status, 200);
    assert_str(s->said->as.response.body, "tok.real");
    assert_str(headers_get(s->said->as.response.headers, "X-Server"), "real");

    asked = get_outside(s, TOKEN_URL, "2");
    hear(s, outside_says(s, 200, "tok.real\n", DELIVER_WHOLE), OUTSIDE_SEAT);
    assert_int_equal(s->said->flow, asked);
    assert_str(s->said->as.response.body, "tok.real and more");

    assert_int_equal(get(s, "3"), 502); /* needs nothing from outside */

    assert_int_equal(get(s, "4"), 302);
    asked = get_outside(s, "http://a.example.test/else", "4");
    assert_str(s->said->as.request.url, TOKEN_URL);
    hear(s, outside_says(s, 0, NULL, DELIVER_REFUSED), OUTSIDE_SEAT);
    assert_int_equal(s->said->flow, asked);
    assert_int_equal(s->said->as.response.delivery.how, DELIVER_REFUSED);

    asked = get_outside(s, TOKEN_URL, "5");
    struct msg *twice = outside_says(s, 200, "again", DELIVER_WHOLE);
    hear(s, outside_says(s, 404, "none", DELIVER_WHOLE), OUTSIDE_SEAT);
    assert_int_equal(s->said->flow, asked);
    assert_int_equal(s->said->as.response.status, 404);
    assert_int_equal(s->said->as.response.delivery.delay_ms, 700);
    hear(s, twice, OUTSIDE_SEAT);
    assert_null(s->said); /* one answer is enough */
    stage_free(s);
}

static void test_outside_tls(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    s->options.outside.seat = OUTSIDE_SEAT;
    open_stage(s);
    ask_tls(s, "a.example.test", "acme-tls/1");
    uint64_t asked = s->flow;
    assert_int_equal(s->said->kind, MSG_TLS_HELLO);
    assert_int_equal(s->said->to.seat, OUTSIDE_SEAT);
    struct msg *msg = msg_new(MSG_TLS_ANSWER);
    msg->flow = s->said->flow;
    msg->as.tls_answer =
        (struct tls_answer){.alpn = STR("acme-tls/1"), .san = STR("a.example.test"), .digest = STR("d")};
    hear(s, msg, OUTSIDE_SEAT);
    assert_int_equal(s->said->kind, MSG_TLS_ANSWER);
    assert_int_equal(s->said->flow, asked);
    assert_int_equal(s->said->to.seat, EDGE_SEAT);
    assert_str(s->said->as.tls_answer.digest, "d");
    stage_free(s);
}

static void test_refuses_what_comes_next(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    add(s, CHALLENGE_HTTP_01, HTTP(404));
    add(s, CHALLENGE_HTTP_01, HTTP(0, .delivery = {.how = DELIVER_REFUSED}));
    add(s, CHALLENGE_HTTP_01, OKAY);
    open_stage(s);
    assert_false(responder_refuses(s->responder, "http-01"));
    assert_false(responder_refuses(s->responder, "dns-01"));
    assert_int_equal(get_as(s, TOKEN_URL, NULL, EDGE_SEAT), 404);
    assert_false(responder_refuses(s->responder, "http-01")); /* others of the same query may come */
    int64_t began_ms = s->bench->now_ms;
    bench_tick(s->bench, s->responder);
    assert_int_equal(s->bench->now_ms - began_ms, 1000);
    assert_true(responder_refuses(s->responder, "http-01"));
    assert_true(s->responder->next_due_ms(s->responder) == ACTOR_IDLE);
    get_as(s, TOKEN_URL, NULL, EDGE_SEAT);
    assert_int_equal(s->said->as.response.delivery.how, DELIVER_REFUSED);
    bench_tick(s->bench, s->responder);
    assert_false(responder_refuses(s->responder, "http-01"));
    stage_free(s);
}

static void test_many_names_stay_bounded(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    add(s, CHALLENGE_HTTP_01, HTTP(418));
    open_stage(s);
    for (int i = 0; i < 1100; i++) {
        struct arena arena = {0};
        int status =
            get_as(s, str_fmt(&arena, "http://n%d.example.test/.well-known/acme-challenge/t", i).at, NULL, EDGE_SEAT);
        assert_int_equal(status, i < 1024 ? 418 : 404);
        arena_done(&arena);
    }
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_http_from_the_book),
        cmocka_unit_test(test_no_scenario_is_ok),
        cmocka_unit_test(test_list_advances_by_attempt),
        cmocka_unit_test(test_another_token_is_another_query),
        cmocka_unit_test(test_names_have_their_own_place_in_the_list),
        cmocka_unit_test(test_strangers_go_by_the_second),
        cmocka_unit_test(test_dns_queries_of_ours_go_by_flow),
        cmocka_unit_test(test_dns_strangers_go_by_the_second),
        cmocka_unit_test(test_dns_book),
        cmocka_unit_test(test_dns_records_of_the_list),
        cmocka_unit_test(test_http_words),
        cmocka_unit_test(test_faults_are_marked),
        cmocka_unit_test(test_redirect_ends_at_the_proof),
        cmocka_unit_test(test_redirect_loop),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_tls_of_an_address),
        cmocka_unit_test(test_outside),
        cmocka_unit_test(test_outside_tls),
        cmocka_unit_test(test_refuses_what_comes_next),
        cmocka_unit_test(test_many_names_stay_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
