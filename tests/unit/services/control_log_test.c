/* control_log_test.c: GetLog: who may, what there is, and how much at once. */
#include "services/control_log.h"

#include <criterion/criterion.h>
#include <errno.h>

#include "base/log_ring.h"
#include "proto/control.pb-c.h"
#include "service_fixture.h"
#include "services/control_service.h"
#include "tests/support/failalloc.h"

typedef Modeld__Control__V1__LogResponse Response;

static struct fixture f;
static struct call call;
static struct log_ring *ring;

static void set_up(void)
{
	fixture_init(&f);
	memset(&call, 0, sizeof(call));
	call.closed = true;
	cr_assert_eq(log_ring_new(&ring, 1 << 20), 0);
	f.services.log = ring;
}

static void tear_down(void)
{
	double_call_free(&call);
	log_ring_free(ring);
	fixture_deinit(&f);
}

TestSuite(control_log, .init = set_up, .fini = tear_down);

static void open_call(struct call *c)
{
	double_call_open(c, fixture_method(&control_service, "GetLog"), &f.services, &f.client);
	c->peer.uid = 0;
}

static void ask(uint64_t after)
{
	Modeld__Control__V1__LogRequest q = MODELD__CONTROL__V1__LOG_REQUEST__INIT;
	uint8_t packed[32];

	q.after = after;
	double_call_free(&call);
	open_call(&call);
	double_call_message(&call, packed, modeld__control__v1__log_request__pack(&q, packed));
	cr_assert(call.closed);
}

static Response *answer(void)
{
	Response *m;

	cr_assert_eq(call.status, GRPC_OK, "%s", call.text);
	m = modeld__control__v1__log_response__unpack(NULL, call.n_sent[0], call.sent[0]);
	cr_assert(m);
	return m;
}

static void add(const char *text)
{
	log_ring_add(ring, LOG_LEVEL_WARNING, 5, text, strlen(text));
}

Test(control_log, lines_behind_the_last_that_was_seen)
{
	Response *m;

	add("one");
	add("two \xff");
	ask(0);
	m = answer();
	cr_assert_eq(m->n_lines, 2);
	cr_assert_eq(m->last, 2);
	cr_assert_eq(m->lines[1]->number, 2);
	cr_assert_eq(m->lines[1]->time_unix_ns, 5);
	cr_assert_str_eq(m->lines[1]->level, "warning");
	cr_assert_str_eq(m->lines[1]->text, "two ?", "what is no UTF-8 is none of protobuf's");
	modeld__control__v1__log_response__free_unpacked(m, NULL);
	ask(2);
	m = answer();
	cr_assert_eq(m->n_lines, 0);
	cr_assert_eq(m->last, 2);
	modeld__control__v1__log_response__free_unpacked(m, NULL);
}

Test(control_log, a_part_at_a_time)
{
	static char text[1000];
	Response *m;
	uint64_t seen = 0;
	unsigned answers = 0;

	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < 700; i++)
		add(text);
	for (bool more = true; more; answers++) {
		ask(seen);
		m = answer();
		more = m->n_lines > 0;
		cr_assert(!more || m->lines[0]->number == seen + 1);
		seen += m->n_lines;
		modeld__control__v1__log_response__free_unpacked(m, NULL);
	}
	cr_assert_eq(seen, 700);
	cr_assert_eq(answers, 4, "at most 256 KiB each");
}

Test(control_log, not_for_everybody_and_not_always)
{
	open_call(&call);
	call.peer.uid = -1;
	double_call_message(&call, NULL, 0);
	cr_expect_eq(call.status, GRPC_PERMISSION_DENIED);
	f.services.log = NULL;
	ask(0);
	cr_expect_eq(call.status, GRPC_UNIMPLEMENTED);
	cr_expect(strstr(call.text, "log_keep_bytes"));
	f.services.log = ring;
	double_call_free(&call);
	open_call(&call);
	double_call_message(&call, (const uint8_t *)"\xff\xff", 2);
	cr_expect_eq(call.status, GRPC_INTERNAL);
}

static int ask_once(void *arg)
{
	struct call c;
	int r;

	(void)arg;
	open_call(&c);
	double_call_message(&c, NULL, 0);
	cr_assert(c.closed);
	r = c.status == GRPC_OK ? 0 : -ENOMEM;
	double_call_free(&c);
	return r;
}

Test(control_log, without_memory)
{
	static char text[4000];

	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < 4; i++)
		add(text);
	FAULT_LOOP(ask_once, NULL);
}
