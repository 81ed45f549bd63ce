/*
 * probe_vmm.c: device memory that another process is given by descriptor and may only read. The
 * exporter fills it, the asker passes the descriptor on, the importer reads it, then tries to write
 * it; the exporter looks whether that went through.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "tests/gpu/probe_cuda.h"

#define BYTES	(32 * MIB) /* a multiple of every granularity there is */
#define PATTERN 0x5a

/* Reserve addresses, map, set access. */
static bool map_at(const struct driver *d, CUmemGenericAllocationHandle handle,
	CUmemAccess_flags flags, CUdeviceptr *ret_at)
{
	CUmemAccessDesc access = {
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0}, .flags = flags};

	return !driver_refused(
		       d, "cuMemAddressReserve", d->mem_address_reserve(ret_at, BYTES, 0, 0, 0)) &&
	       !driver_refused(d, "cuMemMap", d->mem_map(*ret_at, BYTES, 0, handle, 0)) &&
	       !driver_refused(d,
		       flags == CU_MEM_ACCESS_FLAGS_PROT_READ ? "cuMemSetAccess, read-only"
							      : "cuMemSetAccess, read-write",
		       d->mem_set_access(*ret_at, BYTES, &access, 1));
}

/* ret_fd: own. */
static bool create(const struct driver *d, CUdeviceptr *ret_at, int *ret_fd)
{
	CUmemAllocationProp p = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0},
	};
	CUmemGenericAllocationHandle handle;
	size_t granularity;
	size_t unused;
	size_t total;

	if (driver_refused(d, "cuMemGetAllocationGranularity",
		    d->mem_get_granularity(&granularity, &p, CU_MEM_ALLOC_GRANULARITY_MINIMUM)) ||
		refused("cudaMemGetInfo", cudaMemGetInfo(&unused, &total)))
		return false;
	report_value("granularity", (double)granularity / (double)MIB, "MiB", NULL);
	if (BYTES % granularity || BYTES > unused / 4) {
		report_text("allocation", "not asked for", "too little memory, or odd granularity");
		return false;
	}
	return !driver_refused(d, "cuMemCreate", d->mem_create(&handle, BYTES, &p, 0)) &&
	       map_at(d, handle, CU_MEM_ACCESS_FLAGS_PROT_READWRITE, ret_at) &&
	       !driver_refused(d, "cuMemExportToShareableHandle",
		       d->mem_export(ret_fd, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
}

/* Pointers of the driver and of the runtime are the same. */
static void *as_pointer(CUdeviceptr at)
{
	return (void *)(uintptr_t)at;
}

static void export_and_watch(const struct task *task, const struct driver *d, void *host)
{
	CUdeviceptr at;
	uint64_t start = clock_ns();
	int fd;

	if (!create(d, &at, &fd))
		return;
	report_value(
		"create, map, export", (double)(clock_ns() - start) / NS_PER_US, "µs", "32 MiB");
	data_fill(host, BYTES, task->seed);
	if (refused("fill", cudaMemcpy(as_pointer(at), host, BYTES, cudaMemcpyHostToDevice)) ||
		refused("fill", cudaDeviceSynchronize()))
		return;
	report_mark("exported", 0, 0, fd);
	close_fd(&fd);
	wait_go(NULL);
	if (refused("read back", cudaMemcpy(host, as_pointer(at), BYTES, cudaMemcpyDeviceToHost)))
		return;
	report_text("the exporter's memory afterwards",
		data_check(host, BYTES, task->seed) == BYTES ? "as it was" : "WRITTEN", NULL);
}

void answer_export(const struct task *task)
{
	_cleanup_(freep) void *host = malloc(BYTES);
	struct driver d;

	if (!host)
		report_errno(task->label, -ENOMEM);
	else if (open_device() && driver_open(&d))
		export_and_watch(task, &d, host);
}

static bool import(const struct driver *d, int fd, CUdeviceptr *ret_at)
{
	CUmemGenericAllocationHandle handle;

	return !driver_refused(d, "cuMemImportFromShareableHandle",
		       d->mem_import(&handle, (void *)(intptr_t)fd,
			       CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)) &&
	       map_at(d, handle, CU_MEM_ACCESS_FLAGS_PROT_READ, ret_at);
}

static void read_and_write(const struct task *task, void *device, void *host)
{
	uint64_t good;

	if (refused("read in the second process",
		    cudaMemcpy(host, device, BYTES, cudaMemcpyDeviceToHost)))
		return;
	good = data_check(host, BYTES, task->seed);
	if (good < BYTES) {
		report_bad("read in the second process", good);
		return;
	}
	report_text("read in the second process", "the exporter's data", NULL);
	if (!refused("write in the second process", cudaMemset(device, PATTERN, BYTES)) &&
		!refused("write in the second process", cudaDeviceSynchronize()))
		report_text("write in the second process", "no error", NULL);
}

void answer_import(const struct task *task)
{
	_cleanup_(freep) void *host = malloc(BYTES);
	struct driver d;
	CUdeviceptr at;
	uint64_t start;
	int fd;

	if (!host || !open_device() || !driver_open(&d))
		return;
	report_mark("ready", 0, 0, -1);
	wait_go(&fd);
	start = clock_ns();
	if (!import(&d, fd, &at))
		return;
	report_value("import, map read-only", (double)(clock_ns() - start) / NS_PER_US, "µs", NULL);
	read_and_write(task, as_pointer(at), host);
}

void ask_vmm(struct table *t)
{
	struct task out = {
		.name = "export", .label = "exporter", .limit_s = 60, .seed = random_seed()};
	struct task in = out;
	struct child exporter;
	struct child importer;
	struct row mark;
	int fd = -1;

	snprintf(in.name, sizeof(in.name), "import");
	snprintf(in.label, sizeof(in.label), "importer");
	child_start(&exporter, t, &out, -1);
	if (child_mark(&exporter, t, "exported", &mark, &fd)) {
		child_start(&importer, t, &in, -1);
		if (child_mark(&importer, t, "ready", &mark, NULL))
			child_go(&importer, fd);
		child_end(&importer, t);
		child_go(&exporter, -1);
	}
	close_fd(&fd);
	child_end(&exporter, t);
}
