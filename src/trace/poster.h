/*
 * poster.h: HTTP POST, by libcurl, which is looked for when it is wanted: a daemon that sends no traces needs none. Waits for its answers:
 * for a thread of its own.
 */
#ifndef TRACE_POSTER_H
#define TRACE_POSTER_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define POSTER_TEXT_MAX 256u

struct poster;

/* Where to; borrowed, as is `stop`: a post ends, and fails, when that is not 0 and `stop` on CLOCK_MONOTONIC, ns, has passed.
 * -ENOENT: there is no libcurl; -ENOMEM; -EINVAL: it does not take the URL */
_must_use_ int poster_new(struct poster **ret_poster, const char *url, uint64_t timeout_ms,
	const _Atomic uint64_t *stop_ns);
/* n bytes of JSON. Waits, timeout_ms at most. -EIO: text says why; -ECANCELED: it was stopped */
_must_use_ int poster_send(
	struct poster *p, const void *data, size_t n, char text[POSTER_TEXT_MAX]);
/* Accepts NULL; returns NULL. */
struct poster *poster_free(struct poster *p);
DEFINE_CLEANUP(struct poster *, poster_free)

#endif
