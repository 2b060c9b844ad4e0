/* The one list of ways an operation can fail. A bug is an assert; what a peer got wrong in ACME terms is a
 * struct problem (acme/problem.h); everything else that goes wrong is one of these. Out of memory ends the process. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err {
    OK = 0,
    ERR_MALFORMED, /* the input does not parse */
    ERR_REFUSED,   /* understood, and not acceptable */
    ERR_NOT_FOUND, /* no such file, name or entry */
    ERR_LIMIT,     /* larger, longer or deeper than we accept */
    ERR_IO,        /* the operating system said no; errno may tell more */
    ERR_CRYPTO,    /* the cryptographic library failed on input that should work */
    ERR_COUNT
};

/* A short lower-case English text, never NULL: "malformed", "not found". */
const char *err_text(enum err e);

#endif
