/* For tests of one actor: turns without a hall. What the actor sends lies in the outbox until the test takes it. */
#ifndef ACTOR_BENCH_TEST_H
#define ACTOR_BENCH_TEST_H

#include "actor/actor.h"
#include "base/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct bench {
    int64_t now_ms;
    struct rng rng;
    struct arena turn, keep;
    struct outbox out;
    uint64_t flow;
};

static inline struct bench *bench_new(void)
{
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    bench->now_ms = WHEN_VIRTUAL_START_MS;
    rng_seed(&bench->rng, 8555);
    bench->flow = 1000;
    bench->out.next_flow = &bench->flow;
    return bench;
}

static inline void bench_free(struct bench *bench)
{
    for (size_t i = 0; i < bench->out.n; i++)
        msg_free(bench->out.at[i]);
    free(bench->out.at);
    arena_done(&bench->turn);
    arena_done(&bench->keep);
    free(bench);
}

/* One step; frees `in`, which may be NULL: a timer. */
static inline void bench_step(struct bench *bench, struct actor *actor, struct msg *in)
{
    struct turn turn = {
        .now_ms = bench->now_ms + actor->skew_ms, .rng = &bench->rng, .arena = &bench->turn, .out = &bench->out};
    actor->step(actor, &turn, in);
    if (in) msg_free(in);
    arena_clear(&bench->turn);
}

/* The oldest message sent; the test frees it. NULL: none. */
static inline struct msg *bench_take(struct bench *bench)
{
    if (bench->out.n == 0) return NULL;
    struct msg *msg = bench->out.at[0];
    memmove(bench->out.at, bench->out.at + 1, --bench->out.n * sizeof *bench->out.at);
    return msg;
}

/* Lets time pass to the actor's next timer and runs it. */
static inline void bench_tick(struct bench *bench, struct actor *actor)
{
    int64_t due_ms = actor->next_due_ms(actor);
    assert_true(due_ms != ACTOR_IDLE);
    if (due_ms > bench->now_ms) bench->now_ms = due_ms;
    bench_step(bench, actor, NULL);
}

#define assert_str(s, c)                                                                                               \
    do {                                                                                                               \
        struct arena text_arena = {0};                                                                                 \
        struct str text = (s);                                                                                         \
        assert_string_equal(str_copy(&text_arena, text).at, (c));                                                      \
        arena_done(&text_arena);                                                                                       \
    } while (0)

#endif
