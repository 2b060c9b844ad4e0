/* Results as JUnit XML: a suite for each folder, a testcase for each case, the text report inside its failure. */
#include "oracle/report_parts.h"

#include <mxml.h>
#include <stdio.h>
#include <stdlib.h>

/* The tree under construction and the element that is open in it. */
struct sheet {
    struct arena *arena;
    mxml_node_t *at;
};

/* Making a node fails only for lack of memory, and that ends the process. */
static mxml_node_t *must(mxml_node_t *node)
{
    if (node) return node;
    fputs("acmedrill: out of memory\n", stderr);
    abort();
}

static void begin(struct sheet *sheet, const char *name)
{
    sheet->at = must(mxmlNewElement(sheet->at, name));
}

static void end(struct sheet *sheet)
{
    sheet->at = mxmlGetParent(sheet->at);
}

static void attribute(struct sheet *sheet, const char *name, struct str value)
{
    mxmlElementSetAttr(sheet->at, name, report_clean(sheet->arena, value).at);
}

static void write_text(struct sheet *sheet, struct str text)
{
    must(mxmlNewOpaque(sheet->at, report_clean(sheet->arena, text).at));
}

static void number(struct sheet *sheet, const char *name, size_t value)
{
    attribute(sheet, name, str_fmt(sheet->arena, "%zu", value));
}

static void seconds(struct sheet *sheet, const char *name, int64_t ms)
{
    attribute(sheet, name, str_fmt(sheet->arena, "%lld.%03lld", (long long)(ms / 1000), (long long)(ms % 1000)));
}

static void property(struct sheet *sheet, const char *name, struct str value)
{
    begin(sheet, "property");
    attribute(sheet, "name", str_c(name));
    attribute(sheet, "value", value);
    end(sheet);
}

/* <NAME message="..." type="...">text</NAME> */
static void verdict(struct sheet *sheet, const char *name, struct str message, enum outcome_class outcome,
                    struct str text)
{
    begin(sheet, name);
    attribute(sheet, "message", message);
    if (outcome != OUTCOME_SKIP && outcome != OUTCOME_EXPECTED)
        attribute(sheet, "type", str_c(outcome_class_text(outcome)));
    if (text.n) write_text(sheet, text);
    end(sheet);
}

static struct str full_text(struct arena *arena, const struct result_case *result)
{
    const struct report_style style = {0};
    struct buf out = {.arena = arena};
    buf_add(&out, report_case_text(arena, result, &style));
    buf_add(&out, report_failure_text(arena, result, &style));
    return buf_str(&out);
}

static struct str message_of(struct arena *arena, const struct result_case *result)
{
    if (result->reason.n) return result->reason;
    for (size_t i = 0; i < result->n_findings; i++) {
        const struct finding *finding = &result->findings[i];
        if (report_counts(result, finding))
            return str_fmt(arena, "%.*s: %.*s", STR_ARGS(finding->name), STR_ARGS(finding->claim));
    }
    return STR("failed");
}

static void testcase(struct sheet *sheet, const struct result_case *result, struct str folder)
{
    struct arena *arena = sheet->arena;
    begin(sheet, "testcase");
    attribute(sheet, "name", result->name);
    attribute(sheet, "classname", folder);
    if (result->path.n) attribute(sheet, "file", result->path);
    seconds(sheet, "time", result->real_ms);
    if (result->n_clauses) {
        begin(sheet, "properties");
        for (size_t i = 0; i < result->n_clauses; i++)
            property(sheet, "clause", result->clauses[i]);
        end(sheet);
    }
    switch (result->outcome) {
    case OUTCOME_FAIL:
    case OUTCOME_STALE:
        verdict(sheet, "failure", message_of(arena, result), result->outcome, full_text(arena, result));
        break;
    case OUTCOME_ERROR:
        verdict(sheet, "error", message_of(arena, result), result->outcome, full_text(arena, result));
        break;
    case OUTCOME_SKIP:
        verdict(sheet, "skipped", result->reason.n ? result->reason : STR("(no reason was given)"), result->outcome,
                (struct str){0});
        break;
    case OUTCOME_EXPECTED:
        verdict(sheet, "skipped", str_fmt(arena, "expected failure: %.*s", STR_ARGS(result->reason)), result->outcome,
                full_text(arena, result));
        break;
    case OUTCOME_OK:
    case OUTCOME_WARN: break;
    }
    if (result->outcome == OUTCOME_WARN || (result->outcome == OUTCOME_OK && result->n_observations)) {
        begin(sheet, "system-out");
        write_text(sheet, full_text(arena, result));
        end(sheet);
    }
    end(sheet);
}

static void sums(struct sheet *sheet, const struct result_case *const *cases, size_t n, struct str folder)
{
    size_t all = 0, failures = 0, errors = 0, skipped = 0;
    int64_t real_ms = 0;
    for (size_t i = 0; i < n; i++) {
        enum outcome_class outcome = cases[i]->outcome;
        if (folder.at && !str_eq(report_folder(cases[i]->id), folder)) continue;
        all++;
        failures += outcome == OUTCOME_FAIL || outcome == OUTCOME_STALE;
        errors += outcome == OUTCOME_ERROR;
        skipped += outcome == OUTCOME_SKIP || outcome == OUTCOME_EXPECTED;
        real_ms += cases[i]->real_ms;
    }
    number(sheet, "tests", all);
    number(sheet, "failures", failures);
    number(sheet, "errors", errors);
    number(sheet, "skipped", skipped);
    if (folder.at) seconds(sheet, "time", real_ms);
}

static void suite(struct sheet *sheet, const struct report_head *head, const struct result_case *const *cases, size_t n,
                  struct str folder)
{
    begin(sheet, "testsuite");
    attribute(sheet, "name", folder);
    sums(sheet, cases, n, folder);
    begin(sheet, "properties");
    property(sheet, "acmedrill", head->harness);
    property(sheet, "mode", head->mode);
    if (head->target.n) property(sheet, "target", head->target);
    if (head->profile.n) property(sheet, "profile", head->profile);
    property(sheet, "seed", str_fmt(sheet->arena, "%llu", (unsigned long long)head->seed));
    if (head->speed > 1) property(sheet, "speed", str_fmt(sheet->arena, "%lld", (long long)head->speed));
    end(sheet);
    for (size_t i = 0; i < n; i++)
        if (str_eq(report_folder(cases[i]->id), folder)) testcase(sheet, cases[i], folder);
    end(sheet);
}

/* Each element on its own line, a space deeper than its parent; texts stay as they are. */
static const char *layout(mxml_node_t *node, int where)
{
    static const char *const breaks[] = {"\n", "\n ", "\n  ", "\n   ", "\n    ", "\n     "};
    mxml_node_t *parent = mxmlGetParent(node), *first = mxmlGetFirstChild(node);
    bool closes_text = where == MXML_WS_BEFORE_CLOSE && (!first || mxmlGetType(first) != MXML_ELEMENT);
    if ((where != MXML_WS_BEFORE_OPEN && where != MXML_WS_BEFORE_CLOSE) || closes_text || !parent) return NULL;
    size_t depth = 0;
    while ((parent = mxmlGetParent(parent)))
        depth++;
    return breaks[depth < COUNTOF(breaks) ? depth : COUNTOF(breaks) - 1];
}

struct str report_junit(struct arena *arena, const struct report_head *head, const struct result_case *const *cases,
                        size_t n)
{
    mxml_node_t *document = must(mxmlNewXML("1.0"));
    struct sheet sheet = {.arena = arena, .at = document};
    begin(&sheet, "testsuites");
    attribute(&sheet, "name", STR("acmedrill"));
    sums(&sheet, cases, n, (struct str){0});
    seconds(&sheet, "time", head->real_ms);
    for (size_t i = 0; i < n; i++) {
        struct str folder = report_folder(cases[i]->id);
        bool first = true;
        for (size_t k = 0; k < i && first; k++)
            first = !str_eq(report_folder(cases[k]->id), folder);
        if (first) suite(&sheet, head, cases, n, folder);
    }
    mxmlSetWrapMargin(0);
    char *written = mxmlSaveAllocString(document, layout);
    mxmlDelete(document);
    if (!written) must(NULL);
    struct buf text = {.arena = arena};
    buf_add_c(&text, written);
    buf_add_char(&text, '\n');
    free(written);
    return buf_str(&text);
}
