#include "adapter.h"

#include "world/program.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DESCRIBE_LIMIT_MS = 20000 };

struct str project_path(struct arena *arena, const char *path)
{
    char exe[PATH_MAX];
    if (access(path, F_OK) == 0) return str_copy(arena, str_c(path));
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0) return (struct str){0};
    exe[n] = 0;
    for (int up = 0; up < 3; up++) { /* build/PRESET/acmedrill */
        char *slash = strrchr(exe, '/');
        if (!slash) return (struct str){0};
        *slash = 0;
    }
    struct str beside = str_fmt(arena, "%s/%s", exe, path);
    return access(beside.at, F_OK) == 0 ? beside : (struct str){0};
}

struct str adapter_folder(struct arena *arena, const char *kind)
{
    const char *given = getenv("ACMEDRILL_ADAPTERS");
    if (given) return str_fmt(arena, "%s/%s", given, kind);
    return project_path(arena, str_fmt(arena, "conformance/adapters/%s", kind).at);
}

static struct str member_text(struct arena *arena, const json_t *root, const char *key)
{
    const json_t *value = json_object_get(root, key);
    return json_is_string(value) ? str_copy(arena, (struct str){json_string_value(value), json_string_length(value)})
                                 : (struct str){0};
}

static void member_list(struct arena *arena, const json_t *root, const char *key, struct str **ret, size_t *ret_n)
{
    const json_t *list = json_object_get(root, key);
    *ret = ARENA_ARRAY(arena, struct str, json_array_size(list) + 1);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (text) (*ret)[(*ret_n)++] = str_copy(arena, str_c(text));
    }
}

static enum err describe(struct arena *arena, struct adapter *ret, struct str *reterr_why)
{
    struct program *program = NULL;
    struct str line = {0};
    json_error_t error;
    const char *const argv[] = {ret->path, "--describe", NULL};
    enum err e = program_start(&(struct program_options){.argv = argv}, &program);
    if (e == OK) e = program_line(program, DESCRIBE_LIMIT_MS, arena, &line);
    program_free(program);
    if (e != OK) {
        *reterr_why = str_fmt(arena, "%s --describe said nothing: is the program that it starts installed?", ret->path);
        return ERR_REFUSED;
    }
    json_t *root = json_loadb(line.at, line.n, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(root)) {
        *reterr_why = str_fmt(arena, "%s --describe must print one line of JSON, not: %.*s", ret->path,
                              STR_ARGS(((struct str){line.at, line.n < 80 ? line.n : 80})));
        json_decref(root);
        return ERR_MALFORMED;
    }
    ret->name = member_text(arena, root, "name");
    ret->version = member_text(arena, root, "version");
    ret->profile = member_text(arena, root, "profile");
    ret->http_port = (int)json_integer_value(json_object_get(root, "http_port"));
    member_list(arena, root, "challenges", &ret->challenges, &ret->n_challenges);
    member_list(arena, root, "features", &ret->features, &ret->n_features);
    struct str *needs;
    size_t n_needs = 0;
    member_list(arena, root, "needs", &needs, &n_needs);
    for (size_t i = 0; i < n_needs; i++)
        if (str_is(needs[i], "netns")) ret->needs_netns = true;
    json_decref(root);
    if (ret->name.n == 0) {
        *reterr_why = str_fmt(arena, "%s --describe gives no \"name\"", ret->path);
        return ERR_MALFORMED;
    }
    return OK;
}

enum err adapter_find(struct arena *arena, const char *kind, const char *name, struct adapter *ret,
                      struct str *reterr_why)
{
    *ret = (struct adapter){0};
    struct str path = str_c(name);
    if (!strchr(name, '/')) {
        struct str folder = adapter_folder(arena, kind);
        path = str_fmt(arena, "%.*s/%s", STR_ARGS(folder), name);
    }
    char full[PATH_MAX];
    if (!realpath(path.at, full) || access(full, X_OK) != 0) {
        *reterr_why = str_fmt(arena, "no adapter \"%s\": there is no executable %.*s (`acmedrill adapters` lists them)",
                              name, STR_ARGS(path));
        return ERR_NOT_FOUND;
    }
    ret->path = str_copy(arena, str_c(full)).at;
    return describe(arena, ret, reterr_why);
}
