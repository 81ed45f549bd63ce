/*
 * kserve_upload.c: who brings a model's files brings code. So they are taken from the daemon's own user and from root alone, whom the
 * kernel has named, and where callers say which models there are. Daemon process, loop thread.
 */
#include "services/kserve_upload.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/peer.h"
#include "base/spool.h"
#include "models/lifecycle.h"
#include "services/kserve_small.h"

/* A message whose length is not known, since it is compressed, reserves so much more at a time. */
#define STEP (UINT64_C(1) << 20)

static bool is_trusted(const struct peer *p, enum kserve_uploads from)
{
	int64_t user = from == KSERVE_UPLOADS_LOCAL ? p->user : p->uid;

	return user == 0 || (user > 0 && user == (int64_t)geteuid());
}

/* False: the call is finished. */
static bool may_bring_files(struct call *c)
{
	const struct services *x = call_context(c);

	if (!x->lifecycle || !lifecycle_explicit(x->lifecycle))
		call_finish(c, GRPC_UNAVAILABLE, KSERVE_NOT_EXPLICIT);
	else if (!x->spool)
		call_finish(c, GRPC_UNIMPLEMENTED,
			"files of models are not taken: [models] uploads is off, or the runtime "
			"directory has no place for them");
	else if (!is_trusted(call_peer(c), x->settings->uploads))
		call_finish(c, GRPC_PERMISSION_DENIED,
			x->settings->uploads == KSERVE_UPLOADS_LOCAL
				? "files of models, and loads of more than 64 KiB, are taken from "
				  "the user that modeld runs as and from root, on this host "
				  "([models] uploads)"
				: "files of models, and loads of more than 64 KiB, are taken from "
				  "the user that modeld runs as and from root, by its Unix socket "
				  "([models] uploads)");
	else
		return true;
	return false;
}

/* Room for a message of n bytes. False: the call is finished. */
static bool reserve(struct call *c, struct kserve_upload *u, uint64_t n)
{
	struct spool *spool = ((struct services *)call_context(c))->spool;

	if (n <= u->reserved)
		return true;
	if (!may_bring_files(c))
		return false;
	if (!spool_reserve(spool, n - u->reserved)) {
		call_finishf(c, GRPC_RESOURCE_EXHAUSTED,
			"Received message larger than max (%" PRIu64 " vs. %" PRIu64
			"): [models] max_upload_bytes, less what models have that were loaded so",
			n, spool_limit(spool));
		return false;
	}
	u->reserved = n;
	return true;
}

/* ... and for some more. */
static bool reserve_step(struct call *c, struct kserve_upload *u, uint64_t n)
{
	const struct spool *spool = ((struct services *)call_context(c))->spool;
	uint64_t most = spool ? spool_limit(spool) : 0;
	uint64_t steps = (n + STEP - 1) / STEP * STEP;

	return reserve(c, u, steps > most && n <= most ? most : steps);
}

/* What is reserved is charged by that. */
static void charge(struct call *c, const struct kserve_upload *u)
{
	call_keep(c, u->reserved ? 0 : u->message.cap);
}

void kserve_upload_begin(struct call *c, struct kserve_upload *u, uint64_t length)
{
	bool known = length != UINT64_MAX;

	if (known && length > KSERVE_SMALL_MAX && !reserve(c, u, length))
		return;
	u->message.max = SIZE_MAX;
	if (known && buf_reserve(&u->message, (size_t)length))
		message_no_memory(c);
	else
		charge(c, u);
}

size_t kserve_upload_data(struct call *c, struct kserve_upload *u, const uint8_t *data, size_t n)
{
	uint64_t all = u->message.len + n;

	if (all > KSERVE_SMALL_MAX && all > u->reserved && !reserve_step(c, u, all))
		return n;
	if (buf_append(&u->message, data, n))
		message_no_memory(c);
	else
		charge(c, u);
	return n;
}

struct spool_dir *kserve_upload_keep(struct call *c, struct kserve_upload *u)
{
	struct spool *spool = ((struct services *)call_context(c))->spool;
	struct spool_dir *dir;

	/* Less than what need be reserved may have files, too. */
	if (!may_bring_files(c) || !reserve(c, u, u->message.len))
		return NULL;
	if (spool_dir_new(&dir, spool, u->message.len)) {
		message_no_memory(c);
		return NULL;
	}
	spool_unreserve(spool, u->reserved - u->message.len);
	u->reserved = 0;
	buf_deinit(&u->message);
	charge(c, u);
	return dir;
}

void kserve_upload_release(struct call *c, struct kserve_upload *u)
{
	if (u->reserved > 0)
		spool_unreserve(((struct services *)call_context(c))->spool, u->reserved);
	u->reserved = 0;
	buf_deinit(&u->message);
}
