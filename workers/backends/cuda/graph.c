/*
 * graph.c: an mlp as CUDA graphs: the kernels of a run, recorded once for each number of rows and put into the stream as
 * one. A graph knows the addresses that it was recorded with, so what comes and goes lies in memory of its own: a copy
 * within the device each way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workers/backends/cuda/cuda.h"

#define GRAPHS_MAX 16u

struct mlp_graphs {
	const struct mlp *mlp; /* borrow */
	cudaKernel_t kernel;   /* borrow */
	float *in, *out;       /* own: device memory of MLP_GRAPH_ROWS rows */
	float *between[2];     /* own: likewise, of the widest layer */
	uint32_t n;
	struct {
		uint32_t rows;
		cudaGraphExec_t graph; /* own */
	} items[GRAPHS_MAX];
};

static enum modeld_code make(float **ret_data, uint32_t width, struct modeld_error *error)
{
	return cuda_check(
		cudaMalloc((void **)ret_data, (size_t)MLP_GRAPH_ROWS * width * sizeof(float)),
		"memory of graphs", error);
}

enum modeld_code mlp_graphs_new(struct mlp_graphs **ret_graphs, const struct mlp *m,
	cudaKernel_t kernel, struct modeld_error *error)
{
	struct mlp_graphs *g = calloc(1, sizeof(*g));
	enum modeld_code code;

	if (!g) {
		snprintf(error->text, sizeof(error->text), "out of memory");
		return MODELD_EXHAUSTED;
	}
	g->mlp = m;
	g->kernel = kernel;
	code = make(&g->in, mlp_width(m, 0), error);
	if (code == MODELD_OK)
		code = make(&g->out, mlp_width(m, 1), error);
	for (int i = 0; code == MODELD_OK && i < 2; i++)
		code = make(&g->between[i], mlp_widest(m), error);
	if (code != MODELD_OK) {
		mlp_graphs_free(g);
		return code;
	}
	*ret_graphs = g;
	return MODELD_OK;
}

struct mlp_graphs *mlp_graphs_free(struct mlp_graphs *g)
{
	if (!g)
		return NULL;
	for (uint32_t i = 0; i < g->n; i++)
		cudaGraphExecDestroy(g->items[i].graph);
	cudaFree(g->in);
	cudaFree(g->out);
	cudaFree(g->between[0]);
	cudaFree(g->between[1]);
	free(g);
	return NULL;
}

/* What is put into the stream meanwhile is recorded, and not done. */
static enum modeld_code record(struct mlp_graphs *g, uint32_t rows, cudaGraph_t *ret_graph,
	cudaStream_t stream, struct modeld_error *error)
{
	enum modeld_code code =
		cuda_check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal),
			"recording", error);
	cudaError_t ended;

	if (code != MODELD_OK)
		return code;
	code = mlp_run(g->mlp, g->kernel, g->out, g->in, rows, g->between, stream, error);
	ended = cudaStreamEndCapture(stream, ret_graph);
	return code != MODELD_OK ? code : cuda_check(ended, "recording", error);
}

static enum modeld_code add(
	struct mlp_graphs *g, uint32_t rows, cudaStream_t stream, struct modeld_error *error)
{
	cudaGraph_t graph = NULL;
	enum modeld_code code = record(g, rows, &graph, stream, error);

	if (code == MODELD_OK)
		code = cuda_check(cudaGraphInstantiate(&g->items[g->n].graph, graph, 0),
			"a graph of what was recorded", error);
	if (graph)
		cudaGraphDestroy(graph);
	if (code == MODELD_OK)
		g->items[g->n++].rows = rows;
	return code;
}

static cudaGraphExec_t find(const struct mlp_graphs *g, uint32_t rows)
{
	for (uint32_t i = 0; i < g->n; i++) {
		if (g->items[i].rows == rows)
			return g->items[i].graph;
	}
	return NULL;
}

static enum modeld_code copy(
	void *to, const void *from, size_t floats, cudaStream_t stream, struct modeld_error *error)
{
	return cuda_check(
		cudaMemcpyAsync(to, from, floats * sizeof(float), cudaMemcpyDeviceToDevice, stream),
		"copying", error);
}

enum modeld_code mlp_graphs_run(struct mlp_graphs *g, float *out, const float *in, uint32_t rows,
	void *stream, struct modeld_error *error)
{
	size_t n_in = (size_t)rows * mlp_width(g->mlp, 0),
	       n_out = (size_t)rows * mlp_width(g->mlp, 1);
	enum modeld_code code = MODELD_OK;

	if (rows > MLP_GRAPH_ROWS || (!find(g, rows) && g->n == GRAPHS_MAX))
		return mlp_run(g->mlp, g->kernel, out, in, rows, NULL, stream, error);
	if (!find(g, rows))
		code = add(g, rows, stream, error);
	if (code == MODELD_OK)
		code = copy(g->in, in, n_in, stream, error);
	if (code == MODELD_OK)
		code = cuda_check(cudaGraphLaunch(find(g, rows), stream), "a graph", error);
	return code != MODELD_OK ? code : copy(out, g->out, n_out, stream, error);
}
