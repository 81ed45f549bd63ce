/*
 * codec_pack.c: structs to bytes, back to front: every length is known when its turn comes, so nothing
 * is measured beforehand. Goes as deep as the tables do. No state; any process, any thread.
 */
#include <errno.h>
#include <string.h>

#include "proto/codec_private.h"

static inline const void *load_pointer(const uint8_t *at)
{
	return *(const void *const *)(const void *)at;
}

/* What is packed ends up between `at`, which each function takes and returns, and the end. NULL: error
 * says why. */
struct packing {
	uint8_t *start;
	int error;
};

static uint8_t *fail(struct packing *o, int error)
{
	o->error = error;
	return NULL;
}

static NOINLINE uint8_t *put_long_varint(struct packing *o, uint8_t *at, uint64_t v)
{
	size_t n = varint_size(v);
	uint8_t *p;

	if ((size_t)(at - o->start) < n)
		return fail(o, -EMSGSIZE);
	at -= n;
	for (p = at; v > 0x7F; v >>= 7)
		*p++ = (uint8_t)(v | 0x80);
	*p = (uint8_t)v;
	return at;
}

static inline uint8_t *put_varint(struct packing *o, uint8_t *at, uint64_t v)
{
	if (v > 0x7F || at == o->start)
		return put_long_varint(o, at, v);
	*--at = (uint8_t)v;
	return at;
}

/* A tag and what follows it: a number or a length. */
static inline uint8_t *put_tagged(struct packing *o, uint8_t *at, unsigned tag, uint64_t v)
{
	if ((v | tag) > 0x7F || at - o->start < 2) {
		at = put_long_varint(o, at, v);
		return at ? put_varint(o, at, tag) : NULL;
	}
	at[-1] = (uint8_t)v;
	at[-2] = (uint8_t)tag;
	return at - 2;
}

static inline uint8_t *put_head(struct packing *o, uint8_t *at, unsigned number, const uint8_t *end)
{
	return put_tagged(o, at, number << 3 | FIELD_DELIMITED, (uint64_t)(end - at));
}

static inline uint8_t *put_number(struct packing *o, uint8_t *at, const struct codec_field *f,
	unsigned number, const uint8_t *in)
{
	uint64_t v = load_number(f->element_size, in + f->offset);

	if (!in_range(f, v))
		return fail(o, -EINVAL);
	return v == 0 ? at : put_tagged(o, at, number << 3 | FIELD_VARINT, v);
}

static NOINLINE uint8_t *put_bytes(
	struct packing *o, uint8_t *at, unsigned number, const void *data, size_t n)
{
	if ((size_t)(at - o->start) < n)
		return fail(o, -EMSGSIZE);
	if (n > 0)
		memcpy(at - n, data, n);
	return put_head(o, at - n, number, at);
}

/* An empty one is left out, unless it is an element. */
static NOINLINE uint8_t *put_text(struct packing *o, uint8_t *at, const struct codec_field *f,
	unsigned number, const char *text)
{
	size_t n = text && *text ? strnlen(text, f->max + 1) : 0;

	if (n > f->max)
		return fail(o, -EMSGSIZE);
	return n == 0 && f->kind == CODEC_KIND_TEXT ? at : put_bytes(o, at, number, text, n);
}

static uint8_t *put_fields(
	struct packing *o, uint8_t *at, const struct codec_message *m, const uint8_t *in);

static NOINLINE uint8_t *put_message(struct packing *o, uint8_t *at, const struct codec_message *m,
	unsigned number, const uint8_t *in)
{
	uint8_t *start = put_fields(o, at, m, in);

	return start ? put_head(o, start, number, at) : NULL;
}

static uint8_t *put_numbers(struct packing *o, uint8_t *at, const struct codec_field *f,
	unsigned number, const uint8_t *list, size_t n)
{
	const uint8_t *end = at;

	if (n == 0)
		return at;
	while (n-- > 0) {
		uint64_t v = load_number(f->element_size, list + n * f->element_size);

		if (!in_range(f, v))
			return fail(o, -EINVAL);
		at = put_varint(o, at, v);
		if (!at)
			return NULL;
	}
	return put_head(o, at, number, end);
}

static NOINLINE uint8_t *put_array(struct packing *o, uint8_t *at, const struct codec_field *f,
	unsigned number, const uint8_t *in)
{
	const uint8_t *list = load_pointer(in + f->offset);
	size_t n = load_count(f, in);

	if (n > f->most)
		return fail(o, -EMSGSIZE);
	if (n == 0 && f->matters)
		return fail(o, -EINVAL);
	if (f->kind == CODEC_KIND_NUMBERS)
		return put_numbers(o, at, f, number, list, n);
	while (n-- > 0 && at) {
		const uint8_t *element = list + n * f->element_size;

		at = f->kind == CODEC_KIND_MESSAGES
			     ? put_message(o, at, f->message, number, element)
			     : put_text(o, at, f, number, load_pointer(element));
	}
	return at;
}

/* A text, or bytes. */
static NOINLINE uint8_t *put_data(struct packing *o, uint8_t *at, const struct codec_field *f,
	unsigned number, const uint8_t *in)
{
	const void *data = load_pointer(in + f->offset);
	size_t n;

	if (f->kind == CODEC_KIND_TEXT)
		return put_text(o, at, f, number, data);
	n = load_count(f, in);
	if (n < f->min || n > f->max)
		return fail(o, n > f->max ? -EMSGSIZE : -EINVAL);
	return n > 0 ? put_bytes(o, at, number, data, n) : at;
}

static uint8_t *put_body(
	struct packing *o, uint8_t *at, const struct codec_message *m, const uint8_t *in)
{
	uint32_t number = *body_number(m, in);
	const struct codec_field *f;

	if (number < m->body_first || number > m->body_last ||
		m->fields[number].kind != CODEC_KIND_BODY)
		return fail(o, -EINVAL);
	f = &m->fields[number];
	return put_message(o, at, f->message, number, in + f->offset);
}

/* Most fields are numbers, or there is nothing in them. */
static inline bool is_left_out(const struct codec_field *f, const uint8_t *in)
{
	const char *text;

	if (f->kind >= CODEC_KIND_NUMBERS)
		return load_count(f, in) == 0 && !f->matters;
	if (f->kind != CODEC_KIND_TEXT)
		return f->kind == CODEC_KIND_NONE;
	text = load_pointer(in + f->offset);
	return !text || !*text;
}

static uint8_t *put_fields(
	struct packing *o, uint8_t *at, const struct codec_message *m, const uint8_t *in)
{
	int r;

	for (unsigned number = m->n_fields; number > 1;) {
		const struct codec_field *f = &m->fields[--number];

		if (number == m->body_last) {
			at = put_body(o, at, m, in);
			number = m->body_first;
		} else if (f->kind == CODEC_KIND_NUMBER) {
			at = put_number(o, at, f, number, in);
		} else if (is_left_out(f, in)) {
			continue;
		} else if (f->kind >= CODEC_KIND_NUMBERS) {
			at = put_array(o, at, f, number, in);
		} else {
			at = put_data(o, at, f, number, in);
		}
		if (!at)
			return NULL;
	}
	r = m->check ? m->check(in) : 0;
	return r < 0 ? fail(o, r) : at;
}

int codec_pack(
	const struct codec_message *m, const void *in, uint8_t *out, size_t n_out, uint8_t **ret_at)
{
	struct packing o = {out, 0};

	*ret_at = put_fields(&o, out + n_out, m, in);
	return o.error;
}

uint8_t *codec_put_long_head(uint8_t *end, uint32_t number, uint64_t n)
{
	struct packing o = {end - CODEC_HEAD_MAX, 0};

	return put_tagged(&o, end, number << 3 | FIELD_DELIMITED, n);
}
