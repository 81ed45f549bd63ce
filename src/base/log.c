/*
 * log.c: levelled key=value lines on stderr. A line is put together on the stack and leaves by one
 * system call, so lines of several threads and processes do not mix and logging never allocates or
 * blocks on a lock.
 *
 * Nor does it block on a reader that has stopped: the buffer is the kernel's, of the pipe or socket,
 * and a line that finds it full is lost and counted. O_NONBLOCK belongs to the open file, which others
 * share: a pipe or terminal is opened once more for ourselves.
 *
 * The only file-scope state of the tree: set by log_init() and log_set_format(); the level may change later, and the
 * count of lines lost does. Any process, any thread.
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
#include "base/log_json.h"

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
	enum log_format format;
	bool journal; /* stderr is a stream to journald */
	enum way way;
	int fd; /* own, for WAY_OWN; else STDERR_FILENO */
	_Atomic uint64_t dropped;
	_Atomic uint64_t told; /* of them */
} state = {.level = LOG_LEVEL_INFO, .fd = STDERR_FILENO};

/* Likewise: who hears of each line. */
static struct {
	log_tap_fn fn;
	void *data; /* borrow */
} tap;

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

static const char *const formats[] = {[LOG_TEXT] = "text", [LOG_JSON] = "json"};

int log_format_parse(const char *text, enum log_format *ret_format)
{
	for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
		if (strcmp(text, formats[i]) == 0) {
			*ret_format = (enum log_format)i;
			return 0;
		}
	}
	return -EINVAL;
}

const char *log_format_name(enum log_format format)
{
	return formats[format];
}

void log_set_format(enum log_format format)
{
	state.format = format;
}

void log_init(const char *program, enum log_level level)
{
	const char *format = getenv(LOG_FORMAT_VARIABLE);

	choose_way();
	if (!format || log_format_parse(format, &state.format))
		state.format = LOG_TEXT;
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

static void end_line(struct line *l)
{
	/* A forgotten log_quote() must not forge a second line. */
	for (size_t i = 0; i < l->len; i++) {
		if (l->text[i] == '\n' || l->text[i] == '\r')
			l->text[i] = ' ';
	}
	if (l->cut)
		memcpy(l->text + l->len - strlen(CUT_MARK), CUT_MARK, strlen(CUT_MARK));
}

static bool put_text(struct line *l)
{
	end_line(l);
	l->text[l->len] = '\n';
	return put(l->text, l->len + 1);
}

/* e, but for what is the same in all lines. */
static bool put_json(enum log_level level, struct log_json_entry *e)
{
	char text[LOG_JSON_MAX_BYTES];
	size_t n = 0;

	if (state.journal)
		n = (size_t)snprintf(text, sizeof(text), "<%d>", levels[level].priority);
	e->time_ns = clock_wall_ns();
	e->level = levels[level].name;
	e->program = state.program;
	n += log_json_write(e, text + n, sizeof(text) - n - 1);
	text[n++] = '\n';
	return put(text, n);
}

/* Lines were lost, and there is room again. */
static void tell_dropped(void)
{
	static const char message[] = "log lines were lost: nobody read them";
	uint64_t told = state.told;
	uint64_t dropped = state.dropped;
	struct line l = {.len = 0};
	bool went;

	if (dropped == told || !atomic_compare_exchange_strong(&state.told, &told, dropped))
		return;
	if (state.format == LOG_JSON) {
		line_add(&l, "lines=%" PRIu64, dropped - told);
		went = put_json(LOG_LEVEL_WARNING, &(struct log_json_entry){.file = __FILE__,
							   .message = message,
							   .format = "lines=%u",
							   .fields = l.text});
	} else {
		start_line(&l, LOG_LEVEL_WARNING);
		line_add(&l, "%s lines=%" PRIu64, message, dropped - told);
		went = put_text(&l);
	}
	if (!went)
		atomic_fetch_sub(&state.told, dropped - told);
}

uint64_t log_dropped(void)
{
	return state.dropped;
}

static _printf_(4, 0) bool put_line(enum log_level level, const char *file, const char *message,
	const char *format, va_list args)
{
	struct line l = {.len = 0};

	if (state.format == LOG_JSON) {
		line_vadd(&l, format, args);
		return put_json(level, &(struct log_json_entry){.file = file,
					       .message = message,
					       .format = format,
					       .fields = l.text,
					       .cut = l.cut});
	}
	start_line(&l, level);
	line_add(&l, "%s", message);
	if (format[0]) {
		line_add(&l, " ");
		line_vadd(&l, format, args);
	}
	return put_text(&l);
}

void log_tap(log_tap_fn fn, void *data)
{
	tap.data = data;
	tap.fn = fn;
}

static _printf_(3, 0) void tell_tap(
	enum log_level level, const char *message, const char *format, va_list args)
{
	struct line l = {.len = 0};

	line_add(&l, "%s", message);
	if (format[0]) {
		line_add(&l, " ");
		line_vadd(&l, format, args);
	}
	end_line(&l);
	l.text[l.len] = '\0';
	tap.fn(tap.data, level, clock_wall_ns(), l.text, l.len);
}

void log_line_from(
	const char *file, enum log_level level, const char *message, const char *format, ...)
{
	int saved = errno;
	va_list args;

	if (level > log_level())
		return;
	tell_dropped();
	va_start(args, format);
	if (!put_line(level, file, message, format ? format : "", args))
		state.dropped++;
	va_end(args);
	if (tap.fn) {
		va_start(args, format);
		tell_tap(level, message, format ? format : "", args);
		va_end(args);
	}
	errno = saved;
}
