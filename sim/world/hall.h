/* The hall: every message goes through it, and through one gate. Actors have seats; a seat may also lead to an edge: to
 * whoever is outside, by real sockets. The gate applies a marked fault and writes the log, exactly once per message.
 *
 * Virtual and real time differ by one function (hall_wait_fn). One thread, one queue ordered by (due, seq); nobody
 * below waits or reads a clock: the hall reads it once per turn. */
#ifndef WORLD_HALL_H
#define WORLD_HALL_H

#include "actor/actor.h"
#include "wire/fault.h"

#include <sys/select.h>

struct hall;

/* What one poll waits for. select(), because libcurl and libmicrohttpd both speak fd_set and libmicrohttpd's epoll mode
 * must not be used (performance notes in CONTRIBUTING.md). */
struct edge_wait {
    fd_set read, write, except;
    int max_fd;
    int64_t due_ms; /* an edge may lower it: UTC of its own next timer */
};

struct edge {
    /* Takes ownership of msg and sends it out. Must not block. */
    void (*send)(struct edge *edge, struct hall *hall, struct msg *msg);
    void (*prepare)(struct edge *edge, struct edge_wait *wait);
    /* After the poll: does what is ready; arrivals go to hall_arrive. */
    void (*ready)(struct edge *edge, struct hall *hall, const struct edge_wait *wait);
    void (*free)(struct edge *edge);
};

/* Moves the hall's time to due_ms, or, in real time, to when something arrived before that. Returns false to end the
 * run (interrupted). */
typedef bool hall_wait_fn(struct hall *hall, int64_t due_ms);

struct hall_options {
    hall_wait_fn *wait;
    int64_t start_ms;        /* UTC at t = 0 */
    int64_t latency_ms;      /* of every message between two actors */
    int64_t limit_ms;        /* the run ends after this long; 0 = none */
    uint64_t limit_messages; /* 0 = none */
    uint64_t seed;
    struct history *history; /* borrowed */
};

/* What an asker meets, in memory as on a socket: a response whose delivery has no status line loses its status, headers
 * and body at the gate; one that hangs, and a dropped message, is logged and reaches no actor; a truncated body reaches
 * an actor cut; a slow one arrives when its last byte does. */
struct hall *hall_new(const struct hall_options *options);
/* Seats take ownership. `word` is the name in the log. */
struct addr hall_seat(struct hall *hall, struct actor *actor);
struct addr hall_seat_edge(struct hall *hall, struct edge *edge, const char *word);
/* A name for a party that only ever sends from outside (a foreign CA asking our responder): logs need a word for it. */
struct addr hall_seat_word(struct hall *hall, const char *word);

/* For edges: a message from outside, addressed and with its flow (hall_next_flow for a new exchange). Takes ownership.
 */
void hall_arrive(struct hall *hall, struct msg *msg);
uint64_t hall_next_flow(struct hall *hall);
/* Writes down a fault that an edge acts out where there is no message. */
void hall_note_fault(struct hall *hall, const struct fault *fault, struct addr from, struct addr to);
int64_t hall_now_ms(const struct hall *hall);
/* For waits. */
void hall_set_now(struct hall *hall, int64_t now_ms); /* never backwards: earlier times are ignored */
struct edge *hall_edge(struct hall *hall, size_t i);  /* NULL past the last */
bool hall_stopped(const struct hall *hall);
int hall_wake_fd(struct hall *hall); /* readable once hall_stop was called; -1: none could be made */

/* Runs until every actor that can finish has finished (there must be one, or an edge must have reported MSG_EXIT), a
 * limit is reached, hall_stop is called, or wait says so; what is still on its way then is dropped. Writes run.end with
 * the reason. In serve nothing finishes: hall_stop (async-signal-safe) ends it. Timers count as messages, and a run
 * that makes a million steps without its time moving ends by the message limit too; one in which nothing can happen any
 * more ends by its time limit. */
enum hall_end { HALL_FINISHED, HALL_TIME_LIMIT, HALL_MESSAGE_LIMIT, HALL_STOPPED } hall_run(struct hall *hall);
void hall_stop(struct hall *hall);
void hall_free(struct hall *hall); /* frees actors and edges too */

#endif
