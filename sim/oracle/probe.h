/* What a probe showed (plan/probe_plan.h): a fold over the wire.* records of each row's history, the temperament that
 * follows from all of them, and what is made of that: features that two CAs have in common or not, a table, JSON, a
 * profile. Times are milliseconds since the response to the row's challenge was sent. */
#ifndef ORACLE_PROBE_H
#define ORACLE_PROBE_H

#include "oracle/view.h"
#include "plan/probe_plan.h"

enum { PROBE_MAX_QUERIES = 64, PROBE_MAX_SHOWN = 24, PROBE_MAX_AGAIN = 3, PROBE_MAX_ROWS = 24 };

/* What a validation query followed. */
enum probe_cause {
    PROBE_BY_RESPONSE, /* the first, or one right after a response was sent again */
    PROBE_BY_LOOK,     /* a POST-as-GET of the challenge */
    PROBE_BY_SERVER    /* nothing of ours: section 8.2's own retry */
};
struct probe_query {
    int64_t t_ms;
    int fetches; /* within a second */
    enum probe_cause cause;
};
/* A status that an object had not shown before. */
struct probe_shown {
    int64_t t_ms, last_ms; /* of the first reply that showed it, and of the last */
    enum object object;
    enum status status;
};
/* A Retry-After. */
enum probe_wait_form { PROBE_WAIT_NONE, PROBE_WAIT_SECONDS, PROBE_WAIT_DATE, PROBE_WAIT_ODD };
struct probe_wait {
    enum probe_wait_form form;
    int64_t t_ms, until_ms; /* of the reply, and what it says; ODD: 0 */
    struct str text;        /* as it came */
};
/* An answer to a POST to a challenge. */
struct probe_reply {
    bool sent;
    int64_t t_ms;
    int status;        /* HTTP; 0 = none came */
    struct str type;   /* of its problem, empty = none */
    enum status shows; /* of the challenge */
    bool has_error;    /* the challenge */
    int64_t wait_ms;   /* its Retry-After from then on, 0 = none */
    int queries;       /* that began within a second of it */
};
struct probe_measure {
    const struct probe_row *row;
    struct str gap;     /* why there is nothing to tell; empty: there is */
    bool unseen;        /* queries cannot be seen: the port is closed */
    int64_t watched_ms; /* until the response was sent again, or the end */
    struct probe_query queries[PROBE_MAX_QUERIES];
    size_t n_queries;
    int own; /* how many of them nothing of ours asked for, the first included */
    struct probe_shown shown[PROBE_MAX_SHOWN];
    size_t n_shown;
    enum status challenge, authz, order; /* at the end of the watch */
    bool processing;                     /* the challenge showed it */
    bool inside_post;                    /* the first reply came after the first query, with its outcome */
    bool followed;                       /* a redirect */
    bool has_error;
    struct problem error;             /* of the challenge, the last one */
    struct str pattern;               /* its text with {url} and the like in place of this row's own values */
    bool error_open;                  /* while it was neither valid nor invalid */
    size_t n_subproblems;             /* then, at most */
    int64_t failed_ms, not_failed_ms; /* the first reply that showed an error, and the last that did not; -1: none */
    struct probe_wait wait_before, wait_after; /* of the challenge, before and after it showed an error, open */
    struct probe_wait wait_authz, wait_order;  /* pending, with its challenge open; processing */
    bool saw_challenge, saw_authz, saw_order;  /* there was an occasion for each: a challenge open, and so on */
    int waits_next, waits_fixed;               /* of the challenge: just past what the server did next, or not */
    bool order_error;                          /* an invalid order had one */
    size_t n_listed, n_listed_lost;            /* challenges of the authorization, before and when it is invalid */
    bool finalized;
    int64_t finalized_ms;             /* the reply to it */
    int64_t issued_ms, not_issued_ms; /* then the first reply with a valid order, -1: none; the last with another */
    struct probe_reply first, again[PROBE_MAX_AGAIN];
    struct probe_reply other;                           /* the sibling's response */
    bool silent;                                        /* after it, a look at the authorization had no answer */
    enum status other_status, authz_after, order_after; /* in the end */
    bool all_failed, open_after_first; /* PROBE_ALL: every one; the authorization was pending after the first */
};

/* Reads the history of a row. Texts in the arena. */
void probe_measure(struct arena *arena, const struct probe_row *row, const struct history *history,
                   struct probe_measure *ret);

struct probing {
    struct str target; /* as it is called in reports */
    struct probe_limits limits;
    bool simulated;
    struct probe_measure rows[PROBE_MAX_ROWS]; /* as in the plan */
    size_t n_rows;
};
const struct probe_measure *probe_find(const struct probing *probe, enum challenge_type type, const char *name);

/* What all rows say together. */
struct temperament {
    bool offers[CHALLENGE_TYPE_COUNT];
    struct retry_schedule retry;
    bool retries, retry_complete; /* the last one was seen, not only the end of the watch */
    int gives_up;                 /* these are 1, 0, or -1: not seen */
    int processing, inside_post, read_queries, redirects, order_error, only_tried, before_failure;
    const char *errors, *client_retry; /* words of a profile; NULL: not seen */
    const char *failed_challenge;
    int64_t client_retry_every_ms; /* 0 = no limit; -1: not seen */
    int64_t query_delay_ms;        /* -1: not seen; with `delay_open` at least so long */
    bool delay_open;
    int64_t query_limit_ms, issue_delay_ms; /* -1: not seen */
    int fetches;                            /* of one query, 0: not seen */
    enum probe_wait_form wait_form;         /* of all; NONE where none was seen */
    bool wait_seen;                         /* there was an occasion for one */
    int64_t wait_challenge_ms;              /* -1 = just past the next query, 0 = none, -2 = no occasion */
    int64_t wait_authz_ms, wait_order_ms;   /* 0 = none, -2 = no occasion */
};
void temperament_read(const struct probing *probe, struct temperament *ret);

/* Something that can be seen of a CA, in words. */
struct probe_feature {
    struct str name, value; /* value empty: not seen */
    bool timed;             /* values alike if `ms` is: within a look and a tenth */
    int64_t ms;
};
struct probe_features {
    struct probe_feature at[160];
    size_t n;
};
void probe_features(struct arena *arena, const struct probing *probe, struct probe_features *ret);
/* How alike two CAs are: of what was seen of both, how much is the same. */
struct probe_likeness {
    struct str name; /* of the profile */
    size_t same, seen;
    struct str differs[160]; /* "retry: none, 12s x10 there" */
    size_t n_differs;
};
void probe_compare(struct arena *arena, const struct probing *probe, const struct probing *with,
                   struct probe_likeness *ret);
/* Nearest first. */
void probe_rank(struct probe_likeness *likenesses, size_t n);

struct str probe_text(struct arena *arena, const struct probing *probe, const struct probe_likeness *likenesses,
                      size_t n);
struct str probe_json(struct arena *arena, const struct probing *probe, const struct probe_likeness *likenesses,
                      size_t n);
/* A profile that says what was seen, and leaves the rest to PROFILE_DEFAULT: a file for `serve --profile`. */
struct str probe_profile(struct arena *arena, const struct probing *probe);

#endif
