/* The management interface that Pebble's users know, open to anybody who can connect: the CA's certificates and keys,
 * the state of a certificate by its serial number, and what the CA says of its renewal. */
#ifndef MANAGEMENT_H
#define MANAGEMENT_H

#include "acme/x509.h"
#include "actor/actor.h"

/* Both are borrowed. */
struct actor *management_new(const struct issuer *issuer, struct actor *ca);

#endif
