/* message_test.c: a message is packed and sent whole; how a call ends when it cannot be. */
#include "grpc/message.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control.pb-c.h"
#include "proto/health.pb-c.h"
#include "tests/support/failalloc.h"

/* What call.c would do. */
struct call {
	uint8_t *sent; /* own */
	size_t n_sent;
	int send_error;
	unsigned finished;
	enum grpc_status status;
	char text[128];
	size_t work;
};

void call_work(struct call *c, size_t n)
{
	c->work += n;
}

int call_send(struct call *c, const struct part *parts, size_t n)
{
	cr_assert_eq(n, 1);
	cr_assert_null(parts[0].release, "the bytes are copied");
	if (c->send_error)
		return c->send_error;
	c->n_sent = parts[0].n;
	c->sent = malloc(parts[0].n + 1);
	memcpy(c->sent, parts[0].data, parts[0].n);
	return 0;
}

void call_finish(struct call *c, enum grpc_status status, const char *message)
{
	c->finished++;
	c->status = status;
	snprintf(c->text, sizeof(c->text), "%s", message ? message : "");
}

void call_finishf(struct call *c, enum grpc_status status, const char *format, ...)
{
	va_list args;

	c->finished++;
	c->status = status;
	va_start(args, format);
	vsnprintf(c->text, sizeof(c->text), format, args);
	va_end(args);
}

/* A request for a service whose name has n letters. */
static void check_sent(size_t n)
{
	Grpc__Health__V1__HealthCheckRequest m = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	Grpc__Health__V1__HealthCheckRequest *back;
	struct call c = {0};
	char *name = malloc(n + 1);

	memset(name, 'x', n);
	name[n] = 0;
	m.service = name;
	message_answer(&c, &m.base);
	cr_assert_eq(c.finished, 1);
	cr_assert_eq(c.status, GRPC_OK);
	back = grpc__health__v1__health_check_request__unpack(NULL, c.n_sent, c.sent);
	cr_assert(back);
	cr_assert_str_eq(back->service, name);
	grpc__health__v1__health_check_request__free_unpacked(back, NULL);
	free(c.sent);
	free(name);
}

Test(message, small_ones_and_large_ones)
{
	static const size_t lengths[] = {0, 1, 1000, 1020, 1021, 1022, 1023, 100000};

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		check_sent(lengths[i]);
}

Test(message, without_memory)
{
	static char name[5000];
	Grpc__Health__V1__HealthCheckRequest m = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
	struct call c = {0};

	memset(name, 'x', sizeof(name) - 1);
	m.service = name;
	failalloc_arm(FAIL_ALLOCATIONS, FAIL_PERSISTENT, 1);
	cr_expect_eq(message_send(&c, &m.base), -ENOMEM);
	failalloc_disarm();
	cr_expect_eq(c.finished, 0, "who sends says what becomes of the call");
	c.send_error = -ENOMEM;
	message_answer(&c, &m.base);
	cr_expect_eq(c.finished, 1);
	cr_expect_eq(c.status, GRPC_RESOURCE_EXHAUSTED);
}

Test(message, refused_for_what_it_is)
{
	static const struct {
		bool exceeded, out_of_memory;
		enum grpc_status status;
		const char *text;
	} cases[] = {
		{false, false, GRPC_INTERNAL, "malformed Thing"},
		{true, false, GRPC_RESOURCE_EXHAUSTED, "Thing with too many fields"},
		{true, true, GRPC_RESOURCE_EXHAUSTED, "modeld is out of memory"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct message_memory memory;
		struct call c = {0};

		message_memory_init(&memory, 0);
		memory.exceeded = cases[i].exceeded;
		memory.out_of_memory = cases[i].out_of_memory;
		message_refuse(&c, &memory, "Thing");
		message_memory_deinit(&memory);
		cr_expect_eq(c.finished, 1);
		cr_expect_eq(c.status, cases[i].status);
		cr_expect_str_eq(c.text, cases[i].text);
	}
}

Test(message, what_takes_long_to_read_counts_for_more)
{
	struct call c = {0};

	message_work(&c, 1000);
	cr_expect_eq(c.work, 0, "it is one message");
	message_work(&c, 64 * 1024);
	cr_expect_eq(c.work, 64);
}

Test(message, read)
{
	static const uint8_t packed[2048] = {0x0a, 2, 'a', 'b', 0x12, 0xf9, 0x0f};
	const size_t n = 4 + 3 + 2041;
	struct message_memory memory;
	struct call c = {0};
	const Grpc__Health__V1__HealthCheckRequest *m;

	message_memory_init(&memory, MESSAGE_UNPACK_MAX(sizeof(packed)));
	m = message_read(
		&c, &memory, &grpc__health__v1__health_check_request__descriptor, packed, n);
	cr_assert(m, "%s", c.text);
	cr_expect_str_eq(m->service, "ab");
	cr_expect_eq(c.work, 2);
	message_memory_deinit(&memory);
}

/* --- Texts with a NUL in them ----------------------------------------------------------------- */

static bool hides(const char *bytes, size_t n)
{
	return message_hides_text(&modeld__control__v1__server_status_response__descriptor,
		(const uint8_t *)bytes, n);
}

#define HIDES(bytes) hides(bytes, sizeof(bytes) - 1)

Test(message, texts_that_are_cut_by_a_nul)
{
	cr_expect_not(message_hides_text(
		&modeld__control__v1__server_status_response__descriptor, NULL, 0));
	cr_expect_not(HIDES("\x0a\x02"
			    "ab"));
	cr_expect(HIDES("\x0a\x02"
			"a\0"));
	cr_expect(HIDES("\x0a\x01"
			"\0"));
	cr_expect_not(HIDES("\x10\x00"), "a number is no text");
	cr_expect_not(HIDES("\xaa\x3f\x02"
			    "a\0"),
		"a field that nobody knows");
	cr_expect(HIDES("\x2a\x04\x0a\x02"
			"a\0"),
		"in a message inside");
	cr_expect_not(HIDES("\x2a\x04\x0a\x02"
			    "ab"));
	cr_expect_not(HIDES("\x0a\x7f"
			    "a"),
		"a message that is cut is refused elsewhere");
}
