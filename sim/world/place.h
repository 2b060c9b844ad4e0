/* Where to go on the network: an address and a port as a text. */
#ifndef WORLD_PLACE_H
#define WORLD_PLACE_H

#include "base/str.h"

#include <sys/socket.h>

struct place {
    struct sockaddr_storage address;
    socklen_t n;
};
/* "192.0.2.1:53" or "[2001:db8::1]:53", numbers only. false: it is neither. */
bool place_read(struct str text, struct place *ret);
/* A socket that does not block, connected or about to be; -1 with errno. Never one that select() cannot watch. */
int place_connect(const struct place *place, int socket_type);

#endif
