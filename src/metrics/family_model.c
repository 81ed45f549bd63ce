/* family_model.c: metrics of versions of models. */
#include <stddef.h>

#include "dispatch/version.h"
#include "metrics/family.h"

static const struct version_figures *figures(const struct subject *s)
{
	return version_figures(s->version);
}

static uint64_t ready(const struct subject *s)
{
	return version_ready(s->version);
}

static uint64_t serving(const struct subject *s)
{
	return version_serving(s->version);
}

static uint64_t workers_ready(const struct subject *s)
{
	return version_workers_ready(s->version);
}

static uint64_t queued(const struct subject *s)
{
	return version_queue_depth(s->version);
}

static uint64_t queue_limit(const struct subject *s)
{
	return version_settings(s->version)->max_queue_size;
}

static uint64_t in_flight(const struct subject *s)
{
	return version_in_flight(s->version);
}

static uint64_t sequences_lost(const struct subject *s)
{
	return figures(s)->sequences_lost;
}

static void write_requests(struct text *t, const struct family *f, const struct subject *s)
{
	static const char *const results[VERSION_FAILURES_] = {
		[VERSION_REJECTED] = "result=\"rejected\"",
		[VERSION_CANCELED] = "result=\"canceled\"",
		[VERSION_BACKEND] = "result=\"failed_by_model\"",
		[VERSION_OTHER] = "result=\"failed\"",
	};

	text_sample(t, f->name, s->labels, "result=\"ok\"",
		version_counters(s->version)->requests_ok, TEXT_PLAIN);
	for (size_t i = 0; i < VERSION_FAILURES_; i++)
		text_sample(t, f->name, s->labels, results[i], figures(s)->failures[i], TEXT_PLAIN);
}

static void write_duration(struct text *t, const struct family *f, const struct subject *s)
{
	text_histogram(t, f->name, s->labels, "", &figures(s)->total, HISTOGRAM_SHIFT_NS);
}

static void write_stages(struct text *t, const struct family *f, const struct subject *s)
{
	static const char *const stages[VERSION_STAGES_] = {
		[VERSION_RECEIVE] = "stage=\"receive\"",
		[VERSION_QUEUE] = "stage=\"queue\"",
		[VERSION_SEND] = "stage=\"send\"",
		[VERSION_COMPUTE] = "stage=\"compute\"",
		[VERSION_REPLY] = "stage=\"reply\"",
	};

	for (size_t i = 0; i < VERSION_STAGES_; i++)
		text_histogram(t, f->name, s->labels, stages[i], &figures(s)->stages[i],
			HISTOGRAM_SHIFT_NS);
}

static void write_batches(struct text *t, const struct family *f, const struct subject *s)
{
	text_histogram(t, f->name, s->labels, "", &figures(s)->batch_rows, HISTOGRAM_SHIFT_COUNT);
}

const struct family model_families[] = {
	{"modeld_model_ready", "gauge", "1 while a worker has it ready", OF_VERSION,
		.value = ready},
	{"modeld_model_serving", "gauge",
		"1 while it is ready and not all of its instances are overdue", OF_VERSION,
		.value = serving},
	{"modeld_model_workers_ready", "gauge", "Workers that have it ready", OF_VERSION,
		.value = workers_ready},
	{"modeld_requests_total", "counter", "Requests that have ended, by result", OF_VERSION,
		.write = write_requests},
	{"modeld_requests_queued", "gauge", "Requests that wait for a worker", OF_VERSION,
		.value = queued},
	{"modeld_queue_limit", "gauge", "Requests that may wait: max_queue_size", OF_VERSION,
		.value = queue_limit},
	{"modeld_requests_in_flight", "gauge", "Requests that workers have", OF_VERSION,
		.value = in_flight},
	{"modeld_request_duration_seconds", "histogram",
		"From the first byte of a request until its answer was there, of those that went "
		"well",
		OF_VERSION, .write = write_duration},
	{"modeld_stage_duration_seconds", "histogram",
		"Stages of that: receive, queue, send (there, back, and waiting in the worker), "
		"compute (the run of its batch); and of unary calls behind it: reply",
		OF_VERSION, .write = write_stages},
	{"modeld_batch_size", "histogram", "Rows of batches that were sent", OF_VERSION,
		.write = write_batches},
	{"modeld_sequences_lost_total", "counter",
		"Sequences that ended with the worker that had them", OF_VERSION,
		.value = sequences_lost},
	{.name = NULL},
};
