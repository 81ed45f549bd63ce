/*
 * failalloc_live.h: the blocks that our objects allocated and did not free yet.
 *
 * Counted by address: a block that a library allocated is none of ours, whoever frees it, and one of
 * ours that a library frees stays in the count (give the library our free(); see failalloc.h).
 * Any thread.
 */
#ifndef TESTS_SUPPORT_FAILALLOC_LIVE_H
#define TESTS_SUPPORT_FAILALLOC_LIVE_H

#include <stddef.h>

/* Forget what was counted, count from now on; each block remembers `ordinal`, of the call that made
 * it, and where that call came from. Until live_end(), which may be called again; live_resume()
 * counts on from there. */
void live_begin(void);
void live_end(void);
void live_resume(void);

/* A block came (p may be NULL: none did), a block goes. */
void live_add(const void *p, unsigned long ordinal, const void *caller);
void live_remove(const void *p);

/* A block that is left. */
struct live_block {
	unsigned long ordinal;
	const void *caller;
};

/* How many blocks are left; the first made of them, where there are any. */
size_t live_count(struct live_block *ret_first);

#endif
