#include "acme/der.h"

#include <assert.h>
#include <string.h>
#include <time.h>

enum { LONG_FORM = 0x80, MULTI_BYTE_TAG = 0x1f };

static unsigned octet(struct str s, size_t i)
{
    return (unsigned char)s.at[i];
}

static struct str after(struct str s, size_t n)
{
    return (struct str){s.at + n, s.n - n};
}

bool der_next(struct str *from, struct der_element *ret)
{
    struct str s = *from;
    if (s.n < 2 || (octet(s, 0) & MULTI_BYTE_TAG) == MULTI_BYTE_TAG) return false;
    size_t head = 2, n = octet(s, 1);
    if (n >= LONG_FORM) {
        size_t octets = n - LONG_FORM;
        if (octets == 0 || octets > 4 || s.n < head + octets) return false;
        n = 0;
        for (size_t i = 0; i < octets; i++)
            n = n << 8 | octet(s, head + i);
        if (n < LONG_FORM || n >> (8 * (octets - 1)) == 0) return false;
        head += octets;
    }
    if (n > s.n - head) return false;
    *ret = (struct der_element){
        octet(s, 0), {s.at + head, n       },
          {s.at,        head + n}
    };
    *from = after(s, head + n);
    return true;
}

bool der_take(struct str *from, unsigned tag, struct str *ret_body)
{
    struct str rest = *from;
    struct der_element element;
    if (!der_next(&rest, &element) || element.tag != tag) return false;
    *from = rest;
    *ret_body = element.body;
    return true;
}

bool der_only(struct str from, unsigned tag, struct str *ret_body)
{
    return der_take(&from, tag, ret_body) && from.n == 0;
}

bool der_take_number(struct str *from, struct str *ret)
{
    struct str body;
    if (!der_take(from, DER_INTEGER, &body) || body.n == 0 || octet(body, 0) >= 0x80) return false;
    if (octet(body, 0) == 0) {
        if (body.n > 1 && octet(body, 1) < 0x80) return false;
        body = after(body, 1);
    }
    *ret = body;
    return true;
}

bool der_take_bits(struct str *from, struct str *ret)
{
    struct str body;
    if (!der_take(from, DER_BIT_STRING, &body) || body.n == 0 || octet(body, 0) != 0) return false;
    *ret = after(body, 1);
    return true;
}

static bool two_digits(struct str s, size_t at, int low, int high, int *ret)
{
    int64_t value;
    if (!str_int((struct str){s.at + at, 2}, &value) || value < low || value > high) return false;
    *ret = (int)value;
    return true;
}

bool der_take_time(struct str *from, int64_t *ret_utc_ms)
{
    struct der_element element;
    if (!der_next(from, &element)) return false;
    struct str s = element.body;
    int century = 0, year;
    if (element.tag == DER_GENERALIZED_TIME && s.n == 15) {
        if (!two_digits(s, 0, 0, 99, &century)) return false;
        s = after(s, 2);
    } else if (element.tag != DER_UTC_TIME || s.n != 13) {
        return false;
    }
    if (!two_digits(s, 0, 0, 99, &year)) return false;
    if (element.tag == DER_UTC_TIME) century = year < 50 ? 20 : 19;
    struct tm tm = {.tm_year = century * 100 + year - 1900};
    if (!two_digits(s, 2, 1, 12, &tm.tm_mon) || !two_digits(s, 4, 1, 31, &tm.tm_mday) ||
        !two_digits(s, 6, 0, 23, &tm.tm_hour) || !two_digits(s, 8, 0, 59, &tm.tm_min) ||
        !two_digits(s, 10, 0, 59, &tm.tm_sec) || s.at[12] != 'Z')
        return false;
    tm.tm_mon -= 1;
    int day = tm.tm_mday;
    *ret_utc_ms = (int64_t)timegm(&tm) * 1000;
    return tm.tm_mday == day; /* timegm turns 31 February into March */
}

size_t der_open(struct buf *buf, unsigned tag)
{
    buf_add_char(buf, (char)tag);
    buf_add_char(buf, 0);
    return buf->n;
}

void der_close(struct buf *buf, size_t opened)
{
    assert(opened <= buf->n);
    size_t n = buf->n - opened, octets = 0;
    if (n >= LONG_FORM) {
        for (size_t left = n; left; left >>= 8)
            octets++;
        for (size_t i = 0; i < octets; i++)
            buf_add_char(buf, 0);
        memmove(buf->at + opened + octets, buf->at + opened, n);
        for (size_t i = 0; i < octets; i++)
            buf->at[opened + i] = (char)(n >> (8 * (octets - 1 - i)) & 0xff);
    }
    buf->at[opened - 1] = (char)(octets ? LONG_FORM | octets : n);
}

void der_add(struct buf *buf, unsigned tag, struct str body)
{
    size_t opened = der_open(buf, tag);
    buf_add(buf, body);
    der_close(buf, opened);
}

void der_add_number(struct buf *buf, struct str magnitude)
{
    while (magnitude.n && magnitude.at[0] == 0)
        magnitude = after(magnitude, 1);
    size_t opened = der_open(buf, DER_INTEGER);
    if (magnitude.n == 0 || octet(magnitude, 0) >= 0x80) buf_add_char(buf, 0);
    buf_add(buf, magnitude);
    der_close(buf, opened);
}

void der_add_bits(struct buf *buf, struct str octets)
{
    size_t opened = der_open(buf, DER_BIT_STRING);
    buf_add_char(buf, 0);
    buf_add(buf, octets);
    der_close(buf, opened);
}

static enum err add_time(struct buf *buf, int64_t utc_ms, bool short_form)
{
    time_t seconds = (time_t)(utc_ms / 1000 - (utc_ms % 1000 < 0));
    struct tm tm;
    if (!gmtime_r(&seconds, &tm)) return ERR_LIMIT;
    int year = tm.tm_year + 1900;
    if (year < 1950 || year > 9999) return ERR_LIMIT;
    bool utc = short_form && year < 2050;
    size_t opened = der_open(buf, utc ? DER_UTC_TIME : DER_GENERALIZED_TIME);
    if (!utc) buf_fmt(buf, "%02d", year / 100);
    buf_fmt(buf, "%02d%02d%02d%02d%02d%02dZ", year % 100, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
    der_close(buf, opened);
    return OK;
}

enum err der_add_time(struct buf *buf, int64_t utc_ms)
{
    return add_time(buf, utc_ms, true);
}

enum err der_add_generalized_time(struct buf *buf, int64_t utc_ms)
{
    return add_time(buf, utc_ms, false);
}
