/* error.c: texts of errors. Worker process, any thread. */
#include "workers/error.h"

#include <stdarg.h>
#include <stdio.h>

int error_say(struct modeld_error *error, int result, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(error->text, sizeof(error->text), format, ap);
	va_end(ap);
	return result;
}
