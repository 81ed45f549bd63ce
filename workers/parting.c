/* parting.c: the one message of a worker that cannot begin. Worker process, its one thread, or the leader. */
#include "workers/parting.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/seqpacket.h"
#include "proto/wire.h"

void parting_say(int channel_fd, const char *format, ...)
{
	_cleanup_(wire_scratch_freep) struct wire_scratch *scratch = NULL;
	char text[PARTING_TEXT_MAX];
	const struct wire_message m = {.type = WIRE_BYE, .bye = {.reason = text}};
	const uint8_t *data;
	va_list args;
	size_t n;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!wire_scratch_new(&scratch) && !wire_pack(scratch, &m, &data, &n))
		(void)!seqpacket_send(channel_fd, data, n, NULL, 0, true);
}
