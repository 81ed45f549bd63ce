/*
 * pinned.c: an array in the order of addresses, under a lock: lanes ask while the loop adds. There
 * are few mappings, and on a host none are kept.
 */
#include "workers/pinned.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "base/log.h"

struct piece {
	char *data; /* borrow */
	uint64_t bytes;
};

struct pinned {
	struct device *device; /* borrow */
	pthread_rwlock_t lock;
	struct piece *pieces; /* own; by address, not overlapping */
	size_t n, cap;
	bool said; /* that something is staged */
};

int pinned_new(struct pinned **ret_pinned, struct device *d)
{
	struct pinned *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	r = -pthread_rwlock_init(&p->lock, NULL);
	if (r) {
		free(p);
		return r;
	}
	p->device = d;
	*ret_pinned = p;
	return 0;
}

struct pinned *pinned_free(struct pinned *p)
{
	if (!p)
		return NULL;
	/* Where the context is lost, the process is about to end anyway. */
	for (size_t i = 0; i < p->n; i++)
		(void)!device_unregister(p->device, p->pieces[i].data);
	pthread_rwlock_destroy(&p->lock);
	free(p->pieces);
	free(p);
	return NULL;
}

/* The first piece that ends above data. */
static size_t find(const struct pinned *p, const void *data)
{
	size_t low = 0, high = p->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->pieces[middle].data + p->pieces[middle].bytes > (const char *)data)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int insert(struct pinned *p, void *data, uint64_t bytes)
{
	size_t at = find(p, data);

	assert(at == p->n || (char *)data + bytes <= p->pieces[at].data);
	if (p->n == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 16;
		struct piece *pieces = realloc(p->pieces, cap * sizeof(*pieces));

		if (!pieces)
			return -ENOMEM;
		p->pieces = pieces;
		p->cap = cap;
	}
	memmove(&p->pieces[at + 1], &p->pieces[at], (p->n - at) * sizeof(*p->pieces));
	p->pieces[at] = (struct piece){data, bytes};
	p->n++;
	return 0;
}

static void say_staged(struct pinned *p, uint64_t bytes, int r)
{
	char text[DEVICE_TEXT_MAX];

	if (p->said)
		return;
	p->said = true;
	log_warning("memory cannot be registered with the device: copies to and from it are staged",
		"device=\"%s\" bytes=%" PRIu64 " reason=\"%s\"", p->device->info.name, bytes,
		device_explain(p->device, r, text, sizeof(text)));
}

int pinned_add(struct pinned *p, void *data, uint64_t bytes, enum device_access access)
{
	int r;

	if (device_is_host(p->device))
		return 0;
	r = device_register(p->device, data, bytes, access);
	if (device_fatal(r))
		return r;
	if (r) {
		say_staged(p, bytes, r);
		return 0;
	}
	pthread_rwlock_wrlock(&p->lock);
	r = insert(p, data, bytes);
	pthread_rwlock_unlock(&p->lock);
	if (r) {
		say_staged(p, bytes, r);
		r = device_unregister(p->device, data);
	}
	return device_fatal(r) ? r : 0;
}

void pinned_remove(struct pinned *p, const void *data)
{
	bool found;
	size_t at;

	pthread_rwlock_wrlock(&p->lock);
	at = find(p, data);
	found = at < p->n && p->pieces[at].data == data;
	if (found) {
		p->n--;
		memmove(&p->pieces[at], &p->pieces[at + 1], (p->n - at) * sizeof(*p->pieces));
	}
	pthread_rwlock_unlock(&p->lock);
	/* An error here is told by the next copy. */
	if (found)
		(void)!device_unregister(p->device, (void *)data);
}

bool pinned_has(struct pinned *p, const void *data, uint64_t bytes)
{
	const char *from = data;
	bool has;
	size_t at;

	if (device_is_host(p->device))
		return true;
	pthread_rwlock_rdlock(&p->lock);
	at = find(p, data);
	has = at < p->n && from >= p->pieces[at].data &&
	      bytes <= (uint64_t)(p->pieces[at].data + p->pieces[at].bytes - from);
	pthread_rwlock_unlock(&p->lock);
	return has;
}
