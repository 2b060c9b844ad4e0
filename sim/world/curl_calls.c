#include "world/curl_calls.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

static bool load(struct curl_calls *calls)
{
    void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!library) return false;
#define LOAD(name)                                                                                                     \
    do {                                                                                                               \
        void *at = dlsym(library, "curl_" #name);                                                                      \
        if (!at) return false;                                                                                         \
        memcpy(&calls->name, &at, sizeof at);                                                                          \
    } while (0);
    CURL_CALLS(LOAD)
#undef LOAD
    return calls->global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

const struct curl_calls *curl_calls(void)
{
    static struct curl_calls calls;
    static enum { UNKNOWN, LOADED, MISSING } state;
    if (state == UNKNOWN) state = load(&calls) ? LOADED : MISSING;
    return state == LOADED ? &calls : NULL;
}
