/* Loading scenario files: the frame, what is given, and the overlays. */
#include "plan/scenario.h"
#include "acme/address.h"
#include "acme/resource.h"
#include "plan/parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_VARIANTS = 32, MAX_FOLDERS_DEEP = 16, MAX_FILES = 5000 };

const char *const *rule_words(size_t *ret_n)
{
    static const char *const words[] = {
        "legal-transitions", "fresh-nonce",       "nonce-reuse", "signed-url", "post-as-get-empty",
        "problem-form",      "bad-nonce-retried", "location",    "hangs",      "retry-after-form",
    };
    *ret_n = COUNTOF(words);
    return words;
}

struct str scenario_name(struct arena *arena, const struct scenario *scenario)
{
    return scenario->variant.n ? str_fmt(arena, "%.*s#%.*s", STR_ARGS(scenario->id), STR_ARGS(scenario->variant))
                               : scenario->id;
}

/* --- given ----------------------------------------------------------------------------------------------- */

static void read_identifiers(const struct desk *desk, struct node node, struct scenario *scenario)
{
    struct str text;
    if (!node_array(desk, node, "a list of DNS names and addresses", 1, SCENARIO_MAX_NAMES)) return;
    scenario->n_identifiers = 0;
    for (size_t i = 0; i < node_length(node); i++) {
        struct node item = node_item(desk, node, i);
        if (!node_text(desk, item, "a DNS name", 300, &text)) continue;
        if (!name_legal(text, NULL, NULL) && !address_canonical(text))
            node_bad(desk, item, "\"%.*s\" is not a DNS name that an order may carry", STR_ARGS(text));
        for (size_t k = 0; k < scenario->n_identifiers; k++)
            if (str_is_nocase(scenario->identifiers[k], text.at))
                node_bad(desk, item, "\"%.*s\" stands here twice", STR_ARGS(text));
        scenario->identifiers[scenario->n_identifiers++] = text;
    }
}

static void read_challenges(const struct desk *desk, struct node node, struct scenario *scenario)
{
    challenge_types_read(desk, node, scenario->challenges, &scenario->n_challenges);
    if (!scenario->n_challenges) scenario->n_challenges = 1;
}

void given_read(const struct desk *desk, struct node node, struct scenario *scenario)
{
    static const char *const keys[] = {"identifiers", "challenges", "profile", "note"};
    struct node member;
    if (!node_object(desk, node, "an object")) return;
    node_keys(desk, node, "key in given", keys, COUNTOF(keys));
    if ((member = node_member(desk, node, "identifiers")).value) read_identifiers(desk, member, scenario);
    if ((member = node_member(desk, node, "challenges")).value) read_challenges(desk, member, scenario);
    node_note(desk, node);
    if ((member = node_member(desk, node, "profile")).value) {
        struct profile *profile = ARENA_NEW(desk->arena, struct profile);
        if (profile_read(desk->arena, member.paper, member.value, member.pointer.at, desk->complaints, profile) == OK) {
            scenario->profile = profile;
            scenario->profile_named = json_is_string(member.value);
        }
    }
}

/* --- the frame --- */

static void read_clauses(const struct desk *desk, struct node node, struct scenario *scenario)
{
    const char *ids[256];
    size_t n = 0;
    if (!node_texts(desk, node, "a list of clause ids", 32, &scenario->clauses, &scenario->n_clauses)) return;
    for (const struct clause *c; n < COUNTOF(ids) && (c = clause_at(n)); n++)
        ids[n] = c->id.at;
    for (size_t i = 0; i < scenario->n_clauses; i++)
        if (!clause_find(scenario->clauses[i]))
            node_unknown(desk, node_item(desk, node, i), false, "clause", scenario->clauses[i], ids, n);
}

static void read_unless(const struct desk *desk, struct node node, struct scenario *scenario)
{
    size_t n, k;
    const char *const *words = rule_words(&n);
    if (!node_texts(desk, node, "a list of rules", 16, &scenario->unless, &scenario->n_unless)) return;
    for (size_t i = 0; i < scenario->n_unless; i++)
        if (!str_index(scenario->unless[i], words, n, &k))
            node_unknown(desk, node_item(desk, node, i), false, "rule", scenario->unless[i], words, n);
}

static void read_tags(const struct desk *desk, struct node node, struct scenario *scenario)
{
    if (!node_texts(desk, node, "a list of tags", 16, &scenario->tags, &scenario->n_tags)) return;
    for (size_t i = 0; i < scenario->n_tags; i++)
        for (size_t k = 0; k < scenario->tags[i].n; k++)
            if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-.", scenario->tags[i].at[k]) ||
                scenario->tags[i].n > 40) {
                node_bad(desk, node_item(desk, node, i), "a tag has at most 40 of a-z, 0-9, \"-\" and \".\": \"%.*s\"",
                         STR_ARGS(scenario->tags[i]));
                break;
            }
}

/* The members that a variant and a defect may lay over the rest. */
static void read_overlay(const struct desk *desk, struct node node, struct scenario *scenario)
{
    struct node member;
    if ((member = node_member(desk, node, "given")).value) given_read(desk, member, scenario);
    if ((member = node_member(desk, node, "responder")).value) responder_read(desk, member, scenario);
    if ((member = node_member(desk, node, "ca")).value) ca_read(desk, member, scenario);
    if ((member = node_member(desk, node, "client")).value) client_read(desk, member, scenario);
}

/* What tells of a file, be it a scenario or a defect. */
static void read_label(const struct desk *desk, struct node root, struct scenario *scenario)
{
    struct node member;
    int64_t version;
    member = node_member(desk, root, "acmedrill");
    if (member.value && node_int(desk, member, 0, INT64_MAX, &version) && version != 1)
        node_bad(desk, member, "version %lld of the format is not known; this program reads 1", (long long)version);
    if ((member = node_member(desk, root, "title")).value) node_text(desk, member, "a title", 200, &scenario->title);
    if ((member = node_member(desk, root, "note")).value) node_any_text(desk, member, "a note", 4000, &scenario->note);
    if ((member = node_member(desk, root, "tags")).value) read_tags(desk, member, scenario);
    if ((member = node_member(desk, root, "bugs")).value)
        node_texts(desk, member, "a list of bugs", 16, &scenario->bugs, &scenario->n_bugs);
}

static void read_frame(const struct desk *desk, struct node root, struct scenario *scenario)
{
    struct node member;
    if (!node_member(desk, root, "acmedrill").value)
        node_bad(desk, root, "the format's version is missing: \"acmedrill\": 1");
    if (!node_member(desk, root, "title").value) node_bad(desk, root, "a \"title\" is missing");
    read_label(desk, root, scenario);
    if ((member = node_member(desk, root, "clauses")).value) read_clauses(desk, member, scenario);
    if ((member = node_member(desk, root, "unless")).value) read_unless(desk, member, scenario);
}

static bool variant_name_good(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-.", name.at[i])) return false;
    return name.n > 0 && name.n <= 60;
}

static struct scenario *scenario_copy(struct arena *arena, const struct scenario *scenario)
{
    struct scenario *copy = ARENA_NEW(arena, struct scenario);
    *copy = *scenario;
    return copy;
}

/* A case from the shared part: the overlay, the defect, the overlay's assertions; then all of it is checked, unless
 * there were complaints since `before`: half of a case contradicts itself easily. */
static struct scenario *read_case(const struct desk *desk, struct node root, struct node variant,
                                  const struct scenario *shared, const struct paper *defect, size_t before)
{
    static const char *const keys[] = {"note",   "title",  "given",  "responder", "ca",
                                       "client", "expect", "unless", "clauses"};
    static const char *const defect_keys[] = {"acmedrill", "title",     "note", "tags",  "bugs",
                                              "given",     "responder", "ca",   "client"};
    struct scenario *scenario = scenario_copy(desk->arena, shared);
    struct node member;
    if (variant.value) {
        if (!node_object(desk, variant, "an object")) return NULL;
        node_keys(desk, variant, "key in a variant", keys, COUNTOF(keys));
        read_overlay(desk, variant, scenario);
        if ((member = node_member(desk, variant, "title")).value)
            node_text(desk, member, "a title", 200, &scenario->title);
        if ((member = node_member(desk, variant, "note")).value)
            node_any_text(desk, member, "a note", 4000, &scenario->note);
        if ((member = node_member(desk, variant, "unless")).value) read_unless(desk, member, scenario);
        if ((member = node_member(desk, variant, "clauses")).value) read_clauses(desk, member, scenario);
        if ((member = node_member(desk, variant, "expect")).value) expect_read(desk, member, scenario);
    }
    if (desk->complaints->n == before) scenario_check(desk, root, variant, scenario);
    if (defect && desk->complaints->n == before) {
        struct node top = node_root(defect);
        if (node_object(desk, top, "an object")) {
            struct scenario *label = ARENA_NEW(desk->arena, struct scenario);
            node_keys(desk, top, "key in a defect", defect_keys, COUNTOF(defect_keys));
            read_label(desk, top, label);
            read_overlay(desk, top, scenario);
        }
    }
    return scenario;
}

static void set_add(struct scenario_set *set, struct scenario *scenario)
{
    if (set->n == set->room) {
        size_t room = set->room ? set->room * 2 : 32;
        struct scenario **at = realloc(set->at, room * sizeof(struct scenario *));
        if (!at) {
            fputs("acmedrill: out of memory\n", stderr);
            abort();
        }
        set->at = at;
        set->room = room;
    }
    set->at[set->n++] = scenario;
}

/* What follows the last folder named "scenarios" in the file's full path; empty when there is none. */
static struct str id_in_scenarios(struct arena *arena, const char *path)
{
    char *full = realpath(path, NULL);
    struct str id = {0}, rest = full ? str_copy(arena, str_c(full)) : (struct str){0};
    free(full);
    for (ptrdiff_t at; (at = str_find(rest, "/scenarios/")) >= 0;) {
        size_t n = (size_t)at + sizeof "/scenarios/" - 1;
        id = (struct str){rest.at + n, rest.n - n};
        rest = (struct str){rest.at + n - 1, rest.n - n + 1};
    }
    return id;
}

static struct str id_of(struct arena *arena, const char *path, const char *root)
{
    struct str id = str_c(path), prefix = str_c(root), inside = {0};
    if (!str_is(prefix, "scenarios") && !str_ends(prefix, "/scenarios")) inside = id_in_scenarios(arena, path);
    if (inside.n) {
        id = inside;
        prefix.n = 0;
    }
    while (str_starts(id, "./"))
        id = (struct str){id.at + 2, id.n - 2};
    while (str_starts(prefix, "./"))
        prefix = (struct str){prefix.at + 2, prefix.n - 2};
    while (prefix.n && prefix.at[prefix.n - 1] == '/')
        prefix.n--;
    if (str_is(prefix, ".")) prefix.n = 0;
    if (prefix.n && id.n > prefix.n && memcmp(id.at, prefix.at, prefix.n) == 0 && id.at[prefix.n] == '/')
        id = (struct str){id.at + prefix.n + 1, id.n - prefix.n - 1};
    while (str_starts(id, "/"))
        id = (struct str){id.at + 1, id.n - 1};
    if (str_ends(id, ".json")) id.n -= 5;
    return str_copy(arena, id);
}

/* Every case of a paper, appended to the set when nothing is wrong. */
static enum err load_paper(const struct desk *desk, const struct paper *paper, struct str id,
                           const struct paper *defect, struct scenario_set *set)
{
    static const char *const keys[] = {"acmedrill", "title", "note",   "tags",   "bugs",   "clauses", "given",
                                       "responder", "ca",    "client", "expect", "unless", "variants"};
    struct node root = node_root(paper), member, variants;
    struct scenario *cases[MAX_VARIANTS], *shared = ARENA_NEW(desk->arena, struct scenario);
    size_t n = 0, before = desk->complaints->n;
    if (!node_object(desk, root, "an object")) return ERR_MALFORMED;
    node_keys(desk, root, "key", keys, COUNTOF(keys));
    shared->id = id;
    shared->path = paper->path;
    shared->identifiers[shared->n_identifiers++] = STR("a.example.test");
    shared->challenges[shared->n_challenges++] = CHALLENGE_HTTP_01;
    shared->client.habits = habits_default();
    struct profile *profile = ARENA_NEW(desk->arena, struct profile);
    if (profile_load(desk->arena, STR(PROFILE_DEFAULT), desk->complaints, profile)) return ERR_MALFORMED;
    shared->profile = profile;
    read_frame(desk, root, shared);
    read_overlay(desk, root, shared);
    if ((member = node_member(desk, root, "expect")).value) expect_read(desk, member, shared);
    variants = node_member(desk, root, "variants");
    if (variants.value && node_object(desk, variants, "an object of named variants")) {
        struct node_walk walk = {0};
        struct str name;
        if (json_object_size(variants.value) > MAX_VARIANTS)
            node_bad(desk, variants, "at most %d variants are allowed", MAX_VARIANTS);
        else if (!json_object_size(variants.value)) node_bad(desk, variants, "\"variants\" is empty");
        while (n < MAX_VARIANTS && node_next(desk, variants, &walk, &name, &member)) {
            if (!variant_name_good(name)) {
                node_bad_key(desk, member, "a variant's name has at most 60 of a-z, 0-9, \"-\" and \".\": \"%.*s\"",
                             (int)(name.n > 80 ? 80 : name.n), name.at);
                continue;
            }
            cases[n] = read_case(desk, root, member, shared, defect, before);
            if (cases[n]) cases[n++]->variant = str_copy(desk->arena, name);
        }
    } else if (!variants.value) {
        cases[n++] = read_case(desk, root, (struct node){0}, shared, defect, before);
    }
    if (desk->complaints->n > before) return ERR_MALFORMED;
    for (size_t i = 0; i < n; i++)
        set_add(set, cases[i]);
    return OK;
}

enum err scenario_load(struct arena *arena, const char *path, const char *root, const struct paper *defect,
                       struct complaints *complaints, struct scenario_set *set)
{
    struct desk desk = {arena, complaints};
    struct paper paper;
    enum err e = paper_read(arena, path, complaints, &paper);
    if (e) return e;
    e = load_paper(&desk, &paper, id_of(arena, path, root), defect, set);
    paper_done(&paper);
    return e;
}

enum err scenario_parse(struct arena *arena, struct str id, struct str text, const struct paper *defect,
                        struct complaints *complaints, struct scenario_set *set)
{
    struct desk desk = {arena, complaints};
    struct paper paper;
    enum err e = paper_parse(arena, id, text, complaints, &paper);
    if (e) return e;
    e = load_paper(&desk, &paper, id, defect, set);
    paper_done(&paper);
    return e;
}

/* --- finding --- */

struct found {
    struct arena *arena;
    const char **at;
    size_t n, room;
};

static void found_add(struct found *found, struct str path)
{
    if (found->n == MAX_FILES) return;
    if (found->n == found->room) {
        size_t room = found->room ? found->room * 2 : 64;
        const char **at = ARENA_ARRAY(found->arena, const char *, room);
        if (found->n) memcpy(at, found->at, found->n * sizeof *at);
        found->at = at;
        found->room = room;
    }
    found->at[found->n++] = path.at;
}

static void search(struct found *found, struct str folder, bool profiles, int depth)
{
    struct dirent *entry;
    struct stat st;
    DIR *dir = depth < MAX_FOLDERS_DEEP && found->n < MAX_FILES ? opendir(folder.at) : NULL;
    if (!dir) return;
    while (found->n < MAX_FILES && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.') continue;
        struct str path =
            str_fmt(found->arena, "%.*s%s%s", STR_ARGS(folder), str_ends(folder, "/") ? "" : "/", entry->d_name);
        if (lstat(path.at, &st) < 0) continue;
        if (S_ISDIR(st.st_mode)) {
            if (profiles || strcmp(entry->d_name, "profiles") != 0) search(found, path, profiles, depth + 1);
        } else if (str_ends(path, ".json") && (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode))) {
            found_add(found, path);
        }
    }
    closedir(dir);
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The folder that ids are relative to: the last one named "scenarios" on the way to the file, else the folder searched.
 */
static struct str root_of(struct arena *arena, struct str path, bool is_folder)
{
    size_t cut = 0;
    for (size_t i = 0; i < path.n; i++) {
        if (path.at[i] != '/' && i) continue;
        size_t start = path.at[i] == '/' ? i + 1 : 0;
        struct str rest = {path.at + start, path.n - start}, head, tail;
        bool more = str_cut(rest, '/', &head, &tail);
        if (str_is(head, "scenarios") && (more || is_folder)) cut = start + head.n;
    }
    if (cut) return str_copy(arena, (struct str){path.at, cut});
    if (is_folder) return path;
    while (path.n && path.at[path.n - 1] != '/')
        path.n--;
    return str_copy(arena, path);
}

/* The file itself, or the files of the folder, by path. */
static enum err find_files(struct found *found, const char *path, bool profiles, struct complaints *complaints,
                           struct str *ret_root)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        if (errno == ENOENT || errno == ENOTDIR) return ERR_NOT_FOUND;
        complain(complaints, str_c(path), 0, 0, "cannot be read: %s", strerror(errno));
        return ERR_IO;
    }
    struct str copy = str_copy(found->arena, str_c(path));
    *ret_root = root_of(found->arena, copy, S_ISDIR(st.st_mode));
    if (S_ISDIR(st.st_mode)) search(found, copy, profiles, 0);
    else found_add(found, copy);
    if (!found->n) return ERR_NOT_FOUND;
    if (found->n == MAX_FILES) {
        complain(complaints, copy, 0, 0, "%d JSON files or more lie there: name a folder of scenarios", MAX_FILES);
        found->n = 0;
        return ERR_LIMIT;
    }
    qsort(found->at, found->n, sizeof *found->at, by_path);
    return OK;
}

enum err scenario_find(struct arena *arena, const char *path, const struct paper *defect, struct complaints *complaints,
                       struct scenario_set *set)
{
    struct found found = {.arena = arena};
    struct str root;
    enum err first = find_files(&found, path, false, complaints, &root);
    for (size_t i = 0; i < found.n; i++) {
        enum err e = scenario_load(arena, found.at[i], root.at, defect, complaints, set);
        if (e && !first) first = e;
    }
    return first;
}

static bool is_profile(const char *path)
{
    struct str rest = str_c(path), head, folder = {0};
    while (str_cut(rest, '/', &head, &rest))
        folder = head;
    return str_is(folder, "profiles");
}

enum err scenario_lint(struct arena *arena, const char *path, struct complaints *complaints, size_t *ret_cases)
{
    struct found found = {.arena = arena};
    struct scenario_set set = {0};
    struct str root;
    enum err first = find_files(&found, path, true, complaints, &root);
    size_t n = 0;
    for (size_t i = 0; i < found.n; i++) {
        bool profile = is_profile(found.at[i]);
        enum err e = profile ? profile_lint(arena, found.at[i], complaints)
                             : scenario_load(arena, found.at[i], root.at, NULL, complaints, &set);
        n += profile && !e;
        if (e && !first) first = e;
    }
    *ret_cases = n + set.n;
    free(set.at);
    return first;
}
