/* top_view_test.c: what is between two looks, in 80 columns. */
#include "clients/modelctl/top_view.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

typedef Modeld__Control__V1__ServerStatusResponse Status;
typedef Modeld__Control__V1__WorkerStatus Worker;
typedef Modeld__Control__V1__ModelStatus Model;
typedef Modeld__Control__V1__GpuStatus Gpu;

/* A daemon with a worker, a GPU and a model. */
struct daemon {
	Status status;
	Worker worker, *workers[1];
	Model model, *models[1];
	Gpu gpu, *gpus[1];
	Inference__ModelStatisticsResponse statistics;
	Inference__ModelStatistics one, *ones[1];
	Inference__InferStatistics times;
	Inference__StatisticDuration success, run;
	struct top_look look;
};

static void init(struct daemon *d, uint64_t at_ns)
{
	modeld__control__v1__server_status_response__init(&d->status);
	modeld__control__v1__worker_status__init(&d->worker);
	modeld__control__v1__model_status__init(&d->model);
	modeld__control__v1__gpu_status__init(&d->gpu);
	inference__model_statistics_response__init(&d->statistics);
	inference__model_statistics__init(&d->one);
	inference__infer_statistics__init(&d->times);
	inference__statistic_duration__init(&d->success);
	inference__statistic_duration__init(&d->run);
	d->workers[0] = &d->worker;
	d->models[0] = &d->model;
	d->gpus[0] = &d->gpu;
	d->ones[0] = &d->one;
	d->status.workers = d->workers;
	d->status.models = d->models;
	d->status.gpus = d->gpus;
	d->status.n_workers = d->status.n_models = d->status.n_gpus = 1;
	d->statistics.model_stats = d->ones;
	d->statistics.n_model_stats = 1;
	d->worker.name = (char *)"cpu:0/0";
	d->worker.state = (char *)"ready";
	d->worker.generation = 1;
	d->model.name = d->one.name = (char *)"digits";
	d->model.version = d->one.version = (char *)"1";
	d->model.state = (char *)"ready";
	d->gpu.bus = (char *)"0000:01:00.0";
	d->one.inference_stats = &d->times;
	d->times.success = &d->success;
	d->times.compute_infer = &d->run;
	d->look = (struct top_look){
		.at_ns = at_ns, .status = &d->status, .statistics = &d->statistics};
}

/* The text, which the caller frees; no line is too wide. */
static char *view(const struct top_look *now, const struct top_look *before)
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	cr_assert_not_null(out);
	top_view_print(out, now, before);
	cr_assert_eq(fclose(out), 0);
	for (const char *line = text; *line;) {
		size_t columns = strcspn(line, "\n");

		cr_assert_leq(columns, 80, "%.*s", (int)columns, line);
		line += columns + (line[columns] == '\n');
	}
	return text;
}

/* The line that begins with this. */
static const char *line_of(const char *text, const char *begin)
{
	static char line[128];
	const char *at = strstr(text, begin);

	cr_assert_not_null(at, "%s", text);
	(void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"), at);
	return line;
}

Test(top_view, rates_and_times_between_two_looks)
{
	struct daemon a, b;
	char *text;

	init(&a, NS_PER_S);
	init(&b, 3 * NS_PER_S);
	b.worker.batches_done = 20;
	a.model.requests_ok = 100;
	b.model.requests_ok = 150;
	a.success = (Inference__StatisticDuration){.count = 100, .ns = 50 * NS_PER_MS};
	b.success = (Inference__StatisticDuration){.count = 150, .ns = 150 * NS_PER_MS};
	a.status.requests_total = 5;
	b.status.requests_total = 3;
	text = view(&b.look, &a.look);
	cr_assert(strstr(line_of(text, "cpu:0/0"), " 10.0 "), "%s", text);
	cr_assert(strstr(line_of(text, "digits"), " 25.0 "), "%s", text);
	cr_assert(strstr(line_of(text, "digits"), " 2.00 "), "%s", text);
	cr_assert(strstr(text, "requests 0.0/s"), "a counter that began anew: %s", text);
	free(text);
}

Test(top_view, nothing_is_known_at_first)
{
	static const struct top_look none;
	struct daemon a;
	char *text;

	init(&a, NS_PER_S);
	a.gpu.busy_percent = a.gpu.power_mw = a.gpu.temperature_c = a.gpu.memory_total_bytes = -1;
	text = view(&a.look, &none);
	cr_assert(strstr(text, "requests -/s"), "%s", text);
	cr_assert(strstr(line_of(text, "0000:01:00.0"), " - "), "%s", text);
	free(text);
}

Test(top_view, names_and_numbers_without_bounds)
{
	static char name[] = "a-name-of-a-model-that-goes-on-and-on-and-on-and-on-and-on-and-on";
	struct daemon a, b;

	init(&a, 0);
	init(&b, NS_PER_S);
	b.worker.name = b.worker.state = b.model.name = b.model.version = b.model.state = name;
	b.gpu.name = b.gpu.bus = name;
	b.worker.pid = 4194304;
	b.worker.uptime_ms = UINT64_C(1) << 40;
	b.gpu.memory_total_bytes = b.gpu.memory_used_bytes = (INT64_C(1) << 40) - 1;
	b.model.requests_ok = b.model.requests_failed = 999999;
	b.model.memory_bytes = UINT64_C(1) << 50;
	free(view(&b.look, &a.look));
}
