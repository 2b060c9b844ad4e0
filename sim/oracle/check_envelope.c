/* Rules about what a client puts into its requests: RFC 8555 sections 6.3 and 6.4. */
#include "oracle/check.h"

#include <strings.h>

/* --- signed-url --- */

/* What the wire shows of a request's URL is its target and, by Host, the host: how the server once spelled scheme, host
 * and port is not to be seen there. So these are compared by meaning, and path and query byte for byte. */
static bool same_url(struct str a, struct str b)
{
    struct url x, y;
    if (str_eq(a, b)) return true;
    if (url_parse(a, &x) != OK || url_parse(b, &y) != OK) return false;
    return str_eq(x.scheme, y.scheme) && x.port == y.port && x.host.n == y.host.n &&
           strncasecmp(x.host.at, y.host.at, x.host.n) == 0 && str_eq(x.path, y.path);
}

/* Section 6.4. */
static void fold_signed_url(const struct view *view, const struct check *check, struct verdict_list *findings,
                            struct arena *arena)
{
    struct tally tally = {.check = check, .findings = findings, .arena = arena};
    for (size_t i = 0; i < view->n_exchanges; i++) {
        const struct exchange *exchange = &view->exchanges[i];
        if (!exchange->is_jws) continue;
        tally.judged++;
        if (exchange->jws_url.n && same_url(exchange->jws_url, exchange->url)) continue;
        struct slip slip = {.level = LEVEL_MUST,
                            .party = PARTY_CLIENT,
                            .event = exchange->request,
                            .where = check_where(arena, exchange),
                            .expected = str_fmt(arena, "\"url\": \"%.*s\"", STR_ARGS(exchange->url))};
        slip.what = exchange->jws_url.n ? str_fmt(arena, "the JWS is for \"%.*s\"", STR_ARGS(exchange->jws_url))
                                        : STR("the JWS has no \"url\" in its protected header");
        tally_slip(&tally, slip);
    }
    tally_done(&tally);
}

/* --- post-as-get-empty --- */

/* Resources that a plain GET may not have. Of others (terms, renewal information) nothing is known that forbids it. */
static bool is_private(enum resource_kind resource)
{
    switch (resource) {
    case RESOURCE_NEW_ACCOUNT:
    case RESOURCE_NEW_ORDER:
    case RESOURCE_NEW_AUTHZ:
    case RESOURCE_REVOKE_CERT:
    case RESOURCE_KEY_CHANGE:
    case RESOURCE_ACCOUNT:
    case RESOURCE_ORDERS:
    case RESOURCE_ORDER:
    case RESOURCE_AUTHZ:
    case RESOURCE_CHALLENGE:
    case RESOURCE_FINALIZE:
    case RESOURCE_CERTIFICATE: return true;
    case RESOURCE_UNKNOWN:
    case RESOURCE_DIRECTORY:
    case RESOURCE_NEW_NONCE:
    case RESOURCE_RENEWAL_INFO:
    case RESOURCE_OTHER: break;
    }
    return false;
}

/* Resources to which a POST can only be a read: whatever it carries besides is wrong. An authorization can be
 * deactivated. */
static bool only_read(const struct exchange *exchange, struct arena *arena)
{
    switch (exchange->resource) {
    case RESOURCE_DIRECTORY:
    case RESOURCE_NEW_NONCE:
    case RESOURCE_ORDER:
    case RESOURCE_ORDERS:
    case RESOURCE_RENEWAL_INFO:
    case RESOURCE_CERTIFICATE: return true;
    case RESOURCE_AUTHZ: return !deactivation_read(arena, exchange->payload);
    case RESOURCE_UNKNOWN:
    case RESOURCE_NEW_ACCOUNT:
    case RESOURCE_NEW_ORDER:
    case RESOURCE_NEW_AUTHZ:
    case RESOURCE_REVOKE_CERT:
    case RESOURCE_KEY_CHANGE:
    case RESOURCE_ACCOUNT:
    case RESOURCE_CHALLENGE:
    case RESOURCE_FINALIZE:
    case RESOURCE_OTHER: break;
    }
    return false;
}

static const char *read_clause(const struct exchange *exchange)
{
    return exchange->resource == RESOURCE_CERTIFICATE ? "rfc8555#7.4.2-download" : NULL;
}

static void judge_read(struct tally *tally, const struct exchange *exchange)
{
    struct slip slip = {.clause = read_clause(exchange),
                        .level = LEVEL_MUST,
                        .party = PARTY_CLIENT,
                        .event = exchange->request,
                        .where = check_where(tally->arena, exchange),
                        .expected = STR("a POST with a JWS whose payload is the empty string")};
    if (!str_is(exchange->method, "POST")) {
        if (!is_private(exchange->resource)) return;
        slip.what = STR("the resource was asked for without a signature");
        slip.hint = STR("only the directory and newNonce are open to a plain GET");
    } else if (!exchange->is_jws || !exchange->payload.n || !only_read(exchange, tally->arena)) {
        tally->judged += exchange->post_as_get;
        return;
    } else {
        size_t n = exchange->payload.n < 40 ? exchange->payload.n : 40;
        slip.what = str_fmt(tally->arena, "a read with the payload %.*s%s", (int)n, exchange->payload.at,
                            n < exchange->payload.n ? "..." : "");
        slip.hint = STR("{} is a payload: the payload of a POST-as-GET has no bytes at all");
    }
    tally_slip(tally, slip);
}

/* Section 6.3: what a client reads it reads by POST-as-GET. A challenge that gets a payload was responded to (7.5.1),
 * an account that gets one was updated (7.3.2): neither was read. */
static void fold_post_as_get_empty(const struct view *view, const struct check *check, struct verdict_list *findings,
                                   struct arena *arena)
{
    struct tally tally = {.check = check, .findings = findings, .arena = arena};
    for (size_t i = 0; i < view->n_exchanges; i++)
        judge_read(&tally, &view->exchanges[i]);
    tally_done(&tally);
}

/* clang-format off */
const struct check envelope_checks[] = {
    {"signed-url", "rfc8555#6.4-signed-url", "RFC 8555 section 6.4", LEVEL_MUST, PARTY_CLIENT,
     "the url in the protected header is the URL requested", fold_signed_url},
    {"post-as-get-empty", "rfc8555#6.3-post-as-get", "RFC 8555 section 6.3", LEVEL_MUST, PARTY_CLIENT,
     "resources are read by a POST whose payload is the empty string", fold_post_as_get_empty},
    {0},
};
/* clang-format on */
