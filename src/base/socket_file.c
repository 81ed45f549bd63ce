/*
 * socket_file.c: the file of a listening Unix socket. Daemon process, any thread; does not block but for
 * the file system and the group database.
 */
#include "base/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digits.h"

#define GROUP_BUFFER 16384u

/* Does a socket of this type lie there that nobody answers on? Anything unclear counts as alive. */
static bool stale(const struct sockaddr_un *address, socklen_t n, int type)
{
	_cleanup_(close_fd) int fd = -1;
	struct stat st;

	if (lstat(address->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return false;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd >= 0 && connect(fd, (const struct sockaddr *)address, n) && errno == ECONNREFUSED;
}

static int bind_replacing(int fd, const struct sockaddr_un *address, socklen_t n)
{
	const struct sockaddr *to = (const struct sockaddr *)address;
	socklen_t n_type = sizeof(int);
	int type;

	if (!bind(fd, to, n))
		return 0;
	if (errno != EADDRINUSE || !address->sun_path[0])
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n_type))
		return -errno;
	if (!stale(address, n, type))
		return -EADDRINUSE;
	if (unlink(address->sun_path) && errno != ENOENT)
		return -errno;
	return bind(fd, to, n) ? -errno : 0;
}

/* --- The lock ----------------------------------------------------------------------------- */

#define LOCK_TRIES 8
#define READ_TRIES 100000
#define PID_CAP	   16

static void lock_path(const char *path, char *out, size_t cap)
{
	snprintf(out, cap, "%s.lock", path);
}

/* Does the name still mean this file? Whoever had it may have removed it just now. */
static bool is_named(int fd, const char *path)
{
	struct stat at, is;

	return !lstat(path, &at) && !fstat(fd, &is) && at.st_dev == is.st_dev &&
	       at.st_ino == is.st_ino;
}

/* Its holder writes his number into it, though perhaps not yet: he has had it for a moment only. */
static ssize_t read_holder(int fd, char *text)
{
	ssize_t n = pread(fd, text, PID_CAP, 0);

	for (int i = 0; i < READ_TRIES && n == 0; i++) {
		sched_yield();
		n = pread(fd, text, PID_CAP, 0);
	}
	return n;
}

static void name_holder(struct socket_file *f, int fd, const char **ret_what)
{
	char text[PID_CAP + 1] = "";
	uint64_t pid;

	if (read_holder(fd, text) <= 0)
		return;
	text[strcspn(text, "\n")] = 0;
	if (decimal_parse(text, &pid))
		return;
	snprintf(f->what, sizeof(f->what), "bind: process %" PRIu64 " serves there", pid);
	*ret_what = f->what;
}

static void write_holder(int fd)
{
	char text[PID_CAP + 1];
	int n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());

	/* For a message only. */
	if (!ftruncate(fd, 0) && pwrite(fd, text, (size_t)n, 0) < 0)
		return;
}

/* Once. -EAGAIN: again; -EADDRINUSE; 0, perhaps without a lock: what keeps us from having one will be told
 * by bind(), or does not matter. */
static int try_lock(struct socket_file *f, const char *path, const char **ret_what)
{
	_cleanup_(close_fd) int fd = -1;

	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0)
		return 0;
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return 0;
		name_holder(f, fd, ret_what);
		return -EADDRINUSE;
	}
	if (!is_named(fd, path))
		return -EAGAIN;
	write_holder(fd);
	f->lock_fd = steal_fd(&fd);
	f->locked = true;
	return 0;
}

static int lock(struct socket_file *f, const char **ret_what)
{
	char path[sizeof(f->path) + 8];
	int r = -EAGAIN;

	lock_path(f->path, path, sizeof(path));
	for (int i = 0; i < LOCK_TRIES && r == -EAGAIN; i++)
		r = try_lock(f, path, ret_what);
	return r == -EAGAIN ? -EADDRINUSE : r;
}

static void unlock(struct socket_file *f)
{
	char path[sizeof(f->path) + 8];

	if (!f->locked)
		return;
	lock_path(f->path, path, sizeof(path));
	if (is_named(f->lock_fd, path))
		unlink(path);
	close_fd(&f->lock_fd);
	f->locked = false;
}

bool socket_file_is_held(const struct sockaddr_un *address)
{
	char path[sizeof(address->sun_path) + 8];
	_cleanup_(close_fd) int fd = -1;

	if (!address->sun_path[0])
		return true;
	snprintf(
		path, sizeof(path), "%.*s.lock", (int)sizeof(address->sun_path), address->sun_path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
}

/* --- Access ------------------------------------------------------------------------------- */

static int set_group(const char *path, const char *name)
{
	_cleanup_(freep) char *buffer = malloc(GROUP_BUFFER);
	struct group group;
	struct group *found = NULL;
	int r;

	if (!buffer)
		return -ENOMEM;
	r = getgrnam_r(name, &group, buffer, GROUP_BUFFER, &found);
	if (r)
		return -r;
	if (!found)
		return -ENOENT;
	return lchown(path, (uid_t)-1, found->gr_gid) ? -errno : 0;
}

static int set_access(
	const char *path, const struct socket_file_options *options, const char **ret_what)
{
	int r = 0;

	*ret_what = "unix_group";
	if (options->group && *options->group)
		r = set_group(path, options->group);
	if (r)
		return r;
	*ret_what = "unix_mode";
	return chmod(path, options->mode) ? -errno : 0;
}

int socket_file_bind(struct socket_file *f, int fd, const struct sockaddr_un *address, socklen_t n,
	const struct socket_file_options *options, const char **ret_what)
{
	struct stat st;
	int r;

	*ret_what = "bind";
	if (!address->sun_path[0])
		return bind_replacing(fd, address, n);
	memcpy(f->path, address->sun_path, sizeof(f->path));
	f->path[sizeof(f->path) - 1] = 0;
	r = lock(f, ret_what);
	if (!r)
		r = bind_replacing(fd, address, n);
	if (r)
		return r;
	if (lstat(f->path, &st))
		return -errno;
	/* From here on the file is ours to remove. */
	f->device = st.st_dev;
	f->inode = st.st_ino;
	return set_access(f->path, options, ret_what);
}

void socket_file_let_go(struct socket_file *f)
{
	f->inode = 0;
	unlock(f);
}

void socket_file_take_over(struct socket_file *f, const struct sockaddr_un *address)
{
	const char *what;
	struct stat st;

	if (!address->sun_path[0])
		return;
	memcpy(f->path, address->sun_path, sizeof(f->path));
	f->path[sizeof(f->path) - 1] = 0;
	if (lstat(f->path, &st) || !S_ISSOCK(st.st_mode))
		return;
	f->device = st.st_dev;
	f->inode = st.st_ino;
	/* Where there can be none there is none. */
	if (lock(f, &what))
		f->locked = false;
}

void socket_file_remove(struct socket_file *f)
{
	struct stat st;

	if (f->inode && !lstat(f->path, &st) && st.st_dev == f->device && st.st_ino == f->inode)
		unlink(f->path);
	f->inode = 0;
	unlock(f);
}
