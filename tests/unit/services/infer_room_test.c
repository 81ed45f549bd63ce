/*
 * infer_room_test.c: room for the tensors of messages that come in part, several at a time, with the
 * desk that really lends the arena out.
 */
#include "services/infer_receive.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/client_private.h"
#include "dispatch/dispatch_private.h"
#include "shm/arena.h"
#include "tests/support/failalloc.h"

#define ARENA_BYTES ((uint64_t)64 << 10)
#define TENSOR_MAX  ((size_t)64 << 10)

/* Tensors are field 7, again and again, each announced by a field 5. */
static const struct scanner_table many = {
	.name = "Many",
	.tensor = 7,
	.repeated = true,
	.announcing = 5,
	.max_pieces = 64,
	.max_fields = 100,
};

struct message {
	uint8_t data[4 * TENSOR_MAX];
	size_t n;
};

/* One request on its way in. */
struct upload {
	struct infer_receive receive;
	struct message message;
	size_t done;
	unsigned n_room;
	unsigned n_expired;
};

static uv_loop_t loop;
static struct dispatch dispatch;
static struct client *client;
static struct services_settings settings = {
	.max_request_metadata_bytes = 1000, .arena_wait_ms = 60000};
static struct services services = {.settings = &settings, .dispatch = &dispatch, .loop = &loop};

static void on_wake(void *data)
{
}

static struct arena *arena;

static int on_made(void *data, struct segment *s, uint64_t *ret_id)
{
	*ret_id = 1;
	return 0;
}

static void set_up(void)
{
	static const struct arena_events events = {.on_made = on_made};
	const struct arena_options options = {.name = "test",
		.limit = ARENA_BYTES,
		.segment_bytes = ARENA_BYTES,
		.max_segments = 1};

	memset(&dispatch, 0, sizeof(dispatch));
	cr_assert_eq(uv_loop_init(&loop), 0);
	cr_assert_eq(arena_new(&arena, &options, &events, NULL), 0);
	dispatch.input.arena = arena;
	lease_desk_init(&dispatch.desk, arena, on_wake, NULL);
	cr_assert_eq(client_new(&client, dispatch_tally(&dispatch)), 0);
}

static void tear_down(void)
{
	client_unref(client);
	cr_expect_eq(arena_used(dispatch.desk.arena), 0);
	lease_desk_deinit(&dispatch.desk);
	arena = arena_free(arena);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_expect_eq(uv_loop_close(&loop), 0);
}

TestSuite(infer_room, .init = set_up, .fini = tear_down);

static void put_varint(struct message *m, uint64_t value)
{
	do {
		m->data[m->n++] = (uint8_t)(value & 0x7f) | (value > 0x7f ? 0x80 : 0);
		value >>= 7;
	} while (value > 0);
}

static void announce(struct message *m, unsigned n)
{
	while (n-- > 0) {
		put_varint(m, 5 << 3 | 2);
		put_varint(m, 0);
	}
}

/* Field 7 of n bytes with this value. */
static void put_tensor(struct message *m, size_t n, int value)
{
	put_varint(m, 7 << 3 | 2);
	put_varint(m, n);
	memset(m->data + m->n, value, n);
	m->n += n;
}

static void on_room(void *data)
{
	((struct upload *)data)->n_room++;
}

static void on_expired(void *data)
{
	((struct upload *)data)->n_expired++;
}

static const struct infer_room_events events = {.on_room = on_room, .on_expired = on_expired};

static struct upload *upload_new(void)
{
	struct upload *u = calloc(1, sizeof(*u));

	cr_assert(u);
	infer_receive_init(&u->receive, &many, &services, client, &events, u);
	return u;
}

static void upload_free(struct upload *u)
{
	infer_receive_deinit(&u->receive);
	free(u);
}

static void upload_begin(struct upload *u, bool compressed)
{
	infer_receive_begin(&u->receive, compressed ? UINT64_MAX : u->message.n);
}

/* Feed up to `until`. Returns what infer_receive_data() does. */
static int upload_feed(struct upload *u, size_t until)
{
	size_t taken;
	int r = infer_receive_data(&u->receive, u->message.data + u->done, until - u->done, &taken);

	u->done += taken;
	return r;
}

static void upload_end(struct upload *u)
{
	const uint8_t *message;
	size_t n;

	cr_assert_eq(u->done, u->message.n);
	cr_assert_eq(infer_receive_end(&u->receive, &message, &n), 0);
}

static void expect_piece(struct upload *u, size_t i, size_t n, int value)
{
	struct infer_piece piece;
	const uint8_t *data;

	cr_assert_eq(infer_receive_take(&u->receive, i, &piece), 0);
	cr_assert_eq(piece.length, n);
	cr_assert(lease_holds(piece.lease, piece.offset, piece.length));
	data = lease_at(piece.lease, piece.offset);
	cr_assert_eq((uintptr_t)data % SEGMENT_ALIGN, 0);
	for (size_t k = 0; k < n; k++)
		cr_assert_eq(data[k], (uint8_t)value);
	lease_unref(piece.lease);
}

/* --- one lease a message ---------------------------------------------------------------------- */

Test(infer_room, all_tensors_of_a_message_are_cut_from_one_lease)
{
	struct upload *u = upload_new();

	announce(&u->message, 4);
	put_tensor(&u->message, 100, 'a');
	put_tensor(&u->message, 0, 0);
	put_tensor(&u->message, 1, 'b');
	put_tensor(&u->message, 5000, 'c');
	upload_begin(u, false);
	for (size_t at = 1; at <= u->message.n; at++)
		cr_assert_eq(upload_feed(u, at), 0);
	upload_end(u);
	cr_assert_eq(dispatch.desk.n_leases, 1);
	cr_assert_eq(infer_receive_count(&u->receive), 4);
	expect_piece(u, 0, 100, 'a');
	expect_piece(u, 1, 0, 0);
	expect_piece(u, 2, 1, 'b');
	expect_piece(u, 3, 5000, 'c');
	expect_piece(u, 4, 0, 0);
	cr_assert_eq(dispatch.desk.n_leases, 1);
	upload_free(u);
}

/* Each has two tensors of almost half of the arena. Were room given tensor by tensor, each would hold
 * what the other waits for. */
Test(infer_room, two_half_uploaded_requests_do_not_wait_for_each_other)
{
	struct upload *a = upload_new();
	struct upload *b = upload_new();
	size_t half;

	announce(&a->message, 2);
	announce(&b->message, 2);
	for (unsigned i = 0; i < 2; i++) {
		put_tensor(&a->message, 30000, 'a');
		put_tensor(&b->message, 30000, 'b');
	}
	half = a->message.n / 2;
	upload_begin(a, false);
	upload_begin(b, false);
	cr_assert_eq(upload_feed(a, half), 0);
	cr_assert_eq(upload_feed(b, half), INFER_E_WAITING);
	cr_assert_eq(dispatch.desk.n_leases, 1, "who waits holds nothing");
	cr_assert_eq(upload_feed(a, a->message.n), 0);
	upload_end(a);
	expect_piece(a, 1, 30000, 'a');
	upload_free(a);
	lease_desk_serve(&dispatch.desk);
	cr_assert_eq(b->n_room, 1);
	cr_assert_eq(upload_feed(b, half), 0);
	cr_assert_eq(upload_feed(b, b->message.n), 0);
	upload_end(b);
	expect_piece(b, 0, 30000, 'b');
	expect_piece(b, 1, 30000, 'b');
	cr_assert_eq(b->n_expired, 0);
	upload_free(b);
}

/* The slack for alignment is what the pieces can need, whatever their sizes. */
Test(infer_room, total_is_enough_for_any_pieces)
{
	for (size_t n = 1; n < 200; n++) {
		struct upload *u = upload_new();

		announce(&u->message, n % 2 ? 20 : 0);
		for (size_t i = 0; i < 20; i++)
			put_tensor(&u->message, 1 + (n * 7 + i * 13) % n, (int)i);
		upload_begin(u, false);
		cr_assert_eq(upload_feed(u, u->message.n), 0);
		upload_end(u);
		cr_assert_eq(dispatch.desk.n_leases, 1);
		for (size_t i = 0; i < 20; i++)
			expect_piece(u, i, 1 + (n * 7 + i * 13) % n, (int)i);
		upload_free(u);
	}
	cr_assert_eq(infer_room_total(16, 16, 20), 16, "nothing follows");
}

Test(infer_room, the_next_message_begins_anew)
{
	struct upload *u = upload_new();

	put_tensor(&u->message, 40000, 'a');
	for (unsigned i = 0; i < 3; i++) {
		u->done = 0;
		upload_begin(u, false);
		cr_assert_eq(upload_feed(u, u->message.n), 0);
		upload_end(u);
		cr_assert_eq(dispatch.desk.n_leases, 1);
	}
	upload_free(u);
}

/* What was announced has room for certain. For more than that nobody waits either. */
Test(infer_room, more_tensors_than_announced)
{
	struct upload *a = upload_new();
	struct upload *b = upload_new();

	announce(&a->message, 1);
	put_tensor(&a->message, 30001, 'a');
	put_tensor(&a->message, 10000, 'a');
	put_tensor(&b->message, 20000, 'b');
	upload_begin(a, false);
	upload_begin(b, false);
	cr_assert_eq(upload_feed(a, 10), 0);
	cr_assert_eq(upload_feed(b, 10), 0);
	cr_assert_eq(upload_feed(a, a->message.n), INFER_E_FAILED);
	cr_assert_eq(a->receive.failure.status, GRPC_RESOURCE_EXHAUSTED);
	upload_free(a);
	upload_free(b);
}

/* --- compressed: only the next tensor's length is known --------------------------------------- */

Test(infer_room, a_compressed_message_never_waits_while_it_holds)
{
	struct upload *a = upload_new();
	struct upload *b = upload_new();

	for (unsigned i = 0; i < 2; i++) {
		put_tensor(&a->message, 30000, 'a');
		put_tensor(&b->message, 30000, 'b');
	}
	upload_begin(a, true);
	upload_begin(b, true);
	cr_assert_eq(upload_feed(a, a->message.n / 2), 0);
	cr_assert_eq(upload_feed(b, b->message.n / 2), 0);
	cr_assert_eq(upload_feed(b, b->message.n), INFER_E_FAILED);
	cr_assert_eq(b->receive.failure.status, GRPC_RESOURCE_EXHAUSTED);
	cr_assert(strstr(b->receive.failure.text, "[memory] input_arena_bytes is 65536"));
	upload_free(b);
	cr_assert_eq(upload_feed(a, a->message.n), 0);
	upload_end(a);
	expect_piece(a, 0, 30000, 'a');
	expect_piece(a, 1, 30000, 'a');
	upload_free(a);
}

/* It does not overtake those who stand in line either. */
Test(infer_room, a_compressed_message_keeps_to_the_line)
{
	struct upload *a = upload_new();
	struct upload *b = upload_new();

	put_tensor(&a->message, 30000, 'a');
	put_tensor(&a->message, 100, 'a');
	put_tensor(&b->message, 60000, 'b');
	upload_begin(a, true);
	upload_begin(b, false);
	cr_assert_eq(upload_feed(a, 30000), 0);
	cr_assert_eq(upload_feed(b, b->message.n), INFER_E_WAITING);
	cr_assert_eq(upload_feed(a, a->message.n), INFER_E_FAILED);
	upload_free(a);
	lease_desk_serve(&dispatch.desk);
	cr_assert_eq(b->n_room, 1);
	upload_free(b);
}

Test(infer_room, the_first_tensor_of_a_compressed_message_waits)
{
	struct upload *a = upload_new();
	struct upload *b = upload_new();

	put_tensor(&a->message, 60000, 'a');
	put_tensor(&b->message, 60000, 'b');
	upload_begin(a, true);
	upload_begin(b, true);
	cr_assert_eq(upload_feed(a, a->message.n), 0);
	cr_assert_eq(upload_feed(b, b->message.n), INFER_E_WAITING);
	upload_free(a);
	lease_desk_serve(&dispatch.desk);
	cr_assert_eq(b->n_room, 1);
	cr_assert_eq(upload_feed(b, b->message.n), 0);
	upload_end(b);
	expect_piece(b, 0, 60000, 'b');
	upload_free(b);
}

/* --- the ends of a wait ----------------------------------------------------------------------- */

Test(infer_room, expires)
{
	struct upload *a = upload_new();
	struct upload *b = upload_new();

	settings.arena_wait_ms = 1;
	put_tensor(&a->message, 60000, 'a');
	put_tensor(&b->message, 60000, 'b');
	upload_begin(a, false);
	upload_begin(b, false);
	cr_assert_eq(upload_feed(a, 100), 0);
	cr_assert_eq(upload_feed(b, 100), INFER_E_WAITING);
	uv_run(&loop, UV_RUN_DEFAULT);
	cr_assert_eq(b->n_expired, 1);
	cr_assert(strstr(b->receive.failure.text, "arena_wait_ms is 1"));
	upload_free(a);
	upload_free(b);
}

Test(infer_room, larger_than_the_arena)
{
	struct upload *u = upload_new();

	put_tensor(&u->message, 40000, 'a');
	put_tensor(&u->message, 40000, 'a');
	upload_begin(u, false);
	cr_assert_eq(upload_feed(u, u->message.n), INFER_E_FAILED);
	cr_assert(strstr(
		u->receive.failure.text, "larger than one request may have of the input arena"));
	upload_free(u);
}

/* --- faults ----------------------------------------------------------------------------------- */

static int upload_once(void *arg)
{
	struct upload *u = arg;
	int r;

	infer_receive_init(&u->receive, &many, &services, client, &events, u);
	u->done = 0;
	upload_begin(u, false);
	r = upload_feed(u, u->message.n);
	infer_receive_deinit(&u->receive);
	cr_assert_eq(dispatch.desk.n_leases, 0);
	return r;
}

Test(infer_room, faults)
{
	struct upload *u = upload_new();

	for (int i = 0; i < 6; i++)
		put_tensor(&u->message, 100, i);
	infer_receive_deinit(&u->receive);
	FAULT_LOOP(upload_once, u);
	free(u);
}
