/*
 * control_log.c: what the daemon keeps of its log, a part at a time, for callers on this host: lines name files, clients
 * and models. Daemon process, loop thread.
 */
#include "services/control_log.h"

#include <string.h>

#include "base/log_ring.h"
#include "base/utf8.h"
#include "grpc/message.h"
#include "grpc/message_memory.h"
#include "proto/control.pb-c.h"
#include "services/caller.h"
#include "services/services.h"

#define REQUEST_MEMORY 4096u
#define REPLY_MEMORY   ((size_t)1 << 20)
#define LINES_MAX      1000u
#define TEXT_MAX       ((size_t)256 << 10) /* of the lines of one answer */

typedef Modeld__Control__V1__LogRequest Request;
typedef Modeld__Control__V1__LogResponse Response;
typedef Modeld__Control__V1__LogLine Line;

struct filling {
	struct message_memory *memory; /* borrow */
	Response *m;		       /* borrow */
	size_t text;		       /* bytes so far */
	bool failed;		       /* there is no memory */
};

static char *copy_text(struct message_memory *memory, const struct log_ring_line *line)
{
	char *text = message_memory_alloc(memory, line->n + 1);

	if (!text)
		return NULL;
	memcpy(text, line->text, line->n + 1);
	utf8_mend(text);
	return text;
}

static bool add_line(void *data, const struct log_ring_line *line)
{
	struct filling *x = data;
	Line *to;

	if (x->m->n_lines == LINES_MAX || x->text + line->n > TEXT_MAX)
		return false;
	to = message_memory_alloc(x->memory, sizeof(*to));
	x->failed = !to;
	if (!to)
		return false;
	modeld__control__v1__log_line__init(to);
	to->number = line->number;
	to->time_unix_ns = line->time_ns;
	to->level = (char *)log_level_name(line->level);
	to->text = copy_text(x->memory, line);
	x->failed = !to->text;
	if (!to->text)
		return false;
	x->text += line->n;
	x->m->lines[x->m->n_lines++] = to;
	return true;
}

static void answer(struct call *c, const Request *q, struct message_memory *memory)
{
	Response m = MODELD__CONTROL__V1__LOG_RESPONSE__INIT;
	struct log_ring *ring = ((struct services *)call_context(c))->log;
	struct filling x = {.memory = memory, .m = &m};

	m.lines = message_memory_calloc(memory, LINES_MAX, sizeof(m.lines[0]));
	if (!m.lines) {
		message_no_memory(c);
		return;
	}
	m.last = log_ring_last(ring);
	log_ring_each(ring, q->after, add_line, &x);
	if (x.failed)
		message_no_memory(c);
	else
		message_answer(c, &m.base);
}

void control_log_message(struct call *c, void *state, const uint8_t *data, size_t n)
{
	struct message_memory memory;
	const Request *q;

	(void)state;
	if (!caller_is_local(c)) {
		call_finish(c, GRPC_PERMISSION_DENIED, "the log is read from this host only");
		return;
	}
	if (!((struct services *)call_context(c))->log) {
		call_finish(
			c, GRPC_UNIMPLEMENTED, "[server] log_keep_bytes is 0: no lines are kept");
		return;
	}
	message_memory_init(&memory, REQUEST_MEMORY + REPLY_MEMORY);
	q = message_read(c, &memory, &modeld__control__v1__log_request__descriptor, data, n);
	if (q)
		answer(c, q, &memory);
	message_memory_deinit(&memory);
}
