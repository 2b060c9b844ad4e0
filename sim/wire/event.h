/* The event log: the one memory of a run. What the log lacks, nobody may know.
 *
 * One record type, one place that writes it, one line of JSON each:
 *   {"seq":7,"t":12,"kind":"wire.request","flow":3,"from":"client","to":"ca","method":"POST",...}
 * `t` is milliseconds since the run began (its UTC is in run.start's "epoch_ms"). wire.* is what crossed the gate;
 * verdicts rest on these alone. state.* and note.* only explain. The first record is run.start with "version":1. */
#ifndef WIRE_EVENT_H
#define WIRE_EVENT_H

#include "wire/msg.h"

#include <stdio.h>

enum { HISTORY_VERSION = 1 };
#define HISTORY_MAX_MS INT64_C(253402300799999) /* no record is later: the last moment of the year 9999 */

enum event_kind {
    RUN_START,     /* version harness mode scenario variant seed speed profile epoch_ms target */
    RUN_END,       /* text: why the run ended: "finished" "time limit" "message limit" "target died" */
    WIRE_REQUEST,  /* from to method url headers body */
    WIRE_RESPONSE, /* from to status headers body delivery at_byte over_ms delay_ms; no delivery: whole */
    WIRE_DNS_QUERY,
    WIRE_DNS_ANSWER,
    WIRE_TLS_HELLO,
    WIRE_TLS_ANSWER,
    WIRE_PROBE,
    WIRE_VERDICT, /* between a CA of ours and its validator */
    WIRE_PROVISION,
    WIRE_EXIT,     /* from success text: a client ended */
    STATE_CHANGE,  /* object id cause was now: an actor of ours moved a status */
    FAULT_APPLIED, /* name from to status: a fault changed the next message of this flow; status before that */
    NOTE_TEXT,     /* text: for people */
    EVENT_KIND_COUNT
};
const char *event_kind_text(enum event_kind kind); /* "wire.request" */

/* Fields by key; the same key always has the same type. */
enum field_key {
    F_VERSION,
    F_HARNESS,
    F_MODE,
    F_SCENARIO,
    F_VARIANT,
    F_SEED,
    F_SPEED,
    F_PROFILE,
    F_EPOCH_MS,
    F_TARGET,
    F_FROM,
    F_TO,
    F_METHOD,
    F_URL,
    F_STATUS,
    F_HEADERS,
    F_BODY,
    F_DELIVERY,
    F_AT_BYTE,
    F_OVER_MS,
    F_DELAY_MS,
    F_NAME,
    F_TYPE,
    F_RCODE,
    F_RECORDS,
    F_ALPN,
    F_ALERT,
    F_SAN,
    F_SELF_SIGNED,
    F_HAS_EXTENSION,
    F_CRITICAL,
    F_OBSOLETE,
    F_PLAIN_HTTP,
    F_CERTIFICATES,
    F_CONNECT,
    F_PERSPECTIVE,
    F_DIGEST,
    F_TOKEN,
    F_PLACE,
    F_PROOF,
    F_ATTEMPT,
    F_OK,
    F_FAILURE,
    F_ADDRESS,
    F_EXPECTED,
    F_GOT,
    F_WITHDRAW,
    F_SUCCESS,
    F_TEXT,
    F_OBJECT,
    F_ID,
    F_CAUSE,
    F_WAS,
    F_NOW,
    FIELD_KEY_COUNT
};
enum field_type { FIELD_TEXT, FIELD_INT, FIELD_BOOL, FIELD_HEADERS, FIELD_LIST };
const char *field_key_text(enum field_key key); /* "epoch_ms" */
enum field_type field_key_type(enum field_key key);

struct field {
    enum field_key key;
    struct str text; /* TEXT; bytes that are not UTF-8 travel as base64url in "<key>_base64" */
    int64_t number;  /* INT, BOOL */
    const struct headers
        *headers;           /* HEADERS: [["Name","value"], ...]; ["Name","base64url","base64"] where it is not UTF-8 */
    const struct str *list; /* LIST of texts; {"base64":"..."} for one that is not UTF-8 */
    size_t n_list;
};
struct event {
    uint64_t seq;
    int64_t t_ms;
    enum event_kind kind;
    uint64_t flow; /* 0 = none */
    struct field *fields;
    size_t n_fields;
};
/* Field access for readers; absent: empty str, 0, NULL. */
const struct field *event_field(const struct event *event, enum field_key key);
struct str event_text(const struct event *event, enum field_key key);
int64_t event_int(const struct event *event, enum field_key key);
const struct headers *event_headers(const struct event *event);

/* A run's events in memory, and optionally on their way to a file as they happen. */
struct history {
    struct event *at;
    size_t n, room;
    struct arena arena; /* owns all texts of the events */
    FILE *sink;         /* borrowed; NULL = memory only. Each record is written whole, and flushed when `flush` */
    bool flush;
    bool forget;      /* keeps no record in memory once it is written: for runs without end */
    int64_t start_ms; /* UTC of t = 0 */
    /* Called with each record once it is written, NULL = nobody watches. It lives until the call returns. */
    void (*watch)(void *watcher, const struct event *event);
    void *watcher;
    int64_t now_ms; /* the hall's time, for notes of actors whose clock is wrong; 0: nobody keeps it */
    /* Its own: */
    uint64_t last_seq;
    int64_t last_t_ms;
    struct event open; /* the record being made */
    struct field open_fields[FIELD_KEY_COUNT];
    struct arena scratch;
};
void history_done(struct history *history);

/* Starts a record; add fields, then commit. Nothing else may be noted in between. now_ms is UTC; a time before the last
 * record's is written as the last record's: t never goes back. A key added twice keeps the last. */
struct event *history_note(struct history *history, enum event_kind kind, int64_t now_ms, uint64_t flow);
void event_add_text(struct history *history, enum field_key key, struct str text); /* .at NULL: left out */
void event_add_int(struct history *history, enum field_key key, int64_t number);   /* also BOOL */
void event_add_headers(struct history *history, const struct headers *headers);
void event_add_list(struct history *history, enum field_key key, const struct str *list, size_t n);
enum err history_commit(struct history *history); /* ERR_IO: the sink refused; the record is in memory */
/* The record for a message that crosses the gate. names: seat names of from and to. */
enum err history_note_msg(struct history *history, int64_t now_ms, const struct msg *msg, struct str from,
                          struct str to);

/* One line of JSON without the newline. */
struct str event_write(struct arena *arena, const struct event *event);
/* Reads a whole history file. A last line cut short is dropped (*ret_cut = true): a crashed run keeps its past.
 * ERR_MALFORMED: *ret_line says where (unknown kinds, keys and wrong types, seq or t going back); ERR_LIMIT: over
 * 1,000,000 records or 16 MiB in a line. On failure *ret is untouched. */
enum err history_read(FILE *file, struct history *ret, size_t *ret_line, bool *ret_cut);

#endif
