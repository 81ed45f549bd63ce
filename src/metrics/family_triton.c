/*
 * family_triton.c: metrics under the names and with the labels that Triton gives them, so that what was made for it
 * goes on. Times are counters of microseconds there.
 *
 * Triton counts what it copies to and from a model apart. Nothing is copied for one here but in its worker, as part of
 * the run: the two are there and stay 0, as ModelStatistics has it.
 */
#include <stddef.h>

#include "base/nvml.h"
#include "dispatch/version.h"
#include "metrics/family.h"

static const struct version_counters *counters(const struct subject *s)
{
	return version_counters(s->version);
}

static uint64_t successes(const struct subject *s)
{
	return counters(s)->requests_ok;
}

static uint64_t inferences(const struct subject *s)
{
	return counters(s)->rows;
}

static uint64_t executions(const struct subject *s)
{
	return counters(s)->batches;
}

static uint64_t request_ns(const struct subject *s)
{
	return counters(s)->total_ns;
}

static uint64_t queue_ns(const struct subject *s)
{
	return counters(s)->queue_ns;
}

static uint64_t compute_ns(const struct subject *s)
{
	return counters(s)->compute_ns;
}

static uint64_t nothing(const struct subject *s)
{
	(void)s;
	return 0;
}

static uint64_t pending(const struct subject *s)
{
	return version_queue_depth(s->version);
}

static void write_failures(struct text *t, const struct family *f, const struct subject *s)
{
	static const char *const reasons[VERSION_FAILURES_] = {
		[VERSION_REJECTED] = "reason=\"REJECTED\"",
		[VERSION_CANCELED] = "reason=\"CANCELED\"",
		[VERSION_BACKEND] = "reason=\"BACKEND\"",
		[VERSION_OTHER] = "reason=\"OTHER\"",
	};

	for (size_t i = 0; i < VERSION_FAILURES_; i++)
		text_sample(t, f->name, s->labels, reasons[i],
			version_figures(s->version)->failures[i], TEXT_PLAIN);
}

/* --- GPUs -------------------------------------------------------------------------------------- */

static uint64_t known(int64_t figure)
{
	return figure < 0 ? FAMILY_ABSENT : (uint64_t)figure;
}

static uint64_t gpu_busy(const struct subject *s)
{
	return known(s->gpu->busy_percent);
}

static uint64_t gpu_memory_total(const struct subject *s)
{
	return known(s->gpu->memory_total_bytes);
}

static uint64_t gpu_memory_used(const struct subject *s)
{
	return known(s->gpu->memory_used_bytes);
}

static uint64_t gpu_power(const struct subject *s)
{
	return known(s->gpu->power_mw);
}

static uint64_t gpu_power_limit(const struct subject *s)
{
	return known(s->gpu->power_limit_mw);
}

static uint64_t gpu_energy(const struct subject *s)
{
	return known(s->gpu->energy_mj);
}

const struct family triton_families[] = {
	{"nv_inference_request_success", "counter", "Requests that were answered well", OF_VERSION,
		.value = successes},
	{"nv_inference_request_failure", "counter", "Requests that were not, by reason", OF_VERSION,
		.write = write_failures},
	{"nv_inference_count", "counter", "Inferences (rows of requests) that were answered well",
		OF_VERSION, .value = inferences},
	{"nv_inference_exec_count", "counter", "Batches that were run", OF_VERSION,
		.value = executions},
	{"nv_inference_request_duration_us", "counter",
		"Microseconds from submitting to answering, sum", OF_VERSION, .value = request_ns,
		.unit = TEXT_MICROSECONDS},
	{"nv_inference_queue_duration_us", "counter", "Microseconds in the queue, sum", OF_VERSION,
		.value = queue_ns, .unit = TEXT_MICROSECONDS},
	{"nv_inference_compute_input_duration_us", "counter",
		"0: inputs are not copied to a model but in its run", OF_VERSION, .value = nothing},
	{"nv_inference_compute_infer_duration_us", "counter",
		"Microseconds of the run of a request's batch, sum", OF_VERSION,
		.value = compute_ns, .unit = TEXT_MICROSECONDS},
	{"nv_inference_compute_output_duration_us", "counter",
		"0: outputs are not copied from a model but in its run", OF_VERSION,
		.value = nothing},
	{"nv_inference_pending_request_count", "gauge", "Requests that wait for a worker",
		OF_VERSION, .value = pending},
	{"nv_gpu_utilization", "gauge", "Part of the time in which the GPU was busy, 0 to 1",
		OF_GPU, .value = gpu_busy, .unit = TEXT_CENTI},
	{"nv_gpu_memory_total_bytes", "gauge", "Memory of the GPU", OF_GPU,
		.value = gpu_memory_total},
	{"nv_gpu_memory_used_bytes", "gauge", "Memory of the GPU in use", OF_GPU,
		.value = gpu_memory_used},
	{"nv_gpu_power_usage", "gauge", "Watts that the GPU takes", OF_GPU, .value = gpu_power,
		.unit = TEXT_MILLI},
	{"nv_gpu_power_limit", "gauge", "Watts that it may take", OF_GPU, .value = gpu_power_limit,
		.unit = TEXT_MILLI},
	{"nv_energy_consumption", "counter", "Joules that it took since the driver was loaded",
		OF_GPU, .value = gpu_energy, .unit = TEXT_MILLI},
	{.name = NULL},
};
