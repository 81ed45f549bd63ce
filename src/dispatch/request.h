/*
 * request.h: one inference in flight. Made and filled by a service of the frontend, submitted
 * once, answered once; where its model is decoupled, any number of times in part before that.
 *
 *   NEW -held, its version is not loaded yet-> DONE, to be made anew
 *   NEW -submit-> QUEUED -scheduled-> SENT -done-> DONE
 *                   |  ^--- worker lost, first time (sent again alone, unless it was answered in part)
 *                   +-- cancelled | expired | refused --> DONE
 */
#ifndef DISPATCH_REQUEST_H
#define DISPATCH_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/request_times.h"
#include "dispatch/client.h"
#include "dispatch/lease.h"
#include "dispatch/origin.h"
#include "dispatch/region.h"
#include "dispatch/version.h"
#include "pool/pool.h"
#include "pool/worker.h"
#include "proto/dtype.h"
#include "proto/grpc_status.h"

struct request;

/* Why a request is refused, or ended, where the daemon ends: its message. */
#define DISPATCH_ENDING_TEXT "modeld is shutting down"

/* One input. Where it lies is either a lease (inline data) or a client's region. */
struct request_input {
	enum dtype dtype;
	uint32_t rank;
	int64_t dims[TENSOR_RANK_MAX];
	struct lease *lease;   /* ref */
	struct region *region; /* ref */
	uint64_t offset;       /* in the lease or the region */
	uint64_t length;       /* bytes of tensor data */
};

/* Where an output goes instead of the worker's output arena. */
struct request_target {
	uint32_t output;
	struct region *region; /* ref of the request */
	uint64_t offset;
	uint64_t length; /* room */
};

/* Valid during on_done; `outputs` data stays valid while a reference to `lease` is held. */
struct request_result {
	bool partial; /* it is OK, and not the last one */
	enum grpc_status status;
	const char *message;		   /* "" when OK */
	const struct pool_output *outputs; /* data NULL: it is at its target, else it has none or
					      does not fit it */
	size_t n_outputs; /* all that are wanted; of a decoupled model's last answer maybe none */
	const struct request_target *targets;
	size_t n_targets;
	struct output_lease *lease; /* borrow; NULL: all outputs are at targets */
	const char *worker;	    /* name; "" when none answered */
	const char *device;
	uint32_t batch_requests; /* requests that ran together with this one, itself included */
	struct request_times times;
};

/*
 * Called exactly once for a submitted request, unless it was cancelled; never from inside
 * dispatch_submit() or request_cancel(). After request_allow_partial() also for each answer in part, in
 * their order, ahead of that. The request may be cancelled in it.
 */
typedef void (*request_done_fn)(void *data, const struct request_result *result);

/*
 * A request for `version`, which is referenced, as is the client that it comes from; of the origin
 * nothing else is kept but its times and its trace context, which the worker gets. on_done and data: see above. -ENOMEM
 */
_must_use_ int request_new(struct request **ret_request, struct version *version,
	const struct origin *origin, request_done_fn on_done, void *data);
struct request *request_unref(struct request *r);
DEFINE_CLEANUP(struct request *, request_unref)

/* Input `index` of the declaration, to be filled by the service before submit. The
 * reference to a lease or a region in it is the request's from then on. NULL when index is out of range. */
struct request_input *request_input(struct request *r, uint32_t index);
/* Ask for this output only (may be called several times); without it: all. -EINVAL, -EEXIST */
_must_use_ int request_want_output(struct request *r, uint32_t index);
/*
 * Have an output written to length bytes of room in a region (referenced). Whether that fits the
 * region, which must be writable, is checked at submit.
 * -EINVAL: no such output; -EEXIST: it has a target
 */
_must_use_ int request_set_target(struct request *r, uint32_t output, struct region *region,
	uint64_t offset, uint64_t length);
/* The target that an output of a result lies at; NULL: it is at its `data`. */
const struct request_target *request_result_target(
	const struct request_result *result, const struct pool_output *output);
/* on_done can take answers in part: else the request is refused where its model is decoupled. */
void request_allow_partial(struct request *r);
/* It is not refused for the limits on what waits (dispatch_full()): for one who stops taking requests while
 * they are reached, and has no other in flight or none that reached them. */
void request_allow_excess(struct request *r);
/* What its client calls it, n bytes, is for a model that asks. Left out where it is longer than WIRE_NAME_MAX, has a byte 0, or is no
 * UTF-8. */
void request_set_id(struct request *r, const char *id, size_t n);
/*
 * It is a step of the sequence that has this number, or this text of n_text bytes (NULL: the number counts); its first,
 * its last. Neither 0 nor "" is a sequence. Ignored where the version has none (version_settings.sequence).
 * -ENOMEM; -EINVAL: a byte 0 in the text, or it is no UTF-8; -E2BIG: it is longer than WIRE_NAME_MAX
 */
_must_use_ int request_set_sequence(
	struct request *r, uint64_t number, const char *text, size_t n_text, bool start, bool end);
/*
 * How it waits, where its model has levels and timeouts (queue_settings.h). priority: 1 goes first; 0, or one that there is
 * not, is the model's default. timeout_us: that it may wait for; 0: as the model has it.
 */
void request_set_queueing(struct request *r, uint64_t priority, uint64_t timeout_us);
/* Does the queue hold as many as it may, or the request's level of it? */
bool request_finds_full(const struct request *r);
/* Copies both. -ENOMEM; -E2BIG above WIRE_PAIRS_MAX pairs, WIRE_NAME_MAX or WIRE_TEXT_MAX; -EINVAL: one is no UTF-8, which is
 * what models and their workers take texts for. */
_must_use_ int request_add_parameter(struct request *r, const char *key, const char *value);

/* After dispatch_submit() refused it: why. */
enum grpc_status request_status(const struct request *r);
const char *request_message(const struct request *r);

#endif
