/* Requests about accounts and their keys: RFC 8555 sections 7.3 and 7.1.2. */
#include "actor/client_inside.h"

#include <string.h>

#define CONTACT "mailto:admin@example.test"

/* --- external accounts (section 7.3.4) --- */

/* "externalAccountBinding" of a new account, by the first of the external accounts that the profile knows; empty: the
 * server asks for none, or there is none. */
struct str client_binding(struct client *client, struct turn *turn, enum step_way way)
{
    const struct profile *profile = client->options.scenario->profile;
    if (!client->directory.external_account_required || way == WAY_WITHOUT_BINDING) return (struct str){0};
    if (!profile || !profile->n_external_accounts) return (struct str){0};
    const struct external_account *external = &profile->external_accounts[0];
    struct jws_header header = {.url = client->directory.new_account, .kid = external->kid};
    struct str mac_key = external->mac_key, binding = {0};
    struct key *another = NULL;
    if (way == WAY_UNKNOWN_KID) header.kid = str_fmt(turn->arena, "not %.*s", STR_ARGS(external->kid));
    if (way == WAY_WRONG_MAC) mac_key = sha256(turn->arena, mac_key);
    if (way == WAY_OTHER_BINDING) another = key_make(KEY_P256, client->options.sealing, turn->rng);
    struct str jwk = key_jwk(another ? another : client->key, turn->arena);
    key_free(another);
    if (jws_seal_mac(turn->arena, "HS256", mac_key, &header, jwk, &binding) != OK)
        turn_note(turn, "new account: the external account could not be bound");
    return binding;
}

/* --- finding, reading, updating, deactivating --- */

void client_learn_account(struct client *client, struct turn *turn, const struct heard *heard)
{
    struct account_doc doc;
    if (account_read(turn->arena, heard->response->body, &doc) == OK && doc.orders.n)
        client->orders = str_copy(&client->arena, doc.orders);
}

static void on_account(struct client *client, struct turn *turn, const struct heard *heard)
{
    if (client_accepted(client, turn, heard)) client_learn_account(client, turn, heard);
}

static void on_found(struct client *client, struct turn *turn, const struct heard *heard)
{
    if (!client_accepted(client, turn, heard)) return;
    struct str url = client_location(client, turn->arena, heard->response->headers);
    if (url.n) client->account = str_copy(&client->arena, url);
    client_learn_account(client, turn, heard);
}

/* Section 7.3.1. */
void client_find_account(struct client *client, struct turn *turn)
{
    struct account_doc doc = {.only_return_existing = true};
    if (!client_make_key(client, turn)) return;
    exchange_start_with_jwk(client, turn, MANNER_RUDE, "find account", client->directory.new_account,
                            account_request(turn->arena, &doc), on_found);
}

/* Sections 7.3.2, 7.3.3, 7.3.6. */
static struct str account_payload(const struct step *step, struct arena *arena)
{
    struct account_doc doc = {.n_contacts = 1, .contacts = {step->contact.n ? step->contact : STR(CONTACT)}};
    if (step->kind == STEP_READ_ACCOUNT) return STR("");
    if (step->kind == STEP_DEACTIVATE_ACCOUNT) return STR("{\"status\":\"deactivated\"}");
    if (step->way == WAY_WITHOUT_CONTACT) return STR("{\"contact\":[]}");
    if (step->way == WAY_WITH_TERMS) doc = (struct account_doc){.terms_agreed = true};
    return account_request(arena, &doc);
}

void client_account_step(struct client *client, struct turn *turn, const struct step *step)
{
    const char *what = step->kind == STEP_READ_ACCOUNT     ? "account"
                       : step->kind == STEP_UPDATE_ACCOUNT ? "update"
                                                           : "deactivation";
    exchange_start(client, turn, MANNER_RUDE, what, client->account, account_payload(step, turn->arena), on_account);
}

/* --- its orders (section 7.1.2.1) --- */

static void on_orders(struct client *client, struct turn *turn, const struct heard *heard)
{
    client->page = (struct str){0};
    if (!client_accepted(client, turn, heard)) return;
    client->page = str_copy(&client->arena, headers_link(heard->response->headers, "next", 0));
}

bool client_read_orders(struct client *client, struct turn *turn, bool first)
{
    struct str url = first ? client->orders : client->page;
    if (!url.n) {
        if (first) turn_note(turn, "read orders: the account names no list of orders");
        return false;
    }
    exchange_start(client, turn, MANNER_RUDE, "orders", url, STR(""), on_orders);
    return true;
}

/* --- another key (section 7.3.5) --- */

static void on_key_changed(struct client *client, struct turn *turn, const struct heard *heard)
{
    if (!client->next_key || !client_accepted(client, turn, heard)) return;
    key_free(client->old_key);
    client->old_key = client->key;
    client->key = client->next_key;
    client->next_key = NULL;
}

/* The first character of the signature is another one. */
static struct str spoilt(struct arena *arena, struct str jws)
{
    static const char member[] = "\"signature\":\"";
    ptrdiff_t at = str_find(jws, member);
    if (at < 0) return jws;
    char *copy = arena_copy(arena, jws.at, jws.n);
    char *first = copy + at + sizeof member - 1;
    *first = *first == 'A' ? 'B' : 'A';
    return (struct str){copy, jws.n};
}

static enum err key_change_payload(const struct client *client, struct arena *arena, const struct key *key,
                                   enum step_way way, struct str *ret)
{
    struct key_change_doc doc = {.account = client->account, .old_key = key_jwk(client->key, arena)};
    struct jws_header header = {.url = client->directory.key_change};
    if (way == WAY_WRONG_ACCOUNT) doc.account = client->options.directory_url;
    if (way == WAY_WRONG_OLD_KEY) doc.old_key = key_jwk(key, arena);
    if (way == WAY_WRONG_INNER_URL) header.url = client->directory.new_account;
    enum err e = jws_seal(arena, key, &header, key_change_request(arena, &doc), ret);
    if (!e && way == WAY_WRONG_INNER_SIGNATURE) *ret = spoilt(arena, *ret);
    return e;
}

void client_change_key(struct client *client, struct turn *turn, enum step_way way)
{
    struct str payload;
    const struct key *key = way == WAY_KEY_IN_USE ? client->other.key : way == WAY_SAME_KEY ? client->key : NULL;
    if (way == WAY_KEY_IN_USE && !key) {
        client_end(client, turn, false, STR("change key: there is no other account"));
        return;
    }
    key_free(client->next_key);
    client->next_key = NULL;
    if (!key) key = client->next_key = key_make(KEY_P256, client->options.sealing, turn->rng);
    if (!key || key_change_payload(client, turn->arena, key, way, &payload) != OK) {
        client_end(client, turn, false, STR("change key: the request could not be signed"));
        return;
    }
    exchange_start(client, turn, MANNER_RUDE, "key change", client->directory.key_change, payload, on_key_changed);
}

/* --- two accounts --- */

void client_use_other_account(struct client *client)
{
    struct key *key = client->key;
    struct str account = client->account, orders = client->orders;
    client->key = client->other.key;
    client->account = client->other.account;
    client->orders = client->other.orders;
    client->other.key = key;
    client->other.account = account;
    client->other.orders = orders;
}
