#include "command.h"

#include "adapter.h"

#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char scenario_folder[] = "scenarios";

void complaints_print(const struct complaints *complaints)
{
    size_t shown = 0;
    for (size_t i = 0; i < complaints->n && i < 100; i++, shown++) {
        const struct complaint *c = &complaints->at[i];
        if (c->line) fprintf(stderr, "%.*s:%d:%d: %.*s\n", STR_ARGS(c->file), c->line, c->column, STR_ARGS(c->text));
        else fprintf(stderr, "%.*s: %.*s\n", STR_ARGS(c->file), STR_ARGS(c->text));
    }
    if (complaints->n > shown) fprintf(stderr, "... and %zu more\n", complaints->n - shown);
}

void print_str(struct str text)
{
    fwrite(text.at, 1, text.n, stdout);
}

bool write_out(const char *path, struct str text)
{
    if (strcmp(path, "-") == 0) {
        print_str(text);
        return true;
    }
    FILE *file = fopen(path, "w");
    bool good = file && fwrite(text.at, 1, text.n, file) == text.n;
    if (file && fclose(file) != 0) good = false;
    if (!good) fprintf(stderr, "acmedrill: cannot write %s: %s\n", path, strerror(errno));
    return good;
}

struct report_style style_of_terminal(const char *when)
{
    struct report_style style = {0};
    setlocale(LC_CTYPE, "");
    style.ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
    const char *refused = getenv("NO_COLOR");
    style.color = isatty(STDOUT_FILENO) && !(refused && *refused);
    if (when && strcmp(when, "always") == 0) style.color = true;
    if (when && strcmp(when, "never") == 0) style.color = false;
    return style;
}

struct str scenario_path(struct arena *arena, struct str word)
{
    struct stat about;
    struct str path = str_copy(arena, word);
    if (!path.n || stat(path.at, &about) == 0) return path;
    struct str as_path = project_path(arena, path.at);
    if (as_path.n) return as_path;
    struct str as_id = project_path(arena, str_fmt(arena, "scenarios/%.*s.json", STR_ARGS(word)).at);
    if (as_id.n) return as_id;
    struct str as_folder = project_path(arena, str_fmt(arena, "scenarios/%.*s", STR_ARGS(word)).at);
    return as_folder.n ? as_folder : path;
}

static void keep_variant(struct scenario_set *set, size_t first, struct str variant)
{
    size_t n = first;
    for (size_t i = first; i < set->n; i++)
        if (str_eq(set->at[i]->variant, variant)) set->at[n++] = set->at[i];
    set->n = n;
}

enum err scenario_open(struct arena *arena, const char *word, const struct paper *defect, struct complaints *complaints,
                       struct scenario_set *set, const char **reterr_why)
{
    struct str path, variant;
    struct stat about;
    bool one = stat(word, &about) != 0 && str_cut(str_c(word), '#', &path, &variant);
    if (!one) path = str_c(word);
    path = scenario_path(arena, path);
    size_t first = set->n;
    enum err e = scenario_find(arena, path.at, defect, complaints, set);
    if (one) keep_variant(set, first, variant);
    *reterr_why = e ? "no scenario there" : "no such variant";
    return e == OK && set->n == first ? ERR_NOT_FOUND : e;
}

int scenarios_open(struct arena *arena, char *const *words, size_t n, const struct paper *defect,
                   struct scenario_set *set)
{
    static char *const none[] = {scenario_folder};
    struct complaints complaints = {.arena = arena};
    bool missing = false;
    if (n == 0) words = none, n = 1;
    for (size_t i = 0; i < n; i++) {
        const char *why;
        size_t complained = complaints.n;
        enum err e = scenario_open(arena, words[i], defect, &complaints, set, &why);
        if (e == OK || complaints.n > complained) continue;
        fprintf(stderr, "acmedrill: %s: %s\n", words[i], why);
        missing = true;
    }
    complaints_print(&complaints);
    if (complaints.n) return EXIT_INVALID;
    return missing ? EXIT_NOTHING : EXIT_AS_EXPECTED;
}

bool listener_read(struct arena *arena, struct str text, const char **ret_address, int *ret_port)
{
    ptrdiff_t colon = -1;
    int64_t port;
    struct str host = STR("127.0.0.1"), number = text;
    for (size_t i = 0; i < text.n; i++)
        if (text.at[i] == ':') colon = (ptrdiff_t)i;
    if (colon >= 0) {
        host = (struct str){text.at, (size_t)colon};
        number = (struct str){text.at + colon + 1, text.n - (size_t)colon - 1};
    }
    if (!str_int(number, &port) || port > 65535) return false;
    if (host.n > 2 && host.at[0] == '[' && host.at[host.n - 1] == ']') host = (struct str){host.at + 1, host.n - 2};
    if (host.n == 0) host = STR("0.0.0.0");
    if (str_is(host, "localhost")) host = STR("127.0.0.1");
    *ret_address = str_copy(arena, host).at;
    *ret_port = (int)port;
    return true;
}

enum { MAX_FILE = 64 << 10 };
struct str file_read(struct arena *arena, const char *path)
{
    FILE *file = fopen(path, "rb");
    char *at = arena_alloc(arena, MAX_FILE);
    size_t n = file ? fread(at, 1, MAX_FILE - 1, file) : 0;
    if (file) fclose(file);
    return (struct str){at, n};
}
