/*
 * codec_unpack.c: bytes to structs; a border. Goes as deep as the tables do, which no data can change.
 * Most arrays come in one piece, so their elements are counted where the first is met, and memory is
 * cut to measure. Where a second piece comes, all that is left is counted: there is no third time, and
 * so the work grows with the bytes.
 *
 * No state; any process, any thread.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "proto/codec_private.h"

/* Bytes are read from `at` to `end`; functions return where they stopped, NULL where they must not go
 * on. A number comes with it in a register, and so does where a field's value begins. */
struct number {
	const uint8_t *behind;
	uint64_t v;
};
struct value {
	const uint8_t *behind;
	const uint8_t *from;
};

static const struct number bad = {NULL, 0};

/* At most n_max bytes. It may be longer than it has to be. Apart, since what is usual, a byte, needs no
 * loop. */
static NOINLINE struct number get_long(const uint8_t *at, const uint8_t *end, unsigned n_max)
{
	uint64_t v = 0;

	if ((size_t)(end - at) > n_max)
		end = at + n_max;
	for (unsigned shift = 0; at < end; shift += 7) {
		uint64_t byte = *at++;

		v |= (byte & 0x7F) << shift;
		if (byte < 0x80)
			return shift < 7 * (n_max - 1) ||
					       byte >> (n_max == 5 ? 32 % 7 : 64 % 7) == 0
				       ? (struct number){at, v}
				       : bad;
	}
	return bad;
}

/* The seven bits that each byte has of a number, lowest first, pushed together: in pairs, fours, eights. */
static inline uint64_t push_together(uint64_t v)
{
	v = (v & 0x007F007F007F007F) | (v & 0x7F007F007F007F00) >> 1;
	v = (v & 0x00003FFF00003FFF) | (v & 0x3FFF00003FFF0000) >> 2;
	return (v & 0x000000000FFFFFFF) | (v & 0x0FFFFFFF00000000) >> 4;
}

/* Where eight bytes are left, they are looked at together: the numbers that are longer than one byte, of
 * batches, holds and spans, are of two to seven, and no two in a row as long. */
static NOINLINE struct number get_long_varint(const uint8_t *at, const uint8_t *end)
{
	uint64_t bytes, last;

	if (end - at < (ptrdiff_t)sizeof(bytes))
		return get_long(at, end, 10);
	memcpy(&bytes, at, sizeof(bytes));
	bytes = le64toh(bytes);
	last = ~bytes & 0x8080808080808080;
	if (last == 0)
		return get_long(at, end, 10);
	bytes &= last ^ (last - 1);
	return (struct number){at + (__builtin_ctzll(last) / 8 + 1), push_together(bytes)};
}

static inline struct number get_varint(const uint8_t *at, const uint8_t *end)
{
	return at < end && *at < 0x80 ? (struct number){at + 1, *at} : get_long_varint(at, end);
}

/* A tag, or a length: of 32 bits. */
static inline struct number get_tag(const uint8_t *at, const uint8_t *end)
{
	return at < end && *at < 0x80 ? (struct number){at + 1, *at} : get_long(at, end, 5);
}

/* What comes behind a tag: a number, or the bytes that a length announces. */
static inline struct value get_value(struct number tag, const uint8_t *end)
{
	struct number n = bad;

	if ((tag.v & 7) == FIELD_VARINT)
		return (struct value){get_varint(tag.behind, end).behind, tag.behind};
	if ((tag.v & 7) == FIELD_DELIMITED)
		n = get_tag(tag.behind, end);
	else if ((tag.v & 7) == FIELD_FIXED32 || (tag.v & 7) == FIELD_FIXED64)
		n = (struct number){tag.behind, (tag.v & 7) == FIELD_FIXED32 ? 4 : 8};
	if (!n.behind || n.v > (size_t)(end - n.behind))
		return (struct value){NULL, NULL};
	return (struct value){n.behind + n.v, n.behind};
}

/* How many elements a value has. A number that is cut is found when it is read. */
static size_t n_elements(const struct codec_field *f, struct value v)
{
	size_t n = 0;

	if (f->kind != CODEC_KIND_NUMBERS)
		return 1;
	for (; v.from < v.behind; v.from++)
		n += *v.from < 0x80;
	return n;
}

/* How many elements an array has room for stands ahead of it. */
static inline uint64_t *room_of(uint8_t *list)
{
	return (uint64_t *)(void *)list - 1;
}

/* An array with room for the n elements that there are, those of v, and others: of the same field in a
 * row behind it, or where the array ran out of room, of all to the end. What is malformed is found when
 * it is read. NULL: too many. */
static uint8_t *make_room(const struct codec_field *f, uint64_t number, struct value v,
	const uint8_t *end, uint8_t *list, size_t n, struct bump *memory)
{
	size_t n_all = n + n_elements(f, v);
	uint8_t *larger;

	while (v.behind < end) {
		struct number tag = get_tag(v.behind, end);

		if (!tag.behind || (!list && tag.v >> 3 != number))
			break;
		v = get_value(tag, end);
		if (!v.behind)
			break;
		if (tag.v >> 3 == number)
			n_all += n_elements(f, v);
	}
	larger = n_all > f->most ? NULL
				 : bump_take(memory, sizeof(uint64_t) + n_all * f->element_size,
					   sizeof(uint64_t));
	if (!larger)
		return NULL;
	larger += sizeof(uint64_t);
	*room_of(larger) = n_all;
	if (f->kind == CODEC_KIND_MESSAGES)
		memset(larger, 0, n_all * f->element_size);
	if (list)
		memcpy(larger, list, n * f->element_size);
	return larger;
}

static bool get_text(
	struct value v, const struct codec_field *f, struct bump *memory, const char **to)
{
	size_t n = (size_t)(v.behind - v.from);
	char *text;

	*to = "";
	if (n == 0)
		return true;
	if (n > f->max || memchr(v.from, '\0', n) ||
		!(text = bump_take(memory, n + 1, sizeof(uint64_t))))
		return false;
	memcpy(text, v.from, n);
	text[n] = '\0';
	*to = text;
	return true;
}

static inline void store_number(size_t size, uint64_t v, void *to)
{
	if (size == sizeof(uint64_t))
		*(uint64_t *)to = v;
	else if (size == sizeof(uint32_t))
		*(uint32_t *)to = (uint32_t)v;
	else
		*(bool *)to = v != 0;
}

/* `out` is zeroed. */
static bool get_fields(
	struct value v, const struct codec_message *m, struct bump *memory, uint8_t *out);

/* Elements, one after the other, to the list, which has room. Returns how many; 0: one is bad. */
static inline size_t get_elements(
	struct value v, const struct codec_field *f, struct bump *memory, uint8_t *to)
{
	size_t n = 0;

	if (f->kind == CODEC_KIND_MESSAGES)
		return get_fields(v, f->message, memory, to);
	if (f->kind == CODEC_KIND_TEXTS)
		return get_text(v, f, memory, (const char **)(void *)to);
	for (; v.from < v.behind; n++, to += f->element_size) {
		struct number number = get_varint(v.from, v.behind);

		if (!number.behind || !in_range(f, number.v))
			return 0;
		v.from = number.behind;
		store_number(f->element_size, number.v, to);
	}
	return n;
}

static bool get_array(struct value v, const struct codec_field *f, uint64_t number,
	const uint8_t *end, struct bump *memory, uint8_t *out)
{
	uint8_t **list = (uint8_t **)(void *)(out + f->offset);
	size_t n = load_count(f, out), n_more;

	if (f->kind == CODEC_KIND_NUMBERS && v.from == v.behind)
		return true;
	if (!*list || n == *room_of(*list))
		*list = make_room(f, number, v, end, *list, n, memory);
	if (!*list)
		return false;
	n_more = get_elements(v, f, memory, *list + n * f->element_size);
	store_number(f->count_size, n + n_more, out + f->count_offset);
	return n_more > 0;
}

/* A text, bytes, or what is there of a oneof. */
static bool get_member(struct value v, const struct codec_message *m, uint64_t number,
	struct bump *memory, uint8_t *out)
{
	const struct codec_field *f = &m->fields[number];
	size_t n = (size_t)(v.behind - v.from);
	void *to = out + f->offset;

	if (f->kind == CODEC_KIND_TEXT)
		return get_text(v, f, memory, to);
	if (f->kind == CODEC_KIND_BYTES) {
		*(const uint8_t **)to = n > 0 ? v.from : NULL;
		store_number(f->count_size, n, out + f->count_offset);
		return n >= f->min && n <= f->max;
	}
	if (*body_number(m, out) != 0)
		return false;
	*body_number(m, out) = (uint32_t)number;
	return get_fields(v, f->message, memory, to);
}

/* What is absent is 0 or empty. Is that allowed? */
static bool get_absent(const struct codec_message *m, uint64_t absent, uint8_t *out)
{
	for (; absent > 0; absent &= absent - 1) {
		const struct codec_field *f = &m->fields[__builtin_ctzll(absent)];

		if (!f->matters)
			continue;
		if (f->kind != CODEC_KIND_TEXT)
			return false;
		*(const char **)(void *)(out + f->offset) = "";
	}
	return m->body_last == 0 || *body_number(m, out) != 0;
}

/* What no table has. */
static NOINLINE const uint8_t *skip_field(struct number tag, const uint8_t *end)
{
	return tag.v >> 3 > 0 ? get_value(tag, end).behind : NULL;
}

/* One field, behind its tag. Returns where it ends. */
static const uint8_t *get_field(struct number tag, const uint8_t *end,
	const struct codec_message *m, struct bump *memory, uint8_t *out, uint64_t *seen)
{
	const uint64_t number = tag.v >> 3, wire = tag.v & 7;
	const struct codec_field *f;
	struct number n;
	struct value v;

	if (number >= m->n_fields)
		return skip_field(tag, end);
	f = &m->fields[number];
	*seen |= CODEC_BIT_(number);
	if (f->kind == CODEC_KIND_NUMBER) {
		n = get_varint(tag.behind, end);
		if (wire != FIELD_VARINT || !n.behind || !in_range(f, n.v))
			return NULL;
		store_number(f->element_size, n.v, out + f->offset);
		return n.behind;
	}
	if (f->kind == CODEC_KIND_NONE)
		return skip_field(tag, end);
	v = get_value(tag, end);
	if (!v.behind || (wire != FIELD_DELIMITED &&
				 (wire != FIELD_VARINT || f->kind != CODEC_KIND_NUMBERS)))
		return NULL;
	if (f->kind >= CODEC_KIND_NUMBERS)
		return get_array(v, f, number, end, memory, out) ? v.behind : NULL;
	return get_member(v, m, number, memory, out) ? v.behind : NULL;
}

static bool get_fields(
	struct value v, const struct codec_message *m, struct bump *memory, uint8_t *out)
{
	uint64_t seen = 0;

	while (v.from < v.behind) {
		struct number tag = get_tag(v.from, v.behind);

		if (!tag.behind)
			return false;
		v.from = get_field(tag, v.behind, m, memory, out, &seen);
		if (!v.from)
			return false;
	}
	return get_absent(m, m->plain & ~seen, out) && (!m->check || m->check(out) == 0);
}

int codec_unpack(const struct codec_message *m, const uint8_t *data, size_t n, struct bump *memory,
	void *out)
{
	memset(out, 0, m->size);
	return get_fields((struct value){data + n, data}, m, memory, out) ? 0 : -EPROTO;
}
