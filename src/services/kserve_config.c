/*
 * kserve_config.c: a ModelConfig made from a version's settings and declaration, the way Triton completes
 * one: dims leave the batch's dimension out where max_batch_size is set. Daemon process, loop thread.
 */
#include "services/kserve_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "proto/kserve/grpc_service.pb-c.h"
#include "services/kserve_config_instances.h"
#include "services/kserve_config_queue.h"
#include "services/kserve_config_sequence.h"
#include "services/kserve_data_type.h"
#include "services/kserve_demand.h"
#include "services/kserve_models.h"
#include "services/kserve_small.h"

typedef Inference__ModelConfig Config;

/* What a config lives in: everything that it points to. */
struct parts {
	Inference__ModelVersionPolicy policy;
	Inference__ModelVersionPolicy__Latest latest;
	Inference__ModelDynamicBatching batching;
	Inference__ModelOptimizationPolicy optimization;
	Inference__ModelOptimizationPolicy__PinnedMemoryBuffer input_pinned, output_pinned;
	Inference__ModelTransactionPolicy transaction;
};

/* --- Tensors ---------------------------------------------------------------------------------- */

static int64_t any_dims[] = {-1};

/* Its dims, without the batch's. */
static void fill_dims(const struct wire_declaration *d, bool batched, size_t *ret_n, int64_t **ret)
{
	size_t skip = batched && d->rank > 0 ? 1 : 0;

	if (d->any_shape) {
		*ret_n = 1;
		*ret = any_dims;
		return;
	}
	*ret_n = d->rank - skip;
	*ret = (int64_t *)d->dims + skip;
}

static int fill_inputs(struct message_memory *memory, Config *m, const struct version *v)
{
	const struct wire_loaded *declared = version_declared(v);
	size_t n = declared->n_inputs;

	m->input = kserve_small_array(memory, n, sizeof(Inference__ModelInput));
	if (!m->input)
		return -ENOMEM;
	for (size_t k = 0; k < n; k++) {
		Inference__ModelInput *in = m->input[m->n_input];

		if (version_hides_input(v, (uint32_t)k))
			continue;
		m->n_input++;
		inference__model_input__init(in);
		in->name = (char *)declared->inputs[k].name;
		in->data_type = kserve_data_type(declared->inputs[k].dtype);
		fill_dims(&declared->inputs[k], m->max_batch_size > 0, &in->n_dims, &in->dims);
	}
	return 0;
}

static int fill_outputs(struct message_memory *memory, Config *m, const struct version *v)
{
	const struct wire_loaded *declared = version_declared(v);
	const struct labels_output *labels;
	size_t n = declared->n_outputs;

	m->output = kserve_small_array(memory, n, sizeof(Inference__ModelOutput));
	if (!m->output)
		return -ENOMEM;
	for (size_t k = 0; k < n; k++) {
		Inference__ModelOutput *out = m->output[m->n_output];

		if (version_hides_output(v, (uint32_t)k))
			continue;
		m->n_output++;
		inference__model_output__init(out);
		out->name = (char *)declared->outputs[k].name;
		out->data_type = kserve_data_type(declared->outputs[k].dtype);
		fill_dims(&declared->outputs[k], m->max_batch_size > 0, &out->n_dims, &out->dims);
		labels = labels_find(version_settings(v)->labels, out->name);
		if (labels)
			out->label_filename = (char *)labels->file;
	}
	return 0;
}

/* --- The rest --------------------------------------------------------------------------------- */

static int fill_parameters(
	struct message_memory *memory, Config *m, const struct version_settings *s)
{
	size_t n = s->n_parameters;
	Inference__ModelParameter *values =
		message_memory_calloc(memory, n, sizeof(Inference__ModelParameter));

	m->parameters =
		kserve_small_array(memory, n, sizeof(Inference__ModelConfig__ParametersEntry));
	if (!m->parameters || !values)
		return -ENOMEM;
	m->n_parameters = n;
	for (size_t k = 0; k < n; k++) {
		inference__model_config__parameters_entry__init(m->parameters[k]);
		inference__model_parameter__init(&values[k]);
		values[k].string_value = (char *)s->parameters[k].value;
		m->parameters[k]->key = (char *)s->parameters[k].key;
		m->parameters[k]->value = &values[k];
	}
	return 0;
}

static int fill_batching(
	struct message_memory *memory, struct parts *p, Config *m, const struct version_settings *s)
{
	if (s->sequence || (m->max_batch_size <= 1 && !s->queue))
		return 0;
	inference__model_dynamic_batching__init(&p->batching);
	p->batching.max_queue_delay_microseconds = s->max_queue_delay_us;
	m->dynamic_batching = &p->batching;
	m->scheduling_choice_case = INFERENCE__MODEL_CONFIG__SCHEDULING_CHOICE_DYNAMIC_BATCHING;
	return kserve_config_queue(memory, &p->batching, s->queue, (uint32_t)m->max_batch_size);
}

static void fill_policies(struct parts *p, Config *m)
{
	inference__model_version_policy__init(&p->policy);
	inference__model_version_policy__latest__init(&p->latest);
	p->latest.num_versions = 1;
	p->policy.latest = &p->latest;
	p->policy.policy_choice_case = INFERENCE__MODEL_VERSION_POLICY__POLICY_CHOICE_LATEST;
	m->version_policy = &p->policy;
	inference__model_optimization_policy__init(&p->optimization);
	inference__model_optimization_policy__pinned_memory_buffer__init(&p->input_pinned);
	p->input_pinned.enable = true;
	p->output_pinned = p->input_pinned;
	p->optimization.input_pinned_memory = &p->input_pinned;
	p->optimization.output_pinned_memory = &p->output_pinned;
	m->optimization = &p->optimization;
}

static void fill_transactions(struct parts *p, Config *m, const struct version *v)
{
	if (!version_decoupled(v))
		return;
	inference__model_transaction_policy__init(&p->transaction);
	p->transaction.decoupled = true;
	m->model_transaction_policy = &p->transaction;
}

static void fill_settings(struct parts *p, Config *m, const struct version *v)
{
	const struct version_settings *s = version_settings(v);

	m->name = (char *)s->name;
	m->backend = (char *)s->backend;
	m->max_batch_size = (int32_t)version_max_batch_size(v);
	if (!strcmp(s->backend, "onnxruntime")) {
		m->platform = (char *)kserve_platform(v);
		m->default_model_filename = (char *)"model.onnx";
	}
	fill_policies(p, m);
	fill_transactions(p, m, v);
}

static int fill(struct message_memory *memory, struct parts *p, Config *m, struct dispatch *d,
	const struct version *v)
{
	int r;

	fill_settings(p, m, v);
	r = kserve_config_instances(memory, m, d, v);
	if (!r)
		r = fill_batching(memory, p, m, version_settings(v));
	if (!r)
		r = fill_inputs(memory, m, v);
	if (!r)
		r = fill_outputs(memory, m, v);
	if (!r && version_settings(v)->sequence)
		r = kserve_config_sequence(memory, m, version_settings(v)->sequence);
	if (!r)
		r = fill_parameters(memory, m, version_settings(v));
	return r;
}

static void answer(struct call *c, const struct version *v, bool one)
{
	const struct services *x = call_context(c);
	Inference__ModelConfigResponse m = INFERENCE__MODEL_CONFIG_RESPONSE__INIT;
	Config config = INFERENCE__MODEL_CONFIG__INIT;
	struct message_memory memory;
	struct parts parts;

	(void)one;
	m.config = &config;
	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	if (fill(&memory, &parts, &config, x->dispatch, v))
		message_no_memory(c);
	else
		message_answer(c, &m.base);
	message_memory_deinit(&memory);
}

void kserve_model_config(struct call *c, void *state, const uint8_t *data, size_t n)
{
	const Inference__ModelConfigRequest *q;
	struct message_memory memory;

	message_memory_init(&memory, KSERVE_SMALL_MEMORY);
	q = message_read(c, &memory, &inference__model_config_request__descriptor, data, n);
	if (q)
		kserve_demand_version(c, state, q->name, q->version, answer);
	message_memory_deinit(&memory);
}
