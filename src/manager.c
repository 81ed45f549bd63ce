/*
 * manager.c: one timer: every third of what the manager allows. That the loop turns is what the watchdog is to hear: a
 * timer that fires says just that, and workers are judged by timers of the same loop.
 */
#include "manager.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/digits.h"
#include "base/err.h"
#include "base/log.h"
#include "notify.h"

#define MORE_TIME    "EXTEND_TIMEOUT_USEC=30000000"
#define MORE_TIME_MS 10000u
#define AGAIN_MS     100u

static uint64_t read_watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	uint64_t n;

	if (pid && (decimal_parse(pid, &n) || n != (uint64_t)getpid()))
		return 0;
	if (!usec || decimal_parse(usec, &n) || n == 0)
		return 0;
	return n / 3000 > 0 ? n / 3000 : 1;
}

static void open_spare(struct manager *m)
{
	if (m->spare_fd < 0 && getenv("NOTIFY_SOCKET"))
		m->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Where others have taken all descriptors there are, the watchdog is to hear of us all the same. */
static int send_message(struct manager *m, const char *message)
{
	int r = notify_send(message);

	if ((r == -EMFILE || r == -ENFILE) && m->spare_fd >= 0) {
		close_fd(&m->spare_fd);
		r = notify_send(message);
	}
	open_spare(m);
	return r;
}

/* Returns whether it was told, or never can be. */
static bool tell(struct manager *m, const char *message)
{
	int r = send_message(m, message);

	if (r == -EAGAIN || r == -ENOBUFS || err_is_shortage(r))
		return false;
	if (r)
		log_warning("service manager cannot be told", "error=%s", err_str(r));
	return true;
}

static uint64_t period_ms(const struct manager *m)
{
	if (m->message)
		return AGAIN_MS;
	if (m->watchdog_ms > 0)
		return m->watchdog_ms < MORE_TIME_MS || !m->waiting ? m->watchdog_ms : MORE_TIME_MS;
	return m->waiting ? MORE_TIME_MS : 0;
}

static void on_timer(uv_timer_t *timer);

static void arm(struct manager *m)
{
	uint64_t ms = getenv("NOTIFY_SOCKET") ? period_ms(m) : 0;

	if (ms > 0)
		uv_timer_start(&m->timer, on_timer, ms, 0);
	else
		uv_timer_stop(&m->timer);
}

static void on_timer(uv_timer_t *timer)
{
	struct manager *m = timer->data;

	/* The next ones say the same: what cannot be told now need not be kept. */
	if (m->watchdog_ms > 0)
		(void)tell(m, "WATCHDOG=1");
	if (m->waiting)
		(void)tell(m, MORE_TIME);
	if (m->message && tell(m, m->message))
		m->message = NULL;
	arm(m);
}

int manager_init(struct manager *m, uv_loop_t *loop)
{
	int r = uv_timer_init(loop, &m->timer);

	if (r)
		return r;
	m->timer.data = m;
	m->open = true;
	m->spare_fd = -1;
	m->watchdog_ms = read_watchdog_ms();
	manager_tell(m, MORE_TIME "\nSTATUS=starting", true);
	return 0;
}

void manager_tell(struct manager *m, const char *message, bool waiting)
{
	if (m->silent)
		return;
	m->waiting = waiting;
	m->message = tell(m, message) ? NULL : message;
	arm(m);
}

void manager_tell_status(struct manager *m, const char *format, ...)
{
	int n;
	va_list args;

	/* What is not told yet counts for more, and may lie in `status`. */
	if (m->silent || (m->message && m->message != m->status))
		return;
	n = snprintf(m->status, sizeof(m->status), "STATUS=");
	va_start(args, format);
	vsnprintf(m->status + n, sizeof(m->status) - (size_t)n, format, args);
	va_end(args);
	manager_tell(m, m->status, m->waiting);
}

void manager_hand_over(struct manager *m, pid_t successor)
{
	snprintf(m->status, sizeof(m->status), "MAINPID=%ld", (long)successor);
	m->silent = true;
	m->waiting = false;
	m->watchdog_ms = 0;
	/* Who does not hear of it takes our end for the service's. */
	m->message = tell(m, m->status) ? NULL : m->status;
	arm(m);
}

void manager_close(struct manager *m)
{
	if (!m->open)
		return;
	uv_close((uv_handle_t *)&m->timer, NULL);
	close_fd(&m->spare_fd);
	m->open = false;
}
