/* Rules about how a server answers: with problem documents (RFC 8555 section 6.7), with a Retry-After that can be read
 * (RFC 9110 section 10.2.3), and at all. */
#include "oracle/check.h"

#include "base/when.h"

/* --- problem-form --- */

/* Where a problem document was found. */
struct site {
    struct tally *tally;
    const struct exchange *exchange;
    const char *what; /* "the reply", "the error of the order" */
};

static void slip_problem(const struct site *site, const char *clause, enum level level, struct str what,
                         struct str expected)
{
    struct tally *tally = site->tally;
    tally_slip(tally, (struct slip){.clause = clause,
                                    .level = level,
                                    .party = PARTY_CA,
                                    .event = site->exchange->response,
                                    .where = check_where(tally->arena, site->exchange),
                                    .what = str_fmt(tally->arena, "%s %.*s", site->what, STR_ARGS(what)),
                                    .expected = expected});
}

/* "scheme:" at least (RFC 3986 section 3). */
static bool looks_like_uri(struct str text)
{
    struct str scheme, rest;
    if (!str_cut(text, ':', &scheme, &rest) || !scheme.n) return false;
    for (size_t i = 0; i < scheme.n; i++) {
        char c = scheme.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.'))) return false;
    }
    return true;
}

/* Section 6.7: other URIs may be used, but in the namespace of ACME only what is registered. */
static void judge_type(const struct site *site, const json_t *problem)
{
    struct arena *arena = site->tally->arena;
    const json_t *member = json_object_get(problem, "type");
    struct str type = check_text(member), word = type;
    if (!type.n) {
        slip_problem(site, "rfc8555#6.7-problem-form", LEVEL_SHOULD,
                     member ? STR("has a \"type\" that is no text") : STR("has no \"type\""),
                     STR("a type that a program can act on, such as " PROBLEM_PREFIX "malformed"));
    } else if (str_starts(type, PROBLEM_PREFIX)) {
        word.at += sizeof PROBLEM_PREFIX - 1;
        word.n -= sizeof PROBLEM_PREFIX - 1;
        if (!problem_registered(word))
            slip_problem(site, "rfc8555#6.7-registered-types", LEVEL_MUST,
                         str_fmt(arena, "has the type \"%.*s\", which is not registered", STR_ARGS(word)),
                         STR("a type of the IANA registry \"ACME Error Types\", or a URI of another namespace"));
    } else if (!looks_like_uri(type)) {
        slip_problem(site, "rfc8555#6.7-problem-form", LEVEL_SHOULD,
                     str_fmt(arena, "has the type \"%.*s\", which is no URI", STR_ARGS(type)),
                     problem_registered(type) ? str_fmt(arena, "\"" PROBLEM_PREFIX "%.*s\"", STR_ARGS(type))
                                              : STR("a URI"));
    }
}

/* RFC 7807 section 3.1: the number of the reply. In an object's error there is no reply of its own to agree with. */
static void judge_status(const struct site *site, const json_t *problem, int status)
{
    const json_t *member = json_object_get(problem, "status");
    struct arena *arena = site->tally->arena;
    if (!member) return;
    if (!json_is_integer(member))
        slip_problem(site, "rfc8555#6.7-status-agrees", LEVEL_MUST, STR("has a \"status\" that is no whole number"),
                     STR("\"status\": the HTTP status code"));
    else if (status && json_integer_value(member) != status)
        slip_problem(
            site, "rfc8555#6.7-status-agrees", LEVEL_MUST,
            str_fmt(arena, "says \"status\": %lld with HTTP status %d", (long long)json_integer_value(member), status),
            str_fmt(arena, "\"status\": %d", status));
}

static void judge_problem(const struct site *site, const json_t *problem, int status)
{
    const json_t *list = json_object_get(problem, "subproblems");
    judge_type(site, problem);
    judge_status(site, problem, status);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_is_object(json_array_get(list, i))) judge_type(site, json_array_get(list, i));
}

static void judge_error_reply(const struct site *site)
{
    const struct exchange *exchange = site->exchange;
    struct arena *arena = site->tally->arena;
    struct str media, rest;
    str_cut(headers_get(event_headers(exchange->response), "Content-Type"), ';', &media, &rest);
    media = str_trim(media);
    site->tally->judged++;
    json_t *problem = check_json(exchange);
    if (!json_is_object(problem))
        slip_problem(site, "rfc8555#6.7-problem-form", LEVEL_SHOULD,
                     str_fmt(arena, "of status %d is no problem document (Content-Type \"%.*s\")", exchange->status,
                             STR_ARGS(media)),
                     STR("application/problem+json with a JSON object"));
    else if (!str_is_nocase(media, "application/problem+json"))
        slip_problem(site, "rfc8555#6.7-problem-form", LEVEL_SHOULD,
                     str_fmt(arena, "of status %d has the Content-Type \"%.*s\"", exchange->status, STR_ARGS(media)),
                     STR("Content-Type: application/problem+json"));
    if (json_is_object(problem)) judge_problem(site, problem, exchange->status);
    json_decref(problem);
}

/* The error member of an order or a challenge. */
static void judge_member(const struct site *site, const json_t *object, const char *clause, enum level level)
{
    const json_t *error = json_object_get(object, "error");
    if (!error || json_is_null(error)) return;
    site->tally->judged++;
    if (json_is_object(error)) judge_problem(site, error, 0);
    else slip_problem(site, clause, level, STR("is no JSON object"), STR("one problem document"));
}

static void judge_object_errors(struct site *site)
{
    static const char challenge_clause[] = "rfc8555#8-error-is-problem";
    enum resource_kind resource = site->exchange->resource;
    bool order = resource == RESOURCE_NEW_ORDER || resource == RESOURCE_ORDER || resource == RESOURCE_FINALIZE;
    if (!order && resource != RESOURCE_CHALLENGE && resource != RESOURCE_AUTHZ) return;
    json_t *json = check_json(site->exchange);
    site->what = order ? "the error of the order" : "the error of the challenge";
    if (order) judge_member(site, json, "rfc8555#6.7-problem-form", LEVEL_SHOULD);
    else if (resource == RESOURCE_CHALLENGE) judge_member(site, json, challenge_clause, LEVEL_MUST);
    const json_t *challenges = resource == RESOURCE_AUTHZ ? json_object_get(json, "challenges") : NULL;
    for (size_t i = 0; i < json_array_size(challenges); i++)
        judge_member(site, json_array_get(challenges, i), challenge_clause, LEVEL_MUST);
    json_decref(json);
}

/* Section 6.7, for replies with an error status and for errors inside objects. A reply to HEAD has no body, and of one
 * that was cut short nothing is known. */
static void fold_problem_form(const struct view *view, const struct check *check, struct verdict_list *findings,
                              struct arena *arena)
{
    struct tally tally = {.check = check, .findings = findings, .arena = arena};
    struct check_map hosts = check_hosts(view, arena);
    for (size_t i = 0; i < view->n_exchanges; i++) {
        struct site site = {.tally = &tally, .exchange = &view->exchanges[i], .what = "the reply"};
        if (str_is(site.exchange->method, "HEAD") || !check_whole(site.exchange)) continue;
        if (site.exchange->status >= 400 && check_is_acme(&hosts, arena, site.exchange)) judge_error_reply(&site);
        else if (check_good(site.exchange)) judge_object_errors(&site);
    }
    tally_done(&tally);
}

/* --- retry-after-form --- */

static void judge_retry_after(struct tally *tally, const struct exchange *exchange, int64_t now_ms)
{
    const struct headers *headers = event_headers(exchange->response);
    size_t n = headers_count(headers, "Retry-After");
    struct str value = str_trim(headers_get(headers, "Retry-After"));
    struct slip slip = {.level = LEVEL_MUST,
                        .party = PARTY_CA,
                        .event = exchange->response,
                        .expected = STR("one Retry-After: a whole number of seconds, or a date such as "
                                        "\"Tue, 01 Jan 2030 00:00:20 GMT\"")};
    int64_t at_ms;
    bool is_date = false;
    if (!n) return;
    tally->judged++;
    slip.where = check_where(tally->arena, exchange);
    if (n > 1) {
        slip.what = str_fmt(tally->arena, "the reply has %zu Retry-After headers", n);
        tally_slip(tally, slip);
        return;
    }
    if (retry_after_read(headers, now_ms, &at_ms, &is_date) != OK) {
        slip.what = str_fmt(tally->arena, "Retry-After \"%.*s\"", STR_ARGS(value));
        tally_slip(tally, slip);
    } else if (is_date && !str_eq(value, when_http_date(tally->arena, at_ms))) {
        /* Section 5.6.7: recipients accept three forms of a date, senders generate one. */
        slip.what = str_fmt(tally->arena, "Retry-After \"%.*s\" is an obsolete form of a date", STR_ARGS(value));
        slip.expected = when_http_date(tally->arena, at_ms);
        tally_slip(tally, slip);
    }
}

/* RFC 9110 section 10.2.3: digits (however many) or an HTTP-date, in one header line. Whether it is sensible is not the
 * question here. */
static void fold_retry_after_form(const struct view *view, const struct check *check, struct verdict_list *findings,
                                  struct arena *arena)
{
    struct tally tally = {.check = check, .findings = findings, .arena = arena};
    struct check_map hosts = check_hosts(view, arena);
    for (size_t i = 0; i < view->n_exchanges; i++) {
        const struct exchange *exchange = &view->exchanges[i];
        if (check_answered(exchange) && check_is_acme(&hosts, arena, exchange))
            judge_retry_after(&tally, exchange, view->epoch_ms + exchange->response->t_ms);
    }
    tally_done(&tally);
}

/* --- hangs --- */

#define HANG_MS INT64_C(600000)

/* Ten minutes of the scenario. Our own waits are divided by the speed; a foreign server's are not. */
static int64_t hang_ms(const struct view *view)
{
    const struct history *history = view->history;
    int64_t speed = history->n && history->at[0].kind == RUN_START ? event_int(&history->at[0], F_SPEED) : 1;
    return speed > 1 && !str_is(view->mode, mode_text(MODE_SERVER)) ? HANG_MS / speed : HANG_MS;
}

static void slip_hang(struct tally *tally, enum party party, const struct event *event, struct str where,
                      struct str what)
{
    tally_slip(tally, (struct slip){.clause = "",
                                    .level = LEVEL_SCENARIO,
                                    .party = party,
                                    .event = event,
                                    .where = where,
                                    .what = what,
                                    .expected = STR("an end of everything within ten minutes"),
                                    .why = STR("who waits for ever holds a user, a worker and a peer")});
}

/* A request that a fault or the scenario's own delay keeps waiting has its reason. */
static bool has_reason(const struct view *view, const struct exchange *exchange)
{
    if (exchange->response && (event_int(exchange->response, F_DELAY_MS) > 0 || !check_answered(exchange))) return true;
    return check_faulted(view, exchange->flow);
}

static void judge_wait(struct tally *tally, const struct view *view, const struct exchange *exchange, int64_t limit_ms)
{
    int64_t until_ms = exchange->response ? exchange->response->t_ms : view->end_ms;
    int64_t wait_ms = until_ms - exchange->request->t_ms;
    if (wait_ms <= limit_ms || has_reason(view, exchange)) return;
    struct str waited = when_run_time(tally->arena, wait_ms);
    slip_hang(tally, PARTY_CA, exchange->request, check_where(tally->arena, exchange),
              exchange->response ? str_fmt(tally->arena, "the reply came after %.*s", STR_ARGS(waited))
                                 : str_fmt(tally->arena, "no reply within %.*s", STR_ARGS(waited)));
}

/* The record that says that the run was cut off: NULL when it ended by itself. */
static const struct event *cut_off(const struct view *view)
{
    const struct history *history = view->history;
    for (size_t i = history->n; i-- > 0;) {
        const struct event *event = &history->at[i];
        if (check_out_of_time(event)) return event;
        if (event->kind != RUN_END) continue;
        struct str text = event_text(event, F_TEXT);
        if (str_is(text, "time limit") || str_is(text, "message limit")) return event;
    }
    return NULL;
}

/* The challenge, or one of the authorization, was responded to and is not over. */
static bool answered(const struct view *view, const struct thing *thing)
{
    for (size_t i = 0; i < view->n_facts; i++) {
        const struct thing *challenge = view->facts[i].deed == DEED_ANSWERS ? view->facts[i].thing : NULL;
        if (!challenge || status_is_final(OBJECT_CHALLENGE, challenge->status)) continue;
        if (challenge == thing || challenge->parent == thing) return true;
    }
    return false;
}

/* Only the server can move it: it is being worked on, or it waits for a challenge that was responded to. An order that
 * is pending waits for its authorizations, and so for the client. */
static bool with_the_server(const struct view *view, const struct thing *thing)
{
    if (thing->status == STATUS_PROCESSING) return true;
    bool waits = thing->object == OBJECT_CHALLENGE || thing->object == OBJECT_AUTHZ;
    return waits && thing->status == STATUS_PENDING && answered(view, thing);
}

/* Since when the thing is as it is. */
static int64_t unmoved_since_ms(const struct view *view, const struct thing *thing)
{
    for (size_t i = view->n_facts; i-- > 0;)
        if (view->facts[i].deed == DEED_BECOMES && view->facts[i].thing == thing) return view->facts[i].t_ms;
    return 0;
}

/* The run was cut off. Whose move was it? The server's when a request has no reply; when the object that the client
 * looked at last is the server's to move; when the client sits out a Retry-After. But a server of ours does what the
 * scenario says, for ever if need be, and never to the client's surprise: there it is the client that should have
 * ended its wait, unless it is a program that was stopped before the ten minutes were over. In all other cases the
 * client had its reply and all it needed. */
static void judge_end(struct tally *tally, const struct view *view, const struct event *end, int64_t limit_ms)
{
    struct arena *arena = tally->arena;
    const struct exchange *last = view->n_exchanges ? &view->exchanges[view->n_exchanges - 1] : NULL;
    struct str how = end->kind == RUN_END
                         ? str_fmt(arena, "the run ended by its %.*s", STR_ARGS(event_text(end, F_TEXT)))
                         : STR("the client was still running at its time limit");
    if (last && !last->response && !has_reason(view, last)) {
        slip_hang(tally, PARTY_CA, end, check_where(arena, last),
                  str_fmt(arena, "%.*s while the request had no reply", STR_ARGS(how)));
        return;
    }
    struct str detail = STR("the next move was the client's");
    enum party party = PARTY_CLIENT;
    const struct thing *thing = last ? last->thing : NULL;
    int64_t since_ms = -1;
    if (last && !check_answered(last)) {
        detail = STR("the reply was lost, and the client did not end its wait");
    } else if (thing && with_the_server(view, thing)) {
        since_ms = unmoved_since_ms(view, thing);
        detail = str_fmt(arena, "the %s was %s since %.*s", object_text(thing->object), status_text(thing->status),
                         STR_ARGS(when_run_time(arena, since_ms)));
    } else if (last && last->retry_after_legal && last->retry_after_ms > end->t_ms) {
        since_ms = last->response->t_ms;
        detail =
            str_fmt(arena, "the reply of %.*s had a Retry-After until %.*s", STR_ARGS(when_run_time(arena, since_ms)),
                    STR_ARGS(when_run_time(arena, last->retry_after_ms)));
    }
    if (since_ms >= 0) {
        bool program = str_is(view->mode, mode_text(MODE_CLIENT));
        if (program && end->t_ms - since_ms <= limit_ms) return;
        if (!program && !str_is(view->mode, mode_text(MODE_SIMULATE))) party = PARTY_CA;
    }
    slip_hang(tally, party, end, last ? check_where(arena, last) : (struct str){0},
              str_fmt(arena, "%.*s: %.*s", STR_ARGS(how), STR_ARGS(detail)));
}

/* Everything comes to an end: each request has its reply within ten minutes (unless a fault or a delay of the scenario
 * stands between), and the run ends by itself, with a certificate or by giving up. An object that stays in processing
 * is no hang of its own: the client may end its wait, and then nothing hangs. */
static void fold_hangs(const struct view *view, const struct check *check, struct verdict_list *findings,
                       struct arena *arena)
{
    struct tally tally = {.check = check, .findings = findings, .arena = arena, .judged = view->n_exchanges};
    int64_t limit_ms = hang_ms(view);
    for (size_t i = 0; i < view->n_exchanges; i++)
        judge_wait(&tally, view, &view->exchanges[i], limit_ms);
    const struct event *end = cut_off(view);
    if (end && !tally.n_slips) judge_end(&tally, view, end, limit_ms);
    tally_done(&tally);
}

/* clang-format off */
const struct check reply_checks[] = {
    {"problem-form", "rfc8555#6.7-problem-form", "RFC 8555 section 6.7", LEVEL_SHOULD, PARTY_CA,
     "errors come as problem documents with a registered type and the status of the reply", fold_problem_form},
    {"retry-after-form", "rfc9110#10.2.3-form", "RFC 9110 section 10.2.3", LEVEL_MUST, PARTY_CA,
     "Retry-After is a number of seconds or an HTTP-date, once", fold_retry_after_form},
    {"hangs", "", "acmedrill", LEVEL_SCENARIO, PARTY_CA,
     "nothing hangs", fold_hangs},
    {0},
};
/* clang-format on */
