/* fake_daemon.c: see fake_daemon.h. */
#include "fake_daemon.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/log.h"
#include "base/seqpacket.h"
#include "workers/loop.h"

static void take_name(void *data, const char *name)
{
	struct fake_daemon *d = data;

	snprintf(d->name, sizeof(d->name), "%s", name);
}

static void *serve(void *arg)
{
	struct fake_daemon *d = arg;
	struct loop *l;

	d->status = loop_new(&l, d->worker_fd, take_name, d);
	if (d->status)
		return NULL;
	d->status = loop_run(l);
	loop_free(l);
	return NULL;
}

void fake_daemon_open(struct fake_daemon *d)
{
	struct segment_options options = {.name = "input", .size = FAKE_ARENA_BYTES};
	int fds[2];

	memset(d, 0, sizeof(*d));
	log_init(NULL, LOG_LEVEL_ERROR);
	cr_assert_eq(seqpacket_pair(fds), 0);
	cr_assert_eq(seqpacket_set_send_buffer(fds[0], WIRE_MESSAGE_MAX), 0);
	cr_assert_eq(segment_new(&d->input, &options), 0);
	segment_set_id(d->input, FAKE_INPUT_ARENA);
	cr_assert_eq(wire_scratch_new(&d->in), 0);
	cr_assert_eq(wire_scratch_new(&d->out), 0);
	d->record = malloc(WIRE_MESSAGE_MAX);
	cr_assert(d->record);
	d->fd = fds[0];
	d->worker_fd = fds[1];
}

void fake_daemon_start(struct fake_daemon *d)
{
	fake_daemon_open(d);
	cr_assert_eq(pthread_create(&d->thread, NULL, serve, d), 0);
}

struct wire_setup fake_daemon_setup(void)
{
	return (struct wire_setup){
		.protocol = WIRE_PROTOCOL,
		.worker = "cpu:0/1",
		.device = "cpu:0",
		.output_bytes = FAKE_ARENA_BYTES,
		.output_segment_bytes = FAKE_ARENA_BYTES,
		.output_idle_ms = 1,
		.scratch_bytes = FAKE_ARENA_BYTES,
		.output_populate_first = 4096,
		.slots = 2,
		.holds = 4096,
	};
}

void fake_daemon_send_bytes(struct fake_daemon *d, const void *data, size_t n)
{
	cr_assert_eq(seqpacket_send(d->fd, data, n, NULL, 0, 0), 0);
}

void fake_daemon_send_fds(
	struct fake_daemon *d, const struct wire_message *m, const int *fds, size_t n_fds)
{
	const uint8_t *data;
	size_t n;

	cr_assert_eq(wire_pack(d->out, m, &data, &n), 0);
	cr_assert_eq(seqpacket_send(d->fd, data, n, fds, n_fds, 0), 0);
}

void fake_daemon_send(struct fake_daemon *d, const struct wire_message *m)
{
	fake_daemon_send_fds(d, m, NULL, 0);
}

void fake_daemon_send_all(struct fake_daemon *d, const struct wire_message *m, size_t n)
{
	static uint8_t record[WIRE_MESSAGE_MAX];
	size_t n_record = 0;

	for (size_t i = 0; i < n; i++) {
		const uint8_t *data;
		size_t n_data;

		cr_assert_eq(wire_pack(d->out, &m[i], &data, &n_data), 0);
		memcpy(record + n_record, data, n_data);
		n_record += n_data;
	}
	fake_daemon_send_bytes(d, record, n_record);
}

static void receive_record(struct fake_daemon *d, int *ret_fd)
{
	size_t n_fds = 0;

	cr_assert_eq(seqpacket_recv(d->fd, d->record, WIRE_MESSAGE_MAX, &d->n_record, ret_fd,
			     ret_fd != NULL, &n_fds, 0),
		0);
	cr_assert_eq(n_fds, ret_fd != NULL);
	d->at = 0;
	d->n_records++;
}

static const struct wire_message *next(struct fake_daemon *d, int *ret_fd)
{
	const struct wire_message *m;
	size_t used;

	if (d->at == d->n_record)
		receive_record(d, ret_fd);
	cr_assert_eq(wire_unpack(d->in, d->record + d->at, d->n_record - d->at, &used, &m), 0);
	d->at += used;
	return m;
}

const struct wire_message *fake_daemon_next(struct fake_daemon *d)
{
	return next(d, NULL);
}

static const struct wire_message *receive(struct fake_daemon *d, enum wire_type type, int *ret_fd)
{
	const struct wire_message *m = next(d, ret_fd);

	cr_assert_eq(m->type, type, "%s came, %s was expected", wire_type_name(m->type),
		wire_type_name(type));
	return m;
}

const struct wire_message *fake_daemon_receive(struct fake_daemon *d, enum wire_type type)
{
	return receive(d, type, NULL);
}

void fake_daemon_map_input(struct fake_daemon *d)
{
	const struct wire_message m = {
		.type = WIRE_MAP, .map = {.id = FAKE_INPUT_ARENA, .size = segment_size(d->input)}};
	int fd = segment_fd(d->input);

	fake_daemon_send_fds(d, &m, &fd, 1);
}

struct view *fake_daemon_receive_map(struct fake_daemon *d)
{
	struct view *v = NULL;
	int fd;
	const struct wire_map *map = &receive(d, WIRE_MAP, &fd)->map;

	cr_assert_eq(view_new(&v, fd, map->id, map->size), 0);
	close_fd(&fd);
	return v;
}

void fake_daemon_greet(struct fake_daemon *d, const struct wire_setup *setup)
{
	const struct wire_message m = {.type = WIRE_SETUP, .setup = *setup};
	const struct wire_hello *hello;

	fake_daemon_send(d, &m);
	fake_daemon_map_input(d);
	hello = &fake_daemon_receive(d, WIRE_HELLO)->hello;
	cr_assert_eq(hello->protocol, WIRE_PROTOCOL);
	cr_assert(hello->slots >= 1 && hello->slots <= setup->slots);
	d->output = fake_daemon_receive_map(d);
	fake_daemon_receive(d, WIRE_READY);
}

void fake_daemon_load(struct fake_daemon *d, uint32_t number, const char *function)
{
	const struct wire_pair pair = {"function", function};
	const struct wire_message m = {
		.type = WIRE_LOAD,
		.load =
			{
				.model = number,
				.name = "m",
				.version = "1",
				.path = "/nowhere",
				.backend = "builtin",
				.max_batch_size = 8,
				.parameters = &pair,
				.n_parameters = 1,
			},
	};
	const struct wire_loaded *loaded;

	fake_daemon_send(d, &m);
	loaded = &fake_daemon_receive(d, WIRE_LOADED)->loaded;
	cr_assert(loaded->ok, "%s", loaded->error);
	cr_assert_eq(loaded->model, number);
}

void fake_daemon_expect_end(struct fake_daemon *d)
{
	size_t n;
	int r = seqpacket_recv(d->fd, d->record, WIRE_MESSAGE_MAX, &n, NULL, 0, NULL, 0);

	cr_assert_eq(r, -EPIPE, "%d", r);
}

struct span fake_daemon_put(struct fake_daemon *d, const void *data, uint64_t n)
{
	struct span s;

	cr_assert_eq(segment_alloc(d->input, n, &s), 0);
	if (n > 0)
		memcpy(segment_data(d->input, &s), data, n);
	return s;
}

int fake_daemon_end(struct fake_daemon *d)
{
	close_fd(&d->fd);
	cr_assert_eq(pthread_join(d->thread, NULL), 0);
	fake_daemon_close(d);
	return d->status;
}

void fake_daemon_close(struct fake_daemon *d)
{
	close_fd(&d->fd);
	segment_free(d->input);
	view_free(d->output);
	wire_scratch_free(d->in);
	wire_scratch_free(d->out);
	free(d->record);
}

int fake_region(uint64_t size, void **ret_data)
{
	int fd = memfd_create("client", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	cr_assert_geq(fd, 0);
	cr_assert_eq(ftruncate(fd, (off_t)size), 0);
	cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	*ret_data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	cr_assert_neq(*ret_data, MAP_FAILED);
	return fd;
}
