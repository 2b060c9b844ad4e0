#include "world/clock.h"

bool clock_virtual_wait(struct hall *hall, int64_t due_ms)
{
    if (hall_stopped(hall) || due_ms == ACTOR_IDLE) return false; /* idle: nothing will ever happen */
    hall_set_now(hall, due_ms);
    return true;
}
