/* tensor_value.h: single elements of tensors, from numbers and texts, and as text. */
#ifndef CLIENTS_MODELCTL_TENSOR_VALUE_H
#define CLIENTS_MODELCTL_TENSOR_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "proto/dtype.h"

#define NUMBER_MAX 63u /* bytes of a number's text */

/* The nearest there is to `value`: too large a number becomes the largest, or infinite. Not of DTYPE_BYTES. */
void tensor_put(enum dtype d, uint8_t *to, double value);
/*
 * A number as JSON has it, true, false, NaN, Infinity or -Infinity: what it is, or rounded to what a float can hold.
 * Not of DTYPE_BYTES.
 *
 * -EINVAL  no number, or a fraction where there are whole ones only
 * -ERANGE  beyond what the type holds
 */
_must_use_ int tensor_put_text(enum dtype d, uint8_t *to, const char *text, size_t n);
/* Would a number be taken? Of DTYPE_BYTES any is. */
bool tensor_takes(enum dtype d, const char *text);
/* "a whole number from 0 to 255": what the type holds. Static storage. */
const char *tensor_holds(enum dtype d);
/* Element i as text, for people; not of DTYPE_BYTES. */
void tensor_element(enum dtype d, const uint8_t *data, uint64_t i, char *out, size_t cap);
/* The same in as many digits as give the element again. */
void tensor_element_exact(enum dtype d, const uint8_t *data, uint64_t i, char *out, size_t cap);

#endif
