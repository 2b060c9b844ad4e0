/* The two clocks. clock_real.c is the only file that reads a clock. */
#ifndef WORLD_CLOCK_H
#define WORLD_CLOCK_H

#include "world/hall.h"

/* now = due: hours in milliseconds. */
hall_wait_fn clock_virtual_wait;
/* One select() over all edges until due. Monotonic inside a run, anchored to UTC at its start. */
hall_wait_fn clock_real_wait;
int64_t clock_real_utc_ms(void); /* for start_ms, and for durations shown to people */
int64_t clock_real_cpu_us(void); /* CPU time of this process, user and system */

#endif
