#include "plan/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct bench {
    struct arena arena;
    struct complaints complaints;
    struct profile profile;
};

static struct bench *load(const char *name)
{
    struct bench *bench = calloc(1, sizeof *bench);
    bench->complaints.arena = &bench->arena;
    assert_int_equal(profile_load(&bench->arena, str_c(name), &bench->complaints, &bench->profile), OK);
    assert_int_equal(bench->complaints.n, 0);
    assert_true(str_is(bench->profile.name, name));
    return bench;
}

/* The value of "p" in a file of one line. */
static struct bench *read_value(const char *text, enum err expected)
{
    struct bench *bench = calloc(1, sizeof *bench);
    struct paper paper;
    bench->complaints.arena = &bench->arena;
    struct str file = str_fmt(&bench->arena, "{\"p\": %s}", text);
    assert_int_equal(paper_parse(&bench->arena, STR("x.json"), file, &bench->complaints, &paper), OK);
    enum err e = profile_read(&bench->arena, &paper, json_object_get(paper.root, "p"), "/p", &bench->complaints,
                              &bench->profile);
    paper_done(&paper);
    if (e != expected) fail_msg("%s: %s", text, bench->complaints.n ? bench->complaints.at[0].text.at : "no complaint");
    assert_int_equal(bench->complaints.n > 0, e != OK);
    return bench;
}

static void done(struct bench *bench)
{
    arena_done(&bench->arena);
    free(bench);
}

static void refused(const char *text, int column, const char *why)
{
    struct bench *bench = read_value(text, ERR_MALFORMED);
    if (!str_starts(bench->complaints.at[0].text, why))
        fail_msg("\"%s\", not \"%s\"", bench->complaints.at[0].text.at, why);
    assert_int_equal(bench->complaints.at[0].line, 1);
    assert_int_equal(bench->complaints.at[0].column, column);
    done(bench);
}

static enum status next(const struct profile *profile, enum object o, enum status from, enum lifecycle_event ev)
{
    return profile->law.to[o][from][ev];
}

static void test_names(void **state)
{
    (void)state;
    static const char *const expected[] = {"boulder", "pebble",        "rfc8555", "same-authz",
                                           "step-ca", "step-ca-retry", "vault",   "zerossl"};
    size_t n, failures;
    const char *const *names = profile_names(&n);
    const char *const *words = profile_failures(&failures);
    for (size_t i = 0; i < COUNTOF(expected); i++) {
        bool found = false;
        for (size_t k = 0; k < n; k++)
            found |= strcmp(names[k], expected[i]) == 0;
        assert_true(found);
    }
    for (size_t i = 0; i < n; i++) {
        assert_true(i == 0 || strcmp(names[i - 1], names[i]) < 0);
        struct bench *bench = load(names[i]);
        assert_true(bench->profile.title.n > 0);
        assert_true(bench->profile.note.n > 0);
        assert_true(bench->profile.query_limit_ms > 0);
        assert_true(bench->profile.probes_per_query > 0);
        /* Every failure has its row, its type and its text. */
        for (size_t k = 0; k < failures; k++) {
            const struct outcome *outcome = profile_outcome(&bench->profile, CHALLENGE_HTTP_01, str_c(words[k]));
            assert_true(str_ends(outcome->failure, words[k]));
            assert_true(outcome->type.n > 0);
            assert_in_range(outcome->status, 400, 599);
            assert_true(outcome->detail.n > 0);
        }
        done(bench);
    }
}

static void test_default(void **state)
{
    (void)state;
    struct bench *bench = load(PROFILE_DEFAULT);
    const struct profile *p = &bench->profile;
    struct law law;
    law_rfc8555(&law);
    assert_memory_equal(&p->law, &law, sizeof law);
    assert_int_equal(p->retry.first_ms, 10000);
    assert_int_equal(p->retry.count, 5);
    assert_int_equal(p->errors, ERRORS_APPEND);
    assert_int_equal(p->retry_after, RETRY_AFTER_SECONDS);
    assert_int_equal(p->retry_after_challenge_ms, -1);
    assert_true(p->gives_up);
    assert_true(str_is(p->trims, " \t\r\n"));
    assert_true(profile_retries(p, profile_outcome(p, CHALLENGE_HTTP_01, STR("wrong-body"))));
    assert_true(str_is(profile_outcome(p, CHALLENGE_HTTP_01, STR("timeout"))->type, "connection"));
    assert_true(str_is(profile_outcome(p, CHALLENGE_HTTP_01, STR("nxdomain"))->type, "dns"));
    assert_true(str_is(profile_outcome(p, CHALLENGE_HTTP_01, STR("tls-alert"))->type, "tls"));
    assert_true(str_is(profile_outcome(p, CHALLENGE_HTTP_01, STR("no such word"))->failure, "any"));
    done(bench);
}

static void test_presets(void **state)
{
    (void)state;
    struct bench *bench = load("boulder");
    const struct profile *p = &bench->profile;
    assert_int_equal(p->retry.count, 0);
    assert_int_equal(next(p, OBJECT_CHALLENGE, STATUS_PENDING, EV_RESPONSE), STATUS_PENDING);
    assert_int_equal(next(p, OBJECT_CHALLENGE, STATUS_PENDING, EV_GAVE_UP), STATUS_INVALID);
    assert_int_equal(next(p, OBJECT_AUTHZ, STATUS_PENDING, EV_CHALLENGE_FAILED), STATUS_INVALID);
    assert_false(p->redirect_any_port);
    assert_false(profile_retries(p, profile_outcome(p, CHALLENGE_HTTP_01, STR("refused"))));
    assert_true(str_is(profile_outcome(p, CHALLENGE_HTTP_01, STR("bad-status"))->type, "unauthorized"));
    assert_int_equal(profile_outcome(p, CHALLENGE_HTTP_01, STR("bad-status"))->status, 403);
    assert_true(str_is(p->base, "rfc8555"));
    done(bench);

    bench = load("step-ca-retry");
    p = &bench->profile;
    assert_int_equal(p->retry.first_ms, 12000);
    assert_int_equal(p->retry.count, 10);
    assert_false(p->gives_up);
    assert_true(p->client_retry_restarts);
    assert_true(profile_retries(p, profile_outcome(p, CHALLENGE_HTTP_01, STR("bad-status"))));
    assert_true(profile_retries(p, profile_outcome(p, CHALLENGE_HTTP_01, STR("garbage"))));
    assert_false(profile_retries(p, profile_outcome(p, CHALLENGE_HTTP_01, STR("wrong-body"))));
    assert_true(str_is(profile_outcome(p, CHALLENGE_HTTP_01, STR("wrong-body"))->type, "incorrectResponse"));
    done(bench);

    bench = load("step-ca");
    p = &bench->profile;
    assert_true(p->validates_inside_post);
    assert_true(p->read_queries);
    assert_int_equal(profile_outcome(p, CHALLENGE_HTTP_01, STR("refused"))->then, THEN_STAYS);
    assert_int_equal(profile_outcome(p, CHALLENGE_HTTP_01, STR("wrong-txt"))->then, THEN_STAYS);
    assert_int_equal(profile_outcome(p, CHALLENGE_HTTP_01, STR("wrong-body"))->then, THEN_FINAL);
    assert_int_equal(next(p, OBJECT_AUTHZ, STATUS_PENDING, EV_CHALLENGE_FAILED), STATUS_PENDING);
    assert_int_equal(next(p, OBJECT_AUTHZ, STATUS_PENDING, EV_CHALLENGES_EXHAUSTED), STATUS_PENDING);
    done(bench);

    bench = load("same-authz");
    p = &bench->profile;
    assert_int_equal(next(p, OBJECT_AUTHZ, STATUS_PENDING, EV_CHALLENGE_FAILED), STATUS_PENDING);
    assert_int_equal(next(p, OBJECT_AUTHZ, STATUS_PENDING, EV_CHALLENGES_EXHAUSTED), STATUS_INVALID);
    done(bench);

    bench = load("vault");
    p = &bench->profile;
    assert_int_equal(p->retry.first_ms, 5000);
    assert_int_equal(p->retry.growth_ms, 5000);
    assert_int_equal(p->retry.count, 4);
    assert_true(str_is(profile_outcome(p, CHALLENGE_HTTP_01, STR("nxdomain"))->type, "incorrectResponse"));
    assert_int_equal(p->max_body, 512);
    done(bench);

    bench = load("zerossl");
    assert_int_equal(bench->profile.retry_after_authz_ms, INT64_C(86400000));
    assert_int_equal(bench->profile.retry_after_challenge_ms, 10000);
    done(bench);

    bench = load("pebble");
    assert_int_equal(bench->profile.probes_per_query, 3);
    assert_true(bench->profile.invalid_authz_shows_only_tried);
    assert_int_equal(profile_outcome(&bench->profile, CHALLENGE_TLS_ALPN_01, STR("truncated"))->status, 500);
    done(bench);
}

static void test_object_over_a_base(void **state)
{
    (void)state;
    struct bench *bench =
        read_value("{\"base\": \"boulder\", \"retry\": \"1m x2\", \"retry_after_challenge\": \"90s\", "
                   "\"outcomes\": {\"any\": {\"then\": \"retry\"}, \"refused\": {\"type\": \"serverInternal\"}}, "
                   "\"transitions\": {\"order\": {\"ready finalize\": \"refused\"}}}",
                   OK);
    const struct profile *p = &bench->profile;
    assert_int_equal(p->name.n, 0);
    assert_true(str_is(p->base, "boulder"));
    assert_int_equal(p->retry.first_ms, 60000);
    assert_int_equal(p->retry_after_challenge_ms, 90000);
    assert_int_equal(profile_outcome(p, CHALLENGE_HTTP_01, STR("wrong-body"))->then, THEN_RETRY);
    assert_true(str_is(profile_outcome(p, CHALLENGE_HTTP_01, STR("wrong-body"))->type, "unauthorized"));
    assert_true(str_is(profile_outcome(p, CHALLENGE_HTTP_01, STR("refused"))->type, "serverInternal"));
    assert_int_equal(profile_outcome(p, CHALLENGE_HTTP_01, STR("refused"))->status, 500); /* the type's usual status */
    assert_int_equal(next(p, OBJECT_ORDER, STATUS_READY, EV_FINALIZE), STATUS_NONE);
    assert_int_equal(next(p, OBJECT_CHALLENGE, STATUS_PENDING, EV_RESPONSE), STATUS_PENDING); /* inherited */
    done(bench);
    bench = read_value("\"vault\"", OK);
    assert_true(str_is(bench->profile.name, "vault"));
    done(bench);
    bench = read_value("{}", OK);
    struct bench *plain = load(PROFILE_DEFAULT);
    assert_int_equal(bench->profile.retry.count, plain->profile.retry.count);
    assert_memory_equal(&bench->profile.law, &plain->profile.law, sizeof(struct law));
    done(plain);
    done(bench);
}

static void test_complaints(void **state)
{
    (void)state;
    refused("\"bolder\"", 7, "unknown profile \"bolder\" - did you mean \"boulder\"?");
    refused("\"../../etc/passwd\"", 7, "unknown profile \"../../etc/passwd\"");
    refused("[]", 7, "a profile: a name or an object is expected here, not a list");
    refused("{\"base\": 5}", 16, "the name of a profile is expected here, not a whole number");
    refused("{\"rety\": \"none\"}", 8, "unknown key in a profile \"rety\" - did you mean \"retry\"?");
    refused("{\"retry\": \"12s\"}", 17, "\"12s\" is not a schedule: write \"12s x10\", \"5s+5s x4\" or \"none\"");
    refused("{\"retry\": \"12s x9999\"}", 17, "\"12s x9999\": waits are from 100ms to 1d, retries from 1 to 1000");
    refused("{\"retry_after\": \"http-date\"}", 23,
            "unknown form of Retry-After \"http-date\" - it can be \"none\", \"seconds\", \"date\" or \"rfc3339\"");
    refused("{\"transitions\": {\"challenge\": {\"ready response\": \"valid\"}}}", 38,
            "unknown state \"ready\" - it can be \"pending\", \"processing\", \"valid\" or \"invalid\"");
    refused("{\"transitions\": {\"challenge\": {\"pending\": \"valid\"}}}", 38,
            "a row is a state and an event, such as \"pending response\"");
    refused("{\"transitions\": {\"challenge\": {\"pending response\": \"ready\"}}}", 58,
            "unknown state \"ready\" - it can be \"pending\", \"processing\", \"valid\", \"invalid\" or \"refused\"");
    refused("{\"outcomes\": {\"any\": {\"detail\": \"{nam}\"}}}", 39,
            "unknown place for a value \"{nam}\" - did you mean \"{name}\"?");
}

static void test_whom_it_serves(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct bench *bench = load(PROFILE_DEFAULT);
    assert_true(str_is(bench->profile.terms, "terms"));
    assert_int_equal(bench->profile.orders_per_page, 50);
    assert_int_equal(bench->profile.n_external_accounts, 0);
    assert_false(bench->profile.pre_authorization);
    for (int limit = 0; limit < LIMIT_COUNT; limit++)
        assert_int_equal(bench->profile.limits[limit].count, 0);
    done(bench);
    bench = read_value("{\"terms\": \"terms/v2\", \"external_account_required\": true, \"external_accounts\": "
                       "{\"kid-1\": \"AAECAwQFBgcICQoLDA0ODw\"}, \"pre_authorization\": true, \"orders_per_page\": 2, "
                       "\"rate_limits\": {\"new-order\": \"300 per 3h\", \"new-account\": \"none\"}}",
                       OK);
    const struct profile *p = &bench->profile;
    assert_true(str_is(p->terms, "terms/v2"));
    assert_true(p->external_account_required && p->pre_authorization);
    assert_int_equal(p->n_external_accounts, 1);
    assert_true(str_is(p->external_accounts[0].kid, "kid-1"));
    assert_int_equal(p->external_accounts[0].mac_key.n, 16);
    assert_int_equal(p->external_accounts[0].mac_key.at[15], 15);
    assert_int_equal(p->orders_per_page, 2);
    assert_int_equal(p->limits[LIMIT_NEW_ORDER].count, 300);
    assert_int_equal(p->limits[LIMIT_NEW_ORDER].per_ms, INT64_C(10800000));
    assert_int_equal(p->limits[LIMIT_NEW_ACCOUNT].count, 0);
    assert_int_equal(p->limits[LIMIT_DUPLICATE_CERTIFICATE].count, 0);
    struct bench *plain = load(PROFILE_DEFAULT);
    assert_string_equal(profile_differs(p, &plain->profile, &plain->profile), "external_account_required");
    done(plain);
    done(bench);

    bench = read_value("{\"rate_limits\": {\"new-order\": \"1 per 1h\"}}", OK);
    plain = load(PROFILE_DEFAULT);
    assert_string_equal(profile_differs(&bench->profile, &plain->profile, &plain->profile), "rate_limits");
    assert_null(profile_differs(&bench->profile, &plain->profile, &bench->profile));
    done(plain);
    done(bench);

    refused("{\"terms\": \"/tos\"}", 17, "\"/tos\" is no path of terms");
    refused("{\"terms\": \"terms?\"}", 17, "\"terms?\" is no path of terms");
    refused("{\"external_accounts\": {\"kid-1\": \"AAECAwQFBgcICQoLDA0ODw==\"}}", 39, "a MAC key is 16 to 1024 octets");
    refused("{\"external_accounts\": {\"kid-1\": \"AAECAwQFBgcICQoLDA0O\"}}", 39, "a MAC key is 16 to 1024 octets");
    refused("{\"external_accounts\": {\"k\\u00fc\": \"AAECAwQFBgcICQoLDA0ODw\"}}", 30, "a key identifier is");
    refused("{\"rate_limits\": {\"new-orders\": \"1 per 1h\"}}", 24,
            "unknown rate limit \"new-orders\" - did you mean \"new-order\"?");
    refused("{\"rate_limits\": {\"new-order\": \"1/h\"}}", 37, "\"1/h\" is not a rate: write \"300 per 3h\"");
    refused("{\"rate_limits\": {\"new-order\": \"0 per 1h\"}}", 37, "\"0 per 1h\": a rate is 1 to 100000 per");
    refused("{\"orders_per_page\": 0}", 27, "0 ");

    struct buf many = {.arena = &arena};
    for (int i = 0; i <= PROFILE_MAX_EXTERNAL_ACCOUNTS; i++)
        buf_fmt(&many, "%s\"k%d\": \"AAECAwQFBgcICQoLDA0ODw\"", i ? ", " : "{\"external_accounts\": {", i);
    buf_add_c(&many, "}}");
    done(read_value(buf_str(&many).at, ERR_MALFORMED));
    arena_done(&arena);
}

/* No value of a wrong type is taken anywhere, and none does harm. */
static void test_wrong_types_at_every_key(void **state)
{
    (void)state;
    static const char *const keys[] = {"title",
                                       "note",
                                       "base",
                                       "retry",
                                       "retry_on",
                                       "gives_up",
                                       "errors",
                                       "client_retry",
                                       "client_retry_every",
                                       "client_retry_restarts",
                                       "read_queries",
                                       "validates_inside_post",
                                       "query_delay",
                                       "query_timeout",
                                       "probes_per_query",
                                       "max_redirects",
                                       "redirect_any_port",
                                       "max_body",
                                       "trims",
                                       "retry_after",
                                       "retry_after_challenge",
                                       "retry_after_authz",
                                       "retry_after_order",
                                       "retry_after_before_failure",
                                       "issue_delay",
                                       "order_shows_error",
                                       "invalid_authz_shows_only_tried",
                                       "reuses_authz",
                                       "authz_lifetime",
                                       "order_lifetime",
                                       "certificate_lifetime",
                                       "terms_required",
                                       "terms",
                                       "external_account_required",
                                       "external_accounts",
                                       "pre_authorization",
                                       "orders_per_page",
                                       "rate_limits",
                                       "failed_challenge",
                                       "transitions",
                                       "outcomes"};
    static const char *const values[] = {"null", "-1", "1e300", "[]", "[[1]]", "{\"x\": 1}", "9223372036854775807"};
    for (size_t k = 0; k < COUNTOF(keys); k++)
        for (size_t v = 0; v < COUNTOF(values); v++) {
            struct arena arena = {0};
            struct str text = str_fmt(&arena, "{\"%s\": %s}", keys[k], values[v]);
            done(read_value(text.at, ERR_MALFORMED));
            arena_done(&arena);
        }
}

static void test_schedules(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct retry_schedule schedule;
    static const char *const good[] = {"none", "12s x10", "5s+5s x4", "1m30s x1", "100ms+1h x1000"};
    static const char *const malformed[] = {"",        "x10",     "12s",    "12s x",  "12s x0", "12s x-1", "12 x3",
                                            "12s  x3", "12s x3 ", "5s+ x3", "+5s x3", "12s 3",  "None"};
    for (size_t i = 0; i < COUNTOF(good); i++) {
        assert_int_equal(retry_schedule_read(str_c(good[i]), &schedule), OK);
        assert_string_equal(retry_schedule_text(&arena, &schedule).at, good[i]);
    }
    for (size_t i = 0; i < COUNTOF(malformed); i++)
        assert_int_equal(retry_schedule_read(str_c(malformed[i]), &schedule), ERR_MALFORMED);
    assert_int_equal(retry_schedule_read(STR("12s x1001"), &schedule), ERR_LIMIT);
    assert_int_equal(retry_schedule_read(STR("2d x1"), &schedule), ERR_LIMIT);
    assert_int_equal(retry_schedule_read(STR("0s x1"), &schedule), ERR_LIMIT);
    assert_int_equal(schedule.count, 0);
    arena_done(&arena);
}

/* A profile of one's own, in $ACMEDRILL_PROFILES; bases that go round in a circle. */
static void test_folder(void **state)
{
    (void)state;
    static const char *const files[][2] = {
        {"mine",      "{\"title\": \"mine\", \"base\": \"vault\", \"max_body\": 77}"},
        {"round",     "{\"title\": \"round\", \"base\": \"and-round\"}"             },
        {"and-round", "{\"title\": \"and round\", \"base\": \"round\"}"             },
        {"broken",    "{\"title\": "                                                }
    };
    struct arena arena = {0};
    struct complaints complaints = {.arena = &arena};
    struct profile profile;
    char folder[] = "/tmp/profile-test-XXXXXX";
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < COUNTOF(files); i++) {
        FILE *file = fopen(str_fmt(&arena, "%s/%s.json", folder, files[i][0]).at, "w");
        assert_non_null(file);
        fputs(files[i][1], file);
        fclose(file);
    }
    unsetenv("ACMEDRILL_PROFILES");
    assert_int_equal(profile_load(&arena, STR("mine"), &complaints, &profile), ERR_NOT_FOUND);
    assert_int_equal(complaints.n, 1);
    setenv("ACMEDRILL_PROFILES", folder, 1);
    complaints.n = 0;
    assert_int_equal(profile_load(&arena, STR("mine"), &complaints, &profile), OK);
    assert_int_equal(profile.max_body, 77);
    assert_int_equal(profile.retry.count, 4);
    assert_int_equal(complaints.n, 0);
    assert_int_equal(profile_load(&arena, STR("round"), &complaints, &profile), ERR_LIMIT);
    assert_true(str_find(complaints.at[0].text, "circle") >= 0);
    complaints.n = 0;
    assert_int_equal(profile_load(&arena, STR("broken"), &complaints, &profile), ERR_MALFORMED);
    assert_true(str_ends(complaints.at[0].file, "/broken.json"));
    unsetenv("ACMEDRILL_PROFILES");

    /* The same by its path, whose base is a name. */
    complaints.n = 0;
    assert_int_equal(profile_open(&arena, str_fmt(&arena, "%s/mine.json", folder), &complaints, &profile), OK);
    assert_int_equal(profile.max_body, 77);
    assert_int_equal(profile.retry.count, 4);
    assert_true(str_is(profile.name, "mine"));
    assert_true(str_is(profile.base, "vault"));
    assert_int_equal(profile_open(&arena, STR("boulder"), &complaints, &profile), OK);
    assert_int_equal(complaints.n, 0);
    assert_int_equal(profile_open(&arena, str_fmt(&arena, "%s/broken.json", folder), &complaints, &profile),
                     ERR_MALFORMED);
    assert_true(str_ends(complaints.at[0].file, "/broken.json"));
    assert_int_equal(complaints.at[0].line, 1);
    complaints.n = 0;
    assert_int_equal(profile_open(&arena, STR("nowhere.json"), &complaints, &profile), ERR_NOT_FOUND);
    assert_true(str_is(complaints.at[0].file, "nowhere.json"));
    /* A name is never a path. */
    complaints.n = 0;
    assert_int_equal(profile_load(&arena, str_fmt(&arena, "%s/mine", folder), &complaints, &profile), ERR_NOT_FOUND);
    for (size_t i = 0; i < COUNTOF(files); i++)
        remove(str_fmt(&arena, "%s/%s.json", folder, files[i][0]).at);
    remove(folder);
    arena_done(&arena);
}

static void test_certificate_rules(void **state)
{
    (void)state;
    struct bench *bench = load("rfc8555");
    const struct certificate_rules *rules = &bench->profile.certs;
    assert_int_equal(rules->revocation_reasons, 0x63b);
    assert_int_equal(rules->renewal_from, 66);
    assert_int_equal(rules->renewal_to, 90);
    assert_int_equal(profile_issuer_shape(&bench->profile).n_alternates, 0);
    assert_int_equal(profile_issuer_shape(&bench->profile).length, 1);
    assert_false(rules->ip_identifiers);
    done(bench);
    bench = read_value("{\"renewal_window\": \"none\", \"revocation_reasons\": [1], \"chain_length\": 8}", OK);
    assert_int_equal(bench->profile.certs.renewal_to, 0);
    assert_int_equal(bench->profile.certs.revocation_reasons, 2);
    assert_int_equal(profile_issuer_shape(&bench->profile).length, 8);
    done(bench);
    refused("{\"renewal_window\": \"66%\"}", 26, "\"66%\" is no part of a lifetime");
    refused("{\"renewal_window\": \"9%..9%\"}", 26, "\"9%..9%\" is no part");
    refused("{\"renewal_window\": \"-1%..9%\"}", 26, "\"-1%..9%\" is no part");
    refused("{\"renewal_window\": \"1%..%\"}", 26, "\"1%..%\" is no part");
    refused("{\"renewal_window\": \"%..%\"}", 26, "\"%..%\" is no part");
    refused("{\"renewal_window\": \"1%..1000%\"}", 26, "\"1%..1000%\" is no part");
    bench = load("boulder");
    assert_int_equal(bench->profile.certs.n_kinds, 3);
    assert_true(str_is(bench->profile.certs.kinds[1].name, "shortlived"));
    assert_int_equal(bench->profile.certs.kinds[1].lifetime_ms, INT64_C(160) * 3600 * 1000);
    done(bench);
    /* What a profile says takes the place of what its base says. */
    bench = read_value(
        "{\"base\": \"boulder\", \"certificate_profiles\": {\"x\": {\"title\": \"t\", \"lifetime\": \"1m\"}}}", OK);
    assert_int_equal(bench->profile.certs.n_kinds, 1);
    assert_true(str_is(bench->profile.certs.kinds[0].title, "t"));
    done(bench);
    refused("{\"certificate_profiles\": {\"a b\": {}}}", 33, "the name of a certificate profile has 1 to 60");
    refused("{\"certificate_profiles\": {\"a\": {\"lifetime\": \"1d\"}}}", 38,
            "a certificate profile needs a \"title\"");
    refused("{\"certificate_profiles\": {\"a\": {\"title\": \"t\", \"lifetime\": \"1s\"}}}", 65, "");
    refused("{\"certificate_profiles\": []}", 32, "");
    refused("{\"chain_length\": 0}", 24, "0 is not within 1 and 8");
    refused("{\"alternate_chains\": 9}", 28, "9 is not within 0 and 8");
    refused("{\"revocation_reasons\": [1, 11]}", 34, "11 is not within 0 and 10");
    refused("{\"revocation_reasons\": []}", 30, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_default),
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_object_over_a_base),
        cmocka_unit_test(test_complaints),
        cmocka_unit_test(test_wrong_types_at_every_key),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_certificate_rules),
        cmocka_unit_test(test_whom_it_serves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
