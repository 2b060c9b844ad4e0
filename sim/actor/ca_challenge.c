/* Challenges: RFC 8555 sections 7.5.1, 8 and 8.2. A failed query and giving up are two things; what the first leads to
 * is the profile's choice, and its law says what either does to the status. */
#include "acme/address.h"
#include "actor/ca_parts.h"
#include "base/when.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAST_QUERY_MS = 1000, /* Retry-After "just past the next query" leaves it this long to end */
    MAX_START = 128,      /* bytes of what was found in its place, where a text has room for no more */
    MAX_FAILURES = 100    /* shown in error: more push out the oldest, or a busy client makes replies of megabytes */
};

static struct str challenge_url(const struct ca *ca, struct arena *arena, const struct ca_challenge *challenge)
{
    return ca_url(ca, arena, "/challenge/%u/%s", (unsigned)challenge->authz->id, challenge_row(challenge->type)->name);
}

static struct str challenge_token_str(const struct ca_challenge *challenge)
{
    return str_c(challenge->token);
}

bool challenge_busy(const struct ca_challenge *challenge)
{
    const struct ca_validation *validation = challenge->validation;
    return validation && (validation->in_flight || validation->next_query_ms != ACTOR_IDLE);
}

static bool is_final(const struct ca_challenge *challenge)
{
    return status_is_final(OBJECT_CHALLENGE, challenge->subject.status);
}

static enum err challenge_move(struct ca *ca, struct turn *turn, struct ca_challenge *challenge,
                               enum lifecycle_event event)
{
    return ca_move(ca, turn, &challenge->subject, challenge_url(ca, turn->arena, challenge), event);
}

/* --- what is shown --- */
void challenge_doc_fill(const struct ca *ca, struct turn *turn, const struct ca_challenge *challenge,
                        const struct reply *script, struct challenge_doc *ret)
{
    bool claimed = script && script->challenge != STATUS_NONE;
    enum status shown = claimed ? script->challenge : challenge->subject.status;
    *ret = (struct challenge_doc){
        .type = str_c(challenge_row(challenge->type)->name),
        .url = challenge_url(ca, turn->arena, challenge),
        .status = str_c(status_text(shown)),
        .token = challenge_token_str(challenge),
    };
    if (shown == STATUS_VALID)
        ret->validated = when_rfc3339(turn->arena, challenge->validated_ms ? challenge->validated_ms : turn->now_ms);
    bool visible = shown == STATUS_INVALID || (shown != STATUS_VALID && ca->profile->errors != ERRORS_HIDDEN);
    if (claimed && script->error.n) {
        ret->error = script_problem(script, turn->arena);
        ret->has_error = true;
    } else if (visible && challenge->failures) {
        ret->error = failures_problem(challenge->failures, ca->profile->errors == ERRORS_APPEND, turn->arena);
        ret->has_error = true;
    } else if (claimed && shown == STATUS_INVALID) {
        ret->error = script_problem(script, turn->arena);
        ret->has_error = true;
    }
}

static int64_t retry_wait_ms(const struct ca *ca, const struct ca_validation *validation)
{
    const struct retry_schedule *retry = &ca->profile->retry;
    return ca_wait_ms(ca, retry->first_ms + retry->growth_ms * validation->retries);
}

/* The time that the profile's "next" means: of the planned query, or while one is under way of the one that would
 * follow it, or else the time by which it is over. 0: nothing will come. */
static int64_t past_next_query_ms(const struct ca *ca, const struct turn *turn, const struct ca_challenge *challenge)
{
    const struct ca_validation *validation = challenge->validation;
    if (!challenge_busy(challenge)) return 0;
    if (!validation->in_flight) return validation->next_query_ms + PAST_QUERY_MS;
    bool more = validation->retries < ca->profile->retry.count;
    int64_t wait_ms = more ? retry_wait_ms(ca, validation) : ca_wait_ms(ca, ca->profile->query_limit_ms);
    return turn->now_ms + wait_ms + PAST_QUERY_MS;
}

/* Section 8.2: Retry-After belongs to what is still being tried. 0: none. */
static int64_t retry_at_ms(const struct ca *ca, const struct turn *turn, const struct ca_challenge *challenge,
                           const struct reply *script)
{
    const struct profile *profile = ca->profile;
    bool claimed = script && script->challenge != STATUS_NONE;
    enum status shown = claimed ? script->challenge : challenge->subject.status;
    if (shown != STATUS_PROCESSING && (claimed || !challenge_busy(challenge))) return 0;
    if (!challenge->failures && !profile->processing_without_failure_has_retry_after) return 0;
    if (profile->retry_after_challenge_ms < 0) return past_next_query_ms(ca, turn, challenge);
    if (profile->retry_after_challenge_ms == 0) return 0;
    return turn->now_ms + ca_wait_ms(ca, profile->retry_after_challenge_ms);
}

static void challenge_show(const struct ca *ca, struct turn *turn, const struct ca_challenge *challenge,
                           const struct reply *script, struct ca_answer *answer)
{
    struct challenge_doc doc;
    bool claimed = script && script->challenge != STATUS_NONE;
    challenge_doc_fill(ca, turn, challenge, script, &doc);
    answer_header(answer, "Link",
                  str_fmt(turn->arena, "<%.*s>;rel=\"up\"", STR_ARGS(authz_url(ca, turn->arena, challenge->authz))));
    answer->retry_at_ms = retry_at_ms(ca, turn, challenge, script);
    answer_json(answer, claimed && script->status ? script->status : 200, challenge_write(turn->arena, &doc));
}

static _Noreturn void out_of_memory(void)
{
    fputs("acmedrill: out of memory\n", stderr);
    abort();
}

/* --- replies that are kept back (validates_inside_post) --- */
static void hold(struct visit *visit, struct ca_challenge *challenge)
{
    struct ca_held *held = calloc(1, sizeof *held);
    if (!held) out_of_memory();
    *held = (struct ca_held){
        .next = challenge->validation->held, .from = visit->in->from, .flow = visit->in->flow, .script = visit->script};
    challenge->validation->held = held;
    visit->held = held;
}

static void release(struct ca *ca, struct turn *turn, struct ca_challenge *challenge)
{
    struct ca_held *reversed = NULL, *next;
    for (struct ca_held *held = challenge->validation->held; held; held = next) {
        next = held->next;
        held->next = reversed;
        reversed = held;
    }
    challenge->validation->held = NULL;
    for (struct ca_held *held = reversed; held; held = next) {
        struct ca_answer answer = {0};
        next = held->next;
        challenge_show(ca, turn, challenge, held->script, &answer);
        answer_send(ca, turn, held->from, held->flow, &answer, held->script, held->fault);
        free(held);
    }
}

/* --- the course of a validation --- */
static void validation_start(struct ca_challenge *challenge)
{
    challenge->validation = calloc(1, sizeof *challenge->validation);
    if (!challenge->validation) out_of_memory();
    challenge->validation->next_query_ms = ACTOR_IDLE;
    challenge->validation->attempt = (int)challenge->n_failures; /* attempts are counted per challenge */
}

/* What a response promises is the key authorization of that moment. The key may change while the validation is under
 * way, and that has no effect on what is pending (section 7.3.5): it goes on, and succeeds, with the key that it began
 * with, until the client responds again. */
static void validation_binds(const struct ca *ca, struct turn *turn, struct ca_challenge *challenge)
{
    struct ca_validation *validation = challenge->validation;
    struct str thumbprint = challenge->authz->account->thumbprint;
    assert(thumbprint.n < sizeof validation->thumbprint);
    memcpy(validation->thumbprint, thumbprint.at, thumbprint.n);
    struct str url = account_url(ca, turn->arena, challenge->authz->account);
    char *account = realloc((char *)validation->account.at, url.n);
    if (!account) out_of_memory();
    memcpy(account, url.at, url.n);
    validation->account = (struct str){account, url.n};
}

/* Nothing is left to do for the challenge: everyone who waited is told. */
static void validation_end(struct ca *ca, struct turn *turn, struct ca_challenge *challenge)
{
    if (!challenge->validation) return;
    challenge->validation->in_flight = 0;
    challenge->validation->next_query_ms = ACTOR_IDLE;
    release(ca, turn, challenge);
    ca_validation_free(challenge->validation);
    challenge->validation = NULL;
}

static void plan_query(struct ca *ca, struct ca_challenge *challenge, int64_t at_ms)
{
    challenge->validation->next_query_ms = at_ms;
    heap_push(&ca->queries, at_ms, challenge);
}

/* A query now, unless one is under way. The retry that was planned is not used up by it. */
static void query_now(struct ca *ca, struct turn *turn, struct ca_challenge *challenge)
{
    struct ca_validation *validation = challenge->validation;
    if (validation->in_flight) return;
    if (validation->retry_planned) validation->retries--;
    validation->retry_planned = false;
    plan_query(ca, challenge, turn->now_ms);
}

static void send_probe(struct ca *ca, struct turn *turn, struct ca_challenge *challenge, int perspective)
{
    const struct ca_authz *authz = challenge->authz;
    struct ca_validation *validation = challenge->validation;
    struct str token = challenge_token_str(challenge);
    struct str key_authorization = challenge_key_authorization(turn->arena, token, str_c(validation->thumbprint));
    struct msg *msg = outbox_post(turn->out, MSG_PROBE, ca->options.validator, 0);
    msg->as.probe = (struct probe){
        .type = str_c(challenge_row(challenge->type)->name),
        .name = str_copy(&msg->arena, authz->name),
        .token = str_copy(&msg->arena, token),
        .place = challenge_place(&msg->arena, challenge->type, authz->name, token, validation->account),
        .proof = challenge_proof(&msg->arena, challenge->type, key_authorization),
        .attempt = validation->attempt,
        .perspective = perspective,
        .account = str_copy(&msg->arena, validation->account),
        .wildcard = authz->wildcard,
        .limit_ms = ca->profile->query_limit_ms, /* of others, whom our speed is nothing to */
    };
    ca_probe_add(&ca->store, msg->flow, challenge, validation->attempt, perspective);
}

static void query_begin(struct ca *ca, struct turn *turn, struct ca_challenge *challenge)
{
    struct ca_validation *validation = challenge->validation;
    const struct profile *profile = ca->profile;
    validation->next_query_ms = ACTOR_IDLE;
    validation->retry_planned = false;
    validation->attempt++;
    validation->remote_failures = 0;
    validation->in_flight = profile->probes_per_query + profile->perspectives;
    for (int i = 0; i < profile->probes_per_query; i++)
        send_probe(ca, turn, challenge, 0);
    for (int i = 1; i <= profile->perspectives; i++)
        send_probe(ca, turn, challenge, i);
}

void challenge_query_due(struct ca *ca, struct turn *turn)
{
    for (const struct heap_item *top; (top = heap_peek(&ca->queries)) && top->due_ms <= turn->now_ms;) {
        int64_t due_ms = top->due_ms;
        struct ca_challenge *challenge = heap_pop(&ca->queries);
        if (challenge->validation && challenge->validation->next_query_ms == due_ms) query_begin(ca, turn, challenge);
    }
}

void challenge_cancel(struct ca *ca, struct turn *turn, struct ca_challenge *challenge, const char *why)
{
    bool open = challenge_busy(challenge) || challenge->subject.status == STATUS_PROCESSING;
    if (is_final(challenge) || !open) return;
    struct problem problem = problem_new(turn->arena, "malformed", "%s", why);
    if (!challenge->failures) challenge->failures = ca_failure_new(&problem);
    (void)challenge_move(ca, turn, challenge, EV_GAVE_UP);
    validation_end(ca, turn, challenge);
}

/* --- verdicts --- */
struct word {
    const char *name;
    struct str text;
};

/* The profile's text with its {words} filled in. */
static struct str detail_text(struct arena *arena, struct str pattern, const struct word *words, size_t n)
{
    struct buf buf = {.arena = arena};
    struct str before, rest = pattern, name;
    while (str_cut(rest, '{', &before, &rest)) {
        const struct word *word = NULL;
        struct str after;
        buf_add(&buf, before);
        bool closed = str_cut(rest, '}', &name, &after);
        for (size_t i = 0; i < n && closed && !word; i++)
            if (str_is(name, words[i].name)) word = &words[i];
        if (word) {
            buf_add(&buf, word->text);
            rest = after;
        } else {
            buf_add_char(&buf, '{');
        }
    }
    buf_add(&buf, before);
    return buf_str(&buf);
}

static struct str replaced(struct arena *arena, struct str text, char from, const char *to)
{
    struct buf buf = {.arena = arena};
    for (size_t i = 0; i < text.n; i++) {
        if (text.at[i] == from) buf_add_c(&buf, to);
        else buf_add_char(&buf, text.at[i]);
    }
    return buf_str(&buf);
}

static struct str location_port(struct arena *arena, struct str location)
{
    struct url url;
    return url_parse(location, &url) == OK ? str_fmt(arena, "%d", url.port) : (struct str){0};
}

static struct problem failure_problem(const struct ca *ca, struct turn *turn, const struct ca_challenge *challenge,
                                      const struct outcome *outcome, const struct verdict *verdict, bool remote)
{
    struct arena *arena = turn->arena;
    struct str name = challenge->authz->name, scheme, rest, more = {0};
    struct str place =
        challenge_place(arena, challenge->type, name, challenge_token_str(challenge), challenge->validation->account);
    struct str port = str_fmt(arena, "%d", verdict->port), status = str_fmt(arena, "%d", verdict->status);
    struct str target_port = location_port(arena, verdict->got);
    struct str alert = replaced(arena, verdict->got, '_', " "), names = replaced(arena, verdict->names, ',', ", ");
    struct str certificates = str_fmt(arena, "%zu", verdict->n_certificates);
    bool v6 = str_find(verdict->address, ":") >= 0;
    struct str peer = str_fmt(arena, v6 ? "[%.*s]:%d" : "%.*s:%d", STR_ARGS(verdict->address), verdict->port);
    struct str start = {verdict->got.at, verdict->got.n > MAX_START ? MAX_START : verdict->got.n};
    (void)str_cut(verdict->got, ':', &scheme, &rest);
    if (verdict->n_more) more = str_fmt(arena, " (and %zu more)", verdict->n_more);
    const struct word words[] = {
        {"url",          verdict->url     },
        {"name",         name             },
        {"address",      verdict->address },
        {"peer",         peer             },
        {"start",        start            },
        {"port",         port             },
        {"status",       status           },
        {"got",          verdict->got     },
        {"place",        place            },
        {"expected",     verdict->expected},
        {"first",        verdict->first   },
        {"and_more",     more             },
        {"alert",        alert            },
        {"scheme",       scheme           },
        {"target_port",  target_port      },
        {"names",        names            },
        {"certificates", certificates     },
    };
    struct str detail = detail_text(arena, outcome->detail, words, COUNTOF(words));
    if (remote) detail = str_fmt(arena, "%.*s%.*s", STR_ARGS(ca->profile->remote_prefix), STR_ARGS(detail));
    return (struct problem){.type = outcome->type,
                            .status = outcome->status,
                            .detail = detail,
                            .identifier = name,
                            .address = address_canonical(name)};
}

static void failure_keep(const struct ca *ca, struct ca_challenge *challenge, const struct problem *problem)
{
    struct ca_failure **at = &challenge->failures, *oldest = *at;
    if (++challenge->n_failures > MAX_FAILURES || ca->profile->errors != ERRORS_APPEND) {
        if (oldest) *at = oldest->next;
        free(oldest);
    }
    while (*at)
        at = &(*at)->next;
    *at = ca_failure_new(problem);
}

static void challenge_valid(struct ca *ca, struct turn *turn, struct ca_challenge *challenge)
{
    ca_move_or_error(ca, turn, &challenge->subject, challenge_url(ca, turn->arena, challenge), EV_QUERY_OK);
    if (challenge->subject.status == STATUS_VALID) {
        /* Section 8 with erratum 5732: error is for what is processing or invalid. */
        challenge->validated_ms = turn->now_ms;
        ca_failures_free(challenge->failures);
        challenge->failures = NULL;
        authz_challenge_valid(ca, turn, challenge->authz);
    }
    validation_end(ca, turn, challenge);
}

/* What the profile makes of a failed query: the event, and whether the server tries again. */
static enum lifecycle_event failure_event(const struct ca *ca, const struct ca_challenge *challenge,
                                          const struct outcome *outcome, bool *ret_retries)
{
    const struct profile *profile = ca->profile;
    *ret_retries = false;
    if (outcome->then == THEN_FINAL) return EV_GAVE_UP;
    if (outcome->then == THEN_STAYS) return EV_QUERY_FAILED;
    if (profile_retries(profile, outcome) && challenge->validation->retries < profile->retry.count) {
        *ret_retries = true;
        return EV_QUERY_FAILED;
    }
    /* No more retries: the schedule is used up, or it is not for this kind of failure. */
    bool for_this = profile->retry.count == 0 || profile_retries(profile, outcome);
    return profile->gives_up || !for_this ? EV_GAVE_UP : EV_QUERY_FAILED;
}

static void challenge_failed(struct ca *ca, struct turn *turn, struct ca_challenge *challenge,
                             const struct verdict *verdict, bool remote)
{
    const struct outcome *outcome = profile_outcome(ca->profile, challenge->type, verdict->failure);
    struct problem problem = failure_problem(ca, turn, challenge, outcome, verdict, remote);
    struct ca_validation *validation = challenge->validation;
    bool retries;
    failure_keep(ca, challenge, &problem);
    enum lifecycle_event event = failure_event(ca, challenge, outcome, &retries);
    ca_move_or_error(ca, turn, &challenge->subject, challenge_url(ca, turn->arena, challenge), event);
    if (challenge->subject.status == STATUS_INVALID) {
        authz_challenge_failed(ca, turn, challenge);
        validation_end(ca, turn, challenge);
        return;
    }
    if (retries) {
        int64_t wait_ms = retry_wait_ms(ca, validation);
        validation->retries++;
        validation->retry_planned = true;
        plan_query(ca, challenge, turn->now_ms + wait_ms);
    }
    release(ca, turn, challenge);
}

/* The first failure of the first place decides; of the others, more than the quorum lets fail do, and the last of them
 * is told. */
static bool is_fatal(const struct ca *ca, struct ca_validation *validation, int perspective)
{
    return perspective == 0 || ++validation->remote_failures > ca->profile->quorum;
}

void challenge_verdict(struct ca *ca, struct turn *turn, const struct msg *in)
{
    struct ca_probe probe;
    if (!ca_probe_take(&ca->store, in->flow, &probe)) return;
    struct ca_challenge *challenge = probe.challenge;
    struct ca_validation *validation = challenge->validation;
    /* Late: the query was decided by another of its probes, or nobody cares any more. */
    if (!validation || !validation->in_flight || probe.attempt != validation->attempt) return;
    if (!in->as.verdict.ok && is_fatal(ca, validation, probe.perspective)) {
        validation->in_flight = 0;
        challenge_failed(ca, turn, challenge, &in->as.verdict, probe.perspective > 0);
    } else if (--validation->in_flight == 0) {
        challenge_valid(ca, turn, challenge);
    }
}

/* --- requests --- */

/* A response that comes too late. Where it changes nothing that anybody could still hope for, the truth is answer
 * enough, unless this CA refuses responses sent again. */
static void answer_closed(struct visit *visit, struct ca_challenge *challenge)
{
    enum status authz = challenge->authz->subject.status;
    bool harmless = is_final(challenge)
                        ? authz != STATUS_DEACTIVATED && authz != STATUS_EXPIRED && authz != STATUS_REVOKED
                        : authz == STATUS_VALID;
    if (harmless && visit->ca->profile->client_retry != CLIENT_RETRY_REFUSED)
        challenge_show(visit->ca, visit->turn, challenge, visit->script, &visit->answer);
    else
        answer_refuse(&visit->answer, visit->turn, 0, "malformed",
                      "the challenge is %s, its authorization %s: it takes no response",
                      status_text(challenge->subject.status), status_text(authz));
}

/* Section 8.2: the client asks for another query. false: the answer is set. */
static bool asked_again(struct visit *visit, struct ca_challenge *challenge)
{
    struct ca *ca = visit->ca;
    struct turn *turn = visit->turn;
    const struct profile *profile = ca->profile;
    struct ca_validation *validation = challenge->validation;
    int64_t every_ms = ca_wait_ms(ca, profile->client_retry_every_ms);
    if (profile->client_retry == CLIENT_RETRY_REFUSED) {
        answer_refuse(&visit->answer, turn, 0, "malformed", "the challenge is being validated already");
        return false;
    }
    if (profile->client_retry == CLIENT_RETRY_IGNORED) {
        challenge_show(ca, turn, challenge, visit->script, &visit->answer);
        return false;
    }
    if (validation->asked && turn->now_ms - validation->asked_ms < every_ms) {
        answer_refuse(&visit->answer, turn, 0, "rateLimited", "one response to a challenge in %lld s is enough",
                      (long long)((every_ms + 999) / 1000));
        visit->answer.retry_at_ms = validation->asked_ms + every_ms;
        visit->answer.retry_always = true;
        return false;
    }
    return true;
}

/* A response, or with read_queries a look, moves the challenge and leads to a query. false: the answer is set. */
static bool respond(struct visit *visit, struct ca_challenge *challenge, bool reads)
{
    struct ca *ca = visit->ca;
    struct turn *turn = visit->turn;
    enum lifecycle_event event = challenge->tried ? EV_RETRY_ASKED : EV_RESPONSE;
    bool again = challenge->tried && challenge->validation;
    if (again && !reads && !asked_again(visit, challenge)) return false;
    if (challenge_move(ca, turn, challenge, event)) {
        if (reads) challenge_show(ca, turn, challenge, visit->script, &visit->answer);
        else
            answer_refuse(&visit->answer, turn, 0, "malformed", "a challenge that is %s takes no response here",
                          status_text(challenge->subject.status));
        return false;
    }
    challenge->tried = true;
    bool begins = !challenge->validation;
    if (begins) validation_start(challenge);
    if (begins || !reads) validation_binds(ca, turn, challenge);
    struct ca_validation *validation = challenge->validation;
    if (!reads) {
        validation->asked = true;
        validation->asked_ms = turn->now_ms;
    }
    if (!again) plan_query(ca, challenge, turn->now_ms + ca_wait_ms(ca, ca->profile->query_delay_ms));
    else query_now(ca, turn, challenge);
    if (again && !reads && ca->profile->client_retry_restarts) validation->retries = 0;
    return true;
}

static struct ca_challenge *challenge_at(const struct visit *visit)
{
    struct ca_authz *authz = ca_authz_at(&visit->ca->store, visit->id);
    enum challenge_type type;
    if (!authz || !str_starts(visit->rest, "/")) return NULL;
    if (!challenge_type_read((struct str){visit->rest.at + 1, visit->rest.n - 1}, &type)) return NULL;
    for (size_t i = 0; i < authz->n_challenges; i++)
        if (authz->challenges[i].type == type) return &authz->challenges[i];
    return NULL;
}

/* Would the law let a response do anything? Whether the authorization still counts matters only before the first one: a
 * law that revives invalid challenges means it. */
static bool is_open(const struct ca *ca, const struct ca_challenge *challenge)
{
    enum lifecycle_event event = challenge->tried ? EV_RETRY_ASKED : EV_RESPONSE;
    if (is_final(challenge))
        return ca->profile->law.to[OBJECT_CHALLENGE][challenge->subject.status][event] != STATUS_NONE;
    return challenge->authz->subject.status == STATUS_PENDING;
}

void challenge_post(struct visit *visit)
{
    struct ca *ca = visit->ca;
    struct ca_challenge *challenge = challenge_at(visit);
    struct challenge_doc response;
    if (!challenge) {
        visit_not_found(visit, "challenge");
        return;
    }
    visit->authz = challenge->authz;
    if (!visit_owns(visit, challenge->authz->account)) return;
    bool reads = visit->jws.payload.n == 0;
    if (visit_scripted(visit, reads ? REQUEST_POLL_CHALLENGE : REQUEST_ANSWER_CHALLENGE)) return;
    bool plain = str_is(visit->jws.payload, "{}");
    if (!reads && ((ca->profile->strict_payloads && !plain) ||
                   challenge_read(visit->turn->arena, visit->jws.payload, &response))) {
        answer_refuse(&visit->answer, visit->turn, 0, "malformed",
                      "the payload of a response is a JSON object, such as {}");
        return;
    }
    if (reads && !(ca->profile->read_queries && is_open(ca, challenge))) {
        challenge_show(ca, visit->turn, challenge, visit->script, &visit->answer);
        return;
    }
    if (!is_open(ca, challenge)) {
        answer_closed(visit, challenge);
        return;
    }
    if (!respond(visit, challenge, reads)) return;
    if (ca->profile->validates_inside_post) hold(visit, challenge);
    else challenge_show(ca, visit->turn, challenge, visit->script, &visit->answer);
}
