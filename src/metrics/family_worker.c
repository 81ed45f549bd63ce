/* family_worker.c: metrics of workers. A worker's place keeps its name, whatever process it has. */
#include <stddef.h>

#include "base/clock.h"
#include "metrics/family.h"
#include "pool/worker.h"

static uint64_t up(const struct subject *s)
{
	enum worker_state state = worker_get_state(s->worker);

	return state == WORKER_READY || state == WORKER_LOADING;
}

static uint64_t restarts(const struct subject *s)
{
	return worker_restarts(s->worker);
}

static uint64_t batches(const struct subject *s)
{
	return worker_batches_done(s->worker);
}

static uint64_t in_flight(const struct subject *s)
{
	return worker_in_flight(s->worker);
}

static uint64_t lanes_busy(const struct subject *s)
{
	return worker_lanes_busy(s->worker);
}

static uint64_t output_bytes(const struct subject *s)
{
	return worker_output_mapped(s->worker);
}

static uint64_t stayed_bytes(const struct subject *s)
{
	return worker_stayed_bytes(s->worker);
}

/* 0: there is none, or nobody counts it. */
static uint64_t or_absent(uint64_t value)
{
	return value > 0 ? value : FAMILY_ABSENT;
}

static uint64_t memory_bytes(const struct subject *s)
{
	return or_absent(worker_use(s->worker).memory_bytes);
}

static uint64_t memory_limit(const struct subject *s)
{
	return or_absent(worker_limits(s->worker).max_memory_bytes);
}

static uint64_t processes(const struct subject *s)
{
	return or_absent(worker_use(s->worker).processes);
}

static uint64_t processes_limit(const struct subject *s)
{
	return or_absent(worker_limits(s->worker).max_processes);
}

static uint64_t cpu_limit(const struct subject *s)
{
	return or_absent(worker_limits(s->worker).max_cpu_percent);
}

static uint64_t ready_ns(const struct subject *s)
{
	uint64_t since_ns = worker_ready_since_ns(s->worker), now_ns = clock_ns();

	return since_ns && now_ns > since_ns ? now_ns - since_ns : 0;
}

static void write_ends(struct text *t, const struct family *f, const struct subject *s)
{
	static const char *const causes[WORKER_VERDICTS_] = {
		[WORKER_CLEAN] = "cause=\"clean\"",
		[WORKER_CRASHED] = "cause=\"crashed\"",
		[WORKER_HUNG] = "cause=\"hung\"",
		[WORKER_MISBEHAVED] = "cause=\"misbehaved\"",
		[WORKER_UNUSABLE] = "cause=\"unusable\"",
	};

	for (size_t i = 0; i < WORKER_VERDICTS_; i++)
		text_sample(t, f->name, s->labels, causes[i],
			worker_ends(s->worker, (enum worker_verdict)i), TEXT_PLAIN);
}

const struct family worker_families[] = {
	{"modeld_worker_up", "gauge", "1 while it takes batches", OF_WORKER, .value = up},
	{"modeld_worker_ready_seconds", "gauge", "For how long its process is ready; 0: it is not",
		OF_WORKER, .value = ready_ns, .unit = TEXT_SECONDS},
	{"modeld_worker_restarts_total", "counter", "Processes that were started after the first",
		OF_WORKER, .value = restarts},
	{"modeld_worker_ends_total", "counter",
		"Processes that have ended, by cause; not with the daemon's own end", OF_WORKER,
		.write = write_ends},
	{"modeld_worker_batches_total", "counter", "Batches that it has answered", OF_WORKER,
		.value = batches},
	{"modeld_worker_batches_in_flight", "gauge", "Batches that it has", OF_WORKER,
		.value = in_flight},
	{"modeld_worker_lanes_busy", "gauge", "Instances of models that have a batch", OF_WORKER,
		.value = lanes_busy},
	{"modeld_worker_output_bytes", "gauge", "Its output memory, as mapped here", OF_WORKER,
		.value = output_bytes},
	{"modeld_worker_stayed_bytes", "gauge",
		"What unloaded models have left in its process, as measured there", OF_WORKER,
		.value = stayed_bytes},
	{"modeld_worker_memory_bytes", "gauge",
		"What it takes with all that it has started, as its control group counts",
		OF_WORKER, .value = memory_bytes},
	{"modeld_worker_memory_limit_bytes", "gauge", "That it may take, where it is limited",
		OF_WORKER, .value = memory_limit},
	{"modeld_worker_processes", "gauge",
		"Processes and threads of it and of all that it has started, as its control group "
		"counts",
		OF_WORKER, .value = processes},
	{"modeld_worker_processes_limit", "gauge", "That there may be, where they are limited",
		OF_WORKER, .value = processes_limit},
	{"modeld_worker_cpu_limit_ratio", "gauge",
		"Processors that it may keep busy, where they are limited", OF_WORKER,
		.value = cpu_limit, .unit = TEXT_CENTI},
	{.name = NULL},
};
