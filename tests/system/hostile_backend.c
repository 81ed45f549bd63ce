/*
 * hostile_backend.c: a backend that was taken over: asked by its input, it tries to reach what is not a model's
 * business. "PID PATH": everything, against that process and that file; the answer has a line an attempt: its name and the
 * errno, 0 where it worked, or is "itself". "child": leaves a process behind; the answer is its pid.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "one_tensor_backend.h"

static const struct modeld_declaration inputs[] = {{.size = sizeof(struct modeld_declaration),
	.name = "INPUT",
	.dtype = MODELD_DTYPE_U8,
	.rank = 1,
	.dims = {-1}}};
static const struct modeld_declaration outputs[] = {{.size = sizeof(struct modeld_declaration),
	.name = "OUTPUT",
	.dtype = MODELD_DTYPE_U8,
	.rank = 1,
	.dims = {-1}}};

static int pid;
static char path[4096];
static char text[65536];

static void tell(const char *name, long result)
{
	size_t n = strlen(text);

	snprintf(text + n, sizeof(text) - n, "%s %d\n", name, result < 0 ? errno : 0);
}

static long open_of(const char *format, int flags)
{
	char name[64];

	snprintf(name, sizeof(name), format, pid);
	return open(name, flags);
}

static void try_processes(void)
{
	char byte;
	struct iovec to = {&byte, 1}, from = {&byte, 1};
	long fd = syscall(SYS_pidfd_open, pid, 0);

	tell("ptrace", ptrace(PTRACE_ATTACH, pid, NULL, NULL));
	tell("process_vm_readv", process_vm_readv(pid, &to, 1, &from, 1, 0));
	tell("process_vm_writev", process_vm_writev(pid, &to, 1, &from, 1, 0));
	tell("memory for reading", open_of("/proc/%d/mem", O_RDONLY));
	tell("memory for writing", open_of("/proc/%d/mem", O_RDWR));
	tell("mappings", open_of("/proc/%d/maps", O_RDONLY));
	tell("environment", open_of("/proc/%d/environ", O_RDONLY));
	tell("descriptor by path", open_of("/proc/%d/fd/3", O_RDONLY));
	tell("oom_score_adj", open_of("/proc/%d/oom_score_adj", O_WRONLY));
	tell("pidfd_getfd", syscall(SYS_pidfd_getfd, fd, 3, 0));
	tell("pidfd_send_signal", syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0));
	tell("kill", kill(pid, SIGKILL));
	tell("stop", kill(pid, SIGSTOP));
	tell("kill by thread", syscall(SYS_tgkill, pid, pid, SIGKILL));
	tell("kill group", kill(-pid, SIGKILL));
}

/* In a child: what it becomes is told by its exit status. */
static long execute(void)
{
	static char program[] = "/bin/true";
	char *argv[] = {program, NULL};
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		execve(program, argv, NULL);
		_exit(errno);
	}
	waitpid(child, &status, 0);
	errno = WEXITSTATUS(status);
	return errno ? -1 : 0;
}

static void try_files(void)
{
	char new[4200];

	snprintf(new, sizeof(new), "%s.new", path);
	tell("read a file", open(path, O_RDONLY));
	tell("write a file", open(path, O_WRONLY));
	tell("make a file", open(new, O_CREAT | O_WRONLY, 0600));
	tell("change a file's mode", chmod(path, 0666));
	tell("change a file's owner", chown(path, getuid(), getgid()));
	tell("change a file's times", utimensat(AT_FDCWD, path, NULL, 0));
	tell("give a file an attribute", setxattr(path, "user.x", "x", 1, 0));
	tell("remove a file", unlink(path));
	tell("rename a file", rename(path, new));
	tell("link a file", link(path, new));
	tell("a temporary file", open("/tmp", O_TMPFILE | O_RDWR, 0600));
	tell("shared memory", open("/dev/shm", O_TMPFILE | O_RDWR, 0600));
	tell("shadow", open("/etc/shadow", O_RDONLY));
	tell("program", execute());
}

static void try_kernel(void)
{
	tell("unix socket", socket(AF_UNIX, SOCK_STREAM, 0));
	tell("network", socket(AF_INET, SOCK_STREAM, 0));
	tell("packets", socket(AF_PACKET, SOCK_RAW, 0));
	tell("setsid", setsid());
	tell("setpgid", setpgid(0, 0));
	tell("namespace", syscall(SYS_unshare, 0x10000000 /* CLONE_NEWUSER */));
	tell("namespace of a child", syscall(SYS_clone, 0x10000000 | SIGCHLD, 0, 0, 0, 0));
	tell("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
	tell("keyctl", syscall(SYS_keyctl, 0, -3, 1));
	tell("bpf", syscall(SYS_bpf, 0, NULL, 0));
	tell("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, 0, 0, 0));
	tell("io_uring_setup", syscall(SYS_io_uring_setup, 1, NULL));
	tell("userfaultfd", syscall(SYS_userfaultfd, 0));
	tell("terminal", ioctl(2, TIOCSTI, "x"));
}

static void leave_a_child(void)
{
	pid_t child = fork();

	if (child == 0) {
		setsid();
		setpgid(0, 0);
		for (;;)
			pause();
	}
	snprintf(text, sizeof(text), "%d", (int)child);
}

static enum modeld_code run(
	void *model, const struct modeld_batch *batch, struct modeld_error *error)
{
	const struct modeld_tensor *in = batch->inputs[0];
	struct modeld_output out = {
		.size = sizeof(out), .dtype = MODELD_DTYPE_U8, .rank = 1, .writes_all = 1};
	int64_t dims[1];
	char input[4200];
	void *to;

	(void)model;
	snprintf(input, sizeof(input), "%.*s", (int)in->bytes, (const char *)in->data);
	text[0] = '\0';
	if (sscanf(input, "%d %4095s", &pid, path) == 2 && pid == getpid()) {
		snprintf(text, sizeof(text), "itself");
	} else if (sscanf(input, "%d %4095s", &pid, path) == 2) {
		try_processes();
		try_files();
		try_kernel();
	} else {
		leave_a_child();
	}
	dims[0] = (int64_t)strlen(text);
	out.dims = dims;
	out.bytes = strlen(text);
	to = batch->output(batch, &out, error);
	if (!to)
		return MODELD_INTERNAL;
	memcpy(to, text, strlen(text));
	return MODELD_OK;
}

static const struct modeld_backend hostile = {
	.size = sizeof(hostile),
	.abi = MODELD_BACKEND_ABI,
	.name = "hostile",
	.load = load,
	.run = run,
	.unload = unload,
};

const struct modeld_backend *modeld_backend(const struct modeld_host *host)
{
	(void)host;
	return &hostile;
}
