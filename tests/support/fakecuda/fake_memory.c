/*
 * fake_memory.c: a GPU's memory and the host's registered one. The former is one memfd, mapped twice:
 * once so that nobody can touch it, which is what device pointers point into, and once for kernels
 * and copies.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/support/fakecuda/fake_private.h"

#define ALIGN	   256u
#define BLOCKS_MAX 4096u
#define PIECES_MAX 1024u
/* What fresh memory holds: no zeroes that a test could take for a result. */
#define FRESH 0xa5

struct block {
	size_t at, bytes;
};

struct piece {
	char *data; /* NULL: none */
	size_t bytes;
	bool read_only;
	bool own; /* of cudaHostAlloc() */
};

static struct {
	char *device; /* what pointers point into; PROT_NONE */
	char *alias;
	size_t bytes;
	struct block blocks[BLOCKS_MAX]; /* in use, by address */
	unsigned n_blocks;
	struct piece pieces[PIECES_MAX];
} memory;

static void map(size_t bytes)
{
	int fd = *fake.ipc ? fake_ipc_file() : memfd_create("fakecuda", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		abort();
	memory.device = mmap(NULL, bytes, PROT_NONE, MAP_SHARED, fd, 0);
	memory.alias = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory.device == MAP_FAILED || memory.alias == MAP_FAILED)
		abort();
	close(fd);
	memory.bytes = bytes;
}

void fake_memory_reset(void)
{
	if (memory.bytes > 0) {
		munmap(memory.device, memory.bytes);
		munmap(memory.alias, memory.bytes);
	}
	memset(&memory, 0, sizeof(memory));
	fake_ipc_reset();
	fake_vmm_reset();
	map(fake.memory_bytes);
}

/* --- The device's ------------------------------------------------------------------------- */

static bool is_own(const void *data)
{
	const char *p = data;

	return p >= memory.device && p < memory.device + memory.bytes;
}

bool fake_is_device(const void *data)
{
	return is_own(data) || fake_vmm_is(data) || fake_ipc_alias(data, 1);
}

static const struct block *block_of(size_t at)
{
	for (unsigned i = 0; i < memory.n_blocks; i++) {
		const struct block *b = &memory.blocks[i];

		if (at >= b->at && at < b->at + b->bytes)
			return b;
	}
	return NULL;
}

void *fake_memory_alias(const void *data, size_t bytes, bool writing)
{
	size_t at = (size_t)((const char *)data - memory.device);
	const struct block *b = is_own(data) ? block_of(at) : NULL;

	if (fake_vmm_is(data))
		return fake_vmm_alias(data, bytes, writing);
	if (!is_own(data))
		return fake_ipc_alias(data, bytes);
	return b && bytes <= b->at + b->bytes - at ? memory.alias + at : NULL;
}

bool fake_memory_block(const void *data, uint64_t *ret_at, uint64_t *ret_bytes)
{
	size_t at = (size_t)((const char *)data - memory.device);
	const struct block *b = is_own(data) ? block_of(at) : NULL;

	if (!b || b->at != at)
		return false;
	*ret_at = b->at;
	*ret_bytes = b->bytes;
	return true;
}

/* The first gap that is large enough. */
static cudaError_t take(void **ret_data, size_t bytes)
{
	size_t at = 0;
	unsigned i = 0;

	for (; i < memory.n_blocks && memory.blocks[i].at - at < bytes; i++)
		at = memory.blocks[i].at + memory.blocks[i].bytes;
	if (memory.n_blocks == BLOCKS_MAX || (i == memory.n_blocks && memory.bytes - at < bytes))
		return cudaErrorMemoryAllocation;
	memmove(&memory.blocks[i + 1], &memory.blocks[i],
		(memory.n_blocks - i) * sizeof(struct block));
	memory.blocks[i] = (struct block){at, bytes};
	memory.n_blocks++;
	memset(memory.alias + at, FRESH, bytes);
	*ret_data = memory.device + at;
	return cudaSuccess;
}

cudaError_t fake_memory_alloc(void **ret_data, size_t bytes)
{
	cudaError_t error;

	if (bytes == 0 || bytes > memory.bytes)
		return bytes ? cudaErrorMemoryAllocation : cudaErrorInvalidValue;
	bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
	error = take(ret_data, bytes);
	if (error == cudaSuccess)
		return error;
	/* What is about to be freed counts. */
	fake_streams_settle();
	return take(ret_data, bytes);
}

cudaError_t fake_memory_free(void *data)
{
	size_t at = (size_t)((char *)data - memory.device);

	for (unsigned i = 0; is_own(data) && i < memory.n_blocks; i++) {
		if (memory.blocks[i].at != at)
			continue;
		memory.n_blocks--;
		memmove(&memory.blocks[i], &memory.blocks[i + 1],
			(memory.n_blocks - i) * sizeof(struct block));
		return cudaSuccess;
	}
	return cudaErrorInvalidValue;
}

uint64_t fake_memory_used(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < memory.n_blocks; i++)
		n += memory.blocks[i].bytes;
	return n;
}

FAKE_EXPORT unsigned long long fakecuda_used(void)
{
	unsigned long long n;

	pthread_mutex_lock(&fake_lock);
	fake_streams_settle();
	n = fake_memory_used();
	pthread_mutex_unlock(&fake_lock);
	return n;
}

FAKE_EXPORT cudaError_t cudaMemGetInfo(size_t *unused, size_t *total)
{
	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	*total = memory.bytes;
	*unused = memory.bytes - (size_t)fake_memory_used();
	pthread_mutex_unlock(&fake_lock);
	return fake_done(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaMalloc(void **data, size_t bytes)
{
	cudaError_t error;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	error = fake_memory_alloc(data, bytes);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaFree(void *data)
{
	cudaError_t error = cudaSuccess;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	fake_streams_settle();
	if (data)
		error = fake_memory_free(data);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

/* --- The host's --------------------------------------------------------------------------- */

static bool overlaps(const struct piece *p, const char *data, size_t bytes)
{
	return p->data && data < p->data + p->bytes && p->data < data + bytes;
}

enum fake_host fake_host_kind(const void *data, size_t bytes)
{
	const char *from = data;

	for (unsigned i = 0; i < PIECES_MAX; i++) {
		const struct piece *p = &memory.pieces[i];

		if (!overlaps(p, from, bytes))
			continue;
		if (from < p->data || from + bytes > p->data + p->bytes)
			return FAKE_CROSSES;
		return p->read_only ? FAKE_PINNED_READ_ONLY : FAKE_PINNED;
	}
	return FAKE_PAGEABLE;
}

/* How [data, data + bytes) is mapped here: 0 not (wholly in one mapping), 1 read-only, 2 read-write. */
static int mapped(const void *data, size_t bytes)
{
	uintptr_t from = (uintptr_t)data, to = from + bytes, low, high;
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512], mode[8];
	int found = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &low, &high, mode) != 3)
			continue;
		if (from >= low && from < high)
			found = to > high || mode[0] != 'r' ? 0 : mode[1] == 'w' ? 2 : 1;
	}
	if (f)
		fclose(f);
	return found;
}

static cudaError_t add_piece(void *data, size_t bytes, bool read_only, bool own)
{
	struct piece *free_one = NULL;

	for (unsigned i = 0; i < PIECES_MAX; i++) {
		if (overlaps(&memory.pieces[i], data, bytes))
			return cudaErrorHostMemoryAlreadyRegistered;
		if (!memory.pieces[i].data && !free_one)
			free_one = &memory.pieces[i];
	}
	if (!free_one)
		return cudaErrorMemoryAllocation;
	*free_one = (struct piece){data, bytes, read_only, own};
	return cudaSuccess;
}

static cudaError_t remove_piece(void *data, bool own)
{
	for (unsigned i = 0; i < PIECES_MAX; i++) {
		struct piece *p = &memory.pieces[i];

		if (data && p->data == data && p->own == own) {
			p->data = NULL;
			return cudaSuccess;
		}
	}
	return own ? cudaErrorInvalidValue : cudaErrorHostMemoryNotRegistered;
}

FAKE_EXPORT unsigned fakecuda_n_pieces(void)
{
	unsigned n = 0;

	pthread_mutex_lock(&fake_lock);
	for (unsigned i = 0; i < PIECES_MAX; i++)
		n += memory.pieces[i].data != NULL;
	pthread_mutex_unlock(&fake_lock);
	return n;
}

FAKE_EXPORT cudaError_t cudaHostRegister(void *data, size_t bytes, unsigned flags)
{
	bool read_only = flags & (unsigned)cudaHostRegisterReadOnly;
	cudaError_t error;
	int mode;

	FAKE_ENTER();
	if (read_only && !fake.readonly)
		return fake_done(cudaErrorNotSupported);
	mode = mapped(data, bytes);
	if (bytes == 0 || mode == 0 || (mode == 1 && !read_only))
		return fake_done(cudaErrorInvalidValue);
	pthread_mutex_lock(&fake_lock);
	error = add_piece(data, bytes, read_only, false);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaHostUnregister(void *data)
{
	cudaError_t error;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	error = remove_piece(data, false);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaHostAlloc(void **ret_data, size_t bytes, unsigned flags)
{
	void *data = NULL;
	cudaError_t error;

	FAKE_ENTER();
	if (posix_memalign(&data, 4096, bytes))
		return fake_done(cudaErrorMemoryAllocation);
	pthread_mutex_lock(&fake_lock);
	error = add_piece(data, bytes, false, true);
	pthread_mutex_unlock(&fake_lock);
	if (error == cudaSuccess)
		*ret_data = data;
	else
		free(data);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaFreeHost(void *data)
{
	/* It is gone whatever the context says. */
	cudaError_t error = fake_enter(__func__), removed;

	pthread_mutex_lock(&fake_lock);
	fake_streams_settle();
	removed = remove_piece(data, true);
	pthread_mutex_unlock(&fake_lock);
	if (removed == cudaSuccess)
		free(data);
	return fake_done(error == cudaSuccess ? removed : error);
}
