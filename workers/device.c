/* device.c: what all devices share: their doors, results, and waiting. Worker process, any thread. */
#include "workers/device.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"

#define CLASS_BITS 8u
#define CLASS_MASK ((1 << CLASS_BITS) - 1)

/* A wait looks again and again for so long, then it sleeps a little between looks: what is quick is
 * not slowed down, what is slow does not cost a core. */
#define SPIN_NS	     100000u
#define SLEEP_MIN_NS 20000u
#define SLEEP_MAX_NS 500000u

struct device *device_free(struct device *d)
{
	if (d)
		d->ops->free(d);
	return NULL;
}

/* --- Results ------------------------------------------------------------------------------ */

enum device_class device_class(int result)
{
	return result > 0 ? (enum device_class)(result & CLASS_MASK) : (enum device_class)0;
}

int device_result(enum device_class class, int code)
{
	return (int)class | code << CLASS_BITS;
}

bool device_fatal(int result)
{
	enum device_class class = device_class(result);

	return class == DEVICE_E_LOST || class == DEVICE_E_UNUSABLE || class == DEVICE_E_TIMEOUT;
}

const char *device_explain(const struct device *d, int result, char *text, size_t cap)
{
	if (result < 0)
		snprintf(text, cap, "%s", err_str(result));
	else if (device_class(result) == DEVICE_E_TIMEOUT)
		snprintf(text, cap, "the device did not finish in time");
	else
		d->ops->explain(result >> CLASS_BITS, text, cap);
	return text;
}

uint32_t device_lanes(const struct device *d)
{
	return d->ops->lanes;
}

bool device_is_host(const struct device *d)
{
	return d->ops->stream_native == NULL;
}

/* --- Memory ------------------------------------------------------------------------------- */

int device_memory(struct device *d, struct device_memory *ret_memory)
{
	return d->ops->memory(d, ret_memory);
}

int device_register(struct device *d, void *data, uint64_t bytes, enum device_access access)
{
	return d->ops->register_host(d, data, bytes, access);
}

int device_unregister(struct device *d, void *data)
{
	return d->ops->unregister_host(d, data);
}

int device_host_alloc(struct device *d, uint64_t bytes, void **ret_data)
{
	return d->ops->host_alloc(d, bytes, ret_data);
}

void device_host_free(struct device *d, void *data)
{
	if (data)
		d->ops->host_free(d, data);
}

int device_alloc(struct device_stream *s, uint64_t bytes, void **ret_data)
{
	return s->device->ops->alloc(s, bytes, ret_data);
}

int device_release(struct device_stream *s, void *data)
{
	return data ? s->device->ops->release(s, data) : 0;
}

int device_clear(struct device_stream *s, void *data, uint64_t bytes)
{
	return bytes > 0 ? s->device->ops->clear(s, data, bytes) : 0;
}

int device_copy_in(struct device_stream *s, void *to, const void *from, uint64_t bytes)
{
	return bytes > 0 ? s->device->ops->copy_in(s, to, from, bytes) : 0;
}

int device_copy_all_in(struct device_stream *s, const struct device_copy *copies, size_t n)
{
	const struct device_ops *ops = s->device->ops;
	int r = n > 1 && ops->copy_all_in ? ops->copy_all_in(s, copies, n) : -ENOTSUP;

	if (r != -ENOTSUP)
		return r;
	r = 0;
	for (size_t i = 0; i < n && !r; i++)
		r = ops->copy_in(s, copies[i].to, copies[i].from, copies[i].bytes);
	return r;
}

int device_copy_out(struct device_stream *s, void *to, const void *from, uint64_t bytes)
{
	return bytes > 0 ? s->device->ops->copy_out(s, to, from, bytes) : 0;
}

int device_copy_within(struct device_stream *s, void *to, const void *from, uint64_t bytes)
{
	return bytes > 0 ? s->device->ops->copy_within(s, to, from, bytes) : 0;
}

bool device_imports(const struct device *d)
{
	return d->ops->import != NULL;
}

int device_import(
	struct device *d, const void *handle, uint64_t bytes, struct device_import *ret_import)
{
	return device_imports(d) ? d->ops->import(d, handle, bytes, ret_import) : -ENOTSUP;
}

int device_import_fd(
	struct device *d, int fd, uint64_t bytes, bool writable, struct device_import *ret_import)
{
	return device_imports(d) ? d->ops->import_fd(d, fd, bytes, writable, ret_import) : -ENOTSUP;
}

int device_give_back(struct device *d, const struct device_import *import)
{
	return import->data ? d->ops->give_back(d, import) : 0;
}

/* --- Streams and events ------------------------------------------------------------------- */

int device_stream_new(struct device *d, struct device_stream **ret_stream)
{
	return device_stream_new_at(d, DEVICE_PRIORITY_NORMAL, ret_stream);
}

int device_stream_new_at(
	struct device *d, enum device_priority priority, struct device_stream **ret_stream)
{
	return d->ops->stream_new(d, priority, ret_stream);
}

struct device_stream *device_stream_free(struct device_stream *s)
{
	if (s)
		s->device->ops->stream_free(s);
	return NULL;
}

void *device_stream_native(const struct device_stream *s)
{
	return device_is_host(s->device) ? NULL : s->device->ops->stream_native(s);
}

int device_stream_wait(struct device_stream *s, struct device_event *e)
{
	return s->device->ops->stream_wait(s, e);
}

int device_event_new(struct device *d, struct device_event **ret_event)
{
	return d->ops->event_new(d, ret_event);
}

struct device_event *device_event_free(struct device_event *e)
{
	if (e)
		e->device->ops->event_free(e);
	return NULL;
}

int device_event_record(struct device_event *e, struct device_stream *s)
{
	return e->device->ops->event_record(e, s);
}

int device_event_query(struct device_event *e)
{
	return e->device->ops->event_query(e);
}

/* A device offers no descriptor to wait for, and its callbacks do not come after an error. */
static void pause_between(uint64_t *sleep_ns)
{
	struct timespec t = {.tv_sec = 0, .tv_nsec = (long)(*sleep_ns % NS_PER_S)};

	clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
	if (*sleep_ns < SLEEP_MAX_NS)
		*sleep_ns += *sleep_ns / 2;
}

int device_event_wait(struct device_event *e, uint64_t deadline_ns)
{
	uint64_t start_ns = clock_ns(), now_ns = start_ns, sleep_ns = SLEEP_MIN_NS;
	int r = device_event_query(e);

	while (device_class(r) == DEVICE_E_PENDING && now_ns < deadline_ns) {
		if (now_ns - start_ns < SPIN_NS)
			sched_yield();
		else
			pause_between(&sleep_ns);
		r = device_event_query(e);
		now_ns = clock_ns();
	}
	return device_class(r) == DEVICE_E_PENDING ? device_result(DEVICE_E_TIMEOUT, 0) : r;
}
