/*
 * declare.h: what a session says about its inputs and outputs, and which output shapes follow from
 * the inputs before a run.
 *
 * ONNX gives a free dimension a name ("batch"); an output's dimension of the same name as an
 * input's has the same size. Where all of an output's dimensions are fixed or follow, its memory
 * can be had before the run and the model writes straight into it.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_DECLARE_H
#define WORKERS_BACKENDS_ONNXRUNTIME_DECLARE_H

#include "workers/backends/onnxruntime/options.h"
#include "workers/backends/onnxruntime/runtime.h"

/* Where each free dimension of an output comes from. */
struct shape_rule {
	/* Of all dimensions, and the model writes the output: it may be given memory ahead of the
	 * run. Else it is copied behind it. */
	bool known;
	struct {
		uint32_t input;
		uint32_t axis;
	} from[MODELD_BACKEND_RANK_MAX]; /* only for dimensions declared -1 */
};

/* What the configuration says about joining requests. */
struct joining {
	enum batch_option batch;
	uint32_t max_batch_size; /* of model.conf; MODELD_BATCH_UNSET: it says nothing */
};

struct declarations {
	struct modeld_declaration *inputs; /* own; each name is ONNX Runtime's allocator's */
	struct modeld_declaration *outputs;
	struct shape_rule *rules; /* own; one an output */
	size_t n_inputs;
	size_t n_outputs;
	/*
	 * The first dimension is a batch dimension. Where the configuration asks for joining: all
	 * first dimensions are free. Else they bear a name that means a batch, too, and no operator
	 * mixes rows.
	 */
	bool can_batch;
	char why_alone[256]; /* why not, where the dimensions would allow it; else "" */
};

/*
 * Read them; `path` is the model's file. On failure nothing is kept.
 *
 * MODELD_UNSUPPORTED  a tensor has an element type or rank that modeld does not know, or is none
 * MODELD_INTERNAL     joining is asked for where a first dimension is fixed; ONNX Runtime's errors
 * MODELD_EXHAUSTED
 */
_must_use_ enum modeld_code declarations_read(struct declarations *ret_declarations,
	const struct runtime *r, const struct OrtSession *session, const char *path,
	const struct joining *joining, struct modeld_error *error);
void declarations_release(struct declarations *d, const struct runtime *r);

/* The shape of output `index` for these inputs; false where memory for it cannot be given ahead. */
bool declarations_shape(const struct declarations *d, size_t index,
	const struct modeld_tensor *const *inputs, int64_t *dims);

#endif
