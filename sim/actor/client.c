#include "actor/client_inside.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_MOVES = 10000 };

void client_end(struct client *client, struct turn *turn, bool success, struct str reason)
{
    client_withdraw_all(client, turn);
    exchange_drop(client);
    client->wake_ms = 0;
    client->done = true;
    struct msg *msg = outbox_post(turn->out, MSG_EXIT, (struct addr){0}, 0);
    msg->as.exit.success = success || client->habits.claims_success;
    if (!success) msg->as.exit.reason = str_copy(&msg->arena, reason);
}

void client_conclude(struct client *client, struct turn *turn, bool success, struct str reason)
{
    if (client->obtaining && client->step + 1 < client->plan->n_steps) {
        turn_note(turn, "obtain: %s", success ? "done" : str_copy(turn->arena, reason).at);
        exchange_drop(client);
        client->wake_ms = 0;
        client->obtaining = false;
        client->failing = false;
        client->step++;
        return;
    }
    client_end(client, turn, success, reason);
}

void client_give_up(struct client *client, struct turn *turn, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct str reason = str_vfmt(turn->arena, fmt, ap);
    va_end(ap);
    client_conclude(client, turn, false, reason);
}

void client_wait_until(struct client *client, int64_t at_ms)
{
    client->wake_ms = at_ms;
}

int64_t client_own_wait_ms(const struct client *client, int64_t ms)
{
    return ms / client->speed;
}

/* Does what comes next until that needs an answer or time. Every move of the issuance or of a step starts an exchange,
 * sets a wait, ends something, or brings its object forward; the bound is for the case that a server's answers lead in
 * circles. */
static void advance(struct client *client, struct turn *turn)
{
    for (int moves = 0; !client->done && client->exchange.state == EXCHANGE_NONE; moves++) {
        if (client->wake_ms > turn->now_ms) return;
        client->wake_ms = 0;
        if (moves == MAX_MOVES) client_end(client, turn, false, STR("the server's answers lead nowhere"));
        else if (client->renewing) client_next_step(client, turn);
        else if (client->plan->n_steps == 0 || client->obtaining) client_obtain(client, turn);
        else client_next_step(client, turn);
    }
}

static void client_step(struct actor *actor, struct turn *turn, const struct msg *in)
{
    struct client *client = (struct client *)actor;
    if (client->done) return;
    client->started = true;
    if (in) {
        if (in->kind != MSG_RESPONSE) return;
        exchange_arrival(client, turn, in);
    } else if (client->exchange.state != EXCHANGE_NONE) {
        exchange_timer(client, turn);
    }
    advance(client, turn);
}

static int64_t client_next_due_ms(const struct actor *actor)
{
    const struct client *client = (const struct client *)actor;
    if (client->done) return ACTOR_IDLE;
    if (!client->started) return 0;
    if (client->exchange.state != EXCHANGE_NONE) return client->exchange.due_ms;
    return client->wake_ms;
}

static bool client_finished(const struct actor *actor)
{
    return ((const struct client *)actor)->done;
}

static void client_free(struct actor *actor)
{
    struct client *client = (struct client *)actor;
    exchange_drop(client);
    arena_done(&client->exchange.arena);
    arena_done(&client->order.arena);
    arena_done(&client->arena);
    key_free(client->key);
    key_free(client->other.key);
    key_free(client->next_key);
    key_free(client->old_key);
    key_free(client->csr_key);
    key_free(client->certificate_key);
    key_free(client->stranger);
    free(client);
}

struct str client_certificate(const struct actor *actor)
{
    return ((const struct client *)actor)->certificate;
}

struct actor *client_new(const struct client_options *options)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client) abort();
    client->options = *options;
    client->plan = &options->scenario->client;
    client->habits = client->plan->habits;
    if (client->habits.poll_every_ms <= 0) client->habits.poll_every_ms = 3000;
    if (client->habits.poll_limit_ms <= 0) client->habits.poll_limit_ms = 30 * 60000;
    client->speed = options->speed > 0 ? options->speed : 1;
    client->actor = (struct actor){.name = "client",
                                   .step = client_step,
                                   .next_due_ms = client_next_due_ms,
                                   .finished = client_finished,
                                   .free = client_free};
    return &client->actor;
}
