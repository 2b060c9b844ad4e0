/* Steps: what a scenario dictates, one after the other, each for every authorization where that makes sense. */
#include "actor/client_inside.h"

/* What a step needs before it can begin. */
enum {
    NEEDS_ORDER = 1,
    NEEDS_AUTHZ = 2, /* read */
    NEEDS_TYPE = 4,
    PER_AUTHZ = 8,          /* of an order, or made ahead of one */
    NEEDS_CERTIFICATE = 16, /* its URL */
    NEEDS_LEAF = 32,        /* itself */
    PER_NAME = 64
};

static unsigned needs(enum step_kind kind)
{
    switch (kind) {
    case STEP_READ_AUTHZ:
    case STEP_POLL_AUTHZ:
    case STEP_DEACTIVATE_AUTHZ: return PER_AUTHZ;
    case STEP_PROVISION:
    case STEP_WITHDRAW:
    case STEP_ANSWER:
    case STEP_POLL_CHALLENGE: return PER_AUTHZ | NEEDS_AUTHZ | NEEDS_TYPE;
    case STEP_POLL_ORDER:
    case STEP_FINALIZE: return NEEDS_ORDER;
    case STEP_DOWNLOAD: return NEEDS_ORDER | NEEDS_CERTIFICATE;
    case STEP_CREATE_AUTHZ: return PER_NAME;
    case STEP_DOWNLOAD_ALTERNATE:
    case STEP_REVOKE_CERTIFICATE:
    case STEP_READ_RENEWAL:
    case STEP_REPLACE_CERTIFICATE:
    case STEP_RENEW: return NEEDS_LEAF;
    case STEP_OBTAIN:
    case STEP_CREATE_ACCOUNT:
    case STEP_FIND_ACCOUNT:
    case STEP_READ_ACCOUNT:
    case STEP_UPDATE_ACCOUNT:
    case STEP_DEACTIVATE_ACCOUNT:
    case STEP_CHANGE_KEY:
    case STEP_READ_ORDERS:
    case STEP_OTHER_ACCOUNT:
    case STEP_CREATE_ORDER:
    case STEP_WAIT:
    case STEP_GIVE_UP: break;
    }
    return 0;
}

static void to_next_step(struct client *client)
{
    client->step++;
    client->item = 0;
    client->round = 0;
    client->step_begun = client->step_paused = false;
}

static void to_next_item(struct client *client, size_t n_items)
{
    client->step_begun = false;
    if (++client->item < n_items) return;
    client->item = 0;
    client->round++;
    client->step_paused = false;
}

/* The steps that poll, one look; for `until final` as a polite client looks. */
static void poll_step(struct client *client, struct turn *turn, const struct step *step, size_t n_items)
{
    struct client_order *order = &client->order;
    size_t i = client->item;
    struct poll *poll = &order->poll;
    enum status status = order->status;
    bool final = status == STATUS_READY || status == STATUS_VALID || status == STATUS_INVALID;
    enum manner manner = step->until_final ? MANNER_TOLERANT : MANNER_RUDE;
    struct str why;

    if (step->kind == STEP_POLL_AUTHZ) {
        poll = &order->authzs[i].poll;
        status = order->authzs[i].status;
        final = status == STATUS_VALID || status_is_final(OBJECT_AUTHZ, status);
    } else if (step->kind == STEP_POLL_CHALLENGE) {
        poll = &order->authzs[i].challenges[step->type].poll;
        status = order->authzs[i].challenges[step->type].status;
        final = status_is_final(OBJECT_CHALLENGE, status);
    }
    if (step->until_final) {
        if (!client->step_begun) {
            poll->since_ms = 0;
            poll->last = false;
            final = false; /* what we know may be old */
            client->step_begun = true;
        }
        enum poll_when when = final ? POLL_ENOUGH : client_may_poll(client, turn, poll, &why);
        if (when == POLL_ENOUGH && !final) turn_note(turn, "%.*s: %.*s", STR_ARGS(step->text), STR_ARGS(why));
        if (when == POLL_ENOUGH) to_next_item(client, n_items);
        if (when != POLL_NOW) return;
    } else {
        to_next_item(client, n_items);
    }
    if (step->kind == STEP_POLL_ORDER) client_poll_order(client, turn, manner);
    else if (step->kind == STEP_POLL_AUTHZ) client_read_authz(client, turn, manner, i);
    else client_poll_challenge(client, turn, manner, i, step->type);
}

static void do_step(struct client *client, struct turn *turn, const struct step *step, size_t n_items)
{
    size_t i = client->item;
    struct client_authz *authz = needs(step->kind) & PER_AUTHZ ? &client->order.authzs[i] : NULL;
    client->way = step->way;
    if (step->kind == STEP_POLL_CHALLENGE || step->kind == STEP_POLL_AUTHZ || step->kind == STEP_POLL_ORDER) {
        poll_step(client, turn, step, n_items);
        return;
    }
    to_next_item(client, n_items);
    switch (step->kind) {
    case STEP_CREATE_ACCOUNT: client_new_account(client, turn, MANNER_RUDE, step->way); break;
    case STEP_FIND_ACCOUNT: client_find_account(client, turn); break;
    case STEP_READ_ACCOUNT:
    case STEP_UPDATE_ACCOUNT:
    case STEP_DEACTIVATE_ACCOUNT: client_account_step(client, turn, step); break;
    case STEP_CHANGE_KEY: client_change_key(client, turn, step->way); break;
    case STEP_OTHER_ACCOUNT: client_use_other_account(client); break;
    case STEP_CREATE_AUTHZ: client_new_authz(client, turn, i); break;
    case STEP_CREATE_ORDER:
    case STEP_REPLACE_CERTIFICATE:
        client->replaces = step->kind == STEP_REPLACE_CERTIFICATE;
        client_new_order(client, turn, MANNER_RUDE);
        break;
    case STEP_READ_AUTHZ: client_read_authz(client, turn, MANNER_RUDE, i); break;
    case STEP_PROVISION: client_provision(client, turn, authz, step->type, false); break;
    case STEP_WITHDRAW: client_provision(client, turn, authz, step->type, true); break;
    case STEP_ANSWER:
        authz->chosen = (int)step->type;
        client_answer(client, turn, MANNER_RUDE, i, step->type);
        break;
    case STEP_FINALIZE: client_finalize(client, turn, MANNER_RUDE, client_on_spare_finalize); break;
    case STEP_DOWNLOAD: client_download(client, turn, MANNER_RUDE); break;
    case STEP_DOWNLOAD_ALTERNATE: client_download_alternate(client, turn); break;
    case STEP_REVOKE_CERTIFICATE: client_revoke(client, turn, step); break;
    case STEP_READ_RENEWAL: client_read_renewal(client, turn, MANNER_RUDE); break;
    case STEP_DEACTIVATE_AUTHZ: client_deactivate(client, turn, i); break;
    default: break;
    }
}

/* Steps that are more than requests one by one. false: this is none of them. */
static bool long_step(struct client *client, struct turn *turn, const struct step *step)
{
    switch (step->kind) {
    case STEP_OBTAIN: client->obtaining = true; return true;
    case STEP_RENEW:
        client->renewing = client_awaits_renewal(client, turn);
        if (client->renewing || client->done) return true;
        client_forget_order(client, turn);
        client->replaces = client->directory.renewal_info.n > 0; /* RFC 9773 section 5 */
        client->obtaining = true;
        return true;
    case STEP_READ_ORDERS:
        if (client_read_orders(client, turn, !client->step_begun)) client->step_begun = true;
        else to_next_step(client);
        return true;
    default: return false;
    }
}

/* Does the directory name what the step asks for? Section 7.1.1: what a server does not offer it leaves out. */
static bool is_offered(const struct directory_doc *directory, enum step_kind kind)
{
    switch (kind) {
    case STEP_CHANGE_KEY: return directory->key_change.n > 0;
    case STEP_CREATE_AUTHZ: return directory->new_authz.n > 0;
    case STEP_REVOKE_CERTIFICATE: return directory->revoke_cert.n > 0;
    case STEP_READ_RENEWAL: return directory->renewal_info.n > 0;
    default: return true;
    }
}

/* Why the step cannot be done; NULL: it can. */
static const char *lacks(const struct client *client, const struct step *step)
{
    const struct client_order *order = &client->order;
    unsigned need = needs(step->kind);
    if ((need & NEEDS_ORDER) && !order->exists) return "there is no order";
    if ((need & PER_AUTHZ) && !order->exists && !order->n_authzs) return "there is no order";
    if ((need & NEEDS_CERTIFICATE) && !order->certificate.n) return "no certificate was named";
    if ((need & NEEDS_LEAF) && !client->leaf.n) return "there is no certificate";
    if (!is_offered(&client->directory, step->kind)) return "the directory does not name it";
    if (step->way == WAY_OLD_KEY && !client->old_key) return "the key was not changed";
    return NULL;
}

/* The account that it acts for is there; false: on the way. */
static bool has_account(struct client *client, struct turn *turn, enum step_kind kind)
{
    if (kind == STEP_OTHER_ACCOUNT) return true;
    if (kind == STEP_CREATE_ACCOUNT || kind == STEP_FIND_ACCOUNT) return client_has_directory(client, turn);
    return client_ready(client, turn);
}

void client_next_step(struct client *client, struct turn *turn)
{
    if (client->step >= client->plan->n_steps) {
        client_end(client, turn, client->certificate.n > 0, STR("the steps are done, and there is no certificate"));
        return;
    }
    const struct step *step = &client->plan->steps[client->step];
    const struct client_order *order = &client->order;
    unsigned need = needs(step->kind);
    int times = step->times > 0 ? step->times : 1;

    if (step->kind == STEP_GIVE_UP) {
        client_end(client, turn, false, STR("told to give up"));
        return;
    }
    if (step->kind == STEP_WAIT) {
        if (client->step_begun) {
            to_next_step(client);
        } else {
            client->step_begun = true;
            client_wait_until(client, turn->now_ms + client_own_wait_ms(client, step->every_ms));
        }
        return;
    }
    if (!has_account(client, turn, step->kind)) return;
    const char *lack = lacks(client, step);
    if (lack) {
        client_end(client, turn, false, str_fmt(turn->arena, "step \"%.*s\": %s", STR_ARGS(step->text), lack));
        return;
    }
    if (long_step(client, turn, step)) return;
    size_t n_items = need & PER_AUTHZ ? order->n_authzs : need & PER_NAME ? client->options.scenario->n_identifiers : 1;
    if (client->round >= (step->until_final ? 1 : times) || n_items == 0) {
        to_next_step(client);
        return;
    }
    if (client->item == 0 && client->round > 0 && step->every_ms > 0 && !client->step_paused) {
        client->step_paused = true;
        client_wait_until(client, turn->now_ms + client_own_wait_ms(client, step->every_ms));
        return;
    }
    struct client_authz *authz = need & PER_AUTHZ ? &order->authzs[client->item] : NULL;
    if ((need & NEEDS_AUTHZ) && !authz->fetched && !authz->fetch_failed) {
        client_read_authz(client, turn, MANNER_RUDE, client->item);
        return;
    }
    if ((need & NEEDS_TYPE) && !authz->challenges[step->type].offered) {
        turn_note(turn, "%.*s: not offered for %.*s", STR_ARGS(step->text), STR_ARGS(authz->name));
        to_next_item(client, n_items);
        return;
    }
    do_step(client, turn, step, n_items);
}
