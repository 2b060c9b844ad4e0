#include "oracle/expect.h"
#include "oracle/view_bench_test.h"

#include <unistd.h>

#define PENDING AUTHZ_DOC("pending", HTTP("pending", ""))
#define DNS     ERROR("dns", "no such name", "")

#define ALL_TYPES "'given':{'challenges':['http-01','dns-01','tls-alpn-01']},"

/* --- trying assertions --- */

/* A scenario with these members beside version and title; it lives as long as the bench. */
static const struct scenario *load(struct bench *bench, const char *members)
{
    char path[] = "/tmp/expect-test-XXXXXX";
    struct scenario_set set = {0};
    struct complaints complaints = {.arena = &bench->arena};
    struct str text = str_fmt(&bench->arena, "{\"acmedrill\":1,\"title\":\"t\",%s}", quoted(bench, members));
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text.at, text.n), text.n);
    close(fd);
    enum err e = scenario_load(&bench->arena, path, "/tmp", NULL, &complaints, &set);
    unlink(path);
    if (e) fail_msg("%s: %.*s", members, STR_ARGS(complaints.at[0].text));
    assert_int_equal(set.n, 1);
    const struct scenario *scenario = set.at[0];
    free(set.at);
    return scenario;
}

static struct trial try_at_speed(struct bench *bench, enum mode mode, int64_t speed, const char *assertion)
{
    const struct scenario *scenario = load(bench, str_fmt(&bench->arena, ALL_TYPES "'expect':[%s]", assertion).at);
    struct oracle_options options = {.mode = mode, .speed = speed};
    struct court court = {
        .view = seen(bench), .options = &options, .scenario = scenario, .arena = &bench->arena, .start_ms = 0};
    struct trial trial = expect_try(&court, &scenario->expects[0]);
    assert_true(trial.expected.n > 0 && trial.observed.n > 0);
    assert_true(trial.result == RESULT_FAIL || !trial.missing);
    assert_true(trial.result != RESULT_FAIL || trial.seq > 0);
    return trial;
}

static struct trial try_in(struct bench *bench, enum mode mode, const char *assertion)
{
    return try_at_speed(bench, mode, 1, assertion);
}

static void is_in(struct bench *bench, enum mode mode, enum result result, const char *assertion, const char *observed)
{
    struct trial trial = try_in(bench, mode, assertion);
    if (trial.result != result)
        fail_msg("%s is %s, not %s: %.*s", assertion, result_text(trial.result), result_text(result),
                 STR_ARGS(trial.observed));
    has(trial.observed, observed);
}

static void good(struct bench *bench, const char *assertion)
{
    is_in(bench, MODE_SIMULATE, RESULT_PASS, assertion, "");
}

static void empty(struct bench *bench, const char *assertion, const char *observed)
{
    is_in(bench, MODE_SIMULATE, RESULT_VACUOUS, assertion, observed);
}

static void fails_in(struct bench *bench, enum mode mode, bool missing, const char *assertion, const char *observed)
{
    is_in(bench, mode, RESULT_FAIL, assertion, observed);
    struct trial trial = try_in(bench, mode, assertion);
    if (trial.missing != missing) fail_msg("%s: missing is %d", assertion, trial.missing);
}

/* Something happened that must not. */
static void bad(struct bench *bench, const char *assertion, const char *observed)
{
    fails_in(bench, MODE_SIMULATE, false, assertion, observed);
}

/* Something did not happen. */
static void lacks(struct bench *bench, const char *assertion, const char *observed)
{
    fails_in(bench, MODE_SIMULATE, true, assertion, observed);
}

/* Answered at 0:05, polled at 0:10 and 0:20, valid at last. */
static struct bench *story(void)
{
    struct bench *bench = begin_authz("simulate", PENDING);
    go_at(bench, 5000, "/challenge/1", "{}", 200, "", HTTP("processing", ""));
    go_at(bench, 10000, "/challenge/1", READ, 200, "", HTTP("processing", ""));
    go_at(bench, 20000, "/challenge/1", READ, 200, "", HTTP("valid", ""));
    end(bench, "finished");
    return bench;
}

/* --- the verbs --- */

static void test_eventually(void **state)
{
    (void)state;
    struct bench *bench = story();
    good(bench, "{'eventually':'client answers http-01'}");
    good(bench, "{'eventually':'client answers http-01','within':'5s'}");
    good(bench, "{'eventually':'second client polls challenge','within':'20s','after':'client reads authz'}");
    good(bench, "{'eventually':'client polls challenge','after':'first client polls challenge','within':'10s'}");
    lacks(bench, "{'eventually':'client answers http-01','within':'4s'}", "late");
    assert_int_equal(try_in(bench, MODE_SIMULATE, "{'eventually':'client answers http-01','within':'4s'}").t_ms, 5000);
    lacks(bench, "{'eventually':'client polls challenge','after':'first client polls challenge','within':'9s'}",
          "0:20");
    lacks(bench, "{'eventually':'client finalizes'}", "not at all; the run ended at 0:20.1 (finished)");
    lacks(bench, "{'eventually':'client reads authz','after':'client answers http-01'}", "not at all");
    lacks(bench, "{'eventually':'client reads authz','after':'client finalizes'}", "not at all");
    lacks(bench, "{'eventually':'third client polls challenge'}", "not at all");
    /* A real program takes its time to start. */
    is_in(bench, MODE_CLIENT, RESULT_PASS, "{'eventually':'client answers http-01','within':'1s'}", "at 0:05");
    fails_in(bench, MODE_CLIENT, true, "{'eventually':'second client polls challenge','within':'9s'}", "late");
    done(bench);
}

static void test_never(void **state)
{
    (void)state;
    struct bench *bench = story();
    good(bench, "{'never':'client finalizes'}");
    good(bench, "{'never':'third client polls challenge'}");
    bad(bench, "{'never':'client polls challenge'}", "2 times: 0:10.0, 0:20.0");
    bad(bench, "{'never':'last client polls challenge'}", "1 time: 0:20.0");
    good(bench, "{'never':'client answers challenge','while':'challenge is processing'}");
    bad(bench, "{'never':'client answers challenge','while':'challenge is pending'}", "1 time: 0:05.0");
    empty(bench, "{'never':'client answers challenge','while':'order is processing'}", "never so that order is");
    good(bench, "{'never':'client answers challenge','after':'client polls challenge'}");
    bad(bench, "{'never':'client polls challenge','after':'client answers challenge'}", "2 times");
    empty(bench, "{'never':'client polls challenge','after':'client finalizes'}",
          "\"client finalizes\" never happened");
    good(bench, "{'never':'client polls challenge','before':'client answers challenge'}");
    bad(bench, "{'never':'client answers challenge','before':'client polls challenge'}", "1 time");
    bad(bench, "{'never':'client answers challenge','before':'client finalizes'}", "1 time");
    done(bench);
    bench = calloc(1, sizeof *bench);
    note(bench, RUN_START, 0, NULL, NULL);
    history_commit(&bench->history);
    empty(bench, "{'never':'client finalizes'}", "the client did nothing at all");
    done(bench);
    bench = calloc(1, sizeof *bench);
    look(bench, "GET", "/dir");
    good(bench, "{'never':'client finalizes'}");
    empty(bench, "{'never':'ca issues certificate'}", "the CA did nothing at all");
    done(bench);
}

#define EARLY "{'never':'client polls order','during':'retry-after'}"

/* A reply at 0:10.1 with this header, a poll at that time. */
static struct bench *held(const char *header, int64_t t_ms)
{
    struct bench *bench = begin("simulate");
    go_order(bench);
    go_at(bench, 10000, "/order/1", READ, 200, header, ORDER_DOC("processing"));
    go_at(bench, t_ms, "/order/1", READ, 200, "", ORDER_DOC("valid"));
    return bench;
}

static void test_never_during_retry_after(void **state)
{
    (void)state;
    struct bench *bench = held("Retry-After: 10", 20100);
    good(bench, EARLY);
    /* Nobody was told so of another object. */
    empty(bench, "{'never':'client polls authz','during':'retry-after'}", "no reply about it had a Retry-After");
    done(bench);
    bench = held("Retry-After: 10", 20099);
    bad(bench, EARLY, "1 time: 0:20.0");
    assert_int_equal(try_in(bench, MODE_SIMULATE, EARLY).hint.n, 0);
    done(bench);
    bench = held("Retry-After: Thu, 01 Jan 1970 00:00:20 GMT", 19000);
    good(bench, EARLY);
    done(bench);
    bench = held("Retry-After: Thu, 01 Jan 1970 00:00:20 GMT", 18999);
    bad(bench, EARLY, "early");
    has(try_in(bench, MODE_SIMULATE, EARLY).hint, "HTTP-date");
    has(try_in(bench, MODE_SIMULATE, EARLY).expected, "a second of grace");
    done(bench);
    bench = held("", 11000);
    empty(bench, EARLY, "no reply about it had a Retry-After");
    done(bench);
    bench = held("Retry-After: soon", 11000);
    empty(bench, EARLY, "no reply about it had a Retry-After");
    done(bench);
    /* A refusal that says nothing of the time takes nothing back; a good reply does. */
    bench = begin("simulate");
    go_order(bench);
    go_at(bench, 10000, "/order/1", READ, 200, "Retry-After: 10", ORDER_DOC("processing"));
    bench->t_ms = 12000;
    bad_nonce(bench, poll_order(bench, "x"), "y");
    go_at(bench, 13000, "/order/1", READ, 200, "", ORDER_DOC("processing"));
    go_at(bench, 14000, "/order/1", READ, 200, "", ORDER_DOC("processing"));
    bad(bench, EARLY, "2 times: 0:12.0, 0:13.0");
    done(bench);
}

static void test_count(void **state)
{
    (void)state;
    struct bench *bench = story();
    good(bench, "{'count':'client polls challenge','is':2}");
    good(bench, "{'count':'client polls challenge','at_least':2}");
    good(bench, "{'count':'client polls challenge','at_most':2}");
    good(bench, "{'count':'client finalizes','is':0}");
    good(bench, "{'count':'client polls challenge','is':1,'after':'first client polls challenge'}");
    good(bench, "{'count':'client answers http-01','is':0,'while':'challenge is processing'}");
    lacks(bench, "{'count':'client polls challenge','is':3}", "2 times");
    lacks(bench, "{'count':'client polls challenge','at_least':3}", "2 times");
    bad(bench, "{'count':'client polls challenge','is':1}", "2 times");
    bad(bench, "{'count':'client polls challenge','at_most':1}", "2 times");
    assert_int_equal(try_in(bench, MODE_SIMULATE, "{'count':'client polls challenge','at_most':1}").t_ms, 20000);
    empty(bench, "{'count':'client finalizes','is':0,'after':'order becomes ready'}", "never happened");
    empty(bench, "{'count':'client finalizes','at_most':2,'while':'order is ready'}", "it was never so");
    lacks(bench, "{'count':'client finalizes','is':1,'after':'order becomes ready'}", "never");
    done(bench);
}

static void test_gap(void **state)
{
    (void)state;
    struct bench *bench = story();
    good(bench, "{'gap':'client polls challenge','at_least':'10s'}");
    good(bench, "{'gap':'client polls challenge','at_most':'10s'}");
    bad(bench, "{'gap':'client polls challenge','at_least':'11s'}", "10s at 0:20.0");
    bad(bench, "{'gap':'client polls challenge','at_most':'9s'}", "10s at 0:20.0");
    empty(bench, "{'gap':'client answers http-01','is':'5s'}", "did not happen twice to one object");
    empty(bench, "{'gap':'client polls challenge','is':'5s','after':'client finalizes'}", "did not happen twice");
    done(bench);
    /* To the second, and for each object apart. */
    bench = begin("simulate");
    go_order(bench);
    go(bench, "/new-order", "{}", 201, "Location: " CA "/order/2\n", ORDER_OF("2", "pending", ""));
    go_at(bench, 10000, "/order/1", READ, 200, "", ORDER_DOC("pending"));
    go_at(bench, 13000, "/order/2", READ, 200, "", ORDER_OF("2", "pending", ""));
    go_at(bench, 20500, "/order/1", READ, 200, "", ORDER_DOC("pending"));
    go_at(bench, 22499, "/order/2", READ, 200, "", ORDER_OF("2", "pending", ""));
    bad(bench, "{'gap':'client polls order','is':'10s'}", "9s499ms at 0:22.4 (1 of 2 gaps are so)");
    good(bench, "{'gap':'client polls order','is':'10s','before':'last client polls order'}");
    good(bench, "{'gap':'client polls order','at_least':'9s'}");
    /* Who keeps the time: a real client may be early by a little, and its CA's times were made shorter. */
    is_in(bench, MODE_CLIENT, RESULT_PASS, "{'gap':'client polls order','at_least':'10s'}", "");
    fails_in(bench, MODE_CLIENT, false, "{'gap':'client polls order','at_least':'11s'}", "");
    assert_int_equal(try_at_speed(bench, MODE_CLIENT, 10, "{'gap':'client polls order','at_least':'60s'}").result,
                     RESULT_PASS);
    assert_int_equal(try_at_speed(bench, MODE_SERVER, 10, "{'gap':'client polls order','is':'100s'}").result,
                     RESULT_PASS);
    done(bench);
}

#define STATES "{'states':'http-01','are':["

static void test_states(void **state)
{
    (void)state;
    struct bench *bench = story();
    good(bench, STATES "'pending','processing','valid']}");
    bad(bench, STATES "'pending','valid']}", "pending, processing, valid (processing at 0:05.1)");
    bad(bench, STATES "'pending','processing']}", "(valid at 0:20.1)");
    bad(bench, STATES "'pending','processing','invalid']}", "a.example.test: ");
    lacks(bench, "{'states':'authz','are':['pending','valid']}", "and then nothing more");
    lacks(bench, "{'states':'dns-01','are':['pending']}", "no such object was shown");
    /* More than the scenario's CA would show, on the way. */
    is_in(bench, MODE_SERVER, RESULT_PASS, STATES "'pending','valid']}", "pending, processing, valid");
    fails_in(bench, MODE_SERVER, false, STATES "'pending','invalid']}", "valid at");
    fails_in(bench, MODE_CLIENT, false, STATES "'pending','valid']}", "processing at");
    done(bench);
    /* A client that did not look in between, and a challenge that nobody tried. */
    bench = begin_authz("simulate",
                        AUTHZ_DOC("pending", CHALLENGE_DOC("2", "dns-01", "u", "pending", "") "," HTTP("pending", "")));
    go(bench, "/challenge/1", READ, 200, "", HTTP("valid", ""));
    bad(bench, STATES "'pending','processing','valid']}", "pending, valid (valid at");
    is_in(bench, MODE_CLIENT, RESULT_PASS, STATES "'pending','processing','valid']}", "pending, valid");
    is_in(bench, MODE_SERVER, RESULT_PASS, STATES "'pending','processing','valid']}", "pending, valid");
    good(bench, "{'states':'challenge','are':['pending','valid']}");
    good(bench, "{'states':'dns-01','are':['pending']}");
    lacks(bench, "{'states':'order','are':['pending','ready']}", "nothing more");
    fails_in(bench, MODE_CLIENT, true, "{'states':'order','are':['pending','ready']}", "nothing more");
    is_in(bench, MODE_SERVER, RESULT_PASS, "{'states':'order','are':['pending','ready']}", "pending");
    fails_in(bench, MODE_SERVER, true, "{'states':'order','are':['pending','ready','valid']}", "nothing more");
    done(bench);
}

static void test_sequence(void **state)
{
    (void)state;
    struct bench *bench = story();
    good(bench, "{'sequence':['client creates order','client reads authz','client answers http-01']}");
    good(bench, "{'sequence':['client polls challenge','client polls challenge','challenge becomes valid']}");
    good(bench, "{'sequence':['first client polls challenge','second client polls challenge']}");
    lacks(bench, "{'sequence':['client polls challenge','client polls challenge','client polls challenge']}",
          "no \"client polls challenge\" after it (it was at 0:10.0)");
    lacks(bench, "{'sequence':['last client polls challenge','first client polls challenge']}", "(it was at 0:10.0)");
    lacks(bench, "{'sequence':['client answers http-01','client reads authz']}", "no \"client reads authz\" after it");
    lacks(bench, "{'sequence':['client finalizes','client reads authz']}", "no \"client finalizes\"");
    lacks(bench, "{'sequence':['client reads authz','third client polls challenge']}", "no \"third client");
    /* What a real client did not look at may have been; of a real server the end is seen. */
    static const char ready[] = "{'sequence':['client reads authz','order becomes ready','challenge becomes valid']}";
    static const char valid[] = "{'sequence':['client reads authz','order becomes valid']}";
    lacks(bench, ready, "no \"order becomes ready\"");
    is_in(bench, MODE_CLIENT, RESULT_PASS, ready, "challenge becomes valid");
    is_in(bench, MODE_SERVER, RESULT_PASS, ready, "challenge becomes valid");
    is_in(bench, MODE_CLIENT, RESULT_PASS, valid, "");
    fails_in(bench, MODE_SERVER, true, valid, "no \"order becomes valid\"");
    done(bench);
}

/* --- each ... has --- */

#define EACH(what, has_it) "{'each':'" what "','has':{" has_it "}}"

static void test_each(void **state)
{
    (void)state;
    struct bench *bench = story();
    good(bench, EACH("ca reports http-01", "'status':'pending | processing | valid'"));
    bad(bench, EACH("ca reports http-01", "'status':'processing'"), "(2 of 4 are wrong)");
    good(bench, "{'each':'ca reports http-01','has':{'status':'valid'},'after':'second client polls challenge'}");
    good(bench, "{'each':'client polls challenge','has':{'body.x':'absent'},'while':'challenge is processing'}");
    good(bench, EACH("first ca reports http-01", "'status':'pending'"));
    empty(bench, "{'each':'ca reports order','has':{'status':'200'},'after':'order becomes ready'}", "never happened");
    empty(bench, "{'each':'ca reports order','has':{'status':'200'},'while':'order is ready'}", "it was never so");
    empty(bench, EACH("ca reports error", "'status':'400'"), "\"ca reports error\" did not happen then");
    done(bench);
}

/* What holds, and what does not, of the one order, challenge and error in this history. */
static void test_parts(void **state)
{
    (void)state;
    static const struct {
        bool holds;
        const char *assertion;
    } rows[] = {
        {true,  EACH("last ca reports order",   "'status':'processing'")                                        },
        {true,  EACH("last ca reports order",   "'status':'201 | 200'")                                         },
        {true,  EACH("last ca reports order",   "'status':200")                                                 },
        {true,  EACH("last ca reports order",   "'status':'>=200'")                                             },
        {false, EACH("last ca reports order",   "'status':'<=199'")                                             },
        {false, EACH("last ca reports order",   "'status':'valid | 201'")                                       },
        {true,  EACH("last ca reports order",   "'retry-after':'present'")                                      },
        {true,  EACH("last ca reports order",   "'retry-after':'10s'")                                          },
        {true,  EACH("last ca reports order",   "'retry-after':'>=10s'")                                        },
        {true,  EACH("last ca reports order",   "'retry-after':'<=10s'")                                        },
        {false, EACH("last ca reports order",   "'retry-after':'>=11s'")                                        },
        {false, EACH("last ca reports order",   "'retry-after':'<=9s'")                                         },
        {false, EACH("last ca reports order",   "'retry-after':'9s | 11s'")                                     },
        {false, EACH("last ca reports order",   "'retry-after':'absent'")                                       },
        {true,  EACH("first ca reports order",  "'retry-after':'absent'")                                       },
        {false, EACH("first ca reports order",  "'retry-after':'present'")                                      },
        {false, EACH("first ca reports order",  "'retry-after':'<=9s'")                                         },
        {true,  EACH("last ca reports order",   "'header.X-Word':'hello'")                                      },
        {true,  EACH("last ca reports order",   "'header.x-word':'present'")                                    },
        {false, EACH("last ca reports order",   "'header.X-Word':'bye'")                                        },
        {false, EACH("last ca reports order",   "'header.X-Word':'absent'")                                     },
        {true,  EACH("last ca reports order",   "'header.X-Other':'absent'")                                    },
        {true,  EACH("last ca reports order",   "'body.identifiers.0.value':'a.example.test'")                  },
        {false, EACH("last ca reports order",   "'body.identifiers.1.value':'present'")                         },
        {true,  EACH("last ca reports order",   "'body.identifiers.x':'absent'")                                },
        {true,  EACH("last ca reports order",   "'body.finalize':'present'")                                    },
        {true,  EACH("last ca reports order",   "'body.certificate':'absent'")                                  },
        {true,  EACH("last ca reports order",   "'body.count':'>=3'")                                           },
        {false, EACH("last ca reports order",   "'body.count':'>=4'")                                           },
        {true,  EACH("last ca reports order",   "'error':'absent','errors':'absent'")                           },
        {true,  EACH("last ca reports http-01", "'error':'present','error.type':'connection | dns'")            },
        {true,  EACH("last ca reports http-01", "'error.type':'urn:ietf:params:acme:error:dns'")                },
        {false, EACH("last ca reports http-01", "'error.type':'connection'")                                    },
        {false, EACH("last ca reports http-01", "'error.type':'absent'")                                        },
        {false, EACH("last ca reports http-01", "'error':'absent'")                                             },
        {true,  EACH("last ca reports http-01", "'errors':'>=2','error.detail':'no such name'")                 },
        {true,  EACH("last ca reports http-01", "'errors':2")                                                   },
        {false, EACH("last ca reports http-01", "'errors':'>=3'")                                               },
        {true,  EACH("last ca reports http-01", "'error.status':'absent'")                                      },
        {true,  EACH("first ca reports authz",  "'errors':'absent'")                                            },
        {true,  EACH("last ca reports authz",   "'error.type':'dns','errors':2")                                },
        {true,  EACH("ca reports error",        "'status':400,'error.type':'malformed','error.status':'absent'")},
        {false, EACH("ca reports error",        "'error.type':'dns'")                                           },
        {true,  EACH("client answers http-01",  "'body.keyAuthorization':'absent'")                             },
        {true,  EACH("client answers http-01",  "'body.extra.a':'b'")                                           },
 /* A challenge within an authorization has no header of its own. */
        {true,  EACH("last ca reports http-01", "'retry-after':'absent'")                                       },
        {true,  EACH("last ca reports http-01", "'body.type':'http-01'")                                        },
    };
    struct bench *bench = begin_authz("simulate", PENDING);
    go(bench, "/challenge/1", "{'extra':{'a':'b'}}", 200, "", HTTP("processing", ""));
    go(bench, "/order/1", READ, 200, "Retry-After: 10\nX-Word: hello", ORDER_OF("1", "processing", ",'count':3"));
    problem(bench, send_post(bench, "/new-order", "{}"), 400, "", PROBLEM_PREFIX "malformed");
    go(bench, "/authz/1", READ, 200, "Retry-After: 10",
       AUTHZ_DOC("invalid",
                 HTTP("invalid", ERROR("dns", "no such name", ",'subproblems':[{'type':'x'},{'type':'y'}]"))));
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        if (rows[i].holds) good(bench, rows[i].assertion);
        else bad(bench, rows[i].assertion, "(1 of 1 are wrong)");
    }
    done(bench);
}

static void test_part_words(void **state)
{
    (void)state;
    struct bench *bench = held("Retry-After: soon", 20000);
    bad(bench, "{'each':'second ca reports order','has':{'retry-after':'present'}}", "neither seconds nor a date");
    good(bench, "{'each':'ca reports order','has':{'retry-after':'absent'},'before':'client polls order'}");
    done(bench);
    /* A date is up to a second short: 0:10.1 to 0:20.0. */
    bench = held("Retry-After: Thu, 01 Jan 1970 00:00:20 GMT", 20000);
    good(bench, "{'each':'second ca reports order','has':{'retry-after':'10s'}}");
    good(bench, "{'each':'second ca reports order','has':{'retry-after':'>=10s'}}");
    bad(bench, "{'each':'second ca reports order','has':{'retry-after':'11s'}}", "00:00:20 GMT");
    /* What a shortened run made of a minute and a half. */
    assert_int_equal(
        try_at_speed(bench, MODE_CLIENT, 10, "{'each':'second ca reports order','has':{'retry-after':'>=90s'}}").result,
        RESULT_PASS);
    done(bench);
}

/* --- any_of --- */

static void test_any_of(void **state)
{
    (void)state;
    struct bench *bench = story();
    is_in(bench, MODE_SIMULATE, RESULT_PASS,
          "{'any_of':{'strict':[{'eventually':'client answers http-01'}],'lenient':[{'never':'client finalizes'}]}}",
          "\"strict\"");
    is_in(bench, MODE_SIMULATE, RESULT_LENIENT,
          "{'any_of':{'strict':[{'eventually':'client finalizes'}],'lenient':[{'never':'client finalizes'}]}}",
          "\"lenient\"");
    is_in(bench, MODE_SIMULATE, RESULT_PASS,
          "{'any_of':{'a':[{'eventually':'client finalizes'}],'b':[{'never':'client finalizes'},"
          "{'never':'client finalizes','after':'order becomes ready'}]}}",
          "\"b\"");
    empty(bench,
          "{'any_of':{'a':[{'eventually':'client finalizes'}],"
          "'lenient':[{'never':'client finalizes','after':'order becomes ready'}]}}",
          "\"lenient\"");
    lacks(bench, "{'any_of':{'a':[{'eventually':'client finalizes'}],'b':[{'count':'client polls challenge','is':3}]}}",
          "not \"a\": expected \"client finalizes\", observed not at all");
    bad(bench, "{'any_of':{'a':[{'never':'client polls challenge'}],'b':[{'eventually':'client finalizes'}]}}",
        "; not \"b\": ");
    done(bench);
}

/* --- the judge --- */

struct sentence {
    enum result one; /* of the one assertion */
    enum level level;
    bool hinted;
    enum result all;
    int warnings;
    bool vacuous;
};

/* Judges one assertion, with the rules switched off. */
static struct sentence judge(struct bench *bench, enum mode mode, bool strict, const char *members,
                             const char *assertion)
{
    size_t n_rules;
    const char *const *rules = rule_words(&n_rules);
    struct buf unless = {.arena = &bench->arena};
    for (size_t i = 0; i < n_rules; i++)
        buf_fmt(&unless, "%s'%s'", i ? "," : "", rules[i]);
    struct str text =
        str_fmt(&bench->arena, "'unless':[%.*s],%s'expect':[%s]", STR_ARGS(buf_str(&unless)), members, assertion);
    struct oracle_options options = {.mode = mode, .strict = strict, .speed = 1};
    struct judgement judgement;
    oracle_judge(&judgement, &bench->history, load(bench, text.at), &options);
    assert_true(judgement.findings.n >= 1);
    const struct finding *finding = &judgement.findings.at[0];
    assert_true(str_starts(finding->name, "expect[0] "));
    assert_true(finding->claim.n && finding->source.n && finding->line == 1);
    for (size_t i = 1; i < judgement.findings.n; i++)
        if (judgement.findings.at[i].result != RESULT_PASS) fail_msg("%s", judgement.findings.at[i].name.at);
    struct sentence sentence = {finding->result,  finding->level,     finding->hint.n > 0,
                                judgement.result, judgement.warnings, judgement.vacuous};
    judgement_done(&judgement);
    return sentence;
}

static void judged(struct bench *bench, enum mode mode, bool strict, const char *members, const char *assertion,
                   struct sentence wanted)
{
    struct sentence got = judge(bench, mode, strict, members, assertion);
    if (got.one != wanted.one || got.all != wanted.all || got.level != wanted.level)
        fail_msg("%s: %s (%s), in all %s; not %s (%s), in all %s", assertion, result_text(got.one),
                 level_text(got.level), result_text(got.all), result_text(wanted.one), level_text(wanted.level),
                 result_text(wanted.all));
    if (got.hinted != wanted.hinted || got.warnings != wanted.warnings || got.vacuous != wanted.vacuous)
        fail_msg("%s: hint %d, %d warnings, vacuous %d", assertion, got.hinted, got.warnings, got.vacuous);
}

#define CLIENT_MUST   "'clause':'rfc8555#7.4-finalize-once'"
#define CLIENT_SHOULD "'clause':'rfc8555#8.2-not-too-early'"
#define CA_MUST       "'clause':'rfc8555#7.2-new-nonce'"

static void test_levels(void **state)
{
    (void)state;
    static const char should[] = "{'never':'client answers http-01'," CLIENT_SHOULD "}";
    static const char vacuous[] = "{'never':'client finalizes','after':'order becomes ready'}";
    struct bench *bench = story();
    judged(bench, MODE_SIMULATE, false, "", "{'never':'client finalizes'," CLIENT_MUST "}",
           (struct sentence){RESULT_PASS, LEVEL_MUST, false, RESULT_PASS, 0, false});
    judged(bench, MODE_SIMULATE, false, "", "{'never':'client answers http-01'," CLIENT_MUST "}",
           (struct sentence){RESULT_FAIL, LEVEL_MUST, false, RESULT_FAIL, 0, false});
    judged(bench, MODE_SIMULATE, false, "", "{'never':'client answers http-01'}",
           (struct sentence){RESULT_FAIL, LEVEL_SCENARIO, false, RESULT_FAIL, 0, false});
    judged(bench, MODE_SIMULATE, false, "", should,
           (struct sentence){RESULT_FAIL, LEVEL_SHOULD, false, RESULT_LENIENT, 1, false});
    judged(bench, MODE_SIMULATE, true, "", should,
           (struct sentence){RESULT_FAIL, LEVEL_SHOULD, false, RESULT_FAIL, 0, false});
    judged(bench, MODE_SIMULATE, true, "", "{'never':'client answers http-01','level':'MAY'}",
           (struct sentence){RESULT_FAIL, LEVEL_MAY, false, RESULT_LENIENT, 1, false});
    judged(bench, MODE_SIMULATE, false, "", vacuous,
           (struct sentence){RESULT_VACUOUS, LEVEL_SCENARIO, false, RESULT_VACUOUS, 1, true});
    judged(bench, MODE_SIMULATE, true, "", vacuous,
           (struct sentence){RESULT_VACUOUS, LEVEL_SCENARIO, false, RESULT_FAIL, 0, true});
    done(bench);
}

static void test_client_under_test(void **state)
{
    (void)state;
    struct bench *bench = story();
    /* The client did not come so far. */
    judged(bench, MODE_CLIENT, false, "", "{'eventually':'ca issues certificate'}",
           (struct sentence){RESULT_VACUOUS, LEVEL_SCENARIO, true, RESULT_VACUOUS, 1, true});
    judged(bench, MODE_CLIENT, false, "", "{'eventually':'ca issues certificate'," CA_MUST "}",
           (struct sentence){RESULT_VACUOUS, LEVEL_MUST, true, RESULT_VACUOUS, 1, true});
    /* Our CA did what a clause forbids; what only the scenario does not want may be the client's doing. */
    judged(bench, MODE_CLIENT, false, "", "{'never':'ca reports order'," CA_MUST "}",
           (struct sentence){RESULT_ERROR, LEVEL_MUST, false, RESULT_ERROR, 0, false});
    judged(bench, MODE_CLIENT, false, "", "{'never':'ca reports order'}",
           (struct sentence){RESULT_FAIL, LEVEL_SCENARIO, false, RESULT_FAIL, 0, false});
    /* What the client makes of a clause that binds the CA. */
    judged(bench, MODE_CLIENT, false, "", "{'never':'client answers http-01'," CA_MUST "}",
           (struct sentence){RESULT_VACUOUS, LEVEL_MUST, true, RESULT_VACUOUS, 1, true});
    /* Its own. */
    judged(bench, MODE_CLIENT, false, "", "{'eventually':'client finalizes'}",
           (struct sentence){RESULT_FAIL, LEVEL_SCENARIO, false, RESULT_FAIL, 0, false});
    judged(bench, MODE_CLIENT, false, "", "{'never':'client answers http-01'," CLIENT_MUST "}",
           (struct sentence){RESULT_FAIL, LEVEL_MUST, false, RESULT_FAIL, 0, false});
    done(bench);
}

static void test_server_under_test(void **state)
{
    (void)state;
    static const char wish[] = "{'never':'ca reports order'}";
    struct bench *bench = story();
    /* Only a server that is said to be so must be so. */
    judged(bench, MODE_SERVER, false, "", wish,
           (struct sentence){RESULT_FAIL, LEVEL_MAY, false, RESULT_LENIENT, 1, false});
    judged(bench, MODE_SERVER, false, "'given':{'profile':'rfc8555'},", wish,
           (struct sentence){RESULT_FAIL, LEVEL_SCENARIO, false, RESULT_FAIL, 0, false});
    judged(bench, MODE_SERVER, false, "", "{'never':'ca reports order'," CA_MUST "}",
           (struct sentence){RESULT_FAIL, LEVEL_MUST, false, RESULT_FAIL, 0, false});
    /* Our client. */
    judged(bench, MODE_SERVER, false, "", "{'eventually':'client finalizes'," CLIENT_MUST "}",
           (struct sentence){RESULT_VACUOUS, LEVEL_MUST, true, RESULT_VACUOUS, 1, true});
    judged(bench, MODE_SERVER, false, "", "{'never':'client answers http-01'," CLIENT_MUST "}",
           (struct sentence){RESULT_ERROR, LEVEL_MUST, false, RESULT_ERROR, 0, false});
    done(bench);
}

/* A server that fetches the proof this many times before it gives up. */
static struct bench *given_up_after(int n)
{
    struct bench *bench = begin_authz("server", PENDING);
    go(bench, "/challenge/1", "{}", 200, "", HTTP("processing", ""));
    for (int i = 0; i < n; i++) {
        bench->t_ms += 5000;
        fetch(bench, "t");
    }
    go(bench, "/challenge/1", READ, 200, "", HTTP("invalid", DNS));
    return bench;
}

static void test_server_that_does_not_retry(void **state)
{
    (void)state;
    static const char retries[] = "{'never':'challenge becomes invalid','clause':'rfc8555#8.2-retry-keeps-state'}";
    static const char other[] = "{'never':'challenge becomes invalid'," CA_MUST "}";
    static const char twice[] = "'responder':{'http-01':['404','ok']},";
    const struct sentence softer = {RESULT_FAIL, LEVEL_SHOULD, true, RESULT_LENIENT, 1, false};
    const struct sentence hard = {RESULT_FAIL, LEVEL_MUST, false, RESULT_FAIL, 0, false};
    struct bench *bench = given_up_after(1);
    judged(bench, MODE_SERVER, false, "", retries, softer);
    judged(bench, MODE_SERVER, true, "", retries,
           (struct sentence){RESULT_FAIL, LEVEL_SHOULD, true, RESULT_FAIL, 0, false});
    judged(bench, MODE_SERVER, false, "", other, hard);
    judged(bench, MODE_SERVER, false, twice, other, softer);
    /* Where the scenario's CA does not retry either, it is no excuse. */
    judged(bench, MODE_SERVER, false, "'given':{'profile':{'retry':'none'}},", retries, hard);
    done(bench);
    bench = given_up_after(2);
    judged(bench, MODE_SERVER, false, "", retries, hard);
    judged(bench, MODE_SERVER, false, twice, other, hard);
    done(bench);
    bench = given_up_after(0);
    judged(bench, MODE_SERVER, false, "", retries, hard);
    done(bench);
}

/* A rule broken by whom we test is a fail, by us an error; switched off it says nothing. */
static void test_rules_judged(void **state)
{
    (void)state;
    static const enum result wanted[] = {
        [MODE_SIMULATE] = RESULT_FAIL, [MODE_CLIENT] = RESULT_FAIL, [MODE_SERVER] = RESULT_ERROR};
    struct bench *bench = begin("simulate");
    show_order(bench, want(bench, "x"), "n1", "pending");
    show_order(bench, want(bench, "x"), "n2", "pending");
    for (int mode = MODE_SIMULATE; mode <= MODE_SERVER; mode++) {
        struct oracle_options options = {.mode = (enum mode)mode, .speed = 1};
        struct judgement judgement;
        oracle_judge(&judgement, &bench->history, NULL, &options);
        size_t n = 0;
        for (size_t i = 0; i < judgement.findings.n; i++) {
            if (!str_is(judgement.findings.at[i].name, "rule nonce-reuse")) continue;
            assert_int_equal(judgement.findings.at[i].result, wanted[mode]);
            n++;
        }
        assert_int_equal(n, 1);
        assert_true(judgement.result >= wanted[mode]);
        judgement_done(&judgement);
        oracle_judge(&judgement, &bench->history, load(bench, "'unless':['nonce-reuse']"), &options);
        for (size_t i = 0; i < judgement.findings.n; i++)
            assert_false(str_is(judgement.findings.at[i].name, "rule nonce-reuse"));
        judgement_done(&judgement);
    }
    done(bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eventually),
        cmocka_unit_test(test_never),
        cmocka_unit_test(test_never_during_retry_after),
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_gap),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_sequence),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_part_words),
        cmocka_unit_test(test_any_of),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_client_under_test),
        cmocka_unit_test(test_server_under_test),
        cmocka_unit_test(test_server_that_does_not_retry),
        cmocka_unit_test(test_rules_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
