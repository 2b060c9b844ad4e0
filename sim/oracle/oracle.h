/* The judge: folds over the events of a run. It has never met an actor; the same log gives the same verdicts, live or
 * from a file. */
#ifndef ORACLE_ORACLE_H
#define ORACLE_ORACLE_H

#include "oracle/view.h"
#include "plan/scenario.h"

enum result {
    RESULT_PASS,
    RESULT_LENIENT, /* passed by a lenient reading: yellow */
    RESULT_VACUOUS, /* nothing happened that could have failed it: yellow */
    RESULT_FAIL,
    RESULT_ERROR /* broken by the party that is ours: the harness is at fault */
};
const char *result_text(enum result result); /* "pass" "lenient" "vacuous" "FAIL" "ERROR" */

/* One finding: of an expectation or of an always-on rule. */
struct finding {
    enum result result;
    struct str name;   /* "expect[4] never", "rule nonce-reuse" */
    struct str clause; /* "rfc8555#8.2-server-retries"; empty = none */
    enum level level;
    enum party party;              /* who is judged */
    struct str claim;              /* what must hold, in one sentence */
    struct str why;                /* why it matters; empty = not known */
    struct str expected, observed; /* in words, with times */
    struct str hint;               /* empty = none */
    uint64_t seq;                  /* the offending record, 0 = none */
    int64_t t_ms;
    struct str file;
    int line, column;
    struct str source; /* of the expectation; empty for rules */
};

struct verdict_list {
    struct finding *at;
    size_t n, room;
};
struct judgement {
    struct arena arena;
    struct view view;
    struct verdict_list findings; /* expectations in file order, then rules; rules that passed are listed too */
    enum result result;           /* the worst that counts: FAIL by a SHOULD counts as a warning unless strict */
    bool vacuous;                 /* some expectation was */
    int warnings;                 /* lenient, vacuous, failed SHOULD / MAY */
};
struct oracle_options {
    enum mode mode;
    bool strict;   /* SHOULD counts as MUST, vacuous as FAIL */
    int64_t speed; /* our waits were divided by this: gaps and durations of the scenario shrink alike */
};
/* scenario may be NULL: rules only. history is borrowed and must outlive the judgement. */
void oracle_judge(struct judgement *judgement, const struct history *history, const struct scenario *scenario,
                  const struct oracle_options *options);
void judgement_done(struct judgement *judgement);

/* Always-on rules: a row each, a fold over the view. */
struct check;
typedef void fold_fn(const struct view *view, const struct check *check, struct verdict_list *findings,
                     struct arena *arena);
struct check {
    const char *id; /* as in a scenario's "unless" */
    const char *clause, *section;
    enum level level;
    enum party judged;
    const char *claim;
    fold_fn *fold;
};
/* All checks of all check_*.c tables. NULL past the last. */
const struct check *check_at(size_t i);

#endif
