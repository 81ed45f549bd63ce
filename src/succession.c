/* succession.c: posix_spawn() with the sockets where sd_listen_fds(3) has them, and the channel behind. */
#include "succession.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/digits.h"
#include "base/err.h"
#include "base/given_sockets.h"
#include "base/log.h"

#define CHANNEL_VARIABLE "MODELD_PREDECESSOR"
#define PID_TEXT_MAX	 16
/* Above where descriptors are put for the new process, so that none is overwritten before it is copied. */
#define CLEAR_OF_ALL (GIVEN_SOCKETS_FIRST + (int)SUCCESSION_SOCKETS_MAX + 1)

extern char **environ;

static void on_closed(uv_handle_t *h)
{
	free(h);
}

static void end_channel(struct succession *s)
{
	if (s->poll) {
		uv_poll_stop(s->poll);
		uv_close((uv_handle_t *)s->poll, on_closed);
	}
	s->poll = NULL;
	close_fd(&s->fd);
}

/* "4711\n"; 0: that is no pid. */
static pid_t parse_pid(char *text)
{
	uint64_t pid;

	text[strcspn(text, "\n")] = 0;
	return !decimal_parse(text, &pid) && pid <= INT32_MAX ? (pid_t)pid : 0;
}

/* Of the old one. Whatever is no pid is the end. */
static void hear_successor(struct succession *s, char *text)
{
	pid_t pid = parse_pid(text);

	if (s->told)
		return;
	if (pid > 0) {
		s->told = true;
		s->successor = pid;
		s->events->on_successor(s->data, pid);
		return;
	}
	pid = s->successor;
	log_error("the process that was to take our place has ended; this one goes on",
		"started=%d", (int)pid);
	end_channel(s);
	s->successor = 0;
	s->events->on_failure(s->data, pid);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct succession *s = poll->data;
	char text[PID_TEXT_MAX] = "";
	ssize_t n = recv(s->fd, text, sizeof(text) - 1, MSG_DONTWAIT);
	bool early = !s->told;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (s->successor) {
		hear_successor(s, text);
		return;
	}
	end_channel(s);
	s->events->on_alone(s->data, early);
}

/* Takes fd. */
static int watch(struct succession *s, int fd)
{
	uv_poll_t *poll = malloc(sizeof(*poll));
	int r = poll ? uv_poll_init(s->loop, poll, fd) : -ENOMEM;

	s->fd = fd;
	if (r) {
		free(poll);
		close_fd(&s->fd);
		return r;
	}
	poll->data = s;
	s->poll = poll;
	r = uv_poll_start(poll, UV_READABLE, on_poll);
	if (r)
		end_channel(s);
	return r;
}

void succession_detach(void)
{
	/* Where it cannot, it stays a child of the daemon before it, which works as well until that one ends. */
	if (getenv(CHANNEL_VARIABLE) && fork() > 0) /* allow: one thread, and nothing opened yet */
		_exit(0);
}

int succession_init(
	struct succession *s, uv_loop_t *loop, const struct succession_events *events, void *data)
{
	const char *text = getenv(CHANNEL_VARIABLE);
	uint64_t fd = 0;
	bool given = text && !decimal_parse(text, &fd) && fd <= INT32_MAX;

	*s = (struct succession){.loop = loop, .events = events, .data = data, .fd = -1};
	unsetenv(CHANNEL_VARIABLE);
	if (!given || fcntl((int)fd, F_SETFD, FD_CLOEXEC))
		return 0;
	return watch(s, (int)fd);
}

bool succession_has_predecessor(const struct succession *s)
{
	return s->fd >= 0 && s->successor == 0;
}

void succession_tell(struct succession *s)
{
	char text[PID_TEXT_MAX];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	s->told = true;
	/* Where nobody hears it, the end of file says so. */
	if (send(s->fd, text, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n)
		log_warning(
			"the daemon before this one cannot be told", "error=%s", err_str(-errno));
}

/* --- The start ---------------------------------------------------------------------------------- */

/* The new one's environment: what the old one was told by its manager counts for it, but for the process that is meant. */
struct surroundings {
	char sockets[32], channel[48];
	char **env; /* own */
};

static bool is_of(const char *entry, const char *name)
{
	size_t n = strlen(name);

	return !strncmp(entry, name, n) && entry[n] == '=';
}

static int surround(struct surroundings *x, size_t n_sockets)
{
	size_t n = 0, k = 0;

	while (environ[n])
		n++;
	x->env = calloc(n + 3, sizeof(*x->env));
	if (!x->env)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!is_of(environ[i], "WATCHDOG_PID") && !is_of(environ[i], "LISTEN_PID") &&
			!is_of(environ[i], "LISTEN_FDS") && !is_of(environ[i], CHANNEL_VARIABLE))
			x->env[k++] = environ[i];
	}
	snprintf(x->sockets, sizeof(x->sockets), "LISTEN_FDS=%zu", n_sockets);
	snprintf(x->channel, sizeof(x->channel), CHANNEL_VARIABLE "=%zu",
		GIVEN_SOCKETS_FIRST + n_sockets);
	x->env[k++] = x->sockets;
	x->env[k] = x->channel;
	return 0;
}

struct copies {
	int fds[SUCCESSION_SOCKETS_MAX + 1]; /* own; the channel is the last */
	size_t n;
};

static void copies_close(struct copies *c)
{
	while (c->n > 0)
		close_fd(&c->fds[--c->n]);
}

static int copy(struct copies *c, int fd)
{
	int other = fcntl(fd, F_DUPFD_CLOEXEC, CLEAR_OF_ALL);

	if (other < 0)
		return -errno;
	c->fds[c->n++] = other;
	return 0;
}

static int spawn_with(const char *program, char *const *argv, char *const *env,
	const struct copies *c, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r = posix_spawn_file_actions_init(&actions);

	if (r)
		return -r;
	posix_spawnattr_init(&attributes);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(&attributes, &none);
	posix_spawnattr_setsigdefault(&attributes, &all);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	for (size_t i = 0; !r && i < c->n; i++)
		r = posix_spawn_file_actions_adddup2(
			&actions, c->fds[i], GIVEN_SOCKETS_FIRST + (int)i);
	if (!r)
		r = posix_spawn(ret_pid, program, &actions, &attributes, argv, env);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

static int spawn_successor(const char *program, char *const *argv, const int *sockets, size_t n,
	int channel, pid_t *ret_pid)
{
	_cleanup_(copies_close) struct copies c = {0};
	struct surroundings x = {.env = NULL};
	int r = 0;

	for (size_t i = 0; !r && i < n; i++)
		r = copy(&c, sockets[i]);
	if (!r)
		r = copy(&c, channel);
	if (!r)
		r = surround(&x, n);
	if (!r)
		r = spawn_with(program, argv, x.env, &c, ret_pid);
	free(x.env);
	return r;
}

int succession_begin(struct succession *s, const char *program, char *const *argv,
	const int *sockets, size_t n_sockets)
{
	int pair[2], r;
	pid_t pid = 0;

	if (s->fd >= 0)
		return -EBUSY;
	if (getpid() == 1)
		return -EPERM;
	if (n_sockets > SUCCESSION_SOCKETS_MAX)
		return -EMFILE;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return -errno;
	r = spawn_successor(program, argv, sockets, n_sockets, pair[1], &pid);
	close(pair[1]);
	if (r) {
		close(pair[0]);
		return r;
	}
	s->successor = pid;
	s->told = false;
	/* Where it cannot be watched, the end of its channel ends it. */
	r = watch(s, pair[0]);
	if (r)
		s->successor = 0;
	return r;
}

void succession_let_go(struct succession *s)
{
	end_channel(s);
}

void succession_close(struct succession *s)
{
	if (s->loop)
		end_channel(s);
}
