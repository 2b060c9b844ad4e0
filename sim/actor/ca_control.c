/* What somebody behind the curtain may do to a running CA: see ca.h. */
#include "actor/ca_parts.h"
#include "base/when.h"

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
