/*
 * message_memory.h: memory for unpacking or packing one protobuf message: pieces are cut from a block
 * that lies in the struct (usually on the stack), then from chunks of the heap up to a maximum, and all
 * are given back together. What a peer's message can make us hold is thus bounded, whatever
 * protobuf-c makes of it.
 */
#ifndef GRPC_MESSAGE_MEMORY_H
#define GRPC_MESSAGE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "base/bump.h"

#define MESSAGE_MEMORY_FIRST_BYTES 4096u

struct chunk;

struct message_memory {
	ProtobufCAllocator allocator; /* for protobuf-c: &m->allocator; its free does nothing */
	struct bump bump;	      /* of `first`, or of the newest chunk */
	struct chunk *chunks;	      /* own */
	size_t left;		      /* bytes that may still come from the heap */
	bool exceeded;		      /* something was refused for the maximum */
	bool out_of_memory;	      /* something was refused by malloc() */
	_Alignas(max_align_t) uint8_t first[MESSAGE_MEMORY_FIRST_BYTES];
};

/* Allocates nothing. max_bytes: of the heap. The struct must not move. */
void message_memory_init(struct message_memory *m, size_t max_bytes);
void message_memory_deinit(struct message_memory *m);
/* n bytes, aligned for anything, not cleared; valid until message_memory_deinit(). NULL: m says why. */
void *message_memory_alloc(struct message_memory *m, size_t n);
/* n elements of `size` bytes, zeroed. */
void *message_memory_calloc(struct message_memory *m, size_t n, size_t size);

#endif
