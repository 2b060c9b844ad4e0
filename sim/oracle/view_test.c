#include "acme/x509.h"
#include "oracle/view_bench_test.h"
#include "wire/dns.h"

#define PENDING AUTHZ_DOC("pending", HTTP("pending", ""))

/* --- asking a view --- */

static size_t count(struct bench *bench, const char *text)
{
    const struct view *view = seen(bench);
    struct phrase phrase = phrase_of(bench, str_c(text));
    size_t n = 0;
    for (size_t i = 0; i < view->n_facts; i++)
        n += view_matches(&view->facts[i], &phrase);
    return n;
}

static const struct fact *fact_of(struct bench *bench, const char *text)
{
    const struct view *view = seen(bench);
    struct phrase phrase = phrase_of(bench, str_c(text));
    for (size_t i = 0; i < view->n_facts; i++)
        if (view_matches(&view->facts[i], &phrase)) return &view->facts[i];
    fail_msg("no \"%s\"", text);
    return NULL;
}

/* All facts from number `from` on, as phrases with ";" between. */
static void facts_from(struct bench *bench, size_t from, const char *wanted)
{
    const struct view *view = seen(bench);
    struct str text, rest = str_c(wanted);
    size_t i = from;
    for (; rest.n; i++) {
        str_cut(rest, ';', &text, &rest);
        text = str_trim(text);
        struct phrase phrase = phrase_of(bench, text);
        if (i >= view->n_facts) fail_msg("fact %zu: \"%.*s\" is missing", i, STR_ARGS(text));
        if (!view_matches(&view->facts[i], &phrase))
            fail_msg("fact %zu is of deed %d, not \"%.*s\"", i, view->facts[i].deed, STR_ARGS(text));
        if (i) assert_true(view->facts[i].seq >= view->facts[i - 1].seq);
        if (i) assert_true(view->facts[i].t_ms >= view->facts[i - 1].t_ms);
    }
    if (i != view->n_facts) fail_msg("%zu facts, not %zu", view->n_facts, i);
}

static bool holds(struct bench *bench, const char *fact, const char *condition)
{
    struct phrase phrase = phrase_of(bench, str_c(condition));
    return view_holds(seen(bench), fact_of(bench, fact), &phrase);
}

static const struct exchange *last_exchange(struct bench *bench)
{
    const struct view *view = seen(bench);
    return &view->exchanges[view->n_exchanges - 1];
}

/* --- deeds --- */

static void test_plain_issuance(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 1);
    struct issuer *issuer = issuer_new(SEALING_REAL, &rng, 0);
    assert_non_null(issuer);
    struct bench *bench = begin("simulate");
    reply(bench, look(bench, "HEAD", "/new-nonce"), 200, NONCE "a", "");
    go(bench, "/new-account", "{'termsOfServiceAgreed':true}", 201, "Location: " CA "/account/1\n",
       "{'status':'valid'}");
    go_order(bench);
    go(bench, "/authz/1", READ, 200, "", PENDING);
    go(bench, "/challenge/1", "{}", 200, "", HTTP("processing", ""));
    probe(bench, "http-01", "t", 1, 1);
    go(bench, "/authz/1", READ, 200, "", AUTHZ_DOC("valid", HTTP("valid", "")));
    go(bench, "/order/1", READ, 200, "", ORDER_DOC("ready"));
    go(bench, "/order/1/finalize", "{'csr':'AAAA'}", 200, "", ISSUED_DOC);
    go(bench, "/certificate/1", READ, 200, "", issuer_root_pem(issuer).at);
    end(bench, "finished");
    facts_from(
        bench, 0,
        "client reads directory; client reads nonce; client creates account; account becomes valid; ca reports account;"
        "client creates order; order becomes pending for a.example.test; ca reports order for a.example.test;"
        "client reads authz; http-01 becomes pending for a.example.test; ca reports http-01;"
        "authz becomes pending; ca reports authz for a.example.test;"
        "client answers http-01 for a.example.test; http-01 leaves pending; http-01 becomes processing;"
        "ca reports challenge; ca validates http-01 for a.example.test;"
        "client polls authz; challenge leaves processing; challenge becomes valid; ca reports http-01;"
        "authz leaves pending; authz becomes valid; ca reports authz;"
        "client polls order; order leaves pending; order becomes ready; ca reports order;"
        "client finalizes for a.example.test; ca issues certificate; order leaves ready; order becomes valid;"
        "ca reports order; client downloads certificate; ca reports certificate;"
        "client gets certificate for a.example.test");
    const struct view *view = seen(bench);
    assert_true(str_is(view->mode, "simulate") && str_is(view->end_text, "finished"));
    assert_int_equal(view->end_ms, bench->t_ms);
    assert_int_equal(view->n_exchanges, 10);
    assert_int_equal(view->n_things, 4);
    const struct exchange *answer = fact_of(bench, "client answers http-01")->exchange;
    assert_true(answer->is_jws && !answer->post_as_get && answer->status == 200);
    assert_true(str_is(answer->alg, "ES256") && str_is(answer->jws_url, CHALLENGE_URL("1")));
    assert_true(str_is(answer->kid, CA "/account/1") && str_is(answer->payload, "{}") && answer->nonce.n);
    const struct thing *challenge = fact_of(bench, "client answers http-01")->thing;
    assert_true(str_is(challenge->token, "t") && challenge->status == STATUS_VALID);
    assert_int_equal(challenge->parent->object, OBJECT_AUTHZ);
    assert_int_equal(challenge->parent->parent->object, OBJECT_ORDER);
    done(bench);
    issuer_free(issuer);
}

static void test_reads_and_polls(void **state)
{
    (void)state;
    struct bench *bench = begin_authz("simulate", PENDING);
    go(bench, "/authz/1", READ, 200, "", PENDING);
    go(bench, "/authz/1", READ, 200, "", PENDING);
    look(bench, "GET", "/authz/1");
    ask(bench, "POST", CA "/authz/1", STR("no JWS"));
    go(bench, "/authz/1", "{'status':'deactivated'}", 200, "", AUTHZ_DOC("deactivated", HTTP("pending", "")));
    assert_int_equal(count(bench, "client reads authz"), 1);
    assert_int_equal(count(bench, "client polls authz"), 2);
    assert_int_equal(count(bench, "client deactivates authz"), 1);
    assert_int_equal(count(bench, "authz becomes deactivated"), 1);
    done(bench);
}

/* All but issuance: known by what the directory, the account and the certificate have named. */
static void test_accounts_and_certificates(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 1);
    struct issuer *issuer = issuer_new(SEALING_REAL, &rng, 0);
    struct bench *bench = begin("simulate");
    reply(bench, look(bench, "GET", "/dir"), 200, "",
          quoted(bench, "{'newNonce':'" CA "/new-nonce','newAccount':'" CA "/new-account','newOrder':'" CA
                        "/new-order','newAuthz':'" CA "/new-authz','keyChange':'" CA "/key-change','revokeCert':'" CA
                        "/revoke-cert','renewalInfo':'" CA "/renewal'}"));
    size_t from = 2;
    go(bench, "/new-account", "{}", 201, "Location: " CA "/account/1\n",
       "{'status':'valid','orders':'" CA "/account/1/orders'}");
    go(bench, "/account/1", READ, 200, "", "{'status':'valid'}");
    go(bench, "/account/1", "{'contact':[]}", 200, "", "{'status':'valid'}");
    go(bench, "/key-change", "{'payload':''}", 200, "", "");
    go(bench, "/account/1/orders", READ, 200, "Link: <" CA "/account/1/orders?p=2>;rel=\"next\"\n", "{'orders':[]}");
    go(bench, "/account/1/orders?p=2", READ, 200, "", "{'orders':[]}");
    go(bench, "/new-authz", "{}", 201, "Location: " CA "/authz/9\n",
       "{'status':'pending','identifier':{'type':'dns','value':'a.example.test'},'challenges':[]}");
    go(bench, "/authz/9", READ, 404, "", "");
    go(bench, "/new-order", "{'replaces':'x.y'}", 201, PLACE, ISSUED_DOC);
    go(bench, "/certificate/1", READ, 200, "Link: </x>;rel=\"index\", <" CA "/other/1>;rel=\"alternate\"\n",
       issuer_root_pem(issuer).at);
    go(bench, "/other/1", READ, 200, "", issuer_root_pem(issuer).at);
    reply(bench, look(bench, "GET", "/renewal/x.y"), 200, "", "{}");
    look(bench, "GET", "/renewals");
    go(bench, "/revoke-cert", "{'certificate':''}", 403, "", "");
    go(bench, "/revoke-cert", "{'certificate':''}", 200, "", "");
    go(bench, "/account/1", "{'status':'deactivated'}", 200, "", "{'status':'deactivated'}");
    facts_from(bench, from,
               "client creates account; account becomes valid; ca reports account;"
               "client reads account; ca reports account; client updates account; ca reports account;"
               "client changes key; ca changes key; client reads orders; ca reports orders;"
               "client reads orders; ca reports orders;"
               "client creates authz; authz becomes pending for a.example.test; ca reports authz;"
               "client reads authz; ca reports error;"
               "client creates order; client replaces certificate; ca issues certificate; order becomes valid;"
               "ca reports order;"
               "client downloads certificate; ca reports certificate; client gets certificate;"
               "client downloads certificate; ca reports certificate; client gets certificate;"
               "client reads renewal information; ca reports renewal information;"
               "client revokes certificate; ca reports error; client revokes certificate; ca revokes certificate;"
               "client deactivates account; account leaves valid; account becomes deactivated; ca reports account");
    done(bench);
    issuer_free(issuer);
}

static void test_answers_and_polls(void **state)
{
    (void)state;
    struct bench *bench = begin_authz("simulate", PENDING);
    go(bench, "/challenge/1", "{}", 200, "", HTTP("pending", ""));
    go(bench, "/challenge/1", READ, 200, "", HTTP("pending", ""));
    go(bench, "/challenge/1", "{}", 200, "", HTTP("pending", ""));
    assert_int_equal(count(bench, "client answers http-01"), 2);
    assert_int_equal(count(bench, "client polls challenge"), 1);
    assert_int_equal(count(bench, "client answers dns-01"), 0);
    assert_int_equal(count(bench, "client answers http-01 for b.example.test"), 0);
    assert_int_equal(count(bench, "ca reports http-01"), 4);
    assert_int_equal(count(bench, "challenge becomes pending"), 1);
    done(bench);
}

static void test_only_return_existing(void **state)
{
    (void)state;
    struct bench *bench = begin("simulate");
    problem(bench, send_post(bench, "/new-account", "{'onlyReturnExisting':true}"), 400, "",
            PROBLEM_PREFIX "accountDoesNotExist");
    facts_from(bench, 0, "client reads directory; client finds account; ca finds no account");
    assert_true(last_exchange(bench)->has_problem);
    done(bench);
    bench = begin("simulate");
    problem(bench, send_post(bench, "/new-account", "{}"), 400, "", PROBLEM_PREFIX "accountDoesNotExist");
    problem(bench, send_post(bench, "/new-account", "{'onlyReturnExisting':true}"), 400, "",
            PROBLEM_PREFIX "malformed");
    facts_from(bench, 1, "client creates account; ca reports error; client finds account; ca reports error");
    done(bench);
}

static void test_lost_reply(void **state)
{
    (void)state;
    static const struct {
        enum delivery_how how;
        int status;
        bool whole;
    } rows[] = {
        {DELIVER_HANG,      0,   false},
        {DELIVER_HANG,      201, false},
        {DELIVER_TRUNCATED, 201, false},
        {DELIVER_RESET,     0,   false},
        {DELIVER_SLOW,      201, true }
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct bench *bench = begin("simulate");
        uint64_t flow = send_post(bench, "/new-order", "{}");
        reply_open(bench, flow, rows[i].status, PLACE, quoted(bench, ORDER_DOC("pending")));
        event_add_text(&bench->history, F_DELIVERY, str_c(delivery_text(rows[i].how)));
        history_commit(&bench->history);
        /* A second answer to the same request is none. */
        reply(bench, flow, 201, PLACE, quoted(bench, ORDER_DOC("ready")));
        assert_int_equal(count(bench, "client creates order"), 1);
        assert_int_equal(count(bench, "order becomes pending"), rows[i].whole);
        assert_int_equal(count(bench, "order becomes ready"), 0);
        assert_int_equal(seen(bench)->n_things, rows[i].whole ? 2 : 0);
        assert_int_equal(last_exchange(bench)->status, rows[i].status);
        done(bench);
    }
    /* A lost error is an error all the same, but its text is not known. */
    struct bench *bench = begin("simulate");
    reply_open(bench, send_post(bench, "/new-order", "{}"), 500, "", "{\"type\":\"x\"}");
    event_add_text(&bench->history, F_DELIVERY, str_c(delivery_text(DELIVER_TRUNCATED)));
    history_commit(&bench->history);
    assert_int_equal(count(bench, "ca reports error"), 1);
    assert_false(last_exchange(bench)->has_problem);
    done(bench);
}

static void test_gives_up(void **state)
{
    (void)state;
    struct bench *bench = begin("simulate");
    client_exit(bench, "enough");
    facts_from(bench, 1, "client gives up");
    done(bench);
}

/* --- validation --- */

static void test_probes(void **state)
{
    (void)state;
    struct bench *bench = begin("simulate");
    /* Before anyone saw the challenge, by three probes; then the challenge is shown. */
    for (int i = 0; i < 3; i++)
        probe(bench, "http-01", "t", 1, 0);
    go_order(bench);
    go(bench, "/authz/1", READ, 200, "", AUTHZ_DOC("pending", HTTP("processing", ERROR("dns", "x", ""))));
    probe(bench, "http-01", "t", 2, 0);
    probe(bench, "http-01", "t", 2, -1);
    probe(bench, "http-01", "t", 3, 1);
    assert_int_equal(count(bench, "ca validates http-01"), 3);
    assert_int_equal(count(bench, "ca fails http-01 for a.example.test"), 2);
    size_t n_challenges = 0;
    for (size_t i = 0; i < seen(bench)->n_things; i++)
        n_challenges += seen(bench)->things[i]->object == OBJECT_CHALLENGE;
    assert_int_equal(n_challenges, 1);
    assert_true(str_is(fact_of(bench, "ca validates http-01")->thing->url, CHALLENGE_URL("1")));
    assert_null(fact_of(bench, "ca validates http-01")->exchange);
    done(bench);
    /* With probes in the log, a fetch at the responder is no query of its own. */
    bench = begin_authz("simulate", PENDING);
    probe(bench, "http-01", "t", 1, -1);
    bench->t_ms += 5000;
    fetch(bench, "t");
    assert_int_equal(count(bench, "ca validates challenge"), 1);
    done(bench);
}

static void test_fetches(void **state)
{
    (void)state;
    struct bench *bench = begin_authz("server", PENDING);
    static const int64_t times[] = {10000, 10300, 11999, 13998, 15998};
    for (size_t i = 0; i < COUNTOF(times); i++) {
        bench->t_ms = times[i];
        fetch(bench, "t");
    }
    fetch(bench, "unknown");
    assert_int_equal(count(bench, "ca validates http-01"), 2);
    assert_int_equal(fact_of(bench, "ca validates http-01")->t_ms, 10000);
    done(bench);
}

static void query(struct bench *bench, enum event_kind kind, const char *type, const char *name)
{
    note(bench, kind, ++bench->flow, "validator", "responder");
    event_add_text(&bench->history, F_NAME, str_c(name));
    if (type) event_add_text(&bench->history, F_TYPE, str_c(type));
    history_commit(&bench->history);
}

static void test_one_token_for_all(void **state)
{
    (void)state;
    struct bench *bench = begin_authz(
        "server", AUTHZ_DOC("pending", CHALLENGE_DOC("2", "dns-01", "t", "pending", "") "," HTTP(
                                           "pending", "") "," CHALLENGE_DOC("3", "tls-alpn-01", "t", "pending", "")));
    fetch(bench, "t");
    assert_int_equal(count(bench, "ca validates http-01"), 1);
    assert_int_equal(count(bench, "ca validates challenge"), 1);
    done(bench);
    bench = begin_authz(
        "server", AUTHZ_DOC("pending", CHALLENGE_DOC("2", "dns-01", "t", "pending", "") "," HTTP(
                                           "pending", "") "," CHALLENGE_DOC("3", "tls-alpn-01", "t", "pending", "")));
    query(bench, WIRE_DNS_QUERY, dns_type_text(DNS_A), "_acme-challenge.a.example.test");
    query(bench, WIRE_DNS_QUERY, dns_type_text(DNS_TXT), "_acme-challenge.b.example.test");
    query(bench, WIRE_DNS_QUERY, dns_type_text(DNS_TXT), "_acme-challenge.a.example.test");
    query(bench, WIRE_TLS_HELLO, NULL, "a.example.test");
    query(bench, WIRE_TLS_HELLO, NULL, "b.example.test");
    assert_int_equal(count(bench, "ca validates dns-01"), 1);
    assert_int_equal(count(bench, "ca validates tls-alpn-01"), 1);
    assert_int_equal(count(bench, "ca validates challenge"), 2);
    done(bench);
    bench =
        begin_authz("server", AUTHZ_DOC("pending", CHALLENGE_DOC("2", "dns-01", "t", "pending", "") "," CHALLENGE_DOC(
                                                       "3", "dns-account-01", "t", "pending", "")));
    query(bench, WIRE_DNS_QUERY, dns_type_text(DNS_TXT), "_ujmmovf2vn55tgye._acme-challenge.b.example.test");
    query(bench, WIRE_DNS_QUERY, dns_type_text(DNS_TXT), "_ujmmovf2vn55tgye._acme-challenge.a.example.test");
    assert_int_equal(count(bench, "ca validates dns-account-01"), 1);
    assert_int_equal(count(bench, "ca validates challenge"), 1);
    done(bench);
}

static void test_failures_by_error(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t n_fails; /* so far */
    } rows[] = {
        {HTTP("processing", ""),                      0      },
        {HTTP("processing", ERROR("dns",              "a",     "")), 1},
        {HTTP("processing",                ERROR("dns",                                        "a",                               "")), 1},
        {HTTP("processing",              ERROR("dns","b","")), 2},
        {HTTP("processing", ERROR("dns", "b",           ",'subproblems':[{'type':'x'},{}]")), 3},
        {HTTP("invalid",                ERROR("dns",                                        "b",                               ",'subproblems':[{'type':'x'},{},{}]")), 4},
        {HTTP("invalid",              ""),  4},
    };
    for (size_t n = 1; n <= COUNTOF(rows); n++) {
        struct bench *bench = begin_authz("server", PENDING);
        for (size_t i = 0; i < n; i++)
            go(bench, "/challenge/1", READ, 200, "", rows[i].body);
        if (count(bench, "ca fails http-01") != rows[n - 1].n_fails)
            fail_msg("row %zu: %zu fails", n - 1, count(bench, "ca fails http-01"));
        done(bench);
    }
    /* Where our own validator tells, errors do not. */
    struct bench *bench = begin_authz("simulate", PENDING);
    probe(bench, "http-01", "t", 1, -1);
    go(bench, "/challenge/1", READ, 200, "", HTTP("invalid", ERROR("dns", "a", "")));
    assert_int_equal(count(bench, "ca fails challenge"), 0);
    done(bench);
}

/* --- objects --- */

static void test_moves(void **state)
{
    (void)state;
    struct bench *bench = begin_authz(
        "simulate", AUTHZ_DOC("pending", HTTP("pending", "") "," CHALLENGE_DOC("2", "dns-01", "u", "pending", "")));
    go(bench, "/authz/1", READ, 200, "",
       AUTHZ_DOC("invalid", HTTP("invalid", "") "," CHALLENGE_DOC("2", "dns-01", "u", "pending", "")));
    facts_from(bench, 4,
               "client reads authz; http-01 becomes pending; ca reports http-01; dns-01 becomes pending;"
               "ca reports dns-01; authz becomes pending; ca reports authz;"
               "client polls authz; http-01 leaves pending; http-01 becomes invalid; ca reports http-01;"
               "ca reports dns-01; authz leaves pending; authz becomes invalid; ca reports authz");
    const struct fact *left = fact_of(bench, "http-01 leaves pending");
    assert_int_equal(left->was, STATUS_PENDING);
    assert_int_equal(left->now, STATUS_INVALID);
    assert_int_equal(fact_of(bench, "http-01 becomes pending")->was, STATUS_NONE);
    assert_int_equal(fact_of(bench, "ca reports dns-01")->exchange->resource, RESOURCE_AUTHZ);
    done(bench);
}

static void test_retry_after(void **state)
{
    (void)state;
    /* Each reply goes out at 0:10.1; the run began at UTC 0. */
    static const struct {
        const char *headers;
        bool given, legal, is_date;
        int64_t until_ms;
    } rows[] = {
        {"",                                           false, false, false, 0    },
        {"Retry-After: 7",                             true,  true,  false, 17100},
        {"Retry-After: Thu, 01 Jan 1970 00:00:20 GMT", true,  true,  true,  20000},
        {"Retry-After: Thu, 01 Jan 1970 00:00:05 GMT", true,  true,  true,  5000 },
        {"Retry-After: soon",                          true,  false, false, 0    },
        {"Retry-After: -5",                            true,  false, false, 0    },
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        struct bench *bench = begin("simulate");
        go_order(bench);
        go_at(bench, 10000, "/order/1", READ, 200, rows[i].headers, ORDER_DOC("processing"));
        const struct exchange *x = last_exchange(bench);
        assert_int_equal(x->has_retry_after, rows[i].given);
        assert_int_equal(x->retry_after_legal, rows[i].legal);
        if (rows[i].legal) assert_int_equal(x->retry_after_is_date, rows[i].is_date);
        if (rows[i].legal) assert_int_equal(x->retry_after_ms, rows[i].until_ms);
        done(bench);
    }
}

static void test_holds(void **state)
{
    (void)state;
    struct bench *bench = begin_authz("simulate", PENDING);
    go(bench, "/new-order", "{}", 201, "Location: " CA "/order/2\n", ORDER_OF("2", "processing", ""));
    go(bench, "/challenge/1", "{}", 200, "", HTTP("processing", ""));
    go(bench, "/order/1", READ, 200, "", ORDER_DOC("ready"));
    /* The object itself: up to that record and with it, not later. */
    assert_false(holds(bench, "client reads authz", "authz is pending"));
    assert_true(holds(bench, "authz becomes pending", "authz is pending"));
    assert_true(holds(bench, "client answers http-01", "challenge is pending"));
    assert_false(holds(bench, "client answers http-01", "challenge is processing"));
    assert_true(holds(bench, "http-01 becomes processing", "http-01 is processing"));
    assert_false(holds(bench, "http-01 becomes processing", "dns-01 is processing"));
    /* Its parents, its children. */
    assert_true(holds(bench, "client answers http-01", "authz is pending"));
    assert_true(holds(bench, "client answers http-01", "order is pending"));
    assert_true(holds(bench, "client polls order", "authz is pending"));
    assert_true(holds(bench, "client polls order", "http-01 is processing"));
    assert_true(holds(bench, "client polls order", "http-01 is processing for a.example.test"));
    assert_false(holds(bench, "client polls order", "http-01 is processing for b.example.test"));
    /* Not its neighbour; of what belongs to nobody, anything. */
    assert_false(holds(bench, "client answers http-01", "order is processing"));
    assert_false(holds(bench, "client reads directory", "order is pending"));
    const struct fact *nobodys = &seen(bench)->facts[seen(bench)->n_facts - 1];
    struct fact any = {.seq = nobodys->seq};
    struct phrase processing = phrase_of(bench, STR("order is processing"));
    assert_true(view_holds(seen(bench), &any, &processing));
    assert_false(view_holds(seen(bench), nobodys, &processing));
    done(bench);
}

/* --- the hostile --- */

static void test_hostile(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "null",
        "[]",
        "{",
        "\x01\xff",
        "{'status':7}",
        "{'status':'splendid'}",
        "{'status':'valid','challenges':7}",
        "{'status':'pending','challenges':[7,null,{},{'url':''},{'url':'x','type':7,'token':[]}]}",
        "{'status':'pending','authorizations':[7,'','" CA "/order/1'],'finalize':'" CA "/authz/1'}",
        "{'status':'valid','certificate':'" CA "/order/1','error':[]}",
        "{'type':'http-01','url':'" CA "/order/1','status':'pending','token':'t','error':7}",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"};
    static const char *const paths[] = {"/dir",     "/new-nonce",   "/new-account",      "/new-order",     "/order/1",
                                        "/authz/1", "/challenge/1", "/order/1/finalize", "/certificate/1", "/nowhere",
                                        ""};
    struct bench *bench = begin_authz("server", PENDING);
    go(bench, "/order/1", READ, 200, "", ISSUED_DOC);
    size_t n_good = bench->history.n;
    for (size_t p = 0; p < COUNTOF(paths); p++)
        for (size_t b = 0; b < COUNTOF(bodies); b++) {
            go(bench, paths[p], READ, 200, PLACE, bodies[b]);
            go(bench, paths[p], bodies[b], b % 2 ? 400 : 201, "Location: \nRetry-After: \n", bodies[b]);
            ask(bench, b % 2 ? "POST" : "GET", str_fmt(&bench->arena, CA "%s", paths[p]).at, str_c(bodies[b]));
            reply(bench, bench->flow + 1000, 200, PLACE, bodies[b]);
            reply(bench, 0, 999, "", bodies[b]);
        }
    static const char *const envelopes[] = {"{'protected':7}",
                                            "{'protected':'!!!','payload':''}",
                                            "{'protected':'AAAA','payload':''}",
                                            "{'protected':'e30','payload':7}",
                                            "{'protected':'W10','payload':''}",
                                            "{'protected':'e30','payload':'!'}"};
    for (size_t i = 0; i < COUNTOF(envelopes); i++)
        ask(bench, "POST", CA "/authz/1", str_c(quoted(bench, envelopes[i])));
    fetch(bench, "");
    query(bench, WIRE_DNS_QUERY, NULL, "");
    query(bench, WIRE_TLS_HELLO, NULL, "");
    for (int kind = 0; kind < EVENT_KIND_COUNT; kind++) {
        history_note(&bench->history, (enum event_kind)kind, bench->t_ms, 77777);
        history_commit(&bench->history);
    }
    const struct view *view = seen(bench);
    assert_true(bench->history.n > n_good && view->n_exchanges > 0);
    for (size_t i = 0; i < view->n_facts; i++) {
        const struct fact *fact = &view->facts[i];
        assert_true(fact->deed < DEED_IS && fact->seq > 0);
        if (fact->deed >= DEED_BECOMES) assert_true(fact->thing && fact->now != STATUS_NONE);
    }
    for (size_t i = 0; i < view->n_things; i++)
        assert_true(view->things[i]->status < STATUS_COUNT);
    done(bench);
    /* No record at all. */
    struct history none = {0};
    struct view empty;
    view_read(&empty, &none);
    assert_int_equal(empty.n_facts + empty.n_exchanges + empty.n_things, 0);
    view_done(&empty);
    history_done(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_issuance),
        cmocka_unit_test(test_reads_and_polls),
        cmocka_unit_test(test_answers_and_polls),
        cmocka_unit_test(test_accounts_and_certificates),
        cmocka_unit_test(test_only_return_existing),
        cmocka_unit_test(test_lost_reply),
        cmocka_unit_test(test_gives_up),
        cmocka_unit_test(test_probes),
        cmocka_unit_test(test_fetches),
        cmocka_unit_test(test_one_token_for_all),
        cmocka_unit_test(test_failures_by_error),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_holds),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
