/* Accounts: RFC 8555 sections 7.3 and 7.1.2. */
#include "actor/ca_parts.h"

enum { MAX_CONTACT = 320 };

struct str account_url(const struct ca *ca, struct arena *arena, const struct ca_account *account)
{
    return ca_url(ca, arena, "/account/%u", (unsigned)account->id);
}

void account_answer(struct visit *visit, const struct ca_account *account, int status)
{
    struct arena *arena = visit->turn->arena;
    struct str url = account_url(visit->ca, arena, account);
    struct account_doc doc = {
        .status = str_c(status_text(account->subject.status)),
        .terms_agreed = account->terms_agreed,
        .orders = str_fmt(arena, "%.*s/orders", STR_ARGS(url)),
        .binding = account->binding,
    };
    for (; doc.n_contacts < account->n_contacts; doc.n_contacts++)
        doc.contacts[doc.n_contacts] = account->contacts[doc.n_contacts];
    answer_header(&visit->answer, "Location", url);
    answer_json(&visit->answer, status, account_write(arena, &doc));
}

/* One plain address: no list, no header fields (section 7.3), printable, a domain of at least two labels. */
static bool address_legal(struct str address)
{
    struct str local, domain;
    if (address.n > MAX_CONTACT || !str_cut(address, '@', &local, &domain) || local.n == 0) return false;
    for (size_t i = 0; i < local.n; i++)
        if (local.at[i] <= ' ' || local.at[i] == 0x7f || local.at[i] == ',' || local.at[i] == '?') return false;
    bool wildcard = false;
    return name_legal(domain, &wildcard, NULL) && !wildcard;
}

static bool contacts_accepted(struct visit *visit, const struct account_doc *doc)
{
    for (size_t i = 0; i < doc->n_contacts; i++) {
        struct str contact = doc->contacts[i], scheme, address;
        if (!str_cut(contact, ':', &scheme, &address) || scheme.n == 0) {
            answer_refuse(&visit->answer, visit->turn, 0, "invalidContact", "the contact \"%.*s\" is not a URL",
                          STR_ARGS(contact));
            return false;
        }
        if (!str_is_nocase(scheme, "mailto")) {
            answer_refuse(&visit->answer, visit->turn, 0, "unsupportedContact",
                          "contacts of scheme \"%.*s\" are not supported, only mailto", STR_ARGS(scheme));
            return false;
        }
        if (!address_legal(address)) {
            answer_refuse(&visit->answer, visit->turn, 0, "invalidContact",
                          "the contact \"%.*s\" is not one plain mail address", STR_ARGS(contact));
            return false;
        }
    }
    return true;
}

static bool account_read_request(struct visit *visit, struct account_doc *ret)
{
    enum err err = account_read(visit->turn->arena, visit->jws.payload, ret);
    if (err)
        answer_refuse(&visit->answer, visit->turn, 0, "malformed",
                      "the payload is not an account object we can take: %s", err_text(err));
    return !err;
}

void account_create(struct visit *visit)
{
    struct ca *ca = visit->ca;
    struct turn *turn = visit->turn;
    struct account_doc doc = {0};
    if (visit_scripted(visit, REQUEST_NEW_ACCOUNT) || !account_read_request(visit, &doc)) return;

    struct ca_account *account = ca_account_by_thumbprint(&ca->store, key_thumbprint(visit->key, turn->arena));
    if (account) {
        visit->account = account;
        /* Section 7.3.1: whatever else the request says is ignored. */
        if (account->subject.status != STATUS_VALID)
            answer_refuse(&visit->answer, turn, 401, "unauthorized", "the account of this key is %s",
                          status_text(account->subject.status));
        else account_answer(visit, account, 200);
        return;
    }
    if (doc.only_return_existing) {
        answer_refuse(&visit->answer, turn, 0, "accountDoesNotExist", "this key has no account");
        return;
    }
    if (ca->profile->terms_required && !doc.terms_agreed) {
        terms_refuse(visit, "termsOfServiceAgreed must be true");
        return;
    }
    struct str binding;
    if (!contacts_accepted(visit, &doc) || !binding_accepted(visit, doc.binding, &binding) || !limit_account(visit))
        return;
    account = ca_account_new(&ca->store, visit->key);
    visit->key = NULL;
    visit->account = account;
    account->terms_agreed = doc.terms_agreed;
    if (doc.terms_agreed) account->terms = ca->terms;
    account->binding = str_copy(&ca->store.arena, binding);
    ca_account_contacts(account, doc.contacts, doc.n_contacts);
    turn_note_state(turn, object_text(OBJECT_ACCOUNT), account_url(ca, turn->arena, account), "created",
                    status_text(STATUS_NONE), status_text(account->subject.status));
    account_answer(visit, account, 201);
}

/* Section 7.3.6: what the account has not finished is cancelled. */
static void account_deactivate(struct visit *visit, struct ca_account *account)
{
    struct ca *ca = visit->ca;
    struct turn *turn = visit->turn;
    if (ca_move(ca, turn, &account->subject, account_url(ca, turn->arena, account), EV_DEACTIVATED)) {
        answer_refuse(&visit->answer, turn, 403, "unauthorized", "this authority deactivates no accounts");
        return;
    }
    for (struct ca_order *order = account->newest; order; order = order->older) {
        if (status_is_final(OBJECT_ORDER, order->subject.status)) continue;
        for (uint32_t i = 0; i < order->n_links; i++)
            (void)authz_end(ca, turn, order->links[i].authz, EV_DEACTIVATED);
    }
    for (struct ca_authz *authz = account->ahead; authz; authz = authz->older_ahead)
        (void)authz_end(ca, turn, authz, EV_DEACTIVATED);
    account_answer(visit, account, 200);
}

/* Section 7.3.2: only the contacts can be changed; "contact": [] removes them. Any status but "deactivated" is
 * overlooked. Agreement can be given again, to new terms (section 7.3.3), but not taken back. */
static bool account_update(struct visit *visit, struct ca_account *account, const struct account_doc *doc)
{
    if (!contacts_accepted(visit, doc)) return false;
    if (doc->has_contacts) ca_account_contacts(account, doc->contacts, doc->n_contacts);
    if (doc->terms_agreed && visit->ca->profile->terms_required) {
        account->terms_agreed = true;
        account->terms = visit->ca->terms;
    }
    return true;
}

void account_post(struct visit *visit)
{
    struct ca_account *account = ca_account_at(&visit->ca->store, visit->id);
    struct account_doc doc = {0};
    if (!account) {
        visit_not_found(visit, "account");
        return;
    }
    if (!visit_owns(visit, account) || visit_scripted(visit, REQUEST_ACCOUNT)) return;
    if (visit->jws.payload.n) {
        if (!account_read_request(visit, &doc)) return;
        if (str_is(doc.status, "deactivated")) {
            account_deactivate(visit, account);
            return;
        }
        if (!account_update(visit, account, &doc)) return;
    }
    account_answer(visit, account, 200);
}

/* Section 7.1.2.1: invalid orders are not in the list. */
static const struct ca_order *next_listed(const struct ca_order *order)
{
    while (order && order->subject.status == STATUS_INVALID)
        order = order->older;
    return order;
}

/* Newest first. A page begins at the order whose number is the cursor. */
void account_orders(struct visit *visit)
{
    struct ca *ca = visit->ca;
    struct arena *arena = visit->turn->arena;
    const struct ca_account *account = ca_account_at(&ca->store, visit->id);
    if (!account) {
        visit_not_found(visit, "list of orders");
        return;
    }
    if (!visit_owns(visit, account) || !visit_reads(visit) || visit_scripted(visit, REQUEST_ORDERS)) return;
    const struct ca_order *order = account->newest;
    if (visit->query.n) {
        int64_t from = 0;
        struct str number = {visit->query.at + 7, visit->query.n - 7};
        if (str_starts(visit->query, "cursor=") && str_int(number, &from)) order = ca_order_at(&ca->store, from);
        if (!from || !order || order->account != account) {
            visit_not_found(visit, "page of this list");
            return;
        }
    }
    struct buf buf = {.arena = arena};
    buf_add_c(&buf, "{\"orders\":[");
    order = next_listed(order);
    for (int i = 0; order && i < ca->profile->orders_per_page; i++, order = next_listed(order->older)) {
        if (i) buf_add_char(&buf, ',');
        buf_add_json(&buf, order_url(ca, arena, order));
    }
    buf_add_c(&buf, "]}");
    if (order)
        answer_header(&visit->answer, "Link",
                      str_fmt(arena, "<%.*s/orders?cursor=%u>;rel=\"next\"", STR_ARGS(account_url(ca, arena, account)),
                              (unsigned)order->id));
    answer_json(&visit->answer, 200, buf_str(&buf));
}
