/*
 * onnxruntime_load_test.c: loading in the onnxruntime backend: settings, what is refused and with
 * which text, errors of a run.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/workers/fake_onnx.h"

TestSuite(onnxruntime_load, .init = onnx_open, .timeout = 120);

static void refused(const char *name, enum modeld_code want, const char *text)
{
	struct onnx_model m;
	enum modeld_code code = onnx_try_load(&m, name);

	cr_assert_eq(code, want, "%s: %d %s", name, (int)code, m.error.text);
	cr_assert(strstr(m.error.text, text), "%s: %s", name, m.error.text);
	cr_assert_null(m.model);
}

static void accepted(const char *name)
{
	struct onnx_model m;

	onnx_load(&m, name);
	onnx_unload(&m);
}

static void set(struct onnx_setting *where, const char *key, const char *value)
{
	*where = (struct onnx_setting){key, value};
}

Test(onnxruntime_load, interface)
{
	cr_assert_eq(onnx_world.backend->abi, MODELD_BACKEND_ABI);
	cr_assert_str_eq(onnx_world.backend->name, "onnxruntime");
}

Test(onnxruntime_load, says_what_it_uses)
{
	accepted("fixed");
	cr_assert(strstr(onnx_world.log, "ONNX Runtime 1."), "%s", onnx_world.log);
	cr_assert(strstr(onnx_world.log, "libonnxruntime.so"), "%s", onnx_world.log);
}

Test(onnxruntime_load, no_library)
{
	set(&onnx_world.settings[0], "library", "/nowhere/libonnxruntime.so");
	refused("fixed", MODELD_INTERNAL, "/nowhere/libonnxruntime.so");
	refused("fixed", MODELD_INTERNAL, "modeld-setup-onnxruntime gets version 1.19 or newer");
	refused("fixed", MODELD_INTERNAL, "[backend.onnxruntime]");
	set(&onnx_world.settings[0], "venv", "/nowhere");
	refused("fixed", MODELD_INTERNAL, "/nowhere: no onnxruntime package");
	/* What was missing may have come. */
	set(&onnx_world.settings[0], "venv", onnx_world.venv);
	accepted("fixed");
}

Test(onnxruntime_load, another_library)
{
	set(&onnx_world.settings[0], "library", "libm.so.6");
	refused("fixed", MODELD_INTERNAL, "libm.so.6: not a library of ONNX Runtime");
}

Test(onnxruntime_load, library_named_by_the_environment)
{
	onnx_world.settings[0].key = NULL;
	setenv("MODELD_ONNXRUNTIME", "/nowhere/else.so", 1);
	refused("fixed", MODELD_INTERNAL, "/nowhere/else.so");
	set(&onnx_world.settings[0], "venv", onnx_world.venv);
	accepted("fixed");
}

Test(onnxruntime_load, no_file)
{
	refused("no_such_model", MODELD_INTERNAL, "model.onnx: No such file");
}

Test(onnxruntime_load, corrupt_file)
{
	refused("corrupt", MODELD_INTERNAL, "model.onnx: ONNX Runtime: ");
	refused("corrupt", MODELD_INTERNAL, "Load model from model.onnx failed");
}

Test(onnxruntime_load, what_is_not_served)
{
	refused("sequence", MODELD_UNSUPPORTED, "'y' is a sequence, which is not served");
	refused("float8", MODELD_UNSUPPORTED, "'x' is a tensor of float8e5m2, which is not served");
}

Test(onnxruntime_load, good_settings)
{
	set(&onnx_world.settings[1], "intra_op_threads", "2");
	set(&onnx_world.settings[2], "inter_op_threads", "2");
	set(&onnx_world.parameters[0], "spin", "yes");
	for (unsigned i = 0; i < 4; i++) {
		static const char *const levels[] = {"none", "basic", "extended", "all"};

		set(&onnx_world.parameters[1], "optimization", levels[i]);
		accepted("add_sub");
	}
}

static unsigned count_threads(void)
{
	DIR *d = opendir("/proc/self/task");
	unsigned n = 0;

	cr_assert_not_null(d);
	for (const struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

Test(onnxruntime_load, threads_are_shared_by_models_that_do_not_say)
{
	unsigned before = count_threads(), shared;
	struct onnx_model a, b;

	onnx_world.host.threads = 4;
	onnx_load(&a, "add_sub");
	shared = count_threads();
	cr_expect_geq(shared, before + 3, "the one that runs is one of them");
	onnx_load(&b, "fixed");
	cr_expect_eq(count_threads(), shared, "they are the same ones");
	onnx_unload(&b);
	set(&onnx_world.parameters[0], "intra_op_threads", "2");
	onnx_load(&b, "fixed");
	cr_expect_eq(count_threads(), shared + 1, "it has one of its own");
	onnx_unload(&a);
	onnx_unload(&b);
	cr_expect(strstr(onnx_world.log, "models that do not say intra_op_threads share 4 threads"),
		"%s", onnx_world.log);
}

Test(onnxruntime_load, no_threads_are_shared_where_the_administrator_says_how_many)
{
	struct onnx_model a, b;
	unsigned before;

	onnx_world.host.threads = 4;
	set(&onnx_world.settings[1], "intra_op_threads", "3");
	onnx_load(&a, "add_sub");
	before = count_threads();
	onnx_load(&b, "fixed");
	cr_expect_eq(count_threads(), before + 2);
	onnx_unload(&a);
	onnx_unload(&b);
	cr_expect_null(strstr(onnx_world.log, "share"));
}

Test(onnxruntime_load, bad_settings)
{
	static const struct {
		const char *key, *value;
	} bad[] = {
		{"intra_op_threads", "many"},
		{"intra_op_threads", ""},
		{"intra_op_threads", "-1"},
		{"intra_op_threads", "1025"},
		{"intra_op_threads", "99999999999999999999"},
		{"inter_op_threads", "1x"},
		{"spin", "maybe"},
		{"prepack", "2"},
		{"optimization", "99"},
		{"batch", "true"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[64];

		snprintf(text, sizeof(text), "%s = %s", bad[i].key, bad[i].value);
		set(&onnx_world.settings[1], bad[i].key, bad[i].value);
		refused("fixed", MODELD_INTERNAL, text);
	}
}

Test(onnxruntime_load, a_models_parameter_goes_before_the_setting)
{
	set(&onnx_world.settings[1], "optimization", "wrong");
	set(&onnx_world.parameters[0], "optimization", "basic");
	accepted("fixed");
	set(&onnx_world.settings[1], "optimization", "basic");
	set(&onnx_world.parameters[0], "optimization", "wrong");
	refused("fixed", MODELD_INTERNAL, "optimization = wrong");
}

Test(onnxruntime_load, batch)
{
	static const struct {
		const char *name, *value;
		int can;
	} cases[] = {
		{"add_sub", "auto", 1},
		{"add_sub", "yes", 1},
		{"add_sub", "no", 0},
		{"renamed", "auto", 0},
		{"unnamed", "auto", 0},
		{"unnamed", "yes", 1},
		{"swapped", "auto", 0},
		{"lying", "auto", 0},
		{"renamed", "yes", 1},
		{"fixed", "no", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct onnx_model m;

		set(&onnx_world.parameters[0], "batch", cases[i].value);
		onnx_load(&m, cases[i].name);
		cr_assert_eq(
			m.info.can_batch, cases[i].can, "%s %s", cases[i].name, cases[i].value);
		onnx_unload(&m);
	}
	set(&onnx_world.parameters[0], "batch", "yes");
	refused("fixed", MODELD_INTERNAL, "batch = yes");
	refused("scalar", MODELD_INTERNAL, "batch = yes");
}

static void limit(uint32_t rows)
{
	onnx_world.limited = true;
	onnx_world.max_batch_size = rows;
}

/* What model.conf says holds, whatever the names and the operators are. */
Test(onnxruntime_load, max_batch_size)
{
	static const struct {
		const char *name;
		uint32_t rows;
		int can;
	} cases[] = {
		{"add_sub", 8, 1},
		{"add_sub", 1, 1},
		{"add_sub", 0, 0},
		{"renamed", 8, 1},
		{"unnamed", 8, 1},
		{"lying", 8, 1},
		{"fixed", 1, 0},
		{"fixed", 0, 0},
	};
	struct onnx_model m;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		limit(cases[i].rows);
		onnx_world.log[0] = 0;
		onnx_load(&m, cases[i].name);
		cr_assert_eq(m.info.can_batch, cases[i].can, "%s %u", cases[i].name, cases[i].rows);
		cr_assert_not(strstr(onnx_world.log, "one by one"), "%s", onnx_world.log);
		onnx_unload(&m);
	}
	limit(8);
	refused("fixed", MODELD_INTERNAL,
		"max_batch_size = 8, but requests cannot be joined: the first dimension of input "
		"'x'");
	refused("nonzero", MODELD_INTERNAL, "the first dimension of output 'indices' is not free");
	refused("shapeless", MODELD_INTERNAL, "output 'y' is not free");
	set(&onnx_world.parameters[0], "batch", "no");
	refused("add_sub", MODELD_INTERNAL, "max_batch_size = 8 and batch = no contradict");
}

/* Nobody notices a misspelt key by what it does. */
Test(onnxruntime_load, keys_that_mean_nothing)
{
	set(&onnx_world.settings[1], "intra_op_thread", "4");
	set(&onnx_world.parameters[0], "batchh", "no");
	set(&onnx_world.parameters[1], "venv", "/elsewhere");
	set(&onnx_world.parameters[2], "spin", "no");
	accepted("fixed");
	accepted("scalar");
	cr_assert(strstr(onnx_world.log,
			  "[backend.onnxruntime]: intra_op_thread means nothing; known are "
			  "intra_op_threads, "),
		"%s", onnx_world.log);
	cr_assert(strstr(
		onnx_world.log, "model 'fixed' [parameters]: batchh means nothing; known are"));
	cr_assert(strstr(onnx_world.log, "model 'scalar' [parameters]: batchh means nothing"));
	cr_assert(strstr(onnx_world.log, "venv belongs in [backend.onnxruntime]"));
	cr_assert_not(strstr(onnx_world.log, ": spin"), "%s", onnx_world.log);
	cr_assert_eq(strstr(strstr(onnx_world.log, "intra_op_thread means") + 1,
			     "intra_op_thread means"),
		NULL, "once a process");
}

static char judged[4096];

static void take_fault(const struct modeld_faults *faults, const char *key, const char *text)
{
	size_t n = strlen(judged);

	(void)faults;
	snprintf(judged + n, sizeof(judged) - n, "%s: %.60s|", key ? key : "", text);
}

/* Without a model: of the settings, then of a model's parameters. */
Test(onnxruntime_load, what_is_wrong_is_told_before)
{
	const struct modeld_faults faults = {.size = sizeof(faults), .add = take_fault};
	struct onnx_model m;

	set(&onnx_world.settings[1], "spinn", "yes");
	set(&onnx_world.settings[2], "arena", "perhaps");
	onnx_world.backend->check(NULL, &faults);
	cr_expect_str_eq(judged,
		"spinn: means nothing; known are intra_op_threads, inter_op_threads,|"
		"arena: perhaps: yes or no is expected|");
	judged[0] = 0;
	set(&onnx_world.settings[0], "venv", "/nowhere");
	set(&onnx_world.settings[1], NULL, NULL);
	onnx_world.backend->check(NULL, &faults);
	cr_expect(!strncmp(judged, "venv: ", 6) && strchr(judged, '|') == strrchr(judged, '|'),
		"%s", judged);
	judged[0] = 0;
	onnx_model_spec(&m, "nowhere");
	set(&onnx_world.parameters[0], "inter_op_threads", "-1");
	set(&onnx_world.parameters[1], "optimization", "fast");
	set(&onnx_world.parameters[2], "custom_op_libraries", "libfine.so, /no/where.so");
	onnx_world.backend->check(&m.spec, &faults);
	cr_expect_str_eq(judged,
		"inter_op_threads: -1: no number from 0 to 1024|"
		"optimization: fast: no such value; there are none, basic, extended, all|"
		"custom_op_libraries: /no/where.so: No such file or directory|");
	judged[0] = 0;
	set(&onnx_world.parameters[0], "library", "x");
	set(&onnx_world.parameters[1], "cuda_device_id", "1");
	set(&onnx_world.parameters[2], "cuda_gpu_mem_limit", "1");
	onnx_world.backend->check(&m.spec, &faults);
	cr_expect_str_eq(judged, "library: belongs in [backend.onnxruntime]|"
				 "cuda_device_id: that is the worker's to set|");
}

/* The log says once a load why, and what would change it. */
Test(onnxruntime_load, why_requests_are_not_joined)
{
	static const struct {
		const char *name, *why;
	} cases[] = {
		{"unnamed", "the first dimension of input 'x' has no name"},
		{"renamed", "the first dimension of output 'y' is 'unknown'"},
		{"lying", "operator Concat works along the first dimension"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		onnx_world.log[0] = 0;
		accepted(cases[i].name);
		cr_assert(strstr(onnx_world.log, cases[i].why), "%s", onnx_world.log);
		cr_assert(strstr(onnx_world.log, "max_batch_size in [model]"));
	}
	onnx_world.log[0] = 0;
	accepted("add_sub");
	accepted("fixed");
	cr_assert_not(strstr(onnx_world.log, "one by one"), "%s", onnx_world.log);
}

Test(onnxruntime_load, devices)
{
	onnx_world.host.device = "cuda:0";
	refused("fixed", MODELD_INTERNAL, "onnxruntime-gpu");
	onnx_world.host.device = "tpu:0";
	refused("fixed", MODELD_UNSUPPORTED, "device tpu:0");
}

Test(onnxruntime_load, memory_usage)
{
	struct onnx_model m;
	struct stat st;

	onnx_load(&m, "add_sub");
	cr_assert_eq(stat("tests/models/onnx/add_sub/1/model.onnx", &st), 0);
	cr_assert_geq(onnx_world.backend->memory_usage(m.model), (uint64_t)st.st_size);
	onnx_unload(&m);
}

/* One run of a model with inputs a and b; returns the code, the text is in m->error. */
static enum modeld_code add(struct onnx_model *m, enum modeld_dtype dtype, const int64_t *a_dims,
	const int64_t *b_dims, bool refuse)
{
	float numbers[16] = {0};
	struct onnx_run r;
	enum modeld_code code;

	onnx_prepare(&r, m);
	r.refuse = refuse;
	onnx_input(&r, 0, dtype, a_dims, 2, numbers, (uint64_t)(a_dims[0] * a_dims[1]) * 4);
	onnx_input(&r, 1, dtype, b_dims, 2, numbers, (uint64_t)(b_dims[0] * b_dims[1]) * 4);
	code = onnx_run(&r, m);
	onnx_done(&r);
	return code;
}

Test(onnxruntime_load, runs_that_fail)
{
	static const int64_t good[] = {1, 4}, wide[] = {1, 5};
	struct onnx_model m;

	onnx_load(&m, "add_sub");
	cr_assert_eq(add(&m, MODELD_DTYPE_F32, good, wide, false), MODELD_INVALID);
	cr_assert(strstr(m.error.text, "invalid dimensions for input: b"), "%s", m.error.text);
	cr_assert_eq(add(&m, MODELD_DTYPE_I32, good, good, false), MODELD_INVALID);
	cr_assert(strstr(m.error.text, "data type"), "%s", m.error.text);
	cr_assert_neq(add(&m, MODELD_DTYPE_F32, good, good, true), MODELD_OK);
	cr_assert_str_eq(m.error.text, "refused");
	cr_assert_eq(add(&m, MODELD_DTYPE_F32, good, good, false), MODELD_OK, "%s", m.error.text);
	onnx_unload(&m);
}

Test(onnxruntime_load, operator_that_fails)
{
	static const int64_t two[] = {1, 2}, three[] = {1, 3};
	struct onnx_model m;

	onnx_load(&m, "broadcast");
	cr_assert_eq(add(&m, MODELD_DTYPE_F32, two, three, false), MODELD_INTERNAL);
	cr_assert(strstr(m.error.text, "ONNX Runtime: operator Add: Attempting to broadcast"), "%s",
		m.error.text);
	cr_assert_eq(add(&m, MODELD_DTYPE_F32, two, two, false), MODELD_OK, "%s", m.error.text);
	cr_assert_neq(add(&m, MODELD_DTYPE_F32, two, two, true), MODELD_OK);
	onnx_unload(&m);
}

Test(onnxruntime_load, text_stays_on_one_line)
{
	static const int64_t two[] = {1, 2}, three[] = {1, 3};
	struct onnx_model m;

	onnx_load(&m, "broadcast");
	cr_assert_neq(add(&m, MODELD_DTYPE_F32, two, three, false), MODELD_OK);
	for (const char *p = m.error.text; *p; p++)
		cr_assert_geq((unsigned char)*p, 0x20);
	onnx_unload(&m);
}

Test(onnxruntime_load, nothing_on_standard_output)
{
	static const int64_t two[] = {1, 2}, three[] = {1, 3};
	FILE *caught = tmpfile();
	struct onnx_model m;
	struct stat st;
	int saved = dup(STDOUT_FILENO);

	cr_assert(caught && saved >= 0);
	fflush(stdout);
	cr_assert_geq(dup2(fileno(caught), STDOUT_FILENO), 0);
	onnx_load(&m, "broadcast");
	cr_assert_neq(add(&m, MODELD_DTYPE_F32, two, three, false), MODELD_OK);
	onnx_unload(&m);
	cr_assert_geq(dup2(saved, STDOUT_FILENO), 0);
	cr_assert_eq(fstat(fileno(caught), &st), 0);
	cr_assert_eq(st.st_size, 0);
	cr_assert(strstr(onnx_world.log, "0 ONNX Runtime: "), "%s", onnx_world.log);
	fclose(caught);
	close(saved);
}
