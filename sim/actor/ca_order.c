/* Orders: RFC 8555 section 7.4, and how their authorizations move them (7.1.6). */
#include "acme/address.h"
#include "actor/ca_parts.h"
#include "base/when.h"

#include <ctype.h>

struct str order_url(const struct ca *ca, struct arena *arena, const struct ca_order *order)
{
    return ca_url(ca, arena, "/order/%u", (unsigned)order->id);
}

int64_t certificate_lifetime_ms(const struct ca *ca, const struct certificate_kind *kind)
{
    return kind ? kind->lifetime_ms : ca->profile->certificate_lifetime_ms;
}

void order_answer(struct visit *visit, struct ca_order *order, int status)
{
    const struct ca *ca = visit->ca;
    struct turn *turn = visit->turn;
    struct arena *arena = turn->arena;
    const struct reply *script = visit->script;
    bool claimed = script && script->order != STATUS_NONE;
    enum status shown = claimed ? script->order : order->subject.status;
    struct str url = order_url(ca, arena, order);

    struct order_doc doc = {
        .status = str_c(status_text(shown)),
        .expires = when_rfc3339(arena, order->expires_ms),
        .identifiers = ARENA_ARRAY(arena, struct identifier_doc, order->n_links),
        .n_identifiers = order->n_links,
        .authorizations = ARENA_ARRAY(arena, struct str, order->n_links),
        .n_authorizations = order->n_links,
        .finalize = str_fmt(arena, "%.*s/finalize", STR_ARGS(url)),
    };
    if (order->not_before_ms) doc.not_before = when_rfc3339(arena, order->not_before_ms);
    if (order->not_after_ms) doc.not_after = when_rfc3339(arena, order->not_after_ms);
    if (order->kind) doc.profile = order->kind->name;
    if (order->replaces) doc.replaces = renewal_id(ca, arena, order->replaces);
    for (uint32_t i = 0; i < order->n_links; i++) {
        const struct ca_authz *authz = order->links[i].authz;
        doc.identifiers[i] = authz_identifier(authz);
        if (authz->wildcard) doc.identifiers[i].value = str_fmt(arena, "*.%.*s", STR_ARGS(authz->name));
        doc.authorizations[i] = authz_url(ca, arena, authz);
    }
    if (shown == STATUS_VALID && order->subject.status == STATUS_VALID)
        doc.certificate = ca_url(ca, arena, "/certificate/%u", (unsigned)order->id);
    if (shown == STATUS_INVALID && ((order->error && ca->profile->order_shows_error) || claimed)) {
        doc.has_error = true;
        doc.error = order->error ? order->error->problem : script_problem(script, arena);
    }
    if (shown == STATUS_PROCESSING && ca->profile->retry_after_order_ms)
        visit->answer.retry_at_ms = turn->now_ms + ca_wait_ms(ca, ca->profile->retry_after_order_ms);
    answer_header(&visit->answer, "Location", url);
    answer_json(&visit->answer, claimed && script->status ? script->status : status, order_write(arena, &doc));
}

/* --- newOrder --- */
struct wish {
    struct str name; /* lower case, without "*."; or an address */
    bool wildcard;
};

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.at[i] < '0' || s.at[i] > '9') return false;
    return s.n > 0;
}

/* The same for an address: RFC 8738 section 3 has one way to write each. */
static const char *address_refused(const struct ca *ca, struct str text, struct arena *arena, struct wish *ret,
                                   const char **ret_type)
{
    enum challenge_type types[CHALLENGE_TYPE_COUNT];
    unsigned char octets[16];
    *ret_type = "malformed";
    if (!address_octets(text, octets)) return "this is no IP address";
    if (!address_canonical(text)) return "this is not how RFC 5952 and RFC 8738 write the address";
    *ret_type = "rejectedIdentifier";
    *ret = (struct wish){str_copy(arena, text), false};
    return authz_types(ca, text, false, types) ? NULL : "no challenge is offered that can prove control of an address";
}

static bool is_refused_name(const struct profile *profile, struct str name)
{
    for (size_t i = 0; i < profile->n_refused_names; i++) {
        struct str refused = profile->refused_names[i];
        bool ends = name.n >= refused.n && str_eq((struct str){name.at + name.n - refused.n, refused.n}, refused);
        if (ends && (name.n == refused.n || name.at[name.n - refused.n - 1] == '.')) return true;
    }
    return false;
}

/* Why this name gets no certificate; NULL: it may. *ret_type is the problem type. */
static const char *name_refused(const struct ca *ca, const struct identifier_doc *identifier, struct arena *arena,
                                struct wish *ret, const char **ret_type)
{
    struct str value = identifier->value;
    *ret_type = "unsupportedIdentifier";
    if (ca->profile->certs.ip_identifiers && str_is(identifier->type, "ip"))
        return address_refused(ca, value, arena, ret, ret_type);
    if (!str_is(identifier->type, "dns"))
        return ca->profile->certs.ip_identifiers ? "only identifiers of type \"dns\" and \"ip\" are supported"
                                                 : "only identifiers of type \"dns\" are supported";

    *ret_type = "malformed";
    if (value.n == 0 || value.n > 255) return "the name is empty or too long";
    char *lower = arena_copy(arena, value.at, value.n);
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if (c >= 0x80 || !(isalnum(c) || c == '-' || c == '.' || c == '*'))
            return "the name has a character that no DNS name in ASCII form has";
        lower[i] = (char)tolower(c);
    }
    *ret_type = "rejectedIdentifier";
    bool wildcard = false;
    struct str base = {0};
    if (!name_legal((struct str){lower, value.n}, &wildcard, &base)) return "this is no name of a host on the Internet";
    struct str last = base;
    for (struct str head, rest; str_cut(last, '.', &head, &rest);)
        last = rest;
    if (all_digits(last)) return "an address is not a name";
    if (is_refused_name(ca->profile, base)) return "no certificate is issued for this name";
    enum challenge_type types[CHALLENGE_TYPE_COUNT];
    if (authz_types(ca, base, wildcard, types) == 0)
        return "no challenge is offered that can prove control of a wildcard name";
    *ret = (struct wish){base, wildcard};
    return NULL;
}

/* Section 6.7.1: one subproblem for each refused name; of one kind: the whole is of that kind too. */
static void names_refused(struct visit *visit, struct problem *list, size_t n)
{
    struct problem problem = list[0];
    problem.identifier = (struct str){0};
    if (n > 1) {
        for (size_t i = 1; i < n; i++)
            if (!str_eq(list[i].type, problem.type)) problem = problem_new(visit->turn->arena, "malformed", "%s", "");
        problem.detail = str_fmt(visit->turn->arena, "%zu names of the order are refused", n);
    }
    problem.status = problem_status(problem.type);
    problem.subproblems = list;
    problem.n_subproblems = n;
    answer_problem(&visit->answer, visit->turn, &problem);
}

static bool names_accepted(struct visit *visit, const struct order_doc *doc, struct wish *wishes, size_t *ret_n)
{
    struct arena *arena = visit->turn->arena;
    struct problem *refused = ARENA_ARRAY(arena, struct problem, doc->n_identifiers);
    size_t n = 0, n_refused = 0;
    for (size_t i = 0; i < doc->n_identifiers; i++) {
        struct wish wish = {0};
        const char *type = NULL, *why = name_refused(visit->ca, &doc->identifiers[i], arena, &wish, &type);
        if (why) {
            refused[n_refused++] = (struct problem){
                .type = str_c(type),
                .identifier = str_is(str_c(type), "rejectedIdentifier") ? doc->identifiers[i].value : (struct str){0},
                .address = str_is(doc->identifiers[i].type, "ip"),
                .detail = str_fmt(arena, "\"%.*s\": %s", STR_ARGS(doc->identifiers[i].value), why),
            };
            continue;
        }
        bool twice = false;
        for (size_t k = 0; k < n && !twice; k++)
            twice = wishes[k].wildcard == wish.wildcard && str_eq(wishes[k].name, wish.name);
        if (!twice) wishes[n++] = wish;
    }
    *ret_n = n;
    if (n_refused == 0) return true;
    names_refused(visit, refused, n_refused);
    return false;
}

/* draft-ietf-acme-profiles section 4: only what the directory lists. A CA without the extension does not know the
 * member (section 7.4: it is ignored). */
static bool kind_accepted(struct visit *visit, struct str name, const struct certificate_kind **ret)
{
    const struct certificate_rules *rules = &visit->ca->profile->certs;
    *ret = NULL;
    if (!name.n || !rules->n_kinds) return true;
    for (size_t i = 0; i < rules->n_kinds && !*ret; i++)
        if (str_eq(rules->kinds[i].name, name)) *ret = &rules->kinds[i];
    if (!*ret)
        answer_refuse(&visit->answer, visit->turn, 0, "invalidProfile", "the directory lists no profile \"%.*s\"",
                      STR_ARGS(name));
    return *ret;
}

/* notBefore and notAfter: granted exactly or refused (section 7.4). */
static bool dates_accepted(struct visit *visit, const struct order_doc *doc, int64_t lifetime_ms, int64_t *ret_before,
                           int64_t *ret_after)
{
    *ret_before = *ret_after = 0;
    if ((doc->not_before.n && when_rfc3339_parse(doc->not_before, ret_before)) ||
        (doc->not_after.n && when_rfc3339_parse(doc->not_after, ret_after))) {
        answer_refuse(&visit->answer, visit->turn, 0, "malformed", "notBefore or notAfter is no date of RFC 3339");
        return false;
    }
    int64_t from = *ret_before ? *ret_before : visit->turn->now_ms;
    if (*ret_before < 0 || *ret_after < 0 || (*ret_after && (*ret_after <= from || *ret_after - from > lifetime_ms))) {
        answer_refuse(&visit->answer, visit->turn, 0, "malformed", "no certificate is issued for this time");
        return false;
    }
    return true;
}

static bool limit_wishes(struct visit *visit, const struct wish *wishes, size_t n)
{
    struct arena *arena = visit->turn->arena;
    struct str *names = ARENA_ARRAY(arena, struct str, n);
    for (size_t i = 0; i < n; i++)
        names[i] = wishes[i].wildcard ? str_fmt(arena, "*.%.*s", STR_ARGS(wishes[i].name)) : wishes[i].name;
    return limit_order(visit, names, n);
}

/* RFC 9773 section 5: an order that replaces a certificate has a name in common with it. */
static bool renews(struct visit *visit, const struct wish *wishes, size_t n, const struct ca_certificate *replaced)
{
    if (!replaced) return true;
    const struct ca_order *order = replaced->order;
    for (size_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < order->n_links; k++) {
            const struct ca_authz *authz = order->links[k].authz;
            if (authz->wildcard == wishes[i].wildcard && str_eq(authz->name, wishes[i].name)) return true;
        }
    answer_refuse(&visit->answer, visit->turn, 0, "malformed",
                  "the order has no identifier in common with the certificate that it replaces");
    return false;
}

static struct ca_authz *authz_for(struct visit *visit, const struct wish *wish)
{
    struct ca *ca = visit->ca;
    struct ca_authz *authz = NULL;
    do
        authz = ca_authz_listed(&ca->store, visit->account, wish->name, wish->wildcard, authz);
    while (authz && !authz->is_ahead && !ca->profile->reuses_authz);
    return authz ? authz : authz_create(ca, visit->turn, visit->account, wish->name, wish->wildcard);
}

void order_create(struct visit *visit)
{
    struct ca *ca = visit->ca;
    struct turn *turn = visit->turn;
    if (visit_scripted(visit, REQUEST_NEW_ORDER)) return;
    struct order_doc doc = {0};
    enum err err = order_read(turn->arena, visit->jws.payload, &doc);
    if (err) {
        answer_refuse(&visit->answer, turn, 0, "malformed", "the payload is not an order we can take: %s",
                      err_text(err));
        return;
    }
    if (doc.n_identifiers == 0 || doc.n_identifiers > RESOURCE_MAX_NAMES) {
        answer_refuse(&visit->answer, turn, 0, "malformed", "an order has 1 to %d identifiers",
                      (int)RESOURCE_MAX_NAMES);
        return;
    }
    struct wish *wishes = ARENA_ARRAY(turn->arena, struct wish, doc.n_identifiers);
    size_t n = 0;
    int64_t not_before_ms, not_after_ms;
    const struct certificate_kind *kind = NULL;
    struct ca_certificate *replaced = NULL;
    if (!names_accepted(visit, &doc, wishes, &n)) return;
    if (!kind_accepted(visit, doc.profile, &kind)) return;
    if (!dates_accepted(visit, &doc, certificate_lifetime_ms(ca, kind), &not_before_ms, &not_after_ms)) return;
    if (!renewal_accepted(visit, doc.replaces, &replaced) || !renews(visit, wishes, n, replaced)) return;
    if (!terms_accepted(visit) || !limit_wishes(visit, wishes, n)) return;

    struct ca_order *order = ca_order_new(&ca->store, visit->account, n);
    visit->order = order;
    order->expires_ms = turn->now_ms + ca->profile->order_lifetime_ms;
    heap_push(&ca->order_ends, order->expires_ms, order);
    order->not_before_ms = not_before_ms;
    order->not_after_ms = not_after_ms;
    order->kind = kind;
    order->replaces = replaced;
    if (replaced) replaced->replaced_by = order;
    for (size_t i = 0; i < n; i++) {
        struct ca_authz *authz = authz_for(visit, &wishes[i]);
        ca_order_link(order, i, authz);
        if (authz->subject.status != STATUS_VALID) order->n_waiting++;
    }
    turn_note_state(turn, object_text(OBJECT_ORDER), order_url(ca, turn->arena, order), "created",
                    status_text(STATUS_NONE), status_text(order->subject.status));
    if (order->n_waiting == 0)
        (void)ca_move(ca, turn, &order->subject, order_url(ca, turn->arena, order), EV_AUTHZS_VALID);
    order_answer(visit, order, 201);
}

void order_post(struct visit *visit)
{
    struct ca_order *order = ca_order_at(&visit->ca->store, visit->id);
    if (!order) {
        visit_not_found(visit, "order");
        return;
    }
    visit->name = REQUEST_POLL_ORDER;
    visit->order = order;
    if (!visit_owns(visit, order->account) || !visit_reads(visit)) return;
    bool waits = script_waits(visit->ca, REQUEST_POLL_ORDER, order->subject.status);
    if (!waits && visit_scripted(visit, REQUEST_POLL_ORDER)) return;
    order_answer(visit, order, 200);
}

/* --- newAuthz: section 7.4.1 --- */
void authz_new(struct visit *visit)
{
    struct ca *ca = visit->ca;
    struct turn *turn = visit->turn;
    struct identifier_doc identifier = {0};
    struct wish wish = {0};
    if (visit_scripted(visit, REQUEST_NEW_AUTHZ)) return;
    if (!ca->profile->pre_authorization) {
        visit_not_found(visit, "resource");
        return;
    }
    if (new_authz_read(turn->arena, visit->jws.payload, &identifier)) {
        answer_refuse(&visit->answer, turn, 0, "malformed", "the payload has no \"identifier\" with type and value");
        return;
    }
    const char *type = NULL, *why = name_refused(ca, &identifier, turn->arena, &wish, &type);
    if (!why && wish.wildcard) {
        type = "malformed";
        why = "a wildcard name is authorized in an order only";
    }
    if (why) {
        int status = str_is(str_c(type), "rejectedIdentifier") ? 403 : 0; /* section 7.4.1: unwilling */
        answer_refuse(&visit->answer, turn, status, type, "\"%.*s\": %s", STR_ARGS(identifier.value), why);
        return;
    }
    if (!terms_accepted(visit) || !limit_authz(visit, wish.name)) return;
    /* One that is pending or valid serves again, and from now on it serves orders. */
    struct ca_authz *authz = authz_for(visit, &wish);
    ca_authz_ahead(&ca->store, authz);
    answer_header(&visit->answer, "Location", authz_url(ca, turn->arena, authz));
    authz_answer(visit, authz);
    visit->answer.status = 201;
}

/* --- derived statuses --- */
void order_authz_valid(struct ca *ca, struct turn *turn, struct ca_order *order)
{
    if (order->n_waiting && --order->n_waiting == 0)
        (void)ca_move(ca, turn, &order->subject, order_url(ca, turn->arena, order), EV_AUTHZS_VALID);
}

void order_fail(struct ca *ca, struct turn *turn, struct ca_order *order, enum lifecycle_event event,
                const struct problem *why)
{
    if (status_is_final(OBJECT_ORDER, order->subject.status)) return;
    ca_move_or_error(ca, turn, &order->subject, order_url(ca, turn->arena, order), event);
    if (order->subject.status != STATUS_INVALID) return;
    order->issue_ms = ACTOR_IDLE;
    if (why && !order->error) order->error = ca_failure_new(why);
}

void order_authz_lost(struct ca *ca, struct turn *turn, struct ca_order *order, const struct ca_failure *why)
{
    struct problem problem = {0};
    if (why) problem = why->problem;
    problem.identifier = (struct str){0}; /* section 6.7.1: only subproblems have one */
    order_fail(ca, turn, order, EV_AUTHZ_LOST, why && ca->profile->order_shows_error ? &problem : NULL);
}
