/* Actors: pure step functions. A message (or a timer) and the time come in, messages and timers go out.
 * No socket, no clock, no file, no waiting: an answer is a new message. All that an actor may touch is its own state
 * and the turn. */
#ifndef ACTOR_ACTOR_H
#define ACTOR_ACTOR_H

#include "base/rng.h"
#include "wire/event.h"
#include "wire/msg.h"

struct turn {
    int64_t now_ms;      /* UTC as this actor's clock shows it; read once, by the hall */
    struct rng *rng;     /* this actor's own sequence */
    struct arena *arena; /* dies when the turn ends */
    struct outbox *out;
    struct history *history; /* for state.* and note.* records only: see turn_note_state */
};

struct actor {
    const char *name; /* "ca", "va", "responder", "client": the word in the log */
    int64_t skew_ms;  /* added to the hall's time for this actor */
    void (*step)(struct actor *actor, struct turn *turn, const struct msg *in); /* in == NULL: a timer is due */
    int64_t (*next_due_ms)(const struct actor *actor);                          /* ACTOR_IDLE: nothing planned */
    bool (*finished)(const struct actor *actor); /* NULL: never holds up the end of a run */
    void (*free)(struct actor *actor);
};
#define ACTOR_IDLE INT64_MAX

/* Writes state.change. `cause` is the lifecycle event's word, `id` the object's URL or path. */
void turn_note_state(struct turn *turn, const char *object, struct str id, const char *cause, const char *was,
                     const char *now);
void turn_note(struct turn *turn, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
