/* What is due next: a queue ordered by (due, seq), so that equal times keep their order of insertion. */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_item {
    int64_t due_ms;
    uint64_t seq;
    void *what;
};
struct heap {
    struct heap_item *at;
    size_t n, room;
    uint64_t next_seq;
};

void heap_push(struct heap *heap, int64_t due_ms, void *what);
/* The earliest item without taking it, or NULL. */
const struct heap_item *heap_peek(const struct heap *heap);
/* Takes the earliest item's payload; NULL when empty. */
void *heap_pop(struct heap *heap);
/* Frees the queue, not the payloads. */
void heap_done(struct heap *heap);

#endif
