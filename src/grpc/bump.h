/*
 * bump.h: memory for unpacking or packing one protobuf message: pieces are cut from a block that
 * lies in the struct (usually on the stack), then from chunks of the heap up to a maximum, and all
 * are given back together. What a peer's message can make us hold is thus bounded, whatever
 * protobuf-c makes of it.
 */
#ifndef GRPC_BUMP_H
#define GRPC_BUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/cleanup.h"

#define BUMP_FIRST_BYTES 4096u

struct bump_chunk;

struct bump {
	ProtobufCAllocator allocator; /* for protobuf-c: &b->allocator; its free does nothing */
	uint8_t *at;
	uint8_t *end;
	struct bump_chunk *chunks; /* own */
	size_t left;		   /* bytes that may still come from the heap */
	bool exceeded;		   /* something was refused for the maximum */
	bool out_of_memory;	   /* something was refused by malloc() */
	_Alignas(max_align_t) uint8_t first[BUMP_FIRST_BYTES];
};

/* Allocates nothing. max_bytes: of the heap. The struct must not move. */
void bump_init(struct bump *b, size_t max_bytes);
void bump_deinit(struct bump *b);
/* n bytes, aligned for anything, not cleared; valid until bump_deinit(). NULL: b says why. */
void *bump_alloc(struct bump *b, size_t n);
/* n elements of `size` bytes, zeroed. */
void *bump_calloc(struct bump *b, size_t n, size_t size);

#endif
