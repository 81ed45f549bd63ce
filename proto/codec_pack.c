/*
 * codec_pack.c: structs to bytes, back to front: every length is known when its turn comes, so nothing
 * is measured beforehand. Goes as deep as the tables do. No state; any process, any thread.
 */
#include <errno.h>
#include <string.h>

#include "proto/codec_private.h"

static inline size_t varint_size(uint64_t v)
{
	/* A byte each 7 bits: up to 64 of them, 9/64 is as good as 1/7. */
	return ((size_t)(63 - __builtin_clzll(v | 1)) * 9 + 73) / 64;
}

static inline uint64_t load_number(size_t size, const void *from)
{
	if (size == sizeof(uint64_t))
		return *(const uint64_t *)from;
	return size == sizeof(uint32_t) ? *(const uint32_t *)from : *(const bool *)from;
}

static inline uint64_t load_member(const struct codec_field *f, const uint8_t *in)
{
	if (f->kind == CODEC_KIND_64)
		return load_number(sizeof(uint64_t), in + f->offset);
	return load_number(f->kind == CODEC_KIND_32 ? sizeof(uint32_t) : 1, in + f->offset);
}

static inline const void *load_pointer(const uint8_t *at)
{
	return *(const void *const *)(const void *)at;
}

/* --- Size ------------------------------------------------------------------------------------- */

static size_t delimited_size(unsigned number, size_t n)
{
	return varint_size(number << 3) + varint_size(n) + n;
}

static size_t text_length(const char *text)
{
	return text ? strlen(text) : 0;
}

static size_t array_size(const struct codec_field *f, unsigned number, const uint8_t *in)
{
	const uint8_t *list = load_pointer(in + f->offset);
	size_t n = load_count(f, in), size = 0;

	for (size_t i = 0; i < n; i++, list += f->element_size) {
		if (f->kind == CODEC_KIND_NUMBERS)
			size += varint_size(load_number(f->element_size, list));
		else if (f->kind == CODEC_KIND_MESSAGES)
			size += delimited_size(number, codec_size(f->message, list));
		else
			size += delimited_size(number, text_length(load_pointer(list)));
	}
	return f->kind == CODEC_KIND_NUMBERS && n > 0 ? delimited_size(number, size) : size;
}

static size_t field_size(const struct codec_field *f, unsigned number, const uint8_t *in)
{
	size_t n;
	uint64_t v;

	switch (f->kind) {
	case CODEC_KIND_NONE:
		return 0;
	case CODEC_KIND_TEXT:
		n = text_length(load_pointer(in + f->offset));
		return n > 0 ? delimited_size(number, n) : 0;
	case CODEC_KIND_BYTES:
		n = load_count(f, in);
		return n > 0 ? delimited_size(number, n) : 0;
	case CODEC_KIND_BODY:
		return delimited_size(number, codec_size(f->message, in + f->offset));
	default:
		if (!is_number(f))
			return array_size(f, number, in);
		v = load_member(f, in);
		return v > 0 ? varint_size(number << 3) + varint_size(v) : 0;
	}
}

size_t codec_size(const struct codec_message *m, const void *in)
{
	uint64_t fields = m->plain;
	size_t size = 0;

	if (m->body_last > 0)
		fields |= CODEC_BIT_(*body_number(m, in));
	for (; fields > 0; fields &= fields - 1) {
		unsigned number = (unsigned)__builtin_ctzll(fields);

		size += field_size(&m->fields[number], number, in);
	}
	return size;
}

/* --- Packing ---------------------------------------------------------------------------------- */

/* Filled from its end; what is packed begins at `at`. */
struct output {
	uint8_t *start;
	uint8_t *at;
};

static inline int put_varint(struct output *o, uint64_t v)
{
	size_t n = v < 0x80 ? 1 : varint_size(v);
	uint8_t *at;

	if ((size_t)(o->at - o->start) < n)
		return -EMSGSIZE;
	o->at -= n;
	for (at = o->at; v > 0x7F; v >>= 7)
		*at++ = (uint8_t)(v | 0x80);
	*at = (uint8_t)v;
	return 0;
}

/* What comes ahead of a field that ends at `end` and has been put but for this. */
static int put_head(struct output *o, unsigned number, const uint8_t *end)
{
	int r = put_varint(o, (uint64_t)(end - o->at));

	return r < 0 ? r : put_varint(o, number << 3 | DELIMITED);
}

static int put_number(
	struct output *o, const struct codec_field *f, unsigned number, const uint8_t *in)
{
	uint64_t v = load_member(f, in);
	int r;

	if (!in_range(f, v))
		return -EINVAL;
	if (v == 0)
		return 0;
	r = put_varint(o, v);
	return r < 0 ? r : put_varint(o, number << 3 | VARINT);
}

static int put_bytes(struct output *o, unsigned number, const void *data, size_t n)
{
	const uint8_t *end = o->at;

	if ((size_t)(o->at - o->start) < n)
		return -EMSGSIZE;
	o->at -= n;
	if (n > 0)
		memcpy(o->at, data, n);
	return put_head(o, number, end);
}

/* An empty one is left out, unless it is an element. */
static int put_text(
	struct output *o, const struct codec_field *f, unsigned number, const char *text)
{
	size_t n = text && *text ? strnlen(text, f->max + 1) : 0;

	if (n > f->max)
		return -EMSGSIZE;
	return n == 0 && f->kind == CODEC_KIND_TEXT ? 0 : put_bytes(o, number, text, n);
}

static int put_message(
	struct output *o, const struct codec_message *m, unsigned number, const uint8_t *in);

static int put_numbers(struct output *o, const struct codec_field *f, unsigned number,
	const uint8_t *list, size_t n)
{
	const uint8_t *end = o->at;

	if (n == 0)
		return 0;
	while (n-- > 0) {
		uint64_t v = load_number(f->element_size, list + n * f->element_size);
		int r = in_range(f, v) ? put_varint(o, v) : -EINVAL;

		if (r < 0)
			return r;
	}
	return put_head(o, number, end);
}

static int put_array(
	struct output *o, const struct codec_field *f, unsigned number, const uint8_t *in)
{
	const uint8_t *list = load_pointer(in + f->offset);
	size_t n = load_count(f, in);
	int r = 0;

	if (n > f->most)
		return -EMSGSIZE;
	if (n < f->least)
		return -EINVAL;
	if (f->kind == CODEC_KIND_NUMBERS)
		return put_numbers(o, f, number, list, n);
	while (n-- > 0 && r == 0) {
		const uint8_t *element = list + n * f->element_size;

		r = f->kind == CODEC_KIND_MESSAGES ? put_message(o, f->message, number, element)
						   : put_text(o, f, number, load_pointer(element));
	}
	return r;
}

static int put_field(
	struct output *o, const struct codec_field *f, unsigned number, const uint8_t *in)
{
	size_t n;

	switch (f->kind) {
	case CODEC_KIND_NONE:
		return 0;
	case CODEC_KIND_TEXT:
		return put_text(o, f, number, load_pointer(in + f->offset));
	case CODEC_KIND_BYTES:
		n = load_count(f, in);
		if (n < f->min || n > f->max)
			return n > f->max ? -EMSGSIZE : -EINVAL;
		return n > 0 ? put_bytes(o, number, load_pointer(in + f->offset), n) : 0;
	case CODEC_KIND_BODY:
		return put_message(o, f->message, number, in + f->offset);
	default:
		return is_number(f) ? put_number(o, f, number, in) : put_array(o, f, number, in);
	}
}

static int put_body(struct output *o, const struct codec_message *m, const uint8_t *in)
{
	uint32_t number = *body_number(m, in);

	if (number < m->body_first || number > m->body_last ||
		m->fields[number].kind != CODEC_KIND_BODY)
		return -EINVAL;
	return put_field(o, &m->fields[number], number, in);
}

static int put_fields(struct output *o, const struct codec_message *m, const uint8_t *in)
{
	int r = 0;

	for (unsigned number = m->n_fields; number > 1 && r == 0;) {
		if (--number == m->body_last) {
			r = put_body(o, m, in);
			number = m->body_first;
		} else {
			r = put_field(o, &m->fields[number], number, in);
		}
	}
	return r == 0 && m->check ? m->check(in) : r;
}

static int put_message(
	struct output *o, const struct codec_message *m, unsigned number, const uint8_t *in)
{
	const uint8_t *end = o->at;
	int r = put_fields(o, m, in);

	return r < 0 ? r : put_head(o, number, end);
}

int codec_pack(
	const struct codec_message *m, const void *in, uint8_t *out, size_t n_out, uint8_t **ret_at)
{
	struct output o = {out, out + n_out};
	int r = put_fields(&o, m, in);

	if (r == 0)
		*ret_at = o.at;
	return r;
}
