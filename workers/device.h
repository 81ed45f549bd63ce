/*
 * device.h: what a worker needs of the device that its models run on: memory there, copies to it
 * and back in the order of a stream, events that say how far a stream is, and which errors are the
 * end of this process. Two implementations: device_host.c (the processors) and, where a CUDA
 * toolkit was found, device_cuda*.c.
 *
 * Any thread may call; a stream and its events are used by one thread at a time. Nothing here calls
 * back. Only device_event_wait() and the functions that open, allocate host memory or register it
 * block.
 *
 * Results: 0; a negative errno; or a positive number that holds a class (below) and the device's own
 * code. device_class() tells the class, device_explain() says it all in words.
 */
#ifndef WORKERS_DEVICE_H
#define WORKERS_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define DEVICE_TEXT_MAX 512u

enum device_class {
	DEVICE_E_REQUEST = 1,  /* this call's fault: the device and its other work are well */
	DEVICE_E_MEMORY = 2,   /* the device's memory is exhausted */
	DEVICE_E_PENDING = 3,  /* an event has not come to pass yet */
	DEVICE_E_TIMEOUT = 4,  /* nor did it by the deadline: what hangs cannot be called back */
	DEVICE_E_LOST = 5,     /* this process cannot use the device any more, a new one can */
	DEVICE_E_UNUSABLE = 6, /* nor can a new one: the device or its driver needs attention */
};

enum device_access {
	DEVICE_READ_ONLY, /* mapped PROT_READ here: the device may read it */
	DEVICE_READ_WRITE,
};

/* Of what a stream holds, beside that of others. */
enum device_priority {
	DEVICE_PRIORITY_LOW,
	DEVICE_PRIORITY_NORMAL,
	DEVICE_PRIORITY_HIGH,
};

struct device;
struct device_stream;
struct device_event;

struct device_memory {
	uint64_t total_bytes;
	uint64_t free_bytes;
};

struct device_info {
	char name[128];	      /* "NVIDIA H100 80GB HBM3"; "host" */
	char uuid[64];	      /* "GPU-..."; "" where there is none */
	char bus[32];	      /* PCI address, "" where there is none */
	bool reads_read_only; /* memory that is mapped read-only can be registered */
};

/* Memory of a device that another process has made. All zero: none. */
struct device_import {
	void *data;   /* where it is read; NULL: nowhere */
	void *target; /* and where it is written; NULL: it may not be */
	uint64_t
		mapped_bytes; /* of each, where they are addresses of their own: the implementation's */
};

struct device_copy {
	void *to;
	const void *from;
	uint64_t bytes; /* > 0 */
};

/* What an implementation does; use the functions below. */
struct device_ops {
	const char *kind; /* "cpu", "cuda" */
	uint32_t lanes;	  /* how many runs at once keep it busy */
	int (*memory)(struct device *d, struct device_memory *ret_memory);
	int (*register_host)(
		struct device *d, void *data, uint64_t bytes, enum device_access access);
	int (*unregister_host)(struct device *d, void *data);
	int (*host_alloc)(struct device *d, uint64_t bytes, void **ret_data);
	void (*host_free)(struct device *d, void *data);
	int (*stream_new)(
		struct device *d, enum device_priority priority, struct device_stream **ret_stream);
	void (*stream_free)(struct device_stream *s);
	void *(*stream_native)(const struct device_stream *s);
	int (*alloc)(struct device_stream *s, uint64_t bytes, void **ret_data);
	int (*release)(struct device_stream *s, void *data);
	int (*clear)(struct device_stream *s, void *data, uint64_t bytes);
	int (*copy_in)(struct device_stream *s, void *to, const void *from, uint64_t bytes);
	int (*copy_out)(struct device_stream *s, void *to, const void *from, uint64_t bytes);
	int (*copy_within)(struct device_stream *s, void *to, const void *from, uint64_t bytes);
	/* Optional: a copy_in() each; n > 1. -ENOTSUP: not here, and nothing was copied */
	int (*copy_all_in)(struct device_stream *s, const struct device_copy *copies, size_t n);
	int (*import)(struct device *d, const void *handle, uint64_t bytes,
		struct device_import *ret_import);
	int (*import_fd)(struct device *d, int fd, uint64_t bytes, bool writable,
		struct device_import *ret_import);
	int (*give_back)(struct device *d, const struct device_import *import);
	int (*stream_wait)(struct device_stream *s, struct device_event *e);
	int (*event_new)(struct device *d, struct device_event **ret_event);
	void (*event_free)(struct device_event *e);
	int (*event_record)(struct device_event *e, struct device_stream *s);
	int (*event_query)(struct device_event *e);
	void (*explain)(int result, char *text, size_t cap);
	void (*free)(struct device *d);
};

struct device {
	const struct device_ops *ops;
	struct device_info info; /* constant once opened */
	atomic_uint n_exhausted; /* runs in a row, of all lanes, that found no memory there */
};

/* Each implementation's streams and events begin with these. */
struct device_stream {
	struct device *device; /* borrow */
};
struct device_event {
	struct device *device; /* borrow */
};

/*
 * Open the device that a name means: "cpu:N", "cuda:N", "cuda:GPU-uuid", "cuda:MIG-uuid". A worker is
 * started seeing only the one that its name means. On failure `text` (DEVICE_TEXT_MAX bytes) says
 * why, and where the device is missing which there are.
 *
 * -EINVAL             malformed name
 * -ENODEV             no such device, or this worker was built without its kind
 * -ENOMEM
 * DEVICE_E_UNUSABLE   it is there, but cannot be used
 * DEVICE_E_LOST
 */
_must_use_ int device_open(struct device **ret_device, const char *name, char *text);
/* Every stream, event and memory of it was given back. Accepts NULL; returns NULL. */
struct device *device_free(struct device *d);
DEFINE_CLEANUP(struct device *, device_free)

/* The class of a positive result; of any other, 0. */
enum device_class device_class(int result);
/* A result of `class` with the device's own code (0 to 65535). */
int device_result(enum device_class class, int code);
/* After this result the process must end. */
bool device_fatal(int result);
/* A result in words into text, always terminated: "cudaErrorIllegalAddress (700): ...". Returns
 * text. */
const char *device_explain(const struct device *d, int result, char *text, size_t cap);
/* Its memory is the host's: nothing has to be copied, and pointers are good on both sides. */
bool device_is_host(const struct device *d);
/* How many lanes a model should have here that was not told: on a GPU one copies in and another out
 * while a third computes. At least 1. */
uint32_t device_lanes(const struct device *d);

/* -ENOTSUP where the device cannot tell; else as any call: DEVICE_E_LOST, DEVICE_E_UNUSABLE */
_must_use_ int device_memory(struct device *d, struct device_memory *ret_memory);

/*
 * Let the device read (and write) [data, data + bytes), memory of this process that stays mapped
 * until device_unregister(data). Copies between it and the device need no other copy then. A copy
 * must lie wholly inside of one registered piece, or outside of all.
 *
 * -ENOTSUP           the device cannot: copies are staged instead
 * DEVICE_E_MEMORY    the host's or the device's bookkeeping
 * DEVICE_E_REQUEST, DEVICE_E_LOST, DEVICE_E_UNUSABLE
 */
_must_use_ int device_register(
	struct device *d, void *data, uint64_t bytes, enum device_access access);
/* No copy from or to it may be under way. */
_must_use_ int device_unregister(struct device *d, void *data);
/* Page-locked host memory of this process's own; results as of device_register(). */
_must_use_ int device_host_alloc(struct device *d, uint64_t bytes, void **ret_data);
/* Accepts NULL. */
void device_host_free(struct device *d, void *data);

/* A stream: what is put into it happens in order, whatever other streams do. DEVICE_E_*, -ENOMEM */
_must_use_ int device_stream_new(struct device *d, struct device_stream **ret_stream);
/* The same with another priority than a normal one, where the device has some. */
_must_use_ int device_stream_new_at(
	struct device *d, enum device_priority priority, struct device_stream **ret_stream);
/* Waits for what is in it. Accepts NULL; returns NULL. */
struct device_stream *device_stream_free(struct device_stream *s);
DEFINE_CLEANUP(struct device_stream *, device_stream_free)
/* What a backend calls it (cudaStream_t); NULL on a host. */
void *device_stream_native(const struct device_stream *s);
/* What comes into s after this happens after e. */
_must_use_ int device_stream_wait(struct device_stream *s, struct device_event *e);

/* Memory of the device, in stream order: good for what is put into s later. 256-byte aligned (64 on
 * a host). DEVICE_E_MEMORY, -ENOMEM; DEVICE_E_LOST, DEVICE_E_UNUSABLE */
_must_use_ int device_alloc(struct device_stream *s, uint64_t bytes, void **ret_data);
/* Given back once what s holds now is done. Accepts NULL. */
_must_use_ int device_release(struct device_stream *s, void *data);
/* Fill memory of the device with zeroes, in stream order. */
_must_use_ int device_clear(struct device_stream *s, void *data, uint64_t bytes);
/* Copies in stream order. Host memory must stay as it is until the copy is done, which an event
 * recorded after it tells. */
_must_use_ int device_copy_in(struct device_stream *s, void *to, const void *from, uint64_t bytes);
_must_use_ int device_copy_out(struct device_stream *s, void *to, const void *from, uint64_t bytes);
/* Several device_copy_in() in one call, where the device has one for that: in any order among themselves, so none may touch
 * what another writes. After a failure some may have been put into the stream. */
_must_use_ int device_copy_all_in(
	struct device_stream *s, const struct device_copy *copies, size_t n);
/* From memory of the device to memory of the device. */
_must_use_ int device_copy_within(
	struct device_stream *s, void *to, const void *from, uint64_t bytes);

/* What another process calls its memory on a device by (cudaIpcMemHandle_t). */
#define DEVICE_HANDLE_BYTES 64u
/*
 * Memory of the device that another process has made, `bytes` of it from its start: until device_give_back(). That process may
 * write it at any moment, and whatever it does wrong with it (free it, say) may be an error of the device's here.
 *
 * -ENOTSUP          the device cannot
 * -ERANGE           there are fewer bytes
 * -EXDEV            it is another device's
 * DEVICE_E_REQUEST  nothing is to be had by that handle
 * DEVICE_E_MEMORY, DEVICE_E_LOST, DEVICE_E_UNUSABLE
 */
_must_use_ int device_import(
	struct device *d, const void *handle, uint64_t bytes, struct device_import *ret_import);
/*
 * The same by a descriptor that it was exported to (cuMemExportToShareableHandle()), borrowed. Where the device enforces it, `data` is
 * for reading only; there is a `target` if it is `writable`. Its maker cannot take it away: it is there until device_give_back().
 */
_must_use_ int device_import_fd(
	struct device *d, int fd, uint64_t bytes, bool writable, struct device_import *ret_import);
/* No copy from or to it may be under way. Nothing is done for one that is none. */
_must_use_ int device_give_back(struct device *d, const struct device_import *import);
/* Is there anything that device_import() could do? */
bool device_imports(const struct device *d);

_must_use_ int device_event_new(struct device *d, struct device_event **ret_event);
/* Accepts NULL; returns NULL. */
struct device_event *device_event_free(struct device_event *e);
DEFINE_CLEANUP(struct device_event *, device_event_free)
/* e comes to pass when all that s holds now is done. May be called again after that. */
_must_use_ int device_event_record(struct device_event *e, struct device_stream *s);
/* 0: it came to pass (or was never recorded). DEVICE_E_PENDING; DEVICE_E_LOST: the work before it,
 * or other work of this process, failed for good; DEVICE_E_REQUEST */
_must_use_ int device_event_query(struct device_event *e);
/* Wait until clock_ns() is deadline_ns at most: DEVICE_E_TIMEOUT; else as device_event_query(). */
_must_use_ int device_event_wait(struct device_event *e, uint64_t deadline_ns);

#endif
