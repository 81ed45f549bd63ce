/*
 * wire.h: the messages between daemon and worker as plain structs; packing, unpacking and
 * validation. wire_tables.c says of each field where it lies and what is allowed in it;
 * proto/wire.proto documents it, docs/protocol.md the conversation.
 */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/dtype.h"
#include "shm/span.h"

#define WIRE_PROTOCOL 4u

/* Limits: a message beyond them is refused by wire_pack() and wire_unpack() alike. */
#define WIRE_MESSAGE_MAX (128u * 1024u) /* bytes of a record, hence of a message in it */
#define WIRE_ITEMS_MAX	 1024u		/* items of a batch */
#define WIRE_TENSORS_MAX 1024u		/* inputs or outputs of an item */
#define WIRE_PAIRS_MAX	 64u
#define WIRE_FAULTS_MAX	 64u  /* of a Checked */
#define WIRE_NAME_MAX	 255u /* names, keys */
#define WIRE_NUMA_NODES	 1024u
#define WIRE_TEXT_MAX	 4096u /* values, paths, error texts */
#define WIRE_FAULT_MAX	 1024u /* the text of a fault */
#define WIRE_RELEASE_MAX 4096u /* holds of one Release */
#define WIRE_BYTES_CHECKED_MAX                                                                     \
	4096u /* elements of a BYTES input in a segment: more are checked by the worker */
#define WIRE_LANES_FREE	      16u /* of a model that was to have no certain number, at most */
#define WIRE_DIRS_MAX	      64u /* backend directories of a Setup */
#define WIRE_HANDLE_WORDS     8u  /* of memory on a GPU: a cudaIpcMemHandle_t */
#define WIRE_HANDLE_BYTES     (8u * WIRE_HANDLE_WORDS)
#define WIRE_WARMUPS_MAX      64u	  /* of a model */
#define WIRE_WARMUP_COUNT_MAX 1000u	  /* runs of one, on each lane */
#define WIRE_SCRATCH_MAX      (16u << 20) /* bytes that unpacking a message may take */

enum wire_type {
	WIRE_SETUP = 1,
	WIRE_LOAD,
	WIRE_UNLOAD,
	WIRE_RUN,
	WIRE_RELEASE,
	WIRE_PING,
	WIRE_DRAIN,
	WIRE_HELLO,
	WIRE_LOADED,
	WIRE_READY,
	WIRE_DONE,
	WIRE_PONG,
	WIRE_BYE,
	WIRE_MAP,
	WIRE_UNMAP,
	WIRE_UNMAPPED,
	WIRE_UNLOADED,
	WIRE_PARTIAL,
	WIRE_CANCEL,
	WIRE_CHECK,
	WIRE_CHECKED,
	WIRE_IMPORT,
	WIRE_IMPORTED,
};

/* Ids of regions (a client's memory) have this bit, ids of segments have not. */
#define WIRE_REGION_BIT (UINT64_C(1) << 63)

struct wire_pair {
	const char *key;
	const char *value;
};

struct wire_tensor {
	uint32_t index;
	enum dtype dtype;
	uint32_t rank;
	const int64_t *dims;
	struct span span;
};

struct wire_setup {
	uint32_t protocol;
	const char *worker;
	const char *device;
	uint64_t process;
	uint64_t output_bytes;
	uint64_t output_populate_first;
	uint32_t slots;
	const char *const *backend_dirs;
	size_t n_backend_dirs;
	const struct wire_pair *settings;
	size_t n_settings;
	uint32_t busy_poll_us;
	uint32_t log_level; /* 0: error ... 3: debug */
	uint64_t output_segment_bytes;
	uint32_t output_segments;
	uint64_t output_idle_ms;
	uint64_t scratch_bytes;
	uint32_t holds;
	uint64_t output_wait_ms;
	uint32_t threads; /* that what it runs on processors should use together; 0: not known */
};

/* Of a model's work on a GPU. */
enum wire_priority {
	WIRE_PRIORITY_NORMAL,
	WIRE_PRIORITY_HIGH, /* ahead of other models' */
	WIRE_PRIORITY_LOW,  /* behind it */
};

/* What one input of a warm-up gets: zeroes, unless it says otherwise. */
struct wire_warmup_input {
	const char *name; /* of the model's input */
	enum dtype dtype;
	uint32_t rank;
	const int64_t *dims; /* without the batch's */
	bool random;
	const char *file; /* "": none; its data, of one row: below wire_load.warmup_path */
};

/* Requests that each lane of a model runs before it counts as loaded. */
struct wire_warmup {
	const char *name;
	uint32_t batch_size; /* rows, each with the same data; 1 where the model does not batch */
	uint32_t count;	     /* runs */
	const struct wire_warmup_input *inputs;
	size_t n_inputs;
};

/* Also WIRE_CHECK, which has name, version, path, backend, max_batch_size and parameters alone. */
struct wire_load {
	uint32_t model;
	const char *name;
	const char *version;
	const char *path;
	const char *backend;
	uint32_t max_batch_size;
	const struct wire_pair *parameters;
	size_t n_parameters;
	uint32_t instances;	 /* 0: as the worker finds best, at most WIRE_LANES_FREE */
	uint32_t priority;	 /* enum wire_priority */
	const char *warmup_path; /* the directory of the files of warm-ups; "": there are none */
	const struct wire_warmup *warmups;
	size_t n_warmups;
};

struct wire_unload {
	uint32_t model;
};

struct wire_unloaded {
	uint32_t model;
	uint64_t memory_bytes;
	uint64_t stayed_bytes;
};

/* Where an output goes instead of the output arena: span.arena is a region. */
struct wire_target {
	uint32_t output;
	struct span span; /* length: the room there is */
};

enum wire_sequence_flag {
	WIRE_SEQUENCE_START = 1 << 0,
	WIRE_SEQUENCE_END = 1 << 1,
};

struct wire_item {
	const struct wire_tensor *inputs;
	size_t n_inputs;
	const uint32_t *outputs;
	size_t n_outputs;
	const struct wire_pair *parameters;
	size_t n_parameters;
	const struct wire_target *targets;
	size_t n_targets;
	const char *traceparent; /* of W3C Trace Context, "": none */
	const char *id;		 /* what its client calls it, "": nothing */
	/* What it is a step of: a number, or a text; 0 and "": of nothing. */
	uint64_t sequence;
	const char *sequence_text;
	uint32_t sequence_flags; /* of enum wire_sequence_flag */
	const char *tracestate;	 /* what goes with traceparent, "": nothing */
};

struct wire_map {
	uint64_t id;
	uint64_t size;
	bool writable;
};

/* Memory of a GPU, by the handle that its owner has made, or by a descriptor that travels with it. */
struct wire_import {
	uint64_t id;
	uint64_t size;
	const uint64_t *handle; /* its bytes, WIRE_HANDLE_WORDS of eight, as they lie in memory */
	size_t n_handle;	/* 0: there is a descriptor */
	bool writable;		/* targets may lie there: always by a handle */
};

struct wire_imported {
	uint64_t id;
	const char *error; /* why it cannot be used; "": it can */
};

/* WIRE_UNMAP and WIRE_UNMAPPED. */
struct wire_unmap {
	uint64_t id;
};

struct wire_run {
	uint64_t batch;
	uint32_t model;
	const struct wire_item *items;
	size_t n_items;
	uint32_t lane;
};

struct wire_release {
	const uint64_t *holds;
	size_t n_holds;
};

struct wire_ping {
	uint64_t nonce;
};

struct wire_hello {
	uint32_t protocol;
	uint32_t slots;
	const char *sandbox;
	const char *sandbox_lacks;
	const char *copies; /* of a GPU's worker: "pinned" or "staged" */
	bool imports;	    /* it takes Import */
	uint32_t numa_node; /* of its device, counted from 1, at most WIRE_NUMA_NODES; 0: any */
};

struct wire_declaration {
	const char *name;
	enum dtype dtype; /* DTYPE_INVALID: any */
	bool any_shape;
	uint32_t rank;
	const int64_t *dims; /* -1: any size */
};

struct wire_loaded {
	uint32_t model;
	bool ok;
	const char *error;
	const struct wire_declaration *inputs;
	size_t n_inputs;
	const struct wire_declaration *outputs;
	size_t n_outputs;
	uint64_t memory_bytes;
	uint32_t max_batch_size;
	uint32_t lanes; /* 0: 1 */
	bool decoupled;
};

struct wire_fault {
	const char *key; /* "": it is no key's */
	const char *text;
};

struct wire_checked {
	const struct wire_fault *faults;
	size_t n_faults;
	bool unjudged; /* the backend does not say what it knows */
};

struct wire_result {
	uint32_t code; /* 0..16 */
	const char *message;
	const struct wire_tensor *outputs;
	size_t n_outputs;
	uint32_t joined; /* items that ran as one with this one, itself included; 0: 1 */
	uint64_t hold;	 /* 0: none of outputs is in output memory */
};

struct wire_partial {
	uint64_t batch;
	uint32_t item;
	const struct wire_tensor *outputs;
	size_t n_outputs;
	uint64_t hold;
	bool last;
	uint64_t compute_ns;
};

struct wire_done {
	uint64_t batch;
	uint64_t compute_ns;
	const struct wire_result *results;
	size_t n_results;
};

struct wire_cancel {
	uint64_t batch;
	uint32_t model;
	uint32_t lane;
};

struct wire_bye {
	const char *reason;
};

struct wire_message {
	enum wire_type type;
	union {
		struct wire_setup setup;
		struct wire_load load; /* WIRE_LOAD and WIRE_CHECK */
		struct wire_unload unload;
		struct wire_run run;
		struct wire_release release;
		struct wire_ping ping; /* WIRE_PING and WIRE_PONG */
		struct wire_hello hello;
		struct wire_loaded loaded;
		struct wire_checked checked;
		struct wire_done done;
		struct wire_bye bye;
		struct wire_map map;
		struct wire_unmap unmap; /* WIRE_UNMAP and WIRE_UNMAPPED */
		struct wire_unloaded unloaded;
		struct wire_partial partial;
		struct wire_cancel cancel;
		struct wire_import import;
		struct wire_imported imported;
	};
};

/* "run", "done", … for log lines; "unknown" otherwise. */
const char *wire_type_name(enum wire_type type);
/* How many descriptors travel with it: one at most. */
size_t wire_n_fds(const struct wire_message *m);

/*
 * Scratch memory for packing and unpacking: one a channel end, reused. WIRE_SCRATCH_MAX bytes of
 * address space and those of a record are taken at once, so that nothing is allocated later; only
 * pages that were needed become resident.
 */
struct wire_scratch;
_must_use_ int wire_scratch_new(struct wire_scratch **ret_scratch);
struct wire_scratch *wire_scratch_free(struct wire_scratch *s);
DEFINE_CLEANUP(struct wire_scratch *, wire_scratch_free)

/*
 * Pack into the scratch memory; ret_data is borrowed until the next call on `s`. NULL strings are
 * packed as empty. A record is one packed message or several, one behind the other, of at most
 * WIRE_MESSAGE_MAX bytes. Whatever is packed, wire_unpack() accepts.
 *
 * -EMSGSIZE  more elements, a longer text or a longer record than this header allows
 * -EINVAL    any other value that wire_unpack() would refuse
 */
_must_use_ int wire_pack(struct wire_scratch *s, const struct wire_message *m,
	const uint8_t **ret_data, size_t *ret_n);
/* What one item adds to a packed Run, never less: what a batcher sums up against
 * WIRE_MESSAGE_MAX. */
size_t wire_item_bound(const struct wire_item *item);
/*
 * Unpack and validate the first message of a record, or of what is left of one: *ret_used bytes of
 * it are done with then. It must be a known message, within every limit above, dtypes known (or
 * "any" in a declaration), ranks, dimensions not negative (-1 in a declaration, none where
 * any_shape is set), indexes of inputs and outputs below WIRE_TENSORS_MAX, arena ids not 0 in
 * tensors, Map, Unmap and Unmapped, WIRE_REGION_BIT set in targets, Import and Imported, no output named twice by an
 * item's targets, at least one item in a Run and one result in a Done, no NUL inside a string, no
 * number too large for its field. Unknown fields are ignored. Spans are NOT resolved here. Strings of
 * *ret_message are never NULL; arrays of no elements are. It lives in the scratch memory until the next
 * call on `s`; the record is not needed any more.
 *
 * -EPROTO  malformed or out of limits
 */
_must_use_ int wire_unpack(struct wire_scratch *s, const uint8_t *record, size_t n,
	size_t *ret_used, const struct wire_message **ret_message);

#endif
