/* A board of provisions: what has been pinned up for validators to find, at run time, over a management interface that
 * is pebble-challtestsrv's. It answers http-01 and https requests, DNS queries (also as DNS over HTTPS, RFC 8484) and
 * TLS handshakes with acme-tls/1 (RFC 8737), and remembers who asked.
 *
 * Beyond the original's, a pin may have a list of answers in the words of a scenario's responder ("404 x2", "nxdomain",
 * "wrong-san"): the board gives one for each request, and the last one for ever. Nothing here grows without bound:
 * there are at most BOARD_MAX_PINS pins, and of each kind of request the last BOARD_MAX_HISTORY are remembered. */
#ifndef ACTOR_BOARD_H
#define ACTOR_BOARD_H

#include "actor/actor.h"

enum { BOARD_MAX_PINS = 16384, BOARD_MAX_HISTORY = 4096 };

struct board_options {
    struct addr management; /* the seat whose requests are calls of the interface */
    struct addr doh;        /* the seat whose requests are DNS over HTTPS; all others' are a validator's */
    struct str ipv4, ipv6;  /* addresses of names that have none of their own; empty: no answer */
    bool closes;            /* after each page, as the original does it; else the asker decides */
};
struct actor *board_new(const struct board_options *options);

#endif
