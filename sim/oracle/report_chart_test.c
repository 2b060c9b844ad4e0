#include "base/when.h"
#include "oracle/report_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* --- a run, told in a few words --------------------------------------------------------------------------------------
 */

#define AT "https://ca.test"

struct run {
    struct arena arena;
    struct history history;
    struct view view;
    uint64_t flow;
};

static void note(struct run *run, enum event_kind kind, int64_t t_ms, uint64_t flow, const char *from, const char *to)
{
    history_note(&run->history, kind, t_ms, flow);
    if (from) event_add_text(&run->history, F_FROM, str_c(from));
    if (to) event_add_text(&run->history, F_TO, str_c(to));
}

static uint64_t commit(struct run *run)
{
    assert_int_equal(history_commit(&run->history), OK);
    return run->history.last_seq;
}

static struct run run_new(enum mode mode, int64_t speed)
{
    struct run run = {0};
    note(&run, RUN_START, 0, 0, NULL, NULL);
    event_add_int(&run.history, F_VERSION, HISTORY_VERSION);
    event_add_text(&run.history, F_MODE, str_c(mode_text(mode)));
    event_add_text(&run.history, F_SCENARIO, STR("order/x"));
    event_add_int(&run.history, F_SPEED, speed);
    event_add_int(&run.history, F_EPOCH_MS, 0);
    commit(&run);
    return run;
}

static void run_done(struct run *run)
{
    view_done(&run->view);
    history_done(&run->history);
    arena_done(&run->arena);
}

/* payload NULL: a plain GET. */
static uint64_t ask(struct run *run, int64_t t_ms, const char *url, const char *payload)
{
    note(run, WIRE_REQUEST, t_ms, ++run->flow, "client", "ca");
    event_add_text(&run->history, F_METHOD, payload ? STR("POST") : STR("GET"));
    event_add_text(&run->history, F_URL, str_c(url));
    if (payload) {
        struct str header =
            str_fmt(&run->arena, "{\"alg\":\"ES256\",\"nonce\":\"n%llu\",\"url\":\"%s\",\"kid\":\"" AT "/acct/1\"}",
                    (unsigned long long)run->flow, url);
        event_add_text(&run->history, F_BODY,
                       str_fmt(&run->arena, "{\"protected\":\"%.*s\",\"payload\":\"%.*s\",\"signature\":\"\"}",
                               STR_ARGS(base64url(&run->arena, header)),
                               STR_ARGS(base64url(&run->arena, str_c(payload)))));
    }
    return commit(run);
}

static uint64_t tell(struct run *run, int64_t t_ms, int status, const char *header, const char *value, const char *body)
{
    struct headers headers = {0};
    if (header) headers_add(&headers, str_c(header), str_c(value));
    note(run, WIRE_RESPONSE, t_ms, run->flow, "ca", "client");
    event_add_int(&run->history, F_STATUS, status);
    event_add_headers(&run->history, &headers);
    event_add_text(&run->history, F_BODY, str_c(body));
    return commit(run);
}

static const char *order_json(struct run *run, const char *status)
{
    return str_fmt(&run->arena,
                   "{\"status\":\"%s\",\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example.test\"}],"
                   "\"authorizations\":[\"" AT "/authz/1\"],\"finalize\":\"" AT "/order/1/finalize\"}",
                   status)
        .at;
}

static const char *challenge_json(struct run *run, const char *status, const char *error)
{
    return str_fmt(&run->arena,
                   "{\"type\":\"http-01\",\"url\":\"" AT "/chall/1\",\"status\":\"%s\",\"token\":\"tok\"%s%s}", status,
                   error ? ",\"error\":" : "", error ? error : "")
        .at;
}

static const char *authz_json(struct run *run, const char *status, const char *challenge)
{
    return str_fmt(
               &run->arena,
               "{\"status\":\"%s\",\"identifier\":{\"type\":\"dns\",\"value\":\"a.example.test\"},\"challenges\":[%s]}",
               status, challenge)
        .at;
}

/* Directory, account, order, authorization. */
static void prologue(struct run *run)
{
    ask(run, 0, AT "/dir", NULL);
    tell(run, 10, 200, NULL, NULL,
         "{\"newNonce\":\"" AT "/nonce\",\"newAccount\":\"" AT "/new-acct\",\"newOrder\":\"" AT
         "/new-order\",\"revokeCert\":\"" AT "/revoke\",\"keyChange\":\"" AT "/key\"}");
    ask(run, 20, AT "/new-acct", "{}");
    tell(run, 30, 201, "Location", AT "/acct/1", "{\"status\":\"valid\"}");
    ask(run, 40, AT "/new-order", "{\"identifiers\":[]}");
    tell(run, 50, 201, "Location", AT "/order/1", order_json(run, "pending"));
    ask(run, 60, AT "/authz/1", "");
    tell(run, 70, 200, NULL, NULL, authz_json(run, "pending", challenge_json(run, "pending", NULL)));
}

/* A validation query of a foreign server, and what our responder says. status 0: `delivery`. */
static uint64_t query(struct run *run, int64_t t_ms, int status, const char *body, const char *delivery)
{
    note(run, WIRE_REQUEST, t_ms, ++run->flow, "va", "responder");
    event_add_text(&run->history, F_METHOD, STR("GET"));
    event_add_text(&run->history, F_URL, STR("http://a.example.test/.well-known/acme-challenge/tok"));
    uint64_t seq = commit(run);
    note(run, WIRE_RESPONSE, t_ms + 5, run->flow, "responder", "va");
    event_add_int(&run->history, F_STATUS, status);
    if (body) event_add_text(&run->history, F_BODY, str_c(body));
    if (delivery) event_add_text(&run->history, F_DELIVERY, str_c(delivery));
    commit(run);
    return seq;
}

static void provision(struct run *run, int64_t t_ms)
{
    note(run, WIRE_PROVISION, t_ms, 0, "client", "responder");
    event_add_text(&run->history, F_TYPE, STR("http-01"));
    event_add_text(&run->history, F_NAME, STR("a.example.test"));
    event_add_text(&run->history, F_TOKEN, STR("tok"));
    event_add_text(&run->history, F_PLACE, STR("/.well-known/acme-challenge/tok"));
    event_add_text(&run->history, F_PROOF, STR("tok.thumb"));
    commit(run);
}

static void finish(struct run *run, int64_t t_ms, const char *text)
{
    note(run, RUN_END, t_ms, 0, NULL, NULL);
    event_add_text(&run->history, F_TEXT, str_c(text));
    commit(run);
}

static struct str chart(struct run *run, uint64_t seq)
{
    view_done(&run->view);
    view_read(&run->view, &run->history);
    return report_chart(&run->arena, &run->view, seq);
}

static void has(struct str text, const char *part)
{
    if (str_find(text, part) < 0) fail_msg("\"%s\" is not in\n%.*s", part, STR_ARGS(text));
}

static void lacks(struct str text, const char *part)
{
    if (str_find(text, part) >= 0) fail_msg("\"%s\" is in\n%.*s", part, STR_ARGS(text));
}

static size_t count_of(struct str text, const char *part)
{
    size_t n = 0;
    ptrdiff_t at;
    while ((at = str_find(text, part)) >= 0) {
        n++;
        text = (struct str){text.at + at + 1, text.n - (size_t)at - 1};
    }
    return n;
}

/* The first line with that in it. */
static struct str line_of(struct str text, const char *part)
{
    struct str line;
    while (text.n) {
        str_cut(text, '\n', &line, &text);
        if (str_find(line, part) >= 0) return line;
    }
    fail_msg("no line has \"%s\"", part);
    return text;
}

static const char unauthorized[] = "{\"type\":\"urn:ietf:params:acme:error:unauthorized\",\"detail\":\"no\"}";

static void test_chart(void **state)
{
    (void)state;
    struct run run = run_new(MODE_CLIENT, 4);
    prologue(&run);
    provision(&run, 80);
    ask(&run, 90, AT "/chall/1", "{}");
    tell(&run, 95, 200, NULL, NULL, challenge_json(&run, "processing", NULL));
    query(&run, 100, 404, "no", NULL);
    ask(&run, 3000, AT "/chall/1", "");
    tell(&run, 3005, 200, "Retry-After", "12", challenge_json(&run, "processing", unauthorized));
    uint64_t early = ask(&run, 3700, AT "/chall/1", "");
    uint64_t refused = tell(&run, 3705, 429, "Retry-After", "soon",
                            "{\"type\":\"urn:ietf:params:acme:error:rateLimited\",\"detail\":\"slower\"}");
    uint64_t reset = query(&run, 12000, 0, NULL, "reset");
    query(&run, 24000, 200, "tok.thumb\n", NULL);
    ask(&run, 3725000, AT "/authz/1", "");
    tell(&run, 3725105, 200, NULL, NULL, authz_json(&run, "valid", challenge_json(&run, "valid", NULL)));
    finish(&run, 3725200, "finished");

    struct str text = chart(&run, early);
    static const char *const lines[] = {
        "    time      client                                    CA  order, authz, challenge\n    0:00.0    reads "
        "directory ─",
        "    0:00.0    ←─────────────────────────────── 201 pending  order pending\n",
        "    0:00.0    reads authz ───────────────────────────────→\n",
        "    0:00.0    ←─────────────────────────────── 200 pending  http-01 pending, authz pending\n",
        "    0:00.0    answers http-01 ───────────────────────────→  http-01 pending\n",
        "    0:00.1                                                  → validates http-01: 404\n",
        "    0:03.0    ←──────────────────────────── 200 processing  http-01 processing\n"
        "                Retry-After: 12  (= +12 s, up to 48 s at speed 4, until 0:15.0)\n"
        "                error of the challenge: unauthorized - no\n",
        "    0:03.7    polls http-01 ─────────────────────────────→  http-01 processing  11.3 s too early  <== here\n",
        "    0:03.7    ←─────────────────────────── 429 rateLimited  http-01 processing\n"
        "                Retry-After: soon  (neither seconds nor a date)\n"
        "                problem: rateLimited - slower\n",
        "    0:12.0                                                  → validates http-01: reset\n",
        "    0:24.0                                                  → validates http-01: the right answer\n",
        "    1:02:05.1 ←───────────────────────────────── 200 valid  http-01 valid, authz valid\n",
    };
    for (size_t i = 0; i < COUNTOF(lines); i++)
        has(text, lines[i]);
    lacks(text, "...");
    lacks(text, "the run ends");
    assert_int_equal(count_of(text, "<== here"), 1);

    /* The mark goes where the blame is: a reply, a query, the answer to a query, anything else. */
    has(line_of(chart(&run, refused), "<== here"), "429 rateLimited");
    has(line_of(chart(&run, reset), "<== here"), "validates http-01: reset");
    has(line_of(chart(&run, reset + 1), "<== here"), "validates http-01: reset");
    assert_int_equal(count_of(chart(&run, reset + 1), "<== here"), 1);
    has(line_of(chart(&run, 10), "<== here"), "(wire.provision) name a.example.test");
    lacks(chart(&run, 0), "<== here");
    run_done(&run);
}

static void test_window(void **state)
{
    (void)state;
    struct run run = run_new(MODE_SIMULATE, 1);
    uint64_t seqs[40];
    prologue(&run);
    for (int i = 0; i < 40; i++) {
        seqs[i] = ask(&run, 1000 * (i + 1), AT "/order/1", "");
        tell(&run, 1000 * (i + 1) + 5, 200, NULL, NULL, order_json(&run, "pending"));
    }
    note(&run, WIRE_EXIT, 50000, 0, "client", NULL);
    event_add_int(&run.history, F_SUCCESS, 0);
    event_add_text(&run.history, F_TEXT, STR("no patience left"));
    commit(&run);
    finish(&run, 50000, "time limit");
    /* 44 exchanges: twelve are shown, and how it ended. */
    for (int i = 0; i < 40; i++) {
        struct str text = chart(&run, seqs[i]);
        assert_int_equal(count_of(text, "→\n") + count_of(text, "→  "), REPORT_MAX_EXCHANGES);
        assert_int_equal(count_of(text, "<== here"), 1);
        has(line_of(text, "<== here"), when_run_time(&run.arena, 1000 * (i + 1)).at);
        has(text, "the client gives up: no patience left\n");
        has(text, "    0:50.0    the run ends: time limit\n");
    }
    struct str text = chart(&run, seqs[20]);
    has(text, "challenge\n    ... 17 exchanges ...\n    0:14.0    polls order");
    has(text, "pending\n    ... 15 exchanges ...\n    0:50.0    the client gives up");
    text = chart(&run, seqs[36]);
    has(text, "    ... 32 exchanges ...\n");
    assert_int_equal(count_of(text, "..."), 2);
    /* Without a record to blame: the end. */
    has(chart(&run, 0), "0:40.0    polls order");
    run_done(&run);
}

static void test_nothing(void **state)
{
    (void)state;
    struct run run = run_new(MODE_SIMULATE, 1);
    assert_int_equal(chart(&run, 0).n, 0);
    assert_int_equal(chart(&run, 77).n, 0);
    has(chart(&run, 1), "(run.start)");
    struct history empty = {0};
    view_done(&run.view);
    run.view = (struct view){.history = &empty};
    assert_int_equal(report_chart(&run.arena, &run.view, 3).n, 0);
    run.view = (struct view){0};
    assert_int_equal(report_chart(&run.arena, &run.view, 3).n, 0);
    run_done(&run);
}

static void test_hostile(void **state)
{
    (void)state;
    struct run run = run_new(MODE_CLIENT, 1);
    prologue(&run);
    ask(&run, 100, AT "/chall/1", "{}");
    tell(&run, 105, 200, "Retry-After", "\x1b[2J\xff\r\n",
         challenge_json(&run, "invalid",
                        "{\"type\":\"\\u001b]0;x\\u0007\",\"detail\":\"a\\u001b[31mred\\nok  fine\\u202e\"}"));
    note(&run, WIRE_REQUEST, 200, ++run.flow, "client", "ca");
    event_add_text(&run.history, F_METHOD, STR("P\nST"));
    event_add_text(&run.history, F_URL, STR("\x1b[31mhttps://\xc2\x9b"));
    uint64_t seq = commit(&run);
    note(&run, FAULT_APPLIED, 201, run.flow, "ca", "client");
    event_add_text(&run.history, F_NAME, STR("truncated"));
    commit(&run);
    note(&run, WIRE_RESPONSE, 201, run.flow, "ca", "client");
    event_add_int(&run.history, F_STATUS, 200);
    event_add_text(&run.history, F_DELIVERY, STR("truncated"));
    commit(&run);
    struct str text = chart(&run, seq);
    for (size_t i = 0; i < text.n; i++)
        assert_true(text.at[i] == '\n' || (unsigned char)text.at[i] >= 0x20);
    assert_true(str_utf8(text));
    has(text, "Retry-After: \\x1b[2J\\xff\\x0d\\n  (neither seconds nor a date)\n");
    has(text, "error of the challenge: \\x1b]0;x\\x07 - a\\x1b[31mred\\nok  fine\\u{202e}\n");
    has(text, "P\\nST \\x1b[31mhttps://\\u{9b} ─");
    has(text, "(fault: truncated)\n");
    ask(&run, 300, AT "/order/1", "");
    tell(&run, 310, 403, NULL, NULL,
         "{\"type\":\"urn:ietf:params:acme:error:compound\",\"subproblems\":[{\"type\":\"x\"}]}");
    has(chart(&run, 0), "problem: compound, 1 entry\n");
    has(text, "200, truncated");
    run_done(&run);
}

static void test_several_names(void **state)
{
    (void)state;
    struct run run = run_new(MODE_SIMULATE, 1);
    prologue(&run);
    ask(&run, 100, AT "/new-order", "{\"identifiers\":[]}");
    tell(&run, 110, 201, "Location", AT "/order/2",
         "{\"status\":\"pending\",\"identifiers\":[],\"authorizations\":[\"" AT "/authz/2\"],\"finalize\":\"" AT
         "/order/2/f\"}");
    ask(&run, 120, AT "/authz/2", "");
    tell(&run, 130, 200, NULL, NULL,
         "{\"status\":\"pending\",\"identifier\":{\"type\":\"dns\",\"value\":\"b.example.test\"},\"challenges\":["
         "{\"type\":\"dns-01\",\"url\":\"" AT "/chall/2\",\"status\":\"pending\",\"token\":\"tok2\"},"
         "{\"type\":\"new-01\",\"url\":\"" AT "/chall/3\",\"status\":\"pending\",\"token\":\"tok3\"},"
         "{\"type\":\"http-01\",\"url\":\"" AT "/chall/4\",\"status\":\"pending\",\"token\":\"tok4\"}]}");
    ask(&run, 140, AT "/chall/2", "{}");
    struct str text = chart(&run, 0);
    has(text, "answers dns-01 for b.example.test ─────────→  dns-01 b.example.test pending\n");
    has(text,
        "dns-01 b.example.test pending, challenge b.example.test pending, http-01 b.example.test pending, 1 more\n");
    run_done(&run);
}

/* --- observations ----------------------------------------------------------------------------------------------------
 */

static struct result_case observed(struct run *run, const struct scenario *scenario)
{
    struct result_case result;
    struct judgement judgement = {0};
    view_read(&judgement.view, &run->history);
    report_case(&run->arena, &judgement, scenario, false, &result);
    judgement_done(&judgement);
    return result;
}

static void is_text(struct str text, const char *expected)
{
    if (!str_is(text, expected)) fail_msg("\n%.*s\nis not\n%s", STR_ARGS(text), expected);
}

static void test_gives_up_at_once(void **state)
{
    (void)state;
    struct run run = run_new(MODE_SERVER, 1);
    prologue(&run);
    provision(&run, 80);
    ask(&run, 90, AT "/chall/1", "{}");
    tell(&run, 95, 200, NULL, NULL, challenge_json(&run, "pending", NULL));
    query(&run, 100, 404, "no", NULL);
    ask(&run, 1000, AT "/authz/1", "");
    tell(&run, 1010, 200, NULL, NULL, authz_json(&run, "invalid", challenge_json(&run, "invalid", unauthorized)));
    ask(&run, 2000, AT "/order/1", "");
    tell(&run, 2010, 200, NULL, NULL, order_json(&run, "invalid"));
    struct result_case result = observed(&run, NULL);
    assert_int_equal(result.n_observations, 1);
    is_text(result.observations[0],
            "http-01 for a.example.test: our responder answered 404; 1 query, then the challenge was invalid "
            "(unauthorized), its authz "
            "invalid, the order invalid; neither processing nor Retry-After was shown; no retry: RFC 8555 8.2 says "
            "that the server "
            "SHOULD retry a failed query after some time, here the client has to start over with a new order");
    assert_int_equal(result.outcome, OUTCOME_OK);
    assert_int_equal(result.protocol_ms, 2010);
    assert_true(str_is(result.name, "order/x"));
    run_done(&run);
}

static void test_retries_well(void **state)
{
    (void)state;
    struct run run = run_new(MODE_SERVER, 1);
    prologue(&run);
    provision(&run, 80);
    ask(&run, 90, AT "/chall/1", "{}");
    tell(&run, 95, 200, "Retry-After", "7", challenge_json(&run, "processing", NULL));
    query(&run, 100, 404, "no", NULL);
    query(&run, 7100, 404, "no", NULL);
    query(&run, 14100, 200, "other", NULL);
    ask(&run, 15000, AT "/chall/1", "");
    tell(&run, 15010, 200, "Retry-After", "7", challenge_json(&run, "processing", unauthorized));
    query(&run, 21100, 200, "tok.thumb", NULL);
    ask(&run, 28000, AT "/chall/1", "");
    tell(&run, 28010, 200, NULL, NULL, challenge_json(&run, "valid", NULL));
    struct result_case result = observed(&run, NULL);
    assert_int_equal(result.n_observations, 1);
    is_text(result.observations[0],
            "http-01 for a.example.test: our responder answered 404 x2, then 200 with the "
            "wrong body, then the right answer; 4 queries, "
            "then the challenge was valid (before that: unauthorized), its authz pending, the order "
            "pending; processing and Retry-After were shown; "
            "as RFC 8555 8.2 says");
    run_done(&run);
}

static void test_retries_badly(void **state)
{
    (void)state;
    struct run run = run_new(MODE_SERVER, 1);
    prologue(&run);
    ask(&run, 90, AT "/chall/1", "{}");
    tell(&run, 95, 200, NULL, NULL, challenge_json(&run, "pending", NULL));
    query(&run, 100, 0, NULL, "reset");
    query(&run, 3100, 502, "", NULL);
    struct result_case result = observed(&run, NULL);
    assert_int_equal(result.n_observations, 1);
    has(result.observations[0],
        "our responder answered reset, then 502; 2 queries, then the challenge was pending, its authz pending, "
        "the order pending; neither processing nor Retry-After was shown; two queries were only 3.0 s apart: ");
    has(result.observations[0], "it retried without ever showing processing");
    has(result.observations[0], "it retried without Retry-After");
    has(result.observations[0], "it retried without showing the failure");
    has(result.observations[0], "it had not given up by the end of the run");
    run_done(&run);
}

static void test_asked_again(void **state)
{
    (void)state;
    struct run run = run_new(MODE_SERVER, 1);
    prologue(&run);
    ask(&run, 90, AT "/chall/1", "{}");
    tell(&run, 95, 200, "Retry-After", "30", challenge_json(&run, "processing", NULL));
    query(&run, 100, 404, "no", NULL);
    ask(&run, 2500, AT "/chall/1", "{}");
    tell(&run, 2600, 200, NULL, NULL, challenge_json(&run, "processing", unauthorized));
    query(&run, 2700, 404, "no", NULL);
    ask(&run, 9000, AT "/chall/1", "");
    tell(&run, 9010, 200, NULL, NULL, challenge_json(&run, "invalid", unauthorized));
    struct result_case result = observed(&run, NULL);
    assert_int_equal(result.n_observations, 1);
    has(result.observations[0],
        "404 x2; 2 queries for 2 responses of our client, then the challenge was invalid (unauthorized)");
    lacks(result.observations[0], "apart");
    run_done(&run);
}

static void test_no_query(void **state)
{
    (void)state;
    struct run run = run_new(MODE_SERVER, 1);
    struct scenario scenario = {.id = STR("http-01/refused"), .path = STR("scenarios/http-01/refused.json")};
    scenario.answers[CHALLENGE_HTTP_01] = (struct answers){.at = {{.word = STR("refused"), .times = 1}}, .n = 1};
    prologue(&run);
    ask(&run, 90, AT "/chall/1", "{}");
    tell(&run, 95, 200, NULL, NULL,
         challenge_json(&run, "invalid", "{\"type\":\"urn:ietf:params:acme:error:connection\"}"));
    struct result_case result = observed(&run, &scenario);
    assert_int_equal(result.n_observations, 1);
    has(result.observations[0],
        "http-01 for a.example.test: no query reached our responder (it was told: refused), then the challenge was "
        "invalid (connection), its authz pending, the order pending; neither processing nor Retry-After was shown; "
        "how often the server tried cannot be seen from here");
    run_done(&run);
}

static void test_only_of_servers(void **state)
{
    (void)state;
    struct run run = run_new(MODE_CLIENT, 1);
    prologue(&run);
    ask(&run, 90, AT "/chall/1", "{}");
    tell(&run, 95, 200, NULL, NULL, challenge_json(&run, "invalid", unauthorized));
    assert_int_equal(observed(&run, NULL).n_observations, 0);
    run_done(&run);
    run = run_new(MODE_SERVER, 1);
    prologue(&run);
    assert_int_equal(observed(&run, NULL).n_observations, 0);
    run_done(&run);
}

/* --- answers to DNS and TLS queries
 * ------------------------------------------------------------------------------------ */

static struct str dns_answered(struct run *run, const char *rcode, const char *record, const char *delivery,
                               bool *ret_good)
{
    note(run, WIRE_DNS_QUERY, 10, ++run->flow, "va", "responder");
    event_add_text(&run->history, F_NAME, STR("_acme-challenge.a.example.test"));
    event_add_text(&run->history, F_TYPE, STR("TXT"));
    uint64_t seq = commit(run);
    note(run, WIRE_DNS_ANSWER, 20, run->flow, "responder", "va");
    event_add_text(&run->history, F_RCODE, str_c(rcode));
    struct str records[] = {STR("another"), str_c(record)};
    event_add_list(&run->history, F_RECORDS, records, record ? 2 : 0);
    if (delivery) event_add_text(&run->history, F_DELIVERY, str_c(delivery));
    commit(run);
    run->view.history = &run->history;
    return report_answer(&run->arena, &run->view, report_event(&run->history, seq), ret_good);
}

static void test_dns_answers(void **state)
{
    (void)state;
    struct run run = run_new(MODE_SERVER, 1);
    bool good;
    is_text(dns_answered(&run, "NOERROR", "x", NULL, &good), "a TXT record");
    assert_true(good); /* nobody can tell */
    note(&run, WIRE_PROVISION, 5, 0, "client", "responder");
    event_add_text(&run.history, F_PLACE, STR("_acme-challenge.a.example.test"));
    event_add_text(&run.history, F_PROOF, STR("digest"));
    commit(&run);
    is_text(dns_answered(&run, "NXDOMAIN", NULL, NULL, &good), "NXDOMAIN");
    assert_false(good);
    is_text(dns_answered(&run, "NOERROR", NULL, NULL, &good), "no TXT record");
    assert_false(good);
    is_text(dns_answered(&run, "NOERROR", "x", NULL, &good), "the wrong TXT record");
    assert_false(good);
    is_text(dns_answered(&run, "NOERROR", "digest", NULL, &good), "the right answer");
    assert_true(good);
    is_text(dns_answered(&run, "NOERROR", NULL, "hang", &good), "no answer");
    assert_false(good);
    run_done(&run);
}

static struct str tls_answered(struct run *run, const char *alpn, const char *digest, const char *alert, bool *ret_good)
{
    note(run, WIRE_TLS_HELLO, 10, ++run->flow, "va", "responder");
    event_add_text(&run->history, F_NAME, STR("a.example.test"));
    uint64_t seq = commit(run);
    note(run, WIRE_TLS_ANSWER, 20, run->flow, "responder", "va");
    if (alpn) event_add_text(&run->history, F_ALPN, str_c(alpn));
    if (digest) event_add_text(&run->history, F_DIGEST, str_c(digest));
    if (alert) event_add_text(&run->history, F_ALERT, str_c(alert));
    event_add_int(&run->history, F_HAS_EXTENSION, digest != NULL);
    commit(run);
    run->view.history = &run->history;
    return report_answer(&run->arena, &run->view, report_event(&run->history, seq), ret_good);
}

static void test_tls_answers(void **state)
{
    (void)state;
    struct run run = run_new(MODE_SERVER, 1);
    bool good;
    note(&run, WIRE_PROVISION, 5, 0, "client", "responder");
    event_add_text(&run.history, F_PLACE, STR("a.example.test"));
    event_add_text(&run.history, F_PROOF, STR("digest"));
    commit(&run);
    is_text(tls_answered(&run, NULL, NULL, "unrecognized_name", &good), "TLS alert unrecognized_name");
    is_text(tls_answered(&run, NULL, NULL, NULL, &good), "no ALPN");
    is_text(tls_answered(&run, "acme-tls/1", NULL, NULL, &good), "the wrong certificate");
    is_text(tls_answered(&run, "acme-tls/1", "other", NULL, &good), "the wrong certificate");
    assert_false(good);
    is_text(tls_answered(&run, "acme-tls/1", "digest", NULL, &good), "the right answer");
    assert_true(good);
    run_done(&run);
}

static void test_verdicts(void **state)
{
    (void)state;
    struct run run = run_new(MODE_SIMULATE, 1);
    bool good;
    note(&run, WIRE_PROBE, 10, 5, "ca", "va");
    uint64_t seq = commit(&run);
    run.view.history = &run.history;
    is_text(report_answer(&run.arena, &run.view, report_event(&run.history, seq), &good), "no answer");
    note(&run, WIRE_VERDICT, 20, 5, "va", "ca");
    event_add_int(&run.history, F_OK, 0);
    event_add_text(&run.history, F_FAILURE, STR("bad-status"));
    event_add_int(&run.history, F_STATUS, 404);
    commit(&run);
    is_text(report_answer(&run.arena, &run.view, report_event(&run.history, seq), &good), "404 (bad-status)");
    assert_false(good);
    assert_null(report_event(&run.history, 0));
    assert_null(report_event(&run.history, 99));
    assert_null(report_event(NULL, 1));
    run_done(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chart),           cmocka_unit_test(test_window),
        cmocka_unit_test(test_nothing),         cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_several_names),   cmocka_unit_test(test_gives_up_at_once),
        cmocka_unit_test(test_retries_well),    cmocka_unit_test(test_retries_badly),
        cmocka_unit_test(test_asked_again),     cmocka_unit_test(test_no_query),
        cmocka_unit_test(test_only_of_servers), cmocka_unit_test(test_dns_answers),
        cmocka_unit_test(test_tls_answers),     cmocka_unit_test(test_verdicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
