/* status.c: `modelctl status`. modelctl, one thread. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "clients/modelctl/columns.h"
#include "clients/modelctl/json_message.h"
#include "clients/modelctl/modelctl.h"
#include "clients/modelctl/server_status.h"
#include "clients/modelctl/units.h"

#define INDENT 15 /* of what is said of a worker or a model */

typedef Modeld__Control__V1__WorkerStatus WorkerStatus;
typedef Modeld__Control__V1__ModelStatus ModelStatus;
typedef Modeld__Control__V1__PlacementStatus PlacementStatus;
typedef Modeld__Control__V1__GpuStatus GpuStatus;
typedef Modeld__Control__V1__TensorStatus TensorStatus;
typedef Modeld__Control__V1__ServerStatusResponse ServerStatus;

static const char status_usage[] =
	"usage: modelctl status [MODEL] [options]\n"
	"\n"
	"Prints the daemon's workers, models, memory and counters; of MODEL: its\n"
	"versions, where its instances are, and the workers that it has for itself. With\n"
	"-o wide also where those of all models are, what holds the workers and what\n"
	"they take of their limits, and no line is folded.\n"
	"\n"
	"      --watch              again and again, until interrupted\n"
	"\n"
	"Options of every command: see modelctl --help.\n";

/* "image f32[-1,64]" */
static void print_tensor(FILE *out, const TensorStatus *t)
{
	(void)fprintf(out, " %s %s", t->name, t->dtype);
	if (t->any_shape) {
		(void)fputs("[...]", out);
		return;
	}
	(void)fputc('[', out);
	for (size_t i = 0; i < t->n_dims; i++)
		(void)fprintf(out, i ? ",%" PRId64 : "%" PRId64, t->dims[i]);
	(void)fputc(']', out);
}

/* "31.0 MiB of 3.0 GiB"; what only RLIMIT_DATA holds is not counted: "up to 3.0 GiB of private memory". */
static void print_memory(FILE *out, const WorkerStatus *w)
{
	char bytes[32], most[32];

	if (!w->memory_bytes)
		(void)fprintf(
			out, "up to %s of private memory", bytes_text(w->max_memory_bytes, most));
	else if (!w->max_memory_bytes)
		(void)fputs(bytes_text(w->memory_bytes, bytes), out);
	else
		(void)fprintf(out, "%s of %s", bytes_text(w->memory_bytes, bytes),
			bytes_text(w->max_memory_bytes, most));
}

/* "12 processes and threads of 200" */
static void print_processes(FILE *out, const WorkerStatus *w)
{
	if (w->processes)
		(void)fprintf(out, "%" PRIu64 " ", w->processes);
	(void)fputs("processes and threads", out);
	if (w->max_processes)
		(void)fprintf(out, " of %" PRIu32, w->max_processes);
}

/* What is limited, or counted. */
static void print_use(FILE *out, const WorkerStatus *w)
{
	char begin[32];
	const char *before = begin;

	(void)snprintf(begin, sizeof(begin), "\n  %-12s takes ", "");
	if (w->memory_bytes || w->max_memory_bytes) {
		(void)fputs(before, out);
		print_memory(out, w);
		before = ", ";
	}
	if (w->processes || w->max_processes) {
		(void)fputs(before, out);
		print_processes(out, w);
		before = ", ";
	}
	if (w->max_cpu_percent)
		(void)fprintf(
			out, "%sup to %" PRIu32 " %% of a processor", before, w->max_cpu_percent);
}

static void print_worker(FILE *out, const struct modelctl *c, const WorkerStatus *w)
{
	char since[32], bytes[32];

	(void)fprintf(out, "  %-12s %-9s", w->name, w->state);
	if (w->pid)
		(void)fprintf(out,
			" pid %-7" PRIu32 " %" PRIu32 "/%" PRIu32 " slots, %" PRIu64 " batches",
			w->pid, w->batches_in_flight, w->slots, w->batches_done);
	else
		(void)fputs(" no process", out);
	if (w->uptime_ms)
		(void)fprintf(out, ", up %s", duration_text(w->uptime_ms, since));
	if (w->restarts)
		(void)fprintf(
			out, ", %" PRIu64 " restart%s", w->restarts, w->restarts == 1 ? "" : "s");
	if (w->restart_in_ms)
		(void)fprintf(out, ", next start in %s", duration_text(w->restart_in_ms, since));
	if (*w->model)
		(void)fprintf(out, ", for %s:%s", w->model, w->model_version);
	if (w->stayed_bytes)
		(void)fprintf(out, ", %s stayed after unloads", bytes_text(w->stayed_bytes, bytes));
	if (*w->copies)
		(void)fprintf(out, ", copies %s", w->copies);
	if (c->wide && *w->sandbox)
		(void)fprintf(out, "\n  %-12s sandbox %s", "", w->sandbox);
	if (c->wide)
		print_use(out, w);
	if (*w->quarantine)
		(void)fprintf(out, "\n  %-12s the driver asks for %s", "", w->quarantine);
	if (*w->last_exit)
		(void)fprintf(out, "\n  %-12s last exit: %s", "", w->last_exit);
	(void)fputc('\n', out);
}

static void print_gpu(FILE *out, const GpuStatus *g)
{
	char used[32], total[32];

	(void)fprintf(out, "  %-12s %s", *g->bus ? g->bus : "?", g->name);
	if (g->busy_percent >= 0)
		(void)fprintf(out, ", %" PRId64 " %% busy", g->busy_percent);
	if (g->memory_total_bytes >= 0)
		(void)fprintf(out, ", %s of %s", bytes_text((uint64_t)g->memory_used_bytes, used),
			bytes_text((uint64_t)g->memory_total_bytes, total));
	if (g->power_mw >= 0)
		(void)fprintf(out, ", %" PRId64 " W", g->power_mw / 1000);
	if (g->power_mw >= 0 && g->power_limit_mw > 0)
		(void)fprintf(out, " of %" PRId64, g->power_limit_mw / 1000);
	if (g->temperature_c >= 0)
		(void)fprintf(out, ", %" PRId64 " C", g->temperature_c);
	if (g->sm_clock_mhz >= 0)
		(void)fprintf(out, ", %" PRId64 " MHz", g->sm_clock_mhz);
	if (g->ecc_uncorrected > 0)
		(void)fprintf(out, ", %" PRId64 " uncorrected memory errors", g->ecc_uncorrected);
	if (g->last_xid >= 0)
		(void)fprintf(out, ", %" PRIu64 " critical error%s, the last Xid %" PRId64,
			g->xid_errors, g->xid_errors == 1 ? "" : "s", g->last_xid);
	if (g->recovery_action > 0)
		(void)fprintf(out, ", NEEDS HELP: recovery action %" PRId64, g->recovery_action);
	(void)fprintf(out, "\n  %-12s %s\n", "", g->uuid);
}

static bool is_first_of_device(const ModelStatus *m, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(m->placements[i]->device, m->placements[n]->device))
			return false;
	}
	return true;
}

static uint32_t instances_on(const ModelStatus *m, const char *device)
{
	uint32_t n = 0;

	for (size_t i = 0; i < m->n_placements; i++) {
		const PlacementStatus *p = m->placements[i];

		if (!strcmp(p->device, device) && !strcmp(p->state, "ready"))
			n += p->instances;
	}
	return n;
}

/* "instances cpu:0 x2, cuda:1 loading": how many there are on a device, or, where none is ready, why. */
static void print_placements(FILE *out, const ModelStatus *m)
{
	const char *before = "instances ";

	if (m->n_placements > 0)
		(void)fprintf(out, "\n  %-12s ", "");
	for (size_t i = 0; i < m->n_placements; i++) {
		const PlacementStatus *p = m->placements[i];
		uint32_t n = instances_on(m, p->device);

		if (!is_first_of_device(m, i))
			continue;
		(void)fprintf(out, "%s%s ", before, p->device);
		if (n > 0)
			(void)fprintf(out, "x%" PRIu32, n);
		else
			(void)fputs(p->state, out);
		before = ", ";
	}
}

/* How much was asked of it, and how it went. */
static void print_requests(FILE *out, const ModelStatus *m)
{
	(void)fprintf(out,
		"\n  %-12s %" PRIu64 " ok, %" PRIu64 " failed, %" PRIu64 " batches, queue %" PRIu32
		"/%" PRIu32,
		"", m->requests_ok, m->requests_failed, m->batches, m->queue_depth, m->queue_limit);
}

static void print_tensors(FILE *out, const ModelStatus *m)
{
	(void)fprintf(out, "\n  %-12s", "");
	for (size_t i = 0; i < m->n_inputs; i++)
		print_tensor(out, m->inputs[i]);
	(void)fputs(" ->", out);
	for (size_t i = 0; i < m->n_outputs; i++)
		print_tensor(out, m->outputs[i]);
}

/* What there is of a version of it; of a model that is wrong there is none. */
static void print_version(FILE *out, const ServerStatus *s, const ModelStatus *m)
{
	char memory[32];

	(void)fprintf(out, " version %s, %s, %" PRIu32 " worker%s", m->version, m->backend,
		m->workers_ready, m->workers_ready == 1 ? "" : "s");
	if (m->max_batch_size)
		(void)fprintf(out, ", batches up to %" PRIu32, m->max_batch_size);
	if (m->memory_bytes)
		(void)fprintf(out, ", %s", bytes_text(m->memory_bytes, memory));
	if (!strcmp(m->name, s->default_model))
		(void)fputs(", default", out);
}

static void print_model(FILE *out, const ServerStatus *s, const ModelStatus *m, bool places)
{
	(void)fprintf(out, "  %-12s %-11s", m->name, m->state);
	if (*m->version)
		print_version(out, s, m);
	if (*m->detail)
		(void)fprintf(out, "\n  %-12s %s", "", m->detail);
	if (places)
		print_placements(out, m);
	if (m->n_inputs || m->n_outputs)
		print_tensors(out, m);
	if (*m->version)
		print_requests(out, m);
	(void)fputc('\n', out);
}

static void print_text(FILE *out, const struct modelctl *m, const ServerStatus *s)
{
	char a[32], b[32], c[32], d[32];

	(void)fprintf(out, "modeld %s  %s, pid %" PRIu32 ", up %s\n", s->version, s->state, s->pid,
		duration_text(s->uptime_ms, a));
	(void)fprintf(out,
		"requests      %" PRIu64 " done, mean latency %.3f ms; now %" PRIu32
		" calls on %" PRIu32 " connections\n",
		s->requests_total, s->average_latency_ms, s->calls, s->connections);
	(void)fprintf(out,
		"input arena   %s in use, %s resident of %s in %" PRIu32 " segments, limit %s\n",
		bytes_text(s->arena_used_bytes, a), bytes_text(s->arena_touched_bytes, b),
		bytes_text(s->arena_mapped_bytes, d), s->arena_segments,
		bytes_text(s->arena_size_bytes, c));
	if (s->handoff_connections || s->handoff_regions || s->handoff_requests)
		(void)fprintf(out,
			"handoff       %" PRIu32 " clients, %" PRIu32 " regions of %s, %" PRIu64
			" requests, %s handed over\n",
			s->handoff_connections, s->handoff_regions,
			bytes_text(s->handoff_region_bytes, a), s->handoff_requests,
			bytes_text(s->tensor_bytes_handed, b));
	if (s->loop_spins)
		(void)fprintf(out, "event loop    %" PRIu64 " spins, %" PRIu64 " paid\n",
			s->loop_spins, s->loop_spins_paid);
	(void)fputs("workers\n", out);
	for (size_t i = 0; i < s->n_workers; i++)
		print_worker(out, m, s->workers[i]);
	if (s->n_gpus)
		(void)fputs("GPUs\n", out);
	for (size_t i = 0; i < s->n_gpus; i++)
		print_gpu(out, s->gpus[i]);
	(void)fputs("models\n", out);
	for (size_t i = 0; i < s->n_models; i++)
		print_model(out, s, s->models[i], m->wide);
}

static void print_model_text(FILE *out, const struct modelctl *m, const ServerStatus *s)
{
	for (size_t i = 0; i < s->n_models; i++)
		print_model(out, s, s->models[i], true);
	for (size_t i = 0; i < s->n_workers; i++)
		print_worker(out, m, s->workers[i]);
}

/* As a table; its lines are folded, unless it is to be wide. */
static int print_table(const struct modelctl *m, const ServerStatus *s,
	void (*print)(FILE *out, const struct modelctl *m, const ServerStatus *s))
{
	_cleanup_(freep) char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	print(out, m, s);
	if (fclose(out))
		return modelctl_fail(MODELCTL_FAILED, "out of memory");
	if (m->wide)
		(void)fputs(text, stdout);
	else
		columns_print(stdout, text, INDENT);
	return MODELCTL_OK;
}

static void print_json(const ProtobufCMessage *message)
{
	struct json j;

	json_init(&j, stdout);
	json_message(&j, NULL, message);
	json_end(&j);
}

/* What concerns one model stays, in the order in which it was. How many of its versions there are. */
static size_t keep_model(ServerStatus *s, const char *name)
{
	size_t n_models = 0, n_workers = 0;

	for (size_t i = 0; i < s->n_models; i++) {
		if (strcmp(s->models[i]->name, name) != 0)
			continue;
		ModelStatus *other = s->models[n_models];

		s->models[n_models++] = s->models[i];
		s->models[i] = other;
	}
	for (size_t i = 0; i < s->n_workers; i++) {
		if (strcmp(s->workers[i]->model, name) != 0)
			continue;
		WorkerStatus *other = s->workers[n_workers];

		s->workers[n_workers++] = s->workers[i];
		s->workers[i] = other;
	}
	for (size_t i = n_workers; i < s->n_workers; i++)
		modeld__control__v1__worker_status__free_unpacked(s->workers[i], NULL);
	for (size_t i = n_models; i < s->n_models; i++)
		modeld__control__v1__model_status__free_unpacked(s->models[i], NULL);
	s->n_workers = n_workers;
	return s->n_models = n_models;
}

static int print_of_model(const struct modelctl *m, ServerStatus *s, const char *name)
{
	if (keep_model(s, name) == 0)
		return modelctl_fail(MODELCTL_FAILED, "there is no model '%s'", name);
	if (m->json) {
		for (size_t i = 0; i < s->n_models; i++)
			print_json(&s->models[i]->base);
		return MODELCTL_OK;
	}
	return print_table(m, s, print_model_text);
}

int command_status(struct modelctl *m, int argc, char **argv)
{
	static const struct option options[] = {MODELCTL_WATCH, {0}};
	static const struct modelctl_line line = {
		.usage = status_usage,
		.options = options,
		.n_max = 1,
		.arguments = "one MODEL at most",
	};
	_cleanup_(grpc_client_freep) struct grpc_client *client = NULL;
	_cleanup_(server_status_freep) ServerStatus *status = NULL;
	int r = modelctl_parse(m, argc, argv, &line);

	if (r >= 0)
		return r;
	r = modelctl_connect(m, &client);
	if (!r)
		r = server_status_fetch(m, client, &status);
	if (r)
		return r;
	if (optind < argc)
		return print_of_model(m, status, argv[optind]);
	if (m->json)
		print_json(&status->base);
	else
		r = print_table(m, status, print_text);
	return r;
}
