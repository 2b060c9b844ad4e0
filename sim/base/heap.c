#include "base/heap.h"

#include <stdio.h>
#include <stdlib.h>

static bool earlier(struct heap_item a, struct heap_item b)
{
    return a.due_ms != b.due_ms ? a.due_ms < b.due_ms : a.seq < b.seq;
}

void heap_push(struct heap *heap, int64_t due_ms, void *what)
{
    if (heap->n == heap->room) {
        size_t room = heap->room ? heap->room * 2 : 16;
        struct heap_item *at = realloc(heap->at, room * sizeof *at);
        if (!at) {
            fputs("acmedrill: out of memory\n", stderr);
            abort();
        }
        heap->at = at;
        heap->room = room;
    }
    size_t i = heap->n++;
    struct heap_item item = {due_ms, heap->next_seq++, what};
    for (; i > 0 && earlier(item, heap->at[(i - 1) / 2]); i = (i - 1) / 2)
        heap->at[i] = heap->at[(i - 1) / 2];
    heap->at[i] = item;
}

const struct heap_item *heap_peek(const struct heap *heap)
{
    return heap->n ? &heap->at[0] : NULL;
}

void *heap_pop(struct heap *heap)
{
    if (heap->n == 0) return NULL;
    void *what = heap->at[0].what;
    struct heap_item last = heap->at[--heap->n];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= heap->n) break;
        if (child + 1 < heap->n && earlier(heap->at[child + 1], heap->at[child])) child++;
        if (!earlier(heap->at[child], last)) break;
        heap->at[i] = heap->at[child];
        i = child;
    }
    if (heap->n) heap->at[i] = last;
    return what;
}

void heap_done(struct heap *heap)
{
    free(heap->at);
    *heap = (struct heap){0};
}
