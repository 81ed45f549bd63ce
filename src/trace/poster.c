/*
 * poster.c: libcurl.so.4 by dlopen. The few names of it that are used are declared here: its numbers have been the same since
 * version 7.32, and its interface is kept.
 */
#include "trace/poster.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define LIBRARY		     "libcurl.so.4"
#define GLOBAL_DEFAULT	     3L
#define OK		     0
#define ABORTED		     42
#define ERROR_BYTES	     256u
#define OPTION_NOPROGRESS    43
#define OPTION_POSTFIELDSIZE 60
#define OPTION_NOSIGNAL	     99
#define OPTION_TIMEOUT_MS    155
#define OPTION_WRITEDATA     10001
#define OPTION_URL	     10002
#define OPTION_ERRORBUFFER   10010
#define OPTION_POSTFIELDS    10015
#define OPTION_HTTPHEADER    10023
#define OPTION_PROGRESSDATA  10057
#define OPTION_WRITEFUNCTION 20011
#define OPTION_PROGRESS	     20219
#define INFO_RESPONSE_CODE   0x200002

struct functions {
	int (*global_init)(long flags);
	void *(*easy_init)(void);
	int (*easy_setopt)(void *easy, int option, ...);
	int (*easy_perform)(void *easy);
	int (*easy_getinfo)(void *easy, int info, ...);
	void (*easy_cleanup)(void *easy);
	void *(*slist_append)(void *list, const char *text);
	void (*slist_free)(void *list);
};

struct poster {
	void *library; /* own */
	struct functions f;
	void *easy;			 /* own: of the library */
	void *headers;			 /* own: of the library */
	const _Atomic uint64_t *stop_ns; /* borrow */
	char error[ERROR_BYTES];
};

static const struct {
	const char *name;
	size_t offset;
} names[] = {
	{"curl_global_init", offsetof(struct functions, global_init)},
	{"curl_easy_init", offsetof(struct functions, easy_init)},
	{"curl_easy_setopt", offsetof(struct functions, easy_setopt)},
	{"curl_easy_perform", offsetof(struct functions, easy_perform)},
	{"curl_easy_getinfo", offsetof(struct functions, easy_getinfo)},
	{"curl_easy_cleanup", offsetof(struct functions, easy_cleanup)},
	{"curl_slist_append", offsetof(struct functions, slist_append)},
	{"curl_slist_free_all", offsetof(struct functions, slist_free)},
};

static int load(struct poster *p)
{
	p->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!p->library)
		return -ENOENT;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		void *f = dlsym(p->library, names[i].name);

		if (!f)
			return -ENOENT;
		memcpy((char *)&p->f + names[i].offset, &f, sizeof(f));
	}
	return 0;
}

/* What the collector answers is of no use. */
static size_t on_data(const char *data, size_t size, size_t n, void *user)
{
	(void)data;
	(void)user;
	return size * n;
}

/* Not 0: give up. */
static int on_progress(void *user, int64_t down_all, int64_t down, int64_t up_all, int64_t up)
{
	uint64_t stop_ns = *((struct poster *)user)->stop_ns;

	(void)down_all;
	(void)down;
	(void)up_all;
	(void)up;
	return stop_ns && clock_ns() >= stop_ns;
}

static int prepare(struct poster *p, const char *url, uint64_t timeout_ms)
{
	const struct functions *f = &p->f;
	void *e = p->easy;
	int r = f->easy_setopt(e, OPTION_URL, url);

	r |= f->easy_setopt(e, OPTION_NOSIGNAL, 1L);
	r |= f->easy_setopt(e, OPTION_TIMEOUT_MS, (long)timeout_ms);
	r |= f->easy_setopt(e, OPTION_HTTPHEADER, p->headers);
	r |= f->easy_setopt(e, OPTION_ERRORBUFFER, p->error);
	r |= f->easy_setopt(e, OPTION_WRITEFUNCTION, on_data);
	r |= f->easy_setopt(e, OPTION_WRITEDATA, (void *)NULL);
	r |= f->easy_setopt(e, OPTION_PROGRESS, on_progress);
	r |= f->easy_setopt(e, OPTION_PROGRESSDATA, p);
	r |= f->easy_setopt(e, OPTION_NOPROGRESS, 0L);
	return r == OK ? 0 : -EINVAL;
}

int poster_new(struct poster **ret_poster, const char *url, uint64_t timeout_ms,
	const _Atomic uint64_t *stop_ns)
{
	_cleanup_(poster_freep) struct poster *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->stop_ns = stop_ns;
	r = load(p);
	if (r)
		return r;
	if (p->f.global_init(GLOBAL_DEFAULT) != OK)
		return -ENOMEM;
	p->easy = p->f.easy_init();
	p->headers = p->f.slist_append(NULL, "Content-Type: application/json");
	if (!p->easy || !p->headers)
		return -ENOMEM;
	r = prepare(p, url, timeout_ms);
	if (r)
		return r;
	*ret_poster = steal_ptr(p);
	return 0;
}

int poster_send(struct poster *p, const void *data, size_t n, char text[POSTER_TEXT_MAX])
{
	const struct functions *f = &p->f;
	long code = 0;
	int r;

	p->error[0] = '\0';
	r = f->easy_setopt(p->easy, OPTION_POSTFIELDSIZE, (long)n);
	if (r == OK)
		r = f->easy_setopt(p->easy, OPTION_POSTFIELDS, data);
	if (r == OK)
		r = f->easy_perform(p->easy);
	if (r == ABORTED)
		return -ECANCELED;
	if (r == OK)
		r = f->easy_getinfo(p->easy, INFO_RESPONSE_CODE, &code);
	if (r == OK && code >= 200 && code < 300)
		return 0;
	if (r == OK)
		snprintf(text, POSTER_TEXT_MAX, "it answers with status %ld", code);
	else
		snprintf(text, POSTER_TEXT_MAX, "%s",
			p->error[0] ? p->error : "libcurl does not say why");
	return -EIO;
}

struct poster *poster_free(struct poster *p)
{
	if (!p)
		return NULL;
	if (p->headers)
		p->f.slist_free(p->headers);
	if (p->easy)
		p->f.easy_cleanup(p->easy);
	/* The library stays: what it has begun in the process (TLS) cannot be taken back safely. */
	free(p);
	return NULL;
}
