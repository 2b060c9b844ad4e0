/* A profile: what a CA may legitimately decide, as data. scenarios/profiles/NAME.json, or an object in a scenario that
 * names its `base`. The RFC's rows and the values of `rfc8555` are the default; a profile says only what differs. The
 * vocabulary is in conformance/profile.schema.json. */
#ifndef PLAN_PROFILE_H
#define PLAN_PROFILE_H

#include "acme/challenge.h"
#include "acme/lifecycle.h"
#include "acme/x509.h"
#include "base/rate.h"
#include "plan/paper.h"

/* The profile that is meant when none is named, and the base of those that name none. */
#define PROFILE_DEFAULT "rfc8555"

/* When failed queries are repeated by the server: "12s x10", "5s+5s x4" (5 s, then 10 s, ...), "none". */
struct retry_schedule {
    int64_t first_ms; /* after the first failed query ends */
    int64_t growth_ms;
    int count; /* retries after the first query; 0 = none */
};

enum retry_on { RETRY_ON_ANY, RETRY_ON_TRANSIENT };
/* What happens to the challenge when a query fails in this way. */
enum outcome_then {
    THEN_RETRY, /* a failed query: repeated while the schedule lasts */
    THEN_FINAL, /* the server gives up at once */
    THEN_STAYS  /* a failed query, never repeated by the server, never given up: the client may ask again */
};
/* One way in which a validation can fail, and what this CA makes of it. */
struct outcome {
    struct str failure; /* "bad-status" "wrong-body" "refused" "nxdomain" ... : plan/profile.c has the list; with the
                         * challenge type before it, "http-01 nxdomain", where that makes a difference to this CA */
    bool transient; /* would another attempt be likely to meet something else; the RFC says nothing, the table does */
    enum outcome_then then;
    struct str type; /* problem type */
    int status;
    struct str detail; /* with {url} {name} {address} {port} ... : plan/profile.c has that list too */
};
enum { PROFILE_MAX_OUTCOMES = 128 };

enum retry_after_form { RETRY_AFTER_NONE, RETRY_AFTER_SECONDS, RETRY_AFTER_DATE, RETRY_AFTER_RFC3339 };
enum error_shape {
    ERRORS_APPEND, /* every failed query adds a subproblem (8.2) */
    ERRORS_LATEST, /* the last failure only */
    ERRORS_HIDDEN  /* nothing before the challenge is invalid */
};
enum client_retry {
    CLIENT_RETRY_QUERIES, /* a re-POST while processing makes the server query at once */
    CLIENT_RETRY_IGNORED, /* 200, no effect */
    CLIENT_RETRY_REFUSED  /* malformed */
};
/* What this CA makes of certificates: plan/profile_certs.c. */
enum { REASON_COUNT = 11 }; /* codes of RFC 5280 section 5.3.1 */
/* A kind of certificate that an order may ask for by name: "profile" in draft-ietf-acme-profiles. */
struct certificate_kind {
    struct str name, title;
    int64_t lifetime_ms;
};
enum { PROFILE_MAX_KINDS = 8 };
struct certificate_rules {
    bool ip_identifiers;          /* RFC 8738 */
    int alternate_chains;         /* roots besides the first that certify the same intermediate */
    int chain_length;             /* intermediates */
    int renewal_from, renewal_to; /* percent of a lifetime when renewal is suggested (RFC 9773); 0, 0: not offered */
    int64_t renewal_again_ms;
    struct str renewal_explanation; /* URL; empty: none */
    struct certificate_kind kinds[PROFILE_MAX_KINDS];
    size_t n_kinds;              /* 0: the extension is not offered */
    int64_t ocsp_lifetime_ms;    /* of an OCSP answer and of a CRL */
    unsigned revocation_reasons; /* a bit for each code that a client may give */
};
/* Which address of a name is tried first, and when the other family's follows. */
enum address_order { V6_FIRST, V4_FIRST };
enum falls_back { FALLS_BACK_ON_DIAL_ERRORS, FALLS_BACK_NEVER };
/* "failed_challenge" is shorthand for two rows of the law: "kills authz" (the RFC's), "stays in authz" (until the last
 * one has failed), "leaves authz pending" (even then). */

/* Someone known to the CA by other means (RFC 8555 section 7.3.4). */
struct external_account {
    struct str kid, mac_key;
};
enum { PROFILE_MAX_EXTERNAL_ACCOUNTS = 64 };

/* What is limited, and by what it is counted. */
enum limit {
    LIMIT_NEW_ACCOUNT,           /* all accounts together */
    LIMIT_NEW_ORDER,             /* of one account */
    LIMIT_FAILED_VALIDATION,     /* of one name by one account; used up, the name is not ordered */
    LIMIT_DUPLICATE_CERTIFICATE, /* of exactly the same names, whoever orders them */
    LIMIT_COUNT
};
const char *limit_text(enum limit limit); /* "new-account" */

struct profile {
    struct str name, title, note, base; /* name: empty for an object in a scenario */
    struct law law;
    enum challenge_type challenges[CHALLENGE_TYPE_COUNT];
    size_t n_challenges; /* offered, in this order, where no scenario says which */
    struct retry_schedule retry;
    enum retry_on retry_on;
    bool gives_up; /* schedule used up -> invalid; false: stays as it is for ever */
    enum error_shape errors;
    enum client_retry client_retry;
    int64_t client_retry_every_ms; /* more re-POSTs than one per this are answered 429 rateLimited; 0 = no limit */
    bool client_retry_restarts;    /* a re-POST starts the count of retries anew */
    bool read_queries;             /* POST-as-GET of a challenge queries too */
    bool validates_inside_post;    /* the challenge POST is answered when the query has ended */
    int64_t query_delay_ms;        /* between the response and the first query */
    int64_t query_limit_ms;
    int probes_per_query; /* parallel fetches of one query */
    int max_redirects;
    bool redirect_any_port; /* else only 80 and 443 */
    bool follows_303;       /* a redirect by 303 is one; else "bad-redirect" */
    enum address_order address_order;
    enum falls_back falls_back;
    bool checks_caa;           /* RFC 8659, where names are looked up at all */
    struct str *refused_names; /* no certificate for these and what is below them */
    size_t n_refused_names;
    bool checks_nonce_form; /* a nonce that is not base64url is malformed (section 6.5.2); else it is one unknown */
    int refused_nonces;     /* of a hundred good nonces so many are refused, spread evenly: the same at every run */
    bool strict_payloads;   /* a "resource" member is refused, and a response to a challenge that is not {} */
    bool any_csr_version;   /* or only 0, as RFC 2986 section 4.1 has it */
    struct str *caa_identities;
    size_t n_caa_identities;
    int perspectives;                  /* besides the first: from how many more places each query is made */
    int quorum;                        /* how many of those may fail */
    struct str remote_prefix;          /* before the detail of a failure there */
    size_t max_body;                   /* of an http-01 answer; more is "huge" */
    struct str trims;                  /* bytes ignored at the end of an http-01 body */
    enum retry_after_form retry_after; /* form of all of ours */
    int64_t retry_after_challenge_ms;  /* while processing; -1 = just past the next query; 0 = none */
    int64_t retry_after_authz_ms;      /* while a challenge is processing; 0 = none */
    int64_t retry_after_order_ms;      /* while processing; 0 = none */
    bool processing_without_failure_has_retry_after; /* "retry_after_before_failure" */
    int64_t issue_delay_ms; /* finalize is answered `processing` for this long; 0 = valid at once */
    bool order_shows_error; /* an invalid order says why; lost to an authorization it carries the challenge's error */
    bool invalid_authz_shows_only_tried;
    bool reuses_authz; /* a valid authorization serves later orders */
    int64_t authz_lifetime_ms, order_lifetime_ms, certificate_lifetime_ms;
    bool terms_required;
    struct certificate_rules certs;
    struct str terms; /* their path below the CA's base; begins with "terms" */
    bool external_account_required;
    struct external_account external_accounts[PROFILE_MAX_EXTERNAL_ACCOUNTS];
    size_t n_external_accounts;
    bool pre_authorization;          /* there is newAuthz */
    int orders_per_page;             /* of an account's list */
    struct rate limits[LIMIT_COUNT]; /* count 0: none */
    struct outcome outcomes[PROFILE_MAX_OUTCOMES];
    size_t n_outcomes;
};

/* The roots and intermediates that this CA has. */
struct issuer_shape profile_issuer_shape(const struct profile *profile);
/* The row for a failure word of that challenge type, or of any; falls back to "any"; never NULL. */
const struct outcome *profile_outcome(const struct profile *profile, enum challenge_type type, struct str failure);
/* Does the server itself repeat the query after this failure (while its schedule lasts)? False too when there is no
 * schedule. */
bool profile_retries(const struct profile *profile, const struct outcome *outcome);

/* The first decision, by its word in a profile, in which `given` departs from `base` and `target` is not like it; NULL:
 * there is none. Left aside: how failed queries are retried, reported and timed, which can be seen and judged whatever
 * was expected. */
const char *profile_differs(const struct profile *given, const struct profile *base, const struct profile *target);

/* From a name ("boulder": embedded, or NAME.json in the folder of $ACMEDRILL_PROFILES) or from an object at `pointer`
 * of a paper. Everything in the arena. On error, complaints. */
enum err profile_load(struct arena *arena, struct str name, struct complaints *complaints, struct profile *ret);
/* What somebody who may read our files has written for a profile: a name, or the path of a file, which has a "/" or
 * ends in ".json". Its name is then the file's without ".json". */
enum err profile_open(struct arena *arena, struct str word, struct complaints *complaints, struct profile *ret);
enum err profile_read(struct arena *arena, const struct paper *paper, const json_t *value, const char *pointer,
                      struct complaints *complaints, struct profile *ret);
const char *const *profile_names(size_t *ret_n); /* of the embedded ones, sorted */
/* Checks the file of a profile, title and all. */
enum err profile_lint(struct arena *arena, const char *path, struct complaints *complaints);
enum err retry_schedule_read(struct str text, struct retry_schedule *ret);
struct str retry_schedule_text(struct arena *arena, const struct retry_schedule *schedule);
/* All failure words, as in va.h and the schema. */
const char *const *profile_failures(size_t *ret_n);

#endif
