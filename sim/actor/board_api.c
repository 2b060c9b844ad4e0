/* The board's management interface: challtestsrv's calls, its answers and its tolerance (members in any case,
 * unknown ones ignored), and the members that we add. */
#include "actor/board_inside.h"

#include "acme/address.h"

#include <arpa/inet.h>
#include <string.h>

enum { MAX_KEY = 1000, MAX_CONTENT = 65536, MAX_POLICIES = DNS_MAX_RECORDS, MAX_ADDRESSES = DNS_MAX_RECORDS };

/* One call being served. */
struct call {
    struct board *board;
    struct turn *turn;
    const struct msg *in;
    struct desk desk;
    struct node root;
};
struct call_row;
typedef void call_fn(const struct call_row *row, struct call *call);

/* An answer list goes with three calls. */
enum extra { NO_EXTRA, EXTRA_HTTP, EXTRA_DNS, EXTRA_TLS };
struct call_row {
    const char *path;
    call_fn *run;
    const char *key, *value; /* the members that it is about */
    enum pin_kind kind;
    enum extra extra;
};

static void done(const struct call *call, bool good)
{
    if (call->desk.complaints->n) {
        const struct complaint *first = &call->desk.complaints->at[0];
        board_say(call->turn, call->in, 400,
                  str_fmt(call->turn->arena, "body:%d:%d: %.*s\n", first->line, first->column, STR_ARGS(first->text)));
        return;
    }
    board_say(call->turn, call->in, good ? 200 : 400, STR(""));
}

static void refuse(const struct call *call, struct str text)
{
    board_say(call->turn, call->in, 400, text);
}

/* --- members --- */

/* In any case of letters, as Go's decoder takes them. */
static struct node member(const struct call *call, const char *key)
{
    struct node_walk walk = {0};
    struct node found = node_member(&call->desk, call->root, key), each;
    struct str name;
    while (!found.value && node_next(&call->desk, call->root, &walk, &name, &each))
        if (str_is_nocase(name, key)) found = each;
    return found;
}

/* A text; empty when it is absent or no text, which is complained of. */
static struct str text(const struct call *call, const char *key, size_t max)
{
    struct node node = member(call, key);
    struct str value = {0};
    if (node.value) node_any_text(&call->desk, node, "a text", max, &value);
    return value;
}

/* The row's key as pins know it: names without regard to case and final dot. */
static struct str key_of(const struct call_row *row, const struct call *call)
{
    struct str key = text(call, row->key, MAX_KEY);
    unsigned char octets[16];
    if (strcmp(row->key, "host") != 0) return key;
    /* RFC 8738 section 6: a hello has the reverse name in an address's place. */
    if (row->kind == PIN_TLS && address_octets(key, octets)) return address_reverse(call->turn->arena, key);
    return board_name(call->turn->arena, key);
}

static bool challenge_of(enum extra extra, enum challenge_type *ret)
{
    static const enum challenge_type types[] = {
        [EXTRA_HTTP] = CHALLENGE_HTTP_01, [EXTRA_DNS] = CHALLENGE_DNS_01, [EXTRA_TLS] = CHALLENGE_TLS_ALPN_01};
    if (extra == NO_EXTRA) return false;
    *ret = types[extra];
    return true;
}

/* A member that looks like one of those we add but is none would be left out in silence: it is a slip. */
static void find_slips(const struct call_row *row, const struct call *call, enum challenge_type type)
{
    const char *words[16];
    size_t n = 0, i;
    struct node_walk walk = {0};
    struct node node;
    struct str name;
    const char *const *members = answers_members(type, &n);
    memcpy(words, members, n * sizeof *words);
    words[n++] = "answers";
    while (node_next(&call->desk, call->root, &walk, &name, &node)) {
        bool known = str_index(name, words, n, &i) || str_is_nocase(name, row->key) ||
                     (row->value && str_is_nocase(name, row->value));
        if (!known && str_nearest(name, words, n)) node_unknown(&call->desk, node, true, "member", name, words, n);
    }
}

/* "answers", a list, or the members of one answer. They live as long as the pin. */
static void read_answers(const struct call_row *row, const struct call *call, struct pin *pin)
{
    enum challenge_type type;
    if (!challenge_of(row->extra, &type)) return;
    struct desk desk = {.arena = &pin->arena, .complaints = call->desk.complaints};
    struct answers *answers = ARENA_NEW(call->turn->arena, struct answers);
    struct node list = member(call, "answers");
    find_slips(row, call, type);
    if (list.value) answers_read(&desk, list, type, answers);
    else answers_read_members(&desk, call->root, type, answers);
    if (!answers->n) return;
    struct answer *kept = ARENA_ARRAY(&pin->arena, struct answer, answers->n);
    memcpy(kept, answers->at, answers->n * sizeof *kept);
    pin->answers = kept;
    pin->n_answers = answers->n;
}

/* --- calls --- */

/* Takes the pin. */
static void put(const struct call *call, struct pin *pin)
{
    if (call->desk.complaints->n) {
        pin_free(pin);
        done(call, false);
    } else if (pins_put(&call->board->pins, pin)) {
        done(call, true);
    } else {
        refuse(call, str_fmt(call->turn->arena, "there are %d entries already\n", BOARD_MAX_PINS));
    }
}

/* A pin with what is pinned up there already, as far as there is room beside n more texts: the oldest go first. */
static struct pin *pin_again(const struct call *call, enum pin_kind kind, struct str key, size_t n)
{
    struct pin *pin = pin_new(kind, key);
    const struct pin *old = pins_find(&call->board->pins, kind, key);
    size_t skip = old && old->n_texts + n > DNS_MAX_RECORDS ? old->n_texts + n - DNS_MAX_RECORDS : 0;
    for (size_t i = skip; old && i < old->n_texts; i++)
        pin->texts[pin->n_texts++] = str_copy(&pin->arena, old->texts[i]);
    return pin;
}

static void add_text(struct pin *pin, struct str value)
{
    pin->texts[pin->n_texts++] = str_copy(&pin->arena, value);
}

static void set_default(const struct call_row *row, struct call *call)
{
    bool v4 = row->kind == PIN_A;
    struct str ip = text(call, "ip", INET6_ADDRSTRLEN);
    unsigned char octets[16];
    if (ip.n && inet_pton(v4 ? AF_INET : AF_INET6, ip.at, octets) != 1) {
        refuse(call, str_fmt(call->turn->arena, "\"%.*s\" is not an IPv%d address\n", STR_ARGS(ip), v4 ? 4 : 6));
        return;
    }
    if (!call->desk.complaints->n) {
        struct arena *arena = v4 ? &call->board->ipv4_arena : &call->board->ipv6_arena;
        arena_done(arena);
        *(v4 ? &call->board->options.ipv4 : &call->board->options.ipv6) = str_copy(arena, ip);
    }
    done(call, true);
}

static void add_addresses(const struct call_row *row, struct call *call)
{
    struct str key = key_of(row, call);
    struct node list = member(call, "addresses");
    size_t n = node_length(list);
    unsigned char octets[16];
    if (list.value && !node_array(&call->desk, list, "a list of addresses", 0, MAX_ADDRESSES)) n = 0;
    if (!key.n || !n) {
        done(call, false);
        return;
    }
    struct pin *pin = pin_again(call, row->kind, key, n);
    for (size_t i = 0; i < n; i++) {
        struct node item = node_item(&call->desk, list, i);
        struct str ip;
        if (!node_text(&call->desk, item, "an address", INET6_ADDRSTRLEN, &ip)) continue;
        if (inet_pton(row->kind == PIN_A ? AF_INET : AF_INET6, ip.at, octets) != 1)
            node_bad(&call->desk, item, "\"%.*s\" is not an IPv%d address", STR_ARGS(ip), row->kind == PIN_A ? 4 : 6);
        add_text(pin, ip);
    }
    put(call, pin);
}

static bool is_word(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.at[i] >= 'a' && s.at[i] <= 'z') || (s.at[i] >= 'A' && s.at[i] <= 'Z') ||
              (s.at[i] >= '0' && s.at[i] <= '9')))
            return false;
    return s.n > 0;
}

/* RFC 8659 section 4.1.1: the tag is of letters and digits; the value goes between quotes, where \DDD is an octet. */
static struct str caa_record(const struct call *call, struct node policy)
{
    struct buf out = {.arena = call->turn->arena};
    struct node tag = node_member(&call->desk, policy, "tag"), value = node_member(&call->desk, policy, "value");
    struct node flags = node_member(&call->desk, policy, "flags");
    struct str tag_text = {0}, value_text = {0};
    int64_t bits = 0;
    if (flags.value) node_int(&call->desk, flags, 0, 255, &bits);
    if (!node_text(&call->desk, tag, "a tag such as \"issue\"", 15, &tag_text)) return (struct str){0};
    if (!is_word(tag_text)) node_bad(&call->desk, tag, "a tag has letters and digits only");
    if (value.value) node_any_text(&call->desk, value, "a text", 200, &value_text);
    buf_fmt(&out, "%d %.*s \"", (int)bits, STR_ARGS(tag_text));
    for (size_t i = 0; i < value_text.n; i++) {
        unsigned char c = (unsigned char)value_text.at[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\') buf_fmt(&out, "\\%03u", c);
        else buf_add_char(&out, (char)c);
    }
    buf_add_char(&out, '"');
    return buf_str(&out);
}

static void add_caa(const struct call_row *row, struct call *call)
{
    struct str key = key_of(row, call);
    struct node list = member(call, "policies");
    size_t n = node_length(list);
    if (list.value && !node_array(&call->desk, list, "a list of policies", 0, MAX_POLICIES)) n = 0;
    if (!key.n || !n) {
        done(call, false);
        return;
    }
    struct pin *pin = pin_again(call, row->kind, key, n);
    for (size_t i = 0; i < n; i++) {
        struct node item = node_item(&call->desk, list, i);
        if (node_object(&call->desk, item, "an object with tag and value")) add_text(pin, caa_record(call, item));
    }
    put(call, pin);
}

static void add_txt(const struct call_row *row, struct call *call)
{
    struct str key = key_of(row, call), value = text(call, row->value, MAX_CONTENT);
    if (!key.n || !value.n) {
        done(call, false);
        return;
    }
    struct pin *pin = pin_again(call, row->kind, key, 1);
    add_text(pin, value);
    read_answers(row, call, pin);
    put(call, pin);
}

/* One text by one key: a token, a path, a name. */
static void set_text(const struct call_row *row, struct call *call)
{
    struct str key = key_of(row, call), value = text(call, row->value, MAX_CONTENT);
    struct node status = row->kind == PIN_REDIRECT ? member(call, "status") : (struct node){0};
    int64_t number = 302;
    if (!key.n || !value.n) {
        done(call, false);
        return;
    }
    if (row->kind == PIN_CNAME) value = board_name(call->turn->arena, value);
    for (size_t i = 0; row->kind == PIN_REDIRECT && i < value.n; i++)
        if ((unsigned char)value.at[i] < 0x20 || value.at[i] == 0x7f) {
            node_bad(&call->desk, member(call, row->value), "a URL has no control characters");
            break;
        }
    if (status.value) node_int(&call->desk, status, 300, 399, &number);
    struct pin *pin = pin_new(row->kind, key);
    add_text(pin, value);
    pin->status = (int)number;
    read_answers(row, call, pin);
    put(call, pin);
}

static void set_failure(const struct call_row *row, struct call *call)
{
    struct str key = key_of(row, call);
    if (!key.n) {
        done(call, false);
        return;
    }
    struct pin *pin = pin_new(row->kind, key);
    read_answers(row, call, pin);
    put(call, pin);
}

static void take_away(const struct call_row *row, struct call *call)
{
    struct str key = key_of(row, call);
    if (key.n && !call->desk.complaints->n) pins_remove(&call->board->pins, row->kind, key);
    done(call, key.n > 0);
}

/* --- history --- */

static void tell_history(const struct call_row *row, struct call *call)
{
    enum asked_kind kind = row->kind == PIN_TOKEN ? ASKED_HTTP : row->kind == PIN_TXT ? ASKED_DNS : ASKED_TLS;
    struct str host = text(call, "host", MAX_KEY);
    if (call->desk.complaints->n) {
        done(call, false);
        return;
    }
    if (!host.n) {
        refuse(call, STR("host parameter of POST body must not be empty\n"));
        return;
    }
    if (kind != ASKED_HTTP) host = board_name(call->turn->arena, host);
    struct msg *msg = outbox_post(call->turn->out, MSG_RESPONSE, call->in->from, call->in->flow);
    msg->as.response.status = 200;
    msg->as.response.body = asked_json(&msg->arena, &call->board->history[kind], kind, host);
    msg_header(msg, "Content-Type", STR("application/json; charset=utf-8"));
}

static void clear_history(const struct call_row *row, struct call *call)
{
    static const char *const kinds[] = {[ASKED_HTTP] = "http", [ASKED_DNS] = "dns", [ASKED_TLS] = "tlsalpn"};
    struct str host = text(call, "host", MAX_KEY), type = text(call, "type", MAX_KEY);
    size_t kind = 0;
    (void)row;
    if (call->desk.complaints->n) {
        done(call, false);
    } else if (!host.n) {
        refuse(call, STR("host parameter must not be empty\n"));
    } else if (!str_index(type, kinds, COUNTOF(kinds), &kind)) {
        refuse(call, str_fmt(call->turn->arena, "\"%.*s\" event type unknown\n", STR_ARGS(type)));
    } else {
        if (kind != ASKED_HTTP) host = board_name(call->turn->arena, host);
        asked_clear(&call->board->history[kind], host);
        done(call, true);
    }
}

/* --- the table --- */

static const struct call_row calls[] = {
    {"/set-default-ipv4",          set_default,   "ip",    NULL,        PIN_A,        NO_EXTRA  },
    {"/set-default-ipv6",          set_default,   "ip",    NULL,        PIN_AAAA,     NO_EXTRA  },
    {"/add-a",                     add_addresses, "host",  NULL,        PIN_A,        NO_EXTRA  },
    {"/clear-a",                   take_away,     "host",  NULL,        PIN_A,        NO_EXTRA  },
    {"/add-aaaa",                  add_addresses, "host",  NULL,        PIN_AAAA,     NO_EXTRA  },
    {"/clear-aaaa",                take_away,     "host",  NULL,        PIN_AAAA,     NO_EXTRA  },
    {"/add-caa",                   add_caa,       "host",  NULL,        PIN_CAA,      NO_EXTRA  },
    {"/clear-caa",                 take_away,     "host",  NULL,        PIN_CAA,      NO_EXTRA  },
    {"/set-cname",                 set_text,      "host",  "target",    PIN_CNAME,    NO_EXTRA  },
    {"/clear-cname",               take_away,     "host",  NULL,        PIN_CNAME,    NO_EXTRA  },
    {"/set-txt",                   add_txt,       "host",  "value",     PIN_TXT,      EXTRA_DNS },
    {"/clear-txt",                 take_away,     "host",  NULL,        PIN_TXT,      NO_EXTRA  },
    {"/set-servfail",              set_failure,   "host",  NULL,        PIN_FAILURE,  EXTRA_DNS },
    {"/clear-servfail",            take_away,     "host",  NULL,        PIN_FAILURE,  NO_EXTRA  },
    {"/add-http01",                set_text,      "token", "content",   PIN_TOKEN,    EXTRA_HTTP},
    {"/del-http01",                take_away,     "token", NULL,        PIN_TOKEN,    NO_EXTRA  },
    {"/add-redirect",              set_text,      "path",  "targetURL", PIN_REDIRECT, NO_EXTRA  },
    {"/del-redirect",              take_away,     "path",  NULL,        PIN_REDIRECT, NO_EXTRA  },
    {"/add-tlsalpn01",             set_text,      "host",  "content",   PIN_TLS,      EXTRA_TLS },
    {"/del-tlsalpn01",             take_away,     "host",  NULL,        PIN_TLS,      NO_EXTRA  },
    {"/http-request-history",      tell_history,  "host",  NULL,        PIN_TOKEN,    NO_EXTRA  },
    {"/dns-request-history",       tell_history,  "host",  NULL,        PIN_TXT,      NO_EXTRA  },
    {"/tlsalpn01-request-history", tell_history,  "host",  NULL,        PIN_TLS,      NO_EXTRA  },
    {"/clear-request-history",     clear_history, "host",  NULL,        PIN_TOKEN,    NO_EXTRA  },
};

void board_on_call(struct board *board, struct turn *turn, const struct msg *in)
{
    const struct http_request *request = &in->as.request;
    struct complaints complaints = {.arena = turn->arena};
    struct paper paper = {0};
    struct url url;
    struct str path, rest;
    const struct call_row *row = NULL;
    if (url_parse(request->url, &url) != OK) url.path = STR("/");
    str_cut(url.path, '?', &path, &rest);
    for (size_t i = 0; i < COUNTOF(calls); i++)
        if (str_is(path, calls[i].path)) row = &calls[i];
    if (!row) {
        board_say(turn, in, 404, STR("404 page not found\n"));
        return;
    }
    if (!request->body.n) {
        board_say(turn, in, 400, STR("Expected JSON POST body, was empty\n"));
        return;
    }
    struct call call = {
        .board = board, .turn = turn, .in = in, .desk = {turn->arena, &complaints}
    };
    if (paper_parse(turn->arena, STR("body"), request->body, &complaints, &paper) == OK) {
        call.root = node_root(&paper);
        if (node_object(&call.desk, call.root, "an object")) row->run(row, &call);
        else done(&call, false);
    } else {
        done(&call, false);
    }
    paper_done(&paper);
}
