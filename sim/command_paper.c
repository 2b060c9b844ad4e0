/* The commands that only read paper: lint, list, show, judge, adapters. */
#include "adapter.h"
#include "command.h"

#include <argp.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static error_t no_options(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    (void)state;
    return key == ARGP_KEY_ARG ? ARGP_ERR_UNKNOWN : 0;
}

/* Index of the first argument after options. */
static int arguments(int argc, char **argv, const char *args_doc, const char *doc)
{
    int first = 1;
    const struct argp argp = {.parser = no_options, .args_doc = args_doc, .doc = doc};
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, ARGP_NO_ARGS, &first, NULL);
    return first;
}

int command_lint(int argc, char **argv)
{
    int first = arguments(
        argc, argv, "[SCENARIO...]",
        "Checks scenario and profile files and folders (default: all). Prints FILE:LINE:COLUMN: what is wrong, with a "
        "suggestion where a word is nearly right. Exit status 0: all are good; 3: something is wrong.");
    static char *none[] = {scenario_folder};
    struct arena arena = {0};
    struct complaints complaints = {.arena = &arena};
    char **words = first < argc ? argv + first : none;
    size_t n = first < argc ? (size_t)(argc - first) : 1, n_good = 0;
    int status = EXIT_AS_EXPECTED;
    for (size_t i = 0; i < n; i++) {
        size_t n_here = 0, complained = complaints.n;
        enum err e = scenario_lint(&arena, scenario_path(&arena, str_c(words[i])).at, &complaints, &n_here);
        n_good += n_here;
        if (e == OK || complaints.n > complained) continue;
        fprintf(stderr, "acmedrill: %s: no scenario or profile there (%s)\n", words[i], err_text(e));
        status = EXIT_NOTHING;
    }
    complaints_print(&complaints);
    if (complaints.n) status = EXIT_INVALID;
    if (status == EXIT_AS_EXPECTED) printf("%zu cases and profiles, nothing to complain about\n", n_good);
    arena_done(&arena);
    return status;
}

int command_show(int argc, char **argv)
{
    int first = arguments(argc, argv, "SCENARIO...",
                          "Tells what a scenario does and expects, with a chart, without running it.");
    struct arena arena = {0};
    struct scenario_set set = {0};
    if (first == argc) {
        fputs("acmedrill show: which scenario? `acmedrill list` names them\n", stderr);
        return EXIT_USAGE;
    }
    int status = scenarios_open(&arena, argv + first, (size_t)(argc - first), NULL, &set);
    for (size_t i = 0; i < set.n && status == EXIT_AS_EXPECTED; i++) {
        if (i) putchar('\n');
        print_str(scenario_show(&arena, set.at[i]));
    }
    free(set.at);
    arena_done(&arena);
    return status;
}

/* --- list
 * ------------------------------------------------------------------------------------------------------------- */
static int list_scenarios(struct arena *arena)
{
    struct scenario_set set = {0};
    int status = scenarios_open(arena, NULL, 0, NULL, &set);
    for (size_t i = 0; i < set.n && status == EXIT_AS_EXPECTED; i++) {
        const struct scenario *s = set.at[i];
        bool client = scenario_unfit(arena, s, MODE_CLIENT).n == 0,
             server = scenario_unfit(arena, s, MODE_SERVER).n == 0;
        printf("%-44s simulate%s%s  %.*s\n", scenario_name(arena, s).at, client ? " client" : "       ",
               server ? " server" : "       ", STR_ARGS(s->title));
    }
    free(set.at);
    return status;
}

static int list_profiles(struct arena *arena)
{
    size_t n;
    const char *const *names = profile_names(&n);
    struct complaints complaints = {.arena = arena};
    for (size_t i = 0; i < n; i++) {
        struct profile *profile = ARENA_NEW(arena, struct profile);
        if (profile_load(arena, str_c(names[i]), &complaints, profile) != OK) continue;
        printf("%-14s retry %-10s %.*s\n", names[i], retry_schedule_text(arena, &profile->retry).at,
               STR_ARGS(profile->title));
    }
    complaints_print(&complaints);
    return complaints.n ? EXIT_INVALID : EXIT_AS_EXPECTED;
}

static int list_events(struct arena *arena)
{
    for (size_t i = 0;; i++) {
        struct str phrase = phrase_all(arena, i);
        if (phrase.n == 0) return EXIT_AS_EXPECTED;
        printf("%.*s\n", STR_ARGS(phrase));
    }
}

static int list_faults(struct arena *arena)
{
    size_t n;
    const struct fault *faults = fault_table(&n);
    (void)arena;
    for (size_t i = 0; i < n; i++)
        printf("%-22s %s\n", faults[i].name, faults[i].help);
    return EXIT_AS_EXPECTED;
}

static int list_rules(struct arena *arena)
{
    const struct check *check;
    (void)arena;
    for (size_t i = 0; (check = check_at(i)); i++)
        printf("%-26s %-6s %-6s %-8s %s\n", check->id, level_text(check->level),
               check->judged == PARTY_CA ? "ca" : "client", check->section, check->claim);
    return EXIT_AS_EXPECTED;
}

static int list_clauses(struct arena *arena)
{
    const struct clause *clause;
    (void)arena;
    for (size_t i = 0; (clause = clause_at(i)); i++)
        printf("%-36.*s %-6s %.*s\n", STR_ARGS(clause->id), level_text(clause->level), STR_ARGS(clause->text));
    return EXIT_AS_EXPECTED;
}

static int list_habits(struct arena *arena)
{
    size_t n;
    const char *const *words = habit_words(&n);
    (void)arena;
    for (size_t i = 0; i < n; i++)
        puts(words[i]);
    return EXIT_AS_EXPECTED;
}

static const struct {
    const char *what;
    int (*list)(struct arena *arena);
} lists[] = {
    {"scenarios", list_scenarios},
    {"profiles",  list_profiles },
    {"events",    list_events   },
    {"faults",    list_faults   },
    {"rules",     list_rules    },
    {"clauses",   list_clauses  },
    {"habits",    list_habits   }
};

int command_list(int argc, char **argv)
{
    int first = arguments(argc, argv, "[scenarios|profiles|events|faults|rules|clauses|habits]",
                          "Lists what there is; scenarios by default, with the ways in which each can run.");
    const char *what = first < argc ? argv[first] : "scenarios";
    const char *names[COUNTOF(lists)];
    struct arena arena = {0};
    if (argc > first + 1) {
        fputs("acmedrill list: one list at a time\n", stderr);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < COUNTOF(lists); i++) {
        names[i] = lists[i].what;
        if (strcmp(what, names[i]) != 0) continue;
        int status = lists[i].list(&arena);
        arena_done(&arena);
        return status;
    }
    const char *near = str_nearest(str_c(what), names, COUNTOF(names));
    fprintf(stderr, "acmedrill list: there is no list of \"%s\"", what);
    if (near) fprintf(stderr, " - did you mean \"%s\"?\n", near);
    else fputs(" (`acmedrill list --help` names them)\n", stderr);
    return EXIT_USAGE;
}

/* --- judge
 * ------------------------------------------------------------------------------------------------------------- */
static const struct scenario *scenario_of(const struct scenario_set *set, const struct history *history)
{
    if (history->n == 0) return NULL;
    struct str id = event_text(&history->at[0], F_SCENARIO), variant = event_text(&history->at[0], F_VARIANT);
    for (size_t i = 0; i < set->n; i++)
        if (str_eq(set->at[i]->id, id) && str_eq(set->at[i]->variant, variant)) return set->at[i];
    return NULL;
}

static enum mode mode_of(const struct history *history)
{
    struct str mode = history->n ? event_text(&history->at[0], F_MODE) : (struct str){0};
    for (enum mode m = MODE_SIMULATE; m <= MODE_SERVER; m++)
        if (str_is(mode, mode_text(m))) return m;
    return MODE_SIMULATE;
}

/* A regular file: a FIFO would keep us waiting. NULL: said on stderr. */
static FILE *open_file(const char *path)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool known = fd >= 0 && fstat(fd, &about) == 0;
    FILE *file = known && S_ISREG(about.st_mode) ? fdopen(fd, "r") : NULL;
    if (file) return file;
    if (known) fprintf(stderr, "%s: is not a regular file\n", path);
    else fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
    if (fd >= 0) close(fd);
    return NULL;
}

enum { MAX_SPEED = 1000 };

/* The first record that no run of ours begins with: its times and speed are reckoned with. 0: there is none. */
static size_t impossible(const struct history *history)
{
    for (size_t i = 0; i < history->n; i++) {
        int64_t epoch_ms = event_int(&history->at[i], F_EPOCH_MS), speed = event_int(&history->at[i], F_SPEED);
        if (epoch_ms < 0 || epoch_ms > HISTORY_MAX_MS || speed < 0 || speed > MAX_SPEED) return i + 1;
    }
    return 0;
}

/* Judges one file; returns an exit status. */
static int judge_file(const char *path, const struct scenario_set *set, const struct report_style *style, size_t *ret_n)
{
    struct arena arena = {0};
    struct history history = {0};
    struct judgement judgement;
    struct result_case result;
    size_t line;
    bool cut;
    FILE *file = open_file(path);
    if (!file) return EXIT_INVALID;
    enum err e = history_read(file, &history, &line, &cut);
    fclose(file);
    size_t wrong = e == OK ? impossible(&history) : 0;
    if (e != OK || !history.n || wrong) {
        if (wrong) fprintf(stderr, "%s:%zu:1: not a record of a history (epoch_ms or speed)\n", path, wrong);
        else if (e == ERR_IO) fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
        else if (e != OK) fprintf(stderr, "%s:%zu:1: not a record of a history (%s)\n", path, line, err_text(e));
        else fprintf(stderr, "%s: no record is in it\n", path);
        history_done(&history);
        return EXIT_INVALID;
    }
    ++*ret_n;
    if (cut) fprintf(stderr, "%s: the last line is cut short and was left out\n", path);
    const struct scenario *scenario = scenario_of(set, &history);
    if (!scenario) fprintf(stderr, "%s: its scenario is not here; only the always-on rules are judged\n", path);
    int64_t speed = history.n ? event_int(&history.at[0], F_SPEED) : 1;
    oracle_judge(&judgement, &history, scenario,
                 &(struct oracle_options){.mode = mode_of(&history), .speed = speed > 0 ? speed : 1});
    report_case(&arena, &judgement, scenario, false, &result);
    if (!scenario) result.name = str_c(path);
    result.again = str_fmt(&arena, "acmedrill judge %s", path);
    print_str(report_case_text(&arena, &result, style));
    print_str(report_failure_text(&arena, &result, style));
    enum outcome_class outcome = result.outcome;
    judgement_done(&judgement);
    history_done(&history);
    arena_done(&arena);
    return outcome == OUTCOME_ERROR ? EXIT_HARNESS : outcome == OUTCOME_FAIL ? EXIT_FAILED : EXIT_AS_EXPECTED;
}

static void worse(int *status, int other)
{
    if (other > *status) *status = other;
}

/* Walks a folder in the order of names. */
static int judge_path(const char *path, const struct scenario_set *set, const struct report_style *style, size_t *ret_n)
{
    struct stat about;
    struct dirent **entries;
    int status = EXIT_AS_EXPECTED;
    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode)) return judge_file(path, set, style, ret_n);
    int n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        struct arena arena = {0};
        const char *name = entries[i]->d_name;
        struct str below = str_fmt(&arena, "%s/%s", path, name);
        bool folder = name[0] != '.' && stat(below.at, &about) == 0 && S_ISDIR(about.st_mode);
        if (folder || strcmp(name, "history.jsonl") == 0) worse(&status, judge_path(below.at, set, style, ret_n));
        arena_done(&arena);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
    return status;
}

int command_judge(int argc, char **argv)
{
    int first =
        arguments(argc, argv, "PATH...",
                  "Judges stored histories again: files (history.jsonl) or folders that hold them, as `run --out DIR` "
                  "writes. Needs no network and no target.");
    struct arena arena = {0};
    struct scenario_set set = {0};
    struct report_style style = style_of_terminal(NULL);
    size_t n = 0;
    if (first == argc) {
        fputs("acmedrill judge: which history? give a folder that `run --out` wrote\n", stderr);
        return EXIT_USAGE;
    }
    int status = EXIT_AS_EXPECTED;
    struct str all = scenario_path(&arena, str_c(scenario_folder));
    if (access(all.at, F_OK) == 0) status = scenarios_open(&arena, NULL, 0, NULL, &set); /* else the rules alone */
    for (int i = first; i < argc; i++)
        worse(&status, judge_path(argv[i], &set, &style, &n));
    printf("%zu %s judged\n", n, n == 1 ? "history" : "histories");
    free(set.at);
    arena_done(&arena);
    return n || status ? status : EXIT_NOTHING;
}

int command_adapters(int argc, char **argv)
{
    static const char *const kinds[] = {"clients", "servers"};
    struct arena arena = {0};
    if (arguments(argc, argv, "", "Lists the adapters, and which of their programs are installed.") < argc) {
        fputs("acmedrill adapters: it takes no argument\n", stderr);
        return EXIT_USAGE;
    }
    for (size_t k = 0; k < COUNTOF(kinds); k++) {
        struct dirent **entries;
        struct str folder = adapter_folder(&arena, kinds[k]);
        int n = folder.n ? scandir(folder.at, &entries, NULL, alphasort) : -1;
        printf("%s (run --%.6s NAME)\n", kinds[k], kinds[k]);
        for (int i = 0; i < n; i++) {
            struct adapter adapter;
            struct str why;
            const char *name = entries[i]->d_name;
            if (name[0] != '.' && !strchr(name, '.')) {
                if (adapter_find(&arena, kinds[k], name, &adapter, &why) == OK)
                    printf("  %-12s %.*s%s\n", name, STR_ARGS(adapter.version),
                           adapter.needs_netns ? "  (in a network namespace of its own)" : "");
                else printf("  %-12s not usable: %.*s\n", name, STR_ARGS(why));
            }
            free(entries[i]);
        }
        if (n >= 0) free(entries);
    }
    arena_done(&arena);
    return EXIT_AS_EXPECTED;
}
