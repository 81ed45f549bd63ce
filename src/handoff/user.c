/*
 * user.c: per-user accounts. A charge holds a reference, so that memory which workers still unmap
 * stays charged after its connection is gone.
 *
 * Invariants: the sums in struct users are those over all users; n_holders counts users with bytes,
 * n_owners those with regions, n_connected those with connections. Daemon process, loop thread.
 */
#include "handoff/user.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "dispatch/quota.h"
#include "handoff/handoff.h"

void users_init(struct users *s, const struct handoff_settings *settings)
{
	*s = (struct users){.settings = settings};
	list_init(&s->all);
}

void users_deinit(struct users *s)
{
	log_debug("accounts of local users",
		"connections=%" PRIu32 " regions=%" PRIu32 " region_bytes=%" PRIu64
		" device_bytes=%" PRIu64 " unread=%" PRIu32,
		s->connections, s->regions, s->bytes, s->device_bytes, s->unread);
	assert(s->bytes == 0 && s->device_bytes == 0 && s->regions == 0 && s->unread == 0 &&
		s->connections == 0);
	assert(list_empty(&s->all));
}

static struct user *user_find(struct users *s, uint32_t uid)
{
	list_for_each (&s->all, node) {
		struct user *u = list_entry(node, struct user, node);

		if (u->uid == uid)
			return u;
	}
	return NULL;
}

static void user_unref(struct user *u)
{
	assert(u->refs > 0);
	if (--u->refs > 0)
		return;
	list_remove(&u->node);
	free(u);
}

/* With a reference for the caller. */
static struct user *user_get(struct users *s, uint32_t uid)
{
	struct user *u = user_find(s, uid);

	if (!u) {
		u = calloc(1, sizeof(*u));
		if (!u)
			return NULL;
		u->users = s;
		u->uid = uid;
		list_push_back(&s->all, &u->node);
	}
	u->refs++;
	return u;
}

/* `holds` of n users' pool of `limit`, of which `used` is taken; others: users besides this one. */
static bool share_allows(
	uint64_t limit, uint64_t used, uint32_t others, uint64_t holds, uint64_t charge)
{
	if (used > limit || charge > limit - used)
		return false;
	return others == 0 || quota_allows(limit - used, (uint64_t)others + 1, holds, charge);
}

int user_connect(struct user **ret_user, struct users *s, uint32_t uid, char *text, size_t cap)
{
	struct user *u = user_get(s, uid);

	if (!u)
		return -ENOMEM;
	if (!share_allows(s->settings->max_connections, s->connections,
		    s->n_connected - (u->connections > 0), u->connections, 1)) {
		snprintf(text, cap,
			"%" PRIu32 " connections, %" PRIu32 " of them of uid %" PRIu32
			": [handoff] max_connections is %" PRIu32 ", shared fairly among users",
			s->connections, u->connections, uid, s->settings->max_connections);
		user_unref(u);
		return USER_E_LIMIT;
	}
	s->n_connected += u->connections == 0;
	s->connections++;
	u->connections++;
	*ret_user = u;
	return 0;
}

void user_hold(struct user *u)
{
	assert(u->connections > 0);
	u->users->connections++;
	u->connections++;
	u->refs++;
}

void user_disconnect(struct user *u)
{
	struct users *s = u->users;

	assert(u->connections > 0);
	u->connections--;
	s->connections--;
	s->n_connected -= u->connections == 0;
	user_unref(u);
}

static uint32_t descriptors(const struct user *u)
{
	return u->regions + u->unread;
}

static int over_regions(const struct user *u, char *text, size_t cap)
{
	snprintf(text, cap,
		"the user has %" PRIu32
		" regions, answers that were not read included, which is the limit: [handoff] "
		"user_regions",
		descriptors(u));
	return USER_E_LIMIT;
}

static int over_user(const struct user *u, uint64_t bytes, char *text, size_t cap)
{
	snprintf(text, cap,
		"a region of %" PRIu64 " bytes besides the %" PRIu64
		" that the user has exceeds [handoff] user_bytes, %" PRIu64,
		bytes, u->bytes, u->users->settings->user_bytes);
	return USER_E_LIMIT;
}

static int over_share(const struct user *u, uint64_t bytes, char *text, size_t cap)
{
	const struct users *s = u->users;

	snprintf(text, cap,
		"a region of %" PRIu64 " bytes besides the %" PRIu64
		" that the user has is more than a fair share of [handoff] shm_total_bytes, "
		"%" PRIu64 ", of which all users together have %" PRIu64,
		bytes, u->bytes, s->settings->shm_total_bytes, s->bytes);
	return USER_E_LIMIT;
}

static int over_all_regions(const struct user *u, char *text, size_t cap)
{
	const struct users *s = u->users;

	snprintf(text, cap,
		"a region besides the %" PRIu32 " that the user has is more than a fair share of "
		"[handoff] max_regions, %" PRIu32 ", of which all users together have %" PRIu32,
		descriptors(u), s->settings->max_regions, s->regions + s->unread);
	return USER_E_LIMIT;
}

void user_charge_unread(struct user *u)
{
	struct users *s = u->users;

	s->n_owners += descriptors(u) == 0;
	u->unread++;
	s->unread++;
	u->refs++;
}

void user_refund_unread(struct user *u)
{
	struct users *s = u->users;

	assert(u->unread > 0);
	u->unread--;
	s->unread--;
	s->n_owners -= descriptors(u) == 0;
	user_unref(u);
}

static int check_regions(const struct user *u, char *text, size_t cap)
{
	const struct users *s = u->users;

	if (descriptors(u) >= s->settings->user_regions)
		return over_regions(u, text, cap);
	if (!share_allows(s->settings->max_regions, (uint64_t)s->regions + s->unread,
		    s->n_owners - (descriptors(u) > 0), descriptors(u), 1))
		return over_all_regions(u, text, cap);
	return 0;
}

static void add_region(struct user *u)
{
	u->users->n_owners += descriptors(u) == 0;
	u->regions++;
	u->users->regions++;
	u->refs++;
}

static void remove_region(struct user *u)
{
	assert(u->regions > 0);
	u->regions--;
	u->users->regions--;
	u->users->n_owners -= descriptors(u) == 0;
	user_unref(u);
}

int user_charge(struct user *u, uint64_t bytes, char *text, size_t cap)
{
	struct users *s = u->users;
	const struct handoff_settings *settings = s->settings;

	if (check_regions(u, text, cap))
		return USER_E_LIMIT;
	if (u->bytes > settings->user_bytes || bytes > settings->user_bytes - u->bytes)
		return over_user(u, bytes, text, cap);
	if (!share_allows(settings->shm_total_bytes, s->bytes, s->n_holders - (u->bytes > 0),
		    u->bytes, bytes))
		return over_share(u, bytes, text, cap);
	s->n_holders += u->bytes == 0;
	u->bytes += bytes;
	s->bytes += bytes;
	add_region(u);
	return 0;
}

void user_refund(struct user *u, uint64_t bytes)
{
	struct users *s = u->users;

	assert(u->bytes >= bytes);
	u->bytes -= bytes;
	s->bytes -= bytes;
	s->n_holders -= u->bytes == 0;
	remove_region(u);
}

/* It is the client's own: what it takes is the GPU's addresses, of which one user is not to have all. */
int user_charge_device(struct user *u, uint64_t bytes, char *text, size_t cap)
{
	uint64_t limit = u->users->settings->user_device_bytes;

	if (check_regions(u, text, cap))
		return USER_E_LIMIT;
	if (u->device_bytes > limit || bytes > limit - u->device_bytes) {
		snprintf(text, cap,
			"a region of %" PRIu64 " bytes on a GPU besides the %" PRIu64
			" that the user has there exceeds [handoff] user_device_bytes, %" PRIu64,
			bytes, u->device_bytes, limit);
		return USER_E_LIMIT;
	}
	u->device_bytes += bytes;
	u->users->device_bytes += bytes;
	add_region(u);
	return 0;
}

void user_refund_device(struct user *u, uint64_t bytes)
{
	assert(u->device_bytes >= bytes);
	u->device_bytes -= bytes;
	u->users->device_bytes -= bytes;
	remove_region(u);
}
