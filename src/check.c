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
#include "base/places.h"

struct check {
	const struct config *config; /* borrow */
	FILE *out;		     /* borrow */
	unsigned n_faults;
};

/* A key, as its file has it. */
struct key {
	const char *section, *name;
};

static void line(const struct check *k, struct key key, const char *what, const char *why)
{
	const char *where = config_where(k->config, key.section, key.name);

	fprintf(k->out, "modeld: %s%s[%s] %s: %s: %s\n", where ? where : "", where ? ": " : "",
		key.section, key.name, what, why);
}

static void fault(struct check *k, struct key key, const char *what, const char *why)
{
	line(k, key, what, why);
	k->n_faults++;
}

static int try_bind(const struct address *a)
{
	_cleanup_(close_fd) int fd = socket(a->socket.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : inet_bind(fd, a);
}

/* address_parse() says which address it is, and so do we. */
static const char *behind(const char *why, const char *text)
{
	size_t n = strlen(text);

	return !strncmp(why, text, n) && !strncmp(why + n, ": ", 2) ? why + n + 2 : why;
}

/* Nothing is looked up for a Unix socket. */
static bool check_unix(struct check *k, struct key key, const char *text)
{
	struct address all[ADDRESSES_MAX];
	char why[256];
	size_t n;

	if (!address_parse(text, all, &n, why, sizeof(why)))
		return true;
	fault(k, key, text, behind(why, text));
	return false;
}

static void check_inet(struct check *k, struct key key, const char *text)
{
	struct address all[ADDRESSES_MAX];
	char why[256];
	size_t n = 0;
	int r = address_parse(text, all, &n, why, sizeof(why));
	bool can = false;

	if (r) {
		fault(k, key, text, behind(why, text));
		return;
	}
	for (size_t i = 0; i < n; i++) {
		int e = try_bind(&all[i]);

		if (e == -EADDRINUSE)
			line(k, key, text, "another process has it now");
		can |= !e || e == -EADDRINUSE;
		r = e ? e : r;
	}
	/* Of several those that this host lacks are left out. */
	if (!can)
		fault(k, key, text, err_str(r));
}

/* Where a Unix socket goes; the runtime directory is looked at by itself. */
static void check_directory(struct check *k, struct key key, const char *socket_path)
{
	const char *slash = strrchr(socket_path, '/');
	char directory[4096];
	int n = slash ? snprintf(directory, sizeof(directory), "%.*s",
				slash == socket_path ? 1 : (int)(slash - socket_path), socket_path)
		      : -1;

	if (*socket_path == '@' || n < 0 || (size_t)n >= sizeof(directory) ||
		!strcmp(directory, k->config->runtime_dir))
		return;
	if (access(directory, W_OK | X_OK))
		fault(k, key, directory, err_str(-errno));
}

static void check_listen(struct check *k)
{
	const char *const *listen = k->config->frontend.listen;

	for (size_t i = 0; listen[i]; i++) {
		const struct key key = {"server", "listen"};

		if (!address_text_is_unix(listen[i]))
			check_inet(k, key, listen[i]);
		else if (check_unix(k, key, listen[i]))
			check_directory(k, key, listen[i] + strlen("unix:"));
	}
	if (k->config->metrics.listen && *k->config->metrics.listen)
		check_inet(k, (struct key){"metrics", "listen"}, k->config->metrics.listen);
}

static void check_group(struct check *k, struct key key, const char *name)
{
	if (name && *name && !getgrnam(name))
		fault(k, key, name, "there is no such group");
}

static void check_programs(struct check *k)
{
	const struct pool_settings *p = &k->config->pool;

	for (size_t i = 0; i < p->n_programs; i++) {
		const char *const *argv = p->programs[i].argv;
		/* The launcher of the sandbox runs it. */
		const char *program =
			argv[1] && !strcmp(argv[1], "--run") && argv[2] ? argv[2] : argv[0];

		const char *where =
			config_where_setting(k->config, p->programs[i].backend, "worker");

		/* Those that nobody asked for may be missing. */
		if (!where || !access(program, X_OK))
			continue;
		fprintf(k->out, "modeld: %s: [backend.%s] worker: %s: %s\n", where,
			p->programs[i].backend, program, err_str(-errno));
		k->n_faults++;
	}
}

static bool runs_python(const struct config *c, const char *backend, size_t n)
{
	const struct pool_settings *p = &c->pool;

	for (size_t i = 0; i < p->n_programs; i++) {
		const char *const *last = p->programs[i].argv;
		const char *slash;

		while (last[1])
			last++;
		slash = strrchr(*last, '/');
		if (!strncmp(p->programs[i].backend, backend, n) && !p->programs[i].backend[n])
			return !strcmp(slash ? slash + 1 : *last, "modeld-python");
	}
	return false;
}

/* One without a slash in front is below each model's directory. */
static void check_interpreters(struct check *k)
{
	for (size_t i = 0; i < k->config->pool.n_settings; i++) {
		const struct wire_pair *s = &k->config->pool.settings[i];
		size_t n = strcspn(s->key, ".");
		char section[300];
		const char *where;

		if (strcmp(s->key + n, ".interpreter") != 0 || *s->value != '/' ||
			!runs_python(k->config, s->key, n) || !access(s->value, X_OK))
			continue;
		snprintf(section, sizeof(section), "%.*s", (int)n, s->key);
		where = config_where_setting(k->config, section, "interpreter");
		fprintf(k->out, "modeld: %s: [backend.%s] interpreter: %s: %s\n",
			where ? where : "", section, s->value, err_str(-errno));
		k->n_faults++;
	}
}

/* It is there, or its parent is and we may make it. */
static void check_runtime_dir(struct check *k)
{
	const char *path = k->config->runtime_dir;

	if (!mkdir(path, 0755)) {
		if (rmdir(path))
			fault(k, (struct key){"server", "runtime_dir"}, path, err_str(-errno));
		return;
	}
	if (errno != EEXIST)
		fault(k, (struct key){"server", "runtime_dir"}, path, err_str(-errno));
	else if (access(path, W_OK | X_OK))
		fault(k, (struct key){"server", "runtime_dir"}, path, err_str(-errno));
	else if (places_is_own_dir(path) && !places_is_ours(path))
		fault(k, (struct key){"server", "runtime_dir"}, path,
			"it is not this user's alone");
}

unsigned check_surroundings(const struct config *c, FILE *out)
{
	struct check k = {.config = c, .out = out};

	check_listen(&k);
	check_group(&k, (struct key){"server", "unix_group"}, c->frontend.unix_group);
	check_group(&k, (struct key){"handoff", "unix_group"}, c->handoff.unix_group);
	if (config_needs_runtime_dir(c))
		check_runtime_dir(&k);
	if (c->handoff.socket && *c->handoff.socket)
		check_directory(&k, (struct key){"handoff", "socket"}, c->handoff.socket);
	check_programs(&k);
	check_interpreters(&k);
	if (access(c->pool.worker_program, X_OK))
		fault(&k, (struct key){"worker", "program"}, c->pool.worker_program,
			err_str(-errno));
	return k.n_faults;
}
