/* The four state machines of RFC 8555 section 7.1.6 as tables, and the one function that moves a status.
 *
 * A failed validation *query* (EV_QUERY_FAILED) and the server's *giving up* (EV_GAVE_UP) are two events: section
 * 8.2 lives in the difference. The rows are the RFC's; a `law` is a copy in which a CA's temperament may replace
 * the outcome of named rows ("pending response" -> "pending" for a CA that never shows processing). */
#ifndef ACME_LIFECYCLE_H
#define ACME_LIFECYCLE_H

#include "base/str.h"

enum object { OBJECT_ACCOUNT, OBJECT_ORDER, OBJECT_AUTHZ, OBJECT_CHALLENGE, OBJECT_COUNT };

/* Every status of every object. STATUS_NONE: not known, not shown. */
enum status {
    STATUS_NONE,
    STATUS_PENDING,
    STATUS_READY,
    STATUS_PROCESSING,
    STATUS_VALID,
    STATUS_INVALID,
    STATUS_DEACTIVATED,
    STATUS_EXPIRED,
    STATUS_REVOKED,
    STATUS_COUNT
};

enum lifecycle_event {
    /* challenge */
    EV_RESPONSE,     /* the client said it is ready: "response" */
    EV_QUERY_FAILED, /* one validation query failed: "query-failed" */
    EV_RETRY_ASKED,  /* the client sent its response again: "retry-asked" */
    EV_QUERY_OK,     /* a validation query succeeded: "query-ok" */
    EV_GAVE_UP,      /* the server will not query again: "gave-up" */
    /* authorization */
    EV_CHALLENGE_VALID,      /* "challenge-valid" */
    EV_CHALLENGE_FAILED,     /* one became invalid, untried ones are left: "challenge-failed" */
    EV_CHALLENGES_EXHAUSTED, /* the last offered one became invalid: "challenges-exhausted" */
    /* order */
    EV_AUTHZS_VALID, /* all are valid: "authzs-valid" */
    EV_AUTHZ_LOST,   /* one left pending or valid for another final state: "authz-lost" */
    EV_FINALIZE,     /* finalize accepted: "finalize" */
    EV_ISSUED,       /* the certificate exists: "issued" */
    /* several */
    EV_ERROR,       /* something else went wrong on the server: "error" */
    EV_DEACTIVATED, /* the client asked: "deactivated" */
    EV_EXPIRED,     /* "expired" */
    EV_REVOKED,     /* the server decided: "revoked" */
    EV_COUNT
};

const char *object_text(enum object o);   /* "account" "order" "authz" "challenge" */
const char *status_text(enum status s);   /* as on the wire; "none" for STATUS_NONE */
enum status status_read(struct str text); /* STATUS_NONE: not a status of RFC 8555 */
const char *lifecycle_event_text(enum lifecycle_event ev);
bool status_is_final(enum object o, enum status s);  /* no row of the RFC leaves it */
bool status_of_object(enum object o, enum status s); /* may an object of this kind have it at all */

/* to[o][from][ev]: the next status, or STATUS_NONE where the event is not allowed. */
struct law {
    enum status to[OBJECT_COUNT][STATUS_COUNT][EV_COUNT];
};

/* The rows of the RFC. */
void law_rfc8555(struct law *law);
/* Replaces one outcome: row "pending response", outcome "pending", or "refused" to forbid it. ERR_NOT_FOUND: no
 * such status or event for this object. */
enum err law_replace(struct law *law, enum object o, struct str row, struct str outcome);

/* A thing with a status. Nobody but lifecycle_apply writes .status (after lifecycle_born). */
struct subject {
    enum object object;
    enum status status;
};
struct subject lifecycle_born(enum object o, enum status initial);
/* Moves the subject. ERR_REFUSED: the law has no such row, nothing changed. *ret_was may be NULL. */
enum err lifecycle_apply(const struct law *law, struct subject *subject, enum lifecycle_event ev, enum status *ret_was);

/* What an observer may see between two looks at one object: equal, one edge of the RFC's figure, or a chain of them
 * (states may pass unseen). */
bool lifecycle_reachable(enum object o, enum status from, enum status to);

#endif
