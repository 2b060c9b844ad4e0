/* Durations and dates as text. All times are milliseconds: a duration, or UTC since 1970-01-01. No clock is read. */
#ifndef BASE_WHEN_H
#define BASE_WHEN_H

#include "base/str.h"

/* Where virtual time starts: 2030-01-01T00:00:00Z, so that nothing made for a test expires. */
#define WHEN_VIRTUAL_START_MS INT64_C(1893456000000)

/* "250ms", "12s", "2m", "1h", "90d", and sums of them, largest unit first: "1m30s". ERR_MALFORMED otherwise,
 * ERR_LIMIT above 100 years. */
enum err when_duration(struct str text, int64_t *ret_ms);
/* The shortest text that when_duration reads back: "1m30s"; 0 is "0s". */
struct str when_duration_text(struct arena *arena, int64_t ms);

/* A time of a run for people: "0:03.2", "1:02:03.4". */
struct str when_run_time(struct arena *arena, int64_t t_ms);

/* RFC 3339, "2030-01-01T00:00:12Z"; parts of a second are dropped when writing, accepted when reading. */
struct str when_rfc3339(struct arena *arena, int64_t utc_ms);
enum err when_rfc3339_parse(struct str text, int64_t *ret_utc_ms);

/* RFC 9110 section 5.6.7: writes IMF-fixdate; reads that and the two obsolete forms. Whole seconds. */
struct str when_http_date(struct arena *arena, int64_t utc_ms);
enum err when_http_date_parse(struct str text, int64_t *ret_utc_ms);

#endif
