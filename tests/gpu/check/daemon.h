/* daemon.h: the real daemon with workers on the GPU, for the check. */
#ifndef GPU_CHECK_DAEMON_H
#define GPU_CHECK_DAEMON_H

#include <sys/types.h>

#include "tests/gpu/check/check.h"

#define DAEMON_SETTINGS_MAX 8u

struct daemon {
	pid_t pid;
	int notify;	    /* own: where it says READY=1 */
	char directory[64]; /* its sockets and its log */
	char handoff[96];
	char address[96]; /* "unix:..." */
	double start_ms;  /* until READY=1 */
};

/* Starts it and waits until it is ready. settings: at most DAEMON_SETTINGS_MAX more, which hold where it has others of its own,
 * NULL-terminated; NULL: none. False: it is not, and its log was printed. */
_must_use_ bool daemon_start(
	struct daemon *d, struct check *c, const char *workers, const char *const *settings);
/* SIGTERM; its exit status must be 0. Prints the lines of its log that are warnings and errors. */
void daemon_stop(struct daemon *d, struct check *c);

#endif
