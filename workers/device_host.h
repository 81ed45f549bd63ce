/*
 * device_host.h: the host's processors as a device. Their number in "cpu:N" is a label: each such
 * device is the whole host, and several of them are a way to group workers.
 */
#ifndef WORKERS_DEVICE_HOST_H
#define WORKERS_DEVICE_HOST_H

#include "workers/device.h"

/* -ENOMEM */
_must_use_ int device_host_open(struct device **ret_device);

#endif
