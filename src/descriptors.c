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
#define HINT	 "ulimit -n, LimitNOFILE= of systemd, --ulimit nofile= of docker"

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

/* A limit of the configuration, and how many parts of PARTS of what clients may have are its own. */
struct share {
	uint32_t *value; /* borrow; NULL: it has what it wants */
	uint32_t parts;
};

#define PARTS  16u
#define SHARES 5u

/* Give what wants no more than its part of the rest what it wants; what it leaves is the others'. False: none does. */
static bool satisfy(struct share *s, uint64_t *rest, uint32_t *parts)
{
	bool any = false;

	for (size_t i = 0; i < SHARES; i++) {
		if (!s[i].value || (uint64_t)*s[i].value * *parts > *rest * s[i].parts)
			continue;
		*rest -= *s[i].value;
		*parts -= s[i].parts;
		s[i].value = NULL;
		any = true;
	}
	return any;
}

/* Where all of it fits into the rest nothing is lowered: then some of it always wants no more than its part. Returns
 * whether something was. */
static bool lower_to(struct share *s, uint64_t rest)
{
	uint32_t parts = PARTS;

	while (parts > 0 && satisfy(s, &rest, &parts))
		;
	for (size_t i = 0; i < SHARES; i++) {
		if (s[i].value && parts > 0)
			*s[i].value = (uint32_t)(rest * s[i].parts / parts);
	}
	return parts > 0;
}

/* Returns whether it was lowered. */
static bool lower(uint32_t *value, uint64_t share)
{
	if (*value <= share)
		return false;
	*value = (uint32_t)share;
	return true;
}

/* What clients may have by the configuration. */
static uint64_t sum(const struct share *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < SHARES; i++)
		n += *s[i].value;
	return n;
}

int descriptors_share(struct config *c, uint64_t limit)
{
	uint64_t each = EACH_WORKER + pool_output_segments(&c->pool);
	uint64_t n_resting = c->pool.recycle_after_unload_bytes > 0 ? c->pool.n_places : 0;
	uint64_t needed = OWN + each * (config_n_workers(c) + n_resting);
	uint64_t wanted;
	struct share shares[SHARES] = {
		{&c->frontend.http2.max_connections, 8},
		{&c->handoff.max_regions, 4},
		{&c->handoff.max_connections, 2},
		{&c->frontend.services.max_shm_regions, 1},
		{&c->metrics.max_connections, 1},
	};
	bool lowered;

	if (limit < needed + REST_MIN) {
		log_error("too few descriptors",
			"RLIMIT_NOFILE=%" PRIu64 " needed=%" PRIu64 " hint=\"" HINT
			"; or fewer [worker] workers\"",
			limit, needed + REST_MIN);
		return -EMFILE;
	}
	wanted = needed + each * c->pool.max_model_workers + sum(shares);
	limit -= needed;
	/* Workers of models' own have a half of the rest at most. */
	lowered = lower(&c->pool.max_model_workers, limit / 2 / each);
	needed += each * c->pool.max_model_workers;
	limit -= each * c->pool.max_model_workers;
	lowered |= lower_to(shares, limit);
	if (lowered)
		log_warning("few descriptors: limits are lowered",
			"RLIMIT_NOFILE=%" PRIu64 " configured=%" PRIu64
			" worker.max_model_workers=%" PRIu32 " limits.max_connections=%" PRIu32
			" handoff.max_connections=%" PRIu32 " handoff.max_regions=%" PRIu32
			" limits.max_shm_regions=%" PRIu32 " metrics.max_connections=%" PRIu32
			" hint=\"" HINT "\"",
			limit + needed, wanted, c->pool.max_model_workers,
			c->frontend.http2.max_connections, c->handoff.max_connections,
			c->handoff.max_regions, c->frontend.services.max_shm_regions,
			c->metrics.max_connections);
	return 0;
}
