/*
 * scanner.c: parts the tensor data of a request message from the rest of it.
 *
 * Every field is TAG, then VARINT, or COPY (fixed sizes), or LENGTH and then COPY, TENSOR or, for
 * the message around the tensor data, its fields one level deeper. That message becomes shorter
 * when the tensor data is left out: its length is kept as a varint of five bytes, padded, and set
 * when it ends.
 *
 * Only what is needed to find the tensor data is looked at, the way protobuf-c looks at it: tags
 * and lengths of at most five bytes, varints of at most ten, no groups. What is wrong in the rest,
 * protobuf-c will say.
 *
 * Invariants: left[1] <= left[0] while depth is 1; todo <= left[depth]; n_kept <= cap and n_kept <=
 * max_kept; the last byte of a length is consumed only when memory for its tensor is there. Daemon
 * process, loop thread.
 */
#include "services/scanner.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/stream_copy.h"

#define VARINT_MAX 10u /* bytes */
#define LENGTH_MAX 5u
#define TAG_MAX	   5u

enum scanner_state {
	SCANNER_TAG,
	SCANNER_VARINT,
	SCANNER_LENGTH,
	SCANNER_COPY,
	SCANNER_TENSOR,
};

enum wire {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_DELIMITED = 2,
	WIRE_FIXED32 = 5,
};

void scanner_init(struct scanner *s, const struct scanner_table *table, size_t max_kept,
	scanner_tensor_fn on_tensor, void *data)
{
	assert(!table->repeated || table->outer == 0);
	s->table = table;
	s->max_kept = max_kept;
	s->on_tensor = on_tensor;
	s->data = data;
	s->kept = s->first;
	s->cap = sizeof(s->first);
	s->tensor_bytes = 0;
	s->copied_bytes = 0;
	scanner_begin(s, 0);
}

void scanner_deinit(struct scanner *s)
{
	if (s->kept != s->first)
		free(s->kept);
	s->kept = NULL;
}

void scanner_begin(struct scanner *s, uint64_t length)
{
	s->state = SCANNER_TAG;
	s->depth = 0;
	s->outer_seen = false;
	s->n_head = 0;
	s->n_varint = 0;
	s->value = 0;
	s->todo = 0;
	s->n_fields = 0;
	s->n_announced = 0;
	s->n_kept = 0;
	s->left[0] = length;
	s->length_known = length != UINT64_MAX;
	s->left[1] = 0;
	s->target = NULL;
}

static int grow(struct scanner *s, size_t n)
{
	size_t cap = s->cap;
	uint8_t *p;

	while (cap - s->n_kept < n)
		cap = cap > SIZE_MAX / 2 ? SIZE_MAX : cap * 2;
	p = s->kept == s->first ? malloc(cap) : realloc(s->kept, cap);
	if (!p)
		return -ENOMEM;
	if (s->kept == s->first)
		memcpy(p, s->first, s->n_kept);
	s->kept = p;
	s->cap = cap;
	return 0;
}

static int keep(struct scanner *s, const uint8_t *data, size_t n)
{
	int r;

	if (n > s->max_kept - s->n_kept)
		return SCANNER_E_METADATA;
	if (n > s->cap - s->n_kept) {
		r = grow(s, n);
		if (r)
			return r;
	}
	memcpy(s->kept + s->n_kept, data, n);
	s->n_kept += n;
	return 0;
}

static void consume(struct scanner *s, uint64_t n)
{
	s->left[0] -= n;
	if (s->depth == 1)
		s->left[1] -= n;
}

/* The message around the tensor data has ended: now its length without it is known. */
static void close_outer(struct scanner *s)
{
	uint64_t n = s->n_kept - s->outer_at - LENGTH_MAX;
	uint8_t *at = s->kept + s->outer_at;

	for (unsigned i = 0; i < LENGTH_MAX; i++)
		at[i] = (uint8_t)(n >> 7 * i & 0x7f) | (i < LENGTH_MAX - 1 ? 0x80 : 0);
	s->depth = 0;
}

static void next_field(struct scanner *s)
{
	s->state = SCANNER_TAG;
	s->n_head = 0;
	s->n_varint = 0;
	s->value = 0;
	if (s->depth == 1 && s->left[1] == 0)
		close_outer(s);
}

/* One byte of a varint; true: it was the last. */
static bool add_varint(struct scanner *s, uint8_t byte)
{
	if (s->n_varint < VARINT_MAX)
		s->value |= (uint64_t)(byte & 0x7f) << 7 * s->n_varint;
	s->n_varint++;
	return !(byte & 0x80);
}

/* The tag is read and kept; n bytes of the field follow. */
static int begin_copy(struct scanner *s, uint64_t n)
{
	int r = keep(s, s->head, s->n_head);

	if (r)
		return r;
	if (n > s->left[s->depth])
		return SCANNER_E_MALFORMED;
	s->todo = n;
	s->state = SCANNER_COPY;
	if (n == 0)
		next_field(s);
	return 0;
}

static int on_tag(struct scanner *s)
{
	unsigned wire = s->value & 7;

	s->field = (uint32_t)(s->value >> 3);
	s->value = 0;
	s->n_varint = 0;
	if (s->n_fields++ >= s->table->max_fields)
		return SCANNER_E_FIELDS;
	if (s->field == s->table->announcing && s->depth == 0)
		s->n_announced++;
	switch (wire) {
	case WIRE_VARINT:
		s->state = SCANNER_VARINT;
		return keep(s, s->head, s->n_head);
	case WIRE_FIXED64:
		return begin_copy(s, 8);
	case WIRE_FIXED32:
		return begin_copy(s, 4);
	case WIRE_DELIMITED:
		s->state = SCANNER_LENGTH;
		return 0;
	default:
		return SCANNER_E_MALFORMED;
	}
}

static int step_tag(struct scanner *s, uint8_t byte)
{
	s->head[s->n_head++] = byte;
	consume(s, 1);
	if (add_varint(s, byte))
		return on_tag(s);
	return s->n_varint == TAG_MAX ? SCANNER_E_MALFORMED : 0;
}

static int step_varint(struct scanner *s, uint8_t byte)
{
	int r = keep(s, &byte, 1);

	if (r)
		return r;
	consume(s, 1);
	if (add_varint(s, byte))
		next_field(s);
	else if (s->n_varint == VARINT_MAX)
		return SCANNER_E_MALFORMED;
	return 0;
}

static int open_outer(struct scanner *s, uint64_t n)
{
	static const uint8_t room[LENGTH_MAX];
	int r;

	if (s->outer_seen)
		return SCANNER_E_REPEATED;
	s->outer_seen = true;
	/* The tag without the bytes of the length that are in the head already. */
	r = keep(s, s->head, s->n_head - s->n_varint);
	if (r)
		return r;
	s->outer_at = s->n_kept;
	r = keep(s, room, sizeof(room));
	if (r)
		return r;
	s->depth = 1;
	s->left[1] = n;
	next_field(s);
	return 0;
}

static int open_tensor(struct scanner *s, uint64_t n)
{
	uint8_t *target = NULL;
	int r = s->on_tensor(s->data, n, &target);

	if (r)
		return r;
	assert(n == 0 || target);
	s->target = target;
	s->large = n >= STREAM_COPY_MIN;
	s->todo = n;
	s->state = SCANNER_TENSOR;
	consume(s, 1);
	if (n == 0)
		next_field(s);
	return 0;
}

/* `byte` is the last one of a length. */
static int on_length(struct scanner *s, uint8_t byte)
{
	const struct scanner_table *t = s->table;
	/* 32 bits, as protobuf-c has it. */
	uint64_t n = (uint32_t)(s->value | (uint64_t)byte << 7 * s->n_varint);

	if (n > s->left[s->depth] - 1)
		return SCANNER_E_MALFORMED;
	if (s->field == t->tensor && s->depth == (t->outer ? 1 : 0))
		return open_tensor(s, n);
	consume(s, 1);
	if (t->outer && s->field == t->outer && s->depth == 0)
		return open_outer(s, n);
	s->head[s->n_head++] = byte;
	return begin_copy(s, n);
}

static int step_length(struct scanner *s, uint8_t byte)
{
	if (!(byte & 0x80))
		return on_length(s, byte);
	s->head[s->n_head++] = byte;
	consume(s, 1);
	add_varint(s, byte);
	return s->n_varint == LENGTH_MAX ? SCANNER_E_MALFORMED : 0;
}

static int step_byte(struct scanner *s, uint8_t byte)
{
	if (s->left[s->depth] == 0)
		return SCANNER_E_MALFORMED;
	switch (s->state) {
	case SCANNER_TAG:
		return step_tag(s, byte);
	case SCANNER_VARINT:
		return step_varint(s, byte);
	default:
		return step_length(s, byte);
	}
}

/* The field's next n bytes. */
static int step_bytes(struct scanner *s, const uint8_t *data, size_t n)
{
	int r;

	if (s->state == SCANNER_TENSOR) {
		if (s->large)
			stream_copy(s->target, data, n);
		else
			memcpy(s->target, data, n);
		s->target += n;
		s->copied_bytes += n;
		s->tensor_bytes += n;
	} else {
		r = keep(s, data, n);
		if (r)
			return r;
	}
	consume(s, n);
	s->todo -= n;
	if (s->todo > 0)
		return 0;
	if (s->state == SCANNER_TENSOR && s->large)
		stream_copy_end();
	next_field(s);
	return 0;
}

/* Bytes of a field that has come whole, with a byte each for its tag and its length, and is neither tensor
 * data nor around it: most are like that. 0: what comes is none. */
static size_t whole_field(const struct scanner *s, const uint8_t *data, size_t n)
{
	uint32_t special = s->table->outer && s->depth == 0 ? s->table->outer : s->table->tensor;
	size_t size;

	if (s->state != SCANNER_TAG || s->n_head > 0 || n < 2 || ((data[0] | data[1]) & 0x80))
		return 0;
	size = 2 + (size_t)data[1];
	if ((data[0] & 7) != WIRE_DELIMITED || data[0] >> 3 == special || size > n ||
		size > s->left[s->depth])
		return 0;
	return size;
}

static int step_field(struct scanner *s, const uint8_t *data, size_t n)
{
	int r;

	if (s->n_fields++ >= s->table->max_fields)
		return SCANNER_E_FIELDS;
	if (data[0] >> 3 == s->table->announcing && s->depth == 0)
		s->n_announced++;
	r = keep(s, data, n);
	if (r)
		return r;
	consume(s, n);
	if (s->depth == 1 && s->left[1] == 0)
		close_outer(s);
	return 0;
}

int scanner_feed(struct scanner *s, const uint8_t *data, size_t n, size_t *ret_taken)
{
	size_t taken = 0;
	int r = 0;

	while (taken < n && r == 0) {
		size_t some = whole_field(s, data + taken, n - taken);

		if (some > 0) {
			r = step_field(s, data + taken, some);
		} else if (s->state == SCANNER_COPY || s->state == SCANNER_TENSOR) {
			some = n - taken < s->todo ? n - taken : (size_t)s->todo;
			r = step_bytes(s, data + taken, some);
		} else {
			some = 1;
			r = step_byte(s, data[taken]);
		}
		if (r == 0)
			taken += some;
	}
	*ret_taken = taken;
	return r;
}

uint64_t scanner_left(const struct scanner *s)
{
	return s->length_known ? s->left[0] : UINT64_MAX;
}

uint32_t scanner_pieces_left(const struct scanner *s, size_t n)
{
	uint32_t max = s->n_announced ? s->n_announced : s->table->max_pieces;

	return n < max ? max - (uint32_t)n : 1;
}

const char *scanner_first_text(const struct scanner *s, uint32_t field, size_t *ret_n)
{
	uint64_t length = 0;
	size_t at = 1;

	if (s->n_kept == 0 || s->kept[0] != (field << 3 | WIRE_DELIMITED))
		return NULL;
	for (unsigned shift = 0; at < s->n_kept && at <= LENGTH_MAX; shift += 7) {
		uint8_t byte = s->kept[at++];

		length |= (uint64_t)(byte & 0x7f) << shift;
		if (byte & 0x80)
			continue;
		*ret_n = (size_t)length;
		return length <= s->n_kept - at ? (const char *)s->kept + at : NULL;
	}
	return NULL;
}

int scanner_end(struct scanner *s, const uint8_t **ret_kept, size_t *ret_n)
{
	if (s->state != SCANNER_TAG || s->n_head > 0 || s->depth > 0)
		return SCANNER_E_MALFORMED;
	*ret_kept = s->kept;
	*ret_n = s->n_kept;
	return 0;
}
