/*
 * output_segments.c: segments of a worker's, mapped here.
 *
 * None is taken back while anybody is on it by a worker that is as it should be, for it was told of all that was released there. Where
 * one is, it stays mapped, and counts against the limits, until nobody is.
 *
 * Daemon process, loop thread.
 */
#include "pool/output_segments.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "pool/disposer.h"
#include "proto/wire.h"
#include "shm/view.h"

struct output_segment {
	struct view *view; /* own */
	int fd;		   /* own */
	uint64_t id;
	uint32_t n_holders; /* who is on it */
	bool leaving;
	struct list node; /* in output_segments.mapped, then .leaving, then .left */
};

void output_segments_init(
	struct output_segments *s, struct disposer *d, uint64_t max_bytes, uint32_t n_max)
{
	*s = (struct output_segments){.disposer = d, .max_bytes = max_bytes, .n_max = n_max};
	list_init(&s->mapped);
	list_init(&s->leaving);
	list_init(&s->left);
}

static void dispose(struct output_segments *s, struct output_segment *m)
{
	disposer_view(s->disposer, steal_ptr(m->view), steal_fd(&m->fd));
}

static void free_all(struct output_segments *s, struct list *segments)
{
	struct list *node;

	while ((node = list_first(segments))) {
		struct output_segment *m = list_entry(node, struct output_segment, node);

		assert(m->n_holders == 0);
		list_remove(node);
		dispose(s, m);
		free(m);
	}
}

void output_segments_deinit(struct output_segments *s)
{
	free_all(s, &s->mapped);
	free_all(s, &s->leaving);
	free_all(s, &s->left);
	slots_deinit(&s->by_id);
}

static const char *refusal(const struct output_segments *s, const struct wire_map *map)
{
	if (map->writable || (map->id & WIRE_REGION_BIT))
		return "it is not of a kind that a worker has";
	if (map->size > s->max_bytes - s->bytes)
		return "all would be larger than [worker] output_arena_bytes and a segment";
	if (s->n >= s->n_max)
		return "there are too many";
	return NULL;
}

static int enter(struct output_segments *s, struct output_segment *m, const char **ret_why)
{
	int r = slots_put(&s->by_id, view_id(m->view), SLOTS_MAX, m);

	if (r == -ENOMEM)
		return r;
	if (r) {
		*ret_why = "its id is in use";
		return -EPROTO;
	}
	m->id = view_id(m->view);
	s->n++;
	s->bytes += view_size(m->view);
	list_init(&m->node);
	list_push_back(&s->mapped, &m->node);
	return 0;
}

int output_segments_map(
	struct output_segments *s, int *fd, const struct wire_map *map, const char **ret_why)
{
	struct output_segment *m;
	int r;

	*ret_why = refusal(s, map);
	if (*ret_why)
		return -EPROTO;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->fd = -1;
	r = view_new(&m->view, *fd, map->id, map->size);
	if (r == -EINVAL || r == -EPERM) {
		*ret_why = r == -EINVAL ? "it has not that size" : "it is not sealed";
		r = -EPROTO;
	}
	if (!r)
		r = enter(s, m, ret_why);
	if (r) {
		dispose(s, m);
		free(m);
		return r;
	}
	m->fd = steal_fd(fd);
	return 0;
}

/* Nobody is on it: the worker may have it back. */
static void leave(struct output_segments *s, struct output_segment *m)
{
	list_remove(&m->node);
	s->n--;
	s->bytes -= view_size(m->view);
	dispose(s, m);
	list_push_back(&s->left, &m->node);
}

int output_segments_unmap(struct output_segments *s, uint64_t id)
{
	struct output_segment *m = slots_remove(&s->by_id, id);

	if (!m)
		return -EPROTO;
	m->leaving = true;
	list_remove(&m->node);
	list_push_back(&s->leaving, &m->node);
	if (m->n_holders == 0)
		leave(s, m);
	return 0;
}

bool output_segments_next_left(struct output_segments *s, uint64_t *ret_id)
{
	struct list *node = list_first(&s->left);
	struct output_segment *m = node ? list_entry(node, struct output_segment, node) : NULL;

	if (!m)
		return false;
	*ret_id = m->id;
	list_remove(node);
	free(m);
	return true;
}

const void *output_segments_data(const struct output_segments *s, const struct span *span)
{
	const struct output_segment *m = slots_find(&s->by_id, span->arena);

	return m ? view_data(m->view, span) : NULL;
}

int output_segments_fd(const struct output_segments *s, uint64_t id)
{
	const struct output_segment *m = slots_find(&s->by_id, id);

	return m ? m->fd : -1;
}

struct output_segment *output_segments_find(const struct output_segments *s, uint64_t id)
{
	struct output_segment *m = slots_find(&s->by_id, id);

	assert(m);
	return m;
}

void output_segment_hold(struct output_segment *m)
{
	m->n_holders++;
}

void output_segments_let_go(struct output_segments *s, struct output_segment *m)
{
	assert(m->n_holders > 0);
	if (--m->n_holders == 0 && m->leaving)
		leave(s, m);
}
