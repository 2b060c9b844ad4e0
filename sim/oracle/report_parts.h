/* What the files of the report share. Private to oracle. */
#ifndef ORACLE_REPORT_PARTS_H
#define ORACLE_REPORT_PARTS_H

#include "oracle/report.h"

enum {
    OUTCOME_COUNT = OUTCOME_ERROR + 1,
    REPORT_MAX_EXCERPTS = 8,
    REPORT_MAX_EXCHANGES = 12 /* in one excerpt */
};

/* What a peer sent, made safe for a terminal and for XML: control characters, bytes that are not UTF-8 and characters
 * that turn the direction of text are written as "\x1b" and "\u{202e}". report_clean keeps line breaks,
 * report_clean_line writes "\n"; a tab becomes a space. Doing it twice changes nothing. */
struct str report_clean(struct arena *arena, struct str text);
struct str report_clean_line(struct arena *arena, struct str text);
/* The first `most` characters, "..." in place of the rest. Clean text only. */
struct str report_clip(struct arena *arena, struct str text, size_t most);
size_t report_width(struct str text); /* in characters; clean text only */

/* "0.4 s", "2 min 5 s", "2 h 41 min", "3 d 4 h". */
struct str report_span(struct arena *arena, int64_t ms);
/* "order" of "order/plain"; "." where there is none. */
struct str report_folder(struct str id);
/* What stops the case from being good: its FAILs, but for a MAY; where it has none, all that did not pass. */
bool report_counts(const struct result_case *result, const struct finding *finding);

/* The chart of the exchanges around record `seq`; 0: those at the end, and nothing is marked. */
struct str report_chart(struct arena *arena, const struct view *view, uint64_t seq);
/* How a validation query (the record that began it) was answered: "404", "the right answer", "no answer". */
struct str report_answer(struct arena *arena, const struct view *view, const struct event *query, bool *ret_good);
/* The record with that number, or NULL. */
const struct event *report_event(const struct history *history, uint64_t seq);
/* The error member that a challenge showed last. */
bool report_challenge_error(struct arena *arena, const struct view *view, const struct thing *challenge,
                            struct problem *ret);

#endif
