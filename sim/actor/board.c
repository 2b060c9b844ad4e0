#include "actor/board.h"

#include "acme/challenge.h"
#include "actor/board_inside.h"

#include <stdlib.h>
#include <string.h>

#define HTTP_PLACE "/.well-known/acme-challenge/"

void board_say(struct turn *turn, const struct msg *in, int status, struct str text)
{
    struct msg *msg = outbox_post(turn->out, MSG_RESPONSE, in->from, in->flow);
    msg->as.response.status = status;
    msg->as.response.body = str_copy(&msg->arena, text);
    if (!text.n) return;
    msg_header(msg, "Content-Type", STR("text/plain; charset=utf-8"));
    msg_header(msg, "X-Content-Type-Options", STR("nosniff"));
}

/* --- http-01 (RFC 8555 section 8.3) --- */

static struct msg *post_page(const struct board *board, struct turn *turn, const struct msg *in, int status)
{
    struct msg *msg = outbox_post(turn->out, MSG_RESPONSE, in->from, in->flow);
    msg->as.response.status = status;
    if (board->options.closes) msg_header(msg, "Connection", STR("close"));
    return msg;
}

static void redirect(const struct board *board, struct turn *turn, const struct msg *in, const struct pin *pin)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {301, "Moved Permanently" },
        {303, "See Other"         },
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"}
    };
    const char *reason = "Found";
    for (size_t i = 0; i < COUNTOF(reasons); i++)
        if (reasons[i].status == pin->status) reason = reasons[i].reason;
    struct msg *msg = post_page(board, turn, in, pin->status);
    msg_header(msg, "Content-Type", STR("text/html; charset=utf-8"));
    msg_header(msg, "Location", pin->texts[0]);
    msg->as.response.body = str_fmt(&msg->arena, "<a href=\"%.*s\">%s</a>.\n\n", STR_ARGS(pin->texts[0]), reason);
}

static bool is_address(struct str host)
{
    bool digits = host.n > 0;
    for (size_t i = 0; i < host.n; i++)
        digits = digits && ((host.at[i] >= '0' && host.at[i] <= '9') || host.at[i] == '.');
    return digits || memchr(host.at, ':', host.n);
}

static void on_page(struct board *board, struct turn *turn, const struct msg *in)
{
    const struct http_request *request = &in->as.request;
    struct url url;
    struct str path, rest;
    if (url_parse(request->url, &url) != OK) {
        board_say(turn, in, 400, STR("this is no URL\n"));
        return;
    }
    bool https = str_is(url.scheme, "https");
    /* Who asks by https names the server in TLS too, if it has a name; a foreign one is not told from here. */
    const struct str noted[3] = {url.path, headers_get(request->headers, "Host"),
                                 https && !is_address(url.host) ? url.host : STR("")};
    asked_note(&board->history[ASKED_HTTP], url.host, noted, https);
    str_cut(url.path, '?', &path, &rest);
    /* Not over HTTPS, so that a path can lead to itself there without a loop. */
    const struct pin *target = https ? NULL : pins_find(&board->pins, PIN_REDIRECT, path);
    if (target) {
        redirect(board, turn, in, target);
        return;
    }
    struct pin *pin = NULL;
    struct str token = {0};
    if (str_starts(path, HTTP_PLACE)) {
        token = (struct str){path.at + strlen(HTTP_PLACE), path.n - strlen(HTTP_PLACE)};
        pin = pins_find(&board->pins, PIN_TOKEN, token);
    }
    const struct answer *answer = pin ? pin_answer(pin) : NULL;
    if (answer) {
        struct answer_values values = {
            .proof = pin->texts[0], .token = token, .name = board_name(turn->arena, url.host), .place = path};
        answer_http(turn, answer, &values, 1, in->from, in->flow);
        return;
    }
    struct msg *msg = post_page(board, turn, in, 200); /* also for what nobody pinned up, as the original does */
    if (!pin) return;
    msg->as.response.body = str_copy(&msg->arena, pin->texts[0]);
    msg_header(msg, "Content-Type", STR("text/plain; charset=utf-8"));
}

/* --- tls-alpn-01 (RFC 8737) --- */

/* Among those that are offered, joined by commas. */
static bool offers(struct str protocols, const char *wanted)
{
    struct str each;
    while (protocols.n) {
        str_cut(protocols, ',', &each, &protocols);
        if (str_is(each, wanted)) return true;
    }
    return false;
}

static void on_hello(struct board *board, struct turn *turn, const struct msg *in)
{
    static const struct answer ok = {.kind = ANSWER_OK, .times = 1};
    const struct tls_hello *hello = &in->as.tls_hello;
    struct str name = board_name(turn->arena, hello->name);
    const struct str noted[3] = {name, hello->alpn};
    asked_note(&board->history[ASKED_TLS], name, noted, 0);
    struct msg *msg = outbox_post(turn->out, MSG_TLS_ANSWER, in->from, in->flow);
    struct pin *pin = pins_find(&board->pins, PIN_TLS, name);
    struct answer_values values = {.name = name, .place = name};
    if (!pin || !offers(hello->alpn, "acme-tls/1")) {
        msg->as.tls_answer.alert = pin ? STR("no_application_protocol") : STR("unrecognized_name");
        return;
    }
    values.proof = challenge_proof(turn->arena, CHALLENGE_TLS_ALPN_01, pin->texts[0]);
    const struct answer *answer = pin_answer(pin);
    answer_tls(msg, answer ? answer : &ok, &values, 1, true);
}

/* --- the actor --- */

static bool is_seat(struct addr a, struct addr b)
{
    return a.seat && a.seat == b.seat;
}

static void board_step(struct actor *actor, struct turn *turn, const struct msg *in)
{
    struct board *board = (struct board *)actor;
    if (!in) return;
    switch (in->kind) {
    case MSG_REQUEST:
        if (is_seat(in->from, board->options.management)) board_on_call(board, turn, in);
        else if (is_seat(in->from, board->options.doh)) board_on_doh(board, turn, in);
        else on_page(board, turn, in);
        break;
    case MSG_DNS_QUERY: board_on_dns(board, turn, in); break;
    case MSG_TLS_HELLO: on_hello(board, turn, in); break;
    default: break;
    }
}

static void board_free(struct actor *actor)
{
    struct board *board = (struct board *)actor;
    pins_done(&board->pins);
    for (size_t i = 0; i < ASKED_KINDS; i++)
        asked_done(&board->history[i]);
    arena_done(&board->ipv4_arena);
    arena_done(&board->ipv6_arena);
    free(board);
}

struct actor *board_new(const struct board_options *options)
{
    struct board *board = calloc(1, sizeof *board);
    if (!board) abort();
    board->options = *options;
    board->options.ipv4 = str_copy(&board->ipv4_arena, options->ipv4);
    board->options.ipv6 = str_copy(&board->ipv6_arena, options->ipv6);
    board->actor = (struct actor){.name = "board", .step = board_step, .free = board_free};
    return &board->actor;
}
