/* DNS out: answers a MSG_DNS_QUERY with what one server says, over UDP and, where that is cut short, over TCP. Each
 * query has a socket of its own, so a port of its own, and an id by chance; what comes from elsewhere or answers
 * something else is ignored. Asked twice, then the answer's delivery is `hang`, or `refused` where nobody listens. */
#ifndef WORLD_EDGE_RESOLVE_H
#define WORLD_EDGE_RESOLVE_H

#include "world/hall.h"

struct edge_resolve_options {
    const char *server; /* "127.0.0.1:8053" */
    int64_t try_ms;     /* how long one try waits; 0 = 2 s */
    uint64_t seed;
};
/* ERR_MALFORMED: `server` is no address and port. */
enum err edge_resolve_new(const struct edge_resolve_options *options, struct edge **ret);

#endif
