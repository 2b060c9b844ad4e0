/* Problem documents (RFC 7807 as used by RFC 8555 section 6.7): a protocol refusal as a value. */
#ifndef ACME_PROBLEM_H
#define ACME_PROBLEM_H

#include "base/str.h"

#define PROBLEM_PREFIX "urn:ietf:params:acme:error:"

struct problem {
    struct str type; /* without the prefix: "badNonce"; or a whole URI of somebody else's; empty = absent */
    int status;      /* HTTP status, 0 = absent */
    struct str detail;
    struct str instance;               /* userActionRequired: the page to be visited (section 7.3.3); empty = absent */
    struct str identifier;             /* of a subproblem, empty = absent */
    bool address;                      /* it is of type "ip" (RFC 8738), not "dns" */
    const struct problem *subproblems; /* n_subproblems of them, borrowed */
    size_t n_subproblems;
    struct str algorithms; /* badSignatureAlgorithm only: JSON array text, empty = absent */
};

/* The HTTP status RFC 8555 states or every server uses for a type (badNonce 400, orderNotReady 403, rateLimited
 * 429, serverInternal 500 ...); 400 for unknown types. */
int problem_status(struct str type);
/* Is `type` (no prefix) registered in RFC 8555 section 6.7 or by a later RFC? */
bool problem_registered(struct str type);
const char *const *problem_types(size_t *ret_n); /* all registered, for "did you mean" */

/* A problem with the usual status; detail by printf into the arena. */
struct problem problem_new(struct arena *arena, const char *type, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* JSON text. */
struct str problem_write(struct arena *arena, const struct problem *problem);
/* Reads one from JSON text. Tolerates unknown members; ERR_MALFORMED: not an object, or a known member of a wrong
 * type. Everything is copied into the arena. */
enum err problem_read(struct arena *arena, struct str json, struct problem *ret);

#endif
