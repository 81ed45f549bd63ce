/*
 * ledger.h: whose this process's private memory is: what each loaded model takes of it, and what those that were unloaded have
 * left behind.
 *
 * It is measured before and after each load and unload, which come one after the other; what grew between two of them is shared
 * by the models that ran meanwhile. So while no model is loaded the sum is exact: all that is there beyond the process's start.
 */
#ifndef WORKERS_LEDGER_H
#define WORKERS_LEDGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

/* A model's. All zero is one that takes nothing. */
struct share {
	struct list node; /* in ledger.shares, while it is loaded */
	int64_t bytes;
	atomic_bool ran; /* since the last measurement */
};

struct ledger {
	uint64_t (*read)(void); /* private bytes that are resident; 0: that cannot be known */
	struct list shares;	/* struct share.node */
	int64_t first_bytes;	/* before any model came */
	int64_t last_bytes;	/* of the last measurement; 0: there was none */
	int64_t loaded_bytes;	/* of all shares */
};

void ledger_init(struct ledger *l, uint64_t (*read)(void));
/* A model is about to be loaded or unloaded. */
void ledger_look(struct ledger *l);
/* It was loaded: what came since ledger_look() is its own. */
void ledger_enter(struct ledger *l, struct share *s);
/* It is about to be unloaded: nothing is its own any more. Harmless where it was not entered. */
void ledger_leave(struct ledger *l, struct share *s);
/* It was unloaded, or could not be loaded. Returns the bytes that are no loaded model's, above those at the start; 0
 * also where that cannot be known. */
uint64_t ledger_settle(struct ledger *l);

/* Any thread. */
static inline void share_note_run(struct share *s)
{
	atomic_store_explicit(&s->ran, true, memory_order_relaxed);
}

/* ledger.read of this process: /proc/self/statm. */
uint64_t ledger_private_bytes(void);

#endif
