/* session_memory.c: nghttp2's allocator. Stateless; any thread. */
#include "http2/session_memory.h"

#include <stdlib.h>

static void *on_malloc(size_t n, void *data)
{
	return malloc(n);
}

static void on_free(void *p, void *data)
{
	free(p);
}

static void *on_calloc(size_t n, size_t size, void *data)
{
	return calloc(n, size);
}

/* nghttp2 1.52 goes on with a freed frame where its queue of streams with data cannot grow: better no
 * daemon than that. So this one cannot fail, and tests do not let it (it is not called realloc). */
static void *on_realloc(void *p, size_t n, void *data)
{
	void *moved = reallocarray(p, 1, n);

	if (!moved && n > 0)
		abort();
	return moved;
}

nghttp2_mem session_memory = {NULL, on_malloc, on_free, on_calloc, on_realloc};
