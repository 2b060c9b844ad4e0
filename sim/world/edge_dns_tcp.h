/* DNS in, over TCP (RFC 7766): where a truncated answer sends its asker. Each message follows its length in two bytes;
 * a connection may carry several queries, whose answers come as they are ready. */
#ifndef WORLD_EDGE_DNS_TCP_H
#define WORLD_EDGE_DNS_TCP_H

#include "world/edge_dns.h"

/* The same options as over UDP, usually the same port too. */
enum err edge_dns_tcp_new(const struct edge_dns_options *options, struct edge **ret);
int edge_dns_tcp_port(const struct edge *edge);
void edge_dns_tcp_seated(struct edge *edge, struct addr seat);

#endif
