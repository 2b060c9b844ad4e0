/* ca.faults: the rules that say which replies of our CA a fault meets. */
#include "acme/resource.h"
#include "plan/parts.h"
#include "wire/msg.h"

static void read_rule(const struct desk *desk, struct node node, struct fault_rule *rule)
{
    static const char *const keys[] = {"fault", "where", "name", "account", "order", "nth", "every", "times", "note"};
    struct node member;
    int64_t number;
    size_t n, i;
    *rule = (struct fault_rule){.where = REQUEST_ANY, .nth = 1, .every = 1, .times = 1};
    if (!node_object(desk, node, "a fault and where it acts, such as {\"fault\": \"no-nonce\", \"where\": \"any\"},"))
        return;
    node_keys(desk, node, "key in a fault", keys, COUNTOF(keys));
    node_note(desk, node);
    unsigned acts_on = FAULT_CONNECT | 1u << MSG_RESPONSE; /* as long as nobody knows where it is to act */
    if ((member = node_member(desk, node, "where")).value) {
        const char *const *words = request_names(true, &n);
        if (node_word(desk, member, "request", words, n, &i)) {
            rule->where = (enum request_name)i;
            acts_on = rule->where == REQUEST_CONNECT ? FAULT_CONNECT : 1u << MSG_RESPONSE;
        }
    } else {
        node_bad(desk, node, "\"where\" is missing: a request, such as \"new order\", \"any\" or \"connect\"");
    }
    bool connect = rule->where == REQUEST_CONNECT;
    if ((member = node_member(desk, node, "fault")).value) rule->fault = fault_read(desk, member, acts_on);
    else node_bad(desk, node, "the name of the \"fault\" is missing");
    if ((member = node_member(desk, node, "name")).value && node_text(desk, member, "a DNS name", 300, &rule->name) &&
        !name_legal(rule->name, NULL, NULL))
        node_bad(desk, member, "\"%.*s\" is not a DNS name that an order may carry", STR_ARGS(rule->name));
    if ((member = node_member(desk, node, "account")).value && node_int(desk, member, 1, 1000, &number))
        rule->account = (int)number;
    if ((member = node_member(desk, node, "order")).value && node_int(desk, member, 1, 1000, &number))
        rule->order = (int)number;
    if (connect && (rule->name.n || rule->account || rule->order))
        node_bad(desk, node, "a connection is nobody's yet: \"name\", \"account\" and \"order\" are for requests");
    if ((member = node_member(desk, node, "nth")).value && node_int(desk, member, 1, 1000, &number))
        rule->nth = (int)number;
    if ((member = node_member(desk, node, "every")).value && node_int(desk, member, 1, 1000, &number))
        rule->every = (int)number;
    if ((member = node_member(desk, node, "times")).value) times_read(desk, member, &rule->times);
}

void faults_read(const struct desk *desk, struct node node, struct scenario *scenario)
{
    if (!node_array(desk, node, "a list of faults", 0, SCENARIO_MAX_RULES)) return;
    scenario->n_rules = node_length(node);
    for (size_t i = 0; i < scenario->n_rules; i++)
        read_rule(desk, node_item(desk, node, i), &scenario->rules[i]);
}

void faults_check(const struct desk *desk, struct node node, const struct scenario *scenario)
{
    for (size_t i = 0; i < node_length(node) && i < scenario->n_rules; i++) {
        struct str name = scenario->rules[i].name;
        bool known = false;
        if (!name.n) continue;
        for (size_t k = 0; k < scenario->n_identifiers; k++)
            known |= str_is_nocase(scenario->identifiers[k], name.at);
        if (!known)
            node_bad(desk, node_member(desk, node_item(desk, node, i), "name"),
                     "the orders of this scenario are not for \"%.*s\"", STR_ARGS(name));
    }
}

static const char *ordinal_end(int n)
{
    if (n % 100 >= 11 && n % 100 <= 13) return "th";
    return n % 10 == 1 ? "st" : n % 10 == 2 ? "nd" : n % 10 == 3 ? "rd" : "th";
}

struct str fault_rule_words(struct arena *arena, const struct fault_rule *rule)
{
    struct buf out = {.arena = arena};
    const char *what = rule->where == REQUEST_CONNECT ? "connection" : "reply";
    buf_fmt(&out, "the fault %s meets ", rule->fault->name);
    if (rule->times == 0 && rule->nth == 1 && rule->every == 1) buf_fmt(&out, "every %s", what);
    else buf_fmt(&out, "the %d%s %s", rule->nth, ordinal_end(rule->nth), what);
    if (rule->times == 0 && rule->nth > 1 && rule->every == 1) buf_add_c(&out, " and all after it");
    if (rule->where == REQUEST_ANY) buf_add_c(&out, " to any request");
    else if (rule->where != REQUEST_CONNECT) buf_fmt(&out, " to \"%s\"", request_name_text(rule->where));
    if (rule->name.n) buf_fmt(&out, " for %.*s", STR_ARGS(rule->name));
    if (rule->account) buf_fmt(&out, " of account %d", rule->account);
    if (rule->order) buf_fmt(&out, " of order %d", rule->order);
    if (rule->every > 1) buf_fmt(&out, ", then on each %d%s", rule->every, ordinal_end(rule->every));
    if (rule->times > 1) buf_fmt(&out, ", %d times", rule->times);
    return buf_str(&out);
}
