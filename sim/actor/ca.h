/* A certificate authority (RFC 8555) whose decisions are a profile's. It answers MSG_REQUEST on any seat, asks its
 * validator by MSG_PROBE and takes MSG_VERDICT back; retries, give-ups and slow issuance are its timers. */
#ifndef ACTOR_CA_H
#define ACTOR_CA_H

#include "acme/x509.h"
#include "actor/actor.h"
#include "plan/scenario.h"

struct ca_options {
    const struct profile *profile;   /* borrowed, outlives the CA */
    const struct scenario *scenario; /* scripted replies and offered challenges; NULL: none */
    struct str base_url; /* "https://ca.test" or "https://127.0.0.1:14000": prefix of every URL handed out */
    bool any_host;       /* URLs begin with the scheme, host and port of each request, whatever base_url says */
    struct addr validator;
    const struct issuer *issuer; /* borrowed */
    enum sealing sealing;
    bool simulated; /* no real connections: each request has its own, which ca.faults may meet */
    /* 1 = as written; 4 = every wait and Retry-After of ours a quarter, 1 s floor for Retry-After. The time that a
     * validation query may take is a limit on others, and stays. */
    int64_t speed;
};
struct actor *ca_new(const struct ca_options *options);
/* New terms of service: the path of their page (see struct profile), copied. The directory shows them, and who has not
 * agreed to these is asked to before the next order. */
void ca_set_terms(struct actor *actor, struct str path);
/* For the observer of a client under test and for `serve`: the directory's URL. */
struct str ca_directory_url(const struct actor *actor);
/* For whoever accepts real connections: the fault that the CA's next one meets, or NULL. */
const struct fault *ca_connection_fault(struct actor *actor);

/* --- behind the curtain: for whoever directs a CA that is up --- */
/* From now on it decides as this profile and answers as this scenario (NULL: nothing is scripted), from its first line
 * on. What it remembers stays. Both are borrowed and must outlive the CA: a reply that is kept back may still need the
 * old ones. */
void ca_play(struct actor *actor, const struct profile *profile, const struct scenario *scenario);
/* Accounts, orders, nonces: all is forgotten, and the scenario begins anew. A reply that is kept back never comes. */
void ca_forget(struct actor *actor);
/* A certificate that was issued, by its serial number (octets without leading zeros). false: there is none. */
struct ca_issued {
    struct str der;     /* as old as the CA's memory */
    int64_t revoked_ms; /* 0: it is not */
    int reason;
};
bool ca_issued(const struct actor *actor, struct str serial, struct ca_issued *ret);
/* From now on its renewal information is this text, be it JSON or not; copied. false: there is no such certificate. */
bool ca_set_renewal(struct actor *actor, struct str serial, struct str text);
/* What it remembers, as JSON: {"accounts": [...], "orders": [...], "authorizations": [...]}, oldest first. */
struct str ca_state(const struct actor *actor, struct arena *arena);

#endif
