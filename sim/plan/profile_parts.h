/* What profile.c leaves to its other files. Nobody outside profile*.c includes this. */
#ifndef PLAN_PROFILE_PARTS_H
#define PLAN_PROFILE_PARTS_H

#include "plan/desk.h"
#include "plan/profile.h"

/* --- profile_certs.c --- */
/* Lays the members of the profile `node` that are about certificates over what is there: what is not named stays. */
void certificate_rules_read(const struct desk *desk, struct node node, struct certificate_rules *rules);

/* --- profile_access.c: whom the CA serves, and how much --- */
void read_terms(const struct desk *desk, struct node node, struct profile *profile);
void read_external_accounts(const struct desk *desk, struct node node, struct profile *profile);
void read_rate_limits(const struct desk *desk, struct node node, struct profile *profile);

#endif
