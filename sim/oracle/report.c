/* A judged case as plain data: its findings, the charts beside them, and what a server under test was seen to do. */
#include "oracle/report_parts.h"

#include <string.h>

const char *outcome_class_text(enum outcome_class outcome)
{
    static const char *const words[OUTCOME_COUNT] = {"ok", "warn", "FAIL", "expected", "STALE", "skip", "ERROR"};
    return words[outcome];
}

/* --- safe text -----------------------------------------------------------------------------------------------------
 */

/* The character that begins at s.at[0]; 0 bytes: this is not UTF-8. */
static size_t character(struct str s, uint32_t *ret)
{
    unsigned char lead = (unsigned char)s.at[0];
    size_t n = lead < 0x80                   ? 1
               : lead >= 0xc2 && lead < 0xe0 ? 2
               : lead >= 0xe0 && lead < 0xf0 ? 3
               : lead >= 0xf0 && lead < 0xf5 ? 4
                                             : 0;
    if (n == 0 || n > s.n || !str_utf8((struct str){s.at, n})) return 0;
    *ret = n == 1 ? lead : lead & (0x7fu >> n);
    for (size_t i = 1; i < n; i++)
        *ret = *ret << 6 | ((unsigned char)s.at[i] & 0x3f);
    return n;
}

/* Characters that a terminal or a reader may take for something else, and those that XML 1.0 does not have. */
static bool deceives(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0,       0x1f   },
        {0x7f,    0x9f   },
        {0x61c,   0x61c  },
        {0x200b,  0x200f },
        {0x2028,  0x202e },
        {0x2060,  0x206f },
        {0xfeff,  0xfeff },
        {0xfff9,  0xfffb },
        {0xfffe,  0xffff },
        {0xe0000, 0xe007f}
    };
    for (size_t i = 0; i < COUNTOF(ranges); i++)
        if (c >= ranges[i].first && c <= ranges[i].last) return true;
    return false;
}

static struct str clean(struct arena *arena, struct str text, bool keep_lines)
{
    struct buf out = {.arena = arena};
    size_t n;
    for (size_t i = 0; i < text.n; i += n) {
        uint32_t c = 0;
        n = character((struct str){text.at + i, text.n - i}, &c);
        if (n == 0) {
            n = 1;
            buf_fmt(&out, "\\x%02x", (unsigned)(unsigned char)text.at[i]);
        } else if (c == '\n') {
            buf_add_c(&out, keep_lines ? "\n" : "\\n");
        } else if (c == '\t') {
            buf_add_char(&out, ' ');
        } else if (deceives(c)) {
            buf_fmt(&out, c < 0x80 ? "\\x%02x" : "\\u{%x}", (unsigned)c);
        } else {
            buf_add(&out, (struct str){text.at + i, n});
        }
    }
    return buf_str(&out);
}

struct str report_clean(struct arena *arena, struct str text)
{
    return clean(arena, text, true);
}

struct str report_clean_line(struct arena *arena, struct str text)
{
    return clean(arena, text, false);
}

size_t report_width(struct str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++)
        n += ((unsigned char)text.at[i] & 0xc0) != 0x80;
    return n;
}

struct str report_clip(struct arena *arena, struct str text, size_t most)
{
    size_t n = 0, i = 0;
    if (report_width(text) <= most) return text;
    while (n + 3 < most) {
        i++;
        while (i < text.n && ((unsigned char)text.at[i] & 0xc0) == 0x80)
            i++;
        n++;
    }
    return str_fmt(arena, "%.*s...", (int)i, text.at);
}

struct str report_span(struct arena *arena, int64_t ms)
{
    long long tenths = (ms + 50) / 100, s = (ms + 500) / 1000, min = s / 60;
    if (tenths < 1000) return str_fmt(arena, "%lld.%lld s", tenths / 10, tenths % 10);
    if (min < 60) return str_fmt(arena, s % 60 ? "%lld min %lld s" : "%lld min", min, s % 60);
    if (min < 48 * 60) return str_fmt(arena, min % 60 ? "%lld h %lld min" : "%lld h", min / 60, min % 60);
    return str_fmt(arena, min / 60 % 24 ? "%lld d %lld h" : "%lld d", min / 60 / 24, min / 60 % 24);
}

struct str report_folder(struct str id)
{
    size_t n = id.n;
    while (n && id.at[n - 1] != '/')
        n--;
    return n > 1 ? (struct str){id.at, n - 1} : STR(".");
}

/* --- observations of a server --------------------------------------------------------------------------------------
 */

enum { SOON_MS = 4900 /* section 8.2 speaks of 5 to 10 seconds between queries */ };

/* What the wire showed of one challenge. */
struct observed {
    const struct thing *challenge;
    struct str answers; /* "404 x2, then the right answer" */
    size_t responses, queries, failed;
    size_t by_reads;     /* of the queries: begun while our client read the challenge */
    int64_t shortest_ms; /* between two queries; -1 = fewer than two */
    bool processing, retry_after, has_error;
    struct problem error;
};

static struct str told(struct arena *arena, const struct scenario *scenario, const struct thing *challenge)
{
    struct buf out = {.arena = arena};
    if (!scenario || !challenge->challenge_known) return STR("");
    const struct answers *answers = &scenario->answers[challenge->type];
    for (size_t i = 0; i < answers->n; i++)
        buf_fmt(&out, "%s%.*s", i ? ", " : "", STR_ARGS(answers->at[i].word));
    return buf_str(&out);
}

static void add_answer(struct buf *out, struct str word, size_t times)
{
    if (!times) return;
    buf_fmt(out, "%s%.*s", out->n ? ", then " : "", STR_ARGS(word));
    if (times > 1) buf_fmt(out, " x%zu", times);
}

/* Did the query begin while the server had a read of the challenge to answer? */
static bool began_by_read(const struct view *view, const struct fact *query)
{
    for (size_t i = 0; i < view->n_exchanges; i++) {
        const struct exchange *x = &view->exchanges[i];
        if (x->thing != query->thing || !x->post_as_get || x->request->seq > query->seq) continue;
        if (!x->response || x->response->seq > query->seq) return true;
    }
    return false;
}

static void observe_queries(struct arena *arena, const struct view *view, struct observed *seen)
{
    struct buf answers = {.arena = arena};
    struct str word = {0};
    size_t times = 0;
    int64_t last_ms = -1;
    seen->shortest_ms = -1;
    for (size_t i = 0; i < view->n_facts; i++) {
        const struct fact *fact = &view->facts[i];
        if (fact->thing != seen->challenge) continue;
        if (fact->deed == DEED_BECOMES && fact->now == STATUS_PROCESSING) seen->processing = true;
        seen->responses += fact->deed == DEED_ANSWERS;
        if (fact->deed != DEED_VALIDATES) continue;
        const struct event *query = report_event(view->history, fact->seq);
        bool good = false;
        struct str answer = query ? report_answer(arena, view, query, &good) : STR("no answer");
        if (times && !str_eq(word, answer)) {
            add_answer(&answers, word, times);
            times = 0;
        }
        word = answer;
        times++;
        if (last_ms >= 0 && (seen->shortest_ms < 0 || fact->t_ms - last_ms < seen->shortest_ms))
            seen->shortest_ms = fact->t_ms - last_ms;
        last_ms = fact->t_ms;
        seen->queries++;
        seen->by_reads += began_by_read(view, fact);
        seen->failed += !good;
    }
    add_answer(&answers, word, times);
    seen->answers = buf_str(&answers);
}

static struct observed observe(struct arena *arena, const struct view *view, const struct thing *challenge)
{
    struct observed seen = {.challenge = challenge};
    observe_queries(arena, view, &seen);
    for (size_t i = 0; i < view->n_exchanges; i++) {
        const struct exchange *exchange = &view->exchanges[i];
        bool about = exchange->thing == challenge || (exchange->thing && exchange->thing == challenge->parent);
        if (about && exchange->has_retry_after) seen.retry_after = true;
    }
    seen.has_error = report_challenge_error(arena, view, challenge, &seen.error);
    return seen;
}

static void add_sentence(struct buf *out, const char *text)
{
    buf_fmt(out, "; %s", text);
}

/* Where section 8.2 was not followed; it speaks of the server that retries by itself. */
static void add_section_82(struct buf *out, const struct observed *seen)
{
    size_t before = out->n;
    bool retried = seen->queries - seen->by_reads > 1;
    if (seen->by_reads)
        buf_fmt(out, "; %zu of these only because our client read the challenge: 6.3 says that reading changes nothing",
                seen->by_reads);
    enum status status = seen->challenge->status;
    const struct thing *authz = seen->challenge->parent;
    bool over = status == STATUS_INVALID || status == STATUS_VALID;
    if (seen->queries == 1 && status == STATUS_INVALID) {
        add_sentence(out, "no retry: RFC 8555 8.2 says that the server SHOULD retry a failed query after some time");
        if (authz && status_is_final(OBJECT_AUTHZ, authz->status))
            buf_add_c(out, ", here the client has to start over with a new order");
        else if (authz && authz->status == STATUS_PENDING)
            buf_add_c(out, ", here the client can try another challenge of the authz");
    }
    bool asked = seen->responses > 1; /* what came soon may have come because our client asked for it */
    if (retried && !asked && seen->shortest_ms < SOON_MS)
        buf_fmt(out, "; two queries were only %.*s apart: 8.2 says that they SHOULD be 5 to 10 s apart or more",
                STR_ARGS(report_span(out->arena, seen->shortest_ms)));
    if (retried && !seen->processing)
        add_sentence(out, "it retried without ever showing processing: 8.2 says that a challenge MUST stay processing "
                          "while the server tries");
    if (retried && !seen->retry_after)
        add_sentence(out,
                     "it retried without Retry-After: 8.2 says that replies MUST carry it while the server retries");
    if (retried && !seen->has_error)
        add_sentence(
            out, "it retried without showing the failure: 8.2 says that error MUST be set while the server retries");
    if (!over)
        add_sentence(
            out, retried
                     ? "it had not given up by the end of the run: 8.2 says that it SHOULD give up at some point"
                     : "it had neither retried nor given up by the end of the run: 8.2 says that it SHOULD do either");
    if (out->n != before) return;
    add_sentence(out, seen->queries ? "as RFC 8555 8.2 says" : "how often the server tried cannot be seen from here");
}

static struct str observation(struct arena *arena, const struct scenario *scenario, const struct observed *seen)
{
    const struct thing *challenge = seen->challenge, *authz = challenge->parent, *order = authz ? authz->parent : NULL;
    struct buf out = {.arena = arena};
    buf_add_c(&out, challenge->challenge_known ? challenge_row(challenge->type)->name : "a challenge");
    if (challenge->name.n) buf_fmt(&out, " for %.*s", STR_ARGS(challenge->name));
    if (seen->queries) {
        buf_fmt(&out, ": our responder answered %.*s; %zu quer%s", STR_ARGS(seen->answers), seen->queries,
                seen->queries == 1 ? "y" : "ies");
    } else {
        struct str words = told(arena, scenario, challenge);
        buf_add_c(&out, ": no query reached our responder");
        if (words.n) buf_fmt(&out, " (it was told: %.*s)", STR_ARGS(words));
    }
    if (seen->responses > 1) buf_fmt(&out, " for %zu responses of our client", seen->responses);
    buf_fmt(&out, ", then the challenge was %s",
            challenge->status == STATUS_NONE ? "never seen again" : status_text(challenge->status));
    if (seen->has_error)
        buf_fmt(&out, " (%s%.*s)", challenge->status == STATUS_VALID ? "before that: " : "",
                STR_ARGS(seen->error.type.n ? seen->error.type : STR("an error without type")));
    if (authz && authz->status != STATUS_NONE) buf_fmt(&out, ", its authz %s", status_text(authz->status));
    if (order && order->status != STATUS_NONE) buf_fmt(&out, ", the order %s", status_text(order->status));
    buf_fmt(&out, "; %s",
            seen->processing && seen->retry_after ? "processing and Retry-After were shown"
            : seen->processing                    ? "processing was shown, Retry-After was not"
            : seen->retry_after                   ? "Retry-After was shown, processing was not"
                                                  : "neither processing nor Retry-After was shown");
    add_section_82(&out, seen);
    return report_clean_line(arena, buf_str(&out));
}

static void add_observations(struct arena *arena, const struct view *view, const struct scenario *scenario,
                             struct result_case *ret)
{
    if (!str_is(view->mode, mode_text(MODE_SERVER))) return;
    ret->observations = ARENA_ARRAY(arena, struct str, view->n_things + 1);
    for (size_t i = 0; i < view->n_things; i++) {
        const struct thing *thing = view->things[i];
        if (thing->object != OBJECT_CHALLENGE) continue;
        struct observed seen = observe(arena, view, thing);
        if (!seen.failed && thing->status != STATUS_INVALID) continue;
        ret->observations[ret->n_observations++] = observation(arena, scenario, &seen);
    }
}

/* --- the case ------------------------------------------------------------------------------------------------------
 */

static struct str kept(struct arena *arena, struct str text)
{
    return text.n ? report_clean(arena, text) : (struct str){0};
}

static struct finding finding_copy(struct arena *arena, const struct finding *from)
{
    struct finding to = *from;
    to.name = kept(arena, from->name);
    to.clause = kept(arena, from->clause);
    to.claim = kept(arena, from->claim);
    to.why = kept(arena, from->why);
    to.expected = kept(arena, from->expected);
    to.observed = kept(arena, from->observed);
    to.hint = kept(arena, from->hint);
    to.file = kept(arena, from->file);
    to.source = kept(arena, from->source);
    return to;
}

static struct str *texts_copy(struct arena *arena, const struct str *from, size_t n)
{
    struct str *to = ARENA_ARRAY(arena, struct str, n + 1);
    for (size_t i = 0; i < n; i++)
        to[i] = kept(arena, from[i]);
    return to;
}

bool report_counts(const struct result_case *result, const struct finding *finding)
{
    bool any = false;
    for (size_t i = 0; i < result->n_findings; i++)
        any = any || (result->findings[i].result == RESULT_FAIL && result->findings[i].level != LEVEL_MAY);
    if (any) return finding->result == RESULT_FAIL && finding->level != LEVEL_MAY;
    return finding->result == RESULT_VACUOUS || finding->result == RESULT_LENIENT || finding->result == RESULT_FAIL;
}

static enum outcome_class outcome_of(const struct judgement *judgement)
{
    if (judgement->result == RESULT_ERROR) return OUTCOME_ERROR;
    if (judgement->result == RESULT_FAIL) return OUTCOME_FAIL;
    bool warned = judgement->warnings || judgement->vacuous || judgement->result != RESULT_PASS;
    return warned ? OUTCOME_WARN : OUTCOME_OK;
}

static void name_case(struct arena *arena, const struct judgement *judgement, const struct scenario *scenario,
                      struct result_case *ret)
{
    if (scenario) {
        ret->name = kept(arena, scenario_name(arena, scenario));
        ret->id = kept(arena, scenario->id);
        ret->variant = kept(arena, scenario->variant);
        ret->path = kept(arena, scenario->path);
        ret->title = kept(arena, scenario->title);
        ret->clauses = texts_copy(arena, scenario->clauses, scenario->n_clauses);
        ret->n_clauses = scenario->n_clauses;
        return;
    }
    const struct history *history = judgement->view.history;
    if (!history || !history->n) return;
    ret->id = kept(arena, event_text(&history->at[0], F_SCENARIO));
    ret->variant = kept(arena, event_text(&history->at[0], F_VARIANT));
    ret->name = ret->variant.n ? str_fmt(arena, "%.*s#%.*s", STR_ARGS(ret->id), STR_ARGS(ret->variant)) : ret->id;
}

void report_case(struct arena *arena, const struct judgement *judgement, const struct scenario *scenario,
                 bool all_findings, struct result_case *ret)
{
    const struct verdict_list *findings = &judgement->findings;
    *ret = (struct result_case){.outcome = outcome_of(judgement), .protocol_ms = judgement->view.end_ms};
    name_case(arena, judgement, scenario, ret);
    ret->findings = ARENA_ARRAY(arena, struct finding, findings->n + 1);
    for (size_t i = 0; i < findings->n; i++) {
        const struct finding *finding = &findings->at[i];
        if (finding->result == RESULT_PASS) {
            ret->passed++;
            continue;
        }
        size_t k = ret->n_findings++;
        ret->findings[k] = finding_copy(arena, finding);
        bool shown = finding->seq || finding->result == RESULT_FAIL || finding->result == RESULT_ERROR;
        if (k < REPORT_MAX_EXCERPTS && shown) ret->excerpts[k] = report_chart(arena, &judgement->view, finding->seq);
        if (finding->result == RESULT_ERROR && !ret->reason.n)
            ret->reason =
                str_fmt(arena, "%.*s: %.*s", STR_ARGS(ret->findings[k].name),
                        STR_ARGS(ret->findings[k].observed.n ? ret->findings[k].observed : ret->findings[k].claim));
    }
    for (size_t i = 0; i < findings->n && all_findings; i++)
        if (findings->at[i].result == RESULT_PASS)
            ret->findings[ret->n_findings++] = finding_copy(arena, &findings->at[i]);
    if (ret->outcome != OUTCOME_ERROR) ret->reason = (struct str){0};
    else if (!ret->reason.n) ret->reason = STR("the harness broke the rules itself");
    add_observations(arena, &judgement->view, scenario, ret);
}
