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

static bool tested[256]; /* by place in the table */

static void apply(const char *name, struct msg *msg, struct fault_memory *memory)
{
    const struct fault *fault = fault_find(str_c(name));
    size_t n;
    assert_non_null(fault);
    tested[fault - fault_table(&n)] = true;
    assert_true(fault_acts_on(fault, msg->kind));
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

static void test_half_close(void **state)
{
    (void)state;
    struct fault_memory memory = {0};
    struct msg *msg = response("n1");
    apply("half-close", msg, &memory);
    assert_true(msg->as.response.delivery.last);
    assert_int_equal(msg->as.response.delivery.how, DELIVER_WHOLE);
    msg_free(msg);
}

/* Simulated, a connection is its request: no answer comes, and by which way tells nothing of certificates. */
static void test_connections(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum handshake handshake;
        enum delivery_how how;
    } rows[] = {
        {"stall-handshake",        HANDSHAKE_STALLS,     DELIVER_HANG  },
        {"reset-handshake",        HANDSHAKE_RESET,      DELIVER_RESET },
        {"close-handshake",        HANDSHAKE_CLOSED,     DELIVER_CLOSED},
        {"expired-certificate",    HANDSHAKE_EXPIRED,    DELIVER_CLOSED},
        {"wrong-name-certificate", HANDSHAKE_OTHER_NAME, DELIVER_CLOSED},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct fault_memory memory = {0};
        struct msg *msg = msg_new(MSG_RESPONSE);
        const struct fault *fault = fault_find(str_c(rows[i].name));
        apply(rows[i].name, msg, &memory);
        assert_int_equal(msg->as.response.delivery.how, rows[i].how);
        assert_int_equal(fault->handshake, rows[i].handshake);
        assert_int_equal(fault->applies_to, FAULT_CONNECT); /* so no reply of a scenario can name it */
        assert_false(fault_acts_on(fault, MSG_TLS_ANSWER));
        msg_free(msg);
    }
    assert_int_equal(fault_find(STR("drop"))->handshake, HANDSHAKE_GOOD);
}

static struct str values_of(struct msg *msg, const char *name)
{
    const struct headers *headers = msg->as.response.headers;
    struct buf out = {.arena = &msg->arena};
    for (size_t i = 0; headers && i < headers->n; i++)
        if (str_is_nocase(headers->at[i].name, name))
            buf_fmt(&out, "%s%.*s", out.n ? " | " : "", STR_ARGS(headers->at[i].value));
    return buf_str(&out);
}

/* All values of the header, before a fault and after. */
static void test_headers(void **state)
{
    (void)state;
    static const struct {
        const char *fault, *header, *after;
    } rows[] = {
        {"duplicate-nonce",        "Replay-Nonce", "n1 | bm90LWEtbm9uY2Utb2Ytb3Vycw"                            },
        {"malformed-nonce",        "Replay-Nonce", "n1+/=="                                                     },
        {"duplicate-location",     "Location",     "https://ca.test/order/1 | https://ca.test/order/1/elsewhere"},
        {"other-location",         "Location",     "https://ca.test/order/1/elsewhere"                          },
        {"malformed-location",     "Location",     "https://[not a URL"                                         },
        {"relative-location",      "Location",     "/order/1"                                                   },
        {"no-link",                "Link",         ""                                                           },
        {"malformed-link",         "Link",         "https://no-brackets.example.test;rel=\"index, <;;; rel"     },
        {"no-content-type",        "Content-Type", ""                                                           },
        {"wrong-content-type",     "Content-Type", "text/plain"                                                 },
        {"charset-content-type",   "Content-Type", "application/json; charset=utf-8"                            },
        {"duplicate-content-type", "Content-Type", "application/json | text/html"                               },
        {"retry-after-twice",      "Retry-After",  "4 | 7"                                                      },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct fault_memory memory = {0};
        struct msg *msg = response("n1"), *bare = msg_new(MSG_RESPONSE);
        msg_header(msg, "Link", STR("<https://ca.test/dir>;rel=\"index\""));
        apply(rows[i].fault, msg, &memory);
        assert_string_equal(values_of(msg, rows[i].header).at, rows[i].after);
        assert_true(str_is(msg->as.response.body, "{\"status\":\"pending\"}"));
        apply(rows[i].fault, bare, &memory); /* what is not there is not altered */
        if (!str_is(str_c(rows[i].header), "Retry-After"))
            assert_int_equal(headers_count(bare->as.response.headers, rows[i].header), 0);
        msg_free(msg);
        msg_free(bare);
    }
}

static void test_case_of_headers(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"lower-case-headers", "replay-nonce"},
        {"upper-case-headers", "REPLAY-NONCE"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct fault_memory memory = {0};
        struct msg *msg = response("n1");
        apply(rows[i][0], msg, &memory);
        const struct headers *headers = msg->as.response.headers;
        assert_int_equal(headers->n, 3);
        assert_true(str_is(headers->at[2].name, rows[i][1]));
        assert_true(str_is(headers_get(headers, "Replay-Nonce"), "n1"));
        msg_free(msg);
    }
}

static void test_json(void **state)
{
    (void)state;
    static const struct {
        const char *fault, *body, *after;
    } rows[] = {
        {"pretty-json",     "{\"a\":[1]}",                                      "{\n    \"a\": [\n        1\n    ]\n}" },
        {"reversed-json",   "{\"a\":[{\"b\":1,\"c\":2},3],\"d\":4}",            "{\"d\":4,\"a\":[{\"c\":2,\"b\":1},3]}"},
        {"reversed-json",   "{}",                                               "{}"                                   },
        {"escaped-json",    "{\"a\":\"https://x\",\"b\":\"\",\"c\":\"\\\"/\"}",
         "{\"\\u0061\":\"\\u0068ttps:\\/\\/x\",\"\\u0062\":\"\",\"\\u0063\":\"\\\"\\/\"}"                              },
        {"bom-json",        "{\"a\":1}",                                        "\xef\xbb\xbf{\"a\":1}"                },
        {"half-json",       "{\"a\":1}",                                        "{\"a"                                 },
        {"unknown-members", "{\"a\":[{}]}",
         "{\"a\":[{\"x-unknown\":{\"list\":[1,null,true],\"status\":\"invalid\"}}],"
         "\"x-unknown\":{\"list\":[1,null,true],\"status\":\"invalid\"}}"                                              },
        {"null-members",    "{\"error\":1}",
         "{\"error\":1,\"certificate\":null,\"expires\":null,\"externalAccountRequired\":null,\"notAfter\":null,"
         "\"notBefore\":null,\"wildcard\":null,\"validated\":null}"                                                    },
        {"mistyped-json",   "{\"a\":\"four\",\"b\":[1],\"c\":{},\"d\":5}",
         "{\"a\":4,\"b\":\"a list was here\",\"c\":[],\"d\":[]}"                                                       },
    };
    static const char *const others[] = {"", "[1]", "{not JSON", "-----BEGIN CERTIFICATE-----\n"};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct fault_memory memory = {0};
        struct msg *msg = response("n1");
        msg->as.response.body = str_c(rows[i].body);
        apply(rows[i].fault, msg, &memory);
        assert_string_equal(str_copy(&msg->arena, msg->as.response.body).at, rows[i].after);
        for (size_t k = 0; k < COUNTOF(others); k++) {
            bool by_first_byte = str_is(str_c(rows[i].fault), "bom-json") || str_is(str_c(rows[i].fault), "half-json");
            if (k == 2 && by_first_byte) continue;
            msg->as.response.body = str_c(others[k]);
            apply(rows[i].fault, msg, &memory);
            assert_true(str_is(msg->as.response.body, others[k]));
        }
        msg_free(msg);
    }
}

static void test_deep_json(void **state)
{
    (void)state;
    struct fault_memory memory = {0};
    struct msg *msg = response("n1");
    apply("deep-json", msg, &memory);
    struct str body = msg->as.response.body;
    assert_true(str_starts(body, "{\"x-deep\":[[[[") && str_ends(body, "]]],\"status\":\"pending\"}"));
    msg->as.response.body = STR("{}"); /* a list and a comma before the brace would be no JSON */
    apply("deep-json", msg, &memory);
    assert_true(str_is(msg->as.response.body, "{}"));
    msg_free(msg);
}

static void test_pem(void **state)
{
    (void)state;
#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END   "-----END CERTIFICATE-----\n"
#define A     BEGIN "AA\n" END
#define B     BEGIN "BB\n" END
    static const struct {
        const char *fault, *after;
    } rows[] = {
        {"crlf-pem",             "-----BEGIN CERTIFICATE-----\r\nAA\r\n-----END CERTIFICATE-----\r\n"
                     "-----BEGIN CERTIFICATE-----\r\nBB\r\n-----END CERTIFICATE-----\r\n"},
        {"blank-line-pem",       A "\n" B "\n"                                                               },
        {"no-final-newline-pem", A BEGIN "BB\n-----END CERTIFICATE-----"                                     },
        {"text-before-pem",      "subject=CN = a rehearsal\nissuer=CN = an intermediate\n" A B               },
        {"leaf-only",            A                                                                           },
        {"reversed-chain",       B A                                                                         },
        {"duplicate-leaf",       A A B                                                                       },
    };
    static const char *const others[] = {"", "{\"status\":\"pending\"}", BEGIN "no end"};
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct fault_memory memory = {0};
        struct msg *msg = response("n1");
        msg->as.response.body = STR(A B);
        apply(rows[i].fault, msg, &memory);
        assert_string_equal(str_copy(&msg->arena, msg->as.response.body).at, rows[i].after);
        for (size_t k = 0; k < COUNTOF(others); k++) {
            msg->as.response.body = str_c(others[k]);
            apply(rows[i].fault, msg, &memory);
            assert_true(str_is(msg->as.response.body, others[k]));
        }
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

/* Runs last. */
static void test_no_row_is_left_out(void **state)
{
    (void)state;
    size_t n;
    const struct fault *table = fault_table(&n);
    for (size_t i = 0; i < n; i++)
        if (!tested[i]) fail_msg("%s has no test", table[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_row),
        cmocka_unit_test(test_members_of_the_body),
        cmocka_unit_test(test_requests_and_other_kinds),
        cmocka_unit_test(test_headers_where_there_are_none),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_case_of_headers),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_deep_json),
        cmocka_unit_test(test_pem),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_no_row_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
