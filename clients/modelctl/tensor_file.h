/* tensor_file.h: a tensor read from a file or made up, for `modelctl infer`. */
#ifndef CLIENTS_MODELCTL_TENSOR_FILE_H
#define CLIENTS_MODELCTL_TENSOR_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/dtype.h"

struct tensor {
	enum dtype dtype; /* DTYPE_INVALID: not known yet */
	bool has_shape;
	uint32_t rank;
	int64_t dims[TENSOR_RANK_MAX];
	uint8_t *data; /* own */
	size_t n;
};

void tensor_release(struct tensor *t);

/*
 * Read a file: .npy (its dtype and shape count), .pgm (grey values as f32, in whatever shape the model declares),
 * anything else raw bytes. 0, or -errno with a sentence in text.
 */
_must_use_ int tensor_read(struct tensor *t, const char *path, char *text, size_t cap);
/* Give t->dtype and t->dims (complete) data: every element `value`, or 0, 1, 2, ... when ramp.
 * Bytes tensors get the text of the number. -EINVAL, -ENOMEM, with a sentence. */
_must_use_ int tensor_fill(struct tensor *t, double value, bool ramp, char *text, size_t cap);
/* "1,28,28" -> dims. -EINVAL */
_must_use_ int tensor_parse_shape(struct tensor *t, const char *text);
/* Fit t to a declaration: missing dtype and shape are taken from it; the one free dimension follows
 * from the number of bytes, others become 1; a tensor without the leading batch dimension gets it.
 * -EINVAL with a sentence. */
_must_use_ int tensor_fit(struct tensor *t, enum dtype dtype, bool any_shape, const int64_t *dims,
	size_t rank, char *text, size_t cap);
/* Element i as text. */
void tensor_element(enum dtype d, const uint8_t *data, uint64_t i, char *out, size_t cap);

#endif
