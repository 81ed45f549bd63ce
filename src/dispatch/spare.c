/* spare.c: blocks kept for reuse, last in first out: what was used last is in the cache. */
#include "dispatch/spare.h"

#include <stdlib.h>

void *spare_take(struct spare *s)
{
	void **block = s->first;

	if (!block)
		return NULL;
	s->first = *block;
	s->n--;
	return block;
}

void spare_give(struct spare *s, void *block, uint32_t max)
{
	if (s->n >= max) {
		free(block);
		return;
	}
	*(void **)block = s->first;
	s->first = block;
	s->n++;
}

void spare_clear(struct spare *s)
{
	void *block;

	while ((block = spare_take(s)))
		free(block);
}
