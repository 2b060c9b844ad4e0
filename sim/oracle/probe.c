/* One row of a probe, read from its history. */
#include "oracle/probe.h"

#include "acme/address.h"

#include <string.h>

enum {
    SAME_QUERY_MS = 1000, /* as in the view: the parallel fetches of one query */
    EARLY_MS = 300,       /* clocks and messages are not that exact */
    PAST_MS = 2500        /* a Retry-After so far past a query means that query */
};

struct fold {
    struct arena *arena;
    const struct view *view;
    const struct history *history;
    struct probe_measure *m;
    enum challenge_type type, other;
    int64_t start_ms, end_ms; /* t of the response, and of the end of the watch */
    struct str place, proof, name;
    struct str url, peer, served; /* of the last fetch */
    struct probe_wait waits[64];  /* of the challenge while open */
    size_t n_waits;
};

/* --- what went over the wire about validation --- */

static bool is_fetch(const struct fold *fold, const struct event *event)
{
    struct url url;
    switch (event->kind) {
    case WIRE_REQUEST:
        return fold->type == CHALLENGE_HTTP_01 && !str_is(event_text(event, F_FROM), "client") &&
               url_parse(event_text(event, F_URL), &url) == OK && str_eq(url.path, fold->place);
    case WIRE_DNS_QUERY:
        return fold->type == CHALLENGE_DNS_01 && str_is(event_text(event, F_TYPE), dns_type_text(DNS_TXT)) &&
               str_is_nocase(event_text(event, F_NAME), fold->place.at);
    case WIRE_TLS_HELLO:
        return fold->type == CHALLENGE_TLS_ALPN_01 && str_is_nocase(event_text(event, F_NAME), fold->place.at);
    default: return false;
    }
}

/* A fetch of the page where our redirect leads: it has the token, and not the place. */
static bool is_followed(const struct fold *fold, const struct event *event)
{
    struct str url = event_text(event, F_URL), token = fold->place;
    if (event->kind != WIRE_REQUEST || fold->type != CHALLENGE_HTTP_01 || str_is(event_text(event, F_FROM), "client"))
        return false;
    ptrdiff_t slash = str_find(token, "challenge/");
    return slash >= 0 && str_find(url, "/elsewhere/") >= 0 && str_find(url, token.at + slash + 10) >= 0;
}

static void note_fetch(struct fold *fold, const struct event *event)
{
    struct probe_measure *m = fold->m;
    int64_t t_ms = event->t_ms - fold->start_ms;
    struct probe_query *last = m->n_queries ? &m->queries[m->n_queries - 1] : NULL;
    fold->url = event->kind == WIRE_REQUEST ? event_text(event, F_URL) : (struct str){0};
    if (last && t_ms - last->t_ms < SAME_QUERY_MS) {
        last->fetches++;
        return;
    }
    if (m->n_queries == PROBE_MAX_QUERIES) return;
    m->queries[m->n_queries++] = (struct probe_query){.t_ms = t_ms, .fetches = 1, .cause = PROBE_BY_SERVER};
}

static void read_fetches(struct fold *fold)
{
    for (size_t i = 0; i < fold->history->n; i++) {
        const struct event *event = &fold->history->at[i];
        if (event->t_ms < fold->start_ms) continue;
        if (is_fetch(fold, event)) note_fetch(fold, event);
        if (is_followed(fold, event)) fold->m->followed = true;
    }
}

/* The first proof of that type that our client put there. */
static void read_place(struct fold *fold)
{
    for (size_t i = 0; i < fold->history->n; i++) {
        const struct event *event = &fold->history->at[i];
        if (event->kind != WIRE_PROVISION || !str_is(event_text(event, F_TYPE), challenge_row(fold->type)->name))
            continue;
        fold->place = str_copy(fold->arena, event_text(event, F_PLACE));
        fold->proof = event_text(event, F_PROOF);
        fold->name = event_text(event, F_NAME);
        return;
    }
}

/* --- what the server's replies showed --- */

static bool is_challenge(const struct exchange *exchange, enum challenge_type type)
{
    return exchange->resource == RESOURCE_CHALLENGE && exchange->thing && exchange->thing->challenge_known &&
           exchange->thing->type == type && exchange->is_jws;
}

/* A response to the challenge; one that was only refused for its nonce is sent again. */
static bool is_response(const struct exchange *exchange, enum challenge_type type)
{
    return is_challenge(exchange, type) && !exchange->post_as_get && !str_is(exchange->problem.type, "badNonce");
}

static struct str reply_body(const struct exchange *exchange)
{
    return exchange->response ? event_text(exchange->response, F_BODY) : (struct str){0};
}

static int64_t reply_ms(const struct fold *fold, const struct exchange *exchange)
{
    return exchange->response->t_ms - fold->start_ms;
}

static struct probe_wait wait_of(const struct fold *fold, const struct exchange *exchange)
{
    struct probe_wait wait = {.t_ms = reply_ms(fold, exchange)};
    if (!exchange->has_retry_after) return wait;
    wait.text = str_copy(fold->arena, headers_get(event_headers(exchange->response), "Retry-After"));
    wait.form = !exchange->retry_after_legal    ? PROBE_WAIT_ODD
                : exchange->retry_after_is_date ? PROBE_WAIT_DATE
                                                : PROBE_WAIT_SECONDS;
    if (exchange->retry_after_legal) wait.until_ms = exchange->retry_after_ms - fold->start_ms;
    return wait;
}

static void note_shown(struct fold *fold, enum object object, enum status status, int64_t t_ms)
{
    struct probe_measure *m = fold->m;
    enum status *now = object == OBJECT_CHALLENGE ? &m->challenge : object == OBJECT_AUTHZ ? &m->authz : &m->order;
    if (status == STATUS_NONE) return;
    *now = status;
    for (size_t i = m->n_shown; i-- > 0;) {
        if (m->shown[i].object != object) continue;
        if (m->shown[i].status != status) break;
        m->shown[i].last_ms = t_ms;
        return;
    }
    if (m->n_shown == PROBE_MAX_SHOWN) return;
    m->shown[m->n_shown++] = (struct probe_shown){.t_ms = t_ms, .last_ms = t_ms, .object = object, .status = status};
}

static void note_challenge(struct fold *fold, const struct exchange *exchange, const struct challenge_doc *doc)
{
    struct probe_measure *m = fold->m;
    int64_t t_ms = reply_ms(fold, exchange);
    enum status status = status_read(doc->status);
    bool open = status == STATUS_PENDING || status == STATUS_PROCESSING;
    note_shown(fold, OBJECT_CHALLENGE, status, t_ms);
    m->processing = m->processing || status == STATUS_PROCESSING;
    if (doc->has_error) {
        m->has_error = true;
        m->error = doc->error;
        if (m->failed_ms < 0) m->failed_ms = t_ms;
        if (open) {
            m->error_open = true;
            if (doc->error.n_subproblems > m->n_subproblems) m->n_subproblems = doc->error.n_subproblems;
        }
    } else if (m->failed_ms < 0) {
        m->not_failed_ms = t_ms;
    }
    if (!open || exchange->resource != RESOURCE_CHALLENGE) return;
    struct probe_wait wait = wait_of(fold, exchange), *kept = doc->has_error ? &m->wait_after : &m->wait_before;
    m->saw_challenge = true;
    if (!wait.form) return;
    if (!kept->form) *kept = wait;
    if (fold->n_waits < COUNTOF(fold->waits)) fold->waits[fold->n_waits++] = wait;
}

static void note_authz(struct fold *fold, const struct exchange *exchange)
{
    struct probe_measure *m = fold->m;
    struct authz_doc doc;
    if (authz_read(fold->arena, reply_body(exchange), &doc) != OK) return;
    enum status status = status_read(doc.status);
    note_shown(fold, OBJECT_AUTHZ, status, reply_ms(fold, exchange));
    if (status == STATUS_INVALID) m->n_listed_lost = doc.n_challenges;
    for (size_t i = 0; i < doc.n_challenges; i++) {
        if (!str_is(doc.challenges[i].type, challenge_row(fold->type)->name)) continue;
        note_challenge(fold, exchange, &doc.challenges[i]);
        bool open = m->challenge == STATUS_PENDING || m->challenge == STATUS_PROCESSING;
        struct probe_wait wait = wait_of(fold, exchange);
        if (status != STATUS_PENDING || !open) continue;
        m->saw_authz = true;
        if (!m->wait_authz.form) m->wait_authz = wait;
    }
}

static void note_order(struct fold *fold, const struct exchange *exchange)
{
    struct probe_measure *m = fold->m;
    struct order_doc doc;
    if (order_read(fold->arena, reply_body(exchange), &doc) != OK) return;
    enum status status = status_read(doc.status);
    if (exchange->resource == RESOURCE_FINALIZE) m->finalized_ms = reply_ms(fold, exchange);
    if (exchange->resource == RESOURCE_FINALIZE) m->finalized = true;
    if (!m->finalized) note_shown(fold, OBJECT_ORDER, status, reply_ms(fold, exchange));
    if (status == STATUS_INVALID && doc.has_error) m->order_error = true;
    if (m->finalized && status == STATUS_VALID && m->issued_ms < 0) m->issued_ms = reply_ms(fold, exchange);
    if (m->finalized && status != STATUS_VALID && m->issued_ms < 0) m->not_issued_ms = reply_ms(fold, exchange);
    if (status == STATUS_PROCESSING) m->saw_order = true;
    if (status == STATUS_PROCESSING && !m->wait_order.form) m->wait_order = wait_of(fold, exchange);
}

static bool succeeded(const struct exchange *exchange)
{
    return exchange->response && exchange->status >= 200 && exchange->status < 300;
}

static void read_watch(struct fold *fold)
{
    for (size_t i = 0; i < fold->view->n_exchanges; i++) {
        const struct exchange *exchange = &fold->view->exchanges[i];
        struct challenge_doc doc;
        if (!succeeded(exchange) || exchange->request->t_ms < fold->start_ms) continue;
        bool late = exchange->request->t_ms >= fold->end_ms;
        if (exchange->resource == RESOURCE_ORDER || exchange->resource == RESOURCE_FINALIZE) {
            if (!late || fold->m->row->kind == PROBE_GOOD) note_order(fold, exchange);
        } else if (late) {
            continue;
        } else if (exchange->resource == RESOURCE_AUTHZ) {
            note_authz(fold, exchange);
        } else if (is_challenge(exchange, fold->type) &&
                   challenge_read(fold->arena, reply_body(exchange), &doc) == OK) {
            note_challenge(fold, exchange, &doc);
        }
    }
}

/* --- responses --- */

static void read_reply(const struct fold *fold, const struct exchange *exchange, struct probe_reply *ret)
{
    struct challenge_doc doc;
    *ret = (struct probe_reply){.sent = true, .t_ms = exchange->request->t_ms - fold->start_ms};
    if (!exchange->response) return;
    ret->status = exchange->status;
    if (exchange->has_problem)
        ret->type = exchange->problem.type.n ? str_copy(fold->arena, exchange->problem.type) : STR("about:blank");
    if (exchange->has_retry_after && exchange->retry_after_legal)
        ret->wait_ms = exchange->retry_after_ms - exchange->response->t_ms;
    if (succeeded(exchange) && challenge_read(fold->arena, reply_body(exchange), &doc) == OK)
        ret->shows = status_read(doc.status), ret->has_error = doc.has_error;
}

static void read_responses(struct fold *fold)
{
    size_t n = 0, n_others = 0;
    for (size_t i = 0; i < fold->view->n_exchanges; i++) {
        const struct exchange *exchange = &fold->view->exchanges[i];
        if (is_response(exchange, fold->type)) {
            if (n == 0) read_reply(fold, exchange, &fold->m->first);
            else if (n <= PROBE_MAX_AGAIN) read_reply(fold, exchange, &fold->m->again[n - 1]);
            n++;
        } else if (is_response(exchange, fold->other) && n_others++ == 0) {
            read_reply(fold, exchange, &fold->m->other);
        }
    }
}

static void read_sibling(struct fold *fold)
{
    struct authz_doc doc;
    struct order_doc order;
    for (size_t i = 0; i < fold->view->n_exchanges; i++) {
        const struct exchange *exchange = &fold->view->exchanges[i];
        int64_t t_ms = exchange->request->t_ms - fold->start_ms;
        if (!exchange->response && exchange->resource == RESOURCE_AUTHZ && fold->m->other.sent &&
            t_ms > fold->m->other.t_ms && i + 1 < fold->view->n_exchanges)
            fold->m->silent = true;
        if (!succeeded(exchange)) continue;
        if (exchange->resource == RESOURCE_ORDER && order_read(fold->arena, reply_body(exchange), &order) == OK)
            fold->m->order_after = status_read(order.status);
        if (exchange->resource != RESOURCE_AUTHZ || authz_read(fold->arena, reply_body(exchange), &doc) != OK) continue;
        fold->m->authz_after = status_read(doc.status);
        if (fold->m->authz_after == STATUS_PENDING && doc.n_challenges > fold->m->n_listed)
            fold->m->n_listed = doc.n_challenges;
        for (size_t k = 0; k < doc.n_challenges; k++)
            if (str_is(doc.challenges[k].type, challenge_row(fold->other)->name))
                fold->m->other_status = status_read(doc.challenges[k].status);
    }
}

/* --- causes --- */

/* The request to the challenge that a query may be the answer to: sent less than a second before. */
static enum probe_cause cause_of(const struct fold *fold, size_t k)
{
    const struct probe_query *query = &fold->m->queries[k];
    int64_t before_ms = k ? fold->m->queries[k - 1].t_ms : -1;
    enum probe_cause cause = k ? PROBE_BY_SERVER : PROBE_BY_RESPONSE;
    for (size_t i = 0; i < fold->view->n_exchanges; i++) {
        const struct exchange *exchange = &fold->view->exchanges[i];
        int64_t t_ms = exchange->request->t_ms - fold->start_ms;
        if (!is_challenge(exchange, fold->type) || t_ms > query->t_ms || t_ms <= before_ms) continue;
        if (query->t_ms - t_ms < SAME_QUERY_MS) cause = exchange->post_as_get ? PROBE_BY_LOOK : PROBE_BY_RESPONSE;
    }
    return cause;
}

static void read_causes(struct fold *fold)
{
    struct probe_measure *m = fold->m;
    for (size_t k = 0; k < m->n_queries; k++) {
        struct probe_query *query = &m->queries[k];
        query->cause = cause_of(fold, k);
        for (int i = 0; i < PROBE_MAX_AGAIN; i++) {
            struct probe_reply *again = &m->again[i];
            if (again->sent && query->t_ms >= again->t_ms && query->t_ms < again->t_ms + SAME_QUERY_MS)
                again->queries++;
        }
        if (query->t_ms < m->watched_ms && (k == 0 || query->cause == PROBE_BY_SERVER)) m->own++;
    }
}

/* --- Retry-After: does it mean the next query, or the end of the one under way? --- */

static bool means_next(const struct fold *fold, const struct probe_wait *wait, bool *ret_known)
{
    const struct probe_measure *m = fold->m;
    int64_t from_ms = -1, to_ms = -1;
    for (size_t k = 0; k < m->n_queries && from_ms < 0; k++)
        if (m->queries[k].t_ms > wait->t_ms && m->queries[k].cause == PROBE_BY_SERVER)
            from_ms = to_ms = m->queries[k].t_ms;
    if (from_ms < 0 && m->failed_ms > wait->t_ms) {
        from_ms = m->not_failed_ms;
        to_ms = m->failed_ms;
    }
    *ret_known = from_ms >= 0 && wait->form != PROBE_WAIT_ODD;
    return *ret_known && wait->until_ms >= from_ms - EARLY_MS && wait->until_ms <= to_ms + PAST_MS;
}

static void read_waits(struct fold *fold)
{
    for (size_t i = 0; i < fold->n_waits; i++) {
        bool known, next = means_next(fold, &fold->waits[i], &known);
        if (known && next) fold->m->waits_next++;
        if (known && !next) fold->m->waits_fixed++;
    }
}

/* --- the text of the error, with places for what belongs to this row --- */

struct place_word {
    const char *word;
    struct str value;
};

static struct str replace_all(struct arena *arena, struct str text, struct str value, const char *word)
{
    struct buf buf = {.arena = arena};
    size_t i = 0;
    if (!value.n) return text;
    while (i < text.n) {
        if (i + value.n <= text.n && memcmp(text.at + i, value.at, value.n) == 0) {
            buf_add_c(&buf, word);
            i += value.n;
        } else {
            buf_add_char(&buf, text.at[i++]);
        }
    }
    return buf_str(&buf);
}

/* Braces that were there before are none of ours. */
static struct str without_braces(struct arena *arena, struct str text)
{
    char *at = arena_copy(arena, text.at, text.n);
    for (size_t i = 0; i < text.n; i++)
        if (at[i] == '{' || at[i] == '}') at[i] = at[i] == '{' ? '(' : ')';
    return (struct str){at, text.n};
}

static struct str served_body(const struct fold *fold)
{
    struct str body = {0};
    uint64_t flow = 0;
    for (size_t i = 0; i < fold->history->n; i++) {
        const struct event *event = &fold->history->at[i];
        const struct field *records = event_field(event, F_RECORDS);
        if (is_fetch(fold, event)) flow = event->flow;
        if (!flow || event->flow != flow) continue;
        if (event->kind == WIRE_RESPONSE) body = str_trim(event_text(event, F_BODY));
        if (event->kind == WIRE_DNS_ANSWER && records && records->n_list) body = records->list[0];
    }
    return body;
}

/* Of a query that nobody saw the URL stands in the error itself, if anywhere. */
static struct str url_said(const struct fold *fold, struct str detail)
{
    static const char scheme[] = "http://";
    ptrdiff_t place = fold->type == CHALLENGE_HTTP_01 ? str_find(detail, fold->place.at) : -1;
    for (ptrdiff_t at = place; at >= 0; at--)
        if (str_starts((struct str){detail.at + at, detail.n - (size_t)at}, scheme))
            return (struct str){detail.at + at, (size_t)(place - at) + fold->place.n};
    return (struct str){0};
}

static void read_pattern(struct fold *fold)
{
    struct probe_measure *m = fold->m;
    struct url url = {0};
    if (!fold->url.n && m->has_error) fold->url = url_said(fold, m->error.detail);
    bool has_url = fold->url.n && url_parse(fold->url, &url) == OK;
    bool dns = fold->type == CHALLENGE_DNS_01;
    struct str peer = has_url ? str_fmt(fold->arena, "127.0.0.1:%d", url.port) : (struct str){0};
    struct str named_peer = has_url ? str_fmt(fold->arena, "%.*s:%d", STR_ARGS(fold->name), url.port) : (struct str){0};
    struct str proof = fold->type == CHALLENGE_TLS_ALPN_01 ? (struct str){0} : fold->proof;
    bool by_status = m->row->failure && strcmp(m->row->failure, "bad-status") == 0;
    struct str status = by_status ? str_c(m->row->answer) : (struct str){0};
    if (!m->has_error) return;
    const struct place_word words[] = {
        {"{url}",      fold->url                          },
        {"{expected}", proof                              },
        {"{got}",      served_body(fold)                  },
        {"{place}",    dns ? fold->place : (struct str){0}},
        {"{peer}",     named_peer                         },
        {"{name}",     fold->name                         },
        {"{peer}",     peer                               },
        {"{address}",  STR("127.0.0.1")                   },
        {"{status}",   status                             },
    };
    struct str text = without_braces(fold->arena, m->error.detail);
    for (size_t i = 0; i < COUNTOF(words); i++)
        text = replace_all(fold->arena, text, words[i].value, words[i].word);
    m->pattern = text.n > 900 ? (struct str){text.at, 900} : text;
}

/* --- the row --- */

static struct str refusal(const struct fold *fold)
{
    for (size_t i = fold->view->n_exchanges; i-- > 0;) {
        const struct exchange *exchange = &fold->view->exchanges[i];
        if (!exchange->response) return STR("no answer from the server");
        if (exchange->status == 0) return STR("no usable answer from the server");
        if (exchange->status < 400 || str_is(exchange->problem.type, "badNonce")) continue;
        return str_fmt(fold->arena, "the server refuses with %d %.*s", exchange->status,
                       STR_ARGS(exchange->problem.type));
    }
    return STR("the server says nothing that we understand");
}

static struct str gap_of(const struct fold *fold)
{
    const struct probe_measure *m = fold->m;
    const char *name = challenge_row(fold->type)->name;
    for (size_t i = 0; !fold->place.n && i < fold->view->n_things; i++)
        if (fold->view->things[i]->object == OBJECT_CHALLENGE) return str_fmt(fold->arena, "%s is not offered", name);
    if (!m->first.sent) return refusal(fold);
    if (m->first.status >= 400)
        return str_fmt(fold->arena, "the response is refused with %d %.*s", m->first.status, STR_ARGS(m->first.type));
    if (!m->n_shown) return refusal(fold);
    bool final = m->challenge == STATUS_INVALID || m->has_error;
    if (final && !m->n_queries && !m->unseen) return str_fmt(fold->arena, "no query for %s has reached us", name);
    return (struct str){0};
}

/* PROBE_ALL: what became of the authorization as its challenges failed. */
static void read_all(struct fold *fold)
{
    struct probe_measure *m = fold->m;
    struct authz_doc doc;
    m->all_failed = true;
    for (size_t i = 0; i < fold->view->n_exchanges; i++) {
        const struct exchange *exchange = &fold->view->exchanges[i];
        size_t lost = 0;
        if (!succeeded(exchange) || exchange->resource != RESOURCE_AUTHZ ||
            authz_read(fold->arena, reply_body(exchange), &doc) != OK)
            continue;
        for (size_t k = 0; k < doc.n_challenges; k++)
            lost += str_is(doc.challenges[k].status, status_text(STATUS_INVALID));
        m->all_failed = lost > 0 && lost == doc.n_challenges && doc.n_challenges >= m->n_listed;
        if (lost && str_is(doc.status, status_text(STATUS_PENDING))) m->open_after_first = true;
        m->authz_after = status_read(doc.status);
        if (doc.n_challenges > m->n_listed) m->n_listed = doc.n_challenges;
    }
}

void probe_measure(struct arena *arena, const struct probe_row *row, const struct history *history,
                   struct probe_measure *ret)
{
    struct view view;
    view_read(&view, history);
    struct fold fold = {.arena = arena,
                        .view = &view,
                        .history = history,
                        .m = ret,
                        .type = row->type,
                        .other = probe_sibling(row),
                        .end_ms = INT64_MAX};
    *ret = (struct probe_measure){.row = row, .failed_ms = -1, .not_failed_ms = 0, .issued_ms = -1, .not_issued_ms = 0};
    ret->unseen = strcmp(row->answer, "refused") == 0;
    for (size_t i = 0, n = 0; i < view.n_exchanges; i++) {
        if (!is_response(&view.exchanges[i], row->type)) continue;
        if (n++ == 0) fold.start_ms = view.exchanges[i].request->t_ms;
        else if (fold.end_ms == INT64_MAX) fold.end_ms = view.exchanges[i].request->t_ms;
    }
    ret->watched_ms = (fold.end_ms == INT64_MAX ? view.end_ms : fold.end_ms) - fold.start_ms;
    if (row->kind == PROBE_AGAIN) fold.end_ms = INT64_MAX;
    read_place(&fold);
    read_responses(&fold);
    if (ret->first.sent && fold.place.n) {
        read_fetches(&fold);
        read_causes(&fold);
        read_watch(&fold);
        read_sibling(&fold);
        read_waits(&fold);
        read_pattern(&fold);
    }
    if (row->kind == PROBE_ALL) read_all(&fold);
    bool told = ret->first.shows == STATUS_VALID || ret->first.shows == STATUS_INVALID || ret->first.has_error;
    ret->inside_post = ret->n_queries > 0 && told;
    ret->gap = gap_of(&fold);
    view_done(&view);
}

const struct probe_measure *probe_find(const struct probing *probe, enum challenge_type type, const char *name)
{
    for (size_t i = 0; i < probe->n_rows; i++)
        if (probe->rows[i].row->type == type && strcmp(probe->rows[i].row->name, name) == 0) return &probe->rows[i];
    return NULL;
}
