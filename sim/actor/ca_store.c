#include "actor/ca_store.h"

#include "acme/x509.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *memory(size_t n)
{
    void *p = calloc(1, n);
    if (!p) {
        fputs("acmedrill: out of memory\n", stderr);
        abort();
    }
    return p;
}

/* --- hash table --- */
uint64_t ca_hash(uint64_t seed, struct str bytes)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ seed * UINT64_C(0x9e3779b97f4a7c15); /* FNV-1a */
    for (size_t i = 0; i < bytes.n; i++)
        h = (h ^ (unsigned char)bytes.at[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 29;
}

static void table_grow(struct ca_table *table)
{
    size_t room = table->n_buckets ? table->n_buckets * 2 : 64;
    struct ca_node **buckets = memory(room * sizeof(struct ca_node *));
    for (size_t i = 0; i < table->n_buckets; i++) {
        /* Reversed first, so that newest stays first in the new chains. */
        struct ca_node *reversed = NULL;
        for (struct ca_node *node = table->buckets[i], *next; node; node = next) {
            next = node->next;
            node->next = reversed;
            reversed = node;
        }
        for (struct ca_node *node = reversed, *next; node; node = next) {
            next = node->next;
            node->next = buckets[node->hash & (room - 1)];
            buckets[node->hash & (room - 1)] = node;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->n_buckets = room;
}

void ca_table_add(struct ca_table *table, struct ca_node *node, uint64_t hash)
{
    if (table->n == table->n_buckets) table_grow(table);
    struct ca_node **bucket = &table->buckets[hash & (table->n_buckets - 1)];
    *node = (struct ca_node){*bucket, hash};
    *bucket = node;
    table->n++;
}

void ca_table_remove(struct ca_table *table, struct ca_node *node)
{
    if (table->n_buckets == 0) return;
    for (struct ca_node **at = &table->buckets[node->hash & (table->n_buckets - 1)]; *at; at = &(*at)->next) {
        if (*at != node) continue;
        *at = node->next;
        table->n--;
        return;
    }
}

struct ca_node *ca_table_find(const struct ca_table *table, uint64_t hash, const struct ca_node *after)
{
    if (table->n_buckets == 0) return NULL;
    struct ca_node *node = after ? after->next : table->buckets[hash & (table->n_buckets - 1)];
    while (node && node->hash != hash)
        node = node->next;
    return node;
}

/* --- nonces --- */
enum { NONCE_BYTES = 16 };

static uint64_t nonce_tag(const struct ca_nonces *nonces, uint64_t number)
{
    uint64_t x = number * UINT64_C(0x9e3779b97f4a7c15) ^ nonces->key[1];
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27 ^ nonces->key[0]) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

struct str ca_nonce_make(struct ca_nonces *nonces, struct rng *rng, struct arena *arena)
{
    if (!nonces->spent) {
        nonces->key[0] = rng_u64(rng);
        nonces->key[1] = rng_u64(rng) | 1;
        nonces->spent = memory(CA_NONCE_WINDOW / 8);
    }
    uint64_t number = nonces->issued++;
    nonces->spent[number % CA_NONCE_WINDOW / 64] &= ~(UINT64_C(1) << number % 64);
    uint64_t halves[2] = {number ^ nonces->key[0], nonce_tag(nonces, number)};
    char bytes[NONCE_BYTES];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(halves[i / 8] >> 8 * (i % 8) & 0xff);
    return base64url(arena, (struct str){bytes, sizeof bytes});
}

bool ca_nonce_spend(struct ca_nonces *nonces, struct arena *arena, struct str nonce)
{
    struct str bytes;
    if (!nonces->spent || base64url_decode(arena, nonce, &bytes) || bytes.n != NONCE_BYTES) return false;
    uint64_t halves[2] = {0, 0};
    for (size_t i = 0; i < bytes.n; i++)
        halves[i / 8] |= (uint64_t)(unsigned char)bytes.at[i] << 8 * (i % 8);
    uint64_t number = halves[0] ^ nonces->key[0];
    if (number >= nonces->issued || nonces->issued - number > CA_NONCE_WINDOW) return false;
    if (halves[1] != nonce_tag(nonces, number)) return false;
    uint64_t bit = UINT64_C(1) << number % 64, *word = &nonces->spent[number % CA_NONCE_WINDOW / 64];
    if (*word & bit) return false;
    *word |= bit;
    return true;
}

/* --- failures --- */
static struct str put(char **at, struct str s)
{
    if (s.n == 0) return (struct str){0};
    char *start = *at;
    memcpy(start, s.at, s.n);
    *at += s.n;
    return (struct str){start, s.n};
}

struct ca_failure *ca_failure_new(const struct problem *problem)
{
    size_t n = problem->type.n + problem->detail.n + problem->identifier.n;
    struct ca_failure *failure = memory(sizeof *failure + n);
    char *at = (char *)(failure + 1);
    failure->problem.status = problem->status;
    failure->problem.type = put(&at, problem->type);
    failure->problem.detail = put(&at, problem->detail);
    failure->problem.identifier = put(&at, problem->identifier);
    failure->problem.address = problem->address;
    return failure;
}

void ca_failures_free(struct ca_failure *first)
{
    for (struct ca_failure *next; first; first = next) {
        next = first->next;
        free(first);
    }
}

/* --- lists --- */
static void list_add(struct ca_list *list, void *what)
{
    if (list->n == list->room) {
        list->room = list->room ? list->room * 2 : 64;
        list->at = realloc(list->at, list->room * sizeof(void *));
        if (!list->at) {
            fputs("acmedrill: out of memory\n", stderr);
            abort();
        }
    }
    list->at[list->n++] = what;
    assert(list->n < UINT32_MAX);
}

static void *list_at(const struct ca_list *list, int64_t id)
{
    return id >= 1 && (uint64_t)id <= list->n ? list->at[id - 1] : NULL;
}

/* --- accounts --- */
struct ca_account *ca_account_new(struct ca_store *store, struct key *key)
{
    struct ca_account *account = ARENA_NEW(&store->arena, struct ca_account);
    account->subject = lifecycle_born(OBJECT_ACCOUNT, STATUS_VALID);
    account->key = key;
    account->thumbprint = key_thumbprint(key, &store->arena);
    list_add(&store->accounts, account);
    account->id = (uint32_t)store->accounts.n;
    ca_table_add(&store->by_key, &account->by_key, ca_hash(0, account->thumbprint));
    return account;
}

struct ca_account *ca_account_at(const struct ca_store *store, int64_t id)
{
    return list_at(&store->accounts, id);
}

struct ca_account *ca_account_by_thumbprint(const struct ca_store *store, struct str thumbprint)
{
    uint64_t hash = ca_hash(0, thumbprint);
    struct ca_node *node = NULL;
    while ((node = ca_table_find(&store->by_key, hash, node))) {
        struct ca_account *account = (struct ca_account *)node; /* by_key is its first member */
        if (str_eq(account->thumbprint, thumbprint)) return account;
    }
    return NULL;
}

void ca_account_rekey(struct ca_store *store, struct ca_account *account, struct key *key)
{
    struct arena scratch = {0};
    struct str thumbprint = key_thumbprint(key, &scratch);
    assert(thumbprint.n == account->thumbprint.n);
    ca_table_remove(&store->by_key, &account->by_key);
    key_free(account->key);
    account->key = key;
    memcpy((char *)account->thumbprint.at, thumbprint.at, thumbprint.n);
    arena_done(&scratch);
    ca_table_add(&store->by_key, &account->by_key, ca_hash(0, account->thumbprint));
}

void ca_account_contacts(struct ca_account *account, const struct str *contacts, size_t n)
{
    free(account->contacts);
    account->contacts = NULL;
    account->n_contacts = n;
    if (n == 0) return;
    size_t bytes = n * sizeof *contacts;
    for (size_t i = 0; i < n; i++)
        bytes += contacts[i].n;
    account->contacts = memory(bytes);
    char *at = (char *)(account->contacts + n);
    for (size_t i = 0; i < n; i++)
        account->contacts[i] = put(&at, contacts[i]);
}

/* --- orders --- */
struct ca_order *ca_order_new(struct ca_store *store, struct ca_account *account, size_t n_links)
{
    struct ca_order *order = arena_alloc(&store->arena, sizeof *order + n_links * sizeof order->links[0]);
    order->subject = lifecycle_born(OBJECT_ORDER, STATUS_PENDING);
    order->account = account;
    order->older = account->newest;
    account->newest = order;
    order->issue_ms = INT64_MAX;
    order->n_links = (uint32_t)n_links;
    list_add(&store->orders, order);
    order->id = (uint32_t)store->orders.n;
    return order;
}

struct ca_order *ca_order_at(const struct ca_store *store, int64_t id)
{
    return list_at(&store->orders, id);
}

void ca_order_link(struct ca_order *order, size_t i, struct ca_authz *authz)
{
    assert(i < order->n_links);
    order->links[i] = (struct ca_link){order, authz, authz->orders};
    authz->orders = &order->links[i];
}

/* --- certificates --- */
struct ca_certificate *ca_certificate_new(struct ca_store *store, struct ca_order *order, struct str der)
{
    struct certificate_id id;
    struct str kept = str_copy(&store->arena, der);
    if (certificate_read(kept, &id)) return NULL;
    struct ca_certificate *certificate = ARENA_NEW(&store->arena, struct ca_certificate);
    certificate->order = order;
    certificate->der = kept;
    certificate->serial = id.serial;
    certificate->spki = id.spki;
    ca_table_add(&store->by_serial, &certificate->by_serial, ca_hash(0, id.serial));
    return certificate;
}

struct ca_certificate *ca_certificate_by_serial(const struct ca_store *store, struct str serial)
{
    uint64_t hash = ca_hash(0, serial);
    struct ca_node *node = NULL;
    while ((node = ca_table_find(&store->by_serial, hash, node))) {
        struct ca_certificate *certificate = (struct ca_certificate *)node; /* by_serial is its first member */
        if (str_eq(certificate->serial, serial)) return certificate;
    }
    return NULL;
}

void ca_certificate_revoke(struct ca_store *store, struct ca_certificate *certificate, int reason, int64_t now_ms)
{
    assert(!certificate->revoked_ms);
    certificate->revoked_ms = now_ms;
    certificate->reason = reason;
    list_add(&store->revoked, certificate);
}

/* --- authorizations --- */
struct ca_authz *ca_authz_new(struct ca_store *store, struct ca_account *account, struct str name, bool wildcard,
                              size_t n_challenges)
{
    size_t n = sizeof(struct ca_authz) + n_challenges * sizeof(struct ca_challenge);
    struct ca_authz *authz = arena_alloc(&store->arena, n + name.n);
    authz->subject = lifecycle_born(OBJECT_AUTHZ, STATUS_PENDING);
    authz->account = account;
    authz->wildcard = wildcard;
    char *at = (char *)authz + n;
    authz->name = put(&at, name);
    authz->n_challenges = n_challenges;
    list_add(&store->authzs, authz);
    authz->id = (uint32_t)store->authzs.n;
    return authz;
}

struct ca_authz *ca_authz_at(const struct ca_store *store, int64_t id)
{
    return list_at(&store->authzs, id);
}

static uint64_t authz_hash(const struct ca_account *account, struct str name, bool wildcard)
{
    return ca_hash((uint64_t)account->id << 1 | wildcard, name);
}

void ca_authz_list(struct ca_store *store, struct ca_authz *authz)
{
    if (authz->is_listed) return;
    authz->is_listed = true;
    ca_table_add(&store->listed, &authz->by_name, authz_hash(authz->account, authz->name, authz->wildcard));
}

void ca_authz_ahead(struct ca_store *store, struct ca_authz *authz)
{
    ca_authz_list(store, authz);
    if (authz->is_ahead) return;
    authz->is_ahead = true;
    authz->older_ahead = authz->account->ahead;
    authz->account->ahead = authz;
}

void ca_authz_unlist(struct ca_store *store, struct ca_authz *authz)
{
    if (!authz->is_listed) return;
    authz->is_listed = false;
    ca_table_remove(&store->listed, &authz->by_name);
}

struct ca_authz *ca_authz_listed(const struct ca_store *store, const struct ca_account *account, struct str name,
                                 bool wildcard, struct ca_authz *after)
{
    uint64_t hash = authz_hash(account, name, wildcard);
    struct ca_node *node = after ? &after->by_name : NULL;
    while ((node = ca_table_find(&store->listed, hash, node))) {
        struct ca_authz *authz = (struct ca_authz *)node; /* by_name is its first member */
        if (authz->account == account && authz->wildcard == wildcard && str_eq(authz->name, name)) return authz;
    }
    return NULL;
}

/* --- probes --- */
static uint64_t flow_hash(uint64_t flow)
{
    return flow * UINT64_C(0x9e3779b97f4a7c15) >> 16;
}

void ca_probe_add(struct ca_store *store, uint64_t flow, struct ca_challenge *challenge, int attempt, int perspective)
{
    struct ca_probe *probe = memory(sizeof *probe);
    probe->flow = flow;
    probe->challenge = challenge;
    probe->attempt = attempt;
    probe->perspective = perspective;
    ca_table_add(&store->probes, &probe->by_flow, flow_hash(flow));
}

bool ca_probe_take(struct ca_store *store, uint64_t flow, struct ca_probe *ret)
{
    struct ca_node *node = NULL;
    while ((node = ca_table_find(&store->probes, flow_hash(flow), node))) {
        struct ca_probe *probe = (struct ca_probe *)node; /* by_flow is its first member */
        if (probe->flow != flow) continue;
        *ret = *probe;
        ca_table_remove(&store->probes, node);
        free(probe);
        return true;
    }
    return false;
}

/* --- the end --- */
void ca_validation_free(struct ca_validation *validation)
{
    if (!validation) return;
    for (struct ca_held *held = validation->held, *next; held; held = next) {
        next = held->next;
        free(held);
    }
    free((char *)validation->account.at);
    free(validation);
}

void ca_store_done(struct ca_store *store)
{
    for (size_t i = 0; i < store->accounts.n; i++) {
        struct ca_account *account = store->accounts.at[i];
        key_free(account->key);
        free(account->contacts);
    }
    for (size_t i = 0; i < store->orders.n; i++)
        ca_failures_free(((struct ca_order *)store->orders.at[i])->error);
    for (size_t i = 0; i < store->authzs.n; i++) {
        struct ca_authz *authz = store->authzs.at[i];
        for (size_t k = 0; k < authz->n_challenges; k++) {
            ca_failures_free(authz->challenges[k].failures);
            ca_validation_free(authz->challenges[k].validation);
        }
    }
    for (size_t i = 0; i < store->probes.n_buckets; i++)
        for (struct ca_node *node = store->probes.buckets[i], *next; node; node = next) {
            next = node->next;
            free(node); /* by_flow is the first member of a probe */
        }
    free(store->accounts.at);
    free(store->orders.at);
    free(store->authzs.at);
    free(store->revoked.at);
    free(store->by_key.buckets);
    free(store->by_serial.buckets);
    free(store->listed.buckets);
    free(store->probes.buckets);
    free(store->nonces.spent);
    arena_done(&store->arena);
    *store = (struct ca_store){0};
}
