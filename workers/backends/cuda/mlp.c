/* mlp.c: a perceptron of several layers. What lies between two layers is memory of the stream's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digits.h"
#include "workers/backends/cuda/cuda.h"

#define WIDTH_MAX 65536

struct mlp {
	uint32_t n_layers;
	uint32_t widths[LAYERS_MAX + 1];
	float *weights[LAYERS_MAX];	     /* own: device memory, bias behind the matrix */
	struct blas_layer *blas[LAYERS_MAX]; /* own; NULL: by our kernel */
};

static size_t layer_floats(const struct mlp *m, uint32_t layer)
{
	return (size_t)m->widths[layer] * m->widths[layer + 1] + m->widths[layer + 1];
}

static int parse_widths(struct mlp *m, const char *text)
{
	uint32_t n = 0;
	uint64_t width;

	for (;; text++) {
		if (decimal_read(text, &width, &text) || width < 1 || width > WIDTH_MAX ||
			n > LAYERS_MAX)
			return 0;
		m->widths[n++] = (uint32_t)width;
		if (*text != ',')
			break;
	}
	m->n_layers = n - 1;
	return *text == 0 && n > 1;
}

static void fill(const struct mlp *m, uint32_t layer, float *to)
{
	uint32_t depth = m->widths[layer], width = m->widths[layer + 1];

	for (uint32_t k = 0; k < depth; k++) {
		for (uint32_t c = 0; c < width; c++)
			*to++ = (float)((k * 31 + c * 17 + layer * 7) % 13) / 64.0f - 6.0f / 64.0f;
	}
	for (uint32_t c = 0; c < width; c++)
		*to++ = (float)(c % 5) / 8.0f;
}

static enum modeld_code upload(struct mlp *m, uint32_t layer, struct modeld_error *error)
{
	size_t bytes = layer_floats(m, layer) * sizeof(float);
	float *host = malloc(bytes);
	cudaStream_t stream = NULL;
	enum modeld_code code;

	if (!host) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return MODELD_EXHAUSTED;
	}
	fill(m, layer, host);
	code = cuda_check(cudaMalloc((void **)&m->weights[layer], bytes), "weights", error);
	if (code == MODELD_OK)
		code = cuda_check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking),
			"weights", error);
	if (code == MODELD_OK)
		code = cuda_check(cudaMemcpyAsync(m->weights[layer], host, bytes,
					  cudaMemcpyHostToDevice, stream),
			"weights", error);
	if (code == MODELD_OK)
		code = cuda_check(cudaStreamSynchronize(stream), "weights", error);
	if (stream)
		cudaStreamDestroy(stream);
	free(host);
	return code;
}

static enum modeld_code add_blas(struct mlp *m, uint32_t layer, struct modeld_error *error)
{
	uint32_t depth = m->widths[layer], width = m->widths[layer + 1];
	const float *weights = m->weights[layer];

	return blas_layer_new(&m->blas[layer], depth, width, weights,
		weights + (size_t)depth * width, layer + 1 < m->n_layers, error);
}

enum modeld_code mlp_new(
	struct mlp **ret_mlp, const char *widths, int blas, struct modeld_error *error)
{
	struct mlp *m = calloc(1, sizeof(*m));
	enum modeld_code code = MODELD_OK;

	if (!m) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return MODELD_EXHAUSTED;
	}
	if (!parse_widths(m, widths)) {
		snprintf(error->text, sizeof(error->text),
			"[parameters] widths: 2 to %u numbers from 1 to %d are expected, such as "
			"64,256,10",
			LAYERS_MAX + 1, WIDTH_MAX);
		code = MODELD_INVALID;
	}
	for (uint32_t i = 0; code == MODELD_OK && i < m->n_layers; i++)
		code = upload(m, i, error);
	for (uint32_t i = 0; code == MODELD_OK && blas && blas_is_here() && i < m->n_layers; i++)
		code = add_blas(m, i, error);
	if (code != MODELD_OK) {
		mlp_free(m);
		return code;
	}
	*ret_mlp = m;
	return MODELD_OK;
}

struct mlp *mlp_free(struct mlp *m)
{
	if (!m)
		return NULL;
	for (uint32_t i = 0; i < m->n_layers; i++) {
		blas_layer_free(m->blas[i]);
		cudaFree(m->weights[i]);
	}
	free(m);
	return NULL;
}

uint32_t mlp_width(const struct mlp *m, int last)
{
	return m->widths[last ? m->n_layers : 0];
}

uint32_t mlp_widest(const struct mlp *m)
{
	uint32_t widest = 0;

	for (uint32_t i = 0; i <= m->n_layers; i++)
		widest = m->widths[i] > widest ? m->widths[i] : widest;
	return widest;
}

int mlp_has_blas(const struct mlp *m)
{
	return m->blas[0] != NULL;
}

uint64_t mlp_bytes(const struct mlp *m)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < m->n_layers; i++)
		n += layer_floats(m, i) * sizeof(float);
	return n;
}

static enum modeld_code run_layer(const struct mlp *m, uint32_t layer, cudaKernel_t kernel,
	float *out, const float *in, uint32_t rows, void *stream, struct modeld_error *error)
{
	uint32_t depth = m->widths[layer], width = m->widths[layer + 1];
	uint32_t cut = layer + 1 < m->n_layers;
	const float *weights = m->weights[layer];
	const float *bias = weights + (size_t)depth * width;
	void *arguments[] = {&out, &in, &weights, &bias, &rows, &depth, &width, &cut};
	dim3 grid = {(width + 31) / 32, rows, 1}, block = {32, 8, 1};

	if (m->blas[layer] && rows >= MLP_BLAS_ROWS)
		return blas_layer_run(m->blas[layer], out, in, rows, stream, error);
	return cuda_launch(kernel, grid, block, arguments, stream, error);
}

/* Layers take turns with the two pieces: one reads what the other wrote. */
static enum modeld_code run_between(const struct mlp *m, cudaKernel_t kernel, float *out,
	const float *in, uint32_t rows, float *const *between, void *stream,
	struct modeld_error *error)
{
	enum modeld_code code = MODELD_OK;

	for (uint32_t i = 0; code == MODELD_OK && i < m->n_layers; i++) {
		float *to = i + 1 == m->n_layers ? out : between[i % 2];

		code = run_layer(m, i, kernel, to, in, rows, stream, error);
		in = to;
	}
	return code;
}

enum modeld_code mlp_run(const struct mlp *m, cudaKernel_t kernel, float *out, const float *in,
	uint32_t rows, float *const *between, void *stream, struct modeld_error *error)
{
	size_t bytes = (size_t)rows * mlp_widest(m) * sizeof(float);
	enum modeld_code code = MODELD_OK;
	float *taken[2] = {NULL, NULL};

	if (between)
		return run_between(m, kernel, out, in, rows, between, stream, error);
	/* One layer needs none, two need one. */
	for (uint32_t i = 0; code == MODELD_OK && i < 2 && i + 1 < m->n_layers; i++)
		code = cuda_check(cudaMallocAsync((void **)&taken[i], bytes, stream),
			"memory between layers", error);
	if (code == MODELD_OK)
		code = run_between(m, kernel, out, in, rows, taken, stream, error);
	for (int i = 0; i < 2; i++) {
		if (taken[i])
			(void)cudaFreeAsync(taken[i], stream);
	}
	return code;
}
