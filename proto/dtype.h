/*
 * dtype.h: tensor element types. The enum values are on the wire (proto/wire.proto): never renumber.
 * Short names are what replies carry (contracts of ModelWorkerService); KServe names (FP32, …) are
 * accepted too.
 */
#ifndef PROTO_DTYPE_H
#define PROTO_DTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define TENSOR_RANK_MAX 16

enum dtype {
	DTYPE_INVALID = 0, /* in a model's declaration: any dtype */
	DTYPE_BOOL = 1,
	DTYPE_U8 = 2,
	DTYPE_U16 = 3,
	DTYPE_U32 = 4,
	DTYPE_U64 = 5,
	DTYPE_I8 = 6,
	DTYPE_I16 = 7,
	DTYPE_I32 = 8,
	DTYPE_I64 = 9,
	DTYPE_F16 = 10,
	DTYPE_BF16 = 11,
	DTYPE_F32 = 12,
	DTYPE_F64 = 13,
	DTYPE_BYTES = 14, /* each element: u32 little-endian length, then that many bytes */
	DTYPE_MAX_ = 15,
};

/* "f32", "float32", "FP32", … -> dtype; DTYPE_INVALID for anything else. Case-sensitive. */
enum dtype dtype_parse(const char *name, size_t n);
/* Short name ("f32"); "any" for DTYPE_INVALID. Static storage. */
const char *dtype_name(enum dtype d);
/* KServe name ("FP32"). */
const char *dtype_kserve_name(enum dtype d);
/* Bytes per element; 0 for DTYPE_BYTES and DTYPE_INVALID. */
size_t dtype_size(enum dtype d);

/*
 * Elements of a shape: the product of dims, 1 for rank 0.
 *
 * -EINVAL     rank above TENSOR_RANK_MAX, or a dimension is negative
 * -EOVERFLOW  the product does not fit 63 bits
 */
_must_use_ int shape_elements(const int64_t *dims, size_t rank, uint64_t *ret_n);
/* Bytes of a tensor of fixed-size elements; errors as above, and -EINVAL where dtype_size() is 0. */
_must_use_ int shape_bytes(enum dtype d, const int64_t *dims, size_t rank, uint64_t *ret_n);
/* Does a declaration, where DTYPE_INVALID is any dtype, admit this one? */
bool dtype_admits(enum dtype declared, enum dtype d);
/* Does a declared shape, where -1 is any size, admit this one? */
bool shape_admits(const int64_t *declared, size_t declared_rank, const int64_t *dims, size_t rank);
/* "[1,64]" into out; cut at cap. Returns out. */
const char *shape_format(const int64_t *dims, size_t rank, char *out, size_t cap);
/*
 * Check a DTYPE_BYTES payload: `elements` times a length and its bytes, nothing behind. The caller
 * passes memory that nobody else can write meanwhile. -EINVAL where it does not add up.
 */
_must_use_ int bytes_tensor_check(const void *data, uint64_t n, uint64_t elements);
/*
 * Are n bytes what a tensor of this dtype and shape has? Of DTYPE_BYTES `data` is looked at, as above;
 * where it is NULL any n goes. -EINVAL, -EOVERFLOW where not.
 */
_must_use_ int tensor_check(
	enum dtype d, const int64_t *dims, size_t rank, uint64_t n, const void *data);

#endif
