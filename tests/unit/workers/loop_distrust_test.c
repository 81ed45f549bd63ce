/* loop_distrust_test.c: what the worker does not believe, and what ends it. */
#include "workers/loop.h"

#include <criterion/criterion.h>
#include <unistd.h>

#include "base/seqpacket.h"
#include "fake_daemon_says.h"

/* A message of that type that is well-formed. */
static struct wire_message any_message(enum wire_type type)
{
	static const struct wire_item item;
	static const struct wire_result result;
	struct wire_message m = {.type = type};

	if (type == WIRE_SETUP)
		m.setup = fake_daemon_setup();
	if (type == WIRE_UNMAP || type == WIRE_UNMAPPED)
		m.unmap.id = FAKE_REGION;
	if (type == WIRE_HELLO)
		m.hello = (struct wire_hello){.protocol = WIRE_PROTOCOL, .slots = 1};
	if (type == WIRE_RUN)
		m.run = (struct wire_run){.items = &item, .n_items = 1};
	if (type == WIRE_DONE)
		m.done = (struct wire_done){.results = &result, .n_results = 1};
	return m;
}

static void send_and_expect_exit(struct fake_daemon *d, enum wire_type type)
{
	const struct wire_message m = any_message(type);

	fake_daemon_send(d, &m);
	daemon_expect_exit(d, WORKER_EXIT_INTERNAL);
}

Test(loop_distrust, messages_out_of_turn)
{
	static const enum wire_type early[] = {WIRE_LOAD, WIRE_RUN, WIRE_PING, WIRE_DRAIN,
		WIRE_RELEASE, WIRE_CANCEL, WIRE_CHECK, WIRE_UNLOAD, WIRE_UNMAP, WIRE_READY,
		WIRE_PONG};
	static const enum wire_type ready[] = {WIRE_SETUP, WIRE_READY, WIRE_HELLO, WIRE_UNMAPPED,
		WIRE_UNLOADED, WIRE_BYE, WIRE_DONE};
	struct fake_daemon d;

	for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++) {
		fake_daemon_start(&d);
		send_and_expect_exit(&d, early[i]);
	}
	for (size_t i = 0; i < sizeof(ready) / sizeof(ready[0]); i++) {
		daemon_serve(&d, "identity");
		send_and_expect_exit(&d, ready[i]);
	}
}

/* Whether the first message was answered before the second was read is all the same. */
static void send_both_and_expect_exit(const struct wire_message both[2])
{
	struct fake_daemon d;
	size_t n, n_fds;

	daemon_serve(&d, "identity");
	fake_daemon_send_all(&d, both, 2);
	while (!seqpacket_recv(d.fd, d.record, WIRE_MESSAGE_MAX, &n, NULL, 0, &n_fds, 0))
		;
	cr_assert_eq(fake_daemon_end(&d), WORKER_EXIT_INTERNAL);
}

Test(loop_distrust, a_model_that_is_unloaded_is_not_there)
{
	struct wire_message run = any_message(WIRE_RUN);
	const struct wire_message unload = {.type = WIRE_UNLOAD, .unload = {0}};
	struct wire_message both[2] = {unload, unload};

	send_both_and_expect_exit(both);
	run.run.batch = 1;
	both[1] = run;
	send_both_and_expect_exit(both);
}

Test(loop_distrust, garbage)
{
	struct fake_daemon d;

	fake_daemon_start(&d);
	fake_daemon_send_bytes(&d, "\xff\xff\xff\xff", 4);
	daemon_expect_exit(&d, WORKER_EXIT_INTERNAL);
	daemon_serve(&d, "identity");
	fake_daemon_send_bytes(&d, "not a message", 13);
	daemon_expect_exit(&d, WORKER_EXIT_INTERNAL);
}

Test(loop_distrust, bad_setups)
{
	struct wire_setup setups[5];
	struct fake_daemon d;

	for (size_t i = 0; i < 5; i++)
		setups[i] = fake_daemon_setup();
	setups[0].protocol = WIRE_PROTOCOL + 1;
	setups[1].device = "tpu:0";
	setups[2].device = "cpu";
	setups[3].slots = 0;
	setups[4].holds = 0;
	for (size_t i = 0; i < 5; i++) {
		const struct wire_message m = {.type = WIRE_SETUP, .setup = setups[i]};

		fake_daemon_start(&d);
		fake_daemon_send(&d, &m);
		if (i == 1 || i == 2)
			cr_expect(strstr(
				fake_daemon_receive(&d, WIRE_BYE)->bye.reason, setups[i].device));
		daemon_expect_exit(&d, i < 3 ? WORKER_EXIT_CONFIG : WORKER_EXIT_INTERNAL);
	}
}

Test(loop_distrust, numbers_that_are_not_free_or_not_there)
{
	const struct wire_message unload = {.type = WIRE_UNLOAD, .unload = {1}};
	struct wire_message load = {
		.type = WIRE_LOAD,
		.load = {.model = 0,
			.name = "identity",
			.version = "1",
			.path = "/",
			.backend = "builtin"},
	};
	const struct wire_item none = {0};
	struct fake_daemon d;

	daemon_serve(&d, "identity");
	fake_daemon_send(&d, &load);
	daemon_expect_exit(&d, WORKER_EXIT_INTERNAL);
	/* Numbers only grow, but however large they are, they take no room. */
	daemon_serve(&d, "identity");
	load.load.model = UINT32_MAX;
	fake_daemon_send(&d, &load);
	cr_assert(fake_daemon_receive(&d, WIRE_LOADED)->loaded.ok);
	fake_daemon_send(&d, &unload);
	daemon_expect_exit(&d, WORKER_EXIT_INTERNAL);
	daemon_serve(&d, "identity");
	daemon_run_items(&d, 1, 1, &none, 1);
	daemon_expect_exit(&d, WORKER_EXIT_INTERNAL);
}

Test(loop_distrust, holds_that_are_not_there)
{
	struct fake_daemon d;
	struct span s;
	uint64_t hold;

	daemon_serve(&d, "identity");
	s = fake_daemon_put(&d, "x", 1);
	daemon_run_bytes(&d, 1, s);
	hold = daemon_expect_done(&d, 1)->results[0].hold;
	daemon_release(&d, hold);
	daemon_release(&d, hold);
	daemon_expect_exit(&d, WORKER_EXIT_INTERNAL);
	daemon_serve(&d, "identity");
	daemon_release(&d, 0);
	daemon_expect_exit(&d, WORKER_EXIT_INTERNAL);
}

Test(loop_distrust, batch_number_in_use)
{
	struct fake_daemon d;
	struct span s;

	daemon_serve(&d, "identity");
	s = fake_daemon_put(&d, "x", 1);
	daemon_run_bytes(&d, 5, s);
	daemon_expect_done(&d, 5);
	daemon_run_bytes(&d, 5, s);
	daemon_expect_exit(&d, WORKER_EXIT_INTERNAL);
}

Test(loop_distrust, descriptors_where_none_belong)
{
	const struct wire_message pinging = {.type = WIRE_PING};
	const struct wire_message mapping = {
		.type = WIRE_MAP, .map = {.id = FAKE_REGION, .size = 4096}};
	struct fake_daemon d;
	int two[] = {0, 0};
	void *data;
	int fd = fake_region(4096, &data);

	daemon_serve(&d, "identity");
	fake_daemon_send_fds(&d, &pinging, &fd, 1);
	daemon_expect_exit(&d, WORKER_EXIT_INTERNAL);
	daemon_serve(&d, "identity");
	fake_daemon_send(&d, &mapping);
	daemon_expect_exit(&d, WORKER_EXIT_INTERNAL);
	daemon_serve(&d, "identity");
	fake_daemon_send_fds(&d, &mapping, two, 2);
	daemon_expect_exit(&d, WORKER_EXIT_INTERNAL);
	daemon_serve(&d, "identity");
	daemon_map(&d, fd, 4096);
	daemon_map(&d, fd, 4096);
	daemon_expect_exit(&d, WORKER_EXIT_INTERNAL);
	close(fd);
}
