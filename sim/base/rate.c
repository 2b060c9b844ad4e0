#include "base/rate.h"
#include "base/when.h"

#include <assert.h>

/* now_ms * RATE_MAX_COUNT stays within 63 bits until the year 4892. */
#define MAX_PER_MS (INT64_C(400) * 86400000)

enum err rate_read(struct str text, struct rate *ret)
{
    static const char between[] = " per ";
    struct rate rate = {0};
    if (str_is(text, "none")) {
        *ret = rate;
        return OK;
    }
    ptrdiff_t at = str_find(text, between);
    if (at < 0) return ERR_MALFORMED;
    size_t head = (size_t)at, rest = head + sizeof between - 1;
    if (!str_int((struct str){text.at, head}, &rate.count)) return ERR_MALFORMED;
    enum err e = when_duration((struct str){text.at + rest, text.n - rest}, &rate.per_ms);
    if (e) return e;
    if (rate.count < 1 || rate.count > RATE_MAX_COUNT || rate.per_ms < 100 || rate.per_ms > MAX_PER_MS)
        return ERR_LIMIT;
    *ret = rate;
    return OK;
}

struct str rate_text(struct arena *arena, const struct rate *rate)
{
    if (!rate->count) return STR("none");
    return str_fmt(arena, "%lld per %s", (long long)rate->count, when_duration_text(arena, rate->per_ms).at);
}

int64_t bucket_ready_ms(const struct bucket *bucket, const struct rate *rate, int64_t now_ms)
{
    assert(rate->count >= 1 && rate->count <= RATE_MAX_COUNT);
    int64_t ready_at = bucket->full_at - (rate->count - 1) * rate->per_ms;
    if (ready_at <= now_ms * rate->count) return now_ms;
    return (ready_at + rate->count - 1) / rate->count;
}

void bucket_take(struct bucket *bucket, const struct rate *rate, int64_t now_ms)
{
    int64_t now = now_ms * rate->count;
    if (bucket_ready_ms(bucket, rate, now_ms) > now_ms) return;
    bucket->full_at = (bucket->full_at > now ? bucket->full_at : now) + rate->per_ms;
}
