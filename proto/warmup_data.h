/*
 * warmup_data.h: what one input of a warm-up holds: zeroes, random numbers, or what a file has, of one row. A file is a
 * regular one below the model's directory, with as many bytes as the shape has; of DTYPE_BYTES, each element a length
 * and its bytes. Of DTYPE_BYTES, zero and random elements are empty.
 */
#ifndef PROTO_WARMUP_DATA_H
#define PROTO_WARMUP_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/wire.h"

enum {
	WARMUP_DATA_E_INVALID =
		1, /* text says what is wrong with the input: of its shape or its file */
};

/* One input that is about to be filled. */
struct warmup_data {
	const struct wire_warmup_input *input; /* borrow */
	int fd;				       /* own; -1: it has no file */
	uint64_t bytes;			       /* of one row */
	uint64_t elements;		       /* likewise */
};

/*
 * Finds out how large a row is; its file, which lies below `directory`, is opened. `text` (cap bytes) is for people.
 *
 * WARMUP_DATA_E_INVALID
 * -ENOMEM
 */
_must_use_ int warmup_data_open(struct warmup_data *ret_data, const struct wire_warmup_input *input,
	const char *directory, char *text, size_t cap);
/* Write a row, d->bytes, to `to`. WARMUP_DATA_E_INVALID */
_must_use_ int warmup_data_fill(struct warmup_data *d, void *to, char *text, size_t cap);
void warmup_data_close(struct warmup_data *d);

#endif
