/*
 * onnxruntime.c: the backend `onnxruntime`: serves <version>/model.onnx with ONNX Runtime, whose
 * library is opened when the first model is loaded. docs/onnxruntime.md is its manual.
 * Worker process, any thread; ONNX Runtime's own threads call back only to log.
 */
#include "workers/backends/onnxruntime/keys.h"
#include "workers/backends/onnxruntime/network.h"
#include "workers/backends/onnxruntime/options.h"

/* The one state of the process: the interface hands load() no object to keep it in. */
static struct {
	const struct modeld_host *host;
	struct runtime runtime;
} process;

static enum modeld_code load(const struct modeld_model_spec *spec, void **ret_network,
	struct modeld_model_info *ret_info, struct modeld_error *error)
{
	struct network *m = NULL;
	enum modeld_code code = runtime_start(&process.runtime, process.host, error);

	if (!code)
		code = network_new(&m, &process.runtime, spec, error);
	if (code)
		return code;
	ret_info->inputs = m->declared.inputs;
	ret_info->n_inputs = m->declared.n_inputs;
	ret_info->outputs = m->declared.outputs;
	ret_info->n_outputs = m->declared.n_outputs;
	ret_info->can_batch = m->declared.can_batch;
	*ret_network = m;
	return MODELD_OK;
}

static enum modeld_code create(void *model, const struct modeld_instance_spec *spec,
	void **ret_instance, struct modeld_error *error)
{
	struct instance *in = NULL;
	enum modeld_code code = instance_new(&in, model, spec, error);

	if (!code)
		*ret_instance = in;
	return code;
}

static void destroy(void *instance)
{
	instance_free(instance);
}

static enum modeld_code run(
	void *instance, const struct modeld_batch *batch, struct modeld_error *error)
{
	return instance_run(instance, batch, error);
}

static void unload(void *model)
{
	network_free(model);
}

static uint64_t memory_usage(void *model)
{
	const struct network *m = model;

	return m->memory_bytes;
}

/* The library is opened where the settings name one. */
static void check(const struct modeld_model_spec *spec, const struct modeld_faults *faults)
{
	const struct modeld_host *host = process.host;
	struct modeld_error error = {.size = sizeof(error)};
	struct library library = {0};
	const char *named = host->setting(host, "onnxruntime", "library") ? "library" : "venv";

	keys_judge(host, spec, faults);
	options_check(host, spec, faults);
	if (!spec && host->setting(host, "onnxruntime", named) &&
		library_open(&library, host, &error))
		faults->add(faults, named, error.text);
}

static const struct modeld_backend backend = {
	.size = sizeof(struct modeld_backend),
	.abi = MODELD_BACKEND_ABI,
	.name = "onnxruntime",
	.load = load,
	.instance_create = create,
	.instance_free = destroy,
	.run = run,
	.unload = unload,
	.memory_usage = memory_usage,
	/* On a GPU each has weights of its own. */
	.instances = 1,
	.check = check,
};

__attribute__((visibility("default"))) const struct modeld_backend *modeld_backend(
	const struct modeld_host *host);

const struct modeld_backend *modeld_backend(const struct modeld_host *host)
{
	process.host = host;
	return &backend;
}
