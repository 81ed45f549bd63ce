/*
 * device_cuda_stream.c: streams of a GPU, the memory and the copies in their order, and events.
 * Streams do not wait for the default one, and events carry no times: both cost. Worker process, any
 * thread.
 */
#include <errno.h>

#include "workers/device_cuda_private.h"

struct cuda_event {
	struct device_event base;
	cudaEvent_t event; /* own */
};

static cudaStream_t stream_of(const struct device_stream *s)
{
	return ((const struct cuda_stream *)s)->stream;
}

static cudaEvent_t event_of(const struct device_event *e)
{
	return ((const struct cuda_event *)e)->event;
}

/* The more urgent, the lower the number. A GPU that has no priorities has 0 for both ends. */
static int make_stream(enum device_priority priority, cudaStream_t *ret_stream)
{
	int least = 0, greatest = 0, chosen;
	int r = cuda_result(cudaDeviceGetStreamPriorityRange(&least, &greatest));

	if (r)
		return r;
	chosen = priority == DEVICE_PRIORITY_LOW    ? least
		 : priority == DEVICE_PRIORITY_HIGH ? greatest
						    : least + (greatest - least) / 2;
	return cuda_result(cudaStreamCreateWithPriority(ret_stream, cudaStreamNonBlocking, chosen));
}

int cuda_stream_new(
	struct device *d, enum device_priority priority, struct device_stream **ret_stream)
{
	struct cuda_stream *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->base.device = d;
	r = make_stream(priority, &s->stream);
	if (r) {
		free(s);
		return r;
	}
	*ret_stream = &s->base;
	return 0;
}

void cuda_stream_free(struct device_stream *s)
{
	/* An error of the work in it has come back from its events already. */
	(void)!cuda_result(cudaStreamSynchronize(stream_of(s)));
	(void)!cuda_result(cudaStreamDestroy(stream_of(s)));
	free(s);
}

void *cuda_stream_native(const struct device_stream *s)
{
	return stream_of(s);
}

static int trim(const struct cuda_device *d)
{
	return cuda_result(cudaMemPoolTrimTo(d->pool, 0));
}

/*
 * A request that cannot be met leaves the pool with all that it took while it tried, and nobody else,
 * another process least of all, could have it: so what is unused goes back, also after the second
 * try. What can never be met is not tried.
 */
int cuda_alloc(struct device_stream *s, uint64_t bytes, void **ret_data)
{
	const struct cuda_device *d = (const struct cuda_device *)s->device;
	int r, trimmed;

	if (bytes > d->total_bytes)
		return device_result(DEVICE_E_MEMORY, cudaErrorMemoryAllocation);
	/* Nothing is a size that CUDA refuses. */
	bytes = bytes > 0 ? bytes : 1;
	r = cuda_result(cudaMallocAsync(ret_data, bytes, stream_of(s)));
	if (device_class(r) != DEVICE_E_MEMORY)
		return r;
	trimmed = trim(d);
	r = trimmed ? trimmed : cuda_result(cudaMallocAsync(ret_data, bytes, stream_of(s)));
	if (device_class(r) != DEVICE_E_MEMORY)
		return r;
	trimmed = trim(d);
	return trimmed ? trimmed : r;
}

int cuda_release(struct device_stream *s, void *data)
{
	return cuda_result(cudaFreeAsync(data, stream_of(s)));
}

int cuda_clear(struct device_stream *s, void *data, uint64_t bytes)
{
	return cuda_result(cudaMemsetAsync(data, 0, bytes, stream_of(s)));
}

int cuda_copy_in(struct device_stream *s, void *to, const void *from, uint64_t bytes)
{
	return cuda_result(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream_of(s)));
}

int cuda_copy_out(struct device_stream *s, void *to, const void *from, uint64_t bytes)
{
	return cuda_result(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_of(s)));
}

int cuda_copy_within(struct device_stream *s, void *to, const void *from, uint64_t bytes)
{
	return cuda_result(
		cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream_of(s)));
}

int cuda_stream_wait(struct device_stream *s, struct device_event *e)
{
	return cuda_result(cudaStreamWaitEvent(stream_of(s), event_of(e), 0));
}

int cuda_event_new(struct device *d, struct device_event **ret_event)
{
	struct cuda_event *e = calloc(1, sizeof(*e));
	int r;

	if (!e)
		return -ENOMEM;
	e->base.device = d;
	r = cuda_result(cudaEventCreateWithFlags(&e->event, cudaEventDisableTiming));
	if (r) {
		free(e);
		return r;
	}
	*ret_event = &e->base;
	return 0;
}

void cuda_event_free(struct device_event *e)
{
	(void)!cuda_result(cudaEventDestroy(event_of(e)));
	free(e);
}

int cuda_event_record(struct device_event *e, struct device_stream *s)
{
	return cuda_result(cudaEventRecord(event_of(e), stream_of(s)));
}

int cuda_event_query(struct device_event *e)
{
	return cuda_result(cudaEventQuery(event_of(e)));
}
