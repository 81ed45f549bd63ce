/* fake_launch.c: kernels, which are looked for by their names, and graphs of what a stream was given. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/fakecuda/fake_stream.h"

static char the_library;

/* --- Kernels ------------------------------------------------------------------------------ */

FAKE_EXPORT cudaError_t cudaLibraryLoadData(cudaLibrary_t *library, const void *code,
	enum cudaJitOption *jit_options, void **jit_values, unsigned n_jit,
	enum cudaLibraryOption *options, void **values, unsigned n_options)
{
	FAKE_ENTER();
	*library = (cudaLibrary_t)&the_library;
	return fake_done(code ? cudaSuccess : cudaErrorInvalidValue);
}

FAKE_EXPORT cudaError_t cudaLibraryUnload(cudaLibrary_t library)
{
	FAKE_ENTER();
	return fake_done(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaLibraryGetKernel(
	cudaKernel_t *ret_kernel, cudaLibrary_t library, const char *name)
{
	const struct fake_kernel *k = fake_kernel_find(name);

	FAKE_ENTER();
	*ret_kernel = (cudaKernel_t)k;
	return fake_done(k ? cudaSuccess : cudaErrorSymbolNotFound);
}

FAKE_EXPORT cudaError_t cudaLaunchKernel(const void *kernel, dim3 grid, dim3 block,
	void **arguments, size_t shared_bytes, cudaStream_t s)
{
	const struct fake_kernel *k = kernel;
	struct op op = {.kind = KERNEL, .kernel = k};
	cudaError_t error;

	FAKE_ENTER();
	if (grid.x == 0 || grid.y == 0 || block.x == 0 || block.x * block.y * block.z > 1024)
		return fake_done(cudaErrorInvalidConfiguration);
	for (unsigned i = 0; i < k->n_arguments; i++)
		memcpy(op.arguments[i], arguments[i], k->sizes[i]);
	pthread_mutex_lock(&fake_lock);
	error = fake_put(s, &op);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

/* --- Graphs ------------------------------------------------------------------------------- */

static void drop_graph(struct CUgraph_st *g)
{
	while (g->first) {
		struct op *op = g->first;

		g->first = op->next;
		free(op);
	}
	free(g);
}

static cudaError_t append(struct CUgraph_st *g, const struct op *like)
{
	struct op *op = malloc(sizeof(*op));

	if (!op)
		return cudaErrorMemoryAllocation;
	*op = *like;
	op->next = NULL;
	*g->end = op;
	g->end = &op->next;
	return cudaSuccess;
}

static struct CUgraph_st *make_graph(void)
{
	struct CUgraph_st *g = calloc(1, sizeof(*g));

	if (g)
		g->end = &g->first;
	return g;
}

FAKE_EXPORT cudaError_t cudaStreamBeginCapture(cudaStream_t s, enum cudaStreamCaptureMode mode)
{
	cudaError_t error = cudaSuccess;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	if (s->recorded)
		error = cudaErrorInvalidValue;
	else if (!(s->recorded = make_graph()))
		error = cudaErrorMemoryAllocation;
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *ret_graph)
{
	cudaError_t error;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	*ret_graph = s->recorded;
	s->recorded = NULL;
	error = *ret_graph ? cudaSuccess : cudaErrorStreamCaptureUnmatched;
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

/* What is made of a graph outlives it. */
FAKE_EXPORT cudaError_t cudaGraphInstantiate(
	cudaGraphExec_t *ret_exec, cudaGraph_t g, unsigned long long flags)
{
	struct CUgraph_st *copy = make_graph();
	cudaError_t error = copy ? cudaSuccess : cudaErrorMemoryAllocation;

	FAKE_ENTER();
	for (const struct op *op = g->first; op && error == cudaSuccess; op = op->next)
		error = append(copy, op);
	*ret_exec = (cudaGraphExec_t)copy;
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s)
{
	const struct CUgraph_st *g = (const struct CUgraph_st *)exec;
	cudaError_t error = cudaSuccess;

	FAKE_ENTER();
	pthread_mutex_lock(&fake_lock);
	fake_log(s, "graph", "");
	for (const struct op *op = g->first; op && error == cudaSuccess; op = op->next)
		error = fake_put(s, op);
	pthread_mutex_unlock(&fake_lock);
	return fake_done(error);
}

FAKE_EXPORT cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
	drop_graph(g);
	FAKE_ENTER();
	return fake_done(cudaSuccess);
}

FAKE_EXPORT cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
	drop_graph((struct CUgraph_st *)exec);
	FAKE_ENTER();
	return fake_done(cudaSuccess);
}
