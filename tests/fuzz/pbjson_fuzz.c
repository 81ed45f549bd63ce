/*
 * pbjson_fuzz.c: any bytes as a configuration in JSON. What is accepted is a message that protobuf-c unpacks; what is not has a
 * reason.
 */
#include "models/pbjson.h"

#include <assert.h>
#include <errno.h>

#include "proto/kserve/model_config.pb-c.h"

#define BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf wire = {.max = BYTES_MAX};
	char text[256] = "";
	uint64_t present;
	int r = pbjson_read(&inference__model_config__descriptor, (const char *)data, n, &wire,
		&present, text, sizeof(text));

	if (r == 0) {
		Inference__ModelConfig *m =
			inference__model_config__unpack(NULL, wire.len, wire.data);

		assert(m);
		inference__model_config__free_unpacked(m, NULL);
	} else {
		assert(r == -ENOBUFS || (r == PBJSON_E_INVALID && *text));
	}
	buf_deinit(&wire);
	return 0;
}
