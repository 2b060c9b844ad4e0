/* What needs no issuance: a start, and idleness. Both print one JSON object and return an exit status. */
#ifndef BENCH_WATCH_H
#define BENCH_WATCH_H

#include "bench_common.h"

/* From fork to the first 200 on the directory. */
int watch_start(char **program, const struct url *url, SSL_CTX *tls);

struct idle {
    int64_t seconds;
    size_t kept, half_open; /* connections: one exchange behind them; half a ClientHello sent */
};
int watch_idle(const struct idle *idle, int pid, const struct url *url, SSL_CTX *tls);

#endif
