#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 4096 - 64, ALIGN = 16 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, room;
    _Alignas(ALIGN) unsigned char bytes[];
};

static struct arena_chunk *chunk_new(size_t room)
{
    struct arena_chunk *chunk = malloc(sizeof *chunk + room);
    if (!chunk) {
        fputs("acmedrill: out of memory\n", stderr);
        abort();
    }
    *chunk = (struct arena_chunk){.room = room};
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t n)
{
    if (n > SIZE_MAX / 2) {
        fputs("acmedrill: allocation too large\n", stderr);
        abort();
    }
    size_t need = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct arena_chunk *chunk = arena->head;
    if (!chunk || chunk->room - chunk->used < need) {
        size_t grown = chunk ? chunk->room * 2 : CHUNK_BYTES;
        if (grown > 1u << 20) grown = 1u << 20;
        chunk = chunk_new(need > grown ? need : grown);
        chunk->next = arena->head;
        arena->head = chunk;
    }
    void *p = chunk->bytes + chunk->used;
    chunk->used += need;
    return memset(p, 0, need);
}

char *arena_copy(struct arena *arena, const void *bytes, size_t n)
{
    char *copy = arena_alloc(arena, n + 1);
    if (n) memcpy(copy, bytes, n);
    return copy;
}

void arena_done(struct arena *arena)
{
    for (struct arena_chunk *chunk = arena->head, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    arena->head = NULL;
}

void arena_clear(struct arena *arena)
{
    if (!arena->head) return;
    struct arena_chunk *keep = arena->head;
    arena->head = keep->next;
    arena_done(arena);
    keep->next = NULL;
    keep->used = 0;
    arena->head = keep;
}
