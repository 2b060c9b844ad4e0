/* The management interface that Pebble's users know: the CA's certificates and keys, and the state of a certificate by
 * its serial number. GET and HEAD only, to anybody who can connect. */
#ifndef MANAGEMENT_H
#define MANAGEMENT_H

#include "acme/x509.h"
#include "actor/actor.h"

/* The issuer is borrowed and must outlive the actor, and so must the CA. */
struct actor *management_new(const struct issuer *issuer, const struct actor *ca);

#endif
