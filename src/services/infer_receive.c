/*
 * infer_receive.c: one request message on its way in: the scanner parts it, room is found for its
 * tensors. Daemon process, loop thread.
 */
#include "services/infer_receive.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>

#include "dispatch/dispatch.h"

#define MODEL_FIELD 1u

static int on_tensor(void *data, uint64_t length, uint8_t **ret_target);

void infer_receive_init(struct infer_receive *r, const struct scanner_table *table,
	struct services *x, struct client *client, const struct infer_room_events *events,
	void *data)
{
	r->services = x;
	infer_room_init(&r->room, x, client, &r->failure, events, data);
	scanner_init(&r->scanner, table, x->settings->max_request_metadata_bytes, on_tensor, r);
}

void infer_receive_deinit(struct infer_receive *r)
{
	if (r->services) {
		infer_room_deinit(&r->room);
		scanner_deinit(&r->scanner);
	}
	infer_failure_deinit(&r->failure);
	r->services = NULL;
}

/* The message before it was read. */
static void begin_due(struct infer_receive *r)
{
	assert(!r->kept);
	if (!r->due)
		return;
	r->due = false;
	infer_room_clear(&r->room);
	scanner_begin(&r->scanner, r->next_bytes);
}

void infer_receive_begin(struct infer_receive *r, uint64_t length)
{
	r->due = true;
	r->next_bytes = length;
	if (!r->kept)
		begin_due(r);
}

/* What the tensors from this one on take at most. */
static uint64_t total(const struct infer_receive *r, uint64_t length)
{
	uint64_t left = scanner_left(&r->scanner);

	if (!r->scanner.table->repeated)
		return length;
	if (left == UINT64_MAX)
		return UINT64_MAX;
	return infer_room_total(length, left, scanner_pieces_left(&r->scanner, r->room.n_pieces));
}

/* Both messages have the name of their model there, ahead of its tensors. It is where the highest version runs, whichever is
 * asked for: a wrong guess costs a copy some of its speed. */
static uint32_t numa_node_of(const struct infer_receive *r)
{
	size_t n = 0;
	const char *name = scanner_first_text(&r->scanner, MODEL_FIELD, &n);

	return name ? dispatch_numa_node(r->services->dispatch, name, n) : 0;
}

/* The scanner wants memory. */
static int on_tensor(void *data, uint64_t length, uint8_t **ret_target)
{
	struct infer_receive *r = data;

	if (r->room.wait)
		return SCANNER_E_BLOCKED;
	/* Of a field that is not repeated the last one counts: the one before gives its room back. */
	if (!r->scanner.table->repeated)
		infer_room_clear(&r->room);
	if (!r->room.lease)
		r->room.numa_node = numa_node_of(r);
	switch (infer_room_cut(&r->room, length, total(r, length), ret_target)) {
	case 0:
		return 0;
	case INFER_E_WAITING:
		return SCANNER_E_BLOCKED;
	default:
		return -ECANCELED; /* the failure is set */
	}
}

static void count(struct infer_receive *r)
{
	struct services *x = r->services;

	x->tensor_bytes_received += r->scanner.tensor_bytes - r->tensor_bytes;
	x->tensor_bytes_copied_in += r->scanner.copied_bytes - r->copied_bytes;
	r->tensor_bytes = r->scanner.tensor_bytes;
	r->copied_bytes = r->scanner.copied_bytes;
}

static int fail_scan(struct infer_receive *r, int e)
{
	const struct services_settings *settings = r->services->settings;
	const struct scanner_table *table = r->scanner.table;
	const char *type = table->name;

	switch (e) {
	case SCANNER_E_MALFORMED:
		return infer_fail(&r->failure, GRPC_INTERNAL, "malformed %s", type);
	case SCANNER_E_REPEATED:
		return infer_fail(&r->failure, GRPC_INVALID_ARGUMENT,
			"%s occurs more than once in the %s", table->outer_name, type);
	case SCANNER_E_FIELDS:
		return infer_fail(&r->failure, GRPC_RESOURCE_EXHAUSTED,
			"%s with more than %" PRIu32 " fields", type, table->max_fields);
	case SCANNER_E_METADATA:
		return infer_fail(&r->failure, GRPC_RESOURCE_EXHAUSTED,
			"%s without its tensor data is larger than "
			"[limits] max_request_metadata_bytes, %" PRIu32,
			type, settings->max_request_metadata_bytes);
	default: /* on_tensor() has said why, or there is no memory */
		return infer_fail_memory(&r->failure);
	}
}

int infer_receive_data(struct infer_receive *r, const uint8_t *data, size_t n, size_t *ret_taken)
{
	int e;

	begin_due(r);
	e = scanner_feed(&r->scanner, data, n, ret_taken);
	count(r);
	if (e == 0)
		return 0;
	return e == SCANNER_E_BLOCKED ? INFER_E_WAITING : fail_scan(r, e);
}

int infer_receive_end(struct infer_receive *r, const uint8_t **ret_message, size_t *ret_n)
{
	int e;

	begin_due(r);
	e = scanner_end(&r->scanner, ret_message, ret_n);
	return e ? fail_scan(r, e) : 0;
}

size_t infer_receive_count(const struct infer_receive *r)
{
	return r->room.n_pieces;
}

int infer_receive_take(struct infer_receive *r, size_t i, struct infer_piece *ret_piece)
{
	return infer_room_take(&r->room, i, ret_piece);
}

int infer_receive_make(struct infer_receive *r, uint64_t length, struct infer_piece *ret_piece)
{
	r->room.numa_node = numa_node_of(r);
	return infer_room_make(&r->room, length, ret_piece);
}
