/* user.c: see user.h. Daemon process, loop thread. */
#include "pool/user.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "pool/pool.h"

const char *const *user_environment(struct user_environment *e, const char *const *sandbox,
	const struct pool_users *users, uint32_t place)
{
	size_t n = 0;

	if (users->n == 0)
		return sandbox;
	while (sandbox && sandbox[n]) {
		assert(n + 2 < USER_LIST_MAX);
		e->list[n] = sandbox[n];
		n++;
	}
	snprintf(e->text, sizeof(e->text), "MODELD_SANDBOX_USER=%" PRIu32 ":%" PRIu32,
		users->uid + place % users->n, users->gid);
	e->list[n++] = e->text;
	e->list[n] = NULL;
	return e->list;
}
