/*
 * device_host.c: the device interface for processors: all memory is theirs already, so there is
 * nothing to register, a copy is memcpy, and an event has come to pass when it is recorded. Worker
 * process, any thread.
 */
#include "workers/device_host.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ALIGN 64u

static int host_memory(struct device *d, struct device_memory *ret_memory)
{
	long page = sysconf(_SC_PAGESIZE);
	long total = sysconf(_SC_PHYS_PAGES);
	long unused = sysconf(_SC_AVPHYS_PAGES);

	if (page <= 0 || total <= 0 || unused < 0)
		return -ENOTSUP;
	ret_memory->total_bytes = (uint64_t)total * (uint64_t)page;
	ret_memory->free_bytes = (uint64_t)unused * (uint64_t)page;
	return 0;
}

static int host_register(struct device *d, void *data, uint64_t bytes, enum device_access access)
{
	return 0;
}

static int host_unregister(struct device *d, void *data)
{
	return 0;
}

static int host_host_alloc(struct device *d, uint64_t bytes, void **ret_data)
{
	void *data;

	if (bytes > SIZE_MAX - ALIGN)
		return -ENOMEM;
	data = aligned_alloc(ALIGN, (bytes + ALIGN) / ALIGN * ALIGN);
	if (!data)
		return -ENOMEM;
	*ret_data = data;
	return 0;
}

static void host_host_free(struct device *d, void *data)
{
	free(data);
}

static int host_stream_new(
	struct device *d, enum device_priority priority, struct device_stream **ret_stream)
{
	struct device_stream *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->device = d;
	*ret_stream = s;
	return 0;
}

static void host_stream_free(struct device_stream *s)
{
	free(s);
}

static int host_alloc(struct device_stream *s, uint64_t bytes, void **ret_data)
{
	return host_host_alloc(s->device, bytes, ret_data);
}

static int host_release(struct device_stream *s, void *data)
{
	free(data);
	return 0;
}

static int host_clear(struct device_stream *s, void *data, uint64_t bytes)
{
	memset(data, 0, bytes);
	return 0;
}

static int host_copy(struct device_stream *s, void *to, const void *from, uint64_t bytes)
{
	memcpy(to, from, bytes);
	return 0;
}

static int host_stream_wait(struct device_stream *s, struct device_event *e)
{
	return 0;
}

static int host_event_new(struct device *d, struct device_event **ret_event)
{
	struct device_event *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->device = d;
	*ret_event = e;
	return 0;
}

static void host_event_free(struct device_event *e)
{
	free(e);
}

static int host_event_record(struct device_event *e, struct device_stream *s)
{
	return 0;
}

static int host_event_query(struct device_event *e)
{
	return 0;
}

static void host_explain(int code, char *text, size_t cap)
{
	snprintf(text, cap, "error %d of the host", code);
}

static void host_free(struct device *d)
{
	free(d);
}

static const struct device_ops host_ops = {
	.kind = "cpu",
	.lanes = 1,
	.memory = host_memory,
	.register_host = host_register,
	.unregister_host = host_unregister,
	.host_alloc = host_host_alloc,
	.host_free = host_host_free,
	.stream_new = host_stream_new,
	.stream_free = host_stream_free,
	.alloc = host_alloc,
	.release = host_release,
	.clear = host_clear,
	.copy_in = host_copy,
	.copy_out = host_copy,
	.copy_within = host_copy,
	.stream_wait = host_stream_wait,
	.event_new = host_event_new,
	.event_free = host_event_free,
	.event_record = host_event_record,
	.event_query = host_event_query,
	.explain = host_explain,
	.free = host_free,
};

int device_host_open(struct device **ret_device)
{
	struct device *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->ops = &host_ops;
	snprintf(d->info.name, sizeof(d->info.name), "host");
	d->info.reads_read_only = true;
	*ret_device = d;
	return 0;
}
