/* Authorizations: RFC 8555 sections 7.1.4 and 7.5, and how their challenges move them (7.1.6). */
#include "acme/address.h"
#include "actor/ca_parts.h"
#include "base/when.h"

#include <assert.h>
#include <string.h>

struct str authz_url(const struct ca *ca, struct arena *arena, const struct ca_authz *authz)
{
    return ca_url(ca, arena, "/authz/%u", (unsigned)authz->id);
}

struct identifier_doc authz_identifier(const struct ca_authz *authz)
{
    return (struct identifier_doc){address_canonical(authz->name) ? STR("ip") : STR("dns"), authz->name};
}

size_t authz_types(const struct ca *ca, struct str name, bool wildcard, enum challenge_type ret[CHALLENGE_TYPE_COUNT])
{
    size_t n = 0;
    bool address = address_canonical(name);
    for (size_t i = 0; i < ca->n_offered; i++) {
        const struct challenge_row *row = challenge_row(ca->offered[i]);
        if ((!wildcard || row->wildcard) && (!address || row->address)) ret[n++] = ca->offered[i];
    }
    return n;
}

struct ca_authz *authz_create(struct ca *ca, struct turn *turn, struct ca_account *account, struct str name,
                              bool wildcard)
{
    enum challenge_type types[CHALLENGE_TYPE_COUNT];
    size_t n = authz_types(ca, name, wildcard, types);
    struct ca_authz *authz = ca_authz_new(&ca->store, account, name, wildcard, n);
    authz->expires_ms = turn->now_ms + ca->profile->authz_lifetime_ms;
    heap_push(&ca->authz_ends, authz->expires_ms, authz);
    for (size_t i = 0; i < n; i++) {
        struct ca_challenge *challenge = &authz->challenges[i];
        struct str token = challenge_token(turn->arena, turn->rng);
        assert(token.n < sizeof challenge->token);
        challenge->subject = lifecycle_born(OBJECT_CHALLENGE, STATUS_PENDING);
        challenge->type = types[i];
        challenge->authz = authz;
        memcpy(challenge->token, token.at, token.n);
    }
    turn_note_state(turn, object_text(OBJECT_AUTHZ), authz_url(ca, turn->arena, authz), "created",
                    status_text(STATUS_NONE), status_text(authz->subject.status));
    return authz;
}

/* --- what is shown --- */
static bool shows(const struct ca *ca, enum status authz, const struct ca_challenge *challenge)
{
    return authz != STATUS_INVALID || !ca->profile->invalid_authz_shows_only_tried || challenge->tried;
}

void authz_answer(struct visit *visit, struct ca_authz *authz)
{
    const struct ca *ca = visit->ca;
    struct turn *turn = visit->turn;
    const struct reply *script = visit->script;
    bool claimed = script && script->authz != STATUS_NONE, validating = false;
    enum status shown = claimed ? script->authz : authz->subject.status;
    struct authz_doc doc = {
        .status = str_c(status_text(shown)),
        .expires = when_rfc3339(turn->arena, authz->expires_ms),
        .identifier = authz_identifier(authz),
        .wildcard = authz->wildcard,
        .challenges = ARENA_ARRAY(turn->arena, struct challenge_doc, authz->n_challenges),
    };
    for (size_t i = 0; i < authz->n_challenges; i++) {
        const struct ca_challenge *challenge = &authz->challenges[i];
        if (!shows(ca, shown, challenge)) continue;
        struct challenge_doc *one = &doc.challenges[doc.n_challenges++];
        challenge_doc_fill(ca, turn, challenge, script, one);
        validating = validating || str_is(one->status, status_text(STATUS_PROCESSING)) || challenge_busy(challenge);
    }
    if (shown == STATUS_PENDING && validating && ca->profile->retry_after_authz_ms)
        visit->answer.retry_at_ms = turn->now_ms + ca_wait_ms(ca, ca->profile->retry_after_authz_ms);
    answer_json(&visit->answer, claimed && script->status ? script->status : 200, authz_write(turn->arena, &doc));
}

/* Section 7.5.2. */
static void authz_deactivate(struct visit *visit, struct ca_authz *authz)
{
    if (!deactivation_read(visit->turn->arena, visit->jws.payload)) {
        answer_refuse(&visit->answer, visit->turn, 0, "malformed",
                      "the payload is neither empty nor {\"status\": \"deactivated\"}");
        return;
    }
    if (authz_end(visit->ca, visit->turn, authz, EV_DEACTIVATED))
        answer_refuse(&visit->answer, visit->turn, 0, "malformed", "the authorization is %s and cannot be deactivated",
                      status_text(authz->subject.status));
    else authz_answer(visit, authz);
}

void authz_post(struct visit *visit)
{
    struct ca_authz *authz = ca_authz_at(&visit->ca->store, visit->id);
    if (!authz) {
        visit_not_found(visit, "authorization");
        return;
    }
    visit->authz = authz;
    if (!visit_owns(visit, authz->account)) return;
    if (visit->jws.payload.n) {
        authz_deactivate(visit, authz);
        return;
    }
    if (visit_scripted(visit, authz->was_read ? REQUEST_POLL_AUTHZ : REQUEST_READ_AUTHZ)) return;
    authz->was_read = true;
    authz_answer(visit, authz);
}

/* --- what moves it --- */
static void cancel_others(struct ca *ca, struct turn *turn, struct ca_authz *authz, const char *why)
{
    for (size_t i = 0; i < authz->n_challenges; i++)
        challenge_cancel(ca, turn, &authz->challenges[i], why);
}

/* It is in a final state other than valid, and so are the orders that count on it. */
static void authz_lost(struct ca *ca, struct turn *turn, struct ca_authz *authz, const struct ca_failure *why)
{
    cancel_others(ca, turn, authz, "the authorization was lost before this challenge was decided");
    ca_authz_unlist(&ca->store, authz);
    for (struct ca_link *link = authz->orders; link; link = link->next)
        order_authz_lost(ca, turn, link->order, why);
}

void authz_challenge_valid(struct ca *ca, struct turn *turn, struct ca_authz *authz)
{
    if (ca_move(ca, turn, &authz->subject, authz_url(ca, turn->arena, authz), EV_CHALLENGE_VALID)) return;
    if (authz->subject.status != STATUS_VALID) return;
    cancel_others(ca, turn, authz, "the authorization is valid by another challenge");
    ca_authz_list(&ca->store, authz);
    for (struct ca_link *link = authz->orders; link; link = link->next)
        order_authz_valid(ca, turn, link->order);
}

void authz_challenge_failed(struct ca *ca, struct turn *turn, struct ca_challenge *challenge)
{
    struct ca_authz *authz = challenge->authz;
    enum lifecycle_event event = EV_CHALLENGES_EXHAUSTED;
    limit_failed(ca, turn, authz);
    for (size_t i = 0; i < authz->n_challenges; i++)
        if (authz->challenges[i].subject.status != STATUS_INVALID) event = EV_CHALLENGE_FAILED;
    if (ca_move(ca, turn, &authz->subject, authz_url(ca, turn->arena, authz), event)) return;
    if (authz->subject.status != STATUS_INVALID) return;
    const struct ca_failure *last = challenge->failures;
    while (last && last->next)
        last = last->next;
    authz_lost(ca, turn, authz, last);
}

enum err authz_end(struct ca *ca, struct turn *turn, struct ca_authz *authz, enum lifecycle_event event)
{
    enum err err = ca_move(ca, turn, &authz->subject, authz_url(ca, turn->arena, authz), event);
    if (err || !status_is_final(OBJECT_AUTHZ, authz->subject.status)) return err;
    struct ca_failure why = {.problem = problem_new(turn->arena, "unauthorized", "the authorization of %.*s is %s",
                                                    STR_ARGS(authz->name), status_text(authz->subject.status))};
    authz_lost(ca, turn, authz, &why);
    return OK;
}
