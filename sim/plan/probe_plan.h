/* A probe: the questions that are put to a CA, to learn what it decides where RFC 8555 leaves it the choice. Each row
 * is a scenario of its own, with one name, one order and one challenge type that is answered in one way; our client
 * then looks, responds again, and tries another challenge of the same authorization. The rows are data; what they
 * showed is read from the history (oracle/probe.h). */
#ifndef PLAN_PROBE_PLAN_H
#define PLAN_PROBE_PLAN_H

#include "plan/scenario.h"

enum probe_kind {
    PROBE_GOOD,  /* the proof is right: the order is finalized, too */
    PROBE_BAD,   /* it is not: watched, then a response again, then another challenge */
    PROBE_AGAIN, /* it is not, and responses are sent again while the server may still be trying */
    PROBE_ALL    /* every challenge of the authorization fails, one after the other */
};
struct probe_row {
    const char *name; /* "404" */
    enum challenge_type type;
    enum probe_kind kind;
    const char *answer;  /* as in a scenario's `responder` */
    const char *failure; /* the row of a profile's `outcomes` that it shows; NULL: none */
};
/* NULL past the last. */
const struct probe_row *probe_row_at(size_t i);
/* "http-01 404" */
struct str probe_row_name(struct arena *arena, const struct probe_row *row);
/* The challenge that is tried when the row's own has been watched. */
enum challenge_type probe_sibling(const struct probe_row *row);
/* In which order PROBE_ALL has them fail. */
extern const enum challenge_type probe_all_types[3];

struct probe_limits {
    int64_t limit_ms;  /* for which the server is watched, in each row */
    int64_t every_ms;  /* between two looks; whatever Retry-After says, for that is what is measured */
    struct str suffix; /* of the names that are ordered: a server may know those of an earlier probe; may be empty */
};
int64_t probe_every_ms(int64_t limit_ms);
/* The scenario of a row. Its id is "probe/http-01-404". */
struct scenario *probe_scenario(struct arena *arena, const struct probe_row *row, const struct probe_limits *limits);
/* The same beginning and nothing else: is there anybody, and do they give us an order? "probe/reach" */
struct scenario *probe_reach(struct arena *arena, const struct probe_limits *limits);

#endif
