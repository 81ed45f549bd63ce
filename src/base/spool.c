/*
 * spool.c: files that callers bring. Paths are gone through directory by directory, and no link is followed: nothing but what was made
 * here can be in them. A directory that is on its way out is removed by a detached thread, one at a time: a tree may be large, or its
 * file system slow. Any thread; what is counted is atomic, the rest under the mutex.
 */
#include "base/spool.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/detached.h"

struct spool {
	char *path;  /* own: the daemon's directory */
	int root_fd; /* own */
	int lock_fd; /* own: of `path`, locked */
	bool shared; /* with: */
	gid_t group;
	uint64_t limit;
	atomic_uint_fast64_t used;
	atomic_uint_fast64_t n_made;
	atomic_uint n_dirs; /* that somebody has a reference to */

	pthread_mutex_t mutex;
	pthread_cond_t settled;
	struct spool_dir *leaving; /* own: that nobody has any more, by spool_dir.next */
	bool removing;		   /* a thread does; it ends when none is left */
};

struct spool_dir {
	struct spool *spool;	/* borrow */
	struct spool_dir *next; /* of spool.leaving */
	atomic_uint refs;
	uint64_t bytes;
	char *path; /* own */
	char name[24];
};

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* --- Removing ------------------------------------------------------------------------------------- */

static void remove_tree(int parent, const char *name, unsigned depth);

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Or NULL. */
static DIR *open_dir(int parent, const char *name)
{
	int fd = openat(parent, name, DIR_FLAGS);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !d)
		close(fd);
	return d;
}

static void remove_content(int parent, const char *name, unsigned depth)
{
	_cleanup_(closedirp) DIR *d = open_dir(parent, name);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_tree(dirfd(d), e->d_name, depth + 1);
	}
}

static void remove_tree(int parent, const char *name, unsigned depth)
{
	if (!unlinkat(parent, name, 0) || (errno != EISDIR && errno != EPERM))
		return;
	if (depth < 2 * SPOOL_DEPTH_MAX)
		remove_content(parent, name, depth);
	unlinkat(parent, name, AT_REMOVEDIR);
}

/* Of a daemon that is not there any more: nobody has it locked. */
static void remove_if_left(int root_fd, const char *name)
{
	_cleanup_(close_fd) int fd = openat(root_fd, name, DIR_FLAGS);

	if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
		remove_tree(root_fd, name, 0);
}

static void remove_left(int root_fd)
{
	_cleanup_(closedirp) DIR *d = open_dir(root_fd, ".");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] != '.')
			remove_if_left(root_fd, e->d_name);
	}
}

/* --- The daemon's own ----------------------------------------------------------------------------- */

/* -ENOENT; -EPERM: it is not ours alone; -errno. *ret_fd: own, also then; -1: none */
static int open_root(const char *root, int *ret_fd)
{
	struct stat st;

	*ret_fd = open(root, DIR_FLAGS);
	if (*ret_fd < 0 || fstat(*ret_fd, &st))
		return -errno;
	return st.st_uid == geteuid() && !(st.st_mode & 0066) ? 0 : -EPERM;
}

/* Between being made and being locked it could be taken for one that was left: then another one is made. */
static int make_own(struct spool *s, const char *root)
{
	for (unsigned i = 0; i < 16; i++) {
		free(s->path);
		if (asprintf(&s->path, "%s/%ld-XXXXXX", root, (long)getpid()) < 0) {
			s->path = NULL;
			return -ENOMEM;
		}
		if (!mkdtemp(s->path))
			return -errno;
		s->lock_fd = open(s->path, DIR_FLAGS);
		if (s->lock_fd >= 0 && !flock(s->lock_fd, LOCK_EX | LOCK_NB) &&
			!access(s->path, F_OK))
			return 0;
		if (s->lock_fd >= 0)
			close(s->lock_fd);
		s->lock_fd = -1;
	}
	return -EBUSY;
}

static struct spool *spool_free(struct spool *s)
{
	if (s->root_fd >= 0)
		close(s->root_fd);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_cond_destroy(&s->settled);
	pthread_mutex_destroy(&s->mutex);
	free(s->path);
	free(s);
	return NULL;
}

int spool_open(struct spool **ret_spool, const char *root, uint64_t limit)
{
	struct spool *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->root_fd = s->lock_fd = -1;
	s->limit = limit;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->settled, NULL);
	r = mkdir(root, 0700) && errno != EEXIST ? -errno : open_root(root, &s->root_fd);
	if (!r) {
		remove_left(s->root_fd);
		r = make_own(s, root);
	}
	if (r) {
		spool_free(s);
		return r;
	}
	*ret_spool = s;
	return 0;
}

void spool_sweep(const char *root)
{
	_cleanup_(close_fd) int fd = -1;

	if (!open_root(root, &fd))
		remove_left(fd);
}

void spool_settle(struct spool *s)
{
	pthread_mutex_lock(&s->mutex);
	while (s->removing)
		pthread_cond_wait(&s->settled, &s->mutex);
	pthread_mutex_unlock(&s->mutex);
}

struct spool *spool_close(struct spool *s)
{
	if (!s)
		return NULL;
	assert(atomic_load(&s->n_dirs) == 0);
	spool_settle(s);
	assert(spool_used(s) == 0);
	remove_tree(s->root_fd, strrchr(s->path, '/') + 1, 0);
	return spool_free(s);
}

/* The group may do with it what the mode says. */
static int share(const struct spool *s, int fd, mode_t mode)
{
	return fchown(fd, (uid_t)-1, s->group) || fchmod(fd, mode) ? -errno : 0;
}

int spool_share(struct spool *s, gid_t group)
{
	int r;

	s->group = group;
	r = share(s, s->lock_fd, 0750);
	if (!r)
		r = fchmod(s->root_fd, 0711) ? -errno : 0;
	s->shared = !r;
	return r;
}

uint64_t spool_limit(const struct spool *s)
{
	return s->limit;
}

uint64_t spool_used(const struct spool *s)
{
	return atomic_load(&s->used);
}

bool spool_reserve(struct spool *s, uint64_t n)
{
	uint_fast64_t used = atomic_load(&s->used);

	do {
		if (n > s->limit || used > s->limit - n)
			return false;
	} while (!atomic_compare_exchange_weak(&s->used, &used, used + n));
	return true;
}

void spool_unreserve(struct spool *s, uint64_t n)
{
	assert(spool_used(s) >= n);
	atomic_fetch_sub(&s->used, n);
}

/* --- A directory of it ---------------------------------------------------------------------------- */

int spool_dir_new(struct spool_dir **ret_dir, struct spool *s, uint64_t n)
{
	struct spool_dir *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	snprintf(d->name, sizeof(d->name), "%llu",
		(unsigned long long)atomic_fetch_add(&s->n_made, 1) + 1);
	if (asprintf(&d->path, "%s/%s", s->path, d->name) < 0) {
		free(d);
		return -ENOMEM;
	}
	d->spool = s;
	d->bytes = n;
	atomic_init(&d->refs, 1);
	atomic_fetch_add(&s->n_dirs, 1);
	*ret_dir = d;
	return 0;
}

struct spool_dir *spool_dir_ref(struct spool_dir *d)
{
	if (d)
		atomic_fetch_add(&d->refs, 1);
	return d;
}

static void remove_dir(struct spool_dir *d)
{
	remove_tree(d->spool->lock_fd, d->name, 0);
	spool_unreserve(d->spool, d->bytes);
	free(d->path);
	free(d);
}

/* Until none is left: the spool may be gone then. */
static void *remove_leaving(void *data)
{
	struct spool *s = data;
	struct spool_dir *d;

	pthread_mutex_lock(&s->mutex);
	while ((d = s->leaving)) {
		s->leaving = d->next;
		pthread_mutex_unlock(&s->mutex);
		remove_dir(d);
		pthread_mutex_lock(&s->mutex);
	}
	s->removing = false;
	pthread_cond_broadcast(&s->settled);
	pthread_mutex_unlock(&s->mutex);
	return NULL;
}

struct spool_dir *spool_dir_unref(struct spool_dir *d)
{
	struct spool *s = d ? d->spool : NULL;
	bool idle;

	if (!d || atomic_fetch_sub(&d->refs, 1) > 1)
		return NULL;
	pthread_mutex_lock(&s->mutex);
	d->next = s->leaving;
	s->leaving = d;
	idle = !s->removing;
	s->removing = true;
	atomic_fetch_sub(&s->n_dirs, 1);
	pthread_mutex_unlock(&s->mutex);
	/* Without another thread it is done here. */
	if (idle && detached_start(remove_leaving, s))
		remove_leaving(s);
	return NULL;
}

const char *spool_dir_path(const struct spool_dir *d)
{
	return d->path;
}

static bool name_valid(const char *name, size_t n)
{
	return n > 0 && n <= SPOOL_NAME_MAX && !(n == 1 && name[0] == '.') &&
	       !(n == 2 && name[0] == '.' && name[1] == '.');
}

bool spool_path_valid(const char *path)
{
	unsigned depth = 0;

	for (;;) {
		size_t n = strcspn(path, "/");

		if (!name_valid(path, n) || ++depth > SPOOL_DEPTH_MAX)
			return false;
		if (!path[n])
			return true;
		path += n + 1;
	}
}

/* Open directory `name`, made where it is not there. Closes parent. -errno */
static int enter(const struct spool *s, int parent, const char *name)
{
	bool made = !mkdirat(parent, name, 0700);
	int fd = -1, r = made || errno == EEXIST ? 0 : -errno;

	if (!r) {
		fd = openat(parent, name, DIR_FLAGS);
		r = fd < 0 ? -errno : 0;
	}
	close(parent);
	if (!r && made && s->shared)
		r = share(s, fd, 0750);
	if (!r)
		return fd;
	if (fd >= 0)
		close(fd);
	return r;
}

static int write_all(int fd, const uint8_t *data, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, data, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		data += done;
		n -= (size_t)done;
	}
	return 0;
}

/* Closes parent. */
static int write_file(
	const struct spool *s, int parent, const char *name, const void *data, size_t n)
{
	_cleanup_(close_fd) int fd =
		openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : 0;

	close(parent);
	if (!r && s->shared)
		r = share(s, fd, 0640);
	return r ? r : write_all(fd, data, n);
}

int spool_dir_write(struct spool_dir *d, const char *path, const void *data, size_t n)
{
	int fd = fcntl(d->spool->lock_fd, F_DUPFD_CLOEXEC, 0);

	assert(spool_path_valid(path));
	if (fd < 0)
		return -errno;
	fd = enter(d->spool, fd, d->name);
	while (fd >= 0) {
		char name[SPOOL_NAME_MAX + 1];
		size_t length = strcspn(path, "/");

		memcpy(name, path, length);
		name[length] = '\0';
		if (!path[length])
			return write_file(d->spool, fd, name, data, n);
		fd = enter(d->spool, fd, name);
		path += length + 1;
	}
	return fd;
}
