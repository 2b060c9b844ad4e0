#include "actor/caa.h"

#include <string.h>

enum { CRITICAL = 128, MAX_VALUE = 2048 };

struct property {
    int64_t flags;
    struct str tag, value;
};

/* Takes the backslashes out of a quoted text. false: it does not fit, or does not end. */
static bool unquote(struct str text, char *at, size_t room, size_t *ret_n)
{
    size_t n = 0;
    if (text.n < 2 || text.at[0] != '"' || text.at[text.n - 1] != '"') return false;
    text = (struct str){text.at + 1, text.n - 2};
    for (size_t i = 0; i < text.n; i++) {
        int64_t code;
        if (n == room) return false;
        if (text.at[i] != '\\') {
            at[n++] = text.at[i];
        } else if (i + 3 < text.n && str_int((struct str){text.at + i + 1, 3}, &code) && code < 256) {
            at[n++] = (char)code;
            i += 3;
        } else if (++i < text.n) {
            at[n++] = text.at[i];
        } else {
            return false;
        }
    }
    *ret_n = n;
    return true;
}

static bool property_read(struct str record, char *room, struct property *ret)
{
    struct str flags, rest;
    size_t n;
    if (!str_cut(record, ' ', &flags, &rest) || !str_int(flags, &ret->flags) || ret->flags > 255) return false;
    if (!str_cut(rest, ' ', &ret->tag, &rest) || ret->tag.n == 0) return false;
    if (!unquote(rest, room, MAX_VALUE, &n)) return false;
    ret->value = (struct str){room, n};
    return true;
}

static bool same_text(struct str a, struct str b)
{
    bool same = a.n == b.n;
    for (size_t i = 0; same && i < a.n; i++) {
        char x = a.at[i], y = b.at[i];
        if (x >= 'A' && x <= 'Z') x = (char)(x - 'A' + 'a');
        if (y >= 'A' && y <= 'Z') y = (char)(y - 'A' + 'a');
        same = x == y;
    }
    return same;
}

static bool lists(struct str list, struct str word)
{
    struct str item;
    while (list.n) {
        (void)str_cut(list, ',', &item, &list);
        if (str_eq(str_trim(item), word)) return true;
    }
    return false;
}

/* RFC 8657: a parameter that restricts, and does not name this request, takes the permission away; so does one that is
 * given twice. Parameters that nobody knows are passed over. */
static bool parameters_allow(const struct caa_request *request, struct str parameters)
{
    struct str item, name, value;
    int accounts = 0, methods = 0;
    while (parameters.n) {
        (void)str_cut(parameters, ';', &item, &parameters);
        item = str_trim(item);
        if (item.n == 0) continue;
        if (!str_cut(item, '=', &name, &value)) return false;
        name = str_trim(name);
        value = str_trim(value);
        if (str_is_nocase(name, "accounturi")) {
            if (accounts++ || !str_eq(value, request->account)) return false;
        } else if (str_is_nocase(name, "validationmethods")) {
            if (methods++ || !lists(value, request->method)) return false;
        }
    }
    return true;
}

static bool value_allows(const struct caa_request *request, struct str value)
{
    struct str issuer, parameters;
    (void)str_cut(value, ';', &issuer, &parameters);
    issuer = str_trim(issuer);
    for (size_t i = 0; i < request->n_identities; i++)
        if (same_text(issuer, request->identities[i])) return parameters_allow(request, parameters);
    return false; /* section 4.2: an empty name is nobody's */
}

/* Section 4.1: tags are compared without regard to case. */
static bool is_known(struct str tag)
{
    static const char *const tags[] = {"issue",    "issuewild",    "iodef",       "issuemail",
                                       "issuevmc", "contactemail", "contactphone"};
    for (size_t i = 0; i < COUNTOF(tags); i++)
        if (str_is_nocase(tag, tags[i])) return true;
    return false;
}

bool caa_allows(const struct caa_request *request, const struct str *records, size_t n)
{
    char room[MAX_VALUE];
    struct property property;
    /* Section 4.3: issuewild has precedence over issue for wildcard names, and means nothing to others. */
    const char *tag = "issue";
    bool restricted = false, allowed = false;
    for (size_t i = 0; i < n; i++) {
        if (!property_read(records[i], room, &property)) return false;
        if (!is_known(property.tag) && property.flags & CRITICAL) return false;
        if (request->wildcard && str_is_nocase(property.tag, "issuewild")) tag = "issuewild";
    }
    for (size_t i = 0; i < n; i++) {
        if (!property_read(records[i], room, &property) || !str_is_nocase(property.tag, tag)) continue;
        restricted = true;
        allowed = allowed || value_allows(request, property.value);
    }
    return allowed || !restricted;
}
