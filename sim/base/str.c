#include "base/str.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct str str_c(const char *c)
{
    return c ? (struct str){c, strlen(c)} : (struct str){0};
}

bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.at, b.at, a.n) == 0);
}

bool str_is(struct str a, const char *c)
{
    return str_eq(a, str_c(c));
}

bool str_is_nocase(struct str a, const char *c)
{
    return a.n == strlen(c) && (a.n == 0 || strncasecmp(a.at, c, a.n) == 0);
}

bool str_starts(struct str s, const char *prefix)
{
    size_t n = strlen(prefix);
    return s.n >= n && (n == 0 || memcmp(s.at, prefix, n) == 0);
}

bool str_ends(struct str s, const char *suffix)
{
    size_t n = strlen(suffix);
    return s.n >= n && (n == 0 || memcmp(s.at + s.n - n, suffix, n) == 0);
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.at, b.at, n) : 0;
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n && blank(s.at[0]))
        s.at++, s.n--;
    while (s.n && blank(s.at[s.n - 1]))
        s.n--;
    return s;
}

bool str_cut(struct str s, char sep, struct str *head, struct str *rest)
{
    const char *found = s.n ? memchr(s.at, sep, s.n) : NULL;
    if (!found) {
        *head = s;
        *rest = (struct str){0};
        return false;
    }
    size_t before = (size_t)(found - s.at);
    *head = (struct str){s.at, before};
    *rest = (struct str){found + 1, s.n - before - 1};
    return true;
}

ptrdiff_t str_find(struct str s, const char *needle)
{
    size_t n = strlen(needle);
    if (n == 0) return 0;
    const char *found = s.n >= n ? memmem(s.at, s.n, needle, n) : NULL;
    return found ? found - s.at : -1;
}

bool str_int(struct str s, int64_t *ret)
{
    int64_t value = 0;
    if (s.n == 0) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.at[i] < '0' || s.at[i] > '9') return false;
        int digit = s.at[i] - '0';
        if (value > (INT64_MAX - digit) / 10) return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}

/* Length of the UTF-8 sequence at s, or 0. RFC 3629: no surrogates, no overlong forms, at most U+10FFFF. */
static size_t utf8_length(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.at;
    static const struct {
        unsigned char low, high, second_low, second_high, n;
    } forms[] = {
        {0x00, 0x7f, 0,    0,    1},
        {0xc2, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3},
        {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < COUNTOF(forms); i++) {
        if (p[0] < forms[i].low || p[0] > forms[i].high) continue;
        if (s.n < forms[i].n) return 0;
        if (forms[i].n > 1 && (p[1] < forms[i].second_low || p[1] > forms[i].second_high)) return 0;
        for (size_t k = 2; k < forms[i].n; k++)
            if ((p[k] & 0xc0) != 0x80) return 0;
        return forms[i].n;
    }
    return 0;
}

bool str_utf8(struct str s)
{
    while (s.n) {
        size_t n = utf8_length(s);
        if (n == 0) return false;
        s.at += n;
        s.n -= n;
    }
    return true;
}

struct str str_copy(struct arena *arena, struct str s)
{
    return (struct str){arena_copy(arena, s.at, s.n), s.n};
}

struct str str_vfmt(struct arena *arena, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    char first[512];
    int n = vsnprintf(first, sizeof first, fmt, ap);
    assert(n >= 0);
    char *at;
    if ((size_t)n < sizeof first) {
        at = arena_copy(arena, first, (size_t)n);
    } else {
        at = arena_alloc(arena, (size_t)n + 1);
        vsnprintf(at, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    return (struct str){at, (size_t)n};
}

struct str str_fmt(struct arena *arena, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct str s = str_vfmt(arena, fmt, ap);
    va_end(ap);
    return s;
}

enum { NEAREST_MAX = 80 };

/* Optimal string alignment distance; both texts at most NEAREST_MAX long. */
static size_t edit_distance(struct str a, struct str b)
{
    size_t rows[3][NEAREST_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.n; j++)
        last[j] = before[j] = j;
    for (size_t i = 1; i <= a.n; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t cost = a.at[i - 1] != b.at[j - 1];
            size_t best = last[j - 1] + cost;
            if (last[j] + 1 < best) best = last[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1] && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[b.n];
}

const char *str_nearest(struct str word, const char *const *candidates, size_t n)
{
    const char *best = NULL;
    size_t best_distance = word.n / 4 + 2;
    if (word.n > NEAREST_MAX) return NULL;
    for (size_t i = 0; i < n; i++) {
        struct str candidate = str_c(candidates[i]);
        if (candidate.n > NEAREST_MAX) continue;
        size_t distance = edit_distance(word, candidate);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidates[i];
        }
    }
    return best;
}

static void buf_reserve(struct buf *buf, size_t more)
{
    if (buf->room - buf->n > more) return;
    size_t room = buf->room ? buf->room * 2 : 128;
    while (room - buf->n <= more)
        room *= 2;
    char *at = arena_alloc(buf->arena, room);
    if (buf->n) memcpy(at, buf->at, buf->n);
    buf->at = at;
    buf->room = room;
}

void buf_add(struct buf *buf, struct str s)
{
    buf_reserve(buf, s.n);
    if (s.n) memcpy(buf->at + buf->n, s.at, s.n);
    buf->n += s.n;
    buf->at[buf->n] = 0;
}

void buf_add_c(struct buf *buf, const char *c)
{
    buf_add(buf, str_c(c));
}

void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, (struct str){&c, 1});
}

void buf_fmt(struct buf *buf, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    size_t room = buf->room > buf->n ? buf->room - buf->n : 0;
    int n = vsnprintf(room ? buf->at + buf->n : NULL, room, fmt, ap);
    va_end(ap);
    assert(n >= 0);
    if ((size_t)n >= room) {
        buf_reserve(buf, (size_t)n);
        va_start(ap, fmt);
        vsnprintf(buf->at + buf->n, (size_t)n + 1, fmt, ap);
        va_end(ap);
    }
    buf->n += (size_t)n;
}

void buf_add_json(struct buf *buf, struct str s)
{
    buf_add_char(buf, '"');
    while (s.n) {
        size_t plain = 0;
        while (plain < s.n && (unsigned char)s.at[plain] >= 0x20 && (unsigned char)s.at[plain] < 0x7f &&
               s.at[plain] != '"' && s.at[plain] != '\\')
            plain++;
        if (plain) {
            buf_add(buf, (struct str){s.at, plain});
            s.at += plain;
            s.n -= plain;
            continue;
        }
        size_t n = utf8_length(s);
        if (n == 1) {
            switch (s.at[0]) {
            case '"': buf_add_c(buf, "\\\""); break;
            case '\\': buf_add_c(buf, "\\\\"); break;
            case '\n': buf_add_c(buf, "\\n"); break;
            case '\r': buf_add_c(buf, "\\r"); break;
            case '\t': buf_add_c(buf, "\\t"); break;
            default: buf_fmt(buf, "\\u%04x", (unsigned)(unsigned char)s.at[0]); break;
            }
        } else if (n) {
            buf_add(buf, (struct str){s.at, n});
        } else {
            buf_add_c(buf, "\\ufffd");
            n = 1;
        }
        s.at += n;
        s.n -= n;
    }
    buf_add_char(buf, '"');
}

struct str buf_str(const struct buf *buf)
{
    return (struct str){buf->at ? buf->at : "", buf->n};
}

static const char url_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static const char mime_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static size_t base64_group(const char *alphabet, struct str bytes, size_t i, char four[4])
{
    const unsigned char *p = (const unsigned char *)bytes.at + i;
    size_t left = bytes.n - i;
    uint32_t word = (uint32_t)p[0] << 16;
    if (left > 1) word |= (uint32_t)p[1] << 8;
    if (left > 2) word |= p[2];
    for (int k = 0; k < 4; k++)
        four[k] = alphabet[(word >> (18 - 6 * k)) & 63];
    return left > 2 ? 4 : left + 1;
}

struct str base64url(struct arena *arena, struct str bytes)
{
    char *at = arena_alloc(arena, bytes.n / 3 * 4 + 5);
    size_t n = 0;
    for (size_t i = 0; i < bytes.n; i += 3)
        n += base64_group(url_alphabet, bytes, i, at + n);
    at[n] = 0;
    return (struct str){at, n};
}

struct str base64_lines(struct arena *arena, struct str bytes)
{
    struct buf out = {.arena = arena};
    for (size_t i = 0; i < bytes.n; i += 3) {
        char four[4];
        size_t n = base64_group(mime_alphabet, bytes, i, four);
        while (n < 4)
            four[n++] = '=';
        buf_add(&out, (struct str){four, 4});
        if ((i / 3 + 1) % 16 == 0 || i + 3 >= bytes.n) buf_add_char(&out, '\n');
    }
    return buf_str(&out);
}

static int url_digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    if (c == '-') return 62;
    if (c == '_') return 63;
    return -1;
}

enum err base64url_decode(struct arena *arena, struct str text, struct str *ret)
{
    if (text.n % 4 == 1) return ERR_MALFORMED;
    char *at = arena_alloc(arena, text.n / 4 * 3 + 4);
    size_t n = 0;
    uint32_t word = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < text.n; i++) {
        int digit = url_digit(text.at[i]);
        if (digit < 0) return ERR_MALFORMED;
        word = (word << 6 | (uint32_t)digit) & 0xffffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            at[n++] = (char)(word >> bits & 0xff);
        }
    }
    if (word & ((1u << bits) - 1)) return ERR_MALFORMED;
    *ret = (struct str){at, n};
    return OK;
}
