/* Rate limits: RFC 8555 section 6.6. A bucket of tokens for whatever is counted; a refused request takes none. */
#include "actor/ca_parts.h"
#include "base/when.h"

#include <assert.h>
#include <stdlib.h>

/* Its bucket is full while there is none of it. */
struct ca_limit {
    struct ca_node by_key;
    enum limit limit;
    struct str key;
    struct bucket bucket;
};

static const char *const counted[] = {
    [LIMIT_NEW_ACCOUNT] = "new accounts",
    [LIMIT_NEW_ORDER] = "orders of one account",
    [LIMIT_FAILED_VALIDATION] = "failed validations of one name",
    [LIMIT_DUPLICATE_CERTIFICATE] = "certificates for exactly the same names",
};
static_assert(COUNTOF(counted) == LIMIT_COUNT, "every limit counts something");

/* The rate as it is at this speed; count 0: no limit. */
static struct rate rate_of(const struct ca *ca, enum limit limit)
{
    struct rate rate = ca->profile->limits[limit];
    rate.per_ms = ca_wait_ms(ca, rate.per_ms);
    if (rate.per_ms < 1) rate.per_ms = 1;
    return rate;
}

static struct ca_limit *limit_find(const struct ca *ca, enum limit limit, struct str key)
{
    uint64_t hash = ca_hash((uint64_t)limit, key);
    struct ca_node *node = NULL;
    while ((node = ca_table_find(&ca->limits, hash, node))) {
        struct ca_limit *found = (struct ca_limit *)node; /* by_key is its first member */
        if (found->limit == limit && str_eq(found->key, key)) return found;
    }
    return NULL;
}

/* 0: now. */
static int64_t limit_ready_ms(const struct ca *ca, const struct turn *turn, enum limit limit, struct str key)
{
    const struct rate rate = rate_of(ca, limit);
    const struct ca_limit *found = rate.count ? limit_find(ca, limit, key) : NULL;
    int64_t ready_ms = found ? bucket_ready_ms(&found->bucket, &rate, turn->now_ms) : turn->now_ms;
    return ready_ms > turn->now_ms ? ready_ms : 0;
}

static void limit_take(struct ca *ca, const struct turn *turn, enum limit limit, struct str key)
{
    const struct rate rate = rate_of(ca, limit);
    if (!rate.count) return;
    struct ca_limit *found = limit_find(ca, limit, key);
    if (!found) {
        found = ARENA_NEW(&ca->store.arena, struct ca_limit);
        found->limit = limit;
        found->key = str_copy(&ca->store.arena, key);
        ca_table_add(&ca->limits, &found->by_key, ca_hash((uint64_t)limit, key));
    }
    bucket_take(&found->bucket, &rate, turn->now_ms);
}

/* --- what is counted by what --- */
static struct str account_key(const struct ca_account *account, struct arena *arena)
{
    return str_fmt(arena, "%u", (unsigned)account->id);
}

/* A validation is one of a name without "*.", whatever it was for. */
static struct str name_key(const struct ca_account *account, struct str name, struct arena *arena)
{
    struct str base = str_starts(name, "*.") ? (struct str){name.at + 2, name.n - 2} : name;
    return str_fmt(arena, "%u %.*s", (unsigned)account->id, STR_ARGS(base));
}

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static struct str names_key(const struct str *names, size_t n, struct arena *arena)
{
    struct str *sorted = ARENA_ARRAY(arena, struct str, n);
    struct buf buf = {.arena = arena};
    for (size_t i = 0; i < n; i++)
        sorted[i] = names[i];
    qsort(sorted, n, sizeof *sorted, by_text);
    for (size_t i = 0; i < n; i++) {
        if (i) buf_add_char(&buf, ' ');
        buf_add(&buf, sorted[i]);
    }
    return buf_str(&buf);
}

/* --- refusal --- */
static struct str refusal_text(const struct ca *ca, enum limit limit, int64_t ready_ms, struct arena *arena)
{
    const struct rate *rate = &ca->profile->limits[limit];
    return str_fmt(arena, "too many %s: the limit is %.*s, the next is possible after %.*s", counted[limit],
                   STR_ARGS(rate_text(arena, rate)), STR_ARGS(when_rfc3339(arena, ready_ms + 999)));
}

/* What a request meets of the limits. */
struct meeting {
    struct problem problem; /* of the first one that is used up */
    int64_t ready_ms;       /* when all of them allow the request (section 6.6); 0: none is used up */
};

static bool meet(struct visit *visit, struct meeting *meeting, enum limit limit, struct str key)
{
    struct arena *arena = visit->turn->arena;
    int64_t ready_ms = limit_ready_ms(visit->ca, visit->turn, limit, key);
    if (!ready_ms) return false;
    if (!meeting->ready_ms)
        meeting->problem = problem_new(arena, "rateLimited", "%s", refusal_text(visit->ca, limit, ready_ms, arena).at);
    if (ready_ms > meeting->ready_ms) meeting->ready_ms = ready_ms;
    return true;
}

/* One subproblem for each name that has failed too often (section 6.7.1). */
static void meet_names(struct visit *visit, struct meeting *meeting, const struct str *names, size_t n)
{
    struct arena *arena = visit->turn->arena;
    struct problem *list = ARENA_ARRAY(arena, struct problem, n);
    size_t n_list = 0;
    for (size_t i = 0; i < n; i++) {
        struct meeting one = {0};
        struct str key = name_key(visit->account, names[i], arena);
        if (!meet(visit, &one, LIMIT_FAILED_VALIDATION, key)) continue;
        (void)meet(visit, meeting, LIMIT_FAILED_VALIDATION, key);
        list[n_list] = one.problem;
        list[n_list].status = 0; /* section 6.7.1: the HTTP status is the whole document's */
        list[n_list++].identifier = names[i];
    }
    meeting->problem.subproblems = list;
    meeting->problem.n_subproblems = n_list;
}

static bool allowed(struct visit *visit, const struct meeting *meeting)
{
    struct ca_answer *answer = &visit->answer;
    if (!meeting->ready_ms) return true;
    answer_header(answer, "Link",
                  str_fmt(visit->turn->arena, "<%.*s/rate-limits>;rel=\"help\"", STR_ARGS(visit->ca->base_url)));
    answer_problem(answer, visit->turn, &meeting->problem);
    answer->retry_at_ms = meeting->ready_ms;
    answer->retry_always = true;
    return false;
}

/* --- for the others --- */
bool limit_account(struct visit *visit)
{
    struct meeting meeting = {0};
    (void)meet(visit, &meeting, LIMIT_NEW_ACCOUNT, STR(""));
    if (!allowed(visit, &meeting)) return false;
    limit_take(visit->ca, visit->turn, LIMIT_NEW_ACCOUNT, STR(""));
    return true;
}

bool limit_order(struct visit *visit, const struct str *names, size_t n)
{
    struct arena *arena = visit->turn->arena;
    struct meeting meeting = {0};
    struct str account = account_key(visit->account, arena);
    (void)meet(visit, &meeting, LIMIT_NEW_ORDER, account);
    meet_names(visit, &meeting, names, n);
    (void)meet(visit, &meeting, LIMIT_DUPLICATE_CERTIFICATE, names_key(names, n, arena));
    if (!allowed(visit, &meeting)) return false;
    limit_take(visit->ca, visit->turn, LIMIT_NEW_ORDER, account);
    return true;
}

bool limit_authz(struct visit *visit, struct str name)
{
    struct meeting meeting = {0};
    meet_names(visit, &meeting, &name, 1);
    return allowed(visit, &meeting);
}

bool limit_certificate(struct visit *visit, const struct ca_order *order)
{
    struct arena *arena = visit->turn->arena;
    struct meeting meeting = {0};
    struct str *names = ARENA_ARRAY(arena, struct str, order->n_links);
    for (uint32_t i = 0; i < order->n_links; i++) {
        const struct ca_authz *authz = order->links[i].authz;
        names[i] = authz->wildcard ? str_fmt(arena, "*.%.*s", STR_ARGS(authz->name)) : authz->name;
    }
    struct str key = names_key(names, order->n_links, arena);
    (void)meet(visit, &meeting, LIMIT_DUPLICATE_CERTIFICATE, key);
    if (!allowed(visit, &meeting)) return false;
    limit_take(visit->ca, visit->turn, LIMIT_DUPLICATE_CERTIFICATE, key);
    return true;
}

void limit_failed(struct ca *ca, struct turn *turn, const struct ca_authz *authz)
{
    limit_take(ca, turn, LIMIT_FAILED_VALIDATION, name_key(authz->account, authz->name, turn->arena));
}

void limits_get(struct visit *visit)
{
    struct arena *arena = visit->turn->arena;
    struct buf buf = {.arena = arena};
    for (int limit = 0; limit < LIMIT_COUNT; limit++) {
        struct str rate = rate_text(arena, &visit->ca->profile->limits[limit]);
        buf_fmt(&buf, "%s: %.*s (%s)\n", limit_text((enum limit)limit), STR_ARGS(rate), counted[limit]);
    }
    visit->answer.status = 200;
    visit->answer.media = "text/plain";
    visit->answer.body = buf_str(&buf);
}
