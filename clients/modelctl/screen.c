/*
 * screen.c: termios, and the codes that all terminals of today know (those of the VT100, and xterm's other page). Signals
 * are noted by a handler, which has nothing but file-scope flags to write to; they break poll(2) off, since they are let
 * in only there. modelctl, one thread.
 */
#include "clients/modelctl/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ENTER	    "\033[?1049h\033[?25l"
#define LEAVE	    "\033[?25h\033[?1049l"
#define HOME	    "\033[H"
#define TO_LINE_END "\033[K"
#define TO_END	    "\033[J"

static volatile sig_atomic_t is_resized, is_ended;

static const int ending[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
#define N_ENDING (sizeof(ending) / sizeof(ending[0]))

struct screen {
	struct termios before;
	struct sigaction actions[N_ENDING + 1]; /* as they were; the last of SIGWINCH */
	sigset_t mask;				/* likewise */
};

static void on_signal(int number)
{
	if (number == SIGWINCH)
		is_resized = 1;
	else
		is_ended = 1;
}

bool screen_is_there(void)
{
	const char *term = getenv("TERM");

	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && *term &&
	       strcmp(term, "dumb") != 0;
}

/* Held back until poll(). */
static void take_signals(struct screen *s)
{
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t held;

	is_resized = is_ended = 0;
	sigemptyset(&held);
	sigaddset(&held, SIGWINCH);
	for (size_t i = 0; i < N_ENDING; i++)
		sigaddset(&held, ending[i]);
	(void)sigprocmask(SIG_BLOCK, &held, &s->mask);
	for (size_t i = 0; i < N_ENDING; i++)
		(void)sigaction(ending[i], &action, &s->actions[i]);
	(void)sigaction(SIGWINCH, &action, &s->actions[N_ENDING]);
}

static void give_back_signals(const struct screen *s)
{
	for (size_t i = 0; i < N_ENDING; i++)
		(void)sigaction(ending[i], &s->actions[i], NULL);
	(void)sigaction(SIGWINCH, &s->actions[N_ENDING], NULL);
	(void)sigprocmask(SIG_SETMASK, &s->mask, NULL);
}

int screen_new(struct screen **ret_screen)
{
	struct screen *s = calloc(1, sizeof(*s));
	struct termios keys;

	if (!s)
		return -ENOMEM;
	if (tcgetattr(STDIN_FILENO, &s->before)) {
		free(s);
		return -errno;
	}
	take_signals(s);
	keys = s->before;
	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	keys.c_cc[VMIN] = 0;
	keys.c_cc[VTIME] = 0;
	keys.c_cc[VSUSP] = _POSIX_VDISABLE; /* stopped, it would leave its page behind */
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &keys);
	(void)fputs(ENTER, stdout);
	(void)fflush(stdout);
	*ret_screen = s;
	return 0;
}

struct screen *screen_free(struct screen *s)
{
	if (!s)
		return NULL;
	(void)fputs(LEAVE, stdout);
	(void)fflush(stdout);
	(void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &s->before);
	give_back_signals(s);
	free(s);
	return NULL;
}

/* A line, cut where the terminal ends; what would move the cursor is not passed on. */
static void show_line(const char *line, size_t n, size_t columns)
{
	for (size_t i = 0; i < n && i < columns; i++) {
		unsigned char c = (unsigned char)line[i];

		(void)putchar(c < 0x20 || c == 0x7F ? '?' : c);
	}
	(void)fputs(TO_LINE_END, stdout);
}

void screen_show(struct screen *s, const char *text)
{
	struct winsize size = {.ws_row = 24, .ws_col = 80};

	(void)s;
	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	(void)fputs(HOME, stdout);
	for (unsigned row = 0; *text && (size.ws_row == 0 || row < size.ws_row); row++) {
		size_t n = strcspn(text, "\n");

		if (row > 0)
			(void)fputs("\r\n", stdout);
		show_line(text, n, size.ws_col ? size.ws_col : 80);
		text += n + (text[n] == '\n');
	}
	(void)fputs(TO_END, stdout);
	(void)fflush(stdout);
}

static enum screen_key read_key(void)
{
	char key;
	ssize_t n = read(STDIN_FILENO, &key, 1);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return SCREEN_OTHER;
	return n <= 0 || key == 'q' || key == 'Q' ? SCREEN_QUIT : SCREEN_OTHER;
}

enum screen_key screen_key(struct screen *s, int ms)
{
	const struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	int n = ppoll(&in, 1, &wait, &s->mask);

	if (is_ended)
		return SCREEN_QUIT;
	if (is_resized) {
		is_resized = 0;
		return SCREEN_RESIZE;
	}
	if (n <= 0)
		return n < 0 && errno != EINTR ? SCREEN_QUIT : SCREEN_NONE;
	return read_key();
}
