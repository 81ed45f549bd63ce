/*
 * kernels.cu: what the models of this backend do on a GPU. Compiled for every generation that the
 * toolkit knows and embedded into the backend (image.c).
 */
#include <stdint.h>

/* to[0, bytes) = from[0, bytes); both are aligned to 16 bytes. */
extern "C" __global__ void modeld_copy(char *to, const char *from, uint64_t bytes)
{
	const uint64_t step = (uint64_t)gridDim.x * blockDim.x;
	const uint64_t first = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
	const uint64_t n = bytes / sizeof(uint4);

	for (uint64_t i = first; i < n; i += step)
		((uint4 *)to)[i] = ((const uint4 *)from)[i];
	for (uint64_t i = n * sizeof(uint4) + first; i < bytes; i += step)
		to[i] = from[i];
}

/* Sums and differences wrap around. Either output may be NULL. */
extern "C" __global__ void modeld_add_sub(
	uint32_t *sum, uint32_t *difference, const uint32_t *x, const uint32_t *y, uint64_t n)
{
	const uint64_t step = (uint64_t)gridDim.x * blockDim.x;

	for (uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
		const uint32_t a = x[i], b = y[i];

		if (sum)
			sum[i] = a + b;
		if (difference)
			difference[i] = a - b;
	}
}

/*
 * out[rows][width] = in[rows][depth] * weights[depth][width] + bias[width], negative values cut off
 * where `cut`. A block is 32 columns of one row; its warps share the depth among them.
 */
extern "C" __global__ void modeld_dense(float *out, const float *in, const float *weights,
	const float *bias, uint32_t rows, uint32_t depth, uint32_t width, uint32_t cut)
{
	__shared__ float parts[32][33];
	const uint32_t row = blockIdx.y;
	const uint32_t column = blockIdx.x * 32 + threadIdx.x;
	float sum = 0;

	if (column < width) {
		for (uint32_t k = threadIdx.y; k < depth; k += blockDim.y)
			sum += in[(uint64_t)row * depth + k] * weights[(uint64_t)k * width + column];
	}
	parts[threadIdx.y][threadIdx.x] = sum;
	__syncthreads();
	if (threadIdx.y > 0 || column >= width)
		return;
	sum = bias[column];
	for (uint32_t i = 0; i < blockDim.y; i++)
		sum += parts[i][threadIdx.x];
	out[(uint64_t)row * width + column] = cut && sum < 0 ? 0 : sum;
}

/* Writes to where nothing is: the end of the context, for tests. */
extern "C" __global__ void modeld_fault(uint32_t *nowhere)
{
	nowhere[threadIdx.x] = 1;
}
