/* The clauses that scenarios and rules cite: conformance/clauses.json, on board. */
#include "plan/embedded.h"
#include "plan/scenario.h"

enum { MAX_CLAUSES = 512 };

static struct {
    struct arena arena;
    struct clause *at;
    size_t n;
    bool loaded;
} clauses;

static struct str member(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? str_copy(&clauses.arena, str_c(text)) : (struct str){0};
}

static void load(void)
{
    if (clauses.loaded) return;
    clauses.loaded = true;
    for (const struct embedded *file = embedded_files; file->path; file++) {
        if (!str_is(str_c(file->path), "conformance/clauses.json")) continue;
        json_t *root = json_loadb(file->bytes.at, file->bytes.n, JSON_REJECT_DUPLICATES, NULL);
        size_t n = json_array_size(root);
        if (n > MAX_CLAUSES) n = MAX_CLAUSES;
        clauses.at = ARENA_ARRAY(&clauses.arena, struct clause, n + 1);
        for (size_t i = 0; i < n; i++) {
            const json_t *object = json_array_get(root, i);
            struct clause *clause = &clauses.at[clauses.n++];
            struct str level = member(object, "level");
            clause->id = member(object, "id");
            clause->section = member(object, "section");
            clause->text = member(object, "text");
            clause->why = member(object, "why");
            clause->level = str_is(level, "MUST") ? LEVEL_MUST : str_is(level, "SHOULD") ? LEVEL_SHOULD : LEVEL_MAY;
            clause->party = str_is(member(object, "party"), "client") ? PARTY_CLIENT : PARTY_CA;
        }
        json_decref(root);
    }
}

const struct clause *clause_at(size_t i)
{
    load();
    return i < clauses.n ? &clauses.at[i] : NULL;
}

const struct clause *clause_find(struct str id)
{
    const struct clause *clause;
    for (size_t i = 0; (clause = clause_at(i)); i++)
        if (str_eq(clause->id, id)) return clause;
    return NULL;
}
