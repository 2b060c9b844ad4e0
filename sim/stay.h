/* Staying up until somebody says stop (Ctrl-C, SIGTERM): for the commands that serve. */
#ifndef STAY_H
#define STAY_H

#include "world/hall.h"

/* From now on such a signal ends stay_run, and not the process, even if it comes before. */
void stay_prepare(void);
void stay_run(struct hall *hall);

#endif
