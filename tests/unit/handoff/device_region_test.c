/* device_region_test.c: memory on a GPU that a client registers, over a real socket, on a fake dispatch. */
#include "handoff/device_region.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/seqpacket.h"
#include "fake_peer.h"
#include "proto/grpc_status.h"
#include "tests/support/failalloc.h"

#define BYTES 4096u

static struct bench b;
static unsigned fds_before;
static int peer; /* the client's connection */
static uint64_t seq;

static void set_up(void)
{
	bench_warm_up();
	fds_before = failalloc_open_fds();
	bench_init(&b);
	cr_assert_eq(bench_open(&b), 0);
	peer = bench_connect(&b);
	cr_assert_geq(peer, 0);
}

static void tear_down(void)
{
	close_fd(&peer);
	bench_close(&b, true);
	cr_expect_eq(failalloc_settled_fds(fds_before), fds_before);
}

TestSuite(device_region, .init = set_up, .fini = tear_down);

/* fd: own. */
static void send_descriptor(int fd, const char *device, uint64_t size, bool read_only)
{
	Modeld__Handoff__Register m = MODELD__HANDOFF__REGISTER__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;

	m.size = size;
	m.read_only = read_only;
	m.device = (char *)device;
	e.seq = ++seq;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_REGISTER;
	e.register_ = &m;
	cr_assert(bench_send(peer, &e, &fd, 1));
	close(fd);
	bench_turn(&b);
}

static void send_register(const char *device, uint64_t size, bool read_only)
{
	send_descriptor(open("/dev/null", O_RDWR | O_CLOEXEC), device, size, read_only);
}

static Envelope *answer(void)
{
	int fd;
	Envelope *e = bench_receive(&b, peer, &fd);

	cr_assert(e, "the connection has ended");
	cr_assert_eq(e->seq, seq);
	cr_assert_eq(fd, -1);
	return e;
}

static void expect_error(enum grpc_status code, const char *text)
{
	Envelope *e = answer();

	cr_assert_eq(e->body_case, MODELD__HANDOFF__ENVELOPE__BODY_ERROR);
	cr_expect_eq(e->error->code, code, "got %u", e->error->code);
	cr_expect_str_eq(e->error->message, text);
	modeld__handoff__envelope__free_unpacked(e, NULL);
}

static void expect_registered(uint64_t size)
{
	Envelope *e = answer();

	cr_assert_eq(e->body_case, MODELD__HANDOFF__ENVELOPE__BODY_REGISTERED, "got: %s",
		e->error->message);
	cr_expect_eq(e->registered->size, size);
	modeld__handoff__envelope__free_unpacked(e, NULL);
}

static struct region *the_region(void)
{
	return list_entry(fake.regions.next, struct region, node);
}

Test(device_region, is_answered_when_a_worker_has_it)
{
	send_register("GPU-1", BYTES, false);
	cr_assert_eq(fake.n_regions, 1);
	cr_expect_str_eq(the_region()->device, "cuda:0");
	cr_expect(the_region()->writable);
	cr_expect_eq(the_region()->size, BYTES);
	fake_end_tries(0, "");
	expect_registered(BYTES);
	send_register("0", 2 * BYTES, true);
	cr_expect_not(
		list_entry(fake.regions.prev, struct region, node)->writable, "for inputs alone");
	fake_end_tries(0, "");
	expect_registered(2 * BYTES);
}

Test(device_region, what_a_worker_refuses_is_the_clients_to_hear)
{
	send_register("0", BYTES, false);
	fake_end_tries(-EINVAL, "it is smaller than that");
	expect_error(GRPC_INVALID_ARGUMENT,
		"memory of 4096 bytes on cuda:0 cannot be had: it is smaller than that");
	cr_expect_eq(the_region()->refs, 0);
	fake_regions_gone();
	/* What it was charged for is there again. */
	send_register("0", 1 << 20, false);
	fake_end_tries(0, "");
	expect_registered(1 << 20);
}

Test(device_region, a_worker_that_ends_says_nothing_of_it)
{
	send_register("0", BYTES, false);
	fake_end_tries(-ENODEV, "its worker has ended");
	expect_error(GRPC_UNAVAILABLE,
		"memory of 4096 bytes on cuda:0 cannot be had: its worker has ended");
	cr_expect_eq(the_region()->refs, 0);
}

Test(device_region, what_it_is_refused_for_at_once)
{
	send_register("7", BYTES, false);
	expect_error(GRPC_INVALID_ARGUMENT, "no worker is on GPU '7'");
	send_register("0", 0, false);
	expect_error(GRPC_INVALID_ARGUMENT, "a region cannot have 0 bytes");
	send_register("0", (1 << 20) + 1, false);
	expect_error(GRPC_RESOURCE_EXHAUSTED,
		"a region of 1048577 bytes on a GPU besides the 0 that the user has there exceeds "
		"[handoff] user_device_bytes, 1048576");
	fake.no_worker = true;
	send_register("0", BYTES, false);
	expect_error(GRPC_UNAVAILABLE, "no worker on cuda:0 is there that takes memory of clients");
	fake_regions_gone();
	cr_expect_eq(fake.n_regions, 0);
}

/* No worker is given it: closing it there may wait for whoever has made it. */
Test(device_region, a_descriptor_that_no_driver_exports)
{
	int fds[] = {open("/", O_RDONLY | O_CLOEXEC), open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
		open("/proc/self/exe", O_PATH | O_CLOEXEC), -1, -1, -1, -1};

	cr_assert_eq(pipe2(fds + 3, O_CLOEXEC), 0);
	cr_assert_eq(seqpacket_pair(fds + 5), 0);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		send_descriptor(fds[i], "0", BYTES, false);
		expect_error(GRPC_INVALID_ARGUMENT,
			"the descriptor is none that memory of a GPU was exported to");
		cr_expect_eq(fake.n_regions, 0);
	}
	send_descriptor(fake_memfd(BYTES, 0, 0), "0", BYTES, false);
	fake_end_tries(0, "");
	expect_registered(BYTES);
}

Test(device_region, off_by_default)
{
	b.settings.user_device_bytes = 0;
	send_register("0", 1, false);
	expect_error(GRPC_RESOURCE_EXHAUSTED,
		"a region of 1 bytes on a GPU besides the 0 that the user has there exceeds "
		"[handoff] user_device_bytes, 0");
}

/* It is charged until a worker is done with it, whatever has become of its client. */
Test(device_region, a_client_that_goes_meanwhile)
{
	send_register("0", 1 << 20, false);
	close_fd(&peer);
	bench_turn(&b);
	bench_turn(&b);
	cr_expect_eq(the_region()->refs, 0);
	peer = bench_connect(&b);
	send_register("0", 1, false);
	expect_error(GRPC_RESOURCE_EXHAUSTED,
		"a region of 1 bytes on a GPU besides the 1048576 that the user has there exceeds "
		"[handoff] user_device_bytes, 1048576");
	fake_regions_gone();
	send_register("0", 1, false);
	fake_end_tries(0, "");
	expect_registered(1);
}

Test(device_region, a_client_that_is_to_leave_is_answered)
{
	send_register("0", BYTES, false);
	handoff_drain(b.h);
	for (int i = 0; i < 5; i++)
		bench_turn(&b);
	fake_end_tries(0, "");
	expect_registered(BYTES);
}

/* A request that names it by the number that it will have keeps it when its client has gone. */
Test(device_region, tried_without_a_client)
{
	struct region *r;

	send_register("0", BYTES, false);
	r = region_ref(the_region());
	close_fd(&peer);
	bench_turn(&b);
	bench_turn(&b);
	fake_end_tries(-EINVAL, "too late");
	region_unref(r);
	peer = bench_connect(&b);
}
