/*
 * device_cuda_batch.c: several copies by one call, cudaMemcpyBatchAsync(), which toolkits have since 12.8, with one parameter less
 * since 13.0. A driver that is older than the toolkit may lack it: then it is asked once, and each copy is a call again.
 * Worker process, any thread.
 */
#include <errno.h>

#include "workers/device_cuda_private.h"

#if CUDART_VERSION >= 12080

#define COPIES_MAX 64u /* by one call */

/* The runtime writes to none of the arrays. */
struct batch {
	void *to[COPIES_MAX];
	void *from[COPIES_MAX];
	size_t bytes[COPIES_MAX];
};

static cudaError_t copy(cudaStream_t stream, struct batch *b, size_t n)
{
	struct cudaMemcpyAttributes attributes = {.srcAccessOrder = cudaMemcpySrcAccessOrderStream};
	size_t first = 0;
#if CUDART_VERSION >= 13000
	return cudaMemcpyBatchAsync(
		b->to, (const void *const *)b->from, b->bytes, n, &attributes, &first, 1, stream);
#else
	size_t failed;

	return cudaMemcpyBatchAsync(
		b->to, b->from, b->bytes, n, &attributes, &first, 1, &failed, stream);
#endif
}

static void fill(struct batch *b, const struct device_copy *copies, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		b->to[i] = copies[i].to;
		b->from[i] = (void *)copies[i].from;
		b->bytes[i] = copies[i].bytes;
	}
}

/* What one driver lacks is lacking from the first call on: nothing of these was copied then. */
static bool is_missing(cudaError_t error)
{
	return error == cudaErrorCallRequiresNewerDriver || error == cudaErrorNotSupported;
}

int cuda_copy_all_in(struct device_stream *s, const struct device_copy *copies, size_t n)
{
	struct cuda_device *d = (struct cuda_device *)s->device;
	struct batch b;
	int r = 0;

	if (atomic_load(&d->no_batches))
		return -ENOTSUP;
	for (size_t at = 0, more; !r && at < n; at += more) {
		cudaError_t error;

		more = n - at < COPIES_MAX ? n - at : COPIES_MAX;
		fill(&b, copies + at, more);
		error = copy(((struct cuda_stream *)s)->stream, &b, more);
		r = cuda_result(error);
		if (!is_missing(error))
			continue;
		atomic_store(&d->no_batches, true);
		return -ENOTSUP;
	}
	return r;
}

#else

int cuda_copy_all_in(struct device_stream *s, const struct device_copy *copies, size_t n)
{
	return -ENOTSUP;
}

#endif
