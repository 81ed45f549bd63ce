/* blas_types.h: as much of cuBLASLt's interface as is used. Objects are pointers, a status of 0 is success. */
#ifndef WORKERS_BACKENDS_CUDA_BLAS_TYPES_H
#define WORKERS_BACKENDS_CUDA_BLAS_TYPES_H

#include <stddef.h>

enum {
	BLAS_R_32F = 0,		     /* CUDA_R_32F */
	BLAS_COMPUTE_32F = 68,	     /* CUBLAS_COMPUTE_32F */
	BLAS_EPILOGUE = 7,	     /* CUBLASLT_MATMUL_DESC_EPILOGUE, an int */
	BLAS_BIAS_POINTER = 8,	     /* CUBLASLT_MATMUL_DESC_BIAS_POINTER */
	BLAS_EPILOGUE_BIAS = 4,	     /* CUBLASLT_EPILOGUE_BIAS */
	BLAS_EPILOGUE_RELU_BIAS = 6, /* CUBLASLT_EPILOGUE_RELU_BIAS */
};

/* d = alpha * a * b + beta * c */
typedef int (*blas_matmul_fn)(void *handle, void *operation, const void *alpha, const void *a,
	void *a_layout, const void *b, void *b_layout, const void *beta, const void *c,
	void *c_layout, void *d, void *d_layout, const void *algorithm, void *workspace,
	size_t workspace_bytes, void *stream);

#endif
