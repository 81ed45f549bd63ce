/*
 * fake_kernels.c: what the kernels of workers/backends/cuda and of docs/examples/scale_cuda_backend.c do, and cuBLASLt
 * (blas.c), on the host.
 */
#include <string.h>

#include "tests/support/fakecuda/fake_private.h"

#define ARGUMENT(type, i) (*(type const *)arguments[i])

static void run_copy(const void *const *arguments)
{
	memmove(ARGUMENT(void *, 0), ARGUMENT(void *, 1), ARGUMENT(uint64_t, 2));
}

static void run_add_sub(const void *const *arguments)
{
	uint32_t *sum = ARGUMENT(uint32_t *, 0), *difference = ARGUMENT(uint32_t *, 1);
	const uint32_t *x = ARGUMENT(uint32_t *, 2), *y = ARGUMENT(uint32_t *, 3);

	for (uint64_t i = 0; i < ARGUMENT(uint64_t, 4); i++) {
		uint32_t a = x[i], b = y[i];

		if (sum)
			sum[i] = a + b;
		if (difference)
			difference[i] = a - b;
	}
}

/* out[rows][width] = in[rows][depth] * weights[depth][width] + bias[width], negative ones cut off
 * where `cut`. */
static void run_dense(const void *const *arguments)
{
	float *out = ARGUMENT(float *, 0);
	const float *in = ARGUMENT(float *, 1), *weights = ARGUMENT(float *, 2);
	const float *bias = ARGUMENT(float *, 3);
	uint32_t rows = ARGUMENT(uint32_t, 4), depth = ARGUMENT(uint32_t, 5);
	uint32_t width = ARGUMENT(uint32_t, 6), cut = ARGUMENT(uint32_t, 7);

	for (uint32_t r = 0; r < rows; r++) {
		for (uint32_t c = 0; c < width; c++) {
			float sum = bias[c];

			for (uint32_t k = 0; k < depth; k++)
				sum += in[(size_t)r * depth + k] * weights[(size_t)k * width + c];
			out[(size_t)r * width + c] = cut && sum < 0 ? 0 : sum;
		}
	}
}

static void run_scale(const void *const *arguments)
{
	float *to = ARGUMENT(float *, 0);
	const float *from = ARGUMENT(float *, 1);

	for (uint64_t i = 0; i < ARGUMENT(uint64_t, 2); i++)
		to[i] = from[i] * ARGUMENT(float, 3);
}

static void run_fault(const void *const *arguments)
{
	fake_stick(cudaErrorIllegalAddress);
}

#define P sizeof(void *)
#define U sizeof(uint32_t)
static const struct fake_kernel kernels[] = {
	{"modeld_copy", 3, {P, P, sizeof(uint64_t)}, run_copy},
	{"modeld_add_sub", 5, {P, P, P, P, sizeof(uint64_t)}, run_add_sub},
	{"modeld_dense", 8, {P, P, P, P, U, U, U, U}, run_dense},
	{"modeld_dense_blas", 8, {P, P, P, P, U, U, U, U}, run_dense},
	{"modeld_fault", 1, {P}, run_fault},
	{"scale", 4, {P, P, sizeof(uint64_t), sizeof(float)}, run_scale},
};

const struct fake_kernel *fake_kernel_find(const char *name)
{
	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++) {
		if (!strcmp(kernels[i].name, name))
			return &kernels[i];
	}
	return NULL;
}
