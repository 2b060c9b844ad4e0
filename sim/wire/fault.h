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

/* How the greeting of a connection goes wrong. */
enum handshake {
    HANDSHAKE_GOOD,
    HANDSHAKE_STALLS,
    HANDSHAKE_RESET,
    HANDSHAKE_CLOSED,
    HANDSHAKE_EXPIRED,    /* the server's certificate is out of date */
    HANDSHAKE_OTHER_NAME, /* or another server's */
};
/* In applies_to: a connection, before any message. Where connections are only simulated, each request has its own, and
 * the fault acts on the response. */
#define FAULT_CONNECT (1u << MSG_KIND_COUNT)

typedef void fault_fn(struct msg *msg, struct fault_memory *memory);

struct fault {
    const char *name;
    unsigned applies_to; /* bit per msg_kind, or FAULT_CONNECT */
    fault_fn *apply;
    const char *help; /* one sentence for `acmedrill list faults` */
    enum handshake handshake;
};
/* Whether the gate lets it act on a message of this kind. */
bool fault_acts_on(const struct fault *fault, enum msg_kind kind);

const struct fault *fault_find(struct str name); /* NULL: unknown */
const struct fault *fault_table(size_t *ret_n);
const char *const *fault_names(size_t *ret_n); /* for "did you mean" */
/* Watches every response that crosses the gate, faulty or not, so that memory has what rows need. */
void fault_remember(struct fault_memory *memory, const struct msg *msg);

#endif
