/* Files that travel inside the binary: profiles and clauses. Made by the build (ci/embed.cmake). */
#ifndef PLAN_EMBEDDED_H
#define PLAN_EMBEDDED_H

#include "base/str.h"

struct embedded {
    const char *path; /* "scenarios/profiles/boulder.json"; NULL ends the table */
    struct str bytes; /* NUL-terminated */
};
extern const struct embedded embedded_files[];

#endif
