/* The excerpt of a failure: who said what, and when, around the record that is to blame. Read off the view, so that a
 * recorded log has one as well. */
#include "base/when.h"
#include "oracle/report_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
    TIME_WIDTH = 10,
    LANE = 44, /* from the client to the CA */
    BEFORE = 8,
    MAX_ROWS = 4 * REPORT_MAX_EXCHANGES,
    MAX_CHANGES = 3,
    MAX_DETAIL = 90,
    MAX_LABEL = LANE - 8
};

#define INDENT "    "

/* One exchange, or one validation query. */
struct item {
    uint64_t seq;
    const struct exchange *exchange;
    const struct fact *query;
};
/* One line, and the lines that hang below it. */
struct row {
    uint64_t seq;
    int64_t t_ms;
    struct str line;
    struct str below;
};
struct chart {
    struct arena *arena;
    const struct view *view;
    uint64_t marked;
    bool several_names;
    struct row rows[MAX_ROWS];
    size_t n_rows;
};

/* --- records -------------------------------------------------------------------------------------------------------
 */

const struct event *report_event(const struct history *history, uint64_t seq)
{
    size_t low = 0, high = history ? history->n : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (history->at[middle].seq < seq) low = middle + 1;
        else high = middle;
    }
    return history && low < history->n && history->at[low].seq == seq ? &history->at[low] : NULL;
}

static const struct event *answer_to(const struct history *history, const struct event *query)
{
    static const enum event_kind answers[EVENT_KIND_COUNT] = {[WIRE_REQUEST] = WIRE_RESPONSE,
                                                              [WIRE_DNS_QUERY] = WIRE_DNS_ANSWER,
                                                              [WIRE_TLS_HELLO] = WIRE_TLS_ANSWER,
                                                              [WIRE_PROBE] = WIRE_VERDICT};
    for (const struct event *event = query + 1; event < history->at + history->n; event++)
        if (event->flow == query->flow && event->kind == answers[query->kind]) return event;
    return NULL;
}

/* Is this one of the proofs that had been put where the query looks? Where none ever was (a log from elsewhere), nobody
 * can tell. */
static bool is_proof(const struct history *history, const struct event *query, struct str got, bool *ret_known)
{
    struct str where = event_text(query, F_NAME);
    struct url url;
    *ret_known = false;
    if (query->kind == WIRE_REQUEST)
        where = url_parse(event_text(query, F_URL), &url) == OK ? url.path : (struct str){0};
    for (const struct event *event = history->at; event < query; event++) {
        if (event->kind != WIRE_PROVISION || !str_eq(event_text(event, F_PLACE), where)) continue;
        *ret_known = true;
        if (str_eq(event_text(event, F_PROOF), got)) return true;
    }
    return false;
}

static struct str http_answer(struct arena *arena, const struct history *history, const struct event *query,
                              const struct event *answer, bool *ret_good)
{
    struct str delivery = event_text(answer, F_DELIVERY), body = event_text(answer, F_BODY);
    long long status = event_int(answer, F_STATUS);
    enum delivery_how how = DELIVER_WHOLE;
    bool known, right = is_proof(history, query, str_trim(body), &known);
    if (delivery.n && delivery_read(delivery, &how) && !delivery_has_status(how))
        return report_clean_line(arena, delivery);
    if (status == 0) return STR("no answer");
    if (how == DELIVER_TRUNCATED)
        return str_fmt(arena, "%lld, cut off after %lld bytes", status, (long long)event_int(answer, F_AT_BYTE));
    if (status != 200) return str_fmt(arena, "%lld", status);
    *ret_good = right || !known;
    const char *slow = how == DELIVER_SLOW ? ", slowly" : "";
    if (!known) return str_fmt(arena, "200%s", slow);
    if (right) return str_fmt(arena, "the right answer%s", slow);
    return str_fmt(arena, "200 with %s body%s", body.n ? "the wrong" : "an empty", slow);
}

static struct str dns_answer(struct arena *arena, const struct history *history, const struct event *query,
                             const struct event *answer, bool *ret_good)
{
    const struct field *records = event_field(answer, F_RECORDS);
    struct str rcode = event_text(answer, F_RCODE), delivery = event_text(answer, F_DELIVERY);
    struct str type = report_clean_line(arena, event_text(query, F_TYPE));
    bool known = false;
    if (delivery.n) return STR("no answer");
    if (rcode.n && !str_is(rcode, dns_rcode_text(DNS_NOERROR))) return report_clean_line(arena, rcode);
    if (!records || records->n_list == 0) return str_fmt(arena, "no %.*s record", STR_ARGS(type));
    for (size_t i = 0; i < records->n_list; i++)
        if (is_proof(history, query, records->list[i], &known)) *ret_good = true;
    if (!known) *ret_good = true;
    return *ret_good && known ? STR("the right answer")
                              : str_fmt(arena, "%s %.*s record", known ? "the wrong" : "a", STR_ARGS(type));
}

static struct str tls_answer(struct arena *arena, const struct history *history, const struct event *query,
                             const struct event *answer, bool *ret_good)
{
    struct str delivery = event_text(answer, F_DELIVERY), alert = event_text(answer, F_ALERT);
    bool known;
    if (delivery.n) return report_clean_line(arena, delivery);
    if (alert.n) return str_fmt(arena, "TLS alert %.*s", STR_ARGS(report_clean_line(arena, alert)));
    if (!event_text(answer, F_ALPN).n) return STR("no ALPN");
    bool right = is_proof(history, query, event_text(answer, F_DIGEST), &known) || !known;
    *ret_good = right && event_int(answer, F_HAS_EXTENSION);
    return *ret_good ? STR("the right answer") : STR("the wrong certificate");
}

static struct str verdict_answer(struct arena *arena, const struct event *answer, bool *ret_good)
{
    long long status = event_int(answer, F_STATUS);
    *ret_good = event_int(answer, F_OK) != 0;
    if (*ret_good) return STR("the right answer");
    struct str failure = report_clean_line(arena, event_text(answer, F_FAILURE));
    return status ? str_fmt(arena, "%lld (%.*s)", status, STR_ARGS(failure)) : failure;
}

struct str report_answer(struct arena *arena, const struct view *view, const struct event *query, bool *ret_good)
{
    const struct event *answer = answer_to(view->history, query);
    *ret_good = false;
    if (!answer) return STR("no answer");
    switch (answer->kind) {
    case WIRE_RESPONSE: return http_answer(arena, view->history, query, answer, ret_good);
    case WIRE_DNS_ANSWER: return dns_answer(arena, view->history, query, answer, ret_good);
    case WIRE_TLS_ANSWER: return tls_answer(arena, view->history, query, answer, ret_good);
    default: return verdict_answer(arena, answer, ret_good);
    }
}

/* --- words ---------------------------------------------------------------------------------------------------------
 */

static const char *const deeds[DEED_COUNT] = {
    [DEED_CREATES_ACCOUNT] = "creates account",
    [DEED_CREATES_ORDER] = "creates order",
    [DEED_READS_DIRECTORY] = "reads directory",
    [DEED_READS_NONCE] = "asks for a nonce",
    [DEED_READS_AUTHZ] = "reads authz",
    [DEED_ANSWERS] = "answers",
    [DEED_POLLS_CHALLENGE] = "polls",
    [DEED_POLLS_AUTHZ] = "polls authz",
    [DEED_POLLS_ORDER] = "polls order",
    [DEED_FINALIZES] = "finalizes",
    [DEED_DEACTIVATES_AUTHZ] = "deactivates authz",
    [DEED_DOWNLOADS] = "downloads certificate",
    [DEED_FINDS_ACCOUNT] = "finds account",
    [DEED_READS_ACCOUNT] = "reads account",
    [DEED_UPDATES_ACCOUNT] = "updates account",
    [DEED_DEACTIVATES_ACCOUNT] = "deactivates account",
    [DEED_CHANGES_KEY] = "changes key",
    [DEED_READS_ORDERS] = "reads orders",
    [DEED_CREATES_AUTHZ] = "creates authz",
    [DEED_REVOKES_CERTIFICATE] = "revokes certificate",
    [DEED_READS_RENEWAL] = "reads renewal information",
};

static const char *thing_kind(const struct thing *thing)
{
    if (thing->object != OBJECT_CHALLENGE) return object_text(thing->object);
    return thing->challenge_known ? challenge_row(thing->type)->name : "challenge";
}

static struct str name_of(const struct chart *chart, const struct thing *thing, const char *before)
{
    if (!thing || !chart->several_names || !thing->name.n || thing->object == OBJECT_ORDER ||
        thing->object == OBJECT_ACCOUNT)
        return STR("");
    return str_fmt(chart->arena, "%s%.*s", before, STR_ARGS(report_clean_line(chart->arena, thing->name)));
}

static bool names_differ(const struct view *view)
{
    struct str first = {0};
    for (size_t i = 0; i < view->n_things; i++) {
        const struct thing *thing = view->things[i];
        if (thing->object != OBJECT_AUTHZ || !thing->name.n) continue;
        if (first.n && !str_eq(first, thing->name)) return true;
        first = thing->name;
    }
    return false;
}

static struct str request_words(const struct chart *chart, const struct exchange *exchange)
{
    struct arena *arena = chart->arena;
    for (size_t i = 0; i < chart->view->n_facts; i++) {
        const struct fact *fact = &chart->view->facts[i];
        if (fact->exchange != exchange || fact->deed > DEED_DOWNLOADS || !deeds[fact->deed]) continue;
        bool of_challenge = fact->deed == DEED_ANSWERS || fact->deed == DEED_POLLS_CHALLENGE;
        return str_fmt(arena, "%s%s%s%.*s", deeds[fact->deed], of_challenge ? " " : "",
                       !of_challenge ? ""
                       : fact->thing ? thing_kind(fact->thing)
                                     : "challenge",
                       STR_ARGS(name_of(chart, fact->thing, " for ")));
    }
    struct url url;
    struct str path = url_parse(exchange->url, &url) == OK ? url.path : exchange->url;
    return str_fmt(arena, "%.*s %.*s", STR_ARGS(report_clean_line(arena, exchange->method)),
                   STR_ARGS(report_clean_line(arena, path)));
}

/* As last shown when the record was made. */
static enum status status_at(const struct view *view, const struct thing *thing, uint64_t seq)
{
    enum status status = STATUS_NONE;
    bool any = false;
    for (size_t i = 0; i < view->n_facts; i++) {
        const struct fact *fact = &view->facts[i];
        if (fact->thing != thing || fact->deed != DEED_BECOMES) continue;
        if (fact->seq > seq) return any ? status : fact->was;
        status = fact->now;
        any = true;
    }
    return any ? status : thing->status;
}

static struct str status_words(const struct chart *chart, const struct thing *thing, enum status status)
{
    if (status == STATUS_NONE || thing->object == OBJECT_ACCOUNT) return STR("");
    return str_fmt(chart->arena, "%s%.*s %s", thing_kind(thing), STR_ARGS(name_of(chart, thing, " ")),
                   status_text(status));
}

/* What changed by this reply, or how its object stands. */
static struct str states_at(const struct chart *chart, const struct exchange *exchange, uint64_t seq, bool is_reply)
{
    struct buf out = {.arena = chart->arena};
    size_t changes = 0;
    for (size_t i = 0; is_reply && i < chart->view->n_facts; i++) {
        const struct fact *fact = &chart->view->facts[i];
        if (fact->seq != seq || fact->deed != DEED_BECOMES || !fact->thing || fact->thing->object == OBJECT_ACCOUNT)
            continue;
        if (++changes > MAX_CHANGES) continue;
        if (out.n) buf_add_c(&out, ", ");
        buf_add(&out, status_words(chart, fact->thing, fact->now));
    }
    if (changes > MAX_CHANGES) buf_fmt(&out, ", %zu more", changes - MAX_CHANGES);
    if (!changes && exchange->thing)
        buf_add(&out, status_words(chart, exchange->thing, status_at(chart->view, exchange->thing, seq)));
    return buf_str(&out);
}

/* --- lines ---------------------------------------------------------------------------------------------------------
 */

static void pad(struct buf *out, size_t from, size_t to, const char *with)
{
    while (from++ < to)
        buf_add_c(out, with);
}

static struct row *row_add(struct chart *chart, uint64_t seq, int64_t t_ms)
{
    if (chart->n_rows == MAX_ROWS) return NULL;
    struct row *row = &chart->rows[chart->n_rows++];
    *row = (struct row){.seq = seq, .t_ms = t_ms};
    return row;
}

static void line_begin(const struct chart *chart, struct buf *line, int64_t t_ms)
{
    struct str time = when_run_time(chart->arena, t_ms);
    buf_add_c(line, INDENT);
    buf_add(line, time);
    pad(line, time.n, TIME_WIDTH, " ");
}

static struct str line_end(struct buf *line, struct str states, struct str remark)
{
    if (states.n || remark.n) buf_add_c(line, "  ");
    buf_add(line, states);
    if (states.n && remark.n) buf_add_c(line, "  ");
    buf_add(line, remark);
    return buf_str(line);
}

/* A line below a row, in the column of the client. */
static void below(struct buf *out, struct str text)
{
    buf_add_c(out, INDENT);
    pad(out, 0, TIME_WIDTH + 2, " ");
    buf_add(out, text);
    buf_add_char(out, '\n');
}

/* By how much a poll comes before the time that the object's last Retry-After gave. */
static struct str too_early(const struct chart *chart, const struct exchange *poll)
{
    const struct view *view = chart->view;
    if (!poll->post_as_get || !poll->thing) return STR("");
    for (size_t i = view->n_exchanges; i-- > 0;) {
        const struct exchange *earlier = &view->exchanges[i];
        if (earlier->thing != poll->thing || !earlier->response || earlier->response->seq > poll->request->seq)
            continue;
        int64_t left_ms =
            earlier->has_retry_after && earlier->retry_after_legal ? earlier->retry_after_ms - poll->request->t_ms : 0;
        return left_ms >= 50 ? str_fmt(chart->arena, "%.*s too early", STR_ARGS(report_span(chart->arena, left_ms)))
                             : STR("");
    }
    return STR("");
}

static void row_request(struct chart *chart, const struct exchange *exchange)
{
    struct row *row = row_add(chart, exchange->request->seq, exchange->request->t_ms);
    if (!row) return;
    struct buf line = {.arena = chart->arena};
    struct str words = report_clip(chart->arena, request_words(chart, exchange), MAX_LABEL);
    line_begin(chart, &line, row->t_ms);
    buf_add(&line, words);
    buf_add_char(&line, ' ');
    pad(&line, report_width(words) + 1, LANE - 1, "─");
    buf_add_c(&line, "→");
    row->line = line_end(&line, states_at(chart, exchange, row->seq, false), too_early(chart, exchange));
}

static struct str problem_words(struct arena *arena, const char *what, const struct problem *problem)
{
    struct buf out = {.arena = arena};
    buf_fmt(&out, "%s: %.*s", what,
            STR_ARGS(problem->type.n ? report_clean_line(arena, problem->type) : STR("(no type)")));
    if (problem->n_subproblems)
        buf_fmt(&out, ", %zu entr%s", problem->n_subproblems, problem->n_subproblems == 1 ? "y" : "ies");
    if (problem->detail.n)
        buf_fmt(&out, " - %.*s", STR_ARGS(report_clip(arena, report_clean_line(arena, problem->detail), MAX_DETAIL)));
    return buf_str(&out);
}

/* Waits are whole seconds, mostly. */
static struct str wait_words(struct arena *arena, int64_t ms)
{
    return ms % 1000 || ms > 99000 ? report_span(arena, ms) : str_fmt(arena, "%lld s", (long long)ms / 1000);
}

static struct str retry_after_words(const struct chart *chart, const struct exchange *exchange)
{
    struct arena *arena = chart->arena;
    struct str value = headers_get(event_headers(exchange->response), "Retry-After");
    struct str shown = report_clip(arena, report_clean_line(arena, value), MAX_DETAIL);
    if (!exchange->retry_after_legal)
        return str_fmt(arena, "Retry-After: %.*s  (neither seconds nor a date)", STR_ARGS(shown));
    int64_t wait_ms = exchange->retry_after_ms - exchange->response->t_ms;
    if (wait_ms <= 0) return str_fmt(arena, "Retry-After: %.*s  (past)", STR_ARGS(shown));
    struct buf out = {.arena = arena};
    buf_fmt(&out, "Retry-After: %.*s  (= +%.*s", STR_ARGS(shown), STR_ARGS(wait_words(arena, wait_ms)));
    const struct history *history = chart->view->history;
    int64_t speed = history && history->n ? event_int(&history->at[0], F_SPEED) : 1;
    if (speed > 1 && str_is(chart->view->mode, mode_text(MODE_CLIENT)))
        buf_fmt(&out, ", up to %.*s at speed %lld", STR_ARGS(wait_words(arena, wait_ms * speed)), (long long)speed);
    buf_fmt(&out, ", until %.*s)", STR_ARGS(when_run_time(arena, exchange->retry_after_ms)));
    return buf_str(&out);
}

/* The errors inside the objects of a reply. */
static void below_errors(struct arena *arena, struct buf *out, const struct exchange *exchange)
{
    struct str body = event_text(exchange->response, F_BODY);
    struct challenge_doc challenge;
    struct authz_doc authz;
    struct order_doc order;
    switch (exchange->resource) {
    case RESOURCE_CHALLENGE:
        if (challenge_read(arena, body, &challenge) == OK && challenge.has_error)
            below(out, problem_words(arena, "error of the challenge", &challenge.error));
        break;
    case RESOURCE_NEW_AUTHZ:
    case RESOURCE_AUTHZ:
        if (authz_read(arena, body, &authz) != OK) break;
        for (size_t i = 0; i < authz.n_challenges; i++) {
            if (!authz.challenges[i].has_error) continue;
            struct str type = report_clip(arena, report_clean_line(arena, authz.challenges[i].type), 20);
            below(out,
                  problem_words(arena, str_fmt(arena, "error of %.*s", STR_ARGS(type)).at, &authz.challenges[i].error));
        }
        break;
    case RESOURCE_ORDER:
    case RESOURCE_NEW_ORDER:
    case RESOURCE_FINALIZE:
        if (order_read(arena, body, &order) == OK && order.has_error)
            below(out, problem_words(arena, "error of the order", &order.error));
        break;
    default: break;
    }
}

static const struct event *fault_on(const struct history *history, const struct event *response)
{
    for (const struct event *event = response; event-- > history->at;) {
        if (event->kind == FAULT_APPLIED && event->flow == response->flow) return event;
        if (event->flow == response->flow && event->kind == WIRE_REQUEST) return NULL;
    }
    return NULL;
}

static struct str reply_words(const struct chart *chart, const struct exchange *exchange)
{
    struct arena *arena = chart->arena;
    const struct event *response = exchange->response;
    struct str delivery = event_text(response, F_DELIVERY);
    struct buf out = {.arena = arena};
    if (exchange->status) buf_fmt(&out, "%d", exchange->status);
    if (exchange->has_problem && exchange->problem.type.n)
        buf_fmt(&out, " %.*s", STR_ARGS(report_clean_line(arena, exchange->problem.type)));
    else if (exchange->thing && exchange->status >= 200 && exchange->status < 300 &&
             exchange->resource != RESOURCE_CERTIFICATE)
        for (size_t i = 0; i < chart->view->n_facts; i++) {
            const struct fact *fact = &chart->view->facts[i];
            bool reports = fact->deed == DEED_REPORTS_CHALLENGE || fact->deed == DEED_REPORTS_AUTHZ ||
                           fact->deed == DEED_REPORTS_ORDER || fact->deed == DEED_REPORTS_ACCOUNT;
            if (fact->exchange != exchange || !reports) continue;
            buf_fmt(&out, " %s", status_text(status_at(chart->view, exchange->thing, response->seq)));
            break;
        }
    if (delivery.n) buf_fmt(&out, "%s%.*s", out.n ? ", " : "", STR_ARGS(report_clean_line(arena, delivery)));
    return out.n ? buf_str(&out) : STR("no reply");
}

static void row_response(struct chart *chart, const struct exchange *exchange)
{
    struct arena *arena = chart->arena;
    const struct event *response = exchange->response;
    struct row *row = row_add(chart, response->seq, response->t_ms);
    if (!row) return;
    struct buf line = {.arena = arena}, more = {.arena = arena};
    struct str words = report_clip(arena, reply_words(chart, exchange), MAX_LABEL);
    line_begin(chart, &line, row->t_ms);
    buf_add_c(&line, "←");
    pad(&line, 1, LANE - 1 - report_width(words), "─");
    buf_add_char(&line, ' ');
    buf_add(&line, words);
    row->line = line_end(&line, states_at(chart, exchange, row->seq, true), STR(""));
    const struct event *fault = fault_on(chart->view->history, response);
    if (fault)
        below(&more, str_fmt(arena, "(fault: %.*s)", STR_ARGS(report_clean_line(arena, event_text(fault, F_NAME)))));
    if (exchange->has_retry_after) below(&more, retry_after_words(chart, exchange));
    if (exchange->has_problem) below(&more, problem_words(arena, "problem", &exchange->problem));
    else below_errors(arena, &more, exchange);
    row->below = buf_str(&more);
}

static void row_query(struct chart *chart, const struct fact *query)
{
    struct arena *arena = chart->arena;
    const struct event *event = report_event(chart->view->history, query->seq);
    struct row *row = row_add(chart, query->seq, query->t_ms);
    bool good;
    if (!row) return;
    struct buf line = {.arena = arena};
    line_begin(chart, &line, row->t_ms);
    pad(&line, 0, LANE, " ");
    buf_fmt(&line, "  → validates %s%.*s", query->thing ? thing_kind(query->thing) : "challenge",
            STR_ARGS(name_of(chart, query->thing, " for ")));
    if (event) buf_fmt(&line, ": %.*s", STR_ARGS(report_answer(arena, chart->view, event, &good)));
    row->line = buf_str(&line);
}

/* A record that is neither: the client's end, the end of the run, what the finding is about. */
static void row_event(struct chart *chart, const struct event *event)
{
    struct arena *arena = chart->arena;
    struct row *row = row_add(chart, event->seq, event->t_ms);
    if (!row) return;
    struct buf line = {.arena = arena};
    struct str text = report_clip(arena, report_clean_line(arena, event_text(event, F_TEXT)), MAX_DETAIL);
    line_begin(chart, &line, row->t_ms);
    if (event->kind == WIRE_EXIT && event_int(event, F_SUCCESS))
        buf_add_c(&line, "the client ends: it says that it has a certificate");
    else if (event->kind == WIRE_EXIT) buf_add_c(&line, "the client gives up");
    else if (event->kind == RUN_END) buf_add_c(&line, "the run ends");
    else buf_fmt(&line, "(%s)", event_kind_text(event->kind));
    const enum field_key shown[] = {F_NAME, F_OBJECT, F_WAS, F_NOW, F_FAILURE};
    for (size_t i = 0; i < COUNTOF(shown) && event->kind != WIRE_EXIT && event->kind != RUN_END; i++) {
        struct str value = report_clip(arena, report_clean_line(arena, event_text(event, shown[i])), MAX_LABEL);
        if (value.n) buf_fmt(&line, " %s %.*s", field_key_text(shown[i]), STR_ARGS(value));
    }
    if (text.n) buf_fmt(&line, ": %.*s", STR_ARGS(text));
    row->line = buf_str(&line);
}

/* --- the excerpt ---------------------------------------------------------------------------------------------------
 */

static bool item_has(const struct view *view, const struct item *item, uint64_t seq)
{
    if (item->seq == seq) return true;
    if (item->exchange) return item->exchange->response && item->exchange->response->seq == seq;
    const struct event *query = report_event(view->history, item->seq);
    const struct event *answer = query ? answer_to(view->history, query) : NULL;
    return answer && answer->seq == seq;
}

static int by_seq(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

/* All exchanges and validation queries. */
static struct item *items_of(struct arena *arena, const struct view *view, size_t *ret_n)
{
    size_t n = 0;
    struct item *items = ARENA_ARRAY(arena, struct item, view->n_exchanges + view->n_facts + 1);
    for (size_t i = 0; i < view->n_exchanges; i++)
        if (view->exchanges[i].request)
            items[n++] = (struct item){.seq = view->exchanges[i].request->seq, .exchange = &view->exchanges[i]};
    for (size_t i = 0; i < view->n_facts; i++)
        if (view->facts[i].deed == DEED_VALIDATES)
            items[n++] = (struct item){.seq = view->facts[i].seq, .query = &view->facts[i]};
    qsort(items, n, sizeof *items, by_seq);
    *ret_n = n;
    return items;
}

/* How it ended belongs into every excerpt. */
static void rows_of_ends(struct chart *chart)
{
    const struct history *history = chart->view->history;
    for (size_t i = 0; history && i < history->n; i++) {
        const struct event *event = &history->at[i];
        bool early_end = event->kind == RUN_END && !str_is(event_text(event, F_TEXT), "finished");
        if (event->kind == WIRE_EXIT || early_end) row_event(chart, event);
    }
}

static void rows_of_items(struct chart *chart, const struct item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct exchange *exchange = items[i].exchange;
        if (exchange) {
            row_request(chart, exchange);
            if (exchange->response) row_response(chart, exchange);
            continue;
        }
        /* The answer stands in the same line, and so does its mark. */
        if (chart->marked && item_has(chart->view, &items[i], chart->marked)) chart->marked = items[i].seq;
        row_query(chart, items[i].query);
    }
}

static int row_order(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static bool has_row(const struct chart *chart, uint64_t seq)
{
    for (size_t i = 0; i < chart->n_rows; i++)
        if (chart->rows[i].seq == seq) return true;
    return false;
}

static void left_out(struct buf *out, size_t n)
{
    if (n) buf_fmt(out, INDENT "... %zu exchange%s ...\n", n, n == 1 ? "" : "s");
}

static struct str chart_text(const struct chart *chart, size_t before, size_t after, uint64_t last_seq)
{
    struct buf out = {.arena = chart->arena};
    bool gap = after > 0;
    buf_add_c(&out, INDENT "time      client");
    pad(&out, 6, LANE - 2, " ");
    buf_add_c(&out, "CA  order, authz, challenge\n");
    left_out(&out, before);
    for (size_t i = 0; i < chart->n_rows; i++) {
        const struct row *row = &chart->rows[i];
        if (gap && row->seq >= last_seq) {
            left_out(&out, after);
            gap = false;
        }
        buf_add(&out, row->line);
        if (chart->marked && row->seq == chart->marked) buf_add_c(&out, "  <== here");
        buf_add_char(&out, '\n');
        buf_add(&out, row->below);
    }
    if (gap) left_out(&out, after);
    return buf_str(&out);
}

struct str report_chart(struct arena *arena, const struct view *view, uint64_t seq)
{
    struct chart *chart = ARENA_NEW(arena, struct chart);
    size_t n, at = 0;
    const struct item *items = items_of(arena, view, &n);
    *chart = (struct chart){.arena = arena, .view = view, .marked = seq, .several_names = names_differ(view)};
    /* The one to blame, or the first one after the record that is. */
    while (at < n && seq && !item_has(view, &items[at], seq) && items[at].seq < seq)
        at++;
    if (at == n || !seq) at = n ? n - 1 : 0;
    size_t first = at > BEFORE - 1 ? at - (BEFORE - 1) : 0;
    if (n - first < REPORT_MAX_EXCHANGES) first = n > REPORT_MAX_EXCHANGES ? n - REPORT_MAX_EXCHANGES : 0;
    size_t end = n - first > REPORT_MAX_EXCHANGES ? first + REPORT_MAX_EXCHANGES : n;
    rows_of_items(chart, items + first, end - first);
    rows_of_ends(chart);
    const struct event *other =
        chart->marked && !has_row(chart, chart->marked) ? report_event(view->history, seq) : NULL;
    if (other) row_event(chart, other);
    if (!chart->n_rows) return STR("");
    qsort(chart->rows, chart->n_rows, sizeof *chart->rows, row_order);
    return chart_text(chart, first, n - end, end < n ? items[end].seq : 0);
}

bool report_challenge_error(struct arena *arena, const struct view *view, const struct thing *challenge,
                            struct problem *ret)
{
    bool found = false;
    for (size_t i = 0; i < view->n_exchanges; i++) {
        const struct exchange *exchange = &view->exchanges[i];
        struct challenge_doc doc;
        struct authz_doc authz;
        if (!exchange->response || !exchange->thing) continue;
        struct str body = event_text(exchange->response, F_BODY);
        if (exchange->resource == RESOURCE_CHALLENGE && exchange->thing == challenge &&
            challenge_read(arena, body, &doc) == OK && doc.has_error) {
            *ret = doc.error;
            found = true;
        }
        if (exchange->resource != RESOURCE_AUTHZ || exchange->thing != challenge->parent ||
            authz_read(arena, body, &authz) != OK)
            continue;
        for (size_t k = 0; k < authz.n_challenges; k++)
            if (authz.challenges[k].has_error && str_eq(authz.challenges[k].url, challenge->url)) {
                *ret = authz.challenges[k].error;
                found = true;
            }
    }
    return found;
}
