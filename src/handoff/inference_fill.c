/*
 * inference_fill.c: from the record to the request. Daemon process, loop thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "dispatch/version_names.h"
#include "handoff/handoff_private.h"
#include "handoff/inference_private.h"

static int invalid(struct inference *i, const char *format, ...) _printf_(2, 3);

/* Always INVALID_ARGUMENT, as a status. */
static int invalid(struct inference *i, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(i->why, sizeof(i->why), format, args);
	va_end(args);
	return GRPC_INVALID_ARGUMENT;
}

/* Each below returns GRPC_OK or the status of the refusal, whose text is in i->why. */

static int find_region(struct inference *i, const char *what, const char *name, uint64_t number,
	struct region **ret_region)
{
	struct entry *e = entry_find_number(&i->guest->handoff->entries, i->guest, number);

	if (e) {
		*ret_region = e->region;
		return GRPC_OK;
	}
	invalid(i, "%s '%.255s': region %" PRIu64 " is not known on this connection", what, name,
		number);
	return GRPC_NOT_FOUND;
}

/* An empty name is the first; any other is probably the one that is declared in this position. */
static uint32_t guess(const char *name, size_t position)
{
	return name[0] ? (uint32_t)position : 0;
}

static int fill_input(struct inference *i, const struct handoff_tensor *t, size_t position)
{
	char names[VERSION_NAMES_MAX];
	struct request_input *in;
	struct region *region;
	uint32_t index = guess(t->name, position);
	int e;

	if (t->name[0] && version_find_input(i->model, t->name, &index))
		return invalid(i, "model '%s' has no input '%.255s'%s",
			version_settings(i->model)->name, t->name,
			version_list_inputs(i->model, names, sizeof(names)));
	in = request_input(i->request, index);
	if (!in)
		return invalid(i, "model '%s' has no inputs", version_settings(i->model)->name);
	if (in->region)
		return invalid(i, "input '%.255s' is given twice", t->name);
	if (t->rank > TENSOR_RANK_MAX)
		return invalid(i, "input '%.255s': rank %" PRIu32 " exceeds %d", t->name, t->rank,
			TENSOR_RANK_MAX);
	if (t->dtype == DTYPE_INVALID || t->dtype >= DTYPE_MAX_)
		return invalid(
			i, "input '%.255s': there is no dtype %u", t->name, (unsigned int)t->dtype);
	e = find_region(i, "input", t->name, t->region, &region);
	if (e)
		return e;
	in->dtype = t->dtype;
	in->rank = t->rank;
	for (uint32_t k = 0; k < t->rank; k++)
		in->dims[k] = t->dims[k];
	in->region = region_ref(region);
	in->offset = t->offset;
	in->length = t->length;
	i->handed_bytes += t->length;
	return GRPC_OK;
}

static int find_output(struct inference *i, const char *name, size_t position, uint32_t *ret_index)
{
	char names[VERSION_NAMES_MAX];

	*ret_index = guess(name, position);
	if (!name[0] || !version_find_output(i->model, name, ret_index))
		return GRPC_OK;
	return invalid(i, "model '%s' has no output '%.255s'%s", version_settings(i->model)->name,
		name, version_list_outputs(i->model, names, sizeof(names)));
}

static int fill_target(struct inference *i, const struct handoff_target *t, size_t position)
{
	struct region *region;
	uint32_t index;
	int e = find_output(i, t->name, position, &index);

	if (!e)
		e = find_region(i, "output", t->name, t->region, &region);
	if (e)
		return e;
	switch (request_set_target(i->request, index, region, t->offset, t->length)) {
	case 0:
		return GRPC_OK;
	case -EEXIST:
		return invalid(i, "output '%.255s' has two targets", t->name);
	default:
		return invalid(i, "model '%s' has no outputs", version_settings(i->model)->name);
	}
}

static int fill_output(struct inference *i, const char *name, size_t position)
{
	uint32_t index;
	int e = find_output(i, name, position, &index);

	if (e)
		return e;
	if (request_want_output(i->request, index))
		return invalid(i, "output '%.255s' is wanted twice, or there is none", name);
	return GRPC_OK;
}

static int fill_parameter(struct inference *i, const struct handoff_pair *p)
{
	switch (request_add_parameter(i->request, p->key, p->value)) {
	case 0:
		return GRPC_OK;
	case -E2BIG:
		return invalid(i,
			"parameter '%.255s': at most %u parameters, keys of %u bytes and values of "
			"%u bytes can be given to a model",
			p->key, WIRE_PAIRS_MAX, WIRE_NAME_MAX, WIRE_TEXT_MAX);
	case -EINVAL:
		return invalid(i, "parameter '%.255s' is not valid UTF-8", p->key);
	default:
		invalid(i, "modeld is out of memory");
		return GRPC_RESOURCE_EXHAUSTED;
	}
}

static int check_counts(struct inference *i, const struct handoff_infer *m)
{
	if (m->n_inputs > HANDOFF_TENSORS_MAX || m->n_targets > HANDOFF_TENSORS_MAX ||
		m->n_outputs > HANDOFF_TENSORS_MAX)
		return invalid(i, "%zu inputs, %zu targets, %zu outputs: the limit of each is %u",
			m->n_inputs, m->n_targets, m->n_outputs, HANDOFF_TENSORS_MAX);
	return GRPC_OK;
}

int inference_fill(struct inference *i, const struct handoff_infer *m)
{
	int e = check_counts(i, m);

	i->make_room = m->make_room;
	if (m->partial)
		request_allow_partial(i->request);
	/* A model that was never loaded has no declaration: dispatch says why. */
	if (!version_declared(i->model))
		return e;
	for (size_t k = 0; !e && k < m->n_inputs; k++)
		e = fill_input(i, &m->inputs[k], k);
	for (size_t k = 0; !e && k < m->n_targets; k++)
		e = fill_target(i, &m->targets[k], k);
	for (size_t k = 0; !e && k < m->n_outputs; k++)
		e = fill_output(i, m->outputs[k], k);
	for (size_t k = 0; !e && k < m->n_parameters; k++)
		e = fill_parameter(i, &m->parameters[k]);
	return e;
}
