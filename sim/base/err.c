#include "base/err.h"

#include <assert.h>

static const char *const texts[] = {
    [OK] = "ok",
    [ERR_MALFORMED] = "malformed",
    [ERR_REFUSED] = "refused",
    [ERR_NOT_FOUND] = "not found",
    [ERR_LIMIT] = "over the limit",
    [ERR_IO] = "input/output error",
    [ERR_CRYPTO] = "cryptographic failure",
};
static_assert(sizeof texts / sizeof *texts == ERR_COUNT, "every err has a text");

const char *err_text(enum err e)
{
    return (unsigned)e < ERR_COUNT ? texts[e] : "unknown error";
}
