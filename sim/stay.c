#include "stay.h"

#include <signal.h>

static struct hall *volatile serving;
static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
    if (serving) hall_stop(serving);
}

void stay_prepare(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

void stay_run(struct hall *hall)
{
    serving = hall;
    if (stop_asked) hall_stop(hall); /* it came before there was a hall to stop */
    hall_run(hall);
    serving = NULL;
}
