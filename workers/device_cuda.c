/*
 * device_cuda.c: the GPU that this process sees as a device: opening it, what it is, and the host
 * memory that it may use. The only files that know CUDA's runtime are device_cuda*.c and backends
 * that run there. The runtime is linked statically and looks for the driver when it is first called,
 * so that a worker without a GPU starts on a host that has none. Worker process, any thread.
 */
#include "workers/device_cuda.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/nvml.h"
#include "workers/device_cuda_private.h"

/* The one that CUDA_VISIBLE_DEVICES leaves. */
#define DEVICE 0

static int cuda_memory(struct device *d, struct device_memory *ret_memory)
{
	size_t unused, total;
	int r = cuda_result(cudaMemGetInfo(&unused, &total));

	if (r)
		return r;
	ret_memory->free_bytes = unused;
	ret_memory->total_bytes = total;
	return 0;
}

static int cuda_register(struct device *d, void *data, uint64_t bytes, enum device_access access)
{
	bool read_only = access == DEVICE_READ_ONLY;
	cudaError_t error;

	if (read_only && !d->info.reads_read_only)
		return -ENOTSUP;
	error = cudaHostRegister(
		data, bytes, read_only ? cudaHostRegisterReadOnly : cudaHostRegisterDefault);
	if (error == cudaErrorNotSupported || error == cudaErrorNotPermitted) {
		(void)cudaGetLastError();
		return -ENOTSUP;
	}
	return cuda_result(error);
}

static int cuda_unregister(struct device *d, void *data)
{
	return cuda_result(cudaHostUnregister(data));
}

static int cuda_host_alloc(struct device *d, uint64_t bytes, void **ret_data)
{
	return cuda_result(cudaHostAlloc(ret_data, bytes, cudaHostAllocDefault));
}

static void cuda_host_free(struct device *d, void *data)
{
	(void)!cuda_result(cudaFreeHost(data));
}

/* The context goes with the process. */
static void cuda_free(struct device *d)
{
	free(d);
}

static const struct device_ops cuda_ops = {
	.kind = "cuda",
	.lanes = 3,
	.memory = cuda_memory,
	.register_host = cuda_register,
	.unregister_host = cuda_unregister,
	.host_alloc = cuda_host_alloc,
	.host_free = cuda_host_free,
	.stream_new = cuda_stream_new,
	.stream_free = cuda_stream_free,
	.stream_native = cuda_stream_native,
	.alloc = cuda_alloc,
	.release = cuda_release,
	.clear = cuda_clear,
	.copy_in = cuda_copy_in,
	.copy_out = cuda_copy_out,
	.copy_within = cuda_copy_within,
	.copy_all_in = cuda_copy_all_in,
	.import = cuda_import,
	.import_fd = cuda_import_fd,
	.give_back = cuda_give_back,
	.stream_wait = cuda_stream_wait,
	.event_new = cuda_event_new,
	.event_free = cuda_event_free,
	.event_record = cuda_event_record,
	.event_query = cuda_event_query,
	.explain = cuda_explain,
	.free = cuda_free,
};

/* --- Opening ------------------------------------------------------------------------------ */

/* Is there any driver? Without one the runtime says that it is too old. */
static bool has_driver(void)
{
	int version = 0;

	return cudaDriverGetVersion(&version) == cudaSuccess && version > 0;
}

/* Which there are, by the driver's management library: CUDA itself sees none but ours. */
static void say_which(char *text)
{
	size_t at = (size_t)snprintf(text, DEVICE_TEXT_MAX, "there is no such GPU here");
	_cleanup_(nvml_closep) struct nvml *n = NULL;
	struct nvml_gpu gpu;

	if (nvml_open(&n))
		return;
	at += (size_t)snprintf(text + at, DEVICE_TEXT_MAX - at,
		nvml_count(n) > 0 ? "; there are" : ", nor any other");
	for (size_t i = 0; i < nvml_count(n) && at < DEVICE_TEXT_MAX; i++) {
		(void)nvml_read(n, i, &gpu);
		at += (size_t)snprintf(
			text + at, DEVICE_TEXT_MAX - at, "%s cuda:%s", i ? "," : "", gpu.uuid);
	}
}

/* Is there a GPU to be seen? */
static int look(char *text)
{
	int n = 0;
	cudaError_t error = cudaGetDeviceCount(&n);
	int r = cuda_result(error);

	if (!has_driver()) {
		snprintf(text, DEVICE_TEXT_MAX, "there is no CUDA driver here");
		return -ENODEV;
	}
	if (error == cudaErrorNoDevice || (!r && n == 0)) {
		say_which(text);
		return -ENODEV;
	}
	return r;
}

static void format_uuid(const cudaUUID_t *uuid, char *text, size_t cap)
{
	const unsigned char *b = (const unsigned char *)uuid->bytes;

	snprintf(text, cap,
		"GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
		b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
		b[14], b[15]);
}

static int describe(struct device_info *info)
{
	struct cudaDeviceProp properties;
	int reads = 0;
	int r = cuda_result(cudaGetDeviceProperties(&properties, DEVICE));

	if (!r)
		r = cuda_result(cudaDeviceGetPCIBusId(info->bus, sizeof(info->bus), DEVICE));
	if (!r)
		r = cuda_result(cudaDeviceGetAttribute(
			&reads, cudaDevAttrHostRegisterReadOnlySupported, DEVICE));
	if (r)
		return r;
	snprintf(info->name, sizeof(info->name), "%.*s", (int)sizeof(info->name) - 1,
		properties.name);
	format_uuid(&properties.uuid, info->uuid, sizeof(info->uuid));
	info->reads_read_only = reads != 0;
	return 0;
}

/* Memory that was given back is kept for the next run: by default every pause returns it. */
static int keep_memory(struct cuda_device *d)
{
	uint64_t keep = UINT64_MAX;
	int r = cuda_result(cudaDeviceGetDefaultMemPool(&d->pool, DEVICE));

	return r ? r
		 : cuda_result(cudaMemPoolSetAttribute(
			   d->pool, cudaMemPoolAttrReleaseThreshold, &keep));
}

static int measure_memory(struct cuda_device *d)
{
	struct device_memory memory;
	int r = cuda_memory(&d->base, &memory);

	if (!r)
		d->total_bytes = memory.total_bytes;
	return r;
}

/* The context comes with cudaSetDevice() since CUDA 12, with the first call before. */
static int make_context(void)
{
	int r = cuda_result(cudaSetDevice(DEVICE));

	return r ? r : cuda_result(cudaFree(NULL));
}

/* ret_step: what was being done when it failed. */
static int open_steps(struct cuda_device *d, const char **ret_step, char *text)
{
	int r;

	*ret_step = "looking for it";
	r = look(text);
	if (!r) {
		*ret_step = "making a context";
		r = make_context();
	}
	if (!r) {
		*ret_step = "asking what it is";
		r = describe(&d->base.info);
	}
	if (!r) {
		*ret_step = "its memory";
		r = keep_memory(d);
	}
	return r ? r : measure_memory(d);
}

int device_cuda_open(struct device **ret_device, char *text)
{
	struct cuda_device *d = calloc(1, sizeof(*d));
	char why[DEVICE_TEXT_MAX / 2];
	const char *step;
	int r;

	if (!d)
		return -ENOMEM;
	d->base.ops = &cuda_ops;
	r = open_steps(d, &step, text);
	if (r > 0)
		snprintf(text, DEVICE_TEXT_MAX, "%s: %s", step,
			device_explain(&d->base, r, why, sizeof(why)));
	if (r) {
		free(d);
		return r;
	}
	*ret_device = &d->base;
	return 0;
}
