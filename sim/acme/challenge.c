#include "acme/challenge.h"
#include "acme/address.h"

#include <assert.h>

static const struct challenge_row rows[] = {
    [CHALLENGE_HTTP_01] = {"http-01",     "8.3",      MEDIUM_HTTP, false, true },
    [CHALLENGE_DNS_01] = {"dns-01",      "8.4",      MEDIUM_DNS,  true,  false},
    [CHALLENGE_TLS_ALPN_01] = {"tls-alpn-01", "RFC 8737", MEDIUM_TLS,  false, true },
};
static_assert(COUNTOF(rows) == CHALLENGE_TYPE_COUNT, "every challenge type has a row");

const struct challenge_row *challenge_row(enum challenge_type type)
{
    assert((unsigned)type < CHALLENGE_TYPE_COUNT);
    return &rows[type];
}

bool challenge_type_read(struct str name, enum challenge_type *ret)
{
    for (enum challenge_type type = 0; type < CHALLENGE_TYPE_COUNT; type++) {
        if (!str_is(name, rows[type].name)) continue;
        *ret = type;
        return true;
    }
    return false;
}

struct str challenge_key_authorization(struct arena *arena, struct str token, struct str thumbprint)
{
    return str_fmt(arena, "%.*s.%.*s", STR_ARGS(token), STR_ARGS(thumbprint));
}

struct str challenge_proof(struct arena *arena, enum challenge_type type, struct str key_authorization)
{
    switch (challenge_row(type)->medium) {
    case MEDIUM_HTTP: return str_copy(arena, key_authorization);
    case MEDIUM_DNS: return base64url(arena, sha256(arena, key_authorization));
    case MEDIUM_TLS: return sha256(arena, key_authorization);
    }
    return (struct str){0};
}

struct str challenge_place(struct arena *arena, enum challenge_type type, struct str name, struct str token)
{
    switch (challenge_row(type)->medium) {
    case MEDIUM_HTTP: return str_fmt(arena, "/.well-known/acme-challenge/%.*s", STR_ARGS(token));
    case MEDIUM_DNS: return str_fmt(arena, "_acme-challenge.%.*s", STR_ARGS(name));
    case MEDIUM_TLS: return address_canonical(name) ? address_reverse(arena, name) : str_copy(arena, name);
    }
    return (struct str){0};
}

struct str challenge_token(struct arena *arena, struct rng *rng)
{
    char bytes[32];
    rng_bytes(rng, bytes, sizeof bytes);
    return base64url(arena, (struct str){bytes, sizeof bytes});
}

bool token_legal(struct str token)
{
    for (size_t i = 0; i < token.n; i++) {
        char c = token.at[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
            return false;
    }
    return token.n > 0;
}
