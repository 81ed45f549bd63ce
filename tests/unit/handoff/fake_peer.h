/* fake_peer.h: a handoff on a fake dispatch, and clients of it, for tests. */
#ifndef TESTS_UNIT_HANDOFF_FAKE_PEER_H
#define TESTS_UNIT_HANDOFF_FAKE_PEER_H

#include "fake_dispatch.h"
#include "handoff/handoff.h"
#include "proto/handoff.h"
#include "proto/handoff.pb-c.h"

#define SEALED (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

typedef Modeld__Handoff__Envelope Envelope;

struct bench {
	uv_loop_t loop;
	struct handoff_settings settings;
	struct handoff *h;
	char directory[64];
	char path[96];
	unsigned drained;
};

/* A memfd of `size` bytes with these seals, of these kinds. */
int fake_memfd(uint64_t size, int seals, unsigned flags);

/* What libuv opens once and keeps is there from here on, so that descriptors can be counted; of the log there are errors alone. */
void bench_warm_up(void);
/* Settings, loop, directory; settings may be changed before bench_open(). */
void bench_init(struct bench *b);
/* handoff_new() and handoff_listen(). -errno */
int bench_open(struct bench *b);
/* Drain, or kill, and free; everything must be given back. */
void bench_close(struct bench *b, bool kill);
/* One turn of the loop that does not wait, as server.c has it. */
void bench_turn(struct bench *b);

/* An Infer of model "m", whose input is four bytes at the start of region 1: to be completed, and sent. Points into itself. */
struct bench_infer {
	int64_t dims[1];
	Modeld__Handoff__Tensor input, *inputs[1];
	Modeld__Handoff__Infer m;
	Envelope e;
};
void bench_infer_init(struct bench_infer *i);

/* A connected client. -1: refused, or no descriptor */
int bench_connect(struct bench *b);
/* Send one record with descriptors; false: the connection has ended. */
bool bench_send(int fd, const Envelope *e, const int *fds, size_t n_fds);
/* A Cancel of the Infer with that seq. */
bool bench_send_cancel(int fd, uint64_t seq, uint64_t of);
/* Turn until there is an answer. NULL: the connection has ended. *ret_fd: own, -1: none came. Free with
 * modeld__handoff__envelope__free_unpacked(). */
Envelope *bench_receive(struct bench *b, int fd, int *ret_fd);
/* The answer, which is freed, is an Error of this code, whose text has `why` in it. */
void bench_expect_error(Envelope *answer, enum grpc_status code, const char *why);

#endif
