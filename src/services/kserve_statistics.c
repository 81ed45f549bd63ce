/*
 * kserve_statistics.c: counters of versions as ModelStatistics. What a worker measures is the run of a
 * batch, inputs and outputs included: compute_input and compute_output have counts alone. Daemon process,
 * loop thread.
 */
#include "services/kserve_statistics.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/dispatch.h"
#include "proto/kserve/grpc_service.pb-c.h"
#include "services/kserve_models.h"
#include "services/kserve_small.h"

typedef Inference__ModelStatistics Statistics;
typedef Inference__StatisticDuration Duration;

struct durations {
	Inference__InferStatistics infer;
	Duration success, fail, queue, compute_input, compute_infer, compute_output, cache;
};

static void set(Duration *m, uint64_t count, uint64_t ns)
{
	inference__statistic_duration__init(m);
	m->count = count;
	m->ns = ns;
}

static void fill_durations(struct durations *d, const struct version_counters *c)
{
	uint64_t n = c->requests_ok;

	set(&d->success, n, c->total_ns);
	set(&d->fail, c->requests_failed, c->failed_ns);
	set(&d->queue, n, c->queue_ns);
	set(&d->compute_input, n, 0);
	set(&d->compute_infer, n, c->compute_ns);
	set(&d->compute_output, n, 0);
	set(&d->cache, 0, 0);
	inference__infer_statistics__init(&d->infer);
	d->infer.success = &d->success;
	d->infer.fail = &d->fail;
	d->infer.queue = &d->queue;
	d->infer.compute_input = &d->compute_input;
	d->infer.compute_infer = &d->compute_infer;
	d->infer.compute_output = &d->compute_output;
	d->infer.cache_hit = &d->cache;
	d->infer.cache_miss = &d->cache;
}

/* Milliseconds since 1970 of a time on our clock; 0: never. */
static uint64_t wall_ms(uint64_t ns)
{
	uint64_t now = clock_ns();

	return ns == 0 ? 0 : (clock_wall_ns() - (now - ns)) / NS_PER_MS;
}

static int fill(struct message_memory *memory, Statistics *m, const struct version *v)
{
	const struct version_counters *c = version_counters(v);
	struct durations *d = message_memory_calloc(memory, 1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	fill_durations(d, c);
	inference__model_statistics__init(m);
	m->name = (char *)version_settings(v)->name;
	m->version = (char *)version_settings(v)->version;
	m->last_inference = wall_ms(c->last_ns);
	m->inference_count = c->rows;
	m->execution_count = c->batches;
	m->inference_stats = &d->infer;
	return 0;
}

/* name "": of all models; number "": of all versions. */
static bool is_asked(const struct version *v, const char *name, const char *number)
{
	const struct version_settings *s = version_settings(v);

	return version_declared(v) && !version_replaces(v) && (!*name || !strcmp(name, s->name)) &&
	       (!*number || !strcmp(number, s->version));
}

static void answer(
	struct call *c, struct message_memory *memory, const Inference__ModelStatisticsRequest *q)
{
	const struct services *x = call_context(c);
	Inference__ModelStatisticsResponse m = INFERENCE__MODEL_STATISTICS_RESPONSE__INIT;
	size_t n = dispatch_n_versions(x->dispatch);
	int r = 0;

	call_work(c, n / 8);
	m.model_stats = kserve_small_array(memory, n, sizeof(Statistics));
	for (size_t k = 0; k < n && m.model_stats && !r; k++) {
		const struct version *v = dispatch_version(x->dispatch, k);

		if (is_asked(v, q->name, q->version))
			r = fill(memory, m.model_stats[m.n_model_stats++], v);
	}
	if (!m.model_stats || r)
		message_no_memory(c);
	else if (m.n_model_stats == 0 && q->name[0] != '\0' && q->version[0] == '\0')
		call_finishf(c, GRPC_INVALID_ARGUMENT, "requested model '%.255s' is not available",
			q->name);
	else if (m.n_model_stats == 0 && q->name[0] != '\0')
		call_finishf(c, GRPC_INVALID_ARGUMENT,
			"requested model version is not found for model '%.255s'", q->name);
	else
		message_answer(c, &m.base);
}

void kserve_model_statistics(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__ModelStatisticsRequest *q;
	struct message_memory memory;

	(void)state;
	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(c, &memory, &inference__model_statistics_request__descriptor, data, n);
	if (q)
		answer(c, &memory, q);
	message_memory_deinit(&memory);
}
