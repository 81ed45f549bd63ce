/*
 * transfer.h: the memory and the copies of one lane on its device. A run is
 *
 *     transfer_begin(), transfer_in() [, transfer_alloc_clear() ...], work on transfer_stream(),
 *     transfer_out() ..., transfer_finish(), transfer_end()
 *
 * Everything happens in the order of one stream: what the lane's neighbours copy meanwhile overlaps
 * with it. Memory that the device may use (pinned.h) is copied directly. All other goes through two
 * pinned buffers of the lane's own, one being filled or emptied while the other is copied; and so do
 * inputs that come in several small parts, in one copy: a copy costs as much as TRANSFER_SMALL bytes
 * more.
 *
 * Results are those of device.h, a fatal one ends the process. Worker process, one thread at a time.
 */
#ifndef WORKERS_TRANSFER_H
#define WORKERS_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workers/device.h"

/* Inputs of up to so many bytes in all are gathered; measured on an H100 (docs/gpu.md). */
#define TRANSFER_SMALL 65536u
/* Where an input begins in device memory. */
#define TRANSFER_ALIGN 256u

struct transfer;

/* One input of the run, in device memory. */
struct transfer_input {
	uint64_t bytes; /* of all its parts */
	void *data;	/* set by transfer_in() */
};

/* A piece of it, in host memory or the device's; those of an input come one behind the other. */
struct transfer_part {
	size_t input; /* never less than the part's before */
	const void *data;
	uint64_t bytes;
	bool pinned;	/* the device may read it */
	bool on_device; /* it is the device's */
};

/* The device is borrowed. priority: of the stream. -ENOMEM, DEVICE_E_* */
_must_use_ int transfer_new(
	struct transfer **ret_transfer, struct device *d, enum device_priority priority);
/* A run has ended: it found memory on the device, or none. Returns how many in a row found none, on all lanes. */
unsigned transfer_note_memory(struct transfer *t, bool found);
/* Accepts NULL; returns NULL. */
struct transfer *transfer_free(struct transfer *t);
DEFINE_CLEANUP(struct transfer *, transfer_free)

/* A result in words into text. Returns text. */
const char *transfer_explain(const struct transfer *t, int result, char *text, size_t cap);
/* What a backend puts its work into. */
void *transfer_stream(const struct transfer *t);
/* Waiting for the device ends at deadline_ns (clock_ns()), with DEVICE_E_TIMEOUT. */
void transfer_begin(struct transfer *t, uint64_t deadline_ns);
/* Device memory until transfer_end(), in the stream's order. DEVICE_E_MEMORY, -ENOMEM, fatal */
_must_use_ int transfer_alloc(struct transfer *t, uint64_t bytes, void **ret_data);
/* The same without anything of whoever had that memory before, for what a backend may not write wholly. */
_must_use_ int transfer_alloc_clear(struct transfer *t, uint64_t bytes, void **ret_data);
/* Copy inputs to the device. The parts' memory must stay as it is until transfer_finish(). */
_must_use_ int transfer_in(struct transfer *t, struct transfer_input *inputs, size_t n_inputs,
	const struct transfer_part *parts, size_t n_parts);
/* Copy device memory to the host, with transfer_finish() at the latest. -ENOMEM, DEVICE_E_* */
_must_use_ int transfer_out(
	struct transfer *t, void *to, const void *from, uint64_t bytes, bool pinned);
/* The same from device memory to device memory, in the stream's order. */
_must_use_ int transfer_within(struct transfer *t, void *to, const void *from, uint64_t bytes);
/* Copy host memory, which must stay as it is until transfer_finish(), to device memory. */
_must_use_ int transfer_put(
	struct transfer *t, void *to, const void *from, uint64_t bytes, bool pinned);
/* Wait until all that the stream holds is done, copies too. DEVICE_E_TIMEOUT, DEVICE_E_* */
_must_use_ int transfer_finish(struct transfer *t);
/* Gives the run's device memory back. Not for a run that was begun and neither finished nor failed:
 * after a failure that is not fatal it waits for what was begun. A fatal result ends the process. */
_must_use_ int transfer_end(struct transfer *t);

#endif
