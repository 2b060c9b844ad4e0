/* Rules about objects: how their statuses move (RFC 8555 section 7.1.6), and where they are found (7.1, 7.3, 7.4). */
#include "oracle/check.h"

/* --- legal-transitions --- */

/* The newest status of one thing, and the record that first showed it. */
struct look {
    enum status status;
    uint64_t since_seq;
};

static const char *clause_of_move(enum object object, enum status from, enum status to)
{
    if (object == OBJECT_AUTHZ && to == STATUS_PROCESSING) return "rfc8555#7.1.4-no-processing";
    if (from == STATUS_INVALID) return "rfc8555#7.1.6-invalid-is-final";
    if (object == OBJECT_CHALLENGE)
        return from == STATUS_VALID ? "rfc8555#7.1.6-valid-challenge-is-final" : "rfc8555#7.1.6-challenge-states";
    return object == OBJECT_ORDER ? "rfc8555#7.1.6-order-states" : "";
}

/* "pending, ready or invalid": what may be seen next; from STATUS_NONE: what may be seen at all. */
static struct str statuses_after(struct arena *arena, enum object object, enum status from)
{
    const char *words[STATUS_COUNT];
    size_t n = 0;
    for (enum status to = STATUS_PENDING; to < STATUS_COUNT; to++)
        if (from == STATUS_NONE ? status_of_object(object, to) : lifecycle_reachable(object, from, to))
            words[n++] = status_text(to);
    struct buf text = {.arena = arena};
    for (size_t i = 0; i < n; i++)
        buf_fmt(&text, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", words[i]);
    return buf_str(&text);
}

static struct str path_of(struct str text)
{
    struct url url;
    return url_parse(text, &url) == OK ? url.path : text;
}

static const struct event *proof_of(const struct view *view, const struct fact *fact)
{
    if (fact->exchange && fact->exchange->response && fact->exchange->response->seq == fact->seq)
        return fact->exchange->response;
    for (size_t i = 0; i < view->history->n; i++)
        if (view->history->at[i].seq == fact->seq) return &view->history->at[i];
    return NULL;
}

static void slip_moved(struct tally *tally, const struct view *view, const struct fact *fact, enum status from)
{
    const struct thing *thing = fact->thing;
    const char *object = object_text(thing->object);
    bool known = status_of_object(thing->object, fact->now);
    struct slip slip = {.clause = clause_of_move(thing->object, from, fact->now),
                        .level = LEVEL_MUST,
                        .party = PARTY_CA,
                        .event = proof_of(view, fact)};
    if (!slip.event) return;
    if (fact->exchange) slip.where = check_where(tally->arena, fact->exchange);
    struct str path = path_of(thing->url);
    if (!known)
        slip.what = str_fmt(tally->arena, "%s %.*s is %s, which is no state of an %s", object, STR_ARGS(path),
                            status_text(fact->now), object);
    else
        slip.what = str_fmt(tally->arena, "%s %.*s went from %s to %s", object, STR_ARGS(path), status_text(from),
                            status_text(fact->now));
    if (from != STATUS_NONE && known)
        slip.expected = str_fmt(tally->arena, "after %s only %.*s", status_text(from),
                                STR_ARGS(statuses_after(tally->arena, thing->object, from)));
    else slip.expected = statuses_after(tally->arena, thing->object, STATUS_NONE);
    if (!*slip.clause) slip.why = STR("a client that has read one state acts on it; what was final must stay so");
    tally_slip(tally, slip);
}

static void judge_move(struct tally *tally, const struct view *view, const struct fact *fact, struct look *look)
{
    enum object object = fact->thing->object;
    if (fact->now == look->status) return; /* an older look, passed over below, is made good */
    bool legal = look->status == STATUS_NONE ? status_of_object(object, fact->now)
                                             : lifecycle_reachable(object, look->status, fact->now);
    /* A request sent before the newest status was first shown may have been served before, too: of two exchanges under
     * way at once nobody knows whose reply is the later look. */
    bool overlaps = fact->exchange && look->since_seq && fact->exchange->request->seq < look->since_seq;
    if (!legal && overlaps && lifecycle_reachable(object, fact->now, look->status)) return;
    if (!legal) slip_moved(tally, view, fact, look->status);
    *look = (struct look){fact->now, fact->seq};
}

/* A word that is no status of RFC 8555 at all: the view passes it over. */
static void judge_word(struct tally *tally, const struct exchange *exchange, const json_t *object_json,
                       enum object object)
{
    struct str word = check_text(json_object_get(object_json, "status"));
    if (!word.n || status_read(word) != STATUS_NONE) return;
    tally_slip(tally, (struct slip){.clause = clause_of_move(object, STATUS_NONE, STATUS_NONE),
                                    .level = LEVEL_MUST,
                                    .party = PARTY_CA,
                                    .event = exchange->response,
                                    .where = check_where(tally->arena, exchange),
                                    .what = str_fmt(tally->arena, "the %s says \"status\": \"%.*s\"",
                                                    object_text(object), STR_ARGS(word)),
                                    .expected = statuses_after(tally->arena, object, STATUS_NONE)});
}

static bool shows(const struct exchange *exchange, enum object *ret)
{
    switch (exchange->resource) {
    case RESOURCE_NEW_ACCOUNT:
    case RESOURCE_ACCOUNT: *ret = OBJECT_ACCOUNT; return true;
    case RESOURCE_NEW_ORDER:
    case RESOURCE_ORDER:
    case RESOURCE_FINALIZE: *ret = OBJECT_ORDER; return true;
    case RESOURCE_NEW_AUTHZ:
    case RESOURCE_AUTHZ: *ret = OBJECT_AUTHZ; return true;
    case RESOURCE_CHALLENGE: *ret = OBJECT_CHALLENGE; return true;
    case RESOURCE_UNKNOWN:
    case RESOURCE_DIRECTORY:
    case RESOURCE_NEW_NONCE:
    case RESOURCE_REVOKE_CERT:
    case RESOURCE_KEY_CHANGE:
    case RESOURCE_RENEWAL_INFO:
    case RESOURCE_ORDERS:
    case RESOURCE_CERTIFICATE:
    case RESOURCE_OTHER: break;
    }
    return false;
}

static void judge_words(struct tally *tally, const struct exchange *exchange)
{
    enum object object;
    if (!check_whole(exchange) || !check_good(exchange) || !shows(exchange, &object)) return;
    json_t *json = check_json(exchange);
    if (json_is_object(json)) judge_word(tally, exchange, json, object);
    const json_t *challenges = object == OBJECT_AUTHZ ? json_object_get(json, "challenges") : NULL;
    for (size_t i = 0; i < json_array_size(challenges); i++)
        judge_word(tally, exchange, json_array_get(challenges, i), OBJECT_CHALLENGE);
    json_decref(json);
}

/* Section 7.1.6. What is judged is what two looks at one object show: some states may pass unseen between them, and a
 * chain of edges is as good as one. Statuses that the account, the order, the authorization or the challenge cannot
 * have count as well. */
static void fold_legal_transitions(const struct view *view, const struct check *check, struct verdict_list *findings,
                                   struct arena *arena)
{
    struct tally tally = {.check = check, .findings = findings, .arena = arena};
    struct check_map seen = {0};
    struct look *looks = ARENA_ARRAY(arena, struct look, view->n_things + 1);
    size_t n_looks = 0;
    for (size_t i = 0; i < view->n_facts; i++) {
        const struct fact *fact = &view->facts[i];
        if (fact->deed != DEED_BECOMES || !fact->thing) continue;
        size_t *slot = check_map_at(&seen, arena, (struct str){(const char *)&fact->thing, sizeof(void *)});
        if (!*slot) *slot = ++n_looks;
        struct look *look = &looks[*slot];
        if (look->status != STATUS_NONE) tally.judged++;
        judge_move(&tally, view, fact, look);
    }
    for (size_t i = 0; i < view->n_exchanges; i++)
        judge_words(&tally, &view->exchanges[i]);
    tally_done(&tally);
}

/* --- location --- */

/* What a good reply from there has made or found; NULL: nothing. */
static const char *created(enum resource_kind resource, const char **ret_clause)
{
    switch (resource) {
    case RESOURCE_NEW_ACCOUNT: *ret_clause = "rfc8555#7.3-account-created"; return "account";
    case RESOURCE_NEW_ORDER: *ret_clause = "rfc8555#7.4-order-created"; return "order";
    case RESOURCE_NEW_AUTHZ: *ret_clause = "rfc8555#7.4.1-authz-created"; return "authorization";
    default: return NULL;
    }
}

static void judge_location(struct tally *tally, const struct exchange *exchange)
{
    const char *clause = NULL, *what = created(exchange->resource, &clause);
    struct str location = str_trim(headers_get(event_headers(exchange->response), "Location"));
    struct slip slip = {.clause = clause,
                        .level = LEVEL_MUST,
                        .party = PARTY_CA,
                        .event = exchange->response,
                        .where = check_where(tally->arena, exchange)};
    struct url url;
    tally->judged++;
    slip.expected = str_fmt(tally->arena, "Location: the URL of the %s", what);
    if (!location.n) {
        slip.what = str_fmt(tally->arena, "a reply of status %d has no Location", exchange->status);
        tally_slip(tally, slip);
    } else if (url_parse(location, &url) != OK) {
        /* RFC 9110 section 10.2.2 lets Location be relative; the account's is also its kid (section 6.2), a URL. */
        slip.level = LEVEL_SHOULD;
        slip.what = str_fmt(tally->arena, "Location \"%.*s\" is no absolute URL", STR_ARGS(location));
        tally_slip(tally, slip);
    }
}

/* Sections 7.1, 7.3, 7.3.1, 7.4, 7.4.1: every good reply to newAccount (also one that found the account), to newOrder
 * and to newAuthz. */
static void fold_location(const struct view *view, const struct check *check, struct verdict_list *findings,
                          struct arena *arena)
{
    struct tally tally = {.check = check, .findings = findings, .arena = arena};
    for (size_t i = 0; i < view->n_exchanges; i++) {
        const struct exchange *exchange = &view->exchanges[i];
        const char *clause;
        if (created(exchange->resource, &clause) && exchange->is_jws && check_answered(exchange) &&
            check_good(exchange))
            judge_location(&tally, exchange);
    }
    tally_done(&tally);
}

/* clang-format off */
const struct check object_checks[] = {
    {"legal-transitions", "rfc8555#7.1.6-order-states", "RFC 8555 section 7.1.6", LEVEL_MUST, PARTY_CA,
     "objects change their status only as section 7.1.6 allows", fold_legal_transitions},
    {"location", "rfc8555#7.1-location", "RFC 8555 section 7.1", LEVEL_MUST, PARTY_CA,
     "replies that create an account or an order have its URL in Location", fold_location},
    {0},
};
/* clang-format on */
