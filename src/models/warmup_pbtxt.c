/* warmup_pbtxt.c: Triton's words for warm-ups into ours. Daemon process, any thread. */
#include "models/warmup_pbtxt.h"

#include <inttypes.h>
#include <stdio.h>

#include "models/sequence_pbtxt.h"
#include "models/warmup_rules.h"

typedef Inference__ModelWarmup Warmup;
typedef Inference__ModelWarmup__Input Input;

/* Of zero_data and random_data it counts that they are there, not what they say. */
static int map_input(struct wire_warmup *w, const char *name, const Input *m, const char **ret_what)
{
	struct wire_warmup_input input = {
		.name = name,
		.dtype = pbtxt_dtype(m->data_type),
		.rank = (uint32_t)m->n_dims,
		.dims = m->dims,
		.random = m->input_data_type_case ==
			  INFERENCE__MODEL_WARMUP__INPUT__INPUT_DATA_TYPE_RANDOM_DATA,
		.file = "",
	};

	if (m->input_data_type_case == INFERENCE__MODEL_WARMUP__INPUT__INPUT_DATA_TYPE__NOT_SET) {
		*ret_what = "an input has one of zero_data, random_data and input_data_file";
		return WARMUP_PBTXT_E_INVALID;
	}
	if (m->input_data_type_case ==
		INFERENCE__MODEL_WARMUP__INPUT__INPUT_DATA_TYPE_INPUT_DATA_FILE) {
		input.file = m->input_data_file;
		if (!*input.file) {
			*ret_what = "input_data_file names no file";
			return WARMUP_PBTXT_E_INVALID;
		}
	}
	return warmup_rules_add_input(w, &input, ret_what);
}

int warmup_pbtxt_map(
	const Warmup *m, size_t number, struct version_settings *s, const char **ret_what)
{
	struct wire_warmup *w = NULL;
	char name[24];
	int r;

	if (m->batch_size == 0)
		return 0;
	if (m->batch_size > WARMUP_BATCH_SIZE_MAX || m->count > WIRE_WARMUP_COUNT_MAX) {
		*ret_what = "batch_size is at most 65536, and count 1000";
		return WARMUP_PBTXT_E_INVALID;
	}
	snprintf(name, sizeof(name), "%zu", number);
	r = warmup_rules_add(s, *m->name ? m->name : name, &w, ret_what);
	if (r)
		return r;
	w->batch_size = m->batch_size;
	w->count = m->count > 0 ? m->count : 1;
	for (size_t i = 0; !r && i < m->n_inputs; i++) {
		static const Input none = INFERENCE__MODEL_WARMUP__INPUT__INIT;
		const Inference__ModelWarmup__InputsEntry *e = m->inputs[i];

		r = map_input(w, e->key, e->value ? e->value : &none, ret_what);
	}
	return r;
}
