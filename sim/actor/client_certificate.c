/* Requests about certificates that are there: revocation (RFC 8555 section 7.6), alternate chains (7.4.2), renewal
 * (RFC 9773). */
#include "actor/client_inside.h"
#include "base/when.h"

#include <string.h>

void client_keep_certificate(struct client *client, const struct http_response *response)
{
    struct str leaf, id = {0};
    client->renewal.known = client->renewal.asked = client->replaces = false;
    client->alternate = str_copy(&client->arena, headers_link(response->headers, "alternate", 0));
    client->leaf = client->renewal_id = (struct str){0};
    if (certificate_from_pem(&client->arena, response->body, &leaf) != OK) return;
    client->leaf = leaf;
    if (certificate_renewal_id(&client->arena, leaf, &id) == OK) client->renewal_id = id;
    if (!client->csr_key) return;
    key_free(client->certificate_key);
    client->certificate_key = client->csr_key;
    client->csr_key = NULL;
}

/* --- revocation --- */

static void on_revoked(struct client *client, struct turn *turn, const struct heard *heard)
{
    if (client_accepted(client, turn, heard)) turn_note(turn, "the certificate is revoked");
}

static const struct key *revoking_key(struct client *client, struct turn *turn, enum step_way way)
{
    if (way == WAY_CERTIFICATE_KEY) return client->certificate_key;
    if (way == WAY_UNKNOWN_KEY && !client->stranger)
        client->stranger = key_make(KEY_P256, client->options.sealing, turn->rng);
    return way == WAY_UNKNOWN_KEY ? client->stranger : NULL;
}

void client_revoke(struct client *client, struct turn *turn, const struct step *step)
{
    struct str payload = revocation_request(turn->arena, client->leaf, step->reason);
    struct str url = client->directory.revoke_cert;
    const struct key *key = revoking_key(client, turn, step->way);
    if (key) exchange_start_by_key(client, turn, "revocation", url, payload, key, on_revoked);
    else exchange_start(client, turn, MANNER_RUDE, "revocation", url, payload, on_revoked);
}

/* --- other chains --- */

static void on_alternate(struct client *client, struct turn *turn, const struct heard *heard)
{
    if (!client_accepted(client, turn, heard)) return;
    if (str_find(heard->response->body, "-----BEGIN CERTIFICATE-----") < 0)
        client_unreadable(client, turn, heard, "alternate chain");
}

void client_download_alternate(struct client *client, struct turn *turn)
{
    if (client->alternate.n) exchange_start_pem(client, turn, MANNER_RUDE, client->alternate, on_alternate);
    else turn_note(turn, "download alternate: no other chain was named");
}

/* --- renewal --- */

/* RFC 9773 section 4.3.2: without an answer that can be read one looks again after six hours. */
enum { RENEWAL_AGAIN_MS = 6 * 3600 * 1000 };

static void on_renewal(struct client *client, struct turn *turn, const struct heard *heard)
{
    struct renewal_doc doc;
    client->renewal.asked = true;
    client->renewal.again_ms = turn->now_ms + client_own_wait_ms(client, RENEWAL_AGAIN_MS);
    if (!heard->good) return;
    struct poll poll;
    poll_heard(client, turn, &poll, heard->response->headers);
    if (poll.by_server) client->renewal.again_ms = poll.next_ms;
    client->renewal.known = renewal_read(turn->arena, heard->response->body, &doc) == OK &&
                            when_rfc3339_parse(doc.start, &client->renewal.start_ms) == OK;
    if (!client->renewal.known) client_unreadable(client, turn, heard, "renewal information");
}

void client_read_renewal(struct client *client, struct turn *turn, enum manner manner)
{
    struct str base = client->directory.renewal_info;
    struct str url = str_fmt(turn->arena, "%.*s%s%.*s", STR_ARGS(base), str_ends(base, "/") ? "" : "/",
                             STR_ARGS(client->renewal_id));
    exchange_get(client, turn, manner, "renewal information", url, on_renewal);
}

/* The start of the window that the server suggests (RFC 9773 section 4.2 lets any moment in it be chosen), after a
 * fresh look whenever its Retry-After has passed. */
bool client_awaits_renewal(struct client *client, struct turn *turn)
{
    if (!client->directory.renewal_info.n || !client->renewal_id.n) return false;
    if (!client->renewal.asked || (client->renewal.again_ms <= turn->now_ms)) {
        client_read_renewal(client, turn, MANNER_TOLERANT);
        return true;
    }
    if (client->renewal.known && client->renewal.start_ms <= turn->now_ms) return false;
    bool soon = client->renewal.known && client->renewal.start_ms < client->renewal.again_ms;
    client_wait_until(client, soon ? client->renewal.start_ms : client->renewal.again_ms);
    return true;
}
