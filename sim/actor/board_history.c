#include "actor/board_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 512, PIECE = 64 };

static void keep(struct asked *asked, size_t i, struct str text)
{
    size_t n = text.n < MAX_TEXT ? text.n : MAX_TEXT;
    if (asked->room[i] <= n) {
        asked->room[i] = n / PIECE * PIECE + PIECE;
        free(asked->texts[i]);
        asked->texts[i] = malloc(asked->room[i]);
    }
    if (!asked->texts[i]) {
        fputs("acmedrill: out of memory\n", stderr);
        abort();
    }
    if (n) memcpy(asked->texts[i], text.at, n);
    asked->texts[i][n] = 0;
}

void asked_note(struct asked_ring *ring, struct str key, const struct str texts[3], int number)
{
    struct asked *asked = &ring->at[ring->next++ % BOARD_MAX_HISTORY];
    keep(asked, 0, key);
    for (size_t i = 0; i < 3; i++)
        keep(asked, i + 1, texts[i]);
    asked->number = number;
    asked->used = true;
}

static bool is_about(const struct asked *asked, struct str key)
{
    return asked->used && str_is(key, asked->texts[0]);
}

void asked_clear(struct asked_ring *ring, struct str key)
{
    for (size_t i = 0; i < BOARD_MAX_HISTORY; i++)
        if (is_about(&ring->at[i], key)) ring->at[i].used = false;
}

void asked_done(struct asked_ring *ring)
{
    for (size_t i = 0; i < BOARD_MAX_HISTORY; i++)
        for (size_t k = 0; k < COUNTOF(ring->at[i].texts); k++)
            free(ring->at[i].texts[k]);
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
        add_member(out, "URL", asked->texts[1], ",\n");
        add_member(out, "Host", asked->texts[2], ",\n");
        buf_fmt(out, "      \"HTTPS\": %s,\n", asked->number ? "true" : "false");
        add_member(out, "ServerName", asked->texts[3], "\n");
        break;
    case ASKED_DNS:
        buf_add_c(out, "      \"Question\": {\n   ");
        add_member(out, "Name", asked->texts[1], ",\n");
        buf_fmt(out, "         \"Qtype\": %d,\n         \"Qclass\": 1\n      }\n", asked->number);
        break;
    case ASKED_TLS:
        add_member(out, "ServerName", asked->texts[1], ",\n");
        buf_add_c(out, "      \"SupportedProtos\": ");
        if (asked->texts[2][0]) {
            struct str rest = str_c(asked->texts[2]), each;
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
        if (!is_about(asked, key)) continue;
        buf_add_c(&out, n++ ? ",\n   {\n" : "\n   {\n");
        add_asked(&out, kind, asked);
        buf_add_c(&out, "   }");
    }
    buf_add_c(&out, n ? "\n]" : "]");
    return buf_str(&out);
}
