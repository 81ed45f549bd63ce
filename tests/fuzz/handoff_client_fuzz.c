/*
 * handoff_client_fuzz.c: any record into the codec, which makes of it what protobuf-c does; an Inferred
 * further, into a result of a client: whatever a result says is inside the region that it names, or in memory of its own.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "clients/c/modeld_private.h"
#include "codec_oracle.h"
#include "proto/handoff.pb-c.h"
#include "proto/handoff_message_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define REGION_BYTES 4096u

static struct modeld connection;
static struct modeld_region region;
static struct modeld_call call;

static void set_up(void)
{
	static uint8_t memory[REGION_BYTES];
	static struct use targets[2];

	assert(handoff_scratch_new(&connection.scratch) == 0);
	list_init(&connection.results);
	list_init(&connection.idle_results);
	region = (struct modeld_region){
		.m = &connection, .base = memory, .bytes = REGION_BYTES, .number = 5};
	call.m = &connection;
	call.n_targets = 2;
	call.targets = targets;
	targets[0] = (struct use){.region = &region, .offset = 64, .bytes = 64};
	targets[1] = (struct use){.region = &region, .offset = 2048, .bytes = 2048};
}

/* Read every byte that a result offers. */
static void check(const struct modeld_result *r)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < modeld_result_n(r); i++) {
		const struct modeld_tensor *t = modeld_result_output(r, i);
		const uint8_t *data = t->data;

		assert(!t->region || (t->region == &region && t->offset >= 64));
		assert(modeld_result_find(r, t->name) && t->rank <= MODELD_RANK_MAX);
		for (uint64_t j = 0; j < t->bytes; j++)
			sum ^= data[j];
	}
	(void)*(volatile uint8_t *)&sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const struct handoff_message *answer;
	struct modeld_result *result;

	if (!connection.scratch)
		set_up();
	oracle_check(&handoff_envelope_table, &modeld__handoff__envelope__descriptor, data, n);
	if (handoff_unpack_answer(connection.scratch, data, n, &answer))
		return 0;
	if (answer->type == HANDOFF_ERROR)
		assert(strlen(answer->error.message) <= n);
	if (answer->type != HANDOFF_INFERRED || result_new(&result, &call, &answer->inferred))
		return 0;
	check(result);
	modeld_result_free(result);
	return 0;
}
