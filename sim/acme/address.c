#include "acme/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { V4_OCTETS = 4, V6_OCTETS = 16, V6_GROUPS = 8 };

size_t address_octets(struct str text, unsigned char octets[16])
{
    char word[INET6_ADDRSTRLEN];
    if (text.n >= sizeof word || memchr(text.at ? text.at : "", 0, text.n)) return 0;
    memcpy(word, text.at ? text.at : "", text.n);
    word[text.n] = 0;
    if (inet_pton(AF_INET, word, octets) == 1) return V4_OCTETS;
    return inet_pton(AF_INET6, word, octets) == 1 ? V6_OCTETS : 0;
}

/* RFC 5952 section 4.2: the longest run of two or more zero groups, the first of equals. *ret_n 0: there is none. */
static size_t longest_zeros(const unsigned groups[V6_GROUPS], size_t *ret_n)
{
    size_t best = 0;
    *ret_n = 0;
    for (size_t i = 0; i < V6_GROUPS; i++) {
        size_t n = 0;
        while (i + n < V6_GROUPS && groups[i + n] == 0)
            n++;
        if (n < 2 || n <= *ret_n) continue;
        best = i;
        *ret_n = n;
    }
    return best;
}

struct str address_text(struct arena *arena, struct str octets)
{
    const unsigned char *at = (const unsigned char *)octets.at;
    assert(octets.n == V4_OCTETS || octets.n == V6_OCTETS);
    if (octets.n == V4_OCTETS) return str_fmt(arena, "%u.%u.%u.%u", at[0], at[1], at[2], at[3]);
    unsigned groups[V6_GROUPS];
    for (size_t i = 0; i < V6_GROUPS; i++)
        groups[i] = (unsigned)at[2 * i] << 8 | at[2 * i + 1];
    size_t n_zeros, zeros = longest_zeros(groups, &n_zeros);
    struct buf text = {.arena = arena};
    for (size_t i = 0; i < V6_GROUPS; i++) {
        if (n_zeros && i == zeros) {
            buf_add_c(&text, "::");
            i += n_zeros - 1;
        } else {
            buf_fmt(&text, "%s%x", i && i != zeros + n_zeros ? ":" : "", groups[i]);
        }
    }
    return buf_str(&text);
}

bool address_canonical(struct str text)
{
    unsigned char octets[V6_OCTETS];
    struct arena scratch = {0};
    size_t n = address_octets(text, octets);
    bool same = n && str_eq(text, address_text(&scratch, (struct str){(char *)octets, n}));
    arena_done(&scratch);
    return same;
}

struct str address_reverse(struct arena *arena, struct str text)
{
    unsigned char octets[V6_OCTETS];
    struct buf name = {.arena = arena};
    size_t n = address_octets(text, octets);
    assert(n);
    for (size_t i = n; i-- > 0;) {
        if (n == V4_OCTETS) buf_fmt(&name, "%u.", octets[i]);
        else buf_fmt(&name, "%x.%x.", octets[i] & 0xfu, (unsigned)octets[i] >> 4);
    }
    buf_add_c(&name, n == V4_OCTETS ? "in-addr.arpa" : "ip6.arpa");
    return buf_str(&name);
}

struct str address_of_reverse(struct arena *arena, struct str name)
{
    char octets[V6_OCTETS] = {0};
    size_t n = str_ends(name, ".in-addr.arpa") ? V4_OCTETS : str_ends(name, ".ip6.arpa") ? V6_OCTETS : 0;
    const char *at = str_copy(arena, name).at;
    for (size_t i = n; i-- > 0;) {
        unsigned low = 0, high = 0;
        int used = 0;
        if (n == V4_OCTETS) (void)sscanf(at, "%3u.%n", &low, &used);
        else (void)sscanf(at, "%1x.%1x.%n", &low, &high, &used);
        if (!used) return (struct str){0};
        octets[i] = (char)(high << 4 | (low & 0xffu));
        at += used;
    }
    struct str text = n ? address_text(arena, (struct str){octets, n}) : (struct str){0};
    /* Only what address_reverse writes: no zeros before a number, none above 255, nothing more. */
    return n && str_eq(address_reverse(arena, text), name) ? text : (struct str){0};
}
