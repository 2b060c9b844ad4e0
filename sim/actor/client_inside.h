/* What the parts of the client share. client.c: the actor; client_exchange.c: one signed request and its retries;
 * client_objects.c: requests and what their replies say; client_obtain.c: the polite issuance; client_steps.c: what a
 * scenario dictates; client_account.c and client_certificate.c: requests about accounts and keys, and about
 * certificates that are there. */
#ifndef ACTOR_CLIENT_INSIDE_H
#define ACTOR_CLIENT_INSIDE_H

#include "acme/jws.h"
#include "acme/resource.h"
#include "acme/x509.h"
#include "actor/client.h"

enum {
    CLIENT_NONCES = 4,
    CLIENT_NONCE_BYTES = 512,  /* longer ones are not kept */
    CLIENT_TRIES = 5,          /* of one request that is answered 5xx, 429 or not at all */
    CLIENT_BAD_NONCES = 5,     /* retries after badNonce */
    CLIENT_ORDERS = 3,         /* one and its successors after failures */
    CLIENT_EXTRA_POLLS = 3,    /* habit polls-after-final */
    CLIENT_BACK_OFF_MS = 5000, /* doubled each time */
    CLIENT_LIMIT_MS = 30000,   /* one request */
    /* An answer to a challenge may be held back until the server has looked: servers that validate inside the POST. */
    CLIENT_ANSWER_LIMIT_MS = 60000
};

struct client;

/* What came back in the end: after all retries. */
struct heard {
    const struct http_response *response; /* NULL: nothing came */
    bool good;                            /* 2xx, whole */
    struct problem problem;               /* of others, where one was sent */
    struct str why;                       /* of others, for people */
};
typedef void client_then(struct client *client, struct turn *turn, const struct heard *heard);

enum manner {
    MANNER_POLITE,   /* retried with pauses; what fails for good ends the client */
    MANNER_TOLERANT, /* retried with pauses; what fails for good is told to `then` */
    MANNER_RUDE      /* sent once (badNonce aside); whatever comes is told to `then` */
};

/* The one request under way. */
struct exchange {
    enum { EXCHANGE_NONE, EXCHANGE_NONCE, EXCHANGE_SENT, EXCHANGE_PAUSED, EXCHANGE_DRIPS } state;
    enum manner manner;
    const char *what;        /* "new order" */
    bool get, with_jwk, pem; /* plain GET; the key instead of the account; wants a certificate chain */
    const struct key *key;   /* that signs; NULL: the account's */
    bool wrong_url;          /* signed for another URL */
    struct str url, payload;
    client_then *then;
    int bad_nonces, tries;
    bool reuse_nonce;
    uint64_t flow;
    int64_t sent_ms, limit_ms;
    int64_t due_ms; /* time limit, end of a pause, last byte */
    bool for_nonce; /* the paused or dripping part is the newNonce request */
    struct http_response late;
    struct arena arena;
};

/* When one resource may be looked at again. */
struct poll {
    int64_t since_ms; /* patience counts from here; 0 = not begun */
    int64_t next_ms;
    bool by_server; /* next_ms is a Retry-After */
    bool last;      /* patience is used up: that was the last look */
    bool final_seen;
    int extra; /* looks that polls-after-final still owes */
};

struct client_challenge {
    bool offered, provisioned, answered, refused, answered_invalid;
    enum status status;
    bool watch; /* the server shows here, and not in the authorization, how it goes */
    struct str url, token, place, proof, why;
    struct poll poll;
};
struct client_authz {
    struct str url, name;
    bool fetched, fetch_failed, wildcard;
    enum status status;
    struct client_challenge challenges[CHALLENGE_TYPE_COUNT];
    int chosen;  /* -1: none */
    bool looked; /* asked since the chosen challenge failed */
    struct poll poll;
};
struct client_order {
    bool exists, finalized, finalized_early, finalized_twice, downloaded;
    int not_ready; /* orderNotReady answers */
    enum status status;
    struct str url, finalize, certificate, why;
    struct poll poll;
    struct client_authz *authzs;
    size_t n_authzs;
    struct arena arena;
};

struct client {
    struct actor actor;
    struct client_options options;
    const struct client_plan *plan;
    struct habits habits;
    int64_t speed;
    struct arena arena; /* lives as long as the client */

    bool started, done;
    int64_t wake_ms; /* 0 = no wait */
    struct exchange exchange;
    char nonces[CLIENT_NONCES][CLIENT_NONCE_BYTES];
    size_t nonce_n[CLIENT_NONCES];
    size_t n_nonces; /* the newest last */
    char spent_nonce[CLIENT_NONCE_BYTES];
    size_t spent_n;

    bool has_directory;
    struct directory_doc directory;
    struct key *key;
    struct str account, orders; /* URLs: its own, and that of its list */
    struct {
        struct key *key;
        struct str account, orders;
    } other;                        /* account, for "use other account" */
    struct key *next_key, *old_key; /* of a change under way, and of the last one */
    struct str page;                /* of the list of orders: the next to read */
    struct client_order order;
    int orders_made;
    struct str certificate;
    struct key *csr_key, *certificate_key, *stranger; /* of the last CSR, of the last certificate, of nobody */
    struct str leaf, alternate, renewal_id;           /* of the last certificate: DER, URL, RFC 9773 section 4.1 */
    struct {
        bool known, asked;
        int64_t start_ms, again_ms;
    } renewal;     /* information on it */
    bool replaces; /* the next order does */
    bool renewing; /* a polite renewal waits for its time */
    /* Types that failed, per name, over all orders. */
    struct {
        struct str name;
        bool wildcard, types[CHALLENGE_TYPE_COUNT];
    } failed[RESOURCE_MAX_NAMES];
    size_t n_failed;
    bool failing, failing_looked; /* a challenge of authz `failing_i` is lost; the order has been looked at since */
    size_t failing_i;

    /* What the exchange under way is about. */
    size_t about_i;
    enum challenge_type about_type;

    /* Steps. */
    bool obtaining, step_begun, step_paused;
    enum step_way way; /* of the next request */
    size_t step, item;
    int round;
};

/* client.c */
void client_end(struct client *client, struct turn *turn, bool success, struct str reason);
/* The end of an issuance: of the client, or of the step `obtain` when others follow. */
void client_conclude(struct client *client, struct turn *turn, bool success, struct str reason);
void client_give_up(struct client *client, struct turn *turn, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void client_wait_until(struct client *client, int64_t at_ms);
int64_t client_own_wait_ms(const struct client *client, int64_t ms);

/* client_exchange.c */
void exchange_start(struct client *client, struct turn *turn, enum manner manner, const char *what, struct str url,
                    struct str payload, client_then *then);
void exchange_get(struct client *client, struct turn *turn, enum manner manner, const char *what, struct str url,
                  client_then *then);
void exchange_start_with_jwk(struct client *client, struct turn *turn, enum manner manner, const char *what,
                             struct str url, struct str payload, client_then *then);
/* Signed by that key, which is in the header. */
void exchange_start_by_key(struct client *client, struct turn *turn, const char *what, struct str url,
                           struct str payload, const struct key *key, client_then *then);
void exchange_start_pem(struct client *client, struct turn *turn, enum manner manner, struct str url,
                        client_then *then);
void exchange_arrival(struct client *client, struct turn *turn, const struct msg *in);
void exchange_timer(struct client *client, struct turn *turn);
void exchange_drop(struct client *client);
/* A reply carried this: when may the resource be asked again? Uses Retry-After as the habits allow. */
void poll_heard(const struct client *client, const struct turn *turn, struct poll *poll, const struct headers *headers);

/* For whoever hears a reply. True when it is good; otherwise a polite exchange ends the client, and others go on. */
bool client_accepted(struct client *client, struct turn *turn, const struct heard *heard);
void client_unreadable(struct client *client, struct turn *turn, const struct heard *heard, const char *what);
/* Where the reply says that its object is. RFC 9110 section 10.2.2: it may say so relative to the request's URL. Empty:
 * nowhere, or what it says is no URL. */
struct str client_location(const struct client *client, struct arena *arena, const struct headers *headers);

/* client_account.c */
struct str client_binding(struct client *client, struct turn *turn, enum step_way way);
void client_learn_account(struct client *client, struct turn *turn, const struct heard *heard);
void client_find_account(struct client *client, struct turn *turn);
void client_account_step(struct client *client, struct turn *turn, const struct step *step);
/* The list of orders, page by page; false: it is read. */
bool client_read_orders(struct client *client, struct turn *turn, bool first);
void client_change_key(struct client *client, struct turn *turn, enum step_way way);
void client_use_other_account(struct client *client);

/* client_certificate.c */
/* One was downloaded. */
void client_keep_certificate(struct client *client, const struct http_response *response);
void client_revoke(struct client *client, struct turn *turn, const struct step *step);
void client_read_renewal(struct client *client, struct turn *turn, enum manner manner);
void client_download_alternate(struct client *client, struct turn *turn);
/* The polite way to a renewal, one thing a call; false: it is time to order. */
bool client_awaits_renewal(struct client *client, struct turn *turn);

/* client_objects.c: each starts an exchange unless it says otherwise. */
/* The directory and an account are there; false: on the way. */
bool client_ready(struct client *client, struct turn *turn);
bool client_has_directory(struct client *client, struct turn *turn);
bool client_make_key(struct client *client, struct turn *turn);
void client_new_account(struct client *client, struct turn *turn, enum manner manner, enum step_way way);
void client_new_authz(struct client *client, struct turn *turn, size_t i);
void client_new_order(struct client *client, struct turn *turn, enum manner manner);
void client_another_order(struct client *client, struct turn *turn, struct poll *poll); /* habit new-order-each-poll */
void client_forget_order(struct client *client, struct turn *turn);
void client_read_authz(struct client *client, struct turn *turn, enum manner manner, size_t i);
void client_poll_challenge(struct client *client, struct turn *turn, enum manner manner, size_t i,
                           enum challenge_type type);
void client_answer(struct client *client, struct turn *turn, enum manner manner, size_t i, enum challenge_type type);
void client_deactivate(struct client *client, struct turn *turn, size_t i);
void client_poll_order(struct client *client, struct turn *turn, enum manner manner);
void client_finalize(struct client *client, struct turn *turn, enum manner manner, client_then *then);
void client_on_finalize(struct client *client, struct turn *turn, const struct heard *heard);
void client_on_spare_finalize(struct client *client, struct turn *turn, const struct heard *heard);
void client_download(struct client *client, struct turn *turn, enum manner manner);
/* Only a message to the responder. */
void client_provision(struct client *client, struct turn *turn, struct client_authz *authz, enum challenge_type type,
                      bool withdraw);
void client_withdraw_all(struct client *client, struct turn *turn);

/* client_obtain.c */
void client_obtain(struct client *client, struct turn *turn);
enum poll_when { POLL_NOW, POLL_LATER, POLL_ENOUGH };
/* Whether that resource may be looked at now; LATER: a wait has been set; ENOUGH: patience is used up, *ret_why says
 * how. */
enum poll_when client_may_poll(struct client *client, struct turn *turn, struct poll *poll, struct str *ret_why);
bool client_failed_before(const struct client *client, const struct client_authz *authz, enum challenge_type type);

/* client_steps.c */
void client_next_step(struct client *client, struct turn *turn);

#endif
