/* What the rooms of the validator share. Nobody outside va*.c includes this. */
#ifndef ACTOR_VA_INSIDE_H
#define ACTOR_VA_INSIDE_H

#include "acme/challenge.h"
#include "actor/va.h"

enum { VA_MAX_HOPS = 32, VA_MAX_ALIASES = 8, VA_MAX_GOT = 256, VA_MAX_QUERIES = 10000, VA_MAX_FIRST = 100 };

/* What a query is busy with: finding an address, looking at the proof, asking for CAA once it was found. */
enum phase { PHASE_ADDRESS, PHASE_PROOF, PHASE_CAA };

/* One name that is being looked up, and the aliases it led through. */
struct lookup {
    int type;
    struct str at[VA_MAX_ALIASES + 1];
    size_t n_at;
};

/* What one MSG_PROBE started: one exchange at a time, the next one where a redirect or an alias leads. */
struct query {
    struct query *next;
    struct arena arena; /* owns all texts below */
    struct addr asker;
    uint64_t asked; /* the probe's flow */
    enum challenge_type type;
    struct str name, place, proof, account;
    bool wildcard;
    int attempt, perspective;
    int64_t begun_ms, limit_ms;
    int64_t deadline_ms; /* sooner than these say while an answer is played in less time */

    enum phase phase;
    uint64_t flow; /* of the exchange under way */
    int64_t sent_ms;
    struct str at[VA_MAX_HOPS + 1]; /* URLs or names asked so far, the present one last */
    size_t n_at;
    /* Addresses of the present host: the one in use, and at most one of the other family. */
    struct lookup lookup;
    struct str host, addresses[2];
    size_t n_addresses, address;
    const char *no_address; /* why there is none, of the first family that said more than that */
    int families;           /* looked up so far */
    struct str caa_name;    /* as far as the tree was climbed */
    int status;
    /* A body that drips: judged when the last byte is there. */
    int64_t body_due_ms; /* 0 = none */
    struct str late_body;
    bool too_slow; /* headers are there, the body will not be in time */
};

/* How a query ended. failure NULL: it found the proof. */
struct finding {
    const char *failure;
    struct str expected, got;
    int status;
    struct str first; /* and the others: see struct verdict */
    size_t n_more;
    struct str names;
    size_t n_certificates;
};

struct va {
    struct actor actor;
    struct va_options options;
    struct query *queries; /* oldest first */
    size_t n_queries;
};

/* --- va.c --- */
/* Sends the verdict and forgets the query, so that whatever arrives later finds nobody. A proof that was found may have
 * to wait for CAA first. */
void va_conclude(struct va *va, struct turn *turn, struct query *query, const struct finding *finding);
/* Asks at the last place of query->at, at the address in use. */
void va_ask(struct va *va, struct turn *turn, struct query *query);

/* --- va_lookup.c: RFC 1034 as far as a validator needs it --- */
/* Looks the host of the last place up and goes on to va_ask; at once where nothing has to be looked up. */
void va_find_address(struct va *va, struct turn *turn, struct query *query);
/* The other address, if the profile takes it after a failed dial and there is one. */
bool va_next_address(const struct va *va, struct query *query);
/* "192.0.2.1:80" for that port; empty where the edge knows where. */
struct str va_connect(struct arena *arena, const struct query *query, int port);
void va_ask_caa(struct va *va, struct turn *turn, struct query *query);
/* An answer while the phase is one of these two. */
void va_lookup_answer(struct va *va, struct turn *turn, struct query *query, const struct dns_answer *answer);
/* The failure word of an answer that is none; NULL: it has what it has. */
const char *va_dns_failure(const struct dns_answer *answer);

#endif
