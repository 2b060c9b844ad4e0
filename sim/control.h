/* The control API of a CA that is up: HTTP and JSON, for test suites that want to change its mind at run time, to move
 * its clock, and to ask what crossed the wire. conformance/control.openapi.json describes it. It is an actor that gets
 * requests like any other, and the only one that may reach behind the curtain. */
#ifndef CONTROL_H
#define CONTROL_H

#include "actor/actor.h"
#include "plan/scenario.h"

struct control_options {
    struct actor *ca, *va, *responder; /* borrowed */
    struct history *history;           /* borrowed; the API watches it. Of its own exchanges the log says nothing */
    const struct profile *profile;     /* what the CA was started with: DELETE returns to it */
    const struct scenario *scenario;   /* may be NULL */
};
struct actor *control_new(const struct control_options *options);

#endif
