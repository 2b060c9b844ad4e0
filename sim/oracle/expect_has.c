/* What a message carries: the members of an `each ... has`. */
#include "acme/json.h"
#include "base/when.h"
#include "oracle/expect.h"

#include <jansson.h>
#include <string.h>

/* A message taken apart as far as one `has` needs it. */
struct parcel {
    const struct exchange *exchange;
    bool is_reply;
    bool is_part; /* a challenge within the reply that shows its authorization: it has no header of its own */
    const struct headers *headers;
    json_t *root; /* reply body, or the payload of the request's JWS; NULL: no JSON object */
    bool has_error;
    struct problem error;
};

static json_t *load_object(struct str text)
{
    json_t *root = json_read(text, 0);
    if (json_is_object(root)) return root;
    json_decref(root);
    return NULL;
}

static struct str dump(struct arena *arena, const json_t *value)
{
    if (json_is_string(value))
        return str_copy(arena, (struct str){json_string_value(value), json_string_length(value)});
    size_t n = json_dumpb(value, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY);
    char *at = arena_alloc(arena, n + 1);
    json_dumpb(value, at, n, JSON_COMPACT | JSON_ENCODE_ANY);
    return (struct str){at, n};
}

/* The error of the object shown, of the first challenge that has one, or the reply itself. */
static void find_error(struct arena *arena, const struct fact *fact, struct parcel *parcel)
{
    const json_t *error = json_object_get(parcel->root, "error"), *challenge;
    size_t i;
    if (fact->deed == DEED_REPORTS_ERROR || fact->deed == DEED_FINDS_NO_ACCOUNT) error = parcel->root;
    if (fact->deed == DEED_REPORTS_AUTHZ)
        json_array_foreach(json_object_get(parcel->root, "challenges"), i, challenge) if (!error) error =
            json_object_get(challenge, "error");
    if (!json_is_object(error)) return;
    parcel->has_error = problem_read(arena, dump(arena, error), &parcel->error) == OK;
}

/* In place of the authorization that it is part of. */
static void take_challenge(struct parcel *parcel, const struct thing *thing)
{
    json_t *authz = parcel->root, *challenge, *found = NULL;
    size_t i;
    json_array_foreach(json_object_get(authz, "challenges"), i,
                       challenge) if (str_eq(thing->url, str_c(json_string_value(json_object_get(challenge, "url")))))
        found = challenge;
    parcel->root = json_incref(found);
    json_decref(authz);
}

static void open_parcel(struct arena *arena, const struct fact *fact, struct parcel *ret)
{
    const struct exchange *exchange = fact->exchange;
    *ret = (struct parcel){.exchange = exchange, .is_reply = fact->deed >= DEED_REPORTS_CHALLENGE};
    ret->is_part = fact->deed == DEED_REPORTS_CHALLENGE &&
                   (exchange->resource == RESOURCE_AUTHZ || exchange->resource == RESOURCE_NEW_AUTHZ);
    const struct event *event = ret->is_reply ? exchange->response : exchange->request;
    ret->headers = event_headers(event);
    ret->root = load_object(ret->is_reply ? event_text(event, F_BODY) : exchange->payload);
    if (ret->is_part) take_challenge(ret, fact->thing);
    if (ret->is_reply) find_error(arena, fact, ret);
}

static bool compare_number(const struct has *has, int64_t number)
{
    if (has->comparison == COMPARE_AT_LEAST) return number >= has->number;
    if (has->comparison == COMPARE_AT_MOST) return number <= has->number;
    for (size_t i = 0; i < has->n_values; i++) {
        int64_t wanted;
        if (str_int(has->values[i], &wanted) && wanted == number) return true;
    }
    return false;
}

static bool compare_text(const struct has *has, bool present, struct str text)
{
    int64_t number;
    if (has->comparison == COMPARE_PRESENT) return present;
    if (has->comparison == COMPARE_ABSENT) return !present;
    if (!present) return false;
    if (has->comparison != COMPARE_IS) return str_int(text, &number) && compare_number(has, number);
    for (size_t i = 0; i < has->n_values; i++)
        if (str_eq(has->values[i], text)) return true;
    return false;
}

static bool compare_type(const struct has *has, const struct parcel *parcel)
{
    struct has shortened = *has;
    for (size_t i = 0; i < has->n_values; i++)
        if (str_starts(has->values[i], PROBLEM_PREFIX))
            shortened.values[i] = (struct str){has->values[i].at + sizeof PROBLEM_PREFIX - 1,
                                               has->values[i].n - (sizeof PROBLEM_PREFIX - 1)};
    return compare_text(&shortened, parcel->has_error && parcel->error.type.n, parcel->error.type);
}

/* A wait that the harness made shorter by --speed; Retry-After never goes below a second. */
static int64_t quickened(const struct court *court, int64_t ms)
{
    int64_t speed = court->options->speed;
    if (court->options->mode != MODE_CLIENT || speed <= 1 || ms <= 1000) return ms;
    return ms / speed < 1000 ? 1000 : ms / speed;
}

static bool compare_wait(const struct court *court, const struct has *has, const struct parcel *parcel,
                         struct str *ret_got)
{
    const struct exchange *exchange = parcel->exchange;
    /* A date has whole seconds: what it says is up to one short. */
    int64_t slack_ms = exchange->retry_after_is_date ? 1000 : 0;
    int64_t rounded_ms = court->options->speed > 1 ? 999 : 0; /* a shortened wait is rounded up to seconds */
    *ret_got = !exchange->has_retry_after     ? STR("no Retry-After")
               : !exchange->retry_after_legal ? str_fmt(court->arena, "\"%.*s\", which is neither seconds nor a date",
                                                        STR_ARGS(headers_get(parcel->headers, "Retry-After")))
                                              : headers_get(parcel->headers, "Retry-After");
    if (has->comparison == COMPARE_ABSENT) return !exchange->has_retry_after;
    if (!exchange->has_retry_after || !exchange->retry_after_legal) return false;
    int64_t wait_ms = exchange->retry_after_ms - exchange->response->t_ms;
    if (has->comparison == COMPARE_AT_LEAST) return wait_ms >= quickened(court, has->number) - slack_ms;
    if (has->comparison == COMPARE_AT_MOST) return wait_ms <= has->number;
    for (size_t i = 0; i < has->n_values; i++) {
        int64_t wanted_ms;
        if (when_duration(has->values[i], &wanted_ms)) continue;
        wanted_ms = quickened(court, wanted_ms);
        if (wait_ms <= wanted_ms + rounded_ms && wait_ms >= wanted_ms - slack_ms) return true;
    }
    return has->comparison == COMPARE_PRESENT;
}

static bool compare_status(struct arena *arena, const struct has *has, const struct parcel *parcel, struct str *ret_got)
{
    const json_t *status = json_object_get(parcel->root, "status");
    bool is_word = json_is_string(status);
    struct str word = is_word ? dump(arena, status) : (struct str){0};
    *ret_got = is_word ? str_fmt(arena, "%d %.*s", parcel->exchange->status, STR_ARGS(word))
                       : str_fmt(arena, "%d", parcel->exchange->status);
    if (has->comparison != COMPARE_IS) return compare_number(has, parcel->exchange->status);
    for (size_t i = 0; i < has->n_values; i++)
        if (is_word && str_eq(has->values[i], word)) return true;
    return compare_number(has, parcel->exchange->status);
}

/* body.a.b, body.challenges.0.url */
static const json_t *follow(const json_t *root, struct str path)
{
    struct str head;
    const json_t *value = root;
    while (value && path.n) {
        int64_t i;
        str_cut(path, '.', &head, &path);
        if (json_is_array(value)) {
            value = str_int(head, &i) ? json_array_get(value, (size_t)i) : NULL;
            continue;
        }
        const char *key;
        json_t *member, *found = NULL;
        json_object_foreach((json_t *)value, key, member) if (str_is(head, key)) found = member;
        value = found;
    }
    return value;
}

static bool compare_body(struct arena *arena, const struct has *has, const struct parcel *parcel, struct str *ret_got)
{
    const json_t *value = follow(parcel->root, (struct str){has->key.at + 5, has->key.n - 5});
    struct str text = value ? dump(arena, value) : (struct str){0};
    *ret_got = value ? text : STR("absent");
    return compare_text(has, value && !json_is_null(value), text);
}

static bool compare_error(struct arena *arena, const struct has *has, const struct parcel *parcel, struct str *ret_got)
{
    const struct problem *error = &parcel->error;
    size_t entries = !parcel->has_error ? 0 : error->n_subproblems ? error->n_subproblems : 1;
    if (str_is(has->key, "errors")) {
        *ret_got = str_fmt(arena, "%zu", entries);
        if (has->comparison == COMPARE_PRESENT) return entries > 0;
        if (has->comparison == COMPARE_ABSENT) return entries == 0;
        return compare_number(has, (int64_t)entries);
    }
    *ret_got = !parcel->has_error ? STR("no error")
                                  : str_fmt(arena, "%.*s: %.*s", STR_ARGS(error->type), STR_ARGS(error->detail));
    if (str_is(has->key, "error")) return compare_text(has, parcel->has_error, error->type);
    if (str_is(has->key, "error.type")) return compare_type(has, parcel);
    if (str_is(has->key, "error.detail")) return compare_text(has, parcel->has_error && error->detail.n, error->detail);
    if (has->comparison == COMPARE_PRESENT) return error->status != 0;
    if (has->comparison == COMPARE_ABSENT) return error->status == 0;
    return compare_number(has, error->status);
}

bool has_holds(const struct court *court, const struct fact *fact, const struct has *has, struct str *ret_got)
{
    struct parcel parcel;
    bool holds;
    if (!fact->exchange) {
        *ret_got = STR("no message");
        return false;
    }
    open_parcel(court->arena, fact, &parcel);
    if (parcel.is_part && (str_is(has->key, "retry-after") || str_starts(has->key, "header."))) {
        holds = true;
    } else if (str_is(has->key, "retry-after")) {
        holds = compare_wait(court, has, &parcel, ret_got);
    } else if (str_is(has->key, "status")) {
        holds = compare_status(court->arena, has, &parcel, ret_got);
    } else if (str_starts(has->key, "header.")) {
        struct str value = headers_get(parcel.headers, has->key.at + 7);
        *ret_got = value.at ? value : STR("absent");
        holds = compare_text(has, value.at != NULL, value);
    } else if (str_starts(has->key, "body.")) {
        holds = compare_body(court->arena, has, &parcel, ret_got);
    } else {
        holds = compare_error(court->arena, has, &parcel, ret_got);
    }
    json_decref(parcel.root);
    return holds;
}
