#include "control.h"

#include "actor/ca.h"
#include "actor/responder.h"
#include "actor/va.h"
#include "base/when.h"
#include "command.h"
#include "control_log.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WAITERS = 64, MAX_RECORDS = 10000 };
#define MAX_WAIT_MS INT64_C(300000)

/* Someone who asked for records that are not there yet. */
struct waiter {
    struct arena arena;
    struct addr from;
    uint64_t flow;
    int64_t until_ms;
    struct control_question question;
};

struct control {
    struct actor actor;
    struct control_options options;
    const struct profile *profile;
    const struct scenario *scenario;
    struct arena arena; /* profiles and scenarios that were ever loaded: an old reply may still need them */
    struct control_log *log;
    struct waiter waiters[MAX_WAITERS];
    size_t n_waiters;
    uint64_t seen; /* the record up to which the waiters have been asked */
};

/* One request under way. */
struct call {
    struct control *control;
    struct turn *turn;
    const struct msg *in;
    struct str query;
    int status;
    const char *media;
    struct str body;
    bool held;
};

/* --- answers --- */
static void say(struct call *call, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(struct call *call, int status, const char *fmt, ...)
{
    struct buf buf = {.arena = call->turn->arena};
    va_list ap;
    va_start(ap, fmt);
    struct str text = str_vfmt(call->turn->arena, fmt, ap);
    va_end(ap);
    buf_add_c(&buf, status < 400 ? "{\"done\":" : "{\"error\":");
    buf_add_json(&buf, text);
    buf_add_c(&buf, "}\n");
    call->status = status;
    call->media = "application/json";
    call->body = buf_str(&buf);
}

static void send_answer(struct turn *turn, struct addr to, uint64_t flow, int status, const char *media,
                        struct str body)
{
    struct msg *msg = outbox_post(turn->out, MSG_RESPONSE, to, flow);
    msg->as.response.status = status;
    msg_header(msg, "Content-Type", str_c(media));
    msg_header(msg, "Cache-Control", STR("no-store"));
    msg->as.response.body = str_copy(&msg->arena, body);
}

static void complaints_said(struct call *call, const struct complaints *complaints)
{
    struct buf buf = {.arena = call->turn->arena};
    size_t kept = complaints->n < COMPLAINTS_KEPT ? complaints->n : COMPLAINTS_KEPT;
    for (size_t i = 0; i < kept; i++) {
        const struct complaint *at = &complaints->at[i];
        buf_fmt(&buf, "%s%.*s:%d:%d: %.*s", i ? "\n" : "", STR_ARGS(at->file), at->line, at->column,
                STR_ARGS(at->text));
    }
    say(call, 400, "%.*s", STR_ARGS(buf_str(&buf)));
}

/* --- what a request says --- */
static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* RFC 3986 section 2.1, and "+" for a space as forms write it. */
static struct str unescaped(struct arena *arena, struct str text)
{
    struct buf buf = {.arena = arena};
    for (size_t i = 0; i < text.n; i++) {
        int high = text.at[i] == '%' && i + 2 < text.n ? hex_digit(text.at[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text.at[i + 2]) : -1;
        if (low >= 0) {
            buf_add_char(&buf, (char)(high * 16 + low));
            i += 2;
        } else {
            buf_add_char(&buf, text.at[i] == '+' ? ' ' : text.at[i]);
        }
    }
    return buf_str(&buf);
}

/* The next parameter of the query. */
static bool next_parameter(struct call *call, struct str *name, struct str *value)
{
    struct str one;
    if (!call->query.n) return false;
    str_cut(call->query, '&', &one, &call->query);
    str_cut(one, '=', name, value);
    *value = unescaped(call->turn->arena, *value);
    return true;
}

/* The JSON object of a POST; NULL: the answer is set. A web page cannot send this media type to us unasked. */
static bool body_read(struct call *call, struct complaints *complaints, struct paper *ret)
{
    struct str media, rest;
    str_cut(headers_get(call->in->as.request.headers, "Content-Type"), ';', &media, &rest);
    if (!str_is_nocase(str_trim(media), "application/json")) {
        say(call, 415, "the Content-Type must be application/json");
        return false;
    }
    struct str text = str_copy(&call->control->arena, call->in->as.request.body);
    if (paper_parse(complaints->arena, STR("request"), text, complaints, ret)) {
        complaints_said(call, complaints);
        return false;
    }
    if (json_is_object(ret->root)) return true;
    paper_done(ret);
    say(call, 400, "the body must be a JSON object");
    return false;
}

static struct str text_member(const struct paper *paper, const char *name)
{
    const json_t *value = json_object_get(paper->root, name);
    if (!json_is_string(value)) return (struct str){0};
    return (struct str){json_string_value(value), json_string_length(value)};
}

/* --- /events --- */

/* "7" means the object of that number, as its URL ends: in a JSON text, or with more of the path behind. */
static bool about_object(struct control_question *question, struct arena *arena, const char *kind, struct str value)
{
    int64_t number;
    if (*kind && str_int(value, &number)) value = str_fmt(arena, "/%s/%.*s\"", kind, STR_ARGS(value));
    if (question->n_about == COUNTOF(question->about)) return false;
    question->about[question->n_about++] = value;
    return true;
}

static bool question_read(struct call *call, struct control_question *ret, int64_t *ret_wait_ms)
{
    struct arena *arena = call->turn->arena;
    struct str name, value;
    *ret = (struct control_question){.limit = MAX_RECORDS};
    *ret_wait_ms = 0;
    while (next_parameter(call, &name, &value)) {
        int64_t number = 0;
        bool whole = str_int(value, &number), good = true;
        if (str_is(name, "after") && (good = whole)) ret->after = (uint64_t)number;
        else if (str_is(name, "flow") && (good = whole)) ret->flow = (uint64_t)number;
        else if (str_is(name, "limit") && (good = whole && number > 0))
            ret->limit = number < MAX_RECORDS ? (size_t)number : MAX_RECORDS;
        else if (str_is(name, "kind")) ret->kind = value;
        else if (str_is(name, "account") || str_is(name, "order"))
            good = about_object(ret, arena, str_copy(arena, name).at, value);
        else if (str_is(name, "name") || str_is(name, "text")) good = about_object(ret, arena, "", value);
        else if (str_is(name, "wait") && good) good = !when_duration(value, ret_wait_ms) && *ret_wait_ms <= MAX_WAIT_MS;
        else if (good) {
            say(call, 400,
                "no parameter \"%.*s\": there are after, kind, flow, account, order, name, text, limit, wait",
                STR_ARGS(name));
            return false;
        }
        if (!good) {
            say(call, 400, "%.*s: \"%.*s\" will not do", STR_ARGS(name), STR_ARGS(value));
            return false;
        }
    }
    return true;
}

static void keep_waiting(struct call *call, const struct control_question *question, int64_t wait_ms)
{
    struct control *control = call->control;
    struct waiter *waiter = &control->waiters[control->n_waiters++];
    *waiter = (struct waiter){.from = call->in->from,
                              .flow = call->in->flow,
                              .until_ms = call->turn->now_ms + wait_ms,
                              .question = *question};
    waiter->question.kind = str_copy(&waiter->arena, question->kind);
    for (size_t i = 0; i < question->n_about; i++)
        waiter->question.about[i] = str_copy(&waiter->arena, question->about[i]);
    call->held = true;
}

static void events_get(struct call *call)
{
    struct control_question question;
    int64_t wait_ms;
    if (!question_read(call, &question, &wait_ms)) return;
    call->status = 200;
    call->media = "application/x-ndjson";
    call->body = control_log_ask(call->control->log, &question, call->turn->arena);
    if (call->body.n || wait_ms <= 0) return;
    if (call->control->n_waiters == MAX_WAITERS) say(call, 503, "%d others are waiting", (int)MAX_WAITERS);
    else keep_waiting(call, &question, wait_ms);
}

static void events_delete(struct call *call)
{
    control_log_clear(call->control->log);
    say(call, 200, "the records are forgotten");
}

/* Answers whoever has waited long enough, or has something to read now. */
static void waiters_serve(struct control *control, struct turn *turn)
{
    size_t kept = 0;
    for (size_t i = 0; i < control->n_waiters; i++) {
        struct waiter waiter = control->waiters[i];
        struct str body = control_log_ask(control->log, &waiter.question, turn->arena);
        if (body.n || waiter.until_ms <= turn->now_ms) {
            send_answer(turn, waiter.from, waiter.flow, 200, "application/x-ndjson", body);
            arena_done(&waiter.arena);
        } else {
            control->waiters[kept++] = waiter;
        }
    }
    control->n_waiters = kept;
    control->seen = control_log_last(control->log);
}

/* --- /clock --- */
static void clock_said(struct call *call)
{
    struct arena *arena = call->turn->arena;
    int64_t ahead_ms = call->control->options.ca->skew_ms;
    call->status = 200;
    call->media = "application/json";
    call->body = str_fmt(arena, "{\"now\":\"%.*s\",\"ahead\":\"%.*s\"}\n",
                         STR_ARGS(when_rfc3339(arena, call->turn->now_ms + ahead_ms)),
                         STR_ARGS(when_duration_text(arena, ahead_ms)));
}

static void clock_post(struct call *call)
{
    struct complaints complaints = {.arena = call->turn->arena};
    struct paper paper;
    int64_t ms = 0, *ahead_ms = &call->control->options.ca->skew_ms;
    if (!body_read(call, &complaints, &paper)) return;
    struct str advance = text_member(&paper, "advance"), set = text_member(&paper, "set");
    bool good = advance.n ? !when_duration(advance, &ms) : set.n && !when_rfc3339_parse(set, &ms);
    paper_done(&paper);
    if (good && !advance.n) ms -= call->turn->now_ms + *ahead_ms;
    if (!good || ms < 0 || __builtin_add_overflow(*ahead_ms, ms, &ms) || call->turn->now_ms + ms > HISTORY_MAX_MS) {
        say(call, 400,
            "say {\"advance\": \"1h30m\"} or {\"set\": \"2030-01-01T00:00:00Z\"}; the clock only goes forward");
        return;
    }
    *ahead_ms = ms;
    clock_said(call);
}

/* --- /profile, /scenario, /state --- */
static void play(struct control *control, const struct profile *profile, const struct scenario *scenario)
{
    control->profile = profile;
    control->scenario = scenario;
    ca_play(control->options.ca, profile, scenario);
    va_play(control->options.va, profile);
    responder_play(control->options.responder, scenario);
}

static void profile_post(struct call *call)
{
    struct control *control = call->control;
    struct complaints complaints = {.arena = call->turn->arena};
    struct profile *profile = ARENA_NEW(&control->arena, struct profile);
    struct paper paper;
    enum err e;
    if (!body_read(call, &complaints, &paper)) return;
    complaints.arena = &control->arena;
    struct str name = text_member(&paper, "profile");
    if (name.at) e = profile_load(&control->arena, str_copy(&control->arena, name), &complaints, profile);
    else e = profile_read(&control->arena, &paper, paper.root, "", &complaints, profile);
    paper_done(&paper);
    if (e) {
        complaints_said(call, &complaints);
        return;
    }
    play(control, profile, control->scenario);
    say(call, 200, "the CA is like %.*s now", STR_ARGS(profile->name.n ? profile->name : STR("what you wrote")));
}

/* What a scenario of the API is written on. */
#define BLANK                                                                                                          \
    "{\"acmedrill\": 1, \"title\": \"from the control API\", \"given\": {\"profile\": \"" PROFILE_DEFAULT "\"},"       \
    "\"expect\": [{\"eventually\": \"client gets certificate\"}]}"

/* {"scenario": "http-01/404-502-ok#variant"}, or the members given, responder and ca of a scenario file. */
static enum err scenario_of(struct call *call, const struct paper *paper, struct complaints *complaints,
                            struct scenario_set *set)
{
    struct arena *arena = &call->control->arena;
    struct str word = text_member(paper, "scenario");
    if (!word.at) return scenario_parse(arena, STR("request"), STR(BLANK), paper, complaints, set);
    const char *why = "no scenario there";
    bool id_only = word.n && word.at[0] != '/' && str_find(word, "..") < 0;
    size_t complained = complaints->n;
    enum err e = id_only ? scenario_open(arena, str_copy(arena, word).at, NULL, complaints, set, &why) : ERR_NOT_FOUND;
    if (e && complaints->n == complained) say(call, 404, "%.*s: %s", STR_ARGS(word), why);
    return e;
}

static void scenario_post(struct call *call)
{
    struct control *control = call->control;
    struct complaints complaints = {.arena = call->turn->arena};
    struct scenario_set set = {0};
    struct paper paper;
    if (!body_read(call, &complaints, &paper)) return;
    complaints.arena = &control->arena;
    bool given = json_object_get(paper.root, "given") || text_member(&paper, "scenario").at;
    enum err e = scenario_of(call, &paper, &complaints, &set);
    paper_done(&paper);
    if (!e && set.n == 1) {
        play(control, given ? set.at[0]->profile : control->profile, set.at[0]);
        say(call, 200, "the scenario begins");
    } else if (!e) {
        say(call, 400, "that scenario has %zu cases; name one, such as %s", set.n,
            scenario_name(call->turn->arena, set.at[0]).at);
    } else if (!call->status) {
        complaints_said(call, &complaints);
    }
    free(set.at);
}

static void scenario_delete(struct call *call)
{
    play(call->control, call->control->profile, NULL);
    say(call, 200, "nothing is scripted any more");
}

static void terms_post(struct call *call)
{
    struct complaints complaints = {.arena = call->turn->arena};
    struct paper paper;
    if (!body_read(call, &complaints, &paper)) return;
    struct str path = text_member(&paper, "path");
    if (str_starts(path, "terms") && path.n <= 60) {
        ca_set_terms(call->control->options.ca, path);
        say(call, 200, "who has agreed to other terms is asked again");
    } else {
        say(call, 400, "say {\"path\": \"terms/v2\"}: a path that begins with \"terms\"");
    }
    paper_done(&paper);
}

static void state_get(struct call *call)
{
    call->status = 200;
    call->media = "application/json";
    call->body = ca_state(call->control->options.ca, call->turn->arena);
}

/* As on the first day: also profile, scenario and clock. */
static void state_delete(struct call *call)
{
    struct control *control = call->control;
    play(control, control->options.profile, control->options.scenario);
    ca_forget(control->options.ca);
    control->options.ca->skew_ms = 0;
    control_log_clear(control->log);
    say(call, 200, "all is as it was at the start");
}

/* --- one request --- */
static void index_get(struct call *call);
/* clang-format off */
static const struct {
    const char *method, *path, *help;
    void (*handle)(struct call *call);
} calls[] = {
    {"GET", "/", "this list", index_get},
    {"GET", "/events",
     "what crossed the wire, as JSON Lines: ?after ?kind ?flow ?account ?order ?name ?text ?limit; ?wait=10s waits for the first",
     events_get},
    {"DELETE", "/events", "forget the records", events_delete},
    {"GET", "/clock", "what time the CA thinks it is", clock_said},
    {"POST", "/clock", "move it: {\"advance\": \"1h\"} or {\"set\": \"2030-01-01T00:00:00Z\"}", clock_post},
    {"POST", "/profile", "another temperament: {\"profile\": \"NAME\"}, or the members of a profile", profile_post},
    {"POST", "/scenario",
     "play it: {\"scenario\": \"ID\"}, or the members given, ca and responder of a scenario file", scenario_post},
    {"DELETE", "/scenario", "nothing is scripted any more", scenario_delete},
    {"POST", "/terms", "other terms of service: {\"path\": \"terms/v2\"}", terms_post},
    {"GET", "/state", "accounts, orders and authorizations", state_get},
    {"DELETE", "/state", "as at the start: nothing remembered, first profile and scenario, true clock", state_delete},
};
/* clang-format on */

static void index_get(struct call *call)
{
    struct buf buf = {.arena = call->turn->arena};
    buf_add_c(&buf, "{\"acmedrill\":\"" ACMEDRILL_VERSION "\",\"calls\":[");
    for (size_t i = 0; i < COUNTOF(calls); i++) {
        buf_fmt(&buf, "%s\n  {\"method\":\"%s\",\"path\":\"%s\",\"help\":", i ? "," : "", calls[i].method,
                calls[i].path);
        buf_add_json(&buf, str_c(calls[i].help));
        buf_add_char(&buf, '}');
    }
    buf_add_c(&buf, "]}\n");
    call->status = 200;
    call->media = "application/json";
    call->body = buf_str(&buf);
}

static void call_serve(struct call *call)
{
    const struct http_request *request = &call->in->as.request;
    struct url url;
    struct str path;
    bool known = false;
    if (url_parse(request->url, &url)) {
        say(call, 400, "the request's URL is none");
        return;
    }
    if (!str_cut(url.path, '?', &path, &call->query)) call->query = (struct str){0};
    for (size_t i = 0; i < COUNTOF(calls); i++) {
        if (!str_is(path, calls[i].path)) continue;
        known = true;
        if (!str_is(request->method, calls[i].method)) continue;
        calls[i].handle(call);
        return;
    }
    if (known) say(call, 405, "%.*s takes no %.*s", STR_ARGS(path), STR_ARGS(request->method));
    else say(call, 404, "there is no %.*s: GET / tells what there is", STR_ARGS(path));
}

static void control_step(struct actor *actor, struct turn *turn, const struct msg *in)
{
    struct control *control = (struct control *)actor;
    if (in && in->kind == MSG_REQUEST) {
        struct call call = {.control = control, .turn = turn, .in = in};
        call_serve(&call);
        if (!call.held) send_answer(turn, in->from, in->flow, call.status, call.media, call.body);
    }
    waiters_serve(control, turn);
}

static int64_t control_next_due_ms(const struct actor *actor)
{
    const struct control *control = (const struct control *)actor;
    int64_t due_ms = ACTOR_IDLE;
    if (control->n_waiters && control_log_last(control->log) > control->seen) return 0;
    for (size_t i = 0; i < control->n_waiters; i++)
        if (control->waiters[i].until_ms < due_ms) due_ms = control->waiters[i].until_ms;
    return due_ms;
}

static void on_event(void *watcher, const struct event *event)
{
    struct control *control = watcher;
    struct str own = str_c(control->actor.name);
    if (str_eq(event_text(event, F_FROM), own) || str_eq(event_text(event, F_TO), own)) return;
    control_log_add(control->log, event);
}

static void control_free(struct actor *actor)
{
    struct control *control = (struct control *)actor;
    control->options.history->watch = NULL;
    for (size_t i = 0; i < control->n_waiters; i++)
        arena_done(&control->waiters[i].arena);
    control_log_free(control->log);
    arena_done(&control->arena);
    free(control);
}

struct actor *control_new(const struct control_options *options)
{
    struct control *control = calloc(1, sizeof *control);
    if (!control) abort();
    control->options = *options;
    control->profile = options->profile;
    control->scenario = options->scenario;
    control->log = control_log_new();
    options->history->watch = on_event;
    options->history->watcher = control;
    control->actor = (struct actor){
        .name = "control", .step = control_step, .next_due_ms = control_next_due_ms, .free = control_free};
    return &control->actor;
}
