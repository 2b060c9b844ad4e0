#include "world/hall.h"

#include "base/heap.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { MAX_SEATS = 1024, MAX_STEPS_AT_ONCE = 1000000 };

/* An actor, an edge, or neither: a word for a party outside. */
struct seat {
    struct actor *actor;
    struct edge *edge;
    struct str word;
    struct rng rng;
};

struct hall {
    struct hall_options options;
    int64_t now_ms, end_ms; /* end_ms: ACTOR_IDLE without a limit */
    struct seat *seats;     /* seat 0 is nobody */
    size_t n_seats;
    struct edge **edges;
    size_t n_edges;
    struct heap queue; /* of struct msg */
    struct outbox out;
    uint64_t last_flow;
    uint64_t n_messages, n_steps_now;
    bool exit_arrived;
    struct rng rng;
    struct fault_memory memory;
    struct arena turn_arena, arena;
    volatile sig_atomic_t stopped;
    volatile sig_atomic_t wake_fd;
};

static void *grown(void *at, size_t n, size_t size)
{
    void *more = realloc(at, n * size);
    if (!more) {
        fputs("acmedrill: out of memory\n", stderr);
        abort();
    }
    return more;
}

struct hall *hall_new(const struct hall_options *options)
{
    assert(options->wait && options->history);
    struct hall *hall = grown(NULL, 1, sizeof *hall);
    *hall = (struct hall){.options = *options, .now_ms = options->start_ms, .end_ms = ACTOR_IDLE, .wake_fd = -1};
    if (options->limit_ms > 0) hall->end_ms = options->start_ms + options->limit_ms;
    rng_seed(&hall->rng, options->seed);
    hall->seats = grown(NULL, 1, sizeof *hall->seats);
    hall->seats[0] = (struct seat){0};
    hall->n_seats = 1;
    hall->out.next_flow = &hall->last_flow;
    options->history->now_ms = hall->now_ms;
    return hall;
}

static struct addr add_seat(struct hall *hall, struct actor *actor, struct edge *edge, const char *word)
{
    assert(hall->n_seats < MAX_SEATS);
    struct addr addr = {(uint16_t)hall->n_seats};
    hall->seats = grown(hall->seats, ++hall->n_seats, sizeof *hall->seats);
    struct seat *seat = &hall->seats[addr.seat];
    *seat = (struct seat){.actor = actor, .edge = edge, .word = str_copy(&hall->arena, str_c(word))};
    rng_fork(&hall->rng, word, &seat->rng);
    return addr;
}

struct addr hall_seat(struct hall *hall, struct actor *actor)
{
    return add_seat(hall, actor, NULL, actor->name);
}

struct addr hall_seat_edge(struct hall *hall, struct edge *edge, const char *word)
{
    hall->edges = grown(hall->edges, ++hall->n_edges, sizeof(struct edge *));
    hall->edges[hall->n_edges - 1] = edge;
    return add_seat(hall, NULL, edge, word);
}

struct addr hall_seat_word(struct hall *hall, const char *word)
{
    return add_seat(hall, NULL, NULL, word);
}

uint64_t hall_next_flow(struct hall *hall)
{
    return ++hall->last_flow;
}

int64_t hall_now_ms(const struct hall *hall)
{
    return hall->now_ms;
}

void hall_set_now(struct hall *hall, int64_t now_ms)
{
    if (now_ms <= hall->now_ms) return;
    hall->now_ms = now_ms;
    hall->n_steps_now = 0;
    hall->options.history->now_ms = now_ms;
}

struct edge *hall_edge(struct hall *hall, size_t i)
{
    return i < hall->n_edges ? hall->edges[i] : NULL;
}

bool hall_stopped(const struct hall *hall)
{
    return hall->stopped;
}

int hall_wake_fd(struct hall *hall)
{
    if (hall->wake_fd < 0) hall->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return hall->wake_fd;
}

void hall_stop(struct hall *hall)
{
    hall->stopped = 1;
    if (hall->wake_fd < 0) return;
    ssize_t written = write(hall->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)written;
}

static const struct seat *seat_of(const struct hall *hall, struct addr addr)
{
    return &hall->seats[addr.seat < hall->n_seats ? addr.seat : 0];
}

static void note_fault(struct hall *hall, const struct fault *fault, struct addr from, struct addr to, uint64_t flow)
{
    struct history *history = hall->options.history;
    history_note(history, FAULT_APPLIED, hall->now_ms, flow);
    event_add_text(history, F_NAME, str_c(fault->name));
    event_add_text(history, F_FROM, seat_of(hall, from)->word);
    event_add_text(history, F_TO, seat_of(hall, to)->word);
}

void hall_note_fault(struct hall *hall, const struct fault *fault, struct addr from, struct addr to)
{
    note_fault(hall, fault, from, to, 0);
    history_commit(hall->options.history);
}

static void apply_fault(struct hall *hall, struct msg *msg)
{
    const struct fault *fault = msg->fault;
    if (!fault || !fault_acts_on(fault, msg->kind)) return;
    struct history *history = hall->options.history;
    note_fault(hall, fault, msg->from, msg->to, msg->flow);
    if (msg->kind == MSG_RESPONSE) event_add_int(history, F_STATUS, msg->as.response.status);
    history_commit(history);
    fault->apply(msg, &hall->memory);
}

static void forget_unsent(struct msg *msg)
{
    struct http_response *response = &msg->as.response;
    if (msg->kind != MSG_RESPONSE || response->status == 0 || delivery_has_status(response->delivery.how)) return;
    response->status = 0;
    response->headers = NULL;
    response->body = (struct str){0};
}

static void deliver_to_actor(struct hall *hall, struct msg *msg, bool from_outside)
{
    int64_t after_ms = from_outside ? 0 : hall->options.latency_ms;
    struct delivery *delivery = msg_delivery(msg);
    if (delivery && delivery->how == DELIVER_HANG) {
        msg_free(msg);
        return;
    }
    if (delivery && delivery->how == DELIVER_SLOW && !from_outside && delivery->over_ms > 0)
        after_ms += delivery->over_ms;
    if (delivery && msg->kind == MSG_RESPONSE && delivery->how == DELIVER_TRUNCATED &&
        delivery->at_byte < msg->as.response.body.n)
        msg->as.response.body.n = delivery->at_byte;
    heap_push(&hall->queue, hall->now_ms + after_ms, msg);
}

/* The gate. Every message passes here once, at the moment it leaves. */
static void gate(struct hall *hall, struct msg *msg, bool from_outside)
{
    assert(!msg->gated);
    msg->gated = true;
    hall->n_messages++;
    hall->n_steps_now++;
    const struct seat *to = seat_of(hall, msg->to);
    apply_fault(hall, msg);
    forget_unsent(msg);
    fault_remember(&hall->memory, msg);
    history_note_msg(hall->options.history, hall->now_ms, msg, seat_of(hall, msg->from)->word, to->word);
    if (msg->kind == MSG_EXIT && from_outside && !to->actor) hall->exit_arrived = true;

    if (to->actor && !msg->dropped) deliver_to_actor(hall, msg, from_outside);
    else if (to->edge && !msg->dropped) to->edge->send(to->edge, hall, msg);
    else msg_free(msg);
}

void hall_arrive(struct hall *hall, struct msg *msg)
{
    gate(hall, msg, true);
}

static void send_out(struct hall *hall, struct addr from)
{
    for (size_t i = 0; i < hall->out.n; i++) {
        struct msg *msg = hall->out.at[i];
        const struct delivery *delivery = msg_delivery(msg);
        msg->from = from;
        msg->gated = false;
        if (delivery && delivery->delay_ms > 0) heap_push(&hall->queue, hall->now_ms + delivery->delay_ms, msg);
        else gate(hall, msg, false);
    }
    hall->out.n = 0;
}

static void step(struct hall *hall, struct addr addr, const struct msg *in)
{
    struct seat *seat = &hall->seats[addr.seat];
    struct turn turn = {.now_ms = hall->now_ms + seat->actor->skew_ms,
                        .rng = &seat->rng,
                        .arena = &hall->turn_arena,
                        .out = &hall->out,
                        .history = hall->options.history};
    seat->actor->step(seat->actor, &turn, in);
    send_out(hall, addr);
    arena_clear(&hall->turn_arena);
}

static int64_t actor_due_ms(const struct actor *actor)
{
    int64_t due_ms = actor->next_due_ms ? actor->next_due_ms(actor) : ACTOR_IDLE;
    if (due_ms == ACTOR_IDLE) return ACTOR_IDLE;
    int64_t hall_due_ms;
    return __builtin_sub_overflow(due_ms, actor->skew_ms, &hall_due_ms) ? ACTOR_IDLE : hall_due_ms;
}

static int64_t next_due_ms(const struct hall *hall)
{
    const struct heap_item *first = heap_peek(&hall->queue);
    int64_t due_ms = first ? first->due_ms : ACTOR_IDLE;
    for (size_t i = 1; i < hall->n_seats; i++) {
        if (!hall->seats[i].actor) continue;
        int64_t actor_ms = actor_due_ms(hall->seats[i].actor);
        if (actor_ms < due_ms) due_ms = actor_ms;
    }
    return due_ms < hall->end_ms ? due_ms : hall->end_ms;
}

static bool finished(const struct hall *hall)
{
    bool any = hall->exit_arrived;
    for (size_t i = 1; i < hall->n_seats; i++) {
        const struct actor *actor = hall->seats[i].actor;
        if (!actor || !actor->finished) continue;
        if (!actor->finished(actor)) return false;
        any = true;
    }
    return any;
}

static bool over_limit(const struct hall *hall)
{
    return (hall->options.limit_messages && hall->n_messages >= hall->options.limit_messages) ||
           hall->n_steps_now >= MAX_STEPS_AT_ONCE;
}

/* One message, or else one timer, that is due. false: nothing is due now. Messages come first, then seats in order. */
static bool run_one(struct hall *hall)
{
    const struct heap_item *first = heap_peek(&hall->queue);
    if (first && first->due_ms <= hall->now_ms) {
        struct msg *msg = heap_pop(&hall->queue);
        if (!msg->gated) {
            gate(hall, msg, false);
            return true;
        }
        bool exit_from_edge = msg->kind == MSG_EXIT && !seat_of(hall, msg->from)->actor;
        step(hall, msg->to, msg);
        msg_free(msg);
        if (exit_from_edge) hall->exit_arrived = true;
        return true;
    }
    for (size_t i = 1; i < hall->n_seats; i++) {
        if (!hall->seats[i].actor || actor_due_ms(hall->seats[i].actor) > hall->now_ms) continue;
        hall->n_messages++;
        hall->n_steps_now++;
        step(hall, (struct addr){(uint16_t)i}, NULL);
        return true;
    }
    return false;
}

static enum hall_end run(struct hall *hall)
{
    for (;;) {
        do {
            if (hall->stopped) return HALL_STOPPED;
            if (finished(hall)) return HALL_FINISHED;
            if (hall->now_ms >= hall->end_ms) return HALL_TIME_LIMIT;
            if (over_limit(hall)) return HALL_MESSAGE_LIMIT;
        } while (run_one(hall));
        if (!hall->options.wait(hall, next_due_ms(hall))) return hall->stopped ? HALL_STOPPED : HALL_TIME_LIMIT;
    }
}

enum hall_end hall_run(struct hall *hall)
{
    static const char *const reasons[] = {[HALL_FINISHED] = "finished",
                                          [HALL_TIME_LIMIT] = "time limit",
                                          [HALL_MESSAGE_LIMIT] = "message limit",
                                          [HALL_STOPPED] = "stopped"};
    enum hall_end end = run(hall);
    history_note(hall->options.history, RUN_END, hall->now_ms, 0);
    event_add_text(hall->options.history, F_TEXT, str_c(reasons[end]));
    history_commit(hall->options.history);
    return end;
}

void hall_free(struct hall *hall)
{
    if (!hall) return;
    for (struct msg *msg; (msg = heap_pop(&hall->queue));)
        msg_free(msg);
    heap_done(&hall->queue);
    for (size_t i = 1; i < hall->n_seats; i++) {
        struct seat *seat = &hall->seats[i];
        if (seat->actor && seat->actor->free) seat->actor->free(seat->actor);
        if (seat->edge && seat->edge->free) seat->edge->free(seat->edge);
    }
    free(hall->seats);
    free(hall->edges);
    free(hall->out.at);
    if (hall->wake_fd >= 0) close(hall->wake_fd);
    arena_done(&hall->memory.arena);
    arena_done(&hall->turn_arena);
    arena_done(&hall->arena);
    free(hall);
}
