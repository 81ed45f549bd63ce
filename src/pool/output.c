/*
 * output.c: mapped output arenas and the leases on them.
 *
 * Two kinds of owners keep an arena mapped: its process, until reaped, and each lease. A lease that
 * nobody holds any more is kept on output.released until the worker was told, then on the desk's
 * spare list; so neither giving back nor, in the steady state, taking one allocates.
 *
 * Telling costs a wake-up of its own unless something else is said anyway, so it waits for that
 * (output_tell()), but not when much has gathered: then the output is on desk.overdue.
 *
 * Daemon process, loop thread.
 */
#include "pool/output.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "shm/view.h"

#define OUTPUT_SPARE_MAX 1024u
/* So many released batches, or such a part of the arena, are overdue. */
#define OUTPUT_HELD_MAX	  256u
#define OUTPUT_HELD_SHARE 16u

struct output {
	uint32_t refs;		  /* the process, and one a lease */
	struct output_desk *desk; /* borrow */
	struct worker *worker;	  /* borrow; NULL: muted */
	struct view *view;	  /* own */
	struct list released;	  /* struct output_lease.node; empty when muted */
	uint32_t n_released;
	uint64_t released_bytes;
	struct list node; /* in desk.overdue when too much is in released */
};

struct output_lease {
	uint32_t refs;
	bool filled;
	uint64_t batch;
	uint64_t bytes;
	struct output *output; /* ref */
	struct list node;      /* in output.released or desk.spare */
};

int output_desk_init(struct output_desk *k)
{
	*k = (struct output_desk){0};
	list_init(&k->overdue);
	list_init(&k->spare);
	k->batches = calloc(WIRE_RELEASE_MAX, sizeof(*k->batches));
	return k->batches ? 0 : -ENOMEM;
}

void output_desk_deinit(struct output_desk *k)
{
	struct list *node;

	assert(k->n_leases == 0);
	while (k->spare.next && (node = list_first(&k->spare))) {
		list_remove(node);
		free(list_entry(node, struct output_lease, node));
	}
	free(k->batches);
	k->batches = NULL;
}

int output_new(struct output **ret_output, struct output_desk *k, struct worker *w, int fd,
	uint64_t id, uint64_t size)
{
	_cleanup_(freep) struct output *o = calloc(1, sizeof(*o));
	int r;

	if (!o)
		return -ENOMEM;
	r = view_new(&o->view, fd, id, size);
	if (r)
		return r;
	o->refs = 1;
	o->desk = k;
	o->worker = w;
	list_init(&o->released);
	list_init(&o->node);
	*ret_output = steal_ptr(o);
	return 0;
}

struct output *output_unref(struct output *o)
{
	if (!o)
		return NULL;
	assert(o->refs > 0);
	if (--o->refs > 0)
		return NULL;
	assert(list_empty(&o->released));
	view_free(o->view);
	free(o);
	return NULL;
}

const void *output_data(const struct output *o, const struct span *span)
{
	return view_data(o->view, span);
}

/* Nothing is left to do for it. May unmap its arena. */
static void lease_recycle(struct output_lease *l)
{
	struct output_desk *k = l->output->desk;

	l->output = output_unref(l->output);
	k->n_leases--;
	if (k->n_spare >= OUTPUT_SPARE_MAX) {
		free(l);
		return;
	}
	k->n_spare++;
	list_init(&l->node);
	list_push_front(&k->spare, &l->node);
}

static void forget_released(struct output *o)
{
	o->n_released = 0;
	o->released_bytes = 0;
	list_remove(&o->node);
}

void output_mute(struct output *o)
{
	struct list *node;

	o->worker = NULL;
	forget_released(o);
	while ((node = list_first(&o->released))) {
		list_remove(node);
		lease_recycle(list_entry(node, struct output_lease, node));
	}
}

/* Up to WIRE_RELEASE_MAX of o's released batches; the message borrows from the desk. */
static struct wire_release collect(struct output *o)
{
	struct wire_release m = {.batches = o->desk->batches};
	struct list *node;

	while (m.n_batches < WIRE_RELEASE_MAX && (node = list_first(&o->released))) {
		struct output_lease *l = list_entry(node, struct output_lease, node);

		o->desk->batches[m.n_batches++] = l->batch;
		list_remove(node);
		lease_recycle(l);
	}
	return m;
}

void output_tell(struct output *o, void (*send)(struct worker *w, const struct wire_release *m))
{
	while (!list_empty(&o->released)) {
		struct wire_release m = collect(o);

		if (list_empty(&o->released))
			forget_released(o);
		send(o->worker, &m);
	}
}

void output_desk_flush(
	struct output_desk *k, void (*send)(struct worker *w, const struct wire_release *m))
{
	struct list *node;

	while ((node = list_first(&k->overdue)))
		output_tell(list_entry(node, struct output, node), send);
}

static struct output_lease *lease_take(struct output_desk *k)
{
	struct list *node = list_first(&k->spare);

	if (!node)
		return malloc(sizeof(struct output_lease));
	list_remove(node);
	k->n_spare--;
	return list_entry(node, struct output_lease, node);
}

int output_lease_new(struct output_lease **ret_lease, struct output *o, uint64_t batch)
{
	struct output_lease *l = lease_take(o->desk);

	if (!l)
		return -ENOMEM;
	o->refs++;
	o->desk->n_leases++;
	*l = (struct output_lease){.refs = 1, .batch = batch, .output = o};
	list_init(&l->node);
	*ret_lease = l;
	return 0;
}

void output_lease_fill(struct output_lease *l, uint64_t bytes)
{
	l->filled = true;
	l->bytes += bytes;
}

struct output_lease *output_lease_ref(struct output_lease *l)
{
	l->refs++;
	return l;
}

static bool is_overdue(const struct output *o)
{
	return o->n_released >= OUTPUT_HELD_MAX ||
	       o->released_bytes >= view_size(o->view) / OUTPUT_HELD_SHARE;
}

struct output_lease *output_lease_unref(struct output_lease *l)
{
	struct output *o;

	if (!l)
		return NULL;
	assert(l->refs > 0);
	if (--l->refs > 0)
		return NULL;
	o = l->output;
	if (!l->filled || !o->worker) {
		lease_recycle(l);
		return NULL;
	}
	list_push_back(&o->released, &l->node);
	o->n_released++;
	o->released_bytes += l->bytes;
	if (list_empty(&o->node) && is_overdue(o))
		list_push_back(&o->desk->overdue, &o->node);
	return NULL;
}
