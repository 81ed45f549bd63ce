/*
 * infer_failure.c: why an inference could not be done. The text is kept, because in a stream it
 * waits for the answers before it. Daemon process, loop thread.
 */
#include "services/infer_failure.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int infer_fail(struct infer_failure *f, enum grpc_status status, const char *format, ...)
{
	char text[GRPC_MESSAGE_MAX + 1];
	va_list args;

	assert(status != GRPC_OK);
	if (f->status != GRPC_OK)
		return INFER_E_FAILED;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	f->status = status;
	f->text = malloc(strlen(text) + 1);
	if (f->text)
		memcpy(f->text, text, strlen(text) + 1);
	return INFER_E_FAILED;
}

int infer_fail_memory(struct infer_failure *f)
{
	if (f->status == GRPC_OK)
		f->status = GRPC_RESOURCE_EXHAUSTED;
	return INFER_E_FAILED;
}

void infer_failure_deinit(struct infer_failure *f)
{
	free(f->text);
	*f = (struct infer_failure){0};
}

void infer_failure_move(struct infer_failure *to, struct infer_failure *from)
{
	*to = *from;
	*from = (struct infer_failure){0};
}
