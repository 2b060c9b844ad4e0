#include "management.h"

#include "actor/ca.h"
#include "base/when.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct management {
    struct actor actor;
    const struct issuer *issuer;
    struct actor *ca;
};

struct said {
    int status;
    const char *media; /* NULL: no body */
    struct str body;
};

/* --- certificates and keys of the CA --- */
static const struct {
    const char *prefix, *media;
    enum issuer_part part;
} parts[] = {
    {"/roots/",             "application/pem-certificate-chain; charset=utf-8", ISSUER_ROOT            },
    {"/root-keys/",         "application/x-pem-file; charset=utf-8",            ISSUER_ROOT_KEY        },
    {"/intermediates/",     "application/pem-certificate-chain; charset=utf-8", ISSUER_INTERMEDIATE    },
    {"/intermediate-keys/", "application/x-pem-file; charset=utf-8",            ISSUER_INTERMEDIATE_KEY},
};

static void part_get(const struct management *management, struct arena *arena, struct str path, struct said *ret)
{
    for (size_t i = 0; i < COUNTOF(parts); i++) {
        int64_t number;
        size_t n = strlen(parts[i].prefix);
        if (!str_starts(path, parts[i].prefix)) continue;
        if (!str_int((struct str){path.at + n, path.n - n}, &number)) return;
        ret->body = issuer_part_pem(management->issuer, arena, parts[i].part, (size_t)number);
        ret->status = ret->body.at ? 200 : 404;
        ret->media = ret->body.at ? parts[i].media : NULL;
        return;
    }
}

/* --- certificates that were issued --- */
static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Octets without leading zeros; .at NULL: it is no number in hexadecimal digits. */
static struct str serial_read(struct arena *arena, struct str hex)
{
    char *at = arena_alloc(arena, hex.n + 1);
    size_t n = 0;
    while (hex.n > 1 && hex.at[0] == '0')
        hex = (struct str){hex.at + 1, hex.n - 1};
    for (size_t i = 0; i < hex.n; i++) {
        int value = digit(hex.at[i]);
        if (value < 0) return (struct str){0};
        bool low = (hex.n - i) % 2 == 1;
        if (low && i > 0) at[n - 1] = (char)(at[n - 1] * 16 + value);
        else at[n++] = (char)value;
    }
    return hex.n ? (struct str){at, n} : (struct str){0};
}

static struct str serial_write(struct arena *arena, struct str serial)
{
    struct buf buf = {.arena = arena};
    for (size_t i = 0; i < serial.n; i++)
        buf_fmt(&buf, i ? "%02x" : "%x", (unsigned char)serial.at[i]);
    return buf_str(&buf);
}

static void status_get(const struct management *management, struct arena *arena, struct str hex, struct said *ret)
{
    struct ca_issued issued;
    struct str serial = serial_read(arena, hex);
    ret->status = serial.at ? 404 : 400;
    if (!serial.at || !ca_issued(management->ca, serial, &issued)) return;
    struct buf buf = {.arena = arena};
    buf_fmt(&buf, "{\n   \"Status\": \"%s\",\n   \"Serial\": \"%.*s\",\n   \"Certificate\": ",
            issued.revoked_ms ? "Revoked" : "Valid", STR_ARGS(serial_write(arena, serial)));
    buf_add_json(&buf, certificate_pem(arena, issued.der));
    if (issued.revoked_ms)
        buf_fmt(&buf, ",\n   \"Reason\": %d,\n   \"RevokedAt\": \"%.*s\"", issued.reason,
                STR_ARGS(when_rfc3339(arena, issued.revoked_ms)));
    buf_add_c(&buf, "\n}\n");
    *ret = (struct said){200, "application/json; charset=utf-8", buf_str(&buf)};
}

/* {"Certificate": PEM, "ARIResponse": TEXT}: from now on the renewal information of that certificate is the text, be it
 * JSON or not. */
static void renewal_post(const struct management *management, struct arena *arena, struct str body, struct said *ret)
{
    json_t *root = json_loadb(body.at, body.n, 0, NULL);
    const json_t *pem = json_object_get(root, "Certificate"), *text = json_object_get(root, "ARIResponse");
    struct chain_facts facts;
    ret->status = 400;
    if (json_is_string(pem) && json_is_string(text) &&
        !chain_read(arena, (struct str){json_string_value(pem), json_string_length(pem)}, &facts)) {
        struct str said = {json_string_value(text), json_string_length(text)};
        ret->status = ca_set_renewal(management->ca, facts.serial, said) ? 200 : 404;
    }
    json_decref(root);
}

static void management_step(struct actor *actor, struct turn *turn, const struct msg *in)
{
    const struct management *management = (const struct management *)actor;
    struct said answer = {.status = 404};
    struct url url;
    if (!in || in->kind != MSG_REQUEST) return;
    const struct http_request *request = &in->as.request;
    bool post = str_is(request->method, "POST");
    if (url_parse(request->url, &url)) url.path = STR("/");
    if (str_starts(url.path, "/cert-status-by-serial/"))
        status_get(management, turn->arena, (struct str){url.path.at + 23, url.path.n - 23}, &answer);
    else if (post && str_is(url.path, "/set-renewal-info/"))
        renewal_post(management, turn->arena, request->body, &answer);
    else part_get(management, turn->arena, url.path, &answer);

    struct msg *msg = outbox_post(turn->out, MSG_RESPONSE, in->from, in->flow);
    msg->as.response.status = answer.status;
    if (answer.media) msg_header(msg, "Content-Type", str_c(answer.media));
    if (!str_is(request->method, "HEAD")) msg->as.response.body = str_copy(&msg->arena, answer.body);
}

static void management_free(struct actor *actor)
{
    free(actor);
}

struct actor *management_new(const struct issuer *issuer, struct actor *ca)
{
    struct management *management = calloc(1, sizeof *management);
    if (!management) abort();
    management->issuer = issuer;
    management->ca = ca;
    management->actor = (struct actor){.name = "management", .step = management_step, .free = management_free};
    return &management->actor;
}
