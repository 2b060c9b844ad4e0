#include "base/when.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct {
    const char *unit;
    int64_t ms;
} units[] = {
    {"d",  86400000},
    {"h",  3600000 },
    {"m",  60000   },
    {"s",  1000    },
    {"ms", 1       }
};

#define CENTURY_MS (INT64_C(36525) * 86400000)

enum err when_duration(struct str text, int64_t *ret_ms)
{
    int64_t total = 0;
    size_t next_unit = 0;
    if (text.n == 0) return ERR_MALFORMED;
    while (text.n) {
        size_t digits = 0, letters = 0;
        int64_t number;
        while (digits < text.n && text.at[digits] >= '0' && text.at[digits] <= '9')
            digits++;
        while (digits + letters < text.n && text.at[digits + letters] >= 'a' && text.at[digits + letters] <= 'z')
            letters++;
        if (digits > 15) return ERR_LIMIT;
        if (!str_int((struct str){text.at, digits}, &number)) return ERR_MALFORMED;
        struct str unit = {text.at + digits, letters};
        while (next_unit < COUNTOF(units) && !str_is(unit, units[next_unit].unit))
            next_unit++;
        if (next_unit == COUNTOF(units)) return ERR_MALFORMED;
        if (number > (CENTURY_MS - total) / units[next_unit].ms) return ERR_LIMIT;
        total += number * units[next_unit++].ms;
        text.at += digits + letters;
        text.n -= digits + letters;
    }
    *ret_ms = total;
    return OK;
}

struct str when_duration_text(struct arena *arena, int64_t ms)
{
    struct buf out = {.arena = arena};
    if (ms < 0) {
        buf_add_char(&out, '-');
        ms = -ms;
    }
    if (ms == 0) buf_add_c(&out, "0s");
    for (size_t i = 0; i < COUNTOF(units); i++) {
        if (ms >= units[i].ms) buf_fmt(&out, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
        ms %= units[i].ms;
    }
    return buf_str(&out);
}

static struct tm split(int64_t utc_ms)
{
    time_t seconds = (time_t)(utc_ms / 1000 - (utc_ms % 1000 < 0));
    struct tm tm = {0};
    gmtime_r(&seconds, &tm);
    return tm;
}

struct str when_run_time(struct arena *arena, int64_t t_ms)
{
    const char *sign = t_ms < 0 ? "-" : "";
    long long tenths = (t_ms < 0 ? -t_ms : t_ms) / 100, seconds = tenths / 10, minutes = seconds / 60;
    if (minutes < 60) return str_fmt(arena, "%s%lld:%02lld.%lld", sign, minutes, seconds % 60, tenths % 10);
    return str_fmt(arena, "%s%lld:%02lld:%02lld.%lld", sign, minutes / 60, minutes % 60, seconds % 60, tenths % 10);
}

struct str when_rfc3339(struct arena *arena, int64_t utc_ms)
{
    struct tm tm = split(utc_ms);
    return str_fmt(arena, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                   tm.tm_min, tm.tm_sec);
}

static bool in_range(const struct tm *tm)
{
    return tm->tm_mon >= 0 && tm->tm_mon < 12 && tm->tm_mday >= 1 && tm->tm_mday <= 31 && tm->tm_hour >= 0 &&
           tm->tm_hour < 24 && tm->tm_min >= 0 && tm->tm_min < 60 && tm->tm_sec >= 0 && tm->tm_sec <= 60;
}

static bool digits_at(const char *text, size_t at, size_t n, int *ret)
{
    int64_t value;
    if (!str_int((struct str){text + at, n}, &value)) return false;
    *ret = (int)value;
    return true;
}

enum err when_rfc3339_parse(struct str text, int64_t *ret_utc_ms)
{
    char c[64];
    if (text.n < 20 || text.n >= sizeof c) return ERR_MALFORMED;
    memcpy(c, text.at, text.n);
    c[text.n] = 0;
    struct tm tm = {0};
    if (!digits_at(c, 0, 4, &tm.tm_year) || c[4] != '-' || !digits_at(c, 5, 2, &tm.tm_mon) || c[7] != '-' ||
        !digits_at(c, 8, 2, &tm.tm_mday) || (c[10] != 'T' && c[10] != 't') || !digits_at(c, 11, 2, &tm.tm_hour) ||
        c[13] != ':' || !digits_at(c, 14, 2, &tm.tm_min) || c[16] != ':' || !digits_at(c, 17, 2, &tm.tm_sec))
        return ERR_MALFORMED;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    if (!in_range(&tm)) return ERR_MALFORMED;
    size_t i = 19;
    int64_t part_ms = 0, scale = 100;
    if (c[i] == '.') {
        size_t first = ++i;
        for (; c[i] >= '0' && c[i] <= '9'; i++, scale /= 10)
            part_ms += (c[i] - '0') * scale;
        if (i == first) return ERR_MALFORMED;
    }
    int64_t offset_ms = 0;
    if (c[i] == 'Z' || c[i] == 'z') {
        if (c[i + 1]) return ERR_MALFORMED;
    } else {
        int hours, minutes;
        if ((c[i] != '+' && c[i] != '-') || strlen(c + i) != 6 || !digits_at(c, i + 1, 2, &hours) || c[i + 3] != ':' ||
            !digits_at(c, i + 4, 2, &minutes) || hours > 23 || minutes > 59)
            return ERR_MALFORMED;
        offset_ms = (hours * INT64_C(60) + minutes) * 60000;
        if (c[i] == '-') offset_ms = -offset_ms;
    }
    *ret_utc_ms = (int64_t)timegm(&tm) * 1000 + part_ms - offset_ms;
    return OK;
}

static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

struct str when_http_date(struct arena *arena, int64_t utc_ms)
{
    struct tm tm = split(utc_ms);
    return str_fmt(arena, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon],
                   tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

enum err when_http_date_parse(struct str text, int64_t *ret_utc_ms)
{
    char c[48], month[4], rest;
    struct tm tm = {0};
    text = str_trim(text);
    if (text.n >= sizeof c || text.n < 20) return ERR_MALFORMED;
    memcpy(c, text.at, text.n);
    c[text.n] = 0;
    if (sscanf(c, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GM%c", &tm.tm_mday, month, &tm.tm_year, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &rest) == 7 &&
        rest == 'T' && text.n == 29) {
        tm.tm_year -= 1900;
    } else if (sscanf(c, "%*[A-Za-z], %2d-%3[A-Za-z]-%2d %2d:%2d:%2d GM%c", &tm.tm_mday, month, &tm.tm_year,
                      &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &rest) == 7 &&
               rest == 'T') {
        if (tm.tm_year < 70) tm.tm_year += 100;
    } else if (sscanf(c, "%*3[A-Za-z] %3[A-Za-z] %2d %2d:%2d:%2d %4d%c", month, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
                      &tm.tm_sec, &tm.tm_year, &rest) == 6) {
        tm.tm_year -= 1900;
    } else {
        return ERR_MALFORMED;
    }
    for (tm.tm_mon = 0; tm.tm_mon < 12 && strcmp(months[tm.tm_mon], month) != 0; tm.tm_mon++) {
    }
    if (!in_range(&tm)) return ERR_MALFORMED;
    *ret_utc_ms = (int64_t)timegm(&tm) * 1000;
    return OK;
}
