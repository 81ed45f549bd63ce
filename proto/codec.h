/*
 * codec.h: protobuf messages as plain structs, by tables. A table says of each field where it lies in
 * the struct and what is allowed in it, for both directions alike: whatever is packed, unpacking
 * accepts. Nothing is allocated.
 *
 * A table is an array indexed by field number (proto/wire_tables.c is made of them):
 *
 *	static const struct codec_field pong_fields[] = {
 *		[1] = CODEC_NUMBER(struct pong, nonce),
 *		[2] = CODEC_NUMBERS(struct pong, loads, n_loads, LOADS_MAX, 0, 100),
 *		[3] = CODEC_TEXT(struct pong, reason, 255),
 *		[4] = CODEC_MESSAGES(struct pong, lanes, n_lanes, 0, LANES_MAX, &lane),
 *	};
 *	static const struct codec_message pong = CODEC_MESSAGE(struct pong, pong_fields, NULL);
 *
 * Beyond proto3: a number too large for its member is refused instead of cut off; so are a string with
 * a NUL in it and a message of a oneof that comes twice or with another one. Fields that no table has
 * are skipped, groups refused.
 */
#ifndef PROTO_CODEC_H
#define PROTO_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bump.h"
#include "base/cleanup.h"

/* Field numbers are below it. */
#define CODEC_FIELDS_MAX 63u

enum codec_kind {
	CODEC_KIND_NONE,   /* no such field */
	CODEC_KIND_NUMBER, /* bool, uint32_t, an enum, uint64_t or int64_t */
	CODEC_KIND_TEXT, /* const char *: a copy with a NUL; unpacked never NULL, packed "" if NULL */
	CODEC_KIND_BYTES, /* const uint8_t *: lies in what was unpacked */
	CODEC_KIND_BODY,  /* a struct: the one of a oneof that is there */
	/* Arrays: a pointer to the first element, and a counter. */
	CODEC_KIND_NUMBERS,
	CODEC_KIND_TEXTS,
	CODEC_KIND_MESSAGES,
};

struct codec_field {
	uint8_t kind;
	bool matters;	      /* when it is absent: it is required, or a text */
	uint8_t element_size; /* of a number, or an array's elements */
	uint8_t count_size;   /* of the counter, 4 or 8 bytes */
	uint16_t offset;
	uint16_t count_offset; /* of elements; of bytes: how many */
	uint32_t most;	       /* elements */
	uint64_t min, max; /* a number's value, as signed if min > max; a text's or bytes' length */
	const struct codec_message *message;
};

struct codec_message {
	const struct codec_field *fields;
	uint16_t size;	  /* of the struct */
	uint8_t n_fields; /* the last one's number + 1 */
	uint64_t plain;	  /* a bit for each field that is not of the oneof */
	/* The fields from first to last are of one oneof, messages which share one place in the struct;
	 * the member at body_offset, 32 bits, is the number of the one that is there. */
	uint8_t body_first, body_last;
	uint16_t body_offset;
	/* NULL, or the rules that a table cannot express; what it can was checked. -EINVAL. */
	int (*check)(const void *message);
};

#define CODEC_BIT_(number)	  (UINT64_C(1) << (number))
#define CODEC_SIZE_(type, member) sizeof(((type *)NULL)->member)
#define CODEC_COUNT_(type, count)                                                                  \
	.count_offset = offsetof(type, count), .count_size = CODEC_SIZE_(type, count)
#define CODEC_ROW_(kind_, type, member, ...)                                                       \
	{                                                                                          \
		.kind = CODEC_KIND_##kind_, .offset = offsetof(type, member), __VA_ARGS__          \
	}
#define CODEC_ARRAY_(kind_, type, member, count, most_, ...)                                       \
	CODEC_ROW_(kind_, type, member, .element_size = CODEC_SIZE_(type, member[0]),              \
		CODEC_COUNT_(type, count), .most = (most_), __VA_ARGS__)

/* A number or bool of any value. */
#define CODEC_NUMBER(type, member)                                                                 \
	CODEC_RANGE(type, member, 0, CODEC_SIZE_(type, member) == 4 ? UINT32_MAX : UINT64_MAX)
/* One within limits. A field that is absent is 0, so with a `low` above 0 it is required. */
#define CODEC_RANGE(type, member, low, high)                                                       \
	CODEC_ROW_(NUMBER, type, member, .element_size = CODEC_SIZE_(type, member),                \
		.matters = (low) > 0, .min = (uint64_t)(low), .max = (uint64_t)(high))
#define CODEC_TEXT(type, member, n_max)                                                            \
	CODEC_ROW_(TEXT, type, member, .matters = true, .max = (n_max))
/* From n_min to n_max bytes. */
#define CODEC_BYTES(type, member, count, n_min, n_max)                                             \
	CODEC_ROW_(BYTES, type, member, CODEC_COUNT_(type, count), .matters = (n_min) > 0,         \
		.min = (n_min), .max = (n_max))
/* One of a oneof: a struct in place, say in a union. */
#define CODEC_BODY(type, member, of) CODEC_ROW_(BODY, type, member, .message = (of))
/* At most most_ elements; of messages, which are structs of `of`, at least least_, 0 or 1. */
#define CODEC_NUMBERS(type, member, count, most_, low, high)                                       \
	CODEC_ARRAY_(NUMBERS, type, member, count, most_, .min = (uint64_t)(low),                  \
		.max = (uint64_t)(high))
#define CODEC_TEXTS(type, member, count, most_, n_max)                                             \
	CODEC_ARRAY_(TEXTS, type, member, count, most_, .max = (n_max))
#define CODEC_MESSAGES(type, member, count, least_, most_, of)                                     \
	CODEC_ARRAY_(MESSAGES, type, member, count, most_, .matters = (least_), .message = (of))

#define CODEC_N_(table) (sizeof(table) / sizeof((table)[0]))
#define CODEC_TABLE_(type, table, plain_, ...)                                                     \
	{                                                                                          \
		.fields = (table), .size = sizeof(type), .n_fields = CODEC_N_(table),              \
		.plain = (CODEC_BIT_(CODEC_N_(table)) - 2) & (plain_), __VA_ARGS__                 \
	}
#define CODEC_MESSAGE(type, table, check_) CODEC_TABLE_(type, table, UINT64_MAX, .check = (check_))
/* A message with a oneof, the fields first to last; `which` is the member with its number. */
#define CODEC_ONEOF(type, table, which, first, last)                                               \
	CODEC_TABLE_(type, table, ~(CODEC_BIT_((last) + 1) - CODEC_BIT_(first)),                   \
		.body_first = (first), .body_last = (last), .body_offset = offsetof(type, which))
/*
 * Pack to the end of `out`; *ret_at is where it begins then. Back to front, so that lengths are known
 * when they are written.
 *
 * -EMSGSIZE  it does not fit, too many elements, a text or bytes too long
 * -EINVAL    any other value that is out of its limits
 */
_must_use_ int codec_pack(const struct codec_message *m, const void *in, uint8_t *out, size_t n_out,
	uint8_t **ret_at);
/*
 * Write what comes ahead of the n bytes of a length-delimited field to the end of `end`, where
 * CODEC_HEAD_MAX bytes are free. Returns where it begins: so what the codec does not pack can be put
 * behind what it does.
 */
#define CODEC_HEAD_MAX 15u
uint8_t *codec_put_long_head(uint8_t *end, uint32_t number, uint64_t n); /* of any length */
static inline uint8_t *codec_put_head(uint8_t *end, uint32_t number, uint64_t n)
{
	if (number > 15 || n > 127)
		return codec_put_long_head(end, number, n);
	end[-1] = (uint8_t)n;
	end[-2] = (uint8_t)(number << 3 | 2);
	return end - 2;
}
/*
 * Unpack into `out`, a struct of m, which is all written. Arrays and texts lie in `memory`, bytes in
 * `data`. An array of no elements is NULL.
 *
 * -EPROTO  malformed, out of limits, or more than the memory holds; `out` is void then
 */
_must_use_ int codec_unpack(const struct codec_message *m, const uint8_t *data, size_t n,
	struct bump *memory, void *out);

#endif
