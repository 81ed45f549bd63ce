/*
 * blas.c: a layer by cuBLASLt, which is opened at run time where it is. Its header is not needed: the few types are
 * declared here (agree_blas.c compares them with NVIDIA's).
 *
 * The library's matrices go by columns. A matrix by rows is its own transpose to it, so out = in * weights becomes
 * out^T = weights^T * in^T, and nothing is transposed.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workers/backends/cuda/blas_types.h"
#include "workers/backends/cuda/cuda.h"

/* Newest first. Tests have a name of their own, lest the real one gets a device that is none. */
#ifndef BLAS_LIBRARIES
#define BLAS_LIBRARIES "libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"
#endif

struct blas_layer {
	uint32_t depth, width;
	const float *weights; /* borrow: device memory */
	void *operation;      /* own */
	void *weights_layout; /* own */
};

/* The process's, for it is never closed. */
static struct {
	pthread_once_t once;
	void *handle; /* NULL: it is not here, or does not start */
	int (*create)(void **ret_handle);
	int (*operation_new)(void **ret_operation, int compute, int scale);
	int (*operation_free)(void *operation);
	int (*operation_set)(void *operation, int attribute, const void *value, size_t bytes);
	int (*layout_new)(void **ret_layout, int type, uint64_t rows, uint64_t columns, int64_t ld);
	int (*layout_free)(void *layout);
	blas_matmul_fn matmul;
} blas = {.once = PTHREAD_ONCE_INIT};

static int find_functions(void *library)
{
	const struct {
		const char *name;
		void *to;
	} names[] = {
		{"cublasLtCreate", &blas.create},
		{"cublasLtMatmulDescCreate", &blas.operation_new},
		{"cublasLtMatmulDescDestroy", &blas.operation_free},
		{"cublasLtMatmulDescSetAttribute", &blas.operation_set},
		{"cublasLtMatrixLayoutCreate", &blas.layout_new},
		{"cublasLtMatrixLayoutDestroy", &blas.layout_free},
		{"cublasLtMatmul", &blas.matmul},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		void *found = dlsym(library, names[i].name);

		if (!found)
			return 0;
		memcpy(names[i].to, &found, sizeof(found));
	}
	return 1;
}

static void open_library(void)
{
	static const char *const libraries[] = {BLAS_LIBRARIES};

	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
		void *library = dlopen(libraries[i], RTLD_NOW | RTLD_LOCAL);

		if (!library)
			continue;
		if (find_functions(library) && !blas.create(&blas.handle))
			return;
		blas.handle = NULL;
		dlclose(library);
	}
}

int blas_is_here(void)
{
	pthread_once(&blas.once, open_library);
	return blas.handle != NULL;
}

static enum modeld_code check(int status, struct modeld_error *error)
{
	if (status == 0)
		return MODELD_OK;
	snprintf(error->text, sizeof(error->text), "cuBLASLt: status %d", status);
	return MODELD_INTERNAL;
}

static int describe(struct blas_layer *l, const float *bias, int cut)
{
	int epilogue = cut ? BLAS_EPILOGUE_RELU_BIAS : BLAS_EPILOGUE_BIAS;
	int status = blas.operation_new(&l->operation, BLAS_COMPUTE_32F, BLAS_R_32F);

	if (!status)
		status = blas.operation_set(
			l->operation, BLAS_EPILOGUE, &epilogue, sizeof(epilogue));
	if (!status)
		status = blas.operation_set(l->operation, BLAS_BIAS_POINTER, &bias, sizeof(bias));
	if (!status)
		status = blas.layout_new(
			&l->weights_layout, BLAS_R_32F, l->width, l->depth, l->width);
	return status;
}

enum modeld_code blas_layer_new(struct blas_layer **ret_layer, uint32_t depth, uint32_t width,
	const float *weights, const float *bias, int cut, struct modeld_error *error)
{
	struct blas_layer *l = calloc(1, sizeof(*l));
	enum modeld_code code;

	if (!l) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return MODELD_EXHAUSTED;
	}
	l->depth = depth;
	l->width = width;
	l->weights = weights;
	code = check(describe(l, bias, cut), error);
	if (code != MODELD_OK) {
		blas_layer_free(l);
		return code;
	}
	*ret_layer = l;
	return MODELD_OK;
}

struct blas_layer *blas_layer_free(struct blas_layer *l)
{
	if (!l)
		return NULL;
	if (l->weights_layout)
		blas.layout_free(l->weights_layout);
	if (l->operation)
		blas.operation_free(l->operation);
	free(l);
	return NULL;
}

enum modeld_code blas_layer_run(const struct blas_layer *l, float *out, const float *in,
	uint32_t rows, void *stream, struct modeld_error *error)
{
	const float one = 1, none = 0;
	void *in_layout = NULL, *out_layout = NULL;
	int status = blas.layout_new(&in_layout, BLAS_R_32F, l->depth, rows, l->depth);

	if (!status)
		status = blas.layout_new(&out_layout, BLAS_R_32F, l->width, rows, l->width);
	/* Without an algorithm it chooses one, and without memory one that needs none. */
	if (!status)
		status = blas.matmul(blas.handle, l->operation, &one, l->weights, l->weights_layout,
			in, in_layout, &none, out, out_layout, out, out_layout, NULL, NULL, 0,
			stream);
	if (in_layout)
		blas.layout_free(in_layout);
	if (out_layout)
		blas.layout_free(out_layout);
	return check(status, error);
}
