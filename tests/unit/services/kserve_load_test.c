/* Tests of kserve_load.c and kserve_repository.c: what is asked of the lifecycle, and Triton's statuses and words. */
#include "services/kserve_load.h"

#include <criterion/criterion.h>

#include "proto/kserve/grpc_service.pb-c.h"
#include "service_fixture.h"
#include "services/kserve_repository.h"
#include "services/kserve_service.h"
#include "tests/support/failalloc.h"

typedef Inference__RepositoryIndexResponse IndexResponse;

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

TestSuite(kserve_load, .init = set_up, .fini = tear_down);

static void ask_as(bool local, const char *method, const void *data, size_t n)
{
	double_call_free(&call);
	double_call_open(&call, fixture_method(&kserve_service, method), &f.services, &f.client);
	call.peer.loopback = local;
	double_call_message(&call, data, n);
}

#define ASK(method, text) ask_as(true, method, text, sizeof(text) - 1)

static void expect_status(enum grpc_status status, const char *text)
{
	cr_assert(call.closed, "the call goes on");
	cr_expect_eq(call.status, status, "got %s: %s", grpc_status_name(call.status), call.text);
	cr_expect_str_eq(call.text, text);
}

#define LOAD   "RepositoryModelLoad"
#define UNLOAD "RepositoryModelUnload"
#define MODEL  "\x12\x01m" /* model_name = "m" */

/* --- Loading ------------------------------------------------------------------------------------ */

Test(kserve_load, what_is_asked)
{
	ASK(LOAD, MODEL);
	cr_expect_not(call.closed);
	cr_expect(double_lifecycle_answer(&lifecycle, LIFECYCLE_OK, ""));
	expect_status(GRPC_OK, "");
	cr_expect_eq(call.n_messages, 1);
	ASK(UNLOAD, MODEL);
	cr_expect(double_lifecycle_answer(&lifecycle, LIFECYCLE_OK, ""));
	expect_status(GRPC_OK, "");
	cr_expect_str_eq(lifecycle.asked, "load m/ unload m/");
}

static const struct {
	enum lifecycle_code code;
	enum grpc_status load, unload;
	const char *load_text, *unload_text;
} ends[] = {
	{LIFECYCLE_NOT_ALLOWED, GRPC_UNAVAILABLE, GRPC_UNAVAILABLE,
		"explicit model load / unload is not allowed if polling is enabled",
		"explicit model load / unload is not allowed if polling is enabled"},
	{LIFECYCLE_INVALID, GRPC_INTERNAL, GRPC_OK,
		"failed to load 'm', failed to poll from model repository", ""},
	{LIFECYCLE_UNKNOWN, GRPC_INTERNAL, GRPC_OK,
		"failed to load 'm', failed to poll from model repository", ""},
	{LIFECYCLE_WRONG, GRPC_INTERNAL, GRPC_INTERNAL,
		"failed to load 'm', failed to poll from model repository: because", "because"},
	{LIFECYCLE_CONFIG, GRPC_INVALID_ARGUMENT, GRPC_INTERNAL,
		"failed to load 'm', failed to poll from model repository: because", "because"},
	{LIFECYCLE_FAILED, GRPC_INTERNAL, GRPC_INTERNAL, "because", "because"},
	{LIFECYCLE_SUPERSEDED, GRPC_ABORTED, GRPC_ABORTED, "because", "because"},
	{LIFECYCLE_ENDING, GRPC_UNAVAILABLE, GRPC_UNAVAILABLE,
		"GRPC server is shutting down and has stopped accepting new requests.",
		"GRPC server is shutting down and has stopped accepting new requests."},
};

Test(kserve_load, why_it_came_to_nothing)
{
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		ASK(LOAD, MODEL);
		cr_assert(double_lifecycle_answer(&lifecycle, ends[i].code, "because"));
		expect_status(ends[i].load, ends[i].load_text);
		ASK(UNLOAD, MODEL);
		cr_assert(double_lifecycle_answer(&lifecycle, ends[i].code, "because"));
		expect_status(ends[i].unload, ends[i].unload_text);
	}
}

Test(kserve_load, a_version_that_no_worker_can_load)
{
	ASK(LOAD, MODEL);
	lifecycle.failed_version = "3";
	lifecycle.failed_detail = "no such operator";
	double_lifecycle_answer(
		&lifecycle, LIFECYCLE_FAILED, "model 'm' version 3: no such operator");
	expect_status(GRPC_INVALID_ARGUMENT,
		"load failed for model 'm': version 3 is at UNAVAILABLE state: no such "
		"operator;\n");
}

Test(kserve_load, not_where_the_files_say_and_not_from_elsewhere)
{
	lifecycle.explicit = false;
	ask_as(false, LOAD, MODEL, 3);
	expect_status(GRPC_UNAVAILABLE,
		"explicit model load / unload is not allowed if polling is enabled");
	lifecycle.explicit = true;
	ask_as(false, UNLOAD, MODEL, 3);
	expect_status(GRPC_PERMISSION_DENIED, "models are loaded and unloaded from this host only");
	f.services.lifecycle = NULL;
	ASK(UNLOAD, MODEL);
	expect_status(GRPC_UNAVAILABLE,
		"explicit model load / unload is not allowed if polling is enabled");
}

Test(kserve_load, parameters)
{
	/* parameters { key: ... value { ... } } */
	ASK(LOAD, MODEL "\x1a\x09\x0a\x03xyz\x12\x02\x08\x01");
	expect_status(GRPC_INVALID_ARGUMENT, "unrecognized load parameter 'xyz'.");
	ASK(LOAD, MODEL "\x1a\x0c\x0a\x06"
			"config\x12\x02\x08\x01");
	expect_status(GRPC_INVALID_ARGUMENT,
		"invalid value type for load parameter 'config', expected string_param.");
	ASK(LOAD, MODEL "\x1a\x0c\x0a\x06"
			"file:a\x12\x02\x08\x01");
	expect_status(GRPC_INVALID_ARGUMENT,
		"invalid value type for load parameter 'file:a', expected bytes_param.");
	ASK(LOAD, MODEL "\x1a\x0c\x0a\x06"
			"file:a\x12\x02\x22\x00");
	expect_status(GRPC_INVALID_ARGUMENT, "failed to load 'm', failed to poll from model "
					     "repository: files come with 'config', "
					     "which says what they are");
	ASK(UNLOAD, MODEL "\x1a\x15\x0a\x11unload_dependents\x12\x00");
	expect_status(GRPC_INVALID_ARGUMENT,
		"invalid value type for 'unload_dependents' parameter, expected bool_param.");
	ASK(UNLOAD, MODEL "\x1a\x17\x0a\x11unload_dependents\x12\x02\x08\x01");
	cr_expect_not(call.closed);
	double_lifecycle_answer(&lifecycle, LIFECYCLE_OK, "");
	ASK(UNLOAD, "\x0a\x01r");
	expect_status(GRPC_UNIMPLEMENTED, "'repository_name' specification is not supported");
	ASK(LOAD, "\x0a\x01r");
	expect_status(GRPC_UNIMPLEMENTED, "'repository_name' specification is not supported");
	ASK(LOAD, "\xff\xff");
	cr_expect_eq(call.status, GRPC_INTERNAL);
	ASK(UNLOAD, "\xff\xff");
	cr_expect_eq(call.status, GRPC_INTERNAL);
}

/* MODEL, and parameters { key: "config" value { string_param: json } } */
static void load_with(bool local, const char *json)
{
	size_t n = strlen(json);
	char message[128];

	cr_assert_lt(n, 100);
	n = (size_t)snprintf(message, sizeof(message),
		MODEL "\x1a%c\x0a\x06"
		      "config\x12%c\x1a%c%s",
		(int)n + 12, (int)n + 2, (int)n, json);
	ask_as(local, LOAD, message, n);
}

Test(kserve_load, settings)
{
	load_with(true, "{\"max_batch_size\": 2}");
	cr_assert_not(call.closed);
	cr_expect(lifecycle.whole);
	double_lifecycle_answer(&lifecycle, LIFECYCLE_OK, "");
	expect_status(GRPC_OK, "");
	ASK(LOAD, MODEL);
	cr_expect_null(lifecycle.overlay, "a plain load");
	double_lifecycle_answer(&lifecycle, LIFECYCLE_OK, "");
	load_with(false, "{}");
	expect_status(GRPC_PERMISSION_DENIED, "models are loaded and unloaded from this host only");
	cr_expect_str_eq(lifecycle.asked, "load m/ load m/");
}

Test(kserve_load, settings_that_are_none)
{
	static const char *const wrong[][2] = {
		{"", "config: 1:1: '[' or '{' expected near end of file"},
		{"{nonsense", "config: 1:9: string or '}' expected near 'nonsense'"},
		{"[]", "config: 1:1: an object is expected, not a list"},
		{"{\"colour\": 1}", "config: ModelConfig has no field 'colour'"},
		{"{\"max_batch_size\": \"x\"}", "config: 'x' is no value of max_batch_size"},
	};
	char text[256];

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		load_with(true, wrong[i][0]);
		snprintf(text, sizeof(text),
			"failed to load 'm', failed to poll from model repository: %s",
			wrong[i][1]);
		expect_status(GRPC_INVALID_ARGUMENT, text);
	}
	cr_expect_str_eq(lifecycle.asked, "");
}

Test(kserve_load, calls_that_go_away)
{
	static const char *const methods[] = {LOAD, UNLOAD, "RepositoryIndex"};

	for (size_t i = 0; i < 3; i++) {
		ask_as(true, methods[i], MODEL, i < 2 ? 3 : 0);
		cr_expect_not(call.closed);
		double_call_close(&call);
		cr_expect_not(double_lifecycle_answer(&lifecycle, LIFECYCLE_OK, ""));
	}
}

/* --- The index ---------------------------------------------------------------------------------- */

static void fill_items(void)
{
	lifecycle.items[0] =
		(struct lifecycle_item){"a", "1", LIFECYCLE_READY, "2 has failed", false};
	lifecycle.items[1] = (struct lifecycle_item){"b", "", LIFECYCLE_UNLOADED, "", false};
	lifecycle.items[2] =
		(struct lifecycle_item){"c", "2", LIFECYCLE_UNAVAILABLE, "no such operator", false};
	lifecycle.items[3] = (struct lifecycle_item){"d", "1", LIFECYCLE_UNLOADING, "", false};
	lifecycle.items[4] = (struct lifecycle_item){"e", "1", LIFECYCLE_LOADING, "", false};
	lifecycle.n_items = 5;
}

static IndexResponse *index_answer(void)
{
	IndexResponse *m;

	cr_assert_eq(call.n_messages, 1, "%s", call.text);
	m = inference__repository_index_response__unpack(NULL, call.n_sent[0], call.sent[0]);
	cr_assert_not_null(m);
	return m;
}

Test(kserve_load, the_index_is_read_for_those_who_may_load)
{
	static const char *const states[] = {"READY", "", "UNAVAILABLE", "UNLOADING", "LOADING"};
	IndexResponse *m;

	fill_items();
	ASK("RepositoryIndex", "");
	cr_expect_str_eq(lifecycle.asked, "refresh /");
	double_lifecycle_answer(&lifecycle, LIFECYCLE_WRONG, "what was read last is listed");
	/* Everybody who waits hears of it at once, and is answered one after the other. */
	cr_assert_not(call.closed);
	double_call_turn(&call);
	cr_expect_eq(call.work, 5 / 4);
	m = index_answer();
	cr_assert_eq(m->n_models, 5);
	for (size_t i = 0; i < 5; i++)
		cr_expect_str_eq(m->models[i]->state, states[i]);
	cr_expect_str_eq(m->models[0]->reason, "2 has failed", "while the old one goes on");
	cr_expect_str_eq(m->models[2]->reason, "no such operator");
	cr_expect_str_eq(m->models[2]->version, "2");
	inference__repository_index_response__free_unpacked(m, NULL);
	ASK("RepositoryIndex", "");
	double_lifecycle_answer(&lifecycle, LIFECYCLE_ENDING, "");
	cr_expect_eq(call.status, GRPC_UNAVAILABLE);
}

Test(kserve_load, the_index_of_those_that_are_ready)
{
	IndexResponse *m;

	fill_items();
	lifecycle.explicit = false;
	ASK("RepositoryIndex", "\x10\x01");
	m = index_answer();
	cr_assert_eq(m->n_models, 1);
	cr_expect_str_eq(m->models[0]->name, "a");
	inference__repository_index_response__free_unpacked(m, NULL);
	ASK("RepositoryIndex", "\x0a\x01r");
	expect_status(GRPC_UNIMPLEMENTED, "'repository_name' specification is not supported");
	ASK("RepositoryIndex", "\xff");
	cr_expect_eq(call.status, GRPC_INTERNAL);
}

/* Where there was no memory for all when they were counted, there are more than there is room for. */
Test(kserve_load, an_index_of_more_than_were_counted)
{
	fill_items();
	lifecycle.explicit = false;
	lifecycle.n_forgotten = 4;
	ASK("RepositoryIndex", "");
	expect_status(GRPC_RESOURCE_EXHAUSTED, "modeld is out of memory");
}

static int list_once(void *arg)
{
	(void)arg;
	ASK("RepositoryIndex", "");
	cr_assert(call.closed);
	double_call_free(&call);
	return call.status == GRPC_OK ? 0 : 1;
}

Test(kserve_load, without_memory)
{
	fill_items();
	lifecycle.explicit = false;
	FAULT_LOOP(list_once, NULL);
}
