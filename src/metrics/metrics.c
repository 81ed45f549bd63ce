/* metrics.c: the listener of what can be seen, and which page a path means. Daemon process, loop thread. */
#include "metrics/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "metrics/page.h"
#include "metrics/probes.h"
#include "metrics/scrape.h"

#define AGAIN_MS 2000u

struct metrics {
	struct metrics_sources sources;
	const struct http_settings *settings; /* borrow */
	struct http *http;		      /* own */
	uv_timer_t again;		      /* until listening is tried again */
};

static void get_metrics(struct metrics *m, struct http_reply *reply)
{
	if (scrape_new(&reply->source, &m->sources)) {
		reply->status = 503;
		return;
	}
	reply->status = 200;
	reply->type = SCRAPE_TYPE;
}

static void on_get(void *data, const char *path, struct http_reply *reply)
{
	struct metrics *m = data;

	if (strcmp(path, "/") == 0)
		page_get(reply);
	else if (strcmp(path, "/metrics") == 0)
		get_metrics(m, reply);
	else
		probes_get(m->sources.dispatch, m->sources.frontend, path, reply);
}

static void on_again(uv_timer_t *timer)
{
	struct metrics *m = timer->data;
	char text[512];
	int r = http_listen(m->http, text, sizeof(text));

	if (r == -EADDRINUSE)
		uv_timer_start(&m->again, on_again, AGAIN_MS, 0);
	else if (r)
		log_error("metrics are not served", "%s", text);
	else
		log_info("metrics", "address=%s", http_address(m->http));
}

int metrics_listen(struct metrics *m, char *text, size_t cap)
{
	int r = http_listen(m->http, text, cap);

	if (r == -EADDRINUSE) {
		log_error("metrics are not served: another process listens there",
			"address=%s key=\"[metrics] listen\" again_ms=%u", m->settings->listen,
			AGAIN_MS);
		uv_timer_start(&m->again, on_again, AGAIN_MS, 0);
		return 0;
	}
	if (!r)
		log_info("metrics", "address=%s", http_address(m->http));
	return r;
}

int metrics_new(struct metrics **ret_metrics, uv_loop_t *loop, const struct http_settings *settings,
	const struct metrics_sources *sources)
{
	static const struct http_events events = {.on_get = on_get};
	struct metrics *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->sources = *sources;
	m->settings = settings;
	r = http_new(&m->http, loop, settings, &events, m);
	if (r) {
		free(m);
		return r;
	}
	uv_timer_init(loop, &m->again);
	m->again.data = m;
	*ret_metrics = m;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

struct metrics *metrics_free(struct metrics *m)
{
	if (!m)
		return NULL;
	http_free(m->http);
	uv_close((uv_handle_t *)&m->again, on_closed);
	return NULL;
}
