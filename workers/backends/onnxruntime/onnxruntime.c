/*
 * onnxruntime.c: the backend `onnxruntime`: serves <version>/model.onnx with ONNX Runtime, whose
 * library is opened when the first model is loaded. docs/onnxruntime.md is its manual.
 * Worker process, one thread; ONNX Runtime's own threads call back only to log.
 */
#include "workers/backends/onnxruntime/model.h"

/* The one state of the process: the interface hands load() no object to keep it in. */
static struct {
	const struct modeld_host *host;
	struct runtime runtime;
} process;

static enum modeld_code load(const struct modeld_model_spec *spec, void **ret_model,
	struct modeld_model_info *ret_info, struct modeld_error *error)
{
	struct model *m = NULL;
	enum modeld_code code = runtime_start(&process.runtime, process.host, error);

	if (!code)
		code = model_new(&m, &process.runtime, spec, error);
	if (code)
		return code;
	*ret_info = (struct modeld_model_info){
		.inputs = m->declared.inputs,
		.n_inputs = m->declared.n_inputs,
		.outputs = m->declared.outputs,
		.n_outputs = m->declared.n_outputs,
		.can_batch = m->declared.can_batch,
	};
	*ret_model = m;
	return MODELD_OK;
}

static enum modeld_code run(
	void *model, const struct modeld_batch *batch, struct modeld_error *error)
{
	return model_run(model, batch, error);
}

static void unload(void *model)
{
	model_free(model);
}

static uint64_t memory_usage(void *model)
{
	const struct model *m = model;

	return m->memory_bytes;
}

static const struct modeld_backend backend = {
	.abi = MODELD_BACKEND_ABI,
	.name = "onnxruntime",
	.load = load,
	.run = run,
	.unload = unload,
	.memory_usage = memory_usage,
};

__attribute__((visibility("default"))) const struct modeld_backend *modeld_backend(
	const struct modeld_host *host);

const struct modeld_backend *modeld_backend(const struct modeld_host *host)
{
	process.host = host;
	return &backend;
}
