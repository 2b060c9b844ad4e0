/* Adapters: the small executables in conformance/adapters that start a client or a server of somebody else's. */
#ifndef ADAPTER_H
#define ADAPTER_H

#include "base/str.h"

struct adapter {
    struct str name, version; /* of the program it starts */
    const char *path;
    struct str profile; /* server: nearest profile, may be empty */
    struct str *challenges;
    size_t n_challenges;
    struct str *features;
    size_t n_features;
    int http_port; /* server: where it insists to validate; 0 = wherever it is told */
    bool needs_netns;
};

/* Finds `name` (a path, or a name below `kind`: "clients", "servers") and asks it to describe itself. ERR_NOT_FOUND, or
 * ERR_REFUSED when the program it wraps is not installed; *reterr_why is a sentence. */
enum err adapter_find(struct arena *arena, const char *kind, const char *name, struct adapter *ret,
                      struct str *reterr_why);
/* Folder of all adapters of a kind: "conformance/adapters/clients", or beside the build that this binary sits in. */
struct str adapter_folder(struct arena *arena, const char *kind);
/* A file or folder of the project: below the working folder, or below the tree that this binary was built in; empty:
 * neither. */
struct str project_path(struct arena *arena, const char *path);

#endif
