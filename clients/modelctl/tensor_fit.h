/* tensor_fit.h: a tensor as a model wants it, or words that say why it cannot be. */
#ifndef CLIENTS_MODELCTL_TENSOR_FIT_H
#define CLIENTS_MODELCTL_TENSOR_FIT_H

#include "clients/modelctl/tensor_file.h"

/* What a model declares of an input. */
struct tensor_want {
	enum dtype dtype; /* DTYPE_INVALID: any */
	bool any_shape;
	const int64_t *dims; /* borrow; -1: of any size */
	size_t rank;
};

/* "1,28,28" -> dims. -EINVAL */
_must_use_ int tensor_parse_shape(struct tensor *t, const char *text);
/*
 * Type and shape of what is to be made up (t has no data): what it does not say is as declared, free dimensions are 1.
 * -EINVAL with a sentence.
 */
_must_use_ int tensor_fit_empty(
	struct tensor *t, const struct tensor_want *want, char *text, size_t cap);
/*
 * Make t what the model takes: elements on the wire, of its type and shape. `asked` says what the user wants of it, and of
 * which t->data is read: a dtype, or none, and a shape, or none.
 *
 * Where neither says a shape, raw bytes get the declared one, the one free dimension of which follows from how many there
 * are; of several the first is 1. A tensor without the leading free dimension of a batch gets it. Elements of a picture
 * become those of the type, its rows and channels take the declared places. Nothing else is converted.
 *
 * -EINVAL with a sentence: it does not fit; -ENOMEM with one.
 */
_must_use_ int tensor_fit(struct tensor *t, const struct tensor *asked,
	const struct tensor_want *want, char *text, size_t cap);

#endif
