/* The polite issuance: from wherever the objects stand, the next thing to do. Every call does one thing. */
#include "actor/client_inside.h"

#include <string.h>

/* --- patience --- */

enum poll_when client_may_poll(struct client *client, struct turn *turn, struct poll *poll, struct str *ret_why)
{
    if (!poll->since_ms) poll->since_ms = turn->now_ms;
    int64_t patience_ms = client_own_wait_ms(client, client->habits.poll_limit_ms);
    int64_t limit_ms = poll->since_ms + patience_ms, due_ms = poll->next_ms;
    if (!client->habits.polls_for_ever && due_ms > limit_ms) {
        if (poll->by_server) {
            *ret_why = STR("the server asks to wait longer than our patience");
            return POLL_ENOUGH;
        }
        if (poll->last) {
            *ret_why = STR("our patience is used up");
            return POLL_ENOUGH;
        }
        due_ms = limit_ms;
    }
    if (due_ms > turn->now_ms) {
        client_wait_until(client, due_ms);
        return POLL_LATER;
    }
    poll->last = turn->now_ms >= limit_ms;
    return POLL_NOW;
}

static bool may_poll(struct client *client, struct turn *turn, struct poll *poll, const char *object,
                     enum status status)
{
    struct str why;
    switch (client_may_poll(client, turn, poll, &why)) {
    case POLL_NOW: return true;
    case POLL_LATER: return false;
    case POLL_ENOUGH: break;
    }
    client_give_up(client, turn, "the %s is %s still, and %.*s", object, status_text(status), STR_ARGS(why));
    return false;
}

/* Habit never-polls: sits out its patience. */
static bool sits_out(struct client *client, struct turn *turn, struct poll *poll)
{
    if (!client->habits.never_polls) return false;
    if (!poll->since_ms) poll->since_ms = turn->now_ms;
    int64_t until_ms = poll->since_ms + client_own_wait_ms(client, client->habits.poll_limit_ms);
    if (until_ms > turn->now_ms) client_wait_until(client, until_ms);
    else client_give_up(client, turn, "never polled");
    return true;
}

/* --- choice of challenges --- */

static bool *failed_types(struct client *client, const struct client_authz *authz, bool make)
{
    size_t i = 0;
    while (i < client->n_failed &&
           !(str_eq(client->failed[i].name, authz->name) && client->failed[i].wildcard == authz->wildcard))
        i++;
    if (i == client->n_failed) {
        if (!make || i == COUNTOF(client->failed)) return NULL;
        client->failed[i].name = str_copy(&client->arena, authz->name);
        client->failed[i].wildcard = authz->wildcard;
        client->n_failed++;
    }
    return client->failed[i].types;
}

bool client_failed_before(const struct client *client, const struct client_authz *authz, enum challenge_type type)
{
    const bool *types = failed_types((struct client *)client, authz, false);
    return types && types[type];
}

/* All types in order of preference: those that the plan prefers, then the others that the scenario offers; all when it
 * names none. */
static size_t preferences(const struct client *client, enum challenge_type ret[CHALLENGE_TYPE_COUNT])
{
    const struct scenario *scenario = client->options.scenario;
    bool taken[CHALLENGE_TYPE_COUNT] = {0};
    size_t n = 0;
    for (size_t i = 0; i < client->plan->n_prefers + scenario->n_challenges; i++) {
        enum challenge_type type =
            i < client->plan->n_prefers ? client->plan->prefers[i] : scenario->challenges[i - client->plan->n_prefers];
        if (taken[type] || n == CHALLENGE_TYPE_COUNT) continue;
        taken[type] = true;
        ret[n++] = type;
    }
    for (int type = 0; n == 0 && type < CHALLENGE_TYPE_COUNT; type++)
        ret[type] = (enum challenge_type)type;
    return n ? n : CHALLENGE_TYPE_COUNT;
}

/* The first type by preference that is offered and has not failed; with `pending`, whose challenge may still be
 * answered. -1: none. */
static int next_type(const struct client *client, const struct client_authz *authz, bool pending)
{
    enum challenge_type types[CHALLENGE_TYPE_COUNT];
    size_t n = preferences(client, types);
    for (size_t i = 0; i < n; i++) {
        const struct client_challenge *challenge = &authz->challenges[types[i]];
        if (!challenge->offered || client_failed_before(client, authz, types[i])) continue;
        if (pending && (challenge->status != STATUS_PENDING || challenge->answered)) continue;
        if (authz->wildcard && !challenge_row(types[i])->wildcard) continue;
        return (int)types[i];
    }
    return -1;
}

/* --- failure --- */

static void lost(struct client *client, size_t i)
{
    client->failing = true;
    client->failing_looked = false;
    client->failing_i = i;
}

static bool another_order(struct client *client, struct turn *turn)
{
    if (client->plan->on_failure != FAIL_NEW_ORDER || client->orders_made >= CLIENT_ORDERS) return false;
    client_forget_order(client, turn);
    return true;
}

static void resolve_failure(struct client *client, struct turn *turn)
{
    struct client_order *order = &client->order;
    struct client_authz *authz = &order->authzs[client->failing_i];
    struct client_challenge *challenge = authz->chosen >= 0 ? &authz->challenges[authz->chosen] : NULL;

    if (challenge && client->habits.answers_after_invalid && !challenge->answered_invalid) {
        challenge->answered_invalid = true;
        client_answer(client, turn, MANNER_RUDE, client->failing_i, (enum challenge_type)authz->chosen);
        return;
    }
    /* What became of the order: section 7.1.6 makes it invalid, and not every server does. */
    if (!client->failing_looked && authz->status != STATUS_PENDING && !client->habits.never_polls) {
        client->failing_looked = true;
        client_poll_order(client, turn, MANNER_RUDE);
        return;
    }
    client->failing = false;
    struct str what =
        authz->status == STATUS_PENDING ? STR("is lost") : str_fmt(turn->arena, "is %s", status_text(authz->status));
    struct str why = str_fmt(turn->arena, "the authorization of %.*s %.*s", STR_ARGS(authz->name), STR_ARGS(what));
    if (challenge) {
        bool *types = failed_types(client, authz, true);
        if (types) types[authz->chosen] = true;
        client_provision(client, turn, authz, (enum challenge_type)authz->chosen, true);
        why = str_fmt(turn->arena, "%s for %.*s failed%s%.*s", challenge_row((enum challenge_type)authz->chosen)->name,
                      STR_ARGS(authz->name), challenge->why.n ? ": " : "", STR_ARGS(challenge->why));
    }
    if (client->plan->on_failure != FAIL_GIVE_UP && authz->status == STATUS_PENDING &&
        next_type(client, authz, true) >= 0) {
        authz->chosen = -1;
        authz->looked = false;
        authz->poll.since_ms = 0;
        return;
    }
    if (next_type(client, authz, false) >= 0 && another_order(client, turn)) return;
    client_conclude(client, turn, false, why);
}

/* --- one authorization --- */

/* Provisions and answers the chosen challenge, and with answers-all every other. false: there was nothing to do. */
static bool answer_next(struct client *client, struct turn *turn, size_t i)
{
    struct client_authz *authz = &client->order.authzs[i];
    if (authz->chosen < 0) {
        authz->chosen = next_type(client, authz, true);
        for (int type = 0; type < CHALLENGE_TYPE_COUNT && authz->chosen < 0; type++) {
            struct client_challenge *challenge = &authz->challenges[type];
            if (!challenge->offered || challenge->status != STATUS_PROCESSING) continue;
            challenge->answered = true; /* in an earlier order that shares the authorization */
            authz->chosen = type;
        }
        if (authz->chosen < 0) {
            client_give_up(client, turn, "no challenge of %.*s is of use to us", STR_ARGS(authz->name));
            return true;
        }
    }
    for (int k = -1; k < CHALLENGE_TYPE_COUNT; k++) {
        int type = k < 0 ? authz->chosen : k;
        struct client_challenge *challenge = &authz->challenges[type];
        if (!challenge->offered || challenge->answered || challenge->status != STATUS_PENDING) continue;
        if (k >= 0 && !client->habits.answers_all) break;
        client_provision(client, turn, authz, (enum challenge_type)type, false);
        if (client->habits.never_answers) {
            challenge->answered = true;
            poll_heard(client, turn, &authz->poll, NULL);
            continue;
        }
        client_answer(client, turn, MANNER_TOLERANT, i, (enum challenge_type)type);
        return true;
    }
    return false;
}

static void watch(struct client *client, struct turn *turn, size_t i)
{
    struct client_authz *authz = &client->order.authzs[i];
    enum challenge_type type = (enum challenge_type)authz->chosen;
    struct client_challenge *challenge = &authz->challenges[type];
    int64_t patience_ms = client_own_wait_ms(client, client->habits.poll_limit_ms);

    if (sits_out(client, turn, &authz->poll)) return;
    bool own = challenge->watch || challenge->poll.extra > 0;
    struct poll *poll = own ? &challenge->poll : &authz->poll;
    if (!own && challenge->status == STATUS_VALID && authz->poll.by_server && !client->habits.polls_for_ever &&
        authz->poll.next_ms > turn->now_ms + patience_ms) {
        authz->status = STATUS_VALID; /* section 7.1.6: one valid challenge suffices; the order will tell */
        return;
    }
    if (!may_poll(client, turn, poll, own ? "challenge" : "authorization", own ? challenge->status : authz->status))
        return;
    if (client->habits.new_order_each_poll) client_another_order(client, turn, poll);
    else if (own) client_poll_challenge(client, turn, MANNER_POLITE, i, type);
    else client_read_authz(client, turn, MANNER_POLITE, i);
}

static bool is_open(const struct client_authz *authz)
{
    return authz->status == STATUS_PENDING || authz->status == STATUS_NONE;
}

/* false: nothing is left to do for it. */
static bool follow(struct client *client, struct turn *turn, size_t i)
{
    struct client_authz *authz = &client->order.authzs[i];
    if (is_open(authz)) {
        if (authz->looked) lost(client, i);
        else watch(client, turn, i);
        return true;
    }
    if (authz->poll.extra > 0 && !client->habits.never_polls) {
        if (may_poll(client, turn, &authz->poll, "authorization", authz->status))
            client_read_authz(client, turn, MANNER_POLITE, i);
        return true;
    }
    if (authz->status != STATUS_VALID) {
        lost(client, i);
        return true;
    }
    for (int type = 0; type < CHALLENGE_TYPE_COUNT; type++)
        client_provision(client, turn, authz, (enum challenge_type)type, true);
    return false;
}

/* All authorizations are read, then all are answered, then they are followed one after the other. */
static bool work_on_authzs(struct client *client, struct turn *turn)
{
    struct client_order *order = &client->order;
    for (size_t i = 0; i < order->n_authzs; i++)
        if (!order->authzs[i].fetched) {
            client_read_authz(client, turn, MANNER_POLITE, i);
            return true;
        }
    for (size_t i = 0; i < order->n_authzs; i++)
        if (is_open(&order->authzs[i]) && !order->authzs[i].looked && answer_next(client, turn, i)) return true;
    for (size_t i = 0; i < order->n_authzs; i++)
        if (follow(client, turn, i)) return true;
    return false;
}

/* --- the order --- */

static void watch_order(struct client *client, struct turn *turn)
{
    struct client_order *order = &client->order;
    if (sits_out(client, turn, &order->poll)) return;
    if (!may_poll(client, turn, &order->poll, "order", order->status)) return;
    if (client->habits.new_order_each_poll) client_another_order(client, turn, &order->poll);
    else client_poll_order(client, turn, MANNER_POLITE);
}

static void work_on_order(struct client *client, struct turn *turn)
{
    struct client_order *order = &client->order;
    bool extra = order->poll.extra > 0 && !client->habits.never_polls;
    switch (order->status) {
    case STATUS_READY:
        /* Once it has been accepted, a server that shows ready still is only slow. */
        if (order->finalized) watch_order(client, turn);
        else client_finalize(client, turn, MANNER_POLITE, client_on_finalize);
        return;
    case STATUS_PROCESSING:
        if (client->habits.finalizes_twice && order->finalized && !order->finalized_twice) {
            order->finalized_twice = true;
            client_finalize(client, turn, MANNER_RUDE, client_on_spare_finalize);
            return;
        }
        watch_order(client, turn);
        return;
    case STATUS_VALID:
        if (extra) watch_order(client, turn);
        else if (order->downloaded) client_conclude(client, turn, true, STR(""));
        else if (client->habits.never_downloads) client_give_up(client, turn, "does not fetch its certificate");
        else if (!order->certificate.n) client_give_up(client, turn, "the order is valid and names no certificate");
        else client_download(client, turn, MANNER_POLITE);
        return;
    case STATUS_INVALID:
        if (extra) {
            watch_order(client, turn);
            return;
        }
        struct str why = order->why.n ? str_fmt(turn->arena, "the order is invalid: %.*s", STR_ARGS(order->why))
                                      : STR("the order is invalid");
        if (!another_order(client, turn)) client_conclude(client, turn, false, why);
        return;
    default: break;
    }
    if (!work_on_authzs(client, turn)) watch_order(client, turn);
}

void client_obtain(struct client *client, struct turn *turn)
{
    struct client_order *order = &client->order;
    if (!client_ready(client, turn)) return;
    if (client->failing) {
        resolve_failure(client, turn);
    } else if (!order->exists) {
        client_new_order(client, turn, MANNER_POLITE);
    } else if (client->habits.finalizes_early && !order->finalized_early && order->status == STATUS_PENDING) {
        order->finalized_early = true;
        client_finalize(client, turn, MANNER_RUDE, client_on_spare_finalize);
    } else {
        work_on_order(client, turn);
    }
}
