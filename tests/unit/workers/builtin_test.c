/* builtin_test.c: the builtin models through backend.h alone, as any backend is used. */
#include "workers/builtin.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "tests/support/failalloc.h"

/* One loaded model and one batch for it. */
struct rig {
	struct modeld_model_spec spec;
	const char *function;
	const char *delay_ms;
	const char *dtype;
	const char *dims;
	const struct modeld_backend *backend;
	void *model;
	struct modeld_model_info info;
	struct modeld_error error;
	struct modeld_batch batch;
	struct modeld_tensor inputs[2];
	const struct modeld_tensor *in[2];
	uint8_t wanted[2];
	_Alignas(64) char out[2][256];
	uint64_t out_bytes[2];
	bool refuse; /* outputs */
};

static const char *parameter(const struct modeld_model_spec *spec, const char *key)
{
	const struct rig *g = container_of(spec, struct rig, spec);

	if (!strcmp(key, "function"))
		return g->function;
	if (!strcmp(key, "dtype"))
		return g->dtype;
	if (!strcmp(key, "dims"))
		return g->dims;
	return strcmp(key, "delay_ms") ? NULL : g->delay_ms;
}

static void *output(const struct modeld_batch *batch, const struct modeld_output *want,
	struct modeld_error *error)
{
	struct rig *g = container_of(batch, struct rig, batch);
	size_t index = want->index;

	if (g->refuse)
		return NULL;
	cr_assert_eq(want->size, sizeof(*want));
	cr_assert_leq(want->bytes, sizeof(g->out[index]));
	cr_assert_eq(want->dtype, g->inputs[0].dtype);
	cr_assert_eq(want->rank, g->inputs[0].rank);
	cr_assert_eq(memcmp(want->dims, g->inputs[0].dims, want->rank * sizeof(*want->dims)), 0);
	g->out_bytes[index] = want->bytes;
	return g->out[index];
}

static enum modeld_code load_declared(
	struct rig *g, const char *name, const char *function, const char *dtype, const char *dims)
{
	memset(g, 0, sizeof(*g));
	g->function = function;
	g->dtype = dtype;
	g->dims = dims;
	g->spec = (struct modeld_model_spec){.size = sizeof(g->spec),
		.name = name,
		.version = "1",
		.path = "/",
		.parameter = parameter};
	g->info.size = sizeof(g->info);
	g->error.size = sizeof(g->error);
	g->in[0] = &g->inputs[0];
	g->in[1] = &g->inputs[1];
	g->backend = builtin_backend(NULL);
	g->wanted[0] = g->wanted[1] = 1;
	g->batch = (struct modeld_batch){.size = sizeof(g->batch),
		.inputs = g->in,
		.n_inputs = 1,
		.wanted = g->wanted,
		.n_outputs = 1,
		.output = output};
	return g->backend->load(&g->spec, &g->model, &g->info, &g->error);
}

static enum modeld_code load(struct rig *g, const char *name, const char *function)
{
	return load_declared(g, name, function, NULL, NULL);
}

static void input(
	struct rig *g, size_t i, enum modeld_dtype dtype, const void *data, uint64_t bytes)
{
	static const int64_t dims[] = {1, 16};

	g->inputs[i] = (struct modeld_tensor){.size = sizeof(g->inputs[i]),
		.dtype = dtype,
		.rank = 2,
		.dims = dims,
		.data = data,
		.bytes = bytes};
}

static enum modeld_code run(struct rig *g)
{
	return g->backend->run(g->model, &g->batch, &g->error);
}

Test(builtin, function_is_a_parameter_or_the_name)
{
	struct rig g;

	cr_assert_eq(load(&g, "identity", NULL), MODELD_OK);
	cr_assert_eq(g.info.can_batch, 0);
	cr_assert_eq(g.info.inputs[0].any_shape, 1);
	g.backend->unload(g.model);
	cr_assert_eq(load(&g, "identity", "add_sub"), MODELD_OK);
	cr_assert_eq(g.info.n_inputs, 2);
	cr_assert_eq(g.info.can_batch, 1);
	g.backend->unload(g.model);
	cr_assert_eq(load(&g, "nonsense", NULL), MODELD_INVALID);
	cr_assert(strstr(g.error.text, "no function 'nonsense'"));
	cr_assert_eq(load(&g, "identity", "nonsense"), MODELD_INVALID);
}

Test(builtin, identity)
{
	struct rig g;

	cr_assert_eq(load(&g, "identity", NULL), MODELD_OK);
	input(&g, 0, MODELD_DTYPE_U8, "0123456789abcdef", 16);
	cr_assert_eq(run(&g), MODELD_OK);
	cr_assert_eq(memcmp(g.out[0], "0123456789abcdef", 16), 0);
	input(&g, 0, MODELD_DTYPE_U8, NULL, 0);
	cr_assert_eq(run(&g), MODELD_OK);
	cr_assert_eq(g.out_bytes[0], 0);
	g.refuse = true;
	cr_assert_neq(run(&g), MODELD_OK);
	g.wanted[0] = 0;
	cr_assert_eq(run(&g), MODELD_OK, "what is not wanted is not asked for");
	g.backend->unload(g.model);
}

Test(builtin, identity_of_a_declared_type)
{
	struct rig g;

	cr_assert_eq(load_declared(&g, "identity", NULL, "f32", "-1,16"), MODELD_OK);
	cr_assert_eq(g.info.can_batch, 1);
	cr_assert_eq(g.info.inputs[0].dtype, MODELD_DTYPE_F32);
	cr_assert_eq(g.info.inputs[0].any_shape, 0);
	cr_assert_eq(g.info.inputs[0].rank, 2);
	cr_assert_eq(g.info.outputs[0].dims[0], -1);
	cr_assert_eq(g.info.outputs[0].dims[1], 16);
	cr_assert_str_eq(g.info.outputs[0].name, "OUTPUT0");
	g.backend->unload(g.model);
	cr_assert_eq(load_declared(&g, "identity", NULL, "bytes", "7"), MODELD_OK);
	cr_assert_eq(g.info.can_batch, 0, "the first dimension is not free");
	cr_assert_eq(g.info.inputs[0].dtype, MODELD_DTYPE_BYTES);
	g.backend->unload(g.model);
}

Test(builtin, bad_declarations)
{
	static const char *const bad[] = {"", "x", "1,", ",1", "-2", "1 2", "1,x", "1;2",
		"1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"};
	struct rig g;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr_assert_eq(load_declared(&g, "identity", NULL, "f32", bad[i]), MODELD_INVALID);
		cr_assert(strstr(g.error.text, "dtype and dims"));
	}
	cr_assert_eq(load_declared(&g, "identity", NULL, "f31", "1"), MODELD_INVALID);
	cr_assert_eq(load_declared(&g, "identity", NULL, "f32", NULL), MODELD_INVALID);
	cr_assert_eq(load_declared(&g, "identity", NULL, NULL, "1"), MODELD_INVALID);
	cr_assert_eq(load_declared(&g, "sleep", NULL, "f32", "1"), MODELD_INVALID);
}

Test(builtin, count_tells_the_size)
{
	static const int64_t dims[] = {1};
	struct rig g;
	uint64_t n;

	cr_assert_eq(load(&g, "count", NULL), MODELD_OK);
	cr_assert_eq(g.info.inputs[0].any_shape, 1);
	cr_assert_eq(g.info.outputs[0].dtype, MODELD_DTYPE_U64);
	g.inputs[0] = (struct modeld_tensor){.size = sizeof(g.inputs[0]),
		.dtype = MODELD_DTYPE_U64,
		.rank = 1,
		.dims = dims,
		.data = "",
		.bytes = 24};
	cr_assert_eq(run(&g), MODELD_OK);
	memcpy(&n, g.out[0], sizeof(n));
	cr_assert_eq(n, 24);
	cr_assert_eq(g.out_bytes[0], sizeof(n));
	g.refuse = true;
	cr_assert_neq(run(&g), MODELD_OK);
	g.wanted[0] = 0;
	cr_assert_eq(run(&g), MODELD_OK);
	g.backend->unload(g.model);
}

Test(builtin, simple_adds_and_subtracts)
{
	int32_t a[16], b[16], sum, difference;
	struct rig g;

	cr_assert_eq(load(&g, "simple", NULL), MODELD_OK);
	g.batch.n_inputs = g.batch.n_outputs = 2;
	for (int i = 0; i < 16; i++) {
		a[i] = i ? i : INT32_MIN;
		b[i] = 1;
	}
	input(&g, 0, MODELD_DTYPE_I32, a, sizeof(a));
	input(&g, 1, MODELD_DTYPE_I32, b, sizeof(b));
	cr_assert_eq(run(&g), MODELD_OK);
	memcpy(&sum, g.out[0] + 60, 4);
	memcpy(&difference, g.out[1] + 60, 4);
	cr_assert_eq(sum, 16);
	cr_assert_eq(difference, 14);
	memcpy(&difference, g.out[1], 4);
	cr_assert_eq(difference, INT32_MAX, "it wraps around");
	memset(g.out, 0x55, sizeof(g.out));
	g.wanted[0] = 0;
	cr_assert_eq(run(&g), MODELD_OK);
	cr_assert_eq(g.out[0][0], 0x55);
	cr_assert_neq(g.out[1][60], 0x55);
	input(&g, 1, MODELD_DTYPE_I32, b, 60);
	cr_assert_eq(run(&g), MODELD_INVALID);
	g.backend->unload(g.model);
}

Test(builtin, sleeps_as_long_as_the_first_element_says)
{
	int32_t i32[] = {30};
	double f64[] = {30};
	uint64_t start;
	struct rig g;

	cr_assert_eq(load(&g, "sleep", NULL), MODELD_OK);
	input(&g, 0, MODELD_DTYPE_I32, i32, sizeof(i32));
	start = clock_ns();
	cr_assert_eq(run(&g), MODELD_OK);
	input(&g, 0, MODELD_DTYPE_F64, f64, sizeof(f64));
	cr_assert_eq(run(&g), MODELD_OK);
	cr_assert_geq(clock_ns() - start, 60 * NS_PER_MS);
	cr_assert_eq(memcmp(g.out[0], f64, sizeof(f64)), 0);
	g.backend->unload(g.model);
}

Test(builtin, delay_is_a_parameter)
{
	static const char *const bad[] = {"", "x", "-1", "1e9", "nan"};
	const struct modeld_backend *b = builtin_backend(NULL);
	struct rig g;
	uint64_t start;

	cr_assert_eq(load(&g, "identity", NULL), MODELD_OK);
	b->unload(g.model);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		g.delay_ms = bad[i];
		cr_assert_eq(b->load(&g.spec, &g.model, &g.info, &g.error), MODELD_INVALID);
		cr_assert(strstr(g.error.text, "delay_ms"));
	}
	g.delay_ms = "20";
	cr_assert_eq(b->load(&g.spec, &g.model, &g.info, &g.error), MODELD_OK);
	input(&g, 0, MODELD_DTYPE_U8, "x", 1);
	start = clock_ns();
	cr_assert_eq(run(&g), MODELD_OK);
	cr_assert_geq(clock_ns() - start, 20 * NS_PER_MS);
	b->unload(g.model);
}

/* How a run of `function` on these bytes ends, in a process of its own: wait status. */
static int run_apart(const char *function, enum modeld_dtype dtype, const void *data, uint64_t n)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct rig g;

		signal(SIGABRT, SIG_DFL);
		if (load(&g, function, NULL) != MODELD_OK)
			_exit(2);
		input(&g, 0, dtype, data, n);
		_exit(run(&g) == MODELD_OK ? 0 : 3);
	}
	cr_assert_gt(pid, 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

Test(builtin, crashes_when_told_to_by_any_dtype)
{
	static const uint64_t one = 1, zero = 0;
	static const float f32 = 0.5f;
	static const double f64 = 1;
	static const char text[] = "\1\0\0\0001", nought[] = "\1\0\0\0000", cut[] = "\xff\0\0\0001";

	for (int dtype = MODELD_DTYPE_BOOL; dtype <= MODELD_DTYPE_I64; dtype++) {
		cr_assert(WIFSIGNALED(run_apart("crash", (enum modeld_dtype)dtype, &one, 8)));
		cr_assert_eq(run_apart("crash", (enum modeld_dtype)dtype, &zero, 8), 0);
	}
	cr_assert_eq(WTERMSIG(run_apart("crash", MODELD_DTYPE_F32, &f32, 4)), SIGABRT);
	cr_assert_eq(WTERMSIG(run_apart("crash", MODELD_DTYPE_F64, &f64, 8)), SIGABRT);
	cr_assert_eq(WTERMSIG(run_apart("crash", MODELD_DTYPE_BYTES, text, 5)), SIGABRT);
	cr_assert_eq(run_apart("crash", MODELD_DTYPE_BYTES, nought, 5), 0);
	cr_assert_eq(run_apart("crash", MODELD_DTYPE_BYTES, cut, 5), 0);
	cr_assert_eq(run_apart("crash", MODELD_DTYPE_BYTES, cut, 3), 0);
	cr_assert_eq(run_apart("crash", MODELD_DTYPE_U8, NULL, 0), 0);
}

/* It hangs exactly as long as nobody kills it: the child tells when it is about to. */
Test(builtin, hangs_when_told_to)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	cr_assert_eq(run_apart("hang", MODELD_DTYPE_U8, "\0", 1), 0);
	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct rig g;

		if (load(&g, "hang", NULL) != MODELD_OK || write(ready[1], "r", 1) != 1)
			_exit(2);
		input(&g, 0, MODELD_DTYPE_U8, "\1", 1);
		run(&g);
		_exit(0);
	}
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	cr_assert_eq(waitpid(pid, &status, WNOHANG), 0);
	kill(pid, SIGKILL);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(WTERMSIG(status), SIGKILL);
	close(ready[0]);
	close(ready[1]);
}

/* In a process that ends without a look at what it lost. */
Test(builtin, leaks_what_it_is_told_to)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct rig g;
		uint64_t before;
		int32_t mib = 3;

		if (load(&g, "leak", NULL) != MODELD_OK)
			_exit(2);
		before = g.backend->memory_usage(g.model);
		input(&g, 0, MODELD_DTYPE_I32, &mib, 4);
		if (run(&g) != MODELD_OK || run(&g) != MODELD_OK)
			_exit(3);
		_exit(g.backend->memory_usage(g.model) - before == 6u << 20 ? 0 : 4);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0);
}

/* How `later` ended. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	const struct modeld_batch *batch;
	enum modeld_code code;
} ended = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL, MODELD_OK};

static void complete(const struct modeld_batch *batch, enum modeld_code code, const char *text)
{
	pthread_mutex_lock(&ended.lock);
	ended.batch = batch;
	ended.code = code;
	pthread_cond_signal(&ended.cond);
	pthread_mutex_unlock(&ended.lock);
}

static void wait_until_ended(void)
{
	pthread_mutex_lock(&ended.lock);
	while (!ended.batch)
		pthread_cond_wait(&ended.cond, &ended.lock);
	pthread_mutex_unlock(&ended.lock);
}

Test(builtin, answers_later)
{
	static const struct modeld_host host = {.size = sizeof(host), .complete = complete};
	uint16_t ms = 5;
	struct rig g;

	cr_assert_eq(load(&g, "later", NULL), MODELD_OK);
	g.backend->unload(g.model);
	cr_assert_eq(builtin_backend(&host), g.backend);
	cr_assert_eq(g.backend->load(&g.spec, &g.model, &g.info, &g.error), MODELD_OK);
	input(&g, 0, MODELD_DTYPE_U16, &ms, sizeof(ms));
	cr_assert_eq(run(&g), MODELD_PENDING);
	wait_until_ended();
	cr_assert_eq(ended.batch, &g.batch);
	cr_assert_eq(ended.code, MODELD_OK);
	cr_assert_eq(memcmp(g.out[0], &ms, sizeof(ms)), 0);
	g.backend->unload(g.model);
}

Test(builtin, says_that_it_cannot_go_on)
{
	struct rig g;

	cr_assert_eq(load(&g, "fatal", NULL), MODELD_OK);
	input(&g, 0, MODELD_DTYPE_U8, "\0", 1);
	cr_assert_eq(run(&g), MODELD_OK);
	input(&g, 0, MODELD_DTYPE_U8, "\1", 1);
	cr_assert_eq(run(&g), MODELD_FATAL);
	cr_assert_str_eq(g.error.text, "told to say so");
	g.backend->unload(g.model);
}

static int work(void *arg)
{
	struct rig g;
	uint8_t byte = 0;
	enum modeld_code code = load(&g, "leak", NULL);

	if (code != MODELD_OK) {
		cr_assert_eq(code, MODELD_EXHAUSTED);
		return -1;
	}
	input(&g, 0, MODELD_DTYPE_U8, &byte, 1);
	code = run(&g);
	g.backend->unload(g.model);
	return (int)code;
}

Test(builtin, faults)
{
	FAULT_LOOP(work, NULL);
}
