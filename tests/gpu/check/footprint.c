/*
 * footprint.c: the memory of a worker that has nothing loaded: of the host, as the kernel counts it, and of the GPU, as the driver's
 * management library does, which is right only where nobody else uses it meanwhile.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/nvml.h"
#include "tests/gpu/check/check.h"
#include "tests/gpu/check/daemon.h"

/* Bytes that are in use on the first GPU; NVML_UNKNOWN. */
static int64_t gpu_used(void)
{
	_cleanup_(nvml_closep) struct nvml *n = NULL;
	struct nvml_gpu gpu;

	if (nvml_open(&n) || nvml_count(n) == 0 || !nvml_read(n, 0, &gpu))
		return NVML_UNKNOWN;
	return gpu.memory_used_bytes;
}

/* The daemon's first child, its worker; 0: it has none. */
static pid_t child_of(pid_t pid)
{
	char path[64], text[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(text, sizeof(text), f))
		text[0] = 0;
	fclose(f);
	return (pid_t)strtol(text, NULL, 10);
}

/* Kilobytes; 0: it is not told. */
static unsigned long resident(pid_t pid)
{
	unsigned long kb = 0;
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && kb == 0 && fgets(line, sizeof(line), f)) {
		if (!strncmp(line, "VmRSS:", 6))
			kb = strtoul(line + 6, NULL, 10);
	}
	if (f)
		fclose(f);
	return kb;
}

static void say_gpu(struct check *c, int64_t before, int64_t now)
{
	if (before == NVML_UNKNOWN || now == NVML_UNKNOWN)
		check_say(c, "- of the GPU: the driver's management library does not say");
	else
		check_say(c, "- of the GPU: %.0f MiB", (double)(now - before) / (double)MIB);
}

void check_footprint(struct check *c)
{
	static const char *const nothing[] = {"models.control=explicit", NULL};
	int64_t before = gpu_used();
	struct daemon d;
	unsigned long kb;
	pid_t worker;

	check_heading(c, "Memory of a worker with nothing loaded");
	if (!daemon_start(&d, c, "cuda:0", nothing))
		return;
	worker = child_of(d.pid);
	kb = worker > 0 ? resident(worker) : 0;
	if (kb > 0)
		check_say(c, "- of the host, resident: %.0f MiB", (double)kb / 1024);
	else
		check_say(c, "- of the host: this kernel does not say");
	say_gpu(c, before, gpu_used());
	daemon_stop(&d, c);
}
