/* kserve_config_sequence.c: a model's sequences as its configuration had them. Daemon process, loop thread. */
#include "services/kserve_config_sequence.h"

#include <errno.h>
#include <string.h>

#include "services/kserve_data_type.h"
#include "services/kserve_small.h"

typedef Inference__ModelSequenceBatching Batching;
typedef Inference__ModelSequenceBatching__Control Control;
typedef Inference__ModelSequenceBatching__ControlInput ControlInput;
typedef Inference__ModelSequenceBatching__State State;

static int fill_values(
	struct message_memory *memory, Control *m, const struct sequence_control_input *c)
{
	int32_t *values = message_memory_calloc(memory, 2, sizeof(values[0]));

	if (!values)
		return -ENOMEM;
	if (c->dtype == DTYPE_BOOL) {
		values[0] = c->values[0][0];
		values[1] = c->values[1][0];
		m->bool_false_true = values;
		m->n_bool_false_true = 2;
		return 0;
	}
	for (size_t i = 0; i < 2; i++)
		memcpy(&values[i], c->values[i], sizeof(values[i]));
	if (c->dtype == DTYPE_F32) {
		m->fp32_false_true = (float *)values;
		m->n_fp32_false_true = 2;
	} else {
		m->int32_false_true = values;
		m->n_int32_false_true = 2;
	}
	return 0;
}

static int fill_control(struct message_memory *memory, ControlInput *m,
	const struct sequence_control_input *c, enum sequence_control kind)
{
	m->control = kserve_small_array(memory, 1, sizeof(Control));
	if (!m->control)
		return -ENOMEM;
	m->n_control = 1;
	m->name = (char *)c->name;
	inference__model_sequence_batching__control__init(m->control[0]);
	m->control[0]->kind = (Inference__ModelSequenceBatching__Control__Kind)kind;
	if (kind != SEQUENCE_CORRID)
		return fill_values(memory, m->control[0], c);
	m->control[0]->data_type = kserve_data_type(c->dtype);
	return 0;
}

static int fill_controls(
	struct message_memory *memory, Batching *m, const struct sequence_settings *s)
{
	int r = 0;

	m->control_input = kserve_small_array(memory, SEQUENCE_CONTROLS_, sizeof(ControlInput));
	if (!m->control_input)
		return -ENOMEM;
	for (size_t i = 0; i < SEQUENCE_CONTROLS_ && !r; i++) {
		ControlInput *in = m->control_input[m->n_control_input];

		if (!*s->controls[i].name)
			continue;
		m->n_control_input++;
		inference__model_sequence_batching__control_input__init(in);
		r = fill_control(memory, in, &s->controls[i], (enum sequence_control)i);
	}
	return r;
}

static int fill_states(
	struct message_memory *memory, Batching *m, const struct sequence_settings *s)
{
	m->state = kserve_small_array(memory, s->n_states, sizeof(State));
	if (!m->state)
		return -ENOMEM;
	m->n_state = s->n_states;
	for (uint32_t i = 0; i < s->n_states; i++) {
		const struct sequence_state *from = &s->states[i];
		State *to = m->state[i];

		inference__model_sequence_batching__state__init(to);
		to->input_name = (char *)from->input;
		to->output_name = (char *)from->output;
		to->data_type = kserve_data_type(from->dtype);
		to->n_dims = from->rank;
		to->dims = (int64_t *)from->dims;
	}
	return 0;
}

static int fill_strategy(
	struct message_memory *memory, Batching *m, const struct sequence_settings *s)
{
	Inference__ModelSequenceBatching__StrategyDirect *direct;
	Inference__ModelSequenceBatching__StrategyOldest *oldest;

	m->max_sequence_idle_microseconds = s->idle_us;
	if (s->strategy == SEQUENCE_DIRECT) {
		direct = message_memory_calloc(memory, 1, sizeof(*direct));
		if (!direct)
			return -ENOMEM;
		inference__model_sequence_batching__strategy_direct__init(direct);
		m->direct = direct;
		m->strategy_choice_case =
			INFERENCE__MODEL_SEQUENCE_BATCHING__STRATEGY_CHOICE_DIRECT;
		return 0;
	}
	oldest = message_memory_calloc(memory, 1, sizeof(*oldest));
	if (!oldest)
		return -ENOMEM;
	inference__model_sequence_batching__strategy_oldest__init(oldest);
	oldest->max_candidate_sequences = (int32_t)s->max_candidates;
	m->oldest = oldest;
	m->strategy_choice_case = INFERENCE__MODEL_SEQUENCE_BATCHING__STRATEGY_CHOICE_OLDEST;
	return 0;
}

int kserve_config_sequence(
	struct message_memory *memory, Inference__ModelConfig *m, const struct sequence_settings *s)
{
	Batching *batching = message_memory_calloc(memory, 1, sizeof(*batching));
	int r;

	if (!batching)
		return -ENOMEM;
	inference__model_sequence_batching__init(batching);
	m->sequence_batching = batching;
	m->scheduling_choice_case = INFERENCE__MODEL_CONFIG__SCHEDULING_CHOICE_SEQUENCE_BATCHING;
	r = fill_strategy(memory, batching, s);
	if (!r)
		r = fill_controls(memory, batching, s);
	return r ? r : fill_states(memory, batching, s);
}
