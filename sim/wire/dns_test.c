#include "wire/dns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Wire bytes by hand (RFC 1035 section 4.1), so that no library agrees with itself. */
#define QUERY                                                                                                          \
    STR("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"                                                             \
        "\x0f_acmE-Challenge\x01"                                                                                      \
        "A\x04test\x00\x00\x10\x00\x01")

static struct arena arena;

static int drop_arena(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static unsigned u16(struct str s, size_t at)
{
    return (unsigned)(unsigned char)s.at[at] << 8 | (unsigned char)s.at[at + 1];
}

static void test_reads_a_query(void **state)
{
    (void)state;
    struct dns_query query;
    uint16_t id;
    assert_int_equal(dns_read_query(&arena, QUERY, &query, &id), OK);
    assert_string_equal(query.name.at, "_acme-challenge.a.test");
    assert_int_equal(query.type, DNS_TXT);
    assert_int_equal(query.max_bytes, 0);
    assert_int_equal(id, 0x1234);

    struct str edns = STR("\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01x\x00\x00\x41\x00\x01\x00\x00\x29\x04"
                          "\xd0\x00\x00\x00\x00\x00\x00");
    assert_int_equal(dns_read_query(&arena, edns, &query, &id), OK);
    assert_int_equal(query.type, 65);
    assert_int_equal(query.max_bytes, 1232);
    assert_string_equal(dns_type_text(query.type), "TYPE");
}

static void test_refuses_other_packets(void **state)
{
    (void)state;
    const struct {
        struct str packet;
        enum err err;
    } rows[] = {
        {STR(""),                                                                          ERR_MALFORMED},
        {STR("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00"),                              ERR_MALFORMED},
        {STR("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"),                          ERR_MALFORMED}, /* no question */
        {STR("\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x01"),
         ERR_MALFORMED                                                                                  }, /* an answer */
        {STR("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x01\x00\x01"),  ERR_MALFORMED}, /* a loop */
        {STR("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x3fx\x00\x00\x01\x00\x01"),
         ERR_MALFORMED                                                                                  }, /* label too long */
        {STR("\x12\x34\x28\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x01"), ERR_REFUSED  }, /* UPDATE */
        {STR("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01x\x00\x00\x01\x00\x03"), ERR_REFUSED  }, /* class CH */
        {STR("\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"),                          ERR_REFUSED  }, /* no question */
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct dns_query query;
        uint16_t id;
        assert_int_equal(dns_read_query(&arena, rows[i].packet, &query, &id), rows[i].err);
    }
    for (size_t n = 0; n < QUERY.n; n++) { /* every cut, every flipped byte: no crash */
        struct dns_query query;
        uint16_t id;
        char bytes[64];
        memcpy(bytes, QUERY.at, QUERY.n);
        assert_int_not_equal(dns_read_query(&arena, (struct str){bytes, n}, &query, &id), OK);
        for (int value = 0; value < 256; value += 5) {
            bytes[n] = (char)value;
            (void)dns_read_query(&arena, (struct str){bytes, QUERY.n}, &query, &id);
        }
    }
}

static void test_writes_answers(void **state)
{
    (void)state;
    struct dns_answer answer = {.name = STR("_acme-challenge.a.test"), .type = DNS_TXT, .n_records = 1};
    answer.records[0] = STR("proof");
    struct str packet;
    assert_int_equal(dns_write_answer(&arena, &answer, 0x1234, 0, QUERY, &packet), OK);
    assert_int_equal(u16(packet, 0), 0x1234);
    assert_int_equal(u16(packet, 2), 0x8500); /* answer, authoritative, recursion was desired */
    assert_int_equal(u16(packet, 6), 1);
    assert_memory_equal(packet.at + 12, QUERY.at + 12, QUERY.n - 12); /* the asker's own spelling */
    struct str tail = STR("\x00\x10\x00\x01\x00\x00\x00\x00\x00\x06\x05proof");
    assert_memory_equal(packet.at + packet.n - tail.n, tail.at, tail.n);

    answer = (struct dns_answer){.name = STR("a.test"), .type = DNS_A, .n_records = 1, .records = {STR("192.0.2.7")}};
    assert_int_equal(dns_write_answer(&arena, &answer, 7, 512, (struct str){0}, &packet), OK);
    assert_memory_equal(packet.at + packet.n - 6, "\x00\x04\xc0\x00\x02\x07", 6);
    answer =
        (struct dns_answer){.name = STR("a.test"), .type = DNS_AAAA, .n_records = 1, .records = {STR("2001:db8::1")}};
    assert_int_equal(dns_write_answer(&arena, &answer, 7, 512, (struct str){0}, &packet), OK);
    assert_memory_equal(packet.at + packet.n - 18, "\x00\x10\x20\x01\x0d\xb8", 6);
    answer = (struct dns_answer){.name = STR("a.test"), .type = DNS_CNAME, .n_records = 1, .records = {STR("b.test.")}};
    assert_int_equal(dns_write_answer(&arena, &answer, 7, 512, (struct str){0}, &packet), OK);
    assert_int_equal(u16(packet, 6), 1);
    answer = (struct dns_answer){
        .name = STR("a.test"), .type = DNS_CAA, .n_records = 1, .records = {STR("0 issue \"ca.test\"")}};
    assert_int_equal(dns_write_answer(&arena, &answer, 7, 512, (struct str){0}, &packet), OK);
    assert_memory_equal(packet.at + packet.n - 14, "\x00\x05issueca.test", 14);
    answer = (struct dns_answer){.name = STR("no.test"), .type = 65, .rcode = DNS_NXDOMAIN};
    assert_int_equal(dns_write_answer(&arena, &answer, 7, 512, (struct str){0}, &packet), OK);
    assert_int_equal(u16(packet, 2), 0x8403);
    assert_int_equal(u16(packet, 6), 0);
    assert_string_equal(dns_rcode_text(DNS_NXDOMAIN), "NXDOMAIN");
}

static void test_long_texts(void **state)
{
    (void)state;
    char text[600];
    memset(text, 'x', sizeof text);
    struct dns_answer answer = {.name = STR("a.test"), .type = DNS_TXT, .n_records = 1};
    answer.records[0] = (struct str){text, sizeof text};
    struct str packet;
    assert_int_equal(dns_write_answer(&arena, &answer, 1, 4096, (struct str){0}, &packet), OK);
    assert_int_equal((unsigned char)packet.at[packet.n - 91], 90); /* 255 + 255 + 90 */
    assert_int_equal(dns_write_answer(&arena, &answer, 1, 0, (struct str){0}, &packet), OK);
    assert_int_equal(u16(packet, 2), 0x8600); /* cut short: ask again by TCP */
    assert_int_equal(u16(packet, 6), 0);
    assert_true(packet.n <= 512);
    answer.records[0] = (struct str){0};
    assert_int_equal(dns_write_answer(&arena, &answer, 1, 0, (struct str){0}, &packet), OK);
    assert_memory_equal(packet.at + packet.n - 3, "\x00\x01\x00", 3);
}

static void test_refuses_bad_answers(void **state)
{
    (void)state;
    const struct dns_answer bad[] = {
        {.name = STR("a..test"),    .type = DNS_A     },
        {                              .name = STR("a.test"),            .type = DNS_A,     .n_records = 1, .records = {STR("999.1.1.1")}},
        { .name = STR("a.test"),     .type = DNS_A,      .n_records = 1},
        {               .name = STR("a.test"),     .type = DNS_AAAA,   .n_records = 1, .records = {STR("192.0.2.1")}},
        { .name = STR("a.test"),                         .type = DNS_CNAME,                       .n_records = 1, .records = {STR("x..y")}},
        {          .name = STR("a.test"), .type = DNS_CAA,                   .n_records = 1, .records = {STR("nonsense")}},
        {                  .name = STR("a.test"),           .type = 65,.n_records = 1, .records = {STR("1 .")}},
        {            .name = STR("a.test"),     .type = -1                          },
        {                                 .name = STR("a.test"),     .type = DNS_A,         .n_records = DNS_MAX_RECORDS + 1},
    };
    for (size_t i = 0; i < COUNTOF(bad); i++) {
        struct str packet = {0};
        assert_int_equal(dns_write_answer(&arena, &bad[i], 1, 512, (struct str){0}, &packet), ERR_MALFORMED);
        assert_null(packet.at);
    }
}

static void test_aliases_and_authority(void **state)
{
    (void)state;
    struct dns_answer answer = {
        .name = STR("www.a"), .alias = STR("b"), .type = DNS_A, .n_records = 1, .records = {STR("192.0.2.7")}};
    struct str packet;
    assert_int_equal(dns_write_answer(&arena, &answer, 7, 512, (struct str){0}, &packet), OK);
    assert_int_equal(u16(packet, 6), 2); /* the alias, and the record of its target */
    assert_int_equal(u16(packet, 8), 0);
    struct str records = STR("\x00\x05\x00\x01\x00\x00\x00\x00\x00\x03\x01"
                             "b\x00");
    bool found = false;
    for (size_t i = 12; i + records.n <= packet.n; i++)
        found = found || memcmp(packet.at + i, records.at, records.n) == 0;
    assert_true(found);
    assert_memory_equal(packet.at + packet.n - 6, "\x00\x04\xc0\x00\x02\x07", 6);
    answer.n_records = 0;
    answer.has_soa = true;
    assert_int_equal(dns_write_answer(&arena, &answer, 7, 512, (struct str){0}, &packet), OK);
    assert_int_equal(u16(packet, 6), 1);
    assert_int_equal(u16(packet, 8), 1);
    struct str soa = STR("\x09"
                         "acmedrill\x07invalid\x00\x00\x06\x00\x01\x00\x00\x00\x00\x00\x26\x02ns\xc0\x26\x0a"
                         "hostmaster\xc0\x26"
                         "\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01");
    size_t zone = packet.n - soa.n;
    assert_int_equal(zone, 0x26); /* what its two names point to */
    assert_memory_equal(packet.at + zone, soa.at, soa.n);
    answer.alias = STR("..");
    assert_int_equal(dns_write_answer(&arena, &answer, 7, 512, (struct str){0}, &packet), ERR_MALFORMED);
}

static void test_answers_that_go_wrong(void **state)
{
    (void)state;
    struct dns_answer answer = {.name = STR("a"), .type = DNS_TXT, .n_records = 1, .records = {STR("x")}};
    struct str packet;
    answer.delivery.how = DELIVER_TRUNCATED;
    assert_true(dns_answer_leaves(&answer));
    assert_int_equal(dns_write_answer(&arena, &answer, 7, 4096, (struct str){0}, &packet), OK);
    assert_int_equal(u16(packet, 2), 0x8600);
    assert_int_equal(u16(packet, 6), 0);
    assert_int_equal(dns_write_answer(&arena, &answer, 7, DNS_MAX_PACKET, (struct str){0}, &packet), OK);
    assert_int_equal(u16(packet, 6), 1); /* over TCP nothing is cut */
    answer.delivery.how = DELIVER_GARBAGE;
    assert_int_equal(dns_write_answer(&arena, &answer, 7, 512, (struct str){0}, &packet), OK);
    assert_int_equal(u16(packet, 0), 0xfff8);
    answer.delivery.how = DELIVER_HANG;
    assert_false(dns_answer_leaves(&answer));
    packet = dns_write_rcode(&arena, QUERY, DNS_SERVFAIL);
    assert_int_equal(packet.n, 12);
    assert_int_equal(u16(packet, 0), 0x1234);
    assert_int_equal(u16(packet, 2), 0x8102);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_a_query),         cmocka_unit_test(test_refuses_other_packets),
        cmocka_unit_test(test_writes_answers),        cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_refuses_bad_answers),   cmocka_unit_test(test_aliases_and_authority),
        cmocka_unit_test(test_answers_that_go_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, drop_arena);
}
