#include "oracle/probe.h"
#include "oracle/view_bench_test.h"

#define OTHER(status) CHALLENGE_DOC("2", "dns-01", "u", status, "")
#define PENDING       AUTHZ_DOC("pending", HTTP("pending", "") "," OTHER("pending"))
#define PROOF         "t.thumbprint"
#define DETAIL        "http://a.example.test/.well-known/acme-challenge/t is not t.thumbprint but oops, a.example.test"
#define WRONG         ERROR("unauthorized", DETAIL, ",'status':403")

static const struct probe_row *row_of(const char *name)
{
    const struct probe_row *row;
    for (size_t i = 0; (row = probe_row_at(i)); i++)
        if (row->type == CHALLENGE_HTTP_01 && strcmp(row->name, name) == 0) return row;
    fail_msg("no row %s", name);
    return NULL;
}

static struct bench *begin_row(void)
{
    struct bench *bench = begin_authz("server", PENDING);
    note(bench, WIRE_PROVISION, ++bench->flow, "client", "responder");
    event_add_text(&bench->history, F_TYPE, STR("http-01"));
    event_add_text(&bench->history, F_NAME, STR("a.example.test"));
    event_add_text(&bench->history, F_TOKEN, STR("t"));
    event_add_text(&bench->history, F_PLACE, STR("/.well-known/acme-challenge/t"));
    event_add_text(&bench->history, F_PROOF, STR(PROOF));
    assert_int_equal(history_commit(&bench->history), OK);
    return bench;
}

/* A fetch at that time, and what our responder served. */
static void fetch_at(struct bench *bench, int64_t t_ms, const char *body)
{
    bench->t_ms = t_ms;
    fetch(bench, "t");
    note(bench, WIRE_RESPONSE, bench->flow, "responder", "validator");
    event_add_int(&bench->history, F_STATUS, 200);
    event_add_text(&bench->history, F_BODY, str_c(body));
    assert_int_equal(history_commit(&bench->history), OK);
}

static void answer_at(struct bench *bench, int64_t t_ms, int status, const char *headers, const char *body)
{
    go_at(bench, t_ms, "/challenge/1", "{}", status, headers, body);
}

static void authz_at(struct bench *bench, int64_t t_ms, const char *headers, const char *body)
{
    go_at(bench, t_ms, "/authz/1", READ, 200, headers, body);
}

static struct probe_measure measured(struct bench *bench, const char *row)
{
    struct probe_measure measure;
    probe_measure(&bench->arena, row_of(row), &bench->history, &measure);
    return measure;
}

/* One query, given up at once: the response sent again is refused, the sibling too. */
static void test_given_up_at_once(void **state)
{
    (void)state;
    struct bench *bench = begin_row();
    answer_at(bench, 10000, 200, "", HTTP("processing", ""));
    fetch_at(bench, 10200, "oops");
    fetch_at(bench, 10210, "oops"); /* another place looks, too */
    authz_at(bench, 12000, "", AUTHZ_DOC("invalid", HTTP("invalid", WRONG)));
    go_at(bench, 12500, "/order/1", READ, 200, "", ORDER_OF("1", "invalid", WRONG));
    answer_at(bench, 14000, 400, "Content-Type: application/problem+json", "{'type':'" PROBLEM_PREFIX "malformed'}");
    struct probe_measure m = measured(bench, "wrong");
    assert_string_equal(m.gap.at ? m.gap.at : "", "");
    assert_int_equal(m.n_queries, 1);
    assert_int_equal(m.own, 1);
    assert_int_equal(m.queries[0].t_ms, 200);
    assert_int_equal(m.queries[0].fetches, 2);
    assert_int_equal(m.watched_ms, 4000);
    assert_int_equal(m.challenge, STATUS_INVALID);
    assert_int_equal(m.authz, STATUS_INVALID);
    assert_int_equal(m.order, STATUS_INVALID);
    assert_true(m.processing && m.order_error && !m.error_open && !m.inside_post);
    assert_int_equal(m.n_listed, 2);
    assert_int_equal(m.n_listed_lost, 1);
    assert_string_equal(m.error.type.at, "unauthorized");
    assert_string_equal(m.pattern.at, "{url} is not {expected} but {got}, {name}");
    assert_int_equal(m.again[0].status, 400);
    assert_string_equal(m.again[0].type.at, "malformed");
    assert_false(m.again[1].sent);
    done(bench);
}

/* Section 8.2: repeated every ten seconds, with Retry-After just past the next query; a look starts none. */
static void test_repeats(void **state)
{
    (void)state;
    struct bench *bench = begin_row();
    answer_at(bench, 10000, 200, "Retry-After: 11", HTTP("processing", ""));
    fetch_at(bench, 10100, "oops");
    go_at(bench, 12000, "/challenge/1", READ, 200, "Retry-After: 9", HTTP("processing", WRONG));
    fetch_at(bench, 20100, "oops");
    authz_at(bench, 25000, "Retry-After: 5", AUTHZ_DOC("pending", HTTP("processing", WRONG) "," OTHER("pending")));
    fetch_at(bench, 30100, "oops");
    go_at(bench, 31000, "/order/1", READ, 200, "", ORDER_DOC("pending"));
    struct probe_measure m = measured(bench, "wrong");
    assert_int_equal(m.own, 3);
    assert_int_equal(m.queries[1].cause, PROBE_BY_SERVER);
    assert_true(m.error_open);
    assert_int_equal(m.waits_next, 2);
    assert_int_equal(m.waits_fixed, 0);
    assert_int_equal(m.wait_before.form, PROBE_WAIT_SECONDS);
    assert_int_equal(m.wait_after.until_ms - m.wait_after.t_ms, 9000);
    assert_int_equal(m.wait_authz.until_ms - m.wait_authz.t_ms, 5000);
    assert_int_equal(m.failed_ms, 2100);

    struct probing *probe = ARENA_NEW(&bench->arena, struct probing);
    struct temperament t;
    probe->rows[probe->n_rows++] = m;
    temperament_read(probe, &t);
    assert_true(t.retries);
    assert_int_equal(t.retry.first_ms, 10000);
    assert_int_equal(t.retry.growth_ms, 0);
    assert_int_equal(t.retry.count, 2);
    assert_false(t.retry_complete);
    assert_int_equal(t.gives_up, -1);
    assert_int_equal(t.wait_challenge_ms, -1);
    assert_int_equal(t.wait_authz_ms, 5000);
    assert_string_equal(t.errors, "latest");
    assert_int_equal(t.read_queries, 0);
    done(bench);
}

/* Looks and responses that lead to queries are no retries of the server's. */
static void test_asked_queries(void **state)
{
    (void)state;
    struct bench *bench = begin_row();
    uint64_t flow = send_post(bench, "/challenge/1", "{}");
    int64_t t_ms = bench->t_ms;
    fetch_at(bench, t_ms + 50, "oops");
    reply(bench, flow, 200, "", quoted(bench, HTTP("pending", WRONG)));
    flow = (bench->t_ms = t_ms + 5000, send_post(bench, "/challenge/1", READ));
    fetch_at(bench, t_ms + 5050, "oops");
    reply(bench, flow, 200, "", quoted(bench, HTTP("pending", WRONG)));
    flow = (bench->t_ms = t_ms + 9000, send_post(bench, "/challenge/1", "{}"));
    fetch_at(bench, t_ms + 9050, "oops");
    reply(bench, flow, 200, "", quoted(bench, HTTP("pending", WRONG)));
    struct probe_measure m = measured(bench, "404");
    assert_int_equal(m.n_queries, 3);
    assert_int_equal(m.own, 1);
    assert_int_equal(m.queries[1].cause, PROBE_BY_LOOK);
    assert_int_equal(m.queries[2].cause, PROBE_BY_RESPONSE);
    assert_int_equal(m.again[0].queries, 1);
    assert_true(m.inside_post);
    assert_false(m.processing);
    assert_int_equal(m.challenge, STATUS_PENDING);
    done(bench);
}

/* The other challenge is taken, and then the server says no more. */
static void test_silence(void **state)
{
    (void)state;
    struct bench *bench = begin_row();
    answer_at(bench, 10000, 200, "", HTTP("processing", ""));
    fetch_at(bench, 10200, "oops");
    authz_at(bench, 12000, "", AUTHZ_DOC("invalid", HTTP("invalid", WRONG)));
    go_at(bench, 14000, "/challenge/2", "{}", 200, "", OTHER("pending"));
    bench->t_ms = 16000;
    send_post(bench, "/authz/1", READ);
    assert_false(measured(bench, "wrong").silent); /* the history may have ended just there */
    go_at(bench, 46000, "/order/1", READ, 200, "", ORDER_DOC("invalid"));
    struct probe_measure m = measured(bench, "wrong");
    assert_true(m.silent);
    assert_int_equal(m.other.status, 200);
    assert_int_equal(m.order_after, STATUS_INVALID);
    done(bench);
}

/* What cannot be told is said, in words, and nothing is made up. */
static void test_gaps(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body, *gap;
    } replies[] = {
        {403, "{'type':'" PROBLEM_PREFIX "unauthorized'}", "the response is refused with 403 unauthorized"},
        {200, HTTP("invalid",                              WRONG),                                          "no query for http-01 has reached us"},
        {200,   "<html>",                                            "the server says nothing that we understand"                                                                                },
    };
    for (size_t i = 0; i < COUNTOF(replies); i++) {
        struct bench *bench = begin_row();
        answer_at(bench, 10000, replies[i].status, "", replies[i].body);
        struct probe_measure m = measured(bench, "wrong");
        assert_string_equal(m.gap.at, replies[i].gap);
        done(bench);
    }
    /* Behind a closed port there is nobody to see a query. */
    struct bench *bench = begin_row();
    answer_at(bench, 10000, 200, "", HTTP("invalid", WRONG));
    struct probe_measure closed = measured(bench, "refused");
    assert_int_equal(closed.gap.n, 0);
    assert_string_equal(closed.pattern.at, "{url} is not {expected} but oops, {name}");
    done(bench);

    bench = begin_authz("server", AUTHZ_DOC("pending", OTHER("pending")));
    assert_string_equal(measured(bench, "wrong").gap.at, "http-01 is not offered");
    done(bench);

    struct history none = {0};
    struct arena arena = {0};
    struct probe_measure m;
    probe_measure(&arena, row_of("wrong"), &none, &m);
    assert_true(m.gap.n > 0);
    arena_done(&arena);
    history_done(&none);
}

/* A CA that was seen is like itself; what was not seen of both counts for nothing. */
static void test_likeness(void **state)
{
    (void)state;
    struct bench *bench = begin_row();
    answer_at(bench, 10000, 200, "", HTTP("processing", ""));
    fetch_at(bench, 10200, "oops");
    authz_at(bench, 12000, "", AUTHZ_DOC("invalid", HTTP("invalid", WRONG)));
    struct probing *probe = ARENA_NEW(&bench->arena, struct probing), *empty = ARENA_NEW(&bench->arena, struct probing);
    struct probe_likeness likeness[2];
    probe->rows[probe->n_rows++] = measured(bench, "wrong");
    probe_compare(&bench->arena, probe, empty, &likeness[0]);
    assert_int_equal(likeness[0].seen, 0);
    probe_compare(&bench->arena, probe, probe, &likeness[1]);
    assert_true(likeness[1].seen > 5);
    assert_int_equal(likeness[1].same, likeness[1].seen);
    probe_rank(likeness, 2);
    assert_true(likeness[0].seen > 5);

    json_error_t error;
    json_t *profile = json_loads(probe_profile(&bench->arena, probe).at, 0, &error);
    const json_t *outcome = json_object_get(json_object_get(profile, "outcomes"), "wrong-body");
    assert_string_equal(json_string_value(json_object_get(outcome, "then")), "final");
    assert_string_equal(json_string_value(json_object_get(profile, "retry")), "none");
    assert_string_equal(json_string_value(json_object_get(profile, "failed_challenge")), "kills authz");
    assert_null(json_object_get(profile, "query_timeout")); /* nobody saw it */
    json_decref(profile);
    done(bench);
}

/* The rows are scenarios that the loader takes, each with a name of its own. */
static void test_plan(void **state)
{
    (void)state;
    struct arena arena = {0};
    const struct probe_row *row;
    const struct probe_limits limits = {.limit_ms = 45000, .every_ms = probe_every_ms(45000), .suffix = STR("abc")};
    assert_int_equal(limits.every_ms, 1000);
    size_t n = 0;
    for (; (row = probe_row_at(n)); n++) {
        const struct scenario *scenario = probe_scenario(&arena, row, &limits);
        assert_true(str_starts(scenario->id, "probe/"));
        assert_true(str_ends(scenario->identifiers[0], "-abc.example.test"));
        assert_int_equal(scenario->client.habits.poll_limit_ms, row->kind == PROBE_ALL ? 15000 : 45000);
        assert_true(scenario->client.n_steps > 5);
        for (size_t k = 0; k < n; k++)
            assert_string_not_equal(probe_row_name(&arena, row).at, probe_row_name(&arena, probe_row_at(k)).at);
    }
    assert_true(n <= PROBE_MAX_ROWS);
    assert_int_equal(probe_reach(&arena, &limits)->client.n_steps, 3);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_given_up_at_once),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_asked_queries),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_likeness),
        cmocka_unit_test(test_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
