#include "world/clock.h"
#include "world/hall.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { START = 1000000 };

/* A toy: asks `to` every every_ms, `asks` times; answers what it is asked as `reply` says; writes down when what
 * arrived. */
struct toy {
    struct actor actor;
    struct addr to;
    int64_t due_ms, every_ms;
    int asks, got, want; /* finished once `want` answers came */
    struct delivery reply;
    const struct fault *fault_asks, *fault_replies;
    int64_t got_at_ms[16];
    int got_status[16];
    size_t got_body[16];
    struct str nonces;
    uint64_t drawn;
};

static void reply(struct toy *toy, struct turn *turn, const struct msg *in)
{
    struct msg *msg = outbox_post(turn->out, MSG_RESPONSE, in->from, in->flow);
    msg->as.response.status = 200;
    msg->as.response.body = STR("0123456789");
    msg->as.response.delivery = toy->reply;
    msg->fault = toy->fault_replies;
    msg_header(msg, "Replay-Nonce", str_fmt(turn->arena, "n%llu", (unsigned long long)in->flow));
}

static void toy_step(struct actor *actor, struct turn *turn, const struct msg *in)
{
    struct toy *toy = (struct toy *)actor;
    toy->drawn = rng_u64(turn->rng);
    if (!in) {
        assert_true(turn->now_ms >= toy->due_ms);
        toy->due_ms = toy->asks > 1 ? turn->now_ms + toy->every_ms : ACTOR_IDLE;
        toy->asks--;
        struct msg *msg = outbox_post(turn->out, MSG_REQUEST, toy->to, 0);
        msg->as.request.method = STR("GET");
        msg->as.request.url = str_fmt(&msg->arena, "http://x.test/%d", toy->asks);
        msg->fault = toy->fault_asks;
        turn_note(turn, "asks");
    } else if (in->kind == MSG_REQUEST) {
        reply(toy, turn, in);
    } else if (toy->got < 16) {
        toy->got_at_ms[toy->got] = turn->now_ms;
        toy->got_status[toy->got] = in->as.response.status;
        toy->got_body[toy->got] = in->as.response.body.n;
        toy->got++;
    }
}

static int64_t toy_due(const struct actor *actor)
{
    return ((const struct toy *)actor)->due_ms;
}

static bool toy_finished(const struct actor *actor)
{
    const struct toy *toy = (const struct toy *)actor;
    return toy->got >= toy->want;
}

struct stage {
    struct history history;
    struct toy asker, answerer;
    struct hall *hall;
};

static void set_up(struct stage *stage, struct hall_options options)
{
    *stage = (struct stage){
        .asker = {.actor = {"asker", 0, toy_step, toy_due, toy_finished, NULL},
                  .due_ms = START,
                  .every_ms = 100,
                  .asks = 3,
                  .want = 3},
        .answerer = {.actor = {"answerer", 0, toy_step, toy_due, NULL, NULL},                                                    .due_ms = ACTOR_IDLE      },
    };
    stage->history.start_ms = START;
    options.wait = clock_virtual_wait;
    options.start_ms = START;
    options.history = &stage->history;
    stage->hall = hall_new(&options);
    hall_seat(stage->hall, &stage->asker.actor);
    stage->asker.to = hall_seat(stage->hall, &stage->answerer.actor);
}

static void tear_down(struct stage *stage)
{
    hall_free(stage->hall);
    history_done(&stage->history);
}

static size_t count(const struct history *history, enum event_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < history->n; i++)
        n += history->at[i].kind == kind;
    return n;
}

static const struct event *nth(const struct history *history, enum event_kind kind, size_t n)
{
    for (size_t i = 0; i < history->n; i++)
        if (history->at[i].kind == kind && n-- == 0) return &history->at[i];
    fail_msg("no such event");
    return NULL;
}

static void test_latency_and_order(void **state)
{
    (void)state;
    struct stage stage;
    set_up(&stage, (struct hall_options){.latency_ms = 5});
    assert_int_equal(hall_run(stage.hall), HALL_FINISHED);
    assert_int_equal(stage.asker.got_at_ms[0], START + 10);
    assert_int_equal(stage.asker.got_at_ms[2], START + 210);
    assert_int_equal(count(&stage.history, WIRE_REQUEST), 3);
    assert_int_equal(count(&stage.history, WIRE_RESPONSE), 3);
    const struct event *first = nth(&stage.history, WIRE_REQUEST, 0), *answer = nth(&stage.history, WIRE_RESPONSE, 0);
    assert_int_equal(first->t_ms, 0);
    assert_int_equal(answer->t_ms, 5);
    assert_int_equal(first->flow, answer->flow);
    assert_string_equal(event_text(answer, F_FROM).at, "answerer");
    assert_string_equal(event_text(answer, F_TO).at, "asker");
    assert_int_not_equal(nth(&stage.history, WIRE_REQUEST, 1)->flow, first->flow);
    const struct event *end = &stage.history.at[stage.history.n - 1];
    assert_int_equal(end->kind, RUN_END);
    assert_string_equal(event_text(end, F_TEXT).at, "finished");
    for (size_t i = 1; i < stage.history.n; i++) {
        assert_true(stage.history.at[i].t_ms >= stage.history.at[i - 1].t_ms);
        assert_int_equal(stage.history.at[i].seq, stage.history.at[i - 1].seq + 1);
    }
    tear_down(&stage);
}

static void test_delay_is_before_the_gate(void **state)
{
    (void)state;
    struct stage stage;
    set_up(&stage, (struct hall_options){.latency_ms = 5});
    stage.answerer.reply.delay_ms = 250; /* longer than the asker's pace: the log must stay in order of time */
    assert_int_equal(hall_run(stage.hall), HALL_FINISHED);
    assert_int_equal(stage.asker.got_at_ms[0], START + 260);
    assert_int_equal(nth(&stage.history, WIRE_RESPONSE, 0)->t_ms, 255);
    assert_int_equal(nth(&stage.history, WIRE_REQUEST, 2)->t_ms, 200);
    for (size_t i = 1; i < stage.history.n; i++)
        assert_true(stage.history.at[i].t_ms >= stage.history.at[i - 1].t_ms);
    tear_down(&stage);
}

static void test_deliveries(void **state)
{
    (void)state;
    static const struct {
        struct delivery delivery;
        int status;
        size_t body;
        int64_t at_ms;
    } rows[] = {
        {{.how = DELIVER_WHOLE},                   200, 10, 10 },
        {{.how = DELIVER_TRUNCATED, .at_byte = 4}, 200, 4,  10 },
        {{.how = DELIVER_SLOW, .over_ms = 700},    200, 10, 710},
        {{.how = DELIVER_RESET},                   0,   0,  10 },
        {{.how = DELIVER_CLOSED},                  0,   0,  10 },
        {{.how = DELIVER_REFUSED},                 0,   0,  10 },
        {{.how = DELIVER_GARBAGE},                 0,   0,  10 },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct stage stage;
        set_up(&stage, (struct hall_options){.latency_ms = 5, .limit_ms = 60000});
        stage.asker.asks = stage.asker.want = 1;
        stage.answerer.reply = rows[i].delivery;
        assert_int_equal(hall_run(stage.hall), HALL_FINISHED);
        assert_int_equal(stage.asker.got_status[0], rows[i].status);
        assert_int_equal(stage.asker.got_body[0], rows[i].body);
        assert_int_equal(stage.asker.got_at_ms[0], START + rows[i].at_ms);
        const struct event *event = nth(&stage.history, WIRE_RESPONSE, 0);
        assert_int_equal(event_int(event, F_STATUS), rows[i].status);
        if (rows[i].delivery.how == DELIVER_WHOLE) assert_null(event_field(event, F_DELIVERY));
        else assert_string_equal(event_text(event, F_DELIVERY).at, delivery_text(rows[i].delivery.how));
        tear_down(&stage);
    }
}

static void test_hang_is_logged_and_never_delivered(void **state)
{
    (void)state;
    struct stage stage;
    set_up(&stage, (struct hall_options){.latency_ms = 5, .limit_ms = 60000});
    stage.answerer.reply.how = DELIVER_HANG;
    assert_int_equal(hall_run(stage.hall), HALL_TIME_LIMIT);
    assert_int_equal(stage.asker.got, 0);
    assert_int_equal(count(&stage.history, WIRE_RESPONSE), 3);
    const struct event *end = &stage.history.at[stage.history.n - 1];
    assert_int_equal(end->t_ms, 60000);
    assert_string_equal(event_text(end, F_TEXT).at, "time limit");
    tear_down(&stage);
}

static void test_faults_act_at_the_gate(void **state)
{
    (void)state;
    struct stage stage;
    set_up(&stage, (struct hall_options){.latency_ms = 5, .limit_ms = 60000});
    stage.asker.fault_asks = fault_find(STR("drop"));
    assert_int_equal(hall_run(stage.hall), HALL_TIME_LIMIT);
    assert_int_equal(count(&stage.history, WIRE_REQUEST), 3);
    assert_int_equal(count(&stage.history, WIRE_RESPONSE), 0);
    assert_int_equal(count(&stage.history, FAULT_APPLIED), 3);
    assert_string_equal(event_text(nth(&stage.history, FAULT_APPLIED, 0), F_NAME).at, "drop");
    tear_down(&stage);

    set_up(&stage, (struct hall_options){.latency_ms = 5, .limit_ms = 60000});
    stage.answerer.fault_replies = fault_find(STR("stale-nonce"));
    assert_int_equal(hall_run(stage.hall), HALL_FINISHED);
    const char *first = headers_get(event_headers(nth(&stage.history, WIRE_RESPONSE, 0)), "replay-nonce").at;
    const char *third = headers_get(event_headers(nth(&stage.history, WIRE_RESPONSE, 2)), "replay-nonce").at;
    assert_string_equal(third, first);
    assert_int_equal(nth(&stage.history, FAULT_APPLIED, 0)->flow, nth(&stage.history, WIRE_RESPONSE, 0)->flow);
    assert_int_equal(event_int(nth(&stage.history, FAULT_APPLIED, 0), F_STATUS), 200);
    tear_down(&stage);

    set_up(&stage, (struct hall_options){.latency_ms = 5, .limit_ms = 60000});
    stage.asker.fault_asks = fault_find(STR("html")); /* not for requests: no effect, no record */
    assert_int_equal(hall_run(stage.hall), HALL_FINISHED);
    assert_int_equal(count(&stage.history, FAULT_APPLIED), 0);
    tear_down(&stage);
}

static void test_skewed_actors(void **state)
{
    (void)state;
    struct stage stage;
    set_up(&stage, (struct hall_options){.latency_ms = 5, .limit_ms = 60000});
    stage.asker.actor.skew_ms = -3600000;
    stage.asker.due_ms = START - 3600000 + 50; /* in its own time */
    assert_int_equal(hall_run(stage.hall), HALL_FINISHED);
    assert_int_equal(nth(&stage.history, WIRE_REQUEST, 0)->t_ms, 50);
    assert_int_equal(nth(&stage.history, NOTE_TEXT, 0)->t_ms, 50); /* the log keeps the hall's time */
    assert_int_equal(stage.asker.got_at_ms[0], START - 3600000 + 60);
    tear_down(&stage);
}

static void test_limits(void **state)
{
    (void)state;
    struct stage stage;
    set_up(&stage, (struct hall_options){.limit_messages = 50});
    stage.asker.asks = stage.asker.want = 1000000;
    assert_int_equal(hall_run(stage.hall), HALL_MESSAGE_LIMIT);
    assert_true(count(&stage.history, WIRE_REQUEST) <= 50);
    tear_down(&stage);

    set_up(&stage, (struct hall_options){0}); /* no limit at all, and an actor that is due for ever at one instant */
    stage.asker.every_ms = 0;
    stage.asker.asks = stage.asker.want = 1 << 30;
    stage.asker.to = (struct addr){0};
    stage.history.forget = true;
    assert_int_equal(hall_run(stage.hall), HALL_MESSAGE_LIMIT);
    tear_down(&stage);

    set_up(&stage, (struct hall_options){0}); /* nothing can happen any more */
    stage.asker.want = 4;
    assert_int_equal(hall_run(stage.hall), HALL_TIME_LIMIT);
    assert_int_equal(stage.asker.got, 3);
    tear_down(&stage);

    set_up(&stage, (struct hall_options){0});
    hall_stop(stage.hall);
    assert_int_equal(hall_run(stage.hall), HALL_STOPPED);
    assert_int_equal(count(&stage.history, WIRE_REQUEST), 0);
    tear_down(&stage);
}

static void test_same_seed_same_log(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct str logs[3] = {0};
    uint64_t drawn[3];
    for (size_t i = 0; i < 3; i++) {
        struct stage stage;
        set_up(&stage, (struct hall_options){.latency_ms = 5, .seed = i == 2 ? 8 : 7});
        assert_int_equal(hall_run(stage.hall), HALL_FINISHED);
        struct buf buf = {.arena = &arena};
        for (size_t k = 0; k < stage.history.n; k++)
            buf_add(&buf, event_write(&arena, &stage.history.at[k]));
        logs[i] = buf_str(&buf);
        drawn[i] = stage.asker.drawn;
        assert_int_not_equal(stage.asker.drawn, stage.answerer.drawn);
        tear_down(&stage);
    }
    assert_string_equal(logs[0].at, logs[1].at);
    assert_int_equal(drawn[0], drawn[1]);
    assert_int_not_equal(drawn[0], drawn[2]);
    arena_done(&arena);
}

/* An edge that answers at once, from within send; and reports an exit after so many requests. */
struct toy_edge {
    struct edge edge;
    struct addr seat, exit_to;
    int left;
    bool freed;
};

static void toy_send(struct edge *edge, struct hall *hall, struct msg *msg)
{
    struct toy_edge *toy = (struct toy_edge *)edge;
    struct msg *answer = msg_new(MSG_RESPONSE);
    answer->from = toy->seat;
    answer->to = msg->from;
    answer->flow = msg->flow;
    answer->as.response.status = 204;
    msg_free(msg);
    hall_arrive(hall, answer);
    if (--toy->left == 0) {
        struct msg *exit = msg_new(MSG_EXIT);
        exit->from = toy->seat;
        exit->to = toy->exit_to;
        exit->flow = hall_next_flow(hall);
        exit->as.exit.reason = STR("killed by signal 9");
        hall_arrive(hall, exit);
    }
}

static void toy_edge_free(struct edge *edge)
{
    ((struct toy_edge *)edge)->freed = true;
}

static void test_edges_and_exits(void **state)
{
    (void)state;
    for (int to_actor = 0; to_actor < 2; to_actor++) {
        struct stage stage;
        set_up(&stage, (struct hall_options){.latency_ms = 5, .limit_ms = 60000});
        stage.asker.actor.finished = NULL; /* only the edge's exit can end the run */
        stage.asker.asks = 100;
        struct toy_edge edge = {
            .edge = {toy_send, NULL, NULL, toy_edge_free},
              .left = 4
        };
        edge.seat = stage.asker.to = hall_seat_edge(stage.hall, &edge.edge, "outside");
        if (to_actor) edge.exit_to = (struct addr){2};
        stage.answerer.got = 16;
        assert_ptr_equal(hall_edge(stage.hall, 0), &edge.edge);
        assert_null(hall_edge(stage.hall, 1));
        assert_int_equal(hall_run(stage.hall), HALL_FINISHED);
        assert_int_equal(count(&stage.history, WIRE_REQUEST), 4);
        assert_int_equal(stage.asker.got_status[2], 204);
        assert_int_equal(stage.asker.got_at_ms[0], START); /* arrivals have no latency of ours */
        const struct event *exit = nth(&stage.history, WIRE_EXIT, 0);
        assert_string_equal(event_text(exit, F_FROM).at, "outside");
        assert_string_equal(event_text(exit, F_TEXT).at, "killed by signal 9");
        assert_int_equal(event_int(exit, F_SUCCESS), 0);
        tear_down(&stage);
        assert_true(edge.freed);
    }
}

static void test_words_and_nobody(void **state)
{
    (void)state;
    struct stage stage;
    set_up(&stage, (struct hall_options){.limit_ms = 1000});
    stage.asker.to = hall_seat_word(stage.hall, "somebody");
    assert_int_equal(hall_run(stage.hall), HALL_TIME_LIMIT);
    assert_int_equal(count(&stage.history, WIRE_REQUEST), 3);
    assert_string_equal(event_text(nth(&stage.history, WIRE_REQUEST, 0), F_TO).at, "somebody");
    tear_down(&stage);

    set_up(&stage, (struct hall_options){.limit_ms = 1000});
    stage.asker.to = (struct addr){0};
    assert_int_equal(hall_run(stage.hall), HALL_TIME_LIMIT);
    assert_null(event_field(nth(&stage.history, WIRE_REQUEST, 0), F_TO));
    tear_down(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latency_and_order),
        cmocka_unit_test(test_delay_is_before_the_gate),
        cmocka_unit_test(test_deliveries),
        cmocka_unit_test(test_hang_is_logged_and_never_delivered),
        cmocka_unit_test(test_faults_act_at_the_gate),
        cmocka_unit_test(test_skewed_actors),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_same_seed_same_log),
        cmocka_unit_test(test_edges_and_exits),
        cmocka_unit_test(test_words_and_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
