/* daemon.c: starts modeld as an administrator does, and stops it. */
#include "tests/gpu/check/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define READY_MS  60000
#define LINES_MAX 40
#define SETS_MAX  16

extern char **environ;

static int listen_for_ready(struct daemon *d)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/notify", d->directory);
	d->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (d->notify < 0 || bind(d->notify, (struct sockaddr *)&a, sizeof(a)))
		return -errno;
	return setenv("NOTIFY_SOCKET", a.sun_path, 1);
}

static bool wait_ready(const struct daemon *d)
{
	struct pollfd p = {.fd = d->notify, .events = POLLIN};
	char text[4096];

	while (poll(&p, 1, READY_MS) == 1) {
		ssize_t n = recv(d->notify, text, sizeof(text) - 1, 0);

		text[n > 0 ? n : 0] = 0;
		if (strstr(text, "READY=1"))
			return true;
	}
	return false;
}

static void print_log(const struct daemon *d, struct check *c, bool all)
{
	char path[96], line[1024];
	int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/log", d->directory);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f) && n < LINES_MAX) {
		if (!all && !strstr(line, " error ") && !strstr(line, " warning ") &&
			!strstr(line, "device opened"))
			continue;
		line[strcspn(line, "\n")] = 0;
		check_say(c, "    %s", line);
		n++;
	}
	if (f)
		fclose(f);
}

static int spawn_daemon(struct daemon *d, char *const *argv)
{
	posix_spawn_file_actions_t actions;
	char path[96];
	int r;

	snprintf(path, sizeof(path), "%s/log", d->directory);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(
		&actions, STDERR_FILENO, path, O_CREAT | O_WRONLY | O_APPEND, 0600);
	r = posix_spawn(&d->pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	return r;
}

bool daemon_start(
	struct daemon *d, struct check *c, const char *workers, const char *const *settings)
{
	char sets[SETS_MAX][256], program[512];
	char *argv[3 + 2 * (SETS_MAX + DAEMON_SETTINGS_MAX) + 1] = {
		program, (char *)"--config", (char *)c->config};
	uint64_t start_ns = clock_ns();
	int n = 0;

	*d = (struct daemon){.directory = "/tmp/modeld-check-XXXXXX"};
	if (!mkdtemp(d->directory) || listen_for_ready(d))
		return check_true(c, false, "a directory for the daemon");
	snprintf(program, sizeof(program), "%s/modeld", c->programs);
	snprintf(d->handoff, sizeof(d->handoff), "%s/handoff.sock", d->directory);
	snprintf(d->address, sizeof(d->address), "unix:%s/modeld.sock", d->directory);
	snprintf(sets[n++], 256, "server.listen=%s", d->address);
	snprintf(sets[n++], 256, "server.runtime_dir=%s", d->directory);
	snprintf(sets[n++], 256, "server.client_cuda_shm=local");
	snprintf(sets[n++], 256, "handoff.user_device_bytes=1G");
	snprintf(sets[n++], 256, "models.repository=%s", c->models);
	snprintf(sets[n++], 256, "models.default=identity");
	snprintf(sets[n++], 256, "worker.workers=%s", workers);
	snprintf(sets[n++], 256, "worker.program=%s", c->worker);
	snprintf(sets[n++], 256, "worker.backend_dirs=%s", c->backends);
	snprintf(sets[n++], 256, "worker.output_arena_bytes=512M");
	snprintf(sets[n++], 256, "memory.input_arena_bytes=512M");
	for (int i = 0; i < n; i++) {
		argv[3 + 2 * i] = (char *)"--set";
		argv[4 + 2 * i] = sets[i];
	}
	for (; settings && *settings; settings++, n++) {
		argv[3 + 2 * n] = (char *)"--set";
		argv[4 + 2 * n] = (char *)*settings;
	}
	if (spawn_daemon(d, argv) || !wait_ready(d)) {
		print_log(d, c, true);
		return check_true(c, false, "the daemon with workers %s is ready", workers);
	}
	d->start_ms = (double)(clock_ns() - start_ns) / 1e6;
	return true;
}

void daemon_stop(struct daemon *d, struct check *c)
{
	int status = -1;

	kill(d->pid, SIGTERM);
	waitpid(d->pid, &status, 0);
	check_true(c, WIFEXITED(status) && WEXITSTATUS(status) == 0, "the daemon ends well");
	close(d->notify);
	print_log(d, c, false);
}
