/* Finalize, issuance, download: RFC 8555 sections 7.4 and 7.4.2. */
#include "actor/ca_parts.h"

#include <stdlib.h>

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Section 7.4: the CSR names exactly what the order names. */
static bool names_equal(const struct ca_order *order, const struct csr *csr, struct arena *arena)
{
    if (csr->n_names != order->n_links) return false;
    struct str *names = ARENA_ARRAY(arena, struct str, order->n_links);
    for (uint32_t i = 0; i < order->n_links; i++) {
        const struct ca_authz *authz = order->links[i].authz;
        names[i] = authz->wildcard ? str_fmt(arena, "*.%.*s", STR_ARGS(authz->name)) : authz->name;
    }
    qsort(names, order->n_links, sizeof *names, by_text);
    for (uint32_t i = 0; i < order->n_links; i++)
        if (!str_eq(names[i], csr->names[i])) return false;
    return true;
}

static void cert_issued(struct ca *ca, struct turn *turn, struct ca_order *order)
{
    order->issue_ms = ACTOR_IDLE;
    ca_move_or_error(ca, turn, &order->subject, order_url(ca, turn->arena, order), EV_ISSUED);
}

/* Makes the certificate and keeps the leaf; what stands above it is the same for all. */
static enum err cert_make(struct visit *visit, struct ca_order *order, const struct csr *csr)
{
    struct ca *ca = visit->ca;
    struct turn *turn = visit->turn;
    int64_t from_ms = order->not_before_ms ? order->not_before_ms : turn->now_ms;
    int64_t to_ms = order->not_after_ms ? order->not_after_ms : from_ms + certificate_lifetime_ms(ca, order->kind);
    struct str der = {0};
    enum err err = issuer_issue(ca->options.issuer, turn->arena, csr, from_ms, to_ms, turn->rng, &der);
    if (err) return err;
    order->certificate = ca_certificate_new(&ca->store, order, der);
    if (!order->certificate) return ERR_CRYPTO;
    order->certificate->not_before_ms = from_ms;
    order->certificate->not_after_ms = to_ms;
    return OK;
}

/* The CSR is good and the order ready: everything from here on succeeds or ends the order. */
static void finalize_accepted(struct visit *visit, struct ca_order *order, const struct csr *csr)
{
    struct ca *ca = visit->ca;
    struct turn *turn = visit->turn;
    struct str url = order_url(ca, turn->arena, order);
    if (ca_move(ca, turn, &order->subject, url, EV_FINALIZE)) {
        answer_refuse(&visit->answer, turn, 0, "orderNotReady", "this authority's rules forbid to finalize the order");
        return;
    }
    enum err err = cert_make(visit, order, csr);
    if (err) {
        struct problem why = problem_new(turn->arena, "serverInternal", "no certificate was made: %s", err_text(err));
        order_fail(ca, turn, order, EV_ERROR, &why);
    } else if (ca->profile->issue_delay_ms > 0) {
        order->issue_ms = turn->now_ms + ca_wait_ms(ca, ca->profile->issue_delay_ms);
        heap_push(&ca->issues, order->issue_ms, order);
    } else {
        cert_issued(ca, turn, order);
    }
    order_answer(visit, order, 200);
}

void cert_finalize(struct visit *visit)
{
    struct turn *turn = visit->turn;
    struct ca_order *order = ca_order_at(&visit->ca->store, visit->id);
    if (!order) {
        visit_not_found(visit, "order");
        return;
    }
    visit->order = order;
    if (!visit_owns(visit, order->account) || visit_scripted(visit, REQUEST_FINALIZE)) return;
    struct str der = {0};
    if (finalize_read(turn->arena, visit->jws.payload, &der)) {
        answer_refuse(&visit->answer, turn, 0, "malformed",
                      "the payload is not {\"csr\": \"...\"} with base64url inside");
        return;
    }
    if (visit->ca->profile->law.to[OBJECT_ORDER][order->subject.status][EV_FINALIZE] == STATUS_NONE) {
        answer_refuse(&visit->answer, turn, 403, "orderNotReady", "the order is %s, not ready",
                      status_text(order->subject.status));
        return;
    }
    struct csr csr = {0};
    struct problem problem = {0};
    enum err err = csr_read(turn->arena, der, visit->ca->options.sealing, &csr, &problem);
    if (err) {
        if (err != ERR_REFUSED)
            problem = problem_new(turn->arena, "badCSR", "the CSR is no PKCS#10: %s", err_text(err));
        answer_problem(&visit->answer, turn, &problem);
        return;
    }
    if (csr.version && !visit->ca->profile->any_csr_version)
        answer_refuse(&visit->answer, turn, 0, "badCSR", "the version in the CSR is %d, and PKCS#10 has only 0",
                      csr.version);
    else if (!names_equal(order, &csr, turn->arena))
        answer_refuse(&visit->answer, turn, 0, "badCSR", "the names of the CSR are not those of the order");
    else if (ca_account_by_thumbprint(&visit->ca->store, key_thumbprint(csr.key, turn->arena)))
        answer_refuse(&visit->answer, turn, 0, "badCSR", "the key of the CSR is an account's"); /* section 11.1 */
    else if (limit_certificate(visit, order)) finalize_accepted(visit, order, &csr);
    csr_done(&csr);
}

void cert_issue_due(struct ca *ca, struct turn *turn)
{
    for (const struct heap_item *top; (top = heap_peek(&ca->issues)) && top->due_ms <= turn->now_ms;) {
        int64_t due_ms = top->due_ms;
        struct ca_order *order = heap_pop(&ca->issues);
        if (order->issue_ms == due_ms) cert_issued(ca, turn, order);
    }
}

/* "", "/1" ...: which of the chains. */
static bool chain_number(struct str rest, size_t *ret)
{
    int64_t number = 0;
    if (rest.n && (rest.n < 2 || rest.n > 3 || rest.at[0] != '/' || rest.at[1] == '0' ||
                   !str_int((struct str){rest.at + 1, rest.n - 1}, &number)))
        return false;
    *ret = (size_t)number;
    return true;
}

/* Section 7.4.2: the way from each chain to all others. */
static void link_alternates(struct visit *visit, const struct ca_order *order, size_t shown)
{
    struct arena *arena = visit->turn->arena;
    for (size_t i = 0; issuer_chain_pem(visit->ca->options.issuer, i).at; i++) {
        if (i == shown) continue;
        struct str rest = i ? str_fmt(arena, "/%zu", i) : STR("");
        struct str url = ca_url(visit->ca, arena, "/certificate/%u%.*s", (unsigned)order->id, STR_ARGS(rest));
        answer_header(&visit->answer, "Link", str_fmt(arena, "<%.*s>;rel=\"alternate\"", STR_ARGS(url)));
    }
}

void cert_post(struct visit *visit)
{
    struct ca_order *order = ca_order_at(&visit->ca->store, visit->id);
    size_t i;
    if (!order || order->subject.status != STATUS_VALID || !order->certificate || !chain_number(visit->rest, &i) ||
        !issuer_chain_pem(visit->ca->options.issuer, i).at) {
        visit_not_found(visit, "certificate");
        return;
    }
    visit->order = order;
    if (!visit_owns(visit, order->account) || !visit_reads(visit)) return;
    if (visit_scripted(visit, REQUEST_CERTIFICATE)) return;
    struct str leaf = certificate_pem(visit->turn->arena, order->certificate->der);
    struct str above = issuer_chain_pem(visit->ca->options.issuer, i);
    link_alternates(visit, order, i);
    visit->answer.status = 200;
    visit->answer.media = "application/pem-certificate-chain";
    visit->answer.body = str_fmt(visit->turn->arena, "%.*s%.*s", STR_ARGS(leaf), STR_ARGS(above));
}
