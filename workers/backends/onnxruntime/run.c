/*
 * run.c: one run of a model. Inputs are borrowed where they lie. An output whose shape follows from
 * the inputs is bound to the host's memory before the run, if its type is plain: the host may have
 * lent memory of a client, and the model may itself read what it wrote. Others are copied there
 * behind it. A model may declare shapes that it does not keep: a run that fails with outputs bound
 * is done again without, and if that works no output of this model is bound any more. Worker
 * process.
 */
#include "workers/backends/onnxruntime/model.h"
#include "workers/backends/onnxruntime/tensor.h"

#include <stdio.h>

static void release_outputs(struct model *m)
{
	struct run *run = &m->run;

	for (size_t i = 0; i < run->n_outputs; i++) {
		if (run->outputs[i])
			m->runtime->api->ReleaseValue(run->outputs[i]);
		run->outputs[i] = NULL;
		run->bound[i] = false;
	}
}

static void release_inputs(struct model *m)
{
	for (size_t i = 0; i < m->declared.n_inputs; i++) {
		if (m->run.inputs[i])
			m->runtime->api->ReleaseValue(m->run.inputs[i]);
		m->run.inputs[i] = NULL;
	}
}

static enum modeld_code bind_inputs(
	struct model *m, const struct modeld_batch *batch, struct modeld_error *error)
{
	struct modeld_error why = {""};
	enum modeld_code code;

	for (size_t i = 0; i < m->declared.n_inputs; i++) {
		code = tensor_from_input(&m->run.inputs[i], m->runtime, &batch->inputs[i], &why);
		if (code)
			return error_set(
				error, code, "input '%.100s': %.380s", m->input_names[i], why.text);
	}
	return MODELD_OK;
}

/* Which outputs are wanted. */
static void choose_outputs(struct model *m, const struct modeld_batch *batch)
{
	struct run *run = &m->run;

	run->n_outputs = 0;
	for (size_t i = 0; i < m->declared.n_outputs; i++) {
		if (!batch->wanted[i])
			continue;
		run->output_index[run->n_outputs] = i;
		run->output_names[run->n_outputs] = m->declared.outputs[i].name;
		run->n_outputs++;
	}
}

static enum modeld_code bind_output(
	struct model *m, const struct modeld_batch *batch, size_t i, struct modeld_error *error)
{
	size_t index = m->run.output_index[i];
	const struct modeld_declaration *d = &m->declared.outputs[index];
	int64_t dims[MODELD_BACKEND_RANK_MAX];
	enum modeld_code code;
	uint64_t bytes = 0;
	void *data;

	if (!dtype_is_plain(d->dtype) ||
		!declarations_shape(&m->declared, index, batch->inputs, dims))
		return MODELD_OK;
	code = tensor_bytes(d->dtype, dims, d->rank, &bytes, error);
	if (code)
		return code;
	data = batch->output(batch, index, d->dtype, dims, d->rank, bytes, error);
	if (!data)
		return MODELD_EXHAUSTED;
	code = tensor_wrap(
		&m->run.outputs[i], m->runtime, d->dtype, dims, d->rank, data, bytes, error);
	m->run.bound[i] = !code;
	return code;
}

static enum modeld_code bind_outputs(
	struct model *m, const struct modeld_batch *batch, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;

	for (size_t i = 0; i < m->run.n_outputs && !code; i++)
		code = bind_output(m, batch, i, error);
	return code;
}

static enum modeld_code run_session(struct model *m, struct modeld_error *error)
{
	struct run *run = &m->run;

	return runtime_check(m->runtime,
		m->runtime->api->Run(m->session, NULL, m->input_names,
			(const struct OrtValue *const *)run->inputs, m->declared.n_inputs,
			run->output_names, run->n_outputs, run->outputs),
		"running the model", error);
}

static bool any_bound(const struct run *run)
{
	for (size_t i = 0; i < run->n_outputs; i++)
		if (run->bound[i])
			return true;
	return false;
}

static enum modeld_code run_again(struct model *m, struct modeld_error *error)
{
	const struct modeld_host *host = m->runtime->host;
	char line[640];
	struct modeld_error second = {""};
	enum modeld_code code;

	release_outputs(m);
	code = run_session(m, &second);
	if (code) {
		*error = second;
		return code;
	}
	m->trust_shapes = false;
	snprintf(line, sizeof(line),
		"a model makes outputs of other shapes than it declares; they are copied: %s",
		error->text);
	host->log(host, MODELD_LOG_WARNING, line);
	return MODELD_OK;
}

static enum modeld_code deliver(
	struct model *m, const struct modeld_batch *batch, struct modeld_error *error)
{
	struct run *run = &m->run;
	enum modeld_code code = MODELD_OK;

	for (size_t i = 0; i < run->n_outputs && !code; i++)
		if (!run->bound[i])
			code = tensor_to_output(
				run->outputs[i], m->runtime, batch, run->output_index[i], error);
	return code;
}

static enum modeld_code run_outputs(
	struct model *m, const struct modeld_batch *batch, struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;

	if (m->trust_shapes)
		code = bind_outputs(m, batch, error);
	if (code)
		return code;
	code = run_session(m, error);
	if (code && code != MODELD_EXHAUSTED && any_bound(&m->run))
		code = run_again(m, error);
	return code ? code : deliver(m, batch, error);
}

enum modeld_code model_run(
	struct model *m, const struct modeld_batch *batch, struct modeld_error *error)
{
	enum modeld_code code;

	choose_outputs(m, batch);
	if (!m->run.n_outputs)
		return MODELD_OK;
	code = bind_inputs(m, batch, error);
	if (!code)
		code = run_outputs(m, batch, error);
	release_outputs(m);
	release_inputs(m);
	return code;
}
