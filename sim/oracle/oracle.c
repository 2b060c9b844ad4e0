#include "oracle/check.h"
#include "oracle/expect.h"

#include <string.h>

const char *result_text(enum result result)
{
    static const char *const texts[] = {"pass", "lenient", "vacuous", "FAIL", "ERROR"};
    return texts[result];
}

/* Who is judged: whom the clause binds; without one, whose deed it is. A sequence in which the client does anything is
 * the client's. */
static enum party party_of(const struct expectation *e, const struct clause *clause)
{
    if (clause) return clause->party;
    switch (e->verb) {
    case VERB_STATES: return PARTY_CA;
    case VERB_ANY_OF: return party_of(&e->groups[0].at[0], NULL);
    case VERB_SEQUENCE:
        for (size_t i = 0; i < e->n_sequence; i++)
            if (e->sequence[i].party == PARTY_CLIENT) return PARTY_CLIENT;
        return PARTY_CA;
    case VERB_EVENTUALLY:
    case VERB_NEVER:
    case VERB_COUNT_OF:
    case VERB_GAP:
    case VERB_EACH: break;
    }
    return e->what.party;
}

static bool is_ours(enum party party, enum mode mode)
{
    return (mode == MODE_CLIENT && party == PARTY_CA) || (mode == MODE_SERVER && party == PARTY_CLIENT);
}

/* A client under test: the CA is ours. What it was not led to do proves nothing, nor does what the client made of a
 * clause that binds the CA; what our CA did against such a clause is the harness's fault. */
static void settle_with_client(struct finding *finding, const struct trial *trial, enum party deed)
{
    if (!is_ours(finding->party, MODE_CLIENT) || (!trial->missing && deed == PARTY_CA && !finding->clause.n)) return;
    finding->result = trial->missing || deed != PARTY_CA ? RESULT_VACUOUS : RESULT_ERROR;
    if (finding->result == RESULT_VACUOUS) finding->hint = STR("the client did not bring our CA so far");
}

/* Has the server given up on a challenge after its first query, where the scenario tells of a second? */
static bool does_not_retry(const struct court *court)
{
    const struct view *view = court->view;
    size_t n = 0;
    const struct thing *queried = NULL;
    for (size_t i = 0; i < view->n_facts; i++) {
        const struct fact *fact = &view->facts[i];
        if (fact->deed == DEED_VALIDATES && !queried) queried = fact->thing;
        n += fact->deed == DEED_VALIDATES && fact->thing == queried;
    }
    bool given_up = queried && n == 1 && queried->status != STATUS_VALID;
    return given_up && court->scenario->profile->retry.count > 0;
}

static bool tells_of_a_second_answer(const struct scenario *scenario)
{
    for (int t = 0; t < CHALLENGE_TYPE_COUNT; t++)
        if (scenario->answers[t].n > 1) return true;
    return false;
}

/* A server under test: the client is ours, and goes as it is led. A wish without a clause binds only the CA that the
 * scenario gives; a server may have decided otherwise. The MUSTs of section 8.2 are for servers that do what it only
 * recommends; and where a server is done after the first query, a story of a second answer takes another course. */
static void settle_with_server(const struct court *court, struct finding *finding, const struct trial *trial,
                               enum party deed)
{
    if (!finding->clause.n && !court->scenario->profile_named) {
        finding->level = LEVEL_MAY;
    } else if (is_ours(finding->party, MODE_SERVER)) {
        finding->result = trial->missing || deed != PARTY_CLIENT ? RESULT_VACUOUS : RESULT_ERROR;
        if (finding->result == RESULT_VACUOUS) finding->hint = STR("the server did not bring our client so far");
    } else if (finding->level == LEVEL_MUST && does_not_retry(court) &&
               (str_starts(finding->clause, "rfc8555#8.2-") || tells_of_a_second_answer(court->scenario))) {
        finding->level = LEVEL_SHOULD;
        finding->hint = STR("the server does not retry failed queries by itself, as section 8.2 recommends");
    }
}

static struct str verb_claim(const struct expectation *e)
{
    return e->note.n                                                                      ? e->note
           : e->verb == VERB_STATES || e->verb == VERB_SEQUENCE || e->verb == VERB_ANY_OF ? e->source
                                                                                          : e->what.text;
}

static void judge_expectation(struct judgement *judgement, const struct court *court, const struct expectation *e)
{
    const struct clause *clause = e->clause.n ? clause_find(e->clause) : NULL;
    enum mode mode = court->options->mode;
    struct trial trial = expect_try(court, e);
    struct finding finding = {.result = trial.result,
                              .name = e->name,
                              .clause = e->clause,
                              .level = e->level,
                              .party = party_of(e, clause),
                              .claim = clause ? clause->text : verb_claim(e),
                              .why = clause ? clause->why : (struct str){0},
                              .expected = trial.expected,
                              .observed = trial.observed,
                              .hint = trial.hint,
                              .seq = trial.seq,
                              .t_ms = trial.t_ms,
                              .file = e->file,
                              .line = e->line,
                              .column = e->column,
                              .source = e->source};
    if (trial.result == RESULT_FAIL && mode == MODE_CLIENT) settle_with_client(&finding, &trial, party_of(e, NULL));
    if (trial.result == RESULT_FAIL && mode == MODE_SERVER)
        settle_with_server(court, &finding, &trial, party_of(e, NULL));
    verdict_add(&judgement->findings, &judgement->arena, finding);
}

static bool is_switched_off(const struct scenario *scenario, const struct check *check)
{
    for (size_t i = 0; scenario && i < scenario->n_unless; i++)
        if (str_is(scenario->unless[i], check->id)) return true;
    return false;
}

static void judge_rules(struct judgement *judgement, const struct scenario *scenario,
                        const struct oracle_options *options)
{
    const struct check *check;
    for (size_t i = 0; (check = check_at(i)); i++) {
        if (is_switched_off(scenario, check)) continue;
        size_t had = judgement->findings.n;
        check->fold(&judgement->view, check, &judgement->findings, &judgement->arena);
        for (size_t k = had; k < judgement->findings.n; k++) {
            struct finding *finding = &judgement->findings.at[k];
            if (finding->result == RESULT_FAIL && is_ours(finding->party, options->mode))
                finding->result = RESULT_ERROR;
        }
    }
}

static void sum_up(struct judgement *judgement, bool strict)
{
    judgement->result = RESULT_PASS;
    for (size_t i = 0; i < judgement->findings.n; i++) {
        const struct finding *finding = &judgement->findings.at[i];
        bool advice = finding->level == LEVEL_MAY || (finding->level == LEVEL_SHOULD && !strict);
        enum result counts = finding->result;
        judgement->vacuous = judgement->vacuous || counts == RESULT_VACUOUS;
        if (counts == RESULT_VACUOUS && strict) counts = RESULT_FAIL;
        if (counts == RESULT_FAIL && advice) counts = RESULT_LENIENT;
        if (counts == RESULT_LENIENT || counts == RESULT_VACUOUS) judgement->warnings++;
        if (counts > judgement->result) judgement->result = counts;
    }
}

static int64_t first_request_ms(const struct view *view)
{
    return view->n_exchanges ? view->exchanges[0].request->t_ms : 0;
}

void oracle_judge(struct judgement *judgement, const struct history *history, const struct scenario *scenario,
                  const struct oracle_options *options)
{
    *judgement = (struct judgement){0};
    view_read(&judgement->view, history);
    struct court court = {.view = &judgement->view,
                          .options = options,
                          .scenario = scenario,
                          .arena = &judgement->arena,
                          .start_ms = first_request_ms(&judgement->view)};
    for (size_t i = 0; scenario && i < scenario->n_expects; i++)
        judge_expectation(judgement, &court, &scenario->expects[i]);
    judge_rules(judgement, scenario, options);
    sum_up(judgement, options->strict);
}

void judgement_done(struct judgement *judgement)
{
    view_done(&judgement->view);
    arena_done(&judgement->arena);
    *judgement = (struct judgement){0};
}
