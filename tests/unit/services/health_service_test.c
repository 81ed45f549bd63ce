/* Tests of health_service.c: Check, Watch, List. */
#include "services/health_service.h"

#include <criterion/criterion.h>

#include "proto/health.pb-c.h"
#include "service_fixture.h"
#include "tests/support/failalloc.h"

#define WORKER_SERVICE "remotemedia.model_registry.v1.ModelWorkerService"

typedef Grpc__Health__V1__HealthCheckRequest CheckRequest;
typedef Grpc__Health__V1__HealthCheckResponse CheckResponse;
typedef Grpc__Health__V1__HealthListResponse ListResponse;

enum {
	SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING,
	NOT_SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING,
	UNKNOWN = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN,
};

static struct fixture f;
static struct version *a;
static struct version *b;
static struct call call;

static void set_up(void)
{
	fixture_init(&f);
	a = double_model(&f.dispatch, "a");
	b = double_model(&f.dispatch, "b");
	memset(&call, 0, sizeof(call));
	call.closed = true;
}

static void tear_down(void)
{
	double_call_free(&call);
	fixture_deinit(&f);
}

TestSuite(health, .init = set_up, .fini = tear_down);

/* A change, at the end of whose turn watchers are told. */
static void changed(const struct version *v)
{
	health_model_changed(f.services.health, v);
	health_flush(f.services.health);
}

static void ask(struct call *c, const char *method, const char *name)
{
	CheckRequest m = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	uint8_t data[256];

	m.service = (char *)name;
	double_call_free(c);
	double_call_open(c, fixture_method(&health_service, method), &f.services, &f.client);
	double_call_message(c, data, grpc__health__v1__health_check_request__pack(&m, data));
	double_call_half_close(c);
}

static int nth(const struct call *c, unsigned i)
{
	CheckResponse *m;
	int status;

	cr_assert_lt(i, c->n_messages);
	m = grpc__health__v1__health_check_response__unpack(NULL, c->n_sent[i], c->sent[i]);
	cr_assert(m);
	status = (int)m->status;
	grpc__health__v1__health_check_response__free_unpacked(m, NULL);
	return status;
}

static int check(const char *name)
{
	ask(&call, "Check", name);
	cr_assert(call.closed);
	cr_assert_eq(call.status, GRPC_OK, "%s", call.text);
	cr_assert_eq(call.n_messages, 1);
	return nth(&call, 0);
}

Test(health, check)
{
	cr_expect_eq(check(""), SERVING);
	cr_expect_eq(check("a"), SERVING);
	cr_expect_eq(check(WORKER_SERVICE), SERVING);
	b->ready = false;
	cr_expect_eq(check(""), NOT_SERVING);
	cr_expect_eq(check("a"), SERVING);
	cr_expect_eq(check("b"), NOT_SERVING);
	cr_expect_eq(check(WORKER_SERVICE), SERVING);
	health_set_serving(f.services.health, false);
	cr_expect_eq(check("a"), SERVING, "start-up is not over, but this model is there");
	cr_expect_eq(check(WORKER_SERVICE), NOT_SERVING);
}

Test(health, check_of_a_name_that_is_unknown)
{
	ask(&call, "Check", "A");
	cr_assert(call.closed);
	cr_expect_eq(call.status, GRPC_NOT_FOUND);
	cr_expect_str_eq(call.text, "unknown service 'A'");
	cr_expect_eq(call.n_messages, 0);
}

Test(health, lenient_readiness)
{
	f.settings.strict_readiness = false;
	b->ready = false;
	cr_expect_eq(check(""), SERVING);
	a->ready = false;
	cr_expect_eq(check(""), NOT_SERVING);
	f.dispatch.n_models = 0;
	cr_expect_eq(check(""), SERVING, "no model is missing");
	f.settings.strict_readiness = true;
	cr_expect_eq(check(""), SERVING);
}

Test(health, malformed)
{
	static const char *const methods[] = {"Check", "Watch", "List"};

	for (unsigned i = 0; i < 3; i++) {
		double_call_free(&call);
		double_call_open(
			&call, fixture_method(&health_service, methods[i]), &f.services, &f.client);
		double_call_message(&call, (const uint8_t *)"\x0f", 1);
		cr_assert(call.closed);
		cr_expect_eq(call.status, GRPC_INTERNAL);
		cr_expect(strstr(call.text, "malformed Health"));
	}
}

Test(health, fields_beyond_measure)
{
	static uint8_t data[4096];

	for (size_t i = 0; i < sizeof(data); i += 2)
		data[i] = 0x78;
	double_call_open(&call, fixture_method(&health_service, "Check"), &f.services, &f.client);
	double_call_message(&call, data, sizeof(data));
	cr_expect_eq(call.status, GRPC_OK, "%s", call.text);
}

Test(health, watch_tells_each_change_once)
{
	ask(&call, "Watch", "b");
	cr_assert(!call.closed);
	cr_assert_eq(call.n_messages, 1);
	cr_expect_eq(nth(&call, 0), SERVING);
	changed(a);
	changed(b);
	cr_expect_eq(call.n_messages, 1, "nothing new");
	b->ready = false;
	changed(b);
	changed(b);
	cr_assert_eq(call.n_messages, 2);
	cr_expect_eq(nth(&call, 1), NOT_SERVING);
	b->ready = true;
	changed(b);
	cr_expect_eq(nth(&call, 2), SERVING);
	cr_expect(!call.closed);
}

Test(health, watch_of_the_server)
{
	health_set_serving(f.services.health, false);
	ask(&call, "Watch", "");
	cr_expect_eq(nth(&call, 0), NOT_SERVING);
	health_set_serving(f.services.health, true);
	cr_expect_eq(nth(&call, 1), SERVING);
	a->ready = false;
	changed(a);
	cr_expect_eq(nth(&call, 2), NOT_SERVING);
}

Test(health, watch_of_a_name_that_is_unknown)
{
	ask(&call, "Watch", "nobody");
	cr_assert(!call.closed, "it stays");
	cr_expect_eq(nth(&call, 0), UNKNOWN);
	health_set_serving(f.services.health, false);
	cr_expect_eq(call.n_messages, 1);
}

Test(health, watch_of_a_model_that_comes_and_goes)
{
	size_t n;

	ask(&call, "Watch", "c");
	cr_expect_eq(nth(&call, 0), UNKNOWN);
	changed(double_model(&f.dispatch, "c"));
	cr_assert_eq(call.n_messages, 2);
	cr_expect_eq(nth(&call, 1), SERVING);
	n = f.dispatch.n_models--;
	changed(&f.dispatch.models[n - 1]);
	cr_assert_eq(call.n_messages, 3);
	cr_expect_eq(nth(&call, 2), UNKNOWN);
}

Test(health, what_is_to_replace_another_does_not_count_yet)
{
	struct version *c = double_model(&f.dispatch, "c");

	c->ready = false;
	c->replaces = b;
	ask(&call, "Check", "");
	cr_expect_eq(nth(&call, 0), SERVING);
}

Test(health, a_slow_watcher_hears_of_the_newest_state)
{
	ask(&call, "Watch", "b");
	call.blocked = true;
	b->ready = false;
	changed(b);
	cr_expect_eq(call.n_messages, 1);
	b->ready = true;
	changed(b);
	call.blocked = false;
	call.method->writable(&call, call.state);
	cr_expect_eq(call.n_messages, 1, "it is as it was when last heard of");
	call.blocked = true;
	b->ready = false;
	changed(b);
	call.blocked = false;
	call.method->writable(&call, call.state);
	cr_assert_eq(call.n_messages, 2);
	cr_expect_eq(nth(&call, 1), NOT_SERVING);
}

Test(health, draining_ends_watchers)
{
	struct call other = {.closed = true};
	struct call gone = {.closed = true};

	ask(&call, "Watch", "");
	ask(&gone, "Watch", "a");
	ask(&other, "Watch", "nobody");
	double_call_close(&gone);
	call.blocked = true;
	health_set_draining(f.services.health);
	cr_assert(call.closed && other.closed);
	cr_expect_eq(nth(&call, 1), NOT_SERVING);
	cr_expect_eq(call.status, GRPC_UNAVAILABLE);
	cr_expect_str_eq(call.text, "modeld is shutting down");
	cr_expect_eq(other.n_messages, 1);
	cr_expect_eq(gone.n_messages, 1);
	ask(&other, "Watch", "a");
	cr_assert(other.closed);
	cr_expect_eq(nth(&other, 0), NOT_SERVING);
	cr_expect_eq(check("a"), NOT_SERVING);
	cr_expect_eq(check(""), NOT_SERVING);
	double_call_free(&other);
	double_call_free(&gone);
}

Test(health, a_watcher_that_is_gone_before_it_asked)
{
	double_call_open(&call, fixture_method(&health_service, "Watch"), &f.services, &f.client);
	call.method->writable(&call, call.state);
	double_call_close(&call);
	health_set_serving(f.services.health, false);
	cr_expect_eq(call.n_messages, 0);
}

Test(health, a_watcher_that_cannot_be_told)
{
	struct call other = {.closed = true};

	ask(&call, "Watch", "a");
	ask(&other, "Watch", "a");
	call.send_error = -ENOMEM;
	a->ready = false;
	changed(a);
	cr_assert(call.closed);
	cr_expect_eq(call.status, GRPC_RESOURCE_EXHAUSTED);
	cr_expect_eq(nth(&other, 1), NOT_SERVING);
	double_call_free(&other);
}

static int listed(const ListResponse *m, const char *name)
{
	for (size_t i = 0; i < m->n_statuses; i++) {
		if (!strcmp(m->statuses[i]->key, name))
			return (int)m->statuses[i]->value->status;
	}
	return -1;
}

Test(health, list)
{
	ListResponse *m;

	b->ready = false;
	double_model(&f.dispatch, WORKER_SERVICE);
	ask(&call, "List", "");
	cr_assert_eq(call.status, GRPC_OK);
	m = grpc__health__v1__health_list_response__unpack(NULL, call.n_sent[0], call.sent[0]);
	cr_assert(m);
	cr_expect_eq(m->n_statuses, 5);
	cr_expect_eq(listed(m, ""), NOT_SERVING);
	cr_expect_eq(listed(m, "a"), SERVING);
	cr_expect_eq(listed(m, "b"), NOT_SERVING);
	cr_expect_eq(listed(m, WORKER_SERVICE), SERVING);
	cr_expect_eq(listed(m, "grpc.health.v1.Health"), SERVING);
	grpc__health__v1__health_list_response__free_unpacked(m, NULL);
}

Test(health, list_is_bounded)
{
	static char names[98][8];

	for (unsigned i = 0; i < 98; i++) {
		snprintf(names[i], sizeof(names[i]), "m%u", i);
		if (i == 95) {
			ask(&call, "List", "");
			cr_expect_eq(call.status, GRPC_OK, "100 names: %s", call.text);
		}
		double_model(&f.dispatch, names[i]);
	}
	ask(&call, "List", "");
	cr_expect_eq(call.status, GRPC_RESOURCE_EXHAUSTED);
	cr_expect(strstr(call.text, "more than 100 names"));
}

static int ask_once(void *arg)
{
	struct call c = {.closed = true};
	int r;

	ask(&c, arg, "a");
	if (!c.closed) {
		a->ready = !a->ready;
		changed(a);
	}
	r = c.closed && c.status != GRPC_OK ? -ENOMEM : 0;
	double_call_free(&c);
	return r;
}

static int new_and_free(void *arg)
{
	struct health *h;
	int r = health_new(&h, &f.services);

	(void)arg;
	if (r == 0)
		health_free(h);
	return r;
}

Test(health, without_memory)
{
	FAULT_LOOP(ask_once, (void *)"Check");
	FAULT_LOOP(ask_once, (void *)"Watch");
	FAULT_LOOP(ask_once, (void *)"List");
	FAULT_LOOP(new_and_free, NULL);
}
