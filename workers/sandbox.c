/*
 * sandbox.c: the parts in their order: no new privileges first, which the others ask for. Worker
 * process, its one thread.
 */
#include "workers/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "workers/sandbox_private.h"

static const char *const mode_names[] = {
	[SANDBOX_OFF] = "off",
	[SANDBOX_RELAXED] = "relaxed",
	[SANDBOX_ON] = "on",
};

int sandbox_options_read(struct sandbox_options *o)
{
	const char *mode = getenv(SANDBOX_MODE);
	uint32_t uid, gid;

	o->read = getenv(SANDBOX_READ);
	o->write = getenv(SANDBOX_WRITE);
	o->models = getenv(SANDBOX_MODELS);
	o->user = getenv(SANDBOX_USER);
	o->mode = SANDBOX_OFF;
	if (o->user && sandbox_user_parse(o->user, &uid, &gid))
		return -EINVAL;
	if (!mode)
		return 0;
	for (size_t i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++) {
		if (!strcmp(mode, mode_names[i])) {
			o->mode = (enum sandbox_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Append to a list with commas. What does not fit is cut off: it is for people. */
__attribute__((format(printf, 2, 3))) static void add(char *text, const char *format, ...)
{
	size_t n = strlen(text);
	va_list list;

	if (n > 0 && text[n - 1] != ' ')
		n += (size_t)snprintf(text + n, SANDBOX_TEXT_MAX - n, ", ");
	if (n >= SANDBOX_TEXT_MAX)
		return;
	va_start(list, format);
	vsnprintf(text + n, SANDBOX_TEXT_MAX - n, format, list);
	va_end(list);
}

static int restrict_files(
	const struct sandbox_options *o, int version, struct sandbox_report *report)
{
	int r;

	if (version < 0) {
		add(report->lacks, "files (Landlock): %s", err_str(version));
		return 0;
	}
	r = sandbox_files_restrict(o, version);
	if (!r)
		add(report->state, "files (Landlock %d)", version);
	return r;
}

static int restrict_calls(
	const struct sandbox_options *o, int version, struct sandbox_report *report)
{
	int r = sandbox_calls_known();

	if (r) {
		add(report->lacks, "system calls (seccomp): %s", err_str(r));
		return 0;
	}
	r = sandbox_calls_restrict(o, !sandbox_files_keep_signals(version));
	if (!r)
		add(report->state, "system calls");
	return r;
}

/* Where the daemon is root its workers are, too, unless they are somebody else, and only that: files may belong to anybody, and memory may be
 * locked. Who has no capabilities loses none. */
static int drop_capabilities(bool all)
{
	const uint64_t some = UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_DAC_READ_SEARCH |
			      UINT64_C(1) << CAP_IPC_LOCK;
	const uint64_t kept = all ? 0 : some;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};
	uint32_t any = 0;

	if (syscall(SYS_capget, &header, sets))
		return -errno;
	for (unsigned i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		uint32_t mask = (uint32_t)(kept >> (32 * i));

		any |= sets[i].permitted & ~mask;
		sets[i].permitted &= mask;
		sets[i].effective &= mask;
		sets[i].inheritable = 0;
	}
	/* A service manager that has taken them may have taken the call, too. */
	return any && syscall(SYS_capset, &header, sets) ? -errno : 0;
}

/* It says so where it has become somebody else. */
static int change_user(const struct sandbox_options *o, struct sandbox_report *report)
{
	uint32_t uid, gid;
	int r;

	if (!o->user)
		return 0;
	r = sandbox_user_parse(o->user, &uid, &gid);
	if (!r)
		r = sandbox_user_become(uid, gid);
	if (!r)
		r = drop_capabilities(true);
	if (!r)
		add(report->state, "user %u", (unsigned)uid);
	return r;
}

static int give_up(const struct sandbox_options *o, struct sandbox_report *report)
{
	int version;
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	add(report->state, "no new privileges");
	r = drop_capabilities(o->user != NULL);
	if (r)
		return r;
	version = sandbox_files_version();
	r = restrict_files(o, version, report);
	return r ? r : restrict_calls(o, version, report);
}

int sandbox_apply(const struct sandbox_options *o, struct sandbox_report *report)
{
	int r;

	report->lacks[0] = '\0';
	snprintf(report->state, sizeof(report->state), "%s%s", mode_names[o->mode],
		o->mode == SANDBOX_OFF && !o->user ? "" : ": ");
	r = change_user(o, report);
	if (r || o->mode == SANDBOX_OFF)
		return r;
	r = give_up(o, report);
	if (!r && o->mode == SANDBOX_RELAXED)
		add(report->state, "but for programs, sockets and temporary files");
	return r;
}

void sandbox_close(void)
{
	struct sandbox_options o = {0};
	struct rlimit core;

	/* 1 byte is what the daemon sets where there are to be none. */
	if (sandbox_options_read(&o) || o.mode == SANDBOX_OFF ||
		(!getrlimit(RLIMIT_CORE, &core) && core.rlim_cur > 1))
		return;
	/* The only value that can be refused is one that is not known. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}
