/* A case in words and as a chart, read off the file: what will be asked, answered and expected, without running it. */
#include "base/when.h"
#include "plan/parts.h"

#include <assert.h>
#include <string.h>

enum {
    LANES = 3,
    LANE_GAP = 34,
    FIRST_LANE = 11,
    CHART_WIDTH = FIRST_LANE + LANE_GAP * (LANES - 1) + 1,
    MAX_ORDERS = 4
};

struct chart {
    struct arena *arena;
    struct buf *out;
    const struct scenario *scenario;
    int64_t now_ms;
    size_t used[REQUEST_COUNT]; /* scripted replies already shown */
};

/* --- lines --- */

static void put_line(struct chart *chart, char line[CHART_WIDTH + 1])
{
    size_t n = CHART_WIDTH;
    while (n && line[n - 1] == ' ')
        n--;
    buf_add(chart->out, (struct str){line, n});
    buf_add_char(chart->out, '\n');
}

static size_t lane_at(size_t lane)
{
    return FIRST_LANE + lane * LANE_GAP;
}

static void put_text(char line[CHART_WIDTH + 1], size_t at, struct str text)
{
    for (size_t i = 0; i < text.n && at + i < CHART_WIDTH; i++)
        line[at + i] = text.at[i];
}

static void put_time(struct chart *chart, char line[CHART_WIDTH + 1])
{
    int64_t s = chart->now_ms / 1000;
    struct str text =
        s < 3600 ? str_fmt(chart->arena, "%3d:%02d", (int)(s / 60), (int)(s % 60))
                 : str_fmt(chart->arena, "%d:%02d:%02d", (int)(s / 3600 % 1000), (int)(s / 60 % 60), (int)(s % 60));
    memset(line, ' ', CHART_WIDTH);
    put_text(line, 0, text);
    for (size_t i = 0; i < LANES; i++)
        line[lane_at(i)] = '|';
}

/* How much of the text fits, cut after a space if there is one. */
static size_t fits(struct str text, size_t room)
{
    size_t n = room;
    if (text.n <= room) return text.n;
    while (n > 1 && text.at[n - 1] != ' ')
        n--;
    return n > 1 ? n : room;
}

/* An arrow between two lanes with a label on it; of a label that is too long the first part gets a line of its own. */
static void arrow(struct chart *chart, size_t from, size_t to, struct str label)
{
    char line[CHART_WIDTH + 1];
    size_t left = lane_at(from < to ? from : to) + 1, right = lane_at(from < to ? to : from) - 1,
           room = right - left - 5;
    while (label.n > room) {
        size_t n = fits(label, room);
        put_time(chart, line);
        put_text(line, left + 3, (struct str){label.at, n});
        put_line(chart, line);
        label = str_trim((struct str){label.at + n, label.n - n});
    }
    put_time(chart, line);
    memset(line + left, '-', right - left + 1);
    line[from < to ? right : left] = from < to ? '>' : '<';
    line[left + 2] = ' ';
    put_text(line, left + 3, label);
    line[left + 3 + label.n] = ' ';
    put_line(chart, line);
}

static void remark(struct chart *chart, size_t lane, struct str text)
{
    char line[CHART_WIDTH + 1];
    assert(lane < LANES - 1);
    while (text.n) {
        size_t n = fits(text, LANE_GAP - 3);
        put_time(chart, line);
        put_text(line, lane_at(lane) + 2, (struct str){text.at, n});
        put_line(chart, line);
        text = str_trim((struct str){text.at + n, text.n - n});
    }
}

/* --- foreseeing --- */

static const struct answer *answer_at(const struct answers *answers, int attempt)
{
    for (size_t i = 0; i < answers->n; i++) {
        attempt -= answers->at[i].times;
        if (attempt <= 0 || i + 1 == answers->n) return &answers->at[i];
    }
    return NULL;
}

static bool body_good(const struct profile *profile, struct str body)
{
    static const char proof[] = "{proof}";
    if (!str_starts(body, proof)) return false;
    for (size_t i = sizeof proof - 1; i < body.n; i++)
        if (!profile->trims.n || !memchr(profile->trims.at, body.at[i], profile->trims.n)) return false;
    return true;
}

static const char *foresee_tls(enum tls_defect defect)
{
    switch (defect) {
    case TLS_GOOD:
    case TLS_UPPER_SAN:
    case TLS_TWO_CERTIFICATES:
    case TLS_EXPIRED: return "";
    case TLS_NO_ALPN: return "no-alpn";
    case TLS_OTHER_ALPN: return "wrong-alpn";
    case TLS_ALERT: return "tls-alert";
    default: return "wrong-cert";
    }
}

/* What a validator makes of an answer: a failure word, "" for success, NULL where only the run can tell. */
static const char *foresee(const struct profile *profile, enum challenge_type type, const struct answer *answer)
{
    enum challenge_medium medium = challenge_row(type)->medium;
    if (!answer) return "";
    if (answer->fault || answer->redirect.n) return NULL;
    switch (answer->delivery.how) {
    case DELIVER_REFUSED: return "refused";
    case DELIVER_RESET: return "reset";
    case DELIVER_CLOSED: return "closed";
    case DELIVER_HANG: return medium == MEDIUM_DNS ? "dns-timeout" : "timeout";
    case DELIVER_TRUNCATED: return medium == MEDIUM_DNS ? "dns-timeout" : "truncated";
    case DELIVER_GARBAGE: return medium == MEDIUM_DNS ? "servfail" : "garbage";
    default: break;
    }
    if (answer->delivery.delay_ms >= profile->query_limit_ms) return medium == MEDIUM_DNS ? "dns-timeout" : "timeout";
    if (answer->delivery.how == DELIVER_SLOW && answer->delivery.over_ms >= profile->query_limit_ms) return "slow";
    if (answer->kind == ANSWER_OK) return "";
    if (answer->kind == ANSWER_TLS) return foresee_tls(answer->defect);
    if (answer->kind == ANSWER_DNS) {
        if (answer->rcode == DNS_NXDOMAIN) return "nxdomain";
        if (answer->rcode == DNS_REFUSED) return "dns-refused";
        if (answer->rcode != DNS_NOERROR) return "servfail";
        for (size_t i = 0; i < answer->n_records; i++)
            if (str_is(answer->records[i], "{proof}")) return "";
        return answer->n_records ? "wrong-txt" : "no-txt";
    }
    if (answer->status != 200) return answer->status >= 300 && answer->status < 400 ? "bad-redirect" : "bad-status";
    if (answer->body.n > profile->max_body) return "huge";
    if (!answer->body.n) return "empty-body";
    return body_good(profile, answer->body) ? "" : "wrong-body";
}

static int64_t lasts_ms(const struct profile *profile, const struct answer *answer)
{
    if (!answer) return 0;
    int64_t ms = answer->delivery.delay_ms + (answer->delivery.how == DELIVER_SLOW ? answer->delivery.over_ms : 0);
    return answer->delivery.how == DELIVER_HANG || ms > profile->query_limit_ms ? profile->query_limit_ms : ms;
}

/* --- ca.replies --- */

static struct str reply_words(struct arena *arena, const struct reply *reply)
{
    struct buf out = {.arena = arena};
    const char *states[] = {status_text(reply->order), status_text(reply->authz), status_text(reply->challenge)};
    const enum status statuses[] = {reply->order, reply->authz, reply->challenge};
    static const char *const objects[] = {"order", "authz", "challenge"};
    for (size_t i = 0; i < COUNTOF(states); i++)
        if (statuses[i] != STATUS_NONE) buf_fmt(&out, "%s%s %s", out.n ? ", " : "", objects[i], states[i]);
    if (reply->status) buf_fmt(&out, "%s%d", out.n ? ", " : "", reply->status);
    if (reply->error.n) buf_fmt(&out, "%s%.*s", out.n ? ", " : "", STR_ARGS(reply->error));
    if (reply->retry_after.n) buf_fmt(&out, "%sRetry-After %.*s", out.n ? ", " : "", STR_ARGS(reply->retry_after));
    if (reply->delay_ms) buf_fmt(&out, "%safter %s", out.n ? ", " : "", when_duration_text(arena, reply->delay_ms).at);
    if (reply->fault) buf_fmt(&out, "%sfault %s", out.n ? ", " : "", reply->fault->name);
    if (!out.n) buf_add_c(&out, "the truth");
    if (reply->times == 0) buf_add_c(&out, ", always");
    else if (reply->times > 1) buf_fmt(&out, ", %d times", reply->times);
    return buf_str(&out);
}

/* A request of the client, with the scripted replies that it meets first. `repeats`: each scripted reply leads to
 * another one. */
static void request(struct chart *chart, enum request_name name, const char *deed, bool repeats)
{
    const struct replies *replies = &chart->scenario->replies[name];
    arrow(chart, 0, 1, str_c(deed));
    while (chart->used[name] < replies->n) {
        const struct reply *reply = &replies->at[chart->used[name]++];
        arrow(chart, 1, 0, reply_words(chart->arena, reply));
        if (!repeats && !reply->status) return;
        if (chart->used[name] < replies->n || reply->status) arrow(chart, 0, 1, str_c(deed));
    }
}

/* --- one challenge --- */

enum fate { FATE_VALID, FATE_INVALID, FATE_STUCK, FATE_OPEN };

static enum fate draw_queries(struct chart *chart, enum challenge_type type)
{
    const struct profile *profile = chart->scenario->profile;
    const struct answers *answers = &chart->scenario->answers[type];
    const struct answer *before = NULL;
    int skipped = 0;
    chart->now_ms += profile->query_delay_ms;
    for (int attempt = 1;; attempt++) {
        const struct answer *answer = answer_at(answers, attempt);
        const char *failure = foresee(profile, type, answer);
        const struct outcome *outcome = failure && *failure ? profile_outcome(profile, type, str_c(failure)) : NULL;
        bool retried = outcome && profile_retries(profile, outcome) && attempt <= profile->retry.count;
        bool same = attempt > 2 && answer == before && retried;
        before = answer;
        skipped += same;
        if (!same) {
            if (skipped)
                remark(chart, 1, str_fmt(chart->arena, "(and so %d more time%s)", skipped, skipped == 1 ? "" : "s"));
            skipped = 0;
            arrow(chart, 1, 2, str_fmt(chart->arena, "query %d", attempt));
        }
        chart->now_ms += lasts_ms(profile, answer);
        if (!same) arrow(chart, 2, 1, answer ? answer->word : STR("ok"));
        if (!failure) {
            remark(chart, 1, STR("(the run will show what this leads to)"));
            return FATE_OPEN;
        }
        if (!outcome) return FATE_VALID;
        if (outcome->then == THEN_STAYS) return FATE_STUCK;
        if (retried) {
            int64_t wait_ms = profile->retry.first_ms + profile->retry.growth_ms * (attempt - 1);
            if (attempt == 1)
                remark(chart, 1,
                       str_fmt(chart->arena, "%s: try again in %s", failure,
                               when_duration_text(chart->arena, wait_ms).at));
            chart->now_ms += wait_ms;
            continue;
        }
        bool used_up = profile_retries(profile, outcome);
        return used_up && !profile->gives_up ? FATE_STUCK : FATE_INVALID;
    }
}

/* The client's next choice among the offered types that it has not tried; false: none. */
static bool choose(const struct scenario *scenario, unsigned tried, enum challenge_type *ret)
{
    const struct client_plan *client = &scenario->client;
    for (size_t i = 0; i < scenario->n_challenges && !client->n_prefers; i++)
        if (!(tried & 1u << scenario->challenges[i])) {
            *ret = scenario->challenges[i];
            return true;
        }
    for (size_t p = 0; p < client->n_prefers; p++)
        for (size_t i = 0; i < scenario->n_challenges; i++)
            if (scenario->challenges[i] == client->prefers[p] && !(tried & 1u << client->prefers[p])) {
                *ret = client->prefers[p];
                return true;
            }
    return false;
}

static void draw_success(struct chart *chart)
{
    remark(chart, 1, STR("authz becomes valid, order ready"));
    request(chart, REQUEST_FINALIZE, "finalizes", false);
    if (chart->scenario->replies[REQUEST_POLL_ORDER].n || chart->scenario->profile->issue_delay_ms)
        request(chart, REQUEST_POLL_ORDER, "polls order", true);
    request(chart, REQUEST_CERTIFICATE, "downloads certificate", false);
}

static void draw_polite(struct chart *chart)
{
    const struct scenario *scenario = chart->scenario;
    const struct law *law = &scenario->profile->law;
    unsigned tried = 0;
    size_t n_tried = 0;
    bool new_order = true;
    enum challenge_type type;
    request(chart, REQUEST_NEW_ACCOUNT, "creates account", false);
    for (int orders = 0; orders < MAX_ORDERS;) {
        if (new_order) {
            orders++;
            request(chart, REQUEST_NEW_ORDER, "creates order", false);
            request(chart, REQUEST_READ_AUTHZ, "reads authz", false);
        }
        if (!choose(scenario, tried, &type)) {
            remark(chart, 0, STR("gives up: no challenge is left"));
            return;
        }
        tried |= 1u << type;
        n_tried++;
        request(chart, REQUEST_ANSWER_CHALLENGE, str_fmt(chart->arena, "answers %s", challenge_row(type)->name).at,
                false);
        enum fate fate = draw_queries(chart, type);
        if (fate == FATE_OPEN) return;
        if (fate == FATE_STUCK) {
            remark(
                chart, 1,
                str_fmt(chart->arena, "%s stays as it is; the next move is the client's", challenge_row(type)->name));
            return;
        }
        if (fate == FATE_VALID) {
            remark(chart, 1, str_fmt(chart->arena, "%s becomes valid", challenge_row(type)->name));
            draw_success(chart);
            return;
        }
        enum lifecycle_event ev = n_tried < scenario->n_challenges ? EV_CHALLENGE_FAILED : EV_CHALLENGES_EXHAUSTED;
        bool lost = law->to[OBJECT_AUTHZ][STATUS_PENDING][ev] == STATUS_INVALID;
        remark(chart, 1,
               str_fmt(chart->arena, "%s becomes invalid; authz and order %s", challenge_row(type)->name,
                       lost ? "too" : "stay pending"));
        if (scenario->client.on_failure == FAIL_GIVE_UP || (lost && scenario->client.on_failure == FAIL_SAME_AUTHZ)) {
            remark(chart, 0, STR("gives up"));
            return;
        }
        new_order = lost;
    }
}

static void draw(struct buf *out, struct arena *arena, const struct scenario *scenario)
{
    struct chart chart = {.arena = arena, .out = out, .scenario = scenario};
    static const char *const heads[LANES] = {"client", "CA", "responder"};
    char line[CHART_WIDTH + 1];
    memset(line, ' ', sizeof line);
    put_text(line, 1, STR("time"));
    for (size_t i = 0; i < LANES; i++) {
        size_t n = strlen(heads[i]), at = lane_at(i);
        put_text(line, at + n / 2 >= CHART_WIDTH ? CHART_WIDTH - n : at - n / 2, str_c(heads[i]));
    }
    put_line(&chart, line);
    if (!scenario->client.n_steps) {
        draw_polite(&chart);
        return;
    }
    for (size_t i = 0; i < scenario->client.n_steps; i++) {
        const struct step *step = &scenario->client.steps[i];
        bool inward = step->kind == STEP_WAIT || step->kind == STEP_GIVE_UP || step->kind == STEP_OTHER_ACCOUNT;
        if (inward) remark(&chart, 0, step->text);
        else if (step->kind == STEP_OBTAIN) arrow(&chart, 0, 1, STR("obtain: all the rest, politely"));
        else if (step->kind == STEP_RENEW)
            arrow(&chart, 0, 1, STR("renew: wait for its time, then all of it, politely"));
        else arrow(&chart, 0, step->kind == STEP_PROVISION || step->kind == STEP_WITHDRAW ? 2 : 1, step->text);
        if (step->kind == STEP_WAIT) chart.now_ms += step->every_ms;
        if (step->kind == STEP_ANSWER && draw_queries(&chart, step->type) == FATE_VALID)
            remark(&chart, 1, str_fmt(arena, "%s becomes valid", challenge_row(step->type)->name));
    }
}

/* --- prose --- */

static void add_condition(struct buf *out, const struct expectation *e)
{
    if (e->during_retry_after) buf_add_c(out, " before the time that Retry-After gave");
    if (e->has_while) buf_fmt(out, " while %.*s", STR_ARGS(e->while_.text));
    if (e->has_after) buf_fmt(out, " after %.*s", STR_ARGS(e->after.text));
    if (e->has_before) buf_fmt(out, " before %.*s", STR_ARGS(e->before.text));
}

static void add_number(struct buf *out, struct arena *arena, const struct expectation *e)
{
    static const char *const words[] = {"exactly", "at least", "at most"};
    buf_fmt(out, "%s ", words[e->comparison]);
    if (e->verb == VERB_GAP) buf_add(out, when_duration_text(arena, e->number));
    else buf_fmt(out, "%lld time%s", (long long)e->number, e->number == 1 ? "" : "s");
}

static void add_expectation(struct buf *out, struct arena *arena, const struct expectation *e, const char *indent)
{
    buf_fmt(out, "%s- ", indent);
    switch (e->verb) {
    case VERB_EVENTUALLY:
        buf_fmt(out, "%.*s", STR_ARGS(e->what.text));
        if (e->has_within) buf_fmt(out, ", within %s", when_duration_text(arena, e->within_ms).at);
        break;
    case VERB_NEVER: buf_fmt(out, "never: %.*s", STR_ARGS(e->what.text)); break;
    case VERB_COUNT_OF:
        buf_fmt(out, "%.*s: ", STR_ARGS(e->what.text));
        add_number(out, arena, e);
        break;
    case VERB_GAP:
        buf_fmt(out, "between one \"%.*s\" and the next: ", STR_ARGS(e->what.text));
        add_number(out, arena, e);
        break;
    case VERB_STATES:
        buf_fmt(out, "%s goes through",
                e->states_of_challenge_type ? challenge_row(e->states_type)->name : object_text(e->states_of));
        for (size_t i = 0; i < e->n_states; i++)
            buf_fmt(out, "%s %s", i ? "," : "", status_text(e->states[i]));
        break;
    case VERB_SEQUENCE:
        buf_add_c(out, "in this order:");
        for (size_t i = 0; i < e->n_sequence; i++)
            buf_fmt(out, "%s %.*s", i ? "," : "", STR_ARGS(e->sequence[i].text));
        break;
    case VERB_EACH:
        buf_fmt(out, "each time %.*s:", STR_ARGS(e->what.text));
        for (size_t i = 0; i < e->n_has; i++)
            buf_fmt(out, "%s %.*s %.*s", i ? "," : "", STR_ARGS(e->has[i].key), STR_ARGS(e->has[i].text));
        break;
    case VERB_ANY_OF: buf_add_c(out, "one of:"); break;
    }
    add_condition(out, e);
    if (e->clause.n) buf_fmt(out, "  [%s %.*s]", level_text(e->level), STR_ARGS(e->clause));
    else if (e->level != LEVEL_SCENARIO) buf_fmt(out, "  [%s]", level_text(e->level));
    if (e->note.n) buf_fmt(out, "  (%.*s)", STR_ARGS(e->note));
    buf_add_char(out, '\n');
    for (size_t g = 0; g < e->n_groups; g++) {
        buf_fmt(out, "%s  %.*s:\n", indent, STR_ARGS(e->groups[g].name));
        for (size_t i = 0; i < e->groups[g].n; i++)
            add_expectation(out, arena, &e->groups[g].at[i], "        ");
    }
}

static void add_given(struct buf *out, struct arena *arena, const struct scenario *scenario)
{
    const struct profile *profile = scenario->profile;
    buf_add_c(out, "given\n  names      ");
    for (size_t i = 0; i < scenario->n_identifiers; i++)
        buf_fmt(out, "%s%.*s", i ? ", " : "", STR_ARGS(scenario->identifiers[i]));
    buf_add_c(out, "\n  challenges ");
    for (size_t i = 0; i < scenario->n_challenges; i++)
        buf_fmt(out, "%s%s", i ? ", " : "", challenge_row(scenario->challenges[i])->name);
    if (profile->name.n) buf_fmt(out, "\n  profile    %.*s: %.*s", STR_ARGS(profile->name), STR_ARGS(profile->title));
    else buf_fmt(out, "\n  profile    %.*s with changes", STR_ARGS(profile->base));
    buf_fmt(out, "\n             retry %s; a query ends after %s\n", retry_schedule_text(arena, &profile->retry).at,
            when_duration_text(arena, profile->query_limit_ms).at);
    for (int t = 0; t < CHALLENGE_TYPE_COUNT; t++) {
        const struct answers *answers = &scenario->answers[t];
        if (!answers->n) continue;
        buf_fmt(out, "  %-10s answers", challenge_row((enum challenge_type)t)->name);
        for (size_t i = 0; i < answers->n; i++) {
            buf_fmt(out, "%s %.*s", i ? ", then" : "", STR_ARGS(answers->at[i].word));
            if (answers->at[i].times > 1) buf_fmt(out, " x%d", answers->at[i].times);
            if (answers->at[i].fault) buf_fmt(out, " (fault %s)", answers->at[i].fault->name);
        }
        buf_add_c(out, answers->n > 1 ? "; the last one from then on\n" : " always\n");
    }
    for (int r = 0; r < REQUEST_COUNT; r++) {
        const struct replies *replies = &scenario->replies[r];
        if (!replies->n) continue;
        buf_fmt(out, "  the CA answers \"%s\" with", request_name_text((enum request_name)r));
        for (size_t i = 0; i < replies->n; i++)
            buf_fmt(out, "%s %s", i ? "; then" : "", reply_words(arena, &replies->at[i]).at);
        buf_add_char(out, '\n');
    }
    for (size_t i = 0; i < scenario->n_rules; i++)
        buf_fmt(out, "  %s\n", fault_rule_words(arena, &scenario->rules[i]).at);
}

struct str scenario_show(struct arena *arena, const struct scenario *scenario)
{
    struct buf out = {.arena = arena};
    struct str name = scenario_name(arena, scenario);
    buf_fmt(&out, "%.*s\n  %.*s\n", STR_ARGS(name), STR_ARGS(scenario->title));
    if (scenario->note.n) buf_fmt(&out, "  %.*s\n", STR_ARGS(scenario->note));
    for (size_t i = 0; i < scenario->n_clauses; i++) {
        const struct clause *clause = clause_find(scenario->clauses[i]);
        if (clause)
            buf_fmt(&out, "  %s %.*s: %.*s\n", level_text(clause->level), STR_ARGS(clause->section),
                    STR_ARGS(clause->text));
    }
    buf_add_char(&out, '\n');
    add_given(&out, arena, scenario);
    buf_add_char(&out, '\n');
    draw(&out, arena, scenario);
    buf_add_c(&out, "\nexpected\n");
    for (size_t i = 0; i < scenario->n_expects; i++)
        add_expectation(&out, arena, &scenario->expects[i], "  ");
    buf_add_c(&out, "  - and the rules that always hold");
    for (size_t i = 0; i < scenario->n_unless; i++)
        buf_fmt(&out, "%s %.*s", i ? "," : ", but for", STR_ARGS(scenario->unless[i]));
    buf_add_c(&out, "\n\nruns in\n");
    for (int m = MODE_SIMULATE; m <= MODE_SERVER; m++) {
        struct str why = scenario_unfit(arena, scenario, (enum mode)m);
        buf_fmt(&out, "  %-9s %s%.*s\n", mode_text((enum mode)m), why.n ? "no: " : "yes", STR_ARGS(why));
    }
    return buf_str(&out);
}
