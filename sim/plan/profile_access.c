/* The members of a profile that say whom the CA serves, and how much. */
#include "plan/profile_parts.h"

#include <assert.h>
#include <string.h>

enum { MAX_KID = 200, MIN_MAC_KEY = 16, MAX_MAC_KEY = 1024, MAX_MAC_KEY_TEXT = 1366 };

static const char *const limit_words[] = {
    [LIMIT_NEW_ACCOUNT] = "new-account",
    [LIMIT_NEW_ORDER] = "new-order",
    [LIMIT_FAILED_VALIDATION] = "failed-validation",
    [LIMIT_DUPLICATE_CERTIFICATE] = "duplicate-certificate",
};
static_assert(COUNTOF(limit_words) == LIMIT_COUNT, "every limit has a word");

const char *limit_text(enum limit limit)
{
    return limit_words[limit];
}

/* They stand below the base URL, and no other resource begins with that word. */
void read_terms(const struct desk *desk, struct node node, struct profile *profile)
{
    struct str text;
    if (!node_text(desk, node, "a path such as \"terms/v2\"", 60, &text)) return;
    bool good = str_starts(text, "terms");
    for (size_t i = 0; i < text.n; i++)
        good = good && strchr("abcdefghijklmnopqrstuvwxyz0123456789-_./", text.at[i]) && text.at[i];
    if (good) profile->terms = text;
    else
        node_bad(desk, node, "\"%.*s\" is no path of terms: it begins with \"terms\", then a-z, 0-9 and -_./ follow",
                 STR_ARGS(text));
}

/* Section 7.3.4: the key identifier is ASCII. */
static bool kid_legal(struct str kid)
{
    for (size_t i = 0; i < kid.n; i++)
        if (kid.at[i] < ' ' || kid.at[i] > '~') return false;
    return kid.n > 0 && kid.n <= MAX_KID;
}

void read_external_accounts(const struct desk *desk, struct node node, struct profile *profile)
{
    struct node_walk walk = {0};
    struct node member;
    struct str kid, text, octets;
    if (!node_object(desk, node,
                     "an object of MAC keys, such as {\"kid-1\": \"YSBNQUMga2V5IGZvciBkcmlsbHMsIDMyIG9jdGV0cy4\"},"))
        return;
    profile->n_external_accounts = 0;
    while (node_next(desk, node, &walk, &kid, &member)) {
        if (profile->n_external_accounts == PROFILE_MAX_EXTERNAL_ACCOUNTS) {
            node_bad_key(desk, member, "there are more than %d external accounts", (int)PROFILE_MAX_EXTERNAL_ACCOUNTS);
            return;
        }
        if (!kid_legal(kid))
            node_bad_key(desk, member, "a key identifier is 1 to %d characters of ASCII", (int)MAX_KID);
        if (!node_text(desk, member, "a MAC key", MAX_MAC_KEY_TEXT, &text)) continue;
        if (base64url_decode(desk->arena, text, &octets) || octets.n < MIN_MAC_KEY || octets.n > MAX_MAC_KEY)
            node_bad(desk, member, "a MAC key is %d to %d octets in base64url without padding", (int)MIN_MAC_KEY,
                     (int)MAX_MAC_KEY);
        else
            profile->external_accounts[profile->n_external_accounts++] =
                (struct external_account){str_copy(desk->arena, kid), octets};
    }
}

void read_rate_limits(const struct desk *desk, struct node node, struct profile *profile)
{
    struct node_walk walk = {0};
    struct node member;
    struct str key, text;
    size_t i;
    if (!node_object(desk, node, "an object of limits, such as {\"new-order\": \"300 per 3h\"},")) return;
    while (node_next(desk, node, &walk, &key, &member)) {
        if (!str_index(key, limit_words, LIMIT_COUNT, &i)) {
            node_unknown(desk, member, true, "rate limit", key, limit_words, LIMIT_COUNT);
            continue;
        }
        if (!node_text(desk, member, "a rate such as \"300 per 3h\"", 60, &text)) continue;
        enum err e = rate_read(text, &profile->limits[i]);
        if (e == ERR_LIMIT)
            node_bad(desk, member, "\"%.*s\": a rate is 1 to %d per 100ms to 400d", STR_ARGS(text),
                     (int)RATE_MAX_COUNT);
        else if (e) node_bad(desk, member, "\"%.*s\" is not a rate: write \"300 per 3h\" or \"none\"", STR_ARGS(text));
    }
}
