/* What an observer of the wire may know: wire.* events read as deeds. It opens JWS envelopes, recognises resources by
 * the URLs that the directory, Location headers and object members handed out, and follows the statuses that replies
 * showed. It never looks at state.* records. One view judges our CA, a foreign CA and a recorded log alike. */
#ifndef ORACLE_VIEW_H
#define ORACLE_VIEW_H

#include "acme/resource.h"
#include "plan/phrase.h"
#include "wire/event.h"

/* One ACME exchange, or one validation query, as understood. */
struct exchange {
    const struct event *request, *response; /* response NULL: none came */
    uint64_t flow;
    struct str url, method;
    bool is_jws;
    struct str alg, nonce, kid, jwk, jws_url, payload; /* of the protected header; payload decoded */
    bool post_as_get;
    enum resource_kind {
        RESOURCE_UNKNOWN,
        RESOURCE_DIRECTORY,
        RESOURCE_NEW_NONCE,
        RESOURCE_NEW_ACCOUNT,
        RESOURCE_NEW_ORDER,
        RESOURCE_NEW_AUTHZ,
        RESOURCE_REVOKE_CERT,
        RESOURCE_KEY_CHANGE,
        RESOURCE_RENEWAL_INFO, /* of one certificate */
        RESOURCE_ACCOUNT,
        RESOURCE_ORDERS, /* a page of an account's list */
        RESOURCE_ORDER,
        RESOURCE_AUTHZ,
        RESOURCE_CHALLENGE,
        RESOURCE_FINALIZE,
        RESOURCE_CERTIFICATE,
        RESOURCE_OTHER
    } resource;
    struct thing *thing; /* the order, authz or challenge concerned; NULL = none */
    int status;          /* of the response; 0 = none */
    bool has_problem;
    struct problem problem;
    bool has_retry_after, retry_after_legal, retry_after_is_date;
    int64_t retry_after_ms; /* run time (event t_ms) at which it ends */
};

/* An order, authorization or challenge that the wire showed. */
struct thing {
    enum object object;
    struct str url;
    struct thing *parent; /* challenge -> authz; authz -> first order that listed it; order -> NULL */
    struct str name;      /* identifier; of an order the first */
    bool challenge_known;
    enum challenge_type type;
    struct str token;
    enum status status; /* as last shown */
};

/* A deed in time: what phrases match. */
struct fact {
    uint64_t seq; /* of the event that proves it */
    int64_t t_ms;
    enum deed deed;
    const struct thing *thing;       /* whose */
    const struct exchange *exchange; /* NULL for validation queries seen at the responder */
    enum status was, now;            /* BECOMES, LEAVES */
    struct str name;
};

struct view {
    struct arena arena;
    const struct history *history; /* borrowed */
    struct exchange *exchanges;
    size_t n_exchanges;
    struct thing **things;
    size_t n_things;
    struct fact *facts;
    size_t n_facts; /* in order of time */
    struct str mode, end_text;
    int64_t epoch_ms, end_ms; /* UTC of t = 0; t of run.end or of the last record */
};
/* Reads the whole history. Never fails: what it cannot understand is RESOURCE_UNKNOWN. */
void view_read(struct view *view, const struct history *history);
void view_done(struct view *view);

/* Does the fact match the phrase, ordinal left aside? */
bool view_matches(const struct fact *fact, const struct phrase *phrase);
/* The status of `phrase`'s object (DEED_IS) as shown at the time of record `seq`; for "OBJ is STATE" conditions about
 * the same object as `fact`, its parent or its child. */
bool view_holds(const struct view *view, const struct fact *fact, const struct phrase *condition);

#endif
