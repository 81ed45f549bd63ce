/*
 * kserve_message.c: ModelInferRequest and ModelInferResponse by the codec. What is too much for its
 * tables is told by those who read the structs, so that they can say what it is.
 *
 * Beyond proto3: of contents that come twice for one input the last ones count, where a parser would join
 * the two. No state; daemon process, any thread.
 */
#include "services/kserve_message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/field.h"
#include "proto/wire.h"

/* Of a text: more than a request may have, without its tensors. */
#define TEXT_MAX     INT32_MAX
#define ELEMENTS_MAX INT32_MAX
/* Structs take at most so many bytes for each byte of a message. */
#define GROWTH 64u

/* --- Requests --------------------------------------------------------------------------------- */

const struct scanner_table kserve_request_scanner = {
	.name = "ModelInferRequest",
	.outer_name = "raw_input_contents",
	.tensor = 7,
	.repeated = true,
	.announcing = 5,
	.max_pieces = WIRE_TENSORS_MAX,
	.max_fields = 16384,
};

static const struct codec_field entry_fields[] = {
	[1] = CODEC_TEXT(struct kserve_entry, key, TEXT_MAX),
	[2] = CODEC_BYTES(struct kserve_entry, value, n_value, 0, TEXT_MAX),
};
static const struct codec_message entry = CODEC_MESSAGE(struct kserve_entry, entry_fields, NULL);

static const struct codec_field input_fields[] = {
	[1] = CODEC_TEXT(struct kserve_input, name, TEXT_MAX),
	[2] = CODEC_TEXT(struct kserve_input, datatype, TEXT_MAX),
	[3] = CODEC_NUMBERS(struct kserve_input, dims, rank, ELEMENTS_MAX, INT64_MIN, INT64_MAX),
	[4] = CODEC_MESSAGES(
		struct kserve_input, parameters, n_parameters, 0, ELEMENTS_MAX, &entry),
	[5] = CODEC_BYTES(struct kserve_input, contents, n_contents, 0, TEXT_MAX),
};
static const struct codec_message input = CODEC_MESSAGE(struct kserve_input, input_fields, NULL);

static const struct codec_field output_fields[] = {
	[1] = CODEC_TEXT(struct kserve_output, name, TEXT_MAX),
	[2] = CODEC_MESSAGES(
		struct kserve_output, parameters, n_parameters, 0, ELEMENTS_MAX, &entry),
};
static const struct codec_message output = CODEC_MESSAGE(struct kserve_output, output_fields, NULL);

static const struct codec_field request_fields[] = {
	[1] = CODEC_TEXT(struct kserve_request, model_name, TEXT_MAX),
	[2] = CODEC_TEXT(struct kserve_request, model_version, TEXT_MAX),
	[3] = CODEC_TEXT(struct kserve_request, id, TEXT_MAX),
	[4] = CODEC_MESSAGES(
		struct kserve_request, parameters, n_parameters, 0, ELEMENTS_MAX, &entry),
	[5] = CODEC_MESSAGES(struct kserve_request, inputs, n_inputs, 0, ELEMENTS_MAX, &input),
	[6] = CODEC_MESSAGES(struct kserve_request, outputs, n_outputs, 0, ELEMENTS_MAX, &output),
};
static const struct codec_message request =
	CODEC_MESSAGE(struct kserve_request, request_fields, NULL);

int kserve_request_read(const uint8_t *data, size_t n, struct kserve_request_memory *memory,
	struct kserve_request *ret_request)
{
	size_t n_block = (size_t)GROWTH * n;
	int r;

	memory->block = NULL;
	bump_init(&memory->bump, memory->first, sizeof(memory->first));
	r = codec_unpack(&request, data, n, &memory->bump, ret_request);
	if (r == 0 || n_block <= sizeof(memory->first))
		return r;
	/* It may be for want of memory: once more, with enough. */
	memory->block = malloc(n_block);
	if (!memory->block)
		return -ENOMEM;
	bump_deinit(&memory->bump);
	bump_init(&memory->bump, memory->block, n_block);
	return codec_unpack(&request, data, n, &memory->bump, ret_request);
}

void kserve_request_memory_free(struct kserve_request_memory *memory)
{
	bump_deinit(&memory->bump);
	free(memory->block);
	memory->block = NULL;
}

/* --- A parameter ------------------------------------------------------------------------------ */

/* Of a oneof the last one that came counts. */
static void take_choice(struct kserve_parameter *p, const struct field *f)
{
	static const enum field_wire wires[] = {
		[KSERVE_PARAMETER_BOOL] = FIELD_VARINT,
		[KSERVE_PARAMETER_INT64] = FIELD_VARINT,
		[KSERVE_PARAMETER_STRING] = FIELD_DELIMITED,
		[KSERVE_PARAMETER_DOUBLE] = FIELD_FIXED64,
		[KSERVE_PARAMETER_UINT64] = FIELD_VARINT,
	};

	if (f->number > KSERVE_PARAMETER_UINT64 || f->wire != wires[f->number])
		return;
	p->kind = (enum kserve_parameter_kind)f->number;
	p->bool_value = f->value != 0;
	p->int64_value = (int64_t)f->value;
	p->uint64_value = f->value;
	memcpy(&p->double_value, &f->value, sizeof(p->double_value));
	p->string_value = (const char *)f->bytes;
	p->n_string = f->n;
}

int kserve_parameter_read(const struct kserve_entry *e, struct kserve_parameter *ret_parameter)
{
	struct kserve_parameter p = {.kind = KSERVE_PARAMETER_NONE};
	struct field_reader r = {e->value, e->n_value ? e->value + e->n_value : e->value};
	struct field f;
	int end;

	while ((end = field_next(&r, &f)) == 0)
		take_choice(&p, &f);
	if (end != FIELD_E_END)
		return end;
	*ret_parameter = p;
	return 0;
}

/* --- Answers ---------------------------------------------------------------------------------- */

static const struct codec_field answer_output_fields[] = {
	[1] = CODEC_TEXT(struct kserve_answer_output, name, TEXT_MAX),
	[2] = CODEC_TEXT(struct kserve_answer_output, datatype, TEXT_MAX),
	[3] = CODEC_NUMBERS(
		struct kserve_answer_output, dims, rank, TENSOR_RANK_MAX, INT64_MIN, INT64_MAX),
};
static const struct codec_message answer_output =
	CODEC_MESSAGE(struct kserve_answer_output, answer_output_fields, NULL);

static const struct codec_field answer_fields[] = {
	[1] = CODEC_TEXT(struct kserve_answer, model_name, TEXT_MAX),
	[2] = CODEC_TEXT(struct kserve_answer, model_version, TEXT_MAX),
	[3] = CODEC_BYTES(struct kserve_answer, id, n_id, 0, TEXT_MAX),
	[4] = CODEC_MESSAGES(
		struct kserve_answer, parameters, n_parameters, 0, ELEMENTS_MAX, &entry),
	[5] = CODEC_MESSAGES(
		struct kserve_answer, outputs, n_outputs, 0, ELEMENTS_MAX, &answer_output),
};
const struct codec_message kserve_answer_table =
	CODEC_MESSAGE(struct kserve_answer, answer_fields, NULL);

static const struct codec_field refusal_fields[] = {
	[1] = CODEC_TEXT(struct kserve_refusal, error_message, TEXT_MAX),
	[KSERVE_STREAM_ANSWER] = CODEC_MESSAGES(
		struct kserve_refusal, answer, n_answers, 0, 1, &kserve_answer_table),
};
const struct codec_message kserve_refusal_table =
	CODEC_MESSAGE(struct kserve_refusal, refusal_fields, NULL);
