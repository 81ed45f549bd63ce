/*
 * output.h: the output arena of one worker process, mapped here, and the leases that keep it so.
 * The public half, leases seen from outside, is in worker.h.
 */
#ifndef POOL_OUTPUT_H
#define POOL_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "pool/worker.h"
#include "shm/span.h"

struct output;

/* What all outputs of a pool share: embedded in it. */
struct output_desk {
	struct list overdue; /* struct output.node: with much to be released */
	struct list spare;   /* struct output_lease.node */
	uint32_t n_spare;
	uint32_t n_leases; /* not spare */
	uint64_t *batches; /* own: WIRE_RELEASE_MAX ids, to build a message from */
};

/* -ENOMEM */
_must_use_ int output_desk_init(struct output_desk *k);
/* Asserts that no lease is held. Accepts a zeroed desk. */
void output_desk_deinit(struct output_desk *k);
/* Send what was released where that is so much that it should not wait for output_tell(): `send` is
 * called with up to WIRE_RELEASE_MAX batches at a time, and may call output_mute(). */
void output_desk_flush(
	struct output_desk *k, void (*send)(struct worker *w, const struct wire_release *m));

/*
 * Check and map. fd is borrowed. The caller's reference is held until its process is reaped.
 * -EINVAL, -EPERM (view_new()); -ENOMEM
 */
_must_use_ int output_new(struct output **ret_output, struct output_desk *k, struct worker *w,
	int fd, uint64_t id, uint64_t size);
/* Something is about to be said to the process: send what was released, as above. */
void output_tell(struct output *o, void (*send)(struct worker *w, const struct wire_release *m));
/* The process is not to be told about released leases any more. */
void output_mute(struct output *o);
/* Accepts NULL; returns NULL. */
struct output *output_unref(struct output *o);
/* Where a span lies; NULL when it is not wholly inside. */
const void *output_data(const struct output *o, const struct span *span);

/* A lease with one reference for a batch that is about to be sent. -ENOMEM */
_must_use_ int output_lease_new(struct output_lease **ret_lease, struct output *o, uint64_t batch);
/* The batch has a span of so many bytes in the arena, so the worker waits for its release. */
void output_lease_fill(struct output_lease *l, uint64_t bytes);

#endif
