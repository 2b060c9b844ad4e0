/* What our CA says instead of the truth, and what our client is told. */
#include "acme/problem.h"
#include "base/when.h"
#include "plan/parts.h"
#include "wire/msg.h"

#include <string.h>

/* --- ca.replies --- */

static void read_status(const struct desk *desk, struct node node, enum object o, enum status *ret)
{
    const char *words[STATUS_COUNT];
    size_t n = 0, i;
    struct str kind = str_fmt(desk->arena, "state of %s",
                              o == OBJECT_CHALLENGE ? "a challenge"
                              : o == OBJECT_AUTHZ   ? "an authz"
                                                    : "an order");
    for (int s = STATUS_NONE + 1; s < STATUS_COUNT; s++)
        if (status_of_object(o, (enum status)s)) words[n++] = status_text((enum status)s);
    if (node_word(desk, node, kind.at, words, n, &i)) *ret = status_read(str_c(words[i]));
}

static void read_retry_after(const struct desk *desk, struct node node, struct str *ret)
{
    struct str text, rest;
    int64_t ms;
    if (!node_text(desk, node, "a Retry-After, such as \"20s\" or \"date+20s\",", 400, &text)) return;
    *ret = text;
    rest = text;
    if (str_is(text, "none") || str_starts(text, "raw:")) {
        for (size_t i = 0; i < text.n; i++)
            if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f) {
                node_bad(desk, node, "a header's value has no control characters");
                return;
            }
        return;
    }
    if (str_starts(text, "date+") || str_starts(text, "date-")) rest = (struct str){text.at + 5, text.n - 5};
    if (when_duration(rest, &ms) == OK && ms <= 400 * DAY_MS) return;
    node_bad(desk, node,
             "\"%.*s\" is not a Retry-After: write \"20s\", \"date+20s\", \"date-5s\", \"none\" or \"raw:TEXT\"",
             STR_ARGS(text));
}

/* Which object a reply to this request shows. */
static bool shows(enum request_name name, enum object o)
{
    switch (name) {
    case REQUEST_NEW_ORDER:
    case REQUEST_POLL_ORDER:
    case REQUEST_FINALIZE: return o == OBJECT_ORDER;
    case REQUEST_READ_AUTHZ:
    case REQUEST_POLL_AUTHZ: return o == OBJECT_AUTHZ || o == OBJECT_CHALLENGE;
    case REQUEST_ANSWER_CHALLENGE:
    case REQUEST_POLL_CHALLENGE: return o == OBJECT_CHALLENGE;
    default: return false;
    }
}

void times_read(const struct desk *desk, struct node node, int *ret)
{
    int64_t number;
    struct str text;
    if (json_is_string(node.value)) {
        if (node_text(desk, node, "a number or \"always\"", 400, &text) && !str_is(text, "always"))
            node_bad(desk, node, "\"times\" is a number or \"always\", not \"%.*s\"", STR_ARGS(text));
        *ret = 0;
    } else if (node_int(desk, node, 1, 1000, &number)) {
        *ret = (int)number;
    }
}

static void read_reply(const struct desk *desk, struct node node, enum request_name name, struct reply *reply)
{
    static const char *const keys[] = {"order",       "authz", "challenge", "status", "error", "detail",
                                       "retry_after", "delay", "fault",     "times",  "note"};
    static const enum object objects[] = {OBJECT_ORDER, OBJECT_AUTHZ, OBJECT_CHALLENGE};
    enum status *statuses[] = {&reply->order, &reply->authz, &reply->challenge};
    struct node member;
    int64_t number;
    size_t i, n;
    bool claims = false;
    *reply = (struct reply){.times = 1};
    if (!node_object(desk, node, "a reply, such as {\"status\": 503},")) return;
    node_keys(desk, node, "key in a reply", keys, COUNTOF(keys));
    node_note(desk, node);
    for (size_t k = 0; k < COUNTOF(objects); k++) {
        if (!(member = node_member(desk, node, keys[k])).value) continue;
        claims = true;
        read_status(desk, member, objects[k], statuses[k]);
        if (!shows(name, objects[k]))
            node_bad_key(desk, member, "a reply to \"%s\" does not show %s", request_name_text(name),
                         k == 0   ? "an order"
                         : k == 1 ? "an authz"
                                  : "a challenge");
    }
    if ((member = node_member(desk, node, "status")).value && node_int(desk, member, 200, 599, &number)) {
        reply->status = (int)number;
        if (claims) node_bad_key(desk, member, "a reply is either a state or an HTTP status, not both");
    }
    if ((member = node_member(desk, node, "error")).value &&
        node_text(desk, member, "a problem type", 200, &reply->error)) {
        const char *const *types = problem_types(&n);
        if (str_find(reply->error, ":") < 0 && !str_index(reply->error, types, n, &i))
            node_unknown(desk, member, false, "problem type", reply->error, types, n);
        if (!reply->status && !claims) reply->status = problem_status(reply->error);
    }
    if ((member = node_member(desk, node, "detail")).value) {
        node_text(desk, member, "a text", 1000, &reply->detail);
        if (!node_member(desk, node, "error").value) node_bad_key(desk, member, "\"detail\" belongs to an \"error\"");
    }
    if ((member = node_member(desk, node, "retry_after")).value) read_retry_after(desk, member, &reply->retry_after);
    if ((member = node_member(desk, node, "delay")).value) node_duration(desk, member, 0, DAY_MS, &reply->delay_ms);
    if ((member = node_member(desk, node, "fault")).value) reply->fault = fault_read(desk, member, 1u << MSG_RESPONSE);
    if ((member = node_member(desk, node, "times")).value) times_read(desk, member, &reply->times);
}

void ca_read(const struct desk *desk, struct node node, struct scenario *scenario)
{
    static const char *const keys[] = {"replies", "faults", "note"};
    struct node_walk walk = {0};
    struct node map, list;
    struct str key;
    size_t r, n_names;
    const char *const *names = request_names(false, &n_names);
    if (!node_object(desk, node, "an object with \"replies\" or \"faults\"")) return;
    node_keys(desk, node, "key in ca", keys, COUNTOF(keys));
    node_note(desk, node);
    if ((list = node_member(desk, node, "faults")).value) faults_read(desk, list, scenario);
    map = node_member(desk, node, "replies");
    if (!map.value || !node_object(desk, map, "an object of reply lists by request")) return;
    while (node_next(desk, map, &walk, &key, &list)) {
        if (!str_index(key, names, n_names, &r)) {
            node_unknown(desk, list, true, "request", key, names, n_names);
            continue;
        }
        struct replies *replies = &scenario->replies[r];
        if (!node_array(desk, list, "a list of replies", 0, SCENARIO_MAX_ANSWERS)) continue;
        replies->n = node_length(list);
        for (size_t i = 0; i < replies->n; i++) {
            read_reply(desk, node_item(desk, list, i), (enum request_name)r, &replies->at[i]);
            if (i && replies->at[i - 1].times == 0)
                node_bad(desk, node_item(desk, list, i),
                         "this reply is never reached: the one before it is given always");
        }
    }
    scenario->has_replies = false;
    for (r = 0; r < REQUEST_COUNT; r++)
        scenario->has_replies |= scenario->replies[r].n > 0;
}

/* --- client.steps --- */

static const struct {
    const char *words;
    enum step_kind kind;
    bool typed; /* followed by a challenge type */
    bool polls; /* may repeat, may wait until final */
} step_table[] = {
    {"obtain",                   STEP_OBTAIN,              false, false},
    {"create account",           STEP_CREATE_ACCOUNT,      false, false},
    {"find account",             STEP_FIND_ACCOUNT,        false, false},
    {"read account",             STEP_READ_ACCOUNT,        false, false},
    {"update account",           STEP_UPDATE_ACCOUNT,      false, false},
    {"deactivate account",       STEP_DEACTIVATE_ACCOUNT,  false, false},
    {"change key",               STEP_CHANGE_KEY,          false, false},
    {"read orders",              STEP_READ_ORDERS,         false, false},
    {"use other account",        STEP_OTHER_ACCOUNT,       false, false},
    {"create authz",             STEP_CREATE_AUTHZ,        false, false},
    {"create order",             STEP_CREATE_ORDER,        false, false},
    {"replace certificate",      STEP_REPLACE_CERTIFICATE, false, false},
    {"read authz",               STEP_READ_AUTHZ,          false, false},
    {"provision",                STEP_PROVISION,           true,  false},
    {"withdraw",                 STEP_WITHDRAW,            true,  false},
    {"answer",                   STEP_ANSWER,              true,  false},
    {"poll challenge",           STEP_POLL_CHALLENGE,      false, true },
    {"poll authz",               STEP_POLL_AUTHZ,          false, true },
    {"poll order",               STEP_POLL_ORDER,          false, true },
    {"poll",                     STEP_POLL_CHALLENGE,      true,  true },
    {"finalize",                 STEP_FINALIZE,            false, false},
    {"download alternate",       STEP_DOWNLOAD_ALTERNATE,  false, false},
    {"download",                 STEP_DOWNLOAD,            false, false},
    {"revoke certificate",       STEP_REVOKE_CERTIFICATE,  false, false},
    {"read renewal information", STEP_READ_RENEWAL,        false, false},
    {"renew",                    STEP_RENEW,               false, false},
    {"deactivate authz",         STEP_DEACTIVATE_AUTHZ,    false, false},
    {"wait",                     STEP_WAIT,                false, false},
    {"give up",                  STEP_GIVE_UP,             false, false},
};
/* What may follow such a step, first of all. */
static const struct {
    enum step_kind kind;
    const char *words;
    enum step_way way;
} way_table[] = {
    {STEP_CREATE_ACCOUNT,     "without terms",               WAY_WITHOUT_TERMS        },
    {STEP_CREATE_ACCOUNT,     "without binding",             WAY_WITHOUT_BINDING      },
    {STEP_CREATE_ACCOUNT,     "with wrong mac",              WAY_WRONG_MAC            },
    {STEP_CREATE_ACCOUNT,     "with unknown kid",            WAY_UNKNOWN_KID          },
    {STEP_CREATE_ACCOUNT,     "with binding of another key", WAY_OTHER_BINDING        },
    {STEP_READ_ACCOUNT,       "by old key",                  WAY_OLD_KEY              },
    {STEP_READ_ACCOUNT,       "with wrong url",              WAY_WRONG_URL            },
    {STEP_READ_ACCOUNT,       "by GET",                      WAY_GET                  },
    {STEP_UPDATE_ACCOUNT,     "without contact",             WAY_WITHOUT_CONTACT      },
    {STEP_UPDATE_ACCOUNT,     "with terms",                  WAY_WITH_TERMS           },
    {STEP_CHANGE_KEY,         "to key in use",               WAY_KEY_IN_USE           },
    {STEP_CHANGE_KEY,         "to same key",                 WAY_SAME_KEY             },
    {STEP_CHANGE_KEY,         "with wrong old key",          WAY_WRONG_OLD_KEY        },
    {STEP_CHANGE_KEY,         "with wrong account",          WAY_WRONG_ACCOUNT        },
    {STEP_CHANGE_KEY,         "with wrong inner url",        WAY_WRONG_INNER_URL      },
    {STEP_CHANGE_KEY,         "with wrong inner signature",  WAY_WRONG_INNER_SIGNATURE},
    {STEP_CREATE_ORDER,       "with wrong url",              WAY_WRONG_URL            },
    {STEP_POLL_ORDER,         "with wrong url",              WAY_WRONG_URL            },
    {STEP_POLL_ORDER,         "by GET",                      WAY_GET                  },
    {STEP_DOWNLOAD,           "by GET",                      WAY_GET                  },
    {STEP_REVOKE_CERTIFICATE, "by certificate key",          WAY_CERTIFICATE_KEY      },
    {STEP_REVOKE_CERTIFICATE, "by unknown key",              WAY_UNKNOWN_KEY          },
};
static const char *const step_words[] = {
    "obtain",
    "create account",
    "create account without terms",
    "create account without binding",
    "create account with wrong mac",
    "create account with unknown kid",
    "create account with binding of another key",
    "find account",
    "read account",
    "read account by old key",
    "read account by GET",
    "update account",
    "update account without contact",
    "update account with terms",
    "update account with contact mailto:admin@example.test",
    "deactivate account",
    "change key",
    "change key to key in use",
    "change key to same key",
    "change key with wrong old key",
    "change key with wrong account",
    "change key with wrong inner url",
    "change key with wrong inner signature",
    "read orders",
    "use other account",
    "create authz",
    "replace certificate",
    "poll order by GET",
    "poll order with wrong url",
    "download alternate",
    "revoke certificate",
    "revoke certificate by certificate key",
    "revoke certificate by unknown key",
    "revoke certificate with reason 1",
    "read renewal information",
    "renew",
    "create order",
    "read authz",
    "provision http-01",
    "withdraw http-01",
    "answer http-01",
    "poll challenge",
    "poll authz",
    "poll order",
    "poll http-01",
    "finalize",
    "download",
    "deactivate authz",
    "wait 3s",
    "give up",
    "poll challenge until final",
    "poll authz until final",
    "poll order until final",
    "answer dns-01",
    "provision dns-01",
    "withdraw dns-01",
    "answer tls-alpn-01",
    "provision tls-alpn-01",
    "withdraw tls-alpn-01",
    "answer dns-account-01",
    "provision dns-account-01",
    "withdraw dns-account-01",
};

static void unknown_step(const struct desk *desk, struct node node, struct str text)
{
    node_unknown(desk, node, false, "step", text, step_words, COUNTOF(step_words));
}

/* What may follow a step: "until final", "xN", "every DURATION". */
static bool read_step_tail(const struct desk *desk, struct node node, struct str rest, bool polls, struct step *step)
{
    struct str word;
    int64_t number;
    while (rest.n) {
        str_cut(rest, ' ', &word, &rest);
        if (polls && str_is(word, "until") && str_is(rest, "final") && step->times == 1) {
            step->until_final = true;
            rest.n = 0;
        } else if (str_starts(word, "x") && str_int((struct str){word.at + 1, word.n - 1}, &number)) {
            if (number < 1 || number > 1000) {
                node_bad(desk, node, "\"x\" is followed by 1 to 1000: \"%.*s\"", STR_ARGS(step->text));
                return false;
            }
            step->times = (int)number;
        } else if (str_is(word, "every") && rest.n) {
            str_cut(rest, ' ', &word, &rest);
            if (!text_duration(desk, node, word, DAY_MS, &step->every_ms)) return false;
        } else {
            unknown_step(desk, node, step->text);
            return false;
        }
    }
    return true;
}

/* Takes "by certificate key" and the like off the front of what follows the step. */
static void read_way(struct step *step, struct str *rest)
{
    for (size_t i = 0; i < COUNTOF(way_table); i++) {
        size_t n = strlen(way_table[i].words);
        if (way_table[i].kind != step->kind || !str_starts(*rest, way_table[i].words)) continue;
        if (rest->n > n && rest->at[n] != ' ') continue;
        step->way = way_table[i].way;
        *rest = rest->n > n ? (struct str){rest->at + n + 1, rest->n - n - 1} : (struct str){0};
        return;
    }
}

/* "with reason 4", "with contact mailto:a@example.test" */
static bool read_with(const struct desk *desk, struct node node, struct step *step, struct str *rest)
{
    static const char with_reason[] = "with reason ", with_contact[] = "with contact ";
    struct str word, after;
    if (step->kind == STEP_REVOKE_CERTIFICATE && str_starts(*rest, with_reason)) {
        after = (struct str){rest->at + sizeof with_reason - 1, rest->n - sizeof with_reason + 1};
        str_cut(after, ' ', &word, rest);
        if (str_int(word, &step->reason) && step->reason >= 0 && step->reason < 1000) return true;
        node_bad(desk, node, "a reason is a number from 0 to 999: \"%.*s\"", STR_ARGS(step->text));
        return false;
    }
    if (step->kind == STEP_UPDATE_ACCOUNT && step->way == WAY_PLAIN && str_starts(*rest, with_contact)) {
        after = (struct str){rest->at + sizeof with_contact - 1, rest->n - sizeof with_contact + 1};
        str_cut(after, ' ', &step->contact, rest);
    }
    return true;
}

static void read_step(const struct desk *desk, struct node node, struct scenario *scenario)
{
    struct client_plan *client = &scenario->client;
    struct str text, word, rest;
    if (!node_text(desk, node, "a step, such as \"answer http-01\",", 200, &text)) return;
    struct step step = {.text = text, .times = 1, .reason = -1};
    step.type = client->n_prefers ? client->prefers[0] : scenario->challenges[0];
    for (size_t i = 0; i < COUNTOF(step_table); i++) {
        size_t n = strlen(step_table[i].words);
        if (!str_starts(text, step_table[i].words) || (text.n > n && text.at[n] != ' ')) continue;
        rest = text.n > n ? (struct str){text.at + n + 1, text.n - n - 1} : (struct str){0};
        step.kind = step_table[i].kind;
        if (step.kind == STEP_WAIT) {
            if (!rest.n) node_bad(desk, node, "\"wait\" wants a duration after it");
            else if (text_duration(desk, node, rest, 400 * DAY_MS, &step.every_ms))
                client->steps[client->n_steps++] = step;
            return;
        }
        if (step_table[i].typed) {
            str_cut(rest, ' ', &word, &rest);
            if (!word.n) {
                unknown_step(desk, node, text);
                return;
            }
            if (!challenge_type_word(desk, node, false, word, &step.type)) return;
        }
        read_way(&step, &rest);
        if (!read_with(desk, node, &step, &rest)) return;
        if ((step.kind == STEP_OBTAIN || step.kind == STEP_RENEW || step.kind == STEP_OTHER_ACCOUNT) && rest.n)
            unknown_step(desk, node, text);
        else if (read_step_tail(desk, node, rest, step_table[i].polls, &step)) client->steps[client->n_steps++] = step;
        return;
    }
    unknown_step(desk, node, text);
}

/* --- client.habits --- */

static const struct {
    const char *word;
    size_t at;
} habit_table[] = {
#define HABIT(word, member)                                                                                            \
    {                                                                                                                  \
        word, offsetof(struct habits, member)                                                                          \
    }
    HABIT("ignores-retry-after", ignores_retry_after),
    HABIT("ignores-http-date", ignores_http_date),
    HABIT("repeats-nonce", repeats_nonce),
    HABIT("gives-up-on-bad-nonce", gives_up_on_bad_nonce),
    HABIT("gives-up-on-5xx", gives_up_on_5xx),
    HABIT("retries-5xx-at-once", retries_5xx_at_once),
    HABIT("tries-a-hundred-times", tries_a_hundred_times),
    HABIT("treats-processing-as-failure", treats_processing_as_failure),
    HABIT("treats-error-as-failure", treats_error_as_failure),
    HABIT("answers-again", answers_again),
    HABIT("answers-all", answers_all),
    HABIT("answers-after-invalid", answers_after_invalid),
    HABIT("finalizes-early", finalizes_early),
    HABIT("finalizes-twice", finalizes_twice),
    HABIT("polls-after-final", polls_after_final),
    HABIT("polls-for-ever", polls_for_ever),
    HABIT("withdraws-early", withdraws_early),
    HABIT("never-answers", never_answers),
    HABIT("never-polls", never_polls),
    HABIT("never-downloads", never_downloads),
    HABIT("claims-success", claims_success),
    HABIT("new-order-each-poll", new_order_each_poll),
    HABIT("hides-user-agent", hides_user_agent),
    HABIT("sends-plain-json", sends_plain_json),
#undef HABIT
};
enum { HABIT_FLAGS = COUNTOF(habit_table) };

const char *const *habit_words(size_t *ret_n)
{
    static const char *words[HABIT_FLAGS + 2];
    for (size_t i = 0; i < HABIT_FLAGS; i++)
        words[i] = habit_table[i].word;
    words[HABIT_FLAGS] = "poll-every";
    words[HABIT_FLAGS + 1] = "poll-limit";
    *ret_n = COUNTOF(words);
    return words;
}

struct habits habits_default(void)
{
    return (struct habits){.poll_every_ms = 3000, .poll_limit_ms = 30 * 60000};
}

bool habits_polite(const struct habits *habits)
{
    struct habits polite = habits_default();
    for (size_t i = 0; i < HABIT_FLAGS; i++)
        if (*(const bool *)((const char *)habits + habit_table[i].at)) return false;
    return habits->poll_every_ms == polite.poll_every_ms && habits->poll_limit_ms == polite.poll_limit_ms;
}

static void read_habit(const struct desk *desk, struct node node, struct habits *habits)
{
    struct str text, word, rest;
    size_t n;
    const char *const *words = habit_words(&n);
    if (!node_text(desk, node, "a habit, such as \"ignores-retry-after\" or \"poll-every 1s\",", 100, &text)) return;
    str_cut(text, ' ', &word, &rest);
    bool every = str_is(word, "poll-every");
    if (every || str_is(word, "poll-limit")) {
        int64_t ms;
        if (!rest.n) node_bad(desk, node, "\"%.*s\" wants a duration after it", STR_ARGS(word));
        else if (text_duration(desk, node, rest, 400 * DAY_MS, &ms)) {
            if (ms < 1) node_bad(desk, node, "\"%.*s\": at least 1ms is needed", STR_ARGS(text));
            else if (every) habits->poll_every_ms = ms;
            else habits->poll_limit_ms = ms;
        }
        return;
    }
    for (size_t i = 0; i < HABIT_FLAGS; i++)
        if (str_is(text, habit_table[i].word)) {
            *(bool *)((char *)habits + habit_table[i].at) = true;
            return;
        }
    node_unknown(desk, node, false, "habit", text, words, n);
}

void client_read(const struct desk *desk, struct node node, struct scenario *scenario)
{
    static const char *const keys[] = {"prefers", "on_failure", "steps", "habits", "key", "note"};
    static const char *const on_failure[] = {"give up", "fall back", "same authz"};
    static const enum on_failure on_failure_values[] = {FAIL_GIVE_UP, FAIL_NEW_ORDER, FAIL_SAME_AUTHZ};
    static const char *const key_words[] = {"ES256", "ES384", "EdDSA", "RS256"};
    static const enum key_kind key_kinds[] = {KEY_P256, KEY_P384, KEY_ED25519, KEY_RSA};
    struct client_plan *client = &scenario->client;
    struct node list;
    struct str text;
    size_t i;
    if (!node_object(desk, node, "an object")) return;
    node_keys(desk, node, "key in client", keys, COUNTOF(keys));
    node_note(desk, node);
    list = node_member(desk, node, "prefers");
    if (list.value && node_array(desk, list, "a list of challenge types", 1, CHALLENGE_TYPE_COUNT)) {
        client->n_prefers = 0;
        for (i = 0; i < node_length(list); i++) {
            struct node item = node_item(desk, list, i);
            enum challenge_type type;
            if (!node_text(desk, item, "a challenge type", 100, &text) ||
                !challenge_type_word(desk, item, false, text, &type))
                continue;
            for (size_t k = 0; k < client->n_prefers; k++)
                if (client->prefers[k] == type) node_bad(desk, item, "\"%.*s\" stands here twice", STR_ARGS(text));
            client->prefers[client->n_prefers++] = type;
        }
    }
    list = node_member(desk, node, "on_failure");
    if (list.value && node_word(desk, list, "thing to do on failure", on_failure, COUNTOF(on_failure), &i))
        client->on_failure = on_failure_values[i];
    if ((list = node_member(desk, node, "key")).value &&
        node_word(desk, list, "key", key_words, COUNTOF(key_words), &i))
        client->key = key_kinds[i];
    list = node_member(desk, node, "habits");
    if (list.value && node_array(desk, list, "a list of habits", 0, 32)) {
        client->habits = habits_default();
        for (i = 0; i < node_length(list); i++)
            read_habit(desk, node_item(desk, list, i), &client->habits);
    }
    list = node_member(desk, node, "steps");
    if (list.value && node_array(desk, list, "a list of steps", 0, SCENARIO_MAX_STEPS)) {
        client->n_steps = 0;
        for (i = 0; i < node_length(list); i++)
            read_step(desk, node_item(desk, list, i), scenario);
    }
}
