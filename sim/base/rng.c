#include "base/rng.h"

#include <assert.h>
#include <string.h>

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void rng_seed(struct rng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        rng->s[i] = splitmix(&seed);
}

void rng_fork(struct rng *rng, const char *purpose, struct rng *ret)
{
    uint64_t seed = rng->s[0] ^ 0xcbf29ce484222325u;
    for (const char *p = purpose; *p; p++)
        seed = (seed ^ (unsigned char)*p) * 0x100000001b3u;
    rng_seed(ret, seed);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t rng_u64(struct rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    assert(bound > 0);
    uint64_t tail = UINT64_MAX - UINT64_MAX % bound, draw;
    do
        draw = rng_u64(rng);
    while (draw >= tail);
    return draw % bound;
}

void rng_bytes(struct rng *rng, void *at, size_t n)
{
    unsigned char *p = at;
    while (n) {
        uint64_t word = rng_u64(rng);
        size_t take = n < sizeof word ? n : sizeof word;
        for (size_t i = 0; i < take; i++)
            p[i] = (unsigned char)(word >> (8 * i));
        p += take;
        n -= take;
    }
}
