/* A validation authority: makes one validation query per MSG_PROBE and reports a MSG_VERDICT. It follows redirects,
 * reads bodies to a limit, keeps the time limit, and knows how to tell failures apart; what follows from a failure is
 * the CA's business. */
#ifndef ACTOR_VA_H
#define ACTOR_VA_H

#include "actor/actor.h"
#include "plan/profile.h"

struct va_options {
    struct addr target;            /* who is asked: a responder's seat, or an edge to the network */
    const struct profile *profile; /* limits: redirects, ports, body size; NULL: usual ones */
    bool always_valid;             /* every verdict is ok, and nothing is asked: for load tests of a CA */
    bool is_network;               /* target is an edge: requests carry nothing that only our responder understands */
    /* Names are looked up first, and, if the profile says so, CAA is asked for; both of `resolver`. Otherwise who is
     * asked knows where that is. */
    bool resolves;
    struct addr resolver;
    int http_port, tls_port; /* where ports 80 and 443 of every address are to be found; 0 = there */
};
struct actor *va_new(const struct va_options *options);

/* The limits are this profile's from now on. */
void va_play(struct actor *actor, const struct profile *profile);

/* The failure words a verdict may carry; also the keys of profile outcomes and of retry_on. */
const char *const *va_failures(size_t *ret_n);

#endif
