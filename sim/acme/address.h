/* IP addresses as identifiers (RFC 8738). */
#ifndef ACME_ADDRESS_H
#define ACME_ADDRESS_H

#include "base/str.h"

/* The octets of an address, however it is written: 4 or 16 of them; 0: it is none. */
size_t address_octets(struct str text, unsigned char octets[16]);
/* 4 or 16 octets in the one form that an identifier may have: dotted decimal, or RFC 5952 section 4. */
struct str address_text(struct arena *arena, struct str octets);
/* An address in just that form. No DNS name that an order may carry is one. */
bool address_canonical(struct str text);
/* "1.2.0.192.in-addr.arpa", or 32 digits before "ip6.arpa": what stands for it in a TLS hello (RFC 8738 section 6). */
struct str address_reverse(struct arena *arena, struct str text);
/* The way back: the address in its one form; empty: no such name. In lower case. */
struct str address_of_reverse(struct arena *arena, struct str name);

#endif
