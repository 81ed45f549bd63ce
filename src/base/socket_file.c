/*
 * socket_file.c: the file of a listening Unix socket. Daemon process, any thread; does not block but for
 * the file system and the group database.
 */
#include "base/socket_file.h"

#include <errno.h>
#include <grp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
	r = bind_replacing(fd, address, n);
	if (r || !address->sun_path[0])
		return r;
	memcpy(f->path, address->sun_path, sizeof(f->path));
	f->path[sizeof(f->path) - 1] = 0;
	if (lstat(f->path, &st))
		return -errno;
	/* From here on the file is ours to remove. */
	f->device = st.st_dev;
	f->inode = st.st_ino;
	return set_access(f->path, options, ret_what);
}

void socket_file_remove(struct socket_file *f)
{
	struct stat st;

	if (f->inode && !lstat(f->path, &st) && st.st_dev == f->device && st.st_ino == f->inode)
		unlink(f->path);
	f->inode = 0;
}
