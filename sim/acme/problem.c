#include "acme/problem.h"
#include "acme/member.h"

/* The IANA registry "ACME Error Types", in the order of the documents. */
static const char *const types[] = {
    /* RFC 8555 section 6.7 */
    "accountDoesNotExist", "alreadyRevoked", "badCSR", "badNonce", "badPublicKey", "badRevocationReason",
    "badSignatureAlgorithm", "caa", "compound", "connection", "dns", "externalAccountRequired", "incorrectResponse",
    "invalidContact", "malformed", "orderNotReady", "rateLimited", "rejectedIdentifier", "serverInternal", "tls",
    "unauthorized", "unsupportedContact", "unsupportedIdentifier", "userActionRequired",
    /* RFC 8739 section 6.4 */
    "autoRenewalCanceled", "autoRenewalExpired", "autoRenewalCancellationInvalid", "autoRenewalRevocationNotSupported",
    "unknownDelegation",                         /* RFC 9115 */
    "alreadyReplaced",                           /* RFC 9773 */
    "onionCAARequired",                          /* RFC 9799 */
    "invalidProfile", "badAttestationStatement", /* draft-ietf-acme-profiles, draft-ietf-acme-device-attest */
};

/* Those that are not 400. The RFC says so, or servers agree. */
static const struct {
    const char *type;
    int status;
} statuses[] = {
    {"alreadyReplaced",                   409}, /* RFC 9773 section 5 */
    {"autoRenewalCanceled",               403}, /* RFC 8739 section 3.1.2, and the two others there */
    {"autoRenewalExpired",                403},
    {"autoRenewalRevocationNotSupported", 403},
    {"caa",                               403},
    {"externalAccountRequired",           403},
    {"onionCAARequired",                  403},
    {"orderNotReady",                     403}, /* section 7.4 */
    {"rateLimited",                       429},
    {"serverInternal",                    500},
    {"unauthorized",                      403},
    {"unknownDelegation",                 403}, /* RFC 9115 section 2.3.2 */
    {"userActionRequired",                403}, /* section 7.3.3 */
};

enum { STATUS_DEFAULT = 400 };

int problem_status(struct str type)
{
    for (size_t i = 0; i < COUNTOF(statuses); i++)
        if (str_is(type, statuses[i].type)) return statuses[i].status;
    return STATUS_DEFAULT;
}

bool problem_registered(struct str type)
{
    for (size_t i = 0; i < COUNTOF(types); i++)
        if (str_is(type, types[i])) return true;
    return false;
}

const char *const *problem_types(size_t *ret_n)
{
    *ret_n = COUNTOF(types);
    return types;
}

struct problem problem_new(struct arena *arena, const char *type, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct problem problem = {.type = str_c(type), .detail = str_vfmt(arena, fmt, ap)};
    va_end(ap);
    problem.status = problem_status(problem.type);
    return problem;
}

/* --- writing --- */
static void write_problem(struct buf *buf, const struct problem *problem)
{
    buf_add_char(buf, '{');
    if (problem->type.n) {
        bool foreign = str_find(problem->type, ":") >= 0;
        write_text(buf, "type",
                   foreign ? problem->type : str_fmt(buf->arena, PROBLEM_PREFIX "%.*s", STR_ARGS(problem->type)));
    }
    if (problem->status) {
        write_key(buf, "status");
        buf_fmt(buf, "%d", problem->status);
    }
    write_text(buf, "detail", problem->detail);
    write_text(buf, "instance", problem->instance);
    if (problem->identifier.n) {
        write_key(buf, "identifier");
        buf_add_c(buf, problem->address ? "{\"type\":\"ip\"" : "{\"type\":\"dns\"");
        write_text(buf, "value", problem->identifier);
        buf_add_char(buf, '}');
    }
    if (problem->algorithms.n) {
        write_key(buf, "algorithms");
        buf_add(buf, problem->algorithms);
    }
    if (problem->n_subproblems) {
        write_key(buf, "subproblems");
        for (size_t i = 0; i < problem->n_subproblems; i++) {
            buf_add_char(buf, i ? ',' : '[');
            write_problem(buf, &problem->subproblems[i]);
        }
        buf_add_char(buf, ']');
    }
    buf_add_char(buf, '}');
}

struct str problem_write(struct arena *arena, const struct problem *problem)
{
    struct buf buf = {.arena = arena};
    write_problem(&buf, problem);
    return buf_str(&buf);
}

/* --- reading --- */

/* Ours lose the prefix. What would not come back as it was keeps it. */
static struct str short_type(struct str type)
{
    size_t prefix = sizeof PROBLEM_PREFIX - 1;
    if (!str_starts(type, PROBLEM_PREFIX)) return type;
    struct str name = {type.at + prefix, type.n - prefix};
    return name.n && str_find(name, ":") < 0 ? name : type;
}

static enum err read_status(const json_t *object, int *ret)
{
    const json_t *value = member_of(object, "status");
    if (!value) return OK;
    json_int_t status = json_integer_value(value);
    if (!json_is_integer(value) || status < 100 || status > 999) return ERR_MALFORMED;
    *ret = (int)status;
    return OK;
}

static enum err read_identifier(struct arena *arena, const json_t *object, struct problem *ret)
{
    const json_t *identifier;
    struct str type = {0}, value = {0};
    enum err e = member_object(object, "identifier", &identifier);
    if (e || !identifier) return e;
    if ((e = member_text(arena, identifier, "type", &type))) return e;
    if ((e = member_text(arena, identifier, "value", &value))) return e;
    ret->address = str_is(type, "ip");
    if (ret->address || str_is(type, "dns")) ret->identifier = value;
    return OK;
}

static enum err read_algorithms(struct arena *arena, const json_t *object, struct str *ret)
{
    const json_t *list = member_of(object, "algorithms");
    struct str *names = NULL;
    size_t n = 0;
    enum err e = member_texts(arena, object, "algorithms", SIZE_MAX, &names, &n);
    if (e || !list) return e;
    struct buf buf = {.arena = arena};
    buf_add_char(&buf, '[');
    for (size_t i = 0; i < n; i++) {
        if (i) buf_add_char(&buf, ',');
        buf_add_json(&buf, names[i]);
    }
    buf_add_char(&buf, ']');
    *ret = buf_str(&buf);
    return OK;
}

/* What a document and a subproblem have in common. */
static enum err read_one(struct arena *arena, const json_t *object, struct problem *ret)
{
    enum err e;
    if ((e = member_text(arena, object, "type", &ret->type))) return e;
    if ((e = member_text(arena, object, "detail", &ret->detail))) return e;
    if ((e = member_text(arena, object, "instance", &ret->instance))) return e;
    if ((e = read_status(object, &ret->status))) return e;
    if ((e = read_identifier(arena, object, ret))) return e;
    if ((e = read_algorithms(arena, object, &ret->algorithms))) return e;
    ret->type = short_type(ret->type);
    return OK;
}

/* Subproblems have none of their own (section 6.7.1 knows one level); such are unknown members. */
static enum err read_problem(struct arena *arena, const json_t *object, struct problem *ret)
{
    const json_t *list;
    struct problem problem = {0};
    enum err e = read_one(arena, object, &problem);
    if (e) return e;
    if ((e = member_objects(object, "subproblems", SIZE_MAX, &list))) return e;
    size_t n = json_array_size(list);
    struct problem *subproblems = ARENA_ARRAY(arena, struct problem, n);
    for (size_t i = 0; i < n; i++)
        if ((e = read_one(arena, json_array_get(list, i), &subproblems[i]))) return e;
    problem.subproblems = n ? subproblems : NULL;
    problem.n_subproblems = n;
    *ret = problem;
    return OK;
}

enum err member_problem(struct arena *arena, const json_t *object, const char *key, bool *ret_has, struct problem *ret)
{
    const json_t *value;
    enum err e = member_object(object, key, &value);
    if (e || !value) return e;
    if ((e = read_problem(arena, value, ret))) return e;
    *ret_has = true;
    return OK;
}

enum err problem_read(struct arena *arena, struct str json, struct problem *ret)
{
    json_t *root;
    enum err e = member_open(json, &root);
    if (e) return e;
    e = read_problem(arena, root, ret);
    json_decref(root);
    return e;
}
