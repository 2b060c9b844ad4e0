/* The way in: which resource, is the request admitted (RFC 8555 section 6), and then its handler. */
#include "actor/ca_parts.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_BODY = 256 * 1024 };

/* --- plain resources --- */
static void directory_get(struct visit *visit)
{
    if (visit_scripted(visit, REQUEST_DIRECTORY)) return;
    answer_json(&visit->answer, 200, visit->ca->directory);
    /* Section 6.5 wants a nonce in replies to POST; for others there is newNonce. */
    visit->answer.no_nonce = !str_is(visit->in->as.request.method, "POST");
}

static void nonce_get(struct visit *visit)
{
    if (visit_scripted(visit, REQUEST_NEW_NONCE)) {
        visit->answer.no_nonce = true;
        return;
    }
    /* Section 7.2: 200 for HEAD, 204 for GET, never from a cache. */
    visit->answer.status = str_is(visit->in->as.request.method, "HEAD") ? 200 : 204;
    answer_header(&visit->answer, "Cache-Control", STR("no-store"));
}

/* --- routes --- */
/* Who signs a POST; NOBODY: there is none. PLAIN is for relying parties: nothing is signed, plain HTTP will do, and a
 * POST is taken only where there is no GET. */
enum signer { SIGNER_NOBODY, SIGNER_PLAIN, SIGNER_NEW_KEY, SIGNER_ACCOUNT, SIGNER_EITHER };
struct route {
    const char *prefix;
    const char *suffix; /* after the number; NULL: any, into visit->rest */
    void (*handle)(struct visit *visit);
    enum signer signer;
    bool numbered; /* "/order/" and a number */
    bool get;      /* plain GET and HEAD are welcome, too */
};
static const struct route routes[] = {
    {"/dir",          "",          directory_get,  SIGNER_ACCOUNT, false, true },
    {"/nonce-plz",    "",          nonce_get,      SIGNER_ACCOUNT, false, true },
    {"/terms",        NULL,        terms_get,      SIGNER_NOBODY,  false, true },
    {"/rate-limits",  "",          limits_get,     SIGNER_NOBODY,  false, true },
    {"/new-account",  "",          account_create, SIGNER_NEW_KEY, false, false},
    {"/new-order",    "",          order_create,   SIGNER_ACCOUNT, false, false},
    {"/new-authz",    "",          authz_new,      SIGNER_ACCOUNT, false, false},
    {"/key-change",   "",          key_change,     SIGNER_ACCOUNT, false, false},
    {"/account/",     "",          account_post,   SIGNER_ACCOUNT, true,  false},
    {"/account/",     "/orders",   account_orders, SIGNER_ACCOUNT, true,  false},
    {"/order/",       "",          order_post,     SIGNER_ACCOUNT, true,  false},
    {"/order/",       "/finalize", cert_finalize,  SIGNER_ACCOUNT, true,  false},
    {"/authz/",       "",          authz_post,     SIGNER_ACCOUNT, true,  false},
    {"/challenge/",   NULL,        challenge_post, SIGNER_ACCOUNT, true,  false},
    {"/certificate/", NULL,        cert_post,      SIGNER_ACCOUNT, true,  false},
    {"/revoke-cert",  "",          revoke_post,    SIGNER_EITHER,  false, false},
    {"/renewal/",     NULL,        renewal_get,    SIGNER_NOBODY,  false, true },
    {"/ocsp",         "",          ocsp_post,      SIGNER_PLAIN,   false, false},
    {"/ocsp/",        NULL,        ocsp_get,       SIGNER_PLAIN,   false, true },
    {"/crl",          "",          crl_get,        SIGNER_PLAIN,   false, true },
    {"/issuer",       "",          issuer_get,     SIGNER_PLAIN,   false, true },
};

/* A number as we write it: no sign, no leading zero. */
static bool number_cut(struct str text, int64_t *ret, struct str *ret_rest)
{
    size_t n = 0;
    while (n < text.n && text.at[n] >= '0' && text.at[n] <= '9')
        n++;
    if (n == 0 || n > 10 || text.at[0] == '0' || !str_int((struct str){text.at, n}, ret)) return false;
    *ret_rest = (struct str){text.at + n, text.n - n};
    return true;
}

static bool route_matches(const struct route *route, struct str path, int64_t *ret_id, struct str *ret_rest)
{
    if (!str_starts(path, route->prefix)) return false;
    size_t n = str_c(route->prefix).n;
    struct str rest = {path.at + n, path.n - n};
    if (route->numbered && !number_cut(rest, ret_id, &rest)) return false;
    *ret_rest = rest;
    return !route->suffix || str_is(rest, route->suffix);
}

static const struct route *route_find(struct str path, int64_t *ret_id, struct str *ret_rest)
{
    for (size_t i = 0; i < COUNTOF(routes); i++)
        if (route_matches(&routes[i], path, ret_id, ret_rest)) return &routes[i];
    return NULL;
}

/* --- admission --- */
static bool is_jose(const struct headers *headers)
{
    struct str media, rest;
    str_cut(headers_get(headers, "Content-Type"), ';', &media, &rest);
    return str_is_nocase(str_trim(media), "application/jose+json");
}

/* "BASE/account/7" */
static struct ca_account *account_of_kid(const struct ca *ca, struct str kid)
{
    const struct str base = ca->base_url;
    struct str rest = {0};
    int64_t id;
    if (kid.n <= base.n || !str_eq((struct str){kid.at, base.n}, base)) return NULL;
    struct str path = {kid.at + base.n, kid.n - base.n};
    if (!str_starts(path, "/account/") || !number_cut((struct str){path.at + 9, path.n - 9}, &id, &rest) || rest.n)
        return NULL;
    return ca_account_at(&ca->store, id);
}

static bool admit_key(struct visit *visit, enum signer signer)
{
    struct turn *turn = visit->turn;
    struct ca_answer *answer = &visit->answer;
    if (signer == SIGNER_ACCOUNT || (signer == SIGNER_EITHER && visit->jws.kid.at)) {
        if (!visit->jws.kid.at) {
            answer_refuse(answer, turn, 0, "malformed",
                          "this request must name its account by \"kid\", not carry a \"jwk\"");
            return false;
        }
        visit->account = account_of_kid(visit->ca, visit->jws.kid);
        if (!visit->account)
            answer_refuse(answer, turn, 0, "accountDoesNotExist", "no account has the URL \"%.*s\"",
                          STR_ARGS(visit->jws.kid));
        return visit->account;
    }
    if (!visit->jws.jwk.at) {
        answer_refuse(answer, turn, 0, "malformed", "a newAccount request must carry its key as \"jwk\"");
        return false;
    }
    struct str why = {0};
    enum err err = key_from_jwk(turn->arena, visit->jws.jwk, visit->ca->options.sealing, &visit->key, &why);
    if (err == ERR_REFUSED) answer_refuse(answer, turn, 0, "badPublicKey", "%.*s", STR_ARGS(why));
    else if (err) answer_refuse(answer, turn, 0, "malformed", "the \"jwk\" in the header is not a JSON Web Key");
    return !err;
}

/* The profile's part of all good nonces, as evenly as it goes. */
static bool refuses_nonce(struct ca *ca)
{
    ca->nonces_due += ca->profile->refused_nonces;
    if (ca->nonces_due < 100) return false;
    ca->nonces_due -= 100;
    return true;
}

/* Sections 6.2 to 6.5. A nonce counts as used from the moment it was read, whatever becomes of the request. */
static bool visit_admit(struct visit *visit, enum signer signer)
{
    struct turn *turn = visit->turn;
    struct ca_answer *answer = &visit->answer;
    const struct http_request *request = &visit->in->as.request;
    if (!is_jose(request->headers)) {
        answer_refuse(answer, turn, 415, "malformed", "the Content-Type of a POST must be application/jose+json");
        return false;
    }
    if (request->body.n > MAX_BODY) {
        answer_refuse(answer, turn, 413, "malformed", "the request is larger than %d bytes", (int)MAX_BODY);
        return false;
    }
    struct problem problem = {0};
    enum err err = jws_open(turn->arena, request->body, &visit->jws, &problem);
    if (err) {
        if (err != ERR_REFUSED)
            problem = problem_new(turn->arena, "malformed", "the body is no JWS: %s", err_text(err));
        answer_problem(answer, turn, &problem);
        return false;
    }
    if (!visit->jws.nonce.at) {
        answer_refuse(answer, turn, 0, "badNonce", "the JWS header has no nonce");
        return false;
    }
    if (!visit->jws.nonce_legal && visit->ca->profile->checks_nonce_form) {
        answer_refuse(answer, turn, 0, "malformed", "\"nonce\" in the protected header is not base64url");
        return false;
    }
    if (!ca_nonce_spend(&visit->ca->store.nonces, turn->arena, visit->jws.nonce)) {
        answer_refuse(answer, turn, 0, "badNonce", "the nonce \"%.*s\" is unknown, too old or was used before",
                      STR_ARGS(visit->jws.nonce));
        return false;
    }
    if (refuses_nonce(visit->ca)) {
        answer_refuse(answer, turn, 0, "badNonce",
                      "the nonce \"%.*s\" is good, and one of %d in a hundred refused here", STR_ARGS(visit->jws.nonce),
                      visit->ca->profile->refused_nonces);
        return false;
    }
    struct str url = ca_url(visit->ca, turn->arena, "%.*s", STR_ARGS(visit->path));
    if (visit->query.at) url = str_fmt(turn->arena, "%.*s?%.*s", STR_ARGS(url), STR_ARGS(visit->query));
    if (!str_eq(visit->jws.url, url)) {
        answer_refuse(answer, turn, 0, "unauthorized", "the JWS is for \"%.*s\" and was sent to \"%.*s\"",
                      STR_ARGS(visit->jws.url), STR_ARGS(url));
        return false;
    }
    if (!admit_key(visit, signer)) return false;
    if (!jws_verify(&visit->jws, visit->account ? visit->account->key : visit->key)) {
        answer_refuse(answer, turn, 0, "malformed",
                      "the signature of the JWS is not by this key, or alg does not fit it");
        return false;
    }
    if (visit->account && visit->account->subject.status != STATUS_VALID) {
        /* Section 7.3.6. */
        answer_refuse(answer, turn, 401, "unauthorized", "the account is %s",
                      status_text(visit->account->subject.status));
        return false;
    }
    return true;
}

/* The "resource" member of early drafts, which clients may have kept. */
static bool visit_strict(struct visit *visit)
{
    if (!visit->ca->profile->strict_payloads || !payload_has_resource(visit->jws.payload)) return true;
    answer_refuse(&visit->answer, visit->turn, 0, "malformed",
                  "the payload has a \"resource\" member, which RFC 8555 does not know");
    return false;
}

/* --- for handlers --- */
bool visit_scripted(struct visit *visit, enum request_name name)
{
    visit->name = name;
    visit->script = script_next(visit->ca, name);
    return script_refuses(visit->script, visit->turn, &visit->answer);
}

bool visit_reads(struct visit *visit)
{
    if (visit->jws.payload.n == 0) return true;
    answer_refuse(&visit->answer, visit->turn, 0, "malformed", "a POST-as-GET request has an empty payload");
    return false;
}

void visit_not_found(struct visit *visit, const char *what)
{
    answer_refuse(&visit->answer, visit->turn, 404, "malformed", "there is no such %s", what);
}

bool visit_owns(struct visit *visit, const struct ca_account *owner)
{
    if (visit->account == owner) return true;
    answer_refuse(&visit->answer, visit->turn, 403, "unauthorized", "this belongs to another account");
    return false;
}

enum err ca_move(struct ca *ca, struct turn *turn, struct subject *subject, struct str url, enum lifecycle_event event)
{
    enum status was = subject->status;
    enum err err = lifecycle_apply(&ca->profile->law, subject, event, &was);
    if (!err && subject->status != was)
        turn_note_state(turn, object_text(subject->object), url, lifecycle_event_text(event), status_text(was),
                        status_text(subject->status));
    return err;
}

void ca_move_or_error(struct ca *ca, struct turn *turn, struct subject *subject, struct str url,
                      enum lifecycle_event event)
{
    if (ca_move(ca, turn, subject, url, event)) (void)ca_move(ca, turn, subject, url, EV_ERROR);
}

/* --- ca.faults --- */
static void subject_name(struct fault_rule_subject *subject, const struct ca_authz *authz, struct arena *arena)
{
    if (subject->n_names == COUNTOF(subject->names)) return;
    subject->names[subject->n_names++] =
        authz->wildcard ? str_fmt(arena, "*.%.*s", STR_ARGS(authz->name)) : authz->name;
}

static void subject_order(struct fault_rule_subject *subject, const struct ca_order *order)
{
    if (subject->n_orders < COUNTOF(subject->orders)) subject->orders[subject->n_orders++] = (int)order->id;
}

/* Every rule counts every reply that concerns it, also when another rule acts. */
static const struct fault *fault_for(struct ca *ca, const struct fault_rule_subject *subject)
{
    const struct scenario *scenario = ca->options.scenario;
    const struct fault *fault = NULL;
    for (size_t i = 0; scenario && i < scenario->n_rules; i++) {
        const struct fault_rule *rule = &scenario->rules[i];
        if (!fault_rule_concerns(rule, subject)) continue;
        if (fault_rule_takes(rule, ++ca->concerned[i]) && !fault) fault = rule->fault;
    }
    return fault;
}

const struct fault *ca_connection_fault(struct actor *actor)
{
    return fault_for((struct ca *)actor, &(struct fault_rule_subject){.where = REQUEST_CONNECT});
}

static const struct fault *visit_fault(const struct visit *visit)
{
    struct fault_rule_subject subject = {.where = visit->name, .account = visit->account ? (int)visit->account->id : 0};
    if (visit->authz) subject_name(&subject, visit->authz, visit->turn->arena);
    if (visit->order) subject_order(&subject, visit->order);
    for (const struct ca_link *link = visit->authz ? visit->authz->orders : NULL; link; link = link->next)
        subject_order(&subject, link->order);
    for (uint32_t i = 0; visit->order && i < visit->order->n_links; i++)
        subject_name(&subject, visit->order->links[i].authz, visit->turn->arena);
    return fault_for(visit->ca, &subject);
}

/* --- one request --- */
static void visit_serve(struct visit *visit)
{
    struct turn *turn = visit->turn;
    const struct http_request *request = &visit->in->as.request;
    struct url url;
    struct str path, base = visit->ca->base_path;
    if (url_parse(request->url, &url)) {
        answer_refuse(&visit->answer, turn, 400, "malformed", "the request's URL is none");
        return;
    }
    bool has_query = str_cut(url.path, '?', &path, &visit->query);
    if (!has_query) visit->query = (struct str){0};
    bool below = path.n >= base.n && str_eq((struct str){path.at, base.n}, base);
    visit->path = below ? (struct str){path.at + base.n, path.n - base.n} : path;
    const struct route *route = below ? route_find(visit->path, &visit->id, &visit->rest) : NULL;
    /* Section 6.1: ACME is HTTPS; what relying parties ask for may not be. */
    if (!route || (route->signer != SIGNER_PLAIN && !str_is(url.scheme, "https"))) {
        visit_not_found(visit, "resource");
        return;
    }
    bool get = str_is(request->method, "GET") || str_is(request->method, "HEAD");
    bool post = str_is(request->method, "POST");
    bool posts = !route->get || route->signer > SIGNER_PLAIN;
    if (!(get && route->get) && !(post && posts)) {
        answer_header(&visit->answer, "Allow", str_c(!route->get ? "POST" : posts ? "GET, HEAD, POST" : "GET, HEAD"));
        answer_refuse(&visit->answer, turn, 405, "malformed", "the method %.*s is not for this resource%s",
                      STR_ARGS(request->method), get ? ": send a POST-as-GET" : "");
        return;
    }
    if (post && route->signer > SIGNER_PLAIN && (!visit_admit(visit, route->signer) || !visit_strict(visit))) return;
    route->handle(visit);
}

static void ca_serve(struct ca *ca, struct turn *turn, const struct msg *in)
{
    const struct fault *fault = ca->options.simulated ? ca_connection_fault(&ca->actor) : NULL;
    if (fault) {
        outbox_post(turn->out, MSG_RESPONSE, in->from, in->flow)->fault = fault;
        return;
    }
    if (ca->options.any_host) ca_follow(ca, in->as.request.url);
    struct visit visit = {.ca = ca, .turn = turn, .in = in, .name = REQUEST_ANY};
    visit_serve(&visit);
    key_free(visit.key);
    fault = visit_fault(&visit);
    if (visit.held) {
        visit.held->fault = fault;
        return;
    }
    if (str_is(in->as.request.method, "HEAD")) visit.answer.body = (struct str){0};
    answer_send(ca, turn, in->from, in->flow, &visit.answer, visit.script, fault);
}

/* --- time --- */
static void expire_due(struct ca *ca, struct turn *turn)
{
    for (const struct heap_item *top; (top = heap_peek(&ca->authz_ends));) {
        struct ca_authz *authz = top->what;
        bool over = status_is_final(OBJECT_AUTHZ, authz->subject.status);
        if (!over && top->due_ms > turn->now_ms) break;
        (void)heap_pop(&ca->authz_ends);
        if (!over) (void)authz_end(ca, turn, authz, EV_EXPIRED);
    }
    for (const struct heap_item *top; (top = heap_peek(&ca->order_ends));) {
        struct ca_order *order = top->what;
        bool over = status_is_final(OBJECT_ORDER, order->subject.status);
        if (!over && top->due_ms > turn->now_ms) break;
        (void)heap_pop(&ca->order_ends);
        if (over) continue;
        struct problem why = problem_new(turn->arena, "malformed", "the order expired before it was finalized");
        order_fail(ca, turn, order, EV_EXPIRED, &why);
    }
}

static void ca_catch_up(struct ca *ca, struct turn *turn)
{
    cert_issue_due(ca, turn);
    expire_due(ca, turn);
    challenge_query_due(ca, turn);
}

static void ca_step(struct actor *actor, struct turn *turn, const struct msg *in)
{
    struct ca *ca = (struct ca *)actor;
    ca_catch_up(ca, turn);
    if (!in) return;
    if (in->kind == MSG_REQUEST) ca_serve(ca, turn, in);
    else if (in->kind == MSG_VERDICT) challenge_verdict(ca, turn, in);
    ca_catch_up(ca, turn);
}

static int64_t earlier(int64_t due_ms, const struct heap *heap)
{
    const struct heap_item *top = heap_peek(heap);
    return top && top->due_ms < due_ms ? top->due_ms : due_ms;
}

static int64_t ca_next_due_ms(const struct actor *actor)
{
    const struct ca *ca = (const struct ca *)actor;
    int64_t due_ms = earlier(earlier(ACTOR_IDLE, &ca->queries), &ca->issues);
    return earlier(earlier(due_ms, &ca->authz_ends), &ca->order_ends);
}

static void ca_free(struct actor *actor)
{
    struct ca *ca = (struct ca *)actor;
    ca_empty(ca);
    arena_done(&ca->base);
    arena_done(&ca->arena);
    free(ca);
}

struct str ca_directory_url(const struct actor *actor)
{
    return ((const struct ca *)actor)->directory_url;
}

struct actor *ca_new(const struct ca_options *options)
{
    assert(options->profile && options->issuer);
    struct ca *ca = calloc(1, sizeof *ca);
    if (!ca) {
        fputs("acmedrill: out of memory\n", stderr);
        abort();
    }
    ca->actor = (struct actor){.name = "ca", .step = ca_step, .next_due_ms = ca_next_due_ms, .free = ca_free};
    ca->options = *options;

    ca_rebase(ca, options->base_url);
    ca_cast(ca, options->profile, options->scenario);
    return &ca->actor;
}
