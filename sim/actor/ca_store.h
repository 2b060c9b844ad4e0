/* What the CA remembers. Objects are numbered from 1 and found by number in O(1); accounts also by their key, valid and
 * pre-authorized authorizations also by (account, name), certificates by their serial, validation queries under way by
 * their flow. Nothing is ever taken out but nonces, queries and failures. */
#ifndef ACTOR_CA_STORE_H
#define ACTOR_CA_STORE_H

#include "acme/challenge.h"
#include "acme/lifecycle.h"
#include "acme/problem.h"
#include "wire/msg.h"

/* --- a hash table of things that carry their own node --- */
struct ca_node {
    struct ca_node *next;
    uint64_t hash;
};
struct ca_table {
    struct ca_node **buckets;
    size_t n_buckets, n; /* n_buckets: 0 or a power of two */
};
uint64_t ca_hash(uint64_t seed, struct str bytes);
void ca_table_add(struct ca_table *table, struct ca_node *node, uint64_t hash);
void ca_table_remove(struct ca_table *table, struct ca_node *node);
/* The nodes with this hash, newest first; the caller compares the rest. `after` NULL: the first. */
struct ca_node *ca_table_find(const struct ca_table *table, uint64_t hash, const struct ca_node *after);

/* --- nonces (RFC 8555 section 6.5) --- */
/* A nonce is its number and a keyed tag; one bit for each of the last CA_NONCE_WINDOW numbers says whether it was
 * spent. An older nonce is refused like a spent one. */
enum { CA_NONCE_WINDOW = 1 << 17 };
struct ca_nonces {
    uint64_t key[2]; /* key[1] is never 0 once seeded */
    uint64_t issued;
    uint64_t *spent;
};
struct str ca_nonce_make(struct ca_nonces *nonces, struct rng *rng, struct arena *arena);
bool ca_nonce_spend(struct ca_nonces *nonces, struct arena *arena,
                    struct str nonce); /* true once for each nonce we made */

/* --- objects --- */
/* One failed query, or the reason why an order or a challenge is lost. One block of memory with its texts. */
struct ca_failure {
    struct ca_failure *next;
    struct problem problem;
};
struct ca_failure *ca_failure_new(const struct problem *problem); /* no subproblems */
void ca_failures_free(struct ca_failure *first);

struct certificate_kind;
struct ca_order;
struct ca_account {
    struct ca_node by_key;
    struct subject subject;
    uint32_t id;
    bool terms_agreed;
    struct key *key;
    struct str thumbprint; /* the key's, lives with the account */
    struct str binding;    /* externalAccountBinding as it was verified; empty: none */
    struct str terms;      /* those it agreed to: a text of the CA's; .at NULL: none */
    struct str *contacts;  /* one block with its texts */
    size_t n_contacts;
    struct ca_order *newest; /* of its orders */
    struct ca_authz *ahead;  /* the newest of its authorizations by newAuthz */
};

/* What came of an order. Made by finalize, shown once the order is valid. */
struct ca_certificate {
    struct ca_node by_serial;
    struct ca_order *order;
    struct str der, serial; /* of the leaf; as old as the CA */
    struct str spki;        /* its key, inside of der */
    int64_t not_before_ms, not_after_ms;
    int64_t revoked_ms;           /* 0: it is not */
    int reason;                   /* of the revocation: RFC 5280 section 5.3.1 */
    struct str renewal;           /* what is said of its renewal in place of the truth; .at NULL: the truth */
    struct ca_order *replaced_by; /* the last order that said so (RFC 9773 section 5); NULL: none */
};

struct ca_authz;
/* An order's place for one authorization, in the list of that authorization's orders. */
struct ca_link {
    struct ca_order *order;
    struct ca_authz *authz;
    struct ca_link *next;
};
struct ca_order {
    struct subject subject;
    uint32_t id;
    struct ca_account *account;
    struct ca_order *older; /* of the same account */
    int64_t expires_ms;
    int64_t not_before_ms, not_after_ms; /* as asked for; 0 = not */
    int64_t issue_ms;                    /* when a slow issuance ends; ACTOR_IDLE: none under way */
    struct ca_failure *error;
    const struct certificate_kind *kind; /* that it asked for; borrowed of the profile; NULL: none */
    struct ca_certificate *certificate;  /* NULL: not finalized */
    struct ca_certificate *replaces;     /* NULL: it says of none */
    uint32_t n_links;
    uint32_t n_waiting; /* authorizations that have not been valid yet */
    struct ca_link links[];
};

struct ca_validation;
struct ca_challenge {
    struct subject subject;
    enum challenge_type type;
    bool tried; /* the client has responded */
    struct ca_authz *authz;
    int64_t validated_ms;
    struct ca_failure *failures; /* oldest first */
    size_t n_failures;
    struct ca_validation *validation; /* NULL: never asked for, or over */
    char token[44];
};
struct ca_authz {
    struct ca_node by_name; /* in the store's `listed` while `is_listed` */
    struct subject subject;
    uint32_t id;
    bool wildcard, was_read, is_listed;
    struct ca_account *account;
    int64_t expires_ms;
    struct str name; /* without "*." */
    struct ca_link *orders;
    bool is_ahead; /* made, or asked for again, by newAuthz */
    struct ca_authz *older_ahead;
    size_t n_challenges;
    struct ca_challenge challenges[];
};

/* Someone whose reply is kept back until a query has ended. */
struct ca_held {
    struct ca_held *next;
    struct addr from;
    uint64_t flow;
    const struct reply *script; /* NULL: none */
    const struct fault *fault;  /* NULL: none */
};
/* The course of one challenge from its first response to its end: RFC 8555 section 8.2. */
struct ca_validation {
    int64_t next_query_ms; /* ACTOR_IDLE: none planned */
    int in_flight;         /* probes of the present query whose verdict is awaited */
    int remote_failures;   /* of the present query, from other perspectives than the first */
    int attempt;           /* queries begun */
    int retries;           /* of the schedule, used or planned */
    bool retry_planned;    /* next_query_ms is one of them */
    bool asked;
    int64_t asked_ms; /* last time the client asked for a retry */
    /* When the client last responded: the thumbprint of the account's key, which may change meanwhile, and the
     * account's URL as this client knows it, which owns its bytes. */
    char thumbprint[44];
    struct str account;
    struct ca_held *held;
};
/* A probe on its way. */
struct ca_probe {
    struct ca_node by_flow;
    uint64_t flow;
    struct ca_challenge *challenge;
    int attempt;     /* the query it belongs to */
    int perspective; /* from where: 0 is the first */
};

/* Objects in the order of their numbers. */
struct ca_list {
    void **at;
    size_t n, room;
};

struct ca_store {
    struct arena arena; /* objects, names, certificates: as old as the CA */
    struct ca_list accounts, orders, authzs;
    struct ca_list revoked; /* certificates, in the order of their revocation */
    struct ca_table by_key, by_serial, listed, probes;
    struct ca_nonces nonces;
};
void ca_store_done(struct ca_store *store);
void ca_validation_free(struct ca_validation *validation); /* with the replies that it keeps back; NULL: nothing */

struct ca_account *ca_account_new(struct ca_store *store, struct key *key); /* takes the key */
struct ca_account *ca_account_at(const struct ca_store *store, int64_t id); /* NULL: no such number */
struct ca_account *ca_account_by_thumbprint(const struct ca_store *store, struct str thumbprint);
/* Takes the new key, which no account has, and lets the old one go. */
void ca_account_rekey(struct ca_store *store, struct ca_account *account, struct key *key);
void ca_account_contacts(struct ca_account *account, const struct str *contacts, size_t n);

struct ca_order *ca_order_new(struct ca_store *store, struct ca_account *account, size_t n_links);
struct ca_order *ca_order_at(const struct ca_store *store, int64_t id);
/* Puts the authorization into place i of a new order. */
void ca_order_link(struct ca_order *order, size_t i, struct ca_authz *authz);

/* Of a new leaf; its DER is copied. NULL: it is none. */
struct ca_certificate *ca_certificate_new(struct ca_store *store, struct ca_order *order, struct str der);
struct ca_certificate *ca_certificate_by_serial(const struct ca_store *store, struct str serial);
void ca_certificate_revoke(struct ca_store *store, struct ca_certificate *certificate, int reason, int64_t now_ms);

struct ca_authz *ca_authz_new(struct ca_store *store, struct ca_account *account, struct str name, bool wildcard,
                              size_t n_challenges);
struct ca_authz *ca_authz_at(const struct ca_store *store, int64_t id);
/* Notes that newAuthz has shown this authorization to its account, and lists it. */
void ca_authz_ahead(struct ca_store *store, struct ca_authz *authz);
/* A valid authorization, or one of newAuthz, is found by its name until it is taken off the list: for later orders, and
 * for revocations. */
void ca_authz_list(struct ca_store *store, struct ca_authz *authz);
void ca_authz_unlist(struct ca_store *store, struct ca_authz *authz);
/* The next one of that account and name, newest first; `after` NULL: the first. */
struct ca_authz *ca_authz_listed(const struct ca_store *store, const struct ca_account *account, struct str name,
                                 bool wildcard, struct ca_authz *after);

void ca_probe_add(struct ca_store *store, uint64_t flow, struct ca_challenge *challenge, int attempt, int perspective);
/* Takes the probe out; false: no such flow. */
bool ca_probe_take(struct ca_store *store, uint64_t flow, struct ca_probe *ret);

#endif
