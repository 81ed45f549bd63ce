/* loop_fault_test.c: whatever fails, the worker answers or ends. */
#include "workers/loop.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "base/seqpacket.h"
#include "fake_daemon_says.h"
#include "tests/support/failalloc.h"

/* The daemon's part is played by calls that do not count, so that only what the worker does can fail:
 * its words are packed beforehand; the second half is said when the worker is ready. */
struct script {
	struct fake_daemon d; /* thread not used */
	int fds[2];
	uint8_t words[3][4096];
	size_t n_words[3];
};

/* With the input segment. */
static void say_map(struct script *s, int part)
{
	int fd = segment_fd(s->d.input);
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr aligned;
	} control = {{0}};
	struct iovec words = {s->words[part], s->n_words[part]};
	struct msghdr m = {.msg_iov = &words,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (syscall(SYS_sendmsg, s->fds[0], &m, MSG_NOSIGNAL) < 0)
		cr_assert(errno == EPIPE || errno == ECONNRESET);
}

static void say(struct script *s, int part)
{
	/* The worker may be gone. */
	if (syscall(SYS_write, s->fds[0], s->words[part], s->n_words[part]) < 0)
		cr_assert(errno == EPIPE || errno == ECONNRESET);
}

static bool says_loaded(struct script *s, size_t n)
{
	const struct wire_message *m;
	bool loaded = false;

	for (size_t at = 0, used; at < n; at += used) {
		cr_assert_eq(wire_unpack(s->d.in, s->d.record + at, n - at, &used, &m), 0);
		loaded |= m->type == WIRE_LOADED;
	}
	return loaded;
}

static void *play_daemon(void *arg)
{
	struct script *s = arg;
	long n;

	say(s, 0);
	say_map(s, 2);
	while ((n = syscall(SYS_read, s->fds[0], s->d.record, WIRE_MESSAGE_MAX)) > 0) {
		if (says_loaded(s, (size_t)n))
			say(s, 1);
	}
	return NULL;
}

static int play(struct script *s)
{
	struct loop *l;
	pthread_t thread;
	int r;

	signal(SIGPIPE, SIG_IGN);
	cr_assert_eq(pthread_create(&thread, NULL, play_daemon, s), 0);
	r = loop_new(&l, s->fds[1], NULL, NULL);
	if (!r) {
		r = loop_run(l);
		loop_free(l);
	}
	pthread_join(thread, NULL);
	close_fd(&s->fds[0]);
	return r;
}

static void write_words(struct script *s, int part, const struct wire_message *m, size_t n)
{
	s->n_words[part] = 0;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *data;
		size_t n_data;

		cr_assert_eq(wire_pack(s->d.out, &m[i], &data, &n_data), 0);
		cr_assert_leq(s->n_words[part] + n_data, sizeof(s->words[part]));
		memcpy(s->words[part] + s->n_words[part], data, n_data);
		s->n_words[part] += n_data;
	}
}

static void write_script(struct script *s)
{
	int64_t dims[] = {64};
	const struct wire_tensor input = {
		0, DTYPE_U8, 1, dims, {.arena = FAKE_INPUT_ARENA, .length = 64}};
	const struct wire_item item = {.inputs = &input, .n_inputs = 1};
	const struct wire_message first[] = {
		{.type = WIRE_SETUP, .setup = fake_daemon_setup()},
		{.type = WIRE_LOAD,
			.load = {.name = "identity",
				.version = "1",
				.path = "/",
				.backend = "builtin"}},
	};
	const struct wire_message map = {
		.type = WIRE_MAP, .map = {.id = FAKE_INPUT_ARENA, .size = FAKE_ARENA_BYTES}};
	const struct wire_message second[] = {
		{.type = WIRE_RUN, .run = {1, 0, &item, 1, 0}},
		{.type = WIRE_DRAIN},
	};

	cr_assert_eq(seqpacket_pair(s->fds), 0);
	cr_assert_eq(seqpacket_set_send_buffer(s->fds[0], WIRE_MESSAGE_MAX), 0);
	write_words(s, 0, first, 2);
	write_words(s, 1, second, 2);
	write_words(s, 2, &map, 1);
}

Test(loop_fault, faults)
{
	struct segment_options options = {.name = "input", .size = FAKE_ARENA_BYTES};
	struct script s = {0};
	unsigned long count = 1;

	log_init(NULL, LOG_LEVEL_ERROR);
	cr_assert_eq(segment_new(&s.d.input, &options), 0);
	segment_set_id(s.d.input, FAKE_INPUT_ARENA);
	cr_assert_eq(wire_scratch_new(&s.d.in), 0);
	cr_assert_eq(wire_scratch_new(&s.d.out), 0);
	s.d.record = malloc(WIRE_MESSAGE_MAX);
	for (unsigned long i = 0; i <= count; i++) {
		unsigned fds = failalloc_open_fds();
		int r;

		write_script(&s);
		failalloc_arm(FAIL_ALL, FAIL_TRANSIENT, i);
		r = play(&s);
		failalloc_disarm();
		if (i == 0) {
			cr_assert_eq(r, WORKER_EXIT_OK);
			count = failalloc_count();
			cr_assert_gt(count, 10);
		}
		/* A load or a run that fails for want of memory is an answer, not an end. */
		cr_assert(
			r == WORKER_EXIT_OK || r == WORKER_EXIT_INTERNAL || r == -ENOMEM, "%d", r);
		cr_assert_eq(failalloc_open_fds(), fds);
	}
	segment_free(s.d.input);
	wire_scratch_free(s.d.in);
	wire_scratch_free(s.d.out);
	free(s.d.record);
}
