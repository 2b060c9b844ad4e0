/* Addresses and CAA: the questions around the one for the proof. */
#include "actor/caa.h"
#include "actor/va_inside.h"

#include <string.h>

static struct str lower(struct arena *arena, struct str s)
{
    char *at = arena_copy(arena, s.at, s.n);
    for (size_t i = 0; i < s.n; i++)
        if (at[i] >= 'A' && at[i] <= 'Z') at[i] = (char)(at[i] - 'A' + 'a');
    return (struct str){at, s.n};
}

const char *va_dns_failure(const struct dns_answer *answer)
{
    if (answer->delivery.how != DELIVER_WHOLE && answer->delivery.how != DELIVER_SLOW)
        return answer->delivery.how == DELIVER_GARBAGE ? "servfail" : "dns-timeout";
    if (answer->rcode == DNS_NOERROR) return NULL;
    return answer->rcode == DNS_NXDOMAIN ? "nxdomain" : answer->rcode == DNS_REFUSED ? "dns-refused" : "servfail";
}

/* --- one name and its aliases --- */

static void post_lookup(struct va *va, struct turn *turn, struct query *query)
{
    const struct lookup *lookup = &query->lookup;
    struct msg *msg = outbox_post(turn->out, MSG_DNS_QUERY, va->options.resolver, 0);
    msg->as.dns_query.name = str_copy(&msg->arena, lookup->at[lookup->n_at - 1]);
    msg->as.dns_query.type = lookup->type;
    query->flow = msg->flow;
    query->sent_ms = turn->now_ms;
}

static void look_up(struct va *va, struct turn *turn, struct query *query, int type, struct str name)
{
    query->lookup = (struct lookup){.type = type, .at = {name}, .n_at = 1};
    post_lookup(va, turn, query);
}

/* An alias of a resolver that does not follow it itself. false: they go round, or on for too long. */
static bool follow_alias(struct query *query, struct str to)
{
    struct lookup *lookup = &query->lookup;
    if (to.n == 0 || lookup->n_at > VA_MAX_ALIASES) return false;
    for (size_t i = 0; i < lookup->n_at; i++)
        if (str_eq(lookup->at[i], to)) return false;
    lookup->at[lookup->n_at++] = str_copy(&query->arena, to);
    return true;
}

/* --- addresses --- */

static bool is_address(struct str host)
{
    bool digits = host.n > 0;
    for (size_t i = 0; i < host.n; i++)
        digits = digits && strchr("0123456789.", host.at[i]);
    return digits || (host.n && memchr(host.at, ':', host.n));
}

static bool v6_is_next(const struct va *va, const struct query *query)
{
    bool v6_first = !va->options.profile || va->options.profile->address_order == V6_FIRST;
    return v6_first == (query->families == 0);
}

void va_find_address(struct va *va, struct turn *turn, struct query *query)
{
    struct str place = query->at[query->n_at - 1];
    struct url url;
    query->n_addresses = query->address = 0;
    query->families = 0;
    query->no_address = NULL;
    query->phase = PHASE_PROOF;
    query->host = query->name;
    if (query->type == CHALLENGE_HTTP_01 && url_parse(place, &url) == OK) query->host = lower(&query->arena, url.host);
    if (!va->options.resolves || challenge_row(query->type)->medium == MEDIUM_DNS) {
        va_ask(va, turn, query);
    } else if (is_address(query->host)) {
        query->addresses[query->n_addresses++] = query->host;
        va_ask(va, turn, query);
    } else {
        query->phase = PHASE_ADDRESS;
        look_up(va, turn, query, v6_is_next(va, query) ? DNS_AAAA : DNS_A, query->host);
    }
}

/* Both families have answered, one way or another. */
static void addresses_known(struct va *va, struct turn *turn, struct query *query)
{
    if (query->n_addresses == 0) {
        struct finding finding = {.failure = query->no_address ? query->no_address : "no-address",
                                  .expected = query->proof};
        va_conclude(va, turn, query, &finding);
        return;
    }
    query->phase = PHASE_PROOF;
    va_ask(va, turn, query);
}

static void address_answer(struct va *va, struct turn *turn, struct query *query, const struct dns_answer *answer)
{
    const char *failure = va_dns_failure(answer);
    if (!failure && answer->type == DNS_CNAME && answer->n_records) {
        if (follow_alias(query, answer->records[0])) {
            post_lookup(va, turn, query);
            return;
        }
        failure = "servfail";
    } else if (!failure && answer->n_records && answer->type == query->lookup.type) {
        query->addresses[query->n_addresses++] = str_copy(&query->arena, answer->records[0]);
    }
    if (failure && (!query->no_address || query->lookup.type == DNS_A)) query->no_address = failure;
    if (++query->families < 2) look_up(va, turn, query, v6_is_next(va, query) ? DNS_AAAA : DNS_A, query->host);
    else addresses_known(va, turn, query);
}

bool va_next_address(const struct va *va, struct query *query)
{
    bool falls_back = !va->options.profile || va->options.profile->falls_back == FALLS_BACK_ON_DIAL_ERRORS;
    if (!falls_back || query->address + 1 >= query->n_addresses) return false;
    query->address++;
    return true;
}

struct str va_connect(struct arena *arena, const struct query *query, int port)
{
    if (query->n_addresses == 0) return (struct str){0};
    struct str address = query->addresses[query->address];
    bool v6 = memchr(address.at, ':', address.n) != NULL;
    return str_fmt(arena, v6 ? "[%.*s]:%d" : "%.*s:%d", STR_ARGS(address), port);
}

/* --- CAA (RFC 8659 section 3): the closest name to the root that has any records speaks for all below it --- */

void va_ask_caa(struct va *va, struct turn *turn, struct query *query)
{
    query->phase = PHASE_CAA;
    query->caa_name = query->name;
    look_up(va, turn, query, DNS_CAA, query->caa_name);
}

static void caa_decide(struct va *va, struct turn *turn, struct query *query, const struct dns_answer *answer)
{
    const struct profile *profile = va->options.profile;
    const struct caa_request request = {.identities = profile->caa_identities,
                                        .n_identities = profile->n_caa_identities,
                                        .wildcard = query->wildcard,
                                        .account = query->account,
                                        .method = str_c(challenge_row(query->type)->name)};
    struct finding finding = {.expected = query->proof, .status = query->status};
    if (!caa_allows(&request, answer->records, answer->n_records)) {
        finding.failure = "caa";
        finding.got = answer->records[0];
    }
    va_conclude(va, turn, query, &finding);
}

static void caa_answer(struct va *va, struct turn *turn, struct query *query, const struct dns_answer *answer)
{
    const char *failure = va_dns_failure(answer);
    struct finding finding = {.failure = "caa-dns", .expected = query->proof, .status = query->status};
    struct str label, parent;
    if (failure && strcmp(failure, "nxdomain") != 0) {
        finding.got =
            strcmp(failure, "dns-timeout") == 0 ? STR("query timed out") : str_c(dns_rcode_text(answer->rcode));
        va_conclude(va, turn, query, &finding);
    } else if (!failure && answer->type == DNS_CNAME && answer->n_records) {
        if (follow_alias(query, answer->records[0])) {
            post_lookup(va, turn, query);
            return;
        }
        finding.got = STR("SERVFAIL");
        va_conclude(va, turn, query, &finding);
    } else if (answer->n_records) {
        caa_decide(va, turn, query, answer);
    } else if (str_cut(query->caa_name, '.', &label, &parent) && parent.n) {
        query->caa_name = parent;
        look_up(va, turn, query, DNS_CAA, parent);
    } else {
        caa_decide(va, turn, query, answer); /* nobody up to the top says anything */
    }
}

void va_lookup_answer(struct va *va, struct turn *turn, struct query *query, const struct dns_answer *answer)
{
    if (query->phase == PHASE_ADDRESS) address_answer(va, turn, query, answer);
    else caa_answer(va, turn, query, answer);
}
