/*
 * scale_cuda_backend.c: a complete backend for GPUs. As scale_backend.c, OUTPUT is INPUT times `factor`; but both are in memory
 * of the GPU, and the work is put into a stream, for which nobody here waits.
 *
 *   cc -std=c11 -O2 -shared -fPIC -I/usr/local/cuda/include -o scale_cuda.so scale_cuda_backend.c \
 *      -Wl,--exclude-libs,ALL -L/usr/local/cuda/lib64 -lcudart_static -ldl -lrt -lpthread
 *
 * docs/backends.md, "Memory of a device", has the rules that it follows.
 */
#include <cuda_runtime_api.h>
#include <modeld/backend.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define THREADS 256u

/*
 * The driver compiles this for its GPU, so that no nvcc is needed. It is
 *
 *   extern "C" __global__ void scale(float *to, const float *from, unsigned long long n, float factor)
 *   {
 *           unsigned long long i = threadIdx.x + (unsigned long long)blockIdx.x * blockDim.x;
 *
 *           if (i < n)
 *                   to[i] = from[i] * factor;
 *   }
 */
/* clang-format off */
static const char kernels[] =
	".version 7.0\n"
	".target sm_52\n"
	".address_size 64\n"
	".visible .entry scale(\n"
	"	.param .u64 to, .param .u64 from, .param .u64 n, .param .f32 factor)\n"
	"{\n"
	"	.reg .pred %beyond;\n"
	"	.reg .b32 %thread, %block, %threads;\n"
	"	.reg .b64 %i, %n, %to, %from;\n"
	"	.reg .f32 %value, %factor;\n"
	"	mov.u32 %thread, %tid.x;\n"
	"	mov.u32 %block, %ctaid.x;\n"
	"	mov.u32 %threads, %ntid.x;\n"
	"	cvt.u64.u32 %i, %thread;\n"
	"	mad.wide.u32 %i, %block, %threads, %i;\n"
	"	ld.param.u64 %n, [n];\n"
	"	setp.ge.u64 %beyond, %i, %n;\n"
	"	@%beyond ret;\n"
	"	ld.param.u64 %to, [to];\n"
	"	ld.param.u64 %from, [from];\n"
	"	ld.param.f32 %factor, [factor];\n"
	"	shl.b64 %i, %i, 2;\n"
	"	add.s64 %from, %from, %i;\n"
	"	add.s64 %to, %to, %i;\n"
	"	ld.f32 %value, [%from];\n"
	"	mul.f32 %value, %value, %factor;\n"
	"	st.f32 [%to], %value;\n"
	"	ret;\n"
	"}\n";
/* clang-format on */

struct scale {
	cudaLibrary_t library;
	cudaKernel_t kernel;
	float factor;
};

/* An input that is asked for in device memory is copied there, if it is not there already. */
static const struct modeld_declaration inputs[] = {
	{.size = sizeof(struct modeld_declaration),
		.name = "INPUT",
		.dtype = MODELD_DTYPE_F32,
		.rank = 2,
		.memory = MODELD_MEMORY_BIT(MODELD_MEMORY_DEVICE),
		.dims = {-1, -1}},
};
static const struct modeld_declaration outputs[] = {
	{.size = sizeof(struct modeld_declaration),
		.name = "OUTPUT",
		.dtype = MODELD_DTYPE_F32,
		.rank = 2,
		.dims = {-1, -1}},
};

/* Errors that the GPU's context does not survive need no word here: the worker sees them for itself. */
static enum modeld_code check(cudaError_t result, const char *what, struct modeld_error *error)
{
	if (result == cudaSuccess)
		return MODELD_OK;
	(void)cudaGetLastError(); /* or the next call would return it, too */
	snprintf(error->text, sizeof(error->text), "%s: %s", what, cudaGetErrorString(result));
	return result == cudaErrorMemoryAllocation ? MODELD_EXHAUSTED : MODELD_INTERNAL;
}

static enum modeld_code read_factor(
	const struct modeld_model_spec *spec, float *ret_factor, struct modeld_error *error)
{
	const char *text = spec->parameter(spec, "factor");
	char *end;

	if (!text)
		text = "1";
	*ret_factor = strtof(text, &end);
	if (end != text && !*end && isfinite(*ret_factor))
		return MODELD_OK;
	snprintf(error->text, sizeof(error->text), "[parameters] factor of model '%s' is no number",
		spec->name);
	return MODELD_INVALID;
}

static void scale_unload(void *model)
{
	struct scale *s = model;

	if (s->library)
		(void)cudaLibraryUnload(s->library);
	free(s);
}

static enum modeld_code scale_load(const struct modeld_model_spec *spec, void **ret_model,
	struct modeld_model_info *ret_info, struct modeld_error *error)
{
	struct scale *s = calloc(1, sizeof(*s));
	enum modeld_code code;

	if (!s) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return MODELD_EXHAUSTED;
	}
	code = read_factor(spec, &s->factor, error);
	if (code == MODELD_OK)
		code = check(
			cudaLibraryLoadData(&s->library, kernels, NULL, NULL, 0, NULL, NULL, 0),
			"loading the kernel", error);
	if (code == MODELD_OK)
		code = check(cudaLibraryGetKernel(&s->kernel, s->library, "scale"),
			"finding the kernel", error);
	if (code != MODELD_OK) {
		scale_unload(s);
		return code;
	}
	*ret_model = s;
	ret_info->inputs = inputs;
	ret_info->n_inputs = 1;
	ret_info->outputs = outputs;
	ret_info->n_outputs = 1;
	ret_info->can_batch = 1;
	return MODELD_OK;
}

/* A run changes nothing of the model, so all instances are the model. That there are some makes the worker run several at once,
 * each with a stream of its own: one copies while another computes. */
static enum modeld_code scale_instance_create(void *model, const struct modeld_instance_spec *spec,
	void **ret_instance, struct modeld_error *error)
{
	(void)spec;
	(void)error;
	*ret_instance = model;
	return MODELD_OK;
}

static void scale_instance_free(void *instance)
{
	(void)instance;
}

/* What the stream has been given is done before the output is used, and what was copied in is there before it begins. */
static enum modeld_code scale_run(
	void *instance, const struct modeld_batch *batch, struct modeld_error *error)
{
	struct scale *s = instance;
	const struct modeld_tensor *in = batch->inputs[0];
	const struct modeld_output output = {
		.size = sizeof(output),
		.index = 0,
		.dtype = in->dtype,
		.rank = in->rank,
		.dims = in->dims,
		.bytes = in->bytes,
		.memory = MODELD_MEMORY_DEVICE,
		.writes_all = 1,
	};
	const void *from = in->data;
	unsigned long long n = in->bytes / sizeof(float);
	void *to;
	void *arguments[] = {&to, &from, &n, &s->factor};

	if (!batch->wanted[0])
		return MODELD_OK;
	to = batch->output(batch, &output, error);
	if (!to)
		return MODELD_INTERNAL; /* the host knows why */
	if (n == 0)
		return MODELD_OK;
	return check(cudaLaunchKernel((const void *)s->kernel,
			     (dim3){(unsigned)((n + THREADS - 1) / THREADS), 1, 1},
			     (dim3){THREADS, 1, 1}, arguments, 0, batch->stream),
		"launching the kernel", error);
}

static const struct modeld_backend scale = {
	.size = sizeof(scale),
	.abi = MODELD_BACKEND_ABI,
	.name = "scale_cuda",
	.load = scale_load,
	.unload = scale_unload,
	.instance_create = scale_instance_create,
	.instance_free = scale_instance_free,
	.run = scale_run,
};

const struct modeld_backend *modeld_backend(const struct modeld_host *host)
{
	if (strncmp(host->device, "cuda:", 5)) {
		host->log(host, MODELD_LOG_ERROR, "scale_cuda is for workers on GPUs");
		return NULL;
	}
	return &scale;
}
