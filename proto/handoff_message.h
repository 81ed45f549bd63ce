/*
 * handoff_message.h: the messages between a local client and the daemon as plain structs; packing,
 * unpacking and validation, for both ends. proto/handoff.proto documents each field, docs/handoff.md the
 * conversation.
 */
#ifndef PROTO_HANDOFF_MESSAGE_H
#define PROTO_HANDOFF_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/dtype.h"
#include "proto/grpc_status.h"
#include "proto/handoff.h"

/* Envelope's field numbers. */
enum handoff_type {
	/* requests */
	HANDOFF_GET_LIMITS = 2,
	HANDOFF_REGISTER,
	HANDOFF_ALLOCATE,
	HANDOFF_UNREGISTER,
	HANDOFF_INFER,
	HANDOFF_CANCEL,
	/* answers */
	HANDOFF_LIMITS,
	HANDOFF_REGISTERED,
	HANDOFF_UNREGISTERED,
	HANDOFF_INFERRED,
	HANDOFF_ERROR,
};

struct handoff_register {
	uint64_t size;
	bool read_only;
	const char *device; /* which GPU; "": it is on the host */
};

struct handoff_allocate {
	uint64_t size;
};

struct handoff_unregister {
	const uint8_t *token;
	size_t n_token;
};

/* An input or an output. An output without a target has region 0 and its bytes in `data`. */
struct handoff_tensor {
	const char *name;
	enum dtype dtype; /* of an input as the client has it, however wrong */
	uint32_t rank;
	const int64_t *dims;
	uint64_t region;
	uint64_t offset;
	uint64_t length;
	const uint8_t *data;
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
	bool make_room;
	bool partial;
	const char *traceparent; /* as it came; "": none */
	const char *tracestate;	 /* as it came; "": none */
};

struct handoff_cancel {
	uint64_t of;
};

struct handoff_limits {
	uint32_t protocol;
	uint64_t total_bytes;
	uint64_t total_used_bytes;
	uint64_t user_bytes;
	uint64_t user_used_bytes;
	uint32_t user_regions;
	uint32_t user_used_regions;
	uint64_t max_inline_bytes;
	uint32_t max_requests;
	uint32_t busy_poll_us;
	uint64_t user_device_bytes;
	uint64_t user_device_used_bytes;
};

struct handoff_registered {
	const uint8_t *token; /* HANDOFF_TOKEN_BYTES */
	size_t n_token;
	uint64_t number; /* not 0 */
	uint64_t size;	 /* not 0 */
};

struct handoff_inferred {
	const struct handoff_tensor *outputs;
	size_t n_outputs;
	uint64_t queue_ns;
	uint64_t compute_ns;
	uint64_t total_ns;
	uint32_t batch_requests;
	const char *worker;
	const struct handoff_registered *room; /* the region that was made for outputs */
	size_t n_room;			       /* 0 or 1 */
	bool more;			       /* another answer to the same Infer follows */
};

struct handoff_error {
	enum grpc_status code; /* never GRPC_OK */
	const char *message;
	/* Those that found no room, without data. */
	const struct handoff_tensor *outputs;
	size_t n_outputs;
};

struct handoff_message {
	uint64_t seq;
	enum handoff_type type;
	union {
		struct handoff_register registration;
		struct handoff_allocate allocate;
		struct handoff_unregister unregister;
		struct handoff_infer infer;
		struct handoff_cancel cancel;
		struct handoff_limits limits;
		struct handoff_registered registered;
		struct handoff_inferred inferred;
		struct handoff_error error;
	};
};

/*
 * Scratch memory for packing and unpacking: one a channel end, reused. It is taken at once, so that
 * nothing is allocated later, and what a record can make us hold is bounded; only pages that were
 * needed become resident.
 */
struct handoff_scratch;
/* -ENOMEM */
_must_use_ int handoff_scratch_new(struct handoff_scratch **ret_scratch);
struct handoff_scratch *handoff_scratch_free(struct handoff_scratch *s);
DEFINE_CLEANUP(struct handoff_scratch *, handoff_scratch_free)

/* Room for HANDOFF_TENSORS_MAX of each, for what is to be packed next. */
struct handoff_tensor *handoff_scratch_tensors(struct handoff_scratch *s);
struct handoff_target *handoff_scratch_targets(struct handoff_scratch *s);

/*
 * Pack into the scratch memory; ret_data is borrowed until the next call of this function on `s`. NULL
 * strings are packed as empty.
 *
 * -EMSGSIZE  above HANDOFF_MESSAGE_MAX bytes, or HANDOFF_TENSORS_MAX outputs of an answer
 * -EINVAL    any other value that the other end would refuse
 */
_must_use_ int handoff_pack(struct handoff_scratch *s, const struct handoff_message *m,
	const uint8_t **ret_data, size_t *ret_n);
/*
 * Unpack and validate a client's record. Strings are never NULL and hold no NUL; they, arrays and
 * numbers are as the client gave them, bounded by the record alone: what is wrong with them it is told
 * in an answer. *ret_message lives in the scratch memory until the next unpacking on `s`; tokens lie in
 * the record.
 *
 * -EPROTO  malformed, not a message of a client's, or of more pieces than the memory holds
 */
_must_use_ int handoff_unpack_request(struct handoff_scratch *s, const uint8_t *record, size_t n,
	const struct handoff_message **ret_message);
/*
 * The same for a record of the daemon: at most HANDOFF_TENSORS_MAX outputs, dtypes known, ranks,
 * dimensions not negative, bytes only where there is no region, tokens whole, numbers and sizes of
 * regions not 0, error codes of gRPC. Tokens and data lie in the record.
 *
 * -EPROTO  malformed or out of limits
 */
_must_use_ int handoff_unpack_answer(struct handoff_scratch *s, const uint8_t *record, size_t n,
	const struct handoff_message **ret_message);

#endif
