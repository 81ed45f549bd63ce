/*
 * places.h: where the daemon and its clients look for each other when nobody says so. Clients in other languages look in
 * the same order (clients/python/modeld/_places.py).
 *
 *   1. $MODELD_ADDRESS, and nowhere else where it is set
 *   2. $XDG_RUNTIME_DIR/modeld/modeld.sock    a daemon of the user's own; for a user who has no such variable, and is not
 *      root, /tmp/modeld-UID/modeld.sock
 *   3. /run/modeld/modeld.sock                the host's
 *   4. 127.0.0.1:50052                        the same over TCP, also where it runs in a checkout
 */
#ifndef BASE_PLACES_H
#define BASE_PLACES_H

#include <stdbool.h>
#include <stddef.h>

#define PLACES_USER_DIR	  "modeld"	 /* in $XDG_RUNTIME_DIR */
#define PLACES_OWN	  "/tmp/modeld-" /* and the user's number */
#define PLACES_SYSTEM_DIR "/run/modeld"
#define PLACES_SOCKET	  "modeld.sock"
#define PLACES_HANDOFF	  "handoff.sock" /* beside it */
#define PLACES_TCP	  "127.0.0.1:50052"
#define PLACES_MAX	  3u
#define PLACES_OWN_MAX	  32u

/* Addresses, the first that answers being meant. Must not move: some point into it. */
struct places {
	size_t n; /* at least 1 */
	const char *address[PLACES_MAX];
	char user[128];
};

/* given: what the caller was told, borrowed; NULL or "": nothing. Looks at the environment, which is borrowed likewise. */
void places_list(struct places *p, const char *given);
/*
 * /tmp/modeld-UID. Anybody may make it first: it counts only where places_is_ours(). Then nobody else can rename or remove
 * it, since only owners may in /tmp.
 */
void places_own_dir(char out[PLACES_OWN_MAX]);
bool places_is_own_dir(const char *path);
/* A directory, no link to one, of this user's, that nobody else may enter. */
bool places_is_ours(const char *directory);
/* The handoff socket beside a Unix socket of gRPC, as a path. False: the address is no such socket, or it has no room. */
bool places_handoff(const char *address, char *out, size_t cap);

#endif
