/* DNS in, over UDP: foreign CAs and clients ask our responder for addresses and TXT records. */
#ifndef WORLD_EDGE_DNS_H
#define WORLD_EDGE_DNS_H

#include "world/hall.h"

struct edge_dns_options {
    const char *address;
    int port; /* 0 = asked for */
    struct addr to;
};
enum err edge_dns_new(const struct edge_dns_options *options, struct edge **ret);
int edge_dns_port(const struct edge *edge);
void edge_dns_seated(struct edge *edge, struct addr seat);

#endif
