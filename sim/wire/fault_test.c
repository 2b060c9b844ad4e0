#include "wire/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct msg *response(const char *nonce)
{
    struct msg *msg = msg_new(MSG_RESPONSE);
    msg->as.response.status = 201;
    msg->as.response.body = STR("{\"status\":\"pending\"}");
    msg_header(msg, "Content-Type", STR("application/json"));
    msg_header(msg, "Location", STR("https://ca.test/order/1"));
    if (nonce) msg_header(msg, "Replay-Nonce", str_c(nonce));
    return msg;
}

static void apply(const char *name, struct msg *msg, struct fault_memory *memory)
{
    const struct fault *fault = fault_find(str_c(name));
    assert_non_null(fault);
    assert_true(fault->applies_to & 1u << msg->kind);
    fault->apply(msg, memory);
}

/* What each row does to a response, and that it does nothing else. */
static void test_each_row(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum delivery_how how;
        int status;
        size_t at_byte;
        int64_t over_ms;
        const char *body, *type, *location, *nonce;
    } rows[] = {
#define SAME_BODY "{\"status\":\"pending\"}"
#define JSON      "application/json"
#define ORDER     "https://ca.test/order/1"
        {"drop",              DELIVER_HANG,      201, 0,  0,    SAME_BODY,         JSON,                       ORDER, "n2"},
        {"reset",             DELIVER_RESET,     201, 0,  0,    SAME_BODY,         JSON,                       ORDER, "n2"},
        {"close",             DELIVER_CLOSED,    201, 0,  0,    SAME_BODY,         JSON,                       ORDER, "n2"},
        {"truncate",          DELIVER_TRUNCATED, 201, 10, 0,    SAME_BODY,         JSON,                       ORDER, "n2"},
        {"empty",             DELIVER_WHOLE,     200, 0,  0,    "",                JSON,                       ORDER, "n2"},
        {"garbage",           DELIVER_GARBAGE,   201, 0,  0,    SAME_BODY,         JSON,                       ORDER, "n2"},
        {"html",              DELIVER_WHOLE,     201, 0,  0,    "<!DOCTYPE html>", "text/html; charset=utf-8", ORDER, "n2"},
        {"no-nonce",          DELIVER_WHOLE,     201, 0,  0,    SAME_BODY,         JSON,                       ORDER, NULL},
        {"stale-nonce",       DELIVER_WHOLE,     201, 0,  0,    SAME_BODY,         JSON,                       ORDER, "n1"},
        {"no-location",       DELIVER_WHOLE,     201, 0,  0,    SAME_BODY,         JSON,                       NULL,  "n2"},
        {"slow",              DELIVER_SLOW,      201, 0,  3000, SAME_BODY,         JSON,                       ORDER, "n2"},
        {"no-expires",        DELIVER_WHOLE,     201, 0,  0,    SAME_BODY,         JSON,                       ORDER, "n2"},
        {"early-certificate", DELIVER_WHOLE,     201, 0,  0,
                                                   "{\"certificate\":\"" ORDER "/certificate\",\"status\":\"pending\"}",     JSON,                       ORDER, "n2"},
    };
    size_t n;
    fault_table(&n);
    assert_int_equal(n, COUNTOF(rows)); /* a new fault wants a row here */
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct fault_memory memory = {0};
        struct msg *first = response("n1"), *msg = response("n2");
        fault_remember(&memory, first);
        fault_remember(&memory, msg); /* the first one stays */
        msg_free(first);
        apply(rows[i].name, msg, &memory);
        const struct http_response *r = &msg->as.response;
        assert_int_equal(r->delivery.how, rows[i].how);
        assert_int_equal(r->delivery.at_byte, rows[i].at_byte);
        assert_int_equal(r->delivery.over_ms, rows[i].over_ms);
        assert_int_equal(r->status, rows[i].status);
        assert_true(str_starts(r->body, rows[i].body));
        if (rows[i].body[0] == 0) assert_int_equal(r->body.n, 0);
        assert_string_equal(headers_get(r->headers, "Content-Type").at, rows[i].type);
        assert_true(str_eq(headers_get(r->headers, "Location"), str_c(rows[i].location)));
        assert_true(str_eq(headers_get(r->headers, "Replay-Nonce"), str_c(rows[i].nonce)));
        assert_false(msg->dropped);
        msg_free(msg);
        arena_done(&memory.arena);
    }
}

static void test_members_of_the_body(void **state)
{
    (void)state;
    static const struct {
        const char *fault, *body, *after;
    } rows[] = {
        {"no-expires",        "{\"status\":\"pending\",\"expires\":\"2030-01-08T00:00:00Z\",\"finalize\":\"u\"}",
         "{\"status\":\"pending\",\"finalize\":\"u\"}"                                                                                             },
        {"no-expires",        "{\"finalize\":\"u\"}",                                                             "{\"finalize\":\"u\"}"           },
        {"no-expires",        "",                                                                                 ""                               },
        {"early-certificate", "{\"certificate\":\"https://x\"}",                                                  "{\"certificate\":\"https://x\"}"},
        {"early-certificate", "not JSON",                                                                         "not JSON"                       },
        {"early-certificate", "",                                                                                 ""                               },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct fault_memory memory = {0};
        struct msg *msg = response("n1");
        msg->as.response.body = str_c(rows[i].body);
        apply(rows[i].fault, msg, &memory);
        assert_true(str_is(msg->as.response.body, rows[i].after));
        msg_free(msg);
    }
}

static void test_requests_and_other_kinds(void **state)
{
    (void)state;
    struct fault_memory memory = {0};
    struct msg *request = msg_new(MSG_REQUEST), *query = msg_new(MSG_DNS_QUERY), *answer = msg_new(MSG_DNS_ANSWER),
               *tls = msg_new(MSG_TLS_ANSWER);
    apply("drop", request, &memory);
    apply("drop", query, &memory);
    apply("drop", answer, &memory);
    apply("reset", tls, &memory);
    assert_true(request->dropped && query->dropped && !answer->dropped);
    assert_int_equal(answer->as.dns_answer.delivery.how, DELIVER_HANG);
    assert_int_equal(tls->as.tls_answer.delivery.how, DELIVER_RESET);
    assert_false(fault_find(STR("html"))->applies_to & 1u << MSG_REQUEST);
    assert_false(fault_find(STR("reset"))->applies_to & 1u << MSG_DNS_ANSWER);
    msg_free(request);
    msg_free(query);
    msg_free(answer);
    msg_free(tls);
}

static void test_headers_where_there_are_none(void **state)
{
    (void)state;
    static const char *const names[] = {"html",  "no-nonce", "stale-nonce", "no-location",
                                        "empty", "truncate", "no-expires",  "early-certificate"};
    for (size_t i = 0; i < COUNTOF(names); i++) {
        struct fault_memory memory = {0};
        struct msg *msg = msg_new(MSG_RESPONSE);
        apply(names[i], msg, &memory); /* stale-nonce: nothing was sent before, nothing can be repeated */
        assert_null(headers_get(msg->as.response.headers, "Replay-Nonce").at);
        assert_null(memory.old_nonce.at);
        msg_free(msg);
    }
}

static void test_names(void **state)
{
    (void)state;
    size_t n, n_names;
    const struct fault *table = fault_table(&n);
    const char *const *names = fault_names(&n_names);
    assert_int_equal(n, n_names);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(table[i].name, names[i]);
        assert_ptr_equal(fault_find(str_c(names[i])), &table[i]);
        assert_true(str_ends(str_c(table[i].help), "."));
    }
    assert_null(fault_find(STR("rest")));
    assert_null(fault_find((struct str){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_row),
        cmocka_unit_test(test_members_of_the_body),
        cmocka_unit_test(test_requests_and_other_kinds),
        cmocka_unit_test(test_headers_where_there_are_none),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
