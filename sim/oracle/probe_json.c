/* A probe for machines. */
#include "oracle/probe.h"

#include <jansson.h>
#include <stdlib.h>

static json_t *text_of(struct str text)
{
    json_t *value = json_stringn(text.at ? text.at : "", text.n);
    return value ? value : json_string("(not UTF-8)");
}

static json_t *status_of(enum status status)
{
    return status == STATUS_NONE ? json_null() : json_string(status_text(status));
}

static json_t *reply_of(const struct probe_reply *reply)
{
    if (!reply->sent) return json_null();
    json_t *value = json_object();
    json_object_set_new(value, "t", json_integer(reply->t_ms));
    json_object_set_new(value, "status", json_integer(reply->status));
    json_object_set_new(value, "problem", reply->type.n ? text_of(reply->type) : json_null());
    json_object_set_new(value, "challenge", status_of(reply->shows));
    json_object_set_new(value, "queries", json_integer(reply->queries));
    if (reply->wait_ms) json_object_set_new(value, "retry_after_ms", json_integer(reply->wait_ms));
    return value;
}

static json_t *wait_of(const struct probe_wait *wait)
{
    static const char *const forms[] = {"none", "seconds", "date", "odd"};
    if (!wait->form) return json_null();
    json_t *value = json_object();
    json_object_set_new(value, "form", json_string(forms[wait->form]));
    json_object_set_new(value, "text", text_of(wait->text));
    json_object_set_new(value, "t", json_integer(wait->t_ms));
    if (wait->form != PROBE_WAIT_ODD) json_object_set_new(value, "until", json_integer(wait->until_ms));
    return value;
}

static json_t *queries_of(const struct probe_measure *m)
{
    static const char *const causes[] = {"response", "look", "server"};
    json_t *list = json_array();
    for (size_t k = 0; k < m->n_queries; k++) {
        json_t *query = json_object();
        json_object_set_new(query, "t", json_integer(m->queries[k].t_ms));
        json_object_set_new(query, "fetches", json_integer(m->queries[k].fetches));
        json_object_set_new(query, "cause", json_string(causes[m->queries[k].cause]));
        json_array_append_new(list, query);
    }
    return list;
}

static json_t *statuses_of(const struct probe_measure *m)
{
    json_t *list = json_array();
    for (size_t i = 0; i < m->n_shown; i++) {
        json_t *shown = json_object();
        json_object_set_new(shown, "t", json_integer(m->shown[i].t_ms));
        json_object_set_new(shown, "object", json_string(object_text(m->shown[i].object)));
        json_object_set_new(shown, "status", status_of(m->shown[i].status));
        json_array_append_new(list, shown);
    }
    return list;
}

static json_t *error_of(const struct probe_measure *m)
{
    if (!m->has_error) return json_null();
    json_t *error = json_object();
    json_object_set_new(error, "type", text_of(m->error.type));
    json_object_set_new(error, "status", m->error.status ? json_integer(m->error.status) : json_null());
    json_object_set_new(error, "detail", text_of(m->error.detail));
    json_object_set_new(error, "pattern", text_of(m->pattern));
    json_object_set_new(error, "while_open", json_boolean(m->error_open));
    json_object_set_new(error, "subproblems", json_integer((json_int_t)m->error.n_subproblems));
    return error;
}

static json_t *row_of(struct arena *arena, const struct probe_measure *m)
{
    json_t *row = json_object(), *waits, *again = json_array();
    json_object_set_new(row, "row", text_of(probe_row_name(arena, m->row)));
    json_object_set_new(row, "type", json_string(challenge_row(m->row->type)->name));
    json_object_set_new(row, "not_measured", m->gap.n ? text_of(m->gap) : json_null());
    json_object_set_new(row, "watched_ms", json_integer(m->watched_ms));
    json_object_set_new(row, "queries", queries_of(m));
    json_object_set_new(row, "own_queries", json_integer(m->own));
    json_object_set_new(row, "statuses", statuses_of(m));
    json_object_set_new(row, "challenge", status_of(m->challenge));
    json_object_set_new(row, "authz", status_of(m->authz));
    json_object_set_new(row, "order", status_of(m->order));
    json_object_set_new(row, "error", error_of(m));
    waits = json_object();
    json_object_set_new(waits, "challenge_before", wait_of(&m->wait_before));
    json_object_set_new(waits, "challenge_after", wait_of(&m->wait_after));
    json_object_set_new(waits, "authz", wait_of(&m->wait_authz));
    json_object_set_new(waits, "order", wait_of(&m->wait_order));
    json_object_set_new(row, "retry_after", waits);
    for (size_t i = 0; i < PROBE_MAX_AGAIN && m->again[i].sent; i++)
        json_array_append_new(again, reply_of(&m->again[i]));
    json_object_set_new(row, "again", again);
    json_object_set_new(row, "another", reply_of(&m->other));
    json_object_set_new(row, "silent_after_another", json_boolean(m->silent));
    json_object_set_new(row, "another_challenge", status_of(m->other_status));
    json_object_set_new(row, "authz_after", status_of(m->authz_after));
    json_object_set_new(row, "order_after", status_of(m->order_after));
    return row;
}

static json_t *features_of(struct arena *arena, const struct probing *probe)
{
    struct probe_features *features = ARENA_NEW(arena, struct probe_features);
    json_t *object = json_object();
    probe_features(arena, probe, features);
    for (size_t i = 0; i < features->n; i++) {
        const struct probe_feature *feature = &features->at[i];
        json_object_set_new(object, feature->name.at, feature->value.n ? text_of(feature->value) : json_null());
    }
    return object;
}

static json_t *resembles_of(const struct probe_likeness *likenesses, size_t n)
{
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *likeness = json_object(), *differs = json_array();
        json_object_set_new(likeness, "profile", text_of(likenesses[i].name));
        json_object_set_new(likeness, "same", json_integer((json_int_t)likenesses[i].same));
        json_object_set_new(likeness, "seen", json_integer((json_int_t)likenesses[i].seen));
        for (size_t k = 0; k < likenesses[i].n_differs; k++)
            json_array_append_new(differs, text_of(likenesses[i].differs[k]));
        json_object_set_new(likeness, "differs", differs);
        json_array_append_new(list, likeness);
    }
    return list;
}

struct str probe_json(struct arena *arena, const struct probing *probe, const struct probe_likeness *likenesses,
                      size_t n)
{
    json_t *root = json_object(), *rows = json_array();
    json_object_set_new(root, "acmedrill", json_string(ACMEDRILL_VERSION));
    json_object_set_new(root, "target", text_of(probe->target));
    json_object_set_new(root, "simulated", json_boolean(probe->simulated));
    json_object_set_new(root, "limit_ms", json_integer(probe->limits.limit_ms));
    for (size_t i = 0; i < probe->n_rows; i++)
        json_array_append_new(rows, row_of(arena, &probe->rows[i]));
    json_object_set_new(root, "rows", rows);
    json_object_set_new(root, "features", features_of(arena, probe));
    json_object_set_new(root, "resembles", resembles_of(likenesses, n));
    char *dumped = json_dumps(root, JSON_INDENT(2));
    struct str text = str_fmt(arena, "%s\n", dumped ? dumped : "{}");
    free(dumped);
    json_decref(root);
    return text;
}
