/* Text as a pointer and a length. A str borrows; it never owns. Texts made by the functions that take an arena are
 * followed by a NUL, so .at may go to a C call; slices of other texts are not. A zeroed str is the empty text
 * and has .at == NULL: "absent" where a header says so. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/arena.h"
#include "base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *at;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_ARGS(s)  (int)(s).n, (s).at ? (s).at : "" /* for "%.*s" */
#define COUNTOF(a)   (sizeof(a) / sizeof *(a))

struct str str_c(const char *c); /* NULL gives the empty str */
bool str_eq(struct str a, struct str b);
bool str_is(struct str a, const char *c);
bool str_is_nocase(struct str a, const char *c); /* ASCII only */
bool str_starts(struct str s, const char *prefix);
bool str_ends(struct str s, const char *suffix);
int str_cmp(struct str a, struct str b); /* bytes, shorter first */
struct str str_trim(struct str s);       /* without leading and trailing space, tab, CR, LF */
/* Splits at the first `sep`: *head before, *rest after. false: no sep, *head = s, *rest empty. Aliasing s is fine. */
bool str_cut(struct str s, char sep, struct str *head, struct str *rest);
/* Index of needle in s, or -1. */
ptrdiff_t str_find(struct str s, const char *needle);
/* All of s as a decimal number without sign, at most INT64_MAX. */
bool str_int(struct str s, int64_t *ret);
bool str_utf8(struct str s); /* strict UTF-8, NUL allowed */

struct str str_copy(struct arena *arena, struct str s);
struct str str_fmt(struct arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct str str_vfmt(struct arena *arena, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* The candidate nearest to `word` for a "did you mean", or NULL when none is near enough (edit distance with
 * transpositions at most 1 + length/4). First of equals. */
const char *str_nearest(struct str word, const char *const *candidates, size_t n);

/* A text that grows in an arena. Zero it but for .arena. */
struct buf {
    struct arena *arena;
    char *at;
    size_t n, room;
};
void buf_add(struct buf *buf, struct str s);
void buf_add_c(struct buf *buf, const char *c);
void buf_add_char(struct buf *buf, char c);
void buf_fmt(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends s as a JSON string with quotes; bytes that are not UTF-8 are written as U+FFFD. */
void buf_add_json(struct buf *buf, struct str s);
struct str buf_str(const struct buf *buf); /* NUL-terminated, valid until the next append */

/* base64url without padding (RFC 7515 section 2). Decoding is strict: no padding, no other character, no
 * stray bits; *ret is in the arena. */
struct str base64url(struct arena *arena, struct str bytes);
enum err base64url_decode(struct arena *arena, struct str text, struct str *ret);
/* base64 with padding and a line break after each 64 characters: a PEM body. */
struct str base64_lines(struct arena *arena, struct str bytes);

#endif
