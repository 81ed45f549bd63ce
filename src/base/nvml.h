/*
 * nvml.h: what the driver's management library says of GPUs, without CUDA and without a context. The
 * library is opened at run time: where it is missing there is nothing to say. Calls can take
 * milliseconds: never on a thread that must not block. One thread at a time per object.
 */
#ifndef BASE_NVML_H
#define BASE_NVML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define NVML_GPUS_MAX	   64u
#define NVML_INSTANCES_MAX 16u
#define NVML_UUID_BYTES	   96u
#define NVML_UNKNOWN	   INT64_MIN

struct nvml;

/* Figures that this GPU or driver does not have are NVML_UNKNOWN. */
struct nvml_gpu {
	char name[96];
	char uuid[NVML_UUID_BYTES];
	char bus[32];
	int64_t busy_percent;	     /* of the time, over the last moments */
	int64_t memory_busy_percent; /* memory being read or written */
	int64_t memory_total_bytes, memory_used_bytes;
	int64_t power_mw, power_limit_mw;
	int64_t energy_mj; /* since the driver was loaded */
	int64_t temperature_c;
	int64_t sm_clock_mhz, memory_clock_mhz;
	int64_t ecc_uncorrected; /* since then */
	int64_t recovery_action; /* 0: none; else what has to be done: 1 reset the GPU, 2 reboot, ... */
	int64_t last_xid;	 /* the last critical error since it was opened ... */
	uint64_t xid_errors;	 /* ... and how many there were */
};

/* What a GPU is divided into (MIG). Where it is on, CUDA runs on instances alone; there may be none. */
struct nvml_instances {
	bool on;
	size_t n; /* those that were found: at most NVML_INSTANCES_MAX */
	char uuids[NVML_INSTANCES_MAX][NVML_UUID_BYTES]; /* "MIG-..." */
};

/*
 * -ENOENT   there is no such library here
 * -ENODEV   it cannot talk to a driver
 * -ENOTSUP  it is too old
 * -ENOMEM
 */
_must_use_ int nvml_open(struct nvml **ret_nvml);
/* Accepts NULL; returns NULL. */
struct nvml *nvml_close(struct nvml *n);
DEFINE_CLEANUP(struct nvml *, nvml_close)

/* GPUs here, in the order of their PCI addresses; at most NVML_GPUS_MAX. */
size_t nvml_count(const struct nvml *n);
/* Look at GPU i. False: it is gone, and *ret_gpu says only which it was. */
bool nvml_read(struct nvml *n, size_t i, struct nvml_gpu *ret_gpu);
/* Look at what GPU i is divided into. Off: it is not; or neither it nor the driver knows of that, or it is gone. */
void nvml_read_instances(struct nvml *n, size_t i, struct nvml_instances *ret_instances);

#endif
