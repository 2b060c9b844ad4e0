/* A JSON file as a person wrote it: the tree, and where on the page each part stands, so that every complaint has a
 * line and a column. Strict: UTF-8, no NUL, no duplicate keys, at most 32 levels and 4 MiB. */
#ifndef PLAN_PAPER_H
#define PLAN_PAPER_H

#include "base/str.h"

#include <jansson.h>

enum { PAPER_MAX_BYTES = 4 << 20, PAPER_MAX_DEPTH = 32, PAPER_MAX_VALUES = 200000, COMPLAINTS_KEPT = 100 };

/* What is wrong with a file. Collected, not printed: callers decide where to. */
struct complaint {
    struct str file;
    int line, column; /* 1-based; 0 = the file as a whole */
    struct str text;  /* one line: unknown event "client pols order" - did you mean "client polls order"? */
};
struct complaints {
    struct arena *arena;
    struct complaint *at;
    size_t n; /* all of them; the first COMPLAINTS_KEPT are at .at */
    size_t room;
};
/* The same complaint at the same place is kept once. Control characters in the text become "?", and it is cut at 400
 * bytes. */
void complain(struct complaints *complaints, struct str file, int line, int column, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

struct spot;
struct paper {
    struct str path; /* as shown in complaints */
    json_t *root;    /* NULL when it does not parse */
    struct str text;
    struct spot *spots; /* where each value and key stands: a tree beside the tree */
    size_t n_spots;
};
/* Reads and parses. On failure one complaint tells all. paper_done releases the tree. paper_parse borrows `text`. */
enum err paper_read(struct arena *arena, const char *path, struct complaints *complaints, struct paper *ret);
enum err paper_parse(struct arena *arena, struct str path, struct str text, struct complaints *complaints,
                     struct paper *ret);
void paper_done(struct paper *paper);

/* Where a value stands. `pointer` is a path of keys and indices (RFC 6901): "/expect/4/never"; "" is the root. Unknown:
 * 0, 0. */
void paper_spot(const struct paper *paper, const char *pointer, int *ret_line, int *ret_column);
/* Where the key before that value stands; the value itself when it has none. */
void paper_key_spot(const struct paper *paper, const char *pointer, int *ret_line, int *ret_column);
/* complain() at that spot. */
void paper_complain(const struct paper *paper, struct complaints *complaints, const char *pointer, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Line `line` of the text, trimmed, at most 200 bytes of it; empty when there is none. */
struct str paper_line(const struct paper *paper, int line);

#endif
