#include "acme/lifecycle.h"

#include <assert.h>
#include <string.h>

static const char *const object_words[] = {"account", "order", "authz", "challenge"};
static_assert(COUNTOF(object_words) == OBJECT_COUNT, "every object has a word");

static const char *const status_words[] = {"none",    "pending",     "ready",   "processing", "valid",
                                           "invalid", "deactivated", "expired", "revoked"};
static_assert(COUNTOF(status_words) == STATUS_COUNT, "every status has a word");

static const char *const event_words[] = {
    [EV_RESPONSE] = "response",
    [EV_QUERY_FAILED] = "query-failed",
    [EV_RETRY_ASKED] = "retry-asked",
    [EV_QUERY_OK] = "query-ok",
    [EV_GAVE_UP] = "gave-up",
    [EV_CHALLENGE_VALID] = "challenge-valid",
    [EV_CHALLENGE_FAILED] = "challenge-failed",
    [EV_CHALLENGES_EXHAUSTED] = "challenges-exhausted",
    [EV_AUTHZS_VALID] = "authzs-valid",
    [EV_AUTHZ_LOST] = "authz-lost",
    [EV_FINALIZE] = "finalize",
    [EV_ISSUED] = "issued",
    [EV_ERROR] = "error",
    [EV_DEACTIVATED] = "deactivated",
    [EV_EXPIRED] = "expired",
    [EV_REVOKED] = "revoked",
};
static_assert(COUNTOF(event_words) == EV_COUNT, "every event has a word");

struct row {
    enum object object;
    enum status from;
    enum lifecycle_event event;
    enum status to;
};

/* RFC 8555 section 7.1.6, figures and prose; section 8.2 for the two rows that stay in processing; 7.4 for orders. */
static const struct row rows[] = {
    {OBJECT_CHALLENGE, STATUS_PENDING,    EV_RESPONSE,             STATUS_PROCESSING },
    {OBJECT_CHALLENGE, STATUS_PROCESSING, EV_QUERY_FAILED,         STATUS_PROCESSING },
    {OBJECT_CHALLENGE, STATUS_PROCESSING, EV_RETRY_ASKED,          STATUS_PROCESSING },
    {OBJECT_CHALLENGE, STATUS_PROCESSING, EV_QUERY_OK,             STATUS_VALID      },
    {OBJECT_CHALLENGE, STATUS_PROCESSING, EV_GAVE_UP,              STATUS_INVALID    },
    {OBJECT_CHALLENGE, STATUS_PROCESSING, EV_ERROR,                STATUS_INVALID    },

    {OBJECT_AUTHZ,     STATUS_PENDING,    EV_CHALLENGE_VALID,      STATUS_VALID      },
    {OBJECT_AUTHZ,     STATUS_PENDING,    EV_CHALLENGE_FAILED,     STATUS_INVALID    },
    {OBJECT_AUTHZ,     STATUS_PENDING,    EV_CHALLENGES_EXHAUSTED, STATUS_INVALID    },
    {OBJECT_AUTHZ,     STATUS_PENDING,    EV_ERROR,                STATUS_INVALID    },
    {OBJECT_AUTHZ,     STATUS_PENDING,    EV_DEACTIVATED,          STATUS_DEACTIVATED},
    {OBJECT_AUTHZ,     STATUS_PENDING,    EV_EXPIRED,              STATUS_EXPIRED    },
    {OBJECT_AUTHZ,     STATUS_PENDING,    EV_REVOKED,              STATUS_REVOKED    },
    {OBJECT_AUTHZ,     STATUS_VALID,      EV_DEACTIVATED,          STATUS_DEACTIVATED},
    {OBJECT_AUTHZ,     STATUS_VALID,      EV_EXPIRED,              STATUS_EXPIRED    },
    {OBJECT_AUTHZ,     STATUS_VALID,      EV_REVOKED,              STATUS_REVOKED    },

    {OBJECT_ORDER,     STATUS_PENDING,    EV_AUTHZS_VALID,         STATUS_READY      },
    {OBJECT_ORDER,     STATUS_READY,      EV_FINALIZE,             STATUS_PROCESSING },
    {OBJECT_ORDER,     STATUS_PROCESSING, EV_ISSUED,               STATUS_VALID      },
    {OBJECT_ORDER,     STATUS_PENDING,    EV_AUTHZ_LOST,           STATUS_INVALID    },
    {OBJECT_ORDER,     STATUS_READY,      EV_AUTHZ_LOST,           STATUS_INVALID    },
    {OBJECT_ORDER,     STATUS_PROCESSING, EV_AUTHZ_LOST,           STATUS_INVALID    },
    {OBJECT_ORDER,     STATUS_PENDING,    EV_ERROR,                STATUS_INVALID    },
    {OBJECT_ORDER,     STATUS_READY,      EV_ERROR,                STATUS_INVALID    },
    {OBJECT_ORDER,     STATUS_PROCESSING, EV_ERROR,                STATUS_INVALID    },
    {OBJECT_ORDER,     STATUS_PENDING,    EV_EXPIRED,              STATUS_INVALID    },
    {OBJECT_ORDER,     STATUS_READY,      EV_EXPIRED,              STATUS_INVALID    },
    {OBJECT_ORDER,     STATUS_PROCESSING, EV_EXPIRED,              STATUS_INVALID    },

    {OBJECT_ACCOUNT,   STATUS_VALID,      EV_DEACTIVATED,          STATUS_DEACTIVATED},
    {OBJECT_ACCOUNT,   STATUS_VALID,      EV_REVOKED,              STATUS_REVOKED    },
};

/* The statuses of each object, one bit each. */
#define BIT(status) (1u << (status))
static const unsigned statuses_of[] = {
    [OBJECT_ACCOUNT] = BIT(STATUS_VALID) | BIT(STATUS_DEACTIVATED) | BIT(STATUS_REVOKED),
    [OBJECT_ORDER] =
        BIT(STATUS_PENDING) | BIT(STATUS_READY) | BIT(STATUS_PROCESSING) | BIT(STATUS_VALID) | BIT(STATUS_INVALID),
    [OBJECT_AUTHZ] = BIT(STATUS_PENDING) | BIT(STATUS_VALID) | BIT(STATUS_INVALID) | BIT(STATUS_DEACTIVATED) |
                     BIT(STATUS_EXPIRED) | BIT(STATUS_REVOKED),
    [OBJECT_CHALLENGE] = BIT(STATUS_PENDING) | BIT(STATUS_PROCESSING) | BIT(STATUS_VALID) | BIT(STATUS_INVALID),
};

const char *object_text(enum object o)
{
    return (unsigned)o < OBJECT_COUNT ? object_words[o] : "object";
}

const char *status_text(enum status s)
{
    return (unsigned)s < STATUS_COUNT ? status_words[s] : "none";
}

enum status status_read(struct str text)
{
    for (enum status s = STATUS_PENDING; s < STATUS_COUNT; s++)
        if (str_is(text, status_words[s])) return s;
    return STATUS_NONE;
}

const char *lifecycle_event_text(enum lifecycle_event ev)
{
    return (unsigned)ev < EV_COUNT ? event_words[ev] : "event";
}

bool status_of_object(enum object o, enum status s)
{
    return (unsigned)o < OBJECT_COUNT && (unsigned)s < STATUS_COUNT && (statuses_of[o] & BIT(s));
}

bool status_is_final(enum object o, enum status s)
{
    for (size_t i = 0; i < COUNTOF(rows); i++)
        if (rows[i].object == o && rows[i].from == s && rows[i].to != s) return false;
    return status_of_object(o, s);
}

void law_rfc8555(struct law *law)
{
    memset(law, 0, sizeof *law);
    for (size_t i = 0; i < COUNTOF(rows); i++)
        law->to[rows[i].object][rows[i].from][rows[i].event] = rows[i].to;
}

enum err law_replace(struct law *law, enum object o, struct str row, struct str outcome)
{
    struct str from_word, event_word;
    if (!str_cut(row, ' ', &from_word, &event_word)) return ERR_NOT_FOUND;
    enum status from = status_read(from_word), to = status_read(outcome);
    if (!status_of_object(o, from)) return ERR_NOT_FOUND;
    if (!str_is(outcome, "refused") && !status_of_object(o, to)) return ERR_NOT_FOUND;
    for (enum lifecycle_event ev = 0; ev < EV_COUNT; ev++) {
        if (!str_is(event_word, event_words[ev])) continue;
        law->to[o][from][ev] = to;
        return OK;
    }
    return ERR_NOT_FOUND;
}

struct subject lifecycle_born(enum object o, enum status initial)
{
    assert(status_of_object(o, initial));
    return (struct subject){o, initial};
}

enum err lifecycle_apply(const struct law *law, struct subject *subject, enum lifecycle_event ev, enum status *ret_was)
{
    enum status to = law->to[subject->object][subject->status][ev];
    if (to == STATUS_NONE) return ERR_REFUSED;
    if (ret_was) *ret_was = subject->status;
    subject->status = to;
    return OK;
}

bool lifecycle_reachable(enum object o, enum status from, enum status to)
{
    unsigned seen = BIT(from), before = 0;
    if (!status_of_object(o, from) || !status_of_object(o, to)) return false;
    while (seen != before) {
        before = seen;
        for (size_t i = 0; i < COUNTOF(rows); i++)
            if (rows[i].object == o && (seen & BIT(rows[i].from))) seen |= BIT(rows[i].to);
    }
    return seen & BIT(to);
}
