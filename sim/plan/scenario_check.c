/* What only the whole case shows: contradictions, what can never apply, and where a case can run. */
#include "acme/address.h"
#include "base/when.h"
#include "plan/parts.h"

struct str words_list(struct arena *arena, const char *const *words, size_t n)
{
    struct buf out = {.arena = arena};
    for (size_t i = 0; i < n; i++)
        buf_fmt(&out, "%s%s", i == 0 ? "" : i + 1 == n ? " or " : ", ", words[i]);
    return buf_str(&out);
}

static bool offered(const struct scenario *scenario, enum challenge_type type)
{
    for (size_t i = 0; i < scenario->n_challenges; i++)
        if (scenario->challenges[i] == type) return true;
    return false;
}

static struct str offers(const struct desk *desk, const struct scenario *scenario)
{
    const char *words[CHALLENGE_TYPE_COUNT];
    for (size_t i = 0; i < scenario->n_challenges; i++)
        words[i] = challenge_row(scenario->challenges[i])->name;
    return words_list(desk->arena, words, scenario->n_challenges);
}

/* --- types that are not offered --- */

static void check_phrase(const struct desk *desk, const struct scenario *scenario,
                         const struct expectation *expectation, const struct phrase *phrase)
{
    if (!phrase->text.n || !phrase_typed(phrase) || offered(scenario, phrase->type)) return;
    struct str list = offers(desk, scenario);
    complain(desk->complaints, expectation->file, phrase->line, phrase->column,
             "\"%.*s\" can never happen: the CA offers %.*s only", STR_ARGS(phrase->text), STR_ARGS(list));
}

static void check_types(const struct desk *desk, const struct scenario *scenario, const struct expectation *expectation)
{
    const struct expectation *e = expectation;
    check_phrase(desk, scenario, e, &e->what);
    if (e->has_while) check_phrase(desk, scenario, e, &e->while_);
    if (e->has_after) check_phrase(desk, scenario, e, &e->after);
    if (e->has_before) check_phrase(desk, scenario, e, &e->before);
    for (size_t i = 0; i < e->n_sequence; i++)
        check_phrase(desk, scenario, e, &e->sequence[i]);
    if (e->verb == VERB_STATES && e->states_of_challenge_type && !offered(scenario, e->states_type)) {
        struct str list = offers(desk, scenario);
        complain(desk->complaints, e->file, e->line, e->column, "there is no %s challenge: the CA offers %.*s only",
                 challenge_row(e->states_type)->name, STR_ARGS(list));
    }
    for (size_t g = 0; g < e->n_groups; g++)
        for (size_t i = 0; i < e->groups[g].n; i++)
            check_types(desk, scenario, &e->groups[g].at[i]);
}

static void check_responder(const struct desk *desk, struct node node, const struct scenario *scenario)
{
    struct node_walk walk = {0};
    struct node list;
    struct str key;
    enum challenge_type type;
    while (node_next(desk, node, &walk, &key, &list))
        if (challenge_type_read(key, &type) && !offered(scenario, type)) {
            struct str all = offers(desk, scenario);
            node_bad_key(desk, list, "nobody will ask for \"%.*s\": the CA offers %.*s only", STR_ARGS(key),
                         STR_ARGS(all));
        }
}

static void check_steps(const struct desk *desk, struct node steps, const struct scenario *scenario)
{
    for (size_t i = 0; i < scenario->client.n_steps; i++) {
        const struct step *step = &scenario->client.steps[i];
        bool typed = step->kind == STEP_PROVISION || step->kind == STEP_WITHDRAW || step->kind == STEP_ANSWER;
        if (!typed || offered(scenario, step->type)) continue;
        struct str list = offers(desk, scenario);
        node_bad(desk, node_item(desk, steps, i), "\"%.*s\" cannot be done: the CA offers %.*s only",
                 STR_ARGS(step->text), STR_ARGS(list));
    }
}

/* --- contradictions --- */

struct range {
    int64_t least, most;
};

static struct range range_of(const struct expectation *e)
{
    struct range range = {0, INT64_MAX};
    if (e->comparison != COMPARE_AT_MOST) range.least = e->number;
    if (e->comparison != COMPARE_AT_LEAST) range.most = e->number;
    return range;
}

static bool conditional(const struct expectation *e)
{
    return e->during_retry_after || e->has_while || e->has_after || e->has_before;
}

static bool same_condition(const struct expectation *a, const struct expectation *b)
{
    return a->has_while == b->has_while && a->has_after == b->has_after && a->has_before == b->has_before &&
           (!a->has_while || phrase_same(&a->while_, &b->while_)) &&
           (!a->has_after || phrase_same(&a->after, &b->after)) &&
           (!a->has_before || phrase_same(&a->before, &b->before));
}

/* Does the expectation demand that the event happens at all? */
static bool demands(const struct expectation *e, const struct phrase *what)
{
    if (e->verb == VERB_EVENTUALLY) return phrase_same(&e->what, what);
    if (e->verb == VERB_COUNT_OF) return phrase_same(&e->what, what) && range_of(e).least > 0;
    for (size_t i = 0; e->verb == VERB_SEQUENCE && i < e->n_sequence; i++)
        if (phrase_same(&e->sequence[i], what)) return true;
    return false;
}

/* Or that it does not? */
static bool forbids(const struct expectation *e)
{
    return !conditional(e) && (e->verb == VERB_NEVER || (e->verb == VERB_COUNT_OF && range_of(e).most == 0));
}

static bool same_states(const struct expectation *a, const struct expectation *b)
{
    if (a->n_states != b->n_states) return false;
    for (size_t i = 0; i < a->n_states; i++)
        if (a->states[i] != b->states[i]) return false;
    return true;
}

static bool contradict(const struct expectation *a, const struct expectation *b)
{
    if ((forbids(a) && demands(b, &a->what)) || (forbids(b) && demands(a, &b->what))) return true;
    if (a->verb != b->verb) return false;
    if (a->verb == VERB_COUNT_OF || a->verb == VERB_GAP) {
        struct range x = range_of(a), y = range_of(b);
        if (!phrase_same(&a->what, &b->what) || !same_condition(a, b)) return false;
        return x.least > y.most || y.least > x.most;
    }
    if (a->verb == VERB_STATES)
        return a->states_of == b->states_of && a->states_of_challenge_type == b->states_of_challenge_type &&
               (!a->states_of_challenge_type || a->states_type == b->states_type) && !same_states(a, b);
    return false;
}

static void check_contradictions(const struct desk *desk, const struct scenario *scenario)
{
    for (size_t i = 1; i < scenario->n_expects; i++)
        for (size_t k = 0; k < i; k++) {
            const struct expectation *a = &scenario->expects[k], *b = &scenario->expects[i];
            if (!contradict(a, b)) continue;
            complain(desk->complaints, b->file, b->line, b->column,
                     "this contradicts line %d, \"%.*s\": both cannot hold", a->line, STR_ARGS(a->name));
            break;
        }
}

void scenario_check(const struct desk *desk, struct node root, struct node variant, const struct scenario *scenario)
{
    struct node own = node_member(desk, variant, "responder"), given = node_member(desk, variant, "given");
    struct node client = node_member(desk, variant, "client"), ca = node_member(desk, variant, "ca");
    if (own.value) check_responder(desk, own, scenario);
    if (!node_member(desk, given, "challenges").value)
        check_responder(desk, node_member(desk, root, "responder"), scenario);
    if (!node_member(desk, client, "steps").value) client = node_member(desk, root, "client");
    check_steps(desk, node_member(desk, client, "steps"), scenario);
    if (!node_member(desk, ca, "faults").value) ca = node_member(desk, root, "ca");
    faults_check(desk, node_member(desk, ca, "faults"), scenario);
    for (size_t i = 0; i < scenario->n_expects; i++)
        check_types(desk, scenario, &scenario->expects[i]);
    check_contradictions(desk, scenario);
}

/* --- where a case can run --- */

const char *mode_text(enum mode mode)
{
    static const char *const words[] = {"simulate", "client", "server"};
    return words[mode];
}

static bool answers_ok(const struct answers *answers)
{
    for (size_t i = 0; i < answers->n; i++)
        if (answers->at[i].kind == ANSWER_OK) return true;
    return answers->n == 0;
}

static struct str unfit_for_client(struct arena *arena, const struct scenario *scenario)
{
    if (scenario->client.n_steps) return STR("client.steps are for our own client: a program under test takes its own");
    if (!habits_polite(&scenario->client.habits))
        return STR("client.habits are for our own client: a program under test has its own");
    for (size_t i = 0; i < scenario->n_identifiers; i++)
        if (address_canonical(scenario->identifiers[i]))
            return STR("an address is ordered, and adapters are told DNS names only");
    for (int t = 0; t < CHALLENGE_TYPE_COUNT; t++)
        if (t != CHALLENGE_HTTP_01 && offered(scenario, (enum challenge_type)t) && answers_ok(&scenario->answers[t]))
            return str_fmt(arena, "%s answers \"ok\": of a program under test only http-01 can be fetched",
                           challenge_row((enum challenge_type)t)->name);
    return (struct str){0};
}

static struct str unfit_for_server(struct arena *arena, const struct scenario *scenario)
{
    const struct answers *http = &scenario->answers[CHALLENGE_HTTP_01];
    if (scenario->has_replies) return STR("ca.replies: a server under test cannot be told what to say");
    if (scenario->n_rules) return STR("ca.faults: a server under test cannot be told what to break");
    for (size_t i = 0; i < scenario->n_identifiers; i++)
        if (address_canonical(scenario->identifiers[i]) && !str_is(scenario->identifiers[i], "127.0.0.1"))
            return str_fmt(arena, "%.*s is ordered, and our responder answers on 127.0.0.1 only",
                           STR_ARGS(scenario->identifiers[i]));
    for (int t = 0; t < CHALLENGE_TYPE_COUNT; t++)
        if (t != CHALLENGE_HTTP_01 && scenario->answers[t].n)
            return str_fmt(arena, "responder.%s: only http-01 answers can be served to a server under test",
                           challenge_row((enum challenge_type)t)->name);
    if (!offered(scenario, CHALLENGE_HTTP_01))
        return STR("http-01 is not offered, and a server under test can be shown no other proof");
    for (size_t i = 0; i < http->n; i++)
        if (str_starts(http->at[i].redirect, "http://") || str_starts(http->at[i].redirect, "https://"))
            return STR("responder.http-01 redirects to another server, and none is there: only paths of our own "
                       "responder are served");
    for (size_t i = 0; i < http->n && http->n > 1; i++)
        if (http->at[i].delivery.how == DELIVER_REFUSED)
            return STR("responder.http-01 has \"refused\" among other answers: a port is open or closed for the whole "
                       "of a run");
    return (struct str){0};
}

struct str scenario_unfit(struct arena *arena, const struct scenario *scenario, enum mode mode)
{
    if (mode == MODE_CLIENT) return unfit_for_client(arena, scenario);
    if (mode == MODE_SERVER) return unfit_for_server(arena, scenario);
    return (struct str){0};
}
