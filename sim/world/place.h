/* Where a socket goes, or listens: an IP address and a port. */
#ifndef WORLD_PLACE_H
#define WORLD_PLACE_H

#include "base/str.h"

#include <sys/socket.h>

struct place {
    struct sockaddr_storage at;
    socklen_t n;
};
/* "192.0.2.1:53" or "[2001:db8::1]:53", numbers only, port 0 is none. false: it is neither. */
bool place_read(struct str text, struct place *ret);
/* address NULL: 127.0.0.1. port 0: asked for when it is bound. ERR_MALFORMED: no address, or no port. */
enum err place_at(const char *address, int port, struct place *ret);
int place_port(const struct place *place);

/* A socket that does not block, connected or about to be; -1 with errno. Never one that select() cannot watch. */
int place_connect(const struct place *place, int socket_type);
/* Binds a non-blocking socket of that type (SOCK_DGRAM; SOCK_STREAM listens) and learns its real port. ERR_IO: errno.
 */
enum err place_bind(struct place *place, int type, int *ret_fd);

#endif
