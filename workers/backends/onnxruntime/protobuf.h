/*
 * protobuf.h: the fields of a protobuf message in a file, one after another, without holding the
 * file: a window of it is read, and what is skipped is never read. Nothing in the file is believed;
 * a field lies inside the message that it is part of, or the message is broken.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_PROTOBUF_H
#define WORKERS_BACKENDS_ONNXRUNTIME_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

enum {
	PB_E_END = 1, /* the message has no more fields */
	PB_E_BROKEN,  /* this is no protobuf message, or the file is shorter than it was */
	PB_E_LONG,    /* a string that does not fit */
};

#define PB_WINDOW 16384u

struct pb_file {
	int fd; /* borrow */
	uint64_t size;
	uint64_t from; /* what of the file is in the window */
	size_t n;
	uint8_t window[PB_WINDOW];
};

/* A part of a file. */
struct pb_range {
	uint64_t at;
	uint64_t end;
};

enum pb_wire {
	PB_VARINT = 0,
	PB_FIXED64 = 1,
	PB_BYTES = 2,
	PB_FIXED32 = 5,
};

struct pb_field {
	uint32_t number;
	enum pb_wire wire;
	uint64_t value;	       /* of a varint or a fixed number; 0 for bytes */
	struct pb_range bytes; /* where the bytes lie; empty for numbers */
};

/* Read from `fd` on, which must stay open. -errno */
_must_use_ int pb_open(struct pb_file *f, int fd, struct pb_range *ret_all);

/* The next field of `r`, which moves behind it. PB_E_END, PB_E_BROKEN, -errno */
_must_use_ int pb_next(struct pb_file *f, struct pb_range *r, struct pb_field *ret_field);

/* The next number of a packed field's bytes. PB_E_END, PB_E_BROKEN, -errno */
_must_use_ int pb_packed_varint(struct pb_file *f, struct pb_range *r, uint64_t *ret_value);

/* n bytes from the beginning of `r`, which moves behind them. PB_E_BROKEN where it has fewer, -errno */
_must_use_ int pb_take(struct pb_file *f, struct pb_range *r, void *to, size_t n);

/* A field's bytes as a string. PB_E_LONG where it does not fit `size` with its end, or has a zero byte;
 * PB_E_BROKEN, -errno */
_must_use_ int pb_string(struct pb_file *f, const struct pb_field *field, char *to, size_t size);

#endif
