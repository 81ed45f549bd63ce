/*
 * descriptors.c: RLIMIT_NOFILE and its shares. Daemon process, before it serves.
 */
#include "descriptors.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/resource.h>

#include "base/err.h"
#include "base/log.h"
#include "config.h"

/* The loop's, the listeners', the arena's, and some on the way in a message; a worker's pidfd, channel,
 * and what starting one takes for a moment, beside its output segments. */
#define OWN	    40u
#define EACH_WORKER 8u
/* Fewer for clients are not worth starting for. */
#define REST_MIN 16u

uint64_t descriptors_raise(void)
{
	struct rlimit limit;
	rlim_t soft;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return 0;
	soft = limit.rlim_cur;
	if (soft == limit.rlim_max)
		return soft;
	limit.rlim_cur = limit.rlim_max;
	if (!setrlimit(RLIMIT_NOFILE, &limit))
		return limit.rlim_cur;
	log_warning("cannot raise the descriptor limit", "error=%s", err_str(-errno));
	return soft;
}

static bool lower(uint32_t *value, uint64_t share)
{
	if (*value <= share)
		return false;
	*value = (uint32_t)share;
	return true;
}

int descriptors_share(struct config *c, uint64_t limit)
{
	uint64_t each = EACH_WORKER + pool_output_segments(&c->pool);
	uint64_t n_resting = c->pool.recycle_after_unload_bytes > 0 ? c->pool.n_places : 0;
	uint64_t needed = OWN + each * (config_n_workers(c) + n_resting);
	bool lowered;

	if (limit < needed + REST_MIN) {
		log_error("too few descriptors",
			"RLIMIT_NOFILE=%" PRIu64 " needed=%" PRIu64
			" hint=\"ulimit -n, LimitNOFILE= "
			"of systemd, --ulimit nofile= of docker; or fewer [worker] workers\"",
			limit, needed + REST_MIN);
		return -EMFILE;
	}
	limit -= needed;
	/* Workers of models' own have a half of the rest at most. */
	lowered = lower(&c->pool.max_model_workers, limit / 2 / each);
	needed += each * c->pool.max_model_workers;
	limit -= each * c->pool.max_model_workers;
	lowered |= lower(&c->frontend.http2.max_connections, limit / 2);
	lowered |= lower(&c->handoff.max_connections, limit / 8);
	lowered |= lower(&c->handoff.max_regions, limit / 4);
	lowered |= lower(&c->frontend.services.max_shm_regions, limit / 16);
	lowered |= lower(&c->metrics.max_connections, limit / 16);
	if (lowered)
		log_warning("few descriptors: limits are lowered",
			"RLIMIT_NOFILE=%" PRIu64 " worker.max_model_workers=%" PRIu32
			" limits.max_connections=%" PRIu32 " handoff.max_connections=%" PRIu32
			" handoff.max_regions=%" PRIu32 " limits.max_shm_regions=%" PRIu32
			" metrics.max_connections=%" PRIu32,
			limit + needed, c->pool.max_model_workers,
			c->frontend.http2.max_connections, c->handoff.max_connections,
			c->handoff.max_regions, c->frontend.services.max_shm_regions,
			c->metrics.max_connections);
	return 0;
}
