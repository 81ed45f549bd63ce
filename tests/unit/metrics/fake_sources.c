/* fake_sources.c: a dispatch, a pool, a handoff and a frontend that say what the test wants. */
#include "fake_sources.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "dispatch/tally.h"
#include "handoff/handoff.h"
#include "pool/pool.h"
#include "services/frontend.h"

struct fake_sources fake;

struct version *fake_add(const char *name, const char *number)
{
	struct version *v = &fake.versions[fake.n_versions++];

	cr_assert_leq(fake.n_versions, FAKE_VERSIONS_MAX);
	*v = (struct version){.settings = {.name = name, .version = number, .max_queue_size = 7},
		.ready = true,
		.serving = true};
	return v;
}

struct metrics_sources fake_sources(void)
{
	return (struct metrics_sources){.handoff = (struct handoff *)&fake,
		.turns = &fake.turns,
		.polls = fake.polls,
		.n_polls = 2,
		.started_ns = 1};
}

unsigned fake_refs(void)
{
	unsigned n = 0;

	for (size_t i = 0; i < fake.n_versions; i++)
		n += fake.versions[i].refs;
	return n;
}

/* --- versions --------------------------------------------------------------------------------- */

struct version *dispatch_find_version(struct dispatch *d, const char *name, size_t n)
{
	char full[512];

	(void)d;
	for (size_t i = 0; i < fake.n_versions; i++) {
		const struct version_settings *s = &fake.versions[i].settings;

		snprintf(full, sizeof(full), "%s:%s", s->name, s->version);
		if ((strlen(s->name) == n && memcmp(s->name, name, n) == 0) ||
			(strlen(full) == n && memcmp(full, name, n) == 0))
			return &fake.versions[i];
	}
	return NULL;
}

size_t dispatch_n_versions(const struct dispatch *d)
{
	(void)d;
	return fake.n_versions;
}

struct version *dispatch_version(const struct dispatch *d, size_t i)
{
	(void)d;
	return &fake.versions[i];
}

struct version *version_ref(struct version *v)
{
	v->refs++;
	return v;
}

struct version *version_unref(struct version *v)
{
	v->refs--;
	return NULL;
}

const struct version_settings *version_settings(const struct version *v)
{
	return &v->settings;
}

const struct version_counters *version_counters(const struct version *v)
{
	return &v->counters;
}

const struct version_figures *version_figures(const struct version *v)
{
	return &v->figures;
}

const struct version *version_replaces(const struct version *v)
{
	return v->replaces;
}

bool version_ready(const struct version *v)
{
	return v->ready;
}

bool version_serving(const struct version *v)
{
	return v->serving;
}

uint32_t version_workers_ready(const struct version *v)
{
	return v->workers_ready;
}

uint32_t version_queue_depth(const struct version *v)
{
	return v->queue_depth;
}

uint32_t version_in_flight(const struct version *v)
{
	return v->in_flight;
}

/* --- dispatch --------------------------------------------------------------------------------- */

struct pool *dispatch_pool(const struct dispatch *d)
{
	(void)d;
	return NULL;
}

const struct arena *dispatch_arena(const struct dispatch *d)
{
	(void)d;
	return NULL;
}

struct tally *dispatch_tally(struct dispatch *d)
{
	static struct tally tally = {
		.n_clients = 21, .n_requests = 22, .outputs = {.used = 24, .expected = 25}};

	(void)d;
	return &tally;
}

uint64_t dispatch_stalls(const struct dispatch *d)
{
	(void)d;
	return 23;
}

uint64_t arena_used(const struct arena *a)
{
	(void)a;
	return 31;
}

uint64_t arena_limit(const struct arena *a)
{
	(void)a;
	return 34;
}

struct arena_memory arena_memory(const struct arena *a)
{
	(void)a;
	return (struct arena_memory){.n_segments = 1, .mapped = 33, .resident = 32};
}

/* --- pool ------------------------------------------------------------------------------------- */

size_t pool_n_workers(const struct pool *p)
{
	(void)p;
	return fake.n_workers;
}

struct worker *pool_worker(const struct pool *p, size_t i)
{
	(void)p;
	return &fake.workers[i];
}

size_t pool_gpus(const struct pool *p, struct nvml_gpu *ret_list, size_t cap)
{
	(void)p;
	for (size_t i = 0; i < cap && i < fake.n_gpus; i++)
		ret_list[i] = fake.gpus[i];
	return fake.n_gpus;
}

bool worker_is_used(const struct worker *w)
{
	return !w->free;
}

const char *worker_name(const struct worker *w)
{
	return w->name;
}

const char *worker_device(const struct worker *w)
{
	return w->device;
}

enum worker_state worker_get_state(const struct worker *w)
{
	return w->state;
}

uint64_t worker_restarts(const struct worker *w)
{
	return w->restarts;
}

uint64_t worker_ends(const struct worker *w, enum worker_verdict verdict)
{
	return w->ends[verdict];
}

uint64_t worker_batches_done(const struct worker *w)
{
	return w->batches;
}

uint32_t worker_in_flight(const struct worker *w)
{
	return w->in_flight;
}

uint32_t worker_lanes_busy(const struct worker *w)
{
	return w->lanes_busy;
}

uint64_t worker_output_mapped(const struct worker *w)
{
	return w->output_mapped;
}

uint64_t worker_stayed_bytes(const struct worker *w)
{
	return w->stayed;
}

struct worker_limits worker_limits(const struct worker *w)
{
	return w->limits;
}

struct group_use worker_use(const struct worker *w)
{
	return w->use;
}

uint64_t worker_ready_since_ns(const struct worker *w)
{
	return w->ready_since_ns;
}

/* --- handoff and frontend --------------------------------------------------------------------- */

struct handoff_counters handoff_counters(const struct handoff *h)
{
	(void)h;
	return (struct handoff_counters){.connections = 41,
		.regions = 42,
		.region_bytes = 43,
		.requests_total = 44,
		.tensor_bytes_handed = 45};
}

bool frontend_ready(struct frontend *f)
{
	(void)f;
	return fake.server_ready && !fake.draining;
}

bool frontend_draining(const struct frontend *f)
{
	(void)f;
	return fake.draining;
}

struct frontend_counters frontend_counters(const struct frontend *f)
{
	(void)f;
	return (struct frontend_counters){.connections = 51,
		.calls = 52,
		.calls_total = 53,
		.held_bytes = 58,
		.compressing_bytes = 59,
		.tensor_bytes_received = 54,
		.tensor_bytes_copied_in = 55,
		.tensor_bytes_sent = 56,
		.tensor_bytes_copied_out = 57};
}
