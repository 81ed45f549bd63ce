/*
 * blas.c: a stand-in for cuBLASLt: as much of it as workers/backends/cuda/blas.c uses, done by the stand-in's own kernel
 * for a layer. Shapes are checked, as the library does it.
 */
#include <cuda_runtime_api.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "workers/backends/cuda/blas_types.h"

#define EXPORT	      __attribute__((visibility("default")))
#define INVALID_VALUE 7
#define FAILED	      13

struct layout {
	uint64_t rows, columns;
	int64_t ld;
};

struct operation {
	int epilogue;
	const void *bias;
};

EXPORT int cublasLtCreate(void **ret_handle);
EXPORT int cublasLtMatmulDescCreate(void **ret_operation, int compute, int scale);
EXPORT int cublasLtMatmulDescDestroy(void *operation);
EXPORT int cublasLtMatmulDescSetAttribute(
	void *operation, int attribute, const void *value, size_t bytes);
EXPORT int cublasLtMatrixLayoutCreate(
	void **ret_layout, int type, uint64_t rows, uint64_t columns, int64_t ld);
EXPORT int cublasLtMatrixLayoutDestroy(void *layout);
EXPORT int cublasLtMatmul(void *handle, void *operation, const void *alpha, const void *a,
	void *a_layout, const void *b, void *b_layout, const void *beta, const void *c,
	void *c_layout, void *d, void *d_layout, const void *algorithm, void *workspace,
	size_t workspace_bytes, void *stream);

int cublasLtCreate(void **ret_handle)
{
	static int handle;

	*ret_handle = &handle;
	return 0;
}

int cublasLtMatmulDescCreate(void **ret_operation, int compute, int scale)
{
	if (compute != BLAS_COMPUTE_32F || scale != BLAS_R_32F)
		return INVALID_VALUE;
	*ret_operation = calloc(1, sizeof(struct operation));
	return *ret_operation ? 0 : FAILED;
}

int cublasLtMatmulDescDestroy(void *operation)
{
	free(operation);
	return 0;
}

int cublasLtMatmulDescSetAttribute(void *operation, int attribute, const void *value, size_t bytes)
{
	struct operation *o = operation;

	if (attribute == BLAS_EPILOGUE && bytes == sizeof(o->epilogue))
		memcpy(&o->epilogue, value, bytes);
	else if (attribute == BLAS_BIAS_POINTER && bytes == sizeof(void *))
		memcpy(&o->bias, value, bytes);
	else
		return INVALID_VALUE;
	return 0;
}

int cublasLtMatrixLayoutCreate(
	void **ret_layout, int type, uint64_t rows, uint64_t columns, int64_t ld)
{
	struct layout *l = type == BLAS_R_32F && ld >= (int64_t)rows ? malloc(sizeof(*l)) : NULL;

	if (!l)
		return INVALID_VALUE;
	*l = (struct layout){rows, columns, ld};
	*ret_layout = l;
	return 0;
}

int cublasLtMatrixLayoutDestroy(void *layout)
{
	free(layout);
	return 0;
}

static int fits(const struct layout *a, const struct layout *b, const struct layout *d)
{
	return a->columns == b->rows && d->rows == a->rows && d->columns == b->columns &&
	       a->ld == (int64_t)a->rows && b->ld == (int64_t)b->rows && d->ld == (int64_t)d->rows;
}

/* By columns, a is the transpose of the weights, b that of the input. */
int cublasLtMatmul(void *handle, void *operation, const void *alpha, const void *a, void *a_layout,
	const void *b, void *b_layout, const void *beta, const void *c, void *c_layout, void *d,
	void *d_layout, const void *algorithm, void *workspace, size_t workspace_bytes,
	void *stream)
{
	const struct operation *o = operation;
	const struct layout *weights = a_layout, *in = b_layout;
	uint32_t rows = (uint32_t)in->columns, depth = (uint32_t)in->rows;
	uint32_t width = (uint32_t)weights->rows, cut = o->epilogue == BLAS_EPILOGUE_RELU_BIAS;
	void *arguments[] = {&d, &b, &a, (void *)&o->bias, &rows, &depth, &width, &cut};
	dim3 grid = {1, 1, 1}, block = {1, 1, 1};
	cudaKernel_t kernel = NULL;

	if (!handle || !fits(weights, in, d_layout) || *(const float *)alpha != 1 ||
		*(const float *)beta != 0)
		return INVALID_VALUE;
	if (cudaLibraryGetKernel(&kernel, NULL, "modeld_dense_blas") != cudaSuccess)
		return FAILED;
	return cudaLaunchKernel((const void *)kernel, grid, block, arguments, 0, stream) ? FAILED
											 : 0;
}
