/*
 * affinity.h: which processors are near a device, by sysfs, and that this process runs there alone. Memory that its
 * threads are the first to touch (its output segments, staging) is near the device then, too. Worker process.
 */
#ifndef WORKERS_AFFINITY_H
#define WORKERS_AFFINITY_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define AFFINITY_TEXT_MAX 256u

/*
 * Keep all threads of this process, and those that they start, to the processors near the PCI device `bus`
 * ("0000:1B:00.0"), and of those to the ones that they may run on already. Where there is none of them, or all are
 * near, everything stays as it is. sysfs: "/sys". ret_cpus (AFFINITY_TEXT_MAX bytes): the processors near it as the
 * kernel lists them, "0-27,56-83"; "all" where that is all that this process may run on.
 *
 * -ENODATA   nobody knows which are near
 * -errno     of sched_setaffinity(2), which a sandbox may refuse
 */
_must_use_ int affinity_apply(const char *sysfs, const char *bus, char *ret_cpus);

/*
 * The NUMA node that the PCI device is near, counted from 1; 0: nobody knows, or this host has only one.
 */
uint32_t affinity_numa_node(const char *sysfs, const char *bus);

#endif
