/* What travels between seats of the hall: one tagged union. A message owns all its texts by its own arena and is passed
 * by pointer; whoever takes it last frees it. */
#ifndef WIRE_MSG_H
#define WIRE_MSG_H

#include "wire/dns.h"
#include "wire/http.h"

/* A place in the hall. 0 is nobody. */
struct addr {
    uint16_t seat;
};

enum msg_kind {
    MSG_REQUEST,    /* HTTP, there */
    MSG_RESPONSE,   /* HTTP, back: same flow */
    MSG_DNS_QUERY,  /* DNS, there */
    MSG_DNS_ANSWER, /* DNS, back */
    MSG_TLS_HELLO,  /* a TLS handshake by ALPN and SNI, there */
    MSG_TLS_ANSWER, /* what the handshake showed, back */
    MSG_PROBE,      /* a validator is asked to make one validation query */
    MSG_VERDICT,    /* and says how it went: same flow */
    MSG_PROVISION,  /* a proof is put where validators will look, or taken away */
    MSG_EXIT,       /* an actor has finished its part and says how */
    MSG_KIND_COUNT
};

struct tls_hello {
    struct str name, alpn; /* SNI; "acme-tls/1", several joined by "," */
    struct str connect;    /* "192.0.2.1:443"; empty: the edge knows where */
};
struct tls_answer {
    struct delivery delivery; /* refused, reset, hang ...; whole = a handshake happened */
    struct str alpn;          /* negotiated, empty = none */
    struct str alert;         /* the peer's TLS alert, empty = none */
    struct str san;           /* names of the certificate, joined by ",": acme/x509_alpn.h */
    bool self_signed, has_extension, critical;
    bool obsolete;           /* the extension has the number of the drafts */
    bool plain_http;         /* no TLS: an HTTP response came (delivery garbage) */
    size_t n_certificates;   /* that came; 0 = not counted */
    struct str digest;       /* 32 raw bytes of the acmeIdentifier extension; empty: malformed */
    bool expired;            /* for an edge to act out */
    bool second_certificate; /* likewise: another one follows */
};

/* One validation query. `attempt` counts from 1 per challenge. */
struct probe {
    struct str type, name, token; /* "http-01", "a.example.test" */
    struct str place, proof;      /* where to look and what must be there: acme/challenge.h */
    int attempt;
    int perspective;    /* from where: 0 is the first, others are numbered */
    struct str account; /* URL: for CAA, RFC 8657 */
    bool wildcard;
    int64_t limit_ms; /* the query fails by timeout after this long */
};

/* How a query ended. The words are the profile's outcome rows: see plan/profile.h. */
struct verdict {
    bool ok;
    struct str failure;       /* "404 family": "bad-status", "wrong-body", "refused" ...; empty when ok */
    struct str url, address;  /* what was fetched last, from where */
    struct str expected, got; /* the proof, and what was found (at most 256 bytes) */
    int status;               /* HTTP status where there was one */
    /* For the profile's texts; not logged, as the exchange itself is. */
    int port;         /* of the address */
    struct str first; /* of the TXT records found, and how many more there were */
    size_t n_more;
    struct str names; /* of the certificate that was met, and how many came */
    size_t n_certificates;
};

struct provision {
    struct str type, name, token, place, proof;
    bool withdraw;
};

struct exit_note {
    bool success;      /* the client holds a certificate */
    struct str reason; /* otherwise why it gave up, in words */
};

struct fault;

struct msg {
    enum msg_kind kind;
    struct addr from, to;
    uint64_t flow; /* joins there and back; unique within a run */
    union {
        struct http_request request;
        struct http_response response;
        struct dns_query dns_query;
        struct dns_answer dns_answer;
        struct tls_hello tls_hello;
        struct tls_answer tls_answer;
        struct probe probe;
        struct verdict verdict;
        struct provision provision;
        struct exit_note exit;
    } as;
    const struct fault *fault; /* to be applied at the gate, NULL = none */
    bool dropped;              /* set by a fault: logged, and delivered to nobody */
    bool gated;                /* the hall's own: the gate has seen it */
    struct arena arena;        /* owns every text above */
};

/* An empty message with its own arena, in which it lies itself. */
struct msg *msg_new(enum msg_kind kind);
void msg_free(struct msg *msg);
const char *msg_kind_text(enum msg_kind kind);

/* What an actor sends in one turn, in order. The hall collects it. */
struct outbox {
    struct msg **at;
    size_t n, room;
    uint64_t *next_flow; /* the hall's counter */
};
/* A new message to `to`, already in the box: fill it in. flow 0 starts a new exchange. */
struct msg *outbox_post(struct outbox *box, enum msg_kind kind, struct addr to, uint64_t flow);
/* Puts an existing message into the box (forwarding); takes ownership. */
void outbox_forward(struct outbox *box, struct msg *msg, struct addr to, uint64_t flow);
/* Convenience for responses: adds a header to as.response / as.request, texts copied into the message. */
void msg_header(struct msg *msg, const char *name, struct str value);
/* The delivery of a response, a DNS answer or a TLS answer; NULL for other kinds. */
struct delivery *msg_delivery(struct msg *msg);

#endif
