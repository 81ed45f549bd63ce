/*
 * message_memory.c: a block in the struct, then chunks of the heap, all given back at once.
 *
 * Invariant: `bump` cuts from the newest chunk, or from `first` while there is none.
 * Daemon process, loop thread.
 */
#include "grpc/message_memory.h"

#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES 16384u

struct chunk {
	struct chunk *next;
	_Alignas(max_align_t) uint8_t data[];
};

static void *on_alloc(void *data, size_t n)
{
	return message_memory_alloc(data, n);
}

static void on_free(void *data, void *p)
{
	(void)data;
	(void)p;
}

void message_memory_init(struct message_memory *m, size_t max_bytes)
{
	m->allocator = (ProtobufCAllocator){
		.alloc = on_alloc,
		.free = on_free,
		.allocator_data = m,
	};
	bump_init(&m->bump, m->first, sizeof(m->first));
	m->chunks = NULL;
	m->left = max_bytes;
	m->exceeded = false;
	m->out_of_memory = false;
}

void message_memory_deinit(struct message_memory *m)
{
	unpoison(m->first, sizeof(m->first));
	while (m->chunks) {
		struct chunk *next = m->chunks->next;

		free(m->chunks);
		m->chunks = next;
	}
}

/* A chunk with room for n bytes becomes the newest. */
static bool add_chunk(struct message_memory *m, size_t n)
{
	size_t size = n > CHUNK_BYTES ? n : CHUNK_BYTES;
	struct chunk *chunk;

	if (size > m->left)
		size = n;
	if (size > m->left || size > SIZE_MAX - sizeof(*chunk)) {
		m->exceeded = true;
		return false;
	}
	chunk = malloc(sizeof(*chunk) + size);
	if (!chunk) {
		m->out_of_memory = true;
		return false;
	}
	chunk->next = m->chunks;
	m->chunks = chunk;
	m->left -= size;
	bump_init(&m->bump, chunk->data, size);
	return true;
}

void *message_memory_alloc(struct message_memory *m, size_t n)
{
	void *p = bump_take(&m->bump, n, _Alignof(max_align_t));

	if (!p && add_chunk(m, n))
		p = bump_take(&m->bump, n, _Alignof(max_align_t));
	return p;
}

void *message_memory_calloc(struct message_memory *m, size_t n, size_t size)
{
	void *p;

	if (size > 0 && n > SIZE_MAX / size) {
		m->exceeded = true;
		return NULL;
	}
	p = message_memory_alloc(m, n * size);
	if (p)
		memset(p, 0, n * size);
	return p;
}
