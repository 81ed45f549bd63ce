/* check.c: each thing is tried as start-up would, and undone. Daemon process, before it serves. */
#include "check.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/address.h"
#include "base/err.h"
#include "base/inet_bind.h"

struct check {
	const struct config *config; /* borrow */
	FILE *out;		     /* borrow */
	unsigned n_faults;
};

static void fault(struct check *k, const char *key, const char *what, const char *why)
{
	fprintf(k->out, "modeld: %s: %s: %s\n", key, what, why);
	k->n_faults++;
}

static int try_bind(const struct address *a)
{
	_cleanup_(close_fd) int fd = socket(a->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : inet_bind(fd, a);
}

static void check_inet(struct check *k, const char *key, const char *text)
{
	struct address all[ADDRESSES_MAX];
	char why[256];
	size_t n = 0;
	int r = address_parse(text, all, &n, why, sizeof(why));
	bool can = false;

	if (r) {
		fault(k, key, text, why);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		int e = try_bind(&all[i]);

		if (e == -EADDRINUSE)
			fprintf(k->out, "modeld: %s: %s: another process has it now\n", key, text);
		can |= !e || e == -EADDRINUSE;
		r = e ? e : r;
	}
	/* Of several those that this host lacks are left out. */
	if (!can)
		fault(k, key, text, err_str(r));
}

static void check_listen(struct check *k)
{
	const char *const *listen = k->config->frontend.listen;

	for (size_t i = 0; listen[i]; i++) {
		if (!address_text_is_unix(listen[i]))
			check_inet(k, "[server] listen", listen[i]);
	}
	if (k->config->metrics.listen && *k->config->metrics.listen)
		check_inet(k, "[metrics] listen", k->config->metrics.listen);
}

static void check_group(struct check *k, const char *key, const char *name)
{
	if (name && *name && !getgrnam(name))
		fault(k, key, name, "there is no such group");
}

/* It is there, or its parent is and we may make it. */
static void check_runtime_dir(struct check *k)
{
	const char *path = k->config->runtime_dir;

	if (!mkdir(path, 0755)) {
		if (rmdir(path))
			fault(k, "[server] runtime_dir", path, err_str(-errno));
		return;
	}
	if (errno != EEXIST)
		fault(k, "[server] runtime_dir", path, err_str(-errno));
	else if (access(path, W_OK | X_OK))
		fault(k, "[server] runtime_dir", path, err_str(-errno));
}

unsigned check_surroundings(const struct config *c, FILE *out)
{
	struct check k = {.config = c, .out = out};

	check_listen(&k);
	check_group(&k, "[server] unix_group", c->frontend.unix_group);
	check_group(&k, "[handoff] unix_group", c->handoff.unix_group);
	if (config_needs_runtime_dir(c))
		check_runtime_dir(&k);
	if (access(c->pool.worker_program, X_OK))
		fault(&k, "[worker] program", c->pool.worker_program, err_str(-errno));
	return k.n_faults;
}
