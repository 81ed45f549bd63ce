/*
 * view.c: somebody else's memory, mapped by a borrower. What the owner says (id, size) is compared
 * with what the kernel says before anything is mapped; afterwards only the mapping and its bounds
 * are used, and they never change. The seals make an access safe: the file cannot get shorter under
 * the mapping, so no read can raise SIGBUS.
 *
 * Immutable between new and free, hence usable from any thread; daemon and worker processes.
 */
#include "shm/view.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "spans are 64 bit: so must addresses be");

struct view {
	uint8_t *base; /* own: the mapping */
	uint64_t id;
	uint64_t size; /* bytes */
	bool writable;
	bool constant;
};

static int check_size(int fd, uint64_t size)
{
	struct stat st;

	if (size == 0)
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size != size)
		return -EINVAL;
	return 0;
}

/* *ret_constant: nobody can ever write to it. */
static int check_seals(int fd, int needed, bool writable, bool *ret_constant)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		return errno == EINVAL ? -EPERM : -errno; /* EINVAL: a file that knows no seals */
	if ((seals & needed) != needed)
		return -EPERM;
	if (writable && (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)))
		return -EPERM;
	*ret_constant = seals & F_SEAL_WRITE;
	return 0;
}

/* A hole in a file of huge pages is filled from a pool that may be empty: SIGBUS, in spite of the
 * seals. */
static int check_pages(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	return fs.f_type == HUGETLBFS_MAGIC ? -EPERM : 0;
}

static int map(struct view **ret_view, int fd, uint64_t id, uint64_t size, int seals, bool writable)
{
	_cleanup_(view_freep) struct view *v = NULL;
	int prot = PROT_READ | (writable ? PROT_WRITE : 0);
	bool constant = false;
	void *base;
	int r;

	/* First: what has them is memory, while the file system of anything else may let a question wait. */
	r = check_seals(fd, seals, writable, &constant);
	if (!r)
		r = check_size(fd, size);
	if (!r)
		r = check_pages(fd);
	if (r)
		return r;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	/* Before Linux 6.7 what is sealed F_SEAL_WRITE could not be mapped MAP_SHARED at all, if open
	 * for writing. */
	base = mmap(NULL, size, prot, constant ? MAP_PRIVATE : MAP_SHARED, fd, 0);
	if (base == MAP_FAILED)
		return -errno;
	*v = (struct view){
		.base = base, .id = id, .size = size, .writable = writable, .constant = constant};
	*ret_view = steal_ptr(v);
	return 0;
}

int view_new(struct view **ret_view, int fd, uint64_t id, uint64_t size)
{
	return map(ret_view, fd, id, size, SEALS_NEEDED | F_SEAL_FUTURE_WRITE, false);
}

int view_new_region(struct view **ret_view, int fd, uint64_t id, uint64_t size, bool writable)
{
	return map(ret_view, fd, id, size, SEALS_NEEDED, writable);
}

struct view *view_free(struct view *v)
{
	if (!v)
		return NULL;
	if (v->base)
		munmap(v->base, v->size);
	free(v);
	return NULL;
}

uint64_t view_id(const struct view *v)
{
	return v->id;
}

bool view_is_constant(const struct view *v)
{
	return v->constant;
}

uint64_t view_size(const struct view *v)
{
	return v->size;
}

static uint8_t *resolve(const struct view *v, const struct span *span)
{
	return span->arena == v->id ? span_at(span, v->base, v->size) : NULL;
}

const void *view_data(const struct view *v, const struct span *span)
{
	return resolve(v, span);
}

void *view_data_writable(const struct view *v, const struct span *span)
{
	return v->writable ? resolve(v, span) : NULL;
}
