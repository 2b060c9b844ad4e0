#include "wire/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum err read_text(struct str text, struct history *ret, size_t *line, bool *cut)
{
    FILE *file = fmemopen((void *)(uintptr_t)text.at, text.n, "r");
    assert_non_null(file);
    enum err err = history_read(file, ret, line, cut);
    fclose(file);
    return err;
}

static struct str write_all(struct arena *arena, const struct history *history)
{
    struct buf buf = {.arena = arena};
    for (size_t i = 0; i < history->n; i++) {
        buf_add(&buf, event_write(arena, &history->at[i]));
        buf_add_char(&buf, '\n');
    }
    return buf_str(&buf);
}

static void test_every_kind_and_key_round_trips(void **state)
{
    (void)state;
    struct arena arena = {0};
    char *sunk = NULL;
    size_t n_sunk = 0;
    struct history history = {.start_ms = 1000, .sink = open_memstream(&sunk, &n_sunk), .flush = true};
    struct headers headers = {0};
    headers_add(&headers, STR("Content-Type"), STR("text/plain"));
    headers_add(&headers, STR("X-Bytes"), STR("\xff\x00"));
    const struct str list[] = {STR("192.0.2.1"), STR(""), STR("\x80"), STR("a\0b")};
    for (int kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        history_note(&history, (enum event_kind)kind, 1000 + kind * 10, (uint64_t)kind);
        for (int k = 0; k < FIELD_KEY_COUNT; k++) {
            enum field_key key = (enum field_key)k;
            switch (field_key_type(key)) {
            case FIELD_TEXT:
                event_add_text(&history, key,
                               k % 3 == 0   ? STR("\xfe\x01\"")
                               : k % 3 == 1 ? STR("caf\xc3\xa9 \"\\\n\0\x7f")
                                            : STR(""));
                break;
            case FIELD_INT: event_add_int(&history, key, k % 2 ? INT64_MIN : INT64_MAX); break;
            case FIELD_BOOL: event_add_int(&history, key, k % 2); break;
            case FIELD_HEADERS: event_add_headers(&history, &headers); break;
            case FIELD_LIST: event_add_list(&history, key, list, COUNTOF(list)); break;
            }
        }
        assert_int_equal(history_commit(&history), OK);
    }
    fclose(history.sink);
    struct str written = write_all(&arena, &history);
    assert_int_equal(written.n, n_sunk);
    assert_memory_equal(written.at, sunk, n_sunk);

    struct history back;
    size_t line;
    bool cut;
    assert_int_equal(read_text(written, &back, &line, &cut), OK);
    assert_false(cut);
    assert_int_equal(back.n, EVENT_KIND_COUNT);
    assert_true(str_eq(write_all(&arena, &back), written));
    const struct event *event = &back.at[WIRE_RESPONSE];
    assert_int_equal(event->t_ms, WIRE_RESPONSE * 10);
    assert_int_equal(event->seq, WIRE_RESPONSE + 1);
    assert_int_equal(event->flow, WIRE_RESPONSE);
    assert_int_equal(event->n_fields, FIELD_KEY_COUNT);
    for (int k = 0; k < FIELD_KEY_COUNT; k++) {
        const struct field *was = event_field(&history.at[WIRE_RESPONSE], (enum field_key)k);
        const struct field *now = event_field(event, (enum field_key)k);
        assert_true(str_eq(was->text, now->text));
        assert_int_equal(was->number, now->number);
        assert_int_equal(was->n_list, now->n_list);
    }
    assert_true(str_eq(event_headers(event)->at[1].value, STR("\xff\x00")));
    assert_true(str_eq(event_field(event, F_RECORDS)->list[3], STR("a\0b")));
    assert_int_equal(back.start_ms, event_int(&back.at[0], F_EPOCH_MS));
    free(sunk);
    history_done(&back);
    history_done(&history);
    arena_done(&arena);
}

static void test_absent_fields_and_order(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct history history = {.start_ms = 500};
    history_note(&history, NOTE_TEXT, 600, 0);
    event_add_text(&history, F_TEXT, STR("one"));
    event_add_text(&history, F_TEXT, STR("two"));
    event_add_text(&history, F_BODY, (struct str){0});
    history_commit(&history);
    history_note(&history, NOTE_TEXT, 550, 3); /* an earlier time */
    history_commit(&history);
    assert_string_equal(event_write(&arena, &history.at[0]).at,
                        "{\"seq\":1,\"t\":100,\"kind\":\"note.text\",\"text\":\"two\"}");
    assert_string_equal(event_write(&arena, &history.at[1]).at,
                        "{\"seq\":2,\"t\":100,\"kind\":\"note.text\",\"flow\":3}");
    assert_null(event_text(&history.at[0], F_BODY).at);
    assert_int_equal(event_int(&history.at[0], F_STATUS), 0);
    assert_null(event_headers(&history.at[0]));
    history_done(&history);
    arena_done(&arena);
}

static void test_messages_as_records(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct history history = {0};
    struct msg *msg = msg_new(MSG_RESPONSE);
    msg->flow = 9;
    msg->as.response = (struct http_response){
        .status = 503, .body = STR("x"), .delivery = {.how = DELIVER_TRUNCATED, .at_byte = 1, .delay_ms = 20}
    };
    msg_header(msg, "Retry-After", STR("5"));
    history_note_msg(&history, 7, msg, STR("ca"), STR("client"));
    msg_free(msg);
    assert_string_equal(
        event_write(&arena, &history.at[0]).at,
        "{\"seq\":1,\"t\":7,\"kind\":\"wire.response\",\"flow\":9,\"from\":\"ca\",\"to\":\"client\",\"status\":503,"
        "\"headers\":[[\"Retry-After\",\"5\"]],\"body\":\"x\",\"delivery\":\"truncated\",\"at_byte\":1,"
        "\"delay_ms\":20}");
    msg = msg_new(MSG_DNS_ANSWER);
    msg->flow = 10;
    msg->as.dns_answer = (struct dns_answer){
        .name = STR("a.test"), .type = 65, .rcode = DNS_NXDOMAIN, .delivery = {.how = DELIVER_HANG}};
    history_note_msg(&history, 8, msg, STR("dns"), (struct str){0});
    msg_free(msg);
    assert_string_equal(
        event_write(&arena, &history.at[1]).at,
        "{\"seq\":2,\"t\":8,\"kind\":\"wire.dns_answer\",\"flow\":10,\"from\":\"dns\",\"name\":\"a.test\","
        "\"type\":\"TYPE65\",\"rcode\":\"NXDOMAIN\",\"records\":[],\"delivery\":\"hang\"}");
    for (int kind = 0; kind < MSG_KIND_COUNT; kind++) { /* an empty message of each kind is a record that reads back */
        msg = msg_new((enum msg_kind)kind);
        assert_int_equal(history_note_msg(&history, 9, msg, STR("a"), STR("b")), OK);
        assert_true(str_starts(str_c(event_kind_text(history.at[history.n - 1].kind)), "wire."));
        msg_free(msg);
    }
    struct history back;
    size_t line;
    bool cut;
    struct str text = write_all(&arena, &history);
    assert_int_equal(read_text(text, &back, &line, &cut), OK);
    assert_true(str_eq(write_all(&arena, &back), text));
    history_done(&back);
    history_done(&history);
    arena_done(&arena);
}

static void test_forgetful_history_and_full_disk(void **state)
{
    (void)state;
    char *sunk = NULL;
    size_t n_sunk = 0;
    struct history history = {.sink = open_memstream(&sunk, &n_sunk), .forget = true};
    for (int i = 0; i < 3; i++) {
        history_note(&history, NOTE_TEXT, i, 0);
        event_add_text(&history, F_TEXT, STR("kept on disk"));
        assert_int_equal(history_commit(&history), OK);
    }
    fclose(history.sink);
    assert_int_equal(history.n, 0);
    assert_non_null(strstr(sunk, "{\"seq\":3,\"t\":2,"));
    free(sunk);
    history_done(&history);

    history = (struct history){.sink = fopen("/dev/full", "w"), .flush = true};
    assert_non_null(history.sink);
    history_note(&history, NOTE_TEXT, 0, 0);
    assert_int_equal(history_commit(&history), ERR_IO);
    assert_int_equal(history.n, 1);
    fclose(history.sink);
    history_done(&history);
}

#define FIRST "{\"seq\":1,\"t\":0,\"kind\":\"run.start\",\"version\":1,\"epoch_ms\":77}\n"

static void test_cut_and_empty_files(void **state)
{
    (void)state;
    struct history back;
    size_t line;
    bool cut;
    assert_int_equal(read_text(STR(FIRST "{\"seq\":2,\"t\":5,\"kind\":\"note.te"), &back, &line, &cut), OK);
    assert_true(cut);
    assert_int_equal(back.n, 1);
    assert_int_equal(back.start_ms, 77);
    history_done(&back);
    assert_int_equal(read_text(STR(FIRST "{\"seq\":2,\"t\":5,\"kind\":\"note.text\"}"), &back, &line, &cut), OK);
    assert_false(cut); /* only the line's end is missing */
    assert_int_equal(back.n, 2);
    history_done(&back);
    FILE *empty = fopen("/dev/null", "r");
    assert_int_equal(history_read(empty, &back, &line, &cut), OK);
    assert_int_equal(back.n, 0);
    history_done(&back);
    fclose(empty);
}

static void test_hostile_lines(void **state)
{
    (void)state;
    const struct str bad[] = {
        STR(""),
        STR("x"),
        STR("[]"),
        STR("null"),
        STR("{}"),
        STR("{\"seq\":2,\"t\":0}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"wire.nothing\"}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":7}"),
        STR("{\"seq\":\"2\",\"t\":0,\"kind\":\"note.text\"}"),
        STR("{\"seq\":1,\"t\":0,\"kind\":\"note.text\"}"),
        STR("{\"seq\":-2,\"t\":0,\"kind\":\"note.text\"}"),
        STR("{\"seq\":2,\"t\":-1,\"kind\":\"note.text\"}"),
        STR("{\"seq\":2,\"t\":1e99,\"kind\":\"note.text\"}"),
        STR("{\"seq\":99999999999999999999,\"t\":0,\"kind\":\"note.text\"}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"flow\":0}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"flow\":\"1\"}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"text\":5}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"text\":\"a\",\"text\":\"b\"}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"text\":\"a\",\"text_base64\":\"YQ\"}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"text_base64\":\"Y=\"}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"status_base64\":\"YQ\"}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"status\":\"200\"}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"status\":2.5}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"ok\":1}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"unheard_of\":1}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"headers\":{}}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"headers\":[\"a\"]}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"headers\":[[\"a\"]]}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"headers\":[[\"a\",1]]}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"headers\":[[\"a\",\"b\",\"c\"]]}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"headers\":[[\"a\",\"?\",\"base64\"]]}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"records\":[1]}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"records\":[{}]}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"records\":\"x\"}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"text\":\"\xff\"}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"text\":\"a\0b\"}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"te\\u0000xt\":\"a\"}"),
        STR("{\"seq\":2,\"t\":0,\"kind\":\"note.text\"} {}"),
    };
    struct arena arena = {0};
    size_t line;
    bool cut;
    for (size_t i = 0; i < COUNTOF(bad); i++) {
        struct buf buf = {.arena = &arena};
        buf_add(&buf, STR(FIRST));
        buf_add(&buf, bad[i]);
        buf_add_char(&buf, '\n');
        struct history back = {.n = 99};
        line = 0;
        if (read_text(buf_str(&buf), &back, &line, &cut) != ERR_MALFORMED) fail_msg("accepted: %s", bad[i].at);
        assert_int_equal(line, 2);
        assert_int_equal(back.n, 99);
    }
    arena_done(&arena);
}

static void test_deep_long_and_many(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct history back = {0};
    size_t line;
    bool cut;
    struct buf deep = {.arena = &arena}, headers = {.arena = &arena}, records = {.arena = &arena};
    buf_add_c(&deep, "{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"records\":");
    for (int i = 0; i < 200000; i++)
        buf_add_char(&deep, '[');
    buf_add_char(&deep, '\n');
    assert_int_equal(read_text(buf_str(&deep), &back, &line, &cut), ERR_MALFORMED);

    buf_add_c(&headers, "{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"headers\":[[\"a\",\"b\"]");
    buf_add_c(&records, "{\"seq\":2,\"t\":0,\"kind\":\"note.text\",\"records\":[\"a\"");
    for (int i = 0; i < 1000; i++) {
        buf_add_c(&headers, ",[\"a\",\"b\"]");
        buf_add_c(&records, ",\"a\"");
    }
    buf_add_c(&headers, "]}\n");
    buf_add_c(&records, "]}\n");
    assert_int_equal(read_text(buf_str(&headers), &back, &line, &cut), ERR_MALFORMED);
    assert_int_equal(read_text(buf_str(&records), &back, &line, &cut), ERR_MALFORMED);

    size_t huge = (16u << 20) + 2;
    char *text = malloc(huge);
    assert_non_null(text);
    memset(text, ' ', huge);
    text[huge - 1] = '\n';
    assert_int_equal(read_text((struct str){text, huge}, &back, &line, &cut), ERR_LIMIT);
    assert_int_equal(line, 1);
    free(text);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_and_key_round_trips),
        cmocka_unit_test(test_absent_fields_and_order),
        cmocka_unit_test(test_messages_as_records),
        cmocka_unit_test(test_forgetful_history_and_full_disk),
        cmocka_unit_test(test_cut_and_empty_files),
        cmocka_unit_test(test_hostile_lines),
        cmocka_unit_test(test_deep_long_and_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
