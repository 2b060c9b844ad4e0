#include "plan/fault_rule.h"

static const char *const names[REQUEST_COUNT + 2] = {
    "directory",      "new nonce",  "new account", "new order",          "read authz",          "answer challenge",
    "poll challenge", "poll authz", "poll order",  "finalize",           "certificate",         "account",
    "orders",         "change key", "new authz",   "revoke certificate", "renewal information", "any",
    "connect",
};

const char *request_name_text(enum request_name name)
{
    return names[name];
}

const char *const *request_names(bool for_rules, size_t *ret_n)
{
    *ret_n = for_rules ? REQUEST_COUNT + 2 : REQUEST_COUNT;
    return names;
}

bool fault_rule_concerns(const struct fault_rule *rule, const struct fault_rule_subject *subject)
{
    bool any = rule->where == REQUEST_ANY && subject->where != REQUEST_CONNECT;
    if (!any && rule->where != subject->where) return false;
    if (rule->account && rule->account != subject->account) return false;
    bool of_order = !rule->order;
    for (size_t i = 0; i < subject->n_orders; i++)
        of_order |= rule->order == subject->orders[i];
    if (!of_order || !rule->name.n) return of_order;
    for (size_t i = 0; i < subject->n_names; i++)
        if (str_is_nocase(subject->names[i], rule->name.at)) return true;
    return false;
}

bool fault_rule_takes(const struct fault_rule *rule, int64_t seen)
{
    if (seen < rule->nth || (seen - rule->nth) % rule->every) return false;
    return rule->times == 0 || (seen - rule->nth) / rule->every < rule->times;
}
