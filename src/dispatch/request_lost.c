/*
 * request_lost.c: a request may have been what ended its worker, so it goes once more, and alone; twice is enough. What was
 * begun, or has a state in the worker, is not begun again. Daemon process, loop thread.
 */
#include "dispatch/request_lost.h"

#include <inttypes.h>

#include "base/log.h"
#include "dispatch/request_private.h"
#include "dispatch/version_private.h"
#include "dispatch/work.h"

/* A load that ended the worker is a reason of its own: where r ran alone beside one, that is tried without it first. */
static void count_loss(struct request *r, enum lost how)
{
	if (how == LOST_BESIDE_LOAD && r->suspect && !r->careful)
		r->careful = true;
	else
		r->losses += how != LOST_INNOCENT;
}

/* Nobody waits for it, or it has its answer. Returns whether that is so: it is dealt with then. */
static bool is_settled(struct request *r, uint64_t now_ns)
{
	if (r->silent)
		request_drop(r);
	else if (r->kept)
		request_await_turn(r);
	else if (r->withdrawn)
		request_fail(r, now_ns, GRPC_CANCELLED, "cancelled");
	else
		return false;
	return true;
}

/* It may not be sent again, which its client is told. Returns whether that is so. */
static bool has_failed(struct request *r, const char *worker, enum lost how, uint64_t now_ns)
{
	const struct version_settings *s = &r->version->settings;

	if (how == LOST_GUILTY) {
		request_fail(r, now_ns, GRPC_INTERNAL,
			"model '%s' took longer than run_timeout_ms = %" PRIu64 " for this request",
			s->name, s->run_timeout_ms);
	} else if (r->losses > 1) {
		log_warning("request lost two workers", "model=%s worker=\"%s\"", s->name, worker);
		request_fail(r, now_ns, GRPC_INTERNAL,
			"worker lost twice while it had this request for model '%s', the second "
			"time %s, running it alone",
			s->name, worker);
	} else if (r->begun) {
		request_fail(r, now_ns, GRPC_UNAVAILABLE,
			"worker %s was lost between answers for model '%s': it is not sent again",
			worker, s->name);
	} else if (s->stateful) {
		request_fail(r, now_ns, GRPC_UNAVAILABLE,
			"worker %s was lost with this request for model '%s', which is stateful: "
			"it is not sent again",
			worker, s->name);
	} else if (r->deadline_ns <= now_ns) {
		request_fail(r, now_ns, GRPC_DEADLINE_EXCEEDED,
			"deadline passed when worker %s was lost with this request for model '%s'",
			worker, s->name);
	} else {
		return false;
	}
	return true;
}

void request_lost(
	struct request *r, const char *worker, enum lost how, struct list *again, uint64_t now_ns)
{
	count_loss(r, how);
	if (is_settled(r, now_ns) || has_failed(r, worker, how, now_ns))
		return;
	if (how == LOST_INNOCENT && !r->suspect)
		list_push_back(again, &r->node);
	else
		queue_push_suspect(&r->version->work->queue, r, now_ns);
}
