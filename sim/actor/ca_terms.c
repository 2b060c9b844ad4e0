/* Terms of service: RFC 8555 sections 7.1.1, 7.3 and 7.3.3. An account has agreed to those that were there when it did.
 */
#include "actor/ca_parts.h"

struct str terms_url(const struct ca *ca, struct arena *arena)
{
    return ca_url(ca, arena, "/%.*s", STR_ARGS(ca->terms));
}

void terms_get(struct visit *visit)
{
    const struct ca *ca = visit->ca;
    if (!str_eq((struct str){visit->path.at + 1, visit->path.n - 1}, ca->terms)) {
        visit_not_found(visit, "resource");
        return;
    }
    visit->answer.status = 200;
    visit->answer.media = "text/plain";
    visit->answer.body = STR("Certificates from this authority are for rehearsals only.\n");
}

/* The page to be visited is that of the terms. */
void terms_refuse(struct visit *visit, const char *detail)
{
    struct turn *turn = visit->turn;
    struct str url = terms_url(visit->ca, turn->arena);
    struct problem problem = problem_new(turn->arena, "userActionRequired", "%s", detail);
    problem.instance = url;
    answer_header(&visit->answer, "Link", str_fmt(turn->arena, "<%.*s>;rel=\"terms-of-service\"", STR_ARGS(url)));
    answer_problem(&visit->answer, turn, &problem);
}

bool terms_accepted(struct visit *visit)
{
    const struct ca *ca = visit->ca;
    if (!ca->profile->terms_required || str_eq(visit->account->terms, ca->terms)) return true;
    terms_refuse(visit, "the terms of service have changed: post {\"termsOfServiceAgreed\": true} to the account");
    return false;
}
