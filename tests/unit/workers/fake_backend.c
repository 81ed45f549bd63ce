/* fake_backend.c: see fake_backend.h. */
#include "fake_backend.h"

#include <stdio.h>
#include <string.h>

static const char *const input_names[] = {"in0", "in1", "in2", "in3"};
static const char *const output_names[] = {"out0", "out1", "out2", "out3"};

static enum modeld_code fake_run(
	void *model, const struct modeld_batch *batch, struct modeld_error *error)
{
	struct fake_backend *f = model;
	struct fake_run *r = &f->runs[f->n_runs % FAKE_RUNS_MAX];
	const char *value = batch->parameter(batch, "key");

	memset(r, 0, sizeof(*r));
	r->n_inputs = batch->n_inputs;
	for (size_t i = 0; i < batch->n_inputs; i++) {
		r->data[i] = batch->inputs[i]->data;
		r->bytes[i] = batch->inputs[i]->bytes;
		r->shared[i] = batch->inputs[i]->shared;
	}
	r->rows = batch->n_inputs && batch->inputs[0]->rank ? batch->inputs[0]->dims[0] : -1;
	snprintf(r->parameter, sizeof(r->parameter), "%s", value ? value : "");
	f->n_runs++;
	return f->run(f, batch, error);
}

static void fake_unload(void *model)
{
}

void *fake_output(const struct modeld_batch *batch, size_t index, enum modeld_dtype dtype,
	const int64_t *dims, uint32_t rank, uint64_t bytes, struct modeld_error *error)
{
	const struct modeld_output output = {
		.size = sizeof(output),
		.index = index,
		.dtype = dtype,
		.rank = rank,
		.dims = dims,
		.bytes = bytes,
	};

	return batch->output(batch, &output, error);
}

enum modeld_code fake_echo(
	struct fake_backend *f, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = batch->inputs[0];

	for (size_t i = 0; i < batch->n_outputs; i++) {
		void *out;

		if (!batch->wanted[i])
			continue;
		out = fake_output(batch, i, in->dtype, in->dims, in->rank, in->bytes, error);
		if (!out)
			return MODELD_INTERNAL;
		if (in->bytes > 0)
			memmove(out, in->data, in->bytes);
	}
	return MODELD_OK;
}

static void declare(struct modeld_declaration *list, const char *const *names, size_t n,
	enum modeld_dtype dtype, int64_t width)
{
	for (size_t i = 0; i < n; i++) {
		list[i] = (struct modeld_declaration){
			.size = sizeof(list[i]),
			.name = names[i],
			.dtype = dtype,
			.rank = 2,
			.dims = {-1, width},
		};
	}
}

void fake_backend_init(struct fake_backend *f, size_t n_inputs, size_t n_outputs,
	enum modeld_dtype dtype, int64_t width, uint32_t max_batch_size)
{
	memset(f, 0, sizeof(*f));
	f->backend = (struct modeld_backend){
		.size = sizeof(f->backend),
		.abi = MODELD_BACKEND_ABI,
		.name = "fake",
		.run = fake_run,
		.unload = fake_unload,
	};
	f->run = fake_echo;
	lane_init(&f->lane, &f->model, 0);
	f->lane.instance = f;
	declare(f->inputs, input_names, n_inputs, dtype, width);
	declare(f->outputs, output_names, n_outputs, dtype, width);
	f->model = (struct model){
		.backend = &f->backend,
		.handle = f,
		.lanes = &f->lane,
		.n_lanes = 1,
		.info =
			{
				.size = sizeof(f->model.info),
				.inputs = f->inputs,
				.n_inputs = n_inputs,
				.outputs = f->outputs,
				.n_outputs = n_outputs,
				.can_batch = max_batch_size > 0,
			},
		.max_batch_size = max_batch_size,
	};
}
