/*
 * fake_copy.c: memory and copies in the order of streams. Memory that is not registered is copied before the call
 * returns, as the runtime does it by a buffer of its own.
 */
#include "tests/support/fakecuda/fake_stream.h"

FAKE_EXPORT cudaError_t cudaMallocAsync(void **data, size_t bytes, cudaStream_t s)
{
	cudaError_t error;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	error = fake_memory_alloc(data, bytes);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaFreeAsync(void *data, cudaStream_t s)
{
	cudaError_t error = cudaErrorInvalidValue;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	if (fake_memory_alias(data, 1, true))
		error = fake_put(s, &(struct op){.kind = FREE, .to = data});
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

static bool allowed(const struct op *op, enum fake_host host)
{
	if (op->kind != COPY_OUT && !fake_memory_alias(op->to, op->bytes, true))
		return false;
	if (op->kind != COPY_IN && !fake_memory_alias(op->from, op->bytes, false))
		return false;
	return host != FAKE_CROSSES && (op->kind != COPY_OUT || host != FAKE_PINNED_READ_ONLY);
}

static cudaError_t put_copy(cudaStream_t s, const struct op *op)
{
	enum fake_host host = FAKE_PINNED;
	cudaError_t error = cudaErrorInvalidValue;

	if (op->kind != COPY_WITHIN)
		host = fake_host_kind(op->kind == COPY_IN ? op->from : op->to, op->bytes);
	if (allowed(op, host))
		error = fake_put(s, op);
	if (error == cudaSuccess && host == FAKE_PAGEABLE)
		fake_settle(s);
	return error;
}

FAKE_EXPORT cudaError_t cudaMemcpyAsync(
	void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind, cudaStream_t s)
{
	struct op op = {.to = to, .from = from, .bytes = bytes};
	cudaError_t error;

	FAKE_ENTER();
	op.kind = (int)kind == cudaMemcpyHostToDevice	? COPY_IN
		  : (int)kind == cudaMemcpyDeviceToHost ? COPY_OUT
							: COPY_WITHIN;
	pthread_mutex_lock(&fake_lock);
	error = put_copy(s, &op);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

/* Which way each goes its pointers say. */
static enum kind direction(const void *to, const void *from)
{
	if (!fake_is_device(to))
		return COPY_OUT;
	return fake_is_device(from) ? COPY_WITHIN : COPY_IN;
}

FAKE_EXPORT cudaError_t cudaMemcpyBatchAsync(void *const *to, const void *const *from,
	const size_t *bytes, size_t n, struct cudaMemcpyAttributes *attributes, size_t *starts,
	size_t n_attributes, cudaStream_t s)
{
	cudaError_t error = cudaSuccess;

	FAKE_ENTER();
	if (!s || n == 0 || n_attributes != 1 || starts[0] != 0 ||
		attributes->srcAccessOrder != cudaMemcpySrcAccessOrderStream)
		return fake_done(cudaErrorInvalidValue);
	pthread_mutex_lock(&fake_lock);
	/* In no order that anybody may rely on. */
	for (size_t i = n; i-- > 0 && error == cudaSuccess;) {
		struct op op = {.kind = direction(to[i], from[i]),
			.to = to[i],
			.from = from[i],
			.bytes = bytes[i]};

		error = bytes[i] > 0 ? put_copy(s, &op) : cudaErrorInvalidValue;
	}
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaMemsetAsync(void *data, int value, size_t bytes, cudaStream_t s)
{
	const struct op op = {
		.kind = CLEAR, .to = data, .bytes = bytes, .value = (unsigned char)value};
	cudaError_t error = cudaErrorInvalidValue;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	if (fake_memory_alias(data, bytes, true))
		error = fake_put(s, &op);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}
