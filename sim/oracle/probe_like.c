/* How alike two CAs are, by what probes saw of both. */
#include "oracle/probe.h"

#include "base/when.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_SEEN = -1, NO_OCCASION = -2 };

struct list {
    struct arena *arena;
    struct probe_features *to;
};

static struct probe_feature *add(const struct list *list, struct str name, struct str value)
{
    assert(list->to->n < COUNTOF(list->to->at));
    struct probe_feature *feature = &list->to->at[list->to->n++];
    *feature = (struct probe_feature){.name = name, .value = value};
    return feature;
}

static void add_word(const struct list *list, const char *name, const char *word)
{
    add(list, str_c(name), word ? str_c(word) : (struct str){0});
}

static void add_flag(const struct list *list, const char *name, int flag)
{
    add_word(list, name, flag == NOT_SEEN ? NULL : flag ? "yes" : "no");
}

/* Below 0: not seen; 0 is "none" where there is such a word. */
static void add_time(const struct list *list, const char *name, int64_t ms, const char *none)
{
    struct str value = ms < 0 ? (struct str){0} : ms == 0 && none ? str_c(none) : when_duration_text(list->arena, ms);
    struct probe_feature *feature = add(list, str_c(name), value);
    feature->timed = ms > 0;
    feature->ms = ms;
}

static void add_waits(const struct list *list, const struct temperament *t)
{
    static const char *const forms[] = {"none", "seconds", "date", "odd"};
    bool next = t->wait_challenge_ms == -1;
    add_word(list, "retry_after", t->wait_seen ? forms[t->wait_form] : NULL);
    if (next) add_word(list, "retry_after_challenge", "next");
    else add_time(list, "retry_after_challenge", t->wait_challenge_ms, "none");
    add_time(list, "retry_after_authz", t->wait_authz_ms, "none");
    add_time(list, "retry_after_order", t->wait_order_ms, "none");
    add_flag(list, "retry_after_before_failure", t->before_failure);
}

static void add_temperament(const struct list *list, const struct temperament *t)
{
    struct str fetches = t->fetches ? str_fmt(list->arena, "%d", t->fetches) : (struct str){0};
    bool answered = t->offers[CHALLENGE_HTTP_01] || t->offers[CHALLENGE_DNS_01] || t->offers[CHALLENGE_TLS_ALPN_01];
    bool any = answered && !t->delay_open;
    add(list, STR("retry"), !any ? (struct str){0} : retry_schedule_text(list->arena, &t->retry));
    add_flag(list, "gives_up", t->gives_up);
    add_word(list, "errors", t->errors);
    add_word(list, "client_retry", t->client_retry);
    add_time(list, "client_retry_every", t->client_retry_every_ms, "none");
    add_flag(list, "read_queries", t->read_queries);
    add_flag(list, "validates_inside_post", t->inside_post);
    add_flag(list, "shows processing", t->processing);
    add_time(list, "query_delay", t->query_delay_ms, "0s");
    add_time(list, "query_timeout", t->query_limit_ms, NULL);
    add(list, STR("probes_per_query"), fetches);
    add_flag(list, "follows redirects", t->redirects);
    add_waits(list, t);
    add_time(list, "issue_delay", t->issue_delay_ms, "0s");
    add_flag(list, "order_shows_error", t->order_error);
    add_flag(list, "invalid_authz_shows_only_tried", t->only_tried);
    add_word(list, "failed_challenge", t->failed_challenge);
}

static struct str reply_words(struct arena *arena, const struct probe_reply *reply)
{
    if (!reply->sent) return (struct str){0};
    if (reply->status >= 400) return str_fmt(arena, "%d %.*s", reply->status, STR_ARGS(reply->type));
    return str_fmt(arena, "%d%s", reply->status, reply->queries ? ", a query" : "");
}

/* Some CAs say the name where others say its address, and ours, simulated, has no address to say. */
static struct str same_place(struct arena *arena, struct str pattern)
{
    static const char name[] = "{name}";
    struct buf buf = {.arena = arena};
    ptrdiff_t at;
    while ((at = str_find(pattern, name)) >= 0) {
        size_t end = (size_t)at + sizeof name - 1;
        buf_add(&buf, (struct str){pattern.at, (size_t)at});
        buf_add_c(&buf, "{address}");
        pattern = (struct str){pattern.at + end, pattern.n - end};
    }
    buf_add(&buf, pattern);
    return buf_str(&buf);
}

static void add_row(const struct list *list, const struct probe_measure *m)
{
    struct arena *arena = list->arena;
    struct str row = probe_row_name(arena, m->row), nothing = {0};
    if (m->row->kind == PROBE_AGAIN) return;
    if (m->row->kind == PROBE_ALL) {
        add(list, str_fmt(arena, "%.*s: authz", STR_ARGS(row)),
            m->gap.n || !m->all_failed ? nothing : str_c(status_text(m->authz_after)));
        return;
    }
    bool told = !m->gap.n;
    struct str ends = str_fmt(arena, "%s, authz %s, order %s", status_text(m->challenge), status_text(m->authz),
                              status_text(m->order));
    struct str type = m->error.type, tries = str_c(m->own > 1 ? "repeated" : m->own ? "once" : "none");
    add(list, str_fmt(arena, "%.*s: ends", STR_ARGS(row)), told ? ends : nothing);
    add(list, str_fmt(arena, "%.*s: queries", STR_ARGS(row)), told && !m->unseen ? tries : nothing);
    add(list, str_fmt(arena, "%.*s: asked again", STR_ARGS(row)), told ? reply_words(arena, &m->again[0]) : nothing);
    if (m->row->kind != PROBE_BAD) return;
    add(list, str_fmt(arena, "%.*s: problem", STR_ARGS(row)), told && m->has_error ? type : nothing);
    add(list, str_fmt(arena, "%.*s: text", STR_ARGS(row)),
        told && m->has_error ? same_place(arena, m->pattern) : nothing);
    struct str other = m->other.status >= 400 ? reply_words(arena, &m->other)
                       : m->silent            ? STR("200, then no answer")
                                              : str_c(status_text(m->other_status));
    add(list, str_fmt(arena, "%.*s: another challenge", STR_ARGS(row)), told && m->other.sent ? other : nothing);
}

void probe_features(struct arena *arena, const struct probing *probe, struct probe_features *ret)
{
    struct temperament t;
    struct list list = {arena, ret};
    *ret = (struct probe_features){0};
    temperament_read(probe, &t);
    add_temperament(&list, &t);
    for (size_t i = 0; i < probe->n_rows; i++)
        add_row(&list, &probe->rows[i]);
}

static bool alike(const struct probe_feature *a, const struct probe_feature *b, int64_t every_ms)
{
    if (str_eq(a->value, b->value)) return true;
    if (!a->timed || !b->timed) return false;
    int64_t most_ms = a->ms > b->ms ? a->ms : b->ms;
    return llabs(a->ms - b->ms) <= every_ms + most_ms / 10;
}

void probe_compare(struct arena *arena, const struct probing *probe, const struct probing *with,
                   struct probe_likeness *ret)
{
    struct probe_features *a = ARENA_NEW(arena, struct probe_features), *b = ARENA_NEW(arena, struct probe_features);
    probe_features(arena, probe, a);
    probe_features(arena, with, b);
    *ret = (struct probe_likeness){.name = with->target};
    for (size_t i = 0; i < a->n; i++) {
        const struct probe_feature *here = &a->at[i], *there = NULL;
        for (size_t k = 0; k < b->n && !there; k++)
            if (str_eq(here->name, b->at[k].name)) there = &b->at[k];
        if (!there || !here->value.n || !there->value.n) continue;
        ret->seen++;
        if (alike(here, there, probe->limits.every_ms)) ret->same++;
        else
            ret->differs[ret->n_differs++] = str_fmt(arena, "%.*s: %.*s, there %.*s", STR_ARGS(here->name),
                                                     STR_ARGS(here->value), STR_ARGS(there->value));
    }
}

static int by_likeness(const void *a, const void *b)
{
    const struct probe_likeness *x = a, *y = b;
    size_t left = x->same * (y->seen ? y->seen : 1), right = y->same * (x->seen ? x->seen : 1);
    return left == right ? str_cmp(x->name, y->name) : left > right ? -1 : 1;
}

void probe_rank(struct probe_likeness *likenesses, size_t n)
{
    qsort(likenesses, n, sizeof *likenesses, by_likeness);
}
