/* Tests of model_registry_*.c: what is asked of the lifecycle, what clients are given and told. */
#include "services/model_registry_service.h"

#include <criterion/criterion.h>

#include "models/overlay.h"
#include "proto/model_registry.pb-c.h"
#include "service_fixture.h"

typedef Remotemedia__ModelRegistry__V1__GetOrLoadModelRequest Get;
typedef Remotemedia__ModelRegistry__V1__GetOrLoadModelResponse Got;

static struct fixture f;
static struct lifecycle lifecycle;
static struct call call;
static struct version *model;

static void set_up(void)
{
	fixture_init(&f);
	double_lifecycle_init(&lifecycle);
	f.settings.handles = (struct model_handles_settings){
		.max_handles = 3, .max_sessions = 1, .session_ttl_ms = 3600000};
	cr_assert_eq(model_handles_init(&f.services.handles, &f.loop, &f.settings.handles), 0);
	f.services.lifecycle = f.services.handles.lifecycle = &lifecycle;
	model = double_model(&f.dispatch, "m");
	memset(&call, 0, sizeof(call));
	call.closed = true;
}

static void tear_down(void)
{
	double_call_free(&call);
	cr_expect(list_empty(&lifecycle.waits), "a call waits that is gone");
	model_handles_close(&f.services.handles);
	fixture_deinit(&f);
}

TestSuite(model_registry, .init = set_up, .fini = tear_down);

static void submit_bytes(const char *method, const uint8_t *data, size_t n)
{
	double_call_free(&call);
	double_call_open(
		&call, fixture_method(&model_registry_service, method), &f.services, &f.client);
	call.peer.loopback = true;
	double_call_message(&call, data, n);
}

static void submit(const char *method, const ProtobufCMessage *m)
{
	uint8_t data[4096];

	submit_bytes(method, data, protobuf_c_message_pack(m, data));
}

static void get(const char *id, const char *path, const char *device)
{
	Get m = REMOTEMEDIA__MODEL_REGISTRY__V1__GET_OR_LOAD_MODEL_REQUEST__INIT;

	m.model_id = (char *)id;
	m.model_path = (char *)path;
	m.device = (char *)device;
	submit("GetOrLoadModel", &m.base);
}

static void expect(enum grpc_status status, const char *text)
{
	cr_assert(call.closed);
	cr_expect_eq(call.status, status, "%d: %s", call.status, call.text);
	cr_expect(strstr(call.text, text), "%s", call.text);
}

Test(model_registry, a_model_that_is_there)
{
	get("m", "", "");
	expect(GRPC_OK, "");
	get("m:1", "/models/m/1", "");
	expect(GRPC_OK, "");
	cr_expect_str_eq(lifecycle.asked, "");
	cr_expect_eq(lifecycle.n_references, 2);
	cr_expect_eq(f.services.handle_hits, 2);
}

Test(model_registry, a_model_that_is_loaded)
{
	model->ready = false;
	get("m", "", "");
	cr_expect_not(call.closed);
	cr_expect_str_eq(lifecycle.asked, "get m/");
	model->ready = true;
	cr_expect(double_lifecycle_answer(&lifecycle, LIFECYCLE_OK, ""));
	expect(GRPC_OK, "");
	cr_expect_eq(lifecycle.n_references, 1);
	cr_expect_eq(f.services.handle_misses, 1);
}

Test(model_registry, a_model_that_cannot_be_loaded)
{
	static const enum grpc_status expected[] = {
		[LIFECYCLE_NOT_ALLOWED] = GRPC_UNAVAILABLE,
		[LIFECYCLE_INVALID] = GRPC_INVALID_ARGUMENT,
		[LIFECYCLE_UNKNOWN] = GRPC_NOT_FOUND,
		[LIFECYCLE_WRONG] = GRPC_FAILED_PRECONDITION,
		[LIFECYCLE_CONFIG] = GRPC_INVALID_ARGUMENT,
		[LIFECYCLE_OTHER] = GRPC_FAILED_PRECONDITION,
		[LIFECYCLE_FULL] = GRPC_RESOURCE_EXHAUSTED,
		[LIFECYCLE_FAILED] = GRPC_INTERNAL,
		[LIFECYCLE_SUPERSEDED] = GRPC_ABORTED,
		[LIFECYCLE_ENDING] = GRPC_UNAVAILABLE,
		[LIFECYCLE_NO_MEMORY] = GRPC_RESOURCE_EXHAUSTED,
	};

	for (enum lifecycle_code i = LIFECYCLE_NOT_ALLOWED; i <= LIFECYCLE_NO_MEMORY; i++) {
		get("x", "", "");
		cr_expect(double_lifecycle_answer(&lifecycle, i, "why"));
		expect(expected[i], "why");
	}
	get("x", "", "");
	cr_expect(double_lifecycle_answer(&lifecycle, LIFECYCLE_OK, ""));
	expect(GRPC_UNAVAILABLE, "model 'x' is not there any more");
	cr_expect_eq(lifecycle.n_references, 0);
}

Test(model_registry, who_may_have_models_loaded)
{
	Get m = REMOTEMEDIA__MODEL_REGISTRY__V1__GET_OR_LOAD_MODEL_REQUEST__INIT;
	uint8_t data[64];

	m.model_id = (char *)"x";
	double_call_open(&call, fixture_method(&model_registry_service, "GetOrLoadModel"),
		&f.services, &f.client);
	call.peer.loopback = false;
	call.peer.uid = -1;
	double_call_message(&call, data, protobuf_c_message_pack(&m.base, data));
	expect(GRPC_PERMISSION_DENIED, "load_on_request");
	lifecycle.explicit = false;
	get("x", "", "");
	expect(GRPC_NOT_FOUND, "model 'x' not found");
	model->ready = false;
	get("m", "", "");
	expect(GRPC_UNAVAILABLE, "model 'm' is not ready");
	f.services.lifecycle = NULL;
	get("m", "", "");
	expect(GRPC_UNIMPLEMENTED, "");
}

typedef Remotemedia__ModelRegistry__V1__GetOrLoadModelRequest__ConfigEntry Entry;

static void get_with(const char *id, const char *key, const char *value, bool here)
{
	Get m = REMOTEMEDIA__MODEL_REGISTRY__V1__GET_OR_LOAD_MODEL_REQUEST__INIT;
	Entry entry =
		REMOTEMEDIA__MODEL_REGISTRY__V1__GET_OR_LOAD_MODEL_REQUEST__CONFIG_ENTRY__INIT;
	Entry *entries[] = {&entry};
	uint8_t data[256];
	size_t n;

	m.model_id = (char *)id;
	m.config = entries;
	m.n_config = 1;
	entry.key = (char *)key;
	entry.value = (char *)value;
	n = protobuf_c_message_pack(&m.base, data);
	double_call_free(&call);
	double_call_open(&call, fixture_method(&model_registry_service, "GetOrLoadModel"),
		&f.services, &f.client);
	call.peer.loopback = here;
	call.peer.uid = -1;
	double_call_message(&call, data, n);
}

Test(model_registry, settings_for_a_load)
{
	model->ready = false;
	get_with("m", "instances", "2", true);
	cr_expect_str_eq(lifecycle.asked, "get m/");
	cr_assert_not_null(lifecycle.overlay);
	cr_expect_not(overlay_is_whole(lifecycle.overlay));
	model->ready = true;
	cr_expect(double_lifecycle_answer(&lifecycle, LIFECYCLE_OK, ""));
	expect(GRPC_OK, "");
	get_with("m", "instances", "2", true);
	expect(GRPC_OK, "");
	cr_expect_eq(f.services.handle_hits, 1);
	get("m", "", "");
	expect(GRPC_OK, "");
}

Test(model_registry, settings_that_are_others)
{
	lifecycle.other_settings = true;
	get_with("m", "instances", "2", true);
	cr_expect_str_eq(lifecycle.asked, "get m/");
	cr_expect(double_lifecycle_answer(&lifecycle, LIFECYCLE_OTHER, "other settings"));
	expect(GRPC_FAILED_PRECONDITION, "other settings");
	lifecycle.explicit = false;
	get_with("m", "instances", "2", true);
	expect(GRPC_FAILED_PRECONDITION, "model 'm' has the settings of its files");
}

Test(model_registry, settings_that_are_refused)
{
	get_with("m", "spin", "red", true);
	expect(GRPC_INVALID_ARGUMENT, "config 'spin' = 'red': yes or no is expected");
	get_with("m", "instances", "many", true);
	expect(GRPC_INVALID_ARGUMENT, "config 'instances' = 'many': ");
	cr_expect_str_eq(lifecycle.asked, "");
}

/* What is loaded with them already may be had from anywhere. */
Test(model_registry, whose_settings_count)
{
	lifecycle.loads_on_request = true;
	get_with("m", "instances", "2", false);
	expect(GRPC_OK, "");
	lifecycle.other_settings = true;
	get_with("m", "instances", "2", false);
	expect(GRPC_PERMISSION_DENIED, "models are loaded with config from this host only");
	cr_expect_str_eq(lifecycle.asked, "");
}

Test(model_registry, requests_that_are_wrong)
{
	char long_name[300];

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	get("", "", "");
	expect(GRPC_INVALID_ARGUMENT, "neither model_id nor model_path");
	get(long_name, "", "");
	expect(GRPC_INVALID_ARGUMENT, "model_id exceeds 255 bytes");
	get("m", "/etc/passwd", "");
	expect(GRPC_INVALID_ARGUMENT, "model_path is not below a repository");
	get("m", "/models/n", "");
	expect(GRPC_INVALID_ARGUMENT, "model_path is of model 'n', and model_id is 'm'");
	get("m:99999999999999999999999999999999999999", "", "");
	expect(GRPC_INVALID_ARGUMENT, "the version in model_id exceeds 31 bytes");
	cr_expect_str_eq(lifecycle.asked, "");
}

Test(model_registry, no_more_handles_than_may_be)
{
	for (int i = 0; i < 3; i++) {
		get("m", "", "");
		expect(GRPC_OK, "");
	}
	get("m", "", "");
	expect(GRPC_RESOURCE_EXHAUSTED, "[limits] max_model_handles");
	cr_expect_eq(lifecycle.n_references, 3);
}

Test(model_registry, what_there_is)
{
	Remotemedia__ModelRegistry__V1__ListModelsRequest m =
		REMOTEMEDIA__MODEL_REGISTRY__V1__LIST_MODELS_REQUEST__INIT;
	Remotemedia__ModelRegistry__V1__GetMetricsRequest metrics =
		REMOTEMEDIA__MODEL_REGISTRY__V1__GET_METRICS_REQUEST__INIT;

	m.include_metrics = true;
	submit("ListModels", &m.base);
	expect(GRPC_OK, "");
	submit("GetMetrics", &metrics.base);
	expect(GRPC_OK, "");
}

Test(model_registry, eviction)
{
	Remotemedia__ModelRegistry__V1__EvictExpiredRequest m =
		REMOTEMEDIA__MODEL_REGISTRY__V1__EVICT_EXPIRED_REQUEST__INIT;

	lifecycle.settings.ttl_ms = 30000;
	submit("EvictExpired", &m.base);
	expect(GRPC_OK, "");
	cr_expect_eq(lifecycle.expired_ttl_ms, 30000);
	m.ttl_seconds = 7;
	submit("EvictExpired", &m.base);
	cr_expect_eq(lifecycle.expired_ttl_ms, 7000);
}

Test(model_registry, a_client_that_goes)
{
	model->ready = false;
	get("m", "", "");
	double_call_close(&call);
	cr_expect(list_empty(&lifecycle.waits));
}

Test(model_registry, what_is_no_message_of_theirs)
{
	static const char *const all[] = {
		"GetOrLoadModel", "ReleaseModel", "ListModels", "GetMetrics", "EvictExpired"};
	static const uint8_t broken[] = {0x0a, 0x05, 'x'};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		submit_bytes(all[i], broken, sizeof(broken));
		expect(GRPC_INTERNAL, "malformed");
	}
}
