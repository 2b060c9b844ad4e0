#include "acme/problem.h"
#include "base/when.h"
#include "plan/embedded.h"
#include "plan/profile_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BASES = 4, MAX_NAMES = 64 };

/* How a validation can fail. Transient: another attempt may well meet something else, because a machine was starting, a
 * file was not yet in place or a record had not yet spread. The others are answers, and wrong ones. */
static const struct {
    const char *word;
    bool transient;
    const char *kind_of; /* what is said of that holds for this too, where it is not named itself */
} failures[] = {
    {"bad-status",         true,  NULL        },
    {"wrong-body",         false, NULL        },
    {"empty-body",         false, NULL        },
    {"huge",               false, NULL        },
    {"slow",               true,  NULL        },
    {"truncated",          true,  NULL        },
    {"refused",            true,  NULL        },
    {"reset",              true,  NULL        },
    {"closed",             true,  NULL        },
    {"timeout",            true,  NULL        },
    {"garbage",            false, NULL        },
    {"redirect-loop",      false, NULL        },
    {"too-many-redirects", false, NULL        },
    {"bad-redirect",       false, NULL        },
    {"bad-scheme",         false, NULL        },
    {"bad-port",           false, NULL        },
    {"no-address",         true,  NULL        },
    {"nxdomain",           true,  NULL        },
    {"servfail",           true,  NULL        },
    {"dns-refused",        true,  NULL        },
    {"dns-timeout",        true,  NULL        },
    {"no-txt",             true,  NULL        },
    {"wrong-txt",          true,  NULL        },
    {"no-alpn",            false, NULL        },
    {"wrong-alpn",         false, NULL        },
    {"wrong-cert",         false, NULL        },
    {"not-self-signed",    false, "wrong-cert"},
    {"wrong-names",        false, "wrong-cert"},
    {"no-extension",       false, "wrong-cert"},
    {"not-critical",       false, "wrong-cert"},
    {"bad-extension",      false, "wrong-cert"},
    {"tls-alert",          false, NULL        },
    {"plain-http",         false, "garbage"   },
    {"caa",                false, NULL        },
    {"caa-dns",            true,  NULL        },
    {"any",                false, NULL        },
};

const char *const *profile_failures(size_t *ret_n)
{
    static const char *words[COUNTOF(failures)];
    for (size_t i = 0; i < COUNTOF(failures); i++)
        words[i] = failures[i].word;
    *ret_n = COUNTOF(failures);
    return words;
}

static struct outcome *find_outcome(struct profile *profile, struct str failure)
{
    for (size_t i = 0; i < profile->n_outcomes; i++)
        if (str_eq(profile->outcomes[i].failure, failure)) return &profile->outcomes[i];
    return NULL;
}

const struct outcome *profile_outcome(const struct profile *profile, enum challenge_type type, struct str failure)
{
    char key[80];
    static const struct outcome nothing = {
        .failure = {"any",            3 },
          .type = {"serverInternal", 14},
          .status = 500
    };
    snprintf(key, sizeof key, "%s %.*s", challenge_row(type)->name, STR_ARGS(failure));
    struct outcome *found = find_outcome((struct profile *)profile, str_c(key));
    if (!found) found = find_outcome((struct profile *)profile, failure);
    if (!found) found = find_outcome((struct profile *)profile, STR("any"));
    return found ? found : &nothing;
}

bool profile_retries(const struct profile *profile, const struct outcome *outcome)
{
    return outcome->then == THEN_RETRY && profile->retry.count > 0 &&
           (profile->retry_on == RETRY_ON_ANY || outcome->transient);
}

enum err retry_schedule_read(struct str text, struct retry_schedule *ret)
{
    struct str wait, count, first, growth;
    struct retry_schedule schedule = {0};
    int64_t n;
    *ret = schedule;
    if (str_is(text, "none")) return OK;
    if (!str_cut(text, ' ', &wait, &count) || !str_starts(count, "x")) return ERR_MALFORMED;
    count = (struct str){count.at + 1, count.n - 1};
    if (!str_int(count, &n) || n < 1) return ERR_MALFORMED;
    if (n > 1000) return ERR_LIMIT;
    bool grows = str_cut(wait, '+', &first, &growth);
    enum err e = when_duration(first, &schedule.first_ms);
    if (!e && grows) e = when_duration(growth, &schedule.growth_ms);
    if (e) return e;
    if (schedule.first_ms < 100 || schedule.first_ms > DAY_MS || schedule.growth_ms > DAY_MS) return ERR_LIMIT;
    schedule.count = (int)n;
    *ret = schedule;
    return OK;
}

struct str retry_schedule_text(struct arena *arena, const struct retry_schedule *schedule)
{
    if (!schedule->count) return STR("none");
    struct str first = when_duration_text(arena, schedule->first_ms);
    if (!schedule->growth_ms) return str_fmt(arena, "%.*s x%d", STR_ARGS(first), schedule->count);
    struct str growth = when_duration_text(arena, schedule->growth_ms);
    return str_fmt(arena, "%.*s+%.*s x%d", STR_ARGS(first), STR_ARGS(growth), schedule->count);
}

const char *profile_differs(const struct profile *given, const struct profile *base, const struct profile *target)
{
    const struct {
        const char *word;
        int64_t given, base, target;
    } decisions[] = {
#define DECISION(word, member) {word, (int64_t)given->member, (int64_t)base->member, (int64_t)target->member}
        DECISION("issue_delay", issue_delay_ms),
        DECISION("query_delay", query_delay_ms),
        DECISION("order_lifetime", order_lifetime_ms),
        DECISION("authz_lifetime", authz_lifetime_ms),
        DECISION("reuses_authz", reuses_authz),
        DECISION("terms_required", terms_required),
        DECISION("max_redirects", max_redirects),
        DECISION("redirect_any_port", redirect_any_port),
        DECISION("external_account_required", external_account_required),
        DECISION("external_accounts", n_external_accounts),
        DECISION("pre_authorization", pre_authorization),
        DECISION("ip_identifiers", certs.ip_identifiers),
        DECISION("revocation_reasons", certs.revocation_reasons),
        DECISION("alternate_chains", certs.alternate_chains),
        DECISION("certificate_lifetime", certificate_lifetime_ms),
        DECISION("renewal_window", certs.renewal_to),
        DECISION("renewal_retry_after", certs.renewal_again_ms),
        DECISION("orders_per_page", orders_per_page),
#undef DECISION
    };
    for (size_t i = 0; i < COUNTOF(decisions); i++)
        if (decisions[i].given != decisions[i].base && decisions[i].given != decisions[i].target)
            return decisions[i].word;
    if (memcmp(given->limits, base->limits, sizeof base->limits) != 0 &&
        memcmp(given->limits, target->limits, sizeof target->limits) != 0)
        return "rate_limits";
    bool own_law = memcmp(&given->law, &base->law, sizeof base->law) != 0;
    return own_law && memcmp(&given->law, &target->law, sizeof target->law) != 0 ? "transitions" : NULL;
}

/* --- the vocabulary -------------------------------------------------------------------------------------- */

#define AT(member) offsetof(struct profile, member)

static const struct {
    const char *key;
    size_t at;
} bools[] = {
    {"gives_up",                       AT(gives_up)                                  },
    {"client_retry_restarts",          AT(client_retry_restarts)                     },
    {"read_queries",                   AT(read_queries)                              },
    {"validates_inside_post",          AT(validates_inside_post)                     },
    {"redirect_any_port",              AT(redirect_any_port)                         },
    {"follows_303",                    AT(follows_303)                               },
    {"retry_after_before_failure",     AT(processing_without_failure_has_retry_after)},
    {"order_shows_error",              AT(order_shows_error)                         },
    {"invalid_authz_shows_only_tried", AT(invalid_authz_shows_only_tried)            },
    {"reuses_authz",                   AT(reuses_authz)                              },
    {"terms_required",                 AT(terms_required)                            },
    {"external_account_required",      AT(external_account_required)                 },
    {"pre_authorization",              AT(pre_authorization)                         },
    {"strict_payloads",                AT(strict_payloads)                           },
    {"ip_identifiers",                 AT(certs.ip_identifiers)                      },
};

static const struct {
    const char *key;
    size_t at;
    int64_t min_ms, max_ms;
    bool none; /* the word "none" stands for 0 */
} durations[] = {
    {"client_retry_every",   AT(client_retry_every_ms),   0,     DAY_MS,        true },
    {"query_delay",          AT(query_delay_ms),          0,     DAY_MS,        false},
    {"query_timeout",        AT(query_limit_ms),          100,   DAY_MS,        false},
    {"retry_after_authz",    AT(retry_after_authz_ms),    0,     400 * DAY_MS,  true },
    {"retry_after_order",    AT(retry_after_order_ms),    0,     400 * DAY_MS,  true },
    {"issue_delay",          AT(issue_delay_ms),          0,     30 * DAY_MS,   false},
    {"authz_lifetime",       AT(authz_lifetime_ms),       1000,  4000 * DAY_MS, false},
    {"order_lifetime",       AT(order_lifetime_ms),       1000,  4000 * DAY_MS, false},
    {"certificate_lifetime", AT(certificate_lifetime_ms), 60000, 4000 * DAY_MS, false},
    {"renewal_retry_after",  AT(certs.renewal_again_ms),  1000,  400 * DAY_MS,  false},
    {"ocsp_lifetime",        AT(certs.ocsp_lifetime_ms),  60000, 4000 * DAY_MS, false},
};

static const char *const retry_on_words[] = {"any", "transient"};
static const char *const errors_words[] = {"append", "latest", "hidden"};
static const char *const client_retry_words[] = {"queries", "ignored", "refused"};
static const char *const retry_after_words[] = {"none", "seconds", "date", "rfc3339"};
static const char *const failed_words[] = {"kills authz", "stays in authz", "leaves authz pending"};
static const char *const address_order_words[] = {"v6-first", "v4-first"};
static const char *const falls_back_words[] = {"dial-errors", "never"};
static const char *const caa_words[] = {"ignored", "checked"};
static const char *const then_words[] = {"retry", "final", "stays"};

static const char *const keys[] = {
    "title",
    "note",
    "base",
    "retry",
    "retry_on",
    "gives_up",
    "errors",
    "client_retry",
    "client_retry_every",
    "client_retry_restarts",
    "read_queries",
    "validates_inside_post",
    "query_delay",
    "query_timeout",
    "probes_per_query",
    "max_redirects",
    "redirect_any_port",
    "follows_303",
    "address_order",
    "falls_back",
    "caa",
    "caa_identities",
    "refused_names",
    "strict_payloads",
    "perspectives",
    "quorum",
    "remote_prefix",
    "max_body",
    "trims",
    "retry_after",
    "retry_after_challenge",
    "retry_after_authz",
    "retry_after_order",
    "retry_after_before_failure",
    "issue_delay",
    "order_shows_error",
    "invalid_authz_shows_only_tried",
    "reuses_authz",
    "authz_lifetime",
    "order_lifetime",
    "certificate_lifetime",
    "terms_required",
    "ip_identifiers",
    "alternate_chains",
    "chain_length",
    "revocation_reasons",
    "certificate_profiles",
    "ocsp_lifetime",
    "terms",
    "external_account_required",
    "external_accounts",
    "pre_authorization",
    "orders_per_page",
    "rate_limits",
    "renewal_window",
    "renewal_retry_after",
    "renewal_explanation",
    "failed_challenge",
    "transitions",
    "outcomes",
};

/* --- outcomes and transitions ---------------------------------------------------------------------------- */

/* What a validator can tell of a failure. {peer} is address and port; {start} is {got} cut at 128 bytes, {alert} is
 * {got} in Go's spelling; {first}{and_more}: of the TXT records that were found; {scheme} and {target_port}: where
 * {got} leads, which is a Location; {names} and {certificates}: of the certificate, and how many came. */
static const char *const places[] = {
    "{url}",      "{name}",   "{address}",     "{port}",  "{peer}",         "{status}",
    "{expected}", "{got}",    "{start}",       "{place}", "{first}",        "{and_more}",
    "{alert}",    "{scheme}", "{target_port}", "{names}", "{certificates}",
};

static void check_detail(const struct desk *desk, struct node node, struct str detail)
{
    for (size_t i = 0; i < detail.n; i++) {
        size_t n = 1, k;
        if (detail.at[i] != '{') continue;
        while (i + n < detail.n && (detail.at[i + n] == '_' || (detail.at[i + n] >= 'a' && detail.at[i + n] <= 'z')))
            n++;
        if (n == 1 || i + n == detail.n || detail.at[i + n] != '}') continue;
        struct str word = {detail.at + i, n + 1};
        if (!str_index(word, places, COUNTOF(places), &k))
            node_unknown(desk, node, false, "place for a value", word, places, COUNTOF(places));
    }
}

/* The members of one outcome over a row. */
static void read_outcome(const struct desk *desk, struct node node, struct outcome *row)
{
    static const char *const outcome_keys[] = {"type", "status", "detail", "then", "transient", "note"};
    struct node member;
    size_t i, n;
    int64_t number;
    if (!node_object(desk, node, "an outcome, such as {\"type\": \"connection\"},")) return;
    node_keys(desk, node, "key in an outcome", outcome_keys, COUNTOF(outcome_keys));
    if ((member = node_member(desk, node, "type")).value &&
        node_text(desk, member, "a problem type", 200, &row->type)) {
        const char *const *types = problem_types(&n);
        if (str_find(row->type, ":") < 0 && !str_index(row->type, types, n, &i))
            node_unknown(desk, member, false, "problem type", row->type, types, n);
        row->status = problem_status(row->type);
    }
    if ((member = node_member(desk, node, "status")).value && node_int(desk, member, 400, 599, &number))
        row->status = (int)number;
    if ((member = node_member(desk, node, "detail")).value && node_any_text(desk, member, "a text", 1000, &row->detail))
        check_detail(desk, member, row->detail);
    if ((member = node_member(desk, node, "then")).value && node_word(desk, member, "outcome", then_words, 3, &i))
        row->then = (enum outcome_then)i;
    if ((member = node_member(desk, node, "transient")).value) node_bool(desk, member, &row->transient);
    node_note(desk, node);
}

/* "http-01 nxdomain": begins as what "nxdomain" is. */
static void read_typed_outcome(const struct desk *desk, struct node node, struct str key, struct str failure,
                               struct profile *profile)
{
    struct outcome *row = find_outcome(profile, key);
    if (!row) {
        if (profile->n_outcomes == PROFILE_MAX_OUTCOMES) {
            node_bad_key(desk, node, "more than %d outcomes", PROFILE_MAX_OUTCOMES);
            return;
        }
        row = &profile->outcomes[profile->n_outcomes++];
        *row = *find_outcome(profile, failure);
        row->failure = str_copy(desk->arena, key);
    }
    read_outcome(desk, node, row);
}

static void read_outcomes(const struct desk *desk, struct node node, struct profile *profile)
{
    struct node_walk walk = {0};
    struct node member;
    struct str key, type, failure;
    size_t i, n, before = desk->complaints->n;
    const char *const *words = profile_failures(&n);
    if (!node_object(desk, node, "an object of outcomes")) return;
    /* "any" speaks for every failure that is not named beside it. */
    member = node_member(desk, node, "any");
    for (size_t k = 0; member.value && k < profile->n_outcomes; k++)
        read_outcome(desk, member, &profile->outcomes[k]);
    while (node_next(desk, node, &walk, &key, &member)) {
        if (str_index(key, words, n, &i)) {
            if (!str_is(key, "any")) read_outcome(desk, member, find_outcome(profile, key));
        } else if (!str_cut(key, ' ', &type, &failure) || !challenge_type_read(type, &(enum challenge_type){0}) ||
                   !str_index(failure, words, n, &i)) {
            node_unknown(desk, member, true, "failure", key, words, n);
        }
    }
    if (desk->complaints->n > before) return;
    for (size_t k = 0; k < COUNTOF(failures); k++) {
        if (!failures[k].kind_of || node_member(desk, node, failures[k].word).value) continue;
        member = node_member(desk, node, failures[k].kind_of);
        if (member.value) read_outcome(desk, member, find_outcome(profile, str_c(failures[k].word)));
    }
    for (walk = (struct node_walk){0}; node_next(desk, node, &walk, &key, &member);)
        if (str_cut(key, ' ', &type, &failure)) read_typed_outcome(desk, member, key, failure, profile);
}

static void read_transition(const struct desk *desk, struct node node, enum object o, struct str row, struct law *law)
{
    const char *statuses[STATUS_COUNT + 1], *events[EV_COUNT];
    size_t n_statuses = 0, i;
    struct str from, event, outcome;
    for (int s = STATUS_NONE + 1; s < STATUS_COUNT; s++)
        if (status_of_object(o, (enum status)s)) statuses[n_statuses++] = status_text((enum status)s);
    for (int ev = 0; ev < EV_COUNT; ev++)
        events[ev] = lifecycle_event_text((enum lifecycle_event)ev);
    if (!str_cut(row, ' ', &from, &event)) {
        node_bad_key(desk, node, "a row is a state and an event, such as \"pending response\"");
        return;
    }
    if (!str_index(from, statuses, n_statuses, &i)) {
        node_unknown(desk, node, true, "state", from, statuses, n_statuses);
        return;
    }
    if (!str_index(event, events, EV_COUNT, &i)) {
        node_unknown(desk, node, true, "lifecycle event", event, events, EV_COUNT);
        return;
    }
    statuses[n_statuses++] = "refused";
    if (!node_text(desk, node, "a state or \"refused\"", 400, &outcome)) return;
    if (!str_index(outcome, statuses, n_statuses, &i))
        node_unknown(desk, node, false, "state", outcome, statuses, n_statuses);
    else if (law_replace(law, o, row, outcome))
        node_bad_key(desk, node, "%s has no row \"%.*s\"", object_text(o), STR_ARGS(row));
}

static void read_transitions(const struct desk *desk, struct node node, struct law *law)
{
    static const char *const objects[] = {"account", "order", "authz", "challenge"};
    struct node_walk walk = {0};
    struct node member, row;
    struct str key;
    if (!node_object(desk, node, "an object of rows by object")) return;
    node_keys(desk, node, "object", objects, COUNTOF(objects));
    for (int o = 0; o < OBJECT_COUNT; o++) {
        member = node_member(desk, node, object_text((enum object)o));
        if (!member.value ||
            !node_object(desk, member, "an object of rows, such as {\"pending response\": \"pending\"},"))
            continue;
        walk = (struct node_walk){0};
        while (node_next(desk, member, &walk, &key, &row))
            read_transition(desk, row, (enum object)o, key, law);
    }
}

static void read_failed_challenge(const struct desk *desk, struct node node, struct law *law)
{
    static const char *const outcomes[][2] = {
        {"invalid", "invalid"},
        {"pending", "invalid"},
        {"pending", "pending"}
    };
    size_t i;
    if (!node_word(desk, node, "fate of a failed challenge", failed_words, COUNTOF(failed_words), &i)) return;
    law_replace(law, OBJECT_AUTHZ, STR("pending challenge-failed"), str_c(outcomes[i][0]));
    law_replace(law, OBJECT_AUTHZ, STR("pending challenges-exhausted"), str_c(outcomes[i][1]));
}

/* --- one object ------------------------------------------------------------------------------------------ */

static void read_waits(const struct desk *desk, struct node node, struct profile *profile)
{
    struct node member;
    struct str text;
    for (size_t k = 0; k < COUNTOF(durations); k++) {
        int64_t *at = (int64_t *)(void *)((char *)profile + durations[k].at);
        if (!(member = node_member(desk, node, durations[k].key)).value) continue;
        if (durations[k].none && json_is_string(member.value) && strcmp(json_string_value(member.value), "none") == 0)
            *at = 0;
        else node_duration(desk, member, durations[k].min_ms, durations[k].max_ms, at);
    }
    member = node_member(desk, node, "retry_after_challenge");
    if (member.value && node_text(desk, member, "\"next\", \"none\" or a duration", 40, &text)) {
        if (str_is(text, "next")) profile->retry_after_challenge_ms = -1;
        else if (str_is(text, "none")) profile->retry_after_challenge_ms = 0;
        else text_duration(desk, member, text, 400 * DAY_MS, &profile->retry_after_challenge_ms);
    }
    member = node_member(desk, node, "retry");
    if (member.value && node_text(desk, member, "a schedule such as \"12s x10\"", 60, &text)) {
        enum err e = retry_schedule_read(text, &profile->retry);
        if (e == ERR_LIMIT)
            node_bad(desk, member, "\"%.*s\": waits are from 100ms to 1d, retries from 1 to 1000", STR_ARGS(text));
        else if (e)
            node_bad(desk, member, "\"%.*s\" is not a schedule: write \"12s x10\", \"5s+5s x4\" or \"none\"",
                     STR_ARGS(text));
    }
}

/* Where queries go, and from where. */
static void read_looking_up(const struct desk *desk, struct node node, struct profile *profile)
{
    struct node member;
    int64_t number;
    size_t i;
    if ((member = node_member(desk, node, "address_order")).value &&
        node_word(desk, member, "order of addresses", address_order_words, 2, &i))
        profile->address_order = (enum address_order)i;
    if ((member = node_member(desk, node, "falls_back")).value &&
        node_word(desk, member, "reason to take the other address", falls_back_words, 2, &i))
        profile->falls_back = (enum falls_back)i;
    if ((member = node_member(desk, node, "caa")).value && node_word(desk, member, "care for CAA", caa_words, 2, &i))
        profile->checks_caa = i == 1;
    if ((member = node_member(desk, node, "caa_identities")).value)
        node_texts(desk, member, "a list of names, such as \"ca.example\"", 16, &profile->caa_identities,
                   &profile->n_caa_identities);
    if ((member = node_member(desk, node, "refused_names")).value)
        node_texts(desk, member, "a list of names, such as \"blocked.example\"", 64, &profile->refused_names,
                   &profile->n_refused_names);
    if ((member = node_member(desk, node, "perspectives")).value && node_int(desk, member, 0, 9, &number))
        profile->perspectives = (int)number;
    if ((member = node_member(desk, node, "quorum")).value && node_int(desk, member, 0, 9, &number))
        profile->quorum = (int)number;
    if ((member = node_member(desk, node, "remote_prefix")).value)
        node_any_text(desk, member, "a text", 200, &profile->remote_prefix);
}

static void read_members(const struct desk *desk, struct node node, struct profile *profile)
{
    struct node member;
    int64_t number;
    size_t i;
    node_keys(desk, node, "key in a profile", keys, COUNTOF(keys));
    if ((member = node_member(desk, node, "title")).value) node_text(desk, member, "a title", 200, &profile->title);
    if ((member = node_member(desk, node, "note")).value) node_any_text(desk, member, "a note", 4000, &profile->note);
    for (size_t k = 0; k < COUNTOF(bools); k++)
        if ((member = node_member(desk, node, bools[k].key)).value)
            node_bool(desk, member, (bool *)((char *)profile + bools[k].at));
    read_waits(desk, node, profile);
    if ((member = node_member(desk, node, "retry_on")).value &&
        node_word(desk, member, "kind of failure", retry_on_words, 2, &i))
        profile->retry_on = (enum retry_on)i;
    if ((member = node_member(desk, node, "errors")).value &&
        node_word(desk, member, "form of errors", errors_words, 3, &i))
        profile->errors = (enum error_shape)i;
    if ((member = node_member(desk, node, "client_retry")).value &&
        node_word(desk, member, "answer to a client's retry", client_retry_words, 3, &i))
        profile->client_retry = (enum client_retry)i;
    if ((member = node_member(desk, node, "retry_after")).value &&
        node_word(desk, member, "form of Retry-After", retry_after_words, 4, &i))
        profile->retry_after = (enum retry_after_form)i;
    if ((member = node_member(desk, node, "probes_per_query")).value && node_int(desk, member, 1, 8, &number))
        profile->probes_per_query = (int)number;
    if ((member = node_member(desk, node, "max_redirects")).value && node_int(desk, member, 0, 50, &number))
        profile->max_redirects = (int)number;
    read_looking_up(desk, node, profile);
    if ((member = node_member(desk, node, "max_body")).value && node_int(desk, member, 1, 65535, &number))
        profile->max_body = (size_t)number;
    if ((member = node_member(desk, node, "trims")).value) node_any_text(desk, member, "a text", 16, &profile->trims);
    certificate_rules_read(desk, node, &profile->certs);
    if ((member = node_member(desk, node, "terms")).value) read_terms(desk, member, profile);
    if ((member = node_member(desk, node, "external_accounts")).value) read_external_accounts(desk, member, profile);
    if ((member = node_member(desk, node, "orders_per_page")).value && node_int(desk, member, 1, 1000, &number))
        profile->orders_per_page = (int)number;
    if ((member = node_member(desk, node, "rate_limits")).value) read_rate_limits(desk, member, profile);
    if ((member = node_member(desk, node, "failed_challenge")).value)
        read_failed_challenge(desk, member, &profile->law);
    if ((member = node_member(desk, node, "transitions")).value) read_transitions(desk, member, &profile->law);
    if ((member = node_member(desk, node, "outcomes")).value) read_outcomes(desk, member, profile);
}

/* --- names ----------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *profile_names(size_t *ret_n)
{
    static char room[MAX_NAMES][64];
    static const char *names[MAX_NAMES];
    static size_t n;
    if (!n) {
        for (const struct embedded *file = embedded_files; file->path && n < MAX_NAMES; file++) {
            struct str path = str_c(file->path);
            size_t before = sizeof "scenarios/profiles/" - 1;
            if (!str_starts(path, "scenarios/profiles/") || !str_ends(path, ".json")) continue;
            size_t length = path.n - before - 5;
            if (length == 0 || length >= sizeof room[n]) continue;
            memcpy(room[n], path.at + before, length);
            names[n] = room[n];
            n++;
        }
        qsort(names, n, sizeof *names, by_text);
    }
    *ret_n = n;
    return names;
}

static bool name_plain(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-", name.at[i]) || name.n > 60) return false;
    return name.n > 0;
}

/* The text of a profile's file: on board, or in $ACMEDRILL_PROFILES. ERR_NOT_FOUND: neither; nothing is complained of
 * then. */
static enum err open_profile(const struct desk *desk, struct str name, struct paper *ret)
{
    const char *folder = getenv("ACMEDRILL_PROFILES");
    if (!name_plain(name)) return ERR_NOT_FOUND;
    struct str path = str_fmt(desk->arena, "scenarios/profiles/%.*s.json", STR_ARGS(name));
    for (const struct embedded *file = embedded_files; file->path; file++)
        if (str_is(path, file->path)) return paper_parse(desk->arena, path, file->bytes, desk->complaints, ret);
    if (!folder || !*folder) return ERR_NOT_FOUND;
    path = str_fmt(desk->arena, "%s/%.*s.json", folder, STR_ARGS(name));
    struct arena scratch = {0};
    struct complaints unseen = {.arena = &scratch};
    enum err e = paper_read(desk->arena, path.at, &unseen, ret);
    if (e && e != ERR_NOT_FOUND && unseen.n)
        complain(desk->complaints, path, unseen.at[0].line, unseen.at[0].column, "%.*s", STR_ARGS(unseen.at[0].text));
    arena_done(&scratch);
    return e;
}

static enum err read_object(const struct desk *desk, struct node node, bool is_root, int depth, struct profile *ret);

static enum err read_named(const struct desk *desk, struct str name, int depth, struct profile *ret)
{
    struct paper paper = {0};
    size_t before = desk->complaints->n;
    if (depth > MAX_BASES) {
        complain(desk->complaints, name, 0, 0, "the bases of this profile go round in a circle or deeper than %d",
                 MAX_BASES);
        return ERR_LIMIT;
    }
    enum err e = open_profile(desk, name, &paper);
    if (!e) {
        bool is_root = str_is(name, PROFILE_DEFAULT);
        e = read_object(desk, node_root(&paper), is_root, depth, ret);
        ret->name = str_copy(desk->arena, name);
    }
    paper_done(&paper);
    if (!e && desk->complaints->n > before) e = ERR_MALFORMED;
    return e;
}

static enum err read_base(const struct desk *desk, struct node node, struct str name, int depth, struct profile *ret)
{
    size_t n;
    const char *const *names = profile_names(&n);
    enum err e = read_named(desk, name, depth, ret);
    if (e == ERR_NOT_FOUND) node_unknown(desk, node, false, "profile", name, names, n);
    return e;
}

static enum err read_object(const struct desk *desk, struct node node, bool is_root, int depth, struct profile *ret)
{
    struct node base = node_member(desk, node, "base");
    struct str name = STR(PROFILE_DEFAULT);
    enum err e = OK;
    if (!node_object(desk, node, "a profile: a name or an object")) return ERR_MALFORMED;
    *ret = (struct profile){0};
    if (base.value && !node_text(desk, base, "the name of a profile", 60, &name)) return ERR_MALFORMED;
    if (is_root) {
        law_rfc8555(&ret->law);
        for (size_t i = 0; i < COUNTOF(failures); i++)
            ret->outcomes[ret->n_outcomes++] =
                (struct outcome){.failure = str_c(failures[i].word), .transient = failures[i].transient};
    } else {
        e = base.value ? read_base(desk, base, name, depth + 1, ret) : read_named(desk, name, depth + 1, ret);
        if (e) return e;
    }
    ret->base = is_root ? (struct str){0} : name;
    ret->name = ret->title = ret->note = (struct str){0};
    read_members(desk, node, ret);
    return OK;
}

enum err profile_load(struct arena *arena, struct str name, struct complaints *complaints, struct profile *ret)
{
    struct desk desk = {arena, complaints};
    size_t n;
    const char *const *names = profile_names(&n);
    enum err e = read_named(&desk, name, 0, ret);
    if (e == ERR_NOT_FOUND) {
        const char *near = str_nearest(name, names, n);
        struct str shown = {name.at, name.n > 80 ? 80 : name.n};
        if (near)
            complain(complaints, shown, 0, 0, "unknown profile \"%.*s\" - did you mean \"%s\"?", STR_ARGS(shown), near);
        else complain(complaints, shown, 0, 0, "unknown profile \"%.*s\"", STR_ARGS(shown));
    }
    return e;
}

enum err profile_read(struct arena *arena, const struct paper *paper, const json_t *value, const char *pointer,
                      struct complaints *complaints, struct profile *ret)
{
    struct desk desk = {arena, complaints};
    struct node node = {paper, value, str_c(pointer)};
    struct str name;
    size_t before = complaints->n;
    enum err e;
    if (json_is_string(value)) {
        if (!node_text(&desk, node, "the name of a profile", 4096, &name)) return ERR_MALFORMED;
        e = read_base(&desk, node, name, 0, ret);
    } else {
        e = read_object(&desk, node, false, 0, ret);
    }
    if (e == ERR_NOT_FOUND || (!e && complaints->n > before)) e = ERR_MALFORMED;
    return e;
}

enum err profile_lint(struct arena *arena, const char *path, struct complaints *complaints)
{
    struct desk desk = {arena, complaints};
    struct paper paper;
    struct profile profile;
    struct str folder, file = str_c(path);
    size_t before = complaints->n;
    while (str_cut(file, '/', &folder, &file)) {
    }
    file = folder;
    enum err e = paper_read(arena, path, complaints, &paper);
    if (e) return e;
    bool is_root = str_is(file, PROFILE_DEFAULT ".json");
    struct node root = node_root(&paper);
    e = read_object(&desk, root, is_root, 0, &profile);
    if (!e && !profile.title.n && complaints->n == before) node_bad(&desk, root, "a profile needs a \"title\"");
    paper_done(&paper);
    if (!e && complaints->n > before) e = ERR_MALFORMED;
    return e;
}
