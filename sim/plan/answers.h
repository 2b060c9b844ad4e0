/* Answers in the words of a scenario's responder, from any paper: for who pins proofs up at run time. */
#ifndef PLAN_ANSWERS_H
#define PLAN_ANSWERS_H

#include "plan/desk.h"
#include "plan/scenario.h"

/* A list of answers, or one: a word ("404 x2") or an object ({"status": 503}). What is wrong is complained of and left
 * out; texts are in the desk's arena. */
void answers_read(const struct desk *desk, struct node node, enum challenge_type type, struct answers *ret);
/* The members of an answer that is an object, and one that is read from those among others' members; ret->n is 0 when
 * there are none. */
const char *const *answers_members(enum challenge_type type, size_t *ret_n);
void answers_read_members(const struct desk *desk, struct node object, enum challenge_type type, struct answers *ret);
/* The answer to the query of this number, from 0: the last one repeats for ever. NULL: there are none. */
const struct answer *answers_at(const struct answer *answers, size_t n, size_t query);

#endif
