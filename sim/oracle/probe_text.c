/* A probe for people: one table, and whom it is like. */
#include "oracle/probe.h"

#include "base/when.h"
#include "oracle/report_parts.h"

#include <string.h>

enum { LINE = 118, SHOWN_QUERIES = 5, SHOWN_DIFFERENCES = 6, SHOWN_PROFILES = 3, WAITS = 4 };

static const struct {
    const char *head;
    int width;
} columns[] = {
    {"",            11},
    {"queries at",  16},
    {"challenge",   14},
    {"authz",       7 },
    {"order",       7 },
    {"problem",     17},
    {"Retry-After", 11},
    {"again",       13},
    {"another",     0 },
};

/* "0.0" "12.1" "20m" */
static struct str seconds(struct arena *arena, int64_t ms)
{
    if (ms >= 600000) return when_duration_text(arena, ms / 1000 * 1000);
    return str_fmt(arena, "%lld.%lld", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
}

static struct str queries_text(struct arena *arena, const struct probe_measure *m)
{
    struct buf buf = {.arena = arena};
    int n = 0;
    if (m->unseen && !m->n_queries) return STR("(port closed)");
    for (size_t k = 0; k < m->n_queries && m->row->kind != PROBE_AGAIN; k++) {
        const struct probe_query *query = &m->queries[k];
        if (query->t_ms >= m->watched_ms || (k && query->cause != PROBE_BY_SERVER)) continue;
        if (++n <= SHOWN_QUERIES - 1) buf_fmt(&buf, "%s%.*s", n > 1 ? " " : "", STR_ARGS(seconds(arena, query->t_ms)));
    }
    if (n == 0) return STR("none");
    if (n < SHOWN_QUERIES) return buf_str(&buf);
    int64_t last_ms = 0;
    for (size_t k = 0; k < m->n_queries; k++)
        if (m->queries[k].t_ms < m->watched_ms && m->queries[k].cause == PROBE_BY_SERVER) last_ms = m->queries[k].t_ms;
    int64_t second_ms = 0;
    for (size_t k = m->n_queries; k-- > 1;)
        if (m->queries[k].cause == PROBE_BY_SERVER) second_ms = m->queries[k].t_ms;
    return str_fmt(arena, "%d: 0 %.*s..%.*s", n, STR_ARGS(seconds(arena, second_ms)),
                   STR_ARGS(seconds(arena, last_ms)));
}

/* The last status, and when it came. */
static struct str challenge_text(struct arena *arena, const struct probe_measure *m)
{
    for (size_t i = m->n_shown; i-- > 0;)
        if (m->shown[i].object == OBJECT_CHALLENGE)
            return str_fmt(arena, "%s %.*s", status_text(m->shown[i].status),
                           STR_ARGS(seconds(arena, m->shown[i].t_ms)));
    return STR("-");
}

static struct str status_word(enum status status)
{
    return status == STATUS_NONE ? STR("-") : str_c(status_text(status));
}

static struct str problem_text(struct arena *arena, const struct probe_measure *m)
{
    if (!m->has_error) return STR("-");
    struct str type = report_clean_line(arena, m->error.type);
    return report_clip(arena, type, 17);
}

static struct str wait_text(struct arena *arena, const struct probe_measure *m)
{
    static const char *const forms[] = {"", "s", " date", " ?"};
    const struct probe_wait *waits[WAITS] = {&m->wait_after, &m->wait_before, &m->wait_authz, &m->wait_order};
    static const char *const whose[] = {"", "", "a:", "o:"};
    for (size_t i = 0; i < WAITS; i++) {
        const struct probe_wait *wait = waits[i];
        if (wait->form == PROBE_WAIT_ODD) return str_fmt(arena, "%sodd", whose[i]);
        if (wait->form)
            return str_fmt(arena, "%s%lld%s", whose[i], (long long)((wait->until_ms - wait->t_ms + 500) / 1000),
                           forms[wait->form]);
    }
    return STR("-");
}

static struct str reply_text(struct arena *arena, const struct probe_reply *reply, bool queries)
{
    if (!reply->sent) return STR("-");
    if (!reply->status) return STR("no answer");
    if (reply->status >= 400)
        return report_clip(
            arena, report_clean_line(arena, str_fmt(arena, "%d %.*s", reply->status, STR_ARGS(reply->type))), 13);
    return str_fmt(arena, "%d%s", reply->status, queries && reply->queries ? " queries" : "");
}

static struct str other_text(struct arena *arena, const struct probe_measure *m)
{
    if (!m->other.sent || m->other.status >= 400) return reply_text(arena, &m->other, false);
    if (m->silent) return STR("200, silence");
    return status_word(m->other_status);
}

static void add_cells(struct buf *out, const struct str *cells)
{
    struct buf line = {.arena = out->arena};
    size_t wanted = 0;
    for (size_t i = 0; i < COUNTOF(columns); i++) {
        size_t have = line.n;
        while (have++ < wanted)
            buf_add_char(&line, ' ');
        if (i && line.n && line.at[line.n - 1] != ' ') buf_add_char(&line, ' ');
        buf_add(&line, cells[i]);
        wanted += (size_t)columns[i].width + 1;
    }
    buf_fmt(out, "%.*s\n", STR_ARGS(buf_str(&line)));
}

static void add_row(struct buf *out, const struct probe_measure *m)
{
    struct arena *arena = out->arena;
    struct str name = str_fmt(arena, "  %s", m->row->name);
    if (m->gap.n) {
        buf_fmt(out, "%-11.*s not measured: %.*s\n", STR_ARGS(name),
                STR_ARGS(report_clip(arena, report_clean_line(arena, m->gap), LINE - 28)));
        return;
    }
    const struct str cells[] = {name,
                                queries_text(arena, m),
                                challenge_text(arena, m),
                                status_word(m->authz),
                                status_word(m->order),
                                problem_text(arena, m),
                                wait_text(arena, m),
                                reply_text(arena, &m->again[0], true),
                                other_text(arena, m)};
    add_cells(out, cells);
    if (m->has_error && m->pattern.n) /* the text, without what belongs to this row alone */
        buf_fmt(out, "%14s%.*s\n", "", STR_ARGS(report_clip(arena, report_clean_line(arena, m->pattern), LINE - 14)));
}

static void add_table(struct buf *out, const struct probing *probe)
{
    struct str heads[COUNTOF(columns)];
    int type = -1;
    for (size_t i = 0; i < COUNTOF(columns); i++)
        heads[i] = str_c(columns[i].head);
    for (size_t i = 0; i < probe->n_rows; i++) {
        const struct probe_measure *m = &probe->rows[i];
        if (m->row->kind == PROBE_AGAIN || m->row->kind == PROBE_ALL) continue;
        if ((int)m->row->type != type) {
            heads[0] = str_c(challenge_row(m->row->type)->name);
            add_cells(out, heads);
            type = (int)m->row->type;
        }
        add_row(out, m);
    }
    for (size_t i = 0; i < probe->n_rows; i++) {
        const struct probe_measure *m = &probe->rows[i];
        if (m->row->kind != PROBE_ALL) continue;
        struct str fate = !m->all_failed ? STR("did not all fail in this time")
                                         : str_fmt(out->arena, "authz %s", status_text(m->authz_after));
        if (m->gap.n) fate = str_fmt(out->arena, "not measured: %.*s", STR_ARGS(report_clean_line(out->arena, m->gap)));
        buf_fmt(out, "all three, one after the other: %.*s\n", STR_ARGS(fate));
    }
}

/* What all of it says: "retry 12s x10, errors latest, ..." */
static void add_temperament(struct buf *out, const struct probing *probe)
{
    struct probe_features *features = ARENA_NEW(out->arena, struct probe_features);
    size_t at = 0;
    probe_features(out->arena, probe, features);
    buf_add_c(out, "\ntaken together\n");
    for (size_t i = 0; i < features->n; i++) {
        const struct probe_feature *feature = &features->at[i];
        if (str_find(feature->name, ": ") >= 0) continue;
        struct str value = feature->value.n ? feature->value : STR("not seen");
        struct str text = str_fmt(out->arena, "%.*s: %.*s", STR_ARGS(feature->name), STR_ARGS(value));
        bool wraps = at && at + 2 + text.n > LINE;
        buf_fmt(out, "%s%.*s", at == 0 ? "  " : wraps ? "\n  " : "; ", STR_ARGS(text));
        at = (at == 0 || wraps ? 2 : at + 2) + text.n;
    }
    buf_add_c(out, "\n");
}

static void add_likeness(struct buf *out, const struct probe_likeness *likeness, bool differences)
{
    buf_fmt(out, "  %-14.*s %zu of %zu\n", STR_ARGS(likeness->name), likeness->same, likeness->seen);
    for (size_t i = 0; differences && i < likeness->n_differs; i++) {
        if (i == SHOWN_DIFFERENCES) {
            buf_fmt(out, "    ... and %zu more\n", likeness->n_differs - i);
            break;
        }
        struct str text = report_clip(out->arena, report_clean_line(out->arena, likeness->differs[i]), LINE - 4);
        buf_fmt(out, "    %.*s\n", STR_ARGS(text));
    }
}

struct str probe_text(struct arena *arena, const struct probing *probe, const struct probe_likeness *likenesses,
                      size_t n)
{
    struct buf out = {.arena = arena};
    add_table(&out, probe);
    add_temperament(&out, probe);
    if (!n || !likenesses[0].seen) {
        buf_add_c(&out, "\nnothing was measured that profiles could be compared by\n");
        return buf_str(&out);
    }
    buf_fmt(&out, "\nresembles %.*s most\n", STR_ARGS(likenesses[0].name));
    for (size_t i = 0; i < n && i < SHOWN_PROFILES; i++)
        add_likeness(&out, &likenesses[i], i == 0);
    return buf_str(&out);
}
