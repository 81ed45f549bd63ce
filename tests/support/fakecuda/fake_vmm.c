/*
 * fake_vmm.c: the driver's virtual memory: allocations are memfds, which processes hand to each other, mapped wherever somebody has
 * reserved addresses. As with the real one, an address can be used once access to it was set, by reading or writing as that says;
 * memory lives as long as a descriptor, a handle or a mapping of it. What is behind its end in the file says what it is.
 */
#include <cuda.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/fakecuda/fake_private.h"

#define GRANULARITY (UINT64_C(2) << 20)
#define ITEMS_MAX   128u
#define MAGIC	    UINT64_C(0x766d6d6563756461)

/* Behind the memory. */
struct label {
	uint64_t magic, bytes;
	int32_t gpu, exportable;
};

/* A handle is its place here, from 1 on. */
static struct block {
	unsigned refs; /* handles and mappings; 0: nothing */
	int fd;
	struct label label;
} blocks[ITEMS_MAX];

static struct place {
	char *device; /* what pointers point into: PROT_NONE. NULL: nothing */
	size_t bytes;
	struct block *block; /* NULL: reserved */
	char *alias;
	int access; /* CU_MEM_ACCESS_FLAGS_* */
} places[ITEMS_MAX];

static CUresult leave(CUresult error)
{
	pthread_mutex_unlock(&fake_lock);
	return error;
}

/* --- Blocks ----------------------------------------------------------------------------------- */

static struct block *block_of(CUmemGenericAllocationHandle handle)
{
	return handle > 0 && handle <= ITEMS_MAX && blocks[handle - 1].refs > 0
		       ? &blocks[handle - 1]
		       : NULL;
}

static void drop_block(struct block *b)
{
	if (--b->refs == 0)
		close(b->fd);
}

/* fd: own. */
static CUresult add_block(CUmemGenericAllocationHandle *ret_handle, int fd, const struct label *l)
{
	for (unsigned i = 0; i < ITEMS_MAX; i++) {
		if (blocks[i].refs > 0)
			continue;
		blocks[i] = (struct block){.refs = 1, .fd = fd, .label = *l};
		*ret_handle = i + 1;
		return CUDA_SUCCESS;
	}
	close(fd);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

FAKE_EXPORT CUresult cuMemGetAllocationGranularity(size_t *granularity,
	const CUmemAllocationProp *properties, CUmemAllocationGranularity_flags which)
{
	FAKE_ENTER_DRIVER();
	*granularity = GRANULARITY;
	return CUDA_SUCCESS;
}

static int make(const struct label *l)
{
	int fd = memfd_create("fakecuda-vmm", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)(l->bytes + sizeof(*l))) ||
		pwrite(fd, l, sizeof(*l), (off_t)l->bytes) != (ssize_t)sizeof(*l))
		abort();
	return fd;
}

FAKE_EXPORT CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t bytes,
	const CUmemAllocationProp *properties, unsigned long long flags)
{
	struct label l = {.magic = MAGIC, .bytes = bytes};
	CUresult error;

	FAKE_ENTER_DRIVER();
	l.gpu = fake_visible(properties->location.id);
	l.exportable = properties->requestedHandleTypes & CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	if (properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE || l.gpu < 0)
		return CUDA_ERROR_INVALID_DEVICE;
	if (properties->type != CU_MEM_ALLOCATION_TYPE_PINNED || !bytes || bytes % GRANULARITY)
		return CUDA_ERROR_INVALID_VALUE;
	if (bytes > fake.memory_bytes)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_lock(&fake_lock);
	error = add_block(handle, make(&l), &l);
	return leave(error);
}

FAKE_EXPORT CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
	struct block *b;

	FAKE_ENTER_DRIVER();
	pthread_mutex_lock(&fake_lock);
	b = block_of(handle);
	if (b)
		drop_block(b);
	return leave(b ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

/* Which of those that are visible is it? -1: none of them. */
static int ordinal_of(int gpu)
{
	for (int i = 0; fake_visible(i) >= 0; i++) {
		if (fake_visible(i) == gpu)
			return i;
	}
	return -1;
}

FAKE_EXPORT CUresult cuMemGetAllocationPropertiesFromHandle(
	CUmemAllocationProp *properties, CUmemGenericAllocationHandle handle)
{
	const struct block *b;

	FAKE_ENTER_DRIVER();
	pthread_mutex_lock(&fake_lock);
	b = block_of(handle);
	if (b) {
		*properties = (CUmemAllocationProp){.type = CU_MEM_ALLOCATION_TYPE_PINNED,
			.requestedHandleTypes = (CUmemAllocationHandleType)b->label.exportable,
			.location = {CU_MEM_LOCATION_TYPE_DEVICE, ordinal_of(b->label.gpu)}};
	}
	return leave(b ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

FAKE_EXPORT CUresult cuMemExportToShareableHandle(void *descriptor,
	CUmemGenericAllocationHandle handle, CUmemAllocationHandleType type,
	unsigned long long flags)
{
	const struct block *b;
	int fd = -1;

	FAKE_ENTER_DRIVER();
	pthread_mutex_lock(&fake_lock);
	b = block_of(handle);
	if (b && b->label.exportable && type == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		fd = fcntl(b->fd, F_DUPFD_CLOEXEC, 3);
	if (fd >= 0)
		memcpy(descriptor, &fd, sizeof(fd));
	return leave(fd >= 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

/* False: it is nobody's. */
static bool read_label(int fd, struct label *ret_label)
{
	struct stat st;

	return !fstat(fd, &st) && S_ISREG(st.st_mode) && st.st_size > (off_t)sizeof(*ret_label) &&
	       pread(fd, ret_label, sizeof(*ret_label), st.st_size - (off_t)sizeof(*ret_label)) ==
		       (ssize_t)sizeof(*ret_label) &&
	       ret_label->magic == MAGIC &&
	       ret_label->bytes == (uint64_t)st.st_size - sizeof(*ret_label);
}

FAKE_EXPORT CUresult cuMemImportFromShareableHandle(
	CUmemGenericAllocationHandle *handle, void *descriptor, CUmemAllocationHandleType type)
{
	int fd = (int)(intptr_t)descriptor, own;
	CUresult error = CUDA_ERROR_INVALID_VALUE;
	struct label l;

	FAKE_ENTER_DRIVER();
	if (type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR || !read_label(fd, &l))
		return CUDA_ERROR_INVALID_VALUE;
	own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (own < 0)
		return CUDA_ERROR_OUT_OF_MEMORY;
	pthread_mutex_lock(&fake_lock);
	error = add_block(handle, own, &l);
	return leave(error);
}

/* --- Addresses -------------------------------------------------------------------------------- */

static struct place *find(const void *data)
{
	const char *p = data;

	for (unsigned i = 0; i < ITEMS_MAX; i++) {
		if (places[i].device && p >= places[i].device &&
			p < places[i].device + places[i].bytes)
			return &places[i];
	}
	return NULL;
}

/* The one that is just this. */
static struct place *find_exact(CUdeviceptr at, size_t bytes)
{
	struct place *p = find((void *)(uintptr_t)at);

	return p && p->device == (char *)(uintptr_t)at && p->bytes == bytes ? p : NULL;
}

void *fake_vmm_alias(const void *data, size_t bytes, bool writing)
{
	const struct place *p = find(data);
	int wanted = writing ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE : CU_MEM_ACCESS_FLAGS_PROT_READ;
	size_t at = p ? (size_t)((const char *)data - p->device) : 0;

	if (!p || !p->block || (p->access & wanted) != wanted || bytes > p->bytes - at)
		return NULL;
	return p->alias + at;
}

bool fake_vmm_is(const void *data)
{
	return find(data) != NULL;
}

FAKE_EXPORT CUresult cuMemAddressReserve(
	CUdeviceptr *at, size_t bytes, size_t alignment, CUdeviceptr wish, unsigned long long flags)
{
	struct place *p = places;
	void *device;

	FAKE_ENTER_DRIVER();
	if (!bytes || bytes % GRANULARITY)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&fake_lock);
	while (p < places + ITEMS_MAX && p->device)
		p++;
	device = p < places + ITEMS_MAX
			 ? mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
				   -1, 0)
			 : MAP_FAILED;
	if (device == MAP_FAILED)
		return leave(CUDA_ERROR_OUT_OF_MEMORY);
	*p = (struct place){.device = device, .bytes = bytes};
	*at = (uintptr_t)device;
	return leave(CUDA_SUCCESS);
}

FAKE_EXPORT CUresult cuMemAddressFree(CUdeviceptr at, size_t bytes)
{
	struct place *p;

	FAKE_ENTER_DRIVER();
	pthread_mutex_lock(&fake_lock);
	p = find_exact(at, bytes);
	if (!p || p->block)
		return leave(CUDA_ERROR_INVALID_VALUE);
	munmap(p->device, p->bytes);
	*p = (struct place){0};
	return leave(CUDA_SUCCESS);
}

FAKE_EXPORT CUresult cuMemMap(CUdeviceptr at, size_t bytes, size_t offset,
	CUmemGenericAllocationHandle handle, unsigned long long flags)
{
	struct block *b;
	struct place *p;
	void *alias;

	FAKE_ENTER_DRIVER();
	pthread_mutex_lock(&fake_lock);
	b = block_of(handle);
	p = find_exact(at, bytes);
	if (!b || !p || p->block || offset || flags || bytes > b->label.bytes)
		return leave(CUDA_ERROR_INVALID_VALUE);
	if (ordinal_of(b->label.gpu) < 0)
		return leave(CUDA_ERROR_INVALID_DEVICE);
	alias = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
	if (alias == MAP_FAILED)
		return leave(CUDA_ERROR_OUT_OF_MEMORY);
	b->refs++;
	p->block = b;
	p->alias = alias;
	return leave(CUDA_SUCCESS);
}

static void unmap(struct place *p)
{
	munmap(p->alias, p->bytes);
	drop_block(p->block);
	p->block = NULL;
	p->access = CU_MEM_ACCESS_FLAGS_PROT_NONE;
}

FAKE_EXPORT CUresult cuMemUnmap(CUdeviceptr at, size_t bytes)
{
	struct place *p;

	FAKE_ENTER_DRIVER();
	pthread_mutex_lock(&fake_lock);
	fake_streams_settle();
	p = find_exact(at, bytes);
	if (!p || !p->block)
		return leave(CUDA_ERROR_INVALID_VALUE);
	unmap(p);
	return leave(CUDA_SUCCESS);
}

FAKE_EXPORT CUresult cuMemSetAccess(
	CUdeviceptr at, size_t bytes, const CUmemAccessDesc *access, size_t n_access)
{
	struct place *p;

	FAKE_ENTER_DRIVER();
	pthread_mutex_lock(&fake_lock);
	p = find_exact(at, bytes);
	if (!p || !p->block || n_access != 1)
		return leave(CUDA_ERROR_INVALID_VALUE);
	if (access->location.type != CU_MEM_LOCATION_TYPE_DEVICE ||
		fake_visible(access->location.id) < 0)
		return leave(CUDA_ERROR_INVALID_DEVICE);
	if (access->flags == CU_MEM_ACCESS_FLAGS_PROT_READ && !fake.readonly)
		return leave(CUDA_ERROR_NOT_SUPPORTED);
	p->access = (int)access->flags;
	if (mprotect(p->alias, p->bytes,
		    (p->access & 1 ? PROT_READ : PROT_NONE) | (p->access & 2 ? PROT_WRITE : 0)))
		abort();
	return leave(CUDA_SUCCESS);
}

FAKE_EXPORT CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *at)
{
	const struct place *p;

	FAKE_ENTER_DRIVER();
	pthread_mutex_lock(&fake_lock);
	p = find(at);
	if (!p || !p->block)
		return leave(CUDA_ERROR_INVALID_VALUE);
	p->block->refs++;
	*handle = (CUmemGenericAllocationHandle)(p->block - blocks) + 1;
	return leave(CUDA_SUCCESS);
}

bool fake_vmm_range(const void *data, CUdeviceptr *ret_base, size_t *ret_bytes)
{
	const struct place *p = find(data);

	if (!p || !p->block)
		return false;
	*ret_base = (uintptr_t)p->device;
	*ret_bytes = p->bytes;
	return true;
}

int fake_vmm_ordinal(const void *data)
{
	const struct place *p = find(data);

	return p && p->block ? ordinal_of(p->block->label.gpu) : -1;
}

void fake_vmm_reset(void)
{
	for (unsigned i = 0; i < ITEMS_MAX; i++) {
		if (places[i].block)
			unmap(&places[i]);
		if (places[i].device)
			munmap(places[i].device, places[i].bytes);
		places[i] = (struct place){0};
	}
	/* Those that are mapped are gone by then. */
	for (unsigned i = 0; i < ITEMS_MAX; i++) {
		if (blocks[i].refs > 0)
			close(blocks[i].fd);
		blocks[i].refs = 0;
	}
}

/* --- For tests -------------------------------------------------------------------------------- */

FAKE_EXPORT int fakecuda_foreign_fd(size_t bytes, int gpu, void **ret_data)
{
	const struct label l = {.magic = MAGIC, .bytes = bytes, .gpu = gpu, .exportable = 1};
	int fd = make(&l);

	*ret_data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (*ret_data == MAP_FAILED)
		abort();
	return fd;
}

FAKE_EXPORT unsigned fakecuda_n_vmm(void)
{
	unsigned n = 0;

	pthread_mutex_lock(&fake_lock);
	for (unsigned i = 0; i < ITEMS_MAX; i++)
		n += blocks[i].refs + (places[i].device != NULL);
	pthread_mutex_unlock(&fake_lock);
	return n;
}
