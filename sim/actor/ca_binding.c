/* Bindings to external accounts: RFC 8555 section 7.3.4. */
#include "actor/ca_parts.h"

static const struct external_account *external_account(const struct profile *profile, struct str kid)
{
    for (size_t i = 0; i < profile->n_external_accounts; i++)
        if (str_eq(profile->external_accounts[i].kid, kid)) return &profile->external_accounts[i];
    return NULL;
}

/* The payload is the key that signed the outer JWS, or whoever has seen a binding could use it again. */
static bool binds_key(const struct visit *visit, const struct jws *binding)
{
    struct key *key = NULL;
    struct str why = {0};
    if (key_from_jwk(visit->turn->arena, binding->payload, visit->ca->options.sealing, &key, &why)) return false;
    bool same = key_same(key, visit->key);
    key_free(key);
    return same;
}

static bool binding_verified(struct visit *visit, struct str json)
{
    struct turn *turn = visit->turn;
    struct ca_answer *answer = &visit->answer;
    struct jws binding = {0};
    struct problem problem = {0};
    if (jws_open_inside(turn->arena, JWS_BINDING, json, &binding, &problem)) {
        answer_problem(answer, turn, &problem);
        return false;
    }
    if (!str_eq(binding.url, visit->jws.url)) {
        answer_refuse(answer, turn, 0, "malformed",
                      "the external account binding is for \"%.*s\", the request for \"%.*s\"", STR_ARGS(binding.url),
                      STR_ARGS(visit->jws.url));
        return false;
    }
    const struct external_account *external = external_account(visit->ca->profile, binding.kid);
    if (!external) {
        answer_refuse(answer, turn, 0, "unauthorized", "no external account has the key identifier \"%.*s\"",
                      STR_ARGS(binding.kid));
        return false;
    }
    if (!jws_verify_mac(&binding, external->mac_key)) {
        answer_refuse(answer, turn, 0, "unauthorized",
                      "the MAC of the external account binding is not by the key of \"%.*s\"", STR_ARGS(binding.kid));
        return false;
    }
    if (!binds_key(visit, &binding)) {
        answer_refuse(answer, turn, 0, "malformed",
                      "the payload of the external account binding is not the \"jwk\" of the request");
        return false;
    }
    return true;
}

bool binding_accepted(struct visit *visit, struct str json, struct str *ret)
{
    const struct profile *profile = visit->ca->profile;
    *ret = (struct str){0};
    if (!json.n) {
        if (!profile->external_account_required) return true;
        answer_refuse(&visit->answer, visit->turn, 0, "externalAccountRequired",
                      "a new account needs an \"externalAccountBinding\"");
        return false;
    }
    /* A CA that knows no external accounts cannot verify a binding, and shows none. */
    if (!profile->external_account_required && profile->n_external_accounts == 0) return true;
    if (!binding_verified(visit, json)) return false;
    *ret = json;
    return true;
}
