/* tensor_json.h: elements of a tensor from JSON: a value, or lists of values in lists, all of one shape. */
#ifndef CLIENTS_MODELCTL_TENSOR_JSON_H
#define CLIENTS_MODELCTL_TENSOR_JSON_H

#include "clients/modelctl/json_read.h"
#include "clients/modelctl/tensor_file.h"

/*
 * The value that comes next, as elements of t->dtype, which is known; t->dims say how it is nested. On success t owns its
 * data. -EINVAL with a sentence that names the element and what the type holds; -ENOMEM.
 */
_must_use_ int tensor_from_json(struct tensor *t, struct json_reader *r, char *text, size_t cap);

#endif
