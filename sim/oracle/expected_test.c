#include "oracle/report.h"

#include "plan/paper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct bench {
    struct arena arena;
    struct complaints complaints;
    struct expected_list list;
    char path[64];
};

static enum err read_text(struct bench *bench, struct str text)
{
    *bench = (struct bench){.path = "/tmp/expected-test-XXXXXX"};
    bench->complaints.arena = &bench->arena;
    int fd = mkstemp(bench->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.at, text.n), text.n);
    close(fd);
    enum err e = expected_read(&bench->arena, bench->path, &bench->complaints, &bench->list);
    unlink(bench->path);
    assert_true((e == OK) == (bench->complaints.n == 0));
    return e;
}

static void complains(const char *text, int line, int column, const char *part)
{
    struct bench bench;
    assert_int_not_equal(read_text(&bench, str_c(text)), OK);
    assert_int_equal(bench.list.n, 0);
    const struct complaint *first = &bench.complaints.at[0];
    if (bench.complaints.n != 1 || first->line != line || first->column != column || str_find(first->text, part) < 0)
        fail_msg("%zu complaints, the first %d:%d: %s", bench.complaints.n, first->line, first->column, first->text.at);
    assert_true(str_is(first->file, bench.path));
    arena_done(&bench.arena);
}

static void test_read(void **state)
{
    (void)state;
    struct bench bench;
    assert_int_equal(read_text(&bench, STR("[]")), OK);
    assert_int_equal(bench.list.n, 0);
    arena_done(&bench.arena);
    assert_int_equal(
        read_text(&bench,
                  STR("[ { \"scenario\": \"order/x\", \"expect\": \"expect[0] never\", \"version\": \"2.1*\", "
                      "\"reason\": \"issue 31\" },\n"
                      "  { \"scenario\": \"order/x#v\", \"expect\": \"*\", \"reason\": \"r\" },\n"
                      "  { \"scenario\": \"y\", \"expect\": \"rule nonce-reuse\", \"reason\": \"r\" },\n"
                      "  { \"scenario\": \"y\", \"expect\": \"expect[12] any_of.a[0] count\", \"reason\": \"r\" "
                      "} ]")),
        OK);
    assert_int_equal(bench.list.n, 4);
    assert_true(str_is(bench.list.at[0].scenario, "order/x"));
    assert_true(str_is(bench.list.at[0].expect, "expect[0] never"));
    assert_true(str_is(bench.list.at[0].version, "2.1*"));
    assert_true(str_is(bench.list.at[0].reason, "issue 31"));
    assert_int_equal(bench.list.at[1].version.n, 0);
    assert_false(bench.list.at[0].used);
    arena_done(&bench.arena);
}

static void test_complaints(void **state)
{
    (void)state;
    complains("{}", 1, 1, "a list of expected failures is expected here, not an object");
    complains("[\n 3 ]", 2, 2, "an expected failure");
    complains("[ { \"scenario\": \"x\", \"expect\": \"*\" } ]", 1, 3, "\"reason\" is missing");
    complains("[ { \"expect\": \"*\", \"reason\": \"r\" } ]", 1, 3, "\"scenario\" is missing");
    complains("[ { \"scenario\": \"x\", \"reason\": \"r\" } ]", 1, 3, "\"expect\" is missing");
    complains("[ { \"scenario\": \"x\", \"expect\": \"*\", \"reason\": \"\" } ]", 1, 47,
              "a reason, for those who come after, is expected here, and this one is empty");
    complains("[ { \"scenario\": \"x\", \"expect\": \"*\", \"reason\": 3 } ]", 1, 47, "not a whole number");
    complains("[ { \"scenario\": \"x\", \"expect\": \"*\",\n  \"raeson\": \"r\", \"reason\": \"r\" } ]", 2, 3,
              "unknown key of an expected failure \"raeson\" - did you mean \"reason\"?");
    complains("[ { \"scenario\": \"x\", \"expect\": \"expect[0] nevver\", \"reason\": \"r\" } ]", 1, 32,
              "unknown verb of an expectation \"nevver\" - did you mean \"never\"?");
    complains("[ { \"scenario\": \"x\", \"expect\": \"rule nonce-resue\", \"reason\": \"r\" } ]", 1, 32,
              "unknown rule \"nonce-resue\" - did you mean \"nonce-reuse\"?");
    complains("[ { \"scenario\": \"x\", \"expect\": \"nonce-reuse\", \"reason\": \"r\" } ]", 1, 32,
              "a rule is written \"rule nonce-reuse\"");
    static const char *const bad[] = {"expect[0]", "expect[x] never", "expect[0 never", "expect[0]never", "expect[]"};
    for (size_t i = 0; i < COUNTOF(bad); i++) {
        char text[200];
        snprintf(text, sizeof text, "[ { \"scenario\": \"x\", \"expect\": \"%s\", \"reason\": \"r\" } ]", bad[i]);
        complains(text, 1, 32, "is not the name of an expectation, such as \"expect[0] never\"");
    }
    complains("[ { \"scenario\": \"x\", \"expect\": \"any\", \"reason\": \"r\" } ]", 1, 32,
              "is expected here, not \"any\"");
    complains("[ { \"scenario\": \"x\", \"expect\": \"*\", \"reason\": \"r\" },\n"
              "  { \"scenario\": \"x\", \"expect\": \"*\", \"reason\": \"other\" } ]",
              2, 3, "this failure of \"x\" is expected twice");
    complains("[ ", 1, 3, "ends too early");

    struct bench bench;
    assert_int_not_equal(read_text(&bench, STR("[ { \"scenario\": 1, \"expect\": \"?\", \"reason\": \"r\" }, {} ]")),
                         OK);
    assert_int_equal(bench.complaints.n, 5); /* all mistakes at once */
    arena_done(&bench.arena);

    struct arena arena = {0};
    struct complaints complaints = {.arena = &arena};
    struct expected_list list = {0};
    assert_int_not_equal(expected_read(&arena, "/nowhere/at/all.json", &complaints, &list), OK);
    assert_int_equal(complaints.n, 1);
    arena_done(&arena);
}

/* --- applying -------------------------------------------------------------------------------------------------------
 */

static struct finding finding(enum result result, const char *name, enum level level)
{
    return (struct finding){.result = result, .name = str_c(name), .level = level, .observed = STR("seen\nmore")};
}

static struct result_case a_case(const char *name, enum outcome_class outcome, struct finding *findings, size_t n)
{
    struct str id, variant;
    str_cut(str_c(name), '#', &id, &variant);
    return (struct result_case){
        .name = str_c(name), .id = id, .variant = variant, .outcome = outcome, .findings = findings, .n_findings = n};
}

static struct expected_failure entry(const char *scenario, const char *expect, const char *version, const char *reason)
{
    return (struct expected_failure){
        .scenario = str_c(scenario), .expect = str_c(expect), .version = str_c(version), .reason = str_c(reason)};
}

/* What becomes of a case by these entries. */
static enum outcome_class apply(struct arena *arena, struct expected_failure *at, size_t n, const char *version,
                                struct result_case result, struct str *ret_reason)
{
    struct expected_list list = {at, n};
    for (size_t i = 0; i < n; i++)
        at[i].used = false;
    expected_apply(arena, &list, str_c(version), &result);
    *ret_reason = result.reason;
    return result.outcome;
}

static void test_expected(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct str reason;
    struct finding two[] = {
        finding(RESULT_FAIL, "expect[0] never", LEVEL_MUST), finding(RESULT_FAIL, "rule nonce-reuse", LEVEL_MUST),
        finding(RESULT_VACUOUS, "expect[2] each", LEVEL_MUST), finding(RESULT_FAIL, "expect[3] gap", LEVEL_MAY)};
    struct result_case failed = a_case("order/x#v", OUTCOME_FAIL, two, COUNTOF(two));

    struct expected_failure all[] = {entry("order/x", "expect[0] never", "", "issue 31"),
                                     entry("order/x#v", "rule nonce-reuse", "2.1*", "issue 32"),
                                     entry("order/y", "*", "", "another")};
    assert_int_equal(apply(&arena, all, 3, "2.1.7", failed, &reason), OUTCOME_EXPECTED);
    assert_true(str_is(reason, "issue 31; issue 32"));
    assert_true(all[0].used && all[1].used && !all[2].used);
    /* A later case does not take back what an earlier one used. */
    struct result_case fine = a_case("order/x#w", OUTCOME_OK, NULL, 0);
    expected_apply(&arena, &(struct expected_list){all, 3}, STR("2.1.7"), &fine);
    assert_int_equal(fine.outcome, OUTCOME_STALE);
    assert_true(all[0].used && all[1].used);
    /* Of another version: one failure is left unexpected. */
    assert_int_equal(apply(&arena, all, 3, "2.2", failed, &reason), OUTCOME_FAIL);
    assert_int_equal(reason.n, 0);
    assert_int_equal(apply(&arena, all, 1, "2.1", failed, &reason), OUTCOME_FAIL);
    assert_int_equal(apply(&arena, all, 0, "2.1", failed, &reason), OUTCOME_FAIL);
    struct expected_failure any[] = {entry("order/x", "*", "", "all of it")};
    assert_int_equal(apply(&arena, any, 1, "", failed, &reason), OUTCOME_EXPECTED);
    assert_true(str_is(reason, "all of it"));
    struct expected_failure other_variant[] = {entry("order/x#w", "*", "", "no")};
    assert_int_equal(apply(&arena, other_variant, 1, "", failed, &reason), OUTCOME_FAIL);
    /* One entry too many is told. */
    struct expected_failure more[] = {entry("order/x", "*", "", "all of it"),
                                      entry("order/x", "expect[9] gap", "", "old")};
    assert_int_equal(apply(&arena, more, 2, "", failed, &reason), OUTCOME_EXPECTED);
    assert_true(str_is(reason, "all of it; no longer seen: \"expect[9] gap\" (old)"));
    /* Under --strict what did not pass is what failed. */
    failed = a_case("order/x", OUTCOME_FAIL, &two[2], 1);
    struct expected_failure vacuous[] = {entry("order/x", "expect[2] each", "", "never happens")};
    assert_int_equal(apply(&arena, vacuous, 1, "", failed, &reason), OUTCOME_EXPECTED);
    assert_int_equal(apply(&arena, all, 1, "", failed, &reason), OUTCOME_FAIL);
    arena_done(&arena);
}

static void test_stale(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct str reason;
    struct finding warned[] = {finding(RESULT_FAIL, "expect[1] gap", LEVEL_SHOULD)};
    struct expected_failure never[] = {entry("order/x", "expect[0] never", "2.*", "issue 31")};
    struct result_case good = a_case("order/x", OUTCOME_OK, NULL, 0);
    struct result_case warn = a_case("order/x", OUTCOME_WARN, warned, 1);
    assert_int_equal(apply(&arena, never, 1, "2.1", good, &reason), OUTCOME_STALE);
    assert_true(str_find(reason, "was expected to fail and did not: \"expect[0] never\" (issue 31)") == 0);
    assert_false(never[0].used);
    assert_int_equal(apply(&arena, never, 1, "2.1", warn, &reason), OUTCOME_STALE);
    /* A race may lose. */
    never[0].sometimes = true;
    assert_int_equal(apply(&arena, never, 1, "2.1", good, &reason), OUTCOME_OK);
    never[0].sometimes = false;
    /* Not about this version, or not about this case. */
    assert_int_equal(apply(&arena, never, 1, "3.0", good, &reason), OUTCOME_OK);
    assert_int_equal(apply(&arena, never, 1, "2.1", a_case("order/y", OUTCOME_OK, NULL, 0), &reason), OUTCOME_OK);
    /* It matched what is only a warning. */
    struct expected_failure gap[] = {entry("order/x", "expect[1] gap", "", "issue 32")};
    assert_int_equal(apply(&arena, gap, 1, "2.1", warn, &reason), OUTCOME_WARN);
    assert_true(gap[0].used);
    /* What did not run, or not well, proves nothing. */
    assert_int_equal(apply(&arena, never, 1, "2.1", a_case("order/x", OUTCOME_SKIP, NULL, 0), &reason), OUTCOME_SKIP);
    assert_int_equal(apply(&arena, never, 1, "2.1", a_case("order/x", OUTCOME_ERROR, NULL, 0), &reason), OUTCOME_ERROR);
    arena_done(&arena);
}

/* --- writing --------------------------------------------------------------------------------------------------------
 */

static void test_write(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct finding findings[] = {
        finding(RESULT_FAIL, "expect[0] never", LEVEL_MUST), finding(RESULT_FAIL, "rule nonce-reuse", LEVEL_SHOULD),
        finding(RESULT_FAIL, "rule nonce-reuse", LEVEL_SHOULD), finding(RESULT_VACUOUS, "expect[2] each", LEVEL_MUST)};
    struct result_case made[] = {a_case("order/x#v", OUTCOME_FAIL, findings, COUNTOF(findings)),
                                 a_case("order/y", OUTCOME_EXPECTED, findings, 1),
                                 a_case("order/z", OUTCOME_OK, NULL, 0), a_case("order/e", OUTCOME_ERROR, findings, 1),
                                 a_case("order/bare", OUTCOME_FAIL, NULL, 0)};
    const struct result_case *cases[COUNTOF(made)];
    struct str reason;
    made[1].reason = STR("issue \"31\"");
    for (size_t i = 0; i < COUNTOF(made); i++)
        cases[i] = &made[i];
    struct str text = expected_write(&arena, cases, COUNTOF(made));
    const char *expected = "[\n"
                           "  { \"scenario\": \"order/x#v\", \"expect\": \"expect[0] never\",\n"
                           "    \"reason\": \"not explained yet; observed: seen\" },\n"
                           "  { \"scenario\": \"order/x#v\", \"expect\": \"rule nonce-reuse\",\n"
                           "    \"reason\": \"not explained yet; observed: seen\" },\n"
                           "  { \"scenario\": \"order/y\", \"expect\": \"expect[0] never\",\n"
                           "    \"reason\": \"issue \\\"31\\\"\" },\n"
                           "  { \"scenario\": \"order/bare\", \"expect\": \"*\",\n"
                           "    \"reason\": \"not explained yet\" } ]\n";
    assert_string_equal(text.at, expected);
    assert_string_equal(expected_write(&arena, cases, 0).at, "[]\n");

    /* What is written is read, and expects exactly what failed. */
    struct bench bench;
    assert_int_equal(read_text(&bench, text), OK);
    assert_int_equal(apply(&arena, bench.list.at, bench.list.n, "1", made[0], &reason), OUTCOME_EXPECTED);
    assert_int_equal(
        apply(&arena, bench.list.at, bench.list.n, "1", a_case("order/y", OUTCOME_FAIL, findings, 1), &reason),
        OUTCOME_EXPECTED);
    assert_int_equal(apply(&arena, bench.list.at, bench.list.n, "1", made[2], &reason), OUTCOME_OK);
    arena_done(&bench.arena);
    assert_int_equal(read_text(&bench, STR("[]\n")), OK);
    arena_done(&bench.arena);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),  cmocka_unit_test(test_complaints), cmocka_unit_test(test_expected),
        cmocka_unit_test(test_stale), cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
