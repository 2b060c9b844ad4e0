/* The scenario loader's rooms: one function for each top-level key. Private to plan. */
#ifndef PLAN_PARTS_H
#define PLAN_PARTS_H

#include "plan/desk.h"
#include "plan/scenario.h"

/* Each lays the members of one object over what the case has already: what is not named stays. */
void given_read(const struct desk *desk, struct node node, struct scenario *scenario);
void responder_read(const struct desk *desk, struct node node, struct scenario *scenario);
void ca_read(const struct desk *desk, struct node node, struct scenario *scenario);
/* ca.faults: the rules, and what only the whole case shows of them. */
void faults_read(const struct desk *desk, struct node node, struct scenario *scenario);
void faults_check(const struct desk *desk, struct node node, const struct scenario *scenario);
/* the fault no-nonce meets the 2nd reply to "new order", then each 2nd, 3 times */
struct str fault_rule_words(struct arena *arena, const struct fault_rule *rule);
void client_read(const struct desk *desk, struct node node, struct scenario *scenario);
/* Appends. */
void expect_read(const struct desk *desk, struct node node, struct scenario *scenario);
/* What only the whole case shows: contradictions, and what can never apply. `root` is the file's, `variant` its overlay
 * or none. */
void scenario_check(const struct desk *desk, struct node root, struct node variant, const struct scenario *scenario);

/* The habits of a polite client, and whether these are they. */
struct habits habits_default(void);
bool habits_polite(const struct habits *habits);
/* "times": a number or "always", which is 0. */
void times_read(const struct desk *desk, struct node node, int *ret);
const struct fault *fault_read(const struct desk *desk, struct node node, unsigned kinds);
bool challenge_type_word(const struct desk *desk, struct node node, bool at_key, struct str word,
                         enum challenge_type *ret);
/* A list of them, each once. */
void challenge_types_read(const struct desk *desk, struct node node, enum challenge_type ret[CHALLENGE_TYPE_COUNT],
                          size_t *ret_n);
/* "a", "a or b", "a, b or c". */
struct str words_list(struct arena *arena, const char *const *words, size_t n);

#endif
