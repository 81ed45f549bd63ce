/*
 * wire_tables.c: the messages of wire.proto for the codec: where each field lies in the structs of
 * wire.h, and every rule of a legal message, whoever sends it. wire_pack() refuses to send anything
 * else, so that a daemon and a worker of the same version cannot lose trust in each other over it;
 * wire_unpack() refuses to believe anything else. No state; any process, any thread.
 */
#include <errno.h>
#include <string.h>

#include "base/traceparent.h"
#include "base/tracestate.h"
#include "proto/wire_private.h"

#define RESULT_CODE_MAX 16 /* the last gRPC status code */

static const struct codec_field pair_fields[] = {
	[1] = CODEC_TEXT(struct wire_pair, key, WIRE_NAME_MAX),
	[2] = CODEC_TEXT(struct wire_pair, value, WIRE_TEXT_MAX),
};
static const struct codec_message pair = CODEC_MESSAGE(struct wire_pair, pair_fields, NULL);

static const struct codec_field tensor_fields[] = {
	[1] = CODEC_RANGE(struct wire_tensor, index, 0, WIRE_TENSORS_MAX - 1),
	[2] = CODEC_RANGE(struct wire_tensor, dtype, DTYPE_INVALID + 1, DTYPE_MAX_ - 1),
	[3] = CODEC_NUMBERS(struct wire_tensor, dims, rank, TENSOR_RANK_MAX, 0, INT64_MAX),
	[4] = CODEC_RANGE(struct wire_tensor, span.arena, 1, UINT64_MAX),
	[5] = CODEC_NUMBER(struct wire_tensor, span.generation),
	[6] = CODEC_NUMBER(struct wire_tensor, span.offset),
	[7] = CODEC_NUMBER(struct wire_tensor, span.length),
};
static const struct codec_message tensor = CODEC_MESSAGE(struct wire_tensor, tensor_fields, NULL);

static const struct codec_field setup_fields[] = {
	[1] = CODEC_NUMBER(struct wire_setup, protocol),
	[2] = CODEC_TEXT(struct wire_setup, worker, WIRE_NAME_MAX),
	[3] = CODEC_TEXT(struct wire_setup, device, WIRE_NAME_MAX),
	[6] = CODEC_NUMBER(struct wire_setup, process),
	[7] = CODEC_NUMBER(struct wire_setup, output_bytes),
	[8] = CODEC_NUMBER(struct wire_setup, output_populate_first),
	[9] = CODEC_NUMBER(struct wire_setup, slots),
	[11] = CODEC_TEXTS(
		struct wire_setup, backend_dirs, n_backend_dirs, WIRE_DIRS_MAX, WIRE_TEXT_MAX),
	[12] = CODEC_MESSAGES(struct wire_setup, settings, n_settings, 0, WIRE_PAIRS_MAX, &pair),
	[13] = CODEC_NUMBER(struct wire_setup, busy_poll_us),
	[14] = CODEC_NUMBER(struct wire_setup, log_level),
	[15] = CODEC_NUMBER(struct wire_setup, output_segment_bytes),
	[16] = CODEC_NUMBER(struct wire_setup, output_segments),
	[17] = CODEC_NUMBER(struct wire_setup, output_idle_ms),
	[18] = CODEC_NUMBER(struct wire_setup, scratch_bytes),
	[19] = CODEC_NUMBER(struct wire_setup, holds),
	[20] = CODEC_NUMBER(struct wire_setup, output_wait_ms),
	[21] = CODEC_NUMBER(struct wire_setup, threads),
};
static const struct codec_message setup = CODEC_MESSAGE(struct wire_setup, setup_fields, NULL);

static const struct codec_field warmup_input_fields[] = {
	[1] = CODEC_TEXT(struct wire_warmup_input, name, WIRE_NAME_MAX),
	[2] = CODEC_RANGE(struct wire_warmup_input, dtype, DTYPE_INVALID + 1, DTYPE_MAX_ - 1),
	[3] = CODEC_NUMBERS(struct wire_warmup_input, dims, rank, TENSOR_RANK_MAX, 0, INT64_MAX),
	[4] = CODEC_NUMBER(struct wire_warmup_input, random),
	[5] = CODEC_TEXT(struct wire_warmup_input, file, WIRE_TEXT_MAX),
};
static const struct codec_message warmup_input =
	CODEC_MESSAGE(struct wire_warmup_input, warmup_input_fields, NULL);

static const struct codec_field warmup_fields[] = {
	[1] = CODEC_TEXT(struct wire_warmup, name, WIRE_NAME_MAX),
	[2] = CODEC_RANGE(struct wire_warmup, batch_size, 1, UINT32_MAX),
	[3] = CODEC_RANGE(struct wire_warmup, count, 1, WIRE_WARMUP_COUNT_MAX),
	[4] = CODEC_MESSAGES(
		struct wire_warmup, inputs, n_inputs, 0, WIRE_TENSORS_MAX, &warmup_input),
};
static const struct codec_message warmup = CODEC_MESSAGE(struct wire_warmup, warmup_fields, NULL);

/* What a backend is told of a model, to load it or to judge it. */
#define LOAD_TOLD                                                                                  \
	[2] = CODEC_TEXT(struct wire_load, name, WIRE_NAME_MAX),                                   \
	[3] = CODEC_TEXT(struct wire_load, version, WIRE_NAME_MAX),                                \
	[4] = CODEC_TEXT(struct wire_load, path, WIRE_TEXT_MAX),                                   \
	[5] = CODEC_TEXT(struct wire_load, backend, WIRE_NAME_MAX),                                \
	[6] = CODEC_NUMBER(struct wire_load, max_batch_size),                                      \
	[7] = CODEC_MESSAGES(struct wire_load, parameters, n_parameters, 0, WIRE_PAIRS_MAX, &pair)

static const struct codec_field load_fields[] = {
	[1] = CODEC_NUMBER(struct wire_load, model),
	LOAD_TOLD,
	[8] = CODEC_NUMBER(struct wire_load, instances),
	[9] = CODEC_RANGE(struct wire_load, priority, 0, WIRE_PRIORITY_LOW),
	[10] = CODEC_TEXT(struct wire_load, warmup_path, WIRE_TEXT_MAX),
	[11] = CODEC_MESSAGES(struct wire_load, warmups, n_warmups, 0, WIRE_WARMUPS_MAX, &warmup),
};
static const struct codec_message load = CODEC_MESSAGE(struct wire_load, load_fields, NULL);

static const struct codec_field check_fields[] = {
	LOAD_TOLD,
};
static const struct codec_message check = CODEC_MESSAGE(struct wire_load, check_fields, NULL);

static const struct codec_field unload_fields[] = {
	[1] = CODEC_NUMBER(struct wire_unload, model),
};
static const struct codec_message unload = CODEC_MESSAGE(struct wire_unload, unload_fields, NULL);

static const struct codec_field target_fields[] = {
	[1] = CODEC_RANGE(struct wire_target, output, 0, WIRE_TENSORS_MAX - 1),
	[2] = CODEC_RANGE(struct wire_target, span.arena, WIRE_REGION_BIT, UINT64_MAX),
	[3] = CODEC_NUMBER(struct wire_target, span.generation),
	[4] = CODEC_NUMBER(struct wire_target, span.offset),
	[5] = CODEC_NUMBER(struct wire_target, span.length),
};
static const struct codec_message target = CODEC_MESSAGE(struct wire_target, target_fields, NULL);

/* No output has two targets. */
static int check_item(const void *message)
{
	const struct wire_item *of = message;
	uint64_t seen[(WIRE_TENSORS_MAX + 63) / 64];

	if (of->n_targets < 2)
		return 0;
	memset(seen, 0, sizeof(seen));
	for (size_t i = 0; i < of->n_targets; i++) {
		uint32_t output = of->targets[i].output;
		uint64_t bit = UINT64_C(1) << output % 64;

		if (seen[output / 64] & bit)
			return -EINVAL;
		seen[output / 64] |= bit;
	}
	return 0;
}

static const struct codec_field item_fields[] = {
	[1] = CODEC_MESSAGES(struct wire_item, inputs, n_inputs, 0, WIRE_TENSORS_MAX, &tensor),
	[2] = CODEC_NUMBERS(
		struct wire_item, outputs, n_outputs, WIRE_TENSORS_MAX, 0, WIRE_TENSORS_MAX - 1),
	[3] = CODEC_MESSAGES(struct wire_item, parameters, n_parameters, 0, WIRE_PAIRS_MAX, &pair),
	[4] = CODEC_MESSAGES(struct wire_item, targets, n_targets, 0, WIRE_TENSORS_MAX, &target),
	[5] = CODEC_TEXT(struct wire_item, traceparent, TRACEPARENT_BYTES),
	[6] = CODEC_TEXT(struct wire_item, id, WIRE_NAME_MAX),
	[7] = CODEC_NUMBER(struct wire_item, sequence),
	[8] = CODEC_TEXT(struct wire_item, sequence_text, WIRE_NAME_MAX),
	[9] = CODEC_RANGE(
		struct wire_item, sequence_flags, 0, WIRE_SEQUENCE_START | WIRE_SEQUENCE_END),
	[10] = CODEC_TEXT(struct wire_item, tracestate, TRACESTATE_BYTES),
};
static const struct codec_message item = CODEC_MESSAGE(struct wire_item, item_fields, check_item);

static const struct codec_field map_fields[] = {
	[1] = CODEC_RANGE(struct wire_map, id, 1, UINT64_MAX),
	[2] = CODEC_NUMBER(struct wire_map, size),
	[3] = CODEC_NUMBER(struct wire_map, writable),
};
static const struct codec_message map = CODEC_MESSAGE(struct wire_map, map_fields, NULL);

static int check_import(const void *message)
{
	const struct wire_import *of = message;

	return of->n_handle == WIRE_HANDLE_WORDS || of->n_handle == 0 ? 0 : -EINVAL;
}

static const struct codec_field import_fields[] = {
	[1] = CODEC_RANGE(struct wire_import, id, WIRE_REGION_BIT, UINT64_MAX),
	[2] = CODEC_RANGE(struct wire_import, size, 1, UINT64_MAX),
	[3] = CODEC_NUMBERS(struct wire_import, handle, n_handle, WIRE_HANDLE_WORDS, 0, UINT64_MAX),
	[4] = CODEC_NUMBER(struct wire_import, writable),
};
static const struct codec_message import =
	CODEC_MESSAGE(struct wire_import, import_fields, check_import);

static const struct codec_field imported_fields[] = {
	[1] = CODEC_RANGE(struct wire_imported, id, WIRE_REGION_BIT, UINT64_MAX),
	[2] = CODEC_TEXT(struct wire_imported, error, WIRE_TEXT_MAX),
};
static const struct codec_message imported =
	CODEC_MESSAGE(struct wire_imported, imported_fields, NULL);

static const struct codec_field unmap_fields[] = {
	[1] = CODEC_RANGE(struct wire_unmap, id, 1, UINT64_MAX),
};
static const struct codec_message unmap = CODEC_MESSAGE(struct wire_unmap, unmap_fields, NULL);

static const struct codec_field run_fields[] = {
	[1] = CODEC_NUMBER(struct wire_run, batch),
	[2] = CODEC_NUMBER(struct wire_run, model),
	[3] = CODEC_MESSAGES(struct wire_run, items, n_items, 1, WIRE_ITEMS_MAX, &item),
	[4] = CODEC_NUMBER(struct wire_run, lane),
};
const struct codec_message wire_run_table = CODEC_MESSAGE(struct wire_run, run_fields, NULL);

static const struct codec_field release_fields[] = {
	[2] = CODEC_NUMBERS(struct wire_release, holds, n_holds, WIRE_RELEASE_MAX, 0, UINT64_MAX),
};
const struct codec_message wire_release_table =
	CODEC_MESSAGE(struct wire_release, release_fields, NULL);

static const struct codec_field cancel_fields[] = {
	[1] = CODEC_NUMBER(struct wire_cancel, batch),
	[2] = CODEC_NUMBER(struct wire_cancel, model),
	[3] = CODEC_NUMBER(struct wire_cancel, lane),
};
static const struct codec_message cancel = CODEC_MESSAGE(struct wire_cancel, cancel_fields, NULL);

static const struct codec_field ping_fields[] = {
	[1] = CODEC_NUMBER(struct wire_ping, nonce),
};
static const struct codec_message ping = CODEC_MESSAGE(struct wire_ping, ping_fields, NULL);

static const struct codec_field hello_fields[] = {
	[1] = CODEC_NUMBER(struct wire_hello, protocol),
	[4] = CODEC_NUMBER(struct wire_hello, slots),
	[5] = CODEC_TEXT(struct wire_hello, sandbox, WIRE_NAME_MAX),
	[6] = CODEC_TEXT(struct wire_hello, sandbox_lacks, WIRE_NAME_MAX),
	[7] = CODEC_TEXT(struct wire_hello, copies, WIRE_NAME_MAX),
	[8] = CODEC_NUMBER(struct wire_hello, imports),
	[9] = CODEC_RANGE(struct wire_hello, numa_node, 0, WIRE_NUMA_NODES),
};
static const struct codec_message hello = CODEC_MESSAGE(struct wire_hello, hello_fields, NULL);

static int check_declaration(const void *message)
{
	const struct wire_declaration *d = message;

	return d->any_shape && d->rank > 0 ? -EINVAL : 0;
}

static const struct codec_field declaration_fields[] = {
	[1] = CODEC_TEXT(struct wire_declaration, name, WIRE_NAME_MAX),
	[2] = CODEC_RANGE(struct wire_declaration, dtype, DTYPE_INVALID, DTYPE_MAX_ - 1),
	[3] = CODEC_NUMBERS(struct wire_declaration, dims, rank, TENSOR_RANK_MAX, -1, INT64_MAX),
	[4] = CODEC_NUMBER(struct wire_declaration, any_shape),
};
static const struct codec_message declaration =
	CODEC_MESSAGE(struct wire_declaration, declaration_fields, check_declaration);

/* Nobody could say of a joined run's answer in part whose it is. */
static int check_loaded(const void *message)
{
	const struct wire_loaded *of = message;

	return of->decoupled && of->max_batch_size > 0 ? -EINVAL : 0;
}

static const struct codec_field loaded_fields[] = {
	[1] = CODEC_NUMBER(struct wire_loaded, model),
	[2] = CODEC_NUMBER(struct wire_loaded, ok),
	[3] = CODEC_TEXT(struct wire_loaded, error, WIRE_TEXT_MAX),
	[4] = CODEC_MESSAGES(
		struct wire_loaded, inputs, n_inputs, 0, WIRE_TENSORS_MAX, &declaration),
	[5] = CODEC_MESSAGES(
		struct wire_loaded, outputs, n_outputs, 0, WIRE_TENSORS_MAX, &declaration),
	[6] = CODEC_NUMBER(struct wire_loaded, memory_bytes),
	[7] = CODEC_NUMBER(struct wire_loaded, max_batch_size),
	[8] = CODEC_NUMBER(struct wire_loaded, lanes),
	[9] = CODEC_NUMBER(struct wire_loaded, decoupled),
};
static const struct codec_message loaded =
	CODEC_MESSAGE(struct wire_loaded, loaded_fields, check_loaded);

static const struct codec_field fault_fields[] = {
	[1] = CODEC_TEXT(struct wire_fault, key, WIRE_NAME_MAX),
	[2] = CODEC_TEXT(struct wire_fault, text, WIRE_FAULT_MAX),
};
static const struct codec_message fault = CODEC_MESSAGE(struct wire_fault, fault_fields, NULL);

static const struct codec_field checked_fields[] = {
	[1] = CODEC_MESSAGES(struct wire_checked, faults, n_faults, 0, WIRE_FAULTS_MAX, &fault),
	[2] = CODEC_NUMBER(struct wire_checked, unjudged),
};
static const struct codec_message checked =
	CODEC_MESSAGE(struct wire_checked, checked_fields, NULL);

static const struct codec_field result_fields[] = {
	[1] = CODEC_RANGE(struct wire_result, code, 0, RESULT_CODE_MAX),
	[2] = CODEC_TEXT(struct wire_result, message, WIRE_TEXT_MAX),
	[3] = CODEC_MESSAGES(struct wire_result, outputs, n_outputs, 0, WIRE_TENSORS_MAX, &tensor),
	[4] = CODEC_NUMBER(struct wire_result, hold),
	[8] = CODEC_RANGE(struct wire_result, joined, 0, WIRE_ITEMS_MAX),
};
static const struct codec_message result = CODEC_MESSAGE(struct wire_result, result_fields, NULL);

static const struct codec_field partial_fields[] = {
	[1] = CODEC_NUMBER(struct wire_partial, batch),
	[2] = CODEC_RANGE(struct wire_partial, item, 0, WIRE_ITEMS_MAX - 1),
	[3] = CODEC_MESSAGES(struct wire_partial, outputs, n_outputs, 0, WIRE_TENSORS_MAX, &tensor),
	[4] = CODEC_NUMBER(struct wire_partial, hold),
	[5] = CODEC_NUMBER(struct wire_partial, last),
	[6] = CODEC_NUMBER(struct wire_partial, compute_ns),
};
static const struct codec_message partial =
	CODEC_MESSAGE(struct wire_partial, partial_fields, NULL);

static const struct codec_field done_fields[] = {
	[1] = CODEC_NUMBER(struct wire_done, batch),
	[2] = CODEC_NUMBER(struct wire_done, compute_ns),
	[3] = CODEC_MESSAGES(struct wire_done, results, n_results, 1, WIRE_ITEMS_MAX, &result),
};
static const struct codec_message done = CODEC_MESSAGE(struct wire_done, done_fields, NULL);

static const struct codec_field bye_fields[] = {
	[1] = CODEC_TEXT(struct wire_bye, reason, WIRE_TEXT_MAX),
};
static const struct codec_message bye = CODEC_MESSAGE(struct wire_bye, bye_fields, NULL);

static const struct codec_field unloaded_fields[] = {
	[1] = CODEC_NUMBER(struct wire_unloaded, model),
	[2] = CODEC_NUMBER(struct wire_unloaded, memory_bytes),
	[3] = CODEC_NUMBER(struct wire_unloaded, stayed_bytes),
};
static const struct codec_message unloaded =
	CODEC_MESSAGE(struct wire_unloaded, unloaded_fields, NULL);

static const struct codec_message empty = {.fields = NULL};

/* Envelope: enum wire_type is its field numbers. */
static const struct codec_field envelope_fields[] = {
	[WIRE_SETUP] = CODEC_BODY(struct wire_message, setup, &setup),
	[WIRE_LOAD] = CODEC_BODY(struct wire_message, load, &load),
	[WIRE_UNLOAD] = CODEC_BODY(struct wire_message, unload, &unload),
	[WIRE_RUN] = CODEC_BODY(struct wire_message, run, &wire_run_table),
	[WIRE_RELEASE] = CODEC_BODY(struct wire_message, release, &wire_release_table),
	[WIRE_PING] = CODEC_BODY(struct wire_message, ping, &ping),
	[WIRE_DRAIN] = CODEC_BODY(struct wire_message, setup, &empty),
	[WIRE_HELLO] = CODEC_BODY(struct wire_message, hello, &hello),
	[WIRE_LOADED] = CODEC_BODY(struct wire_message, loaded, &loaded),
	[WIRE_READY] = CODEC_BODY(struct wire_message, setup, &empty),
	[WIRE_DONE] = CODEC_BODY(struct wire_message, done, &done),
	[WIRE_PONG] = CODEC_BODY(struct wire_message, ping, &ping),
	[WIRE_BYE] = CODEC_BODY(struct wire_message, bye, &bye),
	[WIRE_MAP] = CODEC_BODY(struct wire_message, map, &map),
	[WIRE_UNMAP] = CODEC_BODY(struct wire_message, unmap, &unmap),
	[WIRE_UNMAPPED] = CODEC_BODY(struct wire_message, unmap, &unmap),
	[WIRE_UNLOADED] = CODEC_BODY(struct wire_message, unloaded, &unloaded),
	[WIRE_PARTIAL] = CODEC_BODY(struct wire_message, partial, &partial),
	[WIRE_CANCEL] = CODEC_BODY(struct wire_message, cancel, &cancel),
	[WIRE_CHECK] = CODEC_BODY(struct wire_message, load, &check),
	[WIRE_CHECKED] = CODEC_BODY(struct wire_message, checked, &checked),
	[WIRE_IMPORT] = CODEC_BODY(struct wire_message, import, &import),
	[WIRE_IMPORTED] = CODEC_BODY(struct wire_message, imported, &imported),
};
const struct codec_message wire_envelope_table =
	CODEC_ONEOF(struct wire_message, envelope_fields, type, WIRE_SETUP, WIRE_TYPE_MAX);
