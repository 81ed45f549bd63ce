/*
 * infer_reply.c: an InferResponse, by the codec. The tensor data stays where it is, and for that it is
 * the last field of the last field (readers take fields in any order).
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

#define RESPONSE_ID	     1u
#define RESPONSE_TENSOR_DATA 3u
#define RESPONSE_METADATA    5u
#define TENSOR_BYTES	     1u
#define ENTRY_KEY	     1u
#define ENTRY_VALUE	     2u

/* A TensorRef, or a TensorData but for its bytes. */
struct tensor {
	const char *region;
	uint64_t offset;
	uint64_t size;
	const int64_t *dims;
	uint32_t rank;
	const char *dtype;
};

/* An InferResponse but for its id, its metadata and a tensor in it. */
struct response {
	const struct tensor *refs; /* one, or none */
	size_t n_refs;
	uint64_t time_ms;
};

static const struct codec_field ref_fields[] = {
	[1] = CODEC_TEXT(struct tensor, region, TEXT_MAX),
	[2] = CODEC_NUMBER(struct tensor, offset),
	[3] = CODEC_NUMBER(struct tensor, size),
	[4] = CODEC_NUMBERS(struct tensor, dims, rank, TENSOR_RANK_MAX, 0, INT32_MAX),
	[5] = CODEC_TEXT(struct tensor, dtype, TEXT_MAX),
};
static const struct codec_message ref = CODEC_MESSAGE(struct tensor, ref_fields, NULL);

static const struct codec_field data_fields[] = {
	[2] = CODEC_NUMBERS(struct tensor, dims, rank, TENSOR_RANK_MAX, 0, INT32_MAX),
	[3] = CODEC_TEXT(struct tensor, dtype, TEXT_MAX),
};
static const struct codec_message data = CODEC_MESSAGE(struct tensor, data_fields, NULL);

static const struct codec_field response_fields[] = {
	[2] = CODEC_MESSAGES(struct response, refs, n_refs, 0, 1, &ref),
	[4] = CODEC_NUMBER(struct response, time_ms),
};
static const struct codec_message response = CODEC_MESSAGE(struct response, response_fields, NULL);

/* --- Bytes, back to front from the end of p->head; each returns where they begin then ------------ */

/* Everything in the head is bounded, so that it fits. */
static uint8_t *put(
	struct infer_reply *p, uint8_t *end, const struct codec_message *m, const void *in)
{
	uint8_t *at = end;
	int r = codec_pack(m, in, p->head, (size_t)(end - p->head), &at);

	assert(r == 0);
	(void)r;
	return at;
}

static inline uint8_t *put_text(uint8_t *end, uint32_t field, const char *text, size_t n)
{
	memcpy(end - n, text, n);
	return codec_put_head(end - n, field, n);
}

static uint8_t *put_entry(
	uint8_t *end, const char *key, size_t n_key, const char *value, size_t n_value)
{
	uint8_t *at = put_text(end, ENTRY_VALUE, value, n_value);

	at = put_text(at, ENTRY_KEY, key, n_key);
	return codec_put_head(at, RESPONSE_METADATA, (uint64_t)(end - at));
}

#define KEY(text) "" text, sizeof(text) - 1

static uint8_t *put_name(uint8_t *end, const char *key, size_t n_key, const char *value)
{
	return put_entry(end, key, n_key, value, strnlen(value, TEXT_MAX));
}

static uint8_t *put_figure(uint8_t *end, const char *key, size_t n_key, uint64_t value)
{
	char text[DECIMAL_MAX];

	return put_entry(end, key, n_key, text, decimal_write(text, value));
}

/* Its bytes, which are not in the head, come behind. */
static uint8_t *put_data(struct infer_reply *p, uint8_t *end, const struct tensor *t)
{
	uint8_t *at = codec_put_head(end, TENSOR_BYTES, t->size);

	at = put(p, at, &data, t);
	return codec_put_head(at, RESPONSE_TENSOR_DATA, (uint64_t)(end - at) + t->size);
}

/* --- What it says ----------------------------------------------------------------------------- */

static uint64_t since(uint64_t from_ns, uint64_t to_ns)
{
	return to_ns > from_ns ? to_ns - from_ns : 0;
}

static uint64_t to_us(uint64_t ns)
{
	return (ns + NS_PER_US / 2) / NS_PER_US;
}

static uint8_t *put_metadata(
	uint8_t *end, const struct infer *i, const struct request_result *result, uint64_t total_ns)
{
	const struct request_times *t = &result->times;
	uint8_t *at = end;

	at = put_name(at, KEY("model_version"), version_settings(i->model)->version);
	at = put_name(at, KEY("device"), result->device);
	at = put_name(at, KEY("worker"), result->worker);
	at = put_figure(at, KEY("batch_size"), result->batch_requests);
	at = put_figure(at, KEY("total_us"), to_us(total_ns));
	at = put_figure(at, KEY("compute_us"), to_us(t->compute_ns));
	return put_figure(at, KEY("queue_us"), to_us(since(t->submitted_ns, t->dispatched_ns)));
}

/* t->region: it is there; NULL: its bytes follow. */
static void put_head(struct infer_reply *p, const struct infer *i,
	const struct request_result *result, const struct tensor *t)
{
	uint64_t total_ns = since(result->times.received_ns, result->times.done_ns);
	const struct response r = {
		.refs = t,
		.n_refs = t->region ? 1 : 0,
		.time_ms = total_ns / NS_PER_MS + (total_ns % NS_PER_MS > 0),
	};
	uint8_t *end = p->head + sizeof(p->head), *at = end;

	if (!t->region)
		at = put_data(p, at, t);
	at = put_metadata(at, i, result, total_ns);
	at = put(p, at, &response, &r);
	p->n_head = (size_t)(end - at);
	memmove(p->head, at, p->n_head);
}

static void put_id(struct infer_reply *p, const struct infer *i)
{
	uint8_t *end = p->id_head + sizeof(p->id_head);
	uint8_t *at = codec_put_head(end, RESPONSE_ID, i->n_id);

	p->id = i->id;
	p->n_id = i->n_id;
	p->n_id_head = (uint8_t)(end - at);
	memmove(p->id_head, at, p->n_id_head);
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
	struct tensor t;
	int r = check_output(i, o, target != NULL);

	if (r)
		return r;
	t = (struct tensor){
		.region = target ? i->region : NULL,
		.offset = target ? target->offset : 0,
		.size = o->length,
		.dims = o->dims,
		.rank = o->rank,
		.dtype = dtype_name(o->dtype),
	};
	put_id(p, i);
	put_head(p, i, result, &t);
	p->lease = NULL;
	p->tensor = NULL;
	p->n_tensor = 0;
	if (target) {
		handoff_count_tensor(i->services->handoff, o->length);
		return 0;
	}
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
	struct part parts[4] = {
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

	return call_send(c, parts, p->n_tensor > 0 ? 4 : 3);
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
