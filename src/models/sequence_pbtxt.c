/* sequence_pbtxt.c: Triton's words for sequences into ours. Daemon process, any thread. */
#include "models/sequence_pbtxt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef Inference__ModelSequenceBatching Batching;
typedef Inference__ModelSequenceBatching__Control Control;
typedef Inference__ModelSequenceBatching__State State;

struct mapping {
	const Batching *m;	     /* borrow */
	struct sequence_settings *s; /* borrow */
	struct pbtxt_error *error;
};

static int wrong(struct mapping *x, const char *field, const char *what)
{
	*x->error = (struct pbtxt_error){field, what};
	return SEQUENCE_PBTXT_E_INVALID;
}

enum dtype pbtxt_dtype(Inference__DataType type)
{
	static const enum dtype dtypes[] = {
		[INFERENCE__DATA_TYPE__TYPE_BOOL] = DTYPE_BOOL,
		[INFERENCE__DATA_TYPE__TYPE_UINT8] = DTYPE_U8,
		[INFERENCE__DATA_TYPE__TYPE_UINT16] = DTYPE_U16,
		[INFERENCE__DATA_TYPE__TYPE_UINT32] = DTYPE_U32,
		[INFERENCE__DATA_TYPE__TYPE_UINT64] = DTYPE_U64,
		[INFERENCE__DATA_TYPE__TYPE_INT8] = DTYPE_I8,
		[INFERENCE__DATA_TYPE__TYPE_INT16] = DTYPE_I16,
		[INFERENCE__DATA_TYPE__TYPE_INT32] = DTYPE_I32,
		[INFERENCE__DATA_TYPE__TYPE_INT64] = DTYPE_I64,
		[INFERENCE__DATA_TYPE__TYPE_FP16] = DTYPE_F16,
		[INFERENCE__DATA_TYPE__TYPE_FP32] = DTYPE_F32,
		[INFERENCE__DATA_TYPE__TYPE_FP64] = DTYPE_F64,
		[INFERENCE__DATA_TYPE__TYPE_STRING] = DTYPE_BYTES,
		[INFERENCE__DATA_TYPE__TYPE_BF16] = DTYPE_BF16,
	};
	size_t i = (size_t)type;

	return i < sizeof(dtypes) / sizeof(dtypes[0]) ? dtypes[i] : DTYPE_INVALID;
}

static int set_name(struct mapping *x, char *name, const char *value, const char *field)
{
	if (!*value || strlen(value) > WIRE_NAME_MAX)
		return wrong(x, field, "a name of at most 255 characters is expected");
	memcpy(name, value, strlen(value) + 1);
	return 0;
}

/* --- Control inputs --------------------------------------------------------------------------- */

static int map_values(struct mapping *x, struct sequence_control_input *c, const Control *m)
{
	if (m->n_int32_false_true + m->n_fp32_false_true + m->n_bool_false_true != 2)
		return wrong(x, "control_input.control",
			"one of int32_false_true, fp32_false_true and bool_false_true is expected, "
			"with two "
			"values");
	for (size_t i = 0; i < 2; i++) {
		if (m->n_int32_false_true == 2) {
			c->dtype = DTYPE_I32;
			memcpy(c->values[i], &m->int32_false_true[i], sizeof(int32_t));
		} else if (m->n_fp32_false_true == 2) {
			c->dtype = DTYPE_F32;
			memcpy(c->values[i], &m->fp32_false_true[i], sizeof(float));
		} else if (m->n_bool_false_true == 2) {
			c->dtype = DTYPE_BOOL;
			c->values[i][0] = m->bool_false_true[i] != 0;
		} else {
			return wrong(
				x, "control_input.control", "two values of one kind are expected");
		}
	}
	return 0;
}

static int map_id(struct mapping *x, struct sequence_control_input *c, const Control *m)
{
	c->dtype = pbtxt_dtype(m->data_type);
	switch (c->dtype) {
	case DTYPE_U64:
	case DTYPE_I64:
	case DTYPE_U32:
	case DTYPE_I32:
	case DTYPE_BYTES:
		return 0;
	default:
		return wrong(x, "control_input.control.data_type",
			"of CONTROL_SEQUENCE_CORRID: TYPE_UINT64, TYPE_INT64, TYPE_UINT32, "
			"TYPE_INT32 or "
			"TYPE_STRING is expected");
	}
}

static bool is_control_input(const struct sequence_settings *s, const char *name)
{
	bool is = false;

	for (size_t i = 0; i < SEQUENCE_CONTROLS_; i++)
		is |= !strcmp(s->controls[i].name, name);
	return is;
}

static int map_control(struct mapping *x, const char *name, const Control *m)
{
	struct sequence_control_input *c;
	int r;

	if ((size_t)m->kind >= SEQUENCE_CONTROLS_)
		return wrong(x, "control_input.control.kind", "there is no such kind");
	/* Kinds have the numbers of enum sequence_control. */
	c = &x->s->controls[m->kind];
	if (*c->name)
		return wrong(x, "control_input", "two inputs say the same");
	if (*name && is_control_input(x->s, name))
		return wrong(x, "control_input.name", "an input says one thing alone");
	r = set_name(x, c->name, name, "control_input.name");
	if (r)
		return r;
	return m->kind == INFERENCE__MODEL_SEQUENCE_BATCHING__CONTROL__KIND__CONTROL_SEQUENCE_CORRID
		       ? map_id(x, c, m)
		       : map_values(x, c, m);
}

static int map_controls(struct mapping *x)
{
	int r = 0;

	for (size_t i = 0; i < x->m->n_control_input && !r; i++) {
		const Inference__ModelSequenceBatching__ControlInput *in = x->m->control_input[i];

		if (in->n_control != 1)
			return wrong(x, "control_input.control", "one is expected for each input");
		r = map_control(x, in->name, in->control[0]);
	}
	return r;
}

/* --- States ----------------------------------------------------------------------------------- */

/* What the first step begins with is all zero; where the shape is not fixed it says how large. */
static int map_initial(struct mapping *x, struct sequence_state *to, const State *m)
{
	const Inference__ModelSequenceBatching__InitialState *first =
		m->n_initial_state > 0 ? m->initial_state[0] : NULL;
	const int64_t *dims = first ? first->dims : m->dims;
	size_t n = first ? first->n_dims : m->n_dims;

	if (m->n_initial_state > 1)
		return wrong(x, "state.initial_state", "one at most is served");
	if (first &&
		first->state_data_case !=
			INFERENCE__MODEL_SEQUENCE_BATCHING__INITIAL_STATE__STATE_DATA_ZERO_DATA)
		return wrong(x, "state.initial_state", "zero_data alone is served");
	if (n >= TENSOR_RANK_MAX)
		return wrong(x, "state.dims", "there are too many dimensions");
	to->rank = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		if (dims[i] < -1)
			return wrong(x, "state.dims", "a dimension is -1 or not negative");
		to->dims[i] = dims[i] < 0 ? 1 : dims[i];
	}
	return 0;
}

static int map_state(struct mapping *x, struct sequence_state *to, const State *m)
{
	int r = set_name(x, to->input, m->input_name, "state.input_name");

	if (!r && is_control_input(x->s, to->input))
		r = wrong(x, "state.input_name", "it is a control input already");
	if (!r)
		r = set_name(x, to->output, m->output_name, "state.output_name");
	to->dtype = pbtxt_dtype(m->data_type);
	if (!r && to->dtype == DTYPE_INVALID)
		r = wrong(x, "state.data_type", "is expected");
	return r ? r : map_initial(x, to, m);
}

/* --- All of it -------------------------------------------------------------------------------- */

static int map_strategy(struct mapping *x)
{
	const Batching *m = x->m;

	if (m->iterative_sequence)
		return wrong(x, "iterative_sequence", "is not served here");
	x->s->idle_us = m->max_sequence_idle_microseconds ? m->max_sequence_idle_microseconds
							  : SEQUENCE_IDLE_US_USUAL;
	if (m->strategy_choice_case != INFERENCE__MODEL_SEQUENCE_BATCHING__STRATEGY_CHOICE_OLDEST)
		return 0;
	if (m->oldest->max_candidate_sequences < 0)
		return wrong(x, "oldest.max_candidate_sequences", "a positive number is expected");
	x->s->strategy = SEQUENCE_OLDEST;
	x->s->max_candidates = m->oldest->max_candidate_sequences > 0
				       ? (uint32_t)m->oldest->max_candidate_sequences
				       : 1;
	return 0;
}

static int map(struct mapping *x)
{
	int r = map_strategy(x);

	if (!r)
		r = map_controls(x);
	for (uint32_t i = 0; i < x->s->n_states && !r; i++)
		r = map_state(x, &x->s->states[i], x->m->state[i]);
	return r;
}

int sequence_pbtxt_map(const Inference__ModelSequenceBatching *m,
	struct sequence_settings **ret_settings, struct pbtxt_error *error)
{
	struct mapping x = {.m = m, .error = error};
	int r;

	if (m->n_state > SEQUENCE_STATES_MAX)
		return wrong(&x, "state", "too many: at most 1024 are allowed");
	x.s = sequence_settings_new((uint32_t)m->n_state);
	if (!x.s)
		return -ENOMEM;
	r = map(&x);
	if (r)
		free(x.s);
	else
		*ret_settings = x.s;
	return r;
}
