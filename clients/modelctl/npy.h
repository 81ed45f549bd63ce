/* npy.h: a tensor as the content of a .npy file (version 1.0). */
#ifndef CLIENTS_MODELCTL_NPY_H
#define CLIENTS_MODELCTL_NPY_H

#include <stddef.h>
#include <stdint.h>

#include "clients/modelctl/tensor_file.h"

#define NPY_HEADER_MAX 512u

struct npy {
	uint8_t header[NPY_HEADER_MAX];
	size_t n_header;
	const uint8_t *data; /* borrow, of the tensor; or texts */
	size_t n;
	uint8_t *texts; /* own: texts of one length each */
};

/*
 * t, whose data is what tensor_check() lets pass, stays while x is used. Texts become numpy's of a fixed length.
 *
 * -ENOTSUP  numpy has no bf16; or a text ends in a zero, which numpy would take off
 * -ENOMEM
 */
_must_use_ int npy_make(struct npy *x, const struct tensor *t);
void npy_release(struct npy *x);

#endif
