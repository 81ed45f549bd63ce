/*
 * scanner.h: reads one protobuf request message as its bytes come in and parts it: the bytes of one
 * field, the tensor data, go straight into memory that a callback provides; everything else is
 * kept, so that protobuf-c can unpack it as if the tensor data had been empty.
 *
 * Where the tensor data is, a constant table says; the scanner knows no message type. It is driven
 * by bytes: the chunks may end anywhere. What it keeps is bounded in bytes and in fields.
 *
 * The result is what protobuf-c makes of the whole message, with these rules for a field that
 * occurs more than once:
 *   - tensor data in one message, not `repeated`: the last one counts (the callback is called
 *     again and forgets the piece before), as protobuf says;
 *   - `repeated` tensor data: each is a piece of its own;
 *   - the message around the tensor data: refused (SCANNER_E_REPEATED), because parsers differ:
 *     some merge the two, some take the last.
 */
#ifndef SERVICES_SCANNER_H
#define SERVICES_SCANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Where the tensor data of a message type is. */
struct scanner_table {
	const char *name;	/* of the message type, for texts */
	const char *outer_name; /* likewise, of the field around the tensor data */
	uint32_t outer;		/* field number of the message around it; 0: it is at the top */
	uint32_t tensor;	/* field number of the bytes field */
	bool repeated;
	uint32_t
		announcing; /* repeated: field number of which one describes each piece, usually ahead
				of them; 0: none */
	uint32_t max_pieces; /* repeated: more are of no use */
	uint32_t max_fields; /* at the top and in `outer`, together */
};

enum {
	SCANNER_E_BLOCKED = 1, /* only from the callback and scanner_feed(): no memory now */
	SCANNER_E_MALFORMED,   /* no protobuf */
	SCANNER_E_REPEATED,    /* table->outer came twice */
	SCANNER_E_FIELDS,      /* more than table->max_fields */
	SCANNER_E_METADATA,    /* more than max_kept bytes besides tensor data */
};

/*
 * A piece of tensor data of `length` bytes follows: give memory for it (not asked for when length
 * is 0). SCANNER_E_BLOCKED: it is asked again by the next scanner_feed(). Any negative value is
 * returned by scanner_feed(). Must not change the scanner.
 */
typedef int (*scanner_tensor_fn)(void *data, uint64_t length, uint8_t **ret_target);

#define SCANNER_INLINE_BYTES 256u /* kept without a malloc() */
#define SCANNER_HEAD_MAX     10u  /* a tag and a length */

struct scanner {
	const struct scanner_table *table; /* borrow */
	scanner_tensor_fn on_tensor;
	void *data; /* borrow */
	size_t max_kept;

	uint8_t state;
	uint8_t depth; /* 1: in table->outer */
	bool outer_seen;
	uint8_t n_head;	  /* bytes of the field's tag and length so far */
	uint8_t n_varint; /* of the varint that is being read */
	uint8_t head[SCANNER_HEAD_MAX];
	uint32_t field;
	uint32_t n_fields;
	uint32_t n_announced; /* fields table->announcing so far */
	uint64_t value;	      /* of the varint that is being read */
	uint64_t todo;	      /* bytes of the field still to come */
	uint64_t left[2];     /* bytes of the message, and of the inner message, still to come */
	uint8_t *target;      /* borrow: where the next tensor byte goes */
	bool large;	      /* this tensor goes past the caches */
	bool length_known;

	uint64_t tensor_bytes; /* of tensor data that came */
	uint64_t copied_bytes; /* copied to where the callback said */

	uint8_t *kept; /* own, unless it is `first` */
	size_t n_kept;
	size_t cap;
	size_t outer_at; /* in kept: the length of table->outer, set when it ends */
	uint8_t first[SCANNER_INLINE_BYTES];
};

/* table and data are borrowed until scanner_deinit(). max_kept: bytes. The struct must not move. */
void scanner_init(struct scanner *s, const struct scanner_table *table, size_t max_kept,
	scanner_tensor_fn on_tensor, void *data);
/* Accepts a zeroed scanner. */
void scanner_deinit(struct scanner *s);
/* A message of `length` bytes follows; UINT64_MAX: not known. Forgets the one before. */
void scanner_begin(struct scanner *s, uint64_t length);
/*
 * Take the next n bytes. *ret_taken is always set; less than n: SCANNER_E_BLOCKED, go on with the
 * rest, or another error, after which the message is lost. -ENOMEM, any SCANNER_E_, what the
 * callback returned
 */
_must_use_ int scanner_feed(struct scanner *s, const uint8_t *data, size_t n, size_t *ret_taken);
/* Bytes of memory that it has got for what it keeps. */
static inline size_t scanner_memory(const struct scanner *s)
{
	return s->kept == s->first ? 0 : s->cap;
}
/* Bytes of the message behind those that were taken; UINT64_MAX: its length is not known. */
uint64_t scanner_left(const struct scanner *s);
/* How many pieces of tensor data the message has at most, the one that is asked for included, when n
 * came before: as many as were announced, where any were. */
uint32_t scanner_pieces_left(const struct scanner *s, size_t n);
/* The text or bytes in field 1 (to 15) of the message, if it is what the message began with, as it is where a serializer writes
 * fields in order, and is there wholly: *ret_n bytes, no NUL, borrowed until scanner_feed(). NULL: not. */
const char *scanner_first_text(const struct scanner *s, uint32_t field, size_t *ret_n);
/* All bytes came: what was kept, borrowed until scanner_begin(). SCANNER_E_MALFORMED: cut short */
_must_use_ int scanner_end(struct scanner *s, const uint8_t **ret_kept, size_t *ret_n);

#endif
