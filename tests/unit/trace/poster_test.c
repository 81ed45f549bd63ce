/* poster_test.c: POST by the libcurl that is there. */
#include "trace/poster.h"

#include <errno.h>

#include "base/clock.h"
#include "collector.h"
#include "tests/support/failalloc.h"

static struct collector c;
static _Atomic uint64_t stop_ns;

static int post(const char *url, char text[POSTER_TEXT_MAX])
{
	struct poster *p;
	int r = poster_new(&p, url, 60000, &stop_ns);

	cr_assert_eq(r, 0);
	r = poster_send(p, "{\"a\":1}", 7, text);
	poster_free(p);
	return r;
}

Test(poster, what_is_sent)
{
	char text[POSTER_TEXT_MAX] = "";

	NEEDS_CURL();
	collector_start(&c, COLLECTOR_OK);
	cr_expect_eq(post(c.url, text), 0, "%s", text);
	collector_stop(&c);
	cr_expect_eq(strncmp(c.got, "POST /v1/traces HTTP/1.1\r\n", 26), 0);
	cr_expect(strstr(c.got, "\r\nContent-Type: application/json\r\n"));
	cr_expect(strstr(c.got, "\r\n\r\n{\"a\":1}"));
}

Test(poster, who_refuses)
{
	char text[POSTER_TEXT_MAX] = "";

	NEEDS_CURL();
	collector_start(&c, COLLECTOR_REFUSE);
	cr_expect_eq(post(c.url, text), -EIO);
	collector_stop(&c);
	cr_expect_str_eq(text, "it answers with status 503");
}

Test(poster, nobody_there)
{
	char text[POSTER_TEXT_MAX] = "";

	NEEDS_CURL();
	cr_expect_eq(post("nosuch://127.0.0.1/", text), -EIO);
	cr_expect_neq(text[0], '\0');
}

/* Who says nothing is given up when the daemon ends. */
Test(poster, stopped)
{
	char text[POSTER_TEXT_MAX] = "";

	NEEDS_CURL();
	collector_start(&c, NULL);
	stop_ns = clock_ns();
	cr_expect_eq(post(c.url, text), -ECANCELED);
	collector_stop(&c);
}

static int make(void *arg)
{
	struct poster *p;
	int r = poster_new(&p, "http://127.0.0.1:9/", 1000, &stop_ns);

	(void)arg;
	if (!r)
		poster_free(p);
	return r;
}

Test(poster, no_memory)
{
	NEEDS_CURL();
	FAULT_LOOP_KINDS(make, NULL, FAIL_ALLOCATIONS);
	cr_assert_null(poster_free(NULL));
}
