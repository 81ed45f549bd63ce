/* log_test.c: what lands on stderr, byte for byte, read back through a packet pipe. */
#include "base/log.h"
#include "base/log_json.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* In a packet pipe (O_DIRECT) each write(2) is one read(2). */
struct capture {
	int read_fd;   /* own */
	int stderr_fd; /* own: the real one */
	char text[4096];
};

static void capture_start(struct capture *c)
{
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK | O_DIRECT), 0);
	c->read_fd = fds[0];
	c->stderr_fd = dup(STDERR_FILENO);
	cr_assert_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	close(fds[1]);
}

/* The next write, or "" when there was none. */
static const char *capture_next(struct capture *c)
{
	ssize_t n = read(c->read_fd, c->text, sizeof(c->text) - 1);

	c->text[n > 0 ? n : 0] = '\0';
	return c->text;
}

static void capture_stop(struct capture *c)
{
	dup2(c->stderr_fd, STDERR_FILENO);
	close(c->stderr_fd);
	close(c->read_fd);
}

static bool matches(const char *text, const char *pattern)
{
	regex_t regex;
	int r;

	cr_assert_eq(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
	r = regexec(&regex, text, 0, NULL, 0);
	regfree(&regex);
	return r == 0;
}

#define TIME "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z "

Test(log, line)
{
	struct capture c;

	unsetenv("JOURNAL_STREAM");
	capture_start(&c);
	log_init(NULL, LOG_LEVEL_INFO);
	log_info("worker ready", "worker=%s pid=%d", "cpu:0/0", 4711);
	cr_assert(matches(capture_next(&c), TIME "info  worker ready worker=cpu:0/0 pid=4711\n$"));
	log_warning("message alone", NULL);
	cr_assert(matches(capture_next(&c), TIME "warning message alone\n$"));
	log_init("modeld", LOG_LEVEL_INFO);
	log_error("failed", "error=%s", "x");
	cr_assert(matches(capture_next(&c), TIME "error modeld: failed error=x\n$"));
	capture_stop(&c);
}

static int touch(int *n)
{
	return ++*n;
}

Test(log, levels_filter)
{
	struct capture c;
	int n = 0;

	capture_start(&c);
	log_init(NULL, LOG_LEVEL_WARNING);
	log_info("no", "a=%d", 1);
	log_debug("no", "a=%d", touch(&n));
	cr_assert_str_eq(capture_next(&c), "");
	cr_assert_eq(n, 0);
	log_warning("yes", "a=%d", 1);
	cr_assert_neq(capture_next(&c)[0], '\0');
	log_init(NULL, LOG_LEVEL_DEBUG);
	log_debug("yes", "a=%d", touch(&n));
	cr_assert(matches(capture_next(&c), "debug yes a=1\n$"));
	capture_stop(&c);
}

/* $JOURNAL_STREAM for what stderr is now, the inode off by `delta`. */
static void set_journal_stream(unsigned delta, const char *end)
{
	char text[64];
	struct stat st;

	cr_assert_eq(fstat(STDERR_FILENO, &st), 0);
	snprintf(text, sizeof(text), "%ju:%ju%s", (uintmax_t)st.st_dev,
		(uintmax_t)st.st_ino + delta, end);
	setenv("JOURNAL_STREAM", text, 1);
}

Test(log, journal_lines_have_a_priority_and_no_time)
{
	static const char *const expected[] = {
		"<3>error m a=1\n", "<4>warning m a=1\n", "<6>info  m a=1\n", "<7>debug m a=1\n"};
	struct capture c;

	capture_start(&c);
	set_journal_stream(0, "");
	log_init(NULL, LOG_LEVEL_DEBUG);
	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		log_line((enum log_level)level, "m", "a=%d", 1);
		cr_assert_str_eq(capture_next(&c), expected[level]);
	}
	capture_stop(&c);
}

Test(log, another_stream_is_no_journal)
{
	struct capture c;

	capture_start(&c);
	set_journal_stream(1, "");
	log_init(NULL, LOG_LEVEL_INFO);
	log_info("m", "a=%d", 1);
	cr_assert(matches(capture_next(&c), TIME));
	set_journal_stream(0, "junk");
	log_init(NULL, LOG_LEVEL_INFO);
	log_info("m", "a=%d", 1);
	cr_assert(matches(capture_next(&c), TIME));
	setenv("JOURNAL_STREAM", "", 1);
	log_init(NULL, LOG_LEVEL_INFO);
	log_info("m", "a=%d", 1);
	cr_assert(matches(capture_next(&c), TIME));
	capture_stop(&c);
}

Test(log, long_line_is_cut_and_marked)
{
	char value[4000];
	struct capture c;
	const char *text;

	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	unsetenv("JOURNAL_STREAM");
	capture_start(&c);
	log_init(NULL, LOG_LEVEL_INFO);
	log_info("m", "a=%s b=%d", value, 1);
	text = capture_next(&c);
	cr_assert_eq(strlen(text), 2048);
	cr_assert_str_eq(text + 2048 - 5, "v...\n");
	cr_assert_str_eq(capture_next(&c), "");
	capture_stop(&c);
}

/* One byte less than the cut, and the cut. */
Test(log, longest_whole_line)
{
	char value[2048];
	size_t head = strlen("<6>info  m a=");
	struct capture c;

	capture_start(&c);
	set_journal_stream(0, "");
	log_init(NULL, LOG_LEVEL_INFO);
	memset(value, 'v', sizeof(value));
	value[2047 - head] = '\0';
	log_info("m", "a=%s", value);
	cr_assert_eq(strlen(capture_next(&c)), 2048);
	cr_assert_str_eq(c.text + 2048 - 5, "vvvv\n");
	value[2047 - head] = 'v';
	value[2048 - head] = '\0';
	log_info("m", "a=%s", value);
	cr_assert_eq(strlen(capture_next(&c)), 2048);
	cr_assert_str_eq(c.text + 2048 - 5, "v...\n");
	capture_stop(&c);
}

Test(log, value_cannot_forge_a_line)
{
	struct capture c;

	capture_start(&c);
	log_init(NULL, LOG_LEVEL_INFO);
	log_info("m", "a=%s", "x\n<0>forged\r");
	cr_assert(matches(capture_next(&c), "m a=x <0>forged \n$"));
	capture_stop(&c);
}

Test(log, errno_is_kept)
{
	struct capture c;

	capture_start(&c);
	close(STDERR_FILENO);
	errno = ENOTTY;
	log_error("m", "a=%d", 1);
	cr_assert_eq(errno, ENOTTY);
	capture_stop(&c);
}

#define LINES 40

static void *write_lines(void *arg)
{
	for (int i = 0; i < LINES; i++)
		log_info("m", "thread=%s", (const char *)arg);
	return NULL;
}

Test(log, threads_do_not_mix_lines)
{
	struct capture c;
	char a[] = "aaaa", b[] = "bbbb";
	pthread_t thread;

	capture_start(&c);
	log_init(NULL, LOG_LEVEL_INFO);
	cr_assert_eq(fcntl(c.read_fd, F_SETPIPE_SZ, 1 << 20) < 0, 0);
	cr_assert_eq(pthread_create(&thread, NULL, write_lines, a), 0);
	write_lines(b);
	cr_assert_eq(pthread_join(thread, NULL), 0);
	for (int i = 0; i < 2 * LINES; i++)
		cr_assert(matches(capture_next(&c), "m thread=(aaaa|bbbb)\n$"));
	cr_assert_str_eq(capture_next(&c), "");
	capture_stop(&c);
}

Test(log, level_names)
{
	enum log_level level = LOG_LEVEL_WARNING;

	cr_assert_eq(log_level_parse("verbose", &level), -EINVAL);
	cr_assert_eq(log_level_parse("", &level), -EINVAL);
	cr_assert_eq(log_level_parse("Error", &level), -EINVAL);
	cr_assert_eq(level, LOG_LEVEL_WARNING);
	for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
		cr_assert_eq(log_level_parse(log_level_name((enum log_level)i), &level), 0);
		cr_assert_eq((int)level, i);
	}
}

Test(log, quote)
{
	char out[64];

	cr_assert_str_eq(log_quote("a b", 3, out, sizeof(out)), "\"a b\"");
	cr_assert_str_eq(log_quote("", 0, out, sizeof(out)), "\"\"");
	cr_assert_str_eq(log_quote("\"\\\n\r\t", 5, out, sizeof(out)), "\"\\\"\\\\\\n\\r\\t\"");
	cr_assert_str_eq(
		log_quote("\0\x1b\x7f\xff", 4, out, sizeof(out)), "\"\\x00\\x1b\\x7f\\xff\"");
}

Test(log, quote_is_cut_between_escapes)
{
	char out[16];

	memset(out, '#', sizeof(out));
	cr_assert_str_eq(log_quote("abcdef", 6, out, 6), "\"abc\"");
	cr_assert_eq(out[6], '#');
	cr_assert_str_eq(log_quote("ab\x01", 3, out, 8), "\"ab\"");
	cr_assert_str_eq(log_quote("ab\x01", 3, out, 9), "\"ab\\x01\"");
	cr_assert_str_eq(log_quote("abc", 3, out, 3), "\"\"");
	cr_assert_str_eq(log_quote("abc", 3, out, 2), "");
	out[0] = '#';
	log_quote("abc", 3, out, 0);
	cr_assert_eq(out[0], '#');
}

static void hear(void *data, enum log_level level, uint64_t time_ns, const char *text, size_t n)
{
	cr_assert_eq(strlen(text), n);
	cr_assert_gt(time_ns, 0);
	(void)snprintf(data, 4096, "%s %s", log_level_name(level), text);
}

Test(log, a_tap_hears_each_line)
{
	static char heard[4096], large[5000];

	memset(large, 'x', sizeof(large) - 1);
	log_tap(hear, heard);
	log_warning("worker lost", "pid=%d\nwhy=%s", 7, "none");
	cr_assert_str_eq(heard, "warning worker lost pid=7 why=none");
	log_set_format(LOG_JSON);
	log_info("ready", NULL);
	cr_assert_str_eq(heard, "info ready");
	log_set_format(LOG_TEXT);
	log_debug("not at this level", "x=%d", 1);
	cr_assert_str_eq(heard, "info ready");
	log_info("large", "x=%s", large);
	cr_assert_str_eq(heard + strlen(heard) - 4, "x...");
	log_tap(NULL, NULL);
	log_info("nobody hears", NULL);
	cr_assert_str_eq(heard + strlen(heard) - 4, "x...");
}

/* Until the pipe or socket takes no more, and some lines on top. */
static uint64_t fill(void)
{
	uint64_t before = log_dropped();

	for (unsigned i = 0; i < 100000 && log_dropped() < before + 3; i++)
		log_error("line", "i=%u", i);
	return log_dropped() - before;
}

static void a_reader_that_stopped(const int fds[2])
{
	static char text[1 << 20];
	int real = dup(STDERR_FILENO);
	ssize_t n;

	cr_assert_eq(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	log_init(NULL, LOG_LEVEL_INFO);
	/* Everybody else's lines wait as they always did. */
	cr_assert_not(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK);
	cr_assert_eq(fill(), 3);
	while ((n = read(fds[0], text, sizeof(text))) == (ssize_t)sizeof(text))
		;
	log_error("read again", NULL);
	n = read(fds[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	if (!strstr(text, "read again")) { /* a socket gives a part at a time */
		ssize_t more = read(fds[0], text + n, sizeof(text) - 1 - (size_t)n);

		text[n + (more > 0 ? more : 0)] = 0;
	}
	dup2(real, STDERR_FILENO);
	log_init(NULL, LOG_LEVEL_INFO);
	close(real);
	cr_assert(strstr(text, "warning log lines were lost: nobody read them lines=3\n"), "%s",
		text);
	cr_assert(strstr(text, "error read again\n"));
}

Test(log, never_waits_for_the_reader_of_a_pipe, .timeout = 30)
{
	int fds[2];

	cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
	a_reader_that_stopped(fds);
}

Test(log, never_waits_for_the_reader_of_a_socket, .timeout = 30)
{
	int fds[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	a_reader_that_stopped(fds);
}

Test(log, a_file_that_others_write_too)
{
	char path[] = "/tmp/modeld-log-test-XXXXXX";
	char text[200] = "";
	int fd = mkostemp(path, O_CLOEXEC);
	int real = dup(STDERR_FILENO);

	cr_assert_geq(fd, 0);
	unlink(path);
	dup2(fd, STDERR_FILENO);
	log_init(NULL, LOG_LEVEL_INFO);
	cr_assert_eq(dprintf(STDERR_FILENO, "mine\n"), 5);
	log_error("ours", NULL);
	cr_assert_eq(dprintf(STDERR_FILENO, "mine\n"), 5);
	dup2(real, STDERR_FILENO);
	log_init(NULL, LOG_LEVEL_INFO);
	cr_assert_gt(pread(fd, text, sizeof(text) - 1, 0), 0);
	cr_assert(matches(text, "^mine\n.*Z error ours\nmine\n$"), "%s", text);
	close(fd);
	close(real);
}

Test(log, json)
{
	struct capture c;

	unsetenv("JOURNAL_STREAM");
	capture_start(&c);
	setenv(LOG_FORMAT_VARIABLE, "json", 1);
	log_init(NULL, LOG_LEVEL_INFO);
	log_info("worker ready", "worker=%s pid=%d", "cpu:0/0", 4711);
	cr_assert(matches(capture_next(&c),
		"^\\{\"time\":\"[-0-9]{10}T[0-9:]{8}\\.[0-9]{3}Z\",\"level\":\"info\","
		"\"component\":\"base\",\"message\":\"worker ready\",\"worker\":\"cpu:0/0\","
		"\"pid\":4711\\}\n$"));
	log_init("modeld-worker", LOG_LEVEL_INFO);
	log_warning("message alone", NULL);
	cr_assert(matches(capture_next(&c),
		"\"level\":\"warning\",\"component\":\"modeld-worker\",\"message\":\"message "
		"alone\"\\}\n$"));
	log_debug("no", "a=%d", 1);
	cr_assert_str_eq(capture_next(&c), "");
	log_set_format(LOG_TEXT);
	log_info("m", "a=%d", 1);
	cr_assert(matches(capture_next(&c), TIME "info  modeld-worker: m a=1\n$"));
	capture_stop(&c);
}

Test(log, json_for_the_journal)
{
	struct capture c;

	capture_start(&c);
	set_journal_stream(0, "");
	log_init(NULL, LOG_LEVEL_INFO);
	log_set_format(LOG_JSON);
	log_error("m", "a=%d", 1);
	cr_assert(matches(capture_next(&c), "^<3>\\{\"time\":.*,\"a\":1\\}\n$"));
	capture_stop(&c);
}

Test(log, formats)
{
	enum log_format format;

	cr_assert_eq(log_format_parse("json", &format), 0);
	cr_expect_eq(format, LOG_JSON);
	cr_expect_str_eq(log_format_name(format), "json");
	cr_assert_eq(log_format_parse("text", &format), 0);
	cr_expect_eq(format, LOG_TEXT);
	cr_expect_eq(log_format_parse("xml", &format), -EINVAL);
	setenv(LOG_FORMAT_VARIABLE, "xml", 1);
	log_init(NULL, LOG_LEVEL_INFO);
}

Test(log, a_long_line_of_json_leaves_as_one)
{
	static char text[5000];
	struct capture c;
	size_t n;

	memset(text, 1, sizeof(text) - 1);
	capture_start(&c);
	unsetenv("JOURNAL_STREAM");
	log_init(NULL, LOG_LEVEL_INFO);
	log_set_format(LOG_JSON);
	log_info("m", "text=%s", text);
	n = (size_t)read(c.read_fd, text, sizeof(text));
	cr_assert_leq(n, LOG_JSON_MAX_BYTES);
	cr_assert_gt(n, LOG_JSON_MAX_BYTES - 32);
	cr_assert_eq(memcmp(text + n - 13, ",\"cut\":true}\n", 13), 0);
	capture_stop(&c);
}
