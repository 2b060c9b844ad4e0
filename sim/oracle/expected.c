/* Expected failures: what a target is known to do wrong, kept in a file so that only what is new turns a run red, and
 * what is mended does too. */
#include "oracle/report_parts.h"
#include "plan/desk.h"

#include <fnmatch.h>
#include <string.h>

enum { MAX_ENTRIES = 2000, MAX_NAME = 300, MAX_REASON = 4000 };

/* --- reading --------------------------------------------------------------------------------------------------------
 */

/* "expect[4] never", and "expect[4] any_of.slow[0] count" for what stands in one of several outcomes. */
static bool expectation_good(const struct desk *desk, struct node node, struct str text)
{
    struct str index, rest, verb;
    const char *verbs[VERB_ANY_OF + 1];
    size_t n = 0, i;
    int64_t number;
    while (n < COUNTOF(verbs)) {
        verbs[n] = verb_text((enum verb)n);
        n++;
    }
    struct str after = {text.at + strlen("expect["), text.n - strlen("expect[")};
    if (!str_cut(after, ']', &index, &rest) || !str_int(index, &number) || !str_starts(rest, " ")) {
        node_bad(desk, node, "\"%.*s\" is not the name of an expectation, such as \"expect[0] never\"",
                 STR_ARGS(report_clip(desk->arena, report_clean_line(desk->arena, text), 80)));
        return false;
    }
    str_cut((struct str){rest.at + 1, rest.n - 1}, '.', &verb, &rest);
    if (str_index(verb, verbs, n, &i)) return true;
    node_unknown(desk, node, false, "verb of an expectation", verb, verbs, n);
    return false;
}

static bool expect_good(const struct desk *desk, struct node node, struct str text)
{
    size_t n, i;
    const char *const *rules = rule_words(&n);
    if (str_is(text, "*")) return true;
    if (str_starts(text, "expect[")) return expectation_good(desk, node, text);
    if (str_starts(text, "rule ")) {
        struct str rule = {text.at + strlen("rule "), text.n - strlen("rule ")};
        if (str_index(rule, rules, n, &i)) return true;
        node_unknown(desk, node, false, "rule", rule, rules, n);
        return false;
    }
    for (i = 0; i < n; i++)
        if (str_is(text, rules[i])) {
            node_bad(desk, node, "a rule is written \"rule %s\"", rules[i]);
            return false;
        }
    node_bad(desk, node,
             "\"*\" for any failure, \"expect[0] never\" or \"rule nonce-reuse\" is expected here, not \"%.*s\"",
             STR_ARGS(report_clip(desk->arena, report_clean_line(desk->arena, text), 80)));
    return false;
}

static bool required(const struct desk *desk, struct node entry, const char *key, const char *what, size_t most,
                     struct str *ret)
{
    struct node node = node_member(desk, entry, key);
    if (node.value) return node_text(desk, node, what, most, ret);
    node_bad(desk, entry, "\"%s\" is missing", key);
    return false;
}

static void read_entry(const struct desk *desk, struct node node, struct expected_failure *ret)
{
    static const char *const keys[] = {"scenario", "expect", "version", "sometimes", "reason"};
    struct node version, sometimes;
    if (!node_object(desk, node, "an expected failure, {\"scenario\": ..., \"expect\": ..., \"reason\": ...},")) return;
    node_keys(desk, node, "key of an expected failure", keys, COUNTOF(keys));
    required(desk, node, "scenario", "the name of a case, such as \"order/keys#p384\",", MAX_NAME, &ret->scenario);
    if (required(desk, node, "expect", "what fails, such as \"expect[0] never\",", MAX_NAME, &ret->expect))
        expect_good(desk, node_member(desk, node, "expect"), ret->expect);
    if ((version = node_member(desk, node, "version")).value)
        node_text(desk, version, "a pattern of versions, such as \"2.1*\",", MAX_NAME, &ret->version);
    if ((sometimes = node_member(desk, node, "sometimes")).value) node_bool(desk, sometimes, &ret->sometimes);
    required(desk, node, "reason", "a reason, for those who come after,", MAX_REASON, &ret->reason);
}

static bool same_entry(const struct expected_failure *a, const struct expected_failure *b)
{
    return str_eq(a->scenario, b->scenario) && str_eq(a->expect, b->expect) && str_eq(a->version, b->version);
}

enum err expected_read(struct arena *arena, const char *path, struct complaints *complaints, struct expected_list *ret)
{
    struct desk desk = {.arena = arena, .complaints = complaints};
    struct paper paper = {0};
    size_t before = complaints->n;
    enum err e = paper_read(arena, path, complaints, &paper);
    if (e != OK) return e;
    struct node root = node_root(&paper);
    if (node_array(&desk, root, "a list of expected failures", 0, MAX_ENTRIES)) {
        struct expected_list list = {.at = ARENA_ARRAY(arena, struct expected_failure, node_length(root) + 1)};
        for (size_t i = 0; i < node_length(root); i++) {
            struct node node = node_item(&desk, root, i);
            size_t complained = complaints->n;
            struct expected_failure *entry = &list.at[list.n];
            read_entry(&desk, node, entry);
            if (complaints->n != complained) continue;
            for (size_t k = 0; k < list.n; k++)
                if (same_entry(&list.at[k], entry))
                    node_bad(&desk, node, "this failure of \"%.*s\" is expected twice", STR_ARGS(entry->scenario));
            list.n++;
        }
        if (complaints->n == before) *ret = list;
    }
    paper_done(&paper);
    return complaints->n == before ? OK : ERR_REFUSED;
}

/* --- applying -------------------------------------------------------------------------------------------------------
 */

/* Is the entry about this case? One that names no variant is about all of them. */
static bool about(struct arena *arena, const struct expected_failure *entry, struct str version,
                  const struct result_case *result)
{
    if (!str_eq(entry->scenario, result->name) && !str_eq(entry->scenario, result->id)) return false;
    if (!entry->version.n) return true;
    return fnmatch(str_copy(arena, entry->version).at, str_copy(arena, version).at, 0) == 0;
}

static bool covers(const struct expected_failure *entry, const struct finding *finding)
{
    return str_is(entry->expect, "*") || str_eq(entry->expect, finding->name);
}

/* Adds a text to a list once. */
static void add_once(struct buf *out, struct str text, const char *between)
{
    if (out->n && str_find(buf_str(out), text.at) >= 0) return;
    if (out->n) buf_add_c(out, between);
    buf_add(out, text);
}

void expected_apply(struct arena *arena, struct expected_list *list, struct str target_version,
                    struct result_case *result)
{
    struct buf reasons = {.arena = arena}, unmet = {.arena = arena};
    bool all = true, failed = false;
    if (result->outcome != OUTCOME_FAIL && result->outcome != OUTCOME_OK && result->outcome != OUTCOME_WARN) return;
    for (size_t k = 0; k < result->n_findings; k++) {
        bool covered = false;
        if (!report_counts(result, &result->findings[k])) continue;
        for (size_t i = 0; i < list->n; i++)
            covered = covered || (about(arena, &list->at[i], target_version, result) &&
                                  covers(&list->at[i], &result->findings[k]));
        failed = true;
        all = all && covered;
    }
    for (size_t i = 0; i < list->n; i++) {
        struct expected_failure *entry = &list->at[i];
        bool met = false;
        if (!about(arena, entry, target_version, result)) continue;
        for (size_t k = 0; k < result->n_findings; k++)
            met = met || (report_counts(result, &result->findings[k]) && covers(entry, &result->findings[k]));
        entry->used = entry->used || met;
        if (met) add_once(&reasons, entry->reason, "; ");
        else if (!entry->sometimes)
            add_once(&unmet, str_fmt(arena, "\"%.*s\" (%.*s)", STR_ARGS(entry->expect), STR_ARGS(entry->reason)), ", ");
    }
    if (result->outcome == OUTCOME_FAIL) {
        if (!failed || !all) return;
        if (unmet.n) buf_fmt(&reasons, "; no longer seen: %.*s", STR_ARGS(buf_str(&unmet)));
        result->outcome = OUTCOME_EXPECTED;
        result->reason = buf_str(&reasons);
    } else if (unmet.n) {
        result->outcome = OUTCOME_STALE;
        result->reason = str_fmt(
            arena, "was expected to fail and did not: %.*s; take the entry out of the file of expected failures",
            STR_ARGS(buf_str(&unmet)));
    }
}

/* --- writing --------------------------------------------------------------------------------------------------------
 */

static struct str one_line(struct arena *arena, struct str text, size_t most)
{
    struct str line, rest;
    str_cut(text, '\n', &line, &rest);
    return report_clip(arena, report_clean_line(arena, line), most);
}

static void write_entry(struct buf *out, const struct result_case *result, struct str expect, struct str reason)
{
    buf_add_c(out, out->n > 1 ? ",\n  { \"scenario\": " : "\n  { \"scenario\": ");
    buf_add_json(out, result->name);
    buf_add_c(out, ", \"expect\": ");
    buf_add_json(out, expect);
    buf_add_c(out, ",\n    \"reason\": ");
    buf_add_json(out, reason);
    buf_add_c(out, " }");
}

static struct str reason_for(struct arena *arena, const struct result_case *result, const struct finding *finding)
{
    if (result->outcome == OUTCOME_EXPECTED) return one_line(arena, result->reason, MAX_REASON);
    struct str seen = finding->observed.n ? finding->observed : finding->claim;
    return str_fmt(arena, "not explained yet; observed: %.*s", STR_ARGS(one_line(arena, seen, 200)));
}

struct str expected_write(struct arena *arena, const struct result_case *const *cases, size_t n)
{
    struct buf out = {.arena = arena};
    buf_add_char(&out, '[');
    for (size_t i = 0; i < n; i++) {
        const struct result_case *result = cases[i];
        size_t written = 0;
        if (result->outcome != OUTCOME_FAIL && result->outcome != OUTCOME_EXPECTED) continue;
        for (size_t k = 0; k < result->n_findings; k++) {
            const struct finding *finding = &result->findings[k];
            bool again = false;
            for (size_t j = 0; j < k; j++)
                again = again || (report_counts(result, &result->findings[j]) &&
                                  str_eq(result->findings[j].name, finding->name));
            if (again || !report_counts(result, finding)) continue;
            write_entry(&out, result, finding->name, reason_for(arena, result, finding));
            written++;
        }
        if (!written) write_entry(&out, result, STR("*"), STR("not explained yet"));
    }
    buf_add_c(&out, out.n > 1 ? " ]\n" : "]\n");
    return buf_str(&out);
}
