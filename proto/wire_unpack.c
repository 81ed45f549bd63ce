/*
 * wire_unpack.c: bytes from the other end of a channel to message structs; a border. The headers are
 * read by hand: an Envelope must have one body that spans it exactly, so nothing is ever merged.
 * wire_fast.c takes the body if it is one of the usual ones; else protobuf-c unpacks the body with the scratch memory as its allocator: what a
 * record can make us hold is bounded by WIRE_SCRATCH_MAX, whatever its fields. Last, wire_check()
 * applies every rule. Numbers, dims and strings are used where protobuf-c put them. Daemon and
 * worker; one thread a scratch.
 */
#include <errno.h>
#include <string.h>

#include "proto/wire.pb-c.h"
#include "proto/wire_private.h"

#define LENGTH_DELIMITED 2u
#define RECORD_MESSAGES	 1u

struct take {
	struct wire_scratch *scratch;
	struct wire_message *m;
	bool bad; /* exhausted scratch, or a string with a NUL inside */
};

typedef void take_fn(struct take *t, const ProtobufCMessage *body);

struct body {
	const ProtobufCMessageDescriptor *descriptor;
	take_fn *take;
};

static void *arena_alloc(void *scratch, size_t n)
{
	return wire_scratch_alloc(scratch, n);
}

static void arena_free(void *scratch, void *p)
{
	/* The next wire_scratch_reset() frees everything. */
}

/* protobuf-c loses the length of a string, but it allocates exactly the length and a NUL. */
static const char *take_text(struct take *t, const char *text)
{
	if (text == protobuf_c_empty_string)
		return "";
	if (memchr(text, '\0', wire_scratch_size(t->scratch, text) - 1))
		t->bad = true;
	return text;
}

/* NULL when n is 0 or there is no room. */
static void *take_array(struct take *t, size_t n, size_t size)
{
	void *array = NULL;
	size_t bytes;

	if (n > 0 && !__builtin_mul_overflow(n, size, &bytes))
		array = wire_scratch_alloc(t->scratch, bytes);
	t->bad |= n > 0 && !array;
	return array;
}

static const struct wire_pair *take_pairs(struct take *t, Modeld__Wire__Pair *const *from, size_t n)
{
	struct wire_pair *to = take_array(t, n, sizeof(*to));

	for (size_t i = 0; to && i < n; i++)
		to[i] = (struct wire_pair){
			.key = take_text(t, from[i]->key),
			.value = take_text(t, from[i]->value),
		};
	return to;
}

static const struct wire_tensor *take_tensors(
	struct take *t, Modeld__Wire__Tensor *const *from, size_t n)
{
	struct wire_tensor *to = take_array(t, n, sizeof(*to));

	for (size_t i = 0; to && i < n; i++)
		to[i] = (struct wire_tensor){
			.index = from[i]->index,
			.dtype = (enum dtype)from[i]->dtype,
			.rank = (uint32_t)from[i]->n_dims,
			.dims = from[i]->dims,
			.span = {.arena = from[i]->arena,
				.generation = from[i]->generation,
				.offset = from[i]->offset,
				.length = from[i]->length},
		};
	return to;
}

static const struct wire_target *take_targets(
	struct take *t, Modeld__Wire__Target *const *from, size_t n)
{
	struct wire_target *to = take_array(t, n, sizeof(*to));

	for (size_t i = 0; to && i < n; i++)
		to[i] = (struct wire_target){
			.output = from[i]->output,
			.span = {.arena = from[i]->arena,
				.generation = from[i]->generation,
				.offset = from[i]->offset,
				.length = from[i]->length},
		};
	return to;
}

static const struct wire_item *take_items(struct take *t, Modeld__Wire__Item *const *from, size_t n)
{
	struct wire_item *to = take_array(t, n, sizeof(*to));

	for (size_t i = 0; to && i < n; i++)
		to[i] = (struct wire_item){
			.inputs = take_tensors(t, from[i]->inputs, from[i]->n_inputs),
			.n_inputs = from[i]->n_inputs,
			.outputs = from[i]->outputs,
			.n_outputs = from[i]->n_outputs,
			.parameters = take_pairs(t, from[i]->parameters, from[i]->n_parameters),
			.n_parameters = from[i]->n_parameters,
			.targets = take_targets(t, from[i]->targets, from[i]->n_targets),
			.n_targets = from[i]->n_targets,
		};
	return to;
}

static const struct wire_declaration *take_declarations(
	struct take *t, Modeld__Wire__Declaration *const *from, size_t n)
{
	struct wire_declaration *to = take_array(t, n, sizeof(*to));

	for (size_t i = 0; to && i < n; i++)
		to[i] = (struct wire_declaration){
			.name = take_text(t, from[i]->name),
			.dtype = (enum dtype)from[i]->dtype,
			.any_shape = from[i]->any_shape,
			.rank = (uint32_t)from[i]->n_dims,
			.dims = from[i]->dims,
		};
	return to;
}

static const struct wire_result *take_results(
	struct take *t, Modeld__Wire__Result *const *from, size_t n)
{
	struct wire_result *to = take_array(t, n, sizeof(*to));

	for (size_t i = 0; to && i < n; i++)
		to[i] = (struct wire_result){
			.code = from[i]->code,
			.message = take_text(t, from[i]->message),
			.outputs = take_tensors(t, from[i]->outputs, from[i]->n_outputs),
			.n_outputs = from[i]->n_outputs,
		};
	return to;
}

static void take_setup(struct take *t, const ProtobufCMessage *body)
{
	const Modeld__Wire__Setup *from = (const void *)body;

	/* The list of strings can be lent as it is: only its content is checked. */
	for (size_t i = 0; i < from->n_backend_dirs; i++)
		(void)take_text(t, from->backend_dirs[i]);
	t->m->setup = (struct wire_setup){
		.protocol = from->protocol,
		.worker = take_text(t, from->worker),
		.device = take_text(t, from->device),
		.input_arena = from->input_arena,
		.input_arena_size = from->input_arena_size,
		.output_arena = from->output_arena,
		.output_arena_size = from->output_arena_size,
		.output_populate_first = from->output_populate_first,
		.slots = from->slots,
		.n_loads = from->n_loads,
		.backend_dirs = (const char *const *)from->backend_dirs,
		.n_backend_dirs = from->n_backend_dirs,
		.settings = take_pairs(t, from->settings, from->n_settings),
		.n_settings = from->n_settings,
		.busy_poll_us = from->busy_poll_us,
		.log_level = from->log_level,
	};
}

static void take_load(struct take *t, const ProtobufCMessage *body)
{
	const Modeld__Wire__Load *from = (const void *)body;

	t->m->load = (struct wire_load){
		.model = from->model,
		.name = take_text(t, from->name),
		.version = take_text(t, from->version),
		.path = take_text(t, from->path),
		.backend = take_text(t, from->backend),
		.max_batch_size = from->max_batch_size,
		.parameters = take_pairs(t, from->parameters, from->n_parameters),
		.n_parameters = from->n_parameters,
	};
}

static void take_unload(struct take *t, const ProtobufCMessage *body)
{
	t->m->unload.model = ((const Modeld__Wire__Unload *)(const void *)body)->model;
}

static void take_run(struct take *t, const ProtobufCMessage *body)
{
	const Modeld__Wire__Run *from = (const void *)body;

	t->m->run = (struct wire_run){
		.batch = from->batch,
		.model = from->model,
		.items = take_items(t, from->items, from->n_items),
		.n_items = from->n_items,
	};
}

static void take_release(struct take *t, const ProtobufCMessage *body)
{
	const Modeld__Wire__Release *from = (const void *)body;

	t->m->release.batches = from->batches;
	t->m->release.n_batches = from->n_batches;
}

static void take_ping(struct take *t, const ProtobufCMessage *body)
{
	t->m->ping.nonce = ((const Modeld__Wire__Ping *)(const void *)body)->nonce;
}

/* Drain and Ready. */
static void take_nothing(struct take *t, const ProtobufCMessage *body)
{
}

static void take_hello(struct take *t, const ProtobufCMessage *body)
{
	const Modeld__Wire__Hello *from = (const void *)body;

	t->m->hello = (struct wire_hello){
		.protocol = from->protocol,
		.output_arena = from->output_arena,
		.output_arena_size = from->output_arena_size,
		.slots = from->slots,
	};
}

static void take_loaded(struct take *t, const ProtobufCMessage *body)
{
	const Modeld__Wire__Loaded *from = (const void *)body;

	t->m->loaded = (struct wire_loaded){
		.model = from->model,
		.ok = from->ok,
		.error = take_text(t, from->error),
		.inputs = take_declarations(t, from->inputs, from->n_inputs),
		.n_inputs = from->n_inputs,
		.outputs = take_declarations(t, from->outputs, from->n_outputs),
		.n_outputs = from->n_outputs,
		.memory_bytes = from->memory_bytes,
		.max_batch_size = from->max_batch_size,
	};
}

static void take_done(struct take *t, const ProtobufCMessage *body)
{
	const Modeld__Wire__Done *from = (const void *)body;

	t->m->done = (struct wire_done){
		.batch = from->batch,
		.compute_ns = from->compute_ns,
		.results = take_results(t, from->results, from->n_results),
		.n_results = from->n_results,
	};
}

static void take_pong(struct take *t, const ProtobufCMessage *body)
{
	t->m->ping.nonce = ((const Modeld__Wire__Pong *)(const void *)body)->nonce;
}

static void take_bye(struct take *t, const ProtobufCMessage *body)
{
	t->m->bye.reason = take_text(t, ((const Modeld__Wire__Bye *)(const void *)body)->reason);
}

static void take_map(struct take *t, const ProtobufCMessage *body)
{
	const Modeld__Wire__Map *from = (const void *)body;

	t->m->map = (struct wire_map){
		.region = from->region,
		.size = from->size,
		.writable = from->writable,
	};
}

static void take_unmap(struct take *t, const ProtobufCMessage *body)
{
	t->m->unmap.region = ((const Modeld__Wire__Unmap *)(const void *)body)->region;
}

static void take_unmapped(struct take *t, const ProtobufCMessage *body)
{
	t->m->unmap.region = ((const Modeld__Wire__Unmapped *)(const void *)body)->region;
}

/* The types are the field numbers of Envelope. */
static const struct body bodies[WIRE_TYPE_MAX + 1] = {
	[MODELD__WIRE__ENVELOPE__BODY_SETUP] = {&modeld__wire__setup__descriptor, take_setup},
	[MODELD__WIRE__ENVELOPE__BODY_LOAD] = {&modeld__wire__load__descriptor, take_load},
	[MODELD__WIRE__ENVELOPE__BODY_UNLOAD] = {&modeld__wire__unload__descriptor, take_unload},
	[MODELD__WIRE__ENVELOPE__BODY_RUN] = {&modeld__wire__run__descriptor, take_run},
	[MODELD__WIRE__ENVELOPE__BODY_RELEASE] = {&modeld__wire__release__descriptor, take_release},
	[MODELD__WIRE__ENVELOPE__BODY_PING] = {&modeld__wire__ping__descriptor, take_ping},
	[MODELD__WIRE__ENVELOPE__BODY_DRAIN] = {&modeld__wire__drain__descriptor, take_nothing},
	[MODELD__WIRE__ENVELOPE__BODY_HELLO] = {&modeld__wire__hello__descriptor, take_hello},
	[MODELD__WIRE__ENVELOPE__BODY_LOADED] = {&modeld__wire__loaded__descriptor, take_loaded},
	[MODELD__WIRE__ENVELOPE__BODY_READY] = {&modeld__wire__ready__descriptor, take_nothing},
	[MODELD__WIRE__ENVELOPE__BODY_DONE] = {&modeld__wire__done__descriptor, take_done},
	[MODELD__WIRE__ENVELOPE__BODY_PONG] = {&modeld__wire__pong__descriptor, take_pong},
	[MODELD__WIRE__ENVELOPE__BODY_BYE] = {&modeld__wire__bye__descriptor, take_bye},
	[MODELD__WIRE__ENVELOPE__BODY_MAP] = {&modeld__wire__map__descriptor, take_map},
	[MODELD__WIRE__ENVELOPE__BODY_UNMAP] = {&modeld__wire__unmap__descriptor, take_unmap},
	[MODELD__WIRE__ENVELOPE__BODY_UNMAPPED] = {&modeld__wire__unmapped__descriptor,
		take_unmapped},
};

/* Read a varint below 2^32 in at most 5 bytes; false where there is none. */
static bool read_varint(const uint8_t **data, size_t *n, uint64_t *ret_v)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < 5 && i < *n; i++) {
		v |= (uint64_t)((*data)[i] & 0x7F) << (7 * i);
		if ((*data)[i] & 0x80)
			continue;
		*data += i + 1;
		*n -= i + 1;
		*ret_v = v;
		return true;
	}
	return false;
}

/* Read a field's tag and length; *data, *n are behind them then. Not longer than what is left. */
static bool read_field(const uint8_t **data, size_t *n, uint64_t *ret_field, size_t *ret_length)
{
	uint64_t tag, length;

	if (!read_varint(data, n, &tag) || !read_varint(data, n, &length) || length > *n)
		return false;
	*ret_field = tag >> 3;
	*ret_length = (size_t)length;
	return (tag & 7) == LENGTH_DELIMITED;
}

/* Read up to the body of the first message, whose length *n is then. */
static bool read_frame(const uint8_t **data, size_t *n, uint64_t *ret_type)
{
	uint64_t field;
	size_t n_body;

	if (!read_field(data, n, &field, n) || field != RECORD_MESSAGES)
		return false;
	return read_field(data, n, ret_type, &n_body) && n_body == *n && *ret_type >= WIRE_SETUP &&
	       *ret_type <= WIRE_TYPE_MAX;
}

static bool unpack_body(struct wire_scratch *s, enum wire_type type, const uint8_t *data, size_t n)
{
	ProtobufCAllocator allocator = {arena_alloc, arena_free, s};
	struct take t = {.scratch = s, .m = &s->message};
	const ProtobufCMessage *body;

	wire_scratch_reset(s);
	s->message = (struct wire_message){.type = type};
	if (wire_fast_unpack(s, data, n, &s->message))
		return true;
	wire_scratch_reset(s);
	body = protobuf_c_message_unpack(bodies[type].descriptor, &allocator, n, data);
	if (!body)
		return false;
	s->message = (struct wire_message){.type = type};
	bodies[type].take(&t, body);
	return !t.bad;
}

int wire_unpack(struct wire_scratch *s, const uint8_t *record, size_t n, size_t *ret_used,
	const struct wire_message **ret_message)
{
	const uint8_t *data = record;
	size_t n_body = n;
	uint64_t type;

	if (n > WIRE_MESSAGE_MAX || !read_frame(&data, &n_body, &type))
		return -EPROTO;
	if (!unpack_body(s, (enum wire_type)type, data, n_body) || wire_check(&s->message) < 0)
		return -EPROTO;
	*ret_used = (size_t)(data - record) + n_body;
	*ret_message = &s->message;
	return 0;
}
