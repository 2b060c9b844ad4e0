#include "actor/bench_test.h"
#include "actor/board.h"

#include "acme/address.h"
#include "acme/challenge.h"

#include <stdio.h>

enum { BOARD_SEAT = 1, MANAGEMENT_SEAT, DOH_SEAT, HTTP_SEAT, DNS_SEAT, TLS_SEAT };

struct stage {
    struct bench *bench;
    struct actor *board;
    struct msg *said;
    uint64_t flow;
};

static struct stage *stage_new(void)
{
    struct stage *s = calloc(1, sizeof *s);
    s->bench = bench_new();
    s->flow = 5000;
    s->board = board_new(&(struct board_options){
        .management = {MANAGEMENT_SEAT}, .doh = {DOH_SEAT}, .ipv4 = STR("127.0.0.1"), .ipv6 = STR("::1")});
    return s;
}

static void stage_free(struct stage *s)
{
    if (s->said) msg_free(s->said);
    s->board->free(s->board);
    bench_free(s->bench);
    free(s);
}

/* Everything is answered, at once, to who asked. */
static void hear(struct stage *s, struct msg *msg, uint16_t from, enum msg_kind answer)
{
    msg->from.seat = from;
    msg->flow = ++s->flow;
    bench_step(s->bench, s->board, msg);
    if (s->said) msg_free(s->said);
    s->said = bench_take(s->bench);
    assert_non_null(s->said);
    assert_int_equal(s->said->kind, answer);
    assert_int_equal(s->said->to.seat, from);
    assert_int_equal(s->said->flow, s->flow);
    assert_int_equal(s->bench->out.n, 0);
}

static int call(struct stage *s, const char *path, const char *body)
{
    struct msg *msg = msg_new(MSG_REQUEST);
    msg->as.request.method = STR("POST");
    msg->as.request.url = str_fmt(&msg->arena, "http://127.0.0.1:8055%s", path);
    msg->as.request.body = str_copy(&msg->arena, str_c(body));
    hear(s, msg, MANAGEMENT_SEAT, MSG_RESPONSE);
    return s->said->as.response.status;
}

static void get(struct stage *s, const char *url)
{
    struct msg *msg = msg_new(MSG_REQUEST);
    msg->as.request.method = STR("GET");
    msg->as.request.url = str_copy(&msg->arena, str_c(url));
    msg_header(msg, "Host", STR("a.test"));
    hear(s, msg, HTTP_SEAT, MSG_RESPONSE);
}

static const struct dns_answer *ask(struct stage *s, const char *name, int type)
{
    struct msg *msg = msg_new(MSG_DNS_QUERY);
    msg->as.dns_query = (struct dns_query){.name = str_copy(&msg->arena, str_c(name)), .type = type};
    hear(s, msg, DNS_SEAT, MSG_DNS_ANSWER);
    assert_int_equal(s->said->as.dns_answer.type, type);
    assert_true(s->said->as.dns_answer.has_soa);
    return &s->said->as.dns_answer;
}

static const struct tls_answer *hello(struct stage *s, const char *name, const char *alpn)
{
    struct msg *msg = msg_new(MSG_TLS_HELLO);
    msg->as.tls_hello =
        (struct tls_hello){.name = str_copy(&msg->arena, str_c(name)), .alpn = str_copy(&msg->arena, str_c(alpn))};
    hear(s, msg, TLS_SEAT, MSG_TLS_ANSWER);
    return &s->said->as.tls_answer;
}

#define BODY(s) ((s)->said->as.response.body)

static void test_who_closes(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    get(s, "http://a.test/.well-known/acme-challenge/tok");
    assert_str(headers_get(s->said->as.response.headers, "Connection"), "");
    s->board->free(s->board);
    s->board = board_new(&(struct board_options){.closes = true});
    get(s, "http://a.test/.well-known/acme-challenge/tok");
    assert_str(headers_get(s->said->as.response.headers, "Connection"), "close");
    stage_free(s);
}

static void test_http(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    get(s, "http://a.test/.well-known/acme-challenge/tok");
    assert_int_equal(s->said->as.response.status, 200);
    assert_int_equal(BODY(s).n, 0);
    assert_int_equal(call(s, "/add-http01", "{\"token\":\"tok\",\"content\":\"tok.key\"}"), 200);
    get(s, "http://a.test/.well-known/acme-challenge/tok?x");
    assert_str(BODY(s), "tok.key");
    get(s, "http://a.test/other/tok");
    assert_int_equal(BODY(s).n, 0);
    assert_int_equal(
        call(s, "/add-redirect", "{\"path\":\"/.well-known/acme-challenge/tok\",\"targetURL\":\"/b\",\"status\":307}"),
        200);
    get(s, "http://a.test/.well-known/acme-challenge/tok");
    assert_int_equal(s->said->as.response.status, 307);
    assert_str(headers_get(s->said->as.response.headers, "Location"), "/b");
    assert_str(BODY(s), "<a href=\"/b\">Temporary Redirect</a>.\n\n");
    get(s, "https://a.test/.well-known/acme-challenge/tok");
    assert_str(BODY(s), "tok.key");
    get(s, "http:// broken");
    assert_int_equal(s->said->as.response.status, 400);
    assert_int_equal(call(s, "/del-redirect", "{\"path\":\"/.well-known/acme-challenge/tok\"}"), 200);
    assert_int_equal(call(s, "/del-http01", "{\"token\":\"tok\"}"), 200);
    get(s, "http://a.test/.well-known/acme-challenge/tok");
    assert_int_equal(BODY(s).n, 0);
    stage_free(s);
}

static void test_one_answer_for_each_request(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    const int want[] = {404, 404, 0, 503, 200, 200};
    assert_int_equal(call(s, "/add-http01",
                          "{\"token\":\"t\",\"content\":\"t.k\",\"answers\":[\"404 x2\",\"reset\",{\"status\":503,"
                          "\"headers\":{\"Retry-After\":\"9\"},\"delay\":\"2s\"},\"ok\"]}"),
                     200);
    for (size_t i = 0; i < COUNTOF(want); i++) {
        get(s, "http://a.test/.well-known/acme-challenge/t");
        assert_int_equal(s->said->as.response.status, want[i]);
        if (want[i] == 0) assert_int_equal(s->said->as.response.delivery.how, DELIVER_RESET);
        if (want[i] == 200) assert_str(BODY(s), "t.k");
        if (want[i] != 503) continue;
        assert_str(headers_get(s->said->as.response.headers, "Retry-After"), "9");
        assert_int_equal(s->said->as.response.delivery.delay_ms, 2000);
    }
    /* Pinned up again, it begins anew. */
    assert_int_equal(call(s, "/add-http01", "{\"token\":\"t\",\"content\":\"t.k\",\"status\":404}"), 200);
    get(s, "http://a.test/.well-known/acme-challenge/t");
    assert_int_equal(s->said->as.response.status, 404);
    stage_free(s);
}

static void test_names(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    assert_str(ask(s, "a.test", DNS_A)->records[0], "127.0.0.1");
    assert_str(ask(s, "a.test", DNS_AAAA)->records[0], "::1");
    assert_int_equal(call(s, "/add-a", "{\"host\":\"A.test.\",\"addresses\":[\"10.0.0.1\"]}"), 200);
    assert_int_equal(call(s, "/add-a", "{\"host\":\"a.test\",\"addresses\":[\"10.0.0.2\",\"10.0.0.3\"]}"), 200);
    const struct dns_answer *answer = ask(s, "a.TEST", DNS_A);
    assert_int_equal(answer->n_records, 3);
    assert_str(answer->name, "a.test");
    assert_str(answer->records[2], "10.0.0.3");
    assert_int_equal(ask(s, "a.test", DNS_TXT)->n_records, 0);
    assert_int_equal(call(s, "/set-cname", "{\"host\":\"www.a.test.\",\"target\":\"a.test.\"}"), 200);
    answer = ask(s, "www.a.test", DNS_A);
    assert_str(answer->alias, "a.test");
    assert_int_equal(answer->n_records, 3);
    answer = ask(s, "www.a.test", DNS_CNAME);
    assert_int_equal(answer->alias.n, 0);
    assert_str(answer->records[0], "a.test");
    assert_int_equal(ask(s, "www.a.test", 15)->rcode, DNS_NOTIMP);
    assert_int_equal(call(s, "/add-caa",
                          "{\"host\":\"a.test\",\"policies\":[{\"tag\":\"issue\",\"value\":\"a\\\"b\\\\\"},"
                          "{\"tag\":\"x1\",\"value\":\"\",\"flags\":128}]}"),
                     200);
    answer = ask(s, "a.test", DNS_CAA);
    assert_str(answer->records[0], "0 issue \"a\\034b\\092\"");
    assert_str(answer->records[1], "128 x1 \"\"");
    assert_int_equal(call(s, "/set-default-ipv4", "{\"ip\":\"192.0.2.9\"}"), 200);
    assert_int_equal(call(s, "/set-default-ipv6", "{\"ip\":\"\"}"), 200);
    assert_str(ask(s, "b.test", DNS_A)->records[0], "192.0.2.9");
    assert_int_equal(ask(s, "b.test", DNS_AAAA)->n_records, 0);
    assert_int_equal(call(s, "/clear-a", "{\"host\":\"a.test.\"}"), 200);
    assert_str(ask(s, "a.test", DNS_A)->records[0], "192.0.2.9");
    stage_free(s);
}

static void test_names_fail(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    assert_int_equal(call(s, "/set-servfail", "{\"host\":\"a.test\"}"), 200);
    assert_int_equal(ask(s, "a.test", DNS_A)->rcode, DNS_SERVFAIL);
    assert_int_equal(call(s, "/set-servfail", "{\"host\":\"a.test\",\"answers\":[\"timeout\",\"wrong-txt\",\"ok\"]}"),
                     200);
    assert_int_equal(ask(s, "a.test", DNS_A)->delivery.how, DELIVER_HANG);
    assert_int_equal(ask(s, "a.test", DNS_A)->n_records, 0); /* a text is no address */
    assert_int_equal(ask(s, "a.test", DNS_A)->n_records, 1);
    assert_int_equal(call(s, "/clear-servfail", "{\"host\":\"a.test\"}"), 200);
    assert_int_equal(call(s, "/set-txt", "{\"host\":\"a.test\",\"value\":\"one\"}"), 200);
    assert_int_equal(
        call(s, "/set-txt",
             "{\"host\":\"a.test\",\"value\":\"two\",\"answers\":[\"nxdomain\",{\"records\":[\"{proof}!\"]},\"ok\"]}"),
        200);
    assert_int_equal(ask(s, "a.test", DNS_A)->rcode, DNS_NOERROR);
    assert_int_equal(ask(s, "a.test", DNS_TXT)->rcode, DNS_NXDOMAIN);
    assert_str(ask(s, "a.test", DNS_TXT)->records[0], "two!");
    assert_int_equal(ask(s, "a.test", DNS_TXT)->n_records, 2);
    stage_free(s);
}

static void test_tls(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    struct arena arena = {0};
    assert_str(hello(s, "a.test", "acme-tls/1")->alert, "unrecognized_name");
    assert_int_equal(call(s, "/add-tlsalpn01", "{\"host\":\"a.test\",\"content\":\"t.k\"}"), 200);
    assert_str(hello(s, "a.test", "h2")->alert, "no_application_protocol");
    assert_str(hello(s, "a.test", "")->alert, "no_application_protocol");
    const struct tls_answer *answer = hello(s, "A.test", "h2,acme-tls/1");
    assert_int_equal(answer->alert.n, 0);
    assert_str(answer->alpn, "acme-tls/1");
    assert_str(answer->san, "a.test");
    assert_true(answer->self_signed && answer->has_extension && answer->critical);
    assert_true(str_eq(answer->digest, challenge_proof(&arena, CHALLENGE_TLS_ALPN_01, STR("t.k"))));
    assert_false(answer->obsolete || answer->expired || answer->second_certificate);
    assert_int_equal(
        call(s, "/add-tlsalpn01", "{\"host\":\"a.test\",\"content\":\"t.k\",\"answers\":[\"extra-san\",\"expired\"]}"),
        200);
    assert_str(hello(s, "a.test", "acme-tls/1")->san, "a.test,extra.a.test");
    assert_true(hello(s, "a.test", "acme-tls/1")->expired);
    assert_int_equal(call(s, "/add-tlsalpn01", "{\"host\":\"2001:DB8::7\",\"content\":\"t.k\"}"), 200);
    struct str reverse = address_reverse(&arena, STR("2001:db8::7"));
    assert_str(hello(s, "2001:db8::7", "acme-tls/1")->alert, "unrecognized_name");
    assert_str(hello(s, reverse.at, "acme-tls/1")->san, "ip:2001:db8::7");
    assert_int_equal(call(s, "/del-tlsalpn01", "{\"host\":\"2001:db8:0::7\"}"), 200);
    assert_str(hello(s, reverse.at, "acme-tls/1")->alert, "unrecognized_name");
    arena_done(&arena);
    stage_free(s);
}

static void doh(struct stage *s, const char *method, const char *url, const char *type, struct str body)
{
    struct msg *msg = msg_new(MSG_REQUEST);
    msg->as.request.method = str_copy(&msg->arena, str_c(method));
    msg->as.request.url = str_copy(&msg->arena, str_c(url));
    msg->as.request.body = str_copy(&msg->arena, body);
    if (type) msg_header(msg, "Content-Type", str_c(type));
    hear(s, msg, DOH_SEAT, MSG_RESPONSE);
}

static void test_dns_over_https(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    struct arena arena = {0};
    const struct str query = STR("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x01");
    const char *type = "application/dns-message";
    doh(s, "POST", "https://localhost:8443/dns-query", type, query);
    assert_int_equal(s->said->as.response.status, 200);
    assert_str(headers_get(s->said->as.response.headers, "Content-Type"), type);
    assert_memory_equal(BODY(s).at, "\x12\x34\x85\x00\x00\x01\x00\x01", 8);
    struct str first = str_copy(&arena, BODY(s));
    struct str url = str_fmt(&arena, "https://localhost:8443/dns-query?a=b&dns=%s", base64url(&arena, query).at);
    doh(s, "GET", url.at, NULL, (struct str){0});
    assert_true(str_eq(BODY(s), first));
    doh(s, "POST", "https://localhost:8443/dns-query", "text/plain", query);
    assert_int_equal(s->said->as.response.status, 415);
    doh(s, "POST", "https://localhost:8443/dns-query", type, STR("short"));
    assert_int_equal(s->said->as.response.status, 400);
    doh(s, "DELETE", "https://localhost:8443/dns-query", type, query);
    assert_int_equal(s->said->as.response.status, 405);
    doh(s, "GET", "https://localhost:8443/dns-query?dns=A", NULL, (struct str){0});
    assert_int_equal(s->said->as.response.status, 400);
    doh(s, "GET", "https://localhost:8443/", NULL, (struct str){0});
    assert_int_equal(s->said->as.response.status, 404);
    assert_int_equal(call(s, "/set-servfail", "{\"host\":\"x\",\"answers\":[\"delay 3s\",\"timeout\"]}"), 200);
    doh(s, "POST", "https://localhost:8443/dns-query", type, query);
    assert_int_equal(s->said->as.response.delivery.delay_ms, 3000);
    doh(s, "POST", "https://localhost:8443/dns-query", type, query);
    assert_int_equal(s->said->as.response.delivery.how, DELIVER_HANG);
    arena_done(&arena);
    stage_free(s);
}

static void test_history(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    assert_int_equal(call(s, "/http-request-history", "{\"host\":\"a.test\"}"), 200);
    assert_str(BODY(s), "[]");
    get(s, "https://a.test:5003/x?y");
    hello(s, "a.test", "h2,x");
    hello(s, "a.test", "");
    assert_int_equal(call(s, "/http-request-history", "{\"host\":\"a.test\"}"), 200);
    assert_str(BODY(s), "[\n   {\n      \"URL\": \"/x?y\",\n      \"Host\": \"a.test\",\n      \"HTTPS\": true,\n"
                        "      \"ServerName\": \"a.test\"\n   }\n]");
    assert_int_equal(call(s, "/tlsalpn01-request-history", "{\"host\":\"a.test\"}"), 200);
    assert_str(BODY(s), "[\n   {\n      \"ServerName\": \"a.test\",\n      \"SupportedProtos\": [\n         \"h2\",\n"
                        "         \"x\"\n      ]\n   },\n   {\n      \"ServerName\": \"a.test\",\n"
                        "      \"SupportedProtos\": null\n   }\n]");
    assert_int_equal(call(s, "/clear-request-history", "{\"host\":\"a.test\",\"type\":\"tlsalpn\"}"), 200);
    assert_int_equal(call(s, "/tlsalpn01-request-history", "{\"host\":\"a.test\"}"), 200);
    assert_str(BODY(s), "[]");
    assert_int_equal(call(s, "/clear-request-history", "{\"host\":\"a.test\",\"type\":\"smoke\"}"), 400);
    stage_free(s);
}

static size_t count_text(struct str text, const char *needle)
{
    size_t n = 0;
    for (ptrdiff_t at; (at = str_find(text, needle)) >= 0; n++)
        text = (struct str){text.at + at + 1, text.n - (size_t)at - 1};
    return n;
}

static void test_everything_is_bounded(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    char body[128];
    for (int i = 0; i <= BOARD_MAX_PINS; i++) {
        snprintf(body, sizeof body, "{\"token\":\"t%d\",\"content\":\"c\"}", i);
        assert_int_equal(call(s, "/add-http01", body), i < BOARD_MAX_PINS ? 200 : 400);
    }
    assert_str(BODY(s), "there are 16384 entries already\n");
    assert_int_equal(call(s, "/add-http01", "{\"token\":\"t7\",\"content\":\"again\"}"), 200);
    assert_int_equal(call(s, "/del-http01", "{\"token\":\"t8\"}"), 200);
    assert_int_equal(call(s, "/add-http01", "{\"token\":\"new\",\"content\":\"c\"}"), 200);
    get(s, "http://a.test/.well-known/acme-challenge/t7");
    assert_str(BODY(s), "again");
    for (int i = 0; i < BOARD_MAX_HISTORY + 10; i++)
        ask(s, i < 5 ? "first.test" : "a.test", DNS_A);
    assert_int_equal(call(s, "/dns-request-history", "{\"host\":\"first.test\"}"), 200);
    assert_str(BODY(s), "[]");
    assert_int_equal(call(s, "/dns-request-history", "{\"host\":\"a.test\"}"), 200);
    assert_int_equal(count_text(BODY(s), "Question"), BOARD_MAX_HISTORY);
    assert_int_equal(call(s, "/del-http01", "{\"token\":\"t9\"}"), 200);
    for (int i = 0; i < 20; i++) {
        snprintf(body, sizeof body, "{\"host\":\"txt.test\",\"value\":\"v%d\"}", i);
        assert_int_equal(call(s, "/set-txt", body), 200);
    }
    assert_int_equal(ask(s, "txt.test", DNS_TXT)->n_records, DNS_MAX_RECORDS);
    assert_str(ask(s, "txt.test", DNS_TXT)->records[0], "v4");
    stage_free(s);
}

static void test_calls_are_refused(void **state)
{
    (void)state;
    struct stage *s = stage_new();
    const struct {
        const char *path, *body;
        int status;
        const char *text;
    } rows[] = {
        {"/nothing",              "{}",                                                         404, "404 page not found\n"                              },
        {"/add-a",                "",                                                           400, "Expected JSON POST body, was empty\n"              },
        {"/add-a",                "{}",                                                         400, ""                                                  },
        {"/add-a",                "{\"host\":\"x\",\"addresses\":[\"1\"]}",                     400, "body:1:26: \"1\" is not an IPv4 address\n"         },
        {"/add-a",                "{\"host\":\"x\",\"addresses\":\"1.2.3.4\"}",                 400,
         "body:1:25: a list of addresses is expected here, not a text\n"                                                                                 },
        {"/add-http01",           "[]",                                                         400, "body:1:1: an object is expected here, not a list\n"},
        {"/add-http01",           "{\"token\":null,\"content\":\"x\"}",                         400, "body:1:10: a text is expected here, not null\n"    },
        {"/add-http01",           "{\"token\":\"t\",\"content\":\"x\",\"answers\":[\"okay\"]}", 400,
         "body:1:39: unknown http-01 answer \"okay\" - did you mean \"ok\"?\n"                                                                           },
        {"/add-http01",           "{\"token\":\"t\",\"content\":\"x\",\"anwser\":\"ok\"}",      400,
         "body:1:28: unknown member \"anwser\" - did you mean \"answer\"?\n"                                                                             },
        {"/add-redirect",         "{\"path\":\"/\",\"targetURL\":\"x\",\"status\":200}",        400,
         "body:1:38: 200 is not within 300 and 399\n"                                                                                                    },
        {"/http-request-history", "{}",                                                         400, "host parameter of POST body must not be empty\n"   },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        assert_int_equal(call(s, rows[i].path, rows[i].body), rows[i].status);
        assert_str(BODY(s), rows[i].text);
    }
    /* What was refused has changed nothing. */
    assert_str(ask(s, "x", DNS_A)->records[0], "127.0.0.1");
    get(s, "http://a.test/.well-known/acme-challenge/t");
    assert_int_equal(BODY(s).n, 0);
    stage_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_closes),
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_one_answer_for_each_request),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_names_fail),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_dns_over_https),
        cmocka_unit_test(test_history),
        cmocka_unit_test(test_everything_is_bounded),
        cmocka_unit_test(test_calls_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
