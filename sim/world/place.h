/* Where a socket listens: an IP address and a port. */
#ifndef WORLD_PLACE_H
#define WORLD_PLACE_H

#include "base/err.h"

#include <sys/socket.h>

struct place {
    struct sockaddr_storage at;
    socklen_t n;
};
/* address NULL: 127.0.0.1. port 0: asked for when it is bound. ERR_MALFORMED: no address, or no port. */
enum err place_read(const char *address, int port, struct place *ret);
/* Binds a non-blocking socket of that type (SOCK_DGRAM; SOCK_STREAM listens) and learns its real port. ERR_IO: errno.
 */
enum err place_bind(struct place *place, int type, int *ret_fd);
int place_port(const struct place *place);

#endif
