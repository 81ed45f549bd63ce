/*
 * watch.h: hears of changes below directories (inotify). It may miss some: of files on another host, and where the
 * host allows no more watches; whoever uses it looks by itself now and then, too.
 */
#ifndef MODELS_WATCH_H
#define MODELS_WATCH_H

#include <uv.h>

#include "base/cleanup.h"

/* Embedded; its memory stays until the loop has run after watch_close(). */
struct watch {
	uv_poll_t poll;
	int fd;			       /* own; -1: nothing is heard of */
	void (*on_change)(void *data); /* from the loop; once for many changes */
	void *data;		       /* borrow */
};

/* -errno: nothing will be heard of, and watch_close() is needed all the same. */
_must_use_ int watch_init(
	struct watch *w, uv_loop_t *loop, void (*on_change)(void *data), void *data);
/* And directories below it, `depth` deep; what cannot be watched is left out. Again for new ones: those that
 * are watched stay so. On any thread, before watch_close(). */
void watch_directory(const struct watch *w, const char *path, unsigned depth);
/* Harmless for a zeroed one. */
void watch_close(struct watch *w);

#endif
