#include "wire/fault_inside.h"

#define BIT(kind) (1u << (kind))
#define THERE     (BIT(MSG_REQUEST) | BIT(MSG_DNS_QUERY) | BIT(MSG_TLS_HELLO))
#define BACK      (BIT(MSG_RESPONSE) | BIT(MSG_DNS_ANSWER) | BIT(MSG_TLS_ANSWER))
#define SOCKET    (BIT(MSG_RESPONSE) | BIT(MSG_TLS_ANSWER))
#define HTTP_BACK BIT(MSG_RESPONSE)

static void deliver(struct msg *msg, enum delivery_how how)
{
    msg_delivery(msg)->how = how;
}

static void drop(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    if (msg_delivery(msg)) deliver(msg, DELIVER_HANG);
    else msg->dropped = true;
}

static void reset(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    deliver(msg, DELIVER_RESET);
}

static void closed(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    deliver(msg, DELIVER_CLOSED);
}

static void garbage(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    deliver(msg, DELIVER_GARBAGE);
}

static void truncated(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    deliver(msg, DELIVER_TRUNCATED);
    msg->as.response.delivery.at_byte = msg->as.response.body.n / 2;
}

static void slow(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    deliver(msg, DELIVER_SLOW);
    msg->as.response.delivery.over_ms = 3000;
}

static void half_close(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    msg->as.response.delivery.last = true;
}

static void empty(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    msg->as.response.status = 200;
    msg->as.response.body = (struct str){0};
}

static void html(struct msg *msg, struct fault_memory *memory)
{
    (void)memory;
    msg->as.response.body = STR("<!DOCTYPE html>\n<html><head><title>Service unavailable</title></head>\n"
                                "<body><h1>Service unavailable</h1><p>Please come back later.</p></body></html>\n");
    headers_set(fault_headers(msg), "Content-Type", STR("text/html; charset=utf-8"));
}

/* --- rows: name, what it applies to, transform, help --- */

#define DELIVERY_ROWS(X)                                                                                               \
    X("drop", THERE | BACK, drop, "The message is lost: the asker hears nothing until its own time limit.")            \
    X("reset", SOCKET, reset, "The connection is reset once the request is read.")                                     \
    X("close", SOCKET, closed, "The connection is closed once the request is read, without any byte of an answer.")    \
    X("truncate", HTTP_BACK, truncated, "The body ends at half of its Content-Length, then the connection is closed.") \
    X("half-close", HTTP_BACK, half_close,                                                                             \
      "After the answer the sender ends its side of the connection, which no header announced.")                       \
    X("empty", HTTP_BACK, empty, "The answer is 200 with an empty body; its headers stay.")                            \
    X("garbage", HTTP_BACK, garbage, "Bytes that are not HTTP come in place of the answer.")                           \
    X("html", HTTP_BACK, html, "The body is an HTML error page, as a proxy in between would send.")                    \
    X("slow", HTTP_BACK, slow, "The headers come at once, the body drips over three seconds.")

#define HEADER_ROWS(X)                                                                                                 \
    X("no-nonce", HTTP_BACK, fault_no_nonce, "The Replay-Nonce header is missing.")                                    \
    X("stale-nonce", HTTP_BACK, fault_stale_nonce,                                                                     \
      "The Replay-Nonce header repeats the first nonce that was ever sent.")                                           \
    X("duplicate-nonce", HTTP_BACK, fault_duplicate_nonce,                                                             \
      "A second Replay-Nonce header follows the first, with a nonce that nobody gave out.")                            \
    X("malformed-nonce", HTTP_BACK, fault_malformed_nonce, "The Replay-Nonce header is not base64url.")                \
    X("no-location", HTTP_BACK, fault_no_location, "The Location header is missing.")                                  \
    X("duplicate-location", HTTP_BACK, fault_duplicate_location,                                                       \
      "A second Location header follows the first, with a URL where nothing is.")                                      \
    X("malformed-location", HTTP_BACK, fault_malformed_location, "The Location header is no URL.")                     \
    X("relative-location", HTTP_BACK, fault_relative_location,                                                         \
      "The Location header is a path, to be read against the URL of the request.")                                     \
    X("other-location", HTTP_BACK, fault_other_location,                                                               \
      "The Location header is a URL where nothing is, though the object stays where it was.")                          \
    X("no-link", HTTP_BACK, fault_no_link, "The Link header is missing.")                                              \
    X("malformed-link", HTTP_BACK, fault_malformed_link, "The Link header follows no grammar.")                        \
    X("no-content-type", HTTP_BACK, fault_no_content_type, "The Content-Type header is missing.")                      \
    X("wrong-content-type", HTTP_BACK, fault_wrong_content_type, "The Content-Type header says text/plain.")           \
    X("charset-content-type", HTTP_BACK, fault_charset_content_type,                                                   \
      "The Content-Type header has a charset parameter, which says nothing new.")                                      \
    X("duplicate-content-type", HTTP_BACK, fault_duplicate_content_type,                                               \
      "A second Content-Type header follows the first and says text/html.")                                            \
    X("retry-after-twice", HTTP_BACK, fault_retry_after_twice, "Two Retry-After headers are added, 4 s and 7 s.")      \
    X("lower-case-headers", HTTP_BACK, fault_lower_case_headers, "The names of all headers are in lower case.")        \
    X("upper-case-headers", HTTP_BACK, fault_upper_case_headers, "The names of all headers are in upper case.")

#define JSON_ROWS(X)                                                                                                   \
    X("no-expires", HTTP_BACK, fault_no_expires, "The object in the body lacks its expires member.")                   \
    X("early-certificate", HTTP_BACK, fault_early_certificate,                                                         \
      "An order that has no certificate yet has a certificate member all the same.")                                   \
    X("pretty-json", HTTP_BACK, fault_pretty_json, "The JSON in the body is indented, one member a line.")             \
    X("reversed-json", HTTP_BACK, fault_reversed_json, "The members of each JSON object come in opposite order.")      \
    X("escaped-json", HTTP_BACK, fault_escaped_json,                                                                   \
      "The JSON escapes the first character of each text, and each slash.")                                            \
    X("bom-json", HTTP_BACK, fault_bom_json, "The JSON comes after a byte order mark.")                                \
    X("half-json", HTTP_BACK, fault_half_json, "The JSON ends half-way, and Content-Length agrees.")                   \
    X("unknown-members", HTTP_BACK, fault_unknown_members, "Each JSON object has one member more that nobody knows.")  \
    X("null-members", HTTP_BACK, fault_null_members, "Optional members that the JSON object lacks are there as null.") \
    X("mistyped-json", HTTP_BACK, fault_mistyped_json,                                                                 \
      "The members of the JSON object have wrong types: a number for a text, a text for a list.")                      \
    X("deep-json", HTTP_BACK, fault_deep_json, "The JSON object has an unknown member, 500 lists deep.")

#define PEM_ROWS(X)                                                                                                    \
    X("crlf-pem", HTTP_BACK, fault_crlf_pem, "The lines of the certificate chain end in CR LF.")                       \
    X("blank-line-pem", HTTP_BACK, fault_blank_line_pem, "An empty line follows each certificate of the chain.")       \
    X("no-final-newline-pem", HTTP_BACK, fault_no_final_newline_pem, "The chain ends without a newline.")              \
    X("text-before-pem", HTTP_BACK, fault_text_before_pem, "Lines that explain the chain stand before it.")            \
    X("leaf-only", HTTP_BACK, fault_leaf_only, "The chain is the leaf alone, without its intermediate.")               \
    X("reversed-chain", HTTP_BACK, fault_reversed_chain,                                                               \
      "The chain begins with the intermediate and ends with the leaf.")                                                \
    X("duplicate-leaf", HTTP_BACK, fault_duplicate_leaf, "The chain has the leaf twice.")

#define ALL_ROWS(X) DELIVERY_ROWS(X) HEADER_ROWS(X) JSON_ROWS(X) PEM_ROWS(X)
#define CONNECT_ROWS(X)                                                                                                \
    X("stall-handshake", drop, HANDSHAKE_STALLS,                                                                       \
      "The TLS handshake is never answered: the asker waits until its own time limit.")                                \
    X("reset-handshake", reset, HANDSHAKE_RESET, "The connection is reset before the TLS handshake.")                  \
    X("close-handshake", closed, HANDSHAKE_CLOSED, "The connection is closed before the TLS handshake.")               \
    X("expired-certificate", closed, HANDSHAKE_EXPIRED,                                                                \
      "The server shows a certificate that is out of date, and the asker breaks off.")                                 \
    X("wrong-name-certificate", closed, HANDSHAKE_OTHER_NAME,                                                          \
      "The server shows a certificate for another name, and the asker breaks off.")

#define AS_FAULT(name, applies_to, apply, help)       {name, applies_to, apply, help, HANDSHAKE_GOOD},
#define AS_CONNECT(name, apply, handshake, help)      {name, FAULT_CONNECT, apply, help, handshake},
#define AS_CONNECT_NAME(name, apply, handshake, help) name,
#define AS_NAME(name, applies_to, apply, help)        name,
static const struct fault faults[] = {ALL_ROWS(AS_FAULT) CONNECT_ROWS(AS_CONNECT)};
static const char *const names[] = {ALL_ROWS(AS_NAME) CONNECT_ROWS(AS_CONNECT_NAME)};

const struct fault *fault_table(size_t *ret_n)
{
    *ret_n = COUNTOF(faults);
    return faults;
}

const char *const *fault_names(size_t *ret_n)
{
    *ret_n = COUNTOF(names);
    return names;
}

const struct fault *fault_find(struct str name)
{
    for (size_t i = 0; i < COUNTOF(faults); i++)
        if (str_is(name, faults[i].name)) return &faults[i];
    return NULL;
}

bool fault_acts_on(const struct fault *fault, enum msg_kind kind)
{
    unsigned bits = fault->applies_to & FAULT_CONNECT ? BIT(MSG_RESPONSE) : fault->applies_to;
    return bits & BIT(kind);
}

void fault_remember(struct fault_memory *memory, const struct msg *msg)
{
    if (memory->old_nonce.at || msg->kind != MSG_RESPONSE) return;
    struct str nonce = headers_get(msg->as.response.headers, "Replay-Nonce");
    if (nonce.n) memory->old_nonce = str_copy(&memory->arena, nonce);
}
