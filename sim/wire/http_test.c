#include "wire/http.h"
#include "wire/msg.h"

#include "base/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_headers(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct headers headers = {0};
    assert_null(headers_get(&headers, "Location").at);
    assert_null(headers_get(NULL, "Location").at);
    headers_add(&headers, STR("Link"), STR("<a>"));
    headers_add(&headers, STR("LOCATION"), STR("/x"));
    headers_add(&headers, STR("link"), STR("<b>"));
    headers_add(&headers, STR("Empty"), (struct str){0});
    assert_string_equal(headers_get(&headers, "location").at, "/x");
    assert_non_null(headers_get(&headers, "Empty").at);
    assert_int_equal(headers_count(&headers, "Link"), 2);
    const struct headers *copy = headers_copy(&arena, &headers);
    headers_set(&headers, "link", STR("<c>"));
    assert_int_equal(headers_count(&headers, "Link"), 1);
    assert_string_equal(headers_get(&headers, "Link").at, "<c>");
    assert_int_equal(copy->n, 4);
    assert_string_equal(copy->at[2].value.at, "<b>");
    headers_set(&headers, "Location", (struct str){0});
    assert_int_equal(headers_count(&headers, "Location"), 0);
    assert_int_equal(headers.n, 2);
    for (int i = 0; i < 2 * HTTP_MAX_HEADERS; i++)
        headers_add(&headers, STR("X"), STR("y"));
    assert_int_equal(headers.n, HTTP_MAX_HEADERS);
    arena_done(&arena);
}

static void test_links(void **state)
{
    (void)state;
    struct headers headers = {0};
    assert_int_equal(headers_link(NULL, "next", 0).n, 0);
    headers_add(&headers, STR("Link"), STR("<https://ca.test/dir>;rel=\"index\""));
    headers_add(&headers, STR("link"),
                STR("<a,b;c> ; title=\"x, <y>; z\" ; REL=alternate, </c>;rel=\"alternate\";a=b"));
    headers_add(&headers, STR("Link"), STR("no link at all"));
    headers_add(&headers, STR("Link"), STR("<unended"));
    headers_add(&headers, STR("Link"), STR("<d>;rel="));
    assert_true(str_is(headers_link(&headers, "index", 0), "https://ca.test/dir"));
    assert_true(str_is(headers_link(&headers, "alternate", 0), "a,b;c"));
    assert_true(str_is(headers_link(&headers, "alternate", 1), "/c"));
    assert_int_equal(headers_link(&headers, "alternate", 2).n, 0);
    assert_int_equal(headers_link(&headers, "next", 0).n, 0);
}

static void test_delivery_words(void **state)
{
    (void)state;
    for (int how = 0; how < DELIVER_COUNT; how++) {
        enum delivery_how back = DELIVER_COUNT;
        assert_true(delivery_read(str_c(delivery_text((enum delivery_how)how)), &back));
        assert_int_equal(back, how);
    }
    enum delivery_how untouched = DELIVER_SLOW;
    assert_false(delivery_read(STR("whol"), &untouched));
    assert_int_equal(untouched, DELIVER_SLOW);
}

static void test_urls(void **state)
{
    (void)state;
    static const struct {
        const char *text, *scheme, *host, *path;
        int port;
        bool given;
    } good[] = {
        {"https://ca.test/dir",            "https", "ca.test",     "/dir",    443,   false},
        {"http://a_b.test",                "http",  "a_b.test",    "/",       80,    false},
        {"HTTP://a.test:8080/x?y=/z#frag", "http",  "a.test",      "/x?y=/z", 8080,  true },
        {"https://[2001:db8::1]:14000/",   "https", "2001:db8::1", "/",       14000, true },
        {"https://[::1]",                  "https", "::1",         "/",       443,   false},
        {"http://a.test:/",                "http",  "a.test",      "/",       80,    false},
    };
    for (size_t i = 0; i < COUNTOF(good); i++) {
        struct url url;
        assert_int_equal(url_parse(str_c(good[i].text), &url), OK);
        assert_true(str_is(url.scheme, good[i].scheme));
        assert_true(str_is(url.host, good[i].host));
        assert_true(str_is(url.path, good[i].path));
        assert_int_equal(url.port, good[i].port);
        assert_int_equal(url.port_given, good[i].given);
    }
    static const char *const bad[] = {
        "",
        "ca.test/dir",
        "ftp://a.test/",
        "https://",
        "https:///x",
        "https://u@a.test/",
        "http://:80",
        "http://a:0/",
        "http://a:65536/",
        "http://a:8x/",
        "http://a b/",
        "http://a/b c",
        "http://[::1",
        "http://[]/",
        "http://[::1]x/",
        "http://[g::]/",
        "http://a/\xc3\xa9",
        "http://a/\r\nX: y",
        "http://a?x",
        "http://a%41.test/",
    };
    for (size_t i = 0; i < COUNTOF(bad); i++) {
        struct url url = {.port = 7};
        assert_int_equal(url_parse(str_c(bad[i]), &url), ERR_MALFORMED);
        assert_int_equal(url.port, 7);
    }
}

static enum err read_one(const char *value, int64_t now_ms, int64_t *at_ms, bool *is_date)
{
    struct headers headers = {0};
    headers_add(&headers, STR("retry-after"), str_c(value));
    return retry_after_read(&headers, now_ms, at_ms, is_date);
}

static void test_retry_after(void **state)
{
    (void)state;
    struct headers headers = {0};
    int64_t at_ms = -1;
    bool is_date = true;
    assert_int_equal(retry_after_read(NULL, 0, &at_ms, NULL), ERR_NOT_FOUND);
    assert_int_equal(retry_after_read(&headers, 0, &at_ms, NULL), ERR_NOT_FOUND);
    assert_int_equal(read_one(" 12 ", 5000, &at_ms, &is_date), OK);
    assert_int_equal(at_ms, 17000);
    assert_false(is_date);
    assert_int_equal(read_one("Tue, 01 Jan 2030 00:00:20 GMT", 5, &at_ms, &is_date), OK);
    assert_int_equal(at_ms, WHEN_VIRTUAL_START_MS + 20000);
    assert_true(is_date);
    assert_int_equal(read_one("99999999999999999999999999", 0, &at_ms, NULL), OK); /* absurd, and still a number */
    assert_true(at_ms > INT64_C(1000) * 3600 * 24 * 365 * 99);
    static const char *const bad[] = {"", "soon", "-5", "1.5", "12s", "2030-01-01T00:00:00Z"};
    at_ms = -1;
    for (size_t i = 0; i < COUNTOF(bad); i++)
        assert_int_equal(read_one(bad[i], 0, &at_ms, NULL), ERR_MALFORMED);
    assert_int_equal(at_ms, -1);
    headers_add(&headers, STR("Retry-After"), STR("5"));
    headers_add(&headers, STR("Retry-After"), STR("5"));
    assert_int_equal(retry_after_read(&headers, 0, &at_ms, NULL), OK);
    headers_add(&headers, STR("Retry-After"), STR("6"));
    assert_int_equal(retry_after_read(&headers, 0, &at_ms, NULL), ERR_MALFORMED);
}

static void test_messages_and_outbox(void **state)
{
    (void)state;
    uint64_t next_flow = 40;
    struct outbox box = {.next_flow = &next_flow};
    struct msg *there = outbox_post(&box, MSG_REQUEST, (struct addr){3}, 0);
    struct msg *back = outbox_post(&box, MSG_RESPONSE, (struct addr){4}, 17);
    char name[] = "Location", value[] = "/order/1";
    msg_header(back, name, str_c(value));
    value[1] = name[0] = 'X'; /* the texts were copied */
    assert_string_equal(headers_get(back->as.response.headers, "Location").at, "/order/1");
    assert_int_equal(there->flow, 41);
    assert_int_equal(back->flow, 17);
    assert_int_equal(there->to.seat, 3);
    assert_null(msg_delivery(there));
    assert_ptr_equal(msg_delivery(back), &back->as.response.delivery);
    for (int i = 0; i < 100; i++)
        outbox_forward(&box, msg_new(MSG_EXIT), (struct addr){0}, 0);
    assert_int_equal(box.n, 102);
    assert_int_equal(box.at[101]->flow, 141);
    for (int kind = 0; kind < MSG_KIND_COUNT; kind++)
        assert_string_not_equal(msg_kind_text((enum msg_kind)kind), "unknown");
    for (size_t i = 0; i < box.n; i++)
        msg_free(box.at[i]);
    free(box.at);
    msg_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links), cmocka_unit_test(test_headers),     cmocka_unit_test(test_delivery_words),
        cmocka_unit_test(test_urls),  cmocka_unit_test(test_retry_after), cmocka_unit_test(test_messages_and_outbox),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
