/* The client's requests by name, and what it learns from their replies. */
#include "acme/address.h"
#include "actor/client_inside.h"

#include <assert.h>
#include <string.h>

/* --- directory, account (RFC 8555 sections 7.1.1, 7.3) --- */

void client_unreadable(struct client *client, struct turn *turn, const struct heard *heard, const char *what)
{
    if (client->exchange.manner == MANNER_POLITE)
        client_give_up(client, turn, "%s: the reply (HTTP status %d) is not what RFC 8555 describes", what,
                       heard->response->status);
    else turn_note(turn, "%s: the reply is not what RFC 8555 describes", what);
}

bool client_accepted(struct client *client, struct turn *turn, const struct heard *heard)
{
    if (heard->good) {
        assert(heard->response);
        return true;
    }
    if (client->exchange.manner == MANNER_POLITE)
        client_give_up(client, turn, "%s: %.*s", client->exchange.what, STR_ARGS(heard->why));
    return false;
}

struct str client_location(const struct client *client, struct arena *arena, const struct headers *headers)
{
    struct str location = headers_get(headers, "Location"), asked = client->exchange.url;
    struct url url;
    ptrdiff_t authority = str_find(asked, "://");
    if (str_starts(location, "/") && !str_starts(location, "//") && authority >= 0) {
        size_t n = (size_t)authority + sizeof "://" - 1;
        while (n < asked.n && asked.at[n] != '/')
            n++;
        location = str_fmt(arena, "%.*s%.*s", (int)n, asked.at, STR_ARGS(location));
    }
    return url_parse(location, &url) == OK ? location : (struct str){0};
}

static void on_directory(struct client *client, struct turn *turn, const struct heard *heard)
{
    if (!client_accepted(client, turn, heard)) return;
    struct directory_doc *doc = &client->directory;
    if (directory_read(&client->arena, heard->response->body, doc) != OK || !doc->new_nonce.n || !doc->new_account.n ||
        !doc->new_order.n) {
        client_unreadable(client, turn, heard, "directory");
        return;
    }
    client->has_directory = true;
}

static void on_account(struct client *client, struct turn *turn, const struct heard *heard)
{
    if (!client_accepted(client, turn, heard)) return;
    struct str url = client_location(client, turn->arena, heard->response->headers);
    if (!url.n) {
        client_unreadable(client, turn, heard, "new account");
        return;
    }
    client->account = str_copy(&client->arena, url);
    client_learn_account(client, turn, heard);
}

bool client_has_directory(struct client *client, struct turn *turn)
{
    if (client->has_directory) return true;
    exchange_get(client, turn, MANNER_POLITE, "directory", client->options.directory_url, on_directory);
    return false;
}

bool client_make_key(struct client *client, struct turn *turn)
{
    if (client->key) return true;
    if (client->options.key_pem.n && !client->other.key) {
        client->key = key_from_pem(client->options.key_pem);
    } else if (client->options.sealing == SEALING_SYMBOLIC) {
        client->key = key_make(KEY_P256, SEALING_SYMBOLIC, turn->rng);
    } else if (client->plan->key != KEY_RSA || client->other.key) {
        enum key_kind kind = client->plan->key != KEY_RSA ? client->plan->key : KEY_P256;
        client->key = key_make(kind, SEALING_REAL, turn->rng);
    }
    if (!client->key) client_end(client, turn, false, STR("there is no usable account key"));
    return client->key != NULL;
}

void client_new_account(struct client *client, struct turn *turn, enum manner manner, enum step_way way)
{
    if (!client_make_key(client, turn)) return;
    struct account_doc doc = {.terms_agreed = way != WAY_WITHOUT_TERMS, .binding = client_binding(client, turn, way)};
    exchange_start_with_jwk(client, turn, manner, "new account", client->directory.new_account,
                            account_request(turn->arena, &doc), on_account);
}

bool client_ready(struct client *client, struct turn *turn)
{
    if (!client_has_directory(client, turn)) return false;
    if (client->account.n) return true;
    client_new_account(client, turn, MANNER_POLITE, WAY_PLAIN);
    return false;
}

/* --- order (section 7.4) --- */

void client_forget_order(struct client *client, struct turn *turn)
{
    struct arena arena = client->order.arena;
    client_withdraw_all(client, turn);
    arena_clear(&arena);
    client->order = (struct client_order){.arena = arena};
    client->failing = false;
}

static void note_final(const struct client *client, const struct turn *turn, struct poll *poll)
{
    if (!client->habits.polls_after_final) return;
    if (!poll->final_seen) {
        poll->final_seen = true;
        poll->extra = CLIENT_EXTRA_POLLS;
    } else if (poll->extra > 0) {
        poll->extra--;
    }
    poll->next_ms = turn->now_ms + client_own_wait_ms(client, client->habits.poll_every_ms);
    poll->by_server = false;
}

/* What any reply that shows the order says. */
static void learn_order(struct client *client, struct turn *turn, const struct order_doc *doc,
                        const struct headers *headers)
{
    struct client_order *order = &client->order;
    order->status = status_read(doc->status);
    if (doc->certificate.n && !str_eq(doc->certificate, order->certificate))
        order->certificate = str_copy(&order->arena, doc->certificate);
    if (doc->has_error)
        order->why = str_fmt(&order->arena, "%.*s: %.*s", STR_ARGS(doc->error.type), STR_ARGS(doc->error.detail));
    poll_heard(client, turn, &order->poll, headers);
    if (status_is_final(OBJECT_ORDER, order->status)) note_final(client, turn, &order->poll);
    if (client->exchange.manner == MANNER_RUDE) return;
    if (client->habits.treats_processing_as_failure && order->status == STATUS_PROCESSING)
        client_give_up(client, turn, "the order is processing");
    else if (client->habits.treats_error_as_failure && doc->has_error)
        client_give_up(client, turn, "the order has an error: %.*s", STR_ARGS(order->why));
}

static void on_new_order(struct client *client, struct turn *turn, const struct heard *heard)
{
    struct client_order *order = &client->order;
    struct order_doc doc;
    if (!client_accepted(client, turn, heard)) return;
    struct str url = client_location(client, turn->arena, heard->response->headers);
    if (order_read(turn->arena, heard->response->body, &doc) != OK || !url.n || !doc.finalize.n) {
        client_unreadable(client, turn, heard, "new order");
        return;
    }
    client_forget_order(client, turn);
    client->orders_made++;
    order->exists = true;
    order->url = str_copy(&order->arena, url);
    order->finalize = str_copy(&order->arena, doc.finalize);
    order->n_authzs = doc.n_authorizations > RESOURCE_MAX_NAMES ? RESOURCE_MAX_NAMES : doc.n_authorizations;
    order->authzs = ARENA_ARRAY(&order->arena, struct client_authz, order->n_authzs + 1);
    for (size_t i = 0; i < order->n_authzs; i++) {
        order->authzs[i].url = str_copy(&order->arena, doc.authorizations[i]);
        order->authzs[i].chosen = -1;
    }
    learn_order(client, turn, &doc, heard->response->headers);
    if (!order->poll.by_server && order->status == STATUS_PENDING) order->poll.next_ms = turn->now_ms;
}

static struct identifier_doc identifier_of(struct str text)
{
    return (struct identifier_doc){.type = address_canonical(text) ? STR("ip") : STR("dns"), .value = text};
}

static struct str order_payload(const struct client *client, struct arena *arena)
{
    const struct scenario *scenario = client->options.scenario;
    struct order_doc doc = {.n_identifiers = scenario->n_identifiers};
    if (client->replaces) doc.replaces = client->renewal_id;
    doc.identifiers = ARENA_ARRAY(arena, struct identifier_doc, scenario->n_identifiers + 1);
    for (size_t i = 0; i < scenario->n_identifiers; i++)
        doc.identifiers[i] = identifier_of(scenario->identifiers[i]);
    return order_request(arena, &doc);
}

void client_new_order(struct client *client, struct turn *turn, enum manner manner)
{
    exchange_start(client, turn, manner, "new order", client->directory.new_order, order_payload(client, turn->arena),
                   on_new_order);
}

/* The habit new-order-each-poll: the pile of orders grows, and one that is ready is used. */
static void on_another_order(struct client *client, struct turn *turn, const struct heard *heard)
{
    struct order_doc doc;
    if (!heard->good || order_read(turn->arena, heard->response->body, &doc) != OK) return;
    enum status status = status_read(doc.status);
    if (status == STATUS_READY || status == STATUS_VALID) on_new_order(client, turn, heard);
}

void client_another_order(struct client *client, struct turn *turn, struct poll *poll)
{
    poll_heard(client, turn, poll, NULL);
    exchange_start(client, turn, MANNER_TOLERANT, "new order", client->directory.new_order,
                   order_payload(client, turn->arena), on_another_order);
}

static void on_order(struct client *client, struct turn *turn, const struct heard *heard)
{
    struct order_doc doc;
    poll_heard(client, turn, &client->order.poll, heard->response ? heard->response->headers : NULL);
    if (!client_accepted(client, turn, heard)) return;
    if (order_read(turn->arena, heard->response->body, &doc) != OK) client_unreadable(client, turn, heard, "order");
    else learn_order(client, turn, &doc, heard->response->headers);
}

void client_poll_order(struct client *client, struct turn *turn, enum manner manner)
{
    exchange_start(client, turn, manner, "order", client->order.url, STR(""), on_order);
}

void client_finalize(struct client *client, struct turn *turn, enum manner manner, client_then *then)
{
    const struct scenario *scenario = client->options.scenario;
    struct key *key = key_make(KEY_P256, client->options.sealing, turn->rng);
    struct str csr = {0};
    enum err e = key ? csr_write(turn->arena, key, scenario->identifiers, scenario->n_identifiers, &csr) : ERR_CRYPTO;
    key_free(client->csr_key);
    client->csr_key = key;
    if (e) client_end(client, turn, false, STR("the certificate request could not be made"));
    else
        exchange_start(client, turn, manner, "finalize", client->order.finalize, finalize_request(turn->arena, csr),
                       then);
}

void client_on_finalize(struct client *client, struct turn *turn, const struct heard *heard)
{
    struct client_order *order = &client->order;
    struct order_doc doc;
    if (!heard->good && str_is(heard->problem.type, "orderNotReady") && ++order->not_ready <= 3) {
        /* Section 7.4: it is not in the state we thought. Look again, after a while. */
        order->status = STATUS_PENDING;
        poll_heard(client, turn, &order->poll, heard->response->headers);
        return;
    }
    if (!client_accepted(client, turn, heard)) return;
    if (order_read(turn->arena, heard->response->body, &doc) != OK) {
        client_unreadable(client, turn, heard, "finalize");
        return;
    }
    order->finalized = true;
    order->poll = (struct poll){.since_ms = turn->now_ms};
    learn_order(client, turn, &doc, heard->response->headers);
}

/* A finalize that a polite client would not have sent: what it says about the order counts, errors do not. */
void client_on_spare_finalize(struct client *client, struct turn *turn, const struct heard *heard)
{
    struct order_doc doc;
    if (!heard->good || order_read(turn->arena, heard->response->body, &doc) != OK) return;
    client->order.finalized = true;
    learn_order(client, turn, &doc, heard->response->headers);
}

static void on_certificate(struct client *client, struct turn *turn, const struct heard *heard)
{
    if (!client_accepted(client, turn, heard)) return;
    if (str_find(heard->response->body, "-----BEGIN CERTIFICATE-----") < 0) {
        client_unreadable(client, turn, heard, "certificate");
        return;
    }
    client->certificate = str_copy(&client->arena, heard->response->body);
    client->order.downloaded = true;
    client_keep_certificate(client, heard->response);
}

void client_download(struct client *client, struct turn *turn, enum manner manner)
{
    exchange_start_pem(client, turn, manner, client->order.certificate, on_certificate);
}

/* --- authorization and challenge (sections 7.5, 7.5.1) --- */

/* What any reply that shows a challenge says. false: the client has ended over it. */
static bool learn_challenge(struct client *client, struct turn *turn, struct client_challenge *challenge,
                            const struct challenge_doc *doc)
{
    challenge->status = status_read(doc->status);
    /* Section 8.2 shows processing, and the error of a failed query beside it. Some servers show pending and an error,
     * and look again when the challenge is read. */
    challenge->watch =
        challenge->status == STATUS_PROCESSING || (challenge->status == STATUS_PENDING && doc->has_error);
    if (doc->has_error && challenge->answered)
        challenge->why =
            str_fmt(&client->order.arena, "%.*s: %.*s", STR_ARGS(doc->error.type), STR_ARGS(doc->error.detail));
    if (client->exchange.manner == MANNER_RUDE) return true;
    if (client->habits.treats_processing_as_failure && challenge->status == STATUS_PROCESSING) {
        client_give_up(client, turn, "the challenge is processing");
        return false;
    }
    if (client->habits.treats_error_as_failure && doc->has_error && challenge->answered) {
        client_give_up(client, turn, "the challenge has an error: %.*s", STR_ARGS(challenge->why));
        return false;
    }
    return true;
}

static void after_poll(struct client *client, struct turn *turn, size_t i)
{
    struct client_authz *authz = &client->order.authzs[i];
    if (client->done || authz->chosen < 0) return;
    enum challenge_type type = (enum challenge_type)authz->chosen;
    struct client_challenge *challenge = &authz->challenges[type];
    if (client->habits.withdraws_early) client_provision(client, turn, authz, type, true);
    if (client->habits.answers_again && challenge->answered && client->exchange.manner != MANNER_RUDE &&
        !status_is_final(OBJECT_CHALLENGE, challenge->status) && !status_is_final(OBJECT_AUTHZ, authz->status))
        client_answer(client, turn, MANNER_TOLERANT, i, type);
}

static void learn_authz(struct client *client, struct turn *turn, struct client_authz *authz,
                        const struct authz_doc *doc)
{
    struct arena *arena = &client->order.arena;
    authz->status = status_read(doc->status);
    if (!authz->fetched) {
        authz->fetched = true;
        authz->name = str_copy(arena, doc->identifier.value);
        authz->wildcard = doc->wildcard;
    }
    for (size_t i = 0; i < doc->n_challenges; i++) {
        const struct challenge_doc *seen = &doc->challenges[i];
        enum challenge_type type;
        if (!challenge_type_read(seen->type, &type) || !seen->url.n) continue;
        struct client_challenge *challenge = &authz->challenges[type];
        if (!challenge->offered) {
            if (!token_legal(seen->token)) continue;
            struct str key_authorization =
                challenge_key_authorization(turn->arena, seen->token, key_thumbprint(client->key, turn->arena));
            challenge->offered = true;
            challenge->url = str_copy(arena, seen->url);
            challenge->token = str_copy(arena, seen->token);
            challenge->place = challenge_place(arena, type, authz->name, challenge->token, client->account);
            challenge->proof = challenge_proof(arena, type, key_authorization);
        }
        bool watched = challenge->watch;
        if (!learn_challenge(client, turn, challenge, seen)) return;
        if (challenge->watch && !watched && !challenge->poll.by_server)
            challenge->poll.next_ms = turn->now_ms + client_own_wait_ms(client, client->habits.poll_every_ms);
    }
    if (status_is_final(OBJECT_AUTHZ, authz->status) || authz->status == STATUS_VALID)
        note_final(client, turn, &authz->poll);
}

static void on_authz(struct client *client, struct turn *turn, const struct heard *heard)
{
    struct client_authz *authz = &client->order.authzs[client->about_i];
    struct authz_doc doc;
    bool first = !authz->fetched;
    poll_heard(client, turn, &authz->poll, heard->response ? heard->response->headers : NULL);
    authz->fetch_failed = true;
    if (!client_accepted(client, turn, heard)) return;
    if (authz_read(turn->arena, heard->response->body, &doc) != OK) {
        client_unreadable(client, turn, heard, "authz");
        return;
    }
    authz->fetch_failed = false;
    learn_authz(client, turn, authz, &doc);
    if (authz->chosen >= 0) {
        const struct client_challenge *challenge = &authz->challenges[authz->chosen];
        authz->looked = challenge->status == STATUS_INVALID || challenge->refused;
    }
    if (!first) after_poll(client, turn, client->about_i);
}

void client_read_authz(struct client *client, struct turn *turn, enum manner manner, size_t i)
{
    client->about_i = i;
    exchange_start(client, turn, manner, "authz", client->order.authzs[i].url, STR(""), on_authz);
}

static void on_challenge(struct client *client, struct turn *turn, const struct heard *heard)
{
    struct client_authz *authz = &client->order.authzs[client->about_i];
    struct client_challenge *challenge = &authz->challenges[client->about_type];
    struct challenge_doc doc;
    poll_heard(client, turn, &challenge->poll, heard->response ? heard->response->headers : NULL);
    if (!client_accepted(client, turn, heard)) return;
    if (challenge_read(turn->arena, heard->response->body, &doc) != OK) {
        client_unreadable(client, turn, heard, "challenge");
        return;
    }
    if (!learn_challenge(client, turn, challenge, &doc)) return;
    if (status_is_final(OBJECT_CHALLENGE, challenge->status)) {
        note_final(client, turn, &challenge->poll);
        if (!authz->poll.by_server) authz->poll.next_ms = turn->now_ms;
    }
    after_poll(client, turn, client->about_i);
}

void client_poll_challenge(struct client *client, struct turn *turn, enum manner manner, size_t i,
                           enum challenge_type type)
{
    client->about_i = i;
    client->about_type = type;
    exchange_start(client, turn, manner, "challenge", client->order.authzs[i].challenges[type].url, STR(""),
                   on_challenge);
}

static void on_answer(struct client *client, struct turn *turn, const struct heard *heard)
{
    struct client_authz *authz = &client->order.authzs[client->about_i];
    struct client_challenge *challenge = &authz->challenges[client->about_type];
    struct challenge_doc doc;
    const struct headers *headers = heard->response ? heard->response->headers : NULL;
    bool by_server = authz->poll.by_server && authz->poll.next_ms > turn->now_ms;
    poll_heard(client, turn, &challenge->poll, headers);
    if (!challenge->poll.since_ms) challenge->poll.since_ms = turn->now_ms;
    if (!authz->poll.since_ms) authz->poll.since_ms = turn->now_ms;
    if (!by_server) poll_heard(client, turn, &authz->poll, NULL);
    if (!heard->good) {
        /* The authorization tells whether that matters: it may be valid already. */
        if (client->exchange.manner == MANNER_RUDE) return;
        challenge->refused = true;
        challenge->why = str_copy(&client->order.arena, heard->why);
        if (!by_server) authz->poll.next_ms = turn->now_ms;
        return;
    }
    assert(heard->response);
    if (challenge_read(turn->arena, heard->response->body, &doc) != OK) {
        if (client->exchange.manner == MANNER_TOLERANT)
            client->exchange.manner = MANNER_POLITE; /* only errors are tolerated */
        client_unreadable(client, turn, heard, "answer");
        return;
    }
    if (!learn_challenge(client, turn, challenge, &doc)) return;
    if (status_is_final(OBJECT_CHALLENGE, challenge->status)) {
        note_final(client, turn, &challenge->poll);
        if (!by_server) authz->poll.next_ms = turn->now_ms;
    }
}

void client_answer(struct client *client, struct turn *turn, enum manner manner, size_t i, enum challenge_type type)
{
    struct client_challenge *challenge = &client->order.authzs[i].challenges[type];
    challenge->answered = true;
    client->about_i = i;
    client->about_type = type;
    exchange_start(client, turn, manner, "answer", challenge->url, STR("{}"), on_answer);
}

void client_deactivate(struct client *client, struct turn *turn, size_t i)
{
    client->about_i = i;
    exchange_start(client, turn, MANNER_RUDE, "deactivation", client->order.authzs[i].url,
                   STR("{\"status\":\"deactivated\"}"), on_authz);
}

/* --- authorization ahead of an order (section 7.4.1) --- */

static void on_new_authz(struct client *client, struct turn *turn, const struct heard *heard)
{
    struct client_order *order = &client->order;
    struct authz_doc doc;
    if (!client_accepted(client, turn, heard)) return;
    struct str url = client_location(client, turn->arena, heard->response->headers);
    if (authz_read(turn->arena, heard->response->body, &doc) != OK || !url.n) {
        client_unreadable(client, turn, heard, "new authz");
        return;
    }
    if (!order->authzs) order->authzs = ARENA_ARRAY(&order->arena, struct client_authz, SCENARIO_MAX_NAMES);
    if (order->n_authzs == SCENARIO_MAX_NAMES) return;
    struct client_authz *authz = &order->authzs[order->n_authzs++];
    authz->url = str_copy(&order->arena, url);
    authz->chosen = -1;
    learn_authz(client, turn, authz, &doc);
}

void client_new_authz(struct client *client, struct turn *turn, size_t i)
{
    struct identifier_doc identifier = identifier_of(client->options.scenario->identifiers[i]);
    if (client->order.exists) client_forget_order(client, turn);
    exchange_start(client, turn, MANNER_RUDE, "new authz", client->directory.new_authz,
                   new_authz_request(turn->arena, &identifier), on_new_authz);
}

/* --- the responder --- */

void client_provision(struct client *client, struct turn *turn, struct client_authz *authz, enum challenge_type type,
                      bool withdraw)
{
    struct client_challenge *challenge = &authz->challenges[type];
    if (challenge->provisioned != withdraw) return;
    struct msg *msg = outbox_post(turn->out, MSG_PROVISION, client->options.responder, 0);
    struct provision *provision = &msg->as.provision;
    provision->type = str_c(challenge_row(type)->name);
    provision->name = str_copy(&msg->arena, authz->name);
    provision->token = str_copy(&msg->arena, challenge->token);
    provision->place = str_copy(&msg->arena, challenge->place);
    provision->proof = str_copy(&msg->arena, challenge->proof);
    provision->withdraw = withdraw;
    challenge->provisioned = !withdraw;
}

void client_withdraw_all(struct client *client, struct turn *turn)
{
    for (size_t i = 0; i < client->order.n_authzs; i++)
        for (int type = 0; type < CHALLENGE_TYPE_COUNT; type++)
            client_provision(client, turn, &client->order.authzs[i], (enum challenge_type)type, true);
}
