/* One seat for the whole network outside: HTTP goes to one edge, DNS to another, TLS handshakes to a third. Any of them
 * may be NULL, and what would go there is dropped. Takes ownership. */
#ifndef WORLD_EDGE_OUTSIDE_H
#define WORLD_EDGE_OUTSIDE_H

#include "world/hall.h"

struct edge *edge_outside_new(struct edge *http, struct edge *dns, struct edge *tls);

#endif
