/* sequence_step.c: the tensors that a step gets beside its client's. Daemon process, loop thread. */
#include "dispatch/sequence_step.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "dispatch/check.h"
#include "dispatch/dispatch_private.h"
#include "dispatch/request_private.h"
#include "dispatch/sequence.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"

#define ALIGNMENT    64u /* of an input */
#define LENGTH_BYTES 4u	 /* ahead of each element of a BYTES tensor */

/* The NUMA node that its states and controls are best on. */
static uint32_t near(const struct request *r)
{
	return pool_model_numa_node(r->version->pool_model);
}

static const struct sequence_settings *settings_of(const struct request *r)
{
	return r->version->settings.sequence;
}

static int refuse_undeclared(struct request *r, const char *what, const char *name)
{
	return request_refuse(r, GRPC_INTERNAL,
		"model '%s' has no %s '%s', which its config.pbtxt names in sequence_batching",
		r->version->settings.name, what, name);
}

static int refuse_room(struct request *r)
{
	return request_refuse(r, GRPC_RESOURCE_EXHAUSTED,
		"no room in the input arena for what belongs to a sequence of model '%s' ([memory] "
		"input_arena_bytes)",
		r->version->settings.name);
}

const char *sequence_id_name(const struct sequence_id *id, char number[SEQUENCE_NUMBER_MAX])
{
	if (id->text)
		return id->text;
	snprintf(number, SEQUENCE_NUMBER_MAX, "%" PRIu64, id->number);
	return number;
}

int request_set_sequence(
	struct request *r, uint64_t number, const char *text, size_t n_text, bool start, bool end)
{
	struct sequence_step *step;

	if (n_text > WIRE_NAME_MAX)
		return -E2BIG;
	if (text && (memchr(text, '\0', n_text) || !utf8_valid(text, n_text)))
		return -EINVAL;
	free(r->step);
	r->step = NULL;
	r->item.sequence = 0;
	r->item.sequence_text = NULL;
	r->item.sequence_flags = 0;
	if (text ? n_text == 0 : number == 0)
		return 0;
	step = calloc(1, sizeof(*step) + (text ? n_text + 1 : 0));
	if (!step)
		return -ENOMEM;
	step->start = start;
	step->end = end;
	step->id.number = number;
	if (text) {
		step->id.text = memcpy(step + 1, text, n_text);
		step->id.n_text = n_text;
	}
	r->step = step;
	r->item.sequence = text ? 0 : number;
	r->item.sequence_text = step->id.text;
	r->item.sequence_flags =
		(start ? WIRE_SEQUENCE_START : 0u) | (end ? WIRE_SEQUENCE_END : 0u);
	return 0;
}

/* --- Control inputs --------------------------------------------------------------------------- */

static bool is_said(const struct sequence_step *step, enum sequence_control kind)
{
	switch (kind) {
	case SEQUENCE_START:
		return step && step->start;
	case SEQUENCE_END:
		return step && step->end;
	default:
		return true;
	}
}

/* The sequence's number or text as one element, of which `out` (NULL: none is wanted) has room. */
static size_t write_id(const struct sequence_step *step, enum dtype dtype, uint8_t *out)
{
	static const struct sequence_id none;
	const struct sequence_id *id = step ? &step->id : &none;
	uint64_t number = id->number; /* little-endian, as all tensors are */
	char digits[24];
	uint32_t n = (uint32_t)id->n_text;

	if (dtype != DTYPE_BYTES) {
		if (out)
			memcpy(out, &number, dtype_size(dtype));
		return dtype_size(dtype);
	}
	if (!id->text)
		n = (uint32_t)snprintf(digits, sizeof(digits), "%" PRIu64, number);
	if (out) {
		memcpy(out, &n, LENGTH_BYTES);
		memcpy(out + LENGTH_BYTES, id->text ? id->text : digits, n);
	}
	return LENGTH_BYTES + n;
}

/* One element; out may be NULL. Returns its bytes. */
static size_t write_control(const struct request *r, enum sequence_control kind, uint8_t *out)
{
	const struct sequence_control_input *c = &settings_of(r)->controls[kind];

	if (kind == SEQUENCE_CORRID)
		return write_id(r->step, c->dtype, out);
	if (out)
		memcpy(out, c->values[is_said(r->step, kind)], dtype_size(c->dtype));
	return dtype_size(c->dtype);
}

static uint64_t aligned(uint64_t n)
{
	return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool is_given(const struct request_input *in)
{
	return in->lease || in->region;
}

static int refuse_given(struct request *r, const char *name)
{
	return request_refuse(r, GRPC_INVALID_ARGUMENT,
		"unexpected inference input '%s' for model '%s'", name, r->version->settings.name);
}

static int place_control(
	struct request *r, enum sequence_control kind, struct lease *lease, uint64_t *offset)
{
	const struct sequence_control_input *c = &settings_of(r)->controls[kind];
	struct request_input *in;
	uint32_t index = 0;

	if (version_find_input(r->version, c->name, &index))
		return refuse_undeclared(r, "input", c->name);
	in = &r->inputs[index];
	if (is_given(in))
		return refuse_given(r, c->name);
	in->dtype = c->dtype;
	in->rank = version_max_batch_size(r->version) > 0 ? 2 : 1;
	in->dims[0] = in->dims[1] = 1;
	in->lease = lease_ref(lease);
	in->offset = *offset;
	in->length = write_control(r, kind, lease_at(lease, *offset));
	*offset += aligned(in->length);
	return 0;
}

static int refuse_text(struct request *r, enum dtype want)
{
	return request_refuse(r, GRPC_INVALID_ARGUMENT,
		"the sequence of a request for model '%s' has a text, '%.64s', where the model "
		"takes a number (%s)",
		r->version->settings.name, r->step->id.text, dtype_kserve_name(want));
}

static size_t element_bytes(enum dtype dtype)
{
	return dtype == DTYPE_BYTES ? LENGTH_BYTES : dtype_size(dtype);
}

/* Of the zeros that a state begins with; UINT64_MAX: more than can be counted. */
static uint64_t zeros_length(const struct sequence_state *state)
{
	uint64_t n = element_bytes(state->dtype);

	for (uint32_t i = 0; i < state->rank; i++) {
		if (__builtin_mul_overflow(n, (uint64_t)state->dims[i], &n))
			return UINT64_MAX;
	}
	return n;
}

static uint64_t max_state_bytes(const struct request *r)
{
	return r->dispatch->settings->max_state_bytes;
}

/* States are zeroed and copied in one piece, while everybody waits. */
static int check_zeros(struct request *r)
{
	const struct sequence_settings *s = settings_of(r);
	uint64_t n = 0;

	for (uint32_t i = 0; i < s->n_states; i++) {
		if (__builtin_add_overflow(n, zeros_length(&s->states[i]), &n))
			n = UINT64_MAX;
	}
	if (n <= max_state_bytes(r))
		return 0;
	return request_refuse(r, GRPC_RESOURCE_EXHAUSTED,
		"the states of a sequence of model '%s' take %" PRIu64
		" bytes, more than [dispatch] max_state_bytes, %" PRIu64,
		r->version->settings.name, n, max_state_bytes(r));
}

/* Who wants certain outputs gets the states, too: we do. */
static int want_states(struct request *r)
{
	const struct sequence_settings *s = settings_of(r);

	for (uint32_t i = 0; i < s->n_states && r->item.n_outputs > 0; i++) {
		uint32_t index = 0;

		if (version_find_output(r->version, s->states[i].output, &index))
			return refuse_undeclared(r, "output", s->states[i].output);
		if (request_want_output(r, index) == -EINVAL)
			return refuse_undeclared(r, "output", s->states[i].output);
	}
	return 0;
}

/* States are the step's before alone: what a client says that they are is looked at by nobody. */
static int check_states_given(struct request *r)
{
	const struct sequence_settings *s = settings_of(r);

	for (uint32_t i = 0; i < s->n_states; i++) {
		uint32_t index = 0;

		if (version_find_input(r->version, s->states[i].input, &index))
			return refuse_undeclared(r, "input", s->states[i].input);
		if (is_given(&r->inputs[index]))
			return refuse_given(r, s->states[i].input);
	}
	return 0;
}

static int check_one_row(struct request *r)
{
	for (uint32_t i = 0; i < r->n_inputs && version_max_batch_size(r->version) > 0; i++) {
		if (r->inputs[i].rank > 0 && r->inputs[i].dims[0] > 1)
			return request_refuse(r, GRPC_INVALID_ARGUMENT,
				"inference request to model '%s' must specify batch-size 1 due to "
				"requirements of sequence batcher",
				r->version->settings.name);
	}
	return 0;
}

int sequence_step_fill(struct request *r)
{
	const struct sequence_settings *s = settings_of(r);
	const struct sequence_control_input *id = &s->controls[SEQUENCE_CORRID];
	struct lease *lease = NULL;
	uint64_t n = 0, offset = 0;
	int e = 0;

	if (*id->name && id->dtype != DTYPE_BYTES && r->step && r->step->id.text)
		return refuse_text(r, id->dtype);
	for (size_t i = 0; i < SEQUENCE_CONTROLS_; i++)
		n += *s->controls[i].name
			     ? aligned(write_control(r, (enum sequence_control)i, NULL))
			     : 0;
	e = check_states_given(r);
	if (!e)
		e = check_one_row(r);
	if (!e)
		e = check_zeros(r);
	if (!e)
		e = want_states(r);
	if (e || n == 0)
		return e;
	if (lease_new_at_once(&lease, &r->dispatch->desk, r->client, n, near(r)))
		return refuse_room(r);
	for (size_t i = 0; i < SEQUENCE_CONTROLS_ && !e; i++) {
		if (*s->controls[i].name)
			e = place_control(r, (enum sequence_control)i, lease, &offset);
	}
	lease_unref(lease);
	return e;
}

/* --- States ----------------------------------------------------------------------------------- */

void sequence_step_drop_states(struct sequence *s)
{
	for (uint32_t i = 0; i < s->all->settings->n_states; i++)
		s->values[i].lease = lease_unref(s->values[i].lease);
}

/* What the first step begins with. False: no room. */
static bool make_zeros(
	struct request *r, const struct sequence_state *state, struct sequence_value *value)
{
	bool batched = version_max_batch_size(r->version) > 0;

	value->rank = state->rank + batched;
	value->dims[0] = 1;
	memcpy(value->dims + batched, state->dims, state->rank * sizeof(state->dims[0]));
	value->length = zeros_length(state);
	if (lease_new_at_once(&value->lease, &r->dispatch->desk, r->client,
		    value->length > 0 ? value->length : 1, near(r)))
		return false;
	memset(lease_data(value->lease), 0, value->length);
	return true;
}

static int fill_state(
	struct request *r, const struct sequence_state *state, struct sequence_value *value)
{
	struct request_input *in;
	uint32_t index = 0;

	if (version_find_input(r->version, state->input, &index))
		return refuse_undeclared(r, "input", state->input);
	if (!value->lease && !make_zeros(r, state, value))
		return refuse_room(r);
	in = &r->inputs[index];
	in->dtype = state->dtype;
	in->rank = value->rank;
	memcpy(in->dims, value->dims, value->rank * sizeof(value->dims[0]));
	lease_unref(in->lease); /* of an earlier try */
	in->lease = lease_ref(value->lease);
	in->offset = 0;
	in->length = value->length;
	return 0;
}

uint64_t sequence_step_zeros(const struct request *r)
{
	const struct sequence_settings *s = settings_of(r);
	uint64_t n = 0;

	/* It was admitted: no sum overflows. */
	for (uint32_t i = 0; i < s->n_states; i++)
		n += r->sequence->values[i].lease ? 0 : zeros_length(&s->states[i]);
	return n;
}

int sequence_step_fill_states(struct request *r)
{
	const struct sequence_settings *s = settings_of(r);
	int e = 0;

	for (uint32_t i = 0; i < s->n_states && !e; i++)
		e = fill_state(r, &s->states[i], &r->sequence->values[i]);
	return e || s->n_states == 0 ? e : check_states(r);
}

static const struct pool_output *find_output(const struct request_answer *a, uint32_t index)
{
	for (size_t i = 0; i < a->n_outputs; i++) {
		if (a->outputs[i].index == index)
			return &a->outputs[i];
	}
	return NULL;
}

static bool fail_answer(struct request_answer *a, enum grpc_status status, const char *text)
{
	a->status = status;
	a->message = text;
	a->n_outputs = 0;
	return false;
}

/* *left: how many bytes it may take; what it takes is taken off. */
static bool keep_state(struct request *r, const struct sequence_state *state,
	struct sequence_value *value, struct request_answer *a, uint64_t *left)
{
	const struct pool_output *o;
	struct lease *lease;
	uint32_t index = 0;

	if (version_find_output(r->version, state->output, &index))
		return fail_answer(a, GRPC_INTERNAL,
			"the model has no such output as sequence_batching names for a state");
	o = find_output(a, index);
	if (!o || (!o->data && o->length > 0) || o->dtype != state->dtype)
		return fail_answer(a, GRPC_INTERNAL,
			"the model gave no state, or one of another type than its config.pbtxt "
			"says");
	if (o->length > *left)
		return fail_answer(a, GRPC_RESOURCE_EXHAUSTED,
			"the model gave states that together are larger than [dispatch] "
			"max_state_bytes");
	*left -= o->length;
	if (lease_new_at_once(
		    &lease, &r->dispatch->desk, r->client, o->length > 0 ? o->length : 1, near(r)))
		return fail_answer(a, GRPC_RESOURCE_EXHAUSTED,
			"no room in the input arena for the state of a sequence ([memory] "
			"input_arena_bytes)");
	if (o->length > 0)
		memcpy(lease_data(lease), o->data, o->length);
	lease_unref(value->lease);
	*value = (struct sequence_value){.lease = lease, .rank = o->rank, .length = o->length};
	memcpy(value->dims, o->dims, sizeof(value->dims));
	return true;
}

/* The client gets all outputs but the states. */
static bool hide_states(struct sequences *all, struct request *r, struct request_answer *a)
{
	const struct wire_loaded *declared = version_declared(r->version);
	size_t n = 0;

	if (!all->shown)
		all->shown = calloc(declared->n_outputs + 1, sizeof(all->shown[0]));
	if (!all->shown)
		return fail_answer(a, GRPC_RESOURCE_EXHAUSTED, "out of memory");
	assert(a->n_outputs <= declared->n_outputs);
	for (size_t i = 0; i < a->n_outputs; i++) {
		if (!version_hides_output(r->version, a->outputs[i].index))
			all->shown[n++] = a->outputs[i];
	}
	a->outputs = all->shown;
	a->n_outputs = n;
	return true;
}

bool sequence_step_keep_states(struct sequence *s, struct request *r, struct request_answer *a)
{
	const struct sequence_settings *settings = s->all->settings;
	uint64_t left = max_state_bytes(r);

	if (settings->n_states == 0)
		return true;
	for (uint32_t i = 0; i < settings->n_states; i++) {
		if (!keep_state(r, &settings->states[i], &s->values[i], a, &left))
			return false;
	}
	return hide_states(s->all, r, a);
}
