#include "https.h"

#include "actor/ca.h"

#include <errno.h>

#define EXPIRED_FOR_MS (INT64_C(2) * 366 * 86400 * 1000) /* longer than any certificate of ours lives */

bool https_meets_faults(const struct scenario *scenario)
{
    for (size_t i = 0; scenario && i < scenario->n_rules; i++)
        if (scenario->rules[i].where == REQUEST_CONNECT) return true;
    return false;
}

enum err https_listen(struct arena *arena, const struct issuer *issuer, bool bad_ones, const struct str *names,
                      size_t n, int64_t now_ms, struct rng *rng, struct edge_listen_options *options, struct edge **ret)
{
    static const struct str other = {"other.example.test", 18};
    struct key *key = key_make(KEY_P256, SEALING_REAL, rng);
    enum err err = issuer_issue_server(issuer, arena, key, names, n, now_ms, rng, &options->certificate_pem);
    if (err == OK && bad_ones) {
        err = issuer_issue_server(issuer, arena, key, names, n, now_ms - EXPIRED_FOR_MS, rng, &options->expired_pem);
        if (err == OK) err = issuer_issue_server(issuer, arena, key, &other, 1, now_ms, rng, &options->other_name_pem);
    }
    options->key = key;
    if (err == OK) err = edge_listen_new(options, ret);
    int kept = errno;
    key_free(key);
    errno = kept;
    return err;
}

static const struct fault *next_fault(void *ca)
{
    return ca_connection_fault(ca);
}

void https_faults_of(struct edge *edge, struct actor *ca)
{
    edge_listen_faults(edge, next_fault, ca);
}
