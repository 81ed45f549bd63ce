/*
 * sandbox_calls.c: a seccomp filter of two tables: calls that are refused, and those that are refused
 * by an argument. Calls that this file does not know yet do not exist, which is what the C library
 * expects of an older kernel. Worker process, its one thread.
 *
 * The kernel remembers which numbers are always allowed, and does not run the filter for those.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "workers/sandbox_private.h"

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE 0
#endif

/* The first of the calls that came after Linux 6.2: cachestat. Also above those of the x32 interface. */
#define FIRST_UNKNOWN 451u

/* What the leak checker of a sanitizer build works by. */
#if defined(__SANITIZE_ADDRESS__)
#define TRACES_ITSELF 1
#else
#define TRACES_ITSELF 0
#endif

#define NAMESPACES                                                                                 \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
		CLONE_NEWPID | CLONE_NEWNET)

static const uint32_t refused[] = {
	/* other processes' memory, descriptors and lives */
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_process_madvise,
	SYS_process_mrelease,
	SYS_pidfd_getfd,
	SYS_kcmp,
	SYS_setpriority,
	SYS_ioprio_set,
	SYS_migrate_pages,
	/* out of the process group, which ends as a whole */
	SYS_setsid,
	SYS_setpgid,
	/* the tree of files, and files by other names than paths */
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_open_tree,
	SYS_move_mount,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
	SYS_mount_setattr,
	SYS_swapon,
	SYS_swapoff,
	SYS_quotactl,
	SYS_quotactl_fd,
	SYS_acct,
	SYS_open_by_handle_at,
	SYS_fanotify_init,
	/* namespaces, keys */
	SYS_unshare,
	SYS_setns,
	SYS_add_key,
	SYS_request_key,
	SYS_keyctl,
	/* much of the kernel, little of a model's business */
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
	SYS_kexec_load,
#ifdef SYS_kexec_file_load
	SYS_kexec_file_load,
#endif
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_reboot,
	SYS_syslog,
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_clock_adjtime,
	SYS_adjtimex,
	SYS_sethostname,
	SYS_setdomainname,
	SYS_vhangup,
	SYS_lookup_dcookie,
	SYS_nfsservctl,
#ifdef __x86_64__
	SYS_iopl,
	SYS_ioperm,
	SYS_modify_ldt,
	SYS_uselib,
	SYS_create_module,
#endif
};

/* Landlock knows no right to what is written beside files: who may write none may not mark any either. */
static const uint32_t marking[] = {
	SYS_fchmodat,
	SYS_fchown,
	SYS_fchownat,
	SYS_utimensat,
	SYS_setxattr,
	SYS_lsetxattr,
	SYS_fsetxattr,
	SYS_removexattr,
	SYS_lremovexattr,
	SYS_fremovexattr,
#ifdef __x86_64__
	SYS_chmod,
	SYS_chown,
	SYS_lchown,
	SYS_utime,
	SYS_utimes,
	SYS_futimesat,
#endif
};

/* What new memory is made (shm/memfd.c): the mode that fchmod() may give. */
#define MEMORY_MODE 0600u

static const uint32_t executing[] = {SYS_execve, SYS_execveat};
static const uint32_t tracing[] = {SYS_ptrace};
static const uint32_t networking[] = {SYS_socket};
/* Of which the receiver cannot be told by an argument. */
static const uint32_t signalling[] = {SYS_tkill, SYS_pidfd_send_signal};
/* The first argument of these is the receiver: a process. */
static const uint32_t signalling_process[] = {
	SYS_kill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo};

#define STEPS_MAX 256u

struct program {
	struct sock_filter steps[STEPS_MAX];
	unsigned short n;
};

static void step(struct program *p, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
	if (p->n < STEPS_MAX)
		p->steps[p->n] = (struct sock_filter)BPF_JUMP(code, k, yes, no);
	p->n++;
}

static void load(struct program *p, size_t at)
{
	step(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)at, 0, 0);
}

static void answer(struct program *p, uint32_t action)
{
	step(p, BPF_RET | BPF_K, action, 0, 0);
}

/* Where what was loaded is `value`: refuse it with `error`. */
static void refuse(struct program *p, uint32_t value, int error)
{
	step(p, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
	answer(p, SECCOMP_RET_ERRNO | (uint32_t)error);
}

static void refuse_all(struct program *p, const uint32_t *calls, size_t n)
{
	for (size_t i = 0; i < n; i++)
		refuse(p, calls[i], EPERM);
}
#define REFUSE_ALL(p, calls) refuse_all(p, calls, sizeof(calls) / sizeof((calls)[0]))

/* The low half of an argument; both processors that are known here have it first. */
static void load_argument(struct program *p, size_t i)
{
	load(p, offsetof(struct seccomp_data, args) + i * sizeof(uint64_t));
}

static void load_number(struct program *p)
{
	load(p, offsetof(struct seccomp_data, nr));
}

/* `call` where the argument has one of the bits. */
static void refuse_bits(struct program *p, uint32_t call, size_t argument, uint32_t bits)
{
	step(p, BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4);
	load_argument(p, argument);
	step(p, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
	answer(p, SECCOMP_RET_ERRNO | EPERM);
	answer(p, SECCOMP_RET_ALLOW);
}

/* `call` where the argument is this. */
static void refuse_value(struct program *p, uint32_t call, size_t argument, uint32_t value)
{
	step(p, BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4);
	load_argument(p, argument);
	refuse(p, value, EPERM);
	answer(p, SECCOMP_RET_ALLOW);
}

/* `call` unless the argument is this. */
static void refuse_other_values(struct program *p, uint32_t call, size_t argument, uint32_t value)
{
	step(p, BPF_JMP | BPF_JEQ | BPF_K, call, 0, 4);
	load_argument(p, argument);
	step(p, BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0);
	answer(p, SECCOMP_RET_ERRNO | EPERM);
	answer(p, SECCOMP_RET_ALLOW);
}

/* `call` unless the argument is this, or 0: one's own process group. */
static void refuse_others(struct program *p, uint32_t call, size_t argument, uint32_t value)
{
	step(p, BPF_JMP | BPF_JEQ | BPF_K, call, 0, 5);
	load_argument(p, argument);
	step(p, BPF_JMP | BPF_JEQ | BPF_K, value, 2, 0);
	step(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
	answer(p, SECCOMP_RET_ERRNO | EPERM);
	answer(p, SECCOMP_RET_ALLOW);
}

static void guard_signals_of(struct program *p)
{
	size_t n = sizeof(signalling_process) / sizeof(signalling_process[0]);

	REFUSE_ALL(p, signalling);
	for (size_t i = 0; i < n; i++)
		refuse_others(p, signalling_process[i], 0, (uint32_t)getpid());
}

static bool writes(const struct sandbox_options *o)
{
	return o->write && o->write[0];
}

static void make_program(struct program *p, const struct sandbox_options *o, bool guard_signals)
{
	bool strict = o->mode == SANDBOX_ON;

	load(p, offsetof(struct seccomp_data, arch));
	step(p, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
	answer(p, SECCOMP_RET_ERRNO | ENOSYS);
	load_number(p);
	step(p, BPF_JMP | BPF_JGE | BPF_K, FIRST_UNKNOWN, 0, 1);
	answer(p, SECCOMP_RET_ERRNO | ENOSYS);
	REFUSE_ALL(p, refused);
	if (!TRACES_ITSELF)
		REFUSE_ALL(p, tracing);
	if (strict && !o->executes)
		REFUSE_ALL(p, executing);
	if (strict && !o->gpu)
		REFUSE_ALL(p, networking);
	if (strict && !o->gpu && !writes(o)) {
		REFUSE_ALL(p, marking);
		refuse_other_values(p, SYS_fchmod, 1, MEMORY_MODE);
	}
	/* Its arguments are in memory, where a filter cannot look: the C library goes on with clone(). */
	refuse(p, SYS_clone3, ENOSYS);
	refuse_bits(p, SYS_clone, 0, NAMESPACES);
	refuse_value(p, SYS_ioctl, 1, TIOCSTI);
	if (guard_signals)
		guard_signals_of(p);
	answer(p, SECCOMP_RET_ALLOW);
}

int sandbox_calls_known(void)
{
	uint32_t action = SECCOMP_RET_ERRNO;

	if (ARCHITECTURE == 0)
		return -ENOTSUP;
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) ? -errno : 0;
}

int sandbox_calls_restrict(const struct sandbox_options *o, bool guard_signals)
{
	struct program p = {.n = 0};
	struct sock_fprog filter = {.filter = p.steps};

	make_program(&p, o, guard_signals);
	if (p.n > STEPS_MAX)
		return -E2BIG;
	filter.len = p.n;
	/* Without this flag older kernels slow the whole process down against Spectre 4, as if it kept
	 * secrets from itself. */
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
		       &filter)
		       ? -errno
		       : 0;
}
