/*
 * kserve_message.h: the messages of an inference of inference.GRPCInferenceService, as structs and by the
 * codec: what is read and made for every call. A request comes without raw_input_contents, which the
 * scanner parts from it.
 *
 * Parameters and contents stay as they came: most calls have none.
 */
#ifndef SERVICES_KSERVE_MESSAGE_H
#define SERVICES_KSERVE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bump.h"
#include "base/cleanup.h"
#include "proto/codec.h"
#include "services/scanner.h"

/* An entry of map<string, InferParameter>. */
struct kserve_entry {
	const char *key;
	const uint8_t *value; /* an InferParameter; NULL: empty */
	size_t n_value;
};

struct kserve_input {
	const char *name;
	const char *datatype;
	const int64_t *dims;
	size_t rank;
	const struct kserve_entry *parameters;
	size_t n_parameters;
	const uint8_t *contents; /* an InferTensorContents; NULL: none, or empty */
	size_t n_contents;
};

struct kserve_output {
	const char *name;
	const struct kserve_entry *parameters;
	size_t n_parameters;
};

struct kserve_request {
	const char *model_name;
	const char *model_version;
	const char *id;
	const struct kserve_entry *parameters;
	size_t n_parameters;
	const struct kserve_input *inputs;
	size_t n_inputs;
	const struct kserve_output *outputs;
	size_t n_outputs;
};

/* Where a ModelInferRequest has its tensors. */
extern const struct scanner_table kserve_request_scanner;

#define KSERVE_REQUEST_INLINE 4096u

/* What a request was read into. */
struct kserve_request_memory {
	struct bump bump; /* of one of them */
	void *block;	  /* own; NULL: it fit `first` */
	_Alignas(8) uint8_t first[KSERVE_REQUEST_INLINE];
};

/*
 * Read a request; it lies in `memory` and in data. -EPROTO; -ENOMEM. The memory is to be freed in any
 * case.
 */
_must_use_ int kserve_request_read(const uint8_t *data, size_t n,
	struct kserve_request_memory *memory, struct kserve_request *ret_request);
void kserve_request_memory_free(struct kserve_request_memory *memory);

enum kserve_parameter_kind {
	KSERVE_PARAMETER_NONE, /* no value was given, or one of a kind that there is not */
	KSERVE_PARAMETER_BOOL = 1,
	KSERVE_PARAMETER_INT64 = 2,
	KSERVE_PARAMETER_STRING = 3,
	KSERVE_PARAMETER_DOUBLE = 4,
	KSERVE_PARAMETER_UINT64 = 5,
};

/* An InferParameter. */
struct kserve_parameter {
	enum kserve_parameter_kind kind;
	bool bool_value;
	int64_t int64_value;
	uint64_t uint64_value;
	double double_value;
	const char *string_value; /* n_string bytes, no NUL behind them; lies in the entry */
	size_t n_string;
};

/* -EPROTO */
_must_use_ int kserve_parameter_read(
	const struct kserve_entry *entry, struct kserve_parameter *ret_parameter);

/* --- Answers ---------------------------------------------------------------------------------- */

struct kserve_answer_output {
	const char *name;
	const char *datatype;
	const int64_t *dims;
	uint32_t rank;
};

/* A ModelInferResponse but for its raw_output_contents, which follow. */
struct kserve_answer {
	const char *model_name;
	const char *model_version;
	const uint8_t *id;
	size_t n_id;
	const struct kserve_entry *parameters;
	size_t n_parameters;
	const struct kserve_answer_output *outputs;
	size_t n_outputs;
};

/* Names are cut to the wire's limits; the rest is bounded by the request. */
extern const struct codec_message kserve_answer_table;
#define KSERVE_ANSWER_RAW_CONTENTS 6u

/* A ModelStreamInferResponse that says why there is no answer. */
struct kserve_refusal {
	const char *error_message;
	const struct kserve_answer *answer; /* one */
	size_t n_answers;
};

extern const struct codec_message kserve_refusal_table;
/* The number of the answer in a ModelStreamInferResponse. */
#define KSERVE_STREAM_ANSWER 2u

#endif
