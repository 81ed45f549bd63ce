/* session_memory.c: nghttp2's allocator: ahead of each piece stands how long it is. Daemon process, loop thread. */
#include "http2/session_memory.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Above it malloc() wastes less than lists of powers of two would; nothing that a request takes is. */
#define LISTED_MAX ((size_t)512)

/* Ahead of each piece, aligned as whatever nghttp2 puts behind it wants. */
struct head {
	alignas(max_align_t) size_t n; /* with the head */
};

static void *on_malloc(size_t n, void *blocks)
{
	struct head *head;

	if (__builtin_add_overflow(n, sizeof(*head), &n))
		return NULL;
	head = n <= LISTED_MAX ? blocks_take(blocks, n) : malloc(n);
	if (!head)
		return NULL;
	head->n = n;
	return head + 1;
}

static void on_free(void *p, void *blocks)
{
	struct head *head = p;

	if (!p)
		return;
	head--;
	if (head->n <= LISTED_MAX)
		blocks_give(blocks, head, head->n);
	else
		free(head);
}

static void *on_calloc(size_t count, size_t size, void *blocks)
{
	void *p;
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		return NULL;
	p = on_malloc(n, blocks);
	if (p)
		memset(p, 0, n);
	return p;
}

/* nghttp2 1.52 goes on with a freed frame where its queue of streams with data cannot grow: better no
 * daemon than that. So this one cannot fail, and tests do not let it (it does not call malloc()). What
 * grows is as long as what is not listed, whatever was asked for: no list may get it. */
static void *on_realloc(void *p, size_t n, void *blocks)
{
	struct head *old = p ? (struct head *)p - 1 : NULL;
	bool listed = old && old->n <= LISTED_MAX;
	size_t wanted = n > LISTED_MAX ? n : LISTED_MAX;
	struct head *head = NULL;

	if (!__builtin_add_overflow(wanted, sizeof(*head), &wanted))
		head = reallocarray(listed ? NULL : old, 1, wanted);
	if (!head)
		abort();
	if (listed) {
		memcpy(head + 1, p, old->n - sizeof(*old));
		on_free(p, blocks);
	}
	head->n = wanted;
	return head + 1;
}

nghttp2_mem session_memory(struct blocks *blocks)
{
	return (nghttp2_mem){blocks, on_malloc, on_free, on_calloc, on_realloc};
}
