/* Results as JSON: what a worker hands to its parent, and what --json writes. Written by hand so that the bytes depend
 * on nothing but the results: members that are empty are left out, the order is fixed. */
#include "oracle/report_parts.h"

#include <jansson.h>
#include <string.h>

static const char *party_word(enum party party)
{
    return party == PARTY_CLIENT ? "client" : "ca";
}

/* --- writing --------------------------------------------------------------------------------------------------------
 */

static void add_key(struct buf *out, const char *key)
{
    if (out->at[out->n - 1] != '{') buf_add_char(out, ',');
    buf_fmt(out, "\"%s\":", key);
}

static void add_text(struct buf *out, const char *key, struct str text)
{
    if (!text.n) return;
    add_key(out, key);
    buf_add_json(out, text);
}

static void add_number(struct buf *out, const char *key, int64_t number)
{
    add_key(out, key);
    buf_fmt(out, "%lld", (long long)number);
}

static void add_texts(struct buf *out, const char *key, const struct str *texts, size_t n)
{
    if (!n) return;
    add_key(out, key);
    buf_add_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i) buf_add_char(out, ',');
        buf_add_json(out, texts[i]);
    }
    buf_add_char(out, ']');
}

static void add_finding(struct buf *out, const struct finding *finding)
{
    buf_add_char(out, '{');
    add_text(out, "result", str_c(result_text(finding->result)));
    add_text(out, "name", finding->name);
    add_text(out, "clause", finding->clause);
    add_text(out, "level", str_c(level_text(finding->level)));
    add_text(out, "party", str_c(party_word(finding->party)));
    add_text(out, "claim", finding->claim);
    add_text(out, "why", finding->why);
    add_text(out, "expected", finding->expected);
    add_text(out, "observed", finding->observed);
    add_text(out, "hint", finding->hint);
    add_number(out, "seq", (int64_t)finding->seq);
    add_number(out, "t_ms", finding->t_ms);
    add_text(out, "file", finding->file);
    if (finding->line) add_number(out, "line", finding->line);
    if (finding->column) add_number(out, "column", finding->column);
    add_text(out, "source", finding->source);
    buf_add_char(out, '}');
}

static void add_case(struct buf *out, const struct result_case *result)
{
    size_t n_excerpts = result->n_findings < REPORT_MAX_EXCERPTS ? result->n_findings : REPORT_MAX_EXCERPTS;
    while (n_excerpts && !result->excerpts[n_excerpts - 1].n)
        n_excerpts--;
    buf_add_char(out, '{');
    add_text(out, "name", result->name);
    add_text(out, "id", result->id);
    add_text(out, "variant", result->variant);
    add_text(out, "path", result->path);
    add_text(out, "title", result->title);
    add_text(out, "outcome", str_c(outcome_class_text(result->outcome)));
    add_text(out, "reason", result->reason);
    if (result->no_target) add_number(out, "no_target", 1);
    add_number(out, "protocol_ms", result->protocol_ms);
    add_number(out, "real_ms", result->real_ms);
    add_number(out, "passed", result->passed);
    add_texts(out, "clauses", result->clauses, result->n_clauses);
    add_key(out, "findings");
    buf_add_char(out, '[');
    for (size_t i = 0; i < result->n_findings; i++) {
        if (i) buf_add_char(out, ',');
        add_finding(out, &result->findings[i]);
    }
    buf_add_char(out, ']');
    add_texts(out, "excerpts", result->excerpts, n_excerpts);
    add_texts(out, "observations", result->observations, result->n_observations);
    add_text(out, "again", result->again);
    add_text(out, "files", result->files);
    buf_add_char(out, '}');
}

struct str result_case_write(struct arena *arena, const struct result_case *result)
{
    struct buf out = {.arena = arena};
    add_case(&out, result);
    return buf_str(&out);
}

struct str report_json(struct arena *arena, const struct report_head *head, const struct result_case *const *cases,
                       size_t n)
{
    struct buf out = {.arena = arena};
    size_t totals[OUTCOME_COUNT] = {0};
    for (size_t i = 0; i < n; i++)
        totals[cases[i]->outcome]++;
    buf_add_char(&out, '{');
    add_key(&out, "acmedrill");
    buf_add_json(&out, head->harness);
    add_key(&out, "mode");
    buf_add_json(&out, head->mode);
    add_key(&out, "target");
    buf_add_json(&out, head->target);
    add_text(&out, "profile", head->profile);
    add_key(&out, "seed");
    buf_fmt(&out, "%llu", (unsigned long long)head->seed);
    add_number(&out, "speed", head->speed);
    add_number(&out, "real_ms", head->real_ms);
    add_key(&out, "totals");
    buf_add_char(&out, '{');
    for (int i = 0; i < OUTCOME_COUNT; i++)
        add_number(&out, outcome_class_text((enum outcome_class)i), (int64_t)totals[i]);
    buf_add_char(&out, '}');
    add_key(&out, "cases");
    buf_add_c(&out, "[");
    for (size_t i = 0; i < n; i++) {
        buf_add_c(&out, i ? ",\n" : "\n");
        add_case(&out, cases[i]);
    }
    buf_add_c(&out, n ? "\n]}\n" : "]}\n");
    return buf_str(&out);
}

/* --- reading --------------------------------------------------------------------------------------------------------
 */

struct reader {
    struct arena *arena;
    bool bad; /* a member has the wrong type or word */
};

static struct str text_value(struct reader *reader, const json_t *value)
{
    if (!json_is_string(value)) {
        reader->bad = true;
        return (struct str){0};
    }
    return str_copy(reader->arena, (struct str){json_string_value(value), json_string_length(value)});
}

static struct str get_text(struct reader *reader, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return value ? text_value(reader, value) : (struct str){0};
}

static int64_t get_number(struct reader *reader, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (value && !json_is_integer(value)) reader->bad = true;
    return json_integer_value(value);
}

static int get_int(struct reader *reader, const json_t *object, const char *key)
{
    int64_t number = get_number(reader, object, key);
    if (number < 0 || number > INT32_MAX) {
        reader->bad = true;
        return 0;
    }
    return (int)number;
}

static struct str *get_texts(struct reader *reader, const json_t *object, const char *key, size_t most, size_t *ret_n)
{
    const json_t *list = json_object_get(object, key);
    size_t n = json_array_size(list);
    if ((list && !json_is_array(list)) || n > most) {
        reader->bad = true;
        n = 0;
    }
    struct str *texts = ARENA_ARRAY(reader->arena, struct str, n + 1);
    for (size_t i = 0; i < n; i++)
        texts[i] = text_value(reader, json_array_get(list, i));
    *ret_n = n;
    return texts;
}

static const char *result_word(int i)
{
    return result_text((enum result)i);
}

static const char *level_word(int i)
{
    return level_text((enum level)i);
}

static const char *party_word_at(int i)
{
    return party_word((enum party)i);
}

static const char *outcome_word(int i)
{
    return outcome_class_text((enum outcome_class)i);
}

static int get_word(struct reader *reader, const json_t *object, const char *key, const char *(*word)(int), int n)
{
    struct str text = get_text(reader, object, key);
    for (int i = 0; i < n; i++)
        if (str_is(text, word(i))) return i;
    reader->bad = true;
    return 0;
}

static struct finding get_finding(struct reader *reader, const json_t *object)
{
    if (!json_is_object(object)) reader->bad = true;
    return (struct finding){
        .result = (enum result)get_word(reader, object, "result", result_word, RESULT_ERROR + 1),
        .name = get_text(reader, object, "name"),
        .clause = get_text(reader, object, "clause"),
        .level = (enum level)get_word(reader, object, "level", level_word, LEVEL_SCENARIO + 1),
        .party = (enum party)get_word(reader, object, "party", party_word_at, PARTY_CA + 1),
        .claim = get_text(reader, object, "claim"),
        .why = get_text(reader, object, "why"),
        .expected = get_text(reader, object, "expected"),
        .observed = get_text(reader, object, "observed"),
        .hint = get_text(reader, object, "hint"),
        .seq = (uint64_t)get_number(reader, object, "seq"),
        .t_ms = get_number(reader, object, "t_ms"),
        .file = get_text(reader, object, "file"),
        .line = get_int(reader, object, "line"),
        .column = get_int(reader, object, "column"),
        .source = get_text(reader, object, "source"),
    };
}

enum err result_case_read(struct arena *arena, struct str json, struct result_case *ret)
{
    struct reader reader = {.arena = arena};
    json_t *root = json_loadb(json.at ? json.at : "", json.n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    const json_t *findings = json_object_get(root, "findings");
    size_t n_excerpts, n = json_array_size(findings);
    if (!json_is_object(root) || (findings && !json_is_array(findings))) {
        json_decref(root);
        return ERR_MALFORMED;
    }
    struct result_case result = {
        .name = get_text(&reader, root, "name"),
        .id = get_text(&reader, root, "id"),
        .variant = get_text(&reader, root, "variant"),
        .path = get_text(&reader, root, "path"),
        .title = get_text(&reader, root, "title"),
        .outcome = (enum outcome_class)get_word(&reader, root, "outcome", outcome_word, OUTCOME_COUNT),
        .reason = get_text(&reader, root, "reason"),
        .no_target = get_int(&reader, root, "no_target") != 0,
        .protocol_ms = get_number(&reader, root, "protocol_ms"),
        .real_ms = get_number(&reader, root, "real_ms"),
        .passed = get_int(&reader, root, "passed"),
        .again = get_text(&reader, root, "again"),
        .files = get_text(&reader, root, "files"),
        .findings = ARENA_ARRAY(arena, struct finding, n + 1),
        .n_findings = n,
    };
    for (size_t i = 0; i < n; i++)
        result.findings[i] = get_finding(&reader, json_array_get(findings, i));
    const struct str *excerpts = get_texts(&reader, root, "excerpts", REPORT_MAX_EXCERPTS, &n_excerpts);
    memcpy(result.excerpts, excerpts, n_excerpts * sizeof *excerpts);
    result.clauses = get_texts(&reader, root, "clauses", SIZE_MAX, &result.n_clauses);
    result.observations = get_texts(&reader, root, "observations", SIZE_MAX, &result.n_observations);
    json_decref(root);
    if (reader.bad) return ERR_MALFORMED;
    *ret = result;
    return OK;
}
