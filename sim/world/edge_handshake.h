/* tls-alpn-01 out (RFC 8737): answers a MSG_TLS_HELLO with what a handshake there shows. The certificate is looked at
 * and never verified; TLS 1.2 or later (section 3). What went wrong is in the answer's delivery: refused, reset,
 * closed, hang, garbage, or whole with the peer's alert. */
#ifndef WORLD_EDGE_HANDSHAKE_H
#define WORLD_EDGE_HANDSHAKE_H

#include "world/hall.h"

struct edge_handshake_options {
    const char *connect_to; /* where a hello goes that does not say it: "127.0.0.1:5001" */
    int64_t limit_ms;       /* longer is `hang`; 0 = 30 s */
};
struct edge *edge_handshake_new(const struct edge_handshake_options *options);

#endif
