/*
 * err.c: text for an error code. Stateless; any process, any thread.
 */
#include "base/err.h"

#include <errno.h>
#include <string.h>

const char *err_str(int err)
{
	/* Unsigned, so that INT_MIN has a negation too. strerror() of glibc is thread-safe. */
	return strerror(err < 0 ? (int)(0u - (unsigned)err) : err);
}

bool err_is_shortage(int err)
{
	return err == -ENOMEM || err == -EMFILE || err == -ENFILE;
}
