/* A JSON file as a person wrote it: the tree, and where on the page each part stands, so that every complaint has a line and a column.
 * Strict: UTF-8, no NUL, no duplicate keys, at most 32 levels and 4 MiB. */
#ifndef PLAN_PAPER_H
#define PLAN_PAPER_H

#include "base/str.h"

#include <jansson.h>

/* What is wrong with a file. Collected, not printed: callers decide where to. */
struct complaint {
    struct str file;
    int line, column; /* 1-based; 0 = the file as a whole */
    struct str text;  /* one line: unknown event "client pols order" - did you mean "client polls order"? */
};
struct complaints {
    struct arena *arena;
    struct complaint *at;
    size_t n, room; /* at most 100 are kept, .n counts on */
};
void complain(struct complaints *complaints, struct str file, int line, int column, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

struct paper {
    struct str path; /* as shown in complaints */
    json_t *root;    /* NULL when it does not parse */
    struct str text;
    struct spot *spots; /* where each value and key stands, by identity */
    size_t n_spots;
};
/* Reads and parses. On failure one complaint tells all. paper_done releases the tree. */
enum err paper_read(struct arena *arena, const char *path, struct complaints *complaints, struct paper *ret);
enum err paper_parse(struct arena *arena, struct str path, struct str text, struct complaints *complaints, struct paper *ret);
void paper_done(struct paper *paper);

/* Where a value stands. `pointer` is a path of keys and indices: "/expect/4/never". Unknown: 0, 0. */
void paper_spot(const struct paper *paper, const char *pointer, int *ret_line, int *ret_column);
/* complain() at that spot. */
void paper_complain(const struct paper *paper, struct complaints *complaints, const char *pointer, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
