/* places.c: the order of places.h. Any process, any thread that nobody changes the environment beside. */
#include "base/places.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PATH_MAX_UNIX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static const char *variable(const char *name)
{
	const char *value = secure_getenv(name);

	return value && *value ? value : NULL;
}

void places_own_dir(char out[PLACES_OWN_MAX])
{
	(void)snprintf(out, PLACES_OWN_MAX, PLACES_OWN "%u", (unsigned)geteuid());
}

bool places_is_own_dir(const char *path)
{
	char own[PLACES_OWN_MAX];

	places_own_dir(own);
	return !strcmp(path, own);
}

bool places_is_ours(const char *directory)
{
	struct stat st;

	return !lstat(directory, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() &&
	       !(st.st_mode & (S_IRWXG | S_IRWXO));
}

static void add_user(struct places *p)
{
	const char *directory = variable("XDG_RUNTIME_DIR");
	char own[PLACES_OWN_MAX];
	int n;

	places_own_dir(own);
	if (directory)
		n = snprintf(p->user, sizeof(p->user), "unix:%s/" PLACES_USER_DIR "/" PLACES_SOCKET,
			directory);
	else if (geteuid() != 0 && places_is_ours(own))
		n = snprintf(p->user, sizeof(p->user), "unix:%s/" PLACES_SOCKET, own);
	else
		return;
	if (n > 0 && (size_t)n <= strlen("unix:") + PATH_MAX_UNIX)
		p->address[p->n++] = p->user;
}

void places_list(struct places *p, const char *given)
{
	const char *only = given && *given ? given : variable("MODELD_ADDRESS");

	p->n = 0;
	if (only) {
		p->address[p->n++] = only;
		return;
	}
	add_user(p);
	p->address[p->n++] = "unix:" PLACES_SYSTEM_DIR "/" PLACES_SOCKET;
	p->address[p->n++] = PLACES_TCP;
}

bool places_handoff(const char *address, char *out, size_t cap)
{
	const char *slash;
	int n;

	if (strncmp(address, "unix:", 5) != 0)
		return false;
	address += 5;
	slash = strrchr(address, '/');
	n = snprintf(
		out, cap, "%.*s" PLACES_HANDOFF, slash ? (int)(slash - address) + 1 : 0, address);
	return n > 0 && (size_t)n < cap;
}
