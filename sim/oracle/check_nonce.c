/* Rules about nonces: RFC 8555 section 6.5. */
#include "base/when.h"
#include "oracle/check.h"

#include "acme/challenge.h"

/* --- fresh-nonce --- */

static bool is_bad_nonce(const struct exchange *exchange)
{
    return exchange->status >= 400 && exchange->has_problem && str_is(exchange->problem.type, "badNonce");
}

/* What the reply owes: a nonce at all, and by which clause. NULL: nothing. */
static const char *nonce_clause(const struct exchange *exchange, enum level *ret_level)
{
    *ret_level = LEVEL_MUST;
    bool post = str_is(exchange->method, "POST");
    if (exchange->resource == RESOURCE_NEW_NONCE && check_good(exchange)) return "rfc8555#7.2-new-nonce";
    if (!post) return NULL;
    if (check_good(exchange)) return "rfc8555#6.5-fresh-nonce";
    if (is_bad_nonce(exchange)) return "rfc8555#6.5-bad-nonce";
    if (exchange->status < 400) return NULL;
    *ret_level = LEVEL_SHOULD;
    return "rfc8555#6.5-nonce-on-error";
}

static void judge_handed(struct tally *tally, const struct view *view, size_t i, struct check_map *handed)
{
    const struct exchange *exchange = &view->exchanges[i];
    const struct headers *headers = event_headers(exchange->response);
    size_t n = headers_count(headers, "Replay-Nonce");
    struct slip slip = {.party = PARTY_CA, .event = exchange->response};
    const char *owed = nonce_clause(exchange, &slip.level);
    if (!owed && !n) return;
    tally->judged++;
    slip.where = check_where(tally->arena, exchange);
    slip.expected = STR("one Replay-Nonce that was never handed out before");
    if (!n) {
        slip.clause = owed;
        slip.what = str_fmt(tally->arena, "a reply of status %d%s has no Replay-Nonce", exchange->status,
                            is_bad_nonce(exchange) ? ", badNonce," : "");
        tally_slip(tally, slip);
        return;
    }
    slip.level = LEVEL_MUST; /* of what is there, on whatever reply */
    struct str nonce = str_trim(headers_get(headers, "Replay-Nonce"));
    if (n > 1) {
        slip.clause = "rfc8555#6.5.1-nonce-form";
        slip.what = str_fmt(tally->arena, "a reply has %zu Replay-Nonce headers", n);
        tally_slip(tally, slip);
    }
    if (!token_legal(nonce)) {
        slip.clause = "rfc8555#6.5.1-nonce-form";
        slip.what = str_fmt(tally->arena, "Replay-Nonce \"%.*s\" is not base64url", STR_ARGS(nonce));
        tally_slip(tally, slip);
        return;
    }
    size_t *first = check_map_at(handed, tally->arena, nonce);
    if (*first) {
        int64_t t_ms = view->exchanges[*first - 1].response->t_ms;
        slip.clause = "rfc8555#6.5-fresh-nonce";
        slip.what = str_fmt(tally->arena, "Replay-Nonce \"%.*s\" was handed out before, at %.*s", STR_ARGS(nonce),
                            STR_ARGS(when_run_time(tally->arena, t_ms)));
        slip.hint = STR("a reply that comes from a cache repeats the nonce of the first");
        tally_slip(tally, slip);
    } else {
        *first = i + 1;
    }
}

/* Sections 6.5, 6.5.1, 7.2. Every good reply to a POST, every badNonce and every good reply of newNonce owe a nonce;
 * other errors should have one. A nonce that is there has to be well formed and new on any reply. A reply that was cut
 * short has shown its headers. "Before" is by the order of requests: of two replies with one value, one is a copy,
 * whichever that is. */
static void fold_fresh_nonce(const struct view *view, const struct check *check, struct verdict_list *findings,
                             struct arena *arena)
{
    struct tally tally = {.check = check, .findings = findings, .arena = arena};
    struct check_map hosts = check_hosts(view, arena), handed = {0};
    for (size_t i = 0; i < view->n_exchanges; i++)
        if (check_answered(&view->exchanges[i]) && check_is_acme(&hosts, arena, &view->exchanges[i]))
            judge_handed(&tally, view, i, &handed);
    tally_done(&tally);
}

/* --- nonce-reuse --- */

/* One nonce in requests, and how often the server itself has handed it out. */
struct use {
    size_t earlier, first; /* index + 1 of the last use before this one, and of the first of all */
    size_t count;          /* with this one */
    bool blunt;            /* some use was more than the first request sent again, unheard */
};

/* The replies that carried a nonce: newest first, by `older`. */
struct handing {
    uint64_t seq;
    size_t older;
};

static size_t handed_before(const struct handing *handings, size_t newest, uint64_t seq)
{
    size_t n = 0;
    for (; newest; newest = handings[newest].older)
        n += handings[newest].seq < seq;
    return n;
}

/* Nothing had come back when this request was sent. */
static bool unheard(const struct exchange *earlier, const struct exchange *exchange)
{
    return !check_answered(earlier) || earlier->response->seq > exchange->request->seq;
}

static bool same_bytes(const struct exchange *a, const struct exchange *b)
{
    return str_eq(a->url, b->url) && str_eq(event_text(a->request, F_BODY), event_text(b->request, F_BODY));
}

static void judge_use(struct tally *tally, const struct view *view, struct use *uses, size_t i)
{
    const struct exchange *exchange = &view->exchanges[i], *earlier = &view->exchanges[uses[i].earlier - 1];
    const struct exchange *first = &view->exchanges[uses[i].first - 1];
    bool resent = !uses[uses[i].earlier - 1].blunt && same_bytes(earlier, exchange) && unheard(earlier, exchange);
    uses[i].blunt = !resent;
    tally_slip(
        tally,
        (struct slip){
            .level = resent ? LEVEL_SHOULD : LEVEL_MUST,
            .party = PARTY_CLIENT,
            .event = exchange->request,
            .where = check_where(tally->arena, exchange),
            .what = str_fmt(tally->arena, "nonce \"%.*s\" was used before, at %.*s in %.*s%s",
                            STR_ARGS(exchange->nonce), STR_ARGS(when_run_time(tally->arena, first->request->t_ms)),
                            STR_ARGS(check_where(tally->arena, first)),
                            resent ? "; this is that request again, to which no reply had come" : ""),
            .expected = STR("each nonce in one request only"),
            .hint = resent ? STR("sign the request again with a fresh nonce: the lost one may have arrived")
                           : STR("a request that is repeated has to be signed again, with a fresh nonce"),
        });
}

/* Section 6.5: "Once a nonce value has appeared in an ACME request, the server MUST consider it invalid". It is the
 * appearance that spends a nonce, not the reply: a client whose request was met by silence cannot know whether it
 * appeared. So the same bytes sent once more are no new use in the sense of a replay (at most one of the two is
 * served), but the nonce is the same, and if the first did arrive the second is refused as badNonce. The section binds
 * the server in capitals and the client by consequence only; such a resend is therefore graded SHOULD. Anything else
 * with a known nonce, a new signature or after a reply, is a MUST. A server that hands out one value twice has no
 * client to blame for using it twice: that is rule fresh-nonce. */
static void fold_nonce_reuse(const struct view *view, const struct check *check, struct verdict_list *findings,
                             struct arena *arena)
{
    struct tally tally = {.check = check, .findings = findings, .arena = arena};
    struct check_map handed = {0}, used = {0};
    struct handing *handings = ARENA_ARRAY(arena, struct handing, view->n_exchanges + 1);
    struct use *uses = ARENA_ARRAY(arena, struct use, view->n_exchanges + 1);
    for (size_t i = 0; i < view->n_exchanges; i++) {
        if (!check_answered(&view->exchanges[i])) continue;
        const struct event *response = view->exchanges[i].response;
        struct str nonce = str_trim(headers_get(event_headers(response), "Replay-Nonce"));
        if (!nonce.n) continue;
        size_t *newest = check_map_at(&handed, arena, nonce);
        handings[i + 1] = (struct handing){response->seq, *newest};
        *newest = i + 1;
    }
    for (size_t i = 0; i < view->n_exchanges; i++) {
        const struct exchange *exchange = &view->exchanges[i];
        if (!exchange->is_jws || !exchange->nonce.n) continue;
        tally.judged++;
        size_t *last = check_map_at(&used, arena, exchange->nonce);
        const struct use *earlier = *last ? &uses[*last - 1] : NULL;
        uses[i] = (struct use){.earlier = *last,
                               .first = earlier ? earlier->first : i + 1,
                               .count = earlier ? earlier->count + 1 : 1,
                               .blunt = earlier && earlier->blunt};
        *last = i + 1;
        if (!earlier) continue;
        size_t newest = *check_map_at(&handed, arena, exchange->nonce);
        if (handed_before(handings, newest, exchange->request->seq) < uses[i].count) judge_use(&tally, view, uses, i);
    }
    tally_done(&tally);
}

/* --- bad-nonce-retried --- */

enum { BAD_NONCE_REPEATS = 10, LOOK_AHEAD = 64 };

/* Requests that could be repeats of each other: to one URL, and all reads or none. */
static struct str likeness(struct arena *arena, const struct exchange *exchange)
{
    return str_fmt(arena, "%c %.*s", exchange->post_as_get ? 'r' : 'w', STR_ARGS(exchange->url));
}

static bool refused(const struct exchange *exchange)
{
    return exchange->is_jws && is_bad_nonce(exchange) && check_whole(exchange);
}

enum repeat { REPEAT_NONE, REPEAT_GOOD, REPEAT_OLD_NONCE, REPEAT_OTHER_NONCE };

/* The best repeat of a refused request. next: index + 1 of the next like it, 0 = none. */
static enum repeat repeat_of(const struct view *view, const size_t *next, size_t i, const struct exchange **ret)
{
    const struct exchange *exchange = &view->exchanges[i];
    struct str given = str_trim(headers_get(event_headers(exchange->response), "Replay-Nonce"));
    enum repeat best = REPEAT_NONE;
    size_t looked = 0;
    for (size_t k = next[i]; k && looked < LOOK_AHEAD; k = next[k - 1], looked++) {
        const struct exchange *later = &view->exchanges[k - 1];
        bool early = later->request->seq < exchange->response->seq; /* it had stopped waiting for this reply */
        bool old = str_eq(later->nonce, exchange->nonce);
        if (early || (token_legal(given) ? str_eq(later->nonce, given) : !old)) return REPEAT_GOOD;
        if (best == REPEAT_NONE || (best == REPEAT_OLD_NONCE && !old)) {
            best = old ? REPEAT_OLD_NONCE : REPEAT_OTHER_NONCE;
            *ret = later;
        }
    }
    return best;
}

/* The client had its chance after record seq: it sent another signed request, or ended by itself. */
static bool went_on(const struct view *view, uint64_t seq)
{
    for (size_t i = view->n_exchanges; i-- > 0 && view->exchanges[i].request->seq > seq;)
        if (view->exchanges[i].is_jws) return true;
    for (size_t i = view->history->n; i-- > 0 && view->history->at[i].seq > seq;) {
        const struct event *event = &view->history->at[i];
        if (event->kind == WIRE_EXIT && !check_out_of_time(event)) return true;
    }
    return false;
}

static void judge_refusal(struct tally *tally, const struct view *view, const size_t *next, size_t i, bool first)
{
    const struct exchange *exchange = &view->exchanges[i], *later = NULL;
    struct slip slip = {.level = LEVEL_SHOULD,
                        .party = PARTY_CLIENT,
                        .event = exchange->response,
                        .where = check_where(tally->arena, exchange),
                        .expected = STR("the request again, with the nonce of the badNonce reply")};
    enum repeat repeat = repeat_of(view, next, i, &later);
    switch (repeat) {
    case REPEAT_GOOD: tally->judged++; return;
    case REPEAT_NONE:
        /* Having repeated once, a client may stop; and a run that ended left no time. */
        if (!first || !went_on(view, exchange->response->seq)) return;
        slip.what = STR("badNonce, and the request was not sent again");
        break;
    case REPEAT_OLD_NONCE:
        slip.event = later->request;
        slip.what = STR("the request came again with the nonce that was refused");
        slip.hint = STR("the same bytes sent again are refused again: the request has to be signed anew");
        break;
    case REPEAT_OTHER_NONCE:
        slip.event = later->request;
        slip.what = STR("the request came again with another nonce than that of the badNonce reply");
        slip.hint = STR("only that nonce is sure to be accepted: a server may have dropped all that it gave before");
        break;
    }
    tally_slip(tally, slip);
}

/* How a kind of request has fared. */
struct streak {
    size_t refused; /* index + 1 of its last badNonce; 0: none since its last other reply */
    size_t repeats;
};

/* Section 6.5: after badNonce the client repeats the request with the nonce of that reply (SHOULD), and not without end
 * (more than ten times in a row: a MUST, though the number is ours). The request is known by its URL and by whether it
 * is a read; its payload may differ, for a client may have made another CSR. Only the first refusal of a row asks for a
 * repeat. */
static void fold_bad_nonce_retried(const struct view *view, const struct check *check, struct verdict_list *findings,
                                   struct arena *arena)
{
    struct tally tally = {.check = check, .findings = findings, .arena = arena};
    size_t *next = ARENA_ARRAY(arena, size_t, view->n_exchanges + 1);
    struct streak *streaks = ARENA_ARRAY(arena, struct streak, view->n_exchanges + 1);
    struct check_map nearest = {0}, kinds = {0};
    size_t n_streaks = 0;
    for (size_t i = view->n_exchanges; i-- > 0;) {
        if (!view->exchanges[i].is_jws) continue;
        size_t *slot = check_map_at(&nearest, arena, likeness(arena, &view->exchanges[i]));
        next[i] = *slot;
        *slot = i + 1;
    }
    for (size_t i = 0; i < view->n_exchanges; i++) {
        const struct exchange *exchange = &view->exchanges[i];
        if (!exchange->is_jws) continue;
        size_t *slot = check_map_at(&kinds, arena, likeness(arena, exchange));
        if (!*slot) *slot = ++n_streaks;
        struct streak *streak = &streaks[*slot - 1];
        bool repeat = streak->refused && view->exchanges[streak->refused - 1].response->seq < exchange->request->seq;
        if (repeat && ++streak->repeats > BAD_NONCE_REPEATS)
            tally_slip(&tally,
                       (struct slip){.clause = "rfc8555#6.5-bad-nonce-bounded",
                                     .level = LEVEL_MUST,
                                     .party = PARTY_CLIENT,
                                     .event = exchange->request,
                                     .where = check_where(arena, exchange),
                                     .what = str_fmt(arena, "more than %d repeats, all of them answered badNonce",
                                                     (int)BAD_NONCE_REPEATS),
                                     .expected = str_fmt(arena, "an end after at most %d repeats in a row",
                                                         (int)BAD_NONCE_REPEATS)});
        if (refused(exchange)) {
            judge_refusal(&tally, view, next, i, !repeat);
            streak->refused = i + 1;
        } else if (check_answered(exchange)) {
            *streak = (struct streak){0};
        }
    }
    tally_done(&tally);
}

/* clang-format off */
const struct check nonce_checks[] = {
    {"fresh-nonce", "rfc8555#6.5-fresh-nonce", "RFC 8555 section 6.5", LEVEL_MUST, PARTY_CA,
     "every good reply to a POST has a Replay-Nonce that was not handed out before", fold_fresh_nonce},
    {"nonce-reuse", "rfc8555#6.5-nonce-once", "RFC 8555 section 6.5", LEVEL_MUST, PARTY_CLIENT,
     "no nonce is sent twice", fold_nonce_reuse},
    {"bad-nonce-retried", "rfc8555#6.5-bad-nonce-retried", "RFC 8555 section 6.5", LEVEL_SHOULD, PARTY_CLIENT,
     "a request that was answered badNonce is sent again with a fresh nonce, not without end", fold_bad_nonce_retried},
    {0},
};
/* clang-format on */
