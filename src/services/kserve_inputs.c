/*
 * kserve_inputs.c: the tensors of a ModelInferRequest. raw_input_contents[k] is that of the k-th input
 * that has neither contents nor a place in shared memory. An input that the model does not have is
 * passed over here: the check of all names says so. Daemon process, loop thread.
 */
#include "services/kserve_inputs.h"

#include <string.h>

#include "dispatch/version.h"
#include "services/infer_region.h"
#include "services/key_region.h"
#include "services/kserve_check.h"
#include "services/kserve_contents.h"
#include "services/kserve_infer.h"
#include "services/kserve_parameters.h"

#define NAME_SHOWN 255

struct filling {
	struct infer *i;
	struct infer_receive *receive;
	size_t n_raw; /* that came */
	size_t raw;   /* the next one */
};

static const char *model_name(const struct infer *i)
{
	return version_settings(i->model)->name;
}

static int fail_receive(struct filling *x)
{
	infer_failure_move(&x->i->failure, &x->receive->failure);
	return INFER_E_FAILED;
}

static void put(struct request_input *in, const struct infer_piece *piece)
{
	in->lease = piece->lease;
	in->offset = piece->offset;
	in->length = piece->length;
}

/* in: NULL for an input that the model does not have. */
static int fill_raw(struct filling *x, const struct kserve_input *m, struct request_input *in)
{
	struct infer_piece piece;

	if (x->raw >= x->n_raw)
		return infer_fail(&x->i->failure, GRPC_INVALID_ARGUMENT,
			"unable to find data for input tensor '%.*s' for model '%s' in request.",
			NAME_SHOWN, m->name, model_name(x->i));
	if (in && infer_receive_take(x->receive, x->raw, &piece))
		return fail_receive(x);
	if (in)
		put(in, &piece);
	x->raw++;
	return 0;
}

static int fail_type(struct infer *i, const struct kserve_input *m, const char *type)
{
	return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
		"unexpected explicit tensor data for input tensor '%.*s' for model '%s' of type "
		"'%s', expected datatype '%.32s'",
		NAME_SHOWN, m->name, model_name(i), type, m->datatype);
}

static int fill_typed(struct filling *x, const struct kserve_input *m, struct request_input *in)
{
	struct infer_piece piece;
	const char *type = "";
	uint64_t bytes;
	enum dtype d = kserve_dtype(m->datatype);

	if (x->n_raw > 0)
		return infer_fail(&x->i->failure, GRPC_INVALID_ARGUMENT,
			"contents field must not be specified when using raw_input_contents for "
			"'%.*s' for model '%s'",
			NAME_SHOWN, m->name, model_name(x->i));
	switch (kserve_contents_measure(m->contents, m->n_contents, d, &bytes, &type)) {
	case 0:
		break;
	case KSERVE_CONTENTS_E_TYPE:
		return fail_type(x->i, m, type);
	default:
		return infer_fail(&x->i->failure, GRPC_INTERNAL, "malformed ModelInferRequest");
	}
	if (!in)
		return 0;
	if (infer_receive_make(x->receive, bytes, &piece))
		return fail_receive(x);
	put(in, &piece);
	if (bytes > 0)
		kserve_contents_write(m->contents, m->n_contents, d, lease_data(piece.lease));
	return 0;
}

/* A region that its client has registered by key, or handed over. */
static int fill_region(
	struct filling *x, const struct kserve_place *place, struct request_input *in)
{
	struct kserve_infer *k = (struct kserve_infer *)x->i;
	struct key_region *key = kserve_keys_find(k, place);
	int r;

	if (key && !key->device)
		return kserve_keys_input(k, x->receive, key, place, in);
	if (key && key_region_check(key, place->offset, place->length, &x->i->failure))
		return INFER_E_FAILED;
	if (!in)
		return 0;
	if (key) {
		in->region = region_ref(key->device);
	} else {
		r = infer_region_named(x->i, place->region, place->n_region, &in->region);
		if (r)
			return r;
	}
	in->offset = place->offset;
	in->length = place->length;
	if (!key)
		x->i->n_handed += place->length;
	return 0;
}

static int fill_data(struct filling *x, const struct kserve_input *m, struct request_input *in)
{
	struct kserve_place place = {0};
	int r = 0;

	if (m->n_parameters > 0)
		r = kserve_read_place(x->i, m->name, m->parameters, m->n_parameters, &place);
	if (r)
		return r;
	if (place.region && m->n_contents > 0)
		return infer_fail(&x->i->failure, GRPC_INVALID_ARGUMENT,
			"unexpected 'content' provided when using shared memory for input tensor "
			"'%.*s' for model '%s'",
			NAME_SHOWN, m->name, model_name(x->i));
	if (place.region)
		return fill_region(x, &place, in);
	if (m->n_contents > 0)
		return fill_typed(x, m, in);
	return fill_raw(x, m, in);
}

static int fill_shape(struct infer *i, const struct kserve_input *m, struct request_input *in)
{
	if (m->rank > TENSOR_RANK_MAX)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"input '%.*s' for model '%s' has %zu dimensions, which exceeds %d",
			NAME_SHOWN, m->name, model_name(i), m->rank, TENSOR_RANK_MAX);
	in->dtype = kserve_dtype(m->datatype);
	in->rank = (uint32_t)m->rank;
	if (m->rank > 0)
		memcpy(in->dims, m->dims, m->rank * sizeof(m->dims[0]));
	return 0;
}

static int fill_input(struct filling *x, const struct kserve_input *m, uint32_t hint)
{
	struct infer *i = x->i;
	struct request_input *in = NULL;
	uint32_t index = hint;
	int r;

	if (version_find_input(i->model, m->name, &index) == 0 &&
		!version_hides_input(i->model, index))
		in = request_input(i->request, index);
	if (in && (in->lease || in->region))
		return kserve_fail(
			i, "input '%.*s' already exists in request", NAME_SHOWN, m->name);
	r = fill_data(x, m, in);
	if (!r && in)
		r = fill_shape(i, m, in);
	return r;
}

int kserve_fill_inputs(
	struct infer *i, const struct kserve_request *m, struct infer_receive *receive)
{
	struct filling x = {i, receive, infer_receive_count(receive), 0};
	int r = 0;

	if (m->n_inputs > WIRE_TENSORS_MAX)
		return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
			"%zu inputs exceed the limit of %u", m->n_inputs, WIRE_TENSORS_MAX);
	for (size_t k = 0; k < m->n_inputs && !r; k++)
		r = fill_input(&x, &m->inputs[k], (uint32_t)k);
	return r;
}
