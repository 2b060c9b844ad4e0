/* One answer of a responder's list, acted out as a message: what the responder of a scenario and the board have in
 * common. */
#ifndef ACTOR_ANSWER_H
#define ACTOR_ANSWER_H

#include "actor/actor.h"
#include "plan/answers.h"

/* What the answer may speak of. proof.at NULL: nothing is provisioned. */
struct answer_values {
    struct str proof, token, name, place;
};

/* {proof} {token} {name} {place} in a text; anything else in braces stands as it is. */
struct str answer_filled(struct arena *arena, struct str text, const struct answer_values *values);
/* The answer's delivery with its times divided by `speed`, which it then says. */
struct delivery answer_delivery(const struct answer *answer, int64_t speed);
/* Posts an HTTP response. */
void answer_http(struct turn *turn, const struct answer *answer, const struct answer_values *values, int64_t speed,
                 struct addr to, uint64_t flow);
/* Fills in a DNS answer's rcode, records and delivery; an answer that is "ok" is left to the caller. */
void answer_dns(struct msg *msg, const struct answer *answer, const struct answer_values *values, int64_t speed);
/* Fills in a TLS answer. values->place is the name in the hello, values->proof the 32 bytes of the digest; `challenge`:
 * acme-tls/1 was asked for. */
void answer_tls(struct msg *msg, const struct answer *answer, const struct answer_values *values, int64_t speed,
                bool challenge);

#endif
