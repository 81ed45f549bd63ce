/* device_cuda_test.c: opening a GPU and registering host memory, with a stand-in for the GPU. */
#include "workers/device_cuda.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/support/failalloc.h"
#include "tests/support/fakecuda/fakecuda.h"

#define BYTES 65536u

static struct device *open_gpu(void)
{
	char text[DEVICE_TEXT_MAX];
	struct device *d = NULL;

	cr_assert_eq(device_cuda_open(&d, text), 0, "%s", text);
	return d;
}

/* A segment as others map it. */
static void *map(int protection)
{
	int fd = memfd_create("segment", MFD_CLOEXEC);
	void *data;

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, BYTES), 0);
	data = mmap(NULL, BYTES, protection, MAP_SHARED, fd, 0);
	cr_assert_neq(data, MAP_FAILED);
	close(fd);
	return data;
}

Test(device_cuda, what_it_is)
{
	struct device_memory memory;
	struct device *d;

	fakecuda_reset("devices=8 memory_mib=64");
	setenv("CUDA_VISIBLE_DEVICES", "5", 1);
	d = open_gpu();
	cr_assert_str_eq(d->info.name, "Stand-in GPU");
	cr_assert_str_eq(d->info.uuid, "GPU-00000006-0000-4000-8000-000000000006");
	cr_assert_str_eq(d->info.bus, "0000:06:00.0");
	cr_assert(d->info.reads_read_only);
	cr_assert_eq(device_memory(d, &memory), 0);
	cr_assert_eq(memory.total_bytes, 64u << 20);
	cr_assert_eq(memory.free_bytes, 64u << 20);
	device_free(d);
}

Test(device_cuda, only_what_is_visible_can_be_opened)
{
	char text[DEVICE_TEXT_MAX];
	struct device *d = NULL;

	fakecuda_reset("devices=2");
	setenv("CUDA_VISIBLE_DEVICES", "2", 1);
	cr_assert_eq(device_cuda_open(&d, text), -ENODEV);
	setenv("CUDA_VISIBLE_DEVICES", "", 1);
	cr_assert_eq(device_cuda_open(&d, text), -ENODEV);
	cr_assert_null(d);
}

Test(device_cuda, each_step_of_opening_can_fail)
{
	static const char *const calls[] = {"cudaGetDeviceCount", "cudaSetDevice", "cudaFree",
		"cudaGetDeviceProperties", "cudaDeviceGetPCIBusId", "cudaDeviceGetAttribute",
		"cudaDeviceGetDefaultMemPool", "cudaMemPoolSetAttribute", "cudaMemGetInfo"};
	char settings[128], text[DEVICE_TEXT_MAX];
	struct device *d = NULL;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		snprintf(settings, sizeof(settings), "fail=%s:1:46", calls[i]);
		fakecuda_reset(settings);
		cr_assert_eq(device_class(device_cuda_open(&d, text)), DEVICE_E_UNUSABLE, "%s",
			calls[i]);
		cr_assert(strstr(text, ": cudaErrorDevicesUnavailable (46)"), "%s", text);
	}
	cr_assert_null(d);
}

Test(device_cuda, memory_is_registered_as_it_is_mapped)
{
	void *read_only = map(PROT_READ), *read_write = map(PROT_READ | PROT_WRITE);
	struct device *d = open_gpu();

	cr_assert_eq(device_register(d, read_only, BYTES, DEVICE_READ_ONLY), 0);
	cr_assert_eq(device_register(d, read_write, BYTES, DEVICE_READ_WRITE), 0);
	cr_assert_eq(fakecuda_n_pieces(), 2);
	cr_assert_eq(device_class(device_register(d, read_write, BYTES, DEVICE_READ_WRITE)),
		DEVICE_E_REQUEST, "twice");
	cr_assert_eq(device_unregister(d, read_only), 0);
	cr_assert_eq(device_unregister(d, read_write), 0);
	cr_assert_eq(device_class(device_unregister(d, read_write)), DEVICE_E_REQUEST);
	cr_assert_eq(fakecuda_n_pieces(), 0);
	cr_assert_eq(device_class(device_register(d, read_only, BYTES, DEVICE_READ_WRITE)),
		DEVICE_E_REQUEST, "the device could write what this process cannot");
	device_free(d);
}

Test(device_cuda, where_read_only_memory_cannot_be_registered)
{
	void *read_only = map(PROT_READ);
	struct device *d;

	fakecuda_reset("readonly=0");
	d = open_gpu();
	cr_assert_not(d->info.reads_read_only);
	cr_assert_eq(device_register(d, read_only, BYTES, DEVICE_READ_ONLY), -ENOTSUP);
	cr_assert_eq(fakecuda_calls("cudaHostRegister"), 0, "it is known without trying");
	device_free(d);
	fakecuda_reset("fail=cudaHostRegister:1:801 fail=cudaHostRegister:2:800");
	d = open_gpu();
	cr_assert_eq(device_register(d, read_only, BYTES, DEVICE_READ_ONLY), -ENOTSUP);
	cr_assert_eq(device_register(d, read_only, BYTES, DEVICE_READ_ONLY), -ENOTSUP);
	cr_assert_eq(device_register(d, read_only, BYTES, DEVICE_READ_ONLY), 0);
	device_free(d);
}

Test(device_cuda, host_memory_of_its_own)
{
	struct device *d = open_gpu();
	void *data = NULL;

	cr_assert_eq(device_host_alloc(d, BYTES, &data), 0);
	memset(data, 1, BYTES);
	cr_assert_eq(fakecuda_n_pieces(), 1);
	device_host_free(d, data);
	device_host_free(d, NULL);
	cr_assert_eq(fakecuda_n_pieces(), 0);
	device_free(d);
}

static int work(void *arg)
{
	char text[DEVICE_TEXT_MAX];
	struct device *d;
	int r = device_cuda_open(&d, text);

	if (!r)
		device_free(d);
	return r;
}

Test(device_cuda, faults)
{
	FAULT_LOOP(work, NULL);
}
