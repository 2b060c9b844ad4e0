/* The CA's accounts over signed requests: RFC 8555 section 7.3 with its subsections. Plain accounts are in ca_test.c.
 */
#include "actor/ca_bench_test.h"

static struct account_doc account_shown(struct desk *desk, int status)
{
    struct account_doc doc;
    assert_json(desk, status);
    assert_int_equal(account_read(&desk->bench->keep, the_reply(desk)->body, &doc), OK);
    return doc;
}

static struct desk *desk_with_account(struct desk *desk)
{
    desk_open(desk);
    register_account(desk);
    return desk;
}

static bool detail_says(struct desk *desk, const char *words)
{
    return str_find(reply_problem(desk).detail, words) >= 0;
}

/* --- key change (section 7.3.5) --- */
struct change {
    const char *url, *account; /* NULL: the right ones */
    const struct key *old;     /* named as oldKey; NULL: the account's */
    const struct key *signer;  /* of the inner JWS; NULL: the new key */
    const char *kid, *nonce;   /* in its header; NULL: no such member */
};

static struct str inner_jws(struct desk *desk, const struct key *key, const struct change *change)
{
    struct arena *arena = &desk->bench->keep;
    struct key_change_doc doc = {.account = str_c(change->account ? change->account : desk->kid),
                                 .old_key = key_jwk(change->old ? change->old : desk->key, arena)};
    struct jws_header header = {.url = str_c(change->url ? change->url : CA_BASE "/key-change"),
                                .kid = str_c(change->kid),
                                .nonce = str_c(change->nonce)};
    struct str text, forged;
    assert_int_equal(jws_seal(arena, key, &header, key_change_request(arena, &doc), &text), OK);
    if (!change->signer) return text;
    assert_int_equal(jws_seal(arena, change->signer, &header, key_change_request(arena, &doc), &forged), OK);
    ptrdiff_t at = str_find(text, "\"signature\""), from = str_find(forged, "\"signature\"");
    return str_fmt(arena, "%.*s%s", (int)at, text.at, forged.at + from);
}

static void change_key(struct desk *desk, const struct key *key, const struct change *change)
{
    post(desk, at(desk, "/key-change"), inner_jws(desk, key, change).at);
}

static void test_key_change(void **state)
{
    (void)state;
    struct desk *desk = desk_with_order(desk_new("rfc8555"));
    struct directory_doc directory;
    get(desk, "GET", "/dir");
    assert_int_equal(directory_read(&desk->bench->keep, the_reply(desk)->body, &directory), OK);
    assert_str(directory.key_change, CA_BASE "/key-change");
    fresh_nonce(desk);

    struct key *old = desk->key, *key = key_make(KEY_P384, SEALING_REAL, &desk->bench->rng);
    change_key(desk, key, &(struct change){0});
    assert_str(account_shown(desk, 200).status, "valid");
    assert_str(reply_header(desk, "Location"), CA_BASE "/account/1");

    /* The old key is no longer the account's, nor of any other. */
    post(desk, desk->order, "");
    assert_refused(desk, 400, "malformed");
    new_account(desk, "{\"onlyReturnExisting\":true}");
    assert_refused(desk, 400, "accountDoesNotExist");
    desk->key = key;
    assert_str(read_order(desk).status, "pending");
    new_account(desk, "{\"onlyReturnExisting\":true}");
    assert_json(desk, 200);
    assert_str(reply_header(desk, "Location"), CA_BASE "/account/1");

    /* And back: the old key has become free. */
    change_key(desk, old, &(struct change){0});
    assert_json(desk, 200);
    desk->key = old;
    assert_str(read_order(desk).status, "pending");
    key_free(key);
    desk_free(desk);
}

static void test_key_change_refused(void **state)
{
    (void)state;
    struct desk *desk = desk_with_account(desk_new("rfc8555"));
    struct key *first = desk->key, *other = key_make(KEY_P256, SEALING_REAL, &desk->bench->rng),
               *key = key_make(KEY_P256, SEALING_REAL, &desk->bench->rng);
    desk->key = other;
    register_account(desk);
    desk->key = first;
    strcpy(desk->kid, CA_BASE "/account/1");
    const struct {
        struct change change;
        const char *says;
    } rows[] = {
        {{.signer = first},                 "is not by the new key"              },
        {{.kid = CA_BASE "/account/1"},     "as \"jwk\", not a \"kid\""          },
        {{.nonce = "bm9uY2U"},              "must not have a \"nonce\""          },
        {{.nonce = "?"},                    "must not have a \"nonce\""          },
        {{.url = CA_BASE "/new-order"},     "the outer one for"                  },
        {{.account = CA_BASE "/account/2"}, "the outer one is signed by"         },
        {{.account = ""},                   "no text \"account\""                },
        {{.old = other},                    "is not the key that the account has"},
        {{.old = key},                      "is not the key that the account has"},
    };
    for (size_t i = 0; i < COUNTOF(rows); i++) {
        change_key(desk, key, &rows[i].change);
        assert_refused(desk, 400, "malformed");
        if (!detail_says(desk, rows[i].says)) fail_msg("row %zu: %s", i, the_reply(desk)->body.at);
    }
    static const char *const payloads[] = {"", "{}", "[]", "\"x\"", "{\"protected\":\"\",\"payload\":\"\"}"};
    for (size_t i = 0; i < COUNTOF(payloads); i++) {
        post(desk, at(desk, "/key-change"), payloads[i]);
        assert_refused(desk, 400, "malformed");
        assert_true(detail_says(desk, "the inner JWS: "));
    }

    /* A key that has an account, be it this one: 409, and where that account is. */
    change_key(desk, other, &(struct change){0});
    assert_refused(desk, 409, "malformed");
    assert_str(reply_header(desk, "Location"), CA_BASE "/account/2");
    change_key(desk, first, &(struct change){0});
    assert_refused(desk, 409, "malformed");
    assert_str(reply_header(desk, "Location"), CA_BASE "/account/1");

    /* None of this has changed anything. */
    post(desk, at(desk, "/account/1"), "");
    assert_json(desk, 200);
    key_free(key);
    key_free(other);
    desk_free(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_change),
        cmocka_unit_test(test_key_change_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
