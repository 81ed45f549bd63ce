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

/* Up to so many rows a graph is recorded of. */
#define MLP_GRAPH_ROWS 64u
/* From so many rows on cuBLASLt is the quicker way: for few, choosing an algorithm takes longer than they do. */
#define MLP_BLAS_ROWS 16u

/* A loaded model. */
struct cuda_model {
	const struct cuda_function *function;	 /* borrow */
	cudaLibrary_t library;			 /* own */
	cudaKernel_t kernel;			 /* borrow: of the library */
	struct modeld_declaration input, output; /* of an mlp */
	struct mlp *mlp;			 /* own; NULL: none */
	int graphs;				 /* not 0: its instances have some */
};

/* One of its instances. */
struct cuda_instance {
	struct cuda_model *model;  /* borrow */
	struct mlp_graphs *graphs; /* own; NULL: none */
};

struct blas_layer;
struct mlp;
struct mlp_graphs;

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
/* blas: by cuBLASLt where it is here. */
enum modeld_code mlp_new(
	struct mlp **ret_mlp, const char *widths, int blas, struct modeld_error *error);
struct mlp *mlp_free(struct mlp *m);
uint32_t mlp_width(const struct mlp *m, int last);
/* Of all layers. */
uint32_t mlp_widest(const struct mlp *m);
int mlp_has_blas(const struct mlp *m);
uint64_t mlp_bytes(const struct mlp *m);
/* between: two pieces of device memory for what lies between layers; NULL: it is taken from the stream's. */
enum modeld_code mlp_run(const struct mlp *m, cudaKernel_t kernel, float *out, const float *in,
	uint32_t rows, float *const *between, void *stream, struct modeld_error *error);

/* graph.c: the same by graphs that are recorded when they are first needed. For one stream. */
enum modeld_code mlp_graphs_new(struct mlp_graphs **ret_graphs, const struct mlp *m,
	cudaKernel_t kernel, struct modeld_error *error);
struct mlp_graphs *mlp_graphs_free(struct mlp_graphs *g);
enum modeld_code mlp_graphs_run(struct mlp_graphs *g, float *out, const float *in, uint32_t rows,
	void *stream, struct modeld_error *error);

/* blas.c: one layer, out[rows][width] = in[rows][depth] * weights + bias, cut off below 0 where `cut`. */
int blas_is_here(void);
enum modeld_code blas_layer_new(struct blas_layer **ret_layer, uint32_t depth, uint32_t width,
	const float *weights, const float *bias, int cut, struct modeld_error *error);
struct blas_layer *blas_layer_free(struct blas_layer *l);
enum modeld_code blas_layer_run(const struct blas_layer *l, float *out, const float *in,
	uint32_t rows, void *stream, struct modeld_error *error);

#endif
