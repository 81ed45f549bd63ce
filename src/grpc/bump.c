/*
 * bump.c: memory that is cut piece by piece and given back at once.
 *
 * Invariants: at <= end, both in the newest chunk (or in `first`), `at` aligned for anything.
 * Daemon process, loop thread.
 */
#include "grpc/bump.h"

#include <stdlib.h>
#include <string.h>

#define BUMP_CHUNK_BYTES 16384u
#define BUMP_ALIGN	 _Alignof(max_align_t)

struct bump_chunk {
	struct bump_chunk *next;
	_Alignas(max_align_t) uint8_t data[];
};

static void *on_alloc(void *data, size_t n)
{
	return bump_alloc(data, n);
}

static void on_free(void *data, void *p)
{
	(void)data;
	(void)p;
}

void bump_init(struct bump *b, size_t max_bytes)
{
	b->allocator = (ProtobufCAllocator){
		.alloc = on_alloc,
		.free = on_free,
		.allocator_data = b,
	};
	b->at = b->first;
	b->end = b->first + sizeof(b->first);
	b->chunks = NULL;
	b->left = max_bytes;
	b->exceeded = false;
	b->out_of_memory = false;
}

void bump_deinit(struct bump *b)
{
	while (b->chunks) {
		struct bump_chunk *next = b->chunks->next;

		free(b->chunks);
		b->chunks = next;
	}
}

/* A chunk with room for n bytes (a multiple of the alignment) becomes the newest. */
static bool add_chunk(struct bump *b, size_t n)
{
	size_t size = n > BUMP_CHUNK_BYTES ? n : BUMP_CHUNK_BYTES;
	struct bump_chunk *chunk;

	if (size > b->left)
		size = n;
	if (size > b->left) {
		b->exceeded = true;
		return false;
	}
	chunk = malloc(sizeof(*chunk) + size);
	if (!chunk) {
		b->out_of_memory = true;
		return false;
	}
	chunk->next = b->chunks;
	b->chunks = chunk;
	b->left -= size;
	b->at = chunk->data;
	b->end = chunk->data + size;
	return true;
}

void *bump_alloc(struct bump *b, size_t n)
{
	size_t size = (n + BUMP_ALIGN - 1) & ~(size_t)(BUMP_ALIGN - 1);
	void *p;

	if (size < n) {
		b->exceeded = true;
		return NULL;
	}
	if (size > (size_t)(b->end - b->at) && !add_chunk(b, size))
		return NULL;
	p = b->at;
	b->at += size;
	return p;
}

void *bump_calloc(struct bump *b, size_t n, size_t size)
{
	void *p;

	if (size > 0 && n > SIZE_MAX / size) {
		b->exceeded = true;
		return NULL;
	}
	p = bump_alloc(b, n * size);
	if (p)
		memset(p, 0, n * size);
	return p;
}
