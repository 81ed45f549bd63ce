/* key_move.c: see key_move.h. Daemon process, loop thread. */
#include "services/key_move.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "services/key_region.h"

#define MOVE(at) list_entry(at, struct key_move, node)

int key_move_add(struct key_move *m, const struct key_piece *piece)
{
	struct key_piece *all = realloc(m->pieces, (m->n_pieces + 1) * sizeof(*all));

	if (!all)
		return -ENOMEM;
	m->pieces = all;
	all[m->n_pieces] = *piece;
	key_region_ref(all[m->n_pieces++].region);
	return 0;
}

/* What is behind the object's end is not made by writing to it. */
static bool is_whole(const struct key_piece *p)
{
	uint64_t end = p->region->start + p->at + p->length;
	struct stat st;

	return !fstat(p->region->fd, &st) && end <= (uint64_t)st.st_size;
}

/* Up to n bytes of p, from `done` on. Returns how many; 0: there are none any more. */
static uint64_t move_some(const struct key_piece *p, uint64_t done, uint64_t n)
{
	off_t at = (off_t)(p->region->start + p->at + done);
	uint8_t *data = p->data + done;
	ssize_t r;

	if (n > p->length - done)
		n = p->length - done;
	if (p->out && !is_whole(p))
		return 0;
	do
		r = p->out ? pwrite(p->region->fd, data, n, at) : pread(p->region->fd, data, n, at);
	while (r < 0 && errno == EINTR);
	return r > 0 ? (uint64_t)r : 0;
}

/* 0: all is done; KEY_MOVE_E_LATER; KEY_MOVE_E_GONE */
static int move_slice(struct key_move *m)
{
	uint64_t left = KEY_MOVE_SLICE;

	while (m->at < m->n_pieces) {
		const struct key_piece *p = &m->pieces[m->at];
		uint64_t n = 0;

		if (m->done == p->length) {
			m->at++;
			m->done = 0;
			continue;
		}
		if (left == 0)
			return KEY_MOVE_E_LATER;
		n = move_some(p, m->done, left);
		if (n == 0)
			return KEY_MOVE_E_GONE;
		m->done += n;
		left -= n;
	}
	return 0;
}

void key_move_release(struct key_move *m)
{
	if (m->node.next)
		list_remove(&m->node);
	for (size_t i = 0; i < m->n_pieces; i++)
		key_region_unref(m->pieces[i].region);
	free(m->pieces);
	m->pieces = NULL;
	m->n_pieces = m->at = 0;
	m->done = 0;
}

/* --- Taking turns ----------------------------------------------------------------------------- */

static void on_idle(uv_idle_t *idle)
{
	struct key_mover *k = idle->data;
	struct list *node = list_first(&k->moves);
	int r;

	if (!node) {
		uv_idle_stop(idle);
		return;
	}
	list_remove(node);
	r = move_slice(MOVE(node));
	if (r == KEY_MOVE_E_LATER)
		list_push_back(&k->moves, node);
	else
		MOVE(node)->on_done(MOVE(node), r);
}

int key_move_begin(struct key_move *m, struct key_mover *k)
{
	int r = move_slice(m);

	if (r != KEY_MOVE_E_LATER)
		return r;
	list_push_back(&k->moves, &m->node);
	uv_idle_start(&k->idle, on_idle);
	return r;
}

void key_mover_init(struct key_mover *k, uv_loop_t *loop)
{
	list_init(&k->moves);
	uv_idle_init(loop, &k->idle);
	k->idle.data = k;
}

static void on_idle_closed(uv_handle_t *idle)
{
	struct key_mover *k = idle->data;

	if (k->on_closed)
		k->on_closed(k);
}

void key_mover_close(struct key_mover *k, void (*on_closed)(struct key_mover *k))
{
	assert(list_empty(&k->moves));
	k->on_closed = on_closed;
	uv_close((uv_handle_t *)&k->idle, on_idle_closed);
}
