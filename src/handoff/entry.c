/*
 * entry.c: registered regions.
 *
 * Tokens are random, so guessing one is hopeless; they are compared without leaving early, and an
 * unknown one costs what a known one does. Numbers are short names for the fast path, valid on one
 * connection.
 *
 * Invariant: an entry lives from entry_new() until dispatch's on_gone; registered means that it is in
 * both tables, in its guest's list, and holds its region. Daemon process, loop thread.
 */
#include "handoff/entry.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "dispatch/dispatch.h"
#include "dispatch/region.h"
#include "handoff/guest.h"
#include "handoff/lent.h"
#include "pool/pool.h"

void entry_table_init(struct entry_table *t)
{
	for (size_t i = 0; i < ENTRY_BUCKETS; i++) {
		list_init(&t->by_token[i]);
		list_init(&t->by_number[i]);
	}
	t->n = 0;
}

void entry_table_deinit(struct entry_table *t)
{
	assert(t->n == 0);
}

static struct list *token_bucket(struct entry_table *t, const uint8_t *token)
{
	uint32_t hash;

	memcpy(&hash, token, sizeof(hash));
	return &t->by_token[hash % ENTRY_BUCKETS];
}

static struct list *number_bucket(struct entry_table *t, const struct guest *p, uint64_t number)
{
	return &t->by_number[(p->id * 31 + number) % ENTRY_BUCKETS];
}

static void refund(struct user *u, uint64_t bytes, bool on_device)
{
	if (on_device)
		user_refund_device(u, bytes);
	else
		user_refund(u, bytes);
}

static void on_gone(void *data, int fd)
{
	struct entry *e = data;

	assert(!e->region);
	e->table->n--;
	if (e->lent) {
		lent_give_back(e->lent, fd);
	} else {
		pool_dispose(dispatch_pool(e->dispatch), fd);
		refund(e->user, e->bytes, e->on_device);
	}
	free(e);
}

static int fill(struct entry *e, struct dispatch *d, const struct entry_options *o, int fd)
{
	ssize_t n = getrandom(e->token, sizeof(e->token), 0);

	if (n != (ssize_t)sizeof(e->token)) {
		close_fd(&fd);
		return n < 0 ? -errno : -EIO;
	}
	if (o->device)
		return region_new_exported(&e->region, dispatch_regions(d), o->device, fd, o->size,
			o->writable, on_gone, e);
	return region_new(&e->region, dispatch_regions(d), fd, o->size, o->writable, on_gone, e);
}

static void drop(struct held *held)
{
	entry_unregister(container_of(held, struct entry, held));
}

int entry_new(struct entry **ret_entry, struct entry_table *t, struct dispatch *d, struct guest *p,
	const struct entry_options *options)
{
	_cleanup_(close_fd) int fd = options->fd;
	_cleanup_(freep) struct entry *e = calloc(1, sizeof(*e));
	int r = e ? fill(e, d, options, steal_fd(&fd)) : -ENOMEM;

	if (r) {
		lent_free(options->lent);
		refund(options->user, options->size, options->device != NULL);
		return r;
	}
	e->table = t;
	e->dispatch = d;
	e->lent = options->lent;
	e->guest = p;
	e->user = options->user;
	e->bytes = options->size;
	e->on_device = options->device != NULL;
	e->identity = options->identity;
	e->number = ++p->last_number;
	list_push_back(token_bucket(t, e->token), &e->by_token);
	list_push_back(number_bucket(t, p, e->number), &e->by_number);
	e->held.drop = drop;
	list_push_back(&p->entries, &e->held.node);
	t->n++;
	*ret_entry = steal_ptr(e);
	return 0;
}

void entry_unregister(struct entry *e)
{
	list_remove(&e->by_token);
	list_remove(&e->by_number);
	list_remove(&e->held.node);
	e->guest = NULL;
	region_unref(steal_ptr(e->region));
}

struct handoff_registered entry_registered(const struct entry *e)
{
	return (struct handoff_registered){
		.token = e->token,
		.n_token = HANDOFF_TOKEN_BYTES,
		.number = e->number,
		.size = e->bytes,
	};
}

static bool same_token(const uint8_t *a, const uint8_t *b)
{
	unsigned differ = 0;

	for (size_t i = 0; i < HANDOFF_TOKEN_BYTES; i++)
		differ |= a[i] ^ b[i];
	return differ == 0;
}

struct entry *entry_find(struct entry_table *t, const uint8_t token[HANDOFF_TOKEN_BYTES])
{
	list_for_each (token_bucket(t, token), node) {
		struct entry *e = list_entry(node, struct entry, by_token);

		if (same_token(e->token, token))
			return e;
	}
	return NULL;
}

struct entry *entry_find_number(struct entry_table *t, const struct guest *p, uint64_t number)
{
	list_for_each (number_bucket(t, p, number), node) {
		struct entry *e = list_entry(node, struct entry, by_number);

		if (e->guest == p && e->number == number)
			return e;
	}
	return NULL;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int entry_parse_token(const char *text, uint8_t ret_token[HANDOFF_TOKEN_BYTES])
{
	uint8_t token[HANDOFF_TOKEN_BYTES];

	if (strnlen(text, 2 * sizeof(token) + 1) != 2 * sizeof(token))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(token); i++) {
		int high = digit(text[2 * i]);
		int low = digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		token[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(ret_token, token, sizeof(token));
	return 0;
}
