/*
 * backend.h: the interface between modeld-worker and a backend, for people who write their own.
 *
 * A backend is a shared object NAME.so in one of the backend directories; `backend = NAME` in a
 * model's model.conf selects it. It exports one symbol:
 *
 *     const struct modeld_backend *modeld_backend(const struct modeld_host *host);
 *
 * which is called once, before any load. The worker is single-threaded: it never calls two
 * functions of a backend at the same time, and always from the same thread. A backend may start
 * threads of its own. A crash, a hang or a leak costs this worker process only.
 *
 * Rules
 *  - Inputs are read-only memory, 64-byte aligned: writing to them is a segmentation fault.
 *  - An input that is `shared` lies in memory of the client, who can change it during run().
 *    Whatever such a value decides about memory (an index, a size) is copied first, then checked,
 *    then used. MODELD_DTYPE_BYTES inputs are never shared, and their lengths always add up.
 *  - Outputs are written into memory that the host gives (batch->output()), 64-byte aligned, and
 *    are not read back: where the client lent the memory, it can change it, too.
 *  - Nothing that a batch points to may be used after run() has returned.
 *  - Strings given to load() are valid until unload(); strings in a model's declaration must stay
 *    valid until unload().
 *  - Nothing may be written to standard output; host->log() goes to the daemon's log.
 *
 * This header needs nothing but C11 and stdint.h. MODELD_BACKEND_ABI grows when the layout changes;
 * within a number, fields are only added at the end of struct modeld_host, modeld_model_spec,
 * modeld_model_info and modeld_batch.
 */
#ifndef MODELD_BACKEND_H
#define MODELD_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MODELD_BACKEND_ABI	1u
#define MODELD_BACKEND_RANK_MAX 16u

/* Element types; the numbers are those of the wire protocol. */
enum modeld_dtype {
	MODELD_DTYPE_ANY = 0, /* in a declaration only */
	MODELD_DTYPE_BOOL = 1,
	MODELD_DTYPE_U8 = 2,
	MODELD_DTYPE_U16 = 3,
	MODELD_DTYPE_U32 = 4,
	MODELD_DTYPE_U64 = 5,
	MODELD_DTYPE_I8 = 6,
	MODELD_DTYPE_I16 = 7,
	MODELD_DTYPE_I32 = 8,
	MODELD_DTYPE_I64 = 9,
	MODELD_DTYPE_F16 = 10,
	MODELD_DTYPE_BF16 = 11,
	MODELD_DTYPE_F32 = 12,
	MODELD_DTYPE_F64 = 13,
	MODELD_DTYPE_BYTES = 14, /* each element: u32 little-endian length, then its bytes */
};

/* What a function of a backend returns. */
enum modeld_code {
	MODELD_OK = 0,
	MODELD_INVALID = 3,	 /* the request's data is at fault (gRPC INVALID_ARGUMENT) */
	MODELD_EXHAUSTED = 8,	 /* out of memory of some kind (gRPC RESOURCE_EXHAUSTED) */
	MODELD_UNSUPPORTED = 12, /* gRPC UNIMPLEMENTED */
	MODELD_INTERNAL = 13,	 /* the backend or the model is at fault (gRPC INTERNAL) */
};

/* Where a failing function says why, for the client and the log: printable text, NUL-terminated. */
struct modeld_error {
	char text[512];
};

enum modeld_log_level {
	MODELD_LOG_ERROR,
	MODELD_LOG_WARNING,
	MODELD_LOG_INFO,
	MODELD_LOG_DEBUG,
};

/* What the worker offers; valid for the life of the process. */
struct modeld_host {
	uint32_t abi;	    /* MODELD_BACKEND_ABI of the worker */
	const char *worker; /* "cpu:0/1" */
	const char *device; /* "cpu:0", "cuda:0"; a CUDA worker sees its one GPU as device 0 */
	/* The daemon's [backend.NAME] settings: the value of `key`, or NULL. */
	const char *(*setting)(
		const struct modeld_host *host, const char *backend, const char *key);
	void (*log)(const struct modeld_host *host, enum modeld_log_level level, const char *text);
};

/* One tensor a model takes or gives. */
struct modeld_declaration {
	const char *name;
	enum modeld_dtype dtype; /* MODELD_DTYPE_ANY: any */
	int any_shape;		 /* not 0: any rank and dimensions; rank and dims are ignored */
	uint32_t rank;
	int64_t dims[MODELD_BACKEND_RANK_MAX]; /* -1: any size */
};

/* What load() finds out about a model. */
struct modeld_model_info {
	const struct modeld_declaration *inputs; /* borrowed until unload() */
	size_t n_inputs;
	const struct modeld_declaration *outputs;
	size_t n_outputs;
	/* Not 0: the first dimension of every input and output is a batch dimension (declared as -1)
	 * along which the worker may join requests. */
	int can_batch;
};

/* What is to be loaded. Valid until unload(). */
struct modeld_model_spec {
	const char *name;
	const char *version;
	const char *path; /* the version's directory, e.g. .../digits/1 */
	/* The value of `key` in the [parameters] section of model.conf, or NULL. */
	const char *(*parameter)(const struct modeld_model_spec *spec, const char *key);
};

struct modeld_tensor {
	enum modeld_dtype dtype;
	uint32_t rank;
	const int64_t *dims;
	const void *data; /* 64-byte aligned */
	uint64_t bytes;
	int shared; /* not 0: the client can change the data meanwhile; see the rules above */
};

/* One run. Requests joined by the worker look like one request with more rows. */
struct modeld_batch {
	const struct modeld_tensor *inputs; /* as declared, all present */
	size_t n_inputs;
	/* Not 0 for each declared output that somebody wants. Others may be skipped. */
	const uint8_t *wanted;
	size_t n_outputs;
	/*
	 * Memory for output `index` with this shape: `bytes` bytes, 64-byte aligned, uninitialised.
	 * For MODELD_DTYPE_BYTES, bytes is the serialised size. Call at most once an output; calling
	 * again gives new memory and drops the old. NULL: no memory, or dtype, shape and bytes do not
	 * fit each other or the declaration, or the batch's rows where the model can batch; error says
	 * which. Return then: the host knows the reason, whatever code run() returns.
	 */
	void *(*output)(const struct modeld_batch *batch, size_t index, enum modeld_dtype dtype,
		const int64_t *dims, uint32_t rank, uint64_t bytes, struct modeld_error *error);
	/* The request's own parameter `key`, or NULL; always NULL in a joined batch. */
	const char *(*parameter)(const struct modeld_batch *batch, const char *key);
};

struct modeld_backend {
	uint32_t abi;	  /* MODELD_BACKEND_ABI that it was built for */
	const char *name; /* for messages */
	/* Load a model: *ret_model is what run() and unload() get; *ret_info is filled. On failure
	 * nothing is kept and error says why. */
	enum modeld_code (*load)(const struct modeld_model_spec *spec, void **ret_model,
		struct modeld_model_info *ret_info, struct modeld_error *error);
	/* Run once. On failure every request of the batch gets this code and text; but after
	 * MODELD_INVALID the requests of a joined batch are run again, each alone, so that one of them
	 * does not fail the others. */
	enum modeld_code (*run)(
		void *model, const struct modeld_batch *batch, struct modeld_error *error);
	void (*unload)(void *model);
	/* Bytes that the model holds, as far as known; may be NULL. */
	uint64_t (*memory_usage)(void *model);
};

typedef const struct modeld_backend *(*modeld_backend_fn)(const struct modeld_host *host);

#ifdef __cplusplus
}
#endif

#endif
