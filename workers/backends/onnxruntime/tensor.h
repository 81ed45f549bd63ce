/*
 * tensor.h: element types, and tensors between the host's form and ONNX Runtime's.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_TENSOR_H
#define WORKERS_BACKENDS_ONNXRUNTIME_TENSOR_H

#include "workers/backends/onnxruntime/runtime.h"

/* ORT_ELEMENT_x of a dtype; 0 where there is none. */
enum ort_element element_of(enum modeld_dtype dtype);
/* MODELD_DTYPE_ANY where there is none. */
enum modeld_dtype dtype_of(enum ort_element element);

/* Its name, as ONNX writes it, whether or not it is served. */
const char *element_name(enum ort_element element);

/* Bytes of a tensor with fixed-size elements. MODELD_EXHAUSTED where they do not fit 64 bits,
 * MODELD_INTERNAL for a negative dimension. */
_must_use_ enum modeld_code tensor_bytes(enum modeld_dtype dtype, const int64_t *dims,
	uint32_t rank, uint64_t *ret_bytes, struct modeld_error *error);

/* A value that lies in [data, data + bytes), which it borrows: nothing is copied. where: the runtime's memory or
 * device_memory */
_must_use_ enum modeld_code tensor_wrap(struct OrtValue **ret_value, const struct runtime *r,
	const struct OrtMemoryInfo *where, enum modeld_dtype dtype, const int64_t *dims,
	uint32_t rank, void *data, uint64_t bytes, struct modeld_error *error);

/*
 * Whether values of this type are plain data to every operator: 8-bit integers and floating point.
 * The others may be indices, sizes or masks, which operators check in one place and use in another;
 * in memory that a client can write to they must not lie.
 */
bool dtype_is_plain(enum modeld_dtype dtype);

/* A value for an input: borrows its memory, also that of the GPU, where nothing of it can be looked at. Strings are copied, for ONNX Runtime's have a form of
 * their own, and so is memory that its client can change meanwhile, but where the model may `share` it and its type is
 * plain. MODELD_INVALID for data that the dtype does not allow. */
_must_use_ enum modeld_code tensor_from_input(struct OrtValue **ret_value, const struct runtime *r,
	const struct modeld_tensor *input, bool share, struct modeld_error *error);

/* Is its shape as declared? True where it cannot be told. */
bool tensor_is_declared(
	const struct OrtValue *value, const struct runtime *r, const struct modeld_declaration *d);

/* Copy what ONNX Runtime made into memory that the batch gives for output `index`. */
_must_use_ enum modeld_code tensor_to_output(struct OrtValue *value, const struct runtime *r,
	const struct modeld_batch *batch, size_t index, struct modeld_error *error);

#endif
