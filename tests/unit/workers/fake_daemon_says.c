/* fake_daemon_says.c: see fake_daemon_says.h. */
#include "fake_daemon_says.h"

#include <criterion/criterion.h>

void daemon_ping(struct fake_daemon *d, uint64_t nonce)
{
	const struct wire_message m = {.type = WIRE_PING, .ping = {nonce}};

	fake_daemon_send(d, &m);
}

void daemon_expect_pong(struct fake_daemon *d, uint64_t nonce)
{
	cr_assert_eq(fake_daemon_receive(d, WIRE_PONG)->ping.nonce, nonce);
}

void daemon_start(struct fake_daemon *d)
{
	struct wire_setup setup = fake_daemon_setup();

	fake_daemon_start(d);
	fake_daemon_greet(d, &setup);
}

void daemon_serve(struct fake_daemon *d, const char *function)
{
	daemon_start(d);
	fake_daemon_load(d, 0, function);
}

void daemon_release(struct fake_daemon *d, uint64_t hold)
{
	const struct wire_message m = {
		.type = WIRE_RELEASE, .release = {.holds = &hold, .n_holds = 1}};

	fake_daemon_send(d, &m);
}

void daemon_run_items(struct fake_daemon *d, uint64_t batch, uint32_t model,
	const struct wire_item *items, size_t n)
{
	const struct wire_message m = {.type = WIRE_RUN, .run = {batch, model, items, n, 0}};

	fake_daemon_send(d, &m);
}

void daemon_run_bytes(struct fake_daemon *d, uint64_t batch, struct span span)
{
	int64_t dims[] = {(int64_t)span.length};
	const struct wire_tensor input = {0, DTYPE_U8, 1, dims, span};
	const struct wire_item item = {.inputs = &input, .n_inputs = 1};

	daemon_run_items(d, batch, 0, &item, 1);
}

const struct wire_done *daemon_expect_done(struct fake_daemon *d, uint64_t batch)
{
	const struct wire_done *done = &fake_daemon_receive(d, WIRE_DONE)->done;

	cr_assert_eq(done->batch, batch);
	return done;
}

void daemon_drain(struct fake_daemon *d)
{
	const struct wire_message m = {.type = WIRE_DRAIN};

	fake_daemon_send(d, &m);
	cr_assert_str_eq(fake_daemon_receive(d, WIRE_BYE)->bye.reason, "drained");
	fake_daemon_expect_end(d);
	cr_assert_eq(fake_daemon_end(d), WORKER_EXIT_OK);
}

void daemon_map(struct fake_daemon *d, int fd, uint64_t size)
{
	const struct wire_message m = {
		.type = WIRE_MAP, .map = {.id = FAKE_REGION, .size = size, .writable = true}};

	fake_daemon_send_fds(d, &m, &fd, 1);
}

void daemon_unmap(struct fake_daemon *d)
{
	const struct wire_message m = {.type = WIRE_UNMAP, .unmap = {FAKE_REGION}};

	fake_daemon_send(d, &m);
	cr_assert_eq(fake_daemon_receive(d, WIRE_UNMAPPED)->unmap.id, FAKE_REGION);
}

void daemon_expect_exit(struct fake_daemon *d, enum worker_exit status)
{
	fake_daemon_expect_end(d);
	cr_assert_eq(fake_daemon_end(d), (int)status);
}
