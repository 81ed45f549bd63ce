/* answers_test.c: messages gather in a record. */
#include "workers/answers.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "base/seqpacket.h"
#include "tests/support/failalloc.h"

static struct wire_message pong(uint64_t nonce)
{
	return (struct wire_message){.type = WIRE_PONG, .ping = {.nonce = nonce}};
}

/* How many messages the next record has; 0: there is none. */
static size_t record(int fd)
{
	static uint8_t data[WIRE_MESSAGE_MAX];
	const struct wire_message *m;
	struct wire_scratch *in;
	size_t n, messages = 0;
	int r = seqpacket_recv(fd, data, sizeof(data), &n, NULL, 0, NULL, 1);

	if (r) {
		cr_assert_eq(r, -EAGAIN);
		return 0;
	}
	cr_assert_eq(wire_scratch_new(&in), 0);
	for (size_t at = 0, used; at < n; at += used, messages++)
		cr_assert_eq(wire_unpack(in, data + at, n - at, &used, &m), 0);
	wire_scratch_free(in);
	return messages;
}

Test(answers, gather_until_they_are_flushed)
{
	struct wire_message m = pong(1);
	struct answers *a;
	int fds[2];

	cr_assert_eq(seqpacket_pair(fds), 0);
	cr_assert_eq(answers_new(&a, fds[0]), 0);
	cr_assert_eq(answers_since(a), 0);
	cr_assert_eq(answers_flush(a), 0);
	cr_assert_eq(record(fds[1]), 0);
	for (int i = 0; i < 3; i++)
		cr_assert_eq(answers_add(a, &m, false), 0);
	cr_assert_neq(answers_since(a), 0);
	cr_assert_eq(record(fds[1]), 0);
	cr_assert_eq(answers_flush(a), 0);
	cr_assert_eq(record(fds[1]), 3);
	cr_assert_eq(answers_since(a), 0);
	cr_assert_eq(answers_add(a, &m, false), 0);
	cr_assert_eq(answers_add(a, &m, true), 0);
	cr_assert_eq(record(fds[1]), 2);
	cr_assert_eq(answers_add(a, &m, false), 0);
	cr_assert_eq(answers_send(a, &m, &fds[1], 1), 0);
	cr_assert_eq(record(fds[1]), 1, "what came before leaves before it");
	answers_free(a);
	close_fd(&fds[0]);
	close_fd(&fds[1]);
}

/* A message that does not fit what is there starts a record of its own. */
Test(answers, a_full_record_leaves)
{
	static char text[WIRE_TEXT_MAX + 1];
	struct wire_message m = {.type = WIRE_LOADED, .loaded = {.error = text}};
	struct answers *a;
	size_t n = 0, got;
	int fds[2];

	memset(text, 'x', WIRE_TEXT_MAX);
	cr_assert_eq(seqpacket_pair(fds), 0);
	cr_assert_eq(seqpacket_set_send_buffer(fds[0], WIRE_MESSAGE_MAX), 0);
	cr_assert_eq(answers_new(&a, fds[0]), 0);
	while (!(got = record(fds[1]))) {
		cr_assert_eq(answers_add(a, &m, false), 0);
		n++;
	}
	cr_assert_eq(got, n - 1);
	cr_assert_eq(answers_flush(a), 0);
	cr_assert_eq(record(fds[1]), 1);
	answers_free(a);
	close_fd(&fds[0]);
	close_fd(&fds[1]);
}

static int work(void *arg)
{
	const int *fds = arg;
	_cleanup_(answers_freep) struct answers *a = NULL;
	struct wire_message m = pong(1);
	int r = answers_new(&a, fds[0]);

	if (!r)
		r = answers_add(a, &m, true);
	return r;
}

Test(answers, faults)
{
	int fds[2];

	cr_assert_eq(seqpacket_pair(fds), 0);
	for (int i = 0; i < 3; i++)
		FAULT_LOOP_KINDS(work, fds, FAIL_ALLOCATIONS);
	close_fd(&fds[0]);
	close_fd(&fds[1]);
}
