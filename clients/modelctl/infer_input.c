/* infer_input.c: an input of a model, while what is given for it is taken. modelctl, one thread. */
#include <stdio.h>
#include <string.h>

#include "clients/modelctl/infer_inputs_private.h"

/* "a, b and others", cut where it is too long. */
static const char *names(const struct infer_making *k, char out[INFER_NAME_MAX])
{
	size_t at = 0;

	out[0] = 0;
	for (size_t i = 0; i < k->x->n && at < INFER_NAME_MAX; i++)
		at += (size_t)snprintf(
			out + at, INFER_NAME_MAX - at, "%s%s", i ? ", " : "", k->x->list[i].name);
	return out;
}

struct infer_input *infer_find(const struct infer_making *k, const char *name, size_t n)
{
	for (size_t i = 0; i < k->x->n; i++) {
		if (strlen(k->x->list[i].name) == n && !memcmp(k->x->list[i].name, name, n))
			return &k->x->list[i];
	}
	return NULL;
}

int infer_unknown(const struct infer_making *k, const char *name, size_t n)
{
	char list[INFER_NAME_MAX];

	return modelctl_fail(MODELCTL_FAILED, "model %s has no input '%.*s'; it has %s", k->m->name,
		(int)n, name, names(k, list));
}

/* What has no NAME goes to the first input that nothing was given for. */
static struct infer_input *next_free(const struct infer_making *k)
{
	for (size_t i = 0; i < k->x->n; i++) {
		if (!k->x->list[i].tensor.data)
			return &k->x->list[i];
	}
	return NULL;
}

int infer_choose(const struct infer_making *k, struct infer_input **at, const char *value)
{
	const char *name = k->asked->default_input;

	if (!*at && name)
		*at = infer_find(k, name, strlen(name));
	if (!*at && name)
		return infer_unknown(k, name, strlen(name));
	if (!*at)
		*at = next_free(k);
	if (!*at)
		return modelctl_fail(MODELCTL_FAILED, "%s: model %s has only %zu input%s", value,
			k->m->name, k->x->n, k->x->n == 1 ? "" : "s");
	if ((*at)->tensor.data)
		return modelctl_fail(
			MODELCTL_USAGE, "input %s is given more than once", (*at)->name);
	return 0;
}

struct tensor_want infer_want(const struct infer_making *k, const struct infer_input *at)
{
	const Inference__ModelMetadataResponse__TensorMetadata *m = k->m->inputs[at - k->x->list];

	return (struct tensor_want){
		.dtype = dtype_parse(m->datatype, strlen(m->datatype)),
		.any_shape = m->n_shape == 1 && m->shape[0] < 0,
		.dims = m->shape,
		.rank = m->n_shape,
	};
}

int infer_fit(struct infer_making *k, struct infer_input *at, const char *from)
{
	const struct tensor_want want = infer_want(k, at);

	if (!tensor_fit(&at->tensor, &at->asked, &want, k->text, sizeof(k->text)))
		return 0;
	return modelctl_fail(MODELCTL_FAILED, "input %s: %s: %s", at->name, from, k->text);
}
