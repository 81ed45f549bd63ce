/*
 * crew.h: the threads of a worker. One of them leads: it reads the channel and handles what comes.
 * A batch that should be quick is run by the leader on the spot, so that it costs no other thread a
 * wake-up. Others wait on their lanes; when the leader has handled a record, it leaves the channel to
 * another thread and takes one of these lanes itself. A batch that was to be quick and is not costs
 * the leader its place: the watch gives the channel to another thread meanwhile.
 *
 * So messages are always answered, however long batches take.
 */
#ifndef WORKERS_CREW_H
#define WORKERS_CREW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "workers/lane.h"

struct crew;
struct hand; /* one thread */

/* A run is long from here on; what is expected to be shorter is run by the leader. */
#define CREW_LONG_NS UINT64_C(200000)

/* What the threads do; all but equip() and strip() are called without a lock. */
struct crew_events {
	/* Make what a thread needs of its own. -errno: there is no thread then */
	int (*equip)(void *data, void **ret_tools);
	void (*strip)(void *data, void *tools);
	/*
	 * Serve the channel while crew_leads(h); return soon after it does not, or when
	 * crew_resign() said so. `from` is NULL, or the tools of the leader that was deposed while it
	 * served: what it had not come to is to be done first.
	 */
	void (*lead)(void *data, struct hand *h, void *tools, void *from);
	/* Run one batch. `job` is owned by the callee. `last`: no other one waits for the lane. */
	void (*work)(void *data, void *tools, struct lane *lane, struct job *job, bool last);
};

/* -ENOMEM, -errno */
_must_use_ int crew_new(struct crew **ret_crew, const struct crew_events *events, void *data);
/* Ends the crew, and waits for its threads: as long as their batches take. */
struct crew *crew_free(struct crew *c);
DEFINE_CLEANUP(struct crew *, crew_free)

/* Start the first thread. -errno, or as equip() */
_must_use_ int crew_start(struct crew *c);
/* No thread begins anything any more. Whoever reads the channel is to be woken by the caller. Any
 * thread. */
void crew_end(struct crew *c);
/* Wait for crew_end(). */
void crew_wait_end(struct crew *c);
/* Wait until no thread has the lane, which no batch is sent to any more; or for the end. False: one may still have it.
 * Not for threads of the crew. */
_must_use_ bool crew_wait_lane(struct crew *c, const struct lane *lane);
/* No lane runs or waits. */
bool crew_is_idle(struct crew *c);

/* --- For the leader ------------------------------------------------------------------------- */

bool crew_leads(const struct hand *h);
/* Begin to run a batch on the spot. False: the lane is busy. */
_must_use_ bool crew_take(struct hand *h, struct lane *lane, uint64_t now_ns);
/* It is over. False: h was deposed meanwhile, and must not touch the channel any more. */
_must_use_ bool crew_give_back(struct hand *h, struct lane *lane);
/* Let a batch wait for its lane; takes over `job`. */
void crew_push(struct hand *h, struct lane *lane, struct job *job);
/* Nobody waits for the batch any more, which was sent to the lane: it learns so, unless it is over already. */
void crew_cancel(struct hand *h, struct lane *lane, uint64_t batch);
/* A record was handled. True: there is work on lanes, and h does not lead any more. */
_must_use_ bool crew_resign(struct hand *h);
/* Wait until no lane runs or waits, and help; work() may be called. Also over at the crew's end. */
void crew_wait_idle(struct hand *h);

#endif
