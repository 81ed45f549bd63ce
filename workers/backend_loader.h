/*
 * backend_loader.h: backends by name: the builtin one, and NAME.so from the backend directories.
 * A backend that was loaded stays until the process ends: its threads and thread-local data make
 * unloading unsafe.
 */
#ifndef WORKERS_BACKEND_LOADER_H
#define WORKERS_BACKEND_LOADER_H

#include <stddef.h>

#include "base/cleanup.h"
#include "workers/backend.h"

enum {
	BACKEND_E_REFUSED = 1,	 /* not found, or unusable: the error's text says why */
	BACKEND_E_UNWILLING = 2, /* likewise: not on this worker's device, says the backend */
};

struct backends;

/* `directories` (n of them) are copied, `host` is borrowed for ever. -ENOMEM */
_must_use_ int backends_new(struct backends **ret_backends, const char *const *directories,
	size_t n, const struct modeld_host *host);
struct backends *backends_free(struct backends *b);
DEFINE_CLEANUP(struct backends *, backends_free)

/*
 * The backend of that name, loaded at the first call.
 *
 * BACKEND_E_REFUSED, BACKEND_E_UNWILLING  ret_error->text says why; asked again, it is tried again
 * -ENOMEM
 */
_must_use_ int backends_get(struct backends *b, const char *name,
	const struct modeld_backend **ret_backend, struct modeld_error *ret_error);

#endif
