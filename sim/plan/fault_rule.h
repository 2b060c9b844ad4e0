/* Which message a fault meets: ca.faults of a scenario. A rule first says which of our CA's replies concern it (where,
 * name, account, order), then which of those it takes (nth, every, times). Whoever applies rules counts. */
#ifndef PLAN_FAULT_RULE_H
#define PLAN_FAULT_RULE_H

#include "wire/fault.h"

/* A request to the CA by what it is for. */
enum request_name {
    REQUEST_DIRECTORY,
    REQUEST_NEW_NONCE,
    REQUEST_NEW_ACCOUNT,
    REQUEST_NEW_ORDER,
    REQUEST_READ_AUTHZ,
    REQUEST_ANSWER_CHALLENGE,
    REQUEST_POLL_CHALLENGE,
    REQUEST_POLL_AUTHZ,
    REQUEST_POLL_ORDER,
    REQUEST_FINALIZE,
    REQUEST_CERTIFICATE,
    REQUEST_ACCOUNT, /* read, update, deactivation */
    REQUEST_ORDERS,
    REQUEST_CHANGE_KEY,
    REQUEST_NEW_AUTHZ,
    REQUEST_REVOKE_CERTIFICATE,
    REQUEST_RENEWAL_INFORMATION,
    REQUEST_COUNT,
    REQUEST_ANY = REQUEST_COUNT, /* in a rule: every request, also one that is none of these */
    REQUEST_CONNECT              /* in a rule: a connection, before any request */
};
const char *request_name_text(enum request_name name); /* "new order", "answer challenge" ... "any", "connect" */
/* All of them; for rules with "any" and "connect", too. */
const char *const *request_names(bool for_rules, size_t *ret_n);

struct fault_rule {
    const struct fault *fault;
    enum request_name where;
    struct str name; /* the order or authorization is for this DNS name; empty = for any, or none */
    int account;     /* the account made as the nth; 0 = any, or none */
    int order;       /* the order made as the nth, its authorizations and challenges too; 0 = any, or none */
    int nth, every;  /* the first reply that is met, and then each how many-th: 1, 1 */
    int times;       /* 1; 0 = for ever */
};

/* A reply, as far as rules can tell replies apart. */
struct fault_rule_subject {
    enum request_name where; /* REQUEST_ANY: none of those that have a name */
    struct str names[16];    /* of its order or authorization, with "*." */
    size_t n_names;
    int account;    /* 0 = none */
    int orders[16]; /* it is for one of these, or an authorization of several uses it */
    size_t n_orders;
};
bool fault_rule_concerns(const struct fault_rule *rule, const struct fault_rule_subject *subject);
/* `seen`: how many replies have concerned the rule by now, this one too. */
bool fault_rule_takes(const struct fault_rule *rule, int64_t seen);

#endif
