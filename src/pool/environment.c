/*
 * environment.c: CUDA_VISIBLE_DEVICES decides what a process sees, and what it is number 0 of.
 * CUDA_DEVICE_ORDER makes numbers mean the same to everybody; CUDA's own order puts the fastest first.
 * Daemon process, loop thread.
 */
#include "pool/environment.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/device_name.h"
#include "base/digits.h"

#define VISIBLE	     "CUDA_VISIBLE_DEVICES="
#define ORDER	     "CUDA_DEVICE_ORDER="
#define ORDER_BY_BUS ORDER "PCI_BUS_ID"
#define OURS	     3u /* variables */

/* A library of ONNX Runtime's may send telemetry from when it is opened on: it has none, unless somebody says so. */
static const char no_telemetry[] = "ORT_DISABLE_TELEMETRY=1";

/* What others said to the daemon alone: a worker must not speak for it, nor take its sockets. */
static const char *const private_names[] = {"NOTIFY_SOCKET=", "WATCHDOG_USEC=", "WATCHDOG_PID=",
	"LISTEN_FDS=", "LISTEN_PID=", "LISTEN_FDNAMES="};

static bool is(const char *entry, const char *name)
{
	return !strncmp(entry, name, strlen(name));
}

/* Does the list have the entry's variable? */
static bool has(const char *const *list, const char *entry)
{
	for (; *list; list++) {
		if (!strncmp(*list, entry, strcspn(*list, "=") + 1))
			return true;
	}
	return false;
}

static bool is_passed_on(const char *entry)
{
	for (size_t i = 0; i < sizeof(private_names) / sizeof(private_names[0]); i++) {
		if (is(entry, private_names[i]))
			return false;
	}
	return !is(entry, VISIBLE) && !is(entry, ORDER);
}

/* The n-th of a list separated by commas; ret_length: 0 where there is none. */
static const char *nth(const char *list, uint64_t n, size_t *ret_length)
{
	for (; n > 0; n--) {
		list += strcspn(list, ",");
		if (!*list)
			break;
		list++;
	}
	*ret_length = strcspn(list, ",");
	return list;
}

const char *environment_visible(const char *device, size_t *ret_length)
{
	const char *name = device_name_gpu(device);
	const char *seen = getenv("CUDA_VISIBLE_DEVICES");
	uint64_t n;

	*ret_length = 0;
	if (!name)
		return "";
	if (seen && !decimal_parse(name, &n))
		return nth(seen, n, ret_length);
	*ret_length = strlen(name);
	return name;
}

int environment_new(
	char ***ret_env, const char *device, const char *const *more, const char *const *rest)
{
	static const char *const none[] = {NULL};
	size_t n = 0, n_more = 0, n_rest = 0, at = 0, length, text_bytes;
	const char *value = environment_visible(device, &length);
	char **env;
	char *text;

	more = more ? more : none;
	rest = rest ? rest : none;
	while (environ[n])
		n++;
	while (more[n_more])
		n_more++;
	while (rest[n_rest])
		n_rest++;
	text_bytes = sizeof(VISIBLE) + length;
	env = malloc((n + n_more + n_rest + OURS + 1) * sizeof(*env) + text_bytes +
		     sizeof(ORDER_BY_BUS));
	if (!env)
		return -ENOMEM;
	text = (char *)(env + n + n_more + n_rest + OURS + 1);
	for (size_t i = 0; i < n; i++) {
		if (is_passed_on(environ[i]) && !has(more, environ[i]) && !has(rest, environ[i]))
			env[at++] = environ[i];
	}
	for (size_t i = 0; i < n_more; i++) {
		if (is_passed_on(more[i]))
			env[at++] = (char *)more[i];
	}
	for (size_t i = 0; i < n_rest; i++) {
		if (!has(more, rest[i]))
			env[at++] = (char *)rest[i];
	}
	snprintf(text, text_bytes, VISIBLE "%.*s", (int)length, value);
	memcpy(text + text_bytes, ORDER_BY_BUS, sizeof(ORDER_BY_BUS));
	env[at++] = text;
	env[at++] = text + text_bytes;
	env[at] = NULL;
	if (!has((const char *const *)env, no_telemetry))
		env[at++] = (char *)no_telemetry;
	env[at] = NULL;
	*ret_env = env;
	return 0;
}
