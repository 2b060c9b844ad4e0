/* For tests of rules: histories made step by step, judged by one rule at a time. */
#ifndef ORACLE_CHECK_BENCH_TEST_H
#define ORACLE_CHECK_BENCH_TEST_H

#include "base/when.h"
#include "oracle/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CA     "https://ca.test"
#define ORDER  "\"finalize\":\"" CA "/order/1/finalize\",\"authorizations\":[\"" CA "/authz/1\"]}"
#define NONCE  "Replay-Nonce: "
#define PLACE  "Location: " CA "/order/1\n"
#define KID    "\"kid\":\"" CA "/account/1\""
#define READ   ""
#define WANTED "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.test\"}]}"

/* --- a judged history --- */

struct bench {
    struct history history;
    struct view view;
    struct arena arena;
    struct verdict_list findings; /* of the rule asked last */
    int64_t t_ms;
    uint64_t flow;
    bool judged;
};

static inline const struct check *find(const char *id)
{
    const struct check *check;
    for (size_t i = 0; (check = check_at(i)); i++)
        if (strcmp(check->id, id) == 0) return check;
    fail_msg("no rule %s", id);
    return NULL;
}

/* Runs one rule; the number of its fails. */
static inline size_t fails(struct bench *bench, const char *id)
{
    if (!bench->judged) view_read(&bench->view, &bench->history);
    bench->judged = true;
    bench->findings = (struct verdict_list){0};
    find(id)->fold(&bench->view, find(id), &bench->findings, &bench->arena);
    size_t n = 0, passes = 0;
    for (size_t i = 0; i < bench->findings.n; i++) {
        const struct finding *finding = &bench->findings.at[i];
        assert_true(finding->result == RESULT_FAIL || finding->result == RESULT_PASS);
        assert_string_equal(finding->name.at, str_fmt(&bench->arena, "rule %s", id).at);
        assert_true(!finding->clause.n || clause_find(finding->clause));
        assert_true(finding->claim.n > 0);
        if (finding->result == RESULT_PASS) {
            passes++;
            continue;
        }
        n++;
        assert_true(finding->seq > 0);
        assert_true(finding->expected.n > 0);
        assert_true(str_starts(finding->observed, when_run_time(&bench->arena, finding->t_ms).at));
    }
    assert_true(n <= CHECK_MAX_FINDINGS);
    assert_int_equal(passes, n == 0 && bench->findings.n ? 1 : 0);
    return n;
}

static inline const struct finding *first(const struct bench *bench)
{
    assert_true(bench->findings.n > 0);
    return &bench->findings.at[0];
}

static inline void done(struct bench *bench)
{
    if (bench->judged) view_done(&bench->view);
    history_done(&bench->history);
    arena_done(&bench->arena);
    free(bench);
}

/* --- a history in the making --- */

static inline void note(struct bench *bench, enum event_kind kind, uint64_t flow, const char *from, const char *to)
{
    history_note(&bench->history, kind, bench->t_ms, flow);
    if (from) event_add_text(&bench->history, F_FROM, str_c(from));
    if (to) event_add_text(&bench->history, F_TO, str_c(to));
}

static inline uint64_t ask(struct bench *bench, const char *method, const char *url, struct str body)
{
    note(bench, WIRE_REQUEST, ++bench->flow, "client", "ca");
    event_add_text(&bench->history, F_METHOD, str_c(method));
    event_add_text(&bench->history, F_URL, str_c(url));
    if (body.n) event_add_text(&bench->history, F_BODY, body);
    assert_int_equal(history_commit(&bench->history), OK);
    return bench->flow;
}

static inline uint64_t look(struct bench *bench, const char *method, const char *path)
{
    return ask(bench, method, str_fmt(&bench->arena, CA "%s", path).at, (struct str){0});
}

static inline uint64_t post_as(struct bench *bench, const char *url, const char *signed_url, const char *nonce,
                               const char *payload)
{
    struct arena *arena = &bench->arena;
    struct str head = str_fmt(arena, "{\"alg\":\"ES256\",\"nonce\":\"%s\",\"url\":\"%s\"," KID "}", nonce, signed_url);
    struct str body = str_fmt(arena, "{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"AAAA\"}",
                              base64url(arena, head).at, base64url(arena, str_c(payload)).at);
    return ask(bench, "POST", url, body);
}

static inline uint64_t post(struct bench *bench, const char *url, const char *nonce, const char *payload)
{
    return post_as(bench, url, url, nonce, payload);
}

static inline uint64_t want(struct bench *bench, const char *nonce)
{
    return post(bench, CA "/new-order", nonce, "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.test\"}]}");
}

static inline uint64_t poll_order(struct bench *bench, const char *nonce)
{
    return post(bench, CA "/order/1", nonce, READ);
}

/* headers: lines "Name: value". */
static inline void reply_open(struct bench *bench, uint64_t flow, int status, const char *headers, const char *body)
{
    struct headers list;
    struct str line, rest = str_c(headers);
    list.n = 0;
    while (rest.n) {
        struct str name, value;
        str_cut(rest, '\n', &line, &rest);
        if (str_cut(line, ':', &name, &value)) headers_add(&list, name, str_trim(value));
    }
    bench->t_ms += 100;
    note(bench, WIRE_RESPONSE, flow, "ca", "client");
    event_add_int(&bench->history, F_STATUS, status);
    event_add_headers(&bench->history, &list);
    if (*body) event_add_text(&bench->history, F_BODY, str_c(body));
}

static inline void reply(struct bench *bench, uint64_t flow, int status, const char *headers, const char *body)
{
    reply_open(bench, flow, status, headers, body);
    assert_int_equal(history_commit(&bench->history), OK);
}

static inline void problem(struct bench *bench, uint64_t flow, int status, const char *headers, const char *type)
{
    struct arena *arena = &bench->arena;
    struct str list = str_fmt(arena, "Content-Type: application/problem+json\n%s", headers);
    reply(bench, flow, status, list.at, str_fmt(arena, "{\"type\":\"%s\"}", type).at);
}

static inline void bad_nonce(struct bench *bench, uint64_t flow, const char *nonce)
{
    problem(bench, flow, 400, str_fmt(&bench->arena, NONCE "%s", nonce).at, PROBLEM_PREFIX "badNonce");
}

static inline struct bench *begin(const char *mode)
{
    struct bench *bench = calloc(1, sizeof *bench);
    note(bench, RUN_START, 0, NULL, NULL);
    event_add_text(&bench->history, F_MODE, str_c(mode));
    event_add_int(&bench->history, F_SPEED, 1);
    history_commit(&bench->history);
    reply(bench, look(bench, "GET", "/dir"), 200, "",
          "{\"newNonce\":\"" CA "/new-nonce\",\"newAccount\":\"" CA "/new-account\",\"newOrder\":\"" CA
          "/new-order\"}");
    return bench;
}

static inline void show_order(struct bench *bench, uint64_t flow, const char *nonce, const char *status)
{
    struct arena *arena = &bench->arena;
    reply(bench, flow, 201, str_fmt(arena, PLACE NONCE "%s", nonce).at,
          str_fmt(arena, "{\"status\":\"%s\"," ORDER, status).at);
}

static inline struct bench *begin_order(const char *mode, const char *status)
{
    struct bench *bench = begin(mode);
    show_order(bench, want(bench, "n0"), "n1", status);
    return bench;
}

static inline void end(struct bench *bench, const char *text)
{
    note(bench, RUN_END, 0, NULL, NULL);
    event_add_text(&bench->history, F_TEXT, str_c(text));
    history_commit(&bench->history);
}

static inline void client_exit(struct bench *bench, const char *text)
{
    note(bench, WIRE_EXIT, 0, "client", "");
    event_add_int(&bench->history, F_SUCCESS, false);
    event_add_text(&bench->history, F_TEXT, str_c(text));
    history_commit(&bench->history);
}

static inline void has(struct str text, const char *part)
{
    if (str_find(text, part) < 0) fail_msg("\"%.*s\" does not say \"%s\"", STR_ARGS(text), part);
}

/* One fail, of this level, that says this; and an end of the bench. */
static inline void one(struct bench *bench, const char *id, enum level level, const char *observed)
{
    size_t n = fails(bench, id);
    if (n != 1) fail_msg("%zu fails of %s, not one that says \"%s\"", n, id, observed);
    assert_int_equal(first(bench)->level, level);
    has(first(bench)->observed, observed);
    done(bench);
}

static inline void passes(struct bench *bench, const char *id)
{
    if (fails(bench, id)) fail_msg("%s fails: %s", id, first(bench)->observed.at);
    assert_int_equal(first(bench)->result, RESULT_PASS);
    done(bench);
}

#endif
