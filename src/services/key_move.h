/*
 * key_move.h: bytes between regions that clients name by key (key_region.h) and memory here, with pread() and
 * pwrite(). Little is moved at once; of more each turn of the loop moves a slice, and those who want that take turns.
 */
#ifndef SERVICES_KEY_MOVE_H
#define SERVICES_KEY_MOVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/cleanup.h"
#include "base/list.h"

struct key_region;

/* Moved in a turn of the loop, and at once. */
#define KEY_MOVE_SLICE (UINT64_C(1) << 20)

enum {
	KEY_MOVE_E_LATER = 1, /* on_done follows */
	KEY_MOVE_E_GONE,      /* the object has become shorter, or takes no more bytes */
};

struct key_piece {
	struct key_region *region; /* ref */
	uint64_t at;		   /* in the region; checked */
	uint8_t *data;		   /* borrow: must stay until it is done */
	uint64_t length;
	bool out; /* into the region */
};

/* Zeroed, or embedded in something zeroed. Must not move. */
struct key_move {
	struct list node;	  /* private: in key_mover.moves */
	struct key_piece *pieces; /* own */
	size_t n_pieces;
	size_t at;     /* private: pieces done */
	uint64_t done; /* private: bytes of the next one */
	/* From the loop, where key_move_begin() returned KEY_MOVE_E_LATER: 0, KEY_MOVE_E_GONE */
	void (*on_done)(struct key_move *m, int error);
};

/* One for a server. */
struct key_mover {
	uv_idle_t idle; /* runs while there are moves */
	struct list moves;
	void (*on_closed)(struct key_mover *k);
};

void key_mover_init(struct key_mover *k, uv_loop_t *loop);
/* No move may be left. on_closed comes from the loop: its memory may go then, and not before; NULL: nobody is to be told. */
void key_mover_close(struct key_mover *k, void (*on_closed)(struct key_mover *k));

/* One more, out of which the reference to the region is taken. -ENOMEM */
_must_use_ int key_move_add(struct key_move *m, const struct key_piece *piece);
/* 0: done; KEY_MOVE_E_LATER; KEY_MOVE_E_GONE: m->at says which piece */
_must_use_ int key_move_begin(struct key_move *m, struct key_mover *k);
/* Forget all pieces; what is under way ends, without on_done. */
void key_move_release(struct key_move *m);

#endif
