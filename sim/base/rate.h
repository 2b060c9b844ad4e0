/* Rates, "10 per 3h", and the token buckets that hold them: a bucket is full at first, each thing allowed takes a
 * token, and tokens flow back evenly, one each per_ms / count. Exact: nothing is rounded but the time of the next
 * token, up to the millisecond. No clock is read. */
#ifndef BASE_RATE_H
#define BASE_RATE_H

#include "base/str.h"

enum { RATE_MAX_COUNT = 100000 };

struct rate {
    int64_t count; /* tokens of a full bucket; 0 = no limit */
    int64_t per_ms;
};
/* "300 per 3h", "none". ERR_LIMIT: not 1 to RATE_MAX_COUNT per 100ms to 400d. */
enum err rate_read(struct str text, struct rate *ret);
struct str rate_text(struct arena *arena, const struct rate *rate);

/* Zeroed: full. */
struct bucket {
    int64_t full_at; /* when all its tokens are back, in units of 1/count ms */
};
/* When the next token can be taken: now_ms if there is one. */
int64_t bucket_ready_ms(const struct bucket *bucket, const struct rate *rate, int64_t now_ms);
/* Takes a token, if there is one: a bucket is never in debt. */
void bucket_take(struct bucket *bucket, const struct rate *rate, int64_t now_ms);

#endif
