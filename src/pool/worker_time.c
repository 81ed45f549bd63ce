/*
 * worker_time.c: the time limits of a worker: what is due when, by its state.
 *
 * Nothing here is ever cancelled: the pool's timer asks for the next deadline when it fires, and
 * deadlines follow from the worker's state alone. Daemon process, loop thread.
 */
#include <inttypes.h>

#include "base/clock.h"
#include "pool/holding.h"
#include "pool/pool_private.h"
#include "pool/quarantine.h"
#include "pool/worker_private.h"

/* 0 ms: no limit. */
static uint64_t after(uint64_t start_ns, uint64_t limit_ms)
{
	return limit_ms > 0 ? clock_add(start_ns, limit_ms * NS_PER_MS) : CLOCK_NO_DEADLINE;
}

static uint64_t min_ns(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The batch whose time is up first, and when; NULL: none. */
static const struct flight *first_due(const struct worker *w, uint64_t *ret_ns)
{
	const struct flight *first = NULL;

	*ret_ns = CLOCK_NO_DEADLINE;
	list_for_each (&w->busy, node) {
		const struct pool_lane *l = list_entry(node, struct pool_lane, node);
		const struct flight *f = lane_front(l);
		uint64_t due_ns = after(l->backlog.since_ns, f->model->settings->run_timeout_ms);

		if (due_ns >= *ret_ns)
			continue;
		*ret_ns = due_ns;
		first = f;
	}
	return first;
}

static uint64_t run_deadline(const struct worker *w)
{
	uint64_t due_ns;

	first_due(w, &due_ns);
	return due_ns;
}

static uint64_t load_deadline(const struct worker *w)
{
	return w->loading ? after(w->load_ns, w->pool->settings->load_timeout_ms)
			  : CLOCK_NO_DEADLINE;
}

/* Messages are answered whatever runs or is loaded meanwhile. */
static uint64_t heartbeat_deadline(const struct worker *w)
{
	if (w->ping_ns == 0)
		return CLOCK_NO_DEADLINE;
	return after(w->ping_ns > w->heard_ns ? w->ping_ns : w->heard_ns,
		w->pool->settings->heartbeat_timeout_ms);
}

static uint64_t ping_deadline(const struct worker *w)
{
	if (w->ping_ns > 0)
		return CLOCK_NO_DEADLINE;
	return after(w->heard_ns, w->pool->settings->heartbeat_interval_ms);
}

/* Of one that was replaced nobody waits for the end: each batch has its own limit. */
static uint64_t drain_deadline(const struct worker *w)
{
	const struct pool *p = w->pool;
	uint64_t since_ns = w->since_ns;

	if (w->resting && w->state == WORKER_DRAINING) {
		if (!p->draining)
			return CLOCK_NO_DEADLINE;
		since_ns = p->draining_ns > since_ns ? p->draining_ns : since_ns;
	}
	return after(since_ns, p->settings->drain_timeout_ms);
}

uint64_t worker_deadline(const struct worker *w)
{
	const struct pool_settings *s = w->pool->settings;
	uint64_t busy_ns = min_ns(min_ns(run_deadline(w), load_deadline(w)), heartbeat_deadline(w));

	switch (w->state) {
	case WORKER_SPAWNED:
		return after(w->since_ns, s->start_timeout_ms);
	case WORKER_LOADING:
		if (!w->set_up)
			return after(w->since_ns, s->start_timeout_ms);
		return min_ns(busy_ns, ping_deadline(w));
	case WORKER_READY:
		return min_ns(busy_ns, ping_deadline(w));
	case WORKER_DRAINING:
		return min_ns(busy_ns, drain_deadline(w));
	case WORKER_STOPPING:
		return drain_deadline(w);
	case WORKER_REAPED:
		return w->restart_at_ns > 0 ? w->restart_at_ns : CLOCK_NO_DEADLINE;
	default:
		return CLOCK_NO_DEADLINE;
	}
}

static void send_ping(struct worker *w, uint64_t now_ns)
{
	w->ping_ns = now_ns;
	w->nonce++;
	output_memory_tell(w->output, worker_send);
	worker_tell(w, &(struct wire_message){.type = WIRE_PING, .ping = {.nonce = w->nonce}});
}

static void lose_overran(struct worker *w, const struct flight *f)
{
	const struct pool_model_settings *m = f->model->settings;

	w->overran = f;
	worker_lose(w, WORKER_HUNG, "batch of model '%s' ran longer than run_timeout_ms = %" PRIu64,
		m->name, m->run_timeout_ms);
}

static void tick_ready(struct worker *w, uint64_t now_ns)
{
	const struct pool_settings *s = w->pool->settings;
	uint64_t due_ns;
	const struct flight *f = first_due(w, &due_ns);

	if (heartbeat_deadline(w) <= now_ns) {
		worker_lose(w, WORKER_HUNG, "missed heartbeat for %" PRIu64 " ms",
			s->heartbeat_timeout_ms);
	} else if (f && due_ns <= now_ns) {
		lose_overran(w, f);
	} else if (load_deadline(w) <= now_ns) {
		w->load_overran = true;
		worker_lose(w, WORKER_HUNG,
			"loading model '%s' took longer than load_timeout_ms = %" PRIu64,
			w->loading->settings->name, s->load_timeout_ms);
	} else if (worker_takes(w) && ping_deadline(w) <= now_ns) {
		send_ping(w, now_ns);
	}
}

/* A process takes about a millisecond to make: one a turn of the loop, so that nobody waits for more. */
static void restart(struct worker *w, uint64_t now_ns)
{
	struct pool *p = w->pool;
	int64_t before = w->quarantine;
	bool kept = quarantine_keeps(w, now_ns);

	if (w->quarantine != before)
		pool_recount(p, w);
	if (kept)
		return;
	/* The loop reads its clock once a turn. */
	if (p->spawn_ms == uv_now(p->loop)) {
		w->restart_at_ns = now_ns + NS_PER_MS;
		return;
	}
	p->spawn_ms = uv_now(p->loop);
	p->worker_events->on_restart(w);
}

void worker_tick(struct worker *w, uint64_t now_ns)
{
	const struct pool_settings *s = w->pool->settings;

	if (worker_deadline(w) > now_ns)
		return;
	/* Where it was this process that stood still, what it would be blamed for not saying lies in the socket. */
	if (w->channel)
		channel_catch_up(w->channel);
	if (worker_deadline(w) > now_ns)
		return;
	switch (w->state) {
	case WORKER_SPAWNED:
		worker_lose(w, WORKER_UNUSABLE, "no hello within start_timeout_ms = %" PRIu64,
			s->start_timeout_ms);
		break;
	case WORKER_LOADING:
		if (w->set_up)
			tick_ready(w, now_ns);
		else
			worker_lose(w, WORKER_UNUSABLE,
				"not ready within start_timeout_ms = %" PRIu64,
				s->start_timeout_ms);
		break;
	case WORKER_REAPED:
		restart(w, now_ns);
		break;
	default:
		if (w->state != WORKER_READY && drain_deadline(w) <= now_ns)
			worker_lose(w, WORKER_HUNG,
				"did not end within drain_timeout_ms = %" PRIu64,
				s->drain_timeout_ms);
		else
			tick_ready(w, now_ns);
		break;
	}
}
