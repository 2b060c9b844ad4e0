/* Revocation: RFC 8555 section 7.6. */
#include "actor/ca_parts.h"

#include <stdio.h>

/* The certificate that we made and that is the same octet by octet; NULL: none. */
static struct ca_certificate *certificate_of(const struct ca *ca, struct str der)
{
    struct certificate_id id;
    if (certificate_read(der, &id)) return NULL;
    struct ca_certificate *certificate = ca_certificate_by_serial(&ca->store, id.serial);
    return certificate && str_eq(certificate->der, der) ? certificate : NULL;
}

/* An account that proved control of every name may revoke, whoever ordered. */
static bool controls_all(const struct ca *ca, const struct ca_account *account, const struct ca_order *order)
{
    for (uint32_t i = 0; i < order->n_links; i++) {
        const struct ca_authz *authz = order->links[i].authz;
        struct ca_authz *own = NULL;
        do
            own = ca_authz_listed(&ca->store, account, authz->name, authz->wildcard, own);
        while (own && own->subject.status != STATUS_VALID);
        if (!own) return false;
    }
    return true;
}

static bool may_revoke(struct visit *visit, const struct ca_certificate *certificate)
{
    if (visit->account) {
        if (visit->account == certificate->order->account) return true;
        if (controls_all(visit->ca, visit->account, certificate->order)) return true;
        answer_refuse(&visit->answer, visit->turn, 403, "unauthorized",
                      "the account neither ordered the certificate nor is authorized for all of its names");
        return false;
    }
    if (str_eq(key_spki(visit->key, visit->turn->arena), certificate->spki)) return true;
    answer_refuse(&visit->answer, visit->turn, 403, "unauthorized",
                  "the key is not the certificate's; an account's key signs by \"kid\"");
    return false;
}

static bool reason_accepted(struct visit *visit, int64_t reason)
{
    unsigned allowed = visit->ca->profile->certs.revocation_reasons;
    if (reason < 0 || (reason < REASON_COUNT && allowed >> reason & 1)) return true;
    struct buf list = {.arena = visit->turn->arena};
    for (int i = 0; i < REASON_COUNT; i++)
        if (allowed >> i & 1) buf_fmt(&list, "%s%d", list.n ? ", " : "", i);
    answer_refuse(&visit->answer, visit->turn, 0, "badRevocationReason", "the reason %lld is not one of %.*s",
                  (long long)reason, STR_ARGS(buf_str(&list)));
    return false;
}

void revoke_post(struct visit *visit)
{
    struct ca *ca = visit->ca;
    struct turn *turn = visit->turn;
    struct str der = {0};
    int64_t reason = -1;
    if (visit_scripted(visit, REQUEST_REVOKE_CERTIFICATE)) return;
    if (revocation_read(turn->arena, visit->jws.payload, &der, &reason)) {
        answer_refuse(&visit->answer, turn, 0, "malformed",
                      "the payload is not {\"certificate\": \"...\", \"reason\": n} with base64url of DER inside");
        return;
    }
    struct ca_certificate *certificate = certificate_of(ca, der);
    if (!certificate || certificate->order->subject.status != STATUS_VALID) {
        visit_not_found(visit, "certificate of ours");
        return;
    }
    if (!may_revoke(visit, certificate) || !reason_accepted(visit, reason)) return;
    if (certificate->revoked_ms) {
        answer_refuse(&visit->answer, turn, 0, "alreadyRevoked", "the certificate was revoked before");
        return;
    }
    ca_certificate_revoke(&ca->store, certificate, reason < 0 ? 0 : (int)reason, turn->now_ms);
    turn_note(turn, "the certificate of %.*s is revoked, reason %d",
              STR_ARGS(order_url(ca, turn->arena, certificate->order)), certificate->reason);
    visit->answer.status = 200;
}
