/*
 * populate.c: keeps the input arena populated ahead of its frontier. At most one chunk is under
 * way; its bounds are fixed before it starts, and only arena_populate_run() runs on the other
 * thread. Otherwise: daemon process, loop thread.
 */
#include "dispatch/populate.h"

#include <assert.h>
#include <inttypes.h>

#include "base/err.h"
#include "base/log.h"
#include "base/signals.h"

#define CHUNK_BYTES (UINT64_C(8) << 20)

void populate_init(struct populate *p, uv_loop_t *loop, struct arena *arena,
	void (*on_chunk)(void *data), void (*on_idle)(void *data), void *data)
{
	*p = (struct populate){
		.loop = loop,
		.arena = arena,
		.on_chunk = on_chunk,
		.on_idle = on_idle,
		.data = data,
	};
	p->work.data = p;
}

static void announce(struct populate *p)
{
	uint64_t resident = arena_memory(p->arena).resident;
	uint64_t limit = arena_limit(p->arena);
	unsigned quarters = (unsigned)(resident / (limit / 4 ? limit / 4 : 1));

	log_debug("input arena populated",
		"segment=%#" PRIx64 " offset=%" PRIu64 " bytes=%" PRIu64 " resident=%" PRIu64,
		segment_id(p->range.segment), p->range.offset, p->range.length, resident);
	if (quarters > 4)
		quarters = 4;
	if (quarters <= p->quarters)
		return;
	p->quarters = quarters;
	log_info("input arena populated",
		"percent=%u resident_bytes=%" PRIu64 " limit_bytes=%" PRIu64, 25 * quarters,
		resident, limit);
}

/* On a thread of libuv's pool. */
static void run(uv_work_t *work)
{
	struct populate *p = work->data;

	p->result = arena_populate_run(&p->range);
}

static void done(uv_work_t *work, int status)
{
	struct populate *p = work->data;

	p->busy = false;
	arena_populate_done(p->arena, &p->range, p->result);
	if (p->result == 0)
		announce(p);
	else if (!p->warned)
		log_warning("the host has no memory for the input arena", "error=%s",
			err_str(p->result));
	p->warned |= p->result != 0;
	p->on_chunk(p->data);
	if (p->stopped)
		p->on_idle(p->data);
	else
		populate_kick(p);
}

/* Threads that this makes take no signals: those are for the loop, and blocked when it has ended. */
static void queue_work(struct populate *p)
{
	sigset_t before;
	int r;

	signals_block(&before);
	r = uv_queue_work(p->loop, &p->work, run, done);
	signals_restore(&before);
	assert(r == 0); /* fails only without a function */
	(void)r;
}

void populate_kick(struct populate *p)
{
	if (p->busy || p->stopped || !arena_populate_next(p->arena, CHUNK_BYTES, &p->range))
		return;
	p->busy = true;
	queue_work(p);
}

void populate_stop(struct populate *p)
{
	p->stopped = true;
}
