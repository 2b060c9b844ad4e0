/* The certificates of edge_alpn: made from what an answer is to show, and kept for the next one that shows the same. */
#ifndef WORLD_ALPN_SHELF_H
#define WORLD_ALPN_SHELF_H

#include "base/rng.h"
#include "wire/msg.h"

#include <openssl/ssl.h>

struct alpn_shelf;
struct alpn_shelf *alpn_shelf_new(uint64_t seed);
void alpn_shelf_free(struct alpn_shelf *shelf);
/* Gives the handshake its certificate and key. ERR_REFUSED: no certificate can show that. */
enum err alpn_shelf_dress(struct alpn_shelf *shelf, SSL *ssl, const struct tls_answer *answer, int64_t now_ms);

#endif
