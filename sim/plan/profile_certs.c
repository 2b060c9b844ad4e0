/* What a profile says of certificates before and after they are issued. */
#include "plan/profile_parts.h"

enum {
    UNUSED_REASON = 7, /* RFC 5280 section 5.3.1 has no code 7 */
    MAX_PERCENT = 999,
    MAX_KIND_NAME = 60,
    MIN_LIFETIME_MS = 60000
};

struct issuer_shape profile_issuer_shape(const struct profile *profile)
{
    const struct certificate_rules *rules = &profile->certs;
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

static bool kind_name_legal(struct str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.at[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && c != '.' && c != '_' && c != '-') return false;
    }
    return name.n > 0 && name.n <= MAX_KIND_NAME;
}

static void read_kind(const struct desk *desk, struct node node, struct certificate_kind *kind)
{
    static const char *const kind_keys[] = {"title", "lifetime", "note"};
    struct node member;
    if (!node_object(desk, node, "an object with a title and a lifetime")) return;
    node_keys(desk, node, "key in a certificate profile", kind_keys, COUNTOF(kind_keys));
    if ((member = node_member(desk, node, "title")).value) node_text(desk, member, "a title", 200, &kind->title);
    else node_bad(desk, node, "a certificate profile needs a \"title\"");
    if ((member = node_member(desk, node, "lifetime")).value)
        node_duration(desk, member, MIN_LIFETIME_MS, 4000 * DAY_MS, &kind->lifetime_ms);
    else node_bad(desk, node, "a certificate profile needs a \"lifetime\"");
    node_note(desk, node);
}

static void read_kinds(const struct desk *desk, struct node node, struct certificate_rules *rules)
{
    struct node_walk walk = {0};
    struct node member;
    struct str name;
    if (!node_object(desk, node, "an object of certificate profiles by name")) return;
    rules->n_kinds = 0;
    while (node_next(desk, node, &walk, &name, &member)) {
        if (!kind_name_legal(name)) {
            node_bad_key(desk, member, "the name of a certificate profile has 1 to %d of a-z A-Z 0-9 . _ -",
                         (int)MAX_KIND_NAME);
        } else if (rules->n_kinds == PROFILE_MAX_KINDS) {
            node_bad_key(desk, member, "there are more than %d certificate profiles", (int)PROFILE_MAX_KINDS);
            return;
        } else {
            struct certificate_kind *kind = &rules->kinds[rules->n_kinds++];
            *kind = (struct certificate_kind){.name = str_copy(desk->arena, name)};
            read_kind(desk, member, kind);
        }
    }
}

/* "66%..90%" of the lifetime, or "none". */
static bool window_read(struct str text, struct certificate_rules *ret)
{
    struct str from, to;
    int64_t low, high;
    ptrdiff_t dots = str_find(text, "%..");
    if (str_is(text, "none")) {
        ret->renewal_from = ret->renewal_to = 0;
        return true;
    }
    if (dots < 0 || !str_ends(text, "%")) return false;
    from = (struct str){text.at, (size_t)dots};
    to = (struct str){text.at + dots + 3, text.n - (size_t)dots - 3};
    to.n -= to.n > 0;
    if (!str_int(from, &low) || !str_int(to, &high) || high <= low || high > MAX_PERCENT) return false;
    ret->renewal_from = (int)low;
    ret->renewal_to = (int)high;
    return true;
}

void certificate_rules_read(const struct desk *desk, struct node node, struct certificate_rules *rules)
{
    struct node member;
    int64_t number;
    struct str text;
    if ((member = node_member(desk, node, "alternate_chains")).value &&
        node_int(desk, member, 0, ISSUER_MAX_ALTERNATES, &number))
        rules->alternate_chains = (int)number;
    if ((member = node_member(desk, node, "chain_length")).value &&
        node_int(desk, member, 1, ISSUER_MAX_LENGTH, &number))
        rules->chain_length = (int)number;
    if ((member = node_member(desk, node, "renewal_window")).value &&
        node_text(desk, member, "a part of a lifetime such as \"66%..90%\"", 20, &text) && !window_read(text, rules))
        node_bad(desk, member, "\"%.*s\" is no part of a lifetime: write \"66%%..90%%\" or \"none\"", STR_ARGS(text));
    if ((member = node_member(desk, node, "renewal_explanation")).value)
        node_any_text(desk, member, "a URL", 1000, &rules->renewal_explanation);
    if ((member = node_member(desk, node, "certificate_profiles")).value) read_kinds(desk, member, rules);
    if ((member = node_member(desk, node, "revocation_reasons")).value) read_reasons(desk, member, rules);
}
