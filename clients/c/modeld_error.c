/* modeld_error.c: errors as a code and a sentence. Client process, the caller's thread. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/err.h"
#include "clients/c/modeld_private.h"

int error_set(struct modeld_error *e, int code, const char *format, ...)
{
	va_list args;

	e->code = code;
	va_start(args, format);
	(void)vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	return code;
}

int error_code(int err)
{
	return err == -ETIMEDOUT ? MODELD_E_TIMEOUT
	       : err == -EINVAL	 ? MODELD_E_USAGE
				 : MODELD_E_SYSTEM;
}

int error_system(struct modeld_error *e, int err, const char *what)
{
	int code = err == -ETIMEDOUT ? MODELD_E_TIMEOUT : MODELD_E_SYSTEM;

	return error_set(e, code, "%s: %s", what, err_str(err));
}
