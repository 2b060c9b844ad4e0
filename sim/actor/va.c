#include "actor/va_inside.h"

#include "acme/address.h"

#include <stdlib.h>
#include <string.h>

/* A body that is late is told from an answer that is: the edge gives up this long before us, and says what it has. */
enum { BEFORE_DEADLINE_MS = 10 };

const char *const *va_failures(size_t *ret_n)
{
    return profile_failures(ret_n);
}

static struct str clip(struct str s)
{
    if (s.n <= VA_MAX_GOT) return s;
    s.n = VA_MAX_GOT;
    while (s.n && ((unsigned char)s.at[s.n] & 0xc0) == 0x80) /* not in the middle of a UTF-8 character */
        s.n--;
    return s;
}

static struct str hex(struct arena *arena, struct str bytes)
{
    struct buf buf = {.arena = arena};
    for (size_t i = 0; i < bytes.n; i++)
        buf_fmt(&buf, "%02x", (unsigned char)bytes.at[i]);
    return buf_str(&buf);
}

/* A test network has the ports of the Internet elsewhere. */
static int real_port(const struct va *va, int port)
{
    if (port == 80 && va->options.http_port) return va->options.http_port;
    if (port == 443 && va->options.tls_port) return va->options.tls_port;
    return port;
}

static void forget(struct va *va, struct query *query)
{
    struct query **link = &va->queries;
    while (*link != query)
        link = &(*link)->next;
    *link = query->next;
    va->n_queries--;
    struct arena arena = query->arena; /* the query lies in it */
    arena_done(&arena);
}

/* The address and port that the present exchange goes to, as the profile's texts name them. */
static void note_peer(const struct va *va, const struct query *query, struct arena *arena, struct verdict *verdict)
{
    struct url url;
    struct str address = query->name;
    int port = query->type == CHALLENGE_TLS_ALPN_01 ? 443 : 80;
    if (query->type == CHALLENGE_HTTP_01 && url_parse(query->at[query->n_at - 1], &url) == OK) {
        address = url.host;
        port = url.port;
    }
    if (query->n_addresses) {
        address = query->addresses[query->address];
        port = real_port(va, port);
    }
    verdict->address = str_copy(arena, clip(address));
    verdict->port = port;
}

void va_conclude(struct va *va, struct turn *turn, struct query *query, const struct finding *finding)
{
    const struct profile *profile = va->options.profile;
    bool checks_caa = va->options.resolves && profile && profile->checks_caa;
    /* RFC 8738 section 4: of an address no DNS server is asked anything. */
    if (!finding->failure && query->phase == PHASE_PROOF && checks_caa && !address_canonical(query->name)) {
        query->status = finding->status;
        va_ask_caa(va, turn, query);
        return;
    }
    struct msg *msg = outbox_post(turn->out, MSG_VERDICT, query->asker, query->asked);
    struct verdict *verdict = &msg->as.verdict;
    note_peer(va, query, &msg->arena, verdict);
    verdict->ok = !finding->failure;
    verdict->failure = str_c(finding->failure);
    verdict->url = str_copy(&msg->arena, clip(query->at[query->n_at - 1]));
    verdict->expected = str_copy(&msg->arena, clip(finding->expected));
    verdict->got = str_copy(&msg->arena, clip(finding->got));
    verdict->status = finding->status;
    verdict->first = str_copy(&msg->arena, clip(finding->first));
    verdict->n_more = finding->n_more;
    verdict->names = str_copy(&msg->arena, clip(finding->names));
    verdict->n_certificates = finding->n_certificates;
    forget(va, query);
}

static void ask_http(struct va *va, struct turn *turn, struct query *query, struct msg *msg)
{
    struct str at = query->at[query->n_at - 1];
    struct http_request *request = &msg->as.request;
    struct url url;
    request->method = STR("GET");
    request->url = str_copy(&msg->arena, at);
    if (url_parse(at, &url) == OK) {
        struct str host = url_host(turn->arena, url.host);
        if (url.port_given) host = str_fmt(turn->arena, "%.*s:%d", STR_ARGS(host), url.port);
        msg_header(msg, "Host", host);
        request->connect = va_connect(&msg->arena, query, real_port(va, url.port));
    }
    if (va->options.is_network) request->limit_ms = query->deadline_ms - turn->now_ms - BEFORE_DEADLINE_MS;
    if (va->options.is_network && request->limit_ms < 1) request->limit_ms = 1;
    struct str agent = STR("acmedrill/" ACMEDRILL_VERSION);
    if (query->perspective) agent = str_fmt(turn->arena, "%.*s (perspective %d)", STR_ARGS(agent), query->perspective);
    msg_header(msg, "User-Agent", agent);
    msg_header(msg, "Accept", STR("*/*"));
    /* Tells our responder one query from the next where they follow each other at once. */
    if (query->attempt > 0 && !va->options.is_network)
        msg_header(msg, "X-Acmedrill-Attempt", str_fmt(turn->arena, "%d", query->attempt));
}

void va_ask(struct va *va, struct turn *turn, struct query *query)
{
    struct str at = query->at[query->n_at - 1];
    struct msg *msg = NULL;
    query->deadline_ms = query->begun_ms + query->limit_ms;
    switch (challenge_row(query->type)->medium) {
    case MEDIUM_HTTP:
        msg = outbox_post(turn->out, MSG_REQUEST, va->options.target, 0);
        ask_http(va, turn, query, msg);
        break;
    case MEDIUM_DNS:
        msg = outbox_post(turn->out, MSG_DNS_QUERY, va->options.target, 0);
        msg->as.dns_query.name = str_copy(&msg->arena, at);
        msg->as.dns_query.type = DNS_TXT;
        break;
    case MEDIUM_TLS:
        msg = outbox_post(turn->out, MSG_TLS_HELLO, va->options.target, 0);
        msg->as.tls_hello.name = str_copy(&msg->arena, at);
        msg->as.tls_hello.alpn = STR("acme-tls/1");
        msg->as.tls_hello.connect = va_connect(&msg->arena, query, real_port(va, 443));
        break;
    }
    query->flow = msg->flow;
    query->sent_ms = turn->now_ms;
}

static void on_probe(struct va *va, struct turn *turn, const struct msg *in)
{
    const struct probe *probe = &in->as.probe;
    enum challenge_type type;
    if (!challenge_type_read(probe->type, &type) || va->n_queries >= VA_MAX_QUERIES) {
        struct msg *msg = outbox_post(turn->out, MSG_VERDICT, in->from, in->flow);
        msg->as.verdict.failure = STR("any");
        msg->as.verdict.url = str_copy(&msg->arena, clip(probe->place));
        msg->as.verdict.address = str_copy(&msg->arena, clip(probe->name));
        return;
    }
    if (va->options.always_valid) {
        outbox_post(turn->out, MSG_VERDICT, in->from, in->flow)->as.verdict.ok = true;
        return;
    }
    struct arena arena = {0};
    struct query *query = ARENA_NEW(&arena, struct query);
    query->asker = in->from;
    query->asked = in->flow;
    query->type = type;
    query->name = str_copy(&arena, probe->name);
    query->place = str_copy(&arena, probe->place);
    query->proof = str_copy(&arena, probe->proof);
    query->account = str_copy(&arena, probe->account);
    query->wildcard = probe->wildcard;
    query->attempt = probe->attempt;
    query->perspective = probe->perspective;
    query->begun_ms = turn->now_ms;
    query->limit_ms = probe->limit_ms;
    query->deadline_ms = query->begun_ms + query->limit_ms;
    struct str at = type == CHALLENGE_HTTP_01 ? str_fmt(&arena, "http://%.*s%.*s",
                                                        STR_ARGS(url_host(&arena, query->name)), STR_ARGS(query->place))
                                              : query->place;
    query->at[query->n_at++] = at;
    query->arena = arena;
    struct query **link = &va->queries;
    while (*link)
        link = &(*link)->next;
    *link = query;
    va->n_queries++;
    va_find_address(va, turn, query);
}

/* --- http-01 (RFC 8555 section 8.3) --- */

/* What delivery alone says of a failed exchange; NULL: nothing yet. */
static const char *delivery_failure(const struct delivery *delivery)
{
    switch (delivery->how) {
    case DELIVER_REFUSED: return "refused";
    case DELIVER_RESET: return "reset";
    case DELIVER_CLOSED: return "closed";
    case DELIVER_GARBAGE: return "garbage";
    case DELIVER_TRUNCATED: return "truncated";
    case DELIVER_WHOLE:
    case DELIVER_HANG:
    case DELIVER_SLOW:
    case DELIVER_COUNT: break;
    }
    return NULL;
}

static bool scheme_char(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
    return !first && ((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.');
}

/* The scheme of a URI reference with its colon, or empty for a relative one. */
static struct str scheme_of(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.at[i] == ':' && i > 0) return (struct str){s.at, i + 1};
        if (!scheme_char(s.at[i], i == 0)) break;
    }
    return (struct str){0};
}

/* Where a Location leads from `base` (RFC 3986 section 5.2 without dot segments). Empty: nowhere. */
static struct str resolve(struct arena *arena, struct str base, struct str location)
{
    struct str fragment, scheme, rest;
    struct url url;
    str_cut(location, '#', &location, &fragment);
    if (location.n == 0 || url_parse(base, &url) != OK) return (struct str){0};
    if (scheme_of(location).n) return location;
    str_cut(base, ':', &scheme, &rest);
    if (str_starts(location, "//")) return str_fmt(arena, "%.*s:%.*s", STR_ARGS(scheme), STR_ARGS(location));
    /* rest is "//authority/path?query" */
    size_t authority = 2;
    while (authority < rest.n && !strchr("/?#", rest.at[authority]))
        authority++;
    struct str origin = {base.at, scheme.n + 1 + authority}, path = url.path, query;
    if (location.at[0] == '/') return str_fmt(arena, "%.*s%.*s", STR_ARGS(origin), STR_ARGS(location));
    str_cut(path, '?', &path, &query);
    if (location.at[0] != '?')
        while (path.n && path.at[path.n - 1] != '/')
            path.n--;
    return str_fmt(arena, "%.*s%.*s%.*s", STR_ARGS(origin), STR_ARGS(path), STR_ARGS(location));
}

/* Checks where a redirect leads; *ret_next is in the query's arena. NULL: go there. */
static const char *redirect_failure(const struct va *va, struct query *query, int status, struct str location,
                                    struct str *ret_next)
{
    const struct profile *profile = va->options.profile;
    struct url url;
    struct str here = query->at[query->n_at - 1], next;
    int limit = profile ? profile->max_redirects : 10;
    if (limit > VA_MAX_HOPS) limit = VA_MAX_HOPS;
    if (status == 303 && profile && !profile->follows_303) return "bad-redirect";
    if (location.n > 2000) return "bad-redirect";
    next = resolve(&query->arena, here, str_trim(location));
    if (next.n == 0) return "bad-redirect";
    struct str scheme = scheme_of(next);
    if (!str_is_nocase(scheme, "http:") && !str_is_nocase(scheme, "https:")) return "bad-scheme";
    if (url_parse(next, &url) != OK || url.host.n == 0) return "bad-redirect";
    if (!(profile && profile->redirect_any_port) && url.port != 80 && url.port != 443) return "bad-port";
    for (size_t i = 0; i < query->n_at; i++)
        if (str_eq(query->at[i], next)) return "redirect-loop";
    if ((int)query->n_at > limit) return "too-many-redirects";
    *ret_next = str_copy(&query->arena, next);
    return NULL;
}

static void judge_body(struct va *va, struct turn *turn, struct query *query, struct str body)
{
    const struct profile *profile = va->options.profile;
    struct finding finding = {.expected = query->proof, .got = body, .status = 200};
    struct str trims = profile ? profile->trims : STR("\r\n\t ");
    while (body.n && trims.n && memchr(trims.at, body.at[body.n - 1], trims.n))
        body.n--;
    if (finding.got.n == 0) finding.failure = "empty-body";
    else if (!str_eq(body, query->proof)) finding.failure = "wrong-body";
    va_conclude(va, turn, query, &finding);
}

static void on_response(struct va *va, struct turn *turn, struct query *query, const struct msg *in)
{
    const struct http_response *response = &in->as.response;
    struct finding finding = {.expected = query->proof, .status = response->status};
    size_t max_body = va->options.profile && va->options.profile->max_body ? va->options.profile->max_body : 65536;

    if (response->delivery.how == DELIVER_HANG) return; /* the time limit will end it */
    finding.failure = delivery_failure(&response->delivery);
    if (response->delivery.how == DELIVER_REFUSED && va_next_address(va, query)) {
        va_ask(va, turn, query);
        return;
    }
    if (finding.failure) {
        size_t seen = response->delivery.at_byte;
        if (response->delivery.how == DELIVER_TRUNCATED)
            finding.got = (struct str){response->body.at, seen < response->body.n ? seen : response->body.n};
        else finding.status = 0;
    } else if (response->status == 0) {
        finding.failure = "closed";
    } else if (response->status == 301 || response->status == 302 || response->status == 303 ||
               response->status == 307 || response->status == 308) {
        struct str next;
        finding.got = headers_get(response->headers, "Location");
        finding.failure = redirect_failure(va, query, response->status, finding.got, &next);
        if (!finding.failure) {
            query->at[query->n_at++] = next;
            va_find_address(va, turn, query);
            return;
        }
    } else if (response->status != 200) {
        finding.failure = "bad-status";
        finding.got = response->body;
    } else if (response->body.n > max_body) {
        finding.failure = "huge";
        finding.got = response->body;
    }
    if (finding.failure) {
        va_conclude(va, turn, query, &finding);
    } else if (response->delivery.how == DELIVER_SLOW && response->delivery.over_ms > turn->now_ms - query->sent_ms) {
        /* Less time has passed than the body takes: these are its headers. Otherwise the carrier has waited already. */
        int64_t left_ms = query->deadline_ms - turn->now_ms;
        query->late_body = str_copy(&query->arena, response->body);
        query->too_slow = response->delivery.over_ms > left_ms;
        query->body_due_ms = query->too_slow ? query->deadline_ms : turn->now_ms + response->delivery.over_ms;
    } else {
        judge_body(va, turn, query, response->body);
    }
}

/* --- dns-01 (section 8.4), dns-account-01 --- */

static struct str shortened(struct arena *arena, struct str record)
{
    if (record.n <= VA_MAX_FIRST) return record;
    return str_fmt(arena, "%.*s...", VA_MAX_FIRST, record.at);
}

static void on_dns_answer(struct va *va, struct turn *turn, struct query *query, const struct msg *in)
{
    const struct dns_answer *answer = &in->as.dns_answer;
    struct finding finding = {.expected = query->proof};
    struct buf found = {.arena = turn->arena};

    if (answer->delivery.how == DELIVER_HANG) return;
    finding.failure = va_dns_failure(answer);
    if (finding.failure) {
        if (answer->rcode != DNS_NOERROR) finding.got = str_c(dns_rcode_text(answer->rcode));
    } else if (answer->type == DNS_CNAME && answer->n_records) {
        struct str next = answer->records[0];
        bool again = next.n == 0 || query->n_at > VA_MAX_ALIASES;
        for (size_t i = 0; i < query->n_at; i++)
            again = again || str_eq(query->at[i], next);
        if (!again) {
            query->at[query->n_at++] = str_copy(&query->arena, next);
            va_ask(va, turn, query);
            return;
        }
        finding.failure = "servfail";
        finding.got = next;
    } else {
        bool match = false;
        for (size_t i = 0; i < answer->n_records && i < DNS_MAX_RECORDS; i++) {
            match = match || str_eq(answer->records[i], query->proof);
            if (i) buf_add_c(&found, ", ");
            buf_add(&found, answer->records[i]);
        }
        if (!match) finding.failure = answer->n_records ? "wrong-txt" : "no-txt";
        finding.got = buf_str(&found);
        if (answer->n_records) {
            finding.first = shortened(turn->arena, answer->records[0]);
            finding.n_more = answer->n_records - 1;
        }
    }
    va_conclude(va, turn, query, &finding);
}

/* --- tls-alpn-01 (RFC 8737 section 3) --- */

/* What is wrong with a certificate; NULL: nothing. */
static const char *certificate_failure(struct arena *arena, const struct tls_answer *answer, const struct query *query,
                                       struct str *ret_got)
{
    /* Section 3: self-signed, one dNSName (of RFC 8738: iPAddress) that is the name asked for, the extension critical
     * and of the right digest.
     */
    if (!answer->self_signed) {
        *ret_got = STR("a certificate that is not self-signed");
        return "not-self-signed";
    }
    const char *kind = address_canonical(query->name) ? "ip:" : "";
    if (!str_is_nocase(answer->san, str_fmt(arena, "%s%.*s", kind, STR_ARGS(query->name)).at)) {
        *ret_got = str_fmt(arena, "a certificate for %.*s", STR_ARGS(answer->san));
        return "wrong-names";
    }
    if (!answer->has_extension) {
        *ret_got = answer->obsolete ? STR("a certificate with the acmeIdentifier extension of a draft")
                                    : STR("a certificate without acmeIdentifier extension");
        return "no-extension";
    }
    if (!answer->critical) {
        *ret_got = STR("an acmeIdentifier extension that is not critical");
        return "not-critical";
    }
    *ret_got = hex(arena, answer->digest);
    if (answer->digest.n != query->proof.n) {
        *ret_got = STR("an acmeIdentifier extension that holds no digest");
        return "bad-extension";
    }
    return str_eq(answer->digest, query->proof) ? NULL : "wrong-cert";
}

static void on_tls_answer(struct va *va, struct turn *turn, struct query *query, const struct msg *in)
{
    const struct tls_answer *answer = &in->as.tls_answer;
    struct arena *arena = turn->arena;
    struct finding finding = {.expected = hex(arena, query->proof),
                              .names = answer->san,
                              .n_certificates = answer->n_certificates ? answer->n_certificates : 1};

    if (answer->delivery.how == DELIVER_HANG) return;
    if (answer->delivery.how == DELIVER_REFUSED && va_next_address(va, query)) {
        va_ask(va, turn, query);
        return;
    }
    finding.failure = delivery_failure(&answer->delivery);
    if (finding.failure) {
        if (str_is(str_c(finding.failure), "truncated")) finding.failure = "closed";
        if (answer->plain_http) finding.failure = "plain-http";
    } else if (answer->alert.n) {
        finding.failure = "tls-alert";
        finding.got = answer->alert;
    } else if (answer->alpn.n == 0) {
        finding.failure = "no-alpn";
    } else if (!str_is(answer->alpn, "acme-tls/1")) {
        finding.failure = "wrong-alpn";
        finding.got = answer->alpn;
    } else {
        finding.failure = certificate_failure(arena, answer, query, &finding.got);
    }
    va_conclude(va, turn, query, &finding);
}

/* --- the actor --- */

static struct query *find_query(const struct va *va, uint64_t flow)
{
    struct query *query = va->queries;
    while (query && (query->flow != flow || query->body_due_ms))
        query = query->next;
    return query;
}

static int64_t query_due_ms(const struct query *query)
{
    return query->body_due_ms && query->body_due_ms < query->deadline_ms ? query->body_due_ms : query->deadline_ms;
}

static void on_time(struct va *va, struct turn *turn, struct query *query)
{
    struct finding finding = {.failure = "timeout", .expected = query->proof};
    if (query->body_due_ms && !query->too_slow) {
        judge_body(va, turn, query, query->late_body);
        return;
    }
    if (query->phase != PHASE_PROOF || challenge_row(query->type)->medium == MEDIUM_DNS)
        finding.failure = "dns-timeout";
    if (query->phase == PHASE_CAA) {
        finding.failure = "caa-dns";
        finding.got = STR("query timed out");
    }
    if (query->type == CHALLENGE_TLS_ALPN_01) finding.expected = hex(turn->arena, query->proof);
    if (query->too_slow) {
        finding.failure = "slow";
        finding.status = 200;
    }
    va_conclude(va, turn, query, &finding);
}

/* Where our own responder plays silence, a delay or a drip in less time, what is too late stays too late. A peer on the
 * network has the whole of its time. */
static void keep_pace(struct query *query, const struct delivery *delivery)
{
    if (!delivery || delivery->speed <= 1) return;
    int64_t sooner_ms = query->begun_ms + query->limit_ms / delivery->speed;
    if (sooner_ms < query->deadline_ms) query->deadline_ms = sooner_ms;
}

static void va_step(struct actor *actor, struct turn *turn, const struct msg *in)
{
    struct va *va = (struct va *)actor;
    if (!in) {
        for (struct query *next, *at = va->queries; at; at = next) {
            next = at->next;
            if (query_due_ms(at) <= turn->now_ms) on_time(va, turn, at);
        }
        return;
    }
    if (in->kind == MSG_PROBE) {
        on_probe(va, turn, in);
        return;
    }
    struct query *query = find_query(va, in->flow);
    if (!query) return;
    keep_pace(query, msg_delivery((struct msg *)(uintptr_t)in));
    if (turn->now_ms >= query->deadline_ms) {
        if (va->options.is_network && in->kind == MSG_RESPONSE) /* the edge was in time, and we are late ourselves */
            query->too_slow = query->too_slow || in->as.response.delivery.how == DELIVER_SLOW;
        on_time(va, turn, query);
        return;
    }
    if (query->phase != PHASE_PROOF) {
        if (in->kind == MSG_DNS_ANSWER) va_lookup_answer(va, turn, query, &in->as.dns_answer);
        return;
    }
    if (in->kind == MSG_RESPONSE && query->type == CHALLENGE_HTTP_01) on_response(va, turn, query, in);
    else if (in->kind == MSG_DNS_ANSWER && challenge_row(query->type)->medium == MEDIUM_DNS)
        on_dns_answer(va, turn, query, in);
    else if (in->kind == MSG_TLS_ANSWER && query->type == CHALLENGE_TLS_ALPN_01) on_tls_answer(va, turn, query, in);
}

static int64_t va_next_due_ms(const struct actor *actor)
{
    const struct va *va = (const struct va *)actor;
    int64_t due_ms = ACTOR_IDLE;
    for (const struct query *query = va->queries; query; query = query->next) {
        int64_t at_ms = query_due_ms(query);
        if (at_ms < due_ms) due_ms = at_ms;
    }
    return due_ms;
}

static void va_free(struct actor *actor)
{
    struct va *va = (struct va *)actor;
    while (va->queries)
        forget(va, va->queries);
    free(va);
}

void va_play(struct actor *actor, const struct profile *profile)
{
    ((struct va *)actor)->options.profile = profile;
}

struct actor *va_new(const struct va_options *options)
{
    struct va *va = calloc(1, sizeof *va);
    if (!va) abort();
    va->options = *options;
    va->actor = (struct actor){.name = "va", .step = va_step, .next_due_ms = va_next_due_ms, .free = va_free};
    return &va->actor;
}
