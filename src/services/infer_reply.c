/*
 * infer_reply.c: an InferResponse, packed by hand. protobuf-c would need the tensor data in one
 * piece with the rest; here it stays where it is, and for that it is the last field of the last
 * field (readers take fields in any order).
 *
 * The head is bounded: names that come from elsewhere are cut at TEXT_MAX bytes, which the wire to
 * the workers allows no more of. Daemon process, loop thread.
 */
#include "services/infer_reply.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/digits.h"
#include "dispatch/version.h"
#include "grpc/message.h"
#include "handoff/handoff.h"

#define TEXT_MAX 255u
/* Of one protobuf message: its readers take no longer one. */
#define MESSAGE_MAX ((uint64_t)INT32_MAX)

enum field {
	RESPONSE_ID = 1,
	RESPONSE_TENSOR_REF = 2,
	RESPONSE_TENSOR_DATA = 3,
	RESPONSE_TIME_MS = 4,
	RESPONSE_METADATA = 5,
	TENSOR_BYTES = 1,
	TENSOR_SHAPE = 2,
	TENSOR_DTYPE = 3,
	REF_REGION = 1,
	REF_OFFSET = 2,
	REF_SIZE = 3,
	REF_SHAPE = 4,
	REF_DTYPE = 5,
	ENTRY_KEY = 1,
	ENTRY_VALUE = 2,
};

#define TAG_VARINT(field)    ((uint8_t)((field) << 3))
#define TAG_DELIMITED(field) ((uint8_t)((field) << 3 | 2))

static size_t varint_size(uint64_t value)
{
	size_t n = 1;

	while (value >= 0x80) {
		value >>= 7;
		n++;
	}
	return n;
}

static size_t put_varint(uint8_t *out, uint64_t value)
{
	size_t n = 0;

	while (value >= 0x80) {
		out[n++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	out[n++] = (uint8_t)value;
	return n;
}

static void add_byte(struct infer_reply *p, uint8_t byte)
{
	assert(p->n_head < sizeof(p->head));
	p->head[p->n_head++] = byte;
}

static void add_varint(struct infer_reply *p, uint64_t value)
{
	assert(sizeof(p->head) - p->n_head >= 10);
	p->n_head += put_varint(p->head + p->n_head, value);
}

static void add_text(struct infer_reply *p, uint8_t tag, const char *text, size_t n)
{
	add_byte(p, tag);
	add_varint(p, n);
	assert(n <= sizeof(p->head) - p->n_head);
	memcpy(p->head + p->n_head, text, n);
	p->n_head += n;
}

static void add_metadata(struct infer_reply *p, const char *key, const char *value)
{
	size_t n_key = strlen(key);
	size_t n_value = strnlen(value, TEXT_MAX);

	add_byte(p, TAG_DELIMITED(RESPONSE_METADATA));
	add_varint(p, 2 + varint_size(n_key) + n_key + varint_size(n_value) + n_value);
	add_text(p, TAG_DELIMITED(ENTRY_KEY), key, n_key);
	add_text(p, TAG_DELIMITED(ENTRY_VALUE), value, n_value);
}

static void add_figure(struct infer_reply *p, const char *key, uint64_t value)
{
	char text[DECIMAL_MAX + 1];

	text[decimal_write(text, value)] = '\0';
	add_metadata(p, key, text);
}

static uint64_t since(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? to_ns - from_ns : 0;
}

static uint64_t to_us(uint64_t ns)
{
	return (ns + NS_PER_US / 2) / NS_PER_US;
}

static void add_times(
	struct infer_reply *p, const struct infer *i, const struct request_result *result)
{
	const struct request_times *t = &result->times;
	uint64_t total_ns = since(t->received_ns, t->done_ns);

	add_byte(p, TAG_VARINT(RESPONSE_TIME_MS));
	add_varint(p, total_ns / NS_PER_MS + (total_ns % NS_PER_MS > 0));
	add_figure(p, "queue_us", to_us(since(t->submitted_ns, t->dispatched_ns)));
	add_figure(p, "compute_us", to_us(t->compute_ns));
	add_figure(p, "total_us", to_us(total_ns));
	add_figure(p, "batch_size", result->batch_requests);
	add_metadata(p, "worker", result->worker);
	add_metadata(p, "device", result->device);
	add_metadata(p, "model_version", version_settings(i->model)->version);
}

static size_t shape_size(const struct pool_output *o)
{
	size_t n = 0;

	for (uint32_t k = 0; k < o->rank; k++)
		n += varint_size((uint64_t)o->dims[k]);
	return n;
}

static void add_shape(struct infer_reply *p, uint8_t tag, const struct pool_output *o)
{
	size_t n = shape_size(o);

	if (n == 0)
		return;
	add_byte(p, tag);
	add_varint(p, n);
	for (uint32_t k = 0; k < o->rank; k++)
		add_varint(p, (uint64_t)o->dims[k]);
}

/* TensorRef: the output is where the client wanted it. */
static void add_ref(struct infer_reply *p, const struct infer *i, const struct pool_output *o,
	const struct request_target *target)
{
	const char *dtype = dtype_name(o->dtype);
	size_t n_dtype = strlen(dtype);
	size_t n_shape = shape_size(o);
	size_t n_region = strlen(i->region);
	uint64_t n = 2 + n_region + 1 + varint_size(target->offset) + 1 + varint_size(o->length) +
		     2 + n_dtype;

	if (n_shape > 0)
		n += 1 + varint_size(n_shape) + n_shape;
	add_byte(p, TAG_DELIMITED(RESPONSE_TENSOR_REF));
	add_varint(p, n);
	add_text(p, TAG_DELIMITED(REF_REGION), i->region, n_region);
	add_byte(p, TAG_VARINT(REF_OFFSET));
	add_varint(p, target->offset);
	add_byte(p, TAG_VARINT(REF_SIZE));
	add_varint(p, o->length);
	add_shape(p, TAG_DELIMITED(REF_SHAPE), o);
	add_text(p, TAG_DELIMITED(REF_DTYPE), dtype, n_dtype);
}

/* TensorData up to its bytes, which follow the head. */
static void add_tensor(struct infer_reply *p, const struct pool_output *o)
{
	const char *dtype = dtype_name(o->dtype);
	size_t n_dtype = strlen(dtype);
	size_t n_shape = shape_size(o);
	uint64_t n;

	n = 1 + varint_size(n_dtype) + n_dtype + 1 + varint_size(o->length) + o->length;
	if (n_shape > 0)
		n += 1 + varint_size(n_shape) + n_shape;
	add_byte(p, TAG_DELIMITED(RESPONSE_TENSOR_DATA));
	add_varint(p, n);
	add_shape(p, TAG_DELIMITED(TENSOR_SHAPE), o);
	add_text(p, TAG_DELIMITED(TENSOR_DTYPE), dtype, n_dtype);
	add_byte(p, TAG_DELIMITED(TENSOR_BYTES));
	add_varint(p, o->length);
}

static const struct pool_output *find_output(const struct request_result *result, uint32_t index)
{
	for (size_t k = 0; k < result->n_outputs; k++) {
		if (result->outputs[k].index == index)
			return &result->outputs[k];
	}
	return NULL;
}

static int check_output(struct infer *i, const struct pool_output *o, bool at_target)
{
	const char *name = version_settings(i->model)->name;

	if (!o || (!at_target && !o->data && o->length > 0))
		return infer_fail(&i->failure, GRPC_INTERNAL, "model '%s' gave no output %" PRIu32,
			name, i->output);
	for (uint32_t k = 0; k < o->rank; k++) {
		if (o->dims[k] >= 0 && o->dims[k] <= INT32_MAX)
			continue;
		return infer_fail(&i->failure, GRPC_OUT_OF_RANGE,
			"dimension %" PRIu32 " of model '%s' output %" PRIu32 " is %" PRId64
			", which an InferResponse cannot carry: the limit is %" PRId32,
			k, name, i->output, o->dims[k], INT32_MAX);
	}
	if (!at_target && o->length > MESSAGE_MAX - INFER_REPLY_HEAD_MAX - i->n_id)
		return infer_fail(&i->failure, GRPC_RESOURCE_EXHAUSTED,
			"output of %" PRIu64 " bytes is larger than a protobuf message may be, "
			"%" PRIu64 " bytes",
			o->length, MESSAGE_MAX);
	return 0;
}

int infer_reply_init(struct infer_reply *p, struct infer *i, const struct request_result *result)
{
	const struct pool_output *o = find_output(result, i->output);
	const struct request_target *target = request_result_target(result, i->output);
	int r = check_output(i, o, target != NULL);

	if (r)
		return r;
	p->id = i->id;
	p->n_id = i->n_id;
	p->id_head[0] = TAG_DELIMITED(RESPONSE_ID);
	p->n_id_head = (uint8_t)(1 + put_varint(p->id_head + 1, i->n_id));
	p->n_head = 0;
	add_times(p, i, result);
	p->lease = NULL;
	p->tensor = NULL;
	p->n_tensor = 0;
	if (target) {
		add_ref(p, i, o, target);
		handoff_count_tensor(i->services->handoff, o->length);
		return 0;
	}
	add_tensor(p, o);
	p->tensor = o->data;
	p->n_tensor = o->length;
	if (o->length > 0)
		p->lease = output_lease_ref(result->lease);
	return 0;
}

size_t infer_reply_size(const struct infer_reply *p)
{
	return offsetof(struct infer_reply, head) + p->n_head;
}

static void on_release(void *owner)
{
	output_lease_unref(owner);
}

int infer_reply_send(struct infer_reply *p, struct call *c)
{
	struct segment segments[4] = {
		{.data = p->id_head, .n = p->n_id_head},
		{.data = p->id, .n = p->n_id},
		{.data = p->head, .n = p->n_head},
		{
			.data = p->tensor,
			.n = p->n_tensor,
			.release = on_release,
			.owner = steal_ptr(p->lease),
			.bulk = true,
		},
	};

	return call_send(c, segments, p->n_tensor > 0 ? 4 : 3);
}

void infer_reply_deinit(struct infer_reply *p)
{
	p->lease = output_lease_unref(p->lease);
}

void infer_reply_failure(struct call *c, struct infer_failure *f)
{
	struct infer_failure taken = {0};

	infer_failure_move(&taken, f);
	if (taken.text)
		call_finish(c, taken.status, taken.text);
	else
		message_no_memory(c);
	infer_failure_deinit(&taken);
}
