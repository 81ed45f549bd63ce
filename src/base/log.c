/*
 * log.c: levelled key=value lines on stderr. A line is put together on the stack and leaves by one
 * system call, so lines of several threads and processes do not mix and logging never allocates or
 * blocks on a lock.
 *
 * Nor does it block on a reader that has stopped: the buffer is the kernel's, of the pipe or socket,
 * and a line that finds it full is lost and counted. O_NONBLOCK belongs to the open file, which others
 * share: a pipe or terminal is opened once more for ourselves.
 *
 * The only file-scope state of the tree: set by log_init(); the level may change later, and the count
 * of lines lost does. Any process, any thread.
 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"

#define LINE_MAX_BYTES 2048u
#define CUT_MARK       "..."

/* How a line leaves without waiting. */
enum way {
	WAY_WRITE,  /* a file: it takes what comes. Also before log_init() */
	WAY_SOCKET, /* send() can be told not to wait */
	WAY_OWN,    /* an open file of our own, with O_NONBLOCK */
	WAY_POLL,   /* a pipe that could not be opened again: look first, which is nearly as good */
};

static struct {
	const char *program; /* borrow */
	_Atomic enum log_level level;
	bool journal; /* stderr is a stream to journald */
	enum way way;
	int fd; /* own, for WAY_OWN; else STDERR_FILENO */
	_Atomic uint64_t dropped;
	_Atomic uint64_t told; /* of them */
} state = {.level = LOG_LEVEL_INFO, .fd = STDERR_FILENO};

static const struct {
	const char *name;
	int priority; /* of syslog(3) */
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", 3},
	[LOG_LEVEL_WARNING] = {"warning", 4},
	[LOG_LEVEL_INFO] = {"info", 6},
	[LOG_LEVEL_DEBUG] = {"debug", 7},
};

/* $JOURNAL_STREAM is inherited by children whose stderr went elsewhere: compare, do not trust. */
static bool stderr_is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;
	char end;

	if (!text || sscanf(text, "%" SCNuMAX ":%" SCNuMAX "%c", &device, &inode, &end) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

static int open_again(void)
{
	int flags = fcntl(STDERR_FILENO, F_GETFL);

	return open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY |
					       (flags < 0 ? 0 : flags & (O_APPEND | O_DIRECT)));
}

static void choose_way(void)
{
	struct stat st;

	if (state.way == WAY_OWN)
		close_fd(&state.fd);
	state.way = WAY_WRITE;
	state.fd = STDERR_FILENO;
	if (fstat(STDERR_FILENO, &st))
		return;
	if (S_ISSOCK(st.st_mode))
		state.way = WAY_SOCKET;
	else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) {
		int fd = open_again();

		state.way = fd < 0 ? WAY_POLL : WAY_OWN;
		state.fd = fd < 0 ? STDERR_FILENO : fd;
	}
}

void log_init(const char *program, enum log_level level)
{
	choose_way();
	state.program = program;
	state.journal = stderr_is_journal();
	atomic_store_explicit(&state.level, level, memory_order_relaxed);
}

enum log_level log_level(void)
{
	return atomic_load_explicit(&state.level, memory_order_relaxed);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&state.level, level, memory_order_relaxed);
}

int log_level_parse(const char *text, enum log_level *ret_level)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(text, levels[i].name) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_level_name(enum log_level level)
{
	return levels[level].name;
}

/* `c` as it stands inside quotes, into out (5 bytes). Returns its length. */
static size_t escape(unsigned char c, char out[5])
{
	static const char names[] = "\"\"\\\\n\nr\rt\t";

	for (size_t i = 0; names[i]; i += 2) {
		if (c == (unsigned char)names[i + 1])
			return (size_t)snprintf(out, 5, "\\%c", names[i]);
	}
	if (c < 0x20 || c >= 0x7f)
		return (size_t)snprintf(out, 5, "\\x%02x", c);
	out[0] = (char)c;
	return 1;
}

const char *log_quote(const char *text, size_t n, char *out, size_t cap)
{
	size_t len = 0;

	if (cap < 3) {
		if (cap > 0)
			out[0] = '\0';
		return out;
	}
	out[len++] = '"';
	for (size_t i = 0; i < n; i++) {
		char piece[5];
		size_t piece_len = escape((unsigned char)text[i], piece);

		if (piece_len > cap - len - 2) /* room for the quote and the NUL */
			break;
		memcpy(out + len, piece, piece_len);
		len += piece_len;
	}
	out[len++] = '"';
	out[len] = '\0';
	return out;
}

struct line {
	char text[LINE_MAX_BYTES];
	size_t len; /* <= LINE_MAX_BYTES - 1, which is kept for the newline */
	bool cut;
};

static _printf_(2, 0) void line_vadd(struct line *l, const char *format, va_list args)
{
	size_t room = sizeof(l->text) - l->len;
	int n = vsnprintf(l->text + l->len, room, format, args);

	if (n < 0)
		return;
	l->cut |= (size_t)n >= room;
	l->len += (size_t)n < room ? (size_t)n : room - 1;
}

static _printf_(2, 3) void line_add(struct line *l, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_vadd(l, format, args);
	va_end(args);
}

static void add_time(struct line *l)
{
	uint64_t now_ns = clock_wall_ns();
	time_t seconds = (time_t)(now_ns / NS_PER_S);
	char text[sizeof("2026-01-31T12:00:00")];
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		return;
	line_add(l, "%s.%03uZ ", text, (unsigned)(now_ns % NS_PER_S / NS_PER_MS));
}

/* Whether it left. */
static bool put(const char *text, size_t n)
{
	struct pollfd room = {.fd = state.fd, .events = POLLOUT};
	ssize_t written;

	if (state.way == WAY_POLL && poll(&room, 1, 0) == 0)
		return false;
	do
		written = state.way == WAY_SOCKET
				  ? send(state.fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL)
				  : write(state.fd, text, n);
	while (written < 0 && errno == EINTR);
	return written >= 0;
}

static void start_line(struct line *l, enum log_level level)
{
	l->len = 0;
	l->cut = false;
	if (state.journal)
		line_add(l, "<%d>", levels[level].priority);
	else
		add_time(l);
	line_add(l, "%-5s ", levels[level].name);
	if (state.program)
		line_add(l, "%s: ", state.program);
}

/* Lines were lost, and there is room again. */
static void tell_dropped(void)
{
	uint64_t told = state.told;
	uint64_t dropped = state.dropped;
	struct line l;

	if (dropped == told || !atomic_compare_exchange_strong(&state.told, &told, dropped))
		return;
	start_line(&l, LOG_LEVEL_WARNING);
	line_add(&l, "log lines were lost: nobody read them lines=%" PRIu64 "\n", dropped - told);
	if (!put(l.text, l.len))
		atomic_fetch_sub(&state.told, dropped - told);
}

static void line_write(struct line *l)
{
	/* A forgotten log_quote() must not forge a second line. */
	for (size_t i = 0; i < l->len; i++) {
		if (l->text[i] == '\n' || l->text[i] == '\r')
			l->text[i] = ' ';
	}
	if (l->cut)
		memcpy(l->text + l->len - strlen(CUT_MARK), CUT_MARK, strlen(CUT_MARK));
	l->text[l->len] = '\n';
	tell_dropped();
	if (!put(l->text, l->len + 1))
		state.dropped++;
}

uint64_t log_dropped(void)
{
	return state.dropped;
}

void log_line(enum log_level level, const char *message, const char *format, ...)
{
	int saved = errno;
	struct line l;
	va_list args;

	if (level > log_level())
		return;
	start_line(&l, level);
	line_add(&l, "%s", message);
	if (format && format[0]) {
		line_add(&l, " ");
		va_start(args, format);
		line_vadd(&l, format, args);
		va_end(args);
	}
	line_write(&l);
	errno = saved;
}
