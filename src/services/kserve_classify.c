/*
 * kserve_classify.c: the greatest elements of a tensor, as text. Of equal ones the first counts; one that
 * is no number (NaN) is the least. They are found in one pass, with a heap of as many as are wanted, and no more than
 * STEPS_MAX steps of it are taken for an answer: others wait meanwhile. Daemon process, loop thread.
 */
#include "services/kserve_classify.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/version.h"

#define LENGTH_BYTES 4u
/* "value:index:": a double written by %f has 309 digits and a few more. */
#define TEXT_MAX 352u
/* Elements, times one more than the depth of the heap: some milliseconds. */
#define STEPS_MAX (UINT64_C(1) << 20)

struct element {
	double value;
	uint64_t index;
};

struct rows {
	const struct pool_output *o;
	uint64_t n;			       /* rows */
	uint64_t length;		       /* elements of a row */
	uint64_t n_best;		       /* of each row */
	const struct labels *labels;	       /* borrow; NULL: the output has none */
	const struct labels_output *labels_of; /* likewise */
	size_t text_max;		       /* bytes of a class, with its length */
};

#define LOAD(type)                                                                                 \
	{                                                                                          \
		type v;                                                                            \
		memcpy(&v, (const type *)o->data + at, sizeof(v));                                 \
		return (double)v;                                                                  \
	}

static double load(const struct pool_output *o, uint64_t at)
{
	switch (o->dtype) {
	case DTYPE_U8:
		LOAD(uint8_t)
	case DTYPE_U16:
		LOAD(uint16_t)
	case DTYPE_U32:
		LOAD(uint32_t)
	case DTYPE_U64:
		LOAD(uint64_t)
	case DTYPE_I8:
		LOAD(int8_t)
	case DTYPE_I16:
		LOAD(int16_t)
	case DTYPE_I32:
		LOAD(int32_t)
	case DTYPE_I64:
		LOAD(int64_t)
	case DTYPE_F32:
		LOAD(float)
	default:
		LOAD(double)
	}
}

static bool is_float(enum dtype d)
{
	return d == DTYPE_F32 || d == DTYPE_F64;
}

static bool is_supported(enum dtype d)
{
	return (d >= DTYPE_U8 && d <= DTYPE_I64) || is_float(d);
}

/* The greater one first. */
static int compare(const void *a, const void *b)
{
	const struct element *x = a, *y = b;

	if (x->value > y->value || (isnan(y->value) && !isnan(x->value)))
		return -1;
	if (x->value < y->value || (isnan(x->value) && !isnan(y->value)))
		return 1;
	return x->index < y->index ? -1 : 1;
}

/* "0.874902:2", or "0.874902:2:cat", with its length ahead. Returns the bytes. */
static size_t write_class(uint8_t *to, const struct element *e, enum dtype d, const char *label)
{
	char text[TEXT_MAX + 1 + LABELS_TEXT_MAX];
	int n = snprintf(text, sizeof(text),
		is_float(d) ? "%f:%" PRIu64 "%s%.*s" : "%.0f:%" PRIu64 "%s%.*s", e->value, e->index,
		*label ? ":" : "", (int)LABELS_TEXT_MAX, label);
	uint32_t length = n < 0 ? 0 : (uint32_t)n;

	for (unsigned k = 0; k < LENGTH_BYTES; k++)
		to[k] = (uint8_t)(length >> 8 * k);
	memcpy(to + LENGTH_BYTES, text, length);
	return LENGTH_BYTES + length;
}

static int fail_type(struct infer *i, const struct pool_output *o)
{
	return infer_fail(&i->failure, GRPC_INVALID_ARGUMENT,
		"class result not available for output due to unsupported type '%s'",
		dtype_kserve_name(o->dtype));
}

/* The first dimension is the batch's where the model takes batches. */
static int find_rows(
	struct infer *i, const struct pool_output *o, uint64_t n_classes, struct rows *ret_rows)
{
	bool batch = version_max_batch_size(i->model) > 0 && o->rank > 0;
	uint64_t n = 0;

	if (!is_supported(o->dtype))
		return fail_type(i, o);
	if (shape_elements(o->dims, o->rank, &n) || n > o->length / dtype_size(o->dtype))
		return infer_fail(&i->failure, GRPC_INTERNAL, "an output that is too short");
	*ret_rows = (struct rows){.o = o, .n = batch ? (uint64_t)o->dims[0] : 1};
	ret_rows->length = ret_rows->n > 0 ? n / ret_rows->n : 0;
	ret_rows->n_best = n_classes < ret_rows->length ? n_classes : ret_rows->length;
	ret_rows->labels = version_settings(i->model)->labels;
	ret_rows->labels_of =
		labels_find(ret_rows->labels, version_declared(i->model)->outputs[o->index].name);
	ret_rows->text_max =
		LENGTH_BYTES + TEXT_MAX + (ret_rows->labels_of ? 1 + LABELS_TEXT_MAX : 0);
	return 0;
}

/* labels: of each element; NULL: they have none. */
/* heap[at] may be greater than those below it: the least of all is on top. */
static void sift_down(struct element *heap, uint64_t n, uint64_t at)
{
	for (;;) {
		uint64_t least = 2 * at + 1;
		struct element e = heap[at];

		if (least + 1 < n && compare(&heap[least], &heap[least + 1]) < 0)
			least++;
		if (least >= n || compare(&e, &heap[least]) > 0)
			return;
		heap[at] = heap[least];
		heap[least] = e;
		at = least;
	}
}

static struct element element_of(const struct rows *rows, uint64_t row, uint64_t k)
{
	return (struct element){load(rows->o, row * rows->length + k), k};
}

/* The greatest of a row, in their order. */
static void find_best(struct element *best, const struct rows *rows, uint64_t row)
{
	uint64_t n = rows->n_best;

	for (uint64_t k = 0; k < n; k++)
		best[k] = element_of(rows, row, k);
	for (uint64_t k = n / 2; k-- > 0;)
		sift_down(best, n, k);
	for (uint64_t k = n; k < rows->length; k++) {
		struct element e = element_of(rows, row, k);

		if (compare(&e, &best[0]) > 0)
			continue;
		best[0] = e;
		sift_down(best, n, 0);
	}
	qsort(best, n, sizeof(*best), compare);
}

static size_t write_row(uint8_t *to, const struct rows *rows, uint64_t row, struct element *best,
	const char *const *labels)
{
	size_t n = 0;

	find_best(best, rows, row);
	for (uint64_t k = 0; k < rows->n_best; k++)
		n += write_class(
			to + n, &best[k], rows->o->dtype, labels ? labels[best[k].index] : "");
	return n;
}

static bool takes_long(const struct rows *rows)
{
	unsigned depth = rows->n_best > 0 ? 64 - (unsigned)__builtin_clzll(rows->n_best) : 0;
	uint64_t elements;

	return __builtin_mul_overflow(rows->n, rows->length, &elements) ||
	       elements > STEPS_MAX / (depth + 1);
}

static int write_all(struct infer *i, struct infer_reply *p, const struct rows *rows,
	const void **ret_data, uint64_t *ret_n)
{
	const char **labels = NULL;
	struct element *best;
	uint64_t n_texts, n_bytes;
	uint8_t *to;

	if (__builtin_mul_overflow(rows->n, rows->n_best, &n_texts) ||
		__builtin_mul_overflow(n_texts, rows->text_max, &n_bytes) ||
		n_bytes > INFER_REPLY_MEMORY_MAX)
		return infer_fail(&i->failure, GRPC_RESOURCE_EXHAUSTED,
			"%" PRIu64 " classes of %" PRIu64 " rows are too many for one answer",
			rows->n_best, rows->n);
	if (takes_long(rows))
		return infer_fail(&i->failure, GRPC_RESOURCE_EXHAUSTED,
			"the greatest %" PRIu64 " of %" PRIu64 " elements in each of %" PRIu64
			" rows are too much to look for: ask for the output itself",
			rows->n_best, rows->length, rows->n);
	to = infer_reply_alloc(p, (size_t)n_bytes, &i->failure);
	best = calloc(rows->n_best + 1, sizeof(*best));
	if (rows->labels_of)
		labels = calloc(rows->length + 1, sizeof(*labels));
	if (!to || !best || (rows->labels_of && !labels)) {
		free(best);
		free(labels);
		return infer_fail_memory(&i->failure);
	}
	if (labels)
		labels_list(rows->labels, rows->labels_of, labels, rows->length);
	*ret_data = to;
	*ret_n = 0;
	for (uint64_t row = 0; row < rows->n && rows->n_best > 0; row++)
		*ret_n += write_row(to + *ret_n, rows, row, best, labels);
	free(best);
	free(labels);
	return 0;
}

int kserve_classify(struct infer *i, struct infer_reply *p, const struct pool_output *o,
	uint64_t n_classes, struct kserve_answer_output *output, const void **ret_data,
	uint64_t *ret_n)
{
	struct rows rows = {0};
	int64_t *dims;
	int r = find_rows(i, o, n_classes, &rows);

	if (!r)
		r = write_all(i, p, &rows, ret_data, ret_n);
	if (r)
		return r;
	dims = (void *)infer_reply_alloc(p, 2 * sizeof(*dims), &i->failure);
	if (!dims)
		return INFER_E_FAILED;
	output->rank = 0;
	if (version_max_batch_size(i->model) > 0 && o->rank > 0)
		dims[output->rank++] = (int64_t)rows.n;
	dims[output->rank++] = (int64_t)rows.n_best;
	output->dims = dims;
	output->datatype = dtype_kserve_name(DTYPE_BYTES);
	return 0;
}
