/* What a validator meets: http-01, dns-01 and tls-alpn-01 targets that answer each attempt from a scripted list, the
 * last entry repeating. `ok` means the proof that the client provisioned: from its book (MSG_PROVISION), or, when the
 * client is a real program, fetched from that program through `outside`.
 *
 * The list of a challenge type advances by one per validation query, for each identifier by itself. What is one query:
 * - an http-01 request that carries X-Acmedrill-Attempt (our validator's do) begins a new one when that number or the
 * token changes;
 * - requests of `validator` for other types begin a new one when they were sent after the last one was answered;
 * - anybody else's begin a new one a second (of our time: 1000 ms / speed) after the first of the last one, or for
 * another token. So the parallel fetches of one query meet the same entry. Requests for where a redirect of ours leads
 * belong to its query. */
#ifndef ACTOR_RESPONDER_H
#define ACTOR_RESPONDER_H

#include "actor/actor.h"
#include "plan/scenario.h"

struct responder_options {
    const struct scenario *scenario; /* borrowed; NULL: everything is ok */
    struct addr outside;             /* seat 0: the book only */
    bool outside_has_dns;            /* TXT records of `ok` are asked for there too */
    struct addr validator;           /* the seat of our own validator; 0: none here */
    struct str address;              /* what A queries are answered with: "127.0.0.1" */
    int64_t speed;
};
struct actor *responder_new(const struct responder_options *options);
/* From now on the answers are this scenario's (NULL: all is ok), from the first of each list on. Borrowed as above. */
void responder_play(struct actor *actor, const struct scenario *scenario);
/* The next answer, to whichever identifier of the scenario, would be `refused`: an edge that listens should not. */
bool responder_refuses(const struct actor *responder, const char *challenge_type);

#endif
