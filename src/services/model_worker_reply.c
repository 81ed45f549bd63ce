/*
 * model_worker_reply.c: an InferResponse, by the codec. The tensor data stays where it is, and for that it is
 * the last field of the last field (readers take fields in any order).
 *
 * The head is bounded: names that come from elsewhere are cut at TEXT_MAX bytes, which the wire to
 * the workers allows no more of. Daemon process, loop thread.
 */
#include "services/model_worker_reply.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/digits.h"
#include "dispatch/version.h"
#include "handoff/handoff.h"
#include "proto/codec.h"
#include "services/model_worker_infer.h"

#define TEXT_MAX 255u
#define HEAD_MAX 3072u

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

/* --- Bytes, back to front from the end of the head; each returns where they begin then ------------ */

/* Everything in the head is bounded, so that it fits. */
static uint8_t *put(uint8_t *head, uint8_t *end, const struct codec_message *m, const void *in)
{
	uint8_t *at = end;
	int r = codec_pack(m, in, head, (size_t)(end - head), &at);

	assert(r == 0);
	(void)r;
	return at;
}

/* Keys are of a length that is known where they are written: copying one is a move or two then. */
#define INLINE static inline __attribute__((always_inline))

INLINE uint8_t *put_text(uint8_t *end, uint32_t field, const char *text, size_t n)
{
	memcpy(end - n, text, n);
	return codec_put_head(end - n, field, n);
}

/* Its value is there, from `at` to `end`. */
INLINE uint8_t *put_entry(uint8_t *end, uint8_t *at, const char *key, size_t n_key)
{
	at = codec_put_head(at, ENTRY_VALUE, (uint64_t)(end - at));
	at = put_text(at, ENTRY_KEY, key, n_key);
	return codec_put_head(at, RESPONSE_METADATA, (uint64_t)(end - at));
}

#define KEY(text) "" text, sizeof(text) - 1

INLINE uint8_t *put_name(uint8_t *end, const char *key, size_t n_key, const char *value)
{
	size_t n = strnlen(value, TEXT_MAX);

	memcpy(end - n, value, n);
	return put_entry(end, end - n, key, n_key);
}

INLINE uint8_t *put_figure(uint8_t *end, const char *key, size_t n_key, uint64_t value)
{
	return put_entry(end, (uint8_t *)decimal_write_back((char *)end, value), key, n_key);
}

/* Its bytes, which are not in the head, come behind. */
static uint8_t *put_data(uint8_t *head, uint8_t *end, const struct tensor *t)
{
	uint8_t *at = codec_put_head(end, TENSOR_BYTES, t->size);

	at = put(head, at, &data, t);
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

	if (version_decoupled(i->model))
		at = put_name(at, KEY("final"), result->partial ? "false" : "true");
	at = put_name(at, KEY("model_version"), version_settings(i->model)->version);
	at = put_name(at, KEY("device"), result->device);
	at = put_name(at, KEY("worker"), result->worker);
	at = put_figure(at, KEY("batch_size"), result->batch_requests);
	at = put_figure(at, KEY("total_us"), to_us(total_ns));
	at = put_figure(at, KEY("compute_us"), to_us(t->compute_ns));
	return put_figure(at, KEY("queue_us"), to_us(since(t->submitted_ns, t->dispatched_ns)));
}

/* t NULL: there is no output. t->region: it is there; NULL: its bytes follow. head has HEAD_MAX bytes. */
static uint8_t *put_head(uint8_t *head, const struct infer *i, const struct request_result *result,
	const struct tensor *t)
{
	uint64_t total_ns = since(result->times.received_ns, result->times.done_ns);
	const struct response r = {
		.refs = t,
		.n_refs = t && t->region ? 1 : 0,
		.time_ms = total_ns / NS_PER_MS + (total_ns % NS_PER_MS > 0),
	};
	uint8_t *at = head + HEAD_MAX;

	if (t && !t->region)
		at = put_data(head, at, t);
	at = put_metadata(at, i, result, total_ns);
	return put(head, at, &response, &r);
}

static const struct pool_output *find_output(const struct request_result *result, uint32_t index)
{
	for (size_t k = 0; k < result->n_outputs; k++) {
		if (result->outputs[k].index == index)
			return &result->outputs[k];
	}
	return NULL;
}

static int check_output(struct model_worker_infer *x, const struct pool_output *o, bool at_target)
{
	struct infer *i = &x->infer;
	const char *name = version_settings(i->model)->name;

	if (!o || (!at_target && !o->data && o->length > 0))
		return infer_fail(&i->failure, GRPC_INTERNAL, "model '%s' gave no output %" PRIu32,
			name, x->output);
	for (uint32_t k = 0; k < o->rank; k++) {
		if (o->dims[k] >= 0 && o->dims[k] <= INT32_MAX)
			continue;
		return infer_fail(&i->failure, GRPC_OUT_OF_RANGE,
			"dimension %" PRIu32 " of model '%s' output %" PRIu32 " is %" PRId64
			", which an InferResponse cannot carry: the limit is %" PRId32,
			k, name, x->output, o->dims[k], INT32_MAX);
	}
	if (!at_target && o->length > INFER_REPLY_MESSAGE_MAX - HEAD_MAX - i->n_id)
		return infer_fail(&i->failure, GRPC_RESOURCE_EXHAUSTED,
			"output of %" PRIu64 " bytes is larger than a protobuf message may be, "
			"%" PRIu64 " bytes",
			o->length, INFER_REPLY_MESSAGE_MAX);
	return 0;
}

/* A long id stays where it is, ahead of the head. */
static int add_long_id(struct infer_reply *p, struct infer *i)
{
	uint8_t *end = infer_reply_alloc(p, CODEC_HEAD_MAX, &i->failure);
	uint8_t *at;

	if (!end)
		return INFER_E_FAILED;
	end += CODEC_HEAD_MAX;
	at = codec_put_head(end, RESPONSE_ID, i->n_id);
	infer_reply_add(p, at, (size_t)(end - at));
	infer_reply_add(p, i->id, i->n_id);
	return 0;
}

/* The tensor's bytes come behind it. */
static int fill_reply(struct infer_reply *p, struct infer *i, const struct request_result *result,
	const struct tensor *t)
{
	uint8_t *head, *at;

	if (infer_reply_reserve(p, 4, &i->failure))
		return INFER_E_FAILED;
	head = infer_reply_alloc(p, HEAD_MAX, &i->failure);
	if (!head)
		return INFER_E_FAILED;
	at = put_head(head, i, result, t);
	if (i->n_id <= INFER_ID_INLINE)
		at = put_text(at, RESPONSE_ID, i->id, i->n_id);
	else if (add_long_id(p, i))
		return INFER_E_FAILED;
	infer_reply_add(p, at, (size_t)(head + HEAD_MAX - at));
	return 0;
}

int model_worker_reply(struct infer *i, const struct request_result *result, struct infer_reply *p)
{
	struct model_worker_infer *x = (struct model_worker_infer *)i;
	const struct pool_output *o = find_output(result, x->output);
	const struct request_target *target = o ? request_result_target(result, o) : NULL;
	struct tensor t;
	int r;

	/* Nothing more is to come. */
	if (version_decoupled(i->model) && result->n_outputs == 0)
		return fill_reply(p, i, result, NULL);
	r = check_output(x, o, target != NULL);
	if (r)
		return r;
	assert(o); /* check_output() */
	t = (struct tensor){
		.region = target ? x->region : NULL,
		.offset = target ? target->offset : 0,
		.size = o->length,
		.dims = o->dims,
		.rank = o->rank,
		.dtype = dtype_name(o->dtype),
	};
	r = fill_reply(p, i, result, &t);
	if (r)
		return r;
	if (target)
		handoff_count_tensor(i->services->handoff, o->length);
	else if (o->length > 0)
		infer_reply_add_tensor(p, o->data, o->length, result->lease);
	return 0;
}
