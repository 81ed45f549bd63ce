/*
 * hostile_worker.c: a worker program that does as docs/protocol.md says, but for one lie, which it is told by the
 * parameter "lie" of the model that it is started for. Needs the C library alone.
 *
 *   MESSAGE.FIELD[.FIELD ...]=N         the field is the number N
 *   ...=missing|number|text|fixed|endless|nul|binary|beyond|long:N|times:N
 *                                       it is not there, or of another kind, or a text of N bytes, or there N times
 *   MESSAGE.fd=KIND                     this message comes with a descriptor of this kind (see descriptor())
 *   STATE.says=N                        in this state it says message N of the envelope, with nothing in it
 *   STATE.record=cut|long|garbage|tail|many
 *   STATE.does=exit|crash|close|flood|nothing
 *
 * The states: spawned (told what it is), set_up (it has said hello), loading (told what to load), ready (it has loaded),
 * running (told to run), stopping (told to end), over (it has said bye).
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHANNEL	      3
#define PROTOCOL      4
#define RECORD_MAX    (128u * 1024u)
#define SEGMENT_BYTES 65536u
#define OUTPUT_BYTES  16u
#define ROOM	      (4u * RECORD_MAX)
#define FLOOD	      100000u

enum {
	SETUP = 1,
	LOAD,
	UNLOAD,
	RUN,
	PING = 6,
	DRAIN,
	HELLO,
	LOADED,
	READY,
	DONE,
	PONG,
	BYE,
	MAP,
	UNMAP,
	UNMAPPED,
	UNLOADED,
	PARTIAL
};

/* Bytes of a message that is being made. */
struct bytes {
	uint8_t data[ROOM];
	size_t n;
};

static const char *lie_path = "", *lie_value = "";
static char parameters[4096];
static uint64_t model, hold;

static bool is(const char *a, const char *b)
{
	return !strcmp(a, b);
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* Is it what the lie is about? */
static bool lied(const char *path)
{
	return is(path, lie_path);
}

/* --- Protobuf ---------------------------------------------------------------------------------- */

static void put(struct bytes *b, const void *data, size_t n)
{
	if (n > ROOM - b->n)
		abort();
	if (n > 0)
		memcpy(b->data + b->n, data, n);
	b->n += n;
}

static void put_varint(struct bytes *b, uint64_t v)
{
	uint8_t byte;

	for (; v > 0x7f; v >>= 7) {
		byte = (uint8_t)(v | 0x80);
		put(b, &byte, 1);
	}
	byte = (uint8_t)v;
	put(b, &byte, 1);
}

static void put_number(struct bytes *b, unsigned field, uint64_t v)
{
	put_varint(b, field << 3);
	put_varint(b, v);
}

static void put_data(struct bytes *b, unsigned field, const void *data, size_t n)
{
	put_varint(b, field << 3 | 2);
	put_varint(b, n);
	put(b, data, n);
}

static void put_long(struct bytes *b, unsigned field, size_t n)
{
	static char text[ROOM];

	memset(text, 'x', n);
	put_data(b, field, text, n);
}

/* A field is there, but not as it should be. False: the lie is no such thing. */
static bool put_odd(struct bytes *b, unsigned field, const void *good, size_t n_good)
{
	static const uint8_t endless[11] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};

	if (is(lie_value, "missing"))
		return true;
	if (is(lie_value, "number")) {
		put_number(b, field, 1);
	} else if (is(lie_value, "text")) {
		put_data(b, field, "x", 1);
	} else if (is(lie_value, "fixed")) {
		put_varint(b, field << 3 | 5);
		put(b, "1234", 4);
	} else if (is(lie_value, "endless")) {
		put_varint(b, field << 3);
		put(b, endless, sizeof(endless));
	} else if (is(lie_value, "nul")) {
		put_data(b, field, "a\0b", 3);
	} else if (is(lie_value, "binary")) {
		put_data(b, field, "%s%n\xff\xfe\n", 7);
	} else if (is(lie_value, "beyond")) {
		put_varint(b, field << 3 | 2);
		put_varint(b, 0x7fffffff);
	} else if (begins(lie_value, "long:")) {
		put_long(b, field, strtoul(lie_value + 5, NULL, 10));
	} else if (begins(lie_value, "times:")) {
		for (unsigned long i = strtoul(lie_value + 6, NULL, 10); i > 0; i--)
			put_data(b, field, good, n_good);
	} else {
		return false;
	}
	return true;
}

static void number(struct bytes *b, const char *path, unsigned field, uint64_t good)
{
	if (!lied(path)) {
		put_number(b, field, good);
	} else if (begins(lie_value, "times:")) {
		for (unsigned long i = strtoul(lie_value + 6, NULL, 10); i > 0; i--)
			put_number(b, field, good);
	} else if (!put_odd(b, field, NULL, 0)) {
		put_number(b, field, strtoull(lie_value, NULL, 10));
	}
}

static void data(struct bytes *b, const char *path, unsigned field, const void *good, size_t n)
{
	if (!lied(path) || !put_odd(b, field, good, n))
		put_data(b, field, good, n);
}

static void text(struct bytes *b, const char *path, unsigned field, const char *good)
{
	data(b, path, field, good, strlen(good));
}

/* --- Descriptors ------------------------------------------------------------------------------- */

static int memory(size_t size, int seals)
{
	int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (ftruncate(fd, (off_t)size) || fchmod(fd, 0600) || fcntl(fd, F_ADD_SEALS, seals))
		abort();
	return fd;
}

/* What comes with a Map. */
static int segment(void)
{
	int fd = memory(SEGMENT_BYTES, F_SEAL_SHRINK | F_SEAL_GROW);

	if (mmap(NULL, SEGMENT_BYTES, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL))
		abort();
	return fd;
}

static int end_of_pair(int type)
{
	int pair[2];

	if (socketpair(AF_UNIX, type, 0, pair))
		abort();
	close(pair[1]);
	return pair[0];
}

static int end_of_pipe(void)
{
	int ends[2];

	if (pipe(ends))
		abort();
	return ends[0];
}

/* A descriptor; -1: none. */
static int descriptor(const char *kind)
{
	if (is(kind, "segment") || is(kind, "two"))
		return segment();
	if (is(kind, "unsealed"))
		return memory(SEGMENT_BYTES, 0);
	if (is(kind, "shrinks"))
		return memory(SEGMENT_BYTES, F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
	if (is(kind, "short"))
		return memory(4096, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (is(kind, "empty"))
		return memory(0, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	if (is(kind, "null"))
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	if (is(kind, "zero"))
		return open("/dev/zero", O_RDWR | O_CLOEXEC);
	if (is(kind, "file"))
		return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (is(kind, "proc"))
		return open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	if (is(kind, "path"))
		return open("/", O_PATH | O_CLOEXEC);
	if (is(kind, "directory"))
		return open("/", O_RDONLY | O_CLOEXEC);
	if (is(kind, "pipe"))
		return end_of_pipe();
	if (is(kind, "epoll"))
		return epoll_create1(EPOLL_CLOEXEC);
	if (is(kind, "socket"))
		return end_of_pair(SOCK_STREAM);
	if (is(kind, "records"))
		return end_of_pair(SOCK_SEQPACKET);
	return is(kind, "channel") ? CHANNEL : -1;
}

/* --- Records ----------------------------------------------------------------------------------- */

static void send_bytes(const uint8_t *bytes, size_t n, const int *fds, size_t n_fds)
{
	struct iovec part = {.iov_base = (void *)bytes, .iov_len = n};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(2 * sizeof(int))];

	if (n_fds > 0) {
		struct cmsghdr *c = (struct cmsghdr *)room;

		memset(room, 0, sizeof(room));
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
		m.msg_control = room;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	}
	/* The daemon may have ended it already. */
	if (sendmsg(CHANNEL, &m, MSG_NOSIGNAL) < 0)
		_exit(1);
}

/* A record of one message; kind: of the descriptor that comes with it. */
static void say(unsigned type, const char *fd_path, const char *kind, const struct bytes *body)
{
	static struct bytes envelope, record;
	int fds[2];

	envelope.n = record.n = 0;
	put_data(&envelope, type, body->data, body->n);
	put_data(&record, 1, envelope.data, envelope.n);
	if (lied(fd_path))
		kind = lie_value;
	fds[0] = fds[1] = descriptor(kind);
	send_bytes(record.data, record.n, fds, (fds[0] >= 0) + is(kind, "two"));
}

static void send_odd(const char *kind)
{
	static struct bytes b;

	b.n = 0;
	if (is(kind, "garbage")) {
		put(&b, "GET / HTTP/1.1\r\n\r\n", 18);
	} else if (is(kind, "cut")) {
		put(&b, "\x0a\x7f\x62", 3);
	} else if (is(kind, "long")) {
		put_long(&b, 1, RECORD_MAX);
	} else if (is(kind, "tail")) { /* two bodies in an envelope */
		put(&b, "\x0a\x04\x62\x00\x62\x00", 6);
	} else if (is(kind, "many")) { /* a record full of pongs */
		for (unsigned i = 0; i < RECORD_MAX / 4; i++)
			put(&b, "\x0a\x02\x62\x00", 4);
	}
	send_bytes(b.data, b.n, NULL, 0);
}

/* --- Lies about states ------------------------------------------------------------------------- */

static void do_odd(const char *what)
{
	static const struct bytes nothing;

	if (is(what, "exit"))
		_exit(0);
	if (is(what, "crash"))
		abort();
	if (is(what, "nothing"))
		pause();
	if (is(what, "close")) {
		close(CHANNEL);
		pause();
	}
	for (unsigned i = 0; i < FLOOD; i++)
		say(PONG, "", "", &nothing);
}

static void enter(const char *state)
{
	static const struct bytes nothing;
	size_t n = strlen(state);

	if (strncmp(lie_path, state, n) != 0 || lie_path[n] != '.')
		return;
	if (is(lie_path + n, ".says"))
		say((unsigned)strtoul(lie_value, NULL, 10), "", "", &nothing);
	else if (is(lie_path + n, ".record"))
		send_odd(lie_value);
	else if (is(lie_path + n, ".does"))
		do_odd(lie_value);
}

/* --- What it says ------------------------------------------------------------------------------ */

static void say_hello(void)
{
	static struct bytes b;

	number(&b, "hello.protocol", 1, PROTOCOL);
	number(&b, "hello.slots", 4, 1);
	text(&b, "hello.sandbox", 5, "none");
	text(&b, "hello.sandbox_lacks", 6, "");
	text(&b, "hello.copies", 7, "");
	number(&b, "hello.imports", 8, 0);
	say(HELLO, "hello.fd", "", &b);
}

static void say_map(void)
{
	static struct bytes b;

	number(&b, "map.id", 1, 1);
	number(&b, "map.size", 2, SEGMENT_BYTES);
	number(&b, "map.writable", 3, 0);
	say(MAP, "map.fd", "segment", &b);
	b.n = 0;
	if (begins(lie_path, "unmap.")) {
		number(&b, "unmap.id", 1, 1);
		say(UNMAP, "unmap.fd", "", &b);
	}
}

static void put_declaration(struct bytes *b, const char *path, unsigned field)
{
	static struct bytes d;

	d.n = 0;
	text(&d, "loaded.declaration.name", 1, field == 4 ? "INPUT" : "OUTPUT");
	number(&d, "loaded.declaration.dtype", 2, 2);
	number(&d, "loaded.declaration.dims", 3, UINT64_MAX);
	number(&d, "loaded.declaration.any_shape", 4, 0);
	data(b, path, field, d.data, d.n);
}

static void say_loaded(void)
{
	static struct bytes b;

	b.n = 0;
	number(&b, "loaded.model", 1, model);
	number(&b, "loaded.ok", 2, 1);
	text(&b, "loaded.error", 3, "");
	put_declaration(&b, "loaded.inputs", 4);
	put_declaration(&b, "loaded.outputs", 5);
	number(&b, "loaded.memory_bytes", 6, 1);
	number(&b, "loaded.max_batch_size", 7, 0);
	number(&b, "loaded.lanes", 8, 1);
	number(&b, "loaded.decoupled", 9, 0);
	say(LOADED, "loaded.fd", "", &b);
}

static void put_output(struct bytes *b, const char *path, unsigned field)
{
	static struct bytes t;

	t.n = 0;
	number(&t, "tensor.index", 1, 0);
	number(&t, "tensor.dtype", 2, 2);
	number(&t, "tensor.dims", 3, OUTPUT_BYTES);
	number(&t, "tensor.arena", 4, 1);
	number(&t, "tensor.generation", 5, 0);
	number(&t, "tensor.offset", 6, 0);
	number(&t, "tensor.length", 7, OUTPUT_BYTES);
	data(b, path, field, t.data, t.n);
}

static void say_partial(uint64_t batch)
{
	static struct bytes b;

	b.n = 0;
	number(&b, "partial.batch", 1, batch);
	number(&b, "partial.item", 2, 0);
	put_output(&b, "partial.outputs", 3);
	number(&b, "partial.hold", 4, ++hold);
	number(&b, "partial.last", 5, 1);
	number(&b, "partial.compute_ns", 6, 1);
	say(PARTIAL, "partial.fd", "", &b);
}

/* answered: by a Partial, so that there is nothing left to say. */
static void say_done(uint64_t batch, bool answered)
{
	static struct bytes b, result;

	b.n = result.n = 0;
	number(&result, "result.code", 1, 0);
	text(&result, "result.message", 2, "");
	if (!answered) {
		put_output(&result, "result.outputs", 3);
		number(&result, "result.hold", 4, ++hold);
	}
	number(&result, "result.joined", 8, 1);
	number(&b, "done.batch", 1, batch);
	number(&b, "done.compute_ns", 2, 1);
	data(&b, "done.results", 3, result.data, result.n);
	say(DONE, "done.fd", "", &b);
}

static void say_number(unsigned type, const char *path, const char *fd_path, uint64_t n)
{
	static struct bytes b;

	b.n = 0;
	number(&b, path, 1, n);
	say(type, fd_path, "", &b);
}

static void say_unloaded(uint64_t number_of_model)
{
	static struct bytes b;

	b.n = 0;
	number(&b, "unloaded.model", 1, number_of_model);
	number(&b, "unloaded.memory_bytes", 2, 1);
	number(&b, "unloaded.stayed_bytes", 3, 1);
	say(UNLOADED, "unloaded.fd", "", &b);
}

/* What nobody asked for, where the lie is in it. */
static void say_unasked(void)
{
	if (begins(lie_path, "pong."))
		say_number(PONG, "pong.nonce", "pong.fd", 0);
	if (begins(lie_path, "unmapped."))
		say_number(UNMAPPED, "unmapped.id", "unmapped.fd", 1);
	if (begins(lie_path, "unloaded."))
		say_unloaded(1);
}

static void set_up(void)
{
	static const struct bytes nothing;

	enter("spawned");
	say_hello();
	enter("set_up");
	say_map();
	say(READY, "ready.fd", "", &nothing);
}

static void load(uint64_t number_of_model)
{
	model = number_of_model;
	enter("loading");
	say_loaded();
	say_unasked();
	enter("ready");
}

static void run(uint64_t batch)
{
	enter("running");
	if (begins(lie_path, "partial."))
		say_partial(batch);
	say_done(batch, begins(lie_path, "partial."));
}

static void end(void)
{
	static struct bytes b;

	enter("stopping");
	text(&b, "bye.reason", 1, "over");
	say(BYE, "bye.fd", "", &b);
	enter("over");
	_exit(0);
}

/* --- What it is told --------------------------------------------------------------------------- */

/* first: of the message's fields, which is all that one has to know. */
static void take(unsigned type, uint64_t first)
{
	switch (type) {
	case SETUP:
		set_up();
		break;
	case LOAD:
		load(first);
		break;
	case RUN:
		run(first);
		break;
	case PING:
		say_number(PONG, "pong.nonce", "pong.fd", first);
		break;
	case UNMAP:
		say_number(UNMAPPED, "unmapped.id", "unmapped.fd", first);
		break;
	case UNLOAD:
		say_unloaded(first);
		break;
	case DRAIN:
		end();
		break;
	default:
		break;
	}
}

static uint64_t take_varint(const uint8_t **at, const uint8_t *stop)
{
	uint64_t v = 0;

	for (unsigned shift = 0; *at < stop && shift < 64; shift += 7) {
		uint8_t byte = *(*at)++;

		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			break;
	}
	return v;
}

static void take_record(const uint8_t *at, const uint8_t *stop)
{
	while (at < stop) {
		const uint8_t *next;
		unsigned type;
		uint64_t n;

		at++; /* field 1 */
		n = take_varint(&at, stop);
		next = at + n;
		type = (unsigned)take_varint(&at, stop) >> 3;
		take_varint(&at, stop);
		take(type, at < next && *at++ == 1 << 3 ? take_varint(&at, next) : 0);
		at = next;
	}
}

/* False: the daemon is gone. */
static bool receive(void)
{
	static uint8_t record[RECORD_MAX];
	static char control[CMSG_SPACE(4 * sizeof(int))];
	struct iovec part = {.iov_base = record, .iov_len = sizeof(record)};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(CHANNEL, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	int fd;

	if (c) {
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		close(fd);
	}
	if (n > 0)
		take_record(record, record + n);
	return n > 0;
}

static void read_lie(void)
{
	const char *given = getenv("MODELD_PARAMETERS");
	char *at, *value;

	strncpy(parameters, given ? given : "", sizeof(parameters) - 1);
	at = strstr(parameters, "lie=");
	if (!at)
		return;
	lie_path = at + 4;
	at[strcspn(at, "\n")] = '\0';
	value = strchr(lie_path, '=');
	if (value) {
		*value = '\0';
		lie_value = value + 1;
	}
}

int main(void)
{
	signal(SIGTERM, SIG_DFL);
	read_lie();
	while (receive())
		;
	return 0;
}
