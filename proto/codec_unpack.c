/*
 * codec_unpack.c: bytes to structs; a border. Goes as deep as the tables do, which no data can change.
 * Most arrays come in one piece, so their elements are counted where the first is met, and memory is
 * cut to measure. Where a second piece comes, all that is left is counted: there is no third time, and
 * so the work grows with the bytes.
 *
 * No state; any process, any thread.
 */
#include <errno.h>
#include <string.h>

#include "proto/codec_private.h"

#define VARINT32_BYTES 5u
#define VARINT64_BYTES 10u

/* Bytes are read from `at` to `end`; functions return where they stopped, NULL where they must not go
 * on. A number comes with it in a register. */
struct number {
	const uint8_t *behind;
	uint64_t v;
};

static const struct number bad = {NULL, 0};
static const struct codec_field none = {.kind = CODEC_KIND_NONE};

/* At most n_max bytes, of which the last one has n_last bits. It may be longer than it has to be. */
static inline struct number get_number(
	const uint8_t *at, const uint8_t *end, unsigned n_max, unsigned n_last)
{
	uint64_t v = 0;

	if ((size_t)(end - at) > n_max)
		end = at + n_max;
	for (unsigned shift = 0; at < end; shift += 7) {
		uint64_t byte = *at++;

		v |= (byte & 0x7F) << shift;
		if (!(byte & 0x80))
			return shift < 7 * (n_max - 1) || !(byte >> n_last) ? (struct number){at, v}
									    : bad;
	}
	return bad;
}

/* So that what is usual, a byte, needs no loop. */
#define NOINLINE __attribute__((noinline))

static NOINLINE struct number get_long_varint(const uint8_t *at, const uint8_t *end)
{
	return get_number(at, end, VARINT64_BYTES, 64 % 7);
}

static NOINLINE struct number get_long_tag(const uint8_t *at, const uint8_t *end)
{
	return get_number(at, end, VARINT32_BYTES, 32 % 7);
}

/* Bad where it is cut, or of more than 64 bits. */
static inline struct number get_varint(const uint8_t *at, const uint8_t *end)
{
	if (at < end && !(*at & 0x80))
		return (struct number){at + 1, *at};
	return get_long_varint(at, end);
}

/* A tag. */
static inline struct number get_tag(const uint8_t *at, const uint8_t *end)
{
	if (at < end && !(*at & 0x80))
		return (struct number){at + 1, *at};
	return get_long_tag(at, end);
}

/* A length; so many bytes are there. */
static inline struct number get_length(const uint8_t *at, const uint8_t *end)
{
	struct number n = get_tag(at, end);

	return n.behind && n.v <= (size_t)(end - n.behind) ? n : bad;
}

static const uint8_t *skip(const uint8_t *at, const uint8_t *end, uint64_t tag)
{
	size_t n = (tag & 7) == FIXED64 ? 8 : 4;
	struct number length;

	if (tag >> 3 == 0)
		return NULL;
	switch (tag & 7) {
	case VARINT:
		return get_varint(at, end).behind;
	case DELIMITED:
		length = get_length(at, end);
		return length.behind ? length.behind + length.v : NULL;
	case FIXED64:
	case FIXED32:
		return (size_t)(end - at) < n ? NULL : at + n;
	default:
		return NULL;
	}
}

/* A cut one is found when it is read. */
static size_t count_varints(const uint8_t *at, const uint8_t *end)
{
	size_t n = 0;

	for (; at < end; at++)
		n += !(*at & 0x80);
	return n;
}

/* Elements of field `number` that come next in a row, or (all) anywhere in what is left. What is
 * malformed is found when it is read. */
static size_t count_elements(const uint8_t *at, const uint8_t *end, const struct codec_field *f,
	uint64_t number, bool all)
{
	size_t n = 0;

	while (at && at < end) {
		struct number tag = get_tag(at, end), length;

		if (tag.v == (number << 3 | DELIMITED)) {
			length = get_length(tag.behind, end);
			at = length.behind ? length.behind + length.v : NULL;
			n += f->kind == CODEC_KIND_NUMBERS ? count_varints(length.behind, at) : 1;
		} else if (tag.behind && (all || tag.v >> 3 == number)) {
			at = skip(tag.behind, end, tag.v);
			n += tag.v >> 3 == number;
		} else {
			break;
		}
	}
	return n;
}

/* n bytes, not cleared. NULL: there are not so many. */
static inline void *allocate(struct bump *memory, size_t n)
{
	return bump_take(memory, n, sizeof(uint64_t));
}

/* How many elements an array has room for stands ahead of it. */
static inline uint64_t *room_of(uint8_t *list)
{
	return (uint64_t *)(void *)list - 1;
}

/* One piece of an array: with its tag, and what it says. */
struct piece {
	const uint8_t *start, *from, *behind;
	uint64_t tag;
};

static inline bool is_last(const struct piece *p, const uint8_t *end)
{
	return (p->tag & 7) == DELIMITED && p->tag < 0x80 &&
	       (p->behind == end || *p->behind != p->tag);
}

/* A list with room for the n elements that there are and those from this piece on, as far as they are
 * read in a row. NULL: too many. */
static uint8_t *make_room(const struct piece *p, const uint8_t *end, const struct codec_field *f,
	uint8_t *list, size_t n, struct bump *memory)
{
	size_t n_more;
	uint8_t *larger;

	if (list || !is_last(p, end))
		n_more = count_elements(p->start, end, f, p->tag >> 3, list != NULL);
	else
		n_more = f->kind == CODEC_KIND_NUMBERS ? count_varints(p->from, p->behind) : 1;
	if (n_more > f->most - n)
		return NULL;
	larger = allocate(memory, sizeof(uint64_t) + (n + n_more) * f->element_size);
	if (!larger)
		return NULL;
	larger += sizeof(uint64_t);
	*room_of(larger) = n + n_more;
	if (f->kind == CODEC_KIND_MESSAGES)
		memset(larger, 0, (n + n_more) * f->element_size);
	if (list)
		memcpy(larger, list, n * f->element_size);
	return larger;
}

static bool get_text(const uint8_t *at, const uint8_t *end, const struct codec_field *f,
	struct bump *memory, void *to)
{
	size_t n = (size_t)(end - at);
	char *text;

	*(const char **)to = "";
	if (n == 0)
		return true;
	if (n > f->max || memchr(at, '\0', n) || !(text = allocate(memory, n + 1)))
		return false;
	memcpy(text, at, n);
	text[n] = '\0';
	*(const char **)to = text;
	return true;
}

/* `out` is zeroed. */
static bool get_fields(const uint8_t *at, const uint8_t *end, const struct codec_message *m,
	struct bump *memory, uint8_t *out);

/* Numbers of one field, one after the other, to the list, which has room. Returns how many; SIZE_MAX:
 * one is bad. */
static size_t get_numbers(
	const uint8_t *at, const uint8_t *end, const struct codec_field *f, uint8_t *to)
{
	size_t n = 0;

	for (; at < end; n++) {
		struct number v = get_varint(at, end);

		if (!v.behind || !in_range(f, v.v))
			return SIZE_MAX;
		at = v.behind;
		if (f->element_size == sizeof(uint64_t))
			((uint64_t *)(void *)to)[n] = v.v;
		else
			((uint32_t *)(void *)to)[n] = (uint32_t)v.v;
	}
	return n;
}

/* What one field of an array adds to it: an element, or numbers. Returns how many; SIZE_MAX: bad. */
static inline size_t get_elements(const uint8_t *at, const uint8_t *end,
	const struct codec_field *f, struct bump *memory, uint8_t *to)
{
	if (f->kind == CODEC_KIND_NUMBERS)
		return get_numbers(at, end, f, to);
	if (f->kind == CODEC_KIND_MESSAGES)
		return get_fields(at, end, f->message, memory, to) ? 1 : SIZE_MAX;
	return get_text(at, end, f, memory, to) ? 1 : SIZE_MAX;
}

/* What a piece has. Returns false where it is cut, or of the wrong kind. */
static inline bool get_piece(struct piece *p, struct number tag, const uint8_t *start,
	const uint8_t *end, const struct codec_field *f)
{
	struct number length;

	*p = (struct piece){.start = start, .from = tag.behind, .tag = tag.v};
	if ((tag.v & 7) == DELIMITED) {
		length = get_length(tag.behind, end);
		p->from = length.behind;
		p->behind = length.behind + length.v;
		return p->from;
	}
	if ((tag.v & 7) == VARINT && f->kind == CODEC_KIND_NUMBERS)
		p->behind = get_varint(tag.behind, end).behind;
	return p->behind;
}

/* All elements that come in a row; the first begins at `at`, where the tag was read. */
static const uint8_t *get_array(const uint8_t *at, struct number tag, const uint8_t *end,
	const struct codec_field *f, struct bump *memory, uint8_t *out)
{
	void **list = (void **)(void *)(out + f->offset);
	const uint64_t number = tag.v >> 3;
	size_t n = load_count(f, out), n_more;
	struct piece p;

	do {
		if (!get_piece(&p, tag, at, end, f))
			return NULL;
		if (!*list || n == *room_of(*list))
			*list = make_room(&p, end, f, *list, n, memory);
		if (!*list)
			return NULL;
		n_more = get_elements(
			p.from, p.behind, f, memory, (uint8_t *)*list + n * f->element_size);
		if (n_more == SIZE_MAX)
			return NULL;
		n += n_more;
		at = p.behind;
		tag = at < end ? get_tag(at, end) : bad;
	} while (tag.behind && tag.v >> 3 == number);
	if (f->count_size == sizeof(size_t))
		*(size_t *)(void *)(out + f->count_offset) = n;
	else
		*(uint32_t *)(void *)(out + f->count_offset) = (uint32_t)n;
	if (n == 0)
		*list = NULL;
	return n >= f->least ? at : NULL;
}

static inline void store_number(const struct codec_field *f, uint64_t v, void *to)
{
	if (f->kind == CODEC_KIND_64)
		*(uint64_t *)to = v;
	else if (f->kind == CODEC_KIND_32)
		*(uint32_t *)to = (uint32_t)v;
	else
		*(bool *)to = v != 0;
}

static bool get_delimited(const uint8_t *at, const uint8_t *end, const struct codec_message *m,
	uint64_t number, struct bump *memory, uint8_t *out)
{
	const struct codec_field *f = &m->fields[number];
	size_t n = (size_t)(end - at);

	if (f->kind == CODEC_KIND_TEXT)
		return get_text(at, end, f, memory, out + f->offset);
	if (f->kind == CODEC_KIND_BYTES) {
		*(const void **)(void *)(out + f->offset) = n > 0 ? at : NULL;
		*(size_t *)(void *)(out + f->count_offset) = n;
		return n >= f->min && n <= f->max;
	}
	if (*body_number(m, out) != 0)
		return false;
	*body_number(m, out) = (uint32_t)number;
	return get_fields(at, end, f->message, memory, out + f->offset);
}

/* One that is no array, behind its tag. */
static inline const uint8_t *get_member(struct number tag, const uint8_t *end,
	const struct codec_message *m, struct bump *memory, uint8_t *out)
{
	const struct codec_field *f = &m->fields[tag.v >> 3];
	struct number n;

	if (is_number(f)) {
		n = get_varint(tag.behind, end);
		if ((tag.v & 7) != VARINT || !n.behind || !in_range(f, n.v))
			return NULL;
		store_number(f, n.v, out + f->offset);
		return n.behind;
	}
	n = get_length(tag.behind, end);
	if ((tag.v & 7) != DELIMITED || !n.behind)
		return NULL;
	return get_delimited(n.behind, n.behind + n.v, m, tag.v >> 3, memory, out) ? n.behind + n.v
										   : NULL;
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

static bool get_fields(const uint8_t *at, const uint8_t *end, const struct codec_message *m,
	struct bump *memory, uint8_t *out)
{
	uint64_t seen = 0;

	while (at < end) {
		struct number tag = get_tag(at, end);
		uint64_t number = tag.v >> 3;
		const struct codec_field *f = number < m->n_fields ? &m->fields[number] : &none;

		if (!tag.behind)
			return false;
		if (f->kind == CODEC_KIND_NONE) {
			at = skip(tag.behind, end, tag.v);
		} else {
			seen |= CODEC_BIT_(number);
			at = f->kind >= CODEC_KIND_NUMBERS ? get_array(at, tag, end, f, memory, out)
							   : get_member(tag, end, m, memory, out);
		}
		if (!at)
			return false;
	}
	return get_absent(m, m->plain & ~seen, out) && (!m->check || m->check(out) == 0);
}

int codec_unpack(const struct codec_message *m, const uint8_t *data, size_t n, struct bump *memory,
	void *out)
{
	memset(out, 0, m->size);
	return get_fields(data, data + n, m, memory, out) ? 0 : -EPROTO;
}

int codec_cut(
	const uint8_t **data, size_t *n, uint32_t number, const uint8_t **ret_part, size_t *ret_n)
{
	struct number tag = get_tag(*data, *data + *n), length;

	if (!tag.behind || tag.v != (number << 3 | DELIMITED))
		return -EPROTO;
	length = get_length(tag.behind, *data + *n);
	if (!length.behind)
		return -EPROTO;
	*ret_part = length.behind;
	*ret_n = length.v;
	*n -= (size_t)(length.behind + length.v - *data);
	*data = length.behind + length.v;
	return 0;
}
