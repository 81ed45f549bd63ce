/*
 * json_tensor_fuzz.c: any bytes as JSON, skipped, and as elements of each type. What is accepted has as many bytes as its
 * shape asks for, and is one whole value.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "clients/modelctl/tensor_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	char text[256];

	for (unsigned d = DTYPE_BOOL; d < DTYPE_MAX_; d++) {
		struct json_reader r = {(const char *)data, n, 0}, skipped = r;
		struct tensor t = {.dtype = (enum dtype)d};

		if (tensor_from_json(&t, &r, text, sizeof(text)))
			continue;
		assert(!tensor_check(t.dtype, t.dims, t.rank, t.n, t.data));
		assert(json_read_skip(&skipped) == 0 && skipped.at == r.at);
		tensor_release(&t);
	}
	(void)json_read_is_whole((struct json_reader){(const char *)data, n, 0});
	return 0;
}
