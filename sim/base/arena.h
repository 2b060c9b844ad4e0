/* Memory that dies together. Ask "when does this die?" and pick that arena: the run, one message, one turn.
 * A zeroed struct arena is an empty arena. Allocation never fails: out of memory ends the process with a message. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;
struct arena {
    struct arena_chunk *head;
};

/* n zeroed bytes, aligned for any type, valid until arena_done or arena_clear. */
void *arena_alloc(struct arena *arena, size_t n);
/* A copy of n bytes followed by one NUL. */
char *arena_copy(struct arena *arena, const void *bytes, size_t n);
/* Frees everything; the arena is empty and usable again. */
void arena_done(struct arena *arena);
/* Forgets everything but keeps one chunk for reuse: for arenas that live as long as a loop. */
void arena_clear(struct arena *arena);

#define ARENA_NEW(arena, type)      ((type *)arena_alloc((arena), sizeof(type)))
#define ARENA_ARRAY(arena, type, n) ((type *)arena_alloc((arena), sizeof(type) * (n)))

#endif
