/*
 * device_check.c: one worker after the other, each on a GPU, until it says hello or ends. Daemon process, before it serves.
 */
#include "device_check.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attempt.h"
#include "base/device_name.h"
#include "config.h"
#include "proto/worker_exit.h"

enum outcome { OPENED, BUSY, FAILED };

/* 1: it has opened it. */
static int take(struct attempt *a, const struct wire_message *m)
{
	return m->type == WIRE_HELLO;
}

static enum outcome judge_end(struct attempt *a, int status)
{
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	if (code == WORKER_EXIT_CONFIG) {
		snprintf(a->why, a->cap, "a worker finds no such GPU here (its words are above)");
		return FAILED;
	}
	if (code == WORKER_EXIT_DEVICE_LOST || code == WORKER_EXIT_DEVICE_UNUSABLE) {
		snprintf(a->why, a->cap,
			"it is here, but cannot be used now (a worker's words are above)");
		return BUSY;
	}
	(void)!attempt_ended(a, "worker", "ended before it had opened it", status);
	return FAILED;
}

static enum outcome open_device(const struct config *c, const char *device, char *why, size_t cap)
{
	enum outcome outcome = OPENED;
	struct attempt a;
	int status = 0;
	int r;

	attempt_init(&a, c, NULL, why, cap);
	attempt_limit(&a, c->pool.start_timeout_ms);
	a.device = device;
	a.take = take;
	r = attempt_converse(&a, &status);
	if (!r)
		outcome = judge_end(&a, status);
	(void)!attempt_end(&a, r < 0 && r != -ETIMEDOUT ? r : 0);
	if (r == -ETIMEDOUT)
		snprintf(why, cap, "a worker did not open it within [worker] start_timeout_ms");
	return r < 0 ? FAILED : outcome;
}

unsigned device_check_all(const struct config *c, FILE *out)
{
	const char *where = config_where(c, "worker", "workers");
	unsigned n_faults = 0;
	char why[256];

	/* A worker's program that is not there is a fault of its own. */
	for (size_t i = 0; i < c->pool.n_places && !access(c->pool.worker_program, X_OK); i++) {
		const char *device = c->pool.places[i].device;
		enum outcome outcome;

		if (!device_name_gpu(device))
			continue;
		outcome = open_device(c, device, why, sizeof(why));
		n_faults += outcome == FAILED;
		if (outcome != OPENED)
			fprintf(out, "modeld: %s%s[worker] workers: %s: %s\n", where ? where : "",
				where ? ": " : "", device, why);
	}
	return n_faults;
}
