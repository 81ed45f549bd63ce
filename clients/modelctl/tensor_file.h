/* tensor_file.h: a tensor read from a file or made up, for `modelctl infer`. */
#ifndef CLIENTS_MODELCTL_TENSOR_FILE_H
#define CLIENTS_MODELCTL_TENSOR_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "proto/dtype.h"

#define TENSOR_BYTES_MAX ((size_t)4 << 30)

/* What `data` is. */
enum tensor_form {
	TENSOR_RAW,	/* elements as they are on the wire, of a type that something else says */
	TENSOR_TYPED,	/* elements of a type and a shape of its own */
	TENSOR_PICTURE, /* f32, row by row, channel by channel */
	TENSOR_TEXT,	/* lines: each an element */
	TENSOR_PLAIN,	/* as TENSOR_TEXT where the model takes texts, else as TENSOR_RAW */
	TENSOR_JSON,	/* text */
};

struct picture {
	uint32_t width, height, channels;
};

struct tensor {
	enum tensor_form form;
	enum dtype dtype; /* DTYPE_INVALID: not known yet */
	bool has_shape;
	uint32_t rank;
	int64_t dims[TENSOR_RANK_MAX];
	struct picture picture; /* of TENSOR_PICTURE */
	uint8_t *data;		/* own */
	size_t n;
};

void tensor_release(struct tensor *t);

/* A file, or standard input ("-"), into b. -errno with a sentence. */
_must_use_ int tensor_load(struct buf *b, const char *path, char *text, size_t cap);
/*
 * What `b`, which comes from `path`, is by its first bytes or the path's suffix: .npy, .pgm, .ppm, .png and .jpg pictures, .json,
 * .txt; anything else raw bytes, or plain from standard input. Takes b's memory where it can. -EINVAL, -ENOMEM, with a
 * sentence.
 */
_must_use_ int tensor_decode(
	struct tensor *t, const char *path, struct buf *b, char *text, size_t cap);
/* Both. */
_must_use_ int tensor_read(struct tensor *t, const char *path, char *text, size_t cap);
/* Give t->dtype and t->dims (complete) data: every element `value`, or 0, 1, 2, ... when ramp, which begins
 * anew where the type ends. Bytes tensors get the text of the number. -EINVAL, -ENOMEM, with a sentence. */
_must_use_ int tensor_fill(struct tensor *t, double value, bool ramp, char *text, size_t cap);

#endif
