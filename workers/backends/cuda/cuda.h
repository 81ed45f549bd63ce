/*
 * cuda.h: what the files of this backend share. Its models are there so that a GPU can be used and
 * tested with nothing else installed, and as an example: they take their inputs in device memory,
 * put kernels into the stream of their instance and return; the worker copies and waits.
 */
#ifndef WORKERS_BACKENDS_CUDA_CUDA_H
#define WORKERS_BACKENDS_CUDA_CUDA_H

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#include "workers/backend.h"

#define LAYERS_MAX 8u

/* image.c: the compiled kernels. */
extern const unsigned char cuda_image[];

/* A loaded model. */
struct cuda_model {
	const struct cuda_function *function;	 /* borrow */
	cudaLibrary_t library;			 /* own */
	cudaKernel_t kernel;			 /* borrow: of the library */
	struct modeld_declaration input, output; /* of an mlp */
	struct mlp *mlp;			 /* own; NULL: none */
};

/* launch.c: says what CUDA refused. MODELD_OK, MODELD_EXHAUSTED where it is memory, MODELD_INTERNAL; an error
 * that ends the context is MODELD_FATAL. */
enum modeld_code cuda_check(cudaError_t error, const char *what, struct modeld_error *ret_error);
/* Puts a kernel into a stream. Results as of cuda_check(). */
enum modeld_code cuda_launch(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments,
	void *stream, struct modeld_error *error);

/*
 * mlp.c: layers of `widths`, such as "64,256,10", each a matrix, a bias and, but for the last, a cut
 * of negative values. Weights and biases are made by a formula that docs/gpu.md has, so that a test
 * can know the answer.
 */
enum modeld_code mlp_new(struct mlp **ret_mlp, const char *widths, struct modeld_error *error);
struct mlp *mlp_free(struct mlp *m);
uint32_t mlp_width(const struct mlp *m, int last);
uint64_t mlp_bytes(const struct mlp *m);
enum modeld_code mlp_run(const struct mlp *m, cudaKernel_t kernel, float *out, const float *in,
	uint32_t rows, void *stream, struct modeld_error *error);

#endif
