#include "actor/board_inside.h"

#include <assert.h>

/* FNV-1a; the kind goes in first. */
static size_t bucket_of(enum pin_kind kind, struct str key)
{
    uint32_t hash = 2166136261U ^ (uint32_t)kind;
    for (size_t i = 0; i < key.n; i++)
        hash = (hash ^ (unsigned char)key.at[i]) * 16777619U;
    return hash % PIN_BUCKETS;
}

struct pin *pin_new(enum pin_kind kind, struct str key)
{
    struct arena arena = {0};
    struct pin *pin = ARENA_NEW(&arena, struct pin);
    pin->arena = arena;
    pin->kind = kind;
    pin->key = str_copy(&pin->arena, key);
    return pin;
}

void pin_free(struct pin *pin)
{
    if (!pin) return;
    struct arena own = pin->arena; /* the pin itself is in it */
    arena_done(&own);
}

/* Where the pointer to it stands, or to the end of its bucket. */
static struct pin **place_of(struct pins *pins, enum pin_kind kind, struct str key)
{
    struct pin **at = &pins->bucket[bucket_of(kind, key)];
    while (*at && !((*at)->kind == kind && str_eq((*at)->key, key)))
        at = &(*at)->next;
    return at;
}

bool pins_put(struct pins *pins, struct pin *pin)
{
    pins_remove(pins, pin->kind, pin->key);
    if (pins->n >= BOARD_MAX_PINS) {
        pin_free(pin);
        return false;
    }
    struct pin **at = place_of(pins, pin->kind, pin->key);
    assert(!*at && !pin->next);
    *at = pin;
    pins->n++;
    return true;
}

struct pin *pins_find(const struct pins *pins, enum pin_kind kind, struct str key)
{
    return *place_of((struct pins *)(uintptr_t)pins, kind, key);
}

void pins_remove(struct pins *pins, enum pin_kind kind, struct str key)
{
    struct pin **at = place_of(pins, kind, key), *pin = *at;
    if (!pin) return;
    *at = pin->next;
    pins->n--;
    pin_free(pin);
}

void pins_done(struct pins *pins)
{
    for (size_t i = 0; i < PIN_BUCKETS; i++) {
        for (struct pin *pin = pins->bucket[i], *next; pin; pin = next) {
            next = pin->next;
            pin_free(pin);
        }
    }
}

const struct answer *pin_answer(struct pin *pin)
{
    return answers_at(pin->answers, pin->n_answers, pin->asked++);
}
