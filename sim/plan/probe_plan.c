#include "plan/probe_plan.h"

#include "base/when.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    LOOKS = 60,          /* in the time that a row is watched */
    MIN_EVERY_MS = 1000, /* a server is not to be pestered */
};

static const struct probe_row rows[] = {
    {"right",     CHALLENGE_HTTP_01,     PROBE_GOOD,  "ok",                          NULL        },
    {"wrong",     CHALLENGE_HTTP_01,     PROBE_BAD,   "wrong-body",                  "wrong-body"},
    {"empty",     CHALLENGE_HTTP_01,     PROBE_BAD,   "empty",                       "empty-body"},
    {"404",       CHALLENGE_HTTP_01,     PROBE_BAD,   "404",                         "bad-status"},
    {"502",       CHALLENGE_HTTP_01,     PROBE_BAD,   "502",                         "bad-status"},
    {"timeout",   CHALLENGE_HTTP_01,     PROBE_BAD,   "timeout",                     "timeout"   },
    {"refused",   CHALLENGE_HTTP_01,     PROBE_BAD,   "refused",                     "refused"   },
    {"reset",     CHALLENGE_HTTP_01,     PROBE_BAD,   "reset",                       "reset"     },
    {"redirect",  CHALLENGE_HTTP_01,     PROBE_GOOD,  "redirect /elsewhere/{token}", NULL        },
    {"again",     CHALLENGE_HTTP_01,     PROBE_AGAIN, "404",                         NULL        },
    {"right",     CHALLENGE_DNS_01,      PROBE_GOOD,  "ok",                          NULL        },
    {"nxdomain",  CHALLENGE_DNS_01,      PROBE_BAD,   "nxdomain",                    "nxdomain"  },
    {"servfail",  CHALLENGE_DNS_01,      PROBE_BAD,   "servfail",                    "servfail"  },
    {"wrong",     CHALLENGE_DNS_01,      PROBE_BAD,   "wrong-txt",                   "wrong-txt" },
    {"right",     CHALLENGE_TLS_ALPN_01, PROBE_GOOD,  "ok",                          NULL        },
    {"no-alpn",   CHALLENGE_TLS_ALPN_01, PROBE_BAD,   "no-alpn",                     "no-alpn"   },
    {"wrong",     CHALLENGE_TLS_ALPN_01, PROBE_BAD,   "wrong-cert",                  "wrong-cert"},
    {"all three", CHALLENGE_HTTP_01,     PROBE_ALL,   "wrong-body",                  NULL        },
};

/* dns-01 is the last: what it answers wrongly may pass, and some servers wait for that. */
const enum challenge_type probe_all_types[3] = {CHALLENGE_HTTP_01, CHALLENGE_TLS_ALPN_01, CHALLENGE_DNS_01};
static const char *const all_answers[3] = {"wrong-body", "no-alpn", "wrong-txt"};

/* {T} is the type that is asked about, {S} the other one. A pause of more than a second parts what is asked for by a
 * request of ours from what came before it. */
static const char reach[] = "create account,create order,read authz";
static const char before[] = "create account,create order,read authz,provision {T},answer {T}";
static const char watch[] = "wait 1500ms,poll {T},poll authz until final,poll {T},poll order,wait 1500ms,answer {T},"
                            "wait 1500ms";
static const char sibling[] = "poll authz,poll order,provision {S},answer {S},wait 1500ms,poll authz,poll order";
static const char issue[] = "finalize,poll order until final,download";
static const char again[] = "wait 3s,answer {T},wait 6s,answer {T},wait 1500ms,poll authz,poll order";
static const char one_of_all[] = "provision {T},answer {T},poll {T} until final,poll authz";

const struct probe_row *probe_row_at(size_t i)
{
    return i < COUNTOF(rows) ? &rows[i] : NULL;
}

struct str probe_row_name(struct arena *arena, const struct probe_row *row)
{
    if (row->kind == PROBE_ALL) return STR("all three");
    return str_fmt(arena, "%s %s", challenge_row(row->type)->name, row->name);
}

enum challenge_type probe_sibling(const struct probe_row *row)
{
    return row->type == CHALLENGE_HTTP_01 ? CHALLENGE_DNS_01 : CHALLENGE_HTTP_01;
}

int64_t probe_every_ms(int64_t limit_ms)
{
    int64_t every_ms = limit_ms / LOOKS / 1000 * 1000;
    return every_ms < MIN_EVERY_MS ? MIN_EVERY_MS : every_ms;
}

static const char *type_name(enum challenge_type type)
{
    return challenge_row(type)->name;
}

/* Adds the steps as JSON strings, with the types filled in. */
static void add_steps(struct buf *buf, const char *steps, enum challenge_type type, enum challenge_type other)
{
    struct str step, rest = str_c(steps), head, tail;
    while (rest.n) {
        str_cut(rest, ',', &step, &rest);
        bool first = buf->n && buf->at[buf->n - 1] == '[';
        buf_add_c(buf, first ? "\"" : ",\"");
        while (str_cut(step, '{', &head, &tail)) {
            buf_add(buf, head);
            buf_add_c(buf, type_name(str_starts(tail, "T}") ? type : other));
            step = (struct str){tail.at + 2, tail.n - 2};
        }
        buf_add(buf, step);
        buf_add_char(buf, '"');
    }
}

static void add_all_steps(struct buf *buf, const struct probe_row *row)
{
    enum challenge_type other = probe_sibling(row);
    if (row->kind == PROBE_ALL) {
        add_steps(buf, "create account,create order,read authz", row->type, other);
        for (size_t i = 0; i < COUNTOF(probe_all_types); i++)
            add_steps(buf, one_of_all, probe_all_types[i], other);
        add_steps(buf, "poll order", row->type, other);
        return;
    }
    add_steps(buf, before, row->type, other);
    if (row->kind == PROBE_AGAIN) {
        add_steps(buf, again, row->type, other);
        return;
    }
    add_steps(buf, watch, row->type, other);
    add_steps(buf, row->kind == PROBE_GOOD ? issue : sibling, row->type, other);
}

static void add_responder(struct buf *buf, const struct probe_row *row)
{
    if (row->kind == PROBE_ALL) {
        for (size_t i = 0; i < COUNTOF(probe_all_types); i++)
            buf_fmt(buf, "%s\"%s\":[\"%s\"]", i ? "," : "", type_name(probe_all_types[i]), all_answers[i]);
        return;
    }
    buf_fmt(buf, "\"%s\":[\"%s\"],\"%s\":[\"ok\"]", type_name(row->type), row->answer, type_name(probe_sibling(row)));
}

static struct str slug(struct arena *arena, const struct probe_row *row)
{
    struct str name = probe_row_name(arena, row);
    char *at = arena_copy(arena, name.at, name.n);
    for (size_t i = 0; i < name.n; i++)
        if (at[i] == ' ') at[i] = '-';
    return (struct str){at, name.n};
}

/* row NULL: nothing but an order. */
static struct scenario *make(struct arena *arena, struct str name, const struct probe_row *row,
                             const struct probe_limits *limits)
{
    struct buf text = {.arena = arena};
    struct complaints complaints = {.arena = arena};
    struct scenario_set set = {0};
    buf_fmt(&text, "{\"acmedrill\":1,\"title\":\"probe: %.*s\",", STR_ARGS(name));
    buf_fmt(&text, "\"given\":{\"identifiers\":[\"%.*s%s%.*s.example.test\"],", STR_ARGS(name),
            limits->suffix.n ? "-" : "", STR_ARGS(limits->suffix));
    buf_add_c(&text, "\"challenges\":[\"http-01\",\"dns-01\",\"tls-alpn-01\"]},\"responder\":{");
    if (row) add_responder(&text, row);
    buf_add_c(&text, "},\"client\":{\"steps\":[");
    if (row) add_all_steps(&text, row);
    else add_steps(&text, reach, CHALLENGE_HTTP_01, CHALLENGE_HTTP_01);
    /* Three challenges share the time of one, or a server that cares for the first alone would be watched three times
     * as long. */
    int64_t limit_ms =
        row && row->kind == PROBE_ALL ? limits->limit_ms / (int64_t)COUNTOF(probe_all_types) : limits->limit_ms;
    struct str every = when_duration_text(arena, limits->every_ms), limit = when_duration_text(arena, limit_ms);
    buf_fmt(&text, "],\"habits\":[\"ignores-retry-after\",\"poll-every %.*s\",\"poll-limit %.*s\"]},\"expect\":[]}",
            STR_ARGS(every), STR_ARGS(limit));
    enum err e =
        scenario_parse(arena, str_fmt(arena, "probe/%.*s", STR_ARGS(name)), buf_str(&text), NULL, &complaints, &set);
    assert(e == OK);
    assert(set.n == 1);
    (void)e;
    struct scenario *scenario = set.at[0];
    free(set.at);
    return scenario;
}

struct scenario *probe_scenario(struct arena *arena, const struct probe_row *row, const struct probe_limits *limits)
{
    return make(arena, slug(arena, row), row, limits);
}

struct scenario *probe_reach(struct arena *arena, const struct probe_limits *limits)
{
    return make(arena, STR("reach"), NULL, limits);
}
