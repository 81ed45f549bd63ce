/*
 * probe_memory.c: memfds and their mappings. Memory is given its pages by fallocate(), which fails
 * where there is none to be had; a first touch would be a SIGBUS (huge pages above all).
 * Asker and children, one thread each.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/gpu/probe.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

static int map(struct memory *m, enum memory_access access)
{
	int prot = access == ACCESS_READ ? PROT_READ : PROT_READ | PROT_WRITE;
	int flags = access == ACCESS_PRIVATE ? MAP_PRIVATE : MAP_SHARED;
	void *base = mmap(NULL, m->bytes, prot, flags, m->fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	m->base = base;
	return 0;
}

static int size_and_map(struct memory *m, enum memory_kind kind, uint64_t seed)
{
	int r;

	if (ftruncate(m->fd, (off_t)m->bytes) < 0 || fallocate(m->fd, 0, 0, (off_t)m->bytes) < 0 ||
		fchmod(m->fd, 0600) < 0)
		return -errno;
	r = map(m, ACCESS_WRITE);
	if (r)
		return r;
	data_fill(m->base, m->bytes, seed);
	if (kind == MEMORY_SEALED && fcntl(m->fd, F_ADD_SEALS, SEALS) < 0)
		return -errno;
	return 0;
}

int memory_make(struct memory *ret_m, enum memory_kind kind, uint64_t bytes, uint64_t seed)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (kind == MEMORY_HUGE ? MFD_HUGETLB : 0);
	struct memory m = {.fd = memfd_create("probe", flags), .bytes = bytes};
	int r;

	if (m.fd < 0)
		return -errno;
	r = size_and_map(&m, kind, seed);
	if (r)
		memory_free(&m);
	else
		*ret_m = m;
	return r;
}

int memory_map(struct memory *ret_m, int fd, uint64_t bytes, enum memory_access access)
{
	struct memory m = {.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0), .bytes = bytes};
	int r;

	if (m.fd < 0)
		return -errno;
	r = map(&m, access);
	if (r)
		memory_free(&m);
	else
		*ret_m = m;
	return r;
}

void memory_free(struct memory *m)
{
	if (m->base)
		munmap(m->base, m->bytes);
	m->base = NULL;
	close_fd(&m->fd);
}
