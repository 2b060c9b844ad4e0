/* The members of a JSON object as problem.c and resource.c read them, one question a line. Absent: OK, and *ret is left
 * as it is; null is absent too. Of another type: ERR_MALFORMED. Texts are copied into the arena; one with a NUL inside
 * is ERR_MALFORMED. Only here and in jwk.c, jws.c and json.c does the floor know jansson. */
#ifndef ACME_MEMBER_H
#define ACME_MEMBER_H

#include "acme/problem.h"

#include <jansson.h>

enum { MEMBER_MAX_TEXT = 1 << 20 };

/* Parses a whole JSON text whose value is an object; json_decref it. ERR_MALFORMED also for a name that stands twice in
 * one object and for nesting deeper than jansson takes (2048); ERR_LIMIT: longer than MEMBER_MAX_TEXT. */
enum err member_open(struct str json, json_t **ret);

/* NULL: absent. RFC 8555 knows no null, and some servers write it where they have nothing to say. */
const json_t *member_of(const json_t *object, const char *key);
enum err member_text(struct arena *arena, const json_t *object, const char *key, struct str *ret);
enum err member_bool(const json_t *object, const char *key, bool *ret);
/* A whole number. */
enum err member_int(const json_t *object, const char *key, int64_t *ret);
/* An array of at most max texts, *ret in the arena; ERR_LIMIT: it has more. */
enum err member_texts(struct arena *arena, const json_t *object, const char *key, size_t max, struct str **ret,
                      size_t *ret_n);
/* *ret borrows from `object`; NULL: absent. */
enum err member_object(const json_t *object, const char *key, const json_t **ret);
/* An array of at most max objects, borrowed likewise; NULL: absent. */
enum err member_objects(const json_t *object, const char *key, size_t max, const json_t **ret);
/* The problem document in a member; *ret_has says whether there is one. */
enum err member_problem(struct arena *arena, const json_t *object, const char *key, bool *ret_has, struct problem *ret);

/* Writing: `"key":"text"` after a comma where one is due. An empty text writes nothing. */
void write_key(struct buf *buf, const char *key);
void write_text(struct buf *buf, const char *key, struct str text);

#endif
