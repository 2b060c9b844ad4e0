/* What people and tools read: lines on a terminal, JSON, JUnit. */
#ifndef ORACLE_REPORT_H
#define ORACLE_REPORT_H

#include "oracle/oracle.h"

enum outcome_class {
    OUTCOME_OK,
    OUTCOME_WARN, /* passed, with warnings */
    OUTCOME_FAIL,
    OUTCOME_EXPECTED, /* failed as the expected-failure file says */
    OUTCOME_STALE,    /* the file expects a failure that did not come */
    OUTCOME_SKIP,
    OUTCOME_ERROR
};
const char *outcome_class_text(enum outcome_class outcome); /* "ok" "warn" "FAIL" "expected" "STALE" "skip" "ERROR" */

/* A finished case, as plain data: what a worker hands over and what result.json holds. */
struct result_case {
    struct str name, id, variant, path, title; /* name = id#variant */
    enum outcome_class outcome;
    struct str reason; /* of SKIP, ERROR, EXPECTED, STALE */
    bool no_target;    /* ERROR: the target did not start */
    int64_t protocol_ms, real_ms;
    struct finding *findings;
    size_t n_findings; /* all that did not pass, and how many did: */
    int passed;
    struct str again, files; /* the command that repeats it; where its files are */
    struct str excerpts[8];  /* per finding in findings[]: the chart of the exchange around it, ready to print */
    struct str *clauses;
    size_t n_clauses;
    struct str *observations;
    size_t n_observations; /* server mode: "after http-01 404: challenge invalid (unauthorized), authz invalid, 1
                              attempt" */
};

/* Makes the case of a judgement; all_findings: also those that passed. The excerpt shows up to 12 exchanges around the
 * offending record, which is marked. Texts in the arena. */
void report_case(struct arena *arena, const struct judgement *judgement, const struct scenario *scenario,
                 bool all_findings, struct result_case *ret);

struct str result_case_write(struct arena *arena, const struct result_case *result); /* one JSON object */
enum err result_case_read(struct arena *arena, struct str json, struct result_case *ret);

struct report_head {
    struct str harness, mode, target, profile; /* target: "" in simulate */
    uint64_t seed;
    int64_t speed, real_ms;
    int jobs;
};
struct report_style {
    bool color, ascii, quiet, verbose;
};
/* The first line; a line for one case (and its failures, in full); the closing lines with counts. All ready to print.
 */
struct str report_head_text(struct arena *arena, const struct report_head *head, const struct report_style *style);
struct str report_case_text(struct arena *arena, const struct result_case *result, const struct report_style *style);
struct str report_failure_text(struct arena *arena, const struct result_case *result, const struct report_style *style);
/* Per-folder summary ("http-01  14 ok") for simulate; then totals. */
struct str report_folders_text(struct arena *arena, const struct result_case *const *cases, size_t n,
                               const struct report_style *style);
struct str report_totals_text(struct arena *arena, const struct report_head *head,
                              const struct result_case *const *cases, size_t n, const struct report_style *style);
struct str report_json(struct arena *arena, const struct report_head *head, const struct result_case *const *cases,
                       size_t n);
struct str report_junit(struct arena *arena, const struct report_head *head, const struct result_case *const *cases,
                        size_t n);

/* Expected failures: conformance/expected/TARGET.json, a list of {"scenario": "order/x", "expect": "expect[0] never" |
 * "rule nonce-reuse" | "*", "version": "2.1*", "reason": "..."}; "*" = any failure of it. A scenario without #variant
 * means all its variants; a version is a shell pattern, absent = all; "sometimes": true is for a race of the target's.
 * conformance/expected.schema.json is its form. */
struct expected_failure {
    struct str scenario, expect, version, reason;
    bool sometimes; /* a race: its absence is not stale */
    bool used;
};
struct expected_list {
    struct expected_failure *at;
    size_t n;
};
enum err expected_read(struct arena *arena, const char *path, struct complaints *complaints, struct expected_list *ret);
/* Turns FAIL into EXPECTED where all failed findings are expected, OK/WARN into STALE where an entry for it matched
 * nothing. */
void expected_apply(struct arena *arena, struct expected_list *list, struct str target_version,
                    struct result_case *result);
/* The file that would expect all present failures. */
struct str expected_write(struct arena *arena, const struct result_case *const *cases, size_t n);

#endif
