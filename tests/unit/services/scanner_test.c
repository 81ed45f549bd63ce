/* Tests of scanner.c: against protobuf-c as the oracle, and each limit and error. */
#include "services/scanner.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/scanner_oracle.h"
#include "tests/support/failalloc.h"

#define REQUEST (&remotemedia__model_registry__v1__infer_request__descriptor)
#define TENSOR	(&remotemedia__model_registry__v1__tensor_data__descriptor)

static const struct scanner_table table = {.outer = 3, .tensor = 1, .max_fields = 100};
static const struct scanner_table flat = {.tensor = 1, .max_fields = 100};
static const struct scanner_table repeated = {.tensor = 7, .repeated = true, .max_fields = 100};

/* --- A writer of messages, right and wrong ones ---------------------------------------------- */

struct message {
	uint8_t data[4096];
	size_t n;
};

static void put(struct message *m, const void *data, size_t n)
{
	cr_assert(n <= sizeof(m->data) - m->n);
	memcpy(m->data + m->n, data, n);
	m->n += n;
}

static void put_varint(struct message *m, uint64_t value)
{
	uint8_t byte;

	do {
		byte = (uint8_t)(value & 0x7f) | (value > 0x7f ? 0x80 : 0);
		put(m, &byte, 1);
		value >>= 7;
	} while (value > 0);
}

static void put_bytes(struct message *m, uint32_t field, const void *data, size_t n)
{
	put_varint(m, field << 3 | 2);
	put_varint(m, n);
	put(m, data, n);
}

static void put_message(struct message *m, uint32_t field, const struct message *inner)
{
	put_bytes(m, field, inner->data, inner->n);
}

static void put_text(struct message *m, uint32_t field, const char *text)
{
	put_bytes(m, field, text, strlen(text));
}

static void random_bytes(struct oracle *o, struct message *m, uint32_t field)
{
	uint8_t data[64];
	size_t n = oracle_random(o) % sizeof(data);

	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)oracle_random(o);
	put_bytes(m, field, data, n);
}

static void random_field(struct oracle *o, struct message *m)
{
	uint32_t field = 1 + (uint32_t)(oracle_random(o) % 6);
	uint64_t fixed = oracle_random(o);

	switch (oracle_random(o) % 5) {
	case 0:
		put_varint(m, field << 3);
		put_varint(m, oracle_random(o) >> oracle_random(o) % 64);
		break;
	case 1:
		put_varint(m, (field + 50) << 3 | 1);
		put(m, &fixed, 8);
		break;
	case 2:
		put_varint(m, (field + 5000) << 3 | 5);
		put(m, &fixed, 4);
		break;
	default:
		random_bytes(o, m, field);
		break;
	}
}

static void random_tensor(struct oracle *o, struct message *m)
{
	static const char *const dtypes[] = {"f32", "", "int64"};
	unsigned n = oracle_random(o) % 5;

	m->n = 0;
	for (unsigned i = 0; i < n; i++) {
		switch (oracle_random(o) % 5) {
		case 0:
		case 1:
			random_bytes(o, m, 1);
			break;
		case 2:
			put_bytes(m, 2, "\x01\x40", 2);
			break;
		case 3:
			put_text(m, 3, dtypes[oracle_random(o) % 3]);
			break;
		default:
			put_varint(m, 2 << 3);
			put_varint(m, oracle_random(o) % 1000);
			break;
		}
	}
}

static void random_entry(struct oracle *o, struct message *m)
{
	struct message entry = {.n = 0};

	random_bytes(o, &entry, 1);
	random_bytes(o, &entry, 2);
	put_message(m, 4, &entry);
}

/* Mostly right; sometimes a bit is turned over or the end cut off. */
static void random_request(struct oracle *o, struct message *m)
{
	unsigned n = oracle_random(o) % 8;
	struct message tensor = {.n = 0};

	m->n = 0;
	for (unsigned i = 0; i < n; i++) {
		switch (oracle_random(o) % 6) {
		case 0:
			put_text(m, 1, "identity");
			break;
		case 1:
			random_entry(o, m);
			break;
		case 2:
			put_text(m, 2, "\x0a\x01r");
			break;
		case 3:
			random_tensor(o, &tensor);
			put_message(m, 3, &tensor);
			break;
		case 4:
			put_text(m, 5, "request-1");
			break;
		default:
			random_field(o, m);
			break;
		}
	}
	if (m->n > 0 && oracle_random(o) % 4 == 0)
		m->data[oracle_random(o) % m->n] ^= (uint8_t)(1 << oracle_random(o) % 8);
	if (m->n > 0 && oracle_random(o) % 8 == 0)
		m->n = oracle_random(o) % m->n;
}

Test(scanner, is_what_protobuf_c_makes_of_it)
{
	struct oracle o = {.random = 20250101};
	struct message m;

	for (unsigned i = 0; i < 200000; i++) {
		const char *wrong;

		random_request(&o, &m);
		wrong = oracle_check(
			&table, REQUEST, m.data, m.n, oracle_random(&o), oracle_random(&o) % 2);
		cr_assert(!wrong, "message %u: %s", i, wrong);
		random_tensor(&o, &m);
		wrong = oracle_check(
			&flat, TENSOR, m.data, m.n, oracle_random(&o), oracle_random(&o) % 2);
		cr_assert(!wrong, "tensor %u: %s", i, wrong);
	}
}

/* --- One at a time -------------------------------------------------------------------------- */

struct sink {
	uint8_t data[1024];
	uint64_t lengths[16];
	unsigned n;
	int answer; /* of the callback; 0: memory */
};

static int on_tensor(void *data, uint64_t length, uint8_t **ret_target)
{
	struct sink *k = data;

	if (k->answer)
		return k->answer;
	cr_assert(k->n < 16);
	k->lengths[k->n++] = length;
	*ret_target = k->data;
	return 0;
}

static int scan(struct scanner *s, struct sink *k, const struct scanner_table *t,
	const struct message *m, uint64_t length)
{
	size_t taken;
	const uint8_t *kept;
	size_t n;
	int r;

	memset(k, 0, sizeof(*k));
	scanner_init(s, t, 64, on_tensor, k);
	scanner_begin(s, length);
	r = scanner_feed(s, m->data, m->n, &taken);
	if (r == 0)
		r = scanner_end(s, &kept, &n);
	return r;
}

static struct message request_with(size_t n_data)
{
	struct message tensor = {.n = 0};
	struct message m = {.n = 0};
	uint8_t data[512];

	memset(data, 7, sizeof(data));
	put_text(&tensor, 3, "u8");
	put_bytes(&tensor, 1, data, n_data);
	put_text(&m, 1, "m");
	put_message(&m, 3, &tensor);
	return m;
}

Test(scanner, tensor_bytes_land_where_the_callback_says)
{
	struct message m = request_with(300);
	struct scanner s;
	struct sink k;

	cr_assert_eq(scan(&s, &k, &table, &m, m.n), 0);
	cr_expect_eq(k.n, 1);
	cr_expect_eq(k.lengths[0], 300);
	for (unsigned i = 0; i < 300; i++)
		cr_assert_eq(k.data[i], 7);
	cr_expect_eq(k.data[300], 0);
	cr_expect_eq(s.tensor_bytes, 300);
	cr_expect_eq(s.copied_bytes, 300);
	cr_expect_lt(s.n_kept, 20, "the rest is small");
	scanner_deinit(&s);
}

Test(scanner, stops_at_the_byte_where_memory_is_missing)
{
	struct message m = request_with(100);
	struct sink k = {.answer = SCANNER_E_BLOCKED};
	struct scanner s;
	size_t taken;

	scanner_init(&s, &table, 64, on_tensor, &k);
	scanner_begin(&s, m.n);
	cr_assert_eq(scanner_feed(&s, m.data, m.n, &taken), SCANNER_E_BLOCKED);
	/* The last byte of the length stays with the caller: he always has something to come back
	 * with, be the tensor ever so empty. */
	cr_expect_eq(m.n - taken, 101);
	cr_expect_eq(scanner_feed(&s, m.data + taken, 1, &taken), SCANNER_E_BLOCKED);
	cr_expect_eq(taken, 0);
	k.answer = 0;
	cr_assert_eq(scanner_feed(&s, m.data + m.n - 101, 101, &taken), 0);
	cr_expect_eq(taken, 101);
	cr_expect_eq(k.data[99], 7);
	scanner_deinit(&s);
}

Test(scanner, an_error_of_the_callback_comes_back)
{
	struct message m = request_with(100);
	struct sink k = {.answer = -ECANCELED};
	struct scanner s;
	size_t taken;

	scanner_init(&s, &table, 64, on_tensor, &k);
	scanner_begin(&s, m.n);
	cr_expect_eq(scanner_feed(&s, m.data, m.n, &taken), -ECANCELED);
	cr_expect_lt(taken, m.n);
	scanner_deinit(&s);
}

Test(scanner, the_last_of_several_counts)
{
	struct message tensor = {.n = 0};
	struct message m = {.n = 0};
	struct scanner s;
	struct sink k;

	put_bytes(&tensor, 1, "first", 5);
	put_bytes(&tensor, 1, "2nd", 3);
	put_message(&m, 3, &tensor);
	cr_assert_eq(scan(&s, &k, &table, &m, m.n), 0);
	cr_expect_eq(k.n, 2);
	cr_expect_eq(k.lengths[1], 3);
	cr_expect_arr_eq(k.data, "2nd", 3);
	scanner_deinit(&s);
}

Test(scanner, a_second_tensor_message_is_refused)
{
	struct message m = request_with(3);
	struct scanner s;
	struct sink k;

	put_text(&m, 2, "");
	put_text(&m, 3, "");
	cr_expect_eq(scan(&s, &k, &table, &m, m.n), SCANNER_E_REPEATED);
	scanner_deinit(&s);
}

Test(scanner, repeated_pieces_at_the_top)
{
	struct message m = {.n = 0};
	const uint8_t *kept;
	struct scanner s;
	struct sink k;
	size_t n;

	put_text(&m, 1, "model");
	put_bytes(&m, 7, "abc", 3);
	put_bytes(&m, 7, "", 0);
	put_bytes(&m, 7, "defg", 4);
	cr_assert_eq(scan(&s, &k, &repeated, &m, m.n), 0);
	cr_expect_eq(k.n, 3);
	cr_expect_eq(k.lengths[0], 3);
	cr_expect_eq(k.lengths[1], 0);
	cr_expect_eq(k.lengths[2], 4);
	cr_assert_eq(scanner_end(&s, &kept, &n), 0);
	cr_expect_eq(n, 7);
	cr_expect_arr_eq(kept, "\x0a\x05model", 7);
	scanner_deinit(&s);
}

/* What is to come, as the callback may ask. */
struct left {
	struct scanner s;
	uint64_t bytes[8];
	uint32_t pieces[8];
	size_t n;
};

static int note_left(void *data, uint64_t length, uint8_t **ret_target)
{
	static uint8_t sink[64];
	struct left *l = data;

	l->bytes[l->n] = scanner_left(&l->s);
	l->pieces[l->n] = scanner_pieces_left(&l->s, l->n);
	l->n++;
	*ret_target = sink;
	return 0;
}

static void scan_left(struct left *l, const struct message *m, uint64_t length)
{
	static const struct scanner_table announced = {
		.tensor = 7, .repeated = true, .announcing = 5, .max_pieces = 9, .max_fields = 99};
	size_t taken;

	l->n = 0;
	scanner_init(&l->s, &announced, 1000, note_left, l);
	scanner_begin(&l->s, length);
	cr_assert_eq(scanner_feed(&l->s, m->data, m->n, &taken), 0);
	scanner_deinit(&l->s);
}

Test(scanner, what_is_to_come)
{
	struct message m = {.n = 0};
	struct left l;

	put_bytes(&m, 7, "ab", 2);
	put_text(&m, 5, "one");
	put_text(&m, 5, "two");
	put_bytes(&m, 7, "abc", 3);
	put_bytes(&m, 7, "defg", 4);
	put_bytes(&m, 7, "h", 1);
	scan_left(&l, &m, m.n);
	cr_assert_eq(l.n, 4);
	/* The last byte of a length is taken when there is memory. */
	cr_expect_eq(l.bytes[0], m.n - 1);
	cr_expect_eq(l.bytes[1], 1 + 3 + 6 + 3);
	cr_expect_eq(l.bytes[2], 1 + 4 + 3);
	cr_expect_eq(l.bytes[3], 1 + 1);
	cr_expect_eq(l.pieces[0], 9, "none is announced yet");
	cr_expect_eq(l.pieces[1], 1);
	cr_expect_eq(l.pieces[2], 1);
	scan_left(&l, &m, UINT64_MAX);
	cr_expect_eq(l.bytes[1], UINT64_MAX);
}

/* What it began with, after n bytes. */
static void expect_first_text(const struct message *m, size_t n, const char *expected)
{
	struct left l = {.n = 0};
	size_t taken, length = 0;
	const char *text;

	scanner_init(&l.s, &repeated, 1000, note_left, &l);
	scanner_begin(&l.s, m->n);
	cr_assert_eq(scanner_feed(&l.s, m->data, n, &taken), 0);
	text = scanner_first_text(&l.s, 1, &length);
	cr_expect_eq(!text, !expected, "%zu bytes", n);
	if (text && expected)
		cr_expect(length == strlen(expected) && !memcmp(text, expected, length));
	scanner_deinit(&l.s);
}

Test(scanner, what_a_message_begins_with)
{
	struct message m = {.n = 0}, other = {.n = 0}, long_one = {.n = 0};
	char name[300];

	put_text(&m, 1, "digits");
	put_text(&m, 2, "1");
	for (size_t n = 0; n <= m.n; n++)
		expect_first_text(&m, n, n < 8 ? NULL : "digits");
	put_text(&other, 2, "1");
	put_text(&other, 1, "digits");
	expect_first_text(&other, other.n, NULL);
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	put_text(&long_one, 1, name);
	expect_first_text(&long_one, long_one.n, name);
	expect_first_text(&long_one, 2, NULL);
	expect_first_text(&long_one, long_one.n - 1, NULL);
}

Test(scanner, a_tensor_that_does_not_fit_its_message_costs_nothing)
{
	/* tensor_data of 8 bytes with data of 1 GiB in it. */
	static const uint8_t inner[] = {0x1a, 8, 0x0a, 0x80, 0x80, 0x80, 0x80, 0x04, 0, 0};
	/* data of 4 GiB - 1 at the top. */
	static const uint8_t top[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f};
	struct message m = {.n = 0};
	struct scanner s;
	struct sink k;

	put(&m, inner, sizeof(inner));
	cr_expect_eq(scan(&s, &k, &table, &m, UINT64_MAX), SCANNER_E_MALFORMED);
	cr_expect_eq(k.n, 0);
	scanner_deinit(&s);
	m.n = 0;
	put(&m, top, sizeof(top));
	cr_expect_eq(scan(&s, &k, &flat, &m, m.n), SCANNER_E_MALFORMED);
	cr_expect_eq(k.n, 0);
	scanner_deinit(&s);
}

Test(scanner, cut_short)
{
	struct message whole = request_with(5);
	struct scanner s;
	struct sink k;

	for (size_t n = 0; n < whole.n; n++) {
		struct message m = whole;
		bool border = n == 0 || n == 3; /* an empty message, model_id alone */

		m.n = n;
		cr_expect_eq(scan(&s, &k, &table, &m, UINT64_MAX), border ? 0 : SCANNER_E_MALFORMED,
			"cut at %zu", n);
		scanner_deinit(&s);
	}
}

Test(scanner, malformed)
{
	static const struct {
		const char *what;
		const char *data;
		size_t n;
	} cases[] = {
		{"group", "\x0b", 1},
		{"end of a group", "\x0c", 1},
		{"wire type 6", "\x0e", 1},
		{"wire type 7", "\x0f", 1},
		{"tag of six bytes", "\x88\x80\x80\x80\x80\x01\x01", 7},
		{"length of six bytes", "\x0a\x80\x80\x80\x80\x80\x01", 7},
		{"varint of eleven bytes", "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12},
		{"fixed64 beyond its message", "\x1a\x05\x21\x01\x02\x03\x04", 7},
		{"fixed32 beyond its message", "\x1a\x04\x25\x01\x02\x03", 6},
		{"varint beyond its message", "\x1a\x02\x20\x80\x01", 5},
		{"tag beyond its message", "\x1a\x01\x80\x01\x01", 5},
		{"length beyond its message", "\x1a\x02\x22\x80\x01", 5},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct message m = {.n = 0};
		struct scanner s;
		struct sink k;

		put(&m, cases[i].data, cases[i].n);
		cr_expect_eq(scan(&s, &k, &table, &m, UINT64_MAX), SCANNER_E_MALFORMED, "%s",
			cases[i].what);
		scanner_deinit(&s);
	}
}

Test(scanner, what_is_kept_is_bounded_in_bytes)
{
	static const uint8_t text[62];
	struct message m = {.n = 0};
	struct scanner s;
	struct sink k;

	put_bytes(&m, 1, text, sizeof(text)); /* 64 with its head: just fits */
	cr_expect_eq(scan(&s, &k, &table, &m, m.n), 0);
	scanner_deinit(&s);
	put_varint(&m, 5 << 3);
	put_varint(&m, 1);
	cr_expect_eq(scan(&s, &k, &table, &m, m.n), SCANNER_E_METADATA);
	scanner_deinit(&s);
}

Test(scanner, what_is_kept_is_bounded_in_fields)
{
	static const struct scanner_table three = {.outer = 3, .tensor = 1, .max_fields = 3};
	static const char data[] = "\x1a\x04\x20\x01\x28\x01"; /* one, with two in it */
	struct message m = {.n = 0};
	struct scanner s;
	struct sink k;

	put(&m, data, 6);
	cr_expect_eq(scan(&s, &k, &three, &m, m.n), 0);
	scanner_deinit(&s);
	put_text(&m, 1, "");
	cr_expect_eq(scan(&s, &k, &three, &m, m.n), SCANNER_E_FIELDS);
	scanner_deinit(&s);
}

Test(scanner, is_used_again_after_any_end)
{
	struct message m = request_with(9);
	struct sink k = {.n = 0};
	const uint8_t *kept;
	struct scanner s;
	size_t taken;
	size_t n;

	scanner_init(&s, &table, 64, on_tensor, &k);
	for (size_t cut = 0; cut <= m.n; cut++) {
		scanner_begin(&s, m.n);
		cr_assert_eq(scanner_feed(&s, m.data, cut, &taken), 0);
		scanner_begin(&s, m.n);
		k.n = 0;
		cr_assert_eq(scanner_feed(&s, m.data, m.n, &taken), 0);
		cr_assert_eq(scanner_end(&s, &kept, &n), 0);
		cr_assert_eq(k.n, 1);
	}
	scanner_deinit(&s);
}

static int scan_much(void *arg)
{
	struct message *m = arg;
	struct sink k = {.n = 0};
	struct scanner s;
	size_t taken;
	int r;

	scanner_init(&s, &table, 65536, on_tensor, &k);
	scanner_begin(&s, m->n);
	r = scanner_feed(&s, m->data, m->n, &taken);
	cr_assert(r == 0 || r == -ENOMEM);
	scanner_deinit(&s);
	return r;
}

Test(scanner, without_memory)
{
	struct message m = {.n = 0};
	uint8_t text[1500] = {0};

	put_bytes(&m, 1, text, sizeof(text));
	put_bytes(&m, 5, text, sizeof(text));
	FAULT_LOOP(scan_much, &m);
}

Test(scanner, a_small_message_costs_no_malloc)
{
	struct message m = request_with(100);

	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 0);
	cr_assert_eq(scan_much(&m), 0);
	failalloc_disarm();
	cr_expect_eq(failalloc_count(), 0);
}
