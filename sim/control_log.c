#include "control_log.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One record. `about` is the line and, of a request that carries a JWS, its header and payload: what is in them is
 * base64url on the wire, and nobody asks for that. Both in one block with this. */
struct line {
    uint64_t seq, flow;
    enum event_kind kind;
    struct str text, about;
};
struct control_log {
    struct line *at[CONTROL_LOG_LINES]; /* a ring */
    size_t first, n, bytes;
    uint64_t last_seq;
    struct arena scratch;
};

static void *must(void *at)
{
    if (at) return at;
    fputs("acmedrill: out of memory\n", stderr);
    abort();
}

struct control_log *control_log_new(void)
{
    return must(calloc(1, sizeof(struct control_log)));
}

static size_t size_of(const struct line *line)
{
    return sizeof *line + line->text.n + line->about.n;
}

static void forget_first(struct control_log *log)
{
    struct line *line = log->at[log->first];
    log->bytes -= size_of(line);
    free(line);
    log->first = (log->first + 1) % CONTROL_LOG_LINES;
    log->n--;
}

void control_log_clear(struct control_log *log)
{
    while (log->n)
        forget_first(log);
}

void control_log_free(struct control_log *log)
{
    if (!log) return;
    control_log_clear(log);
    arena_done(&log->scratch);
    free(log);
}

uint64_t control_log_last(const struct control_log *log)
{
    return log->last_seq;
}

static void add_decoded(struct buf *about, const json_t *jws, const char *member)
{
    const json_t *value = json_object_get(jws, member);
    struct str text;
    if (!json_is_string(value)) return;
    struct str encoded = {json_string_value(value), json_string_length(value)};
    if (base64url_decode(about->arena, encoded, &text) || !str_utf8(text)) return;
    buf_add_char(about, '\n');
    buf_add(about, text);
}

void control_log_add(struct control_log *log, const struct event *event)
{
    struct buf about = {.arena = &log->scratch};
    struct str text = event_write(&log->scratch, event), body = event_text(event, F_BODY);
    buf_add(&about, text);
    json_t *jws = event->kind == WIRE_REQUEST && body.n ? json_loadb(body.at, body.n, 0, NULL) : NULL;
    add_decoded(&about, jws, "protected");
    add_decoded(&about, jws, "payload");
    json_decref(jws);

    struct line *line = must(malloc(sizeof *line + text.n + about.n));
    char *at = (char *)(line + 1);
    memcpy(at, text.at, text.n);
    memcpy(at + text.n, about.at, about.n);
    *line = (struct line){
        event->seq, event->flow, event->kind, {at,          text.n },
           {at + text.n, about.n}
    };
    log->last_seq = event->seq;
    log->bytes += size_of(line);
    if (log->n == CONTROL_LOG_LINES) forget_first(log);
    log->at[(log->first + log->n++) % CONTROL_LOG_LINES] = line;
    while (log->n > 1 && log->bytes > CONTROL_LOG_BYTES)
        forget_first(log);
    arena_clear(&log->scratch);
}

static const struct line *line_at(const struct control_log *log, size_t i)
{
    return log->at[(log->first + i) % CONTROL_LOG_LINES];
}

static bool says(const struct line *line, struct str needle)
{
    return needle.n == 0 || memmem(line->about.at, line->about.n, needle.at, needle.n);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The flows of which some record says it, sorted. */
static uint64_t *flows_about(const struct control_log *log, struct str needle, struct arena *arena, size_t *ret_n)
{
    uint64_t *flows = ARENA_ARRAY(arena, uint64_t, log->n);
    *ret_n = 0;
    for (size_t i = 0; i < log->n; i++)
        if (line_at(log, i)->flow && says(line_at(log, i), needle)) flows[(*ret_n)++] = line_at(log, i)->flow;
    qsort(flows, *ret_n, sizeof *flows, by_number);
    return flows;
}

struct str control_log_ask(const struct control_log *log, const struct control_question *question, struct arena *arena)
{
    struct buf buf = {.arena = arena};
    uint64_t *flows[COUNTOF(question->about)];
    size_t n_flows[COUNTOF(question->about)], given = 0;
    for (size_t k = 0; k < question->n_about; k++)
        flows[k] = flows_about(log, question->about[k], arena, &n_flows[k]);
    for (size_t i = 0; i < log->n && given < question->limit; i++) {
        const struct line *line = line_at(log, i);
        bool fits = line->seq > question->after && (!question->flow || line->flow == question->flow) &&
                    (!question->kind.n || str_is(question->kind, event_kind_text(line->kind)));
        for (size_t k = 0; k < question->n_about && fits; k++)
            fits = line->flow ? bsearch(&line->flow, flows[k], n_flows[k], sizeof line->flow, by_number) != NULL
                              : says(line, question->about[k]);
        if (!fits) continue;
        buf_add(&buf, line->text);
        buf_add_char(&buf, '\n');
        given++;
    }
    return buf_str(&buf);
}
