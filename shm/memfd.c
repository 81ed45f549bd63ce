/*
 * memfd.c: what makes memory safe to share. The seals are the point: what is sealed SHRINK cannot be
 * pulled away from under a reader, so no access can raise SIGBUS; GROW makes the size that was checked
 * stay true; SEAL makes the seals final. A file that has F_SEAL_SHRINK is a memfd: others know no seals,
 * or have F_SEAL_SEAL alone. Files of huge pages are refused all the same: a hole in them is filled from
 * a pool that may be empty, which is SIGBUS.
 *
 * Stateless: any process, any thread.
 */
#include "shm/memfd.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL /* Linux 6.3 */
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

#define SEALS	    (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define WRITE_SEALS (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)
#define CHUNK_BYTES (UINT64_C(32) << 20) /* between two looks at *stop */

static uint64_t page_bytes(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

static int unfit(char *text, size_t cap, const char *why)
{
	snprintf(text, cap, "%s", why);
	return MEMFD_E_UNFIT;
}

static int check_access(int fd, bool read_only, char *text, size_t cap)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || (flags & O_PATH))
		return unfit(text, cap, "the descriptor is not open for reading");
	if ((flags & O_ACCMODE) == O_RDWR || (read_only && (flags & O_ACCMODE) == O_RDONLY))
		return 0;
	return unfit(text, cap,
		read_only ? "the descriptor is not open for reading"
			  : "the descriptor is not open for reading and writing: register it "
			    "read_only, or open it so");
}

static int check_seals(int fd, bool read_only, char *text, size_t cap)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		return unfit(text, cap, "the descriptor is not a memfd");
	if ((seals & SEALS) != SEALS) {
		snprintf(text, cap,
			"the memory is not sealed: F_SEAL_SHRINK, F_SEAL_GROW and F_SEAL_SEAL are "
			"needed (0x%x), it has 0x%x",
			SEALS, (unsigned)seals);
		return MEMFD_E_UNFIT;
	}
	if (!read_only && (seals & WRITE_SEALS))
		return unfit(
			text, cap, "the memory is sealed against writing: register it read_only");
	return 0;
}

static int check_size(const struct stat *st, uint64_t size, char *text, size_t cap)
{
	if (size > 0 && st->st_size > 0 && (uint64_t)st->st_size == size &&
		size % page_bytes() == 0)
		return 0;
	if (size > 0 && (uint64_t)st->st_size == size)
		snprintf(text, cap,
			"the memory's size, %" PRIu64 " bytes, is not whole pages of %" PRIu64,
			size, page_bytes());
	else
		snprintf(text, cap, "the memory has %" PRId64 " bytes, not %" PRIu64,
			(int64_t)st->st_size, size);
	return MEMFD_E_UNFIT;
}

int memfd_check(int fd, uint64_t size, bool read_only, struct memfd_identity *ret_identity,
	char *text, size_t cap)
{
	struct statfs fs;
	struct stat st;
	int r;

	/* Before anything that a file system of the client's would be asked. */
	if (fcntl(fd, F_GET_SEALS) < 0 && errno == EINVAL)
		return unfit(text, cap, "the descriptor is not a memfd");
	r = check_access(fd, read_only, text, cap);
	if (!r)
		r = check_seals(fd, read_only, text, cap);
	if (!r && (fstat(fd, &st) || !S_ISREG(st.st_mode) || fstatfs(fd, &fs)))
		r = unfit(text, cap, "the descriptor is not a memfd");
	if (!r && fs.f_type == HUGETLBFS_MAGIC)
		r = unfit(text, cap,
			"memory made with MFD_HUGETLB cannot be shared: a hole in it would be "
			"fatal to whoever reads it");
	if (!r)
		r = check_size(&st, size, text, cap);
	if (r)
		return r;
	*ret_identity = (struct memfd_identity){st.st_dev, st.st_ino};
	return 0;
}

int memfd_round(uint64_t size, uint64_t *ret_size)
{
	uint64_t page = page_bytes();

	if (size == 0 || size > INT64_MAX - page)
		return -EOVERFLOW;
	*ret_size = (size + page - 1) / page * page;
	return 0;
}

int memfd_new(const char *name, uint64_t size, int *ret_fd)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	_cleanup_(close_fd) int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL) /* a kernel before 6.3 */
		fd = memfd_create(name, flags);
	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0600) < 0 || ftruncate(fd, (off_t)size) < 0)
		return -errno;
	*ret_fd = steal_fd(&fd);
	return 0;
}

int memfd_reopen(int fd, int *ret_fd)
{
	char path[sizeof("/proc/self/fd/") + 10];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = open(path, O_RDWR | O_CLOEXEC);
	if (r < 0)
		return -errno;
	*ret_fd = r;
	return 0;
}

/* A lease for writing is given where there is no other open file, in a process, mapped, or on its way in a socket. It is
 * given back at once; SIGIO, of who opened it in between, is ignored (main.c). */
bool memfd_is_alone(int fd)
{
	if (fcntl(fd, F_SETLEASE, F_WRLCK))
		return errno != EAGAIN;
	(void)fcntl(fd, F_SETLEASE, F_UNLCK);
	return true;
}

int memfd_seal(int fd, enum memfd_seals seals)
{
	int flags = seals == MEMFD_WRITER_SEALED ? SEALS | F_SEAL_FUTURE_WRITE : SEALS;

	return fcntl(fd, F_ADD_SEALS, flags) < 0 ? -errno : 0;
}

void memfd_prefer_node(void *base, uint64_t size, uint32_t numa_node)
{
	unsigned long nodes[MEMFD_NUMA_NODES / LONG_BIT] = {0};

	assert(numa_node > 0 && numa_node <= MEMFD_NUMA_NODES);
	nodes[(numa_node - 1) / LONG_BIT] |= 1UL << (numa_node - 1) % LONG_BIT;
	/* Of a memfd the policy is the file's. The kernel takes one bit less than it is told of. */
	(void)syscall(SYS_mbind, base, size, MPOL_PREFERRED, nodes, MEMFD_NUMA_NODES + 1, 0);
}

int memfd_populate(int fd, void *base, uint64_t offset, uint64_t length)
{
	int r;

	do
		r = madvise((uint8_t *)base + offset, length, MADV_POPULATE_WRITE);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	/* A kernel before 5.14. Touching the pages from here would race with who may have begun to use
	 * them; this makes them without looking at them. */
	do
		r = fallocate(fd, 0, (off_t)offset, (off_t)length);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

static int populate_in_chunks(int fd, uint8_t *base, uint64_t size, atomic_bool *stop)
{
	(void)madvise(base, size, MADV_HUGEPAGE); /* a wish */
	for (uint64_t at = 0; at < size;) {
		uint64_t n = size - at < CHUNK_BYTES ? size - at : CHUNK_BYTES;
		int r;

		if (atomic_load(stop))
			return -ECANCELED;
		r = memfd_populate(fd, base, at, n);
		if (r)
			return r;
		at += n;
	}
	return 0;
}

int memfd_populate_all(int fd, uint64_t size, atomic_bool *stop)
{
	void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int r;

	if (base == MAP_FAILED)
		return -errno;
	r = populate_in_chunks(fd, base, size, stop);
	munmap(base, size);
	return r;
}

int memfd_write(int fd, uint64_t offset, const void *data, uint64_t length, atomic_bool *stop)
{
	for (uint64_t done = 0; done < length;) {
		uint64_t n = length - done < CHUNK_BYTES ? length - done : CHUNK_BYTES;
		ssize_t r;

		if (atomic_load(stop))
			return -ECANCELED;
		r = pwrite(fd, (const uint8_t *)data + done, n, (off_t)(offset + done));
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		done += (uint64_t)r;
	}
	return 0;
}
