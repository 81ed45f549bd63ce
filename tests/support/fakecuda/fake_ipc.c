/*
 * fake_ipc.c: memory of a GPU that one process hands to another by its handle. Where the stand-in is told of a folder
 * (ipc=DIR), each process's memory is a file there, of which others map a part. As with the real one, a process cannot open
 * its own handles, one that is opened again is the same memory, and nothing says when its owner has freed it.
 */
#include <cuda.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/fakecuda/fake_private.h"

#define OPENED_MAX 64u
#define MAGIC	   UINT64_C(0x66616b6563756461)

/* What the 64 bytes are. */
struct handle {
	uint64_t magic, at, bytes, sum;
	int32_t process, gpu;
	char unused[24];
};
_Static_assert(sizeof(struct handle) == sizeof(cudaIpcMemHandle_t), "a handle fits");

static struct opened {
	struct handle handle;
	unsigned refs; /* 0: nothing */
	char *device;  /* what pointers point into; PROT_NONE */
	char *alias;
	size_t mapped, ahead; /* bytes, and those that lie ahead of the handle's */
} opened[OPENED_MAX];

static uint64_t sum_of(const struct handle *h)
{
	return (h->magic ^ h->at * 31 ^ h->bytes * 17 ^ (uint64_t)h->process << 8) +
	       (uint64_t)h->gpu;
}

static void path_of(int process, char *path, size_t cap)
{
	snprintf(path, cap, "%s/fakecuda-%d", fake.ipc, process);
}

int fake_ipc_file(void)
{
	char path[sizeof(fake.ipc) + 32];

	path_of(getpid(), path, sizeof(path));
	return open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
}

static char *base(const struct opened *o)
{
	return o->device + o->ahead;
}

static struct opened *find(const void *data)
{
	const char *p = data;

	for (unsigned i = 0; i < OPENED_MAX; i++) {
		struct opened *o = &opened[i];

		if (o->refs > 0 && p >= base(o) && p < base(o) + o->handle.bytes)
			return o;
	}
	return NULL;
}

void *fake_ipc_alias(const void *data, size_t bytes)
{
	const struct opened *o = find(data);
	size_t at = o ? (size_t)((const char *)data - base(o)) : 0;

	if (!o || bytes > o->handle.bytes - at)
		return NULL;
	return o->alias + o->ahead + at;
}

static void drop(struct opened *o)
{
	munmap(o->device, o->mapped);
	munmap(o->alias, o->mapped);
	memset(o, 0, sizeof(*o));
}

void fake_ipc_reset(void)
{
	for (unsigned i = 0; i < OPENED_MAX; i++) {
		if (opened[i].refs > 0)
			drop(&opened[i]);
	}
}

FAKE_EXPORT cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t *ret_handle, void *data)
{
	struct handle h = {.magic = MAGIC, .process = getpid()};
	cudaError_t error = cudaErrorInvalidValue;

	FAKE_ENTER();
	h.gpu = fake_visible(0);
	pthread_mutex_lock(&fake_lock);
	if (*fake.ipc && fake_memory_block(data, &h.at, &h.bytes)) {
		h.sum = sum_of(&h);
		memcpy(ret_handle, &h, sizeof(h));
		error = cudaSuccess;
	}
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

static cudaError_t map(struct opened *o, const struct handle *h)
{
	char path[sizeof(fake.ipc) + 32];
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), from = h->at / page * page;
	struct stat st;
	int fd;

	path_of(h->process, path, sizeof(path));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return cudaErrorMapBufferObjectFailed;
	o->handle = *h;
	o->ahead = h->at - from;
	o->mapped = o->ahead + h->bytes;
	o->device = o->alias = MAP_FAILED;
	if (!fstat(fd, &st) && h->at + h->bytes <= (uint64_t)st.st_size) {
		o->device = mmap(NULL, o->mapped, PROT_NONE, MAP_SHARED, fd, (off_t)from);
		o->alias =
			mmap(NULL, o->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)from);
	}
	close(fd);
	if (o->device == MAP_FAILED || o->alias == MAP_FAILED)
		return cudaErrorMapBufferObjectFailed;
	o->refs = 1;
	return cudaSuccess;
}

/* The lock is held. */
static cudaError_t open_handle(void **ret_data, const struct handle *h)
{
	struct opened *unused = NULL;
	cudaError_t error;

	for (unsigned i = 0; i < OPENED_MAX; i++) {
		if (opened[i].refs > 0 && !memcmp(&opened[i].handle, h, sizeof(*h))) {
			opened[i].refs++;
			*ret_data = base(&opened[i]);
			return cudaSuccess;
		}
		if (opened[i].refs == 0)
			unused = &opened[i];
	}
	if (!unused)
		return cudaErrorMemoryAllocation;
	error = map(unused, h);
	if (error == cudaSuccess)
		*ret_data = base(unused);
	return error;
}

FAKE_EXPORT cudaError_t cudaIpcOpenMemHandle(
	void **ret_data, cudaIpcMemHandle_t handle, unsigned flags)
{
	struct handle h;
	cudaError_t error;

	FAKE_ENTER();
	memcpy(&h, &handle, sizeof(h));
	if (!*fake.ipc || h.magic != MAGIC || h.sum != sum_of(&h) || h.gpu != fake_visible(0))
		return fake_done(cudaErrorInvalidResourceHandle);
	if (h.process == getpid())
		return fake_done(cudaErrorDeviceUninitialized);
	pthread_mutex_lock(&fake_lock);
	error = open_handle(ret_data, &h);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaIpcCloseMemHandle(void *data)
{
	struct opened *o;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	fake_streams_settle();
	o = find(data);
	if (o && base(o) == data && --o->refs == 0)
		drop(o);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(o ? cudaSuccess : cudaErrorInvalidValue);
}

/* Of the driver, which the runtime has no call for: what [*ret_base, + *ret_bytes) an address lies in. */
FAKE_EXPORT CUresult cuMemGetAddressRange_v2(
	CUdeviceptr *ret_base, size_t *ret_bytes, CUdeviceptr address)
{
	const struct opened *o;
	uint64_t at, bytes;
	CUresult error = CUDA_ERROR_INVALID_VALUE;

	fake_called(__func__);
	pthread_mutex_lock(&fake_lock);
	o = find((void *)(uintptr_t)address);
	if (o) {
		*ret_base = (unsigned long long)(uintptr_t)base(o);
		*ret_bytes = o->handle.bytes;
		error = CUDA_SUCCESS;
	} else if (fake_vmm_range((void *)(uintptr_t)address, ret_base, ret_bytes)) {
		error = CUDA_SUCCESS;
	} else if (fake_memory_block((void *)(uintptr_t)address, &at, &bytes)) {
		*ret_base = address;
		*ret_bytes = bytes;
		error = CUDA_SUCCESS;
	}
	pthread_mutex_unlock(&fake_lock);
	return error;
}

FAKE_EXPORT void *fakecuda_foreign(size_t bytes, void *ret_handle)
{
	static int32_t last = INT32_MAX;
	struct handle h = {.magic = MAGIC, .bytes = bytes, .gpu = fake_visible(0)};
	char path[sizeof(fake.ipc) + 32];
	void *data;
	int fd;

	pthread_mutex_lock(&fake_lock);
	h.process = last--;
	pthread_mutex_unlock(&fake_lock);
	h.sum = sum_of(&h);
	path_of(h.process, path, sizeof(path));
	fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		abort();
	data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		abort();
	close(fd);
	memcpy(ret_handle, &h, sizeof(h));
	return data;
}
