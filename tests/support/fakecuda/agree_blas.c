/* agree_blas.c: compiled with NVIDIA's header, never run: the constants by which cuBLASLt is called are the library's. */
#include <cublasLt.h>

#include "workers/backends/cuda/blas_types.h"

#define AGREES(ours, theirs) _Static_assert((int)(ours) == (int)(theirs), #theirs)
AGREES(BLAS_R_32F, CUDA_R_32F);
AGREES(BLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F);
AGREES(BLAS_EPILOGUE, CUBLASLT_MATMUL_DESC_EPILOGUE);
AGREES(BLAS_BIAS_POINTER, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
AGREES(BLAS_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_BIAS);
AGREES(BLAS_EPILOGUE_RELU_BIAS, CUBLASLT_EPILOGUE_RELU_BIAS);
_Static_assert(sizeof(cublasLtEpilogue_t) == sizeof(int), "an epilogue is an int");

/* As many arguments, and each as wide. */
int agree_blas(
	cublasLtHandle_t h, cublasLtMatmulDesc_t o, cublasLtMatrixLayout_t l, cudaStream_t s);
int agree_blas(cublasLtHandle_t h, cublasLtMatmulDesc_t o, cublasLtMatrixLayout_t l, cudaStream_t s)
{
	blas_matmul_fn ours = NULL;

	(void)ours(h, o, NULL, NULL, l, NULL, l, NULL, NULL, l, NULL, l, NULL, NULL, 0, s);
	return (int)cublasLtMatmul(
		h, o, NULL, NULL, l, NULL, l, NULL, NULL, l, NULL, l, NULL, NULL, 0, s);
}
