/*
 * handoff_fuzz.c: records of a hostile client, through a real socket into guest, regions and requests, on
 * the unit tests' fake dispatch. The input is a list of records: a length byte pair, then the record; the
 * top bit of the length sends a sealed memfd along, the next has a request answered after it: one that takes answers in
 * part is given one, and every other time its last as well.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/seqpacket.h"
#include "handoff/guest.h"
#include "handoff/handoff_private.h"
#include "proto/handoff.h"
#include "tests/unit/handoff/fake_dispatch.c"

static const struct handoff_settings handoff_settings = {
	.max_connections = 4,
	.shm_total_bytes = 1 << 20,
	.user_bytes = 1 << 20,
	.user_device_bytes = 1 << 20,
	.user_regions = 4,
	.max_regions = 100,
	.max_requests = 4,
	.max_output_bytes = 1 << 20,
	.max_unread_answers = 4,
};

static bool drained;

static void on_drained(void *data)
{
	drained = true;
}

static int sealed(void)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert(fd >= 0 && !ftruncate(fd, 4096));
	assert(!fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
	return fd;
}

static void turn(uv_loop_t *loop, struct handoff *h)
{
	uv_run(loop, UV_RUN_NOWAIT);
	handoff_flush(h);
}

static void swallow(int fd)
{
	uint8_t record[HANDOFF_MESSAGE_MAX];
	size_t n, n_fds = 0;
	int got = -1;

	while (!seqpacket_recv(fd, record, sizeof(record), &n, &got, 1, &n_fds, 1)) {
		assert(n <= sizeof(record));
		close_fd(&got);
	}
}

static void answer_first(size_t n)
{
	struct request *r = fake_first_request();
	size_t n_outputs = 1 + (n & 1);
	uint64_t length = (n << (n & 7)) & 0x1ffff;

	if (r->partial) {
		fake_run(r);
		fake_part(r, n_outputs, length, 1);
		if (n & 2)
			return;
	}
	fake_answer(r, GRPC_OK, n_outputs, length);
}

/* Each record in turn; answers are read. */
static void talk(uv_loop_t *loop, struct handoff *h, int fd, const uint8_t *data, size_t size)
{
	while (size >= 2) {
		size_t n = (size_t)(data[0] & 0x3f) << 8 | data[1];
		bool answer = data[0] & 0x40;
		int memory = data[0] & 0x80 ? sealed() : -1;

		data += 2;
		size -= 2;
		n = n < size ? n : size;
		if (n > 0 && seqpacket_send(fd, data, n, &memory, memory >= 0, 1))
			n = size;
		close_fd(&memory);
		data += n;
		size -= n;
		turn(loop, h);
		if (answer && fake_first_request())
			answer_first(n);
		fake_end_tries(answer ? 0 : -EINVAL, "there is none");
		fake_regions_gone();
		turn(loop, h);
		swallow(fd);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct handoff_events events = {.on_drained = on_drained};
	struct handoff *h;
	uv_loop_t loop;
	int pair[2];

	log_init(NULL, LOG_LEVEL_ERROR);
	drained = false;
	fake_init();
	assert(!uv_loop_init(&loop));
	assert(!handoff_new(&h, &loop, &handoff_settings, &fake, &events, NULL));
	assert(!seqpacket_pair(pair));
	if (!guest_open(h, pair[0], false))
		talk(&loop, h, pair[1], data, size);
	else
		close(pair[0]);
	close(pair[1]);
	handoff_kill(h);
	while (!drained) {
		while (fake_first_request())
			fake_answer(fake_first_request(), GRPC_OK, 1, 4);
		fake_regions_gone();
		turn(&loop, h);
	}
	handoff_free(h);
	assert(fake.n_requests == 0 && fake.n_regions == 0 && fake.n_clients == 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert(!uv_loop_close(&loop));
	return 0;
}
