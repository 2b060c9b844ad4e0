/* What a validator meets: http-01, dns-01 and tls-alpn-01 targets that answer each attempt from a scripted list, the last
 * entry repeating. `ok` means the proof that the client provisioned: from its book (MSG_PROVISION), or, when the client is a
 * real program, fetched from that program through `outside`. */
#ifndef ACTOR_RESPONDER_H
#define ACTOR_RESPONDER_H

#include "actor/actor.h"
#include "plan/scenario.h"

struct responder_options {
    const struct scenario *scenario; /* borrowed; NULL: everything is ok */
    struct addr outside;             /* seat 0: the book only */
    struct str address;              /* what A queries are answered with: "127.0.0.1" */
    int64_t speed;
};
struct actor *responder_new(const struct responder_options *options);
/* The next http-01 answer would be `refused`: an edge that listens should not. */
bool responder_refuses(const struct actor *responder, const char *challenge_type);

#endif
