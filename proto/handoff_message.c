/*
 * handoff_message.c: the messages of handoff.proto for the codec, and records by it. Requests are taken
 * as lax as the record allows, since a client is told what is wrong instead of losing its connection;
 * answers are as strict as the daemon is. Daemon and client; one thread a scratch.
 */
#include "proto/handoff_message.h"

#include <errno.h>

#include "proto/codec.h"
#include "proto/handoff_message_private.h"

/* Far more than a record within the limits needs. */
#define MEMORY_BYTES (1u << 20)
/* Whatever fits a record. */
#define ANY_LENGTH HANDOFF_MESSAGE_MAX
#define ANY_COUNT  HANDOFF_MESSAGE_MAX

struct handoff_scratch {
	struct handoff_message message;	     /* unpacked last */
	struct bump unpacked;		     /* of `memory` */
	uint8_t record[HANDOFF_MESSAGE_MAX]; /* packed last, at its end */
	_Alignas(uint64_t) uint8_t memory[MEMORY_BYTES];
	struct handoff_tensor tensors[HANDOFF_TENSORS_MAX]; /* lent */
	struct handoff_target targets[HANDOFF_TENSORS_MAX]; /* lent */
};

/* --- Requests --------------------------------------------------------------------------------- */

static const struct codec_field register_fields[] = {
	[1] = CODEC_NUMBER(struct handoff_register, size),
	[2] = CODEC_NUMBER(struct handoff_register, read_only),
	[3] = CODEC_TEXT(struct handoff_register, device, ANY_LENGTH),
};
static const struct codec_message registration =
	CODEC_MESSAGE(struct handoff_register, register_fields, NULL);

static const struct codec_field allocate_fields[] = {
	[1] = CODEC_NUMBER(struct handoff_allocate, size),
};
static const struct codec_message allocate =
	CODEC_MESSAGE(struct handoff_allocate, allocate_fields, NULL);

static const struct codec_field unregister_fields[] = {
	[1] = CODEC_BYTES(struct handoff_unregister, token, n_token, 0, ANY_LENGTH),
};
static const struct codec_message unregister =
	CODEC_MESSAGE(struct handoff_unregister, unregister_fields, NULL);

static const struct codec_field input_fields[] = {
	[1] = CODEC_TEXT(struct handoff_tensor, name, ANY_LENGTH),
	[2] = CODEC_NUMBER(struct handoff_tensor, dtype),
	[3] = CODEC_NUMBERS(struct handoff_tensor, dims, rank, ANY_COUNT, INT64_MIN, INT64_MAX),
	[4] = CODEC_NUMBER(struct handoff_tensor, region),
	[5] = CODEC_NUMBER(struct handoff_tensor, offset),
	[6] = CODEC_NUMBER(struct handoff_tensor, length),
	[7] = CODEC_BYTES(struct handoff_tensor, data, n_data, 0, ANY_LENGTH), /* not looked at */
};
static const struct codec_message input = CODEC_MESSAGE(struct handoff_tensor, input_fields, NULL);

static const struct codec_field target_fields[] = {
	[1] = CODEC_TEXT(struct handoff_target, name, ANY_LENGTH),
	[2] = CODEC_NUMBER(struct handoff_target, region),
	[3] = CODEC_NUMBER(struct handoff_target, offset),
	[4] = CODEC_NUMBER(struct handoff_target, length),
};
static const struct codec_message target =
	CODEC_MESSAGE(struct handoff_target, target_fields, NULL);

static const struct codec_field pair_fields[] = {
	[1] = CODEC_TEXT(struct handoff_pair, key, ANY_LENGTH),
	[2] = CODEC_TEXT(struct handoff_pair, value, ANY_LENGTH),
};
static const struct codec_message pair = CODEC_MESSAGE(struct handoff_pair, pair_fields, NULL);

static const struct codec_field infer_fields[] = {
	[1] = CODEC_TEXT(struct handoff_infer, model, ANY_LENGTH),
	[2] = CODEC_MESSAGES(struct handoff_infer, inputs, n_inputs, 0, ANY_COUNT, &input),
	[3] = CODEC_MESSAGES(struct handoff_infer, targets, n_targets, 0, ANY_COUNT, &target),
	[4] = CODEC_TEXTS(struct handoff_infer, outputs, n_outputs, ANY_COUNT, ANY_LENGTH),
	[5] = CODEC_NUMBER(struct handoff_infer, timeout_us),
	[6] = CODEC_MESSAGES(struct handoff_infer, parameters, n_parameters, 0, ANY_COUNT, &pair),
	[7] = CODEC_NUMBER(struct handoff_infer, make_room),
	[8] = CODEC_NUMBER(struct handoff_infer, partial),
	[9] = CODEC_TEXT(struct handoff_infer, traceparent, ANY_LENGTH),
	[10] = CODEC_TEXT(struct handoff_infer, tracestate, ANY_LENGTH),
};
static const struct codec_message infer = CODEC_MESSAGE(struct handoff_infer, infer_fields, NULL);

static const struct codec_field cancel_fields[] = {
	[1] = CODEC_NUMBER(struct handoff_cancel, of),
};
static const struct codec_message cancel =
	CODEC_MESSAGE(struct handoff_cancel, cancel_fields, NULL);

/* --- Answers ---------------------------------------------------------------------------------- */

static const struct codec_field limits_fields[] = {
	[1] = CODEC_NUMBER(struct handoff_limits, protocol),
	[2] = CODEC_NUMBER(struct handoff_limits, total_bytes),
	[3] = CODEC_NUMBER(struct handoff_limits, total_used_bytes),
	[4] = CODEC_NUMBER(struct handoff_limits, user_bytes),
	[5] = CODEC_NUMBER(struct handoff_limits, user_used_bytes),
	[6] = CODEC_NUMBER(struct handoff_limits, user_regions),
	[7] = CODEC_NUMBER(struct handoff_limits, user_used_regions),
	[8] = CODEC_NUMBER(struct handoff_limits, max_inline_bytes),
	[9] = CODEC_NUMBER(struct handoff_limits, max_requests),
	[10] = CODEC_NUMBER(struct handoff_limits, busy_poll_us),
	[11] = CODEC_NUMBER(struct handoff_limits, user_device_bytes),
	[12] = CODEC_NUMBER(struct handoff_limits, user_device_used_bytes),
};
static const struct codec_message limits =
	CODEC_MESSAGE(struct handoff_limits, limits_fields, NULL);

static const struct codec_field registered_fields[] = {
	[1] = CODEC_BYTES(struct handoff_registered, token, n_token, HANDOFF_TOKEN_BYTES,
		HANDOFF_TOKEN_BYTES),
	[2] = CODEC_RANGE(struct handoff_registered, number, 1, UINT64_MAX),
	[3] = CODEC_RANGE(struct handoff_registered, size, 1, UINT64_MAX),
};
static const struct codec_message registered =
	CODEC_MESSAGE(struct handoff_registered, registered_fields, NULL);

static int check_output(const void *message)
{
	const struct handoff_tensor *t = message;

	return t->region > 0 && t->n_data > 0 ? -EINVAL : 0;
}

static const struct codec_field output_fields[] = {
	[1] = CODEC_TEXT(struct handoff_tensor, name, ANY_LENGTH),
	[2] = CODEC_RANGE(struct handoff_tensor, dtype, DTYPE_INVALID + 1, DTYPE_MAX_ - 1),
	[3] = CODEC_NUMBERS(struct handoff_tensor, dims, rank, TENSOR_RANK_MAX, 0, INT64_MAX),
	[4] = CODEC_NUMBER(struct handoff_tensor, region),
	[5] = CODEC_NUMBER(struct handoff_tensor, offset),
	[6] = CODEC_NUMBER(struct handoff_tensor, length),
	[7] = CODEC_BYTES(struct handoff_tensor, data, n_data, 0, ANY_LENGTH),
};
static const struct codec_message output =
	CODEC_MESSAGE(struct handoff_tensor, output_fields, check_output);

static const struct codec_field inferred_fields[] = {
	[1] = CODEC_MESSAGES(
		struct handoff_inferred, outputs, n_outputs, 0, HANDOFF_TENSORS_MAX, &output),
	[2] = CODEC_NUMBER(struct handoff_inferred, queue_ns),
	[3] = CODEC_NUMBER(struct handoff_inferred, compute_ns),
	[4] = CODEC_NUMBER(struct handoff_inferred, total_ns),
	[5] = CODEC_NUMBER(struct handoff_inferred, batch_requests),
	[6] = CODEC_TEXT(struct handoff_inferred, worker, ANY_LENGTH),
	[7] = CODEC_MESSAGES(struct handoff_inferred, room, n_room, 0, 1, &registered),
	[8] = CODEC_NUMBER(struct handoff_inferred, more),
};
static const struct codec_message inferred =
	CODEC_MESSAGE(struct handoff_inferred, inferred_fields, NULL);

static const struct codec_field error_fields[] = {
	[1] = CODEC_RANGE(struct handoff_error, code, GRPC_OK + 1, GRPC_UNAUTHENTICATED),
	[2] = CODEC_TEXT(struct handoff_error, message, ANY_LENGTH),
	[3] = CODEC_MESSAGES(
		struct handoff_error, outputs, n_outputs, 0, HANDOFF_TENSORS_MAX, &output),
};
static const struct codec_message error = CODEC_MESSAGE(struct handoff_error, error_fields, NULL);

/* --- Records ---------------------------------------------------------------------------------- */

static const struct codec_message empty = {.fields = NULL};

static const struct codec_field envelope_fields[] = {
	[1] = CODEC_NUMBER(struct handoff_message, seq),
	[HANDOFF_GET_LIMITS] = CODEC_BODY(struct handoff_message, limits, &empty),
	[HANDOFF_REGISTER] = CODEC_BODY(struct handoff_message, registration, &registration),
	[HANDOFF_ALLOCATE] = CODEC_BODY(struct handoff_message, allocate, &allocate),
	[HANDOFF_UNREGISTER] = CODEC_BODY(struct handoff_message, unregister, &unregister),
	[HANDOFF_INFER] = CODEC_BODY(struct handoff_message, infer, &infer),
	[HANDOFF_CANCEL] = CODEC_BODY(struct handoff_message, cancel, &cancel),
	[HANDOFF_LIMITS] = CODEC_BODY(struct handoff_message, limits, &limits),
	[HANDOFF_REGISTERED] = CODEC_BODY(struct handoff_message, registered, &registered),
	[HANDOFF_UNREGISTERED] = CODEC_BODY(struct handoff_message, limits, &empty),
	[HANDOFF_INFERRED] = CODEC_BODY(struct handoff_message, inferred, &inferred),
	[HANDOFF_ERROR] = CODEC_BODY(struct handoff_message, error, &error),
};
const struct codec_message handoff_envelope_table = CODEC_ONEOF(
	struct handoff_message, envelope_fields, type, HANDOFF_GET_LIMITS, HANDOFF_ERROR);

int handoff_scratch_new(struct handoff_scratch **ret_scratch)
{
	struct handoff_scratch *s = malloc(sizeof(*s));

	if (!s)
		return -ENOMEM;
	bump_init(&s->unpacked, s->memory, sizeof(s->memory));
	*ret_scratch = s;
	return 0;
}

struct handoff_scratch *handoff_scratch_free(struct handoff_scratch *s)
{
	free(s);
	return NULL;
}

struct handoff_tensor *handoff_scratch_tensors(struct handoff_scratch *s)
{
	return s->tensors;
}

struct handoff_target *handoff_scratch_targets(struct handoff_scratch *s)
{
	return s->targets;
}

int handoff_pack(struct handoff_scratch *s, const struct handoff_message *m,
	const uint8_t **ret_data, size_t *ret_n)
{
	uint8_t *at;
	int r = codec_pack(&handoff_envelope_table, m, s->record, sizeof(s->record), &at);

	if (r < 0)
		return r;
	*ret_data = at;
	*ret_n = (size_t)(s->record + sizeof(s->record) - at);
	return 0;
}

static int unpack(struct handoff_scratch *s, const uint8_t *record, size_t n)
{
	if (n > HANDOFF_MESSAGE_MAX)
		return -EPROTO;
	bump_reset(&s->unpacked);
	return codec_unpack(&handoff_envelope_table, record, n, &s->unpacked, &s->message);
}

int handoff_unpack_request(struct handoff_scratch *s, const uint8_t *record, size_t n,
	const struct handoff_message **ret_message)
{
	int r = unpack(s, record, n);

	if (r < 0 || s->message.type > HANDOFF_CANCEL)
		return -EPROTO;
	*ret_message = &s->message;
	return 0;
}

int handoff_unpack_answer(struct handoff_scratch *s, const uint8_t *record, size_t n,
	const struct handoff_message **ret_message)
{
	int r = unpack(s, record, n);

	if (r < 0 || s->message.type < HANDOFF_LIMITS)
		return -EPROTO;
	*ret_message = &s->message;
	return 0;
}
