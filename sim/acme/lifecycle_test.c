/* The table against fixtures/lifecycle.json, which was written from the RFC and not from the table. */
#include "acme/lifecycle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static json_t *fixture;

static int load_fixture(void **state)
{
    (void)state;
    json_error_t error;
    fixture = json_load_file(DRILL_SOURCE_DIR "/fixtures/lifecycle.json", JSON_REJECT_DUPLICATES, &error);
    return fixture ? 0 : -1;
}

static int drop_fixture(void **state)
{
    (void)state;
    json_decref(fixture);
    return 0;
}

static json_t *fixture_object(enum object o)
{
    json_t *object = json_object_get(fixture, object_text(o));
    assert_non_null(object);
    return object;
}

/* What the fixture says of one pair; STATUS_NONE: refused, or no such state of this object. */
static enum status cell(enum object o, enum status from, enum lifecycle_event ev)
{
    json_t *row = json_object_get(json_object_get(fixture_object(o), "cells"), status_text(from));
    if (!row) return STATUS_NONE;
    const char *to = json_string_value(json_object_get(row, lifecycle_event_text(ev)));
    assert_non_null(to);
    if (strcmp(to, "refused") == 0) return STATUS_NONE;
    assert_int_not_equal(status_read(str_c(to)), STATUS_NONE);
    return status_read(str_c(to));
}

static bool listed(const json_t *list, const char *word)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), word) == 0) return true;
    return false;
}

static void test_fixture_has_every_pair(void **state)
{
    (void)state;
    const json_t *events = json_object_get(fixture, "events");
    size_t n_cells = 0;
    assert_int_equal(json_array_size(events), EV_COUNT);
    for (int ev = 0; ev < EV_COUNT; ev++)
        assert_true(listed(events, lifecycle_event_text((enum lifecycle_event)ev)));
    for (int o = 0; o < OBJECT_COUNT; o++) {
        json_t *cells = json_object_get(fixture_object((enum object)o), "cells"), *row;
        const char *status;
        json_object_foreach(cells, status, row)
        {
            assert_true(status_of_object((enum object)o, status_read(str_c(status))));
            assert_int_equal(json_object_size(row), EV_COUNT);
            n_cells += json_object_size(row);
        }
        for (int s = 0; s < STATUS_COUNT; s++)
            assert_int_equal(json_object_get(cells, status_text((enum status)s)) != NULL,
                             status_of_object((enum object)o, (enum status)s));
    }
    assert_int_equal(n_cells, (3 + 5 + 6 + 4) * EV_COUNT);
}

static void test_every_allowed_cell_has_a_reason(void **state)
{
    (void)state;
    for (int o = 0; o < OBJECT_COUNT; o++) {
        const json_t *because = json_object_get(fixture_object((enum object)o), "because");
        size_t n_allowed = 0;
        for (int s = 0; s < STATUS_COUNT; s++)
            for (int ev = 0; ev < EV_COUNT; ev++) {
                char row[80];
                if (cell((enum object)o, (enum status)s, (enum lifecycle_event)ev) == STATUS_NONE) continue;
                snprintf(row, sizeof row, "%s %s", status_text((enum status)s),
                         lifecycle_event_text((enum lifecycle_event)ev));
                assert_true(json_is_string(json_object_get(because, row)));
                n_allowed++;
            }
        assert_int_equal(json_object_size(because), n_allowed);
    }
}

/* Forbidden pairs too, and the statuses that this kind of object never has. */
static void test_law_is_the_rfcs(void **state)
{
    (void)state;
    struct law law;
    memset(&law, 0x5a, sizeof law);
    law_rfc8555(&law);
    for (int o = 0; o < OBJECT_COUNT; o++)
        for (int s = 0; s < STATUS_COUNT; s++)
            for (int ev = 0; ev < EV_COUNT; ev++) {
                enum status expected = cell((enum object)o, (enum status)s, (enum lifecycle_event)ev);
                if (law.to[o][s][ev] != expected)
                    fail_msg("%s %s %s: the law says %s, the RFC %s", object_text((enum object)o),
                             status_text((enum status)s), lifecycle_event_text((enum lifecycle_event)ev),
                             status_text(law.to[o][s][ev]), status_text(expected));
            }
}

static void test_final_statuses(void **state)
{
    (void)state;
    for (int o = 0; o < OBJECT_COUNT; o++)
        for (int s = 0; s < STATUS_COUNT; s++)
            assert_int_equal(
                status_is_final((enum object)o, (enum status)s),
                listed(json_object_get(fixture_object((enum object)o), "final"), status_text((enum status)s)));
}

static void test_reachable_is_the_closure(void **state)
{
    (void)state;
    for (int o = 0; o < OBJECT_COUNT; o++) {
        bool reach[STATUS_COUNT][STATUS_COUNT] = {{false}};
        for (int from = 0; from < STATUS_COUNT; from++) {
            reach[from][from] = status_of_object((enum object)o, (enum status)from);
            for (int ev = 0; ev < EV_COUNT; ev++) {
                enum status to = cell((enum object)o, (enum status)from, (enum lifecycle_event)ev);
                if (to != STATUS_NONE) reach[from][to] = true;
            }
        }
        for (int by = 0; by < STATUS_COUNT; by++)
            for (int from = 0; from < STATUS_COUNT; from++)
                for (int to = 0; to < STATUS_COUNT; to++)
                    reach[from][to] = reach[from][to] || (reach[from][by] && reach[by][to]);
        for (int from = 0; from < STATUS_COUNT; from++)
            for (int to = 0; to < STATUS_COUNT; to++)
                assert_int_equal(lifecycle_reachable((enum object)o, (enum status)from, (enum status)to),
                                 reach[from][to]);
    }
    /* A few by hand, so that the closure above is not its own witness. */
    assert_true(lifecycle_reachable(OBJECT_CHALLENGE, STATUS_PENDING, STATUS_VALID));
    assert_true(lifecycle_reachable(OBJECT_ORDER, STATUS_READY, STATUS_VALID));
    assert_true(lifecycle_reachable(OBJECT_AUTHZ, STATUS_PENDING, STATUS_REVOKED));
    assert_true(lifecycle_reachable(OBJECT_ORDER, STATUS_INVALID, STATUS_INVALID));
    assert_false(lifecycle_reachable(OBJECT_CHALLENGE, STATUS_PROCESSING, STATUS_PENDING));
    assert_false(lifecycle_reachable(OBJECT_CHALLENGE, STATUS_INVALID, STATUS_PROCESSING));
    assert_false(lifecycle_reachable(OBJECT_AUTHZ, STATUS_VALID, STATUS_INVALID));
    assert_false(lifecycle_reachable(OBJECT_ORDER, STATUS_READY, STATUS_PENDING));
    assert_false(lifecycle_reachable(OBJECT_AUTHZ, STATUS_PENDING, STATUS_PROCESSING));
    assert_false(lifecycle_reachable(OBJECT_ORDER, STATUS_NONE, STATUS_PENDING));
}

static void test_apply_moves_or_leaves_alone(void **state)
{
    (void)state;
    struct law law;
    law_rfc8555(&law);
    for (int o = 0; o < OBJECT_COUNT; o++)
        for (int s = STATUS_PENDING; s < STATUS_COUNT; s++)
            for (int ev = 0; ev < EV_COUNT; ev++) {
                if (!status_of_object((enum object)o, (enum status)s)) continue;
                struct subject subject = lifecycle_born((enum object)o, (enum status)s);
                enum status was = STATUS_REVOKED, to = cell((enum object)o, (enum status)s, (enum lifecycle_event)ev);
                enum err e = lifecycle_apply(&law, &subject, (enum lifecycle_event)ev, &was);
                assert_int_equal(e, to == STATUS_NONE ? ERR_REFUSED : OK);
                assert_int_equal(subject.object, o);
                assert_int_equal(subject.status, e ? (enum status)s : to);
                assert_int_equal(was, e ? STATUS_REVOKED : (enum status)s);
            }
    struct subject order = lifecycle_born(OBJECT_ORDER, STATUS_READY);
    assert_int_equal(lifecycle_apply(&law, &order, EV_FINALIZE, NULL), OK);
    assert_int_equal(order.status, STATUS_PROCESSING);
    assert_int_equal(lifecycle_apply(&law, &order, EV_FINALIZE, NULL), ERR_REFUSED);
}

/* Section 8.2: a failed query is no giving up. */
static void test_failed_query_is_not_the_end(void **state)
{
    (void)state;
    struct law law;
    law_rfc8555(&law);
    struct subject challenge = lifecycle_born(OBJECT_CHALLENGE, STATUS_PENDING);
    assert_int_equal(lifecycle_apply(&law, &challenge, EV_RESPONSE, NULL), OK);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(lifecycle_apply(&law, &challenge, EV_QUERY_FAILED, NULL), OK);
        assert_int_equal(lifecycle_apply(&law, &challenge, EV_RETRY_ASKED, NULL), OK);
        assert_int_equal(challenge.status, STATUS_PROCESSING);
    }
    assert_int_equal(lifecycle_apply(&law, &challenge, EV_GAVE_UP, NULL), OK);
    assert_int_equal(challenge.status, STATUS_INVALID);
    assert_int_equal(lifecycle_apply(&law, &challenge, EV_QUERY_OK, NULL), ERR_REFUSED);
    assert_int_equal(challenge.status, STATUS_INVALID);
}

static void test_replace(void **state)
{
    (void)state;
    struct law law, plain;
    law_rfc8555(&plain);
    law = plain;
    assert_int_equal(law_replace(&law, OBJECT_CHALLENGE, STR("pending response"), STR("pending")), OK);
    assert_int_equal(law.to[OBJECT_CHALLENGE][STATUS_PENDING][EV_RESPONSE], STATUS_PENDING);
    assert_int_equal(law_replace(&law, OBJECT_CHALLENGE, STR("pending query-ok"), STR("valid")), OK);
    assert_int_equal(law.to[OBJECT_CHALLENGE][STATUS_PENDING][EV_QUERY_OK], STATUS_VALID);
    assert_int_equal(law_replace(&law, OBJECT_ORDER, STR("ready finalize"), STR("refused")), OK);
    assert_int_equal(law.to[OBJECT_ORDER][STATUS_READY][EV_FINALIZE], STATUS_NONE);
    struct subject order = lifecycle_born(OBJECT_ORDER, STATUS_READY);
    assert_int_equal(lifecycle_apply(&law, &order, EV_FINALIZE, NULL), ERR_REFUSED);
    assert_int_equal(order.status, STATUS_READY);

    /* Nothing but the three cells is changed, and taking them back gives the old law. */
    assert_int_equal(law_replace(&law, OBJECT_CHALLENGE, STR("pending response"), STR("processing")), OK);
    assert_int_equal(law_replace(&law, OBJECT_CHALLENGE, STR("pending query-ok"), STR("refused")), OK);
    assert_int_equal(law_replace(&law, OBJECT_ORDER, STR("ready finalize"), STR("processing")), OK);
    assert_memory_equal(&law, &plain, sizeof law);
}

static void test_replace_refuses(void **state)
{
    (void)state;
    static const struct {
        enum object object;
        const char *row, *outcome;
    } rows[] = {
        {OBJECT_CHALLENGE, "pending",                "valid"     }, /* no event */
        {OBJECT_CHALLENGE, "",                       "valid"     },
        {OBJECT_CHALLENGE, "pending ",               "valid"     },
        {OBJECT_CHALLENGE, "pending respond",        "valid"     }, /* no such event */
        {OBJECT_CHALLENGE, "waiting response",       "valid"     }, /* no such status */
        {OBJECT_CHALLENGE, "none response",          "pending"   },
        {OBJECT_CHALLENGE, "ready response",         "pending"   }, /* not of a challenge */
        {OBJECT_CHALLENGE, "pending response",       "ready"     },
        {OBJECT_CHALLENGE, "pending response",       "none"      },
        {OBJECT_CHALLENGE, "pending response",       ""          },
        {OBJECT_AUTHZ,     "processing error",       "invalid"   },
        {OBJECT_AUTHZ,     "pending error",          "processing"},
        {OBJECT_ACCOUNT,   "pending deactivated",    "valid"     },
        {OBJECT_ORDER,     "pending authzs-valid x", "ready"     },
    };
    struct law law, plain;
    law_rfc8555(&plain);
    law = plain;
    for (size_t i = 0; i < COUNTOF(rows); i++)
        assert_int_equal(law_replace(&law, rows[i].object, str_c(rows[i].row), str_c(rows[i].outcome)), ERR_NOT_FOUND);
    assert_memory_equal(&law, &plain, sizeof law);
}

static void test_words(void **state)
{
    (void)state;
    for (int s = STATUS_PENDING; s < STATUS_COUNT; s++)
        assert_int_equal(status_read(str_c(status_text((enum status)s))), s);
    assert_int_equal(status_read(STR("none")), STATUS_NONE);
    assert_int_equal(status_read(STR("Pending")), STATUS_NONE);
    assert_int_equal(status_read(STR("pending ")), STATUS_NONE);
    assert_int_equal(status_read((struct str){0}), STATUS_NONE);
    assert_string_equal(status_text(STATUS_NONE), "none");
    assert_false(status_of_object(OBJECT_ORDER, STATUS_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixture_has_every_pair),
        cmocka_unit_test(test_every_allowed_cell_has_a_reason),
        cmocka_unit_test(test_law_is_the_rfcs),
        cmocka_unit_test(test_final_statuses),
        cmocka_unit_test(test_reachable_is_the_closure),
        cmocka_unit_test(test_apply_moves_or_leaves_alone),
        cmocka_unit_test(test_failed_query_is_not_the_end),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_replace_refuses),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, load_fixture, drop_fixture);
}
