/*
 * run.c: one run of a model. Inputs are borrowed where they lie. An output whose shape follows from
 * the inputs is bound to the host's memory before the run, if its type is plain: the host may have
 * lent memory of a client, and the model may itself read what it wrote. Others are copied there
 * behind it. A model may declare shapes that it does not keep: a run that fails with outputs bound
 * is done again without, and if that works no output of this model is bound any more. Worker
 * process.
 */
#include "workers/backends/onnxruntime/network.h"
#include "workers/backends/onnxruntime/tensor.h"

static void release_outputs(struct instance *in)
{
	const struct OrtApi *api = in->network->runtime->api;
	struct bindings *b = &in->bindings;

	for (size_t i = 0; i < b->n_outputs; i++) {
		if (b->outputs[i])
			api->ReleaseValue(b->outputs[i]);
		b->outputs[i] = NULL;
		b->bound[i] = false;
	}
}

static void release_inputs(struct instance *in)
{
	const struct OrtApi *api = in->network->runtime->api;

	for (size_t i = 0; i < in->network->declared.n_inputs; i++) {
		if (in->bindings.inputs[i])
			api->ReleaseValue(in->bindings.inputs[i]);
		in->bindings.inputs[i] = NULL;
	}
}

static enum modeld_code bind_inputs(
	struct instance *in, const struct modeld_batch *batch, struct modeld_error *error)
{
	struct modeld_error why = {.size = sizeof(why)};
	struct network *m = in->network;
	enum modeld_code code;

	in->bindings.stays = m->unwaited != NULL;
	for (size_t i = 0; i < m->declared.n_inputs; i++) {
		in->bindings.stays &= batch->inputs[i]->memory == MODELD_MEMORY_DEVICE;
		code = tensor_from_input(
			&in->bindings.inputs[i], m->runtime, batch->inputs[i], m->shares, &why);
		if (code)
			return error_set(
				error, code, "input '%.100s': %.380s", m->input_names[i], why.text);
	}
	return MODELD_OK;
}

/* Which outputs are wanted. */
static void choose_outputs(struct instance *in, const struct modeld_batch *batch)
{
	const struct network *m = in->network;
	struct bindings *b = &in->bindings;

	b->n_outputs = 0;
	for (size_t i = 0; i < m->declared.n_outputs; i++) {
		if (!batch->wanted[i])
			continue;
		b->output_index[b->n_outputs] = i;
		b->output_names[b->n_outputs] = m->declared.outputs[i].name;
		b->n_outputs++;
	}
}

static enum modeld_code bind_output(
	struct instance *in, const struct modeld_batch *batch, size_t i, struct modeld_error *error)
{
	size_t index = in->bindings.output_index[i];
	struct network *m = in->network;
	const struct modeld_declaration *d = &m->declared.outputs[index];
	int64_t dims[MODELD_BACKEND_RANK_MAX];
	bool gpu = runtime_on_gpu(m->runtime);
	enum modeld_code code;
	uint64_t bytes = 0;
	void *data;

	/* What lies on a GPU no client can write to. */
	if ((!gpu && !dtype_is_plain(d->dtype)) || d->dtype == MODELD_DTYPE_BYTES ||
		!declarations_shape(&m->declared, index, batch->inputs, dims))
		return MODELD_OK;
	code = tensor_bytes(d->dtype, dims, d->rank, &bytes, error);
	if (code)
		return code;
	data = batch->output(batch,
		&(struct modeld_output){
			.size = sizeof(struct modeld_output),
			.index = index,
			.dtype = d->dtype,
			.rank = d->rank,
			.dims = dims,
			.bytes = bytes,
			.memory = gpu ? MODELD_MEMORY_DEVICE : MODELD_MEMORY_HOST,
		},
		error);
	if (!data)
		return MODELD_EXHAUSTED;
	code = tensor_wrap(&in->bindings.outputs[i], m->runtime,
		gpu ? m->runtime->device_memory : m->runtime->memory, d->dtype, dims, d->rank, data,
		bytes, error);
	in->bindings.bound[i] = !code;
	return code;
}

static enum modeld_code bind_outputs(
	struct instance *in, const struct modeld_batch *batch, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;

	for (size_t i = 0; i < in->bindings.n_outputs && !code; i++)
		code = bind_output(in, batch, i, error);
	return code;
}

/* NULL, or those of a run after which memory goes back to the system. */
static const struct OrtRunOptions *choose_options(
	struct instance *in, const struct modeld_batch *batch)
{
	const struct network *m = in->network;
	uint64_t bytes = 0;

	for (size_t i = 0; i < batch->n_inputs; i++)
		bytes += batch->inputs[i]->bytes;
	if (m->shrinkage == SHRINK_NEVER)
		return NULL;
	return usual_exceeded(&in->usual, bytes) || m->shrinkage == SHRINK_ALWAYS ? m->shrink
										  : NULL;
}

/* All of it is in the stream, for which the worker waits: ONNX Runtime need not. */
static bool is_unwaited(const struct bindings *b)
{
	bool stays = b->stays;

	for (size_t i = 0; i < b->n_outputs; i++)
		stays &= b->bound[i];
	return stays;
}

static enum modeld_code run_session(struct instance *in, struct modeld_error *error)
{
	struct network *m = in->network;
	struct bindings *b = &in->bindings;
	const struct OrtRunOptions *options =
		!b->options && is_unwaited(b) ? m->unwaited : b->options;

	return runtime_check(m->runtime,
		m->runtime->api->Run(in->session, options, m->input_names,
			(const struct OrtValue *const *)b->inputs, m->declared.n_inputs,
			b->output_names, b->n_outputs, b->outputs),
		"running the model", error);
}

static bool any_bound(const struct bindings *b)
{
	for (size_t i = 0; i < b->n_outputs; i++)
		if (b->bound[i])
			return true;
	return false;
}

/* Once a load, from whichever instance finds it out. */
static void distrust_shapes(struct network *m, const char *why)
{
	const struct modeld_host *host = m->runtime->host;
	struct modeld_error line;

	if (!atomic_exchange(&m->trust_shapes, false))
		return;
	error_set(&line, MODELD_OK,
		"model '%.60s' makes outputs of other shapes than it declares; they are copied: "
		"%.300s",
		m->name, why);
	host->log(host, MODELD_LOG_WARNING, line.text);
}

static enum modeld_code run_again(struct instance *in, struct modeld_error *error)
{
	struct modeld_error second = {.size = sizeof(second)};
	enum modeld_code code;

	release_outputs(in);
	code = run_session(in, &second);
	if (code) {
		*error = second;
		return code;
	}
	distrust_shapes(in->network, error->text);
	return MODELD_OK;
}

static enum modeld_code deliver(
	struct instance *in, const struct modeld_batch *batch, struct modeld_error *error)
{
	struct bindings *b = &in->bindings;
	struct network *m = in->network;
	enum modeld_code code = MODELD_OK;

	for (size_t i = 0; i < b->n_outputs && !code; i++) {
		size_t index = b->output_index[i];

		if (b->bound[i])
			continue;
		if (m->trust_shapes &&
			!tensor_is_declared(b->outputs[i], m->runtime, &m->declared.outputs[index]))
			distrust_shapes(m, m->declared.outputs[index].name);
		code = tensor_to_output(b->outputs[i], m->runtime, batch, index, error);
	}
	return code;
}

static enum modeld_code run_outputs(
	struct instance *in, const struct modeld_batch *batch, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;

	if (in->network->trust_shapes)
		code = bind_outputs(in, batch, error);
	if (code)
		return code;
	code = run_session(in, error);
	if (code && code != MODELD_EXHAUSTED && code != MODELD_FATAL && any_bound(&in->bindings))
		code = run_again(in, error);
	return code ? code : deliver(in, batch, error);
}

/* A misspelt one ("ouput") would change nothing, unnoticed. */
static enum modeld_code refuse_parameters(
	const struct modeld_batch *batch, struct modeld_error *error)
{
	const char *key, *value;

	if (!MODELD_HAS(batch, parameter_at) || !batch->parameter_at(batch, 0, &key, &value))
		return MODELD_OK;
	return error_set(error, MODELD_INVALID,
		"parameter '%.100s' means nothing: ONNX models have none; of a request are input, "
		"output, output_region, output_offset, output_size",
		key);
}

enum modeld_code instance_run(
	struct instance *in, const struct modeld_batch *batch, struct modeld_error *error)
{
	enum modeld_code code = refuse_parameters(batch, error);

	if (code)
		return code;
	choose_outputs(in, batch);
	in->bindings.options = choose_options(in, batch);
	if (!in->bindings.n_outputs)
		return MODELD_OK;
	code = bind_inputs(in, batch, error);
	if (!code)
		code = run_outputs(in, batch, error);
	release_outputs(in);
	release_inputs(in);
	return code;
}
