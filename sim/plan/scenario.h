/* A scenario file: what is given, how the responder, the CA and the client behave, and what is expected. The reference
 * for people is conformance/scenario.schema.json and the README; this loader checks all of it, with its own words.
 *
 * A file has one case, or one per variant: each case is complete in itself (overlay already applied, its expectations
 * after the shared ones). */
#ifndef PLAN_SCENARIO_H
#define PLAN_SCENARIO_H

#include "plan/fault_rule.h"
#include "plan/phrase.h"
#include "plan/profile.h"

enum {
    SCENARIO_MAX_NAMES = 16,
    SCENARIO_MAX_ANSWERS = 64,
    SCENARIO_MAX_STEPS = 64,
    SCENARIO_MAX_EXPECTS = 64,
    SCENARIO_MAX_RULES = 32
};

/* --- responder: what the validator meets ----------------------------------------------------------------- */
enum answer_kind {
    ANSWER_OK,   /* the provisioned proof */
    ANSWER_HTTP, /* status, headers, body, delivery */
    ANSWER_DNS,  /* rcode, records, delivery */
    ANSWER_TLS   /* alpn, certificate defects, delivery */
};
enum tls_defect {
    TLS_GOOD,
    TLS_NO_ALPN,
    TLS_WRONG_CERT, /* the digest is another one */
    TLS_ALERT,
    TLS_OTHER_ALPN,
    TLS_WRONG_SAN,
    TLS_EXTRA_SAN,
    TLS_UPPER_SAN,
    TLS_NO_EXTENSION,
    TLS_NOT_CRITICAL,
    TLS_OBSOLETE_OID,
    TLS_NOT_SELF_SIGNED,
    TLS_TWO_CERTIFICATES,
    TLS_EXPIRED
};
struct answer {
    struct str word; /* as written: "404", "wrong-body", "timeout" */
    enum answer_kind kind;
    int times; /* "404 x9": 9; the last entry of a list repeats for ever */
    int status;
    struct headers *headers; /* NULL = none */
    struct str body;         /* {proof} stands for the right answer: "{proof}\n" */
    struct str redirect;     /* Location, {token} {name} {place} allowed; empty = none */
    struct delivery delivery;
    const struct fault *fault;
    enum dns_rcode rcode;
    struct str records[4];
    size_t n_records;
    enum tls_defect defect;
};
struct answers {
    struct answer at[SCENARIO_MAX_ANSWERS];
    size_t n; /* 0 = ok for ever */
};

/* --- ca.replies: what our CA says instead of the truth --------------------------------------------------- */
struct reply {
    /* What the object claims to be; STATUS_NONE = the truth. An order claims to be processing from finalize on only,
     * and "always" only as long as it really is. */
    enum status order, authz, challenge;
    int status;       /* instead of the truth: an error with this HTTP status; the request has no effect */
    struct str error; /* problem type; with `order: invalid` it becomes the object's error member */
    struct str detail;
    struct str retry_after; /* "20s" "date+20s" "date-5s" "none" "raw:soon"; empty = as the profile says */
    int64_t delay_ms;
    const struct fault *fault;
    int times; /* 1; 0 = for ever ("times": "always") */
};
struct replies {
    struct reply at[SCENARIO_MAX_ANSWERS];
    size_t n; /* used up = normal service */
};

/* --- client: what our client is told --- */
enum on_failure {
    FAIL_GIVE_UP,
    FAIL_NEW_ORDER,
    FAIL_SAME_AUTHZ
}; /* "give up", "fall back" = same authorization while it is still
    pending, else a new order; "same authz" only the former */
enum step_kind {
    STEP_OBTAIN, /* "obtain": the rest of a polite issuance from wherever we stand */
    STEP_CREATE_ACCOUNT,
    STEP_FIND_ACCOUNT,
    STEP_READ_ACCOUNT,
    STEP_UPDATE_ACCOUNT,
    STEP_DEACTIVATE_ACCOUNT,
    STEP_CHANGE_KEY,
    STEP_READ_ORDERS,   /* all pages */
    STEP_OTHER_ACCOUNT, /* from here on by the other one of two; again: back to the first */
    STEP_CREATE_AUTHZ,  /* newAuthz, for each identifier */
    STEP_CREATE_ORDER,
    STEP_REPLACE_CERTIFICATE, /* newOrder with "replaces" */
    STEP_READ_AUTHZ,
    STEP_PROVISION,
    STEP_WITHDRAW,
    STEP_ANSWER,
    STEP_POLL_CHALLENGE,
    STEP_POLL_AUTHZ,
    STEP_POLL_ORDER,
    STEP_FINALIZE,
    STEP_DOWNLOAD,
    STEP_DOWNLOAD_ALTERNATE,
    STEP_DEACTIVATE_AUTHZ,
    STEP_REVOKE_CERTIFICATE,
    STEP_READ_RENEWAL,
    STEP_RENEW, /* politely: renewal information, the wait that it asks for, an order with "replaces" and all the rest
                 */
    STEP_WAIT,
    STEP_GIVE_UP
};
/* How a step departs from the plain one: words after it. Which step knows which is in plan/scenario_client.c. */
enum step_way {
    WAY_PLAIN,
    WAY_WITHOUT_TERMS,
    WAY_WITHOUT_BINDING,
    WAY_WRONG_MAC,
    WAY_UNKNOWN_KID,
    WAY_OTHER_BINDING, /* of another account's key */
    WAY_WITHOUT_CONTACT,
    WAY_WITH_TERMS,
    WAY_KEY_IN_USE, /* the other account's */
    WAY_SAME_KEY,
    WAY_WRONG_OLD_KEY,
    WAY_WRONG_ACCOUNT,
    WAY_WRONG_INNER_URL,
    WAY_WRONG_INNER_SIGNATURE,
    WAY_CERTIFICATE_KEY,
    WAY_UNKNOWN_KEY,
    WAY_OLD_KEY, /* the one before the last change */
    WAY_WRONG_URL,
    WAY_GET
};
/* "answer http-01", "poll challenge x5 every 1s", "poll authz until final", "wait 3s", "finalize", "provision http-01",
 * "obtain". */
struct step {
    struct str text;
    enum step_kind kind;
    enum challenge_type type;
    enum step_way way;
    int64_t reason;     /* of a revocation; -1: none is given */
    struct str contact; /* of an update; empty: the usual one */
    int times;          /* 1 */
    int64_t every_ms;   /* between repeats; also of WAIT */
    bool until_final;   /* politely, until the object's status is final (or ready, for an order) */
};

/* How our client falls short of polite: a defective client is data. Each is a word in client.habits. */
struct habits {
    bool ignores_retry_after; /* polls every poll_every_ms whatever the server says */
    bool ignores_http_date;   /* understands seconds only */
    bool repeats_nonce;       /* after badNonce sends the old nonce again */
    bool gives_up_on_bad_nonce, gives_up_on_5xx;
    bool retries_5xx_at_once;          /* no pause */
    bool tries_a_hundred_times;        /* where the polite one gives up after five */
    bool treats_processing_as_failure; /* gives up when a challenge or order is processing */
    bool treats_error_as_failure;      /* gives up when a challenge carries error, whatever its status */
    bool answers_again;                /* re-POSTs the response with every poll */
    bool answers_all;                  /* answers every offered challenge */
    bool answers_after_invalid;        /* re-POSTs to an invalid challenge */
    bool finalizes_early;              /* before the order is ready */
    bool finalizes_twice;              /* again while processing */
    bool polls_after_final;            /* goes on polling a final object a few times */
    bool polls_for_ever;               /* never gives up on pending or processing */
    bool withdraws_early;              /* takes the proof away after the first poll */
    bool never_answers, never_polls, never_downloads;
    bool claims_success;                     /* says it has a certificate when it has none */
    bool new_order_each_poll;                /* creates a new order in place of polling */
    bool hides_user_agent, sends_plain_json; /* no User-Agent; Content-Type: application/json */
    int64_t poll_every_ms;                   /* without Retry-After; 3 s */
    int64_t poll_limit_ms;                   /* patience for one object; 30 min */
};
/* The words of client.habits, in the order of the members above: "ignores-retry-after" ... */
const char *const *habit_words(size_t *ret_n);

struct client_plan {
    enum challenge_type prefers[CHALLENGE_TYPE_COUNT];
    size_t n_prefers;
    enum on_failure on_failure;
    struct step steps[SCENARIO_MAX_STEPS];
    size_t n_steps; /* 0 = obtain */
    struct habits habits;
    enum key_kind key; /* of the account; ES256 */
};

/* --- expect --- */
enum verb { VERB_EVENTUALLY, VERB_NEVER, VERB_COUNT_OF, VERB_GAP, VERB_STATES, VERB_SEQUENCE, VERB_EACH, VERB_ANY_OF };
const char *verb_text(enum verb verb); /* "eventually" "never" "count" "gap" "states" "sequence" "each" "any_of" */
enum level {
    LEVEL_MUST,
    LEVEL_SHOULD,
    LEVEL_MAY,
    LEVEL_SCENARIO
}; /* SCENARIO: no clause, the file's own wish; counts as MUST */
const char *level_text(enum level level);

/* One member of an `has`: "retry-after": "present" | ">=5s" | "<=1m" | "absent"; "error.type": "connection | dns";
 * "status": "processing" or "200"; "header.X", "body.a.b": a text, "present" or "absent"; "errors": ">=2" (entries in
 * error). */
enum comparison { COMPARE_IS, COMPARE_AT_LEAST, COMPARE_AT_MOST, COMPARE_PRESENT, COMPARE_ABSENT };
struct has {
    struct str key, text; /* as written */
    enum comparison comparison;
    struct str values[8]; /* of IS: alternatives */
    size_t n_values;
    int64_t number; /* of AT_LEAST, AT_MOST: count, or ms */
    int line, column;
};
struct expectation {
    enum verb verb;
    struct str name; /* "expect[4] never": position and verb, for reports and expected failures */
    struct str file;
    int line, column;
    struct str source;  /* the line as written, trimmed */
    struct phrase what; /* all but STATES, SEQUENCE, ANY_OF */
    bool has_within;
    int64_t within_ms;       /* EVENTUALLY */
    bool during_retry_after; /* NEVER */
    bool has_while;
    struct phrase while_; /* NEVER, EACH, COUNT, GAP */
    bool has_after, has_before;
    struct phrase after, before;
    enum comparison comparison;
    int64_t number; /* COUNT: n; GAP: ms */
    enum object states_of;
    bool states_of_challenge_type;
    enum challenge_type states_type; /* STATES */
    enum status states[16];
    size_t n_states;
    struct phrase *sequence;
    size_t n_sequence;
    struct has *has;
    size_t n_has; /* EACH */
    struct outcome_group {
        struct str name;
        struct expectation *at;
        size_t n;
    } * groups;
    size_t n_groups;   /* ANY_OF */
    struct str clause; /* empty = none */
    enum level level;
    struct str note;
};

struct scenario {
    struct str id;      /* path under scenarios/ without .json: "http-01/404-502-ok" */
    struct str variant; /* empty = none */
    struct str path, title, note;
    struct str *tags;
    size_t n_tags;
    struct str *clauses;
    size_t n_clauses;
    struct str *bugs;
    size_t n_bugs;
    struct str identifiers[SCENARIO_MAX_NAMES];
    size_t n_identifiers;
    enum challenge_type challenges[CHALLENGE_TYPE_COUNT];
    size_t n_challenges; /* offered, in this order */
    const struct profile *profile;
    bool profile_named; /* a preset by name, unchanged: a server under test can be asked whether it is like that */
    struct answers answers[CHALLENGE_TYPE_COUNT];
    struct replies replies[REQUEST_COUNT];
    bool has_replies;
    struct fault_rule rules[SCENARIO_MAX_RULES]; /* ca.faults; of several that take a reply the first acts */
    size_t n_rules;
    struct client_plan client;
    struct str *unless;
    size_t n_unless; /* always-on rules switched off */
    struct expectation *expects;
    size_t n_expects;
};
/* id or id#variant */
struct str scenario_name(struct arena *arena, const struct scenario *scenario);

struct scenario_set {
    struct scenario **at; /* the array is the caller's to free(); the cases live in the arena */
    size_t n, room;
};
/* Loads one file and appends its cases. `root` is the folder that ids are relative to. ERR_*: complaints say why,
 * nothing is appended. `defect`, or NULL: a paper whose members (given, ca, client, responder) are laid over every
 * case: a defective actor as data. */
enum err scenario_load(struct arena *arena, const char *path, const char *root, const struct paper *defect,
                       struct complaints *complaints, struct scenario_set *set);
/* The same for a text that is no file: `id` names it, in complaints too. */
enum err scenario_parse(struct arena *arena, struct str id, struct str text, const struct paper *defect,
                        struct complaints *complaints, struct scenario_set *set);
/* Checks a file, or all *.json of a folder, without keeping them: what lies in a folder named profiles is a profile,
 * the rest are scenarios. *ret_cases counts the good cases and profiles. ERR_NOT_FOUND as below. */
enum err scenario_lint(struct arena *arena, const char *path, struct complaints *complaints, size_t *ret_cases);
/* A file, or a folder searched for *.json (sorted by path; profiles/ and folders with a leading dot left out).
 * ERR_NOT_FOUND: no such path or none inside, of which nothing is complained. */
enum err scenario_find(struct arena *arena, const char *path, const struct paper *defect, struct complaints *complaints,
                       struct scenario_set *set);

/* The always-on rules that `unless` may switch off: "legal-transitions" "fresh-nonce" ... */
const char *const *rule_words(size_t *ret_n);

/* Where a case can run; the reason why not, in words, or empty. */
enum mode { MODE_SIMULATE, MODE_CLIENT, MODE_SERVER };
const char *mode_text(enum mode mode);
struct str scenario_unfit(struct arena *arena, const struct scenario *scenario, enum mode mode);

/* Clauses (conformance/clauses.json, embedded). */
struct clause {
    struct str id; /* "rfc8555#8.2-server-retries" */
    struct str section, text, why;
    enum level level;
    enum party party; /* who is bound */
};
const struct clause *clause_find(struct str id); /* NULL: unknown; loaded once */
const struct clause *clause_at(size_t i);        /* NULL past the last */

/* Prose and a sequence chart of what a case will do, without running it. */
struct str scenario_show(struct arena *arena, const struct scenario *scenario);

#endif
