/*
 * span.c: slices. Stateless; any process, any thread.
 */
#include "shm/span.h"

#include <assert.h>

struct span span_slice(struct span s, uint64_t from, uint64_t length)
{
	assert(from <= s.length && length <= s.length - from);
	s.offset += from;
	s.length = length;
	return s;
}
