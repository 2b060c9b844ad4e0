/* One scenario, one way, end to end: cast the actors, run the hall, judge the history. */
#ifndef REHEARSE_H
#define REHEARSE_H

#include "adapter.h"
#include "oracle/report.h"

struct rehearsal {
    enum mode mode;
    uint64_t seed;
    int64_t speed;
    enum sealing sealing;
    bool strict;
    bool all_findings;             /* keep the findings that passed, too */
    const struct adapter *adapter; /* client or server under test; NULL: simulate, or a server by URL */
    const char *server_url, *trust_file, *server_profile;
    int http_port, dns_port; /* a server by URL: where it looks for challenges, where our DNS listens; 0 = not served */
    bool all_media; /* a server under test is shown dns-01 and tls-alpn-01, too: DNS over TCP as well, and tls_port */
    int tls_port;   /* of a server by URL: where it looks for tls-alpn-01 */
    int64_t deadline_ms; /* of a run against a real program */
    const char *out;     /* folder for histories and logs; NULL: keep nothing */
    const char *command; /* "acmedrill run --client lego": for `again` */
};

/* Never fails: what goes wrong on our side is an ERROR in *ret, a target that does not start says so there. Texts in
 * the arena. */
void rehearse(struct arena *arena, const struct rehearsal *how, const struct scenario *scenario,
              struct result_case *ret);
/* Makes a folder and those above it. false: see errno. */
bool rehearse_folder(const char *path);
/* Takes a folder away with all that is in it. */
void rehearse_remove(const char *path);
/* After a run by a signal: stop at the next turn. Async-signal-safe. */
void rehearse_interrupt(void);
bool rehearse_interrupted(void);
/* Frees what is kept between rehearsals (the issuer). */
void rehearse_done(void);

#endif
