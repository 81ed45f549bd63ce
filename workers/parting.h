/* parting.h: what a worker that cannot begin says to the daemon, which would know its exit status alone. */
#ifndef WORKERS_PARTING_H
#define WORKERS_PARTING_H

#include "base/cleanup.h"

#define PARTING_TEXT_MAX 512u

/*
 * Say by a Bye why there will be no Hello: ahead of the end, and of whatever else is said. The text is cut at
 * PARTING_TEXT_MAX. Where channel_fd is no channel, or the daemon is gone, it is lost: it is in the log, too.
 */
void parting_say(int channel_fd, const char *format, ...) _printf_(2, 3);

#endif
