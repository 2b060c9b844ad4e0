/* The responder's part of a scenario: what a validator meets, attempt by attempt. */
#include "base/when.h"
#include "plan/answers.h"
#include "plan/parts.h"
#include "wire/msg.h"

#include <string.h>

enum { HUGE_BYTES = 128 << 10, CUT_AT = 20 };

/* --- words ----------------------------------------------------------------------------------------------- */

static const char html_page[] =
    "<!DOCTYPE html>\n<html><head><title>Welcome</title></head><body><h1>It works!</h1></body></html>\n";

struct http_word {
    const char *word, *body;
    int status;
    enum delivery_how how;
};
static const struct http_word http_words[] = {
    {"ok",         "{proof}",                         200, DELIVER_WHOLE    },
    {"wrong-body", "this is not a key authorization", 200, DELIVER_WHOLE    },
    {"empty",      "",                                200, DELIVER_WHOLE    },
    {"html",       html_page,                         200, DELIVER_WHOLE    },
    {"newline",    "{proof}\n",                       200, DELIVER_WHOLE    },
    {"crlf",       "{proof}\r\n",                     200, DELIVER_WHOLE    },
    {"space",      "{proof} ",                        200, DELIVER_WHOLE    },
    {"timeout",    "",                                0,   DELIVER_HANG     },
    {"hang",       "",                                0,   DELIVER_HANG     },
    {"refused",    "",                                0,   DELIVER_REFUSED  },
    {"reset",      "",                                0,   DELIVER_RESET    },
    {"closed",     "",                                0,   DELIVER_CLOSED   },
    {"truncated",  "{proof}",                         200, DELIVER_TRUNCATED},
    {"garbage",    "",                                0,   DELIVER_GARBAGE  },
};
/* The rest of the http-01 words, which need more than a row. */
static const char *const http_more[] = {"huge", "redirect-loop", "404", "500", "502", "503"};
static const char *const http_argued[] = {"slow", "delay", "redirect", "truncated"};

static const struct {
    const char *word, *record;
    enum dns_rcode rcode;
    enum delivery_how how;
} dns_words[] = {
    {"ok",        "{proof}",     DNS_NOERROR,  DELIVER_WHOLE    },
    {"nxdomain",  NULL,          DNS_NXDOMAIN, DELIVER_WHOLE    },
    {"servfail",  NULL,          DNS_SERVFAIL, DELIVER_WHOLE    },
    {"refused",   NULL,          DNS_REFUSED,  DELIVER_WHOLE    },
    {"no-txt",    NULL,          DNS_NOERROR,  DELIVER_WHOLE    },
    {"wrong-txt", "v=spf1 -all", DNS_NOERROR,  DELIVER_WHOLE    },
    {"timeout",   NULL,          DNS_NOERROR,  DELIVER_HANG     },
    {"formerr",   NULL,          DNS_FORMERR,  DELIVER_WHOLE    },
    {"truncated", "{proof}",     DNS_NOERROR,  DELIVER_TRUNCATED},
    {"wrong-id",  "{proof}",     DNS_NOERROR,  DELIVER_GARBAGE  },
};
static const char *const dns_argued[] = {"delay"};

static const struct {
    const char *word;
    enum tls_defect defect;
    enum delivery_how how;
} tls_words[] = {
    {"ok",               TLS_GOOD,             DELIVER_WHOLE  },
    {"no-alpn",          TLS_NO_ALPN,          DELIVER_WHOLE  },
    {"wrong-cert",       TLS_WRONG_CERT,       DELIVER_WHOLE  },
    {"alert",            TLS_ALERT,            DELIVER_WHOLE  },
    {"refused",          TLS_GOOD,             DELIVER_REFUSED},
    {"reset",            TLS_GOOD,             DELIVER_RESET  },
    {"closed",           TLS_GOOD,             DELIVER_CLOSED },
    {"timeout",          TLS_GOOD,             DELIVER_HANG   },
    {"plain-http",       TLS_GOOD,             DELIVER_GARBAGE},
    {"wrong-digest",     TLS_WRONG_CERT,       DELIVER_WHOLE  },
    {"other-alpn",       TLS_OTHER_ALPN,       DELIVER_WHOLE  },
    {"wrong-san",        TLS_WRONG_SAN,        DELIVER_WHOLE  },
    {"extra-san",        TLS_EXTRA_SAN,        DELIVER_WHOLE  },
    {"upper-san",        TLS_UPPER_SAN,        DELIVER_WHOLE  },
    {"no-extension",     TLS_NO_EXTENSION,     DELIVER_WHOLE  },
    {"not-critical",     TLS_NOT_CRITICAL,     DELIVER_WHOLE  },
    {"obsolete-oid",     TLS_OBSOLETE_OID,     DELIVER_WHOLE  },
    {"not-self-signed",  TLS_NOT_SELF_SIGNED,  DELIVER_WHOLE  },
    {"two-certificates", TLS_TWO_CERTIFICATES, DELIVER_WHOLE  },
    {"expired",          TLS_EXPIRED,          DELIVER_WHOLE  },
};

/* Every word of one challenge type, for "did you mean". */
static size_t all_words(enum challenge_medium medium, const char *room[64])
{
    size_t n = 0;
    if (medium == MEDIUM_HTTP) {
        for (size_t i = 0; i < COUNTOF(http_words); i++)
            room[n++] = http_words[i].word;
        for (size_t i = 0; i < COUNTOF(http_more); i++)
            room[n++] = http_more[i];
        for (size_t i = 0; i < COUNTOF(http_argued); i++)
            room[n++] = http_argued[i];
    } else if (medium == MEDIUM_DNS) {
        for (size_t i = 0; i < COUNTOF(dns_words); i++)
            room[n++] = dns_words[i].word;
        room[n++] = dns_argued[0];
    } else {
        for (size_t i = 0; i < COUNTOF(tls_words); i++)
            room[n++] = tls_words[i].word;
        room[n++] = dns_argued[0];
    }
    return n;
}

static struct str status_body(struct arena *arena, int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {301, "Moved Permanently"    },
        {302, "Found"                },
        {307, "Temporary Redirect"   },
        {400, "Bad Request"          },
        {401, "Unauthorized"         },
        {403, "Forbidden"            },
        {404, "Not Found"            },
        {405, "Method Not Allowed"   },
        {410, "Gone"                 },
        {429, "Too Many Requests"    },
        {500, "Internal Server Error"},
        {502, "Bad Gateway"          },
        {503, "Service Unavailable"  },
        {504, "Gateway Timeout"      }
    };
    const char *reason = "an answer";
    if (status < 200 || status == 204 || status == 304) return STR("");
    for (size_t i = 0; i < COUNTOF(reasons); i++)
        if (reasons[i].status == status) reason = reasons[i].reason;
    return str_fmt(arena, "<html><body><h1>%d %s</h1></body></html>\n", status, reason);
}

static struct str huge_body(struct arena *arena)
{
    char *at = arena_alloc(arena, HUGE_BYTES + 1);
    memset(at, 'x', HUGE_BYTES);
    return (struct str){at, HUGE_BYTES};
}

/* A redirect target: http(s) with places for values, or anything else that a validator must refuse. */
static bool redirect_good(const struct desk *desk, struct node node, struct str target)
{
    static const char *const places[] = {"{token}", "{name}", "{place}"};
    for (size_t i = 0; i < target.n; i++)
        if ((unsigned char)target.at[i] <= 0x20 || (unsigned char)target.at[i] >= 0x7f) {
            node_bad(desk, node, "a redirect target has no spaces and only ASCII: \"%.*s\"", STR_ARGS(target));
            return false;
        }
    for (size_t i = 0; i < target.n; i++) {
        const char *end = target.at[i] == '{' ? memchr(target.at + i, '}', target.n - i) : NULL;
        size_t k;
        if (!end) continue;
        struct str word = {target.at + i, (size_t)(end - target.at) - i + 1};
        if (!str_index(word, places, COUNTOF(places), &k)) {
            node_unknown(desk, node, false, "place for a value", word, places, COUNTOF(places));
            return false;
        }
    }
    return true;
}

static bool read_http_word(const struct desk *desk, struct node node, struct str word, struct answer *ret)
{
    struct str head, rest;
    int64_t number;
    ret->kind = ANSWER_HTTP;
    ret->status = 200;
    for (size_t i = 0; i < COUNTOF(http_words); i++)
        if (str_is(word, http_words[i].word)) {
            ret->kind = i == 0 ? ANSWER_OK : ANSWER_HTTP;
            ret->status = http_words[i].status;
            ret->body = str_c(http_words[i].body);
            ret->delivery.how = http_words[i].how;
            ret->delivery.at_byte = ret->delivery.how == DELIVER_TRUNCATED ? CUT_AT : 0;
            return true;
        }
    if (word.n == 3 && str_int(word, &number) && number >= 100 && number <= 599) {
        ret->status = (int)number;
        ret->body = status_body(desk->arena, ret->status);
        return true;
    }
    if (str_is(word, "huge")) {
        ret->body = huge_body(desk->arena);
        return true;
    }
    if (str_is(word, "redirect-loop")) {
        ret->status = 302;
        ret->redirect = STR("http://{name}{place}");
        return true;
    }
    str_cut(word, ' ', &head, &rest);
    if (str_is(head, "slow") && rest.n) {
        ret->delivery.how = DELIVER_SLOW;
        ret->body = STR("{proof}");
        return text_duration(desk, node, rest, DAY_MS, &ret->delivery.over_ms);
    }
    if (str_is(head, "delay") && rest.n) {
        ret->kind = ANSWER_OK;
        ret->body = STR("{proof}");
        return text_duration(desk, node, rest, DAY_MS, &ret->delivery.delay_ms);
    }
    if (str_is(head, "truncated") && rest.n) {
        if (!str_int(rest, &number) || number > 60) {
            node_bad(desk, node,
                     "\"truncated\" is followed by the number of bytes that still come, at most 60: \"%.*s\"",
                     STR_ARGS(word));
            return false;
        }
        ret->delivery = (struct delivery){.how = DELIVER_TRUNCATED, .at_byte = (size_t)number};
        ret->body = STR("{proof}");
        return true;
    }
    if (str_is(head, "redirect") && rest.n) {
        if (!redirect_good(desk, node, rest)) return false;
        ret->status = 302;
        ret->redirect = str_copy(desk->arena, rest);
        return true;
    }
    if (!rest.n && (str_is(head, "slow") || str_is(head, "delay") || str_is(head, "redirect"))) {
        node_bad(desk, node, "\"%.*s\" wants %s after it", STR_ARGS(head),
                 str_is(head, "redirect") ? "a URL" : "a duration");
        return false;
    }
    return false;
}

static bool read_dns_word(const struct desk *desk, struct node node, struct str word, struct answer *ret)
{
    struct str head, rest;
    ret->kind = ANSWER_DNS;
    for (size_t i = 0; i < COUNTOF(dns_words); i++)
        if (str_is(word, dns_words[i].word)) {
            ret->kind = i == 0 ? ANSWER_OK : ANSWER_DNS;
            ret->rcode = dns_words[i].rcode;
            ret->delivery.how = dns_words[i].how;
            if (dns_words[i].record) ret->records[ret->n_records++] = str_c(dns_words[i].record);
            return true;
        }
    str_cut(word, ' ', &head, &rest);
    if (!str_is(head, "delay") || !rest.n) return false;
    ret->kind = ANSWER_OK;
    ret->records[ret->n_records++] = STR("{proof}");
    return text_duration(desk, node, rest, DAY_MS, &ret->delivery.delay_ms);
}

static bool read_tls_word(const struct desk *desk, struct node node, struct str word, struct answer *ret)
{
    struct str head, rest;
    ret->kind = ANSWER_TLS;
    for (size_t i = 0; i < COUNTOF(tls_words); i++)
        if (str_is(word, tls_words[i].word)) {
            ret->kind = i == 0 ? ANSWER_OK : ANSWER_TLS;
            ret->defect = tls_words[i].defect;
            ret->delivery.how = tls_words[i].how;
            return true;
        }
    str_cut(word, ' ', &head, &rest);
    if (!str_is(head, "delay") || !rest.n) return false;
    ret->kind = ANSWER_OK;
    return text_duration(desk, node, rest, DAY_MS, &ret->delivery.delay_ms);
}

/* Takes " xN" off the end of a word. A word without it is for one attempt. */
static bool cut_times(const struct desk *desk, struct node node, struct str *word, int *ret_times)
{
    size_t digits = 0;
    int64_t n;
    while (digits < word->n && word->at[word->n - 1 - digits] >= '0' && word->at[word->n - 1 - digits] <= '9')
        digits++;
    size_t before = word->n - digits;
    *ret_times = 1;
    if (!digits || before < 3 || word->at[before - 1] != 'x' || word->at[before - 2] != ' ') return true;
    if (!str_int((struct str){word->at + before, digits}, &n) || n < 1 || n > 1000) {
        node_bad(desk, node, "\"x\" is followed by 1 to 1000: \"%.*s\"", STR_ARGS(*word));
        return false;
    }
    *ret_times = (int)n;
    word->n = before - 2;
    return true;
}

static bool read_word(const struct desk *desk, struct node node, enum challenge_type type, bool may_repeat,
                      struct answer *ret)
{
    enum challenge_medium medium = challenge_row(type)->medium;
    const char *words[64];
    struct str word, text;
    size_t before = desk->complaints->n;
    int times = 1;
    if (!node_text(desk, node, "an answer, such as \"ok\" or \"404\",", 2000, &text)) return false;
    word = text;
    if (may_repeat && !cut_times(desk, node, &word, &times)) return false;
    bool good = medium == MEDIUM_HTTP  ? read_http_word(desk, node, word, ret)
                : medium == MEDIUM_DNS ? read_dns_word(desk, node, word, ret)
                                       : read_tls_word(desk, node, word, ret);
    ret->times = times;
    ret->word = str_copy(desk->arena, word);
    if (!good && desk->complaints->n == before) {
        struct str kind = str_fmt(desk->arena, "%s answer", challenge_row(type)->name);
        node_unknown(desk, node, false, kind.at, word, words, all_words(medium, words));
    }
    return good;
}

/* --- objects --- */

const struct fault *fault_read(const struct desk *desk, struct node node, unsigned kinds)
{
    struct str name;
    size_t n;
    const char *const *names = fault_names(&n);
    if (!node_text(desk, node, "the name of a fault", 100, &name)) return NULL;
    const struct fault *fault = fault_find(name);
    if (!fault) node_unknown(desk, node, false, "fault", name, names, n);
    else if (!(fault->applies_to & kinds))
        node_bad(desk, node, "the fault \"%s\" does not act on such a message", fault->name);
    return fault;
}

static struct headers *read_headers(const struct desk *desk, struct node node)
{
    struct node_walk walk = {0};
    struct node member;
    struct str name, value;
    if (!node_object(desk, node, "an object of headers")) return NULL;
    struct headers *headers = ARENA_NEW(desk->arena, struct headers);
    while (node_next(desk, node, &walk, &name, &member)) {
        bool good = name.n > 0 && name.n <= 100;
        for (size_t i = 0; i < name.n && good; i++)
            good = strchr("!#$%&'*+-.^_`|~", name.at[i]) || (name.at[i] >= '0' && name.at[i] <= '9') ||
                   (name.at[i] >= 'a' && name.at[i] <= 'z') || (name.at[i] >= 'A' && name.at[i] <= 'Z');
        if (!good) {
            node_bad_key(desk, member, "\"%.*s\" is not the name of a header", (int)(name.n > 80 ? 80 : name.n),
                         name.at);
            continue;
        }
        if (!node_any_text(desk, member, "a text", 4000, &value)) continue;
        for (size_t i = 0; i < value.n && good; i++)
            good = (unsigned char)value.at[i] >= 0x20 && value.at[i] != 0x7f;
        if (!good) node_bad(desk, member, "a header's value has no control characters");
        else if (headers->n == 32) node_bad_key(desk, member, "at most 32 headers are allowed here");
        else headers_add(headers, str_copy(desk->arena, name), value);
    }
    return headers;
}

static void read_records(const struct desk *desk, struct node node, struct answer *ret)
{
    if (!node_array(desk, node, "a list of TXT records", 0, COUNTOF(ret->records))) return;
    ret->n_records = 0;
    ret->kind = ANSWER_DNS;
    for (size_t i = 0; i < node_length(node); i++)
        if (node_any_text(desk, node_item(desk, node, i), "a text", 255, &ret->records[ret->n_records]))
            ret->n_records++;
}

static const char *const http_keys[] = {"answer", "status", "headers", "body", "redirect",
                                        "delay",  "fault",  "times",   "note"};
static const char *const dns_keys[] = {"answer", "rcode", "records", "delay", "fault", "times", "note"};
static const char *const tls_keys[] = {"answer", "delay", "fault", "times", "note"};

const char *const *answers_members(enum challenge_type type, size_t *ret_n)
{
    switch (challenge_row(type)->medium) {
    case MEDIUM_HTTP: *ret_n = COUNTOF(http_keys); return http_keys;
    case MEDIUM_DNS: *ret_n = COUNTOF(dns_keys); return dns_keys;
    case MEDIUM_TLS: break;
    }
    *ret_n = COUNTOF(tls_keys);
    return tls_keys;
}

/* Members that are no part of an answer are not looked at. */
static void read_object(const struct desk *desk, struct node node, enum challenge_type type, struct answer *ret)
{
    static const char *const rcodes[] = {"noerror", "formerr", "servfail", "nxdomain", "notimp", "refused"};
    static const unsigned kinds[] = {1u << MSG_RESPONSE, 1u << MSG_DNS_ANSWER, 1u << MSG_TLS_ANSWER};
    enum challenge_medium medium = challenge_row(type)->medium;
    struct node member;
    int64_t number;
    size_t i;
    node_note(desk, node);
    *ret = (struct answer){.times = 1, .word = STR("ok"), .kind = ANSWER_OK};
    if (medium == MEDIUM_HTTP) {
        ret->status = 200;
        ret->body = STR("{proof}");
    } else if (medium == MEDIUM_DNS) {
        ret->records[ret->n_records++] = STR("{proof}");
    }
    if ((member = node_member(desk, node, "answer")).value) {
        struct answer answer = {.times = 1};
        if (read_word(desk, member, type, false, &answer)) *ret = answer;
    }
    if (medium == MEDIUM_HTTP) {
        if ((member = node_member(desk, node, "status")).value && node_int(desk, member, 100, 599, &number)) {
            ret->kind = ANSWER_HTTP;
            ret->status = (int)number;
            if (number != 200) ret->body = status_body(desk->arena, ret->status);
            ret->word = str_fmt(desk->arena, "%d", ret->status);
        }
        if ((member = node_member(desk, node, "headers")).value) {
            ret->headers = read_headers(desk, member);
            if (ret->kind == ANSWER_OK) ret->kind = ANSWER_HTTP;
        }
        if ((member = node_member(desk, node, "body")).value) {
            ret->kind = ANSWER_HTTP;
            node_any_text(desk, member, "a text", 60000, &ret->body);
        }
        if ((member = node_member(desk, node, "redirect")).value &&
            node_text(desk, member, "a URL", 2000, &ret->redirect) && redirect_good(desk, member, ret->redirect)) {
            ret->kind = ANSWER_HTTP;
            if (ret->status < 300 || ret->status > 399) ret->status = 302;
            ret->word = str_fmt(desk->arena, "redirect %.*s", STR_ARGS(ret->redirect));
        }
    }
    if (medium == MEDIUM_DNS) {
        if ((member = node_member(desk, node, "rcode")).value &&
            node_word(desk, member, "rcode", rcodes, COUNTOF(rcodes), &i)) {
            ret->kind = ANSWER_DNS;
            ret->rcode = (enum dns_rcode)i;
            if (i) ret->n_records = 0;
            ret->word = str_c(rcodes[i]);
        }
        if ((member = node_member(desk, node, "records")).value) {
            read_records(desk, member, ret);
            ret->word = STR("records");
        }
    }
    if ((member = node_member(desk, node, "delay")).value)
        node_duration(desk, member, 0, DAY_MS, &ret->delivery.delay_ms);
    if ((member = node_member(desk, node, "fault")).value) ret->fault = fault_read(desk, member, kinds[medium]);
    if ((member = node_member(desk, node, "times")).value && node_int(desk, member, 1, 1000, &number))
        ret->times = (int)number;
}

static void read_answer(const struct desk *desk, struct node node, enum challenge_type type, struct answers *answers)
{
    struct answer *answer = &answers->at[answers->n];
    *answer = (struct answer){.times = 1};
    if (json_is_string(node.value)) {
        if (read_word(desk, node, type, true, answer)) answers->n++;
    } else if (json_is_object(node.value)) {
        size_t n;
        const char *const *keys = answers_members(type, &n);
        const char *kind = str_fmt(desk->arena, "key in %s %s answer",
                                   challenge_row(type)->medium == MEDIUM_HTTP ? "an" : "a", challenge_row(type)->name)
                               .at;
        node_keys(desk, node, kind, keys, n);
        read_object(desk, node, type, answer);
        answers->n++;
    } else {
        node_object(desk, node, "an answer (a word or an object)");
    }
}

bool challenge_type_word(const struct desk *desk, struct node node, bool at_key, struct str word,
                         enum challenge_type *ret)
{
    const char *types[CHALLENGE_TYPE_COUNT];
    if (challenge_type_read(word, ret)) return true;
    for (int i = 0; i < CHALLENGE_TYPE_COUNT; i++)
        types[i] = challenge_row((enum challenge_type)i)->name;
    node_unknown(desk, node, at_key, "challenge type", word, types, CHALLENGE_TYPE_COUNT);
    return false;
}

void challenge_types_read(const struct desk *desk, struct node node, enum challenge_type ret[CHALLENGE_TYPE_COUNT],
                          size_t *ret_n)
{
    struct str text;
    enum challenge_type type;
    if (!node_array(desk, node, "a list of challenge types", 1, CHALLENGE_TYPE_COUNT)) return;
    *ret_n = 0;
    for (size_t i = 0; i < node_length(node); i++) {
        struct node item = node_item(desk, node, i);
        if (!node_text(desk, item, "a challenge type", 100, &text) ||
            !challenge_type_word(desk, item, false, text, &type))
            continue;
        for (size_t k = 0; k < *ret_n; k++)
            if (ret[k] == type) node_bad(desk, item, "\"%.*s\" stands here twice", STR_ARGS(text));
        ret[(*ret_n)++] = type;
    }
}

void answers_read_members(const struct desk *desk, struct node object, enum challenge_type type, struct answers *ret)
{
    size_t n;
    const char *const *keys = answers_members(type, &n);
    ret->n = 0;
    for (size_t i = 0; i < n && !ret->n; i++)
        if (node_member(desk, object, keys[i]).value) ret->n = 1;
    if (ret->n) read_object(desk, object, type, &ret->at[0]);
}

void answers_read(const struct desk *desk, struct node node, enum challenge_type type, struct answers *ret)
{
    ret->n = 0;
    if (!json_is_array(node.value)) {
        read_answer(desk, node, type, ret);
        return;
    }
    if (!node_array(desk, node, "a list of answers, such as [\"404\", \"ok\"],", 1, SCENARIO_MAX_ANSWERS)) return;
    for (size_t i = 0; i < node_length(node); i++)
        read_answer(desk, node_item(desk, node, i), type, ret);
}

const struct answer *answers_at(const struct answer *answers, size_t n, size_t query)
{
    for (size_t i = 0; i < n; i++) {
        size_t times = answers[i].times > 0 ? (size_t)answers[i].times : 1;
        if (query < times || i + 1 == n) return &answers[i];
        query -= times;
    }
    return NULL;
}

void responder_read(const struct desk *desk, struct node node, struct scenario *scenario)
{
    struct node_walk walk = {0};
    struct node list;
    struct str key;
    enum challenge_type type;
    if (!node_object(desk, node, "an object of answer lists by challenge type")) return;
    while (node_next(desk, node, &walk, &key, &list)) {
        if (str_is(key, "note")) {
            node_note(desk, node);
            continue;
        }
        if (!challenge_type_word(desk, list, true, key, &type)) continue;
        if (json_is_array(list.value)) answers_read(desk, list, type, &scenario->answers[type]);
        else node_array(desk, list, "a list of answers, such as [\"404\", \"ok\"],", 1, SCENARIO_MAX_ANSWERS);
    }
}
