/* A scripted ACME client: polite unless its plan's habits say otherwise. One issuance: account, order, authorizations, a challenge
 * each, finalize, certificate; then MSG_EXIT. Speaks to `server` by MSG_REQUEST, provisions proofs by MSG_PROVISION. */
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
    int64_t speed; /* divides our own waits, never what a server's Retry-After says */
};
struct actor *client_new(const struct client_options *options);
/* The certificate chain after success, empty before. Lives as long as the client. */
struct str client_certificate(const struct actor *client);

#endif
