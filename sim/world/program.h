/* A foreign program under test: started with an environment and a log file in a process group of its own, watched by
 * the hall as an edge, and never left behind. */
#ifndef WORLD_PROGRAM_H
#define WORLD_PROGRAM_H

#include "world/hall.h"

struct program_options {
    const char *const *argv;
    const char *const *env; /* "NAME=value" added to a minimal environment (PATH, HOME, LANG, TMPDIR kept) */
    const char
        *log_file;      /* stdout and stderr, truncated first; NULL: stdout is read by program_line, stderr discarded */
    const char *folder; /* working folder, NULL = ours */
    int64_t limit_ms;   /* real time; then SIGTERM, a second later SIGKILL to the whole group; 0 = none */
    struct addr word;   /* who exits: MSG_EXIT's from; seat 0: no message */
    struct addr to;
};
struct program;

/* ERR_NOT_FOUND: no such program; ERR_IO: see errno. */
enum err program_start(const struct program_options *options, struct program **ret);
/* As an edge: when it ends, MSG_EXIT {success = exit status 0, reason = "gave up (exit status 1)", "cannot do this
 * (exit status 77)", "killed by signal 9", "ran past its time limit"} arrives. program_edge is owned by the hall once
 * seated. */
struct edge *program_edge(struct program *program);
bool program_ended(struct program *program, int *ret_exit_status); /* -1: by signal or limit */
/* Reads one line of its stdout without the newline, waiting at most limit_ms (real time). For server adapters, before a
 * hall runs. ERR_NOT_FOUND: its stdout has ended, or goes to a file; ERR_LIMIT: not within limit_ms, or longer than 64
 * KiB. */
enum err program_line(struct program *program, int64_t limit_ms, struct arena *arena, struct str *ret_line);
/* SIGTERM to the group, a short grace, SIGKILL; reaps. */
void program_stop(struct program *program);
void program_free(struct program *program); /* stops first */

#endif
