/*
 * log.h: levelled key=value lines on stderr. Program code logs; base, shm and proto do not.
 *
 *   log_info("worker ready", "worker=%s pid=%d slots=%u", name, pid, slots);
 * prints
 *   2026-01-31T12:00:00.123Z info  worker ready worker=cpu:0/0 pid=4711 slots=2
 *
 * The message is a constant; values go into the format behind it as key=value. A value that came
 * from outside is passed through log_quote() first. Under systemd ($JOURNAL_STREAM names stderr)
 * the time is left out and the line starts with a <priority> prefix (sd-daemon(3)).
 * One write(2) a line, at most 2048 bytes; a longer line is cut and marked with "...". A line that
 * would have to wait for a reader (of a pipe, socket or terminal) is dropped; once there is room again a
 * line says how many were.
 * What log_init() sets is the only file-scope state. Safe from several threads.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

/* Call before threads start, and again when standard error was replaced. `program` is borrowed for
 * ever (NULL: nothing is prefixed). */
void log_init(const char *program, enum log_level level);
enum log_level log_level(void);
void log_set_level(enum log_level level);
/* "error", "warning", "info", "debug" -> level. Returns -EINVAL for anything else. */
_must_use_ int log_level_parse(const char *text, enum log_level *ret_level);
const char *log_level_name(enum log_level level);
/* Lines lost so far because nobody read them. */
uint64_t log_dropped(void);
/* Write `text` (n bytes) into out (cap bytes) quoted and escaped so that it stays one printable
 * token on one line; cut at cap. Returns out. */
const char *log_quote(const char *text, size_t n, char *out, size_t cap);

void log_line(enum log_level level, const char *message, const char *format, ...) _printf_(3, 4);

#define log_error(message, ...)	  log_line(LOG_LEVEL_ERROR, message, __VA_ARGS__)
#define log_warning(message, ...) log_line(LOG_LEVEL_WARNING, message, __VA_ARGS__)
#define log_info(message, ...)	  log_line(LOG_LEVEL_INFO, message, __VA_ARGS__)
#define log_debug(message, ...)                                                                    \
	do {                                                                                       \
		if (log_level() >= LOG_LEVEL_DEBUG)                                                \
			log_line(LOG_LEVEL_DEBUG, message, __VA_ARGS__);                           \
	} while (0)

#endif
