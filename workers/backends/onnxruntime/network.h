/*
 * network.h: one loaded model in ONNX Runtime, a session and its declarations, which its instances
 * share; and what an instance has of its own.
 */
#ifndef WORKERS_BACKENDS_ONNXRUNTIME_NETWORK_H
#define WORKERS_BACKENDS_ONNXRUNTIME_NETWORK_H

#include <stdatomic.h>

#include "workers/backends/onnxruntime/declare.h"
#include "workers/backends/onnxruntime/usual.h"

/* What a run binds: arrays that it fills and empties; here so that a run allocates nothing. */
struct bindings {
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

struct network {
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
	struct network *network;    /* borrow */
	struct OrtSession *session; /* the model's, or on a GPU its own */
	struct usual usual;
	struct bindings bindings;
};

/* Load <path>/model.onnx. On failure nothing is kept. */
_must_use_ enum modeld_code network_new(struct network **ret_network, struct runtime *r,
	const struct modeld_model_spec *spec, struct modeld_error *error);
struct network *network_free(struct network *m);
DEFINE_CLEANUP(struct network *, network_free)

_must_use_ enum modeld_code instance_new(struct instance **ret_instance, struct network *m,
	const struct modeld_instance_spec *spec, struct modeld_error *error);
struct instance *instance_free(struct instance *in);
DEFINE_CLEANUP(struct instance *, instance_free)

/* Run once; see modeld_backend.run. */
_must_use_ enum modeld_code instance_run(
	struct instance *in, const struct modeld_batch *batch, struct modeld_error *error);

#endif
