/* Every rule has a log that it accepts and a log that it, and no other rule, finds fault with: fixtures/logs. */
#include "oracle/check_bench_test.h"

/* --- the logs --- */

static struct bench *load(const char *id, const char *kind)
{
    struct bench *bench = calloc(1, sizeof *bench);
    const char *path = str_fmt(&bench->arena, "%s/fixtures/logs/%s.%s.jsonl", DRILL_SOURCE_DIR, id, kind).at;
    size_t line;
    bool cut;
    FILE *file = fopen(path, "r");
    if (!file) fail_msg("rule %s has no log %s", id, path);
    if (history_read(file, &bench->history, &line, &cut) != OK) fail_msg("%s:%zu is no record", path, line);
    fclose(file);
    assert_false(cut);
    return bench;
}

static void test_logs(void **state)
{
    (void)state;
    const struct check *check, *other;
    for (size_t i = 0; (check = check_at(i)); i++) {
        struct bench *good = load(check->id, "good"), *bad = load(check->id, "bad");
        if (fails(good, check->id)) fail_msg("%s: the good log fails: %s", check->id, first(good)->observed.at);
        if (!good->findings.n) fail_msg("%s: nothing to judge in the good log", check->id);
        if (!fails(bad, check->id)) fail_msg("%s: the bad log passes", check->id);
        for (size_t k = 0; (other = check_at(k)); k++)
            if (other != check && fails(bad, other->id))
                fail_msg("%s: its bad log fails %s as well: %s", check->id, other->id, first(bad)->observed.at);
        done(good);
        done(bad);
    }
}

static void test_table(void **state)
{
    (void)state;
    size_t n_words, n = 0;
    const char *const *words = rule_words(&n_words);
    for (const struct check *check; (check = check_at(n)); n++) {
        bool known = false;
        for (size_t i = 0; i < n_words; i++)
            known = known || strcmp(words[i], check->id) == 0;
        if (!known) fail_msg("\"unless\" does not know the rule %s", check->id);
        if (*check->clause && !clause_find(str_c(check->clause)))
            fail_msg("%s: no clause %s", check->id, check->clause);
        assert_true(check->section && *check->section && check->claim && *check->claim && check->fold);
        for (size_t i = 0; i < n; i++)
            assert_string_not_equal(check_at(i)->id, check->id);
    }
    assert_int_equal(n, n_words);
    assert_null(check_at(n));
    assert_null(check_at(n + 7));
}

static void test_nothing_to_judge(void **state)
{
    (void)state;
    struct bench *bench = calloc(1, sizeof *bench);
    const struct check *check;
    for (size_t i = 0; (check = check_at(i)); i++) {
        assert_int_equal(fails(bench, check->id), 0);
        assert_int_equal(bench->findings.n, 0);
    }
    done(bench);
    /* A directory alone: it was answered, and more cannot be said. */
    bench = begin("simulate");
    for (size_t i = 0; (check = check_at(i)); i++) {
        assert_int_equal(fails(bench, check->id), 0);
        assert_int_equal(bench->findings.n, strcmp(check->id, "hangs") == 0);
    }
    done(bench);
}

/* Five findings at most; the rest is counted; what must not be is kept, whatever else there is. */
static void test_findings_are_few(void **state)
{
    (void)state;
    static const int statuses[] = {400, 403, 404, 409, 429, 500, 503};
    struct bench *bench = begin("simulate");
    for (size_t i = 0; i < COUNTOF(statuses); i++)
        problem(bench, want(bench, "x"), statuses[i], "", PROBLEM_PREFIX "malformed");
    problem(bench, want(bench, "x"), 400, "", PROBLEM_PREFIX "malformed");
    reply(bench, want(bench, "x"), 201, PLACE, "{\"status\":\"pending\"," ORDER);
    assert_int_equal(fails(bench, "fresh-nonce"), CHECK_MAX_FINDINGS);
    const struct finding *at = bench->findings.at;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(at[i].level, LEVEL_SHOULD);
    assert_string_equal(at[0].clause.at, "rfc8555#6.5-nonce-on-error");
    assert_string_equal(
        at[0].observed.at,
        "0:00.2 POST /new-order: a reply of status 400 has no Replay-Nonce; 1 time more, the last at 0:00.9");
    assert_string_equal(at[0].why.at, clause_find(at[0].clause)->why.at);
    assert_string_equal(at[0].claim.at, clause_find(at[0].clause)->text.at);
    assert_int_equal(at[4].level, LEVEL_MUST);
    assert_string_equal(at[4].claim.at, find("fresh-nonce")->claim);
    has(at[4].observed, "0:01.0 POST /new-order: a reply of status 201 has no Replay-Nonce; and 3 more violations");
    done(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logs),
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_nothing_to_judge),
        cmocka_unit_test(test_findings_are_few),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
