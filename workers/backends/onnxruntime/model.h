/*
 * model.h: one loaded model, a session and its declarations, which its instances share; and what an
 * instance has of its own.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_MODEL_H
#define WORKERS_BACKENDS_ONNXRUNTIME_MODEL_H

#include <stdatomic.h>

#include "workers/backends/onnxruntime/declare.h"
#include "workers/backends/onnxruntime/usual.h"

/* Arrays that a run fills and empties; here so that a run allocates nothing. */
struct run {
	struct OrtValue **inputs; /* [n_inputs] */
	/* Only the outputs that are wanted, in order. */
	struct OrtValue **outputs;
	const char **output_names;
	size_t *output_index; /* which of the declared ones it is */
	bool *bound;	      /* lies in the host's memory already */
	size_t n_outputs;
	bool stays;			     /* all inputs lie on the GPU */
	const struct OrtRunOptions *options; /* borrow; NULL: the usual ones */
};

struct model {
	const char *name;	 /* borrow: of what was loaded, valid until it is unloaded */
	struct runtime *runtime; /* borrow */
	const struct modeld_model_spec *spec; /* borrow: valid until it is unloaded */
	struct OrtSession *session;	      /* own; on a GPU it declares, and runs nothing */
	struct declarations declared;
	bool shares;		      /* it may run on inputs that change meanwhile (changing.h) */
	const char **input_names;     /* own; the names are borrowed from `declared` */
	struct OrtRunOptions *shrink; /* own; for runs after which memory goes back; NULL: never */
	struct OrtRunOptions
		*unwaited; /* own; for runs that another waits for; NULL: not on a GPU */
	enum shrinkage shrinkage;
	atomic_bool trust_shapes; /* false: the model made outputs of other shapes than declared */
	uint64_t memory_bytes;
};

/* ONNX Runtime runs a session in several threads at once; but on a GPU all of a session's work is in one stream. */
struct instance {
	struct model *model;	    /* borrow */
	struct OrtSession *session; /* the model's, or on a GPU its own */
	struct usual usual;
	struct run run;
};

/* Load <path>/model.onnx. On failure nothing is kept. */
_must_use_ enum modeld_code model_new(struct model **ret_model, struct runtime *r,
	const struct modeld_model_spec *spec, struct modeld_error *error);
struct model *model_free(struct model *m);
DEFINE_CLEANUP(struct model *, model_free)

_must_use_ enum modeld_code instance_new(struct instance **ret_instance, struct model *m,
	const struct modeld_instance_spec *spec, struct modeld_error *error);
struct instance *instance_free(struct instance *in);
DEFINE_CLEANUP(struct instance *, instance_free)

/* Run once; see modeld_backend.run. */
_must_use_ enum modeld_code instance_run(
	struct instance *in, const struct modeld_batch *batch, struct modeld_error *error);

#endif
