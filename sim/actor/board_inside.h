/* The board's rooms: pins (what is pinned up), history (who asked), names (DNS) and api (the management interface). */
#ifndef ACTOR_BOARD_INSIDE_H
#define ACTOR_BOARD_INSIDE_H

#include "actor/answer.h"
#include "actor/board.h"

/* --- pins --- */
enum pin_kind {
    PIN_TOKEN,    /* http-01: a key authorization by token */
    PIN_REDIRECT, /* a target by path */
    PIN_TLS,      /* a key authorization by name */
    PIN_A,
    PIN_AAAA,
    PIN_TXT,
    PIN_CAA,    /* in presentation form: `0 issue "ca.example"` */
    PIN_CNAME,  /* the target */
    PIN_FAILURE /* answers to whatever is asked about a name: SERVFAIL, or a list */
};
/* Names are keys in lower case without final dot. */
struct pin {
    struct pin *next; /* in its bucket */
    enum pin_kind kind;
    struct str key;
    struct str texts[DNS_MAX_RECORDS]; /* at least one but for PIN_FAILURE; only DNS records can be several */
    size_t n_texts;
    int status; /* of a redirect */
    const struct answer *answers;
    size_t n_answers;
    size_t asked;       /* how many answers have been given */
    struct arena arena; /* owns all of it, the pin itself too */
};
enum { PIN_BUCKETS = 4096 };
struct pins {
    struct pin *bucket[PIN_BUCKETS];
    size_t n;
};

/* A pin to fill in; it is nowhere yet. */
struct pin *pin_new(enum pin_kind kind, struct str key);
void pin_free(struct pin *pin);
/* Takes the pin, in place of the one of that kind and key. false: there are too many; the pin is gone. */
bool pins_put(struct pins *pins, struct pin *pin);
struct pin *pins_find(const struct pins *pins, enum pin_kind kind, struct str key); /* NULL: none */
void pins_remove(struct pins *pins, enum pin_kind kind, struct str key);
void pins_done(struct pins *pins);
/* The next answer of its list, NULL: it has no list. */
const struct answer *pin_answer(struct pin *pin);

/* --- history --- */
enum asked_kind { ASKED_HTTP, ASKED_DNS, ASKED_TLS, ASKED_KINDS };
/* Texts stay where they are when an entry is used again: a ring that has gone round once allocates no more. */
struct asked {
    /* Who was asked for, a name without port. Then HTTP: URL, Host, server name. DNS: name. TLS: name, protocols. Cut
     * at some hundred bytes. */
    char *texts[4];
    size_t room[4];
    int number; /* HTTP: 1 = HTTPS; DNS: type */
    bool used;
};
struct asked_ring {
    struct asked at[BOARD_MAX_HISTORY];
    size_t next;
};
void asked_note(struct asked_ring *ring, struct str key, const struct str texts[3], int number);
/* Forgets what was asked for that key. */
void asked_clear(struct asked_ring *ring, struct str key);
/* As a JSON array, laid out as pebble-challtestsrv does it. */
struct str asked_json(struct arena *arena, const struct asked_ring *ring, enum asked_kind kind, struct str key);
void asked_done(struct asked_ring *ring);

/* --- the board --- */
struct board {
    struct actor actor;
    struct board_options options;
    struct arena ipv4_arena, ipv6_arena; /* own options.ipv4, .ipv6 */
    struct pins pins;
    struct asked_ring history[ASKED_KINDS];
};

/* A name as a key: lower case, no final dot. */
struct str board_name(struct arena *arena, struct str name);
/* Fills in msg->as.dns_answer. */
void board_answer_dns(struct board *board, struct turn *turn, const struct dns_query *query, struct msg *msg);
void board_on_dns(struct board *board, struct turn *turn, const struct msg *in);
void board_on_doh(struct board *board, struct turn *turn, const struct msg *in);
void board_on_call(struct board *board, struct turn *turn, const struct msg *in);
/* A response of the management interface and its like: plain text with a line end, or nothing. */
void board_say(struct turn *turn, const struct msg *in, int status, struct str text);

#endif
