/*
 * pbtxt_fuzz.c: any bytes as a config.pbtxt. What is accepted is a message that protobuf-c unpacks, and packs
 * again; what is not has a line and a column.
 */
#include "models/pbtxt.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/kserve/model_config.pb-c.h"

#define BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_message(const struct buf *wire)
{
	Inference__ModelConfig *m = inference__model_config__unpack(NULL, wire->len, wire->data);

	assert(m);
	assert(inference__model_config__get_packed_size(m) <= BYTES_MAX);
	inference__model_config__free_unpacked(m, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf wire = {.max = BYTES_MAX};
	char text[256] = "";
	struct pbtxt_fields fields;
	int r = pbtxt_read(&inference__model_config__descriptor, (const char *)data, n, &wire,
		&fields, text, sizeof(text));

	if (r == 0)
		check_message(&wire);
	else
		assert(r == -ENOBUFS || (r == PBTXT_E_INVALID && strtoul(text, NULL, 10) >= 1 &&
						strchr(text, ':')));
	buf_deinit(&wire);
	return 0;
}
