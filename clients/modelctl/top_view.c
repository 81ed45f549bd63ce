/* top_view.c: tables of workers, GPUs and models. modelctl, one thread. */
#include "clients/modelctl/top_view.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "clients/modelctl/units.h"

typedef Modeld__Control__V1__ServerStatusResponse Status;
typedef Modeld__Control__V1__WorkerStatus Worker;
typedef Modeld__Control__V1__ModelStatus Model;
typedef Modeld__Control__V1__GpuStatus Gpu;
typedef Inference__ModelStatisticsResponse Statistics;
typedef Inference__StatisticDuration Duration;

#define NAME_COLUMNS 17

void top_look_release(struct top_look *l)
{
	modeld__control__v1__server_status_response__free_unpacked(l->status, NULL);
	inference__model_statistics_response__free_unpacked(l->statistics, NULL);
	*l = (struct top_look){0};
}

struct view {
	FILE *out;			     /* borrow */
	const struct top_look *now, *before; /* borrow */
	double seconds;			     /* between them; 0: there is no `before` */
};

/* "12.3", or "-" where it is not known. A counter that went back began anew. */
static const char *rate_text(const struct view *v, uint64_t now, uint64_t before, char out[16])
{
	double rate = now >= before && v->seconds > 0 ? (double)(now - before) / v->seconds : 0;

	if (v->seconds <= 0)
		return "-";
	(void)snprintf(out, 16, rate < 1000 ? "%.1f" : "%.0f", rate);
	return out;
}

/* --- The server --------------------------------------------------------------------------------- */

static void print_server(const struct view *v)
{
	const Status *s = v->now->status, *b = v->before->status;
	char up[32], rate[16], used[32], limit[32], regions[32];

	(void)fprintf(v->out, "modeld %s  %s  up %s  %" PRIu32 " connections  %" PRIu32 " calls\n",
		s->version, s->state, duration_text(s->uptime_ms, up), s->connections, s->calls);
	(void)fprintf(v->out, "requests %s/s  arena %s of %s  regions %" PRIu32 ", %s\n",
		rate_text(v, s->requests_total, b ? b->requests_total : 0, rate),
		bytes_text(s->arena_used_bytes, used), bytes_text(s->arena_size_bytes, limit),
		s->handoff_regions, bytes_text(s->handoff_region_bytes, regions));
}

/* --- Workers ------------------------------------------------------------------------------------ */

static const Worker *worker_before(const struct view *v, const Worker *w)
{
	const Status *b = v->before->status;

	for (size_t i = 0; b && i < b->n_workers; i++) {
		if (!strcmp(b->workers[i]->name, w->name) &&
			b->workers[i]->generation == w->generation)
			return b->workers[i];
	}
	return NULL;
}

static void print_worker(const struct view *v, const Worker *w)
{
	const Worker *b = worker_before(v, w);
	char rate[16], up[32], lanes[32];

	(void)snprintf(
		lanes, sizeof(lanes), "%" PRIu32 "/%" PRIu32, w->batches_in_flight, w->slots);
	(void)fprintf(v->out, "%-*.*s %-11.11s %8" PRIu32 " %7s %10s %9" PRIu64 "  %.11s\n",
		NAME_COLUMNS, NAME_COLUMNS, w->name, w->state, w->pid, lanes,
		rate_text(v, w->batches_done, b ? b->batches_done : 0, rate), w->restarts,
		w->uptime_ms ? duration_text(w->uptime_ms, up) : "-");
}

static void print_workers(const struct view *v)
{
	const Status *s = v->now->status;

	(void)fprintf(v->out, "\n%-*s %-11s %8s %7s %10s %9s  %s\n", NAME_COLUMNS, "WORKER",
		"STATE", "PID", "RUNNING", "BATCHES/S", "RESTARTS", "UP");
	for (size_t i = 0; i < s->n_workers; i++)
		print_worker(v, s->workers[i]);
}

/* --- GPUs --------------------------------------------------------------------------------------- */

/* "45", or "-" where the driver does not say. */
static const char *figure(int64_t value, char out[24])
{
	if (value < 0)
		return "-";
	(void)snprintf(out, 24, "%" PRId64, value);
	return out;
}

static void print_gpu(const struct view *v, const Gpu *g)
{
	char busy[24], watts[24], degrees[24], used[32], total[32], memory[64] = "-";

	if (g->memory_total_bytes >= 0 && g->memory_used_bytes >= 0)
		(void)snprintf(memory, sizeof(memory), "%s of %s",
			bytes_text((uint64_t)g->memory_used_bytes, used),
			bytes_text((uint64_t)g->memory_total_bytes, total));
	(void)fprintf(v->out, "%-16.16s %-20.20s %5s %5s %4s  %.24s\n", g->bus, g->name,
		figure(g->busy_percent, busy),
		figure(g->power_mw < 0 ? -1 : g->power_mw / 1000, watts),
		figure(g->temperature_c, degrees), memory);
}

static void print_gpus(const struct view *v)
{
	const Status *s = v->now->status;

	if (s->n_gpus == 0)
		return;
	(void)fprintf(v->out, "\n%-16s %-20s %5s %5s %4s  %s\n", "GPU", "NAME", "BUSY%", "WATTS",
		"C", "MEMORY");
	for (size_t i = 0; i < s->n_gpus; i++)
		print_gpu(v, s->gpus[i]);
}

/* --- Models ------------------------------------------------------------------------------------- */

static const Model *model_before(const struct view *v, const Model *m)
{
	const Status *b = v->before->status;

	for (size_t i = 0; b && i < b->n_models; i++) {
		if (!strcmp(b->models[i]->name, m->name) &&
			!strcmp(b->models[i]->version, m->version))
			return b->models[i];
	}
	return NULL;
}

static const Inference__InferStatistics *statistics_of(const Statistics *s, const Model *m)
{
	for (size_t i = 0; s && i < s->n_model_stats; i++) {
		if (!strcmp(s->model_stats[i]->name, m->name) &&
			!strcmp(s->model_stats[i]->version, m->version))
			return s->model_stats[i]->inference_stats;
	}
	return NULL;
}

/* Milliseconds that one took between the two looks; "-" where there was none. */
static const char *mean_text(const Duration *now, const Duration *before, char out[16])
{
	uint64_t count = now ? now->count : 0, ns = now ? now->ns : 0;

	if (before && before->count <= count && before->ns <= ns) {
		count -= before->count;
		ns -= before->ns;
	}
	if (count == 0)
		return "-";
	(void)snprintf(out, 16, "%.2f", (double)ns / (double)count / (double)NS_PER_MS);
	return out;
}

static void print_model(const struct view *v, const Model *m)
{
	const Model *b = model_before(v, m);
	const Inference__InferStatistics *x = statistics_of(v->now->statistics, m);
	const Inference__InferStatistics *y = statistics_of(v->before->statistics, m);
	char ok[16], failed[16], total[16], run[16], memory[32];

	(void)fprintf(v->out, "%-*.*s %3.3s %-11.11s %8s %6s %7s %7s %5" PRIu32 " %8.8s\n",
		NAME_COLUMNS, NAME_COLUMNS, m->name, m->version, m->state,
		rate_text(v, m->requests_ok, b ? b->requests_ok : 0, ok),
		rate_text(v, m->requests_failed, b ? b->requests_failed : 0, failed),
		mean_text(x ? x->success : NULL, y ? y->success : NULL, total),
		mean_text(x ? x->compute_infer : NULL, y ? y->compute_infer : NULL, run),
		m->queue_depth, m->memory_bytes ? short_bytes_text(m->memory_bytes, memory) : "-");
}

static void print_models(const struct view *v)
{
	const Status *s = v->now->status;

	(void)fprintf(v->out, "\n%-*s %3s %-11s %8s %6s %7s %7s %5s %8s\n", NAME_COLUMNS, "MODEL",
		"V.", "STATE", "OK/S", "FAIL/S", "MS", "RUN MS", "QUEUE", "MEMORY");
	for (size_t i = 0; i < s->n_models; i++)
		print_model(v, s->models[i]);
}

void top_view_print(FILE *out, const struct top_look *now, const struct top_look *before)
{
	struct view v = {.out = out, .now = now, .before = before};

	if (before->status && now->at_ns > before->at_ns)
		v.seconds = (double)(now->at_ns - before->at_ns) / (double)NS_PER_S;
	print_server(&v);
	print_workers(&v);
	print_gpus(&v);
	print_models(&v);
}
