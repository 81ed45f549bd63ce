/*
 * worker_receive.c: what a worker says. Which message is allowed in which state is a table; whatever is not
 * allowed, or is not as it must be, ends trust in the worker.
 *
 * Daemon process, loop thread; all functions run as callbacks of the worker's channel.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/utf8.h"
#include "pool/holding.h"
#include "pool/pool_private.h"
#include "pool/worker_private.h"
#include "shm/memfd.h"

/* Segments may be larger than asked for by what rounding to (huge) pages adds. */
#define OUTPUT_ROUNDING (UINT64_C(2) << 20)

#define SAYS(type) (1u << (type))
#define MEMORY	   (SAYS(WIRE_MAP) | SAYS(WIRE_UNMAP) | SAYS(WIRE_UNMAPPED) | SAYS(WIRE_IMPORTED))

static const uint32_t allowed[] = {
	[WORKER_SPAWNED] = SAYS(WIRE_HELLO) | SAYS(WIRE_BYE),
	[WORKER_LOADING] = MEMORY | SAYS(WIRE_READY) | SAYS(WIRE_DONE) | SAYS(WIRE_PARTIAL) |
			   SAYS(WIRE_PONG) | SAYS(WIRE_LOADED) | SAYS(WIRE_UNLOADED),
	[WORKER_READY] = MEMORY | SAYS(WIRE_DONE) | SAYS(WIRE_PARTIAL) | SAYS(WIRE_PONG) |
			 SAYS(WIRE_LOADED) | SAYS(WIRE_UNLOADED),
	[WORKER_DRAINING] = MEMORY | SAYS(WIRE_DONE) | SAYS(WIRE_PARTIAL) | SAYS(WIRE_PONG) |
			    SAYS(WIRE_LOADED) | SAYS(WIRE_UNLOADED),
	[WORKER_STOPPING] =
		MEMORY | SAYS(WIRE_BYE) | SAYS(WIRE_PONG) | SAYS(WIRE_LOADED) | SAYS(WIRE_UNLOADED),
	[WORKER_LOST] = 0,
	[WORKER_REAPED] = 0,
};

#define misbehaved(w, ...) worker_lose(w, WORKER_MISBEHAVED, __VA_ARGS__)

static bool hello_fits(struct worker *w, const struct wire_hello *h)
{
	const struct pool_settings *s = w->pool->settings;

	if (h->protocol != WIRE_PROTOCOL)
		misbehaved(
			w, "hello: protocol %" PRIu32 ", expected %u", h->protocol, WIRE_PROTOCOL);
	else if (h->slots == 0 || h->slots > s->slots)
		misbehaved(
			w, "hello: %" PRIu32 " slots, expected 1 to %" PRIu32, h->slots, s->slots);
	else
		return true;
	return false;
}

/* What one kernel lacks all workers lack. */
static void note_sandbox(struct worker *w, const struct wire_hello *h)
{
	snprintf(w->sandbox, sizeof(w->sandbox), "%s", h->sandbox);
	if (!*h->sandbox_lacks || w->pool->sandbox_lacks)
		return;
	w->pool->sandbox_lacks = true;
	log_warning("workers are held by less than was asked for",
		"worker=%s sandbox=\"%s\" lacks=\"%s\" setting=\"[worker] sandbox\"", w->name,
		h->sandbox, h->sandbox_lacks);
}

_Static_assert(
	WIRE_NUMA_NODES <= MEMFD_NUMA_NODES, "a segment may prefer any node that a worker says");

static void on_hello(struct worker *w, const struct wire_hello *h)
{
	const struct pool_settings *s = w->pool->settings;
	const struct output_limits limits = {
		.bytes = s->output_arena_bytes + s->output_segment_bytes + OUTPUT_ROUNDING,
		.n_segments = pool_output_segments(s),
		.n_holds = s->max_holds,
	};

	if (!hello_fits(w, h))
		return;
	if (output_memory_new(&w->output, &w->pool->outputs, w, &limits)) {
		worker_lose(w, WORKER_UNUSABLE, "no memory to keep its outputs");
		return;
	}
	w->slots = h->slots;
	note_sandbox(w, h);
	w->imports = h->imports;
	w->numa_node = h->numa_node;
	w->pool->numa |= h->numa_node > 0;
	snprintf(w->copies, sizeof(w->copies), "%s", h->copies);
	worker_set_state(w, WORKER_LOADING);
}

/* --- Memory ----------------------------------------------------------------------------------- */

static void on_map(struct worker *w, const struct wire_map *m, int *fd)
{
	const char *why = "";
	int r;

	if (*fd < 0) {
		misbehaved(w, "map: no descriptor came along");
		return;
	}
	r = output_memory_map(w->output, fd, m, &why);
	if (r == -EPROTO)
		misbehaved(w, "map: segment of %" PRIu64 " bytes refused: %s", m->size, why);
	else if (r)
		worker_lose(w, WORKER_UNUSABLE,
			"a segment of %" PRIu64 " bytes cannot be mapped: %s", m->size, err_str(r));
}

static void on_unmap(struct worker *w, const struct wire_unmap *m)
{
	if (output_memory_unmap(w->output, m->id))
		misbehaved(w, "unmap: there is no segment %#" PRIx64, m->id);
}

static void on_ready(struct worker *w)
{
	if (w->set_up) {
		misbehaved(w, "ready: for the second time");
		return;
	}
	w->set_up = true;
	worker_load_next(w);
}

/* All that it began with was tried. */
void worker_set_ready(struct worker *w)
{
	worker_set_state(w, WORKER_READY);
	log_info("worker ready", "worker=%s pid=%d slots=%" PRIu32 " ms=%" PRIu64, w->name,
		worker_pid(w), w->slots, (w->since_ns - w->started_ns) / NS_PER_MS);
	w->ready_since_ns = w->since_ns;
	w->up_since_ns = w->since_ns;
	w->up = true;
	w->failed_starts = 0;
	w->came_up = true;
	pool_soon(w->pool); /* start-up may be over, where there is no model that says so */
	w->credit = true;
	worker_unload_idle(w);
	pool_recount(w->pool, w);
	if (w->trial)
		worker_drain(w);
}

static struct flight *find_flight(const struct worker *w, uint64_t batch)
{
	list_for_each (&w->in_flight, node) {
		struct flight *f = list_entry(node, struct flight, node);

		if (f->id >= batch)
			return f->id == batch ? f : NULL;
	}
	return NULL;
}

/* The batch at the front of its lane, where answers come in order, else one that is missing would never be
 * noticed. NULL: trust has ended. */
static struct flight *answered_flight(struct worker *w, enum wire_type type, uint64_t batch)
{
	struct flight *f = find_flight(w, batch);
	const char *name = wire_type_name(type);

	if (!f)
		misbehaved(w, "%s: batch %" PRIu64 " is not in flight", name, batch);
	else if (lane_front(f->lane) != f)
		misbehaved(w, "%s: batch %" PRIu64 " comes before batch %" PRIu64, name, batch,
			lane_front(f->lane)->id);
	else
		return f;
	return NULL;
}

/* What the worker says that it took, but no longer than it was away: what later ones should take follows from that. */
static uint64_t time_taken(const struct worker *w, const struct flight *f, uint64_t said_ns)
{
	uint64_t away_ns = w->heard_ns > f->sent_ns ? w->heard_ns - f->sent_ns : 0;

	return said_ns < away_ns ? said_ns : away_ns;
}

/* Off the books, so that nothing that follows from the answer meets it there: the worker itself may be lost by it. The slot is
 * free, while the flight still carries the results. */
static void hand_back(struct worker *w, struct flight *f, uint64_t compute_ns)
{
	struct pool *p = w->pool;
	struct pool_done done = {
		.worker = w,
		.now_ns = w->heard_ns,
		.compute_ns = time_taken(w, f, compute_ns),
		.results = f->results,
		.n_results = f->n_items,
	};

	list_remove(&f->node);
	w->n_in_flight--;
	worker_leave_lane(w, f, w->heard_ns);
	w->done++;
	w->credit = true;
	flight_end(f);
	f->model->n_flights--;
	p->worker_events->on_answered(w, f->model);
	p->events->on_done(p->data, f->tag, &done);
	flight_let_go(f);
	list_push_front(&w->spare, &f->node);
}

/* r: of the check of an answer to f. Trust has ended unless it is 0. */
static bool answer_fits(struct worker *w, const struct flight *f, int r, const char *why)
{
	if (r == -EPROTO)
		misbehaved(w, "a batch of model '%s' came back with %s", f->model->settings->name,
			why);
	else if (r)
		worker_lose(w, WORKER_UNUSABLE, "no memory to keep its outputs");
	return r == 0;
}

static void on_done(struct worker *w, const struct wire_done *m)
{
	struct flight *f = answered_flight(w, WIRE_DONE, m->batch);
	const char *why = "";
	int r;

	if (!f)
		return;
	r = flight_check(f, f->model->declared, w->output, m->results, m->n_results, &why);
	if (!answer_fits(w, f, r, why))
		return;
	hand_back(w, f, m->compute_ns);
}

/* The batch has so long again for the next one. */
static void on_partial(struct worker *w, const struct wire_partial *m)
{
	struct flight *f = answered_flight(w, WIRE_PARTIAL, m->batch);
	struct pool *p = w->pool;
	struct pool_result *result;
	const char *why = "";
	int r;

	if (!f)
		return;
	r = flight_check_partial(f, f->model->declared, w->output, m, &why);
	if (!answer_fits(w, f, r, why))
		return;
	f->lane->backlog.since_ns = w->heard_ns;
	result = &f->results[m->item];
	p->events->on_partial(p->data, f->tag,
		&(struct pool_partial){.worker = w,
			.item = m->item,
			.result = result,
			.last = m->last,
			.now_ns = w->heard_ns,
			.compute_ns = time_taken(w, f, m->compute_ns)});
	result->lease = output_lease_unref(result->lease);
}

static void on_pong(struct worker *w, const struct wire_ping *m)
{
	if (w->ping_ns == 0 || m->nonce != w->nonce) {
		misbehaved(w, "pong: nonce %" PRIu64 " was not asked for", m->nonce);
		return;
	}
	w->ping_ns = 0;
}

static void on_unmapped(struct worker *w, const struct wire_unmap *m)
{
	if (memory_unmapped(&w->pool->memories, w, m->id))
		misbehaved(w, "unmapped: memory %#" PRIx64 " was not to be unmapped", m->id);
}

static void on_imported(struct worker *w, const struct wire_imported *m)
{
	if (*m->error)
		log_info("memory of a client's on the GPU cannot be had", "worker=%s reason=\"%s\"",
			w->name, m->error);
	if (memory_imported(&w->pool->memories, w, m->id, m->error))
		misbehaved(w, "imported: memory %#" PRIx64 " was not to be imported", m->id);
}

/* As part of a text that is quoted in lines of the log. */
static void keep_parting(struct worker *w, const char *reason)
{
	snprintf(w->parting, sizeof(w->parting), "%s", reason);
	utf8_mend(w->parting); /* it may be cut in a character */
	for (char *at = w->parting; *at; at++) {
		if ((unsigned char)*at < ' ' || *at == 0x7F)
			*at = ' ';
		else if (*at == '"')
			*at = '\'';
	}
}

static void on_bye(struct worker *w, const struct wire_bye *m)
{
	char reason[128];

	if (w->bye) {
		misbehaved(w, "bye: for the second time");
		return;
	}
	w->bye = true;
	if (w->state == WORKER_SPAWNED)
		keep_parting(w, m->reason);
	log_debug("worker says bye", "worker=%s reason=%s", w->name,
		log_quote(m->reason, strlen(m->reason), reason, sizeof(reason)));
}

/* A text lies in what was unpacked; "" may lie anywhere, and is not written to. */
static void mend(const char *text)
{
	utf8_mend((char *)text);
}

static void mend_names(const struct wire_declaration *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		mend(list[i].name);
}

/* Texts of a worker's come to logs and answers, which are UTF-8. */
static void mend_texts(const struct wire_message *m)
{
	switch (m->type) {
	case WIRE_HELLO:
		mend(m->hello.sandbox);
		mend(m->hello.sandbox_lacks);
		mend(m->hello.copies);
		break;
	case WIRE_LOADED:
		mend(m->loaded.error);
		mend_names(m->loaded.inputs, m->loaded.n_inputs);
		mend_names(m->loaded.outputs, m->loaded.n_outputs);
		break;
	case WIRE_DONE:
		for (size_t i = 0; i < m->done.n_results; i++)
			mend(m->done.results[i].message);
		break;
	case WIRE_IMPORTED:
		mend(m->imported.error);
		break;
	case WIRE_BYE:
		mend(m->bye.reason);
		break;
	default: /* the others have none */
		break;
	}
}

static void on_message(void *data, const struct wire_message *m, int *fd)
{
	struct worker *w = data;

	w->heard_ns = channel_received_ns(w->channel);
	if (!(allowed[w->state] & SAYS(m->type)) || (w->bye && m->type != WIRE_BYE)) {
		misbehaved(w, "message '%s' is not allowed %s", wire_type_name(m->type),
			w->bye ? "after bye" : worker_state_name(w->state));
		return;
	}
	if (*fd >= 0 && m->type != WIRE_MAP) {
		misbehaved(w, "message '%s' with a descriptor", wire_type_name(m->type));
		return;
	}
	mend_texts(m);
	switch (m->type) {
	case WIRE_HELLO:
		on_hello(w, &m->hello);
		break;
	case WIRE_LOADED:
		worker_on_loaded(w, &m->loaded);
		break;
	case WIRE_READY:
		on_ready(w);
		break;
	case WIRE_DONE:
		on_done(w, &m->done);
		break;
	case WIRE_PARTIAL:
		on_partial(w, &m->partial);
		break;
	case WIRE_PONG:
		on_pong(w, &m->ping);
		break;
	case WIRE_UNLOADED:
		worker_on_unloaded(w, &m->unloaded);
		break;
	case WIRE_MAP:
		on_map(w, &m->map, fd);
		break;
	case WIRE_UNMAP:
		on_unmap(w, &m->unmap);
		break;
	case WIRE_UNMAPPED:
		on_unmapped(w, &m->unmap);
		break;
	case WIRE_IMPORTED:
		on_imported(w, &m->imported);
		break;
	default: /* the table admits nothing else */
		on_bye(w, &m->bye);
		break;
	}
}

static void on_pause(void *data)
{
	struct worker *w = data;
	struct pool *p = w->pool;

	if (w->n_leaving > 0)
		worker_unload_idle(w);
	/* Also where all is loaded: it may have come up beside a batch that nothing was to be loaded beside. */
	if (!list_empty(&w->to_load) || w->state == WORKER_LOADING)
		worker_load_next(w);
	worker_stop_idle(w);
	pool_arm(p, worker_deadline(w));
	if (!w->credit)
		return;
	w->credit = false;
	if (worker_takes(w))
		p->events->on_credit(p->data);
}

static void on_end(void *data, int err)
{
	struct worker *w = data;

	if (err == -EPROTO)
		misbehaved(w, "a message that is malformed or beyond the limits of the protocol");
	else if (err != -EPIPE)
		worker_lose(w, WORKER_CRASHED, "its channel failed: %s", err_str(err));
	else if (!w->bye)
		worker_lose(w, WORKER_CRASHED, NULL);
}

const struct channel_events worker_channel_events = {
	.on_message = on_message,
	.on_pause = on_pause,
	.on_end = on_end,
};
