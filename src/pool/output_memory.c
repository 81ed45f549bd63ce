/*
 * output_memory.c: mapped output memory of workers, and the leases on it.
 *
 * Two kinds of owners keep it mapped: its process, until reaped, and each lease. A lease that
 * nobody holds any more is kept on output_memory.released until the worker was told, then on the desk's
 * spare list; so neither giving back nor, in the steady state, taking one allocates.
 *
 * Telling costs a wake-up of its own unless something else is said anyway, so it waits for that
 * (output_memory_tell()), but not when much has gathered: then the output is on desk.overdue.
 *
 * A segment that its worker takes back while a lease is on it (which none does that is as it should be) is `leaving` until those are
 * gone; it counts against the limits until then. Leases on others do not matter: who reads slowly keeps what he has, and no more.
 *
 * Daemon process, loop thread.
 */
#include "pool/output_memory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "pool/disposer.h"
#include "pool/output_segments.h"

#define OUTPUT_SPARE_MAX 1024u
/* So many released holds, or such a part of the arena or of all holds, are overdue. */
#define OUTPUT_HELD_MAX	  256u
#define OUTPUT_HELD_SHARE 16u

struct output_memory {
	uint32_t refs;		  /* the process, and one a lease */
	struct output_desk *desk; /* borrow */
	struct worker *worker;	  /* borrow; NULL: muted */
	struct output_limits limits;
	struct output_segments segments;
	uint64_t last_hold;   /* the highest number there was */
	uint32_t n_holds;     /* with those in .released */
	struct list released; /* struct output_lease.node; empty when muted */
	uint32_t n_released;
	uint64_t released_bytes;
	struct list node; /* in desk.overdue when too much is in released, or anything in left */
};

struct output_lease {
	uint32_t refs;
	struct output_lease *whole; /* ref: what this is a part of; NULL: of nothing */
	uint64_t hold;		    /* of the whole */
	uint64_t bytes;
	struct output_memory *output;	    /* ref of the whole; a part borrows it */
	const struct output_charge *charge; /* borrow; NULL: nobody is charged */
	void *data;
	struct output_segment **
		on; /* own, kept for the next one; borrow: the segments that it is on; of the whole */
	uint32_t n_on, cap_on;
	struct list parts; /* struct output_lease.node: those that somebody is charged for */
	struct list node;  /* in output.released or desk.spare; of a part: in whole.parts */
};

int output_desk_init(struct output_desk *k)
{
	*k = (struct output_desk){0};
	list_init(&k->overdue);
	list_init(&k->spare);
	k->holds = calloc(WIRE_RELEASE_MAX, sizeof(*k->holds));
	return k->holds ? disposer_new(&k->disposer) : -ENOMEM;
}

static void lease_free(struct output_lease *l)
{
	free(l->on);
	free(l);
}

void output_desk_deinit(struct output_desk *k)
{
	struct list *node;

	assert(k->n_leases == 0);
	while (k->spare.next && (node = list_first(&k->spare))) {
		list_remove(node);
		lease_free(list_entry(node, struct output_lease, node));
	}
	free(k->holds);
	k->holds = NULL;
	k->disposer = disposer_free(k->disposer);
}

int output_memory_new(struct output_memory **ret_output, struct output_desk *k, struct worker *w,
	const struct output_limits *limits)
{
	struct output_memory *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->refs = 1;
	o->desk = k;
	o->worker = w;
	o->limits = *limits;
	output_segments_init(&o->segments, k->disposer, limits->bytes, limits->n_segments);
	list_init(&o->released);
	list_init(&o->node);
	*ret_output = o;
	return 0;
}

struct output_memory *output_memory_unref(struct output_memory *o)
{
	if (!o)
		return NULL;
	assert(o->refs > 0);
	if (--o->refs > 0)
		return NULL;
	assert(list_empty(&o->released) && o->n_holds == 0);
	list_remove(&o->node);
	output_segments_deinit(&o->segments);
	free(o);
	return NULL;
}

/* --- Segments -------------------------------------------------------------------------------- */

int output_memory_map(
	struct output_memory *o, int *fd, const struct wire_map *map, const char **ret_why)
{
	return output_segments_map(&o->segments, fd, map, ret_why);
}

/* What was unmapped is the worker's to know; one that is muted needs not. */
static void note_left(struct output_memory *o)
{
	if (o->worker && !list_empty(&o->segments.left) && list_empty(&o->node))
		list_push_back(&o->desk->overdue, &o->node);
}

int output_memory_unmap(struct output_memory *o, uint64_t id)
{
	int r = output_segments_unmap(&o->segments, id);

	note_left(o);
	return r;
}

static void tell_left(struct output_memory *o, output_send *send)
{
	uint64_t id;

	while (o->worker && output_segments_next_left(&o->segments, &id))
		send(o->worker, &(struct wire_message){.type = WIRE_UNMAPPED, .unmap = {.id = id}});
}

const void *output_memory_data(const struct output_memory *o, const struct span *span)
{
	return output_segments_data(&o->segments, span);
}

int output_memory_segment_fd(const struct output_memory *o, uint64_t id)
{
	return output_segments_fd(&o->segments, id);
}

uint32_t output_memory_n_segments(const struct output_memory *o)
{
	return o ? o->segments.n : 0;
}

uint64_t output_memory_mapped(const struct output_memory *o)
{
	return o ? o->segments.bytes : 0;
}

/* --- Leases ---------------------------------------------------------------------------------- */

/* Nobody reads what it is on any more. */
static void leave_segments(struct output_lease *l)
{
	while (l->n_on > 0)
		output_segments_let_go(&l->output->segments, l->on[--l->n_on]);
	note_left(l->output);
}

/* Nothing is left to do for it. May free its output memory, unless it is a part. */
static void lease_recycle(struct output_lease *l)
{
	struct output_desk *k = l->output->desk;

	list_remove(&l->node);
	if (!l->whole) {
		l->output->n_holds--;
		l->output = output_memory_unref(l->output);
	}
	k->n_leases--;
	if (k->n_spare >= OUTPUT_SPARE_MAX) {
		lease_free(l);
		return;
	}
	k->n_spare++;
	list_push_front(&k->spare, &l->node);
}

static void forget_released(struct output_memory *o)
{
	o->n_released = 0;
	o->released_bytes = 0;
	list_remove(&o->node);
}

void output_memory_mute(struct output_memory *o)
{
	struct list *node;

	o->worker = NULL;
	forget_released(o);
	while ((node = list_first(&o->released))) {
		list_remove(node);
		lease_recycle(list_entry(node, struct output_lease, node));
	}
}

/* Up to WIRE_RELEASE_MAX of o's released holds; the message borrows from the desk. */
static struct wire_release collect(struct output_memory *o)
{
	struct wire_release m = {.holds = o->desk->holds};
	struct list *node;

	while (m.n_holds < WIRE_RELEASE_MAX && (node = list_first(&o->released))) {
		struct output_lease *l = list_entry(node, struct output_lease, node);

		o->desk->holds[m.n_holds++] = l->hold;
		list_remove(node);
		lease_recycle(l);
	}
	return m;
}

void output_memory_tell(struct output_memory *o, output_send *send)
{
	while (!list_empty(&o->released)) {
		struct wire_message m = {.type = WIRE_RELEASE, .release = collect(o)};

		if (list_empty(&o->released))
			forget_released(o);
		send(o->worker, &m);
	}
	tell_left(o, send);
	list_remove(&o->node);
}

void output_desk_flush(struct output_desk *k, output_send *send)
{
	struct list *node;

	while ((node = list_first(&k->overdue)))
		output_memory_tell(list_entry(node, struct output_memory, node), send);
}

static int lease_make(
	struct output_lease **ret_lease, struct output_desk *k, const struct output_lease *like)
{
	struct list *node = list_first(&k->spare);
	struct output_lease *l =
		node ? list_entry(node, struct output_lease, node) : calloc(1, sizeof(*l));
	struct output_segment **on;
	uint32_t cap_on;

	if (!l)
		return -ENOMEM;
	if (node)
		list_remove(node);
	k->n_spare -= node != NULL;
	k->n_leases++;
	on = l->on;
	cap_on = l->cap_on;
	*l = *like;
	l->refs = 1;
	l->on = on;
	l->cap_on = cap_on;
	list_init(&l->parts);
	list_init(&l->node);
	*ret_lease = l;
	return 0;
}

static const char *hold_refusal(const struct output_memory *o, uint64_t hold)
{
	if (hold <= o->last_hold)
		return "a hold that does not come next";
	if (o->n_holds >= o->limits.n_holds)
		return "a hold more than [worker] max_holds";
	return NULL;
}

int output_lease_new(struct output_lease **ret_lease, struct output_memory *o, uint64_t hold,
	const char **ret_why)
{
	int r;

	*ret_why = hold_refusal(o, hold);
	if (*ret_why)
		return -EPROTO;
	r = lease_make(ret_lease, o->desk, &(struct output_lease){.hold = hold, .output = o});
	if (r)
		return r;
	o->refs++;
	o->n_holds++;
	o->last_hold = hold;
	return 0;
}

int output_lease_part(struct output_lease **ret_part, struct output_lease *of)
{
	struct output_lease *whole = of->whole ? of->whole : of;
	struct output_lease part = {.whole = whole, .output = whole->output};
	int r = lease_make(ret_part, whole->output->desk, &part);

	whole->refs += r == 0;
	return r;
}

static int make_place(struct output_lease *l)
{
	uint32_t cap = l->cap_on > 0 ? 2 * l->cap_on : 1;
	struct output_segment **on;

	if (l->n_on < l->cap_on)
		return 0;
	on = realloc(l->on, cap * sizeof(struct output_segment *));
	if (!on)
		return -ENOMEM;
	l->on = on;
	l->cap_on = cap;
	return 0;
}

int output_lease_on(struct output_lease *l, uint64_t id)
{
	struct output_lease *whole = l->whole ? l->whole : l;
	struct output_segment *m = output_segments_find(&whole->output->segments, id);

	for (uint32_t i = whole->n_on; i-- > 0;) {
		if (whole->on[i] == m)
			return 0;
	}
	if (make_place(whole))
		return -ENOMEM;
	whole->on[whole->n_on++] = m;
	output_segment_hold(m);
	return 0;
}

void output_lease_add(struct output_lease *l, uint64_t bytes)
{
	l->bytes += bytes;
	if (l->whole)
		l->whole->bytes += bytes;
}

struct output_lease *output_lease_ref(struct output_lease *l)
{
	l->refs++;
	return l;
}

uint64_t output_lease_charge(struct output_lease *l, const struct output_charge *charge, void *data)
{
	if (l->refs == 1 || l->charge || l->bytes == 0)
		return 0;
	l->charge = charge;
	l->data = data;
	if (l->whole)
		list_push_back(&l->whole->parts, &l->node);
	return l->bytes;
}

/* Nobody keeps it any more, but perhaps the rest: its bytes are theirs then who do, of whom one is charged. */
static void part_end(struct output_lease *l)
{
	struct output_lease *heir, *whole = l->whole;

	list_remove(&l->node);
	if (!list_empty(&whole->parts)) {
		heir = list_entry(whole->parts.next, struct output_lease, node);
		heir->bytes += l->bytes;
		heir->charge->on_more(heir->data, l->bytes);
	}
	lease_recycle(l);
	output_lease_unref(whole);
}

static bool is_overdue(const struct output_memory *o)
{
	return o->n_released >= OUTPUT_HELD_MAX ||
	       o->n_released >= o->limits.n_holds / OUTPUT_HELD_SHARE ||
	       o->released_bytes >= o->segments.bytes / OUTPUT_HELD_SHARE;
}

struct output_lease *output_lease_unref(struct output_lease *l)
{
	struct output_memory *o;

	if (!l)
		return NULL;
	assert(l->refs > 0);
	if (--l->refs > 0)
		return NULL;
	if (l->charge)
		l->charge->on_end(l->data, l->bytes);
	if (l->whole) {
		part_end(l);
		return NULL;
	}
	o = l->output;
	leave_segments(l);
	if (!o->worker) {
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
