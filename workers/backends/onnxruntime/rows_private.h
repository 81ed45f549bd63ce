/*
 * rows_private.h: what is known of a value while the graph is walked; for rows*.c.
 *
 * A value either has rows: its first dimension is the batch, and its row i depends on the inputs'
 * row i alone; or it is plain: it depends on no row. A plain value that counts has the number of rows
 * among its elements (a Shape); it may only shape what has rows. A value that is neither ends the
 * walk: the model is not to be joined.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_ROWS_PRIVATE_H
#define WORKERS_BACKENDS_ONNXRUNTIME_ROWS_PRIVATE_H

#include "workers/backends/onnxruntime/graph.h"
#include "workers/backends/onnxruntime/rows.h"

#define ROWS_RANK_UNKNOWN (-1)
#define ROWS_DIM_UNKNOWN  (-1)

/* Elements of plain values that are no plain number. */
#define ROWS_BATCH INT64_MIN	   /* the number of rows */
#define ROWS_OTHER (INT64_MIN + 1) /* some number that does not depend on it */

struct value {
	bool rows;
	bool counts;
	int rank; /* never unknown where it has rows */
	/* ROWS_DIM_UNKNOWN: not known here, but the same however many rows there are. The first one
	 * of a value that has rows means nothing. */
	int64_t dims[GRAPH_RANK_MAX];
	int n_numbers; /* of a plain value of at most one dimension; -1: not known */
	int64_t numbers[GRAPH_NUMBERS_MAX];
};

struct entry;

/* Values by name; open addressing, at most half full. */
struct table {
	struct entry *entries; /* own */
	size_t size;
	size_t n;
};

struct rows {
	struct rows_verdict *verdict;
	int64_t opset; /* of ONNX's own operators */
	const struct graph_node *node;
	struct table table;
	int error; /* -ENOMEM */
};

/* rows_values.c */
/* A value of the graph's; false: no memory, or it is there already. */
_must_use_ bool rows_add(struct rows *q, const char *name, const struct value *v);
const struct value *rows_find(const struct rows *q, const char *name); /* NULL: none */
void rows_table_deinit(struct rows *q);
/* The node's input k, NULL where it is left out. */
const struct value *rows_input(const struct rows *q, size_t k);
/* The node's output k is `v`. False: no memory. */
_must_use_ bool rows_give(struct rows *q, size_t k, const struct value *v);
/* The walk ends here. Returns false. */
bool rows_mixed(struct rows *q, const char *format, ...) _printf_(2, 3);

/* A plain value of unknown shape. */
struct value value_plain(void);
/* A plain value as a constant of the file. */
struct value value_constant(const struct graph_tensor *t);
/* Say that the elements of a plain value of known shape are unknown. */
void value_set_unknown_numbers(struct value *v);

/* What a node does to rows; false through rows_mixed() or rows_give(). */
typedef bool (*rows_rule_fn)(struct rows *q);

struct rows_rule {
	const char *op;
	rows_rule_fn apply; /* NULL: never safe, because: */
	const char *why_not;
	bool shapes;	  /* takes plain values by itself, those that count included */
	bool elementwise; /* plain values keep the shape that they have together */
};

/* NULL: none is known. `ml`: of the domain ai.onnx.ml. */
const struct rows_rule *rows_find_rule(const char *op, bool ml);

/* rows_shapes.c */
bool rule_constant(struct rows *q);
bool rule_same(struct rows *q);
bool rule_cast(struct rows *q);
bool rule_shape(struct rows *q);
bool rule_gather(struct rows *q);
bool rule_slice(struct rows *q);
bool rule_concat(struct rows *q);
bool rule_unsqueeze(struct rows *q);
bool rule_squeeze(struct rows *q);

/* rows_reshape.c */
bool rule_reshape(struct rows *q);
bool rule_flatten(struct rows *q);
bool rule_expand(struct rows *q);
bool rule_constant_of_shape(struct rows *q);

/* rows_ops.c */
bool rule_arg(struct rows *q);
bool rule_cumsum(struct rows *q);
bool rule_dropout(struct rows *q);
bool rule_elementwise(struct rows *q);
bool rule_first(struct rows *q);
bool rule_gemm(struct rows *q);
bool rule_last_axis(struct rows *q);
bool rule_layer_normalization(struct rows *q);
bool rule_matmul(struct rows *q);
bool rule_qlinear_matmul(struct rows *q);
bool rule_quantize(struct rows *q);
bool rule_reduce(struct rows *q);
bool rule_softmax(struct rows *q);
bool rule_split(struct rows *q);
bool rule_topk(struct rows *q);

/* rows_moves.c */
bool rule_batch_normalization(struct rows *q);
bool rule_classifier(struct rows *q);
bool rule_example(struct rows *q);
bool rule_gather_elements(struct rows *q);
bool rule_grid_sample(struct rows *q);
bool rule_mean_variance(struct rows *q);
bool rule_one_hot(struct rows *q);
bool rule_pad(struct rows *q);
bool rule_picture(struct rows *q);
bool rule_regressor(struct rows *q);
bool rule_resize(struct rows *q);
bool rule_scatter_elements(struct rows *q);
bool rule_tile(struct rows *q);
bool rule_transpose(struct rows *q);
bool rule_triangle(struct rows *q);

/* For rules: rows_help.c */
/* Numbers that are an attribute in some versions and an input in others: *ret_n of them. */
enum numbers { NUMBERS_ABSENT, NUMBERS_KNOWN, NUMBERS_UNKNOWN };
enum numbers rows_numbers(const struct rows *q, const char *attribute, size_t input,
	const int64_t **ret_numbers, int *ret_n);
int64_t rows_attribute(const struct rows *q, const char *name, int64_t otherwise);
/* `axis` of a tensor of `rank` dimensions, from 0 on, is not the first one. */
bool rows_axis_apart(struct rows *q, int64_t axis, int rank, int64_t *ret_axis);
/* Input 0 has rows, the others are plain and none counts. */
bool rows_first_only(struct rows *q);
/* Input 0 has rows and at least `rank` dimensions, and all others are plain. Output 0 has its rank,
 * other dimensions unknown; no other output is used. */
bool rows_give_unknown(struct rows *q, int rank);
/* A plain result about which nothing is known; false where an input counts or has rows, which must
 * not get lost in it. */
bool rows_give_plain(struct rows *q);
/* The same with the shape that plain inputs have together. */
bool rows_give_plain_elementwise(struct rows *q);
/* What dimension `i` of `rank` becomes of all inputs. */
int64_t rows_broadcast_dim(const struct rows *q, int rank, int i);
/* rows_mixed(): the number of rows goes where it must not. */
bool rows_counting(struct rows *q);
struct value value_rows(int rank);

#endif
