/* The assertions of a scenario, tried on a view. Private to oracle. */
#ifndef ORACLE_EXPECT_H
#define ORACLE_EXPECT_H

#include "oracle/oracle.h"

/* How one assertion went. */
struct trial {
    enum result result; /* PASS, LENIENT, VACUOUS, FAIL */
    bool missing;       /* of FAIL: something did not happen, rather than something happened that must not */
    struct str expected, observed, hint;
    uint64_t seq;
    int64_t t_ms;
};

struct court {
    const struct view *view;
    const struct oracle_options *options;
    const struct scenario *scenario; /* NULL: none */
    struct arena *arena;             /* texts */
    int64_t start_ms;                /* when the client first spoke */
};

struct trial expect_try(const struct court *court, const struct expectation *expectation);

/* Does the message of this fact have that part? *ret_got says what is there, in words. */
bool has_holds(const struct court *court, const struct fact *fact, const struct has *has, struct str *ret_got);

#endif
