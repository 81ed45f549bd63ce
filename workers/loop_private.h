/* loop_private.h: struct loop, for loop.c and its parts: announce.c, checking.c, loading.c, messages.c, setup.c. */
#ifndef WORKERS_LOOP_PRIVATE_H
#define WORKERS_LOOP_PRIVATE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/busy_poll.h"
#include "proto/wire.h"
#include "shm/view.h"
#include "workers/answers.h"
#include "workers/backend_loader.h"
#include "workers/crew.h"
#include "workers/device.h"
#include "workers/executor.h"
#include "workers/host.h"
#include "workers/ledger.h"
#include "workers/loader.h"
#include "workers/loop.h"
#include "workers/models.h"
#include "workers/outputs.h"
#include "workers/pinned.h"
#include "workers/regions.h"

enum loop_state {
	LOOP_NEW,     /* waiting for setup */
	LOOP_READY,   /* ready was sent */
	LOOP_DRAINED, /* drain came */
	LOOP_N_STATES,
};

/* loop_handle(): bye was said. */
#define LOOP_E_DONE 1

/* What each thread of the crew has of its own. */
struct tools {
	uint8_t *record; /* own: WIRE_MESSAGE_MAX bytes, the record received */
	size_t n;
	size_t at;		   /* of the first message that was not begun yet */
	struct wire_scratch *in;   /* own: the message being handled lives here */
	struct executor *executor; /* own; NULL before setup */
	struct loop *loop;	   /* borrow */
};

struct loop {
	_Atomic int state; /* enum loop_state; set by the leader, READY by the loader */
	int channel_fd;	   /* own */
	void (*on_name)(void *data, const char *name);
	void *data;
	struct answers *answers; /* own */
	struct crew *crew;	 /* own */
	struct loader *loader;	 /* own */
	struct host *host;	 /* own; NULL before setup, and so are those below */
	struct device *device;	 /* own */
	uint32_t numa_node; /* that it is near, counted from 1; 0: not known, or there is but one */
	struct pinned *pinned;	   /* own: what of the memory below the device may use */
	struct outputs *outputs;   /* own */
	uint64_t scratch_bytes;	   /* that inputs may be copied into, at most */
	uint64_t output_wait_ns;   /* that a run waits for output memory, at most */
	struct backends *backends; /* own; the loader's */
	struct ledger ledger;	   /* the loader's */
	struct regions regions;
	pthread_mutex_t memory; /* of outputs and regions */
	struct busy_poll busy;	/* the leader's */
	uint64_t last_batch;	/* the leader's: number of the last Run */

	pthread_mutex_t lock; /* of what follows */
	struct models models;
	const char *stopped; /* why the loop ends without bye; NULL: it goes on */
	bool finished;
	int exit; /* once finished, enum worker_exit */
};

/* Ends the loop: who gets -ECANCELED passes it on. Any thread; the first reason counts. */
static inline int loop_stop(struct loop *l, enum worker_exit status, const char *why)
{
	pthread_mutex_lock(&l->lock);
	l->exit = l->stopped ? l->exit : (int)status;
	l->stopped = l->stopped ? l->stopped : why;
	pthread_mutex_unlock(&l->lock);
	return -ECANCELED;
}

/* The worker's name for log lines. */
static inline const char *loop_name(const struct loop *l)
{
	return l->host ? host_worker(l->host) : "(new)";
}

/* announce.c: tell the daemon of new segments of the output memory, and of those that are given up: before
 * an answer is sent. */
_must_use_ int loop_announce(struct loop *l);
/* The same, and add a batch's answer, with the numbers of its holds. */
_must_use_ int loop_answer(struct loop *l, struct executor *e, struct wire_message *done);
/* executor_parts.say_partial: `data` is the loop. */
_must_use_ int loop_say_partial(void *data, struct wire_partial *partial, struct hold *hold);
/* executor_parts.flush: `data` is the loop. */
_must_use_ int loop_flush(void *data);
/* Give up what is idle: now and then, when there is nothing to do. */
_must_use_ int loop_give_up_idle(struct loop *l);
_must_use_ int loop_unmapped(struct loop *l, const struct wire_unmap *unmapped);

/* setup.c: builds everything that a Setup message asks for and answers Hello. -errno, or
 * -ECANCELED after loop_stop(). */
_must_use_ int loop_setup(struct loop *l, const struct wire_setup *setup);
/* announce.c: let the device use memory that is mapped here, until pinned_remove(). On a host that is
 * nothing. As loop_setup() */
_must_use_ int loop_pin(struct loop *l, const struct view *v, enum device_access access);
/* setup.c: a thread's executor, once there is a setup. -ENOMEM */
_must_use_ int loop_equip(struct loop *l, struct tools *t);

/* loading.c, on the loader's thread: Load, Unload and Check. As loop_setup() */
_must_use_ int loop_handle_load(struct loop *l, const struct wire_message *m);
/* checking.c, by the loader: judges what Check has, and adds the answer. As loop_setup() */
_must_use_ int loop_check(struct loop *l, const struct wire_load *check);
/* loading.c: a backend cannot go on in this process. Returns -ECANCELED. */
int loop_fatal(struct loop *l, const char *model, const char *text);

/* messages.c, by the leader: the message that is record[at - n ... at). As loop_setup(), LOOP_E_DONE */
_must_use_ int loop_handle(struct loop *l, struct hand *h, struct tools *t,
	const struct wire_message *m, size_t n, int fd, size_t n_fds);
/* messages.c, by any thread: a batch that waited for its lane. As loop_setup() */
_must_use_ int loop_handle_waiting(
	struct loop *l, struct tools *t, struct lane *lane, const struct wire_run *run, bool last);

#endif
