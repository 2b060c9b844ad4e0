/* What a CA is made to be: where it is found, what its directory says, whose temperament it has; and what somebody
 * behind the curtain may do to a running one (ca.h). */
#include "actor/ca_parts.h"
#include "base/when.h"

#include <stdlib.h>
#include <string.h>

/* --- the base URL and the directory --- */
static void directory_make(struct ca *ca)
{
    const struct profile *profile = ca->profile;
    const struct certificate_rules *certs = &profile->certs;
    struct arena *arena = &ca->base;
    struct profile_doc kinds[PROFILE_MAX_KINDS];
    for (size_t i = 0; i < certs->n_kinds; i++)
        kinds[i] = (struct profile_doc){certs->kinds[i].name, certs->kinds[i].title};
    struct directory_doc doc = {
        .new_nonce = ca_url(ca, arena, "/nonce-plz"),
        .new_account = ca_url(ca, arena, "/new-account"),
        .new_order = ca_url(ca, arena, "/new-order"),
        .new_authz = profile->pre_authorization ? ca_url(ca, arena, "/new-authz") : (struct str){0},
        .revoke_cert = ca_url(ca, arena, "/revoke-cert"),
        .key_change = ca_url(ca, arena, "/key-change"),
        .renewal_info = certs->renewal_to ? ca_url(ca, arena, "/renewal") : (struct str){0},
        .terms = profile->terms_required ? terms_url(ca, arena) : (struct str){0},
        .caa_identities = profile->caa_identities,
        .n_caa_identities = profile->checks_caa ? profile->n_caa_identities : 0,
        .external_account_required = profile->external_account_required,
        .profiles = kinds,
        .n_profiles = certs->n_kinds,
    };
    ca->directory = directory_write(arena, &doc);
}

void ca_rebase(struct ca *ca, struct str base)
{
    struct arena arena = {0};
    struct url url;
    while (base.n && base.at[base.n - 1] == '/')
        base.n--;
    ca->base_url = str_copy(&arena, base);
    arena_done(&ca->base);
    ca->base = arena;
    ca->base_path = (struct str){0};
    if (!url_parse(ca->base_url, &url) && !str_is(url.path, "/")) ca->base_path = url.path;
    ca->directory_url = ca_url(ca, &ca->base, "/dir");
    if (ca->profile) directory_make(ca);
}

void ca_follow(struct ca *ca, struct str asked)
{
    struct url url;
    if (url_parse(asked, &url)) return;
    struct str base = {asked.at, asked.n - (str_ends(asked, url.path.at) ? url.path.n : 0)};
    if (!str_eq(base, ca->base_url)) ca_rebase(ca, base);
}

void ca_cast(struct ca *ca, const struct profile *profile, const struct scenario *scenario)
{
    ca->profile = ca->options.profile = profile;
    ca->options.scenario = scenario;
    ca->terms = profile->terms;
    memset(ca->cursors, 0, sizeof ca->cursors);
    memset(ca->concerned, 0, sizeof ca->concerned);
    ca->nonces_due = 0;
    directory_make(ca);
    bool own = scenario && scenario->n_challenges;
    ca->offered = own ? scenario->challenges : profile->challenges;
    ca->n_offered = own ? scenario->n_challenges : profile->n_challenges;
}

void ca_empty(struct ca *ca)
{
    ca_store_done(&ca->store);
    heap_done(&ca->queries);
    heap_done(&ca->issues);
    heap_done(&ca->authz_ends);
    heap_done(&ca->order_ends);
    free(ca->limits.buckets);
    ca->limits = (struct ca_table){0};
}

/* --- behind the curtain --- */
void ca_set_terms(struct actor *actor, struct str path)
{
    struct ca *ca = (struct ca *)actor;
    ca->terms = str_copy(&ca->arena, path);
    directory_make(ca);
}

void ca_play(struct actor *actor, const struct profile *profile, const struct scenario *scenario)
{
    struct ca *ca = (struct ca *)actor;
    ca_cast(ca, profile, scenario);
}

void ca_forget(struct actor *actor)
{
    struct ca *ca = (struct ca *)actor;
    ca_empty(ca);
    ca_cast(ca, ca->profile, ca->options.scenario);
}

bool ca_issued(const struct actor *actor, struct str serial, struct ca_issued *ret)
{
    const struct ca *ca = (const struct ca *)actor;
    const struct ca_certificate *certificate = ca_certificate_by_serial(&ca->store, serial);
    if (!certificate) return false;
    *ret = (struct ca_issued){certificate->der, certificate->revoked_ms, certificate->reason};
    return true;
}

bool ca_set_renewal(struct actor *actor, struct str serial, struct str text)
{
    struct ca *ca = (struct ca *)actor;
    struct ca_certificate *certificate = ca_certificate_by_serial(&ca->store, serial);
    if (certificate) certificate->renewal = str_copy(&ca->store.arena, text);
    return certificate;
}

static void add_member(struct buf *buf, const char *name, struct str text)
{
    buf_fmt(buf, ",\"%s\":", name);
    buf_add_json(buf, text);
}

static void add_status(struct buf *buf, const struct subject *subject)
{
    add_member(buf, "status", str_c(status_text(subject->status)));
}

static void add_begin(struct buf *buf, size_t i, const char *url_name, struct str url)
{
    buf_fmt(buf, "%s\n  {\"%s\":", i ? "," : "", url_name);
    buf_add_json(buf, url);
}

static void add_accounts(const struct ca *ca, struct buf *buf)
{
    for (size_t i = 0; i < ca->store.accounts.n; i++) {
        const struct ca_account *account = ca->store.accounts.at[i];
        add_begin(buf, i, "account", account_url(ca, buf->arena, account));
        add_status(buf, &account->subject);
        add_member(buf, "thumbprint", account->thumbprint);
        buf_add_char(buf, '}');
    }
}

static void add_orders(const struct ca *ca, struct buf *buf)
{
    for (size_t i = 0; i < ca->store.orders.n; i++) {
        const struct ca_order *order = ca->store.orders.at[i];
        add_begin(buf, i, "order", order_url(ca, buf->arena, order));
        add_status(buf, &order->subject);
        add_member(buf, "account", account_url(ca, buf->arena, order->account));
        add_member(buf, "expires", when_rfc3339(buf->arena, order->expires_ms));
        buf_add_c(buf, ",\"authorizations\":[");
        for (uint32_t k = 0; k < order->n_links; k++) {
            if (k) buf_add_char(buf, ',');
            buf_add_json(buf, authz_url(ca, buf->arena, order->links[k].authz));
        }
        buf_add_c(buf, "]}");
    }
}

static void add_authzs(const struct ca *ca, struct buf *buf)
{
    for (size_t i = 0; i < ca->store.authzs.n; i++) {
        const struct ca_authz *authz = ca->store.authzs.at[i];
        add_begin(buf, i, "authorization", authz_url(ca, buf->arena, authz));
        add_status(buf, &authz->subject);
        add_member(buf, "name", authz->name);
        add_member(buf, "expires", when_rfc3339(buf->arena, authz->expires_ms));
        buf_add_c(buf, ",\"challenges\":{");
        for (size_t k = 0; k < authz->n_challenges; k++) {
            const struct ca_challenge *challenge = &authz->challenges[k];
            if (k) buf_add_char(buf, ',');
            buf_add_json(buf, str_c(challenge_row(challenge->type)->name));
            buf_add_char(buf, ':');
            buf_add_json(buf, str_c(status_text(challenge->subject.status)));
        }
        buf_add_c(buf, "}}");
    }
}

struct str ca_state(const struct actor *actor, struct arena *arena)
{
    const struct ca *ca = (const struct ca *)actor;
    struct buf buf = {.arena = arena};
    buf_add_c(&buf, "{\"accounts\":[");
    add_accounts(ca, &buf);
    buf_add_c(&buf, "],\n \"orders\":[");
    add_orders(ca, &buf);
    buf_add_c(&buf, "],\n \"authorizations\":[");
    add_authzs(ca, &buf);
    buf_add_c(&buf, "]}\n");
    return buf_str(&buf);
}
