/* DNS as values, and its packets (by ldns, which lives in dns.c alone). */
#ifndef WIRE_DNS_H
#define WIRE_DNS_H

#include "wire/http.h"

enum dns_type { DNS_A = 1, DNS_CNAME = 5, DNS_TXT = 16, DNS_AAAA = 28, DNS_CAA = 257 };
enum dns_rcode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5
};
enum { DNS_MAX_RECORDS = 16, DNS_MAX_PACKET = 65535 };

struct dns_query {
    struct str name;  /* lower case, no final dot */
    int type;         /* enum dns_type, or any other number */
    size_t max_bytes; /* the datagram that the asker takes (EDNS); 0 = 512 */
};
struct dns_answer {
    struct str name;
    int type;
    enum dns_rcode rcode;
    struct str records[DNS_MAX_RECORDS]; /* A, AAAA: address text; TXT: the text; CNAME: the name */
    size_t n_records;
    struct str alias;         /* a CNAME on the way: stands first, and the records are its target's; empty = none */
    bool has_soa;             /* an SOA record in the authority section: some resolvers take no "nothing" without one */
    struct delivery delivery; /* hang = dropped, or no server; delay_ms; truncated = TC and no records, where a second
                               * try over TCP is possible; garbage = under another id */
};

const char *dns_rcode_text(enum dns_rcode rcode);
const char *dns_type_text(int type); /* "A" "TXT" ...; "TYPE" for others */

/* Reads a query packet: one question, class IN. *ret_id is to be echoed. ERR_MALFORMED: drop it; ERR_REFUSED: a query
 * that we do not answer (another opcode or class, several questions). */
enum err dns_read_query(struct arena *arena, struct str packet, struct dns_query *ret, uint16_t *ret_id);
/* Writes the answer packet; TTL 0; TC is set and records left out where it would pass max_bytes (0 = 512). An asker
 * that mixes upper and lower case finds its own spelling in the question: `asked` is the query packet, or empty. */
enum err dns_write_answer(struct arena *arena, const struct dns_answer *answer, uint16_t id, size_t max_bytes,
                          struct str asked, struct str *ret_packet);
/* A header only: the query's own id, opcode and RD bit, and a response code. `asked` is at least a header. */
struct str dns_write_rcode(struct arena *arena, struct str asked, enum dns_rcode rcode);
/* Whether an answer of this delivery is a packet at all; otherwise it is silence, or the end of a connection. */
bool dns_answer_leaves(const struct dns_answer *answer);

#endif
