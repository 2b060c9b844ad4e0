#include "acme/challenge.h"
#include "acme/address.h"

#include <assert.h>
#include <string.h>

static const struct challenge_row rows[] = {
    [CHALLENGE_HTTP_01] = {"http-01",        "8.3",                               MEDIUM_HTTP, false, true },
    [CHALLENGE_DNS_01] = {"dns-01",         "8.4",                               MEDIUM_DNS,  true,  false},
    [CHALLENGE_TLS_ALPN_01] = {"tls-alpn-01",    "RFC 8737",                          MEDIUM_TLS,  false, true },
    [CHALLENGE_DNS_ACCOUNT_01] = {"dns-account-01", "draft-ietf-acme-dns-account-label", MEDIUM_DNS,  true,  false},
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

#define DNS_PREFIX     "_acme-challenge."
#define BASE32_LETTERS "abcdefghijklmnopqrstuvwxyz234567"
enum { LABEL_OCTETS = 10, LABEL_LETTERS = 16 };

/* draft-ietf-acme-dns-account-label-03 section 3.2: "_", then the first ten octets of the SHA-256 of the account's URL
 * in base32 (RFC 4648 section 6). */
static void add_account_label(struct buf *out, struct str account)
{
    struct str hash = sha256(out->arena, account);
    uint64_t bits = 0;
    unsigned n_bits = 0;
    buf_add_char(out, '_');
    for (size_t i = 0; i < LABEL_OCTETS; i++) {
        bits = bits << 8 | (unsigned char)hash.at[i];
        for (n_bits += 8; n_bits >= 5; n_bits -= 5)
            buf_add_char(out, BASE32_LETTERS[bits >> (n_bits - 5) & 31]);
    }
}

static struct str dns_place(struct arena *arena, enum challenge_type type, struct str name, struct str account)
{
    struct buf out = {.arena = arena};
    if (type == CHALLENGE_DNS_ACCOUNT_01) {
        add_account_label(&out, account);
        buf_add_char(&out, '.');
    }
    buf_add_c(&out, DNS_PREFIX);
    buf_add(&out, name);
    return buf_str(&out);
}

static bool is_base32(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '2' && c <= '7');
}

bool challenge_of_dns_place(struct str place, enum challenge_type *ret, struct str *ret_name)
{
    enum challenge_type type = CHALLENGE_DNS_01;
    if (!str_starts(place, DNS_PREFIX)) {
        enum { SKIP = 1 + LABEL_LETTERS + 1 };
        if (place.n < SKIP || place.at[0] != '_' || place.at[SKIP - 1] != '.') return false;
        for (size_t i = 1; i <= LABEL_LETTERS; i++)
            if (!is_base32(place.at[i])) return false;
        place = (struct str){place.at + SKIP, place.n - SKIP};
        if (!str_starts(place, DNS_PREFIX)) return false;
        type = CHALLENGE_DNS_ACCOUNT_01;
    }
    *ret = type;
    *ret_name = (struct str){place.at + strlen(DNS_PREFIX), place.n - strlen(DNS_PREFIX)};
    return true;
}

struct str challenge_place(struct arena *arena, enum challenge_type type, struct str name, struct str token,
                           struct str account)
{
    switch (challenge_row(type)->medium) {
    case MEDIUM_HTTP: return str_fmt(arena, "/.well-known/acme-challenge/%.*s", STR_ARGS(token));
    case MEDIUM_DNS: return dns_place(arena, type, name, account);
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
