/*
 * changing.c: a table of operators that compute values from values, and from nothing else: where they read and write
 * follows from shapes alone. Numbers that are whole are copied in any case (dtype_is_plain()), so what Reshape and its
 * like take their shapes from does not change. Operators with subgraphs, of other domains, or that sort, search,
 * gather, count or make random numbers are left out. Worker process.
 */
#include "workers/backends/onnxruntime/changing.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "workers/backends/onnxruntime/graph.h"

/* In the order of strcmp(). */
static const char *const harmless[] = {"Abs", "Acos", "Acosh", "Add", "Asin", "Asinh", "Atan",
	"Atanh", "AveragePool", "BatchNormalization", "Ceil", "Celu", "Clip", "Concat", "Constant",
	"Conv", "ConvTranspose", "Cos", "Cosh", "Div", "Dropout", "Elu", "Erf", "Exp", "Flatten",
	"Floor", "Gelu", "Gemm", "GlobalAveragePool", "HardSigmoid", "HardSwish", "Identity",
	"InstanceNormalization", "LayerNormalization", "LeakyRelu", "Log", "LogSoftmax", "MatMul",
	"Max", "Mean", "Min", "Mish", "Mul", "Neg", "PRelu", "Pow", "Reciprocal", "ReduceMean",
	"ReduceSum", "Relu", "Reshape", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh",
	"Softmax", "Softplus", "Softsign", "Sqrt", "Squeeze", "Sub", "Sum", "Tan", "Tanh",
	"ThresholdedRelu", "Transpose", "Unsqueeze"};

static int compare(const void *name, const void *element)
{
	return strcmp(name, *(const char *const *)element);
}

static int on_node(void *data, const struct graph_node *node)
{
	bool own = !*node->domain || !strcmp(node->domain, "ai.onnx");

	(void)data;
	return own && bsearch(node->op, harmless, sizeof(harmless) / sizeof(harmless[0]),
			      sizeof(harmless[0]), compare)
		       ? 0
		       : GRAPH_E_STOPPED;
}

static int on_opset(void *data, const char *domain, int64_t version)
{
	(void)data;
	(void)domain;
	(void)version;
	return 0;
}

static int on_constant(void *data, const struct graph_tensor *tensor)
{
	(void)data;
	(void)tensor;
	return 0;
}

bool changing_is_harmless(const char *path)
{
	const struct graph_visitor visitor = {
		.on_opset = on_opset, .on_constant = on_constant, .on_node = on_node};
	_cleanup_(close_fd) int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && graph_read(fd, &visitor) == 0;
}
