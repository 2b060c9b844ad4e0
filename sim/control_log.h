/* The last records of a history that has no end, kept as lines to be asked for: by number, kind, flow, or by what they
 * are about. A request is about all that its JWS says, too, and all records of a flow are about the same. */
#ifndef CONTROL_LOG_H
#define CONTROL_LOG_H

#include "wire/event.h"

struct control_log;

struct control_question {
    uint64_t after;      /* only records with a higher number */
    struct str kind;     /* "wire.request"; empty: any */
    uint64_t flow;       /* 0: any */
    struct str about[4]; /* texts that a record of the flow must have, all of them */
    size_t n_about;
    size_t limit; /* the oldest so many */
};

/* Keeps at most CONTROL_LOG_LINES records of at most CONTROL_LOG_BYTES together; older ones are forgotten. */
enum { CONTROL_LOG_LINES = 20000, CONTROL_LOG_BYTES = 32 << 20 };
struct control_log *control_log_new(void);
void control_log_free(struct control_log *log);
void control_log_add(struct control_log *log, const struct event *event);
void control_log_clear(struct control_log *log);
uint64_t control_log_last(const struct control_log *log); /* number of the newest record; 0: none */
/* The answer as JSON Lines, in order; empty: none. */
struct str control_log_ask(const struct control_log *log, const struct control_question *question, struct arena *arena);

#endif
