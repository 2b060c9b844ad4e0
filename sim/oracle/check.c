#include "oracle/check.h"
#include "acme/json.h"
#include "base/when.h"

#include <string.h>

/* --- findings --- */

void verdict_add(struct verdict_list *list, struct arena *arena, struct finding finding)
{
    if (list->n == list->room) {
        size_t room = list->room ? list->room * 2 : 16;
        struct finding *at = ARENA_ARRAY(arena, struct finding, room);
        if (list->n) memcpy(at, list->at, list->n * sizeof *at);
        list->at = at;
        list->room = room;
    }
    list->at[list->n++] = finding;
}

const struct check *check_at(size_t i)
{
    static const struct check *const tables[] = {object_checks, nonce_checks, envelope_checks, reply_checks, NULL};
    for (const struct check *const *table = tables; *table; table++)
        for (const struct check *check = *table; check->id; check++)
            if (i-- == 0) return check;
    return NULL;
}

/* --- violations --- */

/* How little it counts. */
static int weakness(enum level level)
{
    return level == LEVEL_MAY ? 2 : level == LEVEL_SHOULD ? 1 : 0;
}

static bool clause_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool slip_again(struct tally *tally, const struct slip *slip)
{
    for (size_t i = 0; i < tally->n_slips; i++) {
        struct slip *known = &tally->slips[i];
        if (!clause_same(known->clause, slip->clause) || known->level != slip->level ||
            !str_eq(known->what, slip->what))
            continue;
        known->again++;
        known->last_ms = slip->event->t_ms;
        return true;
    }
    return false;
}

void tally_slip(struct tally *tally, struct slip slip)
{
    if (slip_again(tally, &slip)) return;
    if (tally->n_slips == CHECK_MAX_FINDINGS) {
        tally->n_more++;
        size_t weakest = 0;
        for (size_t i = 0; i < tally->n_slips; i++)
            if (weakness(tally->slips[i].level) >= weakness(tally->slips[weakest].level)) weakest = i;
        if (weakness(slip.level) >= weakness(tally->slips[weakest].level)) return;
        tally->n_more += tally->slips[weakest].again;
        memmove(&tally->slips[weakest], &tally->slips[weakest + 1],
                (tally->n_slips - weakest - 1) * sizeof tally->slips[0]);
        tally->n_slips--;
    }
    tally->slips[tally->n_slips++] = slip;
}

static struct finding finding_of(const struct tally *tally, const char *clause_id, enum result result)
{
    const struct check *check = tally->check;
    struct str id = str_c(clause_id ? clause_id : check->clause);
    const struct clause *clause = id.n ? clause_find(id) : NULL;
    bool own = !clause || str_is(id, check->clause);
    return (struct finding){.result = result,
                            .name = str_fmt(tally->arena, "rule %s", check->id),
                            .clause = id,
                            .level = check->level,
                            .party = check->judged,
                            .claim = own ? str_c(check->claim) : clause->text,
                            .why = clause ? clause->why : (struct str){0}};
}

static struct str observed_text(const struct tally *tally, const struct slip *slip, bool last)
{
    struct buf text = {.arena = tally->arena};
    buf_add(&text, when_run_time(tally->arena, slip->event->t_ms));
    if (slip->where.n) buf_fmt(&text, " %.*s", STR_ARGS(slip->where));
    buf_fmt(&text, ": %.*s", STR_ARGS(slip->what));
    if (slip->again)
        buf_fmt(&text, "; %zu time%s more, the last at %.*s", slip->again, slip->again > 1 ? "s" : "",
                STR_ARGS(when_run_time(tally->arena, slip->last_ms)));
    if (last && tally->n_more)
        buf_fmt(&text, "; and %zu more violation%s of this rule", tally->n_more, tally->n_more > 1 ? "s" : "");
    return buf_str(&text);
}

void tally_done(struct tally *tally)
{
    for (size_t i = 0; i < tally->n_slips; i++) {
        const struct slip *slip = &tally->slips[i];
        struct finding finding = finding_of(tally, slip->clause, RESULT_FAIL);
        finding.level = slip->level;
        finding.party = slip->party;
        if (slip->why.n) finding.why = slip->why;
        finding.expected = slip->expected;
        finding.observed = observed_text(tally, slip, i + 1 == tally->n_slips);
        finding.hint = slip->hint;
        finding.seq = slip->event->seq;
        finding.t_ms = slip->event->t_ms;
        verdict_add(tally->findings, tally->arena, finding);
    }
    if (tally->n_slips || !tally->judged) return;
    struct finding finding = finding_of(tally, NULL, RESULT_PASS);
    finding.observed = str_fmt(tally->arena, "%zu looked at", tally->judged);
    verdict_add(tally->findings, tally->arena, finding);
}

/* --- reading --- */

struct str check_where(struct arena *arena, const struct exchange *exchange)
{
    struct url url;
    struct str path = url_parse(exchange->url, &url) == OK ? url.path : exchange->url;
    return str_fmt(arena, "%.*s %.*s", STR_ARGS(exchange->method), STR_ARGS(path));
}

bool check_answered(const struct exchange *exchange)
{
    return exchange->response && exchange->status > 0;
}

bool check_whole(const struct exchange *exchange)
{
    if (!check_answered(exchange)) return false;
    struct str delivery = event_text(exchange->response, F_DELIVERY);
    return !delivery.n || str_is(delivery, delivery_text(DELIVER_WHOLE)) ||
           str_is(delivery, delivery_text(DELIVER_SLOW));
}

bool check_good(const struct exchange *exchange)
{
    return exchange->status >= 200 && exchange->status < 300;
}

json_t *check_json(const struct exchange *exchange)
{
    struct str body = event_text(exchange->response, F_BODY);
    return json_read(body, JSON_DECODE_ANY | JSON_ALLOW_NUL);
}

struct str check_text(const json_t *value)
{
    return json_is_string(value) ? (struct str){json_string_value(value), json_string_length(value)} : (struct str){0};
}

bool check_faulted(const struct view *view, uint64_t flow)
{
    const struct history *history = view->history;
    for (size_t i = 0; flow && i < history->n; i++)
        if (history->at[i].kind == FAULT_APPLIED && history->at[i].flow == flow) return true;
    return false;
}

bool check_out_of_time(const struct event *event)
{
    return event->kind == WIRE_EXIT && !event_int(event, F_SUCCESS) &&
           str_is(event_text(event, F_TEXT), "ran past its time limit");
}

/* --- map --- */

static struct check_entry *map_slot(const struct check_map *map, struct str key)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < key.n; i++)
        hash = (hash ^ (unsigned char)key.at[i]) * UINT64_C(1099511628211);
    size_t mask = map->room - 1, i = (size_t)(hash ^ hash >> 32) & mask;
    while (map->at[i].used && !str_eq(map->at[i].key, key))
        i = (i + 1) & mask;
    return &map->at[i];
}

size_t *check_map_at(struct check_map *map, struct arena *arena, struct str key)
{
    if (map->n * 2 >= map->room) {
        struct check_map grown = {.n = map->n, .room = map->room ? map->room * 2 : 64};
        grown.at = ARENA_ARRAY(arena, struct check_entry, grown.room);
        for (size_t i = 0; i < map->room; i++)
            if (map->at[i].used) *map_slot(&grown, map->at[i].key) = map->at[i];
        *map = grown;
    }
    struct check_entry *entry = map_slot(map, key);
    if (!entry->used) {
        *entry = (struct check_entry){.key = key, .used = true};
        map->n++;
    }
    return &entry->value;
}

/* "https://ca.test:14000" */
static struct str host_of(struct str text)
{
    struct url url;
    if (url_parse(text, &url) != OK) return (struct str){0};
    ptrdiff_t colon = str_find(text, "://");
    size_t end = (size_t)colon + 3;
    while (end < text.n && text.at[end] != '/' && text.at[end] != '?' && text.at[end] != '#')
        end++;
    return (struct str){text.at, end};
}

struct check_map check_hosts(const struct view *view, struct arena *arena)
{
    struct check_map hosts = {0};
    for (size_t i = 0; i < view->n_exchanges; i++) {
        const struct exchange *exchange = &view->exchanges[i];
        if (exchange->resource == RESOURCE_UNKNOWN && !exchange->is_jws) continue;
        struct str host = host_of(exchange->url);
        if (host.n) *check_map_at(&hosts, arena, host) = 1;
    }
    return hosts;
}

bool check_is_acme(struct check_map *hosts, struct arena *arena, const struct exchange *exchange)
{
    if (exchange->resource != RESOURCE_UNKNOWN || exchange->is_jws) return true;
    struct str host = host_of(exchange->url);
    return host.n && *check_map_at(hosts, arena, host);
}
