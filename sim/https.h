/* Our CA on HTTPS: the listening edge with the certificates that it shows, the good one and, where connections may meet
 * them, those that no client should accept. */
#ifndef HTTPS_H
#define HTTPS_H

#include "acme/x509.h"
#include "base/rng.h"
#include "plan/scenario.h"
#include "world/edge_listen.h"

/* Does the scenario have rules for connections? It may be NULL. */
bool https_meets_faults(const struct scenario *scenario);
/* Fills the certificates into *options, with a key of their own, and listens. `names`: what clients may call the
 * server; `bad_ones`: certificates for faults of connections, too. ERR_IO: could not bind (errno). */
enum err https_listen(struct arena *arena, const struct issuer *issuer, bool bad_ones, const struct str *names,
                      size_t n, int64_t now_ms, struct rng *rng, struct edge_listen_options *options,
                      struct edge **ret);
/* Once the CA is there: connections meet the faults of its scenario. Takes nothing. */
void https_faults_of(struct edge *edge, struct actor *ca);

#endif
