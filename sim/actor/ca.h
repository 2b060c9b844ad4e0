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
    struct addr validator;
    const struct issuer *issuer; /* borrowed */
    enum sealing sealing;
    bool simulated; /* no real connections: each request has its own, which ca.faults may meet */
    int64_t speed;  /* 1 = as written; 4 = every wait and Retry-After of ours a quarter, 1 s floor for Retry-After */
};
struct actor *ca_new(const struct ca_options *options);
/* For the observer of a client under test and for `serve`: the directory's URL. */
struct str ca_directory_url(const struct actor *actor);
/* For whoever accepts real connections: the fault that the CA's next one meets, or NULL. */
const struct fault *ca_connection_fault(struct actor *actor);

#endif
