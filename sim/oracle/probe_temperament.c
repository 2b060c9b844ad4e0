/* What the rows of a probe say together: the decisions of a profile, as far as they were seen. */
#include "oracle/probe.h"

#include "base/when.h"

#include <stdlib.h>
#include <string.h>

enum { NOT_SEEN = -1, NO_OCCASION = -2, PROMPT_MS = 800 };

static bool is_open(enum status status)
{
    return status == STATUS_PENDING || status == STATUS_PROCESSING;
}

static bool told(const struct probe_measure *m)
{
    return m && !m->gap.n;
}

static bool is_slow(const struct probe_measure *m)
{
    return strcmp(m->row->answer, "timeout") == 0;
}

/* The roundest time later than `low_ms` and no later than `high_ms`: what somebody may have written into a
 * configuration. */
static int64_t roundest(int64_t low_ms, int64_t high_ms)
{
    static const int64_t units_ms[] = {60000, 30000, 10000, 5000, 1000, 500, 100, 1};
    for (size_t i = 0; i < COUNTOF(units_ms); i++) {
        int64_t ms = high_ms / units_ms[i] * units_ms[i];
        if (ms > low_ms) return ms;
    }
    return high_ms;
}

/* A time that is seen exactly but for the way of a message or two. */
static int64_t rounded(int64_t ms)
{
    int64_t second = (ms + 500) / 1000 * 1000;
    return llabs(ms - second) <= 300 ? second : (ms + 50) / 100 * 100;
}

/* --- section 8.2 --- */

/* The times of the queries that nothing of ours asked for. */
static size_t own_times(const struct probe_measure *m, int64_t *ret)
{
    size_t n = 0;
    for (size_t k = 0; k < m->n_queries; k++)
        if (m->queries[k].t_ms < m->watched_ms && (k == 0 || m->queries[k].cause == PROBE_BY_SERVER))
            ret[n++] = m->queries[k].t_ms;
    return n;
}

static void read_retry(const struct probing *probe, struct temperament *t)
{
    const struct probe_measure *best = NULL;
    int64_t at[PROBE_MAX_QUERIES] = {0};
    for (size_t i = 0; i < probe->n_rows; i++) {
        const struct probe_measure *m = &probe->rows[i];
        if (m->row->kind != PROBE_BAD || !told(m) || m->own < 2) continue;
        t->retries = true;
        if (!is_slow(m) && (!best || m->own > best->own)) best = m;
    }
    t->gives_up = NOT_SEEN;
    if (!best) return;
    size_t n = own_times(best, at);
    int64_t gap_ms = at[1] - at[0], growth_ms = n > 2 ? at[2] - at[1] - gap_ms : 0;
    t->retry = (struct retry_schedule){.first_ms = rounded(gap_ms), .count = (int)n - 1};
    if (growth_ms > gap_ms / 10) t->retry.growth_ms = rounded(growth_ms);
    int64_t next_ms = t->retry.first_ms + t->retry.growth_ms * (int64_t)(n - 1);
    t->retry_complete = !is_open(best->challenge) || best->watched_ms - at[n - 1] > next_ms * 3 / 2;
    if (t->retry_complete) t->gives_up = !is_open(best->challenge);
}

/* --- the course of one query --- */

static void read_query(const struct probing *probe, struct temperament *t)
{
    const struct probe_measure *right = NULL, *slow = probe_find(probe, CHALLENGE_HTTP_01, "timeout");
    const struct probe_measure *redirect = probe_find(probe, CHALLENGE_HTTP_01, "redirect");
    t->query_delay_ms = t->query_limit_ms = NOT_SEEN;
    t->redirects = told(redirect) && redirect->n_queries ? redirect->followed : NOT_SEEN;
    for (size_t i = 0; i < probe->n_rows; i++) {
        const struct probe_measure *m = &probe->rows[i];
        if (told(m) && m->row->kind == PROBE_GOOD && m != redirect && (!right || !right->n_queries)) right = m;
    }
    if (right && right->n_queries) {
        int64_t first_ms = right->queries[0].t_ms;
        t->query_delay_ms = first_ms < PROMPT_MS ? 0 : rounded(first_ms);
        t->fetches = right->queries[0].fetches;
    } else if (right && is_open(right->challenge)) {
        t->query_delay_ms = right->watched_ms;
        t->delay_open = true;
    }
    if (!told(slow) || !slow->n_queries || slow->failed_ms < 0) return;
    int64_t from_ms = slow->queries[0].t_ms;
    bool exact = slow->inside_post;
    t->query_limit_ms =
        exact ? rounded(slow->failed_ms - from_ms) : roundest(slow->not_failed_ms - from_ms, slow->failed_ms - from_ms);
}

/* --- what is shown --- */

static void vote(int *at, bool yes)
{
    *at = yes ? 1 : *at == NOT_SEEN ? 0 : *at;
}

static void read_shown(const struct probing *probe, struct temperament *t)
{
    int looked = 0, queried = 0;
    t->processing = t->inside_post = t->order_error = t->only_tried = t->before_failure = t->read_queries = NOT_SEEN;
    for (size_t i = 0; i < probe->n_rows; i++) {
        const struct probe_measure *m = &probe->rows[i];
        bool by_look = false;
        if (!told(m)) continue;
        t->offers[m->row->type] = true;
        if (is_open(m->first.shows) || m->processing) vote(&t->processing, m->processing);
        if (m->n_queries && m->queries[0].t_ms < PROMPT_MS) vote(&t->inside_post, m->inside_post);
        if (m->saw_challenge && !m->first.has_error) vote(&t->before_failure, m->wait_before.form != PROBE_WAIT_NONE);
        if (m->row->kind != PROBE_BAD) continue;
        if (m->order == STATUS_INVALID) vote(&t->order_error, m->order_error);
        if (m->authz == STATUS_INVALID && m->n_listed > 1) vote(&t->only_tried, m->n_listed_lost < m->n_listed);
        if (m->error_open && m->n_subproblems) t->errors = "append";
        else if (m->error_open && !t->errors) t->errors = "latest";
        else if (!m->error_open && m->own > 1 && !t->errors) t->errors = "hidden";
        for (size_t k = 0; k < m->n_queries; k++)
            by_look = by_look || m->queries[k].cause == PROBE_BY_LOOK;
        looked += m->error_open || m->own > 1;
        queried += by_look;
    }
    for (size_t i = 0; i < probe->n_rows && !t->errors; i++) {
        const struct probe_measure *m = &probe->rows[i];
        if (told(m) && m->row->kind == PROBE_BAD && m->has_error)
            t->errors = m->error.n_subproblems ? "append" : "hidden";
    }
    if (looked) t->read_queries = queried * 2 > looked;
    /* The other challenges of a row are offered as well. */
    const struct probe_measure *all = probe->n_rows ? &probe->rows[0] : NULL;
    if (all && told(all) && all->other_status != STATUS_NONE) t->offers[probe_sibling(all->row)] = true;
}

static void read_failed_challenge(const struct probing *probe, struct temperament *t)
{
    bool kills = false, open = false;
    for (size_t i = 0; i < probe->n_rows; i++) {
        const struct probe_measure *m = &probe->rows[i];
        if (m->row->kind != PROBE_BAD || !told(m) || m->challenge != STATUS_INVALID) continue;
        kills = kills || m->authz == STATUS_INVALID;
        open = open || m->authz == STATUS_PENDING;
    }
    const struct probe_measure *all = probe->n_rows ? &probe->rows[probe->n_rows - 1] : NULL;
    if (open && all && all->row->kind == PROBE_ALL && all->all_failed && all->authz_after == STATUS_INVALID)
        t->failed_challenge = "stays in authz";
    else if (open) t->failed_challenge = "leaves authz pending";
    else if (kills) t->failed_challenge = "kills authz";
}

/* --- section 8.2: a response sent again --- */

static void read_client_retry(const struct probing *probe, struct temperament *t)
{
    const struct probe_measure *m = probe_find(probe, CHALLENGE_HTTP_01, "again");
    int64_t accepted_ms = 0;
    t->client_retry_every_ms = NOT_SEEN;
    if (!told(m)) return;
    for (size_t i = 0; i < PROBE_MAX_AGAIN && m->again[i].sent; i++) {
        const struct probe_reply *again = &m->again[i];
        if (again->status == 429) {
            t->client_retry_every_ms = rounded(again->t_ms + again->wait_ms - accepted_ms);
        } else if (again->status >= 400) {
            if (!t->client_retry) t->client_retry = "refused";
        } else if (again->queries) {
            if (t->client_retry_every_ms == NOT_SEEN) t->client_retry_every_ms = 0;
            t->client_retry = "queries";
            accepted_ms = again->t_ms;
        } else if (is_open(again->shows) && !t->client_retry) {
            t->client_retry = "ignored";
        }
    }
}

/* --- Retry-After --- */

static int64_t span_of(const struct probe_wait *wait)
{
    return rounded(wait->until_ms - wait->t_ms);
}

static void read_form(struct temperament *t, const struct probe_wait *wait)
{
    if (wait->form && !t->wait_form) t->wait_form = wait->form;
}

static void read_challenge_waits(const struct probing *probe, struct temperament *t)
{
    const struct probe_wait *first = NULL;
    int next = 0, fixed = 0;
    bool occasion = false;
    for (size_t i = 0; i < probe->n_rows; i++) {
        const struct probe_measure *m = &probe->rows[i];
        if (!told(m)) continue;
        occasion = occasion || m->saw_challenge;
        if (!first && m->wait_after.form) first = &m->wait_after;
        if (!first && m->wait_before.form) first = &m->wait_before;
        /* While a query takes its time, "next" is the one after it, if there is one: the quick rows tell then. Where
         * nothing is repeated it is the end of that query, and only the slow row tells. */
        if (is_slow(m) == t->retries) continue;
        next += m->waits_next;
        fixed += m->waits_fixed;
    }
    t->wait_challenge_ms = !occasion ? NO_OCCASION : !first ? 0 : next > fixed ? -1 : span_of(first);
    if (first) read_form(t, first);
}

static void read_waits(const struct probing *probe, struct temperament *t)
{
    t->wait_authz_ms = t->wait_order_ms = NO_OCCASION;
    read_challenge_waits(probe, t);
    for (size_t i = 0; i < probe->n_rows; i++) {
        const struct probe_measure *m = &probe->rows[i];
        if (!told(m)) continue;
        if (m->saw_authz && t->wait_authz_ms <= 0) t->wait_authz_ms = m->wait_authz.form ? span_of(&m->wait_authz) : 0;
        if (m->saw_order && t->wait_order_ms <= 0) t->wait_order_ms = m->wait_order.form ? span_of(&m->wait_order) : 0;
        read_form(t, &m->wait_authz);
        read_form(t, &m->wait_order);
    }
    t->wait_seen =
        t->wait_challenge_ms != NO_OCCASION || t->wait_authz_ms != NO_OCCASION || t->wait_order_ms != NO_OCCASION;
}

static void read_issue(const struct probing *probe, struct temperament *t)
{
    t->issue_delay_ms = NOT_SEEN;
    for (size_t i = 0; i < probe->n_rows && t->issue_delay_ms == NOT_SEEN; i++) {
        const struct probe_measure *m = &probe->rows[i];
        if (!told(m) || !m->finalized || m->issued_ms < 0) continue;
        t->issue_delay_ms =
            m->not_issued_ms ? roundest(m->not_issued_ms - m->finalized_ms, m->issued_ms - m->finalized_ms) : 0;
    }
}

void temperament_read(const struct probing *probe, struct temperament *ret)
{
    *ret = (struct temperament){0};
    read_retry(probe, ret);
    read_query(probe, ret);
    read_shown(probe, ret);
    read_failed_challenge(probe, ret);
    read_client_retry(probe, ret);
    read_waits(probe, ret);
    read_issue(probe, ret);
}
