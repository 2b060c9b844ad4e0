#include "actor/board_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 512 };

static char *kept(struct str text)
{
    size_t n = text.n < MAX_TEXT ? text.n : MAX_TEXT;
    char *copy = malloc(n + 1);
    if (!copy) {
        fputs("acmedrill: out of memory\n", stderr);
        abort();
    }
    if (n) memcpy(copy, text.at, n);
    copy[n] = 0;
    return copy;
}

static void forget(struct asked *asked)
{
    free(asked->key);
    for (size_t i = 0; i < COUNTOF(asked->texts); i++)
        free(asked->texts[i]);
    *asked = (struct asked){0};
}

void asked_note(struct asked_ring *ring, struct str key, const struct str texts[3], int number)
{
    struct asked *asked = &ring->at[ring->next++ % BOARD_MAX_HISTORY];
    forget(asked);
    asked->key = kept(key);
    for (size_t i = 0; i < COUNTOF(asked->texts); i++)
        asked->texts[i] = kept(texts[i]);
    asked->number = number;
}

void asked_clear(struct asked_ring *ring, struct str key)
{
    for (size_t i = 0; i < BOARD_MAX_HISTORY; i++)
        if (ring->at[i].key && str_is(key, ring->at[i].key)) forget(&ring->at[i]);
}

void asked_done(struct asked_ring *ring)
{
    for (size_t i = 0; i < BOARD_MAX_HISTORY; i++)
        forget(&ring->at[i]);
}

static void add_member(struct buf *out, const char *name, const char *text, const char *after)
{
    buf_fmt(out, "      \"%s\": ", name);
    buf_add_json(out, str_c(text));
    buf_add_c(out, after);
}

static void add_asked(struct buf *out, enum asked_kind kind, const struct asked *asked)
{
    switch (kind) {
    case ASKED_HTTP:
        add_member(out, "URL", asked->texts[0], ",\n");
        add_member(out, "Host", asked->texts[1], ",\n");
        buf_fmt(out, "      \"HTTPS\": %s,\n", asked->number ? "true" : "false");
        add_member(out, "ServerName", asked->texts[2], "\n");
        break;
    case ASKED_DNS:
        buf_add_c(out, "      \"Question\": {\n   ");
        add_member(out, "Name", asked->texts[0], ",\n");
        buf_fmt(out, "         \"Qtype\": %d,\n         \"Qclass\": 1\n      }\n", asked->number);
        break;
    case ASKED_TLS:
        add_member(out, "ServerName", asked->texts[0], ",\n");
        buf_add_c(out, "      \"SupportedProtos\": ");
        if (asked->texts[1][0]) {
            struct str rest = str_c(asked->texts[1]), each;
            for (const char *before = "["; rest.n; before = ",") {
                str_cut(rest, ',', &each, &rest);
                buf_fmt(out, "%s\n         ", before);
                buf_add_json(out, each);
            }
            buf_add_c(out, "\n      ]\n");
        } else {
            buf_add_c(out, "null\n");
        }
        break;
    case ASKED_KINDS: break;
    }
}

struct str asked_json(struct arena *arena, const struct asked_ring *ring, enum asked_kind kind, struct str key)
{
    struct buf out = {.arena = arena};
    size_t n = 0;
    buf_add_char(&out, '[');
    for (size_t i = 0; i < BOARD_MAX_HISTORY; i++) {
        const struct asked *asked = &ring->at[(ring->next + i) % BOARD_MAX_HISTORY];
        if (!asked->key || !str_is(key, asked->key)) continue;
        buf_add_c(&out, n++ ? ",\n   {\n" : "\n   {\n");
        add_asked(&out, kind, asked);
        buf_add_c(&out, "   }");
    }
    buf_add_c(&out, n ? "\n]" : "]");
    return buf_str(&out);
}
