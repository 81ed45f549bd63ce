/*
 * careless_backend.c: a backend that writes as much of its output as the request says. The input is {value, halves,
 * promises}: so many halves of the output become `value`, and `promises` is its writes_all. On a GPU the output is in the
 * GPU's memory.
 */
#include <dlfcn.h>
#include <string.h>

#include "one_tensor_backend.h"

#define OUTPUT_BYTES 8192

static const struct modeld_declaration inputs[] = {{.size = sizeof(struct modeld_declaration),
	.name = "INPUT",
	.dtype = MODELD_DTYPE_U8,
	.rank = 1,
	.dims = {3}}};
static const struct modeld_declaration outputs[] = {{.size = sizeof(struct modeld_declaration),
	.name = "OUTPUT",
	.dtype = MODELD_DTYPE_U8,
	.rank = 1,
	.dims = {OUTPUT_BYTES}}};

/* cudaMemsetAsync(), of the runtime that the worker is linked with; NULL: a host. */
static int (*set_on_device)(void *data, int value, size_t bytes, void *stream);

static enum modeld_code run(
	void *model, const struct modeld_batch *batch, struct modeld_error *error)
{
	const unsigned char *in = batch->inputs[0]->data;
	const int64_t dims[] = {OUTPUT_BYTES};
	const struct modeld_output out = {
		.size = sizeof(out),
		.dtype = MODELD_DTYPE_U8,
		.rank = 1,
		.dims = dims,
		.bytes = OUTPUT_BYTES,
		.memory = set_on_device ? MODELD_MEMORY_DEVICE : MODELD_MEMORY_HOST,
		.writes_all = in[2],
	};
	size_t n = OUTPUT_BYTES / 2 * in[1];
	void *to = batch->output(batch, &out, error);

	(void)model;
	if (!to)
		return MODELD_INTERNAL;
	if (!set_on_device)
		memset(to, in[0], n);
	else if (n > 0 && set_on_device(to, in[0], n, batch->stream))
		return MODELD_INTERNAL;
	return MODELD_OK;
}

const struct modeld_backend *modeld_backend(const struct modeld_host *host)
{
	static const struct modeld_backend backend = {
		.size = sizeof(backend),
		.abi = MODELD_BACKEND_ABI,
		.name = "careless",
		.load = load,
		.unload = unload,
		.run = run,
	};

	if (!strncmp(host->device, "cuda:", strlen("cuda:")))
		*(void **)&set_on_device = dlsym(RTLD_DEFAULT, "cudaMemsetAsync");
	return &backend;
}
