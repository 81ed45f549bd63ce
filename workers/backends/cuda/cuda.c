/*
 * cuda.c: the backend's models: identity, simple (sums and differences), mlp; part, which writes but a part of its
 * output, and fault, which ends the GPU's context, on demand. Written against backend.h, as any backend is.
 */
#include "workers/backends/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIMPLE_WIDTH   16
#define THREADS	       256u
#define BLOCKS_MAX     4096u
#define DEFAULT_WIDTHS "64,256,10"
#define EXPORT	       __attribute__((visibility("default")))

struct cuda_function {
	const char *name;
	const char *kernel;
	enum modeld_code (*run)(struct cuda_instance *self, const struct modeld_batch *batch,
		struct modeld_error *error);
	const struct modeld_declaration *inputs; /* NULL: the model's own */
	size_t n_inputs;
	const struct modeld_declaration *outputs;
	size_t n_outputs;
	int can_batch;
};

static dim3 blocks_for(uint64_t n)
{
	uint64_t blocks = (n + THREADS - 1) / THREADS;

	return (dim3){(unsigned)(blocks < 1 ? 1 : blocks > BLOCKS_MAX ? BLOCKS_MAX : blocks), 1, 1};
}

/* --- What the models do ------------------------------------------------------------------- */

static void *ask_output(const struct modeld_batch *batch, size_t index,
	const struct modeld_tensor *like, enum modeld_memory memory, int writes_all,
	struct modeld_error *error)
{
	struct modeld_output output = {
		.size = sizeof(output),
		.index = index,
		.dtype = like->dtype,
		.rank = like->rank,
		.dims = like->dims,
		.bytes = like->bytes,
		.memory = memory,
		.writes_all = writes_all,
	};

	return batch->output(batch, &output, error);
}

static enum modeld_code run_identity(
	struct cuda_instance *self, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = batch->inputs[0];
	const void *from = in->data;
	uint64_t bytes = in->bytes;
	void *to;
	void *arguments[] = {&to, &from, &bytes};
	dim3 block = {THREADS, 1, 1};

	if (!batch->wanted[0])
		return MODELD_OK;
	to = ask_output(batch, 0, in, MODELD_MEMORY_DEVICE, 1, error);
	if (!to)
		return MODELD_INTERNAL;
	return cuda_launch(self->model->kernel, blocks_for(bytes / 16), block, arguments,
		batch->stream, error);
}

static enum modeld_code run_simple(
	struct cuda_instance *self, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *const *in = batch->inputs;
	const void *x = in[0]->data, *y = in[1]->data;
	void *out[2] = {NULL, NULL};
	uint64_t n = in[0]->bytes / sizeof(uint32_t);
	void *arguments[] = {&out[0], &out[1], &x, &y, &n};
	dim3 block = {THREADS, 1, 1};

	if (in[0]->bytes != in[1]->bytes) {
		snprintf(error->text, sizeof(error->text), "INPUT0 and INPUT1 differ in size");
		return MODELD_INVALID;
	}
	for (size_t i = 0; i < 2; i++) {
		if (!batch->wanted[i])
			continue;
		out[i] = ask_output(batch, i, in[0], MODELD_MEMORY_DEVICE, 1, error);
		if (!out[i])
			return MODELD_INTERNAL;
	}
	return cuda_launch(
		self->model->kernel, blocks_for(n), block, arguments, batch->stream, error);
}

static enum modeld_code run_mlp(
	struct cuda_instance *self, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = batch->inputs[0];
	const struct mlp *mlp = self->model->mlp;
	int64_t dims[2] = {in->dims[0], mlp_width(mlp, 1)};
	struct modeld_tensor like = {
		.dtype = MODELD_DTYPE_F32,
		.rank = 2,
		.dims = dims,
		.bytes = (uint64_t)dims[0] * (uint64_t)dims[1] * sizeof(float),
	};
	void *out;

	if (!batch->wanted[0])
		return MODELD_OK;
	if (dims[0] > UINT16_MAX) {
		snprintf(error->text, sizeof(error->text), "at most %d rows at once", UINT16_MAX);
		return MODELD_INVALID;
	}
	out = ask_output(batch, 0, &like, MODELD_MEMORY_DEVICE, 1, error);
	if (!out)
		return MODELD_INTERNAL;
	if (dims[0] == 0)
		return MODELD_OK;
	if (self->graphs)
		return mlp_graphs_run(
			self->graphs, out, in->data, (uint32_t)dims[0], batch->stream, error);
	return mlp_run(mlp, self->model->kernel, out, in->data, (uint32_t)dims[0], NULL,
		batch->stream, error);
}

/* How much of its input `part` writes: the request's parameter. */
static uint64_t part_of(const struct modeld_batch *batch, uint64_t bytes)
{
	const char *writes = batch->parameter(batch, "writes");

	if (writes && !strcmp(writes, "nothing"))
		return 0;
	return writes && !strcmp(writes, "half") ? bytes / 2 : bytes;
}

static enum modeld_code run_part(
	struct cuda_instance *self, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = batch->inputs[0];
	uint64_t bytes = part_of(batch, in->bytes);
	void *to;

	if (!batch->wanted[0])
		return MODELD_OK;
	to = ask_output(batch, 0, in, MODELD_MEMORY_DEVICE, 0, error);
	if (!to)
		return MODELD_INTERNAL;
	if (bytes == 0)
		return MODELD_OK;
	return cuda_check(
		cudaMemcpyAsync(to, in->data, bytes, cudaMemcpyDeviceToDevice, batch->stream),
		"copying", error);
}

/* Both tensors lie in host memory: what is in the input decides. */
static enum modeld_code run_fault(
	struct cuda_instance *self, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = batch->inputs[0];
	unsigned char *nowhere = NULL;
	void *arguments[] = {&nowhere};
	dim3 one = {1, 1, 1};
	uint32_t first = 0;
	void *out;

	memcpy(&first, in->data, in->bytes < sizeof(first) ? in->bytes : sizeof(first));
	if (first)
		return cuda_launch(self->model->kernel, one, one, arguments, batch->stream, error);
	if (!batch->wanted[0])
		return MODELD_OK;
	out = ask_output(batch, 0, in, MODELD_MEMORY_HOST, 1, error);
	if (!out)
		return MODELD_INTERNAL;
	memmove(out, in->data, in->bytes);
	return MODELD_OK;
}

/* --- The backend interface ---------------------------------------------------------------- */

#define ON_DEVICE MODELD_MEMORY_BIT(MODELD_MEMORY_DEVICE)
#define ANY(label, where)                                                                          \
	{                                                                                          \
		.size = sizeof(struct modeld_declaration), .name = (label), .any_shape = 1,        \
		.memory = (where)                                                                  \
	}
#define SIMPLE(label)                                                                              \
	{                                                                                          \
		.size = sizeof(struct modeld_declaration), .name = (label),                        \
		.dtype = MODELD_DTYPE_I32, .rank = 2, .memory = ON_DEVICE, .dims = {               \
			-1,                                                                        \
			SIMPLE_WIDTH                                                               \
		}                                                                                  \
	}

static const struct modeld_declaration device_input[] = {ANY("INPUT0", ON_DEVICE)};
static const struct modeld_declaration host_input[] = {ANY("INPUT0", 0)};
static const struct modeld_declaration any_output[] = {ANY("OUTPUT0", 0)};
static const struct modeld_declaration simple_inputs[] = {SIMPLE("INPUT0"), SIMPLE("INPUT1")};
static const struct modeld_declaration simple_outputs[] = {SIMPLE("OUTPUT0"), SIMPLE("OUTPUT1")};

static const struct cuda_function functions[] = {
	{"identity", "modeld_copy", run_identity, device_input, 1, any_output, 1, 0},
	{"simple", "modeld_add_sub", run_simple, simple_inputs, 2, simple_outputs, 2, 1},
	{"mlp", "modeld_dense", run_mlp, NULL, 1, NULL, 1, 1},
	{"part", "modeld_copy", run_part, device_input, 1, any_output, 1, 0},
	{"fault", "modeld_fault", run_fault, host_input, 1, any_output, 1, 0},
};

static const struct cuda_function *find_function(const char *name)
{
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		if (!strcmp(functions[i].name, name))
			return &functions[i];
	}
	return NULL;
}

static void declare_row(struct modeld_declaration *d, const char *name, uint32_t width)
{
	*d = (struct modeld_declaration){
		.size = sizeof(*d),
		.name = name,
		.dtype = MODELD_DTYPE_F32,
		.rank = 2,
		.memory = ON_DEVICE,
		.dims = {-1, width},
	};
}

static int is_yes(const char *value)
{
	return value && !strcmp(value, "yes");
}

static enum modeld_code load_mlp(
	struct cuda_model *m, const struct modeld_model_spec *spec, struct modeld_error *error)
{
	const char *widths = spec->parameter(spec, "widths");
	const char *gemm = spec->parameter(spec, "gemm");
	enum modeld_code code;

	if (gemm && strcmp(gemm, "auto") != 0 && strcmp(gemm, "kernel") != 0) {
		snprintf(error->text, sizeof(error->text),
			"[parameters] gemm = %.32s: auto or kernel is expected", gemm);
		return MODELD_INVALID;
	}
	code = mlp_new(&m->mlp, widths ? widths : DEFAULT_WIDTHS, !gemm || *gemm == 'a', error);
	if (code != MODELD_OK)
		return code;
	m->graphs = is_yes(spec->parameter(spec, "graphs"));
	declare_row(&m->input, "INPUT0", mlp_width(m->mlp, 0));
	declare_row(&m->output, "OUTPUT0", mlp_width(m->mlp, 1));
	return MODELD_OK;
}

static void cuda_unload(void *model)
{
	struct cuda_model *m = model;

	mlp_free(m->mlp);
	if (m->library)
		(void)cudaLibraryUnload(m->library);
	free(m);
}

static enum modeld_code load_kernel(struct cuda_model *m, struct modeld_error *error)
{
	enum modeld_code code = cuda_check(
		cudaLibraryLoadData(&m->library, cuda_image, NULL, NULL, 0, NULL, NULL, 0),
		"loading kernels", error);

	return code != MODELD_OK ? code
				 : cuda_check(cudaLibraryGetKernel(
						      &m->kernel, m->library, m->function->kernel),
					   m->function->kernel, error);
}

static enum modeld_code cuda_load(const struct modeld_model_spec *spec, void **ret_model,
	struct modeld_model_info *ret_info, struct modeld_error *error)
{
	const char *name = spec->parameter(spec, "function");
	const struct cuda_function *f = find_function(name ? name : spec->name);
	struct cuda_model *m = f ? calloc(1, sizeof(*m)) : NULL;
	enum modeld_code code;

	if (!m) {
		snprintf(error->text, sizeof(error->text),
			f ? "out of memory"
			  : "cuda has no function '%.64s': identity, simple, mlp, part or fault",
			name ? name : spec->name);
		return f ? MODELD_EXHAUSTED : MODELD_INVALID;
	}
	m->function = f;
	code = load_kernel(m, error);
	if (code == MODELD_OK && f->run == run_mlp)
		code = load_mlp(m, spec, error);
	if (code != MODELD_OK) {
		cuda_unload(m);
		return code;
	}
	ret_info->inputs = f->inputs ? f->inputs : &m->input;
	ret_info->n_inputs = f->n_inputs;
	ret_info->outputs = f->outputs ? f->outputs : &m->output;
	ret_info->n_outputs = f->n_outputs;
	ret_info->can_batch = f->can_batch;
	*ret_model = m;
	return MODELD_OK;
}

static void cuda_instance_free(void *instance)
{
	struct cuda_instance *self = instance;

	mlp_graphs_free(self->graphs);
	free(self);
}

static enum modeld_code cuda_instance_create(void *model, const struct modeld_instance_spec *spec,
	void **ret_instance, struct modeld_error *error)
{
	struct cuda_instance *self = calloc(1, sizeof(*self));
	enum modeld_code code = MODELD_OK;

	if (!self) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return MODELD_EXHAUSTED;
	}
	self->model = model;
	if (self->model->graphs)
		code = mlp_graphs_new(&self->graphs, self->model->mlp, self->model->kernel, error);
	if (code != MODELD_OK) {
		cuda_instance_free(self);
		return code;
	}
	*ret_instance = self;
	return MODELD_OK;
}

static enum modeld_code cuda_run(
	void *instance, const struct modeld_batch *batch, struct modeld_error *error)
{
	struct cuda_instance *self = instance;

	return self->model->function->run(self, batch, error);
}

static uint64_t cuda_memory_usage(void *model)
{
	const struct cuda_model *m = model;

	return m->mlp ? mlp_bytes(m->mlp) : 0;
}

static const struct modeld_backend backend = {
	.size = sizeof(backend),
	.abi = MODELD_BACKEND_ABI,
	.name = "cuda",
	.load = cuda_load,
	.unload = cuda_unload,
	.instance_create = cuda_instance_create,
	.instance_free = cuda_instance_free,
	.run = cuda_run,
	.memory_usage = cuda_memory_usage,
};

EXPORT const struct modeld_backend *modeld_backend(const struct modeld_host *host);

const struct modeld_backend *modeld_backend(const struct modeld_host *host)
{
	return strncmp(host->device, "cuda:", 5) ? NULL : &backend;
}
