/*
 * backend.h: the interface between modeld-worker and a backend, for people who write their own.
 *
 * A backend is a shared object NAME.so in one of the backend directories; `backend = NAME` in a
 * model's model.conf selects it. It exports one symbol:
 *
 *     const struct modeld_backend *modeld_backend(const struct modeld_host *host);
 *
 * which is called once, before any load. A crash, a hang or a leak costs this worker process only.
 *
 * Models and instances
 *  - load() makes a model: what all its instances share (weights, declarations). Each instance is
 *    what one run at a time needs beside that. `instances = N` in model.conf asks for N of them, so
 *    that N batches of the model run at once.
 *
 * Threads
 *  - An instance is used by one thread at a time, though not always by the same one; runs of
 *    different instances go on at once.
 *  - load(), instance_create(), warm(), instance_free(), unload() and memory_usage() are called by
 *    one thread at a time, for all models together, while runs of other models go on. When
 *    instance_free() is called, the instance is idle; when unload() is called, no instance is left.
 *  - A backend may start threads of its own.
 *
 * Memory
 *  - Inputs are read-only and 64-byte aligned: writing to one is a segmentation fault.
 *  - An input that is `shared` lies in memory of the client, who can change it during run().
 *    Whatever such a value decides about memory (an index, a size) is copied first, then checked,
 *    then used. MODELD_DTYPE_BYTES inputs are never shared, and their lengths always add up.
 *  - Outputs are written into memory that the host gives (batch->output()), 64-byte aligned, and
 *    are not read back: where the client lent the memory, it can change it, too. Every byte of an
 *    output is written before the run is over.
 *  - Nothing that a batch points to may be used after the run is over: after run() has returned
 *    anything but MODELD_PENDING, or after host->complete() was called.
 *  - Strings given to load() are valid until unload(); strings in a model's declaration must stay
 *    valid until unload().
 *  - Nothing may be written to standard output; host->log() goes to the daemon's log.
 *
 * Versions
 *  - Every struct begins with its size, set by whoever makes it. Within one MODELD_BACKEND_ABI
 *    fields are only added, at the end. Zero is always the default of a field, and what lies beyond
 *    the size counts as zero: who reads a struct of the other side asks MODELD_HAS() for a field
 *    that was added later than the number's first header.
 *
 * This header needs nothing but C11 and the standard library's headers.
 */
#ifndef MODELD_BACKEND_H
#define MODELD_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MODELD_BACKEND_ABI	2u
#define MODELD_BACKEND_RANK_MAX 16u

/* Is `field` part of what `object`, a pointer to one of the structs below, points to? */
#define MODELD_HAS(object, field)                                                                  \
	((object)->size >= (size_t)((const char *)(&(object)->field + 1) - (const char *)(object)))

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
	MODELD_CANCELLED = 1,	 /* given up because of batch->cancelled() (gRPC CANCELLED) */
	MODELD_INVALID = 3,	 /* the request's data is at fault (gRPC INVALID_ARGUMENT) */
	MODELD_EXHAUSTED = 8,	 /* out of memory of some kind (gRPC RESOURCE_EXHAUSTED) */
	MODELD_UNSUPPORTED = 12, /* gRPC UNIMPLEMENTED */
	MODELD_INTERNAL = 13,	 /* the backend or the model is at fault (gRPC INTERNAL) */
	/* run() only: it goes on, and host->complete() will say how it ended. */
	MODELD_PENDING = 64,
	/* This process cannot go on, for example because its device's context is lost: the worker
	 * reports the error's text and ends; the daemon starts another one and sends what was lost
	 * there. */
	MODELD_FATAL = 65,
};

/* Where memory lies. */
enum modeld_memory {
	MODELD_MEMORY_HOST = 0,
	MODELD_MEMORY_PINNED = 1, /* host memory that the device copies from and to directly */
	MODELD_MEMORY_DEVICE = 2, /* of the device `device` */
};
/* A bit in a set of them. Who takes host memory takes pinned memory, too. */
#define MODELD_MEMORY_BIT(memory) (UINT32_C(1) << (memory))

/* Where a failing function says why, for the client and the log: printable text, NUL-terminated. */
struct modeld_error {
	size_t size;
	char text[512];
};

enum modeld_log_level {
	MODELD_LOG_ERROR,
	MODELD_LOG_WARNING,
	MODELD_LOG_INFO,
	MODELD_LOG_DEBUG,
};

struct modeld_batch;

/* What the worker offers; valid for the life of the process. Any thread may call it. */
struct modeld_host {
	size_t size;
	uint32_t abi;	    /* MODELD_BACKEND_ABI of the worker */
	const char *worker; /* "cpu:0/1" */
	const char *device; /* "cpu:0", "cuda:0"; a CUDA worker sees its one GPU as device 0 */
	/* The daemon's [backend.NAME] settings: the value of `key`, or NULL. */
	const char *(*setting)(
		const struct modeld_host *host, const char *backend, const char *key);
	/* The same by number, to find keys that mean nothing; 0: there are no more. */
	int (*setting_at)(const struct modeld_host *host, const char *backend, size_t i,
		const char **ret_key, const char **ret_value);
	void (*log)(const struct modeld_host *host, enum modeld_log_level level, const char *text);
	/*
	 * Ends a run that returned MODELD_PENDING, once: from any thread, even before run() has
	 * returned, but not from inside batch->output(). `code` is what run() would have returned;
	 * `text` says why it is not MODELD_OK, else it may be NULL. The batch is gone afterwards.
	 */
	void (*complete)(const struct modeld_batch *batch, enum modeld_code code, const char *text);
	/*
	 * Of a model that is decoupled: send what the run was given by batch->output() since it began, or
	 * since the last answer, as one answer. All outputs that are wanted must be there; they are the
	 * host's then, not to be written or read any more, and output() may be asked for the next ones. From any
	 * thread that may call batch->output() at that moment. On failure what was given is gone, and
	 * error says why: end the run then, with that code; MODELD_CANCELLED: nobody listens any more.
	 */
	enum modeld_code (*answer)(const struct modeld_batch *batch, struct modeld_error *error);
	/* Threads that all models of this worker should use together on processors: its share of those that there are for
	 * modeld. 0: not known. */
	uint32_t threads;
};

/* One tensor a model takes or gives. The elements of an array of them are of one size. */
struct modeld_declaration {
	size_t size;
	const char *name;
	enum modeld_dtype dtype; /* MODELD_DTYPE_ANY: any */
	int any_shape;		 /* not 0: any rank and dimensions; rank and dims are ignored */
	uint32_t rank;
	/* For an input: where run() takes it, MODELD_MEMORY_BITs; 0: host memory. The host copies
	 * it there first where it lies elsewhere. */
	uint32_t memory;
	int64_t dims[MODELD_BACKEND_RANK_MAX]; /* -1: any size */
};

/* What load() finds out about a model. The host zeroes it and sets `size`. */
struct modeld_model_info {
	size_t size;
	const struct modeld_declaration *inputs; /* borrowed until unload() */
	size_t n_inputs;
	const struct modeld_declaration *outputs;
	size_t n_outputs;
	/* Not 0: the first dimension of every input and output is a batch dimension (declared as -1)
	 * along which the worker may join requests. */
	int can_batch;
	/*
	 * Not 0: a run may answer any number of times, by host->answer(), before it ends. It ends
	 * with all outputs that are wanted, as one more answer, or with none of them: nothing more is
	 * to come. Such a model does not batch, takes no device memory for outputs, and only streaming calls
	 * can ask it.
	 */
	int decoupled;
};

#define MODELD_BATCH_UNSET UINT32_MAX

/* What is to be loaded. Valid until unload(). */
struct modeld_model_spec {
	size_t size;
	const char *name;
	const char *version;
	const char *path; /* the version's directory, e.g. .../digits/1 */
	/* The value of `key` in the [parameters] section of model.conf, or NULL. */
	const char *(*parameter)(const struct modeld_model_spec *spec, const char *key);
	/* The same by number, to find keys that mean nothing; 0: there are no more. */
	int (*parameter_at)(const struct modeld_model_spec *spec, size_t i, const char **ret_key,
		const char **ret_value);
	uint32_t n_instances; /* how many there will be, at least 1 */
	uint32_t
		max_batch_size; /* rows that model.conf allows; MODELD_BATCH_UNSET: it says nothing */
};

/* An instance that is to be made. Valid during instance_create(). */
struct modeld_instance_spec {
	size_t size;
	uint32_t index; /* below n_instances */
	/* On a device that has them, the stream that is the instance's own (CUDA: a cudaStream_t,
	 * valid until instance_free()); else NULL. */
	void *stream;
};

struct modeld_tensor {
	size_t size;
	enum modeld_dtype dtype;
	uint32_t rank;
	const int64_t *dims;
	const void *data; /* 64-byte aligned */
	uint64_t bytes;
	int shared; /* not 0: the client can change the data meanwhile; see the rules above */
	enum modeld_memory memory;
	int device; /* its number, as this process sees it; 0 unless memory is a device's */
};

/* An output that run() asks memory for. */
struct modeld_output {
	size_t size;
	size_t index; /* which of the declared ones */
	enum modeld_dtype dtype;
	uint32_t rank;
	const int64_t *dims;
	uint64_t bytes; /* for MODELD_DTYPE_BYTES, the serialised size */
	/* Where it is wanted: MODELD_MEMORY_HOST gives host memory of either kind. From device
	 * memory the host copies it when the run is over. */
	enum modeld_memory memory;
	/* Not 0: the backend is certain to write each byte before it ends the run with MODELD_OK. The
	 * host need not clear the memory then, which was lent to another batch before. */
	int writes_all;
};

/*
 * One run. Requests joined by the worker look like one request with more rows. Functions take the
 * batch as it was given to run(); one thread at a time calls output().
 */
struct modeld_batch {
	size_t size;
	const struct modeld_tensor *const *inputs; /* as declared, all present */
	size_t n_inputs;
	/* Not 0 for each declared output that somebody wants. Others may be skipped. */
	const uint8_t *wanted;
	size_t n_outputs;
	/*
	 * Memory for an output, 64-byte aligned. Call at most once an output; calling again gives new
	 * memory and drops the old. NULL: no memory, or shape and bytes do not fit each other, or the
	 * dtype is not the declared one; of joined requests also a shape that is not as declared, or
	 * has other rows. error says which. End the run then: the host knows the reason, whatever code
	 * it ends with.
	 */
	void *(*output)(const struct modeld_batch *batch, const struct modeld_output *output,
		struct modeld_error *error);
	/* The request's own parameter `key`, or NULL; always NULL in a joined batch. */
	const char *(*parameter)(const struct modeld_batch *batch, const char *key);
	/* Not 0: nobody waits for the answer any more. A long run may ask now and then, and give up
	 * with MODELD_CANCELLED. Any thread may call it. */
	int (*cancelled)(const struct modeld_batch *batch);
	/*
	 * The instance's stream, where the device has them, else NULL. Inputs in device memory are
	 * there in the stream's order, and what the stream has been given when the run ends is done
	 * before an output is used: so run() need not wait for the device.
	 */
	void *stream;
	/* The request's parameters by number, to refuse those that mean nothing; 0: there are no
	 * more. */
	int (*parameter_at)(const struct modeld_batch *batch, size_t i, const char **ret_key,
		const char **ret_value);
};

/* Where a backend puts what is wrong with a configuration. */
struct modeld_faults {
	size_t size;
	/* Once for each thing; key: of the settings or parameters, NULL: it is no key's. Both texts are copied. */
	void (*add)(const struct modeld_faults *faults, const char *key, const char *text);
};

struct modeld_backend {
	size_t size;
	uint32_t abi;	  /* MODELD_BACKEND_ABI that it was built for */
	const char *name; /* for messages */
	/* Load a model: *ret_model is what unload() and instance_create() get; *ret_info is filled. On
	 * failure nothing is kept and error says why. */
	enum modeld_code (*load)(const struct modeld_model_spec *spec, void **ret_model,
		struct modeld_model_info *ret_info, struct modeld_error *error);
	void (*unload)(void *model);
	/* Make an instance; on failure nothing is kept. Both may be NULL: run() gets the model then,
	 * and may be called for it by several threads at once where there are several instances. */
	enum modeld_code (*instance_create)(void *model, const struct modeld_instance_spec *spec,
		void **ret_instance, struct modeld_error *error);
	void (*instance_free)(void *instance);
	/* Run once. On failure every request of the batch gets this code and text; but the requests of
	 * a joined batch are run again first, each alone, so that one of them does not fail the
	 * others. */
	enum modeld_code (*run)(
		void *instance, const struct modeld_batch *batch, struct modeld_error *error);
	/* Whatever makes the first run slow, done before it; called once an instance, before the model
	 * counts as loaded. A failure is a failed load. May be NULL. */
	enum modeld_code (*warm)(void *instance, struct modeld_error *error);
	/* Bytes that the model holds, as far as known; may be NULL. */
	uint64_t (*memory_usage)(void *model);
	/* Instances that a model gets on a device that has streams, where model.conf does not say how many; 0: as many as
	 * keep the device busy. For a backend each of whose instances takes much of the device's memory. */
	uint32_t instances;
	/*
	 * Judge what the configuration says and load nothing, for `modeld --check`: a model's parameters, or, where spec is
	 * NULL, the settings of the backend's section. A key that is asked for meanwhile is known; each of the others is a fault
	 * without further ado. Called as load() is; no model is loaded in this process. May be NULL: then nobody knows before
	 * a model is loaded.
	 */
	void (*check)(const struct modeld_model_spec *spec, const struct modeld_faults *faults);
};

typedef const struct modeld_backend *(*modeld_backend_fn)(const struct modeld_host *host);

#ifdef __cplusplus
}
#endif

#endif
