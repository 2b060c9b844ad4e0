/* Event names of scenarios: short English phrases from a closed grammar, so that a slip is an error with "did you
 * mean".
 *
 *   [first|second|third|last] WHO DOES [OBJECT] [for NAME]        "second ca validates http-01 for a.example.test"
 *   [first|...] OBJECT becomes|leaves STATE [for NAME]            "authz becomes invalid"
 *   OBJECT is STATE                                               conditions only: "challenge is processing"
 */
#ifndef PLAN_PHRASE_H
#define PLAN_PHRASE_H

#include "acme/challenge.h"
#include "acme/lifecycle.h"

enum deed {
    /* client ... */
    DEED_CREATES_ACCOUNT,
    DEED_FINDS_ACCOUNT,
    DEED_READS_ACCOUNT,
    DEED_UPDATES_ACCOUNT,
    DEED_DEACTIVATES_ACCOUNT,
    DEED_CHANGES_KEY,
    DEED_READS_ORDERS,
    DEED_CREATES_ORDER,
    DEED_REPLACES_CERTIFICATE,
    DEED_CREATES_AUTHZ,
    DEED_READS_DIRECTORY,
    DEED_READS_NONCE,
    DEED_READS_AUTHZ,
    DEED_ANSWERS,
    DEED_POLLS_CHALLENGE,
    DEED_POLLS_AUTHZ,
    DEED_POLLS_ORDER,
    DEED_FINALIZES,
    DEED_DEACTIVATES_AUTHZ,
    DEED_REVOKES_CERTIFICATE,
    DEED_READS_RENEWAL,
    DEED_DOWNLOADS, /* the last that is a request */
    DEED_GETS_CERTIFICATE,
    DEED_GIVES_UP,
    /* ca ... */
    DEED_VALIDATES,
    DEED_FAILS,
    DEED_REPORTS_CHALLENGE, /* the first that is a reply */
    DEED_REPORTS_AUTHZ,
    DEED_REPORTS_ORDER,
    DEED_REPORTS_ACCOUNT,
    DEED_REPORTS_ORDERS,
    DEED_REPORTS_RENEWAL,
    DEED_REPORTS_CERTIFICATE,
    DEED_FINDS_NO_ACCOUNT,
    DEED_REPORTS_ERROR, /* the last */
    DEED_ISSUES,
    DEED_REVOKED,
    DEED_KEY_CHANGED,
    /* OBJECT ... */
    DEED_BECOMES,
    DEED_LEAVES,
    DEED_IS,
    DEED_COUNT
};
/* "client reads authz" is the first POST-as-GET of an authorization, "client polls authz" each later one; of a
 * challenge and an order every POST-as-GET is a poll. "client answers" is a POST of a response to a challenge, the
 * first and each repeated one. "client finds account" is newAccount with onlyReturnExisting (section 7.3.1), "client
 * creates account" every other; "ca finds no account" is the plain answer accountDoesNotExist to the former; "client
 * creates authz" is newAuthz. A newOrder with "replaces" is both "client creates order" and "client replaces
 * certificate" (RFC 9773). "ca revokes certificate" and "ca changes key" are its consent to either. "ca reports
 * certificate" is the reply that has the chain, as "client gets certificate" is. */

enum party { PARTY_CLIENT, PARTY_CA };
enum ordinal { ORDINAL_ANY, ORDINAL_FIRST, ORDINAL_SECOND, ORDINAL_THIRD, ORDINAL_LAST };

struct phrase {
    struct str text; /* as written */
    enum ordinal ordinal;
    enum deed deed;
    enum party party;   /* whose deed; of BECOMES/LEAVES/IS: the CA's */
    enum object object; /* of BECOMES LEAVES IS */
    bool any_challenge; /* the word "challenge", or no type named */
    enum challenge_type type;
    enum status status; /* of BECOMES LEAVES IS */
    struct str name;    /* identifier, empty = any */
    int line, column;   /* where it stands in its file; 0 = nowhere */
};
/* ERR_MALFORMED: *reterr_why is one line with a "did you mean" where something is near. */
enum err phrase_read(struct arena *arena, struct str text, struct phrase *ret, struct str *reterr_why);
/* Do both name the same happenings? Ordinals too. */
bool phrase_same(const struct phrase *a, const struct phrase *b);
/* Is it about one challenge type by name? */
bool phrase_typed(const struct phrase *phrase);
/* Every phrase without ordinal and name, for the schema and for `acmedrill list events`. */
struct str phrase_all(struct arena *arena, size_t i); /* empty past the last */

#endif
