/* device_cuda_private.h: what the files of the CUDA device share. */
#ifndef WORKERS_DEVICE_CUDA_PRIVATE_H
#define WORKERS_DEVICE_CUDA_PRIVATE_H

#include <cuda_runtime_api.h>

#include "workers/device.h"

struct cuda_device {
	struct device base;
	cudaMemPool_t pool; /* where device_alloc() takes from */
	uint64_t total_bytes;
	atomic_bool no_batches; /* the driver has no cudaMemcpyBatchAsync() */
};

struct cuda_stream {
	struct device_stream base;
	cudaStream_t stream; /* own */
};

/*
 * A code of the runtime as a result of device.h, taken off the thread: else it would come back at an
 * unrelated call.
 */
_must_use_ int cuda_result(cudaError_t error);
/* "cudaErrorIllegalAddress (700): an illegal memory access was encountered" */
void cuda_explain(int code, char *text, size_t cap);

int cuda_stream_new(
	struct device *d, enum device_priority priority, struct device_stream **ret_stream);
void cuda_stream_free(struct device_stream *s);
void *cuda_stream_native(const struct device_stream *s);
int cuda_alloc(struct device_stream *s, uint64_t bytes, void **ret_data);
int cuda_release(struct device_stream *s, void *data);
int cuda_clear(struct device_stream *s, void *data, uint64_t bytes);
int cuda_copy_in(struct device_stream *s, void *to, const void *from, uint64_t bytes);
int cuda_copy_out(struct device_stream *s, void *to, const void *from, uint64_t bytes);
int cuda_copy_within(struct device_stream *s, void *to, const void *from, uint64_t bytes);
int cuda_copy_all_in(struct device_stream *s, const struct device_copy *copies, size_t n);
int cuda_import(
	struct device *d, const void *handle, uint64_t bytes, struct device_import *ret_import);
int cuda_give_back(struct device *d, const struct device_import *import);
int cuda_import_fd(
	struct device *d, int fd, uint64_t bytes, bool writable, struct device_import *ret_import);
/* Addresses of cuda_import_fd()'s. */
int cuda_unmap(struct device *d, const struct device_import *import);
/* The driver's entry point of that name, which it has once the runtime has opened it, into a pointer to a function. False: it
 * has none. */
bool cuda_driver_find(const char *name, void *ret_function);
/* What a client's handle or descriptor has led to, as a result: that call's, unless the device has failed since. */
_must_use_ int cuda_blame_import(struct device *d, cudaError_t error);
int cuda_stream_wait(struct device_stream *s, struct device_event *e);
int cuda_event_new(struct device *d, struct device_event **ret_event);
void cuda_event_free(struct device_event *e);
int cuda_event_record(struct device_event *e, struct device_stream *s);
int cuda_event_query(struct device_event *e);

#endif
