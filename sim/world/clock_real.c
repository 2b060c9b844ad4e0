#include "world/clock.h"

#include <errno.h>
#include <sys/resource.h>
#include <time.h>

enum { MAX_WAIT_MS = 3600 * 1000 };

static int64_t read_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* UTC as it was when first asked, carried on by the monotonic clock: a correction of the system's time never reaches a
 * run. */
static int64_t utc_us(void)
{
    static int64_t offset_us;
    if (!offset_us) offset_us = read_us(CLOCK_REALTIME) - read_us(CLOCK_MONOTONIC);
    return read_us(CLOCK_MONOTONIC) + offset_us;
}

int64_t clock_real_utc_ms(void)
{
    return utc_us() / 1000;
}

int64_t clock_real_cpu_us(void)
{
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    return ((int64_t)usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

static struct timeval until(int64_t due_ms)
{
    if (due_ms == ACTOR_IDLE || due_ms > clock_real_utc_ms() + MAX_WAIT_MS)
        return (struct timeval){MAX_WAIT_MS / 1000, 0};
    int64_t us = due_ms * 1000 - utc_us();
    if (us < 0) us = 0;
    return (struct timeval){us / 1000000, us % 1000000};
}

bool clock_real_wait(struct hall *hall, int64_t due_ms)
{
    struct edge_wait wait = {.max_fd = -1, .due_ms = due_ms};
    FD_ZERO(&wait.read);
    FD_ZERO(&wait.write);
    FD_ZERO(&wait.except);
    int wake_fd = hall_wake_fd(hall);
    if (wake_fd >= 0 && wake_fd < FD_SETSIZE) {
        FD_SET(wake_fd, &wait.read);
        wait.max_fd = wake_fd;
    }
    for (size_t i = 0; hall_edge(hall, i); i++)
        if (hall_edge(hall, i)->prepare) hall_edge(hall, i)->prepare(hall_edge(hall, i), &wait);
    if (hall_stopped(hall)) return false;
    struct timeval timeout = until(wait.due_ms);
    int n = select(wait.max_fd + 1, &wait.read, &wait.write, &wait.except, &timeout);
    if (n <= 0) {
        FD_ZERO(&wait.read);
        FD_ZERO(&wait.write);
        FD_ZERO(&wait.except);
    }
    hall_set_now(hall, clock_real_utc_ms());
    for (size_t i = 0; hall_edge(hall, i); i++)
        if (hall_edge(hall, i)->ready) hall_edge(hall, i)->ready(hall_edge(hall, i), hall, &wait);
    return !hall_stopped(hall);
}
