/*
 * handoff_codec.h: records of proto/handoff.proto as plain structs, as a client sends and gets them.
 * handoff_codec.c is the only includer of handoff.pb-c.h in clients/. Client process, one thread a
 * codec.
 */
#ifndef CLIENTS_C_HANDOFF_CODEC_H
#define CLIENTS_C_HANDOFF_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/dtype.h"
#include "proto/grpc_status.h"
#include "proto/handoff.h"

/* Numbers of Envelope's fields. */
enum handoff_request_type {
	HANDOFF_GET_LIMITS = 2,
	HANDOFF_REGISTER = 3,
	HANDOFF_ALLOCATE = 4,
	HANDOFF_UNREGISTER = 5,
	HANDOFF_INFER = 6,
	HANDOFF_CANCEL = 7,
};

enum handoff_answer_type {
	HANDOFF_LIMITS = 8,
	HANDOFF_REGISTERED = 9,
	HANDOFF_UNREGISTERED = 10,
	HANDOFF_INFERRED = 11,
	HANDOFF_ERROR = 12,
};

struct handoff_tensor {
	const char *name;
	enum dtype dtype;
	uint32_t rank;
	const int64_t *dims;
	uint64_t region; /* 0 in answers: inline */
	uint64_t offset;
	uint64_t length;
	const uint8_t *data; /* in answers, when inline: length bytes */
};

struct handoff_target {
	const char *name;
	uint64_t region;
	uint64_t offset;
	uint64_t length;
};

struct handoff_infer {
	const char *model;
	const struct handoff_tensor *inputs;
	size_t n_inputs;
	const struct handoff_target *targets;
	size_t n_targets;
	uint64_t timeout_us;
};

/* Strings may be NULL: empty. */
struct handoff_request {
	uint64_t seq;
	enum handoff_request_type type;
	union {
		struct {
			uint64_t size;
			bool read_only;
		} registration;
		uint64_t allocate_size;
		uint8_t unregister[HANDOFF_TOKEN_BYTES];
		struct handoff_infer infer;
		uint64_t cancel_of;
	};
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
};

struct handoff_registered {
	uint8_t token[HANDOFF_TOKEN_BYTES];
	uint64_t number; /* not 0 */
	uint64_t size;	 /* not 0 */
};

struct handoff_inferred {
	const struct handoff_tensor *outputs;
	size_t n_outputs;
	uint64_t queue_ns;
	uint64_t compute_ns;
	uint64_t total_ns;
};

struct handoff_error {
	enum grpc_status code; /* never GRPC_OK */
	const char *message;
};

struct handoff_answer {
	uint64_t seq;
	enum handoff_answer_type type;
	union {
		struct handoff_limits limits;
		struct handoff_registered registered;
		struct handoff_inferred inferred;
		struct handoff_error error;
	};
};

/*
 * Scratch memory for one direction: a fixed megabyte of address space, taken at once, so that
 * packing and unpacking never allocate. What either function returns lives in it until the next
 * call of either on the same codec.
 */
struct handoff_codec;
_must_use_ int handoff_codec_new(struct handoff_codec **ret_codec);
struct handoff_codec *handoff_codec_free(struct handoff_codec *c);
DEFINE_CLEANUP(struct handoff_codec *, handoff_codec_free)

/* -EMSGSIZE  above HANDOFF_TENSORS_MAX tensors or targets, or HANDOFF_MESSAGE_MAX bytes */
_must_use_ int handoff_codec_pack(struct handoff_codec *c, const struct handoff_request *request,
	const uint8_t **ret_data, size_t *ret_n);
/*
 * Unpack and validate one record of the daemon: one known answer, tensors within the limits, each of
 * a known dtype, and of as many bytes as dtype and shape ask for (inline BYTES tensors add up; those
 * in a region are not looked at), tokens whole, error codes of gRPC. Regions and offsets are not
 * resolved here. Strings are never NULL.
 *
 * -EPROTO  malformed or out of limits
 */
_must_use_ int handoff_codec_unpack(struct handoff_codec *c, const uint8_t *data, size_t n,
	const struct handoff_answer **ret_answer);

#endif
