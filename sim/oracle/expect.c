#include "oracle/expect.h"
#include "base/when.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    NOWHERE = -1,
    TIMES_SHOWN = 3,
    SAME_MS = 500,       /* "is 12s" means to the second */
    REAL_LATE_MS = 2000, /* real programs may be that late, and a tenth more */
    REAL_EARLY_MS = 250,
    REAL_START_MS = 10000, /* and take that long to start */
    DATE_GRACE_MS = 1000   /* an HTTP-date has whole seconds */
};

#define FOREVER INT64_MAX

/* --- which happenings an assertion is about --- */

struct span {
    const struct court *court;
    const struct expectation *expectation;
    ptrdiff_t after, before; /* strictly between these facts */
    bool open;               /* false: what it shall come after never happened */
};

static ptrdiff_t find_nth(const struct view *view, const struct phrase *phrase)
{
    size_t wanted = phrase->ordinal == ORDINAL_SECOND ? 2 : phrase->ordinal == ORDINAL_THIRD ? 3 : 1, seen = 0;
    ptrdiff_t last = NOWHERE;
    for (size_t i = 0; i < view->n_facts; i++) {
        if (!view_matches(&view->facts[i], phrase)) continue;
        last = (ptrdiff_t)i;
        if (++seen == wanted && phrase->ordinal != ORDINAL_LAST) return last;
    }
    return phrase->ordinal == ORDINAL_LAST ? last : NOWHERE;
}

static struct span span_of(const struct court *court, const struct expectation *expectation)
{
    const struct view *view = court->view;
    struct span span = {court, expectation, NOWHERE, (ptrdiff_t)view->n_facts, true};
    if (expectation->has_after) {
        span.after = find_nth(view, &expectation->after);
        span.open = span.after != NOWHERE;
    }
    if (expectation->has_before) {
        ptrdiff_t before = find_nth(view, &expectation->before);
        if (before != NOWHERE) span.before = before;
    }
    return span;
}

/* The next happening of the span behind `from`; NULL: no more. Start with NULL. */
static const struct fact *span_next(const struct span *span, const struct fact *from)
{
    const struct view *view = span->court->view;
    const struct expectation *expectation = span->expectation;
    if (!span->open) return NULL;
    ptrdiff_t only = expectation->what.ordinal == ORDINAL_ANY ? NOWHERE : find_nth(view, &expectation->what);
    for (ptrdiff_t i = from ? from - view->facts + 1 : span->after + 1; i < span->before; i++) {
        const struct fact *fact = &view->facts[i];
        if (!view_matches(fact, &expectation->what)) continue;
        if (expectation->what.ordinal != ORDINAL_ANY && i != only) continue;
        if (expectation->has_while && !view_holds(view, fact, &expectation->while_)) continue;
        return fact;
    }
    return NULL;
}

/* --- words --- */

static struct str at_time(const struct court *court, int64_t t_ms)
{
    return when_run_time(court->arena, t_ms);
}

static struct str run_end(const struct court *court)
{
    const struct view *view = court->view;
    return str_fmt(court->arena, "the run ended at %.*s (%.*s)", STR_ARGS(at_time(court, view->end_ms)),
                   STR_ARGS(view->end_text.n ? view->end_text : STR("the record breaks off")));
}

static void add_condition(struct buf *buf, const struct expectation *e)
{
    if (e->during_retry_after) buf_add_c(buf, " before the time that Retry-After gave");
    if (e->has_while) buf_fmt(buf, " while %.*s", STR_ARGS(e->while_.text));
    if (e->has_after) buf_fmt(buf, " after \"%.*s\"", STR_ARGS(e->after.text));
    if (e->has_before) buf_fmt(buf, " before \"%.*s\"", STR_ARGS(e->before.text));
}

static struct str number_words(const struct court *court, const struct expectation *e)
{
    static const char *const words[] = {"exactly", "at least", "at most"};
    if (e->verb == VERB_GAP)
        return str_fmt(court->arena, "%s %s", words[e->comparison], when_duration_text(court->arena, e->number).at);
    return str_fmt(court->arena, "%s %lld", words[e->comparison], (long long)e->number);
}

/* "3 times: 0:01.0, 0:02.0, 0:03.0" */
struct tally {
    struct buf times;
    size_t n;
    const struct fact *first;
};

static void tally_add(struct tally *tally, const struct court *court, const struct fact *fact)
{
    if (!tally->n) tally->first = fact, tally->times.arena = court->arena;
    if (tally->n < TIMES_SHOWN) buf_fmt(&tally->times, "%s%s", tally->n ? ", " : "", at_time(court, fact->t_ms).at);
    if (tally->n == TIMES_SHOWN) buf_add_c(&tally->times, ", ...");
    tally->n++;
}

static struct str tally_words(const struct tally *tally, const struct court *court)
{
    if (!tally->n) return STR("never");
    return str_fmt(court->arena, "%zu time%s: %.*s", tally->n, tally->n == 1 ? "" : "s",
                   STR_ARGS(buf_str(&tally->times)));
}

static void blame(struct trial *trial, const struct fact *fact)
{
    assert(fact);
    trial->result = RESULT_FAIL;
    trial->seq = fact->seq;
    trial->t_ms = fact->t_ms;
}

static void blame_end(const struct court *court, struct trial *trial)
{
    const struct history *history = court->view->history;
    trial->result = RESULT_FAIL;
    trial->missing = true;
    trial->t_ms = court->view->end_ms;
    trial->seq = history->n ? history->at[history->n - 1].seq : 0;
}

/* --- vacuity: could it have failed? --- */

/* Has the party whose deed it would be done anything at all? */
static bool party_was_there(const struct court *court, enum party party)
{
    const struct view *view = court->view;
    for (size_t i = 0; i < view->n_exchanges; i++)
        if (party == PARTY_CLIENT || view->exchanges[i].status) return true;
    return false;
}

static bool ever_held(const struct view *view, const struct phrase *condition)
{
    struct phrase became = *condition;
    became.deed = DEED_BECOMES;
    for (size_t i = 0; i < view->n_facts; i++)
        if (view_matches(&view->facts[i], &became)) return true;
    return false;
}

/* Empty: it could have failed. */
static struct str why_vacuous(const struct span *span)
{
    const struct court *court = span->court;
    const struct expectation *e = span->expectation;
    if (!span->open) return str_fmt(court->arena, "\"%.*s\" never happened", STR_ARGS(e->after.text));
    if (e->has_while && !ever_held(court->view, &e->while_))
        return str_fmt(court->arena, "it was never so that %.*s", STR_ARGS(e->while_.text));
    if (!party_was_there(court, e->what.party))
        return str_fmt(court->arena, "the %s did nothing at all", e->what.party == PARTY_CLIENT ? "client" : "CA");
    return (struct str){0};
}

static struct trial vacuous(struct trial trial, struct str why)
{
    trial.result = RESULT_VACUOUS;
    trial.observed = why;
    return trial;
}

/* --- eventually --- */

static struct trial try_eventually(const struct court *court, const struct expectation *e)
{
    struct span span = span_of(court, e);
    const struct fact *fact = span_next(&span, NULL);
    bool real = court->options->mode != MODE_SIMULATE;
    int64_t from_ms = e->has_after && span.open ? court->view->facts[span.after].t_ms : court->start_ms;
    int64_t limit_ms = e->has_within ? from_ms + e->within_ms + (real ? REAL_START_MS : 0) : FOREVER;
    struct trial trial = {.result = RESULT_PASS};
    struct buf expected = {.arena = court->arena};
    buf_fmt(&expected, "\"%.*s\"", STR_ARGS(e->what.text));
    add_condition(&expected, e);
    if (e->has_within) buf_fmt(&expected, " by %s", at_time(court, limit_ms).at);
    trial.expected = buf_str(&expected);
    if (!fact) {
        blame_end(court, &trial);
        trial.observed = str_fmt(court->arena, "not at all; %.*s", STR_ARGS(run_end(court)));
    } else if (fact->t_ms > limit_ms) {
        blame(&trial, fact);
        trial.missing = true;
        trial.observed = str_fmt(court->arena, "at %s, %s late", at_time(court, fact->t_ms).at,
                                 when_duration_text(court->arena, fact->t_ms - limit_ms).at);
    } else {
        trial.observed = str_fmt(court->arena, "at %s", at_time(court, fact->t_ms).at);
    }
    return trial;
}

/* --- never --- */

/* The last reply about the same resource before the request decides until when it is too early; FOREVER: none did. A
 * reply that refuses without a word about the time (badNonce) takes nothing back. */
static int64_t held_until_ms(const struct view *view, const struct exchange *request, const struct exchange **ret_by)
{
    const struct exchange *by = NULL;
    for (const struct exchange *x = view->exchanges; x < view->exchanges + view->n_exchanges; x++) {
        bool creates = request->resource == RESOURCE_NEW_ORDER || request->resource == RESOURCE_NEW_ACCOUNT ||
                       request->resource == RESOURCE_NEW_AUTHZ;
        bool same = request->thing && !creates ? x->thing == request->thing && x->resource != RESOURCE_CERTIFICATE
                                               : str_eq(x->url, request->url);
        if (!same || !x->response || !x->status || x->response->seq > request->request->seq) continue;
        if (x->status >= 400 && !x->has_retry_after) continue;
        if (!by || x->response->seq > by->response->seq) by = x;
    }
    *ret_by = by;
    if (!by || !by->retry_after_legal) return FOREVER;
    return by->retry_after_ms - (by->retry_after_is_date ? DATE_GRACE_MS : 0);
}

/* Was there any Retry-After on a resource that such a request is for? */
static bool any_hold(const struct view *view, const struct phrase *what)
{
    static const enum object objects[DEED_COUNT] = {
        [DEED_READS_AUTHZ] = OBJECT_AUTHZ,         [DEED_POLLS_AUTHZ] = OBJECT_AUTHZ,
        [DEED_DEACTIVATES_AUTHZ] = OBJECT_AUTHZ,   [DEED_ANSWERS] = OBJECT_CHALLENGE,
        [DEED_POLLS_CHALLENGE] = OBJECT_CHALLENGE, [DEED_POLLS_ORDER] = OBJECT_ORDER,
        [DEED_FINALIZES] = OBJECT_ORDER,           [DEED_DOWNLOADS] = OBJECT_ORDER};
    for (size_t i = 0; i < view->n_exchanges; i++) {
        const struct exchange *x = &view->exchanges[i];
        if (!x->retry_after_legal || x->retry_after_ms <= x->response->t_ms) continue;
        if (!objects[what->deed] || (x->thing && x->thing->object == objects[what->deed])) return true;
    }
    return false;
}

static struct trial try_never_during(const struct court *court, const struct span *span, struct trial trial)
{
    const struct expectation *e = span->expectation;
    const struct exchange *by;
    int64_t until_ms = 0, first_until_ms = 0;
    struct tally tally = {0};
    for (const struct fact *fact = span_next(span, NULL); fact; fact = span_next(span, fact)) {
        if (!fact->exchange || (until_ms = held_until_ms(court->view, fact->exchange, &by)) == FOREVER) continue;
        if (fact->t_ms >= until_ms) continue;
        if (!tally.n) {
            first_until_ms = until_ms;
            bool unread = by->retry_after_is_date;
            trial.hint = unread ? STR("Retry-After was an HTTP-date: perhaps it was not understood") : (struct str){0};
        }
        tally_add(&tally, court, fact);
    }
    if (!tally.n) {
        if (!any_hold(court->view, &e->what)) return vacuous(trial, STR("no reply about it had a Retry-After"));
        return trial;
    }
    blame(&trial, tally.first);
    trial.expected = str_fmt(court->arena, "no \"%.*s\" before %s%s", STR_ARGS(e->what.text),
                             at_time(court, first_until_ms).at, trial.hint.n ? " (a date has a second of grace)" : "");
    trial.observed = str_fmt(court->arena, "%.*s (the first %s early)", STR_ARGS(tally_words(&tally, court)),
                             when_duration_text(court->arena, first_until_ms - tally.first->t_ms).at);
    return trial;
}

static struct trial try_never(const struct court *court, const struct expectation *e)
{
    struct span span = span_of(court, e);
    struct trial trial = {.result = RESULT_PASS};
    struct buf expected = {.arena = court->arena};
    buf_fmt(&expected, "no \"%.*s\"", STR_ARGS(e->what.text));
    add_condition(&expected, e);
    trial.expected = buf_str(&expected);
    trial.observed = STR("none");
    struct str why = why_vacuous(&span);
    if (why.n) return vacuous(trial, why);
    if (e->during_retry_after) return try_never_during(court, &span, trial);
    struct tally tally = {0};
    for (const struct fact *fact = span_next(&span, NULL); fact; fact = span_next(&span, fact))
        tally_add(&tally, court, fact);
    if (!tally.n) return trial;
    blame(&trial, tally.first);
    trial.observed = tally_words(&tally, court);
    return trial;
}

/* --- count, gap --- */

static struct trial try_count(const struct court *court, const struct expectation *e)
{
    struct span span = span_of(court, e);
    struct tally tally = {0};
    const struct fact *excess = NULL;
    struct trial trial = {.result = RESULT_PASS};
    for (const struct fact *fact = span_next(&span, NULL); fact; fact = span_next(&span, fact)) {
        tally_add(&tally, court, fact);
        if ((int64_t)tally.n == e->number + 1) excess = fact;
    }
    int64_t n = (int64_t)tally.n;
    struct buf expected = {.arena = court->arena};
    buf_fmt(&expected, "\"%.*s\" %.*s", STR_ARGS(e->what.text), STR_ARGS(number_words(court, e)));
    buf_fmt(&expected, " time%s", e->number == 1 ? "" : "s");
    add_condition(&expected, e);
    trial.expected = buf_str(&expected);
    trial.observed = tally_words(&tally, court);
    if (n < e->number && e->comparison != COMPARE_AT_MOST) {
        blame_end(court, &trial);
    } else if (n > e->number && e->comparison != COMPARE_AT_LEAST) {
        blame(&trial, excess);
    } else if (!n) {
        struct str why = why_vacuous(&span);
        if (why.n) return vacuous(trial, why);
    }
    return trial;
}

/* Between which bounds a gap of so long is right, given who keeps the time. */
static void gap_bounds(const struct court *court, const struct expectation *e, int64_t *ret_low_ms,
                       int64_t *ret_high_ms)
{
    const struct oracle_options *options = court->options;
    bool real = options->mode != MODE_SIMULATE;
    bool ours = options->mode == (e->what.party == PARTY_CLIENT ? MODE_SERVER : MODE_CLIENT);
    int64_t quick_ms = options->speed > 1 ? e->number / options->speed : e->number;
    /* A client under test waits as its CA tells it, and the CA's times are made shorter. */
    int64_t low_ms = ours || options->mode == MODE_CLIENT ? quick_ms : e->number;
    int64_t high_ms = ours ? quick_ms : e->number;
    int64_t slack_ms = e->comparison == COMPARE_IS ? SAME_MS : 0;
    *ret_low_ms =
        e->comparison == COMPARE_AT_MOST ? INT64_MIN : low_ms - slack_ms - (real ? REAL_EARLY_MS + low_ms / 20 : 0);
    *ret_high_ms =
        e->comparison == COMPARE_AT_LEAST ? INT64_MAX : high_ms + slack_ms + (real ? REAL_LATE_MS + high_ms / 10 : 0);
}

static struct trial try_gap(const struct court *court, const struct expectation *e)
{
    struct span span = span_of(court, e);
    struct trial trial = {.result = RESULT_PASS};
    int64_t low_ms, high_ms, gap_ms, shortest_ms = INT64_MAX, longest_ms = -1;
    size_t n = 0, n_bad = 0;
    gap_bounds(court, e, &low_ms, &high_ms);
    struct buf expected = {.arena = court->arena};
    buf_fmt(&expected, "%.*s between one \"%.*s\" and the next", STR_ARGS(number_words(court, e)),
            STR_ARGS(e->what.text));
    add_condition(&expected, e);
    trial.expected = buf_str(&expected);
    for (const struct fact *fact = span_next(&span, NULL); fact; fact = span_next(&span, fact)) {
        const struct fact *next = span_next(&span, fact);
        while (next && next->thing != fact->thing)
            next = span_next(&span, next);
        if (!next) continue;
        n++;
        gap_ms = next->t_ms - fact->t_ms;
        if (gap_ms < shortest_ms) shortest_ms = gap_ms;
        if (gap_ms > longest_ms) longest_ms = gap_ms;
        if (gap_ms >= low_ms && gap_ms <= high_ms) continue;
        if (n_bad++) continue;
        blame(&trial, next);
        trial.observed = str_fmt(court->arena, "%s at %s", when_duration_text(court->arena, gap_ms).at,
                                 at_time(court, next->t_ms).at);
    }
    if (!n)
        return vacuous(trial,
                       str_fmt(court->arena, "\"%.*s\" did not happen twice to one object", STR_ARGS(e->what.text)));
    if (trial.result == RESULT_FAIL && n > 1)
        trial.observed = str_fmt(court->arena, "%.*s (%zu of %zu gaps are so)", STR_ARGS(trial.observed), n_bad, n);
    if (trial.result == RESULT_PASS)
        trial.observed = str_fmt(court->arena, "%s to %s", when_duration_text(court->arena, shortest_ms).at,
                                 when_duration_text(court->arena, longest_ms).at);
    return trial;
}

/* --- states --- */

static struct str path_words(struct arena *arena, const enum status *states, size_t n)
{
    struct buf buf = {.arena = arena};
    for (size_t i = 0; i < n; i++)
        buf_fmt(&buf, "%s%s", i ? ", " : "", status_text(states[i]));
    return n ? buf_str(&buf) : STR("nothing");
}

static bool is_on_the_way(enum status status)
{
    return status == STATUS_PENDING || status == STATUS_READY || status == STATUS_PROCESSING;
}

/* Where the path leaves the wanted one: index into the path, or its length where it ends too early; NOWHERE: it is
 * right. A client under test does not look all the time: states may pass unseen, but for the last. A server under test
 * may show states on the way that the scenario's CA does not, or not show those; whether each step is legal is the
 * business of a rule. */
static ptrdiff_t path_wrong_at(const struct court *court, const struct expectation *e, const enum status *path,
                               size_t n)
{
    enum mode mode = court->options->mode;
    bool loose = mode == MODE_SERVER;
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        if (loose && is_on_the_way(path[i])) continue;
        if (mode != MODE_SIMULATE)
            while (k < e->n_states && e->states[k] != path[i])
                k++;
        if (k >= e->n_states || e->states[k++] != path[i]) return (ptrdiff_t)i;
    }
    while (loose && k < e->n_states && is_on_the_way(e->states[k]))
        k++;
    return k < e->n_states ? (ptrdiff_t)n : NOWHERE;
}

static bool is_subject(const struct expectation *e, const struct thing *thing)
{
    if (thing->object != e->states_of) return false;
    return !e->states_of_challenge_type || (thing->challenge_known && thing->type == e->states_type);
}

/* The states that one object was shown in; *ret_last is the fact of state `at`, or of the last one. */
static size_t path_of(const struct court *court, const struct thing *thing, enum status *path, size_t room)
{
    const struct view *view = court->view;
    size_t n = 0;
    for (size_t i = 0; i < view->n_facts && n < room; i++)
        if (view->facts[i].deed == DEED_BECOMES && view->facts[i].thing == thing) path[n++] = view->facts[i].now;
    return n;
}

static const struct fact *path_fact(const struct view *view, const struct thing *thing, size_t at)
{
    for (size_t i = 0; i < view->n_facts; i++)
        if (view->facts[i].deed == DEED_BECOMES && view->facts[i].thing == thing && at-- == 0) return &view->facts[i];
    return NULL;
}

/* Objects that nothing ever happened to (challenges that were not tried) are not asked, unless there are no others. */
static struct trial try_states(const struct court *court, const struct expectation *e)
{
    const struct view *view = court->view;
    struct trial trial = {.result = RESULT_PASS, .expected = path_words(court->arena, e->states, e->n_states)};
    enum status path[32];
    size_t most = 0;
    for (size_t i = 0; i < view->n_things; i++) {
        if (!is_subject(e, view->things[i])) continue;
        size_t n = path_of(court, view->things[i], path, COUNTOF(path));
        if (n > most) most = n;
    }
    if (!most) {
        blame_end(court, &trial);
        trial.observed = STR("no such object was shown");
        return trial;
    }
    for (size_t i = 0; i < view->n_things; i++) {
        const struct thing *thing = view->things[i];
        if (!is_subject(e, thing)) continue;
        size_t n = path_of(court, thing, path, COUNTOF(path));
        if (!n || (n == 1 && most > 1)) continue;
        ptrdiff_t wrong = path_wrong_at(court, e, path, n);
        trial.observed = path_words(court->arena, path, n);
        if (wrong == NOWHERE) continue;
        const struct fact *fact = path_fact(view, thing, (size_t)wrong);
        if (fact) {
            blame(&trial, fact);
            trial.observed = str_fmt(court->arena, "%.*s (%s at %s)", STR_ARGS(trial.observed), status_text(fact->now),
                                     at_time(court, fact->t_ms).at);
        } else {
            blame_end(court, &trial);
            trial.observed = str_fmt(court->arena, "%.*s, and then nothing more; %.*s", STR_ARGS(trial.observed),
                                     STR_ARGS(run_end(court)));
        }
        if (thing->name.n)
            trial.observed = str_fmt(court->arena, "%.*s: %.*s", STR_ARGS(thing->name), STR_ARGS(trial.observed));
        break;
    }
    return trial;
}

/* --- sequence --- */

/* A state that no reply showed. A real client does not look all the time, and need not; of a real server our own client
 * sees at least the final ones. */
static bool passed_unseen(const struct court *court, const struct phrase *phrase)
{
    enum mode mode = court->options->mode;
    if (phrase->deed != DEED_BECOMES || find_nth(court->view, phrase) != NOWHERE) return false;
    return mode == MODE_CLIENT || (mode == MODE_SERVER && !status_is_final(phrase->object, phrase->status));
}

static struct trial try_sequence(const struct court *court, const struct expectation *e)
{
    const struct view *view = court->view;
    struct trial trial = {.result = RESULT_PASS};
    struct buf expected = {.arena = court->arena}, observed = {.arena = court->arena};
    ptrdiff_t at = NOWHERE;
    for (size_t i = 0; i < e->n_sequence; i++)
        buf_fmt(&expected, "%s%.*s", i ? ", then " : "", STR_ARGS(e->sequence[i].text));
    trial.expected = buf_str(&expected);
    for (size_t i = 0; i < e->n_sequence; i++) {
        const struct phrase *phrase = &e->sequence[i];
        ptrdiff_t found = NOWHERE, anywhere = find_nth(view, phrase);
        if (phrase->ordinal != ORDINAL_ANY) {
            if (anywhere > at) found = anywhere;
        } else {
            for (ptrdiff_t k = at + 1; found == NOWHERE && k < (ptrdiff_t)view->n_facts; k++)
                if (view_matches(&view->facts[k], phrase)) found = k;
        }
        if (found == NOWHERE && passed_unseen(court, phrase)) continue;
        if (found == NOWHERE) {
            blame_end(court, &trial);
            buf_fmt(&observed, "%sno \"%.*s\"%s", i ? "; then " : "", STR_ARGS(phrase->text), i ? " after it" : "");
            if (anywhere != NOWHERE) {
                blame(&trial, &view->facts[anywhere]);
                trial.missing = true;
                buf_fmt(&observed, " (it was at %s)", at_time(court, view->facts[anywhere].t_ms).at);
            }
            break;
        }
        buf_fmt(&observed, "%s%.*s at %s", i ? ", " : "", STR_ARGS(phrase->text),
                at_time(court, view->facts[found].t_ms).at);
        at = found;
    }
    trial.observed = buf_str(&observed);
    return trial;
}

/* --- each --- */

static struct trial try_each(const struct court *court, const struct expectation *e)
{
    struct span span = span_of(court, e);
    struct trial trial = {.result = RESULT_PASS};
    struct buf expected = {.arena = court->arena};
    buf_fmt(&expected, "each \"%.*s\"", STR_ARGS(e->what.text));
    add_condition(&expected, e);
    buf_add_c(&expected, " has");
    for (size_t i = 0; i < e->n_has; i++)
        buf_fmt(&expected, "%s %.*s %.*s", i ? "," : "", STR_ARGS(e->has[i].key), STR_ARGS(e->has[i].text));
    trial.expected = buf_str(&expected);
    size_t n = 0, n_bad = 0;
    for (const struct fact *fact = span_next(&span, NULL); fact; fact = span_next(&span, fact)) {
        bool good = true;
        n++;
        for (size_t i = 0; i < e->n_has && good; i++) {
            struct str got = {0};
            good = has_holds(court, fact, &e->has[i], &got);
            if (good || n_bad) continue;
            blame(&trial, fact);
            trial.observed = str_fmt(court->arena, "%.*s: %.*s at %s", STR_ARGS(e->has[i].key), STR_ARGS(got),
                                     at_time(court, fact->t_ms).at);
        }
        n_bad += !good;
    }
    if (!n) {
        struct str why = why_vacuous(&span);
        if (!why.n) why = str_fmt(court->arena, "\"%.*s\" did not happen then", STR_ARGS(e->what.text));
        return vacuous(trial, why);
    }
    if (n_bad)
        trial.observed = str_fmt(court->arena, "%.*s (%zu of %zu are wrong)", STR_ARGS(trial.observed), n_bad, n);
    else trial.observed = str_fmt(court->arena, "all %zu", n);
    return trial;
}

/* --- any_of --- */

static struct trial try_group(const struct court *court, const struct outcome_group *group)
{
    struct trial worst = {.result = RESULT_VACUOUS};
    bool any_pass = false;
    for (size_t i = 0; i < group->n; i++) {
        struct trial trial = expect_try(court, &group->at[i]);
        if (trial.result == RESULT_FAIL) return trial;
        any_pass = any_pass || trial.result == RESULT_PASS;
        worst = trial;
    }
    worst.result = any_pass ? RESULT_PASS : RESULT_VACUOUS;
    return worst;
}

/* The first outcome that holds. One called "lenient" is a pass with a warning. */
static struct trial try_any_of(const struct court *court, const struct expectation *e)
{
    struct trial trial = {.result = RESULT_FAIL, .missing = true};
    struct buf expected = {.arena = court->arena}, observed = {.arena = court->arena};
    for (size_t g = 0; g < e->n_groups; g++)
        buf_fmt(&expected, "%s\"%.*s\"", g ? " or " : "", STR_ARGS(e->groups[g].name));
    trial.expected = buf_str(&expected);
    for (size_t g = 0; g < e->n_groups; g++) {
        const struct outcome_group *group = &e->groups[g];
        struct trial tried = try_group(court, group);
        if (tried.result != RESULT_FAIL) {
            trial.result =
                tried.result == RESULT_PASS && str_is(group->name, "lenient") ? RESULT_LENIENT : tried.result;
            trial.missing = false;
            trial.observed = str_fmt(court->arena, "\"%.*s\"", STR_ARGS(group->name));
            return trial;
        }
        buf_fmt(&observed, "%snot \"%.*s\": expected %.*s, observed %.*s", g ? "; " : "", STR_ARGS(group->name),
                STR_ARGS(tried.expected), STR_ARGS(tried.observed));
        trial.missing = trial.missing && tried.missing;
        if (g == 0) trial.seq = tried.seq, trial.t_ms = tried.t_ms;
    }
    trial.observed = buf_str(&observed);
    return trial;
}

struct trial expect_try(const struct court *court, const struct expectation *expectation)
{
    static struct trial (*const tries[])(const struct court *, const struct expectation *) = {
        [VERB_EVENTUALLY] = try_eventually,
        [VERB_NEVER] = try_never,
        [VERB_COUNT_OF] = try_count,
        [VERB_GAP] = try_gap,
        [VERB_STATES] = try_states,
        [VERB_SEQUENCE] = try_sequence,
        [VERB_EACH] = try_each,
        [VERB_ANY_OF] = try_any_of,
    };
    return tries[expectation->verb](court, expectation);
}
