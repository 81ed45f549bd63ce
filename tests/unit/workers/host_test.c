/* host_test.c: settings and texts of backends. */
#include "workers/host.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/failalloc.h"

static const struct wire_pair settings[] = {
	{"onnxruntime.library", "/lib/x.so"},
	{"onnxruntime.threads", "1"},
	{"onnxruntime.threads", "2"},
	{"other.library", "/lib/y.so"},
};

static const struct wire_setup setup = {
	.worker = "cpu:0/3",
	.device = "cpu:0",
	.settings = settings,
	.n_settings = 4,
};

static void complete(const struct modeld_batch *batch, enum modeld_code code, const char *text)
{
}

static enum modeld_code answer(const struct modeld_batch *batch, struct modeld_error *error)
{
	return MODELD_OK;
}

static const struct host_calls calls = {complete, answer};

Test(host, settings_belong_to_a_backend)
{
	const struct modeld_host *api;
	const char *key, *value;
	struct host *h;

	cr_assert_eq(host_new(&h, &setup, &calls), 0);
	api = host_api(h);
	cr_assert_eq(api->abi, MODELD_BACKEND_ABI);
	cr_assert_str_eq(api->worker, "cpu:0/3");
	cr_assert_str_eq(api->device, "cpu:0");
	cr_assert_str_eq(api->setting(api, "onnxruntime", "library"), "/lib/x.so");
	cr_assert_str_eq(api->setting(api, "other", "library"), "/lib/y.so");
	cr_assert_eq(api->size, sizeof(*api));
	cr_assert_eq(api->complete, complete);
	cr_assert_eq(api->answer, answer);
	cr_assert_eq(api->setting_at(api, "onnxruntime", 1, &key, &value), 1);
	cr_assert_str_eq(key, "threads");
	cr_assert_str_eq(value, "1");
	cr_assert_eq(api->setting_at(api, "other", 0, &key, &value), 1);
	cr_assert_str_eq(value, "/lib/y.so");
	cr_assert_eq(api->setting_at(api, "other", 1, &key, &value), 0);
	cr_assert_eq(api->setting_at(api, "onnx", 0, &key, &value), 0);
	cr_assert_null(api->setting(api, "onnx", "runtime.library"));
	cr_assert_null(api->setting(api, "onnxruntime", "lib"));
	cr_assert_null(api->setting(api, "", "library"));
	host_free(h);
}

Test(host, error_texts_are_made_printable)
{
	struct modeld_error e;

	memset(e.text, 'x', sizeof(e.text));
	e.text[0] = '\n';
	e.text[1] = '\033';
	host_clean_error(&e);
	cr_assert_eq(strlen(e.text), sizeof(e.text) - 1);
	cr_assert_eq(memcmp(e.text, "  x", 3), 0);
	e.text[0] = 0;
	host_clean_error(&e);
	cr_assert_str_eq(e.text, "the backend gave no reason");
}

Test(host, keys_that_nobody_asked_for)
{
	const struct modeld_host *api;
	const char *key, *value;
	struct host *h;

	cr_assert_eq(host_new(&h, &setup, &calls), 0);
	api = host_api(h);
	cr_assert_str_eq(api->setting(api, "onnxruntime", "library"), "/lib/x.so");
	cr_assert_str_eq(host_next_unasked(h, "onnxruntime"), "threads");
	cr_assert_eq(api->setting_at(api, "onnxruntime", 2, &key, &value), 1);
	cr_assert_null(host_next_unasked(h, "onnxruntime"), "each is told once");
	cr_assert_null(host_next_unasked(h, "onnx"));
	cr_assert_str_eq(host_next_unasked(h, "other"), "library");
	cr_assert_null(host_next_unasked(h, "other"));
	host_free(h);
}

Test(host, paths_are_hidden)
{
	static const char *const texts[][2] = {
		{"/usr/lib/x.so: cannot open /usr/lib/y.so.1", "x.so: cannot open y.so.1"},
		{"in '/usr/lib/', (/etc/passwd)", "in 'lib/', (passwd)"},
		{"no x.so in /usr/lib, /tmp/backends", "no x.so in lib, backends"},
		{"input '/model.0/conv/Conv' has rank 3/4",
			"input '/model.0/conv/Conv' has rank 3/4"},
		{"a/usr/lib and /usr and / and //", "a/usr/lib and /usr and / and //"},
		{"", ""},
	};
	char text[128];

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		snprintf(text, sizeof(text), "%s", texts[i][0]);
		host_hide_paths(text);
		cr_expect_str_eq(text, texts[i][1]);
	}
}

static int work(void *arg)
{
	_cleanup_(host_freep) struct host *h = NULL;

	return host_new(&h, &setup, &calls);
}

Test(host, faults)
{
	FAULT_LOOP(work, NULL);
}
