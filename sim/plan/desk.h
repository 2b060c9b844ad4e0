/* Reading a paper member by member: the loaders' common tools. Each complains where the value (or its key) stands and
 * returns false, so a loader may go on and find the next mistake. Every text that comes out is a copy in the arena. */
#ifndef PLAN_DESK_H
#define PLAN_DESK_H

#include "plan/paper.h"

struct desk {
    struct arena *arena;
    struct complaints *complaints;
};
/* A value and where it stands. .value NULL: absent. */
struct node {
    const struct paper *paper;
    const json_t *value;
    struct str pointer;
};

struct node node_root(const struct paper *paper);
struct node node_member(const struct desk *desk, struct node node, const char *key);
struct node node_item(const struct desk *desk, struct node node, size_t i);
size_t node_length(struct node node); /* of an array, else 0 */

/* For each member of an object, in the order of the file. */
struct node_walk {
    void *iter;
};
bool node_next(const struct desk *desk, struct node node, struct node_walk *walk, struct str *ret_key,
               struct node *ret);

void node_bad(const struct desk *desk, struct node node, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void node_bad_key(const struct desk *desk, struct node node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* unknown KIND "WORD" - did you mean "NEAR"? */
void node_unknown(const struct desk *desk, struct node node, bool at_key, const char *kind, struct str word,
                  const char *const *words, size_t n);

/* "expected" is what a person would call it: "a list of answers". */
bool node_object(const struct desk *desk, struct node node, const char *expected);
bool node_array(const struct desk *desk, struct node node, const char *expected, size_t min, size_t max);
/* Complains of every member that is not in `keys`. `kind`: "key in given". */
bool node_keys(const struct desk *desk, struct node node, const char *kind, const char *const *keys, size_t n);
bool node_text(const struct desk *desk, struct node node, const char *expected, size_t max,
               struct str *ret); /* not empty */
bool node_any_text(const struct desk *desk, struct node node, const char *expected, size_t max,
                   struct str *ret); /* may be empty */
bool node_bool(const struct desk *desk, struct node node, bool *ret);
bool node_int(const struct desk *desk, struct node node, int64_t min, int64_t max, int64_t *ret);
bool node_duration(const struct desk *desk, struct node node, int64_t min_ms, int64_t max_ms, int64_t *ret_ms);
/* A duration from a text that is part of a longer one, such as "slow 3s". */
bool text_duration(const struct desk *desk, struct node node, struct str text, int64_t max_ms, int64_t *ret_ms);
/* One of a closed list. `kind`: "level". *ret_i is its index. */
bool node_word(const struct desk *desk, struct node node, const char *kind, const char *const *words, size_t n,
               size_t *ret_i);
/* The member "note", which everything may have. */
void node_note(const struct desk *desk, struct node node);
/* A list of texts. */
bool node_texts(const struct desk *desk, struct node node, const char *expected, size_t max, struct str **ret,
                size_t *ret_n);

bool str_index(struct str word, const char *const *words, size_t n, size_t *ret_i);

#define DAY_MS INT64_C(86400000)

#endif
