/*
 * infer_receive.c: one request message on its way in.
 *
 * Waiting for room: the scanner asks for memory, the arena has none, so a place in the line is
 * taken and the transport told to keep the rest of the bytes (its stream window closes then). When
 * there is room, the lease is taken at once, in the line's turn, and the transport told to go on;
 * the scanner asks again and finds it. The place in line and the timer are in a block of their own,
 * since a timer is closed asynchronously and the call's state may be gone by then.
 *
 * Invariants: at most one lease is held, so a message costs the arena its largest tensor only;
 * ready implies lease. Daemon process, loop thread.
 */
#include "services/infer_receive.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

struct infer_wait {
	struct infer_receive *receive; /* borrow */
	struct lease_waiter waiter;
	uint64_t length;
	uv_timer_t timer;
};

/* InferRequest.tensor_data.data */
static const struct scanner_table infer_table = {
	.outer = 3,
	.tensor = 1,
	.max_fields = 4096,
};

static int on_tensor(void *data, uint64_t length, uint8_t **ret_target);

void infer_receive_init(struct infer_receive *r, struct services *x, struct client *client,
	const struct infer_receive_events *events, void *data)
{
	r->services = x;
	r->client = client;
	r->events = events;
	r->data = data;
	scanner_init(
		&r->scanner, &infer_table, x->settings->max_request_metadata_bytes, on_tensor, r);
}

static void on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

static void end_wait(struct infer_receive *r)
{
	struct infer_wait *w = r->wait;

	if (!w)
		return;
	r->wait = NULL;
	lease_wait_cancel(&w->waiter);
	uv_close((uv_handle_t *)&w->timer, on_timer_closed);
}

void infer_receive_deinit(struct infer_receive *r)
{
	end_wait(r);
	r->lease = lease_unref(r->lease);
	r->ready = false;
	infer_failure_deinit(&r->failure);
	if (r->services)
		scanner_deinit(&r->scanner);
	r->services = NULL;
}

void infer_receive_begin(struct infer_receive *r, uint64_t length)
{
	assert(!r->wait);
	r->lease = lease_unref(r->lease);
	r->ready = false;
	scanner_begin(&r->scanner, length);
}

static int fail_large(struct infer_receive *r, uint64_t length)
{
	const struct services *x = r->services;

	return infer_fail(&r->failure, GRPC_RESOURCE_EXHAUSTED,
		"tensor data of %" PRIu64 " bytes is larger than the input arena: "
		"[memory] input_arena_bytes is %" PRIu64,
		length, arena_size(dispatch_arena(x->dispatch)));
}

static int fail_waited(struct infer_receive *r, uint64_t length)
{
	const struct services *x = r->services;

	return infer_fail(&r->failure, GRPC_RESOURCE_EXHAUSTED,
		"no room for %" PRIu64 " bytes of tensor data in the input arena within %" PRIu64
		" ms: [memory] input_arena_bytes is %" PRIu64
		", [limits] arena_wait_ms is %" PRIu64,
		length, x->settings->arena_wait_ms, arena_size(dispatch_arena(x->dispatch)),
		x->settings->arena_wait_ms);
}

static void on_timer(uv_timer_t *t)
{
	struct infer_wait *w = t->data;
	struct infer_receive *r = w->receive;

	fail_waited(r, w->length);
	end_wait(r);
	r->events->on_expired(r->data);
}

/* LEASE_E_FULL: wait. -ECANCELED: the failure is set. */
static int lease_try(struct infer_receive *r, uint64_t length)
{
	int e = lease_new(&r->lease, dispatch_desk(r->services->dispatch), r->client, length);

	switch (e) {
	case 0:
		return 0;
	case LEASE_E_FULL:
	case LEASE_E_SHARE:
		return LEASE_E_FULL;
	case LEASE_E_LARGE:
		fail_large(r, length);
		return -ECANCELED;
	default:
		infer_fail_memory(&r->failure);
		return -ECANCELED;
	}
}

static void on_space(struct lease_waiter *waiter)
{
	struct infer_wait *w = container_of(waiter, struct infer_wait, waiter);
	struct infer_receive *r = w->receive;
	int e = lease_try(r, w->length);

	if (e == LEASE_E_FULL) {
		lease_wait(dispatch_desk(r->services->dispatch), waiter, r->client, w->length,
			on_space);
		return;
	}
	end_wait(r);
	if (e) {
		r->events->on_expired(r->data);
		return;
	}
	r->ready = true;
	r->events->on_room(r->data);
}

static int begin_wait(struct infer_receive *r, uint64_t length)
{
	struct services *x = r->services;
	struct infer_wait *w = calloc(1, sizeof(*w));
	int e;

	if (!w)
		return -ENOMEM;
	w->receive = r;
	w->length = length;
	list_init(&w->waiter.node);
	e = uv_timer_init(x->loop, &w->timer);
	assert(e == 0);
	w->timer.data = w;
	e = uv_timer_start(&w->timer, on_timer, x->settings->arena_wait_ms, 0);
	assert(e == 0);
	(void)e;
	lease_wait(dispatch_desk(x->dispatch), &w->waiter, r->client, length, on_space);
	r->wait = w;
	return SCANNER_E_BLOCKED;
}

/* The scanner wants memory. */
static int on_tensor(void *data, uint64_t length, uint8_t **ret_target)
{
	struct infer_receive *r = data;
	int e;

	if (r->wait)
		return SCANNER_E_BLOCKED;
	if (!r->ready) {
		r->lease = lease_unref(r->lease);
		if (length == 0)
			return 0;
		e = lease_try(r, length);
		if (e)
			return e == LEASE_E_FULL ? begin_wait(r, length) : e;
	}
	r->ready = false;
	assert(lease_length(r->lease) == length);
	*ret_target = lease_data(r->lease);
	return 0;
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

	switch (e) {
	case SCANNER_E_MALFORMED:
		return infer_fail(&r->failure, GRPC_INTERNAL, "malformed InferRequest");
	case SCANNER_E_REPEATED:
		return infer_fail(&r->failure, GRPC_INVALID_ARGUMENT,
			"tensor_data occurs more than once in the InferRequest");
	case SCANNER_E_FIELDS:
		return infer_fail(&r->failure, GRPC_RESOURCE_EXHAUSTED,
			"InferRequest with more than %" PRIu32 " fields", infer_table.max_fields);
	case SCANNER_E_METADATA:
		return infer_fail(&r->failure, GRPC_RESOURCE_EXHAUSTED,
			"InferRequest without its tensor data is larger than "
			"[limits] max_request_metadata_bytes, %" PRIu32,
			settings->max_request_metadata_bytes);
	default: /* on_tensor() has said why, or there is no memory */
		return infer_fail_memory(&r->failure);
	}
}

int infer_receive_data(struct infer_receive *r, const uint8_t *data, size_t n, size_t *ret_taken)
{
	int e = scanner_feed(&r->scanner, data, n, ret_taken);

	count(r);
	if (e == 0)
		return 0;
	return e == SCANNER_E_BLOCKED ? INFER_E_WAITING : fail_scan(r, e);
}

int infer_receive_end(struct infer_receive *r, const uint8_t **ret_message, size_t *ret_n)
{
	int e = scanner_end(&r->scanner, ret_message, ret_n);

	return e ? fail_scan(r, e) : 0;
}

int infer_receive_take(struct infer_receive *r, struct lease **ret_lease)
{
	int e;

	if (!r->lease) {
		e = lease_try(r, 0);
		if (e == LEASE_E_FULL)
			return fail_waited(r, 0);
		if (e)
			return INFER_E_FAILED;
	}
	*ret_lease = steal_ptr(r->lease);
	return 0;
}
