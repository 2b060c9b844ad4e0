/* What relying parties ask of a CA, without signature and over plain HTTP too: OCSP (RFC 6960), the CRL and the
 * issuer's certificate (RFC 5280). */
#include "acme/x509_status.h"
#include "actor/ca_parts.h"

static struct certificate_status status_of(const struct ca_certificate *certificate)
{
    return (struct certificate_status){
        .state = !certificate              ? CERTIFICATE_UNKNOWN
                 : certificate->revoked_ms ? CERTIFICATE_REVOKED
                                           : CERTIFICATE_GOOD,
        .serial = certificate ? certificate->serial : (struct str){0},
        .revoked_ms = certificate ? certificate->revoked_ms : 0,
        .reason = certificate ? certificate->reason : 0,
    };
}

static void answer_der(struct visit *visit, const char *media, enum err err, struct str der)
{
    if (err) {
        answer_refuse(&visit->answer, visit->turn, 0, "serverInternal", "no status was made: %s", err_text(err));
        return;
    }
    visit->answer.status = 200;
    visit->answer.media = media;
    visit->answer.body = der;
    visit->answer.no_nonce = true;
}

static int64_t valid_until_ms(const struct visit *visit)
{
    return visit->turn->now_ms + visit->ca->profile->certs.ocsp_lifetime_ms;
}

static void ocsp_answer(struct visit *visit, enum err read, struct str der)
{
    const struct ca *ca = visit->ca;
    struct arena *arena = visit->turn->arena;
    const struct issuer *issuer = ca->options.issuer;
    struct certificate_status statuses[OCSP_MAX_CERTIFICATES];
    struct ocsp_request *request = ARENA_NEW(arena, struct ocsp_request);
    struct str answer = {0};
    if (read || ocsp_request_read(issuer, arena, der, request)) {
        answer_der(visit, "application/ocsp-response", OK, ocsp_malformed());
        return;
    }
    for (size_t i = 0; i < request->n; i++) {
        const struct str serial = request->at[i].serial;
        statuses[i] = status_of(request->at[i].ours ? ca_certificate_by_serial(&ca->store, serial) : NULL);
    }
    enum err err =
        ocsp_response_write(issuer, arena, request, statuses, visit->turn->now_ms, valid_until_ms(visit), &answer);
    answer_der(visit, "application/ocsp-response", err, answer);
}

void ocsp_post(struct visit *visit)
{
    ocsp_answer(visit, OK, visit->in->as.request.body);
}

void ocsp_get(struct visit *visit)
{
    struct str der = {0};
    enum err err = ocsp_path_read(visit->turn->arena, visit->rest, &der);
    ocsp_answer(visit, err, der);
}

void crl_get(struct visit *visit)
{
    const struct ca_list *revoked = &visit->ca->store.revoked;
    struct arena *arena = visit->turn->arena;
    struct certificate_status *list = ARENA_ARRAY(arena, struct certificate_status, revoked->n);
    struct str der = {0};
    for (size_t i = 0; i < revoked->n; i++)
        list[i] = status_of(revoked->at[i]);
    enum err err =
        crl_write(visit->ca->options.issuer, arena, list, revoked->n, visit->turn->now_ms, valid_until_ms(visit), &der);
    answer_der(visit, "application/pkix-crl", err, der);
}

void issuer_get(struct visit *visit)
{
    answer_der(visit, "application/pkix-cert", OK, issuer_intermediate_der(visit->ca->options.issuer));
}
