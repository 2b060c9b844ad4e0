/* What the always-on rules share. Only check*.c, their test and the oracle itself include this.
 *
 * A rule is a fold: it walks over the view once, says of each violation what it is (tally_slip) and how much it looked
 * at (tally.judged), and closes with tally_done, which makes the findings. */
#ifndef ORACLE_CHECK_H
#define ORACLE_CHECK_H

#include "oracle/oracle.h"

#include <jansson.h>

/* The tables of the rules; the last row of each has no id. */
extern const struct check nonce_checks[], envelope_checks[], object_checks[], reply_checks[];

/* Appends; the list grows in the arena. */
void verdict_add(struct verdict_list *list, struct arena *arena, struct finding finding);

/* --- violations --- */

/* Findings of one rule; what goes beyond is only counted. */
enum { CHECK_MAX_FINDINGS = 5 };

/* One violation. Those of one clause that differ in nothing but time and place are one finding: `what` decides. */
struct slip {
    const char *clause; /* NULL: the check's own; "": no clause says so */
    enum level level;
    enum party party;
    const struct event *event; /* the offending record */
    struct str where;          /* "POST /new-order" */
    struct str what;           /* what was there, without the time */
    struct str expected, hint;
    struct str why; /* empty: of the clause */
    size_t again;   /* its own: how often it came back, and when last */
    int64_t last_ms;
};
struct tally {
    const struct check *check;
    struct verdict_list *findings;
    struct arena *arena;
    size_t judged; /* how many things there were to look at */
    struct slip slips[CHECK_MAX_FINDINGS];
    size_t n_slips, n_more;
};
/* A MUST is never crowded out by SHOULDs: it takes the place of the last of them. */
void tally_slip(struct tally *tally, struct slip slip);
/* Fails first, or one pass when something was judged, or nothing. */
void tally_done(struct tally *tally);

/* --- reading --- */

/* "POST /new-order" */
struct str check_where(struct arena *arena, const struct exchange *exchange);
/* A status line came. */
bool check_answered(const struct exchange *exchange);
/* And the whole body. */
bool check_whole(const struct exchange *exchange);
bool check_good(const struct exchange *exchange); /* 2xx */
/* The body of the reply as JSON, NULL when it is none. The caller's to json_decref. */
json_t *check_json(const struct exchange *exchange);
/* Of a JSON string; empty for anything else. Borrows. */
struct str check_text(const json_t *value);
/* A fault of the scenario met a message of this flow. */
bool check_faulted(const struct view *view, uint64_t flow);
/* A WIRE_EXIT of a client that did not end but was ended. */
bool check_out_of_time(const struct event *event);

/* --- a map from texts to numbers: 0 until it is set --- */
struct check_map {
    struct check_entry {
        struct str key;
        bool used;
        size_t value;
    } * at;
    size_t n, room; /* room: a power of two */
};
/* The key is borrowed. The pointer holds until the next call. */
size_t *check_map_at(struct check_map *map, struct arena *arena, struct str key);

/* The hosts that known resources of the CA live at, and whether an exchange is one with the CA: a known resource, a
 * JWS, or one of these hosts. */
struct check_map check_hosts(const struct view *view, struct arena *arena);
bool check_is_acme(struct check_map *hosts, struct arena *arena, const struct exchange *exchange);

#endif
