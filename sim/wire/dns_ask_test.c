#include "wire/dns_ask.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Wire bytes by hand (RFC 1035 section 4.1), so that no library agrees with itself. `counts` is AN, NS, AR. */
#define HEAD(flags, counts) "\x12\x34" flags "\x00\x01" counts
#define QUESTION(type)                                                                                                 \
    "\x01"                                                                                                             \
    "a\x04test\x00\x00" type "\x00\x01"
#define TO_A "\xc0\x0c"
#define TTL  "\x00\x00\x00\x05"

static struct arena arena;

static int drop_arena(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static enum err answer_to(int type, struct str packet, struct dns_answer *ret)
{
    const struct dns_query query = {.name = STR("a.test"), .type = type};
    bool truncated;
    return dns_read_answer(&arena, packet, &query, 0x1234, ret, &truncated);
}

static void assert_record(const struct dns_answer *answer, size_t i, const char *text)
{
    assert_true(i < answer->n_records);
    assert_int_equal(answer->records[i].n, strlen(text));
    assert_memory_equal(answer->records[i].at, text, strlen(text));
}

static void test_writes_queries(void **state)
{
    (void)state;
    struct str packet;
    struct dns_query query = {.name = STR("a.test"), .type = DNS_TXT};
    struct str plain = STR(HEAD("\x01\x00", "\x00\x00\x00\x00\x00\x00") QUESTION("\x10"));
    assert_int_equal(dns_write_query(&arena, &query, 0x1234, &packet), OK);
    assert_int_equal(packet.n, plain.n);
    assert_memory_equal(packet.at, plain.at, plain.n);
    query.max_bytes = 1232; /* RFC 6891 section 6.1.2: OPT, its class is the size */
    assert_int_equal(dns_write_query(&arena, &query, 0x1234, &packet), OK);
    assert_int_equal(packet.n, plain.n + 11);
    assert_memory_equal(packet.at + plain.n, "\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00", 11);

    char label[65];
    memset(label, 'x', sizeof label);
    const struct str bad[] = {
        STR(""), STR("a..test"), STR("a\0b.test"), {label, 64}
    };
    for (size_t i = 0; i < COUNTOF(bad); i++) {
        query.name = bad[i];
        assert_int_equal(dns_write_query(&arena, &query, 1, &packet), ERR_MALFORMED);
    }
}

static void test_reads_records(void **state)
{
    (void)state;
    struct dns_answer answer;
    struct str a =
        STR(HEAD("\x81\x80", "\x00\x02\x00\x00\x00\x00") QUESTION("\x01") TO_A
            "\x00\x01\x00\x01" TTL "\x00\x04\xc0\x00\x02\x01" TO_A "\x00\x01\x00\x01" TTL "\x00\x04\xc0\x00\x02\x02");
    assert_int_equal(answer_to(DNS_A, a, &answer), OK);
    assert_int_equal(answer.n_records, 2);
    assert_record(&answer, 0, "192.0.2.1");
    assert_record(&answer, 1, "192.0.2.2");
    struct str aaaa = STR(HEAD("\x81\x80", "\x00\x01\x00\x00\x00\x00") QUESTION("\x1c") TO_A
                          "\x00\x1c\x00\x01" TTL "\x00\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01");
    assert_int_equal(answer_to(DNS_AAAA, aaaa, &answer), OK);
    assert_record(&answer, 0, "2001:db8::1");
    struct str txt = STR(HEAD("\x81\x80", "\x00\x02\x00\x00\x00\x00") QUESTION("\x10") TO_A
                         "\x00\x10\x00\x01" TTL "\x00\x07\x03one\x02no" TO_A "\x00\x10\x00\x01" TTL "\x00\x01\x00");
    assert_int_equal(answer_to(DNS_TXT, txt, &answer), OK);
    assert_int_equal(answer.n_records, 2);
    assert_record(&answer, 0, "oneno");
    assert_record(&answer, 1, "");
}

static void test_reads_caa(void **state)
{
    (void)state;
    struct dns_answer answer;
    struct str caa =
        STR("\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01"
            "a\x04test\x00\x01\x01\x00\x01" TO_A "\x01\x01\x00\x01" TTL "\x00\x11\x80\x05issueca.test\"\\\x01");
    assert_int_equal(answer_to(DNS_CAA, caa, &answer), OK);
    assert_record(&answer, 0, "128 issue \"ca.test\\\"\\\\\\001\"");
}

static void test_follows_aliases(void **state)
{
    (void)state;
    struct dns_answer answer;
    /* a.test is an alias of b.test, whose address is there. The alias says "B.test". */
    struct str chain = STR(HEAD("\x81\x80", "\x00\x02\x00\x00\x00\x00") QUESTION("\x01") TO_A
                           "\x00\x05\x00\x01" TTL "\x00\x04\x01"
                           "B\xc0\x0e\x01"
                           "b\xc0\x0e\x00\x01\x00\x01" TTL "\x00\x04\xc0\x00\x02\x01");
    assert_int_equal(answer_to(DNS_A, chain, &answer), OK);
    assert_int_equal(answer.type, DNS_A);
    assert_int_equal(answer.n_records, 1);
    assert_record(&answer, 0, "192.0.2.1");
    struct str alone =
        STR(HEAD("\x81\x80", "\x00\x01\x00\x00\x00\x00") QUESTION("\x01") TO_A "\x00\x05\x00\x01" TTL "\x00\x04\x01"
                                                                               "B\xc0\x0e");
    assert_int_equal(answer_to(DNS_A, alone, &answer), OK);
    assert_int_equal(answer.type, DNS_CNAME);
    assert_record(&answer, 0, "b.test");
    struct str itself = STR(HEAD("\x81\x80", "\x00\x01\x00\x00\x00\x00") QUESTION("\x01") TO_A "\x00\x05\x00\x01" TTL
                                                                                               "\x00\x02\xc0\x0c");
    assert_int_equal(answer_to(DNS_A, itself, &answer), OK);
    assert_int_equal(answer.n_records, 0);
    /* Records of somebody else are no answer (RFC 2181 section 5.4.1). */
    struct str other = STR(HEAD("\x81\x80", "\x00\x01\x00\x00\x00\x00") QUESTION("\x01") "\x01"
                                                                                         "b\xc0\x0e\x00\x01\x00\x01" TTL
                                                                                         "\x00\x04\xc0\x00\x02\x01");
    assert_int_equal(answer_to(DNS_A, other, &answer), OK);
    assert_int_equal(answer.n_records, 0);
}

static void test_reads_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *flags;
        enum dns_rcode rcode;
    } rows[] = {
        {"\x81\x80", DNS_NOERROR },
        {"\x81\x82", DNS_SERVFAIL},
        {"\x81\x83", DNS_NXDOMAIN},
        {"\x81\x85", DNS_REFUSED }
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        const struct dns_query query = {.name = STR("a.test"), .type = DNS_A};
        struct dns_answer answer;
        bool truncated;
        char bytes[64];
        struct str packet = STR(HEAD("\x81\x80", "\x00\x00\x00\x00\x00\x00") QUESTION("\x01"));
        memcpy(bytes, packet.at, packet.n);
        memcpy(bytes + 2, rows[i].flags, 2);
        packet.at = bytes;
        assert_int_equal(dns_read_answer(&arena, packet, &query, 0x1234, &answer, &truncated), OK);
        assert_int_equal(answer.rcode, rows[i].rcode);
        assert_int_equal(answer.n_records, 0);
        assert_false(truncated);
        bytes[2] |= 2;
        assert_int_equal(dns_read_answer(&arena, packet, &query, 0x1234, &answer, &truncated), OK);
        assert_true(truncated);
    }
}

static void test_ignores_what_is_no_answer(void **state)
{
    (void)state;
#define NONE "\x00\x00\x00\x00\x00\x00"
    const struct str packets[] = {
        STR(""),
        STR("\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00"),
        STR("\x12\x35\x81\x80\x00\x01" NONE QUESTION("\x01")), /* another id */
        STR(HEAD("\x01\x00", NONE) QUESTION("\x01")),          /* a query */
        STR(HEAD("\xa9\x80", NONE) QUESTION("\x01")),          /* another opcode */
        STR(HEAD("\x81\x80", NONE) QUESTION("\x10")),          /* another type */
        STR(HEAD("\x81\x80", NONE) "\x01"
                                   "b\x04test\x00\x00\x01\x00\x01"),                   /* another name */
        STR("\x12\x34\x81\x80\x00\x00" NONE),                                          /* no question */
        STR(HEAD("\x81\x80", "\x00\x01\x00\x00\x00\x00") QUESTION("\x01")),            /* a record is missing */
        STR(HEAD("\x81\x80", "\x00\x01\x00\x00\x00\x00") QUESTION("\x01") "\xc0\x18"), /* a loop */
    };
#undef NONE
    for (size_t i = 0; i < COUNTOF(packets); i++) {
        struct dns_answer answer;
        assert_int_equal(answer_to(DNS_A, packets[i], &answer), ERR_MALFORMED);
    }
}

/* Every cut and many flipped bytes of a rich answer: no crash, and never more than DNS_MAX_RECORDS. */
static void test_hostile_bytes(void **state)
{
    (void)state;
    struct dns_answer rich = {.name = STR("a.test"), .type = DNS_CAA, .n_records = DNS_MAX_RECORDS}, answer;
    struct str packet;
    for (size_t i = 0; i < rich.n_records; i++)
        rich.records[i] = STR("0 issue \"ca.test\"");
    assert_int_equal(dns_write_answer(&arena, &rich, 0x1234, 4096, (struct str){0}, &packet), OK);
    char *bytes = arena_copy(&arena, packet.at, packet.n);
    for (size_t n = 0; n < packet.n; n++) {
        struct arena own = {0};
        const struct dns_query query = {.name = STR("a.test"), .type = DNS_CAA};
        bool truncated;
        assert_int_not_equal(dns_read_answer(&own, (struct str){bytes, n}, &query, 0x1234, &answer, &truncated), OK);
        for (int value = 0; value < 256; value += 17) {
            char kept = bytes[n];
            bytes[n] = (char)value;
            if (dns_read_answer(&own, (struct str){bytes, packet.n}, &query, 0x1234, &answer, &truncated) == OK)
                assert_true(answer.n_records <= DNS_MAX_RECORDS);
            bytes[n] = kept;
        }
        arena_done(&own);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writes_queries), cmocka_unit_test(test_reads_records),
        cmocka_unit_test(test_reads_caa),      cmocka_unit_test(test_follows_aliases),
        cmocka_unit_test(test_reads_refusals), cmocka_unit_test(test_ignores_what_is_no_answer),
        cmocka_unit_test(test_hostile_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, drop_arena);
}
