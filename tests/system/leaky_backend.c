/*
 * leaky_backend.c: a backend that keeps `leak_mib` MiB, a parameter of its model, when it unloads, and says that the model takes
 * `takes_mib` MiB. It gives its input back.
 */
#include <modeld/backend.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const struct modeld_declaration declaration = {.size = sizeof(struct modeld_declaration),
	.name = "x",
	.dtype = MODELD_DTYPE_U8,
	.rank = 1,
	.dims = {-1}};

struct model {
	size_t leak_bytes;
	size_t takes_bytes;
};

static size_t mib_of(const struct modeld_model_spec *spec, const char *key)
{
	const char *mib = spec->parameter(spec, key);

	return (mib ? strtoul(mib, NULL, 10) : 0) << 20;
}

static enum modeld_code load(const struct modeld_model_spec *spec, void **ret_model,
	struct modeld_model_info *ret_info, struct modeld_error *error)
{
	struct model *m = calloc(1, sizeof(*m));

	(void)error;
	if (!m)
		return MODELD_INTERNAL;
	m->leak_bytes = mib_of(spec, "leak_mib");
	m->takes_bytes = mib_of(spec, "takes_mib");
	*ret_model = m;
	ret_info->inputs = ret_info->outputs = &declaration;
	ret_info->n_inputs = ret_info->n_outputs = 1;
	return MODELD_OK;
}

static void unload(void *model)
{
	struct model *m = model;
	void *kept = mmap(NULL, m->leak_bytes + 1, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (kept != MAP_FAILED)
		memset(kept, 1, m->leak_bytes);
	free(m);
}

static uint64_t memory_usage(void *model)
{
	return ((struct model *)model)->takes_bytes;
}

static enum modeld_code run(
	void *model, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = batch->inputs[0];
	const struct modeld_output out = {.size = sizeof(out),
		.dtype = MODELD_DTYPE_U8,
		.rank = 1,
		.dims = in->dims,
		.bytes = in->bytes};
	void *to = batch->output(batch, &out, error);

	(void)model;
	if (!to)
		return MODELD_INTERNAL;
	memcpy(to, in->data, in->bytes);
	return MODELD_OK;
}

const struct modeld_backend *modeld_backend(const struct modeld_host *host)
{
	static const struct modeld_backend backend = {
		.size = sizeof(backend),
		.abi = MODELD_BACKEND_ABI,
		.name = "leaky",
		.load = load,
		.unload = unload,
		.run = run,
		.memory_usage = memory_usage,
	};

	(void)host;
	return &backend;
}
