#include "actor/answer.h"

#include "acme/address.h"

#include <string.h>

enum { DIGEST_BYTES = 32 };

struct str answer_filled(struct arena *arena, struct str text, const struct answer_values *values)
{
    const struct {
        const char *word;
        struct str value;
    } words[] = {
        {"{proof}", values->proof},
        {"{token}", values->token},
        {"{name}",  values->name },
        {"{place}", values->place}
    };
    struct buf buf = {.arena = arena};
    if (text.n == 0 || !memchr(text.at, '{', text.n)) return str_copy(arena, text);
    for (size_t i = 0; i < text.n; i++) {
        struct str rest = {text.at + i, text.n - i};
        size_t k = 0;
        while (k < COUNTOF(words) && !(text.at[i] == '{' && str_starts(rest, words[k].word)))
            k++;
        if (k == COUNTOF(words)) {
            buf_add_char(&buf, text.at[i]);
        } else {
            buf_add(&buf, words[k].value);
            i += strlen(words[k].word) - 1;
        }
    }
    return buf_str(&buf);
}

struct delivery answer_delivery(const struct answer *answer, int64_t speed)
{
    struct delivery delivery = answer->delivery;
    delivery.over_ms /= speed;
    delivery.delay_ms /= speed;
    if (speed > 1) delivery.speed = speed;
    return delivery;
}

void answer_http(struct turn *turn, const struct answer *answer, const struct answer_values *values, int64_t speed,
                 struct addr to, uint64_t flow)
{
    struct msg *msg = outbox_post(turn->out, MSG_RESPONSE, to, flow);
    msg->as.response.delivery = answer_delivery(answer, speed);
    msg->fault = answer->fault;
    for (size_t i = 0; answer->headers && i < answer->headers->n; i++) {
        char *name = arena_copy(&msg->arena, answer->headers->at[i].name.at, answer->headers->at[i].name.n);
        msg_header(msg, name, answer_filled(turn->arena, answer->headers->at[i].value, values));
    }
    bool typed = answer->headers && headers_count(answer->headers, "Content-Type");
    if (answer->kind == ANSWER_OK) {
        msg->as.response.status = values->proof.at ? 200 : 404;
        msg->as.response.body = str_copy(&msg->arena, values->proof.at ? values->proof : STR("no such token\n"));
    } else {
        msg->as.response.status = answer->status;
        msg->as.response.body = answer_filled(&msg->arena, answer->body, values);
        if (answer->redirect.n) msg_header(msg, "Location", answer_filled(turn->arena, answer->redirect, values));
    }
    if (!typed && msg->as.response.status) {
        bool text = str_starts(msg->as.response.body, "<");
        msg_header(msg, "Content-Type", text ? STR("text/html") : STR("application/octet-stream"));
    }
}

void answer_dns(struct msg *msg, const struct answer *answer, const struct answer_values *values, int64_t speed)
{
    struct dns_answer *reply = &msg->as.dns_answer;
    reply->delivery = answer_delivery(answer, speed);
    msg->fault = answer->fault;
    if (answer->kind == ANSWER_OK) return;
    reply->rcode = answer->rcode;
    for (size_t i = 0; i < answer->n_records; i++)
        reply->records[reply->n_records++] = answer_filled(&msg->arena, answer->records[i], values);
}

/* --- tls-alpn-01 (RFC 8737) --- */

static struct str upper(struct arena *arena, struct str s)
{
    char *at = arena_copy(arena, s.at, s.n);
    for (size_t i = 0; i < s.n; i++)
        if (at[i] >= 'a' && at[i] <= 'z') at[i] = (char)(at[i] - 'a' + 'A');
    return (struct str){at, s.n};
}

/* The right certificate. */
static void show_proof(struct msg *msg, const struct answer_values *values)
{
    struct tls_answer *reply = &msg->as.tls_answer;
    char *digest = arena_alloc(&msg->arena, DIGEST_BYTES + 1);
    if (values->proof.n)
        memcpy(digest, values->proof.at, values->proof.n < DIGEST_BYTES ? values->proof.n : DIGEST_BYTES);
    reply->alpn = STR("acme-tls/1");
    reply->self_signed = reply->has_extension = reply->critical = true;
    reply->digest = (struct str){digest, DIGEST_BYTES};
}

static void spoil(struct msg *msg, enum tls_defect defect, struct str name)
{
    struct tls_answer *reply = &msg->as.tls_answer;
    switch (defect) {
    case TLS_GOOD:
    case TLS_ALERT:
    case TLS_NO_ALPN: break;
    case TLS_OTHER_ALPN: reply->alpn = STR("http/1.1"); break;
    case TLS_WRONG_CERT: ((char *)(uintptr_t)reply->digest.at)[0] ^= 1; break;
    case TLS_WRONG_SAN: reply->san = str_fmt(&msg->arena, "wrong.%.*s", STR_ARGS(name)); break;
    case TLS_EXTRA_SAN:
        reply->san = str_fmt(&msg->arena, "%.*s,extra.%.*s", STR_ARGS(reply->san), STR_ARGS(name));
        break;
    case TLS_UPPER_SAN: reply->san = upper(&msg->arena, name); break;
    case TLS_NO_EXTENSION:
        reply->has_extension = reply->critical = false;
        reply->digest = (struct str){0};
        break;
    case TLS_NOT_CRITICAL: reply->critical = false; break;
    case TLS_OBSOLETE_OID:
        reply->has_extension = false;
        reply->obsolete = true;
        break;
    case TLS_NOT_SELF_SIGNED: reply->self_signed = false; break;
    case TLS_TWO_CERTIFICATES: reply->second_certificate = true; break;
    case TLS_EXPIRED: reply->expired = true; break;
    }
}

void answer_tls(struct msg *msg, const struct answer *answer, const struct answer_values *values, int64_t speed,
                bool challenge)
{
    struct tls_answer *reply = &msg->as.tls_answer;
    enum tls_defect defect = answer->kind == ANSWER_TLS ? answer->defect : TLS_GOOD;
    reply->delivery = answer_delivery(answer, speed);
    msg->fault = answer->fault;
    if (defect == TLS_ALERT) {
        reply->alert = STR("handshake_failure");
        return;
    }
    if (challenge && defect == TLS_GOOD && !values->proof.at) {
        /* RFC 7301 section 3.2: a server without any protocol in common. */
        reply->alert = STR("no_application_protocol");
        return;
    }
    struct str address = address_of_reverse(&msg->arena, values->place); /* RFC 8738 section 6 */
    reply->san = address.n ? str_fmt(&msg->arena, "ip:%.*s", STR_ARGS(address)) : str_copy(&msg->arena, values->place);
    if (defect == TLS_NO_ALPN || !challenge) return; /* an ordinary certificate */
    show_proof(msg, values);
    spoil(msg, defect, values->place);
}
