/* tensor_parse.h: the content of a file -> tensor. */
#ifndef CLIENTS_MODELCTL_TENSOR_PARSE_H
#define CLIENTS_MODELCTL_TENSOR_PARSE_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "clients/modelctl/tensor_file.h"

/*
 * *t is written on success only, and then owns a copy of the elements: as many as its shape has.
 *
 * -EINVAL  malformed, cut, too long, or of a kind that is not read (big-endian, Fortran order, structs)
 * -ENOMEM
 */
_must_use_ int tensor_parse_npy(struct tensor *t, const uint8_t *data, size_t n);
/*
 * .pgm and .ppm: grey values, or red, green and blue of each pixel, as f32, row by row, with the picture's sides; no
 * shape: the model says how it wants them. Errors as above.
 */
_must_use_ int tensor_parse_picture(struct tensor *t, const uint8_t *data, size_t n);

#endif
