/* A profile of what a probe has seen: conformance/profile.schema.json. */
#include "oracle/probe.h"

#include "base/when.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_SEEN = -1, MAX_TITLE = 200, MAX_NOTE = 4000 };

struct sheet {
    struct arena *arena;
    json_t *root;
    struct buf missing; /* what was not seen, for the note */
};

static json_t *text_of(struct str text)
{
    json_t *value = json_stringn(text.at ? text.at : "", text.n);
    return value ? value : json_string("(not UTF-8)");
}

static void set_text(struct sheet *sheet, const char *key, struct str text)
{
    json_object_set_new(sheet->root, key, text_of(text));
}

static void miss(struct sheet *sheet, const char *key)
{
    if (sheet->missing.n) buf_add_c(&sheet->missing, ", ");
    buf_add_c(&sheet->missing, key);
}

static void set_word(struct sheet *sheet, const char *key, const char *word)
{
    if (word) set_text(sheet, key, str_c(word));
    else miss(sheet, key);
}

static void set_flag(struct sheet *sheet, const char *key, int flag)
{
    if (flag == NOT_SEEN) miss(sheet, key);
    else json_object_set_new(sheet->root, key, json_boolean(flag));
}

/* Below 0: not seen. `none`: the word for 0. */
static void set_time(struct sheet *sheet, const char *key, int64_t ms, const char *none)
{
    if (ms < 0) miss(sheet, key);
    else if (ms == 0 && none) set_text(sheet, key, str_c(none));
    else set_text(sheet, key, when_duration_text(sheet->arena, ms));
}

/* --- outcomes --- */

static const char *then_of(const struct probe_measure *m, const struct temperament *t)
{
    if (m->own > 1) return "retry";
    if (m->challenge == STATUS_INVALID) return "final";
    return t->retries ? "retry" : "stays";
}

static struct str type_of(struct arena *arena, struct str type)
{
    if (problem_registered(type) || str_find(type, ":") >= 0) return type;
    return str_fmt(arena, PROBLEM_PREFIX "%.*s", STR_ARGS(type));
}

static json_t *outcome_of(struct sheet *sheet, const struct probe_measure *m, const struct temperament *t)
{
    json_t *outcome = json_object();
    const char *then = then_of(m, t);
    if (m->error.type.n) json_object_set_new(outcome, "type", text_of(type_of(sheet->arena, m->error.type)));
    if (m->error.status >= 400 && m->error.status <= 599)
        json_object_set_new(outcome, "status", json_integer(m->error.status));
    json_object_set_new(outcome, "detail", text_of(m->pattern));
    json_object_set_new(outcome, "then", json_string(then));
    if (strcmp(then, "retry") == 0) json_object_set_new(outcome, "transient", json_true());
    return outcome;
}

static void set_outcomes(struct sheet *sheet, const struct probing *probe, const struct temperament *t)
{
    json_t *outcomes = json_object();
    const struct probe_measure *usual = probe_find(probe, CHALLENGE_HTTP_01, "404");
    if (usual && !usual->gap.n && usual->has_error)
        json_object_set_new(outcomes, "any", json_pack("{s:s}", "then", then_of(usual, t)));
    for (size_t i = 0; i < probe->n_rows; i++) {
        const struct probe_measure *m = &probe->rows[i];
        if (m->row->kind != PROBE_BAD || m->gap.n || !m->has_error || json_object_get(outcomes, m->row->failure))
            continue;
        json_object_set_new(outcomes, m->row->failure, outcome_of(sheet, m, t));
    }
    if (json_object_size(outcomes)) json_object_set(sheet->root, "outcomes", outcomes);
    else miss(sheet, "outcomes");
    json_decref(outcomes);
}

/* --- the rest --- */

static void set_challenges(struct sheet *sheet, const struct temperament *t)
{
    json_t *types = json_array();
    for (int type = 0; type < CHALLENGE_TYPE_COUNT; type++)
        if (t->offers[type]) json_array_append_new(types, json_string(challenge_row((enum challenge_type)type)->name));
    if (json_array_size(types)) json_object_set(sheet->root, "challenges", types);
    json_decref(types);
}

static void set_retry(struct sheet *sheet, const struct temperament *t)
{
    set_text(sheet, "retry", retry_schedule_text(sheet->arena, &t->retry));
    if (t->retries) {
        set_text(sheet, "retry_on", STR("any")); /* which are repeated is said by the outcomes */
        set_flag(sheet, "gives_up", t->gives_up);
    }
    set_word(sheet, "errors", t->errors);
    set_word(sheet, "client_retry", t->client_retry);
    set_time(sheet, "client_retry_every", t->client_retry_every_ms, "none");
}

static void set_waits(struct sheet *sheet, const struct temperament *t)
{
    static const char *const forms[] = {"none", "seconds", "date", "rfc3339"};
    set_word(sheet, "retry_after", t->wait_seen ? forms[t->wait_form] : NULL);
    if (t->wait_challenge_ms == -1) set_text(sheet, "retry_after_challenge", STR("next"));
    else set_time(sheet, "retry_after_challenge", t->wait_challenge_ms, "none");
    set_time(sheet, "retry_after_authz", t->wait_authz_ms, "none");
    set_time(sheet, "retry_after_order", t->wait_order_ms, "none");
    set_flag(sheet, "retry_after_before_failure", t->before_failure);
}

/* A challenge that is never `processing` goes from pending to its end. */
static void set_transitions(struct sheet *sheet, const struct temperament *t)
{
    if (t->processing != 0) return;
    json_object_set_new(sheet->root, "transitions",
                        json_pack("{s:{s:s,s:s,s:s,s:s,s:s}}", "challenge", "pending response", "pending",
                                  "pending query-failed", "pending", "pending retry-asked", "pending",
                                  "pending query-ok", "valid", "pending gave-up", "invalid"));
}

static void set_note(struct sheet *sheet, const struct probing *probe, const struct temperament *t)
{
    struct buf note = {.arena = sheet->arena};
    struct str limit = when_duration_text(sheet->arena, probe->limits.limit_ms);
    buf_fmt(&note, "Written by `acmedrill probe`, which watched each case for %.*s.", STR_ARGS(limit));
    if (t->retries && !t->retry_complete)
        buf_fmt(&note, " It may try more often than %d times: the end of its retries was not seen.", t->retry.count);
    if (t->delay_open) buf_add_c(&note, " No query came in that time: query_delay is longer than is said here.");
    if (sheet->missing.n)
        buf_fmt(&note, " Not seen, and left as in " PROFILE_DEFAULT ": %.*s.", STR_ARGS(buf_str(&sheet->missing)));
    struct str text = buf_str(&note);
    if (text.n > MAX_NOTE) text.n = MAX_NOTE;
    set_text(sheet, "note", text);
}

struct str probe_profile(struct arena *arena, const struct probing *probe)
{
    struct sheet sheet = {.arena = arena, .root = json_object(), .missing = {.arena = arena}};
    struct temperament t;
    temperament_read(probe, &t);
    struct str title = str_fmt(arena, "%.*s, as a probe found it", STR_ARGS(probe->target));
    if (title.n > MAX_TITLE) title.n = MAX_TITLE;
    set_text(&sheet, "title", title);
    set_text(&sheet, "note", STR("")); /* keeps its place */
    set_challenges(&sheet, &t);
    set_retry(&sheet, &t);
    set_flag(&sheet, "read_queries", t.read_queries);
    set_flag(&sheet, "validates_inside_post", t.inside_post);
    /* Longer than it was watched: by how much nobody knows. */
    set_time(&sheet, "query_delay", t.delay_open ? t.query_delay_ms * 2 : t.query_delay_ms, NULL);
    set_time(&sheet, "query_timeout", t.query_limit_ms > 0 ? t.query_limit_ms : NOT_SEEN, NULL);
    if (t.fetches > 0 && t.fetches <= 8) json_object_set_new(sheet.root, "probes_per_query", json_integer(t.fetches));
    if (t.redirects == 0) json_object_set_new(sheet.root, "max_redirects", json_integer(0));
    set_waits(&sheet, &t);
    set_time(&sheet, "issue_delay", t.issue_delay_ms, NULL);
    set_flag(&sheet, "order_shows_error", t.order_error);
    set_flag(&sheet, "invalid_authz_shows_only_tried", t.only_tried);
    set_word(&sheet, "failed_challenge", t.failed_challenge);
    set_transitions(&sheet, &t);
    set_outcomes(&sheet, probe, &t);
    set_note(&sheet, probe, &t);
    char *dumped = json_dumps(sheet.root, JSON_INDENT(2));
    struct str text = str_fmt(arena, "%s\n", dumped ? dumped : "{}");
    free(dumped);
    json_decref(sheet.root);
    return text;
}
