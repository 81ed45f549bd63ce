/* user.c: see user.h. Daemon process, loop thread. */
#include "pool/user.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "pool/pool.h"

const char *const *user_environment(
	struct user_environment *e, const struct pool_settings *s, uint32_t place)
{
	const struct pool_users *u = &s->users;
	size_t n = 0;

	if (u->n == 0)
		return s->sandbox;
	while (s->sandbox && s->sandbox[n]) {
		assert(n + 2 < USER_LIST_MAX);
		e->list[n] = s->sandbox[n];
		n++;
	}
	snprintf(e->text, sizeof(e->text), "MODELD_SANDBOX_USER=%" PRIu32 ":%" PRIu32,
		u->uid + place % u->n, u->gid);
	e->list[n++] = e->text;
	e->list[n] = NULL;
	return e->list;
}
