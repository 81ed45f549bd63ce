/*
 * log_ring.c: lines one behind the other, each behind a head, in a buffer that is gone round. A line may be in two parts:
 * at the end and at the beginning. Invariant: what is from `first` on for `used` bytes is whole lines. Any thread.
 */
#include "base/log_ring.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 4096u

struct head {
	uint64_t time_ns;
	uint32_t level;
	uint32_t n;
};

struct log_ring {
	pthread_mutex_t lock;
	uint64_t last; /* the number of the newest line */
	uint64_t n;    /* lines */
	size_t size, first, used;
	char data[];
};

int log_ring_new(struct log_ring **ret_ring, size_t bytes)
{
	struct log_ring *r = calloc(1, sizeof(*r) + bytes);

	if (!r)
		return -ENOMEM;
	(void)pthread_mutex_init(&r->lock, NULL);
	r->size = bytes;
	*ret_ring = r;
	return 0;
}

struct log_ring *log_ring_free(struct log_ring *r)
{
	if (r)
		(void)pthread_mutex_destroy(&r->lock);
	free(r);
	return NULL;
}

static void copy_in(struct log_ring *r, const void *from, size_t n)
{
	size_t at = (r->first + r->used) % r->size;
	size_t part = n < r->size - at ? n : r->size - at;

	memcpy(r->data + at, from, part);
	memcpy(r->data, (const char *)from + part, n - part);
	r->used += n;
}

/* offset: behind the oldest line's beginning. */
static void copy_out(const struct log_ring *r, size_t offset, void *to, size_t n)
{
	size_t at = (r->first + offset) % r->size;
	size_t part = n < r->size - at ? n : r->size - at;

	memcpy(to, r->data + at, part);
	memcpy((char *)to + part, r->data, n - part);
}

static void drop_oldest(struct log_ring *r)
{
	struct head h;

	copy_out(r, 0, &h, sizeof(h));
	r->first = (r->first + sizeof(h) + h.n) % r->size;
	r->used -= sizeof(h) + h.n;
	r->n--;
}

void log_ring_add(void *ring, enum log_level level, uint64_t time_ns, const char *text, size_t n)
{
	struct log_ring *r = ring;
	struct head h = {.time_ns = time_ns, .level = (uint32_t)level};

	h.n = (uint32_t)(n < LINE_MAX_BYTES - 1 ? n : LINE_MAX_BYTES - 1);
	if (sizeof(h) + h.n > r->size)
		return;
	(void)pthread_mutex_lock(&r->lock);
	while (r->size - r->used < sizeof(h) + h.n)
		drop_oldest(r);
	copy_in(r, &h, sizeof(h));
	copy_in(r, text, h.n);
	r->n++;
	r->last++;
	(void)pthread_mutex_unlock(&r->lock);
}

void log_ring_each(struct log_ring *r, uint64_t after, log_ring_fn fn, void *data)
{
	char text[LINE_MAX_BYTES];
	size_t offset = 0;
	struct head h;
	bool more = true;

	(void)pthread_mutex_lock(&r->lock);
	for (uint64_t i = 0; i < r->n && more; i++) {
		const uint64_t number = r->last - r->n + 1 + i;

		copy_out(r, offset, &h, sizeof(h));
		if (number > after) {
			copy_out(r, offset + sizeof(h), text, h.n);
			text[h.n] = 0;
			more = fn(data, &(struct log_ring_line){.number = number,
						.time_ns = h.time_ns,
						.level = (enum log_level)h.level,
						.text = text,
						.n = h.n});
		}
		offset += sizeof(h) + h.n;
	}
	(void)pthread_mutex_unlock(&r->lock);
}

uint64_t log_ring_last(struct log_ring *r)
{
	uint64_t last;

	(void)pthread_mutex_lock(&r->lock);
	last = r->last;
	(void)pthread_mutex_unlock(&r->lock);
	return last;
}
