/* A CA that is up until somebody stops it: its listeners, its actors and the hall, whatever command asked for it. */
#ifndef SERVING_H
#define SERVING_H

#include "acme/x509.h"
#include "plan/scenario.h"

#define SERVING_DNS_SERVER "127.0.0.1:8053"

/* What was opened; for the words that a command greets its user with. */
struct serving_places {
    struct str directory_url, status_url;    /* status_url empty: nobody serves it */
    int port, control_port, management_port; /* real ones; 0: none */
};

struct serving {
    const char *command; /* in messages: "acmedrill serve" */
    const struct profile *profile;
    const struct scenario *scenario; /* NULL: nothing is scripted */
    const char *address;
    int port;                   /* 0: asks for a free one, here and below */
    bool plain;                 /* HTTP in place of HTTPS */
    bool any_host;              /* URLs have the host that the request came for; else that of `address` */
    struct str certificate_pem; /* what the listeners show; empty: a certificate of the CA's own */
    const struct key *key;      /* its key, borrowed */
    int http_port, tls_port;    /* where http-01 and tls-alpn-01 are looked for, in place of 80 and 443 */
    const char *dns_server;     /* IP:PORT; NULL: every name is at 127.0.0.1, and TXT is asked of SERVING_DNS_SERVER */
    bool always_valid;
    int status_port;                /* OCSP and CRL by plain HTTP at `address`; -1: none */
    int control_port;               /* 127.0.0.1; -1: no control API */
    const char *management_address; /* NULL: no management interface (management.h) */
    int management_port;
    const char *trust_file, *history_file; /* written; NULL: none */
    int64_t speed;
    uint64_t seed;
    /* Called once all is open and before the first request is served; may be NULL. */
    void (*greet)(const struct serving *serving, const struct serving_places *places);
};

/* Serves until SIGINT or SIGTERM. Returns an exit status; what went wrong is said on stderr. */
int serving_run(const struct serving *serving);

#endif
