/* The asking side of DNS packets (RFC 1035): what a validator sends and what it makes of the answer. */
#ifndef WIRE_DNS_ASK_H
#define WIRE_DNS_ASK_H

#include "wire/dns.h"

/* A query for one name of class IN with recursion desired; query->max_bytes over 512 is announced by EDNS.
 * ERR_MALFORMED: the name cannot be written. */
enum err dns_write_query(struct arena *arena, const struct dns_query *query, uint16_t id, struct str *ret_packet);

/* Reads the answer to `query` of that id. Aliases inside the answer are followed: records are those of the last name;
 * when none of the wanted type is there but an alias is, ret->type is DNS_CNAME and the one record is where it leads.
 * A name without such a record is rcode NOERROR and no records; NXDOMAIN is another rcode. A TXT record of several
 * strings is one text (RFC 8555 section 8.4 knows no parts); CAA is in presentation form, `0 issue "ca.example"`.
 * *ret_truncated: the TC bit, ask again by TCP. ERR_MALFORMED: no answer to this query, wait for another packet. */
enum err dns_read_answer(struct arena *arena, struct str packet, const struct dns_query *query, uint16_t id,
                         struct dns_answer *ret, bool *ret_truncated);

#endif
