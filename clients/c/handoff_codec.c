/*
 * handoff_codec.c: the client's end of the handoff protocol. protobuf-c's structs are built in, and
 * unpacked into, a bump arena of fixed size: so nothing is allocated for a call, and what a record of
 * the daemon can make us hold is bounded, whatever its fields.
 *
 * Client process, one thread a codec.
 */
#include "clients/c/handoff_codec.h"

#include <errno.h>
#include <string.h>

#include "proto/handoff.pb-c.h"

#define MEMORY_BYTES (1u << 20)
#define ALIGN	     16u

typedef Modeld__Handoff__Envelope Envelope;
typedef Modeld__Handoff__Tensor Tensor;
typedef Modeld__Handoff__Target Target;

/* Every message that can be a body, so that one needs no memory of its own. */
union body {
	Modeld__Handoff__GetLimits get_limits;
	Modeld__Handoff__Register registration;
	Modeld__Handoff__Allocate allocate;
	Modeld__Handoff__Unregister unregister;
	Modeld__Handoff__Infer infer;
	Modeld__Handoff__Cancel cancel;
};

struct handoff_codec {
	size_t used;
	struct handoff_answer answer;
	_Alignas(ALIGN) uint8_t memory[MEMORY_BYTES];
};

int handoff_codec_new(struct handoff_codec **ret_codec)
{
	struct handoff_codec *c = malloc(sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->used = 0;
	*ret_codec = c;
	return 0;
}

struct handoff_codec *handoff_codec_free(struct handoff_codec *c)
{
	free(c);
	return NULL;
}

/* NULL when the memory is used up. */
static void *take(struct handoff_codec *c, size_t n)
{
	uint8_t *p = c->memory + c->used;

	if (n > MEMORY_BYTES - c->used)
		return NULL;
	c->used += (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	return p;
}

/* --- Packing ---------------------------------------------------------------------------------- */

static Tensor **put_tensors(struct handoff_codec *c, const struct handoff_tensor *from, size_t n)
{
	Tensor **list = take(c, n * sizeof(*list));
	Tensor *to = take(c, n * sizeof(*to));

	for (size_t i = 0; list && to && i < n; i++) {
		modeld__handoff__tensor__init(&to[i]);
		to[i].name = (char *)from[i].name;
		to[i].dtype = from[i].dtype;
		to[i].n_dims = from[i].rank;
		to[i].dims = (int64_t *)from[i].dims;
		to[i].region = from[i].region;
		to[i].offset = from[i].offset;
		to[i].length = from[i].length;
		list[i] = &to[i];
	}
	return to ? list : NULL;
}

static Target **put_targets(struct handoff_codec *c, const struct handoff_target *from, size_t n)
{
	Target **list = take(c, n * sizeof(*list));
	Target *to = take(c, n * sizeof(*to));

	for (size_t i = 0; list && to && i < n; i++) {
		modeld__handoff__target__init(&to[i]);
		to[i].name = (char *)from[i].name;
		to[i].region = from[i].region;
		to[i].offset = from[i].offset;
		to[i].length = from[i].length;
		list[i] = &to[i];
	}
	return to ? list : NULL;
}

static int put_infer(
	struct handoff_codec *c, Modeld__Handoff__Infer *to, const struct handoff_infer *from)
{
	if (from->n_inputs > HANDOFF_TENSORS_MAX || from->n_targets > HANDOFF_TENSORS_MAX)
		return -EMSGSIZE;
	modeld__handoff__infer__init(to);
	to->model = (char *)from->model;
	to->n_inputs = from->n_inputs;
	to->inputs = put_tensors(c, from->inputs, from->n_inputs);
	to->n_targets = from->n_targets;
	to->targets = put_targets(c, from->targets, from->n_targets);
	to->timeout_us = from->timeout_us;
	return to->inputs && to->targets ? 0 : -EMSGSIZE;
}

/* The body of `e`, in *body. */
static int put_body(struct handoff_codec *c, Envelope *e, union body *body,
	const struct handoff_request *request)
{
	switch (request->type) {
	case HANDOFF_GET_LIMITS:
		modeld__handoff__get_limits__init(&body->get_limits);
		e->get_limits = &body->get_limits;
		return 0;
	case HANDOFF_REGISTER:
		modeld__handoff__register__init(&body->registration);
		body->registration.size = request->registration.size;
		body->registration.read_only = request->registration.read_only;
		e->register_ = &body->registration;
		return 0;
	case HANDOFF_ALLOCATE:
		modeld__handoff__allocate__init(&body->allocate);
		body->allocate.size = request->allocate_size;
		e->allocate = &body->allocate;
		return 0;
	case HANDOFF_UNREGISTER:
		modeld__handoff__unregister__init(&body->unregister);
		body->unregister.region.data = (uint8_t *)request->unregister;
		body->unregister.region.len = HANDOFF_TOKEN_BYTES;
		e->unregister = &body->unregister;
		return 0;
	case HANDOFF_INFER:
		e->infer = &body->infer;
		return put_infer(c, &body->infer, &request->infer);
	case HANDOFF_CANCEL:
		modeld__handoff__cancel__init(&body->cancel);
		body->cancel.of = request->cancel_of;
		e->cancel = &body->cancel;
		return 0;
	}
	return -EINVAL;
}

int handoff_codec_pack(struct handoff_codec *c, const struct handoff_request *request,
	const uint8_t **ret_data, size_t *ret_n)
{
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	union body body;
	uint8_t *out;
	size_t n;
	int r;

	c->used = 0;
	e.seq = request->seq;
	e.body_case = (Modeld__Handoff__Envelope__BodyCase)request->type;
	r = put_body(c, &e, &body, request);
	if (r)
		return r;
	n = modeld__handoff__envelope__get_packed_size(&e);
	out = n > HANDOFF_MESSAGE_MAX ? NULL : take(c, n);
	if (!out)
		return -EMSGSIZE;
	*ret_n = modeld__handoff__envelope__pack(&e, out);
	*ret_data = out;
	return 0;
}

/* --- Unpacking -------------------------------------------------------------------------------- */

static void *bump_alloc(void *codec, size_t n)
{
	return take(codec, n);
}

static void bump_free(void *codec, void *p)
{
	/* The next record frees everything. */
}

static int check_tensor(const Tensor *from, struct handoff_tensor *to)
{
	uint64_t elements, bytes;
	int r;

	if (from->dtype == DTYPE_INVALID || from->dtype >= DTYPE_MAX_ ||
		from->n_dims > TENSOR_RANK_MAX || (from->region && from->data.len > 0))
		return -EPROTO;
	r = shape_elements(from->dims, from->n_dims, &elements);
	if (!r && from->dtype != DTYPE_BYTES)
		r = shape_bytes(to->dtype, from->dims, from->n_dims, &bytes);
	else if (!r && !from->region)
		r = bytes_tensor_check(to->data, to->length, elements);
	if (!r && from->dtype != DTYPE_BYTES && bytes != to->length)
		r = -EPROTO;
	return r ? -EPROTO : 0;
}

static int take_tensor(const Tensor *from, struct handoff_tensor *to)
{
	*to = (struct handoff_tensor){
		.name = from->name,
		.dtype = (enum dtype)from->dtype,
		.rank = (uint32_t)from->n_dims,
		.dims = from->dims,
		.region = from->region,
		.offset = from->region ? from->offset : 0,
		.length = from->region ? from->length : from->data.len,
		.data = from->region ? NULL : from->data.data,
	};
	return check_tensor(from, to);
}

static int take_inferred(
	struct handoff_codec *c, struct handoff_inferred *to, const Modeld__Handoff__Inferred *from)
{
	struct handoff_tensor *outputs;

	if (from->n_outputs > HANDOFF_TENSORS_MAX)
		return -EPROTO;
	outputs = take(c, from->n_outputs * sizeof(*outputs));
	if (!outputs)
		return -EPROTO;
	for (size_t i = 0; i < from->n_outputs; i++) {
		int r = take_tensor(from->outputs[i], &outputs[i]);

		if (r)
			return r;
	}
	*to = (struct handoff_inferred){
		.outputs = outputs,
		.n_outputs = from->n_outputs,
		.queue_ns = from->queue_ns,
		.compute_ns = from->compute_ns,
		.total_ns = from->total_ns,
	};
	return 0;
}

static int take_registered(struct handoff_registered *to, const Modeld__Handoff__Registered *from)
{
	if (from->region.len != HANDOFF_TOKEN_BYTES || from->number == 0 || from->size == 0)
		return -EPROTO;
	memcpy(to->token, from->region.data, HANDOFF_TOKEN_BYTES);
	to->number = from->number;
	to->size = from->size;
	return 0;
}

static void take_limits(struct handoff_limits *to, const Modeld__Handoff__Limits *from)
{
	*to = (struct handoff_limits){
		.protocol = from->protocol,
		.total_bytes = from->total_bytes,
		.total_used_bytes = from->total_used_bytes,
		.user_bytes = from->user_bytes,
		.user_used_bytes = from->user_used_bytes,
		.user_regions = from->user_regions,
		.user_used_regions = from->user_used_regions,
		.max_inline_bytes = from->max_inline_bytes,
		.max_requests = from->max_requests,
		.busy_poll_us = from->busy_poll_us,
	};
}

static int take_error(struct handoff_error *to, const Modeld__Handoff__Error *from)
{
	if (from->code == GRPC_OK || from->code > GRPC_UNAUTHENTICATED)
		return -EPROTO;
	to->code = (enum grpc_status)from->code;
	to->message = from->message;
	return 0;
}

static int take_body(struct handoff_codec *c, struct handoff_answer *to, const Envelope *from)
{
	switch (from->body_case) {
	case MODELD__HANDOFF__ENVELOPE__BODY_LIMITS:
		take_limits(&to->limits, from->limits);
		return 0;
	case MODELD__HANDOFF__ENVELOPE__BODY_REGISTERED:
		return take_registered(&to->registered, from->registered);
	case MODELD__HANDOFF__ENVELOPE__BODY_UNREGISTERED:
		return 0;
	case MODELD__HANDOFF__ENVELOPE__BODY_INFERRED:
		return take_inferred(c, &to->inferred, from->inferred);
	case MODELD__HANDOFF__ENVELOPE__BODY_ERROR:
		return take_error(&to->error, from->error);
	default:
		return -EPROTO;
	}
}

int handoff_codec_unpack(struct handoff_codec *c, const uint8_t *data, size_t n,
	const struct handoff_answer **ret_answer)
{
	ProtobufCAllocator bump = {.alloc = bump_alloc, .free = bump_free, .allocator_data = c};
	const Envelope *e;
	int r;

	if (n > HANDOFF_MESSAGE_MAX)
		return -EPROTO;
	c->used = 0;
	e = modeld__handoff__envelope__unpack(&bump, n, data);
	if (!e)
		return -EPROTO;
	c->answer = (struct handoff_answer){
		.seq = e->seq, .type = (enum handoff_answer_type)e->body_case};
	r = take_body(c, &c->answer, e);
	if (r)
		return r;
	*ret_answer = &c->answer;
	return 0;
}
