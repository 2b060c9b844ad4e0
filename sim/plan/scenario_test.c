#include "plan/scenario.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char folder[] = "/tmp/scenario-test-XXXXXX";

struct bench {
    struct arena arena;
    struct complaints complaints;
    struct scenario_set set;
    enum err e;
};

static const char *write_file(struct arena *arena, const char *name, struct str text)
{
    const char *path = str_fmt(arena, "%s/%s", folder, name).at;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    if (text.n) assert_int_equal(fwrite(text.at, 1, text.n, file), text.n);
    fclose(file);
    return path;
}

static struct bench *load_over(struct str text, const struct paper *defect)
{
    struct bench *bench = calloc(1, sizeof *bench);
    bench->complaints.arena = &bench->arena;
    const char *path = write_file(&bench->arena, "x.json", text);
    bench->e = scenario_load(&bench->arena, path, folder, defect, &bench->complaints, &bench->set);
    remove(path);
    assert_int_equal(bench->e != OK, bench->complaints.n > 0);
    if (bench->e) assert_int_equal(bench->set.n, 0);
    return bench;
}

static void done(struct bench *bench)
{
    free(bench->set.at);
    arena_done(&bench->arena);
    free(bench);
}

/* A file with these members beside version and title. */
static struct bench *load(const char *members)
{
    struct arena arena = {0};
    struct str text = str_fmt(&arena, "{\"acmedrill\": 1, \"title\": \"t\"%s%s}", *members ? ", " : "", members);
    struct bench *bench = load_over(text, NULL);
    if (bench->e) fail_msg("%s: %s", members, bench->complaints.at[0].text.at);
    arena_done(&arena);
    return bench;
}

static void refused(const char *members, const char *why)
{
    struct arena arena = {0};
    struct bench *bench = load_over(str_fmt(&arena, "{\"acmedrill\": 1, \"title\": \"t\", %s}", members), NULL);
    assert_int_not_equal(bench->e, OK);
    if (str_find(bench->complaints.at[0].text, why) < 0)
        fail_msg("%s: \"%s\", not \"%s\"", members, bench->complaints.at[0].text.at, why);
    assert_true(bench->complaints.at[0].line == 1 && bench->complaints.at[0].column > 1);
    done(bench);
    arena_done(&arena);
}

static void test_defaults(void **state)
{
    (void)state;
    struct bench *bench = load("");
    const struct scenario *s = bench->set.at[0];
    assert_int_equal(bench->set.n, 1);
    assert_true(str_is(s->id, "x"));
    assert_int_equal(s->variant.n, 0);
    assert_int_equal(s->n_identifiers, 1);
    assert_true(str_is(s->identifiers[0], "a.example.test"));
    assert_int_equal(s->n_challenges, 1);
    assert_int_equal(s->challenges[0], CHALLENGE_HTTP_01);
    assert_true(str_is(s->profile->name, PROFILE_DEFAULT));
    assert_false(s->profile_named);
    assert_false(s->has_replies);
    assert_int_equal(s->client.on_failure, FAIL_GIVE_UP);
    assert_int_equal(s->client.key, KEY_P256);
    assert_int_equal(s->client.habits.poll_every_ms, 3000);
    assert_int_equal(s->client.habits.poll_limit_ms, 1800000);
    for (int t = 0; t < CHALLENGE_TYPE_COUNT; t++)
        assert_int_equal(s->answers[t].n, 0);
    for (int m = MODE_SIMULATE; m <= MODE_SERVER; m++)
        assert_int_equal(scenario_unfit(&bench->arena, s, (enum mode)m).n, 0);
    done(bench);
}

static void test_answers(void **state)
{
    (void)state;
    struct bench *bench =
        load("\"given\": {\"challenges\": [\"dns-01\", \"http-01\", \"tls-alpn-01\"]}, \"responder\": {"
             "\"http-01\": [\"ok\", \"404 x9\", \"wrong-body\", \"newline\", \"huge\", \"timeout\", \"slow 3s\", "
             "\"delay 2s x2\","
             " \"truncated 5\", \"redirect http://b.test/{token}\", {\"status\": 503, \"headers\": {\"Retry-After\": "
             "\"10\"}, \"delay\": \"1s\", \"times\": 4},"
             " {\"body\": \"x{proof}\"}],"
             "\"dns-01\": [\"ok\", \"nxdomain\", \"wrong-txt\", \"timeout\", {\"records\": [\"a\", \"{proof}\"]}, "
             "{\"rcode\": \"servfail\"}],"
             "\"tls-alpn-01\": [\"ok\", \"wrong-cert x2\", \"alert\", \"reset\"]}");
    const struct scenario *s = bench->set.at[0];
    const struct answer *a = s->answers[CHALLENGE_HTTP_01].at;
    assert_int_equal(s->challenges[0], CHALLENGE_DNS_01);
    assert_int_equal(s->answers[CHALLENGE_HTTP_01].n, 12);
    assert_int_equal(a[0].kind, ANSWER_OK);
    assert_int_equal(a[0].times, 1);
    assert_int_equal(a[1].kind, ANSWER_HTTP);
    assert_int_equal(a[1].status, 404);
    assert_int_equal(a[1].times, 9);
    assert_true(str_is(a[1].word, "404"));
    assert_true(a[1].body.n > 0);
    assert_int_equal(a[2].status, 200);
    assert_true(str_find(a[2].body, "{proof}") < 0);
    assert_true(str_is(a[3].body, "{proof}\n"));
    assert_true(a[4].body.n > 65535);
    assert_int_equal(a[5].delivery.how, DELIVER_HANG);
    assert_int_equal(a[6].delivery.how, DELIVER_SLOW);
    assert_int_equal(a[6].delivery.over_ms, 3000);
    assert_int_equal(a[7].kind, ANSWER_OK);
    assert_int_equal(a[7].delivery.delay_ms, 2000);
    assert_int_equal(a[7].times, 2);
    assert_int_equal(a[8].delivery.how, DELIVER_TRUNCATED);
    assert_int_equal(a[8].delivery.at_byte, 5);
    assert_true(str_is(a[9].redirect, "http://b.test/{token}"));
    assert_int_equal(a[9].status, 302);
    assert_int_equal(a[10].status, 503);
    assert_true(str_is(headers_get(a[10].headers, "retry-after"), "10"));
    assert_int_equal(a[10].delivery.delay_ms, 1000);
    assert_int_equal(a[10].times, 4);
    assert_int_equal(a[11].kind, ANSWER_HTTP);
    assert_true(str_is(a[11].body, "x{proof}"));
    a = s->answers[CHALLENGE_DNS_01].at;
    assert_int_equal(a[0].kind, ANSWER_OK);
    assert_int_equal(a[1].rcode, DNS_NXDOMAIN);
    assert_int_equal(a[2].n_records, 1);
    assert_int_equal(a[3].delivery.how, DELIVER_HANG);
    assert_int_equal(a[4].n_records, 2);
    assert_true(str_is(a[4].records[1], "{proof}"));
    assert_int_equal(a[5].rcode, DNS_SERVFAIL);
    assert_int_equal(a[5].n_records, 0);
    a = s->answers[CHALLENGE_TLS_ALPN_01].at;
    assert_int_equal(a[0].kind, ANSWER_OK);
    assert_int_equal(a[1].defect, TLS_WRONG_CERT);
    assert_int_equal(a[1].times, 2);
    assert_int_equal(a[2].defect, TLS_ALERT);
    assert_int_equal(a[3].delivery.how, DELIVER_RESET);
    done(bench);
}

static void test_replies_and_client(void **state)
{
    (void)state;
    struct bench *bench =
        load("\"ca\": {\"replies\": {\"poll order\": [{\"order\": \"processing\", \"retry_after\": \"date+20s\", "
             "\"delay\": \"2s\"}, {\"error\": \"rateLimited\"},"
             " {\"status\": 500, \"times\": \"always\"}]}},"
             "\"client\": {\"prefers\": [\"dns-01\", \"http-01\"], \"on_failure\": \"fall back\", \"key\": \"RS256\","
             " \"habits\": [\"answers-again\", \"poll-every 250ms\"],"
             " \"steps\": [\"create order\", \"answer http-01\", \"poll challenge x5 every 1s\", \"poll http-01 until "
             "final\", \"wait 1m\", \"obtain\"]}");
    const struct scenario *s = bench->set.at[0];
    const struct replies *r = &s->replies[REQUEST_POLL_ORDER];
    assert_true(s->has_replies);
    assert_int_equal(r->n, 3);
    assert_int_equal(r->at[0].order, STATUS_PROCESSING);
    assert_true(str_is(r->at[0].retry_after, "date+20s"));
    assert_int_equal(r->at[0].delay_ms, 2000);
    assert_int_equal(r->at[0].times, 1);
    assert_int_equal(r->at[1].status, 429);
    assert_int_equal(r->at[2].times, 0);
    const struct client_plan *c = &s->client;
    assert_int_equal(c->n_prefers, 2);
    assert_int_equal(c->prefers[0], CHALLENGE_DNS_01);
    assert_int_equal(c->on_failure, FAIL_NEW_ORDER);
    assert_int_equal(c->key, KEY_RSA);
    assert_true(c->habits.answers_again);
    assert_false(c->habits.ignores_retry_after);
    assert_int_equal(c->habits.poll_every_ms, 250);
    assert_int_equal(c->habits.poll_limit_ms, 1800000);
    assert_int_equal(c->n_steps, 6);
    assert_int_equal(c->steps[1].kind, STEP_ANSWER);
    assert_int_equal(c->steps[1].type, CHALLENGE_HTTP_01);
    assert_int_equal(c->steps[2].kind, STEP_POLL_CHALLENGE);
    assert_int_equal(c->steps[2].times, 5);
    assert_int_equal(c->steps[2].every_ms, 1000);
    assert_int_equal(c->steps[2].type, CHALLENGE_DNS_01); /* the preferred one */
    assert_true(c->steps[3].until_final);
    assert_int_equal(c->steps[3].type, CHALLENGE_HTTP_01);
    assert_int_equal(c->steps[4].every_ms, 60000);
    done(bench);
    /* Each habit is its own word. */
    size_t n;
    const char *const *words = habit_words(&n);
    struct arena arena = {0};
    for (size_t i = 0; i < n; i++) {
        bool duration = strncmp(words[i], "poll-", 5) == 0;
        bench = load(str_fmt(&arena, "\"client\": {\"habits\": [\"%s%s\"]}", words[i], duration ? " 7s" : "").at);
        const struct habits *h = &bench->set.at[0]->client.habits;
        size_t set = 0;
        for (size_t k = 0; k + 2 < n; k++)
            set += ((const bool *)h)[k];
        assert_int_equal(set, duration ? 0 : 1);
        if (!duration) assert_true(((const bool *)h)[i]);
        assert_int_equal((h->poll_every_ms == 7000) + (h->poll_limit_ms == 7000), duration ? 1 : 0);
        assert_true(scenario_unfit(&arena, bench->set.at[0], MODE_CLIENT).n > 0);
        done(bench);
    }
    arena_done(&arena);
}

static void test_steps(void **state)
{
    (void)state;
    struct bench *bench =
        load("\"given\": {\"identifiers\": [\"127.0.0.1\", \"::1\"]},"
             "\"client\": {\"steps\": [\"create account with wrong mac\", \"read account by old key x2\","
             " \"update account with contact mailto:a@b.test every 1s x3\", \"change key with wrong old key\","
             " \"revoke certificate by certificate key with reason 4\", \"revoke certificate with reason 0\","
             " \"download alternate\", \"use other account\", \"renew\", \"poll order by GET x2\","
             " \"revoke certificate\", \"download\"]}");
    const struct step *step = bench->set.at[0]->client.steps;
    assert_int_equal(bench->set.at[0]->client.n_steps, 12);
    assert_int_equal(step[0].kind, STEP_CREATE_ACCOUNT);
    assert_int_equal(step[0].way, WAY_WRONG_MAC);
    assert_int_equal(step[1].way, WAY_OLD_KEY);
    assert_int_equal(step[1].times, 2);
    assert_true(str_is(step[2].contact, "mailto:a@b.test"));
    assert_int_equal(step[2].every_ms, 1000);
    assert_int_equal(step[2].times, 3);
    assert_int_equal(step[3].way, WAY_WRONG_OLD_KEY);
    assert_int_equal(step[4].way, WAY_CERTIFICATE_KEY);
    assert_int_equal(step[4].reason, 4);
    assert_int_equal(step[5].way, WAY_PLAIN);
    assert_int_equal(step[5].reason, 0);
    assert_int_equal(step[6].kind, STEP_DOWNLOAD_ALTERNATE);
    assert_int_equal(step[7].kind, STEP_OTHER_ACCOUNT);
    assert_int_equal(step[8].kind, STEP_RENEW);
    assert_int_equal(step[9].way, WAY_GET);
    assert_int_equal(step[9].times, 2);
    assert_int_equal(step[10].reason, -1);
    assert_int_equal(step[11].kind, STEP_DOWNLOAD);
    done(bench);
    bench = load("\"given\": {\"challenges\": [\"dns-account-01\"]}, \"client\": {\"steps\": [\"provision "
                 "dns-account-01\", \"answer dns-account-01\", \"withdraw dns-account-01 x2\"]}");
    step = bench->set.at[0]->client.steps;
    assert_int_equal(bench->set.at[0]->client.n_steps, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(step[i].type, CHALLENGE_DNS_ACCOUNT_01);
    assert_int_equal(step[1].kind, STEP_ANSWER);
    assert_int_equal(step[2].times, 2);
    done(bench);
    refused("\"client\": {\"steps\": [\"anser dns-account-01\"]}", "did you mean \"answer dns-account-01\"?");
    refused("\"client\": {\"steps\": [\"provison dns-account-01\"]}", "did you mean \"provision dns-account-01\"?");
    refused("\"client\": {\"steps\": [\"withdrw dns-account-01\"]}", "did you mean \"withdraw dns-account-01\"?");
    refused("\"client\": {\"steps\": [\"revoke certificate with reason many\"]}", "a reason is a number");
    refused("\"client\": {\"steps\": [\"revoke certificate by GET\"]}", "unknown step");
    refused("\"client\": {\"steps\": [\"revoke certifikate\"]}", "did you mean \"revoke certificate\"?");
    refused("\"client\": {\"steps\": [\"renew x2\"]}", "unknown step");
    refused("\"client\": {\"steps\": [\"change key with wrong inner\"]}", "unknown step");
    refused("\"given\": {\"identifiers\": [\"::0001\"]}", "not a DNS name");
}

static void test_expectations(void **state)
{
    (void)state;
    struct bench *bench =
        load("\"expect\": ["
             "{\"eventually\": \"client gets certificate\", \"within\": \"60s\"},"
             "{\"never\": \"client polls order\", \"during\": \"retry-after\", \"clause\": \"rfc8555#7.4-processing\"},"
             "{\"gap\": \"ca validates http-01\", \"at_least\": \"5s\", \"clause\": \"rfc8555#7.4-processing\", "
             "\"level\": \"MAY\"},"
             "{\"each\": \"ca reports challenge\", \"while\": \"challenge is processing\", \"after\": \"first ca fails "
             "http-01\","
             " \"has\": {\"error.type\": \"dns | connection\", \"retry-after\": \">=5s\", \"errors\": \"<=2\", "
             "\"body.a\": \"absent\"}},"
             "{\"any_of\": {\"strict\": [{\"count\": \"client finalizes\", \"is\": 1}], \"lenient\": [{\"sequence\": "
             "[\"client finalizes\", \"client gives up\"]}]}},"
             "{\"states\": \"http-01\", \"are\": [\"pending\", \"valid\"]}]");
    const struct scenario *s = bench->set.at[0];
    const struct expectation *e = s->expects;
    assert_int_equal(s->n_expects, 6);
    assert_true(str_is(e[0].name, "expect[0] eventually"));
    assert_int_equal(e[0].within_ms, 60000);
    assert_int_equal(e[0].level, LEVEL_SCENARIO);
    assert_int_equal(e[0].line, 1);
    assert_true(str_starts(e[0].source, "{\"acmedrill\": 1"));
    assert_true(e[1].during_retry_after);
    assert_int_equal(e[1].level, LEVEL_SHOULD); /* from the clause */
    assert_int_equal(e[2].level, LEVEL_MAY);
    assert_int_equal(e[2].comparison, COMPARE_AT_LEAST);
    assert_int_equal(e[2].number, 5000);
    assert_true(e[3].has_while && e[3].has_after && !e[3].has_before);
    assert_int_equal(e[3].n_has, 4);
    assert_int_equal(e[3].has[0].comparison, COMPARE_IS);
    assert_int_equal(e[3].has[0].n_values, 2);
    assert_true(str_is(e[3].has[0].values[1], "connection"));
    assert_int_equal(e[3].has[1].comparison, COMPARE_AT_LEAST);
    assert_int_equal(e[3].has[1].number, 5000);
    assert_int_equal(e[3].has[2].number, 2);
    assert_int_equal(e[3].has[3].comparison, COMPARE_ABSENT);
    assert_int_equal(e[4].n_groups, 2);
    assert_true(str_is(e[4].groups[0].name, "strict"));
    assert_true(str_is(e[4].groups[0].at[0].name, "expect[4] any_of.strict[0] count"));
    assert_int_equal(e[4].groups[1].at[0].n_sequence, 2);
    assert_true(e[5].states_of_challenge_type);
    assert_int_equal(e[5].n_states, 2);
    assert_int_equal(e[5].states[1], STATUS_VALID);
    done(bench);
}

static void test_variants_and_defects(void **state)
{
    (void)state;
    static const char text[] =
        "{\"acmedrill\": 1, \"title\": \"t\", \"given\": {\"identifiers\": [\"x.test\"], \"profile\": \"vault\"}, "
        "\"responder\": {\"http-01\": [\"404\", \"ok\"]},"
        "\"client\": {\"key\": \"ES384\"}, \"expect\": [{\"never\": \"client gives up\"}], \"variants\": {"
        "\"one\": {\"given\": {\"profile\": \"boulder\"}, \"expect\": [{\"count\": \"client finalizes\", \"is\": 1}]},"
        "\"two\": {\"responder\": {\"http-01\": [\"empty\"]}, \"title\": \"other\", \"unless\": [\"hangs\"]}}}";
    struct bench *bench = load_over(str_c(text), NULL);
    assert_int_equal(bench->e, OK);
    assert_int_equal(bench->set.n, 2);
    const struct scenario *one = bench->set.at[0], *two = bench->set.at[1];
    assert_true(str_is(scenario_name(&bench->arena, one), "x#one"));
    assert_true(str_is(one->profile->name, "boulder"));
    assert_true(one->profile_named);
    assert_true(str_is(one->identifiers[0], "x.test"));
    assert_int_equal(one->n_expects, 2);
    assert_true(str_is(one->expects[1].name, "expect[1] count"));
    assert_int_equal(one->answers[CHALLENGE_HTTP_01].n, 2);
    assert_true(str_is(two->profile->name, "vault"));
    assert_true(str_is(two->title, "other"));
    assert_int_equal(two->n_expects, 1);
    assert_int_equal(two->n_unless, 1);
    assert_int_equal(two->answers[CHALLENGE_HTTP_01].n, 1);
    assert_true(str_is(two->answers[CHALLENGE_HTTP_01].at[0].word, "empty"));
    assert_int_equal(two->client.key, KEY_P384);
    done(bench);

    struct arena arena = {0};
    struct complaints complaints = {.arena = &arena};
    struct paper defect;
    assert_int_equal(paper_parse(&arena, STR("defect.json"),
                                 STR("{\"title\": \"hasty\", \"client\": {\"habits\": [\"ignores-retry-after\"]}, "
                                     "\"given\": {\"profile\": {\"retry\": \"none\"}}}"),
                                 &complaints, &defect),
                     OK);
    bench = load_over(str_c(text), &defect);
    assert_int_equal(bench->e, OK);
    for (size_t i = 0; i < 2; i++) {
        assert_true(bench->set.at[i]->client.habits.ignores_retry_after);
        assert_int_equal(bench->set.at[i]->client.key, KEY_P384);
        assert_int_equal(bench->set.at[i]->profile->retry.count, 0);
        assert_true(str_is(bench->set.at[i]->title, i ? "other" : "t"));
    }
    done(bench);
    paper_done(&defect);
    assert_int_equal(paper_parse(&arena, STR("defect.json"), STR("{\"expect\": []}"), &complaints, &defect), OK);
    bench = load_over(str_c(text), &defect);
    assert_int_equal(bench->e, ERR_MALFORMED);
    assert_string_equal(bench->complaints.at[0].file.at, "defect.json");
    done(bench);
    paper_done(&defect);
    arena_done(&arena);
}

static void test_contradictions(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"{\"count\": \"client finalizes\", \"is\": 1}",                "{\"count\": \"client finalizes\", \"is\": 2}"      },
        {"{\"count\": \"client finalizes\", \"at_most\": 1}",           "{\"count\": \"client finalizes\", \"at_least\": 2}"},
        {"{\"gap\": \"client polls order\", \"at_most\": \"1s\"}",
         "{\"gap\": \"client polls order\", \"at_least\": \"2s\"}"                                                          },
        {"{\"never\": \"client gives up\"}",                            "{\"eventually\": \"client gives up\"}"             },
        {"{\"sequence\": [\"client finalizes\", \"client gives up\"]}", "{\"never\": \"client gives up\"}"                  },
        {"{\"count\": \"client gives up\", \"is\": 0}",                 "{\"eventually\": \"client gives up\"}"             },
        {"{\"states\": \"order\", \"are\": [\"pending\"]}",
         "{\"states\": \"order\", \"are\": [\"pending\", \"ready\"]}"                                                       },
    };
    static const char *const fine[][2] = {
        {"{\"count\": \"client finalizes\", \"at_least\": 1}",                 "{\"count\": \"client finalizes\", \"is\": 2}"},
        {"{\"count\": \"client finalizes\", \"is\": 1}",
         "{\"count\": \"client finalizes\", \"is\": 2, \"after\": \"client gives up\"}"                                      },
        {"{\"never\": \"client gives up\", \"before\": \"client finalizes\"}", "{\"eventually\": \"client gives up\"}"       },
        {"{\"states\": \"order\", \"are\": [\"pending\"]}",
         "{\"states\": \"authz\", \"are\": [\"pending\", \"valid\"]}"                                                        },
        {"{\"never\": \"second client creates order\"}",                       "{\"eventually\": \"client creates order\"}"  },
        {"{\"gap\": \"client polls order\", \"at_least\": \"1s\"}",
         "{\"gap\": \"client polls authz\", \"at_most\": \"500ms\"}"                                                         },
    };
    struct arena arena = {0};
    for (size_t i = 0; i < COUNTOF(pairs); i++)
        for (size_t swap = 0; swap < 2; swap++)
            refused(str_fmt(&arena, "\"expect\": [%s, %s]", pairs[i][swap], pairs[i][1 - swap]).at,
                    "this contradicts line 1, \"expect[0]");
    for (size_t i = 0; i < COUNTOF(fine); i++)
        done(load(str_fmt(&arena, "\"expect\": [%s, %s]", fine[i][0], fine[i][1]).at));
    refused("\"expect\": [{\"never\": \"client answers dns-01\"}]", "can never happen");
    refused("\"expect\": [{\"any_of\": {\"a\": [{\"never\": \"dns-01 leaves pending\"}], \"b\": [{\"never\": \"client "
            "gives up\"}]}}]",
            "can never happen");
    refused("\"responder\": {\"dns-01\": [\"ok\"]}", "nobody will ask");
    refused("\"given\": {\"challenges\": [\"dns-01\"]}, \"client\": {\"steps\": [\"answer http-01\"]}",
            "cannot be done");
    done(load("\"given\": {\"challenges\": [\"dns-01\"]}, \"responder\": {\"dns-01\": [\"ok\"]}, \"expect\": "
              "[{\"never\": \"ca fails dns-01\"}]"));
    arena_done(&arena);
}

static void unfit(const char *members, enum mode mode, const char *why)
{
    struct bench *bench = load(members);
    struct str text = scenario_unfit(&bench->arena, bench->set.at[0], mode);
    if (why ? str_find(text, why) < 0 : text.n > 0)
        fail_msg("%s: \"%.*s\", not \"%s\"", members, STR_ARGS(text), why ? why : "");
    assert_int_equal(scenario_unfit(&bench->arena, bench->set.at[0], MODE_SIMULATE).n, 0);
    done(bench);
}

static void test_where_it_can_run(void **state)
{
    (void)state;
    unfit("\"ca\": {\"replies\": {\"finalize\": [{\"status\": 500}]}}", MODE_SERVER, "ca.replies");
    unfit("\"ca\": {\"replies\": {\"finalize\": [{\"status\": 500}]}}", MODE_CLIENT, NULL);
    unfit("\"ca\": {\"replies\": {\"finalize\": []}}", MODE_SERVER, NULL);
    unfit("\"client\": {\"steps\": [\"obtain\"]}", MODE_CLIENT, "client.steps");
    unfit("\"given\": {\"identifiers\": [\"127.0.0.1\"]}", MODE_CLIENT, "an address is ordered");
    unfit("\"given\": {\"identifiers\": [\"127.0.0.1\"]}", MODE_SERVER, NULL);
    unfit("\"client\": {\"steps\": [\"obtain\"]}", MODE_SERVER, NULL);
    unfit("\"client\": {\"habits\": [\"never-polls\"]}", MODE_CLIENT, "client.habits");
    unfit("\"client\": {\"on_failure\": \"fall back\"}", MODE_CLIENT, NULL);
    unfit("\"given\": {\"challenges\": [\"http-01\", \"dns-01\"]}", MODE_CLIENT, "dns-01");
    unfit("\"given\": {\"challenges\": [\"http-01\", \"dns-01\"]}, \"responder\": {\"dns-01\": [\"servfail\"]}",
          MODE_CLIENT, NULL);
    unfit("\"given\": {\"challenges\": [\"http-01\", \"dns-01\"]}, \"responder\": {\"dns-01\": [\"servfail\"]}",
          MODE_SERVER, "dns-01");
    unfit("\"given\": {\"challenges\": [\"tls-alpn-01\"]}", MODE_SERVER, "http-01 is not offered");
    unfit("\"responder\": {\"http-01\": [\"refused\", \"ok\"]}", MODE_SERVER, "refused");
    unfit("\"responder\": {\"http-01\": [\"refused\"]}", MODE_SERVER, NULL);
    unfit("\"given\": {\"profile\": {\"retry\": \"none\"}}", MODE_SERVER, NULL);
}

static const char *const worked[] = {"http-01/wrong-body-then-ok", "http-01/404-502-ok", "http-01/nobody-answers",
                                     "authz/one-of-three-fails", "order/processing-http-date"};

static void test_worked_examples(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct complaints complaints = {.arena = &arena};
    struct scenario_set set = {0};
    for (size_t i = 0; i < COUNTOF(worked); i++) {
        struct str path = str_fmt(&arena, DRILL_SOURCE_DIR "/scenarios/%s.json", worked[i]);
        size_t before = set.n;
        assert_int_equal(scenario_find(&arena, path.at, NULL, &complaints, &set), OK);
        assert_true(str_is(set.at[before]->id, worked[i]));
        for (size_t k = before; k < set.n; k++) {
            struct str shown = scenario_show(&arena, set.at[k]);
            assert_true(str_utf8(shown));
            assert_true(str_find(shown, set.at[k]->title.at) > 0);
            assert_true(str_find(shown, "finalizes") > 0 || str_find(shown, "gives up") > 0);
            for (struct str line, rest = shown; rest.n;) {
                str_cut(rest, '\n', &line, &rest);
                if (str_find(line, "|") > 0 && str_find(line, "error.type") < 0) assert_true(line.n <= 84);
            }
        }
    }
    assert_int_equal(set.n, 6);
    assert_int_equal(complaints.n, 0);
    /* The chart knows how the second story ends and when. */
    struct str shown = scenario_show(&arena, set.at[2]);
    assert_true(str_find(shown, "3:50") > 0);
    assert_true(str_find(shown, "query 11") > 0);
    assert_true(str_find(shown, "and so 8 more times") > 0);
    free(set.at);
    arena_done(&arena);
}

static void test_finding(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct complaints complaints = {.arena = &arena};
    struct scenario_set set = {0};
    size_t n;
    assert_int_equal(scenario_find(&arena, DRILL_SOURCE_DIR "/scenarios", NULL, &complaints, &set), OK);
    assert_true(set.n >= 6);
    for (size_t i = 0; i < set.n; i++) {
        assert_true(str_find(set.at[i]->id, "profiles") < 0);
        assert_true(i == 0 || str_cmp(set.at[i - 1]->path, set.at[i]->path) <= 0);
    }
    assert_int_equal(scenario_lint(&arena, DRILL_SOURCE_DIR "/scenarios", &complaints, &n), OK);
    assert_true(n >= set.n + 8); /* the profiles too */
    free(set.at);
    set = (struct scenario_set){0};
    assert_int_equal(scenario_find(&arena, "/nonexistent", NULL, &complaints, &set), ERR_NOT_FOUND);
    assert_int_equal(scenario_find(&arena, folder, NULL, &complaints, &set), ERR_NOT_FOUND);
    assert_int_equal(complaints.n, 0);
    const char *bad = write_file(&arena, "a.json", STR("{")),
               *good = write_file(&arena, "b.json", STR("{\"acmedrill\": 1, \"title\": \"t\"}"));
    const char *hidden = write_file(&arena, ".c.json", STR("{"));
    assert_int_equal(scenario_find(&arena, folder, NULL, &complaints, &set), ERR_MALFORMED);
    assert_int_equal(set.n, 1); /* one bad file does not hide the good ones */
    assert_true(str_is(set.at[0]->id, "b"));
    assert_int_equal(complaints.n, 1);
    remove(bad);
    remove(good);
    remove(hidden);
    free(set.at);
    arena_done(&arena);
}

static void test_clauses(void **state)
{
    (void)state;
    const struct clause *clause;
    size_t n = 0;
    for (; (clause = clause_at(n)); n++) {
        assert_ptr_equal(clause_find(clause->id), clause);
        assert_true(clause->text.n && clause->why.n && clause->section.n);
        assert_true(clause->level <= LEVEL_MAY);
    }
    assert_true(n >= 60);
    clause = clause_find(STR("rfc8555#8.2-server-retries"));
    assert_non_null(clause);
    assert_int_equal(clause->level, LEVEL_SHOULD);
    assert_int_equal(clause->party, PARTY_CA);
    assert_null(clause_find(STR("rfc8555#0-none")));
}

/* --- hostile input --- */

static void test_truncated_everywhere(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct complaints complaints = {.arena = &arena};
    struct paper paper;
    assert_int_equal(
        paper_read(&arena, DRILL_SOURCE_DIR "/scenarios/authz/one-of-three-fails.json", &complaints, &paper), OK);
    struct str text = str_trim(paper.text);
    for (size_t n = 0; n < text.n; n++) {
        struct bench *bench = load_over((struct str){text.at, n}, NULL);
        assert_int_equal(bench->e, ERR_MALFORMED);
        assert_int_equal(bench->complaints.n, 1);
        assert_true(bench->complaints.at[0].line > 0);
        done(bench);
    }
    /* One byte changed: refused or not, never a crash, and each complaint is one line. */
    char *copy = arena_copy(&arena, text.at, text.n);
    static const char bytes[] = "\0\xff{\"[]5, :x";
    for (size_t i = 0; i < text.n; i++) {
        copy[i] = bytes[i % (sizeof bytes - 1)];
        done(load_over((struct str){copy, text.n}, NULL));
        copy[i] = text.at[i];
    }
    paper_done(&paper);
    arena_done(&arena);
}

/* Each value of a big scenario replaced by each of these: no crash, and every complaint has a place. */
static void try_values(json_t *root, json_t *node)
{
    static const char *const values[] = {"null",
                                         "true",
                                         "-1",
                                         "1.5",
                                         "\"\"",
                                         "\"x\"",
                                         "[]",
                                         "{}",
                                         "[null]",
                                         "{\"x\": {}}",
                                         "\"404 x99999999999999999999\"",
                                         "9223372036854775807"};
    json_t *child;
    const char *key;
    void *next;
    size_t i;
    for (size_t v = 0; v < COUNTOF(values); v++) {
        if (json_is_object(node)) json_object_foreach_safe(node, next, key, child)
            {
                json_incref(child);
                json_object_set_new(node, key, json_loads(values[v], JSON_DECODE_ANY, NULL));
                char *text = json_dumps(root, 0);
                struct bench *bench = load_over(str_c(text), NULL);
                for (size_t k = 0; k < bench->complaints.n && k < COMPLAINTS_KEPT; k++)
                    assert_true(bench->complaints.at[k].line == 1 && bench->complaints.at[k].column >= 1);
                done(bench);
                free(text);
                json_object_set_new(node, key, child);
            }
        json_array_foreach(node, i, child)
        {
            json_incref(child);
            json_array_set_new(node, i, json_loads(values[v], JSON_DECODE_ANY, NULL));
            char *text = json_dumps(root, 0);
            done(load_over(str_c(text), NULL));
            free(text);
            json_array_set_new(node, i, child);
        }
    }
    if (json_is_object(node)) json_object_foreach(node, key, child) try_values(root, child);
    json_array_foreach(node, i, child) try_values(root, child);
}

static void test_wrong_types_everywhere(void **state)
{
    (void)state;
    static const char *const files[] = {
        "expect-each", "replies", "client", "responder-objects", "variants", "profile-object", "everything-at-the-top"};
    struct arena arena = {0};
    for (size_t i = 0; i < COUNTOF(files); i++) {
        json_t *root =
            json_load_file(str_fmt(&arena, DRILL_SOURCE_DIR "/conformance/schema/good/%s.json", files[i]).at, 0, NULL);
        assert_non_null(root);
        try_values(root, root);
        json_decref(root);
    }
    arena_done(&arena);
}

static void test_many(void **state)
{
    (void)state;
    struct arena arena = {0};
    static const struct {
        const char *open, *each, *close;
        int n;
        bool good;
    } cases[] = {
        {"\"expect\": [",                                   "{\"eventually\": \"client gives up\"}", "]",   64,     true },
        {"\"expect\": [",                                   "{\"eventually\": \"client gives up\"}", "]",   65,     false},
        {"\"responder\": {\"http-01\": [",                  "\"ok\"",                                "]}",  64,     true },
        {"\"responder\": {\"http-01\": [",                  "\"ok\"",                                "]}",  65,     false},
        {"\"client\": {\"steps\": [",                       "\"finalize\"",                          "]}",  64,     true },
        {"\"client\": {\"steps\": [",                       "\"finalize\"",                          "]}",  65,     false},
        {"\"ca\": {\"replies\": {\"finalize\": [",          "{\"status\": 500}",                     "]}}", 64,     true },
        {"\"ca\": {\"replies\": {\"finalize\": [",          "{\"status\": 500}",                     "]}}", 65,     false},
        {"\"given\": {\"challenges\": [",                   "\"http-01\"",                           "]}",  4,      false},
        {"\"given\": {\"identifiers\": [",                  "\"a.test\"",                            "]}",  17,     false},
        {"\"expect\": [{\"sequence\": [",                   "\"client finalizes\"",                  "]}]", 33,     false},
        {"\"expect\": [{\"states\": \"order\", \"are\": [", "\"pending\"",                           "]}]", 17,     false},
        {"\"tags\": [",                                     "\"a\"",                                 "]",   100000, false},
        {"\"nonsense\": [",                                 "{\"x\": []}",                           "]",   60000,  false},
    };
    for (size_t i = 0; i < COUNTOF(cases); i++) {
        struct buf text = {.arena = &arena};
        buf_fmt(&text, "{\"acmedrill\": 1, \"title\": \"t\", %s", cases[i].open);
        for (int k = 0; k < cases[i].n; k++)
            buf_fmt(&text, "%s%s", k ? "," : "", cases[i].each);
        buf_fmt(&text, "%s}", cases[i].close);
        struct bench *bench = load_over(buf_str(&text), NULL);
        assert_int_equal(bench->e == OK, cases[i].good);
        done(bench);
    }
    /* Thousands of unknown keys are counted, not all kept, and do not take for ever. */
    struct buf text = {.arena = &arena};
    buf_add_c(&text, "{\"acmedrill\": 1");
    for (int k = 0; k < 150000; k++)
        buf_fmt(&text, ",\"k%d\":%d", k, k);
    buf_add_c(&text, "}");
    struct bench *bench = load_over(buf_str(&text), NULL);
    assert_true(bench->complaints.n > 150000);
    done(bench);
    arena_done(&arena);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_replies_and_client),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_expectations),
        cmocka_unit_test(test_variants_and_defects),
        cmocka_unit_test(test_contradictions),
        cmocka_unit_test(test_where_it_can_run),
        cmocka_unit_test(test_worked_examples),
        cmocka_unit_test(test_finding),
        cmocka_unit_test(test_clauses),
        cmocka_unit_test(test_truncated_everywhere),
        cmocka_unit_test(test_wrong_types_everywhere),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
