/* What the rooms of the CA share. Nobody outside ca*.c includes this. */
#ifndef ACTOR_CA_PARTS_H
#define ACTOR_CA_PARTS_H

#include "acme/jws.h"
#include "acme/resource.h"
#include "actor/ca.h"
#include "actor/ca_store.h"
#include "base/heap.h"

struct ca_cursor {
    size_t at; /* entry of the list of replies */
    int used;  /* times it has been given */
};
struct ca {
    struct actor actor;
    struct ca_options options;
    const struct profile *profile;
    struct arena arena;                                       /* texts as old as the CA */
    struct str base_url, base_path, directory_url, directory; /* in `base` */
    struct arena base;
    const enum challenge_type *offered; /* the scenario's list, or the profile's */
    size_t n_offered;
    struct ca_store store;
    struct heap queries;                /* of struct ca_challenge; stale when its validation plans another time */
    struct heap issues;                 /* of struct ca_order; stale likewise */
    struct heap authz_ends, order_ends; /* of struct ca_authz and struct ca_order, by expiry */
    struct ca_cursor cursors[REQUEST_COUNT];
    struct str terms;                      /* path of the present ones */
    int nonces_due;                        /* refusals, in hundredths: what `refused_nonces` has added up to */
    struct ca_table limits;                /* of ca_limit.c */
    int64_t concerned[SCENARIO_MAX_RULES]; /* how many replies each rule of the scenario has been concerned by */
};

/* --- ca_reply.c: what is said --- */
enum { ANSWER_MAX_HEADERS = 12 }; /* each alternate chain has one */
struct ca_answer {
    int status;
    const char *media; /* Content-Type; NULL: no body */
    struct str body;
    struct {
        const char *name;
        struct str value;
    } headers[ANSWER_MAX_HEADERS];
    size_t n_headers;
    int64_t retry_at_ms; /* Retry-After points there; 0 = none */
    bool retry_always;   /* even if the profile knows no Retry-After */
    bool no_nonce;       /* without Replay-Nonce */
};
void answer_header(struct ca_answer *answer, const char *name, struct str value);
void answer_json(struct ca_answer *answer, int status, struct str body);
void answer_problem(struct ca_answer *answer, struct turn *turn, const struct problem *problem);
/* A problem of that type; status 0: the usual one. */
void answer_refuse(struct ca_answer *answer, struct turn *turn, int status, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Posts the reply with its nonce, index link, Retry-After, and what the script says of delay, fault and Retry-After.
 * `fault`, or NULL: what a rule says, where the script names none. */
void answer_send(struct ca *ca, struct turn *turn, struct addr to, uint64_t flow, struct ca_answer *answer,
                 const struct reply *script, const struct fault *fault);

/* The next scripted reply claims that the order is processing, and the truth is told in its place: before the order was
 * finalized, and, where the claim is for "always", once it has left processing. */
bool script_waits(const struct ca *ca, enum request_name name, enum status order);
/* The next scripted reply to this kind of request; NULL: normal service. */
const struct reply *script_next(struct ca *ca, enum request_name name);
/* Is it an error in place of the request's effect? Then *answer is it. */
bool script_refuses(const struct reply *script, struct turn *turn, struct ca_answer *answer);
/* The problem of a script that says `error`, or that claims something invalid. */
struct problem script_problem(const struct reply *script, struct arena *arena);

/* A wait of ours, shortened by `speed`. */
int64_t ca_wait_ms(const struct ca *ca, int64_t ms);
struct str ca_url(const struct ca *ca, struct arena *arena, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The list that `error` shows: the last failure, with all as subproblems (RFC 8555 sections 6.7.1, 8.2) or bare. */
struct problem failures_problem(const struct ca_failure *first, bool all, struct arena *arena);

/* --- ca.c: one request, and statuses --- */
struct visit {
    struct ca *ca;
    struct turn *turn;
    const struct msg *in;
    struct str path, query; /* below the base URL */
    int64_t id;             /* of the object that the path names */
    struct str rest;        /* what the path says after it */
    struct jws jws;
    struct ca_account *account;   /* whose key signed; NULL: nobody, or a new key */
    struct key *key;              /* a new one, of newAccount, keyChange or revokeCert; whoever takes it clears this */
    enum request_name name;       /* REQUEST_ANY: none that has one */
    const struct ca_order *order; /* which the request is about; NULL: none, or not known */
    const struct ca_authz *authz; /* likewise */
    const struct reply *script;
    struct ca_answer answer;
    struct ca_held *held; /* no reply now; NULL: now */
};
/* --- ca_control.c --- */
/* URLs begin with `base` from now on (without a final "/"). */
void ca_rebase(struct ca *ca, struct str base);
/* They begin as the URL that somebody asked for. */
void ca_follow(struct ca *ca, struct str asked);
/* The CA decides as this profile and answers as this scenario (NULL: nothing is scripted), from its first line on. */
void ca_cast(struct ca *ca, const struct profile *profile, const struct scenario *scenario);
/* All objects, nonces and timers are gone. */
void ca_empty(struct ca *ca);
/* Takes the scripted reply for this request; true: it is an error and *answer is set, the request has no effect. */
bool visit_scripted(struct visit *visit, enum request_name name);
/* True if the payload is empty; else the answer is set. */
bool visit_reads(struct visit *visit);
void visit_not_found(struct visit *visit, const char *what);
/* True if the signer owns the object of `owner`; else the answer is set. */
bool visit_owns(struct visit *visit, const struct ca_account *owner);

/* Moves a status by the profile's law and notes the change. ERR_REFUSED: no such row, nothing happened. */
enum err ca_move(struct ca *ca, struct turn *turn, struct subject *subject, struct str url, enum lifecycle_event event);
/* The same, and if the law has no such row EV_ERROR: for what happens anyway. */
void ca_move_or_error(struct ca *ca, struct turn *turn, struct subject *subject, struct str url,
                      enum lifecycle_event event);

/* --- ca_account.c --- */
struct str account_url(const struct ca *ca, struct arena *arena, const struct ca_account *account);
void account_create(struct visit *visit);
void account_post(struct visit *visit);
void account_orders(struct visit *visit);
void account_answer(struct visit *visit, const struct ca_account *account, int status);

/* --- ca_terms.c --- */
struct str terms_url(const struct ca *ca, struct arena *arena);
void terms_get(struct visit *visit);
void terms_refuse(struct visit *visit, const char *detail);
/* True if the account has agreed to the present terms, or need not; else the answer is set. */
bool terms_accepted(struct visit *visit);

/* --- ca_binding.c --- */
/* True if the new account may be made with this externalAccountBinding (empty: none); *ret is what the account then
 * shows of it, empty if it was not verified. Else the answer is set. */
bool binding_accepted(struct visit *visit, struct str json, struct str *ret);

/* --- ca_limit.c --- */
/* Each of these is true, and counts the request, if the limits allow it; else the answer is set. Names as in an order.
 */
bool limit_account(struct visit *visit);
bool limit_order(struct visit *visit, const struct str *names, size_t n);
bool limit_authz(struct visit *visit, struct str name);
bool limit_certificate(struct visit *visit, const struct ca_order *order);
/* A challenge of this authorization has become invalid. */
void limit_failed(struct ca *ca, struct turn *turn, const struct ca_authz *authz);
void limits_get(struct visit *visit);

/* --- ca_key.c --- */
void key_change(struct visit *visit);

/* --- ca_order.c --- */
struct str order_url(const struct ca *ca, struct arena *arena, const struct ca_order *order);
/* Of a certificate of this kind; NULL: of the usual one. */
int64_t certificate_lifetime_ms(const struct ca *ca, const struct certificate_kind *kind);
void order_create(struct visit *visit);
void order_post(struct visit *visit);
void authz_new(struct visit *visit); /* newAuthz */
void order_answer(struct visit *visit, struct ca_order *order, int status);
/* What its authorizations do to an order. `why` may be NULL. */
void order_authz_valid(struct ca *ca, struct turn *turn, struct ca_order *order);
void order_authz_lost(struct ca *ca, struct turn *turn, struct ca_order *order, const struct ca_failure *why);
void order_fail(struct ca *ca, struct turn *turn, struct ca_order *order, enum lifecycle_event event,
                const struct problem *why);

/* --- ca_cert.c --- */
void cert_finalize(struct visit *visit);
void cert_post(struct visit *visit);
void cert_issue_due(struct ca *ca, struct turn *turn);

/* --- ca_revoke.c --- */
void revoke_post(struct visit *visit);

/* --- ca_renewal.c --- */
struct str renewal_id(const struct ca *ca, struct arena *arena, const struct ca_certificate *certificate);
void renewal_get(struct visit *visit);
/* May an order replace the certificate of this id? *ret is NULL when the id is empty or nobody asks here. Else the
 * answer is set. */
bool renewal_accepted(struct visit *visit, struct str replaces, struct ca_certificate **ret);

/* --- ca_status.c --- */
void ocsp_post(struct visit *visit);
void ocsp_get(struct visit *visit);
void crl_get(struct visit *visit);
void issuer_get(struct visit *visit);

/* --- ca_authz.c --- */
struct str authz_url(const struct ca *ca, struct arena *arena, const struct ca_authz *authz);
struct ca_authz *authz_create(struct ca *ca, struct turn *turn, struct ca_account *account, struct str name,
                              bool wildcard);
/* As the authorization shows it: of type "dns" or "ip" (RFC 8738), without "*.". */
struct identifier_doc authz_identifier(const struct ca_authz *authz);
/* The types offered for a name; 0: none. */
size_t authz_types(const struct ca *ca, struct str name, bool wildcard, enum challenge_type ret[CHALLENGE_TYPE_COUNT]);
void authz_post(struct visit *visit);
void authz_answer(struct visit *visit, struct ca_authz *authz);
void authz_challenge_valid(struct ca *ca, struct turn *turn, struct ca_authz *authz);
void authz_challenge_failed(struct ca *ca, struct turn *turn, struct ca_challenge *challenge);
/* Deactivation and expiry. */
enum err authz_end(struct ca *ca, struct turn *turn, struct ca_authz *authz, enum lifecycle_event event);

/* --- ca_challenge.c --- */
void challenge_doc_fill(const struct ca *ca, struct turn *turn, const struct ca_challenge *challenge,
                        const struct reply *script, struct challenge_doc *ret);
void challenge_post(struct visit *visit);
void challenge_verdict(struct ca *ca, struct turn *turn, const struct msg *in);
void challenge_query_due(struct ca *ca, struct turn *turn);
/* Its authorization is decided without it: no more queries. */
void challenge_cancel(struct ca *ca, struct turn *turn, struct ca_challenge *challenge, const char *why);
/* A query is under way or planned. */
bool challenge_busy(const struct ca_challenge *challenge);

#endif
