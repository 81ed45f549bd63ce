/*
 * graph.h: what of an ONNX model's graph says how its operators treat dimensions: constants that are
 * small enough to be shapes or axes, and the nodes with their attributes, in the file's order.
 * Weights are skipped without being read; subgraphs, functions and training information are not
 * looked at.
 *
 * The file is an outsider's: every size has a limit, and a graph beyond one is not read.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_GRAPH_H
#define WORKERS_BACKENDS_ONNXRUNTIME_GRAPH_H

#include "workers/backends/onnxruntime/protobuf.h"

#define GRAPH_NAME_MAX	     512u /* of a value or a node, with its end */
#define GRAPH_WORD_MAX	     64u  /* of an operator, a domain, an attribute, a text; with its end */
#define GRAPH_RANK_MAX	     8u
#define GRAPH_NUMBERS_MAX    16u
#define GRAPH_EDGES_MAX	     4096u /* inputs, and outputs, of a node */
#define GRAPH_ATTRIBUTES_MAX 64u
#define GRAPH_DOMAINS_MAX    32u

enum {
	GRAPH_E_BROKEN = 1, /* no ONNX model */
	GRAPH_E_LARGE,	    /* beyond a limit above */
	GRAPH_E_STOPPED,    /* the visitor wants no more */
};

/* A number that is not whole, or too large to be told from its neighbours. */
#define GRAPH_NOT_WHOLE INT64_MIN

/* A constant tensor. */
struct graph_tensor {
	char name[GRAPH_NAME_MAX];
	bool known_shape; /* false: more than GRAPH_RANK_MAX dimensions */
	uint32_t rank;
	int64_t dims[GRAPH_RANK_MAX];
	/* Its elements, where it has at most GRAPH_NUMBERS_MAX of a type that shapes, axes and scales
	 * have; -1: not read. */
	int n_numbers;
	int64_t numbers[GRAPH_NUMBERS_MAX];
};

struct graph_attribute {
	char name[GRAPH_WORD_MAX];
	bool has_int;
	int64_t i;
	char text[GRAPH_WORD_MAX]; /* "" also where it is longer */
	int n_numbers;		   /* of `ints` or `floats`; -1: too many */
	int64_t numbers[GRAPH_NUMBERS_MAX];
	bool has_tensor;
	struct graph_tensor tensor;
};

struct graph_node {
	char op[GRAPH_WORD_MAX];
	char domain[GRAPH_WORD_MAX]; /* "" and "ai.onnx" are ONNX's own */
	char name[GRAPH_NAME_MAX];
	char **inputs; /* own; "": left out */
	size_t n_inputs;
	char **outputs;
	size_t n_outputs;
	struct graph_attribute *attributes; /* own */
	size_t n_attributes;
};

/* Called in this order. What is passed is valid during the call. 0, or what graph_read() returns. */
struct graph_visitor {
	int (*on_opset)(void *data, const char *domain, int64_t version);
	int (*on_constant)(void *data, const struct graph_tensor *tensor);
	int (*on_node)(void *data, const struct graph_node *node);
	void *data; /* borrow */
};

/* Read the model in `fd`. GRAPH_E_x, -errno (-ENOMEM also where memory for a node is missing), or
 * what the visitor said. */
_must_use_ int graph_read(int fd, const struct graph_visitor *visitor);

const struct graph_attribute *graph_attribute(const struct graph_node *node, const char *name);

#endif
