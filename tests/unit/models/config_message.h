/* config_message.h: a ModelConfig that a reader under test has packed, as protobuf-c reads it. Included once in a test. */
#ifndef TESTS_UNIT_MODELS_CONFIG_MESSAGE_H
#define TESTS_UNIT_MODELS_CONFIG_MESSAGE_H

#include <criterion/criterion.h>

#include "base/buf.h"
#include "proto/kserve/model_config.pb-c.h"

static Inference__ModelConfig *config; /* the last one; NULL: none */

static void config_free(void)
{
	if (config)
		inference__model_config__free_unpacked(config, NULL);
	config = NULL;
}

/* What the reader has returned, and written to `out`, which is given back. Returns r. */
static int config_take(int r, struct buf *out)
{
	config_free();
	if (!r)
		config = inference__model_config__unpack(NULL, out->len, out->data);
	cr_assert(r || config, "what is written is a message");
	buf_deinit(out);
	return r;
}

#endif
