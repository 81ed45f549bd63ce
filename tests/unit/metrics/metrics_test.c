/* metrics_test.c: the listener, and where its port is another's. */
#include "metrics/metrics.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fake_sources.h"
#include "tests/support/failalloc.h"

static struct bed {
	uv_loop_t loop;
	struct http_settings settings;
	struct metrics_sources sources;
	struct metrics *metrics;
	char address[64];
	char text[256];
} bed;

static void setup(void)
{
	log_init(NULL, LOG_LEVEL_ERROR);
	memset(&bed, 0, sizeof(bed));
	bed.settings = (struct http_settings){
		.listen = "127.0.0.1:0", .max_connections = 4, .timeout_ms = 60000};
	cr_assert_eq(uv_loop_init(&bed.loop), 0);
}

static void teardown(void)
{
	metrics_free(bed.metrics);
	uv_run(&bed.loop, UV_RUN_DEFAULT);
	cr_assert_eq(uv_loop_close(&bed.loop), 0);
}

TestSuite(metrics, .init = setup, .fini = teardown);

static int make(void)
{
	return metrics_new(&bed.metrics, &bed.loop, &bed.settings, &bed.sources);
}

/* A socket that listens on a free port, which the settings name from here on. */
static int take_a_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	snprintf(bed.address, sizeof(bed.address), "127.0.0.1:%d", ntohs(a.sin_port));
	bed.settings.listen = bed.address;
	return fd;
}

Test(metrics, a_port_in_use_is_no_failure)
{
	int fd = take_a_port();

	log_set_level(LOG_LEVEL_ERROR);
	cr_assert_eq(make(), 0);
	cr_expect_eq(metrics_listen(bed.metrics, bed.text, sizeof(bed.text)), 0);
	close(fd);
}

Test(metrics, an_address_that_cannot_be_is_one)
{
	bed.settings.listen = "here";
	cr_assert_eq(make(), 0);
	cr_expect_eq(metrics_listen(bed.metrics, bed.text, sizeof(bed.text)), -EINVAL);
	cr_expect_not_null(strstr(bed.text, "here"));
}

static int make_and_listen(void *arg)
{
	int r;

	(void)arg;
	setup();
	r = make();
	if (!r)
		r = metrics_listen(bed.metrics, bed.text, sizeof(bed.text));
	teardown();
	return r;
}

Test(metrics_fault, making_and_listening)
{
	FAULT_LOOP(make_and_listen, NULL);
}
