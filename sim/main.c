#include "command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    command_fn *run;
    const char *arguments, *help;
} commands[] = {
    {"run",            command_run,          "[SCENARIO...]",
     "rehearse scenarios: simulate both sides, or put a client or a server under test"                                                         },
    {"list",           command_list,         "[WHAT]",        "list scenarios, profiles, events, faults, rules, clauses or habits"             },
    {"show",           command_show,         "SCENARIO...",   "tell in prose what a scenario does, without running it"                         },
    {"lint",           command_lint,         "[SCENARIO...]", "check scenario files; complaints are FILE:LINE:COLUMN: text"                    },
    {"judge",          command_judge,        "PATH...",       "judge a stored history again, without any network"                              },
    {"probe",          command_probe,        "",              "ask a CA what it makes of wrong answers, and name the profile that it resembles"},
    {"serve",          command_serve,        "",              "stay up as a CA on HTTPS, with a profile or a scenario"                         },
    {"respond",        command_respond,      "",
     "stay up as challenge responders: HTTP, HTTPS, DNS, TLS, and an interface to fill them"                                                   },
    {"challtestsrv",   command_challtestsrv, "",              "the same under the options and with the words of " ORIGINAL_NAME                },
    {ORIGINAL_CA_NAME, command_pebble,       "",
     "`serve` under the options, the configuration file and the environment of " ORIGINAL_CA_NAME                                              },
    {"adapters",       command_adapters,     "",              "list the clients and servers that can be put under test here"                   },
};

static void help(FILE *out)
{
    fputs(
        "acmedrill rehearses ACME (RFC 8555): it plays the CA, the challenge responders and the client from scenario\n"
        "files, writes down all that crosses the wire, and judges it.\n\n"
        "usage: acmedrill COMMAND [ARGUMENT...]\n\n",
        out);
    for (size_t i = 0; i < COUNTOF(commands); i++)
        fprintf(out, "  %-12s %-14s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    fputs("  version                     print the version\n\n"
          "Start with `acmedrill run`: it simulates all scenarios. `acmedrill COMMAND --help` tells more.\n"
          "Exit status: 0 as expected, 1 failures, 2 usage, 3 invalid file, 4 nothing ran, 5 target did not start,\n"
          "70 our own fault, 130 interrupted.\n",
          out);
}

int main(int argc, char **argv)
{
    const char *names[COUNTOF(commands)];
    const char *word = argc > 1 ? argv[1] : "";
    if (argc > 0 && str_ends(str_c(argv[0]), ORIGINAL_NAME)) return command_challtestsrv(argc, argv);
    if (argc > 0 && str_ends(str_c(argv[0]), ORIGINAL_CA_NAME)) return command_pebble(argc, argv);
    if (!*word) {
        help(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        help(stdout);
        return EXIT_AS_EXPECTED;
    }
    if (strcmp(word, "version") == 0 || strcmp(word, "--version") == 0) {
        puts("acmedrill " ACMEDRILL_VERSION);
        return EXIT_AS_EXPECTED;
    }
    for (size_t i = 0; i < COUNTOF(commands); i++) {
        names[i] = commands[i].name;
        if (strcmp(word, names[i]) != 0) continue;
        char title[64];
        snprintf(title, sizeof title, "acmedrill %s", word);
        argv[1] = title;
        int status = commands[i].run(argc - 1, argv + 1);
        if (fflush(stdout) == 0 && !ferror(stdout)) return status;
        fprintf(stderr, "acmedrill: cannot write to standard output: %s\n", strerror(errno));
        return EXIT_HARNESS;
    }
    const char *near = str_nearest(str_c(word), names, COUNTOF(names));
    fprintf(stderr, "acmedrill: unknown command \"%s\"%s%s%s\n", word, near ? " - did you mean \"" : "",
            near ? near : "", near ? "\"?" : "");
    return EXIT_USAGE;
}
