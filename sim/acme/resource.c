#include "acme/resource.h"
#include "acme/member.h"

static void write_flag(struct buf *buf, const char *key, bool flag)
{
    if (!flag) return;
    write_key(buf, key);
    buf_add_c(buf, "true");
}

static void write_texts(struct buf *buf, const char *key, const struct str *texts, size_t n)
{
    if (n == 0) return;
    write_key(buf, key);
    for (size_t i = 0; i < n; i++) {
        buf_add_char(buf, i ? ',' : '[');
        buf_add_json(buf, texts[i]);
    }
    buf_add_char(buf, ']');
}

/* A member whose value is JSON text already. */
static void write_json(struct buf *buf, const char *key, struct str json)
{
    if (json.n == 0) return;
    write_key(buf, key);
    buf_add(buf, json);
}

/* An object's JSON text, compact and otherwise as it was. */
static enum err read_json(struct arena *arena, const json_t *object, const char *key, struct str *ret)
{
    const json_t *value;
    enum err e = member_object(object, key, &value);
    if (e || !value) return e;
    size_t n = json_dumpb(value, NULL, 0, JSON_COMPACT);
    char *at = arena_alloc(arena, n + 1);
    json_dumpb(value, at, n, JSON_COMPACT);
    *ret = (struct str){at, n};
    return OK;
}

static void write_error(struct buf *buf, bool has_error, const struct problem *error)
{
    if (!has_error) return;
    write_key(buf, "error");
    buf_add(buf, problem_write(buf->arena, error));
}

/* Members that are plain texts or flags, by the place in the struct where they go. */
struct text_member {
    const char *key;
    struct str *at;
};

static enum err read_texts(struct arena *arena, const json_t *object, const struct text_member *members, size_t n)
{
    enum err e = OK;
    for (size_t i = 0; i < n && !e; i++)
        e = member_text(arena, object, members[i].key, members[i].at);
    return e;
}

/* --- directory (section 7.1.1) --- */
static void write_caa_identities(struct buf *buf, const struct directory_doc *doc)
{
    if (doc->n_caa_identities == 0) return;
    write_key(buf, "caaIdentities");
    for (size_t i = 0; i < doc->n_caa_identities; i++) {
        buf_add_char(buf, i ? ',' : '[');
        buf_add_json(buf, doc->caa_identities[i]);
    }
    buf_add_char(buf, ']');
}

static void write_profiles(struct buf *buf, const struct directory_doc *doc)
{
    if (doc->n_profiles == 0) return;
    write_key(buf, "profiles");
    for (size_t i = 0; i < doc->n_profiles; i++) {
        buf_add_char(buf, i ? ',' : '{');
        buf_add_json(buf, doc->profiles[i].name);
        buf_add_char(buf, ':');
        buf_add_json(buf, doc->profiles[i].title);
    }
    buf_add_char(buf, '}');
}

struct str directory_write(struct arena *arena, const struct directory_doc *doc)
{
    struct buf buf = {.arena = arena};
    buf_add_char(&buf, '{');
    write_text(&buf, "newNonce", doc->new_nonce);
    write_text(&buf, "newAccount", doc->new_account);
    write_text(&buf, "newOrder", doc->new_order);
    write_text(&buf, "newAuthz", doc->new_authz);
    write_text(&buf, "revokeCert", doc->revoke_cert);
    write_text(&buf, "keyChange", doc->key_change);
    write_text(&buf, "renewalInfo", doc->renewal_info);
    if (doc->terms.n || doc->website.n || doc->n_caa_identities || doc->external_account_required || doc->n_profiles) {
        write_key(&buf, "meta");
        buf_add_char(&buf, '{');
        write_text(&buf, "termsOfService", doc->terms);
        write_text(&buf, "website", doc->website);
        write_caa_identities(&buf, doc);
        write_flag(&buf, "externalAccountRequired", doc->external_account_required);
        write_profiles(&buf, doc);
        buf_add_char(&buf, '}');
    }
    buf_add_char(&buf, '}');
    return buf_str(&buf);
}

static enum err read_directory(struct arena *arena, const json_t *object, struct directory_doc *ret)
{
    const json_t *meta;
    const struct text_member urls[] = {
        {"newNonce",    &ret->new_nonce   },
        {"newAccount",  &ret->new_account },
        {"newOrder",    &ret->new_order   },
        {"newAuthz",    &ret->new_authz   },
        {"revokeCert",  &ret->revoke_cert },
        {"keyChange",   &ret->key_change  },
        {"renewalInfo", &ret->renewal_info},
    };
    enum err e = read_texts(arena, object, urls, COUNTOF(urls));
    if (e || (e = member_object(object, "meta", &meta)) || !meta) return e;
    if ((e = member_text(arena, meta, "termsOfService", &ret->terms))) return e;
    if ((e = member_text(arena, meta, "website", &ret->website))) return e;
    return member_bool(meta, "externalAccountRequired", &ret->external_account_required);
}

enum err directory_read(struct arena *arena, struct str json, struct directory_doc *ret)
{
    json_t *root;
    struct directory_doc doc = {0};
    enum err e = member_open(json, &root);
    if (e) return e;
    e = read_directory(arena, root, &doc);
    json_decref(root);
    if (!e) *ret = doc;
    return e;
}

/* --- account (sections 7.1.2, 7.3) --- */
struct str account_write(struct arena *arena, const struct account_doc *doc)
{
    struct buf buf = {.arena = arena};
    buf_add_char(&buf, '{');
    write_text(&buf, "status", doc->status);
    write_texts(&buf, "contact", doc->contacts, doc->n_contacts);
    write_flag(&buf, "termsOfServiceAgreed", doc->terms_agreed);
    write_text(&buf, "orders", doc->orders);
    write_json(&buf, "externalAccountBinding", doc->binding);
    buf_add_char(&buf, '}');
    return buf_str(&buf);
}

struct str account_request(struct arena *arena, const struct account_doc *doc)
{
    struct buf buf = {.arena = arena};
    buf_add_char(&buf, '{');
    write_texts(&buf, "contact", doc->contacts, doc->n_contacts);
    write_flag(&buf, "termsOfServiceAgreed", doc->terms_agreed);
    write_flag(&buf, "onlyReturnExisting", doc->only_return_existing);
    write_json(&buf, "externalAccountBinding", doc->binding);
    buf_add_char(&buf, '}');
    return buf_str(&buf);
}

static enum err read_account(struct arena *arena, const json_t *object, struct account_doc *ret)
{
    enum err e;
    struct str *contacts = NULL;
    if ((e = member_text(arena, object, "status", &ret->status))) return e;
    if ((e = member_text(arena, object, "orders", &ret->orders))) return e;
    if ((e = member_bool(object, "termsOfServiceAgreed", &ret->terms_agreed))) return e;
    if ((e = member_bool(object, "onlyReturnExisting", &ret->only_return_existing))) return e;
    if ((e = member_texts(arena, object, "contact", COUNTOF(ret->contacts), &contacts, &ret->n_contacts))) return e;
    for (size_t i = 0; i < ret->n_contacts; i++)
        ret->contacts[i] = contacts[i];
    ret->has_contacts = json_object_get(object, "contact") != NULL;
    return read_json(arena, object, "externalAccountBinding", &ret->binding);
}

enum err account_read(struct arena *arena, struct str json, struct account_doc *ret)
{
    json_t *root;
    struct account_doc doc = {0};
    enum err e = member_open(json, &root);
    if (e) return e;
    e = read_account(arena, root, &doc);
    json_decref(root);
    if (!e) *ret = doc;
    return e;
}

bool deactivation_read(struct arena *arena, struct str json)
{
    json_t *root;
    struct str status = {0};
    if (member_open(json, &root)) return false;
    enum err e = member_text(arena, root, "status", &status);
    json_decref(root);
    return !e && str_is(status, "deactivated");
}

bool payload_has_resource(struct str json)
{
    json_t *root;
    struct str resource = {0};
    struct arena arena = {0};
    if (member_open(json, &root)) return false;
    bool has = !member_text(&arena, root, "resource", &resource) && resource.n;
    json_decref(root);
    arena_done(&arena);
    return has;
}

/* --- key change (section 7.3.5) --- */
struct str key_change_request(struct arena *arena, const struct key_change_doc *doc)
{
    struct buf buf = {.arena = arena};
    buf_add_char(&buf, '{');
    write_text(&buf, "account", doc->account);
    write_json(&buf, "oldKey", doc->old_key);
    buf_add_char(&buf, '}');
    return buf_str(&buf);
}

enum err key_change_read(struct arena *arena, struct str json, struct key_change_doc *ret)
{
    json_t *root;
    struct key_change_doc doc = {0};
    enum err e = member_open(json, &root);
    if (e) return e;
    e = member_text(arena, root, "account", &doc.account);
    if (!e) e = read_json(arena, root, "oldKey", &doc.old_key);
    json_decref(root);
    if (!e) *ret = doc;
    return e;
}

/* --- identifiers (section 9.7.7) --- */
static void write_identifier(struct buf *buf, const struct identifier_doc *identifier)
{
    buf_add_char(buf, '{');
    write_text(buf, "type", identifier->type);
    write_text(buf, "value", identifier->value);
    buf_add_char(buf, '}');
}

static enum err read_identifier(struct arena *arena, const json_t *object, struct identifier_doc *ret)
{
    enum err e = member_text(arena, object, "type", &ret->type);
    return e ? e : member_text(arena, object, "value", &ret->value);
}

/* --- order (sections 7.1.3, 7.4) --- */
static void write_wishes(struct buf *buf, const struct order_doc *doc)
{
    write_key(buf, "identifiers");
    buf_add_char(buf, '[');
    for (size_t i = 0; i < doc->n_identifiers; i++) {
        if (i) buf_add_char(buf, ',');
        write_identifier(buf, &doc->identifiers[i]);
    }
    buf_add_char(buf, ']');
    write_text(buf, "notBefore", doc->not_before);
    write_text(buf, "notAfter", doc->not_after);
    write_text(buf, "replaces", doc->replaces);
    write_text(buf, "profile", doc->profile);
}

struct str order_write(struct arena *arena, const struct order_doc *doc)
{
    struct buf buf = {.arena = arena};
    buf_add_char(&buf, '{');
    write_text(&buf, "status", doc->status);
    write_text(&buf, "expires", doc->expires);
    write_wishes(&buf, doc);
    write_error(&buf, doc->has_error, &doc->error);
    write_texts(&buf, "authorizations", doc->authorizations, doc->n_authorizations);
    write_text(&buf, "finalize", doc->finalize);
    write_text(&buf, "certificate", doc->certificate);
    buf_add_char(&buf, '}');
    return buf_str(&buf);
}

struct str order_request(struct arena *arena, const struct order_doc *doc)
{
    struct buf buf = {.arena = arena};
    buf_add_char(&buf, '{');
    write_wishes(&buf, doc);
    buf_add_char(&buf, '}');
    return buf_str(&buf);
}

static enum err read_order(struct arena *arena, const json_t *object, struct order_doc *ret)
{
    const json_t *identifiers;
    const struct text_member texts[] = {
        {"status",      &ret->status     },
        {"expires",     &ret->expires    },
        {"notBefore",   &ret->not_before },
        {"notAfter",    &ret->not_after  },
        {"finalize",    &ret->finalize   },
        {"certificate", &ret->certificate},
        {"replaces",    &ret->replaces   },
        {"profile",     &ret->profile    },
    };
    enum err e = read_texts(arena, object, texts, COUNTOF(texts));
    if (e || (e = member_objects(object, "identifiers", RESOURCE_MAX_NAMES, &identifiers))) return e;
    ret->n_identifiers = json_array_size(identifiers);
    ret->identifiers = ARENA_ARRAY(arena, struct identifier_doc, ret->n_identifiers);
    for (size_t i = 0; i < ret->n_identifiers; i++)
        if ((e = read_identifier(arena, json_array_get(identifiers, i), &ret->identifiers[i]))) return e;
    if ((e = member_texts(arena, object, "authorizations", RESOURCE_MAX_NAMES, &ret->authorizations,
                          &ret->n_authorizations)))
        return e;
    return member_problem(arena, object, "error", &ret->has_error, &ret->error);
}

enum err order_read(struct arena *arena, struct str json, struct order_doc *ret)
{
    json_t *root;
    struct order_doc doc = {0};
    enum err e = member_open(json, &root);
    if (e) return e;
    e = read_order(arena, root, &doc);
    json_decref(root);
    if (!e) *ret = doc;
    return e;
}

struct str finalize_request(struct arena *arena, struct str csr_der)
{
    return str_fmt(arena, "{\"csr\":\"%.*s\"}", STR_ARGS(base64url(arena, csr_der)));
}

enum err finalize_read(struct arena *arena, struct str json, struct str *ret_csr_der)
{
    json_t *root;
    struct str text = {0};
    enum err e = member_open(json, &root);
    if (e) return e;
    e = member_text(arena, root, "csr", &text);
    json_decref(root);
    if (e) return e;
    return text.n ? base64url_decode(arena, text, ret_csr_der) : ERR_MALFORMED;
}

/* --- renewal information (RFC 9773 section 4.2) --- */
struct str renewal_write(struct arena *arena, const struct renewal_doc *doc)
{
    struct buf buf = {.arena = arena};
    buf_add_c(&buf, "{\"suggestedWindow\":{");
    write_text(&buf, "start", doc->start);
    write_text(&buf, "end", doc->end);
    buf_add_char(&buf, '}');
    write_text(&buf, "explanationURL", doc->explanation);
    buf_add_char(&buf, '}');
    return buf_str(&buf);
}

enum err renewal_read(struct arena *arena, struct str json, struct renewal_doc *ret)
{
    json_t *root;
    const json_t *window = NULL;
    struct renewal_doc doc = {0};
    enum err e = member_open(json, &root);
    if (e) return e;
    e = member_object(root, "suggestedWindow", &window);
    if (!e && !window) e = ERR_MALFORMED;
    if (!e) e = member_text(arena, window, "start", &doc.start);
    if (!e) e = member_text(arena, window, "end", &doc.end);
    if (!e) e = member_text(arena, root, "explanationURL", &doc.explanation);
    json_decref(root);
    if (!e) *ret = doc;
    return e;
}

/* --- revocation (section 7.6) --- */
struct str revocation_request(struct arena *arena, struct str der, int64_t reason)
{
    struct buf buf = {.arena = arena};
    buf_add_char(&buf, '{');
    write_text(&buf, "certificate", base64url(arena, der));
    if (reason >= 0) buf_fmt(&buf, ",\"reason\":%lld", (long long)reason);
    buf_add_char(&buf, '}');
    return buf_str(&buf);
}

enum err revocation_read(struct arena *arena, struct str json, struct str *ret_der, int64_t *ret_reason)
{
    json_t *root;
    struct str text = {0};
    int64_t reason = -1;
    enum err e = member_open(json, &root);
    if (e) return e;
    e = member_text(arena, root, "certificate", &text);
    if (!e) e = member_int(root, "reason", &reason);
    if (!e && reason < 0 && json_object_get(root, "reason")) e = ERR_MALFORMED;
    json_decref(root);
    if (e) return e;
    *ret_reason = reason;
    return text.n ? base64url_decode(arena, text, ret_der) : ERR_MALFORMED;
}

/* --- challenge (sections 7.1.5, 8) --- */
static void write_challenge(struct buf *buf, const struct challenge_doc *doc)
{
    buf_add_char(buf, '{');
    write_text(buf, "type", doc->type);
    write_text(buf, "url", doc->url);
    write_text(buf, "status", doc->status);
    write_text(buf, "validated", doc->validated);
    write_error(buf, doc->has_error, &doc->error);
    write_text(buf, "token", doc->token);
    buf_add_char(buf, '}');
}

struct str challenge_write(struct arena *arena, const struct challenge_doc *doc)
{
    struct buf buf = {.arena = arena};
    write_challenge(&buf, doc);
    return buf_str(&buf);
}

static enum err read_challenge(struct arena *arena, const json_t *object, struct challenge_doc *ret)
{
    const struct text_member texts[] = {
        {"type",      &ret->type     },
        {"url",       &ret->url      },
        {"status",    &ret->status   },
        {"token",     &ret->token    },
        {"validated", &ret->validated},
    };
    enum err e = read_texts(arena, object, texts, COUNTOF(texts));
    return e ? e : member_problem(arena, object, "error", &ret->has_error, &ret->error);
}

enum err challenge_read(struct arena *arena, struct str json, struct challenge_doc *ret)
{
    json_t *root;
    struct challenge_doc doc = {0};
    enum err e = member_open(json, &root);
    if (e) return e;
    e = read_challenge(arena, root, &doc);
    json_decref(root);
    if (!e) *ret = doc;
    return e;
}

/* --- authorization (section 7.1.4) --- */
struct str authz_write(struct arena *arena, const struct authz_doc *doc)
{
    struct buf buf = {.arena = arena};
    buf_add_char(&buf, '{');
    write_text(&buf, "status", doc->status);
    write_text(&buf, "expires", doc->expires);
    write_key(&buf, "identifier");
    write_identifier(&buf, &doc->identifier);
    write_key(&buf, "challenges");
    buf_add_char(&buf, '[');
    for (size_t i = 0; i < doc->n_challenges; i++) {
        if (i) buf_add_char(&buf, ',');
        write_challenge(&buf, &doc->challenges[i]);
    }
    buf_add_char(&buf, ']');
    write_flag(&buf, "wildcard", doc->wildcard);
    buf_add_char(&buf, '}');
    return buf_str(&buf);
}

static enum err read_authz(struct arena *arena, const json_t *object, struct authz_doc *ret)
{
    enum err e;
    const json_t *identifier, *challenges;
    if ((e = member_text(arena, object, "status", &ret->status))) return e;
    if ((e = member_text(arena, object, "expires", &ret->expires))) return e;
    if ((e = member_bool(object, "wildcard", &ret->wildcard))) return e;
    if ((e = member_object(object, "identifier", &identifier))) return e;
    if (identifier && (e = read_identifier(arena, identifier, &ret->identifier))) return e;
    if ((e = member_objects(object, "challenges", RESOURCE_MAX_NAMES, &challenges))) return e;
    ret->n_challenges = json_array_size(challenges);
    ret->challenges = ARENA_ARRAY(arena, struct challenge_doc, ret->n_challenges);
    for (size_t i = 0; i < ret->n_challenges && !e; i++)
        e = read_challenge(arena, json_array_get(challenges, i), &ret->challenges[i]);
    return e;
}

enum err authz_read(struct arena *arena, struct str json, struct authz_doc *ret)
{
    json_t *root;
    struct authz_doc doc = {0};
    enum err e = member_open(json, &root);
    if (e) return e;
    e = read_authz(arena, root, &doc);
    json_decref(root);
    if (!e) *ret = doc;
    return e;
}

/* Section 7.4.1. */
struct str new_authz_request(struct arena *arena, const struct identifier_doc *identifier)
{
    struct buf buf = {.arena = arena};
    buf_add_c(&buf, "{\"identifier\":");
    write_identifier(&buf, identifier);
    buf_add_char(&buf, '}');
    return buf_str(&buf);
}

enum err new_authz_read(struct arena *arena, struct str json, struct identifier_doc *ret)
{
    json_t *root;
    const json_t *identifier = NULL;
    struct identifier_doc doc = {0};
    enum err e = member_open(json, &root);
    if (e) return e;
    e = member_object(root, "identifier", &identifier);
    if (!e) e = identifier ? read_identifier(arena, identifier, &doc) : ERR_MALFORMED;
    json_decref(root);
    if (!e) *ret = doc;
    return e;
}

/* --- names --- */
enum { NAME_MAX_OCTETS = 253, LABEL_MAX_OCTETS = 63 };

static bool label_legal(struct str label)
{
    if (label.n == 0 || label.n > LABEL_MAX_OCTETS) return false;
    for (size_t i = 0; i < label.n; i++) {
        char c = label.at[i];
        bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alphanumeric && (c != '-' || i == 0 || i == label.n - 1)) return false;
    }
    return true;
}

bool name_legal(struct str name, bool *ret_wildcard, struct str *ret_base)
{
    bool wildcard = str_starts(name, "*.");
    struct str base = wildcard ? (struct str){name.at + 2, name.n - 2} : name;
    struct str label, rest = base;
    size_t n_labels = 0;
    if (name.n > NAME_MAX_OCTETS) return false;
    for (bool more = true; more; n_labels++) {
        more = str_cut(rest, '.', &label, &rest);
        if (!label_legal(label)) return false;
    }
    if (n_labels < 2) return false;
    if (ret_wildcard) *ret_wildcard = wildcard;
    if (ret_base) *ret_base = base;
    return true;
}
