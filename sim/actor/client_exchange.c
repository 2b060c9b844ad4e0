/* One request to the server and all that belongs to getting an answer: nonce, signature, time limit, badNonce, 5xx,
 * Retry-After. */
#include "actor/client_inside.h"

#include <assert.h>
#include <string.h>

static void hear(struct client *client, struct turn *turn, const struct http_response *response);

/* --- nonces (RFC 8555 section 6.5) --- */

static void keep_nonce(struct client *client, const struct headers *headers)
{
    struct str nonce = headers_get(headers, "Replay-Nonce");
    /* Section 6.5.1: a value that is not base64url is ignored. */
    if (nonce.n == 0 || nonce.n > CLIENT_NONCE_BYTES || !token_legal(nonce)) return;
    if (client->n_nonces == CLIENT_NONCES) {
        memmove(client->nonces[0], client->nonces[1], sizeof client->nonces - sizeof client->nonces[0]);
        memmove(client->nonce_n, client->nonce_n + 1, sizeof client->nonce_n - sizeof *client->nonce_n);
        client->n_nonces--;
    }
    memcpy(client->nonces[client->n_nonces], nonce.at, nonce.n);
    client->nonce_n[client->n_nonces++] = nonce.n;
}

static void spend_nonce(struct client *client)
{
    size_t i = --client->n_nonces;
    memcpy(client->spent_nonce, client->nonces[i], client->nonce_n[i]);
    client->spent_n = client->nonce_n[i];
}

/* --- sending --- */

static struct msg *request(struct client *client, struct turn *turn, struct str method, struct str url)
{
    struct exchange *x = &client->exchange;
    struct msg *msg = outbox_post(turn->out, MSG_REQUEST, client->options.server, 0);
    msg->as.request.method = method;
    msg->as.request.url = str_copy(&msg->arena, url);
    if (!client->habits.hides_user_agent) msg_header(msg, "User-Agent", STR("acmedrill/" ACMEDRILL_VERSION));
    x->flow = msg->flow;
    x->sent_ms = turn->now_ms;
    x->due_ms = turn->now_ms + x->limit_ms;
    return msg;
}

static void send_now(struct client *client, struct turn *turn)
{
    struct exchange *x = &client->exchange;
    x->for_nonce = false;
    if (x->get) {
        request(client, turn, STR("GET"), x->url);
        x->state = EXCHANGE_SENT;
        return;
    }
    if (client->n_nonces == 0 && !x->reuse_nonce) {
        request(client, turn, STR("HEAD"), client->directory.new_nonce);
        x->state = EXCHANGE_NONCE;
        x->for_nonce = true;
        return;
    }
    if (!x->reuse_nonce) spend_nonce(client);
    x->reuse_nonce = false;
    struct jws_header header = {
        .nonce = {client->spent_nonce, client->spent_n},
          .url = x->url
    };
    if (!x->with_jwk) header.kid = client->account;
    if (x->wrong_url) header.url = client->options.directory_url;
    struct str body;
    if (jws_seal(turn->arena, x->key ? x->key : client->key, &header, x->payload, &body) != OK) {
        client_give_up(client, turn, "%s: the request could not be signed", x->what);
        return;
    }
    struct msg *msg = request(client, turn, STR("POST"), x->url);
    msg->as.request.body = str_copy(&msg->arena, body);
    msg_header(msg, "Content-Type",
               client->habits.sends_plain_json ? STR("application/json") : STR("application/jose+json"));
    if (x->pem) msg_header(msg, "Accept", STR("application/pem-certificate-chain"));
    x->state = EXCHANGE_SENT;
}

static void begin(struct client *client, struct exchange fresh, struct turn *turn)
{
    struct exchange *x = &client->exchange;
    assert(x->state == EXCHANGE_NONE);
    struct arena arena = x->arena;
    arena_clear(&arena);
    fresh.url = str_copy(&arena, fresh.url);
    fresh.payload = str_copy(&arena, fresh.payload);
    fresh.arena = arena;
    if (!fresh.limit_ms) fresh.limit_ms = CLIENT_LIMIT_MS;
    fresh.get |= client->way == WAY_GET;
    fresh.wrong_url = client->way == WAY_WRONG_URL;
    if (client->way == WAY_OLD_KEY) fresh.key = client->old_key;
    client->way = WAY_PLAIN;
    *x = fresh;
    send_now(client, turn);
}

void exchange_start(struct client *client, struct turn *turn, enum manner manner, const char *what, struct str url,
                    struct str payload, client_then *then)
{
    /* {"status":...} and CSRs are answered from what the server has; only `{}` may make it go and look. */
    int64_t limit_ms = str_is(payload, "{}") ? CLIENT_ANSWER_LIMIT_MS : CLIENT_LIMIT_MS;
    begin(client,
          (struct exchange){
              .manner = manner, .what = what, .url = url, .payload = payload, .then = then, .limit_ms = limit_ms},
          turn);
}

void exchange_get(struct client *client, struct turn *turn, enum manner manner, const char *what, struct str url,
                  client_then *then)
{
    begin(client, (struct exchange){.manner = manner, .what = what, .url = url, .get = true, .then = then}, turn);
}

void exchange_start_with_jwk(struct client *client, struct turn *turn, enum manner manner, const char *what,
                             struct str url, struct str payload, client_then *then)
{
    begin(client,
          (struct exchange){
              .manner = manner, .what = what, .url = url, .payload = payload, .with_jwk = true, .then = then},
          turn);
}

void exchange_start_by_key(struct client *client, struct turn *turn, const char *what, struct str url,
                           struct str payload, const struct key *key, client_then *then)
{
    begin(client,
          (struct exchange){.manner = MANNER_RUDE,
                            .what = what,
                            .url = url,
                            .payload = payload,
                            .with_jwk = true,
                            .key = key,
                            .then = then},
          turn);
}

void exchange_start_pem(struct client *client, struct turn *turn, enum manner manner, struct str url, client_then *then)
{
    begin(client, (struct exchange){.manner = manner, .what = "certificate", .url = url, .pem = true, .then = then},
          turn);
}

void exchange_drop(struct client *client)
{
    client->exchange.state = EXCHANGE_NONE;
    client->exchange.flow = 0;
}

/* --- hearing --- */

/* When a reply lets us ask again; false: it does not say, or our habits do not understand it. */
static bool asked_to_wait(const struct client *client, const struct turn *turn, const struct headers *headers,
                          int64_t *ret_at_ms)
{
    bool is_date = false;
    if (client->habits.ignores_retry_after) return false;
    if (retry_after_read(headers, turn->now_ms, ret_at_ms, &is_date) != OK) return false;
    return !(is_date && client->habits.ignores_http_date) && *ret_at_ms > turn->now_ms;
}

void poll_heard(const struct client *client, const struct turn *turn, struct poll *poll, const struct headers *headers)
{
    poll->by_server = headers && asked_to_wait(client, turn, headers, &poll->next_ms);
    if (!poll->by_server) poll->next_ms = turn->now_ms + client_own_wait_ms(client, client->habits.poll_every_ms);
}

static void tell(struct client *client, struct turn *turn, const struct heard *heard)
{
    struct exchange *x = &client->exchange;
    x->state = EXCHANGE_NONE;
    if (!heard->good && x->manner != MANNER_POLITE) turn_note(turn, "%s: %.*s", x->what, STR_ARGS(heard->why));
    x->then(client, turn, heard);
}

static struct str problem_text(struct arena *arena, const struct problem *problem, int status)
{
    if (problem->type.n == 0) return str_fmt(arena, "HTTP status %d", status);
    return str_fmt(arena, "%.*s: %.*s", STR_ARGS(problem->type), STR_ARGS(problem->detail));
}

static int tries_at_most(const struct client *client, int polite)
{
    return client->habits.tries_a_hundred_times ? 100 : polite;
}

/* 5xx, 429 or nothing: a pause and another try, while there are tries left. */
static void hear_failure(struct client *client, struct turn *turn, const struct http_response *response,
                         struct heard *heard)
{
    struct exchange *x = &client->exchange;
    int64_t at_ms = 0;
    bool told = response && asked_to_wait(client, turn, response->headers, &at_ms);
    int64_t patience_ms = client_own_wait_ms(client, client->habits.poll_limit_ms);
    bool server_error = !response || response->status >= 500;
    bool too_long = told && at_ms - turn->now_ms > patience_ms && !client->habits.polls_for_ever;

    if (server_error && client->habits.gives_up_on_5xx) {
        client_give_up(client, turn, "%s: %.*s", x->what, STR_ARGS(heard->why));
        return;
    }
    if (x->manner != MANNER_RUDE && !too_long && ++x->tries < tries_at_most(client, CLIENT_TRIES)) {
        int doublings = x->tries < CLIENT_TRIES ? x->tries - 1 : CLIENT_TRIES - 2;
        int64_t pause_ms = client_own_wait_ms(client, (int64_t)CLIENT_BACK_OFF_MS << doublings);
        if (server_error && client->habits.retries_5xx_at_once) at_ms = turn->now_ms;
        else if (!told) at_ms = turn->now_ms + pause_ms;
        x->state = EXCHANGE_PAUSED;
        x->due_ms = at_ms;
        if (at_ms <= turn->now_ms) send_now(client, turn);
        return;
    }
    if (too_long)
        heard->why = str_fmt(turn->arena, "%.*s, and asks to wait longer than our patience", STR_ARGS(heard->why));
    else if (x->manner != MANNER_RUDE)
        heard->why = str_fmt(turn->arena, "%.*s, %d times", STR_ARGS(heard->why), x->tries);
    if (x->manner == MANNER_POLITE) client_give_up(client, turn, "%s: %.*s", x->what, STR_ARGS(heard->why));
    else tell(client, turn, heard);
}

static void hear_bad_nonce(struct client *client, struct turn *turn, const struct http_response *response,
                           const struct heard *heard)
{
    struct exchange *x = &client->exchange;
    if (client->habits.gives_up_on_bad_nonce || ++x->bad_nonces > tries_at_most(client, CLIENT_BAD_NONCES)) {
        client_give_up(client, turn, "%s: %.*s", x->what, STR_ARGS(heard->why));
        return;
    }
    /* Section 6.5: the error brings the nonce for the next try. Older ones are as stale as the one that failed. */
    client->n_nonces = 0;
    keep_nonce(client, response->headers);
    x->reuse_nonce = client->habits.repeats_nonce;
    send_now(client, turn);
}

/* response NULL: nothing came, or not all of it. */
static void hear(struct client *client, struct turn *turn, const struct http_response *response)
{
    struct exchange *x = &client->exchange;
    struct heard heard = {.response = response};
    bool for_nonce = x->for_nonce;
    if (!response) {
        heard.why = for_nonce ? STR("no answer from newNonce") : STR("no answer");
        hear_failure(client, turn, NULL, &heard);
        return;
    }
    keep_nonce(client, response->headers);
    heard.good = response->status >= 200 && response->status < 300;
    if (heard.good && for_nonce) {
        if (client->n_nonces) send_now(client, turn);
        else client_give_up(client, turn, "newNonce: the reply has no Replay-Nonce");
        return;
    }
    if (!heard.good) {
        if (problem_read(turn->arena, response->body, &heard.problem) != OK) heard.problem = (struct problem){0};
        heard.why = problem_text(turn->arena, &heard.problem, response->status);
    }
    if (response->status >= 500 || response->status == 429) hear_failure(client, turn, response, &heard);
    else if (!x->get && !for_nonce && str_is(heard.problem.type, "badNonce"))
        hear_bad_nonce(client, turn, response, &heard);
    else if (for_nonce) client_give_up(client, turn, "newNonce: %.*s", STR_ARGS(heard.why));
    else tell(client, turn, &heard);
}

void exchange_arrival(struct client *client, struct turn *turn, const struct msg *in)
{
    struct exchange *x = &client->exchange;
    const struct http_response *response = &in->as.response;
    if (in->flow != x->flow || (x->state != EXCHANGE_NONCE && x->state != EXCHANGE_SENT)) return;
    if (turn->now_ms >= x->due_ms) {
        exchange_timer(client, turn);
        return;
    }
    switch (response->delivery.how) {
    case DELIVER_HANG: return; /* the time limit will end it */
    case DELIVER_WHOLE: break;
    case DELIVER_SLOW:
        /* Less time has passed than the body takes: these are its headers. Otherwise the carrier has waited already. */
        if (response->delivery.over_ms > turn->now_ms - x->sent_ms) {
            int64_t there_ms = turn->now_ms + response->delivery.over_ms;
            if (there_ms >= x->due_ms) return;
            x->late = (struct http_response){.status = response->status, .body = str_copy(&x->arena, response->body)};
            if (response->headers) x->late.headers = (struct headers *)headers_copy(&x->arena, response->headers);
            x->due_ms = there_ms;
            x->state = EXCHANGE_DRIPS;
            return;
        }
        break;
    default: response = NULL; break;
    }
    hear(client, turn, response && response->status ? response : NULL);
}

void exchange_timer(struct client *client, struct turn *turn)
{
    struct exchange *x = &client->exchange;
    if (x->due_ms > turn->now_ms) return;
    switch (x->state) {
    case EXCHANGE_NONE: break;
    case EXCHANGE_NONCE:
    case EXCHANGE_SENT: hear(client, turn, NULL); break;
    case EXCHANGE_PAUSED: send_now(client, turn); break;
    case EXCHANGE_DRIPS: {
        struct http_response late = x->late;
        hear(client, turn, &late);
        break;
    }
    }
}
