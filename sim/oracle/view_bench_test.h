/* For tests of the view and of assertions: whole exchanges in one line, on top of the bench of the rules. In the texts
 * given here ' stands for ". */
#ifndef ORACLE_VIEW_BENCH_TEST_H
#define ORACLE_VIEW_BENCH_TEST_H

#include "oracle/check_bench_test.h"

#define CHALLENGE_URL(n) CA "/challenge/" n
#define CHALLENGE_DOC(n, type, token, status, more)                                                                    \
    "{'type':'" type "','url':'" CHALLENGE_URL(n) "','token':'" token "','status':'" status "'" more "}"
#define HTTP(status, more) CHALLENGE_DOC("1", "http-01", "t", status, more)
#define AUTHZ_DOC(status, challenges)                                                                                  \
    "{'status':'" status "','identifier':{'type':'dns','value':'a.example.test'},'challenges':[" challenges "]}"
#define ORDER_OF(n, status, more)                                                                                      \
    "{'status':'" status "','identifiers':[{'type':'dns','value':'a.example.test'}],'finalize':'" CA "/order/" n       \
    "/finalize','authorizations':['" CA "/authz/" n "']" more "}"
#define ORDER_DOC(status) ORDER_OF("1", status, "")
#define ISSUED_DOC        ORDER_OF("1", "valid", ",'certificate':'" CA "/certificate/1'")
#define ERROR(type, detail, more)                                                                                      \
    ",'error':{'type':'urn:ietf:params:acme:error:" type "','detail':'" detail "'" more "}"

static inline const char *quoted(struct bench *bench, const char *text)
{
    struct str copy = str_copy(&bench->arena, str_c(text));
    char *at = arena_copy(&bench->arena, text, copy.n);
    for (size_t i = 0; i < copy.n; i++)
        if (at[i] == '\'') at[i] = '"';
    return at;
}

/* A request of the client's, with a fresh nonce. */
static inline uint64_t send_post(struct bench *bench, const char *path, const char *payload)
{
    struct arena *arena = &bench->arena;
    const char *nonce = str_fmt(arena, "n%llu", (unsigned long long)bench->flow).at;
    return post(bench, str_fmt(arena, CA "%s", path).at, nonce, quoted(bench, payload));
}

/* A request at this time and, 100 ms later, its reply. */
static inline void go_at(struct bench *bench, int64_t t_ms, const char *path, const char *payload, int status,
                         const char *headers, const char *body)
{
    if (t_ms >= 0) bench->t_ms = t_ms;
    reply(bench, send_post(bench, path, payload), status, headers, quoted(bench, body));
}

static inline void go(struct bench *bench, const char *path, const char *payload, int status, const char *headers,
                      const char *body)
{
    go_at(bench, -1, path, payload, status, headers, body);
}

static inline void go_order(struct bench *bench)
{
    go(bench, "/new-order", "{}", 201, PLACE, ORDER_DOC("pending"));
}

/* Up to a client that has read an authorization with these challenges. */
static inline struct bench *begin_authz(const char *mode, const char *authz)
{
    struct bench *bench = begin(mode);
    go_order(bench);
    go(bench, "/authz/1", READ, 200, "", authz);
    return bench;
}

/* One probe of our own validator; its verdict if ok >= 0. */
static inline void probe(struct bench *bench, const char *type, const char *token, int64_t attempt, int ok)
{
    uint64_t flow = ++bench->flow;
    note(bench, WIRE_PROBE, flow, "ca", "validator");
    event_add_text(&bench->history, F_TYPE, str_c(type));
    event_add_text(&bench->history, F_TOKEN, str_c(token));
    event_add_text(&bench->history, F_NAME, STR("a.example.test"));
    event_add_int(&bench->history, F_ATTEMPT, attempt);
    assert_int_equal(history_commit(&bench->history), OK);
    if (ok < 0) return;
    note(bench, WIRE_VERDICT, flow, "validator", "ca");
    event_add_int(&bench->history, F_OK, ok);
    assert_int_equal(history_commit(&bench->history), OK);
}

/* A foreign validator's fetch of an http-01 proof. */
static inline void fetch(struct bench *bench, const char *token)
{
    note(bench, WIRE_REQUEST, ++bench->flow, "validator", "responder");
    event_add_text(&bench->history, F_METHOD, STR("GET"));
    event_add_text(&bench->history, F_URL,
                   str_fmt(&bench->arena, "http://a.example.test/.well-known/acme-challenge/%s", token));
    assert_int_equal(history_commit(&bench->history), OK);
}

static inline const struct view *seen(struct bench *bench)
{
    if (!bench->judged) view_read(&bench->view, &bench->history);
    bench->judged = true;
    return &bench->view;
}

static inline struct phrase phrase_of(struct bench *bench, struct str text)
{
    struct phrase phrase;
    struct str why = {0};
    if (phrase_read(&bench->arena, text, &phrase, &why)) fail_msg("%.*s", STR_ARGS(why));
    return phrase;
}

#endif
