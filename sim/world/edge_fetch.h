/* HTTP and HTTPS out, by libcurl's multi interface: our client asks a foreign CA, our validator fetches a real
 * challenge response. Answers a MSG_REQUEST with a MSG_RESPONSE of the same flow; what went wrong is in its delivery
 * and status 0. Redirects are not followed: that is the asker's business. */
#ifndef WORLD_EDGE_FETCH_H
#define WORLD_EDGE_FETCH_H

#include "world/hall.h"

struct edge_fetch_options {
    const char *trust_file; /* PEM of accepted roots, NULL = the system's */
    const char
        *connect_to;  /* all http requests go here whatever the URL says ("127.0.0.1:5002"), NULL = as the URL says */
    int64_t limit_ms; /* a request that takes longer is answered with delivery hang */
    size_t max_body;
};
/* Never fails: where libcurl cannot be loaded, each request is answered as refused, with the reason in the body. */
struct edge *edge_fetch_new(const struct edge_fetch_options *options);

#endif
