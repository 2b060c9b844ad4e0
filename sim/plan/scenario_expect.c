/* The assertions of a scenario. */
#include "acme/problem.h"
#include "plan/parts.h"

#include <string.h>

static const char *const verbs[] = {"eventually", "never", "count", "gap", "states", "sequence", "each", "any_of"};
static const char *const levels[] = {"MUST", "SHOULD", "MAY", "scenario"};

const char *verb_text(enum verb verb)
{
    return verbs[verb];
}

const char *level_text(enum level level)
{
    return levels[level];
}

/* Which other keys a verb takes, beside clause, level and note. */
static const struct {
    const char *keys[12];
    size_t n;
} verb_keys[] = {
    [VERB_EVENTUALLY] = {{"eventually", "within", "after"},                                  3},
    [VERB_NEVER] = {{"never", "during", "while", "after", "before"},                    5},
    [VERB_COUNT_OF] = {{"count", "is", "at_least", "at_most", "while", "after", "before"}, 7},
    [VERB_GAP] = {{"gap", "is", "at_least", "at_most", "while", "after", "before"},   7},
    [VERB_STATES] = {{"states", "are"},                                                  2},
    [VERB_SEQUENCE] = {{"sequence"},                                                       1},
    [VERB_EACH] = {{"each", "has", "while", "after", "before"},                        5},
    [VERB_ANY_OF] = {{"any_of"},                                                         1},
};

/* An event, or with `state` a condition such as "order is processing". */
static bool read_phrase(const struct desk *desk, struct node node, bool state, const struct scenario *scenario,
                        struct phrase *ret)
{
    struct str text, why;
    if (!node_text(desk, node,
                   state ? "a state, such as \"order is processing\"," : "an event, such as \"client finalizes\",", 400,
                   &text))
        return false;
    if (phrase_read(desk->arena, text, ret, &why)) {
        node_bad(desk, node, "%.*s", STR_ARGS(why));
        return false;
    }
    paper_spot(node.paper, node.pointer.at ? node.pointer.at : "", &ret->line, &ret->column);
    if (state && ret->deed != DEED_IS) {
        node_bad(desk, node, "\"%.*s\" is an event; a state is expected here, such as \"order is processing\"",
                 STR_ARGS(text));
        return false;
    }
    if (!state && ret->deed == DEED_IS) {
        node_bad(desk, node, "\"%.*s\" is a state; an event is expected here, such as \"order becomes processing\"",
                 STR_ARGS(text));
        return false;
    }
    if (ret->name.n) {
        const char *names[SCENARIO_MAX_NAMES];
        for (size_t i = 0; i < scenario->n_identifiers; i++)
            names[i] = scenario->identifiers[i].at;
        size_t i;
        if (!str_index(ret->name, names, scenario->n_identifiers, &i)) {
            node_unknown(desk, node, false, "identifier", ret->name, names, scenario->n_identifiers);
            return false;
        }
    }
    return true;
}

/* --- has --- */

static const char *const has_words[] = {"status",       "retry-after", "error",   "error.type", "error.detail",
                                        "error.status", "errors",      "header.", "body."};

static bool has_key_good(const struct desk *desk, struct node node, struct str key)
{
    size_t i;
    if (str_index(key, has_words, COUNTOF(has_words) - 2, &i)) return true;
    if (str_starts(key, "header.") && key.n > 7 && key.n < 100) return true;
    if (str_starts(key, "body.") && key.n > 5 && key.n < 200) return true;
    node_unknown(desk, node, true, "part of a message", key, has_words, COUNTOF(has_words));
    return false;
}

static bool read_has_number(const struct desk *desk, struct node node, struct str text, bool is_duration, int64_t *ret)
{
    if (is_duration) return text_duration(desk, node, text, 400 * DAY_MS, ret);
    if (str_int(text, ret)) return true;
    node_bad(desk, node, "\"%.*s\" is not a number", STR_ARGS(text));
    return false;
}

/* What a message of this deed carries, if there is a message at all. */
static bool has_fits(const struct desk *desk, struct node node, struct str key, const struct phrase *what)
{
    bool reports = what->deed >= DEED_REPORTS_CHALLENGE && what->deed <= DEED_REPORTS_ERROR;
    if (reports || str_starts(key, "header.") || str_starts(key, "body.")) return true;
    node_bad_key(desk, node, "\"%.*s\" is part of what the CA reports, not of \"%.*s\"", STR_ARGS(key),
                 STR_ARGS(what->text));
    return false;
}

static bool read_has(const struct desk *desk, struct str key, struct node node, struct has *has)
{
    struct str text, head, rest;
    bool is_wait = str_is(key, "retry-after");
    if (!has_key_good(desk, node, key)) return false;
    has->key = str_copy(desk->arena, key);
    paper_key_spot(node.paper, node.pointer.at ? node.pointer.at : "", &has->line, &has->column);
    bool number_fits = !is_wait && !str_is(key, "error") && !str_is(key, "error.type") && !str_is(key, "error.detail");
    if (number_fits && json_is_integer(node.value)) {
        int64_t number;
        if (!node_int(desk, node, 0, 1000000, &number)) return false;
        text = str_fmt(desk->arena, "%lld", (long long)number);
    } else if (!node_text(desk, node, "a text", 1000, &text)) {
        return false;
    }
    has->text = text;
    if (str_is(text, "present") || str_is(text, "absent")) {
        has->comparison = str_is(text, "present") ? COMPARE_PRESENT : COMPARE_ABSENT;
        return true;
    }
    if (str_starts(text, ">=") || str_starts(text, "<=")) {
        has->comparison = text.at[0] == '>' ? COMPARE_AT_LEAST : COMPARE_AT_MOST;
        return read_has_number(desk, node, str_trim((struct str){text.at + 2, text.n - 2}), is_wait, &has->number);
    }
    if (str_is(key, "error")) {
        node_bad(desk, node, "\"error\" is \"present\" or \"absent\"; \"error.type\" has the type");
        return false;
    }
    has->comparison = COMPARE_IS;
    rest = text;
    while (rest.n) {
        if (has->n_values == COUNTOF(has->values)) {
            node_bad(desk, node, "at most %zu alternatives are allowed", COUNTOF(has->values));
            return false;
        }
        bool more = str_cut(rest, '|', &head, &rest);
        head = str_trim(head);
        if (!head.n || (more && !rest.n)) {
            node_bad(desk, node, "an alternative of \"%.*s\" is empty", STR_ARGS(text));
            return false;
        }
        int64_t number;
        if ((is_wait || str_is(key, "errors") || str_is(key, "error.status")) &&
            !read_has_number(desk, node, head, is_wait, &number))
            return false;
        if (str_is(key, "status") && !str_int(head, &number) && status_read(head) == STATUS_NONE) {
            const char *words[STATUS_COUNT];
            size_t n = 0;
            for (int s = STATUS_NONE + 1; s < STATUS_COUNT; s++)
                words[n++] = status_text((enum status)s);
            node_unknown(desk, node, false, "state", head, words, n);
            return false;
        }
        if (str_is(key, "error.type") && str_find(head, ":") < 0) {
            size_t n, i;
            const char *const *types = problem_types(&n);
            if (!str_index(head, types, n, &i)) {
                node_unknown(desk, node, false, "problem type", head, types, n);
                return false;
            }
        }
        has->values[has->n_values++] = str_copy(desk->arena, head);
    }
    return true;
}

static bool read_has_all(const struct desk *desk, struct node node, struct expectation *expectation)
{
    struct node_walk walk = {0};
    struct node member;
    struct str key;
    size_t n = json_object_size(node.value);
    bool good = true;
    if (!node_object(desk, node, "an object, such as {\"retry-after\": \"present\"},")) return false;
    if (n == 0 || n > 16) {
        node_bad(desk, node, n ? "at most 16 parts of a message are allowed here" : "\"has\" is empty");
        return false;
    }
    expectation->has = ARENA_ARRAY(desk->arena, struct has, n);
    while (node_next(desk, node, &walk, &key, &member)) {
        struct has *has = &expectation->has[expectation->n_has];
        *has = (struct has){0};
        if (read_has(desk, key, member, has) && has_fits(desk, member, key, &expectation->what)) expectation->n_has++;
        else good = false;
    }
    return good;
}

/* --- one assertion --- */

/* is, at_least, at_most: exactly one of them. */
static bool read_number(const struct desk *desk, struct node node, bool is_duration, struct expectation *expectation)
{
    static const char *const words[] = {"is", "at_least", "at_most"};
    struct node found = {0};
    for (size_t i = 0; i < COUNTOF(words); i++) {
        struct node member = node_member(desk, node, words[i]);
        if (!member.value) continue;
        if (found.value) {
            node_bad_key(desk, member,
                         "only one of \"is\", \"at_least\" and \"at_most\" is allowed; write two assertions");
            return false;
        }
        found = member;
        expectation->comparison = (enum comparison)(COMPARE_IS + (int)i);
    }
    if (!found.value) {
        node_bad(desk, node, "\"%s\" wants one of \"is\", \"at_least\" and \"at_most\"", verbs[expectation->verb]);
        return false;
    }
    return is_duration ? node_duration(desk, found, 0, 400 * DAY_MS, &expectation->number)
                       : node_int(desk, found, 0, 1000000, &expectation->number);
}

static bool read_states(const struct desk *desk, struct node node, struct node are, struct expectation *expectation)
{
    const char *objects[OBJECT_COUNT + CHALLENGE_TYPE_COUNT], *words[STATUS_COUNT];
    size_t n = 0, i;
    for (int o = 0; o < OBJECT_COUNT; o++)
        objects[n++] = object_text((enum object)o);
    for (int t = 0; t < CHALLENGE_TYPE_COUNT; t++)
        objects[n++] = challenge_row((enum challenge_type)t)->name;
    if (!node_word(desk, node, "object", objects, n, &i)) return false;
    expectation->states_of_challenge_type = i >= OBJECT_COUNT;
    expectation->states_of = i >= OBJECT_COUNT ? OBJECT_CHALLENGE : (enum object)i;
    if (i >= OBJECT_COUNT) expectation->states_type = (enum challenge_type)(i - OBJECT_COUNT);
    if (!node_array(desk, are, "a list of states", 1, COUNTOF(expectation->states))) return false;
    n = 0;
    for (int s = STATUS_NONE + 1; s < STATUS_COUNT; s++)
        if (status_of_object(expectation->states_of, (enum status)s)) words[n++] = status_text((enum status)s);
    struct str kind = str_fmt(desk->arena, "state of %s", objects[i]);
    for (size_t k = 0; k < node_length(are); k++) {
        struct node item = node_item(desk, are, k);
        if (!node_word(desk, item, kind.at, words, n, &i)) return false;
        expectation->states[expectation->n_states] = status_read(str_c(words[i]));
        if (k && expectation->states[k] == expectation->states[k - 1]) {
            node_bad(desk, item, "\"%s\" twice in a row: a state is listed when it changes", words[i]);
            return false;
        }
        expectation->n_states++;
    }
    return true;
}

static bool read_sequence(const struct desk *desk, struct node node, const struct scenario *scenario,
                          struct expectation *expectation)
{
    bool good = true;
    if (!node_array(desk, node, "a list of events", 2, 32)) {
        if (json_array_size(node.value) == 1) node_bad(desk, node, "a sequence has at least two events");
        return false;
    }
    expectation->sequence = ARENA_ARRAY(desk->arena, struct phrase, node_length(node));
    for (size_t i = 0; i < node_length(node); i++)
        good &= read_phrase(desk, node_item(desk, node, i), false, scenario, &expectation->sequence[i]);
    expectation->n_sequence = node_length(node);
    return good;
}

static void read_clause(const struct desk *desk, struct node node, struct expectation *expectation)
{
    struct node member;
    size_t i;
    expectation->level = LEVEL_SCENARIO;
    if ((member = node_member(desk, node, "clause")).value &&
        node_text(desk, member, "the id of a clause", 100, &expectation->clause)) {
        const struct clause *clause = clause_find(expectation->clause);
        if (clause) {
            expectation->level = clause->level;
        } else {
            const char *ids[256];
            size_t n = 0;
            for (const struct clause *c; n < COUNTOF(ids) && (c = clause_at(n)); n++)
                ids[n] = c->id.at;
            node_unknown(desk, member, false, "clause", expectation->clause, ids, n);
        }
    }
    if ((member = node_member(desk, node, "level")).value && node_word(desk, member, "level", levels, 3, &i))
        expectation->level = (enum level)i;
    if ((member = node_member(desk, node, "note")).value)
        node_any_text(desk, member, "a note", 4000, &expectation->note);
}

static bool read_expectation(const struct desk *desk, struct node node, struct str name, bool nested,
                             const struct scenario *scenario, struct expectation *ret);

static bool read_groups(const struct desk *desk, struct node node, struct str name, const struct scenario *scenario,
                        struct expectation *expectation)
{
    struct node_walk walk = {0};
    struct node list;
    struct str key;
    bool good = true;
    if (!node_object(desk, node, "an object of named outcomes")) return false;
    size_t n = json_object_size(node.value);
    if (n < 2 || n > 8) {
        node_bad(desk, node, "\"any_of\" has two to eight named outcomes, not %zu", n);
        return false;
    }
    expectation->groups = ARENA_ARRAY(desk->arena, struct outcome_group, n);
    while (node_next(desk, node, &walk, &key, &list)) {
        struct outcome_group *group = &expectation->groups[expectation->n_groups++];
        if (!key.n || key.n > 60) {
            node_bad_key(desk, list, "an outcome has a name of 1 to 60 bytes");
            good = false;
        }
        group->name = str_copy(desk->arena, key);
        if (!node_array(desk, list, "a list of assertions", 1, 16)) {
            good = false;
            continue;
        }
        group->at = ARENA_ARRAY(desk->arena, struct expectation, node_length(list));
        for (size_t i = 0; i < node_length(list); i++) {
            struct str inner = str_fmt(desk->arena, "%.*s.%.*s[%zu]", STR_ARGS(name), STR_ARGS(group->name), i);
            good &= read_expectation(desk, node_item(desk, list, i), inner, true, scenario, &group->at[group->n++]);
        }
    }
    return good;
}

/* The verb is the one key that names it. */
static bool find_verb(const struct desk *desk, struct node node, enum verb *ret)
{
    static const char *const words[] = {"eventually", "never",  "count", "gap",      "states",  "sequence", "each",
                                        "any_of",     "clause", "level", "note",     "within",  "during",   "while",
                                        "after",      "before", "is",    "at_least", "at_most", "are",      "has"};
    struct node found = {0};
    for (size_t v = 0; v < COUNTOF(verbs); v++) {
        struct node member = node_member(desk, node, verbs[v]);
        if (!member.value) continue;
        if (found.value) {
            node_bad_key(desk, member, "one assertion has one verb: \"%s\" and \"%s\" are two", verbs[*ret], verbs[v]);
            return false;
        }
        found = member;
        *ret = (enum verb)v;
    }
    if (found.value) return true;
    if (node_keys(desk, node, "assertion", words, COUNTOF(words)))
        node_bad(desk, node,
                 "an assertion has one of \"eventually\", \"never\", \"count\", \"gap\", \"states\", \"sequence\", "
                 "\"each\", \"any_of\"");
    return false;
}

/* Events that a verb cannot be about. */
static void check_what(const struct desk *desk, struct node node, struct node what,
                       const struct expectation *expectation)
{
    const struct phrase *phrase = &expectation->what;
    bool message = phrase->deed < DEED_BECOMES && phrase->deed != DEED_GETS_CERTIFICATE &&
                   phrase->deed != DEED_GIVES_UP && phrase->deed != DEED_VALIDATES && phrase->deed != DEED_FAILS &&
                   phrase->deed != DEED_ISSUES && phrase->deed != DEED_REVOKED && phrase->deed != DEED_KEY_CHANGED;
    if ((expectation->verb == VERB_COUNT_OF || expectation->verb == VERB_GAP) && phrase->ordinal != ORDINAL_ANY)
        node_bad(desk, what, "\"%s\" is about all of them: take the first word of \"%.*s\" away",
                 verbs[expectation->verb], STR_ARGS(phrase->text));
    if (expectation->verb == VERB_EACH && !message)
        node_bad(desk, what, "\"%.*s\" is not a message: it has no parts to look at", STR_ARGS(phrase->text));
    if (node_member(desk, node, "during").value && (phrase->party != PARTY_CLIENT || !message))
        node_bad(desk, what, "\"during\" is for requests of the client, and \"%.*s\" is none", STR_ARGS(phrase->text));
}

static bool read_expectation(const struct desk *desk, struct node node, struct str name, bool nested,
                             const struct scenario *scenario, struct expectation *ret)
{
    const char *keys[16];
    size_t n = 0, before = desk->complaints->n;
    struct node member, number;
    struct str text;
    *ret = (struct expectation){.level = LEVEL_SCENARIO};
    if (!node_object(desk, node, "an assertion, such as {\"eventually\": \"client gets certificate\"},")) return false;
    if (!find_verb(desk, node, &ret->verb)) return false;
    const char *verb = verbs[ret->verb];
    ret->name = str_fmt(desk->arena, "%.*s %s", STR_ARGS(name), verb);
    ret->file = node.paper->path;
    paper_spot(node.paper, node.pointer.at ? node.pointer.at : "", &ret->line, &ret->column);
    ret->source = str_copy(desk->arena, paper_line(node.paper, ret->line));
    for (; n < verb_keys[ret->verb].n; n++)
        keys[n] = verb_keys[ret->verb].keys[n];
    keys[n++] = "clause";
    keys[n++] = "level";
    keys[n++] = "note";
    node_keys(desk, node, str_fmt(desk->arena, "key beside \"%s\"", verb).at, keys, n);
    member = node_member(desk, node, verb);
    switch (ret->verb) {
    case VERB_STATES:
        if (!(number = node_member(desk, node, "are")).value)
            node_bad(desk, node, "\"states\" wants \"are\", a list of states");
        else read_states(desk, member, number, ret);
        break;
    case VERB_SEQUENCE: read_sequence(desk, member, scenario, ret); break;
    case VERB_ANY_OF:
        if (nested) node_bad_key(desk, member, "an \"any_of\" within an \"any_of\" is too deep");
        else read_groups(desk, member, ret->name, scenario, ret);
        break;
    default:
        if (read_phrase(desk, member, false, scenario, &ret->what)) check_what(desk, node, member, ret);
        break;
    }
    if (ret->verb == VERB_COUNT_OF || ret->verb == VERB_GAP) read_number(desk, node, ret->verb == VERB_GAP, ret);
    if (ret->verb == VERB_EACH && ret->what.text.n) {
        if (!(member = node_member(desk, node, "has")).value)
            node_bad(desk, node, "\"each\" wants \"has\", the parts of the message");
        else read_has_all(desk, member, ret);
    }
    if ((member = node_member(desk, node, "within")).value)
        ret->has_within = node_duration(desk, member, 1, 400 * DAY_MS, &ret->within_ms);
    if ((member = node_member(desk, node, "during")).value && node_text(desk, member, "\"retry-after\"", 100, &text)) {
        static const char *const durings[] = {"retry-after"};
        ret->during_retry_after = str_is(text, durings[0]);
        if (!ret->during_retry_after) node_unknown(desk, member, false, "time", text, durings, 1);
    }
    if ((member = node_member(desk, node, "while")).value)
        ret->has_while = read_phrase(desk, member, true, scenario, &ret->while_);
    if ((member = node_member(desk, node, "after")).value)
        ret->has_after = read_phrase(desk, member, false, scenario, &ret->after);
    if ((member = node_member(desk, node, "before")).value)
        ret->has_before = read_phrase(desk, member, false, scenario, &ret->before);
    read_clause(desk, node, ret);
    return desk->complaints->n == before;
}

void expect_read(const struct desk *desk, struct node node, struct scenario *scenario)
{
    if (!node_array(desk, node, "a list of assertions", 0, SCENARIO_MAX_EXPECTS)) return;
    size_t n = node_length(node), had = scenario->n_expects;
    if (had + n > SCENARIO_MAX_EXPECTS) {
        node_bad(desk, node, "with the shared ones these are %zu assertions; at most %d are allowed", had + n,
                 SCENARIO_MAX_EXPECTS);
        return;
    }
    struct expectation *expects = ARENA_ARRAY(desk->arena, struct expectation, had + n + 1);
    if (had) memcpy(expects, scenario->expects, had * sizeof *expects);
    for (size_t i = 0; i < n; i++) {
        struct str name = str_fmt(desk->arena, "expect[%zu]", had + i);
        read_expectation(desk, node_item(desk, node, i), name, false, scenario, &expects[had + i]);
    }
    scenario->expects = expects;
    scenario->n_expects = had + n;
}
