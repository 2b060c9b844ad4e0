/* The profile loader's rooms. Private to plan. */
#ifndef PLAN_PROFILE_PARTS_H
#define PLAN_PROFILE_PARTS_H

#include "plan/desk.h"
#include "plan/profile.h"

/* Lays the members of the profile `node` that are about certificates over what is there: what is not named stays. */
void certificate_rules_read(const struct desk *desk, struct node node, struct certificate_rules *rules);

#endif
