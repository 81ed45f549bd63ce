/*
 * host.c: settings and the log, as backends see them. Nothing changes once it is made. Worker process,
 * any thread.
 */
#include "workers/host.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/list.h"
#include "base/log.h"
#include "workers/pairs.h"

#define LOG_TEXT_MAX 1024u

struct host {
	struct modeld_host api;
	char *worker;	       /* own */
	char *device;	       /* own */
	struct pairs settings; /* "BACKEND.key" */
};

static const char *host_setting(const struct modeld_host *api, const char *backend, const char *key)
{
	const struct host *h = container_of(api, struct host, api);
	size_t n = strlen(backend);

	for (size_t i = 0; i < h->settings.n; i++) {
		const char *name = h->settings.items[i].key;

		if (strncmp(name, backend, n) != 0 || name[n] != '.' ||
			strcmp(name + n + 1, key) != 0)
			continue;
		pairs_ask(&h->settings, i);
		return h->settings.items[i].value;
	}
	return NULL;
}

static int host_setting_at(const struct modeld_host *api, const char *backend, size_t i,
	const char **ret_key, const char **ret_value)
{
	const struct host *h = container_of(api, struct host, api);
	size_t n = strlen(backend);

	for (size_t k = 0; k < h->settings.n; k++) {
		const char *name = h->settings.items[k].key;

		if (strncmp(name, backend, n) != 0 || name[n] != '.' || i-- > 0)
			continue;
		pairs_ask(&h->settings, k);
		*ret_key = name + n + 1;
		*ret_value = h->settings.items[k].value;
		return 1;
	}
	return 0;
}

static void host_log(const struct modeld_host *api, enum modeld_log_level level, const char *text)
{
	char quoted[LOG_TEXT_MAX];

	if (level < MODELD_LOG_ERROR || level > MODELD_LOG_DEBUG)
		level = MODELD_LOG_INFO;
	if ((int)level > (int)log_level())
		return;
	log_line((enum log_level)level, "backend says", "worker=%s text=%s", api->worker,
		log_quote(text, strlen(text), quoted, sizeof(quoted)));
}

_Static_assert((int)MODELD_LOG_ERROR == (int)LOG_LEVEL_ERROR &&
		       (int)MODELD_LOG_DEBUG == (int)LOG_LEVEL_DEBUG,
	"levels have the same numbers");

int host_new(struct host **ret_host, const struct wire_setup *setup, const struct host_calls *calls)
{
	_cleanup_(host_freep) struct host *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->worker = strdup(setup->worker);
	h->device = strdup(setup->device);
	if (!h->worker || !h->device)
		return -ENOMEM;
	r = pairs_copy(&h->settings, setup->settings, setup->n_settings);
	if (r)
		return r;
	h->api = (struct modeld_host){
		.size = sizeof(h->api),
		.abi = MODELD_BACKEND_ABI,
		.worker = h->worker,
		.device = h->device,
		.setting = host_setting,
		.setting_at = host_setting_at,
		.log = host_log,
		.complete = calls->complete,
		.answer = calls->answer,
		.threads = setup->threads,
	};
	*ret_host = steal_ptr(h);
	return 0;
}

struct host *host_free(struct host *h)
{
	if (!h)
		return NULL;
	pairs_deinit(&h->settings);
	free(h->worker);
	free(h->device);
	free(h);
	return NULL;
}

const struct modeld_host *host_api(const struct host *h)
{
	return &h->api;
}

const char *host_next_unasked(const struct host *h, const char *backend)
{
	char prefix[WIRE_NAME_MAX + 2];
	int n = snprintf(prefix, sizeof(prefix), "%s.", backend);

	if (n < 0 || (size_t)n >= sizeof(prefix))
		return NULL;
	return pairs_next_unasked(&h->settings, prefix);
}

const char *host_worker(const struct host *h)
{
	return h->worker;
}

void host_clean_error(struct modeld_error *error)
{
	error->text[sizeof(error->text) - 1] = 0;
	for (char *c = error->text; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = ' ';
	}
	if (!error->text[0])
		(void)snprintf(error->text, sizeof(error->text), "the backend gave no reason");
}

static bool in_path(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("_./-+@~%=", c));
}

/* Names in models may begin with a slash, too; but there is no such directory on this host. */
static bool is_here(const char *path, size_t n)
{
	const char *second = memchr(path + 1, '/', n - 1);
	char first[NAME_MAX + 2];
	struct stat st;

	if (!second || second == path + 1 || (size_t)(second - path) >= sizeof(first))
		return false;
	memcpy(first, path, (size_t)(second - path));
	first[second - path] = 0;
	return !stat(first, &st) && S_ISDIR(st.st_mode);
}

void host_hide_paths(char *text)
{
	for (char *at = strchr(text, '/'); at; at = strchr(at, '/')) {
		bool begins = at == text || !in_path(at[-1]);
		size_t n = 0, last;

		while (in_path(at[n]))
			n++;
		for (last = n; last > 1 && at[last - 1] == '/';)
			last--;
		while (last > 0 && at[last - 1] != '/')
			last--;
		if (begins && is_here(at, n))
			memmove(at, at + last, strlen(at + last) + 1);
		else
			at += n;
	}
}
