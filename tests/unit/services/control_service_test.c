/* Tests of control_service.c: every field of GetServerStatus. */
#include "services/control_service.h"

#include <criterion/criterion.h>
#include <unistd.h>

#include "base/busy_poll.h"
#include "base/clock.h"
#include "proto/control.pb-c.h"
#include "service_fixture.h"
#include "tests/support/failalloc.h"

typedef Modeld__Control__V1__ServerStatusResponse Response;

static struct fixture f;
static struct call call;

static void set_up(void)
{
	fixture_init(&f);
	memset(&call, 0, sizeof(call));
	call.closed = true;
}

static void tear_down(void)
{
	double_call_free(&call);
	fixture_deinit(&f);
}

TestSuite(control, .init = set_up, .fini = tear_down);

static void ask_raw(const char *data, size_t n)
{
	double_call_free(&call);
	double_call_open(
		&call, fixture_method(&control_service, "GetServerStatus"), &f.services, &f.client);
	double_call_message(&call, (const uint8_t *)data, n);
	cr_assert(call.closed);
}

static Response *ask(void)
{
	Response *m;

	ask_raw(NULL, 0);
	cr_assert_eq(call.status, GRPC_OK, "%s", call.text);
	m = modeld__control__v1__server_status_response__unpack(NULL, call.n_sent[0], call.sent[0]);
	cr_assert(m);
	return m;
}

static void free_response(Response *m)
{
	modeld__control__v1__server_status_response__free_unpacked(m, NULL);
}

Test(control, server)
{
	const struct busy_poll polls[] = {
		{.n_spins = 5, .n_paid = 3}, {.n_spins = 10, .n_paid = 4}};
	Response *m;

	f.services.started_ns = clock_ns() - 5 * NS_PER_S;
	f.calls = (struct calls){
		.n_connections = 1,
		.counters = {.open = 2, .bulk_bytes_sent = 5, .bulk_bytes_copied = 6},
	};
	f.services.tensor_bytes_received = 3;
	f.services.tensor_bytes_copied_in = 4;
	f.services.polls = polls;
	f.services.n_polls = 2;
	f.dispatch.arena = (struct arena){
		.used = 7, .memory = {.n_segments = 2, .mapped = 10, .resident = 8}, .limit = 9};
	f.dispatch.default_model = double_model(&f.dispatch, "m");
	f.dispatch.models[0].counters = (struct version_counters){
		.requests_ok = 2, .requests_failed = 3, .total_ns = 3000000};
	m = ask();
	cr_expect_str_eq(m->version, MODELD_VERSION);
	cr_expect_eq(m->pid, (uint32_t)getpid());
	cr_expect_geq(m->uptime_ms, 5000);
	cr_expect_lt(m->uptime_ms, 60000);
	cr_expect_str_eq(m->state, "serving");
	cr_expect_eq(m->connections, 1);
	cr_expect_eq(m->calls, 2);
	cr_expect_eq(m->loop_spins, 15);
	cr_expect_eq(m->loop_spins_paid, 7);
	cr_expect_eq(m->requests_total, 5);
	cr_expect_float_eq(m->average_latency_ms, 1.5, 1e-9);
	cr_expect_eq(m->arena_used_bytes, 7);
	cr_expect_eq(m->arena_touched_bytes, 8);
	cr_expect_eq(m->arena_segments, 2);
	cr_expect_eq(m->arena_mapped_bytes, 10);
	cr_expect_eq(m->arena_size_bytes, 9);
	cr_expect_str_eq(m->default_model, "m");
	cr_expect_eq(m->tensor_bytes_received, 3);
	cr_expect_eq(m->tensor_bytes_copied_in, 4);
	cr_expect_eq(m->tensor_bytes_sent, 5);
	cr_expect_eq(m->tensor_bytes_copied_out, 6);
	free_response(m);
}

static void expect_state(const char *state)
{
	Response *m = ask();

	cr_expect_str_eq(m->state, state);
	cr_expect_str_eq(m->default_model, "");
	cr_expect_eq(m->average_latency_ms, 0);
	free_response(m);
}

Test(control, states)
{
	health_set_serving(f.services.health, false);
	expect_state("starting");
	health_set_serving(f.services.health, true);
	expect_state("serving");
	f.services.draining = true;
	expect_state("draining");
}

Test(control, gpus)
{
	Response *m = ask();

	cr_assert_eq(m->n_gpus, 2);
	cr_expect_str_eq(m->gpus[0]->name, "GPU");
	cr_expect_str_eq(m->gpus[0]->uuid, "GPU-1");
	cr_expect_str_eq(m->gpus[0]->bus, "0:1");
	for (size_t i = 0; i < 2; i++) {
		const Modeld__Control__V1__GpuStatus *g = m->gpus[i];
		int64_t expected = i ? -1 : 7;

		cr_expect_eq(g->busy_percent, expected);
		cr_expect_eq(g->memory_busy_percent, expected);
		cr_expect_eq(g->memory_total_bytes, expected);
		cr_expect_eq(g->memory_used_bytes, expected);
		cr_expect_eq(g->power_mw, expected);
		cr_expect_eq(g->energy_mj, expected);
		cr_expect_eq(g->temperature_c, expected);
		cr_expect_eq(g->sm_clock_mhz, expected);
		cr_expect_eq(g->memory_clock_mhz, expected);
		cr_expect_eq(g->ecc_uncorrected, expected);
		cr_expect_eq(g->recovery_action, expected);
		cr_expect_eq(g->last_xid, expected);
	}
	free_response(m);
}

Test(control, workers)
{
	struct worker *w = double_worker(&f.dispatch, "cpu:0/0");
	Response *m;

	w->ready_since_ns = clock_ns() - 2 * NS_PER_S;
	w->in_flight = 1;
	w->limits = (struct worker_limits){
		.max_memory_bytes = 11, .max_cpu_percent = 12, .max_processes = 13};
	w->use = (struct group_use){.memory_bytes = 14, .processes = 15};
	w = double_worker(&f.dispatch, "cpu:0/1");
	w->state = WORKER_REAPED;
	w->pid = 0;
	w->last_exit = "signal 9";
	w->sandbox = "on: files";
	w->restart_at_ns = clock_ns() + 100 * NS_PER_S;
	m = ask();
	cr_assert_eq(m->n_workers, 2);
	cr_expect_str_eq(m->workers[0]->name, "cpu:0/0");
	cr_expect_str_eq(m->workers[0]->device, "cpu:0");
	cr_expect_str_eq(m->workers[0]->state, "ready");
	cr_expect_eq(m->workers[0]->pid, 1234);
	cr_expect_eq(m->workers[0]->generation, 2);
	cr_expect_eq(m->workers[0]->batches_in_flight, 1);
	cr_expect_eq(m->workers[0]->slots, 2);
	cr_expect_eq(m->workers[0]->batches_done, 3);
	cr_expect_eq(m->workers[0]->restarts, 1);
	cr_expect_eq(m->workers[0]->output_segments, 3);
	cr_expect_eq(m->workers[0]->output_mapped_bytes, 300);
	cr_expect_eq(m->workers[0]->stayed_bytes, 500);
	cr_expect_geq(m->workers[0]->uptime_ms, 2000);
	cr_expect_eq(m->workers[0]->restart_in_ms, 0);
	cr_expect_eq(m->workers[0]->max_memory_bytes, 11);
	cr_expect_eq(m->workers[0]->max_cpu_percent, 12);
	cr_expect_eq(m->workers[0]->max_processes, 13);
	cr_expect_eq(m->workers[0]->memory_bytes, 14);
	cr_expect_eq(m->workers[0]->processes, 15);
	cr_expect_str_eq(m->workers[1]->state, "reaped");
	cr_expect_str_eq(m->workers[1]->last_exit, "signal 9");
	cr_expect_str_eq(m->workers[1]->sandbox, "on: files");
	cr_expect_eq(m->workers[1]->uptime_ms, 0);
	cr_expect_gt(m->workers[1]->restart_in_ms, 90000);
	free_response(m);
}

Test(control, models)
{
	struct version *a = double_model(&f.dispatch, "a");
	struct version *b = double_model(&f.dispatch, "b");
	const struct pool_placement places[] = {{double_worker(&f.dispatch, "cpu:0/0"), 2, "ready"},
		{double_worker(&f.dispatch, "cpu:0/1"), 0, "loading"}};
	Response *m;

	a->queue_depth = 4;
	a->placements = places;
	a->n_placements = 2;
	a->counters =
		(struct version_counters){.requests_ok = 5, .requests_failed = 6, .batches = 7};
	b->is_declared = false;
	b->ready = false;
	b->hopeful = false;
	b->detail = "no such file";
	m = ask();
	cr_assert_eq(m->n_models, 2);
	cr_expect_str_eq(m->models[0]->name, "a");
	cr_expect_str_eq(m->models[0]->version, "1");
	cr_expect_str_eq(m->models[0]->backend, "builtin");
	cr_expect_str_eq(m->models[0]->state, "ready");
	cr_expect_str_eq(m->models[0]->detail, "");
	cr_expect_eq(m->models[0]->workers_ready, 1);
	cr_expect_eq(m->models[0]->max_batch_size, 8);
	cr_expect_eq(m->models[0]->queue_depth, 4);
	cr_expect_eq(m->models[0]->queue_limit, 10);
	cr_expect_eq(m->models[0]->requests_ok, 5);
	cr_expect_eq(m->models[0]->requests_failed, 6);
	cr_expect_eq(m->models[0]->batches, 7);
	cr_expect_eq(m->models[0]->memory_bytes, 77);
	cr_assert_eq(m->models[0]->n_inputs, 1);
	cr_expect_str_eq(m->models[0]->inputs[0]->name, "INPUT");
	cr_expect_str_eq(m->models[0]->inputs[0]->dtype, "any");
	cr_expect(m->models[0]->inputs[0]->any_shape);
	cr_assert_eq(m->models[0]->n_outputs, 1);
	cr_expect_str_eq(m->models[0]->outputs[0]->dtype, "f32");
	cr_assert_eq(m->models[0]->outputs[0]->n_dims, 1);
	cr_expect_eq(m->models[0]->outputs[0]->dims[0], -1);
	cr_assert_eq(m->models[0]->n_placements, 2);
	cr_expect_str_eq(m->models[0]->placements[0]->worker, "cpu:0/0");
	cr_expect_str_eq(m->models[0]->placements[0]->device, "cpu:0");
	cr_expect_eq(m->models[0]->placements[0]->instances, 2);
	cr_expect_str_eq(m->models[0]->placements[0]->state, "ready");
	cr_expect_str_eq(m->models[0]->placements[1]->worker, "cpu:0/1");
	cr_expect_eq(m->models[0]->placements[1]->instances, 0);
	cr_expect_str_eq(m->models[0]->placements[1]->state, "loading");
	cr_expect_eq(m->models[1]->n_placements, 0);
	cr_expect_str_eq(m->models[1]->state, "failed");
	cr_expect_str_eq(m->models[1]->detail, "no such file");
	cr_expect_eq(m->models[1]->n_inputs, 0);
	free_response(m);
	a->passed_over = b->passed_over = "version 2 has failed";
	m = ask();
	cr_expect_str_eq(m->models[0]->detail, "version 2 has failed");
	cr_expect_str_eq(
		m->models[1]->detail, "no such file", "what is wrong with itself goes first");
	free_response(m);
}

/* Where there was no memory for all when they were counted, there are more than there is room for. */
Test(control, more_models_are_wrong_than_were_counted)
{
	struct lifecycle lifecycle;

	double_lifecycle_init(&lifecycle);
	lifecycle.items[0] =
		(struct lifecycle_item){"v", "", LIFECYCLE_UNAVAILABLE, "nonsense", true};
	lifecycle.items[1] = lifecycle.items[2] = lifecycle.items[0];
	lifecycle.n_items = 3;
	lifecycle.n_forgotten = 3;
	f.services.lifecycle = &lifecycle;
	ask_raw(NULL, 0);
	cr_expect_eq(call.status, GRPC_RESOURCE_EXHAUSTED);
	ask_raw(NULL, 0);
	cr_expect_eq(call.status, GRPC_OK, "%s", call.text);
}

Test(control, malformed)
{
	ask_raw("\x0f", 1);
	cr_expect_eq(call.status, GRPC_INTERNAL);
	cr_expect_str_eq(call.text, "malformed ServerStatusRequest");
}

static int ask_once(void *arg)
{
	struct call c;
	int r;

	(void)arg;
	double_call_open(
		&c, fixture_method(&control_service, "GetServerStatus"), &f.services, &f.client);
	double_call_message(&c, NULL, 0);
	cr_assert(c.closed);
	r = c.status == GRPC_OK ? 0 : -ENOMEM;
	double_call_free(&c);
	return r;
}

Test(control, without_memory)
{
	const struct pool_placement place = {double_worker(&f.dispatch, "cpu:0/0"), 1, "ready"};
	char names[100][8];

	for (unsigned i = 0; i < 100; i++) {
		struct version *v;

		snprintf(names[i], sizeof(names[i]), "m%u", i);
		v = double_model(&f.dispatch, names[i]);
		v->placements = &place;
		v->n_placements = 1;
	}
	FAULT_LOOP(ask_once, NULL);
}
