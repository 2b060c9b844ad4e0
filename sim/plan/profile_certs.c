/* What a profile says of certificates before and after they are issued. */
#include "plan/profile_parts.h"

enum { UNUSED_REASON = 7 }; /* RFC 5280 section 5.3.1 has no code 7 */

struct issuer_shape profile_issuer_shape(const struct profile *profile)
{
    const struct certificate_rules *rules = &profile->certificates;
    return (struct issuer_shape){(size_t)rules->alternate_chains, (size_t)rules->chain_length};
}

static void read_reasons(const struct desk *desk, struct node list, struct certificate_rules *rules)
{
    int64_t reason;
    if (!node_array(desk, list, "a list of reason codes, such as [0, 1, 4]", 1, REASON_COUNT)) return;
    rules->revocation_reasons = 0;
    for (size_t i = 0; i < node_length(list); i++) {
        struct node item = node_item(desk, list, i);
        if (!node_int(desk, item, 0, REASON_COUNT - 1, &reason)) continue;
        if (reason == UNUSED_REASON) node_bad(desk, item, "7 is no reason code of RFC 5280");
        else rules->revocation_reasons |= 1u << reason;
    }
}

void certificate_rules_read(const struct desk *desk, struct node node, struct certificate_rules *rules)
{
    struct node member;
    int64_t number;
    if ((member = node_member(desk, node, "alternate_chains")).value &&
        node_int(desk, member, 0, ISSUER_MAX_ALTERNATES, &number))
        rules->alternate_chains = (int)number;
    if ((member = node_member(desk, node, "chain_length")).value &&
        node_int(desk, member, 1, ISSUER_MAX_LENGTH, &number))
        rules->chain_length = (int)number;
    if ((member = node_member(desk, node, "revocation_reasons")).value) read_reasons(desk, member, rules);
}
