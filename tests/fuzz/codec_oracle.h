/*
 * codec_oracle.h: holds the codec against protobuf-c. Of the same bytes both make the same message, or
 * none; what the codec is stricter in is what codec.h says, and looked for here by other means. Shared
 * by the fuzzers and the unit tests.
 */
#ifndef TESTS_FUZZ_CODEC_ORACLE_H
#define TESTS_FUZZ_CODEC_ORACLE_H

#include <errno.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"

#define ORACLE_MEMORY ((size_t)16 << 20)

#define oracle_assert(condition)                                                                   \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

/* A varint of at most n_max bytes and of at most `bits` bits. */
static bool oracle_varint(
	const uint8_t **at, const uint8_t *end, unsigned n_max, unsigned bits, uint64_t *ret_v)
{
	__uint128_t v = 0;

	for (unsigned i = 0; i < n_max && *at < end; i++) {
		uint8_t byte = *(*at)++;

		v |= (__uint128_t)(byte & 0x7F) << (7 * i);
		if (byte & 0x80)
			continue;
		*ret_v = (uint64_t)v;
		return v >> bits == 0;
	}
	return false;
}

static bool oracle_strict(
	const ProtobufCMessageDescriptor *d, const uint8_t *at, const uint8_t *end, bool *doubles);

static unsigned oracle_bits(const ProtobufCFieldDescriptor *f)
{
	return f && f->type == PROTOBUF_C_TYPE_UINT32 ? 32 : 64;
}

static bool oracle_strict_part(
	const ProtobufCFieldDescriptor *f, const uint8_t *at, const uint8_t *end, bool *doubles)
{
	uint64_t v;

	if (!f)
		return true;
	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		return oracle_strict(f->descriptor, at, end, doubles);
	if (f->type == PROTOBUF_C_TYPE_STRING)
		return !memchr(at, '\0', (size_t)(end - at));
	if (f->type == PROTOBUF_C_TYPE_BYTES)
		return true;
	while (at < end) {
		if (!oracle_varint(&at, end, 10, oracle_bits(f), &v))
			return false;
	}
	return true;
}

/* Is it what the codec may take, but for the limits of a table? *doubles: a field that is no array
 * comes more than once; to protobuf-c the last one counts, to the codec all must be within limits. */
static bool oracle_strict(
	const ProtobufCMessageDescriptor *d, const uint8_t *at, const uint8_t *end, bool *doubles)
{
	uint64_t seen = 0;
	bool has_body = false;

	while (at < end) {
		const ProtobufCFieldDescriptor *f;
		uint64_t tag, v;

		if (!oracle_varint(&at, end, 5, 32, &tag) || tag >> 3 == 0)
			return false;
		f = protobuf_c_message_descriptor_get_field(d, (unsigned)(tag >> 3));
		/* protobuf-c looks at the wire type of all but these. */
		if (f && f->type == PROTOBUF_C_TYPE_BOOL && (tag & 7) != 0)
			return false;
		if (f && f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
			if (has_body)
				return false;
			has_body = true;
		}
		if (f && f->label != PROTOBUF_C_LABEL_REPEATED) {
			*doubles |= seen >> f->id & 1;
			seen |= UINT64_C(1) << f->id;
		}
		switch (tag & 7) {
		case 0:
			if (!oracle_varint(&at, end, 10, oracle_bits(f), &v))
				return false;
			break;
		case 2:
			if (!oracle_varint(&at, end, 5, 32, &v) || v > (size_t)(end - at) ||
				!oracle_strict_part(f, at, at + v, doubles))
				return false;
			at += v;
			break;
		case 1:
		case 5:
			v = (tag & 7) == 1 ? 8 : 4;
			if (v > (size_t)(end - at))
				return false;
			at += v;
			break;
		default:
			return false;
		}
	}
	return true;
}

/* The codec does not keep them. */
static void oracle_drop_unknown(ProtobufCMessage *m)
{
	for (unsigned i = 0; i < m->n_unknown_fields; i++)
		free(m->unknown_fields[i].data);
	m->n_unknown_fields = 0;
	for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
		const uint8_t *at = (const uint8_t *)m + f->offset;
		const uint8_t *count = (const uint8_t *)m + f->quantifier_offset;

		if (f->type != PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			for (size_t k = 0; k < *(const size_t *)(const void *)count; k++)
				oracle_drop_unknown(
					(*(ProtobufCMessage ***)(void *)(uintptr_t)at)[k]);
		} else if (!(f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) ||
			   *(const uint32_t *)(const void *)count == f->id) {
			oracle_drop_unknown(*(ProtobufCMessage **)(void *)(uintptr_t)at);
		}
	}
}

/* Exact, on the heap, so that a sanitizer sees a look behind the end. */
static uint8_t *oracle_copy(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	oracle_assert(copy);
	if (n > 0)
		memcpy(copy, data, n);
	return copy;
}

static bool oracle_take(const struct codec_message *table, const uint8_t *data, size_t n, void *out)
{
	static uint8_t *memory;
	static struct bump pieces;
	int r;

	if (!memory) {
		memory = malloc(ORACLE_MEMORY);
		oracle_assert(memory);
		bump_init(&pieces, memory, ORACLE_MEMORY);
	}
	bump_reset(&pieces);
	r = codec_unpack(table, data, n, &pieces, out);
	oracle_assert(r == 0 || r == -EPROTO);
	return r == 0;
}

/* What the codec took is what protobuf-c packs. */
static void oracle_same(
	const struct codec_message *table, const void *taken, const uint8_t *want, size_t n)
{
	uint8_t *packed = malloc(n ? n : 1), *at;

	oracle_assert(packed);
	oracle_assert(codec_pack(table, taken, packed, n, &at) == 0 && at == packed);
	oracle_assert(n == 0 || memcmp(packed, want, n) == 0);
	oracle_assert(n == 0 || codec_pack(table, taken, packed, n - 1, &at) == -EMSGSIZE);
	free(packed);
}

/* Returns whether it was taken. */
static bool oracle_check(const struct codec_message *table, const ProtobufCMessageDescriptor *d,
	const uint8_t *data, size_t n)
{
	ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, n, data);
	uint8_t *copy = oracle_copy(data, n), *canonical;
	_Alignas(max_align_t) uint8_t out[1024];
	bool is_taken, doubles = false;
	size_t n_canonical;

	oracle_assert(table->size <= sizeof(out));
	is_taken = oracle_take(table, copy, n, out);
	if (!m || !oracle_strict(d, data, data + n, &doubles)) {
		oracle_assert(!is_taken);
		protobuf_c_message_free_unpacked(m, NULL);
		free(copy);
		return false;
	}
	oracle_drop_unknown(m);
	n_canonical = protobuf_c_message_get_packed_size(m);
	canonical = malloc(n_canonical ? n_canonical : 1);
	oracle_assert(canonical && protobuf_c_message_pack(m, canonical) == n_canonical);
	protobuf_c_message_free_unpacked(m, NULL);
	if (is_taken)
		oracle_same(table, out, canonical, n_canonical);
	/* The form is none of the reasons to take it or not. */
	if (is_taken || !doubles)
		oracle_assert(oracle_take(table, canonical, n_canonical, out) == is_taken);
	free(canonical);
	free(copy);
	return is_taken;
}

#endif
