/*
 * scale_backend.c: a complete backend for modeld. OUTPUT is INPUT times `factor`, a parameter of the
 * model; f32, any number of values a row, as many rows as the daemon joins.
 *
 *   cc -std=c11 -O2 -shared -fPIC -o scale.so scale_backend.c
 *
 * docs/backends.md goes through it step by step.
 */
#include <modeld/backend.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct scale {
	float factor;
};

static const struct modeld_declaration inputs[] = {
	{.size = sizeof(struct modeld_declaration),
		.name = "INPUT",
		.dtype = MODELD_DTYPE_F32,
		.rank = 2,
		.dims = {-1, -1}},
};
static const struct modeld_declaration outputs[] = {
	{.size = sizeof(struct modeld_declaration),
		.name = "OUTPUT",
		.dtype = MODELD_DTYPE_F32,
		.rank = 2,
		.dims = {-1, -1}},
};

static enum modeld_code scale_load(const struct modeld_model_spec *spec, void **ret_model,
	struct modeld_model_info *ret_info, struct modeld_error *error)
{
	const char *text = spec->parameter(spec, "factor");
	struct scale *s;
	char *end;
	float factor;

	if (!text)
		text = "1";
	factor = strtof(text, &end);
	if (end == text || *end || !isfinite(factor)) {
		snprintf(error->text, sizeof(error->text),
			"[parameters] factor of model '%s' is no number", spec->name);
		return MODELD_INVALID;
	}
	s = malloc(sizeof(*s));
	if (!s) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return MODELD_EXHAUSTED;
	}
	s->factor = factor;
	*ret_model = s;
	ret_info->inputs = inputs;
	ret_info->n_inputs = 1;
	ret_info->outputs = outputs;
	ret_info->n_outputs = 1;
	ret_info->can_batch = 1;
	return MODELD_OK;
}

/* There are no instances of its own: it gets the model, which no run changes. */
static enum modeld_code scale_run(
	void *model, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct scale *s = model;
	const struct modeld_tensor *in = batch->inputs[0];
	const struct modeld_output output = {
		.size = sizeof(output),
		.index = 0,
		.dtype = in->dtype,
		.rank = in->rank,
		.dims = in->dims,
		.bytes = in->bytes,
		.writes_all = 1,
	};
	const float *from = in->data;
	float *to;

	if (!batch->wanted[0])
		return MODELD_OK;
	to = batch->output(batch, &output, error);
	if (!to)
		return MODELD_INTERNAL; /* the host knows why */
	for (uint64_t i = 0; i < in->bytes / sizeof(*from); i++)
		to[i] = from[i] * s->factor;
	return MODELD_OK;
}

static void scale_unload(void *model)
{
	free(model);
}

static const struct modeld_backend scale = {
	.size = sizeof(scale),
	.abi = MODELD_BACKEND_ABI,
	.name = "scale",
	.load = scale_load,
	.run = scale_run,
	.unload = scale_unload,
};

const struct modeld_backend *modeld_backend(const struct modeld_host *host)
{
	host->log(host, MODELD_LOG_DEBUG, "scale backend loaded");
	return &scale;
}
