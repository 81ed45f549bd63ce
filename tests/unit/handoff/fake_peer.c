/* fake_peer.c: clients of the handoff. */
#include "fake_peer.h"

#include <assert.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/log.h"
#include "base/seqpacket.h"

static uint8_t record[HANDOFF_MESSAGE_MAX];

int fake_memfd(uint64_t size, int seals, unsigned flags)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)size) || (seals && fcntl(fd, F_ADD_SEALS, seals) < 0))
		close_fd(&fd);
	return fd;
}

static void on_drained(void *data)
{
	((struct bench *)data)->drained++;
}

void bench_warm_up(void)
{
	uv_loop_t first;

	log_init(NULL, LOG_LEVEL_ERROR);
	assert(!uv_loop_init(&first));
	assert(!uv_loop_close(&first));
}

void bench_init(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	fake_init();
	assert(!uv_loop_init(&b->loop));
	snprintf(b->directory, sizeof(b->directory), "/tmp/modeld-handoff-XXXXXX");
	assert(mkdtemp(b->directory));
	snprintf(b->path, sizeof(b->path), "%s/h", b->directory);
	b->settings = (struct handoff_settings){
		.socket = b->path,
		.unix_mode = 0600,
		.max_connections = 8,
		.shm_total_bytes = 1 << 20,
		.user_bytes = 1 << 20,
		.user_device_bytes = 1 << 20,
		.user_regions = 4,
		.max_regions = 100,
		.max_requests = 3,
		.max_output_bytes = 1 << 20,
		.max_unread_answers = 4,
		.busy_poll_us = 7,
	};
}

int bench_open(struct bench *b)
{
	static const struct handoff_events events = {.on_drained = on_drained};
	char text[256];
	int r = handoff_new(&b->h, &b->loop, &b->settings, &fake, &events, b);

	return r ? r : handoff_listen(b->h, text, sizeof(text));
}

void bench_turn(struct bench *b)
{
	uv_run(&b->loop, UV_RUN_NOWAIT);
	handoff_flush(b->h);
}

void bench_close(struct bench *b, bool kill)
{
	if (b->h) {
		if (kill)
			handoff_kill(b->h);
		else
			handoff_drain(b->h);
		while (b->drained == 0) {
			bench_turn(b);
			fake_regions_gone();
			while (kill && fake_first_request())
				fake_answer(fake_first_request(), GRPC_OK, 1, 4);
		}
		assert(b->drained == 1);
		/* Disposals, which end on threads of their own, count as connections. */
		while (handoff_counters(b->h).connections > 0) {
			sched_yield();
			handoff_flush(b->h);
		}
		handoff_free(b->h);
	}
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert(!uv_loop_close(&b->loop));
	assert(fake.n_requests == 0 && fake.n_regions == 0 && fake.n_clients == 0);
	assert(fake.n_leased == 0);
	assert(access(b->path, F_OK));
	assert(!rmdir(b->directory));
}

void bench_infer_init(struct bench_infer *i)
{
	*i = (struct bench_infer){
		.dims = {4},
		.input = MODELD__HANDOFF__TENSOR__INIT,
		.m = MODELD__HANDOFF__INFER__INIT,
		.e = MODELD__HANDOFF__ENVELOPE__INIT,
	};
	i->input.dtype = DTYPE_U8;
	i->input.region = 1;
	i->input.length = 4;
	i->input.dims = i->dims;
	i->input.n_dims = 1;
	i->inputs[0] = &i->input;
	i->m.model = (char *)"m";
	i->m.inputs = i->inputs;
	i->m.n_inputs = 1;
	i->e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_INFER;
	i->e.infer = &i->m;
}

int bench_connect(struct bench *b)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	memcpy(un.sun_path, b->path, strlen(b->path));
	if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof(un))) {
		close_fd(&fd);
		return -1;
	}
	bench_turn(b);
	return fd;
}

bool bench_send(int fd, const Envelope *e, const int *fds, size_t n_fds)
{
	size_t n = modeld__handoff__envelope__get_packed_size(e);

	assert(n <= sizeof(record));
	modeld__handoff__envelope__pack(e, record);
	return seqpacket_send(fd, record, n, fds, n_fds, 1) == 0;
}

bool bench_send_cancel(int fd, uint64_t seq, uint64_t of)
{
	Modeld__Handoff__Cancel m = MODELD__HANDOFF__CANCEL__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;

	m.of = of;
	e.seq = seq;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_CANCEL;
	e.cancel = &m;
	return bench_send(fd, &e, NULL, 0);
}

Envelope *bench_receive(struct bench *b, int fd, int *ret_fd)
{
	size_t n_fds = 0;
	size_t n;
	int r;

	*ret_fd = -1;
	do {
		bench_turn(b);
		r = seqpacket_recv(fd, record, sizeof(record), &n, ret_fd, 1, &n_fds, 1);
	} while (r == -EAGAIN);
	return r ? NULL : modeld__handoff__envelope__unpack(NULL, n, record);
}

void bench_expect_error(Envelope *answer, enum grpc_status code, const char *why)
{
	cr_assert(answer, "the connection has ended");
	cr_assert_eq(answer->body_case, MODELD__HANDOFF__ENVELOPE__BODY_ERROR);
	cr_expect_eq(answer->error->code, code, "got %u: %s", answer->error->code,
		answer->error->message);
	cr_expect(strstr(answer->error->message, why), "got: %s", answer->error->message);
	modeld__handoff__envelope__free_unpacked(answer, NULL);
}
