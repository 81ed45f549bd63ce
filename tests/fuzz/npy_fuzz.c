/*
 * npy_fuzz.c: any bytes as a .npy file, a picture and a .npz archive. What is accepted has as many bytes as its shape
 * asks for, and they can be read.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "clients/modelctl/tensor_parse.h"
#include "clients/modelctl/tensor_value.h"
#include "clients/modelctl/zip.h"

#define MEMBER_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(struct tensor *t)
{
	char text[64];

	assert(t->data && t->rank <= TENSOR_RANK_MAX);
	/* A picture has no shape of its own. */
	if (t->has_shape)
		assert(!tensor_check(t->dtype, t->dims, t->rank, t->n, t->data));
	if (t->n > 0 && t->dtype != DTYPE_BYTES)
		tensor_element(
			t->dtype, t->data, t->n / dtype_size(t->dtype) - 1, text, sizeof(text));
	tensor_release(t);
}

static void check_archive(const uint8_t *data, size_t n)
{
	struct zip_reader z;
	struct zip_member m;

	if (zip_open(&z, data, n))
		return;
	while (zip_next(&z, &m) == 0) {
		struct tensor t = {0};
		uint8_t *content;

		if (m.n > MEMBER_MAX || zip_extract(&m, &content))
			continue;
		if (tensor_parse_npy(&t, content, m.n) == 0)
			check(&t);
		free(content);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct tensor t = {0};

	if (tensor_parse_npy(&t, data, n) == 0)
		check(&t);
	if (tensor_parse_picture(&t, data, n) == 0)
		check(&t);
	check_archive(data, n);
	return 0;
}
