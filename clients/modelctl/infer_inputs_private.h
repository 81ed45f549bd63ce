/* infer_inputs_private.h: between infer_inputs.c and what it uses: infer_input.c and infer_json.c. */
#ifndef CLIENTS_MODELCTL_INFER_INPUTS_PRIVATE_H
#define CLIENTS_MODELCTL_INFER_INPUTS_PRIVATE_H

#include "base/buf.h"
#include "clients/modelctl/infer_inputs.h"
#include "clients/modelctl/tensor_fit.h"

#define INFER_NAME_MAX 256u
#define INFER_TEXT_MAX 512u

struct infer_making {
	struct infer_inputs *x;			   /* borrow */
	const Inference__ModelMetadataResponse *m; /* borrow */
	const struct infer_asked *asked;	   /* borrow */
	char text[INFER_TEXT_MAX];
};

/* NULL: the model declares no such input. */
struct infer_input *infer_find(const struct infer_making *k, const char *name, size_t n);
/* What the model declares of it. */
struct tensor_want infer_want(const struct infer_making *k, const struct infer_input *at);

/* What follows gives 0, or an exit code after saying what is wrong. */

/* Says that there is no such input. */
int infer_unknown(const struct infer_making *k, const char *name, size_t n);
/* *at, where it is NULL the next that nothing was given for: it must have been given nothing yet. `from`: what for. */
_must_use_ int infer_choose(
	const struct infer_making *k, struct infer_input **at, const char *from);
/* Make its tensor what the model takes. */
_must_use_ int infer_fit(struct infer_making *k, struct infer_input *at, const char *from);

/* infer_json.c: an object in JSON: the body of a request as KServe's REST has it, or a value for each input's name. */
_must_use_ int infer_take_object(struct infer_making *k, const struct buf *b, const char *from);

#endif
