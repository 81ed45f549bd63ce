/*
 * scratch.c: one block, grown when a run needs more, cut into pieces from its front. Worker
 * process, its one thread.
 */
#include "workers/scratch.h"

#include <assert.h>
#include <errno.h>

/* A larger block is not kept for the next run. */
#define SCRATCH_KEEP_MAX (UINT64_C(64) << 20)

void scratch_deinit(struct scratch *s)
{
	free(s->memory);
	s->memory = NULL;
	s->size = 0;
	s->used = 0;
}

uint64_t scratch_bytes(uint64_t length)
{
	if (length > UINT64_MAX - SCRATCH_ALIGN)
		return UINT64_MAX;
	return (length + SCRATCH_ALIGN - 1) & ~(uint64_t)(SCRATCH_ALIGN - 1);
}

int scratch_begin(struct scratch *s, uint64_t bytes)
{
	uint64_t size = s->size * 2;

	s->used = 0;
	if (bytes <= s->size)
		return 0;
	if (bytes > s->max || bytes > SIZE_MAX - SCRATCH_ALIGN)
		return SCRATCH_E_LIMIT;
	if (size < bytes || size > SCRATCH_KEEP_MAX || size > s->max)
		size = bytes;
	scratch_deinit(s);
	s->memory = malloc(size + SCRATCH_ALIGN);
	if (!s->memory)
		return -ENOMEM;
	s->size = size;
	return 0;
}

void *scratch_take(struct scratch *s, uint64_t length)
{
	uintptr_t start =
		((uintptr_t)s->memory + SCRATCH_ALIGN - 1) & ~(uintptr_t)(SCRATCH_ALIGN - 1);
	void *piece = (void *)(start + s->used);

	assert(scratch_bytes(length) <= s->size - s->used);
	s->used += scratch_bytes(length);
	return piece;
}

void scratch_end(struct scratch *s)
{
	s->used = 0;
	if (s->size > SCRATCH_KEEP_MAX)
		scratch_deinit(s);
}
