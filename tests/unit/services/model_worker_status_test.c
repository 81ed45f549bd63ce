/* model_worker_status_test.c: HealthCheck and GetStatus of model_worker_service.c. */
#include "services/model_worker_service.h"

#include <criterion/criterion.h>

#include "infer_messages.h"
#include "tests/support/failalloc.h"

static struct fixture f;
static struct ask ask;
static struct call call;
static struct version *model;

static void set_up(void)
{
	fixture_init(&f);
	model = double_model(&f.dispatch, "m");
	memset(&ask, 0, sizeof(ask));
	ask_init(&ask);
	double_call_open(
		&call, fixture_method(&model_worker_service, "Infer"), &f.services, &f.client);
}

static void tear_down(void)
{
	double_call_free(&call);
	fixture_deinit(&f);
}

TestSuite(model_worker_status, .init = set_up, .fini = tear_down);

static void ask_small(const char *method)
{
	double_call_free(&call);
	double_call_open(
		&call, fixture_method(&model_worker_service, method), &f.services, &f.client);
	double_call_message(&call, NULL, 0);
	cr_assert(call.closed, "it never waits");
}

static void expect_health(bool healthy, const char *text)
{
	Remotemedia__ModelRegistry__V1__HealthCheckResponse *m;

	ask_small("HealthCheck");
	cr_assert_eq(call.status, GRPC_OK);
	m = remotemedia__model_registry__v1__health_check_response__unpack(
		NULL, call.n_sent[0], call.sent[0]);
	cr_assert(m);
	cr_expect_eq(m->healthy, healthy);
	cr_expect_str_eq(m->status, text);
	remotemedia__model_registry__v1__health_check_response__free_unpacked(m, NULL);
}

Test(model_worker_status, health_check)
{
	double_worker(&f.dispatch, "cpu:0/0");
	expect_health(true, "Healthy - 0 requests processed, 0.0ms avg latency");
	model->counters = (struct version_counters){
		.requests_ok = 4, .requests_failed = 1, .total_ns = 5000000};
	expect_health(true, "Healthy - 5 requests processed, 1.2ms avg latency");
	f.dispatch.default_model = model;
	model->ready = false;
	expect_health(false, "Unhealthy - Status: starting");
	model->hopeful = false;
	expect_health(false, "Unhealthy - Status: terminated");
	health_set_serving(f.services.health, false);
	expect_health(false, "Unhealthy - Status: starting");
	f.services.draining = true;
	expect_health(false, "Unhealthy - Status: stopping");
}

static void expect_server(const char *worker, const char *name, const char *status, uint32_t batch)
{
	Remotemedia__ModelRegistry__V1__GetStatusResponse *m;

	ask_small("GetStatus");
	cr_assert_eq(call.status, GRPC_OK);
	m = remotemedia__model_registry__v1__get_status_response__unpack(
		NULL, call.n_sent[0], call.sent[0]);
	cr_assert(m);
	cr_expect_str_eq(m->worker_id, worker);
	cr_expect_str_eq(m->model_id, name);
	cr_expect_str_eq(m->status, status);
	cr_expect_eq(m->max_batch_size, batch);
	cr_expect_eq(m->total_requests, 5);
	cr_expect_eq(m->current_load, double_queued(&f.dispatch));
	cr_expect_float_eq(m->average_latency_ms, 1.25, 1e-9);
	remotemedia__model_registry__v1__get_status_response__free_unpacked(m, NULL);
}

Test(model_worker_status, get_status)
{
	struct worker *w;
	struct call other;

	model->counters = (struct version_counters){
		.requests_ok = 4, .requests_failed = 1, .total_ns = 5000000};
	expect_server("", "", "ready", 0);
	w = double_worker(&f.dispatch, "cpu:0/0");
	expect_server("cpu:0/0", "", "ready", 0);
	double_worker(&f.dispatch, "cpu:0/1");
	w->state = WORKER_LOADING;
	f.dispatch.default_model = model;
	expect_server("cpu:0/1", "m", "ready", 8);
	f.dispatch.pool.workers[1].slots = 8;
	f.dispatch.pool.workers[1].in_flight = 1;
	expect_server("cpu:0/1", "m", "ready", 8);
	f.dispatch.pool.workers[1].in_flight = 2;
	expect_server("cpu:0/1", "m", "busy", 8);
	double_call_open(
		&other, fixture_method(&model_worker_service, "Infer"), &f.services, &f.client);
	ask_pack(&ask);
	double_call_message(&other, ask.packed, ask.n);
	expect_server("cpu:0/1", "m", "busy", 8);
	double_call_free(&other);
}

Test(model_worker_status, small_requests_that_are_malformed)
{
	double_call_free(&call);
	double_call_open(
		&call, fixture_method(&model_worker_service, "GetStatus"), &f.services, &f.client);
	double_call_message(&call, (const uint8_t *)"\x0f", 1);
	cr_assert(call.closed, "the call goes on");
	cr_expect_eq(call.status, GRPC_INTERNAL);
	cr_expect(strstr(call.text, "malformed GetStatusRequest"), "got: %s", call.text);
	cr_expect_eq(call.n_messages, 0);
}

static int ask_health(void *arg)
{
	struct call c;
	int r;

	double_call_open(&c, arg, &f.services, &f.client);
	double_call_message(&c, NULL, 0);
	r = c.status == GRPC_OK ? 0 : -ENOMEM;
	double_call_free(&c);
	return r;
}

Test(model_worker_status, small_requests_without_memory)
{
	FAULT_LOOP(ask_health, (void *)fixture_method(&model_worker_service, "HealthCheck"));
	FAULT_LOOP(ask_health, (void *)fixture_method(&model_worker_service, "GetStatus"));
}
