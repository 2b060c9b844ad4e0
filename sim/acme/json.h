/* JSON text to jansson values, as json_loadb does it and with its flags, but several times as fast on what ACME
 * programs usually write: plain ASCII without escapes, whole numbers. Whatever else there is, and whatever is wrong, is
 * left to jansson. */
#ifndef ACME_JSON_H
#define ACME_JSON_H

#include "base/str.h"

#include <jansson.h>

/* NULL: empty or malformed. json_decref it. */
json_t *json_read(struct str text, size_t flags);

#endif
