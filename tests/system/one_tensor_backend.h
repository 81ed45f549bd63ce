/*
 * one_tensor_backend.h: what backends of tests have in common that have one input and one output, which they declare, and
 * keep nothing of a model.
 */
#include <modeld/backend.h>

static const struct modeld_declaration inputs[1], outputs[1];

static enum modeld_code load(const struct modeld_model_spec *spec, void **ret_model,
	struct modeld_model_info *ret_info, struct modeld_error *error)
{
	(void)error;
	*ret_model = (void *)spec;
	ret_info->inputs = inputs;
	ret_info->n_inputs = 1;
	ret_info->outputs = outputs;
	ret_info->n_outputs = 1;
	return MODELD_OK;
}

static void unload(void *model)
{
	(void)model;
}
