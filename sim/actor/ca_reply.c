/* What the CA says: replies, their headers, and what a scenario puts in place of the truth. */
#include "actor/ca_parts.h"
#include "base/when.h"

#include <assert.h>

int64_t ca_wait_ms(const struct ca *ca, int64_t ms)
{
    return ca->options.speed > 1 ? ms / ca->options.speed : ms;
}

struct str ca_url(const struct ca *ca, struct arena *arena, const char *fmt, ...)
{
    struct buf buf = {.arena = arena};
    buf_add(&buf, ca->base_url);
    va_list ap;
    va_start(ap, fmt);
    buf_add(&buf, str_vfmt(arena, fmt, ap));
    va_end(ap);
    return buf_str(&buf);
}

void answer_header(struct ca_answer *answer, const char *name, struct str value)
{
    assert(answer->n_headers < ANSWER_MAX_HEADERS);
    answer->headers[answer->n_headers].name = name;
    answer->headers[answer->n_headers++].value = value;
}

void answer_json(struct ca_answer *answer, int status, struct str body)
{
    answer->status = status;
    answer->media = "application/json";
    answer->body = body;
}

void answer_problem(struct ca_answer *answer, struct turn *turn, const struct problem *problem)
{
    answer->status = problem->status ? problem->status : problem_status(problem->type);
    answer->media = "application/problem+json";
    answer->body = problem_write(turn->arena, problem);
}

void answer_refuse(struct ca_answer *answer, struct turn *turn, int status, const char *type, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct problem problem = {.type = str_c(type), .detail = str_vfmt(turn->arena, fmt, ap)};
    va_end(ap);
    problem.status = status ? status : problem_status(problem.type);
    answer_problem(answer, turn, &problem);
}

/* --- Retry-After --- */
static int64_t seconds_up(int64_t ms)
{
    return ms <= 0 ? 0 : (ms + 999) / 1000;
}

static struct str retry_after_text(enum retry_after_form form, int64_t now_ms, int64_t at_ms, struct arena *arena)
{
    if (at_ms < now_ms + 1000) at_ms = now_ms + 1000;
    int64_t whole_ms = seconds_up(at_ms) * 1000;
    switch (form) {
    case RETRY_AFTER_DATE: return when_http_date(arena, whole_ms);
    case RETRY_AFTER_RFC3339: return when_rfc3339(arena, whole_ms);
    case RETRY_AFTER_NONE:
    case RETRY_AFTER_SECONDS: break;
    }
    return str_fmt(arena, "%lld", (long long)seconds_up(at_ms - now_ms));
}

/* "20s" "date+20s" "date-5s" "none" "raw:TEXT". A text that is none of these is sent as it is. */
static struct str retry_after_scripted(const struct ca *ca, int64_t now_ms, struct str text, struct arena *arena)
{
    int64_t ms;
    if (str_is(text, "none")) return (struct str){0};
    if (str_starts(text, "raw:")) return (struct str){text.at + 4, text.n - 4};
    if (str_starts(text, "date") && text.n > 5 && !when_duration((struct str){text.at + 5, text.n - 5}, &ms)) {
        int64_t wait_ms = ca_wait_ms(ca, ms);
        if (text.at[4] == '-') return when_http_date(arena, now_ms - wait_ms);
        if (ms > 0 && wait_ms < 1000) wait_ms = 1000;
        return when_http_date(arena, seconds_up(now_ms + wait_ms) * 1000);
    }
    if (when_duration(text, &ms)) return text;
    return str_fmt(arena, "%lld", (long long)seconds_up(ca_wait_ms(ca, ms)));
}

void answer_send(struct ca *ca, struct turn *turn, struct addr to, uint64_t flow, struct ca_answer *answer,
                 const struct reply *script, const struct fault *fault)
{
    struct arena *arena = turn->arena;
    struct msg *msg = outbox_post(turn->out, MSG_RESPONSE, to, flow);
    msg->as.response.status = answer->status;
    if (answer->media) msg_header(msg, "Content-Type", str_c(answer->media));
    for (size_t i = 0; i < answer->n_headers; i++)
        msg_header(msg, answer->headers[i].name, answer->headers[i].value);
    if (!answer->no_nonce) msg_header(msg, "Replay-Nonce", ca_nonce_make(&ca->store.nonces, turn->rng, arena));
    msg_header(msg, "Link", str_fmt(arena, "<%.*s>;rel=\"index\"", STR_ARGS(ca->directory_url)));
    msg->as.response.body = str_copy(&msg->arena, answer->body);

    struct str retry_after = {0};
    if (script && script->retry_after.n)
        retry_after = retry_after_scripted(ca, turn->now_ms, script->retry_after, arena);
    else if (answer->retry_at_ms && (ca->profile->retry_after != RETRY_AFTER_NONE || answer->retry_always))
        retry_after = retry_after_text(ca->profile->retry_after, turn->now_ms, answer->retry_at_ms, arena);
    if (retry_after.n) msg_header(msg, "Retry-After", retry_after);
    if (script) msg->as.response.delivery.delay_ms = ca_wait_ms(ca, script->delay_ms);
    msg->fault = script && script->fault ? script->fault : fault;
}

/* --- the scenario's word --- */
const struct reply *script_next(struct ca *ca, enum request_name name)
{
    if (!ca->options.scenario) return NULL;
    const struct replies *replies = &ca->options.scenario->replies[name];
    struct ca_cursor *cursor = &ca->cursors[name];
    if (cursor->at >= replies->n) return NULL;
    const struct reply *reply = &replies->at[cursor->at];
    if (reply->times > 0 && ++cursor->used >= reply->times) *cursor = (struct ca_cursor){cursor->at + 1, 0};
    return reply;
}

static const char *type_for_status(int status)
{
    if (status >= 500) return "serverInternal";
    if (status == 429) return "rateLimited";
    return status == 401 || status == 403 ? "unauthorized" : "malformed";
}

struct problem script_problem(const struct reply *script, struct arena *arena)
{
    struct problem problem = {.status = script->status};
    if (script->error.n) problem.type = script->error;
    else problem.type = str_c(script->status ? type_for_status(script->status) : "serverInternal");
    if (!problem.status) problem.status = problem_status(problem.type);
    problem.detail = script->detail.n ? script->detail
                                      : str_fmt(arena, "the scenario wants a reply of status %d here", problem.status);
    return problem;
}

bool script_waits(const struct ca *ca, enum request_name name, enum status order)
{
    const struct scenario *scenario = ca->options.scenario;
    const struct ca_cursor *cursor = &ca->cursors[name];
    if (!scenario || cursor->at >= scenario->replies[name].n) return false;
    const struct reply *next = &scenario->replies[name].at[cursor->at];
    if (next->order != STATUS_PROCESSING) return false;
    bool finalized = order != STATUS_PENDING && order != STATUS_READY;
    return !finalized || (next->times == 0 && order != STATUS_PROCESSING);
}

bool script_refuses(const struct reply *script, struct turn *turn, struct ca_answer *answer)
{
    if (!script) return false;
    bool claims = script->order != STATUS_NONE || script->authz != STATUS_NONE || script->challenge != STATUS_NONE;
    if (script->status < 400 && (script->status || claims || !script->error.n)) return false;
    struct problem problem = script_problem(script, turn->arena);
    answer_problem(answer, turn, &problem);
    return true;
}

/* --- what went wrong so far --- */
struct problem failures_problem(const struct ca_failure *first, bool all, struct arena *arena)
{
    size_t n = 0;
    const struct ca_failure *last = first;
    for (const struct ca_failure *at = first; at; at = at->next, n++)
        last = at;
    assert(last);
    struct problem problem = last->problem;
    problem.identifier = (struct str){0}; /* section 6.7.1: only subproblems have one */
    if (!all) return problem;
    struct problem *list = ARENA_ARRAY(arena, struct problem, n);
    size_t i = 0;
    for (const struct ca_failure *at = first; at; at = at->next) {
        list[i] = at->problem;
        list[i++].status = 0; /* section 6.7.1: the HTTP status is the whole document's */
    }
    problem.subproblems = list;
    problem.n_subproblems = n;
    return problem;
}
