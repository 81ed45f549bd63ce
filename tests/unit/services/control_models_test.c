/* Tests of control_models.c: what is asked of the lifecycle, and which status a call ends with. */
#include "services/control_models.h"

#include <criterion/criterion.h>

#include "proto/control.pb-c.h"
#include "service_fixture.h"
#include "services/control_service.h"

static struct fixture f;
static struct lifecycle lifecycle;
static struct call call;

static void set_up(void)
{
	fixture_init(&f);
	double_lifecycle_init(&lifecycle);
	f.services.lifecycle = &lifecycle;
	memset(&call, 0, sizeof(call));
	call.closed = true;
}

static void tear_down(void)
{
	double_call_free(&call);
	cr_expect(list_empty(&lifecycle.waits), "a call waits that is gone");
	fixture_deinit(&f);
}

TestSuite(control_models, .init = set_up, .fini = tear_down);

static void open_call(const char *method)
{
	double_call_free(&call);
	double_call_open(&call, fixture_method(&control_service, method), &f.services, &f.client);
	call.peer.loopback = true;
}

static void send_name(const char *name, const char *version)
{
	Modeld__Control__V1__ModelRequest m = MODELD__CONTROL__V1__MODEL_REQUEST__INIT;
	uint8_t data[256];

	m.name = (char *)name;
	m.version = (char *)version;
	double_call_message(&call, data, modeld__control__v1__model_request__pack(&m, data));
}

static void ask(const char *method, const char *name, const char *version)
{
	open_call(method);
	send_name(name, version);
}

Test(control_models, what_is_asked)
{
	ask("LoadModel", "m", "2");
	cr_expect_not(call.closed);
	cr_expect(double_lifecycle_answer(&lifecycle, LIFECYCLE_OK, ""));
	cr_expect(call.closed);
	cr_expect_eq(call.status, GRPC_OK);
	cr_expect_eq(call.n_messages, 1);
	ask("UnloadModel", "m", "");
	ask("ReloadModel", "m", "");
	ask("ReloadModel", "", "");
	cr_expect_str_eq(lifecycle.asked, "load m/2 unload m/ reload m/ reload all/");
}

/* What is behind it must not be overlooked. */
Test(control_models, a_name_with_a_nul_in_it)
{
	uint8_t data[] = {0x0a, 3, 'm', 0, 'x'};

	open_call("LoadModel");
	double_call_message(&call, data, sizeof(data));
	cr_expect_eq(call.status, GRPC_INVALID_ARGUMENT);
	cr_expect_str_eq(call.text, "ModelRequest with a NUL in a text");
	cr_expect_str_eq(lifecycle.asked, "");
}

Test(control_models, why_it_came_to_nothing)
{
	static const enum grpc_status expected[] = {
		[LIFECYCLE_NOT_ALLOWED] = GRPC_FAILED_PRECONDITION,
		[LIFECYCLE_INVALID] = GRPC_INVALID_ARGUMENT,
		[LIFECYCLE_UNKNOWN] = GRPC_NOT_FOUND,
		[LIFECYCLE_WRONG] = GRPC_FAILED_PRECONDITION,
		[LIFECYCLE_CONFIG] = GRPC_FAILED_PRECONDITION,
		[LIFECYCLE_OTHER] = GRPC_FAILED_PRECONDITION,
		[LIFECYCLE_FULL] = GRPC_RESOURCE_EXHAUSTED,
		[LIFECYCLE_FAILED] = GRPC_INTERNAL,
		[LIFECYCLE_SUPERSEDED] = GRPC_ABORTED,
		[LIFECYCLE_ENDING] = GRPC_UNAVAILABLE,
		[LIFECYCLE_NO_MEMORY] = GRPC_RESOURCE_EXHAUSTED,
	};

	for (size_t i = LIFECYCLE_NOT_ALLOWED; i <= LIFECYCLE_NO_MEMORY; i++) {
		ask("LoadModel", "m", "");
		cr_assert(double_lifecycle_answer(&lifecycle, (enum lifecycle_code)i, "because"));
		cr_expect_eq(call.status, expected[i]);
		cr_expect_str_eq(call.text, "because");
	}
}

Test(control_models, a_call_that_goes_away)
{
	ask("LoadModel", "m", "");
	double_call_close(&call);
	cr_expect_not(double_lifecycle_answer(&lifecycle, LIFECYCLE_OK, ""));
}

Test(control_models, from_this_host_only)
{
	static const char *const names[] = {"LoadModel", "UnloadModel", "ReloadModel"};

	for (size_t i = 0; i < 3; i++) {
		open_call(names[i]);
		call.peer.loopback = false;
		send_name("m", "");
		cr_expect_eq(call.status, GRPC_PERMISSION_DENIED);
		open_call(names[i]);
		call.peer.loopback = false;
		call.peer.uid = 1000;
		send_name("m", "");
		cr_expect_not(call.closed);
	}
}

Test(control_models, what_cannot_be_asked)
{
	ask("ReloadModel", "m", "2");
	cr_expect_eq(call.status, GRPC_INVALID_ARGUMENT);
	for (int i = 0; i < 2; i++) {
		open_call(i ? "LoadModel" : "ReloadModel");
		double_call_message(&call, (const uint8_t *)"\xff\xff", 2);
		cr_expect_eq(call.status, GRPC_INTERNAL);
		f.services.lifecycle = i ? &lifecycle : NULL;
		ask(i ? "ReloadModel" : "UnloadModel", "m", "");
		cr_expect_eq(call.status, i ? GRPC_OK : GRPC_UNIMPLEMENTED);
		f.services.lifecycle = &lifecycle;
	}
}
