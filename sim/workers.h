/* Several rehearsals at once, each in a process of its own: a crash of one is one ERROR, and each real rehearsal may
 * move into its own network namespace. */
#ifndef WORKERS_H
#define WORKERS_H

#include "rehearse.h"

/* Called in the order of the cases as soon as they are known. `result` lives in the arena given to workers_run. */
typedef void result_fn(void *context, size_t i, struct result_case *result);

/* Runs all cases with `jobs` processes (1 and simulate: in this process). Returns false when interrupted; the results
 * known so far have been delivered, the missing ones are ERROR "interrupted". */
bool workers_run(struct arena *arena, const struct rehearsal *how, struct scenario *const *cases, size_t n, int jobs,
                 bool fail_fast, result_fn *deliver, void *context);

#endif
