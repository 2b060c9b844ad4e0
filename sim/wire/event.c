#include "wire/event.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_texts[EVENT_KIND_COUNT] = {
    [RUN_START] = "run.start",           [RUN_END] = "run.end",
    [WIRE_REQUEST] = "wire.request",     [WIRE_RESPONSE] = "wire.response",
    [WIRE_DNS_QUERY] = "wire.dns_query", [WIRE_DNS_ANSWER] = "wire.dns_answer",
    [WIRE_TLS_HELLO] = "wire.tls_hello", [WIRE_TLS_ANSWER] = "wire.tls_answer",
    [WIRE_PROBE] = "wire.probe",         [WIRE_VERDICT] = "wire.verdict",
    [WIRE_PROVISION] = "wire.provision", [WIRE_EXIT] = "wire.exit",
    [STATE_CHANGE] = "state.change",     [FAULT_APPLIED] = "fault.applied",
    [NOTE_TEXT] = "note.text",
};

static const struct {
    const char *text;
    enum field_type type;
} keys[FIELD_KEY_COUNT] = {
    [F_VERSION] = {"version",       FIELD_INT    },
    [F_HARNESS] = {"harness",       FIELD_TEXT   },
    [F_MODE] = {"mode",          FIELD_TEXT   },
    [F_SCENARIO] = {"scenario",      FIELD_TEXT   },
    [F_VARIANT] = {"variant",       FIELD_TEXT   },
    [F_SEED] = {"seed",          FIELD_INT    },
    [F_SPEED] = {"speed",         FIELD_INT    },
    [F_PROFILE] = {"profile",       FIELD_TEXT   },
    [F_EPOCH_MS] = {"epoch_ms",      FIELD_INT    },
    [F_TARGET] = {"target",        FIELD_TEXT   },
    [F_FROM] = {"from",          FIELD_TEXT   },
    [F_TO] = {"to",            FIELD_TEXT   },
    [F_METHOD] = {"method",        FIELD_TEXT   },
    [F_URL] = {"url",           FIELD_TEXT   },
    [F_STATUS] = {"status",        FIELD_INT    },
    [F_HEADERS] = {"headers",       FIELD_HEADERS},
    [F_BODY] = {"body",          FIELD_TEXT   },
    [F_DELIVERY] = {"delivery",      FIELD_TEXT   },
    [F_AT_BYTE] = {"at_byte",       FIELD_INT    },
    [F_OVER_MS] = {"over_ms",       FIELD_INT    },
    [F_DELAY_MS] = {"delay_ms",      FIELD_INT    },
    [F_NAME] = {"name",          FIELD_TEXT   },
    [F_TYPE] = {"type",          FIELD_TEXT   },
    [F_RCODE] = {"rcode",         FIELD_TEXT   },
    [F_RECORDS] = {"records",       FIELD_LIST   },
    [F_ALPN] = {"alpn",          FIELD_TEXT   },
    [F_ALERT] = {"alert",         FIELD_TEXT   },
    [F_SAN] = {"san",           FIELD_TEXT   },
    [F_SELF_SIGNED] = {"self_signed",   FIELD_BOOL   },
    [F_HAS_EXTENSION] = {"has_extension", FIELD_BOOL   },
    [F_CRITICAL] = {"critical",      FIELD_BOOL   },
    [F_OBSOLETE] = {"obsolete",      FIELD_BOOL   },
    [F_PLAIN_HTTP] = {"plain_http",    FIELD_BOOL   },
    [F_CERTIFICATES] = {"certificates",  FIELD_INT    },
    [F_CONNECT] = {"connect",       FIELD_TEXT   },
    [F_PERSPECTIVE] = {"perspective",   FIELD_INT    },
    [F_DIGEST] = {"digest",        FIELD_TEXT   },
    [F_TOKEN] = {"token",         FIELD_TEXT   },
    [F_PLACE] = {"place",         FIELD_TEXT   },
    [F_PROOF] = {"proof",         FIELD_TEXT   },
    [F_ATTEMPT] = {"attempt",       FIELD_INT    },
    [F_OK] = {"ok",            FIELD_BOOL   },
    [F_FAILURE] = {"failure",       FIELD_TEXT   },
    [F_ADDRESS] = {"address",       FIELD_TEXT   },
    [F_EXPECTED] = {"expected",      FIELD_TEXT   },
    [F_GOT] = {"got",           FIELD_TEXT   },
    [F_WITHDRAW] = {"withdraw",      FIELD_BOOL   },
    [F_SUCCESS] = {"success",       FIELD_BOOL   },
    [F_TEXT] = {"text",          FIELD_TEXT   },
    [F_OBJECT] = {"object",        FIELD_TEXT   },
    [F_ID] = {"id",            FIELD_TEXT   },
    [F_CAUSE] = {"cause",         FIELD_TEXT   },
    [F_WAS] = {"was",           FIELD_TEXT   },
    [F_NOW] = {"now",           FIELD_TEXT   },
};

const char *event_kind_text(enum event_kind kind)
{
    return (unsigned)kind < EVENT_KIND_COUNT ? kind_texts[kind] : "unknown";
}

const char *field_key_text(enum field_key key)
{
    return (unsigned)key < FIELD_KEY_COUNT ? keys[key].text : "unknown";
}

enum field_type field_key_type(enum field_key key)
{
    assert((unsigned)key < FIELD_KEY_COUNT);
    return keys[key].type;
}

const struct field *event_field(const struct event *event, enum field_key key)
{
    for (size_t i = 0; i < event->n_fields; i++)
        if (event->fields[i].key == key) return &event->fields[i];
    return NULL;
}

struct str event_text(const struct event *event, enum field_key key)
{
    const struct field *field = event_field(event, key);
    return field ? field->text : (struct str){0};
}

int64_t event_int(const struct event *event, enum field_key key)
{
    const struct field *field = event_field(event, key);
    return field ? field->number : 0;
}

const struct headers *event_headers(const struct event *event)
{
    const struct field *field = event_field(event, F_HEADERS);
    return field ? field->headers : NULL;
}

void history_done(struct history *history)
{
    free(history->at);
    arena_done(&history->arena);
    arena_done(&history->scratch);
    *history = (struct history){0};
}

struct event *history_note(struct history *history, enum event_kind kind, int64_t now_ms, uint64_t flow)
{
    int64_t t_ms = now_ms - history->start_ms;
    if (t_ms < history->last_t_ms) t_ms = history->last_t_ms;
    history->open = (struct event){
        .seq = history->last_seq + 1, .t_ms = t_ms, .kind = kind, .flow = flow, .fields = history->open_fields};
    return &history->open;
}

/* Then nothing need be copied. */
static bool nobody_reads(const struct history *history)
{
    return history->forget && !history->sink && !history->watch;
}

static struct field *add(struct history *history, enum field_key key, unsigned type)
{
    assert((unsigned)key < FIELD_KEY_COUNT && keys[key].type == type);
    (void)type;
    struct event *event = &history->open;
    size_t i = 0;
    while (i < event->n_fields && event->fields[i].key != key)
        i++;
    if (i == event->n_fields) event->n_fields++;
    event->fields[i] = (struct field){.key = key};
    return &event->fields[i];
}

void event_add_text(struct history *history, enum field_key key, struct str text)
{
    if (!text.at || nobody_reads(history)) return;
    add(history, key, FIELD_TEXT)->text = str_copy(&history->arena, text);
}

void event_add_int(struct history *history, enum field_key key, int64_t number)
{
    bool is_bool = field_key_type(key) == FIELD_BOOL;
    add(history, key, is_bool ? FIELD_BOOL : FIELD_INT)->number = is_bool ? number != 0 : number;
}

void event_add_headers(struct history *history, const struct headers *headers)
{
    if (!headers || headers->n == 0 || nobody_reads(history)) return;
    add(history, F_HEADERS, FIELD_HEADERS)->headers = headers_copy(&history->arena, headers);
}

void event_add_list(struct history *history, enum field_key key, const struct str *list, size_t n)
{
    if (nobody_reads(history)) return;
    struct field *field = add(history, key, FIELD_LIST);
    struct str *copy = ARENA_ARRAY(&history->arena, struct str, n);
    for (size_t i = 0; i < n; i++)
        copy[i] = str_copy(&history->arena, list[i]);
    field->list = copy;
    field->n_list = n;
}

static void add_number(struct buf *buf, bool negative, uint64_t number)
{
    char text[24];
    size_t at = sizeof text;
    do
        text[--at] = (char)('0' + number % 10);
    while (number /= 10);
    if (negative) text[--at] = '-';
    buf_add(buf, (struct str){text + at, sizeof text - at});
}

static void add_int(struct buf *buf, int64_t number)
{
    add_number(buf, number < 0, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

static bool is_text(struct str s)
{
    unsigned char seen = 0;
    for (size_t i = 0; i < s.n; i++)
        seen |= (unsigned char)s.at[i];
    return seen < 0x80 || str_utf8(s);
}

static void add_key(struct buf *buf, const char *key, const char *suffix)
{
    buf_add(buf, STR(",\""));
    buf_add_c(buf, key);
    buf_add_c(buf, suffix);
    buf_add(buf, STR("\":"));
}

static void add_base64(struct buf *buf, struct str bytes)
{
    buf_add_char(buf, '"');
    buf_add(buf, base64url(buf->arena, bytes));
    buf_add_char(buf, '"');
}

static void add_headers(struct buf *buf, const struct headers *headers)
{
    buf_add_char(buf, '[');
    for (size_t i = 0; i < headers->n; i++) {
        buf_add_c(buf, i ? ",[" : "[");
        buf_add_json(buf, headers->at[i].name);
        buf_add_char(buf, ',');
        if (is_text(headers->at[i].value)) {
            buf_add_json(buf, headers->at[i].value);
        } else {
            add_base64(buf, headers->at[i].value);
            buf_add(buf, STR(",\"base64\""));
        }
        buf_add_char(buf, ']');
    }
    buf_add_char(buf, ']');
}

static void add_list(struct buf *buf, const struct str *list, size_t n)
{
    buf_add_char(buf, '[');
    for (size_t i = 0; i < n; i++) {
        if (i) buf_add_char(buf, ',');
        if (is_text(list[i])) {
            buf_add_json(buf, list[i]);
        } else {
            buf_add(buf, STR("{\"base64\":"));
            add_base64(buf, list[i]);
            buf_add_char(buf, '}');
        }
    }
    buf_add_char(buf, ']');
}

static void add_field(struct buf *buf, const struct field *field)
{
    const char *key = keys[field->key].text;
    bool base64 = keys[field->key].type == FIELD_TEXT && !is_text(field->text);
    add_key(buf, key, base64 ? "_base64" : "");
    switch (keys[field->key].type) {
    case FIELD_TEXT:
        if (base64) add_base64(buf, field->text);
        else buf_add_json(buf, field->text);
        break;
    case FIELD_INT: add_int(buf, field->number); break;
    case FIELD_BOOL: buf_add_c(buf, field->number ? "true" : "false"); break;
    case FIELD_HEADERS: add_headers(buf, field->headers); break;
    case FIELD_LIST: add_list(buf, field->list, field->n_list); break;
    }
}

/* Enough for most records at once: a buffer that grows by doubling copies what it has. */
static size_t likely_size(const struct event *event)
{
    size_t n = 128;
    for (size_t i = 0; i < event->n_fields; i++) {
        const struct field *field = &event->fields[i];
        n += 32 + field->text.n + field->text.n / 8;
        for (size_t k = 0; field->headers && k < field->headers->n; k++)
            n += field->headers->at[k].name.n + field->headers->at[k].value.n + 16;
        for (size_t k = 0; k < field->n_list; k++)
            n += field->list[k].n + 16;
    }
    return n;
}

static struct buf write_event(struct arena *arena, const struct event *event)
{
    struct buf buf = {.arena = arena, .room = likely_size(event)};
    buf.at = arena_alloc(arena, buf.room);
    buf_add(&buf, STR("{\"seq\":"));
    add_number(&buf, false, event->seq);
    add_key(&buf, "t", "");
    add_int(&buf, event->t_ms);
    add_key(&buf, "kind", "");
    buf_add_json(&buf, str_c(event_kind_text(event->kind)));
    if (event->flow) {
        add_key(&buf, "flow", "");
        add_number(&buf, false, event->flow);
    }
    for (size_t i = 0; i < event->n_fields; i++)
        add_field(&buf, &event->fields[i]);
    buf_add_char(&buf, '}');
    return buf;
}

struct str event_write(struct arena *arena, const struct event *event)
{
    struct buf buf = write_event(arena, event);
    return buf_str(&buf);
}

static enum err write_to_sink(struct history *history)
{
    if (!history->sink) return OK;
    struct buf line = write_event(&history->scratch, &history->open);
    buf_add_char(&line, '\n');
    bool ok = fwrite(line.at, 1, line.n, history->sink) == line.n;
    if (ok && history->flush) ok = fflush(history->sink) == 0;
    arena_clear(&history->scratch);
    return ok ? OK : ERR_IO;
}

enum err history_commit(struct history *history)
{
    struct event *open = &history->open;
    assert(open->seq == history->last_seq + 1);
    history->last_seq = open->seq;
    history->last_t_ms = open->t_ms;
    enum err err = write_to_sink(history);
    if (history->watch) history->watch(history->watcher, open);
    if (history->forget) {
        arena_clear(&history->arena);
        return err;
    }
    if (history->n == history->room) {
        size_t room = history->room ? history->room * 2 : 64;
        struct event *at = realloc(history->at, room * sizeof *at);
        if (!at) {
            fputs("acmedrill: out of memory\n", stderr);
            abort();
        }
        history->at = at;
        history->room = room;
    }
    struct event *kept = &history->at[history->n++];
    *kept = *open;
    kept->fields = ARENA_ARRAY(&history->arena, struct field, open->n_fields);
    memcpy(kept->fields, open->fields, open->n_fields * sizeof *open->fields);
    return err;
}

static void add_delivery(struct history *history, const struct delivery *delivery)
{
    if (delivery->how != DELIVER_WHOLE) event_add_text(history, F_DELIVERY, str_c(delivery_text(delivery->how)));
    if (delivery->how == DELIVER_TRUNCATED) event_add_int(history, F_AT_BYTE, (int64_t)delivery->at_byte);
    if (delivery->how == DELIVER_SLOW) event_add_int(history, F_OVER_MS, delivery->over_ms);
    if (delivery->delay_ms) event_add_int(history, F_DELAY_MS, delivery->delay_ms);
}

static void add_filled(struct history *history, enum field_key key, struct str text)
{
    if (text.n) event_add_text(history, key, text);
}

static void add_dns_type(struct history *history, int type)
{
    char text[32];
    const char *word = dns_type_text(type);
    if (strcmp(word, "TYPE") == 0) {
        snprintf(text, sizeof text, "TYPE%d", type);
        word = text;
    }
    event_add_text(history, F_TYPE, str_c(word));
}

static enum event_kind kind_of(enum msg_kind kind)
{
    static const enum event_kind kinds[MSG_KIND_COUNT] = {
        [MSG_REQUEST] = WIRE_REQUEST,     [MSG_RESPONSE] = WIRE_RESPONSE,
        [MSG_DNS_QUERY] = WIRE_DNS_QUERY, [MSG_DNS_ANSWER] = WIRE_DNS_ANSWER,
        [MSG_TLS_HELLO] = WIRE_TLS_HELLO, [MSG_TLS_ANSWER] = WIRE_TLS_ANSWER,
        [MSG_PROBE] = WIRE_PROBE,         [MSG_VERDICT] = WIRE_VERDICT,
        [MSG_PROVISION] = WIRE_PROVISION, [MSG_EXIT] = WIRE_EXIT,
    };
    assert((unsigned)kind < MSG_KIND_COUNT);
    return kinds[kind];
}

static void add_http_response(struct history *history, const struct http_response *response)
{
    event_add_int(history, F_STATUS, response->status);
    event_add_headers(history, response->headers);
    add_filled(history, F_BODY, response->body);
    add_delivery(history, &response->delivery);
}

static void add_tls_answer(struct history *history, const struct tls_answer *answer)
{
    add_delivery(history, &answer->delivery);
    add_filled(history, F_ALPN, answer->alpn);
    add_filled(history, F_ALERT, answer->alert);
    add_filled(history, F_SAN, answer->san);
    event_add_int(history, F_SELF_SIGNED, answer->self_signed);
    event_add_int(history, F_HAS_EXTENSION, answer->has_extension);
    event_add_int(history, F_CRITICAL, answer->critical);
    if (answer->obsolete) event_add_int(history, F_OBSOLETE, true);
    if (answer->plain_http) event_add_int(history, F_PLAIN_HTTP, true);
    if (answer->n_certificates) event_add_int(history, F_CERTIFICATES, (int64_t)answer->n_certificates);
    add_filled(history, F_DIGEST, answer->digest);
}

static void add_verdict(struct history *history, const struct verdict *verdict)
{
    event_add_int(history, F_OK, verdict->ok);
    add_filled(history, F_FAILURE, verdict->failure);
    add_filled(history, F_URL, verdict->url);
    add_filled(history, F_ADDRESS, verdict->address);
    add_filled(history, F_EXPECTED, verdict->expected);
    event_add_text(history, F_GOT, verdict->got);
    if (verdict->status) event_add_int(history, F_STATUS, verdict->status);
}

enum err history_note_msg(struct history *history, int64_t now_ms, const struct msg *msg, struct str from,
                          struct str to)
{
    history_note(history, kind_of(msg->kind), now_ms, msg->flow);
    if (nobody_reads(history)) return history_commit(history);
    event_add_text(history, F_FROM, from);
    event_add_text(history, F_TO, to);
    switch (msg->kind) {
    case MSG_REQUEST:
        event_add_text(history, F_METHOD, msg->as.request.method);
        event_add_text(history, F_URL, msg->as.request.url);
        event_add_headers(history, msg->as.request.headers);
        add_filled(history, F_BODY, msg->as.request.body);
        add_filled(history, F_CONNECT, msg->as.request.connect);
        break;
    case MSG_RESPONSE: add_http_response(history, &msg->as.response); break;
    case MSG_DNS_QUERY:
        event_add_text(history, F_NAME, msg->as.dns_query.name);
        add_dns_type(history, msg->as.dns_query.type);
        break;
    case MSG_DNS_ANSWER:
        event_add_text(history, F_NAME, msg->as.dns_answer.name);
        add_dns_type(history, msg->as.dns_answer.type);
        event_add_text(history, F_RCODE, str_c(dns_rcode_text(msg->as.dns_answer.rcode)));
        event_add_list(history, F_RECORDS, msg->as.dns_answer.records, msg->as.dns_answer.n_records);
        add_delivery(history, &msg->as.dns_answer.delivery);
        break;
    case MSG_TLS_HELLO:
        event_add_text(history, F_NAME, msg->as.tls_hello.name);
        add_filled(history, F_ALPN, msg->as.tls_hello.alpn);
        add_filled(history, F_CONNECT, msg->as.tls_hello.connect);
        break;
    case MSG_TLS_ANSWER: add_tls_answer(history, &msg->as.tls_answer); break;
    case MSG_PROBE:
        event_add_text(history, F_TYPE, msg->as.probe.type);
        event_add_text(history, F_NAME, msg->as.probe.name);
        event_add_text(history, F_TOKEN, msg->as.probe.token);
        event_add_text(history, F_PLACE, msg->as.probe.place);
        event_add_text(history, F_PROOF, msg->as.probe.proof);
        event_add_int(history, F_ATTEMPT, msg->as.probe.attempt);
        if (msg->as.probe.perspective) event_add_int(history, F_PERSPECTIVE, msg->as.probe.perspective);
        break;
    case MSG_VERDICT: add_verdict(history, &msg->as.verdict); break;
    case MSG_PROVISION:
        event_add_text(history, F_TYPE, msg->as.provision.type);
        event_add_text(history, F_NAME, msg->as.provision.name);
        event_add_text(history, F_TOKEN, msg->as.provision.token);
        event_add_text(history, F_PLACE, msg->as.provision.place);
        event_add_text(history, F_PROOF, msg->as.provision.proof);
        event_add_int(history, F_WITHDRAW, msg->as.provision.withdraw);
        break;
    case MSG_EXIT:
        event_add_int(history, F_SUCCESS, msg->as.exit.success);
        add_filled(history, F_TEXT, msg->as.exit.reason);
        break;
    case MSG_KIND_COUNT: break;
    }
    return history_commit(history);
}
