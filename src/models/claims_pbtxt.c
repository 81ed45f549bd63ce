/* claims_pbtxt.c: what is said of tensors, to be compared with what the model declares. Daemon process, any thread. */
#include "models/claims_pbtxt.h"

#include <errno.h>
#include <string.h>

#include "models/sequence_pbtxt.h"

#define MOST (2 * WIRE_TENSORS_MAX) /* that a model has */

static void add(struct claims *c, bool output, const char *name, Inference__DataType type,
	const int64_t *dims, size_t rank)
{
	struct claim *to = &c->list[c->n];

	if (c->n == MOST || strlen(name) > WIRE_NAME_MAX || rank > TENSOR_RANK_MAX)
		return;
	memcpy(to->name, name, strlen(name) + 1);
	to->output = output;
	to->dtype = pbtxt_dtype(type);
	to->rank = (uint32_t)rank;
	if (rank > 0)
		memcpy(to->dims, dims, rank * sizeof(*dims));
	c->n++;
}

int claims_pbtxt_map(const Inference__ModelConfig *config, struct claims **ret_claims)
{
	size_t n = config->n_input + config->n_output;
	struct claims *c;

	*ret_claims = NULL;
	if (n == 0)
		return 0;
	c = claims_new(n < MOST ? (uint32_t)n : MOST);
	if (!c)
		return -ENOMEM;
	c->n = 0;
	for (size_t i = 0; i < config->n_input; i++) {
		const Inference__ModelInput *in = config->input[i];

		add(c, false, in->name, in->data_type, in->dims, in->n_dims);
	}
	for (size_t i = 0; i < config->n_output; i++) {
		const Inference__ModelOutput *out = config->output[i];

		add(c, true, out->name, out->data_type, out->dims, out->n_dims);
	}
	*ret_claims = c;
	return 0;
}
