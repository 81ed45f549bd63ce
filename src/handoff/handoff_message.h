/*
 * handoff_message.h: the records of the handoff socket (proto/handoff.proto) as plain structs.
 * handoff_message.c is the only includer of handoff.pb-c.h in src.
 */
#ifndef HANDOFF_HANDOFF_MESSAGE_H
#define HANDOFF_HANDOFF_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/handoff.h"

/* Envelope's field numbers. */
enum handoff_type {
	HANDOFF_GET_LIMITS = 2,
	HANDOFF_REGISTER,
	HANDOFF_ALLOCATE,
	HANDOFF_UNREGISTER,
	HANDOFF_INFER,
	HANDOFF_CANCEL,
	HANDOFF_LIMITS,
	HANDOFF_REGISTERED,
	HANDOFF_UNREGISTERED,
	HANDOFF_INFERRED,
	HANDOFF_ERROR,
};

struct handoff_tensor {
	const char *name;
	uint32_t dtype;
	const int64_t *dims;
	size_t n_dims;
	uint64_t region;
	uint64_t offset;
	uint64_t length;
	const void *data; /* answers only */
	size_t n_data;
};

struct handoff_target {
	const char *name;
	uint64_t region;
	uint64_t offset;
	uint64_t length;
};

struct handoff_pair {
	const char *key;
	const char *value;
};

struct handoff_infer {
	const char *model;
	const struct handoff_tensor *inputs;
	size_t n_inputs;
	const struct handoff_target *targets;
	size_t n_targets;
	const char *const *outputs;
	size_t n_outputs;
	uint64_t timeout_us;
	const struct handoff_pair *parameters;
	size_t n_parameters;
};

struct handoff_limits {
	uint64_t total_bytes;
	uint64_t total_used_bytes;
	uint64_t user_bytes;
	uint64_t user_used_bytes;
	uint32_t user_regions;
	uint32_t user_used_regions;
	uint32_t max_requests;
	uint32_t busy_poll_us;
};

struct handoff_inferred {
	const struct handoff_tensor *outputs;
	size_t n_outputs;
	uint64_t queue_ns;
	uint64_t compute_ns;
	uint64_t total_ns;
	uint32_t batch_requests;
	const char *worker;
};

struct handoff_message {
	uint64_t seq;
	enum handoff_type type;
	union {
		struct {
			uint64_t size;
			bool read_only;
		} enroll; /* HANDOFF_REGISTER */
		uint64_t allocate_size;
		struct {
			const uint8_t *token;
			size_t n_token;
		} unregister;
		struct handoff_infer infer;
		uint64_t cancel_of;
		struct handoff_limits limits;
		struct {
			const uint8_t *token; /* HANDOFF_TOKEN_BYTES */
			uint64_t number;
			uint64_t size;
		} registered;
		struct handoff_inferred inferred;
		struct {
			uint32_t code;
			const char *message;
		} error;
	};
};

/* Memory for one message at a time, of a fixed size: what a record can make us hold is bounded. */
struct handoff_scratch;
/* -ENOMEM */
_must_use_ int handoff_scratch_new(struct handoff_scratch **ret_scratch);
struct handoff_scratch *handoff_scratch_free(struct handoff_scratch *s);
DEFINE_CLEANUP(struct handoff_scratch *, handoff_scratch_free)

/*
 * A client's record. What is returned lives in the scratch memory until the next call. Strings and
 * arrays are as the client gave them, bounded by the record alone.
 * -EPROTO  malformed, not a message of a client's, or of more pieces than the memory holds
 */
_must_use_ int handoff_unpack(struct handoff_scratch *s, const uint8_t *data, size_t n,
	const struct handoff_message **ret_message);
/* An answer of the daemon's, into the scratch memory likewise. -EMSGSIZE: above HANDOFF_MESSAGE_MAX */
_must_use_ int handoff_pack(struct handoff_scratch *s, const struct handoff_message *m,
	const uint8_t **ret_data, size_t *ret_n);

#endif
