/*
 * handoff_message.c: records to structs and back. Memory is cut from one block and given back by the
 * next call, so neither allocates, and a record of very many small fields finds the block's end
 * instead of ours. Daemon process, loop thread.
 */
#include "handoff/handoff_message.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <string.h>

#include "proto/handoff.pb-c.h"

/* Far more than the limits of proto/handoff.h need; only what is used becomes resident. */
#define SCRATCH_BYTES ((size_t)1 << 20)
#define SCRATCH_ALIGN alignof(max_align_t)

typedef Modeld__Handoff__Envelope Envelope;
typedef Modeld__Handoff__Infer Infer;
typedef Modeld__Handoff__Tensor Tensor;

struct handoff_scratch {
	ProtobufCAllocator allocator;
	size_t used;
	struct handoff_message message;
	_Alignas(max_align_t) uint8_t bytes[];
};

static void *take(struct handoff_scratch *s, size_t n)
{
	size_t rounded = (n + SCRATCH_ALIGN - 1) & ~(SCRATCH_ALIGN - 1);
	void *p = s->bytes + s->used;

	if (rounded < n || rounded > SCRATCH_BYTES - s->used)
		return NULL;
	s->used += rounded;
	return p;
}

static void *on_alloc(void *data, size_t n)
{
	return take(data, n);
}

/* Does nothing: all is given back together. */
static void on_free(void *data, void *p)
{
}

int handoff_scratch_new(struct handoff_scratch **ret_scratch)
{
	struct handoff_scratch *s = malloc(sizeof(*s) + SCRATCH_BYTES);

	if (!s)
		return -ENOMEM;
	s->allocator = (ProtobufCAllocator){on_alloc, on_free, s};
	*ret_scratch = s;
	return 0;
}

struct handoff_scratch *handoff_scratch_free(struct handoff_scratch *s)
{
	free(s);
	return NULL;
}

/* --- Unpacking -------------------------------------------------------------------------------- */

static int take_inputs(struct handoff_scratch *s, struct handoff_infer *to, const Infer *from)
{
	struct handoff_tensor *inputs = take(s, from->n_inputs * sizeof(*inputs));

	if (!inputs)
		return -EPROTO;
	for (size_t i = 0; i < from->n_inputs; i++)
		inputs[i] = (struct handoff_tensor){
			.name = from->inputs[i]->name,
			.dtype = from->inputs[i]->dtype,
			.dims = from->inputs[i]->dims,
			.n_dims = from->inputs[i]->n_dims,
			.region = from->inputs[i]->region,
			.offset = from->inputs[i]->offset,
			.length = from->inputs[i]->length,
		};
	to->inputs = inputs;
	to->n_inputs = from->n_inputs;
	return 0;
}

static int take_targets(struct handoff_scratch *s, struct handoff_infer *to, const Infer *from)
{
	struct handoff_target *targets = take(s, from->n_targets * sizeof(*targets));

	if (!targets)
		return -EPROTO;
	for (size_t i = 0; i < from->n_targets; i++)
		targets[i] = (struct handoff_target){
			.name = from->targets[i]->name,
			.region = from->targets[i]->region,
			.offset = from->targets[i]->offset,
			.length = from->targets[i]->length,
		};
	to->targets = targets;
	to->n_targets = from->n_targets;
	return 0;
}

static int take_parameters(struct handoff_scratch *s, struct handoff_infer *to, const Infer *from)
{
	struct handoff_pair *pairs = take(s, from->n_parameters * sizeof(*pairs));

	if (!pairs)
		return -EPROTO;
	for (size_t i = 0; i < from->n_parameters; i++)
		pairs[i] =
			(struct handoff_pair){from->parameters[i]->key, from->parameters[i]->value};
	to->parameters = pairs;
	to->n_parameters = from->n_parameters;
	return 0;
}

static int take_infer(struct handoff_scratch *s, struct handoff_infer *to, const Infer *from)
{
	int r = take_inputs(s, to, from);

	if (!r)
		r = take_targets(s, to, from);
	if (!r)
		r = take_parameters(s, to, from);
	to->model = from->model;
	to->outputs = (const char *const *)from->outputs;
	to->n_outputs = from->n_outputs;
	to->timeout_us = from->timeout_us;
	return r;
}

static int take_body(struct handoff_scratch *s, struct handoff_message *to, const Envelope *from)
{
	switch (from->body_case) {
	case MODELD__HANDOFF__ENVELOPE__BODY_GET_LIMITS:
		return 0;
	case MODELD__HANDOFF__ENVELOPE__BODY_REGISTER:
		to->enroll.size = from->register_->size;
		to->enroll.read_only = from->register_->read_only;
		return 0;
	case MODELD__HANDOFF__ENVELOPE__BODY_ALLOCATE:
		to->allocate_size = from->allocate->size;
		return 0;
	case MODELD__HANDOFF__ENVELOPE__BODY_UNREGISTER:
		to->unregister.token = from->unregister->region.data;
		to->unregister.n_token = from->unregister->region.len;
		return 0;
	case MODELD__HANDOFF__ENVELOPE__BODY_INFER:
		return take_infer(s, &to->infer, from->infer);
	case MODELD__HANDOFF__ENVELOPE__BODY_CANCEL:
		to->cancel_of = from->cancel->of;
		return 0;
	default:
		return -EPROTO;
	}
}

int handoff_unpack(struct handoff_scratch *s, const uint8_t *data, size_t n,
	const struct handoff_message **ret_message)
{
	const Envelope *e;
	int r;

	s->used = 0;
	e = modeld__handoff__envelope__unpack(&s->allocator, n, data);
	if (!e)
		return -EPROTO;
	s->message =
		(struct handoff_message){.seq = e->seq, .type = (enum handoff_type)e->body_case};
	r = take_body(s, &s->message, e);
	if (r)
		return r;
	*ret_message = &s->message;
	return 0;
}

/* --- Packing ---------------------------------------------------------------------------------- */

/* Whichever the answer is. */
union body {
	Modeld__Handoff__Limits limits;
	Modeld__Handoff__Registered registered;
	Modeld__Handoff__Unregistered unregistered;
	Modeld__Handoff__Inferred inferred;
	Modeld__Handoff__Error error;
};

static void put_tensor(Tensor *to, const struct handoff_tensor *from)
{
	modeld__handoff__tensor__init(to);
	to->name = (char *)from->name;
	to->dtype = from->dtype;
	to->dims = (int64_t *)from->dims;
	to->n_dims = from->n_dims;
	to->region = from->region;
	to->offset = from->offset;
	to->length = from->length;
	to->data.data = (uint8_t *)from->data;
	to->data.len = from->n_data;
}

static int put_inferred(struct handoff_scratch *s, Modeld__Handoff__Inferred *to,
	const struct handoff_inferred *from)
{
	Tensor *tensors = take(s, from->n_outputs * sizeof(*tensors));

	modeld__handoff__inferred__init(to);
	to->outputs = take(s, from->n_outputs * sizeof(Tensor *));
	if (!tensors || !to->outputs)
		return -EMSGSIZE;
	for (size_t i = 0; i < from->n_outputs; i++) {
		put_tensor(&tensors[i], &from->outputs[i]);
		to->outputs[i] = &tensors[i];
	}
	to->n_outputs = from->n_outputs;
	to->queue_ns = from->queue_ns;
	to->compute_ns = from->compute_ns;
	to->total_ns = from->total_ns;
	to->batch_requests = from->batch_requests;
	to->worker = (char *)from->worker;
	return 0;
}

static void put_limits(Modeld__Handoff__Limits *to, const struct handoff_limits *from)
{
	modeld__handoff__limits__init(to);
	to->protocol = HANDOFF_PROTOCOL;
	to->total_bytes = from->total_bytes;
	to->total_used_bytes = from->total_used_bytes;
	to->user_bytes = from->user_bytes;
	to->user_used_bytes = from->user_used_bytes;
	to->user_regions = from->user_regions;
	to->user_used_regions = from->user_used_regions;
	to->max_inline_bytes = HANDOFF_INLINE_MAX;
	to->max_requests = from->max_requests;
	to->busy_poll_us = from->busy_poll_us;
}

static int put_body(
	struct handoff_scratch *s, Envelope *e, union body *body, const struct handoff_message *m)
{
	switch (m->type) {
	case HANDOFF_LIMITS:
		put_limits(&body->limits, &m->limits);
		e->limits = &body->limits;
		return 0;
	case HANDOFF_REGISTERED:
		modeld__handoff__registered__init(&body->registered);
		body->registered.region.data = (uint8_t *)m->registered.token;
		body->registered.region.len = HANDOFF_TOKEN_BYTES;
		body->registered.number = m->registered.number;
		body->registered.size = m->registered.size;
		e->registered = &body->registered;
		return 0;
	case HANDOFF_UNREGISTERED:
		modeld__handoff__unregistered__init(&body->unregistered);
		e->unregistered = &body->unregistered;
		return 0;
	case HANDOFF_INFERRED:
		e->inferred = &body->inferred;
		return put_inferred(s, &body->inferred, &m->inferred);
	default:
		assert(m->type == HANDOFF_ERROR);
		modeld__handoff__error__init(&body->error);
		body->error.code = m->error.code;
		body->error.message = (char *)m->error.message;
		e->error = &body->error;
		return 0;
	}
}

int handoff_pack(struct handoff_scratch *s, const struct handoff_message *m,
	const uint8_t **ret_data, size_t *ret_n)
{
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;
	union body body;
	uint8_t *data;
	size_t n;
	int r;

	s->used = 0;
	e.seq = m->seq;
	e.body_case = (Modeld__Handoff__Envelope__BodyCase)m->type;
	r = put_body(s, &e, &body, m);
	if (r)
		return r;
	n = modeld__handoff__envelope__get_packed_size(&e);
	data = n > HANDOFF_MESSAGE_MAX ? NULL : take(s, n);
	if (!data)
		return -EMSGSIZE;
	modeld__handoff__envelope__pack(&e, data);
	*ret_data = data;
	*ret_n = n;
	return 0;
}
