/* From records to deeds. One walk over the history: a request is understood by what earlier replies handed out, a reply
 * by the request that it answers. */
#include "oracle/view.h"
#include "acme/address.h"
#include "acme/json.h"
#include "acme/x509.h"

#include <jansson.h>
#include <string.h>

/* A foreign validator may fetch one proof several times for one query (three at once, or from several
 * places). */
enum { SAME_QUERY_MS = 2000 };

/* --- what a URL or a token stands for --- */

struct place {
    struct str key;
    enum resource_kind resource;
    struct thing *thing;
};
struct places {
    struct place *at;
    size_t n, room; /* room: a power of two */
};

/* What only the walk knows of a thing. */
struct story {
    struct thing thing; /* first: a struct thing * of ours is a struct story * */
    bool read, issued;
    int64_t fetched_ms;              /* last fetch by a foreign validator; -1 = never */
    int64_t attempt, failed_attempt; /* the latest query of our own validator, and the latest that failed */
    struct showing {
        uint64_t seq;
        enum status status;
    } * shown; /* each change of status */
    size_t n_shown, shown_room;
    size_t n_errors; /* as last shown, and its text */
    struct str error_detail;
};

/* What a flow began with. */
struct flow {
    uint64_t id; /* 0: free */
    struct exchange *exchange;
    struct story *queried;
    int64_t attempt;
};
struct flows {
    struct flow *at;
    size_t n, room; /* room: a power of two */
};

struct walk {
    struct view *view;
    struct places urls, tokens;
    size_t facts_room, things_room;
    struct flows flows;
    struct str renewal_info; /* what the URL of renewal information begins with */
    bool has_probes;         /* the validator is ours: its probes are in the log */
    bool has_directory;
};

static uint64_t hash(struct str key)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (unsigned char)key.at[i]) * UINT64_C(1099511628211);
    return h;
}

static struct place *place_slot(struct places *places, struct str key)
{
    size_t mask = places->room - 1, i = (size_t)hash(key) & mask;
    while (places->at[i].key.at && !str_eq(places->at[i].key, key))
        i = (i + 1) & mask;
    return &places->at[i];
}

static struct place *place_find(struct places *places, struct str key)
{
    if (!places->room || !key.n) return NULL;
    struct place *place = place_slot(places, key);
    return place->key.at ? place : NULL;
}

/* The first meaning of a URL stays. */
static void place_put(struct walk *walk, struct places *places, struct str key, enum resource_kind resource,
                      struct thing *thing)
{
    if (!key.n) return;
    if (places->n * 2 >= places->room) {
        struct places grown = {.room = places->room ? places->room * 2 : 64, .n = places->n};
        grown.at = ARENA_ARRAY(&walk->view->arena, struct place, grown.room);
        for (size_t i = 0; i < places->room; i++)
            if (places->at[i].key.at) *place_slot(&grown, places->at[i].key) = places->at[i];
        *places = grown;
    }
    struct place *place = place_slot(places, key);
    if (place->key.at) return;
    *place = (struct place){str_copy(&walk->view->arena, key), resource, thing};
    places->n++;
}

static struct flow *flow_slot(const struct flows *flows, uint64_t id)
{
    size_t mask = flows->room - 1, i = (size_t)(id * UINT64_C(11400714819323198485) >> 32) & mask;
    while (flows->at[i].id && flows->at[i].id != id)
        i = (i + 1) & mask;
    return &flows->at[i];
}

/* NULL: nothing began so. */
static struct flow *flow_find(const struct flows *flows, uint64_t id)
{
    struct flow *flow = id && flows->room ? flow_slot(flows, id) : NULL;
    return flow && flow->id ? flow : NULL;
}

/* A flow that begins again is a new one. */
static struct flow *flow_begin(struct walk *walk, uint64_t id)
{
    struct flows *flows = &walk->flows;
    if (flows->n * 2 >= flows->room) {
        struct flows grown = {.room = flows->room ? flows->room * 2 : 64, .n = flows->n};
        grown.at = ARENA_ARRAY(&walk->view->arena, struct flow, grown.room);
        for (size_t i = 0; i < flows->room; i++)
            if (flows->at[i].id) *flow_slot(&grown, flows->at[i].id) = flows->at[i];
        *flows = grown;
    }
    struct flow *flow = flow_slot(flows, id);
    if (!flow->id) flows->n++;
    *flow = (struct flow){.id = id};
    return flow;
}

/* --- lists that grow in the arena --- */

static void *grown(struct arena *arena, const void *at, size_t n, size_t *room, size_t size)
{
    if (n < *room) return NULL;
    *room = *room ? *room * 2 : 32;
    void *more = arena_alloc(arena, *room * size);
    if (n) memcpy(more, at, n * size);
    return more;
}

static struct fact *fact_add(struct walk *walk, const struct event *event, enum deed deed, const struct thing *thing,
                             const struct exchange *exchange)
{
    struct view *view = walk->view;
    struct fact *more = grown(&view->arena, view->facts, view->n_facts, &walk->facts_room, sizeof *more);
    if (more) view->facts = more;
    struct fact *fact = &view->facts[view->n_facts++];
    *fact = (struct fact){.seq = event->seq,
                          .t_ms = event->t_ms,
                          .deed = deed,
                          .thing = thing,
                          .exchange = exchange,
                          .name = thing ? thing->name : (struct str){0}};
    return fact;
}

static struct thing *thing_new(struct walk *walk, enum object object, struct str url, struct thing *parent)
{
    static const enum resource_kind kinds[] = {[OBJECT_ACCOUNT] = RESOURCE_ACCOUNT,
                                               [OBJECT_ORDER] = RESOURCE_ORDER,
                                               [OBJECT_AUTHZ] = RESOURCE_AUTHZ,
                                               [OBJECT_CHALLENGE] = RESOURCE_CHALLENGE};
    struct view *view = walk->view;
    struct story *story = ARENA_NEW(&view->arena, struct story);
    struct thing **more = grown(&view->arena, view->things, view->n_things, &walk->things_room, sizeof(struct thing *));
    if (more) view->things = more;
    story->thing = (struct thing){.object = object, .url = str_copy(&view->arena, url), .parent = parent};
    story->fetched_ms = -1;
    view->things[view->n_things++] = &story->thing;
    place_put(walk, &walk->urls, url, kinds[object], &story->thing);
    return &story->thing;
}

/* The thing of this kind at that URL; a new one when nothing is known there. NULL: the URL means something else. */
static struct thing *thing_at(struct walk *walk, enum object object, struct str url, struct thing *parent)
{
    struct place *place = place_find(&walk->urls, url);
    if (!place) return thing_new(walk, object, url, parent);
    return place->thing && place->thing->object == object ? place->thing : NULL;
}

static void thing_show(struct walk *walk, const struct event *event, const struct exchange *exchange,
                       struct thing *thing, struct str status_word)
{
    enum status now = status_read(status_word), was = thing->status;
    if (now == STATUS_NONE || now == was) return;
    thing->status = now;
    struct story *story = (struct story *)thing;
    struct showing *more =
        grown(&walk->view->arena, story->shown, story->n_shown, &story->shown_room, sizeof *story->shown);
    if (more) story->shown = more;
    story->shown[story->n_shown++] = (struct showing){event->seq, now};
    if (was != STATUS_NONE) {
        struct fact *left = fact_add(walk, event, DEED_LEAVES, thing, exchange);
        left->was = was, left->now = now;
    }
    struct fact *became = fact_add(walk, event, DEED_BECOMES, thing, exchange);
    became->was = was, became->now = now;
}

/* --- replies --- */

/* Some servers give one token to all challenges of an authorization. */
static struct str token_key(struct walk *walk, struct str type, struct str token)
{
    return token.n ? str_fmt(&walk->view->arena, "%.*s %.*s", STR_ARGS(type), STR_ARGS(token)) : token;
}

static void learn_challenge(struct walk *walk, const struct event *event, const struct exchange *exchange,
                            struct thing *thing, const struct challenge_doc *doc)
{
    struct story *story = (struct story *)thing;
    enum challenge_type type;
    if (challenge_type_read(doc->type, &type)) thing->challenge_known = true, thing->type = type;
    if (!thing->token.n && doc->token.n) {
        thing->token = str_copy(&walk->view->arena, doc->token);
        place_put(walk, &walk->tokens, token_key(walk, doc->type, thing->token), RESOURCE_CHALLENGE, thing);
    }
    /* A foreign validator's failed query is known by the error that it leaves in the challenge. */
    size_t n_errors = !doc->has_error ? 0 : doc->error.n_subproblems ? doc->error.n_subproblems : 1;
    bool failed = n_errors > story->n_errors ||
                  (n_errors && n_errors == story->n_errors && !str_eq(doc->error.detail, story->error_detail));
    if (failed && !walk->has_probes) fact_add(walk, event, DEED_FAILS, thing, exchange);
    story->n_errors = n_errors;
    story->error_detail = doc->error.detail;
    thing_show(walk, event, exchange, thing, doc->status);
    fact_add(walk, event, DEED_REPORTS_CHALLENGE, thing, exchange);
}

static void learn_authz(struct walk *walk, const struct event *event, const struct exchange *exchange,
                        struct thing *authz, const struct authz_doc *doc)
{
    struct arena *arena = &walk->view->arena;
    if (!authz->name.n && doc->identifier.value.n)
        authz->name = str_fmt(arena, "%s%.*s", doc->wildcard ? "*." : "", STR_ARGS(doc->identifier.value));
    for (size_t i = 0; i < doc->n_challenges; i++) {
        const struct challenge_doc *challenge = &doc->challenges[i];
        if (!challenge->url.n) continue;
        struct place *known = place_find(&walk->tokens, token_key(walk, challenge->type, challenge->token));
        bool nameless = known && known->thing && !known->thing->url.n;
        if (nameless) {
            /* A validation was seen before the challenge itself. */
            known->thing->url = str_copy(arena, challenge->url);
            known->thing->parent = authz;
            place_put(walk, &walk->urls, known->thing->url, RESOURCE_CHALLENGE, known->thing);
        }
        struct thing *thing = thing_at(walk, OBJECT_CHALLENGE, challenge->url, authz);
        if (!thing) continue;
        thing->name = authz->name;
        learn_challenge(walk, event, exchange, thing, challenge);
    }
    thing_show(walk, event, exchange, authz, doc->status);
}

static void learn_order(struct walk *walk, const struct event *event, const struct exchange *exchange,
                        struct thing *order, const struct order_doc *doc)
{
    if (!order->name.n && doc->n_identifiers) order->name = str_copy(&walk->view->arena, doc->identifiers[0].value);
    place_put(walk, &walk->urls, doc->finalize, RESOURCE_FINALIZE, order);
    place_put(walk, &walk->urls, doc->certificate, RESOURCE_CERTIFICATE, order);
    for (size_t i = 0; i < doc->n_authorizations; i++)
        if (doc->authorizations[i].n) (void)thing_at(walk, OBJECT_AUTHZ, doc->authorizations[i], order);
    struct story *story = (struct story *)order;
    if (str_is(doc->status, "valid") && doc->certificate.n && !story->issued) {
        story->issued = true;
        fact_add(walk, event, DEED_ISSUES, order, exchange);
    }
    thing_show(walk, event, exchange, order, doc->status);
}

static void learn_directory(struct walk *walk, const struct exchange *exchange, struct str body)
{
    struct directory_doc doc;
    if (directory_read(&walk->view->arena, body, &doc) || !doc.new_nonce.n) return;
    place_put(walk, &walk->urls, exchange->url, RESOURCE_DIRECTORY, NULL);
    place_put(walk, &walk->urls, doc.new_nonce, RESOURCE_NEW_NONCE, NULL);
    place_put(walk, &walk->urls, doc.new_account, RESOURCE_NEW_ACCOUNT, NULL);
    place_put(walk, &walk->urls, doc.new_order, RESOURCE_NEW_ORDER, NULL);
    place_put(walk, &walk->urls, doc.new_authz, RESOURCE_NEW_AUTHZ, NULL);
    place_put(walk, &walk->urls, doc.revoke_cert, RESOURCE_REVOKE_CERT, NULL);
    place_put(walk, &walk->urls, doc.key_change, RESOURCE_KEY_CHANGE, NULL);
    place_put(walk, &walk->urls, doc.renewal_info, RESOURCE_OTHER, NULL);
    /* RFC 9773 section 4.1. */
    if (doc.renewal_info.n)
        walk->renewal_info = str_fmt(&walk->view->arena, "%.*s%s", STR_ARGS(doc.renewal_info),
                                     str_ends(doc.renewal_info, "/") ? "" : "/");
}

static void learn_account(struct walk *walk, const struct event *event, const struct exchange *exchange,
                          struct str body)
{
    struct account_doc doc;
    if (account_read(&walk->view->arena, body, &doc) || !doc.status.n) return;
    if (exchange->thing) {
        place_put(walk, &walk->urls, doc.orders, RESOURCE_ORDERS, exchange->thing);
        thing_show(walk, event, exchange, exchange->thing, doc.status);
    }
    fact_add(walk, event, DEED_REPORTS_ACCOUNT, exchange->thing, exchange);
}

static void learn_certificate(struct walk *walk, const struct event *event, const struct exchange *exchange,
                              struct str body)
{
    struct str alternate;
    struct chain_facts chain;
    if (chain_read(&walk->view->arena, body, &chain)) return;
    for (size_t i = 0; (alternate = headers_link(event_headers(event), "alternate", i)).n; i++)
        place_put(walk, &walk->urls, alternate, RESOURCE_CERTIFICATE, exchange->thing);
    fact_add(walk, event, DEED_REPORTS_CERTIFICATE, exchange->thing, exchange);
    fact_add(walk, event, DEED_GETS_CERTIFICATE, exchange->thing, exchange);
}

/* A reply of success: the object that it shows. */
static void learn_good(struct walk *walk, const struct event *event, struct exchange *exchange, struct str body)
{
    struct arena *arena = &walk->view->arena;
    struct str location = headers_get(event_headers(event), "Location");
    struct order_doc order;
    struct authz_doc authz;
    struct challenge_doc challenge;
    switch (exchange->resource) {
    case RESOURCE_UNKNOWN:
    case RESOURCE_DIRECTORY:
        if (str_is(exchange->method, "GET")) learn_directory(walk, exchange, body);
        break;
    case RESOURCE_NEW_ACCOUNT:
        if (location.n) exchange->thing = thing_at(walk, OBJECT_ACCOUNT, location, NULL);
        /* fall through */
    case RESOURCE_ACCOUNT: learn_account(walk, event, exchange, body); break;
    case RESOURCE_NEW_ORDER:
        if (location.n) exchange->thing = thing_at(walk, OBJECT_ORDER, location, NULL);
        /* fall through */
    case RESOURCE_ORDER:
    case RESOURCE_FINALIZE:
        if (order_read(arena, body, &order) || !order.status.n) break;
        if (exchange->thing) learn_order(walk, event, exchange, exchange->thing, &order);
        fact_add(walk, event, DEED_REPORTS_ORDER, exchange->thing, exchange);
        break;
    case RESOURCE_NEW_AUTHZ:
        if (location.n) exchange->thing = thing_at(walk, OBJECT_AUTHZ, location, NULL);
        /* fall through */
    case RESOURCE_AUTHZ:
        if (authz_read(arena, body, &authz) || !authz.status.n || !exchange->thing) break;
        learn_authz(walk, event, exchange, exchange->thing, &authz);
        fact_add(walk, event, DEED_REPORTS_AUTHZ, exchange->thing, exchange);
        break;
    case RESOURCE_CHALLENGE:
        if (challenge_read(arena, body, &challenge) || !challenge.status.n) break;
        learn_challenge(walk, event, exchange, exchange->thing, &challenge);
        break;
    case RESOURCE_CERTIFICATE: learn_certificate(walk, event, exchange, body); break;
    case RESOURCE_ORDERS:
        place_put(walk, &walk->urls, headers_link(event_headers(event), "next", 0), RESOURCE_ORDERS, exchange->thing);
        fact_add(walk, event, DEED_REPORTS_ORDERS, exchange->thing, exchange);
        break;
    case RESOURCE_RENEWAL_INFO: fact_add(walk, event, DEED_REPORTS_RENEWAL, NULL, exchange); break;
    case RESOURCE_REVOKE_CERT: fact_add(walk, event, DEED_REVOKED, NULL, exchange); break;
    case RESOURCE_KEY_CHANGE: fact_add(walk, event, DEED_KEY_CHANGED, NULL, exchange); break;
    case RESOURCE_NEW_NONCE:
    case RESOURCE_OTHER: break;
    }
}

static void read_retry_after(const struct walk *walk, const struct event *event, struct exchange *exchange)
{
    int64_t at_ms;
    const struct headers *headers = event_headers(event);
    int64_t epoch_ms = walk->view->epoch_ms;
    enum err e = retry_after_read(headers, epoch_ms + event->t_ms, &at_ms, &exchange->retry_after_is_date);
    exchange->has_retry_after = e != ERR_NOT_FOUND;
    exchange->retry_after_legal = e == OK;
    if (e == OK) exchange->retry_after_ms = at_ms - epoch_ms;
}

/* onlyReturnExisting (section 7.3.1) creates nothing, and accountDoesNotExist is its plain answer. */
static bool only_looks(struct arena *arena, struct str payload)
{
    struct account_doc doc;
    return account_read(arena, payload, &doc) == OK && doc.only_return_existing;
}

static bool is_answer_to_look(struct walk *walk, const struct exchange *exchange)
{
    return exchange->resource == RESOURCE_NEW_ACCOUNT && str_is(exchange->problem.type, "accountDoesNotExist") &&
           only_looks(&walk->view->arena, exchange->payload);
}

static void walk_response(struct walk *walk, const struct event *event)
{
    struct view *view = walk->view;
    struct flow *flow = flow_find(&walk->flows, event->flow);
    struct exchange *exchange = flow ? flow->exchange : NULL;
    if (!exchange || exchange->response) return;
    struct str body = event_text(event, F_BODY), delivery = event_text(event, F_DELIVERY);
    exchange->response = event;
    exchange->status = (int)event_int(event, F_STATUS);
    if (!exchange->status) return;
    read_retry_after(walk, event, exchange);
    bool whole = !delivery.n || str_is(delivery, delivery_text(DELIVER_SLOW));
    if (exchange->status >= 400) {
        exchange->has_problem = whole && body.n && problem_read(&view->arena, body, &exchange->problem) == OK;
        bool plain = is_answer_to_look(walk, exchange);
        fact_add(walk, event, plain ? DEED_FINDS_NO_ACCOUNT : DEED_REPORTS_ERROR, exchange->thing, exchange);
    } else if (exchange->status >= 200 && exchange->status < 300 && whole) {
        learn_good(walk, event, exchange, body);
    }
}

/* --- requests --- */

static struct str json_text(struct arena *arena, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value)) return (struct str){0};
    return str_copy(arena, (struct str){json_string_value(value), json_string_length(value)});
}

static struct str json_dump(struct arena *arena, const json_t *value)
{
    size_t n = value ? json_dumpb(value, NULL, 0, JSON_COMPACT) : 0;
    if (!n) return (struct str){0};
    char *at = arena_alloc(arena, n + 1);
    json_dumpb(value, at, n, JSON_COMPACT);
    return (struct str){at, n};
}

/* What is written on the envelope, whether or not it would be accepted. */
static void open_envelope(struct arena *arena, struct str body, struct exchange *exchange)
{
    json_t *root = json_read(body, 0);
    json_t *header = NULL;
    struct str text = json_text(arena, root, "protected"), payload = json_text(arena, root, "payload"), protected;
    if (!root || !text.n || base64url_decode(arena, text, &protected)) goto out;
    if (!(header = json_read(protected, 0))) goto out;
    if (base64url_decode(arena, payload, &exchange->payload)) goto out;
    exchange->is_jws = json_is_object(header);
    exchange->alg = json_text(arena, header, "alg");
    exchange->nonce = json_text(arena, header, "nonce");
    exchange->kid = json_text(arena, header, "kid");
    exchange->jws_url = json_text(arena, header, "url");
    exchange->jwk = json_dump(arena, json_object_get(header, "jwk"));
    exchange->post_as_get = exchange->is_jws && !exchange->payload.n;
out:
    json_decref(header);
    json_decref(root);
}

static void note_get(struct walk *walk, const struct event *event, const struct exchange *exchange)
{
    if (exchange->resource == RESOURCE_DIRECTORY) fact_add(walk, event, DEED_READS_DIRECTORY, NULL, exchange);
    if (exchange->resource == RESOURCE_NEW_NONCE) fact_add(walk, event, DEED_READS_NONCE, NULL, exchange);
    if (exchange->resource == RESOURCE_RENEWAL_INFO) fact_add(walk, event, DEED_READS_RENEWAL, NULL, exchange);
}

static void note_account_request(struct walk *walk, const struct event *event, const struct exchange *exchange)
{
    bool ends = deactivation_read(&walk->view->arena, exchange->payload);
    enum deed deed = exchange->post_as_get ? DEED_READS_ACCOUNT
                     : ends                ? DEED_DEACTIVATES_ACCOUNT
                                           : DEED_UPDATES_ACCOUNT;
    fact_add(walk, event, deed, exchange->thing, exchange);
}

static void note_new_order(struct walk *walk, const struct event *event, const struct exchange *exchange)
{
    struct order_doc doc;
    fact_add(walk, event, DEED_CREATES_ORDER, exchange->thing, exchange);
    if (order_read(&walk->view->arena, exchange->payload, &doc) == OK && doc.replaces.n)
        fact_add(walk, event, DEED_REPLACES_CERTIFICATE, exchange->thing, exchange);
}

static void note_authz_request(struct walk *walk, const struct event *event, const struct exchange *exchange)
{
    struct story *story = (struct story *)exchange->thing;
    if (exchange->post_as_get) {
        fact_add(walk, event, story->read ? DEED_POLLS_AUTHZ : DEED_READS_AUTHZ, exchange->thing, exchange);
        story->read = true;
    } else if (deactivation_read(&walk->view->arena, exchange->payload)) {
        fact_add(walk, event, DEED_DEACTIVATES_AUTHZ, exchange->thing, exchange);
    }
}

static void note_post(struct walk *walk, const struct event *event, const struct exchange *exchange)
{
    struct thing *thing = exchange->thing;
    switch (exchange->resource) {
    case RESOURCE_NEW_ACCOUNT:
        fact_add(walk, event,
                 only_looks(&walk->view->arena, exchange->payload) ? DEED_FINDS_ACCOUNT : DEED_CREATES_ACCOUNT, thing,
                 exchange);
        break;
    case RESOURCE_NEW_ORDER: note_new_order(walk, event, exchange); break;
    case RESOURCE_NEW_AUTHZ: fact_add(walk, event, DEED_CREATES_AUTHZ, thing, exchange); break;
    case RESOURCE_REVOKE_CERT: fact_add(walk, event, DEED_REVOKES_CERTIFICATE, thing, exchange); break;
    case RESOURCE_KEY_CHANGE: fact_add(walk, event, DEED_CHANGES_KEY, thing, exchange); break;
    case RESOURCE_ACCOUNT: note_account_request(walk, event, exchange); break;
    case RESOURCE_ORDERS: fact_add(walk, event, DEED_READS_ORDERS, thing, exchange); break;
    case RESOURCE_FINALIZE: fact_add(walk, event, DEED_FINALIZES, thing, exchange); break;
    case RESOURCE_CERTIFICATE: fact_add(walk, event, DEED_DOWNLOADS, thing, exchange); break;
    case RESOURCE_AUTHZ: note_authz_request(walk, event, exchange); break;
    case RESOURCE_CHALLENGE:
        fact_add(walk, event, exchange->post_as_get ? DEED_POLLS_CHALLENGE : DEED_ANSWERS, thing, exchange);
        break;
    case RESOURCE_ORDER:
        if (exchange->post_as_get) fact_add(walk, event, DEED_POLLS_ORDER, thing, exchange);
        break;
    case RESOURCE_UNKNOWN:
    case RESOURCE_DIRECTORY:
    case RESOURCE_NEW_NONCE:
    case RESOURCE_RENEWAL_INFO:
    case RESOURCE_OTHER: break;
    }
}

static void walk_acme_request(struct walk *walk, const struct event *event)
{
    struct view *view = walk->view;
    struct exchange *exchange = &view->exchanges[view->n_exchanges++];
    *exchange = (struct exchange){
        .request = event, .flow = event->flow, .url = event_text(event, F_URL), .method = event_text(event, F_METHOD)};
    if (event->flow) flow_begin(walk, event->flow)->exchange = exchange;
    bool get = !str_is(exchange->method, "POST");
    if (get && !walk->has_directory) {
        /* The directory's URL is the only one that a client knows by itself (section 7.1). */
        walk->has_directory = true;
        place_put(walk, &walk->urls, exchange->url, RESOURCE_DIRECTORY, NULL);
    }
    struct place *place = place_find(&walk->urls, exchange->url);
    if (place) exchange->resource = place->resource, exchange->thing = place->thing;
    else if (get && walk->renewal_info.n && str_starts(exchange->url, walk->renewal_info.at))
        exchange->resource = RESOURCE_RENEWAL_INFO;
    if (get) {
        note_get(walk, event, exchange);
        return;
    }
    open_envelope(&view->arena, event_text(event, F_BODY), exchange);
    if (exchange->is_jws) note_post(walk, event, exchange);
}

/* --- validation --- */

static struct thing *thing_of_token(struct walk *walk, struct str token, struct str type, struct str name)
{
    struct place *place = place_find(&walk->tokens, token_key(walk, type, token));
    if (place) return place->thing;
    struct thing *thing = thing_new(walk, OBJECT_CHALLENGE, (struct str){0}, NULL);
    thing->token = str_copy(&walk->view->arena, token);
    thing->name = str_copy(&walk->view->arena, name);
    thing->challenge_known = challenge_type_read(type, &thing->type);
    place_put(walk, &walk->tokens, token_key(walk, type, token), RESOURCE_CHALLENGE, thing);
    return thing;
}

static void walk_probe(struct walk *walk, const struct event *event)
{
    struct thing *thing =
        thing_of_token(walk, event_text(event, F_TOKEN), event_text(event, F_TYPE), event_text(event, F_NAME));
    struct story *story = (struct story *)thing;
    int64_t attempt = event_int(event, F_ATTEMPT);
    /* One query may be several probes, with one number. */
    if (attempt > story->attempt) fact_add(walk, event, DEED_VALIDATES, thing, NULL);
    story->attempt = attempt;
    if (!event->flow) return;
    struct flow *flow = flow_begin(walk, event->flow);
    flow->queried = story;
    flow->attempt = attempt;
}

static void walk_verdict(struct walk *walk, const struct event *event)
{
    struct flow *flow = flow_find(&walk->flows, event->flow);
    struct story *story = flow ? flow->queried : NULL;
    if (!story || event_int(event, F_OK) || flow->attempt <= story->failed_attempt) return;
    story->failed_attempt = flow->attempt;
    fact_add(walk, event, DEED_FAILS, &story->thing, NULL);
}

static void note_fetch(struct walk *walk, const struct event *event, struct thing *thing)
{
    struct story *story = (struct story *)thing;
    if (!thing) return;
    if (story->fetched_ms < 0 || event->t_ms - story->fetched_ms >= SAME_QUERY_MS)
        fact_add(walk, event, DEED_VALIDATES, thing, NULL);
    story->fetched_ms = event->t_ms;
}

static bool is_named(struct walk *walk, const struct thing *thing, struct str name)
{
    struct str own = thing->name;
    if (str_starts(own, "*.")) own = (struct str){own.at + 2, own.n - 2};
    return str_eq(own, name) || (address_canonical(own) && str_eq(address_reverse(&walk->view->arena, own), name));
}

/* The newest challenge of that type for that name: DNS and TLS queries carry no token. */
static struct thing *thing_of_name(struct walk *walk, enum challenge_type type, struct str name)
{
    for (size_t i = walk->view->n_things; i-- > 0;) {
        struct thing *thing = walk->view->things[i];
        if (thing->object == OBJECT_CHALLENGE && thing->challenge_known && thing->type == type &&
            thing->status != STATUS_NONE && is_named(walk, thing, name))
            return thing;
    }
    return NULL;
}

static void walk_fetch(struct walk *walk, const struct event *event)
{
    static const char well_known[] = "/.well-known/acme-challenge/", prefix[] = "_acme-challenge.";
    struct str name = event_text(event, F_NAME), url = event_text(event, F_URL);
    if (walk->has_probes) return;
    if (event->kind == WIRE_REQUEST) {
        ptrdiff_t at = str_find(url, well_known);
        if (at < 0) return;
        size_t skip = (size_t)at + sizeof well_known - 1;
        struct str token = {url.at + skip, url.n - skip};
        struct place *place =
            place_find(&walk->tokens, token_key(walk, str_c(challenge_row(CHALLENGE_HTTP_01)->name), token));
        if (place) note_fetch(walk, event, place->thing);
    } else if (event->kind == WIRE_TLS_HELLO) {
        note_fetch(walk, event, thing_of_name(walk, CHALLENGE_TLS_ALPN_01, name));
    } else if (str_is(event_text(event, F_TYPE), dns_type_text(DNS_TXT)) && str_starts(name, prefix)) {
        struct str rest = {name.at + sizeof prefix - 1, name.n - (sizeof prefix - 1)};
        note_fetch(walk, event, thing_of_name(walk, CHALLENGE_DNS_01, rest));
    }
}

/* --- the walk --- */

static void walk_event(struct walk *walk, const struct event *event)
{
    struct view *view = walk->view;
    switch (event->kind) {
    case RUN_START:
        view->mode = event_text(event, F_MODE);
        view->epoch_ms = event_int(event, F_EPOCH_MS);
        break;
    case RUN_END: view->end_text = event_text(event, F_TEXT); break;
    case WIRE_REQUEST:
        if (str_is(event_text(event, F_FROM), "client")) walk_acme_request(walk, event);
        else walk_fetch(walk, event);
        break;
    case WIRE_RESPONSE:
        if (str_is(event_text(event, F_TO), "client")) walk_response(walk, event);
        break;
    case WIRE_DNS_QUERY:
    case WIRE_TLS_HELLO: walk_fetch(walk, event); break;
    case WIRE_PROBE: walk_probe(walk, event); break;
    case WIRE_VERDICT: walk_verdict(walk, event); break;
    case WIRE_EXIT:
        if (!event_int(event, F_SUCCESS)) fact_add(walk, event, DEED_GIVES_UP, NULL, NULL);
        break;
    case WIRE_DNS_ANSWER:
    case WIRE_TLS_ANSWER:
    case WIRE_PROVISION:
    case STATE_CHANGE:
    case FAULT_APPLIED:
    case NOTE_TEXT:
    case EVENT_KIND_COUNT: break;
    }
}

void view_read(struct view *view, const struct history *history)
{
    *view = (struct view){.history = history};
    struct walk walk = {.view = view};
    size_t n_requests = 0;
    for (size_t i = 0; i < history->n; i++) {
        n_requests += history->at[i].kind == WIRE_REQUEST;
        walk.has_probes = walk.has_probes || history->at[i].kind == WIRE_PROBE;
    }
    view->exchanges = ARENA_ARRAY(&view->arena, struct exchange, n_requests + 1);
    for (size_t i = 0; i < history->n; i++)
        walk_event(&walk, &history->at[i]);
    if (history->n) view->end_ms = history->at[history->n - 1].t_ms;
}

void view_done(struct view *view)
{
    arena_done(&view->arena);
    *view = (struct view){0};
}

/* --- phrases --- */

static bool thing_fits(const struct thing *thing, const struct phrase *phrase)
{
    return phrase->any_challenge || (thing && thing->challenge_known && thing->type == phrase->type);
}

bool view_matches(const struct fact *fact, const struct phrase *phrase)
{
    if (fact->deed != phrase->deed) return false;
    if (phrase->name.n && !str_eq(phrase->name, fact->name)) return false;
    if (phrase->deed == DEED_BECOMES || phrase->deed == DEED_LEAVES) {
        enum status status = phrase->deed == DEED_BECOMES ? fact->now : fact->was;
        if (fact->thing->object != phrase->object || status != phrase->status) return false;
        return phrase->object != OBJECT_CHALLENGE || thing_fits(fact->thing, phrase);
    }
    return !phrase_typed(phrase) || thing_fits(fact->thing, phrase);
}

static bool is_kin(const struct thing *a, const struct thing *b)
{
    for (const struct thing *up = a; up; up = up->parent)
        if (up == b) return true;
    for (const struct thing *up = b; up; up = up->parent)
        if (up == a) return true;
    return false;
}

/* What the thing was shown as, up to that record. */
static enum status shown_at(const struct thing *thing, uint64_t seq)
{
    const struct story *story = (const struct story *)thing;
    size_t low = 0, high = story->n_shown;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (story->shown[middle].seq <= seq) low = middle + 1;
        else high = middle;
    }
    return low ? story->shown[low - 1].status : STATUS_NONE;
}

bool view_holds(const struct view *view, const struct fact *fact, const struct phrase *condition)
{
    for (size_t i = 0; i < view->n_things; i++) {
        const struct thing *thing = view->things[i];
        if (thing->object != condition->object || (fact->thing && !is_kin(fact->thing, thing))) continue;
        if (condition->object == OBJECT_CHALLENGE && !thing_fits(thing, condition)) continue;
        if (condition->name.n && !str_eq(condition->name, thing->name)) continue;
        if (shown_at(thing, fact->seq) == condition->status) return true;
    }
    return false;
}
