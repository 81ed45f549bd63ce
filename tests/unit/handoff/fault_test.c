/* The handoff with failing memory and system calls: a client may lose its connection, nobody anything. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "fake_peer.h"
#include "tests/support/failalloc.h"

#define PAGE 4096u

static struct bench b;

/* Turn a bounded number of times; true: an answer came. */
static bool answered(int fd)
{
	int got = -1;
	Envelope *e = bench_receive(&b, fd, &got);

	close_fd(&got);
	if (!e)
		return false;
	modeld__handoff__envelope__free_unpacked(e, NULL);
	return true;
}

static bool limits(int fd)
{
	Modeld__Handoff__GetLimits m = MODELD__HANDOFF__GET_LIMITS__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;

	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_GET_LIMITS;
	e.get_limits = &m;
	return bench_send(fd, &e, NULL, 0) && answered(fd);
}

static bool enroll(int fd, int memory)
{
	Modeld__Handoff__Register m = MODELD__HANDOFF__REGISTER__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;

	m.size = PAGE;
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_REGISTER;
	e.register_ = &m;
	return bench_send(fd, &e, &memory, 1) && answered(fd);
}

/* On a GPU: a worker is asked, and has it. */
static bool enroll_device(int fd, int memory)
{
	Modeld__Handoff__Register m = MODELD__HANDOFF__REGISTER__INIT;
	Envelope e = MODELD__HANDOFF__ENVELOPE__INIT;

	m.size = PAGE;
	m.device = (char *)"0";
	e.body_case = MODELD__HANDOFF__ENVELOPE__BODY_REGISTER;
	e.register_ = &m;
	if (!bench_send(fd, &e, &memory, 1))
		return false;
	bench_turn(&b);
	fake_end_tries(0, "");
	return answered(fd);
}

static bool infer(int fd)
{
	struct bench_infer i;

	bench_infer_init(&i);
	if (!bench_send(fd, &i.e, NULL, 0))
		return false;
	bench_turn(&b);
	if (fake_first_request())
		fake_answer(fake_first_request(), GRPC_OK, 1, 4);
	return answered(fd);
}

static int converse(void *arg)
{
	_cleanup_(close_fd) int memory = -1;
	_cleanup_(close_fd) int fd = -1;
	bool ok = false;

	bench_init(&b);
	if (bench_open(&b) == 0) {
		memory = fake_memfd(PAGE, SEALED, 0);
		fd = bench_connect(&b);
		ok = memory >= 0 && fd >= 0 && limits(fd) && enroll(fd, memory) &&
		     enroll_device(fd, memory) && infer(fd);
	}
	close_fd(&fd);
	bench_close(&b, true);
	return ok ? 0 : -1;
}

Test(handoff, faults)
{
	log_init(NULL, LOG_LEVEL_ERROR);
	FAULT_LOOP(converse, NULL);
}
