/* Change of an account's key: RFC 8555 section 7.3.5. The outer JWS, by the old key, was admitted as any other; inside
 * it is one by the new key. */
#include "actor/ca_parts.h"

/* The JWS inside, its form and its key; the key goes to visit->key. */
static bool inner_opened(struct visit *visit, struct jws *ret)
{
    struct turn *turn = visit->turn;
    struct ca_answer *answer = &visit->answer;
    struct problem problem = {0};
    struct str why = {0};
    if (jws_open_inside(turn->arena, JWS_NEW_KEY, visit->jws.payload, ret, &problem)) {
        answer_problem(answer, turn, &problem);
        return false;
    }
    enum err err = key_from_jwk(turn->arena, ret->jwk, visit->ca->options.sealing, &visit->key, &why);
    if (err == ERR_REFUSED) answer_refuse(answer, turn, 0, "badPublicKey", "the new key: %.*s", STR_ARGS(why));
    else if (err) answer_refuse(answer, turn, 0, "malformed", "the \"jwk\" of the inner JWS is not a JSON Web Key");
    return !err;
}

/* What the new key signed: this change, of this account, from this key. */
static bool inner_accepted(struct visit *visit, const struct jws *inner)
{
    struct turn *turn = visit->turn;
    struct ca_answer *answer = &visit->answer;
    struct key_change_doc doc = {0};
    if (!jws_verify(inner, visit->key)) {
        answer_refuse(
            answer, turn, 0, "malformed",
            "the signature of the inner JWS is not by the new key, which is its \"jwk\", or alg does not fit it");
        return false;
    }
    if (!str_eq(inner->url, visit->jws.url)) {
        answer_refuse(answer, turn, 0, "malformed", "the inner JWS is for \"%.*s\", the outer one for \"%.*s\"",
                      STR_ARGS(inner->url), STR_ARGS(visit->jws.url));
        return false;
    }
    if (key_change_read(turn->arena, inner->payload, &doc) || !doc.account.n || !doc.old_key.n) {
        answer_refuse(answer, turn, 0, "malformed",
                      "the payload of the inner JWS has no text \"account\" or no object \"oldKey\"");
        return false;
    }
    if (!str_eq(doc.account, visit->jws.kid)) {
        answer_refuse(answer, turn, 0, "malformed",
                      "the inner JWS changes the key of \"%.*s\", the outer one is signed by \"%.*s\"",
                      STR_ARGS(doc.account), STR_ARGS(visit->jws.kid));
        return false;
    }
    struct key *old = NULL;
    struct str why = {0};
    enum err err = key_from_jwk(turn->arena, doc.old_key, visit->ca->options.sealing, &old, &why);
    bool present = !err && key_same(old, visit->account->key);
    key_free(old);
    if (!present)
        answer_refuse(answer, turn, 0, "malformed", "\"oldKey\" is not the key that the account has at present");
    return present;
}

void key_change(struct visit *visit)
{
    struct ca *ca = visit->ca;
    struct turn *turn = visit->turn;
    struct jws inner = {0};
    if (visit_scripted(visit, REQUEST_CHANGE_KEY)) return;
    if (!inner_opened(visit, &inner) || !inner_accepted(visit, &inner)) return;
    const struct ca_account *other = ca_account_by_thumbprint(&ca->store, key_thumbprint(visit->key, turn->arena));
    if (other) {
        answer_header(&visit->answer, "Location", account_url(ca, turn->arena, other));
        answer_refuse(&visit->answer, turn, 409, "malformed", "the new key is the key of %s already",
                      other == visit->account ? "this account" : "another account");
        return;
    }
    ca_account_rekey(&ca->store, visit->account, visit->key);
    visit->key = NULL;
    account_answer(visit, visit->account, 200);
}
