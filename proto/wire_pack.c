/*
 * wire_pack.c: message structs to bytes. The protobuf-c structs are built in the scratch memory with
 * pointers into the caller's message, then packed behind hand-written headers: one of a field of
 * Record, and in it an Envelope, which is one length-delimited field whose number is the message's
 * type. Daemon and worker; one thread a scratch.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "proto/wire.pb-c.h"
#include "proto/wire_private.h"

#define LENGTH_DELIMITED 2u
#define RECORD_MESSAGES	 1u

struct pack {
	struct wire_scratch *scratch;
	const struct wire_message *m;
	bool full; /* some allocation failed: what was built must not be packed */
};

typedef const ProtobufCMessage *put_fn(struct pack *p);

size_t wire_varint_size(uint64_t v)
{
	return (size_t)(63 - __builtin_clzll(v | 1)) / 7 + 1;
}

size_t wire_varint_write(uint8_t *out, uint64_t v)
{
	size_t n = 0;

	for (; v > 0x7F; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	return n;
}

static void *put_array(struct pack *p, size_t n, size_t size)
{
	void *array = NULL;
	size_t bytes;

	if (n > 0 && !p->full && !__builtin_mul_overflow(n, size, &bytes))
		array = wire_scratch_alloc(p->scratch, bytes);
	p->full |= n > 0 && !array;
	return array;
}

/* n structs of `size` bytes and the list of pointers to them that protobuf-c wants. NULL when n is
 * 0 or there is no room. */
static void *put_list(struct pack *p, size_t n, size_t size, void *ret_list)
{
	void **list = put_array(p, n, sizeof(*list));
	uint8_t *structs = put_array(p, n, size);

	if (!structs)
		return NULL;
	for (size_t i = 0; i < n; i++)
		list[i] = structs + i * size;
	*(void ***)ret_list = list;
	return structs;
}

static Modeld__Wire__Pair **put_pairs(struct pack *p, const struct wire_pair *from, size_t n)
{
	Modeld__Wire__Pair **list = NULL;
	Modeld__Wire__Pair *to = put_list(p, n, sizeof(*to), &list);

	for (size_t i = 0; to && i < n; i++) {
		to[i] = (Modeld__Wire__Pair)MODELD__WIRE__PAIR__INIT;
		to[i].key = (char *)from[i].key;
		to[i].value = (char *)from[i].value;
	}
	return list;
}

static Modeld__Wire__Tensor **put_tensors(struct pack *p, const struct wire_tensor *from, size_t n)
{
	Modeld__Wire__Tensor **list = NULL;
	Modeld__Wire__Tensor *to = put_list(p, n, sizeof(*to), &list);

	for (size_t i = 0; to && i < n; i++) {
		to[i] = (Modeld__Wire__Tensor)MODELD__WIRE__TENSOR__INIT;
		to[i].index = from[i].index;
		to[i].dtype = from[i].dtype;
		to[i].n_dims = from[i].rank;
		to[i].dims = (int64_t *)from[i].dims;
		to[i].arena = from[i].span.arena;
		to[i].generation = from[i].span.generation;
		to[i].offset = from[i].span.offset;
		to[i].length = from[i].span.length;
	}
	return list;
}

static Modeld__Wire__Target **put_targets(struct pack *p, const struct wire_target *from, size_t n)
{
	Modeld__Wire__Target **list = NULL;
	Modeld__Wire__Target *to = put_list(p, n, sizeof(*to), &list);

	for (size_t i = 0; to && i < n; i++) {
		to[i] = (Modeld__Wire__Target)MODELD__WIRE__TARGET__INIT;
		to[i].output = from[i].output;
		to[i].arena = from[i].span.arena;
		to[i].generation = from[i].span.generation;
		to[i].offset = from[i].span.offset;
		to[i].length = from[i].span.length;
	}
	return list;
}

static Modeld__Wire__Item **put_items(struct pack *p, const struct wire_item *from, size_t n)
{
	Modeld__Wire__Item **list = NULL;
	Modeld__Wire__Item *to = put_list(p, n, sizeof(*to), &list);

	for (size_t i = 0; to && i < n; i++) {
		to[i] = (Modeld__Wire__Item)MODELD__WIRE__ITEM__INIT;
		to[i].n_inputs = from[i].n_inputs;
		to[i].inputs = put_tensors(p, from[i].inputs, from[i].n_inputs);
		to[i].n_outputs = from[i].n_outputs;
		to[i].outputs = (uint32_t *)from[i].outputs;
		to[i].n_parameters = from[i].n_parameters;
		to[i].parameters = put_pairs(p, from[i].parameters, from[i].n_parameters);
		to[i].n_targets = from[i].n_targets;
		to[i].targets = put_targets(p, from[i].targets, from[i].n_targets);
	}
	return list;
}

static Modeld__Wire__Declaration **put_declarations(
	struct pack *p, const struct wire_declaration *from, size_t n)
{
	Modeld__Wire__Declaration **list = NULL;
	Modeld__Wire__Declaration *to = put_list(p, n, sizeof(*to), &list);

	for (size_t i = 0; to && i < n; i++) {
		to[i] = (Modeld__Wire__Declaration)MODELD__WIRE__DECLARATION__INIT;
		to[i].name = (char *)from[i].name;
		to[i].dtype = from[i].dtype;
		to[i].any_shape = from[i].any_shape;
		to[i].n_dims = from[i].rank;
		to[i].dims = (int64_t *)from[i].dims;
	}
	return list;
}

static Modeld__Wire__Result **put_results(struct pack *p, const struct wire_result *from, size_t n)
{
	Modeld__Wire__Result **list = NULL;
	Modeld__Wire__Result *to = put_list(p, n, sizeof(*to), &list);

	for (size_t i = 0; to && i < n; i++) {
		to[i] = (Modeld__Wire__Result)MODELD__WIRE__RESULT__INIT;
		to[i].code = from[i].code;
		to[i].message = (char *)from[i].message;
		to[i].n_outputs = from[i].n_outputs;
		to[i].outputs = put_tensors(p, from[i].outputs, from[i].n_outputs);
	}
	return list;
}

/* protobuf-c takes NULL for an empty string everywhere but in a repeated field. */
static char **put_texts(struct pack *p, const char *const *from, size_t n)
{
	char **list = put_array(p, n, sizeof(*list));

	for (size_t i = 0; list && i < n; i++)
		list[i] = (char *)(from[i] ? from[i] : "");
	return list;
}

/* Declares `to`, a protobuf-c struct in scratch memory, initialised; returns from the caller with
 * NULL when there is no room. */
#define PUT(type, init)                                                                            \
	type *to = put_array(p, 1, sizeof(*to));                                                   \
	if (!to)                                                                                   \
		return NULL;                                                                       \
	*to = (type)init

static const ProtobufCMessage *put_setup(struct pack *p)
{
	const struct wire_setup *from = &p->m->setup;

	PUT(Modeld__Wire__Setup, MODELD__WIRE__SETUP__INIT);
	to->protocol = from->protocol;
	to->worker = (char *)from->worker;
	to->device = (char *)from->device;
	to->input_arena = from->input_arena;
	to->input_arena_size = from->input_arena_size;
	to->output_arena = from->output_arena;
	to->output_arena_size = from->output_arena_size;
	to->output_populate_first = from->output_populate_first;
	to->slots = from->slots;
	to->n_loads = from->n_loads;
	to->n_backend_dirs = from->n_backend_dirs;
	to->backend_dirs = put_texts(p, from->backend_dirs, from->n_backend_dirs);
	to->n_settings = from->n_settings;
	to->settings = put_pairs(p, from->settings, from->n_settings);
	to->busy_poll_us = from->busy_poll_us;
	to->log_level = from->log_level;
	return &to->base;
}

static const ProtobufCMessage *put_load(struct pack *p)
{
	const struct wire_load *from = &p->m->load;

	PUT(Modeld__Wire__Load, MODELD__WIRE__LOAD__INIT);
	to->model = from->model;
	to->name = (char *)from->name;
	to->version = (char *)from->version;
	to->path = (char *)from->path;
	to->backend = (char *)from->backend;
	to->max_batch_size = from->max_batch_size;
	to->n_parameters = from->n_parameters;
	to->parameters = put_pairs(p, from->parameters, from->n_parameters);
	return &to->base;
}

static const ProtobufCMessage *put_unload(struct pack *p)
{
	PUT(Modeld__Wire__Unload, MODELD__WIRE__UNLOAD__INIT);
	to->model = p->m->unload.model;
	return &to->base;
}

static const ProtobufCMessage *put_run(struct pack *p)
{
	PUT(Modeld__Wire__Run, MODELD__WIRE__RUN__INIT);
	to->batch = p->m->run.batch;
	to->model = p->m->run.model;
	to->n_items = p->m->run.n_items;
	to->items = put_items(p, p->m->run.items, p->m->run.n_items);
	return &to->base;
}

static const ProtobufCMessage *put_release(struct pack *p)
{
	PUT(Modeld__Wire__Release, MODELD__WIRE__RELEASE__INIT);
	to->n_batches = p->m->release.n_batches;
	to->batches = (uint64_t *)p->m->release.batches;
	return &to->base;
}

static const ProtobufCMessage *put_ping(struct pack *p)
{
	PUT(Modeld__Wire__Ping, MODELD__WIRE__PING__INIT);
	to->nonce = p->m->ping.nonce;
	return &to->base;
}

static const ProtobufCMessage *put_drain(struct pack *p)
{
	PUT(Modeld__Wire__Drain, MODELD__WIRE__DRAIN__INIT);
	return &to->base;
}

static const ProtobufCMessage *put_hello(struct pack *p)
{
	PUT(Modeld__Wire__Hello, MODELD__WIRE__HELLO__INIT);
	to->protocol = p->m->hello.protocol;
	to->output_arena = p->m->hello.output_arena;
	to->output_arena_size = p->m->hello.output_arena_size;
	to->slots = p->m->hello.slots;
	return &to->base;
}

static const ProtobufCMessage *put_loaded(struct pack *p)
{
	const struct wire_loaded *from = &p->m->loaded;

	PUT(Modeld__Wire__Loaded, MODELD__WIRE__LOADED__INIT);
	to->model = from->model;
	to->ok = from->ok;
	to->error = (char *)from->error;
	to->n_inputs = from->n_inputs;
	to->inputs = put_declarations(p, from->inputs, from->n_inputs);
	to->n_outputs = from->n_outputs;
	to->outputs = put_declarations(p, from->outputs, from->n_outputs);
	to->memory_bytes = from->memory_bytes;
	to->max_batch_size = from->max_batch_size;
	return &to->base;
}

static const ProtobufCMessage *put_ready(struct pack *p)
{
	PUT(Modeld__Wire__Ready, MODELD__WIRE__READY__INIT);
	return &to->base;
}

static const ProtobufCMessage *put_done(struct pack *p)
{
	PUT(Modeld__Wire__Done, MODELD__WIRE__DONE__INIT);
	to->batch = p->m->done.batch;
	to->compute_ns = p->m->done.compute_ns;
	to->n_results = p->m->done.n_results;
	to->results = put_results(p, p->m->done.results, p->m->done.n_results);
	return &to->base;
}

static const ProtobufCMessage *put_pong(struct pack *p)
{
	PUT(Modeld__Wire__Pong, MODELD__WIRE__PONG__INIT);
	to->nonce = p->m->ping.nonce;
	return &to->base;
}

static const ProtobufCMessage *put_bye(struct pack *p)
{
	PUT(Modeld__Wire__Bye, MODELD__WIRE__BYE__INIT);
	to->reason = (char *)p->m->bye.reason;
	return &to->base;
}

static const ProtobufCMessage *put_map(struct pack *p)
{
	PUT(Modeld__Wire__Map, MODELD__WIRE__MAP__INIT);
	to->region = p->m->map.region;
	to->size = p->m->map.size;
	to->writable = p->m->map.writable;
	return &to->base;
}

static const ProtobufCMessage *put_unmap(struct pack *p)
{
	PUT(Modeld__Wire__Unmap, MODELD__WIRE__UNMAP__INIT);
	to->region = p->m->unmap.region;
	return &to->base;
}

static const ProtobufCMessage *put_unmapped(struct pack *p)
{
	PUT(Modeld__Wire__Unmapped, MODELD__WIRE__UNMAPPED__INIT);
	to->region = p->m->unmap.region;
	return &to->base;
}

static put_fn *const put[WIRE_TYPE_MAX + 1] = {
	[WIRE_SETUP] = put_setup,
	[WIRE_LOAD] = put_load,
	[WIRE_UNLOAD] = put_unload,
	[WIRE_RUN] = put_run,
	[WIRE_RELEASE] = put_release,
	[WIRE_PING] = put_ping,
	[WIRE_DRAIN] = put_drain,
	[WIRE_HELLO] = put_hello,
	[WIRE_LOADED] = put_loaded,
	[WIRE_READY] = put_ready,
	[WIRE_DONE] = put_done,
	[WIRE_PONG] = put_pong,
	[WIRE_BYE] = put_bye,
	[WIRE_MAP] = put_map,
	[WIRE_UNMAP] = put_unmap,
	[WIRE_UNMAPPED] = put_unmapped,
};

/* What surrounds a body: a field of Record with a field of Envelope in it. */
struct frame {
	uint64_t tag; /* of the Envelope's field */
	size_t n_body;
	size_t n_envelope;
	size_t n; /* of all */
};

/* -EMSGSIZE */
static int frame_init(struct frame *f, enum wire_type type, size_t n_body)
{
	f->tag = (uint64_t)type << 3 | LENGTH_DELIMITED;
	f->n_body = n_body;
	if (n_body > WIRE_MESSAGE_MAX)
		return -EMSGSIZE;
	f->n_envelope = wire_varint_size(f->tag) + wire_varint_size(n_body) + n_body;
	f->n = wire_delimited_size(f->n_envelope);
	return f->n > WIRE_MESSAGE_MAX ? -EMSGSIZE : 0;
}

/* Everything before the body. Returns where that goes. */
static uint8_t *frame_write(const struct frame *f, uint8_t *out)
{
	*out++ = RECORD_MESSAGES << 3 | LENGTH_DELIMITED;
	out += wire_varint_write(out, f->n_envelope);
	out += wire_varint_write(out, f->tag);
	return out + wire_varint_write(out, f->n_body);
}

/* The body is made by protobuf-c (`body`), or by wire_fast_pack() (NULL). */
static int pack_framed(struct wire_scratch *s, const struct wire_message *m, size_t n_body,
	const ProtobufCMessage *body, const uint8_t **ret_data, size_t *ret_n)
{
	struct frame f;
	uint8_t *out, *at;
	int r = frame_init(&f, m->type, n_body);

	if (r < 0)
		return r;
	out = wire_scratch_alloc(s, f.n);
	if (!out)
		return -EMSGSIZE;
	at = frame_write(&f, out);
	at += body ? protobuf_c_message_pack(body, at) : wire_fast_pack(m, at);
	assert(at == out + f.n);
	*ret_data = out;
	*ret_n = f.n;
	return 0;
}

int wire_pack(struct wire_scratch *s, const struct wire_message *m, const uint8_t **ret_data,
	size_t *ret_n)
{
	struct pack p = {.scratch = s, .m = m};
	const ProtobufCMessage *body;
	size_t n_fast;
	int r = wire_check(m);

	if (r < 0)
		return r;
	wire_scratch_reset(s);
	n_fast = wire_fast_size(m);
	if (n_fast > 0)
		return pack_framed(s, m, n_fast, NULL, ret_data, ret_n);
	body = put[m->type](&p);
	/* So much does not fit a record either. */
	if (p.full)
		return -EMSGSIZE;
	return pack_framed(s, m, protobuf_c_message_get_packed_size(body), body, ret_data, ret_n);
}

/* A field with a number below 16; proto3 leaves zeros out. */
size_t wire_field_size(uint64_t v)
{
	return v == 0 ? 0 : 1 + wire_varint_size(v);
}

size_t wire_delimited_size(size_t n)
{
	return 1 + wire_varint_size(n) + n;
}

static size_t text_size(const char *text)
{
	return text && *text ? wire_delimited_size(strlen(text)) : 0;
}

static size_t span_size(const struct span *s)
{
	return wire_field_size(s->arena) + wire_field_size(s->generation) +
	       wire_field_size(s->offset) + wire_field_size(s->length);
}

size_t wire_tensor_size(const struct wire_tensor *t)
{
	size_t dims = 0;

	for (uint32_t i = 0; i < t->rank; i++)
		dims += wire_varint_size((uint64_t)t->dims[i]);
	return wire_field_size(t->index) + wire_field_size((uint64_t)t->dtype) +
	       span_size(&t->span) + (dims > 0 ? wire_delimited_size(dims) : 0);
}

size_t wire_item_bound(const struct wire_item *item)
{
	size_t n = 0, outputs = 0;

	for (size_t i = 0; i < item->n_inputs; i++)
		n += wire_delimited_size(wire_tensor_size(&item->inputs[i]));
	for (size_t i = 0; i < item->n_outputs; i++)
		outputs += wire_varint_size(item->outputs[i]);
	for (size_t i = 0; i < item->n_parameters; i++)
		n += wire_delimited_size(
			text_size(item->parameters[i].key) + text_size(item->parameters[i].value));
	for (size_t i = 0; i < item->n_targets; i++)
		n += wire_delimited_size(wire_field_size(item->targets[i].output) +
					 span_size(&item->targets[i].span));
	return wire_delimited_size(n + (outputs > 0 ? wire_delimited_size(outputs) : 0));
}
