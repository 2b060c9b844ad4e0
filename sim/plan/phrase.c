#include "plan/phrase.h"

#include <assert.h>
#include <string.h>

/* Deeds with their objects; of two that are as near to a slip the first is suggested. `types`: the object may also be a
 * challenge type by name. */
static const struct {
    enum deed deed;
    enum party party;
    const char *verb, *object;
    bool types;
} deeds[] = {
    {DEED_CREATES_ACCOUNT,      PARTY_CLIENT, "client creates",     "account",             false},
    {DEED_FINDS_ACCOUNT,        PARTY_CLIENT, "client finds",       "account",             false},
    {DEED_READS_ACCOUNT,        PARTY_CLIENT, "client reads",       "account",             false},
    {DEED_UPDATES_ACCOUNT,      PARTY_CLIENT, "client updates",     "account",             false},
    {DEED_DEACTIVATES_ACCOUNT,  PARTY_CLIENT, "client deactivates", "account",             false},
    {DEED_CHANGES_KEY,          PARTY_CLIENT, "client changes",     "key",                 false},
    {DEED_READS_ORDERS,         PARTY_CLIENT, "client reads",       "orders",              false},
    {DEED_CREATES_ORDER,        PARTY_CLIENT, "client creates",     "order",               false},
    {DEED_REPLACES_CERTIFICATE, PARTY_CLIENT, "client replaces",    "certificate",         false},
    {DEED_CREATES_AUTHZ,        PARTY_CLIENT, "client creates",     "authz",               false},
    {DEED_READS_DIRECTORY,      PARTY_CLIENT, "client reads",       "directory",           false},
    {DEED_READS_NONCE,          PARTY_CLIENT, "client reads",       "nonce",               false},
    {DEED_READS_AUTHZ,          PARTY_CLIENT, "client reads",       "authz",               false},
    {DEED_ANSWERS,              PARTY_CLIENT, "client answers",     "challenge",           true },
    {DEED_POLLS_CHALLENGE,      PARTY_CLIENT, "client polls",       "challenge",           true },
    {DEED_POLLS_AUTHZ,          PARTY_CLIENT, "client polls",       "authz",               false},
    {DEED_POLLS_ORDER,          PARTY_CLIENT, "client polls",       "order",               false},
    {DEED_FINALIZES,            PARTY_CLIENT, "client",             "finalizes",           false},
    {DEED_DEACTIVATES_AUTHZ,    PARTY_CLIENT, "client deactivates", "authz",               false},
    {DEED_REVOKES_CERTIFICATE,  PARTY_CLIENT, "client revokes",     "certificate",         false},
    {DEED_READS_RENEWAL,        PARTY_CLIENT, "client reads",       "renewal information", false},
    {DEED_DOWNLOADS,            PARTY_CLIENT, "client downloads",   "certificate",         false},
    {DEED_GETS_CERTIFICATE,     PARTY_CLIENT, "client gets",        "certificate",         false},
    {DEED_GIVES_UP,             PARTY_CLIENT, "client gives",       "up",                  false},
    {DEED_VALIDATES,            PARTY_CA,     "ca validates",       "challenge",           true },
    {DEED_FAILS,                PARTY_CA,     "ca fails",           "challenge",           true },
    {DEED_REPORTS_CHALLENGE,    PARTY_CA,     "ca reports",         "challenge",           true },
    {DEED_REPORTS_AUTHZ,        PARTY_CA,     "ca reports",         "authz",               false},
    {DEED_REPORTS_ORDERS,       PARTY_CA,     "ca reports",         "orders",              false},
    {DEED_REPORTS_ORDER,        PARTY_CA,     "ca reports",         "order",               false},
    {DEED_REPORTS_ACCOUNT,      PARTY_CA,     "ca reports",         "account",             false},
    {DEED_REPORTS_RENEWAL,      PARTY_CA,     "ca reports",         "renewal information", false},
    {DEED_REPORTS_CERTIFICATE,  PARTY_CA,     "ca reports",         "certificate",         false},
    {DEED_FINDS_NO_ACCOUNT,     PARTY_CA,     "ca finds",           "no account",          false},
    {DEED_REPORTS_ERROR,        PARTY_CA,     "ca reports",         "error",               false},
    {DEED_ISSUES,               PARTY_CA,     "ca issues",          "certificate",         false},
    {DEED_REVOKED,              PARTY_CA,     "ca revokes",         "certificate",         false},
    {DEED_KEY_CHANGED,          PARTY_CA,     "ca changes",         "key",                 false},
};

static const char *const ordinals[] = {"", "first", "second", "third", "last"};
static const char *const moves[] = {"becomes", "leaves", "is"};

enum { PHRASES_MAX = 200, PHRASE_ROOM = 48, OBJECT_WORDS = OBJECT_COUNT + CHALLENGE_TYPE_COUNT };

struct entry {
    char text[PHRASE_ROOM];
    struct phrase phrase;
};
static struct entry entries[PHRASES_MAX];
static const char *texts[PHRASES_MAX];
static size_t n_entries;

static void enter(struct phrase phrase, const char *a, const char *b, const char *c)
{
    assert(n_entries < PHRASES_MAX);
    struct entry *entry = &entries[n_entries];
    const char *const words[] = {a, b, c};
    size_t n = 0;
    for (size_t i = 0; i < COUNTOF(words) && words[i]; i++) {
        size_t length = strlen(words[i]);
        assert(n + length + 2 < PHRASE_ROOM);
        if (i) entry->text[n++] = ' ';
        memcpy(entry->text + n, words[i], length);
        n += length;
    }
    entry->phrase = phrase;
    entry->phrase.text = (struct str){entry->text, n};
    texts[n_entries++] = entry->text;
}

/* The grammar, spelled out once. */
static void enter_all(void)
{
    if (n_entries) return;
    for (size_t i = 0; i < COUNTOF(deeds); i++) {
        struct phrase phrase = {.deed = deeds[i].deed, .party = deeds[i].party, .any_challenge = true};
        enter(phrase, deeds[i].verb, deeds[i].object, NULL);
        phrase.any_challenge = false;
        for (int t = 0; deeds[i].types && t < CHALLENGE_TYPE_COUNT; t++) {
            phrase.type = (enum challenge_type)t;
            enter(phrase, deeds[i].verb, challenge_row(phrase.type)->name, NULL);
        }
    }
    for (size_t m = 0; m < COUNTOF(moves); m++)
        for (int o = 0; o < OBJECT_WORDS; o++)
            for (int s = STATUS_NONE + 1; s < STATUS_COUNT; s++) {
                bool typed = o >= OBJECT_COUNT;
                struct phrase phrase = {.deed = (enum deed)(DEED_BECOMES + (int)m), .party = PARTY_CA};
                phrase.object = typed ? OBJECT_CHALLENGE : (enum object)o;
                phrase.any_challenge = !typed;
                phrase.type = typed ? (enum challenge_type)(o - OBJECT_COUNT) : CHALLENGE_HTTP_01;
                phrase.status = (enum status)s;
                if (!status_of_object(phrase.object, phrase.status)) continue;
                enter(phrase, typed ? challenge_row(phrase.type)->name : object_text(phrase.object), moves[m],
                      status_text(phrase.status));
            }
}

struct str phrase_all(struct arena *arena, size_t i)
{
    (void)arena;
    enter_all();
    return i < n_entries ? entries[i].phrase.text : (struct str){0};
}

bool phrase_typed(const struct phrase *phrase)
{
    return !phrase->any_challenge && (phrase->deed < DEED_BECOMES || phrase->object == OBJECT_CHALLENGE);
}

bool phrase_same(const struct phrase *a, const struct phrase *b)
{
    if (a->deed != b->deed || a->ordinal != b->ordinal || !str_eq(a->name, b->name)) return false;
    if (a->any_challenge != b->any_challenge || (!a->any_challenge && a->type != b->type)) return false;
    return a->deed < DEED_BECOMES || (a->object == b->object && a->status == b->status);
}

enum err phrase_read(struct arena *arena, struct str text, struct phrase *ret, struct str *reterr_why)
{
    struct str body = text, name = {0}, head, rest;
    enum ordinal ordinal = ORDINAL_ANY;
    enter_all();
    if (str_cut(text, ' ', &head, &rest))
        for (int i = ORDINAL_FIRST; i <= ORDINAL_LAST; i++)
            if (str_is(head, ordinals[i])) {
                ordinal = (enum ordinal)i;
                body = rest;
            }
    ptrdiff_t at = str_find(body, " for ");
    if (at >= 0) {
        name = (struct str){body.at + at + 5, body.n - (size_t)at - 5};
        body.n = (size_t)at;
        if (!name.n || memchr(name.at, ' ', name.n)) {
            *reterr_why = str_fmt(arena, "\"for\" wants one name: \"%.*s\"", STR_ARGS(text));
            return ERR_MALFORMED;
        }
    }
    for (size_t i = 0; i < n_entries; i++) {
        if (!str_eq(body, entries[i].phrase.text)) continue;
        if (entries[i].phrase.deed == DEED_IS && ordinal != ORDINAL_ANY) {
            *reterr_why = str_fmt(arena, "a state has no \"%s\": \"%.*s\"", ordinals[ordinal], STR_ARGS(text));
            return ERR_MALFORMED;
        }
        *ret = entries[i].phrase;
        ret->text = str_copy(arena, text);
        ret->ordinal = ordinal;
        ret->name = name.n ? str_copy(arena, name) : (struct str){0};
        return OK;
    }
    const char *near = str_nearest(body, texts, n_entries);
    if (near)
        *reterr_why = str_fmt(arena, "unknown event \"%.*s\" - did you mean \"%s%s%s%s%.*s\"?", STR_ARGS(text),
                              ordinals[ordinal], ordinal ? " " : "", near, name.n ? " for " : "", STR_ARGS(name));
    else *reterr_why = str_fmt(arena, "unknown event \"%.*s\"", STR_ARGS(text));
    return ERR_MALFORMED;
}
