/* TLS in: foreign CAs look for tls-alpn-01 here (RFC 8737). Each ClientHello becomes a MSG_TLS_HELLO, and the handshake
 * waits for the MSG_TLS_ANSWER, which says what the peer is to see: protocol, certificate, an alert, or no TLS at all.
 * Certificates are made as they are needed, and kept a while. Nothing blocks. */
#ifndef WORLD_EDGE_ALPN_H
#define WORLD_EDGE_ALPN_H

#include "world/hall.h"

struct edge_alpn_options {
    const char *address; /* NULL: 127.0.0.1 */
    int port;            /* 0 = asked for */
    struct addr to;
    uint64_t seed; /* of its keys */
};
/* ERR_IO: could not bind (errno). */
enum err edge_alpn_new(const struct edge_alpn_options *options, struct edge **ret);
int edge_alpn_port(const struct edge *edge);
void edge_alpn_seated(struct edge *edge, struct addr seat);

#endif
