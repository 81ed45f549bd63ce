/*
 * kserve_reply.c: a ModelInferResponse by the codec. An output that went to its target, or has no bytes,
 * has an empty entry in raw_output_contents: clients count. Daemon process, loop thread.
 */
#include "services/kserve_reply.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"
#include "dispatch/version.h"
#include "handoff/handoff.h"
#include "services/kserve_classify.h"
#include "services/kserve_infer.h"
#include "services/kserve_message.h"

#define HEAD_BYTES   CODEC_HEAD_MAX /* of a field that has a length */
#define NUMBER_BYTES 10u

/* What of an output goes behind the head. */
struct raw {
	const void *data;
	uint64_t n;
	bool ours; /* in the reply's memory, not in the worker's */
};

static int fail_missing(struct infer *i, uint32_t output)
{
	return infer_fail(&i->failure, GRPC_INTERNAL, "model '%s' gave no output %" PRIu32,
		version_settings(i->model)->name, output);
}

/* How many classes of an output are wanted; 0: its tensor, as it is. */
static uint64_t wanted_classes(const struct kserve_infer *x, uint32_t output)
{
	for (size_t k = 0; k < x->n_classes; k++) {
		if (x->classes[k].output == output)
			return x->classes[k].n;
	}
	return 0;
}

static int describe(struct kserve_infer *x, struct infer_reply *p,
	const struct request_result *result, const struct pool_output *o,
	struct kserve_answer_output *ret_output, struct raw *ret_raw)
{
	struct infer *i = &x->infer;
	uint64_t n_classes = x->n_classes > 0 ? wanted_classes(x, o->index) : 0;
	const char *name = version_declared(i->model)->outputs[o->index].name;
	bool handed = request_result_target(result, o) != NULL;
	bool at_target = handed || kserve_keys_has_target(x, o->index);

	if (!o->data && o->length > 0 && !at_target)
		return fail_missing(i, o->index);
	*ret_raw = (struct raw){o->data, at_target ? 0 : o->length, false};
	*ret_output = (struct kserve_answer_output){
		.name = name,
		.datatype = dtype_kserve_name(o->dtype),
		.dims = o->dims,
		.rank = o->rank,
	};
	if (handed)
		handoff_count_tensor(i->services->handoff, o->length);
	if (n_classes == 0)
		return 0;
	ret_raw->ours = true;
	return kserve_classify(i, p, o, n_classes, ret_output, &ret_raw->data, &ret_raw->n);
}

static int check_size(struct infer *i, uint64_t n)
{
	if (n <= INFER_REPLY_MESSAGE_MAX)
		return 0;
	return infer_fail(&i->failure, GRPC_RESOURCE_EXHAUSTED,
		"outputs of %" PRIu64 " bytes are larger than a protobuf message may be, %" PRIu64
		" bytes",
		n, INFER_REPLY_MESSAGE_MAX);
}

/* Bytes that an answer packed takes at most. */
static size_t bound(const struct kserve_answer *m)
{
	size_t n = strlen(m->model_name) + strlen(m->model_version) + m->n_id + 3 * HEAD_BYTES;

	for (size_t k = 0; k < m->n_parameters; k++)
		n += strlen(m->parameters[k].key) + m->parameters[k].n_value + 3 * HEAD_BYTES;
	for (size_t k = 0; k < m->n_outputs; k++)
		n += strlen(m->outputs[k].name) + strlen(m->outputs[k].datatype) +
		     m->outputs[k].rank * NUMBER_BYTES + 4 * HEAD_BYTES;
	return n;
}

/* What comes ahead of each tensor, at the ends of CODEC_HEAD_MAX bytes each from `at` on. Returns how many
 * bytes these and the tensors are. */
static uint64_t put_raw_heads(
	uint8_t *at, const struct kserve_answer *m, const struct raw *raw, const uint8_t **heads)
{
	uint64_t total = 0;

	for (size_t k = 0; k < m->n_outputs; k++) {
		at += CODEC_HEAD_MAX;
		heads[k] = codec_put_head(at, KSERVE_ANSWER_RAW_CONTENTS, raw[k].n);
		total += (uint64_t)(at - heads[k]) + raw[k].n;
	}
	return total;
}

/* The answer, the length of which is known with all that follows it where it is in another message. */
static int put(struct infer *i, struct infer_reply *p, const struct kserve_answer *m,
	const struct raw *raw, struct output_lease *lease, bool in_stream)
{
	size_t n_head = CODEC_HEAD_MAX + bound(m);
	uint8_t *head = infer_reply_alloc(p, n_head + m->n_outputs * CODEC_HEAD_MAX, &i->failure);
	const uint8_t **heads =
		(void *)infer_reply_alloc(p, (m->n_outputs + 1) * sizeof(*heads), &i->failure);
	uint8_t *end = head + n_head, *at = NULL;
	uint64_t n_raw;

	if (!head || !heads)
		return INFER_E_FAILED;
	n_raw = put_raw_heads(end, m, raw, heads);
	if (codec_pack(&kserve_answer_table, m, head, n_head, &at))
		return infer_fail(&i->failure, GRPC_INTERNAL, "outputs that no message can carry");
	if (in_stream)
		at = codec_put_head(at, KSERVE_STREAM_ANSWER, (uint64_t)(end - at) + n_raw);
	infer_reply_add(p, at, (size_t)(end - at));
	for (size_t k = 0; k < m->n_outputs; k++) {
		end += CODEC_HEAD_MAX;
		infer_reply_add(p, heads[k], (size_t)(end - heads[k]));
		if (raw[k].n > 0 && raw[k].ours)
			infer_reply_add(p, raw[k].data, (size_t)raw[k].n);
		else if (raw[k].n > 0)
			infer_reply_add_tensor(p, raw[k].data, (size_t)raw[k].n, lease);
	}
	return 0;
}

static int fill(struct kserve_infer *x, struct infer_reply *p, const struct request_result *result,
	struct kserve_answer_output *outputs, struct raw *raw)
{
	struct infer *i = &x->infer;
	uint64_t total = 0;
	int r = 0;

	for (size_t k = 0; k < result->n_outputs && !r; k++) {
		r = describe(x, p, result, &result->outputs[k], &outputs[k], &raw[k]);
		total += raw[k].n;
	}
	return r ? r : check_size(i, total);
}

/* InferParameters: is it the request's last answer? */
#define FINAL(value_)                                                                              \
	{                                                                                          \
		.key = "triton_final_response", .value = (const uint8_t *)(value_), .n_value = 2   \
	}
static const struct kserve_entry final_entry = FINAL("\x08\x01");
static const struct kserve_entry more_entry = FINAL("\x08\x00");

static int reply(
	struct infer *i, const struct request_result *result, struct infer_reply *p, bool in_stream)
{
	struct kserve_infer *x = (struct kserve_infer *)i;
	size_t n = result->n_outputs;
	struct kserve_answer_output *outputs;
	struct raw *raw;
	int r;

	if (infer_reply_reserve(p, 1 + 2 * n, &i->failure))
		return INFER_E_FAILED;
	outputs = (void *)infer_reply_alloc(p, (n + 1) * sizeof(*outputs), &i->failure);
	raw = (void *)infer_reply_alloc(p, (n + 1) * sizeof(*raw), &i->failure);
	if (!outputs || !raw)
		return INFER_E_FAILED;
	r = fill(x, p, result, outputs, raw);
	if (r)
		return r;
	return put(i, p,
		&(struct kserve_answer){
			.model_name = version_settings(i->model)->name,
			.model_version = version_settings(i->model)->version,
			.id = (const uint8_t *)i->id,
			.n_id = i->n_id,
			.parameters = result->partial ? &more_entry : &final_entry,
			.n_parameters = in_stream ? 1 : 0,
			.outputs = outputs,
			.n_outputs = n,
		},
		raw, result->lease, in_stream);
}

int kserve_reply(struct infer *i, const struct request_result *result, struct infer_reply *p)
{
	return reply(i, result, p, false);
}

/* A decoupled model has said all: an answer without outputs, for those who asked for one. */
static int reply_empty(struct kserve_infer *x, struct infer_reply *p)
{
	struct infer *i = &x->infer;
	const struct kserve_answer m = {
		.model_name = version_settings(i->model)->name,
		.model_version = "",
		.id = (const uint8_t *)i->id,
		.n_id = i->n_id,
		.parameters = &final_entry,
		.n_parameters = 1,
	};

	if (!x->wishes.empty_final_response)
		return 0;
	if (infer_reply_reserve(p, 1, &i->failure))
		return INFER_E_FAILED;
	return put(i, p, &m, NULL, NULL, true);
}

int kserve_stream_reply(struct infer *i, const struct request_result *result, struct infer_reply *p)
{
	if (version_decoupled(i->model) && !result->partial && result->n_outputs == 0)
		return reply_empty((struct kserve_infer *)i, p);
	return reply(i, result, p, true);
}

int kserve_stream_refusal(struct infer *i, struct infer_reply *p)
{
	const struct kserve_answer answer = {
		.model_name = i->model ? version_settings(i->model)->name : "",
		.model_version = "",
		.id = (const uint8_t *)i->id,
		.n_id = i->id ? i->n_id : 0,
		.parameters = &final_entry,
		.n_parameters = i->model ? 1 : 0,
	};
	const struct kserve_refusal m = {
		.error_message = i->failure.text ? i->failure.text : "modeld is out of memory",
		.answer = &answer,
		.n_answers = 1,
	};
	struct infer_failure none = {0};
	size_t n = strlen(m.error_message) + bound(&answer) + 2 * HEAD_BYTES;
	uint8_t *head, *at = NULL;
	int r = infer_reply_reserve(p, 1, &none);

	/* What it quotes was cut, maybe, or is no UTF-8: parsers refuse a message with such a text. */
	if (i->failure.text)
		utf8_mend(i->failure.text);
	head = r ? NULL : infer_reply_alloc(p, n, &none);
	if (head && codec_pack(&kserve_refusal_table, &m, head, n, &at) == 0)
		infer_reply_add(p, at, (size_t)(head + n - at));
	infer_failure_deinit(&none);
	return at ? 0 : INFER_E_FAILED;
}
