/* infer_inputs.h: what `modelctl infer` was given, made into the inputs that a model declares. */
#ifndef CLIENTS_MODELCTL_INFER_INPUTS_H
#define CLIENTS_MODELCTL_INFER_INPUTS_H

#include "clients/modelctl/modelctl.h"
#include "clients/modelctl/tensor_file.h"
#include "proto/kserve/grpc_service.pb-c.h"

#define INFER_INPUTS_MAX 64u

/* --input or --text, --shape, --dtype: [NAME=]VALUE. Borrowed of the command line. */
struct infer_given {
	char what; /* 'i', 'x', 's' or 'd' */
	const char *value;
};

struct infer_asked {
	struct infer_given given[4 * INFER_INPUTS_MAX];
	size_t n_given;
	const char *fill; /* borrow; NULL: nothing is made up */
	const char *
		default_input; /* borrow: whose the first without a NAME is; NULL: the first declared */
};

struct infer_input {
	const char *name;     /* borrow, of the metadata */
	struct tensor asked;  /* type and shape alone */
	struct tensor tensor; /* has data: it was given */
};

struct infer_inputs {
	struct infer_input list[INFER_INPUTS_MAX]; /* as declared */
	size_t n;
};

/* Is its VALUE a shape or a dtype? 0, or MODELCTL_USAGE after saying that it is not. */
_must_use_ int infer_given_check(const struct infer_given *given);
/* Zeroed to begin with. 0, or an exit code after saying what does not fit. `m` stays while they are used. */
_must_use_ int infer_inputs_make(struct infer_inputs *x, const Inference__ModelMetadataResponse *m,
	const struct infer_asked *asked);
void infer_inputs_release(struct infer_inputs *x);

#endif
