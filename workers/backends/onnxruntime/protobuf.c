/*
 * protobuf.c: protobuf fields of a file, through a window. Worker process.
 */
#include "workers/backends/onnxruntime/protobuf.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

int pb_open(struct pb_file *f, int fd, struct pb_range *ret_all)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	f->fd = fd;
	f->size = st.st_size > 0 ? (uint64_t)st.st_size : 0;
	f->from = 0;
	f->n = 0;
	*ret_all = (struct pb_range){0, f->size};
	return 0;
}

/* Move the window to `at`. */
static int load(struct pb_file *f, uint64_t at)
{
	ssize_t n;

	do
		n = pread(f->fd, f->window, sizeof(f->window), (off_t)at);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return PB_E_BROKEN;
	f->from = at;
	f->n = (size_t)n;
	return 0;
}

int pb_take(struct pb_file *f, struct pb_range *r, void *to, size_t n)
{
	uint8_t *out = to;
	size_t part;
	int e;

	if (n > r->end - r->at)
		return PB_E_BROKEN;
	for (; n > 0; n -= part) {
		if (r->at < f->from || r->at - f->from >= f->n) {
			e = load(f, r->at);
			if (e)
				return e;
		}
		part = f->n - (size_t)(r->at - f->from);
		if (part > n)
			part = n;
		memcpy(out, f->window + (r->at - f->from), part);
		out += part;
		r->at += part;
	}
	return 0;
}

static int take_varint(struct pb_file *f, struct pb_range *r, uint64_t *ret_value)
{
	uint64_t value = 0;
	uint8_t byte = 0;
	int e;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		e = pb_take(f, r, &byte, 1);
		if (e)
			return e;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret_value = value;
			return 0;
		}
	}
	return PB_E_BROKEN;
}

static int take_fixed(struct pb_file *f, struct pb_range *r, size_t n, uint64_t *ret_value)
{
	uint8_t bytes[8] = {0};
	int e = pb_take(f, r, bytes, n);

	*ret_value = 0;
	for (size_t i = 0; i < n && !e; i++)
		*ret_value |= (uint64_t)bytes[i] << 8 * i;
	return e;
}

static int take_bytes(struct pb_file *f, struct pb_range *r, struct pb_range *ret_bytes)
{
	uint64_t n = 0;
	int e = take_varint(f, r, &n);

	if (e)
		return e;
	if (n > r->end - r->at)
		return PB_E_BROKEN;
	*ret_bytes = (struct pb_range){r->at, r->at + n};
	r->at += n;
	return 0;
}

/* Groups (wire types 3 and 4) were given up before ONNX was made. */
int pb_next(struct pb_file *f, struct pb_range *r, struct pb_field *ret_field)
{
	struct pb_field field = {0};
	uint64_t tag = 0;
	int e;

	if (r->at >= r->end)
		return PB_E_END;
	e = take_varint(f, r, &tag);
	if (e)
		return e;
	if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
		return PB_E_BROKEN;
	field.number = (uint32_t)(tag >> 3);
	field.wire = (enum pb_wire)(tag & 7);
	switch (field.wire) {
	case PB_VARINT:
		e = take_varint(f, r, &field.value);
		break;
	case PB_FIXED64:
		e = take_fixed(f, r, 8, &field.value);
		break;
	case PB_BYTES:
		e = take_bytes(f, r, &field.bytes);
		break;
	case PB_FIXED32:
		e = take_fixed(f, r, 4, &field.value);
		break;
	default:
		return PB_E_BROKEN;
	}
	if (!e)
		*ret_field = field;
	return e;
}

int pb_packed_varint(struct pb_file *f, struct pb_range *r, uint64_t *ret_value)
{
	return r->at >= r->end ? PB_E_END : take_varint(f, r, ret_value);
}

int pb_string(struct pb_file *f, const struct pb_field *field, char *to, size_t size)
{
	struct pb_range bytes = field->bytes;
	size_t n;
	int e;

	if (field->wire != PB_BYTES)
		return PB_E_BROKEN;
	if (bytes.end - bytes.at >= size)
		return PB_E_LONG;
	n = (size_t)(bytes.end - bytes.at);
	e = pb_take(f, &bytes, to, n);
	if (e)
		return e;
	to[n] = 0;
	return strlen(to) == n ? 0 : PB_E_LONG;
}
