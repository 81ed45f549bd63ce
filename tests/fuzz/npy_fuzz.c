/*
 * npy_fuzz.c: any bytes as a .npy and as a .pgm file. What is accepted has as many bytes as its shape
 * asks for, and they can be read.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "clients/modelctl/tensor_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(struct tensor *t)
{
	uint64_t bytes;
	char text[64];

	assert(t->data && t->rank <= TENSOR_RANK_MAX);
	/* A picture has no shape of its own. */
	if (t->has_shape)
		assert(shape_bytes(t->dtype, t->dims, t->rank, &bytes) == 0 && bytes == t->n);
	if (t->n > 0)
		tensor_element(
			t->dtype, t->data, t->n / dtype_size(t->dtype) - 1, text, sizeof(text));
	tensor_release(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tensor t = {0};

	if (tensor_parse_npy(&t, data, n) == 0)
		check(&t);
	if (tensor_parse_pgm(&t, data, n) == 0)
		check(&t);
	return 0;
}
