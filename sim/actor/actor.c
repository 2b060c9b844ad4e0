#include "actor/actor.h"

/* The log keeps the hall's time even where this actor's clock is wrong. */
static int64_t log_time_ms(const struct turn *turn)
{
    return turn->history->now_ms ? turn->history->now_ms : turn->now_ms;
}

void turn_note_state(struct turn *turn, const char *object, struct str id, const char *cause, const char *was,
                     const char *now)
{
    if (!turn->history) return;
    history_note(turn->history, STATE_CHANGE, log_time_ms(turn), 0);
    event_add_text(turn->history, F_OBJECT, str_c(object));
    event_add_text(turn->history, F_ID, id);
    event_add_text(turn->history, F_CAUSE, str_c(cause));
    event_add_text(turn->history, F_WAS, str_c(was));
    event_add_text(turn->history, F_NOW, str_c(now));
    history_commit(turn->history);
}

void turn_note(struct turn *turn, const char *fmt, ...)
{
    if (!turn->history) return;
    va_list ap;
    va_start(ap, fmt);
    struct str text = str_vfmt(turn->arena, fmt, ap);
    va_end(ap);
    history_note(turn->history, NOTE_TEXT, log_time_ms(turn), 0);
    event_add_text(turn->history, F_TEXT, text);
    history_commit(turn->history);
}
