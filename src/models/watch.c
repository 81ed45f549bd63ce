/* watch.c: inotify. watch_directory(): any thread; all else: daemon process, loop thread. */
#include "models/watch.h"

#include <dirent.h>
#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "models/path.h"

#define EVENTS                                                                                     \
	(IN_CREATE | IN_DELETE | IN_MOVE | IN_CLOSE_WRITE | IN_MODIFY | IN_ATTRIB |                \
		IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

/* What has changed is seen by reading. */
static void drop_events(int fd)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	while (read(fd, buffer, sizeof(buffer)) > 0)
		continue;
}

static void on_readable(uv_poll_t *h, int status, int events)
{
	struct watch *w = h->data;

	(void)events;
	if (status == 0)
		drop_events(w->fd);
	w->on_change(w->data);
}

int watch_init(struct watch *w, uv_loop_t *loop, void (*on_change)(void *data), void *data)
{
	int r;

	*w = (struct watch){.on_change = on_change, .data = data};
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->fd < 0)
		return -errno;
	r = uv_poll_init(loop, &w->poll, w->fd);
	if (r) {
		close_fd(&w->fd);
		w->poll.type = UV_UNKNOWN_HANDLE;
		return r;
	}
	w->poll.data = w;
	return uv_poll_start(&w->poll, UV_READABLE, on_readable);
}

static void watch_below(const struct watch *w, const char *path, unsigned depth)
{
	DIR *d = opendir(path);
	struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d))) {
		_cleanup_(freep) char *below = NULL;

		if (e->d_name[0] == '.' || e->d_type == DT_REG)
			continue;
		below = path_join(path, e->d_name);
		if (below && path_is_directory(below))
			watch_directory(w, below, depth - 1);
	}
	closedir(d);
}

void watch_directory(const struct watch *w, const char *path, unsigned depth)
{
	if (w->fd < 0 || inotify_add_watch(w->fd, path, EVENTS) < 0)
		return;
	if (depth > 0)
		watch_below(w, path, depth);
}

void watch_close(struct watch *w)
{
	if (w->poll.type == UV_UNKNOWN_HANDLE)
		return;
	uv_close((uv_handle_t *)&w->poll, NULL);
	close_fd(&w->fd);
}
