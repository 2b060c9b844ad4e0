/* The subcommands. Each takes its own arguments (argv[0] is "acmedrill NAME") and returns an exit status. */
#ifndef COMMAND_H
#define COMMAND_H

#include "oracle/report.h"

enum exit_status {
    EXIT_AS_EXPECTED = 0, /* warnings allowed */
    EXIT_FAILED = 1,      /* a failure, or an expected failure that did not come */
    EXIT_USAGE = 2,
    EXIT_INVALID = 3,  /* a scenario, profile or expected file */
    EXIT_NOTHING = 4,  /* nothing matched, nothing ran */
    EXIT_TARGET = 5,   /* the target did not start */
    EXIT_HARNESS = 70, /* our own fault */
    EXIT_INTERRUPTED = 130
};

typedef int command_fn(int argc, char **argv);
command_fn command_run, command_serve, command_respond, command_challtestsrv, command_lint, command_list, command_show,
    command_judge, command_adapters, command_pebble, command_probe;

/* The programs that `respond` and `serve` can stand in for, and whose names they then go by. */
#define ORIGINAL_NAME    "pebble-challtestsrv"
#define ORIGINAL_CA_NAME "pebble"

/* Prints complaints to stderr, one line each. */
void complaints_print(const struct complaints *complaints);
/* What a command means where it is given no scenario: all. */
extern char scenario_folder[]; /* "scenarios" */
/* A word as a path: as it stands, else below the project's tree, else as an id below scenarios/. The word itself when
 * there is nothing. */
struct str scenario_path(struct arena *arena, struct str word);
/* The cases of one word: a file, a folder or an id, which may end in "#variant". An error without a complaint says that
 * there is nothing, and *reterr_why what is missing. */
enum err scenario_open(struct arena *arena, const char *word, const struct paper *defect, struct complaints *complaints,
                       struct scenario_set *set, const char **reterr_why);
/* Loads scenario files for a command: each word is a file, a folder, an id, and may end in "#variant"; none means all.
 * Prints what is wrong; returns an exit status. `defect` may be NULL. */
int scenarios_open(struct arena *arena, char *const *words, size_t n, const struct paper *defect,
                   struct scenario_set *set);
/* Colour and character set of stdout: --color=auto, NO_COLOR, the locale. NULL = auto. */
struct report_style style_of_terminal(const char *when);
void print_str(struct str text);
/* Where to listen: "127.0.0.1:53", "[::1]:53", "localhost:53", ":53" (every address), "53" (loopback). */
bool listener_read(struct arena *arena, struct str text, const char **ret_address, int *ret_port);
/* At most 64 KiB of a file; empty: errno. */
struct str file_read(struct arena *arena, const char *path);
/* Writes a whole file, "-" = stdout. false: said on stderr. */
bool write_out(const char *path, struct str text);

#endif
