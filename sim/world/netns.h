/* A network of our own: some servers validate at ports 80 and 443 only and ask the system's resolver. In a network
 * namespace both are ours, and nothing leaves the machine. */
#ifndef WORLD_NETNS_H
#define WORLD_NETNS_H

#include "base/str.h"

/* Moves this process (single-threaded) into new network and mount namespaces, as root or through a user namespace:
 * loopback is up, and /etc/resolv.conf asks 127.0.0.1 alone. ERR_REFUSED: not allowed here; *reterr_why says what was
 * tried, in words. */
enum err netns_enter(struct arena *arena, struct str *reterr_why);

#endif
