/* Faults: what can happen to a message at the gate. A table of named transforms; a new fault is a row and a function.
 * No dice: a fault is named, placed and counted by whoever marks the message with it. */
#ifndef WIRE_FAULT_H
#define WIRE_FAULT_H

#include "wire/msg.h"

/* What an earlier message may lend to a later one (a stale nonce). One per run, owned by the hall. */
struct fault_memory {
    struct str old_nonce; /* the first Replay-Nonce ever sent; in `arena` */
    struct arena arena;
};

typedef void fault_fn(struct msg *msg, struct fault_memory *memory);

struct fault {
    const char *name;
    unsigned applies_to; /* bit per msg_kind */
    fault_fn *apply;
    const char *help; /* one sentence for `acmedrill list faults` */
};

const struct fault *fault_find(struct str name); /* NULL: unknown */
const struct fault *fault_table(size_t *ret_n);
const char *const *fault_names(size_t *ret_n); /* for "did you mean" */
/* Watches every response that crosses the gate, faulty or not, so that memory has what rows need. */
void fault_remember(struct fault_memory *memory, const struct msg *msg);

#endif
