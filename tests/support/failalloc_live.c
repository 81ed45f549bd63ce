/*
 * failalloc_live.c: a hash of addresses, open addressing with a lock around all.
 *
 * Addresses are kept complemented: a leak checker must not find our blocks through this table.
 */
#include "tests/support/failalloc_live.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define SLOTS_MIN 1024

void *__real_calloc(size_t n, size_t size);
void __real_free(void *p);

struct slot {
	uintptr_t key; /* ~address; 0: free, since ~0 is no address */
	struct live_block block;
};

static struct {
	pthread_mutex_t lock;
	bool on;
	struct slot *slots;
	size_t n_slots; /* a power of two */
	size_t n;
} live = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t home(uintptr_t key)
{
	return (key >> 4) * 0x9e3779b97f4a7c15u >> 20 & (live.n_slots - 1);
}

/* The slot of `key`, or the free one that it would have. */
static struct slot *find(uintptr_t key)
{
	size_t i = home(key);

	while (live.slots[i].key && live.slots[i].key != key)
		i = (i + 1) & (live.n_slots - 1);
	return &live.slots[i];
}

static void resize(size_t n_slots)
{
	struct slot *old = live.slots;
	size_t n_old = live.n_slots;

	live.slots = __real_calloc(n_slots, sizeof(*live.slots));
	assert(live.slots);
	live.n_slots = n_slots;
	for (size_t i = 0; i < n_old; i++)
		if (old[i].key)
			*find(old[i].key) = old[i];
	__real_free(old);
}

void live_begin(void)
{
	pthread_mutex_lock(&live.lock);
	for (size_t i = 0; i < live.n_slots; i++)
		live.slots[i].key = 0;
	live.n = 0;
	live.on = true;
	if (!live.slots)
		resize(SLOTS_MIN);
	pthread_mutex_unlock(&live.lock);
}

static void set(bool on)
{
	pthread_mutex_lock(&live.lock);
	live.on = on;
	pthread_mutex_unlock(&live.lock);
}

void live_end(void)
{
	set(false);
}

void live_resume(void)
{
	set(true);
}

void live_add(const void *p, unsigned long ordinal, const void *caller)
{
	struct slot *s;

	if (!p)
		return;
	pthread_mutex_lock(&live.lock);
	if (live.on) {
		if (live.n * 2 >= live.n_slots)
			resize(live.n_slots * 2);
		s = find(~(uintptr_t)p);
		/* A block that a library freed for us can come again. */
		live.n += !s->key;
		*s = (struct slot){~(uintptr_t)p, {ordinal, caller}};
	}
	pthread_mutex_unlock(&live.lock);
}

/* Those behind a freed slot that would not be found any more move up. */
static void close_gap(size_t gap)
{
	size_t mask = live.n_slots - 1;

	for (size_t i = (gap + 1) & mask; live.slots[i].key; i = (i + 1) & mask) {
		if (((i - home(live.slots[i].key)) & mask) < ((i - gap) & mask))
			continue;
		live.slots[gap] = live.slots[i];
		gap = i;
	}
	live.slots[gap].key = 0;
}

void live_remove(const void *p)
{
	struct slot *s;

	if (!p)
		return;
	pthread_mutex_lock(&live.lock);
	/* Also behind live_end(): a thread may end later. */
	s = live.n_slots > 0 ? find(~(uintptr_t)p) : NULL;
	if (s && s->key) {
		close_gap((size_t)(s - live.slots));
		live.n--;
	}
	pthread_mutex_unlock(&live.lock);
}

size_t live_count(struct live_block *ret_first)
{
	const struct slot *first = NULL;
	size_t n;

	pthread_mutex_lock(&live.lock);
	for (size_t i = 0; i < live.n_slots; i++)
		if (live.slots[i].key &&
			(!first || live.slots[i].block.ordinal < first->block.ordinal))
			first = &live.slots[i];
	if (first)
		*ret_first = first->block;
	n = live.n;
	pthread_mutex_unlock(&live.lock);
	return n;
}
