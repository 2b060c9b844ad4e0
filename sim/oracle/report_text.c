/* The report as people read it on a terminal. */
#include "oracle/report_parts.h"

#include <string.h>

enum {
    NAME_WIDTH = 38,
    TIME_WIDTH = 9,
    FOLDER_WIDTH = 13,
    HEAD_WIDTH = 52,
    SENTENCE_WIDTH = 104,
    SHORT_WIDTH = 60,
    MAX_NAMED = 10
};

enum paint { PLAIN, GREEN, YELLOW, RED, CYAN, DIM, BOLD };

/* One text on its way out: colour and characters as the style says. */
struct page {
    struct buf out;
    const struct report_style *style;
};

static struct page page_new(struct arena *arena, const struct report_style *style)
{
    return (struct page){.out = {.arena = arena}, .style = style};
}

static const char *paint_code(enum paint paint)
{
    static const char *const codes[] = {"", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[36m", "\x1b[2m", "\x1b[1m"};
    return codes[paint];
}

/* What people see of text that needs more than ASCII, where there is no more. */
static struct str in_ascii(struct arena *arena, struct str text)
{
    static const struct {
        const char *from, *to;
    } signs[] = {
        {"─", "-"  },
        {"→", ">"  },
        {"←", "<"  },
        {"“", "\"" },
        {"”", "\"" },
        {"’", "'"  },
        {"–", "-"  },
        {"—", "-"  },
        {"…", "..."}
    };
    struct buf out = {.arena = arena};
    for (size_t i = 0; i < text.n;) {
        struct str rest = {text.at + i, text.n - i};
        size_t k = 0, n = 1;
        if ((unsigned char)rest.at[0] < 0x80) {
            buf_add_char(&out, rest.at[0]);
            i++;
            continue;
        }
        while (k < COUNTOF(signs) && !str_starts(rest, signs[k].from))
            k++;
        while (n < rest.n && ((unsigned char)rest.at[n] & 0xc0) == 0x80)
            n++;
        buf_add_c(&out, k < COUNTOF(signs) ? signs[k].to : "?");
        i += n;
    }
    return buf_str(&out);
}

static void put(struct page *page, enum paint paint, struct str text)
{
    bool painted = page->style->color && paint != PLAIN && text.n;
    text = report_clean(page->out.arena, text);
    if (page->style->ascii) text = in_ascii(page->out.arena, text);
    if (painted) buf_add_c(&page->out, paint_code(paint));
    buf_add(&page->out, text);
    if (painted) buf_add_c(&page->out, "\x1b[0m");
}

static void put_c(struct page *page, enum paint paint, const char *text)
{
    put(page, paint, str_c(text));
}

__attribute__((format(printf, 3, 4))) static void put_fmt(struct page *page, enum paint paint, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    put(page, paint, str_vfmt(page->out.arena, fmt, ap));
    va_end(ap);
}

/* Fills up to a column; at least two spaces. */
static void put_gap(struct page *page, size_t used, size_t column)
{
    size_t n = used + 2 < column ? column - used : 2;
    while (n--)
        buf_add_char(&page->out, ' ');
}

static struct str page_text(const struct page *page)
{
    return buf_str(&page->out);
}

static enum paint paint_of(enum outcome_class outcome)
{
    switch (outcome) {
    case OUTCOME_OK: return GREEN;
    case OUTCOME_WARN: return YELLOW;
    case OUTCOME_FAIL:
    case OUTCOME_STALE:
    case OUTCOME_ERROR: return RED;
    case OUTCOME_EXPECTED: return CYAN;
    case OUTCOME_SKIP: return DIM;
    }
    return PLAIN;
}

/* --- the first line ------------------------------------------------------------------------------------------------
 */

struct str report_head_text(struct arena *arena, const struct report_head *head, const struct report_style *style)
{
    struct page page = page_new(arena, style);
    bool simulated = str_is(head->mode, mode_text(MODE_SIMULATE));
    put_fmt(&page, BOLD, "acmedrill %.*s", STR_ARGS(head->harness));
    if (simulated) put_c(&page, PLAIN, " - simulate, virtual time");
    else put_fmt(&page, PLAIN, " - %.*s under test: %.*s", STR_ARGS(head->mode), STR_ARGS(head->target));
    if (!simulated && head->profile.n) put_fmt(&page, PLAIN, " (like %.*s)", STR_ARGS(head->profile));
    put_fmt(&page, PLAIN, " - seed %llu - %d job%s", (unsigned long long)head->seed, head->jobs,
            head->jobs == 1 ? "" : "s");
    if (head->speed > 1) put_fmt(&page, PLAIN, " - speed %lld", (long long)head->speed);
    put_c(&page, PLAIN, "\n");
    return page_text(&page);
}

/* --- a line for each case -------------------------------------------------------------------------------------------
 */

/* The finding that the line names: the worst one. */
static const struct finding *first_bad(const struct result_case *result, size_t *ret_more)
{
    const struct finding *first = NULL;
    *ret_more = 0;
    for (size_t i = 0; i < result->n_findings; i++) {
        const struct finding *finding = &result->findings[i];
        if (finding->result == RESULT_PASS) continue;
        bool worse = !first || (finding->result > first->result && finding->result != RESULT_PASS);
        *ret_more += first != NULL;
        if (worse) first = finding;
    }
    return first;
}

static struct str first_line(struct str text)
{
    struct str head, rest;
    str_cut(text, '\n', &head, &rest);
    return head;
}

static struct str remark(struct arena *arena, const struct result_case *result)
{
    size_t more;
    const struct finding *first = first_bad(result, &more);
    if (result->reason.n) return first_line(result->reason);
    if (!first || result->outcome == OUTCOME_OK) return STR("");
    struct buf out = {.arena = arena};
    buf_add(&out, first->name);
    if (first->result != RESULT_FAIL) buf_fmt(&out, ": %s", result_text(first->result));
    else if (result->outcome == OUTCOME_WARN) buf_fmt(&out, ": %s not met", level_text(first->level));
    if (more) buf_fmt(&out, ", and %zu more", more);
    return buf_str(&out);
}

/* How much of the text fits into a line, up to a space if there is one. */
static size_t fits(struct str text, size_t room)
{
    size_t i = 0, space = 0;
    for (size_t n = 0; i < text.n; i++) {
        if (((unsigned char)text.at[i] & 0xc0) == 0x80) continue;
        if (n++ == room) return space ? space : i;
        if (text.at[i] == ' ') space = i;
    }
    return i;
}

static void put_observations(struct page *page, const struct result_case *result)
{
    for (size_t i = 0; i < result->n_observations; i++) {
        struct str text = report_clean_line(page->out.arena, result->observations[i]);
        for (const char *indent = "            "; text.n; indent = "              ") {
            size_t n = fits(text, SENTENCE_WIDTH);
            put_fmt(page, PLAIN, "%s%.*s\n", indent, (int)n, text.at);
            text = str_trim((struct str){text.at + n, text.n - n});
        }
    }
}

struct str report_case_text(struct arena *arena, const struct result_case *result, const struct report_style *style)
{
    struct page page = page_new(arena, style);
    const char *word = outcome_class_text(result->outcome);
    struct str name = report_clean_line(arena, result->name), note = remark(arena, result);
    struct str time = result->protocol_ms ? report_span(arena, result->protocol_ms) : STR("");
    put_c(&page, PLAIN, "  ");
    put_c(&page, paint_of(result->outcome), word);
    put_gap(&page, strlen(word), strlen("expected") + 2);
    put(&page, PLAIN, name);
    if (time.n || note.n) {
        size_t used = report_width(name);
        put_gap(&page, used, NAME_WIDTH);
        for (size_t i = time.n; i < TIME_WIDTH; i++)
            put_c(&page, PLAIN, " ");
        put(&page, PLAIN, time);
    }
    if (note.n) put_fmt(&page, PLAIN, "   %.*s", STR_ARGS(note));
    put_c(&page, PLAIN, "\n");
    put_observations(&page, result);
    return page_text(&page);
}

/* --- failures in full ------------------------------------------------------------------------------------------------
 */

/* A labelled text; further lines of it stand below its beginning. */
static void put_label(struct page *page, const char *label, struct str text)
{
    struct str line;
    bool first = true, more = true;
    if (!text.n) return;
    while (more) {
        more = str_cut(text, '\n', &line, &text);
        if (!line.n && !first && !more) break;
        put_fmt(page, DIM, "  %-9s", first ? label : "");
        put_fmt(page, PLAIN, " %.*s\n", STR_ARGS(line));
        first = false;
    }
}

static const char *party_text(enum party party)
{
    return party == PARTY_CLIENT ? "client" : "CA";
}

/* Level and clause with its text, and what was claimed where that says more. */
static void put_clause(struct page *page, const struct finding *finding)
{
    const struct clause *clause = finding->clause.n ? clause_find(finding->clause) : NULL;
    put_c(page, PLAIN, "  ");
    if (clause) {
        put_fmt(page, BOLD, "%s", level_text(finding->level));
        put_fmt(page, PLAIN, " %.*s: %.*s  [%.*s]\n", STR_ARGS(clause->section), STR_ARGS(clause->text),
                STR_ARGS(clause->id));
        if (finding->claim.n && !str_eq(finding->claim, clause->text)) put_label(page, "claim", finding->claim);
        return;
    }
    if (finding->level == LEVEL_SCENARIO) put_c(page, BOLD, "the scenario's own wish");
    else put_fmt(page, BOLD, "%s", level_text(finding->level));
    if (finding->clause.n) put_fmt(page, PLAIN, " %.*s", STR_ARGS(finding->clause));
    if (finding->claim.n && !str_eq(finding->claim, finding->source))
        put_fmt(page, PLAIN, ": %.*s", STR_ARGS(finding->claim));
    put_c(page, PLAIN, "\n");
}

static struct str place_of(struct arena *arena, const struct finding *finding)
{
    if (!finding->file.n) return STR("");
    return str_fmt(arena, "%.*s:%d", STR_ARGS(finding->file), finding->line);
}

static void put_chart(struct page *page, struct str chart)
{
    struct str line;
    bool more = chart.n > 0;
    if (more) put_c(page, PLAIN, "\n");
    while (more) {
        more = str_cut(chart, '\n', &line, &chart);
        if (line.n) {
            put(page, str_find(line, "<== here") >= 0 ? RED : PLAIN, line);
            put_c(page, PLAIN, "\n");
        }
        more = more && chart.n;
    }
}

/* Which findings are told in full, the rest in a line each. */
static bool in_full(const struct finding *finding, bool warnings)
{
    bool bad = finding->result == RESULT_FAIL || finding->result == RESULT_ERROR;
    return bad || (warnings && finding->result != RESULT_PASS);
}

/* The chart of a finding, unless an earlier one had the same. */
static void put_excerpt(struct page *page, const struct result_case *result, size_t i, bool warnings)
{
    if (i >= REPORT_MAX_EXCERPTS) {
        put_fmt(page, DIM, "            (charts are drawn for the first %d findings only)\n", REPORT_MAX_EXCERPTS);
        return;
    }
    if (!result->excerpts[i].n) return;
    for (size_t k = 0; k < i; k++) {
        if (!in_full(&result->findings[k], warnings) || !str_eq(result->excerpts[k], result->excerpts[i])) continue;
        put_fmt(page, DIM, "            (the chart is that of %.*s)\n", STR_ARGS(result->findings[k].name));
        return;
    }
    put_chart(page, result->excerpts[i]);
}

/* `known`: the place that has been told already. */
static void put_finding(struct page *page, const struct result_case *result, size_t i, bool warnings, struct str known)
{
    struct arena *arena = page->out.arena;
    const struct finding *finding = &result->findings[i];
    const struct clause *clause = finding->clause.n ? clause_find(finding->clause) : NULL;
    struct str place = place_of(arena, finding);
    enum paint paint = finding->result == RESULT_FAIL || finding->result == RESULT_ERROR ? RED : YELLOW;
    put_c(page, PLAIN, "\n  ");
    put_c(page, paint, result_text(finding->result));
    put_fmt(page, PLAIN, " %.*s", STR_ARGS(finding->name));
    put_fmt(page, DIM, " (judged: the %s)", party_text(finding->party));
    if (place.n && !str_eq(place, known)) put_fmt(page, PLAIN, "  %.*s", STR_ARGS(place));
    put_c(page, PLAIN, "\n");
    put_clause(page, finding);
    put_label(page, "why", finding->why.n || !clause ? finding->why : clause->why);
    if (finding->source.n) {
        put_fmt(page, DIM, "  %9d |", finding->line);
        put_fmt(page, PLAIN, " %.*s\n", STR_ARGS(finding->source));
    }
    put_label(page, "expected", finding->expected);
    put_label(page, "observed", finding->observed);
    put_excerpt(page, result, i, warnings);
    put_label(page, "hint", finding->hint);
}

/* One line each: what did not count, and on demand what passed. */
static void put_short(struct page *page, const struct finding *finding)
{
    const struct clause *clause = finding->clause.n ? clause_find(finding->clause) : NULL;
    put_c(page, PLAIN, "  ");
    put_c(page, finding->result == RESULT_PASS ? GREEN : YELLOW, result_text(finding->result));
    put_fmt(page, PLAIN, " %.*s: %.*s", STR_ARGS(finding->name),
            STR_ARGS(first_line(finding->claim.n ? finding->claim
                                : clause         ? clause->text
                                                 : STR(""))));
    put_c(page, PLAIN, "\n");
}

struct str report_failure_text(struct arena *arena, const struct result_case *result, const struct report_style *style)
{
    struct page page = page_new(arena, style);
    bool warnings = style->verbose || result->outcome == OUTCOME_WARN, any_short = false;
    if (!result->n_findings && !result->reason.n) return STR("");
    struct str name = report_clean_line(arena, result->name);
    const char *word = outcome_class_text(result->outcome);
    size_t more;
    const struct finding *first = first_bad(result, &more);
    struct str place = first && first->file.n ? place_of(arena, first) : result->path;
    put_c(&page, PLAIN, "\n");
    put_c(&page, paint_of(result->outcome), word);
    put_c(&page, PLAIN, " ");
    put(&page, BOLD, name);
    if (place.n) {
        put_gap(&page, strlen(word) + 1 + report_width(name), HEAD_WIDTH);
        put(&page, PLAIN, place);
    }
    put_c(&page, PLAIN, "\n");
    if (result->title.n) put_fmt(&page, PLAIN, "  %.*s\n", STR_ARGS(result->title));
    put_label(&page, "reason", result->reason);
    for (size_t i = 0; i < result->n_findings; i++)
        if (in_full(&result->findings[i], warnings)) put_finding(&page, result, i, warnings, place);
    for (size_t i = 0; i < result->n_findings; i++) {
        if (in_full(&result->findings[i], warnings)) continue;
        if (!any_short) put_c(&page, PLAIN, "\n");
        any_short = true;
        put_short(&page, &result->findings[i]);
    }
    if (style->quiet) put_observations(&page, result);
    put_label(&page, "again", result->again);
    put_label(&page, "files", result->files);
    return page_text(&page);
}

/* --- sums ------------------------------------------------------------------------------------------------------------
 */

struct tally {
    size_t n[OUTCOME_COUNT], all;
    int64_t protocol_ms;
};

static struct tally count(const struct result_case *const *cases, size_t n, struct str folder)
{
    struct tally tally = {0};
    for (size_t i = 0; i < n; i++) {
        if (folder.at && !str_eq(report_folder(cases[i]->id), folder)) continue;
        tally.n[cases[i]->outcome]++;
        tally.protocol_ms += cases[i]->protocol_ms;
        tally.all++;
    }
    return tally;
}

/* "3 skipped: REASON" for each reason. */
static void put_reasons(struct page *page, const struct result_case *const *cases, size_t n, struct str folder,
                        size_t indent)
{
    for (size_t i = 0; i < n; i++) {
        size_t same = 0;
        bool first = true;
        if (cases[i]->outcome != OUTCOME_SKIP || (folder.at && !str_eq(report_folder(cases[i]->id), folder))) continue;
        for (size_t k = 0; k < n; k++) {
            bool counted = cases[k]->outcome == OUTCOME_SKIP && str_eq(cases[k]->reason, cases[i]->reason) &&
                           (!folder.at || str_eq(report_folder(cases[k]->id), folder));
            if (counted && k < i) first = false;
            same += counted;
        }
        if (!first) continue;
        put_fmt(page, PLAIN, "%*s", (int)indent, "");
        put_fmt(page, DIM, "%zu skipped: %.*s\n", same,
                STR_ARGS(cases[i]->reason.n ? cases[i]->reason : STR("(no reason was given)")));
    }
}

static void put_part(struct page *page, bool *first, enum paint paint, size_t n, const char *words)
{
    if (!n) return;
    if (!*first) put_c(page, PLAIN, ", ");
    *first = false;
    put_fmt(page, paint, "%zu %s", n, words);
}

static bool is_expected(const struct result_case *result, struct str folder)
{
    return result->outcome == OUTCOME_EXPECTED && str_eq(report_folder(result->id), folder);
}

/* " (order/stuck-forever, issue 31)" in the folder's line, when it is one and short. */
static struct str expected_inline(struct arena *arena, const struct result_case *const *cases, size_t n,
                                  struct str folder)
{
    struct str text = {0};
    for (size_t i = 0; i < n; i++) {
        if (!is_expected(cases[i], folder)) continue;
        if (text.n) return (struct str){0};
        text = str_fmt(arena, " (%.*s, %.*s)", STR_ARGS(cases[i]->name), STR_ARGS(first_line(cases[i]->reason)));
    }
    return report_width(text) <= SHORT_WIDTH ? text : (struct str){0};
}

static void put_expected(struct page *page, const struct result_case *const *cases, size_t n, struct str folder,
                         size_t indent)
{
    struct arena *arena = page->out.arena;
    for (size_t i = 0; i < n; i++) {
        if (!is_expected(cases[i], folder)) continue;
        struct str reason = report_clip(arena, report_clean_line(arena, first_line(cases[i]->reason)), SENTENCE_WIDTH);
        put_fmt(page, PLAIN, "%*s", (int)indent, "");
        put_fmt(page, CYAN, "%.*s: %.*s\n", STR_ARGS(cases[i]->name), STR_ARGS(reason));
    }
}

struct str report_folders_text(struct arena *arena, const struct result_case *const *cases, size_t n,
                               const struct report_style *style)
{
    struct page page = page_new(arena, style);
    size_t width = FOLDER_WIDTH;
    for (size_t i = 0; i < n; i++) {
        size_t w = report_width(report_clean_line(arena, report_folder(cases[i]->id)));
        if (w + 2 > width) width = w + 2;
    }
    for (size_t i = 0; i < n; i++) {
        struct str folder = report_folder(cases[i]->id);
        bool first = true;
        for (size_t k = 0; k < i; k++)
            if (str_eq(report_folder(cases[k]->id), folder)) first = false;
        if (!first) continue;
        struct tally tally = count(cases, n, folder);
        struct str shown = report_clean_line(arena, folder);
        put_fmt(&page, PLAIN, "  %.*s", STR_ARGS(shown));
        put_gap(&page, report_width(shown), width);
        put_part(&page, &first, GREEN, tally.n[OUTCOME_OK], "ok");
        put_part(&page, &first, YELLOW, tally.n[OUTCOME_WARN], "ok with warnings");
        put_part(&page, &first, RED, tally.n[OUTCOME_FAIL], "FAILED");
        put_part(&page, &first, CYAN, tally.n[OUTCOME_EXPECTED], "failed as expected");
        struct str told = expected_inline(arena, cases, n, folder);
        put(&page, PLAIN, told);
        put_part(&page, &first, RED, tally.n[OUTCOME_STALE], "STALE");
        put_part(&page, &first, DIM, tally.n[OUTCOME_SKIP], "skipped");
        put_part(&page, &first, RED, tally.n[OUTCOME_ERROR], "ERROR");
        put_c(&page, PLAIN, "\n");
        if (!told.n) put_expected(&page, cases, n, folder, width + 2);
        put_reasons(&page, cases, n, folder, width + 2);
    }
    return page_text(&page);
}

static bool vacuous(const struct result_case *result)
{
    for (size_t i = 0; i < result->n_findings; i++)
        if (result->findings[i].result == RESULT_VACUOUS) return true;
    return false;
}

/* Names the cases that passed although something was expected of what never happened. */
static void put_vacuous(struct page *page, const struct result_case *const *cases, size_t n)
{
    size_t named = 0;
    for (size_t i = 0; i < n; i++) {
        if (cases[i]->outcome != OUTCOME_WARN || !vacuous(cases[i])) continue;
        if (named++ == 0) put_c(page, YELLOW, "  vacuous, nothing happened that could have failed it:\n");
        if (named > MAX_NAMED) continue;
        put_fmt(page, PLAIN, "    %.*s", STR_ARGS(cases[i]->name));
        const char *between = "  ";
        for (size_t k = 0; k < cases[i]->n_findings; k++) {
            if (cases[i]->findings[k].result != RESULT_VACUOUS) continue;
            put_fmt(page, PLAIN, "%s%.*s", between, STR_ARGS(cases[i]->findings[k].name));
            between = ", ";
        }
        put_c(page, PLAIN, "\n");
    }
    if (named > MAX_NAMED) put_fmt(page, PLAIN, "    and %zu more\n", named - MAX_NAMED);
}

struct str report_totals_text(struct arena *arena, const struct report_head *head,
                              const struct result_case *const *cases, size_t n, const struct report_style *style)
{
    struct page page = page_new(arena, style);
    struct tally tally = count(cases, n, (struct str){0});
    size_t warned = tally.n[OUTCOME_WARN], passed = tally.n[OUTCOME_OK] + warned, expected = tally.n[OUTCOME_EXPECTED];
    bool first = false, bad = tally.n[OUTCOME_FAIL] || tally.n[OUTCOME_STALE] || tally.n[OUTCOME_ERROR];
    put_vacuous(&page, cases, n);
    if (style->quiet) put_reasons(&page, cases, n, (struct str){0}, 2);
    put_fmt(&page, BOLD, "%zu scenario%s: ", tally.all, tally.all == 1 ? "" : "s");
    put_fmt(&page, bad ? PLAIN : GREEN, "%zu passed", passed);
    if (warned) put_fmt(&page, YELLOW, " (%zu with warnings)", warned);
    put_part(&page, &first, RED, tally.n[OUTCOME_FAIL], "failed");
    put_part(&page, &first, CYAN, expected, expected == 1 ? "expected failure" : "expected failures");
    put_part(&page, &first, RED, tally.n[OUTCOME_STALE],
             tally.n[OUTCOME_STALE] == 1 ? "stale expectation" : "stale expectations");
    put_part(&page, &first, DIM, tally.n[OUTCOME_SKIP], "skipped");
    put_part(&page, &first, RED, tally.n[OUTCOME_ERROR], tally.n[OUTCOME_ERROR] == 1 ? "error" : "errors");
    struct str real = report_span(arena, head->real_ms);
    if (str_is(head->mode, mode_text(MODE_SIMULATE)))
        put_fmt(&page, PLAIN, " - %.*s of protocol time in %.*s\n", STR_ARGS(report_span(arena, tally.protocol_ms)),
                STR_ARGS(real));
    else put_fmt(&page, PLAIN, " - %.*s\n", STR_ARGS(real));
    return page_text(&page);
}
