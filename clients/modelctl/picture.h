/* picture.h: a picture's values as a model wants them. */
#ifndef CLIENTS_MODELCTL_PICTURE_H
#define CLIENTS_MODELCTL_PICTURE_H

#include "clients/modelctl/tensor_fit.h"

/* From f32 to another type. -EINVAL with a sentence: it does not hold a value of the picture; -ENOMEM likewise */
_must_use_ int picture_convert(struct tensor *t, enum dtype dtype, char *text, size_t cap);
/*
 * The shape, and the order, that the model declares: rows and columns, either with the channels behind them or before them,
 * or all in a row. -EINVAL with a sentence: the picture has other sides; -ENOMEM likewise
 */
_must_use_ int picture_place(
	struct tensor *t, const struct tensor_want *want, char *text, size_t cap);

#endif
