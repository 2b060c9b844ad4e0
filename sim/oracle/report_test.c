#include "base/when.h"
#include "oracle/report_parts.h"

#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct report_style plain = {0};

static void has(struct str text, const char *part)
{
    if (str_find(text, part) < 0) fail_msg("\"%s\" is not in\n%.*s", part, STR_ARGS(text));
}

static void lacks(struct str text, const char *part)
{
    if (str_find(text, part) >= 0) fail_msg("\"%s\" is in\n%.*s", part, STR_ARGS(text));
}

static void is_text(struct str text, const char *expected)
{
    if (!str_is(text, expected)) fail_msg("\n%.*s\nis not\n%s", STR_ARGS(text), expected);
}

/* --- cases to report
 * --------------------------------------------------------------------------------------------------- */

static struct finding early_poll(void)
{
    return (struct finding){.result = RESULT_FAIL,
                            .name = STR("expect[0] never"),
                            .clause = STR("rfc8555#8.2-client-waits"),
                            .level = LEVEL_MUST,
                            .party = PARTY_CLIENT,
                            .claim = STR("no poll before the time in Retry-After"),
                            .why = STR("a client that polls early is cut off by rate limits"),
                            .expected = STR("no \"client polls order\" before 0:08.2"),
                            .observed = STR("0:03.7, 0:04.2\n0:04.7"),
                            .hint = STR("waits were 0.5 s each"),
                            .seq = 17,
                            .t_ms = 3700,
                            .file = STR("scenarios/order/processing.json"),
                            .line = 13,
                            .column = 5,
                            .source = STR("{ \"never\": \"client polls order\" },")};
}

static struct finding of_result(enum result result, const char *name, enum level level)
{
    return (struct finding){
        .result = result, .name = str_c(name), .level = level, .party = PARTY_CA, .claim = STR("something holds")};
}

static struct finding early[2];
static struct str two_clauses[] = {
    {"rfc8555#8.2-client-waits", 24},
    {"rfc8555#7.4-x",            13}
};

static struct result_case failed_case(void)
{
    early[0] = early_poll();
    early[1] = of_result(RESULT_VACUOUS, "expect[1] each", LEVEL_SCENARIO);
    return (struct result_case){.name = STR("order/processing#date"),
                                .id = STR("order/processing"),
                                .variant = STR("date"),
                                .path = STR("scenarios/order/processing.json"),
                                .title = STR("an order that takes its time"),
                                .outcome = OUTCOME_FAIL,
                                .protocol_ms = 5400,
                                .real_ms = 5512,
                                .findings = early,
                                .n_findings = 2,
                                .passed = 11,
                                .again = STR("acmedrill run --seed 8555 scenarios/order/processing.json#date"),
                                .files = STR("out/order/processing#date"),
                                .excerpts = {STR("    time      client\n    0:03.7    polls order ──→  <== here\n")},
                                .clauses = two_clauses,
                                .n_clauses = 2};
}

static struct result_case simple(const char *name, enum outcome_class outcome, const char *reason)
{
    struct str id, variant;
    str_cut(str_c(name), '#', &id, &variant);
    return (struct result_case){.name = str_c(name),
                                .id = id,
                                .variant = variant,
                                .outcome = outcome,
                                .reason = str_c(reason),
                                .protocol_ms = 60000,
                                .real_ms = 4};
}

/* --- words
 * --------------------------------------------------------------------------------------------------------------- */

static void test_clean(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const struct {
        const char *from, *to;
    } rows[] = {
        {"plain \"text\" é 漢 🙂", "plain \"text\" é 漢 🙂"    },
        {"\x1b[31mred\x07\r\x7f",      "\\x1b[31mred\\x07\\x0d\\x7f"   },
        {"a\tb\nc",                    "a b\\nc"                       },
        {"\xff\xc3(\xe2\x82",          "\\xff\\xc3(\\xe2\\x82"         },
        {"\xc2\x9b"
         "31m",               "\\u{9b}31m"                    },
        {"\xe2\x80\xae"
         "evil",              "\\u{202e}evil"                 },
        {"\xed\xa0\x80",               "\\xed\\xa0\\x80"               },
        {"\xef\xbf\xbe\xef\xbb\xbf",   "\\u{fffe}\\u{feff}"            },
        {"\xc0\xaf\xf5\x80\x80\x80",   "\\xc0\\xaf\\xf5\\x80\\x80\\x80"}
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct str once = report_clean_line(&arena, str_c(rows[i].from));
        is_text(once, rows[i].to);
        is_text(report_clean_line(&arena, once), rows[i].to);
    }
    is_text(report_clean(&arena, STR("a\nb\x01")), "a\nb\\x01");
    assert_true(str_eq(report_clean_line(&arena, (struct str){"a\0b", 3}), STR("a\\x00b")));
    assert_int_equal(report_clean(&arena, (struct str){0}).n, 0);
    is_text(report_clip(&arena, STR("abcdefgh"), 8), "abcdefgh");
    is_text(report_clip(&arena, STR("abcdéfghi"), 8), "abcdé...");
    assert_int_equal(report_width(STR("─→é")), 3);
    arena_done(&arena);
}

static void test_times(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const struct {
        int64_t ms;
        const char *span, *time;
    } rows[] = {
        {0,         "0.0 s",      "0:00.0"    },
        {49,        "0.0 s",      "0:00.0"    },
        {1949,      "1.9 s",      "0:01.9"    },
        {61000,     "61.0 s",     "1:01.0"    },
        {99949,     "99.9 s",     "1:39.9"    },
        {99950,     "1 min 40 s", "1:39.9"    },
        {120000,    "2 min",      "2:00.0"    },
        {3725000,   "1 h 2 min",  "1:02:05.0" },
        {9660000,   "2 h 41 min", "2:41:00.0" },
        {7200000,   "2 h",        "2:00:00.0" },
        {266400000, "3 d 2 h",    "74:00:00.0"}
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        is_text(report_span(&arena, rows[i].ms), rows[i].span);
        is_text(when_run_time(&arena, rows[i].ms), rows[i].time);
    }
    is_text(report_folder(STR("http-01/404-502-ok")), "http-01");
    assert_true(str_eq(report_folder(STR("a/b/c")), STR("a/b")));
    is_text(report_folder(STR("alone")), ".");
    is_text(report_folder(STR("")), ".");
    arena_done(&arena);
}

static void test_head(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct report_head head = {.harness = STR("0.3.0"), .mode = STR("simulate"), .seed = 8555, .speed = 1, .jobs = 2};
    is_text(report_head_text(&arena, &head, &plain), "acmedrill 0.3.0 - simulate, virtual time - seed 8555 - 2 jobs\n");
    head = (struct report_head){
        .harness = STR("0.3.0"), .mode = STR("client"), .target = STR("lego 4.9.1"), .seed = 1, .speed = 4, .jobs = 1};
    is_text(report_head_text(&arena, &head, &plain),
            "acmedrill 0.3.0 - client under test: lego 4.9.1 - seed 1 - 1 job - speed 4\n");
    head.mode = STR("server");
    head.target = STR("caddy \x1b[1m");
    head.profile = STR("some-profile");
    is_text(report_head_text(&arena, &head, &plain),
            "acmedrill 0.3.0 - server under test: caddy \\x1b[1m (like some-profile) - seed 1 - 1 job - speed 4\n");
    arena_done(&arena);
}

/* --- a judgement becomes a case
 * ------------------------------------------------------------------------------------------ */

static enum outcome_class outcome(enum result result, int warnings, bool vacuous)
{
    struct arena arena = {0};
    struct result_case ret;
    struct judgement judgement = {.result = result, .warnings = warnings, .vacuous = vacuous};
    report_case(&arena, &judgement, NULL, false, &ret);
    arena_done(&arena);
    return ret.outcome;
}

static void test_outcomes(void **state)
{
    (void)state;
    assert_int_equal(outcome(RESULT_PASS, 0, false), OUTCOME_OK);
    assert_int_equal(outcome(RESULT_PASS, 1, false), OUTCOME_WARN);
    assert_int_equal(outcome(RESULT_LENIENT, 0, false), OUTCOME_WARN);
    assert_int_equal(outcome(RESULT_VACUOUS, 1, true), OUTCOME_WARN);
    assert_int_equal(outcome(RESULT_FAIL, 2, true), OUTCOME_FAIL);
    assert_int_equal(outcome(RESULT_ERROR, 2, true), OUTCOME_ERROR);
    static const char *const words[] = {"ok", "warn", "FAIL", "expected", "STALE", "skip", "ERROR"};
    for (int i = 0; i < OUTCOME_COUNT; i++)
        assert_string_equal(outcome_class_text((enum outcome_class)i), words[i]);
}

static void test_case(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct result_case ret;
    struct finding at[] = {of_result(RESULT_PASS, "expect[0] eventually", LEVEL_SCENARIO), early_poll(),
                           of_result(RESULT_VACUOUS, "expect[2] each", LEVEL_SHOULD),
                           of_result(RESULT_PASS, "rule hangs", LEVEL_MUST)};
    at[1].observed = STR("\x1b[31mred");
    struct judgement judgement = {
        .result = RESULT_FAIL, .vacuous = true, .warnings = 1, .findings = {at, COUNTOF(at), COUNTOF(at)}
    };
    judgement.view.end_ms = 1234;
    struct scenario scenario = {.id = STR("order/x"),
                                .variant = STR("v"),
                                .path = STR("scenarios/order/x.json"),
                                .title = STR("title"),
                                .clauses = two_clauses,
                                .n_clauses = 2};
    report_case(&arena, &judgement, &scenario, false, &ret);
    is_text(ret.name, "order/x#v");
    is_text(ret.path, "scenarios/order/x.json");
    assert_int_equal(ret.protocol_ms, 1234);
    assert_int_equal(ret.n_findings, 2);
    assert_int_equal(ret.passed, 2);
    assert_int_equal(ret.n_clauses, 2);
    assert_int_equal(ret.reason.n, 0);
    is_text(ret.findings[0].name, "expect[0] never");
    is_text(ret.findings[0].observed, "\\x1b[31mred");
    assert_int_equal(ret.findings[0].line, 13);
    assert_int_equal(ret.findings[1].result, RESULT_VACUOUS);
    assert_ptr_not_equal(ret.findings[0].name.at, at[1].name.at); /* nothing of the judgement is borrowed */
    report_case(&arena, &judgement, &scenario, true, &ret);
    assert_int_equal(ret.n_findings, 4);
    is_text(ret.findings[3].name, "rule hangs");
    judgement.result = RESULT_ERROR;
    at[2].result = RESULT_ERROR;
    report_case(&arena, &judgement, &scenario, false, &ret);
    is_text(ret.reason, "expect[2] each: something holds");
    arena_done(&arena);
}

/* --- text
 * ------------------------------------------------------------------------------------------------------------------ */

static void test_case_lines(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct result_case result = failed_case();
    is_text(report_case_text(&arena, &result, &plain),
            "  FAIL      order/processing#date                     5.4 s   expect[0] never, and 1 more\n");
    result = simple("sanity/http-01", OUTCOME_OK, "");
    is_text(report_case_text(&arena, &result, &plain), "  ok        sanity/http-01                           60.0 s\n");
    result = simple("http-01/ipv6", OUTCOME_SKIP, "client lacks feature \"ipv6\"");
    result.protocol_ms = 0;
    is_text(report_case_text(&arena, &result, &plain),
            "  skip      http-01/ipv6                                      client lacks feature \"ipv6\"\n");
    result = simple("order/x", OUTCOME_EXPECTED, "issue 31\nmore of it");
    is_text(report_case_text(&arena, &result, &plain),
            "  expected  order/x                                  60.0 s   issue 31\n");
    struct finding findings[] = {of_result(RESULT_VACUOUS, "expect[1] each", LEVEL_SCENARIO)};
    result = simple("http-01/nobody", OUTCOME_WARN, "");
    result.findings = findings;
    result.n_findings = 1;
    is_text(report_case_text(&arena, &result, &plain),
            "  warn      http-01/nobody                           60.0 s   expect[1] each: vacuous\n");
    findings[0] = of_result(RESULT_FAIL, "expect[1] gap", LEVEL_SHOULD);
    is_text(report_case_text(&arena, &result, &plain),
            "  warn      http-01/nobody                           60.0 s   expect[1] gap: SHOULD not met\n");
    struct str seen[] = {STR("http-01: our responder answered 404; 1 query, then the challenge was invalid "
                             "(unauthorized), its authz invalid, the order é")};
    result = simple("a/name-that-is-longer-than-the-column-is-wide", OUTCOME_OK, "");
    result.observations = seen;
    result.n_observations = 1;
    is_text(report_case_text(&arena, &result, &plain),
            "  ok        a/name-that-is-longer-than-the-column-is-wide     60.0 s\n"
            "            http-01: our responder answered 404; 1 query, then the challenge was invalid (unauthorized), "
            "its authz\n"
            "              invalid, the order é\n");
    arena_done(&arena);
}

static void test_failure(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct result_case result = failed_case();
    const struct clause *clause = clause_find(result.findings[0].clause);
    assert_non_null(clause);
    struct str text = report_failure_text(&arena, &result, &plain);
    is_text(text, str_fmt(&arena,
                          "\nFAIL order/processing#date                          scenarios/order/processing.json:13\n"
                          "  an order that takes its time\n"
                          "\n"
                          "  FAIL expect[0] never (judged: the client)\n"
                          "  MUST %.*s: %.*s  [rfc8555#8.2-client-waits]\n"
                          "  claim     no poll before the time in Retry-After\n"
                          "  why       a client that polls early is cut off by rate limits\n"
                          "         13 | { \"never\": \"client polls order\" },\n"
                          "  expected  no \"client polls order\" before 0:08.2\n"
                          "  observed  0:03.7, 0:04.2\n"
                          "            0:04.7\n"
                          "\n"
                          "    time      client\n"
                          "    0:03.7    polls order ──→  <== here\n"
                          "  hint      waits were 0.5 s each\n"
                          "\n"
                          "  vacuous expect[1] each: something holds\n"
                          "  again     acmedrill run --seed 8555 scenarios/order/processing.json#date\n"
                          "  files     out/order/processing#date\n",
                          STR_ARGS(clause->section), STR_ARGS(clause->text))
                      .at);

    /* A rule has no file: its name must do. */
    struct finding rule[] = {of_result(RESULT_FAIL, "rule nonce-reuse", LEVEL_MUST)};
    result.findings = rule;
    result.n_findings = 1;
    result.excerpts[0] = (struct str){0};
    text = report_failure_text(&arena, &result, &plain);
    has(text, "FAIL order/processing#date                          scenarios/order/processing.json\n");
    has(text, "\n  FAIL rule nonce-reuse (judged: the CA)\n  MUST: something holds\n");
    rule[0].level = LEVEL_SCENARIO;
    has(report_failure_text(&arena, &result, &plain), "  the scenario's own wish: something holds\n");
    rule[0].source = rule[0].claim; /* said once */
    has(report_failure_text(&arena, &result, &plain), "  the scenario's own wish\n          0 | something holds\n");

    /* Warnings in full when asked for, or when there is nothing worse. */
    result = failed_case();
    has(report_failure_text(&arena, &result, &(struct report_style){.verbose = true}),
        "\n  vacuous expect[1] each (judged: the CA)\n");
    result.outcome = OUTCOME_WARN;
    has(report_failure_text(&arena, &result, &plain), "\n  vacuous expect[1] each (judged: the CA)\n");

    result = simple("order/x", OUTCOME_ERROR, "cannot start\nlego");
    is_text(report_failure_text(&arena, &result, &plain),
            "\nERROR order/x\n  reason    cannot start\n            lego\n");
    result = simple("order/x", OUTCOME_OK, "");
    assert_int_equal(report_failure_text(&arena, &result, &plain).n, 0);
    arena_done(&arena);
}

static void test_many_findings(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct finding findings[10];
    struct result_case result = simple("order/x", OUTCOME_FAIL, "");
    for (size_t i = 0; i < COUNTOF(findings); i++)
        findings[i] = of_result(RESULT_FAIL, str_fmt(&arena, "expect[%zu] never", i).at, LEVEL_MUST);
    for (size_t i = 0; i < REPORT_MAX_EXCERPTS; i++)
        result.excerpts[i] = str_fmt(&arena, "    chart %zu\n", i);
    result.findings = findings;
    result.n_findings = COUNTOF(findings);
    struct str text = report_failure_text(&arena, &result, &plain);
    has(text, "    chart 7\n");
    lacks(text, "the chart is that of");
    has(text, "FAIL expect[9] never (judged: the CA)\n  MUST: something holds\n            (charts are drawn for the "
              "first 8 findings only)\n");
    arena_done(&arena);
}

static void test_same_chart(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct finding findings[] = {of_result(RESULT_VACUOUS, "expect[0] each", LEVEL_MUST),
                                 of_result(RESULT_FAIL, "expect[1] never", LEVEL_MUST),
                                 of_result(RESULT_FAIL, "expect[2] count", LEVEL_MUST)};
    struct result_case result = simple("order/x", OUTCOME_FAIL, "");
    result.findings = findings;
    result.n_findings = COUNTOF(findings);
    for (size_t i = 0; i < COUNTOF(findings); i++)
        result.excerpts[i] = STR("    the end\n");
    struct str text = report_failure_text(&arena, &result, &plain);
    has(text, "FAIL expect[1] never (judged: the CA)\n  MUST: something holds\n\n    the end\n");
    has(text, "FAIL expect[2] count (judged: the CA)\n  MUST: something holds\n"
              "            (the chart is that of expect[1] never)\n");
    arena_done(&arena);
}

static void test_styles(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct result_case result = failed_case();
    result.title = STR("é \x1b[2J “so”");
    struct str text = report_failure_text(&arena, &result, &plain);
    lacks(text, "\x1b");
    has(text, "é \\x1b[2J “so”");
    text = report_failure_text(&arena, &result, &(struct report_style){.ascii = true});
    has(text, "  ? \\x1b[2J \"so\"\n");
    has(text, "polls order -->  <== here\n");
    for (size_t i = 0; i < text.n; i++)
        assert_true(text.at[i] == '\n' || (text.at[i] >= 0x20 && text.at[i] < 0x7f));
    text = report_failure_text(&arena, &result, &(struct report_style){.color = true});
    has(text, "\x1b[31mFAIL\x1b[0m ");
    has(text, "\x1b[31m    0:03.7    polls order ──→  <== here\x1b[0m\n");
    lacks(text, "\x1b[2J");
    static const char *const colors[OUTCOME_COUNT] = {"32", "33", "31", "36", "31", "2", "31"};
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        struct result_case one = simple("order/x", (enum outcome_class)i, "");
        has(report_case_text(&arena, &one, &(struct report_style){.color = true}),
            str_fmt(&arena, "  \x1b[%sm%s\x1b[0m", colors[i], outcome_class_text(one.outcome)).at);
    }
    has(report_case_text(&arena, &result, &(struct report_style){.color = true}), "  \x1b[31mFAIL\x1b[0m      order");
    arena_done(&arena);
}

/* --- sums
 * --------------------------------------------------------------------------------------------------------------------
 */

static void test_folders_and_totals(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct finding vacuous[] = {of_result(RESULT_VACUOUS, "expect[1] each", LEVEL_SCENARIO),
                                of_result(RESULT_VACUOUS, "expect[2] never", LEVEL_SCENARIO)};
    struct result_case made[] = {
        simple("sanity/a", OUTCOME_OK, ""),         simple("order/a", OUTCOME_OK, ""),
        simple("order/b#x", OUTCOME_OK, ""),        simple("order/stuck", OUTCOME_EXPECTED, "issue 31"),
        simple("http-01/a", OUTCOME_WARN, ""),      simple("http-01/b", OUTCOME_FAIL, ""),
        simple("http-01/c", OUTCOME_SKIP, "no v6"), simple("http-01/d", OUTCOME_SKIP, "no v6"),
        simple("http-01/e", OUTCOME_SKIP, "other"), simple("http-01/f", OUTCOME_STALE, ""),
        simple("http-01/g", OUTCOME_ERROR, ""),     simple("a-folder-with-a-long-name/x", OUTCOME_SKIP, ""),
    };
    const struct result_case *cases[COUNTOF(made)];
    for (size_t i = 0; i < COUNTOF(made); i++)
        cases[i] = &made[i];
    made[4].findings = vacuous;
    made[4].n_findings = 2;
    made[5].findings = vacuous; /* it failed anyhow: not named */
    made[5].n_findings = 2;
    is_text(report_folders_text(&arena, cases, 4, &plain),
            "  sanity       1 ok\n"
            "  order        2 ok, 1 failed as expected (order/stuck, issue 31)\n");
    is_text(report_folders_text(&arena, cases + 4, COUNTOF(made) - 4, &plain),
            "  http-01                    1 ok with warnings, 1 FAILED, 1 STALE, 3 skipped, 1 ERROR\n"
            "                             2 skipped: no v6\n"
            "                             1 skipped: other\n"
            "  a-folder-with-a-long-name  1 skipped\n"
            "                             1 skipped: (no reason was given)\n");

    struct result_case known[] = {simple("order/a", OUTCOME_EXPECTED, "issue 31\nmore"),
                                  simple("order/b", OUTCOME_EXPECTED, "issue 32")};
    const struct result_case *knowns[] = {&known[0], &known[1]};
    is_text(report_folders_text(&arena, knowns, 2, &plain), "  order        2 failed as expected\n"
                                                            "               order/a: issue 31\n"
                                                            "               order/b: issue 32\n");

    struct report_head head = {.mode = STR("simulate"), .real_ms = 412};
    is_text(report_totals_text(&arena, &head, cases, 4, &plain),
            "4 scenarios: 3 passed, 1 expected failure - 4 min of protocol time in 0.4 s\n");
    is_text(report_totals_text(&arena, &head, cases, 1, &plain),
            "1 scenario: 1 passed - 60.0 s of protocol time in 0.4 s\n");
    head = (struct report_head){.mode = STR("client"), .real_ms = 66000};
    static const char all[] =
        "12 scenarios: 4 passed (1 with warnings), 1 failed, 1 expected failure, 1 stale expectation, 4 skipped, "
        "1 error - 66.0 s\n";
    static const char vacuous_text[] = "  vacuous, nothing happened that could have failed it:\n"
                                       "    http-01/a  expect[1] each, expect[2] never\n";
    is_text(report_totals_text(&arena, &head, cases, COUNTOF(made), &plain),
            str_fmt(&arena, "%s%s", vacuous_text, all).at);
    /* Quiet: no line and no folder has told why something was skipped. */
    is_text(report_totals_text(&arena, &head, cases, COUNTOF(made), &(struct report_style){.quiet = true}),
            str_fmt(&arena, "%s  2 skipped: no v6\n  1 skipped: other\n  1 skipped: (no reason was given)\n%s",
                    vacuous_text, all)
                .at);
    arena_done(&arena);
}

/* --- JSON
 * ----------------------------------------------------------------------------------------------------------------------
 */

static void test_round_trip(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct str observations[] = {STR("one\n\"two\""), STR("é ─→")};
    struct result_case from = failed_case(), to;
    from.reason = STR("why \x01 not");
    from.observations = observations;
    from.n_observations = 2;
    from.excerpts[1] = STR("second\n");
    early[1].seq = UINT64_C(9007199254740993);
    struct str json = result_case_write(&arena, &from);
    assert_null(memchr(json.at, '\n', json.n));
    assert_int_equal(result_case_read(&arena, json, &to), OK);
    assert_true(str_eq(result_case_write(&arena, &to), json));
    assert_true(str_eq(to.name, from.name) && str_eq(to.id, from.id) && str_eq(to.variant, from.variant));
    assert_true(str_eq(to.path, from.path) && str_eq(to.title, from.title) && str_eq(to.reason, from.reason));
    assert_true(str_eq(to.again, from.again) && str_eq(to.files, from.files));
    assert_int_equal(to.outcome, from.outcome);
    assert_int_equal(to.protocol_ms, from.protocol_ms);
    assert_int_equal(to.real_ms, from.real_ms);
    assert_int_equal(to.passed, 11);
    assert_int_equal(to.n_findings, 2);
    assert_int_equal(to.n_clauses, 2);
    assert_int_equal(to.n_observations, 2);
    assert_true(str_eq(to.observations[0], observations[0]));
    for (size_t i = 0; i < REPORT_MAX_EXCERPTS; i++)
        assert_true(str_eq(to.excerpts[i], from.excerpts[i]));
    for (size_t i = 0; i < 2; i++) {
        const struct finding *a = &from.findings[i], *b = &to.findings[i];
        assert_true(a->result == b->result && a->level == b->level && a->party == b->party && a->seq == b->seq &&
                    a->t_ms == b->t_ms);
        assert_true(a->line == b->line && a->column == b->column);
        assert_true(str_eq(a->name, b->name) && str_eq(a->clause, b->clause) && str_eq(a->claim, b->claim) &&
                    str_eq(a->why, b->why));
        assert_true(str_eq(a->expected, b->expected) && str_eq(a->observed, b->observed) && str_eq(a->hint, b->hint));
        assert_true(str_eq(a->file, b->file) && str_eq(a->source, b->source));
    }
    assert_true(str_eq(report_failure_text(&arena, &from, &plain), report_failure_text(&arena, &to, &plain)));
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        from = simple("x", (enum outcome_class)i, "");
        assert_int_equal(result_case_read(&arena, result_case_write(&arena, &from), &to), OK);
        assert_int_equal(to.outcome, i);
    }
    arena_done(&arena);
}

static void test_bad_json(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const char *const bad[] = {
        "",
        "[]",
        "{",
        "{\"outcome\":\"good\"}",
        "{\"outcome\":\"ok\",\"name\":3}",
        "{\"outcome\":\"ok\",\"findings\":{}}",
        "{\"outcome\":\"ok\",\"findings\":[{}]}",
        "{\"outcome\":\"ok\",\"findings\":[1]}",
        "{\"outcome\":\"ok\",\"passed\":-1}",
        "{\"outcome\":\"ok\",\"passed\":1.5}",
        "{\"outcome\":\"ok\",\"clauses\":[1]}",
        "{\"outcome\":\"ok\",\"excerpts\":[\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\",\"\"]}",
        "{\"outcome\":\"ok\"} x"};
    struct result_case untouched = {.passed = 77};
    for (size_t i = 0; i < COUNTOF(bad); i++)
        if (result_case_read(&arena, str_c(bad[i]), &untouched) != ERR_MALFORMED) fail_msg("%s", bad[i]);
    assert_int_equal(untouched.passed, 77);
    assert_int_equal(result_case_read(&arena, STR("{\"outcome\":\"ok\",\"name\":\"\\u0000\"}"), &untouched), OK);
    assert_int_equal(untouched.name.n, 1);
    arena_done(&arena);
}

static void test_json(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct result_case a = simple("order/a", OUTCOME_OK, ""), b = simple("order/b", OUTCOME_SKIP, "no \xff");
    const struct result_case *cases[] = {&a, &b};
    struct report_head head = {.harness = STR("0.3.0"),
                               .mode = STR("client"),
                               .target = STR("lego \"4\""),
                               .seed = UINT64_MAX,
                               .speed = 4,
                               .real_ms = 9,
                               .jobs = 3};
    is_text(report_json(&arena, &head, cases, 2),
            "{\"acmedrill\":\"0.3.0\",\"mode\":\"client\",\"target\":\"lego "
            "\\\"4\\\"\",\"seed\":18446744073709551615,\"speed\":4,"
            "\"real_ms\":9,\"totals\":{\"ok\":1,\"warn\":0,\"FAIL\":0,\"expected\":0,\"STALE\":0,\"skip\":1,\"ERROR\":"
            "0},\"cases\":[\n"
            "{\"name\":\"order/a\",\"id\":\"order/"
            "a\",\"outcome\":\"ok\",\"protocol_ms\":60000,\"real_ms\":4,\"passed\":0,\"findings\":[]},\n"
            "{\"name\":\"order/b\",\"id\":\"order/b\",\"outcome\":\"skip\",\"reason\":\"no "
            "\\ufffd\",\"protocol_ms\":60000,\"real_ms\":4,"
            "\"passed\":0,\"findings\":[]}\n]}\n");
    head = (struct report_head){.harness = STR("1"), .mode = STR("simulate"), .speed = 1};
    has(report_json(&arena, &head, NULL, 0), "\"target\":\"\",\"seed\":0");
    has(report_json(&arena, &head, NULL, 0), "\"cases\":[]}\n");
    arena_done(&arena);
}

/* --- JUnit
 * ------------------------------------------------------------------------------------------------------------------------
 */

static struct str xpath(struct arena *arena, xmlXPathContext *context, const char *path)
{
    xmlXPathObject *object = xmlXPathEvalExpression((const xmlChar *)path, context);
    assert_non_null(object);
    xmlChar *text = xmlXPathCastToString(object);
    struct str copy = str_copy(arena, str_c((const char *)text));
    xmlFree(text);
    xmlXPathFreeObject(object);
    return copy;
}

static void test_junit(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct finding warning[] = {of_result(RESULT_VACUOUS, "expect[1] each", LEVEL_SCENARIO)};
    struct result_case made[] = {failed_case(),
                                 simple("sanity/a", OUTCOME_OK, ""),
                                 simple("order/skip", OUTCOME_SKIP, "no <v6> & \x1b[1m"),
                                 simple("order/known", OUTCOME_EXPECTED, "issue 31"),
                                 simple("order/stale", OUTCOME_STALE, "mended"),
                                 simple("order/broken", OUTCOME_ERROR, "\xff\xef\xbf\xbf]]>"),
                                 simple("order/warn", OUTCOME_WARN, "")};
    const struct result_case *cases[COUNTOF(made)];
    for (size_t i = 0; i < COUNTOF(made); i++)
        cases[i] = &made[i];
    made[6].findings = warning;
    made[6].n_findings = 1;
    early[0].observed = STR("\x1b[31m\x01 <&> ]]> \xe2\x80\xae");
    struct report_head head = {.harness = STR("0.3.0"),
                               .mode = STR("client"),
                               .target = STR("lego 4"),
                               .seed = 8555,
                               .speed = 2,
                               .real_ms = 1234};
    struct str xml = report_junit(&arena, &head, cases, COUNTOF(made));
    assert_true(str_utf8(xml));
    for (size_t i = 0; i < xml.n; i++)
        assert_true((unsigned char)xml.at[i] >= 0x20 || xml.at[i] == '\n');

    xmlDoc *doc = xmlReadMemory(xml.at, (int)xml.n, "junit.xml", NULL, XML_PARSE_NONET | XML_PARSE_NOERROR);
    assert_non_null(doc);
    xmlXPathContext *context = xmlXPathNewContext(doc);
    static const char *const rows[][2] = {
        {"/testsuites/@tests",                                        "7"                                                      },
        {"/testsuites/@failures",                                     "2"                                                      },
        {"/testsuites/@errors",                                       "1"                                                      },
        {"/testsuites/@skipped",                                      "2"                                                      },
        {"/testsuites/@time",                                         "1.234"                                                  },
        {"count(/testsuites/testsuite)",                              "2"                                                      },
        {"/testsuites/testsuite[1]/@name",                            "order"                                                  },
        {"/testsuites/testsuite[1]/@tests",                           "6"                                                      },
        {"/testsuites/testsuite[1]/@time",                            "5.532"                                                  },
        {"/testsuites/testsuite[2]/@name",                            "sanity"                                                 },
        {"//testsuite[1]/properties/property[@name='seed']/@value",   "8555"                                                   },
        {"//testsuite[1]/properties/property[@name='target']/@value", "lego 4"                                                 },
        {"//testcase[1]/@name",                                       "order/processing#date"                                  },
        {"//testcase[1]/@classname",                                  "order"                                                  },
        {"//testcase[1]/@time",                                       "5.512"                                                  },
        {"count(//testcase[1]/properties/property[@name='clause'])",  "2"                                                      },
        {"//testcase[1]/properties/property[1]/@value",               "rfc8555#8.2-client-waits"                               },
        {"//testcase[1]/failure/@type",                               "FAIL"                                                   },
        {"//testcase[1]/failure/@message",                            "expect[0] never: no poll before the time in Retry-After"},
        {"//testcase[@name='order/skip']/skipped/@message",           "no <v6> & \\x1b[1m"                                     },
        {"//testcase[@name='order/known']/skipped/@message",          "expected failure: issue 31"                             },
        {"//testcase[@name='order/stale']/failure/@type",             "STALE"                                                  },
        {"//testcase[@name='order/broken']/error/@message",           "\\xff\\u{ffff}]]>"                                      },
        {"count(//testcase[@name='sanity/a']/*)",                     "0"                                                      },
        {"count(//testcase[@name='order/warn']/*)",                   "1"                                                      },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++)
        is_text(xpath(&arena, context, rows[i][0]), rows[i][1]);
    struct str text = xpath(&arena, context, "//testcase[1]/failure");
    has(text, "  observed  \\x1b[31m\\x01 <&> ]]> \\u{202e}\n");
    has(text, "    0:03.7    polls order ──→  <== here\n");
    has(text, "  again     acmedrill run");
    has(xpath(&arena, context, "//testcase[@name='order/warn']/system-out"), "vacuous expect[1] each");
    xmlXPathFreeContext(context);
    xmlFreeDoc(doc);
    xmlCleanupParser();
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_clean),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_case),
        cmocka_unit_test(test_case_lines),
        cmocka_unit_test(test_failure),
        cmocka_unit_test(test_many_findings),
        cmocka_unit_test(test_same_chart),
        cmocka_unit_test(test_styles),
        cmocka_unit_test(test_folders_and_totals),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_bad_json),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_junit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
