/* A scripted ACME client: polite unless its plan's habits say otherwise. One issuance: account, order, authorizations,
 * a challenge each, finalize, certificate; then MSG_EXIT. Speaks to `server` by MSG_REQUEST, provisions proofs by
 * MSG_PROVISION.
 *
 * Polite means:
 * - A resource is polled when its last Retry-After (seconds or date) has passed, without one every poll_every_ms. An
 * answered challenge is polled itself while it shows processing (or pending with an error), then its authorization
 * until that is final; the order once the authorizations are valid, and after finalize until it is final.
 * - Patience for one object is poll_limit_ms: a last look then, and the client gives up. A Retry-After beyond it makes
 * the client give up at once: it neither waits for days nor asks too early. (If only the authorization is withheld so,
 * and its challenge is valid, the order is asked instead.)
 * - badNonce: again with the nonce that the error brought, five times at most. 5xx, 429 and no answer in 30 s (60 s for
 * an answered challenge): five tries, after 5, 10, 20, 40 s or what Retry-After says.
 * - When a challenge fails, the order is looked at once; then on_failure decides: the next type of the same
 * authorization while that is pending, a new order without the types that failed (three orders at most), or the end.
 * - Proofs are taken away when their authorization is final, their challenge has failed, or the client ends.
 * Steps are as rude as they are written: one request each, only badNonce is retried; what is refused is noted, and the
 * next step follows. A step that lacks what it needs (an order, a certificate's URL) ends the client. */
#ifndef ACTOR_CLIENT_H
#define ACTOR_CLIENT_H

#include "acme/jwk.h"
#include "actor/actor.h"
#include "plan/scenario.h"

struct client_options {
    const struct scenario *scenario; /* names, preferences, steps, habits */
    struct str directory_url;
    struct addr server;    /* the CA's seat, or an edge */
    struct addr responder; /* where proofs are provisioned */
    enum sealing sealing;
    struct str key_pem; /* the account key (borrowed); empty: one is made from the turn's chance. An RSA key must come
                           from here */
    int64_t speed;      /* divides our own waits, never what a server's Retry-After says */
};
struct actor *client_new(const struct client_options *options);
/* The certificate chain after success, empty before. Lives as long as the client. */
struct str client_certificate(const struct actor *actor);

#endif
