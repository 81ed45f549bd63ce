/*
 * scratch.c: one block, grown when a run needs more, cut into pieces from its front. Worker
 * process; one thread an object.
 */
#include "workers/scratch.h"

#include <assert.h>
#include <errno.h>

/* A larger block is not kept for the next run. */
#define SCRATCH_KEEP_MAX (UINT64_C(64) << 20)

void scratch_deinit(struct scratch *s)
{
	s->pieces = (struct bump){0};
	free(s->memory);
	s->memory = NULL;
	s->size = 0;
}

uint64_t scratch_bytes(uint64_t length)
{
	if (length > UINT64_MAX - SCRATCH_ALIGN)
		return UINT64_MAX;
	return (length + SCRATCH_ALIGN - 1) & ~(uint64_t)(SCRATCH_ALIGN - 1);
}

static int grow(struct scratch *s, uint64_t bytes)
{
	uint64_t size = s->size * 2;
	size_t gap;

	if (bytes > s->max || bytes > SIZE_MAX - SCRATCH_ALIGN)
		return SCRATCH_E_LIMIT;
	if (size < bytes || size > SCRATCH_KEEP_MAX || size > s->max)
		size = bytes;
	scratch_deinit(s);
	s->memory = malloc(size + SCRATCH_ALIGN);
	if (!s->memory)
		return -ENOMEM;
	s->size = size;
	gap = (0 - (uintptr_t)s->memory) & (SCRATCH_ALIGN - 1);
	bump_init(&s->pieces, (char *)s->memory + gap, size);
	return 0;
}

int scratch_begin(struct scratch *s, uint64_t bytes)
{
	int r = bytes > s->size ? grow(s, bytes) : 0;

	if (!r)
		bump_reset(&s->pieces);
	return r;
}

void *scratch_take(struct scratch *s, uint64_t length)
{
	void *piece = bump_take(&s->pieces, length, SCRATCH_ALIGN);

	assert(piece || length == 0);
	return piece;
}

void scratch_end(struct scratch *s)
{
	if (s->size > SCRATCH_KEEP_MAX)
		scratch_deinit(s);
	else
		bump_reset(&s->pieces);
}
