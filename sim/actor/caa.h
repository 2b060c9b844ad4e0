/* CAA: whether a set of records lets a CA issue (RFC 8659 section 4, RFC 8657). The climbing of the tree is the
 * asker's business. */
#ifndef ACTOR_CAA_H
#define ACTOR_CAA_H

#include "base/str.h"

struct caa_request {
    const struct str *identities; /* the names this CA goes by */
    size_t n_identities;
    bool wildcard;
    struct str account; /* URL */
    struct str method;  /* "http-01" */
};
/* records: in presentation form, `0 issue "ca.example; accounturi=..."`. A set without any property that speaks of this
 * kind of certificate allows it; a record that cannot be read, or is critical and unknown, forbids it. */
bool caa_allows(const struct caa_request *request, const struct str *records, size_t n);

#endif
