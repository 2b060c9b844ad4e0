/* The board's DNS: records by name, defaults for addresses, and DNS over HTTPS (RFC 8484). */
#include "actor/board_inside.h"

#include <string.h>

struct str board_name(struct arena *arena, struct str name)
{
    if (name.n && name.at[name.n - 1] == '.') name.n--;
    char *at = arena_copy(arena, name.at, name.n);
    for (size_t i = 0; i < name.n; i++)
        if (at[i] >= 'A' && at[i] <= 'Z') at[i] = (char)(at[i] - 'A' + 'a');
    return (struct str){at, name.n};
}

static void add_records(struct msg *msg, const struct str *texts, size_t n)
{
    struct dns_answer *answer = &msg->as.dns_answer;
    for (size_t i = 0; i < n && answer->n_records < DNS_MAX_RECORDS; i++)
        answer->records[answer->n_records++] = str_copy(&msg->arena, texts[i]);
}

static bool kind_of_type(int type, enum pin_kind *ret)
{
    switch (type) {
    case DNS_A: *ret = PIN_A; return true;
    case DNS_AAAA: *ret = PIN_AAAA; return true;
    case DNS_TXT: *ret = PIN_TXT; return true;
    case DNS_CAA: *ret = PIN_CAA; return true;
    case DNS_CNAME: *ret = PIN_CNAME; return true;
    default: return false;
    }
}

static struct str first_of(const struct pin *pin)
{
    return pin && pin->n_texts ? pin->texts[0] : (struct str){0};
}

static void answer_records(struct board *board, enum pin_kind kind, struct str name, struct msg *msg)
{
    const struct pin *pin = pins_find(&board->pins, kind, name);
    if (pin) add_records(msg, pin->texts, pin->n_texts);
    else if (kind == PIN_A && board->options.ipv4.n) add_records(msg, &board->options.ipv4, 1);
    else if (kind == PIN_AAAA && board->options.ipv6.n) add_records(msg, &board->options.ipv6, 1);
}

void board_answer_dns(struct board *board, struct turn *turn, const struct dns_query *query, struct msg *msg)
{
    struct dns_answer *reply = &msg->as.dns_answer;
    struct str name = board_name(turn->arena, query->name);
    enum pin_kind kind = PIN_A;
    const struct str noted[3] = {str_fmt(turn->arena, "%.*s.", STR_ARGS(name))};
    asked_note(&board->history[ASKED_DNS], name, noted, query->type);
    reply->name = str_copy(&msg->arena, name);
    reply->type = query->type;
    reply->has_soa = true;

    struct pin *failure = pins_find(&board->pins, PIN_FAILURE, name);
    const struct answer *answer = failure ? pin_answer(failure) : NULL;
    if (failure && !answer) {
        reply->rcode = DNS_SERVFAIL;
        return;
    }
    struct answer_values values = {.name = name, .place = name, .proof = STR("")};
    if (answer) {
        answer_dns(msg, answer, &values, 1);
        if (answer->kind != ANSWER_OK) {
            if (query->type != DNS_TXT) reply->n_records = 0; /* the words speak of TXT records */
            return;
        }
    }
    /* One step along an alias, as the original does it: the rest is the resolver's. */
    if (query->type != DNS_CNAME) {
        struct str alias = first_of(pins_find(&board->pins, PIN_CNAME, name));
        reply->alias = str_copy(&msg->arena, alias);
        if (alias.n) name = alias;
    }
    if (!kind_of_type(query->type, &kind)) {
        reply->rcode = DNS_NOTIMP;
        return;
    }
    struct pin *pin = pins_find(&board->pins, kind, name);
    if (kind == PIN_TXT && pin && (answer = pin_answer(pin)) != NULL) {
        values.name = values.place = name;
        values.proof = pin->texts[pin->n_texts - 1]; /* the latest */
        answer_dns(msg, answer, &values, 1);
        if (answer->kind != ANSWER_OK) return;
    }
    answer_records(board, kind, name, msg);
}

void board_on_dns(struct board *board, struct turn *turn, const struct msg *in)
{
    board_answer_dns(board, turn, &in->as.dns_query, outbox_post(turn->out, MSG_DNS_ANSWER, in->from, in->flow));
}

/* --- DNS over HTTPS --- */

/* Section 4.1: the query as base64url in "dns=", or as the body of a POST. */
static bool doh_packet(struct arena *arena, const struct http_request *request, struct str *ret)
{
    struct str path, query, pair;
    if (str_is(request->method, "POST")) {
        *ret = request->body;
        return true;
    }
    if (!str_cut(request->url, '?', &path, &query)) return false;
    while (query.n) {
        str_cut(query, '&', &pair, &query);
        if (!str_starts(pair, "dns=")) continue;
        return base64url_decode(arena, (struct str){pair.at + 4, pair.n - 4}, ret) == OK;
    }
    return false;
}

void board_on_doh(struct board *board, struct turn *turn, const struct msg *in)
{
    static const char type[] = "application/dns-message";
    const struct http_request *request = &in->as.request;
    struct url url;
    struct str path, rest, packet, out;
    struct dns_query query;
    uint16_t id = 0;
    bool post = str_is(request->method, "POST");
    if (url_parse(request->url, &url) != OK) url.path = STR("");
    str_cut(url.path, '?', &path, &rest);
    if (!str_is(path, "/dns-query")) {
        board_say(turn, in, 404, STR("DNS over HTTPS is at /dns-query\n"));
        return;
    }
    if (!post && !str_is(request->method, "GET")) {
        board_say(turn, in, 405, STR("GET or POST\n"));
        return;
    }
    if (post && !str_is_nocase(headers_get(request->headers, "Content-Type"), type)) {
        board_say(turn, in, 415, STR("the body must be application/dns-message\n"));
        return;
    }
    if (!doh_packet(turn->arena, request, &packet) || dns_read_query(turn->arena, packet, &query, &id) != OK) {
        board_say(turn, in, 400, STR("this is no DNS query\n"));
        return;
    }
    struct msg *scratch = msg_new(MSG_DNS_ANSWER);
    board_answer_dns(board, turn, &query, scratch);
    const struct dns_answer *answer = &scratch->as.dns_answer;
    enum err err = dns_write_answer(turn->arena, answer, id, DNS_MAX_PACKET, packet, &out);
    struct delivery delivery = answer->delivery;
    msg_free(scratch);
    if (err != OK) {
        board_say(turn, in, 500, STR("these records cannot be written\n"));
        return;
    }
    struct msg *msg = outbox_post(turn->out, MSG_RESPONSE, in->from, in->flow);
    msg->as.response.status = 200;
    msg->as.response.body = str_copy(&msg->arena, out);
    msg->as.response.delivery.delay_ms = delivery.delay_ms;
    if (!delivery_has_status(delivery.how) && delivery.how != DELIVER_GARBAGE)
        msg->as.response.delivery.how = delivery.how;
    msg_header(msg, "Content-Type", STR("application/dns-message"));
    msg_header(msg, "Cache-Control", STR("max-age=0")); /* section 5.1: our records live 0 seconds */
}
