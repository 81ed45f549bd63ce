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
 * With LOG_JSON the same is an object a line (log_json.h), of at most 4095 bytes.
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

enum log_format {
	LOG_TEXT,
	LOG_JSON,
};

/* What a process has from the one that started it: "text" or "json". */
#define LOG_FORMAT_VARIABLE "MODELD_LOG_FORMAT"

/* Call before threads start, and again when standard error was replaced. `program` is borrowed for
 * ever (NULL: nothing is prefixed). The format is what $MODELD_LOG_FORMAT says, else LOG_TEXT. */
void log_init(const char *program, enum log_level level);
/* "text", "json" -> format. Returns -EINVAL for anything else. */
_must_use_ int log_format_parse(const char *text, enum log_format *ret_format);
const char *log_format_name(enum log_format format);
/* Before threads start, as log_init(). */
void log_set_format(enum log_format format);
enum log_level log_level(void);
void log_set_level(enum log_level level);
/* "error", "warning", "info", "debug" -> level. Returns -EINVAL for anything else. */
_must_use_ int log_level_parse(const char *text, enum log_level *ret_level);
const char *log_level_name(enum log_level level);
/*
 * Have fn called with each line, too: its message and key=value pairs (n bytes, terminated), of any thread; it must not log.
 * Call while no other thread logs. NULL: no more.
 */
typedef void (*log_tap_fn)(
	void *data, enum log_level level, uint64_t time_ns, const char *text, size_t n);
void log_tap(log_tap_fn fn, void *data);
/* Lines lost so far because nobody read them. */
uint64_t log_dropped(void);
/* Write `text` (n bytes) into out (cap bytes) quoted and escaped so that it stays one printable
 * token on one line; cut at cap. Returns out. */
const char *log_quote(const char *text, size_t n, char *out, size_t cap);

/* file: the source's path; its folder is the component that a JSON line names where there is no `program`. */
void log_line_from(const char *file, enum log_level level, const char *message, const char *format,
	...) _printf_(4, 5);

#define log_line(level, message, ...) log_line_from(__FILE__, level, message, __VA_ARGS__)
#define log_error(message, ...)	      log_line(LOG_LEVEL_ERROR, message, __VA_ARGS__)
#define log_warning(message, ...)     log_line(LOG_LEVEL_WARNING, message, __VA_ARGS__)
#define log_info(message, ...)	      log_line(LOG_LEVEL_INFO, message, __VA_ARGS__)
#define log_debug(message, ...)                                                                    \
	do {                                                                                       \
		if (log_level() >= LOG_LEVEL_DEBUG)                                                \
			log_line(LOG_LEVEL_DEBUG, message, __VA_ARGS__);                           \
	} while (0)

#endif
