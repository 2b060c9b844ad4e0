/* Chance from a seed: xoshiro256**, seeded by splitmix64. The same seed gives the same sequence on every machine.
 * Not for secrets that protect anything: a rehearsal's keys and nonces need to be unpredictable to nobody. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *rng, uint64_t seed);
/* A generator of its own for one purpose, so that one actor's use does not move another's. */
void rng_fork(struct rng *rng, const char *purpose, struct rng *ret);
uint64_t rng_u64(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t bound); /* 0 .. bound-1, bound > 0 */
void rng_bytes(struct rng *rng, void *at, size_t n);

#endif
