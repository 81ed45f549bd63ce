/* codec_private.h: what codec*.c and wire.c share. Nobody else includes it. */
#ifndef PROTO_CODEC_PRIVATE_H
#define PROTO_CODEC_PRIVATE_H

#include "proto/codec.h"
#include "proto/field.h"

/* So that what is usual does not save registers for what is not. */
#define NOINLINE __attribute__((noinline))

static inline size_t varint_size(uint64_t v)
{
	/* A byte each 7 bits: up to 64 of them, 9/64 is as good as 1/7. */
	return ((size_t)(63 - __builtin_clzll(v | 1)) * 9 + 73) / 64;
}

/* Right for signed limits, too: then min is the larger one. */
static inline bool in_range(const struct codec_field *f, uint64_t v)
{
	return v - f->min <= f->max - f->min;
}

/* The number of the field of the oneof that is there. */
static inline uint32_t *body_number(const struct codec_message *m, const void *in)
{
	return (uint32_t *)(void *)((uint8_t *)in + m->body_offset);
}

static inline uint64_t load_number(size_t size, const void *from)
{
	if (size == sizeof(uint64_t))
		return *(const uint64_t *)from;
	return size == sizeof(uint32_t) ? *(const uint32_t *)from : *(const bool *)from;
}

static inline size_t load_count(const struct codec_field *f, const uint8_t *in)
{
	return load_number(f->count_size, in + f->count_offset);
}

#endif
