/* DER (X.690) in both directions, as far as keys and certificates need it: one-byte tags, definite lengths in their
 * shortest form. Reading takes elements off the front of a str and borrows from it; whatever is not DER is false. */
#ifndef ACME_DER_H
#define ACME_DER_H

#include "base/str.h"

enum der_tag {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_OID = 0x06,
    DER_ENUMERATED = 0x0a,
    DER_UTF8_STRING = 0x0c,
    DER_PRINTABLE_STRING = 0x13,
    DER_IA5_STRING = 0x16,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_CONTEXT = 0x80,             /* | n: [n] IMPLICIT of a primitive type */
    DER_CONTEXT_CONSTRUCTED = 0xa0, /* | n: [n] EXPLICIT */
};

/* An initializer of a struct str that holds DER. */
#define OCTETS(literal)                                                                                                \
    {                                                                                                                  \
        literal, sizeof(literal) - 1                                                                                   \
    }

struct der_element {
    unsigned tag;
    struct str body;
    struct str whole; /* tag and length too */
};

/* Takes the next element off *from. On false *from is as it was. */
bool der_next(struct str *from, struct der_element *ret);
/* The next element, if it has this tag; *ret_body is what is in it. */
bool der_take(struct str *from, unsigned tag, struct str *ret_body);
/* The same, and nothing may follow it. */
bool der_only(struct str from, unsigned tag, struct str *ret_body);
/* A non-negative INTEGER in its shortest form: *ret has no leading zeros, 0 is empty. */
bool der_take_number(struct str *from, struct str *ret);
/* A BIT STRING of whole octets. */
bool der_take_bits(struct str *from, struct str *ret);
/* UTCTime or GeneralizedTime as RFC 5280 section 4.1.2.5 allows them: in UTC, to the second. */
bool der_take_time(struct str *from, int64_t *ret_utc_ms);

/* Writing appends to a buf. What is added between der_open and der_close becomes the body. */
size_t der_open(struct buf *buf, unsigned tag);
void der_close(struct buf *buf, size_t opened);
void der_add(struct buf *buf, unsigned tag, struct str body);
/* INTEGER from a big-endian magnitude; leading zeros are dropped or added as the form wants. */
void der_add_number(struct buf *buf, struct str magnitude);
void der_add_bits(struct buf *buf, struct str octets);
/* UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 section 4.1.2.5). ERR_LIMIT: before 1950 or after 9999. */
enum err der_add_time(struct buf *buf, int64_t utc_ms);
enum err der_add_generalized_time(struct buf *buf, int64_t utc_ms); /* whatever the year */

#endif
