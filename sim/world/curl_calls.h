/* libcurl, loaded when the first request goes out and not when the program starts: the thirty libraries that it brings
 * along take longer to load than all else that a CA does before its first answer. */
#ifndef WORLD_CURL_CALLS_H
#define WORLD_CURL_CALLS_H

#include <curl/curl.h>

#define CURL_CALLS(X)                                                                                                  \
    X(global_init)                                                                                                     \
    X(easy_init)                                                                                                       \
    X(easy_setopt)                                                                                                     \
    X(easy_getinfo)                                                                                                    \
    X(easy_strerror)                                                                                                   \
    X(easy_cleanup)                                                                                                    \
    X(slist_append)                                                                                                    \
    X(slist_free_all)                                                                                                  \
    X(multi_init)                                                                                                      \
    X(multi_setopt)                                                                                                    \
    X(multi_add_handle)                                                                                                \
    X(multi_remove_handle)                                                                                             \
    X(multi_fdset)                                                                                                     \
    X(multi_timeout)                                                                                                   \
    X(multi_perform)                                                                                                   \
    X(multi_info_read)                                                                                                 \
    X(multi_cleanup)

struct curl_calls {
#define AS_MEMBER(name) __typeof__(curl_##name) *name;
    CURL_CALLS(AS_MEMBER)
#undef AS_MEMBER
};

/* Loaded and initialized once; NULL: libcurl is not there, or lacks a call. */
const struct curl_calls *curl_calls(void);

#endif
