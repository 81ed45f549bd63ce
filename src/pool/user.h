/* user.h: which user a worker is, in words of its environment. For src/pool, and for who tries models without one. */
#ifndef POOL_USER_H
#define POOL_USER_H

#include <stddef.h>
#include <stdint.h>

struct pool_users;

/* Variables of a sandbox (pool_settings.sandbox), at most, with the user's and the NULL at the end. */
#define USER_LIST_MAX 8u

struct user_environment {
	const char *list[USER_LIST_MAX]; /* borrow */
	char text[64];
};

/* What the worker in this place is to give up, and who it is to be (docs/protocol.md). sandbox: as pool_settings.sandbox. Borrows from it and *e. NULL:
 * nothing */
const char *const *user_environment(struct user_environment *e, const char *const *sandbox,
	const struct pool_users *users, uint32_t place);

#endif
