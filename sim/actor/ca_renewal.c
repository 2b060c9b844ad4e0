/* Renewal information: RFC 9773. When a certificate should be renewed, and which order renews it. */
#include "actor/ca_parts.h"
#include "base/when.h"

enum { REVOKED_BACK_MS = 3600 * 1000 };

/* Section 4.1: key identifier and serial, as the certificate has them. Our serials need no leading zero. */
struct str renewal_id(const struct ca *ca, struct arena *arena, const struct ca_certificate *certificate)
{
    return str_fmt(arena, "%.*s.%.*s", STR_ARGS(base64url(arena, issuer_key_id(ca->options.issuer))),
                   STR_ARGS(base64url(arena, certificate->serial)));
}

/* NULL: no certificate that anybody has seen. *ret_legal: the id has the form of one. */
static struct ca_certificate *certificate_of(const struct ca *ca, struct arena *arena, struct str id, bool *ret_legal)
{
    struct str head, tail, key_id, serial;
    *ret_legal = str_cut(id, '.', &head, &tail) && head.n && tail.n && !base64url_decode(arena, head, &key_id) &&
                 !base64url_decode(arena, tail, &serial);
    if (!*ret_legal || !str_eq(key_id, issuer_key_id(ca->options.issuer))) return NULL;
    struct ca_certificate *certificate = ca_certificate_by_serial(&ca->store, serial);
    return certificate && certificate->order->subject.status == STATUS_VALID ? certificate : NULL;
}

/* Section 4.2: the part of its lifetime that the profile says; what is revoked should have been renewed by now. */
static struct renewal_doc window_of(const struct ca *ca, struct arena *arena, const struct ca_certificate *certificate)
{
    const struct certificate_rules *rules = &ca->profile->certs;
    int64_t lifetime_ms = certificate->not_after_ms - certificate->not_before_ms;
    int64_t start_ms = certificate->not_before_ms + lifetime_ms / 100 * rules->renewal_from;
    int64_t end_ms = certificate->not_before_ms + lifetime_ms / 100 * rules->renewal_to;
    if (certificate->revoked_ms) {
        start_ms = certificate->revoked_ms - REVOKED_BACK_MS;
        end_ms = certificate->revoked_ms;
    }
    start_ms -= start_ms % 1000; /* whole seconds are shown, and the end must be later */
    if (end_ms < start_ms + 1000) end_ms = start_ms + 1000;
    return (struct renewal_doc){
        .start = when_rfc3339(arena, start_ms),
        .end = when_rfc3339(arena, end_ms),
        .explanation = rules->renewal_explanation,
    };
}

void renewal_get(struct visit *visit)
{
    const struct ca *ca = visit->ca;
    struct turn *turn = visit->turn;
    bool legal = false;
    visit->answer.no_nonce = true;
    if (visit_scripted(visit, REQUEST_RENEWAL_INFORMATION)) return;
    const struct ca_certificate *certificate = certificate_of(ca, turn->arena, visit->rest, &legal);
    if (!ca->profile->certs.renewal_to || (legal && !certificate)) {
        visit_not_found(visit, "certificate of ours");
        return;
    }
    if (!legal) {
        answer_refuse(&visit->answer, turn, 0, "malformed",
                      "the path does not end in a key identifier and a serial number, both in base64url, with a dot "
                      "between them");
        return;
    }
    struct renewal_doc doc = window_of(ca, turn->arena, certificate);
    answer_json(&visit->answer, 200, certificate->renewal.at ? certificate->renewal : renewal_write(turn->arena, &doc));
    visit->answer.retry_at_ms = turn->now_ms + ca_wait_ms(ca, ca->profile->certs.renewal_again_ms);
    visit->answer.retry_always = true;
}

/* Section 5. */
bool renewal_accepted(struct visit *visit, struct str replaces, struct ca_certificate **ret)
{
    struct turn *turn = visit->turn;
    bool legal = false;
    *ret = NULL;
    if (!replaces.n || !visit->ca->profile->certs.renewal_to) return true;
    struct ca_certificate *certificate = certificate_of(visit->ca, turn->arena, replaces, &legal);
    if (!certificate) {
        answer_refuse(&visit->answer, turn, 0, "malformed", "\"replaces\" names no certificate of ours");
        return false;
    }
    if (!visit_owns(visit, certificate->order->account)) return false;
    const struct ca_order *by = certificate->replaced_by;
    if (by && by->subject.status != STATUS_INVALID) {
        answer_refuse(&visit->answer, turn, 0, "alreadyReplaced", "%.*s replaces this certificate",
                      STR_ARGS(order_url(visit->ca, turn->arena, by)));
        return false;
    }
    *ret = certificate;
    return true;
}
