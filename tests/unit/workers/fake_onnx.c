/* fake_onnx.c: see fake_onnx.h. */
#include "tests/unit/workers/fake_onnx.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct onnx_world onnx_world;

static const char *look_up(const struct onnx_setting *settings, const char *key)
{
	for (; settings->key; settings++)
		if (!strcmp(settings->key, key))
			return settings->value;
	return NULL;
}

static const char *setting(const struct modeld_host *host, const char *backend, const char *key)
{
	cr_assert_str_eq(backend, "onnxruntime");
	return look_up(onnx_world.settings, key);
}

static const char *parameter(const struct modeld_model_spec *spec, const char *key)
{
	return look_up(onnx_world.parameters, key);
}

static int list(
	const struct onnx_setting *settings, size_t i, const char **ret_key, const char **ret_value)
{
	for (size_t k = 0; k <= i; k++)
		if (!settings[k].key)
			return 0;
	*ret_key = settings[i].key;
	*ret_value = settings[i].value;
	return 1;
}

static int setting_at(const struct modeld_host *host, const char *backend, size_t i,
	const char **ret_key, const char **ret_value)
{
	return list(onnx_world.settings, i, ret_key, ret_value);
}

static int parameter_at(const struct modeld_model_spec *spec, size_t i, const char **ret_key,
	const char **ret_value)
{
	return list(onnx_world.parameters, i, ret_key, ret_value);
}

static void take_log(const struct modeld_host *host, enum modeld_log_level level, const char *text)
{
	size_t n = strlen(onnx_world.log);

	snprintf(onnx_world.log + n, sizeof(onnx_world.log) - n, "%d %s\n", (int)level, text);
}

/* $MODELD_TEST_BUILD, else <build>/unit/workers/onnxruntime_test -> <build> */
static void build_dir(char *out)
{
	const char *named = getenv("MODELD_TEST_BUILD");
	ssize_t n;

	if (named) {
		snprintf(out, PATH_MAX, "%s", named);
		return;
	}
	n = readlink("/proc/self/exe", out, PATH_MAX - 64);

	cr_assert_gt(n, 0);
	out[n] = 0;
	for (int i = 0; i < 3; i++)
		*strrchr(out, '/') = 0;
}

void onnx_start(modeld_backend_fn entry)
{
	char build[PATH_MAX];

	onnx_world.host = (struct modeld_host){.size = sizeof(onnx_world.host),
		.abi = MODELD_BACKEND_ABI,
		.worker = "cpu:0/0",
		.device = "cpu:0",
		.setting = setting,
		.setting_at = setting_at,
		.log = take_log};
	onnx_world.backend = entry(&onnx_world.host);
	cr_assert(onnx_world.backend);
	/* A build directory without an environment of its own uses that of the default one. */
	build_dir(build);
	snprintf(onnx_world.venv, sizeof(onnx_world.venv), "%.4000s/venv", build);
	if (access(onnx_world.venv, F_OK))
		snprintf(onnx_world.venv, sizeof(onnx_world.venv), "build/venv");
	onnx_world.settings[0] = (struct onnx_setting){"venv", onnx_world.venv};
}

void onnx_open(void)
{
	char build[PATH_MAX], path[PATH_MAX + 32];
	modeld_backend_fn entry = NULL;
	void *handle;

	build_dir(build);
	snprintf(path, sizeof(path), "%s/backends/onnxruntime.so", build);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	cr_assert(handle, "%s", dlerror());
	*(void **)&entry = dlsym(handle, "modeld_backend");
	cr_assert(entry);
	onnx_start(entry);
}

void onnx_model_spec(struct onnx_model *f, const char *name)
{
	memset(f, 0, sizeof(*f));
	snprintf(f->path, sizeof(f->path), "tests/models/onnx/%s/1", name);
	f->spec = (struct modeld_model_spec){.size = sizeof(f->spec),
		.name = name,
		.version = "1",
		.path = f->path,
		.parameter = parameter,
		.parameter_at = parameter_at,
		.max_batch_size =
			onnx_world.limited ? onnx_world.max_batch_size : MODELD_BATCH_UNSET};
	f->info = (struct modeld_model_info){.size = sizeof(f->info)};
}

enum modeld_code onnx_try_load(struct onnx_model *f, const char *name)
{
	const struct modeld_instance_spec spec = {.size = sizeof(spec)};
	const struct modeld_backend *b = onnx_world.backend;
	enum modeld_code code;

	onnx_model_spec(f, name);
	code = b->load(&f->spec, &f->model, &f->info, &f->error);
	if (code == MODELD_OK)
		code = b->instance_create(f->model, &spec, &f->instance, &f->error);
	if (code != MODELD_OK && f->model) {
		b->unload(f->model);
		f->model = NULL;
	}
	return code;
}
void onnx_load(struct onnx_model *f, const char *name)
{
	enum modeld_code code = onnx_try_load(f, name);

	cr_assert_eq(code, MODELD_OK, "%s: %d %s", name, (int)code, f->error.text);
	cr_assert(f->model);
}

void onnx_unload(struct onnx_model *f)
{
	onnx_world.backend->instance_free(f->instance);
	onnx_world.backend->unload(f->model);
}

static void *output(const struct modeld_batch *batch, const struct modeld_output *want,
	struct modeld_error *error)
{
	struct onnx_run *r = (struct onnx_run *)batch;
	size_t index = want->index;

	cr_assert_lt(index, batch->n_outputs);
	cr_assert(batch->wanted[index]);
	cr_assert_leq(want->rank, MODELD_BACKEND_RANK_MAX);
	if (r->refuse) {
		snprintf(error->text, sizeof(error->text), "refused");
		return NULL;
	}
	if (r->on_output)
		r->on_output(r);
	free(r->out[index].data);
	r->out[index].data = aligned_alloc(64, (want->bytes + 127) / 64 * 64);
	if (!r->out[index].data) {
		snprintf(error->text, sizeof(error->text), "no memory");
		return NULL;
	}
	r->out[index].dtype = want->dtype;
	r->out[index].rank = want->rank;
	memcpy(r->out[index].dims, want->dims, want->rank * sizeof(*want->dims));
	r->out[index].bytes = want->bytes;
	memset(r->out[index].data, 0xee, want->bytes);
	r->out[index].calls++;
	return r->out[index].data;
}

static int request_parameter_at(
	const struct modeld_batch *batch, size_t i, const char **ret_key, const char **ret_value)
{
	const struct onnx_run *r = (const struct onnx_run *)batch;

	*ret_key = r->parameter;
	*ret_value = "";
	return r->parameter && i == 0;
}

void onnx_prepare(struct onnx_run *r, const struct onnx_model *f)
{
	memset(r, 0, sizeof(*r));
	r->batch = (struct modeld_batch){
		.size = sizeof(r->batch),
		.inputs = r->in,
		.n_inputs = f->info.n_inputs,
		.wanted = r->wanted,
		.n_outputs = f->info.n_outputs,
		.output = output,
		.parameter_at = request_parameter_at,
	};
	r->in[0] = &r->inputs[0];
	r->in[1] = &r->inputs[1];
	memset(r->wanted, 1, sizeof(r->wanted));
}

void onnx_input(struct onnx_run *r, size_t index, enum modeld_dtype dtype, const int64_t *dims,
	uint32_t rank, const void *data, uint64_t bytes)
{
	r->inputs[index] = (struct modeld_tensor){.size = sizeof(r->inputs[index]),
		.dtype = dtype,
		.rank = rank,
		.dims = dims,
		.data = data,
		.bytes = bytes};
}

enum modeld_code onnx_run(struct onnx_run *r, struct onnx_model *f)
{
	f->error.text[0] = 0;
	return onnx_world.backend->run(f->instance, &r->batch, &f->error);
}

void onnx_run_ok(struct onnx_run *r, struct onnx_model *f)
{
	enum modeld_code code = onnx_run(r, f);

	cr_assert_eq(code, MODELD_OK, "%s: %d %s", f->spec.name, (int)code, f->error.text);
}

void onnx_done(struct onnx_run *r)
{
	for (size_t i = 0; i < ONNX_OUTPUTS_MAX; i++)
		free(r->out[i].data);
}

void onnx_overwrite_input(struct onnx_run *r)
{
	*(float *)r->inputs[0].data = 100;
}
